import { describe, expect, test } from "bun:test"
import {
  GEO_LATITUDE_MAX,
  GEO_UNITS,
  GeoPoint,
  GeoRanges,
  GeoShape,
  geoDecode,
  geoDistance,
  geoEncode,
  geoFormatCoordinate,
  geoIsValid,
  geoSearchRanges,
  geoStepsForRadius,
  geoWithin,
  geoWriteDistance,
  geoWriteHash,
} from "../../src/structs/geohash.ts"

function written(write: (dst: Uint8Array, at: number) => number): string {
  const dst = new Uint8Array(40).fill(0x21)
  const end = write(dst, 3)
  expect([dst[2], dst[end]]).toEqual([0x21, 0x21])
  return Buffer.from(dst.subarray(3, end)).toString("latin1")
}

function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

// name, longitude and latitude given to GEOADD; then ZSCORE, GEOPOS, GEOHASH and GEODIST from Palermo, by Redis 7.0.
// biome-ignore format: a table
const PLACES: [string, number, number, number, string, string, string, string][] = [
  ["Palermo", 13.361389, 38.115556, 3479099956230698, "13.36138933897018433", "38.11555639549629859", "sqc8b49rny0", "0.0000"],
  ["Catania", 15.087269, 37.502669, 3479447370796909, "15.08726745843887329", "37.50266842333162032", "sqdtr74hyu0", "166274.1516"],
  ["edge1", 12.75, 38.788135, 3479273014833188, "12.75000125169754028", "38.78813451624225195", "sqchdjhm280", "91827.3617"],
  ["edge2", 17.24151, 38.788135, 3481342659049484, "17.24151045083999634", "38.78813451624225195", "squk8m4vk20", "346127.3044"],
  ["London", -0.1278, 51.5074, 2163557714755072, "-0.12779921293258667", "51.50740077990133159", "gcpvj0duq50", "1824424.1366"],
  ["Sydney", 151.2093, -33.8688, 3252046221964352, "151.20929986238479614", "-33.86880091934155956", "r3gx2f77bj0", "16230616.4547"],
  ["Suva", 178.4419, -18.1416, 3355223389513959, "178.44190210103988647", "-18.1415987989430576", "ruybu93mt80", "17368557.7661"],
  ["Apia", -171.7667, -13.8333, 358966618710264, "-171.76669925451278687", "-13.83330029303957076", "2jtc73er1v0", "17272906.0025"],
  ["Tromso", 18.9553, 69.6492, 3745107208087088, "18.95530253648757935", "69.64920108917655739", "ukmkpr6b480", "3523215.7834"],
  ["Longyearbyen", 15.6356, 78.2232, 3757806449814186, "15.63560217618942261", "78.22319957717968464", "umgj5b17pv0", "4462275.7610"],
  ["Ushuaia", -68.303, -54.8019, 650595395073383, "-68.30300241708755493", "-54.80189953730982211", "4qr2jxx7b90", "12904229.0162"],
  ["corner", 180, 85.05112878, 13510798882111488, "180", "85.0511287799999991", "bp05b5048p0", "6307362.7206"],
  ["origin", -180, -85.05112878, 0, "-179.99999731779098511", "-85.05112751263942528", "00bh0hbj200", "14784257.5187"],
  ["null", 0, 0, 3377699720527872, "0.00000268220901489", "0.00000126736058093", "s0000000000", "4454733.0204"],
]

// Unit, longitude, latitude, radius or [width, height]; then GEOSEARCH ... WITHDIST over the places, in Redis's order.
// biome-ignore format: a table
const SEARCHES: [string, number, number, number | [number, number], string[]][] = [
  ["km", 15, 37, 200, ["Palermo 190.4424", "Catania 56.4413"]],
  ["km", 15, 37, [400, 400], ["Palermo 190.4424", "edge1 280.2647", "Catania 56.4413", "edge2 279.7403"]],
  ["m", 13.361389338970184, 38.1155563954963, 0, ["Palermo 0.0000"]],
  ["km", 10, 50, 5000, ["Palermo 1348.5221", "edge1 1265.8262", "Catania 1448.0010", "edge2 1371.8799",
    "Tromso 2236.5783", "Longyearbyen 3147.6966", "London 731.4764"]],
  ["mi", 179, -20, 3000, ["Sydney 1952.7705", "Suva 133.5123", "Apia 744.2188"]],
  ["km", 0, 0, 20000, ["null 0.0003", "Palermo 4454.7332", "edge1 4506.2165", "Catania 4449.6961", "edge2 4659.1422",
    "Tromso 7874.5400", "Longyearbyen 8749.6045", "Sydney 15203.7386", "Suva 17995.7322", "London 5728.9902",
    "origin 10560.8118", "Apia 18234.7868", "Ushuaia 8641.8562"]],
  ["km", 20, 75, [3000, 2000], ["Tromso 596.1711", "Longyearbyen 375.4657"]],
  ["ft", -100, -60, [30000000, 20000000], ["origin 10767930.7625", "Ushuaia 6442673.5144"]],
  ["km", -179, -16, 1500, ["Apia 813.8315", "Suva 361.5355"]],
]

describe("geohash against Redis 7.0", () => {
  test("scores, positions, texts and distances", () => {
    const palermo = new GeoPoint()
    geoDecode(PLACES[0]![3], palermo)
    const point = new GeoPoint()
    for (const [name, longitude, latitude, score, longitudeText, latitudeText, hash, distance] of PLACES) {
      expect([name, geoEncode(longitude, latitude)]).toEqual([name, score])
      geoDecode(score, point)
      expect(geoFormatCoordinate(point.longitude)).toBe(longitudeText)
      expect(geoFormatCoordinate(point.latitude)).toBe(latitudeText)
      expect(written((dst, at) => geoWriteHash(score, dst, at))).toBe(hash)
      const meters = geoDistance(palermo.longitude, palermo.latitude, point.longitude, point.latitude)
      expect(written((dst, at) => geoWriteDistance(meters, dst, at))).toBe(distance)
    }
  })

  test("searches, in order", () => {
    const shape = new GeoShape()
    const ranges = new GeoRanges()
    const point = new GeoPoint()
    const sorted = [...PLACES].sort((a, b) => a[3] - b[3])
    for (const [unit, longitude, latitude, size, expected] of SEARCHES) {
      shape.longitude = longitude
      shape.latitude = latitude
      shape.metersPerUnit = GEO_UNITS[unit]!
      shape.isBox = typeof size !== "number"
      if (typeof size === "number") shape.radius = size
      else [shape.width, shape.height] = size
      geoSearchRanges(shape, ranges)
      const found: string[] = []
      for (let i = 0; i < ranges.count; i++) {
        for (const [name, , , score] of sorted) {
          if (score < ranges.min[i]! || score >= ranges.max[i]! || !geoWithin(shape, score, point)) continue
          found.push(`${name} ${written((dst, at) => geoWriteDistance(point.distance / shape.metersPerUnit, dst, at))}`)
        }
      }
      expect(found).toEqual(expected)
    }
  })
})

describe("geohash", () => {
  test("interleaves as one bit after the other would", () => {
    const random = randomFrom(21)
    for (let round = 0; round < 2000; round++) {
      const longitude = random() * 360 - 180
      const latitude = (random() * 2 - 1) * GEO_LATITUDE_MAX
      const x = Math.floor(((longitude + 180) / 360) * 2 ** 26)
      const y = Math.floor(((latitude + GEO_LATITUDE_MAX) / (2 * GEO_LATITUDE_MAX)) * 2 ** 26)
      let bits = 0n
      for (let i = 25; i >= 0; i--) bits = (bits << 2n) | (BigInt((x >> i) & 1) << 1n) | BigInt((y >> i) & 1)
      expect(geoEncode(longitude, latitude)).toBe(Number(bits))
    }
  })

  test("a decoded position lies in the cell of the given one", () => {
    const random = randomFrom(22)
    const point = new GeoPoint()
    for (let round = 0; round < 2000; round++) {
      const longitude = random() * 360 - 180
      const latitude = (random() * 2 - 1) * GEO_LATITUDE_MAX
      const score = geoEncode(longitude, latitude)
      geoDecode(score, point)
      expect(Math.abs(point.longitude - longitude)).toBeLessThan(360 / 2 ** 26)
      expect(Math.abs(point.latitude - latitude)).toBeLessThan(171 / 2 ** 26)
      expect(geoEncode(point.longitude, point.latitude)).toBe(score)
    }
  })

  test("any double decodes to a position within the limits", () => {
    const point = new GeoPoint()
    const odd = [-1, -0.5, 0.9, 2 ** 52, 2 ** 53, 2 ** 62, 2 ** 63, 2 ** 64, 1e300, -(2 ** 63), -1e300]
    for (const score of [...odd, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      geoDecode(score, point)
      expect(geoIsValid(point.longitude, point.latitude)).toBe(true)
      expect(written((dst, at) => geoWriteHash(score, dst, at)).length).toBe(11)
    }
  })

  test("validity of positions", () => {
    expect(geoIsValid(180, 85.05112878)).toBe(true)
    expect(geoIsValid(-180, -85.05112878)).toBe(true)
    expect(geoIsValid(180.0000001, 0)).toBe(false)
    expect(geoIsValid(0, 85.06)).toBe(false)
    expect(geoIsValid(Number.NaN, 0)).toBe(false)
    expect(geoIsValid(0, Number.NaN)).toBe(false)
  })

  test("distances: same point, same meridian, antipodes", () => {
    expect(geoDistance(10, 20, 10, 20)).toBe(0)
    expect(geoDistance(10, 0, 10, 90)).toBeCloseTo((6372797.560856 * Math.PI) / 2, 6)
    expect(geoDistance(0, 0, 180, 0)).toBeCloseTo(6372797.560856 * Math.PI, 6)
    const random = randomFrom(23)
    for (let round = 0; round < 5000; round++) {
      const longitude = random() * 180
      const latitude = (random() * 2 - 1) * 85
      const far = geoDistance(longitude, latitude, longitude - 180, -latitude)
      expect(far).toBeGreaterThan(6372797 * Math.PI - 1)
    }
  })

  test("distances as text", () => {
    const text = (distance: number) => written((dst, at) => geoWriteDistance(distance, dst, at))
    expect([0, 0.00004, 0.00006, 0.5, 1, 9.99996, 12345.6789].map(text)).toEqual([
      "0.0000",
      "0.0000",
      "0.0001",
      "0.5000",
      "1.0000",
      "10.0000",
      "12345.6789",
    ])
    // Exact ties go to the even digit.
    expect([0.03125, 0.09375].map(text)).toEqual(["0.0312", "0.0938"])
    const random = randomFrom(24)
    for (let round = 0; round < 2000; round++) {
      const distance = random() * 10 ** (random() * 12)
      expect(Math.abs(Number(text(distance)) - distance)).toBeLessThan(0.00005 + distance * 1e-15)
      expect(text(distance)).toMatch(/^(0|[1-9][0-9]*)\.[0-9]{4}$/)
    }
  })

  test("coordinates as text", () => {
    expect([0, -0, 180, -180, 0.5, 1e-20, -1e-20, 85.05112878, 100].map(geoFormatCoordinate)).toEqual([
      "0",
      "0",
      "180",
      "-180",
      "0.5",
      "0",
      "0",
      "85.0511287799999991",
      "100",
    ])
  })

  test("steps by radius", () => {
    expect(geoStepsForRadius(0, 0)).toBe(26)
    expect(geoStepsForRadius(0.01, 0)).toBe(26)
    expect(geoStepsForRadius(1e9, 0)).toBe(1)
    expect(geoStepsForRadius(Number.POSITIVE_INFINITY, 0)).toBe(1)
    expect([0, 67, -67, 81].map(latitude => geoStepsForRadius(1000, latitude))).toEqual([14, 13, 13, 12])
  })

  test("the ranges hold every position within the shape", () => {
    const seed = 25
    const random = randomFrom(seed)
    const shape = new GeoShape()
    const ranges = new GeoRanges()
    const point = new GeoPoint()
    let within = 0
    for (let round = 0; round < 400; round++) {
      shape.longitude = random() * 300 - 150
      shape.latitude = random() * 120 - 60
      shape.isBox = round % 2 === 0
      const size = 10 ** (1 + random() * 5)
      shape.radius = size
      shape.width = size * (0.2 + random() * 2)
      shape.height = size * (0.2 + random() * 2)
      geoSearchRanges(shape, ranges)
      const order = [...Array(ranges.count).keys()].sort((a, b) => ranges.min[a]! - ranges.min[b]!)
      for (let i = 1; i < order.length; i++) {
        if (ranges.min[order[i]!]! < ranges.max[order[i - 1]!]!) throw new Error(`seed ${seed} round ${round}: overlap`)
      }
      for (let i = 0; i < 100; i++) {
        const longitude = shape.longitude + (random() - 0.5) * (size / 25000)
        const latitude = shape.latitude + (random() - 0.5) * (size / 40000)
        const score = geoEncode(longitude, latitude)
        if (!geoWithin(shape, score, point)) continue
        within++
        const covered = order.some(k => score >= ranges.min[k]! && score < ranges.max[k]!)
        if (!covered) throw new Error(`seed ${seed} round ${round}: a position within is not in any range`)
      }
    }
    expect(within).toBeGreaterThan(5000)
  })
})
