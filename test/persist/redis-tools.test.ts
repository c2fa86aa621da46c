/** What others make of our files: the real redis-check-aof at every moment of a rewrite, and a real redis-server that loads them. */
import { describe, expect, test } from "bun:test"
import { cpSync, existsSync } from "node:fs"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { fileStorage, type Storage } from "../../src/persist/storage.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { freePort } from "../support/free-port.ts"
import { TempDir } from "../support/temp-dir.ts"
import { digest, info } from "./traffic.ts"

const MANIFEST = "appendonlydir/database.aof.manifest"

/** Looks at the folder before every operation that changes something in it. */
function watched(look: () => void): Storage {
  const storage = { ...fileStorage } as unknown as Record<string, (...args: unknown[]) => unknown>
  const changing = [
    "rename",
    "remove",
    "removeLater",
    "create",
    "open",
    "truncateOpen",
    "write",
    "writeAt",
    "writeAtLater",
  ]
  for (const name of changing) {
    const original = storage[name]!
    storage[name] = (...args) => {
      look()
      return original(...args)
    }
  }
  return storage as unknown as Storage
}

async function fill(server: EmbeddedServer): Promise<void> {
  await server.execute("MSET", "a", "1", "b", "x".repeat(100), "c", "-5")
  await server.execute("SET", "later", "1", "PXAT", 5_000_000_000_000)
  await server.execute("RPUSH", "list", ...Array.from({ length: 300 }, (_, i) => `element ${i}`))
  await server.execute("RPUSH", "short", "1", "two")
  await server.execute("SADD", "ints", "1", "2", "30000")
  await server.execute("SADD", "set", ...Array.from({ length: 300 }, (_, i) => `member ${i}`))
  await server.execute("HSET", "hash", "f", "1", "g", "2")
  await server.execute("HSET", "table", ...Array.from({ length: 1200 }, (_, i) => `${i}`))
  await server.execute("ZADD", "zset", "1.5", "a", "-inf", "b", "3", "c")
  await server.execute("ZADD", "tree", ...Array.from({ length: 600 }, (_, i) => (i % 2 === 0 ? `${i / 7}` : `m${i}`)))
  for (let i = 1; i < 30; i++) await server.execute("XADD", "stream", `${i}-1`, "f", `${i}`)
  await server.execute("XGROUP", "CREATE", "stream", "g", "0")
  await server.execute("XREADGROUP", "GROUP", "g", "c", "COUNT", "3", "STREAMS", "stream", ">")
  await server.execute("SELECT", "3")
  await server.execute("SET", "elsewhere", "1")
  await server.execute("SELECT", "0")
}

const idle = (server: EmbeddedServer) =>
  until(async () => (await info(server, "aof_rewrite_in_progress")) === "0", { intervalMs: 1 })

describe.skipIf(Bun.which("redis-check-aof") === null)("redis-check-aof", () => {
  test.each(["yes", "no"])("accepts what is there at every moment of a rewrite, preamble %s", async preamble => {
    await using dir = new TempDir()
    const faults: string[] = []
    let checks = 0
    const check = () => {
      if (!existsSync(dir.join(MANIFEST))) return
      checks++
      const { exitCode, stdout, stderr } = Bun.spawnSync(["redis-check-aof", dir.join(MANIFEST)])
      const text = `${stdout}${stderr}`
      if (exitCode !== 0 || !/valid/.test(text)) faults.push(text)
    }
    const config = {
      appendonly: "yes",
      dir: dir.path,
      "aof-use-rdb-preamble": preamble,
      "aof-timestamp-enabled": "yes",
    }
    await using server = await createServer({ storage: watched(check), config })
    await server.execute("SET", "first", "1")
    await server.execute("MULTI")
    await server.execute("INCR", "first")
    await server.execute("INCR", "first")
    await server.execute("EXEC")
    for (let round = 0; round < 2; round++) {
      await server.execute("BGREWRITEAOF")
      await server.execute("INCR", "first")
      await idle(server)
    }
    await server.execute("CONFIG", "SET", "appendonly", "no")
    await server.execute("CONFIG", "SET", "appendonly", "yes")
    await idle(server)
    check()
    expect(faults).toEqual([])
    expect(checks).toBeGreaterThan(15)
  })
})

describe.skipIf(Bun.which("redis-server") === null)("redis-server", () => {
  /** Starts one on a copy of a folder and asks it for all data, in our own terms. */
  async function loadedByRedis(dir: TempDir, options: string[]): Promise<string> {
    await using copy = new TempDir()
    cpSync(dir.path, copy.path, { recursive: true })
    const port = await freePort()
    const redis = Bun.spawn(["redis-server", "--port", `${port}`, "--dir", copy.path, "--save", "", ...options], {
      stdout: "ignore",
    })
    try {
      const client = await until(() => Client.connect(port))
      await until(async () => (await client.plain("PING")) === "PONG")
      const all: string[] = [`${await client.plain("DBSIZE")}`]
      for (const key of ["a", "b", "c", "later"]) all.push(`${await client.plain("GET", key)}`)
      all.push(`${await client.plain("PEXPIRETIME", "later")}`)
      all.push(JSON.stringify(await client.plain("LRANGE", "list", 0, -1)))
      all.push(JSON.stringify(await client.plain("ZRANGE", "tree", 0, -1, "WITHSCORES")))
      all.push(JSON.stringify(await client.plain("ZRANGE", "zset", 0, -1, "WITHSCORES")))
      all.push(JSON.stringify(await client.plain("SORT", "set", "ALPHA")))
      all.push(JSON.stringify(await client.plain("SMEMBERS", "ints")))
      all.push(JSON.stringify(await client.plain("SORT", "table", "BY", "nosort").catch(String)))
      all.push(`${await client.plain("HLEN", "table")} ${await client.plain("HGET", "table", "600")}`)
      all.push(JSON.stringify(await client.plain("XRANGE", "stream", "-", "+")))
      all.push(JSON.stringify(await client.plain("XPENDING", "stream", "g")))
      await client.plain("SELECT", 3)
      all.push(`${await client.plain("GET", "elsewhere")}`)
      client.close()
      return all.join("\n")
    } finally {
      redis.kill(9)
      await redis.exited
    }
  }

  test("loads our snapshot and our append-only files, in both formats, to the same data", async () => {
    await using dir = new TempDir()
    {
      await using server = await createServer({
        config: { dir: dir.path, appendonly: "yes", "enable-debug-command": "yes" },
      })
      await fill(server)
      expect(await server.execute("SAVE")).toBe("OK")
      await server.execute("BGREWRITEAOF")
      await idle(server)
      expect((await digest(server)).length).toBe(40)
    }
    const fromSnapshot = await loadedByRedis(dir, ["--appendonly", "no"])
    expect(fromSnapshot.split("\n")[0]).toBe("13")
    const aof = ["--appendonly", "yes", "--appendfilename", "database.aof"]
    expect(await loadedByRedis(dir, aof)).toBe(fromSnapshot)
    {
      const config = { dir: dir.path, appendonly: "yes", "aof-use-rdb-preamble": "no" }
      await using server = await createServer({ config })
      await server.execute("BGREWRITEAOF")
      await idle(server)
    }
    expect(await loadedByRedis(dir, aof)).toBe(fromSnapshot)
  })
})
