import { describe, expect, test } from "bun:test"
import { lpCopyValue, lpValidate } from "../../src/structs/listpack.ts"
import { StreamId } from "../../src/structs/stream-id.ts"
import {
  StreamBlockWalk,
  StreamCursor,
  StreamFields,
  StreamLog,
  type StreamView,
} from "../../src/structs/stream-log.ts"
import { Random, runSeed } from "../support/random.ts"

const text = (value: string) => new Uint8Array(Buffer.from(value, "latin1"))
const WIDE = 2n ** 64n
const scratch = new Uint8Array(100_000)

interface Entry {
  id: bigint
  texts: string[]
}

function idOf(value: bigint): StreamId {
  const word = (shift: bigint) => Number((value >> shift) & 0xffff_ffffn)
  return new StreamId().setWords(word(96n), word(64n), word(32n), word(0n))
}

function bigOf(id: StreamId): bigint {
  return (BigInt(id.msHigh) << 96n) | (BigInt(id.msLow) << 64n) | (BigInt(id.seqHigh) << 32n) | BigInt(id.seqLow)
}

function fieldsOf(texts: string[]): StreamFields {
  const fields = new StreamFields()
  fields.reset()
  for (const value of texts) fields.add(text(value), 0, value.length)
  return fields
}

function textAt(cursor: StreamCursor, at: number): string {
  return Buffer.from(scratch.buffer, 0, lpCopyValue(cursor.bytes, at, scratch, 0)).toString("latin1")
}

function entryOf(cursor: StreamCursor): Entry {
  const texts: string[] = []
  const { fieldCount } = cursor
  while (cursor.nextField()) texts.push(textAt(cursor, cursor.name), textAt(cursor, cursor.value))
  if (texts.length !== 2 * fieldCount) throw new Error("fieldCount differs from what nextField gave")
  return { id: bigOf(cursor.id), texts }
}

function expectEntry(cursor: StreamCursor, expected: Entry, readFields: number): void {
  if (bigOf(cursor.id) !== expected.id) throw new Error(`id ${cursor.id} instead of ${idOf(expected.id)}`)
  // Leaving some fields unread must not matter.
  if (readFields === 0) return
  if (readFields === 1) {
    if (cursor.nextField()) expect(textAt(cursor, cursor.name)).toBe(expected.texts[0]!)
    return
  }
  if (entryOf(cursor).texts.join() !== expected.texts.join()) throw new Error(`texts of ${cursor.id} differ`)
}

function expectSame(view: StreamView, model: Entry[]): void {
  expect(view.length).toBe(model.length)
  expect(bigOf(view.firstId)).toBe(model[0]?.id ?? 0n)
  const cursor = new StreamCursor()
  let i = 0
  for (let on = cursor.seekAtOrAfter(view, idOf(0n)); on; on = cursor.next()) expectEntry(cursor, model[i++]!, i % 3)
  expect(i).toBe(model.length)
  for (let on = cursor.seekAtOrBefore(view, new StreamId().setMax()); on; on = cursor.previous()) {
    expectEntry(cursor, model[--i]!, (i % 5) - 2)
  }
  expect(i).toBe(0)
}

function verify(log: StreamLog, copies: boolean): void {
  let bytes = log.blocks.bytes
  for (const span of log.blocks.spans) {
    for (const block of span.chunks) {
      bytes += 232 + block.bytes.length
      if (block.count === 0) throw new Error("block without live entries")
      if ((block.bytes[block.liveAt]! & 1) !== 0) throw new Error("liveAt is not live")
    }
  }
  expect(log.bytes).toBe(bytes)
  const walk = new StreamBlockWalk(log)
  const copy = new StreamLog()
  while (walk.next()) {
    if (!lpValidate(walk.bytes, walk.start, walk.end, true)) throw new Error("not a listpack")
    if (copies) expect(copy.appendBlock(walk.id, walk.bytes, walk.start, walk.end)).toBe(true)
  }
  if (!copies) return
  expect(copy.length).toBe(log.length)
  expect(copy.firstId.toString()).toBe(log.firstId.toString())
  const cursor = new StreamCursor()
  const other = new StreamCursor()
  let on = cursor.seekAtOrAfter(log, idOf(0n))
  expect(other.seekAtOrAfter(copy, idOf(0n))).toBe(on)
  while (on) {
    expect(entryOf(other)).toEqual(entryOf(cursor))
    on = cursor.next()
    expect(other.next()).toBe(on)
  }
}

function indexFrom(model: Entry[], id: bigint): number {
  const at = model.findIndex(entry => entry.id >= id)
  return at === -1 ? model.length : at
}

const settings = [
  { bytesMax: 4096, entriesMax: 100, steps: 8000, wild: false },
  { bytesMax: 4096, entriesMax: 100, steps: 4000, wild: true },
  { bytesMax: 200, entriesMax: 0, steps: 4000, wild: false },
  { bytesMax: 0, entriesMax: 300, steps: 4000, wild: false },
  { bytesMax: 4096, entriesMax: 1, steps: 2500, wild: true },
]

for (const { bytesMax, entriesMax, steps, wild } of settings) {
  test(`random edits, ${bytesMax} bytes and ${entriesMax} entries per block${wild ? ", far ids" : ""}`, () => {
    console.log(`stream-log: BUNDIS_SEED=${runSeed}`)
    const chance = new Random()
    const log = new StreamLog(bytesMax, entriesMax, 1)
    const cursor = new StreamCursor()
    let model: Entry[] = []
    let last = 0n
    let added = 0
    let maxDeleted = 0n
    let frozen: { view: StreamView; model: Entry[]; last: bigint }[] = []
    let epoch = 1
    const nextId = (): bigint => {
      if (wild && chance.oneIn(200) && last < WIDE * (WIDE - 2n ** 60n))
        return last + BigInt(chance.uint32()) * 2n ** 90n
      if (chance.oneIn(4)) return last + BigInt(chance.between(1, 3))
      if (chance.oneIn(50)) return last + BigInt(chance.uint32()) * 2n ** BigInt(chance.below(30)) + 1n
      return (last / WIDE + BigInt(chance.between(1, 500))) * WIDE + BigInt(chance.oneIn(3) ? chance.uint32() : 0)
    }
    const names = ["a", "temperature", "12", "", "sensor:17"]
    const texts = (): string[] => {
      const value = () =>
        chance.oneIn(2) ? String(chance.below(1e6)) : "v".repeat(chance.below(chance.oneIn(50) ? 5000 : 20))
      if (!chance.oneIn(5)) return ["sensor", value(), "value", value()]
      const all: string[] = []
      for (let i = chance.below(8); i >= 0; i--) all.push(chance.pick(names), value())
      return all
    }
    const pick = (): bigint =>
      model.length === 0 || chance.oneIn(5)
        ? last - BigInt(chance.below(5)) < 0n
          ? 0n
          : last
        : model[chance.below(model.length)]!.id + BigInt(chance.below(2))
    for (let step = 0; step < steps; step++) {
      const growing = Math.floor(step / 1500) % 2 === 0
      const dice = chance.fraction()
      if (dice < (growing ? 0.7 : 0.3)) {
        const entry = { id: nextId(), texts: texts() }
        log.append(idOf(entry.id), fieldsOf(entry.texts))
        last = entry.id
        added++
        model.push(entry)
      } else if (dice < 0.85) {
        const id = pick()
        const at = model.findIndex(entry => entry.id === id)
        expect(log.delete(idOf(id))).toBe(at !== -1)
        if (at !== -1) {
          model.splice(at, 1)
          if (id > maxDeleted) maxDeleted = id
        }
      } else if (dice < 0.87) {
        const lengthMax = Math.max(0, model.length - chance.below(growing ? 20 : 300))
        if (chance.oneIn(2)) {
          expect(log.trimToLength(lengthMax, false, 0)).toBe(model.length - lengthMax)
          model = model.slice(model.length - lengthMax)
        } else {
          const limit = chance.oneIn(2) ? 0 : 150
          const dropped = log.trimToLength(lengthMax, true, limit)
          expect(dropped).toBeLessThanOrEqual(limit === 0 ? model.length - lengthMax : limit)
          model = model.slice(dropped)
        }
      } else if (dice < 0.89) {
        const id = model[chance.below(Math.min(model.length, 60))]?.id ?? last
        const below = indexFrom(model, id)
        if (chance.oneIn(2)) {
          expect(log.trimToId(idOf(id), false, 0)).toBe(below)
          model = model.slice(below)
        } else {
          const dropped = log.trimToId(idOf(id), true, 0)
          expect(dropped).toBeLessThanOrEqual(below)
          model = model.slice(dropped)
        }
      } else {
        const id = pick()
        let at = indexFrom(model, id)
        for (let on = cursor.seekAtOrAfter(log, idOf(id)), i = 0; i < 5; i++, on = cursor.next(), at++) {
          expect(on).toBe(at < model.length)
          if (!on) break
          expectEntry(cursor, model[at]!, chance.below(3))
        }
        at = indexFrom(model, id + 1n) - 1
        for (let on = cursor.seekAtOrBefore(log, idOf(id)), i = 0; i < 5; i++, on = cursor.previous(), at--) {
          expect(on).toBe(at >= 0)
          if (!on) break
          expectEntry(cursor, model[at]!, chance.below(3))
        }
      }
      if (chance.oneIn(200)) {
        for (const old of frozen) {
          expectSame(old.view, old.model)
          expect(bigOf(old.view.lastId)).toBe(old.last)
        }
        frozen = frozen.slice(-2)
        frozen.push({ view: log.freeze(++epoch), model: model.slice(), last })
      }
      if (step % 400 === 0) {
        verify(log, step % 2000 === 0)
        expectSame(log, model)
      }
    }
    verify(log, true)
    expectSame(log, model)
    for (const old of frozen) expectSame(old.view, old.model)
    expect(bigOf(log.lastId)).toBe(last)
    expect(bigOf(log.maxDeletedId)).toBe(maxDeleted)
    expect(log.entriesAdded).toBe(added)
    log.trimToLength(0, false, 0)
    verify(log, true)
    expect(log.bytes).toBe(0)
  })
}

describe("blocks", () => {
  const plain = (count: number) => {
    const log = new StreamLog()
    const fields = fieldsOf(["sensor", "1234", "temperature", "19.8"])
    for (let i = 1; i <= count; i++) log.append(new StreamId().set(1526919030474 + i * 17, i % 3), fields)
    return log
  }

  test("names are shared, memory stays low", () => {
    const count = 50_000
    const log = plain(count)
    expect(log.bytes / count).toBeLessThan(24)
  })

  test("entries per block, and approximate trimming by whole blocks", () => {
    const log = plain(1050)
    expect(log.blockCount).toBe(11)
    expect(log.trimToLength(420, true, 0)).toBe(600)
    expect(log.length).toBe(450)
    expect(log.trimToLength(100, true, 250)).toBe(200)
    expect(log.trimToLength(10, true, 50)).toBe(0)
    expect(log.maxDeletedId.isMin()).toBe(true)
  })

  test("a mostly dead block is rewritten", () => {
    const log = plain(100)
    const before = log.bytes
    const cursor = new StreamCursor()
    for (let i = 0; i < 90; i++) {
      cursor.seekAtOrAfter(log, new StreamId())
      expect(log.delete(cursor.id.clone())).toBe(true)
    }
    expect(log.bytes).toBeLessThan(before / 2)
    expect(log.length).toBe(10)
    verify(log, true)
  })

  test("the layout is Redis's", () => {
    const log = new StreamLog()
    log.append(new StreamId().set(1000, 5), fieldsOf(["f", "v"]))
    log.append(new StreamId().set(1003, 0), fieldsOf(["f", "7"]))
    log.append(new StreamId().set(1003, 1), fieldsOf(["g", "w"]))
    log.delete(new StreamId().set(1000, 5))
    const walk = new StreamBlockWalk(log)
    expect(walk.next()).toBe(true)
    expect(walk.id.toString()).toBe("1000-5")
    const body = [
      [2, 1, 1, 1, 1, 1, 0x81, 0x66, 2, 0, 1],
      [3, 1, 0, 1, 0, 1, 0x81, 0x76, 2, 4, 1],
      [2, 1, 3, 1, 0xdf, 0xfb, 2, 7, 1, 4, 1],
      [0, 1, 3, 1, 0xdf, 0xfc, 2, 1, 1, 0x81, 0x67, 2, 0x81, 0x77, 2, 6, 1],
    ].flat()
    const total = 6 + body.length + 1
    expect([...walk.bytes.slice(walk.start, walk.end)]).toEqual([total, 0, 0, 0, 22, 0, ...body, 0xff])
    expect(walk.next()).toBe(false)
  })

  test("foreign blocks are checked", () => {
    const source = new StreamBlockWalk(plain(20))
    source.next()
    const good = source.bytes.slice(source.start, source.end)
    const first = source.id.clone()
    const log = new StreamLog()
    expect(log.appendBlock(first, good, 0, good.length)).toBe(true)
    expect(log.length).toBe(20)
    // Ids must go on ascending.
    expect(log.appendBlock(first, good, 0, good.length)).toBe(false)
    const chance = new Random()
    const cursor = new StreamCursor()
    for (let i = 0; i < 3000; i++) {
      const bad = good.slice()
      for (let k = chance.below(3); k >= 0; k--) bad[6 + chance.below(bad.length - 6)] = chance.uint32()
      const other = new StreamLog()
      if (!other.appendBlock(first, bad, 0, bad.length)) expect(other.length).toBe(0)
      let seen = 0
      for (let on = cursor.seekAtOrAfter(other, new StreamId()); on; on = cursor.next()) {
        entryOf(cursor)
        seen++
      }
      expect(seen).toBe(other.length)
    }
  })

  test("the highest ids there are", () => {
    const log = new StreamLog()
    log.append(new StreamId().setWords(0, 0, 0, 1), fieldsOf(["a", "b"]))
    const highest = new StreamId().setMax()
    log.append(highest, fieldsOf(["a", "c"]))
    const cursor = new StreamCursor()
    expect(cursor.seekAtOrAfter(log, highest)).toBe(true)
    expect(cursor.id.toString()).toBe("18446744073709551615-18446744073709551615")
    expect(cursor.previous()).toBe(true)
    expect(cursor.id.toString()).toBe("0-1")
    expect(cursor.previous()).toBe(false)
  })

  test("an empty log", () => {
    const log = new StreamLog()
    const cursor = new StreamCursor()
    expect(cursor.seekAtOrAfter(log, new StreamId())).toBe(false)
    expect(cursor.seekAtOrBefore(log, new StreamId().setMax())).toBe(false)
    expect(cursor.next()).toBe(false)
    expect(log.delete(new StreamId())).toBe(false)
    expect(log.trimToLength(0, false, 0)).toBe(0)
    expect(log.trimToId(new StreamId().setMax(), false, 0)).toBe(0)
  })
})
