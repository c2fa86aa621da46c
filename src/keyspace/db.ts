/**
 * One database: a ByteMap of keys, with expiry and the events that hang on changes.
 *
 * A key past its expiry is as good as absent: `find` removes it when met (lazy expiry), the expire cycle removes the rest.
 * Handlers work with record addresses, which any write to the same database may move: find, use, forget.
 */

import type { ByteMap, Container } from "../structs/byte-map.ts"
import { Notify } from "./events.ts"
import type { Keyspace } from "./keyspace.ts"
import { typeOfKind } from "./kinds.ts"

export class Database {
  readonly index: number
  readonly keyspace: Keyspace
  keys: ByteMap

  constructor(keyspace: Keyspace, index: number) {
    this.keyspace = keyspace
    this.index = index
    this.keys = keyspace.newMap()
  }

  /** Address of a live record, or 0. Counts nothing and touches nothing. */
  find(key: Uint8Array, start: number, end: number): number {
    const address = this.keys.find(key, start, end)
    if (address === 0 || this.keys.expirySize === 0) return address
    const expiry = this.keys.expiry(address)
    if (expiry === 0 || expiry >= this.keyspace.now) return address
    return this.keepsExpired(address) ? address : 0
  }

  /** `find` on behalf of a reader: counts a hit or miss and notes the access. */
  lookup(key: Uint8Array, start: number, end: number): number {
    const address = this.find(key, start, end)
    const events = this.keyspace.events
    if (address === 0) {
      events.misses++
      if ((events.notifyFlags & Notify.KeyMiss) !== 0) events.onNotify("keymiss", this, key, start, end)
      return 0
    }
    events.hits++
    if (!this.keyspace.lrm) this.keyspace.touch(this.keys, address)
    return address
  }

  /** `find` on behalf of a writer: notes the access only. */
  lookupWrite(key: Uint8Array, start: number, end: number): number {
    const address = this.find(key, start, end)
    if (address !== 0) this.keyspace.touch(this.keys, address)
    return address
  }

  has(key: Uint8Array, start: number, end: number): boolean {
    return this.find(key, start, end) !== 0
  }

  /** The type of a record (ValueType). */
  type(address: number): number {
    return typeOfKind(this.keys.type(address))
  }

  /** Removes a record without telling anybody; its container goes to the lazy free queue. */
  removeQuietly(address: number): void {
    const container: Container | undefined = this.keys.remove(address)
    if (container !== undefined) this.keyspace.discard(container)
  }

  /** Removes the record found under a key and tells of it: one change, event "del" (or the one named). */
  remove(address: number, key: Uint8Array, start: number, end: number, event = "del"): void {
    this.removeQuietly(address)
    this.modified(key, start, end)
    const events = this.keyspace.events
    events.dirty++
    events.notify(Notify.Generic, event, this, key, start, end)
  }

  /** To be called once for every key a command has changed. */
  modified(key: Uint8Array, start: number, end: number): void {
    const events = this.keyspace.events
    if (events.interested) events.onModified(this, key, start, end)
  }

  /** `modified`, one more change, and the notification. */
  changed(key: Uint8Array, start: number, end: number, flag: number, event: string): void {
    const events = this.keyspace.events
    if (events.interested) events.onModified(this, key, start, end)
    events.dirty++
    if ((events.notifyFlags & flag) !== 0) events.onNotify(event, this, key, start, end)
  }

  /** Takes all keys away at once; their memory is freed in slices. */
  flush(): number {
    const removed = this.keys.size
    this.keyspace.events.onFlushed(this)
    if (removed > 0) {
      this.keyspace.discard(this.keys, removed)
      this.keys = this.keyspace.newMap()
    }
    return removed
  }

  /**
   * Removes a key whose time is up, and tells of it. Many may go at once, so the key is not copied: its bytes stay where they
   * are until the next write to a map, and none comes before everybody has been told.
   */
  expire(address: number): void {
    const { keys } = this
    keys.readKey(address)
    const { keyBytes, keyStart, keyEnd } = keys
    this.removeQuietly(address)
    const { events } = this.keyspace
    events.expiredKeys++
    events.onExpired(this, keyBytes, keyStart, keyEnd)
    if (events.interested) events.onModified(this, keyBytes, keyStart, keyEnd)
    events.notify(Notify.Expired, "expired", this, keyBytes, keyStart, keyEnd)
  }

  /**
   * Removes a key to make room, and tells of it; the key's bytes as in `expire`. Returns the bytes that no longer count, some of
   * which may yet have to be given back in slices.
   */
  evict(address: number): number {
    const { keys } = this
    const before = keys.bytes
    keys.readKey(address)
    const { keyBytes, keyStart, keyEnd } = keys
    this.removeQuietly(address)
    const { events } = this.keyspace
    events.evictedKeys++
    events.onEvicted(this, keyBytes, keyStart, keyEnd)
    if (events.interested) events.onModified(this, keyBytes, keyStart, keyEnd)
    events.notify(Notify.Evicted, "evicted", this, keyBytes, keyStart, keyEnd)
    return before - keys.bytes
  }

  /** What to do with an expired key that is met: true when it is to be served all the same. */
  private keepsExpired(address: number): boolean {
    if (this.keyspace.expiryPaused) return this.keyspace.servesExpired
    this.expire(address)
    return false
  }
}
