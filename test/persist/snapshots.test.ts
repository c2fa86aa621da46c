/**
 * A snapshot is the state at its beginning, whatever is written while it is encoded: random writes of all families go on
 * between its steps, and the file must load to the data of the moment at which it was asked for.
 */
import { describe, expect, test } from "bun:test"
import { cpSync } from "node:fs"
import { createServer, type EmbeddedServer, ManualClock } from "../../src/index.ts"
import { until } from "../support/condition.ts"
import { Random, runSeed } from "../support/random.ts"
import { TempDir } from "../support/temp-dir.ts"
import { digest, fillLarge, info, SMALL_LIMITS, write } from "./traffic.ts"

const ROUNDS = Math.max(1, Math.floor(Number(process.env.BUNDIS_FUZZ ?? 0) / 1000))
const START_MS = 1_700_000_000_000

function serve(dir: string, config: Record<string, string | number> = {}): Promise<EmbeddedServer> {
  return createServer({
    clock: new ManualClock(START_MS),
    config: { dir, "enable-debug-command": "yes", ...SMALL_LIMITS, ...config },
  })
}

/** The data that the files in a folder give. */
async function digestOf(dir: string, config: Record<string, string> = {}): Promise<string> {
  await using server = await serve(dir, config)
  return await digest(server)
}

describe("a snapshot is the state at its beginning", () => {
  for (let round = 0; round < ROUNDS; round++) {
    const seed = runSeed + round
    test(`BGSAVE under writes, seed ${seed}`, async () => {
      const random = new Random(seed)
      await using dir = new TempDir()
      await using server = await serve(dir.path)
      const { snapshots } = server.server.engine
      snapshots.runsByItself = false
      await fillLarge(server)
      await write(server, random, 1000)
      for (let snapshot = 0; snapshot < 2; snapshot++) {
        const before = await digest(server)
        expect(await server.execute("BGSAVE")).toBe("Background saving started")
        let steps = 0
        for (; snapshots.running !== undefined; steps++) {
          snapshots.running.step(0)
          await write(server, random, random.below(40))
        }
        expect(steps).toBeGreaterThan(1)
        await until(async () => (await info(server, "rdb_bgsave_in_progress")) === "0")
        expect(await info(server, "rdb_last_bgsave_status")).toBe("ok")
        expect(await digestOf(dir.path)).toBe(before)
        const after = await digest(server)
        expect(after).not.toBe(before)
      }
    })

    test.each(["yes", "no"])(`BGREWRITEAOF under writes, preamble %s, seed ${seed}`, async preamble => {
      const random = new Random(seed)
      await using dir = new TempDir()
      const config = { appendonly: "yes", appendfsync: "no", "aof-use-rdb-preamble": preamble }
      await using server = await serve(dir.path, config)
      const { snapshots } = server.server.engine
      snapshots.runsByItself = false
      await fillLarge(server)
      await write(server, random, 1000)
      let copies = 0
      for (let rewrite = 0; rewrite < 2; rewrite++) {
        await server.execute("BGREWRITEAOF")
        await until(() => snapshots.running !== undefined)
        while (snapshots.running !== undefined) {
          snapshots.running.step(0)
          await write(server, random, random.below(60))
          if (!random.oneIn(6)) continue
          // What a kill would leave at this moment.
          await using copy = new TempDir()
          cpSync(dir.path, copy.path, { recursive: true })
          expect(await digestOf(copy.path, config)).toBe(await digest(server))
          copies++
        }
        await until(async () => (await info(server, "aof_rewrite_in_progress")) === "0")
        expect(await info(server, "aof_last_bgrewrite_status")).toBe("ok")
        const before = await digest(server)
        expect(await digestOf(dir.path, config)).toBe(before)
        await server.execute("DEBUG", "LOADAOF")
        expect(await digest(server)).toBe(before)
      }
      expect(copies).toBeGreaterThan(0)
    })
  }

  test("DEBUG RELOAD gives the same data again, and the append-only file goes on", async () => {
    const random = new Random(runSeed)
    await using dir = new TempDir()
    const config = { appendonly: "yes", appendfsync: "no" }
    let after: string
    {
      await using server = await serve(dir.path, config)
      await write(server, random, 500)
      const before = await digest(server)
      expect(await server.execute("DEBUG", "RELOAD")).toBe("OK")
      expect(await digest(server)).toBe(before)
      await write(server, random, 50)
      after = await digest(server)
    }
    expect(await digestOf(dir.path, config)).toBe(after)
  })
})
