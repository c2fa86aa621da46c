/**
 * Which key goes when memory is short (maxmemory-policy), and its going.
 *
 * Redis looks at a few random keys per eviction and keeps the best of them in a pool. Here looking is cheap in bulk: slots
 * lie in the order of hashes, so the records of one block are a random sample, and reading many headers in a row lets the
 * processor wait for many of them at once. So a refill looks at LOOKED_AT_PER_SAMPLE records for each of maxmemory-samples
 * and pools the best POOL_MAX; evictions then live on the pool. By default these are the best fifth of what was looked at.
 *
 * The places are not random: a hand goes round through the hashes, as a clock's. Of a place that was robbed just now there is
 * little to take, and of one that chance has passed over for long too much; with a hand all have had the same time. (Measured
 * with keys of Zipf's law: random places come out below Redis's single samples, the hand above.)
 *
 *  1. A candidate is known by its hash, not by its address (records move) and not by its key (nothing is copied). When its
 *     turn comes, the record of that hash must still be as good a candidate as it was; else it is passed over. Two keys of
 *     one hash may be taken for each other: then one that is at least as good has gone.
 *  2. Scores grow only with time, unless a key is used; so candidates left from an earlier round are still good ones.
 *  3. Nothing is allocated.
 *
 * Scores: seconds since the last use (LRU) or change (LRM); for LFU the counter, and among equal counters the minutes since
 * it was last counted; for TTL the expiry; by chance a random number.
 *
 * Keys with an expiry are found by their blocks: each knows a bound of the earliest expiry in it (Infinity without any). For
 * volatile-ttl the block with the earliest of a few bounds is searched, which comes close to the earliest key of all.
 */

import { BLOCK_RECORDS_MAX, type ByteMap } from "../structs/byte-map.ts"
import type { Database } from "./db.ts"
import type { Keyspace } from "./keyspace.ts"

export type EvictionOrder = "none" | "lru" | "lrm" | "lfu" | "ttl" | "random"

const POOL_MAX = 16
/** Records looked at per refill for each of maxmemory-samples: one per eviction. */
const LOOKED_AT_PER_SAMPLE = POOL_MAX
/** Refills in a row that may turn out to be stale before eviction gives up for now. */
const REFILLS_MAX = 8
/** Blocks whose bounds are compared for volatile-ttl, at least. */
const BLOCKS_COMPARED = 8
const HASHES = 2 ** 32
const NEVER = Number.POSITIVE_INFINITY
const UNFIT = Number.NEGATIVE_INFINITY

/** Scratch for one block being looked at; module-wide since nothing here is re-entrant. */
const addresses = new Int32Array(BLOCK_RECORDS_MAX)
const hashes = new Int32Array(BLOCK_RECORDS_MAX)
const headers = new Int32Array(BLOCK_RECORDS_MAX)

export class Evictor {
  /** maxmemory-samples. */
  samples = 5
  /** Bytes that the last eviction took off the count. */
  freedBytes = 0

  private readonly keyspace: Keyspace
  private order: EvictionOrder = "none"
  /** Only keys with an expiry. */
  private volatileOnly = false

  /** Candidates by ascending score: the last one goes first. */
  private pooled = 0
  private readonly poolScores = new Float64Array(POOL_MAX)
  private readonly poolHashes = new Int32Array(POOL_MAX)
  private readonly poolDatabases = new Int32Array(POOL_MAX)

  /** By database: the cursor up to which records have been looked at in this round. */
  private readonly hands: Float64Array

  constructor(keyspace: Keyspace) {
    this.keyspace = keyspace
    this.hands = new Float64Array(keyspace.databases.length)
  }

  /** @param policy a value of maxmemory-policy */
  setPolicy(policy: string): void {
    const [scope, order] = policy.split("-")
    this.order = order === undefined ? "none" : (order as EvictionOrder)
    this.volatileOnly = scope === "volatile"
    this.pooled = 0
  }

  /** False for noeviction. */
  get evicts(): boolean {
    return this.order !== "none"
  }

  /** Evicts one key, leaving `freedBytes`; false when there is none that the policy lets go. */
  evictOne(): boolean {
    if (this.order === "none") return false
    const { databases } = this.keyspace
    for (let refills = 0; refills < REFILLS_MAX; refills++) {
      while (this.pooled > 0) {
        const candidate = --this.pooled
        const db = databases[this.poolDatabases[candidate]!]!
        const address = db.keys.findHash(this.poolHashes[candidate]!)
        if (address === 0 || !(this.scoreAgain(db.keys, address) >= this.poolScores[candidate]!)) continue
        this.freedBytes = db.evict(address)
        return true
      }
      if (!this.refill()) return false
    }
    return false
  }

  /** The score of a candidate whose turn has come; of random ones only their fitness is asked. */
  private scoreAgain(keys: ByteMap, address: number): number {
    if (this.volatileOnly && keys.expiry(address) === 0) return UNFIT
    return this.order === "random" ? NEVER : this.score(keys, address, keys.access(address))
  }

  /** The higher, the sooner a record should go. */
  private score(keys: ByteMap, address: number, access: number): number {
    if (this.order === "ttl") return -keys.expiry(address)
    return this.order === "random" ? this.keyspace.random.next32() : this.keyspace.dispensability(access)
  }

  /** Fills the empty pool; false when no key is eligible. */
  private refill(): boolean {
    const db = this.chooseDatabase()
    if (db === undefined) return false
    const { keys } = db
    if (this.volatileOnly) this.lookAtVolatile(db, keys)
    else if (this.order === "random")
      this.hands[db.index] = this.look(db, keys, this.keyspace.random.next32(), POOL_MAX)
    else {
      const limit = Math.min(this.samples * LOOKED_AT_PER_SAMPLE, keys.size)
      this.hands[db.index] = this.look(db, keys, this.hands[db.index]!, limit)
    }
    return this.pooled > 0
  }

  /** A database at random, by the number of its eligible keys. */
  private chooseDatabase(): Database | undefined {
    const { databases, random } = this.keyspace
    let total = 0
    for (let i = 0; i < databases.length; i++) total += this.eligible(databases[i]!)
    if (total === 0) return undefined
    let at = random.nextBelow(total)
    for (let i = 0; ; i++) {
      const db = databases[i]!
      at -= this.eligible(db)
      if (at < 0) return db
    }
  }

  private eligible({ keys }: Database): number {
    return this.volatileOnly ? keys.expirySize : keys.size
  }

  /** Pools the best of `limit` records from a cursor on, at most of all. Returns where to go on. */
  private look(db: Database, keys: ByteMap, cursor: number, limit: number): number {
    let left = limit
    while (left > 0) {
      const count = keys.sampleBlock(cursor, Math.min(left, BLOCK_RECORDS_MAX), addresses, hashes, headers)
      left -= count
      cursor = keys.nextCursor < HASHES ? keys.nextCursor : 0
      for (let i = 0; i < count; i++) {
        const score = this.score(keys, addresses[i]!, headers[i]! >>> 8)
        if (this.pooled < POOL_MAX || score > this.poolScores[0]!) this.offer(score, hashes[i]!, db.index)
      }
    }
    return cursor
  }

  /** Pools the best volatile records of the next block that has some. */
  private lookAtVolatile(db: Database, keys: ByteMap): void {
    // A bound may outlive the key it was for; it is put right, and then the block is not found again.
    while (this.pooled === 0 && keys.expirySize > 0) {
      const cursor = this.volatileBlock(keys, this.hands[db.index]!)
      const count = keys.scanBlock(cursor, addresses, hashes)
      this.hands[db.index] = keys.nextCursor
      let earliest = NEVER
      for (let i = 0; i < count; i++) {
        const expiry = keys.expiry(addresses[i]!)
        if (expiry === 0) continue
        if (expiry < earliest) earliest = expiry
        const score = this.score(keys, addresses[i]!, keys.access(addresses[i]!))
        if (this.pooled < POOL_MAX || score > this.poolScores[0]!) this.offer(score, hashes[i]!, db.index)
      }
      keys.noteEarliestInBlock(cursor, earliest)
    }
  }

  /** A cursor into a block with expiries, the next one there is; for TTL the earliest of the next few. */
  private volatileBlock(keys: ByteMap, hand: number): number {
    let best = hand
    let earliest = NEVER
    let left = this.order === "ttl" ? Math.max(BLOCKS_COMPARED, this.samples) : 1
    let cursor = hand
    // Ends at the latest after a round, since some key has an expiry; then with what it has found.
    for (let blocks = 0; left > 0 && blocks <= keys.size; blocks++) {
      const bound = keys.earliestInBlock(cursor)
      if (bound < NEVER) left--
      if (bound < earliest) {
        earliest = bound
        best = cursor
      }
      cursor = keys.nextCursor
      if (cursor === 0 && earliest < NEVER && blocks > BLOCKS_COMPARED) break
    }
    return best
  }

  /** Puts a candidate in its place, the worst one out when the pool is full. */
  private offer(score: number, hash: number, database: number): void {
    const { poolScores, poolHashes, poolDatabases } = this
    let at: number
    if (this.pooled < POOL_MAX) {
      at = this.pooled++
      for (; at > 0 && poolScores[at - 1]! > score; at--) this.copyCandidate(at - 1, at)
    } else {
      at = 0
      for (; at + 1 < POOL_MAX && poolScores[at + 1]! < score; at++) this.copyCandidate(at + 1, at)
    }
    poolScores[at] = score
    poolHashes[at] = hash
    poolDatabases[at] = database
  }

  private copyCandidate(from: number, to: number): void {
    this.poolScores[to] = this.poolScores[from]!
    this.poolHashes[to] = this.poolHashes[from]!
    this.poolDatabases[to] = this.poolDatabases[from]!
  }
}
