/**
 * Strings: GET, SET and their relatives, for one key and for many. Their parts are edited in string-part.ts, their numbers
 * in string-number.ts.
 */

import type { Call } from "../command/context.ts"
import { WRONG_TYPE, wrongArity } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import { meetsCondition, stringCompareCommands } from "./string-compare.ts"
import { stringIncrexCommands } from "./string-increx.ts"
import { stringLcsCommands } from "./string-lcs.ts"
import { stringNumberCommands } from "./string-number.ts"
import { Accepts, Condition, ExpiryForm, momentOf, StringOptions } from "./string-options.ts"
import { stringPartCommands } from "./string-part.ts"
import { storeArgument } from "./string-value.ts"

const MSETEX_KEYS_MAX = 2 ** 31 - 1

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
    name: "msetex",
    since: "8.4.0",
    group: "string",
    arity: -4,
    flags: "write denyoom",
    keys: "OW update keynum@1/2",
    tips: "request_policy:multi_shard response_policy:all_succeeded",
    syntax:
      "numkeys:integer data=(key value)... [condition=NX|XX] " +
      "[expiration=EX seconds:integer|PX milliseconds:integer|EXAT unix-time-seconds:unix-time|" +
      "PXAT unix-time-milliseconds:unix-time|KEEPTTL]",
    summary: "Sets several strings that expire together.",
    complexity: "O(N), N keys",
    run: msetex,
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
      "key value [condition=NX|XX|IFEQ ifeq-value:string@8.4.0|IFNE ifne-value:string@8.4.0|" +
      "IFDEQ ifdeq-digest:string@8.4.0|IFDNE ifdne-digest:string@8.4.0]@2.6.12 [GET]@6.2.0 " +
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
  ...stringIncrexCommands,
  ...stringPartCommands,
  ...stringLcsCommands,
  ...stringCompareCommands,
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
  propagateDeletion(call, "DEL")
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
    propagateDeletion(call, call.config.values.lazyfreeLazyExpire ? "UNLINK" : "DEL")
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

function propagateDeletion(call: Call, word: string): void {
  const { args } = call
  call.propagation.effect(call.db, 2).word(word).arg(args.bytes, args.start(1), args.end(1))
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
  if (!options.parse(call, 3, Accepts.Conditions | Accepts.Comparisons | Accepts.Get | Accepts.KeepTtl)) return
  const form = options.expiryForm
  const moment = form === ExpiryForm.None ? 0 : momentOf(call, options.expiryIndex, form)
  if (Number.isNaN(moment)) return
  const { condition, keepTtl } = options
  const address = condition === Condition.None && !keepTtl ? 0 : call.write(1)
  const isMet = meetsCondition(call, address, condition, options.conditionIndex, WRONG_TYPE)
  if (isMet === undefined) return
  if (options.get && replyValue(call) < 0) return
  if (!isMet) {
    if (!options.get) call.reply.null()
    return
  }
  const expiry = keepTtl && address !== 0 ? call.db.keys.expiry(address) : moment
  storeArgument(call.db, call.args, 1, 2, expiry)
  call.changed(1, Notify.String, "set")
  if (!options.get) call.reply.ok()
  if (form !== ExpiryForm.None) {
    notifyExpire(call, 1)
    if (form === ExpiryForm.UnixMilliseconds && condition <= Condition.Present) return
  } else if (!options.get && condition <= Condition.Present) return
  propagateSet(call, 2, moment)
}

/** The second event of a string that is set with an expiry. */
function notifyExpire(call: Call, keyIndex: number): void {
  const { args, db } = call
  call.keyspace.events.notify(Notify.Generic, "expire", db, args.bytes, args.start(keyIndex), args.end(keyIndex))
}

/**
 * Propagates what a SET came to: without the conditions it has met, without GET, which is of no use to a replica, and with
 * the moment of expiry (0: none) in place of a span.
 */
function propagateSet(call: Call, index: number, moment: number): void {
  const { args, db } = call
  const keeps = options.keepTtl && moment === 0
  const writer = call.propagation.effect(db, moment !== 0 ? 5 : keeps ? 4 : 3).word("SET")
  writer.arg(args.bytes, args.start(1), args.end(1)).arg(args.bytes, args.start(index), args.end(index))
  if (moment !== 0) writer.word("PXAT").number(moment)
  else if (keeps) writer.word("KEEPTTL")
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
  notifyExpire(call, 1)
  propagateSet(call, 3, moment)
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

/** MSETEX count key value [key value …] [condition] [expiry] */
function msetex(call: Call): void {
  const { args, db, reply } = call
  const count = args.integer(1)
  if (!(count >= 1 && count <= MSETEX_KEYS_MAX)) {
    reply.error("ERR invalid numkeys value")
    return
  }
  const after = 2 + count * 2
  if (after > args.count) {
    reply.error("ERR wrong number of key-value pairs")
    return
  }
  if (!options.parse(call, after, Accepts.Conditions | Accepts.KeepTtl)) return
  const { condition, keepTtl, expiryForm } = options
  const moment = expiryForm === ExpiryForm.None ? 0 : momentOf(call, options.expiryIndex, expiryForm)
  if (Number.isNaN(moment)) return
  if (condition !== Condition.None) {
    for (let i = 2; i < after; i += 2) {
      if ((call.write(i) === 0) === (condition === Condition.Absent)) continue
      reply.integer(0)
      return
    }
  }
  for (let i = 2; i < after; i += 2) {
    const address = keepTtl ? db.find(args.bytes, args.start(i), args.end(i)) : 0
    storeArgument(db, args, i, i + 1, address === 0 ? moment : db.keys.expiry(address))
    call.changed(i, Notify.String, "set")
    if (moment !== 0) notifyExpire(call, i)
  }
  reply.integer(1)
  if (moment !== 0 && expiryForm !== ExpiryForm.UnixMilliseconds) propagateMsetex(call, after, moment)
}

/** With the moment in place of the expiry that was given. */
function propagateMsetex(call: Call, after: number, moment: number): void {
  const { args, db } = call
  const writer = call.propagation.effect(db, after + 2)
  for (let i = 0; i < after; i++) writer.arg(args.bytes, args.start(i), args.end(i))
  writer.word("PXAT").number(moment)
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
