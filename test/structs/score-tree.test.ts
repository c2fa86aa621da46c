import { describe, expect, test } from "bun:test"
import { compareBytes } from "../../src/bytes/compare.ts"
import { ScoreCursor, ScoreTree, type ScoreTreeView } from "../../src/structs/score-tree.ts"
import { Random, runSeed } from "../support/random.ts"

interface Pair {
  score: number
  member: Uint8Array
}

function compareMembers(a: Uint8Array, b: Uint8Array): number {
  return compareBytes(a, 0, a.length, b, 0, b.length)
}

function order(a: Pair, b: Pair): number {
  return a.score < b.score ? -1 : a.score > b.score ? 1 : compareMembers(a.member, b.member)
}

/** The tree's contents in rank order must be the model's, in both directions. */
function expectSame(view: ScoreTreeView, model: Pair[]): void {
  expect(view.length).toBe(model.length)
  const cursor = new ScoreCursor()
  let i = 0
  for (let on = cursor.seek(view, 0); on; on = cursor.next(), i++) {
    const pair = model[i]!
    const { member } = pair
    if (
      cursor.score !== pair.score ||
      compareBytes(cursor.bytes, cursor.start, cursor.end, member, 0, member.length) !== 0
    ) {
      throw new Error(`forward: element ${i} differs`)
    }
  }
  expect(i).toBe(model.length)
  for (let on = cursor.seek(view, model.length - 1); on; on = cursor.previous()) {
    const { member } = model[--i]!
    if (compareBytes(cursor.bytes, cursor.start, cursor.end, member, 0, member.length) !== 0) {
      throw new Error(`backward: element ${i} differs`)
    }
  }
  expect(i).toBe(0)
}

// biome-ignore lint/suspicious/noExplicitAny: looks behind the private fields on purpose
type Any = any

/** Walks the nodes and checks the invariants of the file header, and that the byte count is exact. */
function verify(tree: ScoreTree): void {
  const { root, height } = tree as Any
  let bytes = 0
  const walk = (node: Any, level: number, low: Pair | null, high: Pair | null): number => {
    if (node.epoch > tree.epoch) throw new Error("node of a future epoch")
    if (level === height) {
      bytes += 208 + node.scores.length * 10 + node.bytes.length
      if (node.count === 0 && height > 0) throw new Error("empty leaf")
      if (node.count > 1 && node.used > 4096) throw new Error("leaf too large")
      let before: Pair | null = null
      for (let i = 0; i < node.count; i++) {
        const end = i + 1 < node.count ? node.starts[i + 1] : node.used
        const pair = { score: node.scores[i], member: node.bytes.slice(node.starts[i], end) }
        if (before !== null && order(before, pair) >= 0) throw new Error("leaf out of order")
        if (low !== null && order(low, pair) > 0) throw new Error("below its separator")
        if (high !== null && order(pair, high) >= 0) throw new Error("above the next separator")
        before = pair
      }
      return node.count
    }
    if (node.count < (level === 0 ? 2 : 1)) throw new Error("inner node too small")
    if (node.children.length !== node.count || node.keys.length !== node.count) throw new Error("lengths differ")
    if (node.keys[0].length !== 0) throw new Error("key 0 is not empty")
    bytes += 240 + 64 * 28
    let sum = 0
    for (let i = 0; i < node.count; i++) {
      const key = node.keys[i]
      if (key.length > 0) bytes += 56 + key.length
      const from = i === 0 ? low : { score: node.scores[i], member: key }
      const to = i + 1 < node.count ? { score: node.scores[i + 1], member: node.keys[i + 1] } : high
      const size = walk(node.children[i], level + 1, from, to)
      if (size !== node.sizes[i]) throw new Error(`size of child ${i} is ${node.sizes[i]}, not ${size}`)
      sum += size
    }
    return sum
  }
  expect(walk(root, 0, null, null)).toBe(tree.length)
  expect(tree.bytes).toBe(bytes)
}

function lowerIndex(model: Pair[], pair: Pair): number {
  let low = 0
  let high = model.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (order(model[middle]!, pair) < 0) low = middle + 1
    else high = middle
  }
  return low
}

interface Shape {
  name: string
  score: (next: () => number) => number
  member: (next: () => number) => Uint8Array
}

function text(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value, "latin1"))
}

const shapes: Shape[] = [
  {
    name: "spread scores",
    score: next => (next() - 0.5) * 1e9,
    member: next => text(`member:${Math.floor(next() * 1e6)}`),
  },
  { name: "one score", score: () => 0, member: next => text(`m${Math.floor(next() * 5000)}`) },
  {
    name: "few scores, long common prefixes",
    score: next => [Number.NEGATIVE_INFINITY, -1, 0, 2.5, Number.POSITIVE_INFINITY][Math.floor(next() * 5)]!,
    member: next => text("p".repeat(Math.floor(next() * 90)) + String.fromCharCode(Math.floor(next() * 256))),
  },
  {
    name: "very different lengths",
    score: next => Math.floor(next() * 50),
    member: next => text("x".repeat(next() < 0.02 ? 70_000 : next() < 0.2 ? 3000 * next() : 40 * next())),
  },
]

for (const shape of shapes) {
  test(`random edits: ${shape.name}`, () => {
    console.log(`score-tree, ${shape.name}: BUNDIS_SEED=${runSeed}`)
    const chance = new Random()
    const next = () => chance.fraction()
    const tree = new ScoreTree(3)
    const model: Pair[] = []
    const frozen: { view: ScoreTreeView; model: Pair[] }[] = []
    let epoch = 3
    for (let step = 0; step < 12_000; step++) {
      const growing = Math.floor(step / 3000) % 2 === 0
      const dice = next()
      if (dice < (growing ? 0.75 : 0.25)) {
        const pair = { score: shape.score(next), member: shape.member(next) }
        const at = lowerIndex(model, pair)
        const present = at < model.length && order(model[at]!, pair) === 0
        expect(tree.insert(pair.score, pair.member, 0, pair.member.length)).toBe(!present)
        if (!present) model.splice(at, 0, pair)
      } else if (dice < 0.9) {
        if (model.length === 0 || next() < 0.1) {
          const pair = { score: shape.score(next), member: shape.member(next) }
          const at = lowerIndex(model, pair)
          const present = at < model.length && order(model[at]!, pair) === 0
          expect(tree.delete(pair.score, pair.member, 0, pair.member.length)).toBe(present)
          if (present) model.splice(at, 1)
        } else {
          const at = Math.floor(next() * model.length)
          const { score, member } = model[at]!
          expect(tree.delete(score, member, 0, member.length)).toBe(true)
          model.splice(at, 1)
        }
      } else if (dice < 0.96) {
        if (model.length === 0) continue
        const at = Math.floor(next() * model.length)
        const { score, member } = model[at]!
        const near = next() < 0.5 && Number.isFinite(score) ? score + next() - 0.5 : shape.score(next)
        const changed = { score: near, member }
        const to = lowerIndex(model, changed)
        if (to < model.length && order(model[to]!, changed) === 0) continue
        expect(tree.update(score, near, member, 0, member.length)).toBe(true)
        model.splice(at, 1)
        model.splice(lowerIndex(model, changed), 0, changed)
      } else if (dice < 0.962) {
        const from = Math.floor(next() * model.length)
        const count = Math.floor(next() * (next() < 0.5 ? 20 : growing ? 200 : 1500))
        tree.deleteRange(from, count)
        model.splice(from, count)
      } else if (model.length > 0) {
        const at = Math.floor(next() * model.length)
        const { score, member } = model[at]!
        expect(tree.rankOf(score, member, 0, member.length)).toBe(at)
        expect(tree.countBelow(score, false)).toBe(lowerIndex(model, { score, member: text("") }))
        const above = model.findIndex(pair => pair.score > score)
        expect(tree.countBelow(score, true)).toBe(above === -1 ? model.length : above)
      }
      if (next() < 0.004) {
        if (frozen.length === 3) {
          const old = frozen.shift()!
          expectSame(old.view, old.model)
        }
        frozen.push({ view: tree.freeze(++epoch), model: model.slice() })
      }
      if (step % 1000 === 0) {
        verify(tree)
        expectSame(tree, model)
      }
    }
    verify(tree)
    expectSame(tree, model)
    for (const old of frozen) expectSame(old.view, old.model)
    tree.deleteRange(0, model.length)
    verify(tree)
    expect(tree.length).toBe(0)
  })
}

describe("order of input", () => {
  const count = 20_000
  const name = (i: number) => text(`member:${String(i).padStart(8, "0")}`)

  test("ascending and descending input fills the leaves", () => {
    for (const direction of [1, -1]) {
      const tree = new ScoreTree()
      for (let i = 0; i < count; i++) tree.insert(i * direction, name(i), 0, 15)
      verify(tree)
      expect(tree.length).toBe(count)
      expect(tree.bytes / count).toBeLessThan(15 + 10 + 6)
    }
  })

  test("random input stays within the memory target", () => {
    const chance = new Random(7)
    const tree = new ScoreTree()
    for (let i = 0; i < count; i++) tree.insert(chance.fraction(), name(i), 0, 15)
    verify(tree)
    expect(tree.bytes / count).toBeLessThan(45)
  })
})

describe("members of one score", () => {
  const tree = new ScoreTree()
  for (let i = 0; i < 3000; i++) tree.insert(0, text(`k${String(i).padStart(5, "0")}`), 0, 6)

  test("lexicographic bounds", () => {
    const key = text("k01500")
    expect(tree.countBelowMember(key, 0, 6, false)).toBe(1500)
    expect(tree.countBelowMember(key, 0, 6, true)).toBe(1501)
    expect(tree.countBelowMember(text("k01500x"), 0, 7, false)).toBe(1501)
    expect(tree.countBelowMember(text("a"), 0, 1, true)).toBe(0)
    expect(tree.countBelowMember(text("z"), 0, 1, true)).toBe(3000)
    expect(new ScoreTree().countBelowMember(key, 0, 6, true)).toBe(0)
  })
})

describe("edges", () => {
  test("an empty tree", () => {
    const tree = new ScoreTree()
    const cursor = new ScoreCursor()
    expect(cursor.seek(tree, 0)).toBe(false)
    expect(cursor.next()).toBe(false)
    expect(cursor.previous()).toBe(false)
    expect(tree.delete(1, text("a"), 0, 1)).toBe(false)
    expect(tree.countBelow(5, true)).toBe(0)
    tree.deleteRange(0, 10)
    verify(tree)
  })

  test("the empty member, and -0 equal to 0", () => {
    const tree = new ScoreTree()
    const empty = text("")
    expect(tree.insert(0, empty, 0, 0)).toBe(true)
    expect(tree.insert(-0, empty, 0, 0)).toBe(false)
    expect(tree.rankOf(-0, empty, 0, 0)).toBe(0)
    expect(tree.delete(-0, empty, 0, 0)).toBe(true)
    verify(tree)
  })

  test("clear, and popping from both ends", () => {
    const tree = new ScoreTree()
    for (let i = 0; i < 1000; i++) tree.insert(i, text(String(i)), 0, String(i).length)
    const cursor = new ScoreCursor()
    for (let i = 0; i < 400; i++) {
      cursor.seek(tree, 0)
      expect(cursor.score).toBe(i)
      tree.deleteRange(0, 1)
      cursor.seek(tree, tree.length - 1)
      expect(cursor.score).toBe(999 - i)
      tree.deleteRange(tree.length - 1, 1)
    }
    verify(tree)
    expect(tree.length).toBe(200)
    tree.clear()
    verify(tree)
    expect(tree.length).toBe(0)
  })

  test("a frozen cursor goes on while the tree is written", () => {
    const tree = new ScoreTree()
    for (let i = 0; i < 5000; i++) tree.insert(i, text(String(i)), 0, String(i).length)
    const frozen = tree.freeze(1)
    const cursor = new ScoreCursor()
    let expected = 0
    for (let on = cursor.seek(frozen, 0); on; on = cursor.next(), expected++) {
      expect(cursor.score).toBe(expected)
      tree.deleteRange(0, 1)
      tree.insert(-expected, text(`new ${expected}`), 0, 5)
    }
    expect(expected).toBe(5000)
    verify(tree)
  })
})
