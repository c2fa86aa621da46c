/** Lists: moving elements from one to another, or round within one. */
import { copyBytes } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import { ListCursor } from "../structs/list-chunks.ts"
import { lpEntryEnd, lpSeek } from "../structs/listpack.ts"
import { positive, sideAt } from "./list.ts"
import {
  dropEnd,
  dropRange,
  elementsRemoved,
  endBytes,
  endEnd,
  endStart,
  listLength,
  listOf,
  pushElement,
  readEnd,
} from "./list-value.ts"
import { readText, textBytes, textEnd, textStart } from "./packed-entries.ts"

const SCRATCH_BYTES_KEPT_MAX = 64 * 1024

export const listMoveCommands: readonly CommandSpec[] = [
  {
    name: "lmove",
    since: "6.2.0",
    group: "list",
    arity: 5,
    flags: "write denyoom",
    keys: "RW access delete @1; RW insert @2",
    syntax: "source:key destination:key wherefrom=LEFT|RIGHT whereto=LEFT|RIGHT",
    summary: "Moves an element from an end of a list to an end of another.",
    complexity: "O(1)",
    run: lmove,
  },
  {
    name: "rpoplpush",
    since: "1.2.0",
    group: "list",
    arity: 3,
    flags: "write denyoom",
    keys: "RW access delete @1; RW insert @2",
    syntax: "source:key destination:key",
    summary: "Moves the last element of a list to the head of another.",
    complexity: "O(1)",
    deprecated: { since: "6.2.0", replacedBy: "`LMOVE` with the `RIGHT` and `LEFT` arguments" },
    run: rpoplpush,
  },
  {
    name: "lmovem",
    since: "8.10.0",
    group: "list",
    arity: -5,
    flags: "write denyoom",
    keys: "RW access delete @1; RW insert @2",
    syntax:
      "source:key destination:key wherefrom=LEFT|RIGHT whereto=LEFT|RIGHT [how-many=(selector=(COUNT count:integer|EXACTLY exactly:integer) ordering=(OBO|BULK))]",
    summary: "Moves elements from an end of a list to an end of another.",
    complexity: "O(N), N elements moved",
    run: lmovem,
  },
]

const cursor = new ListCursor()
/** The element under way. */
let scratch = new Uint8Array(256)

function lmove(call: Call): void {
  const sides = readSides(call)
  if (sides === undefined) return
  const source = call.writeTyped(1, ValueType.List)
  if (source === -1) return
  if (source === 0) call.reply.null()
  else moveOne(call, source, sides.fromHead, sides.toHead)
}

function rpoplpush(call: Call): void {
  const source = call.writeTyped(1, ValueType.List)
  if (source === -1) return
  if (source === 0) call.reply.null()
  else moveOne(call, source, false, true)
}

export interface Sides {
  fromHead: boolean
  toHead: boolean
}

/** Arguments 3 and 4; undefined after having answered with an error. */
export function readSides(call: Call): Sides | undefined {
  const fromHead = sideAt(call, 3)
  const toHead = sideAt(call, 4)
  if (fromHead !== undefined && toHead !== undefined) return { fromHead, toHead }
  call.reply.error(SYNTAX)
  return undefined
}

/**
 * Moves an element from the list at `source` (key: argument 1) to the one under argument 2; false after WRONGTYPE.
 *
 * A write may move other records only when it moves its own; so as long as an address stays, the other is good as well.
 */
export function moveOne(call: Call, source: number, fromHead: boolean, toHead: boolean): boolean {
  const { keys } = call.db
  const destination = call.writeTyped(2, ValueType.List)
  if (destination === -1) return false
  readEnd(keys, source, fromHead)
  const length = endEnd - endStart
  if (length > scratch.length) scratch = new Uint8Array(length * 2)
  copyBytes(endBytes, endStart, endEnd, scratch, 0)
  call.reply.bulk(scratch, 0, length)
  let left = dropEnd(keys, source, fromHead)
  const target = left === source || destination === 0 ? destination : findKey(call, 2)
  const pushed = pushElement(call, 2, target, scratch, 0, length, toHead)
  if (destination === source) left = pushed
  else if (pushed !== target) left = findKey(call, 1)
  tellMove(call, left, fromHead, toHead, 1)
  if (scratch.length > SCRATCH_BYTES_KEPT_MAX) scratch = new Uint8Array(256)
  return true
}

// ---------------------------------------------------------------------------------------------- LMOVEM

/** How many elements LMOVEM and BLMOVEM move, and in which order they arrive. */
export interface Crowd extends Sides {
  count: number
  /** Nothing is moved when there are fewer. */
  exactly: boolean
  /** As one block, in the order they had; otherwise one by one, each popped and pushed. */
  asBlock: boolean
}

function lmovem(call: Call): void {
  const crowd = readCrowd(call, 5)
  if (crowd === undefined) return
  const source = call.writeTyped(1, ValueType.List)
  if (source === -1) return
  if (source === 0 || !hasEnough(call, source, crowd)) call.reply.nullArray()
  else moveCrowd(call, source, crowd)
}

/** Sides, and the options from argument `i` on; undefined after having answered with an error. */
export function readCrowd(call: Call, i: number): Crowd | undefined {
  const { args } = call
  const sides = readSides(call)
  if (sides === undefined) return undefined
  if (args.count === i) return { ...sides, count: 1, exactly: false, asBlock: false }
  const exactly = args.is(i, "exactly")
  const asBlock = args.count > i + 2 && args.is(i + 2, "bulk")
  if (args.count !== i + 3 || !(exactly || args.is(i, "count")) || !(asBlock || args.is(i + 2, "obo"))) {
    call.reply.error(SYNTAX)
    return undefined
  }
  const count = positive(call, i + 1, "ERR count should be greater than 0")
  return count === undefined ? undefined : { ...sides, count, exactly, asBlock }
}

export function hasEnough(call: Call, source: number, crowd: Crowd): boolean {
  return !crowd.exactly || listLength(call.db.keys, source) >= crowd.count
}

/** Moves several elements and replies them in the order they have at their destination; false after WRONGTYPE. */
export function moveCrowd(call: Call, source: number, crowd: Crowd): boolean {
  const { reply } = call
  const { keys } = call.db
  const { fromHead, toHead } = crowd
  if (call.writeTyped(2, ValueType.List) === -1) return false
  const length = listLength(keys, source)
  const count = Math.min(crowd.count, length)
  const from = fromHead ? 0 : length - count
  const elements = copyRange(call, source, from, count)
  // One by one from a head to a head, or from a tail to a tail, turns the order round.
  if (!crowd.asBlock && fromHead === toHead) elements.reverse()
  dropRange(keys, source, from, count)
  reply.array(count)
  for (const element of elements) reply.bulk(element, 0, element.length)
  if (toHead) elements.reverse()
  let target = findKey(call, 2)
  for (const element of elements) {
    pushElement(call, 2, target, element, 0, element.length, toHead)
    target = findKey(call, 2)
  }
  tellMove(call, findKey(call, 1), fromHead, toHead, count)
  return true
}

/** Copies of `count` elements from index `from` on. */
function copyRange(call: Call, address: number, from: number, count: number): Uint8Array[] {
  const { keys } = call.db
  const elements: Uint8Array[] = []
  if (keys.type(address) === Kind.ListPacked) {
    keys.readValue(address)
    let entry = lpSeek(keys.valueBytes, keys.valueStart, from)
    for (; elements.length < count; entry = lpEntryEnd(keys.valueBytes, entry)) {
      readText(keys.valueBytes, entry)
      elements.push(textBytes.slice(textStart, textEnd))
    }
    return elements
  }
  cursor.seek(listOf(keys, address), from)
  for (; elements.length < count; cursor.next()) {
    readText(cursor.bytes, cursor.entry)
    elements.push(textBytes.slice(textStart, textEnd))
  }
  cursor.release()
  return elements
}

// ---------------------------------------------------------------------------------------------- common

function findKey(call: Call, i: number): number {
  return call.db.find(call.args.bytes, call.args.starts[i]!, call.args.ends[i]!)
}

/** Tells first of the arrival, then of the departure from the list at `source`, as Redis does. */
function tellMove(call: Call, source: number, fromHead: boolean, toHead: boolean, count: number): void {
  const { args, db } = call
  const { bytes, starts, ends } = args
  db.modified(bytes, starts[2]!, ends[2]!)
  call.keyspace.events.notify(Notify.List, toHead ? "lpush" : "rpush", db, bytes, starts[2]!, ends[2]!)
  elementsRemoved(call, 1, source, fromHead ? "lpop" : "rpop", count)
}
