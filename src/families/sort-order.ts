/**
 * What SORT sorts: the elements as texts in one buffer, their weights, and the order that comes of them. Nothing is made per
 * element.
 *
 * Numbers are sorted by radix over the doubles' bits, turned so that they ascend as unsigned integers do: in passes of 8 bits,
 * or of 16 when there are so many that the table of 65,536 places does not count. Passes over bits that are the same in
 * all are left out; those are most of them when the numbers are integers. Texts are sorted by comparison.
 */
import { compareBytes, copyBytes } from "../bytes/compare.ts"

/** Fewer numbers than this are sorted by comparison. */
const RADIX_MIN = 48
/** From this many on, digits have 16 bits. */
const WIDE_DIGITS_MIN = 16384
const NUMBERS_PER_PICK_MIN = 32

/** Byte strings one behind the other; some may be missing. */
export class Texts {
  bytes: Uint8Array = new Uint8Array(4096)
  count = 0
  readonly ends: Float64Array
  private missing: Uint8Array | undefined

  constructor(capacity: number) {
    this.ends = new Float64Array(capacity)
  }

  start(i: number): number {
    return i === 0 ? 0 : this.ends[i - 1]!
  }

  end(i: number): number {
    return this.ends[i]!
  }

  push(bytes: Uint8Array, start: number, end: number): void {
    const at = this.count === 0 ? 0 : this.ends[this.count - 1]!
    const behind = at + end - start
    if (behind > this.bytes.length) this.grow(behind)
    copyBytes(bytes, start, end, this.bytes, at)
    this.ends[this.count++] = behind
  }

  pushMissing(): void {
    this.missing ??= new Uint8Array(this.ends.length)
    this.missing[this.count] = 1
    this.push(this.bytes, 0, 0)
  }

  /** Bytewise; a missing one is below all others. */
  compare(i: number, j: number): number {
    const { bytes, missing } = this
    if (missing !== undefined && missing[i]! + missing[j]! > 0) return missing[j]! - missing[i]!
    return compareBytes(bytes, this.start(i), this.end(i), bytes, this.start(j), this.end(j))
  }

  private grow(needed: number): void {
    const larger = new Uint8Array(needed * 2)
    larger.set(this.bytes)
    this.bytes = larger
  }
}

/** The numbers 0 to count - 1. */
export function ascending(count: number): Uint32Array {
  const order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = i
  return order
}

/** The elements by score, those of equal score by their texts. O(n) for many, apart from equal scores. */
export function orderByScore(scores: Float64Array, texts: Texts, descending: boolean): Uint32Array {
  const order =
    scores.length < RADIX_MIN ? compareScores(scores) : radix(scores, scores.length < WIDE_DIGITS_MIN ? 8 : 16)
  for (let from = 0; from < order.length; ) {
    const score = scores[order[from]!]!
    let to = from + 1
    while (to < order.length && scores[order[to]!] === score) to++
    if (to - from > 1) order.subarray(from, to).sort((i, j) => texts.compare(i, j))
    from = to
  }
  return descending ? order.reverse() : order
}

function compareScores(scores: Float64Array): Uint32Array {
  return ascending(scores.length).sort((i, j) => {
    const a = scores[i]!
    const b = scores[j]!
    return a < b ? -1 : a > b ? 1 : 0
  })
}

function radix(scores: Float64Array, digitBits: number): Uint32Array {
  const count = scores.length
  const words = new Uint32Array(scores.slice().buffer)
  for (let high = 1; high < words.length; high += 2) {
    const word = words[high]!
    if (word >>> 31 === 1) {
      words[high] = ~word
      words[high - 1] = ~words[high - 1]!
    } else words[high] = word ^ 0x80000000
  }
  let order = ascending(count)
  let next: Uint32Array = new Uint32Array(count)
  const digits = 1 << digitBits
  const mask = digits - 1
  const places = new Uint32Array(digits)
  for (let bit = 0; bit < 64; bit += digitBits) {
    const word = bit >>> 5
    const shift = bit & 31
    places.fill(0)
    for (let i = word; i < words.length; i += 2) places[(words[i]! >>> shift) & mask]!++
    if (places[(words[word]! >>> shift) & mask] === count) continue
    let sum = 0
    for (let digit = 0; digit < digits; digit++) {
      const here = places[digit]!
      places[digit] = sum
      sum += here
    }
    for (let i = 0; i < count; i++) {
      const element = order[i]!
      next[places[(words[(element << 1) + word]! >>> shift) & mask]!++] = element
    }
    const spare = order
    order = next
    next = spare
  }
  return order
}

/**
 * The elements by text, equal ones in the order they came in. Only the places `from` to `to` (inclusive) of the result need
 * be right, so that a LIMIT costs O(n + m log m) for m places. `nextBelow` picks the pivots.
 */
export function orderByText(
  texts: Texts,
  descending: boolean,
  from: number,
  to: number,
  nextBelow: (bound: number) => number,
): Uint32Array {
  const order = ascending(texts.count)
  const sign = descending ? -1 : 1
  const compare = (i: number, j: number): number => sign * texts.compare(i, j) || i - j
  const last = order.length - 1
  if (from > 0 && from <= to) select(order, compare, 0, last, from, nextBelow)
  if (to < last && from <= to) select(order, compare, from, last, to, nextBelow)
  order.subarray(from, to + 1).sort(compare)
  return order
}

/** Moves the elements in places `low` to `high` until those before `place`, the one there, and those behind it are right. */
function select(
  order: Uint32Array,
  compare: (i: number, j: number) => number,
  low: number,
  high: number,
  place: number,
  nextBelow: (bound: number) => number,
): void {
  while (high - low > NUMBERS_PER_PICK_MIN) {
    const pivot = order[low + nextBelow(high - low + 1)]!
    let left = low
    let right = high
    while (left <= right) {
      while (compare(order[left]!, pivot) < 0) left++
      while (compare(order[right]!, pivot) > 0) right--
      if (left > right) break
      const moved = order[left]!
      order[left++] = order[right]!
      order[right--] = moved
    }
    if (place <= right) high = right
    else if (place >= left) low = left
    else return
  }
  order.subarray(low, high + 1).sort(compare)
}
