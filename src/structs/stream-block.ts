/**
 * Blocks of the stream log (stream-log.ts has the layout and the invariants): operations within one block.
 *
 * Entries are named by the offset of their flags. Functions that change a block expect one of the writer's own epoch,
 * and leave accounting for its array to the writer.
 */

import { copyBytes } from "../bytes/compare.ts"
import {
  LpEntry,
  lpCompare,
  lpEntryEnd,
  lpIntegerSize,
  lpPrev,
  lpRead,
  lpValidate,
  lpWriteInteger,
} from "./listpack.ts"
import { StreamId } from "./stream-id.ts"

export const HEADER_BYTES = 6
export const END = 0xff
export const DELETED = 1
export const SAME_FIELDS = 2
const INT64_HEAD = 0xf4
const INT64_ENTRY_BYTES = 10
const TWO_32 = 0x1_0000_0000
/** A listpack cannot say how long it is beyond 4 GB; Redis stops at 1 GB. */
export const STREAM_BLOCK_BYTES_MAX = 1 << 30
/** Most bytes an entry can take beyond its texts: five frame elements, and two ends of every text. */
export const FRAME_BYTES_MAX = 64
export const TEXT_OVERHEAD_BYTES_MAX = 10
export const FIRST_BLOCK_BYTES = 256
/** A block with this many dead entries, and twice as many as live ones, is rewritten. */
export const REWRITE_DELETED_MIN = 16
/** What the runtime takes for a block's objects, apart from the contents of the array. */
const BLOCK_OVERHEAD_BYTES = 232

export const EMPTY = new Uint8Array(0)

export class Block {
  epoch: number
  first: StreamId
  bytes: Uint8Array
  /** Offset of the end byte. */
  used = HEADER_BYTES
  /** Live entries, deleted entries. */
  count = 0
  deleted = 0
  /** Listpack elements in all. */
  elements = 0
  /** Number of the block's field names, and where the first one is. */
  fieldCount = 0
  fieldsAt = 0
  /** Offsets of the first entry, and of the first live one. */
  entriesAt = 0
  liveAt = 0

  constructor(epoch: number, first: StreamId, bytes: Uint8Array) {
    this.epoch = epoch
    this.first = first
    this.bytes = bytes
  }
}

/**
 * The fields of an entry that is to be appended: a reused table of borrowed texts. `reset`, then `add` each name and
 * value.
 */
export class StreamFields {
  /** Number of texts, twice the number of fields. */
  count = 0
  /** Sum of the lengths of the texts. */
  textBytes = 0
  readonly bytes: Uint8Array[] = []
  readonly starts: number[] = []
  readonly ends: number[] = []

  reset(): void {
    this.count = 0
    this.textBytes = 0
  }

  add(bytes: Uint8Array, start: number, end: number): void {
    const at = this.count++
    this.bytes[at] = bytes
    this.starts[at] = start
    this.ends[at] = end
    this.textBytes += end - start
  }
}

// ---- numbers beyond 53 bits -----------------------------------------------------------------------------------------

// Results of readWide() and addWide(): a number modulo 2^64 in two words.
let wideHigh = 0
let wideLow = 0
const decoded = new LpEntry()

/** Reads an integer element. */
function readWide(bytes: Uint8Array, at: number): void {
  const head = bytes[at]!
  if (head < 0x80) {
    wideHigh = 0
    wideLow = head
  } else if (head === INT64_HEAD) {
    wideLow = (bytes[at + 1]! | (bytes[at + 2]! << 8) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 24)) >>> 0
    wideHigh = (bytes[at + 5]! | (bytes[at + 6]! << 8) | (bytes[at + 7]! << 16) | (bytes[at + 8]! << 24)) >>> 0
  } else {
    lpRead(bytes, at, decoded)
    wideHigh = decoded.int < 0 ? 0xffff_ffff : 0
    wideLow = decoded.int >>> 0
  }
}

function addWide(high: number, low: number): void {
  const sum = wideLow + low
  wideLow = sum >>> 0
  wideHigh = (wideHigh + high + (sum >= TWO_32 ? 1 : 0)) >>> 0
}

/** a - b modulo 2^64 as a signed number; not exact when it is not safe. */
export function difference(aHigh: number, aLow: number, bHigh: number, bLow: number): number {
  const low = aLow - bLow
  return ((aHigh - bHigh + (low < 0 ? -1 : 0)) | 0) * TWO_32 + (low >>> 0)
}

export function differenceSize(value: number): number {
  return Number.isSafeInteger(value) ? lpIntegerSize(value) : INT64_ENTRY_BYTES
}

export function writeDifference(
  bytes: Uint8Array,
  at: number,
  value: number,
  aHigh: number,
  aLow: number,
  bHigh: number,
  bLow: number,
): number {
  if (Number.isSafeInteger(value)) return lpWriteInteger(bytes, at, value)
  const low = aLow - bLow
  const high = aHigh - bHigh + (low < 0 ? -1 : 0)
  bytes[at] = INT64_HEAD
  for (let i = 0; i < 4; i++) {
    bytes[at + 1 + i] = low >> (8 * i)
    bytes[at + 5 + i] = high >> (8 * i)
  }
  bytes[at + 9] = 9
  return at + INT64_ENTRY_BYTES
}

export function readInteger(bytes: Uint8Array, at: number): number {
  const head = bytes[at]!
  if (head < 0x80) return head
  lpRead(bytes, at, decoded)
  return decoded.int
}

// ---- blocks ---------------------------------------------------------------------------------------------------------

export function blockBytes(block: Block): number {
  return BLOCK_OVERHEAD_BYTES + block.bytes.length
}

export function cloneBlock(block: Block, epoch: number): Block {
  const clone = new Block(epoch, block.first, new Uint8Array(block.bytes.length))
  copyBytes(block.bytes, 0, block.used + 1, clone.bytes, 0)
  clone.used = block.used
  clone.count = block.count
  clone.deleted = block.deleted
  clone.elements = block.elements
  clone.fieldCount = block.fieldCount
  clone.fieldsAt = block.fieldsAt
  clone.entriesAt = block.entriesAt
  clone.liveAt = block.liveAt
  return clone
}

const entryId = new StreamId()

// Results of readEntryId(): where the texts of the entry begin (the names' count comes first unless SAME_FIELDS).
export let bodyAt = 0

/** Reads the id of the entry at `at`. */
export function readEntryId(block: Block, at: number, id: StreamId): void {
  const { bytes, first } = block
  const msAt = lpEntryEnd(bytes, at)
  readWide(bytes, msAt)
  addWide(first.msHigh, first.msLow)
  id.msHigh = wideHigh
  id.msLow = wideLow
  const seqAt = lpEntryEnd(bytes, msAt)
  readWide(bytes, seqAt)
  addWide(first.seqHigh, first.seqLow)
  id.seqHigh = wideHigh
  id.seqLow = wideLow
  bodyAt = lpEntryEnd(bytes, seqAt)
}

/** End of the entry at `at`. */
export function entryEnd(block: Block, at: number): number {
  const { bytes } = block
  let cursor = lpEntryEnd(bytes, at)
  cursor = lpEntryEnd(bytes, cursor)
  cursor = lpEntryEnd(bytes, cursor)
  let texts = block.fieldCount
  if ((bytes[at]! & SAME_FIELDS) === 0) {
    texts = 2 * readInteger(bytes, cursor)
    cursor = lpEntryEnd(bytes, cursor)
  }
  for (; texts > 0; texts--) cursor = lpEntryEnd(bytes, cursor)
  return lpEntryEnd(bytes, cursor)
}

/** The entry that ends at `end`, or -1 when the first one begins there. */
export function entryBefore(block: Block, end: number): number {
  if (end <= block.entriesAt) return -1
  const { bytes } = block
  let cursor = lpPrev(bytes, 0, end)
  for (let rest = readInteger(bytes, cursor); rest > 0; rest--) cursor = lpPrev(bytes, 0, cursor)
  return cursor
}

/** First live entry at or after `at`, or `used`. */
export function liveFrom(block: Block, at: number): number {
  while (at < block.used && (block.bytes[at]! & DELETED) !== 0) at = entryEnd(block, at)
  return at
}

/** First live entry with this id or a higher one, or `used`. Walks from the end that seems nearer. */
export function lowerEntry(block: Block, id: StreamId): number {
  const { first, used } = block
  readEntryId(block, entryBefore(block, used), entryId)
  if (entryId.compare(id) < 0) return used
  const before = id.ms - first.ms
  const behind = entryId.ms - id.ms
  if (before > behind || (before === behind && id.seq - first.seq > entryId.seq - id.seq)) {
    let found = used
    for (let at = liveBefore(block, used); at !== -1; at = liveBefore(block, at)) {
      readEntryId(block, at, entryId)
      if (entryId.compare(id) < 0) break
      found = at
    }
    return found
  }
  let at = block.liveAt
  while (at < used) {
    readEntryId(block, at, entryId)
    if (entryId.compare(id) >= 0) break
    at = liveFrom(block, entryEnd(block, at))
  }
  return at
}

/** Last live entry that ends at or before `end`, or -1. */
export function liveBefore(block: Block, end: number): number {
  let at = entryBefore(block, end)
  while (at !== -1 && (block.bytes[at]! & DELETED) !== 0) at = entryBefore(block, at)
  return at
}

/** Writes `count` and `deleted` into the block, which may have to move what follows by a byte or two. */
export function writeCounts(block: Block): void {
  const { bytes, count, deleted } = block
  if (count < 128 && deleted < 128 && bytes[HEADER_BYTES]! < 128 && bytes[HEADER_BYTES + 2]! < 128) {
    // Both are, and remain, entries of one byte.
    bytes[HEADER_BYTES] = count
    bytes[HEADER_BYTES + 2] = deleted
    return
  }
  const present = lpEntryEnd(block.bytes, lpEntryEnd(block.bytes, HEADER_BYTES))
  const wanted = HEADER_BYTES + lpIntegerSize(block.count) + lpIntegerSize(block.deleted)
  if (present !== wanted) {
    const shift = wanted - present
    if (block.used + 1 + shift > block.bytes.length) resizeBlock(block, block.used + 1 + shift + 16)
    copyBytes(block.bytes, present, block.used + 1, block.bytes, wanted)
    block.used += shift
    block.fieldsAt += shift
    block.entriesAt += shift
    block.liveAt += shift
  }
  lpWriteInteger(block.bytes, lpWriteInteger(block.bytes, HEADER_BYTES, block.count), block.deleted)
}

export function resizeBlock(block: Block, capacity: number): void {
  const bytes = new Uint8Array(capacity)
  copyBytes(block.bytes, 0, block.used + 1, bytes, 0)
  block.bytes = bytes
}

/** Drops the dead entries of an owned block, which has live ones. */
export function rewriteBlock(block: Block): void {
  const { bytes } = block
  let size = block.entriesAt + 1
  for (let at = block.entriesAt; at < block.used; ) {
    const end = entryEnd(block, at)
    if ((bytes[at]! & DELETED) === 0) size += end - at
    at = end
  }
  const target = new Uint8Array(size)
  copyBytes(bytes, 0, block.entriesAt, target, 0)
  let to = block.entriesAt
  let elements = 3 + block.fieldCount + 1
  for (let at = block.entriesAt; at < block.used; ) {
    const end = entryEnd(block, at)
    if ((bytes[at]! & DELETED) === 0) {
      copyBytes(bytes, at, end, target, to)
      to += end - at
      elements += readInteger(bytes, lpPrev(bytes, 0, end)) + 1
    }
    at = end
  }
  target[to] = END
  block.bytes = target
  block.used = to
  block.elements = elements
  block.liveAt = block.entriesAt
  block.deleted = 0
  writeCounts(block)
}

// State of adoptBlock(): where it is, how many elements it has passed, and the integer it has just read.
let adoptAt = 0
let adoptEnd = 0
let adoptElements = 0
let adoptInteger = 0

/** Reads an integer element of a block that is being adopted; false when there is none. */
function nextInteger(bytes: Uint8Array): boolean {
  if (adoptAt >= adoptEnd) return false
  const head = bytes[adoptAt]!
  adoptElements++
  if (head < 0x80) {
    adoptInteger = head
    adoptAt += 2
    return true
  }
  lpRead(bytes, adoptAt, decoded)
  adoptInteger = decoded.int
  adoptAt = decoded.entryEnd
  return decoded.isInt
}

/** Passes over texts of a block that is being adopted; false when there are fewer. */
function skipTexts(bytes: Uint8Array, count: number): boolean {
  if (!(count >= 0)) return false
  let at = adoptAt
  let left = count
  for (; left > 0 && at < adoptEnd; left--) {
    const head = bytes[at]!
    at = head >= 0x80 && head < 0xc0 ? at + 2 + (head & 63) : lpEntryEnd(bytes, at)
  }
  adoptAt = at
  adoptElements += count - left
  return left === 0
}

const adoptedId = new StreamId()

/**
 * Fills in a block's fields from its bytes, a listpack from elsewhere. False when it is not one of a stream, or its ids do
 * not ascend from that of the block on.
 */
export function adoptBlock(block: Block, end: number): boolean {
  const { bytes, first } = block
  if (!lpValidate(bytes, 0, end, true)) return false
  block.used = end - 1
  adoptAt = HEADER_BYTES
  adoptEnd = end - 1
  adoptElements = 0
  if (!nextInteger(bytes)) return false
  block.count = adoptInteger
  if (!nextInteger(bytes)) return false
  block.deleted = adoptInteger
  if (!nextInteger(bytes)) return false
  block.fieldCount = adoptInteger
  block.fieldsAt = adoptAt
  if (block.count < 0 || block.deleted < 0 || !skipTexts(bytes, block.fieldCount)) return false
  if (!nextInteger(bytes) || adoptInteger !== 0) return false
  block.entriesAt = adoptAt
  adoptedId.copy(first)
  let live = 0
  let dead = 0
  let isFirst = true
  while (adoptAt < adoptEnd) {
    const before = adoptElements
    const entry = adoptAt
    const flags = bytes[entry]!
    if (!nextInteger(bytes) || adoptInteger !== flags || flags > (DELETED | SAME_FIELDS)) return false
    if (!nextInteger(bytes) || !nextInteger(bytes)) return false
    readEntryId(block, entry, entryId)
    const order = entryId.compare(adoptedId)
    if (order < 0 || (order === 0 && !isFirst)) return false
    adoptedId.copy(entryId)
    isFirst = false
    let texts = block.fieldCount
    if ((flags & SAME_FIELDS) === 0) {
      if (!nextInteger(bytes)) return false
      texts = 2 * adoptInteger
    }
    if (!skipTexts(bytes, texts)) return false
    const counted = adoptElements - before
    if (!nextInteger(bytes) || adoptInteger !== counted) return false
    if ((flags & DELETED) === 0) live++
    else dead++
  }
  block.elements = adoptElements
  if (live !== block.count || dead !== block.deleted) return false
  block.liveAt = liveFrom(block, block.entriesAt)
  return true
}

/** Are the names of these fields those of the block? */
export function hasFields(block: Block, fields: StreamFields): boolean {
  if (fields.count !== 2 * block.fieldCount) return false
  let at = block.fieldsAt
  for (let i = 0; i < fields.count; i += 2) {
    if (!lpCompare(block.bytes, at, fields.bytes[i]!, fields.starts[i]!, fields.ends[i]!)) return false
    at = lpEntryEnd(block.bytes, at)
  }
  return true
}
