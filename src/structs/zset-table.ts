/**
 * Zset table: a large sorted set, an index by member beside a tree by score.
 *
 *   index   ByteMap member → score, eight bytes of the double in the machine's order
 *   tree    ScoreTree of the same (score, member) pairs
 *
 * A member's record in the index may have an expiry, which this file carries along and nothing here looks at.
 *
 * Invariants
 * 1. Both hold the same pairs. No score is NaN or -0.
 * 2. Copy-on-write: the index follows the heap's epochs by itself. The tree is frozen on its first write under a
 *    snapshot: then `tree.epoch` is the heap's, so that nodes which the snapshot reads are cloned before they change.
 *    A tree begun after the snapshot has nothing in it that the snapshot reads.
 */

import { ByteMap, type Container, type FrozenMap } from "./byte-map.ts"
import type { PageHeap } from "./page-heap.ts"
import { type FrozenScoreTree, ScoreCursor, ScoreTree } from "./score-tree.ts"

const OBJECT_BYTES = 256
const SCORE_BYTES = 8

const walk = new ScoreCursor()

/** The state of a table at the beginning of a snapshot; good until its end. */
export interface FrozenZset {
  readonly index: FrozenMap
  readonly tree: FrozenScoreTree
}

/** Adds a member that the index's last `find` has not found; returns its address. */
export function insertIndexScore(
  index: ByteMap,
  member: Uint8Array,
  start: number,
  end: number,
  score: number,
): number {
  const address = index.insertNew(member, start, end, 0, SCORE_BYTES, 0)
  index.writeNumber(address, score)
  return address
}

export class ZsetTable implements Container {
  readonly index: ByteMap
  readonly tree: ScoreTree
  private readonly heap: PageHeap
  private frozenTree: FrozenScoreTree | undefined

  /** `index` is an empty map on `heap`. */
  constructor(heap: PageHeap, index: ByteMap) {
    this.heap = heap
    this.index = index
    this.tree = new ScoreTree(heap.epoch)
  }

  /**
   * A table around an index that is filled already; `addresses[order[i]]` are the addresses of its records and `scores[order[i]]`
   * their scores, ascending with i. Takes the index over.
   */
  static around(
    heap: PageHeap,
    index: ByteMap,
    addresses: Int32Array,
    scores: Float64Array,
    order: Uint32Array,
    count: number,
  ): ZsetTable {
    const table = new ZsetTable(heap, index)
    const { tree } = table
    for (let i = 0; i < count; i++) {
      const at = order[i]!
      index.readKey(addresses[at]!)
      tree.insert(scores[at]!, index.keyBytes, index.keyStart, index.keyEnd)
    }
    return table
  }

  get size(): number {
    return this.index.size
  }

  get bytes(): number {
    return OBJECT_BYTES + this.index.bytes + this.tree.bytes
  }

  /** Address of a member in the index, 0 when absent. */
  find(member: Uint8Array, start: number, end: number): number {
    return this.index.find(member, start, end)
  }

  scoreAt(address: number): number {
    return this.index.readNumber(address)
  }

  /** Score of a member, NaN when absent. */
  score(member: Uint8Array, start: number, end: number): number {
    const address = this.index.find(member, start, end)
    return address === 0 ? Number.NaN : this.index.readNumber(address)
  }

  /** Adds a member that the last `find` has not found. */
  add(member: Uint8Array, start: number, end: number, score: number): void {
    this.thaw()
    insertIndexScore(this.index, member, start, end, score)
    this.tree.insert(score, member, start, end)
  }

  /** Gives the member at `address` in the index, which has the score `from`, the score `to`. */
  change(address: number, member: Uint8Array, start: number, end: number, from: number, to: number): void {
    this.thaw()
    this.tree.update(from, to, member, start, end)
    this.index.writeNumber(this.index.ownValue(address), to)
  }

  /** Removes the member at `address` in the index, which has that score. The member's bytes are the caller's. */
  remove(address: number, member: Uint8Array, start: number, end: number, score: number): void {
    this.thaw()
    this.tree.delete(score, member, start, end)
    this.index.remove(address)
  }

  /** Removes the members of ranks [from, from + count), all of which exist. */
  removeRange(from: number, count: number): void {
    this.beginCut()
    walk.seek(this.tree, from)
    for (let i = 0; i < count; i++) {
      this.cutMember(walk.bytes, walk.start, walk.end)
      walk.next()
    }
    walk.release()
    this.endCut(from, count)
  }

  /** The steps of `removeRange`, for who walks over the range anyway. Between the first and the last the two halves differ. */
  beginCut(): void {
    this.thaw()
  }

  /** The tree, and so a cursor in it, stays as it is. */
  cutMember(member: Uint8Array, start: number, end: number): void {
    this.index.delete(member, start, end)
  }

  endCut(from: number, count: number): void {
    this.tree.deleteRange(from, count)
  }

  clone(): ZsetTable {
    const twin = new ZsetTable(this.heap, new ByteMap(this.heap, this.index.hasher))
    const cursor = new ScoreCursor()
    for (let more = cursor.seek(this.tree, 0); more; more = cursor.next()) {
      twin.find(cursor.bytes, cursor.start, cursor.end)
      twin.add(cursor.bytes, cursor.start, cursor.end, cursor.score)
      if (this.index.expirySize > 0) this.copyExpiry(cursor, twin)
    }
    return twin
  }

  /** Gives the member at a cursor, just added to the twin, the expiry it has here. */
  private copyExpiry({ bytes, start, end }: ScoreCursor, twin: ZsetTable): void {
    const expiry = this.index.expiry(this.index.find(bytes, start, end))
    if (expiry !== 0) twin.index.setExpiry(twin.index.find(bytes, start, end), expiry)
  }

  release(budget: number): boolean {
    if (!this.index.release(budget)) return false
    this.tree.clear()
    this.frozenTree = undefined
    return true
  }

  /** The state at the beginning of the running snapshot, which must be younger than the table. */
  frozenView(): FrozenZset {
    const index = this.index.frozenView()
    this.thaw()
    return { index, tree: this.frozenTree! }
  }

  /** Before every write. */
  private thaw(): void {
    if (this.heap.frozenThrough >= this.tree.epoch) this.keepFrozen()
  }

  private keepFrozen(): void {
    this.frozenTree = this.tree.freeze(this.heap.epoch)
    this.heap.afterThaw(() => {
      this.frozenTree = undefined
    })
  }
}
