/** node-redis as applications use it, in RESP3 and RESP2. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { createClient, WatchError } from "redis"
import { until } from "../support/condition.ts"
import { type BundisProcess, startBundis } from "../support/process.ts"

let server: BundisProcess
beforeAll(async () => {
  server = await startBundis(["--appendonly", "no", "--save", ""])
})
afterAll(() => server[Symbol.asyncDispose]())

describe.each([3, 2] as const)("node-redis with RESP%d", RESP => {
  const open = () => createClient({ RESP, name: "application", socket: { port: server.port, host: "127.0.0.1" } })
  let client: ReturnType<typeof open>
  const complaints: Error[] = []

  beforeAll(async () => {
    client = open()
    client.on("error", error => complaints.push(error))
    await client.connect()
  })
  afterAll(() => {
    client.destroy()
    expect(complaints).toEqual([])
  })
  beforeEach(async () => {
    await client.flushAll()
  })

  const extra: ReturnType<typeof open>[] = []
  afterEach(() => {
    for (const each of extra.splice(0)) each.destroy()
  })

  /** A second connection, closed at the end of the test. */
  async function another(): Promise<ReturnType<typeof open>> {
    const client = open()
    extra.push(client)
    client.on("error", error => complaints.push(error))
    return await client.connect()
  }

  test("introduces itself", async () => {
    const info = await client.clientInfo()
    expect(info.name).toBe("application")
    expect(info.libName).toStartWith("node-redis")
    expect(info.resp).toBe(RESP)
  })

  test("every type of value there and back", async () => {
    expect(await client.set("s", "väl", { expiration: { type: "EX", value: 100 }, condition: "NX" })).toBe("OK")
    expect(await client.get("s")).toBe("väl")
    expect(await client.get("none")).toBeNull()
    await client.hSet("h", { a: "1", b: "two" })
    expect({ ...(await client.hGetAll("h")) }).toEqual({ a: "1", b: "two" })
    await client.rPush("l", ["1", "2", "3"])
    expect(await client.lRange("l", 0, -1)).toEqual(["1", "2", "3"])
    await client.sAdd("set", ["x", "y"])
    expect([...(await client.sMembers("set"))].sort()).toEqual(["x", "y"])
    await client.zAdd("z", [
      { value: "one", score: 1 },
      { value: "two", score: 2.5 },
    ])
    expect(await client.zRangeWithScores("z", 0, -1)).toEqual([
      { value: "one", score: 1 },
      { value: "two", score: 2.5 },
    ])
    expect(await client.zScore("z", "two")).toBe(2.5)
    const id = await client.xAdd("stream", "*", { field: "value" })
    const entries = await client.xRange("stream", "-", "+")
    expect(entries?.map(({ id, message }) => ({ id, message: { ...message } }))).toEqual([
      { id, message: { field: "value" } },
    ])
  })

  test("an error reply rejects with the server's text", async () => {
    await client.set("s", "v")
    expect(client.lPush("s", "x")).rejects.toThrow("WRONGTYPE Operation against a key holding the wrong kind of value")
  })

  test("commands of one turn go out together", async () => {
    const replies = await Promise.all(Array.from({ length: 5000 }, (_, i) => client.incr(`n:${i % 10}`)))
    expect(replies.at(-1)).toBe(500)
  })

  test("transactions, and their failure when a watched key changed", async () => {
    expect(await client.multi().set("a", "1").incr("a").exec()).toEqual(["OK", 2] as never)
    const other = await another()
    await client.watch("a")
    await other.set("a", "10")
    expect(client.multi().incr("a").exec()).rejects.toBeInstanceOf(WatchError)
    await until(async () => (await other.get("a")) === "10")
  })

  test("publish and subscribe, by name, by pattern and by shard", async () => {
    const subscriber = await another()
    const received: string[] = []
    await subscriber.subscribe("news", (message, channel) => received.push(`${channel} ${message}`))
    await subscriber.pSubscribe("n*", (message, channel) => received.push(`pattern ${channel} ${message}`))
    await subscriber.sSubscribe("shard", (message, channel) => received.push(`${channel} ${message}`))
    expect(await client.publish("news", "hello")).toBe(2)
    expect(await client.sPublish("shard", "hello")).toBe(1)
    await until(() => received.length === 3)
    expect(received.sort()).toEqual(["news hello", "pattern news hello", "shard hello"])
  })

  test("blocking pops wait for a push", async () => {
    const blocked = await another()
    const popped = blocked.blPop("queue", 10)
    await until(async () => /blocked_clients:1\r/.test(await client.info("clients")), { timeoutMs: 3000 })
    await client.rPush("queue", "job")
    expect({ ...(await popped) }).toEqual({ key: "queue", element: "job" } as never)
  })

  test("comes back after the server has closed the connection, subscriptions and all", async () => {
    const subscriber = await another()
    const received: string[] = []
    await subscriber.subscribe("news", message => received.push(message))
    const before = complaints.length
    await client.sendCommand(["CLIENT", "KILL", "TYPE", "pubsub"])
    await until(async () => (await client.publish("news", "again")) === 1, { timeoutMs: 5000 })
    await until(() => received.includes("again"))
    // The client tells of the lost connection; nothing else went wrong.
    expect(complaints.splice(before).every(({ message }) => /closed|ECONNRESET/i.test(message))).toBe(true)
  })

  test("scan iterators see every key once", async () => {
    await client.mSet(Array.from({ length: 1000 }, (_, i) => [`key:${i}`, String(i)] as [string, string]))
    const seen: string[] = []
    for await (const keys of client.scanIterator({ MATCH: "key:*", COUNT: 100 })) seen.push(...keys)
    expect(seen.length).toBe(1000)
    expect(new Set(seen).size).toBe(1000)
  })
})

describe("node-redis with a cache of its own", () => {
  test("reads come from the cache until another client changes, expires or flushes the key", async () => {
    const open = (clientSideCache?: { ttl: number; maxEntries: number }) =>
      createClient({ RESP: 3, clientSideCache, socket: { port: server.port, host: "127.0.0.1" } })
    const cached = await open({ ttl: 0, maxEntries: 0 }).connect()
    const other = await open().connect()
    const hits = () => cached.clientSideCache!.stats().hitCount
    /** What the client reads, once it has taken notice of a change. */
    const reads = (value: string | null) => until(async () => (await cached.get("k")) === value, { timeoutMs: 3000 })
    try {
      await other.flushAll()
      await other.set("k", "1")
      expect(await cached.get("k")).toBe("1")
      const before = hits()
      for (let i = 0; i < 10; i++) expect(await cached.get("k")).toBe("1")
      expect(hits()).toBe(before + 10)
      await other.set("k", "2")
      await reads("2")
      await other.expireAt("k", 1)
      await reads(null)
      await other.hSet("h", "f", "v")
      expect({ ...(await cached.hGetAll("h")) }).toEqual({ f: "v" })
      await other.flushAll()
      await until(async () => Object.keys(await cached.hGetAll("h")).length === 0, { timeoutMs: 3000 })
    } finally {
      cached.destroy()
      other.destroy()
    }
  })
})
