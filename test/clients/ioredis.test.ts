/** ioredis as applications use it: its ready check, pipelines, transactions, pub/sub, blocking, streams. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test"
import { Redis } from "ioredis"
import { until } from "../support/condition.ts"
import { type BundisProcess, startBundis } from "../support/process.ts"

let server: BundisProcess
let redis: Redis

beforeAll(async () => {
  server = await startBundis(["--appendonly", "no", "--save", ""])
  redis = new Redis({ port: server.port, connectionName: "application" })
})
afterAll(async () => {
  redis.disconnect()
  await server[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await redis.flushall()
})

const extra: Redis[] = []
afterEach(() => {
  for (const client of extra.splice(0)) client.disconnect()
})

/** A second connection, closed at the end of the test. */
function another(): Redis {
  const client = redis.duplicate()
  extra.push(client)
  return client
}

test("becomes ready, with its name set", async () => {
  expect(redis.status).toBe("ready")
  expect(await redis.client("GETNAME")).toBe("application")
  expect(String(await redis.client("LIST"))).toContain("lib-name=ioredis")
})

test("every type of value there and back", async () => {
  expect(await redis.set("s", "väl", "EX", 100, "NX")).toBe("OK")
  expect(await redis.get("s")).toBe("väl")
  expect(await redis.get("none")).toBeNull()
  expect(await redis.ttl("s")).toBeWithin(99, 101)
  expect(await redis.incrbyfloat("f", 1.5)).toBe("1.5")
  await redis.hset("h", { a: 1, b: "two" })
  expect(await redis.hgetall("h")).toEqual({ a: "1", b: "two" })
  await redis.rpush("l", 1, 2, 3)
  expect(await redis.lrange("l", 0, -1)).toEqual(["1", "2", "3"])
  await redis.sadd("set", "x", "y")
  expect((await redis.smembers("set")).sort()).toEqual(["x", "y"])
  await redis.zadd("z", 1, "one", 2.5, "two")
  expect(await redis.zrange("z", "0", "-1", "WITHSCORES")).toEqual(["one", "1", "two", "2.5"])
  const bytes = Buffer.from([0, 255, 13, 10, 128])
  await redis.set("binary", bytes)
  expect(await redis.getBuffer("binary")).toEqual(bytes)
})

test("an error reply rejects with the server's text", async () => {
  await redis.set("s", "v")
  expect(redis.lpush("s", "x")).rejects.toThrow("WRONGTYPE Operation against a key holding the wrong kind of value")
  expect(redis.call("NOSUCH")).rejects.toThrow("ERR unknown command 'NOSUCH'")
})

test("pipelines of ten thousand commands", async () => {
  const pipeline = redis.pipeline()
  for (let i = 0; i < 10_000; i++) pipeline.incr(`n:${i % 10}`)
  const replies = await pipeline.exec()
  expect(replies!.length).toBe(10_000)
  expect(replies!.at(-1)).toEqual([null, 1000])
})

test("transactions, and their failure when a watched key changed", async () => {
  expect(await redis.multi().set("a", 1).incr("a").exec()).toEqual([
    [null, "OK"],
    [null, 2],
  ])
  const other = another()
  await redis.watch("a")
  await other.set("a", 10)
  expect(await redis.multi().incr("a").exec()).toBeNull()
  expect(await redis.get("a")).toBe("10")
})

test("publish and subscribe, by name and by pattern", async () => {
  const subscriber = another()
  const received: string[] = []
  subscriber.on("message", (channel, message) => received.push(`${channel} ${message}`))
  subscriber.on("pmessage", (pattern, channel, message) => received.push(`${pattern} ${channel} ${message}`))
  expect(await subscriber.subscribe("news", "other")).toBe(2)
  expect(await subscriber.psubscribe("n*")).toBe(3)
  expect(await redis.publish("news", "hello")).toBe(2)
  await until(() => received.length === 2)
  expect(received.sort()).toEqual(["n* news hello", "news hello"])
  await subscriber.unsubscribe("news")
  expect(await redis.publish("news", "again")).toBe(1)
})

test("blocking pops wait for a push", async () => {
  const blocked = another()
  const popped = blocked.blpop("queue", "other", 10)
  await until(async () => /blocked_clients:1\r/.test(await redis.info("clients")), { timeoutMs: 3000 })
  await redis.rpush("queue", "job")
  expect(await popped).toEqual(["queue", "job"])
  expect(await blocked.bzpopmin("none", 0.01)).toBeNull()
})

test("streams and consumer groups", async () => {
  const id = (await redis.xadd("stream", "*", "field", "value"))!
  await redis.xgroup("CREATE", "stream", "group", "0")
  expect(await redis.xreadgroup("GROUP", "group", "me", "COUNT", 10, "STREAMS", "stream", ">")).toEqual([
    ["stream", [[id, ["field", "value"]]]],
  ])
  expect(await redis.xack("stream", "group", id)).toBe(1)
  expect(await redis.xlen("stream")).toBe(1)
})

test("scan streams see every key once", async () => {
  await redis.mset(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`key:${i}`, i])))
  const seen: string[] = []
  for await (const keys of redis.scanStream({ match: "key:*", count: 100 })) seen.push(...keys)
  expect(seen.length).toBe(1000)
  expect(new Set(seen).size).toBe(1000)
})

test("comes back after the server has closed the connection", async () => {
  const other = another()
  await other.ping()
  const id = await other.client("ID")
  await redis.client("KILL", "ID", Number(id))
  expect(await other.ping()).toBe("PONG")
  expect(await other.client("ID")).not.toBe(id)
})
