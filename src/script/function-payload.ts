/**
 * What FUNCTION DUMP gives and FUNCTION RESTORE takes: the function records of an RDB file, version and checksum behind
 * them (see rdb/dump.ts). The version is the first that knows functions.
 */

import { FOOTER_BYTES, isDump } from "../rdb/dump.ts"
import { Opcode, RdbError, VERSION_7_0 } from "../rdb/format.ts"
import { RdbInput } from "../rdb/input.ts"
import { RdbWriter } from "../rdb/writer.ts"

const INITIAL_BYTES = 512

/** O(bytes of the sources). The caller owns the result. */
export function dumpLibraries(sources: Iterable<Uint8Array>, compress: boolean): Uint8Array {
  const writer = new RdbWriter({ compress, capacity: INITIAL_BYTES })
  for (const source of sources) {
    writer.byte(Opcode.Function2)
    writer.string(source, 0, source.length)
  }
  writer.byte(VERSION_7_0)
  writer.byte(0)
  writer.end()
  return writer.bytes.subarray(0, writer.length)
}

/** What is wrong with a payload. */
export class PayloadError extends Error {}

/** The sources in a payload, owned; throws a PayloadError where it is malformed. */
export function* librariesOf(
  payload: Uint8Array,
  start: number,
  end: number,
  verifyChecksum: boolean,
): Generator<Uint8Array, void> {
  if (!isDump(payload, start, end, verifyChecksum)) throw new PayloadError("DUMP payload version or checksum are wrong")
  const input = RdbInput.over(payload, start, end - FOOTER_BYTES)
  while (input.available > 0) {
    const type = input.byte()
    if (type === Opcode.FunctionPreGa) throw new PayloadError("Pre-GA function format not supported")
    if (type !== Opcode.Function2) throw new PayloadError("given type is not a function")
    yield readSource(input)
  }
}

function readSource(input: RdbInput): Uint8Array {
  try {
    // All there is is there: what is missing is an error.
    if (!input.text()) input.fail("the source ends early")
    if (input.isLong) for (const _ of input.gather());
    return input.bytes.slice(input.start, input.stop)
  } catch (error) {
    if (error instanceof RdbError) throw new PayloadError("Failed loading library payload")
    throw error
  }
}
