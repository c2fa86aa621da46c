/**
 * Stream value: what a stream's key holds, the log of its entries and its consumer groups.
 *
 * Invariants
 * 1. Copy-on-write: log and groups have the epoch of the heap on which the key lives, as of the last `own()`. The first
 *    `own()` under a snapshot freezes both and keeps the views until the snapshot ends. A value begun after the snapshot
 *    has nothing in it that the snapshot reads.
 * 2. Every write to `log` or `groups` comes after an `own()` in the same command.
 */

import type { Container } from "./byte-map.ts"
import { IdTableCursor } from "./id-table.ts"
import type { PageHeap } from "./page-heap.ts"
import { type Group, PendingEntry, StreamGroups, type StreamGroupsView, UNOWNED } from "./stream-groups.ts"
import { StreamId } from "./stream-id.ts"
import { StreamIdempotency } from "./stream-idempotency.ts"
import { StreamBlockWalk, StreamLog, type StreamView } from "./stream-log.ts"

const OBJECT_BYTES = 400

/** The state of a stream at the beginning of a snapshot. */
export interface FrozenStream {
  readonly log: StreamView
  readonly groups: StreamGroupsView
  readonly idempotency: StreamIdempotency | undefined
}

export class StreamValue implements Container {
  log: StreamLog
  groups: StreamGroups
  /** What producers have sent lately; undefined where none gives its messages names. */
  idempotency: StreamIdempotency | undefined
  private readonly heap: PageHeap
  private frozen: FrozenStream | undefined

  /** An empty stream with stream-node-max-bytes and stream-node-max-entries as given. */
  constructor(heap: PageHeap, blockBytesMax: number, blockEntriesMax: number) {
    this.heap = heap
    this.log = new StreamLog(blockBytesMax, blockEntriesMax, heap.epoch)
    this.groups = new StreamGroups(heap.epoch)
  }

  get bytes(): number {
    return OBJECT_BYTES + this.log.bytes + this.groups.bytes + (this.idempotency?.bytes ?? 0)
  }

  /** To be called before every write to log or groups. O(1), but for the first time under a snapshot. */
  own(): void {
    if (this.heap.frozenThrough >= this.log.epoch) this.keepFrozen()
  }

  /** What producers have sent lately, made if need be. The value must be owned. */
  trackProducers(): StreamIdempotency {
    this.idempotency ??= new StreamIdempotency(this.heap.epoch)
    return this.idempotency
  }

  /** The state at the beginning of the running snapshot, which must be younger than the value. */
  frozenView(): FrozenStream {
    this.own()
    return this.frozen!
  }

  /** A deep copy. O(bytes of the log and pending entries). */
  clone(): StreamValue {
    const { log } = this
    const twin = new StreamValue(this.heap, log.blockBytesMax, log.blockEntriesMax)
    const walk = new StreamBlockWalk(log)
    while (walk.next()) twin.log.appendBlock(walk.id, walk.bytes, walk.start, walk.end)
    twin.log.lastId.copy(log.lastId)
    twin.log.maxDeletedId.copy(log.maxDeletedId)
    twin.log.entriesAdded = log.entriesAdded
    for (const group of this.groups.sorted()) cloneGroup(group, twin.groups)
    twin.idempotency = this.idempotency?.clone(this.heap.epoch)
    return twin
  }

  /** All is given back at once: there are only chunks to drop, nothing to walk. */
  release(): boolean {
    this.log = new StreamLog()
    this.groups = new StreamGroups()
    this.idempotency = undefined
    this.frozen = undefined
    return true
  }

  private keepFrozen(): void {
    const { epoch } = this.heap
    const { idempotency } = this
    this.frozen = { log: this.log.freeze(epoch), groups: this.groups.freeze(epoch), idempotency }
    this.idempotency = idempotency?.fork(epoch)
    this.heap.afterThaw(() => {
      this.frozen = undefined
    })
  }
}

const cursor = new IdTableCursor()
const id = new StreamId()
const pending = new PendingEntry()

function cloneGroup(group: Group, into: StreamGroups): void {
  const { name } = group
  const twin = into.create(name, 0, name.length)!
  twin.lastId.copy(group.lastId)
  twin.entriesRead = group.entriesRead
  const slots = new Map<number, number>()
  for (const consumer of group.sortedConsumers()) {
    const copy = twin.createConsumer(consumer.name, 0, consumer.name.length, consumer.seenMs)
    copy.activeMs = consumer.activeMs
    slots.set(consumer.slot, copy.slot)
  }
  const unowned: ReturnType<typeof copyOf>[] = []
  for (let on = cursor.seekAtOrAfter(group.pending, id.setMin()); on; on = cursor.next()) {
    pending.read(cursor.words, cursor.at)
    if (pending.slot === UNOWNED) unowned.push(copyOf(pending))
    else twin.setPending(pending.id, slots.get(pending.slot)!, pending.deliveryMs, pending.deliveryCount)
  }
  unowned.sort((a, b) => a.releaseOrder - b.releaseOrder)
  for (const entry of unowned) twin.release(entry.id, entry.deliveryCount)
}

function copyOf({ id, releaseOrder, deliveryCount }: PendingEntry) {
  return { id: id.clone(), releaseOrder, deliveryCount }
}
