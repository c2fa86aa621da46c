/**
 * Hashes: fields with a time to live.
 *
 * Times are kept as ms of Unix time and go to the append-only file and replicas as such. A time that is not in the future
 * removes the field, which goes on as HDEL.
 */

import type { Call } from "../command/context.ts"
import { invalidExpire, NOT_INTEGER } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { CONDITION_NAMES, Condition, conditionAt, meetsCondition, Outcome } from "./expiry-condition.ts"
import { hash } from "./hash-store.ts"
import { tellFieldList } from "./hash-subkeys.ts"

/** The latest time a field can expire at, in ms: 46 bits, as Redis has it. */
const TIME_MAX = 2 ** 46 - 1
const NEGATIVE_TIME = "ERR invalid expire time, must be >= 0"
const FIELDS_MISSING = "ERR Mandatory argument FIELDS is missing or not at the right position"
const FIELD_COUNT_MISMATCH = "ERR The `numfields` parameter must match the number of arguments"
const FIELD_COUNT_NOT_POSITIVE = "ERR Number of fields must be a positive integer"
const FIELD_COUNT_ZERO = "ERR Parameter `numFields` should be greater than 0"

/** Argument numbers of the fields that the running command has changed. */
const changedFields: number[] = []

export const hashExpiryCommands: readonly CommandSpec[] = [
  {
    name: "hexpire",
    since: "7.4.0",
    group: "hash",
    arity: -6,
    flags: "write denyoom fast",
    keys: "RW update @1",
    syntax: "key seconds:integer [condition=NX|XX|GT|LT] FIELDS(numfields:integer field...)",
    summary: "Lets fields of a hash expire after a number of seconds.",
    complexity: "O(N), N fields",
    run: hexpire,
  },
  {
    name: "hpexpire",
    since: "7.4.0",
    group: "hash",
    arity: -6,
    flags: "write denyoom fast",
    keys: "RW update @1",
    syntax: "key milliseconds:integer [condition=NX|XX|GT|LT] FIELDS(numfields:integer field...)",
    summary: "Lets fields of a hash expire after a number of milliseconds.",
    complexity: "O(N), N fields",
    run: hpexpire,
  },
  {
    name: "hexpireat",
    since: "7.4.0",
    group: "hash",
    arity: -6,
    flags: "write denyoom fast",
    keys: "RW update @1",
    syntax: "key unix-time-seconds:unix-time [condition=NX|XX|GT|LT] FIELDS(numfields:integer field...)",
    summary: "Lets fields of a hash expire at a Unix time in seconds.",
    complexity: "O(N), N fields",
    run: hexpireat,
  },
  {
    name: "hpexpireat",
    since: "7.4.0",
    group: "hash",
    arity: -6,
    flags: "write denyoom fast",
    keys: "RW update @1",
    syntax: "key unix-time-milliseconds:unix-time [condition=NX|XX|GT|LT] FIELDS(numfields:integer field...)",
    summary: "Lets fields of a hash expire at a Unix time in milliseconds.",
    complexity: "O(N), N fields",
    run: hpexpireat,
  },
  {
    name: "hexpiretime",
    since: "7.4.0",
    group: "hash",
    arity: -5,
    flags: "readonly fast",
    keys: "RO access @1",
    syntax: "key FIELDS(numfields:integer field...)",
    summary: "Gives the Unix times in seconds at which fields of a hash expire.",
    complexity: "O(N), N fields",
    run: hexpiretime,
  },
  {
    name: "hpexpiretime",
    since: "7.4.0",
    group: "hash",
    arity: -5,
    flags: "readonly fast",
    keys: "RO access @1",
    syntax: "key FIELDS(numfields:integer field...)",
    summary: "Gives the Unix times in milliseconds at which fields of a hash expire.",
    complexity: "O(N), N fields",
    run: hpexpiretime,
  },
  {
    name: "hpersist",
    since: "7.4.0",
    group: "hash",
    arity: -5,
    flags: "write fast",
    keys: "RW update @1",
    syntax: "key FIELDS(numfields:integer field...)",
    summary: "Removes the expiry of fields of a hash.",
    complexity: "O(N), N fields",
    run: hpersist,
  },
  {
    name: "httl",
    since: "7.4.0",
    group: "hash",
    arity: -5,
    flags: "readonly fast",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key FIELDS(numfields:integer field...)",
    summary: "Gives the seconds that fields of a hash have left.",
    complexity: "O(N), N fields",
    run: httl,
  },
  {
    name: "hpttl",
    since: "7.4.0",
    group: "hash",
    arity: -5,
    flags: "readonly fast",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key FIELDS(numfields:integer field...)",
    summary: "Gives the milliseconds that fields of a hash have left.",
    complexity: "O(N), N fields",
    run: hpttl,
  },
]

// ---- arguments ------------------------------------------------------------------------------------------------------

/** The time that is argument `i`, as ms of Unix time; -1 after an error reply. `baseMs` is added to it. */
export function expiryTime(call: Call, i: number, unitMs: number, baseMs: number): number {
  const given = call.args.int64(i)
  if (given === undefined) {
    call.reply.error(NOT_INTEGER)
    return -1
  }
  if (given < 0) {
    call.reply.error(NEGATIVE_TIME)
    return -1
  }
  const time = Number(given) * unitMs
  if (time > TIME_MAX - baseMs) {
    call.reply.error(invalidExpire(call.command.fullName))
    return -1
  }
  return time + baseMs
}

/** Checks that `FIELDS count field…` begins at argument `i` and fills the rest; false after an error reply. */
export function checkFields(call: Call, i: number, badCount = FIELD_COUNT_NOT_POSITIVE): boolean {
  const { args, reply } = call
  if (i >= args.count || !args.is(i, "fields")) {
    reply.error(FIELDS_MISSING)
    return false
  }
  const count = i + 1 < args.count ? args.int64(i + 1) : undefined
  if (count === undefined) reply.error(badCount)
  else if (count < 1) reply.error(badCount)
  else if (Number(count) !== args.count - i - 2) reply.error(FIELD_COUNT_MISMATCH)
  else return true
  return false
}

/** The same answer for all fields from argument `i` on, as there is no hash. */
function noFields(call: Call, i: number): void {
  const { args, reply } = call
  reply.array(args.count - i)
  for (; i < args.count; i++) reply.integer(Outcome.Absent)
}

// ---- setting --------------------------------------------------------------------------------------------------------

function hexpire(call: Call): void {
  expireFields(call, 1000, call.now)
}

function hpexpire(call: Call): void {
  expireFields(call, 1, call.now)
}

function hexpireat(call: Call): void {
  expireFields(call, 1000, 0)
}

function hpexpireat(call: Call): void {
  expireFields(call, 1, 0)
}

function expireFields(call: Call, unitMs: number, baseMs: number): void {
  const { args, reply } = call
  if (!hash.write(call)) return
  const time = expiryTime(call, 2, unitMs, baseMs)
  if (time < 0) return
  const condition = conditionAt(call, 3)
  const fieldsAt = condition === Condition.None ? 3 : 4
  if (!checkFields(call, fieldsAt, FIELD_COUNT_ZERO)) return
  const first = fieldsAt + 2
  if (!hash.exists) {
    noFields(call, first)
    return
  }
  const isPast = time <= call.now && !call.keyspace.expiryPaused
  changedFields.length = 0
  reply.array(args.count - first)
  for (let i = first; i < args.count; i++) {
    const outcome = expireField(i, time, condition, isPast)
    if (outcome > 0) changedFields.push(i)
    reply.integer(outcome)
  }
  if (changedFields.length === 0) return
  if (isPast) {
    tellExpiredNow(call, changedFields)
    return
  }
  call.changed(1, Notify.Hash, "hexpire")
  tellFieldList(call, "hexpire", changedFields)
  call.keyspace.events.dirty += changedFields.length - 1
  propagateExpiry(call, time, condition, changedFields)
}

/** Gives the field that is argument `i` its time, or removes it; what is to be told. */
function expireField(i: number, time: number, condition: number, isPast: boolean): number {
  if (!hash.findArgument(i)) return Outcome.Absent
  if (!meetsCondition(condition, hash.expiry(), time)) return Outcome.ConditionNotMet
  if (isPast) {
    hash.remove()
    return Outcome.Deleted
  }
  hash.setExpiry(time)
  return Outcome.Done
}

/** The fields that are these arguments were removed for a time that is over: HDELs, statistics, notifications. */
export function tellExpiredNow(call: Call, fields: readonly number[]): void {
  const { args, db, keyspace } = call
  const { bytes, starts, ends } = args
  const emptied = hash.removeIfEmpty()
  hash.forgetExpiryIfNone()
  keyspace.events.expiredFields += fields.length
  call.changed(1, Notify.Hash, "hdel")
  tellFieldList(call, "hdel", fields)
  keyspace.events.dirty += fields.length - 1
  if (emptied) keyspace.events.notify(Notify.Generic, "del", db, bytes, starts[1]!, ends[1]!)
  for (const i of fields) {
    const effect = call.propagation.effect(db, 3).word("HDEL").arg(bytes, starts[1]!, ends[1]!)
    effect.arg(bytes, starts[i]!, ends[i]!)
  }
}

/** Goes on as HPEXPIREAT of the fields that were changed, with the condition they met. */
export function propagateExpiry(call: Call, time: number, condition: number, fields: readonly number[]): void {
  const { bytes, starts, ends } = call.args
  const extra = condition === Condition.None ? 0 : 1
  const effect = call.propagation.effect(call.db, 5 + extra + fields.length).word("HPEXPIREAT")
  effect.arg(bytes, starts[1]!, ends[1]!).number(time)
  if (extra > 0) effect.word(CONDITION_NAMES[condition]!)
  effect.word("FIELDS").number(fields.length)
  for (const i of fields) effect.arg(bytes, starts[i]!, ends[i]!)
}

// ---- clearing -------------------------------------------------------------------------------------------------------

function hpersist(call: Call): void {
  const { args, reply } = call
  if (!hash.write(call) || !checkFields(call, 2)) return
  if (!hash.exists) {
    noFields(call, 4)
    return
  }
  const { bytes, starts, ends } = args
  changedFields.length = 0
  reply.array(args.count - 4)
  for (let i = 4; i < args.count; i++) {
    if (!hash.findStored(bytes, starts[i]!, ends[i]!)) reply.integer(Outcome.Absent)
    else {
      const expiry = hash.expiry()
      if (expiry === 0) reply.integer(Outcome.NoExpiry)
      else if (!hash.isLive(expiry)) reply.integer(Outcome.Absent)
      else {
        hash.setExpiry(0)
        changedFields.push(i)
        reply.integer(Outcome.Done)
      }
    }
  }
  if (changedFields.length === 0) return
  hash.settle()
  hash.forgetExpiryIfNone()
  call.changed(1, Notify.Hash, "hpersist")
  tellFieldList(call, "hpersist", changedFields)
}

// ---- asking ---------------------------------------------------------------------------------------------------------

function httl(call: Call): void {
  tellTimes(call, 1000, call.now)
}

function hpttl(call: Call): void {
  tellTimes(call, 1, call.now)
}

function hexpiretime(call: Call): void {
  tellTimes(call, 1000, 0)
}

function hpexpiretime(call: Call): void {
  tellTimes(call, 1, 0)
}

/** For each field its expiry less `baseMs`, in units, rounded up. */
function tellTimes(call: Call, unitMs: number, baseMs: number): void {
  const { args, reply } = call
  if (!hash.read(call) || !checkFields(call, 2)) return
  if (!hash.exists) {
    noFields(call, 4)
    return
  }
  const { bytes, starts, ends } = args
  reply.array(args.count - 4)
  for (let i = 4; i < args.count; i++) {
    if (!hash.findStored(bytes, starts[i]!, ends[i]!)) reply.integer(Outcome.Absent)
    else {
      const expiry = hash.expiry()
      if (expiry === 0) reply.integer(Outcome.NoExpiry)
      else reply.integer(hash.isLive(expiry) ? Math.ceil((expiry - baseMs) / unitMs) : Outcome.Absent)
    }
  }
}
