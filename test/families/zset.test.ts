import { describe, expect, test } from "bun:test"
import { Kind } from "../../src/keyspace/kinds.ts"
import type { ZsetTable } from "../../src/structs/zset-table.ts"
import { Client } from "../support/client.ts"
import { Random, runSeed } from "../support/random.ts"
import { Probe } from "./string-probe.ts"

test("what later versions than the oracle have", async () => {
  await using probe = await Probe.start()
  const cases: [string, string][] = [
    ["ZADD z 1.1 a 2.5e-7 b 3 c 1e21 d -0 e 0.30000000000000004 f", "6"],
    ["ZADD z INCR -0 e", "0"],
    ["ZRANK z c WITHSCORE", "[4,3]"],
    ["ZREVRANK z c withscore", "[1,3]"],
    ["ZRANK z nope WITHSCORE", "null"],
    ["ZADD s 5 a 7 g", "2"],
    [
      "ZUNION 3 z s s WEIGHTS 1 2 4 AGGREGATE COUNT WITHSCORES",
      '[["b",1],["c",1],["d",1],["e",1],["f",1],["g",6],["a",7]]',
    ],
    ["ZINTER 2 z s AGGREGATE count WITHSCORES", '[["a",2]]'],
  ]
  for (const [line, reply] of cases) expect([line, await probe.reply(line)]).toEqual([line, reply])
})

test("what is propagated and notified", async () => {
  const cases: [string, string[], string[]][] = [
    ["ZADD z 1 a 2 b", ["ZADD z 1 a 2 b"], ["zadd z"]],
    ["ZADD z 1 a", [], []],
    ["ZADD z XX GT 0 a", [], []],
    ["ZINCRBY z 2 a", ["ZINCRBY z 2 a"], ["zincr z"]],
    ["ZREM z nope", [], []],
    ["ZREM z a b c", ["ZREM z a b c"], ["zrem z", "del z"]],
    ["ZPOPMIN z 9", ["ZPOPMIN z 9"], ["zpopmin z", "del z"]],
    ["ZPOPMAX z", ["ZPOPMAX z"], ["zpopmax z"]],
    ["ZMPOP 2 no z MAX COUNT 9", ["ZPOPMAX z 3"], ["zpopmax z", "del z"]],
    ["BZPOPMIN no z 0", ["ZPOPMIN z"], ["zpopmin z"]],
    ["BZMPOP 0 2 no z MIN COUNT 2", ["ZPOPMIN z 2"], ["zpopmin z"]],
    ["ZREMRANGEBYRANK z 0 0", ["ZREMRANGEBYRANK z 0 0"], ["zremrangebyrank z"]],
    ["ZREMRANGEBYSCORE z -inf +inf", ["ZREMRANGEBYSCORE z -inf +inf"], ["zremrangebyscore z", "del z"]],
    ["ZREMRANGEBYLEX z + -", [], []],
    ["ZRANGESTORE d z 0 1", ["ZRANGESTORE d z 0 1"], ["zrangestore d"]],
    ["ZUNIONSTORE d 2 z no", ["ZUNIONSTORE d 2 z no"], ["zunionstore d"]],
    ["ZINTERSTORE z 2 z no", ["ZINTERSTORE z 2 z no"], ["del z"]],
    ["ZDIFFSTORE d 2 z z", [], []],
    ["GEOADD g NX 13.361389 38.115556 p", ["ZADD g NX 3479099956230698 p"], ["zadd g"]],
    [
      "GEOSEARCHSTORE d z FROMMEMBER a BYRADIUS 1 m",
      ["GEOSEARCHSTORE d z FROMMEMBER a BYRADIUS 1 m"],
      ["geosearchstore d"],
    ],
    ["ZRANDMEMBER z", [], []],
  ]
  for (const [line, commands, events] of cases) {
    for (const limit of [128, 0]) {
      await using probe = await Probe.start({ "zset-max-listpack-entries": limit })
      const fill = async () => {
        await probe.run("DEL", "d", "z", "g")
        await probe.run("ZADD", "z", "1", "a", "2", "b", "3", "c")
      }
      await fill()
      if (line === "ZADD z 1 a 2 b") await probe.run("DEL", "z")
      const propagated = await probe.propagated(line)
      await fill()
      if (line === "ZADD z 1 a 2 b") await probe.run("DEL", "z")
      const notified = (await probe.notified(line)).filter(event => !event.startsWith("keymiss"))
      expect([line, propagated, notified]).toEqual([line, commands, events])
    }
  }
})

test("RESP2: doubles at their shortest", async () => {
  await using probe = await Probe.start()
  await using client = await Client.connect(probe.server.port)
  await client.raw("ZADD", "z", ..."1.1 a 2.5e-7 b 3 c 1e21 d -0 e 0.30000000000000004 f".split(" "))
  const texts = "e 0 b 2.5e-7 f 0.30000000000000004 a 1.1 c 3 d 1e+21".split(" ")
  expect(await client.plain("ZRANGE", "z", "0", "-1", "WITHSCORES")).toEqual(texts)
})

test("RESP3: doubles, and pairs in arrays of their own", async () => {
  await using probe = await Probe.start()
  await using client = await Client.connect(probe.server.port, { resp: 3 })
  const cases: [string, string][] = [
    ["ZADD z 1.5 a 2 b inf c", ":3\r\n"],
    ["ZRANGE z 0 1 WITHSCORES", "*2\r\n*2\r\n$1\r\na\r\n,1.5\r\n*2\r\n$1\r\nb\r\n,2\r\n"],
    ["ZRANK z b WITHSCORE", "*2\r\n:1\r\n,2\r\n"],
    ["ZRANK z x WITHSCORE", "_\r\n"],
    ["ZMSCORE z c x", "*2\r\n,inf\r\n_\r\n"],
    ["ZSCAN z 0 MATCH a", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$3\r\n1.5\r\n"],
    ["ZPOPMIN z", "*2\r\n$1\r\na\r\n,1.5\r\n"],
    ["ZPOPMAX z 1", "*1\r\n*2\r\n$1\r\nc\r\n,inf\r\n"],
    ["ZINTER 1 z WITHSCORES", "*1\r\n*2\r\n$1\r\nb\r\n,2\r\n"],
    ["BZPOPMAX z 0", "*3\r\n$1\r\nz\r\n$1\r\nb\r\n,2\r\n"],
  ]
  for (const [line, reply] of cases) {
    const got = Buffer.from(await client.raw(...line.split(" "))).toString()
    expect([line, got]).toEqual([line, reply])
  }
})

describe(`forms, BUNDIS_SEED=${runSeed}`, () => {
  test("packed sets become tables at the thresholds, and stay right under snapshots", async () => {
    const random = new Random()
    await using probe = await Probe.start({ "zset-max-listpack-entries": 20, "zset-max-listpack-value": 30 })
    const { keys, heap } = { keys: probe.keys, heap: probe.keyspace.heap }
    const model = new Map<string, number>()
    for (let i = 0; i < 3000; i++) {
      if (i % 100 === 50) heap.freeze()
      if (i % 100 === 80) heap.thaw()
      const member = `m${random.below(i < 1500 ? 20 : 90)}`
      const score = random.between(-9, 9)
      const draw = random.below(6)
      if (draw < 3) {
        await probe.run("ZADD", "z", String(score), member)
        model.set(member, score)
      } else if (draw === 3) {
        await probe.run("ZINCRBY", "z", "0.25", member)
        model.set(member, (model.get(member) ?? 0) + 0.25)
      } else if (draw === 4) {
        await probe.run("ZREM", "z", member)
        model.delete(member)
      } else if (random.oneIn(4)) {
        const popped = (await probe.run("ZPOPMIN", "z")) as string[]
        if (popped.length > 0) model.delete(popped[0]!)
      }
      if (i % 50 === 0) {
        const expected = [...model].sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1))
        expect(await probe.run("ZRANGE", "z", "0", "-1", "WITHSCORES")).toEqual(expected)
      }
    }
    const address = keys.find(Buffer.from("z"), 0, 1)
    expect(keys.type(address)).toBe(Kind.ZsetTree)
    expect((keys.object(address) as ZsetTable).size).toBe(model.size)
    const bytes = probe.keyspace.bytes
    await probe.run("COPY", "z", "y")
    expect(await probe.run("ZCARD", "y")).toBe(model.size)
    await probe.run("DEL", "y")
    while (probe.keyspace.freeSlice()) {}
    expect(probe.keyspace.bytes).toBeLessThan(bytes + 8192)
  })
})

test("many members at once, in every order", async () => {
  await using probe = await Probe.start()
  for (const sign of [1, -1]) {
    const pairs = Array.from({ length: 3000 }, (_, i) => [String(sign * i), `m${i}`]).flat()
    expect(await probe.run("ZADD", `z${sign}`, ...pairs)).toBe(3000)
  }
  expect(await probe.run("ZUNIONSTORE", "u", "2", "z1", "z-1", "AGGREGATE", "MAX")).toBe(3000)
  expect(await probe.run("ZRANGE", "u", "0", "1", "WITHSCORES")).toEqual([
    ["m0", 0],
    ["m1", 1],
  ])
  expect(await probe.run("ZUNIONSTORE", "u", "2", "z1", "z-1")).toBe(3000)
  // All scores are 0 now, so the members are in the order of their names.
  expect(await probe.run("ZRANGE", "u", "0", "3")).toEqual(["m0", "m1", "m10", "m100"])
  expect(await probe.run("ZRANK", "u", "m999")).toBe(2999)
  expect(await probe.run("ZDIFFSTORE", "d", "2", "z1", "u")).toBe(0)
  expect(await probe.run("ZRANGESTORE", "r", "z1", "100", "1099")).toBe(1000)
  expect(await probe.run("ZSCORE", "r", "m1099")).toBe(1099)
  expect(await probe.run("ZINTERCARD", "2", "r", "z-1", "LIMIT", "7")).toBe(7)
})
