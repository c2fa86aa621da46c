/**
 * Sorted sets: popping the lowest or highest members, waiting for some if need be.
 *
 * What is popped by a command of several keys, or after a wait, goes on as ZPOPMIN or ZPOPMAX of the key it came from.
 */

import type { Call } from "../command/context.ts"
import { NOT_POSITIVE, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { ValueType } from "../keyspace/kinds.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { readDeadline } from "./deadline.ts"
import { replyMember, replyScore } from "./zset-score.ts"
import { cursor, tellRemoved, zset } from "./zset-value.ts"

export const sortedSetPopCommands: readonly CommandSpec[] = [
  {
    name: "zpopmin",
    since: "5.0.0",
    group: "sorted-set",
    arity: -2,
    flags: "write fast",
    keys: "RW access delete @1",
    syntax: "key [count:integer]",
    summary: "Pops the members with the lowest scores.",
    complexity: "O(log(N)*M), N members, M popped",
    run: zpopmin,
  },
  {
    name: "zpopmax",
    since: "5.0.0",
    group: "sorted-set",
    arity: -2,
    flags: "write fast",
    keys: "RW access delete @1",
    syntax: "key [count:integer]",
    summary: "Pops the members with the highest scores.",
    complexity: "O(log(N)*M), N members, M popped",
    run: zpopmax,
  },
  {
    name: "zmpop",
    since: "7.0.0",
    group: "sorted-set",
    arity: -4,
    flags: "write",
    keys: "RW access delete keynum@1",
    syntax: "numkeys:integer key... where=MIN|MAX [COUNT count:integer]",
    summary: "Pops members by score from the first sorted set that has any.",
    complexity: "O(K)+O(M*log(N)), K keys, M members popped of N",
    run: zmpop,
  },
  {
    name: "bzpopmin",
    since: "5.0.0",
    group: "sorted-set",
    arity: -3,
    flags: "write blocking fast",
    keys: "RW access delete @1..-2",
    syntax: "key... timeout:double",
    summary: "Pops the lowest member of the first sorted set that has any, waiting if none has.",
    complexity: "O(log(N)), N members",
    run: bzpopmin,
  },
  {
    name: "bzpopmax",
    since: "5.0.0",
    group: "sorted-set",
    arity: -3,
    flags: "write blocking fast",
    keys: "RW access delete @1..-2",
    syntax: "key... timeout:double",
    summary: "Pops the highest member of the first sorted set that has any, waiting if none has.",
    complexity: "O(log(N)), N members",
    run: bzpopmax,
  },
  {
    name: "bzmpop",
    since: "7.0.0",
    group: "sorted-set",
    arity: -5,
    flags: "write blocking",
    keys: "RW access delete keynum@2",
    syntax: "timeout:double numkeys:integer key... where=MIN|MAX [COUNT count:integer]",
    summary: "Pops members by score from the first sorted set that has any, waiting if none has.",
    complexity: "O(K)+O(M*log(N)), K keys, M members popped of N",
    run: bzmpop,
  },
]

// ---- one key --------------------------------------------------------------------------------------------------------

function zpopmin(call: Call): void {
  popFromKey(call, false)
}

function zpopmax(call: Call): void {
  popFromKey(call, true)
}

function popFromKey(call: Call, highest: boolean): void {
  const { args, reply } = call
  if (args.count > 3) {
    reply.error(SYNTAX)
    return
  }
  const counts = args.count === 3
  const wanted = counts ? call.integer(2, NOT_POSITIVE) : 1
  if (Number.isNaN(wanted)) return
  if (wanted < 0) {
    reply.error(NOT_POSITIVE)
    return
  }
  if (!zset.write(call)) return
  const popped = Math.min(wanted, zset.size)
  const nested = counts && reply.resp3
  reply.array(nested ? popped : popped * 2)
  if (popped > 0) popMembers(call, 1, popped, highest, nested)
}

/** Pops `count` members, of those that there are, from the open set under argument `key`; replies with each. */
function popMembers(call: Call, key: number, count: number, highest: boolean, nested: boolean): void {
  const { reply } = call
  const { size } = zset
  zset.beginCut()
  cursor.seek(zset, highest ? size - 1 : 0)
  for (let i = 0; i < count; i++) {
    if (nested) reply.array(2)
    replyMember(reply, cursor.bytes, cursor.start, cursor.end)
    replyScore(reply, cursor.score)
    zset.cutMember(cursor)
    if (i === count - 1) break
    if (highest) cursor.previous()
    else cursor.next()
  }
  cursor.release()
  zset.endCut(highest ? size - count : 0, count)
  tellRemoved(call, key, count, highest ? "zpopmax" : "zpopmin")
}

// ---- the first of several keys --------------------------------------------------------------------------------------

interface MultiPop {
  firstKey: number
  lastKey: number
  highest: boolean
  count: number
}

/** The arguments from the number of keys on; undefined after an error reply. */
function readMultiPop(call: Call, i: number): MultiPop | undefined {
  const { args, reply } = call
  const keyCount = integerFromOne(call, i, "ERR numkeys should be greater than 0")
  if (keyCount === undefined) return undefined
  const where = i + keyCount + 1
  const highest = where < args.count && args.is(where, "max")
  if (where >= args.count || (!highest && !args.is(where, "min"))) {
    reply.error(SYNTAX)
    return undefined
  }
  let count: number | undefined
  for (let j = where + 1; j < args.count; j += 2) {
    if (count !== undefined || j + 1 >= args.count || !args.is(j, "count")) {
      reply.error(SYNTAX)
      return undefined
    }
    count = integerFromOne(call, j + 1, "ERR count should be greater than 0")
    if (count === undefined) return undefined
  }
  return { firstKey: i + 1, lastKey: i + keyCount, highest, count: count ?? 1 }
}

function integerFromOne(call: Call, i: number, error: string): number | undefined {
  const n = call.integer(i, error)
  if (n >= 1) return n
  if (!Number.isNaN(n)) call.reply.error(error)
  return undefined
}

function zmpop(call: Call): void {
  const options = readMultiPop(call, 1)
  if (options === undefined) return
  const key = openFirst(call, options.firstKey, options.lastKey)
  if (key === NONE) call.reply.nullArray()
  else if (key !== FAILED) popWithKey(call, key, options)
}

function bzmpop(call: Call): void {
  const options = readMultiPop(call, 2)
  if (options === undefined) return
  const deadline = readDeadline(call, 1)
  if (deadline === undefined) return
  const key = openFirst(call, options.firstKey, options.lastKey)
  if (key === NONE) waitFor(call, options.firstKey, options.lastKey, deadline)
  else if (key !== FAILED) popWithKey(call, key, options)
}

/** Pops from the open set, which is under argument `key`, and replies with its name too. */
function popWithKey(call: Call, key: number, options: MultiPop): void {
  const { reply } = call
  const count = Math.min(options.count, zset.size)
  reply.array(2)
  replyKey(call, key)
  reply.array(count)
  popMembers(call, key, count, options.highest, true)
  propagate(call, key, options.highest, count)
}

function bzpopmin(call: Call): void {
  waitAndPop(call, false)
}

function bzpopmax(call: Call): void {
  waitAndPop(call, true)
}

function waitAndPop(call: Call, highest: boolean): void {
  const { args, reply } = call
  const last = args.count - 2
  const deadline = readDeadline(call, last + 1)
  if (deadline === undefined) return
  const key = openFirst(call, 1, last)
  if (key === FAILED) return
  if (key === NONE) {
    waitFor(call, 1, last, deadline)
    return
  }
  reply.array(3)
  replyKey(call, key)
  popMembers(call, key, 1, highest, false)
  propagate(call, key, highest, 0)
}

function replyKey(call: Call, key: number): void {
  const { args } = call
  call.reply.bulk(args.bytes, args.starts[key]!, args.ends[key]!)
}

/** With a count of 0 the command goes on without one. */
function propagate(call: Call, key: number, highest: boolean, count: number): void {
  const { args } = call
  const effect = call.propagation.effect(call.db, count > 0 ? 3 : 2)
  effect.word(highest ? "ZPOPMAX" : "ZPOPMIN").arg(args.bytes, args.starts[key]!, args.ends[key]!)
  if (count > 0) effect.number(count)
}

// ---- waiting --------------------------------------------------------------------------------------------------------

const NONE = 0
const FAILED = -1

/**
 * Opens the first sorted set that one of these arguments names, and returns its number; NONE, or FAILED after WRONGTYPE.
 * For a client that waits already, keys of another type are no reason to wake up.
 */
function openFirst(call: Call, first: number, last: number): number {
  if (call.retrying && !anyZset(call, first, last)) return NONE
  for (let i = first; i <= last; i++) {
    if (!zset.write(call, i)) return FAILED
    if (zset.exists) return i
  }
  return NONE
}

function anyZset(call: Call, first: number, last: number): boolean {
  const { args, db } = call
  for (let i = first; i <= last; i++) {
    const address = db.find(args.bytes, args.starts[i]!, args.ends[i]!)
    if (address !== 0 && db.type(address) === ValueType.Zset) return true
  }
  return false
}

function waitFor(call: Call, first: number, last: number, deadline: number): void {
  const keys: number[] = []
  for (let i = first; i <= last; i++) keys.push(i)
  call.blocking.block(call, keys, deadline, timedOut)
}

function timedOut(reply: ReplyWriter): void {
  reply.nullArray()
}
