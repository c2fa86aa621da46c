/**
 * The options of SET, GETEX and MSETEX, and expiry arguments as moments.
 *
 * Redis's rules, which are laxer than its documentation: an option may be repeated (the last one counts), and only options
 * that exclude each other are syntax errors.
 */

import type { Call } from "../command/context.ts"
import { invalidExpire, NOT_INTEGER, SYNTAX } from "../command/errors.ts"
import type { Arguments } from "../resp/arguments.ts"

/** How an expiry is given; 0 where none is. */
export const ExpiryForm = { None: 0, Seconds: 1, Milliseconds: 2, UnixSeconds: 3, UnixMilliseconds: 4 } as const
export type ExpiryForm = (typeof ExpiryForm)[keyof typeof ExpiryForm]

export const Condition = {
  None: 0,
  Absent: 1,
  Present: 2,
  Equal: 3,
  Unequal: 4,
  DigestEqual: 5,
  DigestUnequal: 6,
} as const
export type Condition = (typeof Condition)[keyof typeof Condition]

/** What a command accepts beside the expiry forms. */
export const Accepts = { Conditions: 1, Comparisons: 2, Get: 4, KeepTtl: 8, Persist: 16 } as const

const INT64_MAX = 9223372036854775807n
/** The largest double below 2^63, which stands for every later moment. */
const MOMENT_MAX = 2 ** 63 - 1024
/** Far from every bound, so that plain arithmetic is right: about the year 5000 as milliseconds. */
const PLAIN_MAX = 2 ** 46

/** Options of one call. One object is used again and again; it is valid until the next parse. */
export class StringOptions {
  condition: Condition = Condition.None
  /** Argument number of the value or digest compared with. */
  conditionIndex = 0
  expiryForm: ExpiryForm = ExpiryForm.None
  /** Argument number of the expiry. */
  expiryIndex = 0
  get = false
  keepTtl = false
  persist = false

  /** Reads the arguments from `from` on; false after having answered with a syntax error. */
  parse(call: Call, from: number, accepts: number): boolean {
    const { args } = call
    this.condition = Condition.None
    this.expiryForm = ExpiryForm.None
    this.get = this.keepTtl = this.persist = false
    let i = from
    while (i < args.count) {
      const taken = this.take(args, i, accepts)
      if (taken === 0) {
        call.reply.error(SYNTAX)
        return false
      }
      i += taken
    }
    return true
  }

  /** Takes the option that begins at argument `i`; returns how many arguments it spans, 0 for a syntax error. */
  private take(args: Arguments, i: number, accepts: number): number {
    switch (args.length(i)) {
      case 2:
        if (args.is(i, "ex")) return this.takeExpiry(args, i, ExpiryForm.Seconds)
        if (args.is(i, "px")) return this.takeExpiry(args, i, ExpiryForm.Milliseconds)
        if ((accepts & Accepts.Conditions) === 0) return 0
        if (args.is(i, "nx")) return this.takeCondition(Condition.Absent)
        return args.is(i, "xx") ? this.takeCondition(Condition.Present) : 0
      case 3:
        if ((accepts & Accepts.Get) === 0 || !args.is(i, "get")) return 0
        this.get = true
        return 1
      case 4:
        if (args.is(i, "exat")) return this.takeExpiry(args, i, ExpiryForm.UnixSeconds)
        if (args.is(i, "pxat")) return this.takeExpiry(args, i, ExpiryForm.UnixMilliseconds)
        if (args.is(i, "ifeq")) return this.takeComparison(args, i, accepts, Condition.Equal)
        return args.is(i, "ifne") ? this.takeComparison(args, i, accepts, Condition.Unequal) : 0
      case 5:
        if (args.is(i, "ifdeq")) return this.takeComparison(args, i, accepts, Condition.DigestEqual)
        return args.is(i, "ifdne") ? this.takeComparison(args, i, accepts, Condition.DigestUnequal) : 0
      case 7:
        if (this.expiryForm !== ExpiryForm.None) return 0
        if ((accepts & Accepts.KeepTtl) !== 0 && args.is(i, "keepttl")) {
          this.keepTtl = true
          return 1
        }
        if ((accepts & Accepts.Persist) === 0 || !args.is(i, "persist")) return 0
        this.persist = true
        return 1
      default:
        return 0
    }
  }

  private takeExpiry(args: Arguments, i: number, form: ExpiryForm): number {
    if (i + 1 >= args.count || this.keepTtl || this.persist) return 0
    if (this.expiryForm !== ExpiryForm.None && this.expiryForm !== form) return 0
    this.expiryForm = form
    this.expiryIndex = i + 1
    return 2
  }

  private takeCondition(condition: Condition): number {
    if (this.condition !== Condition.None && this.condition !== condition) return 0
    this.condition = condition
    return 1
  }

  private takeComparison(args: Arguments, i: number, accepts: number, condition: Condition): number {
    if ((accepts & Accepts.Comparisons) === 0 || i + 1 >= args.count) return 0
    if (this.takeCondition(condition) === 0) return 0
    this.conditionIndex = i + 1
    return 2
  }
}

/**
 * The moment (ms since 1970) that argument `i` means, above 0; NaN after having answered with an error. Moments beyond 2^53
 * lose their last digits.
 */
export function momentOf(call: Call, i: number, form: ExpiryForm): number {
  const given = call.args.int64(i)
  if (given === undefined) {
    call.reply.error(NOT_INTEGER)
    return Number.NaN
  }
  const inSeconds = form === ExpiryForm.Seconds || form === ExpiryForm.UnixSeconds
  const base = form === ExpiryForm.Seconds || form === ExpiryForm.Milliseconds ? call.now : 0
  if (typeof given === "number" && given > 0 && given < PLAIN_MAX) return base + (inSeconds ? given * 1000 : given)
  const moment = BigInt(given) * (inSeconds ? 1000n : 1n) + BigInt(base)
  if (given > 0 && moment <= INT64_MAX) return Math.min(Number(moment), MOMENT_MAX)
  call.reply.error(invalidExpire(call.command.fullName))
  return Number.NaN
}
