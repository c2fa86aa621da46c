/**
 * Writes what RDB files are made of into a growing buffer, and keeps the checksum.
 *
 * The owner drains it between steps: `take()` hands over what has been written since the last time, and the checksum runs
 * over it then. A buffer that is never drained just grows (DUMP).
 *
 * Strings are written the shortest way, as Redis does: as an integer of one to four bytes if they spell one, compressed if
 * they are longer than 20 bytes and that saves four, else as they are. Long ones are compressed in pieces of 64 KiB: LZF
 * refers backwards only, so compressed pieces laid end to end are the compressed whole, and nobody waits for a long string.
 */

import { copyBytes, uncleared } from "../bytes/compare.ts"
import { Crc64 } from "../bytes/crc64.ts"
import { parseSafeInteger } from "../bytes/int64.ts"
import { lzfCompress } from "../bytes/lzf.ts"

const INITIAL_BYTES = 64 * 1024 + 4096
const TWO_32 = 0x1_0000_0000
/** Strings up to this long are not worth compressing. */
const COMPRESSED_BYTES_MIN = 21
/** What compression must save, as in Redis. */
const GAIN_BYTES_MIN = 4
const INT32_TEXT_BYTES_MAX = 11
/** Compressed at a time; also from where on a string is long. */
export const PIECE_BYTES = 64 * 1024
/** A long string that has not shrunk by an eighth up to here is stored as it is. */
const TRIED_BYTES = 16 * PIECE_BYTES
/** LZF's worst case: a byte for each 32. */
const scratch = new Uint8Array(PIECE_BYTES + PIECE_BYTES / 32 + 16)

export interface RdbWriterOptions {
  /** rdbcompression; by default yes. */
  compress?: boolean
  /** rdbchecksum; by default yes. */
  checksum?: boolean
  /** Bytes the buffer begins with. */
  capacity?: number
  /** Bytes of work between two pauses of an encoder. */
  stepBytes?: number
}

export class RdbWriter {
  bytes: Uint8Array
  /** Bytes written and not yet taken. */
  length = 0
  /** Bytes taken so far. */
  takenBytes = 0
  readonly checksum = new Crc64()
  readonly compresses: boolean
  readonly hasChecksum: boolean
  readonly stepBytes: number
  private readonly capacity: number
  private stepBegan = 0

  constructor(options: RdbWriterOptions = {}) {
    this.compresses = options.compress ?? true
    this.hasChecksum = options.checksum ?? true
    this.capacity = options.capacity ?? INITIAL_BYTES
    this.stepBytes = options.stepBytes ?? PIECE_BYTES
    this.bytes = uncleared(this.capacity)
  }

  /** Bytes written in all. */
  get totalBytes(): number {
    return this.takenBytes + this.length
  }

  /** Whether `stepBytes` have been written since this was last so: then it is time for a pause. */
  endsStep(): boolean {
    const { totalBytes } = this
    if (totalBytes - this.stepBegan < this.stepBytes) return false
    this.stepBegan = totalBytes
    return true
  }

  /** What has been written since the last time; the caller's from now on. */
  take(): Uint8Array {
    const { bytes, length } = this
    if (this.hasChecksum) this.checksum.update(bytes, 0, length)
    this.bytes = uncleared(this.capacity)
    this.takenBytes += length
    this.length = 0
    return bytes.subarray(0, length)
  }

  /** Ends a file: the checksum of everything, or zeros. */
  end(): void {
    this.reserve(8)
    if (this.hasChecksum) {
      this.checksum.update(this.bytes, 0, this.length)
      this.length = this.checksum.write(this.bytes, this.length)
      // What is taken after this is not looked at any more.
      this.checksum.reset()
      return
    }
    this.bytes.fill(0, this.length, this.length + 8)
    this.length += 8
  }

  /** Makes room for so many more bytes. */
  reserve(more: number): void {
    const needed = this.length + more
    if (needed <= this.bytes.length) return
    const larger = uncleared(Math.max(needed, this.bytes.length * 2))
    copyBytes(this.bytes, 0, this.length, larger, 0)
    this.bytes = larger
  }

  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  /** Bytes as they are. */
  raw(src: Uint8Array, start: number, end: number): void {
    this.reserve(end - start)
    copyBytes(src, start, end, this.bytes, this.length)
    this.length += end - start
  }

  /** ASCII as it is. */
  ascii(text: string): void {
    this.reserve(text.length)
    for (let i = 0; i < text.length; i++) this.bytes[this.length++] = text.charCodeAt(i)
  }

  /** A length, or any integer from 0 to 2^53. */
  size(n: number): void {
    this.reserve(9)
    const { bytes } = this
    if (n < 64) bytes[this.length++] = n
    else if (n < 16384) {
      bytes[this.length++] = 0x40 | (n >> 8)
      bytes[this.length++] = n
    } else if (n < TWO_32) {
      bytes[this.length++] = 0x80
      this.word(n)
    } else this.size64(Math.floor(n / TWO_32), n >>> 0)
  }

  /** An unsigned 64-bit integer as a length. */
  size64(high: number, low: number): void {
    if (high === 0) {
      this.size(low)
      return
    }
    this.reserve(9)
    this.bytes[this.length++] = 0x81
    this.word(high)
    this.word(low)
  }

  /** A time in ms: a signed 64-bit integer, little-endian. */
  time(ms: number): void {
    this.reserve(8)
    const { bytes } = this
    const low = (ms % TWO_32) | 0
    const high = Math.floor(ms / TWO_32) | 0
    for (let shift = 0; shift < 32; shift += 8) bytes[this.length++] = low >> shift
    for (let shift = 0; shift < 32; shift += 8) bytes[this.length++] = high >> shift
  }

  /** A double, little-endian. */
  double(value: number): void {
    this.reserve(8)
    cell[0] = value
    const { bytes } = this
    for (let i = 0; i < 8; i++) bytes[this.length++] = cellBytes[i]!
  }

  /** A string, the shortest way. Compresses it in one go: long ones are for `longString`. */
  string(src: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (length <= INT32_TEXT_BYTES_MAX && this.integer(src, start, end)) return
    if (this.compresses && length >= COMPRESSED_BYTES_MIN) {
      if (length > PIECE_BYTES) {
        for (const _ of this.longString(src, start, end));
        return
      }
      const shrunk = lzfCompress(src, start, end, scratch, 0, length - GAIN_BYTES_MIN)
      if (shrunk > 0) {
        this.reserve(shrunk + 11)
        this.bytes[this.length++] = 0xc3
        this.size(shrunk)
        this.size(length)
        copyBytes(scratch, 0, shrunk, this.bytes, this.length)
        this.length += shrunk
        return
      }
    }
    this.reserve(length + 9)
    this.size(length)
    copyBytes(src, start, end, this.bytes, this.length)
    this.length += length
  }

  /** As `string`, in pieces of PIECE_BYTES: pauses after each one. The bytes must not change meanwhile. */
  *longString(src: Uint8Array, start: number, end: number): Generator<void, void> {
    if (this.compresses) {
      const pieces: Uint8Array[] = []
      const shrunk = yield* compressPieces(src, start, end, pieces)
      if (shrunk <= end - start - GAIN_BYTES_MIN) {
        this.byte(0xc3)
        this.size(shrunk)
        this.size(end - start)
        for (const piece of pieces) {
          this.raw(piece, 0, piece.length)
          yield
        }
        return
      }
    }
    this.size(end - start)
    for (let at = start; at < end; at += PIECE_BYTES) {
      this.raw(src, at, Math.min(end, at + PIECE_BYTES))
      yield
    }
  }

  /** ASCII as a string. */
  text(text: string): void {
    const bytes = new Uint8Array(text.length)
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
    this.string(bytes, 0, bytes.length)
  }

  /** The string as an integer, if it is the canonical text of one of at most 32 bits. */
  private integer(src: Uint8Array, start: number, end: number): boolean {
    // Most strings begin with something else.
    if (start === end || src[start]! > 0x39) return false
    const n = parseSafeInteger(src, start, end)
    if (!(n >= -0x80000000 && n <= 0x7fffffff)) return false
    this.reserve(5)
    const { bytes } = this
    const width = n >= -128 && n <= 127 ? 1 : n >= -32768 && n <= 32767 ? 2 : 4
    bytes[this.length++] = width === 1 ? 0xc0 : width === 2 ? 0xc1 : 0xc2
    for (let i = 0; i < width; i++) bytes[this.length++] = n >> (8 * i)
    return true
  }

  /** Four bytes, big-endian, into room that is there. */
  private word(n: number): void {
    const { bytes } = this
    bytes[this.length++] = n >>> 24
    bytes[this.length++] = n >>> 16
    bytes[this.length++] = n >>> 8
    bytes[this.length++] = n
  }
}

const cell = new Float64Array(1)
const cellBytes = new Uint8Array(cell.buffer)

/** Compresses piece by piece; returns the length in all, or Infinity when it is not worth the while. */
function* compressPieces(src: Uint8Array, start: number, end: number, pieces: Uint8Array[]): Generator<void, number> {
  let total = 0
  for (let at = start; at < end; at += PIECE_BYTES) {
    const stop = Math.min(end, at + PIECE_BYTES)
    const shrunk = lzfCompress(src, at, stop, scratch, 0, scratch.length)
    if (shrunk === 0) return Number.POSITIVE_INFINITY
    pieces.push(scratch.slice(0, shrunk))
    total += shrunk
    if (stop - start === TRIED_BYTES && total > TRIED_BYTES - TRIED_BYTES / 8) return Number.POSITIVE_INFINITY
    yield
  }
  return total
}
