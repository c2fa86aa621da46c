/** Scores of sorted sets as text: within packed sets, and in the oldest form of RDB files. */

import { DOUBLE_TEXT_BYTES_MAX, parseDouble, writeDouble } from "../bytes/double.ts"
import { LpEntry, lpRead } from "../structs/listpack.ts"

export const scoreText = new Uint8Array(DOUBLE_TEXT_BYTES_MAX)
const entry = new LpEntry()

/** Writes a score into scoreText; returns its length. */
export function writeScore(score: number): number {
  return writeDouble(scoreText, 0, score)
}

/** Score in the score entry of a packed set, NaN when it is none. */
export function readScore(bytes: Uint8Array, at: number): number {
  lpRead(bytes, at, entry)
  return entry.isInt ? entry.int : (parseDouble(bytes, entry.start, entry.end) ?? Number.NaN)
}

/** Score in decimal, NaN when it is none. */
export function parseScore(bytes: Uint8Array, start: number, end: number): number {
  return parseDouble(bytes, start, end) ?? Number.NaN
}
