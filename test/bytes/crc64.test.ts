import { expect, test } from "bun:test"
import { latin1Bytes } from "../../src/bytes/compare.ts"
import { Crc64 } from "../../src/bytes/crc64.ts"
import { Prng } from "../../src/bytes/prng.ts"

/** Bit by bit, from the parameters of the checksum. */
function reference(bytes: Uint8Array): string {
  let crc = 0n
  for (const byte of bytes) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x95ac9329ac4bc9b5n : crc >> 1n
  }
  return crc.toString(16).padStart(16, "0")
}

test("the check value", () => {
  expect(new Crc64().update(latin1Bytes("-123456789-"), 1, 10).hex()).toBe("e9c6d914c4b8d9ca")
  expect(new Crc64().hex()).toBe("0000000000000000")
})

test("the sliced form agrees with the bitwise one, whole and in pieces", () => {
  const random = new Prng(64)
  const bytes = Uint8Array.from({ length: 200 }, () => random.next32())
  for (let length = 0; length < bytes.length; length++) {
    const expected = reference(bytes.subarray(0, length))
    expect(new Crc64().update(bytes, 0, length).hex()).toBe(expected)
    const cut = random.nextBelow(length + 1)
    expect(new Crc64().update(bytes, 0, cut).update(bytes, cut, length).hex()).toBe(expected)
  }
})

test("the trailer is written lowest byte first and recognised", () => {
  const crc = new Crc64().update(latin1Bytes("123456789"), 0, 9)
  const out = new Uint8Array(10)
  expect(crc.write(out, 1)).toBe(9)
  expect([...out]).toEqual([0, 0xca, 0xd9, 0xb8, 0xc4, 0x14, 0xd9, 0xc6, 0xe9, 0])
  expect(crc.matches(out, 1)).toBe(true)
  for (let i = 1; i < 9; i++) {
    out[i]! ^= 0x10
    expect(crc.matches(out, 1)).toBe(false)
    out[i]! ^= 0x10
  }
  crc.reset()
  expect(crc.hex()).toBe("0000000000000000")
})
