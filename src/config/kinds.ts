/**
 * The kinds of value a directive can have: how its arguments become a value, and the value's two texts.
 *
 * `parse` gets the arguments after the name (CONFIG SET and a file deliver the same), and the value that holds now for
 * the kinds that change only a part of it. `format` is the text of CONFIG GET; parsing it again gives an equal value.
 * `lines` gives what CONFIG REWRITE writes after the name, one entry per line; none means the directive is removed.
 */

import { quoteArgument } from "./arguments.ts"
import { formatMemorySize, parseMemorySize } from "./memory-size.ts"
import { Refusal } from "./refusal.ts"

export interface RewriteLine {
  text: string
  /** Write the line even where the file has none for this directive. */
  isForced: boolean
}

export interface Kind<T> {
  /** What the documentation says about accepted values. */
  readonly label: string
  /** Takes several arguments: a line of the file may have them, and CONFIG SET splits its value at single spaces. */
  readonly takesList: boolean
  parse(args: readonly string[], current: T): T | Refusal
  format(value: T): string
  lines(value: T, initial: T): RewriteLine[]
}

export const INT_MAX = 2 ** 31 - 1
export const INT_MIN = -(2 ** 31)
export const UINT_MAX = 2 ** 32 - 1
/** Bounds past 2^53 are bigints so that the texts of refusals are exact; values past it are rounded. */
export const LONG_MAX = 2n ** 63n - 1n
export const ULONG_MAX = 2n ** 64n - 1n

const WRONG_COUNT = new Refusal("wrong number of arguments")

function simple<T>(
  label: string,
  parse: (text: string) => T | Refusal,
  format: (value: T) => string,
  rewritten: (value: T) => string = format,
): Kind<T> {
  return {
    label,
    takesList: false,
    parse: args => (args.length === 1 ? parse(args[0]!) : WRONG_COUNT),
    format,
    lines: (value, initial) => [{ text: rewritten(value), isForced: value !== initial }],
  }
}

export const YES_NO: Kind<boolean> = simple(
  "yes, no",
  text => {
    const word = text.toLowerCase()
    if (word === "yes") return true
    return word === "no" ? false : new Refusal("argument must be 'yes' or 'no'")
  },
  value => (value ? "yes" : "no"),
)

/** A switch that cannot be turned on here: `yes` is refused with the reason rather than accepted and ignored. */
export function alwaysNo(reason: string): Kind<boolean> {
  return {
    ...YES_NO,
    label: "no",
    parse: (args, current) => {
      const value = YES_NO.parse(args, current)
      return value === true ? new Refusal(reason) : value
    },
  }
}

const notOneOf = (words: readonly string[]) =>
  new Refusal(`argument(s) must be one of the following: ${words.join(", ")}`)

/** One of several words, in any case. `synonyms` maps further accepted words to the word they mean. */
export function oneOf<const W extends string>(
  words: readonly W[],
  synonyms: Readonly<Record<string, NoInfer<W>>> = {},
  listed: readonly string[] = [...words, ...Object.keys(synonyms)],
): Kind<W> {
  return simple(
    listed.join(", "),
    text => {
      const word = text.toLowerCase()
      const known = words.find(known => known === word)
      return known ?? (Object.hasOwn(synonyms, word) ? synonyms[word]! : notOneOf(listed))
    },
    value => value,
  )
}

/** Any number of words; the empty set is written as `none`. Values keep the order of `words`. */
export function someOf<const W extends string>(
  none: string,
  words: readonly W[],
  check: (chosen: readonly W[]) => Refusal | undefined,
): Kind<readonly W[]> {
  const listed = [none, ...words]
  const format = (value: readonly W[]) => (value.length === 0 ? none : value.join(" "))
  return {
    label: `${none}, or some of ${words.join(", ")}`,
    takesList: true,
    parse: args => {
      const given = args.map(arg => arg.toLowerCase())
      if (given.length === 0 || given.some(word => !listed.includes(word))) return notOneOf(listed)
      const chosen = words.filter(word => given.includes(word))
      return check(chosen) ?? chosen
    },
    format,
    lines: (value, initial) => [{ text: format(value), isForced: format(value) !== format(initial) }],
  }
}

const outside = (min: bigint, max: bigint, radix = 10) =>
  new Refusal(`argument must be between ${min.toString(radix)} and ${max.toString(radix)} inclusive`)

/** Exact digits of a value of which only the magnitude may be exact: never past the bound it was checked against. */
function digits(value: number, max: bigint): bigint {
  const exact = BigInt(value)
  return exact > max ? max : exact
}

export interface IntegerOptions {
  min: number | bigint
  max: number | bigint
  /** Accepted values outside this range are moved to its nearer end, silently. */
  clamp?: readonly [number, number]
}

/** A decimal 64-bit integer without leading zeros or plus sign. */
export function integer({ min, max, clamp }: IntegerOptions): Kind<number> {
  const low = BigInt(min)
  const high = BigInt(max)
  return simple(
    `${low} … ${describeBound(high)}`,
    text => {
      if (!/^(0|-?[1-9][0-9]{0,18})$/.test(text)) return new Refusal("argument couldn't be parsed into an integer")
      const value = BigInt(text)
      if (value > LONG_MAX || value < -LONG_MAX - 1n) return new Refusal("argument couldn't be parsed into an integer")
      if (value < low || value > high) return outside(low, high)
      return clamp === undefined ? Number(value) : Math.min(Math.max(Number(value), clamp[0]), clamp[1])
    },
    value => String(digits(value, high)),
  )
}

/** An amount of memory in bytes, with the units of memory-size.ts. */
export function memory({ min, max }: { min: number | bigint; max: number | bigint }): Kind<number> {
  const low = BigInt(min)
  const high = BigInt(max)
  return simple(
    `memory, ${formatMemorySize(low)} … ${describeBound(high)}`,
    text => {
      const bytes = parseMemorySize(text)
      if (bytes === undefined) return new Refusal("argument must be a memory value")
      return bytes < low || bytes > high ? outside(low, high) : Number(bytes)
    },
    value => String(digits(value, high)),
    value => formatMemorySize(digits(value, high)),
  )
}

/** Bytes, or a percentage of maxmemory, which is kept as its negative: `10%` is -10. */
export const MEMORY_OR_PERCENT: Kind<number> = simple(
  "memory, or a percentage of maxmemory",
  text => {
    const percent = /^(0|[1-9][0-9]{0,17})%$/.exec(text)
    if (percent !== null) {
      const value = Number(percent[1])
      if (value > 100) return new Refusal("percentage argument must be less or equal to 100")
      return value === 0 ? 0 : -value
    }
    const bytes = parseMemorySize(text)
    if (bytes === undefined) return new Refusal("argument must be a memory or percent value")
    return bytes > LONG_MAX ? outside(-100n, LONG_MAX) : Number(bytes)
  },
  value => (value < 0 ? `${-value}%` : String(digits(value, LONG_MAX))),
  value => (value < 0 ? `${-value}%` : formatMemorySize(digits(value, LONG_MAX))),
)

/** File permissions, written in octal. */
export function octal({ max }: { max: number }): Kind<number> {
  return simple(
    `octal, 0 … ${max.toString(8)}`,
    text => {
      const match = /^([-+]?)([0-7]{0,21})$/.exec(text)
      if (match === null) return new Refusal("argument couldn't be parsed as an octal number")
      const value = Number.parseInt(match[2] || "0", 8)
      return value > max || (match[1] === "-" && value > 0) ? outside(0n, BigInt(max), 8) : value
    },
    value => value.toString(8),
  )
}

export interface TextOptions {
  label?: string
  /** The empty text means "not set": such a directive vanishes from a rewritten file. */
  emptyIsUnset?: boolean
  check?: (text: string) => Refusal | undefined
}

export function text({ label = "text", emptyIsUnset = false, check }: TextOptions = {}): Kind<string> {
  return {
    label,
    takesList: false,
    parse: args => (args.length === 1 ? (check?.(args[0]!) ?? args[0]!) : WRONG_COUNT),
    format: value => value,
    lines: (value, initial) =>
      emptyIsUnset && value === "" ? [] : [{ text: quoteArgument(value), isForced: value !== initial }],
  }
}

/** A bound for people: powers of two by name, the rest in digits. */
function describeBound(bound: bigint): string {
  if (bound === ULONG_MAX) return "2^64-1"
  if (bound === LONG_MAX) return "2^63-1"
  if (bound === BigInt(INT_MAX)) return "2^31-1"
  if (bound === BigInt(UINT_MAX)) return "2^32-1"
  return String(bound)
}
