/**
 * LCS: the longest common subsequence of two strings, by the textbook table of the lengths for all pairs of prefixes.
 *
 * Only two rows of lengths are needed to fill the table, but the way back needs to know at every cell whether it came from
 * above or from the left. One bit per cell says so, which makes the table 32 times smaller than one of lengths; the bound
 * on its size stays the one of a table of 32-bit lengths, so that the same strings are refused.
 */

import type { Call } from "../command/context.ts"
import { NOT_INTEGER, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Kind } from "../keyspace/kinds.ts"

const LENGTH_BYTES = 4

export const stringLcsCommands: readonly CommandSpec[] = [
  {
    name: "lcs",
    since: "7.0.0",
    group: "string",
    arity: -3,
    flags: "readonly",
    keys: "RO access @1..+1",
    syntax: "key1:key key2:key [LEN] [IDX] [MINMATCHLEN min-match-len:integer] [WITHMATCHLEN]",
    summary: "Finds the longest common subsequence of two strings.",
    complexity: "O(N*M), N and M bytes long",
    run: lcs,
  },
]

interface LcsOptions {
  wantsLength: boolean
  wantsMatches: boolean
  matchLengthMin: number
  withMatchLength: boolean
}

function lcs(call: Call): void {
  const { reply } = call
  const a = stringUnder(call, 1)
  const b = stringUnder(call, 2)
  if (a === undefined || b === undefined) {
    reply.error("ERR The specified keys must contain string values")
    return
  }
  const options = parseOptions(call)
  if (options === undefined) return
  if (LENGTH_BYTES * (a.length + 1) * (b.length + 1) > call.config.get("proto-max-bulk-len")) {
    reply.error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
    return
  }
  const table = new LcsTable(a, b)
  if (options.wantsMatches) replyMatches(call, table, options)
  else if (options.wantsLength) reply.integer(table.length)
  else {
    const common = table.subsequence()
    reply.bulk(common, 0, common.length)
  }
}

/** A copy of the string under argument `i`, empty when missing, undefined when it is none. */
function stringUnder(call: Call, i: number): Uint8Array | undefined {
  const { keys } = call.db
  const address = call.read(i)
  if (address === 0) return new Uint8Array(0)
  if (keys.type(address) > Kind.StringRaw) return undefined
  keys.readValue(address)
  return keys.valueBytes.slice(keys.valueStart, keys.valueEnd)
}

function parseOptions(call: Call): LcsOptions | undefined {
  const { args, reply } = call
  const options: LcsOptions = { wantsLength: false, wantsMatches: false, matchLengthMin: 0, withMatchLength: false }
  for (let i = 3; i < args.count; i++) {
    if (args.is(i, "idx")) options.wantsMatches = true
    else if (args.is(i, "len")) options.wantsLength = true
    else if (args.is(i, "withmatchlen")) options.withMatchLength = true
    else if (args.is(i, "minmatchlen") && i + 1 < args.count) {
      const least = call.integer(++i, NOT_INTEGER)
      if (Number.isNaN(least)) return undefined
      options.matchLengthMin = Math.max(0, least)
    } else {
      reply.error(SYNTAX)
      return undefined
    }
  }
  if (options.wantsLength && options.wantsMatches) {
    reply.error("ERR If you want both the length and indexes, please just use IDX.")
    return undefined
  }
  return options
}

/** Replies the matching ranges from the last to the first, as the way back meets them. */
function replyMatches(call: Call, table: LcsTable, options: LcsOptions): void {
  const { reply } = call
  reply.map(2)
  reply.bulkText("matches")
  const mark = reply.begin()
  let matches = 0
  table.eachMatch((aFirst, bFirst, length) => {
    if (length < options.matchLengthMin) return
    reply.array(options.withMatchLength ? 3 : 2)
    reply.array(2)
    reply.integer(aFirst)
    reply.integer(aFirst + length - 1)
    reply.array(2)
    reply.integer(bFirst)
    reply.integer(bFirst + length - 1)
    if (options.withMatchLength) reply.integer(length)
    matches++
  })
  reply.endArray(mark, matches)
  reply.bulkText("len")
  reply.integer(table.length)
}

class LcsTable {
  readonly length: number
  private readonly a: Uint8Array
  private readonly b: Uint8Array
  /** One bit per pair of positions, a row per byte of `a`: the prefix lost its last byte of `a`, not of `b`. */
  private readonly dropsA: Uint8Array

  constructor(a: Uint8Array, b: Uint8Array) {
    this.a = a
    this.b = b
    this.dropsA = new Uint8Array(Math.ceil((a.length * b.length) / 8))
    this.length = this.fill()
  }

  private fill(): number {
    const { a, b, dropsA } = this
    const width = b.length
    let above = new Uint32Array(width + 1)
    let row = new Uint32Array(width + 1)
    let bit = 0
    for (let i = 0; i < a.length; i++) {
      const byte = a[i]!
      for (let j = 0; j < width; j++, bit++) {
        if (byte === b[j]!) {
          row[j + 1] = above[j]! + 1
          continue
        }
        const withoutA = above[j + 1]!
        const withoutB = row[j]!
        if (withoutA > withoutB) {
          row[j + 1] = withoutA
          const at = Math.floor(bit / 8)
          dropsA[at] = dropsA[at]! | (1 << (bit % 8))
        } else row[j + 1] = withoutB
      }
      const swapped = above
      above = row
      row = swapped
    }
    return above[width]!
  }

  /** Calls `found` for every run of common bytes, from the last to the first. */
  eachMatch(found: (aFirst: number, bFirst: number, length: number) => void): void {
    const { a, b, dropsA } = this
    let i = a.length
    let j = b.length
    while (i > 0 && j > 0) {
      let run = 0
      while (i > 0 && j > 0 && a[i - 1] === b[j - 1]) {
        i--
        j--
        run++
      }
      if (run > 0) found(i, j, run)
      if (i === 0 || j === 0) return
      const bit = (i - 1) * b.length + (j - 1)
      if ((dropsA[Math.floor(bit / 8)]! & (1 << (bit % 8))) !== 0) i--
      else j--
    }
  }

  subsequence(): Uint8Array {
    const common = new Uint8Array(this.length)
    let at = this.length
    this.eachMatch((aFirst, _bFirst, length) => {
      at -= length
      common.set(this.a.subarray(aFirst, aFirst + length), at)
    })
    return common
  }
}
