/**
 * One hash, opened by its key: the same operations on all its forms, and the passage from one form to the next.
 *
 *   HashPacked ── a field gets an expiry ──▶ HashPackedExpiring
 *       └──── too many fields, or too long ────┴──▶ HashTable            (never back, as in Redis)
 *
 * There is one OpenHash, used again by every command, so that none is made per command; nothing of it outlives the
 * command. Its offsets are refreshed after each change, as any change may move the record.
 *
 * A field whose time is up is absent to readers. `find` removes one that it meets, and with the last field the hash:
 * `exists` tells. Until then it still counts in `size`, as in Redis.
 */

import { copyBytes, copyOf, equalBytes } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import type { Database } from "../keyspace/db.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import {
  LP_EMPTY_BYTES,
  lpBytes,
  lpCompare,
  lpEnd,
  lpEntryEnd,
  lpEntrySize,
  lpFind,
  lpFirst,
  lpInit,
  lpIntegerSize,
  lpLength,
  lpSplice,
  lpValueLength,
  lpWriteEntry,
  lpWriteInteger,
} from "../structs/listpack.ts"
import { tripletExpiry, tupleEnd } from "./hash-packed.ts"
import { bulkOfEntry, integerText, readSafeInteger, readText, textBytes, textEnd, textStart } from "./packed-entries.ts"

/** A packed hash never grows beyond this, whatever the thresholds say. */
const PACKED_BYTES_MAX = 1 << 30
const END = 0xff
/** Digits and sign of the longest 64-bit integer. */
const INT64_TEXT_MAX = 20

export class OpenHash {
  /** Address of the record, 0 when there is no such hash. */
  address = 0
  db!: Database
  /** The table form; undefined for the packed ones. */
  table: ByteMap | undefined
  /** Packed forms: the listpack, borrowed, and its entries per field (2 or 3). */
  bytes: Uint8Array = integerText
  at = 0
  step = 2

  /** What `find` found: the offset of the field entry, or the address of the table's record. */
  private found = 0
  /** Packed forms: the entry behind the tuple last found or set, where the next one is looked for first; -1 for none. */
  private hint = -1
  private call!: Call
  private keyBytes: Uint8Array = integerText
  private keyStart = 0
  private keyEnd = 0
  private entriesMax = 0
  private valueBytesMax = 0
  /** There is no hash, and the map's last search was for its key: it can be inserted without another. */
  private placeIsKnown = false
  /** A command tells once that fields have expired, however many it meets. */
  private saidExpired = false

  // ------------------------------------------------------------------ opening

  /** Opens the hash under the key that is argument 1, for reading. False after WRONGTYPE was answered. */
  read(call: Call): boolean {
    const address = call.readTyped(1, ValueType.Hash)
    return address !== -1 && this.open(call, address)
  }

  /** As `read`, for writing; the key is argument `keyAt`. */
  write(call: Call, keyAt = 1): boolean {
    const { events } = call.keyspace
    const expiredKeys = events.expiredKeys
    const address = call.writeTyped(keyAt, ValueType.Hash)
    if (address === -1) return false
    const { values } = call.config
    this.entriesMax = values.hashMaxListpackEntries
    this.valueBytesMax = values.hashMaxListpackValue
    this.placeIsKnown = address === 0 && events.expiredKeys === expiredKeys
    return this.open(call, address, keyAt)
  }

  get exists(): boolean {
    return this.address !== 0
  }

  /** Fields, those whose time is up but which nobody has met yet included. */
  get size(): number {
    if (this.address === 0) return 0
    if (this.table !== undefined) return this.table.size
    const entries = lpLength(this.bytes, this.at)
    return this.step === 2 ? entries >>> 1 : entries / 3
  }

  /** Bytes of a packed form. */
  get storedBytes(): number {
    return lpBytes(this.bytes, this.at)
  }

  /** Fields that expire before this time (ms) are to be passed over. */
  get liveFrom(): number {
    const { keyspace, now } = this.call
    return keyspace.expiryPaused && keyspace.servesExpired ? 0 : now
  }

  /** Whether a time, as kept with a field, still lets it live. */
  isLive(expiry: number): boolean {
    return expiry === 0 || expiry >= this.liveFrom
  }

  private open(call: Call, address: number, keyAt = 1): boolean {
    this.saidExpired = false
    const { args, db } = call
    this.call = call
    this.db = db
    this.keyBytes = args.bytes
    this.keyStart = args.starts[keyAt]!
    this.keyEnd = args.ends[keyAt]!
    this.load(address)
    return true
  }

  private load(address: number): void {
    this.address = address
    this.table = undefined
    this.step = 2
    if (address === 0) return
    const { keys } = this.db
    const kind = keys.type(address)
    if (kind === Kind.HashTable) {
      this.table = keys.object(address) as ByteMap
      return
    }
    if (kind === Kind.HashPackedExpiring) this.step = 3
    keys.readValue(address)
    this.refresh()
    this.hint = -1
  }

  /** Takes over where the map has just left the packed value. */
  private refresh(): void {
    const { keys } = this.db
    this.bytes = keys.valueBytes
    this.at = keys.valueStart
  }

  /** Removes all fields whose time is up; for a table in time linear in their number and its blocks. */
  purge(): void {
    if (this.address === 0 || this.call.keyspace.expiryPaused) return
    if (this.table !== undefined ? this.table.expirySize === 0 : this.step === 2) return
    const { db, keyBytes, keyStart, keyEnd } = this
    this.call.keyspace.fieldExpiry.purge(db, keyBytes, keyStart, keyEnd, this.address, Number.POSITIVE_INFINITY)
    this.placeIsKnown = false
    this.load(db.keys.find(keyBytes, keyStart, keyEnd))
  }

  // ------------------------------------------------------------------ reading a field

  /** Looks a live field up; the readers below are then about it. One whose time is up is removed, as absent. */
  find(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.findStored(bytes, start, end)) return false
    if (this.table === undefined ? this.step === 2 : this.table.expirySize === 0) return true
    if (this.isLive(this.expiry())) return true
    if (!this.call.keyspace.expiryPaused) this.dropDue(bytes, start, end)
    return false
  }

  /** `find` of a field that is argument `i`. */
  findArgument(i: number): boolean {
    const { args } = this.call
    return this.find(args.bytes, args.starts[i]!, args.ends[i]!)
  }

  /** Looks a field up, whether its time is up or not. */
  findStored(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.address === 0) return false
    if (this.table !== undefined) {
      this.found = this.table.find(bytes, start, end)
      return this.found !== 0
    }
    this.found = this.findEntry(bytes, start, end)
    return this.found !== -1
  }

  /** The found field, of this name, is past its time: it goes, and with the last one the hash. */
  private dropDue(bytes: Uint8Array, start: number, end: number): void {
    const { db, keyBytes, keyStart, keyEnd } = this
    const { events } = this.call.keyspace
    events.expiredFields++
    events.onFieldExpired(db, keyBytes, keyStart, keyEnd, bytes, start, end)
    this.remove()
    this.placeIsKnown = false
    const emptied = this.removeIfEmpty()
    db.modified(keyBytes, keyStart, keyEnd)
    if (!this.saidExpired) events.notify(Notify.Hash, "hexpired", db, keyBytes, keyStart, keyEnd)
    if ((events.notifyFlags & Notify.Subkeys) !== 0) {
      events.notifyFields("hexpired", db, keyBytes, keyStart, keyEnd, [copyOf(bytes, start, end)])
    }
    this.saidExpired = true
    if (emptied) events.notify(Notify.Generic, "del", db, keyBytes, keyStart, keyEnd)
  }

  /** Field entry of a packed form, or -1; looks first behind the last one, as fields tend to be named in order. */
  private findEntry(bytes: Uint8Array, start: number, end: number): number {
    const { bytes: b, at, hint } = this
    let entry = hint
    if (hint < 0 || b[hint]! === END || !lpCompare(b, hint, bytes, start, end)) {
      entry = lpFind(b, at, lpFirst(b, at), bytes, start, end, this.step - 1)
      if (entry === -1) return -1
    }
    this.hint = tupleEnd(b, entry, this.step)
    return entry
  }

  /** Appends the found value to a reply. */
  bulk(reply: ReplyWriter): void {
    const { table } = this
    if (table === undefined) {
      bulkOfEntry(reply, this.bytes, lpEntryEnd(this.bytes, this.found))
      return
    }
    table.readValue(this.found)
    reply.bulk(table.valueBytes, table.valueStart, table.valueEnd)
  }

  valueLength(): number {
    const { table } = this
    if (table === undefined) return lpValueLength(this.bytes, lpEntryEnd(this.bytes, this.found))
    table.readValue(this.found)
    return table.valueEnd - table.valueStart
  }

  /** Places the found value's text into valueBytes, valueStart, valueEnd; borrowed until the next call. */
  readValue(): void {
    const { table } = this
    if (table === undefined) {
      readText(this.bytes, lpEntryEnd(this.bytes, this.found))
      this.valueBytes = textBytes
      this.valueStart = textStart
      this.valueEnd = textEnd
      return
    }
    table.readValue(this.found)
    this.valueBytes = table.valueBytes
    this.valueStart = table.valueStart
    this.valueEnd = table.valueEnd
  }
  valueBytes: Uint8Array = integerText
  valueStart = 0
  valueEnd = 0

  /** The found value when the packed form keeps it as a safe integer, else undefined. */
  packedInteger(): number | undefined {
    return this.table === undefined ? readSafeInteger(this.bytes, lpEntryEnd(this.bytes, this.found)) : undefined
  }

  /** Expiry of the found field (ms), 0 for none. */
  expiry(): number {
    if (this.table !== undefined) return this.table.expiry(this.found)
    return this.step === 3 ? tripletExpiry(this.bytes, this.found) : 0
  }

  // ------------------------------------------------------------------ writing

  /**
   * Makes the hash from arguments 2 on: field, value, field, value … All of them fit the packed form, no field occurs twice, and
   * there is no hash yet.
   */
  create(args: Arguments): void {
    const { bytes } = args
    let size = LP_EMPTY_BYTES
    for (let i = 2; i < args.count; i++) size += lpEntrySize(bytes, args.starts[i]!, args.ends[i]!)
    this.insertPacked(size)
    const b = this.bytes
    lpInit(b, this.at)
    let entry = firstPlace(this.at)
    lpSplice(b, this.at, entry, entry, size - LP_EMPTY_BYTES, args.count - 2)
    for (let i = 2; i < args.count; i++) entry = lpWriteEntry(b, entry, bytes, args.starts[i]!, args.ends[i]!)
  }

  /** `create` with fields from elsewhere; their values are the arguments from `first` on. */
  createFrom(
    fields: Uint8Array,
    starts: readonly number[],
    ends: readonly number[],
    args: Arguments,
    first: number,
  ): void {
    const { bytes } = args
    const count = starts.length
    let size = LP_EMPTY_BYTES
    for (let i = 0; i < count; i++) {
      size += lpEntrySize(fields, starts[i]!, ends[i]!)
      size += lpEntrySize(bytes, args.starts[first + i]!, args.ends[first + i]!)
    }
    this.insertPacked(size)
    const b = this.bytes
    lpInit(b, this.at)
    let entry = firstPlace(this.at)
    lpSplice(b, this.at, entry, entry, size - LP_EMPTY_BYTES, 2 * count)
    for (let i = 0; i < count; i++) {
      entry = lpWriteEntry(b, entry, fields, starts[i]!, ends[i]!)
      entry = lpWriteEntry(b, entry, bytes, args.starts[first + i]!, args.ends[first + i]!)
    }
  }

  /** Sets a field; an expiry it has goes, unless it is to be kept. True when the field is new. */
  set(
    field: Uint8Array,
    fieldStart: number,
    fieldEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
    keepExpiry: boolean,
  ): boolean {
    const isLong = fieldEnd - fieldStart > this.valueBytesMax || valueEnd - valueStart > this.valueBytesMax
    if (this.table === undefined) {
      if (isLong) this.toTable()
      else if (this.address === 0) {
        if (this.entriesMax < 1) this.toTable()
        else this.createEmpty()
      }
    }
    if (this.table !== undefined) {
      return this.setInTable(field, fieldStart, fieldEnd, value, valueStart, valueEnd, keepExpiry)
    }
    const entry = this.findEntry(field, fieldStart, fieldEnd)
    if (entry !== -1) {
      if (this.size > this.entriesMax) {
        this.toTable()
        return this.setInTable(field, fieldStart, fieldEnd, value, valueStart, valueEnd, keepExpiry)
      }
      if (this.step === 2) this.replaceValue(entry, value, valueStart, valueEnd)
      else this.replaceInTriplet(entry, value, valueStart, valueEnd, keepExpiry)
      return false
    }
    const cell = this.step === 3 ? lpIntegerSize(0) : 0
    const fieldSize = lpEntrySize(field, fieldStart, fieldEnd)
    const growth = fieldSize + lpEntrySize(value, valueStart, valueEnd) + cell
    if (this.size >= this.entriesMax || lpBytes(this.bytes, this.at) + growth > PACKED_BYTES_MAX) {
      this.toTable()
      return this.setInTable(field, fieldStart, fieldEnd, value, valueStart, valueEnd, keepExpiry)
    }
    const last = this.grow(lpEnd(this.bytes, this.at), growth, this.step)
    const b = this.bytes
    lpWriteEntry(b, last, field, fieldStart, fieldEnd)
    const behind = lpWriteEntry(b, last + fieldSize, value, valueStart, valueEnd)
    if (cell !== 0) lpWriteInteger(b, behind, 0)
    this.hint = last + growth
    return true
  }

  /** Removes the found field. Of a hash that ran empty only the fields are gone: see `removeIfEmpty`. */
  remove(): void {
    if (this.table !== undefined) {
      this.table.remove(this.found)
      return
    }
    this.cut(this.found, tupleEnd(this.bytes, this.found, this.step), this.step)
    this.hint = this.found
  }

  /** Takes the record away, silently, when no field is left; true if it did. Otherwise squares the accounts. */
  removeIfEmpty(): boolean {
    if (this.address === 0) return false
    if (this.size === 0) {
      this.db.removeQuietly(this.address)
      this.address = 0
      this.table = undefined
      return true
    }
    this.settle()
    return false
  }

  /** Whether no field has an expiry any more; then the index of such hashes need not list it. */
  forgetExpiryIfNone(): void {
    const { db, call, address } = this
    if (this.table !== undefined ? this.table.expirySize > 0 : this.step === 2) return
    const { fieldExpiry } = call.keyspace
    if (address === 0 || fieldExpiry.earliest(db, address) === 0) {
      fieldExpiry.forget(db, this.keyBytes, this.keyStart, this.keyEnd)
    }
  }

  /** To be called once after the last change: a table may have grown or shrunk. */
  settle(): void {
    if (this.table !== undefined) this.db.keys.noteObjectBytes(this.address)
  }

  /** Whether the field that is argument `i` can be given any integer in place; the thresholds may be lower than before. */
  takesIntegers(i: number): boolean {
    const { starts, ends } = this.call.args
    return this.valueBytesMax >= Math.max(INT64_TEXT_MAX, ends[i]! - starts[i]!) && this.size <= this.entriesMax
  }

  /** Replaces the found value, which the packed form keeps as an integer, by another one. */
  setPackedInteger(n: number): void {
    const value = lpEntryEnd(this.bytes, this.found)
    const size = lpIntegerSize(n)
    const place = this.replace(value, lpEntryEnd(this.bytes, value), size)
    lpWriteInteger(this.bytes, place, n)
  }

  /** Sets (ms) or clears (0) the expiry of the found field, which afterwards is still the found one. */
  setExpiry(expiry: number): void {
    const { table } = this
    if (table !== undefined) {
      this.found = table.setExpiry(this.found, expiry)
      this.noteExpiry(expiry)
      return
    }
    if (this.step === 2) {
      if (expiry === 0) return
      this.toTriplets()
    }
    this.moveTriplet(expiry)
    this.noteExpiry(expiry)
  }

  private noteExpiry(expiry: number): void {
    if (expiry === 0) return
    this.call.keyspace.fieldExpiry.note(this.db, this.keyBytes, this.keyStart, this.keyEnd, expiry)
  }

  // ------------------------------------------------------------------ the packed forms

  private replaceValue(entry: number, value: Uint8Array, start: number, end: number): void {
    const old = lpEntryEnd(this.bytes, entry)
    const oldEnd = lpEntryEnd(this.bytes, old)
    const size = lpEntrySize(value, start, end)
    const place = this.replace(old, oldEnd, size)
    this.hint = lpWriteEntry(this.bytes, place, value, start, end)
  }

  private replaceInTriplet(entry: number, value: Uint8Array, start: number, end: number, keepExpiry: boolean): void {
    const offset = entry - this.at
    this.replaceValue(entry, value, start, end)
    this.found = this.at + offset
    this.hint = -1
    if (!keepExpiry && tripletExpiry(this.bytes, this.found) !== 0) this.moveTriplet(0)
  }

  /** Makes [from, to), entry boundaries, `size` bytes long in a writable record; returns where it begins now. */
  private replace(from: number, to: number, size: number): number {
    const growth = size - (to - from)
    const length = to - from
    if (growth > 0) {
      const place = this.makeRoom(from, growth)
      lpSplice(this.bytes, this.at, place, place + length, size, 0)
      return place
    }
    const { keys } = this.db
    const offset = from - this.at
    this.address = keys.ownValue(this.address)
    this.refresh()
    const place = this.at + offset
    if (growth === 0) return place
    this.shrink(lpSplice(this.bytes, this.at, place, place + length, size, 0))
    return this.at + offset
  }

  /** Opens a gap of `size` bytes at `place` for `entries` entries; returns where it is now. */
  private grow(place: number, size: number, entries: number): number {
    const at = this.makeRoom(place, size)
    lpSplice(this.bytes, this.at, at, at, size, entries)
    return at
  }

  /** Lengthens the record; returns where `place` is now. */
  private makeRoom(place: number, growth: number): number {
    const offset = place - this.at
    this.address = this.db.keys.resizeValue(this.address, lpBytes(this.bytes, this.at) + growth)
    this.refresh()
    return this.at + offset
  }

  /** Takes [from, to) out, `entries` entries. Offsets before it stay valid when counted from `at`; found is kept right. */
  private cut(from: number, to: number, entries: number): void {
    const offset = from - this.at
    this.address = this.db.keys.ownValue(this.address)
    this.refresh()
    const place = this.at + offset
    this.shrink(lpSplice(this.bytes, this.at, place, place + to - from, 0, -entries))
    this.found = this.at + offset
  }

  private shrink(total: number): void {
    this.address = this.db.keys.resizeValue(this.address, total)
    this.refresh()
  }

  /** A packed record of `size` bytes under the key, in place of none. */
  private insertPacked(size: number): void {
    const { db, keyBytes, keyStart, keyEnd } = this
    const { keys } = db
    this.address = this.placeIsKnown
      ? keys.insertNew(keyBytes, keyStart, keyEnd, Kind.HashPacked, size, 0)
      : keys.put(keyBytes, keyStart, keyEnd, Kind.HashPacked, size, 0)
    this.step = 2
    this.refresh()
    this.noteNew()
  }

  /** After the key has been made. */
  private noteNew(): void {
    const { db, keyBytes, keyStart, keyEnd } = this
    db.keyspace.events.notify(Notify.New, "new", db, keyBytes, keyStart, keyEnd)
  }

  private createEmpty(): void {
    this.insertPacked(LP_EMPTY_BYTES)
    lpInit(this.bytes, this.at)
    this.hint = firstPlace(this.at)
  }

  /** Adds an expiry of 0 to every tuple. */
  private toTriplets(): void {
    const { keys } = this.db
    const fields = this.size
    const old = lpBytes(this.bytes, this.at)
    const offset = this.found - this.at
    const pairs = scratch(old)
    copyBytes(this.bytes, this.at, this.at + old, pairs, 0)
    const cell = lpIntegerSize(0)
    this.address = keys.resizeValue(this.address, old + fields * cell)
    this.address = keys.setType(this.address, Kind.HashPackedExpiring)
    keys.readValue(this.address)
    this.refresh()
    const b = this.bytes
    const first = firstPlace(this.at)
    lpSplice(b, this.at, first, first, fields * cell, fields)
    let from = LP_EMPTY_BYTES - 1
    let to = first
    for (let i = 0; i < fields; i++) {
      const next = tupleEnd(pairs, from, 2)
      if (from === offset) this.found = to
      copyBytes(pairs, from, next, b, to)
      to = lpWriteInteger(b, to + next - from, 0)
      from = next
    }
    this.step = 3
    this.hint = first
  }

  /** Gives the found triplet another expiry, and its place by it. */
  private moveTriplet(expiry: number): void {
    const cell = lpEntryEnd(this.bytes, lpEntryEnd(this.bytes, this.found))
    const length = cell - this.found
    const pair = scratch(length)
    copyBytes(this.bytes, this.found, cell, pair, 0)
    this.cut(this.found, lpEntryEnd(this.bytes, cell), 3)
    const size = length + lpIntegerSize(expiry)
    const place = this.grow(this.placeFor(expiry), size, 3)
    copyBytes(pair, 0, length, this.bytes, place)
    lpWriteInteger(this.bytes, place + length, expiry)
    this.found = place
    this.hint = place + size
  }

  /** Where a triplet of this expiry belongs: before the first that expires as late, or at the end. */
  private placeFor(expiry: number): number {
    const { bytes: b } = this
    if (expiry === 0) return lpEnd(b, this.at)
    let field = firstPlace(this.at)
    while (b[field]! !== END) {
      const other = tripletExpiry(b, field)
      if (other === 0 || other >= expiry) break
      field = tupleEnd(b, field, 3)
    }
    return field
  }

  // ------------------------------------------------------------------ the table

  /** Turns to the table form, with the fields there are; makes an empty table when there is no hash. */
  toTable(): void {
    if (this.table !== undefined) return
    const { db, keyBytes, keyStart, keyEnd } = this
    const table = this.call.keyspace.newMap()
    if (this.address === 0) {
      this.address = db.keys.putObject(keyBytes, keyStart, keyEnd, Kind.HashTable, table, 0)
      this.table = table
      this.noteNew()
      return
    }
    const { bytes: b, step } = this
    for (let field = firstPlace(this.at); b[field]! !== END; field = tupleEnd(b, field, step)) {
      const value = lpEntryEnd(b, field)
      const expiry = step === 3 ? tripletExpiry(b, field) : 0
      readText(b, field)
      table.put(textBytes, textStart, textEnd, 0, lpValueLength(b, value), expiry)
      readText(b, value)
      copyBytes(textBytes, textStart, textEnd, table.valueBytes, table.valueStart)
    }
    this.address = db.keys.replaceByObject(this.address, Kind.HashTable, table)
    this.table = table
    this.step = 2
  }

  private setInTable(
    field: Uint8Array,
    fieldStart: number,
    fieldEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
    keepExpiry: boolean,
  ): boolean {
    const table = this.table!
    const length = valueEnd - valueStart
    const record = table.find(field, fieldStart, fieldEnd)
    if (record === 0) table.insertNew(field, fieldStart, fieldEnd, 0, length, 0)
    else table.replaceFound(record, 0, length, keepExpiry ? table.expiry(record) : 0)
    copyBytes(value, valueStart, valueEnd, table.valueBytes, table.valueStart)
    return record === 0
  }
}

/** Serves one command at a time. */
export const hash = new OpenHash()

/** Offset of the first entry, or of the end byte. */
function firstPlace(at: number): number {
  return at + LP_EMPTY_BYTES - 1
}

let spare = new Uint8Array(4096)

/** Room for bytes on their way within a record; borrowed until the next call. */
function scratch(length: number): Uint8Array {
  if (length <= spare.length) return spare
  if (length > 1 << 20) return new Uint8Array(length)
  spare = new Uint8Array(length * 2)
  return spare
}

/** Whether one field occurs twice among arguments 2, 4, 6 … Quadratic, for at most a few hundred fields. */
export function hasTwinFields(args: Arguments): boolean {
  const { bytes, starts, ends, count } = args
  for (let i = 4; i < count; i += 2) {
    const start = starts[i]!
    const end = ends[i]!
    const last = bytes[end - 1]
    for (let j = 2; j < i; j += 2) {
      const otherEnd = ends[j]!
      if (otherEnd - starts[j]! !== end - start || (end > start && bytes[otherEnd - 1] !== last)) continue
      if (equalBytes(bytes, starts[j]!, bytes, start, end - start)) return true
    }
  }
  return false
}
