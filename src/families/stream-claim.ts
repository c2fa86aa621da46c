/**
 * Streams: pending entries looked at and handed over: XPENDING, XCLAIM, XAUTOCLAIM.
 *
 * A claim is propagated entry by entry, as what it has led to. An entry that is no longer in the stream drops out of the
 * pending list when somebody claims it; the same XCLAIM, met elsewhere, finds it missing there too.
 */
import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { IdTableCursor } from "../structs/id-table.ts"
import { type Consumer, type Group, PendingEntry, UNOWNED } from "../structs/stream-groups.ts"
import { StreamId } from "../structs/stream-id.ts"
import type { StreamValue } from "../structs/stream-value.ts"
import {
  groupOf,
  hasEntry,
  isId,
  noSuchGroup,
  quoted,
  readId,
  readRangeEnd,
  readRangeStart,
  readStream,
  replyDeliveries,
  replyEntryOf,
  replyId,
  seenConsumer,
  settleBytes,
  streamRead,
  writableGroup,
} from "./stream-access.ts"
import { forgetIdle } from "./stream-idle.ts"
import { propagateAcknowledgement, propagateClaim, propagateConsumer, propagatePosition } from "./stream-propagation.ts"

const KEY = 1
const GROUP = 2
const CONSUMER = 3
const IDLE = 4
const COUNT_DEFAULT = 100
const ATTEMPTS_PER_COUNT = 10
/** Counts from here on are refused, as are those for which Redis could not hold the ids. */
const COUNT_LIMIT = 2 ** 53

export const streamClaimCommands: readonly CommandSpec[] = [
  {
    name: "xautoclaim",
    since: "6.2.0",
    group: "stream",
    arity: -6,
    flags: "write fast",
    keys: "RW delete @1",
    tips: "nondeterministic_output",
    syntax: "key group consumer min-idle-time start [COUNT count:integer] [JUSTID]",
    summary: "Hands idle pending messages over to a consumer, a bit per call.",
    complexity: "O(1) for a small COUNT",
    run: xautoclaim,
  },
  {
    name: "xclaim",
    since: "5.0.0",
    group: "stream",
    arity: -6,
    flags: "write fast",
    keys: "RW update @1",
    tips: "nondeterministic_output",
    syntax:
      "key group consumer min-idle-time id... [IDLE ms:integer] [TIME unix-time-milliseconds:unix-time] " +
      "[RETRYCOUNT count:integer] [FORCE] [JUSTID] [LASTID lastid]",
    summary: "Hands pending messages over to a consumer.",
    complexity: "O(log(N)), N pending messages of the group",
    run: xclaim,
  },
  {
    name: "xpending",
    since: "5.0.0",
    group: "stream",
    arity: -3,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key group [filters=[IDLE min-idle-time:integer]@6.2.0 start end count:integer [consumer]]",
    summary: "Shows the messages that were delivered but not acknowledged.",
    complexity: "O(N), N messages returned; O(M) with IDLE, M messages looked at",
    run: xpending,
  },
]

const first = new StreamId()
const last = new StreamId()
const id = new StreamId()
const pending = new PendingEntry()
const rows = new IdTableCursor()

// ---------------------------------------------------------------------------------------------- XPENDING

function xpending(call: Call): void {
  const { args, reply } = call
  const { count } = args
  if (count !== 3 && (count < 6 || count > 9)) {
    reply.error(SYNTAX)
    return
  }
  let idleMin = 0
  let countMax = 0
  let at = 3
  if (count > 3) {
    if (args.is(3, "idle")) {
      idleMin = call.integer(4)
      if (Number.isNaN(idleMin)) return
      if (count < 8) {
        reply.error(SYNTAX)
        return
      }
      at = 5
    }
    countMax = call.integer(at + 2)
    if (Number.isNaN(countMax) || !readRangeStart(call, at, first) || !readRangeEnd(call, at + 1, last)) return
  }
  const value = readStream(call, KEY)
  if (value === null) return
  const group = value === undefined ? undefined : groupOf(call, value, GROUP)
  if (group === undefined) noSuchGroup(call, KEY, GROUP)
  else if (count === 3) replySummary(call, group)
  else replyPending(call, group, idleMin, countMax, at + 3)
}

function replySummary(call: Call, group: Group): void {
  const { reply } = call
  reply.array(4)
  reply.integer(group.pending.length)
  if (group.pending.length === 0) {
    reply.null()
    reply.null()
    reply.nullArray()
    return
  }
  rows.seekAtOrAfter(group.pending, id.setMin())
  rows.readId(id)
  replyId(reply, id)
  rows.seekLast(group.pending)
  rows.readId(id)
  replyId(reply, id)
  rows.release()
  const busy = group.sortedConsumers().filter(consumer => consumer.pending.length > 0)
  reply.array(busy.length)
  for (const consumer of busy) {
    reply.array(2)
    reply.bulk(consumer.name, 0, consumer.name.length)
    reply.bulkInteger(consumer.pending.length)
  }
}

function replyPending(call: Call, group: Group, idleMin: number, countMax: number, consumerAt: number): void {
  const { args, now, reply } = call
  let table = group.pending
  if (consumerAt < args.count) {
    const consumer = group.consumer(args.bytes, args.starts[consumerAt]!, args.ends[consumerAt]!)
    if (consumer === undefined) {
      reply.array(0)
      return
    }
    table = consumer.pending
  }
  const mark = reply.begin()
  let count = 0
  for (let on = countMax > 0 && rows.seekAtOrAfter(table, first); on; on = rows.next()) {
    rows.readId(id)
    if (id.compare(last) > 0) break
    group.findPending(id, pending)
    const idle = now - pending.deliveryMs
    if (idleMin !== 0 && idle < idleMin) continue
    const { name } = group.consumerAt(pending.slot)
    reply.array(4)
    replyId(reply, id)
    reply.bulk(name, 0, name.length)
    reply.integer(pending.slot === UNOWNED ? -1 : Math.max(idle, 0))
    replyDeliveries(reply, pending.deliveryCount)
    if (++count >= countMax) break
  }
  rows.release()
  reply.endArray(mark, count)
}

// ---------------------------------------------------------------------------------------------- XCLAIM

/** Options of XCLAIM; one object, used again. */
class ClaimOptions {
  /** -1 when not given, like the count. */
  deliveryMs = -1
  deliveryCount = -1
  force = false
  justId = false
  readonly lastId = new StreamId()

  /** Reads the arguments from `i` on; false after having answered with an error. */
  read(call: Call, i: number): boolean {
    const { args, now, reply } = call
    this.deliveryMs = -1
    this.deliveryCount = -1
    this.force = false
    this.justId = false
    this.lastId.setMin()
    for (; i < args.count; i++) {
      const more = i + 1 < args.count
      if (args.is(i, "force")) this.force = true
      else if (args.is(i, "justid")) this.justId = true
      else if (more && args.is(i, "idle")) {
        this.deliveryMs = now - call.integer(++i, "ERR Invalid IDLE option argument for XCLAIM")
        if (Number.isNaN(this.deliveryMs)) return false
      } else if (more && args.is(i, "time")) {
        this.deliveryMs = call.integer(++i, "ERR Invalid TIME option argument for XCLAIM")
        if (Number.isNaN(this.deliveryMs)) return false
      } else if (more && args.is(i, "retrycount")) {
        this.deliveryCount = call.integer(++i, "ERR Invalid RETRYCOUNT option argument for XCLAIM")
        if (Number.isNaN(this.deliveryCount)) return false
      } else if (more && args.is(i, "lastid")) {
        if (!readId(call, ++i, this.lastId)) return false
      } else {
        reply.error(`ERR Unrecognized XCLAIM option '${quoted(call, i)}'`)
        return false
      }
    }
    // Times that make no sense come from clocks that differ.
    if (this.deliveryMs < 0 || this.deliveryMs > now) this.deliveryMs = now
    return true
  }
}

const options = new ClaimOptions()

function xclaim(call: Call): void {
  const { args, keyspace, now, propagation, reply } = call
  const value = readStream(call, KEY)
  if (value === null) return
  if (value === undefined || groupOf(call, value, GROUP) === undefined) {
    noSuchGroup(call, KEY, GROUP)
    return
  }
  const idleMin = call.integer(IDLE, "ERR Invalid min-idle-time argument for XCLAIM")
  if (Number.isNaN(idleMin)) return
  let idsEnd = 5
  while (idsEnd < args.count && isId(call, idsEnd, id)) idsEnd++
  if (!options.read(call, idsEnd)) return
  propagation.suppress()
  const group = writableGroup(call, value, GROUP)!
  let movesGroup = options.lastId.compare(group.lastId) > 0
  if (movesGroup) group.lastId.copy(options.lastId)
  const { consumerCount } = group
  const consumer = seenConsumer(call, group, CONSUMER, KEY)
  const mark = reply.begin()
  let count = 0
  for (let i = 5; i < idsEnd; i++) {
    isId(call, i, id)
    const wasPending = group.findPending(id, pending)
    if (!hasEntry(value.log, id)) {
      if (!wasPending) continue
      dropMissing(call, group)
      movesGroup = false
      continue
    }
    if (!wasPending && !options.force) continue
    if (wasPending && idleMin > 0 && now - pending.deliveryMs < idleMin) continue
    claim(call, value, group, consumer, wasPending ? pending.deliveryCount : 1)
    movesGroup = false
    count++
  }
  reply.endArray(mark, count)
  if (count === 0 && group.consumerCount !== consumerCount) propagateConsumer(call, KEY, GROUP, CONSUMER)
  if (movesGroup) {
    propagatePosition(call, KEY, GROUP, group)
    keyspace.events.dirty++
  }
  settleBytes(call, KEY)
}

/** Gives the entry `id` to the consumer, and replies it. */
function claim(call: Call, value: StreamValue, group: Group, consumer: Consumer, countBefore: number): void {
  const { keyspace, now, reply } = call
  const { deliveryMs, deliveryCount, justId } = options
  const count = deliveryCount >= 0 ? deliveryCount : justId ? countBefore : countBefore + 1
  group.setPending(id, consumer.slot, deliveryMs, count)
  if (deliveryMs !== now) forgetIdle(group)
  consumer.activeMs = now
  if (justId) replyId(reply, id)
  else replyEntryOf(reply, value.log, id)
  propagateClaim(call, KEY, GROUP, group, consumer, id, deliveryMs, count)
  keyspace.events.dirty++
}

/** Takes the entry `id`, which is pending as `pending` says but no longer in the stream, out of the list. */
function dropMissing(call: Call, group: Group): void {
  if (pending.slot === UNOWNED) propagateAcknowledgement(call, KEY, GROUP, id)
  else {
    const owner = group.consumerAt(pending.slot)
    propagateClaim(call, KEY, GROUP, group, owner, id, pending.deliveryMs, pending.deliveryCount)
  }
  group.acknowledge(id)
  call.keyspace.events.dirty++
}

// ---------------------------------------------------------------------------------------------- XAUTOCLAIM

function xautoclaim(call: Call): void {
  const { now, propagation, reply } = call
  // Counted as found or missing even if the arguments turn out to be wrong.
  const address = call.read(KEY)
  const idleMin = call.integer(IDLE, "ERR Invalid min-idle-time argument for XAUTOCLAIM")
  if (Number.isNaN(idleMin) || !readRangeStart(call, 5, first)) return
  const countMax = readAutoOptions(call)
  if (countMax === 0) return
  const value = streamRead(call, address)
  if (value === null) return
  if (value === undefined || groupOf(call, value, GROUP) === undefined) {
    noSuchGroup(call, KEY, GROUP)
    return
  }
  propagation.suppress()
  const group = writableGroup(call, value, GROUP)!
  const { consumerCount } = group
  const consumer = seenConsumer(call, group, CONSUMER, KEY)
  options.deliveryMs = now
  options.deliveryCount = -1
  reply.array(3)
  // The cursor of the reply comes first and is known last.
  const mark = reply.begin()
  const missing: StreamId[] = []
  let count = 0
  let left = countMax
  let hasMore = true
  for (let attempts = countMax * ATTEMPTS_PER_COUNT; attempts > 0 && left > 0; attempts--) {
    hasMore = hasMore && rows.seekAtOrAfter(group.pending, first)
    if (!hasMore) break
    rows.readId(id)
    // A claim may change the list that the cursor is on: the next step searches anew.
    hasMore = first.copy(id).increment()
    group.findPending(id, pending)
    if (!hasEntry(value.log, id)) {
      dropMissing(call, group)
      missing.push(id.clone())
      left--
      continue
    }
    if (idleMin > 0 && now - pending.deliveryMs < idleMin) continue
    claim(call, value, group, consumer, pending.deliveryCount)
    count++
    left--
  }
  reply.endArray(mark, count)
  if (count === 0 && group.consumerCount !== consumerCount) propagateConsumer(call, KEY, GROUP, CONSUMER)
  if (hasMore && rows.seekAtOrAfter(group.pending, first)) rows.readId(id)
  else id.setMin()
  rows.release()
  insertId(call, mark, id)
  reply.array(missing.length)
  for (const gone of missing) replyId(reply, gone)
  settleBytes(call, KEY)
}

/** COUNT, 0 after having answered with an error; JUSTID goes to `options`. */
function readAutoOptions(call: Call): number {
  const { args, reply } = call
  let count = COUNT_DEFAULT
  options.justId = false
  for (let i = 6; i < args.count; i++) {
    if (args.is(i, "count") && i + 1 < args.count) {
      count = call.integer(++i, "ERR COUNT must be > 0")
      if (Number.isNaN(count)) return 0
      if (count < 1 || count >= COUNT_LIMIT) {
        reply.error("ERR COUNT must be > 0")
        return 0
      }
    } else if (args.is(i, "justid")) options.justId = true
    else {
      reply.error(SYNTAX)
      return 0
    }
  }
  return count
}

/** Puts an id before what has been replied since `mark`. */
function insertId(call: Call, mark: number, cursor: StreamId): void {
  const { reply } = call
  const bodyEnd = reply.at
  replyId(reply, cursor)
  const { bytes } = reply
  const text = Uint8Array.prototype.slice.call(bytes, bodyEnd, reply.at)
  bytes.copyWithin(mark + text.length, mark, bodyEnd)
  bytes.set(text, mark)
}
