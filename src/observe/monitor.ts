/** MONITOR: every command that runs, as a line to each client that listens. */

import { latin1Bytes } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { Flag, type RegisteredCommand } from "../command/registry.ts"
import type { CommandSpec } from "../command/spec.ts"
import { type Client, ClientCondition } from "../engine/client.ts"
import { type Engine, EngineCondition } from "../engine/engine.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { Observer } from "./observer.ts"
import { REDACTED, secretsOf } from "./redaction.ts"

export class Monitors {
  private readonly engine: Engine
  private readonly clients = new Set<Client>()
  private readonly onCount: () => void

  /** @param onCount told when the first one comes and when the last one goes */
  constructor(engine: Engine, onCount: () => void) {
    this.engine = engine
    this.onCount = onCount
    engine.clients.onGone.push(client => this.remove(client))
    engine.onReset.push(client => this.remove(client))
  }

  get size(): number {
    return this.clients.size
  }

  add(client: Client): void {
    client.monitoring = true
    this.clients.add(client)
    this.recount()
  }

  remove(client: Client): void {
    if (!this.clients.delete(client)) return
    client.monitoring = false
    this.recount()
  }

  /** Tells all of a command that has just run. Commands of administrators are not shown. */
  feed(client: Client, command: RegisteredCommand, args: Arguments): void {
    if ((command.flagBits & (Flag.SkipMonitor | Flag.Admin)) !== 0) return
    this.show(client, command, args)
  }

  /** Tells all of a command that shows itself, before it runs: a script comes before what it calls. */
  show(client: Client, command: RegisteredCommand, args: Arguments): void {
    if (this.clients.size === 0) return
    const line = latin1Bytes(this.line(client, command, args))
    for (const monitor of this.clients) this.engine.output.push(monitor, line)
    this.engine.wakeTick()
  }

  private recount(): void {
    this.engine.setCondition(EngineCondition.Monitored, this.clients.size > 0)
    this.onCount()
  }

  private line(client: Client, command: RegisteredCommand, args: Arguments): string {
    const micros = this.engine.clock.wallMicros()
    const time = `${Math.floor(micros / 1e6)}.${String(micros % 1e6).padStart(6, "0")}`
    const { transport } = client
    const source =
      transport === undefined ? "lua" : transport.isUnix ? `unix:${transport.remoteAddress}` : transport.remoteAddress
    let line = `+${time} [${client.db.index} ${source}]`
    const isSecret = secretsOf(command, args, this.engine.config)
    for (let i = 0; i < args.count; i++) line += ` ${quoted(isSecret?.(i) ? REDACTED : args.latin1(i))}`
    return `${line}\r\n`
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  '"': '\\"',
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\x07": "\\a",
  "\b": "\\b",
}

/** A string of bytes in double quotes, with everything that is not printable ASCII escaped. */
export function quoted(text: string): string {
  const body = text.replace(
    /[^ !#-[\]-~]/g,
    char => ESCAPES[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  )
  return `"${body}"`
}

export function monitorCommands(of: () => Observer): readonly CommandSpec[] {
  return [
    {
      name: "monitor",
      since: "1.0.0",
      group: "server",
      arity: 1,
      flags: "admin noscript loading stale",
      syntax: "",
      summary: "Streams every command that the server processes.",
      complexity: "O(1), and O(N) per command for N monitors",
      run: call => monitor(call, of().monitors),
    },
  ]
}

function monitor(call: Call, monitors: Monitors): void {
  const client = call.client as Client
  if (client.denyBlocking || (client.conditions & ClientCondition.InTransaction) !== 0) {
    call.reply.error("ERR MONITOR isn't allowed for DENY BLOCKING client")
    return
  }
  monitors.add(client)
  call.reply.ok()
}
