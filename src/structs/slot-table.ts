/**
 * The hash directory of a ByteMap: finds records by key, keeps the slots of blocks in order, splits and joins blocks.
 *
 *   directory ──top bits of the hash──▶ block ──next 16 bits──▶ home slot, and up from there
 *
 * Invariants: see ByteMap 1, 2 and 4.
 */

import { equalBytes } from "../bytes/compare.ts"
import type { KeyedHash } from "../bytes/siphash.ts"
import { BLOCK_WORDS, type PageHeap, SLAB_UNIT_BITS, SLAB_UNIT_MASK, slabOfBlock, wordOfBlock } from "./page-heap.ts"
import { EMPTY, HAS_EXPIRY, KEY_OUT, readHandle } from "./record-layout.ts"
import { RecordLog } from "./record-log.ts"
import type { Blob, Stored } from "./stored.ts"

export const SLOTS = BLOCK_WORDS >>> 1
export const HOMES = 600
const SPLIT_AT = 550
/** Two buddies merge when together they hold less than this. */
const MERGE_BELOW = 250
const DEPTH_MAX = 26

/** Scratch for one block being split or merged; module-wide since nothing here is re-entrant. */
const scratch = new Int32Array(SLOTS * 2)

/** Keys that one `touch` can take. */
export const TOUCHED_MAX = 512
const touchedSlabs = new Int32Array(TOUCHED_MAX)
const touchedWords = new Int32Array(TOUCHED_MAX)

export abstract class SlotTable extends RecordLog {
  size = 0
  readonly hasher: KeyedHash
  protected directory = new Int32Array(1)
  protected depth = 0
  protected readonly blocksAtDepth = new Int32Array(DEPTH_MAX + 1)
  protected blocks = 0
  /** Long keys, large values and containers, by handle. */
  protected objects: (Stored | undefined)[] = []

  /** What the last search found, 0 for nothing, or since it was removed; with its hash and its slot. */
  protected foundAddress = 0
  protected foundHash = 0
  protected foundBlock = 0
  protected foundSlot = 0

  private probeBytes: Uint8Array = EMPTY
  private probeStart = 0
  private probeEnd = 0

  constructor(heap: PageHeap, hasher: KeyedHash) {
    super(heap)
    this.hasher = hasher
  }

  /** Before the first change under a snapshot: the state as it is now must stay readable. */
  protected abstract keepFrozen(): void

  /** A record goes where compaction put it; a search in progress is not disturbed. */
  protected moved(from: number, to: number): void {
    const { foundAddress, foundHash, foundBlock, foundSlot } = this
    this.locateRecord(from)
    this.heap.blockWords[slabOfBlock(this.foundBlock)]![this.foundSlot + 1] = to
    this.foundAddress = foundAddress === from ? to : foundAddress
    this.foundHash = foundHash
    this.foundBlock = foundBlock
    this.foundSlot = foundSlot
  }

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
    if (this.foundAddress !== 0 && this.isFound(bytes, start, end)) return this.foundAddress
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

  /** The first record whose key has this hash, or 0. For those who have seen the record and kept no more than its hash. */
  findHash(hash: number): number {
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
    while (words[slot + 1] !== 0 && words[slot]! < hash) slot += 2
    this.foundSlot = slot
    if (words[slot] === hash) this.foundAddress = words[slot + 1]!
    return this.foundAddress
  }

  /** Whether this is the key that was found last, as it is where a queue, a counter or a ranking is at work. */
  private isFound(bytes: Uint8Array, start: number, end: number): boolean {
    const address = this.foundAddress
    const length = this.storedKeyLength(address)
    if (length !== end - start || length === 0) return false
    // Neighbours tend to differ at their ends.
    const own = this.heap.bytes[address >>> SLAB_UNIT_BITS]!
    return (
      own[this.storedKeyStart(address) + length - 1] === bytes[end - 1] && this.keyEquals(address, bytes, start, length)
    )
  }

  protected keyEquals(address: number, bytes: Uint8Array, start: number, length: number): boolean {
    const slab = address >>> SLAB_UNIT_BITS
    const unit = address & SLAB_UNIT_MASK
    const words = this.heap.words[slab]!
    const kind = words[unit]!
    let word = unit + ((kind & HAS_EXPIRY) !== 0 ? 4 : 2)
    if ((kind & KEY_OUT) !== 0) {
      const blob = this.objects[readHandle(this.heap.views[slab]!, word << 2)] as Blob
      return blob.length === length && equalBytes(blob.bytes, 0, bytes, start, length)
    }
    if (words[unit + 1]! >>> 22 !== length) return false
    // Keys begin at a word; of the last, partial one only what is the key's counts.
    const end = start + length
    const wholeEnd = end - (length & 3)
    let at = start
    for (; at < wholeEnd; at += 4) {
      const given = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      if (words[word++] !== given) return false
    }
    if (at === end) return true
    let rest = words[word]! ^ bytes[at]!
    if (at + 1 < end) rest ^= bytes[at + 1]! << 8
    if (at + 2 < end) rest ^= bytes[at + 2]! << 16
    return rest << (32 - ((length & 3) << 3)) === 0
  }

  /** Whether a record has the same key as another map's. */
  protected sameKey(address: number, other: SlotTable, otherAddress: number): boolean {
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

  /** Makes foundSlot point at a record that the last search may not have been about. */
  protected locate(address: number): void {
    if (this.foundAddress === address && address !== 0) {
      this.thawBlock()
      return
    }
    this.locateRecord(address)
    this.thawBlock()
  }

  protected locateRecord(address: number): void {
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

  protected readKeyInto(address: number): void {
    const at = this.storedKeyStart(address)
    const bytes = this.heap.bytes[address >>> SLAB_UNIT_BITS]!
    if ((this.header(address) & KEY_OUT) !== 0) {
      const blob = this.objects[readHandle(this.heap.views[address >>> SLAB_UNIT_BITS]!, at)] as Blob
      this.probeBytes = blob.bytes
      this.probeStart = 0
      this.probeEnd = blob.length
    } else {
      this.probeBytes = bytes
      this.probeStart = at
      this.probeEnd = at + this.storedKeyLength(address)
    }
  }

  protected slotAddress(): number {
    return this.heap.blockWords[slabOfBlock(this.foundBlock)]![this.foundSlot + 1]!
  }

  protected turnSlot(address: number): void {
    this.heap.blockWords[slabOfBlock(this.foundBlock)]![this.foundSlot + 1] = address
    this.foundAddress = address
  }

  /** Puts an address into the slot that the failed search ended at, shifting its successors up. */
  protected insertSlot(address: number): void {
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
  protected removeSlot(): void {
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

  protected addFirstBlock(): void {
    if (this.heap.frozenThrough !== 0) this.keepFrozen()
    const block = this.newBlock(0)
    this.directory[0] = block
    this.foundBlock = block
    this.foundSlot = wordOfBlock(block) + (((((this.foundHash ^ 0x80000000) >>> 16) * HOMES) >>> 16) << 1)
  }

  protected newBlock(depth: number): number {
    const heap = this.heap
    const block = heap.takeBlock()
    heap.blockDepth[block] = depth
    heap.blockCount[block] = 0
    heap.blockEarliest[block] = Number.POSITIVE_INFINITY
    this.blocksAtDepth[depth]!++
    this.blocks++
    return block
  }

  protected dropBlock(block: number): void {
    this.blocksAtDepth[this.heap.blockDepth[block]!]!--
    this.blocks--
    this.heap.releaseBlock(block)
  }

  /** If the found block belongs to the snapshot: works on a clone from now on. */
  protected thawBlock(): void {
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

  protected pointDirectory(ordinal: number, depth: number, block: number): void {
    const span = 1 << (this.depth - depth)
    const first = depth === 0 ? 0 : (ordinal >>> (32 - depth)) << (this.depth - depth)
    for (let i = first; i < first + span; i++) this.directory[i] = block
  }

  /** Splits the found block in two; foundBlock and foundSlot then say where foundHash belongs. */
  protected splitFound(): void {
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
  protected fill(block: number, depth: number, bit: number, want: number): number {
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
  protected slotFor(block: number, hash: number): number {
    const words = this.heap.blockWords[slabOfBlock(block)]!
    const ordinal = hash ^ 0x80000000
    let slot = wordOfBlock(block) + (((((ordinal << this.heap.blockDepth[block]!) >>> 16) * HOMES) >>> 16) << 1)
    while (words[slot + 1] !== 0 && words[slot]! <= hash) slot += 2
    return slot
  }

  /** Joins the found block with its buddy when both are sparse, and halves the directory when it may. */
  protected mergeFound(): void {
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

  protected doubleDirectory(): void {
    const doubled = new Int32Array(this.directory.length * 2)
    for (let i = 0; i < this.directory.length; i++) {
      const block = this.directory[i]!
      doubled[i * 2] = block
      doubled[i * 2 + 1] = block
    }
    this.directory = doubled
    this.depth++
  }

  protected halveDirectory(): void {
    const half = new Int32Array(this.directory.length >>> 1)
    for (let i = 0; i < half.length; i++) half[i] = this.directory[i * 2]!
    this.directory = half
    this.depth--
  }
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
