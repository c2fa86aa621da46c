/**
 * Stream log: the entries of a stream, packed into blocks of a few kilobytes that are ordered by id.
 *
 * A block is a listpack in Redis's stream layout, so RDB files and DUMP payloads hold the very bytes of it, and entries
 * with the field names of the block's first one do not repeat them (facts checked against Redis 7.0 payloads):
 *
 *   block   count | deleted | fields | name ... name | 0 | entry | entry | ...
 *   entry   flags | ms - first.ms | seq - first.seq | values ...                       | elements   (SAME_FIELDS)
 *           flags | ms - first.ms | seq - first.seq | fields | name | value | ...      | elements
 *
 * `elements` counts the listpack elements of the entry before it, for walking backwards. Differences are modulo 2^64.
 *
 * Invariants
 * 1. Ids ascend through the log. `first` of a block is the id its differences are relative to; its own entry may be
 *    gone.
 * 2. A deleted entry only has a flag set. A block whose entries are all deleted is dropped; one that is mostly dead is
 *    rewritten without them. [liveAt, used) begins with a live entry.
 * 3. The listpack header of a block is written only on export; its first elements, count and deleted, are kept.
 * 4. Copy-on-write: blocks carry the epoch they were made in; a writer clones a block of an older epoch first.
 */

import { copyBytes } from "../bytes/compare.ts"
import { IdDirectory, type IdDirectoryView, Place } from "./id-directory.ts"
import {
  LpEntry,
  lpCompare,
  lpEntryEnd,
  lpEntrySize,
  lpIntegerSize,
  lpPrev,
  lpRead,
  lpValidate,
  lpWriteEntry,
  lpWriteInteger,
} from "./listpack.ts"
import { StreamId } from "./stream-id.ts"

const HEADER_BYTES = 6
const END = 0xff
const DELETED = 1
const SAME_FIELDS = 2
const INT64_HEAD = 0xf4
const INT64_ENTRY_BYTES = 10
const TWO_32 = 0x1_0000_0000
/** A listpack cannot say how long it is beyond 4 GB; Redis stops at 1 GB. */
export const STREAM_BLOCK_BYTES_MAX = 1 << 30
/** Most bytes an entry can take beyond its texts: five frame elements, and two ends of every text. */
const FRAME_BYTES_MAX = 64
const TEXT_OVERHEAD_BYTES_MAX = 10
const FIRST_BLOCK_BYTES = 256
/** A block with this many dead entries, and twice as many as live ones, is rewritten. */
const REWRITE_DELETED_MIN = 16
/** What the runtime takes for a block's objects, apart from the contents of the array. */
const BLOCK_OVERHEAD_BYTES = 232

const EMPTY = new Uint8Array(0)

class Block {
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
function difference(aHigh: number, aLow: number, bHigh: number, bLow: number): number {
  const low = aLow - bLow
  return ((aHigh - bHigh + (low < 0 ? -1 : 0)) | 0) * TWO_32 + (low >>> 0)
}

function differenceSize(value: number): number {
  return Number.isSafeInteger(value) ? lpIntegerSize(value) : INT64_ENTRY_BYTES
}

function writeDifference(
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

function readInteger(bytes: Uint8Array, at: number): number {
  const head = bytes[at]!
  if (head < 0x80) return head
  lpRead(bytes, at, decoded)
  return decoded.int
}

// ---- blocks ---------------------------------------------------------------------------------------------------------

function blockBytes(block: Block): number {
  return BLOCK_OVERHEAD_BYTES + block.bytes.length
}

function cloneBlock(block: Block, epoch: number): Block {
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
let bodyAt = 0

/** Reads the id of the entry at `at`. */
function readEntryId(block: Block, at: number, id: StreamId): void {
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
function entryEnd(block: Block, at: number): number {
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
function entryBefore(block: Block, end: number): number {
  if (end <= block.entriesAt) return -1
  const { bytes } = block
  let cursor = lpPrev(bytes, 0, end)
  for (let rest = readInteger(bytes, cursor); rest > 0; rest--) cursor = lpPrev(bytes, 0, cursor)
  return cursor
}

/** First live entry at or after `at`, or `used`. */
function liveFrom(block: Block, at: number): number {
  while (at < block.used && (block.bytes[at]! & DELETED) !== 0) at = entryEnd(block, at)
  return at
}

/** First live entry with this id or a higher one, or `used`. Walks from the end that seems nearer. */
function lowerEntry(block: Block, id: StreamId): number {
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
function liveBefore(block: Block, end: number): number {
  let at = entryBefore(block, end)
  while (at !== -1 && (block.bytes[at]! & DELETED) !== 0) at = entryBefore(block, at)
  return at
}

/** Writes `count` and `deleted` into the block, which may have to move what follows by a byte or two. */
function writeCounts(block: Block): void {
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

function resizeBlock(block: Block, capacity: number): void {
  const bytes = new Uint8Array(capacity)
  copyBytes(block.bytes, 0, block.used + 1, bytes, 0)
  block.bytes = bytes
}

/** Drops the dead entries of an owned block, which has live ones. */
function rewriteBlock(block: Block): void {
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

/** Fills in a block's fields from its bytes, a listpack from elsewhere. False when it is not one of a stream. */
function adoptBlock(block: Block, end: number): boolean {
  const { bytes } = block
  if (!lpValidate(bytes, 0, end, true)) return false
  block.used = end - 1
  let at = HEADER_BYTES
  // A failed integer() is seen by the caller as NaN, and leaves `at` alone.
  const integer = (): number => {
    if (at >= block.used) return Number.NaN
    lpRead(bytes, at, decoded)
    if (!decoded.isInt) return Number.NaN
    block.elements++
    at = decoded.entryEnd
    return decoded.int
  }
  const skip = (texts: number): boolean => {
    for (; texts > 0 && at < block.used; texts--) {
      block.elements++
      at = lpEntryEnd(bytes, at)
    }
    return texts === 0
  }
  block.count = integer()
  block.deleted = integer()
  block.fieldCount = integer()
  block.fieldsAt = at
  if (!(block.count >= 0 && block.deleted >= 0 && block.fieldCount >= 0)) return false
  if (!skip(block.fieldCount) || integer() !== 0) return false
  block.entriesAt = at
  let live = 0
  let dead = 0
  while (at < block.used) {
    const before = block.elements
    const flags = bytes[at]!
    if (integer() !== flags || flags > (DELETED | SAME_FIELDS)) return false
    if (Number.isNaN(integer()) || Number.isNaN(integer())) return false
    const texts = (flags & SAME_FIELDS) === 0 ? 2 * integer() : block.fieldCount
    if (!(texts >= 0) || !skip(texts)) return false
    const counted = block.elements - before
    if (integer() !== counted) return false
    if ((flags & DELETED) === 0) live++
    else dead++
  }
  if (live !== block.count || dead !== block.deleted) return false
  block.liveAt = liveFrom(block, block.entriesAt)
  return true
}

// ---- reading --------------------------------------------------------------------------------------------------------

const scratchId = new StreamId()
const scratchPlace = new Place()

/** What can be asked of a stream's entries, live or frozen. */
export class StreamView {
  /** Internal: the blocks. */
  readonly blocks: IdDirectoryView<Block>
  /** Number of live entries. */
  length = 0
  /** Id of the first live entry, 0-0 when there is none. */
  readonly firstId = new StreamId()
  /** The highest id ever added, or what XSETID said. */
  readonly lastId = new StreamId()
  /** The highest id ever deleted. */
  readonly maxDeletedId = new StreamId()
  /** Number of entries ever added. */
  entriesAdded = 0

  constructor(blocks: IdDirectoryView<Block>) {
    this.blocks = blocks
  }

  get blockCount(): number {
    return this.blocks.chunkCount
  }
}

/**
 * A position in a log or frozen view, and the entry there. Reused; moving allocates nothing.
 *
 * Texts are listpack entries in `bytes`, borrowed from the log: nextField() walks them, once. Any write to the log makes
 * its cursors invalid until the next seek; cursors on a frozen view stay valid. A cursor keeps the log alive until it
 * runs off an end or is released.
 */
export class StreamCursor {
  readonly id = new StreamId()
  bytes: Uint8Array = EMPTY
  /** Fields of the entry. */
  fieldCount = 0
  /** Listpack entries of the current field's name and value; set by nextField(). */
  name = 0
  value = 0

  private view: StreamView | null = null
  private block: Block | null = null
  private readonly place = new Place()
  private entry = 0
  private same = false
  private nameAt = 0
  private valueAt = 0
  private rest = 0

  /** Goes to the first entry with this id or a higher one; false (and released) when there is none. O(log n). */
  seekAtOrAfter(view: StreamView, id: StreamId): boolean {
    if (!view.blocks.find(id, this.place)) return this.release()
    const block = view.blocks.at(this.place)!
    this.view = view
    this.block = block
    const at = lowerEntry(block, id)
    if (at >= block.used) return this.nextBlock()
    readEntryId(block, at, this.id)
    return this.load(at)
  }

  /** Goes to the last entry with this id or a lower one; false (and released) when there is none. O(log n). */
  seekAtOrBefore(view: StreamView, id: StreamId): boolean {
    if (!view.blocks.find(id, this.place)) return this.release()
    const block = view.blocks.at(this.place)!
    this.view = view
    this.block = block
    let at = lowerEntry(block, id)
    if (at < block.used) {
      readEntryId(block, at, this.id)
      if (this.id.compare(id) === 0) return this.load(at)
    }
    at = liveBefore(block, at)
    if (at === -1) return this.previousBlock()
    readEntryId(block, at, this.id)
    return this.load(at)
  }

  /** Goes to the next entry; false (and released) after the last. */
  next(): boolean {
    const block = this.block
    if (block === null) return false
    // nextField() has already gone over some of the texts.
    let at = this.valueAt
    for (let texts = this.same ? this.rest : 2 * this.rest; texts > 0; texts--) at = lpEntryEnd(this.bytes, at)
    at = liveFrom(block, lpEntryEnd(this.bytes, at))
    if (at >= block.used) return this.nextBlock()
    readEntryId(block, at, this.id)
    return this.load(at)
  }

  /** Goes to the entry before; false (and released) before the first. */
  previous(): boolean {
    const block = this.block
    if (block === null) return false
    const at = liveBefore(block, this.entry)
    if (at === -1) return this.previousBlock()
    readEntryId(block, at, this.id)
    return this.load(at)
  }

  /** Goes to the entry's next field, whose texts then are at `name` and `value`; false after the last. */
  nextField(): boolean {
    if (this.rest === 0) return false
    this.rest--
    if (this.same) {
      this.name = this.nameAt
      this.nameAt = lpEntryEnd(this.bytes, this.nameAt)
      this.value = this.valueAt
    } else {
      this.name = this.valueAt
      this.value = lpEntryEnd(this.bytes, this.name)
    }
    this.valueAt = lpEntryEnd(this.bytes, this.value)
    return true
  }

  /** Lets go of the log; false. */
  release(): false {
    this.view = null
    this.block = null
    this.bytes = EMPTY
    return false
  }

  private nextBlock(): boolean {
    const { blocks } = this.view!
    if (!blocks.toNext(this.place)) return this.release()
    const block = blocks.at(this.place)!
    this.block = block
    readEntryId(block, block.liveAt, this.id)
    return this.load(block.liveAt)
  }

  private previousBlock(): boolean {
    const { blocks } = this.view!
    if (!blocks.toPrevious(this.place)) return this.release()
    const block = blocks.at(this.place)!
    this.block = block
    const at = liveBefore(block, block.used)
    readEntryId(block, at, this.id)
    return this.load(at)
  }

  /** Shows the entry at `at`, right after readEntryId(). */
  private load(at: number): true {
    const block = this.block!
    const { bytes } = block
    this.bytes = bytes
    this.entry = at
    this.same = (bytes[at]! & SAME_FIELDS) !== 0
    if (this.same) {
      this.fieldCount = block.fieldCount
      this.nameAt = block.fieldsAt
      this.valueAt = bodyAt
    } else {
      this.fieldCount = readInteger(bytes, bodyAt)
      this.valueAt = lpEntryEnd(bytes, bodyAt)
    }
    this.rest = this.fieldCount
    return true
  }
}

/**
 * Goes over the blocks of a log or frozen view, each as a complete listpack, bytes[start, end), borrowed, and the id
 * that goes with it. The listpack header is written here.
 */
export class StreamBlockWalk {
  readonly id = new StreamId()
  bytes: Uint8Array = EMPTY
  start = 0
  end = 0
  private readonly view: StreamView
  private readonly place = new Place()
  private started = false

  constructor(view: StreamView) {
    this.view = view
  }

  next(): boolean {
    const { blocks } = this.view
    const found = this.started ? blocks.toNext(this.place) : blocks.toFirst(this.place)
    this.started = true
    if (!found) return false
    const block = blocks.at(this.place)!
    const { bytes } = block
    const total = block.used + 1
    for (let i = 0; i < 4; i++) bytes[i] = total >>> (8 * i)
    const elements = Math.min(block.elements, 0xffff)
    bytes[4] = elements
    bytes[5] = elements >>> 8
    this.id.copy(block.first)
    this.bytes = bytes
    this.end = total
    return true
  }
}

// ---- writing --------------------------------------------------------------------------------------------------------

export class StreamLog extends StreamView {
  declare readonly blocks: IdDirectory<Block>
  /** stream-node-max-bytes, 0 for no bound, and stream-node-max-entries, 0 for no bound. May change at any time. */
  blockBytesMax: number
  blockEntriesMax: number
  private blocksBytes = 0

  constructor(blockBytesMax = 4096, blockEntriesMax = 100, epoch = 0) {
    super(new IdDirectory<Block>(epoch))
    this.blockBytesMax = blockBytesMax
    this.blockEntriesMax = blockEntriesMax
  }

  /** Bytes allocated for the live log. */
  get bytes(): number {
    return this.blocksBytes + this.blocks.bytes
  }

  get epoch(): number {
    return this.blocks.epoch
  }

  /** An exact read-only view of this moment; O(entries / 10,000) or so. `epoch` begins now, above all before. */
  freeze(epoch: number): StreamView {
    const view = new StreamView(this.blocks.freeze(epoch))
    view.length = this.length
    view.entriesAdded = this.entriesAdded
    view.firstId.copy(this.firstId)
    view.lastId.copy(this.lastId)
    view.maxDeletedId.copy(this.maxDeletedId)
    return view
  }

  /**
   * Appends an entry. The id must be above `lastId`, and the texts at most STREAM_BLOCK_BYTES_MAX together; the caller
   * has checked. O(size of the entry).
   */
  append(id: StreamId, fields: StreamFields): void {
    const { blocks } = this
    let block: Block | undefined
    if (blocks.toLast(scratchPlace)) {
      block = blocks.at(scratchPlace)!
      if (this.isFull(block, fields)) {
        this.trimCapacity(block)
        block = undefined
      } else block = this.own(scratchPlace)
    }
    if (block === undefined) block = this.openBlock(id, fields)
    this.appendTo(block, id, fields)
    this.lastId.copy(id)
    if (this.length === 0) this.firstId.copy(id)
    this.length++
    this.entriesAdded++
  }

  /** Deletes the entry with that id and notes it in maxDeletedId; false when there is none. O(log n). */
  delete(id: StreamId): boolean {
    if (!this.blocks.find(id, scratchPlace)) return false
    const found = this.blocks.at(scratchPlace)!
    const at = lowerEntry(found, id)
    if (at >= found.used) return false
    readEntryId(found, at, scratchId)
    if (scratchId.compare(id) !== 0) return false
    if (this.maxDeletedId.compare(id) < 0) this.maxDeletedId.copy(id)
    const wasFirst = this.firstId.compare(id) === 0
    this.length--
    if (found.count === 1) this.dropBlock(scratchPlace)
    else {
      const block = this.own(scratchPlace)
      block.bytes[at] = block.bytes[at]! | DELETED
      block.count--
      block.deleted++
      if (at === block.liveAt) block.liveAt = liveFrom(block, at)
      this.settle(block)
    }
    if (wasFirst) this.findFirstId()
    return true
  }

  /**
   * Drops the oldest entries until `lengthMax` are left; `approximately` drops whole blocks only and never too many.
   * `limit` bounds the entries of whole blocks dropped, 0 for no bound. Returns how many were dropped. O(dropped).
   */
  trimToLength(lengthMax: number, approximately: boolean, limit: number): number {
    const before = this.length
    while (this.length > lengthMax && this.blocks.toFirst(scratchPlace)) {
      const first = this.blocks.at(scratchPlace)!
      if (limit > 0 && before - this.length + first.count > limit) break
      if (this.length - first.count >= lengthMax) {
        this.length -= first.count
        this.dropBlock(scratchPlace)
        continue
      }
      if (!approximately) this.trimBlock(this.own(scratchPlace), this.length - lengthMax)
      break
    }
    if (this.length !== before) this.findFirstId()
    return before - this.length
  }

  /** As trimToLength(), for the entries with ids below `id`. */
  trimToId(id: StreamId, approximately: boolean, limit: number): number {
    const before = this.length
    while (this.blocks.toFirst(scratchPlace)) {
      const first = this.blocks.at(scratchPlace)!
      if (limit > 0 && before - this.length + first.count > limit) break
      readEntryId(first, entryBefore(first, first.used), scratchId)
      if (scratchId.compare(id) < 0) {
        this.length -= first.count
        this.dropBlock(scratchPlace)
        continue
      }
      if (approximately) break
      let below = 0
      for (let at = first.liveAt; at < first.used; at = liveFrom(first, entryEnd(first, at))) {
        readEntryId(first, at, scratchId)
        if (scratchId.compare(id) >= 0) break
        below++
      }
      if (below === first.count) {
        this.length -= below
        this.dropBlock(scratchPlace)
      } else if (below > 0) this.trimBlock(this.own(scratchPlace), below)
      break
    }
    if (this.length !== before) this.findFirstId()
    return before - this.length
  }

  /**
   * Appends a block from an RDB file or DUMP payload: the listpack at source[start, end), copied, and its id. False, and
   * no change, when it is malformed or its ids do not follow those of the block before. `entriesAdded` and the ids are
   * the caller's to set; `length` and `firstId` follow.
   */
  appendBlock(first: StreamId, source: Uint8Array, start: number, end: number): boolean {
    const block = new Block(this.epoch, first.clone(), source.slice(start, end))
    if (!adoptBlock(block, end - start)) return false
    // Redis can leave a block behind in which everything is deleted.
    if (block.count === 0) return true
    const previous = new StreamId()
    const hasPrevious = this.blocks.toLast(scratchPlace)
    if (hasPrevious) {
      const last = this.blocks.at(scratchPlace)!
      readEntryId(last, entryBefore(last, last.used), previous)
      if (previous.compare(first) >= 0) return false
    }
    for (let at = block.entriesAt; at < block.used; at = entryEnd(block, at)) {
      readEntryId(block, at, scratchId)
      const order = at === block.entriesAt ? scratchId.compare(first) + 1 : scratchId.compare(previous)
      if (order <= 0) return false
      previous.copy(scratchId)
    }
    writeCounts(block)
    this.blocks.append(block)
    this.blocksBytes += blockBytes(block)
    if (this.length === 0) readEntryId(block, block.liveAt, this.firstId)
    this.length += block.count
    return true
  }

  /** Redis's rule: the texts alone must fit, and deleted entries count. */
  private isFull(block: Block, fields: StreamFields): boolean {
    const total = block.used + 1 + fields.textBytes
    const bound = this.blockBytesMax
    if (total >= (bound === 0 ? STREAM_BLOCK_BYTES_MAX : Math.min(bound, STREAM_BLOCK_BYTES_MAX))) return true
    return this.blockEntriesMax > 0 && block.count + block.deleted >= this.blockEntriesMax
  }

  /** A new last block with the names of these fields and no entry yet. */
  private openBlock(id: StreamId, fields: StreamFields): Block {
    const needed = HEADER_BYTES + FRAME_BYTES_MAX + fields.textBytes + fields.count * TEXT_OVERHEAD_BYTES_MAX
    let capacity = Math.max(needed, FIRST_BLOCK_BYTES)
    // The block before has shown how much is to be expected.
    if (this.blocks.toLast(scratchPlace)) {
      capacity = Math.max(needed, Math.min(this.blocks.at(scratchPlace)!.used + 32, this.blockBytesMax))
    }
    const block = new Block(this.epoch, id.clone(), new Uint8Array(capacity))
    const { bytes } = block
    const names = fields.count >>> 1
    let at = lpWriteInteger(bytes, HEADER_BYTES, 0)
    at = lpWriteInteger(bytes, at, 0)
    at = lpWriteInteger(bytes, at, names)
    block.fieldsAt = at
    for (let i = 0; i < fields.count; i += 2) {
      at = lpWriteEntry(bytes, at, fields.bytes[i]!, fields.starts[i]!, fields.ends[i]!)
    }
    at = lpWriteInteger(bytes, at, 0)
    bytes[at] = END
    block.fieldCount = names
    block.elements = names + 4
    block.entriesAt = at
    block.liveAt = at
    block.used = at
    this.blocks.append(block)
    this.blocksBytes += blockBytes(block)
    return block
  }

  private appendTo(block: Block, id: StreamId, fields: StreamFields): void {
    const { first } = block
    const same = hasFields(block, fields)
    const names = fields.count >>> 1
    const elements = same ? names + 3 : 2 * names + 4
    const ms = difference(id.msHigh, id.msLow, first.msHigh, first.msLow)
    const seq = difference(id.seqHigh, id.seqLow, first.seqHigh, first.seqLow)
    const before = block.bytes.length
    if (block.used + 1 + FRAME_BYTES_MAX + fields.textBytes + fields.count * TEXT_OVERHEAD_BYTES_MAX > before) {
      let size = 2 + differenceSize(ms) + differenceSize(seq) + lpIntegerSize(elements)
      if (!same) size += lpIntegerSize(names)
      for (let i = same ? 1 : 0; i < fields.count; i += same ? 2 : 1) {
        size += lpEntrySize(fields.bytes[i]!, fields.starts[i]!, fields.ends[i]!)
      }
      const needed = block.used + 1 + size
      const bound = this.blockBytesMax === 0 ? STREAM_BLOCK_BYTES_MAX : this.blockBytesMax
      if (needed > before) resizeBlock(block, Math.max(needed, Math.min(needed * 2, bound)))
    }
    const { bytes } = block
    let at = lpWriteInteger(bytes, block.used, same ? SAME_FIELDS : 0)
    at = writeDifference(bytes, at, ms, id.msHigh, id.msLow, first.msHigh, first.msLow)
    at = writeDifference(bytes, at, seq, id.seqHigh, id.seqLow, first.seqHigh, first.seqLow)
    if (!same) at = lpWriteInteger(bytes, at, names)
    for (let i = same ? 1 : 0; i < fields.count; i += same ? 2 : 1) {
      at = lpWriteEntry(bytes, at, fields.bytes[i]!, fields.starts[i]!, fields.ends[i]!)
    }
    at = lpWriteInteger(bytes, at, elements)
    bytes[at] = END
    block.used = at
    block.elements += elements + 1
    block.count++
    writeCounts(block)
    this.blocksBytes += block.bytes.length - before
  }

  private own(place: Place): Block {
    const block = this.blocks.at(place)!
    if (block.epoch === this.epoch) return block
    const clone = cloneBlock(block, this.epoch)
    this.blocks.replace(place, clone)
    return clone
  }

  private dropBlock(place: Place): void {
    this.blocksBytes -= blockBytes(this.blocks.at(place)!)
    this.blocks.remove(place)
  }

  /** Deletes the first `count` live entries of an owned block, which has more. */
  private trimBlock(block: Block, count: number): void {
    let at = block.liveAt
    for (let i = 0; i < count; i++) {
      block.bytes[at] = block.bytes[at]! | DELETED
      at = liveFrom(block, at)
    }
    block.liveAt = at
    block.count -= count
    block.deleted += count
    this.length -= count
    this.settle(block)
  }

  /** Brings an owned block in order after deletions. */
  private settle(block: Block): void {
    const before = block.bytes.length
    if (block.deleted >= REWRITE_DELETED_MIN && block.deleted > 2 * block.count) rewriteBlock(block)
    else writeCounts(block)
    this.blocksBytes += block.bytes.length - before
  }

  /** Gives back the spare bytes of a block that is full, when they are many. */
  private trimCapacity(block: Block): void {
    const spare = block.bytes.length - block.used - 1
    // A shared block would have to be cloned first.
    if (block.epoch !== this.epoch || spare <= block.bytes.length >> 4) return
    this.blocksBytes -= spare
    resizeBlock(block, block.used + 1)
  }

  private findFirstId(): void {
    if (this.blocks.toFirst(scratchPlace)) {
      const block = this.blocks.at(scratchPlace)!
      readEntryId(block, block.liveAt, this.firstId)
    } else this.firstId.setMin()
  }
}

/** Are the names of these fields those of the block? */
function hasFields(block: Block, fields: StreamFields): boolean {
  if (fields.count !== 2 * block.fieldCount) return false
  let at = block.fieldsAt
  for (let i = 0; i < fields.count; i += 2) {
    if (!lpCompare(block.bytes, at, fields.bytes[i]!, fields.starts[i]!, fields.ends[i]!)) return false
    at = lpEntryEnd(block.bytes, at)
  }
  return true
}
