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

export function readHandle(slab: DataView, at: number): number {
  return slab.getInt32(at, true)
}

export function writeHandle(slab: DataView, at: number, handle: number): void {
  slab.setInt32(at, handle, true)
}

/** Keys and small values: a loop beats a call into native code up to about a hundred bytes. */
export function copyShort(from: Uint8Array, fromAt: number, to: Uint8Array, toAt: number, length: number): void {
  if (length > 128) to.set(from.subarray(fromAt, fromAt + length), toAt)
  else for (let i = 0; i < length; i++) to[toAt + i] = from[fromAt + i]!
}

/** The expiry of the record at unit `at`; records are aligned to four bytes only. */
export function readExpiry(slab: DataView, at: number): number {
  return slab.getFloat64((at << 2) + HEADER_BYTES, true)
}

export function writeExpiry(slab: DataView, at: number, expiry: number): void {
  slab.setFloat64((at << 2) + HEADER_BYTES, expiry, true)
}
