/** A snapshot is the state of one moment, whatever is written while it is encoded, and no step of it is long. */
import { describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer, ManualClock } from "../../src/index.ts"
import { LoadReport } from "../../src/rdb/load.ts"
import { encodeSnapshot, freezeDatabases, SnapshotProgress, snapshotDefaults } from "../../src/rdb/snapshot.ts"
import { PIECE_BYTES, RdbWriter } from "../../src/rdb/writer.ts"
import { CommandGenerator } from "../support/generator.ts"
import { Random } from "../support/random.ts"
import { readFile, saveFile } from "./files.ts"

/** Many keys and members, and long values, so that a snapshot takes many steps. */
const profile = { keys: 40, members: 2000, valueBytesMax: 1500 }
const start = 1_800_000_000_000

const writes = {
  "SET key value": 4,
  "SET key value PX 100000000": 1,
  "APPEND key value": 2,
  "DEL key": 1,
  "RPUSH key value...": 3,
  "LPOP key": 1,
  "LSET key 0 value": 1,
  "SADD key member...": 3,
  "SADD key 'a1' 'a2' 'a3' 'a4'": 1,
  "SREM key member": 1,
  "HSET key (member value)...": 4,
  "HDEL key member": 1,
  "HPEXPIRE key 100000000 FIELDS 1 member": 2,
  "ZADD key (score member)...": 4,
  "ZREM key member": 1,
  "XADD key * (member value)...": 3,
  "XGROUP CREATE key 'g' 0 MKSTREAM": 1,
  "XREADGROUP GROUP 'g' member COUNT 3 STREAMS key >": 2,
  "XDEL key '0-1'": 1,
  "EXPIRE key 100000": 1,
  "RENAME key key": 1,
  "SELECT '0'": 1,
  "SELECT '3'": 1,
  "SWAPDB 0 3": 0.1,
  FLUSHDB: 0.1,
}

/** A server whose small forms end early, so that all forms are there. */
async function startServer(): Promise<EmbeddedServer> {
  return createServer({
    clock: new ManualClock(start),
    config: {
      "enable-debug-command": "yes",
      "hash-max-listpack-entries": 8,
      "zset-max-listpack-entries": 8,
      "set-max-listpack-entries": 8,
      "set-max-intset-entries": 8,
      "list-max-listpack-size": 8,
      "stream-node-max-entries": 8,
    },
  })
}

describe("snapshots", () => {
  test("hold one moment, however much is written meanwhile", async () => {
    const random = new Random()
    await using server = await startServer()
    const generator = new CommandGenerator({ commands: writes, spoilOneIn: 0 })
    const write = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        for (const command of generator.next(random, profile)) await server.execute(...(command as string[]))
      }
    }
    let steps = 0
    for (let round = 0; round < 3; round++) {
      await write(500)
      const digest = await server.execute("DEBUG", "DIGEST")
      const file = await saveFile(server, { between: () => write(++steps % 2), stepBytes: 200 })
      await using other = await startServer()
      const report = readFile(other, file, { chunkBytes: random.between(1, 5000) })
      expect(report.isVerified).toBe(true)
      expect(await other.execute("DEBUG", "DIGEST"), `seed ${random.seed}`).toBe(digest)
    }
    expect(steps).toBeGreaterThan(100)
  })

  test("come in steps, also inside one large value", async () => {
    await using server = await createServer()
    const random = new Random()
    const many = (count: number, make: (i: number) => string[]): string[] =>
      Array.from({ length: count }, (_, i) => make(i)).flat()
    await server.execute("SET", "noise", random.bytes(2_000_000))
    await server.execute("SET", "pattern", "abcdefgh".repeat(300_000))
    await server.execute("RPUSH", "list", ...many(40_000, i => [`element ${i}`]))
    await server.execute("SADD", "set", ...many(40_000, i => [`member ${i}`]))
    await server.execute("HSET", "hash", ...many(40_000, i => [`field ${i}`, `value ${i}`]))
    await server.execute("ZADD", "zset", ...many(40_000, i => [String(i / 7), `member ${i}`]))
    await server.execute("XGROUP", "CREATE", "stream", "group", "0", "MKSTREAM")
    for (let i = 0; i < 20_000; i++) await server.execute("XADD", "stream", `${i + 1}-0`, "f", "v")
    for (let i = 0; i < 200; i++) {
      await server.execute("XREADGROUP", "GROUP", "group", `consumer ${i}`, "COUNT", "100", "STREAMS", "stream", ">")
    }
    const { keyspace, config } = server.server.engine
    keyspace.heap.freeze()
    const writer = new RdbWriter()
    const options = { serverVersion: "7.4.2", usedMemoryBytes: 1, ...snapshotDefaults(keyspace, config) }
    const progress = new SnapshotProgress()
    let longest = 0
    let steps = 0
    for (const _ of encodeSnapshot(freezeDatabases(keyspace), options, writer, progress)) {
      longest = Math.max(longest, writer.length)
      steps++
      writer.take()
    }
    keyspace.heap.thaw()
    expect(progress.keys).toBe(7)
    expect(steps).toBeGreaterThan(40)
    expect(longest).toBeLessThan(2 * PIECE_BYTES)
  })

  test("say what they are", async () => {
    await using server = await createServer({ clock: new ManualClock(start) })
    await server.execute("SET", "a", "1")
    await server.execute("SET", "b", "1", "EX", "100")
    const functions = [Buffer.from("#!lua name=one\n"), Buffer.from(`#!lua name=two\n${"-".repeat(100_000)}\n`)]
    const file = await saveFile(server, {
      snapshot: { isAofBase: true, replication: { id: "f".repeat(40), offset: 77, db: 0 }, functions },
    })
    expect(Buffer.from(file.subarray(0, 9)).toString()).toBe("REDIS0010")
    const found: string[] = []
    const report = readFile(server, file, {
      chunkBytes: 1000,
      options: { duplicates: "replace", onFunction: source => found.push(Buffer.from(source).toString()) },
    })
    expect(Object.fromEntries(report.aux)).toEqual({
      "redis-ver": "7.4.2",
      "redis-bits": "64",
      ctime: String(start / 1000),
      "used-mem": "1",
      "repl-stream-db": "0",
      "repl-id": "f".repeat(40),
      "repl-offset": "77",
      "aof-base": "1",
    })
    expect(found).toEqual(functions.map(String))
    expect([report.keys, report.expires, report.functions]).toEqual([2, 1, 2])
    await server.execute("HSET", "h", "f", "v")
    await server.execute("HEXPIRE", "h", "100", "FIELDS", "1", "f")
    expect(Buffer.from((await saveFile(server)).subarray(0, 9)).toString()).toBe("REDIS0012")
  })

  test("without compression and checksum", async () => {
    await using server = await createServer()
    await server.execute("SET", "k", "a".repeat(1000))
    const file = await saveFile(server, { compress: false, checksum: false })
    expect(file.length).toBeGreaterThan(1000)
    expect([...file.slice(-8)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
    await using other = await createServer()
    expect(readFile(other, file)).toMatchObject({ keys: 1, isVerified: false })
  })

  test("keys past their time are left out, or kept where somebody else deletes them", async () => {
    await using server = await createServer({ clock: new ManualClock(start) })
    await server.execute("SET", "gone", "1", "PX", "1000")
    await server.execute("SET", "there", "1", "PX", "100000")
    const file = await saveFile(server)
    const clock = new ManualClock(start + 5000)
    await using other = await createServer({ clock })
    expect(readFile(other, file)).toMatchObject({ keys: 1, expired: 1 })
    await using replica = await createServer({ clock })
    expect(readFile(replica, file, { options: { keepExpired: true } })).toMatchObject({ keys: 2, expired: 0 })
  })

  test("idle times and frequencies go along", async () => {
    for (const [policy, command] of [
      ["allkeys-lru", "IDLETIME"],
      ["allkeys-lfu", "FREQ"],
    ]) {
      const clock = new ManualClock(start)
      const config = { maxmemory: "1gb", "maxmemory-policy": policy! }
      await using server = await createServer({ clock, config })
      server.server.engine.refreshTime()
      await server.execute("SET", "k", "v")
      if (command === "FREQ") for (let i = 0; i < 200; i++) await server.execute("GET", "k")
      clock.advance(command === "FREQ" ? 60_000 : 50_000)
      const before = await server.execute("OBJECT", command!, "k")
      const file = await saveFile(server)
      await using other = await createServer({ clock, config })
      readFile(other, file)
      expect(await other.execute("OBJECT", command!, "k"), policy).toBe(before)
      expect(before as number).toBeGreaterThan(5)
    }
  })

  test("a report can be looked at on the way", async () => {
    await using server = await createServer()
    for (let i = 0; i < 3000; i++) await server.execute("SET", `key ${i}`, `value ${i}`)
    const file = await saveFile(server)
    await using other = await createServer()
    const report = readFile(other, file, { chunkBytes: 10_000 })
    expect(report).toBeInstanceOf(LoadReport)
    expect(report).toMatchObject({ keys: 3000, bytes: file.length })
  })
})
