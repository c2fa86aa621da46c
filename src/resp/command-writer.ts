/**
 * Writes requests in RESP: what goes to the append-only file and to replicas. One growing buffer, emptied by its reader.
 */

import { copyBytes, uncleared } from "../bytes/compare.ts"
import { writeInteger } from "../bytes/int64.ts"

const CR = 13
const LF = 10
const KEPT_BYTES_MAX = 1024 * 1024

export class CommandWriter {
  bytes: Uint8Array
  at = 0

  constructor(capacity = 16 * 1024) {
    this.bytes = uncleared(capacity)
  }

  reset(): void {
    this.at = 0
    if (this.bytes.length > KEPT_BYTES_MAX) this.bytes = uncleared(16 * 1024)
  }

  /** Begins a command of `count` arguments, its name included. */
  begin(count: number): this {
    this.ensure(24)
    this.header(42, count)
    return this
  }

  /** One argument. */
  arg(bytes: Uint8Array, start: number, end: number): this {
    this.ensure(end - start + 24)
    this.header(36, end - start)
    copyBytes(bytes, start, end, this.bytes, this.at)
    this.at += end - start
    this.newline()
    return this
  }

  /** An argument of ASCII text. */
  word(text: string): this {
    this.ensure(text.length + 24)
    this.header(36, text.length)
    for (let i = 0; i < text.length; i++) this.bytes[this.at++] = text.charCodeAt(i)
    this.newline()
    return this
  }

  /** An integer argument. */
  number(n: number | bigint): this {
    return this.word(n.toString())
  }

  /** Bytes that are whole commands already. */
  raw(bytes: Uint8Array, start: number, end: number): this {
    this.ensure(end - start)
    copyBytes(bytes, start, end, this.bytes, this.at)
    this.at += end - start
    return this
  }

  private header(code: number, n: number): void {
    this.bytes[this.at++] = code
    this.at = writeInteger(this.bytes, this.at, n)
    this.newline()
  }

  private newline(): void {
    this.bytes[this.at] = CR
    this.bytes[this.at + 1] = LF
    this.at += 2
  }

  private ensure(count: number): void {
    if (this.at + count <= this.bytes.length) return
    const larger = uncleared(Math.max(this.bytes.length * 2, this.at + count))
    larger.set(this.bytes.subarray(0, this.at))
    this.bytes = larger
  }
}
