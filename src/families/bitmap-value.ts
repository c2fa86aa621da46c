/** What the bit commands share: bit offsets, and strings that reach far enough. */

import { parseInt64 } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { Kind } from "../keyspace/kinds.ts"
import { growString, putString } from "./string-value.ts"

const BAD_OFFSET = "ERR bit offset is not an integer or out of range"
const HASH_SIGN = 0x23
/** Strings are shorter than this whatever proto-max-bulk-len says. */
const STRING_BYTES_MAX = 2 ** 31 - 1

/**
 * Argument `i` as a bit offset; NaN after having answered with an error. With `bits`, the width of a field, "#3" means the
 * third field.
 */
export function bitOffset(call: Call, i: number, bits: number): number {
  const { args } = call
  const start = args.start(i)
  const isMultiple = bits > 0 && start < args.end(i) && args.bytes[start] === HASH_SIGN
  const given = parseInt64(args.bytes, start + (isMultiple ? 1 : 0), args.end(i))
  if (typeof given === "number") {
    const offset = isMultiple ? given * bits : given
    const bytesMax = Math.min(call.config.get("proto-max-bulk-len"), STRING_BYTES_MAX)
    if (offset >= 0 && offset < bytesMax * 8) return offset
  }
  call.reply.error(BAD_OFFSET)
  return Number.NaN
}

/**
 * Makes the string under argument 1 (its record, 0: missing) reach bit `last`, writable in place: keys.valueBytes and
 * valueStart are ready. Returns whether it was created or grew.
 */
export function growBits(call: Call, address: number, last: number): boolean {
  const { args, db } = call
  const { keys } = db
  const length = Math.floor(last / 8) + 1
  if (address === 0) {
    putString(db, args.bytes, args.start(1), args.end(1), Kind.StringRaw, length, 0)
    keys.valueBytes.fill(0, keys.valueStart, keys.valueEnd)
    return true
  }
  keys.readValue(address)
  const before = keys.valueEnd - keys.valueStart
  const own = growString(keys, address, length)
  keys.setType(own, Kind.StringRaw)
  return before < length
}
