/**
 * The listening sockets. One set of handlers for all connections; what belongs to one of them is its Connection, kept in
 * `socket.data`.
 */

import { chmodSync, unlinkSync } from "node:fs"
import { bytesOf, latin1 } from "../bytes/compare.ts"
import type { Client } from "../engine/client.ts"
import type { Engine } from "../engine/engine.ts"
import { BatchPool, Connection, keepAlive, PENDING_BYTES_MAX, SocketTransport } from "./connection.ts"
import type { TlsOptions } from "./tls.ts"

/** A client over its soft bound that has taken nothing for this long is read from all the same. */
const UNREAD_GRACE_MS = 1000

const PROTECTED_MODE_REPLY =
  "-DENIED bundis is running in protected mode because protected mode is enabled and no password is set for the default " +
  "user. In this mode connections are only accepted from the loopback interface. If you want to connect from external " +
  "computers, you may adopt one of the following solutions: 1) Disable protected mode with 'CONFIG SET protected-mode no' " +
  "from the loopback interface, and make sure the server is not publicly reachable. 2) Set 'protected-mode no' in the " +
  "configuration file and restart the server. 3) Start the server with '--protected-mode no'. 4) Set up an " +
  "authentication password for the default user.\r\n"

export interface ListenerOptions {
  /** True when a stranger's connection must be refused: protected mode, and no password is set. */
  refusesStrangers: () => boolean
  /** Logs a client in that has shown the certificate of this name (one character per byte); false: no such user. */
  certify?: (client: Client, name: string) => boolean
}

/** A TLS handshake that takes longer is given up. */
const HANDSHAKE_SECONDS_MAX = 30

type Socket = Bun.Socket<Connection | undefined>

/** One listening TCP socket. */
export interface TcpEndpoint {
  readonly port: number
  /** Listens no more; connections that it accepted go on. */
  stop(): void
}

export interface TcpOptions {
  tls?: TlsOptions
}

export class Listener {
  private readonly engine: Engine
  private readonly options: ListenerOptions
  private readonly servers = new Set<Bun.SocketListener<Connection | undefined>>()
  private readonly unixServers: { server: Bun.UnixSocketListener<Connection | undefined>; path: string }[] = []
  private readonly pool = new BatchPool()
  /** TLS connections whose handshake is not over. */
  private readonly handshaking = new Set<Socket>()

  constructor(engine: Engine, options: ListenerOptions) {
    this.engine = engine
    this.options = options
    engine.output.onQueued = client => this.onQueued(client)
  }

  /** Listens on a TCP port (0: any free one). Throws what the system, or the TLS library, says. */
  listenTcp(hostname: string, port: number, { tls }: TcpOptions = {}): TcpEndpoint {
    const options: Bun.TCPSocketListenOptions<Connection | undefined> & { ipv6Only: boolean } = {
      hostname,
      port,
      // Else a wildcard address of IPv6 would take the port of IPv4 as well.
      ipv6Only: hostname.includes(":"),
      // Who has sent all it wants to still gets its answers. (TLS has its own farewell.)
      allowHalfOpen: tls === undefined,
      socket: tls === undefined ? this.handlers(undefined) : this.tlsHandlers(tls),
      ...(tls === undefined ? {} : { tls }),
    }
    const server = Bun.listen(options)
    this.servers.add(server)
    return {
      port: server.port,
      stop: () => {
        this.servers.delete(server)
        server.stop(false)
      },
    }
  }

  /** Whether the TLS library can make use of the options: throws what it says if not. */
  tryTls(tls: TlsOptions): void {
    this.listenTcp("127.0.0.1", 0, { tls }).stop()
  }

  /** Listens on a unix socket; a stale file in its place is removed. `permissions` 0 leaves the mode to the umask. */
  listenUnix(path: string, permissions: number): void {
    try {
      unlinkSync(path)
    } catch {
      // Not there: the usual case.
    }
    const server = Bun.listen<Connection | undefined>({ unix: path, allowHalfOpen: true, socket: this.handlers(path) })
    if (permissions !== 0) chmodSync(path, permissions)
    this.unixServers.push({ server, path })
  }

  /** Stops accepting; connections go on. */
  stopAccepting(): void {
    for (const server of this.servers) server.stop(false)
  }

  /** Stops accepting, and closes every connection. */
  close(): void {
    for (const server of this.servers) server.stop(true)
    for (const { server, path } of this.unixServers) {
      server.stop(true)
      try {
        unlinkSync(path)
      } catch {
        // Somebody was faster.
      }
    }
    this.servers.clear()
    this.unixServers.length = 0
    for (const socket of this.handshaking) socket.terminate()
    this.handshaking.clear()
    for (const client of [...this.engine.clients.byId.values()]) this.engine.clients.terminate(client)
  }

  private handlers(unixPath: string | undefined): Bun.SocketHandler<Connection | undefined> {
    const { engine } = this
    return {
      open: socket => this.accept(socket, unixPath),
      data: (socket, chunk) => {
        const connection = socket.data
        if (connection === undefined) return
        engine.refreshTime()
        connection.receive(chunk)
      },
      drain: socket => this.drained(socket),
      close: socket => {
        if (socket.data !== undefined) engine.clients.forget(socket.data.client)
      },
      end: socket => {
        if (socket.data !== undefined) socket.data.end()
        else socket.end()
      },
      error: (socket, error) => {
        engine.log("verbose", `Error on connection: ${error.message}`)
        if (socket.data !== undefined) engine.clients.terminate(socket.data.client)
      },
    }
  }

  /** As `handlers`; a connection becomes a client when its handshake is over. */
  private tlsHandlers(tls: TlsOptions): Bun.SocketHandler<Connection | undefined> {
    const { engine, handshaking } = this
    const handlers = this.handlers(undefined)
    return {
      ...handlers,
      open: socket => {
        if (engine.clients.size + handshaking.size >= engine.config.values.maxclients) {
          engine.clients.rejected++
          socket.terminate()
          return
        }
        handshaking.add(socket)
        socket.timeout(HANDSHAKE_SECONDS_MAX)
      },
      handshake: (socket, succeeded, error) => {
        if (!handshaking.delete(socket)) return
        socket.timeout(0)
        if (!succeeded || !this.trusts(socket, tls)) {
          engine.log("verbose", `Error accepting a client connection: ${error?.message ?? "handshake failed"}`)
          socket.terminate()
        } else {
          this.accept(socket, undefined)
          this.certify(socket)
        }
      },
      timeout: socket => {
        handshaking.delete(socket)
        socket.terminate()
      },
      close: (socket, error) => {
        handshaking.delete(socket)
        handlers.close?.(socket, error)
      },
    }
  }

  /** Whether the peer has shown what it must: a good certificate, or none where that is allowed. */
  private trusts(socket: Socket, tls: TlsOptions): boolean {
    if (!tls.requestCert || socket.authorized) return true
    return !tls.rejectUnauthorized && socket.getPeerCertificate() === undefined
  }

  /** The user named in the certificate, if that is how clients log in. */
  private certify(socket: Socket): void {
    const client = socket.data?.client
    if (client === undefined || this.engine.config.values.tlsAuthClientsUser !== "CN" || !socket.authorized) return
    const name: unknown = socket.getPeerCertificate()?.subject?.CN
    if (typeof name !== "string" || this.options.certify === undefined) return
    if (!this.options.certify(client, latin1(bytesOf(name)))) {
      this.engine.log("verbose", `TLS: there is no enabled user for the certificate of ${JSON.stringify(name)}`)
    }
  }

  private accept(socket: Socket, unixPath: string | undefined): void {
    const { engine } = this
    const { clients, config } = engine
    if (clients.size >= config.values.maxclients) {
      clients.rejected++
      socket.write("-ERR max number of clients reached\r\n")
      socket.end()
      return
    }
    if (unixPath === undefined && this.options.refusesStrangers() && !isLoopback(socket.remoteAddress)) {
      clients.rejected++
      socket.write(PROTECTED_MODE_REPLY)
      socket.end()
      return
    }
    clients.accepted++
    engine.refreshTime()
    if (unixPath === undefined) {
      socket.setNoDelay(true)
      keepAlive(socket, config.values.tcpKeepalive)
    }
    const client = clients.add(new SocketTransport(socket, unixPath, (socket as { fd?: number }).fd ?? -1))
    client.parser.bulkBytesMax = config.values.protoMaxBulkLen
    const connection = new Connection(engine, client, this.pool)
    socket.data = connection
    engine.onConnected(client)
  }

  private drained(socket: Socket): void {
    const connection = socket.data
    if (connection === undefined) return
    const { client } = connection
    if (!this.engine.output.drain(client)) return
    client.feed?.pump()
    if (client.closing) this.engine.wakeTick()
    else if (client.overfull) {
      client.overfull = false
      client.suspended = client.blocked
      client.transport?.resume()
      if (!client.suspended) connection.resume()
    }
  }

  /** A client has unsent output: past the bound it is not read from until it has taken that. */
  private onQueued(client: Client): void {
    if (client.overfull || client.closing || client.isReplica || client.pendingBytes <= PENDING_BYTES_MAX) return
    client.overfull = true
    client.suspended = true
    client.transport?.pause()
    this.watchUnread(client, client.pendingBytes)
  }

  private watchUnread(client: Client, pendingBytes: number): void {
    const timer = setTimeout(() => {
      if (client.gone || !client.overfull) return
      if (client.pendingBytes < pendingBytes) {
        this.watchUnread(client, client.pendingBytes)
        return
      }
      client.overfull = false
      client.suspended = client.blocked
      client.transport?.resume()
      client.requests?.resume()
    }, UNREAD_GRACE_MS)
    timer.unref()
  }
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.")
}
