/**
 * Searching for places: within a circle, a box or a polygon.
 *
 * The score ranges that may hold places of the area are walked through, each member there is tested, and the hits are
 * gathered, sorted, and replied or stored.
 */

import { parseDouble } from "../bytes/double.ts"
import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { ValueType } from "../keyspace/kinds.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { GeoPoint, GeoRanges, GeoShape, geoDecode, geoDistance, geoSearchRanges } from "../structs/geohash.ts"
import { readPosition, readUnit, replyDistance, replyPosition } from "./geo.ts"
import { GeoHits } from "./geo-hits.ts"
import { GeoPolygon } from "./geo-polygon.ts"
import { result } from "./zset-result.ts"
import { replyMember } from "./zset-score.ts"
import { cursor, zset } from "./zset-value.ts"

const NO_MEMBER = "ERR could not decode requested zset member"
/** Against rounding, where places are turned away early: a factor, and degrees. */
const MARGIN = 1 + 1e-9
const MARGIN_DEGREES = 1e-9
const RADIANS_PER_DEGREE = Math.PI / 180
/** Along a meridian. */
const METERS_PER_DEGREE = geoDistance(0, 0, 0, 1)
/** Bytes of arguments that a polygon may have is bounded by the query; its vertices by this. */
const VERTICES_MAX = 1 << 16

export const geoSearchCommands: readonly CommandSpec[] = [
  {
    name: "geosearch",
    since: "6.2.0",
    group: "geo",
    arity: -7,
    flags: "readonly",
    keys: "RO access @1",
    syntax:
      "key from=(FROMMEMBER member|FROMLONLAT(longitude:double latitude:double)) " +
      "by=(circle=(BYRADIUS radius:double unit=(M|KM|FT|MI))|" +
      "box=(BYBOX width:double height:double unit=(M|KM|FT|MI))|" +
      "polygon=(BYPOLYGON num-vertices:integer vertices=(longitude:double latitude:double)...)) [order=ASC|DESC] " +
      "[count-block=COUNT count:integer [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
    summary: "Finds the places within a circle, a box or a polygon.",
    complexity: "O(N+log(M)), N members in the cells around the shape, M members within it",
    run: geosearch,
  },
  {
    name: "geosearchstore",
    since: "6.2.0",
    group: "geo",
    arity: -8,
    flags: "write denyoom",
    keys: "OW update @1; RO access @2",
    syntax:
      "destination:key source:key from=(FROMMEMBER member|FROMLONLAT(longitude:double latitude:double)) " +
      "by=(circle=(BYRADIUS radius:double unit=(M|KM|FT|MI))|" +
      "box=(BYBOX width:double height:double unit=(M|KM|FT|MI))|" +
      "polygon=(BYPOLYGON num-vertices:integer vertices=(longitude:double latitude:double)...)) [order=ASC|DESC] " +
      "[count-block=COUNT count:integer [ANY]] [STOREDIST]",
    summary: "Stores the places within a circle, a box or a polygon.",
    complexity: "O(N+log(M)), N members in the cells around the shape, M members within it",
    run: geosearchstore,
  },
  {
    name: "georadius",
    since: "3.2.0",
    group: "geo",
    arity: -6,
    flags: "write denyoom",
    keys: "RO access @1; OW update STORE@6; OW update STOREDIST@6",
    syntax:
      "key longitude:double latitude:double radius:double unit=M|KM|FT|MI [WITHCOORD] [WITHDIST] " +
      "[WITHHASH] [count-block=COUNT count:integer [ANY]@6.2.0] [order=ASC|DESC] " +
      "[store=STORE storekey:key~key|STOREDIST storedistkey:key~key]",
    summary: "Finds or stores the places around a position.",
    complexity: "O(N+log(M)), N members in the bounding box, M members in the index",
    deprecated: { since: "6.2.0", replacedBy: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument" },
    run: georadius,
  },
  {
    name: "georadius_ro",
    since: "3.2.10",
    group: "geo",
    arity: -6,
    flags: "readonly",
    keys: "RO access @1",
    syntax:
      "key longitude:double latitude:double radius:double unit=M|KM|FT|MI [WITHCOORD] [WITHDIST] " +
      "[WITHHASH] [count-block=COUNT count:integer [ANY]@6.2.0] [order=ASC|DESC]",
    summary: "Finds the places around a position.",
    complexity: "O(N+log(M)), N members in the bounding box, M members in the index",
    deprecated: { since: "6.2.0", replacedBy: "`GEOSEARCH` with the `BYRADIUS` argument" },
    run: georadiusRo,
  },
  {
    name: "georadiusbymember",
    since: "3.2.0",
    group: "geo",
    arity: -5,
    flags: "write denyoom",
    keys: "RO access @1; OW update STORE@5; OW update STOREDIST@5",
    syntax:
      "key member radius:double unit=M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] " +
      "[count-block=COUNT count:integer [ANY]] [order=ASC|DESC] " +
      "[store=STORE storekey:key~key|STOREDIST storedistkey:key~key]",
    summary: "Finds or stores the places around another place.",
    complexity: "O(N+log(M)), N members in the bounding box, M members in the index",
    deprecated: {
      since: "6.2.0",
      replacedBy: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
    },
    run: georadiusbymember,
  },
  {
    name: "georadiusbymember_ro",
    since: "3.2.10",
    group: "geo",
    arity: -5,
    flags: "readonly",
    keys: "RO access @1",
    syntax:
      "key member radius:double unit=M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] " +
      "[count-block=COUNT count:integer [ANY]] [order=ASC|DESC]",
    summary: "Finds the places around another place.",
    complexity: "O(N+log(M)), N members in the bounding box, M members in the index",
    deprecated: { since: "6.2.0", replacedBy: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments" },
    run: georadiusbymemberRo,
  },
]

/** Which command it is, as bits. */
const Form = { Position: 1, Member: 2, Search: 4, Store: 8, ReadOnly: 16 } as const

function geosearch(call: Call): void {
  search(call, 1, Form.Search)
}

function geosearchstore(call: Call): void {
  search(call, 2, Form.Search | Form.Store)
}

function georadius(call: Call): void {
  search(call, 1, Form.Position)
}

function georadiusRo(call: Call): void {
  search(call, 1, Form.Position | Form.ReadOnly)
}

function georadiusbymember(call: Call): void {
  search(call, 1, Form.Member)
}

function georadiusbymemberRo(call: Call): void {
  search(call, 1, Form.Member | Form.ReadOnly)
}

const Order = { None: 0, Ascending: 1, Descending: 2 } as const
type Order = (typeof Order)[keyof typeof Order]

const shape = new GeoShape()
const ranges = new GeoRanges()
const point = new GeoPoint()
const hits = new GeoHits()

/** What the arguments of the running command ask for. */
let polygon: GeoPolygon | undefined
let order: Order = Order.None
let count = 0
let any = false
let withDistance = false
let withHash = false
let withPosition = false
/** Argument with the destination, 0 for none. */
let destination = 0
let storesDistance = false
/** Has a position, has an area: given by options that may come but once. */
let fromMember = false
let fromPosition = false
let byRadius = false
let byBox = false

function search(call: Call, source: number, form: number): void {
  // Another type is an error before any other; a missing key is not yet one.
  if (!zset.open(call, source, call.readTyped(source, ValueType.Zset))) return
  reset(form)
  const options = readFixedArguments(call, form)
  if (options < 0 || !readOptions(call, options, form)) return
  const conflict = conflictOf(call, form)
  if (conflict !== undefined) {
    call.reply.error(conflict)
    return
  }
  hits.reset()
  if (zset.exists) find()
  // Counting without an order would make little sense.
  if (count > 0 && order === Order.None && !any) order = Order.Ascending
  const wanted = count > 0 ? Math.min(count, hits.count) : hits.count
  if (order === Order.None) hits.orderAsFound()
  else hits.orderByDistance(wanted, order === Order.Descending)
  if (destination > 0) store(call, wanted, form)
  else replyHits(call.reply, wanted)
}

// ---- arguments ------------------------------------------------------------------------------------------------------

function reset(form: number): void {
  polygon = undefined
  order = Order.None
  count = 0
  any = withDistance = withHash = withPosition = storesDistance = false
  fromMember = fromPosition = byRadius = byBox = false
  destination = (form & Form.Store) !== 0 ? 1 : 0
  shape.isBox = false
  shape.metersPerUnit = 1
}

/** Centre and radius of the older commands; returns the first argument of the options, -1 after an error reply. */
function readFixedArguments(call: Call, form: number): number {
  if ((form & Form.Position) !== 0) {
    return readPosition(call, 2, shape) && readRadius(call, 4) ? 6 : -1
  }
  if ((form & Form.Member) !== 0) {
    if (!zset.exists) return 5
    return readMember(call, 2) && readRadius(call, 3) ? 5 : -1
  }
  return (form & Form.Store) !== 0 ? 3 : 2
}

/** False after an error reply. */
function readMember(call: Call, i: number): boolean {
  if (!zset.findArgument(i)) {
    call.reply.error(NO_MEMBER)
    return false
  }
  geoDecode(zset.score, point)
  shape.longitude = point.longitude
  shape.latitude = point.latitude
  return true
}

/** A number from argument `i`, undefined after an error reply. */
function readSize(call: Call, i: number, what: string): number | undefined {
  const { args } = call
  const size = parseDouble(args.bytes, args.starts[i]!, args.ends[i]!)
  if (size === undefined) call.reply.error(`ERR need numeric ${what}`)
  return size
}

/** Radius and unit from arguments `i` and `i + 1`. */
function readRadius(call: Call, i: number): boolean {
  const radius = readSize(call, i, "radius")
  if (radius === undefined) return false
  if (radius < 0) {
    call.reply.error("ERR radius cannot be negative")
    return false
  }
  const unit = readUnit(call, i + 1)
  if (unit === undefined) return false
  shape.isBox = false
  shape.radius = radius
  shape.metersPerUnit = unit
  return true
}

/** Width, height and unit from argument `i` on. */
function readBox(call: Call, i: number): boolean {
  const width = readSize(call, i, "width")
  if (width === undefined) return false
  const height = readSize(call, i + 1, "height")
  if (height === undefined) return false
  if (width < 0 || height < 0) {
    call.reply.error("ERR height or width cannot be negative")
    return false
  }
  const unit = readUnit(call, i + 2)
  if (unit === undefined) return false
  shape.isBox = true
  shape.width = width
  shape.height = height
  shape.metersPerUnit = unit
  return true
}

/** Number of vertices and the vertices from argument `i` on; returns how many arguments those are, 0 after an error reply. */
function readPolygon(call: Call, i: number): number {
  const { args, reply } = call
  const vertices = call.integer(i)
  if (Number.isNaN(vertices)) return 0
  if (vertices < 3) {
    reply.error("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices")
    return 0
  }
  if (vertices > VERTICES_MAX || i + vertices * 2 >= args.count) {
    reply.error(SYNTAX)
    return 0
  }
  polygon = new GeoPolygon()
  for (let v = 0; v < vertices; v++) {
    if (!readPosition(call, i + 1 + v * 2, point)) return 0
    polygon.addVertex(point.longitude, point.latitude)
  }
  return 1 + vertices * 2
}

/** False after an error reply. */
function readOptions(call: Call, first: number, form: number): boolean {
  for (let i = first; i < call.args.count; ) {
    const taken = readOption(call, i, form)
    if (taken === 0) return false
    i += taken
  }
  return true
}

/** Reads the option that is argument `i`; how many arguments it takes, 0 after an error reply. */
function readOption(call: Call, i: number, form: number): number {
  const { args, reply } = call
  const behind = args.count - i - 1
  if (args.is(i, "withdist")) withDistance = true
  else if (args.is(i, "withhash")) withHash = true
  else if (args.is(i, "withcoord")) withPosition = true
  else if (args.is(i, "any")) any = true
  else if (args.is(i, "asc")) order = Order.Ascending
  else if (args.is(i, "desc")) order = Order.Descending
  else if (args.is(i, "count") && behind > 0) {
    count = call.integer(i + 1)
    if (Number.isNaN(count)) return 0
    if (count > 0) return 2
    reply.error("ERR COUNT must be > 0")
    return 0
  } else if ((form & Form.Search) !== 0) return readSearchOption(call, i, form)
  else if (behind > 0 && (form & Form.ReadOnly) === 0 && (args.is(i, "store") || args.is(i, "storedist"))) {
    destination = i + 1
    storesDistance = args.length(i) > "store".length
    return 2
  } else {
    reply.error(SYNTAX)
    return 0
  }
  return 1
}

/** As `readOption`, for those of GEOSEARCH and GEOSEARCHSTORE alone. */
function readSearchOption(call: Call, i: number, form: number): number {
  const { args } = call
  const behind = args.count - i - 1
  if (args.is(i, "storedist") && (form & Form.Store) !== 0) {
    storesDistance = true
    return 1
  }
  if (polygon === undefined) {
    if (args.is(i, "frommember") && behind > 0 && !fromPosition) {
      // Without a key the options are still checked, and then nothing is found.
      if (zset.exists && !readMember(call, i + 1)) return 0
      fromMember = true
      return 2
    }
    if (args.is(i, "fromlonlat") && behind > 1 && !fromMember) {
      fromPosition = readPosition(call, i + 1, shape)
      return fromPosition ? 3 : 0
    }
    if (args.is(i, "byradius") && behind > 1 && !byBox) {
      byRadius = readRadius(call, i + 1)
      return byRadius ? 3 : 0
    }
    if (args.is(i, "bybox") && behind > 2 && !byRadius) {
      byBox = readBox(call, i + 1)
      return byBox ? 4 : 0
    }
    if (args.is(i, "bypolygon") && behind > 0 && !fromMember && !fromPosition && !byRadius && !byBox) {
      const taken = readPolygon(call, i + 1)
      return taken > 0 ? taken + 1 : 0
    }
  }
  call.reply.error(SYNTAX)
  return 0
}

function conflictOf(call: Call, form: number): string | undefined {
  if (destination > 0 && (withDistance || withHash || withPosition)) {
    const name = (form & Form.Store) !== 0 ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS"
    return `ERR ${name} is not compatible with WITHDIST, WITHHASH and WITHCOORD options`
  }
  if ((form & Form.Search) !== 0 && polygon === undefined) {
    const name = call.args.latin1(0)
    if (!fromMember && !fromPosition) {
      return `ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ${name}`
    }
    if (!byRadius && !byBox) return `ERR exactly one of BYRADIUS and BYBOX can be specified for ${name}`
  }
  return any && count === 0 ? "ERR the ANY argument requires COUNT argument" : undefined
}

// ---- searching ------------------------------------------------------------------------------------------------------

/** Gathers the hits; with ANY no more than are wanted. */
function find(): void {
  const most = any ? count : Number.POSITIVE_INFINITY
  if (polygon === undefined) {
    geoSearchRanges(shape, ranges)
    reach()
  } else polygon.ranges(ranges)
  for (let i = 0; i < ranges.count && hits.count < most; i++) {
    const max = ranges.max[i]!
    let more = cursor.seek(zset, zset.countBelow(ranges.min[i]!, false))
    for (; more && cursor.score < max && hits.count < most; more = cursor.next()) test()
  }
  cursor.release()
}

/** How far the shape reaches from its centre: in degrees, with a margin for rounding, and in metres. */
let latitudeReach = 0
let longitudeReach = 0
let radiusMeters = 0
let halfWidthMeters = 0
let halfHeightMeters = 0

function reach(): void {
  const { metersPerUnit } = shape
  radiusMeters = shape.radius * metersPerUnit
  halfWidthMeters = (shape.width * metersPerUnit) / 2
  halfHeightMeters = (shape.height * metersPerUnit) / 2
  latitudeReach = ((shape.isBox ? halfHeightMeters : radiusMeters) / METERS_PER_DEGREE) * MARGIN + MARGIN_DEGREES
  const centre = Math.abs(shape.latitude)
  const top = centre + latitudeReach
  longitudeReach = 180
  if (top >= 90) return
  const angle = Math.min(90, (shape.isBox ? halfWidthMeters / 2 : radiusMeters) / METERS_PER_DEGREE)
  const sine = Math.sin(angle * RADIANS_PER_DEGREE) / Math.cos((shape.isBox ? top : centre) * RADIANS_PER_DEGREE)
  // A circle is as wide as its widest parallel; a box has its width on every parallel, which is most degrees at its top.
  if (sine < 1)
    longitudeReach = ((shape.isBox ? 2 : 1) * Math.asin(sine) * MARGIN) / RADIANS_PER_DEGREE + MARGIN_DEGREES
}

/**
 * Whether the place of a score is within the shape; decodes it into `point`. As `geoWithin`, to the last bit, but most of
 * what lies outside is turned away before the trigonometry.
 */
function isWithin(score: number): boolean {
  geoDecode(score, point)
  const { longitude, latitude } = point
  if (Math.abs(latitude - shape.latitude) > latitudeReach) return false
  const across = Math.abs(longitude - shape.longitude)
  if (across > longitudeReach && 360 - across > longitudeReach) return false
  if (shape.isBox) {
    if (geoDistance(0, latitude, 0, shape.latitude) > halfHeightMeters) return false
    if (geoDistance(longitude, latitude, shape.longitude, latitude) > halfWidthMeters) return false
  }
  point.distance = geoDistance(shape.longitude, shape.latitude, longitude, latitude)
  return shape.isBox || point.distance <= radiusMeters
}

/** Takes the member at the cursor if it is within the area. */
function test(): void {
  const { bytes, start, end, score } = cursor
  if (polygon === undefined) {
    if (!isWithin(score)) return
  } else {
    geoDecode(score, point)
    if (!polygon.contains(point.longitude, point.latitude)) return
    point.distance = geoDistance(polygon.longitude, polygon.latitude, point.longitude, point.latitude)
  }
  hits.add(bytes, start, end, score, point.longitude, point.latitude, point.distance)
}

// ---- results --------------------------------------------------------------------------------------------------------

function replyHits(reply: ReplyWriter, wanted: number): void {
  const options = (withDistance ? 1 : 0) + (withHash ? 1 : 0) + (withPosition ? 1 : 0)
  const { bytes, ends, places, distances, scores, longitudes, latitudes } = hits
  reply.array(wanted)
  for (let i = 0; i < wanted; i++) {
    const place = places[i]!
    if (options > 0) reply.array(options + 1)
    replyMember(reply, bytes, hits.startOf(place), ends[place]!)
    if (withDistance) replyDistance(reply, distances[place]! / shape.metersPerUnit)
    if (withHash) reply.int64(wholeOf(scores[place]!))
    if (withPosition) replyPosition(reply, longitudes[place]!, latitudes[place]!)
  }
}

/** A score cut to a 64-bit integer. */
function wholeOf(score: number): number | bigint {
  const whole = Math.trunc(score)
  if (Number.isSafeInteger(whole)) return whole
  // What the conversion gives on x86-64 when the value does not fit.
  return Math.abs(whole) < 2 ** 63 ? BigInt(whole) : -(2n ** 63n)
}

function store(call: Call, wanted: number, form: number): void {
  const { bytes, ends, places, distances, scores } = hits
  result.begin(call)
  for (let i = 0; i < wanted; i++) {
    const place = places[i]!
    const score = storesDistance ? distances[place]! / shape.metersPerUnit : scores[place]!
    result.add(bytes, hits.startOf(place), ends[place]!, score)
  }
  const stored = result.store(destination, (form & Form.Search) !== 0 ? "geosearchstore" : "georadiusstore")
  if (stored > 0) call.keyspace.events.dirty += stored - 1
  call.reply.integer(stored)
}
