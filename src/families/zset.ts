/** Sorted sets: adding, removing and looking up members. */

import { parseDouble } from "../bytes/double.ts"
import type { Call } from "../command/context.ts"
import { NOT_FLOAT, SYNTAX, wrongArity } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Arguments } from "../resp/arguments.ts"
import { addMembers, Option, pairScores, reserveScores } from "./zset-add.ts"
import { replyScore } from "./zset-score.ts"
import { tellRemoved, zset } from "./zset-value.ts"

export const sortedSetCommands: readonly CommandSpec[] = [
  {
    name: "zadd",
    since: "1.2.0",
    group: "sorted-set",
    arity: -4,
    flags: "write denyoom fast",
    keys: "RW update @1",
    member: 3,
    syntax:
      "key [condition=NX|XX]@3.0.2 [comparison=GT|LT]@6.2.0 [change=CH]@3.0.2 [increment=INCR]@3.0.2 " +
      "data=(score:double member)...",
    summary: "Adds members to a sorted set or changes their scores.",
    complexity: "O(log(N)) per member, N members of the set",
    run: zadd,
  },
  {
    name: "zincrby",
    since: "1.2.0",
    group: "sorted-set",
    arity: 4,
    flags: "write denyoom fast",
    keys: "RW access update @1",
    member: 3,
    syntax: "key increment:integer member",
    summary: "Adds to the score of a member.",
    complexity: "O(log(N)), N members",
    run: zincrby,
  },
  {
    name: "zrem",
    since: "1.2.0",
    group: "sorted-set",
    arity: -3,
    flags: "write fast",
    keys: "RW delete @1",
    member: 2,
    syntax: "key member...",
    summary: "Removes members of a sorted set; the set goes with the last one.",
    complexity: "O(M*log(N)), N members, M removed",
    run: zrem,
  },
  {
    name: "zcard",
    since: "1.2.0",
    group: "sorted-set",
    arity: 2,
    flags: "readonly fast",
    keys: "RO @1",
    syntax: "key",
    summary: "Counts the members of a sorted set.",
    complexity: "O(1)",
    run: zcard,
  },
  {
    name: "zscore",
    since: "1.2.0",
    group: "sorted-set",
    arity: 3,
    flags: "readonly fast",
    keys: "RO access @1",
    member: 2,
    syntax: "key member",
    summary: "Gives the score of a member.",
    complexity: "O(1)",
    run: zscore,
  },
  {
    name: "zmscore",
    since: "6.2.0",
    group: "sorted-set",
    arity: -3,
    flags: "readonly fast",
    keys: "RO access @1",
    member: 2,
    syntax: "key member...",
    summary: "Gives the scores of members.",
    complexity: "O(N), N members asked for",
    run: zmscore,
  },
  {
    name: "zrank",
    since: "2.0.0",
    group: "sorted-set",
    arity: -3,
    flags: "readonly fast",
    keys: "RO access @1",
    member: 2,
    syntax: "key member [WITHSCORE]",
    summary: "Gives the rank of a member, counted from the lowest score.",
    complexity: "O(log(N)), N members",
    run: zrank,
  },
  {
    name: "zrevrank",
    since: "2.0.0",
    group: "sorted-set",
    arity: -3,
    flags: "readonly fast",
    keys: "RO access @1",
    member: 2,
    syntax: "key member [WITHSCORE]",
    summary: "Gives the rank of a member, counted from the highest score.",
    complexity: "O(log(N)), N members",
    run: zrevrank,
  },
]

// ---- adding ---------------------------------------------------------------------------------------------------------

function zadd(call: Call): void {
  addPairs(call, 0)
}

function zincrby(call: Call): void {
  addPairs(call, Option.Increment)
}

function optionOf(args: Arguments, i: number): number {
  const length = args.ends[i]! - args.starts[i]!
  if (length === 2) {
    if (args.is(i, "nx")) return Option.Nx
    if (args.is(i, "xx")) return Option.Xx
    if (args.is(i, "gt")) return Option.Gt
    if (args.is(i, "lt")) return Option.Lt
    return args.is(i, "ch") ? Option.Changed : 0
  }
  return length === 4 && args.is(i, "incr") ? Option.Increment : 0
}

/** Error text of a combination of options, if it is none that makes sense. */
function conflictOf(options: number, pairs: number): string | undefined {
  const exclusive = options & (Option.Nx | Option.Gt | Option.Lt)
  if ((options & (Option.Nx | Option.Xx)) === (Option.Nx | Option.Xx)) {
    return "ERR XX and NX options at the same time are not compatible"
  }
  if ((exclusive & (exclusive - 1)) !== 0) {
    return "ERR GT, LT, and/or NX options at the same time are not compatible"
  }
  if ((options & Option.Increment) !== 0 && pairs > 1) {
    return "ERR INCR option supports a single increment-element pair"
  }
  return undefined
}

/** Reads the scores of all pairs from argument `first` on; false after an error reply. */
function readScores(call: Call, first: number, pairs: number): boolean {
  const { bytes, starts, ends } = call.args
  reserveScores(pairs)
  for (let i = 0; i < pairs; i++) {
    const score = parseDouble(bytes, starts[first + i * 2]!, ends[first + i * 2]!)
    if (score === undefined) {
      call.reply.error(NOT_FLOAT)
      return false
    }
    // No -0.
    pairScores[i] = score + 0
  }
  return true
}

function addPairs(call: Call, given: number): void {
  const { args } = call
  let options = given
  let first = 2
  for (; first < args.count; first++) {
    const option = optionOf(args, first)
    if (option === 0) break
    options |= option
  }
  const pairs = (args.count - first) / 2
  const conflict = pairs < 1 || !Number.isInteger(pairs) ? SYNTAX : conflictOf(options, pairs)
  if (conflict !== undefined) call.reply.error(conflict)
  else if (readScores(call, first, pairs)) addMembers(call, first + 1, 2, pairs, options)
}

// ---- removing -------------------------------------------------------------------------------------------------------

function zrem(call: Call): void {
  const { args } = call
  if (!zset.write(call)) return
  let removed = 0
  const { bytes, starts, ends } = args
  for (let i = 2; i < args.count && zset.size > 0; i++) {
    if (!zset.find(bytes, starts[i]!, ends[i]!)) continue
    zset.remove(bytes, starts[i]!, ends[i]!)
    removed++
  }
  if (removed > 0) tellRemoved(call, 1, removed, "zrem")
  call.reply.integer(removed)
}

// ---- looking up -----------------------------------------------------------------------------------------------------

function zcard(call: Call): void {
  if (zset.read(call)) call.reply.integer(zset.size)
}

function zscore(call: Call): void {
  if (!zset.read(call)) return
  if (zset.findArgument(2)) replyScore(call.reply, zset.score)
  else call.reply.null()
}

function zmscore(call: Call): void {
  if (!zset.read(call)) return
  const { args, reply } = call
  reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) {
    if (zset.findArgument(i)) replyScore(reply, zset.score)
    else reply.null()
  }
}

function zrank(call: Call): void {
  replyRank(call, false)
}

function zrevrank(call: Call): void {
  replyRank(call, true)
}

function replyRank(call: Call, reversed: boolean): void {
  const { args, reply } = call
  const withScore = args.count === 4
  if (args.count > 4 || (withScore && !args.is(3, "withscore"))) {
    reply.error(withScore ? SYNTAX : wrongArity(call.command.fullName))
    return
  }
  if (!zset.read(call)) return
  if (!zset.findArgument(2)) {
    if (withScore) reply.nullArray()
    else reply.null()
    return
  }
  const rank = zset.rank(args.bytes, args.starts[2]!, args.ends[2]!)
  if (withScore) reply.array(2)
  reply.integer(reversed ? zset.size - 1 - rank : rank)
  if (withScore) replyScore(reply, zset.score)
}
