/**
 * A machine that stops dead between any two operations on its files, in the middle of a write too: whatever is left must load,
 * and hold all that was acknowledged before.
 */
import { describe, expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { fileStorage, type Storage } from "../../src/persist/storage.ts"
import { until } from "../support/condition.ts"
import { TempDir } from "../support/temp-dir.ts"
import { digest, info } from "./traffic.ts"

/** A disk that does no operation any more from number `last` on, and only half of that one if it is a write. */
class DyingDisk {
  operations = 0
  readonly storage: Storage
  private readonly last: number

  constructor(last: number) {
    this.last = last
    const dead = () => Object.assign(new Error("the machine has stopped"), { code: "EIO" })
    const wrapped: Record<string, unknown> = { ...fileStorage }
    const changing = [
      "makeDirectory",
      "rename",
      "syncDirectory",
      "remove",
      "truncate",
      "truncateOpen",
      "create",
      "open",
      "syncNow",
    ]
    for (const name of changing) {
      const original = wrapped[name] as (...args: unknown[]) => unknown
      wrapped[name] = (...args: unknown[]) => {
        if (this.isDead()) throw dead()
        return original(...args)
      }
    }
    for (const name of ["removeLater", "syncDirectoryLater", "syncLater"]) {
      const original = wrapped[name] as (...args: unknown[]) => unknown
      // Nobody hears of what a dead machine did.
      wrapped[name] = (...args: unknown[]) => (this.isDead() ? undefined : original(...args))
    }
    this.storage = {
      ...(wrapped as unknown as Storage),
      write: (fd, bytes, start, length) => {
        if (!this.isDead()) return fileStorage.write(fd, bytes, start, length)
        if (this.operations === this.last) fileStorage.write(fd, bytes, start, length >> 1)
        throw dead()
      },
      writeAt: (fd, bytes, position) => {
        const part = this.isDead() ? (this.operations === this.last ? bytes.length >> 1 : 0) : bytes.length
        fileStorage.writeAt(fd, bytes.subarray(0, part), position)
        if (part < bytes.length) throw dead()
      },
      writeAtLater: (fd, bytes, position, done) => {
        if (!this.isDead()) fileStorage.writeAtLater(fd, bytes, position, done)
        else if (this.operations === this.last) fileStorage.writeAt(fd, bytes.subarray(0, bytes.length >> 1), position)
      },
    }
  }

  get died(): boolean {
    return this.operations >= this.last
  }

  private isDead(): boolean {
    return ++this.operations >= this.last
  }
}

interface Life {
  /** Digests of states that may be loaded: of what was acknowledged, and of what was being done. */
  allowed: Set<string>
  finished: boolean
}

/** `write` says whether what it writes must be there afterwards. */
type Act = (
  server: EmbeddedServer,
  write: (counts?: boolean) => Promise<void>,
  idle: (field: string) => Promise<void>,
) => Promise<void>

/** Plays `act` on a disk that dies at operation `last`. */
async function live(dir: string, last: number, config: Record<string, string>, act: Act): Promise<Life> {
  const disk = new DyingDisk(last)
  const life: Life = { allowed: new Set(), finished: false }
  let server: EmbeddedServer
  try {
    server = await createServer({
      storage: disk.storage,
      config: { dir, "enable-debug-command": "yes", "auto-aof-rewrite-percentage": "0", ...config },
    })
  } catch (error) {
    if (!disk.died) throw error
    return life
  }
  let count = 0
  const stopped = () => {
    if (disk.died) throw new Error("the machine has stopped")
  }
  const write = async (counts = true) => {
    stopped()
    const acknowledged = await digest(server)
    // A write that cannot be kept is answered with an error, later on, or refused; it may be in the file or not.
    await server.executeReply("RPUSH", `list${++count % 5}`, `${count}`, "x".repeat(100))
    const now = await digest(server)
    if (!counts) {
      // It may be there all the same, once there is anything at all.
      if (life.allowed.size > 0) life.allowed.add(now)
    } else life.allowed = disk.died ? new Set([...life.allowed, acknowledged, now]) : new Set([now])
    stopped()
  }
  const idle = async (field: string) => {
    await until(async () => disk.died || (await info(server, field)) === "0", { intervalMs: 1 })
    stopped()
  }
  try {
    await act(server, write, idle)
    stopped()
    life.finished = true
  } catch (error) {
    if (!disk.died) throw error
  }
  try {
    await server.close()
  } catch {
    // Its disk is gone.
  }
  return life
}

/** Kills at every operation of `act`, and looks at what loads. Returns how many there were. */
async function killEverywhere(
  config: Record<string, string>,
  act: Act,
  atFirst: Record<string, string> = {},
): Promise<number> {
  for (let last = 1; ; last += STRIDE) {
    await using dir = new TempDir()
    const { allowed, finished } = await live(dir.path, last, { ...config, ...atFirst }, act)
    const log: string[] = []
    await using server = await createServer({
      config: { dir: dir.path, "enable-debug-command": "yes", ...config },
      log: (_level, message) => log.push(message),
    })
    const loaded = await digest(server)
    if (allowed.size > 0 && !allowed.has(loaded)) throw new Error(`killed at operation ${last}: other data`)
    // What is left must be good enough to go on with.
    await server.execute("SET", "after", "1")
    if (config.appendonly === "yes") {
      await server.execute("BGREWRITEAOF")
      await until(async () => (await info(server, "aof_rewrite_in_progress")) === "0", { intervalMs: 1 })
      if ((await info(server, "aof_last_bgrewrite_status")) !== "ok") throw new Error(`${last}: ${log.join("\n")}`)
    }
    if (finished) return last
  }
}

/** All of them in the long mode. */
const STRIDE = process.env.BUNDIS_FUZZ ? 1 : 4

describe("killed at any moment", () => {
  test.each(["yes", "no"])("of rewrites (preamble %s), all that was acknowledged is there", async preamble => {
    const config = { appendonly: "yes", appendfsync: "no", "aof-use-rdb-preamble": preamble }
    const operations = await killEverywhere(config, async (server, write, idle) => {
      for (let round = 0; round < 2; round++) {
        await write()
        await server.execute("BGREWRITEAOF")
        await write()
        await idle("aof_rewrite_in_progress")
        await write()
      }
    })
    expect(operations).toBeGreaterThan(30)
  })

  test("of a file that is switched on at run time, all is there from the first rewrite on", async () => {
    const config = { appendonly: "yes", appendfsync: "no" }
    const act: Act = async (server, write, idle) => {
      await write(false)
      for (let round = 0; round < 2; round++) {
        await server.execute("CONFIG", "SET", "appendonly", "yes")
        await write(false)
        await idle("aof_rewrite_in_progress")
        await write()
        await server.execute("CONFIG", "SET", "appendonly", "no")
        await write(false)
      }
    }
    expect(await killEverywhere(config, act, { appendonly: "no" })).toBeGreaterThan(20)
  })

  test("of saves, a whole snapshot file is there", async () => {
    for (let last = 1; ; last += STRIDE) {
      await using dir = new TempDir()
      const saved = new Set<string>()
      const { finished } = await live(dir.path, last, { appendonly: "no" }, async (server, write, idle) => {
        for (let round = 0; round < 2; round++) {
          await write()
          saved.add(await digest(server))
          await server.execute("BGSAVE")
          await idle("rdb_bgsave_in_progress")
          await write()
          saved.add(await digest(server))
          await server.execute("SAVE")
        }
      })
      await using server = await createServer({ config: { dir: dir.path, "enable-debug-command": "yes" } })
      if (existsSync(dir.join("dump.rdb"))) expect(saved).toContain(await digest(server))
      else expect(await server.execute("DBSIZE")).toBe(0)
      if (finished) return
    }
  })
})
