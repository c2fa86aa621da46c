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

import { IdDirectory, type IdDirectoryView, Place } from "./id-directory.ts"
import { lpEntryEnd, lpEntrySize, lpIntegerSize, lpWriteEntry, lpWriteInteger } from "./listpack.ts"
import {
  adoptBlock,
  Block,
  blockBytes,
  bodyAt,
  cloneBlock,
  DELETED,
  difference,
  differenceSize,
  EMPTY,
  END,
  entryBefore,
  entryEnd,
  FIRST_BLOCK_BYTES,
  FRAME_BYTES_MAX,
  HEADER_BYTES,
  hasFields,
  liveBefore,
  liveFrom,
  lowerEntry,
  REWRITE_DELETED_MIN,
  readEntryId,
  readInteger,
  resizeBlock,
  rewriteBlock,
  SAME_FIELDS,
  STREAM_BLOCK_BYTES_MAX,
  type StreamFields,
  TEXT_OVERHEAD_BYTES_MAX,
  writeCounts,
  writeDifference,
} from "./stream-block.ts"
import { StreamId } from "./stream-id.ts"

export { STREAM_BLOCK_BYTES_MAX, StreamFields } from "./stream-block.ts"

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
  /** Blocks of an earlier epoch may be shared with a frozen view. The directory has it too: it need not be asked. */
  epoch: number
  /** Bytes allocated for the blocks: the directory grows only when these do. */
  blocksBytes = 0
  /**
   * The last block, once something was appended to it; undefined when the directory has changed since. It saves `append` the
   * way through the directory, where each hop waits for memory if there are many streams.
   */
  private last: Block | undefined

  constructor(blockBytesMax = 4096, blockEntriesMax = 100, epoch = 0) {
    super(new IdDirectory<Block>(epoch))
    this.blockBytesMax = blockBytesMax
    this.blockEntriesMax = blockEntriesMax
    this.epoch = epoch
  }

  /** Bytes allocated for the live log. */
  get bytes(): number {
    return this.blocksBytes + this.blocks.bytes
  }

  /** An exact read-only view of this moment; O(entries / 10,000) or so. `epoch` begins now, above all before. */
  freeze(epoch: number): StreamView {
    this.epoch = epoch
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
    let block = this.last
    if (block === undefined || block.epoch !== this.epoch || this.isFull(block, fields)) {
      block = this.blockFor(id, fields)
      this.last = block
    }
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
    writeCounts(block)
    this.blocks.append(block)
    this.last = undefined
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

  /** The block that an entry is to be appended to, owned; a new one where the last is full. */
  private blockFor(id: StreamId, fields: StreamFields): Block {
    const { blocks } = this
    if (blocks.toLast(scratchPlace)) {
      const last = blocks.at(scratchPlace)!
      if (!this.isFull(last, fields)) return this.own(scratchPlace)
      this.trimCapacity(last)
    }
    return this.openBlock(id, fields)
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
    this.last = undefined
    return clone
  }

  private dropBlock(place: Place): void {
    this.blocksBytes -= blockBytes(this.blocks.at(place)!)
    this.blocks.remove(place)
    this.last = undefined
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
