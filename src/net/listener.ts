/**
 * The listening sockets. One set of handlers for all connections; what belongs to one of them is its Connection, kept in
 * `socket.data`.
 */

import { chmodSync, unlinkSync } from "node:fs"
import type { Client } from "../engine/client.ts"
import type { Engine } from "../engine/engine.ts"
import { BatchPool, Connection, PENDING_BYTES_MAX, SocketTransport } from "./connection.ts"

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
}

type Socket = Bun.Socket<Connection | undefined>

export class Listener {
  private readonly engine: Engine
  private readonly options: ListenerOptions
  private readonly servers: Bun.SocketListener<Connection | undefined>[] = []
  private readonly unixServers: { server: Bun.UnixSocketListener<Connection | undefined>; path: string }[] = []
  private readonly pool = new BatchPool()
  private readonly connections = new Map<Client, Connection>()

  constructor(engine: Engine, options: ListenerOptions) {
    this.engine = engine
    this.options = options
    engine.output.onQueued = client => this.onQueued(client)
    engine.clients.onGone.push(client => this.connections.delete(client))
  }

  /** Listens on a TCP port (0: any free one); returns the port. Throws what the system says. */
  listenTcp(hostname: string, port: number): number {
    const server = Bun.listen<Connection | undefined>({ hostname, port, socket: this.handlers(undefined) })
    this.servers.push(server)
    return server.port
  }

  /** Listens on a unix socket; a stale file in its place is removed. `permissions` 0 leaves the mode to the umask. */
  listenUnix(path: string, permissions: number): void {
    try {
      unlinkSync(path)
    } catch {
      // Not there: the usual case.
    }
    const server = Bun.listen<Connection | undefined>({ unix: path, socket: this.handlers(path) })
    if (permissions !== 0) chmodSync(path, permissions)
    this.unixServers.push({ server, path })
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
    this.servers.length = 0
    this.unixServers.length = 0
    for (const client of [...this.engine.clients.byId.values()]) this.engine.clients.terminate(client)
  }

  /** Goes on with the requests a client sent while it could not be served. */
  resume(client: Client): void {
    this.connections.get(client)?.resume()
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
      const keepalive = config.values.tcpKeepalive
      if (keepalive > 0) socket.setKeepAlive(true, keepalive * 1000)
    }
    const client = clients.add(new SocketTransport(socket, unixPath, -1))
    client.parser.bulkBytesMax = config.values.protoMaxBulkLen
    const connection = new Connection(engine, client, this.pool)
    socket.data = connection
    this.connections.set(client, connection)
    engine.onConnected(client)
  }

  private drained(socket: Socket): void {
    const connection = socket.data
    if (connection === undefined) return
    const { client } = connection
    if (!this.engine.output.drain(client)) return
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
    if (client.overfull || client.closing || client.pendingBytes <= PENDING_BYTES_MAX) return
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
      this.resume(client)
    }, UNREAD_GRACE_MS)
    timer.unref()
  }
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.")
}
