import { describe, expect, test } from "bun:test"
import { Histogram } from "../../src/observe/histogram.ts"
import { Rate } from "../../src/observe/rates.ts"
import { Random, runSeed } from "../support/random.ts"

describe("Histogram", () => {
  test("percentiles are within a bucket's width of the truth", () => {
    const random = new Random(runSeed)
    for (let round = 0; round < 20; round++) {
      const histogram = new Histogram()
      const micros: number[] = []
      const scale = 10 ** random.between(0, 6)
      for (let i = 0; i < 1000; i++) {
        const value = random.fraction() ** 3 * scale
        micros.push(value)
        histogram.add(value)
      }
      micros.sort((a, b) => a - b)
      for (const percent of [0, 1, 50, 90, 99, 99.9, 100]) {
        const truth = micros[Math.max(1, Math.ceil((percent / 100) * micros.length)) - 1]!
        const shown = histogram.percentile(percent)
        expect(shown).toBeGreaterThanOrEqual(truth - 0.001)
        expect(shown).toBeLessThanOrEqual(truth * (1 + 1 / 16) + 0.002)
      }
    }
  })

  test("sums up by powers of two, the last row being all", () => {
    const histogram = new Histogram()
    for (const micros of [0.5, 0.9, 1.5, 30, 30, 500_000]) histogram.add(micros)
    expect(histogram.cumulative()).toEqual([
      [1, 2],
      [2, 3],
      [33, 5],
      [541065, 6],
    ])
    expect(new Histogram().cumulative()).toEqual([])
  })

  test("takes anything", () => {
    const histogram = new Histogram()
    for (const micros of [0, -1, 1e18, Number.MIN_VALUE]) histogram.add(micros)
    expect(histogram.total).toBe(4)
    expect(histogram.cumulative().at(-1)![1]).toBe(4)
    expect(histogram.percentile(100)).toBeGreaterThan(1e8)
  })
})

describe("Rate", () => {
  test("is the average of the last samples", () => {
    const rate = new Rate()
    for (let i = 0; i <= 16; i++) rate.sample(i * 50, i * 100_000)
    expect(rate.value).toBe(500)
    for (let i = 17; i <= 32; i++) rate.sample(16 * 50, i * 100_000)
    expect(rate.value).toBe(0)
  })

  test("is never negative, and has nothing to say after one sample", () => {
    const rate = new Rate()
    rate.sample(1000, 0)
    expect(rate.value).toBe(0)
    rate.sample(10, 100_000)
    expect(rate.value).toBe(0)
    rate.sample(20, 100_000)
    expect(rate.value).toBe(0)
  })
})
