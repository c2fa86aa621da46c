/** Keys whatever their type: DEL, UNLINK, EXISTS, TOUCH, TYPE, KEYS, RANDOMKEY. */
import { globMatch } from "../bytes/glob.ts"
import type { Call } from "../command/context.ts"
import type { CommandSpec } from "../command/spec.ts"
import { typeName } from "../keyspace/kinds.ts"
import { isExpired, peek } from "./generic-peek.ts"

const KEYS_PER_STEP = 1024
/** Where expired keys must stay (on a replica) a live one is looked for this often. */
const RANDOM_TRIES_MAX = 100
const STAR = 0x2a

export const genericCommands: readonly CommandSpec[] = [
  {
    name: "del",
    since: "1.0.0",
    group: "generic",
    arity: -2,
    flags: "write",
    keys: "RM delete @1..-1",
    tips: "request_policy:multi_shard response_policy:agg_sum",
    syntax: "key...",
    summary: "Deletes keys.",
    complexity: "O(N), N keys; O(M) for a value of M elements",
    run: del,
  },
  {
    name: "unlink",
    since: "4.0.0",
    group: "generic",
    arity: -2,
    flags: "write fast",
    keys: "RM delete @1..-1",
    tips: "request_policy:multi_shard response_policy:agg_sum",
    syntax: "key...",
    summary: "Deletes keys and frees their memory in the background.",
    complexity: "O(1) per key; O(N) in the background for N elements",
    run: del,
  },
  {
    name: "exists",
    since: "1.0.0",
    group: "generic",
    arity: -2,
    flags: "readonly fast",
    keys: "RO @1..-1",
    tips: "request_policy:multi_shard response_policy:agg_sum",
    syntax: "key...",
    summary: "Counts how many of the keys exist.",
    complexity: "O(N), N keys",
    run: exists,
  },
  {
    name: "touch",
    since: "3.2.1",
    group: "generic",
    arity: -2,
    flags: "readonly fast",
    keys: "RO @1..-1",
    tips: "request_policy:multi_shard response_policy:agg_sum",
    syntax: "key...",
    summary: "Marks keys as used and counts those that exist.",
    complexity: "O(N), N keys",
    run: touch,
  },
  {
    name: "type",
    since: "1.0.0",
    group: "generic",
    arity: 2,
    flags: "readonly fast",
    keys: "RO @1",
    syntax: "key",
    summary: "Names the type of a key's value.",
    complexity: "O(1)",
    run: type,
  },
  {
    name: "keys",
    since: "1.0.0",
    group: "generic",
    arity: 2,
    flags: "readonly",
    categories: "dangerous",
    tips: "request_policy:all_shards nondeterministic_output_order",
    syntax: "pattern",
    summary: "Lists the keys whose names match a pattern.",
    complexity: "O(N), N keys in the database",
    run: keys,
  },
  {
    name: "randomkey",
    since: "1.0.0",
    group: "generic",
    arity: 1,
    flags: "readonly touches_arbitrary_keys",
    tips: "request_policy:all_shards response_policy:special nondeterministic_output",
    syntax: "",
    summary: "Picks a random key of the database.",
    complexity: "O(1)",
    run: randomkey,
  },
]

/** DEL and UNLINK alike: large values are always freed in slices, after the reply. */
function del(call: Call): void {
  const { args, db } = call
  let removed = 0
  for (let i = 1; i < args.count; i++) {
    const address = db.find(args.bytes, args.starts[i]!, args.ends[i]!)
    if (address === 0) continue
    call.removeKey(i, address)
    removed++
  }
  call.reply.integer(removed)
}

function exists(call: Call): void {
  const { args, db } = call
  let found = 0
  for (let i = 1; i < args.count; i++) {
    if (peek(db, args.bytes, args.starts[i]!, args.ends[i]!) !== 0) found++
  }
  call.reply.integer(found)
}

/** Counts as a use of the keys even for a client that otherwise leaves no traces (CLIENT NO-TOUCH). */
function touch(call: Call): void {
  const { args, keyspace } = call
  const touching = keyspace.touching
  keyspace.touching = true
  let found = 0
  for (let i = 1; i < args.count; i++) if (call.read(i) !== 0) found++
  keyspace.touching = touching
  call.reply.integer(found)
}

function type(call: Call): void {
  const { args, db } = call
  const address = peek(db, args.bytes, args.starts[1]!, args.ends[1]!)
  call.reply.simple(address === 0 ? "none" : typeName(db.type(address)))
}

function keys(call: Call): void {
  const { args, db, reply } = call
  const map = db.keys
  const start = args.start(1)
  const end = args.end(1)
  const all = end - start === 1 && args.bytes[start] === STAR
  const mark = reply.begin()
  const step: number[] = []
  let matched = 0
  let cursor = 0
  do {
    step.length = 0
    cursor = map.scan(cursor, KEYS_PER_STEP, step)
    for (const address of step) {
      if (isExpired(db, address)) continue
      map.readKey(address)
      if (!all && !globMatch(args.bytes, start, end, map.keyBytes, map.keyStart, map.keyEnd)) continue
      reply.bulk(map.keyBytes, map.keyStart, map.keyEnd)
      matched++
    }
  } while (cursor !== 0)
  reply.endArray(mark, matched)
}

function randomkey(call: Call): void {
  const { db, keyspace, reply } = call
  const map = db.keys
  const { random } = keyspace
  for (let tries = 1; ; tries++) {
    const address = map.randomAddress(bound => random.nextBelow(bound))
    if (address === 0) {
      reply.null()
      return
    }
    if (isExpired(db, address)) {
      if (!keyspace.expiryPaused) {
        db.expire(address)
        continue
      }
      if (tries < RANDOM_TRIES_MAX) continue
    }
    map.readKey(address)
    reply.bulk(map.keyBytes, map.keyStart, map.keyEnd)
    return
  }
}
