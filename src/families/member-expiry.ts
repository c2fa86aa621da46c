/**
 * Members of sets and sorted sets with a time to live.
 *
 * The times are the record expiries of the table form: the first member that gets one turns a small set into a table, for
 * good. What is due goes before a command sees the key (keyspace/field-expiry.ts), so no other reader knows of times; here
 * they are looked at all the same, for replicas, which do not expire anything by themselves.
 *
 * Sets follow the command descriptions of Redis 8.12 (SEXPIRE and kin), sorted sets Garnet (ZEXPIRE and kin). Both give
 * members the rules that HEXPIRE has for fields.
 */

import { latin1, shown } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { NOT_INTEGER, SHOWN_MAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Database } from "../keyspace/db.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { CONDITION_NAMES, Condition, conditionAt, meetsCondition, Outcome } from "./expiry-condition.ts"
import { expiryTime } from "./hash-expiry.ts"
import { removeFromSet, setHas, setSize, toTable } from "./set-value.ts"
import { zset } from "./zset-value.ts"

const MEMBERS_MISPLACED = "ERR Mandatory argument MEMBERS is missing or not at the right position"
const MEMBERS_MISSING = "ERR missing MEMBERS argument"
const MEMBERS_TWICE = "ERR MEMBERS keyword specified multiple times"
const MEMBERS_SHORT = "ERR MEMBERS requires at least nummembers and one member argument"
const MEMBER_COUNT_ZERO = "ERR Parameter `numMembers` should be greater than 0"
const MEMBER_COUNT_NOT_POSITIVE = "ERR Number of members must be a positive integer"
const MEMBER_COUNT_MISMATCH = "ERR The `nummembers` parameter must match the number of arguments"
const TOO_FEW = "ERR wrong number of arguments"
const CONDITIONS = "ERR Multiple condition flags specified"
const COUNT_MAX = 2 ** 31 - 1

// ---- the two types --------------------------------------------------------------------------------------------------

/** The value of argument 1 of a command, opened to look at the times of its members. One at a time. */
abstract class TimedMembers {
  abstract readonly notify: number
  /** First letter of its commands, and its command that removes members. */
  abstract readonly letter: "S" | "Z"
  abstract readonly removal: "SREM" | "ZREM"
  abstract readonly removed: string
  protected call!: Call
  protected argument = 0

  get db(): Database {
    return this.call.db
  }

  /** Opens the value; false after WRONGTYPE was answered. */
  abstract open(call: Call, forWriting: boolean): boolean
  abstract get exists(): boolean
  abstract get size(): number
  /** The map with the times, when there is one. */
  abstract get map(): ByteMap | undefined
  protected abstract has(bytes: Uint8Array, start: number, end: number): boolean
  protected abstract makeTable(): void
  protected abstract drop(bytes: Uint8Array, start: number, end: number): void
  /** After changes: accounts, and the key goes when the value is empty. True when it went. */
  abstract settle(): boolean

  /** Looks up the member that is argument `i`. One whose time is up is missing, while others still see it or not. */
  find(i: number): boolean {
    const { bytes, starts, ends } = this.call.args
    this.argument = i
    if (!this.has(bytes, starts[i]!, ends[i]!)) return false
    const expiry = this.expiry()
    const { expiryPaused, servesExpired } = this.call.keyspace
    return expiry === 0 || expiry >= this.call.now || (expiryPaused && servesExpired)
  }

  /** Time of the member found (ms), 0 for none. */
  expiry(): number {
    const { map } = this
    if (map === undefined || map.expirySize === 0) return 0
    const { bytes, starts, ends } = this.call.args
    return map.expiry(map.find(bytes, starts[this.argument]!, ends[this.argument]!))
  }

  /** Gives the member found a time, or (0) takes it away. */
  setExpiry(time: number): void {
    if (this.map === undefined) this.makeTable()
    const map = this.map!
    const { bytes, starts, ends } = this.call.args
    map.setExpiry(map.find(bytes, starts[this.argument]!, ends[this.argument]!), time)
    if (time !== 0) this.call.keyspace.memberExpiry.note(this.db, bytes, starts[1]!, ends[1]!, time)
  }

  remove(): void {
    const { bytes, starts, ends } = this.call.args
    this.drop(bytes, starts[this.argument]!, ends[this.argument]!)
  }
}

class TimedSet extends TimedMembers {
  readonly notify = Notify.Set
  readonly letter = "S"
  readonly removal = "SREM"
  readonly removed = "srem"
  private address = 0

  open(call: Call, forWriting: boolean): boolean {
    this.call = call
    this.address = forWriting ? call.writeTyped(1, ValueType.Set) : call.readTyped(1, ValueType.Set)
    return this.address !== -1
  }

  get exists(): boolean {
    return this.address !== 0
  }

  get size(): number {
    return setSize(this.db.keys, this.address)
  }

  get map(): ByteMap | undefined {
    const { keys } = this.db
    return keys.type(this.address) === Kind.SetTable ? (keys.object(this.address) as ByteMap) : undefined
  }

  protected has(bytes: Uint8Array, start: number, end: number): boolean {
    return setHas(this.db.keys, this.address, bytes, start, end)
  }

  protected makeTable(): void {
    this.address = toTable(this.call, this.db.keys, this.address)
  }

  protected drop(bytes: Uint8Array, start: number, end: number): void {
    this.address = removeFromSet(this.db.keys, this.address, bytes, start, end)
  }

  settle(): boolean {
    if (this.size === 0) {
      this.db.removeQuietly(this.address)
      this.address = 0
      return true
    }
    if (this.map !== undefined) this.db.keys.noteObjectBytes(this.address)
    return false
  }
}

class TimedZset extends TimedMembers {
  readonly notify = Notify.Zset
  readonly letter = "Z"
  readonly removal = "ZREM"
  readonly removed = "zrem"

  open(call: Call, forWriting: boolean): boolean {
    this.call = call
    return forWriting ? zset.write(call) : zset.read(call)
  }

  get exists(): boolean {
    return zset.exists
  }

  get size(): number {
    return zset.size
  }

  get map(): ByteMap | undefined {
    return zset.table?.index
  }

  protected has(bytes: Uint8Array, start: number, end: number): boolean {
    return zset.find(bytes, start, end)
  }

  protected makeTable(): void {
    zset.toTable()
  }

  protected drop(bytes: Uint8Array, start: number, end: number): void {
    zset.remove(bytes, start, end)
  }

  settle(): boolean {
    return zset.settleOrDrop()
  }
}

const timedSet = new TimedSet()
const timedZset = new TimedZset()
/** Argument numbers of the members that the running command has changed. */
const changed: number[] = []

// ---- arguments ------------------------------------------------------------------------------------------------------

let condition: number = Condition.None
let firstMember = 0
let memberCount = 0

/** Reads `[NX|XX|GT|LT] MEMBERS count member…`, in either order, from argument 3 on; false after an error reply. */
function readOptions(call: Call): boolean {
  const { args, reply } = call
  condition = Condition.None
  firstMember = 0
  for (let i = 3; i < args.count; i++) {
    if (args.is(i, "members")) {
      if (firstMember !== 0) {
        reply.error(MEMBERS_TWICE)
        return false
      }
      if (i >= args.count - 2) {
        reply.error(MEMBERS_SHORT)
        return false
      }
      const count = args.int64(i + 1)
      if (count === undefined || count < 1 || count > COUNT_MAX) {
        reply.error(MEMBER_COUNT_ZERO)
        return false
      }
      firstMember = i + 2
      memberCount = Number(count)
      if (memberCount > args.count - firstMember) {
        reply.error(TOO_FEW)
        return false
      }
      i = firstMember + memberCount - 1
      continue
    }
    const word = conditionAt(call, i)
    if (word === Condition.None) {
      const given = latin1(args.bytes, args.starts[i]!, args.ends[i]!)
      reply.error(`ERR unknown argument: ${shown(given, SHOWN_MAX)}`)
      return false
    }
    if (condition !== Condition.None && condition !== word) {
      reply.error(CONDITIONS)
      return false
    }
    condition = word
  }
  if (firstMember !== 0) return true
  reply.error(MEMBERS_MISSING)
  return false
}

/** Checks that `MEMBERS count member…` begins at argument 2 and fills the rest; false after an error reply. */
function checkMembers(call: Call): boolean {
  const { args, reply } = call
  const count = args.int64(3)
  if (!args.is(2, "members")) reply.error(MEMBERS_MISPLACED)
  else if (count === undefined) reply.error(NOT_INTEGER)
  else if (count < 1) reply.error(MEMBER_COUNT_NOT_POSITIVE)
  else if (Number(count) !== args.count - 4) reply.error(MEMBER_COUNT_MISMATCH)
  else {
    firstMember = 4
    memberCount = args.count - 4
    return true
  }
  return false
}

/** The same answer for all members, as there is no such key. */
function noMembers(call: Call): void {
  call.reply.array(memberCount)
  for (let i = 0; i < memberCount; i++) call.reply.integer(Outcome.Absent)
}

// ---- setting --------------------------------------------------------------------------------------------------------

function expireMembers(call: Call, value: TimedMembers, unitMs: number, baseMs: number): void {
  const { reply, keyspace } = call
  if (!value.open(call, true)) return
  const time = expiryTime(call, 2, unitMs, baseMs)
  if (time < 0 || !readOptions(call)) return
  if (!value.exists) {
    noMembers(call)
    return
  }
  const isPast = time <= call.now && !keyspace.expiryPaused
  changed.length = 0
  reply.array(memberCount)
  let left = value.size
  for (let i = firstMember; i < firstMember + memberCount; i++) {
    const outcome = left === 0 ? Outcome.Absent : expireMember(value, i, time, isPast)
    if (outcome === Outcome.Deleted) left--
    if (outcome > 0) changed.push(i)
    reply.integer(outcome)
  }
  if (changed.length === 0) return
  if (isPast) {
    tellDeleted(call, value)
    return
  }
  value.settle()
  call.changed(1, value.notify, `${value.letter.toLowerCase()}expire`)
  keyspace.events.dirty += changed.length - 1
  propagate(call, value, time)
}

/** Gives the member that is argument `i` its time, or removes it; what is to be told. */
function expireMember(value: TimedMembers, i: number, time: number, isPast: boolean): number {
  if (!value.find(i)) return Outcome.Absent
  if (!meetsCondition(condition, value.expiry(), time)) return Outcome.ConditionNotMet
  if (isPast) {
    value.remove()
    return Outcome.Deleted
  }
  value.setExpiry(time)
  return Outcome.Done
}

/** The changed members were removed for a time that is over. */
function tellDeleted(call: Call, value: TimedMembers): void {
  const { args, db, keyspace } = call
  const { bytes, starts, ends } = args
  const emptied = value.settle()
  forgetIfNone(call, value, emptied)
  keyspace.events.expiredFields += changed.length
  call.changed(1, value.notify, value.removed)
  keyspace.events.dirty += changed.length - 1
  if (emptied) keyspace.events.notify(Notify.Generic, "del", db, bytes, starts[1]!, ends[1]!)
  for (const i of changed) {
    const effect = call.propagation.effect(db, 3).word(value.removal).arg(bytes, starts[1]!, ends[1]!)
    effect.arg(bytes, starts[i]!, ends[i]!)
  }
}

function forgetIfNone(call: Call, value: TimedMembers, emptied: boolean): void {
  if (!emptied && (value.map?.expirySize ?? 0) > 0) return
  const { bytes, starts, ends } = call.args
  call.keyspace.memberExpiry.forget(call.db, bytes, starts[1]!, ends[1]!)
}

/** Goes on as SPEXPIREAT or ZPEXPIREAT of the members that were changed, with the condition they met. */
function propagate(call: Call, value: TimedMembers, time: number): void {
  const { bytes, starts, ends } = call.args
  const extra = condition === Condition.None ? 0 : 1
  const effect = call.propagation.effect(call.db, 5 + extra + changed.length).word(`${value.letter}PEXPIREAT`)
  effect.arg(bytes, starts[1]!, ends[1]!).number(time)
  if (extra > 0) effect.word(CONDITION_NAMES[condition]!)
  effect.word("MEMBERS").number(changed.length)
  for (const i of changed) effect.arg(bytes, starts[i]!, ends[i]!)
}

// ---- clearing and asking --------------------------------------------------------------------------------------------

function persistMembers(call: Call, value: TimedMembers): void {
  const { reply } = call
  if (!value.open(call, true) || !checkMembers(call)) return
  if (!value.exists) {
    noMembers(call)
    return
  }
  let persisted = 0
  reply.array(memberCount)
  for (let i = firstMember; i < firstMember + memberCount; i++) {
    if (!value.find(i)) reply.integer(Outcome.Absent)
    else if (value.expiry() === 0) reply.integer(Outcome.NoExpiry)
    else {
      value.setExpiry(0)
      persisted++
      reply.integer(Outcome.Done)
    }
  }
  if (persisted === 0) return
  value.settle()
  forgetIfNone(call, value, false)
  call.changed(1, value.notify, `${value.letter.toLowerCase()}persist`)
  call.keyspace.events.dirty += persisted - 1
}

/** For each member its expiry less `baseMs`, in units, rounded up. */
function tellTimes(call: Call, value: TimedMembers, unitMs: number, baseMs: number): void {
  const { reply } = call
  if (!value.open(call, false) || !checkMembers(call)) return
  if (!value.exists) {
    noMembers(call)
    return
  }
  reply.array(memberCount)
  for (let i = firstMember; i < firstMember + memberCount; i++) {
    if (!value.find(i)) reply.integer(Outcome.Absent)
    else {
      const expiry = value.expiry()
      reply.integer(expiry === 0 ? Outcome.NoExpiry : Math.ceil((expiry - baseMs) / unitMs))
    }
  }
}

/** Removes what is due, of some keys or (`*`) of all: for its own sake, as it is hidden anyway. */
function zcollect(call: Call): void {
  const { args, db, keyspace } = call
  const { memberExpiry } = keyspace
  if (args.count === 2 && args.is(1, "*")) {
    while (memberExpiry.slice());
  } else for (let i = 1; i < args.count; i++) memberExpiry.meet(db, args.bytes, args.starts[i]!, args.ends[i]!)
  call.reply.ok()
}

// ---- facts ----------------------------------------------------------------------------------------------------------

interface Words {
  readonly value: TimedMembers
  readonly what: string
  readonly since: string
  readonly group: "set" | "sorted-set"
  readonly flags: string
}

const MEMBERS = "MEMBERS(nummembers:integer member...)"
const COST = "O(N), N members; the first time of a small set makes a table of it"

function entries({ value, what, since, group, flags }: Words): CommandSpec[] {
  const letter = value.letter.toLowerCase()
  const expire = (suffix: string, time: string, how: string, unitMs: number, absolute: boolean): CommandSpec => ({
    name: `${letter}${suffix}`,
    since,
    group,
    arity: -6,
    flags,
    keys: "RW update @1",
    syntax: `key ${time} [condition=NX|XX|GT|LT] ${MEMBERS}`,
    summary: `Lets members of a ${what} expire ${how}.`,
    complexity: COST,
    run: call => expireMembers(call, value, unitMs, absolute ? 0 : call.now),
  })
  const ask = (suffix: string, told: string, unitMs: number, absolute: boolean): CommandSpec => ({
    name: `${letter}${suffix}`,
    since,
    group,
    arity: -5,
    flags: "readonly fast",
    keys: "RO access @1",
    ...(absolute ? {} : { tips: "nondeterministic_output" }),
    syntax: `key ${MEMBERS}`,
    summary: `Gives the ${told} of a ${what}${absolute ? " expire" : " have left"}.`,
    complexity: "O(N), N members",
    run: call => tellTimes(call, value, unitMs, absolute ? 0 : call.now),
  })
  return [
    expire("expire", "seconds:integer", "after a number of seconds", 1000, false),
    expire("pexpire", "milliseconds:integer", "after a number of milliseconds", 1, false),
    expire("expireat", "unix-time-seconds:unix-time", "at a Unix time in seconds", 1000, true),
    expire("pexpireat", "unix-time-milliseconds:unix-time", "at a Unix time in milliseconds", 1, true),
    ask("ttl", "seconds that members", 1000, false),
    ask("pttl", "milliseconds that members", 1, false),
    ask("expiretime", "Unix times in seconds at which members", 1000, true),
    ask("pexpiretime", "Unix times in milliseconds at which members", 1, true),
    {
      name: `${letter}persist`,
      since,
      group,
      arity: -5,
      flags: "write fast",
      keys: "RW update @1",
      syntax: `key ${MEMBERS}`,
      summary: `Removes the expiry of members of a ${what}.`,
      complexity: "O(N), N members",
      run: call => persistMembers(call, value),
    },
  ]
}

export const memberExpiryCommands: readonly CommandSpec[] = [
  ...entries({ value: timedSet, what: "set", since: "8.12.0", group: "set", flags: "write fast" }),
  ...entries({
    value: timedZset,
    what: "sorted set",
    since: "1.0.0",
    group: "sorted-set",
    flags: "write denyoom fast",
  }),
  {
    name: "zcollect",
    since: "1.0.0",
    group: "sorted-set",
    arity: -2,
    flags: "write admin",
    keys: "RW access update @1..-1",
    syntax: "key...",
    summary: "Removes members past their time from sorted sets; `*` stands for all of them.",
    complexity: "O(N), N members that are due",
    run: zcollect,
  },
]
