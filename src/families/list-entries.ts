/**
 * Entries of listpacks as text, and into replies. A list in either form is made of such entries.
 */
import { copyBytes } from "../bytes/compare.ts"
import { integerLength, writeInteger } from "../bytes/int64.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { LpEntry, lpCopyValue, lpEntryEnd, lpRead } from "../structs/listpack.ts"

const CR = 13
const LF = 10
const BULK = 36
/** A bulk is never longer than its entry by more than this. */
const BULK_EXTRA_BYTES = 32

const entryScratch = new LpEntry()
const integerText = new Uint8Array(24)

/** Where `readEntry` found the text, borrowed until its next call. */
export let entryBytes: Uint8Array = integerText
export let entryStart = 0
export let entryEnd = 0

/** Finds an entry's text: in `b` itself, or in a scratch when it is an integer. */
export function readEntry(b: Uint8Array, entry: number): void {
  lpRead(b, entry, entryScratch)
  if (entryScratch.isInt) {
    entryBytes = integerText
    entryStart = 0
    entryEnd = lpCopyValue(b, entry, integerText, 0)
    return
  }
  entryBytes = b
  entryStart = entryScratch.start
  entryEnd = entryScratch.end
}

/** Appends an entry to a reply, as a bulk. */
export function bulkOfEntry(reply: ReplyWriter, b: Uint8Array, entry: number): void {
  const head = b[entry]!
  if (head >= 0x80 && head < 0xc0) {
    reply.bulk(b, entry + 1, entry + 1 + (head & 63))
    return
  }
  readEntry(b, entry)
  reply.bulk(entryBytes, entryStart, entryEnd)
}

/**
 * Appends `count` entries to a reply, as bulks, beginning with `entry`; `limit` is an offset they end before. Written out
 * by hand for small ones: this is what LRANGE spends its time on (bench: LRANGE_100).
 */
export function bulksOfEntries(reply: ReplyWriter, b: Uint8Array, entry: number, limit: number, count: number): void {
  reply.ensure(limit - entry + count * BULK_EXTRA_BYTES)
  for (let left = count; left > 0; left--) {
    const head = b[entry]!
    if (head >= 0xc0) {
      bulkOfEntry(reply, b, entry)
      entry = lpEntryEnd(b, entry)
      continue
    }
    const out = reply.bytes
    let at = reply.at
    out[at] = BULK
    if (head < 0x80) {
      out[at + 1] = 48 + integerLength(head)
      out[at + 2] = CR
      out[at + 3] = LF
      at = writeInteger(out, at + 4, head)
      entry += 2
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
      if (length > 24) {
        copyBytes(b, entry + 1, entry + 1 + length, out, at)
        at += length
      } else for (let i = 1; i <= length; i++) out[at++] = b[entry + i]!
      entry += 2 + length
    }
    out[at] = CR
    out[at + 1] = LF
    reply.at = at + 2
  }
}
