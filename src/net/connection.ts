/**
 * One connection: joins chunks of bytes to requests and has them run, as long as its client may be served.
 *
 *   chunk ──▶ [tail of an unfinished request + chunk] ──▶ parser ──▶ engine.execute … ──▶ tail kept
 *
 * A chunk that holds whole requests is parsed where it lies. Only an unfinished request is copied, into `tail`, which
 * grows at most to twice what has really been received.
 *
 * Backpressure: a client whose replies pile up beyond PENDING_BYTES_MAX is not read from until they have drained. Some
 * clients send a whole pipeline before they read anything; if one makes no progress for a while it is read on after all, so
 * that it does not wait for us while we wait for it. The output limits of the configuration bound what that can cost.
 */

import type { Client, Transport } from "../engine/client.ts"
import type { Engine } from "../engine/engine.ts"
import { TICK_OUTPUT_BYTES_MAX } from "../engine/output.ts"
import { Arguments } from "../resp/arguments.ts"
import { Empty, Invalid, Ready } from "../resp/request-parser.ts"

export const PENDING_BYTES_MAX = 32 * 1024 * 1024
/** A tail buffer up to this size stays with its connection for the next request. */
const TAIL_KEPT_BYTES = 0
const TAIL_GROWTH_EXACT_BYTES_MAX = 16 * 1024 * 1024
const ERROR_TEXT_BYTES_MAX = 200

/** Argument tables not in use by a half-read request. */
export class ArgumentPool {
  private readonly free: Arguments[] = []

  take(): Arguments {
    return this.free.pop() ?? new Arguments()
  }

  give(args: Arguments): void {
    if (this.free.length < 4 && args.starts.length <= 1 << 16) this.free.push(args)
  }
}

export class Connection {
  readonly client: Client
  private readonly engine: Engine
  private readonly pool: ArgumentPool
  /** The table of a request that is half read; undefined between requests. */
  private args: Arguments | undefined
  /** Bytes received and not consumed: tail[tailStart, tailEnd). */
  private tail: Uint8Array | undefined
  private tailEnd = 0
  private serving = false

  constructor(engine: Engine, client: Client, pool: ArgumentPool) {
    this.engine = engine
    this.client = client
    this.pool = pool
  }

  /** Bytes arrived. The chunk is ours until the handler returns. */
  receive(chunk: Uint8Array): void {
    const { client, engine } = this
    client.netInput += chunk.length
    client.seenAt = engine.keyspace.now
    if (this.tail === undefined) {
      if (!client.suspended) {
        this.serve(chunk, chunk.length)
        return
      }
      this.append(chunk)
      return
    }
    this.append(chunk)
    if (!client.suspended) this.resume()
  }

  /** Goes on with the requests that have arrived while the client could not be served. */
  resume(): void {
    if (this.serving || this.tail === undefined) return
    if (this.client.parser.needed > this.tailEnd && this.client.parser.midway) return
    const tail = this.tail
    this.tail = undefined
    this.serve(tail, this.tailEnd)
  }

  private serve(bytes: Uint8Array, end: number): void {
    const { client, engine } = this
    const { parser } = client
    const { output } = engine
    const args = this.args ?? this.pool.take()
    this.args = undefined
    this.serving = true
    output.open(client)
    parser.unauthenticated = (client.conditions & 1) !== 0
    for (;;) {
      const result = parser.next(bytes, end, args)
      if (result === Ready) {
        engine.execute(client, args)
        if (client.suspended) break
        if (output.writer.at > TICK_OUTPUT_BYTES_MAX) {
          engine.endTick()
          if (client.suspended) break
        }
        continue
      }
      if (result === Empty) continue
      if (result === Invalid) {
        this.protocolError(bytes, end)
        break
      }
      break
    }
    output.close()
    this.serving = false
    engine.wakeTick()
    this.keepTail(bytes, end, args)
  }

  /** Puts away what has not been consumed. */
  private keepTail(bytes: Uint8Array, end: number, args: Arguments): void {
    const { client } = this
    const { parser } = client
    const from = parser.keepFrom
    if (client.closing || client.gone || from >= end) {
      parser.at = 0
      this.pool.give(args)
      client.queryBytes = 0
      if (TAIL_KEPT_BYTES === 0) this.tail = undefined
      return
    }
    const length = end - from
    const wanted = parser.midway ? Math.min(parser.needed - from, TAIL_GROWTH_EXACT_BYTES_MAX) : length
    // A buffer that begins with this request and has room for the rest can go on serving.
    if (from === 0 && bytes.length >= wanted) this.tail = bytes
    else {
      const tail = Buffer.allocUnsafeSlow(Math.max(length, wanted))
      tail.set(bytes.subarray(from, end))
      this.tail = tail
    }
    this.tailEnd = length
    parser.rebase(from, args)
    if (parser.midway) this.args = args
    else this.pool.give(args)
    client.queryBytes = length
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
    const length = this.tailEnd + chunk.length
    if (length > this.tail.length) {
      const { parser } = client
      const announced = parser.midway ? parser.needed : 0
      const room =
        announced <= TAIL_GROWTH_EXACT_BYTES_MAX
          ? Math.max(length, announced, parser.midway ? 0 : this.tailEnd * 2)
          : Math.max(length, Math.min(announced, this.tail.length * 2))
      const tail = Buffer.allocUnsafeSlow(room)
      tail.set(this.tail.subarray(0, this.tailEnd))
      this.tail = tail
    }
    this.tail.set(chunk, this.tailEnd)
    this.tailEnd = length
    client.queryBytes = length
    if (length > this.engine.config.values.clientQueryBufferLimit) {
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

function address(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
}
