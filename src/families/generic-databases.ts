/** Whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB. */
import type { Call } from "../command/context.ts"
import { DB_OUT_OF_RANGE, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"

export const databaseCommands: readonly CommandSpec[] = [
  {
    name: "dbsize",
    since: "1.0.0",
    group: "server",
    arity: 1,
    flags: "readonly fast",
    categories: "keyspace",
    tips: "request_policy:all_shards response_policy:agg_sum",
    syntax: "",
    summary: "Counts the keys of the database.",
    complexity: "O(1)",
    run: dbsize,
  },
  {
    name: "flushdb",
    since: "1.0.0",
    group: "server",
    arity: -1,
    flags: "write",
    categories: "keyspace dangerous",
    tips: "request_policy:all_shards response_policy:all_succeeded",
    syntax: "[flush-type=ASYNC@4.0.0|SYNC@6.2.0]",
    summary: "Deletes all keys of the database.",
    complexity: "O(N), N keys in the database",
    run: flushdb,
  },
  {
    name: "flushall",
    since: "1.0.0",
    group: "server",
    arity: -1,
    flags: "write",
    categories: "keyspace dangerous",
    tips: "request_policy:all_shards response_policy:all_succeeded",
    syntax: "[flush-type=ASYNC@4.0.0|SYNC@6.2.0]",
    summary: "Deletes all keys of all databases.",
    complexity: "O(N), N keys in all databases",
    run: flushall,
  },
  {
    name: "swapdb",
    since: "4.0.0",
    group: "server",
    arity: 3,
    flags: "write fast",
    categories: "keyspace dangerous",
    syntax: "index1:integer index2:integer",
    summary: "Exchanges two databases.",
    complexity: "O(N), N clients that watch or wait for keys of either",
    run: swapdb,
  },
]

const INT32_MAX = 2 ** 31 - 1

function dbsize(call: Call): void {
  call.reply.integer(call.db.keys.size)
}

/** So many slices of freeing a flush may do itself; that is enough for a small database, and no stall. */
const SLICES_AT_ONCE = 4

function flushdb(call: Call): void {
  if (!checkMode(call)) return
  call.keyspace.events.dirty += call.db.flush()
  finish(call)
}

function flushall(call: Call): void {
  if (!checkMode(call)) return
  const { events, databases } = call.keyspace
  // Empty databases need not be told of, but somebody must be: clients that cache keys want to hear of every FLUSHALL.
  let told = false
  for (const db of databases) {
    if (db.keys.size === 0) continue
    events.dirty += db.flush()
    told = true
  }
  if (!told) databases[0]!.flush()
  events.dirty++
  events.onAllFlushed()
  finish(call)
}

function finish(call: Call): void {
  for (let slices = 0; slices < SLICES_AT_ONCE && call.keyspace.freeSlice(); slices++);
  propagateAlways(call)
  call.reply.ok()
}

/** SYNC and ASYNC are checked and otherwise alike: the emptied maps are always freed in slices. */
function checkMode(call: Call): boolean {
  const { args, reply } = call
  if (args.count === 1 || (args.count === 2 && (args.is(1, "sync") || args.is(1, "async")))) return true
  reply.error(SYNTAX)
  return false
}

/** Propagated even when there was nothing to flush here: a replica may have something. */
function propagateAlways(call: Call): void {
  const { args, db } = call
  const effect = call.propagation.effect(db, args.count)
  for (let i = 0; i < args.count; i++) effect.arg(args.bytes, args.start(i), args.end(i))
}

function swapdb(call: Call): void {
  const { config, keyspace, reply } = call
  if (config.values.clusterEnabled) {
    reply.error("ERR SWAPDB is not allowed in cluster mode")
    return
  }
  const first = readIndex(call, 1, "ERR invalid first DB index")
  if (Number.isNaN(first)) return
  const second = readIndex(call, 2, "ERR invalid second DB index")
  if (Number.isNaN(second)) return
  const count = keyspace.databases.length
  if (first < 0 || first >= count || second < 0 || second >= count) {
    reply.error(DB_OUT_OF_RANGE)
    return
  }
  if (first !== second) keyspace.swap(first, second)
  keyspace.events.dirty++
  reply.ok()
}

/** NaN after having answered with `error`, which is for what is no 32-bit integer. */
function readIndex(call: Call, i: number, error: string): number {
  const index = call.args.integer(i)
  if (index >= -INT32_MAX - 1 && index <= INT32_MAX) return index
  call.reply.error(error)
  return Number.NaN
}
