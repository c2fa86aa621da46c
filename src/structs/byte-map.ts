/**
 * ByteMap: a Map whose keys are bytes. It is the keyspace, and again a large hash, a large set, the member index of a
 * sorted set. docs/byte-map.md tells the story; the essentials are here.
 *
 * Extendible hashing (Fagin et al., 1979): a directory, indexed by the top bits of a key's hash, points to blocks of
 * 640 slots. A slot is two words, [hash, address of the record]; address 0 marks an empty one.
 *
 *   hash      bits 31..32-depth choose the block, the next 16 bits its home slot (of 600), so that the slots of a
 *             block stay SORTED by hash, with gaps (ordered linear probing; 40 spare slots at the end, never wrapping)
 *   record    word 0: access clock (24 bits) << 8 | flags (4) << 4 | type (4)
 *             word 1: key length (10 bits) << 22 | value length (12 bits) << 10 | units of the whole record (10 bits)
 *             [8 bytes expiry in ms, if HAS_EXPIRY] key bytes, value bytes, padding to 4
 *   out of line  a key over 1000 bytes (KEY_OUT) or a value over 3000 (VALUE_OUT) leaves a 4-byte handle into
 *             `objects` in the record; container values always do.
 *
 * Invariants
 *  1. In a block, slots ascend by (signed) hash; each element sits at or after its home slot with no empty slot between.
 *  2. The last slot of a block is empty, so that every probe ends.
 *  3. Records are appended to the map's open page; a dead one keeps its length, so that a page can be walked.
 *  4. A frozen block is cloned before it changes, a frozen record is rewritten elsewhere (PageHeap, invariant 3).
 *
 * Because slots ascend by hash, SCAN walks in hash order with "the next hash" as its cursor: growth, shrinkage and
 * clones never reorder keys, so a key present throughout is returned exactly once.
 *
 * Costs: find touches a slot line and a record; insert is amortised O(1), with splits of at most 640 slots (about 2 µs)
 * and compaction of one page (at most 16 KiB) at a time; nothing is ever O(size), but the directory's doubling (4 bytes
 * for about 400 keys).
 */

import { copyOf } from "../bytes/compare.ts"
import { FrozenMap, scanDirectory } from "./frozen-map.ts"
import {
  BLOCK_BYTES,
  BLOCK_WORDS,
  FRAME_BYTES,
  SLAB_UNIT_BITS,
  SLAB_UNIT_MASK,
  slabOfBlock,
  wordOfBlock,
} from "./page-heap.ts"
import {
  copyShort,
  EMPTY,
  HANDLE_BYTES,
  HAS_EXPIRY,
  HEADER_BYTES,
  KEY_INLINE_MAX,
  KEY_OUT,
  KIND_MASK,
  readExpiry,
  readHandle,
  TYPE_MASK,
  VALUE_INLINE_MAX,
  VALUE_OUT,
  writeExpiry,
  writeHandle,
} from "./record-layout.ts"
import { HOMES, SLOTS, SlotTable } from "./slot-table.ts"
import { Blob, type Container, type Stored, sizeOf } from "./stored.ts"

export { FrozenMap } from "./frozen-map.ts"
export { Blob, type Container, type Stored } from "./stored.ts"

/** Records that one block can hold. */
export const BLOCK_RECORDS_MAX = SLOTS
const HASH_LIMIT = 2 ** 32
/** A unit of a record is 4 bytes; a quarter more for dead room. */
const BYTES_PER_UNIT = 5

export class ByteMap extends SlotTable {
  /** Records with an expiry, and the sum of those expiries (for the average). */
  expirySize = 0
  expirySum = 0
  /** Bytes held outside the pages: blobs, containers. */
  outOfLineBytes = 0
  /** Access clock (24 bits) given to new and touched records. */
  accessClock = 0
  /** A record that is written anew keeps its access clock (a counter then, which a write must not reset). */
  keepsAccess = false

  /** Where the last `find`, `put` or `read…` put its result; borrowed until the next call. */
  keyBytes: Uint8Array = EMPTY
  keyStart = 0
  keyEnd = 0
  valueBytes: Uint8Array = EMPTY
  valueStart = 0
  valueEnd = 0
  /** The cursor after the last `scanBlock`. */
  nextCursor = 0

  private objectBytes: number[] = []
  private freeHandles: number[] = []
  private frozen: FrozenMap | undefined

  /**
   * Bytes of live records, blocks, directory and everything out of line. What is deleted makes this number fall at once, which
   * eviction stands on; so the room that dead records take in pages until it is used again is not measured but reckoned in
   * with each live one, as much as there usually is under steady change.
   */
  get bytes(): number {
    return this.liveUnits * BYTES_PER_UNIT + this.blocks * BLOCK_BYTES + this.directory.length * 4 + this.outOfLineBytes
  }

  /** Bytes of the pages that the records lie in, dead room included. */
  get pageBytes(): number {
    return this.frames * FRAME_BYTES
  }

  // ---------------------------------------------------------------------------------------------- reading

  has(bytes: Uint8Array, start: number, end: number): boolean {
    return this.find(bytes, start, end) !== 0
  }

  /** The 4-bit type given to `put`. */
  type(address: number): number {
    return this.header(address) & TYPE_MASK
  }

  /** Changes the type in place (an encoding note, say); a frozen record is moved first, so use the result. */
  setType(address: number, type: number): number {
    if ((this.header(address) & TYPE_MASK) === type) return address
    address = this.thawRecord(address)
    const words = this.heap.words[address >>> SLAB_UNIT_BITS]!
    const at = address & SLAB_UNIT_MASK
    words[at] = (words[at]! & ~TYPE_MASK) | type
    return address
  }

  isOutOfLine(address: number): boolean {
    return (this.header(address) & VALUE_OUT) !== 0
  }

  /** 24-bit access clock of a record. */
  access(address: number): number {
    return this.header(address) >>> 8
  }

  /** Sets the access clock; the one field that may change under a snapshot. */
  setAccess(address: number, clock: number): void {
    const words = this.heap.words[address >>> SLAB_UNIT_BITS]!
    const at = address & SLAB_UNIT_MASK
    words[at] = (words[at]! & KIND_MASK) | (clock << 8)
  }

  /** Expiry in ms, or 0. */
  expiry(address: number): number {
    if ((this.header(address) & HAS_EXPIRY) === 0) return 0
    return readExpiry(this.heap.views[address >>> SLAB_UNIT_BITS]!, address & SLAB_UNIT_MASK)
  }

  /** Puts the record's key into keyBytes, keyStart, keyEnd. */
  readKey(address: number): void {
    const slab = address >>> SLAB_UNIT_BITS
    const unit = address & SLAB_UNIT_MASK
    const words = this.heap.words[slab]!
    const kind = words[unit]!
    const at = (unit << 2) + ((kind & HAS_EXPIRY) !== 0 ? 16 : 8)
    if ((kind & KEY_OUT) !== 0) {
      const blob = this.objects[readHandle(this.heap.views[slab]!, at)] as Blob
      this.keyBytes = blob.bytes
      this.keyStart = 0
      this.keyEnd = blob.length
      return
    }
    this.keyBytes = this.heap.bytes[slab]!
    this.keyStart = at
    this.keyEnd = at + (words[unit + 1]! >>> 22)
  }

  /** Puts a byte value (inline or blob) into valueBytes, valueStart, valueEnd. Not for containers. */
  readValue(address: number): void {
    const slab = address >>> SLAB_UNIT_BITS
    const unit = address & SLAB_UNIT_MASK
    const words = this.heap.words[slab]!
    const kind = words[unit]!
    const lengths = words[unit + 1]!
    const at = (unit << 2) + ((kind & HAS_EXPIRY) !== 0 ? 16 : 8) + (lengths >>> 22)
    if ((kind & VALUE_OUT) !== 0) {
      const blob = this.objects[readHandle(this.heap.views[slab]!, at)] as Blob
      this.valueBytes = blob.bytes
      this.valueStart = 0
      this.valueEnd = blob.length
      return
    }
    this.valueBytes = this.heap.bytes[slab]!
    this.valueStart = at
    this.valueEnd = at + ((lengths >>> 10) & 0xfff)
  }

  /** The first eight bytes of a small byte value, as a double in the machine's order. */
  readNumber(address: number): number {
    return this.heap.views[address >>> SLAB_UNIT_BITS]!.getFloat64(this.valueAt(address), true)
  }

  /** Overwrites what `readNumber` reads; the record must be one that may be written (`ownValue`, `insertNew`). */
  writeNumber(address: number, value: number): void {
    this.heap.views[address >>> SLAB_UNIT_BITS]!.setFloat64(this.valueAt(address), value, true)
  }

  /** Where in its slab an inline value, or the handle of another, begins. */
  private valueAt(address: number): number {
    return this.storedKeyStart(address) + this.storedKeyLength(address)
  }

  /** The blob or container of an out-of-line record. */
  object(address: number): Stored {
    return this.objects[this.handleOf(address)]!
  }

  /** Tells the map that a container it holds has changed size. */
  noteObjectBytes(address: number): void {
    const handle = this.handleOf(address)
    const now = sizeOf(this.objects[handle]!)
    this.outOfLineBytes += now - this.objectBytes[handle]!
    this.objectBytes[handle] = now
  }

  /** Bytes a record accounts for: its units, its slot share, its out-of-line value. */
  recordBytes(address: number): number {
    const words = this.heap.words[address >>> SLAB_UNIT_BITS]!
    const at = address & SLAB_UNIT_MASK
    const inline = (words[at + 1]! & 0x3ff) << 2
    return inline + 12 + (this.isOutOfLine(address) ? this.objectBytes[this.handleOf(address)]! : 0)
  }

  // ---------------------------------------------------------------------------------------------- writing

  /**
   * Makes room for a byte value under a key, replacing what was there, and leaves valueBytes/valueStart/valueEnd for the
   * caller to fill. `expiry` 0 means none. Returns the record's address.
   */
  put(key: Uint8Array, start: number, end: number, type: number, valueLength: number, expiry: number): number {
    const found = this.find(key, start, end)
    if (found !== 0) return this.replaceFound(found, type, valueLength, expiry)
    return this.insertNew(key, start, end, type, valueLength, expiry)
  }

  /** `put` for a key that the caller has just looked up with `find` and not found. */
  insertNew(key: Uint8Array, start: number, end: number, type: number, valueLength: number, expiry: number): number {
    const out = valueLength > VALUE_INLINE_MAX
    const address = this.insertRecord(key, start, end, type, out ? -1 : valueLength, expiry)
    if (out) this.attachBlob(address, new Uint8Array(valueLength), valueLength)
    else {
      this.valueEnd = this.valueStart + valueLength
    }
    return address
  }

  /** `put` for a record that the caller has just found. */
  replaceFound(address: number, type: number, valueLength: number, expiry: number): number {
    const slab = address >>> SLAB_UNIT_BITS
    const at = address & SLAB_UNIT_MASK
    const words = this.heap.words[slab]!
    const kind = words[at]!
    const lengths = words[at + 1]!
    const keyLength = lengths >>> 22
    const units = (HEADER_BYTES + (expiry !== 0 ? 8 : 0) + keyLength + valueLength + 3) >>> 2
    const had = lengths & 0x3ff
    if (
      (kind & VALUE_OUT) === 0 &&
      valueLength <= VALUE_INLINE_MAX &&
      units <= had &&
      had - units <= 1 + (units >>> 2) &&
      ((kind & HAS_EXPIRY) !== 0) === (expiry !== 0) &&
      this.heap.frameEpoch[this.heap.pageOf(address)]! > this.heap.frozenThrough
    ) {
      const access = this.keepsAccess ? kind & ~KIND_MASK : this.accessClock << 8
      words[at] = (kind & (KEY_OUT | HAS_EXPIRY)) | type | access
      words[at + 1] = (keyLength << 22) | (valueLength << 10) | had
      if (expiry !== 0) this.storeExpiry(address, expiry)
      this.valueBytes = this.heap.bytes[slab]!
      this.valueStart = (at << 2) + (expiry !== 0 ? 16 : 8) + keyLength
      this.valueEnd = this.valueStart + valueLength
      return address
    }
    return this.rewrite(address, type, valueLength, expiry, 0)
  }

  /** Stores a container (or blob) under a key, replacing what was there. */
  putObject(key: Uint8Array, start: number, end: number, type: number, object: Stored, expiry: number): number {
    let address = this.find(key, start, end)
    if (address !== 0) address = this.rewrite(address, type, -1, expiry, 0)
    else address = this.insertRecord(key, start, end, type, -1, expiry)
    this.attach(address, object)
    return address
  }

  /** Replaces a record's value by a container, keeping key and expiry. */
  replaceByObject(address: number, type: number, object: Stored): number {
    address = this.rewrite(address, type, -1, this.expiry(address), 0)
    this.attach(address, object)
    return address
  }

  /**
   * Changes the length of a byte value, keeping its first bytes, type and expiry; what is added is undefined. Leaves
   * valueBytes/valueStart/valueEnd ready for writing. Growth of blobs is amortised.
   */
  resizeValue(address: number, length: number): number {
    const kind = this.header(address)
    if ((kind & VALUE_OUT) !== 0) {
      const handle = this.handleOf(address)
      const blob = this.ownBlob(address, handle, length)
      blob.length = length
      this.valueBytes = blob.bytes
      this.valueStart = 0
      this.valueEnd = length
      return address
    }
    const type = kind & TYPE_MASK
    const expiry = this.expiry(address)
    if (this.extendInPlace(address, length)) {
      this.readValue(address)
      return address
    }
    this.readValue(address)
    const kept = Math.min(this.valueEnd - this.valueStart, length)
    return this.rewrite(address, type, length, expiry, kept)
  }

  /** Makes a byte value writable in place (under a snapshot it may have to move) and reads it; use the result. */
  ownValue(address: number): number {
    if (this.isOutOfLine(address)) {
      const handle = this.handleOf(address)
      this.ownBlob(address, handle, (this.objects[handle] as Blob).length)
    } else address = this.thawRecord(address)
    this.readValue(address)
    return address
  }

  /** Sets (ms) or clears (0) the expiry; the record may move. */
  setExpiry(address: number, expiry: number): number {
    const kind = this.header(address)
    if ((kind & HAS_EXPIRY) === 0 && expiry === 0) return address
    if ((kind & HAS_EXPIRY) !== 0 && expiry !== 0 && this.isWarm(address)) {
      this.locate(address)
      this.storeExpiry(address, expiry)
      return address
    }
    return this.reshape(address, expiry)
  }

  /** Removes the record under a key; true when there was one. */
  delete(key: Uint8Array, start: number, end: number): boolean {
    const address = this.find(key, start, end)
    if (address === 0) return false
    this.remove(address)
    return true
  }

  /** Removes a record. Its container, if any, is returned for the caller to release (blobs just go). */
  remove(address: number): Container | undefined {
    this.locate(address)
    const container = this.dropOutOfLine(address)
    this.dropExpiry(address)
    this.kill(address)
    this.removeSlot()
    this.size--
    this.foundAddress = 0
    return container
  }

  // ---------------------------------------------------------------------------------------------- walking

  /**
   * Collects into `out` the addresses of at least `count` records (fewer at the end) whose hash is not below `cursor`
   * (0 … 2^32-1), in hash order, and returns the cursor to go on with, 0 at the end. Equal hashes are never parted.
   */
  scan(cursor: number, count: number, out: number[]): number {
    if (this.size === 0) return 0
    return scanDirectory(this.heap, this.directory, this.depth, cursor, count, out)
  }

  /**
   * One block of records for walks within a command, in hash order: their addresses and hashes go to `out` and `hashes`,
   * which have room for BLOCK_RECORDS_MAX each. Returns how many (maybe none); the cursor to go on with is left in
   * `nextCursor`, 0 at the end. The map must not change between the first block and the last.
   */
  scanBlock(cursor: number, out: Int32Array, hashes: Int32Array): number {
    const block = this.openBlock(cursor)
    if (block === 0) return 0
    const words = this.heap.blockWords[slabOfBlock(block)]!
    const base = wordOfBlock(block)
    let count = 0
    for (let slot = base; slot < base + BLOCK_WORDS; slot += 2) {
      const address = words[slot + 1]!
      if (address === 0) continue
      out[count] = address
      hashes[count++] = words[slot]!
    }
    return count
  }

  /**
   * Some of the records of the block that covers a cursor: as `scanBlock`, but at most `limit` of them, from the cursor on;
   * with their headers (access clock << 8 | kind). Leaves `nextCursor` behind the last one. A few before the cursor may be
   * among them.
   */
  sampleBlock(cursor: number, limit: number, out: Int32Array, hashes: Int32Array, headers: Int32Array): number {
    const block = this.openBlock(cursor)
    if (block === 0) return 0
    const { heap } = this
    const words = heap.blockWords[slabOfBlock(block)]!
    const base = wordOfBlock(block)
    const end = base + BLOCK_WORDS
    let slot = base + (((((cursor << heap.blockDepth[block]!) >>> 16) * HOMES) >>> 16) << 1)
    let count = 0
    // Without a branch for empty slots: whether one comes next cannot be predicted.
    for (; slot < end && count < limit; slot += 2) {
      const address = words[slot + 1]!
      out[count] = address
      hashes[count] = words[slot]!
      count += (address | -address) >>> 31
    }
    if (slot < end && count > 0) this.nextCursor = ((hashes[count - 1]! ^ 0x80000000) >>> 0) + 1
    // A loop of its own, so short that the processor waits for many records at once (as in `touch`).
    const slabs = heap.words
    for (let i = 0; i < count; i++) {
      const address = out[i]!
      headers[i] = slabs[address >>> SLAB_UNIT_BITS]![address & SLAB_UNIT_MASK]!
    }
    return count
  }

  /**
   * As `scanBlock`, but only of records whose key `other`, a map of the same hasher, has too (`shared`) or has not. Both
   * maps lie in hash order, so this is a merge: no key is hashed, and only those of equal hash are compared.
   */
  scanBlockAgainst(cursor: number, other: ByteMap, shared: boolean, out: Int32Array, hashes: Int32Array): number {
    const block = this.openBlock(cursor)
    if (block === 0) return 0
    const next = this.nextCursor
    const { heap } = this
    const words = heap.blockWords[slabOfBlock(block)]!
    const base = wordOfBlock(block)
    let count = 0
    let otherNext = 0
    let otherWords = words
    let otherDepth = 0
    let otherBase = 0
    let otherSlot = 0
    let otherEnd = 0
    for (let slot = base; slot < base + BLOCK_WORDS; slot += 2) {
      const address = words[slot + 1]!
      if (address === 0) continue
      const hash = words[slot]!
      const ordinal = (hash ^ 0x80000000) >>> 0
      if (ordinal >= otherNext) {
        const otherBlock = other.openBlock(ordinal)
        otherNext = other.nextCursor === 0 ? HASH_LIMIT : other.nextCursor
        otherDepth = heap.blockDepth[otherBlock]!
        otherWords = heap.blockWords[slabOfBlock(otherBlock)]!
        otherBase = wordOfBlock(otherBlock)
        otherSlot = otherBase
        otherEnd = otherBlock === 0 ? otherBase : otherBase + BLOCK_WORDS
      }
      // A record of this hash would stand at or behind its home, after no gap; and not before where the last one was.
      const home = otherBase + (((((ordinal << otherDepth) >>> 16) * HOMES) >>> 16) << 1)
      if (home > otherSlot) otherSlot = home
      while (otherSlot < otherEnd && otherWords[otherSlot]! < hash && otherWords[otherSlot + 1] !== 0) otherSlot += 2
      let isShared = false
      for (let twin = otherSlot; twin < otherEnd && otherWords[twin] === hash; twin += 2) {
        if (otherWords[twin + 1] === 0) break
        if (!this.sameKey(address, other, otherWords[twin + 1]!)) continue
        isShared = true
        break
      }
      if (isShared !== shared) continue
      out[count] = address
      hashes[count++] = hash
    }
    this.nextCursor = next
    return count
  }

  /** The block that covers a cursor, 0 when the map is empty; the cursor behind it is left in `nextCursor`. */
  private openBlock(cursor: number): number {
    const block = this.directory[this.depth === 0 ? 0 : (cursor | 0) >>> (32 - this.depth)]!
    const depth = block === 0 ? 0 : this.heap.blockDepth[block]!
    const next = depth === 0 ? HASH_LIMIT : (((cursor | 0) >>> (32 - depth)) + 1) * 2 ** (32 - depth)
    this.nextCursor = next >= HASH_LIMIT ? 0 : next
    return block
  }

  /**
   * A bound, never too late, of the earliest expiry in the block that covers a cursor; Infinity when nothing in it expires.
   * Leaves `nextCursor`.
   */
  earliestInBlock(cursor: number): number {
    const block = this.openBlock(cursor)
    return block === 0 ? Number.POSITIVE_INFINITY : this.heap.blockEarliest[block]!
  }

  /** All expiries of the block that covers a cursor have been seen: its bound is made exact. */
  noteEarliestInBlock(cursor: number, earliest: number): void {
    const block = this.openBlock(cursor)
    if (block !== 0) this.heap.blockEarliest[block] = earliest
  }

  /** A record chosen uniformly, by rejection: random block, random slot, until one holds a record. 0 when empty. */
  randomAddress(nextBelow: (bound: number) => number): number {
    if (this.size === 0) return 0
    const heap = this.heap
    for (;;) {
      const block = this.directory[nextBelow(1 << this.depth)]!
      // A block of lesser depth stands in several directory entries: accept it that much less often.
      const gap = this.depth - heap.blockDepth[block]!
      if (gap > 0 && nextBelow(1 << gap) !== 0) continue
      if (heap.blockCount[block] === 0) continue
      const address = heap.blockWords[slabOfBlock(block)]![wordOfBlock(block) + nextBelow(SLOTS) * 2 + 1]!
      if (address !== 0) return address
    }
  }

  /**
   * Visits the records that expire before or at `now`, block by block, beginning at directory entry `from`; stops after
   * `budget` visited records. Calls `due` (which may remove that record and others). Returns the entry to go on with, or -1
   * when the directory has been walked to its end.
   */
  visitExpired(from: number, now: number, budget: number, due: (address: number) => void): number {
    const heap = this.heap
    const found: number[] = []
    let at = from
    // The directory may shrink while `due` removes records, hence its length is read anew at each step.
    while (at < this.directory.length && this.expirySize > 0) {
      const block = this.directory[at]!
      const span = 1 << (this.depth - heap.blockDepth[block]!)
      if (block === 0 || heap.blockEarliest[block]! > now) {
        at += block === 0 ? 1 : span
        continue
      }
      let earliest = Number.POSITIVE_INFINITY
      found.length = 0
      const words = heap.blockWords[slabOfBlock(block)]!
      const base = wordOfBlock(block)
      for (let slot = base + 1; slot < base + BLOCK_WORDS; slot += 2) {
        const address = words[slot]!
        if (address === 0) continue
        const expiry = this.expiry(address)
        if (expiry === 0) continue
        if (expiry <= now) found.push(address)
        else if (expiry < earliest) earliest = expiry
      }
      heap.blockEarliest[block] = earliest
      at += span
      const depth = this.depth
      for (const address of found) due(address)
      at >>>= depth - this.depth
      budget -= 32 + found.length
      if (budget <= 0) break
    }
    return at < this.directory.length ? at : -1
  }

  /** The earliest expiry among all records, Infinity when none has one. O(blocks). */
  earliestExpiry(): number {
    let earliest = Number.POSITIVE_INFINITY
    if (this.expirySize === 0) return earliest
    for (let i = 0; i < this.directory.length; i++) {
      const block = this.directory[i]!
      if (block !== 0) earliest = Math.min(earliest, this.heap.blockEarliest[block]!)
    }
    return earliest
  }

  // ---------------------------------------------------------------------------------------------- life and snapshots

  /**
   * The state as of `heap.freeze()`, readable until `heap.thaw()`. For a nested map this may be called at any time
   * after the freeze, and gives the state at the freeze all the same.
   */
  frozenView(): FrozenMap {
    if (this.heap.frozenThrough === 0) throw new Error("no snapshot is running")
    this.keepFrozen()
    return this.frozen!
  }

  /** Gives everything back to the heap. Containers among the values are released too; true when done. */
  release(budget: number): boolean {
    while (this.objects.length > 0) {
      if (budget-- <= 0) return false
      const object = this.objects[this.objects.length - 1]
      if (object !== undefined && !(object instanceof Blob) && !object.release(budget)) return false
      this.objects.pop()
    }
    const heap = this.heap
    while (this.firstPage !== 0) {
      if (budget-- <= 0) return false
      this.freePage(this.firstPage)
    }
    let last = 0
    for (let i = 0; i < this.directory.length; i++) {
      const block = this.directory[i]!
      if (block !== 0 && block !== last) heap.releaseBlock(block)
      last = block
    }
    this.directory = new Int32Array(1)
    this.depth = 0
    this.blocksAtDepth.fill(0)
    this.size = this.expirySize = this.expirySum = this.frames = this.blocks = this.outOfLineBytes = 0
    this.liveUnits = 0
    this.openPage = this.openUnit = this.openLimit = 0
    this.victims.length = 0
    this.objectBytes = []
    this.freeHandles = []
    this.foundAddress = 0
    return true
  }

  /** Blocks, directory depth and page fill, for DEBUG and tests. */
  shape(): { blocks: number; depth: number; frames: number; slotLoad: number; pages: number; victims: number } {
    let blocks = 0
    for (const n of this.blocksAtDepth) blocks += n
    const slotLoad = blocks === 0 ? 0 : this.size / (blocks * SLOTS)
    const { depth, frames, pages } = this
    return { blocks, depth, frames, slotLoad, pages, victims: this.victims.length }
  }

  // ---------------------------------------------------------------------------------------------- records

  private handleOf(address: number): number {
    return readHandle(this.heap.views[address >>> SLAB_UNIT_BITS]!, this.valueAt(address))
  }

  /** Writes header and key of a new record; valueLength -1 reserves a handle. Leaves valueBytes and valueStart. */
  private insertRecord(
    key: Uint8Array,
    start: number,
    end: number,
    type: number,
    valueLength: number,
    expiry: number,
  ): number {
    let kind = type | (this.accessClock << 8)
    let keyLength = end - start
    if (expiry !== 0) kind |= HAS_EXPIRY
    if (valueLength < 0) kind |= VALUE_OUT
    const inlineValue = valueLength < 0 ? HANDLE_BYTES : valueLength
    const keyIsLong = keyLength > KEY_INLINE_MAX
    if (keyIsLong) {
      kind |= KEY_OUT
      keyLength = HANDLE_BYTES
    }
    const address = this.append(kind, keyLength, inlineValue, expiry)
    const slab = address >>> SLAB_UNIT_BITS
    const bytes = this.heap.bytes[slab]!
    const at = ((address & SLAB_UNIT_MASK) << 2) + (expiry !== 0 ? 16 : 8)
    if (keyIsLong) {
      const blob = new Blob(copyOf(key, start, end), end - start, this.heap.epoch)
      writeHandle(this.heap.views[slab]!, at, this.addObject(blob))
    } else copyShort(key, start, bytes, at, keyLength)
    this.valueBytes = bytes
    this.valueStart = at + keyLength
    this.valueEnd = this.valueStart + inlineValue
    this.insertSlot(address)
    if (expiry !== 0) this.countExpiry(expiry)
    this.size++
    return address
  }

  /**
   * Writes the record again elsewhere, with another value length (-1: a handle), type or expiry, carrying over `kept` bytes
   * of the value, and turns the slot to it. The old out-of-line value is dropped.
   */
  private rewrite(address: number, type: number, valueLength: number, expiry: number, kept: number): number {
    this.locate(address)
    const toBlob = valueLength > VALUE_INLINE_MAX
    let blob: Uint8Array | undefined
    if (toBlob) {
      blob = new Uint8Array(valueLength)
      if (kept > 0) {
        this.readValue(address)
        blob.set(this.valueBytes.subarray(this.valueStart, this.valueStart + kept))
      }
    }
    const wasOut = this.isOutOfLine(address)
    if (wasOut) this.dropOutOfLineValue(address)
    this.dropExpiry(address)
    const inlineValue = toBlob || valueLength < 0 ? HANDLE_BYTES : valueLength
    const header = this.header(address)
    const kind =
      (header & KEY_OUT) |
      type |
      (this.keepsAccess ? header & ~KIND_MASK : this.accessClock << 8) |
      (expiry !== 0 ? HAS_EXPIRY : 0) |
      (toBlob || valueLength < 0 ? VALUE_OUT : 0)
    const keyLength = this.storedKeyLength(address)
    const moved = this.append(kind, keyLength, inlineValue, expiry)
    // Making room may have compacted the page the old record was in: the slot knows where it is now.
    const old = this.slotAddress()
    const bytes = this.heap.bytes[moved >>> SLAB_UNIT_BITS]!
    const at = ((moved & SLAB_UNIT_MASK) << 2) + (expiry !== 0 ? 16 : 8)
    const oldBytes = this.heap.bytes[old >>> SLAB_UNIT_BITS]!
    const oldAt = this.storedKeyStart(old)
    const carried = keyLength + (toBlob || wasOut ? 0 : kept)
    copyShort(oldBytes, oldAt, bytes, at, carried)
    this.valueBytes = bytes
    this.valueStart = at + keyLength
    this.valueEnd = this.valueStart + inlineValue
    this.kill(old)
    this.turnSlot(moved)
    if (expiry !== 0) this.countExpiry(expiry)
    if (blob !== undefined) this.attachBlob(moved, blob, valueLength)
    return moved
  }

  /** Moves a record so that it gains or loses the expiry cell; value and handle stay. */
  private reshape(address: number, expiry: number): number {
    this.locate(address)
    const kind = (this.header(address) & ~HAS_EXPIRY) | (expiry !== 0 ? HAS_EXPIRY : 0)
    const words = this.heap.words[address >>> SLAB_UNIT_BITS]!
    const lengths = words[(address & SLAB_UNIT_MASK) + 1]!
    const keyLength = lengths >>> 22
    const valueLength = (lengths >>> 10) & 0xfff
    this.dropExpiry(address)
    const moved = this.append(kind, keyLength, valueLength, expiry)
    const old = this.slotAddress()
    copyShort(
      this.heap.bytes[old >>> SLAB_UNIT_BITS]!,
      this.storedKeyStart(old),
      this.heap.bytes[moved >>> SLAB_UNIT_BITS]!,
      ((moved & SLAB_UNIT_MASK) << 2) + (expiry !== 0 ? 16 : 8),
      keyLength + valueLength,
    )
    this.kill(old)
    this.turnSlot(moved)
    if (expiry !== 0) this.countExpiry(expiry)
    return moved
  }

  private thawRecord(address: number): number {
    return this.isWarm(address) ? address : this.reshape(address, this.expiry(address))
  }

  protected keepFrozen(): void {
    const stamp = this.heap.frozenThrough
    if (this.frozen !== undefined && this.frozen.stamp === stamp) return
    const { depth, directory, expirySize, heap, objects, size } = this
    this.frozen = new FrozenMap(heap, stamp, directory.slice(), depth, size, objects.slice(), expirySize)
    this.heap.afterThaw(() => {
      this.frozen = undefined
    })
  }

  // ---------------------------------------------------------------------------------------------- expiry accounting

  private countExpiry(expiry: number): void {
    this.expirySize++
    this.expirySum += expiry
    if (expiry < this.heap.blockEarliest[this.foundBlock]!) this.heap.blockEarliest[this.foundBlock] = expiry
  }

  private storeExpiry(address: number, expiry: number): void {
    this.dropExpiry(address)
    writeExpiry(this.heap.views[address >>> SLAB_UNIT_BITS]!, address & SLAB_UNIT_MASK, expiry)
    this.countExpiry(expiry)
  }

  private dropExpiry(address: number): void {
    const expiry = this.expiry(address)
    if (expiry === 0) return
    this.expirySize--
    this.expirySum = this.expirySize === 0 ? 0 : this.expirySum - expiry
  }

  // ---------------------------------------------------------------------------------------------- out of line

  private addObject(object: Stored): number {
    const handle = this.freeHandles.pop() ?? this.objects.length
    const size = sizeOf(object)
    this.objects[handle] = object
    this.objectBytes[handle] = size
    this.outOfLineBytes += size
    return handle
  }

  private freeHandle(handle: number): void {
    this.outOfLineBytes -= this.objectBytes[handle]!
    this.objectBytes[handle] = 0
    this.objects[handle] = undefined
    // A frozen view has its own copy of the table, so a handle can be used again at once.
    this.freeHandles.push(handle)
  }

  private attach(address: number, object: Stored): void {
    if (this.heap.frozenThrough !== 0) this.keepFrozen()
    writeHandle(this.heap.views[address >>> SLAB_UNIT_BITS]!, this.valueAt(address), this.addObject(object))
  }

  private attachBlob(address: number, bytes: Uint8Array, length: number): void {
    this.attach(address, new Blob(bytes, length, this.heap.epoch))
    this.valueBytes = bytes
    this.valueStart = 0
    this.valueEnd = length
  }

  /** The record's blob with room for `capacity` bytes, cloned first when a snapshot reads it. */
  private ownBlob(address: number, handle: number, capacity: number): Blob {
    const heap = this.heap
    const blob = this.objects[handle] as Blob
    const frozen = blob.epoch <= heap.frozenThrough
    if (!frozen && blob.bytes.length >= capacity) return blob
    if (frozen) {
      this.locate(address)
      this.keepFrozen()
    }
    // Twice as large while small, later an eighth more: that keeps appending linear, however long the string becomes.
    const spare = Math.max(Math.min(capacity, 1 << 20), capacity >>> 3)
    const room = capacity > blob.bytes.length ? capacity + spare : blob.bytes.length
    const bytes = new Uint8Array(room)
    bytes.set(blob.bytes.subarray(0, Math.min(blob.length, capacity)))
    const own = new Blob(bytes, blob.length, heap.epoch)
    this.objects[handle] = own
    this.outOfLineBytes += sizeOf(own) - this.objectBytes[handle]!
    this.objectBytes[handle] = sizeOf(own)
    return own
  }

  private dropOutOfLineValue(address: number): Container | undefined {
    const handle = this.handleOf(address)
    const object = this.objects[handle]!
    if (this.heap.frozenThrough !== 0) this.keepFrozen()
    this.freeHandle(handle)
    return object instanceof Blob ? undefined : object
  }

  private dropOutOfLine(address: number): Container | undefined {
    const kind = this.header(address)
    if ((kind & (KEY_OUT | VALUE_OUT)) === 0) return undefined
    const container = (kind & VALUE_OUT) !== 0 ? this.dropOutOfLineValue(address) : undefined
    if ((kind & KEY_OUT) !== 0) {
      if (this.heap.frozenThrough !== 0) this.keepFrozen()
      this.freeHandle(readHandle(this.heap.views[address >>> SLAB_UNIT_BITS]!, this.storedKeyStart(address)))
    }
    return container
  }
}
