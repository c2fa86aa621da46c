/**
 * Collections built element by element as they are read, in the form that Redis gives them: packed while the configured
 * limits allow it, else the large one. One builder of each sort is used again for every value; where it ends up is told to a
 * DecodedValue.
 */

import { compareBytes, copyBytes, latin1, uncleared } from "../bytes/compare.ts"
import { parseInt64 } from "../bytes/int64.ts"
import type { Keyspace } from "../keyspace/keyspace.ts"
import { Kind } from "../keyspace/kinds.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import {
  INTSET_EMPTY_BYTES,
  intsetCopyValue,
  intsetFind,
  intsetInit,
  intsetInsert,
  intsetInsertSize,
  intsetLength,
} from "../structs/intset.ts"
import { lpFind, lpFirst } from "../structs/listpack.ts"
import { ZsetTable } from "../structs/zset-table.ts"
import type { DecodedValue, ValueLimits } from "./decoded-value.ts"
import { ListpackBuilder } from "./listpack-builder.ts"
import { eachText, hasTwins, TextKeeper } from "./packed-check.ts"
import { scoreText, writeScore } from "./scores.ts"

/** Packed hashes and sets never grow beyond this, whatever the limits say. */
const PACKED_BYTES_MAX = 1 << 30

/** A record's place for a field and its value: false when the field is there already. */
export function putField(
  map: ByteMap,
  field: Uint8Array,
  start: number,
  end: number,
  value: Uint8Array,
  valueStart: number,
  valueEnd: number,
  expiry: number,
): boolean {
  if (map.find(field, start, end) !== 0) return false
  map.insertNew(field, start, end, 0, valueEnd - valueStart, expiry)
  copyBytes(value, valueStart, valueEnd, map.valueBytes, map.valueStart)
  return true
}

/** False when the member is there already. */
export function putMember(map: ByteMap, member: Uint8Array, start: number, end: number): boolean {
  if (map.find(member, start, end) !== 0) return false
  map.insertNew(member, start, end, 0, 0, 0)
  return true
}

/** Ints → listpack → table, and never back. */
export class SetBuilder {
  private form: number = Kind.SetInts
  private ints = new Uint8Array(INTSET_EMPTY_BYTES + 8 * 64)
  private intsLength = 0
  private readonly packed = new ListpackBuilder()
  private map: ByteMap | undefined
  private limits!: ValueLimits
  private longest = 0
  private readonly text = new Uint8Array(24)

  begin(count: number, limits: ValueLimits, keyspace: Keyspace): void {
    this.limits = limits
    this.longest = 0
    this.map = undefined
    this.intsLength = intsetInit(this.ints, 0)
    this.form = Kind.SetInts
    if (count > limits.setInts) this.toTable(keyspace)
  }

  /** Adds a member; false when it is there already. */
  add(member: Uint8Array, start: number, end: number, keyspace: Keyspace): boolean {
    const { limits } = this
    const length = end - start
    if (length > this.longest) this.longest = length
    if (this.form === Kind.SetInts) {
      const n = parseInt64(member, start, end)
      if (n !== undefined) return this.addInt(n)
      const count = intsetLength(this.ints, 0)
      if (count < limits.setEntries && this.longest <= limits.setValueBytes) this.toPacked()
      else this.toTable(keyspace)
    }
    if (this.form === Kind.SetPacked) {
      const { packed } = this
      if (packed.count < limits.setEntries && length <= limits.setValueBytes && packed.length < PACKED_BYTES_MAX) {
        packed.end()
        const found = lpFind(packed.bytes, 0, lpFirst(packed.bytes, 0), member, start, end, 0)
        packed.length--
        if (found !== -1) return false
        packed.text(member, start, end)
        return true
      }
      this.toTable(keyspace)
    }
    return putMember(this.map!, member, start, end)
  }

  end(into: DecodedValue): void {
    if (this.form === Kind.SetTable) into.setObject(Kind.SetTable, this.map!)
    else if (this.form === Kind.SetPacked) {
      this.packed.end()
      into.setBuilt(Kind.SetPacked, this.packed)
    } else into.setBytes(Kind.SetInts, this.ints, 0, this.intsLength)
    this.map = undefined
  }

  private addInt(n: number | bigint): boolean {
    const place = intsetFind(this.ints, 0, n)
    if (place >= 0) return false
    const needed = this.intsLength + intsetInsertSize(this.ints, 0, n)
    if (needed > this.ints.length) {
      const larger = new Uint8Array(needed * 2)
      larger.set(this.ints.subarray(0, this.intsLength))
      this.ints = larger
    }
    this.intsLength = intsetInsert(this.ints, 0, place, n)
    return true
  }

  private toPacked(): void {
    const count = intsetLength(this.ints, 0)
    this.packed.begin()
    for (let i = 0; i < count; i++) this.packed.text(this.text, 0, intsetCopyValue(this.ints, 0, i, this.text, 0))
    this.form = Kind.SetPacked
  }

  private toTable(keyspace: Keyspace): void {
    const map = keyspace.newMap()
    if (this.form === Kind.SetInts) {
      const count = intsetLength(this.ints, 0)
      for (let i = 0; i < count; i++) putMember(map, this.text, 0, intsetCopyValue(this.ints, 0, i, this.text, 0))
    } else {
      this.packed.end()
      copyPackedMembers(this.packed, map)
    }
    this.map = map
    this.form = Kind.SetTable
  }
}

function copyPackedMembers(packed: ListpackBuilder, map: ByteMap): void {
  eachText(packed.bytes, 0, (bytes, start, end) => {
    putMember(map, bytes, start, end)
  })
}

/** Fields in the order of reading while packed. */
export class HashBuilder {
  private readonly packed = new ListpackBuilder()
  private map: ByteMap | undefined
  private limits!: ValueLimits
  private seen: Set<string> | undefined

  begin(count: number, limits: ValueLimits, keyspace: Keyspace): void {
    this.limits = limits
    this.packed.begin()
    this.map = count > limits.hashEntries ? keyspace.newMap() : undefined
    this.seen = limits.deep && this.map === undefined ? new Set() : undefined
  }

  /** Holds a field until its value is read. */
  field(field: Uint8Array, start: number, end: number): void {
    this.pending.keep(field, start, end)
  }
  private readonly pending = new TextKeeper()

  /** Adds the field with this value; false when it is there already. */
  value(value: Uint8Array, start: number, end: number, keyspace: Keyspace): boolean {
    const { limits, packed, pending, seen } = this
    const { bytes: field, length } = pending
    if (this.map === undefined) {
      if (seen !== undefined) {
        const name = latin1(field, 0, length)
        if (seen.has(name)) return false
        seen.add(name)
      }
      const longest = Math.max(length, end - start)
      if (longest <= limits.hashValueBytes && packed.length < PACKED_BYTES_MAX) {
        packed.text(field, 0, length)
        packed.text(value, start, end)
        return true
      }
      const map = keyspace.newMap()
      packed.end()
      if (!copyPackedFields(packed.bytes, 0, map)) return false
      this.map = map
    }
    return putField(this.map, field, 0, length, value, start, end, 0)
  }

  end(into: DecodedValue): void {
    if (this.map !== undefined) into.setObject(Kind.HashTable, this.map)
    else {
      this.packed.end()
      into.setBuilt(Kind.HashPacked, this.packed)
    }
    this.map = undefined
    this.seen = undefined
  }
}

/** Fields and values of a packed hash into an empty table; false when a field is there twice. */
export function copyPackedFields(bytes: Uint8Array, at: number, map: ByteMap): boolean {
  let isWhole = true
  let isValue = false
  const field = new TextKeeper()
  eachText(bytes, at, (b, start, end) => {
    if (!isValue) field.keep(b, start, end)
    else if (!putField(map, field.bytes, 0, field.length, b, start, end, 0)) isWhole = false
    isValue = !isValue
  })
  return isWhole
}

/** Triplets of a packed hash into an empty table; false when a field is there twice. */
export function copyTriplets(bytes: Uint8Array, at: number, map: ByteMap): boolean {
  let isWhole = true
  let part = 0
  const field = new TextKeeper()
  const value = new TextKeeper()
  eachText(bytes, at, (b, start, end) => {
    if (part === 0) field.keep(b, start, end)
    else if (part === 1) value.keep(b, start, end)
    else {
      const expiry = Number(latin1(b, start, end))
      if (!putField(map, field.bytes, 0, field.length, value.bytes, 0, value.length, expiry)) isWhole = false
    }
    part = part === 2 ? 0 : part + 1
  })
  return isWhole
}

/** A hash some of whose fields expire: small ones are gathered, then laid out by expiry. */
export class ExpiringHashBuilder {
  private readonly gathered = new ListpackBuilder()
  private readonly packed = new ListpackBuilder()
  /** Per field: where its entries begin and end in `gathered`, and when it expires. */
  private starts: number[] = []
  private expiries: number[] = []
  private map: ByteMap | undefined
  private limits!: ValueLimits
  private seen: Set<string> | undefined
  private readonly pending = new TextKeeper()

  begin(count: number, limits: ValueLimits, keyspace: Keyspace): void {
    this.limits = limits
    this.gathered.begin()
    this.starts = []
    this.expiries = []
    this.map = count > limits.hashEntries ? keyspace.newMap() : undefined
    this.seen = limits.deep && this.map === undefined ? new Set() : undefined
  }

  field(field: Uint8Array, start: number, end: number): void {
    this.pending.keep(field, start, end)
  }

  /** Adds the field with this value and expiry (0: none); false when it is there already. */
  value(value: Uint8Array, start: number, end: number, expiry: number, keyspace: Keyspace): boolean {
    const { gathered, limits, pending, seen } = this
    if (this.map === undefined) {
      if (seen !== undefined) {
        const name = latin1(pending.bytes, 0, pending.length)
        if (seen.has(name)) return false
        seen.add(name)
      }
      const longest = Math.max(pending.length, end - start)
      if (longest <= limits.hashValueBytes && gathered.length < PACKED_BYTES_MAX) {
        this.starts.push(gathered.length)
        this.expiries.push(expiry)
        gathered.text(pending.bytes, 0, pending.length)
        gathered.text(value, start, end)
        return true
      }
      this.layOut()
      const map = keyspace.newMap()
      if (!copyTriplets(this.packed.bytes, 0, map)) return false
      this.map = map
    }
    return putField(this.map, pending.bytes, 0, pending.length, value, start, end, expiry)
  }

  end(into: DecodedValue): void {
    if (this.map !== undefined) into.setObject(Kind.HashTable, this.map)
    else {
      this.layOut()
      into.setBuilt(Kind.HashPackedExpiring, this.packed)
    }
    this.map = undefined
    this.seen = undefined
  }

  /**
   * Triplets by expiry, as if each field had been given its own in the order of reading: of equal ones the last comes first,
   * and those without one are at the end.
   */
  private layOut(): void {
    const { expiries, gathered, packed, starts } = this
    const indexes = expiries.map((_, i) => i)
    const expiring = indexes.filter(i => expiries[i] !== 0).sort((a, b) => expiries[a]! - expiries[b]! || b - a)
    const order = expiring.concat(indexes.filter(i => expiries[i] === 0))
    packed.begin()
    for (const i of order) {
      packed.entries(gathered.bytes, starts[i]!, starts[i + 1] ?? gathered.length, 2)
      packed.integer(expiries[i]!)
    }
    packed.end()
  }
}

/** Small sets are gathered and sorted; large ones become a table at once. */
export class ZsetBuilder {
  private readonly packed = new ListpackBuilder()
  private texts: Uint8Array = uncleared(16 * 1024)
  private textsLength = 0
  private readonly starts: number[] = []
  private readonly scores: number[] = []
  private table: ZsetTable | undefined
  private limits!: ValueLimits

  begin(count: number, limits: ValueLimits, keyspace: Keyspace): void {
    this.limits = limits
    this.starts.length = 0
    this.scores.length = 0
    this.textsLength = 0
    this.table = count > limits.zsetEntries ? new ZsetTable(keyspace.heap, keyspace.newMap()) : undefined
  }

  /** Holds a member until its score is read. */
  member(member: Uint8Array, start: number, end: number): void {
    this.pending.keep(member, start, end)
  }
  private readonly pending = new TextKeeper()

  /** Adds the member with this score, which is not NaN; false when it is there already (small sets tell at the end). */
  score(score: number, keyspace: Keyspace): boolean {
    const { bytes, length } = this.pending
    if (this.table === undefined) {
      if (length <= this.limits.zsetValueBytes) {
        this.gather(bytes, length, score)
        return true
      }
      this.table = new ZsetTable(keyspace.heap, keyspace.newMap())
      if (!this.moveGathered(this.table)) return false
    }
    return addScored(this.table, bytes, 0, length, score)
  }

  /** False when a member was there twice. */
  end(into: DecodedValue): boolean {
    const { packed, scores, starts, table, texts } = this
    this.table = undefined
    if (table !== undefined) {
      into.setObject(Kind.ZsetTree, table)
      return true
    }
    const count = scores.length
    const endOf = (i: number): number => starts[i + 1] ?? this.textsLength
    const order = scores.map((_, i) => i)
    order.sort(
      (a, b) => scores[a]! - scores[b]! || compareBytes(texts, starts[a]!, endOf(a), texts, starts[b]!, endOf(b)),
    )
    packed.begin()
    for (const i of order) {
      packed.text(texts, starts[i]!, endOf(i))
      addScore(packed, scores[i]!)
    }
    packed.end()
    into.setBuilt(Kind.ZsetPacked, packed)
    return count < 2 || !hasTwins(packed.bytes, 0, 2)
  }

  private gather(bytes: Uint8Array, length: number, score: number): void {
    if (this.textsLength + length > this.texts.length) {
      const larger = uncleared(Math.max(this.textsLength + length, this.texts.length * 2))
      copyBytes(this.texts, 0, this.textsLength, larger, 0)
      this.texts = larger
    }
    this.starts.push(this.textsLength)
    this.scores.push(score === 0 ? 0 : score)
    copyBytes(bytes, 0, length, this.texts, this.textsLength)
    this.textsLength += length
  }

  private moveGathered(table: ZsetTable): boolean {
    const { scores, starts, texts } = this
    for (let i = 0; i < scores.length; i++) {
      if (!addScored(table, texts, starts[i]!, starts[i + 1] ?? this.textsLength, scores[i]!)) return false
    }
    return true
  }
}

/** False when the member is there already. */
export function addScored(table: ZsetTable, member: Uint8Array, start: number, end: number, score: number): boolean {
  if (table.find(member, start, end) !== 0) return false
  table.add(member, start, end, score === 0 ? 0 : score)
  return true
}

/** A score as an entry, as the sorted set commands write it. */
function addScore(packed: ListpackBuilder, score: number): void {
  if (Number.isSafeInteger(score)) packed.integer(score)
  else packed.text(scoreText, 0, writeScore(score))
}
