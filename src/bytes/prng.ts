/**
 * A small, fast, seedable random number generator: sfc32 by Chris Doty-Humphrey (PractRand), 128 bits of state.
 *
 * For choices that must replay from a seed in tests (random members, eviction samples, skew). Not for secrets.
 */

const TO_UNIT_32 = 1 / 0x100000000

export class Prng {
  private a: number
  private b: number
  private c: number
  private counter = 1

  /** Takes up to 96 bits of seed; equal seeds give equal sequences. */
  constructor(seed: number, seed2 = 0, seed3 = 0) {
    this.a = seed | 0
    this.b = seed2 | 0
    this.c = seed3 | 0
    // The published warm-up: after it, seeds that differ in one bit have parted company.
    for (let i = 0; i < 15; i++) this.next32()
  }

  /** The next 32 random bits, as 0 to 2^32 - 1. */
  next32(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0
    this.counter = (this.counter + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** A whole number from 0 to n - 1, n from 1 to 2^53; without bias up to 2^31. */
  nextBelow(n: number): number {
    if (n > 0x7fffffff) return Math.floor(this.nextFloat() * n)
    for (;;) {
      const value = this.next32() >>> 1
      const rest = value % n
      // The last, incomplete run of n values below 2^31 is drawn again.
      if (value - rest <= 0x80000000 - n) return rest
    }
  }

  /** A float in [0, 1) with 53 random bits. */
  nextFloat(): number {
    const high = this.next32()
    const low = this.next32() >>> 11
    return (high + low * (1 / 0x200000)) * TO_UNIT_32
  }
}
