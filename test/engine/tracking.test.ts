import { describe, expect, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { type PlainReply, toPlain } from "../../src/resp/reply-decoder.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"

async function push(client: Client): Promise<unknown> {
  return toPlain(await client.readPush())
}

const targets = ["bundis", ...(oracleAvailable ? ["redis"] : [])]

/** The same story told to both servers. */
describe.each(targets)("client-side caching (%s)", target => {
  async function connect(port: number, resp: 2 | 3 = 3): Promise<Client> {
    return Client.connect(port, { resp })
  }

  async function start(): Promise<{ port: number } & AsyncDisposable> {
    if (target === "bundis") return createServer()
    const oracle = await sharedOracle()
    return { port: oracle.port, async [Symbol.asyncDispose]() {} }
  }

  test("a key that was read is told once", async () => {
    await using server = await start()
    await using reader = await connect(server.port)
    await using writer = await connect(server.port)
    expect(await reader.plain("CLIENT", "TRACKING", "ON")).toBe("OK")
    await writer.plain("SET", "a", "1")
    await reader.plain("GET", "a")
    await writer.plain("SET", "a", "2")
    expect(await push(reader)).toEqual(["invalidate", ["a"]])
    await writer.plain("SET", "a", "3")
    await reader.plain("MGET", "b", "c")
    await writer.plain("DEL", "a")
    await writer.plain("SET", "c", "1")
    expect(await push(reader)).toEqual(["invalidate", ["c"]])
    await writer.plain("FLUSHALL")
    expect(await push(reader)).toEqual(["invalidate", null])
  })

  test("its own changes come after the reply, or not at all with NOLOOP", async () => {
    await using server = await start()
    await using client = await connect(server.port)
    await client.plain("CLIENT", "TRACKING", "ON")
    await client.plain("GET", "a")
    expect(await client.plain("SET", "a", "1")).toBe("OK")
    expect(await push(client)).toEqual(["invalidate", ["a"]])
    await client.plain("CLIENT", "TRACKING", "ON", "NOLOOP")
    await client.plain("GET", "a")
    await client.plain("SET", "a", "2")
    await client.plain("GET", "a")
    await using writer = await connect(server.port)
    await writer.plain("SET", "a", "3")
    expect(await push(client)).toEqual(["invalidate", ["a"]])
  })

  test("expiry is told", async () => {
    await using server = await start()
    await using reader = await connect(server.port)
    await reader.plain("CLIENT", "TRACKING", "ON")
    await reader.plain("SET", "a", "1", "PX", "300")
    await reader.plain("GET", "a")
    expect(await push(reader)).toEqual(["invalidate", ["a"]])
  })

  test("OPTIN and OPTOUT", async () => {
    await using server = await start()
    await using reader = await connect(server.port)
    await using writer = await connect(server.port)
    await reader.plain("CLIENT", "TRACKING", "ON", "OPTIN")
    await reader.plain("GET", "a")
    await reader.plain("CLIENT", "CACHING", "YES")
    await reader.plain("GET", "b")
    await writer.plain("MSET", "a", "1", "b", "1")
    expect(await push(reader)).toEqual(["invalidate", ["b"]])
    expect(await reader.plain("CLIENT", "TRACKING", "ON", "OPTOUT")).toMatchObject({ error: expect.any(String) })
    await reader.plain("CLIENT", "TRACKING", "OFF")
    await reader.plain("CLIENT", "TRACKING", "ON", "OPTOUT")
    await reader.plain("CLIENT", "CACHING", "NO")
    await reader.plain("GET", "a")
    await reader.plain("GET", "b")
    await writer.plain("MSET", "a", "2", "b", "2")
    expect(await push(reader)).toEqual(["invalidate", ["b"]])
  })

  test("BCAST with prefixes", async () => {
    await using server = await start()
    await using reader = await connect(server.port)
    await using writer = await connect(server.port)
    await reader.plain("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "user:", "PREFIX", "item:")
    await writer.plain("SET", "other", "1")
    await writer.plain("SET", "user:1", "1")
    expect(await push(reader)).toEqual(["invalidate", ["user:1"]])
    await writer.plain("MSET", "item:1", "1", "other", "2")
    expect(await push(reader)).toEqual(["invalidate", ["item:1"]])
    expect(await reader.plain("CLIENT", "TRACKINGINFO")).toEqual(
      new Map<PlainReply, PlainReply>([
        ["flags", new Set(["on", "bcast"])],
        ["redirect", 0],
        ["prefixes", expect.arrayContaining(["user:", "item:"])],
      ]),
    )
  })

  test("REDIRECT to a RESP2 subscriber, and its end", async () => {
    await using server = await start()
    await using reader = await connect(server.port)
    const listener = await connect(server.port, 2)
    const id = (await listener.plain("CLIENT", "ID")) as number
    await listener.plain("SUBSCRIBE", "__redis__:invalidate")
    await reader.plain("CLIENT", "TRACKING", "ON", "REDIRECT", String(id))
    expect(await reader.plain("CLIENT", "GETREDIR")).toBe(id)
    await reader.plain("GET", "a")
    await reader.plain("SET", "a", "1")
    expect(toPlain(await listener.readReply())).toEqual(["message", "__redis__:invalidate", ["a"]])
    await listener[Symbol.asyncDispose]()
    await reader.plain("GET", "a")
    await reader.plain("SET", "a", "2")
    expect(await push(reader)).toEqual(["tracking-redir-broken", id])
    await reader.plain("PING")
    expect(reader.unread.pushes).toBe(0)
  })

  test.each([
    [["ON", "PREFIX", "a"]],
    [["ON", "BCAST", "OPTIN"]],
    [["ON", "OPTIN", "OPTOUT"]],
    [["ON", "REDIRECT", "99999999"]],
    [["ON", "REDIRECT", "x"]],
    [["ON", "BCAST", "PREFIX", "foo", "PREFIX", "foobar"]],
    [["MAYBE"]],
    [["ON", "NONSENSE"]],
  ])("refuses %p", async words => {
    await using server = await start()
    await using client = await connect(server.port)
    const mine = await client.plain("CLIENT", "TRACKING", ...words)
    expect(mine).toMatchObject({ error: expect.any(String) })
    if (target === "bundis" && oracleAvailable) {
      await using other = await connect((await sharedOracle()).port)
      expect(mine).toEqual(await other.plain("CLIENT", "TRACKING", ...words))
    }
  })
})

test("a lower bound holds at once", async () => {
  await using server = await createServer()
  server.server.cron.paused = true
  await using client = await Client.connect(server.port, { resp: 3 })
  await client.plain("CLIENT", "TRACKING", "ON")
  await client.plain("MGET", "a", "b")
  await server.execute("CONFIG", "SET", "tracking-table-max-keys", "1")
  expect(await push(client)).toEqual(["invalidate", ["a"]])
  expect(server.server.engine.tracking.keyCount).toBe(1)
})

test("the table is bounded, and nothing stays behind", async () => {
  await using server = await createServer({ config: { "tracking-table-max-keys": 10 } })
  {
    await using client = await Client.connect(server.port, { resp: 3 })
    await client.plain("CLIENT", "TRACKING", "ON")
    for (let i = 0; i < 100; i++) await client.plain("GET", `k${i}`)
    await until(() => server.server.engine.tracking.keyCount <= 10, { what: "keys to be given up" })
  }
  await until(() => server.server.engine.tracking.clientCount === 0, { what: "the client to be forgotten" })
  expect(server.server.engine.tracking.keyCount).toBe(0)
  expect(server.server.engine.keyspace.events.interested).toBe(false)
})
