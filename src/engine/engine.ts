/**
 * The state that commands run in, and the rhythm of a tick: requests are run as they arrive, and at the end of the tick
 * first the append-only file and the replicas get what changed, then the clients get their replies.
 *
 * Subsystems add themselves through the hooks and sinks below; the composition root (server.ts) does the wiring.
 */

import type { Peers } from "../command/context.ts"
import type { CommandRegistry, RegisteredCommand } from "../command/registry.ts"
import type { Config } from "../config/config.ts"
import type { Clock } from "../keyspace/clock.ts"
import type { KeyspaceEvents } from "../keyspace/events.ts"
import type { Keyspace } from "../keyspace/keyspace.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { Acknowledgements } from "./acknowledgements.ts"
import { type Authenticator, RequirepassAuthenticator } from "./authenticator.ts"
import { BlockedClients } from "./blocking.ts"
import { Caller } from "./call.ts"
import { type Client, ClientCondition } from "./client.ts"
import type { ClientDetails } from "./client-description.ts"
import { ClientTable } from "./clients.ts"
import { Dispatcher, EngineCondition, type Gate } from "./dispatch.ts"
import { KeyListeners } from "./key-listeners.ts"
import { MemoryLimit } from "./memory-limit.ts"
import { Output } from "./output.ts"
import { Pause } from "./pause.ts"
import { Propagator } from "./propagate.ts"
import { PubSub } from "./pubsub.ts"
import { publishNotifications } from "./pubsub-commands.ts"
import { Resumption } from "./resumption.ts"
import { Snapshots } from "./snapshots.ts"
import { Tracking } from "./tracking.ts"
import { Transactions } from "./transaction.ts"

/** Takes what is propagated: the append-only file, the replication backlog. */
export interface Sink {
  /** Bytes of whole commands, borrowed for the call. */
  write(bytes: Uint8Array, start: number, end: number): void
  /** The tick is over: whatever must happen before replies leave. */
  flush(): void
  /** Whether it gets messages, too, which change no data. */
  readonly takesMessages?: boolean
}

export interface EngineOptions {
  config: Config
  keyspace: Keyspace
  registry: CommandRegistry
  clock: Clock
  gates: readonly Gate[]
  log: (level: LogLevel, message: string) => void
}

/** What SHUTDOWN was asked for; neither `save` nor `nosave` means: as the save points say. */
export interface ShutdownOptions {
  save: boolean
  nosave: boolean
  /** Do not wait for replicas. */
  now: boolean
  /** End even if saving fails. */
  force: boolean
}

const ERROR_CODES_MAX = 128
const ERROR_CODES_DISABLED = "ERRORSTATS_DISABLED"

export type LogLevel = "debug" | "verbose" | "notice" | "warning"

export class Engine {
  readonly config: Config
  readonly keyspace: Keyspace
  readonly registry: CommandRegistry
  readonly clock: Clock
  readonly log: (level: LogLevel, message: string) => void
  readonly output = new Output()
  readonly propagator = new Propagator()
  readonly clients: ClientTable
  readonly caller: Caller
  readonly dispatcher: Dispatcher
  readonly sinks: Sink[] = []
  readonly blocking: BlockedClients
  readonly pause: Pause
  readonly acknowledgements: Acknowledgements
  /** Who is told of changed keys. */
  readonly keyListeners: KeyListeners
  readonly transactions: Transactions
  /** Clients that may go on at the end of the tick. */
  readonly resumption: Resumption
  readonly pubsub: PubSub
  readonly tracking: Tracking
  readonly memoryLimit: MemoryLimit
  readonly snapshots: Snapshots
  /** Checks AUTH and HELLO AUTH. */
  authenticator: Authenticator

  /** Other servers; set before the first command. */
  peers!: Peers

  /** See EngineCondition. */
  conditions = 0
  /** What diskErrorGate answers. */
  diskError = ""
  readonly startedAt: number

  /** What DEBUG turns on for tests. */
  readonly debugSwitches = { runsDeniedInScripts: false, skipsChecksums: false }

  commandsProcessed = 0
  /** Bytes received, in how many chunks; ticks that ended. */
  bytesIn = 0
  reads = 0
  ticks = 0
  errorReplies = 0
  /** Error replies by their first word. */
  readonly errorCounts = new Map<string, number>()

  /** Around commands of clients or times with a condition set. */
  beforeCommand: (client: Client, command: RegisteredCommand, args: Arguments) => void = nothing
  afterCommand: (client: Client, command: RegisteredCommand, args: Arguments) => void = nothing
  /** A command was turned away before it ran. */
  onRejected: (client: Client, command: RegisteredCommand | undefined, error: string) => void = nothing
  /** A command of a transaction, or EXEC, was turned away; returns the error to reply. */
  onRefusedInTransaction: (client: Client, command: RegisteredCommand | undefined, error: string) => string = (
    _client,
    _command,
    error,
  ) => error
  /** Why a restricted user may not run a command that was queued before; undefined when all is well. */
  permission: (client: Client, command: RegisteredCommand, args: Arguments) => string | undefined = () => undefined
  /** Flags of a command that runs a script, as the script declares them; undefined when it declares none. */
  scriptFlags: (command: RegisteredCommand, args: Arguments) => number | undefined = () => undefined
  /** What others are told while a script keeps the server busy. */
  busyError = ""
  /** A command was timed (not all fast ones are); `retrying` when it is a blocked client's, run again. */
  onTimed: (client: Client, command: RegisteredCommand, args: Arguments, usec: number, retrying: boolean) => void =
    nothing
  /** After each top-level command that changed something: keys may have become ready for blocked clients. */
  afterChange: () => void = nothing
  /** What is left to do before the replies of a tick leave. */
  readonly onTickEnd: (() => void)[] = []
  /** What subsystems add to CLIENT LIST. */
  readonly describers: ((client: Client, details: ClientDetails) => void)[] = []
  /** RESET: each subsystem takes back what it knows of the client. */
  readonly onReset: ((client: Client) => void)[] = []
  /** SHUTDOWN: begins to end the server; a text is the error to reply instead. */
  onShutdown: (options: ShutdownOptions) => string | undefined = () => "ERR Errors trying to SHUTDOWN. Check logs."
  /** Whether the end has begun and waits for replicas. */
  shutdownWaits: () => boolean = () => false
  /** SHUTDOWN ABORT: false when no shutdown is under way. */
  onShutdownAbort: () => boolean = () => false
  /** A client has connected. */
  onConnected: (client: Client) => void = nothing
  /** Asks the host for `endTick` soon (once per tick). */
  requestTick: () => void = nothing

  private readonly events: KeyspaceEvents
  private tickRequested = false
  private lastDirty = 0

  constructor(options: EngineOptions) {
    this.config = options.config
    this.keyspace = options.keyspace
    this.events = options.keyspace.events
    this.registry = options.registry
    this.clock = options.clock
    this.log = options.log
    this.authenticator = new RequirepassAuthenticator(options.config)
    this.clients = new ClientTable(this)
    this.caller = new Caller(this)
    this.dispatcher = new Dispatcher(this, options.gates)
    this.keyListeners = new KeyListeners(this.keyspace.events)
    this.transactions = new Transactions(this)
    this.resumption = new Resumption(this)
    this.blocking = new BlockedClients(this)
    this.pause = new Pause(this)
    this.acknowledgements = new Acknowledgements(this)
    this.pubsub = new PubSub(this)
    publishNotifications(this)
    this.tracking = new Tracking(this)
    this.memoryLimit = new MemoryLimit(this)
    this.snapshots = new Snapshots(this)
    this.startedAt = this.clock.wall()
    this.refreshTime()
  }

  /** Moves the time that commands see on; called when a batch of requests begins. */
  refreshTime(): void {
    this.keyspace.setTime(this.clock.wall())
    this.keyspace.tickAccessClock()
  }

  /** Runs one request of a client; `command` if it is known already what the request asks for. */
  execute(client: Client, args: Arguments, command?: RegisteredCommand): void {
    this.commandsProcessed++
    this.run(client, args, command)
  }

  /** As `execute`, for a request that has been counted before. */
  run(client: Client, args: Arguments, command?: RegisteredCommand): void {
    this.dispatcher.execute(client, args, command)
    this.settle()
  }

  /** After each top-level command: what it changed may concern others, and messages to its client were held back. */
  settle(): void {
    const { dirty } = this.events
    if (dirty !== this.lastDirty) {
      this.lastDirty = dirty
      this.afterChange()
    }
    this.output.flushLate()
  }

  /** Makes sure that the tick will be ended. */
  wakeTick(): void {
    if (this.tickRequested) return
    this.tickRequested = true
    this.requestTick()
  }

  /** Ends the tick now if there is anything in it: before work that clients should not wait for. */
  endTickIfDue(): void {
    if (this.tickRequested) this.endTick()
  }

  /** Persists, propagates, replies. */
  endTick(): void {
    this.tickRequested = false
    this.ticks++
    for (const finish of this.onTickEnd) finish()
    this.flushPropagation()
    this.output.flush()
    this.clients.closeFinished()
  }

  /** From here on `sink` takes what is propagated. */
  addSink(sink: Sink): void {
    if (this.sinks.includes(sink)) return
    this.flushPropagation()
    this.sinks.push(sink)
    this.propagator.enabled = true
    this.propagator.forgetSelected()
  }

  /** `sink` has what was propagated so far, and takes no more. */
  removeSink(sink: Sink): void {
    const at = this.sinks.indexOf(sink)
    if (at < 0) return
    this.flushPropagation()
    this.sinks.splice(at, 1)
    if (this.sinks.length === 0) this.propagator.enabled = false
  }

  flushPropagation(): void {
    const { fileOnly, messages, writer } = this.propagator
    for (const sink of this.sinks) {
      const others = sink.takesMessages ? fileOnly : messages
      if (others.length > 0) this.writeBetween(sink, others)
      else if (writer.at > 0) sink.write(writer.bytes, 0, writer.at)
      sink.flush()
    }
    if (writer.at > 0) this.propagator.reset()
  }

  /** Hands over what is between the stretches that are for others. */
  private writeBetween(sink: Sink, others: readonly number[]): void {
    const { writer } = this.propagator
    let from = 0
    for (let i = 0; i < others.length; i += 2) {
      if (others[i]! > from) sink.write(writer.bytes, from, others[i]!)
      from = others[i + 1]!
    }
    if (writer.at > from) sink.write(writer.bytes, from, writer.at)
  }

  setCondition(bit: number, on: boolean): void {
    this.conditions = on ? this.conditions | bit : this.conditions & ~bit
  }

  /** Counts the error reply that begins at `at` in the writer. */
  countError(at: number, { bytes } = this.output.writer): void {
    this.errorReplies++
    let end = at + 1
    while (bytes[end] !== 32 && bytes[end] !== 13) end++
    let code = ""
    for (let i = at + 1; i < end; i++) code += String.fromCharCode(bytes[i]!)
    this.countErrorCode(code)
  }

  /** Counts an error by its text, "ERR …". */
  countErrorText(text: string): void {
    this.errorReplies++
    const space = text.indexOf(" ")
    this.countErrorCode(space < 0 ? text : text.slice(0, space))
  }

  /** Scripts make up codes of their own; past a bound nothing is told apart any more until CONFIG RESETSTAT. */
  private countErrorCode(code: string): void {
    const counts = this.errorCounts
    const known = counts.get(code)
    if (known === undefined && counts.has(ERROR_CODES_DISABLED)) return
    if (known === undefined && counts.size >= ERROR_CODES_MAX) {
      const codes = [...counts.keys()].join(", ").slice(0, 1024)
      this.log(
        "warning",
        `Errorstats stopped adding new errors because the number of errors reached the limit (${counts.size}).`,
      )
      this.log("warning", `Current errors code list (1024 chars max): ${codes}`)
      this.keyspace.events.lazyfreed += counts.size
      counts.clear()
      counts.set(ERROR_CODES_DISABLED, 1)
    } else counts.set(code, (known ?? 0) + 1)
  }

  /** A handler threw: either memory ran out, or an invariant broke. The client gets an error, the log the story. */
  onHandlerError(error: unknown, command: RegisteredCommand, reply: ReplyWriter): void {
    if (error instanceof RangeError || (error instanceof Error && error.constructor.name === "HeapFullError")) {
      reply.error("OOM command not allowed when used memory > 'maxmemory'.")
      return
    }
    this.log(
      "warning",
      `error in command '${command.fullName}': ${error instanceof Error ? error.stack : String(error)}`,
    )
    reply.error("ERR internal error")
  }
}

export { ClientCondition, EngineCondition }

function nothing(): void {}
