/**
 * Whole sets against each other: intersections, unions, differences; replied, stored, or only counted.
 *
 * Members go from the source into the reply or into the destination being built, with no copy between. Where a member
 * must be known to be new, the sets before it are asked if they are few and quick to ask, else a map of those seen.
 */
import type { Call } from "../command/context.ts"
import { SYNTAX, WRONG_TYPE } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { addMemberToTable, builder, SetCursor, setHasMember, setSize } from "./set-value.ts"

/** Up to this many earlier sets are asked for each member of a union. */
const ASKED_SETS_MAX = 2
/** Up to this many members a packed set is quick to ask. */
const ASKED_PACKED_MEMBERS_MAX = 16
const INSERTION_SORT_MAX = 16

export const setAlgebraCommands: readonly CommandSpec[] = [
  {
    name: "sdiff",
    since: "1.0.0",
    group: "set",
    arity: -2,
    flags: "readonly",
    keys: "RO access @1..-1",
    tips: "nondeterministic_output_order",
    syntax: "key...",
    summary: "Gives the members of the first set that no other set has.",
    complexity: "O(N), N members of all sets",
    run: sdiff,
  },
  {
    name: "sdiffstore",
    since: "1.0.0",
    group: "set",
    arity: -3,
    flags: "write denyoom",
    keys: "OW update @1; RO access @2..-1",
    syntax: "destination:key key...",
    summary: "Stores the members of the first set that no other set has.",
    complexity: "O(N), N members of all sets",
    run: sdiffstore,
  },
  {
    name: "sinter",
    since: "1.0.0",
    group: "set",
    arity: -2,
    flags: "readonly",
    keys: "RO access @1..-1",
    tips: "nondeterministic_output_order",
    syntax: "key...",
    summary: "Gives the members that all sets have.",
    complexity: "O(N*M), N members of the smallest set, M sets",
    run: sinter,
  },
  {
    name: "sintercard",
    since: "7.0.0",
    group: "set",
    arity: -3,
    flags: "readonly",
    keys: "RO access keynum@1",
    syntax: "numkeys:integer key... [LIMIT limit:integer]",
    summary: "Counts the members that all sets have.",
    complexity: "O(N*M), N members of the smallest set, M sets",
    run: sintercard,
  },
  {
    name: "sinterstore",
    since: "1.0.0",
    group: "set",
    arity: -3,
    flags: "write denyoom",
    keys: "OW update @1; RO access @2..-1",
    syntax: "destination:key key...",
    summary: "Stores the members that all sets have.",
    complexity: "O(N*M), N members of the smallest set, M sets",
    run: sinterstore,
  },
  {
    name: "sunion",
    since: "1.0.0",
    group: "set",
    arity: -2,
    flags: "readonly",
    keys: "RO access @1..-1",
    tips: "nondeterministic_output_order",
    syntax: "key...",
    summary: "Gives the members that any of the sets has.",
    complexity: "O(N), N members of all sets",
    run: sunion,
  },
  {
    name: "sunionstore",
    since: "1.0.0",
    group: "set",
    arity: -3,
    flags: "write denyoom",
    keys: "OW update @1; RO access @2..-1",
    syntax: "destination:key key...",
    summary: "Stores the members that any of the sets has.",
    complexity: "O(N), N members of all sets",
    run: sunionstore,
  },
  {
    name: "sunioncard",
    since: "8.10.0",
    group: "set",
    arity: -3,
    flags: "readonly",
    keys: "RO access keynum@1",
    syntax: "numkeys:integer key... [APPROX] [LIMIT limit:integer]",
    summary: "Counts the members that any of the sets has.",
    complexity: "O(N), N members of all sets",
    run: sunioncard,
  },
  {
    name: "sdiffcard",
    since: "8.10.0",
    group: "set",
    arity: -3,
    flags: "readonly",
    keys: "RO access keynum@1",
    syntax: "numkeys:integer key... [LIMIT limit:integer]",
    summary: "Counts the members of the first set that no other set has.",
    complexity: "O(N), N members of all sets",
    run: sdiffcard,
  },
]

const cursor = new SetCursor()

/** Addresses of the existing source sets, and how many members each has. */
const sources: number[] = []
const sizes: number[] = []
/** Sources that do not exist. */
let missing = 0
let firstIsMissing = false

/** What becomes of the members found. */
const Sink = { Reply: 0, Store: 1, Count: 2 } as const
type Sink = (typeof Sink)[keyof typeof Sink]
let sink: Sink = Sink.Reply
let found = 0
/** Counting stops here. */
let limit = 0

function sinter(call: Call): void {
  reply(call, intersect)
}

function sunion(call: Call): void {
  reply(call, unite)
}

function sdiff(call: Call): void {
  reply(call, subtract)
}

function sinterstore(call: Call): void {
  store(call, intersect, "sinterstore")
}

function sunionstore(call: Call): void {
  store(call, unite, "sunionstore")
}

function sdiffstore(call: Call): void {
  store(call, subtract, "sdiffstore")
}

function sintercard(call: Call): void {
  count(call, intersect, false)
}

function sdiffcard(call: Call): void {
  count(call, subtract, false)
}

/** APPROX permits an estimate; the exact count is a good one. */
function sunioncard(call: Call): void {
  count(call, unite, true)
}

type Operation = (call: Call) => void

function reply(call: Call, operation: Operation): void {
  const { args } = call
  if (!readSources(call, 1, args.count - 1)) return
  const mark = call.reply.begin()
  start(Sink.Reply, Number.POSITIVE_INFINITY)
  operation(call)
  call.reply.endSet(mark, found)
}

function store(call: Call, operation: Operation, event: string): void {
  const { args, db } = call
  if (!readSources(call, 2, args.count - 1)) return
  builder.begin(call)
  start(Sink.Store, Number.POSITIVE_INFINITY)
  operation(call)
  const { bytes } = args
  const keyStart = args.start(1)
  const keyEnd = args.end(1)
  const { size } = builder
  if (size > 0) {
    builder.store(db, bytes, keyStart, keyEnd)
    call.changed(1, Notify.Set, event)
  } else {
    builder.drop()
    const old = db.find(bytes, keyStart, keyEnd)
    if (old !== 0) db.remove(old, bytes, keyStart, keyEnd)
  }
  call.reply.integer(size)
}

function count(call: Call, operation: Operation, takesApprox: boolean): void {
  const { args } = call
  const keyCount = call.integer(1, "ERR numkeys should be greater than 0")
  if (Number.isNaN(keyCount)) return
  if (keyCount < 1) {
    call.reply.error("ERR numkeys should be greater than 0")
    return
  }
  if (keyCount > args.count - 2) {
    call.reply.error("ERR Number of keys can't be greater than number of args")
    return
  }
  let most = 0
  for (let i = 2 + keyCount; i < args.count; i++) {
    if (args.is(i, "limit") && i + 1 < args.count) {
      most = call.integer(++i, "ERR LIMIT can't be negative")
      if (Number.isNaN(most)) return
      if (most < 0) {
        call.reply.error("ERR LIMIT can't be negative")
        return
      }
    } else if (!takesApprox || !args.is(i, "approx")) {
      call.reply.error(SYNTAX)
      return
    }
  }
  if (!readSources(call, 2, 1 + keyCount)) return
  start(Sink.Count, most === 0 ? Number.POSITIVE_INFINITY : most)
  operation(call)
  call.reply.integer(found)
}

/** Looks up the sources; false after WRONGTYPE. */
function readSources(call: Call, first: number, last: number): boolean {
  const { db } = call
  sources.length = 0
  sizes.length = 0
  missing = 0
  firstIsMissing = false
  for (let i = first; i <= last; i++) {
    const address = call.read(i)
    if (address === 0) {
      missing++
      if (i === first) firstIsMissing = true
      continue
    }
    if (db.type(address) !== ValueType.Set) {
      call.reply.error(WRONG_TYPE)
      return false
    }
    sources.push(address)
    sizes.push(setSize(db.keys, address))
  }
  return true
}

function start(to: Sink, most: number): void {
  sink = to
  limit = most
  found = 0
}

/** Takes the member that the cursor stands at into the result; false when no more are wanted. */
function emit(call: Call): boolean {
  found++
  if (sink === Sink.Reply) call.reply.bulk(cursor.bytes, cursor.start, cursor.end)
  else if (sink === Sink.Store) builder.addMember(cursor)
  return found < limit
}

/** Goes over the smallest set and asks the others, the next smallest first. */
function intersect(call: Call): void {
  if (missing > 0) return
  const { keys } = call.db
  sortSources(0, false)
  if (sources.length === 1 && sink === Sink.Count) {
    found = Math.min(sizes[0]!, limit)
    return
  }
  const others = sources.length
  let asked = 1
  if (others === 1) cursor.open(keys, sources[0]!)
  else if (openAgainst(keys, 0, 1, true)) asked = 2
  while (cursor.next()) {
    let i = asked
    while (i < others && setHasMember(keys, sources[i]!, cursor)) i++
    if (i === others && !emit(call)) return
  }
}

function unite(call: Call): void {
  const { keys } = call.db
  if (sources.length === 1 && sink === Sink.Count) {
    found = Math.min(sizes[0]!, limit)
    return
  }
  // The destination notices repetitions itself.
  const asks = sink !== Sink.Store
  const seen = asks && !earlierAreQuick(keys) ? call.keyspace.newMap() : undefined
  const last = sources.length - 1
  for (let s = 0; s <= last; s++) {
    let earlier = s
    if (!asks || seen !== undefined || s === 0) cursor.open(keys, sources[s]!)
    else if (openAgainst(keys, s, s - 1, false)) earlier--
    while (cursor.next()) {
      if (seen !== undefined) {
        if (!addMemberToTable(seen, cursor)) continue
      } else if (asks && isInAny(keys, 0, earlier)) continue
      if (!emit(call)) {
        seen?.release(Number.POSITIVE_INFINITY)
        return
      }
    }
  }
  seen?.release(Number.POSITIVE_INFINITY)
}

/**
 * Either asks the other sets for every member of the first, or takes the others' members out of a copy, whichever is
 * less work.
 */
function subtract(call: Call): void {
  if (firstIsMissing) return
  const { keys } = call.db
  if (sources.length === 1 && sink === Sink.Count) {
    found = Math.min(sizes[0]!, limit)
    return
  }
  const others = sources.length
  // Asking a table costs about a fifth of putting a member into one; asking a listpack is a walk.
  let asking = 0
  let taking = sizes[0]!
  for (let i = 1; i < others; i++) {
    taking += sizes[i]! / 4
    asking += sizes[0]! * (keys.type(sources[i]!) === Kind.SetPacked ? 0.5 + sizes[i]! / 16 : 0.2)
  }
  if (asking > taking) {
    subtractFromCopy(call, keys)
    return
  }
  sortSources(1, true)
  let asked = 1
  if (others === 1) cursor.open(keys, sources[0]!)
  else if (openAgainst(keys, 0, 1, false)) asked = 2
  while (cursor.next()) {
    if (isInAny(keys, asked, others)) continue
    if (!emit(call)) return
  }
}

function subtractFromCopy(call: Call, keys: ByteMap): void {
  const copy = call.keyspace.newMap()
  cursor.open(keys, sources[0]!)
  while (cursor.next()) addMemberToTable(copy, cursor)
  for (let i = 1; i < sources.length && copy.size > 0; i++) {
    cursor.open(keys, sources[i]!)
    while (cursor.next()) {
      const { bytes, start, end, hash } = cursor
      const member = cursor.isHashed ? copy.findHashed(hash, bytes, start, end) : copy.find(bytes, start, end)
      if (member !== 0) copy.remove(member)
    }
  }
  cursor.openTable(copy)
  while (cursor.next()) if (!emit(call)) break
  copy.release(Number.POSITIVE_INFINITY)
}

/**
 * Opens source `s`; if it and source `other` are of one form that allows it, only for the members that `other` has too
 * (`shared`) or has not. Returns whether that is so.
 */
function openAgainst(keys: ByteMap, s: number, other: number, shared: boolean): boolean {
  const address = sources[s]!
  const otherAddress = sources[other]!
  const kind = keys.type(address)
  if (kind === keys.type(otherAddress) && kind === Kind.SetTable) {
    cursor.openTable(keys.object(address) as ByteMap, keys.object(otherAddress) as ByteMap, shared)
    return true
  }
  if (kind === keys.type(otherAddress) && kind === Kind.SetInts) {
    cursor.openInts(keys, address, otherAddress, shared)
    return true
  }
  cursor.open(keys, address)
  return false
}

/** Whether a source from `from` up to `to` has the member that the cursor stands at. */
function isInAny(keys: ByteMap, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (setHasMember(keys, sources[i]!, cursor)) return true
  return false
}

/** Whether each member of each set can be looked up in the sets before it at no great cost. */
function earlierAreQuick(keys: ByteMap): boolean {
  if (sources.length - 1 > ASKED_SETS_MAX) return false
  for (let i = 0; i < sources.length - 1; i++) {
    if (keys.type(sources[i]!) === Kind.SetPacked && sizes[i]! > ASKED_PACKED_MEMBERS_MAX) return false
  }
  return true
}

/** Sorts the sources from `from` on by size. */
function sortSources(from: number, descending: boolean): void {
  if (sources.length - from > INSERTION_SORT_MAX) {
    const sorted = sources.slice(from).map((address, i) => ({ address, size: sizes[from + i]! }))
    sorted.sort((a, b) => (descending ? b.size - a.size : a.size - b.size))
    for (const [i, { address, size }] of sorted.entries()) {
      sources[from + i] = address
      sizes[from + i] = size
    }
    return
  }
  const sign = descending ? -1 : 1
  for (let i = from + 1; i < sources.length; i++) {
    const address = sources[i]!
    const size = sizes[i]!
    let j = i
    for (; j > from && (sizes[j - 1]! - size) * sign > 0; j--) {
      sources[j] = sources[j - 1]!
      sizes[j] = sizes[j - 1]!
    }
    sources[j] = address
    sizes[j] = size
  }
}
