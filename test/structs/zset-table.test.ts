import { describe, expect, test } from "bun:test"
import { latin1, latin1Bytes } from "../../src/bytes/compare.ts"
import { KeyedHash } from "../../src/bytes/siphash.ts"
import { ByteMap } from "../../src/structs/byte-map.ts"
import { PageHeap } from "../../src/structs/page-heap.ts"
import { ScoreCursor, type ScoreTreeView } from "../../src/structs/score-tree.ts"
import { type FrozenZset, ZsetTable } from "../../src/structs/zset-table.ts"
import { Random, runSeed } from "../support/random.ts"

function newTable(heap = new PageHeap()): ZsetTable {
  return new ZsetTable(heap, new ByteMap(heap, new KeyedHash(1, 2)))
}

/** "member=score" of every element, in order. */
function listed(view: ScoreTreeView): string[] {
  const elements: string[] = []
  const cursor = new ScoreCursor()
  for (let more = cursor.seek(view, 0); more; more = cursor.next()) {
    elements.push(`${latin1(cursor.bytes, cursor.start, cursor.end)}=${cursor.score}`)
  }
  return elements
}

function listedModel(model: Map<string, number>): string[] {
  return [...model].sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1)).map(([member, score]) => `${member}=${score}`)
}

/** Both halves hold what the model holds. */
function expectSame(table: ZsetTable, model: Map<string, number>): void {
  expect(table.size).toBe(model.size)
  expect(table.tree.length).toBe(model.size)
  expect(listed(table.tree)).toEqual(listedModel(model))
  for (const [member, score] of model) {
    expect(table.score(latin1Bytes(member), 0, member.length)).toBe(score)
  }
}

function readFrozen(view: FrozenZset): number {
  let sum = 0
  const found: number[] = []
  let cursor = 0
  do {
    found.length = 0
    cursor = view.index.scan(cursor, 100, found)
    sum += found.length
  } while (cursor !== 0)
  return sum
}

function edit(table: ZsetTable, model: Map<string, number>, random: Random): void {
  const member = `m${random.below(600)}`.repeat(random.oneIn(50) ? 300 : 1)
  const bytes = latin1Bytes(member)
  const score = random.between(-30, 30) / 2 + 0
  const address = table.find(bytes, 0, bytes.length)
  expect(address !== 0).toBe(model.has(member))
  if (random.oneIn(40) && table.size > 0) {
    const from = random.below(table.size)
    const count = Math.min(random.between(1, 9), table.size - from)
    for (const element of listedModel(model).slice(from, from + count)) {
      model.delete(element.slice(0, element.lastIndexOf("=")))
    }
    table.removeRange(from, count)
  } else if (address === 0) {
    table.add(bytes, 0, bytes.length, score)
    model.set(member, score)
  } else if (random.oneIn(3)) {
    table.remove(address, bytes, 0, bytes.length, model.get(member)!)
    model.delete(member)
  } else {
    table.change(address, bytes, 0, bytes.length, model.get(member)!, score)
    model.set(member, score)
  }
}

describe(`zset table, BUNDIS_SEED=${runSeed}`, () => {
  test("random edits, with snapshots", () => {
    const random = new Random()
    const heap = new PageHeap()
    const table = newTable(heap)
    const model = new Map<string, number>()
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 60; i++) edit(table, model, random)
      const frozen = listedModel(model)
      heap.freeze()
      const first = random.oneIn(2) ? table.frozenView() : undefined
      for (let i = random.below(80); i > 0; i--) edit(table, model, random)
      const view = first ?? table.frozenView()
      expect(listed(view.tree)).toEqual(frozen)
      expect(readFrozen(view)).toBe(frozen.length)
      heap.thaw()
      expectSame(table, model)
    }
  })

  test("a table begun under a snapshot is not part of it", () => {
    const heap = new PageHeap()
    heap.freeze()
    const table = newTable(heap)
    const random = new Random()
    const model = new Map<string, number>()
    for (let i = 0; i < 500; i++) edit(table, model, random)
    heap.thaw()
    expectSame(table, model)
    heap.freeze()
    const frozen = listedModel(model)
    for (let i = 0; i < 100; i++) edit(table, model, random)
    expect(listed(table.frozenView().tree)).toEqual(frozen)
    heap.thaw()
  })

  test("clones share nothing", () => {
    const random = new Random()
    const table = newTable()
    const model = new Map<string, number>()
    for (let i = 0; i < 1000; i++) edit(table, model, random)
    const twin = table.clone()
    const twinModel = new Map(model)
    for (let i = 0; i < 200; i++) edit(twin, twinModel, random)
    expectSame(table, model)
    expectSame(twin, twinModel)
  })

  test("releasing gives all frames back", () => {
    const random = new Random()
    const heap = new PageHeap()
    const table = newTable(heap)
    const model = new Map<string, number>()
    for (let i = 0; i < 2000; i++) edit(table, model, random)
    expect(table.bytes).toBeGreaterThan(model.size * 30)
    let slices = 1
    while (!table.release(2)) slices++
    expect(slices).toBeGreaterThan(1)
    expect(heap.framesUsed).toBe(0)
    expect(table.size).toBe(0)
    expect(table.bytes).toBeLessThan(1024)
  })
})
