/**
 * HyperLogLogs: strings that estimate how many distinct elements were added to them. The bytes are the business of
 * structs/hyperloglog.ts; a dense value is changed in place, a sparse one in the editor and stored again.
 *
 * PFCOUNT writes the cardinality it has found into the value, which is a change of the key: it is propagated though the
 * command is a reading one.
 */

import { copyBytes, shown } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { wrongArity } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import {
  HLL_CHANGED,
  HLL_CORRUPT,
  HLL_REGISTERS,
  HllEditor,
  hllCachedCount,
  hllCount,
  hllCountRegisters,
  hllDenseAdd,
  hllDenseLacks,
  hllInvalidateCache,
  hllIsDense,
  hllIsValid,
  hllMaxInto,
  hllWriteCache,
} from "../structs/hyperloglog.ts"
import { decodeSparse, selfTest } from "./hyperloglog-debug.ts"
import { putString } from "./string-value.ts"

const NOT_HLL = "WRONGTYPE Key is not a valid HyperLogLog string value."
const CORRUPT = "INVALIDOBJ Corrupted HLL object detected"

const editor = new HllEditor()
const registers = new Uint8Array(HLL_REGISTERS)

export const hyperloglogCommands: readonly CommandSpec[] = [
  {
    name: "pfadd",
    since: "2.8.9",
    group: "hyperloglog",
    arity: -2,
    flags: "write denyoom fast",
    keys: "RW insert @1",
    syntax: "key [element...]",
    summary: "Adds elements to a HyperLogLog.",
    complexity: "O(1) per element",
    run: pfadd,
  },
  {
    name: "pfcount",
    since: "2.8.9",
    group: "hyperloglog",
    arity: -2,
    flags: "readonly may_replicate",
    keys: 'RW access @1..-1 "RW since the cached count may be written, which also goes to replicas"',
    syntax: "key...",
    summary: "Estimates how many distinct elements were added to HyperLogLogs.",
    complexity: "O(N), N keys; O(1) and cached for one",
    run: pfcount,
  },
  {
    name: "pfdebug",
    since: "2.8.9",
    group: "hyperloglog",
    arity: 3,
    flags: "write denyoom admin",
    keys: "RW access @2",
    syntax: "subcommand key",
    summary: "Shows the inside of a HyperLogLog, for tests.",
    complexity: "N/A",
    docFlags: "syscmd",
    run: pfdebug,
  },
  {
    name: "pfmerge",
    since: "2.8.9",
    group: "hyperloglog",
    arity: -2,
    flags: "write denyoom",
    keys: "RW access insert @1; RO access @2..-1",
    syntax: "destkey:key [sourcekey:key...]",
    summary: "Merges HyperLogLogs into one.",
    complexity: "O(N), N HyperLogLogs",
    run: pfmerge,
  },
  {
    name: "pfselftest",
    since: "2.8.9",
    group: "hyperloglog",
    arity: 1,
    flags: "admin",
    syntax: "",
    summary: "Tests the HyperLogLog implementation.",
    complexity: "N/A",
    docFlags: "syscmd",
    run: pfselftest,
  },
]

/** Reads the value at `address` (not 0) into keys.valueBytes …; false after an error if it is no HyperLogLog. */
function readHll(call: Call, address: number): boolean {
  const { keys } = call.db
  keys.readValue(address)
  if (hllIsValid(keys.valueBytes, keys.valueStart, keys.valueEnd)) return true
  call.reply.error(NOT_HLL)
  return false
}

/** Stores what the editor holds under argument `i`, in the record at `address` (0: missing). */
function storeEdited(call: Call, i: number, address: number): void {
  const { args, db } = call
  const { keys } = db
  const { length } = editor
  if (address === 0) putString(db, args.bytes, args.start(i), args.end(i), Kind.StringRaw, length, 0)
  const own = address === 0 ? 0 : keys.resizeValue(address, length)
  copyBytes(editor.bytes, 0, length, keys.valueBytes, keys.valueStart)
  if (own !== 0) keys.setType(own, Kind.StringRaw)
}

function pfadd(call: Call): void {
  const { args, db, reply } = call
  const { keys } = db
  const address = call.writeTyped(1, ValueType.String)
  if (address < 0) return
  if (address !== 0 && !readHll(call, address)) return
  let updates = 0
  if (address !== 0 && hllIsDense(keys.valueBytes, keys.valueStart)) {
    const { bytes, starts, ends } = args
    for (let i = 2; i < args.count; i++) {
      if (!hllDenseLacks(keys.valueBytes, keys.valueStart, bytes, starts[i]!, ends[i]!)) continue
      // Most elements change nothing, so the value is made ours only now; it may be another array then.
      if (updates++ === 0) keys.ownValue(address)
      hllDenseAdd(keys.valueBytes, keys.valueStart, bytes, starts[i]!, ends[i]!)
    }
  } else {
    const sparseBytesMax = call.config.get("hll-sparse-max-bytes")
    if (address === 0) {
      editor.reset()
      updates = 1
    } else editor.load(keys.valueBytes, keys.valueStart, keys.valueEnd)
    for (let i = 2; i < args.count; i++) {
      const result = editor.add(args.bytes, args.starts[i]!, args.ends[i]!, sparseBytesMax)
      if (result === HLL_CORRUPT) {
        reply.error(CORRUPT)
        return
      }
      if (result === HLL_CHANGED) updates++
    }
    if (updates > 0) storeEdited(call, 1, address)
  }
  if (updates > 0) {
    call.changed(1, Notify.String, "pfadd")
    call.keyspace.events.dirty += updates - 1
  }
  reply.integer(updates > 0 ? 1 : 0)
}

function pfcount(call: Call): void {
  if (call.args.count === 2) countOne(call)
  else countUnion(call)
}

function countUnion(call: Call): void {
  if (gatherRegisters(call) !== undefined) call.reply.integer(hllCountRegisters(registers))
}

/**
 * Takes the maxima of all registers of the arguments from 1 on into `registers`. Returns whether one of the values is dense;
 * undefined after having answered with an error.
 */
function gatherRegisters(call: Call): boolean | undefined {
  const { args, db, reply } = call
  const { keys } = db
  let anyDense = false
  registers.fill(0)
  for (let i = 1; i < args.count; i++) {
    const address = call.readTyped(i, ValueType.String)
    if (address < 0) return undefined
    if (address === 0) continue
    if (!readHll(call, address)) return undefined
    if (hllIsDense(keys.valueBytes, keys.valueStart)) anyDense = true
    if (hllMaxInto(registers, keys.valueBytes, keys.valueStart, keys.valueEnd)) continue
    reply.error(CORRUPT)
    return undefined
  }
  return anyDense
}

function countOne(call: Call): void {
  const { args, db, reply } = call
  const { keys } = db
  const address = call.readTyped(1, ValueType.String)
  if (address < 0) return
  if (address === 0) {
    reply.integer(0)
    return
  }
  if (!readHll(call, address)) return
  const cached = hllCachedCount(keys.valueBytes, keys.valueStart)
  if (cached !== -1) {
    reply.int64(cached)
    return
  }
  const count = hllCount(keys.valueBytes, keys.valueStart, keys.valueEnd)
  if (count === HLL_CORRUPT) {
    reply.error(CORRUPT)
    return
  }
  const own = keys.ownValue(address)
  hllWriteCache(keys.valueBytes, keys.valueStart, count)
  keys.setType(own, Kind.StringRaw)
  db.modified(args.bytes, args.start(1), args.end(1))
  call.keyspace.events.dirty++
  reply.integer(count)
}

function pfmerge(call: Call): void {
  const { db, reply } = call
  const { keys } = db
  const anyDense = gatherRegisters(call)
  if (anyDense === undefined) return
  const address = call.write(1)
  if (address === 0) editor.reset()
  else {
    keys.readValue(address)
    editor.load(keys.valueBytes, keys.valueStart, keys.valueEnd)
  }
  if ((anyDense && !editor.toDense()) || !editor.raiseAll(registers, call.config.get("hll-sparse-max-bytes"))) {
    reply.error(CORRUPT)
    return
  }
  hllInvalidateCache(editor.bytes, 0)
  storeEdited(call, 1, address)
  call.changed(1, Notify.String, "pfadd")
  reply.ok()
}

function pfselftest(call: Call): void {
  const failure = selfTest(call.keyspace.random)
  if (failure === undefined) call.reply.ok()
  else call.reply.error(`TESTFAILED ${failure}`)
}

/** PFDEBUG GETREG, DECODE, ENCODING, TODENSE. */
function pfdebug(call: Call): void {
  const { args, db, reply } = call
  const { keys } = db
  if (args.count !== 3) {
    reply.error(wrongArity(call.command.fullName))
    return
  }
  const address = call.writeTyped(2, ValueType.String)
  if (address < 0) return
  if (address === 0) {
    reply.error("ERR The specified key does not exist")
    return
  }
  if (!readHll(call, address)) return
  const isDense = hllIsDense(keys.valueBytes, keys.valueStart)
  if (args.is(1, "encoding")) reply.simple(isDense ? "dense" : "sparse")
  else if (args.is(1, "decode")) {
    if (isDense) reply.error("ERR HLL encoding is not sparse")
    else reply.bulkText(decodeSparse(keys.valueBytes, keys.valueStart, keys.valueEnd))
  } else if (args.is(1, "todense")) {
    if (makeDense(call, address)) reply.integer(isDense ? 0 : 1)
  } else if (args.is(1, "getreg")) {
    if (makeDense(call, address)) replyRegisters(call)
  } else reply.error(`ERR Unknown PFDEBUG subcommand '${shown(args.latin1(1))}'`)
}

function replyRegisters(call: Call): void {
  const { db, reply } = call
  const { keys } = db
  registers.fill(0)
  const address = call.write(2)
  keys.readValue(address)
  hllMaxInto(registers, keys.valueBytes, keys.valueStart, keys.valueEnd)
  reply.array(HLL_REGISTERS)
  for (let i = 0; i < HLL_REGISTERS; i++) reply.integer(registers[i]!)
}

/** Turns the value under argument 2 dense; false after having answered with an error. */
function makeDense(call: Call, address: number): boolean {
  const { keys } = call.db
  if (hllIsDense(keys.valueBytes, keys.valueStart)) return true
  editor.load(keys.valueBytes, keys.valueStart, keys.valueEnd)
  if (!editor.toDense()) {
    call.reply.error(CORRUPT)
    return false
  }
  storeEdited(call, 2, address)
  call.keyspace.events.dirty++
  return true
}
