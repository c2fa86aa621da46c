/**
 * INCREX: increments an integer or a float within bounds, and sets its expiry in the same step.
 *
 * A result out of bounds (or out of the type) is declined, so that neither value nor expiry change, or with SATURATE cut to
 * the bound. Since the outcome depends on what was there, it is propagated as a SET of the result.
 */

import { bytesOf } from "../bytes/compare.ts"
import { INT64_MAX, INT64_MIN, normalizeInteger, parseInt64, toInt64 } from "../bytes/int64.ts"
import {
  addLongDouble,
  formatLongDoubleHuman,
  isFiniteLongDouble,
  type LongDouble,
  parseLongDouble,
} from "../bytes/long-double.ts"
import type { Call } from "../command/context.ts"
import { NOT_FLOAT, NOT_INTEGER, OVERFLOW, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, kindOfLength, ValueType } from "../keyspace/kinds.ts"
import type { Arguments } from "../resp/arguments.ts"
import { ExpiryForm, momentOf } from "./string-options.ts"
import { storeBytes } from "./string-value.ts"

export const stringIncrexCommands: readonly CommandSpec[] = [
  {
    name: "increx",
    since: "8.8.0",
    group: "string",
    arity: -2,
    flags: "write denyoom fast",
    keys: "RW access update @1",
    syntax:
      "key [increment=BYFLOAT float:double|BYINT integer:integer] [SATURATE] [LBOUND lowerbound:string] " +
      "[UBOUND upperbound:string] [expiration=EX seconds:integer|PX milliseconds:integer|" +
      "EXAT unix-time-seconds:unix-time|PXAT unix-time-milliseconds:unix-time|PERSIST] [ENX]",
    summary: "Adds to a number within bounds and sets its expiry; a missing key counts as 0.",
    complexity: "O(1)",
    run: increx,
  },
]

interface Options {
  isFloat: boolean
  /** Argument numbers; 0 when not given. */
  stepIndex: number
  lowerIndex: number
  upperIndex: number
  expiryIndex: number
  expiryForm: ExpiryForm
  saturates: boolean
  persists: boolean
  /** Set the expiry only where there is none. */
  keepsExpiry: boolean
}

/** What an increment came to; declined ones have the old value and no step. */
interface Outcome {
  value: string
  applied: string
  isDeclined: boolean
}

const EXPIRY_FORMS: readonly (readonly [string, ExpiryForm])[] = [
  ["ex", ExpiryForm.Seconds],
  ["px", ExpiryForm.Milliseconds],
  ["exat", ExpiryForm.UnixSeconds],
  ["pxat", ExpiryForm.UnixMilliseconds],
]

function increx(call: Call): void {
  const { reply } = call
  const options = parseOptions(call.args)
  if (typeof options === "string") {
    reply.error(options)
    return
  }
  const operands = options.isFloat ? floatOperands(call, options) : integerOperands(call, options)
  if (typeof operands === "string") {
    reply.error(operands)
    return
  }
  const moment = options.expiryIndex === 0 ? 0 : momentOf(call, options.expiryIndex, options.expiryForm)
  if (Number.isNaN(moment)) return
  const address = call.writeTyped(1, ValueType.String)
  if (address < 0) return
  const outcome = operands(address)
  if (typeof outcome === "string") {
    reply.error(outcome)
    return
  }
  reply.array(2)
  for (const number of [outcome.value, outcome.applied]) {
    if (!options.isFloat) reply.raw(bytesOf(`:${number}\r\n`))
    else if (reply.resp3) reply.raw(bytesOf(`,${number}\r\n`))
    else reply.bulkText(number)
  }
  if (!outcome.isDeclined) store(call, address, outcome.value, options, moment)
}

function store(call: Call, address: number, text: string, options: Options, moment: number): void {
  const { args, db, propagation } = call
  const before = address === 0 ? 0 : db.keys.expiry(address)
  const setsExpiry = moment !== 0 && !(options.keepsExpiry && before !== 0)
  const keyStart = args.start(1)
  const keyEnd = args.end(1)
  const isPast = setsExpiry && options.expiryForm >= ExpiryForm.UnixSeconds && moment <= call.now
  if (isPast && !call.keyspace.expiryPaused) {
    if (address === 0) return
    call.removeKey(1, address)
    propagation.effect(db, 2).word("DEL").arg(args.bytes, keyStart, keyEnd)
    return
  }
  const digits = bytesOf(text)
  const expiry = setsExpiry ? moment : options.persists ? 0 : before
  const kind = options.isFloat ? kindOfLength(digits.length) : Kind.StringInt
  storeBytes(db, args, 1, kind, digits, digits.length, expiry)
  call.changed(1, Notify.String, options.isFloat ? "incrbyfloat" : "incrby")
  const { events } = call.keyspace
  const removesExpiry = options.persists && before !== 0
  if (setsExpiry) events.notify(Notify.Generic, "expire", db, args.bytes, keyStart, keyEnd)
  else if (removesExpiry) events.notify(Notify.Generic, "persist", db, args.bytes, keyStart, keyEnd)
  const writer = propagation.effect(db, setsExpiry ? 5 : removesExpiry ? 3 : 4).word("SET")
  writer.arg(args.bytes, keyStart, keyEnd).arg(digits, 0, digits.length)
  if (setsExpiry) writer.word("PXAT").number(moment)
  else if (!removesExpiry) writer.word("KEEPTTL")
}

/** The options, or an error. None may be given twice. */
function parseOptions(args: Arguments): Options | string {
  const options: Options = {
    isFloat: false,
    stepIndex: 0,
    lowerIndex: 0,
    upperIndex: 0,
    expiryIndex: 0,
    expiryForm: ExpiryForm.None,
    saturates: false,
    persists: false,
    keepsExpiry: false,
  }
  for (let i = 2; i < args.count; i++) {
    const hasValue = i + 1 < args.count
    const form = EXPIRY_FORMS.find(([word]) => args.is(i, word))
    if (args.is(i, "saturate") && !options.saturates) options.saturates = true
    else if (args.is(i, "enx") && !options.keepsExpiry && !options.persists) options.keepsExpiry = true
    else if (args.is(i, "persist") && !options.persists && !options.keepsExpiry && options.expiryIndex === 0) {
      options.persists = true
    } else if (!hasValue) return SYNTAX
    else if ((args.is(i, "byint") || args.is(i, "byfloat")) && options.stepIndex === 0) {
      options.isFloat = args.is(i, "byfloat")
      options.stepIndex = ++i
    } else if (args.is(i, "lbound") && options.lowerIndex === 0) options.lowerIndex = ++i
    else if (args.is(i, "ubound") && options.upperIndex === 0) options.upperIndex = ++i
    else if (form !== undefined && options.expiryIndex === 0 && !options.persists) {
      options.expiryForm = form[1]
      options.expiryIndex = ++i
    } else return SYNTAX
  }
  if (options.keepsExpiry && options.expiryIndex === 0) return "ERR ENX flag requires an expiration"
  return options
}

/** What is to be done with a record (0: missing), or the error of the first operand that is none. */
type Operation = (address: number) => Outcome | string

function integerOperands(call: Call, options: Options): Operation | string {
  const step = options.stepIndex === 0 ? 1 : call.args.int64(options.stepIndex)
  if (step === undefined) return "ERR Increment is not an integer or out of range"
  const lower = options.lowerIndex === 0 ? INT64_MIN : call.args.int64(options.lowerIndex)
  if (lower === undefined) return "ERR LBOUND is not an integer or out of range"
  const upper = options.upperIndex === 0 ? INT64_MAX : call.args.int64(options.upperIndex)
  if (upper === undefined) return "ERR UBOUND is not an integer or out of range"
  if (lower > upper) return "ERR LBOUND can't be greater than UBOUND"
  return address => {
    const { keys } = call.db
    if (address !== 0) keys.readValue(address)
    const value = address === 0 ? 0 : parseInt64(keys.valueBytes, keys.valueStart, keys.valueEnd)
    if (value === undefined) return NOT_INTEGER
    const sum = BigInt(value) + BigInt(step)
    const within = sum > upper ? BigInt(upper) : sum < lower ? BigInt(lower) : sum
    if (within !== sum && !options.saturates) return { value: value.toString(), applied: "0", isDeclined: true }
    const applied = toInt64(within - BigInt(value))
    if (applied === undefined) return OVERFLOW
    return { value: normalizeInteger(within).toString(), applied: applied.toString(), isDeclined: false }
  }
}

/** The largest extended float. */
const FLOAT_MAX: LongDouble = { negative: false, mantissa: 2n ** 64n - 1n, exponent: 16384 - 64 }
const NOT_FINITE = "ERR increment would produce NaN or Infinity"

function floatOperands(call: Call, options: Options): Operation | string {
  const { args } = call
  const read = (i: number): LongDouble | undefined => parseLongDouble(args.bytes, args.start(i), args.end(i))
  const step = read(options.stepIndex)
  if (step === undefined) return "ERR Increment is not a valid float"
  const lower = options.lowerIndex === 0 ? negated(FLOAT_MAX) : read(options.lowerIndex)
  if (lower === undefined) return "ERR LBOUND is not a valid float"
  const upper = options.upperIndex === 0 ? FLOAT_MAX : read(options.upperIndex)
  if (upper === undefined) return "ERR UBOUND is not a valid float"
  if (isGreater(lower, upper)) return "ERR LBOUND can't be greater than UBOUND"
  return address => {
    const { keys } = call.db
    if (address !== 0) keys.readValue(address)
    const value = address === 0 ? 0 : parseLongDouble(keys.valueBytes, keys.valueStart, keys.valueEnd)
    if (value === undefined) return NOT_FLOAT
    const sum = addLongDouble(value, step)
    if (typeof sum === "number" && Number.isNaN(sum)) return NOT_FINITE
    const isAbove = isGreater(sum, upper)
    const isBelow = isGreater(lower, sum)
    const old = formatLongDoubleHuman(value)
    if ((isAbove || isBelow) && !options.saturates) return { value: old, applied: "0", isDeclined: true }
    const within = isAbove ? upper : isBelow ? lower : sum
    const applied = isAbove || isBelow ? addLongDouble(within, negated(value)) : step
    if (!isFiniteLongDouble(within) || !isFiniteLongDouble(applied)) return NOT_FINITE
    return { value: formatLongDoubleHuman(within), applied: formatLongDoubleHuman(applied), isDeclined: false }
  }
}

function negated(value: LongDouble): LongDouble {
  return typeof value === "number" ? 0 - value : { ...value, negative: !value.negative }
}

function isGreater(a: LongDouble, b: LongDouble): boolean {
  if (!isFiniteLongDouble(a) && a === b) return false
  const difference = addLongDouble(a, negated(b))
  if (typeof difference === "number") return difference > 0
  return !difference.negative && difference.mantissa !== 0n
}
