/** Function libraries in a server: what is kept and told to others, and what happens when a library misbehaves. */
import { describe, expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { createServer, type EmbeddedServer, ManualClock } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { TempDir } from "../support/temp-dir.ts"

const ONE = "#!lua name=one\nredis.register_function('f', function(k, a) return redis.call('SET', k[1], a[1]) end)"
const TWO =
  "#!lua name=two\nredis.register_function{function_name='g', callback=function() return 2 end, flags={'no-writes'}}"
const COUNTER = `#!lua name=counter
local n = 0
redis.register_function('count', function() n = n + 1 return n end)`

async function names(server: EmbeddedServer): Promise<string[]> {
  const libraries = (await server.execute("FUNCTION", "LIST")) as unknown as Map<string, string>[]
  return libraries.map(library => library.get("library_name")!)
}

async function field(server: EmbeddedServer, name: string): Promise<number> {
  const text = String(await server.execute("INFO", "everything"))
  return Number(new RegExp(`^${name}:(\\d+)`, "m").exec(text)?.[1])
}

describe("kept and told", () => {
  test("by the append-only file: libraries as they were loaded, calls as their effects", async () => {
    await using dir = new TempDir()
    const config = { appendonly: "yes", appendfsync: "no", dir: dir.path }
    {
      await using server = await createServer({ config })
      await server.execute("FUNCTION", "LOAD", ONE)
      await server.execute("FUNCTION", "LOAD", TWO)
      await server.execute("FCALL", "f", 1, "key", "value")
      await server.execute("FCALL", "g", 0)
      const payload = await server.executeReply("FUNCTION", "DUMP")
      await server.execute("FUNCTION", "FLUSH")
      await server.execute("FUNCTION", "LOAD", COUNTER)
      await server.execute("FUNCTION", "DELETE", "counter")
      if (payload.type === "bulk") await server.execute("FUNCTION", "RESTORE", payload.value)
      await server.execute("FUNCTION", "LOAD", "#!lua name=bad\nx = 1")
    }
    const folder = dir.join("appendonlydir")
    const written = readdirSync(folder)
      .filter(name => name.includes("incr"))
      .map(name => readFileSync(`${folder}/${name}`, "latin1"))
      .join("")
    expect(written).toContain("SET\r\n$3\r\nkey\r\n$5\r\nvalue")
    expect(written).not.toContain("FCALL")
    expect(written).not.toContain("name=bad")
    await using server = await createServer({ config })
    expect((await names(server)).sort()).toEqual(["one", "two"])
    expect(await server.execute("FCALL", "g", 0)).toBe(2)
    expect(await server.execute("GET", "key")).toBe("value")
  })

  test("by a snapshot", async () => {
    await using dir = new TempDir()
    {
      await using server = await createServer({ config: { dir: dir.path } })
      await server.execute("FUNCTION", "LOAD", ONE)
      await server.execute("FUNCTION", "LOAD", COUNTER)
      expect(await server.execute("SAVE")).toBe("OK")
    }
    await using server = await createServer({ config: { dir: dir.path } })
    expect((await names(server)).sort()).toEqual(["counter", "one"])
    expect(await server.execute("FCALL", "count", 0)).toBe(1)
  })

  test("INFO counts them", async () => {
    await using server = await createServer()
    const before = await field(server, "used_memory_functions")
    await server.execute("FUNCTION", "LOAD", ONE)
    await server.execute("FUNCTION", "LOAD", TWO)
    expect(await field(server, "number_of_functions")).toBe(2)
    expect(await field(server, "number_of_libraries")).toBe(2)
    expect(await field(server, "used_memory_functions")).toBeGreaterThan(before + ONE.length + TWO.length)
    expect(await field(server, "used_memory_vm_functions")).toBeGreaterThan(10_000)
    await server.execute("FUNCTION", "FLUSH")
    expect(await field(server, "number_of_functions")).toBe(0)
    expect(await field(server, "used_memory_functions")).toBe(before)
  })

  test("a thousand libraries leave nothing behind", async () => {
    await using server = await createServer()
    await server.execute("FUNCTION", "LOAD", ONE)
    await server.execute("FUNCTION", "FLUSH")
    const before = await field(server, "used_memory_vm_functions")
    for (let i = 0; i < 1000; i++) {
      const code = `#!lua name=l${i}\nredis.register_function('f${i}', function() return '${"x".repeat(100)}${i}' end)`
      await server.execute("FUNCTION", "LOAD", code)
    }
    expect(await field(server, "used_memory_vm_functions")).toBeGreaterThan(before + 200_000)
    await server.execute("FUNCTION", "FLUSH", "ASYNC")
    expect(await field(server, "used_memory_vm_functions")).toBeLessThan(before + 5000)
    expect(await field(server, "lazyfreed_objects")).toBe(1001)
  })
})

test("flushing again and again leaves nothing behind in the interpreter", async () => {
  await using server = await createServer()
  const round = async (): Promise<number> => {
    await server.execute("EVAL", "return 1", 0)
    await server.execute("FUNCTION", "LOAD", TWO)
    await server.execute("SCRIPT", "FLUSH")
    await server.execute("FUNCTION", "FLUSH")
    return server.server.scripting.host.vm.api.__indirect_function_table.length
  }
  const before = await round()
  for (let i = 0; i < 20; i++) expect(await round()).toBe(before)
  expect(await server.execute("EVAL", "return cjson.encode({1})", 0)).toBe("[1]")
})

describe("a function that takes its time", () => {
  const SLOW = `#!lua name=slow
    redis.register_function('loop', function() local a = 1 while true do a = a + 1 end end)`

  test("is shown by FUNCTION STATS and ended by FUNCTION KILL", async () => {
    await using server = await createServer({ config: { "busy-reply-threshold": 1 } })
    await using caller = await Client.connect(server.port)
    await using other = await Client.connect(server.port)
    await caller.call("FUNCTION", "LOAD", SLOW)
    const answer = caller.plain("FCALL", "LOOP", 1, "k", "a")
    const ask = async (...words: string[]): Promise<string> => JSON.stringify(await other.plain(...words))
    await until(async () => (await ask("PING")).includes("BUSY"), { what: "BUSY" })
    expect(await ask("GET", "x")).toContain(
      "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
    )
    const stats = (await other.plain("FUNCTION", "STATS")) as unknown[]
    expect(stats[0]).toBe("running_script")
    const running = stats[1] as unknown[]
    expect(running.slice(0, 4)).toEqual(["name", "loop", "command", ["FCALL", "LOOP", "1", "k", "a"]])
    expect(await ask("SCRIPT", "KILL")).toContain("BUSY")
    expect(await ask("FUNCTION", "LOAD", ONE)).toContain("BUSY")
    expect(await other.plain("FUNCTION", "KILL")).toBe("OK")
    expect(JSON.stringify(await answer)).toContain("Script killed by user")
    expect(await other.plain("PING")).toBe("PONG")
    expect(((await other.plain("FUNCTION", "STATS")) as unknown[])[1]).toBeNull()
  })
})

describe("a library that misbehaves", () => {
  test("may not take longer than half a second to load", async () => {
    const clock = new ManualClock(1_700_000_000_000)
    const asked = clock.monotonicMicros.bind(clock)
    // Every look at the clock takes ten milliseconds.
    clock.monotonicMicros = () => {
      clock.advance(10)
      return asked()
    }
    await using server = await createServer({ clock })
    const reply = await server.executeReply("FUNCTION", "LOAD", "#!lua name=a\nwhile true do end")
    expect(reply).toMatchObject({ type: "error", value: "ERR Error registering functions: ERR FUNCTION LOAD timeout" })
    expect(await server.execute("FUNCTION", "LOAD", TWO)).toBe("two")
  })

  for (const [what, code] of [
    ["takes all memory", "local s = 'x' while true do s = s .. s end"],
    ["calls itself for ever", "local function f() return 1 + f() end f()"],
    ["nests for ever", "local t = {} local u = t for i = 1, 1e9 do u[1] = {i} u = u[1] end"],
    [
      "registers a million functions",
      "for i = 1, 3e5 do redis.register_function('f' .. i, function() return i end) end",
    ],
  ] as const) {
    test(`that ${what} is an error, and nothing of it stays`, async () => {
      await using server = await createServer({ config: { "lua-memory-limit": "32mb" } })
      await server.execute("FUNCTION", "LOAD", TWO)
      const reply = await server.executeReply("FUNCTION", "LOAD", `#!lua name=bad\n${code}`)
      expect(reply).toMatchObject({ type: "error", value: expect.stringContaining("Error registering functions") })
      expect(await names(server)).toEqual(["two"])
      expect(await server.execute("FCALL", "g", 0)).toBe(2)
      expect(await server.execute("FUNCTION", "LOAD", ONE)).toBe("one")
      expect(await server.execute("FUNCTION", "FLUSH")).toBe("OK")
    })
  }

  test("and takes all memory when called is an error, and so is the script of others", async () => {
    await using server = await createServer({ config: { "lua-memory-limit": "32mb" } })
    const code = "local t = {} local u = t for i = 1, 1e9 do u[1] = {i} u = u[1] end"
    await server.execute("FUNCTION", "LOAD", `#!lua name=bad\nredis.register_function('eat', function() ${code} end)`)
    await server.execute("FUNCTION", "LOAD", COUNTER)
    await server.execute("FCALL", "count", 0)
    for (const command of [
      ["FCALL", "eat", 0],
      ["EVAL", code, 0],
      ["EVAL", `return {pcall(function() ${code} end)}`, 0],
    ]) {
      expect(JSON.stringify(await server.execute(...command))).toContain("not enough memory")
      expect(await server.execute("EVAL", "return #KEYS", 2, "a", "b")).toBe(2)
    }
    // Nothing had to be loaded again.
    expect(await server.execute("FCALL", "count", 0)).toBe(2)
  })

  test("loses nothing when the interpreter had to be given up", async () => {
    await using server = await createServer()
    await server.execute("FUNCTION", "LOAD", COUNTER)
    await server.execute("FUNCTION", "LOAD", TWO)
    expect(await server.execute("FCALL", "count", 0)).toBe(1)
    expect(await server.execute("FCALL", "count", 0)).toBe(2)
    const { host } = server.server.scripting
    ;(host as unknown as { giveUp(): void }).giveUp()
    expect(await server.execute("FCALL", "g", 0)).toBe(2)
    expect(await server.execute("FCALL", "count", 0)).toBe(1)
    expect(await server.execute("FUNCTION", "DELETE", "two")).toBe("OK")
    expect(await server.execute("FUNCTION", "LOAD", ONE)).toBe("one")
    expect((await names(server)).sort()).toEqual(["counter", "one"])
  })
})
