/**
 * How long a command took, as a histogram over durations from 1 ns to 1000 s: 16 buckets per power of two, so a percentile
 * is off by 3 % at most. 640 counters, made when the first duration comes; adding one costs a logarithm.
 */

const SUB_BITS = 4
const SUB = 1 << SUB_BITS
const NANOS_MAX = 1e12
const BUCKETS = (40 - SUB_BITS + 1) * SUB

/** The bucket of a whole number of nanoseconds; exact below 32, then 16 to the octave. */
function bucketOf(nanos: number): number {
  if (nanos < SUB * 2) return nanos
  const octave = Math.floor(Math.log2(nanos)) - SUB_BITS
  return octave * SUB + Math.floor(nanos / 2 ** octave)
}

/** The largest number of nanoseconds that falls into a bucket. */
function bucketTop(bucket: number): number {
  if (bucket < SUB * 2) return bucket
  const octave = Math.floor(bucket / SUB) - 1
  return (bucket - octave * SUB + 1) * 2 ** octave - 1
}

export class Histogram {
  private readonly counts = new Uint32Array(BUCKETS)
  /** Durations added. */
  total = 0

  add(micros: number): void {
    const nanos = Math.min(NANOS_MAX, Math.max(1, Math.round(micros * 1000)))
    this.counts[bucketOf(nanos)]!++
    this.total++
  }

  /** Duration in microseconds that `percent` of all do not exceed; 0 when there are none. */
  percentile(percent: number): number {
    const wanted = Math.max(1, Math.ceil((percent / 100) * this.total))
    let seen = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.counts[bucket]!
      if (seen >= wanted) return bucketTop(bucket) / 1000
    }
    return 0
  }

  /**
   * Pairs [microseconds, durations up to that] for the powers of two at which the sum grows, as LATENCY HISTOGRAM shows.
   * The bounds are 1024 ns, 2048 ns …; Redis names them after the end of the cell they lie in, 1/128 further on.
   */
  cumulative(): [micros: number, count: number][] {
    const rows: [number, number][] = []
    let seen = 0
    let bucket = 0
    for (let nanos = 1024; seen < this.total && bucket < BUCKETS; nanos *= 2) {
      const before = seen
      for (; bucket < BUCKETS && bucketTop(bucket) <= nanos; bucket++) seen += this.counts[bucket]!
      if (seen > before) rows.push([Math.floor((nanos + nanos / 128 - 1) / 1000), seen])
    }
    return rows
  }
}
