/**
 * CLIENT PAUSE: for a time, commands of all clients (or those that write) wait. Meanwhile the data stands still: nothing
 * expires by itself either. What waits is run in the order in which it came.
 *
 * And CLIENT UNBLOCK, which ends the wait of a blocked client.
 */

import type { Call } from "../command/context.ts"
import { NOT_INTEGER, unknownSubcommandOrArity } from "../command/errors.ts"
import { Flag, type RegisteredCommand } from "../command/registry.ts"
import type { CommandSpec } from "../command/spec.ts"
import { readDeadlineMs } from "../families/deadline.ts"
import type { Arguments } from "../resp/arguments.ts"
import { Wait } from "./blocking.ts"
import type { Client } from "./client.ts"
import { Deadlines, type Timed } from "./deadlines.ts"
import { EngineCondition, effectiveFlags, HANDLED } from "./dispatch.ts"
import type { Engine } from "./engine.ts"
import { engineHandlers } from "./handler.ts"

export type PauseMode = "none" | "write" | "all"

/** A request that waits for the end of the pause. */
class Postponed {
  /** Owned. */
  readonly args: Arguments
  constructor(args: Arguments) {
    this.args = args
  }
}

/** Why the server holds back; the strictest mode counts. */
interface PauseReason extends Timed {
  mode: PauseMode
  deadlineMs: number
}

export class Pause {
  private readonly engine: Engine
  private readonly reasons = new Map<string, PauseReason>()
  private readonly deadlines: Deadlines<PauseReason>
  /** Who waits, in order. */
  private readonly waiting = new Set<Client>()
  private currentMode: PauseMode = "none"

  constructor(engine: Engine) {
    this.engine = engine
    this.deadlines = new Deadlines(
      () => engine.clock.wall(),
      () => this.expireDue(),
    )
    engine.clients.onGone.push(client => this.waiting.delete(client))
  }

  get mode(): PauseMode {
    return this.currentMode
  }

  /** Why the server is paused. */
  get reason(): string {
    for (const [name, { mode }] of this.reasons) if (mode === this.currentMode) return name
    return "none"
  }

  /** When the pause will be over, 0 when there is none. */
  get untilMs(): number {
    let until = 0
    for (const { deadlineMs } of this.reasons.values()) until = Math.max(until, deadlineMs)
    return until
  }

  get remainingMs(): number {
    return Math.max(0, this.untilMs - this.engine.keyspace.now)
  }

  /** Commands held back. */
  get size(): number {
    return this.waiting.size
  }

  /** Begins a pause, or prolongs the one of the same name; it never ends earlier than it was to end before. */
  begin(name: string, mode: "write" | "all", untilMs: number): void {
    if (untilMs <= this.engine.keyspace.now && !this.reasons.has(name)) return
    const reason = this.reasons.get(name) ?? { mode, deadlineMs: untilMs, heapIndex: -1 }
    this.deadlines.remove(reason)
    if (mode === "all") reason.mode = mode
    reason.deadlineMs = Math.max(reason.deadlineMs, untilMs)
    this.reasons.set(name, reason)
    this.deadlines.add(reason)
    this.update()
  }

  end(name: string): void {
    const reason = this.reasons.get(name)
    if (reason === undefined) return
    this.reasons.delete(name)
    this.deadlines.remove(reason)
    this.update()
  }

  /** Ends the pauses whose time is over. */
  expireDue(): void {
    for (let due = this.deadlines.takeDue(); due !== undefined; due = this.deadlines.takeDue()) {
      for (const [name, reason] of this.reasons) if (reason === due) this.end(name)
    }
  }

  holds(client: Client, command: RegisteredCommand): boolean {
    if (this.currentMode === "none" || client.isReplica || client.transport === undefined) return false
    if (client.waiting instanceof Wait) return false
    return this.currentMode === "all" || (effectiveFlags(client, command) & (Flag.Write | Flag.MayReplicate)) !== 0
  }

  postpone(client: Client, args: Arguments): void {
    client.waiting = new Postponed(args.clone())
    client.blocked = true
    client.suspended = true
    this.waiting.add(client)
  }

  private update(): void {
    const { engine } = this
    const { keyspace } = engine
    const before = this.currentMode
    this.currentMode = "none"
    for (const { mode } of this.reasons.values()) {
      if (mode === "all" || this.currentMode === "none") this.currentMode = mode
    }
    const isPaused = this.currentMode !== "none"
    keyspace.holdExpiry("pause", isPaused)
    engine.setCondition(EngineCondition.Paused, isPaused)
    if (this.currentMode !== before && before !== "none") this.release()
  }

  /** All try again: should they still be held back, they wait in the same order. */
  private release(): void {
    for (const client of this.waiting) {
      const postponed = client.waiting as Postponed
      client.unblock()
      // Until it has run, what else the client sent must wait behind it.
      client.suspended = true
      this.engine.resumption.add(client, postponed.args)
    }
    this.waiting.clear()
  }
}

/** While the server is paused, commands wait. Stands before the queue of transactions. */
export function pauseGate(
  engine: Engine,
  client: Client,
  command: RegisteredCommand,
  args: Arguments,
): string | undefined {
  if ((engine.conditions & EngineCondition.Paused) === 0 || !engine.pause.holds(client, command)) return undefined
  engine.pause.postpone(client, args)
  return HANDLED
}

/** What INFO tells of clients that wait or watch. */
export function waitingInfo({ blocking, pause, transactions }: Engine): [string, string | number][] {
  return [
    ["watching_clients", transactions.watches.watcherCount],
    ["clients_in_timeout_table", blocking.timedSize],
    ["total_watched_keys", transactions.watches.size],
    ["total_blocking_keys", blocking.keyCount],
    ["total_blocking_keys_on_nokey", blocking.keyCountNeedingKey],
    ["paused_reason", pause.reason],
    ["paused_actions", pause.mode],
    ["paused_timeout_milliseconds", pause.remainingMs],
  ]
}

/** Subcommands of CLIENT. */
export function waitingClientCommands(of: () => Engine): readonly CommandSpec[] {
  const on = engineHandlers(of)
  return [
    {
      name: "pause",
      since: "3.0.0",
      group: "connection",
      arity: -3,
      flags: "admin noscript loading stale",
      syntax: "timeout:integer [mode=WRITE|ALL]@6.2.0",
      summary: "Holds back commands of all clients for a time.",
      complexity: "O(1)",
      run: on(pause),
    },
    {
      name: "unblock",
      since: "5.0.0",
      group: "connection",
      arity: -3,
      flags: "admin noscript loading stale",
      syntax: "client-id:integer [unblock-type=TIMEOUT|ERROR]",
      summary: "Wakes up a client that waits in a blocking command.",
      complexity: "O(log(N)), N blocked clients",
      run: on(unblock),
    },
    {
      name: "unpause",
      since: "6.2.0",
      group: "connection",
      arity: 2,
      flags: "admin noscript loading stale",
      syntax: "",
      summary: "Lets paused clients go on.",
      complexity: "O(N), N paused clients",
      run: on(unpause),
    },
  ]
}

const BY_COMMAND = "client_command"

function pause(call: Call, engine: Engine): void {
  const { args, now, reply } = call
  if (args.count > 4) {
    reply.error(unknownSubcommandOrArity(args.latin1(1), "client"))
    return
  }
  if (args.count === 4 && !args.is(3, "write") && !args.is(3, "all")) {
    reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL")
    return
  }
  const deadlineMs = readDeadlineMs(call, 2)
  if (Number.isNaN(deadlineMs)) return
  engine.pause.begin(BY_COMMAND, args.count === 4 && args.is(3, "write") ? "write" : "all", deadlineMs || now)
  reply.ok()
}

function unpause({ reply }: Call, engine: Engine): void {
  engine.pause.end(BY_COMMAND)
  reply.ok()
}

function unblock({ args, reply }: Call, engine: Engine): void {
  const withError = args.count === 4 && args.is(3, "error")
  if (args.count > 4) {
    reply.error(unknownSubcommandOrArity(args.latin1(1), "client"))
    return
  }
  if (args.count === 4 && !withError && !args.is(3, "timeout")) {
    reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    return
  }
  const id = args.int64(2)
  if (id === undefined) {
    reply.error(NOT_INTEGER)
    return
  }
  const target = engine.clients.byId.get(Number(id))
  const error = withError ? "UNBLOCKED client unblocked via CLIENT UNBLOCK" : undefined
  reply.integer(target !== undefined && engine.blocking.unblock(target, error) ? 1 : 0)
}
