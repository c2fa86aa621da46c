/**
 * Id directory: the upper part of everything in a stream that is ordered by id (blocks of entries, pages of pending
 * entries).
 *
 * Two levels: an array of spans, each an array of up to SPAN_CHUNKS_MAX chunks. A search is two binary searches; a
 * chunk enters or leaves by moving at most one span; a snapshot copies one pointer per span.
 *
 * Invariants
 * 1. Chunks are ordered by `first`, which is not above the first id in the chunk and above the last id of the chunk
 *    before. `first` never changes in a chunk of an older epoch.
 * 2. No span is empty.
 * 3. Copy-on-write: spans and chunks carry the epoch they were made in; those of an older epoch are cloned before they
 *    change.
 */

import type { StreamId } from "./stream-id.ts"

const SPAN_CHUNKS_MAX = 128
/** A span below this joins a neighbour when both together stay below SPAN_CHUNKS_JOINED_MAX. */
const SPAN_CHUNKS_MIN = 16
const SPAN_CHUNKS_JOINED_MAX = 96
const SPAN_OVERHEAD_BYTES = 88
const POINTER_BYTES = 8

export interface IdChunk {
  epoch: number
  first: StreamId
}

export interface Span<Chunk> {
  epoch: number
  chunks: Chunk[]
}

/** The place of a chunk; owned by the caller and reused. */
export class Place {
  span = 0
  chunk = 0
}

/** A directory, live or frozen. */
export class IdDirectoryView<Chunk extends IdChunk> {
  spans: Span<Chunk>[]

  constructor(spans: Span<Chunk>[]) {
    this.spans = spans
  }

  get chunkCount(): number {
    let count = 0
    for (const span of this.spans) count += span.chunks.length
    return count
  }

  at(place: Place): Chunk | undefined {
    return this.spans[place.span]?.chunks[place.chunk]
  }

  /** Points to the last chunk whose `first` is not above the id, or to the very first chunk. False when empty. */
  find(id: StreamId, place: Place): boolean {
    const { spans } = this
    if (spans.length === 0) return false
    let low = 1
    let high = spans.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (spans[middle]!.chunks[0]!.first.compare(id) <= 0) low = middle + 1
      else high = middle
    }
    place.span = low - 1
    const { chunks } = spans[low - 1]!
    low = 1
    high = chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (chunks[middle]!.first.compare(id) <= 0) low = middle + 1
      else high = middle
    }
    place.chunk = low - 1
    return true
  }

  /** Points to the first chunk; false when empty. */
  toFirst(place: Place): boolean {
    place.span = 0
    place.chunk = 0
    return this.spans.length > 0
  }

  /** Points to the last chunk; false when empty. */
  toLast(place: Place): boolean {
    place.span = this.spans.length - 1
    if (place.span < 0) return false
    place.chunk = this.spans[place.span]!.chunks.length - 1
    return true
  }

  /** Moves on to the next chunk; false after the last. */
  toNext(place: Place): boolean {
    const span = this.spans[place.span]
    if (span === undefined) return false
    if (++place.chunk < span.chunks.length) return true
    place.chunk = 0
    return ++place.span < this.spans.length
  }

  /** Moves back to the chunk before; false before the first. */
  toPrevious(place: Place): boolean {
    if (--place.chunk >= 0) return true
    if (--place.span < 0) return false
    place.chunk = this.spans[place.span]!.chunks.length - 1
    return true
  }
}

export class IdDirectory<Chunk extends IdChunk> extends IdDirectoryView<Chunk> {
  epoch: number
  /** Bytes of the directory itself. */
  bytes = 0

  constructor(epoch: number) {
    super([])
    this.epoch = epoch
  }

  /** An exact view of this moment, O(number of spans). `epoch` begins now, above all before. */
  freeze(epoch: number): IdDirectoryView<Chunk> {
    this.epoch = epoch
    return new IdDirectoryView(this.spans.slice())
  }

  /** Puts another chunk, such as a clone, in the place of this one. */
  replace(place: Place, chunk: Chunk): void {
    this.ownSpan(place.span).chunks[place.chunk] = chunk
  }

  append(chunk: Chunk): void {
    const last = this.spans.length - 1
    this.bytes += POINTER_BYTES
    if (last >= 0 && this.spans[last]!.chunks.length < SPAN_CHUNKS_MAX) this.ownSpan(last).chunks.push(chunk)
    else {
      this.spans.push({ epoch: this.epoch, chunks: [chunk] })
      this.bytes += SPAN_OVERHEAD_BYTES
    }
  }

  /** Enters a chunk right behind this place. Places are invalid afterwards. */
  insertAfter(place: Place, chunk: Chunk): void {
    if (place.span === this.spans.length - 1 && place.chunk === this.spans[place.span]!.chunks.length - 1) {
      this.append(chunk)
      return
    }
    const span = this.ownSpan(place.span)
    span.chunks.splice(place.chunk + 1, 0, chunk)
    this.bytes += POINTER_BYTES
    if (span.chunks.length <= SPAN_CHUNKS_MAX) return
    const moved = span.chunks.splice(span.chunks.length >>> 1)
    this.spans.splice(place.span + 1, 0, { epoch: this.epoch, chunks: moved })
    this.bytes += SPAN_OVERHEAD_BYTES
  }

  /** Takes the chunk at this place out; the place then is that of the next chunk, unless spans were joined. */
  remove(place: Place): void {
    const span = this.ownSpan(place.span)
    this.bytes -= POINTER_BYTES
    if (place.chunk === 0) span.chunks.shift()
    else span.chunks.splice(place.chunk, 1)
    if (span.chunks.length === 0) {
      this.spans.splice(place.span, 1)
      this.bytes -= SPAN_OVERHEAD_BYTES
    } else if (span.chunks.length < SPAN_CHUNKS_MIN) this.joinSpan(place.span)
  }

  clear(): void {
    this.spans = []
    this.bytes = 0
  }

  private ownSpan(index: number): Span<Chunk> {
    const span = this.spans[index]!
    if (span.epoch === this.epoch) return span
    const clone = { epoch: this.epoch, chunks: span.chunks.slice() }
    this.spans[index] = clone
    return clone
  }

  private joinSpan(index: number): void {
    const first = index + 1 < this.spans.length ? index : index - 1
    if (first < 0) return
    const left = this.spans[first]!.chunks
    const right = this.spans[first + 1]!.chunks
    if (left.length + right.length > SPAN_CHUNKS_JOINED_MAX) return
    this.spans[first] = { epoch: this.epoch, chunks: left.concat(right) }
    this.spans.splice(first + 1, 1)
    this.bytes -= SPAN_OVERHEAD_BYTES
  }
}
