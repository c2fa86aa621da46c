/** Lists: setting, inserting, removing and finding elements within. */
import { INT64_MIN } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { NO_SUCH_KEY, NOT_INTEGER, OUT_OF_RANGE, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { ListCursor } from "../structs/list-chunks.ts"
import {
  lpBytes,
  lpCompare,
  lpDelete,
  lpEntryEnd,
  lpEntrySize,
  lpFind,
  lpFirst,
  lpInsert,
  lpLast,
  lpPrev,
  lpReplace,
  lpReplaceSize,
  lpSeek,
} from "../structs/listpack.ts"
import {
  absoluteIndex,
  dropRange,
  elementsRemoved,
  growList,
  listLength,
  listOf,
  ownList,
  shrinkList,
} from "./list-value.ts"

const LP_END = 0xff
const RANK_ZERO =
  "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"
const OUT_OF_LONG = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"

export const listEditCommands: readonly CommandSpec[] = [
  {
    name: "lset",
    since: "1.0.0",
    group: "list",
    arity: 4,
    flags: "write denyoom",
    keys: "RW update @1",
    syntax: "key index:integer element",
    summary: "Sets the element at an index.",
    complexity: "O(N), N elements to walk from the nearer end",
    run: lset,
  },
  {
    name: "linsert",
    since: "2.2.0",
    group: "list",
    arity: 5,
    flags: "write denyoom",
    keys: "RW insert @1",
    syntax: "key where=BEFORE|AFTER pivot element",
    summary: "Inserts an element before or after another.",
    complexity: "O(N), N elements before the pivot",
    run: linsert,
  },
  {
    name: "lrem",
    since: "1.0.0",
    group: "list",
    arity: 4,
    flags: "write",
    keys: "RW delete @1",
    syntax: "key count:integer element",
    summary: "Removes elements with a value.",
    complexity: "O(N+M), N elements of the list, M removed",
    run: lrem,
  },
  {
    name: "ltrim",
    since: "1.0.0",
    group: "list",
    arity: 4,
    flags: "write",
    keys: "RW delete @1",
    syntax: "key start:integer stop:integer",
    summary: "Removes the elements outside of a range of indexes.",
    complexity: "O(N), N elements removed",
    run: ltrim,
  },
  {
    name: "lpos",
    since: "6.0.6",
    group: "list",
    arity: -3,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]",
    summary: "Finds the indexes of elements with a value.",
    complexity: "O(N), N elements looked at",
    run: lpos,
  },
]

const cursor = new ListCursor()

function lset(call: Call): void {
  const { args, reply } = call
  const { keys } = call.db
  const found = call.writeTyped(1, ValueType.List)
  if (found === -1) return
  if (found === 0) {
    reply.error(NO_SUCH_KEY)
    return
  }
  const given = call.integer(2)
  if (Number.isNaN(given)) return
  const start = args.starts[3]!
  const end = args.ends[3]!
  const address = growList(call, keys, found, end - start, 1)
  const length = listLength(keys, address)
  const index = absoluteIndex(given, length)
  if (index < 0 || index >= length) {
    reply.error(OUT_OF_RANGE)
    return
  }
  shrinkList(call, keys, replaceElement(keys, address, index, args.bytes, start, end))
  call.changed(1, Notify.List, "lset")
  reply.ok()
}

function replaceElement(
  keys: ByteMap,
  address: number,
  index: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  if (keys.type(address) === Kind.ListChunks) {
    ownList(keys, address).set(index, bytes, start, end)
    keys.noteObjectBytes(address)
    return address
  }
  let own = keys.ownValue(address)
  const at = keys.valueStart
  const length = keys.valueEnd - at
  const offset = lpSeek(keys.valueBytes, at, index) - at
  const growth = lpReplaceSize(keys.valueBytes, at + offset, bytes, start, end)
  if (growth > 0) own = keys.resizeValue(own, length + growth)
  lpReplace(keys.valueBytes, keys.valueStart, keys.valueStart + offset, bytes, start, end)
  return growth < 0 ? keys.resizeValue(own, length + growth) : own
}

function linsert(call: Call): void {
  const { args, reply } = call
  const { keys } = call.db
  const after = args.is(2, "after")
  if (!after && !args.is(2, "before")) {
    reply.error(SYNTAX)
    return
  }
  const found = call.writeTyped(1, ValueType.List)
  if (found === -1) return
  if (found === 0) {
    reply.integer(0)
    return
  }
  const address = growList(call, keys, found, args.length(4), 1)
  if (!insertBeside(call, address, after)) {
    reply.integer(-1)
    return
  }
  call.changed(1, Notify.List, "linsert")
  reply.integer(listLength(keys, call.db.find(args.bytes, args.starts[1]!, args.ends[1]!)))
}

/** Puts argument 4 before or behind the first element that equals argument 3; false when there is none. */
function insertBeside(call: Call, address: number, after: boolean): boolean {
  const { args } = call
  const { keys } = call.db
  const { bytes } = args
  const start = args.starts[4]!
  const end = args.ends[4]!
  if (keys.type(address) === Kind.ListChunks) {
    const list = listOf(keys, address)
    cursor.seek(list, 0)
    if (!cursor.find(bytes, args.starts[3]!, args.ends[3]!)) return false
    const index = cursor.index + (after ? 1 : 0)
    cursor.release()
    list.own()
    list.limit = call.config.values.listMaxListpackSize
    list.insert(index, bytes, start, end)
    keys.noteObjectBytes(address)
    return true
  }
  keys.readValue(address)
  const at = keys.valueStart
  let entry = lpFind(keys.valueBytes, at, lpFirst(keys.valueBytes, at), bytes, args.starts[3]!, args.ends[3]!, 0)
  if (entry === -1) return false
  if (after) entry = lpEntryEnd(keys.valueBytes, entry)
  keys.resizeValue(address, keys.valueEnd - at + lpEntrySize(bytes, start, end))
  lpInsert(keys.valueBytes, keys.valueStart, keys.valueStart + entry - at, bytes, start, end)
  return true
}

function lrem(call: Call): void {
  const { reply } = call
  const { keys } = call.db
  const given = longInteger(call, 2)
  if (given === undefined) return
  const address = call.writeTyped(1, ValueType.List)
  if (address === -1) return
  if (address === 0) {
    reply.integer(0)
    return
  }
  const before = listLength(keys, address)
  const most = given === 0 ? before : Math.abs(given)
  const left =
    keys.type(address) === Kind.ListChunks
      ? removeFromChunks(call, address, most, given < 0)
      : removeFromPacked(call, address, most, given < 0)
  const removed = before - listLength(keys, left)
  if (removed > 0) elementsRemoved(call, 1, left, "lrem", removed)
  reply.integer(removed)
}

function removeFromChunks(call: Call, address: number, most: number, fromTail: boolean): number {
  const { args } = call
  const { keys } = call.db
  ownList(keys, address).removeMatching(most, fromTail, args.bytes, args.starts[3]!, args.ends[3]!)
  keys.noteObjectBytes(address)
  return address
}

function removeFromPacked(call: Call, address: number, most: number, fromTail: boolean): number {
  const { args } = call
  const { keys } = call.db
  const { bytes } = args
  const start = args.starts[3]!
  const end = args.ends[3]!
  keys.readValue(address)
  let at = keys.valueStart
  if (lpFind(keys.valueBytes, at, lpFirst(keys.valueBytes, at), bytes, start, end, 0) === -1) return address
  const own = keys.ownValue(address)
  const b = keys.valueBytes
  at = keys.valueStart
  if (fromTail) {
    let entry = lpLast(b, at)
    for (let left = most; left > 0 && entry !== -1; ) {
      const previous = lpPrev(b, at, entry)
      if (lpCompare(b, entry, bytes, start, end)) {
        lpDelete(b, at, entry)
        left--
      }
      entry = previous
    }
  } else {
    let entry = lpFirst(b, at)
    for (let left = most; left > 0; left--) {
      // Where the last entry was removed, the end byte stands now.
      if (b[entry] === LP_END) break
      entry = lpFind(b, at, entry, bytes, start, end, 0)
      if (entry === -1) break
      lpDelete(b, at, entry)
    }
  }
  return keys.resizeValue(own, lpBytes(b, at))
}

function ltrim(call: Call): void {
  const { reply } = call
  const { keys } = call.db
  const first = call.integer(2)
  if (Number.isNaN(first)) return
  const last = call.integer(3)
  if (Number.isNaN(last)) return
  let address = call.writeTyped(1, ValueType.List)
  if (address === -1) return
  if (address !== 0) {
    const length = listLength(keys, address)
    const start = Math.max(0, absoluteIndex(first, length))
    const stop = Math.min(absoluteIndex(last, length), length - 1)
    const isEmpty = start > stop || start >= length
    const fromHead = isEmpty ? length : start
    const fromTail = isEmpty ? 0 : length - stop - 1
    address = dropRange(keys, address, length - fromTail, fromTail)
    address = dropRange(keys, address, 0, fromHead)
    elementsRemoved(call, 1, address, "ltrim", fromHead + fromTail)
  }
  reply.ok()
}

// ---------------------------------------------------------------------------------------------- LPOS

interface Search {
  /** The first match to report, counted from 1; negative: from the tail. */
  rank: number
  /** Matches to report; 0 for all, -1 for one that is not in an array. */
  count: number
  /** Elements to look at, Infinity for all. */
  most: number
}

function lpos(call: Call): void {
  const { reply } = call
  const { keys } = call.db
  const search = readSearch(call)
  if (search === undefined) return
  const address = call.readTyped(1, ValueType.List)
  if (address === -1) return
  const mark = reply.begin()
  const found = address === 0 ? 0 : findAll(call, keys, address, search)
  if (search.count !== -1) reply.endArray(mark, found)
  else if (found === 0) reply.null()
}

/** Replies the indexes of the matches; returns how many. */
function findAll(call: Call, keys: ByteMap, address: number, search: Search): number {
  const { reply } = call
  const length = listLength(keys, address)
  const wanted = search.count === 0 ? Number.POSITIVE_INFINITY : Math.abs(search.count)
  const most = Math.min(search.most, length)
  const backwards = search.rank < 0
  let toSkip = Math.abs(search.rank) - 1
  let found = 0
  open(keys, address, backwards)
  for (let seen = 0; found < wanted; seen++) {
    const isWhole = most === length && !(backwards && walkPacked)
    seen += isWhole ? findToEnd(call, most - seen, backwards) : findStepwise(call, most - seen, backwards)
    if (seen >= most) break
    if (toSkip-- <= 0) {
      reply.integer(backwards ? length - 1 - seen : seen)
      found++
    }
    if (seen + 1 < length) step(backwards)
  }
  cursor.release()
  return found
}

// A walk over either form, from an end: the element stands at walkEntry of walkBytes.
let walkBytes: Uint8Array = new Uint8Array(0)
let walkEntry = 0
let walkAt = 0
let walkPacked = false

function open(keys: ByteMap, address: number, backwards: boolean): void {
  walkPacked = keys.type(address) === Kind.ListPacked
  if (walkPacked) {
    keys.readValue(address)
    walkBytes = keys.valueBytes
    walkAt = keys.valueStart
    walkEntry = backwards ? lpLast(walkBytes, walkAt) : lpFirst(walkBytes, walkAt)
    return
  }
  const list = listOf(keys, address)
  cursor.seek(list, backwards ? list.length - 1 : 0)
  followCursor()
}

/**
 * Moves to the next element that equals argument 2; returns how many elements on that is, `most` for none to the end. In a
 * packed list forwards only.
 */
function findToEnd(call: Call, most: number, backwards: boolean): number {
  const { bytes, starts, ends } = call.args
  if (!walkPacked) {
    const from = cursor.index
    const isFound = backwards
      ? cursor.findBackwards(bytes, starts[2]!, ends[2]!)
      : cursor.find(bytes, starts[2]!, ends[2]!)
    followCursor()
    return isFound ? Math.abs(cursor.index - from) : most
  }
  const match = lpFind(walkBytes, walkAt, walkEntry, bytes, starts[2]!, ends[2]!, 0)
  if (match === -1) return most
  let passed = 0
  for (; walkEntry < match; walkEntry = lpEntryEnd(walkBytes, walkEntry)) passed++
  return passed
}

/** The same in either direction, looking at `most` elements only. */
function findStepwise(call: Call, most: number, backwards: boolean): number {
  const { bytes, starts, ends } = call.args
  for (let passed = 0; passed < most; passed++) {
    if (lpCompare(walkBytes, walkEntry, bytes, starts[2]!, ends[2]!)) return passed
    if (passed + 1 < most) step(backwards)
  }
  return most
}

function step(backwards: boolean): void {
  if (walkPacked) {
    walkEntry = backwards ? lpPrev(walkBytes, walkAt, walkEntry) : lpEntryEnd(walkBytes, walkEntry)
    return
  }
  if (backwards) cursor.previous()
  else cursor.next()
  followCursor()
}

function followCursor(): void {
  walkBytes = cursor.bytes
  walkEntry = cursor.entry
}

function readSearch(call: Call): Search | undefined {
  const { args, reply } = call
  const search: Search = { rank: 1, count: -1, most: Number.POSITIVE_INFINITY }
  for (let i = 3; i < args.count; i += 2) {
    if (i + 1 >= args.count) {
      reply.error(SYNTAX)
      return undefined
    }
    if (args.is(i, "rank")) {
      const rank = longInteger(call, i + 1)
      if (rank === undefined) return undefined
      if (rank === 0) {
        reply.error(RANK_ZERO)
        return undefined
      }
      search.rank = rank
    } else if (args.is(i, "count")) {
      const count = notNegative(call, i + 1, "ERR COUNT can't be negative")
      if (count === undefined) return undefined
      search.count = count
    } else if (args.is(i, "maxlen")) {
      const most = notNegative(call, i + 1, "ERR MAXLEN can't be negative")
      if (most === undefined) return undefined
      search.most = most === 0 ? Number.POSITIVE_INFINITY : most
    } else {
      reply.error(SYNTAX)
      return undefined
    }
  }
  return search
}

function notNegative(call: Call, i: number, error: string): number | undefined {
  const value = call.integer(i, error)
  if (value >= 0) return value
  if (!Number.isNaN(value)) call.reply.error(error)
  return undefined
}

/** An integer whose opposite is one too; undefined after having answered with an error. */
function longInteger(call: Call, i: number): number | undefined {
  const value = call.args.int64(i)
  if (value === undefined) call.reply.error(NOT_INTEGER)
  else if (value === INT64_MIN) call.reply.error(OUT_OF_LONG)
  else return Number(value)
  return undefined
}
