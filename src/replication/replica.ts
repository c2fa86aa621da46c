/**
 * A replica of this server: what it has told about itself, how far it has got, and what it is being sent.
 *
 *   wait_start ──snapshot begins──▶ wait_end ──(disk) file is there──▶ send_bulk ──sent──▶ online
 *                                      └──────(diskless) streamed ──▶ online ──first ACK──▶ gets the stream
 *   PSYNC accepted ──▶ online
 *
 * Two things go out, in this order: `direct` bytes (answers of the handshake, the snapshot), then, once the replica is
 * online, the stream from where its reader stands. What the kernel does not take waits where it is: direct bytes in
 * their queue, the stream in its blocks.
 */

import type { Client, Transport } from "../engine/client.ts"
import type { Reader, ReplicationStream } from "./stream.ts"

export type ReplicaState = "wait_start" | "wait_end" | "send_bulk" | "online"

/** As INFO shows the states. */
export const REPLICA_STATE_NAMES: Readonly<Record<ReplicaState, string>> = {
  wait_start: "wait_bgsave",
  wait_end: "wait_bgsave",
  send_bulk: "send_bulk",
  online: "online",
}

/** What a client says about itself with REPLCONF before it asks for synchronization. */
export class ReplicaTerms {
  listeningPort = 0
  /** Empty: the address it is connected from. */
  address = ""
  /** Understands a snapshot that ends in a mark. */
  understandsEof = false
  /** Understands `+CONTINUE <id>`. */
  understandsPsync2 = false
  /** Understands snapshots of Redis 7.4 (said by ours only; others do not tell what they understand). */
  understandsRdb12 = false
  /** Wants the snapshot and nothing else. */
  snapshotOnly = false
  /** What the snapshot is to hold; undefined for everything. */
  filter: { functions: boolean } | undefined

  /** A text that is equal for equal filters. */
  get filterName(): string {
    return this.filter === undefined ? "" : this.filter.functions ? "functions" : "nothing"
  }
}

export class Replica {
  readonly client: Client
  readonly terms: ReplicaTerms
  /** The socket; the client itself has one that takes no replies any more. */
  readonly socket: Transport
  state: ReplicaState = "wait_start"
  /** Asked with SYNC: it sends no acknowledgements. */
  isOld = false
  /** The command that it was answered, against all rules. */
  answered: string | undefined
  /** Wait for an acknowledgement before the stream is sent. */
  startsOnAck = false
  /** The stream from where its snapshot, or its own data, ends. */
  reader: Reader | undefined
  /** Offset its full sync began with. */
  syncOffset = 0
  /** The offsets it has acknowledged: received and run, and on its disk. */
  ackOffset = 0
  syncedOffset = 0
  /** Times in ms: when it asked to be synchronized, last acknowledged, and was last able to take a part of what it gets. */
  askedAt = 0
  ackAt = 0
  tookAt = 0
  /** Called when the direct bytes have been taken by the kernel: it may send more. */
  onRoom: (() => void) | undefined
  /** Called when the replica is gone. */
  onRelease: (() => void) | undefined

  /** Bytes sent to all replicas, for INFO. */
  private readonly count: (bytes: number) => void
  private readonly now: () => number
  private readonly stream: ReplicationStream
  private readonly direct: Uint8Array[] = []
  /** Bytes in `direct`. */
  directBytes = 0
  private pumping = false
  /** The kernel has not taken all of the last write. */
  isStuck = false

  constructor(
    client: Client,
    terms: ReplicaTerms,
    stream: ReplicationStream,
    now: () => number,
    count: (bytes: number) => void,
  ) {
    this.client = client
    this.terms = terms
    this.socket = client.transport!
    this.stream = stream
    this.now = now
    this.count = count
    this.askedAt = now()
    this.ackAt = this.askedAt
  }

  /** Where others reach it. */
  get host(): string {
    return this.terms.address !== "" ? this.terms.address : hostOf(this.socket.remoteAddress)
  }

  get name(): string {
    const { listeningPort } = this.terms
    return listeningPort > 0 ? `${this.host}:${listeningPort}` : `client id #${this.client.id}`
  }

  /** When it was last heard of: while it loads a snapshot it sends newlines, and no acknowledgements. */
  get heardAt(): number {
    return Math.max(this.ackAt, this.client.seenAt)
  }

  get isStreaming(): boolean {
    return this.state === "online" && !this.startsOnAck
  }

  /** Bytes of the stream that it has not been sent. */
  get behind(): number {
    return this.reader === undefined ? 0 : this.stream.offset - this.reader.position
  }

  /** Sends bytes ahead of the stream; they are not to be changed any more. */
  send(bytes: Uint8Array): void {
    this.direct.push(bytes)
    this.directBytes += bytes.length
    this.pump()
  }

  sendText(text: string): void {
    this.send(Buffer.from(text, "latin1"))
  }

  /** Hands the kernel what it takes; goes on when the socket has drained. */
  pump(): void {
    if (this.client.gone || !this.pumpDirect()) return
    if (this.isStreaming && this.reader !== undefined) this.pumpStream(this.reader)
    this.client.pendingBytes = this.behind
  }

  /** The replica is gone. */
  release(): void {
    if (this.reader !== undefined) this.stream.leave(this.reader)
    this.reader = undefined
    this.direct.length = 0
    this.directBytes = 0
    this.onRelease?.()
  }

  /** True when nothing is left to be sent ahead of the stream. */
  private pumpDirect(): boolean {
    const { direct } = this
    if (direct.length === 0 || this.pumping) return direct.length === 0
    this.pumping = true
    do {
      let sent = 0
      while (sent < direct.length) {
        const bytes = direct[sent]!
        const taken = this.write(bytes, 0, bytes.length)
        this.directBytes -= taken
        if (taken < bytes.length) {
          direct[sent] = bytes.subarray(taken)
          break
        }
        sent++
      }
      if (sent > 0) direct.splice(0, sent)
      // Whoever fills the queue may have more.
      if (direct.length === 0) this.onRoom?.()
    } while (direct.length > 0 && !this.isStuck)
    this.pumping = false
    return direct.length === 0
  }

  private pumpStream(reader: Reader): void {
    for (;;) {
      const { block, at } = reader
      const length = block.used - at
      if (length === 0) {
        if (block.next === undefined) return
        this.stream.advance(reader, 0)
        continue
      }
      const taken = this.write(block.bytes, at, length)
      this.stream.advance(reader, taken)
      if (taken < length) return
    }
  }

  private write(bytes: Uint8Array, start: number, length: number): number {
    const taken = Math.max(0, this.socket.write(bytes, start, length))
    this.isStuck = taken < length
    if (taken > 0) {
      this.tookAt = this.now()
      this.client.netOutput += taken
      this.count(taken)
    }
    return taken
  }
}

/** The host of `host:port` or `[host]:port`. */
export function hostOf(address: string): string {
  const colon = address.lastIndexOf(":")
  return address.slice(0, colon).replace(/^\[(.*)\]$/, "$1")
}
