/** What is asked of listpacks from elsewhere before anybody reads them, and walks over those that have been checked. */

import { copyBytes, latin1, uncleared } from "../bytes/compare.ts"
import { LpEntry, lpCopyValue, lpEntryEnd, lpFirst, lpLength, lpRead, lpValidate } from "../structs/listpack.ts"
import { readScore } from "./scores.ts"

const END = 0xff
/** Field expiries lie below, as in Redis. */
const EXPIRY_MAX = 0xffff_ffff_ffff - 2

const entry = new LpEntry()
const integerText = new Uint8Array(24)

/** Number of entries of the listpack bytes[start, end), -1 when it is none or they do not come in tuples of `step`. */
export function checkListpack(bytes: Uint8Array, start: number, end: number, step: number, deep: boolean): number {
  if (!lpValidate(bytes, start, end, true)) return -1
  const count = lpLength(bytes, start)
  if (count % step !== 0) return -1
  if (deep && step > 0 && hasTwins(bytes, start, step)) return -1
  return count
}

/** Whether the first entries of two tuples are the same text. */
export function hasTwins(bytes: Uint8Array, start: number, step: number): boolean {
  const seen = new Set<string>()
  for (let at = lpFirst(bytes, start); at !== -1 && bytes[at] !== END; ) {
    const text = textOf(bytes, at)
    if (seen.has(text)) return true
    seen.add(text)
    for (let i = 0; i < step; i++) at = lpEntryEnd(bytes, at)
  }
  return false
}

/** Whether every second entry is a score. */
export function areScores(bytes: Uint8Array, start: number): boolean {
  for (let at = lpFirst(bytes, start); at !== -1 && bytes[at] !== END; ) {
    const score = lpEntryEnd(bytes, at)
    if (Number.isNaN(readScore(bytes, score))) return false
    at = lpEntryEnd(bytes, score)
  }
  return true
}

/** Whether every third entry is an expiry, ascending, those that say 0 at the end. */
export function areExpiries(bytes: Uint8Array, start: number): boolean {
  let before = 0
  for (let at = lpFirst(bytes, start); at !== -1 && bytes[at] !== END; ) {
    const cell = lpEntryEnd(bytes, lpEntryEnd(bytes, at))
    lpRead(bytes, cell, entry)
    if (!entry.isInt || entry.big !== null || entry.int < 0 || entry.int > EXPIRY_MAX) return false
    const expiry = entry.int === 0 ? Number.POSITIVE_INFINITY : entry.int
    if (expiry < before) return false
    before = expiry
    at = entry.entryEnd
  }
  return true
}

/** Calls with the text of every entry, borrowed for the call. */
export function eachText(
  bytes: Uint8Array,
  at: number,
  visit: (bytes: Uint8Array, start: number, end: number) => void,
): void {
  for (let place = lpFirst(bytes, at); place !== -1 && bytes[place] !== END; ) {
    lpRead(bytes, place, entry)
    const { end, entryEnd, isInt, start } = entry
    if (isInt) visit(integerText, 0, lpCopyValue(bytes, place, integerText, 0))
    else visit(bytes, start, end)
    place = entryEnd
  }
}

/** Calls with the member and the score of every pair of a packed sorted set. */
export function eachPair(
  bytes: Uint8Array,
  at: number,
  visit: (bytes: Uint8Array, start: number, end: number, score: number) => void,
): void {
  for (let place = lpFirst(bytes, at); place !== -1 && bytes[place] !== END; ) {
    const score = lpEntryEnd(bytes, place)
    const value = readScore(bytes, score)
    lpRead(bytes, place, entry)
    const { end, isInt, start } = entry
    if (isInt) visit(integerText, 0, lpCopyValue(bytes, place, integerText, 0), value)
    else visit(bytes, start, end, value)
    place = lpEntryEnd(bytes, score)
  }
}

function textOf(bytes: Uint8Array, at: number): string {
  lpRead(bytes, at, entry)
  if (!entry.isInt) return latin1(bytes, entry.start, entry.end)
  return latin1(integerText, 0, lpCopyValue(bytes, at, integerText, 0))
}

/** A copy of a text, in a buffer that is used again. */
export class TextKeeper {
  bytes: Uint8Array = uncleared(64)
  length = 0
  readonly start = 0

  get stop(): number {
    return this.length
  }

  keep(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (length > this.bytes.length || this.bytes.length > 1024 * 1024) this.bytes = uncleared(Math.max(length, 64))
    copyBytes(bytes, start, end, this.bytes, 0)
    this.length = length
  }
}
