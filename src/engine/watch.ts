/**
 * WATCH: which transactions fail because a key they rely on has changed.
 *
 * A change marks the transaction at once and forgets all its keys, so that a marked client costs nothing more. A key that
 * was past its expiry when it was watched counts as absent: that it is removed later is no change, that it is written is.
 */

import type { Database } from "../keyspace/db.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import type { Engine } from "./engine.ts"
import type { KeyListener } from "./key-listeners.ts"
import { KeyEntry, KeyTable } from "./key-table.ts"

/** What watches: the transaction of a client. */
export interface Watcher {
  /** A watched key has changed. */
  changed: boolean
  readonly watched: Set<WatchedKey>
}

export class WatchedKey extends KeyEntry {
  /** Who watches it, and whether it was expired (and not removed yet) when they began. */
  readonly watchers = new Map<Watcher, boolean>()
}

export class WatchedKeys implements KeyListener {
  /** Watchers that watch at least one key. */
  watcherCount = 0
  private readonly engine: Engine
  private readonly keys: KeyTable<WatchedKey>

  constructor(engine: Engine) {
    this.engine = engine
    this.keys = new KeyTable(engine.keyspace.hasher, WatchedKey)
    engine.keyListeners.add(this)
  }

  get interested(): boolean {
    return this.keys.size > 0
  }

  /** Different keys watched by anybody. */
  get size(): number {
    return this.keys.size
  }

  watch(watcher: Watcher, db: Database, key: Uint8Array, start: number, end: number): void {
    const watched = this.keys.ensure(db, key, start, end)
    if (watched.watchers.has(watcher)) return
    watched.watchers.set(watcher, this.isExpired(db.keys, watched.key))
    if (watcher.watched.size === 0) this.watcherCount++
    watcher.watched.add(watched)
    this.engine.keyListeners.refresh()
  }

  /** O(keys it watches). */
  forget(watcher: Watcher): void {
    if (watcher.watched.size === 0) return
    for (const watched of watcher.watched) {
      watched.watchers.delete(watcher)
      if (watched.watchers.size === 0) this.keys.delete(watched)
    }
    watcher.watched.clear()
    this.watcherCount--
    this.engine.keyListeners.refresh()
  }

  /** Whether a key that was alive when it was watched is past its expiry, though nobody has removed it. */
  hasExpired(watcher: Watcher): boolean {
    for (const watched of watcher.watched) {
      if (watched.watchers.get(watcher) === false && this.isExpired(watched.db.keys, watched.key)) return true
    }
    return false
  }

  modified(db: Database, key: Uint8Array, start: number, end: number): void {
    const watched = this.keys.find(db, key, start, end)
    if (watched === undefined) return
    const isPresent = db.keys.find(key, start, end) !== 0
    for (const [watcher, wasExpired] of watched.watchers) {
      if (!wasExpired) this.mark(watcher)
      else if (!isPresent) watched.watchers.set(watcher, false)
    }
  }

  flushed(db: Database): void {
    for (const watched of this.keys.of(db)) {
      if (!has(db.keys, watched.key)) continue
      for (const [watcher, wasExpired] of watched.watchers) {
        if (wasExpired) watched.watchers.set(watcher, false)
        else this.mark(watcher)
      }
    }
  }

  swapped(a: Database, b: Database): void {
    this.replaced(a, b.keys)
    this.replaced(b, a.keys)
  }

  /** The keys of `db` have taken the place of others. */
  private replaced(db: Database, before: ByteMap): void {
    for (const watched of this.keys.of(db)) {
      const existed = has(before, watched.key)
      const exists = has(db.keys, watched.key)
      if (!existed && !exists) continue
      const isExpired = this.isExpired(db.keys, watched.key)
      for (const [watcher, wasExpired] of watched.watchers) {
        if (wasExpired && (!exists || isExpired)) watched.watchers.set(watcher, exists)
        else if (!wasExpired && !existed && isExpired) watched.watchers.set(watcher, true)
        else this.mark(watcher)
      }
    }
  }

  private mark(watcher: Watcher): void {
    watcher.changed = true
    this.forget(watcher)
  }

  private isExpired(keys: ByteMap, key: Uint8Array): boolean {
    const address = keys.find(key, 0, key.length)
    if (address === 0) return false
    const expiry = keys.expiry(address)
    return expiry !== 0 && expiry < this.engine.keyspace.now
  }
}

function has(keys: ByteMap, key: Uint8Array): boolean {
  return keys.find(key, 0, key.length) !== 0
}
