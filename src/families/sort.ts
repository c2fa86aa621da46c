/** SORT and SORT_RO: the elements of a list, set or sorted set, by themselves or by what other keys say of them. */

import { copyBytes } from "../bytes/compare.ts"
import { crc16, keyHashSlot, SLOT_COUNT } from "../bytes/crc16.ts"
import { parseDouble } from "../bytes/double.ts"
import { isSpace, writeInteger } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { SYNTAX, WRONG_TYPE } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import { chunkBytesMax } from "../structs/list-chunk.ts"
import { ListChunkWalk } from "../structs/list-chunks.ts"
import { ListValue } from "../structs/list-value.ts"
import { copyElements, elementCount, readIntegers } from "./sort-elements.ts"
import { SortPattern } from "./sort-lookup.ts"
import { ascending, orderByScore, orderByText, Texts } from "./sort-order.ts"

export const sortCommands: readonly CommandSpec[] = [
  {
    name: "sort",
    since: "1.0.0",
    group: "generic",
    arity: -2,
    flags: "write denyoom",
    categories: "set sortedset list dangerous -keyspace",
    keys:
      'RO access @1; RO access unknown "BY and GET take key names out of the sorted values"; OW update ' +
      'unknown "STORE may stand anywhere among the options" => sort',
    syntax:
      "key [BY by-pattern:pattern#1~pattern] [LIMIT(offset:integer count:integer)] " +
      "[GET get-pattern:pattern#1~pattern]... [order=ASC|DESC] [sorting=ALPHA] [STORE destination:key#2]",
    summary: "Sorts the elements of a list, set or sorted set, and may store them.",
    complexity: "O(N+M*log(M)), N elements, M returned; O(N) when not sorting",
    run: sort,
  },
  {
    name: "sort_ro",
    since: "7.0.0",
    group: "generic",
    arity: -2,
    flags: "readonly",
    categories: "set sortedset list dangerous -keyspace",
    keys: 'RO access @1; RO access unknown "BY and GET take key names out of the sorted values" => known',
    syntax:
      "key [BY by-pattern:pattern#1~pattern] [LIMIT(offset:integer count:integer)] " +
      "[GET get-pattern:pattern#1~pattern]... [order=ASC|DESC] [sorting=ALPHA]",
    summary: "Sorts the elements of a list, set or sorted set.",
    complexity: "O(N+M*log(M)), N elements, M returned; O(N) when not sorting",
    run: sortRo,
  },
]

const NOT_NUMBERS = "ERR One or more scores can't be converted into double"
const STAR = 0x2a
const QUESTION_MARK = 0x3f
const BRACKET = 0x5b
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

interface SortOptions {
  by: SortPattern | undefined
  /** BY without an asterisk: the elements stay in the order they have. */
  unsorted: boolean
  gets: SortPattern[]
  alpha: boolean
  descending: boolean
  from: number
  /** Negative: all. */
  count: number
  /** Number of the argument that STORE names; 0 for none. */
  store: number
}

/**
 * The result is the elements at places `from` to `to` (exclusive): integers in their order, or else texts and which of them
 * in which order.
 */
interface Sorted {
  integers?: Float64Array
  texts: Texts
  order: Uint32Array
  from: number
  to: number
}

function sort(call: Call): void {
  sortGeneric(call, true)
}

function sortRo(call: Call): void {
  sortGeneric(call, false)
}

function sortGeneric(call: Call, mayStore: boolean): void {
  const options = readOptions(call, mayStore)
  if (options === undefined) return
  const address = call.read(1)
  if (address !== 0) {
    const type = call.db.type(address)
    if (type !== ValueType.List && type !== ValueType.Set && type !== ValueType.Zset) {
      call.reply.error(WRONG_TYPE)
      return
    }
    // What hangs on the order of a set must not hang on its inner order: not in a file, on a replica, or in a script.
    if (options.unsorted && type === ValueType.Set && (options.store > 0 || call.client.denyBlocking)) {
      options.unsorted = false
      options.alpha = true
      options.by = undefined
    }
  }
  const sorted =
    address === 0 ? nothing() : options.unsorted ? take(call, address, options) : order(call, address, options)
  if (sorted === undefined) call.reply.error(NOT_NUMBERS)
  else if (options.store > 0) store(call, sorted, options)
  else reply(call, sorted, options)
}

// ---------------------------------------------------------------------------------------------- options

/** Undefined after having answered with an error. */
function readOptions(call: Call, mayStore: boolean): SortOptions | undefined {
  const { args, reply } = call
  const options: SortOptions = {
    by: undefined,
    unsorted: false,
    gets: [],
    alpha: false,
    descending: false,
    from: 0,
    count: -1,
    store: 0,
  }
  for (let i = 2; i < args.count; i++) {
    const left = args.count - i - 1
    if (args.is(i, "asc")) options.descending = false
    else if (args.is(i, "desc")) options.descending = true
    else if (args.is(i, "alpha")) options.alpha = true
    else if (args.is(i, "limit") && left >= 2) {
      options.from = call.integer(i + 1)
      if (Number.isNaN(options.from)) return undefined
      options.count = call.integer(i + 2)
      if (Number.isNaN(options.count)) return undefined
      i += 2
    } else if (mayStore && args.is(i, "store") && left >= 1) options.store = ++i
    else if (args.is(i, "by") && left >= 1) {
      options.by = new SortPattern(call, ++i)
      options.unsorted = !options.by.hasStar
      if (!options.unsorted && !permits(call, i, "BY")) return undefined
    } else if (args.is(i, "get") && left >= 1) {
      const pattern = new SortPattern(call, ++i)
      if (!pattern.isElement && !permits(call, i, "GET")) return undefined
      options.gets.push(pattern)
    } else {
      reply.error(SYNTAX)
      return undefined
    }
  }
  return options
}

/** Whether the pattern that is argument `i` may be used; false after having answered with an error. */
function permits(call: Call, i: number, option: string): boolean {
  const { args, client, command, config, reply } = call
  if (config.values.clusterEnabled && patternSlot(call, i) !== keyHashSlot(args.bytes, args.start(1), args.end(1))) {
    reply.error(
      `ERR ${option} option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.`,
    )
    return false
  }
  if (client.mayReadAllKeys !== undefined && !client.mayReadAllKeys(command)) {
    reply.error(`ERR ${option} option of SORT denied due to insufficient ACL permissions.`)
    return false
  }
  return true
}

/** The cluster slot of all keys that the pattern which is argument `i` can form, -1 when there are several. */
function patternSlot(call: Call, i: number): number {
  const { args } = call
  const { bytes } = args
  let open = -1
  for (let at = args.start(i); at < args.end(i); at++) {
    const byte = bytes[at]!
    if (byte === STAR || byte === QUESTION_MARK || byte === BRACKET || byte === BACKSLASH) return -1
    if (byte === OPEN_BRACE && open < 0) open = at
    else if (byte === CLOSE_BRACE && open >= 0 && at !== open + 1) return crc16(bytes, open + 1, at) & (SLOT_COUNT - 1)
  }
  return crc16(bytes, args.start(i), args.end(i)) & (SLOT_COUNT - 1)
}

// ---------------------------------------------------------------------------------------------- order

function nothing(): Sorted {
  return { texts: new Texts(0), order: ascending(0), from: 0, to: 0 }
}

/** The part of `total` places that LIMIT leaves. */
function limits(options: SortOptions, total: number): { from: number; to: number } {
  const from = Math.min(Math.max(options.from, 0), total)
  return { from, to: options.count < 0 ? total : Math.min(from + options.count, total) }
}

/** The elements in the order they have, no more of them read than are wanted. */
function take(call: Call, address: number, options: SortOptions): Sorted {
  const { keys } = call.db
  const total = elementCount(keys, address)
  const { from, to } = limits(options, total)
  const texts = new Texts(to - from)
  const reversed = options.descending && call.db.type(address) !== ValueType.Set
  copyElements(keys, address, reversed ? total - to : from, to - from, texts)
  const order = ascending(texts.count)
  return { texts, order: reversed ? order.reverse() : order, from: 0, to: texts.count }
}

/** Undefined when a weight is no number. */
function order(call: Call, address: number, options: SortOptions): Sorted | undefined {
  const { by, alpha, descending } = options
  const { keys } = call.db
  const { random } = call.keyspace
  const total = elementCount(keys, address)
  const { from, to } = limits(options, total)
  if (!alpha && by === undefined) {
    // Equal integers are equal elements: they can be sorted by themselves.
    const integers = new Float64Array(total)
    if (readIntegers(keys, address, integers)) {
      integers.sort()
      return { ...nothing(), integers: descending ? integers.reverse() : integers, from, to }
    }
  }
  const texts = new Texts(total)
  copyElements(keys, address, 0, total, texts)
  if (alpha) {
    const weights = by === undefined ? texts : textWeights(texts, by)
    const order = orderByText(weights, descending, from, to - 1, bound => random.nextBelow(bound))
    return { texts, order, from, to }
  }
  const scores = by === undefined ? ownScores(texts) : weightScores(texts, by)
  return scores && { texts, order: orderByScore(scores, texts, descending), from, to }
}

function textWeights(texts: Texts, by: SortPattern): Texts {
  const weights = new Texts(texts.count)
  for (let i = 0; i < texts.count; i++) {
    if (by.lookup(texts.bytes, texts.start(i), texts.end(i))) weights.push(by.bytes, by.start, by.end)
    else weights.pushMissing()
  }
  return weights
}

function ownScores(texts: Texts): Float64Array | undefined {
  const scores = new Float64Array(texts.count)
  let valid = true
  for (let i = 0; i < scores.length; i++) {
    scores[i] = parseScore(texts.bytes, texts.start(i), texts.end(i))
    valid &&= !Number.isNaN(scores[i]!)
  }
  return valid ? scores : undefined
}

/** All weights are looked up even if one is no number. A missing one counts as 0. */
function weightScores(texts: Texts, by: SortPattern): Float64Array | undefined {
  const scores = new Float64Array(texts.count)
  let valid = true
  for (let i = 0; i < scores.length; i++) {
    if (!by.lookup(texts.bytes, texts.start(i), texts.end(i))) continue
    scores[i] = parseScore(by.bytes, by.start, by.end)
    valid &&= !Number.isNaN(scores[i]!)
  }
  return valid ? scores : undefined
}

/**
 * A number as the C library reads it: blanks may stand before it, a zero byte ends it, and nothing at all is 0. NaN when it
 * is none. Never -0.
 */
function parseScore(bytes: Uint8Array, start: number, end: number): number {
  if (start === end) return 0
  const score = parseDouble(bytes, start, end)
  if (score !== undefined) return score + 0
  const zero = bytes.subarray(start, end).indexOf(0)
  const behind = zero < 0 ? end : start + zero
  if (start === behind) return 0
  let at = start
  while (at < behind && isSpace(bytes[at]!)) at++
  return (parseDouble(bytes, at, behind) ?? Number.NaN) + 0
}

// ---------------------------------------------------------------------------------------------- result

const integerText = new Uint8Array(24)

/** Where `readElement` found the text, borrowed until its next call. */
let elementBytes: Uint8Array = integerText
let elementStart = 0
let elementEnd = 0

/** Finds the text of the element at a place of the result. */
function readElement({ integers, texts, order }: Sorted, place: number): void {
  if (integers !== undefined) {
    elementBytes = integerText
    elementStart = 0
    elementEnd = writeInteger(integerText, 0, integers[place]!)
    return
  }
  elementBytes = texts.bytes
  elementStart = texts.start(order[place]!)
  elementEnd = texts.end(order[place]!)
}

function reply(call: Call, sorted: Sorted, options: SortOptions): void {
  const { reply } = call
  const { gets } = options
  const { from, to } = sorted
  reply.array((to - from) * Math.max(gets.length, 1))
  for (let i = from; i < to; i++) {
    readElement(sorted, i)
    if (gets.length === 0) reply.bulk(elementBytes, elementStart, elementEnd)
    for (const get of gets) {
      if (get.lookup(elementBytes, elementStart, elementEnd)) reply.bulk(get.bytes, get.start, get.end)
      else reply.null()
    }
  }
}

/** Puts the result, as a list, in place of what the destination holds; an empty one removes it. */
function store(call: Call, sorted: Sorted, options: SortOptions): void {
  const { args, db, keyspace } = call
  const { from, to } = sorted
  const { gets } = options
  const key = options.store
  const list = new ListValue(call.keyspace.heap, call.config.values.listMaxListpackSize)
  for (let i = from; i < to; i++) {
    readElement(sorted, i)
    if (gets.length === 0) list.pushTail(elementBytes, elementStart, elementEnd)
    for (const get of gets) {
      if (get.lookup(elementBytes, elementStart, elementEnd)) list.pushTail(get.bytes, get.start, get.end)
      else list.pushTail(elementBytes, 0, 0)
    }
  }
  const old = db.find(args.bytes, args.start(key), args.end(key))
  if (list.length > 0) {
    if (old !== 0) db.removeQuietly(old)
    putList(call, key, list)
    if (old === 0) keyspace.events.notify(Notify.New, "new", db, args.bytes, args.start(key), args.end(key))
    call.changed(key, Notify.List, "sortstore")
    keyspace.events.dirty += list.length - 1
  } else if (old !== 0) call.removeKey(key, old)
  call.reply.integer(list.length)
}

/** Stores a list under an absent key, packed if it is short enough. */
function putList(call: Call, key: number, list: ListValue): void {
  const { args } = call
  const { keys } = call.db
  const chunk = new ListChunkWalk(list)
  chunk.next()
  const length = chunk.end - chunk.start
  if (list.chunkCount > 1 || length > chunkBytesMax(list.limit)) {
    keys.putObject(args.bytes, args.start(key), args.end(key), Kind.ListChunks, list, 0)
    return
  }
  keys.put(args.bytes, args.start(key), args.end(key), Kind.ListPacked, length, 0)
  copyBytes(chunk.bytes, chunk.start, chunk.end, keys.valueBytes, keys.valueStart)
}
