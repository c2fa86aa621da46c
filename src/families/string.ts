/**
 * Strings: GET, SET and their relatives, for one key and for many. Their parts are edited in string-part.ts, their numbers
 * in string-number.ts.
 */

import type { Call } from "../command/context.ts"
import { wrongArity } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import { stringNumberCommands } from "./string-number.ts"
import { Accepts, Condition, ExpiryForm, momentOf, StringOptions } from "./string-options.ts"
import { stringPartCommands } from "./string-part.ts"
import { storeArgument } from "./string-value.ts"

const options = new StringOptions()

export const stringCommands: readonly CommandSpec[] = [
  {
    name: "get",
    since: "1.0.0",
    group: "string",
    arity: 2,
    flags: "readonly fast",
    keys: "RO access @1",
    syntax: "key",
    summary: "Gives the value of a string.",
    complexity: "O(1)",
    run: get,
  },
  {
    name: "getdel",
    since: "6.2.0",
    group: "string",
    arity: 2,
    flags: "write fast",
    keys: "RW access delete @1",
    syntax: "key",
    summary: "Gives the value of a string and deletes the key.",
    complexity: "O(1)",
    run: getdel,
  },
  {
    name: "getex",
    since: "6.2.0",
    group: "string",
    arity: -2,
    flags: "write fast",
    keys: 'RW access update @1 "RW and update since the expiry may change"',
    syntax:
      "key " +
      "[expiration=EX seconds:integer|PX milliseconds:integer|EXAT unix-time-seconds:unix-time|" +
      "PXAT unix-time-milliseconds:unix-time|PERSIST]",
    summary: "Gives the value of a string and sets or removes its expiry.",
    complexity: "O(1)",
    run: getex,
  },
  {
    name: "getset",
    since: "1.0.0",
    group: "string",
    arity: 3,
    flags: "write denyoom fast",
    keys: "RW access update @1",
    syntax: "key value",
    summary: "Sets a string and gives its former value.",
    complexity: "O(1)",
    deprecated: { since: "6.2.0", replacedBy: "`SET` with the `!GET` argument" },
    run: getset,
  },
  {
    name: "mget",
    since: "1.0.0",
    group: "string",
    arity: -2,
    flags: "readonly fast",
    keys: "RO access @1..-1",
    tips: "request_policy:multi_shard",
    syntax: "key...",
    summary: "Gives the values of several strings.",
    complexity: "O(N), N keys",
    run: mget,
  },
  {
    name: "mset",
    since: "1.0.1",
    group: "string",
    arity: -3,
    flags: "write denyoom",
    keys: "OW update @1..-1/2",
    tips: "request_policy:multi_shard response_policy:all_succeeded",
    syntax: "data=(key value)...",
    summary: "Sets several strings.",
    complexity: "O(N), N keys",
    run: mset,
  },
  {
    name: "msetnx",
    since: "1.0.1",
    group: "string",
    arity: -3,
    flags: "write denyoom",
    keys: "OW insert @1..-1/2",
    syntax: "data=(key value)...",
    summary: "Sets several strings if none of the keys exists.",
    complexity: "O(N), N keys",
    run: msetnx,
  },
  {
    name: "psetex",
    since: "2.6.0",
    group: "string",
    arity: 4,
    flags: "write denyoom",
    keys: "OW update @1",
    syntax: "key milliseconds:integer value",
    summary: "Sets a string that expires after a number of milliseconds.",
    complexity: "O(1)",
    deprecated: { since: "2.6.12", replacedBy: "`SET` with the `PX` argument" },
    run: psetex,
  },
  {
    name: "set",
    since: "1.0.0",
    group: "string",
    arity: -3,
    flags: "write denyoom",
    keys: 'RW access update variable_flags @1 "Also read when GET is given" => set',
    syntax:
      "key value [condition=NX|XX]@2.6.12 [GET]@6.2.0 " +
      "[expiration=EX seconds:integer@2.6.12|PX milliseconds:integer@2.6.12|" +
      "EXAT unix-time-seconds:unix-time@6.2.0|PXAT unix-time-milliseconds:unix-time@6.2.0|KEEPTTL@6.0.0]",
    summary: "Sets a string, whatever the key held before.",
    complexity: "O(1)",
    run: set,
  },
  {
    name: "setex",
    since: "2.0.0",
    group: "string",
    arity: 4,
    flags: "write denyoom",
    keys: "OW update @1",
    syntax: "key seconds:integer value",
    summary: "Sets a string that expires after a number of seconds.",
    complexity: "O(1)",
    deprecated: { since: "2.6.12", replacedBy: "`SET` with the `EX` argument" },
    run: setex,
  },
  {
    name: "setnx",
    since: "1.0.0",
    group: "string",
    arity: 3,
    flags: "write denyoom fast",
    keys: "OW insert @1",
    syntax: "key value",
    summary: "Sets a string unless the key exists.",
    complexity: "O(1)",
    deprecated: { since: "2.6.12", replacedBy: "`SET` with the `NX` argument" },
    run: setnx,
  },
  ...stringNumberCommands,
  ...stringPartCommands,
]

// ---------------------------------------------------------------------------------------------------- reading

function get(call: Call): void {
  replyValue(call)
}

/** Replies the string under argument 1. Returns its address, 0 when it is missing, -1 after WRONGTYPE. */
function replyValue(call: Call): number {
  const address = call.readTyped(1, ValueType.String)
  if (address > 0) {
    const { keys } = call.db
    keys.readValue(address)
    call.reply.bulk(keys.valueBytes, keys.valueStart, keys.valueEnd)
  } else if (address === 0) call.reply.null()
  return address
}

function mget(call: Call): void {
  const { db, args, reply } = call
  const { keys } = db
  const { bytes, starts, ends, count } = args
  reply.array(count - 1)
  for (let i = 1; i < count; i++) {
    const address = db.lookup(bytes, starts[i]!, ends[i]!)
    if (address !== 0 && keys.type(address) <= Kind.StringRaw) {
      keys.readValue(address)
      reply.bulk(keys.valueBytes, keys.valueStart, keys.valueEnd)
    } else reply.null()
  }
}

function getdel(call: Call): void {
  const address = replyValue(call)
  if (address <= 0) return
  call.removeKey(1, address)
  propagateDeletion(call)
}

function getex(call: Call): void {
  if (!options.parse(call, 2, Accepts.Persist)) return
  const { db, args, propagation, reply } = call
  const { keys } = db
  const address = call.readTyped(1, ValueType.String)
  if (address < 0) return
  if (address === 0) {
    reply.null()
    return
  }
  const form = options.expiryForm
  const moment = form === ExpiryForm.None ? 0 : momentOf(call, options.expiryIndex, form)
  if (Number.isNaN(moment)) return
  keys.readValue(address)
  reply.bulk(keys.valueBytes, keys.valueStart, keys.valueEnd)
  if (form >= ExpiryForm.UnixSeconds && moment <= call.now && !call.keyspace.expiryPaused) {
    call.removeKey(1, address)
    propagateDeletion(call)
  } else if (form !== ExpiryForm.None) {
    keys.setExpiry(address, moment)
    call.changed(1, Notify.Generic, "expire")
    propagation.effect(db, 3).word("PEXPIREAT").arg(args.bytes, args.start(1), args.end(1)).number(moment)
  } else if (options.persist && keys.expiry(address) !== 0) {
    keys.setExpiry(address, 0)
    call.changed(1, Notify.Generic, "persist")
    propagation.effect(db, 2).word("PERSIST").arg(args.bytes, args.start(1), args.end(1))
  }
}

function propagateDeletion(call: Call): void {
  const { args } = call
  call.propagation.effect(call.db, 2).word("DEL").arg(args.bytes, args.start(1), args.end(1))
}

// ---------------------------------------------------------------------------------------------------- writing

function set(call: Call): void {
  if (call.args.count === 3) {
    storeArgument(call.db, call.args, 1, 2, 0)
    call.changed(1, Notify.String, "set")
    call.reply.ok()
  } else setWithOptions(call)
}

function setWithOptions(call: Call): void {
  if (!options.parse(call, 3, Accepts.Conditions | Accepts.Get | Accepts.KeepTtl)) return
  const form = options.expiryForm
  const moment = form === ExpiryForm.None ? 0 : momentOf(call, options.expiryIndex, form)
  if (Number.isNaN(moment)) return
  if (options.get && replyValue(call) < 0) return
  const { condition } = options
  const address = condition === Condition.None && !options.keepTtl ? 0 : call.write(1)
  if ((condition === Condition.Absent && address !== 0) || (condition === Condition.Present && address === 0)) {
    if (!options.get) call.reply.null()
    return
  }
  const expiry = options.keepTtl && address !== 0 ? call.db.keys.expiry(address) : moment
  storeArgument(call.db, call.args, 1, 2, expiry)
  call.changed(1, Notify.String, "set")
  if (!options.get) call.reply.ok()
  if (form !== ExpiryForm.None) announceExpiry(call, 1, 2, form, moment)
  else if (options.get) propagateWithoutGet(call)
}

/** The second event of a string set with an expiry, and its propagation as a SET with the moment. */
function announceExpiry(call: Call, keyIndex: number, index: number, form: ExpiryForm, moment: number): void {
  const { args, db, propagation } = call
  const { bytes } = args
  const start = args.start(keyIndex)
  const end = args.end(keyIndex)
  call.keyspace.events.notify(Notify.Generic, "expire", db, bytes, start, end)
  if (form === ExpiryForm.UnixMilliseconds) return
  const writer = propagation.effect(db, 5).word("SET").arg(bytes, start, end)
  writer.arg(bytes, args.start(index), args.end(index)).word("PXAT").number(moment)
}

/** SET … GET is a read to a replica that does not need the reply, and is refused where only writing is allowed. */
function propagateWithoutGet(call: Call): void {
  const { args } = call
  let count = args.count
  for (let i = 3; i < args.count; i++) if (args.is(i, "get")) count--
  const writer = call.propagation.effect(call.db, count)
  for (let i = 0; i < args.count; i++) {
    if (i < 3 || !args.is(i, "get")) writer.arg(args.bytes, args.start(i), args.end(i))
  }
}

function setnx(call: Call): void {
  if (call.write(1) !== 0) {
    call.reply.integer(0)
    return
  }
  storeArgument(call.db, call.args, 1, 2, 0)
  call.changed(1, Notify.String, "set")
  call.reply.integer(1)
}

function setex(call: Call): void {
  setExpiring(call, ExpiryForm.Seconds)
}

function psetex(call: Call): void {
  setExpiring(call, ExpiryForm.Milliseconds)
}

function setExpiring(call: Call, form: ExpiryForm): void {
  const moment = momentOf(call, 2, form)
  if (Number.isNaN(moment)) return
  storeArgument(call.db, call.args, 1, 3, moment)
  call.changed(1, Notify.String, "set")
  call.reply.ok()
  announceExpiry(call, 1, 3, form, moment)
}

function getset(call: Call): void {
  if (replyValue(call) < 0) return
  const { args, db } = call
  storeArgument(db, args, 1, 2, 0)
  call.changed(1, Notify.String, "set")
  const writer = call.propagation.effect(db, 3).word("SET").arg(args.bytes, args.start(1), args.end(1))
  writer.arg(args.bytes, args.start(2), args.end(2))
}

function mset(call: Call): void {
  if (!hasPairs(call)) return
  setPairs(call)
  call.reply.ok()
}

function msetnx(call: Call): void {
  const { args, db } = call
  if (!hasPairs(call)) return
  for (let i = 1; i < args.count; i += 2) {
    if (db.lookupWrite(args.bytes, args.start(i), args.end(i)) !== 0) {
      call.reply.integer(0)
      return
    }
  }
  setPairs(call)
  call.reply.integer(1)
}

function hasPairs(call: Call): boolean {
  if ((call.args.count & 1) === 1) return true
  call.reply.error(wrongArity(call.command.fullName))
  return false
}

function setPairs(call: Call): void {
  const { args, db } = call
  for (let i = 1; i < args.count; i += 2) {
    storeArgument(db, args, i, i + 1, 0)
    call.changed(i, Notify.String, "set")
  }
}
