/**
 * Glob patterns as Redis matches them (KEYS, SCAN MATCH, PSUBSCRIBE, ACL key patterns, CONFIG GET).
 *
 *   *        any run of bytes, the empty one too
 *   ?        one byte
 *   [abc]    one byte of the class; [a-z] a range, [^…] the complement, \ takes the next byte literally
 *   \x       x itself
 *
 * The quirks are Redis's and are kept, because users' patterns rely on them:
 *  1. The empty subject matches the empty pattern only, so "*" does not match it.
 *  2. "[" may lack its "]": the class then runs to the end of the pattern. A trailing "\" stands for itself.
 *  3. "]" ends a class even as its first byte: "[]" matches nothing, "[^]" everything. "-" after any byte makes a
 *     range if one more byte follows, so in "[a-]" the range runs from a to "]".
 *  4. The ends of a range may come in either order, and bytes are ordered as signed chars: 0x80-0xff before 0x00.
 *  5. An escaped byte in a class keeps its case even when case is ignored.
 * Not followed: ranges that end at 0x80-0xff while case is ignored, where Redis's answer depends on the C library.
 *
 * Every element but the star takes exactly one byte, so only the latest star is ever worth widening: the matcher
 * remembers that one place and needs neither recursion nor a stack. Time is O(pattern × subject) at worst.
 */

import { asciiLower } from "./compare.ts"

const STAR = 0x2a
const QUESTION = 0x3f
const OPEN = 0x5b
const CLOSE = 0x5d
const CARET = 0x5e
const BACKSLASH = 0x5c
const DASH = 0x2d

/** Whether pattern[pStart, pEnd) matches the whole of bytes[start, end). Allocates nothing. */
export function globMatch(
  pattern: Uint8Array,
  pStart: number,
  pEnd: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  nocase = false,
): boolean {
  if (start >= end) return pStart >= pEnd
  let p = pStart
  let at = start
  let afterStar = -1
  let starAt = 0
  while (at < end) {
    if (p < pEnd && pattern[p] === STAR) {
      do p++
      while (p < pEnd && pattern[p] === STAR)
      if (p === pEnd) return true
      afterStar = p
      starAt = at
    }
    const next = p < pEnd ? matchOne(pattern, p, pEnd, bytes[at]!, nocase) : -1
    if (next >= 0) {
      p = next
      at++
    } else {
      if (afterStar < 0) return false
      p = afterStar
      at = ++starAt
    }
  }
  while (p < pEnd && pattern[p] === STAR) p++
  return p === pEnd
}

/** Matches one byte against the element at p, which is no star. Returns the offset after the element, or -1. */
function matchOne(pattern: Uint8Array, p: number, pEnd: number, byte: number, nocase: boolean): number {
  let wanted = pattern[p]!
  if (wanted === QUESTION) return p + 1
  if (wanted === OPEN) return matchClass(pattern, p + 1, pEnd, byte, nocase)
  if (wanted === BACKSLASH && p + 1 < pEnd) wanted = pattern[++p]!
  if (wanted === byte || (nocase && asciiLower(wanted) === asciiLower(byte))) return p + 1
  return -1
}

/** Matches one byte against the class whose content starts at p. Returns the offset after the class, or -1. */
function matchClass(pattern: Uint8Array, p: number, pEnd: number, byte: number, nocase: boolean): number {
  const folded = nocase ? asciiLower(byte) : byte
  const negated = p < pEnd && pattern[p] === CARET
  if (negated) p++
  let found = false
  while (p < pEnd) {
    const wanted = pattern[p]!
    if (wanted === BACKSLASH && p + 1 < pEnd) {
      if (pattern[p + 1] === byte) found = true
      p += 2
    } else if (wanted === CLOSE) {
      p++
      break
    } else if (p + 2 < pEnd && pattern[p + 1] === DASH) {
      if (inRange(wanted, pattern[p + 2]!, folded, nocase)) found = true
      p += 3
    } else {
      if ((nocase ? asciiLower(wanted) : wanted) === folded) found = true
      p++
    }
  }
  return found !== negated ? p : -1
}

function inRange(from: number, to: number, folded: number, nocase: boolean): boolean {
  let low = (from << 24) >> 24
  let high = (to << 24) >> 24
  if (low > high) {
    const swapped = low
    low = high
    high = swapped
  }
  if (nocase) {
    low = asciiLower(low)
    high = asciiLower(high)
  }
  const value = (folded << 24) >> 24
  return value >= low && value <= high
}
