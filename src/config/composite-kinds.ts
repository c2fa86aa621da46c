/** The kinds of value that belong to one directive each: save points, buffer limits, addresses and the like. */

import { quoteArgument } from "./arguments.ts"
import type { Kind } from "./kinds.ts"
import { INT_MAX } from "./kinds.ts"
import { formatMemorySize, parseMemorySize } from "./memory-size.ts"
import { formatNotifyFlags, parseNotifyFlags } from "./notify-flags.ts"
import { Refusal } from "./refusal.ts"

export interface SavePoint {
  seconds: number
  changes: number
}

const LONG_SECONDS_MAX = Number.MAX_SAFE_INTEGER

/** Pairs of seconds and changes. A file adds up its lines; the loader passes the points so far as `current`. */
export const SAVE_POINTS: Kind<readonly SavePoint[]> = {
  label: 'pairs of seconds and changes, or ""',
  takesList: true,
  parse: args => {
    if (args.length === 1 && args[0] === "") return []
    const refused = new Refusal("Invalid save parameters")
    if (args.length % 2 !== 0) return refused
    const points: SavePoint[] = []
    for (let at = 0; at < args.length; at += 2) {
      const seconds = wholeNumber(args[at]!, 1, LONG_SECONDS_MAX)
      const changes = wholeNumber(args[at + 1]!, 0, INT_MAX)
      if (seconds === undefined || changes === undefined) return refused
      points.push({ seconds, changes })
    }
    return points
  },
  format: points => points.map(({ seconds, changes }) => `${seconds} ${changes}`).join(" "),
  lines: points =>
    points.length === 0
      ? [{ text: '""', isForced: true }]
      : points.map(({ seconds, changes }) => ({ text: `${seconds} ${changes}`, isForced: true })),
}

function wholeNumber(text: string, min: number, max: number): number | undefined {
  if (!/^[-+]?[0-9]{1,20}$/.test(text)) return undefined
  const value = Number(text)
  return value < min || value > max ? undefined : value
}

export interface OutputBufferLimit {
  hardBytes: number
  softBytes: number
  softSeconds: number
}

export interface OutputBufferLimits {
  normal: OutputBufferLimit
  replica: OutputBufferLimit
  pubsub: OutputBufferLimit
}

const CLIENT_CLASSES = ["normal", "replica", "pubsub"] as const

const classOf = (name: string) => {
  const word = name.toLowerCase()
  return CLIENT_CLASSES.find(known => known === (word === "slave" ? "replica" : word))
}

/** Fours of class, hard limit, soft limit and soft seconds; classes not named keep their limits. */
export const OUTPUT_BUFFER_LIMITS: Kind<OutputBufferLimits> = {
  label: "fours of class (normal, replica, pubsub), hard limit, soft limit, soft seconds",
  takesList: true,
  parse: (args, current) => {
    if (args.length % 4 !== 0) return new Refusal("Wrong number of arguments in buffer limit configuration.")
    const limits = { ...current }
    for (let at = 0; at < args.length; at += 4) {
      const name = classOf(args[at]!)
      if (name === undefined) return new Refusal("Invalid client class specified in buffer limit configuration.")
      const hardBytes = parseMemorySize(args[at + 1]!)
      const softBytes = parseMemorySize(args[at + 2]!)
      const softSeconds = wholeNumber(args[at + 3]!, 0, LONG_SECONDS_MAX)
      if (hardBytes === undefined || softBytes === undefined || softSeconds === undefined)
        return new Refusal("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
      limits[name] = { hardBytes: Number(hardBytes), softBytes: Number(softBytes), softSeconds }
    }
    return limits
  },
  format: limits =>
    CLIENT_CLASSES.map(name => {
      const { hardBytes, softBytes, softSeconds } = limits[name]
      // CONFIG GET keeps the old word, a rewritten file has the new one.
      return `${name === "replica" ? "slave" : name} ${BigInt(hardBytes)} ${BigInt(softBytes)} ${softSeconds}`
    }).join(" "),
  lines: (limits, initial) =>
    CLIENT_CLASSES.map(name => {
      const line = ({ hardBytes, softBytes, softSeconds }: OutputBufferLimit) =>
        `${name} ${formatMemorySize(BigInt(hardBytes))} ${formatMemorySize(BigInt(softBytes))} ${softSeconds}`
      return { text: line(limits[name]), isForced: line(limits[name]) !== line(initial[name]) }
    }),
}

const BIND_ADDRESSES_MAX = 16

/** Addresses to listen on; `-` before one means that failing to bind it is no error. */
export const BIND_ADDRESSES: Kind<readonly string[]> = {
  label: 'up to 16 addresses, or ""',
  takesList: true,
  parse: args => {
    if (args.length > BIND_ADDRESSES_MAX) return new Refusal("Too many bind addresses specified.")
    return args.length === 1 && args[0] === "" ? [] : [...args]
  },
  format: addresses => addresses.join(" "),
  lines: (addresses, initial) =>
    addresses.join(" ") === initial.join(" ")
      ? []
      : [{ text: addresses.length === 0 ? '""' : addresses.join(" "), isForced: true }],
}

export interface Endpoint {
  host: string
  port: number
}

/** The primary to follow, or undefined (`no one`). */
export const REPLICA_OF: Kind<Endpoint | undefined> = {
  label: "host and port, or no one",
  takesList: true,
  parse: args => {
    if (args.length !== 2) return new Refusal("wrong number of arguments")
    const host = args[0]!
    if (host.toLowerCase() === "no" && args[1]!.toLowerCase() === "one") return undefined
    const port = wholeNumber(args[1]!, 0, 65535)
    return port === undefined ? new Refusal("Invalid master port") : { host, port }
  },
  format: primary => (primary === undefined ? "" : `${primary.host} ${primary.port}`),
  lines: primary => (primary === undefined ? [] : [{ text: `${primary.host} ${primary.port}`, isForced: true }]),
}

const decimals = (value: number) => String(Number(value.toFixed(6)))

/** Percentiles for INFO latencystats, 0 to 100. */
export const PERCENTILES: Kind<readonly number[]> = {
  label: 'numbers 0 … 100, or ""',
  takesList: true,
  parse: args => {
    if (args.length === 1 && args[0] === "") return []
    const percentiles: number[] = []
    for (const arg of args) {
      const value = /^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?$/i.test(arg) ? Number(arg) : Number.NaN
      if (Number.isNaN(value)) return new Refusal("Invalid latency-tracking-info-percentiles parameters")
      if (value < 0 || value > 100)
        return new Refusal("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
      percentiles.push(value)
    }
    return percentiles
  },
  format: percentiles => percentiles.map(decimals).join(" "),
  lines: percentiles => [{ text: percentiles.map(decimals).join(" ") || '""', isForced: true }],
}

/** Letters of notify-flags.ts. */
export const NOTIFY_FLAGS: Kind<number> = {
  label: 'letters of K E S T I V g $ l s h z x e t d m n A, or ""',
  takesList: false,
  parse: args => {
    if (args.length !== 1) return new Refusal("wrong number of arguments")
    return parseNotifyFlags(args[0]!) ?? new Refusal("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
  },
  format: formatNotifyFlags,
  lines: flags => [{ text: quoteArgument(formatNotifyFlags(flags)), isForced: flags !== 0 }],
}

const OOM_SCORE_CLASSES = 3

/** Scores for a primary, a replica and background work. */
export const OOM_SCORES: Kind<readonly number[]> = {
  label: "three numbers -2000 … 2000",
  takesList: true,
  parse: args => {
    if (args.length !== OOM_SCORE_CLASSES) return new Refusal("wrong number of arguments")
    const scores: number[] = []
    for (const arg of args) {
      const score = wholeNumber(arg, -2000, 2000)
      if (score === undefined)
        return new Refusal("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
      scores.push(score)
    }
    return scores
  },
  format: scores => scores.join(" "),
  lines: (scores, initial) => [{ text: scores.join(" "), isForced: scores.join(" ") !== initial.join(" ") }],
}

/** The working directory: a rewritten file always names it. Whether it exists is the server's to say. */
export const DIRECTORY: Kind<string> = {
  label: "path",
  takesList: false,
  parse: args => (args.length === 1 ? args[0]! : new Refusal("wrong number of arguments")),
  format: path => path,
  lines: path => [{ text: quoteArgument(path), isForced: path !== "." }],
}
