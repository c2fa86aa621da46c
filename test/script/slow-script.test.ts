/** Scripts that take longer than busy-reply-threshold: what others get meanwhile, and how it ends. */
import { describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { startBundis } from "../support/process.ts"
import { TempDir } from "../support/temp-dir.ts"

/** Lua that takes a tenth of a second. */
const WAIT = "local began = os.clock() while os.clock() - began < 0.1 do for i = 1, 1e4 do end end "
const BUSY = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
const KILLED = /^ERR Script killed by user with SCRIPT KILL\.\.\. script: [0-9a-f]{40}, on @user_script:1\.$/

async function start(config: Record<string, string | number> = {}): Promise<{
  server: EmbeddedServer
  caller: Client
  other: Client
  connect: () => Promise<Client>
  [Symbol.asyncDispose]: () => Promise<void>
}> {
  const server = await createServer({ config: { "busy-reply-threshold": 10, ...config } })
  const clients: Client[] = []
  const connect = async () => {
    const client = await Client.connect(server.port)
    clients.push(client)
    return client
  }
  return {
    server,
    caller: await connect(),
    other: await connect(),
    connect,
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.close()
      await server.close()
    },
  }
}

const error = async (client: Client, ...args: (string | number)[]): Promise<string> => {
  const reply = await client.plain(...args)
  return typeof reply === "object" && reply !== null && "error" in reply ? String(reply.error) : `reply ${reply}`
}

/** Until others get BUSY. */
function busy(other: Client): Promise<unknown> {
  return until(async () => (await error(other, "GET", "x")) === BUSY, { what: "BUSY" })
}

/** Scripts that catch the error that is to end them, and have nothing more to do then. */
const CATCHES = new Set(["a loaded chunk", "an error handler", "the handler of an error in redis.call"])

describe("slow scripts", () => {
  const endless: Record<string, string> = {
    "a loop": "while true do end",
    "a loop in pcall": "while true do pcall(function() while true do end end) end",
    "a loop in pcall with calls": "while true do pcall(function() while true do redis.call('get', 'x') end end) end",
    "a comparison": "local t = {} for i = 1, 1e5 do t[i] = i end table.sort(t, function() while true do end end)",
    "a replacement": "string.gsub('x', '.', function() while true do end end)",
    "a metamethod": "local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
    "a coroutine": "coroutine.wrap(function() while true do end end)()",
    "a loaded chunk": "load(function() while true do end end)",
    "an error handler": "xpcall(error, function() while true do end end)",
    "the handler of an error in redis.call": "xpcall(function() redis.call('x') end, function() while true do end end)",
  }
  for (const [name, code] of Object.entries(endless)) {
    test(`${name} can be killed`, async () => {
      await using s = await start()
      const reply = error(s.caller, "EVAL", code, 0)
      await busy(s.other)
      expect(await s.other.plain("SCRIPT", "KILL")).toBe("OK")
      // What catches errors may take one for its own; then it is killed where it goes on.
      await until(async () => (await s.other.plain("PING")) === "PONG")
      expect(await reply).toMatch(CATCHES.has(name) ? /killed|reply null/ : /killed/)
      expect(await s.caller.plain("PING")).toBe("PONG")
      expect(await error(s.other, "SCRIPT", "KILL")).toBe("NOTBUSY No scripts in execution right now.")
    })
  }

  test("the error names script and place", async () => {
    await using s = await start()
    const reply = error(s.caller, "EVAL", "while true do end", 0)
    await busy(s.other)
    await s.other.plain("SCRIPT", "KILL")
    expect(await reply).toMatch(KILLED)
  })

  test("others may do little", async () => {
    await using s = await start()
    const reply = error(s.caller, "EVAL", "while true do end", 0)
    await busy(s.other)
    for (const command of ["PING", "SET x 1", "EVAL return 0", "SCRIPT FLUSH", "FUNCTION LIST", "SHUTDOWN", "INFO"]) {
      const words = command.split(" ")
      expect([command, await error(s.other, ...(words[0] === "EVAL" ? ["EVAL", "return 1", 0] : words))]).toEqual([
        command,
        BUSY,
      ])
    }
    for (const command of ["MULTI", "DISCARD", "WATCH x", "UNWATCH"]) {
      expect(await s.other.plain(...command.split(" "))).toBe("OK")
    }
    await s.other.plain("MULTI")
    expect(await error(s.other, "INCR", "x")).toBe(BUSY)
    expect(await error(s.other, "EXEC")).toStartWith("EXECABORT")
    const late = await s.connect()
    expect(await error(late, "PING")).toBe(BUSY)
    await s.other.plain("SCRIPT", "KILL")
    await reply
  })

  test("one that has written goes on to its end, and its effects are one unit behind it", async () => {
    await using dir = new TempDir()
    await using s = await start({ appendonly: "yes", dir: dir.path })
    const waiting = await s.connect()
    const popped = waiting.plain("BLPOP", "list", 0)
    await s.other.plain("SET", "n", "0")
    const code =
      "redis.call('rpush', 'list', 'a') redis.call('set', 'brief', 'x', 'px', 1) " +
      "while redis.call('get', 'n') == '0' do " +
      WAIT +
      "  redis.call('incr', 'n') " +
      "end " +
      "redis.call('rpush', 'list', 'b') return {redis.call('llen', 'list'), redis.call('get', 'brief')}"
    const reply = s.caller.plain("EVAL", code, 0)
    await busy(s.other)
    expect(await error(s.other, "SCRIPT", "KILL")).toStartWith(
      "UNKILLABLE Sorry the script already executed write commands",
    )
    expect((await Bun.file(`${dir.path}/appendonlydir/database.aof.1.incr.aof`).text()).includes("rpush")).toBe(false)
    expect(await reply).toEqual([2, "x"])
    expect(await popped).toEqual(["list", "a"])
    const written = (await Bun.file(`${dir.path}/appendonlydir/database.aof.1.incr.aof`).text())
      .split("\r\n")
      .filter(word => word !== "" && !/^[*$]/.test(word))
      .map(word => (/^\d{13}$/.test(word) ? "?" : word))
    const unit = written.slice(written.indexOf("MULTI"), written.indexOf("EXEC") + 1)
    expect(unit).toEqual([
      "MULTI",
      "rpush",
      "list",
      "a",
      "SET",
      "brief",
      "x",
      "PXAT",
      "?",
      "incr",
      "n",
      "rpush",
      "list",
      "b",
      "EXEC",
    ])
  })

  test("the caller may leave", async () => {
    await using s = await start()
    const leaving = await s.connect()
    const reply = leaving.plain("EVAL", `${WAIT} redis.call('set', 'done', 'yes')`, 0)
    await busy(s.other)
    leaving.close()
    await reply.catch(() => {})
    await until(async () => (await s.other.plain("GET", "done")) === "yes", { timeoutMs: 20_000 })
  })

  test("the caller's next requests wait; CLIENT REPLY SKIP holds", async () => {
    await using s = await start()
    const frames = s.caller.pipeline([
      ["EVAL", `${WAIT} return 'slow'`, 0],
      ["PING"],
      ["EVAL", `${WAIT} return redis.call('nosuch')`, 0],
      ["PING"],
    ])
    expect((await frames).map(frame => Buffer.from(frame).toString().slice(0, 12))).toEqual([
      "$4\r\nslow\r\n",
      "+PONG\r\n",
      "-ERR Unknown",
      "+PONG\r\n",
    ])
    expect(await s.other.plain("INFO", "errorstats")).toContain("errorstat_ERR:count=1")
    const stats = String(await s.other.plain("INFO", "commandstats"))
    expect(stats).toMatch(/cmdstat_eval:calls=2,usec=\d{4,}/)
  })

  test("a slow script is in the slow log once", async () => {
    await using s = await start({ "slowlog-log-slower-than": 1000 })
    await s.caller.plain("EVAL", WAIT, 0)
    const log = (await s.other.plain("SLOWLOG", "GET")) as unknown[][]
    expect(log.map(entry => (entry[3] as string[])[0])).toEqual(["EVAL"])
    expect(Number(log[0]![2])).toBeGreaterThan(5000)
  })

  test("inside EXEC, which goes on after it", async () => {
    await using dir = new TempDir()
    await using s = await start({ appendonly: "yes", dir: dir.path })
    const slow = `${WAIT} return redis.call('rpush', 'l', ARGV[1])`
    const replies = s.caller.pipeline([
      ["MULTI"],
      ["RPUSH", "l", "before"],
      ["EVAL", slow, 0, "first"],
      ["RPUSH", "l", "between"],
      ["EVAL", slow, 0, "second"],
      ["EVAL", `${WAIT} return redis.call('nosuch')`, 0],
      ["LRANGE", "l", 0, -1],
      ["EXEC"],
      ["PING"],
    ])
    await busy(s.other)
    const all = (await replies).map(frame => Buffer.from(frame).toString())
    expect(all.at(-2)).toMatch(
      /^\*6\r\n:1\r\n:2\r\n:3\r\n:4\r\n-ERR Unknown Redis command .*\r\n\*4\r\n\$6\r\nbefore\r\n.*\r\nfirst\r\n.*\r\nbetween\r\n.*\r\nsecond\r\n$/s,
    )
    expect(all.at(-1)).toBe("+PONG\r\n")
    const stats = String(await s.other.plain("INFO", "commandstats"))
    expect(stats).toContain("cmdstat_exec:calls=1,")
    expect(stats).toContain("cmdstat_eval:calls=3,")
    expect(stats).toContain("cmdstat_rpush:calls=4,")
    const written = (await Bun.file(`${dir.path}/appendonlydir/database.aof.1.incr.aof`).text())
      .split("\r\n")
      .filter(word => word !== "" && !/^[*$]/.test(word))
      .join(" ")
    expect(written).toContain("MULTI")
    expect(written.match(/MULTI/g)).toHaveLength(1)
    expect(written).toMatch(/MULTI .*before.*first.*between.*second EXEC$/)
    await s.caller.plain("SET", "x", "y")
    expect(await s.other.plain("GET", "x")).toBe("y")
  })

  test("inside EXEC it can be killed, and its client may leave", async () => {
    await using s = await start()
    await s.caller.plain("MULTI")
    await s.caller.plain("EVAL", "while true do end", 0)
    await s.caller.plain("SET", "after", "1")
    const reply = s.caller.plain("EXEC")
    await busy(s.other)
    expect(await s.other.plain("SCRIPT", "KILL")).toBe("OK")
    const [killed, set] = (await reply) as [{ error: string }, string]
    expect(killed.error).toMatch(KILLED)
    expect(set).toBe("OK")
    const leaving = await s.connect()
    await leaving.plain("MULTI")
    await leaving.plain("EVAL", WAIT, 0)
    await leaving.plain("SET", "left", "1")
    leaving.plain("EXEC").catch(() => {})
    await busy(s.other)
    leaving.close()
    await until(async () => (await s.other.plain("GET", "left")) === "1")
  })

  test("with a threshold of 0 nobody is told anything", async () => {
    await using s = await start({ "busy-reply-threshold": 0 })
    const reply = s.caller.plain("EVAL", `${WAIT} return 1`, 0)
    expect(await s.other.plain("PING")).toBe("PONG")
    expect(await reply).toBe(1)
  })

  test("SHUTDOWN NOSAVE ends the server", async () => {
    await using server = await startBundis(["--busy-reply-threshold", "10", "--appendonly", "no", "--save", ""])
    const caller = await Client.connect(server.port)
    const other = await Client.connect(server.port)
    const reply = caller.plain("EVAL", "redis.call('set', 'x', 1) while true do end", 0).catch(() => "lost")
    await busy(other)
    await other.plain("SHUTDOWN", "NOSAVE").catch(() => {})
    expect(await reply).toBe("lost")
    expect(await server.exited).toBe(0)
  })
})
