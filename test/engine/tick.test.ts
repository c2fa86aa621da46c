import { expect, test } from "bun:test"
import { createServer, ManualClock } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"

test("idle clients are let go after `timeout` seconds, subscribers and busy ones are not", async () => {
  const clock = new ManualClock(1_700_000_000_000)
  await using server = await createServer({ clock, config: { timeout: 10 } })
  await using idle = await Client.connect(server.port)
  await using busy = await Client.connect(server.port)
  await using subscriber = await Client.connect(server.port)
  await idle.plain("PING")
  await subscriber.plain("SUBSCRIBE", "c")
  clock.advance(8000)
  await busy.plain("PING")
  clock.advance(3000)
  await until(() => idle.isClosed, { what: "the idle client to be closed" })
  expect(await busy.plain("PING")).toBe("PONG")
  expect(server.server.engine.clients.size).toBe(2)
})

test("keys expire by themselves, all of them and only they, as soon as the clock says so", async () => {
  const clock = new ManualClock(1_700_000_000_000)
  await using server = await createServer({ clock })
  const { keyspace } = server.server.engine
  for (let i = 0; i < 3000; i++) await server.execute("SET", `k${i}`, "v", "PX", 1000 + (i % 3) * 1000)
  await server.execute("SET", "stays", "v")
  for (const [left, seconds] of [
    [2001, 1],
    [1001, 2],
    [1, 3],
  ] as const) {
    clock.advance(1000 + (seconds === 1 ? 1 : 0))
    await until(() => keyspace.databases[0]!.keys.size === left, { what: `${left} keys to be left` })
  }
  expect(keyspace.events.expiredKeys).toBe(3000)
})

test("what is flushed is given back in slices, down to nothing", async () => {
  await using server = await createServer()
  const { keyspace } = server.server.engine
  for (let i = 0; i < 300; i++) {
    const words = Array.from({ length: 1200 }, (_, f) => [`field${f}`, "x".repeat(20)]).flat()
    await server.execute("HSET", `h${i}`, ...words)
  }
  const used = keyspace.heap.bytesUsed
  expect(used).toBeGreaterThan(10_000_000)
  await server.execute("FLUSHALL")
  expect(await server.execute("DBSIZE")).toBe(0)
  await until(() => keyspace.heap.bytesUsed === 0, { what: "the heap to be empty" })
  expect(keyspace.bytes).toBeLessThan(1000)
})
