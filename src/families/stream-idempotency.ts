/**
 * Streams: messages that producers may send twice (XADD … IDMP and IDMPAUTO), and what is set about them: XCFGSET,
 * XIDMPRECORD.
 *
 * An XADD with such a name is propagated as the plain XADD and an XIDMPRECORD: elsewhere nothing is to be decided.
 */
import { latin1 } from "../bytes/compare.ts"
import { sha1 } from "../bytes/sha1.ts"
import type { Call } from "../command/context.ts"
import { NO_SUCH_KEY, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { StreamId } from "../structs/stream-id.ts"
import { DURATION_SECONDS_MAX, ENTRIES_MAX } from "../structs/stream-idempotency.ts"
import { hasEntry, readId, settleBytes, writeStream } from "./stream-access.ts"

const DIGEST_BYTES = 20

export const streamIdempotencyCommands: readonly CommandSpec[] = [
  {
    name: "xcfgset",
    since: "8.6.0",
    group: "stream",
    arity: -2,
    flags: "write fast",
    keys: "RW update @1",
    syntax: "key [IDMP-DURATION idmp-duration:integer] [IDMP-MAXSIZE idmp-maxsize:integer]",
    summary: "Sets for how long, and how many, messages of a producer are remembered.",
    complexity: "O(1)",
    run: xcfgset,
  },
  {
    name: "xidmprecord",
    since: "8.8.0",
    group: "stream",
    arity: 5,
    flags: "write denyoom fast",
    keys: "RW update @1",
    syntax: "key pid iid stream-id",
    summary: "Notes that a producer's message has become an entry; for files and replicas.",
    complexity: "O(1)",
    run: xidmprecord,
  },
]

const id = new StreamId()

/** What the running XADD calls its producer and its message. */
export let producerName = ""
export let messageName = ""

/** Reads IDMP or IDMPAUTO, which is argument `at`; the fields of the entry begin with argument `fieldsAt`. */
export function nameMessage(call: Call, at: number, fieldsAt: number): void {
  const { args } = call
  producerName = args.latin1(at + 1)
  messageName = args.is(at, "idmp") ? args.latin1(at + 2) : digest(call, fieldsAt)
}

/** Names an entry by its fields and values, in whatever order they come. */
function digest(call: Call, fieldsAt: number): string {
  const { bytes, starts, ends, count } = call.args
  const pairs: string[] = []
  for (let i = fieldsAt; i < count; i += 2) {
    const field = sha1(bytes, starts[i]!, ends[i]!)
    const value = sha1(bytes, starts[i + 1]!, ends[i + 1]!)
    const both = new Uint8Array(2 * DIGEST_BYTES)
    both.set(field)
    both.set(value, DIGEST_BYTES)
    pairs.push(latin1(sha1(both)))
  }
  return latin1(sha1(Buffer.from(pairs.sort().join(""), "latin1")))
}

function xcfgset(call: Call): void {
  const { args, reply } = call
  let duration: number | undefined
  let entries: number | undefined
  for (let i = 2; i < args.count; i += 2) {
    const isDuration = args.is(i, "idmp-duration")
    if (i + 1 === args.count || (!isDuration && !args.is(i, "idmp-maxsize"))) {
      reply.error(SYNTAX)
      return
    }
    const given = call.integer(i + 1)
    if (Number.isNaN(given)) return
    const max = isDuration ? DURATION_SECONDS_MAX : ENTRIES_MAX
    if (given < 1 || given > max) {
      reply.error(`ERR ${isDuration ? "IDMP-DURATION" : "IDMP-MAXSIZE"} must be between 1 and ${max}`)
      return
    }
    if (isDuration) duration = given
    else entries = given
  }
  if (duration === undefined && entries === undefined) {
    reply.error(SYNTAX)
    return
  }
  const value = writeStream(call, 1)
  if (value === null) return
  if (value === undefined) {
    reply.error(NO_SUCH_KEY)
    return
  }
  value.own()
  value.trackProducers().configure(duration, entries)
  settleBytes(call, 1)
  call.changed(1, Notify.Stream, "xcfgset")
  reply.ok()
}

function xidmprecord(call: Call): void {
  const { args, client, now, reply } = call
  const value = writeStream(call, 1)
  if (value === null) return
  if (value === undefined) {
    reply.error(NO_SUCH_KEY)
    return
  }
  if (args.length(2) === 0 || args.length(3) === 0) {
    reply.error("ERR XIDMPRECORD requires a non-empty producer ID and idempotent ID")
    return
  }
  if (!readId(call, 4, id)) return
  const known = value.idempotency?.find(args.latin1(2), args.latin1(3), now)
  if (known !== undefined) {
    if (known.compare(id) === 0) reply.ok()
    else reply.error("ERR The idempotent ID is already associated with another entry")
    return
  }
  // Where it was added it may have been trimmed away at once.
  if (!client.isObeyed && !hasEntry(value.log, id)) {
    reply.error("ERR The stream has no entry with that ID")
    return
  }
  value.own()
  value.trackProducers().record(args.latin1(2), args.latin1(3), id, now)
  settleBytes(call, 1)
  call.changed(1, Notify.Stream, "xidmprecord")
  reply.ok()
}
