/** Streams: XINFO, which describes a stream, its groups and their consumers. */
import type { Call } from "../command/context.ts"
import { NO_SUCH_KEY, unknownSubcommandOrArity } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { IdTableCursor } from "../structs/id-table.ts"
import { type Consumer, ENTRIES_READ_UNKNOWN, type Group, PendingEntry } from "../structs/stream-groups.ts"
import { StreamId } from "../structs/stream-id.ts"
import type { StreamLog } from "../structs/stream-log.ts"
import type { StreamValue } from "../structs/stream-value.ts"
import {
  groupOf,
  lastLiveId,
  noSuchGroupOf,
  readStream,
  replyDeliveries,
  replyEntryOf,
  replyId,
  replyRange,
} from "./stream-access.ts"
import { lagOf } from "./stream-lag.ts"

const KEY = 2
const GROUP = 3
const FULL_COUNT_DEFAULT = 10

export const streamInfoCommands: readonly CommandSpec[] = [
  {
    name: "xinfo",
    since: "5.0.0",
    group: "stream",
    arity: -2,
    flags: "",
    categories: "-stream",
    syntax: "",
    summary: "Holds the commands that describe streams.",
    complexity: "depends on the subcommand",
    subcommands: [
      {
        name: "consumers",
        since: "5.0.0",
        group: "stream",
        arity: 4,
        flags: "readonly",
        keys: "RO access @2",
        tips: "nondeterministic_output",
        syntax: "key group",
        summary: "Lists the consumers of a group.",
        complexity: "O(1)",
        run: xinfoConsumers,
      },
      {
        name: "groups",
        since: "5.0.0",
        group: "stream",
        arity: 3,
        flags: "readonly",
        keys: "RO access @2",
        syntax: "key",
        summary: "Lists the consumer groups of a stream.",
        complexity: "O(1)",
        run: xinfoGroups,
      },
      {
        name: "help",
        since: "5.0.0",
        group: "stream",
        arity: 2,
        flags: "loading stale",
        syntax: "",
        summary: "Lists the subcommands of XINFO.",
        complexity: "O(1)",
        run: helpOf,
      },
      {
        name: "stream",
        since: "5.0.0",
        group: "stream",
        arity: -3,
        flags: "readonly",
        keys: "RO access @2",
        syntax: "key [full-block=FULL [COUNT count:integer]]",
        summary: "Describes a stream.",
        complexity: "O(1)",
        run: xinfoStream,
      },
    ],
  },
]

const MIN = new StreamId()
const MAX = new StreamId().setMax()
const id = new StreamId()
const pending = new PendingEntry()
const rows = new IdTableCursor()

function xinfoStream(call: Call): void {
  const { args, reply } = call
  const value = existing(call)
  if (value === undefined) return
  if (args.count === 3) {
    reply.map(10 + producerFacts(value))
    replyFacts(reply, value.log)
    replyProducers(call, value)
    field(reply, "groups", value.groups.size)
    reply.bulkText("first-entry")
    replyEnd(reply, value.log, false)
    reply.bulkText("last-entry")
    replyEnd(reply, value.log, true)
    return
  }
  const isWellFormed = args.count === 4 || (args.count === 6 && args.is(4, "count"))
  if (!isWellFormed || !args.is(3, "full")) {
    reply.error(unknownSubcommandOrArity(args.latin1(1), "xinfo"))
    return
  }
  let count = FULL_COUNT_DEFAULT
  if (args.count === 6) {
    count = call.integer(5)
    if (Number.isNaN(count)) return
    if (count < 0) count = FULL_COUNT_DEFAULT
    if (count === 0) count = Number.POSITIVE_INFINITY
  }
  replyInFull(call, value, count)
}

function xinfoGroups(call: Call): void {
  const { reply } = call
  const value = existing(call)
  if (value === undefined) return
  const groups = value.groups.sorted()
  reply.array(groups.length)
  for (const group of groups) {
    reply.map(6)
    replyName(reply, group.name)
    field(reply, "consumers", group.consumerCount)
    field(reply, "pending", group.pending.length)
    replyPosition(reply, value.log, group)
  }
}

function xinfoConsumers(call: Call): void {
  const { now, reply } = call
  const value = existing(call)
  if (value === undefined) return
  const group = groupOf(call, value, GROUP)
  if (group === undefined) {
    noSuchGroupOf(call, KEY, GROUP)
    return
  }
  const consumers = group.sortedConsumers()
  reply.array(consumers.length)
  for (const consumer of consumers) {
    reply.map(4)
    replyName(reply, consumer.name)
    field(reply, "pending", consumer.pending.length)
    field(reply, "idle", Math.max(0, now - consumer.seenMs))
    field(reply, "inactive", consumer.activeMs === -1 ? -1 : now - consumer.activeMs)
  }
}

// ---------------------------------------------------------------------------------------------- parts

/** The stream; undefined after having answered with an error. */
function existing(call: Call): StreamValue | undefined {
  const value = readStream(call, KEY)
  if (value === undefined) call.reply.error(NO_SUCH_KEY)
  return value ?? undefined
}

function replyFacts(reply: ReplyWriter, log: StreamLog): void {
  const blocks = log.blockCount
  field(reply, "length", log.length)
  field(reply, "radix-tree-keys", blocks)
  // There is no such tree here; as many nodes as a tree of that many keys has at least.
  field(reply, "radix-tree-nodes", blocks + 1)
  idField(reply, "last-generated-id", log.lastId)
  idField(reply, "max-deleted-entry-id", log.maxDeletedId)
  field(reply, "entries-added", log.entriesAdded)
  idField(reply, "recorded-first-entry-id", log.firstId)
}

/** Fields that `replyProducers` is going to write: none for a stream whose messages never had names. */
function producerFacts(value: StreamValue): number {
  return value.idempotency === undefined ? 0 : 6
}

function replyProducers({ now, reply }: Call, value: StreamValue): void {
  const { idempotency } = value
  if (idempotency === undefined) return
  value.own()
  value.idempotency!.prune(now)
  const { durationSeconds, entriesMax, producerCount, size, added, duplicates } = value.idempotency!
  field(reply, "idmp-duration", durationSeconds)
  field(reply, "idmp-maxsize", entriesMax)
  field(reply, "pids-tracked", producerCount)
  field(reply, "iids-tracked", size)
  field(reply, "iids-added", added)
  field(reply, "iids-duplicates", duplicates)
}

function replyEnd(reply: ReplyWriter, log: StreamLog, isLast: boolean): void {
  if (isLast ? lastLiveId(log, id) : log.length > 0) replyEntryOf(reply, log, isLast ? id : log.firstId)
  else reply.null()
}

function replyInFull(call: Call, value: StreamValue, count: number): void {
  const { reply } = call
  const { log } = value
  reply.map(9 + producerFacts(value))
  replyFacts(reply, log)
  replyProducers(call, value)
  reply.bulkText("entries")
  replyRange(reply, log, MIN, MAX, count, false)
  reply.bulkText("groups")
  const groups = value.groups.sorted()
  reply.array(groups.length)
  for (const group of groups) {
    reply.map(group.unownedCount > 0 ? 8 : 7)
    replyName(reply, group.name)
    replyPosition(reply, log, group)
    field(reply, "pel-count", group.pending.length)
    if (group.unownedCount > 0) field(reply, "nacked-count", group.unownedCount)
    reply.bulkText("pending")
    replyGroupPending(reply, group, count)
    reply.bulkText("consumers")
    const consumers = group.sortedConsumers()
    reply.array(consumers.length)
    for (const consumer of consumers) replyConsumer(reply, group, consumer, count)
  }
}

function replyGroupPending(reply: ReplyWriter, group: Group, countMax: number): void {
  let left = Math.min(countMax, group.pending.length)
  reply.array(left)
  rows.seekAtOrAfter(group.pending, MIN)
  for (; left > 0; left--, rows.next()) {
    pending.read(rows.words, rows.at)
    const { name } = group.consumerAt(pending.slot)
    reply.array(4)
    replyId(reply, pending.id)
    reply.bulk(name, 0, name.length)
    reply.integer(pending.deliveryMs)
    replyDeliveries(reply, pending.deliveryCount)
  }
  rows.release()
}

function replyConsumer(reply: ReplyWriter, group: Group, consumer: Consumer, countMax: number): void {
  reply.map(5)
  replyName(reply, consumer.name)
  field(reply, "seen-time", consumer.seenMs)
  field(reply, "active-time", consumer.activeMs)
  field(reply, "pel-count", consumer.pending.length)
  reply.bulkText("pending")
  let left = Math.min(countMax, consumer.pending.length)
  reply.array(left)
  rows.seekAtOrAfter(consumer.pending, MIN)
  for (; left > 0; left--, rows.next()) {
    rows.readId(id)
    group.findPending(id, pending)
    reply.array(3)
    replyId(reply, id)
    reply.integer(pending.deliveryMs)
    replyDeliveries(reply, pending.deliveryCount)
  }
  rows.release()
}

function replyPosition(reply: ReplyWriter, log: StreamLog, group: Group): void {
  idField(reply, "last-delivered-id", group.lastId)
  const read = group.entriesRead
  field(reply, "entries-read", read === ENTRIES_READ_UNKNOWN ? undefined : read)
  field(reply, "lag", lagOf(log, group))
}

function replyName(reply: ReplyWriter, name: Uint8Array): void {
  reply.bulkText("name")
  reply.bulk(name, 0, name.length)
}

function field(reply: ReplyWriter, name: string, value: number | undefined): void {
  reply.bulkText(name)
  if (value === undefined) reply.null()
  else reply.integer(value)
}

function idField(reply: ReplyWriter, name: string, value: StreamId): void {
  reply.bulkText(name)
  replyId(reply, value)
}
