import { expect, test } from "bun:test"
import { createServer, ManualClock } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { play } from "./stage.ts"

const OOM = "OOM command not allowed when used memory > 'maxmemory'."

function field(info: unknown, name: string): string {
  return new RegExp(`^${name}:(.*?)\r?$`, "m").exec(String(info))?.[1] ?? ""
}

play("noeviction: what needs memory is refused, the rest goes on", async stage => {
  await stage.run("a", "SET", "k", "v")
  await stage.run("a", "CONFIG", "SET", "maxmemory", "1")
  await stage.run("a", "SET", "x", "v")
  await stage.run("a", "GET", "k")
  await stage.run("a", "APPEND", "k", "v")
  await stage.run("a", "LPUSH", "l", "v")
  await stage.run("a", "DEL", "k")
  await stage.run("a", "EXPIRE", "k", "10")
  await stage.run("a", "CONFIG", "SET", "maxmemory", "0")
  await stage.run("a", "SET", "x", "v")
})

play("transactions: a refused command fails them, and so does EXEC with one that was queued before", async stage => {
  await stage.run("a", "SET", "n", "1")
  await stage.run("a", "MULTI")
  await stage.run("a", "SET", "k", "v")
  await stage.run("b", "CONFIG", "SET", "maxmemory", "1")
  await stage.run("a", "EXEC")
  await stage.run("a", "MULTI")
  await stage.run("a", "SET", "k", "v")
  await stage.run("a", "EXEC")
  await stage.run("b", "CONFIG", "SET", "maxmemory", "0")
  await stage.run("a", "DBSIZE")
})

play("everything goes when there is no room at all; watchers are told", async stage => {
  await stage.run("a", "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
  for (let i = 0; i < 20; i++) await stage.run("a", "SET", `k${i}`, "v")
  await stage.run("b", "WATCH", "k3")
  await stage.run("a", "CONFIG", "SET", "maxmemory", "1")
  await until(async () => (await (await stage.client("c")).plain("DBSIZE")) === 0, { what: "all keys to be evicted" })
  await stage.run("a", "SET", "x", "v")
  await stage.run("a", "CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
  await stage.run("b", "MULTI")
  await stage.run("b", "SET", "x", "v")
  await stage.run("b", "EXEC")
})

play("volatile policies without volatile keys refuse", async stage => {
  await stage.run("a", "SET", "k", "v")
  await stage.run("a", "CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "volatile-lru")
  await stage.run("a", "SET", "x", "v")
  await stage.run("a", "DBSIZE")
  await stage.run("a", "CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
})

play("evictions are notified of and told to those who track the key", async stage => {
  await stage.run("a", "CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "notify-keyspace-events", "Ee")
  await stage.run("a", "SET", "k", "v")
  const id = String(await stage.id("s"))
  await stage.run("s", "SUBSCRIBE", "__keyevent@0__:evicted", "__redis__:invalidate")
  await stage.end("s")
  await stage.run("t", "CLIENT", "TRACKING", "ON", "REDIRECT", id)
  await stage.run("t", "GET", "k")
  await stage.run("a", "CONFIG", "SET", "maxmemory", "1")
  const seen: string[] = []
  const subscriber = await stage.client("s")
  for (let i = 0; i < 2; i++) seen.push(JSON.stringify(await subscriber.readReply()))
  stage.seen.push(seen.sort())
  await stage.run("a", "CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
  await stage.run("a", "CONFIG", "SET", "notify-keyspace-events", "")
})

test("what is stored stays below the limit", async () => {
  await using server = await createServer()
  await using client = await Client.connect(server.port)
  const used = async () => Number(field(await client.plain("INFO", "memory"), "used_memory"))
  const limit = (await used()) + 100_000
  await client.plain("CONFIG", "SET", "maxmemory", limit, "maxmemory-policy", "allkeys-lru")
  for (let round = 0; round < 6; round++) {
    const commands = Array.from({ length: 500 }, (_, i) => ["SET", `k${round}-${i}`, "v".repeat(50)])
    await client.pipeline(commands)
    expect(await used()).toBeLessThan(limit + 4096)
  }
  const stats = await client.plain("INFO", "stats")
  const size = Number(await client.plain("DBSIZE"))
  expect(size).toBeGreaterThan(500)
  expect(Number(field(stats, "evicted_keys"))).toBe(3000 - size)
  expect(Number(field(stats, "total_eviction_exceeded_time"))).toBe(0)
})

test("a large overshoot is worked off in slices, and commands add nothing meanwhile", async () => {
  // Each look at the clock takes a tenth of a millisecond: a slice of 500 µs has some eighty evictions.
  class Ticking extends ManualClock {
    override monotonicMicros(): number {
      this.advance(0.1)
      return super.monotonicMicros()
    }
  }
  await using server = await createServer({ clock: new Ticking(1_700_000_000_000) })
  const { engine } = server.server
  for (let i = 0; i < 8000; i++) await server.execute("SET", `k${i}`, "v".repeat(20))
  let most = 0
  let before = engine.keyspace.events.evictedKeys
  engine.onTickEnd.push(() => {
    most = Math.max(most, engine.keyspace.events.evictedKeys - before)
    before = engine.keyspace.events.evictedKeys
  })
  await server.execute("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
  await server.execute("CONFIG", "SET", "maxmemory", String(engine.memoryLimit.countedBytes - 200_000))
  const { keys } = engine.keyspace.databases[0]!
  let size = keys.size
  for (let i = 0; i < 20; i++) {
    await server.execute("SET", `new${i}`, "v".repeat(20))
    expect(keys.size).toBeLessThanOrEqual(size)
    size = keys.size
  }
  const limit = engine.config.values.maxmemory
  await until(() => engine.memoryLimit.countedBytes <= limit, { what: "memory to be below the limit" })
  expect(most).toBeLessThan(500)
  expect(keys.size).toBeGreaterThan(2000)
  expect(engine.memoryLimit.totalExceededMs).toBeGreaterThan(0)
  expect(engine.memoryLimit.currentExceededMs).toBe(0)
})

test("evictions are propagated as DEL, or as UNLINK", async () => {
  for (const [lazy, word] of [
    ["no", "DEL"],
    ["yes", "UNLINK"],
  ] as const) {
    await using server = await createServer({ config: { "lazyfree-lazy-eviction": lazy } })
    const { engine } = server.server
    const sent: Buffer[] = []
    engine.propagator.enabled = true
    engine.sinks.push({
      write: (bytes, start, end) => sent.push(Buffer.from(bytes.slice(start, end))),
      flush: () => {},
    })
    await server.execute("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    await server.execute("SET", "k", "v")
    await server.execute("CONFIG", "SET", "maxmemory", "1")
    await until(() => engine.keyspace.databases[0]!.keys.size === 0, { what: "the key to be evicted" })
    await server.execute("PING")
    const words = Buffer.concat(sent)
      .toString("latin1")
      .split("\r\n")
      .filter(line => !/^[*$]/.test(line) && line !== "")
    expect(words).toEqual(["SELECT", "0", "SET", "k", "v", word, "k"])
  }
})

test("a replica that ignores maxmemory neither evicts nor refuses", async () => {
  await using server = await createServer({ config: { "maxmemory-policy": "allkeys-lru" } })
  const { memoryLimit } = server.server.engine
  memoryLimit.isReplica = () => true
  await server.execute("CONFIG", "SET", "maxmemory", "1")
  expect(await server.execute("SET", "k", "v")).toBe("OK")
  expect(await server.execute("DBSIZE")).toBe(1)
  await server.execute("CONFIG", "SET", "replica-ignore-maxmemory", "no")
  expect(await server.execute("SET", "k", "v")).toEqual({ error: OOM })
})

test("latency is monitored, idle time and frequency follow the policy", async () => {
  await using server = await createServer({ config: { "latency-monitor-threshold": "1" } })
  const noted = new Set<string>()
  server.server.engine.memoryLimit.onLatency = event => noted.add(event)
  await server.execute("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
  await server.execute("SET", "k", "v")
  expect(await server.execute("OBJECT", "FREQ", "k")).toBe(5)
  expect(JSON.stringify(await server.execute("OBJECT", "IDLETIME", "k"))).toContain("LFU maxmemory policy is selected")
  for (const policy of ["allkeys-lrm", "volatile-lru", "allkeys-random", "noeviction"]) {
    await server.execute("CONFIG", "SET", "maxmemory-policy", policy)
    await server.execute("SET", "k", "v")
    expect(await server.execute("OBJECT", "IDLETIME", "k")).toBe(0)
    expect(JSON.stringify(await server.execute("OBJECT", "FREQ", "k"))).toContain(
      "LFU maxmemory policy is not selected",
    )
  }
  await server.execute("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
  await server.execute("CONFIG", "SET", "maxmemory", "1")
  await until(() => server.server.engine.keyspace.databases[0]!.keys.size === 0, { what: "the key to be evicted" })
  expect([...noted].sort()).toEqual(["eviction-cycle", "eviction-del"])
})
