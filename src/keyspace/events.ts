/**
 * What the keyspace tells the rest of the server. One object per server; the composition root fills in the listeners.
 * The counters and flags are plain fields, so that a write that interests nobody costs a few comparisons.
 */

import type { Database } from "./db.ts"

/** Classes of keyspace notifications, as the flags of notify-keyspace-events. */
export const Notify = {
  Keyspace: 1,
  Keyevent: 2,
  Generic: 4,
  String: 8,
  List: 16,
  Set: 32,
  Hash: 64,
  Zset: 128,
  Expired: 256,
  Evicted: 512,
  Stream: 1024,
  KeyMiss: 2048,
  Loaded: 4096,
  Module: 8192,
  New: 16384,
  /** Channels about fields of hashes. */
  Subkeyspace: 1 << 15,
  Subkeyevent: 1 << 16,
  Subkeyspaceitem: 1 << 17,
  Subkeyspaceevent: 1 << 18,
  /** Any of the four. */
  Subkeys: 15 << 15,
  /** Every class of event. */
  Classes: 0x7ffc,
} as const

export class KeyspaceEvents {
  /** Changes since the last save; a command that leaves it alone is not propagated. */
  dirty = 0
  /** Flags of notify-keyspace-events in force. */
  notifyFlags = 0
  /** True while somebody watches, waits for, or tracks keys: then `modified` is worth telling. */
  interested = false

  hits = 0
  misses = 0
  expiredKeys = 0
  evictedKeys = 0
  expiredFields = 0
  lazyfreed = 0
  /** Values to restore that were checked in depth. */
  sanitizations = 0

  onModified: (db: Database, key: Uint8Array, start: number, end: number) => void = nothing
  onFlushed: (db: Database) => void = nothing
  /** FLUSHALL, after everything is gone. */
  onAllFlushed: () => void = nothing
  onSwapped: (a: Database, b: Database) => void = nothing
  onNotify: (event: string, db: Database, key: Uint8Array, start: number, end: number) => void = nothing
  /** A key went because its time was up: to be propagated as its deletion. The key's bytes are borrowed. */
  onExpired: (db: Database, key: Uint8Array, start: number, end: number) => void = nothing
  /** A key went to make room: to be propagated as its deletion. The key's bytes are borrowed. */
  onEvicted: (db: Database, key: Uint8Array, start: number, end: number) => void = nothing
  /** A field of the hash under a key went because its time was up: to be propagated as HDEL. All bytes are borrowed. */
  onFieldExpired: (
    db: Database,
    key: Uint8Array,
    start: number,
    end: number,
    field: Uint8Array,
    fieldStart: number,
    fieldEnd: number,
  ) => void = nothing

  /**
   * A member of the set or sorted set under a key went because its time was up: to be propagated as SREM or ZREM, by the type
   * (ValueType). All bytes are borrowed.
   */
  onMemberExpired: (
    db: Database,
    key: Uint8Array,
    start: number,
    end: number,
    member: Uint8Array,
    memberStart: number,
    memberEnd: number,
    type: number,
  ) => void = nothing

  /** An event was about these fields of the hash under a key. */
  onFields: (
    event: string,
    db: Database,
    key: Uint8Array,
    start: number,
    end: number,
    fields: readonly Uint8Array[],
  ) => void = nothing

  /** Tells which fields of a hash an event was about, if that is wanted: with no class of event chosen, it is of all. */
  notifyFields(
    event: string,
    db: Database,
    key: Uint8Array,
    start: number,
    end: number,
    fields: readonly Uint8Array[],
  ): void {
    const { notifyFlags } = this
    if ((notifyFlags & Notify.Subkeys) === 0 || fields.length === 0) return
    if ((notifyFlags & Notify.Hash) !== 0 || (notifyFlags & Notify.Classes) === 0) {
      this.onFields(event, db, key, start, end, fields)
    }
  }

  /** Somebody has sent a value that is none; what is wrong with it. */
  onMalformed: (reason: string) => void = nothing

  /** Publishes a keyspace notification if its class is enabled. */
  notify(flag: number, event: string, db: Database, key: Uint8Array, start: number, end: number): void {
    if ((this.notifyFlags & flag) !== 0) this.onNotify(event, db, key, start, end)
  }
}

function nothing(): void {}
