/**
 * Hash fields with a time to live: which hashes have them, and their removal when the time is up.
 *
 * Where the times are kept: in the packed form as the third entry of a triplet, in a hash table as the expiry of the
 * field's record (families/hash-packed.ts). A field is live up to and including its time.
 *
 * The index answers "which hashes are due": one ByteMap per keyspace map, hash key → nothing, whose record expiry is the
 * earliest of the hash's field expiries, so that the map's own visitExpired finds the due ones in slices.
 *
 *  1. An entry is never later than the hash's earliest field expiry. It may be earlier (the field is gone, or its time was
 *     put off), or about a key that is gone or holds something else now: entries are hints, checked against the keyspace
 *     when their time comes, or by a slow sweep before, and then corrected or dropped. So nobody needs to maintain them
 *     but `note`.
 *  2. Whoever brings a hash with field expiries under a key (HEXPIRE and kin, RENAME, MOVE, COPY, RESTORE, loading) calls
 *     `note` or `adopt`. A forgotten call costs only that the fields stay until they are met.
 *  3. Indexes belong to the keyspace map, not to the database: they follow SWAPDB, and go with a flush.
 */

import type { ByteMap } from "../structs/byte-map.ts"
import { LpEntry, lpCopyValue, lpEntryEnd, lpFirst, lpLength, lpRead, lpSplice } from "../structs/listpack.ts"
import type { Database } from "./db.ts"
import { Notify } from "./events.ts"
import type { Keyspace } from "./keyspace.ts"
import { Kind } from "./kinds.ts"

/** Fields removed per slice of active expiry, well under a millisecond's work. */
const FIELDS_PER_SLICE = 512
/** Entries of an index checked per round of active expiry, due or not. */
const SWEPT_PER_SLICE = 16
const END = 0xff

export class FieldExpiry {
  private readonly keyspace: Keyspace
  private readonly indexes = new Map<ByteMap, ByteMap>()
  private readonly entry = new LpEntry()
  private readonly text = new Uint8Array(24)
  /** Fields that this slice may still remove. */
  private left = 0
  private atDb = 0
  private atEntry = 0
  private sweepDb = 0
  private sweepCursor = 0
  private readonly swept: number[] = []

  constructor(keyspace: Keyspace) {
    this.keyspace = keyspace
  }

  /** A field of the hash under a key expires at `earliest` (ms). O(1). */
  note(db: Database, key: Uint8Array, start: number, end: number, earliest: number): void {
    let index = this.indexes.get(db.keys)
    if (index === undefined) {
      index = this.keyspace.newMap()
      this.indexes.set(db.keys, index)
    }
    const found = index.find(key, start, end)
    if (found === 0) index.insertNew(key, start, end, 0, 0, earliest)
    else if (index.expiry(found) > earliest) index.setExpiry(found, earliest)
  }

  /**
   * The record at `address` has come under this key by another way than a hash command. Does nothing for records
   * without field expiries. O(1), for hash tables O(blocks).
   */
  adopt(db: Database, key: Uint8Array, start: number, end: number, address: number): void {
    const earliest = this.earliest(db, address)
    if (earliest !== 0) this.note(db, key, start, end, earliest)
  }

  /** The hash under a key has no field with an expiry any more. */
  forget(db: Database, key: Uint8Array, start: number, end: number): void {
    this.indexes.get(db.keys)?.delete(key, start, end)
  }

  /** Hashes listed as having fields that expire; may count some that have none any more. */
  size(db: Database): number {
    return this.indexes.get(db.keys)?.size ?? 0
  }

  /** Bytes of the indexes. */
  get bytes(): number {
    let sum = 0
    for (const index of this.indexes.values()) sum += index.bytes
    return sum
  }

  /** Earliest field expiry of the record at `address`, 0 when it is no hash or has none. */
  earliest(db: Database, address: number): number {
    const { keys } = db
    const kind = keys.type(address)
    if (kind === Kind.HashTable) {
      const table = keys.object(address) as ByteMap
      return table.expirySize === 0 ? 0 : table.earliestExpiry()
    }
    if (kind !== Kind.HashPackedExpiring) return 0
    keys.readValue(address)
    return this.firstExpiry(keys.valueBytes, keys.valueStart)
  }

  /**
   * One slice of active expiry: goes on where the last one stopped, through all databases. Returns true while a round is
   * unfinished, so that the caller comes back soon.
   */
  slice(budget = FIELDS_PER_SLICE): boolean {
    const { keyspace } = this
    if (this.indexes.size === 0 || keyspace.expiryPaused || !keyspace.activeExpiry) return false
    this.left = budget
    while (this.atDb < keyspace.databases.length) {
      const db = keyspace.databases[this.atDb]!
      const index = this.indexes.get(db.keys)
      if (index !== undefined && index.size > 0) {
        this.atEntry = index.visitExpired(this.atEntry, keyspace.now - 1, this.left, address =>
          this.visit(db, index, address),
        )
        if (this.atEntry >= 0) return true
      }
      this.atEntry = 0
      if (this.left <= 0) return true
      this.atDb++
    }
    this.atDb = 0
    this.dropOrphans()
    this.sweep()
    return false
  }

  /**
   * Removes up to `limit` due fields of the hash at `address`, tells of them, and removes the hash when it ran empty. The
   * record may have moved or be gone: look it up again. Returns the earliest expiry left (a past one when the limit was
   * met), 0 when there is none.
   */
  purge(db: Database, key: Uint8Array, start: number, end: number, address: number, limit: number): number {
    const { events } = this.keyspace
    const before = events.expiredFields
    const { keys } = db
    let next: number
    let empty: boolean
    if (keys.type(address) === Kind.HashTable) {
      const table = keys.object(address) as ByteMap
      const due = this.keyspace.now - 1
      const rest = table.visitExpired(0, due, limit, field => {
        table.readKey(field)
        events.expiredFields++
        events.onFieldExpired(db, key, start, end, table.keyBytes, table.keyStart, table.keyEnd)
        table.remove(field)
      })
      empty = table.size === 0
      next = table.expirySize === 0 ? 0 : rest >= 0 ? due : table.earliestExpiry()
      if (!empty) keys.noteObjectBytes(address)
    } else {
      next = this.purgePacked(db, key, start, end, address, limit)
      empty = next < 0
    }
    const removed = events.expiredFields - before
    this.left -= removed
    if (removed > 0) this.tell(db, key, start, end, empty ? address : 0)
    return empty ? 0 : next
  }

  /** Removes the due triplets at the front. Returns the next expiry or 0; -1 when all fields were due. */
  private purgePacked(
    db: Database,
    key: Uint8Array,
    start: number,
    end: number,
    address: number,
    limit: number,
  ): number {
    const { events, now } = this.keyspace
    const { keys } = db
    keys.readValue(address)
    const b = keys.valueBytes
    const at = keys.valueStart
    const first = lpFirst(b, at)
    let field = first
    let due = 0
    let next = 0
    while (b[field]! !== END) {
      const cell = lpEntryEnd(b, lpEntryEnd(b, field))
      next = this.integer(b, cell)
      if (next === 0 || next >= now || due >= limit) break
      due++
      events.expiredFields++
      lpRead(b, field, this.entry)
      if (this.entry.isInt) {
        events.onFieldExpired(db, key, start, end, this.text, 0, lpCopyValue(b, field, this.text, 0))
      } else events.onFieldExpired(db, key, start, end, b, this.entry.start, this.entry.end)
      field = lpEntryEnd(b, cell)
    }
    if (due === 0) return next
    if (due * 3 === lpLength(b, at)) return -1
    const cut = field - first
    const owned = keys.ownValue(address)
    const from = first - at + keys.valueStart
    const total = lpSplice(keys.valueBytes, keys.valueStart, from, from + cut, 0, -3 * due)
    keys.resizeValue(owned, total)
    return next
  }

  /** Says that fields expired; removes the record at `emptyAddress` if it is not 0. */
  private tell(db: Database, key: Uint8Array, start: number, end: number, emptyAddress: number): void {
    const { events } = this.keyspace
    if (emptyAddress !== 0) db.removeQuietly(emptyAddress)
    db.modified(key, start, end)
    events.notify(Notify.Hash, "hexpired", db, key, start, end)
    if (emptyAddress !== 0) events.notify(Notify.Generic, "del", db, key, start, end)
  }

  /** An entry of an index has come due: sees what has become of the hash. */
  private visit(db: Database, index: ByteMap, entry: number): void {
    index.readKey(entry)
    const key = index.keyBytes
    const start = index.keyStart
    const end = index.keyEnd
    // With nothing left to spend the entry is stored again as it is, so that its block stays marked as due.
    let next = this.left <= 0 ? index.expiry(entry) : 0
    if (next === 0) {
      const address = db.find(key, start, end)
      if (address !== 0 && this.earliest(db, address) !== 0) {
        next = this.purge(db, key, start, end, address, this.left)
      }
    }
    if (next === 0) index.remove(entry)
    else index.setExpiry(entry, next)
    this.left--
  }

  /** Looks at a few entries of one index, whatever their time, and drops those whose hash is gone. */
  private sweep(): void {
    const db = this.keyspace.databases[this.sweepDb]
    const index = db === undefined ? undefined : this.indexes.get(db.keys)
    if (db === undefined || index === undefined) {
      this.sweepDb = db === undefined ? 0 : this.sweepDb + 1
      this.sweepCursor = 0
      return
    }
    const { swept } = this
    swept.length = 0
    this.sweepCursor = index.scan(this.sweepCursor, SWEPT_PER_SLICE, swept)
    for (const entry of swept) {
      index.readKey(entry)
      const address = db.keys.find(index.keyBytes, index.keyStart, index.keyEnd)
      if (address === 0 || this.earliest(db, address) === 0) index.remove(entry)
    }
    if (this.sweepCursor === 0) this.sweepDb++
  }

  /** Lets go of the indexes of maps that no database has any more. */
  private dropOrphans(): void {
    if (this.indexes.size === 0) return
    const { databases } = this.keyspace
    for (const [keys, index] of this.indexes) {
      if (index.size > 0 && databases.some(db => db.keys === keys)) continue
      this.indexes.delete(keys)
      this.keyspace.discard(index)
    }
  }

  private firstExpiry(b: Uint8Array, at: number): number {
    const field = lpFirst(b, at)
    return field === -1 ? 0 : this.integer(b, lpEntryEnd(b, lpEntryEnd(b, field)))
  }

  private integer(b: Uint8Array, entry: number): number {
    lpRead(b, entry, this.entry)
    return this.entry.int
  }
}
