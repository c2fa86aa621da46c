import { describe, expect, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Config } from "../../src/config/config.ts"
import { createServer } from "../../src/index.ts"
import { Server } from "../../src/server.ts"
import { Client } from "../support/client.ts"
import { TempDir } from "../support/temp-dir.ts"

describe("CONFIG", () => {
  test("GET * gives pairs that can each be set back", async () => {
    await using server = await createServer({ port: 0, config: { "enable-protected-configs": "yes" } })
    await using client = await Client.connect(server.port, { resp: 3 })
    const all = (await client.plain("CONFIG", "GET", "*")) as Map<string, string>
    expect(all.size).toBeGreaterThan(150)
    for (const [name, value] of all) {
      const reply = await client.plain("CONFIG", "SET", name, value)
      if (reply === "OK") continue
      expect([name, (reply as { error: string }).error]).toEqual([
        name,
        expect.stringMatching(/can't set (immutable|protected) config$/),
      ])
    }
    expect(await client.plain("CONFIG", "GET", "*")).toEqual(all)
  })

  test("SET takes several, all or nothing", async () => {
    await using server = await createServer({ port: 0 })
    await using client = await Client.connect(server.port, { resp: 3 })
    expect(await client.plain("CONFIG", "SET", "maxmemory", "10mb", "HZ", "20")).toBe("OK")
    expect(await client.plain("CONFIG", "GET", "HZ", "maxmem?ry")).toEqual(
      new Map([
        ["HZ", "20"],
        ["maxmemory", "10485760"],
      ]),
    )
    expect(await client.plain("CONFIG", "SET", "hz", "30", "maxmemory", "x")).toEqual({
      error: expect.stringContaining("ERR CONFIG SET failed (possibly related to argument 'maxmemory')"),
    })
    expect(await client.plain("CONFIG", "GET", "hz")).toEqual(new Map([["hz", "20"]]))
    expect(await client.plain("CONFIG", "SET", "hz", "1", "x")).toEqual({
      error: "ERR syntax error",
    })
  })

  test("REWRITE replaces the file", async () => {
    await using dir = new TempDir()
    const path = join(dir.path, "bundis.conf")
    writeFileSync(path, "# mine\nmaxmemory 1mb\n")
    const config = new Config()
    config.load("port", ["0"])
    config.load("appendonly", ["no"])
    const server = new Server({ config, configFile: path })
    await server.start()
    try {
      await using client = await Client.connect(server.port)
      await client.plain("CONFIG", "SET", "maxmemory", "2mb", "maxclients", "77")
      expect(await client.plain("CONFIG", "REWRITE")).toBe("OK")
      const text = readFileSync(path, "utf8")
      expect(text).toStartWith("# mine\nmaxmemory 2mb\n")
      expect(text).toContain("\nmaxclients 77\n")
      expect(await client.plain("INFO", "server")).toContain(`config_file:${path}\r\n`)
    } finally {
      server.stop()
    }
  })

  test("REWRITE without a file is refused", async () => {
    await using server = await createServer({ port: 0 })
    await using client = await Client.connect(server.port)
    expect(await client.plain("CONFIG", "REWRITE")).toEqual({
      error: "ERR The server is running without a config file",
    })
  })
})
