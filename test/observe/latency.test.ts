import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"

let server: EmbeddedServer
let client: Client

beforeAll(async () => {
  server = await createServer({ port: 0, config: { "enable-debug-command": "yes" } })
  client = await Client.connect(server.port)
})
afterAll(async () => {
  client.close()
  await server[Symbol.asyncDispose]()
})

describe("LATENCY", () => {
  test("records events of the threshold and above", async () => {
    expect(await client.plain("LATENCY", "LATEST")).toEqual([])
    expect(String(await client.plain("LATENCY", "DOCTOR"))).toContain("Latency monitoring is off")
    await client.plain("DEBUG", "SLEEP", "0.02")
    expect(await client.plain("LATENCY", "LATEST")).toEqual([])
    await client.plain("CONFIG", "SET", "latency-monitor-threshold", "15")
    await client.plain("DEBUG", "SLEEP", "0.02")
    await client.plain("DEBUG", "SLEEP", "0.001")
    const [row] = (await client.plain("LATENCY", "LATEST")) as [string, number, number, number][]
    expect(row![0]).toBe("command")
    expect(row![2]).toBeGreaterThanOrEqual(20)
    expect(row![3]).toBe(row![2])
    expect(await client.plain("LATENCY", "HISTORY", "command")).toEqual([[row![1], row![2]]])
    expect(await client.plain("LATENCY", "HISTORY", "nosuch")).toEqual([])
    expect(String(await client.plain("LATENCY", "GRAPH", "command"))).toStartWith(`command - high ${row![2]} ms, low `)
    expect(String(await client.plain("LATENCY", "DOCTOR"))).toContain("1. command: 1 seconds with spikes")
    expect(await client.plain("LATENCY", "GRAPH", "nosuch")).toEqual({
      error: "ERR No samples available for event 'nosuch'",
    })
    expect(await client.plain("LATENCY", "RESET", "nosuch", "command")).toBe(1)
    expect(await client.plain("LATENCY", "RESET")).toBe(0)
  })

  test("keeps 160 samples, one a second", () => {
    const { latency } = server.server.observer
    for (let i = 0; i < 5; i++) latency.note("fork", 20 + i)
    const { samples, maxMs } = latency.events.get("fork")!
    expect(samples.length).toBeLessThanOrEqual(2)
    expect(maxMs).toBe(24)
    for (let i = 0; i < 200; i++) {
      samples.at(-1)!.time = i
      latency.note("fork", 15)
    }
    expect(samples.length).toBe(160)
  })

  test("HISTOGRAM counts calls, of a container by its subcommands", async () => {
    await client.plain("CONFIG", "RESETSTAT")
    await client.plain("SET", "a", "1")
    await client.plain("SET", "b", "1")
    await client.plain("CLIENT", "ID")
    await client.plain("CLIENT", "GETNAME")
    const replies = (await client.plain("LATENCY", "HISTOGRAM", "set", "client", "nosuch")) as unknown[]
    expect(replies[0]).toBe("set")
    const [, calls, , rows] = replies[1] as [string, number, string, number[]]
    expect(calls).toBe(2)
    expect(rows.at(-1)).toBe(2)
    expect(replies.filter((_, i) => i % 2 === 0)).toEqual(["set", "client|getname", "client|id"])
  })
})

test("MEMORY", async () => {
  await client.plain("SET", "k", "x".repeat(10_000))
  const usage = Number(await client.plain("MEMORY", "USAGE", "k", "SAMPLES", "0"))
  expect(usage).toBeGreaterThan(10_000)
  expect(usage).toBeLessThan(13_000)
  expect(await client.plain("MEMORY", "USAGE", "nokey")).toBeNull()
  expect(await client.plain("MEMORY", "PURGE")).toBe("OK")
  const stats = (await client.plain("MEMORY", "STATS")) as unknown[]
  const names = stats.filter((_, i) => i % 2 === 0)
  expect(names).toEqual(expect.arrayContaining(["total.allocated", "db.0", "keys.count", "dataset.percentage"]))
  expect(stats[names.indexOf("keys.count") * 2 + 1]).toBeGreaterThan(0)
  expect(String(await client.plain("MEMORY", "MALLOC-STATS"))).toContain("Record heap")
})

test("histograms of commands begin with the first call, also after they were off or reset", async () => {
  await using own = await createServer()
  await using caller = await Client.connect(own.port)
  const histograms = async () => (await caller.plain("LATENCY", "HISTOGRAM", "set", "config")) as unknown[]
  for (let i = 0; i < 3; i++) await caller.plain("SET", "a", "b")
  await caller.plain("CONFIG", "SET", "latency-tracking", "no")
  await caller.plain("SET", "a", "b")
  expect(await histograms()).toEqual([])
  await caller.plain("CONFIG", "SET", "latency-tracking", "yes")
  await caller.plain("SET", "a", "b")
  expect(await histograms()).toContain("set")
  await caller.plain("CONFIG", "RESETSTAT")
  expect(await histograms()).toEqual(["config|resetstat", ["calls", 1, "histogram_usec", expect.any(Array)]])
})
