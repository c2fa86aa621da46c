/**
 * Small hashes as listpacks: reading entries into replies, and the tuples of both packed forms.
 *
 *   Kind.HashPacked           field, value, field, value …                       in order of insertion
 *   Kind.HashPackedExpiring   field, value, expiry, field, value, expiry …       ascending by expiry (ms of Unix time),
 *                             those without one (expiry 0) at the end
 *
 * The number of entries per field, 2 or 3, is called `step`. All offsets are absolute in `b`, as listpack.ts has them.
 */

import { integerLength, writeInteger } from "../bytes/int64.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { LP_EMPTY_BYTES, LpEntry, lpBytes, lpCopyValue, lpEntryEnd, lpLength, lpRead } from "../structs/listpack.ts"

const END = 0xff
const CR = 13
const LF = 10
const BULK = 36
/** A bulk's frame, or an integer entry's text with its frame, is never longer than the entry by more than this. */
const BULK_EXTRA_BYTES = 32

/** Text of integer entries; borrowed until the next call of a function here. */
export const integerText = new Uint8Array(24)
const entryScratch = new LpEntry()

/** Where `readText` found the text; borrowed. */
export let textBytes: Uint8Array = integerText
export let textStart = 0
export let textEnd = 0

/** Places an entry's text into textBytes, textStart, textEnd: in `b` itself, or in a scratch when it is an integer. */
export function readText(b: Uint8Array, entry: number): void {
  lpRead(b, entry, entryScratch)
  if (entryScratch.isInt) {
    textBytes = integerText
    textStart = 0
    textEnd = lpCopyValue(b, entry, integerText, 0)
    return
  }
  textBytes = b
  textStart = entryScratch.start
  textEnd = entryScratch.end
}

/** The integer an entry holds: exact when safe; undefined for a string and for integers beyond. */
export function readSafeInteger(b: Uint8Array, entry: number): number | undefined {
  const head = b[entry]!
  if (head < 0x80) return head
  lpRead(b, entry, entryScratch)
  return entryScratch.isInt && entryScratch.big === null ? entryScratch.int : undefined
}

/** Expiry of the triplet whose field entry is `field`, 0 for none. */
export function tripletExpiry(b: Uint8Array, field: number): number {
  return readSafeInteger(b, lpEntryEnd(b, lpEntryEnd(b, field))) ?? 0
}

/** The tuple behind the one whose field entry is `field` (or the end byte). */
export function tupleEnd(b: Uint8Array, field: number, step: number): number {
  const value = lpEntryEnd(b, field)
  const next = lpEntryEnd(b, value)
  return step === 2 ? next : lpEntryEnd(b, next)
}

/** Appends an entry to a reply, as a bulk. */
export function bulkOfEntry(reply: ReplyWriter, b: Uint8Array, entry: number): void {
  const head = b[entry]!
  if (head >= 0x80 && head < 0xc0) {
    reply.bulk(b, entry + 1, entry + 1 + (head & 63))
    return
  }
  readText(b, entry)
  reply.bulk(textBytes, textStart, textEnd)
}

/**
 * Appends fields, values or both of a whole packed hash to a reply, in order. Triplets that expire before `liveFrom`
 * are passed over. Returns how many fields were written.
 */
export function bulksOfPacked(
  reply: ReplyWriter,
  b: Uint8Array,
  at: number,
  step: number,
  withFields: boolean,
  withValues: boolean,
  liveFrom: number,
): number {
  reply.ensure(lpBytes(b, at) + lpLength(b, at) * BULK_EXTRA_BYTES)
  let written = 0
  let entry = at + LP_EMPTY_BYTES - 1
  while (b[entry]! !== END) {
    const value = lpEntryEnd(b, entry)
    const behind = lpEntryEnd(b, value)
    if (step === 3) {
      const expiry = readSafeInteger(b, behind) ?? 0
      if (expiry !== 0 && expiry < liveFrom) {
        entry = lpEntryEnd(b, behind)
        continue
      }
    }
    if (withFields) bulkReserved(reply, b, entry)
    if (withValues) bulkReserved(reply, b, value)
    written++
    entry = step === 3 ? lpEntryEnd(b, behind) : behind
  }
  return written
}

/** `bulkOfEntry` into room that has been reserved. Written out by hand: this is what HGETALL spends its time on. */
function bulkReserved(reply: ReplyWriter, b: Uint8Array, entry: number): void {
  const out = reply.bytes
  let at = reply.at
  const head = b[entry]!
  if (head >= 0xc0) {
    bulkOfEntry(reply, b, entry)
    return
  }
  out[at] = BULK
  if (head < 0x80) {
    const digits = integerLength(head)
    out[at + 1] = 48 + digits
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
    for (let i = 1; i <= length; i++) out[at++] = b[entry + i]!
  }
  out[at] = CR
  out[at + 1] = LF
  reply.at = at + 2
}
