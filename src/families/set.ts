/** Sets: members one by one. Whole sets against each other are in set-algebra.ts, chance in set-random.ts. */
import { equalBytes } from "../bytes/compare.ts"
import { globMatch } from "../bytes/glob.ts"
import { parseUint64 } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { INVALID_CURSOR, SYNTAX, WRONG_TYPE } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { lpFirst } from "../structs/listpack.ts"
import { bulksOfEntries } from "./packed-entries.ts"
import {
  addToSet,
  addToTable,
  builder,
  firstForm,
  removeFromSet,
  SetCursor,
  setHas,
  setSize,
  toTable,
} from "./set-value.ts"

const SCAN_COUNT_DEFAULT = 10
/** SSCAN cursors from here on are legal but lie behind the last hash. */
const CURSOR_LIMIT = 2 ** 32
const STAR = 0x2a

export const setCommands: readonly CommandSpec[] = [
  {
    name: "sadd",
    since: "1.0.0",
    group: "set",
    arity: -3,
    flags: "write denyoom fast",
    keys: "RW insert @1",
    member: 2,
    syntax: "key member...",
    summary: "Adds members to a set.",
    complexity: "O(N), N members",
    run: sadd,
  },
  {
    name: "scard",
    since: "1.0.0",
    group: "set",
    arity: 2,
    flags: "readonly fast",
    keys: "RO @1",
    syntax: "key",
    summary: "Counts the members of a set.",
    complexity: "O(1)",
    run: scard,
  },
  {
    name: "sismember",
    since: "1.0.0",
    group: "set",
    arity: 3,
    flags: "readonly fast",
    keys: "RO @1",
    member: 2,
    syntax: "key member",
    summary: "Tells whether a set has a member.",
    complexity: "O(1)",
    run: sismember,
  },
  {
    name: "smembers",
    since: "1.0.0",
    group: "set",
    arity: 2,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output_order",
    syntax: "key",
    summary: "Lists the members of a set.",
    complexity: "O(N), N members",
    run: smembers,
  },
  {
    name: "smismember",
    since: "6.2.0",
    group: "set",
    arity: -3,
    flags: "readonly fast",
    keys: "RO access @1",
    member: 2,
    syntax: "key member...",
    summary: "Tells which members a set has.",
    complexity: "O(N), N members asked for",
    run: smismember,
  },
  {
    name: "smove",
    since: "1.0.0",
    group: "set",
    arity: 4,
    flags: "write fast",
    keys: "RW access delete @1; RW insert @2",
    member: 3,
    syntax: "source:key destination:key member",
    summary: "Moves a member from one set to another.",
    complexity: "O(1)",
    run: smove,
  },
  {
    name: "srem",
    since: "1.0.0",
    group: "set",
    arity: -3,
    flags: "write fast",
    keys: "RW delete @1",
    member: 2,
    syntax: "key member...",
    summary: "Removes members of a set; the set goes with the last one.",
    complexity: "O(N), N members",
    run: srem,
  },
  {
    name: "sscan",
    since: "2.8.0",
    group: "set",
    arity: -3,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key cursor:integer [MATCH pattern] [COUNT count:integer]",
    summary: "Walks through the members of a set, a bit per call.",
    complexity: "O(1) per call, O(N) for a whole walk over N members",
    run: sscan,
  },
]

const cursor = new SetCursor()
const scanned: number[] = []

function sadd(call: Call): void {
  const address = call.writeTyped(1, ValueType.Set)
  if (address === -1) return
  const added = address === 0 ? createWithMembers(call) : addMembers(call, address)
  if (added > 0) {
    call.changed(1, Notify.Set, "sadd")
    call.keyspace.events.dirty += added - 1
  }
  call.reply.integer(added)
}

function createWithMembers(call: Call): number {
  const { args } = call
  builder.begin(call, firstForm(call, args.bytes, args.starts[2]!, args.ends[2]!, args.count - 2))
  for (let i = 2; i < args.count; i++) builder.add(args.bytes, args.starts[i]!, args.ends[i]!)
  const { size } = builder
  builder.store(call.db, args.bytes, args.starts[1]!, args.ends[1]!)
  return size
}

function addMembers(call: Call, address: number): number {
  const { args, config } = call
  const { keys } = call.db
  const count = args.count - 2
  const kind = keys.type(address)
  if (
    (kind === Kind.SetPacked && count > config.values.setMaxListpackEntries) ||
    (kind === Kind.SetInts && count > config.values.setMaxIntsetEntries)
  ) {
    address = toTable(call, keys, address)
  }
  let added = 0
  if (keys.type(address) === Kind.SetTable) {
    const map = keys.object(address) as ByteMap
    for (let i = 2; i < args.count; i++) {
      if (addToTable(map, args.bytes, args.starts[i]!, args.ends[i]!)) added++
    }
    keys.noteObjectBytes(address)
    return added
  }
  for (let i = 2; i < args.count; i++) {
    const moved = addToSet(call, keys, address, args.bytes, args.starts[i]!, args.ends[i]!)
    if (moved === 0) continue
    address = moved
    added++
  }
  return added
}

function srem(call: Call): void {
  const { args, reply } = call
  const { keys } = call.db
  let address = call.writeTyped(1, ValueType.Set)
  if (address === -1) return
  if (address === 0) {
    reply.integer(0)
    return
  }
  let removed = 0
  let empty = false
  for (let i = 2; i < args.count && !empty; i++) {
    const moved = removeFromSet(keys, address, args.bytes, args.starts[i]!, args.ends[i]!)
    if (moved === 0) continue
    address = moved
    removed++
    empty = setSize(keys, address) === 0
  }
  if (removed > 0) {
    call.changed(1, Notify.Set, "srem")
    call.keyspace.events.dirty += removed - 1
    if (empty) dropEmptySet(call, 1, address)
  }
  reply.integer(removed)
}

/** Removes the key of a set that ran empty, which is part of a change already told of. */
export function dropEmptySet(call: Call, i: number, address: number): void {
  const { args, db } = call
  db.removeQuietly(address)
  call.keyspace.events.notify(Notify.Generic, "del", db, args.bytes, args.starts[i]!, args.ends[i]!)
}

function smove(call: Call): void {
  const { args, db, reply } = call
  const { keys } = db
  const source = call.write(1)
  const destination = call.write(2)
  if (source === 0) {
    reply.integer(0)
    return
  }
  if (db.type(source) !== ValueType.Set || (destination !== 0 && db.type(destination) !== ValueType.Set)) {
    reply.error(WRONG_TYPE)
    return
  }
  const { bytes } = args
  const start = args.start(3)
  const end = args.end(3)
  if (args.length(1) === args.length(2) && equalBytes(bytes, args.start(1), bytes, args.start(2), args.length(1))) {
    reply.integer(setHas(keys, source, bytes, start, end) ? 1 : 0)
    return
  }
  const left = removeFromSet(keys, source, bytes, start, end)
  if (left === 0) {
    reply.integer(0)
    return
  }
  call.changed(1, Notify.Set, "srem")
  if (setSize(keys, left) === 0) dropEmptySet(call, 1, left)
  // The write to the source may have moved the destination.
  const target = db.find(bytes, args.start(2), args.end(2))
  let added = true
  if (target === 0) {
    builder.begin(call, firstForm(call, bytes, start, end, 1))
    builder.add(bytes, start, end)
    builder.store(db, bytes, args.start(2), args.end(2))
  } else added = addToSet(call, keys, target, bytes, start, end) !== 0
  if (added) call.changed(2, Notify.Set, "sadd")
  reply.integer(1)
}

function scard(call: Call): void {
  const address = call.readTyped(1, ValueType.Set)
  if (address !== -1) call.reply.integer(address === 0 ? 0 : setSize(call.db.keys, address))
}

function sismember(call: Call): void {
  const { args } = call
  const address = call.readTyped(1, ValueType.Set)
  if (address === -1) return
  const has = address !== 0 && setHas(call.db.keys, address, args.bytes, args.starts[2]!, args.ends[2]!)
  call.reply.integer(has ? 1 : 0)
}

function smismember(call: Call): void {
  const { args, reply } = call
  const address = call.readTyped(1, ValueType.Set)
  if (address === -1) return
  reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) {
    const has = address !== 0 && setHas(call.db.keys, address, args.bytes, args.starts[i]!, args.ends[i]!)
    reply.integer(has ? 1 : 0)
  }
}

function smembers(call: Call): void {
  const { reply } = call
  const { keys } = call.db
  const address = call.readTyped(1, ValueType.Set)
  if (address === -1) return
  if (address === 0) {
    reply.set(0)
    return
  }
  const size = setSize(keys, address)
  reply.set(size)
  if (keys.type(address) === Kind.SetPacked) {
    bulksOfEntries(reply, keys.valueBytes, lpFirst(keys.valueBytes, keys.valueStart), keys.valueEnd, size)
    return
  }
  cursor.open(keys, address)
  while (cursor.next()) reply.bulk(cursor.bytes, cursor.start, cursor.end)
}

/** Small sets are answered whole; tables go by hash, with the next hash as cursor (see structs/byte-map.ts). */
function sscan(call: Call): void {
  const { args, reply } = call
  const { keys } = call.db
  const from = parseUint64(args.bytes, args.start(2), args.end(2))
  if (from === undefined) {
    reply.error(INVALID_CURSOR)
    return
  }
  const address = call.readTyped(1, ValueType.Set)
  if (address === -1) return
  if (address === 0) {
    reply.array(2)
    reply.bulkInteger(0)
    reply.array(0)
    return
  }
  let count = SCAN_COUNT_DEFAULT
  let pattern = 0
  for (let i = 3; i < args.count; i += 2) {
    if (i + 1 < args.count && args.is(i, "count")) {
      count = call.integer(i + 1)
      if (Number.isNaN(count)) return
      if (count < 1) {
        reply.error(SYNTAX)
        return
      }
    } else if (i + 1 < args.count && args.is(i, "match")) {
      pattern = args.length(i + 1) === 1 && args.bytes[args.start(i + 1)] === STAR ? 0 : i + 1
    } else {
      reply.error(SYNTAX)
      return
    }
  }
  reply.array(2)
  let found = 0
  if (keys.type(address) !== Kind.SetTable) {
    reply.bulkInteger(0)
    const mark = reply.begin()
    cursor.open(keys, address)
    while (cursor.next()) if (emitMatching(call, pattern, cursor.bytes, cursor.start, cursor.end)) found++
    reply.endArray(mark, found)
    return
  }
  const map = keys.object(address) as ByteMap
  scanned.length = 0
  reply.bulkInteger(from < CURSOR_LIMIT ? map.scan(Number(from), count, scanned) : 0)
  const mark = reply.begin()
  for (const member of scanned) {
    map.readKey(member)
    if (emitMatching(call, pattern, map.keyBytes, map.keyStart, map.keyEnd)) found++
  }
  reply.endArray(mark, found)
}

function emitMatching(call: Call, pattern: number, bytes: Uint8Array, start: number, end: number): boolean {
  const { args } = call
  if (pattern !== 0 && !globMatch(args.bytes, args.start(pattern), args.end(pattern), bytes, start, end)) return false
  call.reply.bulk(bytes, start, end)
  return true
}
