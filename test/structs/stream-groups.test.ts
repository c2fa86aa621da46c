import { describe, expect, test } from "bun:test"
import { type Account, IdTable, IdTableCursor } from "../../src/structs/id-table.ts"
import { type Group, PendingEntry, StreamGroups, type StreamGroupsView } from "../../src/structs/stream-groups.ts"
import { StreamId } from "../../src/structs/stream-id.ts"
import { Random, runSeed } from "../support/random.ts"

const text = (value: string) => new Uint8Array(Buffer.from(value, "latin1"))
const id = (ms: number, seq = 0) => new StreamId().set(ms, seq)
const cursor = new IdTableCursor()
const entry = new PendingEntry()
const scratchId = new StreamId()

describe("id table", () => {
  const contents = (table: IdTable, from = 0): number[] => {
    const all: number[] = []
    for (let on = cursor.seekAtOrAfter(table, id(from)); on; on = cursor.next()) {
      cursor.readId(scratchId)
      const payload = table.stride > 4 ? cursor.words[cursor.at + 4]! : 0
      all.push(scratchId.ms, scratchId.seq, payload)
    }
    return all
  }

  for (const [stride, span] of [
    [4, 3000],
    [8, 3000],
    [8, 200_000],
  ] as const) {
    test(`random edits, ${stride} words, ids below ${span}`, () => {
      console.log(`id-table: BUNDIS_SEED=${runSeed}`)
      const chance = new Random()
      const account: Account = { bytes: 0 }
      let table = new IdTable(account, stride, 1)
      const model = new Map<number, number>()
      const modelContents = (from = 0) =>
        [...model]
          .filter(([ms]) => ms >= from)
          .sort((a, b) => a[0] - b[0])
          .flatMap(([ms, payload]) => [ms, ms % 7, payload])
      let frozen: { table: IdTable; contents: number[] }[] = []
      let epoch = 1
      let ascending = 0
      for (let step = 0; step < 20_000; step++) {
        const growing = Math.floor(step / 4000) % 2 === 0
        const inOrder = Math.floor(step / 2000) % 3 === 0
        const ms = inOrder && growing ? ascending++ % span : chance.below(span)
        if (chance.fraction() < (growing ? 0.8 : 0.2)) {
          const isNew = !model.has(ms)
          expect(table.insert(id(ms, ms % 7))).toBe(isNew)
          if (isNew) model.set(ms, 0)
          if (stride > 4) {
            const payload = chance.uint32()
            table.words[table.at + 4] = payload
            model.set(ms, payload)
          }
        } else {
          expect(table.delete(id(ms, ms % 7))).toBe(model.delete(ms))
        }
        const other = chance.below(span)
        expect(table.find(id(other, other % 7))).toBe(model.has(other))
        if (chance.oneIn(1000)) {
          for (const old of frozen) expect(contents(old.table)).toEqual(old.contents)
          frozen = frozen.slice(-1)
          frozen.push({ table, contents: modelContents() })
          table = table.fork(++epoch)
        }
        if (step % 2000 === 0) {
          expect(contents(table)).toEqual(modelContents())
          expect(contents(table, span >> 1)).toEqual(modelContents(span >> 1))
          expect(table.length).toBe(model.size)
          expect(account.bytes).toBe(table.countBytes())
        }
      }
      expect(contents(table)).toEqual(modelContents())
      for (const old of frozen) expect(contents(old.table)).toEqual(old.contents)
      for (const ms of [...model.keys()]) table.delete(id(ms, ms % 7))
      expect(table.length).toBe(0)
      expect(account.bytes).toBe(table.countBytes())
      expect(table.pages.chunkCount).toBe(0)
    })
  }

  test("memory of a million rows in order, and the last one", () => {
    const account: Account = { bytes: 0 }
    const table = new IdTable(account, 8, 0)
    const count = 200_000
    for (let i = 0; i < count; i++) table.insert(id(1_700_000_000_000 + i, i & 3))
    expect(account.bytes / count).toBeLessThan(35)
    expect(cursor.seekLast(table)).toBe(true)
    cursor.readId(scratchId)
    expect(scratchId.ms).toBe(1_700_000_000_000 + count - 1)
    for (let i = 0; i < count; i += 2) table.delete(id(1_700_000_000_000 + i, i & 3))
    for (let i = 1; i < count; i += 2) expect(table.find(id(1_700_000_000_000 + i, i & 3))).toBe(true)
    expect(account.bytes / (count / 2)).toBeLessThan(80)
  })
})

interface PendingModel {
  ms: number
  deliveryMs: number
  count: number
  consumer: string
}

interface GroupModel {
  lastMs: number
  pending: Map<number, PendingModel>
  consumers: Map<string, number>
}

function cloneModel(model: Map<string, GroupModel>): Map<string, GroupModel> {
  return structuredClone(model)
}

function nameOf(owner: { name: Uint8Array }): string {
  return Buffer.from(owner.name).toString("latin1")
}

function expectGroup(group: Group, model: GroupModel): void {
  expect(group.lastId.ms).toBe(model.lastMs)
  expect(group.pending.length).toBe(model.pending.size)
  expect(group.sortedConsumers().map(nameOf)).toEqual([...model.consumers.keys()].sort())
  const expected = [...model.pending.values()].sort((a, b) => a.ms - b.ms)
  let i = 0
  for (let on = cursor.seekAtOrAfter(group.pending, id(0)); on; on = cursor.next()) {
    entry.read(cursor.words, cursor.at)
    const { ms, deliveryMs, count, consumer } = expected[i++]!
    expect([entry.id.ms, entry.deliveryMs, entry.deliveryCount]).toEqual([ms, deliveryMs, count])
    expect(nameOf(group.consumerAt(entry.slot))).toBe(consumer)
  }
  expect(i).toBe(expected.length)
  for (const consumer of group.sortedConsumers()) {
    const name = nameOf(consumer)
    expect(consumer.seenMs).toBe(model.consumers.get(name)!)
    const own = expected.filter(pending => pending.consumer === name).map(pending => pending.ms)
    const found: number[] = []
    for (let on = cursor.seekAtOrAfter(consumer.pending, id(0)); on; on = cursor.next()) {
      cursor.readId(scratchId)
      found.push(scratchId.ms)
    }
    expect(found).toEqual(own)
    expect(consumer.pending.length).toBe(own.length)
  }
}

function expectGroups(view: StreamGroupsView, model: Map<string, GroupModel>): void {
  expect(view.sorted().map(nameOf)).toEqual([...model.keys()].sort())
  for (const [name, group] of model) expectGroup(view.get(text(name), 0, name.length)!, group)
}

test("groups: random commands", () => {
  console.log(`stream-groups: BUNDIS_SEED=${runSeed}`)
  const chance = new Random()
  const groups = new StreamGroups(1)
  const model = new Map<string, GroupModel>()
  let frozen: { view: StreamGroupsView; model: Map<string, GroupModel> }[] = []
  let epoch = 1
  let now = 1_700_000_000_000
  for (let step = 0; step < 15_000; step++) {
    now += chance.below(100)
    const groupName = `group${chance.below(3)}`
    const name = text(groupName)
    const groupModel = model.get(groupName)
    if (groupModel === undefined || chance.oneIn(2000)) {
      if (groupModel === undefined) {
        expect(groups.writable(name, 0, name.length)).toBe(undefined)
        expect(groups.create(name, 0, name.length)).toBeDefined()
        model.set(groupName, { lastMs: 0, pending: new Map(), consumers: new Map() })
      } else {
        expect(groups.create(name, 0, name.length)).toBe(undefined)
        expect(groups.delete(name, 0, name.length)).toBe(true)
        model.delete(groupName)
      }
      continue
    }
    const group = groups.writable(name, 0, name.length)!
    const consumerName = `c${chance.below(6)}`
    const consumer = text(consumerName)
    const ms = chance.below(4000)
    const dice = chance.fraction()
    if (dice < 0.5) {
      let found = group.writableConsumer(consumer, 0, consumer.length)
      expect(found !== undefined).toBe(groupModel.consumers.has(consumerName))
      if (found === undefined) found = group.createConsumer(consumer, 0, consumer.length, now)
      found.seenMs = now
      groupModel.consumers.set(consumerName, now)
      const count = chance.oneIn(50) ? 2 ** 40 + chance.uint32() : chance.below(5)
      expect(group.setPending(id(ms), found.slot, now, count)).toBe(!groupModel.pending.has(ms))
      groupModel.pending.set(ms, { ms, deliveryMs: now, count, consumer: consumerName })
      groupModel.lastMs = ms
      group.lastId.set(ms, 0)
    } else if (dice < 0.98) {
      expect(group.findPending(id(ms), entry)).toBe(groupModel.pending.has(ms))
      if (groupModel.pending.has(ms)) expect(entry.deliveryMs).toBe(groupModel.pending.get(ms)!.deliveryMs)
      expect(group.acknowledge(id(ms))).toBe(groupModel.pending.delete(ms))
    } else if (dice < 0.985) {
      const own = [...groupModel.pending.values()].filter(pending => pending.consumer === consumerName)
      const expected = groupModel.consumers.has(consumerName) ? own.length : -1
      expect(group.deleteConsumer(consumer, 0, consumer.length)).toBe(expected)
      groupModel.consumers.delete(consumerName)
      for (const pending of own) groupModel.pending.delete(pending.ms)
    }
    if (chance.oneIn(1000)) {
      for (const old of frozen) expectGroups(old.view, old.model)
      frozen = frozen.slice(-1)
      frozen.push({ view: groups.freeze(++epoch), model: cloneModel(model) })
    }
    if (step % 2500 === 0) {
      expectGroups(groups, model)
      expect(groups.bytes).toBe(groups.sorted().reduce((sum, other) => sum + other.countBytes(), 0))
    }
  }
  expectGroups(groups, model)
  for (const old of frozen) expectGroups(old.view, old.model)
  for (const name of model.keys()) groups.delete(text(name), 0, name.length)
  expect(groups.bytes).toBe(0)
  expect(groups.size).toBe(0)
})

test("times and counts are clamped, not wrapped", () => {
  const groups = new StreamGroups()
  const group = groups.create(text("g"), 0, 1)!
  const { slot } = group.createConsumer(text("c"), 0, 1, 5)
  group.setPending(id(1), slot, -7, 2 ** 60)
  group.findPending(id(1), entry)
  expect([entry.deliveryMs, entry.deliveryCount]).toEqual([0, 2 ** 48 - 1])
})
