/**
 * Sets: SADDEX, which adds members and lets them expire, as the command description of Redis 8.12 has it. (Dragonfly's command
 * of that name takes other arguments.)
 *
 * It goes on as SADD, and SPEXPIREAT or SPERSIST of the members that need it; as SREMs when the time is over.
 */

import { shown } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { NOT_INTEGER, SHOWN_MAX, wrongArity } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { expiryTime } from "./hash-expiry.ts"
import { addToSet, builder, firstForm, removeFromSet, setHas, setSize, toTable } from "./set-value.ts"

const ONE_EXPIRY = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"
const ONE_CONDITION = "ERR Only one of MXX or MNX arguments can be specified"
const COUNT_MAX = 2 ** 31 - 1

export const setExtendedCommands: readonly CommandSpec[] = [
  {
    name: "saddex",
    since: "8.12.0",
    group: "set",
    arity: -5,
    flags: "write denyoom fast",
    keys: "RW update @1",
    syntax:
      "key [condition=MNX|MXX] [expiration=EX seconds:integer|PX milliseconds:integer|EXAT unix-time-seconds:unix-time|" +
      "PXAT unix-time-milliseconds:unix-time|KEEPTTL] MEMBERS(nummembers:integer member...)",
    summary: "Adds members to a set, and sets when they expire.",
    complexity: "O(N), N members",
    run: saddex,
  },
]

interface Options {
  condition: "" | "mnx" | "mxx"
  keepsTimes: boolean
  /** ms of Unix time, 0 for none. */
  time: number
  first: number
  count: number
}

/** Members that had, or got, what is to be told of them: argument numbers. */
const noted: number[] = []

function saddex(call: Call): void {
  const { args, db, keyspace, reply } = call
  const { bytes, starts, ends } = args
  const options = readOptions(call)
  if (options === undefined) return
  const address = call.writeTyped(1, ValueType.Set)
  if (address === -1) return
  if (!holds(call, address, options)) {
    reply.integer(0)
    return
  }
  reply.integer(1)
  const { time, first, count, keepsTimes } = options
  if (time > 0 && time <= call.now && !keyspace.expiryPaused) {
    if (address !== 0) removeAll(call, address, options)
    return
  }
  const map = addAll(call, address, options)
  noted.length = 0
  if (map !== undefined && !keepsTimes) {
    for (let i = first; i < first + count; i++) {
      const member = map.find(bytes, starts[i]!, ends[i]!)
      if (time === 0 && map.expiry(member) === 0) continue
      map.setExpiry(member, time)
      noted.push(i)
    }
    if (time > 0) keyspace.memberExpiry.note(db, bytes, starts[1]!, ends[1]!, time)
    db.keys.noteObjectBytes(db.keys.find(bytes, starts[1]!, ends[1]!))
  }
  call.changed(1, Notify.Set, "sadd")
  keyspace.events.dirty += count - 1
  if (time > 0) keyspace.events.notify(Notify.Set, "sexpire", db, bytes, starts[1]!, ends[1]!)
  propagate(call, options)
}

/** Adds all members; the table they are in, if they are in one. */
function addAll(call: Call, address: number, { time, first, count }: Options): ByteMap | undefined {
  const { args, db } = call
  const { keys } = db
  const { bytes, starts, ends } = args
  if (address === 0) {
    builder.begin(call, time > 0 ? Kind.SetTable : firstForm(call, bytes, starts[first]!, ends[first]!, count))
    for (let i = first; i < first + count; i++) builder.add(bytes, starts[i]!, ends[i]!)
    builder.store(db, bytes, starts[1]!, ends[1]!)
    address = keys.find(bytes, starts[1]!, ends[1]!)
  } else {
    if (time > 0) address = toTable(call, keys, address)
    for (let i = first; i < first + count; i++) {
      const moved = addToSet(call, keys, address, bytes, starts[i]!, ends[i]!)
      if (moved !== 0) address = moved
    }
  }
  return keys.type(address) === Kind.SetTable ? (keys.object(address) as ByteMap) : undefined
}

/** The time is over: members that are there go, and others do not come. */
function removeAll(call: Call, address: number, { first, count }: Options): void {
  const { args, db, keyspace, propagation } = call
  const { bytes, starts, ends } = args
  let removed = 0
  let isEmpty = false
  for (let i = first; i < first + count && !isEmpty; i++) {
    const moved = removeFromSet(db.keys, address, bytes, starts[i]!, ends[i]!)
    if (moved === 0) continue
    address = moved
    removed++
    isEmpty = setSize(db.keys, address) === 0
    const effect = propagation.effect(db, 3).word("SREM").arg(bytes, starts[1]!, ends[1]!)
    effect.arg(bytes, starts[i]!, ends[i]!)
  }
  if (removed === 0) return
  if (isEmpty) db.removeQuietly(address)
  keyspace.events.expiredFields += removed
  call.changed(1, Notify.Set, "srem")
  keyspace.events.dirty += removed - 1
  if (isEmpty) keyspace.events.notify(Notify.Generic, "del", db, bytes, starts[1]!, ends[1]!)
}

function propagate(call: Call, { time, first, count }: Options): void {
  const { args, db, propagation } = call
  const { bytes, starts, ends } = args
  const added = propagation
    .effect(db, 2 + count)
    .word("SADD")
    .arg(bytes, starts[1]!, ends[1]!)
  for (let i = first; i < first + count; i++) added.arg(bytes, starts[i]!, ends[i]!)
  if (noted.length === 0) return
  const extra = time > 0 ? 1 : 0
  const timed = propagation.effect(db, 4 + extra + noted.length).word(time > 0 ? "SPEXPIREAT" : "SPERSIST")
  timed.arg(bytes, starts[1]!, ends[1]!)
  if (time > 0) timed.number(time)
  timed.word("MEMBERS").number(noted.length)
  for (const i of noted) timed.arg(bytes, starts[i]!, ends[i]!)
}

/** MNX: none of the members is there. MXX: all are. */
function holds(call: Call, address: number, { condition, first, count }: Options): boolean {
  if (condition === "") return true
  const { bytes, starts, ends } = call.args
  if (address === 0) return condition === "mnx"
  for (let i = first; i < first + count; i++) {
    if (setHas(call.db.keys, address, bytes, starts[i]!, ends[i]!) !== (condition === "mxx")) return false
  }
  return true
}

function readOptions(call: Call): Options | undefined {
  const { args } = call
  const options: Options = { condition: "", keepsTimes: false, time: 0, first: 0, count: 0 }
  const refuse = (error: string): undefined => {
    call.reply.error(error)
    return undefined
  }
  for (let i = 2; i < args.count; i++) {
    const unitMs = args.is(i, "ex") || args.is(i, "exat") ? 1000 : args.is(i, "px") || args.is(i, "pxat") ? 1 : 0
    if (args.is(i, "members")) {
      if (options.first !== 0) return refuse("ERR MEMBERS keyword specified multiple times")
      if (i + 1 >= args.count) return refuse(wrongArity("saddex"))
      const count = args.int64(i + 1)
      if (count === undefined) return refuse(NOT_INTEGER)
      if (count < 1 || count > COUNT_MAX) return refuse("ERR invalid number of members")
      if (Number(count) > args.count - i - 2) return refuse("ERR wrong number of arguments")
      options.first = i + 2
      options.count = Number(count)
      i += 1 + options.count
    } else if (unitMs > 0 || args.is(i, "keepttl")) {
      if (options.time > 0 || options.keepsTimes) return refuse(ONE_EXPIRY)
      if (unitMs === 0) {
        options.keepsTimes = true
        continue
      }
      if (i + 1 >= args.count) return refuse("ERR missing expire time")
      const isRelative = args.is(i, "ex") || args.is(i, "px")
      const time = expiryTime(call, ++i, unitMs, isRelative ? call.now : 0)
      if (time < 0) return undefined
      options.time = Math.max(1, time)
    } else if (args.is(i, "mnx") || args.is(i, "mxx")) {
      if (options.condition !== "") return refuse(ONE_CONDITION)
      options.condition = args.is(i, "mnx") ? "mnx" : "mxx"
    } else return refuse(`ERR unknown argument: ${shown(args.latin1(i), SHOWN_MAX)}`)
  }
  return options.first !== 0 ? options : refuse("ERR missing MEMBERS argument")
}
