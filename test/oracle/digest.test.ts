import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"

let server: EmbeddedServer

beforeAll(async () => {
  server = await createServer({ config: { "enable-debug-command": "yes" } })
})
afterAll(() => server.close())
beforeEach(async () => {
  await server.execute("FLUSHALL")
})

const digestOf = async (key: string) => ((await server.execute("DEBUG", "DIGEST-VALUE", key)) as string[])[0]!

async function run(lines: string): Promise<void> {
  for (const line of lines.trim().split("\n")) await server.execute(...line.trim().split(" "))
}

test("that a field expires is part of a digest, when is not", async () => {
  await run("HSET h f 1 g 2")
  const plain = await digestOf("h")
  await run("HPEXPIRE h 100000 FIELDS 1 f")
  const expiring = await digestOf("h")
  expect(expiring).not.toBe(plain)
  await run("HPEXPIRE h 200000 FIELDS 1 f")
  expect(await digestOf("h")).toBe(expiring)
  await run(`HPERSIST h FIELDS 1 f
    HPEXPIRE h 100000 FIELDS 1 g`)
  expect(await digestOf("h")).not.toBe(expiring)
  await run("HPERSIST h FIELDS 1 g")
  expect(await digestOf("h")).toBe(plain)
})

test("the ids and groups of a stream are part of its digest", async () => {
  const seen = new Set<string>()
  const steps = [
    "XADD s 1-1 f v",
    "XADD s 1-2 f v",
    "XDEL s 1-2",
    "XGROUP CREATE s g 0",
    "XGROUP CREATECONSUMER s g alice",
    "XREADGROUP GROUP g alice STREAMS s >",
    "XCLAIM s g bob 0 1-1 JUSTID",
    "XCLAIM s g bob 0 1-1 RETRYCOUNT 7",
    "XACK s g 1-1",
    "XSETID s 5-5",
    "XGROUP DESTROY s g",
  ]
  for (const step of steps) {
    await run(step)
    const digest = await digestOf("s")
    expect([step, seen.has(digest)]).toEqual([step, false])
    seen.add(digest)
  }
})
