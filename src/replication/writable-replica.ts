/**
 * Keys with an expiry that clients of a writable replica have made: nobody else knows of them, so the replica must remove
 * them itself, while all other keys wait for the master. Few are expected; their names are kept.
 */

import { latin1, latin1Bytes } from "../bytes/compare.ts"
import type { Client } from "../engine/client.ts"
import type { Engine } from "../engine/engine.ts"
import type { KeyListener } from "../engine/key-listeners.ts"
import type { Database } from "../keyspace/db.ts"

/** Keys looked at per second. */
const CHECKED_MAX = 1000

export class WritableReplicaKeys implements KeyListener {
  private readonly engine: Engine
  private readonly names = new Map<Database, Set<string>>()
  private isWritable = false
  private isListening = false

  constructor(engine: Engine) {
    this.engine = engine
  }

  get size(): number {
    let sum = 0
    for (const names of this.names.values()) sum += names.size
    return sum
  }

  get interested(): boolean {
    return this.isWritable
  }

  /** Whether clients may write, and the server is a replica. */
  follow(isWritable: boolean): void {
    if (isWritable === this.isWritable) return
    this.isWritable = isWritable
    if (!this.isListening) this.engine.keyListeners.add(this)
    this.isListening = true
    this.engine.keyListeners.refresh()
  }

  clear(): void {
    this.names.clear()
  }

  modified(db: Database, key: Uint8Array, start: number, end: number): void {
    const client = this.engine.caller.current?.client as Client | undefined
    if (client === undefined || client.isObeyed) return
    const name = latin1(key, start, end)
    const names = this.names.get(db)
    if (this.expiryOf(db, name) === 0) names?.delete(name)
    else if (names === undefined) this.names.set(db, new Set([name]))
    else names.add(name)
  }

  flushed(db: Database): void {
    this.names.delete(db)
  }

  swapped(a: Database, b: Database): void {
    const ofA = this.names.get(a)
    const ofB = this.names.get(b)
    if (ofB === undefined) this.names.delete(a)
    else this.names.set(a, ofB)
    if (ofA === undefined) this.names.delete(b)
    else this.names.set(b, ofA)
  }

  /** Removes those whose time is up. */
  expire(): void {
    let left = CHECKED_MAX
    for (const [db, names] of this.names) {
      for (const name of names) {
        if (left-- <= 0) return
        const expiry = this.expiryOf(db, name)
        if (expiry === 0) names.delete(name)
        else if (expiry < this.engine.keyspace.now) {
          names.delete(name)
          const key = latin1Bytes(name)
          db.expire(db.keys.find(key, 0, key.length))
        }
      }
    }
  }

  /** 0 when the key is gone, or stays for ever. */
  private expiryOf(db: Database, name: string): number {
    const key = latin1Bytes(name)
    const address = db.keys.find(key, 0, key.length)
    return address === 0 ? 0 : db.keys.expiry(address)
  }
}
