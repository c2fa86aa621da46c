/**
 * Streams: XREAD and XREADGROUP, which read what is behind given ids in several streams, and may wait for it.
 *
 * A wait is a rerun of the same command: for it, "$" is replaced by the id it stood for. XREADGROUP is propagated as what
 * it did to the group: one XCLAIM per entry delivered, then the group's new position.
 */
import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { ValueType } from "../keyspace/kinds.ts"
import { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { IdTableCursor } from "../structs/id-table.ts"
import { type Consumer, type Group, PendingEntry } from "../structs/stream-groups.ts"
import { StreamId } from "../structs/stream-id.ts"
import { StreamCursor, type StreamView } from "../structs/stream-log.ts"
import type { StreamValue } from "../structs/stream-value.ts"
import { readDeadlineMs } from "./deadline.ts"
import {
  correctLength,
  groupOf,
  isCharacter,
  lastLiveId,
  noSuchGroup,
  readId,
  readStream,
  replyDeliveries,
  replyEntry,
  replyEntryOf,
  replyId,
  replyRange,
  seenConsumer,
  settleBytes,
  writableGroup,
} from "./stream-access.ts"
import { idleEntries, mayHaveIdle, nextIdleLook } from "./stream-idle.ts"
import { advance } from "./stream-lag.ts"
import { propagateClaim, propagateConsumer, propagatePosition } from "./stream-propagation.ts"

const DOLLAR = 0x24
const PLUS = 0x2b
const GREATER = 0x3e

export const streamReadCommands: readonly CommandSpec[] = [
  {
    name: "xread",
    since: "5.0.0",
    group: "stream",
    arity: -4,
    flags: "readonly blocking",
    keys: "RO access STREAMS@1..-1%2",
    syntax:
      "[COUNT count:integer] [MAXCOUNT maxcount:integer]@8.10.0 [MAXSIZE maxsize:integer]@8.10.0 " +
      "[BLOCK milliseconds:integer] STREAMS(key... id...)",
    summary: "Gives the entries after given ids of several streams, waiting if there are none.",
    complexity: "O(N), N entries returned",
    run: xread,
  },
  {
    name: "xreadgroup",
    since: "5.0.0",
    group: "stream",
    arity: -7,
    flags: "write blocking",
    keys: "RO access STREAMS@4..-1%2",
    syntax:
      "group-block=GROUP(group consumer) [COUNT count:integer] [MAXCOUNT maxcount:integer]@8.10.0 " +
      "[MAXSIZE maxsize:integer]@8.10.0 [BLOCK milliseconds:integer] [CLAIM min-idle-time:integer]@8.4.0 [NOACK] " +
      "STREAMS(key... id...)",
    summary: "Gives entries of streams to a consumer of a group, waiting if there are none.",
    complexity: "O(M) per stream, M entries returned",
    run: xreadgroup,
  },
]

/** What was asked for; one object, used again. */
class ReadOptions {
  /** Entries per stream. */
  countMax = Number.POSITIVE_INFINITY
  /** Wall time in ms, 0 to wait forever, -1 not to wait. */
  deadline = -1
  noAck = false
  /** Pending entries that have been idle for so many ms are claimed; -1 when none are. */
  claimIdleMin = -1
  /** Argument numbers of the names of group and consumer, 0 when there are none. */
  group = 0
  consumer = 0
  /** Argument number of the first key; the ids follow the keys. */
  keysAt = 0
  streams = 0
}

/** What the whole reply may take: MAXCOUNT and MAXSIZE. One entry there is always room for. */
class Budget {
  entriesMax = Number.POSITIVE_INFINITY
  bytesMax = Number.POSITIVE_INFINITY
  /** Where the reply begins. */
  origin = 0
  entries = 0
  isLeft = true

  begin(reply: ReplyWriter): void {
    this.origin = reply.at
    this.entries = 0
    this.isLeft = true
  }

  /** Entries that one stream may still give. */
  get streamMax(): number {
    return Math.min(options.countMax, this.entriesMax - this.entries)
  }

  /** Notes entries that have been replied. */
  add(count: number): void {
    this.entries += count
    if (this.entries >= this.entriesMax) this.isLeft = false
  }

  /** Notes the entry that has just been replied from `mark` on, or takes it back when it is too much. */
  keeps(reply: ReplyWriter, mark: number): boolean {
    if (reply.at - this.origin > this.bytesMax && this.entries > 0) {
      reply.at = mark
      this.isLeft = false
      return false
    }
    this.add(1)
    return true
  }
}

const options = new ReadOptions()
const budget = new Budget()
/** Per stream the id that entries must be above. */
const after: StreamId[] = []
/** Per stream of XREADGROUP, whether the consumer's own pending entries are asked for. */
const history: boolean[] = []
/** Per stream, whether there is anything to reply. */
const served: boolean[] = []
const scratch = new StreamId()
const start = new StreamId()
const end = new StreamId().setMax()
const cursor = new StreamCursor()
const rows = new IdTableCursor()
const pending = new PendingEntry()

function xread(call: Call): void {
  if (!readOptions(call, false)) return
  const { keysAt, streams } = options
  for (let i = 0; i < streams; i++) {
    const value = readStream(call, keysAt + i)
    if (value === null || !readPosition(call, i, value)) return
  }
  const count = findNews(call)
  if (count === 0) {
    waitOrGiveUp(call)
    return
  }
  const { reply } = call
  budget.begin(reply)
  openReply(reply, count)
  const body = reply.at
  let replied = 0
  for (let i = 0; i < streams && budget.isLeft; i++) {
    if (!served[i]) continue
    const mark = reply.begin()
    openStream(call, keysAt + i)
    start.copy(after[i]!).increment()
    if (replyNews(call, streamUnder(call, keysAt + i)!.log)) replied++
    else reply.at = mark
  }
  if (replied < count) correctLength(reply, budget.origin, body, replied, reply.resp3)
}

function xreadgroup(call: Call): void {
  if (!readOptions(call, true)) return
  call.propagation.suppress()
  const { keysAt, streams } = options
  for (let i = 0; i < streams; i++) {
    const value = readStream(call, keysAt + i)
    if (value === null) return
    if (value === undefined || groupOf(call, value, options.group) === undefined) {
      noSuchGroup(call, keysAt + i, options.group, " in XREADGROUP with GROUP option")
      return
    }
    if (!readGroupPosition(call, i)) return
  }
  const count = meetGroups(call)
  if (count === 0) {
    waitOrGiveUp(call)
    return
  }
  const { reply } = call
  budget.begin(reply)
  openReply(reply, count)
  const body = reply.at
  let replied = 0
  for (let i = 0; i < streams && budget.isLeft; i++) {
    if (!served[i]) continue
    const mark = reply.begin()
    openStream(call, keysAt + i)
    // A stream that is named twice has nothing new the second time, and with a budget there may be no room.
    if (history[i]) replied++
    if (history[i]) replyHistory(call, i)
    else if (deliver(call, i)) replied++
    else reply.at = mark
    settleBytes(call, keysAt + i)
  }
  if (replied === 0) {
    // What has been idle for so long is no longer in the stream.
    reply.at = budget.origin
    waitOrGiveUp(call)
  } else if (replied < count) correctLength(reply, budget.origin, body, replied, reply.resp3)
}

// ---------------------------------------------------------------------------------------------- arguments

function readOptions(call: Call, isGroupRead: boolean): boolean {
  const { args, reply } = call
  options.countMax = Number.POSITIVE_INFINITY
  options.deadline = -1
  options.noAck = false
  options.claimIdleMin = -1
  options.group = 0
  budget.entriesMax = Number.POSITIVE_INFINITY
  budget.bytesMax = Number.POSITIVE_INFINITY
  options.keysAt = 0
  for (let i = 1; i < args.count && options.keysAt === 0; i++) {
    const more = args.count - 1 - i
    if (more > 0 && args.is(i, "block")) {
      options.deadline = readDeadlineMs(call, ++i)
      if (Number.isNaN(options.deadline)) return false
    } else if (more > 0 && args.is(i, "count")) {
      const count = call.integer(++i)
      if (Number.isNaN(count)) return false
      options.countMax = count <= 0 ? Number.POSITIVE_INFINITY : count
    } else if (more > 0 && args.is(i, "maxcount")) {
      budget.entriesMax = readPositive(call, ++i, "MAXCOUNT")
      if (Number.isNaN(budget.entriesMax)) return false
    } else if (more > 0 && args.is(i, "maxsize")) {
      budget.bytesMax = readPositive(call, ++i, "MAXSIZE")
      if (Number.isNaN(budget.bytesMax)) return false
    } else if (isGroupRead && more > 0 && args.is(i, "claim")) {
      if (!readClaim(call, ++i)) return false
    } else if (more > 0 && args.is(i, "streams")) {
      if ((more & 1) === 1) {
        const ids = isGroupRead ? "ID or '>'" : "ID, '+', or '$'"
        const name = call.command.fullName
        reply.error(`ERR Unbalanced '${name}' list of streams: for each stream key an ${ids} must be specified.`)
        return false
      }
      options.keysAt = i + 1
      options.streams = more >>> 1
    } else if (more > 1 && args.is(i, "group")) {
      if (!isGroupRead) return refuseForGroups(reply, "GROUP")
      options.group = i + 1
      options.consumer = i + 2
      i += 2
    } else if (args.is(i, "noack")) {
      if (!isGroupRead) return refuseForGroups(reply, "NOACK")
      options.noAck = true
    } else {
      reply.error(SYNTAX)
      return false
    }
  }
  if (options.keysAt === 0) reply.error(SYNTAX)
  else if (isGroupRead && options.group === 0) reply.error("ERR Missing GROUP option for XREADGROUP")
  else if (budget.entriesMax < options.countMax && options.countMax !== Number.POSITIVE_INFINITY) {
    reply.error("ERR MAXCOUNT must be greater than or equal to COUNT")
  } else {
    while (after.length < options.streams) after.push(new StreamId())
    return true
  }
  return false
}

function readPositive(call: Call, i: number, option: string): number {
  const error = `ERR ${option} must be a positive integer`
  const n = call.integer(i, error)
  if (n > 0 || Number.isNaN(n)) return n
  call.reply.error(error)
  return Number.NaN
}

function readClaim(call: Call, i: number): boolean {
  options.claimIdleMin = call.integer(i, "ERR min-idle-time is not an integer")
  if (Number.isNaN(options.claimIdleMin)) return false
  if (options.claimIdleMin >= 0) return true
  call.reply.error("ERR min-idle-time must be a positive integer")
  return false
}

function refuseForGroups(reply: ReplyWriter, option: string): false {
  reply.error(`ERR The ${option} option is only supported by XREADGROUP. You called XREAD instead.`)
  return false
}

/** The id for stream `i` of XREAD: everything above it is asked for. */
function readPosition(call: Call, i: number, value: StreamValue | undefined): boolean {
  const { reply } = call
  const at = options.keysAt + options.streams + i
  const id = after[i]!
  if (isCharacter(call, at, DOLLAR)) {
    if (value === undefined) id.setMin()
    else id.copy(value.log.lastId)
    return true
  }
  if (isCharacter(call, at, PLUS)) {
    if (value === undefined) id.setMin()
    else if (!id.copy(value.log.lastId).decrement()) {
      reply.error("ERR the stream last element ID is 0-0")
      return false
    }
    return true
  }
  if (isCharacter(call, at, GREATER)) {
    reply.error("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
    return false
  }
  return readId(call, at, id)
}

/** The id for stream `i` of XREADGROUP: ">" for what nobody has got yet, else the consumer's own entries above it. */
function readGroupPosition(call: Call, i: number): boolean {
  const at = options.keysAt + options.streams + i
  if (isCharacter(call, at, DOLLAR) || isCharacter(call, at, PLUS)) {
    const sign = call.args.latin1(at)
    call.reply.error(
      `ERR The ${sign} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by ` +
        `specifying a proper ID, or use the > ID to get new messages. The ${sign} ID would just return an empty result set.`,
    )
    return false
  }
  const id = after[i]!
  history[i] = false
  if (isCharacter(call, at, GREATER)) return true
  if (!readId(call, at, id)) return false
  // The highest id is another way to say ">".
  history[i] = !id.isMax()
  return true
}

// ---------------------------------------------------------------------------------------------- what there is

/** The stream under the key that is argument `i`, which is known to be one if it is there at all. */
function streamUnder(call: Call, i: number): StreamValue | undefined {
  const { args, db } = call
  const address = db.find(args.bytes, args.starts[i]!, args.ends[i]!)
  if (address === 0 || db.type(address) !== ValueType.Stream) return undefined
  return db.keys.object(address) as StreamValue
}

function hasNews(log: StreamView, id: StreamId): boolean {
  return lastLiveId(log, scratch) && scratch.compare(id) > 0
}

/** Notes which streams have entries for XREAD; their number. That every key counts as read twice, Redis has it so. */
function findNews(call: Call): number {
  let count = 0
  for (let i = 0; i < options.streams; i++) {
    const value = readStream(call, options.keysAt + i)
    served[i] = value != null && hasNews(value.log, after[i]!)
    if (served[i]) count++
  }
  return count
}

/** The consumer shows up in all groups; notes which of them have something for it, and their number. */
function meetGroups(call: Call): number {
  let count = 0
  for (let i = 0; i < options.streams; i++) {
    const key = options.keysAt + i
    const value = readStream(call, key)!
    const group = writableGroup(call, value, options.group)!
    const { consumerCount } = group
    seenConsumer(call, group, options.consumer, key)
    served[i] = history[i]! || hasNews(value.log, group.lastId) || hasIdle(call, group)
    // Entries that are given to it bring it along.
    const isGiven = served[i] && !history[i] && !options.noAck
    if (group.consumerCount !== consumerCount && !isGiven) {
      propagateConsumer(call, key, options.group, options.consumer)
    }
    settleBytes(call, key)
    if (served[i]) count++
  }
  return count
}

function hasIdle(call: Call, group: Group): boolean {
  return options.claimIdleMin >= 0 && mayHaveIdle(group, call.now - options.claimIdleMin)
}

function waitOrGiveUp(call: Call): void {
  const { keysAt, streams, deadline } = options
  if (deadline === -1 || call.client.denyBlocking) {
    call.reply.nullArray()
    return
  }
  const keys: number[] = []
  for (let i = 0; i < streams; i++) keys.push(keysAt + i)
  resolveLast(call)
  call.blocking.block(call, keys, deadline, timedOut, nextLook(call))
}

/** With CLAIM: when there may be idle entries although none of the streams has changed; 0 without. */
function nextLook(call: Call): number {
  const { claimIdleMin, group, keysAt, streams } = options
  if (group === 0 || claimIdleMin < 0) return 0
  let next = Number.POSITIVE_INFINITY
  for (let i = 0; i < streams; i++) {
    const value = streamUnder(call, keysAt + i)
    const found = value === undefined ? undefined : groupOf(call, value, group)
    if (found !== undefined) next = Math.min(next, nextIdleLook(found, claimIdleMin, call.now - claimIdleMin))
  }
  return Number.isFinite(next) ? next : 0
}

function timedOut(reply: ReplyWriter): void {
  reply.nullArray()
}

/** Replaces every "$" by the id it stands for now: the rerun must see what comes from now on. */
function resolveLast(call: Call): void {
  const { args } = call
  const idsAt = options.keysAt + options.streams
  let any = false
  for (let i = idsAt; i < args.count; i++) any ||= isCharacter(call, i, DOLLAR)
  if (!any) return
  const words: (Uint8Array | string)[] = []
  for (let i = 0; i < args.count; i++) {
    words.push(i >= idsAt && isCharacter(call, i, DOLLAR) ? after[i - idsAt]!.toString() : args.copy(i))
  }
  call.args = new Arguments()
  call.args.assign(words)
}

// ---------------------------------------------------------------------------------------------- replies

function openReply(reply: ReplyWriter, streams: number): void {
  if (reply.resp3) reply.map(streams)
  else reply.array(streams)
}

function openStream(call: Call, key: number): void {
  const { args, reply } = call
  if (!reply.resp3) reply.array(2)
  reply.bulk(args.bytes, args.starts[key]!, args.ends[key]!)
}

/** XREAD's entries of one stream, from `start` on; false, and no reply worth keeping, when there was room for none. */
function replyNews(call: Call, log: StreamView): boolean {
  const { reply } = call
  if (budget.bytesMax === Number.POSITIVE_INFINITY) {
    budget.add(replyRange(reply, log, start, end, budget.streamMax, false))
    return true
  }
  const mark = reply.begin()
  const countMax = budget.streamMax
  let count = 0
  for (let on = cursor.seekAtOrAfter(log, start); on && count < countMax; on = cursor.next()) {
    const before = reply.at
    replyEntry(reply, cursor)
    if (!budget.keeps(reply, before)) break
    count++
  }
  cursor.release()
  reply.endArray(mark, count)
  return count > 0
}

/**
 * Gives the consumer entries that others have held for too long, then those that nobody has got yet; false, and no reply
 * worth keeping, when there are none.
 */
function deliver(call: Call, i: number): boolean {
  const { now, reply } = call
  const key = options.keysAt + i
  const value = streamUnder(call, key)!
  const { log } = value
  const group = writableGroup(call, value, options.group)!
  const consumer = consumerOf(call, group)
  const countMax = budget.streamMax
  const mark = reply.begin()
  const expected = Math.min(countMax, log.length)
  reply.array(expected)
  const body = reply.at
  let count = options.claimIdleMin < 0 ? 0 : claimIdle(call, key, log, group, consumer, countMax)
  let isNews = false
  start.copy(group.lastId)
  const hasMore = count < countMax && budget.isLeft && start.increment()
  for (let on = hasMore && cursor.seekAtOrAfter(log, start); on; on = cursor.next()) {
    const before = reply.at
    replyEntry(reply, cursor)
    if (options.claimIdleMin >= 0) extendEntry(reply, before, 0, 0)
    if (!budget.keeps(reply, before)) break
    isNews = true
    advance(log, group, cursor.id)
    if (!options.noAck) {
      group.setPending(cursor.id, consumer.slot, now, 1)
      consumer.activeMs = now
      propagateClaim(call, key, options.group, group, consumer, cursor.id, now, 1)
    }
    if (++count === countMax) break
  }
  cursor.release()
  if (count !== expected) correctLength(reply, mark, body, count)
  if (isNews) propagatePosition(call, key, options.group, group)
  if (count > 0) call.keyspace.events.dirty++
  return count > 0
}

/** Makes of an entry replied since `mark`, an array of two, one of four: how long it was idle, how often delivered. */
function extendEntry(reply: ReplyWriter, mark: number, idleMs: number, deliveries: number): void {
  reply.bytes[mark + 1] = 0x34
  reply.integer(idleMs)
  replyDeliveries(reply, deliveries)
}

/** Claims and replies what has been idle for long enough, longest first; how many. */
function claimIdle(
  call: Call,
  key: number,
  log: StreamView,
  group: Group,
  consumer: Consumer,
  countMax: number,
): number {
  const { now, reply } = call
  let count = 0
  for (const id of idleEntries(group, now - options.claimIdleMin, log)) {
    if (count >= countMax || !budget.isLeft) break
    const before = reply.at
    group.findPending(id, pending)
    replyEntryOf(reply, log, id)
    extendEntry(reply, before, Math.max(0, now - pending.deliveryMs), pending.deliveryCount)
    if (!budget.keeps(reply, before)) break
    group.setPending(id, consumer.slot, now, pending.deliveryCount + 1)
    consumer.activeMs = now
    propagateClaim(call, key, options.group, group, consumer, id, now, pending.deliveryCount + 1)
    count++
  }
  return count
}

/**
 * Repeats the consumer's own pending entries: one more delivery of each. Those deleted meanwhile come without fields, and
 * are not counted as delivered.
 */
function replyHistory(call: Call, i: number): void {
  const { now, reply } = call
  const value = streamUnder(call, options.keysAt + i)!
  const group = writableGroup(call, value, options.group)!
  const consumer = consumerOf(call, group)
  const countMax = budget.streamMax
  const mark = reply.begin()
  const expected = Math.min(countMax, consumer.pending.length)
  reply.array(expected)
  const body = reply.at
  let count = 0
  let on = start.copy(after[i]!).increment() && rows.seekAtOrAfter(consumer.pending, start)
  for (; on && count < countMax; on = rows.next()) {
    rows.readId(start)
    const before = reply.at
    const isThere = replyEntryOf(reply, value.log, start)
    if (!isThere) {
      reply.array(2)
      replyId(reply, start)
      reply.nullArray()
    }
    if (!budget.keeps(reply, before)) break
    count++
    if (!isThere) continue
    group.findPending(start, pending)
    group.setPending(start, consumer.slot, now, pending.deliveryCount + 1)
  }
  rows.release()
  if (count !== expected) correctLength(reply, mark, body, count)
}

function consumerOf(call: Call, group: Group) {
  const { args } = call
  const i = options.consumer
  return group.writableConsumer(args.bytes, args.starts[i]!, args.ends[i]!)!
}
