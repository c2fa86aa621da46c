import { expect, test } from "bun:test"
import { bytesOf } from "../../src/bytes/compare.ts"
import {
  addLongDouble,
  formatLongDoubleHuman,
  isFiniteLongDouble,
  type LongDouble,
  parseLongDouble,
} from "../../src/bytes/long-double.ts"
import { Prng } from "../../src/bytes/prng.ts"

const INVALID = "value is not a valid float"
const OVERFLOW = "increment would produce NaN or Infinity"

/** Parses with other bytes around the range, which must not be seen. */
function parse(text: string): LongDouble | undefined {
  const bytes = bytesOf(`1${text}1`)
  return parseLongDouble(bytes, 1, bytes.length - 1)
}

function increment(value: string, by: string): string {
  const a = parse(value)
  const b = parse(by)
  if (a === undefined || b === undefined) return INVALID
  const sum = addLongDouble(a, b)
  return isFiniteLongDouble(sum) ? formatLongDoubleHuman(sum) : OVERFLOW
}

/** The value SET, the increment, and what INCRBYFLOAT of Redis 7.0.15 on x86-64 then replied. */
const INCRBYFLOAT_REPLIES: [value: string, increment: string, reply: string][] = [
  ["3.0", "0.1", "3.1"],
  ["10.50", "0.1", "10.6"],
  ["5.0e3", "2.0e2", "5200"],
  ["0", "-0.0", "0"],
  ["-0", "0", "0"],
  ["0.1", "0.2", "0.3"],
  ["100.1", "0.1", "100.2"],
  ["1e-17", "0", "0.00000000000000001"],
  ["4e-18", "0", "0"],
  ["5e-18", "0", "0"],
  ["-4e-18", "0", "0"],
  ["-0.5", "0.5", "0"],
  ["9223372036854775807", "1", "9223372036854775808"],
  ["-9223372036854775808", "-1", "-9223372036854775809"],
  ["18446744073709551615", "1", "18446744073709551616"],
  ["36893488147419103231", "0", "36893488147419103232"],
  ["9007199254740991", "1", "9007199254740992"],
  ["9007199254740993", "0.5", "9007199254740993.5"],
  ["1e19", "0.5", "10000000000000000000"],
  ["1e30", "1", "1000000000000000000024696061952"],
  ["0x1p3", "0x.8", "8.5"],
  ["0x1p-1", "1", "1.5"],
  ["inf", "1", OVERFLOW],
  ["-inf", "inf", OVERFLOW],
  ["1", "nan", INVALID],
  ["1e4932", "1e4932", OVERFLOW],
  ["1e4933", "1", INVALID],
  ["1e-4960", "1", INVALID],
  ["3.6e-4951", "1", "1"],
  [" 1", "1", INVALID],
  ["1", "1 ", INVALID],
  ["", "1", INVALID],
  ["1", "", INVALID],
  ["1", "1e", INVALID],
  ["1", "+1", "2"],
  ["1", "+-1", INVALID],
  ["1", ".", INVALID],
  ["1", "0x", INVALID],
  ["0.000000000000000005", "0", "0"],
  ["0.000000000000000015", "0", "0.00000000000000002"],
  ["0.5", "0.00000000000000000001", "0.5"],
  ["1.00000000000000000001", "0", "1"],
  ["99999999999999999.99", "0.01", "100000000000000000"],
  ["1", "11111111111111111111111111111111111111111111111111", "11111111111111111111157189290920927820784081043456"],
  [
    "1",
    "0.1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111",
    "1.11111111111111111",
  ],
  ["12345678901234567890123", "0.1", "12345678901234567889920"],
  ["-1.5", "1.25", "-0.25"],
  ["662.536e13", "77.e24", "77000000006625359999008768"],
  ["9284.28", "2.22924143486533", "9286.50924143486533069"],
  ["3854.e-12", "-942.67", "-942.66999999614599998"],
  ["+25657008223268", "5545.223", "25657008228813.22299957275390625"],
  ["0069782349484", "84791120621475579", "84791190403825063"],
  ["344.50", "+1.9e25", "19000000000000000000000000"],
  ["03.279471707", "+0879840716925", "879840716928.27947169542312622"],
  ["-2498.93e-26", "500.5357e-11", "0.000000005005357"],
  ["+7.312", "+03.8", "11.112"],
  ["60.58", "+121721064110537", "121721064110597.5800018310546875"],
  ["120.8e21", "-7.74", "120800000000000000000000"],
  ["-inf", "-003.54", OVERFLOW],
  ["+87499667913465128", "3.8", "87499667913465131.796875"],
  ["7.0", "0.22", "7.22"],
  ["+8689.9", "+841.0", "9530.90000000000000036"],
  ["3542.371", "9.68", "3552.05099999999999993"],
  ["+5.9e-8", "1345.321", "1345.32100005899999995"],
  ["6969197667772305164", "-0013", "6969197667772305151"],
  ["022117.00852797191", "+7687.014", "29804.02252797190999978"],
  ["31048069715899554959", "391.549", "31048069715899555352"],
  ["-21.09", "969.89", "948.79999999999999999"],
  ["6280.492e-29", "-inf", OVERFLOW],
  ["-3040.151", "+47415589473211", "47415589470170.8489990234375"],
  ["579.3", "-611.20", "-31.90000000000000002"],
  ["8171.48e4", "+73019333614669", "73019415329469"],
  ["4202939", "00932155", "5135094"],
  ["34.75", "-5205.97", "-5171.2200000000000002"],
  ["973830997788849", "-8.924e34", "-89240000000000000002337467231371264"],
  ["-88200370726433554441", "-9953.701", "-88200370726433564392"],
  ["262898.228871747682628261", "+423.1", "263321.32887174768262639"],
  ["+1344.38e39", "37412", "1344380000000000000022819179110986829266944"],
  ["5027359350901669", "1.7", "5027359350901670.7001953125"],
  ["001442.58", "3.0e3", "4442.58000000000000007"],
  ["-inf", "+177.8", OVERFLOW],
  ["-442.41", "+604.651", "162.24100000000000002"],
  ["153.48", "0.8308e30", "830800000000000000002952790016"],
  ["862120015857.8955294240037338", "262.965", "862120016120.86052942276000977"],
  ["145976692236", "-39.869", "145976692196.13099999725818634"],
  ["89.191", "90077589605389533", "90077589605389622.1875"],
  ["606.953", "+292.4", "899.35299999999999998"],
  ["3.387", "-5833.245", "-5829.8580000000000001"],
]

test("agrees with INCRBYFLOAT of a real server", () => {
  for (const [value, by, reply] of INCRBYFLOAT_REPLIES) {
    expect([value, by, increment(value, by)]).toEqual([value, by, reply])
  }
})

test("text as long as Redis reads, and one byte more", () => {
  expect(increment("1", `${"0".repeat(5118)}5`)).toBe("6")
  expect(increment("1", `${"0".repeat(5119)}5`)).toBe(INVALID)
  expect(increment("1", `0.${"1".repeat(100)}`)).toBe("1.11111111111111111")
  expect(increment("1e4932", "0").length).toBe(4933)
  expect(increment("1e4932", "1e4932")).toBe(OVERFLOW)
  expect(increment("1e999999999999", "0")).toBe(INVALID)
  expect(increment("1e-999999999999", "0")).toBe(INVALID)
  expect(increment("0e999999999999", "1")).toBe("1")
})

test("infinities add up as in hardware", () => {
  expect(addLongDouble(parse("inf")!, parse("-inf")!)).toBeNaN()
  expect(addLongDouble(parse("0.1")!, parse("-Infinity")!)).toBe(Number.NEGATIVE_INFINITY)
  expect(addLongDouble(parse("+inf")!, parse("1e4000")!)).toBe(Number.POSITIVE_INFINITY)
})

test("the path of plain integers agrees with the exact one", () => {
  const seed = 80
  const random = new Prng(seed)
  for (let round = 0; round < 3000; round++) {
    const a = random.nextBelow(10 ** random.nextBelow(16)) - random.nextBelow(10 ** random.nextBelow(16))
    const b = random.nextBelow(10 ** random.nextBelow(16)) - random.nextBelow(10 ** random.nextBelow(16))
    // With a point the text takes the exact path.
    const fast = increment(String(a), String(b))
    expect([seed, a, b, fast]).toEqual([seed, a, b, String(BigInt(a) + BigInt(b))])
    expect([seed, a, b, increment(`${a}.`, `${b}.`)]).toEqual([seed, a, b, fast])
    expect([seed, a, b, increment(`${a}.`, String(b))]).toEqual([seed, a, b, fast])
  }
})
