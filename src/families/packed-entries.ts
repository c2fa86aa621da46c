/**
 * Entries of listpacks as text, and into replies. Small hashes, lists, sets and sorted sets, and the chunks of lists, are
 * made of such entries.
 */
import { copyBytes } from "../bytes/compare.ts"
import { integerLength, writeInteger } from "../bytes/int64.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { LpEntry, lpCopyValue, lpEntryEnd, lpRead } from "../structs/listpack.ts"

const CR = 13
const LF = 10
const BULK = 36
/** A bulk is never longer than its entry by more than this, the text of an integer included. */
export const BULK_EXTRA_BYTES = 32
/** Above it, copying is left to a function. */
const LOOPED_BYTES_MAX = 16

const scratch = new LpEntry()
/** Text of integer entries; borrowed until the next call of a function here. */
export const integerText = new Uint8Array(24)

/** Where `readText` found the text, borrowed until its next call. */
export let textBytes: Uint8Array = integerText
export let textStart = 0
export let textEnd = 0

/** Finds an entry's text: in `b` itself, or in a scratch when it is an integer. */
export function readText(b: Uint8Array, entry: number): void {
  const head = b[entry]!
  if (head >= 0x80 && head < 0xc0) {
    textBytes = b
    textStart = entry + 1
    textEnd = entry + 1 + (head & 63)
    return
  }
  lpRead(b, entry, scratch)
  if (!scratch.isInt) {
    textBytes = b
    textStart = scratch.start
    textEnd = scratch.end
    return
  }
  textBytes = integerText
  textStart = 0
  textEnd = scratch.big === null ? writeInteger(integerText, 0, scratch.int) : lpCopyValue(b, entry, integerText, 0)
}

/** The integer an entry holds: exact when safe; undefined for a string and for integers beyond. */
export function readSafeInteger(b: Uint8Array, entry: number): number | undefined {
  const head = b[entry]!
  if (head < 0x80) return head
  if (head < 0xc0) return undefined
  lpRead(b, entry, scratch)
  return scratch.isInt && scratch.big === null ? scratch.int : undefined
}

/** Appends an entry to a reply, as a bulk. */
export function bulkOfEntry(reply: ReplyWriter, b: Uint8Array, entry: number): void {
  readText(b, entry)
  reply.bulk(textBytes, textStart, textEnd)
}

/**
 * Appends `count` entries to a reply, as bulks, beginning with `entry`; `limit` is an offset they end before.
 */
export function bulksOfEntries(reply: ReplyWriter, b: Uint8Array, entry: number, limit: number, count: number): void {
  reply.ensure(limit - entry + count * BULK_EXTRA_BYTES)
  for (let left = count; left > 0; left--) {
    bulkReserved(reply, b, entry)
    entry = lpEntryEnd(b, entry)
  }
}

/**
 * `bulkOfEntry` into room that has been reserved. Small entries are written out by hand: this is what LRANGE and HGETALL
 * spend their time on.
 */
export function bulkReserved(reply: ReplyWriter, b: Uint8Array, entry: number): void {
  const head = b[entry]!
  if (head >= 0xc0) {
    bulkOfEntry(reply, b, entry)
    return
  }
  const out = reply.bytes
  let at = reply.at
  out[at] = BULK
  if (head < 0x80) {
    out[at + 1] = 48 + integerLength(head)
    out[at + 2] = CR
    out[at + 3] = LF
    at = writeInteger(out, at + 4, head)
  } else {
    const length = head & 63
    if (length < 10) {
      out[at + 1] = 48 + length
      at += 2
    } else {
      const tens = (length * 205) >>> 11
      out[at + 1] = 48 + tens
      out[at + 2] = 48 + length - tens * 10
      at += 3
    }
    out[at] = CR
    out[at + 1] = LF
    at += 2
    if (length > LOOPED_BYTES_MAX) {
      copyBytes(b, entry + 1, entry + 1 + length, out, at)
      at += length
    } else for (let i = 1; i <= length; i++) out[at++] = b[entry + i]!
  }
  out[at] = CR
  out[at + 1] = LF
  reply.at = at + 2
}
