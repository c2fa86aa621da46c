/**
 * The reading side of RdbWriter: bytes come in chunks, as from a file or a socket, and are read as lengths, strings, numbers.
 *
 * Every reading function answers false, and has then read nothing, when it needs more bytes than there are: `wanted` says how
 * many are missing. The caller yields NEED_DATA, the owner pushes more (or says `finish`), and the function is called again.
 * So parsing is plain calls for as long as the bytes are there, and nothing is parsed twice but the one item that was cut.
 *
 *   window   | read: waits for the checksum | unread | free |
 *            0                              at       end
 *
 * Invariants
 * 1. What a length announces is believed only as far as the bytes have come, or must come (`total`): nothing is allocated
 *    for what is merely announced. A string longer than LONG_BYTES is gathered outside the window (gather()).
 * 2. What `text` leaves in bytes[start, stop) is borrowed until the next read, and at the latest until the next yield.
 */

import { copyBytes, uncleared } from "../bytes/compare.ts"
import { Crc64 } from "../bytes/crc64.ts"
import { writeInteger } from "../bytes/int64.ts"
import { lzfDecompress } from "../bytes/lzf.ts"
import { RdbError, StringEncoding } from "./format.ts"

/** Yielded by decoders: more bytes are needed before they can go on. */
export const NEED_DATA = 0
/** Yielded by decoders: a slice of work is done, others may run. */
export const PAUSE = 1
export type DecodeStep = typeof NEED_DATA | typeof PAUSE

const WINDOW_BYTES = 256 * 1024
/** Strings above this are gathered in a buffer of their own. */
const LONG_BYTES = 64 * 1024
const TWO_32 = 0x1_0000_0000
/** LZF makes at most 264 bytes of 3. */
const EXPANSION_MAX = 88
/** Longest string: what offsets of 32 bits reach. */
const STRING_BYTES_MAX = 2 ** 31 - 1
const NO_BYTES = new Uint8Array(0)

export class RdbInput {
  /** Checksum of what has been read, up to `sealed`. */
  readonly checksum = new Crc64()
  /** Length of everything, where it is known: nothing longer can be announced then. */
  total: number
  /** Bytes missing when a function answered false. */
  wanted = 0

  /** Results of `length`: the number; whether it is the encoding of a string; the two words of a 64-bit one. */
  value = 0
  isEncoding = false
  high = 0
  low = 0
  /** Results of `text`, borrowed. */
  bytes: Uint8Array = NO_BYTES
  start = 0
  stop = 0
  /** After `text` has answered true: the string is long and has to be gathered, of which `value` bytes are to come. */
  isLong = false
  /** Result of `gather`: whether bytes[start, stop) is a buffer that nobody else has. */
  isOwned = false

  private window: Uint8Array
  private at = 0
  private end = 0
  /** Offset of window[0] in the stream. */
  private base = 0
  private summedAt = 0
  private readonly sums: boolean
  private finished = false
  private readonly integerText = new Uint8Array(24)
  private plain: Uint8Array = NO_BYTES
  private compressedLength = 0
  private plainLength = 0

  constructor(options: { total?: number; checksum?: boolean } = {}) {
    this.total = options.total ?? Number.POSITIVE_INFINITY
    this.sums = options.checksum ?? true
    this.window = NO_BYTES
  }

  /** An input that is all there: bytes[start, end), which must not change. Without a checksum. */
  static over(bytes: Uint8Array, start: number, end: number): RdbInput {
    const input = new RdbInput({ total: end - start, checksum: false })
    // No Buffer: its slice would be a view.
    input.window = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    input.at = start
    input.base = -start
    input.end = end
    input.finished = true
    return input
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.base + this.at
  }

  /** Bytes there and not read. */
  get available(): number {
    return this.end - this.at
  }

  /** More bytes; copied. */
  push(chunk: Uint8Array, start = 0, end = chunk.length): void {
    this.makeRoom(end - start)
    copyBytes(chunk, start, end, this.window, this.end)
    this.end += end - start
  }

  /**
   * More bytes, read straight into the window: `read` fills up to buffer[start, end) and answers how many bytes it has put
   * there, 0 when there are no more. False then.
   */
  fill(read: (buffer: Uint8Array, start: number, end: number) => number): boolean {
    this.makeRoom(Math.max(this.wanted, LONG_BYTES))
    const got = read(this.window, this.end, this.window.length)
    this.end += got
    if (got === 0) this.finish()
    return got > 0
  }

  /** No more bytes will come. */
  finish(): void {
    this.finished = true
  }

  /** What is there and has not been read: what follows an RDB file in a stream. Borrowed until the next push. */
  rest(): Uint8Array {
    return this.window.subarray(this.at, this.end)
  }

  /** A place to `rewind` to, good until the next push. */
  get mark(): number {
    return this.at
  }

  /** Goes back to a mark, to read the same again. */
  rewind(mark: number): void {
    this.at = mark
  }

  fail(reason: string): never {
    throw new RdbError(this.offset, reason)
  }

  // ---------------------------------------------------------------------------------------------- items

  /** Whether so many bytes are there. Throws when they can never be. */
  has(count: number): boolean {
    const missing = count - (this.end - this.at)
    if (missing <= 0) return true
    if (this.finished || this.base + this.end + missing > this.total) this.fail("unexpected end of data")
    this.wanted = missing
    return false
  }

  /** The next byte, which `has` has seen. */
  byte(): number {
    return this.window[this.at++]!
  }

  /** The byte `ahead` of the next one, which `has` has seen. */
  peek(ahead: number): number {
    return this.window[this.at + ahead]!
  }

  /** Passes over bytes that `has` has seen. */
  skip(count: number): void {
    this.at += count
  }

  /** A length, into `value` (approximate above 2^53; exact in `high` and `low`) and `isEncoding`. */
  size(): boolean {
    const { window, at } = this
    if (at >= this.end) return this.has(1)
    const first = window[at]!
    this.isEncoding = false
    this.high = 0
    if (first < 0x40) {
      this.value = first
      this.low = first
      this.at = at + 1
      return true
    }
    if (first < 0x80) {
      if (!this.has(2)) return false
      this.value = ((first & 0x3f) << 8) | window[at + 1]!
      this.low = this.value
      this.at = at + 2
      return true
    }
    if (first === 0x80) {
      if (!this.has(5)) return false
      this.low = readWord(window, at + 1)
      this.value = this.low
      this.at = at + 5
      return true
    }
    if (first === 0x81) {
      if (!this.has(9)) return false
      this.high = readWord(window, at + 1)
      this.low = readWord(window, at + 5)
      this.value = this.high * TWO_32 + this.low
      this.at = at + 9
      return true
    }
    if (first < 0xc0) this.fail(`unknown length encoding ${first}`)
    this.isEncoding = true
    this.value = first & 0x3f
    this.at = at + 1
    return true
  }

  /** A length that is no encoding. */
  count(): boolean {
    if (!this.size()) return false
    if (this.isEncoding) this.fail("a length is expected, not an encoded string")
    return true
  }

  /** A signed 64-bit integer, little-endian, into `value`; approximate beyond 2^53. */
  time(): boolean {
    if (!this.has(8)) return false
    const { window, at } = this
    let low = 0
    let high = 0
    for (let i = 3; i >= 0; i--) {
      low = low * 256 + window[at + i]!
      high = (high << 8) | window[at + 4 + i]!
    }
    this.value = high * TWO_32 + low
    this.at = at + 8
    return true
  }

  /** A double, little-endian, into `value`. */
  double(): boolean {
    if (!this.has(8)) return false
    for (let i = 0; i < 8; i++) cellBytes[i] = this.window[this.at + i]!
    this.value = cell[0]!
    this.at += 8
    return true
  }

  /** Bytes without a length, into bytes[start, stop). */
  raw(count: number): boolean {
    if (!this.has(count)) return false
    this.bytes = this.window
    this.start = this.at
    this.at += count
    this.stop = this.at
    return true
  }

  /**
   * A string, into bytes[start, stop), or `isLong`: then `gather` has to be run next.
   */
  text(): boolean {
    const from = this.at
    this.isLong = false
    this.isOwned = false
    if (!this.size()) return false
    if (this.isEncoding) {
      if (this.encoded(this.value)) return true
      this.at = from
      return false
    }
    const length = this.value
    if (length > LONG_BYTES) {
      this.mustFit(length)
      this.compressedLength = 0
      this.plainLength = length
      this.isLong = length > this.end - this.at
      if (this.isLong) return true
    }
    if (length <= this.end - this.at) {
      this.bytes = this.window
      this.start = this.at
      this.at += length
      this.stop = this.at
      return true
    }
    if (this.has(length)) return true
    // `has` counts from behind the length, which is read again.
    this.at = from
    return false
  }

  /** Gathers a long string in a buffer of its own: bytes[start, stop) after the generator's end. */
  *gather(): Generator<DecodeStep, void> {
    const { compressedLength, plainLength } = this
    const length = compressedLength > 0 ? compressedLength : plainLength
    let buffer = uncleared(Math.min(length, this.total === Number.POSITIVE_INFINITY ? 4 * LONG_BYTES : length))
    let filled = 0
    for (;;) {
      const run = Math.min(length - filled, this.end - this.at)
      if (filled + run > buffer.length) {
        const larger = uncleared(Math.min(length, Math.max(buffer.length * 2, filled + run)))
        copyBytes(buffer, 0, filled, larger, 0)
        buffer = larger
      }
      copyBytes(this.window, this.at, this.at + run, buffer, filled)
      this.at += run
      filled += run
      if (filled === length) break
      this.has(1)
      this.wanted = Math.min(length - filled, WINDOW_BYTES / 2)
      yield NEED_DATA
    }
    if (compressedLength > 0) {
      const plain = uncleared(plainLength)
      if (lzfDecompress(buffer, 0, length, plain, 0, plainLength) !== plainLength) this.fail("malformed compression")
      buffer = plain
    }
    this.bytes = buffer
    this.start = 0
    this.stop = buffer.length
    this.isOwned = true
    this.isLong = false
  }

  /** Brings the checksum up to what has been read. */
  seal(): void {
    if (this.sums) this.checksum.update(this.window, this.summedAt, this.at)
    this.summedAt = this.at
  }

  // ---------------------------------------------------------------------------------------------- within

  private encoded(encoding: number): boolean {
    const { window, at } = this
    switch (encoding) {
      case StringEncoding.Int8:
        if (!this.has(1)) return false
        this.spell((window[at]! << 24) >> 24, 1)
        return true
      case StringEncoding.Int16:
        if (!this.has(2)) return false
        this.spell(((window[at]! | (window[at + 1]! << 8)) << 16) >> 16, 2)
        return true
      case StringEncoding.Int32:
        if (!this.has(4)) return false
        this.spell(window[at]! | (window[at + 1]! << 8) | (window[at + 2]! << 16) | (window[at + 3]! << 24), 4)
        return true
      case StringEncoding.Lzf:
        return this.compressed()
      default:
        return this.fail(`unknown string encoding ${encoding}`)
    }
  }

  private spell(n: number, width: number): void {
    this.at += width
    this.bytes = this.integerText
    this.start = 0
    this.stop = writeInteger(this.integerText, 0, n)
  }

  private compressed(): boolean {
    if (!this.count()) return false
    const shrunk = this.value
    if (!this.count()) return false
    const length = this.value
    this.mustFit(shrunk)
    if (length > STRING_BYTES_MAX || length > shrunk * EXPANSION_MAX)
      this.fail(`a string of ${length} bytes is too long`)
    if (shrunk > this.end - this.at) {
      if (shrunk <= LONG_BYTES) return this.has(shrunk)
      this.compressedLength = shrunk
      this.plainLength = length
      this.isLong = true
      return true
    }
    const isLong = length > LONG_BYTES
    if (!isLong && this.plain.length < length) this.plain = uncleared(LONG_BYTES)
    const plain = isLong ? uncleared(length) : this.plain
    if (lzfDecompress(this.window, this.at, this.at + shrunk, plain, 0, length) !== length) {
      this.fail("malformed compression")
    }
    this.at += shrunk
    this.bytes = plain
    this.start = 0
    this.stop = length
    this.isOwned = isLong
    return true
  }

  /** Refuses what is longer than what can be there. */
  private mustFit(length: number): void {
    const limit = this.finished ? this.base + this.end : this.total
    if (length > STRING_BYTES_MAX || this.offset + length > limit) this.fail(`a string of ${length} bytes is too long`)
  }

  private makeRoom(more: number): void {
    if (this.end + more <= this.window.length) return
    if (this.sums) this.seal()
    const unread = this.end - this.at
    const needed = unread + more
    if (needed > this.window.length) {
      const larger = uncleared(Math.max(WINDOW_BYTES, needed))
      copyBytes(this.window, this.at, this.end, larger, 0)
      this.window = larger
    } else this.window.copyWithin(0, this.at, this.end)
    this.base += this.at
    this.at = 0
    this.end = unread
    this.summedAt = 0
  }
}

const cell = new Float64Array(1)
const cellBytes = new Uint8Array(cell.buffer)

function readWord(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}
