/**
 * Nodes of the score tree (score-tree.ts has the story and the invariants): leaves, inner nodes, and the operations
 * within one node.
 *
 * A leaf's arrays have room to spare: `slots` elements and a byte capacity, handed out in steps that fill the runtime's
 * allocation classes well. Functions that change a node expect one of the writer's own epoch.
 */

import { compareBytes, copyBytes, equalBytes } from "../bytes/compare.ts"

const LEAF_ENTRIES_MAX = 144
/** A leaf below this joins a neighbour when both fit well within one leaf. */
export const LEAF_ENTRIES_MIN = 36
export const LEAF_ENTRIES_JOINED_MAX = 108
const LEAF_BYTES_MAX = 4096
export const LEAF_BYTES_JOINED_MAX = 3072
export const INNER_CHILDREN_MAX = 64
export const INNER_CHILDREN_MIN = 16
export const INNER_CHILDREN_JOINED_MAX = 48
/** What the runtime takes for a node apart from the contents of its arrays: the object and three array headers. */
const LEAF_OVERHEAD_BYTES = 208
const INNER_OVERHEAD_BYTES = 240
const INNER_CHILD_BYTES = 16
const KEY_OVERHEAD_BYTES = 56
const TIES_WALKED_MAX = 4

export const EMPTY = new Uint8Array(0)

export class Leaf {
  epoch: number
  count = 0
  used = 0
  scores: Float64Array
  starts: Uint16Array
  bytes: Uint8Array

  constructor(epoch: number, slots: number, byteCapacity: number) {
    this.epoch = epoch
    this.scores = new Float64Array(slots)
    this.starts = new Uint16Array(slots)
    this.bytes = byteCapacity === 0 ? EMPTY : new Uint8Array(byteCapacity)
  }
}

export class Inner {
  epoch: number
  count = 0
  scores = new Float64Array(INNER_CHILDREN_MAX)
  sizes = new Uint32Array(INNER_CHILDREN_MAX)
  keys: Uint8Array[] = []
  children: Node[] = []

  constructor(epoch: number) {
    this.epoch = epoch
  }
}

export type Node = Leaf | Inner

// ---- leaves ---------------------------------------------------------------------------------------------------------

/** Slots are handed out in steps that fill the runtime's allocation classes well. */
export function slotCapacity(count: number): number {
  if (count <= 16) return 16
  if (count <= 40) return 40
  if (count <= 72) return 72
  return count <= 104 ? 104 : LEAF_ENTRIES_MAX
}

export function byteCapacity(bytes: number): number {
  if (bytes <= 1024) return (bytes + 127) & ~127
  return bytes <= LEAF_BYTES_MAX ? (bytes + 511) & ~511 : bytes
}

/** byteCapacity with some room to grow. */
export function roomyCapacity(bytes: number): number {
  return bytes > LEAF_BYTES_MAX ? bytes : Math.min(byteCapacity(bytes + (bytes >> 3)), LEAF_BYTES_MAX)
}

export function leafBytes(leaf: Leaf): number {
  return LEAF_OVERHEAD_BYTES + leaf.scores.length * 10 + leaf.bytes.length
}

export function memberEnd(leaf: Leaf, index: number): number {
  return index + 1 < leaf.count ? leaf.starts[index + 1]! : leaf.used
}

/** Number of elements of the leaf below (score, member). Members are only looked at among equal scores. */
export function leafLowerBound(leaf: Leaf, score: number, member: Uint8Array, start: number, end: number): number {
  const { scores, count } = leaf
  let low = scoreLowerBound(scores, count, score)
  let high = low
  while (high < count && scores[high]! === score) {
    // Ties are few, as a rule; where they are not, all that is left of the leaf may be.
    if (high - low >= TIES_WALKED_MAX) {
      high = count
      break
    }
    high++
  }
  while (low < high) {
    const middle = (low + high) >>> 1
    if (
      scores[middle]! === score &&
      compareBytes(leaf.bytes, leaf.starts[middle]!, memberEnd(leaf, middle), member, start, end) < 0
    ) {
      low = middle + 1
    } else high = middle
  }
  return low
}

/** As `leafLowerBound`, for an element that is in the leaf. */
export function leafIndexOf(leaf: Leaf, score: number, member: Uint8Array, start: number, end: number): number {
  const { scores, count } = leaf
  const low = scoreLowerBound(scores, count, score)
  if (low + 1 === count || scores[low + 1]! !== score) return low
  return leafLowerBound(leaf, score, member, start, end)
}

function scoreLowerBound(scores: Float64Array, count: number, score: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (scores[middle]! < score) low = middle + 1
    else high = middle
  }
  return low
}

/** Is element `index` of the leaf exactly (score, member)? `index` may be past the end. */
export function leafHolds(
  leaf: Leaf,
  index: number,
  score: number,
  member: Uint8Array,
  start: number,
  end: number,
): boolean {
  if (index >= leaf.count || leaf.scores[index]! !== score) return false
  const at = leaf.starts[index]!
  return memberEnd(leaf, index) - at === end - start && equalBytes(leaf.bytes, at, member, start, end - start)
}

export function leafFits(leaf: Leaf, memberBytes: number): boolean {
  return leaf.count === 0 || (leaf.count < LEAF_ENTRIES_MAX && leaf.used + memberBytes <= LEAF_BYTES_MAX)
}

/** Gives the leaf arrays of these capacities, which hold what it has. */
export function resizeLeaf(leaf: Leaf, slots: number, capacity: number): void {
  if (slots !== leaf.scores.length) {
    const scores = new Float64Array(slots)
    const starts = new Uint16Array(slots)
    for (let i = 0; i < leaf.count; i++) {
      scores[i] = leaf.scores[i]!
      starts[i] = leaf.starts[i]!
    }
    leaf.scores = scores
    leaf.starts = starts
  }
  if (capacity !== leaf.bytes.length) {
    const bytes = new Uint8Array(capacity)
    copyBytes(leaf.bytes, 0, leaf.used, bytes, 0)
    leaf.bytes = bytes
  }
}

/** Puts the element at `index`; the caller has checked leafFits(). */
export function leafInsert(
  leaf: Leaf,
  index: number,
  score: number,
  member: Uint8Array,
  start: number,
  end: number,
): void {
  const length = end - start
  const { count, used } = leaf
  if (count === leaf.scores.length || used + length > leaf.bytes.length) {
    const slots = count === leaf.scores.length ? slotCapacity(count + 1) : leaf.scores.length
    const grown = used + length > leaf.bytes.length ? roomyCapacity(used + length) : leaf.bytes.length
    resizeLeaf(leaf, slots, grown)
  }
  const { scores, starts, bytes } = leaf
  const at = index < count ? starts[index]! : used
  if (index < count) {
    copyBytes(bytes, at, used, bytes, at + length)
    for (let i = count; i > index; i--) {
      scores[i] = scores[i - 1]!
      starts[i] = starts[i - 1]! + length
    }
  }
  scores[index] = score
  starts[index] = at
  copyBytes(member, start, end, bytes, at)
  leaf.used = used + length
  leaf.count = count + 1
}

export function leafRemove(leaf: Leaf, index: number, removed: number): void {
  const { scores, starts, bytes, count, used } = leaf
  const at = starts[index]!
  const rest = index + removed
  if (rest < count) {
    const from = starts[rest]!
    copyBytes(bytes, from, used, bytes, at)
    for (let i = rest; i < count; i++) {
      scores[i - removed] = scores[i]!
      starts[i - removed] = starts[i]! - (from - at)
    }
    leaf.used = used - (from - at)
  } else leaf.used = at
  leaf.count = count - removed
  if (leaf.used * 4 < bytes.length && bytes.length > 256) {
    resizeLeaf(leaf, slotCapacity(leaf.count + 8), roomyCapacity(leaf.used))
  }
}

/** Appends elements [from, to) of `source` to `target`, whose arrays have room. */
export function leafAppend(target: Leaf, source: Leaf, from: number, to: number): void {
  if (from === to) return
  const first = source.starts[from]!
  const last = memberEnd(source, to - 1)
  const shift = target.used - first
  for (let i = from, j = target.count; i < to; i++, j++) {
    target.scores[j] = source.scores[i]!
    target.starts[j] = source.starts[i]! + shift
  }
  copyBytes(source.bytes, first, last, target.bytes, target.used)
  target.used += last - first
  target.count += to - from
}

/** The first element to move when the leaf is halved: by count, or by bytes when the members are long. */
export function splitPoint(leaf: Leaf): number {
  if (leaf.count >= LEAF_ENTRIES_MAX) return leaf.count >>> 1
  let at = 1
  while (at < leaf.count - 1 && leaf.starts[at]! * 2 < leaf.used) at++
  return at
}

// Result of separate(): the shortest separator between two neighbours.
export let separatorScore = 0
export let separatorKey = EMPTY

/** Finds the separator of the last element of `left` and the first of `right`. */
export function separate(left: Leaf, right: Leaf): void {
  const last = left.count - 1
  separatorScore = right.scores[0]!
  separatorKey = EMPTY
  if (left.scores[last]! < separatorScore) return
  const leftStart = left.starts[last]!
  const leftEnd = left.used
  const rightStart = right.starts[0]!
  const rightEnd = memberEnd(right, 0)
  let common = 0
  while (
    leftStart + common < leftEnd &&
    rightStart + common < rightEnd &&
    left.bytes[leftStart + common] === right.bytes[rightStart + common]
  ) {
    common++
  }
  separatorKey = right.bytes.slice(rightStart, rightStart + common + 1)
}

// ---- inner nodes ----------------------------------------------------------------------------------------------------

export function keyBytes(key: Uint8Array): number {
  return key.length === 0 ? 0 : KEY_OVERHEAD_BYTES + key.length
}

export function innerBytes(): number {
  return INNER_OVERHEAD_BYTES + INNER_CHILDREN_MAX * (12 + INNER_CHILD_BYTES)
}

/** The child whose range holds (score, member): the last one whose separator is not above it. */
export function childFor(inner: Inner, score: number, member: Uint8Array, start: number, end: number): number {
  const scores = inner.scores
  let low = 1
  let high = inner.count
  while (low < high) {
    const middle = (low + high) >>> 1
    const other = scores[middle]!
    if (other < score) low = middle + 1
    else if (other > score) high = middle
    else {
      const key = inner.keys[middle]!
      if (key.length === 0 || compareBytes(key, 0, key.length, member, start, end) <= 0) low = middle + 1
      else high = middle
    }
  }
  return low - 1
}

/** Elements below the children before `index`; `total` is the number below them all. Adds up the shorter side. */
export function sizeBefore(inner: Inner, index: number, total: number): number {
  const { count, sizes } = inner
  let size = 0
  if (index <= count >>> 1) {
    for (let i = 0; i < index; i++) size += sizes[i]!
    return size
  }
  for (let i = index; i < count; i++) size += sizes[i]!
  return total - size
}

export function innerInsert(
  inner: Inner,
  index: number,
  child: Node,
  score: number,
  key: Uint8Array,
  size: number,
): void {
  const { scores, sizes, count } = inner
  for (let i = count; i > index; i--) {
    scores[i] = scores[i - 1]!
    sizes[i] = sizes[i - 1]!
  }
  scores[index] = score
  sizes[index] = size
  inner.children.splice(index, 0, child)
  inner.keys.splice(index, 0, key)
  inner.count = count + 1
}

export function innerRemove(inner: Inner, index: number): void {
  const { scores, sizes, count } = inner
  for (let i = index + 1; i < count; i++) {
    scores[i - 1] = scores[i]!
    sizes[i - 1] = sizes[i]!
  }
  inner.children.splice(index, 1)
  inner.keys.splice(index, 1)
  inner.count = count - 1
  if (index === 0 && count > 1) inner.keys[0] = EMPTY
}

export function nodeSize(node: Node): number {
  if (node instanceof Leaf) return node.count
  let size = 0
  for (let i = 0; i < node.count; i++) size += node.sizes[i]!
  return size
}

export function cloneLeaf(leaf: Leaf, epoch: number): Leaf {
  const clone = new Leaf(epoch, 0, 0)
  clone.count = leaf.count
  clone.used = leaf.used
  clone.scores = leaf.scores.slice()
  clone.starts = leaf.starts.slice()
  clone.bytes = leaf.bytes.slice()
  return clone
}

export function cloneInner(inner: Inner, epoch: number): Inner {
  const clone = new Inner(epoch)
  clone.count = inner.count
  clone.scores.set(inner.scores)
  clone.sizes.set(inner.sizes)
  clone.keys = inner.keys.slice()
  clone.children = inner.children.slice()
  return clone
}
