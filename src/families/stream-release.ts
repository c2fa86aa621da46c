/**
 * Streams: XNACK, by which a consumer gives messages back to its group without having dealt with them.
 *
 * What is given back stays pending, for nobody: whoever claims next gets it before everything else, in the order in which it
 * was given back.
 */
import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { DELIVERIES_MAX, PendingEntry } from "../structs/stream-groups.ts"
import type { StreamId } from "../structs/stream-id.ts"
import { groupOf, hasEntry, noSuchGroup, readIds, settleBytes, writableGroup, writeStream } from "./stream-access.ts"
import { forgetIdle } from "./stream-idle.ts"

export const streamReleaseCommands: readonly CommandSpec[] = [
  {
    name: "xnack",
    since: "8.8.0",
    group: "stream",
    arity: -7,
    flags: "write fast",
    keys: "RW update @1",
    syntax: "key group mode=SILENT|FAIL|FATAL ids=IDS(numids:integer id...) [RETRYCOUNT count:integer] [FORCE]",
    summary: "Gives pending messages back to the group, for others to claim.",
    complexity: "O(log(N)) per id, N pending messages of the group",
    run: xnack,
  },
]

const KEY = 1
const GROUP = 2
const MODE = 3

const pending = new PendingEntry()

// Options of the running command. There may be more ids than are meant.
let count = 0
let ids: readonly StreamId[] = []
let retryCount = -1
let force = false

function xnack(call: Call): void {
  const { args, keyspace, reply } = call
  const isFatal = args.is(MODE, "fatal")
  const isSilent = args.is(MODE, "silent")
  if (!isFatal && !isSilent && !args.is(MODE, "fail")) {
    reply.error(SYNTAX)
    return
  }
  if (!readOptions(call)) return
  const value = writeStream(call, KEY)
  if (value === null) return
  if (value === undefined || groupOf(call, value, GROUP) === undefined) {
    noSuchGroup(call, KEY, GROUP)
    return
  }
  const group = writableGroup(call, value, GROUP)!
  let released = 0
  for (let i = 0; i < count; i++) {
    const id = ids[i]!
    let deliveries = 0
    if (group.findPending(id, pending)) deliveries = Math.max(0, pending.deliveryCount - (isSilent ? 1 : 0))
    else if (!force || !hasEntry(value.log, id)) continue
    if (retryCount >= 0) deliveries = retryCount
    else if (isFatal) deliveries = DELIVERIES_MAX
    group.release(id, deliveries)
    released++
  }
  if (released > 0) {
    forgetIdle(group)
    settleBytes(call, KEY)
    call.changed(KEY, Notify.Stream, "xnack")
    keyspace.events.dirty += released - 1
  }
  reply.integer(released)
}

/** Reads `IDS count id… [RETRYCOUNT count] [FORCE]`; false after having answered with an error. */
function readOptions(call: Call): boolean {
  const { args, reply } = call
  retryCount = -1
  force = false
  if (!args.is(MODE + 1, "ids")) {
    reply.error(SYNTAX)
    return false
  }
  count = args.integer(MODE + 2)
  const first = MODE + 3
  if (!(count > 0)) {
    reply.error("ERR Number of IDs must be a positive integer")
    return false
  }
  if (count > args.count - first) {
    reply.error("ERR The `numids` parameter must match the number of arguments")
    return false
  }
  for (let i = first + count; i < args.count; i++) {
    if (args.is(i, "force")) force = true
    else if (args.is(i, "retrycount") && i + 1 < args.count) {
      retryCount = call.integer(++i, "ERR Invalid RETRYCOUNT option argument for XNACK")
      if (Number.isNaN(retryCount)) return false
      if (retryCount < 0) {
        reply.error("ERR RETRYCOUNT must be >= 0")
        return false
      }
    } else {
      reply.error(SYNTAX)
      return false
    }
  }
  const read = readIds(call, first, first + count - 1)
  if (read === undefined) return false
  ids = read
  return true
}
