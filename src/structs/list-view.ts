/**
 * Reading a list, live or frozen: by index, by value, in both directions, and as listpacks. See list-chunks.ts.
 */

import { entryAt, HEADER_BYTES, type ListChunk, type Span } from "./list-chunk.ts"
import { type LpEntry, lpCompare, lpCopyValue, lpEntryEnd, lpFind, lpPrev, lpRead, lpValueLength } from "./listpack.ts"

const EMPTY = new Uint8Array(0)

/** What can be asked of a list, live or frozen. */
export class ListView {
  /** Internal: the directory. */
  spans: Span[]
  /** Number of elements. */
  length: number

  constructor(spans: Span[], length: number) {
    this.spans = spans
    this.length = length
  }

  /** Number of chunks. O(number of spans). */
  get chunkCount(): number {
    let count = 0
    for (const span of this.spans) count += span.chunks.length
    return count
  }
}

/**
 * A position in a list or frozen view, and the element there. Reused; moving allocates nothing.
 *
 * The element is the listpack entry at `entry` of `bytes`, borrowed from the list. Any write to the list makes its
 * cursors invalid until the next seek; cursors on a frozen view stay valid. A cursor keeps the list alive until it
 * runs off an end or is released.
 */
export class ListCursor {
  /** Index of the element in the list. */
  index = 0
  bytes: Uint8Array = EMPTY
  /** Offset of the listpack entry in `bytes`. */
  entry = 0

  private view: ListView | null = null
  private chunk: ListChunk | null = null
  private spanIndex = 0
  private chunkIndex = 0
  /** The chunk in which findBackwards() knows that its value occurs. */
  private sifted: ListChunk | null = null

  /** Goes to the element at `index` (0 up to length - 1); false (and released) when there is none. */
  seek(view: ListView, index: number): boolean {
    if (!(index >= 0 && index < view.length)) {
      this.release()
      return false
    }
    locate(view, index)
    const chunk = view.spans[foundSpan]!.chunks[foundChunk]!
    this.view = view
    this.chunk = chunk
    this.spanIndex = foundSpan
    this.chunkIndex = foundChunk
    this.sifted = null
    this.index = index
    this.bytes = chunk.bytes
    this.entry = entryAt(chunk, foundOffset)
    return true
  }

  /** Goes to the next element; false (and released) after the last. */
  next(): boolean {
    const chunk = this.chunk
    if (chunk === null) return false
    this.index++
    this.entry = lpEntryEnd(this.bytes, this.entry)
    return this.entry < chunk.tail || this.nextChunk()
  }

  /** Goes to the element before; false (and released) before the first. */
  previous(): boolean {
    const chunk = this.chunk
    if (chunk === null) return false
    this.index--
    if (this.entry > chunk.head) {
      this.entry = lpPrev(this.bytes, chunk.head - HEADER_BYTES, this.entry)
      return true
    }
    return this.previousChunk()
  }

  /** Goes to the first element from here on, this one included, that equals the value; false (and released) if none. */
  find(value: Uint8Array, start: number, end: number): boolean {
    while (this.chunk !== null) {
      const found = lpFind(this.bytes, 0, this.entry, value, start, end, 0)
      if (found !== -1) {
        while (this.entry < found) {
          this.entry = lpEntryEnd(this.bytes, this.entry)
          this.index++
        }
        return true
      }
      // Only in the chunk begun with, elements have to be counted.
      if (this.entry === this.chunk.head) this.index += this.chunk.count
      else this.index += entriesBetween(this.bytes, this.entry, this.chunk.tail)
      this.nextChunk()
    }
    return false
  }

  /** Goes to the nearest element from here on to the head, this one included, that equals the value; see find(). */
  findBackwards(value: Uint8Array, start: number, end: number): boolean {
    while (this.chunk !== null) {
      const { chunk } = this
      if (this.sifted !== chunk) {
        // A search in reading order is faster than steps against it, and mostly there is nothing to be found.
        this.sifted = chunk
        if (lpFind(this.bytes, 0, chunk.head, value, start, end, 0) === -1) {
          const behind = lpEntryEnd(this.bytes, this.entry)
          this.index -= behind >= chunk.tail ? chunk.count : entriesBetween(this.bytes, chunk.head, behind)
          this.previousChunk()
          continue
        }
      }
      while (this.chunk === chunk) {
        if (lpCompare(this.bytes, this.entry, value, start, end)) return true
        this.previous()
      }
    }
    return false
  }

  /** Does the element equal the value? */
  equals(value: Uint8Array, start: number, end: number): boolean {
    return lpCompare(this.bytes, this.entry, value, start, end)
  }

  /** Decodes the element; a string's range is in `bytes`. */
  read(out: LpEntry): void {
    lpRead(this.bytes, this.entry, out)
  }

  /** Length of the element as text. */
  valueLength(): number {
    return lpValueLength(this.bytes, this.entry)
  }

  /** Copies the element as text to dst[at], where valueLength() bytes fit; returns the offset behind it. */
  copyElement(dst: Uint8Array, at: number): number {
    return lpCopyValue(this.bytes, this.entry, dst, at)
  }

  /** Lets go of the list. */
  release(): void {
    this.view = null
    this.chunk = null
    this.sifted = null
    this.bytes = EMPTY
  }

  private nextChunk(): boolean {
    const { spans } = this.view!
    if (++this.chunkIndex >= spans[this.spanIndex]!.chunks.length) {
      if (++this.spanIndex >= spans.length) {
        this.release()
        return false
      }
      this.chunkIndex = 0
    }
    const chunk = spans[this.spanIndex]!.chunks[this.chunkIndex]!
    this.chunk = chunk
    this.bytes = chunk.bytes
    this.entry = chunk.head
    return true
  }

  private previousChunk(): boolean {
    const { spans } = this.view!
    if (--this.chunkIndex < 0) {
      if (--this.spanIndex < 0) {
        this.release()
        return false
      }
      this.chunkIndex = spans[this.spanIndex]!.chunks.length - 1
    }
    const chunk = spans[this.spanIndex]!.chunks[this.chunkIndex]!
    this.chunk = chunk
    this.bytes = chunk.bytes
    this.entry = lpPrev(chunk.bytes, chunk.head - HEADER_BYTES, chunk.tail)
    return true
  }
}

/** How many entries begin in [from, to). */
function entriesBetween(b: Uint8Array, from: number, to: number): number {
  let entries = 0
  for (let entry = from; entry < to; entry = lpEntryEnd(b, entry)) entries++
  return entries
}

/**
 * Goes over the chunks of a list or frozen view, each as a complete listpack, bytes[start, end), borrowed. The header
 * is written here, into the gap of the chunk.
 */
export class ListChunkWalk {
  bytes: Uint8Array = EMPTY
  start = 0
  end = 0
  count = 0
  private readonly view: ListView
  private spanIndex = 0
  private chunkIndex = 0

  constructor(view: ListView) {
    this.view = view
  }

  next(): boolean {
    const { spans } = this.view
    if (this.spanIndex >= spans.length) return false
    const { chunks } = spans[this.spanIndex]!
    const chunk = chunks[this.chunkIndex]!
    if (++this.chunkIndex >= chunks.length) {
      this.chunkIndex = 0
      this.spanIndex++
    }
    const { bytes, count } = chunk
    const start = chunk.head - HEADER_BYTES
    const end = chunk.tail + 1
    const total = end - start
    bytes[start] = total
    bytes[start + 1] = total >>> 8
    bytes[start + 2] = total >>> 16
    bytes[start + 3] = total >>> 24
    const stored = Math.min(count, 0xffff)
    bytes[start + 4] = stored
    bytes[start + 5] = stored >>> 8
    this.bytes = bytes
    this.start = start
    this.end = end
    this.count = count
    return true
  }
}

// Result of locate(): the chunk of an element and the element's index in it.
export let foundSpan = 0
export let foundChunk = 0
export let foundOffset = 0

/** Finds the chunk of element `index`, which exists, from the nearer end of the directory. */
export function locate(view: ListView, index: number): void {
  const { spans } = view
  let span: number
  if (index <= view.length >>> 1) {
    span = 0
    while (index >= spans[span]!.length) index -= spans[span++]!.length
  } else {
    span = spans.length - 1
    let before = view.length - spans[span]!.length
    while (index < before) before -= spans[--span]!.length
    index -= before
  }
  const { chunks, length } = spans[span]!
  let chunk: number
  if (index <= length >>> 1) {
    chunk = 0
    while (index >= chunks[chunk]!.count) index -= chunks[chunk++]!.count
  } else {
    chunk = chunks.length - 1
    let before = length - chunks[chunk]!.count
    while (index < before) before -= chunks[--chunk]!.count
    index -= before
  }
  foundSpan = span
  foundChunk = chunk
  foundOffset = index
}
