/** BITFIELD and BITFIELD_RO: strings as arrays of integers of any width. */

import { parseSafeInteger } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { NOT_INTEGER, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { ValueType } from "../keyspace/kinds.ts"
import {
  bitfieldAdd,
  bitfieldFit,
  bitfieldGet,
  bitfieldSet,
  OVERFLOW_FAIL,
  OVERFLOW_SATURATE,
  OVERFLOW_WRAP,
} from "../structs/bits.ts"
import { bitOffset, growBits } from "./bitmap-value.ts"

const BAD_TYPE = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
const SIGNED = 0x69
const UNSIGNED = 0x75

export const bitfieldCommands: readonly CommandSpec[] = [
  {
    name: "bitfield",
    since: "3.2.0",
    group: "bitmap",
    arity: -2,
    flags: "write denyoom",
    keys: 'RW access update variable_flags @1 "Only GET leaves the key as it is" => bitfield',
    syntax:
      "key " +
      "[operation=(get-block=GET(encoding offset:integer)|write=([overflow-block=OVERFLOW(WRAP|SAT|FAIL)] " +
      "write-operation=(set-block=SET(encoding offset:integer value:integer)|" +
      "incrby-block=INCRBY(encoding offset:integer increment:integer))))...]",
    summary: "Reads, writes and increments integers of any width within a string.",
    complexity: "O(1) per operation",
    run: call => bitfield(call, false),
  },
  {
    name: "bitfield_ro",
    since: "6.0.0",
    group: "bitmap",
    arity: -2,
    flags: "readonly fast",
    keys: "RO access @1",
    syntax: "key [get-block=GET(encoding offset:integer)]...",
    summary: "Reads integers of any width within a string.",
    complexity: "O(1) per operation",
    run: call => bitfield(call, true),
  },
]

const Action = { Get: 0, Set: 1, Increment: 2 } as const

interface Operation {
  action: number
  isSigned: boolean
  bits: number
  offset: number
  /** The value to set, or to add. */
  operand: number | bigint
  overflow: number
}

function bitfield(call: Call, isReadOnly: boolean): void {
  const { db, reply } = call
  const { keys } = db
  const operations = parseOperations(call)
  if (operations === undefined) return
  let last = -1
  for (const { action, offset, bits } of operations) if (action !== Action.Get) last = Math.max(last, offset + bits - 1)
  const writes = last >= 0
  if (writes && isReadOnly) {
    reply.error("ERR BITFIELD_RO only supports the GET subcommand")
    return
  }
  const address = writes ? call.writeTyped(1, ValueType.String) : call.readTyped(1, ValueType.String)
  if (address < 0) return
  const hasGrown = writes && growBits(call, address, last)
  if (!writes && address !== 0) keys.readValue(address)
  const { valueBytes, valueStart } = keys
  const valueEnd = !writes && address === 0 ? valueStart : keys.valueEnd
  let changes = 0
  reply.array(operations.length)
  for (const operation of operations) {
    const { action, isSigned, bits, offset, operand, overflow } = operation
    const old = bitfieldGet(valueBytes, valueStart, valueEnd, offset, bits, isSigned)
    if (action === Action.Get) {
      reply.int64(old)
      continue
    }
    const value =
      action === Action.Set
        ? bitfieldFit(operand, bits, isSigned, overflow)
        : bitfieldAdd(old, operand, bits, isSigned, overflow)
    if (value === undefined) {
      reply.null()
      continue
    }
    bitfieldSet(valueBytes, valueStart, offset, bits, value)
    reply.int64(action === Action.Set ? old : value)
    if (hasGrown || old !== value) changes++
  }
  if (changes === 0) return
  call.changed(1, Notify.String, "setbit")
  call.keyspace.events.dirty += changes - 1
}

/** The operations in their order; undefined after having answered with an error. */
function parseOperations(call: Call): Operation[] | undefined {
  const { args, reply } = call
  const operations: Operation[] = []
  let overflow = OVERFLOW_WRAP
  let i = 2
  while (i < args.count) {
    const rest = args.count - i - 1
    if (args.is(i, "overflow") && rest >= 1) {
      const named = overflowNamed(call, i + 1)
      if (named === undefined) return undefined
      overflow = named
      i += 2
      continue
    }
    let action: number
    if (args.is(i, "get") && rest >= 2) action = Action.Get
    else if (args.is(i, "set") && rest >= 3) action = Action.Set
    else if (args.is(i, "incrby") && rest >= 3) action = Action.Increment
    else {
      reply.error(SYNTAX)
      return undefined
    }
    const bits = widthOf(call, i + 1)
    if (bits === 0) return undefined
    const offset = bitOffset(call, i + 2, bits)
    if (Number.isNaN(offset)) return undefined
    const operand = action === Action.Get ? 0 : args.int64(i + 3)
    if (operand === undefined) {
      reply.error(NOT_INTEGER)
      return undefined
    }
    const isSigned = args.bytes[args.start(i + 1)] === SIGNED
    operations.push({ action, isSigned, bits, offset, operand, overflow })
    i += action === Action.Get ? 3 : 4
  }
  return operations
}

function overflowNamed(call: Call, i: number): number | undefined {
  const { args } = call
  if (args.is(i, "wrap")) return OVERFLOW_WRAP
  if (args.is(i, "sat")) return OVERFLOW_SATURATE
  if (args.is(i, "fail")) return OVERFLOW_FAIL
  call.reply.error("ERR Invalid OVERFLOW type specified")
  return undefined
}

/** The width of the field type that is argument `i`, as in i16 or u8; 0 after having answered with an error. */
function widthOf(call: Call, i: number): number {
  const { args } = call
  const start = args.start(i)
  const sign = args.length(i) > 0 ? args.bytes[start] : 0
  const bits = sign === SIGNED || sign === UNSIGNED ? parseSafeInteger(args.bytes, start + 1, args.end(i)) : 0
  if (bits >= 1 && bits <= (sign === SIGNED ? 64 : 63)) return bits
  call.reply.error(BAD_TYPE)
  return 0
}
