import { describe, expect, spyOn, test } from "bun:test"
import { Prng } from "../../src/bytes/prng.ts"
import { SetCursor } from "../../src/families/set-value.ts"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import type { ByteMap } from "../../src/structs/byte-map.ts"
import { Random, runSeed } from "../support/random.ts"
import { Probe } from "./string-probe.ts"

type Members = Set<string>

async function members(server: EmbeddedServer, key: string): Promise<string[]> {
  return ([...((await server.execute("SMEMBERS", key)) as Iterable<string>)] as string[]).sort()
}

const sorted = (values: Iterable<unknown>) => [...(values as Iterable<string>)].map(String).sort()

describe("set forms", () => {
  const cases: [what: string, config: Record<string, number>, commands: string[], encoding: string][] = [
    ["integers", {}, ["SADD k 1 2 -3 9223372036854775807"], "intset"],
    ["a word among integers", {}, ["SADD k 1 2", "SADD k a"], "listpack"],
    ["an integer among words", {}, ["SADD k a", "SADD k 1"], "listpack"],
    ["a first word", {}, ["SADD k a 1 2"], "listpack"],
    ["words only gone", {}, ["SADD k a 1 2", "SREM k a"], "listpack"],
    ["integers at the limit", { "set-max-intset-entries": 3 }, ["SADD k 1 2 3"], "intset"],
    ["integers beyond the limit", { "set-max-intset-entries": 3 }, ["SADD k 1 2 3", "SADD k 4"], "hashtable"],
    ["more than the limit at once", { "set-max-intset-entries": 3 }, ["SADD k 1 2 3 4"], "listpack"],
    ["many at once, all the same", { "set-max-intset-entries": 3 }, ["SADD k 1", "SADD k 1 1 1 1"], "hashtable"],
    ["words at the limit", { "set-max-listpack-entries": 2 }, ["SADD k a b"], "listpack"],
    ["words beyond the limit", { "set-max-listpack-entries": 2 }, ["SADD k a b", "SADD k c"], "hashtable"],
    ["a long word", { "set-max-listpack-value": 3 }, ["SADD k a", "SADD k abcd"], "hashtable"],
    ["a first long word", { "set-max-listpack-value": 3 }, ["SADD k abcd"], "hashtable"],
    ["long integers with a word", { "set-max-listpack-value": 3 }, ["SADD k 1234", "SADD k a"], "hashtable"],
    ["no listpacks at all", { "set-max-listpack-entries": 0 }, ["SADD k a"], "hashtable"],
    ["a shrunken table", { "set-max-listpack-entries": 2 }, ["SADD k a b c", "SREM k b c"], "hashtable"],
    ["integers met again", {}, ["SADD a 1 x", "SADD b 1 y", "SINTERSTORE k a b"], "intset"],
    ["a union of both", {}, ["SADD a 1", "SADD b y", "SUNIONSTORE k a b"], "listpack"],
    ["a difference of integers", {}, ["SADD a 1 x", "SADD b x", "SDIFFSTORE k a b"], "intset"],
    ["moved into nothing", {}, ["SADD a 1 x", "SMOVE a k 1"], "intset"],
  ]
  for (const [what, config, commands, encoding] of cases) {
    test(what, async () => {
      await using server = await createServer({ config })
      for (const command of commands) await server.execute(...command.split(" "))
      expect(await server.execute("OBJECT", "ENCODING", "k")).toBe(encoding)
    })
  }
})

describe("sets against a model", () => {
  const configs: Record<string, number>[] = [
    {},
    { "set-max-intset-entries": 8, "set-max-listpack-entries": 8, "set-max-listpack-value": 6 },
    { "set-max-intset-entries": 0, "set-max-listpack-entries": 0 },
    { "set-max-intset-entries": 2000, "set-max-listpack-entries": 2000, "set-max-listpack-value": 500 },
  ]
  for (const config of configs) {
    test(JSON.stringify(config), async () => {
      console.log(`seed ${runSeed}`)
      const random = new Random(runSeed)
      await using server = await createServer({ config, seed: runSeed })
      const model: Members = new Set()
      const drawn = () => {
        const n = random.below(400)
        return random.oneIn(3)
          ? `member:${n}${"x".repeat(random.below(20))}`
          : String((n - 200) * 10 ** random.below(14))
      }
      for (let step = 0; step < 1500; step++) {
        const given = Array.from({ length: random.between(1, 4) }, drawn)
        const draw = random.below(10)
        if (draw < 5) {
          const added = new Set(given.filter(member => !model.has(member)))
          expect(await server.execute("SADD", "k", ...given)).toBe(added.size)
          for (const member of added) model.add(member)
        } else if (draw < 7) {
          const present = [...model]
          const gone = new Set([...given, ...(present.length > 0 ? [random.pick(present)] : [])])
          const removed = [...gone].filter(member => model.delete(member))
          expect(await server.execute("SREM", "k", ...gone)).toBe(removed.length)
        } else if (draw === 7) await popped(server, model, random)
        else await chosen(server, model, random)
        if (step % 50 === 0) {
          expect(await members(server, "k")).toEqual(sorted(model))
          expect(await server.execute("SCARD", "k")).toBe(model.size)
          const asked = [...given, ...[...model].slice(0, 3)]
          expect(await server.execute("SMISMEMBER", "k", ...asked)).toEqual(asked.map(m => (model.has(m) ? 1 : 0)))
        }
      }
    })
  }

  async function popped(server: EmbeddedServer, model: Members, random: Random): Promise<void> {
    if (random.oneIn(2)) {
      const one = (await server.execute("SPOP", "k")) as string | null
      expect(one === null ? model.size === 0 : model.delete(one)).toBe(true)
      return
    }
    const count = random.oneIn(4) ? random.below(model.size + 3) : random.below(4)
    const many = sorted((await server.execute("SPOP", "k", count)) as string[])
    expect(many.length).toBe(Math.min(count, model.size))
    for (const member of many) expect(model.delete(member)).toBe(true)
  }

  async function chosen(server: EmbeddedServer, model: Members, random: Random): Promise<void> {
    const count = random.between(-20, model.size + 5)
    const many = (await server.execute("SRANDMEMBER", "k", count)) as string[]
    const expected = model.size === 0 ? 0 : count < 0 ? -count : Math.min(count, model.size)
    expect(many.length).toBe(expected)
    if (count > 0) expect(new Set(many).size).toBe(expected)
    expect(many.every(member => model.has(member))).toBe(true)
  }

  test("many members of one array, popped and chosen", async () => {
    const random = new Random(runSeed)
    const config = { "set-max-intset-entries": 1 << 20, "set-max-listpack-entries": 1 << 20 }
    for (const prefix of ["", "member:"]) {
      await using server = await createServer({ config, seed: runSeed })
      const model: Members = new Set(Array.from({ length: 1000 }, (_, i) => `${prefix}${i * 40}`))
      await server.execute("SADD", "k", ...model)
      while (model.size > 0) {
        await chosen(server, model, random)
        await popped(server, model, random)
        expect(await server.execute("SCARD", "k")).toBe(model.size)
        if (random.oneIn(10)) expect(await members(server, "k")).toEqual(sorted(model))
      }
      expect(await server.execute("EXISTS", "k")).toBe(0)
    }
  })

  test("a few of many integers are drawn, not met on a walk", async () => {
    await using server = await createServer({ config: { "set-max-intset-entries": 1 << 20 }, seed: runSeed })
    await server.execute("SADD", "k", ...Array.from({ length: 20_000 }, (_, i) => String(i * 10)))
    const draws = spyOn(Prng.prototype, "nextBelow")
    try {
      for (const command of ["SRANDMEMBER", "SPOP"]) {
        draws.mockClear()
        expect(sorted((await server.execute(command, "k", 10)) as string[]).length).toBe(10)
        expect(draws.mock.calls.length).toBeLessThan(40)
      }
    } finally {
      draws.mockRestore()
    }
  })

  test("every member has its chance", async () => {
    for (const size of [5, 20, 100, 700]) {
      await using server = await createServer({ seed: runSeed, config: { "set-max-listpack-entries": 50 } })
      await server.execute("SADD", "k", ...Array.from({ length: size }, (_, i) => `m${i}`))
      const counts = new Map<string, number>()
      const rounds = size * 40
      const batch = (await server.execute("SRANDMEMBER", "k", -rounds)) as string[]
      for (const member of batch) counts.set(member, (counts.get(member) ?? 0) + 1)
      expect(counts.size).toBe(size)
      // 40 expected; ten standard deviations off would be no chance.
      expect(Math.min(...counts.values())).toBeGreaterThan(4)
      expect(Math.max(...counts.values())).toBeLessThan(110)
    }
  })
})

describe("set algebra against a model", () => {
  const ranges: [key: string, from: number, count: number, step: number][] = [
    ["empty", 0, 0, 1],
    ["one", 4200, 1, 1],
    ["few", 0, 40, 100],
    ["some", 300, 900, 3],
    ["many", 0, 6000, 1],
    ["more", 3000, 9000, 2],
    ["far", 50_000, 2000, 1],
  ]

  test("all pairs and triples", async () => {
    await using server = await createServer({ seed: runSeed })
    const model = new Map<string, Members>()
    for (const [key, from, count, step] of ranges) {
      const all = Array.from({ length: count }, (_, i) => `member:${from + i * step}`)
      model.set(key, new Set(all))
      for (let at = 0; at < all.length; at += 500) await server.execute("SADD", key, ...all.slice(at, at + 500))
    }
    model.set("ints", new Set(Array.from({ length: 300 }, (_, i) => String(i))))
    await server.execute("SADD", "ints", ...model.get("ints")!)
    const keys = [...model.keys()]
    const random = new Random(runSeed)
    const lists = keys.flatMap(a => keys.map(b => [a, b]))
    for (let i = 0; i < 20; i++) lists.push(Array.from({ length: random.between(3, 6) }, () => random.pick(keys)))
    for (const list of lists)
      await compare(
        server,
        list,
        list.map(key => model.get(key)!),
      )
  }, 60_000)

  async function compare(server: EmbeddedServer, keys: string[], sets: Members[]): Promise<void> {
    const others = sets.slice(1)
    const results = {
      SINTER: [...sets[0]!].filter(member => others.every(set => set.has(member))),
      SUNION: [...new Set(sets.flatMap(set => [...set]))],
      SDIFF: [...sets[0]!].filter(member => !others.some(set => set.has(member))),
    }
    for (const [command, expected] of Object.entries(results)) {
      const got = sorted((await server.execute(command, ...keys)) as string[])
      if (got.join() !== expected.sort().join())
        throw new Error(`${command} ${keys}: ${got.length}, not ${expected.length}`)
      expect(await server.execute(`${command}STORE`, "d", ...keys)).toBe(expected.length)
      expect(await server.execute("SCARD", "d")).toBe(expected.length)
      expect(await server.execute(`${command}CARD`, keys.length, ...keys)).toBe(expected.length)
      const limited = await server.execute(`${command}CARD`, keys.length, ...keys, "LIMIT", 7)
      expect(limited).toBe(Math.min(7, expected.length))
    }
    expect(await server.execute("SUNIONCARD", keys.length, ...keys, "APPROX", "LIMIT", 3)).toBe(
      Math.min(3, results.SUNION.length),
    )
  }

  test("SUNIONCARD and SDIFFCARD refuse what SINTERCARD refuses", async () => {
    await using server = await createServer()
    const cases: [args: string[], error: string][] = [
      [["0", "k"], "ERR numkeys should be greater than 0"],
      [["x", "k"], "ERR numkeys should be greater than 0"],
      [["2", "k"], "ERR Number of keys can't be greater than number of args"],
      [["1", "k", "LIMIT"], "ERR syntax error"],
      [["1", "k", "LIMIT", "-1"], "ERR LIMIT can't be negative"],
      [["1", "k", "FOO"], "ERR syntax error"],
    ]
    for (const command of ["SINTERCARD", "SUNIONCARD", "SDIFFCARD"]) {
      for (const [args, error] of cases) {
        expect(await server.executeReply(command, ...args)).toMatchObject({ type: "error", value: error })
      }
    }
    expect(await server.executeReply("SDIFFCARD", "1", "k", "APPROX")).toMatchObject({ type: "error" })
  })
})

describe("SSCAN", () => {
  test("meets every member that stays, also while the table grows and shrinks", async () => {
    await using server = await createServer({ seed: runSeed })
    const staying = Array.from({ length: 500 }, (_, i) => `stays:${i}`)
    await server.execute("SADD", "k", ...staying)
    const seen: string[] = []
    let cursor = "0"
    let round = 0
    do {
      const [next, found] = (await server.execute("SSCAN", "k", cursor, "COUNT", "20")) as [string, string[]]
      seen.push(...found)
      cursor = next
      const passing = Array.from({ length: 300 }, (_, i) => `passes:${i + 100 * round}`)
      await server.execute(round++ % 2 === 0 ? "SADD" : "SREM", "k", ...passing)
    } while (cursor !== "0")
    const counts = new Map<string, number>()
    for (const member of seen) counts.set(member, (counts.get(member) ?? 0) + 1)
    for (const member of staying) expect(counts.get(member)).toBe(1)
  })
})

describe("sets: what is told", () => {
  test("SPOP is propagated as SREM, in bounded commands, or as the deletion of the key", async () => {
    await using probe = await Probe.start()
    await probe.run("SADD", "k", "a")
    expect(await probe.propagated("SPOP k")).toEqual(["SREM k a"])
    await probe.run("SADD", "k", "1", "2")
    expect(await probe.propagated("SPOP k 5")).toEqual(["DEL k"])
    await probe.run("CONFIG", "SET", "lazyfree-lazy-server-del", "yes")
    await probe.run("SADD", "k", "1", "2")
    expect(await probe.propagated("SPOP k 2")).toEqual(["UNLINK k"])
    await probe.run("SADD", "k", ...Array.from({ length: 6000 }, (_, i) => `m${i}`))
    for (const count of [5, 2000, 3500]) {
      const told = await probe.propagated(`SPOP k ${count}`)
      const sizes = told.filter(line => line.startsWith("SREM k ")).map(line => line.split(" ").length - 2)
      expect(sizes.reduce((sum, size) => sum + size)).toBe(count)
      expect(Math.max(...sizes)).toBeLessThanOrEqual(1024)
      if (sizes.length > 1) expect([told[0], told.at(-1)]).toEqual(["MULTI", "EXEC"])
    }
    expect(await probe.run("SCARD", "k")).toBe(495)
    expect(await probe.propagated("SPOP nokey")).toEqual([])
    expect(await probe.propagated("SPOP k 0")).toEqual([])
    expect(await probe.propagated("SREM k nobody")).toEqual([])
    expect(await probe.propagated("SADD k x x")).toEqual(["SADD k x x"])
    expect(await probe.propagated("SADD k x x")).toEqual([])
  })

  test("events, and changes counted", async () => {
    await using probe = await Probe.start()
    const { events } = probe.keyspace
    const cases: [line: string, told: string[], changes: number][] = [
      ["SADD a 1 2", ["sadd a"], 2],
      ["SADD a 1", [], 0],
      ["SMOVE a b 1", ["srem a", "sadd b"], 2],
      ["SMOVE a b 2", ["srem a", "del a", "sadd b"], 2],
      ["SUNIONSTORE c b", ["sunionstore c"], 1],
      ["SDIFFSTORE c b b", ["del c"], 1],
      ["SDIFFSTORE c b b", [], 0],
      ["SPOP b", ["spop b"], 1],
      ["SREM b 1 2", ["srem b", "del b"], 1],
      ["SADD b 1 2 x", ["sadd b"], 3],
      ["SPOP b 2", ["spop b"], 2],
      ["SPOP b 9", ["spop b", "del b"], 1],
    ]
    for (const [line, told, changes] of cases) {
      const before = events.dirty
      expect(await probe.notified(line)).toEqual(told)
      expect(events.dirty - before).toBe(changes)
    }
  })

  test("memory is given back", async () => {
    await using server = await createServer()
    const { keyspace } = server.server.engine
    const before = keyspace.bytes
    for (let at = 0; at < 20_000; at += 500) {
      await server.execute("SADD", "k", ...Array.from({ length: 500 }, (_, i) => `member:${at + i}`))
    }
    await server.execute("SUNIONSTORE", "d", "k", "k")
    expect(keyspace.bytes - before).toBeGreaterThan(2 * 20_000 * 16)
    await server.execute("SPOP", "d", "19990")
    await server.execute("SUNIONSTORE", "k", "d")
    await server.execute("DEL", "k", "d")
    while (keyspace.freeSlice());
    expect(keyspace.bytes - before).toBeLessThan(64 * 1024)
    expect(keyspace.heap.bytesUsed).toBeLessThan(256 * 1024)
  })
})

describe("a snapshot", () => {
  test("keeps sets as they were", async () => {
    await using server = await createServer({ config: { "set-max-listpack-entries": 20 }, seed: runSeed })
    const { heap, databases } = server.server.engine.keyspace
    const contents = new Map<string, string[]>([
      ["ints", Array.from({ length: 100 }, (_, i) => String(i))],
      ["packed", Array.from({ length: 19 }, (_, i) => `m${i}`)],
      ["table", Array.from({ length: 5000 }, (_, i) => `m${i}`)],
      ["popped", Array.from({ length: 3000 }, (_, i) => `m${i}`)],
    ])
    for (const [key, all] of contents) {
      for (let at = 0; at < all.length; at += 500) await server.execute("SADD", key, ...all.slice(at, at + 500))
    }
    heap.freeze()
    const frozen = databases[0]!.keys.frozenView()
    for (const key of contents.keys()) {
      await server.execute("SREM", key, "m3", "3", "m77")
      await server.execute("SADD", key, "-5", "new", "1000000")
      await server.execute("SPOP", key, 4)
      await server.execute("SMOVE", key, "elsewhere", "m9")
      await server.execute("SPOP", key)
    }
    await server.execute("SPOP", "popped", 2990)
    await server.execute("SUNIONSTORE", "table", "packed", "ints")
    const addresses: number[] = []
    frozen.scan(0, 100, addresses)
    expect(addresses.length).toBe(contents.size)
    const cursor = new SetCursor()
    for (const address of addresses) {
      const container = frozen.read(address)
      const key = Buffer.from(frozen.keyBytes.subarray(frozen.keyStart, frozen.keyEnd)).toString()
      const seen: string[] = []
      if (container === undefined) {
        cursor.openPacked(frozen.type(address), frozen.valueBytes, frozen.valueStart)
        while (cursor.next()) seen.push(Buffer.from(cursor.bytes.subarray(cursor.start, cursor.end)).toString())
      } else {
        const map = (container as ByteMap).frozenView()
        const members: number[] = []
        let at = 0
        do at = map.scan(at, 1000, members)
        while (at !== 0)
        for (const member of members) {
          map.read(member)
          seen.push(Buffer.from(map.keyBytes.subarray(map.keyStart, map.keyEnd)).toString())
        }
      }
      expect([key, seen.sort()]).toEqual([key, contents.get(key)!.sort()])
    }
    heap.thaw()
    expect(await server.execute("SCARD", "popped")).toBeLessThan(10)
  })
})
