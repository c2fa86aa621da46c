/**
 * One chunk of a list (list-chunks.ts has the layout and the invariants), and the operations within it.
 *
 * Functions that change a chunk expect one of the writer's own epoch, and leave accounting for its array to the writer.
 */

import { copyBytes } from "../bytes/compare.ts"
import { lpEntryEnd, lpPrev } from "./listpack.ts"

export const HEADER_BYTES = 6
/** Header and end byte. */
export const FRAME_BYTES = 7
export const END = 0xff
export const FIRST_CHUNK_BYTES = 128
/** Bound of a chunk's size where the limit counts elements. */
const COUNTED_CHUNK_BYTES_MAX = 8192

export class ListChunk {
  epoch: number
  bytes: Uint8Array
  head: number
  tail: number
  count = 0

  /** An empty chunk whose entries will start, or end, at `at`. */
  constructor(epoch: number, capacity: number, at: number) {
    this.epoch = epoch
    this.bytes = new Uint8Array(capacity)
    this.head = at
    this.tail = at
    this.bytes[at] = END
  }
}

export class Span {
  epoch: number
  chunks: ListChunk[]
  length: number

  constructor(epoch: number, chunks: ListChunk[], length: number) {
    this.epoch = epoch
    this.chunks = chunks
    this.length = length
  }
}

/** Largest chunk size in bytes, header and end byte included, under this list-max-listpack-size. */
export function chunkBytesMax(limit: number): number {
  return limit >= 0 ? COUNTED_CHUNK_BYTES_MAX : 2048 << Math.min(-limit, 5)
}

export function chunkEntriesMax(limit: number): number {
  return limit >= 0 ? Math.max(limit, 1) : 0xffff
}

/** Clones what is used; the gap and the spare bytes stay where they are, so a push still has room. */
export function cloneChunk(chunk: ListChunk, epoch: number): ListChunk {
  const clone = new ListChunk(epoch, chunk.bytes.length, chunk.tail)
  clone.head = chunk.head
  clone.count = chunk.count
  copyBytes(chunk.bytes, chunk.head, chunk.tail, clone.bytes, chunk.head)
  return clone
}

/** Moves the entries to `head` in an array of `capacity` bytes, which may be the present one. */
export function rebase(chunk: ListChunk, capacity: number, head: number): void {
  const { bytes } = chunk
  const target = capacity === bytes.length ? bytes : new Uint8Array(capacity)
  copyBytes(bytes, chunk.head, chunk.tail, target, head)
  chunk.tail += head - chunk.head
  chunk.head = head
  chunk.bytes = target
  target[chunk.tail] = END
}

/** Offset of element `index`, walked to from the nearer end of the chunk. */
export function entryAt(chunk: ListChunk, index: number): number {
  const { bytes, count } = chunk
  if (index <= count >>> 1) {
    let entry = chunk.head
    for (; index > 0; index--) entry = lpEntryEnd(bytes, entry)
    return entry
  }
  let entry = chunk.tail
  const base = chunk.head - HEADER_BYTES
  for (; index < count; index++) entry = lpPrev(bytes, base, entry)
  return entry
}

/** Closes the hole [from, to), moving the shorter side. */
export function closeGap(chunk: ListChunk, from: number, to: number): void {
  const { bytes, head, tail } = chunk
  const size = to - from
  if (from - head < tail - to) {
    copyBytes(bytes, head, from, bytes, head + size)
    chunk.head = head + size
  } else {
    copyBytes(bytes, to, tail, bytes, from)
    chunk.tail = tail - size
    bytes[tail - size] = END
  }
}

/** Opens `size` bytes before the entry at `from`; returns where they are. The chunk may get a larger array. */
export function openGap(chunk: ListChunk, from: number, size: number, capacityMax: number): number {
  const { bytes, head, tail } = chunk
  const front = from - head
  const roomBefore = head - HEADER_BYTES >= size
  const roomBehind = bytes.length - 1 - tail >= size
  if (roomBefore && (!roomBehind || front < tail - from)) {
    copyBytes(bytes, head, from, bytes, head - size)
    chunk.head = head - size
    return from - size
  }
  if (!roomBehind) {
    const needed = FRAME_BYTES + tail - head + size
    rebase(chunk, needed <= bytes.length ? bytes.length : grownCapacity(needed, capacityMax), HEADER_BYTES)
    from = HEADER_BYTES + front
  }
  copyBytes(chunk.bytes, from, chunk.tail, chunk.bytes, from + size)
  chunk.tail += size
  chunk.bytes[chunk.tail] = END
  return from
}

export function grownCapacity(needed: number, capacityMax: number): number {
  return needed >= capacityMax ? needed : Math.min(Math.max(needed * 2, FIRST_CHUNK_BYTES), capacityMax)
}
