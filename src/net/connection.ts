/**
 * One connection: joins chunks of bytes to requests and has them run, as long as its client may be served.
 *
 *   chunk ──▶ [tail of an unfinished request + chunk] ──▶ parser ──▶ engine.execute … ──▶ tail kept
 *
 * A chunk that holds whole requests is parsed where it lies. Only an unfinished request is copied, into `tail`: of the
 * announced size at once, since untouched memory costs nothing (the kernel commits what has really been received).
 *
 * Backpressure: a client whose replies pile up beyond PENDING_BYTES_MAX is not read from until they have drained. Some
 * clients send a whole pipeline before they read anything; if one makes no progress for a while it is read on after all, so
 * that it does not wait for us while we wait for it. The output limits of the configuration bound what that can cost.
 */

import { type Client, ClientCondition, type Transport } from "../engine/client.ts"
import type { Engine } from "../engine/engine.ts"
import { TICK_OUTPUT_BYTES_MAX } from "../engine/output.ts"
import { READ_AHEAD_MAX, RequestBatch } from "../engine/read-ahead.ts"
import { Arguments } from "../resp/arguments.ts"
import { Empty, Invalid, type ParseResult, Ready } from "../resp/request-parser.ts"

export const PENDING_BYTES_MAX = 32 * 1024 * 1024
/** Bytes of a long request that are read before others get their turn. */
const UNBROKEN_BYTES_MAX = 2 * 1024 * 1024
/** Requests of one client are run for this long before others get their turn. */
const TURN_MICROS_MAX = 1000
const FAREWELL_SECONDS_MAX = 5
const ERROR_TEXT_BYTES_MAX = 200

/** Batches not in use. Usually there is one; serving a client while another is being served takes a second. */
export class BatchPool {
  private readonly free: RequestBatch[] = []

  take(): RequestBatch {
    return this.free.pop() ?? new RequestBatch()
  }

  give(batch: RequestBatch): void {
    this.free.push(batch)
  }
}

export class Connection {
  readonly client: Client
  private readonly engine: Engine
  private readonly pool: BatchPool
  /** The table of a request that is half read; undefined between requests. */
  private args: Arguments | undefined
  /** Bytes received and not consumed: tail[tailStart, tailEnd). */
  private tail: Uint8Array | undefined
  private tailEnd = 0
  private serving = false
  /** Bytes of one request received without a break. */
  private unbroken = 0
  /** More requests are here than one turn may take: the rest comes after other clients. Meanwhile nothing is read. */
  private waitsForTurn = false
  /** The peer has ended its side while requests waited for their turn. */
  private ended = false

  constructor(engine: Engine, client: Client, pool: BatchPool) {
    this.engine = engine
    this.client = client
    this.pool = pool
    client.requests = this
  }

  /** Bytes arrived. The chunk is ours until the handler returns. */
  receive(chunk: Uint8Array): void {
    const { client, engine } = this
    client.netInput += chunk.length
    engine.bytesIn += chunk.length
    engine.reads++
    client.seenAt = engine.keyspace.now
    if (engine.clients.onReceived !== undefined) {
      engine.clients.onReceived(client, chunk.length)
      if (client.gone) return
    }
    if (this.tail === undefined) {
      if (!client.suspended) {
        this.serve(chunk, chunk.length)
        return
      }
      this.append(chunk)
      return
    }
    this.append(chunk)
    this.unbroken += chunk.length
    if (this.unbroken >= UNBROKEN_BYTES_MAX) this.takeBreath()
    if (!client.suspended) this.resume()
  }

  /** The runtime reads on as long as there is more: who sends a lot at once is stopped now and then, for others' sake. */
  private takeBreath(): void {
    const { client } = this
    this.unbroken = 0
    client.transport?.pause()
    setImmediate(() => {
      if (!client.gone && !client.overfull && !this.waitsForTurn) client.transport?.resume()
    })
  }

  /** The peer has no more to say; what it asked is answered, then we part. */
  end(): void {
    if (this.waitsForTurn) this.ended = true
    else this.engine.clients.finish(this.client)
  }

  /** Goes on with the requests that have arrived while the client could not be served. */
  resume(): void {
    if (this.serving || this.waitsForTurn || this.tail === undefined || this.client.suspended) return
    if (this.client.parser.needed > this.tailEnd && this.client.parser.midway) return
    const tail = this.tail
    this.tail = undefined
    this.serve(tail, this.tailEnd)
  }

  private serve(bytes: Uint8Array, end: number): void {
    const { client, engine } = this
    const { parser } = client
    const batch = this.pool.take()
    const { tables, starts } = batch
    if (this.args !== undefined) tables[0] = this.args
    this.args = undefined
    this.serving = true
    engine.output.open(client)
    let result: ParseResult = Ready
    let count = 0
    let turnEnds = 0
    while (result === Ready && !client.suspended) {
      // Who has not authenticated is served one by one, since the limits change when it does.
      const ahead = client.conditions === 0 ? READ_AHEAD_MAX : 1
      parser.unauthenticated = (client.conditions & ClientCondition.NeedsAuth) !== 0
      count = 0
      do {
        starts[count] = parser.at
        result = parser.next(bytes, end, tables[count]!)
        if (result === Ready) count++
      } while (result === Empty || (result === Ready && count < ahead))
      if (count > 1) batch.touch(bytes, count, engine.registry, client.db.keys)
      // A request that has the buffer to itself, as very long ones do, may leave its bytes where they are.
      const first = tables[0]!
      first.isLast = count === 1 && first.frameStart === 0 && parser.at === end
      this.run(batch, count)
      first.isLast = false
      engine.keyspace.hasher.forget()
      if (result === Ready && parser.at < end) {
        const now = engine.clock.monotonicMicros()
        if (turnEnds === 0) turnEnds = now + TURN_MICROS_MAX
        else if (now > turnEnds) {
          this.yieldTurn(bytes, end)
          break
        }
      }
    }
    if (result === Invalid && !client.suspended) this.protocolError(bytes, end)
    engine.output.close()
    this.serving = false
    if (!this.waitsForTurn) this.keepTail(bytes, end, batch, count)
    this.pool.give(batch)
    engine.wakeTick()
  }

  /** Keeps the rest of the buffer where it is, for the next turn of the event loop. */
  private yieldTurn(bytes: Uint8Array, end: number): void {
    const { client } = this
    this.tail = bytes
    this.tailEnd = end
    client.queryBytes = end - client.parser.at
    this.waitsForTurn = true
    client.transport?.pause()
    setImmediate(() => this.takeTurn())
  }

  private takeTurn(): void {
    const { client, engine } = this
    this.waitsForTurn = false
    if (client.gone || client.closing) return
    engine.refreshTime()
    this.resume()
    if (this.waitsForTurn) return
    if (this.ended) engine.clients.finish(client)
    else if (!client.overfull) client.transport?.resume()
  }

  /** Runs the requests read ahead; if the client must wait, the parser goes back to the first that was not run. */
  private run(batch: RequestBatch, count: number): void {
    const { client, engine } = this
    for (let i = 0; i < count; i++) {
      engine.execute(client, batch.tables[i]!, count > 1 ? batch.commands[i] : undefined)
      if (engine.output.size > TICK_OUTPUT_BYTES_MAX) engine.endTick()
      if (client.suspended) {
        if (i + 1 < count) client.parser.rewind(batch.starts[i + 1]!)
        return
      }
    }
  }

  /** Puts away what has not been consumed. */
  private keepTail(bytes: Uint8Array, end: number, batch: RequestBatch, count: number): void {
    const { client } = this
    const { parser } = client
    const from = parser.keepFrom
    if (client.closing || client.gone || from >= end) {
      parser.rewind(0)
      client.queryBytes = 0
      return
    }
    const length = end - from
    const wanted = parser.midway ? parser.needed - from : length
    // A buffer that begins with this request and has room for the rest can go on serving.
    if (from === 0 && bytes.length >= wanted) this.tail = bytes
    else {
      const tail = tailOf(length, wanted)
      tail.set(bytes.subarray(from, end))
      this.tail = tail
    }
    this.tailEnd = length
    client.queryBytes = length
    if (!parser.midway) {
      parser.rewind(0)
      return
    }
    // The table of the half-read request goes with the connection; the batch gets a new one.
    const args = batch.tables[count]!
    batch.tables[count] = new Arguments()
    parser.rebase(from, args)
    this.args = args
    this.engine.clients.onHalfReceived?.(client)
  }

  private append(chunk: Uint8Array): void {
    const { client } = this
    if (this.tail === undefined) {
      this.tail = Buffer.from(chunk)
      this.tailEnd = chunk.length
      client.parser.at = 0
      client.queryBytes = chunk.length
      return
    }
    const { parser } = client
    const consumed = parser.keepFrom
    if (consumed > 0) {
      this.tail = this.tail.slice(consumed, this.tailEnd)
      this.tailEnd -= consumed
      if (this.args === undefined) parser.rewind(parser.at - consumed)
      else parser.rebase(consumed, this.args)
    }
    const length = this.tailEnd + chunk.length
    if (length > this.tail.length) {
      const tail = tailOf(length, parser.midway ? parser.needed : this.tailEnd * 2)
      tail.set(this.tail.subarray(0, this.tailEnd))
      this.tail = tail
    }
    this.tail.set(chunk, this.tailEnd)
    this.tailEnd = length
    client.queryBytes = length
    if (length > this.engine.config.values.clientQueryBufferLimit) {
      this.engine.clients.overQueryLimit++
      this.engine.log("warning", `Closing client that reached max query buffer length: id=${client.id}`)
      this.engine.clients.terminate(client)
    }
  }

  private protocolError(bytes: Uint8Array, end: number): void {
    const { client, engine } = this
    const shown = Buffer.from(bytes.subarray(client.parser.at, Math.min(end, client.parser.at + ERROR_TEXT_BYTES_MAX)))
    engine.log(
      "verbose",
      `Protocol error (${client.parser.error}) from client: id=${client.id} ${JSON.stringify(shown.toString("latin1"))}`,
    )
    const at = engine.output.writer.at
    engine.output.writer.error(`ERR Protocol error: ${client.parser.error}`)
    engine.countError(at)
    engine.clients.finish(client)
  }
}

/** The part of a Bun socket used here. */
export interface BunSocket {
  write(data: Uint8Array, byteOffset?: number, byteLength?: number): number
  end(): void
  terminate(): void
  pause(): void
  resume(): void
  timeout(seconds: number): void
  readonly remoteAddress: string
  readonly remotePort?: number
  readonly localPort: number
  readonly localAddress?: string
}

export class SocketTransport implements Transport {
  private readonly socket: BunSocket
  readonly isUnix: boolean
  readonly remoteAddress: string
  readonly localAddress: string
  readonly fd: number

  constructor(socket: BunSocket, unixPath: string | undefined, fd: number) {
    this.socket = socket
    this.isUnix = unixPath !== undefined
    this.fd = fd
    this.remoteAddress =
      unixPath === undefined ? address(socket.remoteAddress, socket.remotePort ?? 0) : `${unixPath}:0`
    this.localAddress =
      unixPath === undefined ? address(socket.localAddress ?? "127.0.0.1", socket.localPort) : `${unixPath}:0`
  }

  write(bytes: Uint8Array, start: number, length: number): number {
    return this.socket.write(bytes, start, length)
  }

  end(): void {
    this.socket.end()
    // A peer that never answers the farewell of TLS must not keep the socket.
    this.socket.timeout(FAREWELL_SECONDS_MAX)
  }

  terminate(): void {
    this.socket.terminate()
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }
}

/** The longest that Linux takes; the runtime throws for what it cannot pass on. */
const KEEPALIVE_SECONDS_MAX = 32_767

/** Has the kernel look after so many idle seconds whether the peer is still there; 0 for never. */
export function keepAlive(socket: { setKeepAlive(on: boolean, ms: number): unknown }, seconds: number): void {
  if (seconds > 0) socket.setKeepAlive(true, Math.min(seconds, KEEPALIVE_SECONDS_MAX) * 1000)
}

export function address(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
}

/** A buffer for at least `length` bytes, and for `wanted` if the system grants that much address space. */
function tailOf(length: number, wanted: number): Buffer {
  try {
    return Buffer.allocUnsafeSlow(Math.max(length, wanted))
  } catch {
    return Buffer.allocUnsafeSlow(length * 2)
  }
}
