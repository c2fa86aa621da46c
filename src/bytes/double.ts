/**
 * Doubles as text, in both directions, as Redis reads and prints them.
 *
 * Reading follows C's strtod over the whole range: decimal and hexadecimal floats, "inf" and "infinity" in any case,
 * a sign; no spaces, no NaN, nothing left over, and no value that overflows or that rounds to zero without being it.
 *
 * Printing follows Redis 7.2 and later: the shortest digits that read back as the same double, laid out by the rule of
 * `layOut`. Redis finds the digits with Grisu2, which in about one case of a thousand is a digit longer or a unit
 * off in the last place; here they are always the shortest and nearest.
 *
 * Plain decimals of up to fifteen digits take an exact fast path in both directions and allocate nothing: the integer
 * made of the digits and the power of ten (at most 10^22) are both exact doubles, so one division rounds correctly.
 */

import { latin1 } from "./compare.ts"
import { writeInteger } from "./int64.ts"

/** No double is printed longer, e.g. "-2.2250738585072014e-308"; a plain decimal form is shorter too. */
export const DOUBLE_TEXT_BYTES_MAX = 32

/** Longer text is refused unread: no sensible number is, and a hostile one should not cost a pass over 512 MB. */
const TEXT_BYTES_MAX = 1 << 20

const MINUS = 0x2d
const PLUS = 0x2b
const DOT = 0x2e
const ZERO = 0x30

const POWERS_OF_TEN = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`))

const DECIMAL = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/
const DECIMAL_NOT_ZERO = /^[+-]?[0.]*[1-9]/
const INFINITY = /^([+-]?)inf(?:inity)?$/i
const HEXADECIMAL = /^([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?[0-9]+))?$/i

/**
 * The double that the range spells, undefined when it is "not a valid float".
 *
 * Infinities are valid; NaN is not. Allocates only for exponents, long digits and the rarer spellings.
 */
export function parseDouble(bytes: Uint8Array, start: number, end: number): number | undefined {
  let at = start
  const first = at < end ? bytes[at]! : 0
  const negative = first === MINUS
  if (negative || first === PLUS) at++
  let value = 0
  let digits = 0
  let decimals = -1
  for (; at < end && digits <= 15; at++) {
    const byte = bytes[at]!
    if (byte >= ZERO && byte <= 0x39) {
      value = value * 10 + (byte - ZERO)
      digits++
      if (decimals >= 0) decimals++
    } else if (byte === DOT && decimals < 0) {
      decimals = 0
    } else {
      break
    }
  }
  if (at < end || digits === 0 || digits > 15) return parseRareDouble(bytes, start, end)
  if (decimals > 0) value /= POWERS_OF_TEN[decimals]!
  return negative ? -value : value
}

function parseRareDouble(bytes: Uint8Array, start: number, end: number): number | undefined {
  if (end - start > TEXT_BYTES_MAX) return undefined
  const text = latin1(bytes, start, end)
  if (DECIMAL.test(text)) {
    const value = Number(text)
    if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) return undefined
    return value === 0 && DECIMAL_NOT_ZERO.test(text) ? undefined : value
  }
  const infinity = INFINITY.exec(text)
  if (infinity) return infinity[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  const hexadecimal = parseHexadecimalFloat(text)
  if (hexadecimal === undefined) return undefined
  const rounded = roundToBits(hexadecimal.mantissa, hexadecimal.exponent, 53, -1074)
  if (rounded.mantissa === 0n && hexadecimal.mantissa !== 0n) return undefined
  const value = scaleByPowerOfTwo(Number(rounded.mantissa), rounded.exponent)
  if (value === Number.POSITIVE_INFINITY) return undefined
  return hexadecimal.negative ? -value : value
}

/** mantissa × 2^exponent, with a sign beside it because zero has one. */
export interface BinaryFloat {
  readonly negative: boolean
  readonly mantissa: bigint
  readonly exponent: number
}

/** The exact value of a C hexadecimal float such as "-0x1.8p3"; undefined when the text is none. */
export function parseHexadecimalFloat(text: string): BinaryFloat | undefined {
  const parts = HEXADECIMAL.exec(text)
  if (!parts) return undefined
  const whole = parts[2]!
  const fraction = parts[3] ?? ""
  if (whole === "" && fraction === "") return undefined
  // Far outside any float's range the exact exponent does not matter any more.
  const power = Math.max(-1e8, Math.min(1e8, Number(parts[4] ?? 0)))
  return {
    negative: parts[1] === "-",
    mantissa: BigInt(`0x${whole}${fraction}`),
    exponent: power - 4 * fraction.length,
  }
}

/**
 * Rounds mantissa × 2^exponent to a float of `bits` bits whose exponent is no lower than `exponentMin`, to nearest,
 * ties to even. `inexact` says that the true value is a little above the one given.
 */
export function roundToBits(
  mantissa: bigint,
  exponent: number,
  bits: number,
  exponentMin: number,
  inexact = false,
): { mantissa: bigint; exponent: number } {
  if (mantissa === 0n) return { mantissa, exponent: 0 }
  const length = bitLength(mantissa)
  const drop = Math.max(length - bits, exponentMin - exponent)
  if (drop <= 0) return { mantissa, exponent }
  if (drop > length) return { mantissa: 0n, exponent: 0 }
  const shift = BigInt(drop)
  let kept = mantissa >> shift
  const rest = mantissa - (kept << shift)
  const half = 1n << (shift - 1n)
  if (rest > half || (rest === half && (inexact || (kept & 1n) === 1n))) kept++
  return { mantissa: kept, exponent: exponent + drop }
}

/** The bits a non-negative bigint takes; 0 for 0. */
export function bitLength(value: bigint): number {
  if (value === 0n) return 0
  const hex = value.toString(16)
  return hex.length * 4 - Math.clz32(Number.parseInt(hex[0]!, 16)) + 28
}

/** value × 2^exponent, exact or infinite, for a value of at most 53 bits that the result can hold. */
function scaleByPowerOfTwo(value: number, exponent: number): number {
  if (value === 0) return 0
  if (exponent > 1100) return Number.POSITIVE_INFINITY
  while (exponent > 1000) {
    value *= 2 ** 1000
    exponent -= 1000
  }
  while (exponent < -1000) {
    value *= 2 ** -1000
    exponent += 1000
  }
  return value * 2 ** exponent
}

/** Writes the text of a double; returns the offset after it. Integers and short decimals allocate nothing. */
export function writeDouble(bytes: Uint8Array, at: number, value: number): number {
  if (Number.isSafeInteger(value) && (value !== 0 || 1 / value > 0)) return writeInteger(bytes, at, value)
  const decimals = shortDecimals(value)
  if (decimals > 0) return writeShortDecimal(bytes, at, value, decimals)
  const text = formatDouble(value)
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i)
  return at + text.length
}

/**
 * The least number of decimals, 1 to 6, at which the value is a decimal of at most fifteen digits; 0 if there is none.
 *
 * Fifteen digits survive the way to a double and back, so that decimal is also the shortest text of the value.
 */
function shortDecimals(value: number): number {
  for (let decimals = 1; decimals <= 6; decimals++) {
    const power = POWERS_OF_TEN[decimals]!
    const scaled = Math.round(value * power)
    if (scaled > 999999999999999 || scaled < -999999999999999) return 0
    if (scaled / power === value) return scaled === 0 ? 0 : decimals
  }
  return 0
}

function writeShortDecimal(bytes: Uint8Array, at: number, value: number, decimals: number): number {
  const power = POWERS_OF_TEN[decimals]!
  let scaled = Math.round(value * power)
  if (scaled < 0) {
    bytes[at++] = MINUS
    scaled = -scaled
  }
  const whole = Math.floor(scaled / power)
  at = writeInteger(bytes, at, whole)
  bytes[at] = DOT
  let rest = (scaled - whole * power) | 0
  for (let i = at + decimals; i > at; i--) {
    const next = (rest / 10) | 0
    bytes[i] = ZERO + rest - next * 10
    rest = next
  }
  return at + decimals + 1
}

/** The text of a double as Redis 7.2 and later replies and stores it. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return "nan"
  if (value === Number.POSITIVE_INFINITY) return "inf"
  if (value === Number.NEGATIVE_INFINITY) return "-inf"
  if (value === 0) return 1 / value < 0 ? "-0" : "0"
  // Whole numbers go through a 64-bit integer, as far as half of its range.
  if (Number.isInteger(value) && Math.abs(value) <= 2 ** 62) return BigInt(value).toString()
  // In this range the layout is plain whatever the digits, and the language prints the same.
  const size = Math.abs(value)
  if (size >= 0.001 && size < 10000) return String(value)
  const { negative, digits, power } = shortestDigits(value)
  return layOut(negative, digits, power)
}

/** value = ±digits × 10^power, digits a whole number: the fewest digits that single the double out. */
function shortestDigits(value: number): { negative: boolean; digits: string; power: number } {
  // Without an argument toExponential gives as many digits as are needed.
  const [coefficient, exponent] = Math.abs(value).toExponential().split("e") as [string, string]
  const digits = coefficient.replace(".", "")
  return { negative: value < 0, digits, power: Number(exponent) - (digits.length - 1) }
}

/**
 * digits × 10^power as text. With e the size (without sign) of the exponent of the first digit:
 * zeros are appended while that takes at most seven; a decimal point is used when at most six decimals are needed or
 * e is below 4; everything else is d.ddde±x, the exponent without leading zeros.
 */
function layOut(negative: boolean, digits: string, power: number): string {
  const sign = negative ? "-" : ""
  const exponent = power + digits.length - 1
  const size = Math.abs(exponent)
  if (power >= 0 && size < digits.length + 7) return sign + digits + "0".repeat(power)
  if (power < 0 && (power > -7 || size < 4)) {
    const whole = digits.length + power
    if (whole <= 0) return `${sign}0.${"0".repeat(-whole)}${digits}`
    return `${sign}${digits.slice(0, whole)}.${digits.slice(whole)}`
  }
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : ""
  return `${sign}${digits[0]}${fraction}e${exponent < 0 ? "-" : "+"}${size}`
}

/** The double as C's printf("%.17g") prints it, which is what Redis 7.0 and earlier reply. */
export function formatDouble17g(value: number): string {
  if (Number.isNaN(value)) return "nan"
  if (value === Number.POSITIVE_INFINITY) return "inf"
  if (value === Number.NEGATIVE_INFINITY) return "-inf"
  if (value === 0) return 1 / value < 0 ? "-0" : "0"
  const sign = value < 0 ? "-" : ""
  const [coefficient, exponentText] = seventeenDigits(Math.abs(value)).split("e") as [string, string]
  const exponent = Number(exponentText)
  const digits = coefficient.replace(".", "").replace(/0+$/, "")
  if (exponent < -4 || exponent >= 17) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : ""
    return `${sign}${digits[0]}${fraction}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`
  if (digits.length <= exponent + 1) return sign + digits.padEnd(exponent + 1, "0")
  return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`
}

/** d.dddddddddddddddde±x, rounded as C does: an exact tie goes to the even digit, where toExponential goes up. */
function seventeenDigits(value: number): string {
  const rounded = value.toExponential(16)
  const [coefficient, exponent] = value.toExponential(60).split("e") as [string, string]
  const isTie = /^50*$/.test(coefficient.slice(18))
  const isEven = Number(coefficient[17]) % 2 === 0
  return isTie && isEven ? `${coefficient.slice(0, 18)}e${exponent}` : rounded
}
