import { describe, expect, test } from "bun:test"
import { readdirSync } from "node:fs"
import { describeClient } from "../../src/engine/client-description.ts"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"

const MIB = 1024 * 1024

async function start(config: Record<string, string> = {}) {
  const log: string[] = []
  const server = await createServer({ log: (_level, message) => log.push(message), config: { maxclients: 5000 } })
  for (const [name, value] of Object.entries(config)) {
    const reply = await server.execute("CONFIG", "SET", name, value)
    if (reply !== "OK") throw new Error(`${name}: ${JSON.stringify(reply)}`)
  }
  const { engine } = server.server
  return {
    server,
    engine,
    log,
    /** A field of INFO. */
    info: async (field: string) => {
      const text = String(await server.execute("INFO", "everything"))
      return new RegExp(`^${field}:(.*?)\r?$`, "m").exec(text)?.[1]
    },
    /** A connected client, named. */
    async named(name: string) {
      const client = await Client.connect(server.port)
      await client.call("CLIENT", "SETNAME", name)
      return client
    },
    find: (name: string) => [...engine.clients.byId.values()].find(client => client.name === name),
    [Symbol.asyncDispose]: () => server.close(),
  }
}

/** A client that has asked for more than the kernel takes, and reads nothing. */
async function deaf(it: Awaited<ReturnType<typeof start>>, name: string, replies = 12): Promise<Client> {
  const client = await it.named(name)
  await it.server.execute("SET", "large", "x".repeat(MIB))
  client.pause()
  for (let i = 0; i < replies; i++) client.sendCommand("GET", "large")
  return client
}

describe("client-output-buffer-limit", () => {
  test("hard: a reply above it is not sent, the client is closed", async () => {
    await using it = await start({ "client-output-buffer-limit": "normal 100000 0 0" })
    await using client = await it.named("greedy")
    await it.server.execute("SET", "k", "x".repeat(200_000))
    client.sendCommand("GET", "k")
    await client.closed
    expect(client.unread.replies).toBe(0)
    expect(await it.info("client_output_buffer_limit_disconnections")).toBe("1")
    expect(it.log.join("\n")).toMatch(
      /Client id=\d+ .*name=greedy .* scheduled to be closed ASAP for overcoming of output buffer limits\./,
    )
    await until(() => it.find("greedy") === undefined, { what: "the client to go" })
  })

  test("hard: what waits and what comes count together; subscribers have their own limit", async () => {
    await using it = await start({ "client-output-buffer-limit": "pubsub 3mb 0 0" })
    await using subscriber = await it.named("subscriber")
    await subscriber.call("SUBSCRIBE", "c")
    subscriber.pause()
    const message = "x".repeat(MIB)
    await until(async () => (await it.server.execute("PUBLISH", "c", message)) === 0, { what: "nobody to listen" })
    expect(await it.info("client_output_buffer_limit_disconnections")).toBe("1")
    expect(await it.info("pubsub_channels")).toBe("0")
  })

  test("a transaction is run to its end", async () => {
    await using it = await start({ "client-output-buffer-limit": "normal 100000 0 0" })
    await it.server.execute("SET", "k", "x".repeat(200_000))
    await using client = await it.named("c")
    await client.pipeline([["MULTI"], ["SET", "a", "1"], ["GET", "k"], ["SET", "b", "2"]])
    client.sendCommand("EXEC")
    await client.closed
    expect(await it.server.execute("MGET", "a", "b")).toEqual(["1", "2"])
  })

  test("soft: for so long, then closed, with no traffic at all", async () => {
    await using it = await start({ "client-output-buffer-limit": "normal 0 1mb 10" })
    await using _client = await deaf(it, "slow")
    await until(() => (it.find("slow")?.softLimitSince ?? 0) > 0, { what: "the soft limit to be exceeded" })
    const { softLimitSince } = it.find("slow")!
    it.server.server.cron.tick()
    expect(it.find("slow")?.softLimitSince).toBe(softLimitSince)
    it.find("slow")!.softLimitSince -= 11_000
    it.server.server.cron.tick()
    expect(it.find("slow")).toBeUndefined()
    expect(await it.info("client_output_buffer_limit_disconnections")).toBe("1")
  })

  test("soft: a client that catches up is forgiven", async () => {
    await using it = await start({ "client-output-buffer-limit": "normal 0 1mb 10" })
    await using client = await deaf(it, "slow")
    await until(() => (it.find("slow")?.softLimitSince ?? 0) > 0, { what: "the soft limit to be exceeded" })
    client.resume()
    for (let i = 0; i < 12; i++) expect((await client.readRaw()).length).toBe(MIB + 12)
    it.server.server.cron.tick()
    expect(it.find("slow")?.softLimitSince).toBe(0)
    expect(await client.plain("PING")).toBe("PONG")
  })

  test("a limit below 16 KiB counts as 16 KiB: small replies never close a client", async () => {
    await using it = await start({ "client-output-buffer-limit": "normal 10 0 0" })
    await using client = await it.named("c")
    await client.call("SET", "k", "x".repeat(16_000))
    expect(String(await client.plain("GET", "k")).length).toBe(16_000)
    await client.call("APPEND", "k", "x".repeat(1000))
    client.sendCommand("GET", "k")
    await client.closed
    expect(await it.info("client_output_buffer_limit_disconnections")).toBe("1")
  })

  test("a lower limit holds for what waits already", async () => {
    await using it = await start()
    await using _client = await deaf(it, "slow")
    await until(() => (it.find("slow")?.pendingBytes ?? 0) > 2 * MIB, { what: "output to wait" })
    expect(await it.server.execute("CONFIG", "SET", "client-output-buffer-limit", "normal 1mb 0 0")).toBe("OK")
    await until(() => it.find("slow") === undefined, { what: "the client to be closed" })
  })
})

describe("maxmemory-clients", () => {
  /** A client that has sent so much of a request. */
  async function holding(it: Awaited<ReturnType<typeof start>>, name: string, bytes: number) {
    const client = await it.named(name)
    client.send(`*2\r\n$3\r\nGET\r\n$${bytes + 100}\r\n${"x".repeat(bytes)}`)
    await until(() => (it.find(name)?.queryBytes ?? bytes) >= bytes, { what: "the bytes to arrive" })
    return client
  }

  test("the largest go first, until the rest fits", async () => {
    await using it = await start()
    for (const [name, bytes] of [
      ["a", MIB],
      ["b", 3 * MIB],
      ["c", 2 * MIB],
      ["d", 4 * MIB],
    ] as const) {
      await holding(it, name, bytes)
    }
    expect(await it.server.execute("CONFIG", "SET", "maxmemory-clients", "4mb")).toBe("OK")
    await until(() => it.find("b") === undefined, { what: "clients to be closed" })
    expect(["a", "b", "c", "d"].filter(name => it.find(name) !== undefined)).toEqual(["a", "c"])
    expect(await it.info("evicted_clients")).toBe("2")
    expect(it.log.filter(line => line.startsWith("Evicting client: id=")).length).toBe(2)
    await it.server.execute("CONFIG", "RESETSTAT")
    expect(await it.info("evicted_clients")).toBe("0")
  })

  test("who announces too much is closed before it comes", async () => {
    await using it = await start({ "maxmemory-clients": "1mb" })
    const held = (name: string) => Number(/tot-mem=(\d+)/.exec(describeClient(it.engine, it.find(name)!))?.[1])
    await using modest = await it.named("modest")
    modest.send("*2\r\n$3\r\nGET\r\n$500000\r\nx")
    await until(() => it.find("modest")!.queryBytes > 0, { what: "the bytes to arrive" })
    expect(held("modest")).toBeGreaterThan(500_000)
    await using greedy = await it.named("greedy")
    greedy.send("*2\r\n$3\r\nGET\r\n$2000000\r\nx")
    await greedy.closed
    expect(it.find("modest")).toBeDefined()
    expect(await it.info("evicted_clients")).toBe("1")
    // What is announced and what has come are not counted twice.
    await using whole = await it.named("whole")
    whole.send(`*2\r\n$3\r\nGET\r\n$1000\r\n${"x".repeat(1000)}`)
    await until(() => it.find("whole")!.queryBytes === 1020, { what: "the bytes to arrive" })
    await it.server.execute("CLIENT", "KILL", "ID", String(it.find("modest")!.id))
    await it.server.execute("CONFIG", "SET", "maxmemory-clients", String(held("whole")))
    await it.server.execute("PING")
    expect(it.find("whole")).toBeDefined()
    await it.server.execute("CONFIG", "SET", "maxmemory-clients", String(held("whole") - 1))
    await whole.closed
  })

  test("NO-EVICT is respected", async () => {
    await using it = await start({ "maxmemory-clients": "2mb" })
    await using safe = await it.named("safe")
    await safe.call("CLIENT", "NO-EVICT", "on")
    safe.send(`*2\r\n$3\r\nGET\r\n$4000000\r\n${"x".repeat(3_500_000)}`)
    await until(() => it.find("safe")!.queryBytes > 3_500_000, { what: "the bytes to arrive" })
    await using other = await Client.connect(it.server.port)
    await other.call("PING").catch(() => {})
    await other.closed
    expect(it.find("safe")).toBeDefined()
  })

  test("arguments, queued commands, unread output and subscriptions count", async () => {
    await using it = await start({ "maxmemory-clients": "1mb" })
    const large = "x".repeat(600_000)
    await using one = await it.named("one")
    expect(await one.plain("SET", "k", large)).toBe("OK")
    await one.call("SET", "k", large + large).catch(() => {})
    await one.closed
    expect(await it.server.execute("STRLEN", "k")).toBe(600_000)
    await using two = await it.named("two")
    await two.call("MULTI")
    await two.call("SET", "k", large)
    await two.call("SET", "k", large).catch(() => {})
    await two.closed
    await using three = await deaf(it, "three")
    await until(() => it.find("three") === undefined, { what: "the client to be closed" })
    three.resume()
    await using four = await it.named("four")
    four.send(Array.from({ length: 10_000 }, (_, i) => `SUBSCRIBE channel${i}\r\n`).join(""))
    await four.closed
    expect(await it.info("pubsub_channels")).toBe("0")
    expect(await it.info("evicted_clients")).toBe("4")
  })

  test("a percentage of maxmemory, following both", async () => {
    await using it = await start({ "maxmemory-clients": "50%" })
    await using _client = await holding(it, "c", MIB)
    expect(it.find("c")).toBeDefined()
    expect(await it.server.execute("CONFIG", "SET", "maxmemory", "100mb")).toBe("OK")
    it.server.server.cron.tick()
    expect(it.find("c")).toBeDefined()
    expect(await it.server.execute("CONFIG", "SET", "maxmemory", "1500kb")).toBe("OK")
    await until(() => it.find("c") === undefined, { what: "the client to be closed" })
  })
})

describe("connections that end", () => {
  const states: Record<string, string> = {
    silent: "",
    "after a command": "PING\r\n",
    "within a request": "*3\r\n$3\r\nSET\r\n$1\r\n",
    subscribed: "SUBSCRIBE a b\r\nPSUBSCRIBE x*\r\nSSUBSCRIBE q\r\n",
    waiting: "BLPOP none 0\r\n",
    "waiting, with more to do": "BLPOP none 0\r\nPING\r\nPING\r\n",
    "waiting for a stream": "XREAD BLOCK 0 STREAMS s $\r\n",
    tracking: "CLIENT TRACKING ON\r\nGET a\r\n",
    "tracking prefixes": "CLIENT TRACKING ON BCAST PREFIX a\r\n",
    "in a transaction": "WATCH a b\r\nMULTI\r\nSET a b\r\n",
    monitoring: "MONITOR\r\n",
    "after an error of protocol": "*x\r\n",
    quitting: "QUIT\r\n",
  }

  function openFiles(): number {
    return process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0
  }

  test("in every state and way: nothing is left of them", async () => {
    await using it = await start()
    const before = openFiles()
    for (let round = 0; round < 10; round++) {
      await Promise.all(Object.values(states).map((text, at) => visit(it.server, text, (round + at) % 2 === 0)))
    }
    await until(() => it.engine.clients.size === 0 && openFiles() <= before, { what: "all to be gone" })
    for (const field of ["blocked_clients", "tracking_clients", "pubsub_clients", "watching_clients"]) {
      expect([field, await it.info(field)]).toEqual([field, "0"])
    }
    for (const field of ["total_blocking_keys", "total_watched_keys", "pubsub_channels", "pubsub_patterns"]) {
      expect([field, await it.info(field)]).toEqual([field, "0"])
    }
    expect(it.engine.pubsub.shards.size).toBe(0)
    expect(await it.info("tracking_total_prefixes")).toBe("0")
  })

  /** Connects, says something, and leaves, in good order or not. */
  async function visit(server: EmbeddedServer, text: string, politely: boolean): Promise<void> {
    const client = await Client.connect(server.port)
    client.send(text)
    if (politely) client.end()
    else client.close()
    await client.closed
  }

  test("who has said all still gets all the answers", async () => {
    await using it = await start()
    await using client = await Client.connect(it.server.port)
    await client.call("SET", "k", "x".repeat(5 * MIB))
    for (let i = 0; i < 5; i++) client.sendCommand("GET", "k")
    client.end()
    for (let i = 0; i < 5; i++) expect((await client.readRaw()).length).toBe(5 * MIB + 12)
    await client.closed
    await until(() => it.engine.clients.size === 0, { what: "the client to go" })
  })

  test("who vanishes with much unread", async () => {
    await using it = await start()
    const client = await deaf(it, "slow", 60)
    await until(() => it.find("slow")?.overfull, { what: "the client to be read from no more" })
    client.close()
    await until(() => it.engine.clients.size === 0, { what: "the client to go" })
  })
})

test("the embedding program is not held to the limits of clients", async () => {
  await using it = await start({ "maxmemory-clients": "1mb", "client-output-buffer-limit": "normal 1mb 0 0" })
  expect(await it.server.execute("SET", "k", "x".repeat(3 * MIB))).toBe("OK")
  expect(String(await it.server.execute("GET", "k")).length).toBe(3 * MIB)
})

test("a crowd of idle connections costs little", async () => {
  await using it = await start()
  const count = 2000
  const crowd: Bun.Socket[] = []
  // No more at once than the kernel queues.
  while (crowd.length < count) {
    const connect = () => Bun.connect({ hostname: "127.0.0.1", port: it.server.port, socket: { data() {} } })
    crowd.push(...(await Promise.all(Array.from({ length: 200 }, connect))))
  }
  await until(() => it.engine.clients.size === count, { what: "all to be there" })
  await using client = await Client.connect(it.server.port)
  expect(await client.plain("PING")).toBe("PONG")
  // Idle connections own no buffers.
  for (const one of it.engine.clients.byId.values()) expect(one.queryBytes + one.pending.length).toBe(0)
  for (const socket of crowd) socket.terminate()
  await until(() => it.engine.clients.size === 1, { what: "the crowd to go" })
})

test("tcp-keepalive may be longer than the kernel takes", async () => {
  await using server = await createServer({ config: { "tcp-keepalive": 2 ** 31 - 1 } })
  await using client = await Client.connect(server.port)
  expect(await client.plain("PING")).toBe("PONG")
})

test("qbuf of a long argument is what has come of it; of a short one all that waits", async () => {
  await using it = await start()
  const qbuf = async (name: string) => {
    const line = String(await it.server.execute("CLIENT", "LIST")).split("\n")
    return Number(/ qbuf=(\d+) /.exec(line.find(text => text.includes(` name=${name} `)) ?? "")?.[1])
  }
  await using long = await it.named("long")
  long.send(`*2\r\n$3\r\nGET\r\n$300000\r\n${"x".repeat(200_000)}`)
  await until(async () => (await qbuf("long")) === 200_000, { what: "the bytes to arrive" })
  await using short = await it.named("short")
  short.send(`*2\r\n$3\r\nGET\r\n$3000\r\n${"x".repeat(2000)}`)
  await until(async () => (await qbuf("short")) === 2020, { what: "the bytes to arrive" })
})
