/** Scores as text and as replies, and the bounds of ranges as commands spell them. */

import { latin1 } from "../bytes/compare.ts"
import { DOUBLE_TEXT_BYTES_MAX, parseDouble, writeDouble } from "../bytes/double.ts"
import { isSpace } from "../bytes/int64.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"

const PARENTHESIS = 0x28
const BRACKET = 0x5b
const PLUS = 0x2b
const MINUS = 0x2d

/** Members up to this long have a length of two digits. */
const SHORT_MEMBER_BYTES_MAX = 99
const SHORT_FRAME_BYTES = 8

const text = new Uint8Array(DOUBLE_TEXT_BYTES_MAX)

/** A score as a reply: a double of RESP3, a bulk of RESP2. Allocates nothing for integers and short decimals. */
export function replyScore(reply: ReplyWriter, score: number): void {
  if (!reply.resp3) {
    reply.bulk(text, 0, writeDouble(text, 0, score))
    return
  }
  reply.ensure(DOUBLE_TEXT_BYTES_MAX + 3)
  const { bytes } = reply
  bytes[reply.at] = 0x2c
  const at = writeDouble(bytes, reply.at + 1, score)
  bytes[at] = 13
  bytes[at + 1] = 10
  reply.at = at + 2
}

/** A member as a bulk. Written out by hand for short ones: this is what ranges spend their time on. */
export function replyMember(reply: ReplyWriter, bytes: Uint8Array, start: number, end: number): void {
  const length = end - start
  if (length > SHORT_MEMBER_BYTES_MAX) {
    reply.bulk(bytes, start, end)
    return
  }
  reply.ensure(length + SHORT_FRAME_BYTES)
  const out = reply.bytes
  let at = reply.at
  out[at] = 0x24
  if (length < 10) {
    out[at + 1] = 48 + length
    at += 2
  } else {
    const tens = (length / 10) | 0
    out[at + 1] = 48 + tens
    out[at + 2] = 48 + length - tens * 10
    at += 3
  }
  out[at] = 13
  out[at + 1] = 10
  at += 2
  for (let i = start; i < end; i++) out[at++] = bytes[i]!
  out[at] = 13
  out[at + 1] = 10
  reply.at = at + 2
}

/** A score as a bulk in either protocol. */
export function bulkScore(reply: ReplyWriter, score: number): void {
  reply.bulk(text, 0, writeDouble(text, 0, score))
}

/** A range of scores: "1.5", "(1.5" (exclusive), "-inf", "+inf". */
export class ScoreRange {
  min = 0
  max = 0
  minExclusive = false
  maxExclusive = false

  /** False when one of the arguments is no bound. */
  parse(args: Arguments, min: number, max: number): boolean {
    const { bytes, starts, ends } = args
    this.minExclusive = starts[min]! < ends[min]! && bytes[starts[min]!] === PARENTHESIS
    this.min = parseBound(bytes, starts[min]! + (this.minExclusive ? 1 : 0), ends[min]!)
    this.maxExclusive = starts[max]! < ends[max]! && bytes[starts[max]!] === PARENTHESIS
    this.max = parseBound(bytes, starts[max]! + (this.maxExclusive ? 1 : 0), ends[max]!)
    return !Number.isNaN(this.min) && !Number.isNaN(this.max)
  }
}

/** As C's strtod: what parseDouble takes, and nothing at all (0), leading spaces, and values out of range. NaN for an error. */
function parseBound(bytes: Uint8Array, start: number, end: number): number {
  const value = parseDouble(bytes, start, end)
  return value === undefined ? parseRareBound(bytes, start, end) : value
}

const RARE_BOUND = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/
const BOUND_BYTES_MAX = 1 << 16

function parseRareBound(bytes: Uint8Array, start: number, end: number): number {
  // The text ends at its first zero byte, as far as C is concerned.
  let stop = start
  while (stop < end && bytes[stop] !== 0) stop++
  if (stop === start) return 0
  let from = start
  while (from < stop && isSpace(bytes[from]!)) from++
  if (from === stop || stop - from > BOUND_BYTES_MAX) return Number.NaN
  const value = parseDouble(bytes, from, stop)
  if (value !== undefined) return value
  const spelled = latin1(bytes, from, stop)
  return RARE_BOUND.test(spelled) ? Number(spelled) : Number.NaN
}

const LexKind = { Lowest: 0, Highest: 1, Member: 2 } as const
type LexKind = (typeof LexKind)[keyof typeof LexKind]

/** One end of a range of members: "-", "+", "[member", "(member" (exclusive). */
export class LexBound {
  kind: LexKind = LexKind.Lowest
  exclusive = false
  bytes: Uint8Array = text
  start = 0
  end = 0

  parse(args: Arguments, i: number): boolean {
    const { bytes } = args
    const start = args.starts[i]!
    const end = args.ends[i]!
    this.bytes = bytes
    this.start = start + 1
    this.end = end
    const first = start < end ? bytes[start]! : 0
    if (first === PLUS || first === MINUS) {
      this.kind = first === PLUS ? LexKind.Highest : LexKind.Lowest
      return end - start === 1 || bytes[start + 1] === 0
    }
    this.kind = LexKind.Member
    this.exclusive = first === PARENTHESIS
    return first === PARENTHESIS || first === BRACKET
  }

  get isLowest(): boolean {
    return this.kind === LexKind.Lowest
  }

  get isHighest(): boolean {
    return this.kind === LexKind.Highest
  }
}
