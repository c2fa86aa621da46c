/** What RDB has no types for, in an append-only file whose base is commands. */
import { expect, test } from "bun:test"
import { createServer, ManualClock } from "../../src/index.ts"
import { commandEncoder } from "../../src/persist/aof-encode.ts"
import { freezeDatabases } from "../../src/rdb/snapshot.ts"
import { Client } from "../support/client.ts"

test("times of members, names of messages, messages given back", async () => {
  const clock = new ManualClock(1_800_000_000_000)
  await using server = await createServer({ clock })
  await using other = await createServer({ clock })
  const run = (line: string, on = server) => on.execute(...line.split(" "))
  await run("SADD s a b c")
  await run("SPEXPIRE s 1000 MEMBERS 2 a c")
  await run("ZADD z 1 a 2 b")
  await run("ZPEXPIRE z 1000 MEMBERS 1 b")
  for (let i = 0; i < 4; i++) await run(`XADD x IDMP p m${i} * f v`)
  await run("XCFGSET x IDMP-MAXSIZE 7")
  await run("XADD x IDMP p n * f v")
  await run("XGROUP CREATE x g 0")
  const read = (await run("XREADGROUP GROUP g a COUNT 3 STREAMS x >")) as Map<string, unknown[][]>
  const [first, second] = read.get("x")!.map(([id]) => id)
  await run(`XNACK x g FATAL IDS 2 ${second} ${first}`)

  const { engine } = server.server
  engine.keyspace.heap.freeze()
  const data = { databases: freezeDatabases(engine.keyspace), libraries: [], now: engine.keyspace.now }
  const chunks: Uint8Array[] = []
  const steps = commandEncoder(engine)(data as never, { keys: 0 } as never)
  for (let step = steps.next(); !step.done; step = steps.next()) if (step.value !== undefined) chunks.push(step.value)
  engine.keyspace.heap.thaw()

  const client = await Client.connect(other.port)
  client.send(Buffer.concat(chunks))
  while ((await client.plain("PING")) !== "PONG");
  for (const line of [
    "SPTTL s MEMBERS 3 a b c",
    "ZPTTL z MEMBERS 2 a b",
    "XPENDING x g - + 9",
    "XINFO STREAM x FULL",
    "XADD x IDMP p n * f v",
  ]) {
    const [here, there] = [await run(line), await run(line, other)]
    if (line.startsWith("XINFO")) {
      // How often a message was sent twice is not told.
      for (const map of [here, there])
        for (const name of ["iids-added", "iids-duplicates"]) (map as Map<string, unknown>).delete(name)
    }
    expect(there, line).toEqual(here)
  }
  client.close()
})
