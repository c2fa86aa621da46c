import { expect, test } from "bun:test"
import { type IdChunk, IdDirectory, type IdDirectoryView, Place } from "../../src/structs/id-directory.ts"
import { StreamId } from "../../src/structs/stream-id.ts"
import { Random, runSeed } from "../support/random.ts"

const place = new Place()

function chunk(ms: number, epoch: number): IdChunk {
  return { epoch, first: new StreamId().set(ms, 0) }
}

function expectSame(view: IdDirectoryView<IdChunk>, model: number[]): void {
  expect(view.chunkCount).toBe(model.length)
  const seen: number[] = []
  for (let on = view.toFirst(place); on; on = view.toNext(place)) seen.push(view.at(place)!.first.ms)
  expect(seen).toEqual(model)
  seen.length = 0
  for (let on = view.toLast(place); on; on = view.toPrevious(place)) seen.push(view.at(place)!.first.ms)
  expect(seen.reverse()).toEqual(model)
  for (const span of view.spans) expect(span.chunks.length > 0 && span.chunks.length <= 128).toBe(true)
}

test("random chunks come and go", () => {
  console.log(`id-directory: BUNDIS_SEED=${runSeed}`)
  const chance = new Random()
  const directory = new IdDirectory<IdChunk>(1)
  let model: number[] = []
  let frozen: { view: IdDirectoryView<IdChunk>; model: number[] }[] = []
  let epoch = 1
  const below = (ms: number) => {
    let count = 0
    while (count < model.length && model[count]! <= ms) count++
    return count
  }
  for (let step = 0; step < 12_000; step++) {
    const ms = chance.between(1, 1_000_000)
    const at = below(ms)
    if (chance.fraction() < (Math.floor(step / 3000) % 2 === 0 ? 0.85 : 0.15)) {
      if (model[at - 1] === ms) continue
      if (at === model.length) directory.append(chunk(ms, epoch))
      else if (at > 0) {
        directory.find(new StreamId().set(ms, 0), place)
        directory.insertAfter(place, chunk(ms, epoch))
      } else continue
      model.splice(at, 0, ms)
    } else if (model.length > 0) {
      expect(directory.find(new StreamId().set(ms, 5), place)).toBe(true)
      expect(directory.at(place)!.first.ms).toBe(model[Math.max(at - 1, 0)]!)
      directory.remove(place)
      model.splice(Math.max(at - 1, 0), 1)
    }
    if (chance.oneIn(500)) {
      for (const old of frozen) expectSame(old.view, old.model)
      frozen = frozen.slice(-1)
      frozen.push({ view: directory.freeze(++epoch), model: model.slice() })
    }
    if (step % 1000 === 0) {
      expectSame(directory, model)
      expect(directory.bytes).toBe(88 * directory.spans.length + 8 * model.length)
    }
  }
  while (directory.toLast(place)) directory.remove(place)
  model = []
  expectSame(directory, model)
  expect(directory.bytes).toBe(0)
  expect(directory.find(new StreamId(), place)).toBe(false)
})
