/**
 * Lists: the commands that wait for elements. Where there are some, they do at once what their relatives do, and are
 * propagated as those, so that nobody waits when the append-only file is loaded or on a replica.
 */

import type { Call } from "../command/context.ts"
import type { CommandSpec } from "../command/spec.ts"
import { ValueType } from "../keyspace/kinds.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { readDeadline } from "./deadline.ts"
import { popWithKey, readMultiPop } from "./list.ts"
import { type Crowd, hasEnough, moveCrowd, moveOne, readCrowd, readSides } from "./list-move.ts"
import { popEnd } from "./list-value.ts"

export const listBlockingCommands: readonly CommandSpec[] = [
  {
    name: "blpop",
    since: "2.0.0",
    group: "list",
    arity: -3,
    flags: "write blocking",
    keys: "RW access delete @1..-2",
    syntax: "key... timeout:double",
    summary: "Pops the first element of the first list that has any, waiting if none has.",
    complexity: "O(N), N keys",
    run: blpop,
  },
  {
    name: "brpop",
    since: "2.0.0",
    group: "list",
    arity: -3,
    flags: "write blocking",
    keys: "RW access delete @1..-2",
    syntax: "key... timeout:double",
    summary: "Pops the last element of the first list that has any, waiting if none has.",
    complexity: "O(N), N keys",
    run: brpop,
  },
  {
    name: "blmpop",
    since: "7.0.0",
    group: "list",
    arity: -5,
    flags: "write blocking",
    keys: "RW access delete keynum@2",
    syntax: "timeout:double numkeys:integer key... where=LEFT|RIGHT [COUNT count:integer]",
    summary: "Pops elements from the first list that has any, waiting if none has.",
    complexity: "O(N+M), N keys, M elements popped",
    run: blmpop,
  },
  {
    name: "blmove",
    since: "6.2.0",
    group: "list",
    arity: 6,
    flags: "write denyoom blocking",
    keys: "RW access delete @1; RW insert @2",
    syntax: "source:key destination:key wherefrom=LEFT|RIGHT whereto=LEFT|RIGHT timeout:double",
    summary: "Moves an element between lists, waiting for one if there is none.",
    complexity: "O(1)",
    run: blmove,
  },
  {
    name: "brpoplpush",
    since: "2.2.0",
    group: "list",
    arity: 4,
    flags: "write denyoom blocking",
    keys: "RW access delete @1; RW insert @2",
    syntax: "source:key destination:key timeout:double",
    summary: "Moves the last element of a list to the head of another, waiting for one if there is none.",
    complexity: "O(1)",
    deprecated: { since: "6.2.0", replacedBy: "`BLMOVE` with the `RIGHT` and `LEFT` arguments" },
    run: brpoplpush,
  },
  {
    name: "blmovem",
    since: "8.10.0",
    group: "list",
    arity: -6,
    flags: "write denyoom blocking",
    keys: "RW access delete @1; RW insert @2",
    syntax:
      "source:key destination:key wherefrom=LEFT|RIGHT whereto=LEFT|RIGHT timeout:double [how-many=(selector=(COUNT count:integer|EXACTLY exactly:integer) ordering=(OBO|BULK))]",
    summary: "Moves elements between lists, waiting for them if there are too few.",
    complexity: "O(N), N elements moved",
    run: blmovem,
  },
]

function blpop(call: Call): void {
  waitAndPop(call, true)
}

function brpop(call: Call): void {
  waitAndPop(call, false)
}

function waitAndPop(call: Call, atHead: boolean): void {
  const { args, db, reply } = call
  const last = args.count - 2
  const deadline = readDeadline(call, last + 1)
  if (deadline === undefined) return
  const i = firstList(call, 1, last)
  if (i === FAILED) return
  if (i === NONE) {
    waitFor(call, 1, last, deadline)
    return
  }
  const start = args.starts[i]!
  const end = args.ends[i]!
  reply.array(2)
  reply.bulk(args.bytes, start, end)
  popEnd(call, i, call.write(i), atHead)
  call.propagation
    .effect(db, 2)
    .word(atHead ? "LPOP" : "RPOP")
    .arg(args.bytes, start, end)
}

function blmpop(call: Call): void {
  const options = readMultiPop(call, 2)
  if (options === undefined) return
  const deadline = readDeadline(call, 1)
  if (deadline === undefined) return
  const i = firstList(call, options.firstKey, options.lastKey)
  if (i === FAILED) return
  if (i === NONE) waitFor(call, options.firstKey, options.lastKey, deadline)
  else popWithKey(call, i, call.write(i), options)
}

function blmove(call: Call): void {
  const sides = readSides(call)
  if (sides === undefined) return
  const deadline = readDeadline(call, 5)
  if (deadline !== undefined) waitAndMove(call, sides.fromHead, sides.toHead, deadline)
}

function brpoplpush(call: Call): void {
  const deadline = readDeadline(call, 3)
  if (deadline !== undefined) waitAndMove(call, false, true, deadline)
}

function waitAndMove(call: Call, fromHead: boolean, toHead: boolean, deadline: number): void {
  const { args } = call
  const i = firstList(call, 1, 1)
  if (i === FAILED) return
  if (i === NONE) {
    if (call.client.denyBlocking) call.reply.null()
    else waitFor(call, 1, 1, deadline)
    return
  }
  if (!moveOne(call, call.write(1), fromHead, toHead)) return
  const sidesGiven = args.count === 6
  const effect = call.propagation.effect(call.db, sidesGiven ? 5 : 3).word(sidesGiven ? "LMOVE" : "RPOPLPUSH")
  for (let j = 1; j <= (sidesGiven ? 4 : 2); j++) effect.arg(args.bytes, args.starts[j]!, args.ends[j]!)
}

function blmovem(call: Call): void {
  const { args } = call
  const deadline = readDeadline(call, 5)
  if (deadline === undefined) return
  const crowd = readCrowd(call, 6)
  if (crowd === undefined) return
  const i = firstList(call, 1, 1)
  if (i === FAILED) return
  if (i === NONE || !hasEnough(call, call.write(1), crowd)) {
    waitFor(call, 1, 1, deadline)
    return
  }
  if (moveCrowd(call, call.write(1), crowd)) propagateCrowd(call, crowd, args.count)
}

function propagateCrowd(call: Call, crowd: Crowd, argumentCount: number): void {
  const { args } = call
  const effect = call.propagation.effect(call.db, argumentCount - 1).word("LMOVEM")
  for (let j = 1; j <= 4; j++) effect.arg(args.bytes, args.starts[j]!, args.ends[j]!)
  if (argumentCount === 6) return
  effect
    .word(crowd.exactly ? "EXACTLY" : "COUNT")
    .number(crowd.count)
    .word(crowd.asBlock ? "BULK" : "OBO")
}

// ---------------------------------------------------------------------------------------------- waiting

const NONE = 0
const FAILED = -1

/**
 * The first of these arguments that names a list; NONE, or FAILED after WRONGTYPE. For a client that waits already, keys
 * of another type are no reason to wake up.
 */
function firstList(call: Call, first: number, last: number): number {
  if (call.retrying && !anyList(call, first, last)) return NONE
  for (let i = first; i <= last; i++) {
    const address = call.writeTyped(i, ValueType.List)
    if (address === -1) return FAILED
    if (address !== 0) return i
  }
  return NONE
}

function anyList(call: Call, first: number, last: number): boolean {
  const { args, db } = call
  for (let i = first; i <= last; i++) {
    const address = db.find(args.bytes, args.starts[i]!, args.ends[i]!)
    if (address !== 0 && db.type(address) === ValueType.List) return true
  }
  return false
}

function waitFor(call: Call, first: number, last: number, deadline: number): void {
  if (call.client.denyBlocking) {
    call.reply.nullArray()
    return
  }
  const keys: number[] = []
  for (let i = first; i <= last; i++) keys.push(i)
  call.blocking.block(call, keys, deadline, timedOut)
}

function timedOut(reply: ReplyWriter): void {
  reply.nullArray()
}
