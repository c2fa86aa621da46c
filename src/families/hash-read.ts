/** Hashes: reading many fields at once. */

import { globMatch } from "../bytes/glob.ts"
import { parseUint64 } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { INVALID_CURSOR, NOT_INTEGER, OUT_OF_RANGE_VALUE, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import { LP_EMPTY_BYTES, lpEntryEnd } from "../structs/listpack.ts"
import { bulksOfPacked, tripletExpiry, tupleEnd } from "./hash-packed.ts"
import { hash } from "./hash-store.ts"
import { bulkOfEntry, readText, textBytes, textEnd, textStart } from "./packed-entries.ts"

/** A table is asked for random fields one by one unless at least one in this many of its fields is wanted. */
const SAMPLED_ONE_IN = 3
const RANGE_MAX = 2n ** 63n - 1n
/** Estimated bytes of a HRANDFIELD reply beyond which it is refused: repetitions could make it as large as memory. */
const RANDOM_REPLY_BYTES_MAX = 2 ** 30
/** Fields taken from a table's scan at a time. */
const SCAN_BATCH = 512
const SCAN_COUNT = 10
const CURSOR_END = 2 ** 32

const addresses: number[] = []

export const hashReadCommands: readonly CommandSpec[] = [
  {
    name: "hgetall",
    since: "2.0.0",
    group: "hash",
    arity: 2,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output_order",
    syntax: "key",
    summary: "Gives all fields of a hash and their values.",
    complexity: "O(N), N fields of the hash",
    run: hgetall,
  },
  {
    name: "hkeys",
    since: "2.0.0",
    group: "hash",
    arity: 2,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output_order",
    syntax: "key",
    summary: "Lists the fields of a hash.",
    complexity: "O(N), N fields of the hash",
    run: hkeys,
  },
  {
    name: "hvals",
    since: "2.0.0",
    group: "hash",
    arity: 2,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output_order",
    syntax: "key",
    summary: "Lists the values of a hash.",
    complexity: "O(N), N fields of the hash",
    run: hvals,
  },
  {
    name: "hrandfield",
    since: "6.2.0",
    group: "hash",
    arity: -2,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key [options=count:integer [WITHVALUES]]",
    summary: "Picks random fields of a hash.",
    complexity: "O(N), N fields returned",
    run: hrandfield,
  },
  {
    name: "hscan",
    since: "2.8.0",
    group: "hash",
    arity: -3,
    flags: "readonly",
    keys: "RO access @1",
    tips: "nondeterministic_output",
    syntax: "key cursor:integer [MATCH pattern] [COUNT count:integer] [NOVALUES]",
    summary: "Walks through the fields of a hash, a bit per call.",
    complexity: "O(1) per call, O(N) for a whole walk over N fields",
    run: hscan,
  },
]

// ---- whole hashes ---------------------------------------------------------------------------------------------------

function hgetall(call: Call): void {
  readAll(call, true, true)
}

function hkeys(call: Call): void {
  readAll(call, true, false)
}

function hvals(call: Call): void {
  readAll(call, false, true)
}

function readAll(call: Call, withFields: boolean, withValues: boolean): void {
  if (!hash.read(call)) return
  const { reply } = call
  const both = withFields && withValues
  if (hash.step === 2 && (hash.table === undefined || hash.table.expirySize === 0)) {
    if (both) reply.map(hash.size)
    else reply.array(hash.size)
    writeFields(reply, withFields, withValues)
    return
  }
  const mark = reply.begin()
  const written = writeFields(reply, withFields, withValues)
  if (both) reply.endMap(mark, written)
  else reply.endArray(mark, written)
}

/** All live fields, as bulks; how many. */
function writeFields(reply: ReplyWriter, withFields: boolean, withValues: boolean): number {
  const { table } = hash
  if (!hash.exists) return 0
  if (table === undefined) {
    return bulksOfPacked(reply, hash.bytes, hash.at, hash.step, withFields, withValues, hash.liveFrom)
  }
  let written = 0
  let cursor = 0
  do {
    addresses.length = 0
    cursor = table.scan(cursor, SCAN_BATCH, addresses)
    for (let i = 0; i < addresses.length; i++) {
      const record = addresses[i]!
      if (table.expirySize !== 0 && !hash.isLive(table.expiry(record))) continue
      if (withFields) bulkOfField(reply, table, record)
      if (withValues) bulkOfValue(reply, table, record)
      written++
    }
  } while (cursor !== 0)
  addresses.length = 0
  return written
}

function bulkOfField(reply: ReplyWriter, table: ByteMap, record: number): void {
  table.readKey(record)
  reply.bulk(table.keyBytes, table.keyStart, table.keyEnd)
}

function bulkOfValue(reply: ReplyWriter, table: ByteMap, record: number): void {
  table.readValue(record)
  reply.bulk(table.valueBytes, table.valueStart, table.valueEnd)
}

// ---- random fields --------------------------------------------------------------------------------------------------

function hrandfield(call: Call): void {
  const { args, reply } = call
  if (args.count === 2) {
    if (!hash.read(call)) return
    hash.purge()
    if (hash.size === 0) reply.null()
    else writeRandom(call, 1, 1)
    return
  }
  const count = randomCount(call)
  if (Number.isNaN(count) || !hash.read(call)) return
  hash.purge()
  const withValues = args.count === 4
  const { size } = hash
  if (size === 0 || count === 0) {
    reply.array(0)
    return
  }
  const wanted = count < 0 ? -count : Math.min(count, size)
  if (count < 0 && wanted * averageBytes(withValues) > RANDOM_REPLY_BYTES_MAX) {
    reply.error(OUT_OF_RANGE_VALUE)
    return
  }
  reply.array(withValues && !reply.resp3 ? wanted * 2 : wanted)
  perField = withValues ? 2 : 1
  if (count < 0 || count === 1) writeRandom(call, wanted, perField)
  else if (hash.table === undefined) writeSubset(call, wanted)
  else writeSubsetOfTable(call, hash.table, wanted)
}
/** Bulks per field in the reply being written: 1 or 2. */
let perField = 1

/** The count argument, or NaN after an error reply; beyond 2^53 it is cut to there. */
function randomCount(call: Call): number {
  const { args, reply } = call
  const count = args.int64(2)
  if (count === undefined) {
    reply.error(NOT_INTEGER)
    return Number.NaN
  }
  if (BigInt(count) < -RANGE_MAX) {
    reply.error(`ERR value is out of range, value must between ${-RANGE_MAX} and ${RANGE_MAX}`)
    return Number.NaN
  }
  if (args.count > 4 || (args.count === 4 && !args.is(3, "withvalues"))) {
    reply.error(SYNTAX)
    return Number.NaN
  }
  if (args.count === 4 && (BigInt(count) > RANGE_MAX / 2n || BigInt(count) < -RANGE_MAX / 2n)) {
    reply.error(OUT_OF_RANGE_VALUE)
    return Number.NaN
  }
  return Number(count)
}

/** Bytes of reply that a field costs on average, in the form the hash has. */
function averageBytes(withValues: boolean): number {
  const stored = hash.table === undefined ? hash.storedBytes / hash.size : hash.table.bytes / hash.size
  return 8 + (withValues ? stored : stored / 2)
}

/** Fields chosen one by one, with repetition. */
function writeRandom(call: Call, count: number, bulks: number): void {
  const { reply, keyspace } = call
  const { table } = hash
  perField = bulks
  if (table !== undefined) {
    const nextBelow = (n: number): number => keyspace.random.nextBelow(n)
    for (let i = 0; i < count; i++) writeRecord(reply, table, table.randomAddress(nextBelow))
    return
  }
  const places = tuplePlaces()
  for (let i = 0; i < count; i++) writeTuple(reply, places[keyspace.random.nextBelow(places.length)]!)
}

/** `count` different fields of a packed hash, in their order: each is taken with the chance that is left for it. */
function writeSubset(call: Call, count: number): void {
  const { reply, keyspace } = call
  let wanted = count
  let left = hash.size
  let field = hash.at + LP_EMPTY_BYTES - 1
  while (wanted > 0) {
    if (keyspace.random.nextBelow(left) < wanted) {
      writeTuple(reply, field)
      wanted--
    }
    left--
    field = tupleEnd(hash.bytes, field, hash.step)
  }
}

/** `count` different fields of a table: drawn until enough, or all but those drawn, whichever is less work. */
function writeSubsetOfTable(call: Call, table: ByteMap, count: number): void {
  const { reply, keyspace } = call
  if (count * SAMPLED_ONE_IN <= table.size) {
    const nextBelow = (n: number): number => keyspace.random.nextBelow(n)
    const taken = new Set<number>()
    while (taken.size < count) {
      const record = table.randomAddress(nextBelow)
      if (taken.has(record)) continue
      taken.add(record)
      writeRecord(reply, table, record)
    }
    return
  }
  const all: number[] = []
  let cursor = 0
  do cursor = table.scan(cursor, SCAN_BATCH, all)
  while (cursor !== 0)
  for (let i = 0; i < count; i++) {
    if (count < all.length) {
      const chosen = i + keyspace.random.nextBelow(all.length - i)
      const record = all[chosen]!
      all[chosen] = all[i]!
      all[i] = record
    }
    writeRecord(reply, table, all[i]!)
  }
}

/** Offsets of all field entries of a packed hash. */
function tuplePlaces(): number[] {
  const places: number[] = []
  const { bytes, step, size } = hash
  let field = hash.at + LP_EMPTY_BYTES - 1
  for (let i = 0; i < size; i++) {
    places.push(field)
    field = tupleEnd(bytes, field, step)
  }
  return places
}

function writeTuple(reply: ReplyWriter, field: number): void {
  if (perField === 2 && reply.resp3) reply.array(2)
  bulkOfEntry(reply, hash.bytes, field)
  if (perField === 2) bulkOfEntry(reply, hash.bytes, lpEntryEnd(hash.bytes, field))
}

function writeRecord(reply: ReplyWriter, table: ByteMap, record: number): void {
  if (perField === 2 && reply.resp3) reply.array(2)
  bulkOfField(reply, table, record)
  if (perField === 2) bulkOfValue(reply, table, record)
}

// ---- scanning -------------------------------------------------------------------------------------------------------

/** A table is walked in the order of its hashes, the cursor being the next one; packed forms come whole. */
function hscan(call: Call): void {
  const { args, reply } = call
  const given = parseUint64(args.bytes, args.starts[2]!, args.ends[2]!)
  if (given === undefined) {
    reply.error(INVALID_CURSOR)
    return
  }
  if (!hash.read(call)) return
  if (!hash.exists) {
    reply.array(2)
    reply.bulkText("0")
    reply.array(0)
    return
  }
  let count = SCAN_COUNT
  let pattern = -1
  let withValues = true
  for (let i = 3; i < args.count; i++) {
    const hasNext = i + 1 < args.count
    if (hasNext && args.is(i, "count")) {
      count = call.integer(++i)
      if (Number.isNaN(count)) return
      if (count < 1) {
        reply.error(SYNTAX)
        return
      }
    } else if (hasNext && args.is(i, "match")) pattern = isStar(args, ++i) ? -1 : i
    else if (args.is(i, "novalues")) withValues = false
    else {
      reply.error(SYNTAX)
      return
    }
  }
  if (hash.table === undefined) scanPacked(call, pattern, withValues)
  else scanTable(call, hash.table, Number(given), count, pattern, withValues)
}

function scanPacked(call: Call, pattern: number, withValues: boolean): void {
  const { reply } = call
  reply.array(2)
  reply.bulkText("0")
  const mark = reply.begin()
  let written = 0
  const { bytes, step, size } = hash
  let field = hash.at + LP_EMPTY_BYTES - 1
  for (let i = 0; i < size; i++) {
    const isDue = step === 3 && !hash.isLive(tripletExpiry(bytes, field))
    readText(bytes, field)
    if (!isDue && matches(call, pattern, textBytes, textStart, textEnd)) {
      reply.bulk(textBytes, textStart, textEnd)
      if (withValues) bulkOfEntry(reply, bytes, lpEntryEnd(bytes, field))
      written += withValues ? 2 : 1
    }
    field = tupleEnd(bytes, field, step)
  }
  reply.endArray(mark, written)
}

function scanTable(
  call: Call,
  table: ByteMap,
  from: number,
  count: number,
  pattern: number,
  withValues: boolean,
): void {
  const { reply } = call
  const found: number[] = []
  const next = from < CURSOR_END ? table.scan(from, count, found) : 0
  reply.array(2)
  reply.bulkInteger(next)
  const mark = reply.begin()
  let written = 0
  for (const record of found) {
    if (table.expirySize !== 0 && !hash.isLive(table.expiry(record))) continue
    table.readKey(record)
    if (!matches(call, pattern, table.keyBytes, table.keyStart, table.keyEnd)) continue
    bulkOfField(reply, table, record)
    if (withValues) bulkOfValue(reply, table, record)
    written += withValues ? 2 : 1
  }
  reply.endArray(mark, written)
}

/** "*" means no pattern at all: by the rules of patterns it would not match the empty field. */
function isStar(args: Arguments, i: number): boolean {
  return args.length(i) === 1 && args.bytes[args.starts[i]!] === 0x2a
}

/** Whether a field matches the pattern that is argument `pattern`, -1 for none. */
function matches(call: Call, pattern: number, bytes: Uint8Array, start: number, end: number): boolean {
  if (pattern < 0) return true
  const { args } = call
  return globMatch(args.bytes, args.starts[pattern]!, args.ends[pattern]!, bytes, start, end)
}
