import { describe, expect, test } from "bun:test"
import {
  INTSET_EMPTY_BYTES,
  intsetBytes,
  intsetCopyValue,
  intsetFind,
  intsetGet,
  intsetInit,
  intsetInsert,
  intsetInsertSize,
  intsetLength,
  intsetRemove,
  intsetRemoveAll,
  intsetRemoveSize,
  intsetValidate,
  intsetValueLength,
} from "../../src/structs/intset.ts"

const AT = 5

function normal(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}

function add(b: Uint8Array, value: bigint): boolean {
  const place = intsetFind(b, AT, normal(value))
  if (place >= 0) return false
  const before = intsetBytes(b, AT)
  const growth = intsetInsertSize(b, AT, normal(value))
  expect(intsetInsert(b, AT, place, normal(value))).toBe(before + growth)
  expect(intsetBytes(b, AT)).toBe(before + growth)
  return true
}

function valuesOf(b: Uint8Array): string[] {
  const out: string[] = []
  const text = new Uint8Array(30)
  for (let i = 0; i < intsetLength(b, AT); i++) {
    const end = intsetCopyValue(b, AT, i, text, 2)
    expect(end - 2).toBe(intsetValueLength(b, AT, i))
    out.push(Buffer.from(text.subarray(2, end)).toString("latin1"))
    expect(String(intsetGet(b, AT, i))).toBe(out.at(-1)!)
    expect(intsetGet(b, AT, i)).toBe(normal(BigInt(out.at(-1)!)))
  }
  return out
}

function hexOf(b: Uint8Array): string {
  return Buffer.from(b.subarray(AT, AT + intsetBytes(b, AT))).toString("hex")
}

// SADD, then DUMP, on Redis 7.0: the intset inside the payload.
const FROM_REDIS: [bigint[], string][] = [
  [[1n, -1n, 300n, -32768n, 32767n], "02000000050000000080ffff01002c01ff7f"],
  [[1n, -1n, 70000n], "0400000003000000ffffffff0100000070110100"],
  [
    [1n, -1n, 70000n, -9223372036854775808n, 9223372036854775807n, 9007199254740993n],
    "08000000060000000000000000000080ffffffffffffffff010000000000000070110100000000000100000000002000ffffffffffffff7f",
  ],
  [[5n, 9223372036854775807n], "08000000020000000500000000000000ffffffffffffff7f"],
]

// biome-ignore format: a table
const EDGES = [

  -(2n ** 63n), -(2n ** 63n) + 1n, -(2n ** 53n) - 1n, -(2n ** 53n), -(2n ** 53n) + 1n, -(2n ** 32n) - 1n, -(2n ** 32n),
  -(2n ** 31n) - 1n, -(2n ** 31n), -32769n, -32768n, -1n, 0n, 1n, 32767n, 32768n, 2n ** 31n - 1n, 2n ** 31n,
  2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n,
]

describe("intset", () => {
  test("holds the bytes that Redis holds", () => {
    for (const [values, hex] of FROM_REDIS) {
      const b = new Uint8Array(200)
      expect(intsetInit(b, AT)).toBe(INTSET_EMPTY_BYTES)
      for (const value of values) add(b, value)
      expect(hexOf(b)).toBe(hex)
      expect(intsetValidate(b, AT, AT + intsetBytes(b, AT), true)).toBe(true)
    }
  })

  for (const seed of [11, 12, 13, 14, 15, 16]) {
    test(`against a sorted array, seed ${seed}`, () => {
      let state = seed
      const random = (below: number): number => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return Math.floor((state / 4294967296) * below)
      }
      const bits = [14n, 15n, 30n, 31n, 53n, 62n][seed - 11]!
      const pick = (): bigint => {
        if (random(8) === 0) {
          const edge = EDGES[random(EDGES.length)]!
          if (edge < 1n << bits && edge > -(1n << bits)) return edge
        }
        const wide = (BigInt(random(2 ** 31)) << 32n) | (BigInt(random(2 ** 16)) << 16n) | BigInt(random(2 ** 16))
        const narrow = BigInt.asUintN(random(3) === 0 ? Number(bits) : 6, wide)
        return random(2) === 0 ? narrow : -narrow
      }
      const b = new Uint8Array(20000).fill(0xaa)
      intsetInit(b, AT)
      const model: bigint[] = []
      for (let step = 0; step < 2500; step++) {
        const value = pick()
        const index = model.indexOf(value)
        const found = intsetFind(b, AT, normal(value))
        expect(found).toBe(index >= 0 ? index : ~model.filter(v => v < value).length)
        if (random(5) < 3) {
          expect(add(b, value)).toBe(index < 0)
          if (index < 0) {
            model.push(value)
            model.sort((x, y) => (x < y ? -1 : 1))
          }
        } else if (model.length > 0) {
          const victim = index >= 0 ? index : random(model.length)
          const before = intsetBytes(b, AT)
          const growth = intsetRemoveSize(b, AT)
          expect(intsetRemove(b, AT, victim)).toBe(before + growth)
          model.splice(victim, 1)
        }
        if (step % 50 === 0) {
          expect(valuesOf(b)).toEqual(model.map(String))
          expect(intsetValidate(b, AT, AT + intsetBytes(b, AT), true)).toBe(model.length > 0)
        }
        expect(intsetLength(b, AT)).toBe(model.length)
      }
      expect(b[AT - 1]).toBe(0xaa)
      for (const edge of EDGES) {
        const found = intsetFind(b, AT, normal(edge))
        expect(found).toBe(model.includes(edge) ? model.indexOf(edge) : ~model.filter(v => v < edge).length)
      }
    })
  }

  test("removing several at once leaves what removing them one by one leaves", () => {
    for (const top of [100n, 70000n, 2n ** 40n]) {
      for (const indexes of [[], [0], [9], [0, 1, 2], [7, 8, 9], [0, 4, 5, 9], [1, 3, 5, 7], [...Array(10).keys()]]) {
        const [one, many] = [new Uint8Array(120).fill(0xaa), new Uint8Array(120).fill(0xaa)]
        for (const b of [one, many]) {
          intsetInit(b, AT)
          for (let i = 0n; i < 10n; i++) add(b, top - i * 7n)
        }
        const total = intsetBytes(many, AT)
        for (const index of indexes.toReversed()) intsetRemove(one, AT, index)
        expect(intsetRemoveAll(many, AT, indexes)).toBe(intsetBytes(one, AT))
        expect(hexOf(many)).toBe(hexOf(one))
        expect(many[AT - 1]).toBe(0xaa)
        expect(many[AT + total]).toBe(0xaa)
      }
    }
  })

  test("each edge value found and absent at every width", () => {
    for (const first of EDGES) {
      const b = new Uint8Array(400)
      intsetInit(b, AT)
      add(b, first)
      for (const value of EDGES) {
        expect(intsetFind(b, AT, normal(value)) >= 0).toBe(value === first)
        if (value !== first) expect(~intsetFind(b, AT, normal(value))).toBe(value < first ? 0 : 1)
      }
      for (const value of EDGES) expect(add(b, value)).toBe(value !== first)
      expect(valuesOf(b)).toEqual(EDGES.map(String))
    }
  })

  test("validation", () => {
    const whole = new Uint8Array([2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 5, 0])
    expect(intsetValidate(whole, 0, 12, true)).toBe(true)
    for (let size = 0; size < 12; size++) expect(intsetValidate(whole.slice(0, size), 0, size, true)).toBe(false)
    expect(intsetValidate(whole, 0, 13, true)).toBe(false)
    const damaged = (i: number, byte: number, deep: boolean) => {
      const copy = whole.slice()
      copy[i] = byte
      return intsetValidate(copy, 0, 12, deep)
    }
    expect(damaged(0, 3, false)).toBe(false)
    expect(damaged(0, 4, false)).toBe(false)
    expect(damaged(4, 0, false)).toBe(false)
    expect(damaged(7, 0x80, false)).toBe(false)
    expect(damaged(8, 5, true)).toBe(false)
    expect(damaged(8, 6, true)).toBe(false)
    expect(damaged(8, 6, false)).toBe(true)
  })
})
