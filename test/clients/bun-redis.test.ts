/** Bun's own RedisClient: it speaks RESP3 only and breaks without HELLO. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test"
import { RedisClient } from "bun"
import { until } from "../support/condition.ts"
import { type BundisProcess, startBundis } from "../support/process.ts"

let server: BundisProcess
let client: RedisClient

beforeAll(async () => {
  server = await startBundis(["--appendonly", "no", "--save", ""])
  client = new RedisClient(`redis://127.0.0.1:${server.port}`)
  await client.connect()
})
afterAll(async () => {
  client.close()
  await server[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await client.send("FLUSHALL", [])
})

test("strings, numbers, expiry", async () => {
  expect(await client.set("s", "väl")).toBe("OK")
  expect(await client.get("s")).toBe("väl")
  expect(await client.get("none")).toBeNull()
  expect(await client.incr("n")).toBe(1)
  expect(await client.expire("s", 100)).toBe(1)
  expect(await client.ttl("s")).toBeWithin(99, 101)
  expect(await client.exists("s")).toBe(true)
  expect(await client.del("s")).toBe(1)
})

test("containers, with RESP3's own types", async () => {
  await client.hmset("h", ["a", "1", "b", "two"])
  expect(await client.hmget("h", ["a", "b", "none"])).toEqual(["1", "two", null])
  expect({ ...(await client.send("HGETALL", ["h"])) }).toEqual({ a: "1", b: "two" })
  expect(await client.sadd("set", "x")).toBe(1)
  expect(await client.sismember("set", "x")).toBe(true)
  expect(await client.smembers("set")).toEqual(["x"])
  expect(await client.send("RPUSH", ["l", "1", "2"])).toBe(2)
  expect(await client.send("LRANGE", ["l", "0", "-1"])).toEqual(["1", "2"])
  expect(await client.send("ZADD", ["z", "1.5", "m"])).toBe(1)
  expect(await client.send("ZSCORE", ["z", "m"])).toBe(1.5)
})

test("an error reply rejects with the server's text", async () => {
  await client.set("s", "v")
  expect(client.send("LPUSH", ["s", "x"])).rejects.toThrow("WRONGTYPE")
})

test("five thousand commands in one turn", async () => {
  const replies = await Promise.all(Array.from({ length: 5000 }, (_, i) => client.incr(`n:${i % 10}`)))
  expect(replies.at(-1)).toBe(500)
})

test("publish and subscribe", async () => {
  const subscriber = await client.duplicate()
  try {
    const received: string[] = []
    await subscriber.subscribe("news", (message, channel) => received.push(`${channel} ${message}`))
    expect(await client.publish("news", "hello")).toBe(1)
    await until(() => received.length === 1)
    expect(received).toEqual(["news hello"])
  } finally {
    subscriber.close()
  }
})

test("transactions, and blocking pops that wait for a push", async () => {
  await client.send("MULTI", [])
  await client.send("SET", ["a", "1"])
  await client.send("INCR", ["a"])
  expect(await client.send("EXEC", [])).toEqual(["OK", 2])
  const blocked = await client.duplicate()
  try {
    const popped = blocked.send("BLPOP", ["queue", "10"])
    await until(async () => /blocked_clients:1\r/.test(await client.send("INFO", ["clients"])), { timeoutMs: 3000 })
    await client.send("RPUSH", ["queue", "job"])
    expect(await popped).toEqual(["queue", "job"])
  } finally {
    blocked.close()
  }
})

test("comes back after the server has closed the connection", async () => {
  const other = await client.duplicate()
  try {
    const id = await other.send("CLIENT", ["ID"])
    await client.send("CLIENT", ["KILL", "ID", String(id)])
    await until(async () => (await other.send("CLIENT", ["ID"]).catch(() => id)) !== id, { timeoutMs: 5000 })
    expect(await other.set("k", "v")).toBe("OK")
  } finally {
    other.close()
  }
})
