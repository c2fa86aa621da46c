/**
 * The memory that every ByteMap of one server draws from: a few large slabs, cut into frames of 4 KiB for
 * records, and others, cut into blocks of slots.
 *
 * Why: an object per key, or even per segment, costs a pointer chase and a cache miss at each step. Here a record is
 * a 32-bit address (in units of 4 bytes, so one heap spans 16 GiB), and the slabs' views are few enough to stay in the
 * first-level cache. Slabs are SharedArrayBuffers so that a Worker can read a frozen state; the kernel commits
 * their pages only when they are touched.
 *
 *   address (32 bits)   = slab (9 bits) | unit within the slab (23 bits), one unit = 4 bytes
 *   frame number        = address >>> 10  (4096 bytes = 1024 units)
 *   page                = 1 frame (small maps) or 4 aligned frames (16 KiB): holds records, append-only
 *   block               = the 640 slots of one ByteMap segment (5 KiB), numbered from 1
 *
 * Why 640: blocks of a map split at about the same time, so their fill swings by a factor of two as the map grows. With 640 the
 * swing is at its dense end at a million keys, where a process is small enough for the difference to be seen.
 *
 * Invariants
 *  1. Address 0 is never handed out: frame 0 of slab 0 stays unused, so 0 can mean "none"; nor is block 0.
 *  2. A page's `used` units are a gapless sequence of records, live or dead; `live` counts the units of the live ones.
 *  3. What is stamped with an epoch <= `frozenThrough` is read by a snapshot: its bytes are not changed and its
 *     frames not reused until `thaw`. (The access clock in a record's header is exempt: nobody's truth hangs on it.)
 */

export const SLAB_UNIT_BITS = 23
export const SLAB_UNIT_MASK = (1 << SLAB_UNIT_BITS) - 1
export const FRAME_UNIT_BITS = 10
export const FRAME_BYTES = 4096
export const FRAMES_PER_SLAB_BITS = SLAB_UNIT_BITS - FRAME_UNIT_BITS
export const FRAMES_PER_SLAB = 1 << FRAMES_PER_SLAB_BITS
const SLAB_BYTES = FRAMES_PER_SLAB * FRAME_BYTES
const SLABS_MAX = 1 << (32 - SLAB_UNIT_BITS)
export const LARGE_PAGE_FRAMES = 4

export const BLOCK_WORDS = 1280
export const BLOCK_BYTES = BLOCK_WORDS * 4
const BLOCKS_PER_SLAB_BITS = 12
/** Tables begin with cells for 1 GiB of records and 27 million keys: untouched, they cost address space only. */
const FRAME_TABLE_MIN = 1 << 18
const BLOCK_TABLE_MIN = 1 << 16
const BLOCKS_PER_SLAB = 1 << BLOCKS_PER_SLAB_BITS

/** Thrown when 16 GiB of records are stored; the dispatcher answers it as out of memory. */
export class HeapFullError extends Error {}

export class PageHeap {
  readonly bytes: Uint8Array[] = []
  readonly words: Int32Array[] = []
  /** The same slabs for numbers that are aligned to nothing. */
  readonly views: DataView[] = []
  /** The slabs of blocks. */
  readonly blockWords: Int32Array[] = []

  /** The epoch that new blocks and pages are stamped with. */
  epoch = 1
  /** Everything stamped up to here belongs to the running snapshot; 0 when there is none. */
  frozenThrough = 0

  /** Per frame. For a page of four frames only the first frame's cells mean anything. */
  frameEpoch = new Int32Array(0)
  pageLive = new Int32Array(0)
  pageUsed = new Int32Array(0)
  pageNext = new Int32Array(0)
  pagePrev = new Int32Array(0)
  /** Which map a page belongs to (`newOwner`), 0 for none. */
  pageOwner = new Int32Array(0)
  /** 1 = a page of one frame, 4 = a page of four, 0 = free. */
  pageFrames = new Uint8Array(0)

  /** Per block. */
  blockEpoch = new Int32Array(0)
  blockCount = new Int16Array(0)
  blockDepth = new Uint8Array(0)
  /** Earliest expiry among a block's records, in ms; Infinity when none has one. */
  blockEarliest = new Float64Array(0)

  /** Frames and blocks in use, for O(1) memory accounting. */
  framesUsed = 0
  blocksUsed = 0

  private frameLimit = 0
  private nextFrame = LARGE_PAGE_FRAMES
  private freeSingles: number[] = []
  private freeQuads: number[] = []
  private limboSingles: number[] = []
  private limboQuads: number[] = []
  private nextBlock = 1
  private freeBlocks: number[] = []
  private limboBlocks: number[] = []
  private readonly onThaw: (() => void)[] = []

  get bytesUsed(): number {
    return this.framesUsed * FRAME_BYTES + this.blocksUsed * BLOCK_BYTES
  }

  /** Bytes in use, and those that writers have given up but the running snapshot still holds. */
  get heldBytes(): number {
    const frames = this.limboSingles.length + this.limboQuads.length * LARGE_PAGE_FRAMES
    return this.bytesUsed + frames * FRAME_BYTES + this.limboBlocks.length * BLOCK_BYTES
  }

  /**
   * Takes the first slabs now. It is nothing but address space, but the runtime answers such a growth with a collection of
   * its heap, some milliseconds which no client should wait for.
   */
  reserve(): void {
    if (this.bytes.length === 0) this.addSlab()
    if (this.blockWords.length === 0) this.addBlockSlab()
  }

  /** A number for a map to mark its pages with. */
  newOwner(): number {
    this.owners = (this.owners + 1) & 0x7fffffff || 1
    return this.owners
  }
  private owners = 0

  /** A block, all slots empty. */
  takeBlock(): number {
    let block = this.freeBlocks.pop()
    if (block === undefined) {
      block = this.nextBlock++
      if (slabOfBlock(block) >= this.blockWords.length) this.addBlockSlab()
    } else {
      const start = wordOfBlock(block)
      this.blockWords[slabOfBlock(block)]!.fill(0, start, start + BLOCK_WORDS)
    }
    this.blocksUsed++
    this.blockEpoch[block] = this.epoch
    return block
  }

  releaseBlock(block: number): void {
    this.blocksUsed--
    if (this.blockEpoch[block]! <= this.frozenThrough) this.limboBlocks.push(block)
    else this.freeBlocks.push(block)
  }

  /** One frame for a small page. Its content is undefined. */
  takeFrame(): number {
    let frame = this.freeSingles.pop()
    if (frame === undefined) {
      const quad = this.takeQuadRaw()
      this.freeSingles.push(quad + 3, quad + 2, quad + 1)
      frame = quad
    }
    this.framesUsed++
    this.frameEpoch[frame] = this.epoch
    return frame
  }

  /** Four aligned frames for a large page. */
  takeQuad(): number {
    const quad = this.takeQuadRaw()
    this.framesUsed += LARGE_PAGE_FRAMES
    this.frameEpoch[quad] = this.epoch
    return quad
  }

  /** Gives frames back; those a snapshot still reads wait for its end. */
  releaseFrame(frame: number): void {
    this.framesUsed--
    if (this.frameEpoch[frame]! <= this.frozenThrough) this.limboSingles.push(frame)
    else this.freeSingles.push(frame)
  }

  releaseQuad(quad: number): void {
    this.framesUsed -= LARGE_PAGE_FRAMES
    if (this.frameEpoch[quad]! <= this.frozenThrough) this.limboQuads.push(quad)
    else this.freeQuads.push(quad)
  }

  /** Starts a snapshot: all that exists now is frozen. One at a time. */
  freeze(): number {
    if (this.frozenThrough !== 0) throw new Error("a snapshot is running already")
    this.finishThaw(Number.POSITIVE_INFINITY)
    this.frozenThrough = this.epoch++
    return this.frozenThrough
  }

  /** Ends the snapshot: frames that writers left behind for it become free. What else hangs on it is for `finishThaw`. */
  thaw(): void {
    this.frozenThrough = 0
    this.freeSingles = joined(this.freeSingles, this.limboSingles)
    this.freeQuads = joined(this.freeQuads, this.limboQuads)
    this.freeBlocks = joined(this.freeBlocks, this.limboBlocks)
    this.limboBlocks = []
    this.limboSingles = []
    this.limboQuads = []
  }

  /**
   * Runs at most so many of what was to be run after the thaw; true when more is left. A snapshot may have touched a million
   * containers, so this is done in slices; the next `freeze` does the rest.
   */
  finishThaw(count: number): boolean {
    const { onThaw } = this
    if (this.frozenThrough !== 0) return false
    while (onThaw.length > 0 && count-- > 0) onThaw.pop()!()
    return onThaw.length > 0
  }

  /** Runs some time after the thaw, before the next freeze; or at once when nothing is frozen. */
  afterThaw(run: () => void): void {
    if (this.frozenThrough === 0) run()
    else this.onThaw.push(run)
  }

  /** Page number of the record at an address. */
  pageOf(address: number): number {
    const frame = address >>> FRAME_UNIT_BITS
    const quad = frame & ~(LARGE_PAGE_FRAMES - 1)
    return this.pageFrames[quad] === LARGE_PAGE_FRAMES ? quad : frame
  }

  private takeQuadRaw(): number {
    const recycled = this.freeQuads.pop()
    if (recycled !== undefined) return recycled
    if (this.nextFrame >= this.frameLimit) this.addSlab()
    const quad = this.nextFrame
    this.nextFrame += LARGE_PAGE_FRAMES
    return quad
  }

  private addSlab(): void {
    if (this.bytes.length >= SLABS_MAX) throw new HeapFullError("the record heap is full (16 GiB)")
    const buffer = new SharedArrayBuffer(SLAB_BYTES)
    this.bytes.push(new Uint8Array(buffer))
    this.words.push(new Int32Array(buffer))
    this.views.push(new DataView(buffer))
    this.frameLimit += FRAMES_PER_SLAB
    if (this.frameLimit > this.frameEpoch.length) this.growTables(this.frameLimit)
  }

  /** About 0.8 % of the slabs' size; doubling them copies at most a few milliseconds' worth, at tens of gigabytes. */
  private growTables(frames: number): void {
    const length = Math.max(frames, this.frameEpoch.length * 2, FRAME_TABLE_MIN)
    this.frameEpoch = grown(this.frameEpoch, new Int32Array(length))
    this.pageLive = grown(this.pageLive, new Int32Array(length))
    this.pageUsed = grown(this.pageUsed, new Int32Array(length))
    this.pageNext = grown(this.pageNext, new Int32Array(length))
    this.pagePrev = grown(this.pagePrev, new Int32Array(length))
    this.pageOwner = grown(this.pageOwner, new Int32Array(length))
    this.pageFrames = grown(this.pageFrames, new Uint8Array(length))
  }

  private addBlockSlab(): void {
    this.blockWords.push(new Int32Array(new SharedArrayBuffer(BLOCKS_PER_SLAB * BLOCK_BYTES)))
    const blocks = this.blockWords.length * BLOCKS_PER_SLAB
    if (blocks <= this.blockCount.length) return
    const length = Math.max(blocks, this.blockCount.length * 2, BLOCK_TABLE_MIN)
    this.blockEpoch = grown(this.blockEpoch, new Int32Array(length))
    this.blockCount = grown(this.blockCount, new Int16Array(length))
    this.blockDepth = grown(this.blockDepth, new Uint8Array(length))
    this.blockEarliest = grown(this.blockEarliest, new Float64Array(length))
  }
}

/** Both lists in one, by adding the shorter to the longer. */
function joined(a: number[], b: number[]): number[] {
  const [long, short] = a.length > b.length ? [a, b] : [b, a]
  for (const n of short) long.push(n)
  return long
}

function grown<T extends Int32Array | Int16Array | Uint8Array | Float64Array>(from: T, to: T): T {
  to.set(from as never)
  return to
}

export function slabOfFrame(frame: number): number {
  return frame >>> FRAMES_PER_SLAB_BITS
}

export function slabOfBlock(block: number): number {
  return block >>> BLOCKS_PER_SLAB_BITS
}

export function wordOfBlock(block: number): number {
  return (block & (BLOCKS_PER_SLAB - 1)) * BLOCK_WORDS
}
