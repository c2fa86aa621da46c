/** Looking a key up without marking it as used, for commands that are about the key and not about its value. */
import type { Database } from "../keyspace/db.ts"
import { Notify } from "../keyspace/events.ts"

/** As `Database.lookup`, hits, misses and the keymiss event included, but the access clock stays as it is. */
export function peek(db: Database, key: Uint8Array, start: number, end: number): number {
  const address = db.find(key, start, end)
  const { events } = db.keyspace
  if (address !== 0) events.hits++
  else {
    events.misses++
    events.notify(Notify.KeyMiss, "keymiss", db, key, start, end)
  }
  return address
}

/** Whether a walk over all keys passes over this record, because its time is up. */
export function isExpired(db: Database, address: number): boolean {
  const { keys, keyspace } = db
  if (keys.expirySize === 0) return false
  const expiry = keys.expiry(address)
  return expiry !== 0 && expiry < keyspace.now && !(keyspace.expiryPaused && keyspace.servesExpired)
}
