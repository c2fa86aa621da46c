import { describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer, ManualClock } from "../../src/index.ts"
import { Arguments } from "../../src/resp/arguments.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { Random, runSeed } from "../support/random.ts"
import { play } from "./stage.ts"

describe("waiting as redis-server does it", () => {
  play("first come, first served", async s => {
    for (const name of ["a", "b", "c"]) await s.begin(name, "BLPOP", "k", "0")
    await s.run("x", "RPUSH", "k", "1", "2")
    await s.end("a")
    await s.end("b")
    await s.begin("a", "BRPOP", "k", "0")
    await s.run("x", "LPUSH", "k", "3", "4", "5")
    await s.end("c")
    await s.end("a")
    await s.run("x", "LRANGE", "k", "0", "-1")
  })

  play("several keys, one of them twice", async s => {
    await s.begin("a", "BLPOP", "k1", "k2", "k1", "k3", "0")
    await s.begin("b", "BLPOP", "k2", "0")
    await s.run("x", "RPUSH", "k2", "1")
    await s.end("a")
    await s.run("x", "RPUSH", "k1", "2")
    await s.run("x", "RPUSH", "k2", "3")
    await s.end("b")
    await s.run("x", "KEYS", "*")
  })

  play("BLMOVE feeds the next one, and a chain ends where nobody waits", async s => {
    await s.begin("a", "BLMOVE", "k1", "k2", "LEFT", "RIGHT", "0")
    await s.begin("b", "BLMOVE", "k2", "k3", "LEFT", "RIGHT", "0")
    await s.begin("c", "BRPOPLPUSH", "k3", "k4", "0")
    await s.begin("d", "BLMPOP", "0", "2", "k5", "k4", "LEFT", "COUNT", "5")
    await s.run("x", "RPUSH", "k1", "v")
    for (const name of ["a", "b", "c", "d"]) await s.end(name)
    await s.run("x", "DBSIZE")
    await s.begin("a", "BLMOVE", "k1", "k1", "LEFT", "RIGHT", "0")
    await s.run("x", "RPUSH", "k1", "v")
    await s.end("a")
    await s.run("x", "LRANGE", "k1", "0", "-1")
  })

  play("a destination of the wrong type: an error for this one, the element for the next", async s => {
    await s.run("x", "SET", "string", "v")
    await s.begin("a", "BLMOVE", "k", "string", "LEFT", "LEFT", "0")
    await s.begin("b", "BLPOP", "k", "0")
    await s.run("x", "RPUSH", "k", "v")
    await s.end("a")
    await s.end("b")
  })

  play("keys of other types are not meant", async s => {
    await s.begin("a", "BLPOP", "k", "0")
    await s.run("x", "SET", "k", "v")
    await s.run("x", "DEL", "k")
    await s.run("x", "ZADD", "k", "1", "m")
    await s.run("x", "DEL", "k")
    await s.run("x", "SADD", "k", "m")
    await s.pipeline("x", [["MULTI"], ["DEL", "k"], ["RPUSH", "k", "list"], ["EXEC"]])
    await s.end("a")
  })

  play("a transaction is served when it is over", async s => {
    await s.begin("a", "BLPOP", "k", "0")
    await s.begin("b", "BRPOP", "k", "0")
    await s.pipeline("x", [["MULTI"], ["RPUSH", "k", "1"], ["LLEN", "k"], ["DEL", "k"], ["EXEC"]])
    await s.pipeline("x", [["MULTI"], ["RPUSH", "k", "1"], ["RPUSH", "k", "2", "3"], ["LLEN", "k"], ["EXEC"]])
    await s.end("a")
    await s.end("b")
    await s.run("x", "LRANGE", "k", "0", "-1")
  })

  play("keys that come by other ways", async s => {
    await s.run("x", "RPUSH", "src", "1")
    await s.begin("a", "BLPOP", "k", "0")
    await s.run("x", "RENAME", "src", "k")
    await s.end("a")
    await s.run("x", "RPUSH", "src", "1")
    await s.begin("a", "BLPOP", "k", "0")
    await s.run("x", "COPY", "src", "k")
    await s.end("a")
    await s.begin("a", "BLPOP", "k", "0")
    await s.run("x", "SORT", "src", "STORE", "k")
    await s.end("a")
    await s.begin("a", "BLPOP", "k", "0")
    await s.pipeline("x", [
      ["SELECT", "1"],
      ["RPUSH", "k", "moved"],
      ["MOVE", "k", "0"],
      ["SELECT", "0"],
    ])
    await s.end("a")
    await s.begin("a", "BLPOP", "k", "0")
    await s.pipeline("x", [
      ["SELECT", "1"],
      ["RPUSH", "k", "swapped"],
      ["SWAPDB", "0", "1"],
      ["SELECT", "0"],
    ])
    await s.end("a")
  })

  play("what a client sends while it waits is run afterwards, in order", async s => {
    await s.begin("a", "BLPOP", "k", "0")
    const a = await s.client("a")
    a.sendCommand("SET", "after", "1")
    a.sendCommand("RPUSH", "k", "own")
    a.sendCommand("BLPOP", "k", "0")
    a.sendCommand("BLPOP", "k", "0")
    a.sendCommand("GET", "after")
    await s.run("x", "GET", "after")
    await s.run("x", "RPUSH", "k", "1")
    for (let i = 0; i < 4; i++) await s.end("a")
    await s.run("x", "RPUSH", "k", "2")
    await s.end("a")
    await s.end("a")
  })

  play("a pipeline that blocks in its middle", async s => {
    await s.begin("x", "BLPOP", "start", "0")
    const a = await s.client("a")
    await s.client("a").then(c => c.plain("PING"))
    for (const command of [["RPUSH", "start", "go"], ["BLPOP", "k", "0"], ["RPUSH", "done", "1"], ["PING"]]) {
      a.sendCommand(...command)
    }
    await s.end("a")
    await s.end("x")
    await s.untilBlocked(1)
    await s.run("x", "EXISTS", "done")
    await s.run("x", "RPUSH", "k", "v")
    for (let i = 0; i < 3; i++) await s.end("a")
  })

  play("timeouts", async s => {
    await s.run("a", "BLPOP", "k", "0.01")
    await s.run("a", "BLMOVE", "k", "d", "LEFT", "LEFT", "0.01")
    await s.run("a", "BRPOPLPUSH", "k", "d", "0.01")
    await s.run("a", "BLMPOP", "0.01", "1", "k", "LEFT")
    await s.run("a", "BLPOP", "k", "-1")
    await s.run("a", "BLPOP", "k", "x")
    await s.begin("b", "BLPOP", "k", "0")
    await s.run("a", "BLPOP", "k", "0.02")
    await s.run("x", "RPUSH", "k", "v")
    await s.end("b")
  })

  play("CLIENT UNBLOCK", async s => {
    const id = await s.id("a")
    await s.run("x", "CLIENT", "UNBLOCK", id)
    for (const how of [[], ["TIMEOUT"], ["error"]]) {
      await s.begin("a", "BLPOP", "k", "0")
      await s.run("x", "CLIENT", "UNBLOCK", id, ...how)
      await s.end("a")
    }
    await s.run("x", "CLIENT", "UNBLOCK", id)
    await s.run("x", "CLIENT", "UNBLOCK", "x")
    await s.run("x", "CLIENT", "UNBLOCK", id, "NONSENSE")
    await s.run("x", "CLIENT", "UNBLOCK", id, "ERROR", "MORE")
    await s.run("x", "CLIENT", "UNBLOCK")
    await s.begin("a", "BLPOP", "k", "0")
    await s.pipeline("x", [["MULTI"], ["RPUSH", "k", "1"], ["CLIENT", "UNBLOCK", id], ["EXEC"], ["LLEN", "k"]])
    await s.end("a")
  })

  play("clients that go while they wait", async s => {
    for (const name of ["a", "b", "c"]) await s.begin(name, "BLPOP", "k", "0")
    s.leave("b")
    await s.untilBlocked(2)
    await s.run("x", "RPUSH", "k", "1", "2", "3")
    await s.end("a")
    await s.end("c")
    await s.run("x", "LRANGE", "k", "0", "-1")
    await s.begin("a", "BLPOP", "k2", "0")
    const id = await s.id("c")
    await s.begin("c", "BLPOP", "k2", "0")
    await s.run("x", "CLIENT", "KILL", "ID", id)
    await s.untilBlocked(1)
    await s.run("x", "RPUSH", "k2", "1", "2")
    await s.end("a")
    await s.run("x", "LRANGE", "k2", "0", "-1")
  })

  play("a key that has an expiry", async s => {
    await s.begin("a", "BLPOP", "k", "0")
    await s.pipeline("x", [["MULTI"], ["RPUSH", "k", "1"], ["PEXPIRE", "k", "0"], ["EXEC"]])
    await s.run("x", "RPUSH", "k", "2")
    await s.end("a")
  })

  play("CLIENT REPLY SKIP and OFF", async s => {
    const a = await s.client("a")
    a.sendCommand("CLIENT", "REPLY", "SKIP")
    await s.begin("a", "BLPOP", "k", "0")
    await s.run("x", "RPUSH", "k", "1", "2")
    await s.run("a", "LPOP", "k")
    a.sendCommand("CLIENT", "REPLY", "OFF")
    await s.begin("a", "BLPOP", "k", "0")
    await s.run("x", "RPUSH", "k", "1", "2")
    await s.run("a", "CLIENT", "REPLY", "ON")
    await s.run("a", "LPOP", "k")
  })
})

/** Waiting clients, counted as the server has them. */
async function waiters(server: EmbeddedServer, count: number, ...command: (string | number)[]): Promise<Client[]> {
  const { blocking } = server.server.engine
  const clients: Client[] = []
  const before = blocking.size
  for (let i = 0; i < count; i++) {
    const client = await Client.connect(server.port)
    client.sendCommand(...command)
    clients.push(client)
    if (i % 100 === 99 || i === count - 1) await until(() => blocking.size === before + i + 1, { intervalMs: 1 })
  }
  return clients
}

describe("no trace is left", () => {
  function counters(server: EmbeddedServer) {
    const { blocking, keyspace } = server.server.engine
    return {
      waits: blocking.size,
      timed: blocking.timedSize,
      keys: blocking.keyCount,
      needing: blocking.keyCountNeedingKey,
      interested: keyspace.events.interested,
    }
  }
  const none = { waits: 0, timed: 0, keys: 0, needing: 0, interested: false }

  test("after being served, timing out, disconnecting, being killed", async () => {
    const clock = new ManualClock(1_700_000_000_000)
    await using server = await createServer({ clock })
    const { engine, cron } = server.server

    const [served] = await waiters(server, 1, "BLPOP", "k1", "k2", 10)
    expect(counters(server)).toEqual({ waits: 1, timed: 1, keys: 2, needing: 0, interested: true })
    await server.execute("RPUSH", "k2", "v")
    expect(await served!.readReply().then(String)).toBeDefined()
    expect(counters(server)).toEqual(none)

    const [late] = await waiters(server, 1, "BLPOP", "k1", "k2", 10)
    clock.advance(9_999)
    cron.tick()
    expect(counters(server).waits).toBe(1)
    clock.advance(1)
    cron.tick()
    expect(counters(server)).toEqual(none)
    expect((await late!.readReply()).type).toBe("null")

    const [gone] = await waiters(server, 1, "BLPOP", "k1", "k2", 10)
    gone!.close()
    await until(() => engine.blocking.size === 0)
    expect(counters(server)).toEqual(none)

    const [halfClosed] = await waiters(server, 1, "BLPOP", "k1", 0)
    halfClosed!.end()
    await until(() => engine.blocking.size === 0)
    expect(counters(server)).toEqual(none)

    const [killed] = await waiters(server, 1, "BLPOP", "k1", 0)
    await server.execute("CLIENT", "KILL", "TYPE", "normal")
    await killed!.closed
    expect(counters(server)).toEqual(none)

    const all = await waiters(server, 3, "BLPOP", "k1", 0)
    engine.blocking.unblockAll("UNBLOCKED force unblock from blocking operation, instance state changed", true)
    for (const client of all) {
      expect((await client.readReply()).type).toBe("error")
      await client.closed
    }
    expect(counters(server)).toEqual(none)
  })

  test("of clients that disconnect in random order", async () => {
    console.log(`seed ${runSeed}`)
    const random = new Random()
    await using server = await createServer()
    const { engine } = server.server
    const clients: Client[] = []
    for (let i = 0; i < 200; i++) {
      const keys = Array.from({ length: 1 + random.below(4) }, () => `k${random.below(20)}`)
      clients.push(...(await waiters(server, 1, "BLPOP", ...keys, random.below(2) * 1000)))
    }
    let expected = clients.length
    while (clients.length > 0) {
      const [client] = clients.splice(random.below(clients.length), 1)
      client!.close()
      expected--
      await until(() => engine.blocking.size <= expected, { intervalMs: 0 })
    }
    expect(counters(server)).toEqual(none)
  })
})

test("ten thousand waiters: served in order, each with one element", async () => {
  await using server = await createServer()
  const { engine } = server.server
  const order: number[] = []
  // Without sockets, so that the number of open files does not matter.
  const count = 10_000
  for (let i = 0; i < count; i++) {
    const client = engine.clients.create()
    client.transport = {
      write: (_bytes, _start, length) => {
        order.push(i)
        return length
      },
      end() {},
      terminate() {},
      pause() {},
      resume() {},
      remoteAddress: "?",
      localAddress: "?",
      fd: -1,
      isUnix: false,
    }
    engine.output.open(client)
    const args = new Arguments()
    args.assign(["BLPOP", "k", i % 2 === 0 ? "0" : "1000"])
    engine.execute(client, args)
    engine.output.open(undefined)
  }
  expect(engine.blocking.size).toBe(count)
  expect(engine.blocking.timedSize).toBe(count / 2)
  await server.execute("RPUSH", "k", "only")
  expect(order).toEqual([0])
  const elements = Array.from({ length: count }, (_, i) => String(i))
  await server.execute("RPUSH", "k", ...elements)
  expect(order).toEqual(Array.from({ length: count }, (_, i) => i))
  expect(engine.blocking.size).toBe(0)
  expect(await server.execute("LLEN", "k")).toBe(1)
})

describe("WAITAOF", () => {
  test("waits for the file, or not at all", async () => {
    await using server = await createServer()
    const { engine, cron } = server.server
    expect(await server.execute("WAITAOF", 0, 0, 0)).toEqual([0, 0])
    expect(await server.execute("WAITAOF", 1, 0, 0)).toEqual({
      error: "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
    })
    expect(await server.execute("WAITAOF", 2, 0, 0)).toHaveProperty("error")
    expect(await server.execute("WAITAOF", 0, -1, 0)).toHaveProperty("error")
    expect(await server.execute("WAITAOF", 0, 0, "x")).toHaveProperty("error")
    expect(await server.execute("WAITAOF", 0, 1, 5)).toEqual([0, 0])

    engine.config.load("appendonly", ["yes"])
    const file = { takenBytes: 100, syncedBytes: 90 }
    engine.acknowledgements.local = file
    await using client = await Client.connect(server.port)
    client.sendCommand("WAITAOF", 1, 0, 0)
    await until(() => engine.blocking.size === 1)
    engine.acknowledgements.advanced()
    cron.tick()
    expect(engine.blocking.size).toBe(1)
    file.takenBytes = 200
    file.syncedBytes = 100
    engine.acknowledgements.advanced()
    expect(await client.readReply()).toMatchObject({ type: "array", items: [{ value: 1 }, { value: 0 }] })
    expect(engine.blocking.size).toBe(0)
  })
})

describe("WAIT", () => {
  test("waits for replicas, as many as there are", async () => {
    await using server = await createServer()
    const { engine } = server.server
    const { acknowledgements } = engine
    let offset = 10
    let replicas = [0, 0]
    acknowledgements.replicaOffset = () => offset
    acknowledgements.receivedBy = until => replicas.filter(received => received >= until).length
    await using client = await Client.connect(server.port)
    client.sendCommand("WAIT", 2, 0)
    await until(() => engine.blocking.size === 1)
    offset = 20
    replicas = [10, 9]
    acknowledgements.advanced()
    expect(engine.blocking.size).toBe(1)
    replicas = [10, 10]
    acknowledgements.advanced()
    expect(await client.readReply()).toMatchObject({ value: 2 })
    expect(await client.plain("WAIT", 2, 5)).toBe(0)
    replicas = [20, 10]
    expect(await client.plain("WAIT", 2, 5)).toBe(1)
    expect(await client.plain("WAIT", 1, 0)).toBe(1)
    await client.call("MULTI")
    await client.call("WAIT", 2, 0)
    expect(await client.plain("EXEC")).toEqual([1])
    engine.config.load("replicaof", ["127.0.0.1", "1"])
    expect(await client.plain("WAIT", 0, 0)).toMatchObject({ error: expect.stringContaining("replica instances") })
  })
})

describe("streams", () => {
  const text = async (client: Client) => Buffer.from(await client.readRaw()).toString("latin1")

  test("a reader of a group is told when its key or group is gone", async () => {
    await using server = await createServer()
    const { blocking } = server.server.engine
    for (const end of [
      ["DEL", "s"],
      ["XGROUP", "DESTROY", "s", "g"],
      ["SET", "s", "v"],
      ["FLUSHALL"],
      ["RENAME", "s", "t"],
      ["SWAPDB", "0", "1"],
      ["PEXPIRE", "s", "-1"],
    ]) {
      await server.execute("FLUSHALL")
      await server.execute("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
      const [reader] = await waiters(server, 1, "XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
      expect(blocking.keyCountNeedingKey).toBe(1)
      await server.execute(...end)
      expect((await reader!.readReply()).type).toBe("error")
      expect([blocking.size, blocking.keyCountNeedingKey]).toEqual([0, 0])
      reader!.close()
    }
  })

  test("one entry for each reader of a group, in order; every plain reader gets all", async () => {
    await using server = await createServer()
    const { blocking } = server.server.engine
    await server.execute("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    const group = await waiters(server, 3, "XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
    const plain = await waiters(server, 3, "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    const later = await waiters(server, 1, "XREAD", "BLOCK", 0, "STREAMS", "s", "2-0")
    await server.execute("XADD", "s", "1-0", "f", "v")
    for (const reader of plain) expect(await text(reader)).toContain("1-0")
    expect(await text(group[0]!)).toContain("1-0")
    expect(blocking.size).toBe(3)
    await server.execute("XADD", "s", "2-0", "f", "v")
    await server.execute("XADD", "s", "3-0", "f", "v")
    expect(await text(group[1]!)).toContain("2-0")
    expect(await text(group[2]!)).toContain("3-0")
    expect(await text(later[0]!)).toContain("3-0")
    expect(blocking.size).toBe(0)
    for (const client of [...group, ...plain, ...later]) client.close()
  })
})

test("a call that waits is counted when it is over, and how long it took", async () => {
  await using server = await createServer()
  const { engine } = server.server
  const { registry } = engine
  const blpop = registry.find("blpop")!
  await using waiter = await Client.connect(server.port)
  await using other = await Client.connect(server.port)
  const id = String(await waiter.plain("CLIENT", "ID"))
  const begin = async (): Promise<void> => {
    waiter.sendCommand("BLPOP", "k", "0")
    await until(() => engine.blocking.size === 1, { what: "the client to wait" })
  }
  const counts = () => [blpop.calls, blpop.rejectedCalls, blpop.failedCalls]
  await begin()
  expect(counts()).toEqual([0, 0, 0])
  expect(blpop.usec).toBe(0)
  expect(String(await other.plain("INFO", "latencystats"))).not.toContain("blpop")
  await other.plain("SET", "k", "of another type")
  await other.plain("DEL", "k")
  expect(counts()).toEqual([0, 0, 0])
  await other.plain("RPUSH", "k", "v")
  await waiter.readReply()
  expect(counts()).toEqual([1, 0, 0])
  expect(blpop.usec).toBeGreaterThan(0)
  expect(String(await other.plain("INFO", "latencystats"))).toContain("blpop")
  await begin()
  await other.plain("CLIENT", "UNBLOCK", id)
  await waiter.readReply()
  expect(counts()).toEqual([2, 0, 0])
  await begin()
  await other.plain("CLIENT", "UNBLOCK", id, "ERROR")
  await waiter.readReply()
  expect(counts()).toEqual([3, 0, 1])
  await begin()
  await other.plain("ACL", "SETUSER", "default", "-blpop")
  await other.plain("RPUSH", "k", "v")
  expect(await waiter.readReply()).toMatchObject({ type: "error" })
  expect(counts()).toEqual([3, 1, 1])
})
