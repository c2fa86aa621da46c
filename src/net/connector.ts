/** Outgoing connections: to a master. What the kernel does not take at once waits here. */

import { lookup } from "node:dns/promises"
import { isIP } from "node:net"
import type { ConfigValues } from "../config/config.ts"
import { Refusal } from "../config/refusal.ts"
import type { Engine } from "../engine/engine.ts"
import type { ConnectionHandlers, MasterConnection } from "../replication/link-ports.ts"
import { address, keepAlive } from "./connection.ts"
import { tlsOptions } from "./tls.ts"

type Socket = Bun.Socket<undefined>

const WRONG_NAME = "ERR_TLS_CERT_ALTNAME_INVALID"

class Outgoing implements MasterConnection {
  remoteAddress: string
  localAddress = "?:0"
  fd = -1
  private socket: Socket | undefined
  private readonly waiting: Uint8Array[] = []
  private isOver = false

  constructor(remoteAddress: string) {
    this.remoteAddress = remoteAddress
  }

  get isClosed(): boolean {
    return this.isOver
  }

  opened(socket: Socket): void {
    this.socket = socket
    this.fd = (socket as { fd?: number }).fd ?? -1
    this.remoteAddress = address(socket.remoteAddress, socket.remotePort ?? 0)
    this.localAddress = address(socket.localAddress ?? "127.0.0.1", socket.localPort)
    this.drained()
  }

  /** True the first time. */
  over(): boolean {
    const first = !this.isOver
    this.isOver = true
    return first
  }

  write(bytes: Uint8Array): void {
    if (this.isOver) return
    this.waiting.push(bytes)
    if (this.waiting.length === 1) this.drained()
  }

  drained(): void {
    const { socket, waiting } = this
    if (socket === undefined) return
    while (waiting.length > 0) {
      const bytes = waiting[0]!
      const taken = socket.write(bytes)
      if (taken < 0) return
      if (taken < bytes.length) {
        waiting[0] = bytes.subarray(taken)
        return
      }
      waiting.shift()
    }
  }

  close(): void {
    if (!this.over()) return
    this.socket?.terminate()
  }

  pause(): void {
    this.socket?.pause()
  }

  resume(): void {
    this.socket?.resume()
  }
}

/** What connections of our own use of TLS: nothing unless the configuration `asks` for it. See `isTrusted`. */
export function outgoingTls(values: ConfigValues, asks: boolean): Bun.TLSOptions | Refusal | undefined {
  if (!asks) return undefined
  const isOther = values.tlsClientCertFile !== "" && values.tlsClientKeyFile !== ""
  const options = tlsOptions(
    isOther
      ? {
          ...values,
          tlsCertFile: values.tlsClientCertFile,
          tlsKeyFile: values.tlsClientKeyFile,
          tlsKeyFilePass: values.tlsClientKeyFilePass,
        }
      : values,
  )
  return options instanceof Refusal ? options : { ...options, rejectUnauthorized: false }
}

/**
 * Whether the other side showed a certificate of our authority. For whom it was made is not looked at, as in Redis: the
 * runtime does, but only when it found nothing else amiss.
 */
export function isTrusted(socket: Socket, succeeded: boolean, error: Error | null): boolean {
  return (succeeded && socket.authorized) || (error as NodeJS.ErrnoException | null)?.code === WRONG_NAME
}

/** Connects; the handlers are called later, never from within. */
export function connectToMaster(
  engine: Engine,
  host: string,
  port: number,
  handlers: ConnectionHandlers,
): MasterConnection {
  const outgoing = new Outgoing(address(host, port))
  const ended = (reason: string): void => {
    if (outgoing.over()) handlers.closed(reason)
  }
  const tls = outgoingTls(engine.config.values, engine.config.values.tlsReplication)
  if (tls instanceof Refusal) {
    setImmediate(() => ended(tls.reason))
    return outgoing
  }
  const begun = (socket: Socket): void => {
    if (outgoing.isClosed) {
      socket.terminate()
      return
    }
    socket.setNoDelay(!engine.config.values.replDisableTcpNodelay)
    keepAlive(socket, engine.config.values.tcpKeepalive)
    outgoing.opened(socket)
    engine.refreshTime()
    handlers.opened()
  }
  const socket: Bun.SocketHandler<undefined> = {
    open: socket => {
      if (tls === undefined) begun(socket)
    },
    handshake: (socket, succeeded, error) => {
      if (tls === undefined) return
      if (isTrusted(socket, succeeded, error)) begun(socket)
      else {
        ended(error?.message ?? "handshake failed")
        socket.terminate()
      }
    },
    data: (_socket, chunk) => {
      if (outgoing.isClosed) return
      engine.refreshTime()
      handlers.received(chunk)
    },
    drain: () => outgoing.drained(),
    close: () => ended("connection lost"),
    end: socket => {
      socket.terminate()
      ended("connection lost")
    },
    error: (socket, error) => {
      socket.terminate()
      ended(error.message)
    },
    // May come while Bun.connect has not returned, when no route leads there; its promise tells of it later.
    connectError: () => undefined,
  }
  const options = { port, socket, ...(tls === undefined ? {} : { tls }) }
  const direct = () => Bun.connect({ hostname: host, ...options })
  const source = engine.config.values.bindSourceAddr
  const connected = source === "" ? direct() : connectFrom(source, host, options, direct)
  connected.catch((error: Error) => setImmediate(() => ended(error.message)))
  return outgoing
}

/** From an address of this machine (bind-source-addr) if that can be, else from any. */
async function connectFrom(
  source: string,
  host: string,
  options: Omit<Bun.TCPSocketConnectOptions<undefined>, "hostname">,
  direct: () => Promise<Socket>,
): Promise<Socket> {
  try {
    // A name is looked up first: the runtime heeds the source only for a plain address of the same family.
    const family = isIP(source) === 6 ? 6 : 4
    const hostname = isIP(host) !== 0 ? host : (await lookup(host, { family })).address
    const attempt = { ...options, hostname, localAddress: source }
    return await Bun.connect(attempt)
  } catch {
    return direct()
  }
}
