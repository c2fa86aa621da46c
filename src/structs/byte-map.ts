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
import type { KeyedHash } from "../bytes/siphash.ts"
import {
  BLOCK_BYTES,
  BLOCK_WORDS,
  FRAME_BYTES,
  FRAME_UNIT_BITS,
  LARGE_PAGE_FRAMES,
  type PageHeap,
  SLAB_UNIT_BITS,
  SLAB_UNIT_MASK,
  slabOfBlock,
  slabOfFrame,
  wordOfBlock,
} from "./page-heap.ts"

export const HAS_EXPIRY = 0x10
const KEY_OUT = 0x20
const VALUE_OUT = 0x40
const DEAD = 0x80
const TYPE_MASK = 0x0f
const KIND_MASK = 0xff

const SLOTS = BLOCK_WORDS >>> 1
const HOMES = 600
const SPLIT_AT = 550
/** Two buddies merge when together they hold less than this. */
const MERGE_BELOW = 250
const DEPTH_MAX = 26

export const KEY_INLINE_MAX = 1000
export const VALUE_INLINE_MAX = 3000
const HANDLE_BYTES = 4
const HEADER_BYTES = 8
const SMALL_PAGE_UNITS = FRAME_BYTES >>> 2
const LARGE_PAGE_UNITS = SMALL_PAGE_UNITS * LARGE_PAGE_FRAMES
/** A map starts with pages of one frame and turns to pages of four once it has this many. */
const SMALL_PAGES = 4
const ADDRESSES_PER_SCAN_MIN = 16
/** Records that one block can hold. */
export const BLOCK_RECORDS_MAX = SLOTS
const HASH_LIMIT = 2 ** 32

/** A byte string kept outside the pages; `bytes` may have spare capacity behind `length`. */
export class Blob {
  epoch: number
  bytes: Uint8Array
  length: number
  constructor(bytes: Uint8Array, length: number, epoch: number) {
    this.bytes = bytes
    this.length = length
    this.epoch = epoch
  }
}

/** What a large container (hash table, list, tree, stream) offers the map that holds it. */
export interface Container {
  /** Bytes it occupies, kept in O(1). */
  readonly bytes: number
  /** Gives its memory back, in slices of `budget` steps; true when nothing is left. */
  release(budget: number): boolean
}

export type Stored = Blob | Container

/** Scratch for one block being split or merged; module-wide since nothing here is re-entrant. */
const scratch = new Int32Array(SLOTS * 2)

/** Keys that one `touch` can take. */
export const TOUCHED_MAX = 512
const touchedSlabs = new Int32Array(TOUCHED_MAX)
const touchedWords = new Int32Array(TOUCHED_MAX)

export class ByteMap {
  size = 0
  /** Records with an expiry, and the sum of those expiries (for the average). */
  expirySize = 0
  expirySum = 0
  /** Bytes held outside the pages: blobs, containers. */
  outOfLineBytes = 0
  /** Access clock (24 bits) given to new and touched records. */
  accessClock = 0

  /** Where the last `find`, `put` or `read…` put its result; borrowed until the next call. */
  keyBytes: Uint8Array = EMPTY
  keyStart = 0
  keyEnd = 0
  valueBytes: Uint8Array = EMPTY
  valueStart = 0
  valueEnd = 0

  private readonly heap: PageHeap
  private readonly owner: number
  readonly hasher: KeyedHash
  private directory = new Int32Array(1)
  private depth = 0
  private readonly blocksAtDepth = new Int32Array(DEPTH_MAX + 1)
  private frames = 0
  private blocks = 0

  private objects: (Stored | undefined)[] = []
  private objectBytes: number[] = []
  private freeHandles: number[] = []

  private openPage = 0
  private openUnit = 0
  private openLimit = 0
  private firstPage = 0
  private pages = 0
  private victims: number[] = []

  private frozen: FrozenMap | undefined

  /** The slot and hash of the last search, valid for `foundAddress`. */
  private foundAddress = 0
  private foundHash = 0
  private foundBlock = 0
  private foundSlot = 0

  constructor(heap: PageHeap, hasher: KeyedHash) {
    this.heap = heap
    this.owner = heap.newOwner()
    this.hasher = hasher
  }

  /** Bytes of frames, directory and everything out of line. */
  get bytes(): number {
    return this.frames * FRAME_BYTES + this.blocks * BLOCK_BYTES + this.directory.length * 4 + this.outOfLineBytes
  }

  // ---------------------------------------------------------------------------------------------- reading

  /**
   * Reads ahead for keys that will soon be looked up, given their hashes (at most TOUCHED_MAX). A lookup waits for memory
   * twice, for a slot and for a record. Here each kind of wait is a loop of its own, so short that the processor has
   * many of its turns under way at once. Without any effect but on the caches; returns what was read, so that it is read.
   */
  touch(hashes: Int32Array, count: number): number {
    if (this.size === 0) return 0
    const { heap, directory, depth } = this
    const slabs = heap.words
    const blockSlabs = heap.blockWords
    for (let i = 0; i < count; i++) {
      const ordinal = hashes[i]! ^ 0x80000000
      const block = directory[depth === 0 ? 0 : ordinal >>> (32 - depth)]!
      const home = (((ordinal << heap.blockDepth[block]!) >>> 16) * HOMES) >>> 16
      touchedSlabs[i] = slabOfBlock(block)
      touchedWords[i] = wordOfBlock(block) + (home << 1)
    }
    let sink = 0
    for (let i = 0; i < count; i++) sink ^= blockSlabs[touchedSlabs[i]!]![touchedWords[i]!]!
    for (let i = 0; i < count; i++) {
      const words = blockSlabs[touchedSlabs[i]!]!
      const hash = hashes[i]!
      let slot = touchedWords[i]!
      while (words[slot + 1] !== 0 && words[slot]! < hash) slot += 2
      const address = words[slot + 1]!
      touchedSlabs[i] = address >>> SLAB_UNIT_BITS
      touchedWords[i] = address & SLAB_UNIT_MASK
    }
    // The header, and where a small record reaches into its next cache line.
    for (let i = 0; i < count; i++) {
      const words = slabs[touchedSlabs[i]!]!
      const at = touchedWords[i]!
      sink ^= words[at]! ^ words[at + 12]!
    }
    return sink
  }

  /** Address of the record under a key, or 0. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const { hasher } = this
    const hash = hasher.notedBytes === bytes ? hasher.recall(start, end) : hasher.hash(bytes, start, end)
    this.foundHash = hash
    const ordinal = hash ^ 0x80000000
    const block = this.directory[this.depth === 0 ? 0 : ordinal >>> (32 - this.depth)]!
    this.foundBlock = block
    if (block === 0) {
      this.foundAddress = 0
      return 0
    }
    const heap = this.heap
    const words = heap.blockWords[slabOfBlock(block)]!
    const home = (((ordinal << heap.blockDepth[block]!) >>> 16) * HOMES) >>> 16
    let slot = wordOfBlock(block) + (home << 1)
    const length = end - start
    for (;;) {
      const address = words[slot + 1]!
      if (address === 0) break
      const slotHash = words[slot]!
      if (slotHash === hash) {
        if (this.keyEquals(address, bytes, start, length)) {
          this.foundSlot = slot
          this.foundAddress = address
          return address
        }
      } else if (slotHash > hash) break
      slot += 2
    }
    this.foundSlot = slot
    this.foundAddress = 0
    return 0
  }

  /**
   * As `find`, for a key whose hash is known from a map with the same hasher (`scanBlock`). Apart from `find`, which the
   * hot path has to itself.
   */
  findHashed(hash: number, bytes: Uint8Array, start: number, end: number): number {
    this.foundHash = hash
    this.foundAddress = 0
    const ordinal = hash ^ 0x80000000
    const block = this.directory[this.depth === 0 ? 0 : ordinal >>> (32 - this.depth)]!
    this.foundBlock = block
    if (block === 0) return 0
    const { heap } = this
    const words = heap.blockWords[slabOfBlock(block)]!
    const home = (((ordinal << heap.blockDepth[block]!) >>> 16) * HOMES) >>> 16
    let slot = wordOfBlock(block) + (home << 1)
    for (let address = words[slot + 1]!; address !== 0 && words[slot]! <= hash; address = words[slot + 1]!) {
      if (words[slot] === hash && this.keyEquals(address, bytes, start, end - start)) {
        this.foundAddress = address
        break
      }
      slot += 2
    }
    this.foundSlot = slot
    return this.foundAddress
  }

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
    return readDouble(this.heap.words[address >>> SLAB_UNIT_BITS]!, (address & SLAB_UNIT_MASK) + 2)
  }

  /** Puts the record's key into keyBytes, keyStart, keyEnd. */
  readKey(address: number): void {
    const slab = address >>> SLAB_UNIT_BITS
    const unit = address & SLAB_UNIT_MASK
    const words = this.heap.words[slab]!
    const kind = words[unit]!
    const at = (unit << 2) + ((kind & HAS_EXPIRY) !== 0 ? 16 : 8)
    if ((kind & KEY_OUT) !== 0) {
      const blob = this.objects[readHandle(this.heap.bytes[slab]!, at)] as Blob
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
      const blob = this.objects[readHandle(this.heap.bytes[slab]!, at)] as Blob
      this.valueBytes = blob.bytes
      this.valueStart = 0
      this.valueEnd = blob.length
      return
    }
    this.valueBytes = this.heap.bytes[slab]!
    this.valueStart = at
    this.valueEnd = at + ((lengths >>> 10) & 0xfff)
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
      words[at] = (kind & (KEY_OUT | HAS_EXPIRY)) | type | (this.accessClock << 8)
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

  /** The cursor after the last `scanBlock`. */
  nextCursor = 0

  /** The block that covers a cursor, 0 when the map is empty; the cursor behind it is left in `nextCursor`. */
  private openBlock(cursor: number): number {
    const block = this.directory[this.depth === 0 ? 0 : (cursor | 0) >>> (32 - this.depth)]!
    const depth = block === 0 ? 0 : this.heap.blockDepth[block]!
    const next = depth === 0 ? HASH_LIMIT : (((cursor | 0) >>> (32 - depth)) + 1) * 2 ** (32 - depth)
    this.nextCursor = next >= HASH_LIMIT ? 0 : next
    return block
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

  private header(address: number): number {
    return this.heap.words[address >>> SLAB_UNIT_BITS]![address & SLAB_UNIT_MASK]!
  }

  private keyEquals(address: number, bytes: Uint8Array, start: number, length: number): boolean {
    const slab = address >>> SLAB_UNIT_BITS
    const unit = address & SLAB_UNIT_MASK
    const words = this.heap.words[slab]!
    const kind = words[unit]!
    let at = (unit << 2) + ((kind & HAS_EXPIRY) !== 0 ? 16 : 8)
    let own = this.heap.bytes[slab]!
    if ((kind & KEY_OUT) !== 0) {
      const blob = this.objects[readHandle(own, at)] as Blob
      if (blob.length !== length) return false
      own = blob.bytes
      at = 0
    } else if (words[unit + 1]! >>> 22 !== length) return false
    for (let i = 0; i < length; i++) if (own[at + i] !== bytes[start + i]) return false
    return true
  }

  /** Whether a record has the same key as another map's. */
  private sameKey(address: number, other: ByteMap, otherAddress: number): boolean {
    const { heap } = this
    const words = heap.words[address >>> SLAB_UNIT_BITS]!
    const otherWords = heap.words[otherAddress >>> SLAB_UNIT_BITS]!
    let at = address & SLAB_UNIT_MASK
    let otherAt = otherAddress & SLAB_UNIT_MASK
    if (((words[at]! | otherWords[otherAt]!) & (KEY_OUT | HAS_EXPIRY)) !== 0) {
      this.readKeyInto(address)
      return other.keyEquals(otherAddress, this.probeBytes, this.probeStart, this.probeEnd - this.probeStart)
    }
    const length = words[at + 1]! >>> 22
    if (otherWords[otherAt + 1]! >>> 22 !== length) return false
    at += 2
    otherAt += 2
    // Keys begin at a word; the last, partial one is compared without what is behind the key.
    const whole = length >>> 2
    for (let i = 0; i < whole; i++) if (words[at + i] !== otherWords[otherAt + i]) return false
    const rest = length & 3
    return rest === 0 || (words[at + whole]! ^ otherWords[otherAt + whole]!) << (32 - (rest << 3)) === 0
  }

  private handleOf(address: number): number {
    const slab = address >>> SLAB_UNIT_BITS
    const unit = address & SLAB_UNIT_MASK
    const words = this.heap.words[slab]!
    const at = (unit << 2) + ((words[unit]! & HAS_EXPIRY) !== 0 ? 16 : 8) + (words[unit + 1]! >>> 22)
    return readHandle(this.heap.bytes[slab]!, at)
  }

  /** Whether a record may be changed where it is. */
  private isWarm(address: number): boolean {
    return this.heap.frameEpoch[this.heap.pageOf(address)]! > this.heap.frozenThrough
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
    const bytes = this.heap.bytes[address >>> SLAB_UNIT_BITS]!
    const at = ((address & SLAB_UNIT_MASK) << 2) + (expiry !== 0 ? 16 : 8)
    if (keyIsLong)
      writeHandle(bytes, at, this.addObject(new Blob(copyOf(key, start, end), end - start, this.heap.epoch)))
    else copyShort(key, start, bytes, at, keyLength)
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
    const kind =
      (this.header(address) & KEY_OUT) |
      type |
      (this.accessClock << 8) |
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

  /** Lengthens or shortens a value without moving it: within the padding, or into the open page when it is last there. */
  private extendInPlace(address: number, valueLength: number): boolean {
    if (valueLength > VALUE_INLINE_MAX || !this.isWarm(address)) return false
    const heap = this.heap
    const words = heap.words[address >>> SLAB_UNIT_BITS]!
    const at = address & SLAB_UNIT_MASK
    const lengths = words[at + 1]!
    const keyLength = lengths >>> 22
    const had = lengths & 0x3ff
    const units = (HEADER_BYTES + ((words[at]! & HAS_EXPIRY) !== 0 ? 8 : 0) + keyLength + valueLength + 3) >>> 2
    if (units > had) {
      if (address + had !== this.openUnit || address + units > this.openLimit) return false
      const page = this.openPage
      heap.pageLive[page]! += units - had
      heap.pageUsed[page]! += units - had
      this.openUnit = address + units
      words[at + 1] = (keyLength << 22) | (valueLength << 10) | units
      return true
    }
    if (had - units > 1 + (units >>> 2)) return false
    words[at + 1] = (keyLength << 22) | (valueLength << 10) | had
    return true
  }

  private storedKeyStart(address: number): number {
    return ((address & SLAB_UNIT_MASK) << 2) + ((this.header(address) & HAS_EXPIRY) !== 0 ? 16 : 8)
  }

  private storedKeyLength(address: number): number {
    return this.heap.words[address >>> SLAB_UNIT_BITS]![(address & SLAB_UNIT_MASK) + 1]! >>> 22
  }

  /** Appends a record's header and expiry to the open page; key and value are the caller's to write. */
  private append(kind: number, keyLength: number, valueLength: number, expiry: number): number {
    const units = (HEADER_BYTES + (expiry !== 0 ? 8 : 0) + keyLength + valueLength + 3) >>> 2
    const heap = this.heap
    if (
      this.openUnit + units > this.openLimit ||
      (heap.frozenThrough !== 0 && heap.frameEpoch[this.openPage]! <= heap.frozenThrough)
    ) {
      this.turnPage(units)
    }
    const address = this.openUnit
    this.openUnit += units
    heap.pageUsed[this.openPage]! += units
    heap.pageLive[this.openPage]! += units
    const slab = address >>> SLAB_UNIT_BITS
    const unit = address & SLAB_UNIT_MASK
    const words = heap.words[slab]!
    words[unit] = kind
    words[unit + 1] = (keyLength << 22) | (valueLength << 10) | units
    if (expiry !== 0) writeDouble(words, unit + 2, expiry)
    return address | 0
  }

  // ---------------------------------------------------------------------------------------------- pages

  /** Opens a page with room for `units`, and moves the survivors of at most one half-dead page into it. */
  private turnPage(units: number): void {
    const closed = this.openPage
    this.openPage = 0
    if (closed !== 0) this.judgePage(closed, this.heap.pageUsed[closed]!)
    const victim = this.takeVictim()
    this.startPage()
    if (victim !== 0) {
      this.evacuate(victim)
      if (this.openUnit + units > this.openLimit) {
        this.judgePage(this.openPage, 0)
        this.startPage()
      }
    }
  }

  private startPage(): void {
    const heap = this.heap
    const large = this.pages >= SMALL_PAGES
    const page = large ? heap.takeQuad() : heap.takeFrame()
    heap.pageFrames[page] = large ? LARGE_PAGE_FRAMES : 1
    heap.pageLive[page] = 0
    heap.pageUsed[page] = 0
    heap.pageOwner[page] = this.owner
    heap.pagePrev[page] = 0
    heap.pageNext[page] = this.firstPage
    if (this.firstPage !== 0) heap.pagePrev[this.firstPage] = page
    this.firstPage = page
    this.pages++
    this.frames += heap.pageFrames[page]!
    this.openPage = page
    // Kept as an unsigned number while open, so that the bound check is a plain comparison.
    this.openUnit = page * (1 << FRAME_UNIT_BITS)
    this.openLimit = this.openUnit + (large ? LARGE_PAGE_UNITS : SMALL_PAGE_UNITS)
  }

  private freePage(page: number): void {
    const heap = this.heap
    const next = heap.pageNext[page]!
    const prev = heap.pagePrev[page]!
    if (prev !== 0) heap.pageNext[prev] = next
    else this.firstPage = next
    if (next !== 0) heap.pagePrev[next] = prev
    this.pages--
    const frames = heap.pageFrames[page]!
    this.frames -= frames
    heap.pageLive[page] = -1
    heap.pageOwner[page] = 0
    if (frames === LARGE_PAGE_FRAMES) {
      if (heap.frozenThrough === 0) heap.pageFrames[page] = 0
      heap.releaseQuad(page)
    } else heap.releaseFrame(page)
  }

  /** Marks a record dead and sees what becomes of its page. */
  private kill(address: number): void {
    const heap = this.heap
    const words = heap.words[address >>> SLAB_UNIT_BITS]!
    const at = address & SLAB_UNIT_MASK
    words[at]! |= DEAD
    const page = heap.pageOf(address)
    const before = heap.pageLive[page]!
    heap.pageLive[page] = before - (words[at + 1]! & 0x3ff)
    if (page !== this.openPage) this.judgePage(page, before)
  }

  /** Frees an empty page; lists one that has just become half dead. `before` is its live units until now. */
  private judgePage(page: number, before: number): void {
    const heap = this.heap
    const live = heap.pageLive[page]!
    if (live === 0) {
      this.freePage(page)
      return
    }
    const half = (heap.pageFrames[page]! * SMALL_PAGE_UNITS) >>> 1
    if (live < half && (before >= half || before === 0 || heap.pageUsed[page] === before)) this.victims.push(page)
  }

  private takeVictim(): number {
    const heap = this.heap
    // Under a snapshot nothing is gained by moving records whose page must stay.
    while (this.victims.length > 0 && heap.frozenThrough === 0) {
      const page = this.victims.pop()!
      const frames = heap.pageFrames[page]!
      // The frame may meanwhile have been freed, or serve another purpose: then it is not ours to move.
      if (frames === 0 || page === this.openPage || heap.pageOwner[page] !== this.owner) continue
      const half = (frames * SMALL_PAGE_UNITS) >>> 1
      if (heap.pageLive[page]! > 0 && heap.pageLive[page]! < half) return page
    }
    return 0
  }

  private evacuate(page: number): void {
    const heap = this.heap
    const slab = slabOfFrame(page)
    const words = heap.words[slab]!
    const bytes = heap.bytes[slab]!
    const start = page * (1 << FRAME_UNIT_BITS)
    const end = start + heap.pageUsed[page]!
    const keptSlot = this.foundSlot
    const keptBlock = this.foundBlock
    const keptHash = this.foundHash
    for (let address = start; address < end; ) {
      const at = address & SLAB_UNIT_MASK
      const kind = words[at]!
      const units = words[at + 1]! & 0x3ff
      if ((kind & DEAD) === 0) {
        if (this.openUnit + units > this.openLimit) this.startPage()
        this.locateRecord(address | 0)
        const to = this.openUnit
        this.openUnit += units
        heap.pageUsed[this.openPage]! += units
        heap.pageLive[this.openPage]! += units
        const toBytes = heap.bytes[to >>> SLAB_UNIT_BITS]!
        const from = at << 2
        toBytes.set(bytes.subarray(from, from + (units << 2)), (to & SLAB_UNIT_MASK) << 2)
        heap.blockWords[slabOfBlock(this.foundBlock)]![this.foundSlot + 1] = to | 0
      }
      address += units
    }
    heap.pageLive[page] = 0
    this.freePage(page)
    this.foundSlot = keptSlot
    this.foundBlock = keptBlock
    this.foundHash = keptHash
  }

  // ---------------------------------------------------------------------------------------------- slots

  /** Makes foundSlot point at a record that the last search may not have been about. */
  private locate(address: number): void {
    if (this.foundAddress === address && address !== 0) {
      this.thawBlock()
      return
    }
    this.locateRecord(address)
    this.thawBlock()
  }

  private locateRecord(address: number): void {
    this.readKeyInto(address)
    const hash = this.hasher.hash(this.probeBytes, this.probeStart, this.probeEnd)
    const ordinal = hash ^ 0x80000000
    const block = this.directory[this.depth === 0 ? 0 : ordinal >>> (32 - this.depth)]!
    const words = this.heap.blockWords[slabOfBlock(block)]!
    const home = (((ordinal << this.heap.blockDepth[block]!) >>> 16) * HOMES) >>> 16
    let slot = wordOfBlock(block) + (home << 1)
    while (words[slot + 1] !== address) {
      if (words[slot + 1] === 0) throw new Error("ByteMap: a record without a slot")
      slot += 2
    }
    this.foundHash = hash
    this.foundBlock = block
    this.foundSlot = slot
    this.foundAddress = address
  }

  private probeBytes: Uint8Array = EMPTY
  private probeStart = 0
  private probeEnd = 0

  private readKeyInto(address: number): void {
    const at = this.storedKeyStart(address)
    const bytes = this.heap.bytes[address >>> SLAB_UNIT_BITS]!
    if ((this.header(address) & KEY_OUT) !== 0) {
      const blob = this.objects[readHandle(bytes, at)] as Blob
      this.probeBytes = blob.bytes
      this.probeStart = 0
      this.probeEnd = blob.length
    } else {
      this.probeBytes = bytes
      this.probeStart = at
      this.probeEnd = at + this.storedKeyLength(address)
    }
  }

  private slotAddress(): number {
    return this.heap.blockWords[slabOfBlock(this.foundBlock)]![this.foundSlot + 1]!
  }

  private turnSlot(address: number): void {
    this.heap.blockWords[slabOfBlock(this.foundBlock)]![this.foundSlot + 1] = address
    this.foundAddress = address
  }

  /** Puts an address into the slot that the failed search ended at, shifting its successors up. */
  private insertSlot(address: number): void {
    const heap = this.heap
    if (this.foundBlock === 0) this.addFirstBlock()
    this.thawBlock()
    if (heap.blockCount[this.foundBlock]! >= SPLIT_AT) this.splitFound()
    for (;;) {
      const block = this.foundBlock
      const words = heap.blockWords[slabOfBlock(block)]!
      const lastSlot = wordOfBlock(block) + BLOCK_WORDS - 2
      let gap = this.foundSlot
      while (words[gap + 1] !== 0) gap += 2
      if (gap >= lastSlot) {
        this.splitFound()
        continue
      }
      for (let i = gap; i > this.foundSlot; i -= 2) {
        words[i] = words[i - 2]!
        words[i + 1] = words[i - 1]!
      }
      words[this.foundSlot] = this.foundHash
      words[this.foundSlot + 1] = address
      heap.blockCount[block]!++
      this.foundAddress = address
      return
    }
  }

  /** Takes the found slot out and closes the gap behind it. */
  private removeSlot(): void {
    const heap = this.heap
    const block = this.foundBlock
    const words = heap.blockWords[slabOfBlock(block)]!
    const base = wordOfBlock(block)
    const depth = heap.blockDepth[block]!
    let hole = this.foundSlot
    for (;;) {
      const next = hole + 2
      const address = words[next + 1]!
      if (address === 0) break
      const ordinal = words[next]! ^ 0x80000000
      const home = base + ((((((ordinal << depth) >>> 16) * HOMES) >>> 16) << 1) | 0)
      if (home >= next) break
      words[hole] = words[next]!
      words[hole + 1] = address
      hole = next
    }
    words[hole] = 0
    words[hole + 1] = 0
    const left = --heap.blockCount[block]!
    if (left < MERGE_BELOW >>> 1 && (depth > 0 || left === 0)) this.mergeFound()
  }

  private addFirstBlock(): void {
    if (this.heap.frozenThrough !== 0) this.keepFrozen()
    const block = this.newBlock(0)
    this.directory[0] = block
    this.foundBlock = block
    this.foundSlot = wordOfBlock(block) + (((((this.foundHash ^ 0x80000000) >>> 16) * HOMES) >>> 16) << 1)
  }

  private newBlock(depth: number): number {
    const heap = this.heap
    const block = heap.takeBlock()
    heap.blockDepth[block] = depth
    heap.blockCount[block] = 0
    heap.blockEarliest[block] = Number.POSITIVE_INFINITY
    this.blocksAtDepth[depth]!++
    this.blocks++
    return block
  }

  private dropBlock(block: number): void {
    this.blocksAtDepth[this.heap.blockDepth[block]!]!--
    this.blocks--
    this.heap.releaseBlock(block)
  }

  /** If the found block belongs to the snapshot: works on a clone from now on. */
  private thawBlock(): void {
    const heap = this.heap
    if (heap.frozenThrough === 0 || heap.blockEpoch[this.foundBlock]! > heap.frozenThrough) return
    this.keepFrozen()
    const old = this.foundBlock
    const depth = heap.blockDepth[old]!
    const block = this.newBlock(depth)
    const from = wordOfBlock(old)
    const to = wordOfBlock(block)
    heap.blockWords[slabOfBlock(block)]!.set(heap.blockWords[slabOfBlock(old)]!.subarray(from, from + BLOCK_WORDS), to)
    heap.blockCount[block] = heap.blockCount[old]!
    heap.blockEarliest[block] = heap.blockEarliest[old]!
    this.pointDirectory(this.foundHash ^ 0x80000000, depth, block)
    this.dropBlock(old)
    this.foundSlot += to - from
    this.foundBlock = block
  }

  private keepFrozen(): void {
    const stamp = this.heap.frozenThrough
    if (this.frozen !== undefined && this.frozen.stamp === stamp) return
    this.frozen = new FrozenMap(this.heap, stamp, this.directory.slice(), this.depth, this.size, this.objects.slice())
    this.heap.afterThaw(() => {
      this.frozen = undefined
    })
  }

  private pointDirectory(ordinal: number, depth: number, block: number): void {
    const span = 1 << (this.depth - depth)
    const first = depth === 0 ? 0 : (ordinal >>> (32 - depth)) << (this.depth - depth)
    for (let i = first; i < first + span; i++) this.directory[i] = block
  }

  /** Splits the found block in two; foundBlock and foundSlot then say where foundHash belongs. */
  private splitFound(): void {
    const heap = this.heap
    const old = this.foundBlock
    const depth = heap.blockDepth[old]!
    if (depth >= DEPTH_MAX) throw new Error("ByteMap: too many equal hashes")
    if (depth === this.depth) this.doubleDirectory()
    const base = wordOfBlock(old)
    const oldWords = heap.blockWords[slabOfBlock(old)]!
    scratch.set(oldWords.subarray(base, base + BLOCK_WORDS))
    oldWords.fill(0, base, base + BLOCK_WORDS)
    this.blocksAtDepth[depth]!--
    this.blocksAtDepth[depth + 1]!++
    heap.blockDepth[old] = depth + 1
    const high = this.newBlock(depth + 1)
    heap.blockEarliest[high] = heap.blockEarliest[old]!
    const bit = 0x80000000 >>> depth
    const lowCount = this.fill(old, depth + 1, bit, 0)
    heap.blockCount[high] = this.fill(high, depth + 1, bit, bit)
    heap.blockCount[old] = lowCount
    const ordinal = this.foundHash ^ 0x80000000
    this.pointDirectory(ordinal | bit, depth + 1, high)
    this.foundBlock = (ordinal & bit) !== 0 ? high : old
    this.foundSlot = this.slotFor(this.foundBlock, this.foundHash)
  }

  /**
   * Places those slots of `scratch` whose ordinal has `bit` equal to `want`, in their order; returns how many, or -1 when they
   * crowd so much at the end that they do not fit.
   */
  private fill(block: number, depth: number, bit: number, want: number): number {
    const words = this.heap.blockWords[slabOfBlock(block)]!
    const base = wordOfBlock(block)
    const last = base + BLOCK_WORDS - 2
    let next = base
    let count = 0
    for (let i = 0; i < SLOTS * 2; i += 2) {
      const address = scratch[i + 1]!
      if (address === 0) continue
      const hash = scratch[i]!
      const ordinal = hash ^ 0x80000000
      if (((ordinal & bit) | 0) !== (want | 0)) continue
      const home = base + (((((ordinal << depth) >>> 16) * HOMES) >>> 16) << 1)
      if (home > next) next = home
      if (next >= last) return -1
      words[next] = hash
      words[next + 1] = address
      next += 2
      count++
    }
    return count
  }

  /** The first slot at or behind home that is empty or holds a hash above (a place to insert at). */
  private slotFor(block: number, hash: number): number {
    const words = this.heap.blockWords[slabOfBlock(block)]!
    const ordinal = hash ^ 0x80000000
    let slot = wordOfBlock(block) + (((((ordinal << this.heap.blockDepth[block]!) >>> 16) * HOMES) >>> 16) << 1)
    while (words[slot + 1] !== 0 && words[slot]! <= hash) slot += 2
    return slot
  }

  /** Joins the found block with its buddy when both are sparse, and halves the directory when it may. */
  private mergeFound(): void {
    const heap = this.heap
    const block = this.foundBlock
    const depth = heap.blockDepth[block]!
    if (depth === 0) {
      if (this.size > 1) return
      this.dropBlock(block)
      this.directory[0] = 0
      return
    }
    const ordinal = this.foundHash ^ 0x80000000
    const bit = 0x80000000 >>> (depth - 1)
    const buddy = this.directory[(ordinal ^ bit) >>> (32 - this.depth)]!
    if (heap.blockDepth[buddy] !== depth) return
    if (heap.blockCount[block]! + heap.blockCount[buddy]! >= MERGE_BELOW) return
    const low = (ordinal & bit) === 0 ? block : buddy
    const high = low === block ? buddy : block
    const lowBase = wordOfBlock(low)
    const highBase = wordOfBlock(high)
    let at = 0
    scratch.fill(0)
    at = gather(heap.blockWords[slabOfBlock(low)]!, lowBase, at)
    gather(heap.blockWords[slabOfBlock(high)]!, highBase, at)
    const joined = this.newBlock(depth - 1)
    const count = this.fill(joined, depth - 1, 0, 0)
    if (count < 0) {
      // Removal in order of hash (SCAN and DEL) leaves the last keys close together: joined, they would be too many for
      // their part of the block. (What fits before a split fits after it: homes are twice as far apart then.)
      this.dropBlock(joined)
      return
    }
    heap.blockCount[joined] = count
    heap.blockEarliest[joined] = Math.min(heap.blockEarliest[low]!, heap.blockEarliest[high]!)
    this.pointDirectory(ordinal, depth - 1, joined)
    this.dropBlock(low)
    this.dropBlock(high)
    this.foundAddress = 0
    while (this.depth > 0 && this.blocksAtDepth[this.depth] === 0) this.halveDirectory()
  }

  private doubleDirectory(): void {
    const doubled = new Int32Array(this.directory.length * 2)
    for (let i = 0; i < this.directory.length; i++) {
      const block = this.directory[i]!
      doubled[i * 2] = block
      doubled[i * 2 + 1] = block
    }
    this.directory = doubled
    this.depth++
  }

  private halveDirectory(): void {
    const half = new Int32Array(this.directory.length >>> 1)
    for (let i = 0; i < half.length; i++) half[i] = this.directory[i * 2]!
    this.directory = half
    this.depth--
  }

  // ---------------------------------------------------------------------------------------------- expiry accounting

  private countExpiry(expiry: number): void {
    this.expirySize++
    this.expirySum += expiry
    if (expiry < this.heap.blockEarliest[this.foundBlock]!) this.heap.blockEarliest[this.foundBlock] = expiry
  }

  private storeExpiry(address: number, expiry: number): void {
    this.dropExpiry(address)
    writeDouble(this.heap.words[address >>> SLAB_UNIT_BITS]!, (address & SLAB_UNIT_MASK) + 2, expiry)
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
    const slab = address >>> SLAB_UNIT_BITS
    const at = this.storedKeyStart(address) + this.storedKeyLength(address)
    writeHandle(this.heap.bytes[slab]!, at, this.addObject(object))
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
      this.freeHandle(readHandle(this.heap.bytes[address >>> SLAB_UNIT_BITS]!, this.storedKeyStart(address)))
    }
    return container
  }
}

/** A map as it was when the snapshot began. Reading needs no locks: what it points at does not change. */
export class FrozenMap {
  readonly stamp: number
  readonly size: number
  private readonly heap: PageHeap
  private readonly directory: Int32Array
  private readonly depth: number
  private readonly objects: readonly (Stored | undefined)[]
  keyBytes: Uint8Array = EMPTY
  keyStart = 0
  keyEnd = 0
  valueBytes: Uint8Array = EMPTY
  valueStart = 0
  valueEnd = 0

  constructor(
    heap: PageHeap,
    stamp: number,
    directory: Int32Array,
    depth: number,
    size: number,
    objects: readonly (Stored | undefined)[],
  ) {
    this.heap = heap
    this.stamp = stamp
    this.directory = directory
    this.depth = depth
    this.size = size
    this.objects = objects
  }

  /** As ByteMap.scan, over the frozen state. */
  scan(cursor: number, count: number, out: number[]): number {
    if (this.size === 0) return 0
    return scanDirectory(this.heap, this.directory, this.depth, cursor, count, out)
  }

  /** Reads key and value places; returns the container of an out-of-line record that is not a blob. */
  read(address: number): Container | undefined {
    const slab = address >>> SLAB_UNIT_BITS
    const unit = address & SLAB_UNIT_MASK
    const words = this.heap.words[slab]!
    const bytes = this.heap.bytes[slab]!
    const kind = words[unit]!
    const lengths = words[unit + 1]!
    const at = (unit << 2) + ((kind & HAS_EXPIRY) !== 0 ? 16 : 8)
    this.keyBytes = bytes
    this.keyStart = at
    this.keyEnd = at + (lengths >>> 22)
    this.valueBytes = bytes
    this.valueStart = this.keyEnd
    this.valueEnd = this.valueStart + ((lengths >>> 10) & 0xfff)
    if ((kind & KEY_OUT) !== 0) {
      const blob = this.objects[readHandle(bytes, at)] as Blob
      this.keyBytes = blob.bytes
      this.keyStart = 0
      this.keyEnd = blob.length
    }
    if ((kind & VALUE_OUT) === 0) return undefined
    const object = this.objects[readHandle(bytes, at + (lengths >>> 22))]!
    if (!(object instanceof Blob)) return object
    this.valueBytes = object.bytes
    this.valueStart = 0
    this.valueEnd = object.length
    return undefined
  }

  type(address: number): number {
    return this.heap.words[address >>> SLAB_UNIT_BITS]![address & SLAB_UNIT_MASK]! & TYPE_MASK
  }

  access(address: number): number {
    return this.heap.words[address >>> SLAB_UNIT_BITS]![address & SLAB_UNIT_MASK]! >>> 8
  }

  expiry(address: number): number {
    const slab = address >>> SLAB_UNIT_BITS
    const unit = address & SLAB_UNIT_MASK
    if ((this.heap.words[slab]![unit]! & HAS_EXPIRY) === 0) return 0
    return readDouble(this.heap.words[slab]!, unit + 2)
  }
}

const EMPTY = new Uint8Array(0)

function sizeOf(object: Stored): number {
  return object instanceof Blob ? object.bytes.length + 64 : object.bytes
}

/** A double as two words: records are aligned to four bytes only. */
const double = new Float64Array(1)
const doubleWords = new Int32Array(double.buffer)

function readDouble(words: Int32Array, at: number): number {
  doubleWords[0] = words[at]!
  doubleWords[1] = words[at + 1]!
  return double[0]!
}

function writeDouble(words: Int32Array, at: number, value: number): void {
  double[0] = value
  words[at] = doubleWords[0]!
  words[at + 1] = doubleWords[1]!
}

function readHandle(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

function writeHandle(bytes: Uint8Array, at: number, handle: number): void {
  bytes[at] = handle
  bytes[at + 1] = handle >>> 8
  bytes[at + 2] = handle >>> 16
  bytes[at + 3] = handle >>> 24
}

/** Keys and small values: a loop beats a call into native code up to about a hundred bytes. */
function copyShort(from: Uint8Array, fromAt: number, to: Uint8Array, toAt: number, length: number): void {
  if (length > 128) to.set(from.subarray(fromAt, fromAt + length), toAt)
  else for (let i = 0; i < length; i++) to[toAt + i] = from[fromAt + i]!
}

function gather(words: Int32Array, base: number, at: number): number {
  for (let slot = base; slot < base + BLOCK_WORDS; slot += 2) {
    if (words[slot + 1] === 0) continue
    scratch[at] = words[slot]!
    scratch[at + 1] = words[slot + 1]!
    at += 2
  }
  return at
}

function scanDirectory(
  heap: PageHeap,
  directory: Int32Array,
  depth: number,
  cursor: number,
  count: number,
  out: number[],
): number {
  let emitted = 0
  // Empty blocks count as work too, so that a sparse table cannot make one call long.
  let steps = Math.max(count, ADDRESSES_PER_SCAN_MIN) * 4
  for (;;) {
    const block = directory[depth === 0 ? 0 : (cursor | 0) >>> (32 - depth)]!
    const blockDepth = heap.blockDepth[block]!
    const words = heap.blockWords[slabOfBlock(block)]!
    const base = wordOfBlock(block)
    const from = (cursor | 0) ^ 0x80000000
    let slot = base + ((((((cursor | 0) << blockDepth) >>> 16) * HOMES) >>> 16) << 1)
    for (; slot < base + BLOCK_WORDS; slot += 2) {
      const address = words[slot + 1]!
      if (address === 0) continue
      const hash = words[slot]!
      if (hash < from) continue
      if (emitted >= count) {
        const before = words[slot - 1] !== 0 ? words[slot - 2]! : undefined
        // Within a run of equal hashes the step goes on, so that the cursor never falls between twins.
        if (before !== hash) return (hash ^ 0x80000000) >>> 0
      }
      out.push(address)
      emitted++
    }
    const next = blockDepth === 0 ? 2 ** 32 : (((cursor | 0) >>> (32 - blockDepth)) + 1) * 2 ** (32 - blockDepth)
    if (next >= 2 ** 32) return 0
    cursor = next
    steps -= 8
    if (emitted >= count || steps <= 0) return cursor
  }
}
