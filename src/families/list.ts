/** Lists: pushing, popping and reading. Changes within are in list-edit.ts, moves in list-move.ts, waiting in list-blocking.ts. */
import type { Call } from "../command/context.ts"
import { NOT_POSITIVE, SYNTAX, wrongArity } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { ValueType } from "../keyspace/kinds.ts"
import {
  absoluteIndex,
  dropRange,
  elementsRemoved,
  listLength,
  popEnd,
  pushArguments,
  replyRange,
} from "./list-value.ts"

export const listCommands: readonly CommandSpec[] = [
  {
    name: "lpush",
    since: "1.0.0",
    group: "list",
    arity: -3,
    flags: "write denyoom fast",
    keys: "RW insert @1",
    syntax: "key element...",
    summary: "Puts elements in front of a list, which is created if missing.",
    complexity: "O(N), N elements pushed",
    run: lpush,
  },
  {
    name: "rpush",
    since: "1.0.0",
    group: "list",
    arity: -3,
    flags: "write denyoom fast",
    keys: "RW insert @1",
    syntax: "key element...",
    summary: "Puts elements at the end of a list, which is created if missing.",
    complexity: "O(N), N elements pushed",
    run: rpush,
  },
  {
    name: "lpushx",
    since: "2.2.0",
    group: "list",
    arity: -3,
    flags: "write denyoom fast",
    keys: "RW insert @1",
    syntax: "key element...",
    summary: "Puts elements in front of a list that exists.",
    complexity: "O(N), N elements pushed",
    run: lpushx,
  },
  {
    name: "rpushx",
    since: "2.2.0",
    group: "list",
    arity: -3,
    flags: "write denyoom fast",
    keys: "RW insert @1",
    syntax: "key element...",
    summary: "Puts elements at the end of a list that exists.",
    complexity: "O(N), N elements pushed",
    run: rpushx,
  },
  {
    name: "lpop",
    since: "1.0.0",
    group: "list",
    arity: -2,
    flags: "write fast",
    keys: "RW access delete @1",
    syntax: "key [count:integer]@6.2.0",
    summary: "Pops the first elements of a list.",
    complexity: "O(N), N elements popped",
    run: lpop,
  },
  {
    name: "rpop",
    since: "1.0.0",
    group: "list",
    arity: -2,
    flags: "write fast",
    keys: "RW access delete @1",
    syntax: "key [count:integer]@6.2.0",
    summary: "Pops the last elements of a list.",
    complexity: "O(N), N elements popped",
    run: rpop,
  },
  {
    name: "lmpop",
    since: "7.0.0",
    group: "list",
    arity: -4,
    flags: "write",
    keys: "RW access delete keynum@1",
    syntax: "numkeys:integer key... where=LEFT|RIGHT [COUNT count:integer]",
    summary: "Pops elements from the first list that has any.",
    complexity: "O(N+M), N keys, M elements popped",
    run: lmpop,
  },
  {
    name: "llen",
    since: "1.0.0",
    group: "list",
    arity: 2,
    flags: "readonly fast",
    keys: "RO @1",
    syntax: "key",
    summary: "Counts the elements of a list.",
    complexity: "O(1)",
    run: llen,
  },
  {
    name: "lindex",
    since: "1.0.0",
    group: "list",
    arity: 3,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key index:integer",
    summary: "Gives the element at an index.",
    complexity: "O(N), N elements to walk from the nearer end",
    run: lindex,
  },
  {
    name: "lrange",
    since: "1.0.0",
    group: "list",
    arity: 4,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key start:integer stop:integer",
    summary: "Gives the elements in a range of indexes.",
    complexity: "O(S+N), S elements from the nearer end to the start, N elements returned",
    run: lrange,
  },
]

function lpush(call: Call): void {
  push(call, true, false)
}

function rpush(call: Call): void {
  push(call, false, false)
}

function lpushx(call: Call): void {
  push(call, true, true)
}

function rpushx(call: Call): void {
  push(call, false, true)
}

function push(call: Call, atHead: boolean, onlyExisting: boolean): void {
  const { args } = call
  const address = call.writeTyped(1, ValueType.List)
  if (address === -1) return
  if (address === 0 && onlyExisting) {
    call.reply.integer(0)
    return
  }
  const length = pushArguments(call, 1, address, 2, args.count - 1, atHead)
  call.changed(1, Notify.List, atHead ? "lpush" : "rpush")
  call.keyspace.events.dirty += args.count - 3
  call.reply.integer(length)
}

function lpop(call: Call): void {
  pop(call, true)
}

function rpop(call: Call): void {
  pop(call, false)
}

function pop(call: Call, atHead: boolean): void {
  const { args, reply } = call
  if (args.count > 3) {
    reply.error(wrongArity(call.command.fullName))
    return
  }
  const counted = args.count === 3
  const count = counted ? call.integer(2, NOT_POSITIVE) : 1
  if (Number.isNaN(count)) return
  if (count < 0) {
    reply.error(NOT_POSITIVE)
    return
  }
  const address = call.writeTyped(1, ValueType.List)
  if (address === -1) return
  if (address === 0) {
    if (counted) reply.nullArray()
    else reply.null()
    return
  }
  if (counted) {
    if (count === 0) reply.array(0)
    else popCounted(call, 1, address, atHead, count)
    return
  }
  popEnd(call, 1, address, atHead)
}

/** Replies up to `count` elements from an end, as an array, and takes them; returns how many. */
export function popCounted(call: Call, i: number, address: number, atHead: boolean, count: number): number {
  const { keys } = call.db
  const length = listLength(keys, address)
  const popped = Math.min(count, length)
  call.reply.array(popped)
  replyRange(call, address, atHead ? 0 : length - 1, popped, !atHead)
  const left = dropRange(keys, address, atHead ? 0 : length - popped, popped)
  elementsRemoved(call, i, left, atHead ? "lpop" : "rpop", popped)
  return popped
}

// ---------------------------------------------------------------------------------------------- LMPOP

/** Options of LMPOP and BLMPOP. */
export interface MultiPop {
  /** Arguments `firstKey` to `lastKey` are the keys. */
  firstKey: number
  lastKey: number
  atHead: boolean
  count: number
}

function lmpop(call: Call): void {
  const options = readMultiPop(call, 1)
  if (options === undefined) return
  for (let i = options.firstKey; i <= options.lastKey; i++) {
    const address = call.writeTyped(i, ValueType.List)
    if (address === -1) return
    if (address === 0) continue
    popWithKey(call, i, address, options)
    return
  }
  call.reply.nullArray()
}

/** Undefined after having answered with an error. `i` is the argument with the number of keys. */
export function readMultiPop(call: Call, i: number): MultiPop | undefined {
  const { args, reply } = call
  const keyCount = positive(call, i, "ERR numkeys should be greater than 0")
  if (keyCount === undefined) return undefined
  const where = i + keyCount + 1
  const side = where < args.count ? sideAt(call, where) : undefined
  if (side === undefined) {
    reply.error(SYNTAX)
    return undefined
  }
  let count = 0
  for (let j = where + 1; j < args.count; j++) {
    if (count !== 0 || !args.is(j, "count") || j + 1 >= args.count) {
      reply.error(SYNTAX)
      return undefined
    }
    const given = positive(call, ++j, "ERR count should be greater than 0")
    if (given === undefined) return undefined
    count = given
  }
  return { firstKey: i + 1, lastKey: i + keyCount, atHead: side, count: count === 0 ? 1 : count }
}

/** Pops, replies with the key's name, and is propagated as LPOP or RPOP. */
export function popWithKey(call: Call, i: number, address: number, options: MultiPop): void {
  const { args, reply } = call
  const start = args.starts[i]!
  const end = args.ends[i]!
  reply.array(2)
  reply.bulk(args.bytes, start, end)
  const popped = popCounted(call, i, address, options.atHead, options.count)
  call.propagation
    .effect(call.db, 3)
    .word(options.atHead ? "LPOP" : "RPOP")
    .arg(args.bytes, start, end)
    .number(popped)
}

/** True for LEFT, false for RIGHT, undefined for anything else. */
export function sideAt(call: Call, i: number): boolean | undefined {
  if (call.args.is(i, "left")) return true
  return call.args.is(i, "right") ? false : undefined
}

/** An integer above 0; undefined after having answered with `error`. */
export function positive(call: Call, i: number, error: string): number | undefined {
  const value = call.integer(i, error)
  if (value >= 1) return value
  if (!Number.isNaN(value)) call.reply.error(error)
  return undefined
}

// ---------------------------------------------------------------------------------------------- reading

function llen(call: Call): void {
  const address = call.readTyped(1, ValueType.List)
  if (address !== -1) call.reply.integer(address === 0 ? 0 : listLength(call.db.keys, address))
}

function lindex(call: Call): void {
  const { reply } = call
  const address = call.readTyped(1, ValueType.List)
  if (address === -1) return
  if (address === 0) {
    reply.null()
    return
  }
  const given = call.integer(2)
  if (Number.isNaN(given)) return
  const length = listLength(call.db.keys, address)
  const index = absoluteIndex(given, length)
  if (index < 0 || index >= length) reply.null()
  else replyRange(call, address, index, 1, false)
}

function lrange(call: Call): void {
  const { reply } = call
  const first = call.integer(2)
  if (Number.isNaN(first)) return
  const last = call.integer(3)
  if (Number.isNaN(last)) return
  const address = call.readTyped(1, ValueType.List)
  if (address === -1) return
  const length = address === 0 ? 0 : listLength(call.db.keys, address)
  const start = Math.max(0, absoluteIndex(first, length))
  const count = Math.min(absoluteIndex(last, length), length - 1) - start + 1
  if (count <= 0) {
    reply.array(0)
    return
  }
  reply.array(count)
  replyRange(call, address, start, count, false)
}
