/** Streams: XDELEX and XACKDEL, which delete entries with an eye to the groups that may still need them. */
import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import type { Group } from "../structs/stream-groups.ts"
import type { StreamId } from "../structs/stream-id.ts"
import type { StreamValue } from "../structs/stream-value.ts"
import { groupOf, hasEntry, readIds, settleBytes, writableGroup, writeStream } from "./stream-access.ts"
import {
  ACKNOWLEDGED,
  DELETE_REFERENCES,
  dropReferences,
  isDone,
  isPending,
  KEEP_REFERENCES,
  referencePolicy,
} from "./stream-references.ts"

// What is replied for an id.
const MISSING = -1
const DELETED = 1
const STILL_NEEDED = 2

export const streamDeleteCommands: readonly CommandSpec[] = [
  {
    name: "xackdel",
    since: "8.2.0",
    group: "stream",
    arity: -6,
    flags: "write fast",
    keys: "RW delete @1",
    syntax: "key group [condition=KEEPREF|DELREF|ACKED] IDS(numids:integer id...)",
    summary: "Marks messages of a consumer group as done and deletes them.",
    complexity: "O(1) per id",
    run: xackdel,
  },
  {
    name: "xdelex",
    since: "8.2.0",
    group: "stream",
    arity: -5,
    flags: "write fast",
    keys: "RW delete @1",
    syntax: "key [condition=KEEPREF|DELREF|ACKED] IDS(numids:integer id...)",
    summary: "Deletes entries of a stream, with a choice about what groups still refer to.",
    complexity: "O(1) per id and group",
    run: xdelex,
  },
]

// Options of the running command.
let policy = KEEP_REFERENCES
let ids: readonly StreamId[] = []
let count = 0
// What it has done.
let deleted = 0
let dropped = 0

function xdelex(call: Call): void {
  const { reply } = call
  if (!readOptions(call, 2)) return
  const value = writeStream(call, 1)
  if (value === null) return
  if (value === undefined) {
    replyMissing(call)
    return
  }
  value.own()
  const groups = value.groups.sorted()
  begin()
  reply.array(count)
  for (let i = 0; i < count; i++) reply.integer(remove(value, groups, ids[i]!))
  finish(call)
}

function xackdel(call: Call): void {
  const { reply } = call
  if (!readOptions(call, 3)) return
  const value = writeStream(call, 1)
  if (value === null) return
  if (value === undefined || groupOf(call, value, 2) === undefined) {
    replyMissing(call)
    return
  }
  const group = writableGroup(call, value, 2)!
  const groups = value.groups.sorted()
  begin()
  reply.array(count)
  for (let i = 0; i < count; i++) reply.integer(acknowledgeAndRemove(value, groups, group, ids[i]!))
  finish(call)
}

function remove(value: StreamValue, groups: readonly Group[], id: StreamId): number {
  if (policy === DELETE_REFERENCES) dropped += dropReferences(value, groups, id)
  else if (policy === ACKNOWLEDGED && hasEntry(value.log, id) && !isDone(groups, id)) return STILL_NEEDED
  if (!value.log.delete(id)) return MISSING
  deleted++
  return DELETED
}

/** An entry that is pending counts as deleted also when the stream has lost it before. */
function acknowledgeAndRemove(value: StreamValue, groups: readonly Group[], group: Group, id: StreamId): number {
  if (!group.acknowledge(id)) return MISSING
  dropped++
  if (policy === DELETE_REFERENCES) dropped += dropReferences(value, groups, id)
  else if (policy === ACKNOWLEDGED) {
    const isNeeded = hasEntry(value.log, id) ? !isDone(groups, id) : isPending(groups, id)
    if (isNeeded) return STILL_NEEDED
  }
  if (value.log.delete(id)) deleted++
  return DELETED
}

function readOptions(call: Call, from: number): boolean {
  const { args, reply } = call
  policy = 0
  count = 0
  for (let i = from; i < args.count; i++) {
    const named = referencePolicy(args, i)
    if (named !== 0 && policy === 0) policy = named
    else if (named === 0 && count === 0 && args.is(i, "ids") && i + 1 < args.count) {
      if (!readIdBlock(call, i + 1)) return false
      i += 1 + count
    } else {
      reply.error(SYNTAX)
      return false
    }
  }
  if (policy === 0) policy = KEEP_REFERENCES
  if (count > 0) return true
  reply.error(SYNTAX)
  return false
}

/** Reads a number, which is argument `i`, and that many ids. */
function readIdBlock(call: Call, i: number): boolean {
  const { args, reply } = call
  count = args.integer(i)
  if (!(count > 0)) {
    reply.error("ERR Number of IDs must be a positive integer")
    return false
  }
  if (count > args.count - 1 - i) {
    reply.error("ERR The `numids` parameter must match the number of arguments")
    return false
  }
  const read = readIds(call, i + 1, i + count)
  if (read === undefined) return false
  ids = read
  return true
}

function replyMissing(call: Call): void {
  call.reply.array(count)
  for (let i = 0; i < count; i++) call.reply.integer(MISSING)
}

function begin(): void {
  deleted = 0
  dropped = 0
}

function finish(call: Call): void {
  if (deleted === 0 && dropped === 0) return
  const { events } = call.keyspace
  if (deleted > 0) {
    call.changed(1, Notify.Stream, "xdel")
    events.dirty += deleted - 1
  }
  events.dirty += dropped
  settleBytes(call, 1)
}
