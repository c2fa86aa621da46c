import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"

let server: EmbeddedServer
let client: Client

beforeAll(async () => {
  server = await createServer({ port: 0, config: { "enable-debug-command": "local" } })
  client = await Client.connect(server.port)
})
afterAll(async () => {
  client.close()
  await server[Symbol.asyncDispose]()
})
beforeEach(() => client.plain("FLUSHALL"))

const digest = () => client.plain("DEBUG", "DIGEST")
const ZERO = "0".repeat(40)

describe("DEBUG DIGEST", () => {
  test("is zero for no data", async () => {
    expect(await digest()).toBe(ZERO)
    expect(await client.plain("DEBUG", "DIGEST-VALUE", "a", "b")).toEqual([ZERO, ZERO])
  })

  test("is the same in whatever order the same data came, and back after a change was undone", async () => {
    await client.pipeline([
      ["SET", "a", "1"],
      ["HSET", "h", "x", "1", "y", "2"],
      ["SADD", "s", "p", "q"],
    ])
    const first = await digest()
    await client.plain("FLUSHALL")
    await client.pipeline([
      ["SADD", "s", "q", "p"],
      ["HSET", "h", "y", "2", "x", "1"],
      ["SET", "a", "1"],
    ])
    expect(await digest()).toBe(first)
    await client.plain("HSET", "h", "y", "3")
    expect(await digest()).not.toBe(first)
    await client.plain("HSET", "h", "y", "2")
    expect(await digest()).toBe(first)
    await client.plain("PEXPIRE", "a", "100000")
    expect(await digest()).not.toBe(first)
  })

  test("is the same in every form of a value, and tells databases and keys apart", async () => {
    const members = Array.from({ length: 50 }, (_, i) => `m${i}`)
    await client.plain("SADD", "s", ...members)
    const [packed] = (await client.plain("DEBUG", "DIGEST-VALUE", "s")) as string[]
    await client.plain("CONFIG", "SET", "set-max-listpack-entries", "10")
    await client.plain("SADD", "t", ...members.reverse())
    await client.plain("CONFIG", "SET", "set-max-listpack-entries", "128")
    expect(await client.plain("DEBUG", "DIGEST-VALUE", "t")).toEqual([packed!])
    await client.plain("FLUSHALL")
    await client.plain("SET", "k", "v")
    const here = await digest()
    await client.plain("SELECT", 1)
    await client.plain("SET", "k", "v")
    await client.plain("SELECT", 0)
    expect(await digest()).not.toBe(ZERO)
    await client.plain("DEL", "k")
    expect(await digest()).not.toBe(here)
  })

  test("leaves no trace in the statistics", async () => {
    await client.plain("SET", "k", "v")
    await client.plain("CONFIG", "RESETSTAT")
    await digest()
    const { events, touching } = server.server.engine.keyspace
    expect([events.hits, events.misses, touching]).toEqual([0, 0, true])
    expect(await client.plain("INFO", "commandstats")).not.toContain("cmdstat_get:")
  })
})

describe("DEBUG", () => {
  test("is for those who are let in", async () => {
    await using closed = await createServer({ port: 0 })
    await using other = await Client.connect(closed.port)
    expect(await other.plain("DEBUG", "DIGEST")).toEqual({
      error: expect.stringContaining("ERR DEBUG command not allowed. If the enable-debug-command option"),
    })
  })

  test("POPULATE makes keys, and leaves those alone that are there", async () => {
    await client.plain("SET", "key:1", "mine")
    expect(await client.plain("DEBUG", "POPULATE", "3")).toBe("OK")
    expect(await client.plain("MGET", "key:0", "key:1", "key:2", "key:3")).toEqual(["value:0", "mine", "value:2", null])
    await client.plain("DEBUG", "POPULATE", "12", "p", "7")
    expect(await client.plain("GET", "p:0")).toBe("value:0")
    expect(await client.plain("GET", "p:11")).toBe("value:1")
    await client.plain("DEBUG", "POPULATE", "1", "long", "100")
    expect(await client.plain("GET", "long:0")).toBe("value:0".padEnd(100, "\0"))
    expect(await client.plain("OBJECT", "ENCODING", "long:0")).toBe("raw")
  })

  test("SLEEP lets time pass for the next command of the same batch", async () => {
    await client.plain("SET", "k", "v", "PX", "30")
    const replies = await client.pipeline([
      ["GET", "k"],
      ["DEBUG", "SLEEP", "0.05"],
      ["GET", "k"],
    ])
    expect(replies.map(reply => Buffer.from(reply).toString())).toEqual(["$1\r\nv\r\n", "+OK\r\n", "$-1\r\n"])
  })

  test("switches", async () => {
    const { engine, cron } = server.server
    expect(await client.plain("DEBUG", "SET-ACTIVE-EXPIRE", "0")).toBe("OK")
    expect(engine.keyspace.activeExpiry).toBe(false)
    await client.plain("DEBUG", "SET-ACTIVE-EXPIRE", "1")
    expect(engine.keyspace.activeExpiry).toBe(true)
    await client.plain("DEBUG", "PAUSE-CRON", "1")
    expect(cron.paused).toBe(true)
    await client.plain("DEBUG", "PAUSE-CRON", "0")
    expect(cron.paused).toBe(false)
    await client.plain("DEBUG", "SET-DISABLE-DENY-SCRIPTS", "1")
    await client.plain("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "1")
    expect(engine.debugSwitches).toEqual({ runsDeniedInScripts: true, skipsChecksums: true })
  })

  test("OBJECT, HTSTATS, LISTPACK", async () => {
    await client.plain("SET", "k", "v")
    await client.plain("HSET", "h", "a", "b")
    expect(String(await client.plain("DEBUG", "OBJECT", "h"))).toMatch(
      /^Value at:0x[0-9a-f]+ refcount:1 encoding:listpack serializedlength:\d+ lru:\d+ lru_seconds_idle:\d+$/,
    )
    expect(await client.plain("DEBUG", "OBJECT", "nokey")).toEqual({ error: "ERR no such key" })
    expect(String(await client.plain("DEBUG", "HTSTATS", "0"))).toContain("number of elements: 2\n")
    expect(await client.plain("DEBUG", "LISTPACK", "h")).toBe("Listpack structure printed on stdout")
    expect(await client.plain("DEBUG", "LISTPACK", "k")).toEqual({ error: "ERR Not a listpack encoded object." })
  })
})
