/**
 * Hashes: HIMPORT, for making many hashes that have the same fields. A connection names a list of fields once, and then
 * sends values only.
 *
 * Fieldsets belong to the connection and count as its memory; RESET forgets them. What goes to files and replicas is the
 * hash itself.
 */

import { copyOf } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { hash } from "./hash-store.ts"
import { tellForeignFields } from "./hash-subkeys.ts"

const SET_KEY = 2
const SET_NAME = 3
const SET_FIRST = 4
const OVERHEAD_BYTES = 200
const FIELD_BYTES = 16

export const hashImportCommands: readonly CommandSpec[] = [
  {
    name: "himport",
    since: "8.10.0",
    group: "hash",
    arity: -2,
    flags: "",
    syntax: "",
    summary: "Holds the commands that make hashes of the same fields.",
    complexity: "depends on the subcommand",
    subcommands: [
      {
        name: "discard",
        since: "8.10.0",
        group: "hash",
        arity: 3,
        flags: "",
        tips: "request_policy:all_shards",
        syntax: "fieldset-name",
        summary: "Forgets a list of fields.",
        complexity: "O(1)",
        run: discard,
      },
      {
        name: "discardall",
        since: "8.10.0",
        group: "hash",
        arity: 2,
        flags: "",
        tips: "request_policy:all_shards",
        syntax: "",
        summary: "Forgets all lists of fields of the connection.",
        complexity: "O(N), N lists",
        run: discardAll,
      },
      {
        name: "prepare",
        since: "8.10.0",
        group: "hash",
        arity: -4,
        flags: "denyoom",
        tips: "request_policy:all_shards",
        syntax: "fieldset-name field...",
        summary: "Names a list of fields, for this connection.",
        complexity: "O(N), N fields",
        run: prepare,
      },
      {
        name: "set",
        since: "8.10.0",
        group: "hash",
        arity: -5,
        flags: "write denyoom",
        keys: "OW update @2",
        syntax: "key fieldset-name value...",
        summary: "Makes a hash of a list of fields and these values.",
        complexity: "O(N), N fields",
        run: set,
      },
    ],
  },
]

/** The fields of hashes to come, in the order in which their values will be given. */
export interface Fieldset {
  readonly bytes: Uint8Array
  readonly starts: readonly number[]
  readonly ends: readonly number[]
  readonly longest: number
}

/** What a connection has prepared. */
export class Fieldsets {
  readonly byName = new Map<string, Fieldset>()
  bytes = 0

  put(name: string, fieldset: Fieldset): void {
    this.remove(name)
    this.byName.set(name, fieldset)
    this.bytes += sizeOf(name, fieldset)
  }

  remove(name: string): boolean {
    const fieldset = this.byName.get(name)
    if (fieldset === undefined) return false
    this.byName.delete(name)
    this.bytes -= sizeOf(name, fieldset)
    return true
  }
}

function sizeOf(name: string, { bytes, starts }: Fieldset): number {
  return OVERHEAD_BYTES + name.length + bytes.length + FIELD_BYTES * starts.length
}

/** They are kept with the client; engine/client.ts has the place. */
interface Preparing {
  fieldsets?: Fieldsets | undefined
}

function fieldsetsOf(call: Call): Fieldsets | undefined {
  return (call.client as Preparing).fieldsets
}

function prepare(call: Call): void {
  const { args, client, reply } = call
  const origin = args.starts[3]!
  const bytes = copyOf(args.bytes, origin, args.ends[args.count - 1]!)
  const starts: number[] = []
  const ends: number[] = []
  const names = new Set<string>()
  let longest = 0
  for (let i = 3; i < args.count; i++) {
    starts.push(args.starts[i]! - origin)
    ends.push(args.ends[i]! - origin)
    longest = Math.max(longest, args.length(i))
    names.add(args.latin1(i))
  }
  if (names.size < starts.length) {
    reply.error("ERR duplicate field name in fieldset")
    return
  }
  const preparing = client as Preparing
  preparing.fieldsets ??= new Fieldsets()
  preparing.fieldsets.put(args.latin1(2), { bytes, starts, ends, longest })
  reply.ok()
}

function discard(call: Call): void {
  call.reply.integer(fieldsetsOf(call)?.remove(call.args.latin1(2)) === true ? 1 : 0)
}

function discardAll(call: Call): void {
  call.reply.integer(fieldsetsOf(call)?.byName.size ?? 0)
  ;(call.client as Preparing).fieldsets = undefined
}

function set(call: Call): void {
  const { args, config, db, keyspace, reply } = call
  const fieldset = fieldsetsOf(call)?.byName.get(args.latin1(SET_NAME))
  if (fieldset === undefined) {
    reply.error("ERR no such fieldset")
    return
  }
  const { bytes: fields, starts, ends, longest } = fieldset
  const count = starts.length
  if (args.count - SET_FIRST !== count) {
    reply.error("ERR value count does not match the fieldset's field count")
    return
  }
  if (!hash.write(call, SET_KEY)) return
  const replaces = hash.exists
  if (replaces) {
    db.removeQuietly(hash.address)
    hash.write(call, SET_KEY)
  }
  const { hashMaxListpackEntries, hashMaxListpackValue } = config.values
  let fits = count <= hashMaxListpackEntries && longest <= hashMaxListpackValue
  for (let i = SET_FIRST; i < args.count && fits; i++) fits = args.length(i) <= hashMaxListpackValue
  if (fits) hash.createFrom(fields, starts, ends, args, SET_FIRST)
  else {
    hash.toTable()
    for (let i = 0; i < count; i++) {
      const value = SET_FIRST + i
      hash.set(fields, starts[i]!, ends[i]!, args.bytes, args.starts[value]!, args.ends[value]!, false)
    }
    hash.settle()
  }
  call.changed(SET_KEY, Notify.Hash, "hset")
  tellForeignFields(call, SET_KEY, "hset", () => starts.map((start, i) => fields.slice(start, ends[i]!)))
  keyspace.events.dirty += count - 1
  propagate(call, fieldset, replaces)
  reply.ok()
}

/** Goes on as the hash: who reads it has no fieldsets. */
function propagate(call: Call, { bytes, starts, ends }: Fieldset, replaces: boolean): void {
  const { args, db, propagation } = call
  if (!propagation.enabled) return
  const key = () => [args.bytes, args.starts[SET_KEY]!, args.ends[SET_KEY]!] as const
  if (replaces)
    propagation
      .effect(db, 2)
      .word("DEL")
      .arg(...key())
  const effect = propagation
    .effect(db, 2 + 2 * starts.length)
    .word("HSET")
    .arg(...key())
  for (let i = 0; i < starts.length; i++) {
    const value = SET_FIRST + i
    effect.arg(bytes, starts[i]!, ends[i]!).arg(args.bytes, args.starts[value]!, args.ends[value]!)
  }
}
