/** Streams: consumer groups made, changed and dropped, entries acknowledged. */
import type { Call } from "../command/context.ts"
import { unknownSubcommandOrArity } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import type { CommandSpec } from "../command/spec.ts"
import { ENTRIES_READ_UNKNOWN, type Group } from "../structs/stream-groups.ts"
import { StreamId } from "../structs/stream-id.ts"
import type { StreamValue } from "../structs/stream-value.ts"
import {
  createStream,
  groupOf,
  isCharacter,
  noSuchGroupOf,
  notifyStream,
  quoted,
  readAnyId,
  readId,
  readIds,
  readStream,
  settleBytes,
  writableGroup,
  writeStream,
} from "./stream-access.ts"

const DOLLAR = 0x24
const KEY = 2
const GROUP = 3
const ID = 4
const CONSUMER = 4
const NEEDS_KEY =
  "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option " +
  "to create an empty stream automatically."
const CREATE_ARGUMENTS_MAX = 8

export const streamGroupCommands: readonly CommandSpec[] = [
  {
    name: "xack",
    since: "5.0.0",
    group: "stream",
    arity: -4,
    flags: "write fast",
    keys: "RW update @1",
    syntax: "key group id...",
    summary: "Marks messages of a consumer group as done.",
    complexity: "O(1) per id",
    run: xack,
  },
  {
    name: "xgroup",
    since: "5.0.0",
    group: "stream",
    arity: -2,
    flags: "",
    categories: "-stream",
    syntax: "",
    summary: "Holds the commands about consumer groups.",
    complexity: "depends on the subcommand",
    subcommands: [
      {
        name: "create",
        since: "5.0.0",
        group: "stream",
        arity: -5,
        flags: "write denyoom",
        keys: "RW insert @2",
        syntax: 'key group id-selector=(id|new-id="$") [MKSTREAM] [ENTRIESREAD entriesread:integer]',
        summary: "Creates a consumer group.",
        complexity: "O(1)",
        run: xgroupCreate,
      },
      {
        name: "createconsumer",
        since: "6.2.0",
        group: "stream",
        arity: 5,
        flags: "write denyoom",
        keys: "RW insert @2",
        syntax: "key group consumer",
        summary: "Creates a consumer in a group.",
        complexity: "O(1)",
        run: xgroupCreateConsumer,
      },
      {
        name: "delconsumer",
        since: "5.0.0",
        group: "stream",
        arity: 5,
        flags: "write",
        keys: "RW delete @2",
        syntax: "key group consumer",
        summary: "Deletes a consumer of a group.",
        complexity: "O(1)",
        run: xgroupDeleteConsumer,
      },
      {
        name: "destroy",
        since: "5.0.0",
        group: "stream",
        arity: 4,
        flags: "write",
        keys: "RW delete @2",
        syntax: "key group",
        summary: "Deletes a consumer group.",
        complexity: "O(N), N pending messages of the group",
        run: xgroupDestroy,
      },
      {
        name: "help",
        since: "5.0.0",
        group: "stream",
        arity: 2,
        flags: "loading stale",
        syntax: "",
        summary: "Lists the subcommands of XGROUP.",
        complexity: "O(1)",
        run: helpOf,
      },
      {
        name: "setid",
        since: "5.0.0",
        group: "stream",
        arity: -5,
        flags: "write",
        keys: "RW update @2",
        syntax: 'key group id-selector=(id|new-id="$") [ENTRIESREAD entriesread:integer~entries-read]',
        summary: "Sets the last delivered id of a group.",
        complexity: "O(1)",
        run: xgroupSetId,
      },
    ],
  },
]

const id = new StreamId()
// Options of XGROUP CREATE and SETID.
let makeStream = false
let entriesRead = ENTRIES_READ_UNKNOWN

function xgroupCreate(call: Call): void {
  const { args, keyspace, reply } = call
  if (!readOptions(call, true)) return
  let value = writeStream(call, KEY)
  if (value === null) return
  if (value === undefined && !makeStream) {
    reply.error(NEEDS_KEY)
    return
  }
  if (args.count > CREATE_ARGUMENTS_MAX) {
    refuse(call)
    return
  }
  if (isCharacter(call, ID, DOLLAR)) {
    if (value === undefined) id.setMin()
    else id.copy(value.log.lastId)
  } else if (!readId(call, ID, id)) return
  if (value === undefined) {
    value = createStream(call, KEY)
    call.db.modified(args.bytes, args.starts[KEY]!, args.ends[KEY]!)
  }
  value.own()
  const group = value.groups.create(args.bytes, args.starts[GROUP]!, args.ends[GROUP]!)
  if (group === undefined) {
    reply.error("BUSYGROUP Consumer Group name already exists")
    return
  }
  group.lastId.copy(id)
  // A group cannot have read more than there was; its lag would be below 0.
  group.entriesRead = Math.min(entriesRead, value.log.entriesAdded)
  reply.ok()
  keyspace.events.dirty++
  notifyStream(call, KEY, "xgroup-create")
  settleBytes(call, KEY)
}

function xgroupSetId(call: Call): void {
  const { args, keyspace, reply } = call
  if (!readOptions(call, false)) return
  const value = existing(call)
  if (value === undefined) return
  const group = existingGroup(call, value)
  if (group === undefined) return
  if (args.count !== 5 && args.count !== 7) {
    refuse(call)
    return
  }
  if (isCharacter(call, ID, DOLLAR)) id.copy(value.log.lastId)
  else if (!readAnyId(call, ID, id)) return
  group.lastId.copy(id)
  group.entriesRead = Math.min(entriesRead, value.log.entriesAdded)
  reply.ok()
  keyspace.events.dirty++
  notifyStream(call, KEY, "xgroup-setid")
  settleBytes(call, KEY)
}

function xgroupDestroy(call: Call): void {
  const { args, db, keyspace, reply } = call
  const value = existing(call)
  if (value === undefined) return
  value.own()
  if (!value.groups.delete(args.bytes, args.starts[GROUP]!, args.ends[GROUP]!)) {
    reply.integer(0)
    return
  }
  reply.integer(1)
  keyspace.events.dirty++
  notifyStream(call, KEY, "xgroup-destroy")
  settleBytes(call, KEY)
  // Those who wait for entries of the group must hear of it.
  db.modified(args.bytes, args.starts[KEY]!, args.ends[KEY]!)
}

function xgroupCreateConsumer(call: Call): void {
  const { args, keyspace, now, reply } = call
  const value = existing(call)
  if (value === undefined) return
  const group = existingGroup(call, value)
  if (group === undefined) return
  const start = args.starts[CONSUMER]!
  const end = args.ends[CONSUMER]!
  if (group.consumer(args.bytes, start, end) !== undefined) {
    reply.integer(0)
    return
  }
  group.createConsumer(args.bytes, start, end, now)
  reply.integer(1)
  keyspace.events.dirty++
  notifyStream(call, KEY, "xgroup-createconsumer")
  settleBytes(call, KEY)
}

function xgroupDeleteConsumer(call: Call): void {
  const { args, keyspace, reply } = call
  const value = existing(call)
  if (value === undefined) return
  const group = existingGroup(call, value)
  if (group === undefined) return
  const dropped = group.deleteConsumer(args.bytes, args.starts[CONSUMER]!, args.ends[CONSUMER]!)
  reply.integer(Math.max(dropped, 0))
  if (dropped === -1) return
  keyspace.events.dirty++
  notifyStream(call, KEY, "xgroup-delconsumer")
  settleBytes(call, KEY)
}

function readOptions(call: Call, isCreate: boolean): boolean {
  const { args, reply } = call
  makeStream = false
  entriesRead = ENTRIES_READ_UNKNOWN
  for (let i = 5; i < args.count; i++) {
    if (isCreate && args.is(i, "mkstream")) makeStream = true
    else if (args.is(i, "entriesread") && i + 1 < args.count) {
      entriesRead = call.integer(++i)
      if (Number.isNaN(entriesRead)) return false
      if (entriesRead < 0 && entriesRead !== ENTRIES_READ_UNKNOWN) {
        reply.error("ERR value for ENTRIESREAD must be positive or -1")
        return false
      }
    } else {
      refuse(call)
      return false
    }
  }
  return true
}

function refuse(call: Call): void {
  call.reply.error(unknownSubcommandOrArity(quoted(call, 1), "xgroup"))
}

/** The stream; undefined after having answered with an error. */
function existing(call: Call): StreamValue | undefined {
  const value = writeStream(call, KEY)
  if (value === undefined) call.reply.error(NEEDS_KEY)
  return value ?? undefined
}

/** The group, to be written; undefined after having answered with an error. */
function existingGroup(call: Call, value: StreamValue): Group | undefined {
  const group = writableGroup(call, value, GROUP)
  if (group === undefined) noSuchGroupOf(call, KEY, GROUP)
  return group
}

function xack(call: Call): void {
  const { args, keyspace, reply } = call
  const value = readStream(call, 1)
  if (value === null) return
  if (value === undefined || groupOf(call, value, 2) === undefined) {
    reply.integer(0)
    return
  }
  const ids = readIds(call, 3, args.count - 1)
  if (ids === undefined) return
  const group = writableGroup(call, value, 2)!
  let acknowledged = 0
  for (let i = 3; i < args.count; i++) if (group.acknowledge(ids[i - 3]!)) acknowledged++
  reply.integer(acknowledged)
  if (acknowledged === 0) return
  keyspace.events.dirty += acknowledged
  settleBytes(call, 1)
}
