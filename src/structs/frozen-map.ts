/**
 * Reading a ByteMap as it was when a snapshot began, and the walk in hash order that live and frozen maps share.
 */

import { BLOCK_WORDS, type PageHeap, SLAB_UNIT_BITS, SLAB_UNIT_MASK, slabOfBlock, wordOfBlock } from "./page-heap.ts"
import { EMPTY, HAS_EXPIRY, KEY_OUT, readExpiry, readHandle, TYPE_MASK, VALUE_OUT } from "./record-layout.ts"
import { HOMES } from "./slot-table.ts"
import { Blob, type Container, type Stored } from "./stored.ts"

const ADDRESSES_PER_SCAN_MIN = 16

/** A map as it was when the snapshot began. Reading needs no locks: what it points at does not change. */
export class FrozenMap {
  readonly stamp: number
  readonly size: number
  /** Records with an expiry. */
  readonly expirySize: number
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
    expirySize: number,
  ) {
    this.heap = heap
    this.stamp = stamp
    this.directory = directory
    this.depth = depth
    this.size = size
    this.objects = objects
    this.expirySize = expirySize
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
      const blob = this.objects[readHandle(this.heap.views[slab]!, at)] as Blob
      this.keyBytes = blob.bytes
      this.keyStart = 0
      this.keyEnd = blob.length
    }
    if ((kind & VALUE_OUT) === 0) return undefined
    const object = this.objects[readHandle(this.heap.views[slab]!, at + (lengths >>> 22))]!
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
    return readExpiry(this.heap.views[slab]!, unit)
  }
}

export function scanDirectory(
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
