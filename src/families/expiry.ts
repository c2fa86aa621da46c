/** Expiry of keys: EXPIRE and its kin, TTL and its kin, PERSIST. */
import { shown } from "../bytes/compare.ts"
import { INT64_MAX, INT64_MIN } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { invalidExpire, NOT_INTEGER } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { peek } from "./generic-peek.ts"

export const expiryCommands: readonly CommandSpec[] = [
  {
    name: "expire",
    since: "1.0.0",
    group: "generic",
    arity: -3,
    flags: "write fast",
    keys: "RW update @1",
    syntax: "key seconds:integer [condition=NX|XX|GT|LT]@7.0.0",
    summary: "Lets a key expire after a number of seconds.",
    complexity: "O(1)",
    run: expire,
  },
  {
    name: "pexpire",
    since: "2.6.0",
    group: "generic",
    arity: -3,
    flags: "write fast",
    keys: "RW update @1",
    syntax: "key milliseconds:integer [condition=NX|XX|GT|LT]@7.0.0",
    summary: "Lets a key expire after a number of milliseconds.",
    complexity: "O(1)",
    run: pexpire,
  },
  {
    name: "expireat",
    since: "1.2.0",
    group: "generic",
    arity: -3,
    flags: "write fast",
    keys: "RW update @1",
    syntax: "key unix-time-seconds:unix-time [condition=NX|XX|GT|LT]@7.0.0",
    summary: "Lets a key expire at a Unix time in seconds.",
    complexity: "O(1)",
    run: expireat,
  },
  {
    name: "pexpireat",
    since: "2.6.0",
    group: "generic",
    arity: -3,
    flags: "write fast",
    keys: "RW update @1",
    syntax: "key unix-time-milliseconds:unix-time [condition=NX|XX|GT|LT]@7.0.0",
    summary: "Lets a key expire at a Unix time in milliseconds.",
    complexity: "O(1)",
    run: pexpireat,
  },
  {
    name: "ttl",
    since: "1.0.0",
    group: "generic",
    arity: 2,
    flags: "readonly fast",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key",
    summary: "Gives the seconds that a key has left.",
    complexity: "O(1)",
    run: ttl,
  },
  {
    name: "pttl",
    since: "2.6.0",
    group: "generic",
    arity: 2,
    flags: "readonly fast",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key",
    summary: "Gives the milliseconds that a key has left.",
    complexity: "O(1)",
    run: pttl,
  },
  {
    name: "expiretime",
    since: "7.0.0",
    group: "generic",
    arity: 2,
    flags: "readonly fast",
    keys: "RO access @1",
    syntax: "key",
    summary: "Gives the Unix time in seconds at which a key expires.",
    complexity: "O(1)",
    run: expiretime,
  },
  {
    name: "pexpiretime",
    since: "7.0.0",
    group: "generic",
    arity: 2,
    flags: "readonly fast",
    keys: "RO access @1",
    syntax: "key",
    summary: "Gives the Unix time in milliseconds at which a key expires.",
    complexity: "O(1)",
    run: pexpiretime,
  },
  {
    name: "persist",
    since: "2.2.0",
    group: "generic",
    arity: 2,
    flags: "write fast",
    keys: "RW update @1",
    syntax: "key",
    summary: "Removes the expiry of a key.",
    complexity: "O(1)",
    run: persist,
  },
]

const SECOND = 1000
const NX = 1
const XX = 2
const GT = 4
const LT = 8

function expire(call: Call): void {
  expireGeneric(call, SECOND, call.now)
}

function pexpire(call: Call): void {
  expireGeneric(call, 1, call.now)
}

function expireat(call: Call): void {
  expireGeneric(call, SECOND, 0)
}

function pexpireat(call: Call): void {
  expireGeneric(call, 1, 0)
}

function expireGeneric(call: Call, unitMs: number, baseMs: number): void {
  const condition = readCondition(call)
  if (condition < 0) return
  const wanted = readDeadline(call, unitMs, baseMs)
  if (wanted === undefined) return
  const { db, reply } = call
  const address = call.write(1)
  const deadline = Number(wanted)
  if (address === 0 || (condition !== 0 && !holds(condition, db.keys.expiry(address), deadline))) {
    reply.integer(0)
    return
  }
  reply.integer(1)
  // Where deleting is somebody else's business (the master's, the file's) even a past time is only noted.
  if (deadline <= call.now && !call.keyspace.expiryPaused) {
    deleteAtOnce(call, address)
    return
  }
  db.keys.setExpiry(address, Math.max(1, deadline))
  call.changed(1, Notify.Generic, "expire")
  propagate(call, wanted)
}

/** Options of EXPIRE as bits; -1 after having answered with an error. */
function readCondition(call: Call): number {
  const { args, reply } = call
  let bits = 0
  for (let i = 3; i < args.count; i++) {
    const bit = args.is(i, "nx") ? NX : args.is(i, "xx") ? XX : args.is(i, "gt") ? GT : args.is(i, "lt") ? LT : 0
    if (bit === 0) {
      // Line ends that would be the last of the reply are left out, not made spaces.
      reply.error(`ERR Unsupported option ${shown(args.latin1(i)).replace(/[\r\n]+$/, "")}`)
      return -1
    }
    bits |= bit
  }
  if ((bits & NX) !== 0 && bits !== NX) {
    reply.error("ERR NX and XX, GT or LT options at the same time are not compatible")
    return -1
  }
  if ((bits & GT) !== 0 && (bits & LT) !== 0) {
    reply.error("ERR GT and LT options at the same time are not compatible")
    return -1
  }
  return bits
}

/** No expiry (0) counts as an infinite one for GT and LT. */
function holds(condition: number, current: number, deadline: number): boolean {
  if ((condition & NX) !== 0 && current !== 0) return false
  if ((condition & XX) !== 0 && current === 0) return false
  if ((condition & GT) !== 0 && (current === 0 || deadline <= current)) return false
  return (condition & LT) === 0 || current === 0 || deadline < current
}

/** The time given, in ms of wall time; undefined after having answered with an error. */
function readDeadline(call: Call, unitMs: number, baseMs: number): number | bigint | undefined {
  const given = call.args.integer(2)
  const deadline = given * unitMs + baseMs
  if (Number.isSafeInteger(deadline)) return deadline
  const exact = call.args.int64(2)
  if (exact === undefined) {
    call.reply.error(NOT_INTEGER)
    return undefined
  }
  const unit = BigInt(unitMs)
  const base = BigInt(baseMs)
  const wide = BigInt(exact)
  if (wide > INT64_MAX / unit || wide < INT64_MIN / unit || wide * unit > INT64_MAX - base) {
    call.reply.error(invalidExpire(call.command.fullName))
    return undefined
  }
  return wide * unit + base
}

/** The time given is past: the key goes, and its deletion is what is propagated. */
function deleteAtOnce(call: Call, address: number): void {
  const { args, config, db } = call
  call.removeKey(1, address)
  call.propagation
    .effect(db, 2)
    .word(config.values.lazyfreeLazyExpire ? "UNLINK" : "DEL")
    .arg(args.bytes, args.start(1), args.end(1))
}

/** A relative time becomes an absolute one; the conditions go along. */
function propagate(call: Call, deadline: number | bigint): void {
  const { args, db } = call
  const effect = call.propagation.effect(db, args.count)
  effect.word("PEXPIREAT").arg(args.bytes, args.start(1), args.end(1)).number(deadline)
  for (let i = 3; i < args.count; i++) effect.arg(args.bytes, args.start(i), args.end(i))
}

function ttl(call: Call): void {
  reportExpiry(call, SECOND, true)
}

function pttl(call: Call): void {
  reportExpiry(call, 1, true)
}

function expiretime(call: Call): void {
  reportExpiry(call, SECOND, false)
}

function pexpiretime(call: Call): void {
  reportExpiry(call, 1, false)
}

/** -2 without the key, -1 without an expiry. Seconds are rounded to the nearest. */
function reportExpiry(call: Call, unitMs: number, relative: boolean): void {
  const { args, db, reply } = call
  const address = peek(db, args.bytes, args.start(1), args.end(1))
  if (address === 0) {
    reply.integer(-2)
    return
  }
  const expiry = db.keys.expiry(address)
  if (expiry === 0) {
    reply.integer(-1)
    return
  }
  const ms = relative ? Math.max(0, expiry - call.now) : expiry
  if (unitMs === SECOND) reply.integer(Math.floor((ms + SECOND / 2) / SECOND))
  else if (Number.isSafeInteger(ms)) reply.integer(ms)
  else reply.int64(BigInt(ms) > INT64_MAX ? INT64_MAX : BigInt(ms))
}

function persist(call: Call): void {
  const { db, reply } = call
  const address = call.write(1)
  if (address === 0 || db.keys.expiry(address) === 0) {
    reply.integer(0)
    return
  }
  db.keys.setExpiry(address, 0)
  call.changed(1, Notify.Generic, "persist")
  reply.integer(1)
}
