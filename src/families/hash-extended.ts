/** Hashes: the newer commands that read or set fields together with their time to live, and read while deleting. */

import { shown } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { wrongArity } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { checkFields, expiryTime, propagateExpiry, tellExpiredNow } from "./hash-expiry.ts"
import { hash } from "./hash-store.ts"
import { tellFieldList, tellFields } from "./hash-subkeys.ts"

const ONE_EXPIRY = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"
const ONE_FIELD_CONDITION = "ERR Only one of FXX or FNX arguments can be specified"
const ONE_KEY_CONDITION = "ERR Only one of XX or NX arguments can be specified"
const MISSING_TIME = "ERR missing expire time"
const MISSING_FIELDS = "ERR Mandatory argument FIELDS is missing or not at the right position"
const BAD_FIELD_COUNT = "ERR invalid number of fields"
const FIELDS_MAX = 2 ** 31 - 1

const Condition = { None: 0, Absent: 1, Present: 2 } as const

/** Argument numbers of the fields that the running command has changed. */
const changedFields: number[] = []

export const hashExtendedCommands: readonly CommandSpec[] = [
  {
    name: "hgetdel",
    since: "8.0.0",
    group: "hash",
    arity: -5,
    flags: "write fast",
    keys: "RW access delete @1",
    syntax: "key FIELDS(numfields:integer field...)",
    summary: "Gives the values of fields and removes them; the hash goes with the last one.",
    complexity: "O(N), N fields",
    run: hgetdel,
  },
  {
    name: "hgetex",
    since: "8.0.0",
    group: "hash",
    arity: -5,
    flags: "write fast",
    keys: "RW access update @1",
    syntax:
      "key [expiration=EX seconds:integer|PX milliseconds:integer|EXAT unix-time-seconds:unix-time|PXAT unix-time-milliseconds:unix-time|PERSIST] FIELDS(numfields:integer field...)",
    summary: "Gives the values of fields and lets them expire, or lets them stay.",
    complexity: "O(N), N fields",
    run: hgetex,
  },
  {
    name: "hsetex",
    since: "8.0.0",
    group: "hash",
    arity: -6,
    flags: "write denyoom fast",
    keys: "RW update @1",
    syntax:
      "key [key-condition=NX|XX] [condition=FNX|FXX] [expiration=EX seconds:integer|PX milliseconds:integer|EXAT unix-time-seconds:unix-time|PXAT unix-time-milliseconds:unix-time|KEEPTTL] FIELDS(numfields:integer data=(field value)...)",
    summary: "Sets fields of a hash and lets them expire.",
    complexity: "O(N), N fields",
    run: hsetex,
  },
]

// ---- HGETDEL --------------------------------------------------------------------------------------------------------

function hgetdel(call: Call): void {
  const { args, reply, db } = call
  const { bytes, starts, ends, count } = args
  if (!hash.write(call) || !checkFields(call, 2)) return
  changedFields.length = 0
  reply.array(count - 4)
  for (let i = 4; i < count; i++) {
    if (!hash.findArgument(i)) {
      reply.null()
      continue
    }
    hash.bulk(reply)
    hash.remove()
    changedFields.push(i)
  }
  if (changedFields.length === 0) return
  const emptied = hash.removeIfEmpty()
  hash.forgetExpiryIfNone()
  call.changed(1, Notify.Hash, "hdel")
  tellFieldList(call, "hdel", changedFields)
  call.keyspace.events.dirty += changedFields.length - 1
  if (emptied) call.keyspace.events.notify(Notify.Generic, "del", db, bytes, starts[1]!, ends[1]!)
  const effect = call.propagation
    .effect(db, 2 + changedFields.length)
    .word("HDEL")
    .arg(bytes, starts[1]!, ends[1]!)
  for (const i of changedFields) effect.arg(bytes, starts[i]!, ends[i]!)
}

// ---- HGETEX ---------------------------------------------------------------------------------------------------------

/** Goes on as HPEXPIREAT, HPERSIST or HDEL of the fields it has changed. */
function hgetex(call: Call): void {
  const { args, reply } = call
  if (!hash.write(call)) return
  const { unitMs, isRelative } = timeOption(call, 2)
  const persists = args.is(2, "persist")
  let time = 0
  if (unitMs > 0) {
    time = expiryTime(call, 3, unitMs, isRelative ? call.now : 0)
    if (time < 0) return
  }
  const fieldsAt = unitMs > 0 ? 4 : persists ? 3 : 2
  if (!checkFields(call, fieldsAt)) return
  const isPast = unitMs > 0 && time <= call.now && !call.keyspace.expiryPaused
  changedFields.length = 0
  reply.array(args.count - fieldsAt - 2)
  for (let i = fieldsAt + 2; i < args.count; i++) {
    if (!hash.findArgument(i)) {
      reply.null()
      continue
    }
    hash.bulk(reply)
    if (isPast) hash.remove()
    else if (unitMs > 0) hash.setExpiry(time)
    else if (persists && hash.expiry() !== 0) hash.setExpiry(0)
    else continue
    changedFields.push(i)
  }
  if (changedFields.length === 0) return
  if (isPast) tellExpiredNow(call, changedFields)
  else if (persists) tellPersisted(call)
  else {
    hash.settle()
    call.changed(1, Notify.Hash, "hexpire")
    tellFieldList(call, "hexpire", changedFields)
    call.keyspace.events.dirty += changedFields.length - 1
    propagateExpiry(call, time, 0, changedFields)
  }
}

function tellPersisted(call: Call): void {
  const { bytes, starts, ends } = call.args
  hash.settle()
  hash.forgetExpiryIfNone()
  call.changed(1, Notify.Hash, "hpersist")
  tellFieldList(call, "hpersist", changedFields)
  call.keyspace.events.dirty += changedFields.length - 1
  const effect = call.propagation.effect(call.db, 4 + changedFields.length).word("HPERSIST")
  effect.arg(bytes, starts[1]!, ends[1]!).word("FIELDS").number(changedFields.length)
  for (const i of changedFields) effect.arg(bytes, starts[i]!, ends[i]!)
}

/** What the option at argument `i` says of a time behind it; a unit of 0 when it is another one. */
function timeOption(call: Call, i: number): { readonly unitMs: number; readonly isRelative: boolean } {
  const { args } = call
  if (args.is(i, "ex")) return { unitMs: 1000, isRelative: true }
  if (args.is(i, "px")) return { unitMs: 1, isRelative: true }
  if (args.is(i, "exat")) return { unitMs: 1000, isRelative: false }
  if (args.is(i, "pxat")) return { unitMs: 1, isRelative: false }
  return { unitMs: 0, isRelative: false }
}

// ---- HSETEX ---------------------------------------------------------------------------------------------------------

interface SetOptions {
  /** Of the key, of all its fields. */
  keyCondition: number
  fieldCondition: number
  keepsExpiry: boolean
  /** ms of Unix time, 0 for none. */
  time: number
  hasTime: boolean
  /** Argument number of the first field. */
  first: number
}

/** Goes on without its conditions, its time as PXAT; as HDELs when the time is over. */
function hsetex(call: Call): void {
  const { args, reply, keyspace } = call
  const options = parseSetOptions(call)
  if (options === undefined || !hash.write(call)) return
  if (!conditionsHold(call, options)) {
    reply.integer(0)
    return
  }
  const { first, time, hasTime, keepsExpiry } = options
  const { bytes, starts, ends, count } = args
  const pairs = (count - first) >>> 1
  if (!fitsPacked(call, first, pairs)) hash.toTable()
  const isPast = hasTime && time <= call.now && !keyspace.expiryPaused
  changedFields.length = 0
  for (let i = first; i < count; i += 2) {
    // A value must not inherit a time that is over.
    if (keepsExpiry) hash.findArgument(i)
    hash.set(bytes, starts[i]!, ends[i]!, bytes, starts[i + 1]!, ends[i + 1]!, keepsExpiry || hasTime)
    if (!hasTime) continue
    hash.findStored(bytes, starts[i]!, ends[i]!)
    if (!isPast) hash.setExpiry(time)
    else {
      hash.remove()
      changedFields.push(i)
    }
  }
  if (!isPast) hash.settle()
  call.changed(1, Notify.Hash, "hset")
  tellFields(call, "hset", first, count, 2)
  keyspace.events.dirty += pairs - 1
  if (isPast) tellExpiredNow(call, changedFields)
  else {
    if (hasTime) {
      keyspace.events.notify(Notify.Hash, "hexpire", call.db, bytes, starts[1]!, ends[1]!)
      tellFields(call, "hexpire", first, count, 2)
    }
    propagateSet(call, options)
  }
  reply.integer(1)
}

function propagateSet(call: Call, options: SetOptions): void {
  const { bytes, starts, ends, count } = call.args
  const { first, time, hasTime, keepsExpiry } = options
  const extra = hasTime ? 2 : keepsExpiry ? 1 : 0
  const effect = call.propagation.effect(call.db, 4 + extra + count - first).word("HSETEX")
  effect.arg(bytes, starts[1]!, ends[1]!)
  if (hasTime) effect.word("PXAT").number(time)
  else if (keepsExpiry) effect.word("KEEPTTL")
  effect.word("FIELDS").number((count - first) >>> 1)
  for (let i = first; i < count; i++) effect.arg(bytes, starts[i]!, ends[i]!)
}

function conditionsHold(call: Call, options: SetOptions): boolean {
  const { keyCondition, fieldCondition, first } = options
  if (keyCondition !== Condition.None && hash.exists !== (keyCondition === Condition.Present)) return false
  if (fieldCondition === Condition.None) return true
  for (let i = first; i < call.args.count; i += 2) {
    if (hash.findArgument(i) !== (fieldCondition === Condition.Present)) return false
  }
  return true
}

function fitsPacked(call: Call, first: number, pairs: number): boolean {
  const { args, config } = call
  if (pairs > config.values.hashMaxListpackEntries) return false
  for (let i = first; i < args.count; i++) if (args.length(i) > config.values.hashMaxListpackValue) return false
  return true
}

/** The options, or undefined after an error reply. */
function parseSetOptions(call: Call): SetOptions | undefined {
  const { args, reply } = call
  const options: SetOptions = {
    keyCondition: Condition.None,
    fieldCondition: Condition.None,
    keepsExpiry: false,
    time: 0,
    hasTime: false,
    first: 0,
  }
  for (let i = 2; i < args.count; i++) {
    if (args.is(i, "fields")) return parseSetFields(call, i, options)
    const { unitMs, isRelative } = timeOption(call, i)
    if (unitMs > 0 || args.is(i, "keepttl")) {
      if (options.hasTime || options.keepsExpiry) return refuse(call, ONE_EXPIRY)
      if (unitMs === 0) options.keepsExpiry = true
      else {
        if (++i >= args.count) return refuse(call, MISSING_TIME)
        options.hasTime = true
        options.time = expiryTime(call, i, unitMs, isRelative ? call.now : 0)
        if (options.time < 0) return undefined
      }
    } else if (args.is(i, "fnx") || args.is(i, "fxx")) {
      if (options.fieldCondition !== Condition.None) return refuse(call, ONE_FIELD_CONDITION)
      options.fieldCondition = args.is(i, "fnx") ? Condition.Absent : Condition.Present
    } else if (args.is(i, "nx") || args.is(i, "xx")) {
      if (options.keyCondition !== Condition.None) return refuse(call, ONE_KEY_CONDITION)
      options.keyCondition = args.is(i, "nx") ? Condition.Absent : Condition.Present
    } else return refuse(call, `ERR unknown argument: ${shown(args.latin1(i))}`)
  }
  reply.error(MISSING_FIELDS)
  return undefined
}

/** FIELDS stands at argument `i`. */
function parseSetFields(call: Call, i: number, options: SetOptions): SetOptions | undefined {
  const { args } = call
  if (i >= args.count - 3) return refuse(call, wrongArity(call.command.fullName))
  const count = args.int64(i + 1)
  if (count === undefined || count < 1 || count > FIELDS_MAX) return refuse(call, BAD_FIELD_COUNT)
  if (Number(count) * 2 !== args.count - i - 2) return refuse(call, wrongArity(call.command.fullName))
  options.first = i + 2
  return options
}

function refuse(call: Call, error: string): undefined {
  call.reply.error(error)
  return undefined
}
