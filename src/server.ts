/**
 * The composition root: makes the parts and wires every port. All state hangs off a Server; several can live in one process.
 */

import { Acl } from "./acl/acl.ts"
import { aclCommands } from "./acl/commands.ts"
import { aclGate } from "./acl/gate.ts"
import { clusterCommands } from "./cluster/commands.ts"
import { CommandRegistry } from "./command/registry.ts"
import type { ConfigFault } from "./config/conf-file.ts"
import type { Config } from "./config/config.ts"
import { acknowledgementCommands } from "./engine/acknowledgements.ts"
import { clientCommands } from "./engine/client-commands.ts"
import { ClientLimits } from "./engine/client-limits.ts"
import { commandCommands } from "./engine/command-commands.ts"
import { connectionCommands } from "./engine/connection-commands.ts"
import { authenticationGate, busyScriptGate, diskErrorGate, loadingGate, noMultiGate } from "./engine/dispatch.ts"
import { Engine, type LogLevel, type ShutdownOptions } from "./engine/engine.ts"
import { memoryGate } from "./engine/memory-limit.ts"
import { pauseGate, waitingClientCommands, waitingInfo } from "./engine/pause.ts"
import { pubsubCommands, subscribedGate } from "./engine/pubsub-commands.ts"
import { serverCommands } from "./engine/server-commands.ts"
import { Cron } from "./engine/tick.ts"
import { Tidy } from "./engine/tidy.ts"
import { trackingCommands } from "./engine/tracking-commands.ts"
import { queueGate, transactionCommands } from "./engine/transaction.ts"
import { families } from "./families.ts"
import { type Clock, systemClock } from "./keyspace/clock.ts"
import { Keyspace } from "./keyspace/keyspace.ts"
import { ValueType } from "./keyspace/kinds.ts"
import { connectToMaster } from "./net/connector.ts"
import { Listener } from "./net/listener.ts"
import { ListenError, Listening } from "./net/listening.ts"
import { PeerLines } from "./net/peers.ts"
import { observeCommands } from "./observe/commands.ts"
import { Observer } from "./observe/observer.ts"
import { persistCommands } from "./persist/commands.ts"
import { LoadError, Persistence } from "./persist/persistence.ts"
import { fileStorage, type Storage } from "./persist/storage.ts"

import { replicationCommands } from "./replication/commands.ts"
import { readOnlyReplicaGate, replicaClientGate, staleReplicaGate, tooFewReplicasGate } from "./replication/gates.ts"
import { replicationInfo, replicationStatistics, syncInfo } from "./replication/info.ts"
import { RdbLoad } from "./replication/load.ts"
import { Replication } from "./replication/replication.ts"
import { evalCommands } from "./script/eval-commands.ts"
import { functionCommands } from "./script/function-commands.ts"
import { standardLibraries } from "./script/lib/standard.ts"
import { Scripting } from "./script/scripting.ts"

export interface ServerOptions {
  config: Config
  clock?: Clock
  /** Seeds the hash key and all random choices; by default a random one. */
  seed?: number
  log?: (level: LogLevel, message: string) => void
  /** Where files are kept; by default the file system. */
  storage?: Storage
  /** A snapshot file that is there is not loaded; only without an append-only file. */
  startsEmpty?: boolean
  onLoadProgress?: (loaded: number, total: number) => void
  /** The configuration file, for CONFIG REWRITE and INFO. */
  configFile?: string
  /** A shutdown is complete: the process may end with this code. */
  onExit?: (code: number) => void
  /** The server has become a master, or a replica. */
  onRole?: (isMaster: boolean) => void
}

export { ListenError }

/** Room for the first keys is made when the start is over: who waits for it should have their answer first. */
const RESERVE_AFTER_MS = 20

export class Server {
  readonly config: Config
  readonly engine: Engine
  readonly observer: Observer
  readonly acl: Acl
  readonly scripting: Scripting
  /** What is wrong with the users of the configuration: the server cannot start. */
  readonly fault: ConfigFault | undefined
  readonly listener: Listener
  private readonly listening: Listening
  readonly persistence: Persistence
  readonly peers: PeerLines
  readonly replication: Replication
  readonly cron: Cron
  readonly limits: ClientLimits
  readonly configFile: string | undefined
  private closed = false
  private requestedShutdown: ShutdownOptions | undefined
  private readonly onExit: (code: number) => void

  constructor(options: ServerOptions) {
    const { config } = options
    this.config = config
    this.configFile = options.configFile
    this.onExit = options.onExit ?? (() => {})
    const seed = options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!
    const keyspace = new Keyspace({ databases: config.values.databases, seed })
    const specs = [
      ...families,
      connectionCommands(() => this.engine),
      clientCommands(
        () => this.engine,
        [...waitingClientCommands(() => this.engine), ...trackingCommands(() => this.engine)],
      ),
      transactionCommands(() => this.engine),
      acknowledgementCommands(() => this.engine),
      pubsubCommands(() => this.engine),
      commandCommands(() => this.engine),
      serverCommands(
        () => this.engine,
        () => this.observer.lastSave,
      ),
      observeCommands(() => this.observer),
      persistCommands(() => this.persistence),
      aclCommands(() => this.acl),
      evalCommands(() => this.scripting),
      functionCommands(() => this.scripting),
      replicationCommands(() => this.replication),
      clusterCommands,
    ]
    const renames = config.renamedCommands.map(({ from, to }) => [from, to] as const)
    const registry = new CommandRegistry(specs, renames)
    this.engine = new Engine({
      config,
      keyspace,
      registry,
      clock: options.clock ?? systemClock,
      gates: [
        authenticationGate,
        noMultiGate,
        aclGate(() => this.acl),
        memoryGate,
        loadingGate,
        diskErrorGate,
        replicaClientGate,
        tooFewReplicasGate,
        readOnlyReplicaGate,
        subscribedGate,
        staleReplicaGate,
        busyScriptGate,
        pauseGate,
        queueGate,
      ],
      log: options.log ?? (() => {}),
    })
    const { engine } = this
    this.peers = new PeerLines(engine)
    engine.peers = this.peers
    this.observer = new Observer(engine)
    this.acl = new Acl(engine)
    this.fault = this.acl.loadConfigured()
    this.observer.info.provide("stats", () => this.acl.log.statistics())
    this.scripting = new Scripting(engine, {
      acl: this.acl,
      showToMonitors: (client, command, args) => this.observer.monitors.show(client, command, args),
      libraries: standardLibraries,
      memoryBytesMax: () => config.values.luaMemoryLimit,
      // Not the concurrent way, which leaves the memory of WebAssembly; and with nothing of it on the stack any more.
      collectGarbage: () => setImmediate(() => Bun.gc(true)),
    })
    this.observer.info.provide("memory", () => this.scripting.info())
    for (const [name, bytes] of Object.entries(this.scripting.memory())) this.observer.memory.others.set(name, bytes)
    this.observer.info.provide("stats", () => [["evicted_scripts", this.scripting.cache.evicted]])
    this.observer.onResetStatistics.push(() => {
      this.scripting.cache.evicted = 0
    })
    this.observer.onResetStatistics.push(() => this.acl.log.counts.fill(0))
    this.observer.ports.userLines = () => this.acl.configLines()
    engine.onShutdown = options => {
      if (this.waitsForReplicas(options)) return undefined
      this.replication.farewell.report()
      if (!this.persistence.mayEnd(options)) return "ERR Errors trying to SHUTDOWN. Check logs."
      // Before anybody else has their turn: what came now would be lost.
      queueMicrotask(() => this.end())
      return undefined
    }
    engine.shutdownWaits = () => this.replication.farewell.isWaiting
    engine.onShutdownAbort = () => {
      const { isWaiting } = this.replication.farewell
      if (this.requestedShutdown === undefined && !isWaiting) return false
      this.requestedShutdown = undefined
      if (isWaiting) this.giveUpShutdown()
      engine.log("notice", "Shutdown manually aborted.")
      return true
    }
    this.followConfig()
    const endTick = (): void => engine.endTick()
    engine.requestTick = () => setImmediate(endTick)
    keyspace.events.onExpired = (db, key, start, end) => {
      const word = config.values.lazyfreeLazyExpire ? "UNLINK" : "DEL"
      engine.propagator.beside(db, 2).word(word).arg(key, start, end)
    }
    keyspace.events.onEvicted = (db, key, start, end) => {
      const word = config.values.lazyfreeLazyEviction ? "UNLINK" : "DEL"
      engine.propagator.beside(db, 2).word(word).arg(key, start, end)
    }
    keyspace.events.onFieldExpired = (db, key, start, end, field, fieldStart, fieldEnd) => {
      engine.propagator.beside(db, 3).word("HDEL").arg(key, start, end).arg(field, fieldStart, fieldEnd)
    }
    keyspace.events.onMemberExpired = (db, key, start, end, member, memberStart, memberEnd, type) => {
      const effect = engine.propagator.beside(db, 3).word(type === ValueType.Set ? "SREM" : "ZREM")
      effect.arg(key, start, end).arg(member, memberStart, memberEnd)
    }
    keyspace.events.onMalformed = reason => engine.log("warning", `Bad data format of a value to restore: ${reason}`)
    this.listener = new Listener(engine, {
      refusesStrangers: () => config.values.protectedMode && this.acl.isOpen,
      certify: (client, name) => this.acl.certify(client, name),
    })
    this.listening = new Listening(engine, this.listener)
    this.persistence = new Persistence({
      engine,
      storage: options.storage ?? fileStorage,
      startsEmpty: options.startsEmpty ?? false,
      onProgress: options.onLoadProgress,
      pause: () => new Promise(resolve => setImmediate(resolve)),
    })
    this.observer.info.provide("persistence", () => this.persistence.info())
    this.observer.info.provide("stats", () => this.persistence.statistics())
    this.observer.info.provide("clients", () => waitingInfo(engine))
    this.observer.info.provide("stats", () => [
      ["pubsub_channels", engine.pubsub.channels.size],
      ["pubsub_patterns", engine.pubsub.patternCount],
      ["pubsubshard_channels", engine.pubsub.shards.size],
      ["tracking_total_keys", engine.tracking.keyCount],
      ["tracking_total_items", engine.tracking.itemCount],
      ["tracking_total_prefixes", engine.tracking.prefixCount],
    ])
    this.replication = this.makeReplication(options)
    this.cron = new Cron(engine)
    this.limits = new ClientLimits(engine, this.cron)
    this.observer.info.provide("stats", () => [["evicted_clients", this.limits.evicted]])
    this.observer.onResetStatistics.push(() => {
      this.limits.evicted = 0
    })
    this.cron.onTick.push(() => this.observer.sample())
    this.cron.onSecond.push(() => this.scripting.host.tidy())
    this.cron.onTick.push(() => engine.memoryLimit.tick())
    this.cron.onTick.push(() => this.engine.blocking.expireDue())
    this.cron.onTick.push(() => this.engine.blocking.lookAgain())
    this.cron.onTick.push(() => this.engine.pause.expireDue())
    this.cron.onTick.push(() => this.replication.tick())
    this.cron.onSecond.push(() => this.replication.everySecond())
    this.cron.onTick.push(() => this.engine.tracking.shrink())
    this.observer.ports.loadAof = () => {
      try {
        this.persistence.reload()
        return undefined
      } catch (error) {
        return `ERR ${error instanceof Error ? error.message : String(error)}`
      }
    }
    Object.assign(this.observer.ports, {
      port: () => this.port || this.tlsPort,
      listeners: () => this.listening.describe(),
      configFile: options.configFile,
      cron: this.cron,
    })
    this.observer.ports.reload = options => this.persistence.reloadSaved(options)
    this.observer.ports.lastSave = () => this.persistence.saves.lastSave
    this.cron.onTick.push(() => this.persistence.tick())
    this.cron.onTick.push(() => this.dueShutdown())
    this.observer.info.provide("stats", () => [["migrate_cached_sockets", this.peers.keptCount]])
    this.cron.onSecond.push(() => this.peers.tidy())
    this.cron.onSecond.push(() => this.persistence.aof.everySecond())
    const tidy = new Tidy(engine, () => Bun.gc(false))
    this.cron.onSecond.push(() => tidy.check())
  }

  /** The TCP port in use, 0 when there is none. */
  get port(): number {
    return this.listening.port
  }

  /** The TCP port in use for TLS, 0 when there is none. */
  get tlsPort(): number {
    return this.listening.tlsPort
  }

  /** Listens, loads what is on disk, and serves. Throws ListenError or LoadError. */
  async start(onListening: () => void = () => {}): Promise<void> {
    if (this.fault !== undefined) throw new LoadError(this.fault.reason)
    this.listening.open()
    onListening()
    this.cron.start()
    // Replicas that go on from what is loaded still have these keys.
    this.persistence.onExpiredAtLoad = (db, key, length) => this.replication.noteExpired(db, key, length)
    try {
      await this.persistence.start()
    } catch (error) {
      this.stop()
      throw error
    }
    this.persistence.onExpiredAtLoad = undefined
    this.replication.adopt(this.persistence.loadedPoint)
    this.replication.start()
    setTimeout(() => this.engine.keyspace.heap.reserve(), RESERVE_AFTER_MS).unref()
  }

  private makeReplication({ onRole }: ServerOptions): Replication {
    const { config, engine, observer } = this
    const { aof } = this.persistence
    const replication = new Replication(engine, {
      connect: (host, port, handlers) => connectToMaster(engine, host, port, handlers),
      beginLoad: (databases, onFunction) => new RdbLoad(engine, databases, onFunction),
      loadFunction: source => engine.snapshots.libraries.load(source, true),
      beforeReplace: () => this.persistence.beforeReplace(),
      afterReplace: () => this.persistence.afterReplace(),
      clearFunctions: () => engine.snapshots.libraries.clear(),
      listeningPort: () => {
        const { replicaAnnouncePort, tlsReplication } = config.values
        if (replicaAnnouncePort > 0) return replicaAnnouncePort
        return tlsReplication && this.tlsPort > 0 ? this.tlsPort : this.port
      },
      local: () => (aof.isOpen ? aof : undefined),
      persistsNothing: () => !config.values.appendonly && config.values.save.length === 0,
      newId: () => Buffer.from(crypto.getRandomValues(new Uint8Array(20))).toString("hex"),
      panic: message => {
        engine.log("warning", message)
        this.stop()
        this.onExit(1)
      },
      onRole: isMaster => {
        onRole?.(isMaster)
        if (isMaster) this.persistence.afterReplace()
      },
    })
    // The stream beyond the backlog's size is held for replicas that have not got it yet.
    const held = () => replication.history.stream.heldBytes
    const beyond = () => {
      if (replication.replicas.all.size === 0) return 0
      return Math.max(0, held() - config.values.replBacklogSize)
    }
    observer.memory.others.set("backlog", () => held() - beyond())
    observer.memory.others.set("replica buffers", beyond)
    observer.info.provide("replication", () => replicationInfo(replication))
    observer.info.provide("server", () =>
      replication.farewell.isWaiting ? [["shutdown_in_milliseconds", replication.farewell.remainingMs]] : [],
    )
    observer.info.provide("stats", () => replicationStatistics(replication))
    observer.info.provide("persistence", () => syncInfo(replication))
    observer.onResetStatistics.push(() => replication.resetStatistics())
    observer.ports.changeReplicationId = () => replication.changeId()
    return replication
  }

  /** Directives that the keyspace reads on its hot path are kept there as plain fields. */
  private followConfig(): void {
    const { config } = this
    const { keyspace } = this.engine
    const apply = (): undefined => {
      const { values } = config
      keyspace.events.notifyFlags = values.notifyKeyspaceEvents
      keyspace.lfuLogFactor = values.lfuLogFactor
      keyspace.lfuDecayMinutes = values.lfuDecayTime
      keyspace.setAccessMeaning(values.maxmemoryPolicy.endsWith("lfu"), values.maxmemoryPolicy.endsWith("lrm"))
    }
    apply()
    config.onChangeOfAny(["notify-keyspace-events", "maxmemory-policy", "lfu-log-factor", "lfu-decay-time"], apply)
  }

  /** Stops as a signal asks for, at the next tick: until then SHUTDOWN ABORT can take it back. */
  requestShutdown(options: ShutdownOptions): void {
    this.requestedShutdown = options
  }

  private dueShutdown(): void {
    const options = this.requestedShutdown
    this.requestedShutdown = undefined
    if (options !== undefined) this.shutdown(options)
  }

  /** Stops at once: saves what the configuration says, then ends the process if all is well. */
  shutdown(options: ShutdownOptions = { save: false, nosave: false, now: false, force: false }): void {
    if (this.closed || this.waitsForReplicas(options)) return
    this.replication.farewell.report()
    if (this.persistence.mayEnd(options)) this.end()
  }

  /** True when the end is put off until replicas have caught up; then it comes by itself. */
  private waitsForReplicas(options: ShutdownOptions): boolean {
    const { farewell } = this.replication
    if (farewell.isWaiting) return !options.now
    return !options.now && farewell.begin(() => this.endAfterWait(options))
  }

  private endAfterWait(options: ShutdownOptions): void {
    this.replication.farewell.report()
    if (this.persistence.mayEnd(options)) {
      this.end()
      return
    }
    this.engine.log("warning", "Errors trying to shut down the server. Check the logs for more information.")
    this.giveUpShutdown()
  }

  /** The server goes on: those that wait for its end are told. */
  private giveUpShutdown(): void {
    const { blocking, clients } = this.engine
    this.replication.farewell.cancel()
    for (const client of clients.byId.values()) {
      if (client.blocked && client.lastCommand?.fullName === "shutdown") blocking.unblock(client)
    }
  }

  /** Everything is saved: ends the process. */
  private end(): void {
    this.engine.log("notice", "User requested shutdown...")
    this.stop()
    this.onExit(0)
  }

  /** Stops serving; the append-only file is complete and synced afterwards. */
  stop(): void {
    if (this.closed) return
    this.closed = true
    // Who sees its connection end and comes back must not find half a server.
    this.listener.stopAccepting()
    this.engine.memoryLimit.stop()
    this.replication.stop()
    this.engine.endTick()
    this.cron.stop()
    this.persistence.stop()
    this.listener.close()
    this.peers.close()
  }
}
