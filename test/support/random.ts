/** Seeded randomness for tests: the same seed gives the same test. */

/** The seed of an ordinary run, so that it is the same every time and a red one is never chance. */
const USUAL_SEED = 20_090_510

/** The seed of this run; print it in every failure. BUNDIS_SEED=random draws one, and so does the long mode. */
export const runSeed: number = seedFrom(process.env.BUNDIS_SEED || (process.env.BUNDIS_FUZZ ? "random" : USUAL_SEED))

function seedFrom(wanted: string | number): number {
  if (wanted !== "random") return Number(wanted) >>> 0
  const drawn = Math.floor(Math.random() * 2 ** 32)
  console.log(`BUNDIS_SEED=${drawn}`)
  return drawn
}

/** Mulberry32: 32 bits of state, a full period, enough for picking test cases. */
export class Random {
  readonly seed: number
  #state: number

  constructor(seed: number = runSeed) {
    this.seed = seed >>> 0
    this.#state = this.seed
  }

  /** 0 to 2^32 - 1. */
  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** 0 to n - 1. */
  below(n: number): number {
    return Math.floor((this.uint32() / 2 ** 32) * n)
  }

  /** Both ends included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  /** 0 up to 1. */
  fraction(): number {
    return this.uint32() / 2 ** 32
  }

  /** True once in `n` times on average. */
  oneIn(n: number): boolean {
    return this.below(n) === 0
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i++) bytes[i] = this.uint32()
    return bytes
  }

  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      ;[items[i], items[j]] = [items[j]!, items[i]!]
    }
    return items
  }
}
