/**
 * A sorted set in the making, from members that come in any order, perhaps several times: the result of ZUNION and its
 * kin, of ZRANGESTORE, of GEOSEARCHSTORE.
 *
 * Members go into a map member → score, which becomes the index of the new set when that is large; the order is made at
 * the end, by one sort. Members leave the map only when no more will come, so the addresses of its records stay good.
 */

import { compareBytes } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind } from "../keyspace/kinds.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { LP_EMPTY_BYTES, lpEntrySize, lpInit, lpSplice, lpWriteEntry } from "../structs/listpack.ts"
import { insertIndexScore, ZsetTable } from "../structs/zset-table.ts"
import { replyScore } from "./zset-score.ts"
import { packedScoreSize, writePackedScore } from "./zset-value.ts"

const ROOM_MIN = 256
/** Larger arrays are let go after the command. */
const ROOM_KEPT_MAX = 1 << 16
/** Runs of this length are sorted by insertion before they are merged. */
const RUN = 8
/** Maps up to this size are taken apart at once. */
const RELEASED_AT_ONCE_MAX = 4096

export class ZsetResult {
  /** Members in the set. */
  size = 0
  /** Scores in the order in which members came; NaN where one was removed. */
  scores = new Float64Array(ROOM_MIN)
  private addresses = new Int32Array(ROOM_MIN)
  private order = new Uint32Array(ROOM_MIN)
  private spare = new Uint32Array(ROOM_MIN)
  private map!: ByteMap
  private call!: Call
  private longest = 0
  /** Members that came, those removed since included. */
  private places = 0

  begin(call: Call): void {
    this.call = call
    this.map = call.keyspace.newMap()
    this.size = 0
    this.places = 0
    this.longest = 0
  }

  /** Place of a member that has come before, -1 for a new one. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const { map } = this
    const address = map.find(bytes, start, end)
    if (address === 0) return -1
    map.readValue(address)
    const b = map.valueBytes
    const at = map.valueStart
    return b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)
  }

  /** Adds a member that the last `find` has not found. */
  insert(bytes: Uint8Array, start: number, end: number, score: number): void {
    const place = this.places
    if (place === this.scores.length) this.grow()
    const { map } = this
    // Until the end the record holds the member's place.
    const address = insertIndexScore(map, bytes, start, end, 0)
    const b = map.valueBytes
    const at = map.valueStart
    b[at] = place
    b[at + 1] = place >>> 8
    b[at + 2] = place >>> 16
    b[at + 3] = place >>> 24
    this.addresses[place] = address
    this.scores[place] = score
    this.places = place + 1
    this.size++
    if (end - start > this.longest) this.longest = end - start
  }

  /** Adds a member, unless it has come before. */
  add(bytes: Uint8Array, start: number, end: number, score: number): void {
    if (this.find(bytes, start, end) < 0) this.insert(bytes, start, end, score)
  }

  /** Takes a member out, if it is there. */
  remove(bytes: Uint8Array, start: number, end: number): void {
    const place = this.find(bytes, start, end)
    if (place < 0) return
    this.map.remove(this.addresses[place]!)
    this.scores[place] = Number.NaN
    this.size--
  }

  // ------------------------------------------------------------------ the end: one of these

  /**
   * Stores the set under the key that is argument `i`, in place of what is there, with its event; an empty one removes the
   * key. Returns the size.
   */
  store(i: number, event: string): number {
    const { call, size } = this
    const { args, db, config } = call
    const { keys } = db
    const start = args.starts[i]!
    const end = args.ends[i]!
    const old = db.find(args.bytes, start, end)
    if (size === 0) {
      if (old !== 0) db.remove(old, args.bytes, start, end)
      this.drop()
      return 0
    }
    this.sort()
    if (old !== 0) db.removeQuietly(old)
    const { values } = config
    if (size <= values.zsetMaxListpackEntries && this.longest <= values.zsetMaxListpackValue) {
      this.pack(keys, args.bytes, start, end)
      this.drop()
    } else {
      keys.putObject(args.bytes, start, end, Kind.ZsetTree, this.toTable(), 0)
      this.tidy()
    }
    if (old === 0) call.keyspace.events.notify(Notify.New, "new", db, args.bytes, start, end)
    call.changed(i, Notify.Zset, event)
    return size
  }

  /** Replies with all members in order. */
  reply(withScores: boolean): void {
    const { map, size, addresses, scores } = this
    const { reply } = this.call
    const nested = withScores && reply.resp3
    this.sort()
    reply.array(withScores && !nested ? size * 2 : size)
    for (let i = 0; i < size; i++) {
      const place = this.order[i]!
      map.readKey(addresses[place]!)
      if (nested) reply.array(2)
      reply.bulk(map.keyBytes, map.keyStart, map.keyEnd)
      if (withScores) replyScore(reply, scores[place]!)
    }
    this.drop()
  }

  /** Ends without a result. */
  drop(): void {
    if (this.map.size <= RELEASED_AT_ONCE_MAX) this.map.release(Number.POSITIVE_INFINITY)
    else this.call.keyspace.discard(this.map)
    this.tidy()
  }

  private tidy(): void {
    if (this.scores.length <= ROOM_KEPT_MAX) return
    this.scores = new Float64Array(ROOM_MIN)
    this.addresses = new Int32Array(ROOM_MIN)
    this.order = new Uint32Array(ROOM_MIN)
    this.spare = new Uint32Array(ROOM_MIN)
  }

  private toTable(): ZsetTable {
    const { map, size, order, addresses, scores } = this
    const { heap } = this.call.keyspace
    for (let place = 0; place < this.places; place++) {
      if (!Number.isNaN(scores[place]!)) map.writeNumber(addresses[place]!, scores[place]!)
    }
    return ZsetTable.around(heap, map, addresses, scores, order, size)
  }

  private pack(keys: ByteMap, key: Uint8Array, start: number, end: number): void {
    const { map, size, order, addresses, scores } = this
    let length = LP_EMPTY_BYTES
    for (let i = 0; i < size; i++) {
      const place = order[i]!
      map.readKey(addresses[place]!)
      length += lpEntrySize(map.keyBytes, map.keyStart, map.keyEnd) + packedScoreSize(scores[place]!)
    }
    keys.put(key, start, end, Kind.ZsetPacked, length, 0)
    const b = keys.valueBytes
    const at = keys.valueStart
    let entry = at + lpInit(b, at) - 1
    lpSplice(b, at, entry, entry, length - LP_EMPTY_BYTES, size * 2)
    for (let i = 0; i < size; i++) {
      const place = order[i]!
      map.readKey(addresses[place]!)
      entry = lpWriteEntry(b, entry, map.keyBytes, map.keyStart, map.keyEnd)
      entry = writePackedScore(b, entry, scores[place]!)
    }
  }

  private grow(): void {
    const room = this.scores.length * 2
    const scores = new Float64Array(room)
    scores.set(this.scores)
    this.scores = scores
    const addresses = new Int32Array(room)
    addresses.set(this.addresses)
    this.addresses = addresses
    this.order = new Uint32Array(room)
    this.spare = new Uint32Array(room)
  }

  // ------------------------------------------------------------------ sorting

  /** Puts the places into `order`, ascending by (score, member): a merge sort, which finds runs that are in order already. */
  private sort(): void {
    const { size, order } = this
    for (let place = 0, i = 0; place < this.places; place++) {
      const score = this.scores[place]!
      if (Number.isNaN(score)) continue
      order[i++] = place
      // No -0 in a set.
      this.scores[place] = score + 0
    }
    for (let i = 1; i < size; i++) if (i % RUN !== 0) this.sink(i, i - (i % RUN))
    for (let width = RUN; width < size; width *= 2) {
      for (let from = 0; from < size; from += width * 2) {
        this.merge(from, Math.min(from + width, size), Math.min(from + width * 2, size))
      }
      const merged = this.spare
      this.spare = this.order
      this.order = merged
    }
  }

  /** Moves the place at `i` down to where it belongs in the run that begins at `from`. */
  private sink(i: number, from: number): void {
    const { order } = this
    const place = order[i]!
    let j = i
    for (; j > from && this.precedes(place, order[j - 1]!); j--) order[j] = order[j - 1]!
    order[j] = place
  }

  /** Merges two neighbouring runs of `order` into `spare`. */
  private merge(from: number, middle: number, to: number): void {
    const { order, spare, scores } = this
    let left = from
    let right = middle
    let out = from
    if (middle < to && this.precedes(order[middle]!, order[middle - 1]!)) {
      while (left < middle && right < to) {
        const a = order[left]!
        const b = order[right]!
        const score = scores[a]!
        const other = scores[b]!
        if (score < other || (score === other && !this.precedes(b, a))) {
          spare[out++] = a
          left++
        } else {
          spare[out++] = b
          right++
        }
      }
    }
    while (left < middle) spare[out++] = order[left++]!
    while (right < to) spare[out++] = order[right++]!
  }

  private precedes(a: number, b: number): boolean {
    const { scores } = this
    if (scores[a] !== scores[b]) return scores[a]! < scores[b]!
    const { map, addresses } = this
    map.readKey(addresses[a]!)
    const { keyBytes, keyStart, keyEnd } = map
    map.readKey(addresses[b]!)
    return compareBytes(keyBytes, keyStart, keyEnd, map.keyBytes, map.keyStart, map.keyEnd) < 0
  }
}

/** Shared by all commands; one is at work at a time. */
export const result = new ZsetResult()
