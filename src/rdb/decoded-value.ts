/**
 * A value that has been read and checked, and is to be stored: bytes for a record, or a container. Used again for every
 * value; bytes are borrowed until the next read unless `isOwned`.
 */

import { copyBytes, copyOf } from "../bytes/compare.ts"
import type { ConfigValues } from "../config/config.ts"
import type { Database } from "../keyspace/db.ts"
import type { Keyspace } from "../keyspace/keyspace.ts"
import { Kind, kindOfText } from "../keyspace/kinds.ts"
import { Blob, type Container } from "../structs/byte-map.ts"
import { VALUE_INLINE_MAX } from "../structs/record-layout.ts"
import type { ListpackBuilder } from "./listpack-builder.ts"

const NO_BYTES = new Uint8Array(0)
/** Bound of a listpack's size where list-max-listpack-size counts entries. */
const COUNTED_BYTES_MAX = 8192

/** Where packed forms end, as configured, and how much is checked. */
export class ValueLimits {
  readonly hashEntries: number
  readonly hashValueBytes: number
  readonly listLimit: number
  readonly setInts: number
  readonly setEntries: number
  readonly setValueBytes: number
  readonly zsetEntries: number
  readonly zsetValueBytes: number
  readonly streamBlockBytes: number
  readonly streamBlockEntries: number
  /** Look for what is there twice, too. (That lengths are right and all is in bounds is always checked.) */
  readonly deep: boolean

  constructor(values: ConfigValues, deep: boolean) {
    this.hashEntries = values.hashMaxListpackEntries
    this.hashValueBytes = values.hashMaxListpackValue
    this.listLimit = values.listMaxListpackSize
    this.setInts = values.setMaxIntsetEntries
    this.setEntries = values.setMaxListpackEntries
    this.setValueBytes = values.setMaxListpackValue
    this.zsetEntries = values.zsetMaxListpackEntries
    this.zsetValueBytes = values.zsetMaxListpackValue
    this.streamBlockBytes = values.streamNodeMaxBytes
    this.streamBlockEntries = values.streamNodeMaxEntries
    this.deep = deep
  }

  /** Whether a list of one listpack stays packed. */
  isPackedList(bytes: number, entries: number): boolean {
    const limit = this.listLimit
    if (limit < 0) return bytes <= 2048 << Math.min(-limit, 5)
    return bytes <= COUNTED_BYTES_MAX && entries <= Math.max(limit, 1)
  }
}

export class DecodedValue {
  kind: number = Kind.StringRaw
  bytes: Uint8Array = NO_BYTES
  start = 0
  end = 0
  isOwned = false
  /** Instead of bytes. */
  object: Container | undefined
  /** There is nothing in it: it is not to be stored. */
  isEmpty = false
  /** What came behind it in a DUMP payload, for extras.ts. */
  readonly extras: [name: string, bytes: Uint8Array][] = []

  /** Whether some of its fields or members may expire. */
  get mayExpireInParts(): boolean {
    return this.object !== undefined || this.kind === Kind.HashPackedExpiring
  }

  /** It is not going to be stored. */
  discard(keyspace: Keyspace): void {
    if (this.object !== undefined) keyspace.discard(this.object)
    this.setEmpty()
  }

  setEmpty(): void {
    this.isEmpty = true
    this.object = undefined
    this.bytes = NO_BYTES
    this.start = 0
    this.end = 0
  }

  /** More is going to be read before it is stored. */
  keep(): void {
    if (this.object !== undefined || this.isOwned) return
    this.setBytes(this.kind, copyOf(this.bytes, this.start, this.end), 0, this.end - this.start)
  }

  setBytes(kind: number, bytes: Uint8Array, start: number, end: number, isOwned = false): void {
    this.kind = kind
    this.bytes = bytes
    this.start = start
    this.end = end
    this.isOwned = isOwned
    this.object = undefined
    this.isEmpty = false
  }

  setBuilt(kind: number, builder: ListpackBuilder): void {
    this.setBytes(kind, builder.bytes, 0, builder.length)
  }

  setString(bytes: Uint8Array, start: number, end: number, isOwned: boolean): void {
    this.setBytes(kindOfText(bytes, start, end), bytes, start, end, isOwned)
  }

  setObject(kind: number, object: Container): void {
    this.kind = kind
    this.object = object
    this.bytes = NO_BYTES
    this.isEmpty = false
  }

  /**
   * Stores the value under a key of which the database's last `find` has said that there is none. `expiry` 0: none. Tells
   * nobody. Returns the record's address.
   */
  store(db: Database, key: Uint8Array, start: number, end: number, expiry: number): number {
    const { keys } = db
    const { bytes, kind, object } = this
    if (object !== undefined) return keys.putObject(key, start, end, kind, object, expiry)
    const length = this.end - this.start
    if (this.isOwned && length > VALUE_INLINE_MAX && length === bytes.length) {
      return keys.putObject(key, start, end, kind, new Blob(bytes, length, db.keyspace.heap.epoch), expiry)
    }
    const address = keys.insertNew(key, start, end, kind, length, expiry)
    copyBytes(bytes, this.start, this.end, keys.valueBytes, keys.valueStart)
    return address
  }
}
