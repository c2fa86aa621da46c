/** Keys under other names and in other databases: RENAME, RENAMENX, COPY, MOVE. */
import { compareBytes } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { DB_OUT_OF_RANGE, NO_SUCH_KEY, SAME_OBJECT, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Database } from "../keyspace/db.ts"
import { Notify } from "../keyspace/events.ts"
import { copyValue, type KeyPlace, moveValue } from "./copy-value.ts"

export const keyMoveCommands: readonly CommandSpec[] = [
  {
    name: "rename",
    since: "1.0.0",
    group: "generic",
    arity: 3,
    flags: "write",
    keys: "RW access delete @1; OW update @2",
    syntax: "key newkey:key",
    summary: "Renames a key; what had the new name is overwritten.",
    complexity: "O(1)",
    run: rename,
  },
  {
    name: "renamenx",
    since: "1.0.0",
    group: "generic",
    arity: 3,
    flags: "write fast",
    keys: "RW access delete @1; OW insert @2",
    syntax: "key newkey:key",
    summary: "Renames a key unless the new name is taken.",
    complexity: "O(1)",
    run: renamenx,
  },
  {
    name: "copy",
    since: "6.2.0",
    group: "generic",
    arity: -3,
    flags: "write denyoom",
    keys: "RO access @1; OW update @2",
    syntax: "source:key destination:key [DB destination-db:integer] [REPLACE]",
    summary: "Copies the value of a key to another key.",
    complexity: "O(N), N elements of the value; O(1) for a string",
    run: copy,
  },
  {
    name: "move",
    since: "1.0.0",
    group: "generic",
    arity: 3,
    flags: "write fast",
    keys: "RW access update @1",
    syntax: "key db:integer",
    summary: "Moves a key to another database.",
    complexity: "O(1)",
    run: move,
  },
]

const INT32_MAX = 2 ** 31 - 1

function rename(call: Call): void {
  renameGeneric(call, false)
}

function renamenx(call: Call): void {
  renameGeneric(call, true)
}

function renameGeneric(call: Call, onlyIfFree: boolean): void {
  const { db, keyspace, reply } = call
  if (call.write(1) === 0) {
    reply.error(NO_SUCH_KEY)
    return
  }
  if (sameArguments(call, 1, 2)) {
    if (onlyIfFree) reply.integer(0)
    else reply.ok()
    return
  }
  const occupied = call.write(2)
  if (occupied !== 0) {
    if (onlyIfFree) {
      reply.integer(0)
      return
    }
    db.removeQuietly(occupied)
  }
  const from = place(call, db, 1)
  const to = place(call, db, 2)
  moveValue(from, to)
  tellBoth(from, "rename_from", to, "rename_to")
  keyspace.events.dirty++
  if (onlyIfFree) reply.integer(1)
  else reply.ok()
}

function move(call: Call): void {
  const { config, db, keyspace, reply } = call
  if (config.values.clusterEnabled) {
    reply.error("ERR MOVE is not allowed in cluster mode")
    return
  }
  const target = readDatabase(call, 2)
  if (target === undefined) return
  if (target === db) {
    reply.error(SAME_OBJECT)
    return
  }
  const from = place(call, db, 1)
  const to = place(call, target, 1)
  if (call.write(1) === 0 || target.lookupWrite(to.bytes, to.start, to.end) !== 0) {
    reply.integer(0)
    return
  }
  moveValue(from, to)
  tellBoth(from, "move_from", to, "move_to")
  keyspace.events.dirty++
  reply.integer(1)
}

function copy(call: Call): void {
  const { args, config, db, reply } = call
  let target = db
  let replaces = false
  for (let i = 3; i < args.count; i++) {
    if (args.is(i, "replace")) replaces = true
    else if (args.is(i, "db") && i + 1 < args.count) {
      const named = readDatabase(call, ++i)
      if (named === undefined) return
      target = named
    } else {
      reply.error(SYNTAX)
      return
    }
  }
  if (config.values.clusterEnabled && (db.index !== 0 || target.index !== 0)) {
    reply.error("ERR Copying to another database is not allowed in cluster mode")
    return
  }
  if (target === db && sameArguments(call, 1, 2)) {
    reply.error(SAME_OBJECT)
    return
  }
  if (call.read(1) === 0) {
    reply.integer(0)
    return
  }
  const to = place(call, target, 2)
  const occupied = target.lookupWrite(to.bytes, to.start, to.end)
  if (occupied !== 0) {
    if (!replaces) {
      reply.integer(0)
      return
    }
    target.removeQuietly(occupied)
  }
  copyValue(place(call, db, 1), to)
  target.changed(to.bytes, to.start, to.end, Notify.Generic, "copy_to")
  reply.integer(1)
}

function sameArguments(call: Call, i: number, j: number): boolean {
  const { bytes, starts, ends } = call.args
  return compareBytes(bytes, starts[i]!, ends[i]!, bytes, starts[j]!, ends[j]!) === 0
}

function place(call: Call, db: Database, i: number): KeyPlace {
  return { db, bytes: call.args.bytes, start: call.args.start(i), end: call.args.end(i) }
}

function tellBoth(from: KeyPlace, fromEvent: string, to: KeyPlace, toEvent: string): void {
  from.db.modified(from.bytes, from.start, from.end)
  to.db.modified(to.bytes, to.start, to.end)
  const { events } = from.db.keyspace
  events.notify(Notify.Generic, fromEvent, from.db, from.bytes, from.start, from.end)
  events.notify(Notify.Generic, toEvent, to.db, to.bytes, to.start, to.end)
}

/** The database whose number is argument `i`; undefined after having answered with an error. */
function readDatabase(call: Call, i: number): Database | undefined {
  const index = call.integer(i)
  if (Number.isNaN(index)) return undefined
  if (index < -INT32_MAX - 1 || index > INT32_MAX) {
    call.reply.error(`ERR value is out of range, value must between ${-INT32_MAX - 1} and ${INT32_MAX}`)
    return undefined
  }
  const db = call.keyspace.databases[index]
  if (db === undefined) call.reply.error(DB_OUT_OF_RANGE)
  return db
}
