/**
 * Bytes being put together for Lua, outside its memory: what an encoder appends to. Kept from call to call, but not when
 * it has become large.
 */

import { uncleared } from "../../bytes/compare.ts"

const KEPT_BYTES_MAX = 256 * 1024
/** Shorter runs are copied faster byte by byte. */
const LOOP_BYTES_MAX = 24

export class Sink {
  bytes: Uint8Array = new Uint8Array(512)
  at = 0
  private readonly bytesMax: number

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  reset(): void {
    this.at = 0
    if (this.bytes.length > KEPT_BYTES_MAX) this.bytes = new Uint8Array(512)
  }

  /** Room for `count` more; false when that would be too much. */
  ensure(count: number): boolean {
    return this.at + count <= this.bytes.length || this.grow(count)
  }

  /** For bytes that there is room for. */
  byte(value: number): void {
    this.bytes[this.at++] = value
  }

  /** ASCII that there is room for. */
  text(text: string): void {
    const { bytes } = this
    for (let i = 0; i < text.length; i++) bytes[this.at++] = text.charCodeAt(i)
  }

  /** Bytes that there is room for. */
  copy(from: Uint8Array, start: number, end: number): void {
    const { bytes } = this
    let { at } = this
    if (end - start <= LOOP_BYTES_MAX) for (let i = start; i < end; i++) bytes[at++] = from[i]!
    else {
      bytes.set(from.subarray(start, end), at)
      at += end - start
    }
    this.at = at
  }

  private grow(count: number): boolean {
    const needed = this.at + count
    if (needed > this.bytesMax) return false
    const bytes = uncleared(Math.min(this.bytesMax, Math.max(needed, this.bytes.length * 2)))
    bytes.set(this.bytes.subarray(0, this.at))
    this.bytes = bytes
    return true
  }
}
