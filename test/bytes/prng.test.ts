import { expect, test } from "bun:test"
import { Prng } from "../../src/bytes/prng.ts"

test("equal seeds give equal sequences, other seeds others", () => {
  const draw = (...seed: [number, number?, number?]) => {
    const random = new Prng(...seed)
    return Array.from({ length: 20 }, () => random.next32())
  }
  expect(draw(1, 2, 3)).toEqual(draw(1, 2, 3))
  expect(draw(1)).not.toEqual(draw(2))
  expect(draw(1, 2)).not.toEqual(draw(1, 3))
  for (const value of draw(7)) expect(Number.isInteger(value) && value >= 0 && value < 2 ** 32).toBe(true)
})

test("draws below n cover the range evenly", () => {
  const random = new Prng(42)
  for (const n of [1, 2, 3, 10, 100]) {
    const counts = new Array<number>(n).fill(0)
    for (let i = 0; i < n * 1000; i++) counts[random.nextBelow(n)]!++
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(200)
  }
  let high = 0
  const wide = 3 * 2 ** 40
  for (let i = 0; i < 3000; i++) {
    const value = random.nextBelow(wide)
    expect(Number.isInteger(value) && value >= 0 && value < wide).toBe(true)
    if (value >= 2 ** 41) high++
    expect(random.nextBelow(0x7fffffff)).toBeLessThan(0x7fffffff)
  }
  expect(Math.abs(high - 1000)).toBeLessThan(150)
})

test("floats stay in [0, 1) and average a half", () => {
  const random = new Prng(5)
  let sum = 0
  for (let i = 0; i < 10000; i++) {
    const value = random.nextFloat()
    expect(value >= 0 && value < 1).toBe(true)
    sum += value
  }
  expect(Math.abs(sum / 10000 - 0.5)).toBeLessThan(0.02)
})
