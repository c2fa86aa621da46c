import { describe, expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { createServer, ManualClock } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { TempDir } from "../support/temp-dir.ts"

describe("embedding", () => {
  test("several servers share nothing", async () => {
    await using a = await createServer()
    await using b = await createServer()
    expect(a.port).not.toBe(b.port)
    await a.execute("SET", "k", "a")
    await b.execute("SET", "k", "b")
    await b.execute("CONFIG", "SET", "maxclients", "55")
    expect(await a.execute("GET", "k")).toBe("a")
    await using client = await Client.connect(b.port)
    expect(await client.plain("GET", "k")).toBe("b")
    expect(await a.execute("CONFIG", "GET", "maxclients")).toEqual(new Map([["maxclients", "10000"]]))
  })

  test("execute takes strings, numbers and bytes, and answers in order", async () => {
    await using server = await createServer()
    const replies = await Promise.all([
      server.execute("SET", "n", 41),
      server.execute("INCR", "n"),
      server.execute("SET", "b", new Uint8Array([0, 255])),
      server.execute("STRLEN", "b"),
      server.execute("NOPE"),
      server.execute("HSET", "h", "f", "v"),
      server.execute("HGETALL", "h"),
    ])
    expect(replies[1]).toBe(42)
    expect(replies[3]).toBe(2)
    expect(replies[4]).toEqual({ error: "ERR unknown command 'NOPE', with args beginning with: " })
    expect(replies[6]).toEqual(new Map([["f", "v"]]))
  })

  test("time is the caller's: nothing expires until the clock says so", async () => {
    const clock = new ManualClock(1_700_000_000_000)
    await using server = await createServer({ clock })
    await server.execute("SET", "k", "v", "EX", 10)
    await Bun.sleep(1)
    expect(await server.execute("PTTL", "k")).toBe(10_000)
    clock.advance(9999)
    expect(await server.execute("PTTL", "k")).toBe(1)
    clock.advance(2)
    expect(await server.execute("GET", "k")).toBe(null)
  })

  test("the same seed makes the same choices", async () => {
    const draw = async (): Promise<unknown[]> => {
      await using server = await createServer({ seed: 7 })
      for (let i = 0; i < 200; i++) await server.execute("SET", `k${i}`, "v")
      return Promise.all(Array.from({ length: 20 }, () => server.execute("RANDOMKEY")))
    }
    const first = await draw()
    expect(await draw()).toEqual(first)
    expect(new Set(first).size).toBeGreaterThan(5)
  })

  test("no files are written unless asked for", async () => {
    await using dir = new TempDir()
    {
      await using server = await createServer({ config: { dir: dir.path } })
      await server.execute("SET", "k", "v")
    }
    expect(existsSync(dir.join("appendonlydir"))).toBe(false)
  })

  test("files are read only where it is told of them", async () => {
    await using dir = new TempDir()
    const config = { dir: dir.path }
    {
      await using server = await createServer({ config })
      await server.execute("SET", "k", "v")
      await server.execute("SAVE")
    }
    const before = process.cwd()
    process.chdir(dir.path)
    try {
      await using stranger = await createServer()
      expect(await stranger.execute("DBSIZE")).toBe(0)
      await using named = await createServer({ config: { dbfilename: "dump.rdb" } })
      expect(await named.execute("GET", "k")).toBe("v")
    } finally {
      process.chdir(before)
    }
    await using again = await createServer({ config })
    expect(await again.execute("GET", "k")).toBe("v")
  })

  test("a refused configuration and a taken port throw", async () => {
    await expect(createServer({ config: { nonsense: 1 } })).rejects.toThrow("nonsense")
    await using server = await createServer()
    await expect(createServer({ port: server.port })).rejects.toThrow("Failed listening on port")
  })
})
