/**
 * A client for tests: everything it receives can be had as exact bytes, so that a test can assert the wire form.
 *
 * Replies are matched to requests by order alone. RESP3 pushes (`>`) are out of band and go to `readPush`; the RESP2
 * forms of the same (subscribe confirmations, messages, MONITOR lines) are ordinary replies and go to `readReply`.
 * Error replies are values (`{ type: "error" }`); a promise rejects only when the connection is lost, the stream is
 * malformed, or nothing arrives for `timeoutMs`.
 */
import type { Socket } from "bun"
import { decodeReply, type PlainReply, type Reply, ReplyDecoder, toPlain } from "../../src/resp/reply-decoder.ts"
import { type Arg, type Command, encodeCommands, formatCommand } from "./command.ts"

export type { Arg, Command } from "./command.ts"

export interface ClientOptions {
  /** 3 sends HELLO 3 first. */
  resp?: 2 | 3
  /** Silence after which waiting calls reject; 30 s when not told, Infinity for never. */
  timeoutMs?: number
  tls?: boolean | Bun.TLSOptions
}

/** Why waiting for replies ended early; `received` is what had come by then. */
export class ConnectionLost extends Error {
  override name = "ConnectionLost"
  received: Uint8Array[]

  constructor(message: string, received: Uint8Array[]) {
    super(message)
    this.received = received
  }
}

interface Waiter {
  count: number
  frames: Uint8Array[]
  resolve: (frames: Uint8Array[]) => void
  reject: (error: Error) => void
  /** What was asked, for messages. */
  what: () => string
}

const PUSH = 0x3e

export class Client implements AsyncDisposable {
  /** Resolves when the connection has ended, from whichever side. */
  readonly closed: Promise<void>
  #socket!: Socket
  #resolveClosed!: () => void
  #decoder = new ReplyDecoder()
  #inbox: Uint8Array[] = []
  #waiters: Waiter[] = []
  #pushes: Uint8Array[] = []
  #pushWaiters: Waiter[] = []
  #unsent: Uint8Array[] = []
  #lost: string | null = null
  #timeoutMs: number
  #progressAt = performance.now()
  #watch: Timer | undefined

  private constructor(options: ClientOptions) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    this.#resolveClosed = resolve
    this.#timeoutMs = options.timeoutMs ?? 30_000
  }

  /** Connects to a port on the loopback interface or to a unix socket path. */
  static async connect(target: number | string, options: ClientOptions = {}): Promise<Client> {
    const client = new Client(options)
    const socket = {
      data: (_: Socket, chunk: Uint8Array) => client.#received(chunk),
      drain: () => client.#flush(),
      close: () => client.#lose("connection closed by the server"),
      error: (_: Socket, error: Error) => client.#lose(`connection failed: ${error.message}`),
    }
    client.#socket = await (typeof target === "string"
      ? Bun.connect({ unix: target, socket })
      : Bun.connect({ hostname: "127.0.0.1", port: target, socket, ...(options.tls ? { tls: options.tls } : {}) }))
    if (client.#timeoutMs !== Infinity) {
      client.#watch = setInterval(() => client.#checkProgress(), Math.min(250, client.#timeoutMs))
      client.#watch.unref()
    }
    if (options.resp === 3) {
      const hello = await client.call("HELLO", 3)
      if (hello.type !== "map") throw new Error(`HELLO 3 was answered with ${JSON.stringify(hello)}`)
    }
    return client
  }

  get isClosed(): boolean {
    return this.#lost !== null
  }

  /** One command, its decoded reply. */
  async call(...args: Arg[]): Promise<Reply> {
    return decodeReply(await this.raw(...args))
  }

  /** One command, its reply as plain values: strings, numbers, arrays, maps, `{ error }`. */
  async plain(...args: Arg[]): Promise<PlainReply> {
    return toPlain(await this.call(...args))
  }

  /** One command, the exact bytes of its reply. */
  raw(...args: Arg[]): Promise<Uint8Array> {
    return first(this.#request([args]))
  }

  /** All commands in one write; the exact bytes of their replies, in order. */
  pipeline(commands: readonly Command[]): Promise<Uint8Array[]> {
    return commands.length === 0 ? Promise.resolve([]) : this.#request(commands)
  }

  /** A command whose reply is not awaited here: take it with `readReply`, or it goes to whoever waits next. */
  sendCommand(...args: Arg[]): void {
    this.send(encodeCommands([args]))
  }

  /** Bytes as they are, ours from now on. Queued and written as the kernel takes them; may be called at any time. */
  send(bytes: Uint8Array | string): void {
    if (this.#lost !== null) return
    this.#unsent.push(typeof bytes === "string" ? Buffer.from(bytes) : bytes)
    if (this.#unsent.length === 1) this.#flush()
  }

  /** Bytes that `send` took and the kernel did not yet. */
  get unsentBytes(): number {
    return this.#unsent.reduce((sum, bytes) => sum + bytes.length, 0)
  }

  /** The next reply nobody else waits for. */
  async readReply(): Promise<Reply> {
    return decodeReply(await this.readRaw())
  }

  readRaw(): Promise<Uint8Array> {
    return first(this.#wait(1, this.#inbox, this.#waiters, () => "a reply"))
  }

  /** The next RESP3 push. */
  async readPush(): Promise<Reply> {
    return decodeReply((await this.readRawPushes(1))[0]!)
  }

  readRawPushes(count: number): Promise<Uint8Array[]> {
    return this.#wait(count, this.#pushes, this.#pushWaiters, () => "a push")
  }

  /** Replies and pushes that have arrived and were not asked for yet. */
  get unread(): { replies: number; pushes: number } {
    return { replies: this.#inbox.length, pushes: this.#pushes.length }
  }

  /** Shuts our sending side and keeps reading. */
  end(): void {
    this.#socket.shutdown()
  }

  /** Stops taking bytes from the kernel, so that the server's output backs up. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  close(): void {
    this.#fail("connection closed by the test")
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  #request(commands: readonly Command[]): Promise<Uint8Array[]> {
    const replies = this.#wait(commands.length, this.#inbox, this.#waiters, () => formatCommand(commands[0]!))
    this.send(encodeCommands(commands))
    return replies
  }

  /** Waits for `count` frames: those already there first, then as they come, after all who waited before. */
  #wait(count: number, ready: Uint8Array[], waiters: Waiter[], what: () => string): Promise<Uint8Array[]> {
    if (waiters.length === 0 && ready.length >= count) return Promise.resolve(ready.splice(0, count))
    const promise = new Promise<Uint8Array[]>((resolve, reject) => {
      const frames = waiters.length === 0 ? ready.splice(0) : []
      const waiter = { count, frames, resolve, reject, what }
      if (this.#lost !== null) return reject(lost(this.#lost, waiter))
      if (this.#waiters.length === 0 && this.#pushWaiters.length === 0) this.#progressAt = performance.now()
      waiters.push(waiter)
    })
    promise.catch(() => {}) // a test may drop a promise; awaiting it still rejects
    return promise
  }

  #received(chunk: Uint8Array): void {
    this.#progressAt = performance.now()
    this.#decoder.push(chunk)
    for (let frame = this.#decoder.nextFrame(); frame !== null; frame = this.#decoder.nextFrame()) {
      if (frame[0] === PUSH) deliver(frame, this.#pushes, this.#pushWaiters)
      else deliver(frame, this.#inbox, this.#waiters)
    }
    if (this.#decoder.failure !== "") {
      this.#fail(`malformed reply stream: ${this.#decoder.failure}`)
    }
  }

  #flush(): void {
    while (this.#unsent.length > 0 && this.#lost === null) {
      const bytes = this.#unsent[0]!
      const written = Math.max(0, this.#socket.write(bytes))
      if (written < bytes.length) {
        this.#unsent[0] = bytes.subarray(written)
        return
      }
      this.#unsent.shift()
    }
  }

  #checkProgress(): void {
    const waiting = this.#waiters[0] ?? this.#pushWaiters[0]
    if (waiting === undefined || performance.now() - this.#progressAt < this.#timeoutMs) return
    const got = waiting.count > 1 ? ` (${waiting.frames.length} of ${waiting.count} replies came)` : ""
    this.#fail(`nothing came for ${this.#timeoutMs} ms, waiting for ${waiting.what()}${got}`)
  }

  /** Ends a connection that is of no use any more: what came later could not be matched to its request. */
  #fail(reason: string): void {
    this.#lose(reason)
    this.#socket.terminate()
  }

  #lose(reason: string): void {
    if (this.#lost !== null) return
    this.#lost = reason
    clearInterval(this.#watch)
    this.#unsent = []
    for (const waiter of [...this.#waiters.splice(0), ...this.#pushWaiters.splice(0)]) {
      waiter.reject(lost(reason, waiter))
    }
    this.#resolveClosed()
  }
}

function lost(reason: string, waiter: Waiter): ConnectionLost {
  return new ConnectionLost(`${reason} (waiting for ${waiter.what()})`, waiter.frames)
}

function deliver(frame: Uint8Array, ready: Uint8Array[], waiters: Waiter[]): void {
  const waiter = waiters[0]
  if (waiter === undefined) {
    ready.push(frame)
    return
  }
  waiter.frames.push(frame)
  if (waiter.frames.length === waiter.count) {
    waiters.shift()
    waiter.resolve(waiter.frames)
  }
}

async function first(frames: Promise<Uint8Array[]>): Promise<Uint8Array> {
  return (await frames)[0]!
}
