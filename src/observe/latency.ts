/**
 * LATENCY: events that took `latency-monitor-threshold` milliseconds or more, one sample per second and event, the last
 * 160 of each; and the histograms of commands.
 */

import { shown } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { helpOf } from "../command/help.ts"
import { Flag, type RegisteredCommand } from "../command/registry.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Engine } from "../engine/engine.ts"
import type { Histogram } from "./histogram.ts"
import type { Observer } from "./observer.ts"

const SAMPLES_MAX = 160
/** Columns of a graph: one per sample, the newest ones. */
const GRAPH_COLUMNS = 80
const GRAPH_ROWS = 4

interface LatencySample {
  /** Unix time in seconds. */
  time: number
  ms: number
}

interface LatencyEvent {
  samples: LatencySample[]
  /** The longest since the last reset. */
  maxMs: number
}

export class LatencyMonitor {
  private readonly engine: Engine
  readonly events = new Map<string, LatencyEvent>()

  constructor(engine: Engine) {
    this.engine = engine
  }

  noteCommand(command: RegisteredCommand, micros: number): void {
    if (this.engine.config.values.latencyMonitorThreshold === 0) return
    this.note((command.flagBits & Flag.Fast) !== 0 ? "fast-command" : "command", micros / 1000)
  }

  /** Something took this long; kept if the threshold says so. */
  note(event: string, ms: number): void {
    const threshold = this.engine.config.values.latencyMonitorThreshold
    if (threshold === 0 || ms < threshold) return
    const time = Math.floor(this.engine.clock.wall() / 1000)
    const whole = Math.floor(ms)
    let known = this.events.get(event)
    if (known === undefined) {
      known = { samples: [], maxMs: 0 }
      this.events.set(event, known)
    }
    known.maxMs = Math.max(known.maxMs, whole)
    const last = known.samples.at(-1)
    if (last?.time === time) last.ms = Math.max(last.ms, whole)
    else known.samples.push({ time, ms: whole })
    if (known.samples.length > SAMPLES_MAX) known.samples.shift()
  }

  /** Forgets the named events, or all of them; returns how many there were. */
  reset(names: readonly string[]): number {
    if (names.length === 0) {
      const { size } = this.events
      this.events.clear()
      return size
    }
    return names.filter(name => this.events.delete(name)).length
  }
}

export function latencyCommands(of: () => Observer): readonly CommandSpec[] {
  const shared = { group: "server", flags: "admin noscript loading stale" } as const
  const tips = "nondeterministic_output request_policy:all_nodes response_policy:special"
  return [
    {
      name: "latency",
      since: "2.8.13",
      group: "server",
      arity: -2,
      flags: "",
      syntax: "",
      summary: "Holds the commands about latency.",
      complexity: "depends on the subcommand",
      subcommands: [
        {
          ...shared,
          tips,
          name: "doctor",
          since: "2.8.13",
          arity: 2,
          syntax: "",
          summary: "Explains the latency that was seen, in plain words.",
          complexity: "O(1)",
          run: call => call.reply.verbatim("txt", report(of())),
        },
        {
          ...shared,
          tips,
          name: "graph",
          since: "2.8.13",
          arity: 3,
          syntax: "event",
          summary: "Draws the samples of an event.",
          complexity: "O(1)",
          run: call => graph(call, of().latency),
        },
        {
          ...shared,
          name: "help",
          since: "2.8.13",
          arity: 2,
          flags: "loading stale",
          syntax: "",
          summary: "Lists the subcommands of LATENCY.",
          complexity: "O(1)",
          run: helpOf,
        },
        {
          ...shared,
          tips,
          name: "histogram",
          since: "7.0.0",
          arity: -2,
          syntax: "[command...]",
          summary: "Shows how long commands took, as histograms.",
          complexity: "O(N), N commands with a histogram",
          run: call => histogram(call, of()),
        },
        {
          ...shared,
          tips,
          name: "history",
          since: "2.8.13",
          arity: 3,
          syntax: "event",
          summary: "Lists the samples of an event with their times.",
          complexity: "O(1)",
          run: call => history(call, of().latency),
        },
        {
          ...shared,
          tips,
          name: "latest",
          since: "2.8.13",
          arity: 2,
          syntax: "",
          summary: "Lists the last sample of each event.",
          complexity: "O(1)",
          run: call => latest(call, of().latency),
        },
        {
          ...shared,
          tips: "request_policy:all_nodes response_policy:agg_sum",
          name: "reset",
          since: "2.8.13",
          arity: -2,
          syntax: "[event...]",
          summary: "Forgets the samples of events.",
          complexity: "O(1)",
          run: call => {
            const names: string[] = []
            for (let i = 2; i < call.args.count; i++) names.push(call.args.latin1(i))
            call.reply.integer(of().latency.reset(names))
          },
        },
      ],
    },
  ]
}

function latest({ reply }: Call, { events }: LatencyMonitor): void {
  reply.array(events.size)
  for (const [name, { samples, maxMs }] of events) {
    const last = samples.at(-1)!
    reply.array(4)
    reply.bulkText(name)
    reply.integer(last.time)
    reply.integer(last.ms)
    reply.integer(maxMs)
  }
}

function history({ args, reply }: Call, { events }: LatencyMonitor): void {
  const samples = events.get(args.latin1(2))?.samples ?? []
  reply.array(samples.length)
  for (const { time, ms } of samples) {
    reply.array(2)
    reply.integer(time)
    reply.integer(ms)
  }
}

/** A bar chart on its side, in characters: the samples side by side, their age below. */
function graph({ args, reply }: Call, monitor: LatencyMonitor): void {
  const name = args.latin1(2)
  const event = monitor.events.get(name)
  if (event === undefined) {
    reply.error(`ERR No samples available for event '${shown(name)}'`)
    return
  }
  const samples = event.samples.slice(-GRAPH_COLUMNS)
  const high = Math.max(...samples.map(({ ms }) => ms))
  const low = Math.min(...samples.map(({ ms }) => ms))
  const newest = samples.at(-1)!.time
  const levels = samples.map(({ ms }) =>
    high === low ? GRAPH_ROWS : 1 + ((ms - low) / (high - low)) * (GRAPH_ROWS - 1),
  )
  const ages = samples.map(({ time }) => shortAge(newest - time))
  let text = `${name} - high ${high} ms, low ${low} ms (all time high ${event.maxMs} ms)\n${"-".repeat(80)}\n`
  for (let row = GRAPH_ROWS; row >= 1; row--) {
    text += `${levels.map(level => (level >= row ? (level < row + 1 ? "#" : "|") : " ")).join("")}\n`
  }
  const ageRows = Math.max(...ages.map(age => age.length))
  text += "\n"
  for (let row = 0; row < ageRows; row++) text += `${ages.map(age => age[row] ?? " ").join("")}\n`
  reply.verbatim("txt", text)
}

function shortAge(seconds: number): string {
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  return seconds < 86400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86400)}d`
}

function report({ latency, engine, slowlog }: Observer): string {
  const { latencyMonitorThreshold, slowlogLogSlowerThan } = engine.config.values
  if (latency.events.size === 0) {
    return latencyMonitorThreshold === 0
      ? 'Latency monitoring is off. "CONFIG SET latency-monitor-threshold <milliseconds>" turns it on.\n'
      : "No latency spike was seen since the monitor was turned on or reset.\n"
  }
  let text = `Latency spikes of ${latencyMonitorThreshold} ms or more, by event:\n`
  let number = 0
  for (const [name, { samples, maxMs }] of latency.events) {
    const sum = samples.reduce((total, { ms }) => total + ms, 0)
    text +=
      `\n${++number}. ${name}: ${samples.length} seconds with spikes, ` +
      `${(sum / samples.length).toFixed(0)} ms on average, ${maxMs} ms at worst.\n`
  }
  text += "\n"
  if (latency.events.has("command") || latency.events.has("fast-command")) {
    text +=
      slowlogLogSlowerThan < 0
        ? "- The slow log is off: set slowlog-log-slower-than to learn which commands are slow.\n"
        : `- The slow log has ${slowlog.length} entries: SLOWLOG GET shows which commands are slow.\n`
    text += "- Commands on large keys take long; DEL of them is cheap here, reading them whole is not.\n"
  }
  return text
}

/** The histograms asked for; a container stands for its subcommands. Counts are scaled up to all calls of the command. */
function histogram({ args, reply }: Call, observer: Observer): void {
  const { registry } = observer.engine
  let commands: readonly RegisteredCommand[] = registry.all
  if (args.count > 2) {
    const asked: RegisteredCommand[] = []
    for (let i = 2; i < args.count; i++) {
      const command = registry.find(args.latin1(i))
      if (command !== undefined) asked.push(command, ...command.subcommands)
    }
    commands = asked
  }
  const shown = commands.filter(({ id }) => observer.histograms[id] !== undefined)
  reply.map(shown.length)
  for (const command of shown) {
    reply.bulkText(command.fullName)
    writeHistogram(reply, observer.histograms[command.id]!, Math.max(1, command.calls))
  }
}

function writeHistogram(reply: Call["reply"], histogram: Histogram, calls: number): void {
  const rows = histogram.cumulative()
  reply.map(2)
  reply.bulkText("calls")
  reply.integer(calls)
  reply.bulkText("histogram_usec")
  reply.map(rows.length)
  for (const [micros, count] of rows) {
    reply.integer(micros)
    reply.integer(Math.round((count * calls) / histogram.total))
  }
}
