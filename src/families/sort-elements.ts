/** Reading the elements that SORT sorts, out of lists, sets and sorted sets in all their forms. */
import { Kind, typeOfKind, ValueType } from "../keyspace/kinds.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { intsetGet } from "../structs/intset.ts"
import { type ListChunks, ListCursor } from "../structs/list-chunks.ts"
import { lpEntryEnd, lpFirst, lpLength, lpSeek } from "../structs/listpack.ts"
import { ScoreCursor } from "../structs/score-tree.ts"
import type { ZsetTable } from "../structs/zset-table.ts"
import { readSafeInteger, readText, textBytes, textEnd, textStart } from "./packed-entries.ts"
import { SetCursor, setSize } from "./set-value.ts"
import type { Texts } from "./sort-order.ts"

const listCursor = new ListCursor()
const setCursor = new SetCursor()
const scoreCursor = new ScoreCursor()

/** Number of elements of a list, set or sorted set. O(1). */
export function elementCount(keys: ByteMap, address: number): number {
  const kind = keys.type(address)
  if (typeOfKind(kind) === ValueType.Set) return setSize(keys, address)
  if (kind === Kind.ListChunks) return listAt(keys, address).length
  if (kind === Kind.ZsetTree) return zsetAt(keys, address).size
  keys.readValue(address)
  const entries = lpLength(keys.valueBytes, keys.valueStart)
  return kind === Kind.ZsetPacked ? entries >>> 1 : entries
}

/**
 * Reads all elements into `out`, which has room for them, if they are integers that a number holds and are kept as such;
 * false as soon as one is not. Sorted sets keep their members in no such form.
 */
export function readIntegers(keys: ByteMap, address: number, out: Float64Array): boolean {
  const kind = keys.type(address)
  if (kind === Kind.SetInts) {
    keys.readValue(address)
    for (let i = 0; i < out.length; i++) {
      const n = intsetGet(keys.valueBytes, keys.valueStart, i)
      if (typeof n !== "number") return false
      out[i] = n
    }
    return true
  }
  if (kind === Kind.ListPacked || kind === Kind.SetPacked) {
    keys.readValue(address)
    return readPackedIntegers(keys.valueBytes, lpFirst(keys.valueBytes, keys.valueStart), out, 0, out.length)
  }
  if (kind !== Kind.ListChunks) return false
  let at = 0
  for (const span of listAt(keys, address).spans) {
    for (const chunk of span.chunks) {
      if (!readPackedIntegers(chunk.bytes, chunk.head, out, at, chunk.count)) return false
      at += chunk.count
    }
  }
  return true
}

function readPackedIntegers(b: Uint8Array, entry: number, out: Float64Array, at: number, count: number): boolean {
  for (let i = 0; i < count; i++) {
    const n = readSafeInteger(b, entry)
    if (n === undefined) return false
    out[at + i] = n
    entry = lpEntryEnd(b, entry)
  }
  return true
}

/**
 * Copies the elements [from, from + count) into `out`, which has room. A list has them in its order, a sorted set by score;
 * a set has no order, but the same one until it is written.
 */
export function copyElements(keys: ByteMap, address: number, from: number, count: number, out: Texts): void {
  const kind = keys.type(address)
  if (typeOfKind(kind) === ValueType.Set) copyMembers(keys, address, from, count, out)
  else if (kind === Kind.ListChunks) {
    listCursor.seek(listAt(keys, address), from)
    for (let i = 0; i < count; i++) {
      pushEntry(out, listCursor.bytes, listCursor.entry)
      listCursor.next()
    }
    listCursor.release()
  } else if (kind === Kind.ZsetTree) {
    scoreCursor.seek(zsetAt(keys, address).tree, from)
    for (let i = 0; i < count; i++) {
      out.push(scoreCursor.bytes, scoreCursor.start, scoreCursor.end)
      scoreCursor.next()
    }
    scoreCursor.release()
  } else copyPacked(keys, address, from, count, out, kind === Kind.ZsetPacked ? 2 : 1)
}

function copyMembers(keys: ByteMap, address: number, from: number, count: number, out: Texts): void {
  setCursor.open(keys, address)
  for (let i = 0; i < from; i++) setCursor.next()
  for (let i = 0; i < count; i++) {
    setCursor.next()
    out.push(setCursor.bytes, setCursor.start, setCursor.end)
  }
}

/** Of a listpack every `step`-th entry. */
function copyPacked(keys: ByteMap, address: number, from: number, count: number, out: Texts, step: number): void {
  keys.readValue(address)
  const b = keys.valueBytes
  const at = keys.valueStart
  let entry = from === 0 ? lpFirst(b, at) : lpSeek(b, at, from * step)
  for (let i = 0; i < count; i++) {
    pushEntry(out, b, entry)
    for (let j = 0; j < step; j++) entry = lpEntryEnd(b, entry)
  }
}

function pushEntry(out: Texts, b: Uint8Array, entry: number): void {
  readText(b, entry)
  out.push(textBytes, textStart, textEnd)
}

function listAt(keys: ByteMap, address: number): ListChunks {
  return keys.object(address) as unknown as ListChunks
}

function zsetAt(keys: ByteMap, address: number): ZsetTable {
  return keys.object(address) as ZsetTable
}
