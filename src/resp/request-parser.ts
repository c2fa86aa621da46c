/**
 * Parses requests in place. A parser belongs to one connection and keeps only numbers between chunks; the argument
 * table is the caller's, and is lent to it until a request is complete.
 *
 *   Start ──'*'──▶ Count ──▶ Bulk ──▶ (n times) ──▶ Ready
 *     │                        ▲│
 *     └──other──▶ Inline       └┴── Pending: not all bytes are there; call again with more behind the same ones
 *
 * Invariants
 *  1. Pending keeps what was learned: `at` only moves forward, so a request costs time linear in its bytes no matter how
 *     it is cut; `needed` says how many bytes of the buffer must be there before a further call can make progress.
 *  2. Offsets are relative to the buffer; when its owner moves the request to another place it calls `rebase`.
 *  3. Nothing is reserved on the word of an announced length.
 *
 * Formats and error texts: https://redis.io/docs/latest/develop/reference/protocol-spec/ and what Redis answers.
 * Redis skips the byte behind a '\r' unread; so do we.
 */

import { isSpace, parseSafeInteger } from "../bytes/int64.ts"
import type { Arguments } from "./arguments.ts"

export const Ready = 0
export const Pending = 1
export const Invalid = 2
/** An empty inline line, or a multibulk of no arguments: consumed, nothing to run. */
export const Empty = 3
export type ParseResult = typeof Ready | typeof Pending | typeof Invalid | typeof Empty

const INLINE_BYTES_MAX = 64 * 1024
const ARGUMENTS_MAX = 2 ** 31 - 1
const UNAUTHENTICATED_ARGUMENTS_MAX = 10
const UNAUTHENTICATED_BULK_BYTES_MAX = 16384

const CR = 13
const LF = 10
const STAR = 42
const DOLLAR = 36

export class RequestParser {
  /** Where the next byte to look at stands. After Ready: the end of the request. */
  at = 0
  /** After Pending: how long the buffer must be at least before it is worth calling again. */
  needed = 0
  /** After Pending inside of an argument: where its bytes begin; else 0. */
  argumentAt = 0
  /** After Invalid: the text behind "Protocol error: ". */
  error = ""
  /** Set by the owner until the client has authenticated: small limits. */
  unauthenticated = false
  bulkBytesMax = 512 * 1024 * 1024

  /** Arguments still to come; -1 between requests. */
  private remaining = -1
  private start = 0

  /** True when a request has been begun and not finished. */
  get midway(): boolean {
    return this.remaining >= 0
  }

  /** Parses one request from `bytes[this.at, end)` into `args`. */
  next(bytes: Uint8Array, end: number, args: Arguments): ParseResult {
    let at = this.at
    let remaining = this.remaining
    let { count, ends, starts } = args
    if (remaining < 0) {
      if (at >= end) {
        this.needed = end + 1
        return Pending
      }
      this.start = at
      count = 0
      args.count = 0
      args.bytes = bytes
      if (bytes[at] !== STAR) return this.inline(bytes, end, args)
      // The usual count is one digit.
      const digit = end - at >= 4 ? bytes[at + 1]! - 48 : -1
      if (digit > 0 && digit <= 9 && bytes[at + 2] === CR) {
        remaining = digit
        at += 4
      } else {
        const line = this.line(bytes, at, end, "too big mbulk count string")
        if (line < 0) return line === -1 ? Pending : Invalid
        const announced = parseSafeInteger(bytes, at + 1, line)
        if (!(announced <= ARGUMENTS_MAX)) return this.fail("invalid multibulk length")
        if (this.unauthenticated && announced > UNAUTHENTICATED_ARGUMENTS_MAX) {
          return this.fail("unauthenticated multibulk length")
        }
        at = line + 2
        if (announced <= 0) {
          this.at = at
          return Empty
        }
        remaining = announced
      }
    }
    while (remaining > 0) {
      let length = 0
      let body = 0
      // One- and two-digit lengths are nearly all there are.
      if (end - at >= 5 && bytes[at] === DOLLAR) {
        const high = bytes[at + 1]! - 48
        if (high >= 0 && high <= 9) {
          const second = bytes[at + 2]!
          if (second === CR) {
            length = high
            body = at + 4
          } else if (high > 0 && second >= 48 && second <= 57 && bytes[at + 3] === CR) {
            length = high * 10 + second - 48
            body = at + 5
          }
        }
      }
      if (body === 0) {
        this.at = at
        this.remaining = remaining
        this.argumentAt = 0
        args.count = count
        if (at >= end) {
          this.needed = end + 1
          return Pending
        }
        const line = this.line(bytes, at, end, "too big bulk count string")
        if (line < 0) return line === -1 ? Pending : Invalid
        if (bytes[at] !== DOLLAR) return this.fail(`expected '$', got '${String.fromCharCode(bytes[at]!)}'`)
        length = parseSafeInteger(bytes, at + 1, line)
        if (!(length >= 0 && length <= this.bulkBytesMax)) return this.fail("invalid bulk length")
        if (this.unauthenticated && length > UNAUTHENTICATED_BULK_BYTES_MAX) {
          return this.fail("unauthenticated bulk length")
        }
        body = line + 2
      }
      if (body + length + 2 > end) {
        this.at = at
        this.remaining = remaining
        this.needed = body + length + 2
        this.argumentAt = body
        args.count = count
        return Pending
      }
      if (count === starts.length) {
        args.count = count
        args.grow()
        starts = args.starts
        ends = args.ends
      }
      starts[count] = body
      ends[count++] = body + length
      at = body + length + 2
      remaining--
    }
    this.at = at
    this.remaining = -1
    args.count = count
    args.bytes = bytes
    args.frameStart = this.start
    args.frameEnd = at
    return Ready
  }

  /** The request in progress now begins at offset 0 of a buffer: its bytes were moved down by `by`. */
  rebase(by: number, args: Arguments): void {
    this.at -= by
    this.start -= by
    this.needed -= by
    if (this.argumentAt > 0) this.argumentAt -= by
    args.shift(-by)
  }

  /** Goes back to the beginning of a request that was parsed and cannot be run yet. */
  rewind(at: number): void {
    this.at = at
    this.remaining = -1
  }

  /** Offset at which the unfinished request begins (all before it is done with). */
  get keepFrom(): number {
    return this.remaining >= 0 ? this.start : this.at
  }

  /** Offset of the '\r' that ends the line at `at`; -1 when it is not there yet, -2 when the line is too long. */
  private line(bytes: Uint8Array, at: number, end: number, tooLong: string): number {
    const limit = Math.min(end, at + INLINE_BYTES_MAX)
    for (let i = at; i < limit; i++) {
      if (bytes[i] !== CR) continue
      if (i + 1 < end) return i
      this.needed = i + 2
      return -1
    }
    if (end - at > INLINE_BYTES_MAX) {
      this.fail(tooLong)
      return -2
    }
    this.needed = end + 1
    return -1
  }

  private inline(bytes: Uint8Array, end: number, args: Arguments): ParseResult {
    const start = this.at
    const newline = bytes.subarray(start, Math.min(end, start + INLINE_BYTES_MAX + 1)).indexOf(LF)
    if (newline < 0) {
      if (end - start > INLINE_BYTES_MAX) return this.fail("too big inline request")
      this.needed = end + 1
      return Pending
    }
    this.at = start + newline + 1
    let stop = start + newline
    if (stop > start && bytes[stop - 1] === CR) stop--
    args.frameStart = -1
    args.frameEnd = -1
    if (!splitInline(bytes, start, stop, args)) return this.fail("unbalanced quotes in request")
    return args.count === 0 ? Empty : Ready
  }

  private fail(text: string): typeof Invalid {
    this.error = text
    return Invalid
  }
}

/** Splits a line as a shell would, with "\xHH", \n, \r, \t, \b, \a inside double quotes. False when quotes do not match. */
function splitInline(bytes: Uint8Array, start: number, end: number, args: Arguments): boolean {
  const out = new Uint8Array(end - start)
  let length = 0
  let at = start
  for (;;) {
    while (at < end && isSpace(bytes[at]!)) at++
    if (at >= end) break
    const from = length
    let quote = 0
    for (;;) {
      if (at >= end) {
        if (quote !== 0) return false
        break
      }
      const byte = bytes[at]!
      if (quote === 34) {
        if (
          byte === 92 &&
          at + 3 < end &&
          bytes[at + 1] === 120 &&
          hex(bytes[at + 2]!) >= 0 &&
          hex(bytes[at + 3]!) >= 0
        ) {
          out[length++] = hex(bytes[at + 2]!) * 16 + hex(bytes[at + 3]!)
          at += 4
          continue
        }
        if (byte === 92 && at + 1 < end) {
          out[length++] = unescaped(bytes[at + 1]!)
          at += 2
          continue
        }
        if (byte === 34) {
          if (at + 1 < end && !isSpace(bytes[at + 1]!)) return false
          at++
          break
        }
      } else if (quote === 39) {
        if (byte === 92 && bytes[at + 1] === 39 && at + 1 < end) {
          out[length++] = 39
          at += 2
          continue
        }
        if (byte === 39) {
          if (at + 1 < end && !isSpace(bytes[at + 1]!)) return false
          at++
          break
        }
      } else if (isSpace(byte) || byte === 0) break
      else if (byte === 34 || byte === 39) {
        quote = byte
        at++
        continue
      }
      out[length++] = byte
      at++
    }
    if (at < end && bytes[at] === 0) at = end
    args.push(from, length)
  }
  args.bytes = out
  return true
}

function hex(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  const lower = byte | 0x20
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

function unescaped(byte: number): number {
  switch (byte) {
    case 110:
      return LF
    case 114:
      return CR
    case 116:
      return 9
    case 98:
      return 8
    case 97:
      return 7
    default:
      return byte
  }
}
