import { describe, expect, test } from "bun:test"
import { ListChunks, ListChunkWalk, ListCursor, type ListView } from "../../src/structs/list-chunks.ts"
import { LpEntry, lpAppend, lpCopyValue, lpEntryEnd, lpInit, lpValidate } from "../../src/structs/listpack.ts"
import { Random, runSeed } from "../support/random.ts"

const text = (value: string) => new Uint8Array(Buffer.from(value, "latin1"))
const scratch = new Uint8Array(200_000)

function elementOf(cursor: ListCursor): string {
  const end = cursor.copyElement(scratch, 0)
  if (end !== cursor.valueLength()) throw new Error("valueLength differs from what was copied")
  return Buffer.from(scratch.buffer, 0, end).toString("latin1")
}

function expectSame(view: ListView, model: string[]): void {
  expect(view.length).toBe(model.length)
  const cursor = new ListCursor()
  let i = 0
  for (let on = cursor.seek(view, 0); on; on = cursor.next(), i++) {
    if (cursor.index !== i || elementOf(cursor) !== model[i]) throw new Error(`forward: element ${i} differs`)
  }
  expect(i).toBe(model.length)
  for (let on = cursor.seek(view, model.length - 1); on; on = cursor.previous()) {
    i--
    if (cursor.index !== i || elementOf(cursor) !== model[i]) throw new Error(`backward: element ${i} differs`)
  }
  expect(i).toBe(0)
}

/** Checks the invariants of the file header, the exactness of the byte count, and the chunks as listpacks. */
function verify(list: ListChunks, chunkBytesMax: number, chunkEntriesMax: number): void {
  let bytes = 0
  let length = 0
  for (const span of list.spans) {
    let inSpan = 0
    bytes += 96
    if (span.chunks.length === 0 || span.chunks.length > 128) throw new Error("span of a wrong size")
    for (const chunk of span.chunks) {
      bytes += 112 + 8 + chunk.bytes.length
      inSpan += chunk.count
      if (chunk.count === 0) throw new Error("empty chunk")
      if (chunk.head < 6 || chunk.tail >= chunk.bytes.length) throw new Error("no room for the frame")
      const used = 7 + chunk.tail - chunk.head
      if (chunk.count > 1 && (used > chunkBytesMax || chunk.count > chunkEntriesMax)) throw new Error("chunk too large")
    }
    expect(span.length).toBe(inSpan)
    length += inSpan
  }
  expect(list.length).toBe(length)
  expect(list.bytes).toBe(bytes)
  const walk = new ListChunkWalk(list)
  let chunks = 0
  while (walk.next()) {
    chunks++
    if (!lpValidate(walk.bytes, walk.start, walk.end, true)) throw new Error("not a listpack")
  }
  expect(chunks).toBe(list.chunkCount)
}

function value(chance: Random): string {
  switch (chance.below(8)) {
    case 0:
      return String(chance.below(200))
    case 1:
      return String(chance.between(-(2 ** 40), 2 ** 40))
    case 2:
      return chance.pick(["9223372036854775807", "-9223372036854775808", "9223372036854775808", "", "007"])
    case 3:
      return chance.oneIn(20) ? "L".repeat(chance.below(100_000)) : "m".repeat(chance.below(900))
    default:
      return `value:${chance.below(50)}`
  }
}

const limits = [
  { limit: -2, bytesMax: 8192, entriesMax: 1e9, steps: 12_000 },
  { limit: -1, bytesMax: 4096, entriesMax: 1e9, steps: 6000 },
  { limit: 5, bytesMax: 8192, entriesMax: 5, steps: 6000 },
  { limit: 1, bytesMax: 8192, entriesMax: 1, steps: 3000 },
]

for (const { limit, bytesMax, entriesMax, steps } of limits) {
  test(`random edits with list-max-listpack-size ${limit}`, () => {
    console.log(`list-chunks, limit ${limit}: BUNDIS_SEED=${runSeed}`)
    const chance = new Random()
    const list = new ListChunks(limit, 1)
    const cursor = new ListCursor()
    let model: string[] = []
    let frozen: { view: ListView; model: string[] }[] = []
    let epoch = 1
    for (let step = 0; step < steps; step++) {
      const growing = Math.floor(step / 2000) % 2 === 0
      const dice = chance.fraction()
      const element = value(chance)
      const bytes = text(element)
      if (dice < (growing ? 0.3 : 0.1)) {
        list.pushTail(bytes, 0, bytes.length)
        model.push(element)
      } else if (dice < (growing ? 0.5 : 0.15)) {
        list.pushHead(bytes, 0, bytes.length)
        model.unshift(element)
      } else if (dice < 0.6) {
        list.popHead()
        model.shift()
      } else if (dice < 0.65) {
        list.popTail()
        model.pop()
      } else if (dice < 0.8) {
        const at = chance.below(model.length + 1)
        const times = chance.oneIn(20) ? 50 : 1
        for (let i = 0; i < times; i++) {
          list.insert(at, bytes, 0, bytes.length)
          model.splice(at, 0, element)
        }
      } else if (dice < 0.9 && model.length > 0) {
        const at = chance.below(model.length)
        list.set(at, bytes, 0, bytes.length)
        model[at] = element
      } else if (dice < 0.95) {
        const at = chance.below(model.length + 1)
        const count = chance.below(chance.oneIn(20) ? (growing ? 100 : 3000) : 10)
        list.removeRange(at, count)
        model.splice(at, count)
      } else if (dice < 0.97) {
        const key = model.length > 0 && !chance.oneIn(4) ? chance.pick(model) : element
        const wanted = text(key)
        const fromTail = chance.oneIn(2)
        const count = chance.oneIn(3) ? 1e9 : chance.between(1, 4)
        let expected = 0
        if (fromTail) model.reverse()
        model = model.filter(other => other !== key || expected >= count || expected++ < 0)
        if (fromTail) model.reverse()
        expect(list.removeMatching(count, fromTail, wanted, 0, wanted.length)).toBe(expected)
      } else if (model.length > 0) {
        const at = chance.below(model.length)
        expect(cursor.seek(list, at)).toBe(true)
        expect(elementOf(cursor)).toBe(model[at]!)
        const wanted = chance.oneIn(2) ? model[chance.below(model.length)]! : element
        const key = text(wanted)
        const expected = model.indexOf(wanted, at)
        expect(cursor.equals(key, 0, key.length)).toBe(model[at] === wanted)
        expect(cursor.find(key, 0, key.length)).toBe(expected !== -1)
        if (expected !== -1) expect(cursor.index).toBe(expected)
        cursor.seek(list, at)
        let before = model.lastIndexOf(wanted, at)
        for (let tries = 0; tries < 5; tries++) {
          expect(cursor.findBackwards(key, 0, key.length)).toBe(before !== -1)
          if (before === -1) break
          expect(cursor.index).toBe(before)
          expect(elementOf(cursor)).toBe(wanted)
          if (!cursor.previous()) break
          before = model.lastIndexOf(wanted, before - 1)
        }
      }
      if (chance.oneIn(250)) {
        for (const old of frozen) expectSame(old.view, old.model)
        frozen = frozen.slice(-2)
        frozen.push({ view: list.freeze(++epoch), model: model.slice() })
      }
      if (step % 500 === 0) {
        verify(list, bytesMax, entriesMax)
        expectSame(list, model)
      }
    }
    verify(list, bytesMax, entriesMax)
    expectSame(list, model)
    for (const old of frozen) expectSame(old.view, old.model)
    while (list.length > 0) list.popTail()
    verify(list, bytesMax, entriesMax)
    expect(list.bytes).toBe(0)
  })
}

describe("queues", () => {
  test("a queue that turns round keeps its size", () => {
    for (const length of [1, 30, 250, 400, 5000]) {
      for (const headward of [false, true]) {
        const list = new ListChunks()
        const cursor = new ListCursor()
        let bytesMax = 0
        for (let i = 0; i < 20_000; i++) {
          const bytes = text(`element:${i}:padding to about thirty`)
          if (headward) list.pushHead(bytes, 0, bytes.length)
          else list.pushTail(bytes, 0, bytes.length)
          if (list.length > length) {
            cursor.seek(list, headward ? list.length - 1 : 0)
            expect(elementOf(cursor)).toBe(`element:${i - length}:padding to about thirty`)
            if (headward) list.popTail()
            else list.popHead()
          }
          bytesMax = Math.max(bytesMax, list.bytes)
        }
        verify(list, 8192, 1e9)
        expect(bytesMax).toBeLessThan(length * 42 * 1.2 + 3 * 8400)
      }
    }
  })

  test("many elements: index access across spans, memory per element", () => {
    const list = new ListChunks()
    const count = 100_000
    for (let i = 0; i < count; i++) {
      const bytes = text(`value:${String(i).padStart(20, "0")}`)
      list.pushTail(bytes, 0, bytes.length)
    }
    verify(list, 8192, 1e9)
    expect(list.spans.length).toBeGreaterThan(1)
    expect(list.bytes / count).toBeLessThan(26 + 4)
    const cursor = new ListCursor()
    for (let i = 0; i < count; i += 777) {
      cursor.seek(list, i)
      expect(elementOf(cursor)).toBe(`value:${String(i).padStart(20, "0")}`)
    }
    list.removeRange(10, count - 20)
    verify(list, 8192, 1e9)
    expect(list.length).toBe(20)
    expect(list.bytes).toBeLessThan(4 * 8400)
  })

  test("pushes at alternating ends fill chunks", () => {
    const list = new ListChunks()
    const count = 20_000
    for (let i = 0; i < count; i++) {
      const bytes = text(`element:${String(i).padStart(8, "0")}:and so on`)
      if (i % 2 === 0) list.pushHead(bytes, 0, bytes.length)
      else list.pushTail(bytes, 0, bytes.length)
    }
    verify(list, 8192, 1e9)
    expect(list.bytes / count).toBeLessThan(29 + 5)
  })

  test("large elements do not keep half-empty chunks", () => {
    const list = new ListChunks()
    const large = new Uint8Array(5000).fill(65)
    for (let i = 0; i < 100; i++) list.pushTail(large, 0, 5000)
    verify(list, 8192, 1e9)
    expect(list.bytes).toBeLessThan(100 * 5200 + 8192)
  })
})

describe("listpacks", () => {
  test("a listpack becomes a chunk, and comes out again", () => {
    const pack = new Uint8Array(1000)
    lpInit(pack, 4)
    for (const element of ["a", "12", "", "-5000", "zzz"]) lpAppend(pack, 4, text(element), 0, element.length)
    const list = new ListChunks()
    list.appendListpack(pack, 4)
    list.appendListpack(pack, 4)
    list.pushHead(text("first"), 0, 5)
    list.pushTail(text("last"), 0, 4)
    verify(list, 8192, 1e9)
    const half = ["a", "12", "", "-5000", "zzz"]
    expectSame(list, ["first", ...half, ...half, "last"])
    const walk = new ListChunkWalk(list)
    const elements: string[] = []
    while (walk.next()) {
      for (let entry = walk.start + 6; entry < walk.end - 1; entry = lpEntryEnd(walk.bytes, entry)) {
        const end = lpCopyValue(walk.bytes, entry, scratch, 0)
        elements.push(Buffer.from(scratch.buffer, 0, end).toString("latin1"))
      }
    }
    expect(elements).toEqual(["first", ...half, ...half, "last"])
  })

  test("integers are read as integers", () => {
    const list = new ListChunks()
    list.pushTail(text("1234567"), 0, 7)
    const cursor = new ListCursor()
    const entry = new LpEntry()
    cursor.seek(list, 0)
    cursor.read(entry)
    expect(entry.isInt).toBe(true)
    expect(entry.int).toBe(1234567)
  })
})

test("nothing to do on an empty list", () => {
  const list = new ListChunks()
  list.popHead()
  list.popTail()
  list.removeRange(0, 5)
  expect(list.removeMatching(1, true, text("a"), 0, 1)).toBe(0)
  expect(new ListCursor().seek(list, 0)).toBe(false)
  expect(new ListCursor().next()).toBe(false)
  expect(new ListChunkWalk(list).next()).toBe(false)
  verify(list, 8192, 1e9)
})
