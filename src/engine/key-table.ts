/**
 * Keys that somebody has an interest in (watchers, waiters), found by database and bytes without making a string: looked
 * up for every key that is modified while there is any interest at all.
 *
 * A Map from the keyed hash to the first entry; entries of one hash are chained.
 */

import { copyOf } from "../bytes/compare.ts"
import type { KeyedHash } from "../bytes/siphash.ts"
import type { Database } from "../keyspace/db.ts"

/** One key of interest; the subsystem extends it with what it keeps. */
export class KeyEntry {
  readonly db: Database
  /** Owned. */
  readonly key: Uint8Array
  readonly hash: number
  /** The next entry of the same hash. */
  chained: this | undefined

  constructor(db: Database, key: Uint8Array, hash: number) {
    this.db = db
    this.key = key
    this.hash = hash
  }

  is(db: Database, key: Uint8Array, start: number, end: number): boolean {
    const own = this.key
    if (db !== this.db || end - start !== own.length) return false
    for (let i = 0; i < own.length; i++) if (own[i] !== key[start + i]) return false
    return true
  }
}

export class KeyTable<Entry extends KeyEntry> {
  private readonly heads = new Map<number, Entry>()
  private readonly hasher: KeyedHash
  private readonly make: new (
    db: Database,
    key: Uint8Array,
    hash: number,
  ) => Entry
  size = 0

  constructor(hasher: KeyedHash, make: new (db: Database, key: Uint8Array, hash: number) => Entry) {
    this.hasher = hasher
    this.make = make
  }

  find(db: Database, key: Uint8Array, start: number, end: number): Entry | undefined {
    let entry = this.heads.get(this.hash(db, key, start, end))
    while (entry !== undefined && !entry.is(db, key, start, end)) entry = entry.chained
    return entry
  }

  /** The entry of a key, made if there is none; the key is copied then. */
  ensure(db: Database, key: Uint8Array, start: number, end: number): Entry {
    const found = this.find(db, key, start, end)
    if (found !== undefined) return found
    const hash = this.hash(db, key, start, end)
    const entry = new this.make(db, copyOf(key, start, end), hash)
    entry.chained = this.heads.get(hash)
    this.heads.set(hash, entry)
    this.size++
    return entry
  }

  delete(entry: Entry): void {
    const head = this.heads.get(entry.hash)
    if (head === entry) {
      if (entry.chained === undefined) this.heads.delete(entry.hash)
      else this.heads.set(entry.hash, entry.chained)
    } else {
      let before = head
      while (before !== undefined && before.chained !== entry) before = before.chained
      if (before === undefined) return
      before.chained = entry.chained
    }
    entry.chained = undefined
    this.size--
  }

  /** All entries of a database, as they are now. O(entries of all databases). */
  of(db: Database): Entry[] {
    const found: Entry[] = []
    for (const head of this.heads.values()) {
      for (let entry: Entry | undefined = head; entry !== undefined; entry = entry.chained) {
        if (entry.db === db) found.push(entry)
      }
    }
    return found
  }

  private hash(db: Database, key: Uint8Array, start: number, end: number): number {
    return this.hasher.hash(key, start, end) ^ Math.imul(db.index, 0x9e3779b1)
  }
}
