/**
 * Sorted sets by ranges: of ranks, of scores, of members; read, stored, counted, removed.
 *
 * Every range becomes one of ranks first, [from, from + count) from the lowest; what is done with it is the same for all.
 */

import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { ScoreCursor, type ScoreTree } from "../structs/score-tree.ts"
import { result } from "./zset-result.ts"
import { LexBound, replyMember, replyScore, ScoreRange } from "./zset-score.ts"
import { cursor, tellRemoved, zset } from "./zset-value.ts"

const NOT_SCORES = "ERR min or max is not a float"
const NOT_MEMBERS = "ERR min or max not valid string range item"
const LIMIT_BY_RANK = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
const SCORES_BY_LEX = "ERR syntax error, WITHSCORES not supported in combination with BYLEX"

export const sortedSetRangeCommands: readonly CommandSpec[] = [
  {
    name: "zrange",
    since: "1.2.0",
    group: "sorted-set",
    arity: -4,
    flags: "readonly",
    keys: "RO access @1",
    syntax:
      "key start stop [sortby=BYSCORE|BYLEX]@6.2.0 [REV]@6.2.0 [LIMIT(offset:integer count:integer)]@6.2.0 " +
      "[WITHSCORES]",
    summary: "Gives the members in a range of ranks, scores or names.",
    complexity: "O(log(N)+M), N members, M returned",
    run: zrange,
  },
  {
    name: "zrangestore",
    since: "6.2.0",
    group: "sorted-set",
    arity: -5,
    flags: "write denyoom",
    keys: "OW update @1; RO access @2",
    syntax: "dst:key src:key min max [sortby=BYSCORE|BYLEX] [REV] [LIMIT(offset:integer count:integer)]",
    summary: "Stores the members in a range of ranks, scores or names.",
    complexity: "O(log(N)+M), N members, M stored",
    run: zrangestore,
  },
  {
    name: "zrevrange",
    since: "1.2.0",
    group: "sorted-set",
    arity: -4,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key start:integer stop:integer [WITHSCORES]",
    summary: "Gives the members in a range of ranks, highest score first.",
    complexity: "O(log(N)+M), N members, M returned",
    deprecated: { since: "6.2.0", replacedBy: "`ZRANGE` with the `REV` argument" },
    run: zrevrange,
  },
  {
    name: "zrangebyscore",
    since: "1.0.5",
    group: "sorted-set",
    arity: -4,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key min:double max:double [WITHSCORES]@2.0.0 [LIMIT(offset:integer count:integer)]",
    summary: "Gives the members with scores in a range.",
    complexity: "O(log(N)+M), N members, M returned",
    deprecated: { since: "6.2.0", replacedBy: "`ZRANGE` with the `BYSCORE` argument" },
    run: zrangebyscore,
  },
  {
    name: "zrevrangebyscore",
    since: "2.2.0",
    group: "sorted-set",
    arity: -4,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key max:double min:double [WITHSCORES] [LIMIT(offset:integer count:integer)]",
    summary: "Gives the members with scores in a range, highest first.",
    complexity: "O(log(N)+M), N members, M returned",
    deprecated: { since: "6.2.0", replacedBy: "`ZRANGE` with the `REV` and `BYSCORE` arguments" },
    run: zrevrangebyscore,
  },
  {
    name: "zrangebylex",
    since: "2.8.9",
    group: "sorted-set",
    arity: -4,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key min max [LIMIT(offset:integer count:integer)]",
    summary: "Gives the members in a lexicographical range.",
    complexity: "O(log(N)+M), N members, M returned",
    deprecated: { since: "6.2.0", replacedBy: "`ZRANGE` with the `BYLEX` argument" },
    run: zrangebylex,
  },
  {
    name: "zrevrangebylex",
    since: "2.8.9",
    group: "sorted-set",
    arity: -4,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key max min [LIMIT(offset:integer count:integer)]",
    summary: "Gives the members in a lexicographical range, last first.",
    complexity: "O(log(N)+M), N members, M returned",
    deprecated: { since: "6.2.0", replacedBy: "`ZRANGE` with the `REV` and `BYLEX` arguments" },
    run: zrevrangebylex,
  },
  {
    name: "zcount",
    since: "2.0.0",
    group: "sorted-set",
    arity: 4,
    flags: "readonly fast",
    keys: "RO access @1",
    syntax: "key min:double max:double",
    summary: "Counts the members with scores in a range.",
    complexity: "O(log(N)), N members",
    run: zcount,
  },
  {
    name: "zlexcount",
    since: "2.8.9",
    group: "sorted-set",
    arity: 4,
    flags: "readonly fast",
    keys: "RO access @1",
    syntax: "key min max",
    summary: "Counts the members in a lexicographical range.",
    complexity: "O(log(N)), N members",
    run: zlexcount,
  },
  {
    name: "zremrangebyrank",
    since: "2.0.0",
    group: "sorted-set",
    arity: 4,
    flags: "write",
    keys: "RW delete @1",
    syntax: "key start:integer stop:integer",
    summary: "Removes the members in a range of ranks.",
    complexity: "O(log(N)+M), N members, M removed",
    run: zremrangebyrank,
  },
  {
    name: "zremrangebyscore",
    since: "1.2.0",
    group: "sorted-set",
    arity: 4,
    flags: "write",
    keys: "RW delete @1",
    syntax: "key min:double max:double",
    summary: "Removes the members with scores in a range.",
    complexity: "O(log(N)+M), N members, M removed",
    run: zremrangebyscore,
  },
  {
    name: "zremrangebylex",
    since: "2.8.9",
    group: "sorted-set",
    arity: 4,
    flags: "write",
    keys: "RW delete @1",
    syntax: "key min max",
    summary: "Removes the members in a lexicographical range.",
    complexity: "O(log(N)+M), N members, M removed",
    run: zremrangebylex,
  },
]

/** What a range is of; `Auto` is up to the arguments. */
const By = { Auto: 0, Rank: 1, Score: 2, Lex: 3 } as const
type By = (typeof By)[keyof typeof By]

const Direction = { Auto: 0, Forward: 1, Reverse: 2 } as const
type Direction = (typeof Direction)[keyof typeof Direction]

const scoreRange = new ScoreRange()
const lexMin = new LexBound()
const lexMax = new LexBound()
const treeCursor = new ScoreCursor()

/** The range of the running command: its ends as given (ranks only), then in ranks. */
let start = 0
let stop = 0
let from = 0
let count = 0

function zrange(call: Call): void {
  replyRange(call, By.Auto, Direction.Auto)
}

function zrevrange(call: Call): void {
  replyRange(call, By.Rank, Direction.Reverse)
}

function zrangebyscore(call: Call): void {
  replyRange(call, By.Score, Direction.Forward)
}

function zrevrangebyscore(call: Call): void {
  replyRange(call, By.Score, Direction.Reverse)
}

function zrangebylex(call: Call): void {
  replyRange(call, By.Lex, Direction.Forward)
}

function zrevrangebylex(call: Call): void {
  replyRange(call, By.Lex, Direction.Reverse)
}

function zrangestore(call: Call): void {
  if (!readRange(call, 2, By.Auto, Direction.Auto, true)) return
  if (!zset.read(call, 2)) return
  locate(by, reversed)
  result.begin(call)
  for (let more = count > 0 && cursor.seek(zset, from); more && count > 0; count--) {
    result.add(cursor.bytes, cursor.start, cursor.end, cursor.score)
    more = cursor.next()
  }
  cursor.release()
  call.reply.integer(result.store(1, "zrangestore"))
}

// ---- arguments ------------------------------------------------------------------------------------------------------

/** What `readRange` found in the arguments. */
let by: By = By.Rank
let reversed = false
let withScores = false
let offset = 0
let limit = -1

/** Reads the arguments behind the key, which is argument `key`; false after an error reply. */
function readRange(call: Call, key: number, givenBy: By, givenDirection: Direction, stores: boolean): boolean {
  const { args, reply } = call
  by = givenBy
  let direction: Direction = givenDirection
  withScores = false
  offset = 0
  limit = -1
  for (let i = key + 3; i < args.count; i++) {
    if (!stores && args.is(i, "withscores")) withScores = true
    else if (i + 2 < args.count && args.is(i, "limit")) {
      offset = call.integer(i + 1)
      if (Number.isNaN(offset)) return false
      limit = call.integer(i + 2)
      if (Number.isNaN(limit)) return false
      i += 2
    } else if (direction === Direction.Auto && args.is(i, "rev")) direction = Direction.Reverse
    else if (by === By.Auto && args.is(i, "bylex")) by = By.Lex
    else if (by === By.Auto && args.is(i, "byscore")) by = By.Score
    else {
      reply.error(SYNTAX)
      return false
    }
  }
  if (by === By.Auto) by = By.Rank
  reversed = direction === Direction.Reverse
  if (limit !== -1 && by === By.Rank) {
    reply.error(LIMIT_BY_RANK)
    return false
  }
  if (withScores && by === By.Lex) {
    reply.error(SCORES_BY_LEX)
    return false
  }
  const swapped = reversed && by !== By.Rank
  return readBounds(call, by, swapped ? key + 2 : key + 1, swapped ? key + 1 : key + 2)
}

/** Reads the two ends of a range; false after an error reply. */
function readBounds(call: Call, kind: By, min: number, max: number): boolean {
  const { args, reply } = call
  if (kind === By.Rank) {
    start = call.integer(min)
    if (Number.isNaN(start)) return false
    stop = call.integer(max)
    return !Number.isNaN(stop)
  }
  if (kind === By.Score) {
    if (scoreRange.parse(args, min, max)) return true
    reply.error(NOT_SCORES)
    return false
  }
  if (lexMin.parse(args, min) && lexMax.parse(args, max)) return true
  reply.error(NOT_MEMBERS)
  return false
}

/** Turns the range, with offset and limit, into `from` and `count`. */
function locate(kind: By, reverse: boolean): void {
  const { size } = zset
  if (kind === By.Rank) {
    let first = start < 0 ? Math.max(0, start + size) : start
    let last = stop < 0 ? stop + size : Math.min(stop, size - 1)
    if (first > last) {
      count = 0
      return
    }
    if (reverse) {
      const swap = size - 1 - first
      first = size - 1 - last
      last = swap
    }
    from = first
    count = last - first + 1
    return
  }
  if (kind === By.Score) zset.findScores(scoreRange)
  else zset.findMembers(lexMin, lexMax)
  const { low, high } = zset
  from = low
  count = Math.max(0, high - low)
  if (offset === 0 && limit < 0) return
  const rest = offset < 0 ? 0 : Math.max(0, count - offset)
  const taken = limit < 0 ? rest : Math.min(rest, limit)
  from = reverse ? high - offset - taken : low + offset
  count = taken
}

// ---- replying -------------------------------------------------------------------------------------------------------

function replyRange(call: Call, givenBy: By, givenDirection: Direction): void {
  if (!readRange(call, 1, givenBy, givenDirection, false) || !zset.read(call)) return
  locate(by, reversed)
  const { reply } = call
  const nested = withScores && reply.resp3
  reply.array(withScores && !nested ? count * 2 : count)
  if (count === 0) return
  const rank = reversed ? from + count - 1 : from
  if (zset.table === undefined) replyPacked(reply, rank, nested)
  else replyTree(reply, zset.table.tree, rank, nested)
}

function replyPacked(reply: ReplyWriter, rank: number, nested: boolean): void {
  cursor.seek(zset, rank)
  for (let left = count; ; ) {
    if (nested) reply.array(2)
    replyMember(reply, cursor.bytes, cursor.start, cursor.end)
    if (withScores) replyScore(reply, cursor.score)
    if (--left === 0) break
    if (reversed) cursor.previous()
    else cursor.next()
  }
  cursor.release()
}

/** The same, without the ZsetCursor between: long ranges are read from trees. */
function replyTree(reply: ReplyWriter, tree: ScoreTree, rank: number, nested: boolean): void {
  treeCursor.seek(tree, rank)
  for (let left = count; ; ) {
    if (nested) reply.array(2)
    replyMember(reply, treeCursor.bytes, treeCursor.start, treeCursor.end)
    if (withScores) replyScore(reply, treeCursor.score)
    if (--left === 0) break
    if (reversed) treeCursor.previous()
    else treeCursor.next()
  }
  treeCursor.release()
}

function zcount(call: Call): void {
  countRange(call, By.Score)
}

function zlexcount(call: Call): void {
  countRange(call, By.Lex)
}

function countRange(call: Call, kind: By): void {
  if (!readBounds(call, kind, 2, 3) || !zset.read(call)) return
  offset = 0
  limit = -1
  locate(kind, false)
  call.reply.integer(count)
}

// ---- removing -------------------------------------------------------------------------------------------------------

function zremrangebyrank(call: Call): void {
  removeRange(call, By.Rank, "zremrangebyrank")
}

function zremrangebyscore(call: Call): void {
  removeRange(call, By.Score, "zremrangebyscore")
}

function zremrangebylex(call: Call): void {
  removeRange(call, By.Lex, "zremrangebylex")
}

function removeRange(call: Call, kind: By, event: string): void {
  if (!readBounds(call, kind, 2, 3) || !zset.write(call)) return
  offset = 0
  limit = -1
  locate(kind, false)
  const removed = count
  if (removed > 0) {
    zset.removeRange(from, removed)
    tellRemoved(call, 1, removed, event)
  }
  call.reply.integer(removed)
}
