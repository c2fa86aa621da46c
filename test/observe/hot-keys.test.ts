import { afterEach, beforeEach, expect, test } from "bun:test"
import { Probe } from "../families/string-probe.ts"
import { Client } from "../support/client.ts"

let probe: Probe
let client: Client
beforeEach(async () => {
  probe = await Probe.start()
  client = await Client.connect(probe.server.port, { resp: 3 })
})
afterEach(async () => {
  client.close()
  await probe[Symbol.asyncDispose]()
})
const run = (line: string) => client.plain(...line.split(" "))
const error = async (line: string) => JSON.stringify(await client.call(...line.split(" ")))
const report = async () => ((await run("HOTKEYS GET")) as [Map<string, unknown>])[0]
const keysOf = (list: unknown) => (list as unknown[]).filter((_, i) => i % 2 === 0)

test("keys by traffic and time, most first, scripts and transactions included", async () => {
  expect(await run("HOTKEYS GET")).toBeNull()
  expect(await run("HOTKEYS START METRICS 2 CPU NET COUNT 3")).toBe("OK")
  for (let i = 0; i < 5; i++) await client.plain("SET", "heavy", "v".repeat(1000))
  await run("SET light v")
  await run("MGET a b")
  await run("MULTI")
  await run("SET inside v")
  await run("GET inside")
  await run("EXEC")
  await run("PING")
  probe.clock.advance(1500)
  let found = await report()
  expect(found.get("tracking-active")).toBe(1)
  expect(keysOf(found.get("by-net-bytes")).slice(0, 2)).toEqual(["heavy", "inside"])
  expect(keysOf(found.get("by-cpu-time-us")).length).toBe(3)
  expect(found.get("collection-duration-ms")).toBe(1500)
  expect(found.get("selected-slots")).toEqual([[0, 16383]])
  const [, bytes] = found.get("by-net-bytes") as [string, number]
  expect(bytes).toBe(5 * ("*3\r\n$3\r\nSET\r\n$5\r\nheavy\r\n$1000\r\n\r\n".length + 1000 + "+OK\r\n".length))
  expect(found.get("total-net-bytes")).toBe(found.get("net-bytes-all-commands-all-slots"))
  expect(await run("HOTKEYS STOP")).toBe("OK")
  await client.plain("SET", "later", "v".repeat(100_000))
  found = await report()
  expect(found.get("tracking-active")).toBe(0)
  expect(keysOf(found.get("by-net-bytes"))).not.toContain("later")
  expect(probe.server.server.engine.caller.timesAll).toBe(false)
  expect(await run("HOTKEYS RESET")).toBe("OK")
  expect(await run("HOTKEYS GET")).toBeNull()
})

test("one metric alone, sampling, an end by itself", async () => {
  expect(await run("HOTKEYS START METRICS 1 NET SAMPLE 1000 DURATION 5")).toBe("OK")
  for (let i = 0; i < 200; i++) await run(`SET k${i} v`)
  const found = await report()
  expect(found.has("by-cpu-time-us") || found.has("total-cpu-time-user-ms")).toBe(false)
  expect(keysOf(found.get("by-net-bytes")).length).toBeLessThan(10)
  expect(found.get("sample-ratio")).toBe(1000)
  probe.clock.advance(5000)
  expect((await report()).get("tracking-active")).toBe(0)
  expect(await run("HOTKEYS STOP")).toBeNull()
  expect(await run("HOTKEYS START METRICS 1 CPU")).toBe("OK")
  expect((await report()).has("total-net-bytes")).toBe(false)
})

test("more keys than can be counted: those that stand out are found", async () => {
  await run("HOTKEYS START METRICS 1 NET COUNT 2")
  for (let round = 0; round < 30; round++) {
    const lines = Array.from({ length: 1000 }, (_, i) => ["SET", `k${round}-${i}`, "v"])
    lines.push(["GET", "hot"], ["SET", "hot", "v".repeat(50)], ["SET", "warm", "v".repeat(20)])
    await client.pipeline(lines)
  }
  expect(keysOf((await report()).get("by-net-bytes"))).toEqual(["hot", "warm"])
})

test("what is wrong", async () => {
  expect(await error("HOTKEYS START")).toContain("METRICS parameter is required")
  expect(await error("HOTKEYS START METRICS 0")).toContain("METRICS count")
  expect(await error("HOTKEYS START METRICS 2 CPU")).toContain("METRICS count does not match")
  expect(await error("HOTKEYS START METRICS 1 CPU NET")).toContain("syntax error")
  expect(await error("HOTKEYS START METRICS 1 GPU")).toContain("METRICS no valid metrics")
  expect(await error("HOTKEYS START METRICS 2 CPU CPU")).toContain("METRICS CPU")
  expect(await error("HOTKEYS START METRICS 1 CPU COUNT 65")).toContain("COUNT must be between 1 and 64")
  expect(await error("HOTKEYS START METRICS 1 CPU SAMPLE 0")).toContain("SAMPLE ratio must be positive")
  expect(await error("HOTKEYS START METRICS 1 CPU SLOTS 1 0")).toContain("SLOTS parameter cannot be used")
  expect(await run("HOTKEYS START METRICS 2 GPU CPU")).toBe("OK")
  expect(await error("HOTKEYS START METRICS 1 CPU")).toContain("already in progress")
  expect(await error("HOTKEYS RESET")).toContain("stop tracking first")
})
