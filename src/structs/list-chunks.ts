/**
 * List chunks: a large list as a deque of packed chunks, each the body of a listpack.
 *
 * An element costs its bytes plus two or three; both ends push and pop in O(1); an index is found by skipping spans,
 * then chunks, then at most half a chunk of elements.
 *
 *   ListChunks   spans: Span[]           the directory: one pointer per SPAN_CHUNKS_MAX chunks
 *   Span         chunks: ListChunk[]     and the number of elements below
 *   ListChunk    bytes: | gap (6 or more) | entries [head, tail) | end byte | spare |
 *
 * Invariants
 * 1. Entries have the listpack encoding (listpack.ts). The gap has room for a listpack header, which is written only
 *    on export, and bytes[tail] is always the listpack end byte, so a chunk becomes a listpack without a copy.
 * 2. Popping the head moves `head`; no bytes move. A push at an end slides the entries only when that frees a quarter
 *    of their size, so it stays O(1) amortised when a queue turns round within one chunk.
 * 3. No chunk and no span is empty. Chunks respect `limit` (list-max-listpack-size) as it was when they grew; an
 *    element too large for it is alone in its chunk.
 * 4. Copy-on-write: spans and chunks carry the epoch they were made in. freeze() copies the directory; a writer clones
 *    a span or chunk of an older epoch before it changes it.
 * 5. `bytes` is the sum over the live chunks and spans.
 */

import { copyBytes } from "../bytes/compare.ts"
import {
  chunkBytesMax,
  chunkEntriesMax,
  cloneChunk,
  closeGap,
  END,
  entryAt,
  FIRST_CHUNK_BYTES,
  FRAME_BYTES,
  grownCapacity,
  HEADER_BYTES,
  ListChunk,
  openGap,
  rebase,
  Span,
} from "./list-chunk.ts"
import { foundChunk, foundOffset, foundSpan, ListView, locate } from "./list-view.ts"
import { lpBytes, lpCompare, lpEntryEnd, lpEntrySize, lpFind, lpLength, lpPrev, lpWriteEntry } from "./listpack.ts"

export { ListChunkWalk, ListCursor, ListView } from "./list-view.ts"

const SPAN_CHUNKS_MAX = 128
/** A span below this joins a neighbour when both together stay below SPAN_CHUNKS_JOINED_MAX. */
const SPAN_CHUNKS_MIN = 16
const SPAN_CHUNKS_JOINED_MAX = 96

/** What the runtime takes for the objects, apart from the contents of the arrays. */
const CHUNK_OVERHEAD_BYTES = 112
const SPAN_OVERHEAD_BYTES = 96
const POINTER_BYTES = 8

/** The live list. Values that go in are copied; they must not lie in the list itself. */
export class ListChunks extends ListView {
  /** Spans and chunks of an earlier epoch may be shared with a frozen view. */
  epoch: number
  /** Bytes allocated for the live list. */
  bytes = 0
  /** list-max-listpack-size: -1 to -5 for 4 to 64 KB, otherwise elements per chunk. May change at any time. */
  limit: number

  constructor(limit = -2, epoch = 0) {
    super([], 0)
    this.limit = limit
    this.epoch = epoch
  }

  /** An exact read-only view of this moment; O(length / 30,000) or so. `epoch` begins now, above all before. */
  freeze(epoch: number): ListView {
    this.epoch = epoch
    return new ListView(this.spans.slice(), this.length)
  }

  /** Appends the value. O(1) amortised. */
  pushTail(value: Uint8Array, start: number, end: number): void {
    const size = lpEntrySize(value, start, end)
    const spanIndex = this.spans.length - 1
    if (spanIndex >= 0) {
      const { chunks } = this.spans[spanIndex]!
      const chunk = chunks[chunks.length - 1]!
      if (this.fits(chunk, size)) {
        if (chunk.bytes.length - 1 - chunk.tail >= size || this.canTurn(chunk, size)) {
          const span = this.ownSpan(spanIndex)
          this.putTail(this.ownChunk(span, chunks.length - 1), size, value, start, end)
          span.length++
          this.length++
          return
        }
      }
      this.trim(spanIndex, chunks.length - 1)
    }
    const chunk = this.newChunk(size, true)
    this.putTail(chunk, size, value, start, end)
    this.addLastChunk(chunk)
  }

  /** Prepends the value. O(1) amortised. */
  pushHead(value: Uint8Array, start: number, end: number): void {
    const size = lpEntrySize(value, start, end)
    if (this.spans.length > 0) {
      const chunk = this.spans[0]!.chunks[0]!
      if (this.fits(chunk, size)) {
        if (chunk.head - HEADER_BYTES >= size || this.canTurn(chunk, size)) {
          const span = this.ownSpan(0)
          this.putHead(this.ownChunk(span, 0), size, value, start, end)
          span.length++
          this.length++
          return
        }
      }
      this.trim(0, 0)
    }
    const chunk = this.newChunk(size, false)
    this.putHead(chunk, size, value, start, end)
    this.addFirstChunk(chunk)
  }

  /** Drops the first element, if there is one. O(1). */
  popHead(): void {
    if (this.length === 0) return
    const span = this.ownSpan(0)
    if (span.chunks[0]!.count === 1) {
      this.dropChunk(0, 0)
      return
    }
    const chunk = this.ownChunk(span, 0)
    chunk.head = lpEntryEnd(chunk.bytes, chunk.head)
    chunk.count--
    span.length--
    this.length--
  }

  /** Drops the last element, if there is one. O(1). */
  popTail(): void {
    if (this.length === 0) return
    const spanIndex = this.spans.length - 1
    const span = this.ownSpan(spanIndex)
    const chunkIndex = span.chunks.length - 1
    if (span.chunks[chunkIndex]!.count === 1) {
      this.dropChunk(spanIndex, chunkIndex)
      return
    }
    const chunk = this.ownChunk(span, chunkIndex)
    chunk.tail = lpPrev(chunk.bytes, chunk.head - HEADER_BYTES, chunk.tail)
    chunk.bytes[chunk.tail] = END
    chunk.count--
    span.length--
    this.length--
  }

  /** Puts the value before element `index`; `index` = length appends. */
  insert(index: number, value: Uint8Array, start: number, end: number): void {
    if (index >= this.length) {
      this.pushTail(value, start, end)
      return
    }
    if (index <= 0) {
      this.pushHead(value, start, end)
      return
    }
    // Behind the element before: on a boundary that chunk is as good a place.
    locate(this, index - 1)
    this.insertAt(foundSpan, foundChunk, foundOffset + 1, value, start, end)
  }

  /** Puts the value in the place of element `index`, which exists. */
  set(index: number, value: Uint8Array, start: number, end: number): void {
    locate(this, index)
    const spanIndex = foundSpan
    const chunkIndex = foundChunk
    const offset = foundOffset
    const size = lpEntrySize(value, start, end)
    const present = this.spans[spanIndex]!.chunks[chunkIndex]!
    const entry = entryAt(present, offset)
    const behind = lpEntryEnd(present.bytes, entry)
    if (behind - entry === size || present.count === 1 || this.fits(present, size - (behind - entry), 0)) {
      const chunk = this.ownChunk(this.ownSpan(spanIndex), chunkIndex)
      if (behind - entry !== size) {
        const before = chunk.bytes.length
        // Offsets below the entry may move with openGap, so the way is close first, open then.
        const front = entry - chunk.head
        closeGap(chunk, entry, behind)
        const at = openGap(chunk, chunk.head + front, size, chunkBytesMax(this.limit))
        lpWriteEntry(chunk.bytes, at, value, start, end)
        this.shrink(chunk)
        this.bytes += chunk.bytes.length - before
        if (size < behind - entry) this.compact(spanIndex, chunkIndex)
      } else lpWriteEntry(chunk.bytes, entry, value, start, end)
      return
    }
    const chunk = this.ownChunk(this.ownSpan(spanIndex), chunkIndex)
    closeGap(chunk, entry, behind)
    chunk.count--
    this.spans[spanIndex]!.length--
    this.length--
    this.insertAt(spanIndex, chunkIndex, offset, value, start, end)
  }

  /** Drops elements [index, index + count). Whole chunks go unread; O(log n + chunks dropped). */
  removeRange(index: number, count: number): void {
    if (index < 0) {
      count += index
      index = 0
    }
    let rest = Math.min(count, this.length - index)
    if (rest <= 0) return
    if (rest === this.length) {
      this.clear()
      return
    }
    while (rest > 0) {
      locate(this, index)
      const spanIndex = foundSpan
      const chunkIndex = foundChunk
      const offset = foundOffset
      const present = this.spans[spanIndex]!
      if (chunkIndex === 0 && offset === 0 && rest >= present.length) {
        rest -= present.length
        this.dropSpan(spanIndex)
        continue
      }
      const run = Math.min(rest, present.chunks[chunkIndex]!.count - offset)
      rest -= run
      if (run === present.chunks[chunkIndex]!.count) {
        this.dropChunk(spanIndex, chunkIndex)
        continue
      }
      const span = this.ownSpan(spanIndex)
      const chunk = this.ownChunk(span, chunkIndex)
      const from = entryAt(chunk, offset)
      closeGap(chunk, from, entryAt(chunk, offset + run))
      chunk.count -= run
      span.length -= run
      this.length -= run
      if (rest === 0) this.compact(spanIndex, chunkIndex)
    }
  }

  /**
   * Drops up to `count` elements equal to the value, from the head or the tail on; returns how many. O(n); chunks
   * without a match are only read.
   */
  removeMatching(count: number, fromTail: boolean, value: Uint8Array, start: number, end: number): number {
    const step = fromTail ? -1 : 1
    let removed = 0
    let spanIndex = fromTail ? this.spans.length - 1 : 0
    let chunkIndex = this.firstChunk(spanIndex, fromTail)
    while (removed < count && spanIndex >= 0 && spanIndex < this.spans.length) {
      const { chunks } = this.spans[spanIndex]!
      const chunk = chunks[chunkIndex]
      if (chunk === undefined) {
        spanIndex += step
        chunkIndex = this.firstChunk(spanIndex, fromTail)
        continue
      }
      if (lpFind(chunk.bytes, 0, chunk.head, value, start, end, 0) === -1) {
        chunkIndex += step
        continue
      }
      const spansBefore = this.spans.length
      const chunksBefore = chunks.length
      removed += this.removeInChunk(spanIndex, chunkIndex, count - removed, fromTail, value, start, end)
      if (this.spans.length < spansBefore) {
        if (fromTail) spanIndex--
        chunkIndex = this.firstChunk(spanIndex, fromTail)
      } else if (fromTail || this.spans[spanIndex]!.chunks.length === chunksBefore) chunkIndex += step
    }
    return removed
  }

  /** Appends a validated listpack at [at] of `source`, which is copied, as one chunk. */
  appendListpack(source: Uint8Array, at: number): void {
    const count = lpLength(source, at)
    if (count === 0) return
    const total = lpBytes(source, at)
    const chunk = new ListChunk(this.epoch, total, HEADER_BYTES)
    copyBytes(source, at + HEADER_BYTES, at + total, chunk.bytes, HEADER_BYTES)
    chunk.tail = total - 1
    chunk.count = count
    this.bytes += CHUNK_OVERHEAD_BYTES + total
    this.addLastChunk(chunk)
  }

  /** Drops everything, O(1). */
  clear(): void {
    this.spans = []
    this.length = 0
    this.bytes = 0
  }

  // ---- chunks of this list

  /** Index of the chunk of the span that comes first in that direction. */
  private firstChunk(spanIndex: number, fromTail: boolean): number {
    const span = this.spans[spanIndex]
    return fromTail && span !== undefined ? span.chunks.length - 1 : 0
  }

  private fits(chunk: ListChunk, size: number, entries = 1): boolean {
    return (
      chunk.count + entries <= chunkEntriesMax(this.limit) &&
      FRAME_BYTES + chunk.tail - chunk.head + size <= chunkBytesMax(this.limit)
    )
  }

  /** May the chunk make room at an end: by a larger array, or by sliding entries when that frees enough? */
  private canTurn(chunk: ListChunk, size: number): boolean {
    const used = chunk.tail - chunk.head
    return (
      chunk.bytes.length < chunkBytesMax(this.limit) || chunk.bytes.length - FRAME_BYTES - used >= (used >> 2) + size
    )
  }

  /** A chunk for at least one entry of `size`, which is to be filled from the front or from the back. */
  private newChunk(size: number, fromFront: boolean): ListChunk {
    const max = chunkBytesMax(this.limit)
    const needed = FRAME_BYTES + size
    // A list with chunks already will likely fill this one too.
    const capacity = this.length > 0 && this.limit < 0 && needed < max ? max : grownCapacity(needed, max)
    this.bytes += CHUNK_OVERHEAD_BYTES + capacity
    return new ListChunk(this.epoch, capacity, fromFront ? HEADER_BYTES : capacity - 1)
  }

  private putTail(chunk: ListChunk, size: number, value: Uint8Array, start: number, end: number): void {
    if (chunk.bytes.length - 1 - chunk.tail < size) this.turn(chunk, size, true)
    const tail = lpWriteEntry(chunk.bytes, chunk.tail, value, start, end)
    chunk.bytes[tail] = END
    chunk.tail = tail
    chunk.count++
  }

  private putHead(chunk: ListChunk, size: number, value: Uint8Array, start: number, end: number): void {
    if (chunk.head - HEADER_BYTES < size) this.turn(chunk, size, false)
    const head = chunk.head - size
    lpWriteEntry(chunk.bytes, head, value, start, end)
    chunk.head = head
    chunk.count++
  }

  /** Makes room for an entry at an end, in a larger array unless the present one has enough to spare. */
  private turn(chunk: ListChunk, size: number, atTail: boolean): void {
    const before = chunk.bytes.length
    const used = chunk.tail - chunk.head
    const enough = before - FRAME_BYTES - used >= (used >> 2) + size
    const capacity = enough ? before : this.grow(used + size)
    // The only chunk may be pushed to at its other end next, which gets a share.
    const alone = this.spans.length === 1 && this.spans[0]!.chunks.length === 1
    const share = alone ? (capacity - FRAME_BYTES - used - size) >> 2 : 0
    rebase(chunk, capacity, atTail ? HEADER_BYTES + share : capacity - 1 - used - share)
    this.bytes += capacity - before
  }

  private grow(entryBytes: number): number {
    return grownCapacity(FRAME_BYTES + entryBytes, chunkBytesMax(this.limit))
  }

  /** Gives back the spare bytes of a chunk that is left behind, when they are many. */
  private trim(spanIndex: number, chunkIndex: number): void {
    const present = this.spans[spanIndex]!.chunks[chunkIndex]!
    const needed = FRAME_BYTES + present.tail - present.head
    // A shared chunk would have to be cloned first.
    if (present.epoch !== this.epoch || present.bytes.length - needed <= present.bytes.length >> 3) return
    this.bytes += needed - present.bytes.length
    rebase(present, needed, HEADER_BYTES)
  }

  /** Gives back three quarters of an array that is mostly empty. The caller accounts for it. */
  private shrink(chunk: ListChunk): void {
    const needed = FRAME_BYTES + chunk.tail - chunk.head
    if (chunk.bytes.length > FIRST_CHUNK_BYTES && needed * 4 < chunk.bytes.length) {
      rebase(chunk, Math.max(needed * 2, FIRST_CHUNK_BYTES), HEADER_BYTES)
    }
  }

  /** Inserts before element `offset` of the chunk (its count: appends), splitting it when full. */
  private insertAt(
    spanIndex: number,
    chunkIndex: number,
    offset: number,
    value: Uint8Array,
    start: number,
    end: number,
  ): void {
    const size = lpEntrySize(value, start, end)
    const present = this.spans[spanIndex]!.chunks[chunkIndex]!
    if (this.fits(present, size)) {
      this.insertInto(spanIndex, chunkIndex, offset, size, value, start, end)
      return
    }
    if (offset > 0 && offset < present.count) this.splitChunk(spanIndex, chunkIndex, offset)
    // Now the place is between two chunks; the indexes hold unless the span was halved.
    const after = offset > 0 ? chunkIndex + 1 : chunkIndex
    if (after > 0 && this.fitsAt(spanIndex, after - 1, size)) {
      const { count } = this.spans[spanIndex]!.chunks[after - 1]!
      this.insertInto(spanIndex, after - 1, count, size, value, start, end)
    } else if (this.fitsAt(spanIndex, after, size)) {
      this.insertInto(spanIndex, after, 0, size, value, start, end)
    } else {
      const chunk = new ListChunk(this.epoch, FRAME_BYTES + size, HEADER_BYTES)
      this.bytes += CHUNK_OVERHEAD_BYTES + chunk.bytes.length
      this.putTail(chunk, size, value, start, end)
      this.addChunk(spanIndex, after, chunk)
    }
    this.halveSpan(spanIndex)
  }

  private fitsAt(spanIndex: number, chunkIndex: number, size: number): boolean {
    const chunk = this.spans[spanIndex]!.chunks[chunkIndex]
    return chunk !== undefined && this.fits(chunk, size)
  }

  private insertInto(
    spanIndex: number,
    chunkIndex: number,
    offset: number,
    size: number,
    value: Uint8Array,
    start: number,
    end: number,
  ): void {
    const span = this.ownSpan(spanIndex)
    const chunk = this.ownChunk(span, chunkIndex)
    const before = chunk.bytes.length
    const at = openGap(chunk, entryAt(chunk, offset), size, chunkBytesMax(this.limit))
    lpWriteEntry(chunk.bytes, at, value, start, end)
    this.bytes += chunk.bytes.length - before
    chunk.count++
    span.length++
    this.length++
  }

  /** Moves the elements from `offset` on into a new chunk right behind. The span may be one too long afterwards. */
  private splitChunk(spanIndex: number, chunkIndex: number, offset: number): void {
    const span = this.ownSpan(spanIndex)
    const left = this.ownChunk(span, chunkIndex)
    const from = entryAt(left, offset)
    const moved = left.tail - from
    const right = new ListChunk(this.epoch, this.grow(moved), HEADER_BYTES)
    copyBytes(left.bytes, from, left.tail + 1, right.bytes, HEADER_BYTES)
    right.tail = HEADER_BYTES + moved
    right.count = left.count - offset
    left.tail = from
    left.count = offset
    left.bytes[from] = END
    const before = left.bytes.length
    this.shrink(left)
    this.bytes += CHUNK_OVERHEAD_BYTES + right.bytes.length + left.bytes.length - before + POINTER_BYTES
    span.chunks.splice(chunkIndex + 1, 0, right)
  }

  /** removeMatching() in one chunk. */
  private removeInChunk(
    spanIndex: number,
    chunkIndex: number,
    count: number,
    fromTail: boolean,
    value: Uint8Array,
    start: number,
    end: number,
  ): number {
    const span = this.ownSpan(spanIndex)
    const chunk = this.ownChunk(span, chunkIndex)
    let removed = 0
    if (fromTail) {
      let entry = chunk.tail
      while (removed < count && entry > chunk.head) {
        entry = lpPrev(chunk.bytes, chunk.head - HEADER_BYTES, entry)
        if (!lpCompare(chunk.bytes, entry, value, start, end)) continue
        const behind = lpEntryEnd(chunk.bytes, entry)
        const { head } = chunk
        closeGap(chunk, entry, behind)
        if (chunk.head !== head) entry = behind
        removed++
      }
    } else {
      let entry = chunk.head
      while (removed < count) {
        entry = lpFind(chunk.bytes, 0, entry, value, start, end, 0)
        if (entry === -1) break
        const behind = lpEntryEnd(chunk.bytes, entry)
        const { head } = chunk
        closeGap(chunk, entry, behind)
        if (chunk.head !== head) entry = behind
        removed++
      }
    }
    chunk.count -= removed
    span.length -= removed
    this.length -= removed
    if (chunk.count === 0) this.dropChunk(spanIndex, chunkIndex)
    else {
      const before = chunk.bytes.length
      this.shrink(chunk)
      this.bytes += chunk.bytes.length - before
    }
    return removed
  }

  /** Joins a chunk that has become small with a neighbour in its span, or shrinks it. */
  private compact(spanIndex: number, chunkIndex: number): void {
    const { chunks } = this.spans[spanIndex]!
    const used = chunks[chunkIndex]!.tail - chunks[chunkIndex]!.head
    if (used * 4 < chunkBytesMax(this.limit)) {
      if (this.joinChunks(spanIndex, chunkIndex) || this.joinChunks(spanIndex, chunkIndex - 1)) return
    }
    const chunk = this.ownChunk(this.ownSpan(spanIndex), chunkIndex)
    const before = chunk.bytes.length
    this.shrink(chunk)
    this.bytes += chunk.bytes.length - before
  }

  /** Joins a chunk and the next in its span when together they are at most half full. */
  private joinChunks(spanIndex: number, chunkIndex: number): boolean {
    const { chunks } = this.spans[spanIndex]!
    const left = chunks[chunkIndex]
    const right = chunks[chunkIndex + 1]
    if (left === undefined || right === undefined) return false
    const leftBytes = left.tail - left.head
    const rightBytes = right.tail - right.head
    if ((FRAME_BYTES + leftBytes + rightBytes) * 2 > chunkBytesMax(this.limit)) return false
    if (left.count + right.count > chunkEntriesMax(this.limit)) return false
    const joined = new ListChunk(this.epoch, this.grow(leftBytes + rightBytes), HEADER_BYTES)
    copyBytes(left.bytes, left.head, left.tail, joined.bytes, HEADER_BYTES)
    copyBytes(right.bytes, right.head, right.tail + 1, joined.bytes, HEADER_BYTES + leftBytes)
    joined.tail = HEADER_BYTES + leftBytes + rightBytes
    joined.count = left.count + right.count
    this.bytes += joined.bytes.length - left.bytes.length - right.bytes.length - CHUNK_OVERHEAD_BYTES - POINTER_BYTES
    const span = this.ownSpan(spanIndex)
    span.chunks[chunkIndex] = joined
    span.chunks.splice(chunkIndex + 1, 1)
    this.joinSpan(spanIndex)
    return true
  }

  // ---- directory

  private ownSpan(index: number): Span {
    const span = this.spans[index]!
    if (span.epoch === this.epoch) return span
    const clone = new Span(this.epoch, span.chunks.slice(), span.length)
    this.spans[index] = clone
    return clone
  }

  /** The chunk, writable; `span` is owned. */
  private ownChunk(span: Span, index: number): ListChunk {
    const chunk = span.chunks[index]!
    if (chunk.epoch === this.epoch) return chunk
    const clone = cloneChunk(chunk, this.epoch)
    span.chunks[index] = clone
    return clone
  }

  /** Enters a filled chunk at this place of the span, which may be one too long afterwards. */
  private addChunk(spanIndex: number, chunkIndex: number, chunk: ListChunk): void {
    const span = this.ownSpan(spanIndex)
    span.chunks.splice(chunkIndex, 0, chunk)
    span.length += chunk.count
    this.length += chunk.count
    this.bytes += POINTER_BYTES
  }

  private addLastChunk(chunk: ListChunk): void {
    const last = this.spans.length - 1
    if (last >= 0 && this.spans[last]!.chunks.length < SPAN_CHUNKS_MAX) {
      this.addChunk(last, this.spans[last]!.chunks.length, chunk)
      return
    }
    this.spans.push(this.spanOf(chunk))
  }

  private addFirstChunk(chunk: ListChunk): void {
    if (this.spans.length > 0 && this.spans[0]!.chunks.length < SPAN_CHUNKS_MAX) this.addChunk(0, 0, chunk)
    else this.spans.unshift(this.spanOf(chunk))
  }

  private spanOf(chunk: ListChunk): Span {
    this.length += chunk.count
    this.bytes += SPAN_OVERHEAD_BYTES + POINTER_BYTES
    return new Span(this.epoch, [chunk], chunk.count)
  }

  private dropChunk(spanIndex: number, chunkIndex: number): void {
    const span = this.ownSpan(spanIndex)
    const chunk = span.chunks[chunkIndex]!
    if (span.chunks.length === 1) {
      this.dropSpan(spanIndex)
      return
    }
    if (chunkIndex === 0) span.chunks.shift()
    else span.chunks.splice(chunkIndex, 1)
    span.length -= chunk.count
    this.length -= chunk.count
    this.bytes -= CHUNK_OVERHEAD_BYTES + chunk.bytes.length + POINTER_BYTES
  }

  private dropSpan(spanIndex: number): void {
    const span = this.spans[spanIndex]!
    this.length -= span.length
    this.bytes -= SPAN_OVERHEAD_BYTES
    for (const chunk of span.chunks) this.bytes -= CHUNK_OVERHEAD_BYTES + chunk.bytes.length + POINTER_BYTES
    if (spanIndex === 0) this.spans.shift()
    else this.spans.splice(spanIndex, 1)
  }

  private halveSpan(spanIndex: number): void {
    if (this.spans[spanIndex]!.chunks.length <= SPAN_CHUNKS_MAX) return
    const left = this.ownSpan(spanIndex)
    const moved = left.chunks.splice(left.chunks.length >>> 1)
    let length = 0
    for (const chunk of moved) length += chunk.count
    left.length -= length
    this.spans.splice(spanIndex + 1, 0, new Span(this.epoch, moved, length))
    this.bytes += SPAN_OVERHEAD_BYTES
  }

  /** Joins a span that has become short with the next or the one before. */
  private joinSpan(spanIndex: number): void {
    if (this.spans[spanIndex]!.chunks.length >= SPAN_CHUNKS_MIN) return
    const first = spanIndex + 1 < this.spans.length ? spanIndex : spanIndex - 1
    if (first < 0) return
    const left = this.spans[first]!
    const right = this.spans[first + 1]!
    if (left.chunks.length + right.chunks.length > SPAN_CHUNKS_JOINED_MAX) return
    this.spans[first] = new Span(this.epoch, left.chunks.concat(right.chunks), left.length + right.length)
    this.spans.splice(first + 1, 1)
    this.bytes -= SPAN_OVERHEAD_BYTES
  }
}
