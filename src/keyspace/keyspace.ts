/**
 * All databases of a server, and what they share: the record heap, the hash key, the frozen time of the running command,
 * the lazy free queue, the expire cycle.
 */

import { Prng } from "../bytes/prng.ts"
import { KeyedHash } from "../bytes/siphash.ts"
import { ByteMap, type Container } from "../structs/byte-map.ts"
import { PageHeap } from "../structs/page-heap.ts"
import { Database } from "./db.ts"
import { KeyspaceEvents } from "./events.ts"
import { FieldExpiry } from "./field-expiry.ts"

/** Steps of work (records, pages, objects) done per slice; a slice takes well under a millisecond. */
const FREE_STEPS_PER_SLICE = 512
/** Containers let go of by a snapshot that is over, per slice. */
const THAWED_PER_SLICE = 2048
const EXPIRE_RECORDS_PER_SLICE = 250

/** Why expired keys stay where they are. */
export type ExpiryHold = "loading" | "replica" | "pause"

export interface KeyspaceOptions {
  databases: number
  /** Seeds the hash key and the random choices. */
  seed: number
}

export class Keyspace {
  readonly events = new KeyspaceEvents()
  readonly heap = new PageHeap()
  readonly random: Prng
  readonly databases: Database[] = []
  /** Fields of hashes that expire. */
  readonly fieldExpiry = new FieldExpiry(this)
  /** Members of sets and sorted sets that expire. */
  readonly memberExpiry = new FieldExpiry(this)
  /** Wall time in ms, standing still while a command runs. */
  now = 0
  /** True where expired keys must not be removed: on a replica, while loading, while clients are paused. See `holdExpiry`. */
  expiryPaused = false
  /** With `expiryPaused`: whether expired keys are still served (while loading, and to a master). */
  servesExpired = false
  private readonly expiryHolds = new Set<ExpiryHold>()
  /** DEBUG SET-ACTIVE-EXPIRE. */
  activeExpiry = true
  /** The access field of records counts uses (LFU), or notes changes only (LRM); otherwise it notes uses. */
  /** Checksums of DUMP payloads are looked at; DEBUG SET-SKIP-CHECKSUM-VALIDATION. */
  verifiesChecksums = true
  lfu = false
  lrm = false
  lfuLogFactor = 10
  lfuDecayMinutes = 1
  /** Readers with NO-TOUCH leave access clocks alone. */
  touching = true

  readonly hasher: KeyedHash
  private readonly discarded: Container[] = []
  /** For how many objects each of `discarded` counts. */
  private readonly discardedCounts: number[] = []
  private expireDb = 0
  private expireEntry = 0

  constructor(options: KeyspaceOptions) {
    this.random = new Prng(options.seed)
    this.hasher = new KeyedHash(this.random.next32(), this.random.next32())
    for (let i = 0; i < options.databases; i++) this.databases.push(new Database(this, i))
  }

  /** A new map on the shared heap: for a database, or for a container's index. */
  newMap(): ByteMap {
    const map = new ByteMap(this.heap, this.hasher)
    map.accessClock = this.accessClock
    map.keepsAccess = this.lfu
    return map
  }

  /** Bytes of everything stored, in O(databases). */
  get bytes(): number {
    const { databases } = this
    let sum = 0
    for (let i = 0; i < databases.length; i++) {
      const { keys } = databases[i]!
      if (keys.size !== 0) sum += keys.bytes
    }
    return sum
  }

  /** What the access field of records means from now on. What it says of records not used since is wrong for a while. */
  setAccessMeaning(lfu: boolean, lrm: boolean): void {
    this.lfu = lfu
    this.lrm = lrm
    for (const { keys } of this.databases) keys.keepsAccess = lfu
    this.tickAccessClock()
  }

  /** Begins or ends a reason why expired keys must not be removed. */
  holdExpiry(reason: ExpiryHold, on: boolean): void {
    if (on) this.expiryHolds.add(reason)
    else this.expiryHolds.delete(reason)
    this.expiryPaused = this.expiryHolds.size > 0
    this.servesExpired = this.expiryHolds.has("loading")
  }

  /** Puts a database's content in the place of what the one of the same number holds. */
  replace(by: Database): void {
    const db = this.databases[by.index]!
    db.flush()
    db.keys = by.keys
    db.keys.accessClock = this.accessClock
    db.keys.keepsAccess = this.lfu
    by.keys = this.newMap()
  }

  /** Moves the frozen time on. Between commands only. */
  setTime(wallMs: number): void {
    this.now = wallMs
  }

  /** Sets the access clock of this second, for LRU; with LFU it is the value a new key begins with. */
  tickAccessClock(): void {
    const clock = this.lfu ? (this.minutes() << 8) | LFU_INITIAL : this.seconds()
    if (clock === this.accessClock) return
    this.accessClock = clock
    for (const db of this.databases) db.keys.accessClock = clock
  }
  private accessClock = 0

  /** Notes that a record was used. */
  touch(map: ByteMap, address: number): void {
    if (!this.touching) return
    if (this.lfu) map.setAccess(address, this.lfuTouched(map.access(address)))
    else if (map.access(address) !== this.accessClock) map.setAccess(address, this.accessClock)
  }

  /** Seconds since a record was used (LRU clock). */
  idleSeconds(map: ByteMap, address: number): number {
    return (this.seconds() - map.access(address)) & 0xffffff
  }

  /** Logarithmic access counter of a record, decayed to now (LFU). */
  frequency(map: ByteMap, address: number): number {
    return this.lfuDecayed(map.access(address))
  }

  /**
   * How dispensable a record is by its access field: seconds since its last use (or change); with LFU the less counted the
   * more, and among equals the longer not counted the more. Grows with time alone.
   */
  dispensability(access: number): number {
    if (!this.lfu) return (this.seconds() - access) & 0xffffff
    return ((this.minutes() - (access >>> 8)) & 0xffff) - this.lfuDecayed(access) * 0x10000
  }

  /** Exchanges two databases' content; their clients stay where they are. */
  swap(a: number, b: number): void {
    const first = this.databases[a]!
    const second = this.databases[b]!
    const keys = first.keys
    first.keys = second.keys
    second.keys = keys
    this.events.onSwapped(first, second)
  }

  /** Hands a container over to be freed in slices (after the snapshot that may still read it). */
  discard(container: Container, objects = 1): void {
    this.heap.afterThaw(() => {
      this.discarded.push(container)
      this.discardedCounts.push(objects)
    })
  }

  /** Objects waiting to be freed; of a flushed database each key is one. */
  get discardedSize(): number {
    let sum = 0
    for (const objects of this.discardedCounts) sum += objects
    return sum
  }

  /** One slice of freeing; true when more is left. */
  freeSlice(): boolean {
    if (this.heap.finishThaw(THAWED_PER_SLICE)) return true
    let budget = FREE_STEPS_PER_SLICE
    while (this.discarded.length > 0 && budget > 0) {
      const container = this.discarded[this.discarded.length - 1]!
      if (!container.release(budget)) return true
      this.discarded.pop()
      this.events.lazyfreed += this.discardedCounts.pop()!
      budget -= 64
    }
    return this.discarded.length > 0
  }

  /**
   * One slice of the expire cycle: goes on where the last one stopped, through all databases. Returns true while a round is
   * unfinished, so that the caller comes back soon.
   */
  expireSlice(): boolean {
    if (this.expiryPaused || !this.activeExpiry) return false
    while (this.expireDb < this.databases.length) {
      const db = this.databases[this.expireDb]!
      if (db.keys.expirySize > 0) {
        const now = this.now
        this.expireEntry = db.keys.visitExpired(this.expireEntry, now - 1, EXPIRE_RECORDS_PER_SLICE, address =>
          db.expire(address),
        )
        if (this.expireEntry >= 0) return true
      }
      this.expireEntry = 0
      this.expireDb++
    }
    this.expireDb = 0
    return false
  }

  private seconds(): number {
    return Math.floor(this.now / 1000) & 0xffffff
  }

  private minutes(): number {
    return Math.floor(this.now / 60000) & 0xffff
  }

  private lfuDecayed(access: number): number {
    const counter = access & 0xff
    const elapsed = (this.minutes() - (access >>> 8)) & 0xffff
    const periods = this.lfuDecayMinutes > 0 ? Math.floor(elapsed / this.lfuDecayMinutes) : 0
    return Math.max(0, counter - periods)
  }

  private lfuTouched(access: number): number {
    let counter = this.lfuDecayed(access)
    if (counter < 255) {
      const base = Math.max(0, counter - LFU_INITIAL)
      if (this.random.nextFloat() < 1 / (base * this.lfuLogFactor + 1)) counter++
    }
    return (this.minutes() << 8) | counter
  }
}

/** A new key's counter, so that it is not evicted before it had a chance. */
const LFU_INITIAL = 5
