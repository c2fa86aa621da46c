/** What replication's commands answer, the gates it puts up, and what it tells of itself. */
import { describe, expect, test } from "bun:test"
import { existsSync, readdirSync } from "node:fs"
import { EngineCondition } from "../../src/engine/engine.ts"
import { type Clock, systemClock } from "../../src/keyspace/clock.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { breakLink, expectEqualData, inSync, startFollowing, startNode } from "./kit.ts"

const error = (text: string) => ({ error: text })

describe("REPLCONF", () => {
  test("what is understood, and what is not", async () => {
    await using node = await startNode()
    expect(await node.call("REPLCONF")).toBe("OK")
    expect(await node.call("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "unheard-of")).toBe("OK")
    expect(await node.call("REPLCONF", "listening-port", "6380", "ip-address", "1.2.3.4")).toBe("OK")
    expect(await node.call("REPLCONF", "capa")).toEqual(error("ERR syntax error"))
    expect(await node.call("REPLCONF", "listening-port", "x")).toEqual(
      error("ERR value is not an integer or out of range"),
    )
    expect(await node.call("REPLCONF", "x", "y")).toEqual(error("ERR Unrecognized REPLCONF option: x"))
    expect(await node.call("REPLCONF", "rdb-only", "2")).toEqual(
      error("ERR value is out of range, must be between 0 and 1"),
    )
    expect(await node.call("REPLCONF", "rdb-filter-only", "keys")).toEqual(
      error("ERR Unsupported rdb-filter-only option: keys"),
    )
    // Neither of these is answered: the one reply is PING's.
    const [reply] = await node.client.pipeline([["PING"]])
    expect(Buffer.from(reply!).toString()).toBe("+PONG\r\n")
  })

  test("rdb-only: the snapshot, then goodbye; filters leave the keys out", async () => {
    await using node = await startNode()
    await node.call("SET", "k", "v")
    for (const filter of [[], ["rdb-filter-only", "functions"]]) {
      const received: Buffer[] = []
      const { promise: closed, resolve } = Promise.withResolvers<void>()
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port: node.port,
        socket: { data: (_, chunk) => void received.push(Buffer.from(chunk)), close: () => resolve() },
      })
      const say = (words: string[]) => socket.write(`${words.join(" ")}\r\n`)
      say(["REPLCONF", "capa", "eof", "rdb-only", "1", ...filter])
      await until(() => Buffer.concat(received).includes("+OK"))
      say(["SYNC"])
      await closed
      const text = Buffer.concat(received).toString("latin1")
      expect(text).toMatch(/^\+OK\r\n\$EOF:[0-9a-f]{40}\r\nREDIS/)
      expect(text.includes("k\x01v")).toBe(filter.length === 0)
      const mark = text.slice(text.indexOf("EOF:") + 4, text.indexOf("EOF:") + 44)
      expect(text.endsWith(mark)).toBe(true)
    }
  })
})

describe("PSYNC and SYNC", () => {
  test("are refused where nothing good could come of them", async () => {
    await using node = await startNode()
    expect(await node.call("PSYNC", "?", "x")).toEqual(error("ERR value is not an integer or out of range"))
    expect(await node.call("PSYNC", "a".repeat(40), "1", "FAILOVER")).toEqual(
      error("ERR PSYNC FAILOVER can't be sent to a master."),
    )
    expect(await node.call("MULTI")).toBe("OK")
    expect(await node.call("SYNC")).toEqual(error("ERR Command not allowed inside a transaction"))
    expect(await node.call("DISCARD")).toBe("OK")
    expect(await node.call("REPLICAOF", "127.0.0.1", "1")).toBe("OK")
    expect(await node.call("PSYNC", "?", "-1")).toEqual(
      error("NOMASTERLINK Can't SYNC while not connected with my master"),
    )
    expect(await node.call("REPLICAOF", "host", "70000")).toEqual(error("ERR Invalid master port"))
  })

  test("a replica that asks for data is sent away", async () => {
    await using node = await startNode()
    await using replica = await Client.connect(node.port)
    await replica.raw("REPLCONF", "capa", "eof")
    for (const command of ["GET k", "SLOWLOG GET", "PING"]) {
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port: node.port,
        socket: { data: () => {}, close: () => {} },
      })
      socket.write("SYNC\r\n")
      await until(() => node.replication.replicas.all.size === 1)
      socket.write(`${command}\r\n`)
      await until(() => node.replication.replicas.all.size === 0)
    }
    expect(node.logged("Replica generated a reply to command 'ping', disconnecting it")).toBe(true)
  })

  test("of several commands that a replica sends the one that is answered is named, and the last", async () => {
    await using node = await startNode()
    for (const [first, name] of [
      ["TIME", "time"],
      ["GET", "get"],
      ["GET k", "get"],
      ["NOSUCH", "<unknown>"],
      ["CLIENT NOSUCH", "<unknown>"],
    ]) {
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port: node.port,
        socket: { data: () => {}, close: () => {} },
      })
      const { replicas } = node.replication
      socket.write("SYNC\r\n")
      await until(() => [...replicas.all][0]?.state === "online")
      socket.write(`REPLCONF ACK 0\r\n${first}\r\nCONFIG SET hz 77\r\nREPLCONF ACK 0\r\n`)
      await until(() => replicas.all.size === 0)
      const lines = node.log.filter(line => line.includes("Replica generated a reply"))
      expect(lines.at(-1)).toContain(`to command '${name}', disconnecting it`)
    }
    expect((await node.info("server")).configured_hz).toBe("10")
  })
})

test("a replica that is loading shows with newlines that it is there", async () => {
  await using node = await startNode()
  const socket = await Bun.connect({ hostname: "127.0.0.1", port: node.port, socket: { data: () => {} } })
  socket.write("SYNC\r\n")
  const { replicas } = node.replication
  await until(() => [...replicas.all][0]?.state === "online")
  const [replica] = replicas.all
  replica!.ackAt -= 5000
  replica!.client.seenAt -= 5000
  expect(replicas.lagSeconds(replica!)).toBeGreaterThanOrEqual(5)
  socket.write("\n")
  await until(() => replicas.lagSeconds(replica!) < 5)
  socket.terminate()
})

describe("gates", () => {
  test("min-replicas-to-write", async () => {
    await using master = await startNode({ "min-replicas-to-write": "1" })
    const refused = error("NOREPLICAS Not enough good replicas to write.")
    expect(await master.call("SET", "k", "v")).toEqual(refused)
    await master.call("MULTI")
    expect(await master.call("SET", "k", "v")).toEqual(refused)
    await master.call("DISCARD")
    expect(await master.call("GET", "k")).toBe(null)
    {
      await using replica = await startFollowing(master)
      expect(await master.call("SET", "k", "v")).toBe("OK")
      expect((await master.info()).min_slaves_good_slaves).toBe("1")
      void replica
    }
    await until(() => master.replication.replicas.all.size === 0)
    expect(await master.call("SET", "k", "v")).toEqual(refused)
    await master.call("CONFIG", "SET", "min-replicas-to-write", "0")
    expect(await master.call("SET", "k", "v")).toBe("OK")
  })

  test("stale data, read-only and writable replicas", async () => {
    await using master = await startNode()
    await using replica = await startFollowing(master)
    expect(await replica.call("DEL", "k")).toEqual(error("READONLY You can't write against a read only replica."))
    await replica.call("CONFIG", "SET", "replica-read-only", "no")
    expect(await replica.call("SET", "own", "v")).toBe("OK")
    await replica.call("CONFIG", "SET", "replica-serve-stale-data", "no")
    expect(await replica.call("GET", "own")).toBe("v")
    replica.replication.link.port = 1
    await breakLink(replica)
    const stale = error("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")
    expect(await replica.call("GET", "own")).toEqual(stale)
    expect(await replica.call("PING")).toEqual(stale)
    expect(await replica.call("INFO", "server")).toContain("redis_version")
    expect(await replica.call("REPLICAOF", "NO", "ONE")).toBe("OK")
    expect(await replica.call("GET", "own")).toBe("v")
  })
})

describe("expiry on replicas", () => {
  test("keys are gone for readers when their time is up, and deleted by the master", async () => {
    await using master = await startNode()
    await using replica = await startFollowing(master)
    await master.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    await master.call("SET", "k", "v", "PX", "20")
    await inSync(master, replica)
    await until(async () => (await replica.call("GET", "k")) === null)
    expect(await replica.call("DBSIZE")).toBe(1)
    expect(await replica.call("TTL", "k")).toBe(-2)
    expect(await replica.call("EXISTS", "k")).toBe(0)
    expect(await replica.call("SCAN", "0")).toEqual(["0", []])
    // The master has not noticed yet; when it does, it says so.
    expect(await master.call("GET", "k")).toBe(null)
    await inSync(master, replica)
    expect(await replica.call("DBSIZE")).toBe(0)
  })

  test("what the master does to a key counts, whatever the replica's clock says", async () => {
    await using master = await startNode()
    let aheadMs = 0
    const clock: Clock = Object.assign(Object.create(systemClock), { wall: () => systemClock.wall() + aheadMs })
    await using replica = await startNode({}, clock)
    await replica.follow(master)
    await master.call("SET", "counter", "1", "PX", "100000")
    await inSync(master, replica)
    aheadMs = 200_000
    await master.call("INCR", "counter")
    await inSync(master, replica)
    expect(await replica.call("GET", "counter")).toBe(null)
    aheadMs = 0
    expect(await replica.call("GET", "counter")).toBe("2")
  })

  test("a writable replica deletes the keys that only it knows", async () => {
    await using master = await startNode()
    await using replica = await startFollowing(master, { "replica-read-only": "no" })
    await replica.call("SET", "own", "v", "PX", "10")
    await replica.call("SET", "kept", "v", "PX", "100000")
    await replica.call("PERSIST", "kept")
    expect((await replica.info("stats")).slave_expires_tracked_keys).toBe("1")
    await until(async () => (await replica.call("DBSIZE")) === 1)
    expect((await replica.info("stats")).slave_expires_tracked_keys).toBe("0")
  })
})

describe("WAIT", () => {
  test("counts the replicas that have it all", async () => {
    await using master = await startNode()
    await using a = await startFollowing(master)
    await using b = await startFollowing(master, { appendonly: "yes", appendfsync: "always" })
    await master.call("SET", "k", "v")
    expect(await master.call("WAIT", "2", "5000")).toBe(2)
    expect(await master.call("WAIT", "3", "50")).toBe(2)
    expect(await master.call("WAITAOF", "0", "1", "5000")).toEqual([0, 1])
    expect(await a.call("WAIT", "1", "0")).toHaveProperty("error")
    await master.call("CLIENT", "KILL", "TYPE", "replica")
    await expectEqualData(master, a, b)
  })

  test("what is on a replica's disk of one master's stream does not count for the next master", async () => {
    await using long = await startNode()
    await using replica = await startFollowing(long, { appendonly: "yes", appendfsync: "always" })
    await long.call("SET", "k", "v".repeat(10_000))
    expect(await long.call("WAITAOF", "0", "1", "5000")).toEqual([0, 1])
    await using short = await startNode()
    await replica.follow(short)
    await inSync(short, replica)
    // Its first file of that master's data is there.
    await until(async () => (await replica.info("persistence")).aof_rewrite_in_progress === "0")
    await replica.call("CONFIG", "SET", "appendfsync", "no")
    await short.call("SET", "k", "v")
    expect(await short.call("WAITAOF", "0", "1", "100")).toEqual([0, 0])
  })
})

describe("the append-only file and the stream", () => {
  test("both get what a master does; DEBUG REPLICATE as well", async () => {
    await using master = await startNode({ appendonly: "yes" })
    await using replica = await startFollowing(master)
    await master.call("DEBUG", "REPLICATE", "SET", "k", "v")
    await inSync(master, replica)
    expect(await replica.call("GET", "k")).toBe("v")
    await master.call("CONFIG", "SET", "appendonly", "no")
    await master.call("SET", "a", "b")
    await inSync(master, replica)
    expect(await replica.call("GET", "a")).toBe("b")
  })

  test("the stream counts as buffers of replicas only while there are some", async () => {
    await using master = await startNode({ "repl-backlog-size": "20000" })
    await using replica = await startFollowing(master)
    for (let i = 0; i < 10; i++) await master.call("SET", "k", "x".repeat(5000))
    await inSync(master, replica)
    await replica.call("REPLICAOF", "NO", "ONE")
    await until(() => master.replication.replicas.all.size === 0, { what: "the replica to go" })
    const memory = await master.info("memory")
    expect(Number(memory.mem_replication_backlog)).toBeGreaterThan(20_000)
    expect(memory.mem_clients_slaves).toBe("0")
  })

  test("a script may choose who gets what", async () => {
    await using master = await startNode({ appendonly: "yes" })
    await using replica = await startFollowing(master)
    const script = `redis.call('SET', 'a', '1')
      redis.set_repl(redis.REPL_NONE) redis.call('SET', 'b', '2')
      redis.set_repl(redis.REPL_AOF) redis.call('SELECT', '3') redis.call('SET', 'c', '3')
      redis.set_repl(redis.REPL_REPLICA) redis.call('SET', 'd', '4') redis.call('PUBLISH', 'channel', 'm')
      redis.set_repl(redis.REPL_ALL) redis.call('SELECT', '0') redis.call('SET', 'e', '5')`
    for (let round = 0; round < 3; round++) {
      await master.client.pipeline([
        ["SET", "before", "v"],
        ["EVAL", script, "0"],
        ["SET", "after", `${round}`],
      ])
      await inSync(master, replica)
      expect(await replica.call("MGET", "a", "b", "e", "after")).toEqual(["1", null, "5", `${round}`])
      await replica.call("SELECT", "3")
      expect(await replica.call("MGET", "c", "d")).toEqual([null, "4"])
      await replica.call("SELECT", "0")
    }
    expect(await master.call("DEBUG", "LOADAOF")).toBe("OK")
    expect(await master.call("MGET", "a", "b", "e", "after")).toEqual(["1", null, "5", "2"])
    await master.call("SELECT", "3")
    expect(await master.call("MGET", "c", "d")).toEqual(["3", null])
  })

  test("without replicas the backlog is given up after a while, and with it the history", async () => {
    await using master = await startNode({ "repl-backlog-ttl": "1" })
    const before = master.replication.history.id
    {
      await using replica = await startFollowing(master)
      void replica
    }
    const id = master.replication.history.id
    expect(id).not.toBe(before)
    await until(async () => (await master.info()).repl_backlog_active === "0")
    expect(master.replication.history.id).not.toBe(id)
    expect(master.embedded.server.engine.sinks.length).toBe(0)
    expect(master.embedded.server.engine.propagator.enabled).toBe(false)
  })
})

test("a replica restarts from its snapshot and goes on", async () => {
  await using master = await startNode()
  await using replica = await startFollowing(master)
  await master.call("SELECT", "7")
  await master.call("SET", "k", "v")
  await inSync(master, replica)
  expect(await replica.call("SAVE")).toBe("OK")
  await master.call("SET", "later", "v")
  await using again = await startNode({ dir: replica.dir.path, replicaof: `127.0.0.1 ${master.port}` })
  await expectEqualData(master, again)
  expect((await master.info("stats")).sync_partial_ok).toBe("1")
})

test("a disk that fails does not keep the master's writes out", async () => {
  await using master = await startNode()
  await using replica = await startFollowing(master, { "replica-ignore-disk-write-errors": "yes" })
  const { engine } = replica.replication
  engine.setCondition(EngineCondition.DiskError, true)
  engine.diskError = "MISCONF Errors writing to the AOF file: Input/output error"
  await master.call("SET", "k", "v")
  await expectEqualData(master, replica)
  expect(replica.logged("Replica is applying a command it is unable to write to disk.")).toBe(true)
})

test("files of a sync are removed where nothing else is kept", async () => {
  const config = { "repl-diskless-sync": "no", "rdb-del-sync-files": "yes" }
  await using master = await startNode(config)
  await using replica = await startFollowing(master, config)
  await until(() => !existsSync(master.dir.join("dump.rdb")) && !existsSync(replica.dir.join("dump.rdb")))
  expect(readdirSync(replica.dir.path)).toEqual([])
})

test("limits on clients are not for the master", async () => {
  await using master = await startNode()
  await using replica = await startFollowing(master, { timeout: "1", "maxmemory-clients": "1mb" })
  const { client } = replica.replication.link
  await master.call("SET", "k", "v".repeat(5_000_000))
  await inSync(master, replica)
  // The link would be the first to go: nothing has been heard of it for longer than of our own connection.
  client!.seenAt -= 5000
  await replica.call("PING")
  const ticks = replica.embedded.server.cron.ticks
  await until(() => replica.embedded.server.cron.ticks > ticks + 2)
  expect(replica.replication.link.client).toBe(client!)
})

test("a password, and users", async () => {
  await using master = await startNode({ requirepass: "secret" })
  await using replica = await startNode({ masterauth: "wrong" })
  await replica.follow(master)
  await until(() => replica.logged("Unable to AUTH to MASTER: -WRONGPASS"))
  await replica.call("CONFIG", "SET", "masterauth", "secret")
  await until(() => replica.replication.link.state === "connected")
  await master.call("AUTH", "secret")
  await master.call("ACL", "SETUSER", "copier", "on", ">pw", "+psync", "+replconf", "+ping")
  await using other = await startNode({ masterauth: "pw", masteruser: "copier" })
  await other.follow(master)
  await until(() => other.replication.link.state === "connected")
})
