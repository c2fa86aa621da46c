/**
 * Adding members with their scores to the sorted set of a command: what ZADD, ZINCRBY and GEOADD have in common. They read
 * the scores, each in its way, into `pairScores`; the members are taken from the arguments.
 */

import type { Call } from "../command/context.ts"
import { Notify } from "../keyspace/events.ts"
import { LP_EMPTY_BYTES, lpEntrySize } from "../structs/listpack.ts"
import { replyScore } from "./zset-score.ts"
import { packedScoreSize, zset } from "./zset-value.ts"

const NOT_A_NUMBER = "ERR resulting score is not a number (NaN)"

/** Options of ZADD, as bits. */
export const Option = { Nx: 1, Xx: 2, Gt: 4, Lt: 8, Changed: 16, Increment: 32 } as const

/** What became of one pair. */
const Outcome = { Nothing: 0, Added: 1, Updated: 2, Kept: 3, NotANumber: 4 } as const
type Outcome = (typeof Outcome)[keyof typeof Outcome]

/** Scores of the running command, without NaN and -0. */
export let pairScores = new Float64Array(64)
/** The score after `addPair`. */
let resulting = 0
/** Members of the running command that lost their expiry: each counts as a change. */
let cleared = 0

/** Makes room in `pairScores`. */
export function reserveScores(pairs: number): void {
  if (pairs > pairScores.length) pairScores = new Float64Array(pairs * 2)
}

/**
 * Adds `pairs` members to the set under argument 1, those in arguments `first`, `first + stride` …; replies and tells of it.
 * Returns how many were added or have another score now.
 */
export function addMembers(call: Call, first: number, stride: number, pairs: number, options: number): number {
  const { args, reply } = call
  if (!zset.write(call)) return 0
  let added = 0
  let updated = 0
  cleared = 0
  let last: Outcome = Outcome.Nothing
  if (zset.exists || (options & Option.Xx) === 0) {
    makeRoom(call, first, stride, pairs)
    const { bytes, starts, ends } = args
    for (let i = 0; i < pairs; i++) {
      const member = first + i * stride
      last = addPair(bytes, starts[member]!, ends[member]!, pairScores[i]!, options)
      if (last === Outcome.Added) added++
      else if (last === Outcome.Updated) updated++
    }
    zset.settle()
  }
  if (last === Outcome.NotANumber) {
    reply.error(NOT_A_NUMBER)
    return 0
  }
  const increments = (options & Option.Increment) !== 0
  if (!increments) reply.integer((options & Option.Changed) !== 0 ? added + updated : added)
  else if (last === Outcome.Nothing) reply.null()
  else replyScore(reply, resulting)
  const changes = added + updated
  if (changes + cleared > 0) {
    call.changed(1, Notify.Zset, increments ? "zincr" : "zadd")
    call.keyspace.events.dirty += Math.max(changes, 1) - 1
  }
  return changes
}

/** Makes the set if there is none, and a table of it if the pairs are too many for a packed set. */
function makeRoom(call: Call, first: number, stride: number, pairs: number): void {
  const { values } = call.config
  const many = pairs > values.zsetMaxListpackEntries
  if (zset.exists) {
    if (many) zset.toTable()
    return
  }
  const { bytes, starts, ends } = call.args
  if (many || ends[first]! - starts[first]! > values.zsetMaxListpackValue) {
    zset.create(0, true)
    return
  }
  let size = LP_EMPTY_BYTES
  for (let i = 0; i < pairs; i++) {
    const member = first + i * stride
    const length = ends[member]! - starts[member]!
    if (length > values.zsetMaxListpackValue) break
    size += lpEntrySize(bytes, starts[member]!, ends[member]!) + packedScoreSize(pairScores[i]!)
  }
  zset.create(size, false)
}

function addPair(bytes: Uint8Array, start: number, end: number, score: number, options: number): Outcome {
  if (!zset.find(bytes, start, end)) {
    if ((options & Option.Xx) !== 0) return Outcome.Nothing
    zset.add(bytes, start, end, score)
    resulting = score
    return Outcome.Added
  }
  if ((options & Option.Nx) !== 0) return Outcome.Nothing
  const from = zset.score
  let to = score
  if ((options & Option.Increment) !== 0) {
    to = from + score + 0
    if (Number.isNaN(to)) return Outcome.NotANumber
  }
  if (((options & Option.Lt) !== 0 && to >= from) || ((options & Option.Gt) !== 0 && to <= from)) {
    return Outcome.Nothing
  }
  resulting = to
  if ((options & Option.Increment) === 0 && zset.clearExpiry(bytes, start, end)) cleared++
  if (to === from) return Outcome.Kept
  zset.change(bytes, start, end, to)
  return Outcome.Updated
}
