/**
 * What a value has that RDB knows no type for: members of sets and sorted sets that expire, names of a stream's messages,
 * messages given back to a consumer group.
 *
 * It stands behind the key's record, in AUX fields: these may come anywhere in a file, and a reader that does not know one
 * passes over it. So Redis reads the file and has the value without what it could not have had. In DUMP payloads they stand
 * behind the value, where Redis does not look.
 *
 *   bundis-member-times    (time in ms as a double, length, member) …
 *   bundis-message-names   seconds, names per producer, added and duplicates as doubles,
 *                          (length, producer, length, name, id) …
 *   bundis-released        length, group, (id, deliveries as a double) …          in the order in which they were given back
 *
 * Lengths and other numbers are 32 bits, little-endian; an id is four of them. A value may have several fields of a kind,
 * none much longer than PIECE_BYTES. Messages given back are also in the stream's own record, as pending for a consumer
 * without a name: a Redis that reads it can have them claimed.
 */

import { latin1 } from "../bytes/compare.ts"
import { parseDouble } from "../bytes/double.ts"
import type { Database } from "../keyspace/db.ts"
import { Kind } from "../keyspace/kinds.ts"
import { type ByteMap, type Container, FrozenMap } from "../structs/byte-map.ts"
import { IdTableCursor } from "../structs/id-table.ts"
import { intsetCopyValue, intsetLength } from "../structs/intset.ts"
import { LpEntry, lpCopyValue, lpFirst, lpLength, lpRead } from "../structs/listpack.ts"
import { type Group, PendingEntry, UNOWNED } from "../structs/stream-groups.ts"
import { StreamId } from "../structs/stream-id.ts"
import type { StreamIdempotency } from "../structs/stream-idempotency.ts"
import { type FrozenStream, StreamValue } from "../structs/stream-value.ts"
import { ZsetTable } from "../structs/zset-table.ts"
import { addScored, putMember } from "./collections.ts"
import { Opcode } from "./format.ts"
import type { RdbWriter } from "./writer.ts"

/** Fields of this kind of name are ours. */
export const EXTRA_PREFIX = "bundis-"
const MEMBER_TIMES = "bundis-member-times"
const MESSAGE_NAMES = "bundis-message-names"
const RELEASED = "bundis-released"

const PIECE_BYTES = 32 * 1024
const RECORDS_PER_SCAN = 128

type MapView = ByteMap | FrozenMap

// ---------------------------------------------------------------------------------------------- writing

/** Bytes of one field. */
class Piece {
  bytes: Uint8Array = new Uint8Array(2 * PIECE_BYTES)
  private view = new DataView(this.bytes.buffer)
  length = 0

  get isFull(): boolean {
    return this.length >= PIECE_BYTES
  }

  word(n: number): void {
    this.reserve(4)
    this.view.setUint32(this.length, n, true)
    this.length += 4
  }

  double(n: number): void {
    this.reserve(8)
    this.view.setFloat64(this.length, n, true)
    this.length += 8
  }

  id({ msHigh, msLow, seqHigh, seqLow }: StreamId): void {
    for (const word of [msHigh, msLow, seqHigh, seqLow]) this.word(word)
  }

  text(src: Uint8Array, start: number, end: number): void {
    this.word(end - start)
    this.reserve(end - start)
    this.bytes.set(src.subarray(start, end), this.length)
    this.length += end - start
  }

  /** Writes what there is as a field, and begins anew. */
  flush(writer: RdbWriter, name: string): void {
    writer.byte(Opcode.Aux)
    writer.text(name)
    writer.string(this.bytes, 0, this.length)
    this.length = 0
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return
    const larger = new Uint8Array((this.length + more) * 2)
    larger.set(this.bytes.subarray(0, this.length))
    this.bytes = larger
    this.view = new DataView(larger.buffer)
  }
}

/** Writes what the record of a container, just written, could not say; nothing for most. Of the frozen state, or the live one. */
export function* writeExtras(
  writer: RdbWriter,
  kind: number,
  container: Container,
  frozen: boolean,
): Generator<void, void> {
  if (kind === Kind.SetTable) {
    const map = container as ByteMap
    yield* memberTimes(writer, frozen ? map.frozenView() : map)
  } else if (kind === Kind.ZsetTree) {
    const table = container as ZsetTable
    yield* memberTimes(writer, frozen ? table.frozenView().index : table.index)
  } else if (kind === Kind.Stream) {
    const stream = container as StreamValue
    yield* streamExtras(writer, frozen ? stream.frozenView() : stream)
  }
}

function* memberTimes(writer: RdbWriter, map: MapView): Generator<void, void> {
  if (map.expirySize === 0) return
  const piece = new Piece()
  const addresses: number[] = []
  let cursor = 0
  do {
    addresses.length = 0
    cursor = map.scan(cursor, RECORDS_PER_SCAN, addresses)
    for (const address of addresses) {
      const expiry = map.expiry(address)
      if (expiry === 0) continue
      readKey(map, address)
      piece.double(expiry)
      piece.text(map.keyBytes, map.keyStart, map.keyEnd)
      if (piece.isFull) piece.flush(writer, MEMBER_TIMES)
    }
    yield
  } while (cursor !== 0)
  if (piece.length > 0) piece.flush(writer, MEMBER_TIMES)
}

function readKey(map: MapView, address: number): void {
  if (map instanceof FrozenMap) map.read(address)
  else map.readKey(address)
}

function* streamExtras(
  writer: RdbWriter,
  { groups, idempotency }: Pick<FrozenStream, "groups" | "idempotency">,
): Generator<void, void> {
  if (idempotency !== undefined) yield* messageNames(writer, idempotency)
  for (const group of groups.sorted()) if (group.unownedCount > 0) yield* released(writer, group)
}

function* messageNames(writer: RdbWriter, names: StreamIdempotency): Generator<void, void> {
  const piece = new Piece()
  const begin = (): void => {
    piece.word(names.durationSeconds)
    piece.word(names.entriesMax)
    piece.double(names.added)
    piece.double(names.duplicates)
  }
  begin()
  for (const [producer, name, id] of names.entries()) {
    for (const text of [producer, name]) {
      const bytes = Buffer.from(text, "latin1")
      piece.text(bytes, 0, bytes.length)
    }
    piece.id(id)
    if (!piece.isFull) continue
    piece.flush(writer, MESSAGE_NAMES)
    begin()
    yield
  }
  piece.flush(writer, MESSAGE_NAMES)
}

function* released(writer: RdbWriter, group: Group): Generator<void, void> {
  const piece = new Piece()
  const begin = (): void => piece.text(group.name, 0, group.name.length)
  begin()
  for (const { id, deliveryCount } of unownedEntries(group)) {
    piece.id(id)
    piece.double(deliveryCount)
    if (!piece.isFull) continue
    piece.flush(writer, RELEASED)
    begin()
    yield
  }
  piece.flush(writer, RELEASED)
}

/** Entries of a group that were given back, the first of them first. */
export function unownedEntries(group: Group): { id: StreamId; deliveryCount: number; releaseOrder: number }[] {
  const found: { id: StreamId; deliveryCount: number; releaseOrder: number }[] = []
  if (group.unownedCount === 0) return found
  const cursor = new IdTableCursor()
  const pending = new PendingEntry()
  for (let on = cursor.seekAtOrAfter(group.pending, new StreamId()); on; on = cursor.next()) {
    pending.read(cursor.words, cursor.at)
    if (pending.slot !== UNOWNED) continue
    const { deliveryCount, releaseOrder } = pending
    found.push({ id: pending.id.clone(), deliveryCount, releaseOrder })
  }
  return found.sort((a, b) => a.releaseOrder - b.releaseOrder)
}

// ---------------------------------------------------------------------------------------------- reading

/** Reads a field; everything is checked against its end. */
class FieldReader {
  start = 0
  stop = 0
  private readonly view: DataView
  private at: number

  constructor(
    readonly bytes: Uint8Array,
    start: number,
    readonly end: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.at = start
  }

  get hasMore(): boolean {
    return this.at < this.end
  }

  word(): number {
    return this.view.getUint32(this.take(4), true)
  }

  double(): number {
    return this.view.getFloat64(this.take(8), true)
  }

  id(into: StreamId): StreamId {
    return into.setWords(this.word(), this.word(), this.word(), this.word())
  }

  /** Leaves a text in bytes[start, stop). */
  text(): void {
    const length = this.word()
    this.start = this.take(length)
    this.stop = this.start + length
  }

  latin1(): string {
    this.text()
    return latin1(this.bytes, this.start, this.stop)
  }

  private take(length: number): number {
    const at = this.at
    if (length > this.end - at) throw new RangeError("a field ends too soon")
    this.at = at + length
    return at
  }
}

/**
 * Applies the field of that name to the value under a key, which was read just before. False when the field makes no sense;
 * one that is unknown, or about a value of another kind, is passed over.
 */
export function applyExtra(
  name: string,
  bytes: Uint8Array,
  start: number,
  end: number,
  db: Database,
  key: Uint8Array,
  keyEnd: number,
): boolean {
  const address = db.keys.find(key, 0, keyEnd)
  if (address === 0) return true
  const field = new FieldReader(bytes, start, end)
  try {
    if (name === MEMBER_TIMES) applyTimes(field, db, key, keyEnd, address)
    else if (db.keys.type(address) === Kind.Stream) {
      const stream = db.keys.object(address)
      if (!(stream instanceof StreamValue)) return true
      stream.own()
      if (name === MESSAGE_NAMES) applyNames(field, stream, db.keyspace.now)
      else if (name === RELEASED) applyReleased(field, stream)
      db.keys.noteObjectBytes(address)
    }
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

function applyTimes(field: FieldReader, db: Database, key: Uint8Array, keyEnd: number, address: number): void {
  const table = tableAt(db, address)
  if (table === undefined) return
  let earliest = Number.POSITIVE_INFINITY
  while (field.hasMore) {
    const time = field.double()
    field.text()
    const member = table.find(field.bytes, field.start, field.stop)
    if (member === 0 || !(time > 0)) continue
    table.setExpiry(member, time)
    earliest = Math.min(earliest, time)
  }
  db.keys.noteObjectBytes(db.keys.find(key, 0, keyEnd))
  if (earliest !== Number.POSITIVE_INFINITY) db.keyspace.memberExpiry.note(db, key, 0, keyEnd, earliest)
}

function applyNames(field: FieldReader, stream: StreamValue, nowMs: number): void {
  const names = stream.trackProducers()
  names.configure(field.word(), Math.max(1, field.word()))
  const added = field.double()
  const duplicates = field.double()
  while (field.hasMore) names.record(field.latin1(), field.latin1(), field.id(new StreamId()), nowMs)
  names.added = added
  names.duplicates = duplicates
}

function applyReleased(field: FieldReader, stream: StreamValue): void {
  field.text()
  const group = stream.groups.writable(field.bytes, field.start, field.stop)
  if (group === undefined) return
  const id = new StreamId()
  while (field.hasMore) {
    field.id(id)
    const deliveries = field.double()
    if (group.pending.find(id)) group.release(id, deliveries)
  }
  const nobody = group.consumer(field.bytes, 0, 0)
  if (nobody !== undefined && nobody.pending.length === 0 && nobody.seenMs === 0)
    group.deleteConsumer(field.bytes, 0, 0)
}

/** The map that holds the times of a set or sorted set, of which a table is made if it is packed. */
function tableAt(db: Database, address: number): ByteMap | undefined {
  const { keys, keyspace } = db
  const kind = keys.type(address)
  if (kind === Kind.SetTable) return keys.object(address) as ByteMap
  if (kind === Kind.ZsetTree) return (keys.object(address) as ZsetTable).index
  if (kind !== Kind.SetInts && kind !== Kind.SetPacked && kind !== Kind.ZsetPacked) return undefined
  keys.readValue(address)
  const { valueBytes: bytes, valueStart: at } = keys
  const text = new Uint8Array(24)
  const map = keyspace.newMap()
  if (kind === Kind.SetInts) {
    for (let i = 0; i < intsetLength(bytes, at); i++) putMember(map, text, 0, intsetCopyValue(bytes, at, i, text, 0))
    keys.replaceByObject(address, Kind.SetTable, map)
    return map
  }
  const entry = new LpEntry()
  let place = lpFirst(bytes, at)
  const next = (): [Uint8Array, number, number] => {
    lpRead(bytes, place, entry)
    const from = place
    place = entry.entryEnd
    return entry.isInt ? [text, 0, lpCopyValue(bytes, from, text, 0)] : [bytes, entry.start, entry.end]
  }
  let left = lpLength(bytes, at)
  if (kind === Kind.SetPacked) {
    for (; left > 0; left--) putMember(map, ...next())
    keys.replaceByObject(address, Kind.SetTable, map)
    return map
  }
  const table = new ZsetTable(keyspace.heap, map)
  for (; left > 0; left -= 2) {
    const [memberBytes, start, end] = next()
    const member = memberBytes.slice(start, end)
    const score = parseDouble(...next())
    addScored(table, member, 0, member.length, score ?? 0)
  }
  keys.replaceByObject(address, Kind.ZsetTree, table)
  return map
}
