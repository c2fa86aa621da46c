/**
 * What all stream commands share: finding the stream and its groups, reading ids, writing ids and entries.
 *
 * Values are containers, so that there are no addresses to be careful with; but before a write comes `own()`, and after
 * all writes of a command `settleBytes`.
 */
import { copyBytes, shown } from "../bytes/compare.ts"
import { INT64_MAX, writeInteger } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { type Consumer, DELIVERIES_MAX, type Group } from "../structs/stream-groups.ts"
import { ID_AUTO_SEQUENCE, ID_INVALID, StreamId } from "../structs/stream-id.ts"
import { StreamCursor, type StreamView } from "../structs/stream-log.ts"
import { StreamValue } from "../structs/stream-value.ts"
import { bulkOfEntry } from "./packed-entries.ts"

export const INVALID_ID = "ERR Invalid stream ID specified as stream command argument"

const DASH = 0x2d
const PLUS = 0x2b
const OPEN = 0x28
const BULK = 36
const ARRAY = 42
const ZERO = 48
const INT16 = 0xf1
const INT24 = 0xf2
const CR = 13
const LF = 10
/** A bulk of an id: 41 characters, its header and line ends. */
const ID_BULK_BYTES_MAX = 48
/** Texts up to this long are written out by hand. */
const SHORT_BYTES_MAX = 63
const SHORT_BULK_BYTES_MAX = SHORT_BYTES_MAX + 8

// ---------------------------------------------------------------------------------------------- values

/** Undefined when there is no such key, null after WRONGTYPE. */
export function readStream(call: Call, i: number): StreamValue | undefined | null {
  return streamAt(call, call.readTyped(i, ValueType.Stream))
}

/** As `readStream`, of the address that `call.read` gave. */
export function streamRead(call: Call, address: number): StreamValue | undefined | null {
  return streamAt(call, call.checkType(address, ValueType.Stream))
}

/** As `readStream`, on behalf of a writer. */
export function writeStream(call: Call, i: number): StreamValue | undefined | null {
  return streamAt(call, call.writeTyped(i, ValueType.Stream))
}

function streamAt(call: Call, address: number): StreamValue | undefined | null {
  if (address <= 0) return address === 0 ? undefined : null
  return call.db.keys.object(address) as StreamValue
}

/** An empty stream under the key that is argument `i`, which must be absent. */
export function createStream(call: Call, i: number): StreamValue {
  const { args, config, db, keyspace } = call
  const { streamNodeMaxBytes, streamNodeMaxEntries } = config.values
  const value = new StreamValue(keyspace.heap, streamNodeMaxBytes, streamNodeMaxEntries)
  const start = args.starts[i]!
  const end = args.ends[i]!
  db.keys.putObject(args.bytes, start, end, Kind.Stream, value, 0)
  keyspace.events.notify(Notify.New, "new", db, args.bytes, start, end)
  return value
}

/** Accounts for what has been written to the stream under the key that is argument `i`. */
export function settleBytes(call: Call, i: number): void {
  const { args, db } = call
  const address = db.keys.find(args.bytes, args.starts[i]!, args.ends[i]!)
  if (address !== 0) db.keys.noteObjectBytes(address)
}

/** Notifies of something about the key that is argument `i`, which by itself is no change. */
export function notifyStream(call: Call, i: number, event: string): void {
  const { args, db, keyspace } = call
  keyspace.events.notify(Notify.Stream, event, db, args.bytes, args.starts[i]!, args.ends[i]!)
}

/** The group that argument `i` names, to be read. */
export function groupOf(call: Call, value: StreamValue, i: number): Group | undefined {
  return value.groups.get(call.args.bytes, call.args.starts[i]!, call.args.ends[i]!)
}

/** The group that argument `i` names, to be written. */
export function writableGroup(call: Call, value: StreamValue, i: number): Group | undefined {
  value.own()
  return value.groups.writable(call.args.bytes, call.args.starts[i]!, call.args.ends[i]!)
}

/** The consumer that argument `i` names, made if need be: "seen" now. The group must be writable, `key` is its stream's. */
export function seenConsumer(call: Call, group: Group, i: number, key: number): Consumer {
  const { args, now } = call
  const start = args.starts[i]!
  const end = args.ends[i]!
  let consumer = group.writableConsumer(args.bytes, start, end)
  if (consumer === undefined) {
    consumer = group.createConsumer(args.bytes, start, end, now)
    call.keyspace.events.dirty++
    notifyStream(call, key, "xgroup-createconsumer")
  }
  consumer.seenMs = now
  return consumer
}

/** What commands say that need both a key and a group. */
export function noSuchGroup(call: Call, key: number, group: number, more = ""): void {
  call.reply.error(`NOGROUP No such key '${quoted(call, key)}' or consumer group '${quoted(call, group)}'${more}`)
}

/** What commands say that need a group of a stream that is there. */
export function noSuchGroupOf(call: Call, key: number, group: number): void {
  call.reply.error(`NOGROUP No such consumer group '${quoted(call, group)}' for key name '${quoted(call, key)}'`)
}

/** An argument as errors quote it: up to a zero byte. */
export function quoted(call: Call, i: number): string {
  return shown(call.args.latin1(i))
}

/** How often an entry was delivered. What is not to be delivered again shows the highest number there is. */
export function replyDeliveries(reply: ReplyWriter, count: number): void {
  if (count === DELIVERIES_MAX) reply.int64(INT64_MAX)
  else reply.integer(count)
}

// ---------------------------------------------------------------------------------------------- ids in arguments

/** Reads argument `i` as "ms" or "ms-seq"; false after having answered with an error. */
export function readId(call: Call, i: number, id: StreamId): boolean {
  const { args, reply } = call
  const kind = id.parse(args.bytes, args.starts[i]!, args.ends[i]!)
  if (kind !== ID_INVALID && kind !== ID_AUTO_SEQUENCE) return true
  reply.error(INVALID_ID)
  return false
}

/** Whether argument `i` reads as an id; without any error. */
export function isId(call: Call, i: number, id: StreamId): boolean {
  const { args } = call
  const kind = id.parse(args.bytes, args.starts[i]!, args.ends[i]!)
  return kind !== ID_INVALID && kind !== ID_AUTO_SEQUENCE
}

/** As `readId`, and "-" and "+" are the lowest and the highest id. */
export function readAnyId(call: Call, i: number, id: StreamId, missingIsMax = false): boolean {
  const { args, reply } = call
  const start = args.starts[i]!
  const end = args.ends[i]!
  if (end - start === 1) {
    const byte = args.bytes[start]!
    if (byte === DASH) {
      id.setMin()
      return true
    }
    if (byte === PLUS) {
      id.setMax()
      return true
    }
  }
  const kind = id.parse(args.bytes, start, end, missingIsMax)
  if (kind !== ID_INVALID && kind !== ID_AUTO_SEQUENCE) return true
  reply.error(INVALID_ID)
  return false
}

/** Reads the lower bound of a range: inclusive, or exclusive behind "(". False after having answered with an error. */
export function readRangeStart(call: Call, i: number, id: StreamId): boolean {
  if (!isOpen(call, i)) return readAnyId(call, i, id)
  if (!readOpenId(call, i, id, false)) return false
  if (id.increment()) return true
  call.reply.error("ERR invalid start ID for the interval")
  return false
}

/** The same for the upper bound. */
export function readRangeEnd(call: Call, i: number, id: StreamId): boolean {
  if (!isOpen(call, i)) return readAnyId(call, i, id, true)
  if (!readOpenId(call, i, id, true)) return false
  if (id.decrement()) return true
  call.reply.error("ERR invalid end ID for the interval")
  return false
}

function isOpen(call: Call, i: number): boolean {
  return call.args.length(i) > 1 && call.args.bytes[call.args.starts[i]!] === OPEN
}

function readOpenId(call: Call, i: number, id: StreamId, missingIsMax: boolean): boolean {
  const { args, reply } = call
  const kind = id.parse(args.bytes, args.starts[i]! + 1, args.ends[i]!, missingIsMax)
  if (kind !== ID_INVALID && kind !== ID_AUTO_SEQUENCE) return true
  reply.error(INVALID_ID)
  return false
}

/** Whether argument `i` is this one character. */
export function isCharacter(call: Call, i: number, character: number): boolean {
  const { args } = call
  return args.length(i) === 1 && args.bytes[args.starts[i]!] === character
}

const ids: StreamId[] = []

/** Arguments [first, last] as ids, in an array that is used again; undefined after having answered with an error. */
export function readIds(call: Call, first: number, last: number): readonly StreamId[] | undefined {
  while (ids.length <= last - first) ids.push(new StreamId())
  for (let i = first; i <= last; i++) if (!readId(call, i, ids[i - first]!)) return undefined
  return ids
}

// ---------------------------------------------------------------------------------------------- replies

// The milliseconds of ids written one after the other differ in their last digits at most: all digits but the last four
// of those written before are kept (bench: XRANGE, XADD).
const HEAD_UNIT = 10_000
const HEAD_MIN = 100_000
const SAFE_HIGH = 0x20_0000
const keptHead = new Uint8Array(16)
let keptHeadValue = -1
let keptHeadBytes = 0

/** Writes the milliseconds of an id of five digits or more, below 2^53; returns the offset behind them. */
function writeMs(out: Uint8Array, at: number, ms: number): number {
  const head = Math.floor(ms / HEAD_UNIT)
  if (head !== keptHeadValue) {
    keptHeadValue = head
    keptHeadBytes = writeInteger(keptHead, 0, head)
  }
  for (let i = 0; i < keptHeadBytes; i++) out[at++] = keptHead[i]!
  const tail = ms - head * HEAD_UNIT
  const upper = (tail * 5243) >>> 19
  const lower = tail - upper * 100
  const upperTens = (upper * 205) >>> 11
  const lowerTens = (lower * 205) >>> 11
  out[at] = ZERO + upperTens
  out[at + 1] = ZERO + upper - upperTens * 10
  out[at + 2] = ZERO + lowerTens
  out[at + 3] = ZERO + lower - lowerTens * 10
  return at + 4
}

/** Writes an id as a bulk to out[at], ID_BULK_BYTES_MAX at most; returns the offset behind it. */
function writeIdBulk(out: Uint8Array, at: number, id: StreamId): number {
  out[at] = BULK
  // Nearly all have two digits of length.
  let from = at + 5
  const { ms } = id
  let end = from
  if (ms >= HEAD_MIN && id.msHigh < SAFE_HIGH && id.seqHigh === 0) {
    end = writeMs(out, from, ms)
    out[end] = DASH
    end = writeInteger(out, end + 1, id.seqLow)
  } else end = id.write(out, from)
  const length = end - from
  if (length < 10) {
    out.copyWithin(at + 4, from, end)
    from--
    end--
    out[at + 1] = ZERO + length
  } else {
    const tens = (length * 205) >>> 11
    out[at + 1] = ZERO + tens
    out[at + 2] = ZERO + length - tens * 10
  }
  out[from - 2] = CR
  out[from - 1] = LF
  out[end] = CR
  out[end + 1] = LF
  return end + 2
}

/** Appends an id, as a bulk. */
export function replyId(reply: ReplyWriter, id: StreamId): void {
  reply.ensure(ID_BULK_BYTES_MAX)
  reply.at = writeIdBulk(reply.bytes, reply.at, id)
}

/** Appends the entry a cursor is at: its id, and its names and values. */
export function replyEntry(reply: ReplyWriter, cursor: StreamCursor): void {
  reply.ensure(ID_BULK_BYTES_MAX + 32)
  const out = reply.bytes
  let { at } = reply
  out[at] = ARRAY
  out[at + 1] = ZERO + 2
  out[at + 2] = CR
  out[at + 3] = LF
  at = writeIdBulk(out, at + 4, cursor.id)
  out[at] = ARRAY
  at = writeInteger(out, at + 1, cursor.fieldCount * 2)
  out[at] = CR
  out[at + 1] = LF
  reply.at = at + 2
  while (cursor.nextField()) {
    replyText(reply, cursor.bytes, cursor.name)
    replyText(reply, cursor.bytes, cursor.value)
  }
}

/** A listpack entry as a bulk; short texts and integers by hand. */
function replyText(reply: ReplyWriter, b: Uint8Array, entry: number): void {
  const head = b[entry]!
  if (head >= 0x80 && head < 0xc0) replyShort(reply, b, entry, head & SHORT_BYTES_MAX)
  else if (head < 0x80) replySmall(reply, head)
  else if (head < 0xe0) replySmall(reply, ((((head & 31) << 8) | b[entry + 1]!) << 19) >> 19)
  else if (head === INT16) replySmall(reply, ((b[entry + 1]! | (b[entry + 2]! << 8)) << 16) >> 16)
  else if (head === INT24) {
    replySmall(reply, ((b[entry + 1]! | (b[entry + 2]! << 8) | (b[entry + 3]! << 16)) << 8) >> 8)
  } else bulkOfEntry(reply, b, entry)
}

function replyShort(reply: ReplyWriter, b: Uint8Array, entry: number, length: number): void {
  reply.ensure(SHORT_BULK_BYTES_MAX)
  const out = reply.bytes
  let { at } = reply
  out[at++] = BULK
  if (length < 10) out[at++] = ZERO + length
  else {
    const tens = (length * 205) >>> 11
    out[at] = ZERO + tens
    out[at + 1] = ZERO + length - tens * 10
    at += 2
  }
  out[at] = CR
  out[at + 1] = LF
  at += 2
  const end = entry + 1 + length
  copyBytes(b, entry + 1, end, out, at)
  at += length
  out[at] = CR
  out[at + 1] = LF
  reply.at = at + 2
}

/** An integer of at most nine characters as a bulk. */
function replySmall(reply: ReplyWriter, n: number): void {
  reply.ensure(SHORT_BULK_BYTES_MAX)
  const out = reply.bytes
  const { at } = reply
  out[at] = BULK
  out[at + 2] = CR
  out[at + 3] = LF
  const end = writeInteger(out, at + 4, n)
  out[at + 1] = ZERO + end - at - 4
  out[end] = CR
  out[end + 1] = LF
  reply.at = end + 2
}

const rangeCursor = new StreamCursor()

/**
 * Appends the entries with ids in [start, end], at most `countMax`, as an array. Newest first when `isReverse`.
 * Returns their number. O(entries).
 */
export function replyRange(
  reply: ReplyWriter,
  log: StreamView,
  start: StreamId,
  end: StreamId,
  countMax: number,
  isReverse: boolean,
): number {
  const mark = reply.begin()
  // Mostly right, and then nothing has to be moved.
  const expected = Math.min(countMax, log.length)
  reply.array(expected)
  const body = reply.at
  const cursor = rangeCursor
  let count = 0
  let more = isReverse ? cursor.seekAtOrBefore(log, end) : cursor.seekAtOrAfter(log, start)
  while (more && (isReverse ? cursor.id.compare(start) >= 0 : cursor.id.compare(end) <= 0)) {
    replyEntry(reply, cursor)
    if (++count === countMax) break
    more = isReverse ? cursor.previous() : cursor.next()
  }
  cursor.release()
  if (count !== expected) correctLength(reply, mark, body, count)
  return count
}

/** Replaces the header of an array (or a map) in [mark, body), which has turned out wrong. */
export function correctLength(reply: ReplyWriter, mark: number, body: number, length: number, isMap = false): void {
  reply.bytes.copyWithin(mark, body, reply.at)
  reply.at -= body - mark
  if (isMap) reply.endMap(mark, length)
  else reply.endArray(mark, length)
}

/** Appends the entry of that id; false, and nothing, when there is none. */
export function replyEntryOf(reply: ReplyWriter, log: StreamView, id: StreamId): boolean {
  const found = rangeCursor.seekAtOrAfter(log, id) && rangeCursor.id.compare(id) === 0
  if (found) replyEntry(reply, rangeCursor)
  rangeCursor.release()
  return found
}

export function hasEntry(log: StreamView, id: StreamId): boolean {
  const found = rangeCursor.seekAtOrAfter(log, id) && rangeCursor.id.compare(id) === 0
  rangeCursor.release()
  return found
}

/** The id of the last entry that is still there; false when there is none. */
export function lastLiveId(log: StreamView, id: StreamId): boolean {
  // Unless it was deleted (or XSETID went ahead) it is the last id itself.
  if (log.length === 0) return false
  rangeCursor.seekAtOrBefore(log, log.lastId)
  id.copy(rangeCursor.id)
  rangeCursor.release()
  return true
}
