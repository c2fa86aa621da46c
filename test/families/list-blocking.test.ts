import { expect, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"

/** A server with one client that acts, and waiting ones on demand. */
async function scene() {
  const server = await createServer({ port: 0 })
  const clients: Client[] = []
  const run = (...command: string[]) => server.execute(...command)
  let waiting = 0
  return {
    run,
    /** Sends a command that is expected to wait, and returns when it does; its reply comes later. */
    async wait(line: string): Promise<{ reply: Promise<unknown> }> {
      const client = await Client.connect(server.port)
      clients.push(client)
      const reply = client.plain(...line.split(" "))
      waiting++
      const expected = `blocked_clients:${waiting}`
      await until(async () => String(await run("INFO", "clients")).includes(`${expected}\r\n`), { what: expected })
      return {
        reply: reply.finally(() => {
          waiting--
        }),
      }
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.close()
      await server.close()
    },
  }
}

test("whoever waited first is served first, with one element each", async () => {
  await using stage = await scene()
  const { run, wait } = stage
  const first = await wait("BLPOP a b 0")
  const second = await wait("BRPOP b 0")
  const third = await wait("BLMPOP 0 2 c b LEFT COUNT 5")
  await run("RPUSH", "b", "1", "2", "3", "4")
  expect(await first.reply).toEqual(["b", "1"])
  expect(await second.reply).toEqual(["b", "4"])
  expect(await third.reply).toEqual(["b", ["2", "3"]])
  expect(await run("EXISTS", "b")).toBe(0)
})

test("what is moved wakes who waits for it there", async () => {
  await using stage = await scene()
  const { run, wait } = stage
  const mover = await wait("BLMOVE a b LEFT RIGHT 0")
  const old = await wait("BRPOPLPUSH b c 0")
  const last = await wait("BLPOP c 0")
  await run("LPUSH", "a", "x")
  expect(await mover.reply).toBe("x")
  expect(await old.reply).toBe("x")
  expect(await last.reply).toEqual(["c", "x"])
  expect(await run("DBSIZE")).toBe(0)
})

test("another type does not wake; a destination of another type is an error", async () => {
  await using stage = await scene()
  const { run, wait } = stage
  const popper = await wait("BLPOP a 0")
  const mover = await wait("BLMOVE s d LEFT LEFT 0")
  await run("SET", "a", "text")
  await run("SET", "d", "text")
  await run("RPUSH", "s", "x")
  const error: unknown = await mover.reply.catch((error: unknown) => error)
  expect(`${error} ${JSON.stringify(error)}`).toContain("WRONGTYPE")
  expect(await run("LRANGE", "s", "0", "-1")).toEqual(["x"])
  await run("DEL", "a")
  await run("RPUSH", "a", "y")
  expect(await popper.reply).toEqual(["a", "y"])
})

test("BLMOVEM waits for any with COUNT, for all with EXACTLY", async () => {
  await using stage = await scene()
  const { run, wait } = stage
  const some = await wait("BLMOVEM s d LEFT RIGHT 0 COUNT 3 BULK")
  await run("RPUSH", "s", "1", "2")
  expect(await some.reply).toEqual(["1", "2"])
  await run("RPUSH", "s", "3")
  const all = await wait("BLMOVEM s d LEFT LEFT 0 EXACTLY 3 OBO")
  await run("RPUSH", "s", "4")
  expect(await run("LLEN", "s")).toBe(2)
  await run("RPUSH", "s", "5", "6")
  expect(await all.reply).toEqual(["5", "4", "3"])
  expect(await run("LRANGE", "d", "0", "-1")).toEqual(["5", "4", "3", "1", "2"])
  expect(await run("LRANGE", "s", "0", "-1")).toEqual(["6"])
})

test("a wait that is over is answered with null", async () => {
  const lines = ["BLPOP a 0.01", "BRPOPLPUSH a b 0.01", "BLMOVE a b LEFT LEFT 0.01", "BLMPOP 0.01 1 a LEFT"]
  for (const line of [...lines, "BLMOVEM a b LEFT LEFT 0.01"]) {
    await using server = await createServer({ port: 0 })
    await using client = await Client.connect(server.port)
    expect([line, await client.plain(...line.split(" "))]).toEqual([line, null])
  }
})

test("inside a transaction nobody waits", async () => {
  await using server = await createServer({ port: 0 })
  await using client = await Client.connect(server.port)
  await client.plain("MULTI")
  for (const line of ["BLPOP a 0", "BRPOPLPUSH a b 0", "BLMPOP 0 1 a LEFT", "BLMOVEM a b LEFT LEFT 0"]) {
    await client.plain(...line.split(" "))
  }
  expect(await client.plain("EXEC")).toEqual([null, null, null, null])
})
