/**
 * What the string commands share: choosing a string's kind, storing one under a key whatever the key held before, growing
 * one in place.
 *
 * The kind follows a value's history, as OBJECT ENCODING shows it: a value that is set is classified by its text, one that
 * was edited (APPEND, SETRANGE, SETBIT …) is raw.
 */

import { copyBytes } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { STRING_TOO_LONG } from "../command/errors.ts"
import type { Database } from "../keyspace/db.ts"
import { Notify } from "../keyspace/events.ts"
import { Kind, kindOfText } from "../keyspace/kinds.ts"
import type { Arguments } from "../resp/arguments.ts"
import { Blob, type ByteMap } from "../structs/byte-map.ts"

/** proto-max-bulk-len cannot be set lower, so shorter strings need no look at it. */
const BULK_BYTES_SAFE = 1024 * 1024
/** Whatever proto-max-bulk-len says: offsets of arguments are 32-bit integers. */
const STRING_BYTES_MAX = 2 ** 31 - 1

/**
 * Makes room for a string under a key, replacing whatever was there, and leaves keys.valueBytes and keys.valueStart for the
 * caller to fill. `expiry` (ms) 0 means none. Returns the record's address.
 */
export function putString(
  db: Database,
  key: Uint8Array,
  start: number,
  end: number,
  kind: Kind,
  length: number,
  expiry: number,
): number {
  const { keys } = db
  const found = keys.find(key, start, end)
  if (found === 0) {
    const address = keys.insertNew(key, start, end, kind, length, expiry)
    notifyNew(db, key, start, end)
    return address
  }
  if (keys.type(found) > Kind.StringRaw || keys.expirySize !== 0 || db.keyspace.lfu) {
    return replaceAny(db, key, start, end, kind, length, expiry)
  }
  return keys.replaceFound(found, kind, length, expiry)
}

/** Stores an argument under the key that is argument `keyIndex`. */
export function storeArgument(db: Database, args: Arguments, keyIndex: number, index: number, expiry: number): void {
  const { bytes, starts, ends } = args
  const start = starts[index]!
  const end = ends[index]!
  const taken = args.takeOver(index)
  if (taken !== undefined) {
    storeTaken(db, args, keyIndex, taken, expiry)
    return
  }
  putString(db, bytes, starts[keyIndex]!, ends[keyIndex]!, kindOfText(bytes, start, end), end - start, expiry)
  copyBytes(bytes, start, end, db.keys.valueBytes, db.keys.valueStart)
}

/** Stores a large argument without copying it: what it came in becomes the value. */
function storeTaken(db: Database, args: Arguments, keyIndex: number, value: Uint8Array, expiry: number): void {
  const { keys } = db
  const start = args.starts[keyIndex]!
  const end = args.ends[keyIndex]!
  const found = keys.find(args.bytes, start, end)
  // A container must be handed to the lazy free queue, which replacing it would not do.
  if (found !== 0 && keys.type(found) > Kind.StringRaw) db.removeQuietly(found)
  const blob = new Blob(value, value.length, db.keyspace.heap.epoch)
  keys.putObject(args.bytes, start, end, Kind.StringRaw, blob, expiry)
  if (found === 0) notifyNew(db, args.bytes, start, end)
}

/**
 * Stores the bytes of `value` as a string under the key that is argument `keyIndex`; they must not lie in the keyspace.
 */
export function storeBytes(
  db: Database,
  args: Arguments,
  keyIndex: number,
  kind: Kind,
  value: Uint8Array,
  length: number,
  expiry: number,
): void {
  putString(db, args.bytes, args.starts[keyIndex]!, args.ends[keyIndex]!, kind, length, expiry)
  copyBytes(value, 0, length, db.keys.valueBytes, db.keys.valueStart)
}

/** `putString` where the record may hold a container, may have expired, or keeps a use counter. */
function replaceAny(
  db: Database,
  key: Uint8Array,
  start: number,
  end: number,
  kind: Kind,
  length: number,
  expiry: number,
): number {
  const { keys, keyspace } = db
  const found = db.find(key, start, end)
  if (found === 0) {
    const address = keys.put(key, start, end, kind, length, expiry)
    notifyNew(db, key, start, end)
    return address
  }
  keyspace.touch(keys, found)
  const access = keys.access(found)
  let address: number
  if (keys.type(found) > Kind.StringRaw && keys.isOutOfLine(found)) {
    db.removeQuietly(found)
    address = keys.put(key, start, end, kind, length, expiry)
  } else address = keys.replaceFound(found, kind, length, expiry)
  if (keyspace.lfu) keys.setAccess(address, access)
  return address
}

function notifyNew(db: Database, key: Uint8Array, start: number, end: number): void {
  const { events } = db.keyspace
  if ((events.notifyFlags & Notify.New) !== 0) events.onNotify("new", db, key, start, end)
}

/**
 * Makes a string's bytes writable, at least `length` of them, new ones zero; leaves keys.valueBytes/valueStart/valueEnd.
 * Growth of long strings is amortised. Returns the record's address.
 */
export function growString(keys: ByteMap, address: number, length: number): number {
  keys.readValue(address)
  const old = keys.valueEnd - keys.valueStart
  if (length <= old) return keys.ownValue(address)
  address = keys.resizeValue(address, length)
  keys.valueBytes.fill(0, keys.valueStart + old, keys.valueStart + length)
  return address
}

/** Whether a string of `length` bytes may exist; false after having answered with an error. */
export function allowsLength(call: Call, length: number): boolean {
  if (length <= BULK_BYTES_SAFE) return true
  if (length <= Math.min(call.config.get("proto-max-bulk-len"), STRING_BYTES_MAX)) return true
  call.reply.error(STRING_TOO_LONG)
  return false
}
