/** The timeouts of commands that wait. */

import { bitLength, parseDouble } from "../bytes/double.ts"
import { parseLongDouble } from "../bytes/long-double.ts"
import type { Call } from "../command/context.ts"
import { TIMEOUT_NEGATIVE, TIMEOUT_NOT_FLOAT, TIMEOUT_NOT_INTEGER } from "../command/errors.ts"

const INT64_LIMIT = 2 ** 63
const TIMEOUT_OUT_OF_RANGE = "ERR timeout is out of range"

/** Argument `i`, a timeout in seconds, as wall time in ms, 0 for none; undefined after having answered with an error. */
export function readDeadline(call: Call, i: number): number | undefined {
  const { args, reply } = call
  const seconds = parseDouble(args.bytes, args.starts[i]!, args.ends[i]!) ?? secondsBeyondDoubles(call, i)
  const ms = Math.ceil(seconds * 1000)
  if (Number.isNaN(ms)) reply.error(TIMEOUT_NOT_FLOAT)
  else if (ms < 0) reply.error(TIMEOUT_NEGATIVE)
  else if (ms + call.now >= INT64_LIMIT) reply.error(TIMEOUT_OUT_OF_RANGE)
  else return ms === 0 ? 0 : ms + call.now
  return undefined
}

/** Redis reads long doubles: 1e400 is a number to it, as is 1e-400. Here as the nearest that a double can be, never 0. */
function secondsBeyondDoubles({ args }: Call, i: number): number {
  const value = parseLongDouble(args.bytes, args.starts[i]!, args.ends[i]!)
  if (value === undefined || typeof value === "number") return Number.NaN
  const size = bitLength(value.mantissa) + value.exponent > 0 ? Number.POSITIVE_INFINITY : Number.MIN_VALUE
  return value.negative ? -size : size
}

/** As `readDeadline`, of a timeout in ms; NaN after having answered with an error. */
export function readDeadlineMs({ args, now, reply }: Call, i: number): number {
  const ms = args.int64(i)
  if (ms === undefined) reply.error(TIMEOUT_NOT_INTEGER)
  else if (ms < 0) reply.error(TIMEOUT_NEGATIVE)
  else if (BigInt(ms) + BigInt(now) >= 1n << 63n) reply.error(TIMEOUT_OUT_OF_RANGE)
  else return Number(ms) === 0 ? 0 : Number(ms) + now
  return Number.NaN
}
