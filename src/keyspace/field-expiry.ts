/**
 * Fields and members with a time to live: which keys have them, and their removal when the time is up.
 *
 * Where the times are kept: in a packed hash as the third entry of a triplet (families/hash-packed.ts); in a hash table, a
 * set table, and the index of a sorted set as the expiry of the record. Packed sets and sorted sets become tables with
 * their first such member, so those without pay nothing. A field or member is live up to and including its time.
 *
 * The index answers "which keys are due": one ByteMap per keyspace map, key → nothing, whose record expiry is the earliest
 * of the value's own, so that the map's own visitExpired finds the due ones in slices.
 *
 *  1. An entry is never later than the value's earliest expiry. It may be earlier (the field is gone, or its time was put
 *     off), or about a key that is gone or holds something else now: entries are hints, checked against the keyspace when
 *     their time comes, or by a slow sweep before, and then corrected or dropped. So nobody needs to maintain them but
 *     `note`.
 *  2. Whoever brings a value with such expiries under a key (HEXPIRE and kin, RENAME, MOVE, COPY, RESTORE, loading) calls
 *     `note` or `adopt`. A forgotten call costs hashes only that the fields stay until they are met; members of sets and
 *     sorted sets would stay for good.
 *  3. Indexes belong to the keyspace map, not to the database: they follow SWAPDB, and go with a flush.
 *  4. Readers of hashes pass over fields whose time is up. Readers of sets and sorted sets count and rank members and
 *     cannot, so before a command runs its keys are rid of such members (`meet`), or where nothing may be removed they are
 *     put aside while it runs (`hide`). There are two of these objects,
 *     one for hashes and one for members, so that `nextDue` tells in one comparison whether that can be needed.
 *
 * What goes in one slice goes key by key in the order of the keys' earliest times, and within a key in the order of times.
 */

import { copyOf } from "../bytes/compare.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { LpEntry, lpCopyValue, lpEntryEnd, lpFirst, lpLength, lpRead, lpSplice } from "../structs/listpack.ts"
import { ZsetTable } from "../structs/zset-table.ts"
import type { Database } from "./db.ts"
import { Notify } from "./events.ts"
import { HiddenMembers } from "./hidden-members.ts"
import type { Keyspace } from "./keyspace.ts"
import { Kind, ValueType } from "./kinds.ts"

/** Fields removed per slice of active expiry, well under a millisecond's work. */
const FIELDS_PER_SLICE = 512
/** Entries of an index checked per round of active expiry, due or not. */
const SWEPT_PER_SLICE = 16
const END = 0xff

/** A key with something due, as copied from an index. */
interface DueKey {
  readonly db: Database
  readonly key: Uint8Array
  readonly at: number
}

export class FieldExpiry {
  /** No field or member noted here is due before this time (ms); Infinity when none is. */
  nextDue = Number.POSITIVE_INFINITY

  private readonly keyspace: Keyspace
  private readonly indexes = new Map<ByteMap, ByteMap>()
  private readonly entry = new LpEntry()
  private readonly text = new Uint8Array(24)
  /** Fields that this slice may still remove. */
  private left = 0
  /** Fields that have just expired, while somebody wants to know which. */
  private expired: Uint8Array[] = []
  private atDb = 0
  private atEntry = 0
  /** Keys found due and not looked at yet, the earliest last. */
  private readonly due: DueKey[] = []
  private sweepDb = 0
  private sweepCursor = 0
  private readonly swept: number[] = []

  constructor(keyspace: Keyspace) {
    this.keyspace = keyspace
  }

  /** A field or member of the value under a key expires at `earliest` (ms). O(1). */
  note(db: Database, key: Uint8Array, start: number, end: number, earliest: number): void {
    if (earliest < this.nextDue) this.nextDue = earliest
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
   * The record at `address` has come under this key by another way than a command on its elements. Does nothing for records
   * without such expiries. O(1), for tables O(blocks).
   */
  adopt(db: Database, key: Uint8Array, start: number, end: number, address: number): void {
    const earliest = this.earliest(db, address)
    if (earliest === 0) return
    const { fieldExpiry, memberExpiry } = this.keyspace
    const index = db.type(address) === ValueType.Hash ? fieldExpiry : memberExpiry
    index.note(db, key, start, end, earliest)
  }

  /** The value under a key has no field or member with an expiry any more. */
  forget(db: Database, key: Uint8Array, start: number, end: number): void {
    this.indexes.get(db.keys)?.delete(key, start, end)
  }

  /** Keys listed as having fields or members that expire; may count some that have none any more. */
  size(db: Database): number {
    return this.indexes.get(db.keys)?.size ?? 0
  }

  /** Bytes of the indexes. */
  get bytes(): number {
    let sum = 0
    for (const index of this.indexes.values()) sum += index.bytes
    return sum
  }

  /** Earliest expiry of a field or member of the record at `address`, 0 when there is none. */
  earliest(db: Database, address: number): number {
    const { keys } = db
    const kind = keys.type(address)
    if (kind === Kind.HashPackedExpiring) {
      keys.readValue(address)
      return this.firstExpiry(keys.valueBytes, keys.valueStart)
    }
    const table = tableOf(keys, address)
    return table === undefined || table.expirySize === 0 ? 0 : table.earliestExpiry()
  }

  /**
   * One slice of active expiry: goes on where the last one stopped, through all databases. Returns true while a round is
   * unfinished, so that the caller comes back soon.
   */
  slice(budget = FIELDS_PER_SLICE): boolean {
    const { keyspace, due } = this
    if (keyspace.expiryPaused && this.nextDue < keyspace.now) this.correct(budget)
    if (this.indexes.size === 0 || keyspace.expiryPaused || !keyspace.activeExpiry) return false
    this.left = budget
    if (due.length === 0) this.gather(budget)
    while (due.length > 0 && this.left > 0) this.visit(due.pop()!)
    if (due.length > 0 || this.atDb < keyspace.databases.length) return true
    this.atDb = 0
    this.dropOrphans()
    this.sweep()
    if (this.nextDue < keyspace.now) this.nextDue = this.earliestNoted()
    return false
  }

  /** Lists keys that are due, `count` or some more, sorted. They stay in their indexes, marked as due. */
  private gather(count: number): void {
    const { keyspace, due } = this
    while (this.atDb < keyspace.databases.length && due.length < count) {
      const db = keyspace.databases[this.atDb]!
      const index = this.indexes.get(db.keys)
      if (index !== undefined && index.size > 0) {
        this.atEntry = index.visitExpired(this.atEntry, keyspace.now - 1, count - due.length, entry => {
          index.readKey(entry)
          const at = index.expiry(entry)
          due.push({ db, key: copyOf(index.keyBytes, index.keyStart, index.keyEnd), at })
        })
        for (const { db: of, key, at } of due) if (of === db) remark(index, key, at)
        if (this.atEntry >= 0) break
      }
      this.atEntry = 0
      this.atDb++
    }
    due.sort((a, b) => b.at - a.at)
  }

  /** Where nothing may be removed: brings entries up to date that are about what somebody else has removed. */
  private correct(count: number): void {
    if (this.due.length === 0) this.gather(count)
    for (const { db, key } of this.due.splice(0)) {
      const index = this.indexes.get(db.keys)
      if (index !== undefined) this.look(db, index, key, 0, key.length)
    }
    if (this.atDb >= this.keyspace.databases.length) this.atDb = 0
    this.nextDue = this.earliestNoted()
  }

  /** Corrects the entry of a key; tells the earliest expiry of its value, 0 for none. */
  private look(db: Database, index: ByteMap, key: Uint8Array, start: number, end: number): number {
    const address = db.keys.find(key, start, end)
    let next = address === 0 ? 0 : this.earliest(db, address)
    if (next !== 0 && next < this.keyspace.now) next = this.earliestExactly(db, address, next)
    const entry = index.find(key, start, end)
    if (entry !== 0 && next === 0) index.remove(entry)
    else if (entry !== 0) index.setExpiry(entry, next)
    return next
  }

  /** A table's own bound may be about an element that is gone. O(blocks + elements that are due). */
  private earliestExactly(db: Database, address: number, bound: number): number {
    const table = tableOf(db.keys, address)
    if (table === undefined) return bound
    const due: { key: Uint8Array; at: number }[] = []
    table.visitExpired(0, this.keyspace.now - 1, Number.POSITIVE_INFINITY, element => {
      table.readKey(element)
      due.push({ key: copyOf(table.keyBytes, table.keyStart, table.keyEnd), at: table.expiry(element) })
    })
    for (const { key, at } of due) remark(table, key, at)
    return table.earliestExpiry()
  }

  private earliestNoted(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const index of this.indexes.values()) earliest = Math.min(earliest, index.earliestExpiry())
    return earliest
  }

  /** A command is about to use the value under a key: what is due in it goes first. O(1) when nothing is. */
  meet(db: Database, key: Uint8Array, start: number, end: number): void {
    const index = this.indexes.get(db.keys)
    const entry = index === undefined ? 0 : index.find(key, start, end)
    if (entry !== 0 && index!.expiry(entry) < this.keyspace.now) {
      this.check(db, index!, key, start, end, Number.POSITIVE_INFINITY)
    }
  }

  /**
   * As `meet` where nothing may be removed: what is due is hidden, until the caller has it restored. Undefined when nothing
   * is, or hiding is not called for.
   */
  hide(db: Database, key: Uint8Array, start: number, end: number): HiddenMembers | undefined {
    const { now } = this.keyspace
    const index = this.indexes.get(db.keys)
    const entry = index === undefined ? 0 : index.find(key, start, end)
    if (entry === 0 || index!.expiry(entry) >= now) return undefined
    const next = this.look(db, index!, key, start, end)
    if (next === 0 || next >= now) return undefined
    const address = db.keys.find(key, start, end)
    const map = db.type(address) === ValueType.Hash ? undefined : tableOf(db.keys, address)
    return map === undefined ? undefined : new HiddenMembers(db, copyOf(key, start, end), address, map, now)
  }

  /**
   * Removes up to `limit` due fields or members of the value at `address`, tells of them, and removes the value when it ran
   * empty. The record may have moved or be gone: look it up again. Returns the earliest expiry left (a past one when the
   * limit was met), 0 when there is none.
   */
  purge(db: Database, key: Uint8Array, start: number, end: number, address: number, limit: number): number {
    const { events } = this.keyspace
    const before = events.expiredFields
    const { keys } = db
    const type = db.type(address)
    let next: number
    let empty: boolean
    if (keys.type(address) === Kind.HashPackedExpiring) {
      next = this.purgePacked(db, key, start, end, address, limit)
      empty = next < 0
    } else {
      const table = tableOf(keys, address)!
      next = this.purgeTable(db, key, start, end, address, table, limit)
      empty = table.size === 0
      if (!empty) keys.noteObjectBytes(address)
    }
    const removed = events.expiredFields - before
    this.left -= removed
    if (removed > 0) this.tell(db, key, start, end, type, empty ? address : 0)
    this.tellFields(db, key, start, end)
    return empty ? 0 : next
  }

  private purgeTable(
    db: Database,
    key: Uint8Array,
    start: number,
    end: number,
    address: number,
    table: ByteMap,
    limit: number,
  ): number {
    const { events, now } = this.keyspace
    const value = db.keys.object(address)
    const type = db.type(address)
    const found: number[] = []
    const rest = table.visitExpired(0, now - 1, limit, element => {
      found.push(element)
    })
    found.sort((a, b) => table.expiry(a) - table.expiry(b))
    for (const element of found) {
      table.readKey(element)
      const { keyBytes, keyStart, keyEnd } = table
      events.expiredFields++
      if (type === ValueType.Hash) {
        events.onFieldExpired(db, key, start, end, keyBytes, keyStart, keyEnd)
        this.noteExpired(keyBytes, keyStart, keyEnd)
      } else events.onMemberExpired(db, key, start, end, keyBytes, keyStart, keyEnd, type)
      if (value instanceof ZsetTable) {
        value.remove(element, keyBytes, keyStart, keyEnd, table.readNumber(element))
      } else table.remove(element)
    }
    return table.expirySize === 0 ? 0 : rest >= 0 ? now - 1 : table.earliestExpiry()
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
      let text = b
      let textStart = this.entry.start
      let textEnd = this.entry.end
      if (this.entry.isInt) {
        text = this.text
        textStart = 0
        textEnd = lpCopyValue(b, field, text, 0)
      }
      events.onFieldExpired(db, key, start, end, text, textStart, textEnd)
      this.noteExpired(text, textStart, textEnd)
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

  /** Keeps an expired field for `tellFields`, if somebody wants to know. */
  private noteExpired(bytes: Uint8Array, start: number, end: number): void {
    if ((this.keyspace.events.notifyFlags & Notify.Subkeys) !== 0) this.expired.push(copyOf(bytes, start, end))
  }

  private tellFields(db: Database, key: Uint8Array, start: number, end: number): void {
    if (this.expired.length === 0) return
    const { expired } = this
    this.expired = []
    this.keyspace.events.notifyFields("hexpired", db, key, start, end, expired)
  }

  /** Says that fields or members expired; removes the record at `emptyAddress` if it is not 0. */
  private tell(db: Database, key: Uint8Array, start: number, end: number, type: number, emptyAddress: number): void {
    const { events } = this.keyspace
    if (emptyAddress !== 0) db.removeQuietly(emptyAddress)
    db.modified(key, start, end)
    if (type === ValueType.Hash) events.notify(Notify.Hash, "hexpired", db, key, start, end)
    else if (type === ValueType.Set) events.notify(Notify.Set, "sexpired", db, key, start, end)
    else events.notify(Notify.Zset, "zexpired", db, key, start, end)
    if (emptyAddress !== 0) events.notify(Notify.Generic, "del", db, key, start, end)
  }

  /** A key has come due: sees what has become of it, unless the database was swapped or flushed meanwhile. */
  private visit({ db, key }: DueKey): void {
    this.left--
    const index = this.indexes.get(db.keys)
    if (index === undefined) return
    const next = this.check(db, index, key, 0, key.length, Math.max(1, this.left))
    if (next !== 0 && next < this.keyspace.now) this.due.push({ db, key, at: next })
  }

  /** Removes what is due under a key of an index; tells and notes when it has to be looked at again (0: need not). */
  private check(db: Database, index: ByteMap, key: Uint8Array, start: number, end: number, limit: number): number {
    const address = db.find(key, start, end)
    let next = 0
    if (address !== 0 && this.earliest(db, address) !== 0) next = this.purge(db, key, start, end, address, limit)
    const entry = index.find(key, start, end)
    if (entry === 0) return next
    if (next === 0) index.remove(entry)
    else index.setExpiry(entry, next)
    return next
  }

  /** Looks at a few entries of one index, whatever their time, and drops those whose value is gone. */
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

/** The map whose records have the expiries of the value at `address`, unless it is packed or can have none. */
function tableOf(keys: ByteMap, address: number): ByteMap | undefined {
  const kind = keys.type(address)
  if (kind === Kind.HashTable || kind === Kind.SetTable) return keys.object(address) as ByteMap
  return kind === Kind.ZsetTree ? (keys.object(address) as ZsetTable).index : undefined
}

/** Stores the time of an entry again, so that its block is found due once more: visitExpired takes visited ones for gone. */
function remark(index: ByteMap, key: Uint8Array, at: number): void {
  const entry = index.find(key, 0, key.length)
  if (entry !== 0) index.setExpiry(entry, at)
}
