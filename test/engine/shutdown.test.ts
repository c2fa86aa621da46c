import { describe, expect, test } from "bun:test"
import { mkdirSync } from "node:fs"
import { ConnectionLost } from "../support/client.ts"
import { startBundis } from "../support/process.ts"
import { TempDir } from "../support/temp-dir.ts"

const REFUSED = { error: "ERR Errors trying to SHUTDOWN. Check logs." }

describe("SHUTDOWN", () => {
  test("saves what the save points or SAVE ask for, and loads it at the next start", async () => {
    await using dir = new TempDir()
    const options = ["--appendonly", "no"]
    for (const [save, ...words] of [["3600 1"], ["", "SAVE"], ["3600 1", "NOSAVE"]]) {
      await using bundis = await startBundis([...options, "--save", save!], { dir: dir.path })
      await using client = await bundis.connect()
      await client.plain("INCR", "n")
      client.sendCommand("SHUTDOWN", ...words)
      expect(await bundis.exited).toBe(0)
    }
    await using bundis = await startBundis(options, { dir: dir.path })
    await using client = await bundis.connect()
    expect(await client.plain("GET", "n")).toBe("2")
  })

  test("with an append-only file keeps all that was written before it, and nothing behind it", async () => {
    await using dir = new TempDir()
    {
      await using bundis = await startBundis([], { dir: dir.path })
      await using client = await bundis.connect()
      const replies = client.pipeline([
        ["SET", "before", "1"],
        ["SHUTDOWN", "SAVE"],
        ["SET", "behind", "1"],
      ])
      expect(await replies.catch(error => (error instanceof ConnectionLost ? error.received.length : error))).toBe(1)
      expect(await bundis.exited).toBe(0)
    }
    await using bundis = await startBundis([], { dir: dir.path })
    await using client = await bundis.connect()
    expect(await client.plain("KEYS", "*")).toEqual(["before"])
  })

  test("SAVE is refused when it fails, unless it is forced", async () => {
    await using dir = new TempDir()
    await using bundis = await startBundis(["--appendonly", "no"], { dir: dir.path })
    // A folder is where the file should go.
    mkdirSync(dir.join("dump.rdb"))
    await using client = await bundis.connect()
    expect(await client.plain("SHUTDOWN", "SAVE")).toEqual(REFUSED)
    expect(await client.plain("SHUTDOWN", "SAVE", "NOW")).toEqual(REFUSED)
    await bundis.untilLogged("Error trying to save the DB, can't exit")
    client.sendCommand("SHUTDOWN", "SAVE", "FORCE")
    expect(await bundis.exited).toBe(0)
  })

  test("wrong options, and nothing to abort", async () => {
    await using bundis = await startBundis(["--appendonly", "no"])
    await using client = await bundis.connect()
    for (const options of [["SAVE", "NOSAVE"], ["ABORT", "NOW"], ["LATER"]]) {
      expect(await client.plain("SHUTDOWN", ...options)).toEqual({ error: "ERR syntax error" })
    }
    expect(await client.plain("SHUTDOWN", "ABORT", "ABORT")).toEqual({ error: "ERR No shutdown in progress." })
    client.sendCommand("SHUTDOWN", "NOSAVE", "NOW", "FORCE")
    expect(await bundis.exited).toBe(0)
  })

  test("ABORT takes back what a signal has asked for, until the next tick", async () => {
    await using bundis = await startBundis(["--appendonly", "no", "--save", "", "--enable-debug-command", "yes"])
    await using client = await bundis.connect()
    await client.plain("DEBUG", "PAUSE-CRON", "1")
    bundis.signal("SIGTERM")
    await bundis.untilLogged("Received SIGTERM")
    expect(await client.plain("SHUTDOWN", "ABORT")).toBe("OK")
    await bundis.untilLogged("Shutdown manually aborted")
    await client.plain("DEBUG", "PAUSE-CRON", "0")
    expect(await client.plain("PING")).toBe("PONG")
    bundis.signal("SIGTERM")
    expect(await bundis.exited).toBe(0)
  })

  test("signals follow shutdown-on-sigterm and shutdown-on-sigint", async () => {
    await using dir = new TempDir()
    const options = ["--appendonly", "no", "--save", "", "--shutdown-on-sigterm", "save"]
    await using bundis = await startBundis(options, { dir: dir.path })
    mkdirSync(dir.join("dump.rdb"))
    bundis.signal("SIGTERM")
    await bundis.untilLogged("Error trying to save the DB, can't exit")
    await using client = await bundis.connect()
    await client.plain("CONFIG", "SET", "shutdown-on-sigterm", "save force")
    bundis.signal("SIGTERM")
    expect(await bundis.exited).toBe(0)
  })
})
