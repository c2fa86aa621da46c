/**
 * The stream of replication: everything that replicas are sent, byte by byte, as far back as the backlog goes.
 *
 * The bytes lie in a chain of blocks that the backlog and all replicas share, so a further replica costs no memory however
 * slow it is:
 *
 *   first ──▶ block ──▶ block ──▶ last
 *     ▲ trimmed here       ▲         ▲ appended here
 *                          reader
 *
 * `offset` counts the bytes since the history began, as master_repl_offset does; byte n is the n-th, so the first one
 * held is `firstByte`, and a replica that has n asks for n + 1.
 *
 * Invariants
 * 1. While the stream is open there is at least one block, and blocks follow each other without a gap up to `offset`.
 * 2. The history is at least as long as the backlog's size once so much was written, and longer while a reader needs it:
 *    blocks go from the front only, as whole ones, and never one that a reader stands in.
 */

import { copyBytes, uncleared } from "../bytes/compare.ts"

const BLOCK_BYTES_MIN = 16 * 1024
/** A block is at most this part of the backlog, so that trimming keeps close to its size. */
const BLOCKS_PER_BACKLOG = 16

export class Block {
  readonly bytes: Uint8Array
  used = 0
  next: Block | undefined
  /** Bytes of the stream before this block. */
  start: number

  constructor(start: number, capacity: number) {
    this.start = start
    this.bytes = uncleared(capacity)
  }
}

/** A place in the stream from which a replica is fed. */
export class Reader {
  block: Block
  /** Index in the block of the next byte to send. */
  at: number

  constructor(block: Block, at: number) {
    this.block = block
    this.at = at
  }

  /** Bytes of the stream before the next one to send. */
  get position(): number {
    return this.block.start + this.at
  }
}

export class ReplicationStream {
  /** Bytes the stream has had. */
  offset = 0
  /** Bytes of all blocks. */
  heldBytes = 0
  private first: Block | undefined
  private last: Block | undefined
  private readonly readers = new Set<Reader>()
  private readonly sizeMax: () => number

  /** @param sizeMax bytes of history to keep */
  constructor(sizeMax: () => number) {
    this.sizeMax = sizeMax
  }

  /** Whether there is a backlog. */
  get isOpen(): boolean {
    return this.first !== undefined
  }

  /** Number of the first byte held, 0 without a backlog. */
  get firstByte(): number {
    return this.first === undefined ? 0 : this.first.start + 1
  }

  /** Bytes of history held. */
  get length(): number {
    return this.first === undefined ? 0 : this.offset - this.first.start
  }

  /** Begins to keep what is written, from here on. */
  open(): void {
    if (this.first !== undefined) return
    this.first = this.addBlock(0)
  }

  /** Forgets the history; there must be no readers. */
  close(): void {
    this.first = undefined
    this.last = undefined
    this.heldBytes = 0
  }

  /** Begins the history anew at another offset; there must be no readers. */
  restart(offset: number): void {
    const wasOpen = this.isOpen
    this.close()
    this.offset = offset
    if (wasOpen) this.open()
  }

  /** What has been written turns out to follow `count` bytes of history; there must be no readers. */
  rebase(count: number): void {
    this.offset += count
    for (let block = this.first; block !== undefined; block = block.next) block.start += count
  }

  /** Copies bytes to the end of the stream. O(bytes). */
  append(bytes: Uint8Array, start: number, end: number): void {
    let block = this.last
    if (block === undefined) {
      this.offset += end - start
      return
    }
    let at = start
    while (at < end) {
      let room = block.bytes.length - block.used
      if (room === 0) {
        block = this.addBlock(end - at)
        this.trim()
        room = block.bytes.length
      }
      const count = Math.min(room, end - at)
      copyBytes(bytes, at, at + count, block.bytes, block.used)
      block.used += count
      this.offset += count
      at += count
    }
  }

  /** Whether a reader could begin at byte number `byte`. */
  has(byte: number): boolean {
    return this.first !== undefined && byte >= this.firstByte && byte <= this.offset + 1
  }

  /** A reader that begins with byte number `byte`, which must be held or be the next one. O(blocks). */
  readFrom(byte: number): Reader {
    let block = this.first!
    while (block.next !== undefined && block.start + block.used < byte) block = block.next
    const reader = new Reader(block, byte - 1 - block.start)
    this.readers.add(reader)
    return reader
  }

  /** Moves a reader past bytes that it has been sent. */
  advance(reader: Reader, count: number): void {
    reader.at += count
    if (reader.at < reader.block.used || reader.block.next === undefined) return
    reader.block = reader.block.next
    reader.at = 0
    this.trim()
  }

  leave(reader: Reader): void {
    this.readers.delete(reader)
    if (this.first !== undefined) this.trim()
  }

  /** Lets go of blocks at the front that neither the backlog nor a reader needs. */
  trim(): void {
    const sizeMax = this.sizeMax()
    while (this.first !== undefined && this.first.next !== undefined) {
      if (this.offset - this.first.next.start < sizeMax || this.isRead(this.first)) return
      this.heldBytes -= this.first.bytes.length
      this.first = this.first.next
    }
  }

  private isRead(block: Block): boolean {
    for (const reader of this.readers) if (reader.block === block) return true
    return false
  }

  private addBlock(wanted: number): Block {
    const largest = Math.max(BLOCK_BYTES_MIN, Math.floor(this.sizeMax() / BLOCKS_PER_BACKLOG))
    const block = new Block(this.offset, Math.min(Math.max(wanted, BLOCK_BYTES_MIN), largest))
    if (this.last !== undefined) this.last.next = block
    this.last = block
    this.heldBytes += block.bytes.length
    return block
  }
}
