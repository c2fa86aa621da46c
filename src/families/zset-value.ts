/**
 * One sorted set, opened by its key: the same operations on both its forms, and the passage from one to the other.
 *
 *   Kind.ZsetPacked   a listpack of member, score, member, score … ascending by (score, member); Redis's own layout
 *   Kind.ZsetTree     a ZsetTable; never back, as in Redis
 *
 * OpenZset objects are used again by every command, so that none is made per command; nothing of one outlives the
 * command. Ranks count from 0 at the lowest element.
 */

import { DOUBLE_TEXT_BYTES_MAX, parseDouble, writeDouble } from "../bytes/double.ts"
import type { Call } from "../command/context.ts"
import type { Database } from "../keyspace/db.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, typeOfKind, ValueType } from "../keyspace/kinds.ts"
import {
  LP_EMPTY_BYTES,
  LpEntry,
  lpBytes,
  lpCopyValue,
  lpEnd,
  lpEntryEnd,
  lpEntrySize,
  lpFind,
  lpFirst,
  lpInit,
  lpIntegerSize,
  lpLast,
  lpLength,
  lpOrder,
  lpPrev,
  lpRead,
  lpSeek,
  lpSplice,
  lpWriteEntry,
  lpWriteInteger,
} from "../structs/listpack.ts"
import { ScoreCursor } from "../structs/score-tree.ts"
import { ZsetTable } from "../structs/zset-table.ts"
import type { LexBound, ScoreRange } from "./zset-score.ts"

const END = 0xff
/** A listpack is never let grow beyond this, whatever the configuration allows. */
const PACKED_BYTES_MAX = 1 << 30

const EMPTY = new Uint8Array(0)
const entryScratch = new LpEntry()
const scoreText = new Uint8Array(DOUBLE_TEXT_BYTES_MAX)

/** Score in the score entry of a packed set. */
export function readPackedScore(b: Uint8Array, entry: number): number {
  const head = b[entry]!
  if (head < 0x80) return head
  if (head < 0xc0) return parseDouble(b, entry + 1, entry + 1 + (head & 63)) ?? 0
  lpRead(b, entry, entryScratch)
  return entryScratch.isInt ? entryScratch.int : (parseDouble(b, entryScratch.start, entryScratch.end) ?? 0)
}

/** Bytes a score takes as an entry. Leaves its text in a scratch when it is no safe integer. */
export function packedScoreSize(score: number): number {
  if (Number.isSafeInteger(score)) return lpIntegerSize(score)
  return lpEntrySize(scoreText, 0, writeDouble(scoreText, 0, score))
}

/** Writes a score as an entry; returns the offset behind it. */
export function writePackedScore(b: Uint8Array, at: number, score: number): number {
  if (Number.isSafeInteger(score)) return lpWriteInteger(b, at, score)
  return lpWriteEntry(b, at, scoreText, 0, writeDouble(scoreText, 0, score))
}

export class OpenZset {
  /** Address of the record, 0 when there is no such set. */
  address = 0
  db!: Database
  /** Undefined for the packed form. */
  table: ZsetTable | undefined
  /** Packed form: the listpack, borrowed. */
  bytes: Uint8Array = EMPTY
  at = 0
  /** Score of the member that `find` found. */
  score = 0

  /** What `find` found: the offset of the member's entry, or its address in the table's index. */
  private found = 0
  private call!: Call
  private keyArgument = 1

  // ------------------------------------------------------------------ opening

  /** Opens the set under the key that is argument `i`, for reading. False after WRONGTYPE was answered. */
  read(call: Call, i = 1): boolean {
    return this.open(call, i, call.readTyped(i, ValueType.Zset))
  }

  /** As `read`, for writing. */
  write(call: Call, i = 1): boolean {
    return this.open(call, i, call.writeTyped(i, ValueType.Zset))
  }

  /** Opens the record at an address under the key that is argument `i`; false for the address -1. */
  open(call: Call, i: number, address: number): boolean {
    if (address === -1) return false
    this.call = call
    this.keyArgument = i
    this.db = call.db
    this.load(address)
    return true
  }

  get exists(): boolean {
    return this.address !== 0
  }

  get size(): number {
    if (this.table !== undefined) return this.table.size
    return this.address === 0 ? 0 : lpLength(this.bytes, this.at) >>> 1
  }

  private load(address: number): void {
    this.address = address
    this.table = undefined
    if (address === 0) return
    const { keys } = this.db
    if (keys.type(address) === Kind.ZsetTree) this.table = keys.object(address) as ZsetTable
    else {
      keys.readValue(address)
      this.refresh()
    }
  }

  /** Takes over where the map has just left the packed value. */
  private refresh(): void {
    const { keys } = this.db
    this.bytes = keys.valueBytes
    this.at = keys.valueStart
    this.room = keys.valueEnd - keys.valueStart
  }
  /** Bytes of the packed value's record; more than the listpack while a command is at work. */
  private room = 0

  // ------------------------------------------------------------------ reading

  /** Looks a member up; `score` is its score then. */
  find(bytes: Uint8Array, start: number, end: number): boolean {
    const { table } = this
    if (table !== undefined) {
      const address = table.find(bytes, start, end)
      if (address === 0) return false
      this.found = address
      this.score = table.scoreAt(address)
      return true
    }
    if (this.address === 0) return false
    const b = this.bytes
    const entry = lpFind(b, this.at, lpFirst(b, this.at), bytes, start, end, 1)
    if (entry === -1) return false
    this.found = entry
    this.score = readPackedScore(b, lpEntryEnd(b, entry))
    return true
  }

  findArgument(i: number): boolean {
    const { args } = this.call
    return this.find(args.bytes, args.starts[i]!, args.ends[i]!)
  }

  /** Rank of the member just found, whose bytes these are. */
  rank(bytes: Uint8Array, start: number, end: number): number {
    if (this.table !== undefined) return this.table.tree.rankOf(this.score, bytes, start, end)
    const b = this.bytes
    let rank = 0
    for (let entry = this.at + LP_EMPTY_BYTES - 1; entry < this.found; rank++) {
      entry = lpEntryEnd(b, lpEntryEnd(b, entry))
    }
    return rank
  }

  /** Number of members with a score below `score`, or not above it. */
  countBelow(score: number, inclusive: boolean): number {
    if (this.table !== undefined) return this.table.tree.countBelow(score, inclusive)
    if (this.address === 0) return 0
    const b = this.bytes
    let rank = 0
    for (let entry = this.at + LP_EMPTY_BYTES - 1; b[entry] !== END; rank++) {
      const scoreEntry = lpEntryEnd(b, entry)
      const other = readPackedScore(b, scoreEntry)
      if (inclusive ? other > score : other >= score) break
      entry = lpEntryEnd(b, scoreEntry)
    }
    return rank
  }

  /** Number of members below a member, or not above it, where all scores are the same. */
  private countBelowMember(bytes: Uint8Array, start: number, end: number, inclusive: boolean): number {
    if (this.table !== undefined) return this.table.tree.countBelowMember(bytes, start, end, inclusive)
    if (this.address === 0) return 0
    const b = this.bytes
    let rank = 0
    for (let entry = this.at + LP_EMPTY_BYTES - 1; b[entry] !== END; rank++) {
      const order = lpOrder(b, entry, bytes, start, end)
      if (inclusive ? order > 0 : order >= 0) break
      entry = lpEntryEnd(b, lpEntryEnd(b, entry))
    }
    return rank
  }

  /** Rank of the first member in a range of scores, and rank behind the last one, in `low` and `high` (low >= high: empty). */
  findScores(range: ScoreRange): void {
    const { min, max, minExclusive, maxExclusive } = range
    this.low = min === Number.NEGATIVE_INFINITY && !minExclusive ? 0 : this.countBelow(min, minExclusive)
    this.high = max === Number.POSITIVE_INFINITY && !maxExclusive ? this.size : this.countBelow(max, !maxExclusive)
  }

  /** As `findScores`, for a range of members. */
  findMembers(min: LexBound, max: LexBound): void {
    this.low = this.lexRank(min, min.exclusive)
    this.high = this.lexRank(max, !max.exclusive)
  }
  low = 0
  high = 0

  private lexRank(bound: LexBound, inclusive: boolean): number {
    if (bound.isLowest) return 0
    if (bound.isHighest) return this.size
    return this.countBelowMember(bound.bytes, bound.start, bound.end, inclusive)
  }

  // ------------------------------------------------------------------ writing

  /** Makes an empty set where there is none, with room for a listpack of so many bytes, or as a table. To be filled at once. */
  create(packedBytes: number, asTable: boolean): void {
    const { call, db } = this
    const { args, keyspace } = call
    const { keys } = db
    const start = args.starts[this.keyArgument]!
    const end = args.ends[this.keyArgument]!
    if (asTable) {
      this.table = new ZsetTable(keyspace.heap, keyspace.newMap())
      this.address = keys.putObject(args.bytes, start, end, Kind.ZsetTree, this.table, 0)
    } else {
      this.address = keys.put(args.bytes, start, end, Kind.ZsetPacked, packedBytes, 0)
      this.refresh()
      lpInit(this.bytes, this.at)
    }
    keyspace.events.notify(Notify.New, "new", db, args.bytes, start, end)
  }

  /** Adds a member that the last `find` has not found. */
  add(bytes: Uint8Array, start: number, end: number, score: number): void {
    if (this.table === undefined) {
      const { values } = this.call.config
      if (
        lpLength(this.bytes, this.at) >>> 1 < values.zsetMaxListpackEntries &&
        end - start <= values.zsetMaxListpackValue &&
        this.room + end - start <= PACKED_BYTES_MAX
      ) {
        this.insertPair(bytes, start, end, score)
        return
      }
      this.toTable()
      this.table!.find(bytes, start, end)
    }
    this.table!.add(bytes, start, end, score)
  }

  /** Gives the member just found another score. */
  change(bytes: Uint8Array, start: number, end: number, score: number): void {
    if (this.table !== undefined) {
      this.table.change(this.found, bytes, start, end, this.score, score)
      return
    }
    this.takePairs(this.found, 1)
    this.insertPair(bytes, start, end, score)
  }

  /** Takes away the expiry of the member just found; whether it had one. */
  clearExpiry(bytes: Uint8Array, start: number, end: number): boolean {
    const index = this.table?.index
    if (index === undefined || index.expirySize === 0 || index.expiry(this.found) === 0) return false
    this.found = index.setExpiry(index.find(bytes, start, end), 0)
    return true
  }

  /** Removes the member just found. */
  remove(bytes: Uint8Array, start: number, end: number): void {
    if (this.table !== undefined) this.table.remove(this.found, bytes, start, end, this.score)
    else this.takePairs(this.found, 1)
  }

  /** Removes the members of ranks [from, from + count), all of which exist. */
  removeRange(from: number, count: number): void {
    if (this.table !== undefined) this.table.removeRange(from, count)
    else this.takePairs(lpSeek(this.bytes, this.at, from * 2), count)
  }

  /**
   * Removing members while they are read: `beginCut`, then `cutMember` for each member of the range as the cursor comes
   * to it, then `endCut` with the range, [from, from + count) in ranks.
   */
  beginCut(): void {
    this.table?.beginCut()
  }

  cutMember(at: ZsetCursor): void {
    this.table?.cutMember(at.bytes, at.start, at.end)
  }

  endCut(from: number, count: number): void {
    if (this.table !== undefined) this.table.endCut(from, count)
    else this.takePairs(lpSeek(this.bytes, this.at, from * 2), count)
  }

  /** After the last change of a command: the record takes the size of its value, and the accounts are right. */
  settle(): void {
    if (this.address === 0) return
    const { keys } = this.db
    if (this.table !== undefined) keys.noteObjectBytes(this.address)
    else {
      const length = lpBytes(this.bytes, this.at)
      if (length === this.room) return
      this.address = keys.resizeValue(this.address, length)
      this.refresh()
    }
  }

  /** Settles, and takes the record away when the set is empty, telling nobody; whether it was. */
  settleOrDrop(): boolean {
    if (this.size > 0) {
      this.settle()
      return false
    }
    if (this.address === 0) return false
    this.db.removeQuietly(this.address)
    this.address = 0
    this.table = undefined
    return true
  }

  /** Turns the packed form into a table. */
  toTable(): void {
    if (this.table !== undefined) return
    const { keyspace } = this.call
    const table = new ZsetTable(keyspace.heap, keyspace.newMap())
    for (let more = conversionCursor.first(this); more; more = conversionCursor.next()) {
      const { bytes, start, end, score } = conversionCursor
      table.find(bytes, start, end)
      table.add(bytes, start, end, score)
    }
    this.address = this.db.keys.replaceByObject(this.address, Kind.ZsetTree, table)
    this.table = table
  }

  /** Makes the pair's bytes writable and takes `count` pairs out from the one at `entry`. */
  private takePairs(entry: number, count: number): void {
    const offset = entry - this.at
    this.address = this.db.keys.ownValue(this.address)
    this.refresh()
    const b = this.bytes
    const from = this.at + offset
    let to = from
    for (let i = 0; i < count; i++) to = lpEntryEnd(b, lpEntryEnd(b, to))
    lpSplice(b, this.at, from, to, 0, -2 * count)
  }

  private insertPair(bytes: Uint8Array, start: number, end: number, score: number): void {
    const offset = this.placeOf(bytes, start, end, score) - this.at
    const size = lpEntrySize(bytes, start, end) + packedScoreSize(score)
    const { keys } = this.db
    const length = lpBytes(this.bytes, this.at) + size
    this.address = length > this.room ? keys.resizeValue(this.address, length) : keys.ownValue(this.address)
    this.refresh()
    const entry = this.at + offset
    lpSplice(this.bytes, this.at, entry, entry, size, 2)
    writePackedScore(this.bytes, lpWriteEntry(this.bytes, entry, bytes, start, end), score)
  }

  /** The entry before which (score, member) belongs, or the end byte. */
  private placeOf(bytes: Uint8Array, start: number, end: number, score: number): number {
    const b = this.bytes
    const last = lpLast(b, this.at)
    if (last === -1) return lpEnd(b, this.at)
    const lastScore = readPackedScore(b, last)
    if (lastScore < score || (lastScore === score && lpOrder(b, lpPrev(b, this.at, last), bytes, start, end) < 0)) {
      return lpEnd(b, this.at)
    }
    let entry = this.at + LP_EMPTY_BYTES - 1
    while (b[entry] !== END) {
      const scoreEntry = lpEntryEnd(b, entry)
      const other = readPackedScore(b, scoreEntry)
      if (other > score || (other === score && lpOrder(b, entry, bytes, start, end) > 0)) return entry
      entry = lpEntryEnd(b, scoreEntry)
    }
    return entry
  }
}

/**
 * A position in a set, and the element there: member bytes[start, end), borrowed until the next step, and score. Reused. A write to
 * the set makes it invalid.
 */
export class ZsetCursor {
  bytes: Uint8Array = EMPTY
  start = 0
  end = 0
  score = 0

  private readonly inTree = new ScoreCursor()
  private isTree = false
  private packed: Uint8Array = EMPTY
  private at = 0
  private entry = -1
  private readonly text = new Uint8Array(24)

  /** Goes to the element of that rank; false when there is none. */
  seek(zset: OpenZset, rank: number): boolean {
    if (zset.table !== undefined) {
      this.isTree = true
      return this.inTree.seek(zset.table.tree, rank) && this.show()
    }
    if (zset.address === 0) return false
    return this.seekPacked(zset.bytes, zset.at, rank)
  }

  first(zset: OpenZset): boolean {
    return this.seek(zset, 0)
  }

  next(): boolean {
    if (this.isTree) return this.inTree.next() && this.show()
    if (this.entry === -1) return false
    const b = this.packed
    const entry = lpEntryEnd(b, lpEntryEnd(b, this.entry))
    return this.showPacked(b[entry] === END ? -1 : entry)
  }

  previous(): boolean {
    if (this.isTree) return this.inTree.previous() && this.show()
    if (this.entry === -1) return false
    const scoreEntry = lpPrev(this.packed, this.at, this.entry)
    return this.showPacked(scoreEntry === -1 ? -1 : lpPrev(this.packed, this.at, scoreEntry))
  }

  /** Lets go of the set. */
  release(): void {
    if (this.isTree) this.inTree.release()
    this.packed = EMPTY
    this.bytes = EMPTY
    this.entry = -1
  }

  private seekPacked(b: Uint8Array, at: number, rank: number): boolean {
    this.isTree = false
    this.packed = b
    this.at = at
    return this.showPacked(rank < 0 ? -1 : lpSeek(b, at, rank * 2))
  }

  private show(): boolean {
    const { inTree } = this
    this.bytes = inTree.bytes
    this.start = inTree.start
    this.end = inTree.end
    this.score = inTree.score
    return true
  }

  private showPacked(entry: number): boolean {
    this.entry = entry
    if (entry === -1) return false
    const b = this.packed
    const head = b[entry]!
    if (head >= 0x80 && head < 0xc0) {
      this.bytes = b
      this.start = entry + 1
      this.end = entry + 1 + (head & 63)
    } else {
      lpRead(b, entry, entryScratch)
      if (entryScratch.isInt) {
        this.bytes = this.text
        this.start = 0
        this.end = lpCopyValue(b, entry, this.text, 0)
      } else {
        this.bytes = b
        this.start = entryScratch.start
        this.end = entryScratch.end
      }
    }
    this.score = readPackedScore(b, lpEntryEnd(b, entry))
    return true
  }
}

const conversionCursor = new ZsetCursor()
/** Shared by all commands about one sorted set; one is at work at a time. */
export const zset = new OpenZset()
export const cursor = new ZsetCursor()

/** Address of a sorted set under the key that is argument `i`, 0 when absent, -1 (and nothing answered) for another type. */
export function peekZset(call: Call, i: number): number {
  const address = call.write(i)
  return address === 0 || typeOfKind(call.db.keys.type(address)) === ValueType.Zset ? address : -1
}

/** Removes the record when the set is empty; tells of `changes` changes by `event`, and of the end. */
export function tellRemoved(call: Call, i: number, changes: number, event: string): void {
  const emptied = zset.settleOrDrop()
  const { args, db, keyspace } = call
  call.changed(i, Notify.Zset, event)
  keyspace.events.dirty += changes - 1
  if (emptied) keyspace.events.notify(Notify.Generic, "del", db, args.bytes, args.starts[i]!, args.ends[i]!)
}
