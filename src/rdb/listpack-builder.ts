/**
 * Builds a listpack entry by entry in a buffer that is used again. The result is borrowed until the next `begin`.
 */

import { copyBytes, uncleared } from "../bytes/compare.ts"
import { lpIntegerSize, lpWriteEntry, lpWriteInteger } from "../structs/listpack.ts"

const HEADER_BYTES = 6
const END = 0xff
const COUNT_UNKNOWN = 0xffff
/** Most bytes an entry takes beside its text. */
const ENTRY_EXTRA_BYTES = 10
const INITIAL_BYTES = 16 * 1024
/** A buffer above this is given up when a new listpack is begun. */
const KEPT_BYTES_MAX = 1024 * 1024

export class ListpackBuilder {
  bytes: Uint8Array = uncleared(INITIAL_BYTES)
  count = 0
  /** Bytes so far, or of the whole after `end`. */
  length = HEADER_BYTES

  begin(): void {
    if (this.bytes.length > KEPT_BYTES_MAX) this.bytes = uncleared(INITIAL_BYTES)
    this.count = 0
    this.length = HEADER_BYTES
  }

  text(value: Uint8Array, start: number, end: number): void {
    this.reserve(end - start + ENTRY_EXTRA_BYTES)
    this.length = lpWriteEntry(this.bytes, this.length, value, start, end)
    this.count++
  }

  /** A safe integer. */
  integer(n: number): void {
    this.reserve(lpIntegerSize(n))
    this.length = lpWriteInteger(this.bytes, this.length, n)
    this.count++
  }

  /** Entries that are in the form of a listpack already. */
  entries(src: Uint8Array, start: number, end: number, count: number): void {
    this.reserve(end - start)
    copyBytes(src, start, end, this.bytes, this.length)
    this.length += end - start
    this.count += count
  }

  /** Completes the listpack, which is bytes[0, length). */
  end(): void {
    this.reserve(1)
    const { bytes } = this
    bytes[this.length++] = END
    const { length } = this
    for (let i = 0; i < 4; i++) bytes[i] = length >>> (8 * i)
    const count = Math.min(this.count, COUNT_UNKNOWN)
    bytes[4] = count
    bytes[5] = count >> 8
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return
    const larger = uncleared(Math.max(this.length + more, this.bytes.length * 2))
    copyBytes(this.bytes, 0, this.length, larger, 0)
    this.bytes = larger
  }
}
