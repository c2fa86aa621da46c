/**
 * HOTKEYS: which keys take the most time, and cause the most traffic, while somebody looks.
 *
 * Keys are counted in a map that is cut back to its heavier half when it gets too large: exact for up to KEYS_MAX keys, and
 * beyond that right about those that stand out. A command of several keys counts for each with its share. What a script calls
 * is the script's. While nobody looks, nothing is measured.
 */

import { Prng } from "../bytes/prng.ts"
import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import { extractKeys, KeyPositions } from "../command/key-specs.ts"
import type { RegisteredCommand } from "../command/registry.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Client } from "../engine/client.ts"
import type { Engine } from "../engine/engine.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"

const KEYS_MAX = 8192
const COUNT_DEFAULT = 10
const COUNT_MAX = 64
const SLOT_MAX = 16383

/** Sums by key. */
class Tally {
  private sums = new Map<string, number>()

  add(key: string, amount: number): void {
    this.sums.set(key, (this.sums.get(key) ?? 0) + amount)
    if (this.sums.size > KEYS_MAX) this.sums = new Map(this.heaviest(KEYS_MAX / 2))
  }

  heaviest(count: number): [string, number][] {
    return [...this.sums].sort((a, b) => b[1] - a[1]).slice(0, count)
  }
}

interface Settings {
  cpu: boolean
  net: boolean
  count: number
  /** 0 for no end. */
  seconds: number
  /** One command in so many is measured. */
  ratio: number
}

/** One session: running, or over and still to be read. */
class Session {
  readonly settings: Settings
  readonly startedMs: number
  readonly byTime = new Tally()
  readonly byBytes = new Tally()
  micros = 0
  bytes = 0
  endedMs = 0
  private readonly usageBefore = process.cpuUsage()
  private usage = { user: 0, system: 0 }

  constructor(settings: Settings, startedMs: number) {
    this.settings = settings
    this.startedMs = startedMs
  }

  get isActive(): boolean {
    return this.endedMs === 0
  }

  end(nowMs: number): void {
    this.measure()
    this.endedMs = nowMs
  }

  write(reply: ReplyWriter, nowMs: number): void {
    if (this.isActive) this.measure()
    const { cpu, net, count, ratio } = this.settings
    const field = (name: string, value: number): void => {
      reply.bulkText(name)
      reply.integer(Math.round(value))
    }
    reply.array(1)
    reply.map(7 + (cpu ? 3 : 0) + (net ? 2 : 0))
    field("tracking-active", this.isActive ? 1 : 0)
    field("sample-ratio", ratio)
    reply.bulkText("selected-slots")
    reply.array(1)
    reply.array(2)
    reply.integer(0)
    reply.integer(SLOT_MAX)
    field("all-commands-all-slots-us", this.micros)
    field("net-bytes-all-commands-all-slots", this.bytes)
    field("collection-start-time-unix-ms", this.startedMs)
    field("collection-duration-ms", (this.isActive ? nowMs : this.endedMs) - this.startedMs)
    if (cpu) {
      field("total-cpu-time-user-ms", this.usage.user / 1000)
      field("total-cpu-time-sys-ms", this.usage.system / 1000)
    }
    if (net) field("total-net-bytes", this.bytes)
    if (cpu) writeTally(reply, "by-cpu-time-us", this.byTime.heaviest(count))
    if (net) writeTally(reply, "by-net-bytes", this.byBytes.heaviest(count))
  }

  private measure(): void {
    this.usage = process.cpuUsage(this.usageBefore)
  }
}

function writeTally(reply: ReplyWriter, name: string, entries: readonly [string, number][]): void {
  reply.bulkText(name)
  reply.array(2 * entries.length)
  for (const [key, sum] of entries) {
    const bytes = Buffer.from(key, "latin1")
    reply.bulk(bytes, 0, bytes.length)
    reply.integer(Math.round(sum))
  }
}

const positions = new KeyPositions()

export class HotKeys {
  private readonly engine: Engine
  private readonly onToggle: () => void
  private session: Session | undefined
  private random = new Prng(1)

  /** @param onToggle told when a session begins or ends */
  constructor(engine: Engine, onToggle: () => void) {
    this.engine = engine
    this.onToggle = onToggle
  }

  /** Whether commands are to be timed and told to `note`. */
  get isActive(): boolean {
    return this.session?.isActive === true
  }

  /** Ends a session whose time is up; now and then. */
  check(): void {
    const { session } = this
    if (session === undefined || !session.isActive || session.settings.seconds === 0) return
    const endMs = session.startedMs + session.settings.seconds * 1000
    if (this.engine.clock.wall() >= endMs) this.finish(endMs)
  }

  /** A command has run. */
  note(client: Client, command: RegisteredCommand, args: Arguments, micros: number, retrying: boolean): void {
    const { session } = this
    const { caller } = this.engine
    if (session === undefined || !session.isActive || (client.blocked && !retrying)) return
    const outer = caller.current
    if (outer !== undefined && outer.command.fullName !== "exec") return
    const requestBytes = args.frameStart < 0 ? 0 : args.frameEnd - args.frameStart
    const bytes = requestBytes + caller.lastReplyBytes
    session.micros += micros
    session.bytes += bytes
    const { cpu, net, ratio } = session.settings
    if (ratio > 1 && this.random.nextFloat() * ratio >= 1) return
    const count = extractKeys(command.keys, args, positions)
    for (let i = 0; i < count; i++) {
      const key = args.latin1(positions.positions[i]!)
      if (cpu) session.byTime.add(key, micros / count)
      if (net) session.byBytes.add(key, bytes / count)
    }
  }

  start(call: Call): void {
    const { reply } = call
    this.check()
    if (this.isActive) {
      reply.error("ERR hotkey tracking session already in progress")
      return
    }
    const settings = readSettings(call)
    if (settings === undefined) return
    this.session = new Session(settings, this.engine.clock.wall())
    this.random = new Prng(this.session.startedMs >>> 0)
    this.onToggle()
    reply.ok()
  }

  stop({ reply }: Call): void {
    this.check()
    if (!this.isActive) {
      reply.null()
      return
    }
    this.finish(this.engine.clock.wall())
    reply.ok()
  }

  get({ reply }: Call): void {
    this.check()
    if (this.session === undefined) reply.null()
    else this.session.write(reply, this.engine.clock.wall())
  }

  reset({ reply }: Call): void {
    this.check()
    if (this.isActive) {
      reply.error("ERR hotkey tracking session in progress, stop tracking first")
      return
    }
    this.session = undefined
    reply.ok()
  }

  private finish(nowMs: number): void {
    this.session!.end(nowMs)
    this.onToggle()
  }
}

// ---- arguments ------------------------------------------------------------------------------------------------------

/** The options of HOTKEYS START; undefined after an error reply. */
function readSettings(call: Call): Settings | undefined {
  const { args } = call
  const settings: Settings = { cpu: false, net: false, count: COUNT_DEFAULT, seconds: 0, ratio: 1 }
  const refuse = (error: string): undefined => {
    call.reply.error(error)
    return undefined
  }
  if (args.count < 4 || !args.is(2, "metrics")) return refuse("ERR METRICS parameter is required")
  const metrics = args.integer(3)
  if (!(metrics > 0)) return refuse("ERR METRICS count must be positive")
  if (metrics > args.count - 4) return refuse(METRICS_MISMATCH)
  for (let i = 4; i < 4 + metrics; i++) {
    if (isOption(call, i)) return refuse(METRICS_MISMATCH)
    const isCpu = args.is(i, "cpu")
    if (!isCpu && !args.is(i, "net")) continue
    if (isCpu ? settings.cpu : settings.net) return refuse(`ERR METRICS ${isCpu ? "CPU" : "NET"} given more than once`)
    if (isCpu) settings.cpu = true
    else settings.net = true
  }
  // Metrics that are not known yet are passed over, as long as one is.
  if (!settings.cpu && !settings.net) return refuse("ERR METRICS no valid metrics given")
  for (let i = 4 + metrics; i < args.count; i += 2) {
    if (args.is(i, "slots")) return refuse("ERR SLOTS parameter cannot be used in non-cluster mode")
    const value = i + 1 < args.count ? args.integer(i + 1) : Number.NaN
    if (!isOption(call, i) || i + 1 === args.count) return refuse(SYNTAX)
    if (args.is(i, "count")) {
      if (!(value >= 1 && value <= COUNT_MAX)) return refuse(`ERR COUNT must be between 1 and ${COUNT_MAX}`)
      settings.count = value
    } else if (args.is(i, "duration")) {
      if (!(value >= 0)) return refuse("ERR DURATION must be a number of seconds")
      settings.seconds = value
    } else {
      if (!(value >= 1)) return refuse("ERR SAMPLE ratio must be positive")
      settings.ratio = value
    }
  }
  return settings
}

const METRICS_MISMATCH = "ERR METRICS count does not match number of metric types provided"

function isOption({ args }: Call, i: number): boolean {
  return args.is(i, "count") || args.is(i, "duration") || args.is(i, "sample") || args.is(i, "slots")
}

// ---- facts ----------------------------------------------------------------------------------------------------------

export function hotKeyCommands(of: () => HotKeys): readonly CommandSpec[] {
  const about = (name: string, summary: string, run: (call: Call) => void): CommandSpec => ({
    name,
    since: "8.6.0",
    group: "server",
    arity: 2,
    flags: "admin noscript",
    syntax: "",
    summary,
    complexity: "O(1)",
    run,
  })
  return [
    {
      name: "hotkeys",
      since: "8.6.0",
      group: "server",
      arity: -2,
      flags: "",
      syntax: "",
      summary: "Holds the commands that find the keys used most.",
      complexity: "depends on the subcommand",
      subcommands: [
        {
          ...about("get", "Shows the keys used most, of a session that runs or is over.", call => of().get(call)),
          complexity: "O(N*log(N)), N keys counted, a few thousand at most",
        },
        {
          name: "help",
          since: "8.6.1",
          group: "server",
          arity: 2,
          flags: "loading stale",
          syntax: "",
          summary: "Lists the subcommands of HOTKEYS.",
          complexity: "O(1)",
          run: helpOf,
        },
        about("reset", "Forgets a session that is over.", call => of().reset(call)),
        {
          ...about("start", "Begins to look which keys are used most.", call => of().start(call)),
          arity: -2,
          syntax:
            "METRICS(count:integer [CPU] [NET]) [COUNT k:integer] [DURATION seconds:integer] [SAMPLE ratio:integer] " +
            "[SLOTS(count:integer slot:integer...)]",
        },
        about("stop", "Ends a session, which can still be read.", call => of().stop(call)),
      ],
    },
  ]
}
