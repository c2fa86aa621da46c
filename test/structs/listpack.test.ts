import { describe, expect, test } from "bun:test"
import {
  LP_EMPTY_BYTES,
  LpEntry,
  lpAppend,
  lpAppendInteger,
  lpBytes,
  lpCompare,
  lpCopyValue,
  lpDelete,
  lpDeleteRange,
  lpDeleteRangeSize,
  lpDeleteSize,
  lpEnd,
  lpEntryEnd,
  lpEntrySize,
  lpFind,
  lpFirst,
  lpInit,
  lpInsert,
  lpInsertInteger,
  lpInsertRaw,
  lpInsertSize,
  lpIntegerSize,
  lpLast,
  lpLength,
  lpNext,
  lpNextAt,
  lpOrder,
  lpPrepend,
  lpPrev,
  lpRead,
  lpReplace,
  lpReplaceInteger,
  lpReplaceIntegerSize,
  lpReplaceSize,
  lpSeek,
  lpValidate,
  lpValueLength,
  lpWriteEntry,
  lpWriteInteger,
} from "../../src/structs/listpack.ts"

const AT = 13

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"))
}

function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0
  return below => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

/** The format once more, written naively: one entry as bytes. */
function naiveEntry(text: string): number[] {
  const out: number[] = []
  const canonical = /^(0|-?[1-9][0-9]{0,18})$/.test(text)
  const n = canonical ? BigInt(text) : 0n
  if (canonical && n >= -(2n ** 63n) && n < 2n ** 63n) {
    const little = (code: number, count: number) => {
      out.push(code)
      for (let i = 0; i < count; i++) out.push(Number((n >> BigInt(8 * i)) & 255n))
    }
    if (n >= 0n && n <= 127n) out.push(Number(n))
    else if (n >= -4096n && n <= 4095n) {
      const word = Number(n & 0x1fffn) | 0xc000
      out.push(word >> 8, word & 255)
    } else if (BigInt.asIntN(16, n) === n) little(0xf1, 2)
    else if (BigInt.asIntN(24, n) === n) little(0xf2, 3)
    else if (BigInt.asIntN(32, n) === n) little(0xf3, 4)
    else little(0xf4, 8)
  } else {
    const size = text.length
    if (size < 64) out.push(0x80 | size)
    else if (size < 4096) out.push(0xe0 | (size >> 8), size & 255)
    else out.push(0xf0, size & 255, (size >> 8) & 255, (size >> 16) & 255, size >> 24)
    for (let i = 0; i < size; i++) out.push(text.charCodeAt(i))
  }
  const size = out.length
  if (size <= 127) out.push(size)
  else if (size < 16383) out.push(size >> 7, (size & 127) | 128)
  else if (size < 2097151) out.push(size >> 14, ((size >> 7) & 127) | 128, (size & 127) | 128)
  else out.push(size >> 21, ((size >> 14) & 127) | 128, ((size >> 7) & 127) | 128, (size & 127) | 128)
  return out
}

function naiveListpack(values: string[]): Uint8Array {
  const body = values.flatMap(naiveEntry)
  const total = body.length + 7
  const count = Math.min(values.length, 65535)
  const header = [total & 255, (total >> 8) & 255, (total >> 16) & 255, total >> 24, count & 255, count >> 8]
  return new Uint8Array([...header, ...body, 255])
}

function textOf(b: Uint8Array, entry: number): string {
  const length = lpValueLength(b, entry)
  const dst = new Uint8Array(length + 4).fill(0x21)
  expect(lpCopyValue(b, entry, dst, 2)).toBe(2 + length)
  expect([dst[0], dst[1], dst[length + 2], dst[length + 3]]).toEqual([0x21, 0x21, 0x21, 0x21])
  return Buffer.from(dst.subarray(2, 2 + length)).toString("latin1")
}

function valuesOf(b: Uint8Array, at: number): string[] {
  const out: string[] = []
  for (let entry = lpFirst(b, at); entry !== -1; entry = lpNext(b, at, entry)) out.push(textOf(b, entry))
  return out
}

function build(values: string[], at = AT, spare = 0): Uint8Array {
  const packed = naiveListpack(values)
  const b = new Uint8Array(at + packed.length + spare).fill(0xaa)
  b.set(packed, at)
  return b
}

// biome-ignore format: a table
const INTEGERS = [
  "0", "1", "127", "128", "-1", "4095", "4096", "-4096", "-4097", "32767", "32768", "-32768", "-32769", "8388607",
  "8388608", "-8388608", "-8388609", "2147483647", "2147483648", "-2147483648", "-2147483649", "999999999999999",
  "1000000000000000", "9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740991",
  "-9007199254740992", "-9007199254740993", "4294967296000000000", "9223372036854775807", "-9223372036854775808",
  "-9223372036854775807", "1000000000000000000", "-1000000000000000000", "-4611686018427387904",
]

// biome-ignore format: a table
const STRINGS = [
  "", "-", "-0", "00", "01", "+1", " 1", "1 ", "1a", "9223372036854775808", "-9223372036854775809", "--1",
  "99999999999999999999", "18446744073709551616", "hello", "x".repeat(63), "x".repeat(64), "x".repeat(126),
  "x".repeat(125), "x".repeat(4095), "x".repeat(4096), "x".repeat(16377), "x".repeat(16378), "x".repeat(16379), "\xff\x00",
]

// RPUSH of these, then DUMP, on Redis 7.0: the listpack inside the payload.
// biome-ignore format: a table
const REDIS_VALUES = [

  "0", "127", "128", "-1", "-4096", "4095", "4096", "-4097", "-32768", "32767", "32768", "-32769", "8388607", "-8388608",
  "8388608", "-8388609", "2147483647", "-2147483648", "2147483648", "-2147483649", "9007199254740991",
  "9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "-0",
  "00", "+1", "", "hello", "1.5", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg",
  "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg",
  "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff".repeat(2) + "1234567890",
]
const REDIS_HEX =
  "d2010000230000017f01c08002dfff02d00002cfff02f1001003f1ffef03f1008003f1ff7f03f200800004f2ff7fff04f2ffff7f04f200008004" +
  "f30000800005f3ffff7fff05f3ffffff7f05f30000008005f4000000800000000009f4ffffff7fffffffff09f4ffffffffffff1f0009f4010000" +
  "000000200009f4ffffffffffffdfff09f4ffffffffffffff7f09f4000000000000008009933932323333373230333638353437373538303814" +
  "822d300382303003822b310380018568656c6c6f0683312e3504bf" +
  `${"61".repeat(10)}${"62".repeat(10)}${"63".repeat(10)}${"64".repeat(10)}${"65".repeat(10)}${"66".repeat(10)}67676740` +
  `e040${"61".repeat(10)}${"62".repeat(10)}${"63".repeat(10)}${"64".repeat(10)}${"65".repeat(10)}${"66".repeat(10)}6767676742` +
  `e082${`${"61".repeat(10)}${"62".repeat(10)}${"63".repeat(10)}${"64".repeat(10)}${"65".repeat(10)}${"66".repeat(10)}`.repeat(2)}` +
  "313233343536373839300184ff"

describe("listpack format", () => {
  test("holds the bytes that Redis holds", () => {
    const b = new Uint8Array(2000)
    lpInit(b, AT)
    for (const value of REDIS_VALUES) lpAppend(b, AT, bytesOf(value), 0, value.length)
    expect(Buffer.from(b.subarray(AT, AT + lpBytes(b, AT))).toString("hex")).toBe(REDIS_HEX)
    expect(valuesOf(b, AT)).toEqual(REDIS_VALUES)
  })

  test("encodes every kind as the naive encoder does, and reads it back", () => {
    const entry = new LpEntry()
    for (const value of [...INTEGERS, ...STRINGS]) {
      const expected = naiveEntry(value)
      const source = bytesOf(`xy${value}z`)
      const size = lpEntrySize(source, 2, 2 + value.length)
      expect([value, size]).toEqual([value, expected.length])
      const b = new Uint8Array(size + 10).fill(0xaa)
      expect(lpWriteEntry(b, 3, source, 2, 2 + value.length)).toBe(3 + size)
      expect([...b.subarray(3, 3 + size)]).toEqual(expected)
      expect([b[2], b[3 + size]]).toEqual([0xaa, 0xaa])
      expect(lpEntryEnd(b, 3)).toBe(3 + size)
      expect(textOf(b, 3)).toBe(value)
      lpRead(b, 3, entry)
      expect(entry.entryEnd).toBe(3 + size)
      expect(entry.isInt).toBe(INTEGERS.includes(value))
      if (entry.isInt) {
        expect(String(entry.big ?? entry.int)).toBe(value)
        expect(entry.big === null).toBe(Number.isSafeInteger(Number(value)))
      } else expect(Buffer.from(b.subarray(entry.start, entry.end)).toString("latin1")).toBe(value)
      const n = Number(value)
      if (entry.isInt && Number.isSafeInteger(n)) {
        expect(lpIntegerSize(n)).toBe(size)
        const again = new Uint8Array(size + 5)
        expect(lpWriteInteger(again, 2, n)).toBe(2 + size)
        expect([...again.subarray(2, 2 + size)]).toEqual(expected)
      }
    }
  })

  test("backlen boundaries of large strings", () => {
    for (const length of [2097145, 2097146, 2097147]) {
      const value = new Uint8Array(length).fill(0x78)
      const size = lpEntrySize(value, 0, length)
      expect(size).toBe(length + 5 + (length < 2097146 ? 3 : 4))
      const b = new Uint8Array(size + 30)
      lpInit(b, AT)
      lpAppendInteger(b, AT, 7)
      lpAppend(b, AT, value, 0, length)
      lpAppendInteger(b, AT, 8)
      expect(lpValidate(b, AT, AT + lpBytes(b, AT), true)).toBe(true)
      expect(textOf(b, lpSeek(b, AT, -3))).toBe("7")
      expect(lpValueLength(b, lpSeek(b, AT, -2))).toBe(length)
      expect(lpPrev(b, AT, lpSeek(b, AT, 2))).toBe(lpSeek(b, AT, 1))
      expect(b[lpEnd(b, AT)]).toBe(255)
    }
  })

  test("compares entries with every other value as text", () => {
    for (const a of [...INTEGERS, ...STRINGS]) {
      const b = build([a])
      const entry = lpFirst(b, AT)
      for (const other of [...INTEGERS, ...STRINGS]) {
        const key = bytesOf(`#${other}#`)
        expect(lpCompare(b, entry, key, 1, 1 + other.length)).toBe(a === other)
        expect(lpFind(b, AT, entry, key, 1, 1 + other.length, 0)).toBe(a === other ? entry : -1)
        const order = Math.sign(lpOrder(b, entry, key, 1, 1 + other.length))
        expect(order).toBe(Buffer.compare(bytesOf(a), bytesOf(other)))
      }
    }
  })

  test("reads numbers in encodings wider than needed", () => {
    const b = build([])
    const wide = [0xf4, 5, 0, 0, 0, 0, 0, 0, 0, 9, 0x81, 0x36, 2, 0xf1, 7, 0, 3, 0xdf, 0xff, 2]
    const total = 7 + wide.length
    const p = new Uint8Array([total, 0, 0, 0, 4, 0, ...wide, 255])
    expect(lpValidate(p, 0, p.length, true)).toBe(true)
    expect(valuesOf(p, 0)).toEqual(["5", "6", "7", "-1"])
    const places = ["5", "6", "7", "-1"].map(k => lpFind(p, 0, 6, bytesOf(k), 0, k.length, 0))
    expect(places).toEqual([6, 16, 19, 23])
    expect(lpFind(b, AT, lpFirst(b, AT), bytesOf("5"), 0, 1, 0)).toBe(-1)
  })
})

describe("listpack walking", () => {
  test("an empty one", () => {
    const b = new Uint8Array(AT + 10)
    expect(lpInit(b, AT)).toBe(LP_EMPTY_BYTES)
    expect([lpBytes(b, AT), lpLength(b, AT), lpFirst(b, AT), lpLast(b, AT)]).toEqual([7, 0, -1, -1])
    expect([lpSeek(b, AT, 0), lpSeek(b, AT, -1), lpDeleteRangeSize(b, AT, 0, 5)]).toEqual([-1, -1, 0])
    expect(lpValidate(b, AT, AT + 7, true)).toBe(true)
  })

  test("seek, next and prev agree over all entry sizes", () => {
    const values = [...INTEGERS, ...STRINGS]
    const b = build(values)
    const forward: number[] = []
    for (let entry = lpFirst(b, AT); entry !== -1; entry = lpNext(b, AT, entry)) forward.push(entry)
    const backward: number[] = []
    for (let entry = lpLast(b, AT); entry !== -1; entry = lpPrev(b, AT, entry)) backward.unshift(entry)
    expect(backward).toEqual(forward)
    for (let i = -values.length - 2; i < values.length + 2; i++) {
      expect(lpSeek(b, AT, i)).toBe(forward.at(i < 0 && i < -values.length ? values.length : i) ?? -1)
      if (i >= 0) expect(lpNextAt(b, AT, forward[0]!, i)).toBe(forward[i] ?? -1)
    }
  })

  test("more entries than the header can count", () => {
    const count = 65600
    const b = new Uint8Array(AT + 7 + count * 2 + 100)
    lpInit(b, AT)
    for (let i = 0; i < count; i++) lpAppendInteger(b, AT, i % 100)
    expect([b[AT + 4], b[AT + 5]]).toEqual([255, 255])
    expect(lpLength(b, AT)).toBe(count)
    expect(textOf(b, lpSeek(b, AT, 65599))).toBe("99")
    expect(textOf(b, lpSeek(b, AT, -65600))).toBe("0")
    expect([lpSeek(b, AT, 65600), lpSeek(b, AT, -65601)]).toEqual([-1, -1])
    expect(lpValidate(b, AT, AT + lpBytes(b, AT), true)).toBe(true)
    lpDeleteRange(b, AT, 10, 65590)
    expect(lpLength(b, AT)).toBe(10)
  })

  test("find with skip sees every other entry only", () => {
    const b = build(["b", "a", "name", "b", "3", "4", "x".repeat(5000), "3", "a", "v"])
    const find = (key: string, skip: number) => lpFind(b, AT, lpFirst(b, AT), bytesOf(key), 0, key.length, skip)
    expect(find("a", 1)).toBe(lpSeek(b, AT, 8))
    expect(find("a", 0)).toBe(lpSeek(b, AT, 1))
    expect(find("3", 1)).toBe(lpSeek(b, AT, 4))
    expect(find("4", 1)).toBe(-1)
    expect(find("x".repeat(5000), 1)).toBe(lpSeek(b, AT, 6))
    expect(find("v", 2)).toBe(lpSeek(b, AT, 9))
    expect(lpFind(b, AT, -1, bytesOf("a"), 0, 1, 1)).toBe(-1)
  })
})

describe("listpack edits", () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    test(`against an array of strings, seed ${seed}`, () => {
      const random = randomFrom(seed)
      const pick = (): string => {
        const kind = random(10)
        if (kind < 3) return INTEGERS[random(INTEGERS.length)]!
        if (kind < 5) return STRINGS[random(STRINGS.length)]!
        if (kind < 7) return String(random(100000) - 50000)
        return String.fromCharCode(97 + random(26)).repeat(random(random(20) === 0 ? 300 : 12))
      }
      const room = 1 << 20
      const b = new Uint8Array(room).fill(0xaa)
      lpInit(b, AT)
      let model: string[] = []
      for (let step = 0; step < 700; step++) {
        const before = lpBytes(b, AT)
        const value = pick()
        const source = bytesOf(`<${value}>`)
        const end = 1 + value.length
        const index = model.length === 0 ? 0 : random(model.length)
        const entry = lpSeek(b, AT, index)
        const n = random(2) === 0 ? random(200) - 100 : (random(0x7fffffff) - 0x3fffffff) * 4194304
        let growth = 0
        let total = before
        const op = random(11)
        if (op === 0) {
          growth = lpInsertSize(source, 1, end)
          total = lpPrepend(b, AT, source, 1, end)
          model.unshift(value)
        } else if (op <= 2 || entry === -1) {
          growth = lpInsertSize(source, 1, end)
          total = lpAppend(b, AT, source, 1, end)
          model.push(value)
        } else if (op === 3) {
          growth = lpInsertSize(source, 1, end)
          total = lpInsert(b, AT, entry, source, 1, end)
          model.splice(index, 0, value)
        } else if (op === 4) {
          growth = lpIntegerSize(n)
          total = lpInsertInteger(b, AT, entry, n)
          model.splice(index, 0, String(n))
        } else if (op === 5) {
          growth = lpReplaceSize(b, entry, source, 1, end)
          total = lpReplace(b, AT, entry, source, 1, end)
          model[index] = value
        } else if (op === 6) {
          growth = lpReplaceIntegerSize(b, entry, n)
          total = lpReplaceInteger(b, AT, entry, n)
          model[index] = String(n)
        } else if (op === 7) {
          growth = lpDeleteSize(b, entry)
          total = lpDelete(b, AT, entry)
          model.splice(index, 1)
        } else if (op === 8 && model.length > 30) {
          const count = random(12)
          const from = random(2) === 0 ? index : index - model.length
          growth = lpDeleteRangeSize(b, AT, from, count)
          total = lpDeleteRange(b, AT, from, count)
          model.splice(index, count)
        } else if (op === 9 && model.length > 60) {
          growth = lpDeleteRangeSize(b, AT, -3, 9)
          total = lpDeleteRange(b, AT, -3, 9)
          model = model.slice(0, -3)
        } else {
          const raw = build([value, String(n)], 5)
          growth = raw.length - 5 - 7
          total = lpInsertRaw(b, AT, entry, raw, 11, raw.length - 1, 2)
          model.splice(index, 0, value, String(n))
        }
        expect(total).toBe(before + growth)
        expect(lpBytes(b, AT)).toBe(total)
        const expected = naiveListpack(model)
        if (Buffer.compare(expected, b.subarray(AT, AT + total)) !== 0)
          expect([step, op, valuesOf(b, AT)]).toEqual([step, op, model])
        if (b[AT - 1] !== 0xaa) throw new Error("wrote before the listpack")
        expect(lpLength(b, AT)).toBe(model.length)
        if (model.length > 0) {
          const wanted = model[random(model.length)]!
          const found = lpFind(b, AT, lpFirst(b, AT), bytesOf(wanted), 0, wanted.length, 0)
          expect(found).toBe(lpSeek(b, AT, model.indexOf(wanted)))
        }
      }
      expect(lpEnd(b, AT)).toBe(AT + lpBytes(b, AT) - 1)
    })
  }

  test("a value within the same array, before the listpack", () => {
    const b = new Uint8Array(200)
    b.set(bytesOf("hello"), 0)
    lpInit(b, AT)
    lpAppend(b, AT, b, 0, 5)
    lpAppend(b, AT, b, 1, 3)
    expect(valuesOf(b, AT)).toEqual(["hello", "el"])
  })
})

describe("listpack validation", () => {
  test("accepts what is whole, refuses every truncation", () => {
    const packed = naiveListpack([...INTEGERS, "a", "x".repeat(70), "x".repeat(4096)])
    expect(lpValidate(packed, 0, packed.length, true)).toBe(true)
    expect(lpValidate(packed, 0, packed.length + 1, true)).toBe(false)
    for (let size = 0; size < packed.length; size++) {
      expect(lpValidate(packed.slice(0, size), 0, size, true)).toBe(false)
      const patched = packed.slice(0, Math.max(size, 7))
      patched[0] = patched.length
      patched[1] = patched.length >> 8
      patched[2] = 0
      patched[patched.length - 1] = 255
      patched[4] = patched[5] = 255
      if (lpValidate(patched, 0, patched.length, true)) expect(valuesOf(patched, 0).length).toBe(lpLength(patched, 0))
    }
  })

  test("a wrong count or a wrong backlen is refused, an unknown count is not", () => {
    const packed = naiveListpack(["a", "b", "x".repeat(200)])
    packed[4] = 4
    expect(lpValidate(packed, 0, packed.length, true)).toBe(false)
    expect(lpValidate(packed, 0, packed.length, false)).toBe(true)
    packed[4] = packed[5] = 255
    expect(lpValidate(packed, 0, packed.length, true)).toBe(true)
    packed[packed.length - 2]! ^= 1
    expect(lpValidate(packed, 0, packed.length, true)).toBe(false)
  })

  test("random damage never lets a reader leave the range", () => {
    const seed = 77
    const random = randomFrom(seed)
    const clean = naiveListpack([
      "1",
      "-5",
      "70000",
      "abc",
      "x".repeat(130),
      "9223372036854775807",
      "",
      "field",
      "4096",
    ])
    const entry = new LpEntry()
    let accepted = 0
    for (let round = 0; round < 20000; round++) {
      const p = clean.slice()
      for (let i = random(3); i >= 0; i--)
        p[4 + random(p.length - 5)] = random(3) === 0 ? 0xf0 + random(16) : random(256)
      if (!lpValidate(p, 0, p.length, true)) continue
      accepted++
      let count = 0
      let last = -1
      for (let e = lpFirst(p, 0); e !== -1; e = lpNext(p, 0, e)) {
        lpRead(p, e, entry)
        if (entry.entryEnd >= p.length || entry.end > p.length) throw new Error(`seed ${seed} round ${round}`)
        expect(lpPrev(p, 0, e)).toBe(last)
        textOf(p, e)
        last = e
        count++
      }
      expect(lpLength(p, 0)).toBe(count)
    }
    expect(accepted).toBeGreaterThan(0)
  })
})
