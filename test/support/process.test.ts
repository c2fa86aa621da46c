/** The process helper tested on the real thing: start, ready, signals, restart in the same directory. */
import { expect, test } from "bun:test"
import { runBundis, startBundis } from "./process.ts"
import { TempDir } from "./temp-dir.ts"

test("a process starts, answers, is killed, starts again on its files, and ends on SIGTERM with 0", async () => {
  await using dir = new TempDir()
  {
    await using bundis = await startBundis(["--appendonly", "yes", "--appendfsync", "always"], { dir: dir.path })
    await using client = await bundis.connect({ resp: 3 })
    expect(await client.plain("SET", "k", "v")).toBe("OK")
    await bundis.kill9()
    await client.closed
    expect(bundis.running).toBe(false)
  }
  await using again = await startBundis(["--appendonly", "yes"], { dir: dir.path })
  await using client = await again.connect()
  expect(await client.plain("GET", "k")).toBe("v")
  expect(await again.terminate()).toBe(0)
  expect(again.log).toContain("Ready to accept connections")
})

test("a process that ends by itself gives its exit code and output", async () => {
  const { exitCode, output } = await runBundis(["--version"])
  expect(output).toMatch(/\d+\.\d+\.\d+/)
  expect(exitCode).toBe(0)
  await expect(startBundis(["--no-such-directive", "1"])).rejects.toThrow("did not start (exit code 1)")
})
