/** Full syncs by every route, under load; then the same data to the last bit, and the same offset to the byte. */
import { describe, expect, test } from "bun:test"
import { toPlain } from "../../src/resp/reply-decoder.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { Random, runSeed } from "../support/random.ts"
import { expectEqualData, inSync, type Node, startFollowing, startNode } from "./kit.ts"

/** Writes to one database until told to stop. */
class Writer {
  stopped = false
  written = 0
  readonly #random: Random
  readonly #db: number

  constructor(seed: number, db: number) {
    this.#random = new Random(seed + db)
    this.#db = db
  }

  async run(port: number): Promise<void> {
    await using client = await Client.connect(port)
    await client.call("SELECT", this.#db)
    while (!this.stopped) {
      const batch = Array.from({ length: 20 }, () => this.#command())
      await client.pipeline(batch)
      this.written += batch.length
    }
  }

  #command(): string[] {
    const random = this.#random
    const key = (type: string) => type + random.below(60)
    const value = () =>
      random.oneIn(4) ? "v".repeat(random.below(3000)) + random.below(50) : String(random.below(100))
    const set = () => key("set")
    const zset = () => key("zset")
    return random.pick([
      () => ["SET", key("str"), value()],
      () => ["INCR", key("num")],
      () => ["LPUSH", key("list"), value(), value()],
      () => ["RPOP", key("list")],
      () => ["LREM", key("list"), "0", value()],
      () => ["SADD", set(), value()],
      () => ["SPOP", set()],
      () => ["SREM", set(), value()],
      () => ["SUNIONSTORE", set(), set(), set()],
      () => ["SDIFFSTORE", set(), set(), set()],
      () => ["ZADD", zset(), String(random.below(1000) / 7), value()],
      () => ["ZPOPMIN", zset()],
      () => ["ZUNIONSTORE", zset(), "2", zset(), zset()],
      () => ["HSET", key("hash"), value(), value()],
      () => ["HDEL", key("hash"), value()],
      () => ["DEL", key(random.pick(["str", "list", "set", "zset", "hash"]))],
      () => ["XADD", key("stream"), "*", value(), value()],
      () => ["SET", key("str"), value(), "PX", "100000"],
      () => ["INCRBYFLOAT", key("num"), "1.5"],
    ])()
  }
}

async function underLoad(master: Node, seed: number, work: () => Promise<void>): Promise<void> {
  const writers = [9, 11, 12].map(db => new Writer(seed, db))
  const running = writers.map(writer => writer.run(master.port))
  await until(() => writers.every(({ written }) => written > 200))
  await work()
  const before = writers.map(({ written }) => written)
  await until(() => writers.every(({ written }, i) => written > before[i]! + 200))
  for (const writer of writers) writer.stopped = true
  await Promise.all(running)
}

describe("a full sync under load", () => {
  const seed = runSeed
  for (const diskless of ["no", "yes"]) {
    for (const load of ["disabled", "on-empty-db", "swapdb"]) {
      test(`master diskless: ${diskless}, replica diskless: ${load}`, async () => {
        await using master = await startNode({ "repl-diskless-sync": diskless })
        await using replica = await startNode({ "repl-diskless-load": load })
        await using second = await startNode({ "repl-diskless-load": load })
        if (load === "swapdb") await replica.call("SET", "old", "data")
        await underLoad(master, seed, async () => {
          await Promise.all([replica.follow(master), second.follow(master)])
          await until(() => [replica, second].every(({ replication }) => replication.link.state === "connected"))
        })
        await expectEqualData(master, replica, second)
        expect(await replica.call("EXISTS", "old")).toBe(0)
      }, 60_000)
    }
  }
})

describe("what a full sync replaces", () => {
  test("data, functions and all; writes are refused, and the master's file is left behind", async () => {
    await using master = await startNode()
    await master.call("SET", "here", "1")
    await using replica = await startNode()
    await replica.call("SET", "there", "1")
    await replica.follow(master)
    await inSync(master, replica)
    expect(await replica.call("KEYS", "*")).toEqual(["here"])
    expect(await replica.call("SET", "a", "b")).toEqual({
      error: "READONLY You can't write against a read only replica.",
    })
  })

  test("an append-only file begins anew with the master's data", async () => {
    await using master = await startNode()
    await master.call("SET", "here", "1")
    await using replica = await startNode({ appendonly: "yes" })
    await replica.call("SET", "there", "1")
    await replica.follow(master)
    await inSync(master, replica)
    await master.call("INCR", "here")
    await master.call("MULTI")
    await master.call("SET", "x", "1")
    await master.call("SET", "y", "2")
    await master.call("EXEC")
    await inSync(master, replica)
    await until(async () => (await replica.info("persistence")).aof_rewrite_in_progress === "0")
    const digest = await master.digest()
    expect(await replica.call("DEBUG", "LOADAOF")).toBe("OK")
    expect(await replica.digest()).toBe(digest)
  })

  test("a snapshot that is no snapshot: the replica keeps its data, and asks again", async () => {
    let connections = 0
    using listener = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: () => {
          connections++
        },
        data: (socket, chunk) => {
          const text = chunk.toString()
          if (text.includes("PING")) socket.write("+PONG\r\n")
          if (text.includes("capa")) socket.write("+OK\r\n+OK\r\n")
          if (text.includes("PSYNC")) socket.write(`+FULLRESYNC ${"a".repeat(40)} 0\r\n\n$7\r\nREDIS00`)
        },
      },
    })
    await using replica = await startNode()
    await replica.call("SET", "kept", "1")
    await replica.call("REPLICAOF", "127.0.0.1", listener.port)
    await until(() => replica.logged("Internal error in RDB reading"))
    await until(() => connections >= 2)
    await replica.call("REPLICAOF", "NO", "ONE")
    expect(await replica.call("PING")).toBe("PONG")
  })
})

test("several replicas at once share one snapshot", async () => {
  await using master = await startNode({ "repl-diskless-sync-delay": "1", "repl-diskless-sync-max-replicas": "3" })
  await master.call("DEBUG", "POPULATE", "1000", "key", "100")
  await using a = await startNode()
  await using b = await startNode()
  await using c = await startNode()
  const before = master.embedded.server.engine.snapshots.count
  for (const replica of [a, b, c]) await replica.follow(master)
  await expectEqualData(master, a, b, c)
  expect(master.embedded.server.engine.snapshots.count).toBe(before + 1)
  expect((await master.info()).connected_slaves).toBe("3")
})

test("a replica that stops reading holds up the others only until it is gone", async () => {
  await using master = await startNode({
    "repl-diskless-sync-delay": "5",
    "repl-diskless-sync-max-replicas": "2",
    rdbcompression: "no",
  })
  await master.call("DEBUG", "POPULATE", "3000", "key", "10000")
  await using replica = await startNode()
  const stuck = await Bun.connect({
    hostname: "127.0.0.1",
    port: master.port,
    socket: { data: socket => void socket.pause() },
  })
  stuck.write("REPLCONF capa eof\r\n")
  await until(() => master.replication.engine.clients.size === 2)
  stuck.write("SYNC\r\n")
  await replica.follow(master)
  const { snapshots } = master.replication.engine
  await until(() => snapshots.running?.consumer.isFull)
  stuck.terminate()
  await expectEqualData(master, replica)
}, 30_000)

test("FLUSHALL ends a full sync that has become pointless", async () => {
  await using master = await startNode({ "rdb-key-save-delay": "10000" })
  await master.call("DEBUG", "POPULATE", "1000")
  await using replica = await startNode()
  await replica.follow(master)
  await until(() => replica.replication.link.state === "sync")
  await master.call("FLUSHALL")
  await expectEqualData(master, replica)
  expect(master.replication.replicas.fullSyncs).toBe(2)
})

test("a chain: the stream is handed on byte for byte", async () => {
  await using master = await startNode()
  await master.call("SELECT", "3")
  await master.call("SET", "k", "v")
  await using middle = await startFollowing(master)
  await master.call("SET", "before", "v")
  await using last = await startFollowing(master, {}, middle)
  await master.call("SET", "behind", "v")
  await using subscriber = await Client.connect(last.port, { resp: 3 })
  subscriber.sendCommand("SUBSCRIBE", "channel")
  await subscriber.readPush()
  await master.client.pipeline([
    ["PUBLISH", "channel", "1"],
    ["MULTI"],
    ["SET", "with", "v"],
    ["PUBLISH", "channel", "2"],
    ["EXEC"],
  ])
  const pushes = [await subscriber.readPush(), await subscriber.readPush()]
  expect(pushes.map(push => toPlain(push))).toEqual([
    ["message", "channel", "1"],
    ["message", "channel", "2"],
  ])
  await expectEqualData(master, middle, last)
  const infos = await Promise.all([master.info(), middle.info(), last.info()])
  expect(new Set(infos.map(info => info.master_replid)).size).toBe(1)
  expect(new Set(infos.map(info => info.master_repl_offset)).size).toBe(1)
})
