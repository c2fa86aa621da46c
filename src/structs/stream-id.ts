/**
 * Stream ids: a pair of unsigned 64-bit numbers, milliseconds and sequence, ordered as one 128-bit number.
 *
 * Both halves may reach 2^64 - 1 and have to be kept, compared and printed exactly, so an id is four 32-bit words; no
 * BigInt is made except to read or print a half beyond 2^53. A StreamId is a mutable register: commands keep a few and
 * fill them, structures keep their own copies.
 */

import { latin1 } from "../bytes/compare.ts"
import { parseUint64, writeBigInt, writeInteger } from "../bytes/int64.ts"

/** "18446744073709551615-18446744073709551615" */
export const STREAM_ID_TEXT_BYTES_MAX = 41

/** What StreamId.parse() found. */
export const ID_INVALID = 0
/** "ms-seq" */
export const ID_FULL = 1
/** "ms" alone; the sequence is what the caller asked for. */
export const ID_MS_ONLY = 2
/** "ms-*": the sequence is to be chosen; it is 0 here. */
export const ID_AUTO_SEQUENCE = 3

const TWO_32 = 0x1_0000_0000
const WORD_MAX = 0xffff_ffff
/** High words below this make a number below 2^53. */
const SAFE_HIGH = 0x20_0000
/** Longer texts are refused unread, as in Redis. */
const PARSED_BYTES_MAX = 127
const DASH = 0x2d
const STAR = 0x2a

export class StreamId {
  msHigh = 0
  msLow = 0
  seqHigh = 0
  seqLow = 0

  /** Milliseconds as a number, approximate beyond 2^53. */
  get ms(): number {
    return this.msHigh * TWO_32 + this.msLow
  }

  /** Sequence as a number, approximate beyond 2^53. */
  get seq(): number {
    return this.seqHigh * TWO_32 + this.seqLow
  }

  /** Takes two safe integers, not negative. */
  set(ms: number, seq: number): this {
    this.msHigh = Math.floor(ms / TWO_32)
    this.msLow = ms >>> 0
    this.seqHigh = Math.floor(seq / TWO_32)
    this.seqLow = seq >>> 0
    return this
  }

  setWords(msHigh: number, msLow: number, seqHigh: number, seqLow: number): this {
    this.msHigh = msHigh
    this.msLow = msLow
    this.seqHigh = seqHigh
    this.seqLow = seqLow
    return this
  }

  copy(other: StreamId): this {
    this.msHigh = other.msHigh
    this.msLow = other.msLow
    this.seqHigh = other.seqHigh
    this.seqLow = other.seqLow
    return this
  }

  clone(): StreamId {
    return new StreamId().copy(this)
  }

  /** 0-0 */
  setMin(): this {
    return this.setWords(0, 0, 0, 0)
  }

  setMax(): this {
    return this.setWords(WORD_MAX, WORD_MAX, WORD_MAX, WORD_MAX)
  }

  /** The highest sequence of the same millisecond. */
  setMaxSequence(): this {
    this.seqHigh = WORD_MAX
    this.seqLow = WORD_MAX
    return this
  }

  isMin(): boolean {
    return this.msHigh === 0 && this.msLow === 0 && this.seqHigh === 0 && this.seqLow === 0
  }

  isMax(): boolean {
    return this.isMaxSequence() && this.msHigh === WORD_MAX && this.msLow === WORD_MAX
  }

  isMaxSequence(): boolean {
    return this.seqHigh === WORD_MAX && this.seqLow === WORD_MAX
  }

  /** Negative, 0 or positive. */
  compare(other: StreamId): number {
    return (
      this.msHigh - other.msHigh ||
      this.msLow - other.msLow ||
      this.seqHigh - other.seqHigh ||
      this.seqLow - other.seqLow
    )
  }

  /** Order of the milliseconds alone. */
  compareMs(other: StreamId): number {
    return this.msHigh - other.msHigh || this.msLow - other.msLow
  }

  /** The next id of the same millisecond; false, and no change, when there is none. */
  incrementSequence(): boolean {
    if (this.isMaxSequence()) return false
    this.seqLow = (this.seqLow + 1) >>> 0
    if (this.seqLow === 0) this.seqHigh++
    return true
  }

  /** The next id; false, and no change, at the highest. */
  increment(): boolean {
    if (this.incrementSequence()) return true
    if (this.isMax()) return false
    this.seqHigh = 0
    this.seqLow = 0
    this.msLow = (this.msLow + 1) >>> 0
    if (this.msLow === 0) this.msHigh++
    return true
  }

  /** The id before; false, and no change, at 0-0. */
  decrement(): boolean {
    if (this.isMin()) return false
    if (this.seqLow > 0) this.seqLow--
    else if (this.seqHigh > 0) {
      this.seqHigh--
      this.seqLow = WORD_MAX
    } else {
      this.setMaxSequence()
      if (this.msLow === 0) this.msHigh--
      this.msLow = (this.msLow - 1) >>> 0
    }
    return true
  }

  /**
   * Reads "ms", "ms-seq" or "ms-*"; returns one of the ID_ kinds. "ms" alone gets the sequence 0, or the highest when
   * `missingIsMax`. The id is undefined after ID_INVALID. "-", "+", "$", ">" and "*" are the caller's.
   */
  parse(bytes: Uint8Array, start: number, end: number, missingIsMax = false): number {
    if (end - start > PARSED_BYTES_MAX) return ID_INVALID
    let dash = start
    while (dash < end && bytes[dash]! !== DASH) dash++
    if (!parseU64(bytes, start, dash)) return ID_INVALID
    this.msHigh = parsedHigh
    this.msLow = parsedLow
    this.seqHigh = 0
    this.seqLow = 0
    if (dash === end) {
      if (missingIsMax) this.setMaxSequence()
      return ID_MS_ONLY
    }
    if (end - dash === 2 && bytes[dash + 1]! === STAR) return ID_AUTO_SEQUENCE
    if (!parseU64(bytes, dash + 1, end)) return ID_INVALID
    this.seqHigh = parsedHigh
    this.seqLow = parsedLow
    return ID_FULL
  }

  /** Writes "ms-seq" to dst[at], at most STREAM_ID_TEXT_BYTES_MAX bytes; returns the offset behind it. */
  write(dst: Uint8Array, at: number): number {
    at = writeU64(dst, at, this.msHigh, this.msLow)
    dst[at] = DASH
    return writeU64(dst, at + 1, this.seqHigh, this.seqLow)
  }

  toString(): string {
    const text = new Uint8Array(STREAM_ID_TEXT_BYTES_MAX)
    return latin1(text, 0, this.write(text, 0))
  }
}

// Result of parseU64.
let parsedHigh = 0
let parsedLow = 0

/** What Redis takes for an unsigned 64-bit number. */
function parseU64(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return false
  const value = parseUint64(bytes, start, end)
  if (value === undefined) return false
  if (typeof value === "number") {
    parsedHigh = Math.floor(value / TWO_32)
    parsedLow = value >>> 0
  } else {
    parsedHigh = Number(value >> 32n)
    parsedLow = Number(value & 0xffff_ffffn)
  }
  return true
}

/** Writes the number high * 2^32 + low in decimal; returns the offset behind it. */
function writeU64(dst: Uint8Array, at: number, high: number, low: number): number {
  if (high < SAFE_HIGH) return writeInteger(dst, at, high * TWO_32 + low)
  return writeBigInt(dst, at, (BigInt(high) << 32n) | BigInt(low))
}
