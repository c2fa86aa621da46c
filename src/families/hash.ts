/** Hashes: setting, getting and removing fields. */

import { addInt64, parseInt64, writeInt64 } from "../bytes/int64.ts"
import { addLongDouble, formatLongDoubleHuman, isFiniteLongDouble, parseLongDouble } from "../bytes/long-double.ts"
import type { Call } from "../command/context.ts"
import { NOT_FLOAT, NOT_INTEGER, OVERFLOW, wrongArity } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { hash, hasTwinFields } from "./hash-store.ts"
import { tellFieldList, tellFields } from "./hash-subkeys.ts"

const NOT_FINITE = "ERR value is NaN or Infinity"
const NOT_FINITE_SUM = "ERR increment would produce NaN or Infinity"
const HASH_VALUE_NOT_INTEGER = "ERR hash value is not an integer"
const HASH_VALUE_NOT_FLOAT = "ERR hash value is not a float"

/** Text of a number on its way into a hash. */
const numberText = new Uint8Array(8192)

export const hashFieldCommands: readonly CommandSpec[] = [
  {
    name: "hset",
    since: "2.0.0",
    group: "hash",
    arity: -4,
    flags: "write denyoom fast",
    keys: "RW update @1",
    member: 2,
    syntax: "key data=(field value)...",
    summary: "Sets fields of a hash.",
    complexity: "O(N), N fields",
    run: hset,
  },
  {
    name: "hmset",
    since: "2.0.0",
    group: "hash",
    arity: -4,
    flags: "write denyoom fast",
    keys: "RW update @1",
    member: 2,
    syntax: "key data=(field value)...",
    summary: "Sets several fields.",
    complexity: "O(N), N fields",
    deprecated: { since: "4.0.0", replacedBy: "`HSET` with multiple field-value pairs" },
    run: hmset,
  },
  {
    name: "hsetnx",
    since: "2.0.0",
    group: "hash",
    arity: 4,
    flags: "write denyoom fast",
    keys: "RW insert @1",
    member: 2,
    syntax: "key field value",
    summary: "Sets a field unless the hash has it.",
    complexity: "O(1)",
    run: hsetnx,
  },
  {
    name: "hget",
    since: "2.0.0",
    group: "hash",
    arity: 3,
    flags: "readonly fast",
    keys: "RO access @1",
    member: 2,
    syntax: "key field",
    summary: "Gives the value of a field.",
    complexity: "O(1)",
    run: hget,
  },
  {
    name: "hmget",
    since: "2.0.0",
    group: "hash",
    arity: -3,
    flags: "readonly fast",
    keys: "RO access @1",
    member: 2,
    syntax: "key field...",
    summary: "Gives the values of several fields.",
    complexity: "O(N), N fields",
    run: hmget,
  },
  {
    name: "hdel",
    since: "2.0.0",
    group: "hash",
    arity: -3,
    flags: "write fast",
    keys: "RW delete @1",
    member: 2,
    syntax: "key field...",
    summary: "Removes fields of a hash; the hash goes with the last one.",
    complexity: "O(N), N fields",
    run: hdel,
  },
  {
    name: "hexists",
    since: "2.0.0",
    group: "hash",
    arity: 3,
    flags: "readonly fast",
    keys: "RO @1",
    member: 2,
    syntax: "key field",
    summary: "Tells whether a hash has a field.",
    complexity: "O(1)",
    run: hexists,
  },
  {
    name: "hlen",
    since: "2.0.0",
    group: "hash",
    arity: 2,
    flags: "readonly fast",
    keys: "RO @1",
    syntax: "key",
    summary: "Counts the fields of a hash.",
    complexity: "O(1)",
    run: hlen,
  },
  {
    name: "hstrlen",
    since: "3.2.0",
    group: "hash",
    arity: 3,
    flags: "readonly fast",
    keys: "RO @1",
    member: 2,
    syntax: "key field",
    summary: "Gives the length of a field's value.",
    complexity: "O(1)",
    run: hstrlen,
  },
  {
    name: "hincrby",
    since: "2.0.0",
    group: "hash",
    arity: 4,
    flags: "write denyoom fast",
    keys: "RW access update @1",
    member: 2,
    syntax: "key field increment:integer",
    summary: "Adds to the integer in a field; a missing field counts as 0.",
    complexity: "O(1)",
    run: hincrby,
  },
  {
    name: "hincrbyfloat",
    since: "2.6.0",
    group: "hash",
    arity: 4,
    flags: "write denyoom fast",
    keys: "RW access update @1",
    member: 2,
    syntax: "key field increment:double",
    summary: "Adds to the number in a field; a missing field counts as 0.",
    complexity: "O(1)",
    run: hincrbyfloat,
  },
]

/** Sets the fields and values from argument 2 on; how many fields are new, or -1 after an error reply. */
function setPairs(call: Call): number {
  const { args } = call
  const { count, starts, ends } = args
  if ((count & 1) !== 0) {
    call.reply.error(wrongArity(call.command.fullName))
    return -1
  }
  if (!hash.write(call)) return -1
  const pairs = (count - 2) >>> 1
  const { values } = call.config
  let fits = pairs <= values.hashMaxListpackEntries
  const longest = values.hashMaxListpackValue
  for (let i = 2; i < count && fits; i++) fits = ends[i]! - starts[i]! <= longest
  let created = 0
  if (fits && hash.address === 0 && !hasTwinFields(args)) {
    hash.create(args)
    created = pairs
  } else {
    if (!fits) hash.toTable()
    const { bytes } = args
    for (let i = 2; i < count; i += 2) {
      if (hash.set(bytes, starts[i]!, ends[i]!, bytes, starts[i + 1]!, ends[i + 1]!, false)) created++
    }
    hash.settle()
  }
  call.changed(1, Notify.Hash, "hset")
  tellFields(call, "hset", 2, count, 2)
  call.keyspace.events.dirty += pairs - 1
  return created
}

function hset(call: Call): void {
  const created = setPairs(call)
  if (created >= 0) call.reply.integer(created)
}

function hmset(call: Call): void {
  if (setPairs(call) >= 0) call.reply.ok()
}

function hsetnx(call: Call): void {
  const { args } = call
  if (!hash.write(call)) return
  if (hash.findArgument(2)) {
    call.reply.integer(0)
    return
  }
  const { bytes, starts, ends } = args
  hash.set(bytes, starts[2]!, ends[2]!, bytes, starts[3]!, ends[3]!, false)
  hash.settle()
  call.changed(1, Notify.Hash, "hset")
  tellFields(call, "hset", 2, 3)
  call.reply.integer(1)
}

function hget(call: Call): void {
  if (!hash.read(call)) return
  if (hash.findArgument(2)) hash.bulk(call.reply)
  else call.reply.null()
}

function hmget(call: Call): void {
  if (!hash.read(call)) return
  const { count } = call.args
  call.reply.array(count - 2)
  for (let i = 2; i < count; i++) {
    if (hash.findArgument(i)) hash.bulk(call.reply)
    else call.reply.null()
  }
}

function hexists(call: Call): void {
  if (!hash.read(call)) return
  call.reply.integer(hash.findArgument(2) ? 1 : 0)
}

function hlen(call: Call): void {
  if (!hash.read(call)) return
  call.reply.integer(hash.size)
}

function hstrlen(call: Call): void {
  if (!hash.read(call)) return
  call.reply.integer(hash.findArgument(2) ? hash.valueLength() : 0)
}

function hdel(call: Call): void {
  if (!hash.write(call)) return
  const { bytes, starts, ends, count } = call.args
  let deleted = 0
  deletedFields.length = 0
  for (let i = 2; i < count && hash.size > 0; i++) {
    if (!hash.findStored(bytes, starts[i]!, ends[i]!)) continue
    hash.remove()
    deletedFields.push(i)
    deleted++
  }
  if (deleted > 0) tellDeleted(call, deleted)
  call.reply.integer(deleted)
}

/** Argument numbers of the fields that the running HDEL has deleted. */
const deletedFields: number[] = []

/** After `deleted` fields were removed: the hash goes with the last one. */
function tellDeleted(call: Call, deleted: number): void {
  const emptied = hash.removeIfEmpty()
  hash.forgetExpiryIfNone()
  const { db, args, keyspace } = call
  call.changed(1, Notify.Hash, "hdel")
  tellFieldList(call, "hdel", deletedFields)
  keyspace.events.dirty += deleted - 1
  if (emptied) keyspace.events.notify(Notify.Generic, "del", db, args.bytes, args.starts[1]!, args.ends[1]!)
}

function hincrby(call: Call): void {
  const { args, reply } = call
  const increment = args.int64(3)
  if (increment === undefined) {
    reply.error(NOT_INTEGER)
    return
  }
  if (!hash.write(call)) return
  let old: number | bigint | undefined = 0
  let isPacked = false
  if (hash.findArgument(2)) {
    old = hash.packedInteger()
    isPacked = old !== undefined && hash.takesIntegers(2)
    if (old === undefined) {
      hash.readValue()
      old = parseInt64(hash.valueBytes, hash.valueStart, hash.valueEnd)
      if (old === undefined) {
        reply.error(HASH_VALUE_NOT_INTEGER)
        return
      }
    }
  }
  const sum = addInt64(old, increment)
  if (sum === undefined) {
    reply.error(OVERFLOW)
    return
  }
  if (isPacked && typeof sum === "number") hash.setPackedInteger(sum)
  else setNumber(call, writeInt64(numberText, 0, sum))
  call.changed(1, Notify.Hash, "hincrby")
  tellFields(call, "hincrby", 2, 3)
  reply.int64(sum)
}

/** Stores the first `length` bytes of numberText in the field that is argument 2, which keeps its expiry. */
function setNumber(call: Call, length: number): void {
  const { args } = call
  hash.set(args.bytes, args.starts[2]!, args.ends[2]!, numberText, 0, length, true)
  hash.settle()
}

/** Goes on as HSET of the sum, since another machine may compute another one; the field's expiry goes along. */
function hincrbyfloat(call: Call): void {
  const { args, reply } = call
  const increment = parseLongDouble(args.bytes, args.starts[3]!, args.ends[3]!)
  if (increment === undefined) {
    reply.error(NOT_FLOAT)
    return
  }
  if (!isFiniteLongDouble(increment)) {
    reply.error(NOT_FINITE)
    return
  }
  if (!hash.write(call)) return
  let expiry = 0
  let sum = increment
  if (hash.findArgument(2)) {
    hash.readValue()
    const old = parseLongDouble(hash.valueBytes, hash.valueStart, hash.valueEnd)
    if (old === undefined) {
      reply.error(HASH_VALUE_NOT_FLOAT)
      return
    }
    expiry = hash.expiry()
    sum = addLongDouble(old, increment)
    if (!isFiniteLongDouble(sum)) {
      reply.error(NOT_FINITE_SUM)
      return
    }
  }
  const text = formatLongDoubleHuman(sum)
  for (let i = 0; i < text.length; i++) numberText[i] = text.charCodeAt(i)
  setNumber(call, text.length)
  call.changed(1, Notify.Hash, "hincrbyfloat")
  tellFields(call, "hincrbyfloat", 2, 3)
  const { bytes, starts, ends } = args
  const effect = call.propagation.effect(call.db, 4).word("HSET").arg(bytes, starts[1]!, ends[1]!)
  effect.arg(bytes, starts[2]!, ends[2]!).arg(numberText, 0, text.length)
  if (expiry !== 0) {
    const again = call.propagation.effect(call.db, 6).word("HPEXPIREAT").arg(bytes, starts[1]!, ends[1]!).number(expiry)
    again.word("FIELDS").word("1").arg(bytes, starts[2]!, ends[2]!)
  }
  reply.bulk(numberText, 0, text.length)
}
