/** A rate per second of something that is counted, averaged over the last samples. */

const SAMPLES = 16

export class Rate {
  private readonly perSecond = new Float64Array(SAMPLES)
  private next = 0
  private lastTotal = 0
  private lastMicros = -1

  /** Takes the counter's value at a time of the monotonic clock. A counter that went back begins anew. */
  sample(total: number, micros: number): void {
    const elapsed = micros - this.lastMicros
    if (this.lastMicros >= 0 && elapsed > 0) {
      this.perSecond[this.next] = Math.max(0, ((total - this.lastTotal) * 1e6) / elapsed)
      this.next = (this.next + 1) % SAMPLES
    }
    this.lastTotal = total
    this.lastMicros = micros
  }

  get value(): number {
    let sum = 0
    for (const each of this.perSecond) sum += each
    return sum / SAMPLES
  }

  reset(): void {
    this.perSecond.fill(0)
    this.lastTotal = 0
    this.lastMicros = -1
  }
}
