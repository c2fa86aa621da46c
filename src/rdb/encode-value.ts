/**
 * Values in the form that RDB files and DUMP payloads hold them.
 *
 * What is packed in memory is packed there: the same bytes. The oldest form that holds a value exactly is chosen, so that
 * Redis 7.0 reads what it can understand: packed sets are written as plain ones (Redis 7.0 has no packed sets), and a stream
 * in the form of Redis 7.2 only if a consumer's last success and last attempt differ. Only hashes whose fields expire need
 * Redis 7.4.
 *
 * Everything is read through views, live or frozen. With frozen views the generator may be left alone for as long as the
 * snapshot lasts; with live ones it has to be run to its end at once. It pauses after about `stepBytes` of work, also in the
 * middle of a value.
 */

import { Kind } from "../keyspace/kinds.ts"
import { type ByteMap, type Container, FrozenMap } from "../structs/byte-map.ts"
import { IdTableCursor } from "../structs/id-table.ts"
import { intsetBytes } from "../structs/intset.ts"
import { ListChunkWalk, type ListView } from "../structs/list-chunks.ts"
import type { ListValue } from "../structs/list-value.ts"
import { LpEntry, lpBytes, lpCopyValue, lpFirst, lpLength, lpRead } from "../structs/listpack.ts"
import { ScoreCursor, type ScoreTreeView } from "../structs/score-tree.ts"
import { type Group, PendingEntry, type StreamGroupsView, UNOWNED } from "../structs/stream-groups.ts"
import { StreamId } from "../structs/stream-id.ts"
import { StreamBlockWalk, type StreamView } from "../structs/stream-log.ts"
import type { StreamValue } from "../structs/stream-value.ts"
import type { ZsetTable } from "../structs/zset-table.ts"
import { unownedEntries } from "./extras.ts"
import { ListNode, RdbType, VERSION_7_0, VERSION_7_2, VERSION_7_4 } from "./format.ts"
import { PIECE_BYTES, type RdbWriter } from "./writer.ts"

/** Elements are counted as this much work beside their bytes. */
const ELEMENT_WORK = 64
const RECORDS_PER_SCAN = 128
const TWO_32 = 0x1_0000_0000

/** A live map, or one as it was when the snapshot began. */
export type MapView = ByteMap | FrozenMap

const entry = new LpEntry()
const integerText = new Uint8Array(24)

/**
 * Puts a record's key and value into the map's keyBytes … valueEnd; returns the container instead of a value that is one.
 */
export function readRecord(map: MapView, address: number): Container | undefined {
  if (map instanceof FrozenMap) return map.read(address)
  map.readKey(address)
  if (map.isOutOfLine(address)) {
    const object = map.object(address)
    if ("release" in object) return object
  }
  map.readValue(address)
  return undefined
}

// ---------------------------------------------------------------------------------------------- types

/** The type that a packed value is written as. */
export function typeOfPacked(kind: number): number {
  switch (kind) {
    case Kind.HashPacked:
      return RdbType.HashListpack
    case Kind.HashPackedExpiring:
      return RdbType.HashListpackExpiring
    case Kind.ListPacked:
      return RdbType.ListListpacks
    case Kind.SetInts:
      return RdbType.SetIntset
    case Kind.SetPacked:
      return RdbType.Set
    case Kind.ZsetPacked:
      return RdbType.ZsetListpack
    default:
      return RdbType.String
  }
}

/** What a large value is made of, to be read. */
export class ContainerView {
  type: number
  readonly map: MapView | undefined
  readonly list: ListView | undefined
  readonly tree: ScoreTreeView | undefined
  readonly log: StreamView | undefined
  readonly groups: StreamGroupsView | undefined

  /** `frozen`: as it was when the running snapshot began, and before which the container was made. */
  constructor(kind: number, container: Container, frozen: boolean) {
    switch (kind) {
      case Kind.HashTable:
      case Kind.SetTable: {
        const map = container as ByteMap
        this.map = frozen ? map.frozenView() : map
        const expires = kind === Kind.HashTable && this.map.expirySize > 0
        this.type = expires ? RdbType.HashExpiring : kind === Kind.HashTable ? RdbType.Hash : RdbType.Set
        break
      }
      case Kind.ListChunks: {
        const list = container as ListValue
        this.list = frozen ? list.frozenView() : list
        this.type = RdbType.ListListpacks
        break
      }
      case Kind.ZsetTree: {
        const table = container as ZsetTable
        this.tree = frozen ? table.frozenView().tree : table.tree
        this.type = RdbType.Zset
        break
      }
      case Kind.Stream: {
        const stream = container as StreamValue
        const { log, groups } = frozen ? stream.frozenView() : stream
        this.log = log
        this.groups = groups
        this.type = needsActiveTimes(groups) ? RdbType.Stream3 : RdbType.Stream2
        break
      }
      default:
        throw new Error(`no container is of kind ${kind}`)
    }
  }
}

function needsActiveTimes(groups: StreamGroupsView): boolean {
  if (groups.size === 0) return false
  for (const group of groups.sorted()) {
    for (const { seenMs, activeMs } of group.sortedConsumers()) if (seenMs !== activeMs) return true
  }
  return false
}

/** The version of the oldest Redis that knows a type. */
export function versionOfType(type: number): number {
  if (type >= RdbType.HashExpiringPreGa) return VERSION_7_4
  return type >= RdbType.SetListpack ? VERSION_7_2 : VERSION_7_0
}

// ---------------------------------------------------------------------------------------------- packed values

/** Whether `packed` may write the value in one go. */
export function isShort(start: number, end: number): boolean {
  return end - start <= PIECE_BYTES
}

/** Writes a value that is bytes[start, end), without its type. */
export function packed(writer: RdbWriter, kind: number, bytes: Uint8Array, start: number, end: number): void {
  switch (kind) {
    case Kind.SetPacked:
      for (const _ of setElements(writer, bytes, start));
      return
    case Kind.HashPackedExpiring:
      writer.time(earliestOfTriplets(bytes, start))
      break
    case Kind.ListPacked:
      writer.size(1)
      writer.size(ListNode.Packed)
      break
  }
  writer.string(bytes, start, packedEnd(kind, bytes, start, end))
}

/** As `packed`, for values of any length. */
export function* longPacked(
  writer: RdbWriter,
  kind: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): Generator<void, void> {
  if (kind === Kind.SetPacked) yield* setElements(writer, bytes, start)
  else if (isShort(start, end)) packed(writer, kind, bytes, start, end)
  else {
    if (kind === Kind.HashPackedExpiring) writer.time(earliestOfTriplets(bytes, start))
    else if (kind === Kind.ListPacked) {
      writer.size(1)
      writer.size(ListNode.Packed)
    }
    yield* writer.longString(bytes, start, packedEnd(kind, bytes, start, end))
  }
}

/** A listpack or intset says itself where it ends; a string ends where its record does. */
function packedEnd(kind: number, bytes: Uint8Array, start: number, end: number): number {
  if (kind <= Kind.StringRaw) return end
  return start + (kind === Kind.SetInts ? intsetBytes(bytes, start) : lpBytes(bytes, start))
}

function* setElements(writer: RdbWriter, bytes: Uint8Array, start: number): Generator<void, void> {
  const count = lpLength(bytes, start)
  writer.size(count)
  let at = lpFirst(bytes, start)
  for (let i = 0; i < count; i++) {
    lpRead(bytes, at, entry)
    if (entry.isInt) writer.string(integerText, 0, lpCopyValue(bytes, at, integerText, 0))
    else writer.string(bytes, entry.start, entry.end)
    at = entry.entryEnd
    if (writer.endsStep()) yield
  }
}

/** Expiry of the first triplet, 0 when none expires: they ascend, those without one at the end. */
function earliestOfTriplets(bytes: Uint8Array, start: number): number {
  const field = lpFirst(bytes, start)
  if (field === -1) return 0
  lpRead(bytes, field, entry)
  lpRead(bytes, entry.entryEnd, entry)
  lpRead(bytes, entry.entryEnd, entry)
  return entry.int
}

// ---------------------------------------------------------------------------------------------- containers

/** Writes a large value, without its type. Pauses about every `stepBytes`. */
export function* container(writer: RdbWriter, view: ContainerView): Generator<void, void> {
  switch (view.type) {
    case RdbType.Hash:
    case RdbType.Set:
      yield* records(writer, view.map!, view.type === RdbType.Hash, 0)
      break
    case RdbType.HashExpiring: {
      const earliest = yield* earliestExpiry(view.map!)
      writer.time(earliest)
      yield* records(writer, view.map!, true, earliest)
      break
    }
    case RdbType.ListListpacks:
      yield* listNodes(writer, view.list!)
      break
    case RdbType.Zset:
      yield* scored(writer, view.tree!)
      break
    default:
      yield* streamLog(writer, view.log!)
      yield* streamGroups(writer, view.groups!, view.type === RdbType.Stream3)
  }
}

/** Exact, unlike the map's own hint: field times are written as differences to it. */
function* earliestExpiry(map: MapView): Generator<void, number> {
  const addresses: number[] = []
  let earliest = Number.POSITIVE_INFINITY
  let cursor = 0
  do {
    addresses.length = 0
    cursor = map.scan(cursor, RECORDS_PER_SCAN, addresses)
    for (const address of addresses) {
      const expiry = map.expiry(address)
      if (expiry !== 0 && expiry < earliest) earliest = expiry
    }
    yield
  } while (cursor !== 0)
  return earliest
}

/** The fields of a hash or the members of a set. With `earliest`, the expiries of the fields too. */
function* records(writer: RdbWriter, map: MapView, withValues: boolean, earliest: number): Generator<void, void> {
  writer.size(map.size)
  const addresses: number[] = []
  let cursor = 0
  let work = 0
  do {
    addresses.length = 0
    cursor = map.scan(cursor, RECORDS_PER_SCAN, addresses)
    for (const address of addresses) {
      readRecord(map, address)
      if (earliest !== 0) {
        const expiry = map.expiry(address)
        writer.size(expiry === 0 ? 0 : expiry - earliest + 1)
      }
      const { keyStart, keyEnd, valueStart, valueEnd } = map
      writer.string(map.keyBytes, keyStart, keyEnd)
      work += ELEMENT_WORK + keyEnd - keyStart
      if (withValues) {
        if (isShort(valueStart, valueEnd)) writer.string(map.valueBytes, valueStart, valueEnd)
        else yield* writer.longString(map.valueBytes, valueStart, valueEnd)
        work += Math.min(valueEnd - valueStart, PIECE_BYTES)
      }
      if (work < writer.stepBytes) continue
      work = 0
      yield
    }
  } while (cursor !== 0)
}

function* listNodes(writer: RdbWriter, list: ListView): Generator<void, void> {
  writer.size(list.chunkCount)
  const walk = new ListChunkWalk(list)
  let work = 0
  while (walk.next()) {
    writer.size(ListNode.Packed)
    work += walk.end - walk.start
    if (isShort(walk.start, walk.end)) writer.string(walk.bytes, walk.start, walk.end)
    else yield* writer.longString(walk.bytes, walk.start, walk.end)
    if (work < writer.stepBytes) continue
    work = 0
    yield
  }
}

/** From the highest to the lowest, as Redis does: its skip list is built fastest that way. */
function* scored(writer: RdbWriter, tree: ScoreTreeView): Generator<void, void> {
  writer.size(tree.length)
  const cursor = new ScoreCursor()
  let work = 0
  for (let on = cursor.seek(tree, tree.length - 1); on; on = cursor.previous()) {
    writer.string(cursor.bytes, cursor.start, cursor.end)
    writer.double(cursor.score)
    work += ELEMENT_WORK + cursor.end - cursor.start
    if (work < writer.stepBytes) continue
    work = 0
    yield
  }
}

const idBytes = new Uint8Array(16)

/** A stream id as 16 bytes, big-endian. */
function rawId(words: ArrayLike<number>, at: number): Uint8Array {
  for (let i = 0; i < 16; i++) idBytes[i] = words[at + (i >> 2)]! >>> (24 - 8 * (i & 3))
  return idBytes
}

function idSizes(writer: RdbWriter, id: StreamId): void {
  writer.size64(id.msHigh, id.msLow)
  writer.size64(id.seqHigh, id.seqLow)
}

function* streamLog(writer: RdbWriter, log: StreamView): Generator<void, void> {
  writer.size(log.blockCount)
  const walk = new StreamBlockWalk(log)
  let work = 0
  while (walk.next()) {
    const { id } = walk
    writer.string(rawId([id.msHigh, id.msLow, id.seqHigh, id.seqLow], 0), 0, 16)
    if (isShort(walk.start, walk.end)) writer.string(walk.bytes, walk.start, walk.end)
    else yield* writer.longString(walk.bytes, walk.start, walk.end)
    work += walk.end - walk.start
    if (work < writer.stepBytes) continue
    work = 0
    yield
  }
  writer.size(log.length)
  idSizes(writer, log.lastId)
  idSizes(writer, log.firstId)
  idSizes(writer, log.maxDeletedId)
  writer.size(log.entriesAdded)
}

function* streamGroups(writer: RdbWriter, groups: StreamGroupsView, withActiveTimes: boolean): Generator<void, void> {
  writer.size(groups.size)
  for (const group of groups.sorted()) {
    writer.string(group.name, 0, group.name.length)
    idSizes(writer, group.lastId)
    if (group.entriesRead < 0) writer.size64(TWO_32 - 1, TWO_32 - 1)
    else writer.size(group.entriesRead)
    yield* pendingEntries(writer, group)
    const consumers = group.sortedConsumers()
    // What was given back is pending for nobody: for a consumer without a name, as far as Redis is concerned.
    const unowned = unownedEntries(group)
    if (unowned.length > 0 && consumers[0]?.name.length !== 0) consumers.unshift(group.consumerAt(UNOWNED))
    writer.size(consumers.length)
    for (const consumer of consumers) {
      writer.string(consumer.name, 0, consumer.name.length)
      writer.time(consumer.seenMs)
      if (withActiveTimes) writer.time(consumer.activeMs)
      const more = consumer.name.length === 0 ? unowned : []
      writer.size(consumer.pending.length + more.length)
      for (const { id } of more) writer.raw(rawId([id.msHigh, id.msLow, id.seqHigh, id.seqLow], 0), 0, 16)
      const cursor = new IdTableCursor()
      for (let on = cursor.seekAtOrAfter(consumer.pending, new StreamId()); on; on = cursor.next()) {
        writer.raw(rawId(cursor.words, cursor.at), 0, 16)
        if (writer.endsStep()) yield
      }
      // Many consumers may have little each.
      if (writer.endsStep()) yield
    }
    yield
  }
}

function* pendingEntries(writer: RdbWriter, group: Group): Generator<void, void> {
  writer.size(group.pending.length)
  const cursor = new IdTableCursor()
  const pending = new PendingEntry()
  for (let on = cursor.seekAtOrAfter(group.pending, new StreamId()); on; on = cursor.next()) {
    pending.read(cursor.words, cursor.at)
    writer.raw(rawId(cursor.words, cursor.at), 0, 16)
    writer.time(pending.deliveryMs)
    writer.size(pending.deliveryCount)
    if (writer.endsStep()) yield
  }
}
