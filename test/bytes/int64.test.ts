import { expect, test } from "bun:test"
import { bytesOf, latin1 } from "../../src/bytes/compare.ts"
import * as int64 from "../../src/bytes/int64.ts"

const CANONICAL = /^(0|-?[1-9][0-9]*)$/
const shifted = (text: string) => bytesOf(`7${text}7`)

/** The obvious definition: canonical text whose BigInt lies in the range. */
function reference(text: string): bigint | undefined {
  if (!CANONICAL.test(text)) return undefined
  const value = BigInt(text)
  return value >= int64.INT64_MIN && value <= int64.INT64_MAX ? value : undefined
}

const edges: string[] = [
  "",
  "-",
  "--1",
  "+1",
  "-0",
  "0",
  "00",
  "01",
  "-01",
  " 1",
  "1 ",
  "1.0",
  "1e3",
  "0x10",
  "a",
  "1a",
]
for (const center of [0n, 1n << 31n, 1n << 32n, 1n << 53n, 1n << 63n, 1n << 64n, 10n ** 15n, 10n ** 18n, 10n ** 19n]) {
  for (let delta = -12n; delta <= 12n; delta++) edges.push(String(center + delta), String(-center + delta))
}
edges.push("9".repeat(19), "-" + "9".repeat(19), "1".repeat(20), "1".repeat(21), "9223372036854775817")
edges.push(
  "-9223372036854775818",
  "9323372036854775807",
  "-9323372036854775807",
  "922337203685477580:",
  "-9223372036854775/08",
)

test("text to integer agrees with BigInt at every edge", () => {
  for (const text of edges) {
    const bytes = shifted(text)
    const end = bytes.length - 1
    const expected = reference(text)
    expect([text, int64.isCanonicalInt64(bytes, 1, end)]).toEqual([text, expected !== undefined])
    const normal = expected === undefined ? undefined : int64.normalizeInteger(expected)
    expect([text, int64.parseInt64(bytes, 1, end)]).toEqual([text, normal])
    const safe = typeof normal === "number" ? normal : Number.NaN
    expect([text, int64.parseSafeInteger(bytes, 1, end)]).toEqual([text, safe])
  }
})

test("a range past the end of the array is no integer", () => {
  expect(int64.parseSafeInteger(bytesOf("12"), 0, 3)).toBeNaN()
  expect(int64.isCanonicalInt64(bytesOf("12"), 0, 3)).toBe(false)
})

test("unsigned integers as strtoull reads them", () => {
  const cases: [string, number | bigint | undefined][] = [
    ["0", 0],
    ["18446744073709551615", 18446744073709551615n],
    ["18446744073709551616", undefined],
    ["9223372036854775808", 9223372036854775808n],
    ["9007199254740992", 9007199254740992n],
    ["9007199254740991", 9007199254740991],
    ["-1", undefined],
    ["-9223372036854775808", undefined],
    ["-01", 18446744073709551615n],
    ["-0", 0],
    ["007", 7],
    ["+5", 5],
    [" 5", 5],
    ["5 ", undefined],
    ["", undefined],
    ["+", undefined],
    [" ", undefined],
    ["00000000000000000000000000012", 12],
    ["000000000000000000000000018446744073709551615", 18446744073709551615n],
    ["1x", undefined],
    ["0x1", undefined],
  ]
  for (const [text, expected] of cases) {
    const bytes = shifted(text)
    expect([text, int64.parseUint64(bytes, 1, bytes.length - 1)]).toEqual([text, expected])
  }
})

test("integer to text: every length, both signs", () => {
  const bytes = new Uint8Array(32)
  const check = (n: number) => {
    const end = int64.writeInteger(bytes, 3, n)
    expect(latin1(bytes, 3, end)).toBe(String(n))
    expect(int64.integerLength(n)).toBe(String(n).length)
    expect(latin1(bytes, 3, int64.writeBigInt(bytes, 3, BigInt(n)))).toBe(String(n))
  }
  for (let n = -1100; n <= 1100; n++) check(n)
  for (let power = 1; power <= 15; power++) {
    for (const n of [10 ** power - 1, 10 ** power, 10 ** power + 1]) {
      check(n)
      check(-n)
    }
  }
  for (let power = 1; power <= 52; power++) {
    for (const n of [2 ** power - 1, 2 ** power, 2 ** power + 1]) {
      check(n)
      check(-n)
    }
  }
  check(Number.MAX_SAFE_INTEGER)
  check(Number.MIN_SAFE_INTEGER)
})

test("negative zero is written as 0", () => {
  const bytes = new Uint8Array(4)
  expect(latin1(bytes, 0, int64.writeInteger(bytes, 0, -0))).toBe("0")
})

test("checked sums keep the normal form", () => {
  const values: bigint[] = []
  for (const center of [0n, 1n << 31n, 1n << 53n, 1n << 62n, int64.INT64_MAX]) {
    for (let delta = -2n; delta <= 2n; delta++) {
      for (const value of [center + delta, -center - 1n + delta]) {
        if (int64.toInt64(value) !== undefined) values.push(value)
      }
    }
  }
  for (const a of values) {
    for (const b of values) {
      const left = int64.normalizeInteger(a)
      const right = int64.normalizeInteger(b)
      expect(int64.addInt64(left, right)).toBe(int64.toInt64(a + b))
      expect(int64.subtractInt64(left, right)).toBe(int64.toInt64(a - b))
      expect(int64.wrapInt64(a + b)).toBe(int64.normalizeInteger(BigInt.asIntN(64, a + b)))
    }
  }
})
