/**
 * Members of a set or sorted set that are past their time but must not be removed: on a replica, whose primary does that, and
 * while clients are paused. For the time of one command they are taken out, so that it does not see them, and then put
 * back as they were. Costs O(members that are over), for as long as the primary lets them be.
 */

import { copyOf } from "../bytes/compare.ts"
import type { ByteMap, Container } from "../structs/byte-map.ts"
import { ZsetTable } from "../structs/zset-table.ts"
import type { Database } from "./db.ts"

interface Hidden {
  readonly member: Uint8Array
  readonly expiry: number
  readonly score: number
}

export class HiddenMembers {
  private readonly db: Database
  private readonly key: Uint8Array
  private readonly container: Container
  private readonly map: ByteMap
  private readonly members: Hidden[] = []
  /** The record, when nothing of the value was left to see. */
  private record: { readonly kind: number; readonly expiry: number; readonly access: number } | undefined

  /** Takes out what is over by `now` from the value at `address`, the expiries of whose members are in `map`. */
  constructor(db: Database, key: Uint8Array, address: number, map: ByteMap, now: number) {
    const { keys } = db
    this.db = db
    this.key = key
    this.map = map
    this.container = keys.object(address) as Container
    const due: number[] = []
    map.visitExpired(0, now - 1, Number.POSITIVE_INFINITY, member => {
      due.push(member)
    })
    for (const member of due) this.take(member)
    if (map.size > 0) return
    this.record = { kind: keys.type(address), expiry: keys.expiry(address), access: keys.access(address) }
    // The container comes back with its record.
    keys.remove(address)
  }

  /** Puts them back, unless the command has put something else in the value's place. */
  restore(): void {
    const { container, db, key, map, record } = this
    const { keys } = db
    let address = keys.find(key, 0, key.length)
    if (record !== undefined) {
      if (address !== 0) {
        db.keyspace.discard(container)
        return
      }
    } else if (address === 0 || !keys.isOutOfLine(address) || keys.object(address) !== container) return
    for (const { member, expiry, score } of this.members) {
      if (map.find(member, 0, member.length) !== 0) continue
      if (container instanceof ZsetTable) container.add(member, 0, member.length, score)
      else map.insertNew(member, 0, member.length, 0, 0, 0)
      map.setExpiry(map.find(member, 0, member.length), expiry)
    }
    if (record !== undefined) {
      address = keys.putObject(key, 0, key.length, record.kind, container, record.expiry)
      keys.setAccess(address, record.access)
    } else keys.noteObjectBytes(keys.find(key, 0, key.length))
  }

  private take(address: number): void {
    const { container, map } = this
    map.readKey(address)
    const member = copyOf(map.keyBytes, map.keyStart, map.keyEnd)
    const isZset = container instanceof ZsetTable
    const score = isZset ? map.readNumber(address) : 0
    this.members.push({ member, expiry: map.expiry(address), score })
    if (isZset) container.remove(address, member, 0, member.length, score)
    else map.remove(address)
  }
}
