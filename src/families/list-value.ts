/**
 * The value of a list in its two forms.
 *
 *   Kind.ListPacked   one listpack, within list-max-listpack-size (a number of entries, or 4 to 64 KB)
 *   Kind.ListChunks   structs/list-chunks.ts
 *
 * A list leaves the packed form before it would outgrow the limit, and comes back to it when all is in one chunk of at
 * most half the limit, so that it does not go to and fro with every element.
 *
 * Addresses are those of db.keys; functions that write return the record's new address.
 */
import { copyBytes } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import type { Database } from "../keyspace/db.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind } from "../keyspace/kinds.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { entryAt, type ListChunk } from "../structs/list-chunk.ts"
import { ListCursor } from "../structs/list-chunks.ts"
import { ListValue } from "../structs/list-value.ts"
import { foundChunk, foundOffset, foundSpan, locate } from "../structs/list-view.ts"
import {
  LP_EMPTY_BYTES,
  lpBytes,
  lpDelete,
  lpDeleteRange,
  lpEntrySize,
  lpFirst,
  lpInit,
  lpLast,
  lpLength,
  lpPrev,
  lpSeek,
  lpSplice,
  lpWriteEntry,
} from "../structs/listpack.ts"
import { bulkOfEntry, bulksOfEntries, readText, textBytes, textEnd, textStart } from "./packed-entries.ts"

const LP_HEADER_BYTES = 6
/** Bound of a listpack's size where the limit counts entries. */
const COUNTED_BYTES_MAX = 8192

const cursor = new ListCursor()

// ---------------------------------------------------------------------------------------------- reading

export function listLength(keys: ByteMap, address: number): number {
  if (keys.type(address) === Kind.ListChunks) return listOf(keys, address).length
  keys.readValue(address)
  return lpLength(keys.valueBytes, keys.valueStart)
}

export function listOf(keys: ByteMap, address: number): ListValue {
  return keys.object(address) as ListValue
}

/** `listOf` for writing: a snapshot keeps what it was. */
export function ownList(keys: ByteMap, address: number): ListValue {
  const list = listOf(keys, address)
  list.own()
  return list
}

/** Index counted from the head for one that may count from the tail; negative when it is before the head. */
export function absoluteIndex(index: number, length: number): number {
  return index < 0 ? index + length : index
}

/** Appends `count` elements to the reply, as bulks, from the one at `from` on, towards the tail or (reverse) the head. */
export function replyRange(call: Call, address: number, from: number, count: number, reverse: boolean): void {
  const { reply } = call
  const { keys } = call.db
  if (keys.type(address) === Kind.ListPacked) {
    keys.readValue(address)
    const b = keys.valueBytes
    const at = keys.valueStart
    let entry = lpSeek(b, at, from)
    if (!reverse) bulksOfEntries(reply, b, entry, keys.valueEnd, count)
    else
      for (let i = 0; i < count; i++) {
        bulkOfEntry(reply, b, entry)
        entry = lpPrev(b, at, entry)
      }
    return
  }
  const list = listOf(keys, address)
  if (reverse) {
    cursor.seek(list, from)
    for (let i = 0; i < count; i++) {
      bulkOfEntry(reply, cursor.bytes, cursor.entry)
      cursor.previous()
    }
    cursor.release()
    return
  }
  locate(list, from)
  let span = foundSpan
  let place = foundChunk
  let offset = foundOffset
  for (let left = count; left > 0; place++) {
    if (place === list.spans[span]!.chunks.length) {
      span++
      place = 0
    }
    const chunk = list.spans[span]!.chunks[place]!
    const run = Math.min(left, chunk.count - offset)
    bulksOfEntries(reply, chunk.bytes, offset === 0 ? chunk.head : entryAt(chunk, offset), chunk.tail, run)
    left -= run
    offset = 0
  }
}

/** The element at an end, as text in endBytes[endStart, endEnd), borrowed from the list. */
export function readEnd(keys: ByteMap, address: number, atHead: boolean): void {
  if (keys.type(address) === Kind.ListPacked) {
    keys.readValue(address)
    const b = keys.valueBytes
    const at = keys.valueStart
    readText(b, atHead ? lpFirst(b, at) : lpLast(b, at))
  } else {
    const chunk = endChunk(listOf(keys, address), atHead)
    readText(chunk.bytes, endEntry(chunk, atHead))
  }
  endBytes = textBytes
  endStart = textStart
  endEnd = textEnd
}
export let endBytes: Uint8Array = textBytes
export let endStart = 0
export let endEnd = 0

// ---------------------------------------------------------------------------------------------- forms

/** Whether a listpack may not have this size or this many entries. */
function exceeds(limit: number, bytes: number, entries: number): boolean {
  if (limit < 0) return bytes > packedBytesMax(limit)
  return bytes > COUNTED_BYTES_MAX || entries > Math.max(limit, 1)
}

function packedBytesMax(limit: number): number {
  return 2048 << Math.min(-limit, 5)
}

function newList(call: Call): ListValue {
  return new ListValue(call.keyspace.heap, call.config.values.listMaxListpackSize)
}

/** Turns a listpack into chunks if it would be too large with `entries` more elements of `bytes` bytes in all. */
export function growList(call: Call, keys: ByteMap, address: number, bytes: number, entries: number): number {
  if (keys.type(address) !== Kind.ListPacked) return address
  keys.readValue(address)
  const b = keys.valueBytes
  const at = keys.valueStart
  if (!exceeds(call.config.values.listMaxListpackSize, lpBytes(b, at) + bytes, lpLength(b, at) + entries)) {
    return address
  }
  const list = newList(call)
  list.appendListpack(b, at)
  return keys.replaceByObject(address, Kind.ListChunks, list)
}

/** Turns chunks back into a listpack when what is left is far below the limit. */
export function shrinkList(call: Call, keys: ByteMap, address: number): number {
  if (keys.type(address) !== Kind.ListChunks) return address
  const { spans } = listOf(keys, address)
  if (spans.length !== 1 || spans[0]!.chunks.length !== 1) return address
  const chunk = spans[0]!.chunks[0]!
  const { bytes, count, head, tail } = chunk
  const length = LP_EMPTY_BYTES + tail - head
  const limit = call.config.values.listMaxListpackSize
  if (limit < 0 ? length > packedBytesMax(limit) / 2 : length > COUNTED_BYTES_MAX || count > Math.max(limit, 1) >> 1) {
    return address
  }
  const moved = keys.replaceFound(address, Kind.ListPacked, length, keys.expiry(address))
  const b = keys.valueBytes
  const at = keys.valueStart
  lpInit(b, at)
  lpSplice(b, at, at + LP_HEADER_BYTES, at + LP_HEADER_BYTES, tail - head, count)
  copyBytes(bytes, head, tail, b, at + LP_HEADER_BYTES)
  return moved
}

// ---------------------------------------------------------------------------------------------- writing

/**
 * Pushes arguments `from` to `to` one after the other at an end of the list under the key that is argument `i`, which is
 * made if `address` is 0. Returns the list's length.
 */
export function pushArguments(
  call: Call,
  i: number,
  address: number,
  from: number,
  to: number,
  atHead: boolean,
): number {
  const { args, db } = call
  const { keys } = db
  const { bytes, starts, ends } = args
  if (address !== 0 && keys.type(address) === Kind.ListChunks) {
    const list = ownList(keys, address)
    const before = list.bytes
    list.limit = call.config.values.listMaxListpackSize
    for (let j = from; j <= to; j++) {
      if (atHead) list.pushHead(bytes, starts[j]!, ends[j]!)
      else list.pushTail(bytes, starts[j]!, ends[j]!)
    }
    if (list.bytes !== before) keys.noteObjectBytes(address)
    return list.length
  }
  let texts = 0
  let entries = 0
  for (let j = from; j <= to; j++) {
    texts += ends[j]! - starts[j]!
    entries += lpEntrySize(bytes, starts[j]!, ends[j]!)
  }
  const count = to - from + 1
  if (address === 0) {
    if (exceeds(call.config.values.listMaxListpackSize, LP_EMPTY_BYTES + texts, count)) {
      const made = keys.putObject(bytes, starts[i]!, ends[i]!, Kind.ListChunks, newList(call), 0)
      tellNew(db, bytes, starts[i]!, ends[i]!)
      return pushArguments(call, i, made, from, to, atHead)
    }
    keys.put(bytes, starts[i]!, ends[i]!, Kind.ListPacked, LP_EMPTY_BYTES + entries, 0)
    lpInit(keys.valueBytes, keys.valueStart)
    tellNew(db, bytes, starts[i]!, ends[i]!)
  } else {
    const grown = growList(call, keys, address, texts, count)
    if (keys.type(grown) === Kind.ListChunks) return pushArguments(call, i, grown, from, to, atHead)
    keys.readValue(grown)
    keys.resizeValue(grown, keys.valueEnd - keys.valueStart + entries)
  }
  const b = keys.valueBytes
  const at = keys.valueStart
  let entry = at + (atHead ? LP_HEADER_BYTES : lpBytes(b, at) - 1)
  lpSplice(b, at, entry, entry, entries, count)
  if (atHead) for (let j = to; j >= from; j--) entry = lpWriteEntry(b, entry, bytes, starts[j]!, ends[j]!)
  else for (let j = from; j <= to; j++) entry = lpWriteEntry(b, entry, bytes, starts[j]!, ends[j]!)
  return lpLength(b, at)
}

/** As `pushArguments`, for one element that is no argument and does not lie in the map; returns the record's address. */
export function pushElement(
  call: Call,
  i: number,
  address: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  atHead: boolean,
): number {
  const { args, db } = call
  const { keys } = db
  const values = call.config.values
  let list = address
  if (list === 0) {
    const keyStart = args.starts[i]!
    const keyEnd = args.ends[i]!
    if (exceeds(values.listMaxListpackSize, LP_EMPTY_BYTES + end - start, 1)) {
      list = keys.putObject(args.bytes, keyStart, keyEnd, Kind.ListChunks, newList(call), 0)
    } else {
      list = keys.put(args.bytes, keyStart, keyEnd, Kind.ListPacked, LP_EMPTY_BYTES, 0)
      lpInit(keys.valueBytes, keys.valueStart)
    }
    tellNew(db, args.bytes, keyStart, keyEnd)
  } else list = growList(call, keys, list, end - start, 1)
  if (keys.type(list) === Kind.ListChunks) {
    const chunks = ownList(keys, list)
    chunks.limit = values.listMaxListpackSize
    if (atHead) chunks.pushHead(bytes, start, end)
    else chunks.pushTail(bytes, start, end)
    keys.noteObjectBytes(list)
    return list
  }
  const size = lpEntrySize(bytes, start, end)
  keys.readValue(list)
  const moved = keys.resizeValue(list, keys.valueEnd - keys.valueStart + size)
  const b = keys.valueBytes
  const at = keys.valueStart
  const entry = at + (atHead ? LP_HEADER_BYTES : lpBytes(b, at) - 1)
  lpSplice(b, at, entry, entry, size, 1)
  lpWriteEntry(b, entry, bytes, start, end)
  return moved
}

/** Drops the element at an end, without turning the form. */
export function dropEnd(keys: ByteMap, address: number, atHead: boolean): number {
  if (keys.type(address) === Kind.ListChunks) {
    dropFromChunks(keys, address, listOf(keys, address), atHead)
    return address
  }
  const own = keys.ownValue(address)
  const b = keys.valueBytes
  const at = keys.valueStart
  return keys.resizeValue(own, lpDelete(b, at, atHead ? lpFirst(b, at) : lpLast(b, at)))
}

/** Drops `count` elements from index `from` on, all of them existing; without turning the form. */
export function dropRange(keys: ByteMap, address: number, from: number, count: number): number {
  if (count === 0) return address
  if (keys.type(address) === Kind.ListChunks) {
    ownList(keys, address).removeRange(from, count)
    keys.noteObjectBytes(address)
    return address
  }
  const own = keys.ownValue(address)
  return keys.resizeValue(own, lpDeleteRange(keys.valueBytes, keys.valueStart, from, count))
}

/** Replies the element at an end, and takes it from the list under the key that is argument `i`. */
export function popEnd(call: Call, i: number, address: number, atHead: boolean): void {
  const { reply } = call
  const { keys } = call.db
  const event = atHead ? "lpop" : "rpop"
  if (keys.type(address) !== Kind.ListChunks) {
    readEnd(keys, address, atHead)
    reply.bulk(endBytes, endStart, endEnd)
    elementsRemoved(call, i, dropEnd(keys, address, atHead), event, 1)
    return
  }
  // The same without asking at each step what kind of list it is: this is what queues do all day.
  const list = listOf(keys, address)
  const chunk = endChunk(list, atHead)
  bulkOfEntry(reply, chunk.bytes, endEntry(chunk, atHead))
  dropFromChunks(keys, address, list, atHead)
  if (list.length === 0 || list.spans.length === 1) elementsRemoved(call, i, address, event, 1)
  else call.changed(i, Notify.List, event)
}

/** The first or the last chunk of a list that is not empty. */
function endChunk(list: ListValue, first: boolean): ListChunk {
  const { spans } = list
  const { chunks } = first ? spans[0]! : spans[spans.length - 1]!
  return first ? chunks[0]! : chunks[chunks.length - 1]!
}

/** Offset of the first or the last entry of a chunk. */
function endEntry({ bytes, head, tail }: ListChunk, first: boolean): number {
  return first ? head : lpPrev(bytes, head - LP_HEADER_BYTES, tail)
}

function dropFromChunks(keys: ByteMap, address: number, list: ListValue, atHead: boolean): void {
  const before = list.bytes
  list.own()
  if (atHead) list.popHead()
  else list.popTail()
  if (list.bytes !== before) keys.noteObjectBytes(address)
}

/**
 * To be called when elements were taken from the list under the key that is argument `i`: removes the key if none is left,
 * turns the form if few are; tells of the event and, as one change per element, of the change.
 */
export function elementsRemoved(call: Call, i: number, address: number, event: string, count: number): void {
  const { args, db } = call
  const { events } = call.keyspace
  const start = args.starts[i]!
  const end = args.ends[i]!
  db.modified(args.bytes, start, end)
  events.dirty += count
  events.notify(Notify.List, event, db, args.bytes, start, end)
  if (listLength(db.keys, address) > 0) {
    shrinkList(call, db.keys, address)
    return
  }
  db.removeQuietly(address)
  events.notify(Notify.Generic, "del", db, args.bytes, start, end)
}

function tellNew(db: Database, bytes: Uint8Array, start: number, end: number): void {
  db.keyspace.events.notify(Notify.New, "new", db, bytes, start, end)
}
