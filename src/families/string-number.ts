/**
 * Strings as numbers: INCR and relatives.
 *
 * An integer is kept as its text, so INCR parses and prints; as long as the number of digits stays the same it prints over
 * the old text. Integers beyond 2^53 take a slower way through bigints.
 */

import { bytesOf } from "../bytes/compare.ts"
import {
  addInt64,
  INT64_MIN,
  INT64_TEXT_BYTES_MAX,
  integerLength,
  normalizeInteger,
  parseInt64,
  parseSafeInteger,
  writeBigInt,
  writeInteger,
} from "../bytes/int64.ts"
import {
  addLongDouble,
  formatLongDoubleHuman,
  isFiniteLongDouble,
  type LongDouble,
  parseLongDouble,
} from "../bytes/long-double.ts"
import type { Call } from "../command/context.ts"
import { NOT_FLOAT, NOT_INTEGER, OVERFLOW } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, kindOfLength, ValueType } from "../keyspace/kinds.ts"
import { storeBytes } from "./string-value.ts"

const MAX_SAFE = Number.MAX_SAFE_INTEGER
const text = new Uint8Array(INT64_TEXT_BYTES_MAX)

export const stringNumberCommands: readonly CommandSpec[] = [
  {
    name: "decr",
    since: "1.0.0",
    group: "string",
    arity: 2,
    flags: "write denyoom fast",
    keys: "RW access update @1",
    syntax: "key",
    summary: "Subtracts one from an integer; a missing key counts as 0.",
    complexity: "O(1)",
    run: decr,
  },
  {
    name: "decrby",
    since: "1.0.0",
    group: "string",
    arity: 3,
    flags: "write denyoom fast",
    keys: "RW access update @1",
    syntax: "key decrement:integer",
    summary: "Subtracts from an integer; a missing key counts as 0.",
    complexity: "O(1)",
    run: decrby,
  },
  {
    name: "incr",
    since: "1.0.0",
    group: "string",
    arity: 2,
    flags: "write denyoom fast",
    keys: "RW access update @1",
    syntax: "key",
    summary: "Adds one to an integer; a missing key counts as 0.",
    complexity: "O(1)",
    run: incr,
  },
  {
    name: "incrby",
    since: "1.0.0",
    group: "string",
    arity: 3,
    flags: "write denyoom fast",
    keys: "RW access update @1",
    syntax: "key increment:integer",
    summary: "Adds to an integer; a missing key counts as 0.",
    complexity: "O(1)",
    run: incrby,
  },
  {
    name: "incrbyfloat",
    since: "2.6.0",
    group: "string",
    arity: 3,
    flags: "write denyoom fast",
    keys: "RW access update @1",
    syntax: "key increment:double",
    summary: "Adds to a floating point number; a missing key counts as 0.",
    complexity: "O(1)",
    run: incrbyfloat,
  },
]

function incr(call: Call): void {
  increment(call, 1)
}

function decr(call: Call): void {
  increment(call, -1)
}

function incrby(call: Call): void {
  const step = call.args.int64(2)
  if (step === undefined) call.reply.error(NOT_INTEGER)
  else increment(call, step)
}

function decrby(call: Call): void {
  const step = call.args.int64(2)
  if (step === undefined) call.reply.error(NOT_INTEGER)
  else if (step === INT64_MIN) call.reply.error("ERR decrement would overflow")
  else increment(call, typeof step === "number" ? 0 - step : normalizeInteger(-step))
}

function increment(call: Call, step: number | bigint): void {
  const address = call.writeTyped(1, ValueType.String)
  if (address < 0) return
  if (address === 0 || typeof step !== "number") {
    incrementWide(call, address, step)
    return
  }
  const { keys } = call.db
  keys.readValue(address)
  const sum = parseSafeInteger(keys.valueBytes, keys.valueStart, keys.valueEnd) + step
  if (sum >= -MAX_SAFE && sum <= MAX_SAFE) {
    const length = integerLength(sum)
    const own = length === keys.valueEnd - keys.valueStart ? keys.ownValue(address) : keys.resizeValue(address, length)
    writeInteger(keys.valueBytes, keys.valueStart, sum)
    keys.setType(own, Kind.StringInt)
    call.changed(1, Notify.String, "incrby")
    call.reply.integer(sum)
  } else incrementWide(call, address, step)
}

/** `increment` where the key is missing, or the value, the step or the sum may not be a safe integer. */
function incrementWide(call: Call, address: number, step: number | bigint): void {
  const { db, args } = call
  const { keys } = db
  let value: number | bigint | undefined = 0
  if (address !== 0) {
    keys.readValue(address)
    value = parseInt64(keys.valueBytes, keys.valueStart, keys.valueEnd)
    if (value === undefined) {
      call.reply.error(NOT_INTEGER)
      return
    }
  }
  const sum = addInt64(value, step)
  if (sum === undefined) {
    call.reply.error(OVERFLOW)
    return
  }
  const length = typeof sum === "number" ? writeInteger(text, 0, sum) : writeBigInt(text, 0, sum)
  storeBytes(db, args, 1, Kind.StringInt, text, length, address === 0 ? 0 : keys.expiry(address))
  call.changed(1, Notify.String, "incrby")
  call.reply.int64(sum)
}

function incrbyfloat(call: Call): void {
  const { db, args, reply } = call
  const { keys } = db
  const address = call.writeTyped(1, ValueType.String)
  if (address < 0) return
  let value: LongDouble | undefined = 0
  if (address !== 0) {
    keys.readValue(address)
    value = parseLongDouble(keys.valueBytes, keys.valueStart, keys.valueEnd)
  }
  const step = value === undefined ? undefined : parseLongDouble(args.bytes, args.start(2), args.end(2))
  if (value === undefined || step === undefined) {
    reply.error(NOT_FLOAT)
    return
  }
  const sum = addLongDouble(value, step)
  if (!isFiniteLongDouble(sum)) {
    reply.error("ERR increment would produce NaN or Infinity")
    return
  }
  const digits = bytesOf(formatLongDoubleHuman(sum))
  const expiry = address === 0 ? 0 : keys.expiry(address)
  storeBytes(db, args, 1, kindOfLength(digits.length), digits, digits.length, expiry)
  call.changed(1, Notify.String, "incrbyfloat")
  reply.bulk(digits, 0, digits.length)
  call.propagation
    .effect(db, 4)
    .word("SET")
    .arg(args.bytes, args.start(1), args.end(1))
    .arg(digits, 0, digits.length)
    .word("KEEPTTL")
}
