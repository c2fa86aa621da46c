/**
 * Intset: a sorted array of distinct int64 in one byte range, for sets whose members are all integers.
 *
 *   width u32 LE (2, 4 or 8 bytes per value) | count u32 LE | values, little-endian two's complement, ascending
 *
 * The bytes are those of Redis, so RDB files and DUMP payloads hold them as they are. The width is the smallest that
 * fits every value ever added; removing never narrows it.
 *
 * Conventions, as for the listpack: an intset is (b, at); edits happen in place after the caller has made room for the
 * growth that the matching *Size function told, and return the new total size; untrusted bytes pass intsetValidate
 * first. Values are numbers while safe and bigints in the rest of int64 (normal form of bytes/int64). Nothing allocates
 * for safe values.
 */

import { integerLength, writeInt64 } from "../bytes/int64.ts"

const HEADER_BYTES = 8
const TWO_32 = 0x1_0000_0000

/** Bytes of an intset without values. */
export const INTSET_EMPTY_BYTES = HEADER_BYTES

function readWord(b: Uint8Array, at: number): number {
  return b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)
}

function writeWord(b: Uint8Array, at: number, word: number): void {
  b[at] = word
  b[at + 1] = word >> 8
  b[at + 2] = word >> 16
  b[at + 3] = word >> 24
}

/** Upper half of the two's complement, signed. */
function highWord(value: number | bigint): number {
  return typeof value === "number" ? Math.floor(value / TWO_32) | 0 : Number(BigInt.asIntN(32, value >> 32n))
}

/** Lower half of the two's complement, signed. */
function lowWord(value: number | bigint): number {
  return typeof value === "number" ? value | 0 : Number(BigInt.asIntN(32, value))
}

function widthFor(value: number | bigint): number {
  if (value >= -32768 && value <= 32767) return 2
  return value >= -2147483648 && value <= 2147483647 ? 4 : 8
}

function widthOf(b: Uint8Array, at: number): number {
  return b[at]!
}

/** The value at `i` of 2 or 4 bytes. */
function readNarrow(b: Uint8Array, at: number, width: number, i: number): number {
  if (width === 4) return readWord(b, at + HEADER_BYTES + i * 4)
  const offset = at + HEADER_BYTES + i * 2
  return ((b[offset]! | (b[offset + 1]! << 8)) << 16) >> 16
}

/** Total size in bytes. */
export function intsetBytes(b: Uint8Array, at: number): number {
  return HEADER_BYTES + widthOf(b, at) * intsetLength(b, at)
}

export function intsetLength(b: Uint8Array, at: number): number {
  return readWord(b, at + 4) >>> 0
}

/** The i-th smallest value; i must be in range. */
export function intsetGet(b: Uint8Array, at: number, i: number): number | bigint {
  const width = widthOf(b, at)
  if (width !== 8) return readNarrow(b, at, width, i)
  const offset = at + HEADER_BYTES + i * 8
  const high = readWord(b, offset + 4)
  const low = readWord(b, offset) >>> 0
  const value = high * TWO_32 + low
  return Number.isSafeInteger(value) ? value : (BigInt(high) << 32n) | BigInt(low)
}

/** Length of the i-th value as decimal text. */
export function intsetValueLength(b: Uint8Array, at: number, i: number): number {
  const value = intsetGet(b, at, i)
  return typeof value === "number" ? integerLength(value) : value.toString().length
}

/** Writes the i-th value as decimal text to dst[to]; returns the offset behind it. */
export function intsetCopyValue(b: Uint8Array, at: number, i: number, dst: Uint8Array, to: number): number {
  return writeInt64(dst, to, intsetGet(b, at, i))
}

/** Index of the value, or ~index of where it belongs (so: negative when absent). O(log n). */
export function intsetFind(b: Uint8Array, at: number, value: number | bigint): number {
  const width = widthOf(b, at)
  let low = 0
  let high = intsetLength(b, at) - 1
  if (widthFor(value) > width) return value < 0 ? ~0 : ~(high + 1)
  if (width === 8) return findWide(b, at, highWord(value), lowWord(value) >>> 0)
  // As wide as the values or narrower, so it is a number.
  const wanted = value as number
  if (high >= 0 && wanted > readNarrow(b, at, width, high)) return ~(high + 1)
  while (low <= high) {
    const middle = (low + high) >>> 1
    const found = readNarrow(b, at, width, middle)
    if (found === wanted) return middle
    if (found < wanted) low = middle + 1
    else high = middle - 1
  }
  return ~low
}

function findWide(b: Uint8Array, at: number, wantedHigh: number, wantedLow: number): number {
  let low = 0
  let high = intsetLength(b, at) - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const offset = at + HEADER_BYTES + middle * 8
    const foundHigh = readWord(b, offset + 4)
    const order = foundHigh === wantedHigh ? (readWord(b, offset) >>> 0) - wantedLow : foundHigh - wantedHigh
    if (order === 0) return middle
    if (order < 0) low = middle + 1
    else high = middle - 1
  }
  return ~low
}

/** Writes an intset without values; returns its size. */
export function intsetInit(b: Uint8Array, at: number): number {
  writeWord(b, at, 2)
  writeWord(b, at + 4, 0)
  return INTSET_EMPTY_BYTES
}

/** Growth by adding a value that is absent; more than its width when all values must widen. */
export function intsetInsertSize(b: Uint8Array, at: number, value: number | bigint): number {
  const width = widthOf(b, at)
  const needed = widthFor(value)
  return needed <= width ? width : needed + (needed - width) * intsetLength(b, at)
}

function writeValue(b: Uint8Array, offset: number, width: number, high: number, low: number): void {
  b[offset] = low
  b[offset + 1] = low >> 8
  if (width === 2) return
  b[offset + 2] = low >> 16
  b[offset + 3] = low >> 24
  if (width === 8) writeWord(b, offset + 4, high)
}

/** Adds an absent value; `place` is what intsetFind answered for it. Returns the new total. O(n). */
export function intsetInsert(b: Uint8Array, at: number, place: number, value: number | bigint): number {
  const count = intsetLength(b, at)
  const index = ~place
  const oldWidth = widthOf(b, at)
  const needed = widthFor(value)
  let width = oldWidth
  if (needed > oldWidth) {
    // Widens from the back, in place; the new value lies outside the old range, so it is first or last.
    width = needed
    const shift = index === 0 ? 1 : 0
    for (let i = count - 1; i >= 0; i--) {
      const old = readNarrow(b, at, oldWidth, i)
      writeValue(b, at + HEADER_BYTES + (i + shift) * width, width, old >> 31, old)
    }
    b[at] = width
  } else if (index < count) {
    const from = at + HEADER_BYTES + index * width
    b.copyWithin(from + width, from, at + HEADER_BYTES + count * width)
  }
  writeValue(b, at + HEADER_BYTES + index * width, width, highWord(value), lowWord(value))
  writeWord(b, at + 4, count + 1)
  return HEADER_BYTES + (count + 1) * width
}

/** Growth (negative) by removing one value. */
export function intsetRemoveSize(b: Uint8Array, at: number): number {
  return -widthOf(b, at)
}

/** Removes the i-th value; returns the new total. O(n). */
export function intsetRemove(b: Uint8Array, at: number, i: number): number {
  const width = widthOf(b, at)
  const count = intsetLength(b, at)
  const from = at + HEADER_BYTES + i * width
  b.copyWithin(from, from + width, at + HEADER_BYTES + count * width)
  writeWord(b, at + 4, count - 1)
  return HEADER_BYTES + (count - 1) * width
}

/** Removes the values at the given indexes, which ascend; returns the new total. O(n), however many they are. */
export function intsetRemoveAll(b: Uint8Array, at: number, indexes: ArrayLike<number>): number {
  const width = widthOf(b, at)
  const count = intsetLength(b, at)
  const values = at + HEADER_BYTES
  // What stays between one removed value and the next moves once.
  let to = values + (indexes.length === 0 ? count : indexes[0]!) * width
  for (let i = 0; i < indexes.length; i++) {
    const from = values + (indexes[i]! + 1) * width
    const stop = values + (i + 1 < indexes.length ? indexes[i + 1]! : count) * width
    if (from < stop) b.copyWithin(to, from, stop)
    to += stop - from
  }
  writeWord(b, at + 4, count - indexes.length)
  return to - at
}

/**
 * Is [at, end) a non-empty intset? Deep also checks that the values ascend without repetition. Never reads outside
 * [at, end).
 */
export function intsetValidate(b: Uint8Array, at: number, end: number, deep: boolean): boolean {
  if (end > b.length || end - at < HEADER_BYTES) return false
  const width = readWord(b, at)
  if (width !== 2 && width !== 4 && width !== 8) return false
  const count = intsetLength(b, at)
  if (count === 0 || HEADER_BYTES + count * width !== end - at) return false
  if (!deep) return true
  for (let i = 1; i < count; i++) if (!(intsetGet(b, at, i - 1) < intsetGet(b, at, i))) return false
  return true
}
