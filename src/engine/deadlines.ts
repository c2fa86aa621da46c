/**
 * What ends when: a binary heap by deadline, in which each item knows its place, so that one that is done with leaves in
 * O(log n) and nothing stale piles up. One host timer runs for the nearest deadline; whether it has come is for the server's
 * clock to say.
 */

export interface Timed {
  readonly deadlineMs: number
  /** Place in the heap, -1 outside; kept by the heap. */
  heapIndex: number
}

/** A timer is set for no longer than this; then it looks again. */
const TIMER_MS_MAX = 60_000

export class Deadlines<Item extends Timed> {
  private readonly heap: Item[] = []
  private timer: ReturnType<typeof setTimeout> | undefined
  /** Deadline the timer was set for. */
  private timerMs = 0
  private readonly now: () => number
  private readonly onDue: () => void

  /**
   * @param now wall time in ms
   * @param onDue called by the timer; takes what is due with `takeDue`
   */
  constructor(now: () => number, onDue: () => void) {
    this.now = now
    this.onDue = onDue
  }

  get size(): number {
    return this.heap.length
  }

  add(item: Item): void {
    item.heapIndex = this.heap.length
    this.heap.push(item)
    this.up(item)
    this.arm()
  }

  /** Harmless when the item is not in the heap. */
  remove(item: Item): void {
    const { heap } = this
    const at = item.heapIndex
    if (at < 0) return
    item.heapIndex = -1
    const last = heap.pop()!
    if (last !== item) {
      last.heapIndex = at
      heap[at] = last
      this.up(last)
      this.down(last)
    }
    if (heap.length === 0) this.disarm()
  }

  /** Removes and returns an item whose deadline has passed. */
  takeDue(): Item | undefined {
    const first = this.heap[0]
    if (first === undefined || first.deadlineMs > this.now()) return undefined
    this.remove(first)
    return first
  }

  /** Sets the timer, unless one is running that ends early enough. */
  private arm(): void {
    const first = this.heap[0]
    if (first === undefined) return
    if (this.timer !== undefined) {
      if (this.timerMs <= first.deadlineMs) return
      clearTimeout(this.timer)
    }
    const delay = Math.min(Math.max(1, first.deadlineMs - this.now()), TIMER_MS_MAX)
    this.timerMs = first.deadlineMs
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.onDue()
      this.arm()
    }, delay)
    this.timer.unref()
  }

  private disarm(): void {
    clearTimeout(this.timer)
    this.timer = undefined
  }

  private up(item: Item): void {
    const { heap } = this
    let at = item.heapIndex
    while (at > 0) {
      const parentAt = (at - 1) >> 1
      const parent = heap[parentAt]!
      if (parent.deadlineMs <= item.deadlineMs) break
      heap[at] = parent
      parent.heapIndex = at
      at = parentAt
    }
    heap[at] = item
    item.heapIndex = at
  }

  private down(item: Item): void {
    const { heap } = this
    let at = item.heapIndex
    for (;;) {
      let childAt = 2 * at + 1
      if (childAt >= heap.length) break
      if (childAt + 1 < heap.length && heap[childAt + 1]!.deadlineMs < heap[childAt]!.deadlineMs) childAt++
      const child = heap[childAt]!
      if (child.deadlineMs >= item.deadlineMs) break
      heap[at] = child
      child.heapIndex = at
      at = childAt
    }
    heap[at] = item
    item.heapIndex = at
  }
}
