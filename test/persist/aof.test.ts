import { describe, expect, test } from "bun:test"
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { fileStorage, type Storage } from "../../src/persist/storage.ts"
import { Client, ConnectionLost } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { TempDir } from "../support/temp-dir.ts"

const INCREMENT = "appendonlydir/database.aof.1.incr.aof"

interface Options {
  fsync?: string
  storage?: Storage
  config?: Record<string, string>
  log?: string[]
}

function serve(dir: TempDir, { fsync = "no", storage, config, log }: Options = {}): Promise<EmbeddedServer> {
  return createServer({
    storage,
    config: { appendonly: "yes", appendfsync: fsync, dir: dir.path, ...config },
    log: (_level, message) => log?.push(message),
  })
}

function request(...words: string[]): string {
  return `*${words.length}\r\n${words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`
}

function writeIncrement(dir: TempDir, content: string): void {
  mkdirSync(dir.join("appendonlydir"), { recursive: true })
  writeFileSync(dir.join(INCREMENT), content)
  writeFileSync(dir.join("appendonlydir/database.aof.manifest"), "file database.aof.1.incr.aof seq 1 type i\n")
}

/** A disk that can be filled, and that remembers nothing but that. */
class FullDisk {
  full = false
  /** Bytes that still fit when it is full. */
  room = 0
  readonly storage: Storage = { ...fileStorage, write: (...args) => this.write(...args) }

  write(fd: number, bytes: Uint8Array, start: number, length: number): number {
    if (!this.full) return fileStorage.write(fd, bytes, start, length)
    if (this.room === 0) throw Object.assign(new Error("no space"), { code: "ENOSPC" })
    const some = Math.min(this.room, length)
    this.room -= some
    return fileStorage.write(fd, bytes, start, some)
  }
}

describe("append-only file", () => {
  test("what was written is there after a restart", async () => {
    await using dir = new TempDir()
    {
      await using server = await serve(dir)
      await server.execute("SET", "a", "1")
      await server.execute("SELECT", "3")
      await server.execute("SET", "b", Buffer.from([0, 13, 10, 255]))
      await server.execute("HSET", "h", "f", "v", "g", "w")
      await server.execute("INCR", "n")
    }
    expect(readFileSync(dir.join("appendonlydir/database.aof.manifest"), "utf8")).toBe(
      "file database.aof.1.base.rdb seq 1 type b\nfile database.aof.1.incr.aof seq 1 type i\n",
    )
    await using server = await serve(dir)
    expect(await server.execute("GET", "a")).toBe("1")
    await server.execute("SELECT", "3")
    expect(await server.executeReply("GET", "b")).toMatchObject({ value: new Uint8Array([0, 13, 10, 255]) })
    expect(await server.execute("HGET", "h", "g")).toBe("w")
    await server.execute("INCR", "n")
    expect(await server.execute("GET", "n")).toBe("2")
  })

  test("an old single file is adopted, and stays readable", async () => {
    await using dir = new TempDir()
    const old =
      request("SET", "key:1", "Hello, Redis!") +
      request("hset", "user:1", "naïve café ☕", "") +
      request("SET", "", "x")
    writeFileSync(dir.join("database.aof"), old)
    for (let round = 1; round <= 3; round++) {
      await using server = await serve(dir)
      expect(await server.execute("GET", "key:1")).toBe("Hello, Redis!")
      expect(await server.execute("HGET", "user:1", "naïve café ☕")).toBe("")
      expect(await server.execute("DBSIZE")).toBe(2 + round)
      await server.execute("SET", `new:${round}`, "1")
    }
    expect(existsSync(dir.join("database.aof"))).toBe(false)
    expect(readFileSync(dir.join("appendonlydir/database.aof"), "utf8")).toBe(old)
  })

  test("a stop between manifest and move of an adopted file is made good", async () => {
    await using dir = new TempDir()
    writeFileSync(dir.join("database.aof"), request("SET", "a", "1"))
    mkdirSync(dir.join("appendonlydir"))
    writeFileSync(dir.join("appendonlydir/database.aof.manifest"), "file database.aof seq 1 type b\n")
    await using server = await serve(dir)
    expect(await server.execute("GET", "a")).toBe("1")
  })

  test("a tail torn at any byte costs only what was torn, and nothing that is appended later", async () => {
    const whole = [
      request("SELECT", "0"),
      request("SET", "a", "1"),
      request("MULTI") + request("SET", "b", "2") + request("INCR", "a") + request("EXEC"),
      request("SET", "c", "3"),
    ]
    const all = whole.join("")
    for (let cut = 0; cut <= all.length; cut++) {
      await using dir = new TempDir()
      writeIncrement(dir, all.slice(0, cut))
      let valid = 0
      while (valid < whole.length && whole.slice(0, valid + 1).join("").length <= cut) valid++
      {
        await using server = await serve(dir)
        await server.execute("SET", "later", "yes")
      }
      await using server = await serve(dir)
      const expected = [valid > 2 ? "2" : valid > 1 ? "1" : null, valid > 2 ? "2" : null, valid > 3 ? "3" : null, "yes"]
      expect(await server.execute("MGET", "a", "b", "c", "later")).toEqual(expected)
    }
  }, 60_000)

  test("without aof-load-truncated a torn tail refuses to load, and is left alone", async () => {
    await using dir = new TempDir()
    writeIncrement(dir, request("SET", "a", "1") + "*3\r\n$3\r\nSE")
    const size = statSync(dir.join(INCREMENT)).size
    await expect(serve(dir, { config: { "aof-load-truncated": "no" } })).rejects.toThrow(
      "Unexpected end of file reading the append only file database.aof.1.incr.aof at offset 27",
    )
    expect(statSync(dir.join(INCREMENT)).size).toBe(size)
  })

  test.each([
    ["*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\nrubbish\r\n", "offset 27 (expected '*')"],
    [`${request("SET", "a", "1")}*2\r\n$3\r\nGET\r\n$x\r\na\r\n`, "offset 27 (invalid bulk length)"],
    [`${request("SET", "a", "1")}*1\r\n$4\r\nNOPE\r\n${request("SET", "b", "1")}`, "Unknown command 'NOPE'"],
    [`${request("SET", "a", "1")}*3\r\n$3\r\nSET\r\n$1\r\nabc$1\r\n1\r\n${request("SET", "b", "1")}`, "offset 27"],
    [`${request("SET", "a", "1")}${request("EXEC")}`, "EXEC without MULTI"],
    [`${request("SET", "a")}`, "wrong number of arguments"],
    [`\0\0\0\0${request("SET", "a", "1")}`, "offset 0"],
  ])("corruption %# is named with its place, and nothing is cut", async (content, reason) => {
    await using dir = new TempDir()
    writeIncrement(dir, content)
    await expect(serve(dir)).rejects.toThrow(reason)
    expect(readFileSync(dir.join(INCREMENT), "utf8")).toBe(content)
  })

  test("a torn file that is not the last one refuses to load", async () => {
    await using dir = new TempDir()
    writeIncrement(dir, request("SET", "a", "1").slice(0, -3))
    writeFileSync(dir.join("appendonlydir/database.aof.2.incr.aof"), request("SET", "b", "1"))
    writeFileSync(
      dir.join("appendonlydir/database.aof.manifest"),
      "file database.aof.1.incr.aof seq 1 type i\nfile database.aof.2.incr.aof seq 2 type i\n",
    )
    await expect(serve(dir)).rejects.toThrow("not the last file")
  })

  test("a missing file refuses to load", async () => {
    await using dir = new TempDir()
    writeIncrement(dir, "")
    writeFileSync(dir.join("appendonlydir/database.aof.manifest"), "file gone.aof seq 1 type i\n")
    await expect(serve(dir)).rejects.toThrow("No such file or directory")
  })

  test("annotations between commands are passed over", async () => {
    await using dir = new TempDir()
    writeIncrement(
      dir,
      `#TS:1700000000\r\n${request("SET", "a", "1")}#TS:1700000001\r\n${request("SET", "b", "2")}#TS:17`,
    )
    await using server = await serve(dir)
    expect(await server.execute("MGET", "a", "b")).toEqual(["1", "2"])
  })

  test("relative expiries are stored as points in time, and survive a restart", async () => {
    await using dir = new TempDir()
    let at = 0
    {
      await using server = await serve(dir)
      await server.execute("SET", "a", "1", "EX", "1000")
      await server.execute("SET", "b", "1", "PX", "1")
      at = (await server.execute("PEXPIRETIME", "a")) as number
      await until(async () => (await server.execute("EXISTS", "b")) === 0, { what: "b to expire" })
    }
    await using server = await serve(dir)
    expect(await server.execute("PEXPIRETIME", "a")).toBe(at)
    expect(await server.execute("EXISTS", "b")).toBe(0)
  })

  test.each(["everysec", "no"])(
    "a full disk refuses writes, keeps what was accepted, and heals by itself (%s)",
    async fsync => {
      await using dir = new TempDir()
      const disk = new FullDisk()
      const log: string[] = []
      {
        await using server = await serve(dir, { fsync, storage: disk.storage, log })
        await server.execute("SET", "a", "1")
        disk.full = true
        disk.room = 10
        expect(await server.execute("SET", "accepted", "x".repeat(100))).toBe("OK")
        expect(await server.execute("SET", "c", "1")).toEqual({
          error: "MISCONF Errors writing to the AOF file: No space left on device",
        })
        expect(await server.execute("GET", "a")).toBe("1")
        expect(String(await server.execute("INFO", "persistence"))).toContain("aof_last_write_status:err")
        disk.full = false
        await until(async () => (await server.execute("SET", "d", "1")) === "OK", {
          what: "the disk to be found healed",
        })
      }
      expect(log.join("\n")).toContain("AOF write error looks solved")
      await using server = await serve(dir)
      expect(await server.execute("MGET", "a", "accepted", "c", "d")).toEqual(["1", "x".repeat(100), null, "1"])
    },
  )

  test("with always, a reply never leaves before its sync: who wrote to a failing disk is disconnected", async () => {
    await using dir = new TempDir()
    const disk = new FullDisk()
    await using server = await serve(dir, { fsync: "always", storage: disk.storage })
    await using writer = await Client.connect(server.port)
    expect(await writer.plain("SET", "a", "1")).toBe("OK")
    disk.full = true
    await expect(writer.raw("SET", "b", "1")).rejects.toBeInstanceOf(ConnectionLost)
    await using other = await Client.connect(server.port)
    expect(await other.plain("SET", "c", "1")).toEqual({
      error: "MISCONF Errors writing to the AOF file: No space left on device",
    })
    disk.full = false
    await until(async () => (await other.plain("SET", "d", "1")) === "OK", { what: "the disk to be found healed" })
  })

  test("DEBUG LOADAOF gives the same data set again", async () => {
    await using dir = new TempDir()
    await using server = await serve(dir, { config: { "enable-debug-command": "yes" } })
    await server.execute("MSET", "a", "1", "b", "2")
    await server.execute("HSET", "h", "f", "v")
    await server.execute("PEXPIRE", "b", "100000000")
    const digest = await server.execute("DEBUG", "DIGEST")
    const size = statSync(dir.join(INCREMENT)).size
    expect(await server.execute("DEBUG", "LOADAOF")).toBe("OK")
    expect(await server.execute("DEBUG", "DIGEST")).toBe(digest)
    await server.execute("SET", "c", "3")
    expect(await server.execute("DBSIZE")).toBe(4)
    expect(statSync(dir.join(INCREMENT)).size).toBe(size + 27)
  })

  test("a command of a hundred thousand arguments and values of megabytes are replayed", async () => {
    await using dir = new TempDir()
    const words: string[] = []
    for (let i = 0; i < 50_000; i++) words.push(`k${i}`, `v${i}`)
    const big = Buffer.alloc(9_000_000, "y")
    {
      await using server = await serve(dir)
      await server.execute("MSET", ...words)
      await server.execute("SET", "big", big)
    }
    await using server = await serve(dir)
    expect(await server.execute("DBSIZE")).toBe(50_001)
    expect(await server.execute("GET", "k49999")).toBe("v49999")
    expect(await server.execute("STRLEN", "big")).toBe(big.length)
  })

  test("the file of another program: a base that begins as an RDB, and goes on as none, is refused by name", async () => {
    await using dir = new TempDir()
    writeIncrement(dir, "REDIS0011\xfa")
    await expect(serve(dir)).rejects.toThrow("RDB preamble of the AOF file database.aof.1.incr.aof")
  })
})
