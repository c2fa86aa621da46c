/**
 * Numbers as text for cjson: C's printf("%.<precision>g") and its strtod, which takes the longest beginning of a text that
 * is a number: decimal, hexadecimal, "inf", "infinity", "nan", "nan(…)" in any case.
 */

import { latin1 } from "../../bytes/compare.ts"
import { parseHexadecimalFloat, roundToBits } from "../../bytes/double.ts"
import { writeInteger } from "../../bytes/int64.ts"
import type { Sink } from "./sink.ts"

/** What "%.14g" prints at most, e.g. "-1.2345678901234e-308", with something to spare. */
export const NUMBER_TEXT_BYTES_MAX = 32

/** Appends the number to a sink with NUMBER_TEXT_BYTES_MAX bytes of room. `precision` is 1 to 14. */
export function appendNumber(sink: Sink, value: number, precision: number): void {
  // Whole numbers of few enough digits print as they are.
  if (Math.abs(value) < POWERS_OF_TEN[precision]! && Math.trunc(value) === value && (value !== 0 || 1 / value > 0)) {
    sink.at = writeInteger(sink.bytes, sink.at, value)
  } else if (!appendShortDecimal(sink, value, precision)) sink.text(formatGeneral(value, precision))
}

/**
 * A number of few decimals and no more digits than are asked for: a decimal of up to fifteen digits survives the way to a
 * double and back, so it is what printf finds. False, and nothing appended, for any other number.
 */
function appendShortDecimal(sink: Sink, value: number, precision: number): boolean {
  const size = Math.abs(value)
  if (!(size >= 0.0001 && size < 1e9)) return false
  for (let decimals = 1; decimals <= 6; decimals++) {
    const power = POWERS_OF_TEN[decimals]!
    const scaled = Math.round(size * power)
    if (scaled >= POWERS_OF_TEN[precision]!) return false
    if (scaled / power !== size) continue
    if (value < 0) sink.byte(MINUS)
    const whole = Math.floor(scaled / power)
    const at = writeInteger(sink.bytes, sink.at, whole)
    let rest = scaled - whole * power
    for (let i = at + decimals; i > at; i--) {
      const next = Math.floor(rest / 10)
      sink.bytes[i] = ZERO + rest - next * 10
      rest = next
    }
    sink.bytes[at] = DOT
    sink.at = at + 1 + decimals
    return true
  }
  return false
}

const MINUS = 0x2d
const DOT = 0x2e
const ZERO = 0x30
const POWERS_OF_TEN = Array.from({ length: 15 }, (_, i) => 10 ** i)

/** printf("%.<precision>g"), but for a NaN, which is always "nan". */
export function formatGeneral(value: number, precision: number): string {
  if (Number.isNaN(value)) return "nan"
  const size = Math.abs(value)
  const sign = value < 0 || (value === 0 && 1 / value < 0) ? "-" : ""
  if (size === Number.POSITIVE_INFINITY) return `${sign}inf`
  if (size === 0) return `${sign}0`
  const [coefficient, exponentText] = roundedDigits(size, precision).split("e") as [string, string]
  const exponent = Number(exponentText)
  const digits = coefficient.replace(".", "").replace(/0+$/, "")
  if (exponent < -4 || exponent >= precision) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : ""
    return `${sign}${digits[0]}${fraction}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`
  if (digits.length <= exponent + 1) return sign + digits.padEnd(exponent + 1, "0")
  return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`
}

/** d.ddde±x of `precision` digits. An exact tie goes to the even digit, where toExponential goes up. */
function roundedDigits(size: number, precision: number): string {
  const text = size.toExponential(precision - 1)
  const finer = size.toExponential(precision)
  if (!/5e/.test(finer)) return text
  // No double that is not the tie itself has this many digits in common with it.
  const isTie = /^[^e]*5(0*)e/.exec(size.toExponential(100))
  if (isTie === null || isTie[1]!.length !== 100 - precision) return text
  const down = finer.replace(/\.?5e/, "e")
  return Number(/([0-9])e/.exec(down)![1]) % 2 === 0 ? down : text
}

/** Where the number that `parseNumberPrefix` read ends: its start when there was none. */
export let numberEnd = 0

const NUMBER =
  /^[+-]?(?:0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan(?:\([0-9a-z_]*\))?)/i

/** C's strtod on the text from `at`; the text ends with a byte that belongs to no number (a NUL, say). */
export function parseNumberPrefix(bytes: Uint8Array, at: number): number {
  let digits = at
  if (bytes[digits] === 0x2d) digits++
  let value = 0
  let i = digits
  for (; i - digits < 15; i++) {
    const digit = bytes[i]! - 0x30
    if (!(digit >= 0 && digit <= 9)) break
    value = value * 10 + digit
  }
  // Plain whole numbers; anything that may go on is looked at again.
  if (i > digits && !mayBelongToNumber(bytes[i]!)) {
    numberEnd = i
    return digits > at ? -value : value
  }
  return parseRareNumber(bytes, at)
}

function mayBelongToNumber(byte: number): boolean {
  const lower = byte | 0x20
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2e || (lower >= 0x61 && lower <= 0x79)
}

function parseRareNumber(bytes: Uint8Array, at: number): number {
  let end = at
  while (isNumberByte(bytes[end]!)) end++
  const found = NUMBER.exec(latin1(bytes, at, end))
  if (found === null) {
    numberEnd = at
    return 0
  }
  const text = found[0]
  numberEnd = at + text.length
  const unsigned = text.replace(/^[+-]/, "").toLowerCase()
  if (unsigned.startsWith("nan")) return Number.NaN
  const sign = text[0] === "-" ? -1 : 1
  if (unsigned.startsWith("inf")) return sign * Number.POSITIVE_INFINITY
  if (unsigned.startsWith("0x")) return sign * hexadecimal(unsigned)
  return sign * Number(unsigned)
}

function isNumberByte(byte: number): boolean {
  return (
    mayBelongToNumber(byte) ||
    byte === 0x2b ||
    byte === 0x2d ||
    byte === 0x28 ||
    byte === 0x29 ||
    byte === 0x5f ||
    (byte | 0x20) === 0x7a
  )
}

function hexadecimal(text: string): number {
  const exact = parseHexadecimalFloat(text)
  if (exact === undefined || exact.mantissa === 0n) return 0
  const { mantissa, exponent } = roundToBits(exact.mantissa, exact.exponent, 53, -1074)
  if (mantissa === 0n) return 0
  const bits = mantissa.toString(2).length
  if (bits + exponent > 1024) return Number.POSITIVE_INFINITY
  const whole = Number(mantissa)
  // In two steps, since 2^exponent alone may be too small to be a number.
  return exponent < -1000 ? whole * 2 ** -1000 * 2 ** (exponent + 1000) : whole * 2 ** exponent
}
