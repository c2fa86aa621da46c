/**
 * 64-bit signed integers as decimal text.
 *
 * An integer is a `number` while it is safe (at most 2^53 - 1 in size) and a `bigint` in the rest of int64, so the
 * common path allocates nothing. Every function here keeps that normal form: a safe value is never a bigint.
 *
 * Canonical text is what Redis recognises as an integer: an optional "-", then digits without a leading zero, or
 * exactly "0". No "+", no "-0", no spaces. Text and value are therefore one to one, which is what permits storing an
 * integer instead of its text.
 */

import { latin1 } from "./compare.ts"

export const INT64_MAX = 9223372036854775807n
export const INT64_MIN = -9223372036854775808n
export const UINT64_MAX = 18446744073709551615n

/** The longest canonical int64 in bytes, "-9223372036854775808". */
export const INT64_TEXT_BYTES_MAX = 20

const MAX_SAFE = Number.MAX_SAFE_INTEGER
const MINUS = 0x2d
const ZERO = 0x30
/** "9223372036854775807", the digits of the largest int64. */
const LIMIT_DIGITS = "9223372036854775807"

/** The safe integer that the range spells canonically; NaN for anything else, larger integers included. */
export function parseSafeInteger(bytes: Uint8Array, start: number, end: number): number {
  let length = end - start
  if (length === 1) {
    const digit = bytes[start]! - ZERO
    return digit >= 0 && digit <= 9 ? digit : Number.NaN
  }
  let at = start
  let negative = false
  if (bytes[start] === MINUS) {
    negative = true
    at++
    length--
  }
  if (length < 1 || length > 16 || end > bytes.length) return Number.NaN
  let value = bytes[at++]! - ZERO
  if (value < 1 || value > 9) return Number.NaN
  while (at < end) {
    const digit = bytes[at++]! - ZERO
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  // Sixteen digits may pass 2^53, where the sum is rounded, but never back to below it.
  if (value > MAX_SAFE) return Number.NaN
  return negative ? -value : value
}

/** Whether the range is the canonical text of an int64, exact at both ends of its range. Allocates nothing. */
export function isCanonicalInt64(bytes: Uint8Array, start: number, end: number): boolean {
  if (end > bytes.length) return false
  let at = start
  const negative = at < end && bytes[at] === MINUS
  if (negative) at++
  const digits = end - at
  if (digits < 1 || digits > 19) return false
  const first = bytes[at]!
  if (first === ZERO) return digits === 1 && !negative
  // Below the limit as soon as one digit is below it, as long as no earlier digit was above it.
  let order = digits < 19 ? -1 : 0
  for (let i = 0; i < digits; i++) {
    const byte = bytes[at + i]!
    if (byte < ZERO || byte > 0x39) return false
    if (order === 0) order = byte - LIMIT_DIGITS.charCodeAt(i)
  }
  if (order <= 0) return true
  // The negative range reaches one further: same digits, the last one 8 instead of 7.
  if (!negative || order !== 1) return false
  for (let i = 0; i < 18; i++) if (bytes[at + i] !== LIMIT_DIGITS.charCodeAt(i)) return false
  return true
}

/** The int64 that the range spells canonically, undefined for anything else. Allocates only outside the safe range. */
export function parseInt64(bytes: Uint8Array, start: number, end: number): number | bigint | undefined {
  const safe = parseSafeInteger(bytes, start, end)
  if (!Number.isNaN(safe)) return safe
  if (!isCanonicalInt64(bytes, start, end)) return undefined
  return BigInt(latin1(bytes, start, end))
}

/**
 * An unsigned 64-bit integer, as Redis reads the parts of a stream ID.
 *
 * Canonical text is the fast case. Beyond it Redis falls back to strtoull, which lets through leading white space, a
 * "+", leading zeros, and a "-" before a non-canonical number (which then wraps around); so does this function.
 * Undefined for anything else, a canonical negative number included.
 */
export function parseUint64(bytes: Uint8Array, start: number, end: number): number | bigint | undefined {
  const safe = parseSafeInteger(bytes, start, end)
  if (!Number.isNaN(safe)) return safe < 0 ? undefined : safe
  if (isCanonicalInt64(bytes, start, end)) {
    return bytes[start] === MINUS ? undefined : BigInt(latin1(bytes, start, end))
  }
  let at = start
  while (at < end && isSpace(bytes[at]!)) at++
  const sign = at < end ? bytes[at] : 0
  if (sign === MINUS || sign === 0x2b) at++
  if (at >= end) return undefined
  while (at < end - 1 && bytes[at] === ZERO) at++
  if (end - at > 20) return undefined
  for (let i = at; i < end; i++) if (bytes[i]! < ZERO || bytes[i]! > 0x39) return undefined
  const value = BigInt(latin1(bytes, at, end))
  if (value > UINT64_MAX) return undefined
  return normalizeInteger(sign === MINUS ? BigInt.asUintN(64, -value) : value)
}

/** The bytes a safe integer takes as decimal text, its sign included. */
export function integerLength(n: number): number {
  let length = 1
  if (n < 0) {
    n = -n
    length = 2
  }
  if (n < 100000) {
    if (n < 10) return length
    if (n < 100) return length + 1
    if (n < 1000) return length + 2
    return n < 10000 ? length + 3 : length + 4
  }
  length += 5
  for (let limit = 1e6; n >= limit; limit *= 10) length++
  return length
}

/** Writes a safe integer as decimal text; returns the offset after it. Allocates nothing. */
export function writeInteger(bytes: Uint8Array, at: number, n: number): number {
  if (n >= 0 && n <= 0x7fffffff) return writeSmall(bytes, at, n | 0)
  if (n < 0) {
    bytes[at++] = MINUS
    n = -n
    if (n <= 0x7fffffff) return writeSmall(bytes, at, n | 0)
  }
  // Eight digits at a time while the number is wider than an int32, so that the digit loop divides small integers.
  const end = at + integerLength(n)
  let back = end
  while (n > 0x7fffffff) {
    const high = Math.floor(n / 1e8)
    let low = (n - high * 1e8) | 0
    for (let i = 0; i < 8; i++) {
      const rest = (low / 10) | 0
      bytes[--back] = ZERO + low - rest * 10
      low = rest
    }
    n = high
  }
  writeSmall(bytes, at, n | 0)
  return end
}

/** Writes an integer from 0 to 2^31 - 1, two digits a turn: a division takes longer than anything else here. */
function writeSmall(bytes: Uint8Array, at: number, n: number): number {
  if (n < 10) {
    bytes[at] = ZERO + n
    return at + 1
  }
  const end = at + integerLength(n)
  let back = end
  while (n >= 100) {
    const rest = (n / 100) | 0
    const pair = (n - rest * 100) << 1
    bytes[back - 1] = PAIRS[pair + 1]!
    bytes[back - 2] = PAIRS[pair]!
    back -= 2
    n = rest
  }
  if (n >= 10) {
    bytes[back - 1] = PAIRS[(n << 1) + 1]!
    bytes[back - 2] = PAIRS[n << 1]!
  } else bytes[back - 1] = ZERO + n
  return end
}

/** The digits of 00 to 99. */
const PAIRS = new Uint8Array(200)
for (let i = 0; i < 100; i++) {
  PAIRS[i * 2] = ZERO + Math.floor(i / 10)
  PAIRS[i * 2 + 1] = ZERO + (i % 10)
}

/** Writes any bigint as decimal text; returns the offset after it. Allocates. */
export function writeBigInt(bytes: Uint8Array, at: number, value: bigint): number {
  const text = value.toString()
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i)
  return at + text.length
}

/** Writes an integer in either form; returns the offset after it. */
export function writeInt64(bytes: Uint8Array, at: number, value: number | bigint): number {
  return typeof value === "number" ? writeInteger(bytes, at, value) : writeBigInt(bytes, at, value)
}

/** A bigint in normal form: a number when it is safe. No range check. */
export function normalizeInteger(value: bigint): number | bigint {
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value
}

/** The value in normal form when it lies in int64, otherwise undefined. */
export function toInt64(value: bigint): number | bigint | undefined {
  return value >= INT64_MIN && value <= INT64_MAX ? normalizeInteger(value) : undefined
}

/** The value modulo 2^64 as a signed integer in normal form: what C gives on wrap-around. */
export function wrapInt64(value: bigint): number | bigint {
  return normalizeInteger(BigInt.asIntN(64, value))
}

/** a + b in normal form, undefined when the sum leaves int64. No allocation when the operands and the sum are safe. */
export function addInt64(a: number | bigint, b: number | bigint): number | bigint | undefined {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b
    if (sum >= -MAX_SAFE && sum <= MAX_SAFE) return sum
  }
  return toInt64(BigInt(a) + BigInt(b))
}

/** a - b in normal form, undefined when the difference leaves int64. */
export function subtractInt64(a: number | bigint, b: number | bigint): number | bigint | undefined {
  if (typeof a === "number" && typeof b === "number") {
    const difference = a - b
    if (difference >= -MAX_SAFE && difference <= MAX_SAFE) return difference
  }
  return toInt64(BigInt(a) - BigInt(b))
}

/** White space as C's isspace in the "C" locale. */
export function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}
