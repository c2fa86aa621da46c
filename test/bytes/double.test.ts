import { expect, test } from "bun:test"
import { bytesOf, latin1 } from "../../src/bytes/compare.ts"
import {
  bitLength,
  DOUBLE_TEXT_BYTES_MAX,
  formatDouble,
  formatDouble17g,
  parseDouble,
  writeDouble,
} from "../../src/bytes/double.ts"
import { Prng } from "../../src/bytes/prng.ts"

/** Parses with other bytes around the range, which must not be seen. */
function parse(text: string): number | undefined {
  const bytes = bytesOf(`1${text}1`)
  return parseDouble(bytes, 1, bytes.length - 1)
}

/** Score given to ZADD, and what ZSCORE of Redis 7.0.15 then replied; undefined where it was not a valid float. */
const ZSCORE_REPLIES: [string, string | undefined][] = [
  ["0", "0"],
  ["-0", "0"],
  ["1", "1"],
  ["+1", "1"],
  ["-5", "-5"],
  ["5.", "5"],
  ["-.5", "-0.5"],
  [".5", "0.5"],
  ["0.1", "0.10000000000000001"],
  ["3.14", "3.1400000000000001"],
  ["1e5", "100000"],
  ["1E+5", "100000"],
  ["1e-5", "1.0000000000000001e-05"],
  ["1e17", "1e+17"],
  ["1e16", "10000000000000000"],
  ["123456789012345678", "1.2345678901234568e+17"],
  ["1e21", "1e+21"],
  ["100000.000001", "100000.00000099999"],
  ["0.00001234", "1.234e-05"],
  ["0.0001234", "0.00012339999999999999"],
  ["1e22", "1e+22"],
  ["1e23", "9.9999999999999992e+22"],
  ["2.98023223876953125e-8", "2.9802322387695312e-08"],
  ["8.94069671630859375e-8", "8.9406967163085938e-08"],
  ["9007199254740993", "9007199254740992"],
  ["9007199254740992.5", "9007199254740992"],
  ["1.7976931348623157e308", "1.7976931348623157e+308"],
  ["1.7976931348623159e308", undefined],
  ["1e400", undefined],
  ["-1e400", undefined],
  ["4.9e-324", "4.9406564584124654e-324"],
  ["2.4703282292062328e-324", "4.9406564584124654e-324"],
  ["2.4703282292062327e-324", undefined],
  ["1e-320", "9.9998886718268301e-321"],
  ["1e-400", undefined],
  ["0e400", "0"],
  ["0e-400", "0"],
  ["inf", "inf"],
  ["+inf", "inf"],
  ["-inf", "-inf"],
  ["INF", "inf"],
  ["Infinity", "inf"],
  ["-iNfInItY", "-inf"],
  ["infinit", undefined],
  ["infx", undefined],
  ["nan", undefined],
  ["-nan", undefined],
  ["NaN", undefined],
  ["nan(1)", undefined],
  ["", undefined],
  ["+", undefined],
  ["-", undefined],
  ["+-5", undefined],
  [".", undefined],
  ["e5", undefined],
  ["1e", undefined],
  ["1e+", undefined],
  ["1e5.5", undefined],
  ["1..2", undefined],
  ["1_0", undefined],
  [" 1", undefined],
  ["1 ", undefined],
  ["\t1", undefined],
  ["1\u0000", undefined],
  ["1\n", undefined],
  ["0x10", "16"],
  ["0X1P3", "8"],
  ["0x.8", "0.5"],
  ["0x1.8p-1", "0.75"],
  ["-0xa", "-10"],
  ["0x", undefined],
  ["0x.", undefined],
  ["0x1p", undefined],
  ["0x1p+", undefined],
  ["0x1g", undefined],
  ["0x1p2000", undefined],
  ["0x1p-2000", undefined],
  ["0x1.fffffffffffff7p1023", "1.7976931348623157e+308"],
  ["0x1.fffffffffffff8p1023", undefined],
  ["0x1p-1074", "4.9406564584124654e-324"],
  ["0x1p-1075", undefined],
  ["0x1.00001p-1075", "4.9406564584124654e-324"],
  ["0x10000000000000800001", "7.555786372591434e+22"],
  ["0x100000000000008", "72057594037927936"],
  ["0x100000000000018", "72057594037927968"],
  ["١", undefined],
  ["1,5", undefined],
  ["0b1", undefined],
  ["0.30000000000000004", "0.30000000000000004"],
  ["12345678.12345678", "12345678.12345678"],
]

test("reads what a real server reads, and prints as it prints", () => {
  for (const [text, expected] of ZSCORE_REPLIES) {
    const value = parse(text)
    // Sorted sets drop the sign of zero on the way.
    const printed = value === undefined ? undefined : formatDouble17g(value === 0 ? 0 : value)
    expect([text, printed]).toEqual([text, expected])
  }
})

test("keeps the sign of zero", () => {
  expect(parse("-0")).toBe(-0)
  expect(parse("-0.0")).toBe(-0)
  expect(parse("-0x0")).toBe(-0)
  expect(parse("0")).toBe(0)
  expect([formatDouble(-0), formatDouble17g(-0)]).toEqual(["-0", "-0"])
})

/** The layout rule at its borders, in the shortest digits. */
const SHORTEST: [number, string][] = [
  [0, "0"],
  [3, "3"],
  [-17, "-17"],
  [0.1, "0.1"],
  [0.30000000000000004, "0.30000000000000004"],
  [Math.PI, "3.141592653589793"],
  [100.25, "100.25"],
  [-1.5, "-1.5"],
  [0.000001, "0.000001"],
  [0.0000001, "1e-7"],
  [1.5e-7, "1.5e-7"],
  [0.00123456789, "0.00123456789"],
  [0.000123456, "1.23456e-4"],
  [0.00012345678, "1.2345678e-4"],
  [1234.12345678, "1234.12345678"],
  [123456.1234567, "1.234561234567e+5"],
  [123456789.123, "123456789.123"],
  [12345678.12345678, "1.234567812345678e+7"],
  [1e17, "100000000000000000"],
  [2 ** 60, "1152921504606846976"],
  [2 ** 62, "4611686018427387904"],
  [-(2 ** 62), "-4611686018427387904"],
  [2 ** 62 + 1024, "4611686018427389000"],
  [2 ** 63, "9223372036854776000"],
  [1e19, "1e+19"],
  [1e21, "1e+21"],
  [1.2345e22, "1.2345e+22"],
  [Number.MAX_VALUE, "1.7976931348623157e+308"],
  [-Number.MAX_VALUE, "-1.7976931348623157e+308"],
  [Number.MIN_VALUE, "5e-324"],
  [Number.POSITIVE_INFINITY, "inf"],
  [Number.NEGATIVE_INFINITY, "-inf"],
  [Number.NaN, "nan"],
]

function written(value: number): string {
  const bytes = new Uint8Array(DOUBLE_TEXT_BYTES_MAX + 2)
  const end = writeDouble(bytes, 2, value)
  expect(end).toBeLessThanOrEqual(bytes.length)
  return latin1(bytes, 2, end)
}

test("prints the shortest digits in Redis's layout", () => {
  for (const [value, expected] of SHORTEST) {
    expect(formatDouble(value)).toBe(expected)
    expect(written(value)).toBe(expected)
  }
  expect(written(-0)).toBe("-0")
})

test("random doubles survive the way through text; the fast and the slow path agree", () => {
  const seed = 31337
  const random = new Prng(seed)
  const bits = new DataView(new ArrayBuffer(8))
  for (let round = 0; round < 20000; round++) {
    let value: number
    if (round % 3 === 0) {
      bits.setUint32(0, random.next32())
      bits.setUint32(4, random.next32())
      value = bits.getFloat64(0)
      if (Number.isNaN(value)) continue
    } else if (round % 3 === 1) {
      value = (random.nextBelow(2e9) - 1e9) / 10 ** random.nextBelow(9)
    } else {
      value = random.nextFloat() * 10 ** (random.nextBelow(40) - 20)
    }
    const text = formatDouble(value)
    expect([seed, value, parse(text)]).toEqual([seed, value, value])
    expect([seed, value, parse(formatDouble17g(value))]).toEqual([seed, value, value])
    expect(written(value)).toBe(text)
  }
})

test("plain decimals read as the language reads them", () => {
  const random = new Prng(4)
  for (let round = 0; round < 20000; round++) {
    const digits = String(random.nextBelow(10 ** (1 + random.nextBelow(15)))).padStart(random.nextBelow(17), "0")
    const dot = random.nextBelow(digits.length + 1)
    const text = `${digits.slice(0, dot)}.${digits.slice(dot)}`
    expect([text, parse(text)]).toEqual([text, Number(text)])
  }
})

test("hostile lengths are answered in linear time", () => {
  const long = 1_000_000
  expect(parse(`${"1".repeat(long)}x`)).toBeUndefined()
  expect(parse(`1.${"1".repeat(long)}x`)).toBeUndefined()
  expect(parse("1".repeat(long))).toBeUndefined()
  expect(parse(`${"0".repeat(long)}1`)).toBe(1)
  expect(parse(`0x${"f".repeat(long)}`)).toBeUndefined()
  expect(parse("0x1p99999999999999999999")).toBeUndefined()
  expect(parse("1e99999999999999999999")).toBeUndefined()
})

test("bit lengths", () => {
  expect(bitLength(0n)).toBe(0)
  for (let bit = 0; bit < 200; bit++) {
    expect(bitLength(1n << BigInt(bit))).toBe(bit + 1)
    expect(bitLength((1n << BigInt(bit + 1)) - 1n)).toBe(bit + 1)
  }
})
