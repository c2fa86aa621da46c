import { expect, test } from "bun:test"
import { Deadlines, type Timed } from "../../src/engine/deadlines.ts"
import { Random, runSeed } from "../support/random.ts"

test("the heap against a sorted list", () => {
  const seed = runSeed
  console.log(`seed ${seed}`)
  const random = new Random(seed)
  let now = 0
  const deadlines = new Deadlines<Timed>(
    () => now,
    () => {},
  )
  const model = new Set<Timed>()
  for (let step = 0; step < 20_000; step++) {
    const choice = random.below(10)
    if (choice < 5) {
      const item = { deadlineMs: now + 1 + random.below(1000), heapIndex: -1 }
      deadlines.add(item)
      model.add(item)
    } else if (choice < 8) {
      const items = [...model]
      const item = items[random.below(Math.max(1, items.length))]
      if (item !== undefined) {
        deadlines.remove(item)
        deadlines.remove(item)
        model.delete(item)
      }
    } else {
      now += random.below(50)
      const due = [...model].filter(item => item.deadlineMs <= now).map(item => item.deadlineMs)
      const taken: number[] = []
      for (let item = deadlines.takeDue(); item !== undefined; item = deadlines.takeDue()) {
        taken.push(item.deadlineMs)
        model.delete(item)
        expect(item.heapIndex).toBe(-1)
      }
      expect(taken).toEqual(due.sort((a, b) => a - b))
    }
    expect(deadlines.size).toBe(model.size)
  }
  for (const item of model) deadlines.remove(item)
  expect(deadlines.size).toBe(0)
})
