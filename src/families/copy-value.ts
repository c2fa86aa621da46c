/**
 * Values between keys and databases: moving is O(1) whatever the value, copying is O(elements).
 *
 * A packed value or a string is bytes in the record. A large string is a Blob and everything else large is a Container,
 * both held by handle: moving hands the same object to the other record, copying clones it, each kind in its own way.
 */
import { copyBytes } from "../bytes/compare.ts"
import type { Database } from "../keyspace/db.ts"
import { Notify } from "../keyspace/events.ts"
import type { Keyspace } from "../keyspace/keyspace.ts"
import { Kind } from "../keyspace/kinds.ts"
import { Blob, type ByteMap, type Container } from "../structs/byte-map.ts"

const RECORDS_PER_STEP = 1024

/** A key of a database, as bytes that nobody changes meanwhile. */
export interface KeyPlace {
  readonly db: Database
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
}

/**
 * Moves the record of one key to another key, which must be absent, with its expiry and its access clock. Tells nobody but
 * of the new key. O(1).
 */
export function moveValue(from: KeyPlace, to: KeyPlace): void {
  const source = from.db.keys
  const address = source.find(from.bytes, from.start, from.end)
  if (source.isOutOfLine(address)) putObject(source, address, to, source.object(address))
  else putBytes(from, to)
  // The object, if any, is the new record's now: what `remove` returns is not to be released.
  source.remove(source.find(from.bytes, from.start, from.end))
  settle(to)
}

/** Copies the value of one key to another key, which must be absent, with its expiry. Tells nobody but of the new key. */
export function copyValue(from: KeyPlace, to: KeyPlace): void {
  const source = from.db.keys
  const address = source.find(from.bytes, from.start, from.end)
  if (source.isOutOfLine(address)) {
    const object = source.object(address)
    const twin =
      object instanceof Blob ? cloneBlob(object) : cloneContainer(from.db.keyspace, source.type(address), object)
    putObject(source, source.find(from.bytes, from.start, from.end), to, twin)
  } else putBytes(from, to)
  settle(to)
}

/** A record has come under a key: fields of a hash may have expiries. Tells of the new key. */
function settle(to: KeyPlace): void {
  const { keyspace, keys } = to.db
  keyspace.fieldExpiry.adopt(to.db, to.bytes, to.start, to.end, keys.find(to.bytes, to.start, to.end))
  keyspace.events.notify(Notify.New, "new", to.db, to.bytes, to.start, to.end)
}

function putObject(source: ByteMap, address: number, to: KeyPlace, object: Blob | Container): void {
  const target = to.db.keys
  const access = source.access(address)
  const type = source.type(address)
  const made = target.putObject(to.bytes, to.start, to.end, type, object, source.expiry(address))
  target.setAccess(made, access)
}

function putBytes(from: KeyPlace, to: KeyPlace): void {
  const source = from.db.keys
  const target = to.db.keys
  let address = source.find(from.bytes, from.start, from.end)
  source.readValue(address)
  const length = source.valueEnd - source.valueStart
  const access = source.access(address)
  const type = source.type(address)
  const made = target.put(to.bytes, to.start, to.end, type, length, source.expiry(address))
  const bytes = target.valueBytes
  const at = target.valueStart
  // Making room may have moved the source.
  address = source.find(from.bytes, from.start, from.end)
  source.readValue(address)
  copyBytes(source.valueBytes, source.valueStart, source.valueEnd, bytes, at)
  target.setAccess(made, access)
}

function cloneBlob(blob: Blob): Blob {
  // Made in the same epoch as its original: under a snapshot the first change clones it once more, no harm done.
  return new Blob(blob.bytes.slice(0, blob.length), blob.length, blob.epoch)
}

/** A deep copy of a large value. O(elements). */
export function cloneContainer(keyspace: Keyspace, kind: number, container: Container): Container {
  switch (kind) {
    case Kind.HashTable:
    case Kind.SetTable:
      return cloneMap(keyspace, container as ByteMap)
    default:
      return (container as Cloneable).clone()
  }
}

/** What containers other than maps offer for COPY. */
export interface Cloneable extends Container {
  clone(): Container
}

/** A copy of a map of byte values, record by record, with their expiries. O(records). */
export function cloneMap(keyspace: Keyspace, map: ByteMap): ByteMap {
  const twin = keyspace.newMap()
  const step: number[] = []
  let cursor = 0
  do {
    step.length = 0
    cursor = map.scan(cursor, RECORDS_PER_STEP, step)
    for (const address of step) {
      map.readKey(address)
      map.readValue(address)
      const { keyBytes, keyStart, keyEnd } = map
      twin.put(keyBytes, keyStart, keyEnd, map.type(address), map.valueEnd - map.valueStart, map.expiry(address))
      copyBytes(map.valueBytes, map.valueStart, map.valueEnd, twin.valueBytes, twin.valueStart)
    }
  } while (cursor !== 0)
  return twin
}
