import { describe, expect, test } from "bun:test"
import { createServer, ManualClock } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { play } from "./stage.ts"

describe("transactions as redis-server does them", () => {
  play("queue and run", async s => {
    await s.pipeline("a", [["MULTI"], ["SET", "k", "1"], ["INCR", "k"], ["LPUSH", "k", "x"], ["GET", "k"], ["EXEC"]])
    await s.pipeline("a", [
      ["MULTI"],
      ["EXEC"],
      ["EXEC"],
      ["DISCARD"],
      ["MULTI"],
      ["SET", "k", "9"],
      ["DISCARD"],
      ["GET", "k"],
    ])
  })

  play("what is refused", async s => {
    await s.pipeline("a", [["MULTI"], ["MULTI"], ["WATCH", "k"], ["SET", "k", "1"], ["EXEC"]])
    await s.pipeline("a", [["MULTI"], ["NOSUCH", "k"], ["SET", "k", "2"], ["EXEC"], ["GET", "k"]])
    await s.pipeline("a", [["MULTI"], ["GET"], ["EXEC"], ["PING"]])
    await s.pipeline("a", [["MULTI"], ["CONFIG", "NOSUCH"], ["EXEC"], ["PING"]])
    await s.pipeline("a", [["MULTI"], ["EXEC", "x"], ["EXEC"], ["MULTI", "x"], ["DISCARD", "x"], ["WATCH"]])
    await s.pipeline("a", [["MULTI"], ["SHUTDOWN", "NOSAVE"], ["PING"], ["EXEC"]])
  })

  play("databases, and blocking commands that must not block", async s => {
    await s.pipeline("a", [
      ["MULTI"],
      ["SELECT", "3"],
      ["SET", "k", "three"],
      ["SELECT", "0"],
      ["EXISTS", "k"],
      ["EXEC"],
    ])
    await s.pipeline("a", [["MULTI"], ["BLPOP", "none", "0"], ["BLMOVE", "none", "x", "LEFT", "LEFT", "0"], ["EXEC"]])
    await s.pipeline("a", [["MULTI"], ["UNWATCH"], ["RPUSH", "l", "1", "2"], ["BLPOP", "l", "0"], ["EXEC"]])
  })

  play("watched keys that change, or do not", async s => {
    await s.run("a", "SET", "k", "1")
    for (const change of [
      ["SET", "k", "2"],
      ["GET", "k"],
      ["APPEND", "k", ""],
      ["DEL", "k"],
      ["DEL", "k"],
      ["RPUSH", "k", "x"],
      ["EXPIRE", "k", "100"],
      ["PERSIST", "k"],
      ["PERSIST", "k"],
      ["SET", "other", "1"],
      ["RENAME", "other", "k"],
      ["RENAME", "k", "other"],
      ["COPY", "other", "k"],
      ["MOVE", "k", "5"],
      ["FLUSHDB"],
      ["FLUSHALL"],
      ["SET", "k", "1"],
      ["FLUSHALL"],
    ]) {
      await s.run("a", "WATCH", "k", "k", "unrelated")
      await s.run("b", ...change)
      await s.pipeline("a", [["MULTI"], ["PING"], ["EXEC"]])
    }
  })

  play("WATCH is over after EXEC, DISCARD, UNWATCH and RESET", async s => {
    for (const over of [["EXEC"], ["DISCARD"], ["UNWATCH"], ["RESET"]]) {
      await s.run("a", "WATCH", "k")
      if (over[0] === "EXEC" || over[0] === "DISCARD") await s.run("a", "MULTI")
      await s.run("a", ...over)
      await s.run("b", "INCR", "k")
      await s.pipeline("a", [["MULTI"], ["PING"], ["EXEC"]])
    }
    await s.run("a", "WATCH", "k")
    await s.run("b", "INCR", "k")
    await s.run("a", "UNWATCH")
    await s.pipeline("a", [["MULTI"], ["PING"], ["EXEC"]])
  })

  play("WATCH sees its own client's changes, and is per database", async s => {
    await s.pipeline("a", [["WATCH", "k"], ["SET", "k", "1"], ["MULTI"], ["PING"], ["EXEC"]])
    await s.run("a", "WATCH", "k")
    await s.pipeline("b", [
      ["SELECT", "1"],
      ["SET", "k", "1"],
    ])
    await s.pipeline("a", [["MULTI"], ["PING"], ["EXEC"]])
    await s.pipeline("a", [["SELECT", "1"], ["WATCH", "k"], ["SELECT", "0"], ["WATCH", "x"], ["MULTI"], ["PING"]])
    await s.run("b", "DEL", "k")
    await s.run("a", "EXEC")
  })

  play("SWAPDB", async s => {
    await s.pipeline("b", [
      ["SELECT", "1"],
      ["SET", "one", "1"],
      ["SELECT", "0"],
      ["SET", "zero", "1"],
    ])
    for (const key of ["zero", "one", "neither"]) {
      await s.run("a", "WATCH", key)
      await s.run("b", "SWAPDB", "0", "1")
      await s.pipeline("a", [["MULTI"], ["PING"], ["EXEC"]])
    }
    await s.run("a", "WATCH", "zero")
    await s.run("b", "SWAPDB", "2", "3")
    await s.pipeline("a", [["MULTI"], ["PING"], ["EXEC"]])
  })

  play("keys past their expiry that nobody removes", async s => {
    await s.pipeline("b", [
      ["DEBUG", "SET-ACTIVE-EXPIRE", "0"],
      ["SET", "k", "v", "PX", "1"],
    ])
    await Bun.sleep(5)
    await s.pipeline("a", [["WATCH", "k"], ["MULTI"], ["PING"], ["EXEC"]])
    await s.run("a", "WATCH", "k")
    await s.run("b", "GET", "k")
    await s.pipeline("a", [["MULTI"], ["PING"], ["EXEC"]])
    await s.run("a", "WATCH", "k")
    await s.run("b", "SET", "k", "new")
    await s.pipeline("a", [["MULTI"], ["PING"], ["EXEC"], ["DEBUG", "SET-ACTIVE-EXPIRE", "1"]])
  })

  play("CLIENT REPLY OFF and SKIP inside", async s => {
    await s.pipeline("a", [["MULTI"], ["SET", "k", "1"], ["EXEC"], ["CLIENT", "REPLY", "ON"], ["GET", "k"]])
    ;(await s.client("a")).sendCommand("CLIENT", "REPLY", "SKIP")
    ;(await s.client("a")).sendCommand("MULTI")
    await s.pipeline("a", [["SET", "k", "2"], ["EXEC"], ["GET", "k"]])
  })
})

test("a key that expires between WATCH and EXEC fails the transaction", async () => {
  const clock = new ManualClock(1_700_000_000_000)
  await using server = await createServer({ clock })
  await server.execute("SET", "k", "v", "PX", 100)
  await server.execute("WATCH", "k")
  await server.execute("MULTI")
  await server.execute("PING")
  clock.advance(101)
  expect(await server.execute("EXEC")).toBeNull()
  await server.execute("WATCH", "k")
  await server.execute("MULTI")
  await server.execute("PING")
  expect(await server.execute("EXEC")).toEqual(["PONG"])
})

test("nothing is left of a client that disconnects in a transaction", async () => {
  await using server = await createServer()
  const { engine } = server.server
  const client = await Client.connect(server.port)
  await client.plain("WATCH", "a", "b", "c")
  await client.plain("MULTI")
  await client.plain("SET", "a", "1")
  expect(engine.transactions.watches.size).toBe(3)
  expect(engine.transactions.watches.watcherCount).toBe(1)
  expect(engine.keyspace.events.interested).toBe(true)
  const line = String(await server.execute("CLIENT", "LIST"))
  expect(line).toContain(" multi=1 watch=3 ")
  client.close()
  while (engine.clients.size > 0) await Bun.sleep(1)
  expect(engine.transactions.watches.size).toBe(0)
  expect(engine.transactions.watches.watcherCount).toBe(0)
  expect(engine.keyspace.events.interested).toBe(false)
})

test("a transaction larger than the query buffer limit closes its client", async () => {
  await using server = await createServer({ config: { "client-query-buffer-limit": "1mb" } })
  await using client = await Client.connect(server.port)
  await client.plain("MULTI")
  const value = "x".repeat(300_000)
  for (let i = 0; i < 4; i++) client.sendCommand("SET", "k", value)
  await client.closed
  expect(server.server.engine.clients.size).toBe(0)
})

test("what a transaction changes is propagated as one", async () => {
  await using server = await createServer()
  const { engine } = server.server
  const written: string[] = []
  engine.propagator.enabled = true
  engine.sinks.push({
    write: (bytes, start, end) => void written.push(Buffer.from(bytes.slice(start, end)).toString()),
    flush: () => {},
  })
  const take = () =>
    written
      .splice(0)
      .join("")
      .replace(/[*$]\d+\r\n/g, "")
      .replaceAll("\r\n", " ")
      .trim()
  const run = async (...commands: string[]) => {
    for (const command of commands) await server.execute(...command.split(" "))
    return take()
  }
  expect(await run("MULTI", "SET a 1", "GET a", "INCR a", "EXEC")).toBe("MULTI SELECT 0 SET a 1 INCR a EXEC")
  expect(await run("MULTI", "GET a", "SET b 1", "EXEC")).toBe("SET b 1")
  expect(await run("MULTI", "GET a", "EXEC")).toBe("")
  expect(await run("MULTI", "SELECT 1", "SET a 1", "EXEC", "SELECT 0")).toBe("SELECT 1 SET a 1")
  expect(await run("MULTI", "SET a 1", "DISCARD", "SET c 1")).toBe("SELECT 0 SET c 1")
})
