/**
 * Long strings and comments in which "[[" occurs: `--[[ KEYS[[1]] ]]`. Lua 5.1 can be compiled to refuse that, and our
 * interpreter is; Redis's is not. Where it was refused, such brackets are written on a higher level, which means the same:
 *
 *     --[[ a [[b ]]      ──▶   --[=[ a [[b ]=]
 *
 * Lines stay as they are, so that errors name the same ones.
 */

/** What the interpreter says then. */
export const NESTING_REFUSED = "nesting of [[...]] is deprecated"

const LF = 10
const CR = 13
const DASH = 0x2d
const EQUALS = 0x3d
const OPEN = 0x5b
const BACKSLASH = 0x5c
const CLOSE = 0x5d
const DOUBLE_QUOTE = 0x22
const SINGLE_QUOTE = 0x27

/** The source with brackets that the interpreter takes. O(bytes) for each such string or comment. */
export function raiseLongBrackets(source: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  let kept = 0
  let at = 0
  while (at < source.length) {
    const byte = source[at]!
    if (byte === DOUBLE_QUOTE || byte === SINGLE_QUOTE) at = quotedEnd(source, at)
    else if (byte === DASH && source[at + 1] === DASH && longLevel(source, at + 2) < 0) at = lineEnd(source, at)
    else if (byte === OPEN && longLevel(source, at) >= 0) {
      const level = longLevel(source, at)
      const contentAt = at + level + 2
      const contentEnd = closing(source, contentAt, level)
      const end = Math.min(source.length, contentEnd + level + 2)
      if (level === 0 && hasOpening(source, contentAt, contentEnd)) {
        const raised = freeLevel(source, contentAt, contentEnd)
        const isOpen = contentEnd === source.length
        parts.push(source.subarray(kept, at), bracket(OPEN, raised), source.subarray(contentAt, contentEnd))
        if (!isOpen) parts.push(bracket(CLOSE, raised))
        kept = end
      }
      at = end
    } else at++
  }
  parts.push(source.subarray(kept))
  return Buffer.concat(parts)
}

function quotedEnd(source: Uint8Array, start: number): number {
  const quote = source[start]!
  let at = start + 1
  while (at < source.length && source[at] !== quote && source[at] !== LF && source[at] !== CR) {
    at += source[at] === BACKSLASH ? 2 : 1
  }
  return at + 1
}

function lineEnd(source: Uint8Array, start: number): number {
  let at = start
  while (at < source.length && source[at] !== LF && source[at] !== CR) at++
  return at
}

/** The level of the long bracket that opens here: how many "=" are in it; -1 when none opens. */
function longLevel(source: Uint8Array, start: number): number {
  if (source[start] !== OPEN) return -1
  let at = start + 1
  while (source[at] === EQUALS) at++
  return source[at] === OPEN ? at - start - 1 : -1
}

/** Where the bracket closes; the end of the source when it does not. */
function closing(source: Uint8Array, start: number, level: number): number {
  const at = Buffer.from(source.buffer, source.byteOffset, source.length).indexOf(bracket(CLOSE, level), start)
  return at < 0 ? source.length : at
}

function hasOpening(source: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at + 1 < end; at++) if (source[at] === OPEN && source[at + 1] === OPEN) return true
  return false
}

/** The lowest level from 1 that does not close within this stretch, nor with the bracket right behind it. */
function freeLevel(source: Uint8Array, start: number, end: number): number {
  const taken = new Set<number>()
  // How many "=" there have been since a "]"; -1 when something else came.
  let equals = -1
  for (let at = start; at <= end; at++) {
    const byte = at === end ? CLOSE : source[at]!
    if (byte === CLOSE) {
      taken.add(equals)
      equals = 0
    } else if (byte === EQUALS && equals >= 0) equals++
    else equals = -1
  }
  let level = 1
  while (taken.has(level)) level++
  return level
}

function bracket(end: number, level: number): Uint8Array {
  const bytes = new Uint8Array(level + 2).fill(EQUALS)
  bytes[0] = bytes[level + 1] = end
  return bytes
}
