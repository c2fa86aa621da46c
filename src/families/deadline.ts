/** The timeout of blocking commands. */

import { parseDouble } from "../bytes/double.ts"
import type { Call } from "../command/context.ts"
import { TIMEOUT_NEGATIVE, TIMEOUT_NOT_FLOAT } from "../command/errors.ts"

const INT64_LIMIT = 2 ** 63
const TIMEOUT_OUT_OF_RANGE = "ERR timeout is out of range"

/** Argument `i`, a timeout in seconds, as wall time in ms, 0 for none; undefined after having answered with an error. */
export function readDeadline(call: Call, i: number): number | undefined {
  const { args, reply } = call
  const seconds = parseDouble(args.bytes, args.starts[i]!, args.ends[i]!)
  const ms = seconds === undefined ? Number.NaN : Math.ceil(seconds * 1000)
  if (Number.isNaN(ms)) reply.error(TIMEOUT_NOT_FLOAT)
  else if (ms < 0) reply.error(TIMEOUT_NEGATIVE)
  else if (ms + call.now >= INT64_LIMIT) reply.error(TIMEOUT_OUT_OF_RANGE)
  else return ms === 0 ? 0 : ms + call.now
  return undefined
}
