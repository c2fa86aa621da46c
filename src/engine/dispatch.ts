/**
 * From a parsed request to its command: lookup, arity, gates, then call.ts.
 *
 * The gates are rules in Redis's order, each (engine, client, command, args) → error text or nothing; they look at flags,
 * not at names. In calm weather (no bit of engine.conditions or client.conditions set) none of them can apply, and
 * they are skipped together.
 */

import { shown } from "../bytes/compare.ts"
import { SHOWN_MAX, unknownSubcommand, wrongArity } from "../command/errors.ts"
import { Flag, type RegisteredCommand } from "../command/registry.ts"
import type { Arguments } from "../resp/arguments.ts"
import { type Client, ClientCondition } from "./client.ts"
import type { Engine } from "./engine.ts"

export type Gate = (engine: Engine, client: Client, command: RegisteredCommand, args: Arguments) => string | undefined

/** Conditions of the whole server under which commands must pass the gates. */
export const EngineCondition = {
  Loading: 1,
  /** The append-only file (or the last snapshot) could not be written. */
  DiskError: 2,
  MemoryLimit: 4,
  ReadOnlyReplica: 8,
  TooFewReplicas: 16,
  StaleReplica: 32,
  BusyScript: 64,
  Paused: 128,
  Monitored: 256,
  /** A replica loads new data beside the old, which it serves meanwhile. */
  AsyncLoading: 512,
} as const

export class Dispatcher {
  private readonly engine: Engine
  private readonly gates: readonly Gate[]

  constructor(engine: Engine, gates: readonly Gate[]) {
    this.engine = engine
    this.gates = gates
  }

  /** Runs (or queues, or refuses) the request in `args` for `client`; the reply goes to the engine's writer. */
  execute(client: Client, args: Arguments, known: RegisteredCommand | undefined): void {
    const { engine } = this
    const bytes = args.bytes
    let command = known ?? engine.registry.lookup(bytes, args.starts[0]!, args.ends[0]!)
    if (command === undefined) {
      client.lastCommand = undefined
      if (isHttp(args)) this.dropHttp(client)
      else this.reject(client, undefined, unknownCommand(args))
      return
    }
    if (command.isContainer && args.count > 1) {
      const subcommand = command.lookupSubcommand(bytes, args.starts[1]!, args.ends[1]!)
      if (subcommand === undefined) {
        client.lastCommand = undefined
        this.reject(client, command, unknownSubcommand(args.latin1(1), command.fullName))
        return
      }
      command = subcommand
    }
    client.lastCommand = command
    const arity = command.arity
    if (arity >= 0 ? args.count !== arity : args.count < -arity) {
      this.reject(client, command, wrongArity(command.fullName))
      return
    }
    if ((engine.conditions | client.conditions) === 0) {
      engine.caller.run(client, command, args)
      return
    }
    this.executeGated(client, command, args)
  }

  /** Runs the command of a blocked client again. It must pass the gates again, too. */
  retry(client: Client, command: RegisteredCommand, args: Arguments): void {
    if ((this.engine.conditions | client.conditions) === 0) this.engine.caller.run(client, command, args, true)
    else this.executeGated(client, command, args, true)
  }

  /** In unusual weather; the replies of a client that wants none are written for nobody. */
  private executeGated(client: Client, command: RegisteredCommand, args: Arguments, retrying = false): void {
    if ((client.conditions & ClientCondition.Silent) === 0) {
      this.passGates(client, command, args, retrying)
      return
    }
    const { output } = this.engine
    const before = output.open(undefined)
    this.passGates(client, command, args, retrying)
    output.open(before)
    // A command that waits is over when it has been retried.
    if (!client.blocked) client.nextReplyMode()
  }

  private passGates(client: Client, command: RegisteredCommand, args: Arguments, retrying: boolean): void {
    const { engine } = this
    client.declaredFlags =
      (command.flagBits & Flag.NoMandatoryKeys) === 0 ? -1 : (engine.scriptFlags(command, args) ?? -1)
    for (const gate of this.gates) {
      const error = gate(engine, client, command, args)
      if (error === undefined) continue
      if (error !== HANDLED) this.refuse(client, command, error)
      return
    }
    engine.beforeCommand(client, command, args)
    engine.caller.run(client, command, args, retrying)
    engine.afterCommand(client, command, args)
  }

  /** A web page has been made to talk to us: nothing it sends must be run, not even what comes behind the header. */
  private dropHttp(client: Client): void {
    const { engine } = this
    engine.log(
      "warning",
      "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to the server. This is " +
        "likely due to an attacker attempting to use cross protocol scripting to compromise it. Connection " +
        `from ${client.transport?.remoteAddress ?? "inside"} aborted.`,
    )
    engine.clients.finish(client)
  }

  /** Answers a request that did not even get to the gates. */
  private reject(client: Client, command: RegisteredCommand | undefined, error: string): void {
    const { writer } = this.engine.output
    const at = writer.at
    this.refuse(client, command, error)
    if ((client.conditions & ClientCondition.Silent) === 0) return
    writer.at = at
    client.nextReplyMode()
  }

  private refuse(client: Client, command: RegisteredCommand | undefined, error: string): void {
    const { engine } = this
    const at = engine.output.writer.at
    if (command !== undefined) command.rejectedCalls++
    engine.onRejected(client, command, error)
    // EXEC is about a transaction even where there is none.
    const isAboutTransaction = (client.conditions & ClientCondition.InTransaction) !== 0 || command?.fullName === "exec"
    engine.output.writer.error(isAboutTransaction ? engine.onRefusedInTransaction(client, command, error) : error)
    engine.countError(at)
  }
}

/** A gate's answer when it has dealt with the request itself: queued it, or postponed it. */
export const HANDLED = ""

/**
 * The flags of a command as gates should see them. EXEC stands for all it has queued: it writes if any of them does, and may
 * run while loading only if all of them may.
 */
export function effectiveFlags(client: Client, command: RegisteredCommand): number {
  if (client.declaredFlags >= 0) return client.declaredFlags
  const { transaction } = client
  if (transaction === undefined || command.fullName !== "exec") return command.flagBits
  const of = command.flagBits
  return (of & transaction.allFlags & UNANIMOUS_FLAGS) | ((of | transaction.anyFlags) & ~UNANIMOUS_FLAGS)
}

const UNANIMOUS_FLAGS = Flag.Loading | Flag.Stale

/** Gates of the core, in their order; the composition root puts those of the subsystems between them. */
export function authenticationGate(_engine: Engine, client: Client, command: RegisteredCommand): string | undefined {
  if ((client.conditions & ClientCondition.NeedsAuth) === 0 || (command.flagBits & Flag.NoAuth) !== 0) return undefined
  return "NOAUTH Authentication required."
}

/** Commands that cannot be part of a transaction. */
export function noMultiGate(_engine: Engine, client: Client, command: RegisteredCommand): string | undefined {
  if ((client.conditions & ClientCondition.InTransaction) === 0 || (command.flagBits & Flag.NoMulti) === 0) {
    return undefined
  }
  return "ERR Command not allowed inside a transaction"
}

export function diskErrorGate(engine: Engine, client: Client, command: RegisteredCommand): string | undefined {
  // What a master has done is done: whoever runs its commands knows what a disk that fails means then.
  if ((engine.conditions & EngineCondition.DiskError) === 0 || client.isObeyed) return undefined
  const flags = effectiveFlags(client, command)
  if ((flags & Flag.Write) === 0 && command.fullName !== "ping") return undefined
  return engine.diskError
}

export function loadingGate(engine: Engine, client: Client, command: RegisteredCommand): string | undefined {
  if ((engine.conditions & (EngineCondition.Loading | EngineCondition.AsyncLoading)) === 0) return undefined
  const flags = effectiveFlags(client, command)
  const isAsync = (engine.conditions & EngineCondition.Loading) === 0
  if (isAsync ? (flags & Flag.NoAsyncLoading) === 0 : (flags & Flag.Loading) !== 0) return undefined
  return "LOADING Redis is loading the dataset in memory"
}

/** While a script takes its time, little else is possible. */
export function busyScriptGate(engine: Engine, _client: Client, command: RegisteredCommand): string | undefined {
  if ((engine.conditions & EngineCondition.BusyScript) === 0 || (command.flagBits & Flag.AllowBusy) !== 0) {
    return undefined
  }
  return engine.busyError
}

function isHttp(args: Arguments): boolean {
  return args.is(0, "post") || args.is(0, "host:")
}

function unknownCommand(args: Arguments): string {
  let given = ""
  for (let i = 1; i < args.count && given.length < SHOWN_MAX; i++) {
    given += `'${shown(args.latin1(i), SHOWN_MAX - given.length)}' `
  }
  return `ERR unknown command '${shown(args.latin1(0), SHOWN_MAX)}', with args beginning with: ${given}`
}
