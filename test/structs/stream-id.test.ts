import { describe, expect, test } from "bun:test"
import { ID_AUTO_SEQUENCE, ID_FULL, ID_INVALID, ID_MS_ONLY, StreamId } from "../../src/structs/stream-id.ts"
import { Random, runSeed } from "../support/random.ts"

const text = (value: string) => new Uint8Array(Buffer.from(value, "latin1"))
const MAX = "18446744073709551615"

function parse(value: string, missingIsMax = false): [number, string] {
  const id = new StreamId()
  const kind = id.parse(text(value), 0, value.length, missingIsMax)
  return [kind, kind === ID_INVALID ? "" : id.toString()]
}

describe("parse and write", () => {
  const accepted: [string, number, string][] = [
    ["0-0", ID_FULL, "0-0"],
    ["1526919030474-55", ID_FULL, "1526919030474-55"],
    [`${MAX}-${MAX}`, ID_FULL, `${MAX}-${MAX}`],
    ["9007199254740993-9007199254740992", ID_FULL, "9007199254740993-9007199254740992"],
    ["4294967295-4294967296", ID_FULL, "4294967295-4294967296"],
    ["5", ID_MS_ONLY, "5-0"],
    ["5-*", ID_AUTO_SEQUENCE, "5-0"],
    ["007-00", ID_FULL, "7-0"],
  ]
  for (const [value, kind, expected] of accepted) {
    test(value, () => expect(parse(value)).toEqual([kind, expected]))
  }

  const refused = [
    "",
    "-",
    "+",
    "*",
    "a",
    "1-",
    "-1",
    "1-a",
    "1--1",
    "1-2-3",
    "1-**",
    "18446744073709551616",
    `1-${MAX}0`,
  ]
  for (const value of [...refused, "1".repeat(200)]) {
    test(`refuses "${value.slice(0, 30)}"`, () => expect(parse(value)[0]).toBe(ID_INVALID))
  }

  test("a missing sequence is what was asked for", () => expect(parse("5", true)).toEqual([ID_MS_ONLY, `5-${MAX}`]))

  test("reads within its range only", () => {
    const id = new StreamId()
    expect(id.parse(text("xx12-34yy"), 2, 7)).toBe(ID_FULL)
    expect(id.toString()).toBe("12-34")
  })
})

const WIDE = 2n ** 64n

function bigOf(id: StreamId): bigint {
  const [ms, seq] = id.toString().split("-")
  return BigInt(ms!) * WIDE + BigInt(seq!)
}

function fromBig(value: bigint): StreamId {
  const word = (shift: bigint) => Number((value >> shift) & 0xffff_ffffn)
  return new StreamId().setWords(word(96n), word(64n), word(32n), word(0n))
}

test("order and neighbours agree with 128-bit arithmetic", () => {
  console.log(`stream-id: BUNDIS_SEED=${runSeed}`)
  const chance = new Random()
  const edges = [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 64n - 1n]
  const half = () => (chance.oneIn(2) ? chance.pick(edges) : BigInt(chance.uint32()) * BigInt(chance.uint32()))
  for (let i = 0; i < 5000; i++) {
    const a = half() * WIDE + half()
    const b = chance.oneIn(5) ? a : half() * WIDE + half()
    const id = fromBig(a)
    expect(bigOf(id)).toBe(a)
    expect(Math.sign(id.compare(fromBig(b)))).toBe(a < b ? -1 : a > b ? 1 : 0)
    const written = id.toString()
    expect(parse(written)).toEqual([ID_FULL, written])
    const up = id.clone()
    expect(up.increment()).toBe(a !== WIDE * WIDE - 1n)
    expect(bigOf(up)).toBe(a === WIDE * WIDE - 1n ? a : a + 1n)
    const down = id.clone()
    expect(down.decrement()).toBe(a !== 0n)
    expect(bigOf(down)).toBe(a === 0n ? a : a - 1n)
    const sequence = id.clone()
    expect(sequence.incrementSequence()).toBe(a % WIDE !== WIDE - 1n)
  }
})

test("set takes numbers", () => {
  const id = new StreamId().set(1526919030474, 2 ** 40)
  expect(id.toString()).toBe("1526919030474-1099511627776")
  expect(id.ms).toBe(1526919030474)
  expect(id.seq).toBe(2 ** 40)
})
