/**
 * Score tree: the ordered half of a large sorted set, a counted B+ tree on (score, member bytes).
 *
 * Why not a skip list: a leaf keeps about a hundred elements in three flat arrays, so an element costs its member plus
 * ten bytes, a search touches four nodes instead of twenty, and ranks come from the counts that inner nodes keep.
 *
 *   Leaf    scores  Float64Array  one per element, ascending
 *           starts  Uint16Array   offset of each member in `bytes`; a member ends where the next one starts
 *           bytes   Uint8Array    the members, packed in element order; the last one ends at `used`
 *   Inner   children, sizes (elements below each child), and one separator (score, key) per child
 *
 * Invariants
 * 1. The order is by score, ties by member as unsigned bytes; -0 equals 0; NaN never comes in.
 * 2. The separator of a child is not above its first element and above the last element of the child before it. It is
 *    the shortest such: (score, "") between different scores, else the common prefix and one byte. Separator 0 of a
 *    node stands for minus infinity and is never looked at; its key is empty.
 * 3. All leaves are `height` inner nodes below the root. Only an empty tree has an empty leaf; no inner node is empty
 *    and the root has two children or more.
 * 4. A leaf with two or more elements has at most LEAF_BYTES_MAX member bytes, so starts fit 16 bits; a larger member
 *    is alone in its leaf.
 * 5. Copy-on-write: every node carries the epoch it was made in. freeze() hands out the root; a writer clones a node
 *    of an older epoch on its path before it changes it. Nodes reachable from a frozen view never change.
 * 6. `bytes` is the sum over the nodes of the live tree. Dropping a tree is O(1): its nodes are garbage, and the
 *    collector sweeps in slices.
 *
 * Source: Comer, "The Ubiquitous B-Tree" (1979), with the prefix separators of Bayer and Unterauer (1977).
 */

import {
  byteCapacity,
  childFor,
  cloneInner,
  cloneLeaf,
  EMPTY,
  INNER_CHILDREN_JOINED_MAX,
  INNER_CHILDREN_MAX,
  INNER_CHILDREN_MIN,
  Inner,
  innerBytes,
  innerInsert,
  innerRemove,
  keyBytes,
  LEAF_BYTES_JOINED_MAX,
  LEAF_ENTRIES_JOINED_MAX,
  LEAF_ENTRIES_MIN,
  Leaf,
  leafAppend,
  leafBytes,
  leafFits,
  leafHolds,
  leafIndexOf,
  leafInsert,
  leafLowerBound,
  leafRemove,
  memberEnd,
  type Node,
  nodeSize,
  resizeLeaf,
  roomyCapacity,
  separate,
  separatorKey,
  separatorScore,
  sizeBefore,
  slotCapacity,
  splitPoint,
} from "./score-nodes.ts"

/** More levels than 2^32 elements can need, even with two children per node. */
const HEIGHT_MAX = 40

// ---- reading --------------------------------------------------------------------------------------------------------

/** Everything that can be asked of a tree, live or frozen. Ranks count from 0 at the lowest element. */
export class ScoreTreeView {
  protected root: Node
  protected height: number
  protected size: number

  protected constructor(root: Node, height: number, size: number) {
    this.root = root
    this.height = height
    this.size = size
  }

  /** Number of elements. */
  get length(): number {
    return this.size
  }

  /** Rank of (score, member), which must be there. O(log n). */
  rankOf(score: number, member: Uint8Array, start: number, end: number): number {
    let node = this.root
    let rank = 0
    let below = this.size
    for (let level = 0; level < this.height; level++) {
      const inner = node as Inner
      const child = childFor(inner, score, member, start, end)
      rank += sizeBefore(inner, child, below)
      below = inner.sizes[child]!
      node = inner.children[child]!
    }
    return rank + leafIndexOf(node as Leaf, score, member, start, end)
  }

  /**
   * Number of elements with a score below `score`, or not above it when `inclusive`. This is the rank of the first
   * element beyond that bound; the difference of two is a count. O(log n).
   */
  countBelow(score: number, inclusive: boolean): number {
    let node = this.root
    let rank = 0
    let below = this.size
    for (let level = 0; level < this.height; level++) {
      const inner = node as Inner
      const scores = inner.scores
      let low = 1
      let high = inner.count
      while (low < high) {
        const middle = (low + high) >>> 1
        if (inclusive ? scores[middle]! <= score : scores[middle]! < score) low = middle + 1
        else high = middle
      }
      rank += sizeBefore(inner, low - 1, below)
      below = inner.sizes[low - 1]!
      node = inner.children[low - 1]!
    }
    const { scores, count } = node as Leaf
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (inclusive ? scores[middle]! <= score : scores[middle]! < score) low = middle + 1
      else high = middle
    }
    return rank + low
  }

  /**
   * Number of elements with a member below `member`, or not above it when `inclusive`, in a tree where all scores are
   * the same. With different scores the answer is some rank, as undefined as Redis's. O(log n).
   */
  countBelowMember(member: Uint8Array, start: number, end: number, inclusive: boolean): number {
    if (this.size === 0) return 0
    let node = this.root
    for (let level = 0; level < this.height; level++) node = (node as Inner).children[0]!
    const score = (node as Leaf).scores[0]!
    node = this.root
    let rank = 0
    let below = this.size
    for (let level = 0; level < this.height; level++) {
      const inner = node as Inner
      const child = childFor(inner, score, member, start, end)
      rank += sizeBefore(inner, child, below)
      below = inner.sizes[child]!
      node = inner.children[child]!
    }
    const leaf = node as Leaf
    const index = leafLowerBound(leaf, score, member, start, end)
    return rank + index + (inclusive && leafHolds(leaf, index, score, member, start, end) ? 1 : 0)
  }

  /** Cursor support: see ScoreCursor.seek(). */
  locate(cursor: ScoreCursor, rank: number): boolean {
    if (!(rank >= 0 && rank < this.size)) {
      cursor.release()
      return false
    }
    let node = this.root
    for (let level = 0; level < this.height; level++) {
      const inner = node as Inner
      const sizes = inner.sizes
      let child = 0
      while (rank >= sizes[child]!) rank -= sizes[child++]!
      cursor.path[level] = inner
      cursor.indexes[level] = child
      node = inner.children[child]!
    }
    cursor.height = this.height
    cursor.leaf = node as Leaf
    cursor.load(rank)
    return true
  }
}

/**
 * A position in a tree or frozen view, and the element there. Reused; moving allocates nothing.
 *
 * `bytes` is borrowed from the tree. Any write to the tree makes a cursor on it invalid until the next seek; a cursor
 * on a frozen view stays valid. A cursor keeps the tree alive until it runs off an end or is released.
 */
export class ScoreCursor {
  score = 0
  /** The member: bytes[start, end). */
  bytes: Uint8Array = EMPTY
  start = 0
  end = 0

  /** Internal: the leaf and the way to it. */
  leaf: Leaf | null = null
  index = 0
  height = 0
  path: Inner[] = []
  indexes = new Uint8Array(HEIGHT_MAX)

  /** Goes to the element of that rank; false (and released) when there is none. O(log n). */
  seek(view: ScoreTreeView, rank: number): boolean {
    return view.locate(this, rank)
  }

  /** Goes to the next higher element; false (and released) after the last. Amortised O(1). */
  next(): boolean {
    const leaf = this.leaf
    if (leaf === null) return false
    if (this.index + 1 < leaf.count) {
      this.load(this.index + 1)
      return true
    }
    let level = this.height - 1
    while (level >= 0 && this.indexes[level]! + 1 >= this.path[level]!.count) level--
    if (level < 0) {
      this.release()
      return false
    }
    let child = ++this.indexes[level]!
    for (; level < this.height - 1; level++) {
      this.path[level + 1] = this.path[level]!.children[child] as Inner
      this.indexes[level + 1] = child = 0
    }
    this.leaf = this.path[level]!.children[child] as Leaf
    this.load(0)
    return true
  }

  /** Goes to the next lower element; false (and released) before the first. Amortised O(1). */
  previous(): boolean {
    if (this.leaf === null) return false
    if (this.index > 0) {
      this.load(this.index - 1)
      return true
    }
    let level = this.height - 1
    while (level >= 0 && this.indexes[level]! === 0) level--
    if (level < 0) {
      this.release()
      return false
    }
    let child = --this.indexes[level]!
    for (; level < this.height - 1; level++) {
      const inner = this.path[level]!.children[child] as Inner
      this.path[level + 1] = inner
      this.indexes[level + 1] = child = inner.count - 1
    }
    const leaf = this.path[level]!.children[child] as Leaf
    this.leaf = leaf
    this.load(leaf.count - 1)
    return true
  }

  /** Lets go of the tree. */
  release(): void {
    this.leaf = null
    this.bytes = EMPTY
    this.start = 0
    this.end = 0
    this.path.length = 0
  }

  /** Internal: shows element `index` of the current leaf. */
  load(index: number): void {
    const leaf = this.leaf!
    this.index = index
    this.score = leaf.scores[index]!
    this.bytes = leaf.bytes
    this.start = leaf.starts[index]!
    this.end = memberEnd(leaf, index)
  }
}

/** What freeze() returns: stays exactly as it was while the tree goes on changing. */
export class FrozenScoreTree extends ScoreTreeView {
  static of(root: Node, height: number, size: number): FrozenScoreTree {
    return new FrozenScoreTree(root, height, size)
  }
}

// ---- writing --------------------------------------------------------------------------------------------------------

// Child index per level on the way to the leaf of the current write; indexes only, so that no node is kept alive.
const way = new Uint8Array(HEIGHT_MAX)

export class ScoreTree extends ScoreTreeView {
  /** Nodes of an earlier epoch may be shared with a frozen view. */
  epoch: number
  /** Bytes allocated for the live tree. */
  bytes: number

  constructor(epoch = 0) {
    const leaf = new Leaf(epoch, 16, 0)
    super(leaf, 0, 0)
    this.epoch = epoch
    this.bytes = leafBytes(leaf)
  }

  /** An exact read-only view of this moment, O(1). `epoch` is the one that begins now, above all before. */
  freeze(epoch: number): FrozenScoreTree {
    this.epoch = epoch
    return FrozenScoreTree.of(this.root, this.height, this.size)
  }

  /** Adds (score, member) and copies the member; false when exactly that is there already. O(log n). */
  insert(score: number, member: Uint8Array, start: number, end: number): boolean {
    for (;;) {
      const found = this.descend(score, member, start, end)
      const index = leafLowerBound(found, score, member, start, end)
      if (leafHolds(found, index, score, member, start, end)) return false
      if (leafFits(found, end - start)) {
        const leaf = this.own(1)
        const before = leaf.scores.length * 10 + leaf.bytes.length
        leafInsert(leaf, index, score, member, start, end)
        this.bytes += leaf.scores.length * 10 + leaf.bytes.length - before
        this.size++
        return true
      }
      if (index === 0 || index === found.count) {
        // Ascending and descending input leaves full leaves behind.
        const leaf = this.own(1)
        const added = new Leaf(this.epoch, slotCapacity(1), byteCapacity(end - start))
        leafInsert(added, 0, score, member, start, end)
        this.bytes += leafBytes(added)
        if (index === 0) this.addLeafBefore(leaf, added)
        else {
          this.trim(leaf)
          separate(leaf, added)
          this.addChild(this.height - 1, added, separatorScore, separatorKey, leaf.count, 1)
        }
        this.size++
        return true
      }
      this.splitLeaf(this.own(0))
    }
  }

  /** Takes (score, member) out; false when it is not there. O(log n). */
  delete(score: number, member: Uint8Array, start: number, end: number): boolean {
    const found = this.descend(score, member, start, end)
    const index = leafLowerBound(found, score, member, start, end)
    if (!leafHolds(found, index, score, member, start, end)) return false
    this.removeRun(index, 1)
    return true
  }

  /**
   * Gives the member another score; false when (score, member) is not there. O(log n), and cheaper than delete and
   * insert when the member stays between its neighbours.
   */
  update(score: number, newScore: number, member: Uint8Array, start: number, end: number): boolean {
    const found = this.descend(score, member, start, end)
    const index = leafLowerBound(found, score, member, start, end)
    if (!leafHolds(found, index, score, member, start, end)) return false
    // The outermost elements are left out: their neighbours and separators are elsewhere.
    if (
      index > 0 &&
      index + 1 < found.count &&
      found.scores[index - 1]! < newScore &&
      newScore < found.scores[index + 1]!
    ) {
      this.own(0).scores[index] = newScore
      return true
    }
    this.removeRun(index, 1)
    this.insert(newScore, member, start, end)
    return true
  }

  /** Takes out the elements of ranks [from, from + count). O(log n + count), a leaf at a time. */
  deleteRange(from: number, count: number): void {
    if (from < 0) {
      count += from
      from = 0
    }
    let rest = Math.min(count, this.size - from)
    while (rest > 0) {
      let node = this.root
      let index = from
      for (let level = 0; level < this.height; level++) {
        const inner = node as Inner
        let child = 0
        while (index >= inner.sizes[child]!) index -= inner.sizes[child++]!
        way[level] = child
        node = inner.children[child]!
      }
      const run = Math.min(rest, (node as Leaf).count - index)
      this.removeRun(index, run)
      rest -= run
    }
  }

  /** Takes everything out, O(1). */
  clear(): void {
    const leaf = new Leaf(this.epoch, 16, 0)
    this.root = leaf
    this.height = 0
    this.size = 0
    this.bytes = leafBytes(leaf)
  }

  /** The leaf whose range holds (score, member); leaves the way to it in `way`. */
  private descend(score: number, member: Uint8Array, start: number, end: number): Leaf {
    let node = this.root
    for (let level = 0; level < this.height; level++) {
      const inner = node as Inner
      const child = childFor(inner, score, member, start, end)
      way[level] = child
      node = inner.children[child]!
    }
    return node as Leaf
  }

  /** Makes every node on the way writable and adds `delta` to the sizes along it; returns the leaf. */
  private own(delta: number): Leaf {
    const epoch = this.epoch
    let node = this.root
    if (this.height === 0) {
      if (node.epoch !== epoch) this.root = node = cloneLeaf(node as Leaf, epoch)
      return node as Leaf
    }
    if (node.epoch !== epoch) this.root = node = cloneInner(node as Inner, epoch)
    for (let level = 0; ; level++) {
      const parent = node as Inner
      const index = way[level]!
      parent.sizes[index] = parent.sizes[index]! + delta
      const child = parent.children[index]!
      const last = level === this.height - 1
      if (child.epoch === epoch) node = child
      else parent.children[index] = node = last ? cloneLeaf(child as Leaf, epoch) : cloneInner(child as Inner, epoch)
      if (last) return node as Leaf
    }
  }

  /** The inner node at that level of the way. */
  private innerAt(level: number): Inner {
    let node = this.root
    for (let i = 0; i < level; i++) node = (node as Inner).children[way[i]!]!
    return node as Inner
  }

  /** Resizes the arrays of a leaf that is full and will hardly grow. */
  private trim(leaf: Leaf): void {
    const capacity = byteCapacity(leaf.used)
    this.bytes += capacity - leaf.bytes.length
    resizeLeaf(leaf, leaf.scores.length, capacity)
  }

  /**
   * Halves an owned leaf at the end of the way. Both halves get arrays of the size that was needed: fitting them would
   * save a quarter of the memory at first, and cost more than that in garbage while they grow again (measured).
   */
  private splitLeaf(leaf: Leaf): void {
    const at = splitPoint(leaf)
    const moved = leaf.count - at
    const kept = leaf.starts[at]!
    const right = new Leaf(this.epoch, leaf.scores.length, leaf.bytes.length)
    leafAppend(right, leaf, at, leaf.count)
    this.bytes += leafBytes(right)
    leaf.count = at
    leaf.used = kept
    separate(leaf, right)
    this.addChild(this.height - 1, right, separatorScore, separatorKey, at, moved)
  }

  /** Puts `added` in the place of `leaf` at the end of the way, and `leaf` right after it. */
  private addLeafBefore(leaf: Leaf, added: Leaf): void {
    if (this.height === 0) this.root = added
    else this.innerAt(this.height - 1).children[way[this.height - 1]!] = added
    separate(added, leaf)
    this.addChild(this.height - 1, leaf, separatorScore, separatorKey, 1, leaf.count)
  }

  /**
   * Enters `child` right after the way's child at `level`, whose subtree now has leftSize elements. Full nodes are
   * split upwards; the way is spent afterwards.
   */
  private addChild(
    level: number,
    child: Node,
    score: number,
    key: Uint8Array,
    leftSize: number,
    rightSize: number,
  ): void {
    if (level < 0) {
      const root = new Inner(this.epoch)
      innerInsert(root, 0, this.root, 0, EMPTY, leftSize)
      innerInsert(root, 1, child, score, key, rightSize)
      this.bytes += innerBytes() + keyBytes(key)
      this.root = root
      this.height++
      return
    }
    const parent = this.innerAt(level)
    const index = way[level]!
    parent.sizes[index] = leftSize
    this.bytes += keyBytes(key)
    if (parent.count < INNER_CHILDREN_MAX) {
      innerInsert(parent, index + 1, child, score, key, rightSize)
      return
    }
    const right = new Inner(this.epoch)
    this.bytes += innerBytes()
    if (index + 1 === parent.count) {
      // Ascending input leaves full nodes behind here too.
      this.bytes -= keyBytes(key)
      innerInsert(right, 0, child, score, EMPTY, rightSize)
      this.addChild(level - 1, right, score, key, nodeSize(parent), rightSize)
      return
    }
    const at = parent.count >>> 1
    const upScore = parent.scores[at]!
    const upKey = parent.keys[at]!
    this.bytes -= keyBytes(upKey)
    for (let i = at; i < parent.count; i++) {
      innerInsert(right, i - at, parent.children[i]!, parent.scores[i]!, parent.keys[i]!, parent.sizes[i]!)
    }
    right.keys[0] = EMPTY
    parent.count = at
    parent.children.length = at
    parent.keys.length = at
    if (index < at) innerInsert(parent, index + 1, child, score, key, rightSize)
    else innerInsert(right, index + 1 - at, child, score, key, rightSize)
    this.addChild(level - 1, right, upScore, upKey, nodeSize(parent), nodeSize(right))
  }

  /** Takes `count` elements from `index` out of the leaf at the end of the way. */
  private removeRun(index: number, count: number): void {
    const leaf = this.own(-count)
    const before = leafBytes(leaf)
    leafRemove(leaf, index, count)
    this.bytes += leafBytes(leaf) - before
    this.size -= count
    if (this.height > 0 && leaf.count < LEAF_ENTRIES_MIN) this.repair(leaf)
  }

  /** Drops or joins what became too small along the way, from an owned leaf upwards. */
  private repair(leaf: Leaf): void {
    let level = this.height - 1
    let parent = this.innerAt(level)
    if (leaf.count === 0) {
      this.bytes -= leafBytes(leaf)
      this.dropChild(parent, way[level]!)
    } else if (!this.joinLeaf(parent, way[level]!)) this.joinLeaf(parent, way[level]! - 1)
    for (; level > 0 && parent.count < INNER_CHILDREN_MIN; level--) {
      const above = this.innerAt(level - 1)
      const index = way[level - 1]!
      if (parent.count === 0) {
        this.bytes -= innerBytes()
        this.dropChild(above, index)
      } else if (!this.joinInner(above, index)) this.joinInner(above, index - 1)
      parent = above
    }
    while (this.height > 0 && (this.root as Inner).count <= 1) {
      const root = this.root as Inner
      this.bytes -= innerBytes()
      if (root.count === 0) {
        this.clear()
        return
      }
      this.root = root.children[0]!
      this.height--
    }
  }

  private dropChild(parent: Inner, index: number): void {
    // With the first child, the second one's separator is what goes.
    if (parent.count > 1) this.bytes -= keyBytes(parent.keys[Math.max(index, 1)]!)
    innerRemove(parent, index)
  }

  /** Joins the leaves at index and index + 1 of an owned parent when both are there and fit well. */
  private joinLeaf(parent: Inner, index: number): boolean {
    if (index < 0 || index + 1 >= parent.count) return false
    const left = parent.children[index] as Leaf
    const right = parent.children[index + 1] as Leaf
    const count = left.count + right.count
    const used = left.used + right.used
    if (count > LEAF_ENTRIES_JOINED_MAX || used > LEAF_BYTES_JOINED_MAX) return false
    const joined = new Leaf(this.epoch, slotCapacity(count), roomyCapacity(used))
    leafAppend(joined, left, 0, left.count)
    leafAppend(joined, right, 0, right.count)
    this.bytes += leafBytes(joined) - leafBytes(left) - leafBytes(right)
    parent.children[index] = joined
    parent.sizes[index] = count
    this.dropChild(parent, index + 1)
    return true
  }

  /** Joins the inner nodes at index and index + 1 of an owned parent when both are there and fit well. */
  private joinInner(parent: Inner, index: number): boolean {
    if (index < 0 || index + 1 >= parent.count) return false
    let left = parent.children[index] as Inner
    const right = parent.children[index + 1] as Inner
    if (left.count + right.count > INNER_CHILDREN_JOINED_MAX) return false
    if (left.epoch !== this.epoch) left = cloneInner(left, this.epoch)
    const key = parent.keys[index + 1]!
    this.bytes += keyBytes(key) - innerBytes()
    innerInsert(left, left.count, right.children[0]!, parent.scores[index + 1]!, key, right.sizes[0]!)
    for (let i = 1; i < right.count; i++) {
      innerInsert(left, left.count, right.children[i]!, right.scores[i]!, right.keys[i]!, right.sizes[i]!)
    }
    parent.children[index] = left
    parent.sizes[index] = parent.sizes[index]! + parent.sizes[index + 1]!
    this.dropChild(parent, index + 1)
    return true
  }
}
