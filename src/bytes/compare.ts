/**
 * Comparing, copying and naming byte ranges.
 *
 * Every function takes (bytes, start, end) offsets, so callers never cut a view out of a buffer just to look at it.
 * The natives of the runtime (memcmp, memmove) cost tens of nanoseconds to enter; below the crossovers named here a
 * plain loop wins. All of them also work on arrays over a SharedArrayBuffer.
 */

const native = Buffer.prototype as unknown as {
  copy(this: Uint8Array, target: Uint8Array, targetStart: number, sourceStart: number, sourceEnd: number): number
  compare(
    this: Uint8Array,
    target: Uint8Array,
    targetStart: number,
    targetEnd: number,
    sourceStart: number,
    sourceEnd: number,
  ): number
  latin1Slice(this: Uint8Array, start: number, end: number): string
  utf8Slice(this: Uint8Array, start: number, end: number): string
}
const nativeCopy = native.copy
const nativeCompare = native.compare
const nativeLatin1Slice = native.latin1Slice
const nativeUtf8Slice = native.utf8Slice
const encoder = new TextEncoder()

/** Up to this many bytes the loop is faster than the native copy (level at about 20, sooner while the loop is uncompiled). */
const COPY_LOOP_BYTES_MAX = 16
/** Up to this many bytes the loop is faster than the native comparison (measured: level at about 128). */
const COMPARE_LOOP_BYTES_MAX = 128

/**
 * Order of two ranges by unsigned byte value, a proper prefix first (memcmp, then length).
 *
 * Returns a negative number, 0 or a positive number; only the sign means something.
 */
export function compareBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const aLength = aEnd - aStart
  const bLength = bEnd - bStart
  const common = Math.min(aLength, bLength)
  const looped = Math.min(common, COMPARE_LOOP_BYTES_MAX)
  for (let i = 0; i < looped; i++) {
    const difference = a[aStart + i]! - b[bStart + i]!
    if (difference !== 0) return difference
  }
  if (common > looped) {
    const order = nativeCompare.call(a, b, bStart + looped, bStart + common, aStart + looped, aStart + common)
    if (order !== 0) return order
  }
  return aLength - bLength
}

/** Whether `length` bytes from aStart and from bStart are the same. */
export function equalBytes(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  const looped = Math.min(length, COMPARE_LOOP_BYTES_MAX)
  for (let i = 0; i < looped; i++) {
    if (a[aStart + i] !== b[bStart + i]) return false
  }
  if (length === looped) return true
  return nativeCompare.call(a, b, bStart + looped, bStart + length, aStart + looped, aStart + length) === 0
}

/**
 * Copies src[srcStart, srcEnd) to dst at dstStart; the caller has made sure that it fits.
 *
 * The ranges may overlap when src and dst are the same array object; two different views of one buffer must not.
 */
export function copyBytes(src: Uint8Array, srcStart: number, srcEnd: number, dst: Uint8Array, dstStart: number): void {
  const length = srcEnd - srcStart
  if (length > COPY_LOOP_BYTES_MAX) {
    nativeCopy.call(src, dst, dstStart, srcStart, srcEnd)
  } else if (src === dst && srcStart < dstStart) {
    for (let i = length - 1; i >= 0; i--) dst[dstStart + i] = src[srcStart + i]!
  } else {
    for (let i = 0; i < length; i++) dst[dstStart + i] = src[srcStart + i]!
  }
}

/** The range in a fresh array. Unlike `slice`, which makes a view where the bytes happen to be a Buffer. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(end - start)
  copyBytes(bytes, start, end, copy, 0)
  return copy
}

/** An array of undefined content, and no Buffer: its `slice` copies. */
export function uncleared(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
}

/** The byte with A-Z folded to a-z, every other byte unchanged (the "C" locale's tolower). */
export function asciiLower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
}

/** Whether the range spells `lowerAscii`, letters in any case. `lowerAscii` is an ASCII constant in lower case. */
export function equalsIgnoreCase(bytes: Uint8Array, start: number, end: number, lowerAscii: string): boolean {
  if (end - start !== lowerAscii.length) return false
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    const folded = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
    if (folded !== lowerAscii.charCodeAt(i - start)) return false
  }
  return true
}

/** The range as a string with one character per byte, so that nothing is lost. Allocates. */
export function latin1(bytes: Uint8Array, start = 0, end = bytes.length): string {
  return nativeLatin1Slice.call(bytes, start, end)
}

/** What a client sent, as errors show it: up to its first zero byte, and at most `lengthMax` characters. */
export function shown(text: string, lengthMax = Infinity): string {
  const zero = text.indexOf("\0")
  return text.slice(0, Math.min(zero < 0 ? text.length : zero, lengthMax))
}

/** The range decoded as UTF-8; malformed parts become U+FFFD. Allocates. */
export function utf8(bytes: Uint8Array, start = 0, end = bytes.length): string {
  return nativeUtf8Slice.call(bytes, start, end)
}

/** The UTF-8 bytes of a string, in a fresh array. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text)
}

/** The inverse of `latin1`: one byte per character, its low 8 bits, in a fresh array. */
export function latin1Bytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}
