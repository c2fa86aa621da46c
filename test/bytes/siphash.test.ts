import { expect, test } from "bun:test"
import { KeyedHash } from "../../src/bytes/siphash.ts"

const rotate = (x: number, by: number) => (x << by) | (x >>> (32 - by)) | 0

/** HalfSipHash-c-d step by step from its description; slow, obvious, any number of rounds. */
function reference(bytes: number[], k0: number, k1: number, c: number, d: number): number {
  let [v0, v1, v2, v3] = [k0, k1, 0x6c796765 ^ k0, 0x74656462 ^ k1]
  const round = () => {
    v0 = (v0 + v1) | 0
    v1 = rotate(v1, 5) ^ v0
    v0 = rotate(v0, 16)
    v2 = (v2 + v3) | 0
    v3 = rotate(v3, 8) ^ v2
    v0 = (v0 + v3) | 0
    v3 = rotate(v3, 7) ^ v0
    v2 = (v2 + v1) | 0
    v1 = rotate(v1, 13) ^ v2
    v2 = rotate(v2, 16)
  }
  const padded = [...bytes]
  while (padded.length % 4 !== 3) padded.push(0)
  padded.push(bytes.length & 0xff)
  for (let i = 0; i < padded.length; i += 4) {
    const word = padded[i]! | (padded[i + 1]! << 8) | (padded[i + 2]! << 16) | (padded[i + 3]! << 24)
    v3 ^= word
    for (let r = 0; r < c; r++) round()
    v0 ^= word
  }
  v2 ^= 0xff
  for (let r = 0; r < d; r++) round()
  return v1 ^ v3
}

/** The first 32-bit outputs published for HalfSipHash-2-4, key 00..07, messages "", 00, 00 01, 00 01 02. */
const PUBLISHED = [0x5b9f35a9, 0xb85a4727, 0x03a662fa, 0x04e7fe8a]

test("the naive reference reproduces the published HalfSipHash-2-4 values", () => {
  for (const [length, expected] of PUBLISHED.entries()) {
    const message = Array.from({ length }, (_, i) => i)
    expect(reference(message, 0x03020100, 0x07060504, 2, 4) >>> 0).toBe(expected)
  }
})

test("the unrolled 1-3 variant agrees with the reference for every length and offset", () => {
  for (const [k0, k1] of [
    [0x03020100, 0x07060504],
    [0, 0],
    [-1, 0x9e3779b9],
  ] as [number, number][]) {
    const hash = new KeyedHash(k0, k1)
    for (let length = 0; length < 300; length++) {
      const message = Array.from({ length }, (_, i) => (i * 197 + length) & 0xff)
      const start = length % 5
      const bytes = Uint8Array.from([...new Array(start).fill(0xaa), ...message, 0xbb])
      expect(hash.hash(bytes, start, start + length)).toBe(reference(message, k0 | 0, k1 | 0, 1, 3))
    }
  }
})

test("the key matters", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5)
  const values = new Set([0, 1, 2, 3].map(k => new KeyedHash(k & 1, k >> 1).hash(bytes, 0, 5)))
  expect(values.size).toBe(4)
})
