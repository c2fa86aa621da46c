import { expect, test } from "bun:test"
import { latin1Bytes } from "../../src/bytes/compare.ts"
import { crc16, keyHashSlot } from "../../src/bytes/crc16.ts"

test("the check value of CRC-16/XMODEM", () => {
  expect(crc16(latin1Bytes("x123456789x"), 1, 10)).toBe(0x31c3)
  expect(crc16(new Uint8Array(0), 0, 0)).toBe(0)
})

/** What CLUSTER KEYSLOT of Redis 7.0.15 replied. */
const SLOTS: [string, number][] = [
  ["", 0],
  ["a", 15495],
  ["foo", 12182],
  ["bar", 5061],
  ["hello", 866],
  ["123456789", 12739],
  ["{user1000}.following", 3443],
  ["{user1000}.followers", 3443],
  ["foo{}{bar}", 8363],
  ["foo{{bar}}zap", 4015],
  ["foo{bar}{zap}", 5061],
  ["{", 4092],
  ["{}", 15257],
  ["{a", 10276],
  ["a}b{", 6027],
  ["}{a}", 15495],
  ["{a}{b}", 15495],
  ["x{\xff}y", 7920],
]

test("key slots and hash tags", () => {
  for (const [key, slot] of SLOTS) {
    // Braces just outside the range must not be seen.
    const bytes = latin1Bytes(`{${key}}`)
    expect([key, keyHashSlot(bytes, 1, bytes.length - 1)]).toEqual([key, slot])
  }
})
