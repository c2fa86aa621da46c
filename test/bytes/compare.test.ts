import { expect, test } from "bun:test"
import * as compare from "../../src/bytes/compare.ts"

const LENGTHS = [0, 1, 2, 7, 8, 31, 32, 33, 64, 127, 128, 129, 130, 1000]

function pattern(length: number, shared: boolean): Uint8Array {
  const bytes = new Uint8Array(shared ? new SharedArrayBuffer(length) : new ArrayBuffer(length))
  for (let i = 0; i < length; i++) bytes[i] = (i * 131 + 7) & 0xff
  return bytes
}

test("order is by unsigned bytes, then by length", () => {
  for (const shared of [false, true]) {
    for (const length of LENGTHS) {
      const a = pattern(length + 9, shared)
      const b = new Uint8Array(length + 9)
      compare.copyBytes(a, 4, 4 + length, b, 6)
      expect(compare.compareBytes(a, 4, 4 + length, b, 6, 6 + length)).toBe(0)
      expect(compare.equalBytes(a, 4, b, 6, length)).toBe(true)
      expect(compare.compareBytes(a, 4, 5 + length, b, 6, 6 + length)).toBeGreaterThan(0)
      expect(compare.compareBytes(a, 4, 4 + length, b, 6, 7 + length)).toBeLessThan(0)
      for (const spot of [0, length >> 1, length - 1]) {
        if (spot < 0 || spot >= length) continue
        const saved = b[6 + spot]!
        b[6 + spot] = saved ^ 0x80
        const sign = saved < 0x80 ? -1 : 1
        expect(Math.sign(compare.compareBytes(a, 4, 4 + length, b, 6, 6 + length))).toBe(sign)
        expect(compare.equalBytes(a, 4, b, 6, length)).toBe(false)
        b[6 + spot] = saved
      }
    }
  }
})

test("copies agree with copyWithin, overlapping or not", () => {
  for (const length of LENGTHS) {
    for (const [from, to] of [
      [0, 1],
      [1, 0],
      [0, 5],
      [5, 0],
      [3, 3],
      [0, length],
      [length, 0],
    ] as [number, number][]) {
      const bytes = pattern(length * 2 + 10, false)
      const expected = bytes.slice().copyWithin(to, from, from + length)
      compare.copyBytes(bytes, from, from + length, bytes, to)
      expect(bytes).toEqual(expected)
    }
  }
  const shared = pattern(500, true)
  const out = new Uint8Array(500)
  compare.copyBytes(shared, 10, 410, out, 20)
  expect(compare.equalBytes(shared, 10, out, 20, 400)).toBe(true)
  const sharedOut = new Uint8Array(new SharedArrayBuffer(500))
  compare.copyBytes(shared, 10, 410, sharedOut, 20)
  expect(compare.equalBytes(shared, 10, sharedOut, 20, 400)).toBe(true)
  expect(compare.latin1(sharedOut, 20, 420)).toBe(compare.latin1(shared, 10, 410))
  expect(out[19]).toBe(0)
  expect(out[420]).toBe(0)
})

test("case folding touches ASCII letters only", () => {
  for (let byte = 0; byte < 256; byte++) {
    const expected = byte < 128 ? String.fromCharCode(byte).toLowerCase().charCodeAt(0) : byte
    expect(compare.asciiLower(byte)).toBe(expected)
  }
  const bytes = compare.bytesOf("xGeT@[`{x")
  expect(compare.equalsIgnoreCase(bytes, 1, 4, "get")).toBe(true)
  expect(compare.equalsIgnoreCase(bytes, 1, 4, "gets")).toBe(false)
  expect(compare.equalsIgnoreCase(bytes, 1, 4, "gex")).toBe(false)
  expect(compare.equalsIgnoreCase(bytes, 4, 8, "@[`{")).toBe(true)
  expect(compare.equalsIgnoreCase(bytes, 4, 5, "`")).toBe(false)
  expect(compare.equalsIgnoreCase(bytes, 5, 6, "{")).toBe(false)
  expect(compare.equalsIgnoreCase(bytes, 1, 1, "")).toBe(true)
})

test("strings and bytes", () => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i)
  expect(compare.latin1Bytes(compare.latin1(all, 0, 256))).toEqual(all)
  expect(compare.latin1(all, 65, 68)).toBe("ABC")
  const text = "naïve ☃ 😀"
  const bytes = compare.bytesOf(text)
  expect(compare.utf8(bytes, 0, bytes.length)).toBe(text)
  expect(compare.utf8(bytes, 2, 4)).toBe("ï")
  expect(compare.utf8(Uint8Array.of(0xff, 0x41), 0, 2)).toBe("\ufffdA")
})
