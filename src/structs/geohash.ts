/**
 * Geohash: positions as 52-bit integers whose order keeps neighbours close, so that a sorted set can be searched by area.
 *
 * A position is a longitude in ±180° and a latitude in ±85.05112878° (the square of the Mercator projection). Each axis
 * is cut into 2^26 cells; the cell numbers are interleaved, latitude in the even bits, longitude in the odd ones. That
 * integer is the score of the member (exact in a double). With fewer steps, 2^step cells per axis, it is a prefix, and
 * all positions in such a coarse cell have scores in one range.
 *
 * A search takes the coarse cell of its centre and the eight around it, of a size that covers the shape; cells that the
 * shape cannot touch are left out. The members in the score ranges of these cells are then tested one by one.
 *
 * Two values are at work that differ from the textbook because Redis chose them and replies show it: the radius of the
 * Earth, and the test for a box (height along the meridian, width along the parallel of the tested position). The
 * order of the ranges is Redis's as well: without SORT it is the order of replies.
 *
 * Nothing allocates except where said. Angles are in degrees, distances in metres unless said otherwise.
 * Sources: G. Niemeyer's geohash; the haversine formula; EPSG:3857 for the limits.
 */

export const GEO_LONGITUDE_MAX = 180
export const GEO_LATITUDE_MAX = 85.05112878
/** Steps of a full score: 26 bits per axis. */
export const GEO_STEPS = 26
/** Longest result of geoWriteDistance. */
export const GEO_DISTANCE_BYTES_MAX = 24
export const GEO_HASH_TEXT_BYTES = 11

const EARTH_RADIUS_METERS = 6372797.560856
/** Half the circumference on the Mercator map: the size of one cell at step 1. */
const MERCATOR_MAX_METERS = 20037726.37
const RADIANS_PER_DEGREE = Math.PI / 180
const LONGITUDE_SPAN = 2 * GEO_LONGITUDE_MAX
const LATITUDE_SPAN = 2 * GEO_LATITUDE_MAX
const TWO_32 = 0x1_0000_0000

/** A decoded position, owned by the caller and reused; `distance` is set by geoWithin only. */
export class GeoPoint {
  longitude = 0
  latitude = 0
  /** From the centre of the shape. */
  distance = 0
}

/** What is searched: a circle or an axis-aligned box around a centre. Sizes are in units of `metersPerUnit`. */
export class GeoShape {
  longitude = 0
  latitude = 0
  metersPerUnit = 1
  isBox = false
  radius = 0
  width = 0
  height = 0
}

/** Metres per unit for the lower-case names of units. */
export const GEO_UNITS: Readonly<Record<string, number>> = { m: 1, km: 1000, ft: 0.3048, mi: 1609.34 }

// ---- bits -----------------------------------------------------------------------------------------------------------

/** Spreads 16 bits over the even ones of 32. */
function spread(bits: number): number {
  let x = bits & 0xffff
  x = (x | (x << 8)) & 0x00ff00ff
  x = (x | (x << 4)) & 0x0f0f0f0f
  x = (x | (x << 2)) & 0x33333333
  return (x | (x << 1)) & 0x55555555
}

/** Collects the even bits of 32 into 16. */
function collect(bits: number): number {
  let x = bits & 0x55555555
  x = (x | (x >>> 1)) & 0x33333333
  x = (x | (x >>> 2)) & 0x0f0f0f0f
  x = (x | (x >>> 4)) & 0x00ff00ff
  return (x | (x >>> 8)) & 0xffff
}

/**
 * Interleaved cell numbers plus `add` (0 or 1). A cell number may be 2^step, at the upper limit of an axis, which makes
 * up to 54 bits; the sum is then rounded once, as a conversion from a 64-bit integer would be.
 */
function interleave(latitudeCell: number, longitudeCell: number, add: number): number {
  const low = (spread(latitudeCell) | (spread(longitudeCell) << 1)) >>> 0
  const high = (spread(latitudeCell >>> 16) | (spread(longitudeCell >>> 16) << 1)) >>> 0
  return high * TWO_32 + (low + add)
}

/** Cell of a coordinate on an axis of 2^steps cells; 2^steps at the very end of the axis. */
function cellOf(value: number, min: number, span: number, steps: number): number {
  return Math.floor(((value - min) / span) * 2 ** steps)
}

/** Lower edge of a cell. */
function edgeOf(cell: number, min: number, span: number, steps: number): number {
  return min + (cell / 2 ** steps) * span
}

// ---- positions ------------------------------------------------------------------------------------------------------

/** Is this a position that can be stored? False for NaN. */
export function geoIsValid(longitude: number, latitude: number): boolean {
  return (
    longitude >= -GEO_LONGITUDE_MAX &&
    longitude <= GEO_LONGITUDE_MAX &&
    latitude >= -GEO_LATITUDE_MAX &&
    latitude <= GEO_LATITUDE_MAX
  )
}

/** Score of a valid position. */
export function geoEncode(longitude: number, latitude: number): number {
  return interleave(
    cellOf(latitude, -GEO_LATITUDE_MAX, LATITUDE_SPAN, GEO_STEPS),
    cellOf(longitude, -GEO_LONGITUDE_MAX, LONGITUDE_SPAN, GEO_STEPS),
    0,
  )
}

/**
 * Centre of the cell that a score means, into `out`. Any double is allowed, since ZADD can store any: it is taken as C
 * converts it to 64 unsigned bits on x86-64, and the result is kept within the limits.
 */
export function geoDecode(score: number, out: GeoPoint): void {
  let high = 0
  let low = 0
  if (score >= -(2 ** 63) && score < 2 ** 64) {
    const whole = Math.trunc(score)
    high = Math.floor(whole / TWO_32) >>> 0
    low = whole >>> 0
  } else if (score < 0) high = 0x8000_0000
  const latitudeCell = (collect(low) | (collect(high) << 16)) >>> 0
  const longitudeCell = (collect(low >>> 1) | (collect(high >>> 1) << 16)) >>> 0
  out.longitude = middleOf(longitudeCell, GEO_LONGITUDE_MAX, LONGITUDE_SPAN)
  out.latitude = middleOf(latitudeCell, GEO_LATITUDE_MAX, LATITUDE_SPAN)
}

function middleOf(cell: number, limit: number, span: number): number {
  const edge = edgeOf(cell, -limit, span, GEO_STEPS)
  const next = edgeOf((cell + 1) >>> 0, -limit, span, GEO_STEPS)
  return Math.max(-limit, Math.min(limit, (edge + next) / 2))
}

/** Great-circle distance by the haversine formula. */
export function geoDistance(longitude1: number, latitude1: number, longitude2: number, latitude2: number): number {
  const v = Math.sin((longitude2 * RADIANS_PER_DEGREE - longitude1 * RADIANS_PER_DEGREE) / 2)
  if (v === 0) return meridianDistance(latitude1, latitude2)
  const from = latitude1 * RADIANS_PER_DEGREE
  const to = latitude2 * RADIANS_PER_DEGREE
  const u = Math.sin((to - from) / 2)
  // Between antipodes rounding can pass 1 by a little.
  const a = Math.min(1, u * u + Math.cos(from) * Math.cos(to) * v * v)
  return 2 * EARTH_RADIUS_METERS * Math.asin(Math.sqrt(a))
}

/** Distance along a meridian. */
function meridianDistance(latitude1: number, latitude2: number): number {
  return EARTH_RADIUS_METERS * Math.abs(latitude2 * RADIANS_PER_DEGREE - latitude1 * RADIANS_PER_DEGREE)
}

// ---- texts ----------------------------------------------------------------------------------------------------------

const ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
const textPoint = new GeoPoint()

/**
 * Writes the standard geohash of a score, 11 characters of 5 bits, to dst[at]; returns the offset behind it. The
 * standard has latitudes of ±90°, hence the recoding; with 52 bits at hand the last character is always "0".
 */
export function geoWriteHash(score: number, dst: Uint8Array, at: number): number {
  geoDecode(score, textPoint)
  const latitudeCell = cellOf(textPoint.latitude, -90, 180, GEO_STEPS)
  const longitudeCell = cellOf(textPoint.longitude, -GEO_LONGITUDE_MAX, LONGITUDE_SPAN, GEO_STEPS)
  // From the top: longitude and latitude bits take turns, longitude first.
  for (let i = 0; i < 10; i++) {
    let index = 0
    for (let bit = 51 - i * 5; bit > 46 - i * 5; bit--) {
      const cell = bit & 1 ? longitudeCell : latitudeCell
      index = (index << 1) | ((cell >>> (bit >>> 1)) & 1)
    }
    dst[at + i] = ALPHABET.charCodeAt(index)
  }
  dst[at + 10] = 48
  return at + GEO_HASH_TEXT_BYTES
}

/** Writes a distance (in whatever unit) with four decimals, ties to even; returns the offset behind it. */
export function geoWriteDistance(distance: number, dst: Uint8Array, at: number): number {
  const scaled = distance * 10000
  let rounded = Math.floor(scaled)
  const rest = scaled - rounded
  if (rest > 0.5 || (rest === 0.5 && rounded % 2 === 1)) rounded++
  let digits = 5
  for (let limit = 1e5; limit <= rounded; limit *= 10) digits++
  const end = at + digits + 1
  let cursor = end
  for (let i = 0; i < digits; i++) {
    if (i === 4) dst[--cursor] = 46
    const quotient = Math.floor(rounded / 10)
    dst[--cursor] = 48 + (rounded - quotient * 10)
    rounded = quotient
  }
  return end
}

/** Text of a coordinate: 17 decimals, without trailing zeros. Allocates. */
export function geoFormatCoordinate(value: number): string {
  const text = value.toFixed(17).replace(/\.?0+$/, "")
  return text === "-0" ? "0" : text
}

// ---- search ---------------------------------------------------------------------------------------------------------

/** Up to nine score ranges [min[i], max[i]), in the order in which to search them; owned by the caller and reused. */
export class GeoRanges {
  count = 0
  readonly min = new Float64Array(9)
  readonly max = new Float64Array(9)
}

/** Steps at which cells are about as large as the radius, coarser towards the poles. */
export function geoStepsForRadius(radiusMeters: number, latitude: number): number {
  if (radiusMeters === 0) return GEO_STEPS
  let steps = -1
  for (let range = radiusMeters; range < MERCATOR_MAX_METERS; range *= 2) steps++
  if (latitude > 66 || latitude < -66) {
    steps--
    if (latitude > 80 || latitude < -80) steps--
  }
  return Math.max(1, Math.min(GEO_STEPS, steps))
}

// Bounding box of the shape, filled by bound().
let west = 0
let east = 0
let south = 0
let north = 0

/** Bounding box in degrees. The width is taken at the edge nearer to the pole, where a degree is shortest. */
function bound(shape: GeoShape): void {
  const { longitude, latitude, metersPerUnit } = shape
  const height = metersPerUnit * (shape.isBox ? shape.height / 2 : shape.radius)
  const width = metersPerUnit * (shape.isBox ? shape.width / 2 : shape.radius)
  const latitudeDelta = height / EARTH_RADIUS_METERS / RADIANS_PER_DEGREE
  const edge = latitude < 0 ? latitude - latitudeDelta : latitude + latitudeDelta
  const longitudeDelta = width / EARTH_RADIUS_METERS / Math.cos(edge * RADIANS_PER_DEGREE) / RADIANS_PER_DEGREE
  west = longitude - longitudeDelta
  east = longitude + longitudeDelta
  south = latitude - latitudeDelta
  north = latitude + latitudeDelta
}

/** Moves a cell number around its axis. Only a moved one is wrapped, so that 2^steps (the axis end) stays itself. */
function moved(cell: number, by: number, steps: number): number {
  return by === 0 ? cell : (cell + by) & (2 ** steps - 1)
}

function latitudeEdge(cell: number, steps: number): number {
  return edgeOf(cell, -GEO_LATITUDE_MAX, LATITUDE_SPAN, steps)
}

function longitudeEdge(cell: number, steps: number): number {
  return edgeOf(cell, -GEO_LONGITUDE_MAX, LONGITUDE_SPAN, steps)
}

/** Does some side of the box reach past the cells around the centre's? */
function reachesPast(latitudeCell: number, longitudeCell: number, steps: number): boolean {
  return (
    latitudeEdge(moved(latitudeCell, 1, steps) + 1, steps) < north ||
    latitudeEdge(moved(latitudeCell, -1, steps), steps) > south ||
    longitudeEdge(moved(longitudeCell, 1, steps) + 1, steps) < east ||
    longitudeEdge(moved(longitudeCell, -1, steps), steps) > west
  )
}

// Steps north and east from the centre's cell, in the order of searching.
const NORTHWARD = [0, 1, -1, 0, 0, 1, 1, -1, -1]
const EASTWARD = [0, 0, 0, 1, -1, 1, -1, 1, -1]

/** The score ranges to search for a shape whose centre is valid. */
export function geoSearchRanges(shape: GeoShape, out: GeoRanges): void {
  const { longitude, latitude, metersPerUnit } = shape
  bound(shape)
  const halfWidth = shape.width / 2
  const halfHeight = shape.height / 2
  const radius = shape.isBox ? Math.sqrt(halfWidth * halfWidth + halfHeight * halfHeight) : shape.radius
  let steps = geoStepsForRadius(radius * metersPerUnit, latitude)
  let latitudeCell = cellOf(latitude, -GEO_LATITUDE_MAX, LATITUDE_SPAN, steps)
  let longitudeCell = cellOf(longitude, -GEO_LONGITUDE_MAX, LONGITUDE_SPAN, steps)
  if (steps > 1 && reachesPast(latitudeCell, longitudeCell, steps)) {
    steps--
    latitudeCell = cellOf(latitude, -GEO_LATITUDE_MAX, LATITUDE_SPAN, steps)
    longitudeCell = cellOf(longitude, -GEO_LONGITUDE_MAX, LONGITUDE_SPAN, steps)
  }
  // A side of the box inside the centre's own cell: nothing to find beyond it.
  const selective = steps >= 2
  const noSouth = selective && latitudeEdge(latitudeCell, steps) < south
  const noNorth = selective && latitudeEdge(latitudeCell + 1, steps) > north
  const noWest = selective && longitudeEdge(longitudeCell, steps) < west
  const noEast = selective && longitudeEdge(longitudeCell + 1, steps) > east

  const scale = 2 ** (2 * (GEO_STEPS - steps))
  out.count = 0
  for (let i = 0; i < 9; i++) {
    const northward = NORTHWARD[i]!
    const eastward = EASTWARD[i]!
    if ((noNorth && northward > 0) || (noSouth && northward < 0)) continue
    if ((noEast && eastward > 0) || (noWest && eastward < 0)) continue
    const latitudeMoved = moved(latitudeCell, northward, steps)
    const longitudeMoved = moved(longitudeCell, eastward, steps)
    const min = interleave(latitudeMoved, longitudeMoved, 0) * scale
    // With few cells per axis a neighbour can be the same on both sides.
    if (out.count > 1 && min === out.min[out.count - 1]) continue
    out.min[out.count] = min
    out.max[out.count] = interleave(latitudeMoved, longitudeMoved, 1) * scale
    out.count++
  }
}

/** Is the position of the score within the shape? Decodes it into `out`; the distance only when it is. */
export function geoWithin(shape: GeoShape, score: number, out: GeoPoint): boolean {
  geoDecode(score, out)
  const { longitude, latitude, metersPerUnit } = shape
  if (shape.isBox) {
    if (meridianDistance(out.latitude, latitude) > (shape.height * metersPerUnit) / 2) return false
    const across = geoDistance(out.longitude, out.latitude, longitude, out.latitude)
    if (across > (shape.width * metersPerUnit) / 2) return false
  }
  out.distance = geoDistance(longitude, latitude, out.longitude, out.latitude)
  return shape.isBox || out.distance <= shape.radius * metersPerUnit
}
