/**
 * Values as they are read from RDB files and DUMP payloads, in every form that Redis has ever written.
 *
 * What is packed there stays packed if the configuration allows that many elements (Redis looks at no more either); the rest
 * is built element by element. Nothing is believed: offsets inside packed values are always walked over before anybody else
 * sees them, so that corrupt ones can do no harm; `limits.deep` adds the search for what is there twice.
 *
 *     decoder.quick(input, type)      most values: in one go, if the bytes are there; false, with nothing read, if not
 *     yield* decoder.slow(input, type)     any value, in steps
 *
 * Both leave the result in `decoder.value`.
 */

import type { Keyspace } from "../keyspace/keyspace.ts"
import { Kind } from "../keyspace/kinds.ts"
import { intsetCopyValue, intsetLength, intsetValidate } from "../structs/intset.ts"
import { ListValue } from "../structs/list-value.ts"
import { ZsetTable } from "../structs/zset-table.ts"
import {
  addScored,
  copyPackedFields,
  copyTriplets,
  ExpiringHashBuilder,
  HashBuilder,
  putMember,
  SetBuilder,
  ZsetBuilder,
} from "./collections.ts"
import { decodeStream } from "./decode-stream.ts"
import { DecodedValue, type ValueLimits } from "./decoded-value.ts"
import { ListNode, RdbType } from "./format.ts"
import { type DecodeStep, NEED_DATA, PAUSE, type RdbInput } from "./input.ts"
import { convertZiplist, convertZipmap } from "./legacy.ts"
import { ListpackBuilder } from "./listpack-builder.ts"
import { areExpiries, areScores, checkListpack, eachPair, eachText, TextKeeper } from "./packed-check.ts"
import { parseScore } from "./scores.ts"

const ELEMENTS_PER_STEP = 512
const BYTES_PER_STEP = 64 * 1024
/** Collections up to this many elements are read in one go if they are there. */
const QUICK_ELEMENTS_MAX = 128
/** Packed forms as errors name them; the texts are Redis's, which people look for in logs. */
const TYPE_NAMES: Readonly<Record<number, string>> = {
  [Kind.HashPacked]: "Hash listpack",
  [Kind.HashPackedExpiring]: "Hash listpackex",
  [Kind.SetPacked]: "Set listpack",
  [Kind.ZsetPacked]: "Zset listpack",
}
/** Field expiries lie below, as in Redis. */
const EXPIRY_MAX = 0xffff_ffff_ffff - 2

export class ValueDecoder {
  readonly value = new DecodedValue()
  private keyspace: Keyspace
  private limits: ValueLimits
  private readonly converted = new ListpackBuilder()
  private readonly sets = new SetBuilder()
  private readonly hashes = new HashBuilder()
  private readonly expiringHashes = new ExpiringHashBuilder()
  private readonly zsets = new ZsetBuilder()
  private readonly pending = new TextKeeper()

  constructor(keyspace: Keyspace, limits: ValueLimits) {
    this.keyspace = keyspace
    this.limits = limits
  }

  /** Has further values go to this keyspace. */
  aim(keyspace: Keyspace, limits: ValueLimits): void {
    this.keyspace = keyspace
    this.limits = limits
  }

  /** The value in one go; false, with nothing read, when bytes are missing or it is better read in steps. */
  quick(input: RdbInput, type: number): boolean {
    const { mark } = input
    if (this.tryQuick(input, type)) return true
    input.rewind(mark)
    return false
  }

  /** The value in steps. */
  *slow(input: RdbInput, type: number): Generator<DecodeStep, void> {
    switch (type) {
      case RdbType.String:
      case RdbType.HashZipmap:
      case RdbType.ListZiplist:
      case RdbType.SetIntset:
      case RdbType.ZsetZiplist:
      case RdbType.HashZiplist:
      case RdbType.HashListpack:
      case RdbType.ZsetListpack:
      case RdbType.SetListpack:
      case RdbType.HashListpackExpiringPreGa:
      case RdbType.HashListpackExpiring:
        if (type === RdbType.HashListpackExpiring) while (!input.time()) yield NEED_DATA
        while (!input.text()) yield NEED_DATA
        if (input.isLong) yield* input.gather()
        this.adopt(input, type)
        break
      case RdbType.List:
        yield* this.list(input)
        break
      case RdbType.Set:
        yield* this.set(input)
        break
      case RdbType.ZsetText:
      case RdbType.Zset:
        yield* this.zset(input, type)
        break
      case RdbType.Hash:
        yield* this.hash(input)
        break
      case RdbType.HashExpiringPreGa:
      case RdbType.HashExpiring:
      case RdbType.HashValkey:
        yield* this.expiringHash(input, type)
        break
      case RdbType.ListZiplists:
      case RdbType.ListListpacks:
        yield* this.listNodes(input, type)
        break
      case RdbType.Stream1:
      case RdbType.Stream2:
      case RdbType.Stream3:
      case RdbType.Stream4:
      case RdbType.Stream5:
        yield* decodeStream(input, type, this.keyspace, this.limits, this.value)
        break
      case RdbType.ModulePreGa:
      case RdbType.Module:
        return input.fail("values of modules cannot be read")
      default:
        return input.fail(`unknown type of value ${type}`)
    }
  }

  private tryQuick(input: RdbInput, type: number): boolean {
    switch (type) {
      case RdbType.String:
        if (!input.text() || input.isLong) return false
        this.value.setString(input.bytes, input.start, input.stop, input.isOwned)
        return true
      case RdbType.HashListpack:
      case RdbType.SetIntset:
      case RdbType.ZsetListpack:
      case RdbType.SetListpack:
        if (!input.text() || input.isLong) return false
        this.adopt(input, type)
        return true
      case RdbType.ListListpacks: {
        if (!input.count()) return false
        const nodes = input.value
        if (nodes !== 1 || !input.count()) return false
        const node = input.value
        if (node !== ListNode.Packed) return false
        if (!input.text() || input.isLong) return false
        const { bytes, isOwned, start, stop } = input
        const count = checkListpack(bytes, start, stop, 1, false)
        if (count < 0) input.fail("Listpack integrity check failed.")
        if (count === 0 || !this.limits.isPackedList(stop - start, count)) return false
        this.value.setBytes(Kind.ListPacked, bytes, start, stop, isOwned)
        return true
      }
      case RdbType.Set: {
        if (!input.count() || input.value > QUICK_ELEMENTS_MAX || input.value === 0) return false
        const count = input.value
        this.sets.begin(count, this.limits, this.keyspace)
        for (let i = 0; i < count; i++) {
          if (!input.text() || input.isLong) return false
          this.member(input)
        }
        this.sets.end(this.value)
        return true
      }
      default:
        return false
    }
  }

  // ---------------------------------------------------------------------------------------------- packed values

  /** Takes over the string just read, which is a whole value. */
  private adopt(input: RdbInput, type: number): void {
    const { value } = this
    const { bytes, isOwned, start, stop } = input
    switch (type) {
      case RdbType.String:
        value.setString(bytes, start, stop, isOwned)
        break
      case RdbType.SetIntset:
        this.adoptInts(input)
        break
      case RdbType.SetListpack:
        this.adoptListpack(input, Kind.SetPacked, bytes, start, stop, isOwned)
        break
      case RdbType.HashListpack:
        this.adoptListpack(input, Kind.HashPacked, bytes, start, stop, isOwned)
        break
      case RdbType.ZsetListpack:
        this.adoptListpack(input, Kind.ZsetPacked, bytes, start, stop, isOwned)
        break
      case RdbType.HashListpackExpiringPreGa:
      case RdbType.HashListpackExpiring:
        this.adoptListpack(input, Kind.HashPackedExpiring, bytes, start, stop, isOwned)
        break
      case RdbType.HashZipmap:
        if (!convertZipmap(bytes, start, stop, this.converted)) input.fail("Zipmap integrity check failed.")
        if (longestText(this.converted) <= this.limits.hashValueBytes) this.adoptConverted(input, Kind.HashPacked)
        else this.adoptFields(input)
        break
      case RdbType.HashZiplist:
        if (!convertZiplist(bytes, start, stop, this.converted)) input.fail("Hash ziplist integrity check failed.")
        this.adoptConverted(input, Kind.HashPacked)
        break
      case RdbType.ZsetZiplist:
        if (!convertZiplist(bytes, start, stop, this.converted)) input.fail("Zset ziplist integrity check failed.")
        this.adoptConverted(input, Kind.ZsetPacked)
        break
      case RdbType.ListZiplist: {
        if (!convertZiplist(bytes, start, stop, this.converted)) input.fail("List ziplist integrity check failed.")
        const list = this.newList()
        eachText(this.converted.bytes, 0, (b, from, to) => list.pushTail(b, from, to))
        this.endList(list)
        break
      }
    }
  }

  /** What was converted may be in no order, and hold things twice: nobody has looked. */
  private adoptConverted(input: RdbInput, kind: number): void {
    const { bytes, length } = this.converted
    this.adoptListpack(input, kind, bytes, 0, length, false, true)
  }

  /** A hash whose texts are too long for its packed form. */
  private adoptFields(input: RdbInput): void {
    const map = this.keyspace.newMap()
    if (!copyPackedFields(this.converted.bytes, 0, map)) input.fail("Hash zipmap with dup elements")
    this.value.setObject(Kind.HashTable, map)
  }

  private adoptListpack(
    input: RdbInput,
    kind: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    isOwned: boolean,
    deep = this.limits.deep,
  ): void {
    const { keyspace, limits, value } = this
    const step = kind === Kind.SetPacked ? 1 : kind === Kind.HashPackedExpiring ? 3 : 2
    const entries = checkListpack(bytes, start, end, step, deep)
    if (entries < 0) input.fail(`${TYPE_NAMES[kind]} integrity check failed.`)
    const count = entries / step
    if (count === 0) {
      value.setEmpty()
      return
    }
    if (kind === Kind.ZsetPacked && !areScores(bytes, start))
      input.fail("Zset listpack integrity check failed: a score is none.")
    if (kind === Kind.HashPackedExpiring && !areExpiries(bytes, start)) {
      input.fail("Hash listpackex integrity check failed: times of fields.")
    }
    const most =
      kind === Kind.SetPacked ? limits.setEntries : kind === Kind.ZsetPacked ? limits.zsetEntries : limits.hashEntries
    if (count <= most) {
      value.setBytes(kind, bytes, start, end, isOwned)
      return
    }
    if (kind === Kind.ZsetPacked) {
      const table = new ZsetTable(keyspace.heap, keyspace.newMap())
      let isWhole = true
      eachPair(bytes, start, (b, from, to, score) => {
        if (!addScored(table, b, from, to, score)) isWhole = false
      })
      if (!isWhole) input.fail("Zset listpack with dup elements")
      value.setObject(Kind.ZsetTree, table)
      return
    }
    const map = keyspace.newMap()
    let isWhole = true
    if (kind === Kind.HashPacked) isWhole = copyPackedFields(bytes, start, map)
    else if (kind === Kind.HashPackedExpiring) isWhole = copyTriplets(bytes, start, map)
    else {
      eachText(bytes, start, (b, from, to) => {
        if (!putMember(map, b, from, to)) isWhole = false
      })
    }
    if (!isWhole) input.fail(`${TYPE_NAMES[kind]} with dup elements`)
    value.setObject(kind === Kind.SetPacked ? Kind.SetTable : Kind.HashTable, map)
  }

  private adoptInts(input: RdbInput): void {
    const { keyspace, limits, value } = this
    const { bytes, isOwned, start, stop } = input
    if (!intsetValidate(bytes, start, stop, true)) input.fail("Intset integrity check failed.")
    const count = intsetLength(bytes, start)
    if (count <= limits.setInts) {
      value.setBytes(Kind.SetInts, bytes, start, stop, isOwned)
      return
    }
    const map = keyspace.newMap()
    for (let i = 0; i < count; i++) putMember(map, text, 0, intsetCopyValue(bytes, start, i, text, 0))
    value.setObject(Kind.SetTable, map)
  }

  // ---------------------------------------------------------------------------------------------- element by element

  private *list(input: RdbInput): Generator<DecodeStep, void> {
    const count = yield* readCount(input)
    const list = this.newList()
    for (let i = 0; i < count; i++) {
      yield* readText(input)
      list.pushTail(input.bytes, input.start, input.stop)
      if (i % ELEMENTS_PER_STEP === ELEMENTS_PER_STEP - 1) yield PAUSE
    }
    this.endList(list, true)
  }

  private *set(input: RdbInput): Generator<DecodeStep, void> {
    const count = yield* readCount(input)
    if (count === 0) {
      this.value.setEmpty()
      return
    }
    this.sets.begin(count, this.limits, this.keyspace)
    for (let i = 0; i < count; i++) {
      while (!input.text()) yield NEED_DATA
      if (input.isLong) yield* input.gather()
      this.member(input)
      if (i % ELEMENTS_PER_STEP === ELEMENTS_PER_STEP - 1) yield PAUSE
    }
    this.sets.end(this.value)
  }

  private member(input: RdbInput): void {
    const { bytes, start, stop } = input
    if (!this.sets.add(bytes, start, stop, this.keyspace)) input.fail("Duplicate set members detected")
  }

  private *hash(input: RdbInput): Generator<DecodeStep, void> {
    const { hashes, keyspace } = this
    const count = yield* readCount(input)
    if (count === 0) {
      this.value.setEmpty()
      return
    }
    hashes.begin(count, this.limits, keyspace)
    for (let i = 0; i < count; i++) {
      while (!input.text()) yield NEED_DATA
      if (input.isLong) yield* input.gather()
      hashes.field(input.bytes, input.start, input.stop)
      while (!input.text()) yield NEED_DATA
      if (input.isLong) yield* input.gather()
      if (!hashes.value(input.bytes, input.start, input.stop, keyspace)) input.fail("Duplicate hash fields detected")
      if (i % ELEMENTS_PER_STEP === ELEMENTS_PER_STEP - 1) yield PAUSE
    }
    hashes.end(this.value)
  }

  private *expiringHash(input: RdbInput, type: number): Generator<DecodeStep, void> {
    const { expiringHashes, keyspace } = this
    // The candidates of 7.4 wrote times as they are.
    let earliest = 1
    if (type === RdbType.HashExpiring) {
      while (!input.time()) yield NEED_DATA
      earliest = input.value
    }
    const count = yield* readCount(input)
    if (count === 0) {
      this.value.setEmpty()
      return
    }
    expiringHashes.begin(count, this.limits, keyspace)
    for (let i = 0; i < count; i++) {
      let expiry = type === RdbType.HashValkey ? 0 : yield* readExpiry(input, earliest)
      while (!input.text()) yield NEED_DATA
      if (input.isLong) yield* input.gather()
      expiringHashes.field(input.bytes, input.start, input.stop)
      while (!input.text()) yield NEED_DATA
      if (input.isLong) yield* input.gather()
      if (type === RdbType.HashValkey) {
        // The time comes last: the value must outlive it.
        this.pending.keep(input.bytes, input.start, input.stop)
        while (!input.time()) yield NEED_DATA
        expiry = checkExpiry(input, Math.max(0, input.value))
      }
      const { bytes, start, stop } = type === RdbType.HashValkey ? this.pending : input
      if (!expiringHashes.value(bytes, start, stop, expiry, keyspace)) input.fail("Duplicate hash fields detected")
      if (i % ELEMENTS_PER_STEP === ELEMENTS_PER_STEP - 1) yield PAUSE
    }
    expiringHashes.end(this.value)
  }

  private *zset(input: RdbInput, type: number): Generator<DecodeStep, void> {
    const { keyspace, zsets } = this
    const count = yield* readCount(input)
    if (count === 0) {
      this.value.setEmpty()
      return
    }
    zsets.begin(count, this.limits, keyspace)
    for (let i = 0; i < count; i++) {
      while (!input.text()) yield NEED_DATA
      if (input.isLong) yield* input.gather()
      zsets.member(input.bytes, input.start, input.stop)
      let score: number
      if (type === RdbType.Zset) {
        while (!input.double()) yield NEED_DATA
        score = input.value
      } else score = yield* readTextScore(input)
      if (Number.isNaN(score)) input.fail("Zset with NAN score detected")
      if (!zsets.score(score, keyspace)) input.fail("Duplicate zset fields detected")
      if (i % ELEMENTS_PER_STEP === ELEMENTS_PER_STEP - 1) yield PAUSE
    }
    if (!zsets.end(this.value)) input.fail("Duplicate zset fields detected")
  }

  private *listNodes(input: RdbInput, type: number): Generator<DecodeStep, void> {
    const list = this.newList()
    let hasPlain = false
    let work = 0
    for (let left = yield* readCount(input); left > 0; left--) {
      let node: number = ListNode.Packed
      if (type === RdbType.ListListpacks) node = yield* readCount(input)
      if (node !== ListNode.Packed && node !== ListNode.Plain) input.fail("Quicklist integrity check failed.")
      yield* readText(input)
      const { bytes, start, stop } = input
      if (start === stop) input.fail("an empty list node")
      work += stop - start
      if (node === ListNode.Plain) {
        hasPlain = true
        list.pushTail(bytes, start, stop)
      } else if (type === RdbType.ListListpacks) {
        if (checkListpack(bytes, start, stop, 1, false) < 0) input.fail("Listpack integrity check failed.")
        list.appendListpack(bytes, start)
      } else {
        if (!convertZiplist(bytes, start, stop, this.converted)) input.fail("Ziplist integrity check failed.")
        list.appendListpack(this.converted.bytes, 0)
      }
      if (work < BYTES_PER_STEP) continue
      work = 0
      yield PAUSE
    }
    this.endList(list, !hasPlain)
  }

  private newList(): ListValue {
    return new ListValue(this.keyspace.heap, this.limits.listLimit)
  }

  /** The list is complete; it is packed if it is one chunk that is small enough. */
  private endList(list: ListValue, mayPack = false): void {
    const { converted, limits, value } = this
    if (list.length === 0) {
      value.setEmpty()
      return
    }
    const { spans } = list
    const chunk = spans[0]!.chunks[0]!
    if (mayPack && spans.length === 1 && spans[0]!.chunks.length === 1) {
      converted.begin()
      converted.entries(chunk.bytes, chunk.head, chunk.tail, chunk.count)
      converted.end()
      if (limits.isPackedList(converted.length, chunk.count)) {
        value.setBuilt(Kind.ListPacked, converted)
        return
      }
    }
    value.setObject(Kind.ListChunks, list)
  }
}

const text = new Uint8Array(24)

function longestText({ bytes }: ListpackBuilder): number {
  let longest = 0
  eachText(bytes, 0, (_, start, end) => {
    longest = Math.max(longest, end - start)
  })
  return longest
}

function* readCount(input: RdbInput): Generator<DecodeStep, number> {
  while (!input.count()) yield NEED_DATA
  return input.value
}

/** 0 for none, else one more than the difference to the earliest one. */
function* readExpiry(input: RdbInput, earliest: number): Generator<DecodeStep, number> {
  while (!input.count()) yield NEED_DATA
  return checkExpiry(input, input.value === 0 ? 0 : input.value + earliest - 1)
}

function checkExpiry(input: RdbInput, expiry: number): number {
  if (!(expiry >= 0 && expiry <= EXPIRY_MAX)) input.fail("malformed expiry of a field")
  return expiry
}

function* readText(input: RdbInput): Generator<DecodeStep, void> {
  while (!input.text()) yield NEED_DATA
  if (input.isLong) yield* input.gather()
}

/** A score of the oldest form: a length byte and decimal digits; 253 to 255 stand for NaN and the infinities. */
function* readTextScore(input: RdbInput): Generator<DecodeStep, number> {
  while (!input.has(1)) yield NEED_DATA
  const length = input.peek(0)
  while (!input.has(1 + (length >= 253 ? 0 : length))) yield NEED_DATA
  input.skip(1)
  if (length === 253) return Number.NaN
  if (length === 254) return Number.POSITIVE_INFINITY
  if (length === 255) return Number.NEGATIVE_INFINITY
  input.raw(length)
  return parseScore(input.bytes, input.start, input.stop)
}
