/**
 * The replica's side: the link to the master.
 *
 *   none ◀──stop── (any state)
 *    │ follow
 *    ▼
 *   connect ──▶ connecting ──▶ handshake ──PSYNC──┬──+CONTINUE────▶ connected
 *    ▲  ▲            │             │              └──+FULLRESYNC──▶ sync ──loaded──▶ connected
 *    │  └── once a second, and at once after a link that stood has been lost             │
 *    └───────────────────────────── anything that goes wrong ◀──────────────────────────┘
 *
 * The handshake: PING, AUTH, REPLCONF (port, address, capabilities), PSYNC. Its answers are lines.
 *
 * What a lost link leaves behind is kept in `cached`: the history and how far we have followed it, to the byte. The next PSYNC
 * asks for what comes after that. It is forgotten only when other data replaces ours.
 */

import { latin1 } from "../bytes/compare.ts"
import type { Client, Transport } from "../engine/client.ts"
import { type Engine, EngineCondition } from "../engine/engine.ts"
import { CommandWriter } from "../resp/command-writer.ts"
import { StreamApplier } from "./applier.ts"
import { FullSyncReceiver } from "./full-sync-receiver.ts"
import { ID_LENGTH, type ReplicationHistory } from "./history.ts"
import type { LinkPorts, MasterConnection } from "./link-ports.ts"
import type { Replicas } from "./replicas.ts"
import { SyncedOffset } from "./synced-offset.ts"

export type LinkState = "none" | "connect" | "connecting" | "handshake" | "sync" | "connected"

/** A place in a master's stream that we could go on from. */
export interface CachedMaster {
  id: string
  /** Bytes of the stream that have had their effect. */
  offset: number
  /** Database selected at that place. */
  db: number
}

export interface LinkOptions {
  engine: Engine
  history: ReplicationHistory
  replicas: Replicas
  ports: LinkPorts
  /** True while our PSYNC is to make a replica the master. */
  isFailingOver: () => boolean
  /** What came of that PSYNC. */
  onFailoverAnswered: (accepted: boolean) => void
  /** The state has changed. */
  onState: () => void
  onPanic: (message: string) => void
}

const LF = 10
const LINE_BYTES_MAX = 1024
/** More of the stream than this is not read while the snapshot before it is being loaded. */
const EARLY_BYTES_MAX = 1024 * 1024

export class MasterLink {
  state: LinkState = "none"
  host = ""
  port = 0
  /** The master as a client, while the link stands. */
  client: Client | undefined
  applier: StreamApplier | undefined
  cached: CachedMaster | undefined
  receiver: FullSyncReceiver | undefined
  /** When the last link that stood was lost; 0 when it stands, or there was none. */
  downSince = 0
  /** Bytes received from masters, for INFO. */
  bytesIn = 0
  /** Commands of masters that were answered with errors. */
  unexpectedErrors = 0

  private readonly options: LinkOptions
  private readonly engine: Engine
  private connection: MasterConnection | undefined
  /** When something was last heard of the master. */
  private heardAt = 0
  private line = ""
  /** What to do with the answers to come, in order. */
  private expected: ((line: string) => void)[] = []
  /** What came of the stream while the snapshot was being loaded. */
  private early: Uint8Array[] = []
  private earlyBytes = 0
  private isOldMaster = false
  private discardsCache = false
  private readonly synced: SyncedOffset

  constructor(options: LinkOptions) {
    this.options = options
    this.engine = options.engine
    this.synced = new SyncedOffset(options.engine, options.ports.local)
    this.engine.clients.onGone.push(client => {
      if (client === this.client) this.lost()
    })
  }

  /** Bytes of the master's stream that have had their effect; -1 without a master to tell. */
  get offset(): number {
    return this.applier?.offset ?? -1
  }

  get silentSeconds(): number {
    return Math.max(0, Math.floor((this.engine.clock.wall() - this.heardAt) / 1000))
  }

  // ------------------------------------------------------------------ following

  /** Becomes a replica of the server at an address, whoever was followed before. */
  follow(host: string, port: number): void {
    this.hangUp()
    this.host = host
    this.port = port
    this.become("connect")
    this.connect("Connecting to MASTER")
  }

  /** Follows nobody any more. */
  stop(): void {
    this.hangUp()
    this.cached = undefined
    this.downSince = 0
    this.become("none")
  }

  /** Ends whatever there is of a link; what could be gone on from is kept. */
  private hangUp(): void {
    const { client } = this
    this.state = "none"
    if (client !== undefined) this.engine.clients.terminate(client)
    this.closeConnection()
  }

  private closeConnection(): void {
    const { connection, receiver } = this
    this.connection = undefined
    this.receiver = undefined
    this.expected = []
    this.line = ""
    this.early = []
    this.earlyBytes = 0
    receiver?.abort()
    connection?.close()
  }

  private become(state: LinkState): void {
    this.state = state
    this.options.onState()
  }

  private connect(how: string): void {
    const { engine, options } = this
    engine.log("notice", `${how} ${this.host}:${this.port}`)
    this.heardAt = engine.clock.wall()
    this.become("connecting")
    const connection = options.ports.connect(this.host, this.port, {
      opened: () => {
        if (this.connection === connection) this.opened()
      },
      received: chunk => {
        if (this.connection === connection) this.received(chunk)
      },
      closed: reason => {
        if (this.connection === connection) this.closed(reason)
      },
    })
    this.connection = connection
    engine.log("notice", "MASTER <-> REPLICA sync started")
  }

  /** Gives up this attempt; the next one comes within a second, or at once. */
  private fail(atOnce: boolean): void {
    this.closeConnection()
    if (this.state === "none") return
    this.become("connect")
    if (atOnce) this.connect("Reconnecting to MASTER")
  }

  private closed(reason: string): void {
    const { engine } = this
    if (this.state === "connected") {
      this.connection = undefined
      if (this.client !== undefined) engine.clients.forget(this.client)
      return
    }
    if (this.receiver?.readsFromSocket) {
      engine.log("warning", `Internal error in RDB reading: ${reason}`)
      engine.log("warning", "Failed trying to load the MASTER synchronization DB from socket, check server logs.")
    } else if (this.state === "sync") engine.log("warning", `I/O error trying to sync with MASTER: ${reason}`)
    else engine.log("warning", `Error condition on socket for SYNC: ${reason}`)
    if (this.state === "handshake" && this.options.isFailingOver()) this.options.onFailoverAnswered(false)
    this.fail(this.state === "sync")
  }

  // ------------------------------------------------------------------ handshake

  private opened(): void {
    this.engine.log("notice", "Non blocking connect for SYNC fired the event.")
    this.heardAt = this.engine.clock.wall()
    this.become("handshake")
    this.isOldMaster = false
    this.ask(["PING"], line => this.pinged(line))
  }

  private ask(words: readonly string[], answered: (line: string) => void): void {
    this.expected.push(answered)
    this.say(words)
  }

  private say(words: readonly string[]): void {
    const writer = new CommandWriter(256)
    writer.begin(words.length)
    for (const word of words) {
      const bytes = Buffer.from(word)
      writer.arg(bytes, 0, bytes.length)
    }
    this.connection?.write(writer.bytes.slice(0, writer.at))
  }

  private pinged(line: string): void {
    const { engine } = this
    if (!/^(\+|-NOAUTH|-NOPERM|-ERR operation not permitted)/.test(line)) {
      engine.log("warning", `Error reply to PING from master: '${line}'`)
      this.fail(false)
      return
    }
    engine.log("notice", "Master replied to PING, replication can continue...")
    const { values } = engine.config
    if (values.masterauth !== "") {
      const user = values.masteruser === "" ? [] : [values.masteruser]
      this.ask(["AUTH", ...user, values.masterauth], answer => {
        if (answer[0] !== "-") return
        engine.log("warning", `Unable to AUTH to MASTER: ${answer}`)
        this.fail(false)
      })
    }
    this.tell("listening-port", String(this.options.ports.listeningPort()))
    if (values.replicaAnnounceIp !== "") this.tell("ip-address", values.replicaAnnounceIp)
    // Capabilities that a master does not know it ignores.
    this.ask(["REPLCONF", "capa", "eof", "capa", "psync2", "capa", "rdb12"], answer => {
      this.noteUnknown("capa", answer)
      this.requestSync()
    })
  }

  private tell(name: string, value: string): void {
    this.ask(["REPLCONF", name, value], answer => this.noteUnknown(name, answer))
  }

  private noteUnknown(name: string, answer: string): void {
    if (answer[0] !== "-") return
    this.engine.log("notice", `(Non critical) Master does not understand REPLCONF ${name}: ${answer}`)
  }

  private requestSync(): void {
    const { engine, cached } = this
    let words = ["PSYNC", "?", "-1"]
    if (cached === undefined) {
      engine.log("notice", "Partial resynchronization not possible (no cached master)")
    } else {
      engine.log("notice", `Trying a partial resynchronization (request ${cached.id}:${cached.offset + 1}).`)
      words = ["PSYNC", cached.id, String(cached.offset + 1)]
    }
    if (this.options.isFailingOver()) words.push("FAILOVER")
    this.ask(words, line => this.answered(line))
  }

  /** The answer to PSYNC. */
  private answered(line: string): void {
    const { engine, options } = this
    // A sign of life; the answer is still to come.
    if (line === "") {
      this.expected.unshift(answer => this.answered(answer))
      return
    }
    const isContinued = line.startsWith("+CONTINUE")
    const isFull = line.startsWith("+FULLRESYNC")
    if (options.isFailingOver()) {
      options.onFailoverAnswered(isContinued || isFull)
      if (!isContinued && !isFull) return
    }
    if (isContinued) this.goOn(line)
    else if (isFull) this.startOver(line)
    else if (line.startsWith("-NOMASTERLINK") || line.startsWith("-LOADING")) {
      engine.log("notice", `Master is currently unable to PSYNC but should be in the future: ${line}`)
      this.fail(false)
    } else {
      if (line.startsWith("-ERR")) {
        engine.log("notice", `Master does not support PSYNC or is in error state (reply: ${line})`)
      } else engine.log("warning", `Unexpected reply to PSYNC from master: ${line}`)
      engine.log("notice", "Retrying with SYNC...")
      this.isOldMaster = true
      this.connection?.write(Buffer.from("SYNC\r\n"))
      this.beginTransfer({ id: "", offset: -1 })
    }
  }

  /** +CONTINUE: what we have is a past of the master's; the rest follows. */
  private goOn(line: string): void {
    const { engine, options } = this
    const { history, replicas } = options
    const { cached } = this
    engine.log("notice", "Successful partial resynchronization with master.")
    if (cached === undefined) {
      this.fail(false)
      return
    }
    const id = line.slice("+CONTINUE".length).trim()
    if (id.length === ID_LENGTH && id !== cached.id) {
      engine.log("notice", `Master replication ID changed to ${id}`)
      history.shift(id)
      history.secondId = cached.id
      // Replicas of ours must know; they can go on at once.
      replicas.dropAll()
    }
    this.cached = undefined
    if (!history.stream.isOpen) replicas.openStream()
    this.beginStream(cached)
    engine.log("notice", "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.")
  }

  /** +FULLRESYNC: everything anew. */
  private startOver(line: string): void {
    const { engine } = this
    const [, id = "", offset = ""] = line.split(" ")
    const at = /^\d+$/.test(offset) ? Number(offset) : -1
    if (id.length !== ID_LENGTH || at < 0) {
      engine.log("warning", "Master replied with wrong +FULLRESYNC syntax.")
      this.fail(false)
      return
    }
    engine.log("notice", `Full resync from master: ${id}:${at}`)
    this.beginTransfer({ id, offset: at })
  }

  // ------------------------------------------------------------------ full sync

  private beginTransfer(start: { id: string; offset: number }): void {
    const { engine, options } = this
    const { history, replicas, ports } = options
    this.become("sync")
    this.receiver = new FullSyncReceiver({
      engine,
      ports,
      connection: this.connection!,
      isSameHistory: start.id === history.id,
      // From here on our data is not what it was: nobody can go on from it.
      onReplace: () => {
        this.cached = undefined
        replicas.fullSync.cancel()
        replicas.dropAll()
        replicas.closeStream()
      },
      onAlive: () => this.connection?.write(Buffer.from("\n")),
      onFailed: () => this.fail(true),
      onLoaded: (point, isStreamed) => {
        this.receiver = undefined
        if (start.id !== "") history.id = start.id
        history.forgetSecond()
        history.stream.restart(Math.max(0, start.offset))
        replicas.openStream()
        this.beginStream({ id: history.id, offset: history.stream.offset, db: point?.db ?? 0 })
        engine.log("notice", "MASTER <-> REPLICA sync: Finished with success")
        ports.afterReplace()
        this.synced.restart()
        this.synced.note(history.stream.offset)
        this.takeEarly()
        if (isStreamed) this.acknowledge()
      },
    })
  }

  // ------------------------------------------------------------------ the stream

  private beginStream({ offset, db }: CachedMaster): void {
    const { engine, options } = this
    const client = engine.clients.create()
    client.isMaster = true
    client.isObeyed = true
    client.denyBlocking = true
    client.transport = this.transport()
    client.parser.bulkBytesMax = 2 ** 31
    client.db = engine.keyspace.databases[db] ?? engine.keyspace.databases[0]!
    engine.clients.byId.set(client.id, client)
    this.client = client
    this.applier = new StreamApplier({
      engine,
      client,
      offset,
      onApplied: (bytes, start, end) => options.replicas.proxy(bytes, start, end),
      onCorrupt: reason => {
        engine.log("warning", `${reason} Closing the master connection and discarding the cached master.`)
        this.discardsCache = true
        // Not from within the run.
        setImmediate(() => engine.clients.terminate(client))
      },
      onError: (text, command) => this.reportError(text, command),
      onPanic: options.onPanic,
    })
    this.downSince = 0
    this.heardAt = engine.clock.wall()
    this.become("connected")
  }

  private transport(): Transport {
    const connection = this.connection!
    return {
      remoteAddress: connection.remoteAddress,
      localAddress: connection.localAddress,
      fd: connection.fd,
      isUnix: false,
      // Commands of a master are not answered.
      write: (_bytes, _start, length) => length,
      end: () => this.closeConnection(),
      terminate: () => this.closeConnection(),
      pause: () => connection.pause(),
      resume: () => connection.resume(),
    }
  }

  private reportError(text: string, command: string): void {
    const { values } = this.engine.config
    this.engine.log(
      "warning",
      `== CRITICAL == This replica is sending an error to its master: '${text.replace(/^-/, "")}' after processing the command '${command}'`,
    )
    this.unexpectedErrors++
    // What clients of a writable replica have done may well be in the way of what the master does.
    if (values.propagationErrorBehavior === "ignore" || !values.replicaReadOnly) return
    this.options.onPanic(
      `This replica panicked sending an error to its master after processing the command '${command}'`,
    )
  }

  /** The client of the master is gone: its socket was closed, by whomever. */
  private lost(): void {
    const { engine, applier, client } = this
    applier?.stop()
    this.applier = undefined
    this.client = undefined
    this.closeConnection()
    engine.log("notice", "Connection with master lost.")
    if (this.discardsCache || this.isOldMaster) this.cached = undefined
    else if (applier !== undefined && client !== undefined) {
      engine.log("notice", "Caching the disconnected master state.")
      this.cached = { id: this.options.history.id, offset: applier.offset, db: client.db.index }
    }
    this.discardsCache = false
    if (this.state === "none") return
    this.downSince = engine.clock.wall()
    this.become("connect")
    // At once: the less we miss, the better the chance that the backlog has it.
    this.connect("Reconnecting to MASTER")
  }

  /** REPLCONF ACK: how far we are. */
  acknowledge(): void {
    const { applier } = this
    if (applier === undefined || this.isOldMaster) return
    const synced = this.synced.offset(applier.offset)
    const fack = synced === undefined ? [] : ["FACK", String(synced)]
    this.say(["REPLCONF", "ACK", String(applier.offset), ...fack])
  }

  // ------------------------------------------------------------------ what arrives

  private received(chunk: Uint8Array): void {
    this.heardAt = this.engine.clock.wall()
    this.bytesIn += chunk.length
    let at = 0
    // One chunk may hold the end of the handshake and the beginning of what comes after.
    while (at < chunk.length && this.connection !== undefined) {
      if (this.applier !== undefined) {
        this.applier.receive(at === 0 ? chunk : chunk.subarray(at))
        return
      }
      if (this.receiver === undefined) at = this.readLine(chunk, at)
      else {
        const used = this.receiver.receive(chunk.subarray(at))
        at += used
        if (used > 0) continue
        this.keepForLater(chunk.subarray(at))
        return
      }
    }
  }

  /** The stream goes on while the snapshot is still being loaded. */
  private keepForLater(bytes: Uint8Array): void {
    if (this.receiver === undefined) return
    this.early.push(new Uint8Array(bytes))
    this.earlyBytes += bytes.length
    if (this.earlyBytes > EARLY_BYTES_MAX) this.connection?.pause()
  }

  private takeEarly(): void {
    const { connection, early } = this
    this.early = []
    if (this.earlyBytes > EARLY_BYTES_MAX) connection?.resume()
    this.earlyBytes = 0
    for (const bytes of early) this.applier?.receive(bytes)
  }

  private readLine(chunk: Uint8Array, at: number): number {
    const end = chunk.indexOf(LF, at)
    this.line += latin1(chunk, at, end < 0 ? chunk.length : end)
    if (this.line.length > LINE_BYTES_MAX) {
      this.engine.log("warning", "Failed to read response from the server: the line is too long")
      this.fail(false)
      return chunk.length
    }
    if (end < 0) return chunk.length
    const line = this.line.replace(/\r$/, "")
    this.line = ""
    this.expected.shift()?.(line)
    return end + 1
  }

  // ------------------------------------------------------------------ time

  /** Ten times a second. */
  tick(): void {
    if (this.applier !== undefined) this.synced.note(this.applier.offset)
  }

  everySecond(): void {
    const { engine } = this
    const isTimedOut = this.silentSeconds > engine.config.values.replTimeout
    if ((this.state === "connecting" || this.state === "handshake") && isTimedOut) {
      engine.log("warning", "Timeout connecting to the MASTER...")
      this.fail(true)
    } else if (this.state === "sync" && isTimedOut && this.receiver?.isLoading !== true) {
      engine.log(
        "warning",
        "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in " +
          "redis.conf to a larger value.",
      )
      this.fail(true)
    } else if (this.state === "connected" && isTimedOut && this.client !== undefined) {
      engine.log("warning", "MASTER timeout: no data nor PING received...")
      engine.clients.terminate(this.client)
    }
    if (this.state === "connect") this.connect("Connecting to MASTER")
    this.receiver?.everySecond()
    this.acknowledge()
  }

  /** Whether commands of clients may run on what we have. */
  get isStale(): boolean {
    return this.state !== "none" && this.state !== "connected"
  }
}

export { EngineCondition }
