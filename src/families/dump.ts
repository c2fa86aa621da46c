/**
 * DUMP and RESTORE: a value with everything that belongs to it but its key, as bytes that another server understands.
 */

import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { dumpValue, isDump, parseDump, storeValue, ValueLimits } from "../rdb/dump.ts"

const RESTORE_KEYS = "OW update @1"
const RESTORE_SYNTAX =
  "key ttl:integer serialized-value [REPLACE]@3.0.0 [ABSTTL]@5.0.0 [IDLETIME seconds:integer]@5.0.0 " +
  "[FREQ frequency:integer]@5.0.0"
const RESTORE_COMPLEXITY = "O(N*M), N elements of average size M; times log(N) for a sorted set"

export const dumpCommands: readonly CommandSpec[] = [
  {
    name: "dump",
    since: "2.6.0",
    group: "generic",
    arity: 2,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key",
    summary: "Gives a key's value in serialised form.",
    complexity: "O(N*M), N elements of average size M",
    run: dump,
  },
  {
    name: "restore",
    since: "2.6.0",
    group: "generic",
    arity: -4,
    flags: "write denyoom",
    categories: "dangerous",
    keys: RESTORE_KEYS,
    syntax: RESTORE_SYNTAX,
    summary: "Creates a key from its serialised form.",
    complexity: RESTORE_COMPLEXITY,
    run: restore,
  },
  {
    name: "restore-asking",
    since: "3.0.0",
    group: "server",
    arity: -4,
    flags: "write denyoom asking",
    categories: "keyspace dangerous",
    keys: RESTORE_KEYS,
    docFlags: "syscmd",
    syntax: RESTORE_SYNTAX,
    summary: "RESTORE for a slot that is being imported.",
    complexity: RESTORE_COMPLEXITY,
    run: restore,
  },
]

function dump(call: Call): void {
  const address = call.read(1)
  if (address === 0) {
    call.reply.null()
    return
  }
  const payload = dumpValue(call.db, address, call.config.values.rdbcompression)
  call.reply.bulk(payload, 0, payload.length)
}

interface Options {
  replaces: boolean
  isAbsolute: boolean
  idleSeconds: number
  frequency: number
}

function restore(call: Call): void {
  const options = readOptions(call)
  if (options === undefined) return
  const { args, db, keyspace, reply } = call
  if (!options.replaces && call.write(1) !== 0) {
    reply.error("BUSYKEY Target key name already exists.")
    return
  }
  const ttl = call.integer(2)
  if (Number.isNaN(ttl)) return
  if (ttl < 0) {
    reply.error("ERR Invalid TTL value, must be >= 0")
    return
  }
  const start = args.starts[3]!
  const end = args.ends[3]!
  if (!isDump(args.bytes, start, end, keyspace.verifiesChecksums)) {
    reply.error("ERR DUMP payload version or checksum are wrong")
    return
  }
  const limits = new ValueLimits(call.config.values, checksDeeply(call))
  if (limits.deep) keyspace.events.sanitizations++
  const value = parseDump(keyspace, limits, args.bytes, start, end)
  if (typeof value === "string" || value.isEmpty) {
    keyspace.events.onMalformed(typeof value === "string" ? value : "there is nothing in it")
    reply.error("ERR Bad data format")
    return
  }

  const replaced = options.replaces ? call.write(1) : 0
  const expiry = ttl !== 0 && !options.isAbsolute ? ttl + call.now : ttl
  if (expiry !== 0 && expiry <= call.now && !keyspace.expiryPaused) {
    // Its time is up already: what is left of the command is the deletion of what was there.
    value.discard(keyspace)
    if (replaced !== 0) {
      call.removeKey(1, replaced)
      const name = call.config.values.lazyfreeLazyServerDel ? "UNLINK" : "DEL"
      call.propagation.effect(db, 2).word(name).arg(args.bytes, args.starts[1]!, args.ends[1]!)
    }
    reply.ok()
    return
  }
  if (replaced !== 0) db.removeQuietly(replaced)
  storeValue(db, args.bytes, args.starts[1]!, args.ends[1]!, value, { ...options, expiry })
  keyspace.events.notify(Notify.New, "new", db, args.bytes, args.starts[1]!, args.ends[1]!)
  call.changed(1, Notify.Generic, "restore")
  if (ttl !== 0 && !options.isAbsolute) propagateAbsolute(call, expiry)
  reply.ok()
}

/** Undefined after having answered with an error. */
function readOptions(call: Call): Options | undefined {
  const { args, reply } = call
  const options: Options = { replaces: false, isAbsolute: false, idleSeconds: -1, frequency: -1 }
  for (let i = 4; i < args.count; i++) {
    if (args.is(i, "replace")) options.replaces = true
    else if (args.is(i, "absttl")) options.isAbsolute = true
    else if (args.is(i, "idletime") && i + 1 < args.count && options.frequency === -1) {
      const seconds = call.integer(++i)
      if (Number.isNaN(seconds)) return undefined
      if (seconds < 0) {
        reply.error("ERR Invalid IDLETIME value, must be >= 0")
        return undefined
      }
      options.idleSeconds = seconds
    } else if (args.is(i, "freq") && i + 1 < args.count && options.idleSeconds === -1) {
      const frequency = call.integer(++i)
      if (Number.isNaN(frequency)) return undefined
      if (frequency < 0 || frequency > 255) {
        reply.error("ERR Invalid FREQ value, must be >= 0 and <= 255")
        return undefined
      }
      options.frequency = frequency
    } else {
      reply.error(SYNTAX)
      return undefined
    }
  }
  return options
}

/** sanitize-dump-payload: "clients" trusts masters, files and users that are said to be trusted. */
function checksDeeply({ client, config }: Call): boolean {
  const when = config.values.sanitizeDumpPayload
  return when === "yes" || (when === "clients" && client.isObeyed !== true && client.skipsSanitizing !== true)
}

/** As it came, with the time at which the key expires. */
function propagateAbsolute(call: Call, expiry: number): void {
  const { args, db, propagation } = call
  const writer = propagation.effect(db, args.count + 1)
  for (let i = 0; i < args.count; i++) {
    if (i === 2) writer.number(expiry)
    else writer.arg(args.bytes, args.starts[i]!, args.ends[i]!)
  }
  writer.word("ABSTTL")
}
