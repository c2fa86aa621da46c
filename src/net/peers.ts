/**
 * Requests to other servers, on behalf of a client that waits for the answers (MIGRATE).
 *
 *   send ──▶ connect, or take a kept connection ──▶ write ──▶ read replies ──▶ over: the client's command is run again
 *                      ▲                             │ lost before the first reply, once
 *                      └─────────────────────────────┘
 *
 * Connections that are in order after an exchange are kept for ten seconds, for the next one to the same place; a kept one may
 * have been closed by its other end meanwhile, which is why a loss before the first reply leads to a second attempt. The
 * timeout is that of silence: it begins anew whenever bytes go out or come in. A client that goes away meanwhile changes
 * nothing: its command is run to its end, and answered to nobody.
 */

import type { CallClient, PeerExchange, PeerRequest, Peers } from "../command/context.ts"
import { Refusal } from "../config/refusal.ts"
import type { Engine } from "../engine/engine.ts"
import { CommandWriter } from "../resp/command-writer.ts"
import { decodeReply, ReplyDecoder } from "../resp/reply-decoder.ts"
import { isTrusted, outgoingTls } from "./connector.ts"

const KEPT_MAX = 64
const KEPT_MS = 10_000
const PORT_MAX = 65_535

type Socket = Bun.Socket<undefined>

/** A connection; it serves one exchange at a time. */
class Line {
  readonly place: string
  socket: Socket | undefined
  /** Database selected at the other end, -1 when not known. */
  db = -1
  lastUsedMs = 0
  exchange: Exchange | undefined

  constructor(place: string) {
    this.place = place
  }
}

class Exchange implements PeerExchange {
  readonly request: PeerRequest
  isOver = false
  failure: PeerExchange["failure"]
  refusal: string | undefined
  readonly replies: (string | undefined)[] = []
  line: Line | undefined
  isRetry = false
  timer: ReturnType<typeof setTimeout> | undefined
  unsent: Uint8Array = new Uint8Array(0)
  /** Replies to AUTH and SELECT that are to come before those that were asked for. */
  preliminary = 0
  decoder = new ReplyDecoder()

  constructor(request: PeerRequest) {
    this.request = request
  }
}

export class PeerLines implements Peers {
  private readonly engine: Engine
  private readonly exchanges = new Map<CallClient, Exchange>()
  private readonly kept: Line[] = []
  private isClosed = false

  constructor(engine: Engine) {
    this.engine = engine
    // While the command waits, it does so to the end.
    engine.clients.onGone.push(client => {
      if (!client.blocked) this.forget(client)
    })
  }

  /** Connections kept for further use. */
  get keptCount(): number {
    return this.kept.length
  }

  exchangeOf(client: CallClient): PeerExchange | undefined {
    return this.exchanges.get(client)
  }

  send(client: CallClient, request: PeerRequest): void {
    const exchange = new Exchange(request)
    this.exchanges.set(client, exchange)
    this.attempt(exchange)
  }

  /** Nobody waits for the answers any more. What has been sent has been sent. */
  forget(client: CallClient): void {
    this.exchanges.delete(client)
  }

  /** Closes connections that nobody has used for a while. To be called now and then. */
  tidy(): void {
    const now = this.engine.clock.wall()
    for (let i = this.kept.length - 1; i >= 0; i--) {
      if (now - this.kept[i]!.lastUsedMs > KEPT_MS) this.kept.splice(i, 1)[0]!.socket?.end()
    }
  }

  close(): void {
    this.isClosed = true
    for (const line of this.kept.splice(0)) line.socket?.end()
    for (const exchange of [...this.exchanges.values()]) {
      if (exchange.line !== undefined) this.drop(exchange.line)
      this.fail(exchange, "reading")
    }
  }

  // ------------------------------------------------------------------ one attempt

  private attempt(exchange: Exchange): void {
    const { host, port } = exchange.request
    const place = `${host}:${port}`
    const found = exchange.isRetry ? -1 : this.kept.findIndex(line => line.place === place)
    exchange.decoder = new ReplyDecoder()
    exchange.refusal = undefined
    this.startTimer(exchange)
    if (found >= 0) {
      const line = this.kept.splice(found, 1)[0]!
      this.assign(line, exchange)
      this.begin(exchange, line)
    } else {
      const line = new Line(place)
      this.assign(line, exchange)
      this.connect(line, host, port)
    }
  }

  private assign(line: Line, exchange: Exchange): void {
    line.exchange = exchange
    exchange.line = line
  }

  private connect(line: Line, hostname: string, port: number): void {
    const failed = (): void => this.lost(line, "connecting")
    if (port < 1 || port > PORT_MAX || hostname === "") {
      setImmediate(failed)
      return
    }
    const { values } = this.engine.config
    const tls = outgoingTls(values, values.tlsCluster)
    if (tls instanceof Refusal) {
      this.engine.log("warning", `TLS to another server: ${tls.reason}`)
      setImmediate(failed)
      return
    }
    const begun = (socket: Socket): void => {
      line.socket = socket
      socket.setNoDelay(true)
      if (line.exchange === undefined) socket.terminate()
      else this.begin(line.exchange, line)
    }
    const socket: Bun.SocketHandler<undefined> = {
      open: socket => {
        if (tls === undefined) begun(socket)
      },
      handshake: (socket, succeeded, error) => {
        if (tls === undefined) return
        if (isTrusted(socket, succeeded, error)) begun(socket)
        else {
          socket.terminate()
          failed()
        }
      },
      data: (_socket, chunk) => this.received(line, chunk),
      drain: () => this.flush(line),
      close: () => this.lost(line),
      end: socket => {
        socket.end()
        this.lost(line)
      },
      error: () => this.lost(line),
      // May come while Bun.connect has not returned, when no route leads there; its promise tells of it later.
      connectError: () => undefined,
    }
    Bun.connect({ hostname, port, socket, ...(tls === undefined ? {} : { tls }) }).catch(failed)
  }

  /** The connection stands: AUTH and SELECT, if need be, then the requests. */
  private begin(exchange: Exchange, line: Line): void {
    const { commands, db, login } = exchange.request
    const writer = new CommandWriter(commands.length + 256)
    exchange.preliminary = 0
    if (login.length > 0) {
      writer.begin(login.length + 1).word("AUTH")
      for (const word of login) writer.word(word)
      exchange.preliminary++
    }
    if (line.db !== db) {
      writer.begin(2).word("SELECT").number(db)
      exchange.preliminary++
    }
    line.db = db
    writer.raw(commands, 0, commands.length)
    exchange.unsent = writer.bytes.subarray(0, writer.at)
    this.flush(line)
  }

  private flush(line: Line): void {
    const { exchange, socket } = line
    if (exchange === undefined || socket === undefined || exchange.unsent.length === 0) return
    const taken = socket.write(exchange.unsent)
    if (taken < 0) {
      this.lost(line)
      return
    }
    if (taken > 0) this.startTimer(exchange)
    exchange.unsent = exchange.unsent.subarray(taken)
  }

  private received(line: Line, chunk: Uint8Array): void {
    const { exchange } = line
    // Nobody has asked.
    if (exchange === undefined) {
      this.drop(line)
      return
    }
    this.startTimer(exchange)
    const { decoder, request } = exchange
    decoder.push(chunk)
    for (let frame = decoder.nextFrame(); frame !== null; frame = decoder.nextFrame()) {
      const reply = decodeReply(frame)
      const error = reply.type === "error" ? reply.value : undefined
      if (exchange.preliminary > 0) {
        exchange.preliminary--
        exchange.refusal ??= error
      } else exchange.replies.push(error)
      if (exchange.replies.length === request.replies) {
        this.complete(line, exchange)
        return
      }
    }
    if (decoder.failure !== "") this.lost(line)
  }

  private complete(line: Line, exchange: Exchange): void {
    line.exchange = undefined
    line.lastUsedMs = this.engine.clock.wall()
    if (exchange.refusal !== undefined || exchange.replies.some(error => error !== undefined)) line.db = -1
    if (this.isClosed) line.socket?.end()
    else {
      this.kept.push(line)
      if (this.kept.length > KEPT_MAX) this.kept.shift()!.socket?.end()
    }
    this.conclude(exchange)
  }

  // ------------------------------------------------------------------ ends

  /** The connection is gone, or could not be made. */
  private lost(line: Line, failure?: "connecting"): void {
    const { exchange } = line
    this.drop(line)
    if (exchange === undefined) return
    const isUntouched = exchange.replies.length === 0
    if (failure === undefined && isUntouched && !exchange.isRetry) {
      exchange.isRetry = true
      this.attempt(exchange)
      return
    }
    this.fail(exchange, failure ?? (line.socket === undefined ? "connecting" : stage(exchange)))
  }

  private drop(line: Line): void {
    line.exchange = undefined
    const at = this.kept.indexOf(line)
    if (at >= 0) this.kept.splice(at, 1)
    line.socket?.terminate()
  }

  private startTimer(exchange: Exchange): void {
    clearTimeout(exchange.timer)
    exchange.timer = setTimeout(() => this.timedOut(exchange), Math.min(exchange.request.timeoutMs, 2 ** 31 - 1))
  }

  private timedOut(exchange: Exchange): void {
    if (exchange.isOver) return
    const line = exchange.line!
    const failure = line.socket === undefined ? "connecting" : stage(exchange)
    this.drop(line)
    this.fail(exchange, failure)
  }

  private fail(exchange: Exchange, failure: PeerExchange["failure"]): void {
    if (exchange.isOver) return
    exchange.failure = failure
    this.conclude(exchange)
  }

  private conclude(exchange: Exchange): void {
    clearTimeout(exchange.timer)
    exchange.isOver = true
    const { engine } = this
    engine.refreshTime()
    engine.blocking.retryKeyless()
    engine.blocking.serveReady()
    engine.wakeTick()
  }
}

function stage(exchange: Exchange): "writing" | "reading" {
  return exchange.unsent.length > 0 ? "writing" : "reading"
}
