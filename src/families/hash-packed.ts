/**
 * Small hashes as listpacks: the tuples of both packed forms, and reading them into replies.
 *
 *   Kind.HashPacked           field, value, field, value …                       in order of insertion
 *   Kind.HashPackedExpiring   field, value, expiry, field, value, expiry …       ascending by expiry (ms of Unix time),
 *                             those without one (expiry 0) at the end
 *
 * The number of entries per field, 2 or 3, is called `step`. All offsets are absolute in `b`, as listpack.ts has them.
 */

import type { ReplyWriter } from "../resp/reply-writer.ts"
import { LP_EMPTY_BYTES, lpBytes, lpEntryEnd, lpLength } from "../structs/listpack.ts"
import { BULK_EXTRA_BYTES, bulkReserved, readSafeInteger } from "./packed-entries.ts"

const END = 0xff

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
