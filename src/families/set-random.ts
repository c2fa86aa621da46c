/**
 * Random members: SPOP and SRANDMEMBER.
 *
 * Which way the members are chosen depends on how many of how many are wanted: a few are drawn one by one, many are
 * picked while walking (each with the chance that is left for it), and where nearly all are popped, the few that stay
 * are drawn instead.
 */
import { INT64_MIN } from "../bytes/int64.ts"
import type { Prng } from "../bytes/prng.ts"
import type { Call } from "../command/context.ts"
import { NOT_INTEGER, NOT_POSITIVE, OUT_OF_RANGE_VALUE, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import type { CommandWriter } from "../resp/command-writer.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { intsetCopyValue, intsetLength, intsetRemoveAll } from "../structs/intset.ts"
import { lpCopyValue, lpEntryEnd, lpFirst, lpLength, lpSeek, lpSplice, lpValueLength } from "../structs/listpack.ts"
import { dropEmptySet } from "./set.ts"
import { builder, removeInt, removePacked, SetCursor, setSize } from "./set-value.ts"

/** Members per SREM that a popped crowd is propagated as. */
const PROPAGATED_MEMBERS_MAX = 1024
/** Popping draws members one by one while at least one in this many stays. */
const POP_DRAWS_ABOVE = 5
/** Choosing draws members one by one while at most one in this many is wanted. */
const CHOOSE_DRAWS_BELOW = 3
/** A table of up to this many members is drawn from by walking it: its slots are mostly empty. */
const WALKED_TABLE_MEMBERS_MAX = 32
/** A reply of SRANDMEMBER with repetitions stops here, as an error. */
const REPLY_BYTES_MAX = 1 << 30
/** What the shortest member takes in a reply. */
const BULK_BYTES_MIN = 6

export const setRandomCommands: readonly CommandSpec[] = [
  {
    name: "spop",
    since: "1.0.0",
    group: "set",
    arity: -2,
    flags: "write fast",
    keys: "RW access delete @1",
    tips: "nondeterministic_output",
    syntax: "key [count:integer]@3.2.0",
    summary: "Removes random members of a set and gives them.",
    complexity: "O(N), N members popped",
    run: spop,
  },
  {
    name: "srandmember",
    since: "1.0.0",
    group: "set",
    arity: -2,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key [count:integer]@2.6.0",
    summary: "Picks random members of a set.",
    complexity: "O(N), N members asked for",
    run: srandmember,
  },
]

const cursor = new SetCursor()
const drawn: number[] = []

/** The text of the member last drawn, borrowed. */
let memberBytes: Uint8Array = new Uint8Array(0)
let memberStart = 0
let memberEnd = 0
let text: Uint8Array = new Uint8Array(64)

let random: Prng
const nextBelow = (bound: number): number => random.nextBelow(bound)

// ---------------------------------------------------------------------------------------------- SPOP

function spop(call: Call): void {
  const { args, reply } = call
  if (args.count === 3) {
    popMany(call)
    return
  }
  if (args.count > 3) {
    reply.error(SYNTAX)
    return
  }
  const address = call.writeTyped(1, ValueType.Set)
  if (address === -1) return
  if (address === 0) {
    reply.null()
    return
  }
  const { db } = call
  const { keys } = db
  random = call.keyspace.random
  const place = draw(keys, address)
  reply.bulk(memberBytes, memberStart, memberEnd)
  call.propagation
    .effect(db, 3)
    .word("SREM")
    .arg(args.bytes, args.starts[1]!, args.ends[1]!)
    .arg(memberBytes, memberStart, memberEnd)
  const left = removeAt(keys, address, place)
  call.changed(1, Notify.Set, "spop")
  if (setSize(keys, left) === 0) dropEmptySet(call, 1, left)
}

function popMany(call: Call): void {
  const { args, db, reply } = call
  const { keys } = db
  const count = call.integer(2, NOT_POSITIVE)
  if (Number.isNaN(count)) return
  if (count < 0) {
    reply.error(NOT_POSITIVE)
    return
  }
  const address = call.writeTyped(1, ValueType.Set)
  if (address === -1) return
  if (address === 0 || count === 0) {
    reply.set(0)
    return
  }
  const size = setSize(keys, address)
  random = call.keyspace.random
  if (count >= size) {
    // As if SMEMBERS had been asked: this way alone it counts as a lookup.
    call.keyspace.events.hits++
    reply.set(size)
    cursor.open(keys, address)
    while (cursor.next()) reply.bulk(cursor.bytes, cursor.start, cursor.end)
    call.propagation
      .effect(db, 2)
      .word(call.config.values.lazyfreeLazyServerDel ? "UNLINK" : "DEL")
      .arg(args.bytes, args.starts[1]!, args.ends[1]!)
    call.changed(1, Notify.Set, "spop")
    call.keyspace.events.dirty += size - 1
    dropEmptySet(call, 1, address)
    return
  }
  reply.set(count)
  const popped = new Popped(call, count)
  const kind = keys.type(address)
  if (kind === Kind.SetInts) popFromInts(keys, address, size, count, popped)
  else if (kind === Kind.SetPacked) popFromPacked(keys, address, size, count, popped)
  else if ((size - count) * POP_DRAWS_ABOVE > count || hasTimes(keys, address))
    popByDrawing(keys, address, count, popped)
  else popAllBut(call, address, size, count, popped)
  call.changed(1, Notify.Set, "spop")
  call.keyspace.events.dirty += count - 1
}

/** Takes popped members to the reply and to propagation. */
class Popped {
  private readonly call: Call
  private left: number
  private inCommand = 0
  private writer: CommandWriter | undefined

  constructor(call: Call, count: number) {
    this.call = call
    this.left = count
  }

  take(bytes: Uint8Array, start: number, end: number): void {
    const { args, db, propagation, reply } = this.call
    reply.bulk(bytes, start, end)
    if (this.inCommand === 0) {
      this.inCommand = Math.min(this.left, PROPAGATED_MEMBERS_MAX)
      this.writer = propagation.effect(db, 2 + this.inCommand).word("SREM")
      this.writer.arg(args.bytes, args.starts[1]!, args.ends[1]!)
    }
    this.writer!.arg(bytes, start, end)
    this.inCommand--
    this.left--
  }
}

/** Whether members of a table expire: what stays of it must be left where it is then. */
function hasTimes(keys: ByteMap, address: number): boolean {
  return (keys.object(address) as ByteMap).expirySize > 0
}

function popFromPacked(keys: ByteMap, address: number, size: number, count: number, popped: Popped): void {
  const own = keys.ownValue(address)
  const b = keys.valueBytes
  const at = keys.valueStart
  // What stays between one popped entry and the next, [keptFrom, entry), moves once, down to keptTo.
  let entry = lpFirst(b, at)
  let keptTo = entry
  let keptFrom = entry
  let wanted = count
  for (let left = size; wanted > 0; left--) {
    const next = lpEntryEnd(b, entry)
    if (nextBelow(left) < wanted) {
      wanted--
      readEntry(b, entry)
      popped.take(memberBytes, memberStart, memberEnd)
      if (keptTo < keptFrom) b.copyWithin(keptTo, keptFrom, entry)
      keptTo += entry - keptFrom
      keptFrom = next
    }
    entry = next
  }
  keys.resizeValue(own, lpSplice(b, at, keptTo, keptFrom, 0, -count))
}

function popFromInts(keys: ByteMap, address: number, size: number, count: number, popped: Popped): void {
  const own = keys.ownValue(address)
  const b = keys.valueBytes
  const at = keys.valueStart
  const indexes = drawIndexes(size, count)
  for (const index of indexes) {
    readInt(b, at, index)
    popped.take(memberBytes, memberStart, memberEnd)
  }
  keys.resizeValue(own, intsetRemoveAll(b, at, indexes))
}

function popByDrawing(keys: ByteMap, address: number, count: number, popped: Popped): void {
  const map = keys.object(address) as ByteMap
  for (let i = 0; i < count; i++) {
    const member = drawFromTable(map)
    popped.take(memberBytes, memberStart, memberEnd)
    map.remove(member)
  }
  keys.noteObjectBytes(address)
}

/** Draws those that stay into a new set, and pops the rest of the old one. */
function popAllBut(call: Call, address: number, size: number, count: number, popped: Popped): void {
  const { keys } = call.db
  const map = keys.object(address) as ByteMap
  const staying = drawDistinct(map, size - count)
  builder.begin(call, Kind.SetPacked)
  cursor.openTable(map)
  while (cursor.next()) {
    if (staying.has(cursor.place)) builder.add(cursor.bytes, cursor.start, cursor.end)
    else popped.take(cursor.bytes, cursor.start, cursor.end)
  }
  builder.replace(keys, address)
  call.keyspace.discard(map)
}

// ---------------------------------------------------------------------------------------------- SRANDMEMBER

function srandmember(call: Call): void {
  const { args, reply } = call
  if (args.count === 3) {
    chooseMany(call)
    return
  }
  if (args.count > 3) {
    reply.error(SYNTAX)
    return
  }
  const address = call.readTyped(1, ValueType.Set)
  if (address === -1) return
  if (address === 0) {
    reply.null()
    return
  }
  random = call.keyspace.random
  draw(call.db.keys, address)
  reply.bulk(memberBytes, memberStart, memberEnd)
}

function chooseMany(call: Call): void {
  const { args, reply } = call
  const { keys } = call.db
  const wide = args.int64(2)
  if (wide === undefined || wide === INT64_MIN) {
    reply.error(wide === undefined ? NOT_INTEGER : COUNT_OUT_OF_RANGE)
    return
  }
  const count = Number(wide)
  const address = call.readTyped(1, ValueType.Set)
  if (address === -1) return
  if (address === 0 || count === 0) {
    reply.array(0)
    return
  }
  random = call.keyspace.random
  const size = setSize(keys, address)
  if (-count > REPLY_BYTES_MAX / BULK_BYTES_MIN) reply.error(OUT_OF_RANGE_VALUE)
  else if (count < 0) chooseRepeatedly(call, address, size, -count)
  else if (count >= size) {
    reply.array(size)
    cursor.open(keys, address)
    while (cursor.next()) reply.bulk(cursor.bytes, cursor.start, cursor.end)
  } else chooseDistinct(call, address, size, count)
}

const COUNT_OUT_OF_RANGE = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"

function chooseRepeatedly(call: Call, address: number, size: number, count: number): void {
  const { reply } = call
  const { keys } = call.db
  const from = reply.begin()
  reply.array(count)
  const isPacked = keys.type(address) === Kind.SetPacked
  const isTable = keys.type(address) === Kind.SetTable
  // What is not reached in one step is listed first.
  drawn.length = 0
  if (isPacked) listEntries(keys, address)
  else if (isTable && size <= WALKED_TABLE_MEMBERS_MAX) listMembers(keys.object(address) as ByteMap)
  const map = isTable ? (keys.object(address) as ByteMap) : undefined
  for (let i = 0; i < count; i++) {
    if (map !== undefined) {
      if (drawn.length > 0) readMember(map, drawn[nextBelow(size)]!)
      else drawFromTable(map)
    } else if (isPacked) readEntry(keys.valueBytes, drawn[nextBelow(size)]!)
    else readInt(keys.valueBytes, keys.valueStart, nextBelow(size))
    reply.bulk(memberBytes, memberStart, memberEnd)
    if (reply.at - from > REPLY_BYTES_MAX) {
      reply.at = from
      reply.error(OUT_OF_RANGE_VALUE)
      return
    }
  }
}

function chooseDistinct(call: Call, address: number, size: number, count: number): void {
  const { reply } = call
  const { keys } = call.db
  reply.array(count)
  const kind = keys.type(address)
  if (kind === Kind.SetInts) {
    keys.readValue(address)
    for (const index of drawIndexes(size, count)) {
      readInt(keys.valueBytes, keys.valueStart, index)
      reply.bulk(memberBytes, memberStart, memberEnd)
    }
    return
  }
  if (kind === Kind.SetTable && count * CHOOSE_DRAWS_BELOW <= size) {
    const map = keys.object(address) as ByteMap
    for (const member of drawDistinct(map, count)) {
      readMember(map, member)
      reply.bulk(memberBytes, memberStart, memberEnd)
    }
    return
  }
  // Each member on the way is taken with the chance that exactly as many as wanted come together.
  let wanted = count
  cursor.open(keys, address)
  for (let left = size; wanted > 0 && cursor.next(); left--) {
    if (nextBelow(left) >= wanted) continue
    wanted--
    reply.bulk(cursor.bytes, cursor.start, cursor.end)
  }
}

// ---------------------------------------------------------------------------------------------- drawing

/** Draws a member; returns its place: index, offset in the listpack, or address in the table. */
function draw(keys: ByteMap, address: number): number {
  const kind = keys.type(address)
  if (kind === Kind.SetTable) return drawFromTable(keys.object(address) as ByteMap)
  keys.readValue(address)
  const b = keys.valueBytes
  const at = keys.valueStart
  if (kind === Kind.SetInts) {
    const index = nextBelow(intsetLength(b, at))
    readInt(b, at, index)
    return index
  }
  const entry = lpSeek(b, at, nextBelow(lpLength(b, at)))
  readEntry(b, entry)
  return entry - at
}

/** `count` different indexes below `size`, ascending. As many draws as indexes where they are few, else `size`. */
function drawIndexes(size: number, count: number): Uint32Array {
  if (count * CHOOSE_DRAWS_BELOW <= size) {
    const indexes = new Set<number>()
    while (indexes.size < count) indexes.add(nextBelow(size))
    return Uint32Array.from(indexes).sort()
  }
  const indexes = new Uint32Array(count)
  let found = 0
  for (let i = 0; found < count; i++) if (nextBelow(size - i) < count - found) indexes[found++] = i
  return indexes
}

/** Removes the member at a place that `draw` returned. */
function removeAt(keys: ByteMap, address: number, place: number): number {
  const kind = keys.type(address)
  if (kind === Kind.SetTable) {
    const map = keys.object(address) as ByteMap
    map.remove(place)
    keys.noteObjectBytes(address)
    return address
  }
  return kind === Kind.SetInts ? removeInt(keys, address, place) : removePacked(keys, address, place)
}

function drawFromTable(map: ByteMap): number {
  let member: number
  if (map.size <= WALKED_TABLE_MEMBERS_MAX) {
    drawn.length = 0
    listMembers(map)
    member = drawn[nextBelow(drawn.length)]!
  } else member = map.randomAddress(nextBelow)
  readMember(map, member)
  return member
}

/** Addresses of `count` different members of a larger table. */
function drawDistinct(map: ByteMap, count: number): Set<number> {
  const members = new Set<number>()
  if (map.size <= WALKED_TABLE_MEMBERS_MAX) {
    drawn.length = 0
    listMembers(map)
    for (let left = drawn.length; members.size < count; left--) {
      const i = nextBelow(left)
      members.add(drawn[i]!)
      drawn[i] = drawn[left - 1]!
    }
    return members
  }
  while (members.size < count) members.add(map.randomAddress(nextBelow))
  return members
}

/** Puts the addresses of all members into `drawn`. */
function listMembers(map: ByteMap): void {
  let at = 0
  do at = map.scan(at, map.size, drawn)
  while (at !== 0)
}

/** Puts the offsets of all entries into `drawn`. */
function listEntries(keys: ByteMap, address: number): void {
  keys.readValue(address)
  const b = keys.valueBytes
  const size = lpLength(b, keys.valueStart)
  let entry = lpFirst(b, keys.valueStart)
  for (let i = 0; i < size; i++) {
    drawn.push(entry)
    entry = lpEntryEnd(b, entry)
  }
}

function readMember(map: ByteMap, member: number): void {
  map.readKey(member)
  memberBytes = map.keyBytes
  memberStart = map.keyStart
  memberEnd = map.keyEnd
}

function readInt(b: Uint8Array, at: number, index: number): void {
  memberBytes = text
  memberStart = 0
  memberEnd = intsetCopyValue(b, at, index, text, 0)
}

/** Copies an entry, since it is going to be removed while it is still needed. */
function readEntry(b: Uint8Array, entry: number): void {
  const length = lpValueLength(b, entry)
  if (length > text.length) text = new Uint8Array(length * 2)
  memberBytes = text
  memberStart = 0
  memberEnd = lpCopyValue(b, entry, text, 0)
}
