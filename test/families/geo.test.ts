import { describe, expect, test } from "bun:test"
import { GeoPoint, GeoRanges, GeoShape, geoSearchRanges, geoWithin } from "../../src/structs/geohash.ts"
import { Random, runSeed } from "../support/random.ts"
import { Probe } from "./string-probe.ts"

test("polygons", async () => {
  await using probe = await Probe.start()
  await probe.run("GEOADD", "g", "1", "1", "in", "3", "1", "out", "0.1", "1.9", "edge", "-1", "-1", "west")
  const cases: [string, string][] = [
    ["GEOSEARCH g BYPOLYGON 4 0 0 2 0 2 2 0 2 ASC", '["in","edge"]'],
    ["GEOSEARCH g BYPOLYGON 3 0 0 2 0 2 1.8 ASC", "[]"],
    ["GEOSEARCH g BYPOLYGON 3 0 0 2.2 0 2 2.1 ASC", '["in"]'],
    ["GEOSEARCH g BYPOLYGON 4 0 0 2 0 2 2 0 2 ASC COUNT 1", '["in"]'],
    ["GEOSEARCHSTORE d g BYPOLYGON 4 0 0 2 0 2 2 0 2", "2"],
    ["GEOSEARCH g BYPOLYGON 2 0 0 1 1", '{"error":"ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"}'],
    ["GEOSEARCH g BYPOLYGON 3 0 0 1 1 2", '{"error":"ERR syntax error"}'],
    ["GEOSEARCH g FROMLONLAT 0 0 BYPOLYGON 3 0 0 1 1 2 2", '{"error":"ERR syntax error"}'],
    ["GEOSEARCH g BYPOLYGON 3 0 0 1 1 2 99", '{"error":"ERR invalid longitude,latitude pair 2.000000,99.000000"}'],
  ]
  for (const [line, reply] of cases) {
    const got = await probe.reply(line)
    expect([line, got]).toEqual([line, reply])
  }
})

describe(`searches find what a walk over all places finds, BUNDIS_SEED=${runSeed}`, () => {
  test("polygons of any size", async () => {
    const random = new Random()
    await using probe = await Probe.start()
    const places: [number, number][] = []
    for (let i = 0; i < 500; i++) {
      places.push([random.fraction() * 358 - 179, random.fraction() * 168 - 84])
      await probe.run("GEOADD", "g", String(places[i]![0]), String(places[i]![1]), `p${i}`)
    }
    for (let round = 0; round < 100; round++) {
      const size = random.pick([2, 20, 80])
      const x = random.fraction() * (358 - size) - 179
      const y = random.fraction() * (168 - size) - 84
      // A triangle with two sides along the axes.
      const polygon = [x, y, x + size, y, x, y + size].map(String)
      const found = (await probe.run("GEOSEARCH", "g", "BYPOLYGON", "3", ...polygon)) as string[]
      const expected = places.flatMap(([a, b], i) => {
        const distance = (a - x) / size + (b - y) / size
        // Coordinates are rounded when stored: leave out what lies on an edge.
        const margin = 1e-4 / size
        return a > x + 1e-4 && b > y + 1e-4 && distance < 1 - margin ? [`p${i}`] : []
      })
      for (const name of expected) expect(found).toContain(name)
      expect(found.length).toBeLessThanOrEqual(expected.length + 2)
    }
  })

  test("the nearest few are the first of all", async () => {
    const random = new Random()
    await using probe = await Probe.start()
    for (let i = 0; i < 400; i++) {
      await probe.run("GEOADD", "g", String(random.fraction() * 4), String(random.fraction() * 4), `p${i}`)
    }
    const circle = ["FROMLONLAT", "2", "2", "BYRADIUS", "200", "km"]
    for (const order of ["ASC", "DESC"]) {
      const all = (await probe.run("GEOSEARCH", "g", ...circle, order)) as string[]
      expect(all.length).toBeGreaterThan(100)
      for (const count of [1, 2, 17, all.length - 1, all.length, 1000]) {
        const few = await probe.run("GEOSEARCH", "g", ...circle, order, "COUNT", String(count))
        expect(few).toEqual(all.slice(0, count))
      }
    }
  })
})

test("boxes and circles near poles and the 180th meridian agree with a walk over all places", async () => {
  const random = new Random()
  await using probe = await Probe.start()
  const words: string[] = []
  for (let i = 0; i < 2000; i++) {
    const longitude = random.oneIn(2)
      ? random.pick([-1, 1]) * (180 - random.fraction() * 3)
      : random.fraction() * 360 - 180
    const latitude = random.oneIn(2)
      ? random.pick([-1, 1]) * (85 - random.fraction() * 5)
      : random.fraction() * 160 - 80
    words.push(String(longitude), String(latitude), `p${i}`)
  }
  await probe.run("GEOADD", "g", ...words)
  const scores = (await probe.run("ZRANGE", "g", "0", "-1", "WITHSCORES")) as [string, number][]
  const shape = new GeoShape()
  const ranges = new GeoRanges()
  const point = new GeoPoint()
  for (let round = 0; round < 300; round++) {
    const i = random.below(2000) * 3
    shape.longitude = Number(words[i])
    shape.latitude = Number(words[i + 1])
    shape.metersPerUnit = 1000
    shape.isBox = random.oneIn(2)
    const sizes = [random.between(1, 3000), random.between(1, 3000)]
    shape.radius = shape.width = sizes[0]!
    shape.height = sizes[1]!
    geoSearchRanges(shape, ranges)
    const expected = scores.filter(([, score]) => {
      for (let r = 0; r < ranges.count; r++) {
        if (score >= ranges.min[r]! && score < ranges.max[r]!) return geoWithin(shape, score, point)
      }
      return false
    })
    const by = shape.isBox ? ["BYBOX", String(sizes[0]), String(sizes[1])] : ["BYRADIUS", String(sizes[0])]
    const found = await probe.run("GEOSEARCH", "g", "FROMLONLAT", words[i]!, words[i + 1]!, ...by, "km")
    expect(new Set(found as string[])).toEqual(new Set(expected.map(([name]) => name)))
  }
})
