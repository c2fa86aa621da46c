/**
 * The forms of values: OBJECT ENCODING along a history, as Redis 7.4 names it, also after the file is replayed; and
 * values of every form that are copied, renamed and moved.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { TempDir } from "../support/temp-dir.ts"

let dir: TempDir
let server: EmbeddedServer

beforeAll(async () => {
  dir = new TempDir()
  const config = { appendonly: "yes", appendfsync: "no", dir: dir.path, "enable-debug-command": "yes" }
  server = await createServer({ config })
})
afterAll(async () => {
  await server.close()
  await dir[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await server.execute("SELECT", 0)
  await server.execute("FLUSHALL")
})

const run = (...words: (string | number)[]) => server.execute(...words)
const encoding = (key: string) => run("OBJECT", "ENCODING", key)
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => String(from + i))
const names = (count: number) => numbers(count).map(n => `m${n}`)
const long = (length: number) => "x".repeat(length)

type Step = readonly [command: (string | number)[], encoding: string]

/** What happens to the key "k", and the form it has then. */
const histories: Record<string, readonly Step[]> = {
  "strings of digits": [
    [["SET", "k", "12345"], "int"],
    [["INCR", "k"], "int"],
    [["APPEND", "k", "6"], "raw"],
    [["SET", "k", "9223372036854775807"], "int"],
    [["SET", "k", "9223372036854775808"], "embstr"],
    [["SET", "k", "007"], "embstr"],
    [["SET", "k", "1"], "int"],
    [["INCRBYFLOAT", "k", "0.5"], "embstr"],
    [["SET", "k", "1"], "int"],
    [["SETRANGE", "k", 1, "1"], "raw"],
    [["INCR", "k"], "int"],
  ],
  strings: [
    [["SET", "k", long(44)], "embstr"],
    [["SET", "k", long(45)], "raw"],
    [["SET", "k", "v"], "embstr"],
    [["GETEX", "k", "EX", 1000], "embstr"],
    [["APPEND", "k", "w"], "raw"],
    [["SETBIT", "k", 1, 1], "raw"],
    [["GETSET", "k", "v"], "embstr"],
  ],
  "hashes by number": [
    [["HSET", "k", ...names(1024)], "listpack"],
    [["HSET", "k", "one more", "v"], "hashtable"],
    [["HDEL", "k", ...names(1024).filter((_, i) => i % 2 === 0)], "hashtable"],
  ],
  "hashes by length": [
    [["HSET", "k", "f", long(64)], "listpack"],
    [["HSET", "k", "f", long(65)], "hashtable"],
    [["HSET", "k", "f", "v"], "hashtable"],
    [["DEL", "k"], ""],
    [["HSET", "k", "f", "v"], "listpack"],
    [["HSETNX", "k", long(65), "v"], "hashtable"],
  ],
  "hashes of fields that expire": [
    [["HSET", "k", "f", "v", "g", "w"], "listpack"],
    [["HEXPIRE", "k", 1000, "FIELDS", 1, "f"], "listpackex"],
    [["HPERSIST", "k", "FIELDS", 1, "f"], "listpackex"],
    [["HSET", "k", "f", long(65)], "hashtable"],
    [["HEXPIRE", "k", 1000, "FIELDS", 1, "f"], "hashtable"],
  ],
  "lists by bytes": [
    [["RPUSH", "k", ...names(500)], "listpack"],
    [["RPUSH", "k", long(8192)], "quicklist"],
    [["RPOP", "k"], "listpack"],
    [["LPUSH", "k", ...names(3000)], "quicklist"],
    [["LTRIM", "k", 0, 9], "listpack"],
    [["LINSERT", "k", "BEFORE", "m2999", long(9000)], "quicklist"],
    [["LSET", "k", 0, "short"], "listpack"],
  ],
  "sets of integers": [
    [["SADD", "k", ...numbers(512)], "intset"],
    [["SADD", "k", "-1"], "hashtable"],
    [["SREM", "k", ...numbers(500)], "hashtable"],
    [["DEL", "k"], ""],
    [["SADD", "k", ...numbers(127)], "intset"],
    [["SADD", "k", "m"], "listpack"],
    [["SREM", "k", "m"], "listpack"],
    [["SADD", "k", "500"], "listpack"],
    [["SADD", "k", "501"], "hashtable"],
    [["DEL", "k"], ""],
    [["SADD", "k", ...numbers(200)], "intset"],
    [["SADD", "k", "m"], "hashtable"],
  ],
  "sets of names": [
    [["SADD", "k", ...names(128)], "listpack"],
    [["SADD", "k", "one more"], "hashtable"],
    [["SPOP", "k", 100], "hashtable"],
    [["DEL", "k"], ""],
    [["SADD", "k", long(64)], "listpack"],
    [["SADD", "k", long(65)], "hashtable"],
    [["DEL", "k"], ""],
    [["SADD", "k", "1"], "intset"],
    [["SADD", "k", long(65)], "hashtable"],
  ],
  "stored sets": [
    [["SADD", "a", ...names(128), "1", "2"], ""],
    [["SADD", "b", "1", "2", "3", "m4"], ""],
    [["SINTERSTORE", "k", "a", "b"], "listpack"],
    [["SUNIONSTORE", "k", "a", "b"], "hashtable"],
    [["SDIFFSTORE", "k", "b", "a"], "intset"],
  ],
  "sorted sets": [
    [["ZADD", "k", ...names(128).flatMap((name, i) => [i, name])], "listpack"],
    [["ZADD", "k", 1, "one more"], "skiplist"],
    [["ZREMRANGEBYRANK", "k", 5, -1], "skiplist"],
    [["ZRANGESTORE", "k", "k", 0, -1], "listpack"],
    [["ZADD", "k", 1, long(64)], "listpack"],
    [["ZADD", "k", 1, long(65)], "skiplist"],
    [["ZUNIONSTORE", "k", 1, "k"], "skiplist"],
    [["ZREM", "k", long(65)], "skiplist"],
    [["ZUNIONSTORE", "k", 1, "k"], "listpack"],
  ],
  streams: [[["XADD", "k", "*", "f", "v"], "stream"]],
  HyperLogLogs: [
    [["PFADD", "k", "a", "b"], "raw"],
    [["PFADD", "k", ...names(2000)], "raw"],
  ],
}

describe("OBJECT ENCODING", () => {
  for (const [name, steps] of Object.entries(histories)) {
    test(`of ${name}`, async () => {
      for (const [command, form] of steps) {
        const reply = await run(...command)
        const told = `${command.slice(0, 4).join(" ").slice(0, 60)} …`
        expect([told, reply !== null && typeof reply === "object" && "error" in reply]).toEqual([told, false])
        expect([told, (await encoding("k")) ?? ""]).toEqual([told, form])
      }
      expect(await run("DEBUG", "LOADAOF")).toBe("OK")
      expect((await encoding("k")) ?? "").toBe(steps.at(-1)![1])
    })
  }
})

/** One key of every kind and form, under its name; then a change that a copy must not show. */
const values: Record<string, { make: (string | number)[][]; change: (string | number)[] }> = {
  int: { make: [["SET", "int", 42]], change: ["INCR", "int"] },
  embstr: { make: [["SET", "embstr", "v"]], change: ["APPEND", "embstr", "w"] },
  raw: { make: [["SET", "raw", long(5000)]], change: ["SETRANGE", "raw", 100, "changed"] },
  blob: { make: [["SET", "blob", long(300_000)]], change: ["SETBIT", "blob", 1_000_001, 0] },
  hyperloglog: { make: [["PFADD", "hyperloglog", ...names(3000)]], change: ["PFADD", "hyperloglog", "x", "y", "z"] },
  hash: { make: [["HSET", "hash", "f", "v", "g", "w"]], change: ["HSET", "hash", "f", "changed"] },
  hashOfMany: { make: [["HSET", "hashOfMany", ...names(2000)]], change: ["HDEL", "hashOfMany", "m0", "m100"] },
  hashExpiring: {
    make: [
      ["HSET", "hashExpiring", "f", "v", "g", "w"],
      ["HPEXPIREAT", "hashExpiring", 4_102_444_800_123, "FIELDS", 1, "g"],
    ],
    change: ["HPERSIST", "hashExpiring", "FIELDS", 1, "g"],
  },
  hashOfManyExpiring: {
    make: [
      ["HSET", "hashOfManyExpiring", ...names(2000)],
      ["HPEXPIREAT", "hashOfManyExpiring", 4_102_444_800_123, "FIELDS", 3, "m0", "m2", "m100"],
    ],
    change: ["HPEXPIREAT", "hashOfManyExpiring", 4_102_444_900_456, "FIELDS", 1, "m4"],
  },
  list: { make: [["RPUSH", "list", "a", "b"]], change: ["LSET", "list", 0, "changed"] },
  listOfMany: { make: [["RPUSH", "listOfMany", ...names(5000)]], change: ["LSET", "listOfMany", 2500, "changed"] },
  intset: { make: [["SADD", "intset", 1, 2, 70000]], change: ["SADD", "intset", 3] },
  set: { make: [["SADD", "set", "a", "b"]], change: ["SREM", "set", "a"] },
  setOfMany: { make: [["SADD", "setOfMany", ...names(2000)]], change: ["SREM", "setOfMany", "m7"] },
  zset: { make: [["ZADD", "zset", 1, "a", 2.5, "b"]], change: ["ZINCRBY", "zset", 1, "a"] },
  zsetOfMany: {
    make: [["ZADD", "zsetOfMany", ...names(2000).flatMap((name, i) => [i / 7, name])]],
    change: ["ZADD", "zsetOfMany", -5, "m1000"],
  },
  stream: { make: [["XADD", "stream", "1-1", "f", "v"]], change: ["XADD", "stream", "2-1", "f", "v"] },
  streamOfMany: {
    make: [
      ...numbers(300, 1).map(n => ["XADD", "streamOfMany", `${n}-1`, "f", n, "g", long(50)]),
      ["XDEL", "streamOfMany", "5-1", "300-1"],
      ["XGROUP", "CREATE", "streamOfMany", "readers", "0"],
      ["XGROUP", "CREATE", "streamOfMany", "others", "10-1"],
      ["XGROUP", "CREATECONSUMER", "streamOfMany", "others", "idle"],
      ["XREADGROUP", "GROUP", "readers", "alice", "COUNT", 50, "STREAMS", "streamOfMany", ">"],
      ["XREADGROUP", "GROUP", "readers", "bob", "COUNT", 20, "STREAMS", "streamOfMany", ">"],
    ],
    change: ["XACK", "streamOfMany", "readers", "10-1"],
  },
}

/** All that is known of a value, but for the moments in which it was used. */
async function portrait(key: string): Promise<string> {
  const parts: unknown[] = await Promise.all([
    run("DEBUG", "DIGEST-VALUE", key),
    encoding(key),
    run("PEXPIRETIME", key),
    run("HPEXPIRETIME", key, "FIELDS", 6, "f", "g", "m0", "m2", "m4", "m100"),
  ])
  return JSON.stringify(parts)
}

async function make(name: string): Promise<void> {
  for (const command of values[name]!.make) {
    const reply = await run(...command)
    expect(JSON.stringify(reply)).not.toContain('"error"')
  }
  await run("PEXPIREAT", name, 4_102_444_800_001)
}

describe("a value keeps its form, content and expiry", () => {
  for (const name of Object.keys(values)) {
    test(`${name}: COPY makes another value`, async () => {
      await make(name)
      const before = await portrait(name)
      expect(await run("COPY", name, "copy")).toBe(1)
      expect(await run("COPY", name, "copy", "DB", 3)).toBe(1)
      expect(await portrait("copy")).toBe(before)
      await run(...values[name]!.change)
      const changed = await portrait(name)
      expect(changed).not.toBe(before)
      expect(await portrait("copy")).toBe(before)
      // The other way round.
      expect(await run("COPY", "copy", name, "REPLACE")).toBe(1)
      await run("DEL", "copy")
      expect(await portrait(name)).toBe(before)
      await run("SELECT", 3)
      expect(await portrait("copy")).toBe(before)
      expect(await run("COPY", "copy", name)).toBe(1)
      await run(...values[name]!.change)
      expect(await portrait(name)).toBe(changed)
      expect(await portrait("copy")).toBe(before)
      const digest = await run("DEBUG", "DIGEST")
      expect(await run("DEBUG", "LOADAOF")).toBe("OK")
      expect(await run("DEBUG", "DIGEST")).toBe(digest)
    })

    test(`${name}: RENAME and MOVE take it elsewhere`, async () => {
      await make(name)
      const before = await portrait(name)
      await run("SET", "there", "something else")
      expect(await run("RENAME", name, "there")).toBe("OK")
      expect(await run("EXISTS", name)).toBe(0)
      expect(await portrait("there")).toBe(before)
      expect(await run("RENAMENX", "there", name)).toBe(1)
      expect(await run("MOVE", name, 3)).toBe(1)
      expect(await run("DBSIZE")).toBe(0)
      await run("SELECT", 3)
      expect(await portrait(name)).toBe(before)
      await run(...values[name]!.change)
      expect(await portrait(name)).not.toBe(before)
      const digest = await run("DEBUG", "DIGEST")
      expect(await run("DEBUG", "LOADAOF")).toBe("OK")
      expect(await run("DEBUG", "DIGEST")).toBe(digest)
    })
  }
})
