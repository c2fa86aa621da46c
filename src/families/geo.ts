/** Places on the Earth, kept as geohashes in the scores of a sorted set: adding them, and asking about single ones. */

import { parseDouble } from "../bytes/double.ts"
import type { Call } from "../command/context.ts"
import { NOT_FLOAT, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import {
  GEO_DISTANCE_BYTES_MAX,
  GEO_HASH_TEXT_BYTES,
  GEO_UNITS,
  GeoPoint,
  geoDecode,
  geoDistance,
  geoEncode,
  geoFormatCoordinate,
  geoIsValid,
  geoWriteDistance,
  geoWriteHash,
} from "../structs/geohash.ts"
import { addMembers, Option, pairScores, reserveScores } from "./zset-add.ts"
import { zset } from "./zset-value.ts"

const UNSUPPORTED_UNIT = "ERR unsupported unit provided. please use M, KM, FT, MI"

export const geoCommands: readonly CommandSpec[] = [
  {
    name: "geoadd",
    since: "3.2.0",
    group: "geo",
    arity: -5,
    flags: "write denyoom",
    keys: "RW update @1",
    syntax: "key [condition=NX|XX]@6.2.0 [change=CH]@6.2.0 data=(longitude:double latitude:double member)...",
    summary: "Adds places with their coordinates to a geospatial index.",
    complexity: "O(log(N)) per place, N members",
    run: geoadd,
  },
  {
    name: "geopos",
    since: "3.2.0",
    group: "geo",
    arity: -2,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key [member...]",
    summary: "Gives the coordinates of places.",
    complexity: "O(1) per member",
    run: geopos,
  },
  {
    name: "geodist",
    since: "3.2.0",
    group: "geo",
    arity: -4,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key member1 member2 [unit=M|KM|FT|MI]",
    summary: "Measures the distance between two places.",
    complexity: "O(1)",
    run: geodist,
  },
  {
    name: "geohash",
    since: "3.2.0",
    group: "geo",
    arity: -2,
    flags: "readonly",
    keys: "RO access @1",
    syntax: "key [member...]",
    summary: "Gives places as geohash strings.",
    complexity: "O(1) per member",
    run: geohash,
  },
]

const UNIT_NAMES = Object.keys(GEO_UNITS)
const here = new GeoPoint()
const there = new GeoPoint()
const text = new Uint8Array(Math.max(GEO_DISTANCE_BYTES_MAX, GEO_HASH_TEXT_BYTES) + 8)

// ---- what all geo commands read and write ---------------------------------------------------------------------------

/** Metres per unit named by argument `i`; undefined after an error reply. */
export function readUnit(call: Call, i: number): number | undefined {
  for (const name of UNIT_NAMES) if (call.args.is(i, name)) return GEO_UNITS[name]
  call.reply.error(UNSUPPORTED_UNIT)
  return undefined
}

/** Longitude and latitude from arguments `i` and `i + 1` into `out`; false after an error reply. */
export function readPosition(call: Call, i: number, out: { longitude: number; latitude: number }): boolean {
  const { args, reply } = call
  const longitude = parseDouble(args.bytes, args.starts[i]!, args.ends[i]!)
  const latitude = parseDouble(args.bytes, args.starts[i + 1]!, args.ends[i + 1]!)
  if (longitude === undefined || latitude === undefined) {
    reply.error(NOT_FLOAT)
    return false
  }
  if (!geoIsValid(longitude, latitude)) {
    reply.error(`ERR invalid longitude,latitude pair ${sixDecimals(longitude)},${sixDecimals(latitude)}`)
    return false
  }
  out.longitude = longitude
  out.latitude = latitude
  return true
}

/** As C's %f. */
function sixDecimals(value: number): string {
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf"
  return Math.abs(value) < 1e21 ? (Object.is(value, -0) ? "-" : "") + value.toFixed(6) : `${BigInt(value)}.000000`
}

/** Longitude and latitude, as a pair. */
export function replyPosition(reply: ReplyWriter, longitude: number, latitude: number): void {
  reply.array(2)
  replyCoordinate(reply, longitude)
  replyCoordinate(reply, latitude)
}

function replyCoordinate(reply: ReplyWriter, value: number): void {
  const digits = geoFormatCoordinate(value)
  if (!reply.resp3) {
    reply.bulkText(digits)
    return
  }
  reply.ensure(digits.length + 3)
  const { bytes } = reply
  bytes[reply.at++] = 0x2c
  for (let i = 0; i < digits.length; i++) bytes[reply.at++] = digits.charCodeAt(i)
  bytes[reply.at++] = 13
  bytes[reply.at++] = 10
}

export function replyDistance(reply: ReplyWriter, distance: number): void {
  reply.bulk(text, 0, geoWriteDistance(distance, text, 0))
}

// ---- commands -------------------------------------------------------------------------------------------------------

/** Goes on as the ZADD that it is. */
function geoadd(call: Call): void {
  const { args, reply } = call
  let options = 0
  let first = 2
  for (; first < args.count; first++) {
    if (args.is(first, "nx")) options |= Option.Nx
    else if (args.is(first, "xx")) options |= Option.Xx
    else if (args.is(first, "ch")) options |= Option.Changed
    else break
  }
  const places = (args.count - first) / 3
  const contradicts = (options & Option.Nx) !== 0 && (options & Option.Xx) !== 0
  if (places < 1 || !Number.isInteger(places) || contradicts) {
    reply.error(SYNTAX)
    return
  }
  reserveScores(places)
  for (let i = 0; i < places; i++) {
    if (!readPosition(call, first + i * 3, here)) return
    pairScores[i] = geoEncode(here.longitude, here.latitude)
  }
  if (addMembers(call, first + 2, 3, places, options) === 0) return
  const effect = call.propagation.effect(call.db, first + places * 2).word("ZADD")
  for (let i = 1; i < first; i++) effect.arg(args.bytes, args.starts[i]!, args.ends[i]!)
  for (let i = 0; i < places; i++) {
    const member = first + i * 3 + 2
    effect.number(pairScores[i]!).arg(args.bytes, args.starts[member]!, args.ends[member]!)
  }
}

function geopos(call: Call): void {
  if (!zset.read(call)) return
  const { args, reply } = call
  reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) {
    if (zset.findArgument(i)) {
      geoDecode(zset.score, here)
      replyPosition(reply, here.longitude, here.latitude)
    } else reply.nullArray()
  }
}

function geohash(call: Call): void {
  if (!zset.read(call)) return
  const { args, reply } = call
  reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) {
    if (zset.findArgument(i)) reply.bulk(text, 0, geoWriteHash(zset.score, text, 0))
    else reply.null()
  }
}

function geodist(call: Call): void {
  const { args, reply } = call
  if (args.count > 5) {
    reply.error(SYNTAX)
    return
  }
  const unit = args.count === 5 ? readUnit(call, 4) : 1
  if (unit === undefined || !zset.read(call)) return
  if (!zset.findArgument(2)) {
    reply.null()
    return
  }
  geoDecode(zset.score, here)
  if (!zset.findArgument(3)) {
    reply.null()
    return
  }
  geoDecode(zset.score, there)
  const meters = geoDistance(here.longitude, here.latitude, there.longitude, there.latitude)
  replyDistance(reply, meters / unit)
}
