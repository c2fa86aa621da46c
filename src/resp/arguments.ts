/**
 * The arguments of one request, as places in a buffer: nothing is copied and no view is made.
 *
 * The table is reused from command to command. Whoever keeps an argument beyond the command must copy it.
 */

import { bytesOf, copyOf, equalsIgnoreCase, latin1, utf8 } from "../bytes/compare.ts"
import { parseInt64, parseSafeInteger } from "../bytes/int64.ts"

/** Copying less than this costs less than keeping the rest of the buffer alive. */
const TAKEN_OVER_BYTES_MIN = 1024 * 1024

export class Arguments {
  /** The buffer all offsets refer to; borrowed. */
  bytes: Uint8Array = new Uint8Array(0)
  count = 0
  starts = new Int32Array(32)
  ends = new Int32Array(32)
  /** Where the request stands as RESP arrays of bulks in `bytes`, for verbatim propagation; -1 when it does not. */
  frameStart = -1
  frameEnd = -1
  /** True when nobody needs the buffer after this request: then a large argument may be kept where it is (`takeOver`). */
  isLast = false

  /** Adds an argument at [start, end). */
  push(start: number, end: number): void {
    if (this.count === this.starts.length) this.grow()
    this.starts[this.count] = start
    this.ends[this.count++] = end
  }

  start(i: number): number {
    return this.starts[i]!
  }

  end(i: number): number {
    return this.ends[i]!
  }

  length(i: number): number {
    return this.ends[i]! - this.starts[i]!
  }

  /** Whether argument `i` spells a lower-case ASCII word, in any case. */
  is(i: number, lower: string): boolean {
    return equalsIgnoreCase(this.bytes, this.starts[i]!, this.ends[i]!, lower)
  }

  equalsIgnoreCase(i: number, lower: string): boolean {
    return this.is(i, lower)
  }

  /** Argument as an integer; NaN when it is none, or one outside ±(2^53 - 1). */
  integer(i: number): number {
    return parseSafeInteger(this.bytes, this.starts[i]!, this.ends[i]!)
  }

  /** Argument as a 64-bit integer, a bigint where a number would not be exact; undefined when it is none. */
  int64(i: number): number | bigint | undefined {
    return parseInt64(this.bytes, this.starts[i]!, this.ends[i]!)
  }

  /** Whether argument `i` is a greater integer than `j`: also beyond 2^53. Both must be known to be 64-bit integers. */
  exceeds(i: number, j: number): boolean {
    return this.int64(i)! > this.int64(j)!
  }

  /** A copy of the argument's bytes. */
  copy(i: number): Uint8Array<ArrayBuffer> {
    return copyOf(this.bytes, this.starts[i]!, this.ends[i]!)
  }

  /** The argument's bytes for good, without copying: only of large arguments, in a buffer that serves no other request. */
  takeOver(i: number): Uint8Array | undefined {
    if (!this.isLast || this.ends[i]! - this.starts[i]! < TAKEN_OVER_BYTES_MIN) return undefined
    return this.bytes.subarray(this.starts[i]!, this.ends[i]!)
  }

  /** Argument with one character per byte. */
  latin1(i: number): string {
    return latin1(this.bytes, this.starts[i]!, this.ends[i]!)
  }

  utf8(i: number): string {
    return utf8(this.bytes, this.starts[i]!, this.ends[i]!)
  }

  /** Takes over words given as strings or bytes, laid out as a RESP request. Allocates; not for the hot path. */
  assign(words: readonly (string | number | Uint8Array)[]): void {
    const parts = words.map(word => (word instanceof Uint8Array ? word : bytesOf(String(word))))
    let size = 16
    for (const part of parts) size += part.length + 16
    const bytes = new Uint8Array(size)
    const put = (text: string, at: number): number => {
      for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i)
      return at + text.length
    }
    this.bytes = bytes
    this.count = 0
    let at = put(`*${parts.length}\r\n`, 0)
    for (const part of parts) {
      at = put(`$${part.length}\r\n`, at)
      bytes.set(part, at)
      this.push(at, at + part.length)
      at = put("\r\n", at + part.length)
    }
    this.frameStart = 0
    this.frameEnd = at
  }

  /** An owned copy, its buffer trimmed to the request. */
  clone(): Arguments {
    const twin = new Arguments()
    let from = this.frameStart
    let to = this.frameEnd
    if (from < 0) {
      from = Number.MAX_SAFE_INTEGER
      for (let i = 0; i < this.count; i++) {
        from = Math.min(from, this.starts[i]!)
        to = Math.max(to, this.ends[i]!)
      }
    }
    twin.bytes = copyOf(this.bytes, from, to)
    for (let i = 0; i < this.count; i++) twin.push(this.starts[i]! - from, this.ends[i]! - from)
    if (this.frameStart >= 0) {
      twin.frameStart = 0
      twin.frameEnd = to - from
    }
    return twin
  }

  /** Moves all offsets, when the bytes moved. */
  shift(by: number): void {
    for (let i = 0; i < this.count; i++) {
      this.starts[i]! += by
      this.ends[i]! += by
    }
  }

  /** Makes room for more arguments: `starts` and `ends` are others then. */
  grow(): void {
    const starts = new Int32Array(this.starts.length * 2)
    const ends = new Int32Array(this.ends.length * 2)
    starts.set(this.starts)
    ends.set(this.ends)
    this.starts = starts
    this.ends = ends
  }
}
