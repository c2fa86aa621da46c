/**
 * HalfSipHash-1-3: a keyed hash over bytes with 32-bit lanes, for tables that meet keys chosen by a stranger.
 *
 * Why this one: without the key nobody can prepare colliding keys (hash flooding), and its 32-bit words are what
 * the runtime adds and rotates in registers; the 64-bit SipHash would need pairs of halves for every step.
 *
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), and the HalfSipHash description
 * by the same authors. One compression round per 4-byte little-endian word, three finalisation rounds, 32-bit output.
 *
 * Hot: called once per key of every command. The rounds are written out by hand, there is no state object and no
 * allocation; the four lanes live in local variables.
 */
/** Hashes remembered between reading ahead and use; a power of two, a few times what is read ahead. */
const NOTED_MAX = 256

export class KeyedHash {
  private readonly k0: number
  private readonly k1: number
  private readonly initial2: number
  private readonly initial3: number

  /** The buffer whose noted hashes `recall` knows; undefined when there are none. */
  notedBytes: Uint8Array | undefined
  private readonly notedStarts = new Int32Array(NOTED_MAX)
  private readonly notedEnds = new Int32Array(NOTED_MAX)
  private readonly notedHashes = new Int32Array(NOTED_MAX)

  /** `k0`, `k1`: the two 32-bit halves of the secret key; anything above 32 bits is dropped. */
  constructor(k0: number, k1: number) {
    this.k0 = k0 | 0
    this.k1 = k1 | 0
    this.initial2 = 0x6c796765 ^ k0
    this.initial3 = 0x74656462 ^ k1
  }

  /** Begins noting hashes of ranges of `bytes`, which must not change until `forget`. */
  note(bytes: Uint8Array): void {
    this.notedBytes = bytes
    this.notedEnds.fill(-1)
  }

  forget(): void {
    this.notedBytes = undefined
  }

  /** Hash of a range of the noted bytes, remembered for `recall` until its place is taken by another. */
  hashAhead(start: number, end: number): number {
    const hash = this.hash(this.notedBytes!, start, end)
    const place = start & (NOTED_MAX - 1)
    this.notedStarts[place] = start
    this.notedEnds[place] = end
    this.notedHashes[place] = hash
    return hash
  }

  /** Hash of a range of the noted bytes, from memory if it was hashed ahead. */
  recall(start: number, end: number): number {
    const place = start & (NOTED_MAX - 1)
    if (this.notedStarts[place] === start && this.notedEnds[place] === end) return this.notedHashes[place]!
    return this.hash(this.notedBytes!, start, end)
  }

  /** Hash of bytes[start, end) as a signed 32-bit integer. O(length), allocates nothing. */
  hash(bytes: Uint8Array, start: number, end: number): number {
    let v0 = this.k0
    let v1 = this.k1
    let v2 = this.initial2
    let v3 = this.initial3
    let at = start
    const wordsEnd = end - ((end - start) & 3)
    for (; at < wordsEnd; at += 4) {
      const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      v3 ^= word
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
      v0 ^= word
    }

    let last = (end - start) << 24
    if (at < end) {
      last |= bytes[at]!
      if (at + 1 < end) {
        last |= bytes[at + 1]! << 8
        if (at + 2 < end) last |= bytes[at + 2]! << 16
      }
    }
    v3 ^= last
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= last

    v2 ^= 0xff
    // Finalisation round 1.
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    // Finalisation round 2.
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    // Finalisation round 3: v2 is not read any more, its last rotation is left out.
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    return v1 ^ v3
  }
}
