/**
 * bundis inside a Bun program:
 *
 *   await using server = await createServer({ port: 0 })
 *   await server.execute("SET", "k", "v")          // without a socket
 *   new RedisClient(`redis://127.0.0.1:${server.port}`)  // or with any client
 *
 * A server keeps nothing outside its object: several run side by side, each with its own clock and seed. Files are written
 * only when asked for (`config: { appendonly: "yes", dir: "…" }`), and read only where it is told where they are: what lies
 * in the working folder of the program may be another server's.
 */

import { Config } from "./config/config.ts"
import type { Client, Transport } from "./engine/client.ts"
import type { LogLevel } from "./engine/engine.ts"
import type { Clock } from "./keyspace/clock.ts"
import { BatchPool, Connection } from "./net/connection.ts"
import type { Storage } from "./persist/storage.ts"
import { Arguments } from "./resp/arguments.ts"
import { type PlainReply, type Reply, ReplyDecoder, toPlain } from "./resp/reply-decoder.ts"
import { Server } from "./server.ts"

export { ManualClock } from "./keyspace/clock.ts"
export type { Clock, PlainReply, Reply }

export interface CreateServerOptions {
  /** TCP port on the loopback interface; 0, the default, takes any free one. */
  port?: number
  /** Further directives, by their names in redis.conf. */
  config?: Readonly<Record<string, string | number>>
  clock?: Clock
  /** Seeds all random choices, so that a run can be repeated. */
  seed?: number
  log?: (level: LogLevel, message: string) => void
  /** Where files are kept, if the configuration asks for some; by default the file system. */
  storage?: Storage
}

export type Argument = string | number | Uint8Array

/** A running server. Close it with `close`, or let `await using` do so. */
export class EmbeddedServer implements AsyncDisposable {
  readonly server: Server
  private readonly caller: LocalCaller

  constructor(server: Server) {
    this.server = server
    this.caller = new LocalCaller(server)
  }

  get port(): number {
    return this.server.port
  }

  /** Runs a command as a client of its own would (RESP3, database 0 until SELECT), and gives the reply's plain value. */
  async execute(...args: Argument[]): Promise<PlainReply> {
    return toPlain(await this.caller.call(args))
  }

  /** As `execute`, with the types of the wire. */
  executeReply(...args: Argument[]): Promise<Reply> {
    return this.caller.call(args)
  }

  async close(): Promise<void> {
    this.server.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Starts a server in this process. Throws when the configuration is refused, the port is taken, or files are corrupt. */
export async function createServer(options: CreateServerOptions = {}): Promise<EmbeddedServer> {
  const config = new Config()
  const directives = { appendonly: "no", save: "", bind: "127.0.0.1", ...options.config, port: options.port ?? 0 }
  for (const [name, value] of Object.entries(directives)) {
    const words = name === "bind" || name === "save" ? String(value).split(" ") : [String(value)]
    const refusal = config.load(name, words)
    if (refusal !== undefined) throw new Error(`${name} ${value}: ${refusal.reason}`)
  }
  const refusal = config.finishLoading()
  if (refusal !== undefined) throw new Error(refusal.reason)
  const { appendonly, save } = config.values
  const keepsFiles =
    appendonly || save.length > 0 || options.storage !== undefined || "dir" in directives || "dbfilename" in directives
  const server = new Server({
    config,
    startsEmpty: !keepsFiles,
    clock: options.clock,
    seed: options.seed,
    log: options.log,
    storage: options.storage,
  })
  await server.start()
  return new EmbeddedServer(server)
}

/** A client without a socket: its transport is a reply decoder. */
class LocalCaller implements Transport {
  readonly remoteAddress = "127.0.0.1:0"
  readonly localAddress = "127.0.0.1:0"
  readonly fd = -1
  readonly isUnix = false
  private readonly decoder = new ReplyDecoder()
  private readonly waiting: ((reply: Reply) => void)[] = []
  private readonly connection: Connection
  private readonly client: Client
  private readonly server: Server

  constructor(server: Server) {
    this.server = server
    this.client = server.engine.clients.create()
    this.client.transport = this
    this.client.protocol = 3
    this.connection = new Connection(server.engine, this.client, new BatchPool())
  }

  call(words: readonly Argument[]): Promise<Reply> {
    const args = new Arguments()
    args.assign(words)
    return new Promise(resolve => {
      this.waiting.push(resolve)
      this.server.engine.refreshTime()
      this.connection.receive(args.bytes.subarray(0, args.frameEnd))
    })
  }

  write(bytes: Uint8Array, start: number, length: number): number {
    this.decoder.push(bytes.subarray(start, start + length))
    for (let reply = this.decoder.next(); reply !== null; reply = this.decoder.next()) {
      if (reply.type !== "push") this.waiting.shift()?.(reply)
    }
    return length
  }

  end(): void {}
  terminate(): void {}
  pause(): void {}
  resume(): void {}
}
