import { expect, test } from "bun:test"
import { latin1Bytes } from "../../src/bytes/compare.ts"
import { sha1, sha1Hex } from "../../src/bytes/sha1.ts"

test("the examples of the standard", () => {
  expect(sha1Hex(latin1Bytes(""))).toBe("da39a3ee5e6b4b0d3255bfef95601890afd80709")
  expect(sha1Hex(latin1Bytes("abc"))).toBe("a9993e364706816aba3e25717850c26c9cd0d89d")
  expect(sha1Hex(latin1Bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))).toBe(
    "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
  )
})

test("every length around the block borders agrees with the runtime's own digest", () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 89 + 3) & 0xff)
  for (let length = 0; length < 290; length++) {
    const expected = new Bun.CryptoHasher("sha1").update(bytes.subarray(3, 3 + length)).digest()
    expect(sha1(bytes, 3, 3 + length)).toEqual(new Uint8Array(expected))
  }
})
