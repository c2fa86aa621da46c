/**
 * The value of a set in its three forms, member by member.
 *
 *   Kind.SetInts     an intset: ascending integers                      up to set-max-intset-entries
 *   Kind.SetPacked   a listpack of members, in order of insertion       up to set-max-listpack-entries, each up to -value
 *   Kind.SetTable    a ByteMap member → nothing
 *
 * A set leaves the first form with the first member that is no integer, and either small form when it grows too large;
 * it never comes back by itself. A record's set is edited in place while its form lasts; SetBuilder does everything else.
 *
 * Addresses are those of db.keys. Functions that write return the record's new address.
 */
import { parseInt64, writeInt64 } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import type { Database } from "../keyspace/db.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind } from "../keyspace/kinds.ts"
import { BLOCK_RECORDS_MAX, type ByteMap } from "../structs/byte-map.ts"
import {
  intsetBytes,
  intsetFind,
  intsetGet,
  intsetInit,
  intsetInsert,
  intsetInsertSize,
  intsetLength,
  intsetRemove,
} from "../structs/intset.ts"
import {
  LpEntry,
  lpAppend,
  lpBytes,
  lpCopyValue,
  lpDelete,
  lpEntrySize,
  lpFind,
  lpFirst,
  lpInit,
  lpLength,
  lpRead,
} from "../structs/listpack.ts"

/** A listpack is never let grow beyond this, whatever the configuration allows. */
const PACKED_BYTES_MAX = 1 << 30
const SCRATCH_BYTES = 8192
const SCRATCH_BYTES_KEPT_MAX = 1 << 20

const entryScratch = new LpEntry()

// ---------------------------------------------------------------------------------------------- reading

export function setSize(keys: ByteMap, address: number): number {
  const kind = keys.type(address)
  if (kind === Kind.SetTable) return (keys.object(address) as ByteMap).size
  keys.readValue(address)
  if (kind === Kind.SetInts) return intsetLength(keys.valueBytes, keys.valueStart)
  return lpLength(keys.valueBytes, keys.valueStart)
}

export function setHas(keys: ByteMap, address: number, bytes: Uint8Array, start: number, end: number): boolean {
  const kind = keys.type(address)
  if (kind === Kind.SetTable) return (keys.object(address) as ByteMap).find(bytes, start, end) !== 0
  keys.readValue(address)
  if (kind === Kind.SetInts) {
    const value = parseInt64(bytes, start, end)
    return value !== undefined && intsetFind(keys.valueBytes, keys.valueStart, value) >= 0
  }
  const b = keys.valueBytes
  const at = keys.valueStart
  return lpFind(b, at, lpFirst(b, at), bytes, start, end, 0) !== -1
}

/**
 * Goes over the members of a set, each as text in bytes[start, end), borrowed until the next step. Allocates nothing per
 * member. The set must not be written meanwhile; other sets may be.
 */
export class SetCursor {
  bytes: Uint8Array = new Uint8Array(0)
  start = 0
  end = 0
  /** Of a table: the address of the member in it. Of the other forms: the position, counted from 0. */
  place = 0
  /** Of a table: the member's hash, which all tables of a keyspace share. */
  hash = 0
  /** Whether `hash` is the member's. */
  isHashed = false

  private form = 0
  private packed: Uint8Array = this.bytes
  private at = 0
  private upcoming = 0
  private left = 0
  private map: ByteMap | undefined
  private against: ByteMap | undefined
  private otherInts: Uint8Array | undefined
  private otherAt = 0
  private shared = false
  private scanCursor = 0
  private readonly batch = new Int32Array(BLOCK_RECORDS_MAX)
  private readonly hashes = new Int32Array(BLOCK_RECORDS_MAX)
  private batchAt = 0
  private readonly text = new Uint8Array(24)

  open(keys: ByteMap, address: number): void {
    this.form = keys.type(address)
    if (this.form === Kind.SetTable) {
      this.openTable(keys.object(address) as ByteMap)
      return
    }
    keys.readValue(address)
    this.openPacked(this.form, keys.valueBytes, keys.valueStart)
  }

  /** Over those integers of one intset that another has too (`shared`) or has not. */
  openInts(keys: ByteMap, address: number, against: number, shared: boolean): void {
    this.open(keys, address)
    keys.readValue(against)
    this.otherInts = keys.valueBytes
    this.otherAt = keys.valueStart
    this.shared = shared
  }

  /** Over all members of a table, or only over those that another table has too (`shared`) or has not. */
  openTable(map: ByteMap, against?: ByteMap, shared = true): void {
    this.form = Kind.SetTable
    this.isHashed = true
    this.map = map
    this.against = against
    this.shared = shared
    this.scanCursor = 0
    this.batchAt = 0
    this.left = this.readBlock()
  }

  /** Over an intset or listpack at `at` of `bytes`. */
  openPacked(form: number, bytes: Uint8Array, at: number): void {
    this.form = form
    this.isHashed = false
    this.otherInts = undefined
    this.packed = bytes
    this.at = at
    this.place = -1
    this.upcoming = form === Kind.SetInts ? 0 : lpFirst(bytes, at)
    this.left = form === Kind.SetInts ? intsetLength(bytes, at) : lpLength(bytes, at)
  }

  /** Steps to the next member; false after the last. */
  next(): boolean {
    if (this.form === Kind.SetTable) return this.nextOfTable()
    if (this.form === Kind.SetInts) return this.nextOfInts()
    if (this.left === 0) return false
    this.left--
    this.place++
    lpRead(this.packed, this.upcoming, entryScratch)
    if (entryScratch.isInt) {
      this.bytes = this.text
      this.start = 0
      this.end = lpCopyValue(this.packed, this.upcoming, this.text, 0)
    } else {
      this.bytes = this.packed
      this.start = entryScratch.start
      this.end = entryScratch.end
    }
    this.upcoming = entryScratch.entryEnd
    return true
  }

  private nextOfInts(): boolean {
    for (; this.left > 0; this.left--) {
      const value = intsetGet(this.packed, this.at, ++this.place)
      if (this.otherInts !== undefined && intsetFind(this.otherInts, this.otherAt, value) >= 0 !== this.shared) continue
      this.left--
      this.bytes = this.text
      this.start = 0
      this.end = writeInt64(this.text, 0, value)
      return true
    }
    return false
  }

  private nextOfTable(): boolean {
    const map = this.map
    if (map === undefined) return false
    while (this.batchAt === this.left) {
      if (this.scanCursor === 0) {
        this.map = undefined
        this.against = undefined
        return false
      }
      this.batchAt = 0
      this.left = this.readBlock()
    }
    this.hash = this.hashes[this.batchAt]!
    this.place = this.batch[this.batchAt++]!
    map.readKey(this.place)
    this.bytes = map.keyBytes
    this.start = map.keyStart
    this.end = map.keyEnd
    return true
  }

  private readBlock(): number {
    const map = this.map!
    const { against, batch, hashes, scanCursor, shared } = this
    const count =
      against === undefined
        ? map.scanBlock(scanCursor, batch, hashes)
        : map.scanBlockAgainst(scanCursor, against, shared, batch, hashes)
    this.scanCursor = map.nextCursor
    return count
  }
}

/** Whether a set has the member that a cursor over another stands at. */
export function setHasMember(keys: ByteMap, address: number, cursor: SetCursor): boolean {
  const { bytes, start, end } = cursor
  if (!cursor.isHashed || keys.type(address) !== Kind.SetTable) return setHas(keys, address, bytes, start, end)
  return (keys.object(address) as ByteMap).findHashed(cursor.hash, bytes, start, end) !== 0
}

/** Adds the member that a cursor stands at to a table; false when it was there already. */
export function addMemberToTable(map: ByteMap, cursor: SetCursor): boolean {
  const { bytes, start, end } = cursor
  const found = cursor.isHashed ? map.findHashed(cursor.hash, bytes, start, end) : map.find(bytes, start, end)
  if (found !== 0) return false
  map.insertNew(bytes, start, end, 0, 0, 0)
  return true
}

// ---------------------------------------------------------------------------------------------- writing

/** Adds a member to a set; 0 when it was there already, otherwise the record's address. */
export function addToSet(
  call: Call,
  keys: ByteMap,
  address: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  const kind = keys.type(address)
  if (kind === Kind.SetTable) {
    if (!addToTable(keys.object(address) as ByteMap, bytes, start, end)) return 0
    keys.noteObjectBytes(address)
    return address
  }
  keys.readValue(address)
  const { values } = call.config
  const length = keys.valueEnd - keys.valueStart
  if (kind === Kind.SetInts) {
    const value = parseInt64(bytes, start, end)
    if (value === undefined) return convertAndAdd(call, keys, address, bytes, start, end)
    const place = intsetFind(keys.valueBytes, keys.valueStart, value)
    if (place >= 0) return 0
    if (intsetLength(keys.valueBytes, keys.valueStart) >= values.setMaxIntsetEntries) {
      return convertAndAdd(call, keys, address, bytes, start, end)
    }
    const moved = keys.resizeValue(address, length + intsetInsertSize(keys.valueBytes, keys.valueStart, value))
    intsetInsert(keys.valueBytes, keys.valueStart, place, value)
    return moved
  }
  const at = keys.valueStart
  if (lpFind(keys.valueBytes, at, lpFirst(keys.valueBytes, at), bytes, start, end, 0) !== -1) return 0
  if (
    lpLength(keys.valueBytes, at) >= values.setMaxListpackEntries ||
    end - start > values.setMaxListpackValue ||
    length + end - start > PACKED_BYTES_MAX
  ) {
    return convertAndAdd(call, keys, address, bytes, start, end)
  }
  const moved = keys.resizeValue(address, length + lpEntrySize(bytes, start, end))
  lpAppend(keys.valueBytes, keys.valueStart, bytes, start, end)
  return moved
}

/** Removes a member; 0 when there was none, otherwise the record's address. The set may be empty afterwards. */
export function removeFromSet(keys: ByteMap, address: number, bytes: Uint8Array, start: number, end: number): number {
  const kind = keys.type(address)
  if (kind === Kind.SetTable) {
    const map = keys.object(address) as ByteMap
    const member = map.find(bytes, start, end)
    if (member === 0) return 0
    map.remove(member)
    keys.noteObjectBytes(address)
    return address
  }
  keys.readValue(address)
  if (kind === Kind.SetInts) {
    const value = parseInt64(bytes, start, end)
    if (value === undefined) return 0
    const index = intsetFind(keys.valueBytes, keys.valueStart, value)
    return index < 0 ? 0 : removeInt(keys, address, index)
  }
  const b = keys.valueBytes
  const at = keys.valueStart
  const entry = lpFind(b, at, lpFirst(b, at), bytes, start, end, 0)
  return entry === -1 ? 0 : removePacked(keys, address, entry - at)
}

/** Removes the value at `index` of an intset. */
export function removeInt(keys: ByteMap, address: number, index: number): number {
  const own = keys.ownValue(address)
  return keys.resizeValue(own, intsetRemove(keys.valueBytes, keys.valueStart, index))
}

/** Removes the entry at `offset` of a listpack, counted from its beginning. */
export function removePacked(keys: ByteMap, address: number, offset: number): number {
  const own = keys.ownValue(address)
  return keys.resizeValue(own, lpDelete(keys.valueBytes, keys.valueStart, keys.valueStart + offset))
}

/** Turns a set into a table, if it is none yet. */
export function toTable(call: Call, keys: ByteMap, address: number): number {
  if (keys.type(address) === Kind.SetTable) return address
  const map = call.keyspace.newMap()
  conversionCursor.open(keys, address)
  while (conversionCursor.next()) {
    addToTable(map, conversionCursor.bytes, conversionCursor.start, conversionCursor.end)
  }
  return keys.replaceByObject(address, Kind.SetTable, map)
}

/** False when the member was there already. */
export function addToTable(map: ByteMap, bytes: Uint8Array, start: number, end: number): boolean {
  if (map.find(bytes, start, end) !== 0) return false
  map.insertNew(bytes, start, end, 0, 0, 0)
  return true
}

function convertAndAdd(
  call: Call,
  keys: ByteMap,
  address: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  builder.load(call, keys, address)
  builder.add(bytes, start, end)
  return builder.replace(keys, address)
}

/** The form in which a set begins whose first member is known, with about `count` members to come. */
export function firstForm(call: Call, bytes: Uint8Array, start: number, end: number, count: number): number {
  const { values } = call.config
  if (count <= values.setMaxIntsetEntries && parseInt64(bytes, start, end) !== undefined) return Kind.SetInts
  return count <= values.setMaxListpackEntries ? Kind.SetPacked : Kind.SetTable
}

/**
 * Makes a set from nothing, changing its form as it grows. Used from command to command: `begin` (or `load`), `add` any
 * number of times, then `store` or `replace`, once.
 */
export class SetBuilder {
  kind: number = Kind.SetInts
  private bytes: Uint8Array = new Uint8Array(SCRATCH_BYTES)
  private map: ByteMap | undefined
  private call!: Call

  begin(call: Call, kind: number = Kind.SetInts): void {
    this.call = call
    this.kind = kind
    if (kind === Kind.SetTable) this.map = call.keyspace.newMap()
    else if (kind === Kind.SetInts) intsetInit(this.bytes, 0)
    else lpInit(this.bytes, 0)
  }

  /** Begins with a copy of a record's intset or listpack. */
  load(call: Call, keys: ByteMap, address: number): void {
    this.call = call
    this.kind = keys.type(address)
    keys.readValue(address)
    this.reserve(keys.valueEnd - keys.valueStart, 0)
    this.bytes.set(keys.valueBytes.subarray(keys.valueStart, keys.valueEnd))
  }

  get size(): number {
    if (this.kind === Kind.SetTable) return this.map!.size
    return this.kind === Kind.SetInts ? intsetLength(this.bytes, 0) : lpLength(this.bytes, 0)
  }

  /** False when the member was there already. */
  add(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.kind === Kind.SetTable) return addToTable(this.map!, bytes, start, end)
    return this.kind === Kind.SetInts ? this.addInt(bytes, start, end) : this.addPacked(bytes, start, end)
  }

  /** `add` for the member that a cursor over another set stands at. */
  addMember(cursor: SetCursor): boolean {
    if (this.kind === Kind.SetTable) return addMemberToTable(this.map!, cursor)
    return this.add(cursor.bytes, cursor.start, cursor.end)
  }

  /** Puts the set (not an empty one) under a key, in place of what was there, without an expiry. */
  store(db: Database, key: Uint8Array, start: number, end: number): void {
    const { keys } = db
    const old = db.find(key, start, end)
    if (old !== 0) db.removeQuietly(old)
    if (this.kind === Kind.SetTable) keys.putObject(key, start, end, Kind.SetTable, this.takeMap(), 0)
    else {
      const length = this.length
      keys.put(key, start, end, this.kind, length, 0)
      this.copyTo(keys.valueBytes, keys.valueStart, length)
    }
    if (old === 0) db.keyspace.events.notify(Notify.New, "new", db, key, start, end)
  }

  /** Puts the set in place of a record's value, whose key and expiry stay; a table there is the caller's to discard. */
  replace(keys: ByteMap, address: number): number {
    if (this.kind === Kind.SetTable) return keys.replaceByObject(address, Kind.SetTable, this.takeMap())
    const length = this.length
    const moved = keys.replaceFound(address, this.kind, length, keys.expiry(address))
    this.copyTo(keys.valueBytes, keys.valueStart, length)
    return moved
  }

  /** Lets go of a set that is not wanted. */
  drop(): void {
    if (this.kind === Kind.SetTable) this.takeMap().release(Number.POSITIVE_INFINITY)
  }

  private addInt(bytes: Uint8Array, start: number, end: number): boolean {
    const { values } = this.call.config
    const value = parseInt64(bytes, start, end)
    const count = intsetLength(this.bytes, 0)
    if (value === undefined) {
      const fits = count < values.setMaxListpackEntries && this.widestText() <= values.setMaxListpackValue
      this.convert(fits && end - start <= values.setMaxListpackValue ? Kind.SetPacked : Kind.SetTable)
      return this.add(bytes, start, end)
    }
    const place = intsetFind(this.bytes, 0, value)
    if (place >= 0) return false
    this.reserve(intsetBytes(this.bytes, 0), intsetInsertSize(this.bytes, 0, value))
    intsetInsert(this.bytes, 0, place, value)
    if (count >= values.setMaxIntsetEntries) this.convert(Kind.SetTable)
    return true
  }

  private addPacked(bytes: Uint8Array, start: number, end: number): boolean {
    const { values } = this.call.config
    if (lpFind(this.bytes, 0, lpFirst(this.bytes, 0), bytes, start, end, 0) !== -1) return false
    const used = lpBytes(this.bytes, 0)
    if (
      lpLength(this.bytes, 0) >= values.setMaxListpackEntries ||
      end - start > values.setMaxListpackValue ||
      used + end - start > PACKED_BYTES_MAX
    ) {
      this.convert(Kind.SetTable)
      return this.add(bytes, start, end)
    }
    this.reserve(used, lpEntrySize(bytes, start, end))
    lpAppend(this.bytes, 0, bytes, start, end)
    return true
  }

  /** Length of the longest integer as text. */
  private widestText(): number {
    const count = intsetLength(this.bytes, 0)
    if (count === 0) return 0
    const first = writeInt64(textScratch, 0, intsetGet(this.bytes, 0, 0))
    return Math.max(first, writeInt64(textScratch, 0, intsetGet(this.bytes, 0, count - 1)))
  }

  private convert(kind: number): void {
    const from = this.bytes
    const form = this.kind
    if (kind === Kind.SetPacked) this.bytes = new Uint8Array(SCRATCH_BYTES)
    this.begin(this.call, kind)
    conversionCursor.openPacked(form, from, 0)
    while (conversionCursor.next()) {
      const { bytes, start, end } = conversionCursor
      if (kind === Kind.SetTable) addToTable(this.map!, bytes, start, end)
      else {
        this.reserve(lpBytes(this.bytes, 0), lpEntrySize(bytes, start, end))
        lpAppend(this.bytes, 0, bytes, start, end)
      }
    }
  }

  private get length(): number {
    return this.kind === Kind.SetInts ? intsetBytes(this.bytes, 0) : lpBytes(this.bytes, 0)
  }

  private copyTo(target: Uint8Array, at: number, length: number): void {
    for (let i = 0; i < length && length <= 64; i++) target[at + i] = this.bytes[i]!
    if (length > 64) target.set(this.bytes.subarray(0, length), at)
    if (this.bytes.length > SCRATCH_BYTES_KEPT_MAX) this.bytes = new Uint8Array(SCRATCH_BYTES)
  }

  private takeMap(): ByteMap {
    const map = this.map!
    this.map = undefined
    return map
  }

  private reserve(used: number, more: number): void {
    if (used + more <= this.bytes.length) return
    const larger = new Uint8Array((used + more) * 2)
    larger.set(this.bytes.subarray(0, Math.min(used, this.bytes.length)))
    this.bytes = larger
  }
}

const conversionCursor = new SetCursor()
const textScratch = new Uint8Array(24)
/** Shared by all set commands; one is at work at a time. */
export const builder = new SetBuilder()
