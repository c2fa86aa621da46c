/** Scripts within a server: rights, tracking, monitors, statistics, memory, the cache. */
import { describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { type PlainReply, toPlain } from "../../src/resp/reply-decoder.ts"
import { Client } from "../support/client.ts"

async function connect(server: EmbeddedServer, resp: 2 | 3 = 2): Promise<Client & AsyncDisposable> {
  return Client.connect(server.port, { resp })
}

function errorOf(reply: PlainReply): string {
  return typeof reply === "object" && reply !== null && "error" in reply ? String(reply.error) : ""
}

describe("scripts in a server", () => {
  test("the interpreter is made for the first script, and one server's is not another's", async () => {
    await using one = await createServer()
    await using two = await createServer()
    const started = (server: EmbeddedServer) => server.server.scripting.host.isStarted
    await one.execute("SET", "x", "y")
    expect([started(one), started(two)]).toEqual([false, false])
    expect(await one.execute("EVAL", "math.randomseed(5) return math.random(1000)", 0)).toBeNumber()
    expect([started(one), started(two)]).toEqual([true, false])
    expect(await two.execute("SCRIPT", "EXISTS", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db")).toEqual([0])
    const [a, b] = await Promise.all([one, two].map(s => s.execute("EVAL", "return redis.call('dbsize')", 0)))
    expect([a, b]).toEqual([1, 0])
  })

  test("a script has the rights of its caller, and what it may not is noted", async () => {
    await using server = await createServer()
    await using client = await connect(server)
    await client.plain("ACL", "SETUSER", "reader", "on", "nopass", "~k*", "+eval", "+get", "+acl|whoami")
    await client.plain("AUTH", "reader", "")
    expect(await client.plain("EVAL", "return redis.call('get', 'k1')", 0)).toBeNull()
    expect(
      await client.plain("EVAL", "return {redis.acl_check_cmd('set','k1','v'), redis.acl_check_cmd('get','k1')}", 0),
    ).toEqual([null, 1])
    expect(errorOf(await client.plain("EVAL", "return redis.call('get', 'other')", 0))).toStartWith(
      "ERR ACL failure in script: No permissions to access a key script:",
    )
    expect(errorOf(await client.plain("EVAL", "return redis.pcall('set', 'k1', 'v')", 0))).toBe(
      "ERR ACL failure in script: User reader has no permissions to run the 'set' command",
    )
    const log = (await server.execute("ACL", "LOG")) as Map<string, PlainReply>[]
    expect(log.map(entry => [entry.get("context"), entry.get("object")])).toEqual([
      ["lua", "set"],
      ["lua", "other"],
    ])
    expect(String(log[0]!.get("client-info"))).toContain("cmd=eval")
    // Of an unrestricted caller afterwards, nothing is left.
    expect(await server.execute("EVAL", "return redis.call('set', 'k1', 'v').ok", 0)).toBe("OK")
  })

  test("keys read by a script are tracked for its caller", async () => {
    await using server = await createServer()
    await using client = await connect(server, 3)
    await client.plain("CLIENT", "TRACKING", "ON")
    await client.plain("EVAL", "redis.call('get', 'a') return redis.call('mget', 'b', 'c')", 0)
    await server.execute("MSET", "b", 1, "d", 1)
    expect(toPlain(await client.readPush())).toEqual(["invalidate", ["b"]])
    await client.plain("CLIENT", "TRACKING", "OFF")
    await client.plain("CLIENT", "TRACKING", "ON", "NOLOOP")
    await client.plain("GET", "a")
    await client.plain("EVAL", "redis.call('set', 'a', 1)", 0)
    await client.plain("GET", "c")
    await server.execute("SET", "c", 1)
    expect(toPlain(await client.readPush())).toEqual(["invalidate", ["c"]])
    // The keys that a script is given count only if it reads them.
    await client.plain("EVAL_RO", "redis.call('get', KEYS[2])", 2, "d", "e")
    await server.execute("MSET", "d", 1, "e", 1)
    expect(toPlain(await client.readPush())).toEqual(["invalidate", ["e"]])
  })

  test("monitors see the script, then what it calls", async () => {
    await using server = await createServer()
    await using monitor = await connect(server)
    await monitor.plain("MONITOR")
    await server.execute("EVAL", "redis.call('set', KEYS[1], 'v') return redis.call('get', KEYS[1])", 1, "k")
    const lines: string[] = []
    for (let i = 0; i < 3; i++) lines.push(String(toPlain(await monitor.readReply())).replace(/^[\d.]+ /, ""))
    expect(lines).toEqual([
      `[0 127.0.0.1:0] "EVAL" "redis.call('set', KEYS[1], 'v') return redis.call('get', KEYS[1])" "1" "k"`,
      '[0 lua] "set" "k" "v"',
      '[0 lua] "get" "k"',
    ])
  })

  test("messages and replies do not mix", async () => {
    await using server = await createServer()
    await using client = await connect(server, 3)
    client.send("SUBSCRIBE c\r\n")
    await client.readPush()
    const reply = await client.plain(
      "EVAL",
      "redis.call('publish', 'c', 'm') return {1, redis.call('publish', 'c', 'n'), 'x'}",
      0,
    )
    expect(reply).toEqual([1, 1, "x"])
  })

  test("statistics", async () => {
    await using server = await createServer()
    await server.execute("EVAL", "redis.call('set', 'k', 'v') return redis.pcall('incr', 'k')", 0)
    await server.execute("EVAL", "return redis.call('incr', 'k')", 0)
    await server.execute("EVAL", "return {redis.pcall('get'), redis.pcall('nosuch')}", 0)
    const info = String(await server.execute("INFO", "commandstats"))
    expect(info).toMatch(/cmdstat_eval:calls=3,.*rejected_calls=0,failed_calls=3\r/)
    expect(info).toMatch(/cmdstat_incr:calls=2,.*rejected_calls=0,failed_calls=2\r/)
    expect(info).toMatch(/cmdstat_get:calls=0,.*rejected_calls=1,failed_calls=0\r/)
    expect(String(await server.execute("INFO", "errorstats"))).toContain("errorstat_ERR:count=4\r")
    const memory = String(await server.execute("INFO", "memory"))
    expect(memory).toContain("number_of_cached_scripts:3\r")
    expect(memory).toMatch(/used_memory_vm_eval:[1-9]\d{4,}\r/)
    expect(memory).toMatch(/used_memory_scripts_eval:[1-9]\d{2,}\r/)
  })

  test("of EVAL's scripts the last used 500 are kept, of SCRIPT LOAD's all", async () => {
    await using server = await createServer()
    const loaded = String(await server.execute("SCRIPT", "LOAD", "return 'loaded'"))
    const first = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    for (let i = 1; i <= 499; i++) await server.execute("EVAL", `return ${i}`, 0)
    await server.execute("EVALSHA", first, 0)
    for (let i = 500; i <= 998; i++) await server.execute("EVAL", `return ${i}`, 0)
    expect(await server.execute("SCRIPT", "EXISTS", loaded, first)).toEqual([1, 1])
    await server.execute("EVAL", "return 999", 0)
    await server.execute("EVAL", "return 1000", 0)
    expect(await server.execute("SCRIPT", "EXISTS", loaded, first)).toEqual([1, 0])
    expect(String(await server.execute("INFO", "stats"))).toContain("evicted_scripts:500\r")
    // Also of those that EVAL had brought before.
    await server.execute("EVAL", "return 'both'", 0)
    const both = await server.execute("SCRIPT", "LOAD", "return 'both'")
    for (let i = 0; i < 500; i++) await server.execute("EVAL", `return ${1000 + i}`, 0)
    expect(await server.execute("EVALSHA", both as string, 0)).toBe("both")
  })

  test("a script that takes all memory gets an error, and the server goes on", async () => {
    await using server = await createServer({ config: { "lua-memory-limit": "48mb" } })
    for (const code of [
      "local s = 'x' while true do s = s .. s end",
      "local t = {} while true do t[#t + 1] = {} end",
      "return redis.call('set', 'k', string.rep('x', 1e9))",
      "return string.rep('x', 1e30)",
      "return string.rep('xyz', 1/0)",
      "return ('x'):rep(3e7):gsub('x', 'yy')",
    ]) {
      expect(errorOf(await server.execute("EVAL", code, 0))).toContain("not enough memory")
    }
    await server.execute("SET", "large", "x".repeat(40_000_000))
    expect(errorOf(await server.execute("EVAL", "return #(redis.call('get', 'large') .. 'x')", 0))).toContain(
      "not enough memory",
    )
    expect(errorOf(await server.execute("EVAL", "return 1", 0, "x".repeat(60_000_000)))).not.toBe("")
    expect(await server.execute("EVAL", "return 'still there'", 0)).toBe("still there")
    server.server.scripting.host.tidy()
    expect(await server.execute("EVAL", "return 'still there'", 0)).toBe("still there")
  })

  test("an interpreter in an unknown state is replaced, and the scripts are still known", async () => {
    await using server = await createServer()
    const sha = String(await server.execute("SCRIPT", "LOAD", "return redis.call('get', KEYS[1])"))
    await server.execute("SET", "k", "v")
    expect(await server.execute("EVALSHA", sha, 1, "k")).toBe("v")
    server.server.scripting.host.vm.isBroken = true
    expect(await server.execute("EVALSHA", sha, 1, "k")).toBe("v")
  })

  test("hostile input", async () => {
    await using server = await createServer({ config: { "lua-memory-limit": "48mb" } })
    for (const code of [
      "x".repeat(1_000_000),
      "(".repeat(100_000),
      `return ${"{".repeat(100_000)}`,
      `return ${"-".repeat(10_000)}1`,
      `return '${"\\1".repeat(10_000)}'`,
      `local ${Array.from({ length: 300 }, (_, i) => `a${i}`).join(",")}`,
      "local t = {} t[1] = t return t",
      "local t = {} for i = 1, 1e5 do t = {t} end return t",
      "local t = setmetatable({}, {__index = function(t, k) return t[k] end}) return t.x",
      "local function f() return pcall(f) end return f()",
      "local function f() pcall(f) end return f()",
      "coroutine.wrap(function() coroutine.wrap(function() error('x') end)() end)()",
      "local function f() return coroutine.wrap(f)() end return f()",
      "return redis.call(unpack({}, 1, 8000))",
      "return (''):rep(1e15)",
      "return unpack({}, 1, 1e7)",
      "return string.format(('%s'):rep(1000), unpack({}, 1, 1000))",
      "error(setmetatable({}, {__tostring = error, __index = error}))",
      "return setmetatable({}, {__index = error})",
      "return {err = setmetatable({}, {})}",
      "redis.setresp(0/0)",
      "return redis.call('set', ('x'):rep(1e6), 'y')",
      "\0",
      "return '\0'",
    ]) {
      await server.execute("EVAL", code, 0)
      expect(await server.execute("EVAL", "return 7", 0)).toBe(7)
    }
  })
})
