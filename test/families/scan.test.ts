import { expect, test } from "bun:test"
import { Random, runSeed } from "../support/random.ts"
import { Probe } from "./string-probe.ts"

/** One whole walk; what each step returned. */
async function walk(probe: Probe, between: () => Promise<void>, ...options: string[]): Promise<string[][]> {
  const steps: string[][] = []
  let cursor = "0"
  do {
    const [next, keys] = (await probe.run("SCAN", cursor, ...options)) as [string, string[]]
    steps.push(keys)
    cursor = next
    await between()
  } while (cursor !== "0")
  return steps
}

test("keys present throughout come exactly once while others come and go", async () => {
  await using probe = await Probe.start()
  const random = new Random(runSeed)
  for (const growing of [true, false]) {
    await probe.run("FLUSHALL")
    for (let i = 0; i < 1000; i++) await probe.run("SET", `stays${i}`, i)
    for (let i = 0; i < 3000 && !growing; i++) await probe.run("SET", `passing${i}`, i)
    let passing = growing ? 0 : 3000
    const steps = await walk(probe, async () => {
      for (let i = random.below(80); i > 0 && passing > 0 && !growing; i--)
        await probe.run("DEL", `passing${--passing}`)
      for (let i = random.below(80); i > 0 && growing; i--) await probe.run("SET", `passing${passing++}`, i)
    })
    const seen = steps.flat().filter(key => key.startsWith("stays"))
    expect([`seed ${runSeed}`, seen.length, new Set(seen).size]).toEqual([`seed ${runSeed}`, 1000, 1000])
  }
})

test("COUNT is how many keys a step looks at", async () => {
  await using probe = await Probe.start()
  for (let i = 0; i < 500; i++) await probe.run("SET", `k${i}`, i)
  const steps = await walk(probe, async () => {}, "COUNT", "50")
  expect(steps.length).toBeGreaterThanOrEqual(10)
  expect(steps.length).toBeLessThanOrEqual(12)
  const matching = await walk(probe, async () => {}, "MATCH", "k?9", "COUNT", "50")
  expect(matching.length).toBe(steps.length)
  expect(matching.flat().sort()).toEqual(["k19", "k29", "k39", "k49", "k59", "k69", "k79", "k89", "k99"])
})

test("expired keys are passed over and removed, each for itself", async () => {
  await using probe = await Probe.start()
  await probe.run("SET", "stays", 1)
  for (const key of ["gone1", "gone2"]) await probe.run("SET", key, 1, "PX", 10)
  await probe.run("SADD", "goneset", 1)
  await probe.run("PEXPIRE", "goneset", 10)
  probe.clock.advance(11)
  expect((await probe.propagated("SCAN 0 TYPE string")).sort()).toEqual(["DEL gone1", "DEL gone2"])
  expect(await probe.reply("DBSIZE")).toBe("2")
  expect(await probe.reply("KEYS *")).toBe('["stays"]')
  expect(await probe.reply("DBSIZE")).toBe("2")
  expect(await probe.propagated("SCAN 0")).toEqual(["DEL goneset"])
})

test("RANDOMKEY removes the expired keys it meets", async () => {
  await using probe = await Probe.start()
  for (const key of ["gone1", "gone2"]) await probe.run("SET", key, 1, "PX", 10)
  probe.clock.advance(11)
  expect((await probe.propagated("RANDOMKEY")).sort()).toEqual(["DEL gone1", "DEL gone2"])
  expect(await probe.reply("RANDOMKEY")).toBe("null")
  await probe.run("SET", "gone", 1, "PX", 10)
  probe.clock.advance(11)
  probe.keyspace.expiryPaused = true
  expect(await probe.reply("RANDOMKEY")).toBe('"gone"')
})

test("cursors that no step returned, and options", async () => {
  await using probe = await Probe.start()
  await probe.run("SET", "k", 1)
  const errors: [string, RegExp][] = [
    ["SCAN x", /invalid cursor/],
    ["SCAN -1", /invalid cursor/],
    ["SCAN 18446744073709551616", /invalid cursor/],
    ["SCAN 0 TYPE nosuch", /unknown type name 'nosuch'/],
    ["SCAN 0 COUNT 0", /syntax error/],
    ["SCAN 0 COUNT", /syntax error/],
    ["SCAN 0 NOVALUES", /NOVALUES option can only be used in HSCAN/],
  ]
  for (const [line, text] of errors) expect(await probe.reply(line)).toMatch(text)
  for (const cursor of ["4294967295", "4294967296", "18446744073709551615"]) {
    expect(((await probe.run("SCAN", cursor)) as string[])[0]).toBe("0")
  }
})
