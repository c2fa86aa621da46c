/**
 * SLOWLOG: the last commands that took longer than `slowlog-log-slower-than` microseconds. The same object also keeps the
 * logs of large requests and replies, which COMMANDLOG shows.
 */

import type { Call } from "../command/context.ts"
import { unknownSubcommandOrArity } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import { Flag, type RegisteredCommand } from "../command/registry.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { ConfigValues } from "../config/config.ts"
import type { Client } from "../engine/client.ts"
import type { Engine } from "../engine/engine.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { REDACTED, secretsOf } from "./redaction.ts"

/** An entry keeps this many arguments, the last of which says how many more there were … */
const ARGUMENTS_MAX = 32
/** … and this many bytes of each. */
const ARGUMENT_BYTES_MAX = 128
/** Thresholds below this are met by fast commands too, so that each of them must be timed. */
const FAST_MICROS = 1000

interface SlowEntry {
  id: number
  /** Unix time in seconds. */
  time: number
  micros: number
  /** One character per byte. */
  arguments: string[]
  address: string
  clientName: string
}

/** What a log is about: time in microseconds, or bytes. */
export interface LogLimits {
  /** From where on a command is noted, -1 for never, and how many entries are kept. */
  readonly threshold: (values: ConfigValues) => number
  readonly entriesMax: (values: ConfigValues) => number
}

export const SLOW: LogLimits = {
  threshold: values => values.slowlogLogSlowerThan,
  entriesMax: values => values.slowlogMaxLen,
}
export const LARGE_REQUEST: LogLimits = {
  threshold: values => values.commandlogRequestLargerThan,
  entriesMax: values => values.commandlogLargeRequestMaxLen,
}
export const LARGE_REPLY: LogLimits = {
  threshold: values => values.commandlogReplyLargerThan,
  entriesMax: values => values.commandlogLargeReplyMaxLen,
}

export class SlowLog {
  private readonly engine: Engine
  private readonly limits: LogLimits
  /** Newest last. */
  private entries: SlowEntry[] = []
  private nextId = 0

  constructor(engine: Engine, limits = SLOW) {
    this.engine = engine
    this.limits = limits
  }

  /** From where on a command is noted; Infinity when none is. */
  get threshold(): number {
    const { values } = this.engine.config
    const threshold = this.limits.threshold(values)
    return threshold < 0 || this.limits.entriesMax(values) === 0 ? Number.POSITIVE_INFINITY : threshold
  }

  get length(): number {
    return this.entries.length
  }

  /** Whether the threshold asks for the time of every command. */
  get timesAll(): boolean {
    const threshold = this.engine.config.values.slowlogLogSlowerThan
    return threshold >= 0 && threshold < FAST_MICROS && this.engine.config.values.slowlogMaxLen > 0
  }

  /** `micros`: the time, or whatever the log is about. */
  note(client: Client, command: RegisteredCommand, args: Arguments, micros: number): void {
    if (micros < this.threshold) return
    if ((command.flagBits & Flag.SkipSlowlog) !== 0) return
    this.entries.push({
      id: this.nextId++,
      time: Math.floor(this.engine.keyspace.now / 1000),
      micros: Math.round(micros),
      arguments: trimmedArguments(this.engine, command, args),
      address: client.transport?.remoteAddress ?? "?:0",
      clientName: client.name,
    })
    this.trim()
  }

  /** Adapts to a smaller number of entries. */
  trim(): void {
    const surplus = this.entries.length - this.limits.entriesMax(this.engine.config.values)
    if (surplus > 0) this.entries.splice(0, surplus)
  }

  reset(): void {
    this.entries = []
  }

  /** Newest first. */
  write(reply: ReplyWriter, count: number): void {
    const shown = this.entries.slice(Math.max(0, this.entries.length - count)).reverse()
    reply.array(shown.length)
    for (const entry of shown) {
      reply.array(6)
      reply.integer(entry.id)
      reply.integer(entry.time)
      reply.integer(entry.micros)
      reply.array(entry.arguments.length)
      for (const argument of entry.arguments) {
        const bytes = Buffer.from(argument, "latin1")
        reply.bulk(bytes, 0, bytes.length)
      }
      reply.bulkText(entry.address)
      reply.bulkText(entry.clientName)
    }
  }
}

function trimmedArguments(engine: Engine, command: RegisteredCommand, args: Arguments): string[] {
  const isSecret = secretsOf(command, args, engine.config)
  const kept = args.count > ARGUMENTS_MAX ? ARGUMENTS_MAX - 1 : args.count
  const texts: string[] = []
  for (let i = 0; i < kept; i++) {
    if (isSecret?.(i)) {
      texts.push(REDACTED)
      continue
    }
    const length = args.length(i)
    if (length <= ARGUMENT_BYTES_MAX) texts.push(args.latin1(i))
    else {
      const head = Buffer.from(args.bytes.subarray(args.start(i), args.start(i) + ARGUMENT_BYTES_MAX))
      texts.push(`${head.toString("latin1")}... (${length - ARGUMENT_BYTES_MAX} more bytes)`)
    }
  }
  if (kept < args.count) texts.push(`... (${args.count - kept} more arguments)`)
  return texts
}

const SHOWN_BY_DEFAULT = 10

export function slowlogCommands(of: () => SlowLog): readonly CommandSpec[] {
  return [
    {
      name: "slowlog",
      since: "2.2.12",
      group: "server",
      arity: -2,
      flags: "",
      syntax: "",
      summary: "Holds the commands about the log of slow commands.",
      complexity: "depends on the subcommand",
      subcommands: [
        {
          name: "get",
          since: "2.2.12",
          group: "server",
          arity: -2,
          flags: "admin loading stale",
          tips: "request_policy:all_nodes nondeterministic_output",
          syntax: "[count:integer]",
          summary: "Lists the newest entries of the slow log.",
          complexity: "O(N), N entries returned",
          run: call => get(call, of()),
        },
        {
          name: "help",
          since: "6.2.0",
          group: "server",
          arity: 2,
          flags: "loading stale",
          syntax: "",
          summary: "Lists the subcommands of SLOWLOG.",
          complexity: "O(1)",
          run: helpOf,
        },
        {
          name: "len",
          since: "2.2.12",
          group: "server",
          arity: 2,
          flags: "admin loading stale",
          tips: "request_policy:all_nodes response_policy:agg_sum nondeterministic_output",
          syntax: "",
          summary: "Counts the entries of the slow log.",
          complexity: "O(1)",
          run: call => call.reply.integer(of().length),
        },
        {
          name: "reset",
          since: "2.2.12",
          group: "server",
          arity: 2,
          flags: "admin loading stale",
          tips: "request_policy:all_nodes response_policy:all_succeeded",
          syntax: "",
          summary: "Empties the slow log.",
          complexity: "O(N), N entries",
          run: call => {
            of().reset()
            call.reply.ok()
          },
        },
      ],
    },
  ]
}

function get(call: Call, slowlog: SlowLog): void {
  const { args, reply } = call
  if (args.count > 3) {
    reply.error(unknownSubcommandOrArity(args.latin1(1), "slowlog"))
    return
  }
  let count = SHOWN_BY_DEFAULT
  if (args.count === 3) {
    count = Number(args.int64(2) ?? Number.NaN)
    if (!(count >= -1)) {
      reply.error("ERR count should be greater than or equal to -1")
      return
    }
    if (count === -1) count = slowlog.length
  }
  slowlog.write(reply, count)
}
