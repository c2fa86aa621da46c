/** Parts of strings: APPEND, GETRANGE, SETRANGE, STRLEN. Long strings are edited in place and read without copying. */

import { copyBytes } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import { allowsLength, growString, putString, storeArgument } from "./string-value.ts"

export const stringPartCommands: readonly CommandSpec[] = [
  {
    name: "append",
    since: "2.0.0",
    group: "string",
    arity: 3,
    flags: "write denyoom fast",
    keys: "RW insert @1",
    syntax: "key value",
    summary: "Appends to a string, which is created if missing.",
    complexity: "O(1) amortised",
    run: append,
  },
  {
    name: "getrange",
    since: "2.4.0",
    group: "string",
    arity: 4,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key start:integer end:integer",
    summary: "Gives a part of a string.",
    complexity: "O(N), N bytes returned",
    run: getrange,
  },
  {
    name: "setrange",
    since: "2.2.0",
    group: "string",
    arity: 4,
    flags: "write denyoom",
    keys: "RW update @1",
    syntax: "key offset:integer value",
    summary: "Overwrites a part of a string from an offset on.",
    complexity: "O(M), M bytes written",
    run: setrange,
  },
  {
    name: "strlen",
    since: "2.2.0",
    group: "string",
    arity: 2,
    flags: "readonly fast",
    keys: "RO @1",
    syntax: "key",
    summary: "Gives the length of a string in bytes.",
    complexity: "O(1)",
    run: strlen,
  },
  {
    name: "substr",
    since: "1.0.0",
    group: "string",
    arity: 4,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key start:integer end:integer",
    summary: "Gives a part of a string.",
    complexity: "O(N), N bytes returned",
    deprecated: { since: "2.0.0", replacedBy: "`GETRANGE`" },
    run: getrange,
  },
]

function append(call: Call): void {
  const { args, db } = call
  const { keys } = db
  const address = call.writeTyped(1, ValueType.String)
  if (address < 0) return
  let total = args.length(2)
  if (address === 0) storeArgument(db, args, 1, 2, 0)
  else {
    keys.readValue(address)
    const before = keys.valueEnd - keys.valueStart
    total += before
    if (!allowsLength(call, total)) return
    const own = keys.resizeValue(address, total)
    copyBytes(args.bytes, args.start(2), args.end(2), keys.valueBytes, keys.valueStart + before)
    keys.setType(own, Kind.StringRaw)
  }
  call.changed(1, Notify.String, "append")
  call.reply.integer(total)
}

function setrange(call: Call): void {
  const { args, db } = call
  const { keys } = db
  const offset = call.integer(2)
  if (Number.isNaN(offset)) return
  if (offset < 0) {
    call.reply.error("ERR offset is out of range")
    return
  }
  const address = call.writeTyped(1, ValueType.String)
  if (address < 0) return
  let before = 0
  if (address !== 0) {
    keys.readValue(address)
    before = keys.valueEnd - keys.valueStart
  }
  const end = offset + args.length(3)
  if (args.length(3) === 0) {
    call.reply.integer(before)
    return
  }
  if (!allowsLength(call, end)) return
  if (address === 0) {
    putString(db, args.bytes, args.start(1), args.end(1), Kind.StringRaw, end, 0)
    keys.valueBytes.fill(0, keys.valueStart, keys.valueStart + offset)
    copyBytes(args.bytes, args.start(3), args.end(3), keys.valueBytes, keys.valueStart + offset)
  } else {
    const own = growString(keys, address, end)
    copyBytes(args.bytes, args.start(3), args.end(3), keys.valueBytes, keys.valueStart + offset)
    keys.setType(own, Kind.StringRaw)
  }
  call.changed(1, Notify.String, "setrange")
  call.reply.integer(Math.max(before, end))
}

/** GETRANGE and SUBSTR. */
function getrange(call: Call): void {
  let first = call.integer(2)
  if (Number.isNaN(first)) return
  let last = call.integer(3)
  if (Number.isNaN(last)) return
  const address = call.readTyped(1, ValueType.String)
  if (address < 0) return
  const { keys } = call.db
  let length = 0
  if (address !== 0) {
    keys.readValue(address)
    length = keys.valueEnd - keys.valueStart
  }
  const isBackwards = first < 0 && last < 0 && call.args.exceeds(2, 3)
  if (first < 0) first = Math.max(0, first + length)
  if (last < 0) last = Math.max(0, last + length)
  last = Math.min(last, length - 1)
  if (isBackwards || first > last) call.reply.bulkText("")
  else call.reply.bulk(keys.valueBytes, keys.valueStart + first, keys.valueStart + last + 1)
}

function strlen(call: Call): void {
  const address = call.readTyped(1, ValueType.String)
  if (address < 0) return
  const { keys } = call.db
  if (address === 0) call.reply.integer(0)
  else {
    keys.readValue(address)
    call.reply.integer(keys.valueEnd - keys.valueStart)
  }
}
