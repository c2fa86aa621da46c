/**
 * The comparison harness tested on itself: a redis-server against another redis-server must agree on everything, and a
 * server that lies must be found out.
 */
import { describe, expect, test } from "bun:test"
import { Client, ConnectionLost } from "../support/client.ts"
import { formatCommand, parseCommands } from "../support/command.ts"
import {
  agree,
  compareCommands,
  compareKeyspaces,
  compareText,
  type Looser,
  ReplyMismatch,
} from "../support/compare.ts"
import { until } from "../support/condition.ts"
import { CommandGenerator, compileTemplate } from "../support/generator.ts"
import { minimise } from "../support/minimise.ts"
import { oracleAvailable, sharedOracle, startOracle } from "../support/oracle.ts"
import { OracleFamily, oracleFamily } from "../support/oracle-family.ts"
import { Random } from "../support/random.ts"

const wire = (text: string) => Buffer.from(text)

describe("agree", () => {
  const cases: [ours: string, theirs: string, looser: Looser, expected: boolean][] = [
    ["+OK\r\n", "+OK\r\n", {}, true],
    ["+OK\r\n", "$2\r\nOK\r\n", {}, false],
    ["$-1\r\n", "*-1\r\n", {}, false],
    ["$-1\r\n", "_\r\n", { doubles: true, approx: 1, unordered: true }, false],
    ["*2\r\n:1\r\n:2\r\n", "*2\r\n:2\r\n:1\r\n", {}, false],
    ["*2\r\n:1\r\n:2\r\n", "*2\r\n:2\r\n:1\r\n", { unordered: true }, true],
    ["*2\r\n:1\r\n:1\r\n", "*2\r\n:2\r\n:1\r\n", { unordered: true }, false],
    ["*2\r\n:1\r\n:2\r\n", "~2\r\n:2\r\n:1\r\n", { unordered: true }, false],
    ["~2\r\n:1\r\n:2\r\n", "~2\r\n:2\r\n:1\r\n", { unordered: "pairs" }, true],
    ["*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "*4\r\n:3\r\n:4\r\n:1\r\n:2\r\n", { unordered: "pairs" }, true],
    ["*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "*4\r\n:3\r\n:2\r\n:1\r\n:4\r\n", { unordered: "pairs" }, false],
    ["%2\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "%2\r\n:3\r\n:4\r\n:1\r\n:2\r\n", {}, false],
    ["%2\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "%2\r\n:3\r\n:4\r\n:1\r\n:2\r\n", { unordered: true }, true],
    ["%2\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "%2\r\n:3\r\n:2\r\n:1\r\n:4\r\n", { unordered: true }, false],
    [",0.1\r\n", ",0.10000000000000001\r\n", {}, false],
    [",0.1\r\n", ",0.10000000000000001\r\n", { doubles: true }, true],
    [",0.1\r\n", ",0.2\r\n", { doubles: true }, false],
    ["$3\r\n0.1\r\n", "$19\r\n0.10000000000000001\r\n", { doubles: true }, true],
    ["$3\r\n0.1\r\n", ",0.1\r\n", { doubles: true }, false],
    ["$3\r\ninf\r\n", "$3\r\ninf\r\n", { doubles: true }, true],
    [":100\r\n", ":98\r\n", { approx: 2 }, true],
    [":100\r\n", ":97\r\n", { approx: 2 }, false],
    [":1\r\n", ":-1\r\n", { sameShape: true }, true],
    [":1\r\n", "$1\r\n1\r\n", { sameShape: true }, false],
    ["-ERR a\r\n", "-ERR b\r\n", {}, false],
    ["-ERR a\r\n", "-ERR b\r\n", { errorCode: true }, true],
    ["-ERR a\r\n", "-WRONGTYPE b\r\n", { errorCode: true }, false],
    ["+OK\r\n", "-ERR a\r\n", { errorCode: true }, false],
    ["+OK\r\n", "-ERR a\r\n", { ignore: true }, true],
    ["*2\r\n$1\r\n5\r\n*2\r\n+a\r\n+b\r\n", "*2\r\n$1\r\n9\r\n*2\r\n+b\r\n+a\r\n", { scan: true }, true],
    ["*2\r\n$1\r\n0\r\n*1\r\n+a\r\n", "*2\r\n$1\r\n9\r\n*1\r\n+a\r\n", { scan: true }, true],
    ["*2\r\n$1\r\n0\r\n*1\r\n+a\r\n", "*2\r\n$1\r\n0\r\n*1\r\n+b\r\n", { scan: true }, false],
    ["-WRONGTYPE x\r\n", "*2\r\n$1\r\n0\r\n*1\r\n+b\r\n", { scan: true }, false],
  ]
  for (const [ours, theirs, looser, expected] of cases) {
    test(`${JSON.stringify(ours)} and ${JSON.stringify(theirs)} with ${JSON.stringify(looser)}: ${expected}`, () => {
      expect(agree(wire(ours), wire(theirs), looser)).toBe(expected)
      expect(agree(wire(theirs), wire(ours), looser)).toBe(expected)
    })
  }
})

describe("commands as text", () => {
  test("any command survives printing and parsing", () => {
    const random = new Random()
    const generator = new CommandGenerator({ commands: { "SET key value [field] [garbage]": 1 } })
    for (const command of [...generator.round(random, 500)].flat()) {
      const [parsed] = parseCommands(formatCommand(command))
      const bytes = (args: typeof command) => args.map(arg => Buffer.from(arg as string).toString("hex"))
      expect(bytes(parsed!)).toEqual(bytes(command))
    }
  })
})

describe("generator", () => {
  test("the same seed gives the same commands", () => {
    const generator = new CommandGenerator({ commands: { "SET key value [NX|XX]": 2, "GET key": 1 } })
    const make = (seed: number) => [...generator.round(new Random(seed), 200)].flat().map(formatCommand)
    expect(make(7)).toEqual(make(7))
    expect(make(7)).not.toEqual(make(8))
  })

  test("commands that belong together stay together, and what must not be spoilt is not", () => {
    const generator = new CommandGenerator({
      commands: { "MULTI ; SET key value ; EXEC": 1, "BLPOP key 1": 1 },
      spoilOneIn: 2,
      mayBeSpoilt: command => String(command[0]).toUpperCase() !== "BLPOP",
    })
    const groups = [...generator.round(new Random(), 1000)]
    for (const group of groups) {
      if (group.length === 3) expect([group[0], group[2]].flat().join(" ").toUpperCase()).toBe("MULTI EXEC")
      else expect([group.length, group[0]!.length]).toEqual([1, 3])
    }
    expect(groups.some(group => group.length === 3 && group[1]!.length !== 3)).toBe(true)
  })

  test("templates: optional, alternatives, groups, repetition, quotes", () => {
    const dictionary = { a: () => "1", b: () => "2" }
    const emit = compileTemplate("CMD (a|b X)... [OPT a] 'Quoted text'", dictionary)
    const seen = new Set<string>()
    const random = new Random()
    for (let i = 0; i < 2000; i++) {
      const out: string[] = []
      emit(out as never, random, { keys: 1, members: 1, valueBytesMax: 1 })
      const text = out.join(" ")
      expect(text).toMatch(/^cmd (1 |2 x )+(opt 1 )?Quoted text$/i)
      seen.add(text.toUpperCase())
    }
    expect(seen.has("CMD 1 2 X OPT 1 QUOTED TEXT")).toBe(true)
    expect(() => compileTemplate("CMD (a", dictionary)).toThrow("expected )")
    expect(() => compileTemplate("CMD a]", dictionary)).toThrow("expected the end")
    expect(() => compileTemplate("CMD c", dictionary)).toThrow('unknown word "c"')
  })

  test("minimise finds the few items that matter", async () => {
    const sequence = Array.from({ length: 1000 }, (_, i) => i)
    const failsAt = async (candidate: readonly number[]) => {
      const at = candidate.indexOf(777)
      return at >= 0 && candidate.indexOf(13) < at && candidate.includes(13) ? at : null
    }
    expect(await minimise(sequence, failsAt)).toEqual({ sequence: [13, 777], reproduced: true })
    expect((await minimise([1, 2], async () => null)).reproduced).toBe(false)
  })
})

describe.skipIf(!oracleAvailable)("client", () => {
  test("calls, pipelines, exact bytes, RESP3", async () => {
    const oracle = await sharedOracle()
    await using client = await oracle.connect()
    expect(await client.call("SET", "k", Uint8Array.of(0, 255))).toEqual({ type: "simple", value: "OK" })
    expect(Buffer.from(await client.raw("GET", "k")).toString("latin1")).toBe("$2\r\n\x00\xff\r\n")
    expect(await client.plain("LPUSH", "k", 1)).toEqual({
      error: "WRONGTYPE Operation against a key holding the wrong kind of value",
    })
    const replies = await client.pipeline([
      ["INCR", "n"],
      ["INCRBY", "n", 10n],
      ["GET", "nokey"],
    ])
    expect(Buffer.concat(replies).toString()).toBe(":1\r\n:11\r\n$-1\r\n")
    await using resp3 = await oracle.connect({ resp: 3 })
    expect(await resp3.call("GET", "nokey")).toEqual({ type: "null", form: "null" })
    resp3.sendCommand("SUBSCRIBE", "c")
    expect((await resp3.readPush()).type).toBe("push")
    await client.call("PUBLISH", "c", "hello")
    expect(await resp3.plain("PING")).toBe("PONG")
    expect(Buffer.from((await resp3.readRawPushes(1))[0]!).toString()).toContain("hello")
  })

  test("more bytes than the kernel takes, in both directions", async () => {
    const oracle = await sharedOracle()
    await using client = await oracle.connect()
    const value = new Uint8Array(3 * 1024 * 1024).fill(97)
    const sets = Array.from({ length: 10 }, (_, i) => client.raw("SET", "big" + i, value))
    for (const reply of await Promise.all(sets)) expect(Buffer.from(reply).toString()).toBe("+OK\r\n")
    const gets = await client.pipeline(Array.from({ length: 10 }, (_, i) => ["GET", "big" + i]))
    for (const reply of gets) expect(reply.length).toBe(value.length + "$3145728\r\n\r\n".length)
    expect(client.unsentBytes).toBe(0)
  })

  test("what the kernel does not take waits, and goes out when the peer reads on", async () => {
    const peers: { resume(): void }[] = []
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open(socket) {
          socket.pause()
          peers.push(socket)
        },
        data() {},
      },
    })
    await using client = await Client.connect(server.port)
    await until(() => peers.length === 1, { what: "the connection to be accepted" })
    client.sendCommand("SET", "big", new Uint8Array(64 * 1024 * 1024))
    expect(client.unsentBytes).toBeGreaterThan(0)
    peers[0]!.resume()
    await until(() => client.unsentBytes === 0, { what: "everything to be sent" })
    server.stop(true)
  })

  test("a lost connection rejects what waits, with what had come", async () => {
    const oracle = await sharedOracle()
    await using client = await oracle.connect()
    const replies = client.pipeline([["PING"], ["QUIT"], ["PING"]])
    await client.closed
    const error = await replies.catch(error => error)
    expect(error).toBeInstanceOf(ConnectionLost)
    expect(error.received.length).toBe(2)
    expect(client.isClosed).toBe(true)
    expect(await client.call("PING").catch(error => error)).toBeInstanceOf(ConnectionLost)
  })

  test("silence ends in an error that says what was asked", async () => {
    const oracle = await sharedOracle()
    await using client = await oracle.connect({ timeoutMs: 50 })
    const error = await client.call("BLPOP", "nokey", 0).catch(error => error)
    expect(error.message).toContain("BLPOP nokey 0")
  })
})

describe.skipIf(!oracleAvailable)("oracle", () => {
  test("runs with the directives given and is gone afterwards", async () => {
    let port = 0
    {
      await using oracle = await startOracle({ args: ["--maxmemory", "77mb"] })
      port = oracle.port
      expect(oracle.version).toMatch(/^\d+\.\d+\.\d+$/)
      expect(await oracle.admin.plain("CONFIG", "GET", "maxmemory")).toEqual(["maxmemory", String(77 * 1024 * 1024)])
    }
    const refused = () =>
      Client.connect(port).then(
        client => client.close(),
        () => true,
      )
    await until(refused, { what: "the port to be closed" })
  })

  test("the shared one starts empty every time", async () => {
    const oracle = await sharedOracle()
    await oracle.admin.call("SET", "k", "v")
    expect(await sharedOracle()).toBe(oracle)
    expect(await oracle.admin.plain("DBSIZE")).toBe(0)
  })

  test("the shared one is started again when it has ended", async () => {
    const oracle = await sharedOracle()
    oracle.admin.sendCommand("SHUTDOWN", "NOSAVE")
    await oracle.admin.closed
    const other = await sharedOracle()
    expect(other).not.toBe(oracle)
    expect(await other.admin.plain("PING")).toBe("PONG")
  })
})

/** Two servers that are not the same one. */
async function two() {
  const oracle = await sharedOracle()
  const other = await startOracle()
  return { oracle, other, [Symbol.asyncDispose]: () => other[Symbol.asyncDispose]() }
}

describe.skipIf(!oracleAvailable)("comparison", () => {
  test("finds the first difference and shows it with its history", async () => {
    await using pair = await two()
    await using ours = await pair.other.connect()
    await using theirs = await pair.oracle.connect()
    await compareText(ours, theirs, 'SET a "x\\r\\n\\x00"\nGET a\nLPUSH a 1\nOBJECT')
    await ours.call("SET", "b", "1")
    const error: ReplyMismatch = await compareCommands(
      ours,
      theirs,
      [
        ["GET", "a"],
        ["GET", "b"],
      ],
      { seed: 5 },
    ).catch(error => error)
    expect(error).toBeInstanceOf(ReplyMismatch)
    expect(error.message).toContain("BUNDIS_SEED=5")
    expect(error.message).toContain("GET b")
    expect(error.difference).toMatchObject({ index: 1, ours: '"1"', theirs: "(null $-1)" })
  })

  test("finds differences in the data", async () => {
    await using pair = await two()
    await using ours = await pair.other.connect()
    await using theirs = await pair.oracle.connect()
    const fill = parseFill()
    await compareCommands(ours, theirs, fill, { block: 100 })
    await compareKeyspaces(ours, theirs, { encodings: true })
    for (const spoil of [
      ["HSET", "h", "f", "2"],
      ["EXPIRE", "s", "100"],
      ["DEL", "z"],
      ["RPUSH", "new", "1"],
    ]) {
      await ours.call(...spoil)
      expect(await compareKeyspaces(ours, theirs).catch(error => error)).toBeInstanceOf(ReplyMismatch)
      await Promise.all([ours.call("FLUSHALL"), theirs.call("FLUSHALL")])
      await compareCommands(ours, theirs, fill, { block: 100 })
    }
  })

  test("a failing family run reports the seed and a short sequence", async () => {
    await using pair = await two()
    await pair.other.admin.call("CONFIG", "SET", "list-max-listpack-size", "2")
    const family = new OracleFamily({
      commands: { "RPUSH key value...": 5, "LPOP key": 2, "DEL key": 1, "OBJECT ENCODING key": 2 },
      otherTypes: false,
    })
    // The servers differ only in when a list becomes a quicklist node chain; 7.0 calls every list so.
    await family.run(pair.other.port, 2, 500)
    await pair.other.admin.call("CONFIG", "SET", "hash-max-listpack-entries", "2")
    const hashes = new OracleFamily({
      commands: { "HSET key (field value)...": 5, "HDEL key field": 2, "DEL key": 1, "OBJECT ENCODING key": 2 },
    })
    const error: ReplyMismatch = await hashes.run(pair.other.port, 3, 2000, 42).catch(error => error)
    expect(error).toBeInstanceOf(ReplyMismatch)
    expect(error.message).toMatch(/BUNDIS_SEED=4\d/)
    const commands = /these (\d+) commands are enough/.exec(error.message)?.[1]
    expect(Number(commands)).toBeLessThan(6)
  })
})

function parseFill() {
  return parseCommands(`
    SET s 1
    RPUSH l a b c
    SADD set a b c d
    SADD ints 1 2 3
    HSET h f 1 g 2
    ZADD z 0.1 a 2 b inf c
    XADD x 1-1 f v
  `)
}

oracleFamily("strings, redis-server against itself", {
  subject: startOracle,
  commands: {
    "SET key value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT timestamp|PXAT timestampms|KEEPTTL]": 6,
    "GET key": 4,
    "GETEX key [EX seconds|PX milliseconds|PERSIST]": 1,
    "APPEND key value": 2,
    "INCRBY key int": 3,
    "INCRBYFLOAT key double": 2,
    "SETRANGE key offset value": 2,
    "GETRANGE key index index": 2,
    "SETBIT key bit binary": 2,
    "MSET (key value)...": 1,
    "TTL key": 1,
    "DEL key...": 1,
  },
  looser: { TTL: { approx: 1 } },
})

// Members by name are in a defined order only while all scores are the same.
oracleFamily("sorted sets by name, redis-server against itself", {
  subject: startOracle,
  otherTypes: false,
  spoilOneIn: 0,
  commands: {
    "ZADD key (0 member)...": 3,
    "ZREM key member": 1,
    "ZRANGE key lex lex BYLEX [REV] [LIMIT index index]": 4,
    "ZLEXCOUNT key lex lex": 2,
    "ZREMRANGEBYLEX key lex lex": 1,
  },
})

oracleFamily("collections, redis-server against itself", {
  subject: startOracle,
  finalState: "encodings",
  commands: {
    "HSET key (field value)...": 4,
    "HGETALL key": 1,
    "HINCRBYFLOAT key field double": 1,
    "RPUSH key value...": 3,
    "LRANGE key index index": 2,
    "LPOP key [count]": 2,
    "SADD key member...": 3,
    "SMEMBERS key": 1,
    "SRANDMEMBER key signedcount": 1,
    "SSCAN key cursor [MATCH pattern] COUNT 10000": 1,
    "ZADD key [NX|XX] [GT|LT] [CH] [INCR] (score member)...": 4,
    "ZRANGE key bound bound BYSCORE [REV] [LIMIT index index] [WITHSCORES]": 2,
    "ZRANGE key index index [REV]": 1,
    "KEYS pattern": 1,
    "DEL key": 2,
  },
  looser: {
    HGETALL: { unordered: "pairs" },
    SMEMBERS: { unordered: true },
    SRANDMEMBER: { sameShape: true },
    SSCAN: { scan: true },
    KEYS: { unordered: true },
    ZADD: { doubles: true },
  },
})
