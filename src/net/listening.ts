/**
 * Where the server listens, by its configuration, at the start and when CONFIG SET changes it: `port` and `tls-port` on each
 * address of `bind`, and the unix socket.
 *
 * A change is made in such an order that a failure leaves things as they were: a new port is opened before the old one is
 * given up; where addresses could overlap (the same port, or new certificates for it) the old ones are given up first and
 * taken again if the new ones cannot be had. Connections that exist go on in any case.
 */

import { readFileSync } from "node:fs"
import { Refusal } from "../config/refusal.ts"
import type { Engine } from "../engine/engine.ts"
import type { Listener, TcpEndpoint } from "./listener.ts"
import { TLS_DIRECTIVES, type TlsOptions, tlsOptions } from "./tls.ts"

const TLS_REASON = "Unable to update TLS configuration. Check server logs."
const PORT_REASON = "Unable to listen on this port. Check server logs."
const BIND_REASON = "Failed to bind to specified addresses."

/** Files and sockets that are not clients. */
const RESERVED_FILES = 32

/** The server cannot listen where it was told to. */
export class ListenError extends Error {}

/** Sockets of one kind: all on the same port. */
interface Group {
  port: number
  tls: TlsOptions | undefined
  /** By the address as `bind` gives it, without the leading `-`. */
  endpoints: Map<string, TcpEndpoint>
}

export class Listening {
  private readonly engine: Engine
  private readonly listener: Listener
  private plain: Group = { port: 0, tls: undefined, endpoints: new Map() }
  private secure: Group = { port: 0, tls: undefined, endpoints: new Map() }
  /** The port that was given to a server that asked for any. */
  private anyPort = 0

  constructor(engine: Engine, listener: Listener) {
    this.engine = engine
    this.listener = listener
  }

  /** The TCP ports in use, 0 when there is none. */
  get port(): number {
    return this.plain.port
  }

  get tlsPort(): number {
    return this.secure.port
  }

  /** What is listened on, as INFO tells it: kind by kind, each under the number it has among all kinds. */
  describe(): [field: string, text: string][] {
    const { bind, unixsocket } = this.engine.config.values
    const lines: [string, string][] = []
    const addTcp = (i: number, name: string, { port, endpoints }: Group) => {
      if (endpoints.size === 0) return
      const hosts = bind.filter(host => endpoints.has(host.replace(/^-/, "")))
      lines.push([`listener${i}`, [`name=${name}`, ...hosts.map(host => `bind=${host}`), `port=${port}`].join()])
    }
    addTcp(0, "tcp", this.plain)
    if (unixsocket !== "") lines.push(["listener1", `name=unix,bind=${unixsocket}`])
    addTcp(2, "tls", this.secure)
    return lines
  }

  /** As many clients as the system lets the process have files; the configuration is held to that. */
  private boundClients(): void {
    const { config, log } = this.engine
    const asked = config.values.maxclients
    const possible = clientsPossible()
    if (asked <= possible) return
    config.assign("maxclients", possible)
    log(
      "warning",
      `You requested maxclients of ${asked} requiring at least ${asked + RESERVED_FILES} max file descriptors.`,
    )
    log("warning", `maxclients has been reduced to ${possible} to compensate for low ulimit.`)
  }

  /** Opens everything, and follows the configuration from then on. Throws ListenError. */
  open(): void {
    const { values } = this.engine.config
    const { listener } = this
    this.boundClients()
    try {
      if (values.unixsocket !== "") listener.listenUnix(values.unixsocket, values.unixsocketperm)
    } catch (error) {
      throw new ListenError(`Failed opening Unix socket: bind: ${text(error)}`)
    }
    // Port 0 means none where there is another way in, else any free one.
    const takesAny = values.port === 0 && values.tlsPort === 0 && values.unixsocket === ""
    if ((takesAny || values.port > 0) && !this.moveTo("plain", values.port, undefined, takesAny)) {
      listener.close()
      throw new ListenError(`Failed listening on port ${values.port} (tcp), aborting.`)
    }
    if (takesAny) this.anyPort = this.plain.port
    if (values.tlsPort > 0) {
      const tls = this.readTls()
      if (tls === undefined) {
        listener.close()
        throw new ListenError("Failed to configure TLS. Check logs for more info.")
      }
      if (!this.moveTo("secure", values.tlsPort, tls)) {
        listener.close()
        throw new ListenError(`Failed listening on port ${values.tlsPort} (tls), aborting.`)
      }
    }
    this.followConfig()
  }

  private followConfig(): void {
    const { config } = this.engine
    const { values } = config
    config.onChange("maxclients", count => {
      const possible = clientsPossible()
      return count <= possible
        ? undefined
        : `The operating system is not able to handle the specified number of clients, try with ${possible}`
    })
    config.onChange("port", () => (this.movePlain() ? undefined : PORT_REASON))
    config.onChangeOfAny(TLS_DIRECTIVES, () => {
      if (values.tlsPort === 0) return undefined
      const tls = this.readTls()
      return tls !== undefined && this.moveTo("secure", values.tlsPort, tls) ? undefined : TLS_REASON
    })
    config.onChange("tls-port", port => {
      const tls = port === 0 ? undefined : (this.secure.tls ?? this.readTls())
      if (port !== 0 && tls === undefined) return TLS_REASON
      return this.moveTo("secure", port, tls) ? undefined : PORT_REASON
    })
    config.onChange("bind", () => {
      return this.movePlain() && this.moveTo("secure", values.tlsPort, this.secure.tls) ? undefined : BIND_REASON
    })
  }

  private movePlain(): boolean {
    const { port } = this.engine.config.values
    return this.moveTo("plain", port === 0 ? this.anyPort : port, undefined)
  }

  /** Reads what the tls-* directives name; undefined, with a line in the log, when that is of no use. */
  private readTls(): TlsOptions | undefined {
    const tls = tlsOptions(this.engine.config.values)
    if (tls instanceof Refusal) {
      this.engine.log("warning", tls.reason)
      return undefined
    }
    try {
      this.listener.tryTls(tls)
      return tls
    } catch (error) {
      this.engine.log("warning", `Failed to configure TLS: ${text(error)}`)
      return undefined
    }
  }

  /** Makes the sockets of a kind those of `port` and `bind`. False, and everything as before, when that fails. */
  private moveTo(kind: "plain" | "secure", port: number, tls: TlsOptions | undefined, takesAny = false): boolean {
    const before = this[kind]
    if (port === 0 && !takesAny) {
      stopAll(before.endpoints)
      this[kind] = { port: 0, tls: undefined, endpoints: new Map() }
      return true
    }
    const hosts = this.engine.config.values.bind
    const movesPort = port !== before.port
    const kept = new Map<string, TcpEndpoint>()
    if (!movesPort && tls === before.tls) {
      for (const [host, endpoint] of before.endpoints) {
        if (hosts.some(bind => bind.replace(/^-/, "") === host)) kept.set(host, endpoint)
      }
    }
    const given = new Map([...before.endpoints].filter(([host]) => !kept.has(host)))
    if (!movesPort) stopAll(given)
    const opened = this.listen(hosts, port, tls, kept)
    if (opened === undefined) {
      if (!movesPort) {
        const again = this.listen([...given.keys()], before.port, before.tls, kept)
        this[kind] = { ...before, endpoints: new Map([...kept, ...(again ?? [])]) }
      }
      return false
    }
    if (movesPort) stopAll(given)
    const endpoints = new Map([...kept, ...opened])
    this[kind] = { port: endpoints.values().next().value?.port ?? port, tls, endpoints }
    return true
  }

  /** Sockets on those of `hosts` that are not in `kept`; undefined, and none, when one cannot be had. */
  private listen(
    hosts: readonly string[],
    port: number,
    tls: TlsOptions | undefined,
    kept: ReadonlyMap<string, TcpEndpoint>,
  ): Map<string, TcpEndpoint> | undefined {
    const opened = new Map<string, TcpEndpoint>()
    for (const bind of hosts) {
      const host = bind.replace(/^-/, "")
      if (kept.has(host) || opened.has(host)) continue
      try {
        const address = host === "*" ? "0.0.0.0" : host === "::*" ? "::" : host
        const endpoint = this.listener.listenTcp(address, port, { tls })
        opened.set(host, endpoint)
        port = endpoint.port
      } catch (error) {
        // Addresses marked `-` may be missing on this host.
        if (bind.startsWith("-") && codeOf(error) !== "EADDRINUSE") continue
        const socket = tls === undefined ? "TCP" : "TLS"
        this.engine.log(
          "warning",
          `Warning: Could not create server ${socket} listening socket ${host}:${port}: bind: ${text(error)}`,
        )
        stopAll(opened)
        return undefined
      }
    }
    if (opened.size + kept.size > 0 || hosts.length === 0) return opened
    this.engine.log("warning", `Warning: none of the addresses to bind is there: ${hosts.join(" ")}`)
    return undefined
  }
}

/** Clients that fit into the files the process may have open. The runtime has raised the soft limit as far as it goes. */
function clientsPossible(): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))
    return limit === null ? Number.MAX_SAFE_INTEGER : Math.max(1, Number(limit[1]) - RESERVED_FILES)
  } catch {
    // Not Linux: the system will say when it is enough.
    return Number.MAX_SAFE_INTEGER
  }
}

function stopAll(endpoints: ReadonlyMap<string, TcpEndpoint>): void {
  for (const endpoint of endpoints.values()) endpoint.stop()
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code
}

function text(error: unknown): string {
  const code = codeOf(error)
  if (code === "EADDRINUSE") return "Address already in use"
  if (code === "EADDRNOTAVAIL") return "Cannot assign requested address"
  if (code === "EACCES") return "Permission denied"
  return error instanceof Error ? error.message : String(error)
}
