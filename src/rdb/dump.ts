/**
 * One value by itself: what DUMP gives and RESTORE takes.
 *
 *   type, value, fields of our own (extras.ts), version (2 bytes, little-endian), CRC-64 of all before (8 bytes)
 *
 * The version is the oldest that knows the type, so that a value travels as far back as it can.
 */

import { copyOf, latin1 } from "../bytes/compare.ts"
import { Crc64 } from "../bytes/crc64.ts"
import type { Database } from "../keyspace/db.ts"
import type { Keyspace } from "../keyspace/keyspace.ts"
import { ValueDecoder } from "./decode-value.ts"
import type { DecodedValue, ValueLimits } from "./decoded-value.ts"
import { ContainerView, container, packed, readRecord, typeOfPacked, versionOfType } from "./encode-value.ts"
import { applyExtra, EXTRA_PREFIX, writeExtras } from "./extras.ts"
import { isKnownVersion, Opcode, RdbError, typeOfByte } from "./format.ts"
import { RdbInput } from "./input.ts"
import { noteUse } from "./load.ts"
import { RdbWriter } from "./writer.ts"

const VERSION_BYTES = 2
export const FOOTER_BYTES = VERSION_BYTES + 8
const INITIAL_BYTES = 512

export { ValueLimits } from "./decoded-value.ts"

/** The payload of the record at `address`. In one go: O(size of the value). The caller owns it. */
export function dumpValue(db: Database, address: number, compress: boolean): Uint8Array {
  const { keys } = db
  const writer = new RdbWriter({ compress, capacity: INITIAL_BYTES })
  const kind = keys.type(address)
  const large = readRecord(keys, address)
  let type: number
  if (large !== undefined) {
    const view = new ContainerView(kind, large, false)
    type = view.type
    writer.byte(type)
    for (const _ of container(writer, view));
    for (const _ of writeExtras(writer, kind, large, false));
  } else {
    type = typeOfPacked(kind)
    writer.byte(type)
    packed(writer, kind, keys.valueBytes, keys.valueStart, keys.valueEnd)
  }
  writer.byte(versionOfType(type))
  writer.byte(0)
  writer.end()
  return writer.bytes.subarray(0, writer.length)
}

/** Whether version and checksum of the payload bytes[start, end) are right. */
export function isDump(bytes: Uint8Array, start: number, end: number, verifyChecksum: boolean): boolean {
  if (end - start < FOOTER_BYTES) return false
  if (!isKnownVersion(versionOf(bytes, end))) return false
  return !verifyChecksum || new Crc64().update(bytes, start, end - 8).matches(bytes, end - 8)
}

function versionOf(bytes: Uint8Array, end: number): number {
  const footer = end - FOOTER_BYTES
  return bytes[footer]! | (bytes[footer + 1]! << 8)
}

const scratch: { decoder: ValueDecoder | undefined } = { decoder: undefined }

/**
 * Reads the value of a payload that `isDump`. It is borrowed: to be stored at once. A text says why it is malformed. In one
 * go: O(size of the value).
 */
export function parseDump(
  keyspace: Keyspace,
  limits: ValueLimits,
  bytes: Uint8Array,
  start: number,
  end: number,
): DecodedValue | string {
  scratch.decoder ??= new ValueDecoder(keyspace, limits)
  const { decoder } = scratch
  decoder.aim(keyspace, limits)
  const input = RdbInput.over(bytes, start, end - FOOTER_BYTES)
  try {
    input.has(1)
    const type = typeOfByte(input.byte(), versionOf(bytes, end))
    // All bytes are there: pauses only.
    if (!decoder.quick(input, type)) for (const _ of decoder.slow(input, type));
    const { value } = decoder
    value.extras.length = 0
    if (input.available > 0) value.keep()
    while (input.available > 0) value.extras.push(readExtra(input))
    return value
  } catch (error) {
    if (error instanceof RdbError) return error.message
    throw error
  }
}

/** A field of our own, behind the value: its name, and a copy of what it says. */
function readExtra(input: RdbInput): [name: string, bytes: Uint8Array] {
  if (input.byte() !== Opcode.Aux) input.fail("something else behind the value")
  const name = latin1(wholeText(input))
  if (!name.startsWith(EXTRA_PREFIX)) input.fail("something else behind the value")
  return [name, wholeText(input)]
}

function wholeText(input: RdbInput): Uint8Array {
  input.text()
  if (input.isLong) for (const _ of input.gather());
  return copyOf(input.bytes, input.start, input.stop)
}

export interface RestoreOptions {
  /** Expiry in ms of Unix time, 0 for none. */
  expiry: number
  /** -1 when not said. */
  idleSeconds: number
  frequency: number
}

/** Stores a value just parsed under a key that is absent. Tells nobody. */
export function storeValue(
  db: Database,
  key: Uint8Array,
  start: number,
  end: number,
  value: DecodedValue,
  options: RestoreOptions,
): void {
  db.keys.find(key, start, end)
  const address = value.store(db, key, start, end, options.expiry)
  if (value.mayExpireInParts) db.keyspace.fieldExpiry.adopt(db, key, start, end, address)
  noteUse(db, address, options.idleSeconds, options.frequency)
  if (value.extras.length === 0) return
  const own = copyOf(key, start, end)
  for (const [name, bytes] of value.extras) applyExtra(name, bytes, 0, bytes.length, db, own, own.length)
}
