/** Sorted sets: random members, and walking through all of them a bit at a time. */

import { globMatch } from "../bytes/glob.ts"
import { parseUint64 } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { INVALID_CURSOR, NOT_INTEGER, OUT_OF_RANGE_VALUE, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { ZsetTable } from "../structs/zset-table.ts"
import { bulkScore, replyScore } from "./zset-score.ts"
import { cursor, zset } from "./zset-value.ts"

const INT64_MIN = -(2n ** 63n)
const COUNT_OUT_OF_RANGE = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
/** With scores a count may be half of what it may be without. */
const COUNT_WITH_SCORES_MAX = 2n ** 62n - 1n
/** Members are drawn one by one while at most one in this many is wanted. */
const DRAWS_BELOW = 3
/** A reply with repetitions stops here, as an error. */
const REPLY_BYTES_MAX = 1 << 30
const SCAN_COUNT = 10
/** Cursors from here on are legal but lie behind the last hash. */
const CURSOR_LIMIT = 2 ** 32
const STAR = 0x2a

export const sortedSetWalkCommands: readonly CommandSpec[] = [
  {
    name: "zrandmember",
    since: "6.2.0",
    group: "sorted-set",
    arity: -2,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key [options=count:integer [WITHSCORES]]",
    summary: "Picks random members of a sorted set.",
    complexity: "O(N), N members returned",
    run: zrandmember,
  },
  {
    name: "zscan",
    since: "2.8.0",
    group: "sorted-set",
    arity: -3,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key cursor:integer [MATCH pattern] [COUNT count:integer]",
    summary: "Walks through the members of a sorted set, a bit per call.",
    complexity: "O(1) per call, O(N) for a whole walk over N members",
    run: zscan,
  },
]

// ---- random members -------------------------------------------------------------------------------------------------

function zrandmember(call: Call): void {
  if (call.args.count > 2) {
    chooseMany(call)
    return
  }
  if (!zset.read(call)) return
  if (zset.exists) {
    cursor.seek(zset, call.keyspace.random.nextBelow(zset.size))
    call.reply.bulk(cursor.bytes, cursor.start, cursor.end)
    cursor.release()
  } else call.reply.null()
}

function chooseMany(call: Call): void {
  const { args, reply } = call
  const wide = args.int64(2)
  const withScores = args.count === 4 && args.is(3, "withscores")
  let error: string | undefined
  if (wide === undefined) error = NOT_INTEGER
  else if (wide === INT64_MIN) error = COUNT_OUT_OF_RANGE
  else if (args.count > 3 && !withScores) error = SYNTAX
  else if (withScores && (wide > COUNT_WITH_SCORES_MAX || wide < -COUNT_WITH_SCORES_MAX)) error = OUT_OF_RANGE_VALUE
  if (error !== undefined) {
    reply.error(error)
    return
  }
  const count = Number(wide)
  if (!zset.read(call)) return
  const { size } = zset
  const from = reply.begin()
  const wanted = size === 0 ? 0 : count < 0 ? -count : Math.min(count, size)
  reply.array(withScores && !reply.resp3 ? wanted * 2 : wanted)
  if (wanted === 0) return
  if (count < 0) chooseRepeatedly(call, wanted, withScores, from)
  else if (wanted * DRAWS_BELOW <= size) chooseFew(call, wanted, withScores)
  else chooseMost(call, wanted, withScores)
  cursor.release()
}

function replyMember(call: Call, withScore: boolean): void {
  const { reply } = call
  if (withScore && reply.resp3) reply.array(2)
  reply.bulk(cursor.bytes, cursor.start, cursor.end)
  if (withScore) replyScore(reply, cursor.score)
}

function chooseRepeatedly(call: Call, wanted: number, withScores: boolean, from: number): void {
  const { reply } = call
  const { random } = call.keyspace
  const { size } = zset
  for (let i = 0; i < wanted; i++) {
    cursor.seek(zset, random.nextBelow(size))
    replyMember(call, withScores)
    if (reply.at - from > REPLY_BYTES_MAX) {
      reply.at = from
      reply.error(OUT_OF_RANGE_VALUE)
      return
    }
  }
}

function chooseFew(call: Call, wanted: number, withScores: boolean): void {
  const { random } = call.keyspace
  const { size } = zset
  const drawn = new Set<number>()
  while (drawn.size < wanted) drawn.add(random.nextBelow(size))
  for (const rank of drawn) {
    cursor.seek(zset, rank)
    replyMember(call, withScores)
  }
}

/** Each member is taken with the chance that exactly as many as wanted come together. */
function chooseMost(call: Call, wanted: number, withScores: boolean): void {
  const { random } = call.keyspace
  cursor.first(zset)
  for (let left = zset.size; wanted > 0; left--) {
    if (wanted === left || random.nextBelow(left) < wanted) {
      replyMember(call, withScores)
      wanted--
    }
    if (wanted > 0) cursor.next()
  }
}

// ---- walking --------------------------------------------------------------------------------------------------------

const scanned: number[] = []

function zscan(call: Call): void {
  const { args, reply } = call
  const from = parseUint64(args.bytes, args.starts[2]!, args.ends[2]!)
  if (from === undefined) {
    reply.error(INVALID_CURSOR)
    return
  }
  if (!zset.read(call)) return
  if (!zset.exists) {
    reply.array(2)
    reply.bulkText("0")
    reply.array(0)
    return
  }
  let count = SCAN_COUNT
  let pattern = 0
  for (let i = 3; i < args.count; i += 2) {
    if (i + 1 < args.count && args.is(i, "count")) {
      count = call.integer(i + 1)
      if (Number.isNaN(count)) return
    } else if (i + 1 < args.count && args.is(i, "match")) {
      pattern = args.length(i + 1) === 1 && args.bytes[args.starts[i + 1]!] === STAR ? 0 : i + 1
    } else count = 0
    if (count < 1) {
      reply.error(SYNTAX)
      return
    }
  }
  reply.array(2)
  if (zset.table === undefined) scanPacked(call, pattern)
  else scanTable(call, zset.table, from < CURSOR_LIMIT ? Number(from) : -1, count, pattern)
}

function scanPacked(call: Call, pattern: number): void {
  const { reply } = call
  reply.bulkText("0")
  const mark = reply.begin()
  let written = 0
  for (let more = cursor.first(zset); more; more = cursor.next()) {
    if (!matches(call, pattern, cursor.bytes, cursor.start, cursor.end)) continue
    reply.bulk(cursor.bytes, cursor.start, cursor.end)
    bulkScore(reply, cursor.score)
    written += 2
  }
  cursor.release()
  reply.endArray(mark, written)
}

function scanTable(call: Call, table: ZsetTable, from: number, count: number, pattern: number): void {
  const { reply } = call
  const { index } = table
  scanned.length = 0
  reply.bulkInteger(from < 0 ? 0 : index.scan(from, count, scanned))
  const mark = reply.begin()
  let written = 0
  for (const address of scanned) {
    index.readKey(address)
    if (!matches(call, pattern, index.keyBytes, index.keyStart, index.keyEnd)) continue
    reply.bulk(index.keyBytes, index.keyStart, index.keyEnd)
    bulkScore(reply, table.scoreAt(address))
    written += 2
  }
  reply.endArray(mark, written)
}

function matches(call: Call, pattern: number, bytes: Uint8Array, start: number, end: number): boolean {
  const { args } = call
  return pattern === 0 || globMatch(args.bytes, args.starts[pattern]!, args.ends[pattern]!, bytes, start, end)
}
