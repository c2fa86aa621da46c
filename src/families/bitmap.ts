/** Strings as arrays of bits: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP. Integer fields are in bitmap-field.ts. */

import { parseSafeInteger } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { NOT_INTEGER, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import {
  BITOP_AND,
  BITOP_ANDOR,
  BITOP_DIFF,
  BITOP_DIFF1,
  BITOP_NOT,
  BITOP_ONE,
  BITOP_OR,
  BITOP_XOR,
  bitCombine,
  bitCount,
  bitCountRange,
  bitPosition,
  bitPositionRange,
  getBit,
  setBit,
} from "../structs/bits.ts"
import { bitfieldCommands } from "./bitmap-field.ts"
import { bitOffset, growBits } from "./bitmap-value.ts"
import { storeBytes } from "./string-value.ts"

const BAD_BIT = "ERR bit is not an integer or out of range"

export const bitmapCommands: readonly CommandSpec[] = [
  {
    name: "bitcount",
    since: "2.6.0",
    group: "bitmap",
    arity: -2,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key [range=start:integer end:integer [unit=BYTE|BIT]@7.0.0]",
    summary: "Counts the bits that are set in a string or a part of it.",
    complexity: "O(N), N bytes read",
    run: bitcount,
  },
  {
    name: "bitop",
    since: "2.6.0",
    group: "bitmap",
    arity: -4,
    flags: "write denyoom",
    keys: "OW update @2; RO access @3..-1",
    syntax: "operation=AND|OR|XOR|NOT|DIFF@8.2.0|DIFF1@8.2.0|ANDOR@8.2.0|ONE@8.2.0 destkey:key key...",
    summary: "Combines strings bit by bit and stores the result.",
    complexity: "O(N), N bytes of the longest string",
    run: bitop,
  },
  {
    name: "bitpos",
    since: "2.8.7",
    group: "bitmap",
    arity: -3,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key bit:integer [range=start:integer [end-unit-block=end:integer [unit=BYTE|BIT]@7.0.0]]",
    summary: "Finds the first bit that is set or clear.",
    complexity: "O(N), N bytes read",
    run: bitpos,
  },
  {
    name: "getbit",
    since: "2.2.0",
    group: "bitmap",
    arity: 3,
    flags: "readonly fast",
    keys: "RO access @1",
    syntax: "key offset:integer",
    summary: "Reads a bit of a string.",
    complexity: "O(1)",
    run: getbit,
  },
  {
    name: "setbit",
    since: "2.2.0",
    group: "bitmap",
    arity: 4,
    flags: "write denyoom",
    keys: "RW access update @1",
    syntax: "key offset:integer value:integer",
    summary: "Sets or clears a bit of a string.",
    complexity: "O(1)",
    run: setbit,
  },
  ...bitfieldCommands,
]

function setbit(call: Call): void {
  const { args, db, reply } = call
  const offset = bitOffset(call, 2, 0)
  if (Number.isNaN(offset)) return
  const bit = parseSafeInteger(args.bytes, args.start(3), args.end(3))
  if (bit !== 0 && bit !== 1) {
    reply.error(BAD_BIT)
    return
  }
  const address = call.writeTyped(1, ValueType.String)
  if (address < 0) return
  const { keys } = db
  const hasGrown = growBits(call, address, offset)
  const old = setBit(keys.valueBytes, keys.valueStart, offset, bit)
  if (hasGrown || old !== bit) call.changed(1, Notify.String, "setbit")
  reply.integer(old)
}

function getbit(call: Call): void {
  const offset = bitOffset(call, 2, 0)
  if (Number.isNaN(offset)) return
  const address = call.readTyped(1, ValueType.String)
  if (address < 0) return
  const { keys } = call.db
  if (address !== 0) keys.readValue(address)
  call.reply.integer(address === 0 ? 0 : getBit(keys.valueBytes, keys.valueStart, keys.valueEnd, offset))
}

// ---------------------------------------------------------------------------------------------------- ranges

/** A range of bytes or bits as given, then (by `clip`) of the string at hand. */
const range = {
  first: 0,
  last: 0,
  inBits: false,
  isEmpty: false,
  /** Limits the range to a string of `bytes`; negative ends count from its end. */
  clip(bytes: number): void {
    const size = this.inBits ? bytes * 8 : bytes
    if (this.first < 0) this.first = Math.max(0, this.first + size)
    if (this.last < 0) this.last = Math.max(0, this.last + size)
    if (this.last >= size) this.last = size - 1
    this.isEmpty = this.first > this.last
  },
}

/** Reads BYTE or BIT at argument `i`, if it is there; false after a syntax error. */
function parseUnit(call: Call, i: number): boolean {
  const { args } = call
  range.inBits = i < args.count && args.is(i, "bit")
  if (i >= args.count || range.inBits || args.is(i, "byte")) return true
  call.reply.error(SYNTAX)
  return false
}

function bitcount(call: Call): void {
  const { args, db, reply } = call
  const { keys } = db
  if (args.count === 3 || args.count > 5) {
    reply.error(SYNTAX)
    return
  }
  range.inBits = false
  range.first = 0
  range.last = -1
  if (args.count > 2) {
    range.first = call.integer(2)
    if (Number.isNaN(range.first)) return
    range.last = call.integer(3)
    if (Number.isNaN(range.last) || !parseUnit(call, 4)) return
    if (range.first < 0 && range.last < 0 && args.exceeds(2, 3)) {
      // Answered before the string is looked at, but not before its type is.
      if (call.readTyped(1, ValueType.String) >= 0) reply.integer(0)
      return
    }
  }
  const address = call.readTyped(1, ValueType.String)
  if (address < 0) return
  if (address === 0) {
    reply.integer(0)
    return
  }
  keys.readValue(address)
  const { valueBytes, valueStart } = keys
  range.clip(keys.valueEnd - valueStart)
  if (range.isEmpty) reply.integer(0)
  else if (range.inBits) reply.integer(bitCountRange(valueBytes, valueStart, range.first, range.last))
  else reply.integer(bitCount(valueBytes, valueStart + range.first, valueStart + range.last + 1))
}

function bitpos(call: Call): void {
  const { args, db, reply } = call
  const { keys } = db
  const bit = call.integer(2, NOT_INTEGER)
  if (Number.isNaN(bit)) return
  if (bit !== 0 && bit !== 1) {
    reply.error("ERR The bit argument must be 1 or 0.")
    return
  }
  if (args.count > 6) {
    reply.error(SYNTAX)
    return
  }
  range.inBits = false
  range.first = 0
  range.last = -1
  if (args.count > 3) {
    range.first = call.integer(3)
    if (Number.isNaN(range.first) || !parseUnit(call, 5)) return
  }
  const hasEnd = args.count > 4
  if (hasEnd) {
    range.last = call.integer(4)
    if (Number.isNaN(range.last)) return
  }
  const address = call.readTyped(1, ValueType.String)
  if (address < 0) return
  if (address === 0) {
    reply.integer(bit === 1 ? -1 : 0)
    return
  }
  keys.readValue(address)
  const { valueBytes, valueStart } = keys
  const length = keys.valueEnd - valueStart
  range.clip(length)
  if (range.isEmpty) {
    reply.integer(-1)
    return
  }
  let position: number
  if (range.inBits) position = bitPositionRange(valueBytes, valueStart, range.first, range.last, bit)
  else {
    position = bitPosition(valueBytes, valueStart + range.first, valueStart + range.last + 1, bit)
    if (position >= 0) position += range.first * 8
  }
  // Where no end is told, the string goes on with zeros.
  if (position < 0 && bit === 0 && !hasEnd) position = length * 8
  reply.integer(position)
}

// ---------------------------------------------------------------------------------------------------- combining

const OPERATIONS: readonly (readonly [string, number])[] = [
  ["and", BITOP_AND],
  ["or", BITOP_OR],
  ["xor", BITOP_XOR],
  ["not", BITOP_NOT],
  ["diff", BITOP_DIFF],
  ["diff1", BITOP_DIFF1],
  ["andor", BITOP_ANDOR],
  ["one", BITOP_ONE],
]

function bitop(call: Call): void {
  const { args, db, reply } = call
  const { keys } = db
  const entry = OPERATIONS.find(([word]) => args.is(1, word))
  if (entry === undefined) {
    reply.error(SYNTAX)
    return
  }
  const [word, operation] = entry
  if (operation === BITOP_NOT && args.count !== 4) {
    reply.error("ERR BITOP NOT must be called with a single source key.")
    return
  }
  if (operation >= BITOP_DIFF && operation <= BITOP_ANDOR && args.count < 5) {
    reply.error(`ERR BITOP ${word.toUpperCase()} must be called with at least two source keys.`)
    return
  }
  const sources: Uint8Array[] = []
  const starts: number[] = []
  const ends: number[] = []
  let length = 0
  for (let i = 3; i < args.count; i++) {
    const address = call.readTyped(i, ValueType.String)
    if (address < 0) return
    if (address !== 0) keys.readValue(address)
    sources.push(keys.valueBytes)
    starts.push(address === 0 ? 0 : keys.valueStart)
    ends.push(address === 0 ? 0 : keys.valueEnd)
    if (address !== 0) length = Math.max(length, keys.valueEnd - keys.valueStart)
  }
  if (length > 0) {
    const result = new Uint8Array(length)
    bitCombine(operation, sources, starts, ends, sources.length, result, length)
    storeBytes(db, args, 2, Kind.StringRaw, result, length, 0)
    call.changed(2, Notify.String, "set")
  } else {
    const address = call.write(2)
    if (address !== 0) call.removeKey(2, address)
  }
  reply.integer(length)
}
