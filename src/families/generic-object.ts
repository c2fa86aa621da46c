/** OBJECT: what is known about a value besides its content. */
import { parseSafeInteger } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { helpOf } from "../command/help.ts"
import type { CommandSpec } from "../command/spec.ts"
import { encodingName, Kind } from "../keyspace/kinds.ts"

/** Redis shares the objects of the integers below this among all keys, and tells it by this reference count. */
const SHARED_INTEGERS = 10_000
const SHARED_REFCOUNT = 2_147_483_647

const NO_FREQUENCY =
  "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between " +
  "policies at runtime LRU and LFU data will take some time to adjust."
const NO_IDLE_TIME =
  "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at " +
  "runtime LRU and LFU data will take some time to adjust."

export const objectCommands: readonly CommandSpec[] = [
  {
    name: "object",
    since: "2.2.3",
    group: "generic",
    arity: -2,
    flags: "",
    categories: "-keyspace",
    syntax: "",
    summary: "Holds the commands that look into values.",
    complexity: "depends on the subcommand",
    subcommands: [
      {
        name: "encoding",
        since: "2.2.3",
        group: "generic",
        arity: 3,
        flags: "readonly",
        keys: "RO @2",
        tips: "nondeterministic_output",
        syntax: "key",
        summary: "Names the internal encoding of a value.",
        complexity: "O(1)",
        run: objectEncoding,
      },
      {
        name: "freq",
        since: "4.0.0",
        group: "generic",
        arity: 3,
        flags: "readonly",
        keys: "RO @2",
        tips: "nondeterministic_output",
        syntax: "key",
        summary: "Gives the logarithmic access frequency of a key.",
        complexity: "O(1)",
        run: objectFreq,
      },
      {
        name: "help",
        since: "6.2.0",
        group: "generic",
        arity: 2,
        flags: "loading stale",
        syntax: "",
        summary: "Lists the subcommands of OBJECT.",
        complexity: "O(1)",
        run: helpOf,
      },
      {
        name: "idletime",
        since: "2.2.3",
        group: "generic",
        arity: 3,
        flags: "readonly",
        keys: "RO @2",
        tips: "nondeterministic_output",
        syntax: "key",
        summary: "Gives the seconds since a key was last used.",
        complexity: "O(1)",
        run: objectIdletime,
      },
      {
        name: "refcount",
        since: "2.2.3",
        group: "generic",
        arity: 3,
        flags: "readonly",
        keys: "RO @2",
        tips: "nondeterministic_output",
        syntax: "key",
        summary: "Gives the reference count of a value.",
        complexity: "O(1)",
        run: objectRefcount,
      },
    ],
  },
]

/** The record under the key, noting no access; after having answered with null, 0. */
function find(call: Call): number {
  const { args, db, keyspace } = call
  const address = db.find(args.bytes, args.starts[2]!, args.ends[2]!)
  if (address !== 0) keyspace.events.hits++
  else {
    keyspace.events.misses++
    call.reply.null()
  }
  return address
}

function objectEncoding(call: Call): void {
  const address = find(call)
  if (address !== 0) call.reply.bulkText(encodingName(call.db.keys.type(address)))
}

function objectRefcount(call: Call): void {
  const address = find(call)
  if (address !== 0) call.reply.integer(isShared(call, address) ? SHARED_REFCOUNT : 1)
}

function isShared(call: Call, address: number): boolean {
  const { keys } = call.db
  if (keys.type(address) !== Kind.StringInt) return false
  const { maxmemory, maxmemoryPolicy } = call.config.values
  if (maxmemory > 0 && /lr[um]|lfu/.test(maxmemoryPolicy)) return false
  keys.readValue(address)
  const value = parseSafeInteger(keys.valueBytes, keys.valueStart, keys.valueEnd)
  return value >= 0 && value < SHARED_INTEGERS
}

function objectIdletime(call: Call): void {
  const { db, keyspace } = call
  const address = find(call)
  if (address === 0) return
  if (keyspace.lfu) call.reply.error(NO_IDLE_TIME)
  else call.reply.integer(keyspace.idleSeconds(db.keys, address))
}

function objectFreq(call: Call): void {
  const { db, keyspace } = call
  const address = find(call)
  if (address === 0) return
  if (keyspace.lfu) call.reply.integer(keyspace.frequency(db.keys, address))
  else call.reply.error(NO_FREQUENCY)
}
