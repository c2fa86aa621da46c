/** SAVE, BGSAVE and BGREWRITEAOF as commands; what starts them by itself; what they say when they cannot. */
import { describe, expect, test } from "bun:test"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync } from "node:fs"
import { Config } from "../../src/config/config.ts"
import { createServer, EmbeddedServer, ManualClock } from "../../src/index.ts"
import { fileStorage, type Storage } from "../../src/persist/storage.ts"
import { Server } from "../../src/server.ts"
import { until } from "../support/condition.ts"
import { TempDir } from "../support/temp-dir.ts"
import { digest, info } from "./traffic.ts"

const START_MS = 1_700_000_000_000
const SAVING = "ERR Background save already in progress"
const SLOW = "10000000"

interface Options {
  clock?: ManualClock
  storage?: Storage
  log?: string[]
}

function serve(dir: TempDir, config: Record<string, string> = {}, options: Options = {}): Promise<EmbeddedServer> {
  return createServer({
    ...options,
    config: { dir: dir.path, "enable-debug-command": "yes", ...config },
    log: (_level, message) => options.log?.push(message),
  })
}

async function idle(server: EmbeddedServer): Promise<void> {
  await until(async () => (await info(server, "rdb_bgsave_in_progress")) === "0")
  await until(async () => (await info(server, "aof_rewrite_in_progress")) === "0")
}

async function errorOf(server: EmbeddedServer, ...words: string[]): Promise<string> {
  const reply = await server.executeReply(...words)
  return reply.type === "error" ? reply.value : ""
}

describe("SAVE and BGSAVE", () => {
  test("leave a file that is loaded at the next start, with the append-only file off", async () => {
    await using dir = new TempDir()
    let before: string
    {
      await using server = await serve(dir)
      await server.execute("MSET", "a", "1", "b", "2")
      await server.execute("RPUSH", "l", "x", "y")
      expect(await info(server, "rdb_changes_since_last_save")).toBe("4")
      expect(await server.execute("SAVE")).toBe("OK")
      expect(await info(server, "rdb_changes_since_last_save")).toBe("0")
      await server.execute("SET", "c", "3", "PXAT", START_MS + 1e12)
      expect(await server.execute("BGSAVE")).toBe("Background saving started")
      await server.execute("SET", "later", "1")
      await idle(server)
      expect(await info(server, "rdb_changes_since_last_save")).toBe("1")
      expect(await info(server, "rdb_saves")).toBe("2")
      expect(await info(server, "rdb_last_bgsave_status")).toBe("ok")
      await server.execute("DEL", "later")
      before = await digest(server)
    }
    expect(readdirSync(dir.path)).toEqual(["dump.rdb"])
    await using server = await serve(dir)
    expect(await digest(server)).toBe(before)
    expect(await info(server, "rdb_last_load_keys_loaded")).toBe("4")
    expect(await info(server, "rdb_changes_since_last_save")).toBe("0")
  })

  test("one at a time; a rewrite waits for a save, a save for a rewrite only if told to", async () => {
    await using dir = new TempDir()
    await using server = await serve(dir, { "rdb-key-save-delay": SLOW })
    await server.execute("SET", "a", "1")
    await server.execute("BGSAVE")
    expect(await errorOf(server, "BGSAVE")).toBe(SAVING)
    expect(await errorOf(server, "SAVE")).toBe(SAVING)
    expect(await server.execute("BGREWRITEAOF")).toBe("Background append only file rewriting scheduled")
    expect(await info(server, "aof_rewrite_scheduled")).toBe("1")
    await server.execute("CONFIG", "SET", "rdb-key-save-delay", "0")
    await until(async () => (await info(server, "aof_rewrites")) === "1")
    await idle(server)
    await server.execute("CONFIG", "SET", "rdb-key-save-delay", SLOW)
    expect(await server.execute("BGREWRITEAOF")).toBe("Background append only file rewriting started")
    expect(await errorOf(server, "BGREWRITEAOF")).toBe("ERR Background append only file rewriting already in progress")
    expect(await errorOf(server, "BGSAVE")).toStartWith(
      "ERR Another child process is active (AOF?): can't BGSAVE right now",
    )
    expect(await server.execute("BGSAVE", "SCHEDULE")).toBe("Background saving scheduled")
    expect(await errorOf(server, "BGSAVE", "NOW")).toBe("ERR syntax error")
    await server.execute("CONFIG", "SET", "rdb-key-save-delay", "0")
    await until(async () => (await info(server, "rdb_saves")) === "2")
    await idle(server)
  })

  test("SAVE is quick to overtake a rewrite: both are done", async () => {
    await using dir = new TempDir()
    await using server = await serve(dir, { appendonly: "yes" })
    for (let i = 0; i < 50; i++) await server.execute("SET", `key${i}`, "x")
    const { snapshots } = server.server.engine
    snapshots.runsByItself = false
    await server.execute("BGREWRITEAOF")
    await until(() => snapshots.running !== undefined)
    await server.execute("SET", "later", "1")
    expect(await server.execute("SAVE")).toBe("OK")
    await idle(server)
    const before = await digest(server)
    for (const appendonly of ["yes", "no"]) {
      await using other = await serve(dir, { appendonly })
      expect(await digest(other)).toBe(before)
    }
  })

  test("within MULTI they are noted, and begin afterwards", async () => {
    await using dir = new TempDir()
    await using server = await serve(dir, { appendonly: "yes" })
    await server.execute("MULTI")
    expect(await errorOf(server, "SAVE")).toBe("ERR Command not allowed inside a transaction")
    await server.execute("DISCARD")
    await server.execute("MULTI")
    for (const command of [["INCR", "n"], ["BGSAVE"], ["BGREWRITEAOF"], ["INCR", "n"]]) await server.execute(...command)
    expect(await server.execute("EXEC")).toEqual([
      1,
      "Background saving scheduled",
      "Background append only file rewriting scheduled",
      2,
    ])
    await until(async () => (await info(server, "aof_rewrites")) === "1" && (await info(server, "rdb_saves")) === "1")
    await idle(server)
    await server.execute("DEBUG", "LOADAOF")
    expect(await server.execute("GET", "n")).toBe("2")
    await server.execute("DEBUG", "RELOAD", "NOSAVE")
    expect(await server.execute("GET", "n")).toBe("2")
  })

  test("FLUSHALL gives up a save that runs, and with save points it saves that there is nothing", async () => {
    await using dir = new TempDir()
    const log: string[] = []
    await using server = await serve(dir, {}, { log })
    await server.execute("SET", "a", "1")
    await server.execute("SAVE")
    await server.execute("SET", "a", "2")
    await server.execute("CONFIG", "SET", "rdb-key-save-delay", SLOW)
    await server.execute("BGSAVE")
    await server.execute("FLUSHALL")
    expect(await info(server, "rdb_bgsave_in_progress")).toBe("0")
    expect(await info(server, "rdb_last_bgsave_status")).toBe("ok")
    expect(Number(await info(server, "rdb_changes_since_last_save"))).toBeGreaterThan(0)
    await until(() => readdirSync(dir.path).length === 1)
    const size = statSync(dir.join("dump.rdb")).size
    await server.execute("CONFIG", "SET", "save", "3600 1")
    await server.execute("SET", "a", "1")
    await server.execute("FLUSHALL")
    expect(await info(server, "rdb_changes_since_last_save")).toBe("0")
    expect(statSync(dir.join("dump.rdb")).size).toBeLessThan(size)
  })

  test("save points: so many changes in so many seconds", async () => {
    await using dir = new TempDir()
    const clock = new ManualClock(START_MS)
    await using server = await serve(dir, { save: "60 2" }, { clock })
    const { cron } = server.server
    clock.advance(61_000)
    await server.execute("SET", "a", "1")
    cron.tick()
    expect(await info(server, "rdb_saves")).toBe("0")
    await server.execute("SET", "a", "2")
    cron.tick()
    expect(await info(server, "rdb_saves")).toBe("1")
    await idle(server)
    expect(await info(server, "rdb_changes_since_last_save")).toBe("0")
    expect(await server.execute("LASTSAVE")).toBe((START_MS + 61_000) / 1000)
  })

  test("a save that fails stops writes until one makes it, if there are save points", async () => {
    await using dir = new TempDir()
    await using server = await serve(dir, { save: "3600 1" })
    await server.execute("SET", "a", "1")
    mkdirSync(dir.join("dump.rdb"))
    await server.execute("BGSAVE")
    await idle(server)
    expect(await info(server, "rdb_last_bgsave_status")).toBe("err")
    expect(await errorOf(server, "SET", "a", "2")).toStartWith(
      "MISCONF Redis is configured to save RDB snapshots, but it's",
    )
    expect(await errorOf(server, "PING")).toStartWith("MISCONF")
    expect(await errorOf(server, "EVAL", "return redis.call('set', KEYS[1], 2)", "1", "a")).toStartWith("MISCONF")
    expect(await server.execute("EVAL", "return redis.call('get', KEYS[1])", "1", "a")).toBe("1")
    expect(await server.execute("PUBLISH", "channel", "message")).toBe(0)
    expect(await server.execute("GET", "a")).toBe("1")
    await server.execute("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
    expect(await server.execute("SET", "a", "2")).toBe("OK")
    await server.execute("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes")
    expect(await errorOf(server, "SET", "a", "2")).toStartWith("MISCONF")
    expect(await errorOf(server, "SAVE")).toBe("ERR")
    rmdirSync(dir.join("dump.rdb"))
    expect(await server.execute("SAVE")).toBe("OK")
    expect(await server.execute("SET", "a", "2")).toBe("OK")
    expect(readdirSync(dir.path)).toEqual(["dump.rdb"])
  })

  test.each(["writeAtLater", "syncLater", "syncDirectoryLater"] as const)(
    "a disk that fails at %s",
    async operation => {
      await using dir = new TempDir()
      let fails = true
      const storage: Storage = {
        ...fileStorage,
        [operation]: (...args: unknown[]) => {
          if (!fails) return (fileStorage[operation] as (...args: unknown[]) => void)(...args)
          const done = args.at(-1) as (error: Error) => void
          setImmediate(() => done(Object.assign(new Error("no space"), { code: "ENOSPC" })))
        },
      }
      const log: string[] = []
      await using server = await serve(dir, {}, { storage, log })
      await server.execute("DEBUG", "POPULATE", "5000")
      for (let attempt = 0; attempt < 2; attempt++) {
        await server.execute("BGSAVE")
        await idle(server)
        expect(await info(server, "rdb_last_bgsave_status")).toBe("err")
      }
      expect(log).toContain("Background saving error: No space left on device")
      fails = false
      await server.execute("BGSAVE")
      await idle(server)
      expect(await info(server, "rdb_last_bgsave_status")).toBe("ok")
      expect(server.server.engine.keyspace.heap.frozenThrough).toBe(0)
      await until(() => readdirSync(dir.path).length === 1)
    },
  )

  test("the end of the server leaves no half of a file", async () => {
    await using dir = new TempDir()
    {
      await using server = await serve(dir, { "rdb-key-save-delay": SLOW, appendonly: "yes" })
      await server.execute("SET", "a", "1")
      await server.execute("BGSAVE")
      await server.execute("CONFIG", "SET", "appendonly", "no")
      await server.execute("CONFIG", "SET", "appendonly", "yes")
    }
    expect(readdirSync(dir.path)).toEqual(["appendonlydir"])
    expect(readdirSync(dir.join("appendonlydir")).filter(name => name.includes("temp"))).toEqual([])
  })

  test("a file that is no snapshot stops the start, by name and place", async () => {
    await using dir = new TempDir()
    {
      await using server = await serve(dir)
      await server.execute("SET", "a", "1")
      await server.execute("SAVE")
    }
    const whole = readFileSync(dir.join("dump.rdb"))
    const spoilt = Buffer.from(whole)
    spoilt[spoilt.length - 1]! ^= 1
    await Bun.write(dir.join("dump.rdb"), spoilt)
    await expect(serve(dir)).rejects.toThrow("RDB CRC error")
    await Bun.write(dir.join("dump.rdb"), whole.subarray(0, whole.length - 12))
    await expect(serve(dir)).rejects.toThrow("Fatal error loading the DB")
    await Bun.write(dir.join("dump.rdb"), "")
    await using server = await serve(dir)
    expect(await server.execute("DBSIZE")).toBe(0)
  })
})

describe("BGREWRITEAOF", () => {
  const manifest = (dir: TempDir) => readFileSync(dir.join("appendonlydir/database.aof.manifest"), "utf8")

  test("names bases and increments as Redis does, and removes what is outdated", async () => {
    await using dir = new TempDir()
    await using server = await serve(dir, { appendonly: "yes" })
    const rewrite = async () => {
      await server.execute("BGREWRITEAOF")
      await idle(server)
    }
    await server.execute("SET", "a", "1")
    await rewrite()
    expect(manifest(dir)).toBe("file database.aof.2.base.rdb seq 2 type b\nfile database.aof.2.incr.aof seq 2 type i\n")
    await server.execute("CONFIG", "SET", "aof-use-rdb-preamble", "no")
    await rewrite()
    expect(manifest(dir)).toBe("file database.aof.3.base.aof seq 3 type b\nfile database.aof.3.incr.aof seq 3 type i\n")
    expect(readdirSync(dir.join("appendonlydir")).sort()).toEqual([
      "database.aof.3.base.aof",
      "database.aof.3.incr.aof",
      "database.aof.manifest",
    ])
    await server.execute("CONFIG", "SET", "appendonly", "no")
    await rewrite()
    expect(manifest(dir)).toBe("file database.aof.4.base.aof seq 4 type b\n")
    await server.execute("CONFIG", "SET", "appendonly", "yes")
    await idle(server)
    expect(manifest(dir)).toBe("file database.aof.5.base.aof seq 5 type b\nfile database.aof.1.incr.aof seq 1 type i\n")
    await server.execute("CONFIG", "SET", "aof-disable-auto-gc", "yes")
    await rewrite()
    expect(manifest(dir)).toBe(
      "file database.aof.6.base.aof seq 6 type b\nfile database.aof.1.incr.aof seq 1 type h\n" +
        "file database.aof.5.base.aof seq 5 type h\nfile database.aof.2.incr.aof seq 2 type i\n",
    )
    // An increment begun while an old one of its number waits for its deletion has another name.
    await server.execute("CONFIG", "SET", "appendonly", "no")
    await rewrite()
    await server.execute("CONFIG", "SET", "appendonly", "yes")
    await idle(server)
    expect(manifest(dir)).toContain("file database.aof.3.incr.aof seq 3 type i\n")
    await server.execute("CONFIG", "SET", "aof-disable-auto-gc", "no")
    expect(manifest(dir)).toBe("file database.aof.8.base.aof seq 8 type b\nfile database.aof.3.incr.aof seq 3 type i\n")
  })

  test("begins by itself when the file has grown by so much, and gives up for a while when it keeps failing", async () => {
    await using dir = new TempDir()
    const clock = new ManualClock(START_MS)
    let fails = true
    const storage: Storage = {
      ...fileStorage,
      syncLater: (fd, done) => (fails ? done(new Error("broken")) : fileStorage.syncLater(fd, done)),
    }
    const log: string[] = []
    const config = { appendonly: "yes", appendfsync: "no", "auto-aof-rewrite-min-size": "2kb" }
    await using server = await serve(dir, config, { clock, storage, log })
    const { cron } = server.server
    const tick = async () => {
      cron.tick()
      await idle(server)
    }
    await server.execute("SET", "a", "x".repeat(1000))
    await tick()
    expect(await info(server, "aof_rewrites")).toBe("0")
    await server.execute("SET", "a", "x".repeat(2000))
    for (let i = 0; i < 6; i++) await tick()
    expect(await info(server, "aof_rewrites_consecutive_failures")).toBe("3")
    expect(log.filter(line => line.includes("triggered the limit, will retry in 1 minutes"))).toHaveLength(1)
    clock.advance(61_000)
    for (let i = 0; i < 6; i++) await tick()
    expect(await info(server, "aof_rewrites_consecutive_failures")).toBe("4")
    expect(log.filter(line => line.includes("will retry in 2 minutes"))).toHaveLength(1)
    fails = false
    expect(await server.execute("BGREWRITEAOF")).toBe("Background append only file rewriting started")
    await idle(server)
    expect(await info(server, "aof_last_bgrewrite_status")).toBe("ok")
    await server.execute("SET", "a", "x".repeat(9000))
    await tick()
    expect(await info(server, "aof_rewrites")).toBe("6")
    expect(await info(server, "aof_base_size")).toBe(await info(server, "aof_current_size"))
  })

  test("asked for while another snapshot runs, it is not held up by failures of before", async () => {
    await using dir = new TempDir()
    let fails = true
    const storage: Storage = {
      ...fileStorage,
      syncLater: (fd, done) => (fails ? done(new Error("broken")) : fileStorage.syncLater(fd, done)),
    }
    await using server = await serve(dir, { appendonly: "yes", appendfsync: "no" }, { storage })
    for (let i = 0; i < 4; i++) {
      await server.execute("BGREWRITEAOF")
      await idle(server)
    }
    expect(await info(server, "aof_rewrites_consecutive_failures")).toBe("4")
    fails = false
    await server.execute("CONFIG", "SET", "rdb-key-save-delay", SLOW)
    await server.execute("SET", "a", "1")
    await server.execute("BGSAVE")
    await server.execute("BGREWRITEAOF")
    await server.execute("CONFIG", "SET", "rdb-key-save-delay", "0")
    await until(async () => (await info(server, "aof_rewrites")) === "5")
    await idle(server)
    expect(await info(server, "aof_last_bgrewrite_status")).toBe("ok")
  })

  test("annotations tell the time, before the first command of each second, and are passed over", async () => {
    await using dir = new TempDir()
    const clock = new ManualClock(START_MS)
    const config = { appendonly: "yes", "aof-timestamp-enabled": "yes", "aof-use-rdb-preamble": "no" }
    {
      await using server = await serve(dir, config, { clock })
      await server.execute("SET", "a", "1")
      await server.execute("SET", "a", "2")
      clock.advance(1000)
      await server.execute("SET", "a", "3")
      const text = readFileSync(dir.join("appendonlydir/database.aof.1.incr.aof"), "latin1")
      expect([...text.matchAll(/#TS:(\d+)\r\n/g)].map(match => match[1])).toEqual(["1700000000", "1700000001"])
      expect(text.startsWith("#TS:1700000000\r\n*2\r\n$6\r\nSELECT")).toBe(true)
      await server.execute("BGREWRITEAOF")
      await idle(server)
      expect(readFileSync(dir.join("appendonlydir/database.aof.2.base.aof"), "latin1")).toStartWith(
        "#TS:1700000001\r\n",
      )
    }
    await using server = await serve(dir, config)
    expect(await server.execute("GET", "a")).toBe("3")
  })

  test("what is written between turning it on and the first base counts only with that base", async () => {
    await using dir = new TempDir()
    await using server = await serve(dir, { "rdb-key-save-delay": SLOW })
    await server.execute("SET", "a", "1")
    expect(await server.execute("CONFIG", "SET", "appendonly", "yes")).toBe("OK")
    expect(await info(server, "aof_rewrite_in_progress")).toBe("1")
    expect(await info(server, "aof_enabled")).toBe("1")
    await until(() => server.server.engine.snapshots.running !== undefined)
    await server.execute("SET", "b", "1")
    expect(existsSync(dir.join("appendonlydir/database.aof.manifest"))).toBe(false)
    await server.execute("CONFIG", "SET", "rdb-key-save-delay", "0")
    await idle(server)
    const before = await digest(server)
    await server.execute("DEBUG", "LOADAOF")
    expect(await digest(server)).toBe(before)
    await using other = await serve(dir, { appendonly: "yes" })
    expect(await digest(other)).toBe(before)
  })

  test("a rewrite ends at once with the file, and another may begin", async () => {
    await using dir = new TempDir()
    await using server = await serve(dir, { appendonly: "yes", "rdb-key-save-delay": SLOW })
    await server.execute("SET", "a", "1")
    await server.execute("BGREWRITEAOF")
    await until(() => server.server.engine.snapshots.running !== undefined)
    await server.execute("CONFIG", "SET", "appendonly", "no")
    expect(await info(server, "aof_rewrite_in_progress")).toBe("0")
    await server.execute("CONFIG", "SET", "rdb-key-save-delay", "0")
    expect(await server.execute("BGREWRITEAOF")).toBe("Background append only file rewriting started")
    await server.execute("CONFIG", "SET", "appendonly", "yes")
    await idle(server)
    await until(async () => (await info(server, "aof_rewrite_scheduled")) === "0")
    await idle(server)
    await server.execute("INCR", "a")
    const before = await digest(server)
    await using other = await serve(dir, { appendonly: "yes" })
    expect(await digest(other)).toBe(before)
    expect(readdirSync(dir.join("appendonlydir")).filter(name => name.startsWith("temp"))).toEqual([])
  })

  test("no client writes into a file that was turned off", async () => {
    await using dir = new TempDir()
    await using server = await serve(dir, { appendonly: "yes" })
    await server.execute("SET", "a", "1")
    await server.execute("CONFIG", "SET", "appendonly", "no")
    await server.execute("SET", "a", "2")
    expect(await info(server, "aof_enabled")).toBe("0")
    expect(readFileSync(dir.join("appendonlydir/database.aof.1.incr.aof"), "latin1")).not.toContain("$1\r\n2\r\n")
    await server.execute("DEBUG", "LOADAOF")
    expect(await server.execute("GET", "a")).toBe("1")
  })
})

describe("DEBUG RELOAD", () => {
  test("NOSAVE loads what is on disk; MERGE keeps what is not there; a key twice is an error", async () => {
    await using dir = new TempDir()
    await using server = await serve(dir)
    await server.execute("MSET", "a", "1", "b", "1")
    await server.execute("SAVE")
    await server.execute("MSET", "b", "2", "c", "2")
    const values = () => server.execute("MGET", "a", "b", "c")
    expect(await server.execute("DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE")).toBe("OK")
    expect(await values()).toEqual(["1", "1", "2"])
    expect(await errorOf(server, "DEBUG", "RELOAD", "NOSAVE", "NOFLUSH")).toStartWith(
      "ERR Error trying to load the RDB dump",
    )
    expect(await server.execute("DEBUG", "RELOAD", "NOSAVE")).toBe("OK")
    expect(await values()).toEqual(["1", "1", null])
    await server.execute("SET", "c", "3")
    expect(await server.execute("DEBUG", "RELOAD")).toBe("OK")
    expect(await values()).toEqual(["1", "1", "3"])
  })
})

/** A server that loads slowly, and what its start comes to. */
function slowly(dir: TempDir, appendonly: string): { server: Server; started: Promise<void> } {
  const config = new Config()
  const directives = { appendonly, dir: dir.path, port: "0", save: "", "key-load-delay": "100" }
  for (const [name, value] of Object.entries(directives)) config.load(name, [value])
  config.load("loading-process-events-interval-bytes", ["1024"])
  const server = new Server({ config })
  return { server, started: server.start() }
}

test("the end of a server that is loading does not save half of the data", async () => {
  await using dir = new TempDir()
  {
    await using server = await serve(dir)
    await server.execute("DEBUG", "POPULATE", "2000")
    await server.execute("SAVE")
  }
  const whole = readFileSync(dir.join("dump.rdb"))
  const { server, started } = slowly(dir, "no")
  await until(() => server.persistence.loadedBytes > 0)
  expect(server.persistence.mayEnd({ save: true, nosave: false, now: false, force: false })).toBe(true)
  expect(readFileSync(dir.join("dump.rdb")).equals(whole)).toBe(true)
  server.config.set("key-load-delay", "0")
  await started
  expect(server.engine.keyspace.databases[0]!.keys.size).toBe(2000)
  server.stop()
})

describe("switched over while loading", () => {
  test.each(["yes", "no"])("appendonly %s at the start, and the other at the end", async appendonly => {
    await using dir = new TempDir()
    {
      await using server = await serve(dir, { appendonly })
      for (let i = 0; i < 2000; i++) await server.execute("SET", `key:${i}`, "x")
      await server.execute("SAVE")
    }
    const { server, started } = slowly(dir, appendonly)
    const { config } = server
    await until(() => server.persistence.loadedBytes > 0)
    expect(server.persistence.isLoading).toBe(true)
    const other = appendonly === "yes" ? "no" : "yes"
    expect(config.set("appendonly", other)).toBeUndefined()
    expect(config.set("key-load-delay", "0")).toBeUndefined()
    await started
    await using embedded = new EmbeddedServer(server)
    await idle(embedded)
    expect(await embedded.execute("DBSIZE")).toBe(2000)
    expect(await info(embedded, "aof_enabled")).toBe(other === "yes" ? "1" : "0")
  })
})
