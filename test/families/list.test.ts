import { describe, expect, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { ListChunkWalk } from "../../src/structs/list-chunks.ts"
import type { ListValue } from "../../src/structs/list-value.ts"
import { lpCopyValue, lpFirst, lpNext, lpValueLength } from "../../src/structs/listpack.ts"
import { Random, runSeed } from "../support/random.ts"
import { Probe } from "./string-probe.ts"

const words = (count: number, prefix = "element:") => Array.from({ length: count }, (_, i) => `${prefix}${i}`)

describe("list forms", () => {
  const cases: [what: string, limit: number, commands: string[][], encoding: string][] = [
    ["few", -2, [["RPUSH", "k", "a", "b"]], "listpack"],
    ["entries at the limit", 3, [["RPUSH", "k", "a", "b", "c"]], "listpack"],
    [
      "entries beyond the limit",
      3,
      [
        ["RPUSH", "k", "a", "b", "c"],
        ["RPUSH", "k", "d"],
      ],
      "quicklist",
    ],
    ["entries beyond the limit at once", 3, [["RPUSH", "k", "a", "b", "c", "d"]], "quicklist"],
    ["bytes beyond the limit of entries", 3, [["RPUSH", "k", "x".repeat(8192)]], "quicklist"],
    ["4 KB", -1, [["RPUSH", "k", "x".repeat(4000)]], "listpack"],
    ["more than 4 KB", -1, [["RPUSH", "k", "x".repeat(4090)]], "quicklist"],
    ["8 KB", -2, [["RPUSH", "k", "x".repeat(8000)]], "listpack"],
    [
      "more than 8 KB",
      -2,
      [
        ["RPUSH", "k", "x".repeat(8000)],
        ["LPUSH", "k", "x".repeat(200)],
      ],
      "quicklist",
    ],
    ["64 KB", -5, [["RPUSH", "k", "x".repeat(60_000)]], "listpack"],
    [
      "not yet shrunken",
      4,
      [
        ["RPUSH", "k", ...words(5)],
        ["LPOP", "k"],
        ["LPOP", "k"],
      ],
      "quicklist",
    ],
    [
      "shrunken to half by LPOP",
      4,
      [
        ["RPUSH", "k", ...words(5)],
        ["LPOP", "k", "3"],
      ],
      "listpack",
    ],
    [
      "shrunken to half by LTRIM",
      4,
      [
        ["RPUSH", "k", ...words(5)],
        ["LTRIM", "k", "3", "4"],
      ],
      "listpack",
    ],
    [
      "shrunken to half by LREM",
      4,
      [
        ["RPUSH", "k", "a", "a", "a", "a", "b"],
        ["LREM", "k", "0", "a"],
      ],
      "listpack",
    ],
    [
      "shrunken by LSET",
      -1,
      [
        ["RPUSH", "k", "x".repeat(5000)],
        ["LSET", "k", "0", "a"],
      ],
      "listpack",
    ],
    [
      "grown by LSET",
      -1,
      [
        ["RPUSH", "k", "a"],
        ["LSET", "k", "0", "x".repeat(5000)],
      ],
      "quicklist",
    ],
    [
      "grown by LINSERT",
      1,
      [
        ["RPUSH", "k", "a"],
        ["LINSERT", "k", "AFTER", "a", "b"],
      ],
      "quicklist",
    ],
    [
      "grown by LINSERT for nothing",
      1,
      [
        ["RPUSH", "k", "a"],
        ["LINSERT", "k", "AFTER", "z", "b"],
      ],
      "quicklist",
    ],
    [
      "rotated at the limit",
      2,
      [
        ["RPUSH", "k", "a", "b"],
        ["RPOPLPUSH", "k", "k"],
      ],
      "listpack",
    ],
    [
      "grown by LMOVE",
      1,
      [
        ["RPUSH", "k", "a"],
        ["RPUSH", "l", "b"],
        ["LMOVE", "l", "k", "LEFT", "LEFT"],
      ],
      "quicklist",
    ],
  ]
  for (const [what, limit, commands, encoding] of cases) {
    test(what, async () => {
      await using server = await createServer({ config: { "list-max-listpack-size": limit } })
      for (const command of commands) await server.execute(...command)
      expect(await server.execute("OBJECT", "ENCODING", "k")).toBe(encoding)
    })
  }
})

describe("lists against a model", () => {
  for (const limit of [-2, -1, 5, 128]) {
    test(`list-max-listpack-size ${limit}`, async () => {
      console.log(`seed ${runSeed}`)
      const random = new Random(runSeed)
      await using server = await createServer({ config: { "list-max-listpack-size": limit } })
      let model: string[] = []
      const element = () =>
        random.oneIn(3)
          ? String((random.below(2000) - 1000) * 10 ** random.below(15))
          : `e${random.below(30)}`.padEnd(random.oneIn(50) ? random.below(9000) : random.below(90), "x")
      const index = () => random.between(-model.length - 2, model.length + 1)
      const at = (i: number) => (i < 0 ? i + model.length : i)
      for (let step = 0; step < 1500; step++) {
        const given = Array.from({ length: random.oneIn(40) ? 200 : random.between(1, 4) }, element)
        const draw = random.below(20)
        const present = model.length > 0 && random.oneIn(2) ? random.pick(model) : element()
        if (draw < 4) {
          model.push(...given)
          expect(await server.execute("RPUSH", "k", ...given)).toBe(model.length)
        } else if (draw < 8) {
          for (const value of given) model.unshift(value)
          expect(await server.execute("LPUSH", "k", ...given)).toBe(model.length)
        } else if (draw < 10) expect(await server.execute("LPOP", "k")).toBe(model.shift() ?? null)
        else if (draw < 12) expect(await server.execute("RPOP", "k")).toBe(model.pop() ?? null)
        else if (draw === 12) {
          const popped = model.splice(Math.max(0, model.length - given.length)).reverse()
          const reply = await server.execute("RPOP", "k", given.length)
          expect(reply).toEqual(popped.length > 0 ? popped : null)
        } else if (draw === 13) {
          const i = index()
          const exists = at(i) >= 0 && at(i) < model.length
          expect(await server.execute("LINDEX", "k", i)).toBe(exists ? model[at(i)]! : null)
          if (exists) model[at(i)] = given[0]!
          if (exists) expect(await server.execute("LSET", "k", i, given[0]!)).toBe("OK")
        } else if (draw === 14) {
          const i = model.indexOf(present)
          const after = random.oneIn(2)
          if (i >= 0) model.splice(i + (after ? 1 : 0), 0, given[0]!)
          const reply = await server.execute("LINSERT", "k", after ? "AFTER" : "BEFORE", present, given[0]!)
          expect(reply).toBe(i >= 0 ? model.length : model.length === 0 ? 0 : -1)
        } else if (draw === 15) {
          const count = random.between(-3, 3)
          const kept = without(model, present, count)
          expect(await server.execute("LREM", "k", count, present)).toBe(model.length - kept.length)
          model = kept
        } else if (draw === 16 && random.oneIn(8)) {
          const [from, to] = [index(), index()]
          await server.execute("LTRIM", "k", from, to)
          model = model.slice(Math.max(0, at(from)), Math.max(0, at(to) + 1))
        } else if (draw === 17) {
          const found = model.flatMap((value, i) => (value === present ? [i] : []))
          expect(await server.execute("LPOS", "k", present, "COUNT", 0)).toEqual(found)
          const backwards = found.reverse().slice(1, 3)
          expect(await server.execute("LPOS", "k", present, "COUNT", 2, "RANK", -2)).toEqual(backwards)
        } else if (draw === 18) {
          const moved = model.pop()
          if (moved !== undefined) model.unshift(moved)
          expect(await server.execute("RPOPLPUSH", "k", "k")).toBe(moved ?? null)
        } else {
          const [from, to] = [index(), index()]
          const expected = model.slice(Math.max(0, at(from)), Math.max(0, at(to) + 1))
          expect(await server.execute("LRANGE", "k", from, to)).toEqual(expected)
        }
        if (step % 100 === 0) {
          expect(await server.execute("LRANGE", "k", 0, -1)).toEqual(model)
          expect(await server.execute("LLEN", "k")).toBe(model.length)
        }
      }
      await server.execute("DEL", "k")
    })
  }

  function without(model: string[], value: string, count: number): string[] {
    let left = count === 0 ? model.length : Math.abs(count)
    const keeps = (element: string) => element !== value || left-- <= 0
    return count < 0 ? model.toReversed().filter(keeps).reverse() : model.filter(keeps)
  }
})

describe("LMOVEM", () => {
  const source = ["a", "b", "c", "d"]
  const cases: [args: string, reply: string[] | null, left: string[], arrived: string[]][] = [
    ["LEFT LEFT", ["a"], ["b", "c", "d"], ["a", "x", "y"]],
    ["RIGHT LEFT", ["d"], ["a", "b", "c"], ["d", "x", "y"]],
    ["LEFT LEFT COUNT 2 OBO", ["b", "a"], ["c", "d"], ["b", "a", "x", "y"]],
    ["LEFT LEFT COUNT 2 BULK", ["a", "b"], ["c", "d"], ["a", "b", "x", "y"]],
    ["LEFT RIGHT COUNT 2 OBO", ["a", "b"], ["c", "d"], ["x", "y", "a", "b"]],
    ["LEFT RIGHT COUNT 2 BULK", ["a", "b"], ["c", "d"], ["x", "y", "a", "b"]],
    ["RIGHT LEFT COUNT 2 OBO", ["c", "d"], ["a", "b"], ["c", "d", "x", "y"]],
    ["RIGHT LEFT COUNT 2 BULK", ["c", "d"], ["a", "b"], ["c", "d", "x", "y"]],
    ["RIGHT RIGHT COUNT 2 OBO", ["d", "c"], ["a", "b"], ["x", "y", "d", "c"]],
    ["RIGHT RIGHT COUNT 2 BULK", ["c", "d"], ["a", "b"], ["x", "y", "c", "d"]],
    ["LEFT RIGHT COUNT 9 BULK", ["a", "b", "c", "d"], [], ["x", "y", "a", "b", "c", "d"]],
    ["LEFT RIGHT EXACTLY 4 BULK", ["a", "b", "c", "d"], [], ["x", "y", "a", "b", "c", "d"]],
    ["LEFT RIGHT EXACTLY 5 BULK", null, source, ["x", "y"]],
  ]
  for (const [args, reply, left, arrived] of cases) {
    for (const limit of [-2, 1]) {
      test(`${args}, limit ${limit}`, async () => {
        await using server = await createServer({ config: { "list-max-listpack-size": limit } })
        await server.execute("RPUSH", "s", ...source)
        await server.execute("RPUSH", "d", "x", "y")
        expect(await server.execute("LMOVEM", "s", "d", ...args.split(" "))).toEqual(reply)
        expect(await server.execute("LRANGE", "s", 0, -1)).toEqual(left)
        expect(await server.execute("LRANGE", "d", 0, -1)).toEqual(arrived)
      })
    }
  }

  test("within one list, from nothing, into another type, malformed", async () => {
    await using server = await createServer()
    await server.execute("RPUSH", "s", ...source)
    expect(await server.execute("LMOVEM", "s", "s", "LEFT", "RIGHT", "COUNT", "3", "BULK")).toEqual(["a", "b", "c"])
    expect(await server.execute("LRANGE", "s", 0, -1)).toEqual(["d", "a", "b", "c"])
    expect(await server.execute("LMOVEM", "s", "s", "RIGHT", "LEFT", "COUNT", "9", "OBO")).toEqual(["d", "a", "b", "c"])
    expect(await server.execute("LMOVEM", "nokey", "d", "LEFT", "LEFT")).toBe(null)
    await server.execute("SET", "str", "x")
    const errors: [command: string, error: RegExp][] = [
      ["LMOVEM s str LEFT LEFT", /^WRONGTYPE/],
      ["LMOVEM str s LEFT LEFT", /^WRONGTYPE/],
      ["LMOVEM s d UP LEFT", /^ERR syntax/],
      ["LMOVEM s d LEFT LEFT COUNT 2", /^ERR syntax/],
      ["LMOVEM s d LEFT LEFT COUNT 2 FOO", /^ERR syntax/],
      ["LMOVEM s d LEFT LEFT ALL 2 OBO", /^ERR syntax/],
      ["LMOVEM s d LEFT LEFT COUNT 2 OBO x", /^ERR syntax/],
      ["LMOVEM s d LEFT LEFT COUNT 0 OBO", /^ERR count should be greater than 0/],
      ["BLMOVEM s d LEFT LEFT x COUNT 2 OBO", /^ERR timeout is not a float/],
      ["BLMOVEM s d LEFT LEFT 0 COUNT 2", /^ERR syntax/],
    ]
    for (const [command, error] of errors) {
      const reply = await server.executeReply(...command.split(" "))
      expect(reply.type).toBe("error")
      expect((reply as { value: string }).value).toMatch(error)
    }
    expect(await server.execute("LRANGE", "s", 0, -1)).toEqual(["d", "a", "b", "c"])
  })
})

describe("lists: limits of arguments that 7.0 lacks", () => {
  test("the lowest integer, endless timeouts", async () => {
    await using server = await createServer()
    const cases: [command: string, error: string][] = [
      ["LREM k -9223372036854775808 x", LOWEST],
      ["LPOS k x RANK -9223372036854775808", LOWEST],
      ["BLPOP k inf", "ERR timeout is out of range"],
      ["BLPOP k 1e300", "ERR timeout is out of range"],
      ["BLPOP k 9223372036854775", "ERR timeout is out of range"],
      ["BLPOP k -inf", "ERR timeout is negative"],
      // A double cannot hold these, a long double can.
      ["BLPOP k 1e400", "ERR timeout is out of range"],
      ["BLPOP k -1e400", "ERR timeout is negative"],
      ["BLPOP k 1e5000", "ERR timeout is not a float or out of range"],
    ]
    for (const [command, value] of cases) {
      expect(await server.executeReply(...command.split(" "))).toMatchObject({ type: "error", value })
    }
    await server.execute("RPUSH", "k", "a", "b")
    expect(await server.execute("BLPOP", "k", "1e-400")).toEqual(["k", "a"])
    expect(await server.execute("BLPOP", "k", "-1e-400")).toEqual(["k", "b"])
    // In milliseconds there is room for more.
    expect(await server.execute("WAIT", 0, "9223372036854775")).toBe(0)
    expect(await server.execute("CLIENT", "PAUSE", "9223372036854775", "WRITE")).toBe("OK")
    await server.execute("CLIENT", "UNPAUSE")
    for (const command of ["WAIT 0", "CLIENT PAUSE", "XREAD BLOCK"]) {
      const rest = command.startsWith("XREAD") ? ["STREAMS", "s", "0"] : []
      const reply = await server.executeReply(...command.split(" "), "9223372036854775807", ...rest)
      expect(reply).toMatchObject({ type: "error", value: "ERR timeout is out of range" })
    }
  })
  const LOWEST = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
})

describe("lists: what is told", () => {
  test("commands that need not wait are propagated as those that never do", async () => {
    await using probe = await Probe.start()
    await probe.run("RPUSH", "k", ...words(20, "e"))
    const cases: [line: string, propagated: string[]][] = [
      ["BLPOP nokey k 0", ["LPOP k"]],
      ["BRPOP k 5", ["RPOP k"]],
      ["BLMPOP 0 2 nokey k LEFT COUNT 3", ["LPOP k 3"]],
      ["LMPOP 1 k RIGHT", ["RPOP k 1"]],
      ["BLMOVE k d LEFT RIGHT 0", ["LMOVE k d LEFT RIGHT"]],
      ["BRPOPLPUSH k d 0", ["RPOPLPUSH k d"]],
      ["LMOVE k d left RIGHT", ["LMOVE k d left RIGHT"]],
      ["RPOPLPUSH k d", ["RPOPLPUSH k d"]],
      ["BLMOVEM k d LEFT RIGHT 0", ["LMOVEM k d LEFT RIGHT"]],
      ["BLMOVEM k d LEFT RIGHT 0 EXACTLY 2 BULK", ["LMOVEM k d LEFT RIGHT EXACTLY 2 BULK"]],
      ["LPOP k 2", ["LPOP k 2"]],
      ["LPOP k 0", []],
      ["LPOP nokey", []],
      ["LPUSHX nokey a", []],
      ["LREM k 0 nobody", []],
      ["LTRIM k 0 -1", []],
      ["LINSERT k BEFORE nobody a", []],
      ["LMPOP 1 nokey LEFT", []],
      ["LMPOP 1 k LEFT COUNT 100", ["LPOP k 5"]],
    ]
    for (const [line, propagated] of cases) expect([line, await probe.propagated(line)]).toEqual([line, propagated])
    expect(await probe.run("EXISTS", "k")).toBe(0)
  })

  test("events, and changes counted", async () => {
    await using probe = await Probe.start()
    const { events } = probe.keyspace
    const cases: [line: string, told: string[], changes: number][] = [
      ["RPUSH a 1 2 3 4", ["rpush a"], 4],
      ["LPUSH a 0", ["lpush a"], 1],
      ["LPUSHX a 0", ["lpush a"], 1],
      ["LSET a 0 5", ["lset a"], 1],
      ["LINSERT a AFTER 5 6", ["linsert a"], 1],
      ["LREM a 0 0", ["lrem a"], 1],
      ["LTRIM a 1 -1", ["ltrim a"], 1],
      ["LTRIM a 0 -1", ["ltrim a"], 0],
      ["LMOVE a b LEFT RIGHT", ["rpush b", "lpop a"], 1],
      ["RPOPLPUSH b b", ["lpush b", "rpop b"], 1],
      ["RPOPLPUSH b a", ["lpush a", "rpop b", "del b"], 1],
      ["RPOP a", ["rpop a"], 1],
      ["BLPOP a 0", ["lpop a"], 1],
      ["LMOVEM a c RIGHT LEFT COUNT 2 BULK", ["lpush c", "rpop a"], 2],
      ["LPOP a 5", ["lpop a", "del a"], 1],
      ["LTRIM c 5 6", ["ltrim c", "del c"], 2],
    ]
    for (const [line, told, changes] of cases) {
      const before = events.dirty
      expect([line, await probe.notified(line)]).toEqual([line, told])
      expect([line, events.dirty - before]).toEqual([line, changes])
    }
  })

  test("memory is given back", async () => {
    await using server = await createServer()
    const { keyspace } = server.server.engine
    const before = keyspace.bytes
    for (let i = 0; i < 40; i++) await server.execute("RPUSH", "k", ...words(500))
    expect(keyspace.bytes - before).toBeGreaterThan(40 * 500 * 12)
    await server.execute("LTRIM", "k", 100, 19_000)
    await server.execute("LPOP", "k", 18_850)
    expect(await server.execute("OBJECT", "ENCODING", "k")).toBe("listpack")
    await server.execute("DEL", "k")
    while (keyspace.freeSlice());
    expect(keyspace.bytes - before).toBeLessThan(64 * 1024)
  })
})

describe("a snapshot", () => {
  test("keeps lists as they were", async () => {
    await using server = await createServer({ config: { "list-max-listpack-size": 16 } })
    const { heap, databases } = server.server.engine.keyspace
    const fill: [key: string, count: number][] = [
      ["small", 5],
      ["packed", 16],
      ["long", 400],
      ["shrinking", 40],
    ]
    for (const [key, count] of fill) await server.execute("RPUSH", key, ...words(count))
    heap.freeze()
    const frozen = databases[0]!.keys.frozenView()
    for (const [key] of fill) {
      await server.execute("LPUSH", key, ...words(30, "new:"))
      await server.execute("LSET", key, 31, "changed")
      await server.execute("LREM", key, 0, "element:3")
      await server.execute("LINSERT", key, "AFTER", "element:2", "inserted")
      await server.execute("RPOP", key, 3)
      await server.execute("LMOVE", key, key, "LEFT", "RIGHT")
    }
    await server.execute("LTRIM", "shrinking", 30, 32)
    await server.execute("DEL", "long")
    const seen = new Map<string, string[]>()
    const addresses: number[] = []
    frozen.scan(0, 100, addresses)
    for (const address of addresses) {
      const container = frozen.read(address)
      const key = Buffer.from(frozen.keyBytes.subarray(frozen.keyStart, frozen.keyEnd)).toString()
      seen.set(key, container === undefined ? packedElements(frozen) : chunkedElements(container as ListValue))
    }
    for (const [key, count] of fill) expect([key, seen.get(key)]).toEqual([key, words(count)])
    heap.thaw()
    expect(await server.execute("LLEN", "packed")).toBe(16 + 30 - 1 + 1 - 3)
    const added = (await server.execute("LRANGE", "packed", 0, 28)) as string[]
    expect(added).toEqual(words(30, "new:").reverse().slice(1))
  })
})

function packedElements(record: { valueBytes: Uint8Array; valueStart: number }): string[] {
  const elements: string[] = []
  const { valueBytes: b, valueStart: at } = record
  for (let entry = lpFirst(b, at); entry !== -1; entry = lpNext(b, at, entry)) elements.push(textOf(b, entry))
  return elements
}

function chunkedElements(list: ListValue): string[] {
  const elements: string[] = []
  const walk = new ListChunkWalk(list.frozenView())
  while (walk.next()) elements.push(...packedElements({ valueBytes: walk.bytes, valueStart: walk.start }))
  return elements
}

function textOf(b: Uint8Array, entry: number): string {
  const bytes = new Uint8Array(lpValueLength(b, entry))
  lpCopyValue(b, entry, bytes, 0)
  return Buffer.from(bytes).toString()
}
