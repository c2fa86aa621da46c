/**
 * A polygon on the map, in degrees: an area to search. Its edges are straight lines in longitude and latitude, the last
 * vertex is joined to the first, and it does not reach across the 180th meridian.
 */

import { GEO_STEPS, type GeoRanges, geoEncode } from "../structs/geohash.ts"

export class GeoPolygon {
  /** The mean of the vertices: where distances are measured from. */
  longitude = 0
  latitude = 0
  private readonly longitudes: number[] = []
  private readonly latitudes: number[] = []

  addVertex(longitude: number, latitude: number): void {
    this.longitudes.push(longitude)
    this.latitudes.push(latitude)
    const count = this.longitudes.length
    this.longitude += (longitude - this.longitude) / count
    this.latitude += (latitude - this.latitude) / count
  }

  /** Whether a ray to the east crosses an odd number of edges (the even-odd rule). */
  contains(longitude: number, latitude: number): boolean {
    const { longitudes, latitudes } = this
    let inside = false
    for (let i = 0, j = longitudes.length - 1; i < longitudes.length; j = i++) {
      const south = latitudes[i]!
      const north = latitudes[j]!
      if (south > latitude === north > latitude) continue
      const crossing = longitudes[i]! + ((latitude - south) / (north - south)) * (longitudes[j]! - longitudes[i]!)
      if (longitude < crossing) inside = !inside
    }
    return inside
  }

  /** The score ranges of the cells that the corners of its bounding box lie in, cells so large that those cover the box. */
  ranges(out: GeoRanges): void {
    const west = Math.min(...this.longitudes)
    const east = Math.max(...this.longitudes)
    const south = Math.min(...this.latitudes)
    const north = Math.max(...this.latitudes)
    let steps = GEO_STEPS
    while (steps > 0 && (360 / 2 ** steps < east - west || 170 / 2 ** steps < north - south)) steps--
    const scale = 2 ** (2 * (GEO_STEPS - steps))
    out.count = 0
    for (const score of [
      geoEncode(west, south),
      geoEncode(east, south),
      geoEncode(west, north),
      geoEncode(east, north),
    ]) {
      const min = Math.floor(score / scale) * scale
      if (out.min.subarray(0, out.count).includes(min)) continue
      out.min[out.count] = min
      out.max[out.count++] = min + scale
    }
  }
}
