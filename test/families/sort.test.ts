import { expect, test } from "bun:test"
import { Random, runSeed } from "../support/random.ts"
import { Probe } from "./string-probe.ts"

const random = new Random(runSeed)
const seed = `seed ${runSeed}`

function limited<T>(items: readonly T[], from: number, count: number): T[] {
  return items.slice(from, from + count)
}

test("many numbers, with ties and signs", async () => {
  await using probe = await Probe.start()
  for (const count of [10, 2047, 2048, 6000]) {
    const numbers = Array.from({ length: count }, () =>
      random.pick([
        String(random.between(-50, 50)),
        String(random.between(-1e9, 1e9) / 64),
        `${random.between(0, 9)}.0`,
      ]),
    )
    if (count > 10) numbers.push("inf", "-inf", "-0", "0", "1e300", "5e-324", "-1e-300")
    await probe.run("DEL", "l")
    await probe.run("RPUSH", "l", ...numbers)
    const order = [...numbers].sort((a, b) => {
      const x = a === "inf" ? Infinity : a === "-inf" ? -Infinity : Number(a)
      const y = b === "inf" ? Infinity : b === "-inf" ? -Infinity : Number(b)
      return x < y ? -1 : x > y ? 1 : a < b ? -1 : a > b ? 1 : 0
    })
    expect([seed, await probe.run("SORT", "l")]).toEqual([seed, order])
    expect([seed, await probe.run("SORT", "l", "LIMIT", 7, 20)]).toEqual([seed, limited(order, 7, 20)])
    order.reverse()
    expect([seed, await probe.run("SORT", "l", "DESC", "LIMIT", 0, 5)]).toEqual([seed, limited(order, 0, 5)])
  }
})

test("texts, whatever part is wanted", async () => {
  await using probe = await Probe.start()
  const texts = Array.from({ length: 1500 }, () => random.pick(["", "a", "ab"]) + random.between(0, 400))
  await probe.run("RPUSH", "l", ...texts)
  const order = [...texts].sort()
  const places = [0, 1, 2, 700, 1498, 1499, ...Array.from({ length: 20 }, () => random.below(1500))]
  for (const from of places) {
    const count = random.pick([0, 1, 2, 40, 1500])
    const limit = ["LIMIT", from, count] as const
    expect([seed, await probe.run("SORT", "l", "ALPHA", ...limit)]).toEqual([seed, limited(order, from, count)])
    const reversed = [...order].reverse()
    expect([seed, await probe.run("SORT", "l", "ALPHA", "DESC", ...limit)]).toEqual([
      seed,
      limited(reversed, from, count),
    ])
  }
})

test("elements of equal weight stay in the order they came in, missing weights come first", async () => {
  await using probe = await Probe.start()
  await probe.run("RPUSH", "l", ..."cabfed")
  await probe.run("MSET", "w_a", "x", "w_b", "x", "w_c", "y", "w_d", "x")
  expect(await probe.reply("SORT l BY w_* ALPHA")).toBe('["f","e","a","b","d","c"]')
  expect(await probe.reply("SORT l BY w_* ALPHA DESC")).toBe('["c","a","b","d","f","e"]')
})

test("weights and results out of all forms of hashes, fields whose time is up left out", async () => {
  await using probe = await Probe.start()
  await probe.run("RPUSH", "l", 1, 2, 3)
  await probe.run("HSET", "h1", "w", 30, "v", "one")
  await probe.run("HSET", "h2", "w", 20, "v", "x".repeat(5000))
  await probe.run("HSET", "h3", "w", 10, "v", "three")
  expect(await probe.run("SORT", "l", "BY", "h*->w", "GET", "h*->v")).toEqual(["three", "x".repeat(5000), "one"])
  for (const key of ["h2", "h3"]) await probe.run("HPEXPIRE", key, 10, "FIELDS", 1, "w")
  expect(await probe.reply("SORT l BY h*->w")).toBe('["3","2","1"]')
  probe.clock.advance(11)
  expect(await probe.reply("SORT l BY h*->w GET # GET h*->w")).toBe('["2",null,"3",null,"1","30"]')
})

test("stored results", async () => {
  await using probe = await Probe.start()
  await probe.run("RPUSH", "l", 3, 1, 2)
  const command = "SORT l STORE d"
  expect(await probe.propagated(command)).toEqual([command])
  expect(await probe.notified(command)).toEqual(["sortstore d"])
  const dirty = probe.keyspace.events.dirty
  await probe.run("SORT", "l", "STORE", "d")
  expect(probe.keyspace.events.dirty).toBe(dirty + 3)
  expect(await probe.notified("SORT l LIMIT 9 1 STORE d")).toEqual(["del d"])
  expect(await probe.propagated("SORT nope STORE d")).toEqual([])
  expect(await probe.propagated("SORT l GET nope*")).toEqual([])

  const numbers = Array.from({ length: 4000 }, (_, i) => String(4000 - i))
  await probe.run("RPUSH", "many", ...numbers)
  await probe.run("SET", "d", "string", "EX", 100)
  expect(await probe.run("SORT", "many", "STORE", "d")).toBe(4000)
  expect(await probe.run("LRANGE", "d", 0, -1)).toEqual(numbers.reverse())
  expect(await probe.reply("TTL d")).toBe("-1")
  expect(await probe.reply("OBJECT ENCODING d")).toBe('"quicklist"')
  expect(await probe.reply("SORT many LIMIT 0 3 STORE many")).toBe("3")
  expect(await probe.reply("OBJECT ENCODING many")).toBe('"listpack"')
  expect(await probe.reply("LRANGE many 0 -1")).toBe('["1","2","3"]')
})

test("patterns need the right to read all keys", async () => {
  await using probe = await Probe.start({ "cluster-enabled": "yes" })
  const denied = (option: string) => `${option} option of SORT denied in Cluster mode`
  await probe.run("RPUSH", "{a}l", 2, 1)
  await probe.run("MSET", "{a}w1", 9, "{a}w2", 5)
  expect(await probe.reply("SORT {a}l BY {a}w* GET # GET {a}w*")).toBe('["2","5","1","9"]')
  expect(await probe.reply("SORT {a}l BY w*")).toContain(denied("BY"))
  expect(await probe.reply("SORT {a}l BY {b}w*")).toContain(denied("BY"))
  expect(await probe.reply("SORT {a}l GET w*")).toContain(denied("GET"))
  expect(await probe.reply("SORT {a}l BY nosort")).toBe('["2","1"]')
})
