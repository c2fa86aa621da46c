import { describe, expect, test } from "bun:test"
import {
  HLL_CHANGED,
  HLL_CORRUPT,
  HLL_DENSE_BYTES,
  HLL_REGISTERS,
  HLL_UNCHANGED,
  HllEditor,
  hllCachedCount,
  hllCount,
  hllCountRegisters,
  hllDenseAdd,
  hllHash,
  hllInvalidateCache,
  hllIsDense,
  hllIsValid,
  hllMaxInto,
  hllWriteCache,
} from "../../src/structs/hyperloglog.ts"

const SPARSE_BYTES_MAX = 3000

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"))
}

function digest(editor: HllEditor): string {
  return new Bun.CryptoHasher("sha1").update(editor.bytes.subarray(0, editor.length)).digest("hex")
}

function addAll(editor: HllEditor, prefix: string, from: number, to: number, max = SPARSE_BYTES_MAX): void {
  for (let i = from; i < to; i++) {
    const element = bytesOf(prefix + i)
    editor.add(element, 0, element.length, max)
  }
}

function registersOf(editor: HllEditor): Uint8Array<ArrayBuffer> {
  const registers = new Uint8Array(HLL_REGISTERS)
  expect(hllMaxInto(registers, editor.bytes, 0, editor.length)).toBe(true)
  return registers
}

/** A header with the given runs behind it. */
function sparse(...runs: number[]): Uint8Array {
  return new Uint8Array([0x48, 0x59, 0x4c, 0x4c, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...runs])
}

/** MurmurHash64A with BigInt, straight from its definition. */
function naiveHash(bytes: Uint8Array): bigint {
  const m = 0xc6a4a7935bd1e995n
  const cut = (x: bigint) => BigInt.asUintN(64, x)
  let h = 0xadc83b19n ^ cut(BigInt(bytes.length) * m)
  const whole = bytes.length - (bytes.length % 8)
  const word = (from: number, to: number) => {
    let k = 0n
    for (let i = to - 1; i >= from; i--) k = (k << 8n) | BigInt(bytes[i]!)
    return k
  }
  for (let at = 0; at < whole; at += 8) {
    let k = cut(word(at, at + 8) * m)
    k = cut((k ^ (k >> 47n)) * m)
    h = cut((h ^ k) * m)
  }
  if (whole < bytes.length) h = cut((h ^ word(whole, bytes.length)) * m)
  h = cut((h ^ (h >> 47n)) * m)
  return h ^ (h >> 47n)
}

describe("hyperloglog against Redis 7.0", () => {
  // Elements "element:0".. added in order; PFCOUNT, then length and SHA-1 of GET before that PFCOUNT.
  const FROM_REDIS: [number, number, number, string][] = [
    [0, 0, 18, "e2c2a4d6f667db2d3180523f3c7a9bda5a4db0fc"],
    [1, 1, 21, "d111dd27cb94748a8cf3c3c1bf002fe0e1b6b277"],
    [10, 10, 48, "dd7cf3784918baa4c956f1723b1cebdb193228f7"],
    [100, 99, 285, "adb8b211e8f1c583accacde62d6a276b6655b70e"],
    [1000, 997, 1897, "0e960765508b760a1d14e0dbf53a47cda116bf34"],
    [1500, 1500, 2722, "b100a66eeab600d2bd3d0bdf8f8340d0c1cb3801"],
    [5000, 5005, 12304, "bca0dbfad679cb86321724f01f53d9036308ed62"],
    [100000, 100039, 12304, "e93ddd40b895726dee7091c32a113a2d5fc36aa8"],
  ]

  test("same bytes and same counts, sparse and dense", () => {
    const editor = new HllEditor()
    editor.reset()
    let added = 0
    for (const [elements, count, length, sha1] of FROM_REDIS) {
      addAll(editor, "element:", added, elements)
      added = elements
      expect(editor.length).toBe(length)
      expect(digest(editor)).toBe(sha1)
      expect(hllCount(editor.bytes, 0, editor.length)).toBe(count)
      expect(hllCountRegisters(registersOf(editor))).toBe(count)
    }
  })

  test("binary elements of every length", () => {
    const bytes = new Uint8Array(64).map((_, i) => i * 37 + 200)
    const editor = new HllEditor()
    editor.reset()
    for (let length = 0; length <= 40; length++) editor.add(bytes, 0, length, SPARSE_BYTES_MAX)
    expect(hllCount(editor.bytes, 0, editor.length)).toBe(41)
    expect(digest(editor)).toBe("f0a0934db3568e7b965b37af86e0ef2d13b213f5")
  })

  test("a merge of two sparse ones", () => {
    const registers = new Uint8Array(HLL_REGISTERS)
    const editor = new HllEditor()
    for (const prefix of ["a", "b"]) {
      editor.reset()
      addAll(editor, prefix, 0, 400)
      hllMaxInto(registers, editor.bytes, 0, editor.length)
    }
    editor.reset()
    expect(editor.raiseAll(registers, SPARSE_BYTES_MAX)).toBe(true)
    expect(editor.length).toBe(1560)
    expect(digest(editor)).toBe("c964a4ac214f07f6eb654ed3bb40d4f20cea6edd")
    expect(hllCount(editor.bytes, 0, editor.length)).toBe(805)
  })
})

describe("hyperloglog", () => {
  test("hash equals the definition", () => {
    let state = 12345
    for (let round = 0; round < 400; round++) {
      const element = new Uint8Array(round % 67).map(() => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0
        return state >>> 16
      })
      const [high, low] = hllHash(element, 0, element.length)
      expect((BigInt(high) << 32n) | BigInt(low)).toBe(naiveHash(element))
    }
    const shifted = bytesOf("..binary safe, and at any offset..")
    const cut = shifted.slice(3, 29)
    expect(hllHash(shifted, 3, 29)).toEqual(hllHash(cut, 0, cut.length))
  })

  test("sparse and dense hold the same registers as an array of maxima", () => {
    for (const seed of [1, 2, 3]) {
      let state = seed
      const random = (below: number) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return Math.floor((state / 2 ** 32) * below)
      }
      const model = new Uint8Array(HLL_REGISTERS)
      const roomy = new HllEditor()
      const tight = new HllEditor()
      roomy.reset()
      tight.reset()
      for (let step = 0; step < 12000; step++) {
        // Clustered registers and few values, so that runs join and split.
        const register = random(3) === 0 ? random(HLL_REGISTERS) : random(200) + random(4) * 5000
        const value = 1 + (random(3) === 0 ? random(32) : random(3))
        const expected = value > model[register]! ? HLL_CHANGED : HLL_UNCHANGED
        if (value > model[register]!) model[register] = value
        expect(roomy.raise(register, value, 1e9)).toBe(expected)
        expect(tight.raise(register, value, 1000)).toBe(expected)
        if (step % 400 === 0) {
          expect(registersOf(roomy)).toEqual(model)
          expect(registersOf(tight)).toEqual(model)
          expect(hllCount(tight.bytes, 0, tight.length)).toBe(hllCount(roomy.bytes, 0, roomy.length))
        }
      }
      expect([roomy.isDense, tight.isDense]).toEqual([false, true])
      roomy.raise(7, 33, 1e9)
      expect(roomy.isDense).toBe(true)
      expect(registersOf(roomy)[7]).toBe(33)
    }
  })

  test("adding to a dense value in place", () => {
    const editor = new HllEditor()
    editor.reset()
    addAll(editor, "x", 0, 100)
    expect(editor.toDense()).toBe(true)
    const b = new Uint8Array(HLL_DENSE_BYTES + 20).fill(0xaa)
    b.set(editor.bytes.subarray(0, editor.length), 10)
    expect(hllIsValid(b, 10, 10 + HLL_DENSE_BYTES)).toBe(true)
    hllWriteCache(b, 10, 100)
    const known = bytesOf("x5")
    expect(hllDenseAdd(b, 10, known, 0, 2)).toBe(false)
    expect(hllCachedCount(b, 10)).toBe(100)
    for (let i = 0; i < 3000; i++) {
      const element = bytesOf(`y${i}`)
      hllDenseAdd(b, 10, element, 0, element.length)
    }
    expect(hllCachedCount(b, 10)).toBe(-1)
    addAll(editor, "y", 0, 3000)
    const registers = new Uint8Array(HLL_REGISTERS)
    hllMaxInto(registers, b, 10, 10 + HLL_DENSE_BYTES)
    expect(registers).toEqual(registersOf(editor))
    expect([...b.subarray(0, 10), ...b.subarray(10 + HLL_DENSE_BYTES)]).toEqual(new Array<number>(20).fill(0xaa))
  })

  test("the last register ends with the value", () => {
    const editor = new HllEditor()
    editor.reset()
    editor.toDense()
    expect(editor.raise(HLL_REGISTERS - 1, 51, SPARSE_BYTES_MAX)).toBe(HLL_CHANGED)
    expect(registersOf(editor)[HLL_REGISTERS - 1]).toBe(51)
    expect(editor.bytes.length).toBe(HLL_DENSE_BYTES)
  })

  test("the cache: written, read, made stale", () => {
    const editor = new HllEditor()
    editor.reset()
    expect(hllCachedCount(editor.bytes, 0)).toBe(-1)
    for (const count of [0, 1, 255, 256, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      hllWriteCache(editor.bytes, 0, count)
      expect(hllCachedCount(editor.bytes, 0)).toBe(count)
      hllInvalidateCache(editor.bytes, 0)
      expect(hllCachedCount(editor.bytes, 0)).toBe(-1)
    }
    editor.bytes.fill(0xff, 8, 15)
    editor.bytes[15] = 0x7f
    expect(hllCachedCount(editor.bytes, 0)).toBe(2n ** 63n - 1n)
  })

  test("what is no HyperLogLog", () => {
    const whole = sparse(0x7f, 0xff)
    expect(hllIsValid(whole, 0, whole.length)).toBe(true)
    expect(hllIsDense(whole, 0)).toBe(false)
    expect(hllIsValid(whole, 0, 15)).toBe(false)
    expect(hllIsValid(whole, 1, whole.length)).toBe(false)
    for (const [at, byte] of [
      [0, 0x68],
      [3, 0x4d],
      [4, 0],
      [4, 2],
    ] as const) {
      const wrong = whole.slice()
      wrong[at] = byte
      expect(hllIsValid(wrong, 0, wrong.length)).toBe(false)
    }
  })

  test("runs that do not add up are corrupt, wherever they are met", () => {
    const editor = new HllEditor()
    const wrong = [[], [0x7f], [0x7f, 0xfe], [0x00], [0x7f, 0xff, 0x00], [0x7f, 0xff, 0x80], [0x80], [0x7f, 0xff, 0x40]]
    for (const runs of wrong) {
      const value = sparse(...runs)
      expect(hllIsValid(value, 0, value.length)).toBe(true)
      expect(hllCount(value, 0, value.length)).toBe(HLL_CORRUPT)
      editor.load(value, 0, value.length)
      // As in Redis, a value run past the last register is overlooked when merging.
      expect(editor.toDense()).toBe(runs[2] === 0x80)
    }
    for (const runs of [[], [0x00], [0x80]]) {
      const value = sparse(...runs)
      editor.load(value, 0, value.length)
      expect(editor.raise(5000, 3, SPARSE_BYTES_MAX)).toBe(HLL_CORRUPT)
      expect(editor.raise(5000, 40, SPARSE_BYTES_MAX)).toBe(HLL_CORRUPT)
      expect(editor.isDense).toBe(false)
    }
  })

  test("random bytes in place of runs or registers do no harm", () => {
    let state = 99
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    const editor = new HllEditor()
    const element = new Uint8Array(9)
    for (let round = 0; round < 2000; round++) {
      const value = sparse(...Array.from({ length: random(400) }, () => random(256)))
      editor.load(value, 0, value.length)
      for (let i = 0; i < 30; i++) {
        element[random(9)] = random(256)
        editor.add(element, 0, 9, 200 + random(400))
      }
      const count = hllCount(editor.bytes, 0, editor.length)
      expect(count >= HLL_CORRUPT && Number.isSafeInteger(count)).toBe(true)
    }
    const dense = new Uint8Array(HLL_DENSE_BYTES).fill(0xff)
    dense.set(sparse(), 0)
    dense[4] = 0
    expect(Number.isSafeInteger(hllCount(dense, 0, dense.length))).toBe(true)
  })

  test("a large odd value does not keep its buffer", () => {
    const editor = new HllEditor()
    const large = new Uint8Array(1 << 20)
    large.set(sparse(), 0)
    editor.load(large, 0, large.length)
    expect(editor.length).toBe(1 << 20)
    editor.reset()
    expect(editor.bytes.length).toBe(HLL_DENSE_BYTES)
  })
})
