/**
 * The 80-bit extended floats of x87, in which Redis adds for INCRBYFLOAT and HINCRBYFLOAT.
 *
 * Their visible difference from doubles is the mantissa of 64 bits: 3.0 + 0.1 gives "3.1" in 17 decimals, not
 * "3.10000000000000009". So the arithmetic is done exactly, in bigints, and rounded as the hardware does: to nearest,
 * ties to even, at every step (each operand when it is read, then the sum).
 *
 * A value takes one of two shapes: a plain number when it is one of the few cases handled without bigints (a safe
 * integer, an infinity, NaN as the sum of opposite infinities), otherwise a BinaryFloat of at most 64 bits.
 */

import { latin1 } from "./compare.ts"
import { type BinaryFloat, bitLength, parseHexadecimalFloat, roundToBits } from "./double.ts"

export type LongDouble = number | BinaryFloat

const MANTISSA_BITS = 64
/** The weight of the lowest bit of the smallest subnormal is 2^-16445. */
const EXPONENT_MIN = -16445
/** Values from 2^16384 on are infinite. */
const EXPONENT_END = 16384
/** Redis reads no number of more bytes: its buffer of 5120 ends with a NUL. */
const TEXT_BYTES_MAX = 5119
const DECIMALS = 17

const DECIMAL = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?$/
const INFINITY = /^([+-]?)inf(?:inity)?$/i
const SMALL_INTEGER = /^-?(?:0|[1-9][0-9]{0,14})$/

/**
 * The extended float that the range spells, undefined when it is "not a valid float": what C's strtold accepts over
 * the whole range without leading space, except NaN, overflow, and a value that rounds to zero without being it.
 */
export function parseLongDouble(bytes: Uint8Array, start: number, end: number): LongDouble | undefined {
  if (end - start > TEXT_BYTES_MAX) return undefined
  const text = latin1(bytes, start, end)
  if (SMALL_INTEGER.test(text)) return Number(text)

  const decimal = DECIMAL.exec(text)
  if (decimal) {
    const whole = decimal[2]!
    const fraction = decimal[3] ?? ""
    if (whole === "" && fraction === "") return undefined
    return fromDecimal(decimal[1] === "-", whole + fraction, Number(decimal[4] ?? 0) - fraction.length)
  }
  const infinity = INFINITY.exec(text)
  if (infinity) return infinity[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  const hexadecimal = parseHexadecimalFloat(text)
  return hexadecimal && valid(rounded(hexadecimal.negative, hexadecimal.mantissa, hexadecimal.exponent), hexadecimal)
}

/** A rounded operand, unless it overflowed or vanished on the way: C reports both as range errors. */
function valid(value: LongDouble, exact: { mantissa: bigint }): LongDouble | undefined {
  if (typeof value === "number") return undefined
  return value.mantissa === 0n && exact.mantissa !== 0n ? undefined : value
}

function fromDecimal(negative: boolean, digits: string, power: number): LongDouble | undefined {
  const mantissa = BigInt(digits)
  if (mantissa === 0n) return { negative, mantissa, exponent: 0 }
  // The exponent of the first digit decides far cases before a huge power of ten is computed.
  const size = mantissa.toString().length + power
  if (size > 4940 || size < -4970) return undefined
  if (power >= 0) return valid(rounded(negative, mantissa * 10n ** BigInt(power), 0), { mantissa })

  // Divide with at least two bits more than are kept; a remainder only tells a tie from what lies above it.
  const divisor = 10n ** BigInt(-power)
  const scale = Math.max(0, bitLength(divisor) - bitLength(mantissa) + MANTISSA_BITS + 2)
  const numerator = mantissa << BigInt(scale)
  const quotient = numerator / divisor
  return valid(rounded(negative, quotient, -scale, quotient * divisor !== numerator), { mantissa })
}

/** Rounds to an extended float; an overflow becomes an infinity. */
function rounded(negative: boolean, mantissa: bigint, exponent: number, inexact = false): LongDouble {
  const result = roundToBits(mantissa, exponent, MANTISSA_BITS, EXPONENT_MIN, inexact)
  if (bitLength(result.mantissa) + result.exponent > EXPONENT_END) {
    return negative ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  }
  return { negative, mantissa: result.mantissa, exponent: result.exponent }
}

/** a + b, rounded once. NaN for the sum of opposite infinities. */
export function addLongDouble(a: LongDouble, b: LongDouble): LongDouble {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b
    if (Number.isSafeInteger(sum) || !Number.isFinite(sum)) return sum
  }
  if (!isFiniteLongDouble(a)) return a
  if (!isFiniteLongDouble(b)) return b
  const left = widen(a)
  const right = widen(b)
  const exponent = Math.min(left.exponent, right.exponent)
  const sum = aligned(left, exponent) + aligned(right, exponent)
  if (sum === 0n) return { negative: left.negative && right.negative, mantissa: 0n, exponent: 0 }
  return sum < 0n ? rounded(true, -sum, exponent) : rounded(false, sum, exponent)
}

/** False for the infinities and NaN. */
export function isFiniteLongDouble(value: LongDouble): boolean {
  return typeof value !== "number" || Number.isFinite(value)
}

/** A safe integer in the wide shape; the plain numbers of this room that are finite are safe integers. */
function widen(value: LongDouble): BinaryFloat {
  if (typeof value !== "number") return value
  return { negative: value < 0, mantissa: BigInt(Math.abs(value)), exponent: 0 }
}

function aligned(value: BinaryFloat, exponent: number): bigint {
  const mantissa = value.mantissa << BigInt(value.exponent - exponent)
  return value.negative ? -mantissa : mantissa
}

/** The value with 17 decimals, trailing zeros cut off, no sign on zero: how Redis stores and replies the sum. */
export function formatLongDoubleHuman(value: LongDouble): string {
  if (typeof value === "number") {
    if (Number.isNaN(value)) return "nan"
    if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf"
    return String(value === 0 ? 0 : value)
  }
  const { mantissa, exponent } = value
  if (mantissa === 0n) return "0"
  let scaled = mantissa * 10n ** BigInt(DECIMALS)
  if (exponent >= 0) scaled <<= BigInt(exponent)
  else scaled = roundToBits(scaled, exponent, Number.POSITIVE_INFINITY, 0).mantissa
  const text = scaled.toString().padStart(DECIMALS + 1, "0")
  const fraction = text.slice(-DECIMALS).replace(/0+$/, "")
  const plain = text.slice(0, -DECIMALS) + (fraction === "" ? "" : `.${fraction}`)
  return value.negative && plain !== "0" ? `-${plain}` : plain
}
