import { expect, test } from "bun:test"
import { type Reader, ReplicationStream } from "../../src/replication/stream.ts"
import { Random, runSeed } from "../support/random.ts"

/** Reads `count` bytes, or all there are. */
function read(stream: ReplicationStream, reader: Reader, count: number): number[] {
  const out: number[] = []
  while (out.length < count) {
    const { block, at } = reader
    const length = Math.min(block.used - at, count - out.length)
    if (length === 0 && block.next === undefined) break
    for (let i = 0; i < length; i++) out.push(block.bytes[at + i]!)
    stream.advance(reader, length)
  }
  return out
}

test("readers see every byte once and in order, whatever is trimmed behind them", () => {
  const random = new Random(runSeed)
  for (let round = 0; round < 6; round++) {
    let sizeMax = random.pick([1, 100, 20_000, 100_000])
    // What a larger backlog would keep is gone if it was smaller before.
    let smallest = sizeMax
    const stream = new ReplicationStream(() => sizeMax)
    stream.offset = random.below(1000)
    const origin = stream.offset
    let written = Buffer.alloc(0)
    const readers: { reader: Reader; at: number }[] = []
    stream.open()
    for (let step = 0; step < 150; step++) {
      const action = random.below(10)
      if (action < 5) {
        const bytes = Buffer.alloc(random.pick([1, 30, 3000, 40_000]), `${random.below(1e9)}`)
        const from = random.below(bytes.length)
        stream.append(bytes, from, bytes.length)
        written = Buffer.concat([written, bytes.subarray(from)])
      } else if (action === 5 && readers.length < 5) {
        const lowest = stream.firstByte
        const byte = lowest + random.below(stream.offset + 2 - lowest)
        expect(stream.has(byte)).toBe(true)
        readers.push({ reader: stream.readFrom(byte), at: byte - 1 - origin })
      } else if (action === 6 && readers.length > 0) {
        const [gone] = readers.splice(random.below(readers.length), 1)
        stream.leave(gone!.reader)
      } else if (action === 7) {
        sizeMax = random.pick([1, 100, 20_000, 100_000])
        smallest = Math.min(smallest, sizeMax)
        stream.trim()
      } else if (readers.length > 0) {
        const one = random.pick(readers)
        const got = read(stream, one.reader, random.below(60_000))
        expect(Buffer.from(got).equals(written.subarray(one.at, one.at + got.length))).toBe(true)
        one.at += got.length
        expect(one.reader.position).toBe(origin + one.at)
      }
      expect(stream.offset).toBe(origin + written.length)
      expect(stream.length).toBeGreaterThanOrEqual(Math.min(smallest, written.length))
      expect(stream.has(stream.firstByte - 1)).toBe(false)
      expect(stream.has(stream.offset + 2)).toBe(false)
      expect(stream.has(stream.offset + 1)).toBe(true)
    }
    // Without readers, what is held is the backlog and less than one block more.
    for (const { reader } of readers) stream.leave(reader)
    stream.trim()
    expect(stream.length).toBeLessThan(sizeMax + 2 * 100_000)
    stream.close()
    expect(stream.isOpen).toBe(false)
    expect(stream.has(stream.offset + 1)).toBe(false)
  }
})

test("a closed stream counts, and keeps nothing", () => {
  const stream = new ReplicationStream(() => 100)
  stream.append(new Uint8Array(10), 0, 10)
  expect([stream.offset, stream.length, stream.firstByte, stream.heldBytes]).toEqual([10, 0, 0, 0])
  stream.open()
  expect([stream.firstByte, stream.length]).toEqual([11, 0])
  stream.append(new Uint8Array(10), 0, 10)
  stream.restart(500)
  expect([stream.offset, stream.length, stream.firstByte]).toEqual([500, 0, 501])
})
