/**
 * Runs the commands that a master streams, through the same path as anybody's, and keeps count to the byte.
 *
 *   chunk ──▶ buffer ──▶ parser ──▶ engine.execute ──▶ applied ──▶ our own stream, as it came
 *
 *   buffer:  [ applied | run, inside MULTI | not run yet )
 *            0         fed                 parser.at      end
 *
 * Invariants
 * 1. `offset` is the number of bytes of the stream that have had their effect. It moves on behind whole commands, and across a
 *    transaction only when its EXEC has run: what a broken link leaves of one is sent again.
 * 2. What is applied is handed to `onApplied` byte for byte and in order: our own replicas get the same stream.
 *
 * A link that sends a lot is served in turns, like everybody else. The master's commands may have to wait (CLIENT PAUSE, a
 * script that takes long): then bytes are kept, and `resume` goes on.
 */

import { copyBytes, uncleared } from "../bytes/compare.ts"
import { Flag } from "../command/registry.ts"
import { type Client, ClientCondition } from "../engine/client.ts"
import { type Engine, EngineCondition } from "../engine/engine.ts"
import { TICK_OUTPUT_BYTES_MAX } from "../engine/output.ts"
import { READ_AHEAD_MAX, RequestBatch } from "../engine/read-ahead.ts"
import type { Arguments } from "../resp/arguments.ts"
import { Empty, Invalid, type ParseResult, Ready } from "../resp/request-parser.ts"

const TURN_MICROS_MAX = 2000
/** More than this waiting, and the master is not read from. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024
const ERROR_BYTE = 45
const WARNING_PAUSE_MS = 10_000
const ERROR_TEXT_BYTES_MAX = 256
const GROW_BYTES_MIN = 128 * 1024
/** A buffer this large is let go of when little is in it. */
const LARGE_BYTES = 1024 * 1024

export interface ApplierOptions {
  engine: Engine
  /** The master, as a client. */
  client: Client
  /** Bytes of the stream applied so far. */
  offset: number
  /** Bytes that have had their effect; borrowed. */
  onApplied: (bytes: Uint8Array, start: number, end: number) => void
  /** What came is no stream of commands. */
  onCorrupt: (reason: string) => void
  /** A command of the master's was answered with an error. */
  onError: (text: string, command: string) => void
  /** The server cannot go on. */
  onPanic: (message: string) => void
}

export class StreamApplier {
  /** Bytes of the stream applied. */
  offset: number
  private readonly options: ApplierOptions
  private readonly engine: Engine
  private readonly client: Client
  private readonly batch = new RequestBatch()
  private buffer: Uint8Array = new Uint8Array(0)
  private end = 0
  /** End of what is applied, in `buffer`. */
  private fed = 0
  /** End of what `onApplied` knows of, in `buffer`. */
  private handed = 0
  private running = false
  private waitsForTurn = false
  private isPaused = false
  private warnedAt = 0
  private stopped = false

  constructor(options: ApplierOptions) {
    this.options = options
    this.engine = options.engine
    this.client = options.client
    this.offset = options.offset
    this.client.requests = this
  }

  /** Bytes received, applied or not. */
  get readOffset(): number {
    return this.offset + this.end - this.fed
  }

  /** Bytes arrived; they are not kept. */
  receive(chunk: Uint8Array): void {
    const { client, engine } = this
    if (this.stopped) return
    client.netInput += chunk.length
    client.seenAt = engine.keyspace.now
    this.append(chunk)
    this.resume()
  }

  /** Goes on with what has arrived, if the master may be served. */
  resume(): void {
    if (this.running || this.waitsForTurn || this.stopped) return
    if (!this.mustWait) this.run()
    this.watchBuffer()
  }

  /** The link is gone: nothing more is run. */
  stop(): void {
    this.stopped = true
  }

  private get mustWait(): boolean {
    return this.client.suspended || (this.engine.conditions & EngineCondition.BusyScript) !== 0
  }

  private run(): void {
    const { client, engine, batch } = this
    const { keyspace, output } = engine
    const { parser } = client
    const { tables, starts } = batch
    this.running = true
    const before = output.open(undefined)
    const { servesExpired } = keyspace
    // What the master has not deleted yet is there for the master.
    keyspace.servesExpired = true
    this.account()
    this.hand()
    let result: ParseResult = Ready
    let turnEnds = 0
    while (result === Ready && !this.stopped && !this.mustWait) {
      let count = 0
      do {
        starts[count] = parser.at
        result = parser.next(this.buffer, this.end, tables[count]!)
        if (result === Ready) count++
      } while (result === Empty || (result === Ready && count < READ_AHEAD_MAX))
      if (count > 1) batch.touch(this.buffer, count, engine.registry, client.db.keys)
      this.runBatch(count)
      this.hand()
      keyspace.hasher.forget()
      if (parser.midway && count > 0) {
        // The table of the half-read request is the first of the next batch.
        const half = tables[count]!
        tables[count] = tables[0]!
        tables[0] = half
      }
      if (result !== Ready || parser.at >= this.end) continue
      const now = engine.clock.monotonicMicros()
      if (turnEnds === 0) turnEnds = now + TURN_MICROS_MAX
      else if (now > turnEnds) {
        this.yieldTurn()
        break
      }
    }
    keyspace.servesExpired = servesExpired
    output.open(before)
    this.running = false
    if (result === Invalid && !this.stopped) this.corrupt(`Protocol error (${parser.error})`)
    engine.wakeTick()
  }

  private runBatch(count: number): void {
    const { client, engine, batch } = this
    const { output } = engine
    for (let i = 0; i < count; i++) {
      const args = batch.tables[i]!
      if (args.frameStart < 0) {
        this.corrupt("WARNING: Receiving inline protocol from master, master stream corruption?")
        return
      }
      if ((engine.conditions & EngineCondition.DiskError) !== 0 && !this.mayLoseWrite(args)) return
      const at = output.writer.at
      engine.execute(client, args)
      if (output.writer.at > at && output.writer.bytes[at] === ERROR_BYTE && output.isOwn(at)) this.reportError(at)
      if (output.size > TICK_OUTPUT_BYTES_MAX) engine.endTick()
      if (this.stopped) return
      if (client.suspended) {
        if (i + 1 < count) client.parser.rewind(batch.starts[i + 1]!)
        return
      }
      this.applied(args.frameEnd)
    }
    this.account()
  }

  /**
   * The append-only file, or the snapshot file, cannot be written. Writes cannot be refused, so either the server ends before
   * more is lost, or it goes on without a word of them on disk (replica-ignore-disk-write-errors).
   */
  private mayLoseWrite(args: Arguments): boolean {
    const { engine } = this
    const command = engine.registry.lookup(args.bytes, args.start(0), args.end(0))
    if (command === undefined || (command.flagBits & Flag.Write) === 0) return true
    if (!engine.config.values.replicaIgnoreDiskWriteErrors) {
      this.stopped = true
      this.options.onPanic("Replica was unable to write command to disk.")
      return false
    }
    const { now } = engine.keyspace
    if (now - this.warnedAt >= WARNING_PAUSE_MS) {
      this.warnedAt = now
      engine.log("warning", "Replica is applying a command it is unable to write to disk.")
    }
    return true
  }

  /** Notes that everything before the request that is next has had its effect. */
  private account(): void {
    this.applied(this.client.parser.keepFrom)
  }

  /** Everything up to `end` in the buffer has had its effect, unless a transaction is open. */
  private applied(end: number): void {
    if (end <= this.fed || (this.client.conditions & ClientCondition.InTransaction) !== 0) return
    this.offset += end - this.fed
    this.fed = end
  }

  /** Hands on what has been applied since the last time: once for a batch of commands. */
  private hand(): void {
    if (this.fed === this.handed) return
    this.options.onApplied(this.buffer, this.handed, this.fed)
    this.handed = this.fed
  }

  private yieldTurn(): void {
    this.waitsForTurn = true
    setImmediate(() => {
      this.waitsForTurn = false
      if (this.stopped) return
      this.engine.refreshTime()
      this.resume()
    })
  }

  private watchBuffer(): void {
    const waits = this.end - this.client.parser.at > WAITING_BYTES_MAX && !this.client.parser.midway
    if (waits === this.isPaused || this.stopped) return
    this.isPaused = waits
    if (waits) this.client.transport?.pause()
    else this.client.transport?.resume()
  }

  private reportError(at: number): void {
    const { bytes, at: end } = this.engine.output.writer
    const text = Buffer.from(bytes.subarray(at, Math.min(end, at + ERROR_TEXT_BYTES_MAX))).toString("latin1")
    this.options.onError(text.split("\r\n")[0]!, this.client.lastCommand?.fullName ?? "unknown")
  }

  private corrupt(reason: string): void {
    this.stopped = true
    this.options.onCorrupt(reason)
  }

  /** Puts a chunk behind what is there; what has been applied makes room for it. */
  private append(chunk: Uint8Array): void {
    const { parser } = this.client
    if (this.fed === this.end && !this.running) {
      this.rebase(this.end)
      this.end = 0
    }
    if (this.end + chunk.length > this.buffer.length) this.makeRoom(chunk.length, parser.midway ? parser.needed : 0)
    copyBytes(chunk, 0, chunk.length, this.buffer, this.end)
    this.end += chunk.length
  }

  /** At most twice what has been received is reserved, whatever is announced. */
  private makeRoom(length: number, needed: number): void {
    const { buffer, fed, end } = this
    const kept = end - fed
    const wanted = kept + length
    if (wanted > buffer.length / 2 || (buffer.length > LARGE_BYTES && wanted < buffer.length / 8)) {
      const announced = Math.min(needed - fed, 2 * wanted)
      this.buffer = uncleared(Math.max(announced, wanted > GROW_BYTES_MIN ? 2 * wanted : GROW_BYTES_MIN))
    }
    this.buffer.set(buffer.subarray(fed, end))
    this.end = kept
    this.rebase(fed)
  }

  /** The bytes in the buffer were moved down. */
  private rebase(by: number): void {
    const { parser } = this.client
    this.fed -= by
    this.handed = this.fed
    if (parser.midway) {
      parser.rebase(by, this.batch.tables[0]!)
      this.batch.tables[0]!.bytes = this.buffer
    } else parser.rewind(parser.at - by)
  }
}
