/**
 * Replies on their way out. All replies of a tick go into one writer; a table says which stretch belongs to whom. At
 * the end of the tick, after the append-only file has its part, each stretch is handed to its socket. An idle
 * connection therefore owns no output buffer, and one slow reader never blocks the others: what the kernel does not take is
 * copied to the client's queue and goes on when the socket drains.
 *
 * Messages make for many short stretches: of a tick with messages, what one client gets is gathered and written at once.
 * A message is not copied for each client it goes to: its stretch is an empty one in the writer, with the message beside it.
 * Clients that get the same messages and nothing else, as the subscribers of one channel do, share what was gathered.
 *
 * Invariant: stretches are in the order they were written, so a client's replies and pushes keep their order.
 */

import { copyBytes } from "../bytes/compare.ts"
import { ReplyWriter } from "../resp/reply-writer.ts"
import type { Client } from "./client.ts"

/** A tick that has gathered this much is flushed before more commands are run. */
export const TICK_OUTPUT_BYTES_MAX = 1024 * 1024

export class Output {
  readonly writer = new ReplyWriter()
  /** Called when a client has output in its queue that was not there before. */
  onQueued: (client: Client) => void = () => {}
  /** Asked about a client that would have more than `checkAboveBytes` unsent: true when it is not to get them. */
  isTooMuch: (client: Client, bytes: number) => boolean = () => false
  checkAboveBytes = Number.POSITIVE_INFINITY
  /** Bytes handed to sockets. */
  bytesOut = 0
  /** Writes to sockets. */
  writes = 0

  private readonly late: { client: Client; bytes: Uint8Array }[] = []
  private owners: (Client | undefined)[] = []
  private starts: number[] = []
  private ends: number[] = []
  /** By stretch: the message, of one that is a message. */
  private messages: (Uint8Array | undefined)[] = []
  private count = 0
  /** Messages were written: a client may own several stretches. */
  private hasMessages = false
  /** By stretch: the next one of the same client. */
  private readonly followers: number[] = []
  private gathered = new Uint8Array(0)
  /** The stretches that were gathered last. */
  private gatheredFirst = -1
  private gatheredLast = -1
  private messageBytes = 0
  private open_: Client | undefined
  private openAt = 0

  /** Whose replies are being written. */
  get current(): Client | undefined {
    return this.open_
  }

  get isEmpty(): boolean {
    return this.size === 0
  }

  /** Bytes that wait for the end of the tick. */
  get size(): number {
    return this.writer.at + this.messageBytes
  }

  /** From here on replies are for `client`. Returns whose they were before, to be reopened. */
  open(client: Client | undefined): Client | undefined {
    const before = this.open_
    if (before === client) return before
    this.close()
    this.open_ = client
    this.openAt = this.writer.at
    this.writer.resp3 = client !== undefined && client.protocol === 3
    return before
  }

  /** Ends the open stretch. */
  close(): void {
    const client = this.open_
    if (client !== undefined && this.writer.at > this.openAt) this.note(client, this.openAt, undefined)
    this.open_ = undefined
  }

  /** Notes a stretch that ends where the writer is. */
  private note(client: Client, start: number, message: Uint8Array | undefined): void {
    const i = this.count++
    this.owners[i] = client
    this.starts[i] = start
    this.ends[i] = this.writer.at
    this.messages[i] = message
  }

  /** Whether what stands at `at` in the writer is for the client being answered now, and not a message to another. */
  isOwn(at: number): boolean {
    for (let i = this.count - 1; i >= 0 && this.ends[i]! > at; i--) {
      if (this.starts[i]! <= at) return this.owners[i] === this.open_
    }
    return true
  }

  /**
   * A message of its own to any client. To the one whose command is running it goes when that has replied (`flushLate`), so
   * that a message never lands inside a reply.
   */
  send(client: Client, bytes: Uint8Array): void {
    if (client === this.open_) this.late.push({ client, bytes })
    else this.push(client, bytes)
  }

  /** Messages that waited for the running command's reply. */
  flushLate(): void {
    if (this.late.length === 0) return
    for (const { client, bytes } of this.late.splice(0)) this.push(client, bytes)
  }

  /**
   * Sends complete bytes, which must stay as they are until the tick ends, to a client other than the one being served,
   * keeping the order of things.
   */
  push(client: Client, bytes: Uint8Array): void {
    const before = this.open_
    this.close()
    this.note(client, this.writer.at, bytes)
    this.messageBytes += bytes.length
    this.hasMessages = true
    this.open(before)
  }

  /** Gives up all that has not been flushed, telling whose it was: they cannot be told that their writes are safe. */
  disown(drop: (client: Client) => void): void {
    this.close()
    for (let i = 0; i < this.count; i++) {
      const client = this.owners[i]!
      this.owners[i] = undefined
      drop(client)
    }
    this.reset()
  }

  private reset(): void {
    if (this.hasMessages) this.messages.fill(undefined, 0, this.count)
    this.count = 0
    this.messageBytes = 0
    this.hasMessages = false
    this.writer.reset()
  }

  /** Hands everything to the sockets. */
  flush(): void {
    const reopen = this.open_
    this.close()
    let i = this.hasMessages ? this.flushGathered() : 0
    // A client that is closed over its limits may be news to others: then there is more to hand out, in a larger buffer.
    for (; i < this.count; i++) {
      const client = this.owners[i]!
      this.owners[i] = undefined
      this.handStretch(client, i)
    }
    this.reset()
    if (reopen !== undefined) this.open(reopen)
  }

  /**
   * Hands every client all its stretches in one piece, O(bytes). Returns how many stretches that were; what is written
   * meanwhile comes after them.
   */
  private flushGathered(): number {
    const { count, owners, followers } = this
    let length = 0
    this.gatheredFirst = -1
    for (let i = 0; i < count; i++) {
      const client = owners[i]!
      if (client.firstStretch < 0) client.firstStretch = i
      else followers[client.lastStretch] = i
      client.lastStretch = i
    }
    for (let i = 0; i < count; i++) {
      const client = owners[i]!
      owners[i] = undefined
      if (client.firstStretch !== i) continue
      client.firstStretch = -1
      const last = client.lastStretch
      if (last === i) this.handStretch(client, i)
      else {
        if (!this.isGathered(i, last)) length = this.gather(i, last)
        this.hand(client, this.gathered, 0, length)
      }
    }
    return count
  }

  /** Whether the stretches from `first` to `last` are messages, and the same as those gathered last. */
  private isGathered(first: number, last: number): boolean {
    const { followers, messages } = this
    let other = this.gatheredFirst
    if (other < 0) return false
    for (let i = first; ; i = followers[i]!, other = followers[other]!) {
      if (messages[i] === undefined || messages[i] !== messages[other]) return false
      if (i === last || other === this.gatheredLast) return i === last && other === this.gatheredLast
    }
  }

  /** Copies a client's stretches, from the first to the last, to `gathered`; returns how many bytes that are. */
  private gather(first: number, last: number): number {
    const { starts, ends, followers, messages } = this
    const { bytes } = this.writer
    if (this.gathered.length < this.size) this.gathered = new Uint8Array(Math.max(this.size, TICK_OUTPUT_BYTES_MAX))
    const { gathered } = this
    let length = 0
    for (let i = first; ; i = followers[i]!) {
      const message = messages[i]
      if (message === undefined) {
        copyBytes(bytes, starts[i]!, ends[i]!, gathered, length)
        length += ends[i]! - starts[i]!
      } else {
        copyBytes(message, 0, message.length, gathered, length)
        length += message.length
      }
      if (i === last) break
    }
    this.gatheredFirst = first
    this.gatheredLast = last
    return length
  }

  /** Goes on with a client's queue when its socket has room again; true when the queue is empty. */
  drain(client: Client): boolean {
    const { transport, pending } = client
    if (transport === undefined) return true
    let sent = 0
    while (sent < pending.length) {
      const chunk = pending[sent]!
      const taken = transport.write(chunk, 0, chunk.length)
      if (taken < 0) return true
      client.netOutput += taken
      this.bytesOut += taken
      client.pendingBytes -= taken
      if (taken < chunk.length) {
        pending[sent] = chunk.subarray(taken)
        break
      }
      sent++
    }
    pending.splice(0, sent)
    return pending.length === 0
  }

  private handStretch(client: Client, i: number): void {
    const message = this.messages[i]
    if (message === undefined) this.hand(client, this.writer.bytes, this.starts[i]!, this.ends[i]!)
    else this.hand(client, message, 0, message.length)
  }

  private hand(client: Client, bytes: Uint8Array, start: number, end: number): void {
    const { transport } = client
    if (transport === undefined || client.gone) return
    if (client.pendingBytes + end - start > this.checkAboveBytes && this.isTooMuch(client, end - start)) return
    let taken = 0
    if (client.pending.length === 0) {
      taken = transport.write(bytes, start, end - start)
      this.writes++
      if (taken < 0) return
      client.netOutput += taken
      this.bytesOut += taken
    }
    if (start + taken < end) {
      const rest =
        bytes === this.writer.bytes && this.writer.letsGo
          ? bytes.subarray(start + taken, end)
          : bytes.slice(start + taken, end)
      client.pending.push(rest)
      client.pendingBytes += rest.length
      this.onQueued(client)
    }
  }
}
