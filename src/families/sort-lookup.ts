/**
 * What the patterns of SORT's BY and GET look up, once per element.
 *
 *   #             the element itself
 *   a*b           the string under the key that has the element in the place of the first asterisk
 *   a*b->field    the field of the hash under that key; an arrow with nothing behind it is part of the key
 *   (no asterisk) nothing
 *
 * As in Redis a pattern is looked through up to its first zero byte only.
 */
import { copyBytes } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { Kind, typeOfKind, ValueType } from "../keyspace/kinds.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { lpEntryEnd, lpFind, lpFirst } from "../structs/listpack.ts"
import { tripletExpiry } from "./hash-packed.ts"
import { readText, textBytes, textEnd, textStart } from "./packed-entries.ts"

const STAR = 0x2a
const HASH_SIGN = 0x23
const ARROW = [0x2d, 0x3e] as const

export class SortPattern {
  /** The pattern is an asterisk's: what it looks up depends on the element. */
  readonly hasStar: boolean
  readonly isElement: boolean

  /** Where the last `lookup` found the value; borrowed until the next write or lookup. */
  bytes: Uint8Array
  start = 0
  end = 0

  private readonly call: Call
  private readonly starAt: number
  private readonly pattern: Uint8Array
  /** End of the key's part of the pattern, and where the field begins; without a field 0. */
  private readonly keyEnd: number
  private readonly fieldAt: number
  private key = new Uint8Array(256)

  /** The pattern is argument `i`. */
  constructor(call: Call, i: number) {
    this.call = call
    const pattern = call.args.copy(i)
    this.pattern = pattern
    this.bytes = pattern
    const zero = pattern.indexOf(0)
    const looked = zero < 0 ? pattern.length : zero
    this.isElement = looked === 1 && pattern[0] === HASH_SIGN
    const star = pattern.indexOf(STAR)
    this.starAt = star
    this.hasStar = star >= 0 && star < looked
    let arrow = star + 1
    while (arrow + 1 < looked && !(pattern[arrow] === ARROW[0] && pattern[arrow + 1] === ARROW[1])) arrow++
    const hasField = arrow + 2 < looked
    this.keyEnd = hasField ? arrow : pattern.length
    this.fieldAt = hasField ? arrow + 2 : 0
  }

  /** Looks up what the pattern says for the element bytes[start, end); false when there is no such value. */
  lookup(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.isElement) {
      this.bytes = bytes
      this.start = start
      this.end = end
      return true
    }
    if (!this.hasStar) return false
    const { db } = this.call
    const address = db.lookup(this.key, 0, this.formKey(bytes, start, end))
    if (address === 0) return false
    const type = typeOfKind(db.keys.type(address))
    if (this.fieldAt > 0) return type === ValueType.Hash && this.readField(db.keys, address)
    if (type !== ValueType.String) return false
    db.keys.readValue(address)
    this.bytes = db.keys.valueBytes
    this.start = db.keys.valueStart
    this.end = db.keys.valueEnd
    return true
  }

  /** Puts the key together; returns its length. */
  private formKey(bytes: Uint8Array, start: number, end: number): number {
    const { pattern, starAt, keyEnd } = this
    const length = keyEnd - 1 + end - start
    if (length > this.key.length) this.key = new Uint8Array(length * 2)
    copyBytes(pattern, 0, starAt, this.key, 0)
    copyBytes(bytes, start, end, this.key, starAt)
    copyBytes(pattern, starAt + 1, keyEnd, this.key, starAt + end - start)
    return length
  }

  /** Reads the field of the hash at `address`; false when it has none of that name, or its time is up. */
  private readField(keys: ByteMap, address: number): boolean {
    const { pattern, fieldAt } = this
    const kind = keys.type(address)
    if (kind === Kind.HashTable) {
      const table = keys.object(address) as ByteMap
      const record = table.find(pattern, fieldAt, pattern.length)
      if (record === 0 || !this.isLive(table.expiry(record))) return false
      table.readValue(record)
      this.bytes = table.valueBytes
      this.start = table.valueStart
      this.end = table.valueEnd
      return true
    }
    keys.readValue(address)
    const b = keys.valueBytes
    const at = keys.valueStart
    const expires = kind === Kind.HashPackedExpiring
    const entry = lpFind(b, at, lpFirst(b, at), pattern, fieldAt, pattern.length, expires ? 2 : 1)
    if (entry === -1 || (expires && !this.isLive(tripletExpiry(b, entry)))) return false
    readText(b, lpEntryEnd(b, entry))
    this.bytes = textBytes
    this.start = textStart
    this.end = textEnd
    return true
  }

  private isLive(expiry: number): boolean {
    const { keyspace, now } = this.call
    return expiry === 0 || expiry >= now || (keyspace.expiryPaused && keyspace.servesExpired)
  }
}
