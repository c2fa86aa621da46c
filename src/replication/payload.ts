/**
 * Takes a snapshot out of the bytes that a master sends for a full sync:
 *
 *   \n …                          keeps the line alive while the snapshot is being made
 *   $<length>\r\n <bytes>          of known length
 *   $EOF:<mark>\r\n <bytes> <mark>   until the mark of 40 bytes
 *   -<text>\r\n                   the master has given up
 *
 * The mark may come cut in any way. Bytes that may be the beginning of it are held back until it is known that they are
 * not.
 */

import { latin1 } from "../bytes/compare.ts"

const MARK_LENGTH = 40
const LINE_BYTES_MAX = 1024
const LF = 10

export type PayloadState = "header" | "body" | "done" | "failed"

export class PayloadReader {
  state: PayloadState = "header"
  /** Why it failed. */
  reason = ""
  /** Bytes announced; 0 when they end in a mark. */
  total = 0
  /** Bytes of the snapshot received. */
  received = 0
  isMarked = false

  private line = ""
  private mark = new Uint8Array(0)
  /** The last bytes received, which may belong to the mark. */
  private held = new Uint8Array(0)
  private readonly begun: () => void
  private readonly take: (bytes: Uint8Array) => void

  /**
   * @param begun called when the header is there
   * @param take gets the bytes of the snapshot; borrowed
   */
  constructor(begun: () => void, take: (bytes: Uint8Array) => void) {
    this.begun = begun
    this.take = take
  }

  /** Returns how many of the bytes belong to the snapshot and what is around it; fewer than all only when it is done. */
  push(bytes: Uint8Array): number {
    let at = 0
    if (this.state === "header") at = this.readHeader(bytes)
    if (this.state !== "body") return at
    if (this.isMarked) this.readMarked(bytes.subarray(at))
    else return at + this.readCounted(bytes.subarray(at))
    return bytes.length
  }

  private readHeader(bytes: Uint8Array): number {
    let at = 0
    while (at < bytes.length && this.state === "header") {
      const end = bytes.indexOf(LF, at)
      this.line += latin1(bytes, at, end < 0 ? bytes.length : end)
      if (this.line.length > LINE_BYTES_MAX) this.fail("the announcement of the snapshot is too long")
      if (end < 0) return bytes.length
      at = end + 1
      this.readLine(this.line.replace(/\r$/, ""))
      this.line = ""
    }
    return at
  }

  private readLine(line: string): void {
    if (line === "") return
    const length = /^\$(\d+)$/.exec(line)
    if (line[0] === "-") this.fail(`MASTER aborted replication with an error: ${line.slice(1)}`)
    else if (line.startsWith("$EOF:") && line.length >= 5 + MARK_LENGTH) {
      this.isMarked = true
      this.mark = Buffer.from(line.slice(5, 5 + MARK_LENGTH), "latin1")
      this.state = "body"
      this.begun()
    } else if (length !== null) {
      this.total = Number(length[1])
      this.state = this.total === 0 ? "done" : "body"
      this.begun()
    } else {
      this.fail(
        `Bad protocol from MASTER, the first byte is not '$' (we received '${line}'), are you sure the host and port are right?`,
      )
    }
  }

  private readCounted(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.total - this.received)
    if (count > 0) {
      this.received += count
      this.take(bytes.subarray(0, count))
    }
    if (this.received === this.total) this.state = "done"
    return count
  }

  /** The master sends nothing behind the mark until it is told that all has come: it can only be at the end. */
  private readMarked(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    const joined = this.held.length === 0 ? bytes : Buffer.concat([this.held, bytes])
    const tailAt = joined.length - MARK_LENGTH
    if (tailAt >= 0 && this.isMark(joined, tailAt)) {
      this.give(joined.subarray(0, tailAt))
      this.held = new Uint8Array(0)
      this.state = "done"
      return
    }
    const keep = Math.min(MARK_LENGTH, joined.length)
    this.give(joined.subarray(0, joined.length - keep))
    this.held = new Uint8Array(joined.subarray(joined.length - keep))
  }

  private give(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.received += bytes.length
    this.take(bytes)
  }

  private isMark(bytes: Uint8Array, at: number): boolean {
    for (let i = 0; i < MARK_LENGTH; i++) if (bytes[at + i] !== this.mark[i]) return false
    return true
  }

  private fail(reason: string): void {
    this.state = "failed"
    this.reason = reason
  }
}
