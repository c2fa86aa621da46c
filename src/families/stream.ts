/** Streams: entries added, counted, listed, deleted. */
import type { Call } from "../command/context.ts"
import { NO_SUCH_KEY, SYNTAX, wrongArity } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { ValueType } from "../keyspace/kinds.ts"
import { STREAM_ID_TEXT_BYTES_MAX, StreamId } from "../structs/stream-id.ts"
import { STREAM_BLOCK_BYTES_MAX, StreamFields, type StreamLog } from "../structs/stream-log.ts"
import type { StreamValue } from "../structs/stream-value.ts"
import {
  createStream,
  lastLiveId,
  notifyStream,
  readId,
  readIds,
  readRangeEnd,
  readRangeStart,
  readStream,
  replyId,
  replyRange,
  settleBytes,
  writeStream,
} from "./stream-access.ts"
import { messageName, nameMessage, producerName } from "./stream-idempotency.ts"
import { TRIM_NONE, TrimOptions } from "./stream-trim.ts"

const ID_TOO_SMALL = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
const ID_ZERO = "ERR The ID specified in XADD must be greater than 0-0"
const IDS_EXHAUSTED = "ERR The stream has exhausted the last possible ID, unable to add more items"
const TOO_LARGE = "ERR Elements are too large to be stored"
/** The table of fields lets go of request buffers when they may be larger than this. */
const KEPT_BYTES_MAX = 64 * 1024

export const streamCommands: readonly CommandSpec[] = [
  {
    name: "xadd",
    since: "5.0.0",
    group: "stream",
    arity: -5,
    flags: "write denyoom fast",
    keys: 'RW update @1 "Update and not insert since the stream may be trimmed"',
    tips: "nondeterministic_output",
    syntax:
      "key [NOMKSTREAM]@6.2.0 [condition=KEEPREF|DELREF|ACKED]@8.2.0 " +
      "[idmp=IDMPAUTO pid~producer-id|idmp=IDMP(pid~producer-id iid~idempotent-id)]@8.6.0 " +
      '[trim=strategy=(MAXLEN|MINID@6.2.0) [operator=equal="="|' +
      'approximately="~"] threshold [LIMIT count:integer]@6.2.0] id-selector=(auto-id="*"|id) ' +
      "data=(field value)...",
    summary: "Appends an entry to a stream.",
    complexity: "O(1); O(N) when trimming N entries",
    run: xadd,
  },
  {
    name: "xdel",
    since: "5.0.0",
    group: "stream",
    arity: -3,
    flags: "write fast",
    keys: "RW delete @1",
    syntax: "key id...",
    summary: "Deletes entries of a stream.",
    complexity: "O(1) per id",
    run: xdel,
  },
  {
    name: "xlen",
    since: "5.0.0",
    group: "stream",
    arity: 2,
    flags: "readonly fast",
    keys: "RO @1",
    syntax: "key",
    summary: "Counts the entries of a stream.",
    complexity: "O(1)",
    run: xlen,
  },
  {
    name: "xrange",
    since: "5.0.0",
    group: "stream",
    arity: -4,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key start end [COUNT count:integer]",
    summary: "Gives the entries between two ids.",
    complexity: "O(N), N entries returned",
    run: xrange,
  },
  {
    name: "xrevrange",
    since: "5.0.0",
    group: "stream",
    arity: -4,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key end start [COUNT count:integer]",
    summary: "Gives the entries between two ids, newest first.",
    complexity: "O(N), N entries returned",
    run: xrevrange,
  },
  {
    name: "xsetid",
    since: "5.0.0",
    group: "stream",
    arity: -3,
    flags: "write denyoom fast",
    keys: "RW update @1",
    syntax: "key last-id [ENTRIESADDED entries-added:integer]@7.0.0 [MAXDELETEDID max-deleted-id]@7.0.0",
    summary: "Sets the last id of a stream, for replication.",
    complexity: "O(1)",
    run: xsetid,
  },
  {
    name: "xtrim",
    since: "5.0.0",
    group: "stream",
    arity: -4,
    flags: "write",
    keys: "RW delete @1",
    tips: "nondeterministic_output",
    syntax:
      "key " +
      'trim=(strategy=(MAXLEN|MINID@6.2.0) [operator=equal="="|approximately="~"] threshold [LIMIT ' +
      "count:integer]@6.2.0 [condition=KEEPREF|DELREF|ACKED]@8.2.0)",
    summary: "Deletes the oldest entries of a stream.",
    complexity: "O(N), N entries deleted",
    run: xtrim,
  },
]

const options = new TrimOptions()
const fields = new StreamFields()
const newId = new StreamId()
const first = new StreamId()
const last = new StreamId()
const text = new Uint8Array(STREAM_ID_TEXT_BYTES_MAX)

// ---------------------------------------------------------------------------------------------- XADD

function xadd(call: Call): void {
  const { args, reply } = call
  const idAt = options.read(call, true)
  if (idAt < 0) return
  const fieldsAt = idAt + 1
  const texts = args.count - fieldsAt
  if (texts < 2 || (texts & 1) === 1) {
    reply.error(wrongArity("xadd"))
    return
  }
  if (!options.chooseId && !options.chooseSequence && options.id.isMin()) {
    reply.error(ID_ZERO)
    return
  }
  let value = writeStream(call, 1)
  if (value === null) return
  if (value === undefined && options.noMakeStream) {
    reply.null()
    return
  }
  if (options.idempotentAt !== 0) {
    nameMessage(call, options.idempotentAt, fieldsAt)
    const sent = value?.idempotency?.find(producerName, messageName, call.now)
    if (sent !== undefined) {
      value!.idempotency!.duplicates++
      replyId(reply, sent)
      return
    }
  }
  const error = chooseId(call, value?.log)
  if (error !== "") {
    reply.error(error)
    return
  }
  const { bytes, starts, ends, count } = args
  fields.reset()
  for (let i = fieldsAt; i < count; i++) fields.add(bytes, starts[i]!, ends[i]!)
  if (fields.textBytes > STREAM_BLOCK_BYTES_MAX) {
    reply.error(TOO_LARGE)
    return
  }
  value ??= createStream(call, 1)
  append(call, value, idAt)
}

/** Determines the new entry's id; an error when there can be none. `log` is undefined for a stream to be made. */
function chooseId(call: Call, log: StreamLog | undefined): string {
  const isFirst = log === undefined
  if (!isFirst && log.lastId.isMax()) return IDS_EXHAUSTED
  if (options.chooseId) {
    newId.set(call.now, 0)
    // The clock stands still, or went back: the ids go on.
    if (!isFirst && newId.compareMs(log.lastId) <= 0) newId.copy(log.lastId).increment()
    return ""
  }
  newId.copy(options.id)
  if (options.chooseSequence) {
    const lastId = isFirst ? first.setMin() : log.lastId
    if (newId.compareMs(lastId) === 0 && !newId.copy(lastId).incrementSequence()) return ID_TOO_SMALL
  }
  return !isFirst && newId.compare(log.lastId) <= 0 ? ID_TOO_SMALL : ""
}

function append(call: Call, value: StreamValue, idAt: number): void {
  const { config } = call
  const { log } = value
  const before = log.blocksBytes
  value.own()
  log.blockBytesMax = config.values.streamNodeMaxBytes
  log.blockEntriesMax = config.values.streamNodeMaxEntries
  log.append(newId, fields)
  if (options.idempotentAt !== 0) value.trackProducers().record(producerName, messageName, newId, call.now)
  if (fields.textBytes > KEPT_BYTES_MAX) fields.bytes.length = 0
  replyId(call.reply, newId)
  call.changed(1, Notify.Stream, "xadd")
  if (options.strategy !== TRIM_NONE && options.apply(value) > 0) notifyStream(call, 1, "xtrim")
  if (log.blocksBytes !== before || options.idempotentAt !== 0) settleBytes(call, 1)
  if (call.propagation.enabled && (options.chooseId || options.chooseSequence || options.needsRewriting)) {
    propagateAdd(call, log, idAt)
    if (options.idempotentAt !== 0) propagateName(call)
  }
}

/** The same with the id that was chosen, and exact trimming. */
function propagateAdd(call: Call, log: StreamLog, idAt: number): void {
  const { args, db, propagation } = call
  const { bytes, starts, ends, count } = args
  const isExact = options.needsRewriting
  const { idempotentAt, idempotentArguments } = options
  const before = isExact ? 2 : idAt
  const skipped = isExact ? 0 : idempotentArguments
  const writer = propagation.effect(db, before - skipped + (isExact ? options.exactArguments : 0) + count - idAt)
  for (let i = 0; i < before; i++) {
    if (i < idempotentAt || i >= idempotentAt + skipped) writer.arg(bytes, starts[i]!, ends[i]!)
  }
  if (isExact) options.propagateExactly(writer, log)
  writer.arg(text, 0, newId.write(text, 0))
  for (let i = idAt + 1; i < count; i++) writer.arg(bytes, starts[i]!, ends[i]!)
}

/** Behind the entry, the name of the message it was: made here or given, it is the same elsewhere. */
function propagateName(call: Call): void {
  const { args, db, propagation } = call
  const { bytes, starts, ends } = args
  const producer = options.idempotentAt + 1
  const writer = propagation.effect(db, 5).word("XIDMPRECORD").arg(bytes, starts[1]!, ends[1]!)
  writer.arg(bytes, starts[producer]!, ends[producer]!)
  const name = Buffer.from(messageName, "latin1")
  writer.arg(name, 0, name.length).arg(text, 0, newId.write(text, 0))
}

// ---------------------------------------------------------------------------------------------- reading

function xlen(call: Call): void {
  const value = readStream(call, 1)
  if (value !== null) call.reply.integer(value === undefined ? 0 : value.log.length)
}

function xrange(call: Call): void {
  range(call, 2, 3, false)
}

function xrevrange(call: Call): void {
  range(call, 3, 2, true)
}

function range(call: Call, startAt: number, endAt: number, isReverse: boolean): void {
  const { args, reply } = call
  if (!readRangeStart(call, startAt, first) || !readRangeEnd(call, endAt, last)) return
  let count = Number.POSITIVE_INFINITY
  for (let i = 4; i < args.count; i += 2) {
    if (!args.is(i, "count") || i + 1 === args.count) {
      reply.error(SYNTAX)
      return
    }
    count = call.integer(i + 1)
    if (Number.isNaN(count)) return
  }
  const value = readStream(call, 1)
  if (value === null) return
  if (value === undefined) reply.array(0)
  else if (count <= 0) reply.nullArray()
  else replyRange(reply, value.log, first, last, count, isReverse)
}

// ---------------------------------------------------------------------------------------------- deleting

function xdel(call: Call): void {
  const { args, keyspace, reply } = call
  const value = writeStream(call, 1)
  if (value === null) return
  if (value === undefined) {
    reply.integer(0)
    return
  }
  const ids = readIds(call, 2, args.count - 1)
  if (ids === undefined) return
  value.own()
  let deleted = 0
  for (let i = 2; i < args.count; i++) if (value.log.delete(ids[i - 2]!)) deleted++
  if (deleted > 0) {
    call.changed(1, Notify.Stream, "xdel")
    keyspace.events.dirty += deleted - 1
    settleBytes(call, 1)
  }
  reply.integer(deleted)
}

function xtrim(call: Call): void {
  const { args, db, keyspace, propagation, reply } = call
  if (options.read(call, false) < 0) return
  const value = writeStream(call, 1)
  if (value === null) return
  if (value === undefined) {
    reply.integer(0)
    return
  }
  const { log } = value
  value.own()
  const deleted = options.apply(value)
  if (deleted > 0) {
    call.changed(1, Notify.Stream, "xtrim")
    keyspace.events.dirty += deleted - 1
    settleBytes(call, 1)
    if (options.needsRewriting) {
      const writer = propagation.effect(db, 2 + options.exactArguments)
      for (let i = 0; i < 2; i++) writer.arg(args.bytes, args.starts[i]!, args.ends[i]!)
      options.propagateExactly(writer, log)
    }
  }
  reply.integer(deleted)
}

// ---------------------------------------------------------------------------------------------- XSETID

function xsetid(call: Call): void {
  const { args, reply } = call
  if (!readId(call, 2, newId)) return
  let entriesAdded = -1
  first.setMin()
  for (let i = 3; i < args.count; i += 2) {
    const hasMore = i + 1 < args.count
    if (hasMore && args.is(i, "entriesadded")) {
      entriesAdded = call.integer(i + 1)
      if (Number.isNaN(entriesAdded)) return
      if (entriesAdded < 0) {
        reply.error("ERR entries_added must be positive")
        return
      }
    } else if (hasMore && args.is(i, "maxdeletedid")) {
      if (!readId(call, i + 1, first)) return
      if (newId.compare(first) < 0) {
        reply.error("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
        return
      }
    } else {
      reply.error(SYNTAX)
      return
    }
  }
  const address = call.writeTyped(1, ValueType.Stream)
  if (address === -1) return
  if (address === 0) {
    reply.error(NO_SUCH_KEY)
    return
  }
  const value = call.db.keys.object(address) as StreamValue
  const { log } = value
  if (newId.compare(log.maxDeletedId) < 0) {
    reply.error("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
    return
  }
  if (lastLiveId(log, last)) {
    if (newId.compare(last) < 0) {
      reply.error("ERR The ID specified in XSETID is smaller than the target stream top item")
      return
    }
    if (entriesAdded !== -1 && log.length > entriesAdded) {
      reply.error("ERR The entries_added specified in XSETID is smaller than the target stream length")
      return
    }
  }
  value.own()
  log.lastId.copy(newId)
  if (entriesAdded !== -1) log.entriesAdded = entriesAdded
  if (!first.isMin()) log.maxDeletedId.copy(first)
  reply.ok()
  call.keyspace.events.dirty++
  notifyStream(call, 1, "xsetid")
}
