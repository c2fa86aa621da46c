import { describe, expect, test } from "bun:test"
import {
  BITOP_AND,
  BITOP_ANDOR,
  BITOP_DIFF,
  BITOP_DIFF1,
  BITOP_NOT,
  BITOP_ONE,
  BITOP_OR,
  BITOP_XOR,
  bitCombine,
  bitCount,
  bitCountRange,
  bitfieldAdd,
  bitfieldFit,
  bitfieldGet,
  bitfieldSet,
  bitPosition,
  bitPositionRange,
  getBit,
  OVERFLOW_FAIL,
  OVERFLOW_SATURATE,
  OVERFLOW_WRAP,
  setBit,
} from "../../src/structs/bits.ts"

function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0
  return below => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** Random bytes, often in long runs of equal ones. */
function randomBytes(random: (below: number) => number, length: number): Uint8Array {
  const b = new Uint8Array(length)
  const kind = random(4)
  if (kind === 0) return b.map(() => random(256))
  b.fill(kind === 1 ? 255 : 0)
  for (let i = random(4); i > 0 && length > 0; i--) b[random(length)] = random(256)
  return b
}

function bitsOf(b: Uint8Array, start: number, end: number): string {
  let text = ""
  for (let i = start; i < end; i++) text += b[i]!.toString(2).padStart(8, "0")
  return text
}

function ones(text: string): number {
  return text.replaceAll("0", "").length
}

/** Lengths around every boundary: none, loop, words, chunks. */
function someLength(random: (below: number) => number): number {
  const kind = random(10)
  if (kind < 6) return random(80)
  if (kind < 9) return random(1000)
  return 16384 * (1 + random(2)) - 8 + random(16)
}

describe("bits", () => {
  test("get and set", () => {
    const random = randomFrom(1)
    for (let round = 0; round < 300; round++) {
      const length = 1 + random(20)
      const b = new Uint8Array(length + 10).map(() => random(256))
      const bits = [...bitsOf(b, 5, 5 + length)].map(Number)
      const before = b.slice()
      for (let i = 0; i < 40; i++) {
        const offset = random(length * 8)
        const bit = random(2)
        expect(getBit(b, 5, 5 + length, offset)).toBe(bits[offset]!)
        expect(setBit(b, 5, offset, bit)).toBe(bits[offset]!)
        bits[offset] = bit
      }
      expect(bitsOf(b, 5, 5 + length)).toBe(bits.join(""))
      expect(b.subarray(0, 5)).toEqual(before.subarray(0, 5))
      expect(b.subarray(5 + length)).toEqual(before.subarray(5 + length))
      expect(getBit(b, 5, 5 + length, length * 8)).toBe(0)
      expect(getBit(b, 5, 5 + length, 2 ** 32 + 5)).toBe(0)
    }
  })

  test("a lone byte is found wherever it is, also behind whole chunks", () => {
    for (const [length, near] of [
      [33, 0],
      [150, 0],
      [40_003, 16_384 + 32],
      [40_003, 39_960],
    ] as const) {
      for (let place = near; place < Math.min(length, near + 110); place++) {
        for (const bit of [0, 1]) {
          const b = new Uint8Array(length + 3).fill(bit === 0 ? 0xff : 0)
          expect(bitPosition(b, 3, length, bit)).toBe(-1)
          b[place + 3]! ^= 0x10
          expect(bitPosition(b, 3, length + 3, bit)).toBe(place * 8 + 3)
        }
      }
    }
  })

  test("count and find, whole and by bit ranges", () => {
    const seed = 2
    const random = randomFrom(seed)
    for (let round = 0; round < 600; round++) {
      const start = random(9)
      const length = someLength(random)
      const b = randomBytes(random, start + length + random(5))
      const end = start + length
      const bits = bitsOf(b, start, end)
      expect(bitCount(b, start, end)).toBe(ones(bits))
      expect(bitPosition(b, start, end, 1)).toBe(bits.indexOf("1"))
      expect(bitPosition(b, start, end, 0)).toBe(bits.indexOf("0"))
      for (let i = 0; i < 8 && length > 0; i++) {
        const first = random(length * 8)
        const last = Math.min(length * 8 - 1, first + random(random(2) === 0 ? 20 : length * 8))
        const part = bits.slice(first, last + 1)
        expect([round, first, last, bitCountRange(b, start, first, last)]).toEqual([round, first, last, ones(part)])
        for (const bit of [0, 1]) {
          const expected = part.indexOf(String(bit))
          const found = bitPositionRange(b, start, first, last, bit)
          expect([seed, round, first, last, found]).toEqual([
            seed,
            round,
            first,
            last,
            expected < 0 ? -1 : first + expected,
          ])
        }
      }
    }
    const b = new Uint8Array([255])
    expect(bitCountRange(b, 0, 5, 4)).toBe(0)
    expect(bitPositionRange(b, 0, 5, 4, 1)).toBe(-1)
  })

  test("lanes of the counter do not overflow", () => {
    for (const length of [33, 120, 121, 124, 128, 240, 244, 16384, 16388, 100000]) {
      expect(bitCount(new Uint8Array(length).fill(255), 0, length)).toBe(length * 8)
    }
  })
})

describe("bit combinations", () => {
  /** The definition of each operation on the bits of all strings at one place. */
  const DEFINITIONS: [number, (first: boolean, others: boolean[]) => boolean][] = [
    [BITOP_AND, (first, others) => first && others.every(Boolean)],
    [BITOP_OR, (first, others) => first || others.some(Boolean)],
    [BITOP_XOR, (first, others) => [first, ...others].filter(Boolean).length % 2 === 1],
    [BITOP_NOT, first => !first],
    [BITOP_DIFF, (first, others) => first && !others.some(Boolean)],
    [BITOP_DIFF1, (first, others) => !first && others.some(Boolean)],
    [BITOP_ANDOR, (first, others) => first && others.some(Boolean)],
    [BITOP_ONE, (first, others) => [first, ...others].filter(Boolean).length === 1],
  ]

  test("against the definitions", () => {
    const random = randomFrom(3)
    for (let round = 0; round < 160; round++) {
      const [operation, definition] = DEFINITIONS[round % DEFINITIONS.length]!
      const count = operation === BITOP_NOT ? 1 : 1 + random(5)
      const starts = Array.from({ length: count }, () => random(7))
      const lengths = Array.from({ length: count }, () =>
        random(6) === 0 ? 0 : round < 150 ? random(150) : 16380 + random(10),
      )
      const ends = starts.map((start, i) => start + lengths[i]!)
      const sources = ends.map(end => new Uint8Array(end + 4).map(() => random(256)))
      const length = Math.max(...lengths)
      const dst = new Uint8Array(length + 4).fill(0x5a)
      bitCombine(operation, sources, starts, ends, count, dst, length)
      for (let at = 0; at < length; at++) {
        let expected = 0
        for (let mask = 128; mask > 0; mask >>= 1) {
          const bits = sources.map((source, i) => at < lengths[i]! && (source[starts[i]! + at]! & mask) !== 0)
          if (definition(bits[0]!, bits.slice(1))) expected |= mask
        }
        if (dst[at] !== expected) throw new Error(`operation ${operation}, round ${round}, byte ${at}`)
      }
      expect([...dst.subarray(length)]).toEqual([0x5a, 0x5a, 0x5a, 0x5a])
    }
  })

  test("the result of a longer operation leaves nothing behind", () => {
    const long = new Uint8Array(20000).fill(255)
    const dst = new Uint8Array(20000)
    bitCombine(BITOP_ONE, [long, long], [0, 0], [20000, 20000], 2, dst, 20000)
    const a = new Uint8Array([1, 2, 3])
    bitCombine(BITOP_ONE, [a, a.slice(0, 1)], [0, 0], [3, 1], 2, dst, 3)
    expect([...dst.subarray(0, 3)]).toEqual([0, 2, 3])
    bitCombine(BITOP_AND, [a, a], [0, 3], [3, 3], 2, dst, 3)
    expect([...dst.subarray(0, 3)]).toEqual([0, 0, 0])
  })
})

describe("bit fields", () => {
  const big = (value: number | bigint | undefined) => (value === undefined ? undefined : BigInt(value))

  function normal(value: bigint): number | bigint {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value
  }

  test("get and set at every width and shift", () => {
    const random = randomFrom(4)
    for (let bits = 1; bits <= 64; bits++) {
      for (let round = 0; round < 40; round++) {
        const offset = random(70)
        const b = new Uint8Array(30).map(() => random(256))
        const text = bitsOf(b, 3, 30)
        const raw = BigInt(`0b${text.slice(offset, offset + bits)}`)
        if (bits < 64) {
          expect(bitfieldGet(b, 3, 30, offset, bits, false)).toBe(normal(raw))
        }
        expect(bitfieldGet(b, 3, 30, offset, bits, true)).toBe(normal(BigInt.asIntN(bits, raw)))
        const edge = [0n, 1n, -1n, 2n ** BigInt(bits - 1) - 1n, -(2n ** BigInt(bits - 1))][random(8)]
        const wide = (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32))
        const value = BigInt.asIntN(bits, edge ?? wide)
        const signed = bits === 64 || random(2) === 0
        bitfieldSet(b, 3, offset, bits, normal(signed ? value : BigInt.asUintN(bits, value)))
        const field = BigInt.asUintN(bits, value).toString(2).padStart(bits, "0")
        expect(bitsOf(b, 3, 30)).toBe(text.slice(0, offset) + field + text.slice(offset + bits))
        expect(bitfieldGet(b, 3, 30, offset, bits, true)).toBe(normal(value))
      }
    }
  })

  test("zeros behind the end", () => {
    const b = new Uint8Array([0xff, 0xff, 0xff, 0xff])
    expect(bitfieldGet(b, 1, 2, 4, 8, false)).toBe(0xf0)
    expect(bitfieldGet(b, 1, 2, 8, 63, false)).toBe(0)
    expect(bitfieldGet(b, 1, 2, 2 ** 33, 64, true)).toBe(0)
    expect(bitfieldGet(b, 1, 2, 0, 64, true)).toBe(-(2n ** 56n))
    expect(bitfieldGet(b, 1, 1, 0, 5, true)).toBe(0)
  })

  test("overflow against exact arithmetic", () => {
    const random = randomFrom(5)
    for (let round = 0; round < 20000; round++) {
      const signed = random(2) === 0
      const bits = 1 + random(signed ? 64 : 63)
      const max = 2n ** BigInt(signed ? bits - 1 : bits) - 1n
      const min = signed ? -max - 1n : 0n
      const wide = () => BigInt.asIntN(64, (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32)))
      const near = () => [max, min, 0n, 1n, -1n, 2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)][random(9)]!
      const any = () =>
        BigInt.asIntN(64, [wide(), near(), near() + BigInt(random(5) - 2), BigInt(random(300) - 150)][random(4)]!)
      const clamp = (x: bigint) => (x > max ? max : x < min ? min : x)
      const wrap = (x: bigint) => (signed ? BigInt.asIntN(bits, x) : BigInt.asUintN(bits, x))

      const value = any()
      const outside = value > max || value < min
      const label = `${signed ? "i" : "u"}${bits} ${value}`
      expect([label, big(bitfieldFit(normal(value), bits, signed, OVERFLOW_WRAP))]).toEqual([label, wrap(value)])
      expect(big(bitfieldFit(normal(value), bits, signed, OVERFLOW_FAIL))).toBe(outside ? undefined : value)
      const wrapsAround = !signed || max - value >= 2n ** 63n
      const saturated = outside && wrapsAround ? max : clamp(value)
      expect(big(bitfieldFit(normal(value), bits, signed, OVERFLOW_SATURATE))).toBe(saturated)

      const held = wrap(any())
      const increment = any()
      const sum = held + increment
      const add = (overflow: number) => bitfieldAdd(normal(held), normal(increment), bits, signed, overflow)
      expect(add(OVERFLOW_WRAP)).toBe(normal(wrap(sum)))
      expect(add(OVERFLOW_SATURATE)).toBe(normal(clamp(sum)))
      expect(add(OVERFLOW_FAIL)).toBe(sum > max || sum < min ? undefined : normal(sum))
    }
  })
})
