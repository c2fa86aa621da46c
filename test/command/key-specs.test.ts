import { describe, expect, test } from "bun:test"
import {
  type ArgumentReader,
  extractKeys,
  KeyPositions,
  keyFlagNames,
  parseKeySpecs,
} from "../../src/command/key-specs.ts"

class Words implements ArgumentReader {
  constructor(private readonly words: readonly string[]) {}
  get count(): number {
    return this.words.length
  }
  equalsIgnoreCase(index: number, lower: string): boolean {
    return this.words[index]!.toLowerCase() === lower
  }
  integer(index: number): number {
    return /^-?\d+$/.test(this.words[index]!) ? Number(this.words[index]) : Number.NaN
  }
}

const positions = new KeyPositions()

/** Keys of a call as "name:flags", one text per key. */
function keysOf(notation: string, call: string | string[], includeNotKeys = false): string[] {
  const words = typeof call === "string" ? call.split(" ") : call
  const count = extractKeys(parseKeySpecs(notation), new Words(words), positions, includeNotKeys)
  expect(count).toBe(positions.count)
  return Array.from(
    { length: count },
    (_, i) => `${words[positions.positions[i]!]}:${keyFlagNames(positions.flags[i]!).join(" ")}`,
  )
}

function legacy(notation: string | undefined) {
  const { firstKey, lastKey, keyStep, movableKeys } = parseKeySpecs(notation)
  return [firstKey, lastKey, keyStep, movableKeys]
}

describe("positions before 7.0", () => {
  test.each([
    [undefined, [0, 0, 0, false]],
    ["RO access @1", [1, 1, 1, false]],
    ["RM delete @1..-1", [1, -1, 1, false]],
    ["OW update @1..-1/2", [1, -1, 2, false]],
    ["RO access @1..+1", [1, 2, 1, false]],
    ["RW access delete @1; RW insert @2", [1, 2, 1, false]],
    ["OW update @1; RO access @2..-1", [1, -1, 1, false]],
    ["OW update @1; RO access keynum@2", [1, 1, 1, true]],
    ["RO access keynum@1", [0, 0, 0, true]],
    ["RO access STREAMS@1..-1%2", [0, 0, 0, true]],
    ["RW access delete incomplete @3; RW access delete incomplete KEYS@-2..-1 => migrate", [3, 3, 1, true]],
  ] as const)("%p", (notation, expected) => {
    expect(legacy(notation)).toEqual([...expected])
  })
})

describe("keys of a call", () => {
  test("ranges", () => {
    expect(keysOf("RO access @1", "GET a")).toEqual(["a:RO access"])
    expect(keysOf("RO access @1..-2", "BLPOP a b 0")).toEqual(["a:RO access", "b:RO access"])
    expect(keysOf("OW update @1..-1/2", "MSET a 1 b 2")).toEqual(["a:OW update", "b:OW update"])
    expect(keysOf("RO access @1..+1", "LCS a b LEN")).toEqual(["a:RO access", "b:RO access"])
    expect(keysOf("RO access @2", "OBJECT ENCODING a")).toEqual(["a:RO access"])
  })

  test("a number of keys", () => {
    const eval_ = "RW access update keynum@2"
    expect(keysOf(eval_, "EVAL x 2 a b c")).toEqual(["a:RW access update", "b:RW access update"])
    for (const wrong of ["0", "3", "-1", "x", "99999999999999"])
      expect(keysOf(eval_, `EVAL x ${wrong} a b`)).toEqual([])
    expect(keysOf("OW update @1; RO access keynum@2", "ZUNIONSTORE d 2 a b WEIGHTS 1 2")).toEqual([
      "d:OW update",
      "a:RO access",
      "b:RO access",
    ])
  })

  test("keywords", () => {
    const xread = "RO access STREAMS@1..-1%2"
    expect(keysOf(xread, "XREAD COUNT 2 streams a b 0 0")).toEqual(["a:RO access", "b:RO access"])
    expect(keysOf(xread, "XREAD STREAMS")).toEqual([])
    const georadius = "RO access @1; OW update STORE@6; OW update STOREDIST@6"
    expect(keysOf(georadius, "GEORADIUS a 1 2 3 km")).toEqual(["a:RO access"])
    expect(keysOf(georadius, "GEORADIUS a 1 2 3 km ASC storedist d")).toEqual(["a:RO access", "d:OW update"])
  })

  test("SET and BITFIELD tell by their options", () => {
    const set = "RW access update variable_flags @1 => set"
    expect(keysOf(set, "SET a 1 EX 10")).toEqual(["a:OW update"])
    expect(keysOf(set, "SET a GET")).toEqual(["a:OW update"])
    expect(keysOf(set, "SET a 1 get")).toEqual(["a:RW access update"])
    const bitfield = "RW access update variable_flags @1 => bitfield"
    expect(keysOf(bitfield, "BITFIELD a GET u8 0 OVERFLOW SAT GET u8 1")).toEqual(["a:RO access"])
    expect(keysOf(bitfield, "BITFIELD a GET u8 0 SET u8 0 1")).toEqual(["a:RW access update"])
    expect(keysOf(bitfield, "BITFIELD a GET u8")).toEqual(["a:RW access update"])
  })

  test("SORT stores at the last STORE; words that are values do not count", () => {
    const sort = 'RO access @1; RO access unknown "a; b => c"; OW update unknown "anywhere" => sort'
    expect(keysOf(sort, "SORT a BY store GET # LIMIT 0 1")).toEqual(["a:RO access"])
    expect(keysOf(sort, "SORT a STORE b ALPHA store c")).toEqual(["a:RO access", "c:OW update"])
    expect(keysOf("RO access @1; RO access unknown => known", "SORT_RO a GET x")).toEqual(["a:RO access"])
  })

  test("MIGRATE names one key or, after an empty one, those after KEYS", () => {
    const migrate = "RW access delete incomplete @3; RW access delete incomplete KEYS@-2..-1 => migrate"
    const flags = "RW access delete"
    expect(keysOf(migrate, "MIGRATE h 1 a 0 100 COPY")).toEqual([`a:${flags}`])
    expect(keysOf(migrate, ["MIGRATE", "h", "1", "", "0", "100", "AUTH", "keys", "KEYS", "a", "b"])).toEqual([
      `a:${flags}`,
      `b:${flags}`,
    ])
    expect(keysOf(migrate, "MIGRATE h 1 a 0 100 KEYS b")).toEqual([])
  })

  test("shard channels are found only when asked for", () => {
    expect(keysOf("not_key @1..-1", "SSUBSCRIBE a b")).toEqual([])
    expect(keysOf("not_key @1..-1", "SSUBSCRIBE a b", true)).toEqual(["a:not_key", "b:not_key"])
  })
})

test("malformed notations are refused", () => {
  for (const line of ["RO", "@", "RX @1", "RO access @1 note", "RO access @1 => what", "RO access @1;RO access @2"])
    expect(() => parseKeySpecs(line)).toThrow("command keys")
})
