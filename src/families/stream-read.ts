/**
 * Streams: XREAD and XREADGROUP, which read what is behind given ids in several streams, and may wait for it.
 *
 * A wait is a rerun of the same command: for it, "$" is replaced by the id it stood for. XREADGROUP is propagated as what
 * it did to the group: one XCLAIM per entry delivered, then the group's new position.
 */
import type { Call } from "../command/context.ts"
import { SYNTAX, TIMEOUT_NEGATIVE } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { ValueType } from "../keyspace/kinds.ts"
import { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { IdTableCursor } from "../structs/id-table.ts"
import { type Group, PendingEntry } from "../structs/stream-groups.ts"
import { StreamId } from "../structs/stream-id.ts"
import { StreamCursor, type StreamView } from "../structs/stream-log.ts"
import type { StreamValue } from "../structs/stream-value.ts"
import {
  correctLength,
  groupOf,
  isCharacter,
  lastLiveId,
  noSuchGroup,
  readId,
  readStream,
  replyEntry,
  replyEntryOf,
  replyId,
  replyRange,
  seenConsumer,
  settleBytes,
  writableGroup,
} from "./stream-access.ts"
import { advance } from "./stream-lag.ts"
import { propagateClaim, propagateConsumer, propagatePosition } from "./stream-propagation.ts"

const DOLLAR = 0x24
const PLUS = 0x2b
const GREATER = 0x3e
const TIMEOUT_NOT_INTEGER = "ERR timeout is not an integer or out of range"

export const streamReadCommands: readonly CommandSpec[] = [
  {
    name: "xread",
    since: "5.0.0",
    group: "stream",
    arity: -4,
    flags: "readonly blocking",
    keys: "RO access STREAMS@1..-1%2",
    syntax: "[COUNT count:integer] [BLOCK milliseconds:integer] STREAMS(key... id...)",
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
      "group-block=GROUP(group consumer) [COUNT count:integer] [BLOCK milliseconds:integer] [NOACK] " +
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
  /** Argument numbers of the names of group and consumer, 0 when there are none. */
  group = 0
  consumer = 0
  /** Argument number of the first key; the ids follow the keys. */
  keysAt = 0
  streams = 0
}

const options = new ReadOptions()
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
  openReply(reply, count)
  for (let i = 0; i < streams; i++) {
    if (!served[i]) continue
    openStream(call, keysAt + i)
    start.copy(after[i]!).increment()
    replyRange(reply, streamUnder(call, keysAt + i)!.log, start, end, options.countMax, false)
  }
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
  const mark = reply.begin()
  openReply(reply, count)
  const body = reply.at
  let left = count
  for (let i = 0; i < streams; i++) {
    // A stream that is named twice has nothing new the second time.
    if (!served[i] || !isStillServed(call, i)) continue
    left--
    openStream(call, keysAt + i)
    if (history[i]) replyHistory(call, i)
    else deliver(call, i)
    settleBytes(call, keysAt + i)
  }
  if (left > 0) correctLength(reply, mark, body, count - left, reply.resp3)
}

// ---------------------------------------------------------------------------------------------- arguments

function readOptions(call: Call, isGroupRead: boolean): boolean {
  const { args, reply } = call
  options.countMax = Number.POSITIVE_INFINITY
  options.deadline = -1
  options.noAck = false
  options.group = 0
  options.keysAt = 0
  for (let i = 1; i < args.count && options.keysAt === 0; i++) {
    const more = args.count - 1 - i
    if (more > 0 && args.is(i, "block")) {
      if (!readDeadline(call, ++i)) return false
    } else if (more > 0 && args.is(i, "count")) {
      const count = call.integer(++i)
      if (Number.isNaN(count)) return false
      options.countMax = count <= 0 ? Number.POSITIVE_INFINITY : count
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
  else {
    while (after.length < options.streams) after.push(new StreamId())
    return true
  }
  return false
}

function refuseForGroups(reply: ReplyWriter, option: string): false {
  reply.error(`ERR The ${option} option is only supported by XREADGROUP. You called XREAD instead.`)
  return false
}

function readDeadline(call: Call, i: number): boolean {
  const { args, now, reply } = call
  const ms = args.int64(i)
  if (ms === undefined) reply.error(TIMEOUT_NOT_INTEGER)
  else if (ms < 0) reply.error(TIMEOUT_NEGATIVE)
  else if (BigInt(ms) + BigInt(now) >= 1n << 63n) reply.error("ERR timeout is out of range")
  else {
    options.deadline = Number(ms) === 0 ? 0 : Number(ms) + now
    return true
  }
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

/** Notes which streams have entries for XREAD; their number. */
function findNews(call: Call): number {
  let count = 0
  for (let i = 0; i < options.streams; i++) {
    const value = streamUnder(call, options.keysAt + i)
    served[i] = value !== undefined && hasNews(value.log, after[i]!)
    if (served[i]) count++
  }
  return count
}

/** The consumer shows up in all groups; notes which of them have something for it, and their number. */
function meetGroups(call: Call): number {
  let count = 0
  for (let i = 0; i < options.streams; i++) {
    const key = options.keysAt + i
    const value = streamUnder(call, key)!
    const group = writableGroup(call, value, options.group)!
    const { consumerCount } = group
    seenConsumer(call, group, options.consumer, key)
    served[i] = history[i]! || hasNews(value.log, group.lastId)
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

function isStillServed(call: Call, i: number): boolean {
  if (history[i]) return true
  const value = streamUnder(call, options.keysAt + i)!
  return hasNews(value.log, groupOf(call, value, options.group)!.lastId)
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
  call.blocking.block(call, keys, deadline, timedOut)
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

/** Gives the consumer entries that nobody has got yet. */
function deliver(call: Call, i: number): void {
  const { now, reply } = call
  const key = options.keysAt + i
  const { log } = streamUnder(call, key)!
  const group = writableGroup(call, streamUnder(call, key)!, options.group)!
  const consumer = consumerOf(call, group)
  const mark = reply.begin()
  const expected = Math.min(options.countMax, log.length)
  reply.array(expected)
  const body = reply.at
  let count = 0
  start.copy(group.lastId).increment()
  for (let on = cursor.seekAtOrAfter(log, start); on; on = cursor.next()) {
    advance(log, group, cursor.id)
    replyEntry(reply, cursor)
    if (!options.noAck) {
      group.setPending(cursor.id, consumer.slot, now, 1)
      consumer.activeMs = now
      propagateClaim(call, key, options.group, group, consumer, cursor.id, now, 1)
    }
    if (++count === options.countMax) break
  }
  cursor.release()
  if (count !== expected) correctLength(reply, mark, body, count)
  propagatePosition(call, key, options.group, group)
  call.keyspace.events.dirty++
}

/** Repeats the consumer's own pending entries: one more delivery of each. Those deleted meanwhile come without fields. */
function replyHistory(call: Call, i: number): void {
  const { now, reply } = call
  const value = streamUnder(call, options.keysAt + i)!
  const group = writableGroup(call, value, options.group)!
  const consumer = consumerOf(call, group)
  const mark = reply.begin()
  const expected = Math.min(options.countMax, consumer.pending.length)
  reply.array(expected)
  const body = reply.at
  let count = 0
  let on = start.copy(after[i]!).increment() && rows.seekAtOrAfter(consumer.pending, start)
  for (; on; on = rows.next()) {
    rows.readId(start)
    if (replyEntryOf(reply, value.log, start)) {
      group.findPending(start, pending)
      group.setPending(start, consumer.slot, now, pending.deliveryCount + 1)
    } else {
      reply.array(2)
      replyId(reply, start)
      reply.nullArray()
    }
    if (++count === options.countMax) break
  }
  rows.release()
  if (count !== expected) correctLength(reply, mark, body, count)
}

function consumerOf(call: Call, group: Group) {
  const { args } = call
  const i = options.consumer
  return group.writableConsumer(args.bytes, args.starts[i]!, args.ends[i]!)!
}
