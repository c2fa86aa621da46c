/**
 * Streams as they are read, in the forms of Redis 5 (1), 7.0 (2), 7.2 (3), 8.6 (4) and 8.8 (5).
 *
 * Blocks are taken over as they are (the log checks them itself). The list of all pending entries of a group comes first,
 * without their owners, then each consumer's: every entry must be owned by exactly one in the end, or (5) be among those
 * that were given back.
 */

import type { Keyspace } from "../keyspace/keyspace.ts"
import { Kind } from "../keyspace/kinds.ts"
import { type Group, PendingEntry } from "../structs/stream-groups.ts"
import { StreamId } from "../structs/stream-id.ts"
import { DURATION_SECONDS_MAX, ENTRIES_MAX, nameOf } from "../structs/stream-idempotency.ts"
import type { StreamView } from "../structs/stream-log.ts"
import { StreamValue } from "../structs/stream-value.ts"
import type { DecodedValue, ValueLimits } from "./decoded-value.ts"
import { RdbType } from "./format.ts"
import { type DecodeStep, NEED_DATA, PAUSE, type RdbInput } from "./input.ts"

const ID_BYTES = 16
const BYTES_PER_STEP = 64 * 1024
const ROWS_PER_STEP = 1024
/** Slot of a pending entry whose owner has not been read yet. */
const NO_OWNER = 0xffff_ffff
const UNKNOWN = -1

const id = new StreamId()
const pending = new PendingEntry()

export function* decodeStream(
  input: RdbInput,
  type: number,
  keyspace: Keyspace,
  limits: ValueLimits,
  into: DecodedValue,
): Generator<DecodeStep, void> {
  const value = new StreamValue(keyspace.heap, limits.streamBlockBytes, limits.streamBlockEntries)
  const { log } = value
  let work = 0
  for (let left = yield* readCount(input); left > 0; left--) {
    while (!input.text()) yield NEED_DATA
    if (input.isLong || input.stop - input.start !== ID_BYTES)
      input.fail("Stream node key entry is not the size of a stream ID")
    readId(input.bytes, input.start, id)
    const first = id.clone()
    while (!input.text()) yield NEED_DATA
    if (input.isLong) yield* input.gather()
    const { bytes, start, stop } = input
    if (!log.appendBlock(first, bytes, start, stop)) input.fail("Stream listpack integrity check failed.")
    work += stop - start
    if (work >= BYTES_PER_STEP) {
      work = 0
      yield PAUSE
    }
  }
  const length = yield* readCount(input)
  if (length > 0 && log.length === 0) input.fail("Stream length inconsistent with rax entries")
  yield* readSizes(input, log.lastId)
  if (type === RdbType.Stream1) log.entriesAdded = log.length
  else {
    // The first entry is where it is.
    yield* readSizes(input, id)
    yield* readSizes(input, log.maxDeletedId)
    log.entriesAdded = yield* readCount(input)
  }
  for (let left = yield* readCount(input); left > 0; left--) yield* decodeGroup(input, type, value, keyspace.now)
  if (type >= RdbType.Stream4) yield* decodeNames(input, value, keyspace.now)
  into.setObject(Kind.Stream, value)
}

function* decodeGroup(input: RdbInput, type: number, value: StreamValue, nowMs: number): Generator<DecodeStep, void> {
  while (!input.text()) yield NEED_DATA
  if (input.isLong) yield* input.gather()
  const group = value.groups.create(input.bytes, input.start, input.stop)
  if (group === undefined) return input.fail("Duplicated consumer group name")
  yield* readSizes(input, group.lastId)
  if (type === RdbType.Stream1) group.entriesRead = estimateRead(value.log, group.lastId)
  else {
    while (!input.count()) yield NEED_DATA
    group.entriesRead = input.high >= 0x20_0000 ? UNKNOWN : input.value
  }
  yield* decodePending(input, group)
  let owned = 0
  for (let left = yield* readCount(input); left > 0; left--) owned += yield* decodeConsumer(input, type, group, nowMs)
  if (type >= RdbType.Stream5) owned += yield* decodeReleased(input, group)
  if (owned !== group.pending.length) input.fail("a pending entry has no consumer")
}

/** Entries that were given back, the first of them first; returns how many. */
function* decodeReleased(input: RdbInput, group: Group): Generator<DecodeStep, number> {
  const count = yield* readCount(input)
  for (let i = 0; i < count; i++) {
    while (!input.raw(ID_BYTES)) yield NEED_DATA
    readId(input.bytes, input.start, id)
    if (!group.findPending(id, pending) || pending.slot !== NO_OWNER) input.fail("an entry given back has a consumer")
    group.pending.delete(id)
    group.release(id, pending.deliveryCount)
    if (i % ROWS_PER_STEP === ROWS_PER_STEP - 1) yield PAUSE
  }
  return count
}

/** Names of messages, producer by producer. */
function* decodeNames(input: RdbInput, value: StreamValue, nowMs: number): Generator<DecodeStep, void> {
  const seconds = yield* readCount(input)
  const most = yield* readCount(input)
  const producers = yield* readCount(input)
  const kept: [producer: string, name: string, id: StreamId][] = []
  for (let i = 0; i < producers; i++) {
    const producer = yield* readName(input)
    for (let left = yield* readCount(input); left > 0; left--) {
      const name = yield* readName(input)
      const entry = new StreamId()
      yield* readSizes(input, entry)
      kept.push([producer, name, entry])
    }
    yield PAUSE
  }
  const added = yield* readCount(input)
  const duplicates = yield* readCount(input)
  if (kept.length === 0 && added === 0) return
  if (seconds > DURATION_SECONDS_MAX || most < 1 || most > ENTRIES_MAX) input.fail("malformed names of messages")
  const names = value.trackProducers()
  names.configure(seconds, most)
  for (const [producer, name, entry] of kept) names.record(producer, name, entry, nowMs)
  names.added = added
  names.duplicates = duplicates
}

function* readName(input: RdbInput): Generator<DecodeStep, string> {
  while (!input.text()) yield NEED_DATA
  if (input.isLong) yield* input.gather()
  return nameOf(input.bytes, input.start, input.stop)
}

function* decodePending(input: RdbInput, group: Group): Generator<DecodeStep, void> {
  const count = yield* readCount(input)
  for (let i = 0; i < count; i++) {
    while (!input.raw(ID_BYTES)) yield NEED_DATA
    readId(input.bytes, input.start, id)
    // The row's own layout is only Group's to know; what it stores for an owner is put in afterwards.
    const isNew = group.pending.insert(id)
    if (!isNew) input.fail("a pending entry is there twice")
    const { words, at } = group.pending
    while (!input.time()) yield NEED_DATA
    const deliveryMs = Math.max(0, input.value)
    while (!input.count()) yield NEED_DATA
    PendingEntry.write(words, at, deliveryMs, input.value, NO_OWNER)
    if (i % ROWS_PER_STEP === ROWS_PER_STEP - 1) yield PAUSE
  }
}

/** Returns how many pending entries it owns. */
function* decodeConsumer(input: RdbInput, type: number, group: Group, nowMs: number): Generator<DecodeStep, number> {
  while (!input.text()) yield NEED_DATA
  if (input.isLong) yield* input.gather()
  const { bytes, start, stop } = input
  if (group.consumer(bytes, start, stop) !== undefined) input.fail("Duplicate stream consumer detected.")
  const consumer = group.createConsumer(bytes, start, stop, nowMs)
  while (!input.time()) yield NEED_DATA
  consumer.seenMs = input.value
  consumer.activeMs = input.value
  if (type >= RdbType.Stream3) {
    while (!input.time()) yield NEED_DATA
    consumer.activeMs = input.value
  }
  const count = yield* readCount(input)
  for (let i = 0; i < count; i++) {
    while (!input.raw(ID_BYTES)) yield NEED_DATA
    readId(input.bytes, input.start, id)
    if (!group.findPending(id, pending)) input.fail("a consumer's entry is not pending in its group")
    if (pending.slot !== NO_OWNER) input.fail("a pending entry has two consumers")
    group.pending.insert(id)
    PendingEntry.write(group.pending.words, group.pending.at, pending.deliveryMs, pending.deliveryCount, consumer.slot)
    consumer.pending.insert(id)
    if (i % ROWS_PER_STEP === ROWS_PER_STEP - 1) yield PAUSE
  }
  return count
}

/** How many entries a group had read by the time of Redis before 7.0, as far as can be known. */
function estimateRead(log: StreamView, lastId: StreamId): number {
  if (log.entriesAdded === 0) return 0
  const order = lastId.compare(log.lastId)
  if (order === 0) return log.entriesAdded
  if (order > 0) return UNKNOWN
  const fromFirst = lastId.compare(log.firstId)
  if (fromFirst < 0) return 0
  return fromFirst === 0 ? 1 : UNKNOWN
}

function* readCount(input: RdbInput): Generator<DecodeStep, number> {
  while (!input.count()) yield NEED_DATA
  return input.value
}

function* readSizes(input: RdbInput, into: StreamId): Generator<DecodeStep, void> {
  while (!input.count()) yield NEED_DATA
  const { high, low } = input
  while (!input.count()) yield NEED_DATA
  into.setWords(high, low, input.high, input.low)
}

function readId(bytes: Uint8Array, at: number, into: StreamId): void {
  const word = (i: number): number =>
    ((bytes[at + i]! << 24) | (bytes[at + i + 1]! << 16) | (bytes[at + i + 2]! << 8) | bytes[at + i + 3]!) >>> 0
  into.setWords(word(0), word(4), word(8), word(12))
}
