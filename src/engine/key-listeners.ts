/**
 * Hands what the keyspace tells of changed keys to all who listen: watchers, blocked clients, tracking. The keyspace has one
 * slot per event and one flag, `interested`; the flag is set while any listener has an interest, so that a write which
 * concerns nobody stays free.
 */

import type { Database } from "../keyspace/db.ts"
import type { KeyspaceEvents } from "../keyspace/events.ts"

export interface KeyListener {
  /** Whether `modified` is worth calling now; after a change of the answer call `KeyListeners.refresh`. */
  readonly interested: boolean
  /** A key has changed, or is gone. The bytes are borrowed. */
  modified(db: Database, key: Uint8Array, start: number, end: number): void
  /** All keys of a database are about to go; told without regard to `interested`. */
  flushed(db: Database): void
  /** Two databases have exchanged their contents. */
  swapped(a: Database, b: Database): void
}

export class KeyListeners {
  private readonly events: KeyspaceEvents
  private readonly listeners: KeyListener[] = []

  constructor(events: KeyspaceEvents) {
    this.events = events
    events.onModified = (db, key, start, end) => {
      for (const listener of this.listeners) if (listener.interested) listener.modified(db, key, start, end)
    }
    events.onFlushed = db => {
      for (const listener of this.listeners) listener.flushed(db)
    }
    events.onSwapped = (a, b) => {
      for (const listener of this.listeners) if (listener.interested) listener.swapped(a, b)
    }
  }

  /** Listeners are told in the order in which they were added. */
  add(listener: KeyListener): void {
    this.listeners.push(listener)
    this.refresh()
  }

  /** A listener's interest has changed. */
  refresh(): void {
    this.events.interested = this.listeners.some(listener => listener.interested)
  }
}
