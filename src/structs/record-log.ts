/**
 * The records of a ByteMap, as a log: appended to an open page, marked dead where they are superseded, moved together when
 * a page has become half empty. Pages and their book-keeping live in the PageHeap; here is what one map does with its own.
 *
 * Invariants: see PageHeap 2 and 3, ByteMap 3 and 4.
 */

import {
  FRAME_BYTES,
  FRAME_UNIT_BITS,
  LARGE_PAGE_FRAMES,
  type PageHeap,
  SLAB_UNIT_BITS,
  SLAB_UNIT_MASK,
  slabOfFrame,
} from "./page-heap.ts"
import { DEAD, HAS_EXPIRY, HEADER_BYTES, VALUE_INLINE_MAX, writeExpiry } from "./record-layout.ts"

const SMALL_PAGE_UNITS = FRAME_BYTES >>> 2
const LARGE_PAGE_UNITS = SMALL_PAGE_UNITS * LARGE_PAGE_FRAMES
/** A map starts with pages of one frame and turns to pages of four once it has this many. */
const SMALL_PAGES = 4

export abstract class RecordLog {
  protected readonly heap: PageHeap
  protected readonly owner: number
  /** Frames of the map's pages. */
  protected frames = 0
  /** Units of the records that are alive: what is stored, whatever room the pages have for it. */
  protected liveUnits = 0
  protected pages = 0
  protected firstPage = 0

  protected openPage = 0
  /** Where the next record goes, and where the open page ends; unsigned addresses. */
  protected openUnit = 0
  protected openLimit = 0
  /** Pages that were seen to be less than half live. */
  protected victims: number[] = []

  constructor(heap: PageHeap) {
    this.heap = heap
    this.owner = heap.newOwner()
  }

  /** A record was copied elsewhere: whoever knows its old address must learn the new one. */
  protected abstract moved(from: number, to: number): void

  protected header(address: number): number {
    return this.heap.words[address >>> SLAB_UNIT_BITS]![address & SLAB_UNIT_MASK]!
  }

  /** Whether a record may be changed where it is. */
  protected isWarm(address: number): boolean {
    return this.heap.frameEpoch[this.heap.pageOf(address)]! > this.heap.frozenThrough
  }

  protected storedKeyStart(address: number): number {
    return ((address & SLAB_UNIT_MASK) << 2) + ((this.header(address) & HAS_EXPIRY) !== 0 ? 16 : 8)
  }

  protected storedKeyLength(address: number): number {
    return this.heap.words[address >>> SLAB_UNIT_BITS]![(address & SLAB_UNIT_MASK) + 1]! >>> 22
  }

  /** Appends a record's header and expiry to the open page; key and value are the caller's to write. */
  protected append(kind: number, keyLength: number, valueLength: number, expiry: number): number {
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
    this.liveUnits += units
    heap.pageUsed[this.openPage]! += units
    heap.pageLive[this.openPage]! += units
    const slab = address >>> SLAB_UNIT_BITS
    const unit = address & SLAB_UNIT_MASK
    const words = heap.words[slab]!
    words[unit] = kind
    words[unit + 1] = (keyLength << 22) | (valueLength << 10) | units
    if (expiry !== 0) writeExpiry(heap.views[slab]!, unit, expiry)
    return address | 0
  }

  /** Lengthens or shortens a value without moving it: within the padding, or into the open page when it is last there. */
  protected extendInPlace(address: number, valueLength: number): boolean {
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
      this.liveUnits += units - had
      this.openUnit = address + units
      words[at + 1] = (keyLength << 22) | (valueLength << 10) | units
      return true
    }
    if (had - units > 1 + (units >>> 2)) return false
    words[at + 1] = (keyLength << 22) | (valueLength << 10) | had
    return true
  }

  /** Opens a page with room for `units`, and moves the survivors of at most one half-dead page into it. */
  protected turnPage(units: number): void {
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

  protected startPage(): void {
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

  protected freePage(page: number): void {
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
  protected kill(address: number): void {
    const heap = this.heap
    const words = heap.words[address >>> SLAB_UNIT_BITS]!
    const at = address & SLAB_UNIT_MASK
    words[at]! |= DEAD
    const page = heap.pageOf(address)
    const before = heap.pageLive[page]!
    const units = words[at + 1]! & 0x3ff
    heap.pageLive[page] = before - units
    this.liveUnits -= units
    if (page !== this.openPage) this.judgePage(page, before)
  }

  /** Frees an empty page; lists one that has just become half dead. `before` is its live units until now. */
  protected judgePage(page: number, before: number): void {
    const heap = this.heap
    const live = heap.pageLive[page]!
    if (live === 0) {
      this.freePage(page)
      return
    }
    const half = (heap.pageFrames[page]! * SMALL_PAGE_UNITS) >>> 1
    if (live < half && (before >= half || before === 0 || heap.pageUsed[page] === before)) this.victims.push(page)
  }

  protected takeVictim(): number {
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

  protected evacuate(page: number): void {
    const { heap } = this
    const slab = slabOfFrame(page)
    const words = heap.words[slab]!
    const bytes = heap.bytes[slab]!
    const start = page * (1 << FRAME_UNIT_BITS)
    const end = start + heap.pageUsed[page]!
    for (let address = start; address < end; ) {
      const at = address & SLAB_UNIT_MASK
      const kind = words[at]!
      const units = words[at + 1]! & 0x3ff
      if ((kind & DEAD) === 0) {
        if (this.openUnit + units > this.openLimit) this.startPage()
        const to = this.openUnit
        this.openUnit += units
        heap.pageUsed[this.openPage]! += units
        heap.pageLive[this.openPage]! += units
        const toBytes = heap.bytes[to >>> SLAB_UNIT_BITS]!
        const from = at << 2
        toBytes.set(bytes.subarray(from, from + (units << 2)), (to & SLAB_UNIT_MASK) << 2)
        this.moved(address | 0, to | 0)
      }
      address += units
    }
    heap.pageLive[page] = 0
    this.freePage(page)
  }
}
