/** When what expires is deleted in the append-only file: as Redis does it, command by command. */
import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { createServer, ManualClock } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { TempDir } from "../support/temp-dir.ts"

/** The commands of a file. */
function commandsIn(path: string): string[] {
  const words = readFileSync(path, "latin1").split("\r\n")
  const commands: string[][] = []
  for (let i = 0; i < words.length; i++) {
    if (words[i]!.startsWith("*")) commands.push([])
    else if (words[i]!.startsWith("$")) commands.at(-1)!.push(words[++i]!)
  }
  return commands.map(command => command.join(" "))
}

test("a swapped-in key past its time is deleted when it is asked for, not for the sake of those that wait", async () => {
  const clock = new ManualClock(1_000_000)
  await using dir = new TempDir()
  const config = { appendonly: "yes", dir: dir.path, "enable-debug-command": "yes" }
  await using server = await createServer({ clock, config })
  await using client = await Client.connect(server.port)
  await using waiting = await Client.connect(server.port)
  await client.plain("DEBUG", "SET-ACTIVE-EXPIRE", "0")
  await client.plain("SELECT", "1")
  await client.plain("RPUSH", "k", "v")
  await client.plain("PEXPIRE", "k", "100")
  waiting.sendCommand("BRPOP", "k", "0")
  await until(async () => String(await client.plain("INFO", "clients")).includes("blocked_clients:1"))
  clock.advance(101)
  await client.plain("SWAPDB", "0", "1")
  await client.plain("SET", "x", "1")
  expect(String(await client.plain("INFO", "clients"))).toContain("blocked_clients:1")
  await client.plain("SELECT", "0")
  expect(await client.plain("EXISTS", "k")).toBe(0)
  const path = dir.join("appendonlydir/database.aof.1.incr.aof")
  expect(commandsIn(path)).toEqual([
    "SELECT 1",
    "RPUSH k v",
    "PEXPIREAT k 1000100",
    "SWAPDB 0 1",
    "SET x 1",
    "SELECT 0",
    "DEL k",
  ])
})

test("a consumer that is made without being given anything is in the file", async () => {
  await using dir = new TempDir()
  await using server = await createServer({ config: { appendonly: "yes", dir: dir.path } })
  for (const line of [
    "XADD s 1-1 f v",
    "XGROUP CREATE s g $",
    "XREADGROUP GROUP g reader STREAMS s >",
    "XREADGROUP GROUP g rereader STREAMS s 0",
    "XCLAIM s g claimer 0 1-1",
    "XAUTOCLAIM s g taker 0 -",
    "XREADGROUP GROUP g reader STREAMS s >",
  ]) {
    await server.execute(...line.split(" "))
  }
  expect(commandsIn(dir.join("appendonlydir/database.aof.1.incr.aof"))).toEqual([
    "SELECT 0",
    "XADD s 1-1 f v",
    "XGROUP CREATE s g $",
    "XGROUP CREATECONSUMER s g reader",
    "XGROUP CREATECONSUMER s g rereader",
    "XGROUP CREATECONSUMER s g claimer",
    "XGROUP CREATECONSUMER s g taker",
  ])
})
