/**
 * What producers of a stream have sent lately, so that a message sent twice is added once: per producer a map from the
 * message's own name (iid) to the id of the entry it became.
 *
 * Invariants
 * 1. A producer's names stand in the order in which they were recorded, and of these only the last `entriesMax` are kept.
 *    A name lives for `durationSeconds` from the time in its entry's id on, so that every copy of the stream agrees
 *    without being told times of its own.
 * 2. Copy-on-write: producers carry the epoch they were made in. fork() copies the map of producers; one of an older epoch
 *    is cloned (at most `entriesMax` names) before it changes.
 */

import { latin1 } from "../bytes/compare.ts"
import type { StreamId } from "./stream-id.ts"

export const DURATION_SECONDS_DEFAULT = 100
export const DURATION_SECONDS_MAX = 86_400
export const ENTRIES_DEFAULT = 100
export const ENTRIES_MAX = 10_000

const OBJECT_BYTES = 200
const PRODUCER_BYTES = 200
const NAME_BYTES = 120
/** Producers looked at for what is over, each time something is recorded. */
const SWEPT_PER_RECORD = 2

interface Producer {
  readonly epoch: number
  readonly ids: Map<string, StreamId>
}

export class StreamIdempotency {
  durationSeconds = DURATION_SECONDS_DEFAULT
  entriesMax = ENTRIES_DEFAULT
  /** Names ever recorded, and messages ever found to have been sent before. */
  added = 0
  duplicates = 0
  /** Names kept now. */
  size = 0
  bytes = OBJECT_BYTES
  private readonly epoch: number
  private producers = new Map<string, Producer>()
  private sweep: IterableIterator<string> | undefined

  constructor(epoch: number) {
    this.epoch = epoch
  }

  get producerCount(): number {
    return this.producers.size
  }

  /** The entry that a producer's message became; undefined when it is new or too long ago. */
  find(producer: string, name: string, nowMs: number): StreamId | undefined {
    const id = this.producers.get(producer)?.ids.get(name)
    return id === undefined || this.isOver(id, nowMs) ? undefined : id
  }

  /** Notes that a message became the entry of that id (copied). */
  record(producer: string, name: string, id: StreamId, nowMs: number): void {
    const { ids } = this.own(producer)
    this.forget(ids, name)
    ids.set(name, id.clone())
    this.size++
    this.bytes += NAME_BYTES + name.length
    this.added++
    this.trim(ids, nowMs)
    for (let i = 0; i < SWEPT_PER_RECORD; i++) this.sweepOne(nowMs)
  }

  /** Sets the bounds (undefined: as before). If that changes one, all names are forgotten. */
  configure(durationSeconds = this.durationSeconds, entriesMax = this.entriesMax): void {
    if (durationSeconds === this.durationSeconds && entriesMax === this.entriesMax) return
    this.durationSeconds = durationSeconds
    this.entriesMax = entriesMax
    this.producers = new Map()
    this.sweep = undefined
    this.size = 0
    this.bytes = OBJECT_BYTES
  }

  /** Forgets everything that is over. O(producers + names that are over). */
  prune(nowMs: number): void {
    for (const producer of [...this.producers.keys()]) this.pruneProducer(producer, nowMs)
  }

  /** All names, producer by producer, oldest first: for whoever writes them down. */
  *entries(): Generator<readonly [producer: string, name: string, id: StreamId]> {
    for (const [producer, { ids }] of this.producers) for (const [name, id] of ids) yield [producer, name, id]
  }

  /** The same, to be written in a later epoch, while this one stays as it is. */
  fork(epoch: number): StreamIdempotency {
    const fork = new StreamIdempotency(epoch)
    fork.durationSeconds = this.durationSeconds
    fork.entriesMax = this.entriesMax
    fork.added = this.added
    fork.duplicates = this.duplicates
    fork.size = this.size
    fork.bytes = this.bytes
    fork.producers = new Map(this.producers)
    return fork
  }

  /** A deep copy. */
  clone(epoch: number): StreamIdempotency {
    const twin = this.fork(epoch)
    twin.producers = new Map()
    for (const [producer, { ids }] of this.producers) twin.producers.set(producer, { epoch, ids: new Map(ids) })
    return twin
  }

  private isOver(id: StreamId, nowMs: number): boolean {
    return nowMs - id.ms > this.durationSeconds * 1000
  }

  private own(name: string): Producer {
    const found = this.producers.get(name)
    if (found !== undefined && found.epoch === this.epoch) return found
    const own = { epoch: this.epoch, ids: new Map(found?.ids) }
    if (found === undefined) this.bytes += PRODUCER_BYTES + name.length
    this.producers.set(name, own)
    return own
  }

  private forget(ids: Map<string, StreamId>, name: string): void {
    if (!ids.delete(name)) return
    this.size--
    this.bytes -= NAME_BYTES + name.length
  }

  private trim(ids: Map<string, StreamId>, nowMs: number): void {
    for (const [name, id] of ids) {
      if (ids.size <= this.entriesMax && !this.isOver(id, nowMs)) return
      this.forget(ids, name)
    }
  }

  private sweepOne(nowMs: number): void {
    this.sweep ??= this.producers.keys()
    const next = this.sweep.next()
    if (next.done) this.sweep = undefined
    else this.pruneProducer(next.value, nowMs)
  }

  private pruneProducer(producer: string, nowMs: number): void {
    const [oldest] = this.producers.get(producer)?.ids.values() ?? []
    if (oldest === undefined || !this.isOver(oldest, nowMs)) return
    const { ids } = this.own(producer)
    this.trim(ids, nowMs)
    if (ids.size > 0) return
    this.producers.delete(producer)
    this.bytes -= PRODUCER_BYTES + producer.length
  }
}

/** A name as the maps above have it. */
export function nameOf(bytes: Uint8Array, start: number, end: number): string {
  return latin1(bytes, start, end)
}
