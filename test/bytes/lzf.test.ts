import { expect, test } from "bun:test"
import { latin1 } from "../../src/bytes/compare.ts"
import { Crc64 } from "../../src/bytes/crc64.ts"
import { lzfCompress, lzfDecompress } from "../../src/bytes/lzf.ts"
import { Prng } from "../../src/bytes/prng.ts"

test("a string that Redis 7.0.15 compressed (its DUMP payload, checksum included)", () => {
  const dump = Uint8Array.fromHex(
    "00c3404041ea1f54686520717569636b2062726f776e20666f78206a756d7073206f7665722074201e086c617a7920646f673b600de0" +
      "1e2c032e206162e0ff01e07b010161620a004876a80ac8fbbd43",
  )
  expect(new Crc64().update(dump, 0, dump.length - 8).matches(dump, dump.length - 8)).toBe(true)
  const sentence = "The quick brown fox jumps over the lazy dog; the quick brown fox jumps over the lazy dog. "
  const out = new Uint8Array(490)
  // After the type and the LZF mark stand the two lengths, 64 and 490.
  expect(lzfDecompress(dump, 6, 6 + 64, out, 0, 490)).toBe(490)
  expect(latin1(out)).toBe(sentence + "ab".repeat(200))
})

function sample(random: Prng): Uint8Array<ArrayBuffer> {
  const length = random.nextBelow([40, 600, 20000][random.nextBelow(3)]!)
  const bytes = new Uint8Array(length)
  const kind = random.nextBelow(4)
  const period = 1 + random.nextBelow(9000)
  const letters = 1 + random.nextBelow(30)
  for (let i = 0; i < length; i++) {
    if (kind === 0) bytes[i] = random.next32()
    else if (kind === 1) bytes[i] = i >= period && random.nextBelow(100) ? bytes[i - period]! : random.next32()
    else if (kind === 2) bytes[i] = random.nextBelow(letters)
  }
  return bytes
}

test("what is compressed expands to itself", () => {
  const seed = 20240607
  const random = new Prng(seed)
  for (let round = 0; round < 400; round++) {
    const plain = sample(random)
    const packed = new Uint8Array(plain.length * 2 + 20)
    const length = lzfCompress(plain, 0, plain.length, packed, 5, packed.length)
    expect(length > 0 || plain.length === 0, `seed ${seed} round ${round}`).toBe(true)
    const again = new Uint8Array(packed.length)
    expect(lzfCompress(plain, 0, plain.length, again, 5, again.length)).toBe(length)
    expect(again.subarray(5, 5 + length)).toEqual(packed.subarray(5, 5 + length))

    const out = new Uint8Array(plain.length + 6).fill(0xee)
    expect(lzfDecompress(packed, 5, 5 + length, out, 3, 3 + plain.length)).toBe(plain.length)
    expect(out.subarray(3, 3 + plain.length)).toEqual(plain)
    expect([...out.subarray(0, 3), ...out.subarray(-3)]).toEqual(new Array(6).fill(0xee))

    // One byte less room than needed: refused, and nothing written past the end.
    if (length > 0) {
      const tight = new Uint8Array(length + 4).fill(0xee)
      expect(lzfCompress(plain, 0, plain.length, tight, 0, length)).toBe(length)
      tight.fill(0xee)
      expect(lzfCompress(plain, 0, plain.length, tight, 0, length - 1)).toBe(0)
      expect([...tight.subarray(length - 1)]).toEqual(new Array(5).fill(0xee))
    }
  }
})

test("regular input shrinks, short and random input does not", () => {
  const out = new Uint8Array(10000)
  expect(lzfCompress(new Uint8Array(10000), 0, 10000, out, 0, 9996)).toBeLessThan(130)
  expect(lzfCompress(Uint8Array.of(1, 2), 0, 2, out, 0, 1)).toBe(0)
  const random = new Prng(3)
  const noise = Uint8Array.from({ length: 1000 }, () => random.next32())
  expect(lzfCompress(noise, 0, 1000, out, 0, 996)).toBe(0)
})

test("damaged input is refused or gives other bytes, and never writes outside its range", () => {
  const random = new Prng(99)
  for (let round = 0; round < 3000; round++) {
    const packed = Uint8Array.from({ length: random.nextBelow(60) }, () => random.next32())
    const out = new Uint8Array(220).fill(0xee)
    const length = lzfDecompress(packed, 0, packed.length, out, 10, 210)
    expect(length).toBeLessThanOrEqual(200)
    expect([...out.subarray(0, 10), ...out.subarray(210)]).toEqual(new Array(20).fill(0xee))
  }
  const out = new Uint8Array(10)
  for (const [bytes, why] of [
    [[0x02, 1, 2], "literals cut short"],
    [[0x20], "copy without distance"],
    [[0xe0, 5], "long copy without distance"],
    [[0xe0], "long copy without length"],
    [[0x00, 1, 0x20, 1], "copy from before the start"],
    [[0x00, 1, 0xe0, 1, 0], "result too long"],
  ] as [number[], string][]) {
    expect([why, lzfDecompress(Uint8Array.from(bytes), 0, bytes.length, out, 0, 10)]).toEqual([why, -1])
  }
})
