import { describe, expect, test } from "bun:test"
import { createServer, ManualClock } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { play, Stage } from "./stage.ts"

describe("pauses as redis-server makes them", () => {
  play("of writing commands", async s => {
    await s.run("x", "SET", "k", "1")
    await s.run("x", "CLIENT", "PAUSE", "100000", "WRITE")
    await s.run("x", "GET", "k")
    await s.begin("a", "SET", "k", "a")
    await s.begin("b", "APPEND", "k", "b")
    await s.begin("c", "PFCOUNT", "none")
    await s.run("x", "GET", "k")
    await s.pipeline("x", [["MULTI"], ["GET", "k"], ["EXEC"]])
    await s.run("x", "CLIENT", "UNPAUSE")
    for (const name of ["a", "b", "c"]) await s.end(name)
    await s.run("x", "GET", "k")
  })

  play("of a transaction that writes, when it is run", async s => {
    await s.run("a", "MULTI")
    await s.run("a", "SET", "k", "1")
    await s.run("x", "CLIENT", "PAUSE", "100000", "WRITE")
    await s.begin("a", "EXEC")
    await s.run("b", "MULTI")
    await s.begin("b", "SET", "k", "2")
    await s.run("x", "EXISTS", "k")
    await s.run("x", "CLIENT", "UNPAUSE")
    await s.end("a")
    await s.end("b")
    await s.run("b", "EXEC")
    await s.run("x", "GET", "k")
  })

  play("what a paused client goes on to send stays behind", async s => {
    await s.run("x", "CLIENT", "PAUSE", "100000", "WRITE")
    await s.begin("a", "SET", "k", "1")
    const a = await s.client("a")
    a.sendCommand("GET", "k")
    a.sendCommand("APPEND", "k", "2")
    a.sendCommand("GET", "k")
    await s.run("x", "CLIENT", "UNPAUSE")
    for (let i = 0; i < 4; i++) await s.end("a")
  })

  play("the stricter mode stays, and the pause ends by itself", async s => {
    await s.run("x", "CLIENT", "PAUSE", "60", "ALL")
    ;(await s.client("a")).sendCommand("PING")
    await s.end("a")
    await s.run("x", "CLIENT", "PAUSE", "100000", "WRITE")
    await s.run("x", "CLIENT", "UNPAUSE")
    await s.run("x", "SET", "k", "1")
  })

  play("who disconnects is forgotten", async s => {
    await s.run("x", "CLIENT", "PAUSE", "100000", "WRITE")
    await s.begin("a", "SET", "k", "1")
    await s.begin("b", "APPEND", "k", "2")
    s.leave("a")
    await s.untilBlocked(1)
    const id = await s.id("x")
    await s.run("x", "CLIENT", "UNBLOCK", id)
    await s.run("x", "CLIENT", "UNPAUSE")
    await s.end("b")
    await s.run("x", "GET", "k")
  })

  play("errors", async s => {
    await s.run("a", "CLIENT", "PAUSE")
    await s.run("a", "CLIENT", "PAUSE", "-1")
    await s.run("a", "CLIENT", "PAUSE", "x")
    await s.run("a", "CLIENT", "PAUSE", "1", "some")
    await s.run("a", "CLIENT", "PAUSE", "1", "WRITE", "more")
    await s.run("a", "CLIENT", "UNPAUSE")
    await s.run("a", "CLIENT", "UNPAUSE", "x")
  })
})

test("the data stands still: nothing expires by itself", async () => {
  const clock = new ManualClock(1_700_000_000_000)
  await using server = await createServer({ clock })
  const { engine, cron } = server.server
  await server.execute("SET", "k", "v", "PX", 10)
  await server.execute("CLIENT", "PAUSE", 1000, "WRITE")
  clock.advance(100)
  cron.tick()
  expect(await server.execute("GET", "k")).toBeNull()
  expect(await server.execute("DBSIZE")).toBe(1)
  expect(engine.keyspace.events.expiredKeys).toBe(0)
  clock.advance(1000)
  cron.tick()
  cron.tick()
  expect(engine.pause.mode).toBe("none")
  expect(engine.keyspace.expiryPaused).toBe(false)
  expect(await server.execute("DBSIZE")).toBe(0)
})

test("CLIENT UNBLOCK does not end the wait of a paused client", async () => {
  await using server = await createServer()
  await using stage = new Stage(server.port)
  const id = await stage.id("a")
  await stage.run("x", "CLIENT", "PAUSE", "100000", "WRITE")
  await stage.begin("a", "SET", "k", "1")
  await stage.run("x", "CLIENT", "UNBLOCK", id)
  await stage.run("x", "CLIENT", "UNBLOCK", id, "ERROR")
  await stage.run("x", "CLIENT", "UNPAUSE")
  expect((await (await stage.client("a")).readReply()).type).toBe("simple")
  expect(stage.seen).toEqual([
    ["x", "OK"],
    ["x", 0],
    ["x", 0],
    ["x", "OK"],
  ])
})

test("modes, reasons and ends", async () => {
  const clock = new ManualClock(1_700_000_000_000)
  await using server = await createServer({ clock })
  const { engine } = server.server
  const { pause } = engine
  const now = clock.wall()
  pause.begin("client_command", "write", now + 1000)
  pause.begin("client_command", "write", now + 500)
  expect([pause.mode, pause.untilMs - now]).toEqual(["write", 1000])
  pause.begin("shutdown_in_progress", "all", now + 2000)
  expect([pause.mode, pause.reason]).toEqual(["all", "shutdown_in_progress"])
  pause.end("client_command")
  expect(pause.mode).toBe("all")
  clock.advance(2000)
  pause.expireDue()
  expect([pause.mode, pause.reason, pause.untilMs]).toEqual(["none", "none", 0])
  expect(engine.conditions).toBe(0)
})

test("many paused clients go on in the order of their commands, and pausing again keeps it", async () => {
  await using server = await createServer()
  const { engine } = server.server
  await server.execute("CLIENT", "PAUSE", 100_000, "WRITE")
  const clients: Client[] = []
  for (let i = 0; i < 50; i++) {
    const client = await Client.connect(server.port)
    client.sendCommand("RPUSH", "order", i)
    clients.push(client)
    await until(() => engine.pause.size === i + 1, { intervalMs: 0 })
  }
  engine.pause.end("client_command")
  engine.pause.begin("client_command", "write", engine.clock.wall() + 100_000)
  engine.endTick()
  expect(engine.pause.size).toBe(50)
  expect(await server.execute("EXISTS", "order")).toBe(0)
  await server.execute("CLIENT", "UNPAUSE")
  for (const client of clients) await client.readReply()
  expect(await server.execute("LRANGE", "order", 0, -1)).toEqual(Array.from({ length: 50 }, (_, i) => String(i)))
  for (const client of clients) client.close()
  await until(() => engine.clients.size === 0)
  expect(engine.pause.size).toBe(0)
})
