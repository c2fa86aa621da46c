/**
 * List value: list chunks as a map holds them, on a heap with snapshots.
 *
 * Invariants
 * 1. Copy-on-write: the list has the epoch of its heap as of the last `own()`. The first `own()` under a snapshot freezes
 *    it and keeps the view until the snapshot ends. A list begun after the snapshot has nothing in it that the snapshot
 *    reads.
 * 2. Every write comes after an `own()` in the same command.
 */

import type { Container } from "./byte-map.ts"
import { ListChunks, ListChunkWalk, type ListView } from "./list-chunks.ts"
import type { PageHeap } from "./page-heap.ts"

const OBJECT_BYTES = 160

export class ListValue extends ListChunks implements Container {
  private readonly heap: PageHeap
  private frozen: ListView | undefined

  /** An empty list with list-max-listpack-size as given. */
  constructor(heap: PageHeap, limit: number) {
    super(limit, heap.epoch)
    this.heap = heap
    this.bytes = OBJECT_BYTES
  }

  /** To be called before every write. O(1), but for the first time under a snapshot. */
  own(): void {
    if (this.heap.frozenThrough >= this.epoch) this.keepFrozen()
  }

  /** The state at the beginning of the running snapshot, which must be younger than the list. */
  frozenView(): ListView {
    this.own()
    return this.frozen!
  }

  /** A deep copy. O(bytes). */
  clone(): ListValue {
    const twin = new ListValue(this.heap, this.limit)
    const walk = new ListChunkWalk(this)
    while (walk.next()) twin.appendListpack(walk.bytes, walk.start)
    return twin
  }

  override clear(): void {
    super.clear()
    this.bytes = OBJECT_BYTES
  }

  /** All is given back at once: there are only chunks to drop, nothing to walk. */
  release(): boolean {
    this.clear()
    this.frozen = undefined
    return true
  }

  private keepFrozen(): void {
    this.frozen = this.freeze(this.heap.epoch)
    this.heap.afterThaw(() => {
      this.frozen = undefined
    })
  }
}
