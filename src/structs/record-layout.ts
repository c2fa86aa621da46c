/**
 * The layout of a ByteMap's records, and small access functions for it. byte-map.ts tells the whole story.
 */

export const HAS_EXPIRY = 0x10
export const KEY_OUT = 0x20
export const VALUE_OUT = 0x40
export const DEAD = 0x80
export const TYPE_MASK = 0x0f
export const KIND_MASK = 0xff

export const KEY_INLINE_MAX = 1000
export const VALUE_INLINE_MAX = 3000
export const HANDLE_BYTES = 4
export const HEADER_BYTES = 8

export const EMPTY = new Uint8Array(0)

/** A double as two words: records are aligned to four bytes only. */
const double = new Float64Array(1)
const doubleWords = new Int32Array(double.buffer)

export function readHandle(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

export function writeHandle(bytes: Uint8Array, at: number, handle: number): void {
  bytes[at] = handle
  bytes[at + 1] = handle >>> 8
  bytes[at + 2] = handle >>> 16
  bytes[at + 3] = handle >>> 24
}

/** Keys and small values: a loop beats a call into native code up to about a hundred bytes. */
export function copyShort(from: Uint8Array, fromAt: number, to: Uint8Array, toAt: number, length: number): void {
  if (length > 128) to.set(from.subarray(fromAt, fromAt + length), toAt)
  else for (let i = 0; i < length; i++) to[toAt + i] = from[fromAt + i]!
}

export function readDouble(words: Int32Array, at: number): number {
  doubleWords[0] = words[at]!
  doubleWords[1] = words[at + 1]!
  return double[0]!
}

export function writeDouble(words: Int32Array, at: number, value: number): void {
  double[0] = value
  words[at] = doubleWords[0]!
  words[at + 1] = doubleWords[1]!
}
