/**
 * Transactions: commands queued between MULTI and EXEC, run together if no watched key has changed.
 *
 *   none ──MULTI──▶ open ──EXEC──▶ run, or null (a watched key changed), or EXECABORT (a command was refused) ──▶ none
 *                    └──DISCARD, RESET, disconnect──▶ none
 *
 * A command passes all gates when it is queued; those gates that can turn a whole transaction away look at
 * `effectiveFlags`, in which EXEC stands for everything in its queue.
 */

import type { Call } from "../command/context.ts"
import type { RegisteredCommand } from "../command/registry.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Arguments } from "../resp/arguments.ts"
import { type Client, ClientCondition } from "./client.ts"
import { effectiveFlags, HANDLED } from "./dispatch.ts"
import type { Engine } from "./engine.ts"
import { engineHandlers } from "./handler.ts"
import { type WatchedKey, WatchedKeys, type Watcher } from "./watch.ts"

/** What a queued command costs beside its bytes: its table of arguments. */
const QUEUED_COMMAND_BYTES = 400
const EXECABORT = "EXECABORT Transaction discarded because of previous errors."

interface QueuedCommand {
  command: RegisteredCommand
  /** Owned. */
  args: Arguments
}

/** A client's transaction, or what it watches before one. */
export class Transaction implements Watcher {
  readonly queue: QueuedCommand[] = []
  queuedBytes = 0
  /** Flags that any of the queued commands has, and those that all of them have. */
  anyFlags = 0
  allFlags = -1
  /** A command was refused. */
  failed = false
  changed = false
  readonly watched = new Set<WatchedKey>()
}

/** An EXEC under way. */
interface Execution {
  readonly queue: readonly QueuedCommand[]
  next: number
  /** What the client was before. */
  readonly denyBlocking: boolean
}

export class Transactions {
  readonly watches: WatchedKeys
  /** The EXEC that waits for a script of its own. */
  held: Execution | undefined
  private readonly engine: Engine

  constructor(engine: Engine) {
    this.engine = engine
    this.watches = new WatchedKeys(engine)
    engine.onRefusedInTransaction = (client, command, error) => this.refused(client, command, error)
    engine.clients.onGone.push(client => this.discard(client))
    engine.onReset.push(client => this.discard(client))
    engine.describers.push((client, details) => {
      const { transaction } = client
      if (transaction === undefined) return
      details.watchedKeys = transaction.watched.size
      if (transaction.changed) details.flags += "d"
      if ((client.conditions & ClientCondition.InTransaction) === 0) return
      details.queued = transaction.queue.length
      details.queuedBytes = transaction.queuedBytes
    })
  }

  begin(client: Client): void {
    client.transaction ??= new Transaction()
    client.setCondition(ClientCondition.InTransaction, true)
  }

  /** Back to no transaction and no watched keys. */
  discard(client: Client): void {
    const { transaction } = client
    if (transaction === undefined) return
    this.watches.forget(transaction)
    client.transaction = undefined
    client.setCondition(ClientCondition.InTransaction, false)
  }

  enqueue(client: Client, command: RegisteredCommand, args: Arguments): void {
    const { engine } = this
    const transaction = client.transaction!
    engine.output.writer.simple("QUEUED")
    // It will not run any more: nothing to keep.
    if (transaction.failed || transaction.changed) return
    const owned = args.clone()
    transaction.queue.push({ command, args: owned })
    transaction.queuedBytes += owned.bytes.length + QUEUED_COMMAND_BYTES
    const flags = effectiveFlags(client, command)
    transaction.anyFlags |= flags
    transaction.allFlags &= flags
    if (transaction.queuedBytes <= engine.config.values.clientQueryBufferLimit) return
    engine.log("warning", `Closing client that reached max query buffer length in a transaction: id=${client.id}`)
    engine.clients.terminate(client)
  }

  /** Runs the queue; the reply is an array of its replies. */
  exec(call: Call, client: Client): void {
    const { reply } = call
    const transaction = client.transaction
    if (transaction === undefined || (client.conditions & ClientCondition.InTransaction) === 0) {
      reply.error("ERR EXEC without MULTI")
      return
    }
    if (this.watches.hasExpired(transaction)) transaction.changed = true
    if (transaction.failed || transaction.changed) {
      if (transaction.failed) reply.error(EXECABORT)
      else reply.nullArray()
      this.discard(client)
      return
    }
    this.watches.forget(transaction)
    call.propagation.suppress()
    const { denyBlocking } = client
    client.denyBlocking = true
    reply.array(transaction.queue.length)
    this.proceed(client, { queue: transaction.queue, next: 0, denyBlocking })
  }

  /** Runs what is left of an EXEC; false when a script was put aside on the way, and this must be called again after it. */
  proceed(client: Client, execution: Execution): boolean {
    const { caller } = this.engine
    const { queue } = execution
    while (execution.next < queue.length) {
      const { command, args } = queue[execution.next++]!
      this.run(client, command, args)
      if (!caller.putAside) continue
      caller.putAside = false
      this.held = execution
      return false
    }
    client.denyBlocking = execution.denyBlocking
    this.discard(client)
    return true
  }

  private run(client: Client, command: RegisteredCommand, args: Arguments): void {
    const { engine } = this
    const forbidden =
      (client.conditions & ClientCondition.Restricted) === 0 ? undefined : engine.permission(client, command, args)
    if (forbidden !== undefined) {
      const at = engine.output.writer.at
      engine.output.writer.error(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. " +
          `This command is no longer allowed for the following reason: ${forbidden}`,
      )
      engine.countError(at)
      return
    }
    if ((engine.conditions | (client.conditions & ~ClientCondition.InTransaction)) === 0) {
      engine.caller.run(client, command, args)
      return
    }
    engine.beforeCommand(client, command, args)
    engine.caller.run(client, command, args)
    engine.afterCommand(client, command, args)
  }

  /** A command was refused in a transaction, which is lost, or EXEC was. Returns the error to reply. */
  private refused(client: Client, command: RegisteredCommand | undefined, error: string): string {
    if (command?.fullName !== "exec") {
      client.transaction!.failed = true
      return error
    }
    this.discard(client)
    return `EXECABORT Transaction discarded because of: ${error.replace(/^ERR /, "")}`
  }
}

const RUN_AT_ONCE = new Set(["exec", "discard", "multi", "watch", "quit", "reset"])

/** The last gate: in a transaction, commands are queued. */
export function queueGate(
  engine: Engine,
  client: Client,
  command: RegisteredCommand,
  args: Arguments,
): string | undefined {
  if ((client.conditions & ClientCondition.InTransaction) === 0 || RUN_AT_ONCE.has(command.fullName)) return undefined
  engine.transactions.enqueue(client, command, args)
  return HANDLED
}

export function transactionCommands(of: () => Engine): readonly CommandSpec[] {
  const on = engineHandlers(of)
  return [
    {
      name: "discard",
      since: "2.0.0",
      group: "transactions",
      arity: 1,
      flags: "noscript loading stale fast allow_busy",
      syntax: "",
      summary: "Drops the queued commands and leaves the transaction.",
      complexity: "O(N), N queued commands",
      run: on(discard),
    },
    {
      name: "exec",
      since: "1.2.0",
      group: "transactions",
      arity: 1,
      flags: "noscript loading stale skip_slowlog",
      syntax: "",
      summary: "Runs the queued commands of the transaction.",
      complexity: "depends on the queued commands",
      run: on((call, engine, client) => engine.transactions.exec(call, client)),
    },
    {
      name: "multi",
      since: "1.2.0",
      group: "transactions",
      arity: 1,
      flags: "noscript loading stale fast allow_busy",
      syntax: "",
      summary: "Opens a transaction.",
      complexity: "O(1)",
      run: on(multi),
    },
    {
      name: "unwatch",
      since: "2.2.0",
      group: "transactions",
      arity: 1,
      flags: "noscript loading stale fast allow_busy",
      syntax: "",
      summary: "Forgets the watched keys.",
      complexity: "O(1)",
      run: on(unwatch),
    },
    {
      name: "watch",
      since: "2.2.0",
      group: "transactions",
      arity: -2,
      flags: "noscript loading stale fast allow_busy",
      keys: "RO @1..-1",
      syntax: "key...",
      summary: "Watches keys, so that a change to them fails the transaction.",
      complexity: "O(1) per key",
      run: on(watch),
    },
  ]
}

function multi({ reply }: Call, engine: Engine, client: Client): void {
  if ((client.conditions & ClientCondition.InTransaction) !== 0) {
    reply.error("ERR MULTI calls can not be nested")
    return
  }
  engine.transactions.begin(client)
  reply.ok()
}

function discard({ reply }: Call, engine: Engine, client: Client): void {
  if ((client.conditions & ClientCondition.InTransaction) === 0) {
    reply.error("ERR DISCARD without MULTI")
    return
  }
  engine.transactions.discard(client)
  reply.ok()
}

function watch({ args, db, reply }: Call, engine: Engine, client: Client): void {
  if ((client.conditions & ClientCondition.InTransaction) !== 0) {
    reply.error("ERR WATCH inside MULTI is not allowed")
    return
  }
  client.transaction ??= new Transaction()
  const { transaction } = client
  if (!transaction.changed) {
    for (let i = 1; i < args.count; i++) {
      engine.transactions.watches.watch(transaction, db, args.bytes, args.start(i), args.end(i))
    }
  }
  reply.ok()
}

/** Queued in a transaction, where it has nothing left to forget. */
function unwatch({ reply }: Call, engine: Engine, client: Client): void {
  const { transaction } = client
  if (transaction !== undefined && (client.conditions & ClientCondition.InTransaction) === 0) {
    engine.transactions.discard(client)
  }
  reply.ok()
}
