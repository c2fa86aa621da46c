import { expect, test } from "bun:test"
import { Probe } from "./string-probe.ts"

const ELEMENTS = 3000
const elements = Array.from({ length: ELEMENTS }, (_, i) => i)

/** A large value of every type that has one, under the type's name, and what reads it. */
const large: Record<string, { write: (string | number)[]; read: string[]; change: string[] }> = {
  string: { write: ["SET", "string", "x".repeat(10_000)], read: ["GET"], change: ["APPEND", "string", "y"] },
  hash: {
    write: ["HSET", "hash", ...elements.flatMap(i => [`f${i}`, i])],
    read: ["HGETALL"],
    change: ["HDEL", "hash", "f1"],
  },
  list: {
    write: ["RPUSH", "list", ...elements.map(i => `element ${i}`)],
    read: ["LRANGE", "0", "-1"],
    change: ["LPOP", "list"],
  },
  set: { write: ["SADD", "set", ...elements.map(i => `m${i}`)], read: ["SMEMBERS"], change: ["SREM", "set", "m1"] },
  zset: {
    write: ["ZADD", "zset", ...elements.flatMap(i => [i / 2, `m${i}`])],
    read: ["ZRANGE", "0", "-1", "WITHSCORES"],
    change: ["ZREM", "zset", "m1"],
  },
  stream: {
    write: ["XADD", "stream", "1-1", "field", "value"],
    read: ["XRANGE", "-", "+"],
    change: ["XADD", "stream", "2-1", "field", "value"],
  },
}

async function readAll(probe: Probe, key: string, read: readonly string[]): Promise<string> {
  const reply = await probe.run(read[0]!, key, ...read.slice(1))
  const items = reply instanceof Map ? [...reply].map(String) : reply instanceof Set ? [...reply].map(String) : reply
  return JSON.stringify(read[0] === "LRANGE" || !Array.isArray(items) ? items : items.map(String).sort())
}

for (const [type, { write, read, change }] of Object.entries(large)) {
  test(`a large ${type} is moved without a copy, and copied deeply`, async () => {
    await using probe = await Probe.start()
    await probe.run(...write)
    await probe.run("EXPIRE", type, 100)
    const objectOf = (db: number, key: string) => {
      const { keys } = probe.keyspace.databases[db]!
      const name = Buffer.from(key)
      return keys.object(keys.find(name, 0, name.length))
    }
    const before = await readAll(probe, type, read)
    const object = objectOf(0, type)
    await probe.run("RENAME", type, "other")
    expect(objectOf(0, "other")).toBe(object)
    await probe.run("MOVE", "other", 1)
    expect(objectOf(1, "other")).toBe(object)
    await probe.run("SELECT", 1)
    await probe.run("COPY", "other", type, "DB", 0)
    await probe.run("SELECT", 0)
    expect(objectOf(0, type)).not.toBe(object)
    expect(await readAll(probe, type, read)).toBe(before)
    await probe.run("COPY", type, "twin")
    await probe.run(...change)
    expect(await readAll(probe, type, read)).not.toBe(before)
    expect(await readAll(probe, "twin", read)).toBe(before)
    expect([await probe.run("TTL", "twin"), await probe.run("TTL", type)]).toEqual([100, 100])
    await probe.run("SELECT", 1)
    expect(await readAll(probe, "other", read)).toBe(before)
  })
}

test("changes are propagated as they came, and notified", async () => {
  await using probe = await Probe.start()
  const cases: [string, string[], string[]][] = [
    ["DEL k nope l k", ["DEL k nope l k"], ["del k", "del l"]],
    ["UNLINK k", ["UNLINK k"], ["del k"]],
    ["DEL nope", [], []],
    ["RENAME k l", ["RENAME k l"], ["rename_from k", "rename_to l"]],
    ["RENAME k k", [], []],
    ["RENAMENX k l", [], []],
    ["RENAMENX k m", ["RENAMENX k m"], ["rename_from k", "rename_to m"]],
    ["COPY k m", ["COPY k m"], ["copy_to m"]],
    ["COPY k l", [], []],
    ["COPY k l REPLACE", ["COPY k l REPLACE"], ["copy_to l"]],
    ["MOVE k 1", ["MOVE k 1"], ["move_from k", "move_to k"]],
    ["TOUCH k", [], []],
    ["SWAPDB 0 1", ["SWAPDB 0 1"], []],
    ["FLUSHDB", ["FLUSHDB"], []],
    ["FLUSHALL ASYNC", ["FLUSHALL ASYNC"], []],
  ]
  for (const [line, commands, events] of cases) {
    const prepare = async () => {
      await probe.run("FLUSHALL")
      await probe.run("MSET", "k", "v", "l", "w")
    }
    await prepare()
    expect([line, ...(await probe.propagated(line))]).toEqual([line, ...commands])
    await prepare()
    const told = (await probe.notified(line)).filter(event => !event.startsWith("keymiss"))
    expect([line, ...told]).toEqual([line, ...events])
  }
})

test("field expiries go along with a hash", async () => {
  await using probe = await Probe.start()
  for (const fields of [1, 600]) {
    await probe.run("FLUSHALL")
    await probe.run("HSET", "h", "short", 1, ...Array.from({ length: fields }, (_, i) => [`f${i}`, i]).flat())
    await probe.run("HPEXPIRE", "h", 50, "FIELDS", 1, "short")
    await probe.run("RENAME", "h", "renamed")
    await probe.run("COPY", "renamed", "copied")
    await probe.run("COPY", "renamed", "moved")
    await probe.run("MOVE", "moved", 1)
    for (const key of ["renamed", "copied"]) expect(await probe.run("HPTTL", key, "FIELDS", 1, "short")).toEqual([50])
    probe.clock.advance(51)
    probe.server.server.engine.refreshTime()
    while (probe.keyspace.fieldExpiry.slice());
    for (const key of ["renamed", "copied"]) expect(await probe.run("HLEN", key)).toBe(fields)
    await probe.run("SELECT", 1)
    expect(await probe.run("HLEN", "moved")).toBe(fields)
    await probe.run("SELECT", 0)
  }
})

test("flushing sets the data aside, to be freed in slices", async () => {
  await using probe = await Probe.start()
  const value = "x".repeat(4000)
  for (let i = 0; i < 6; i++) await probe.run("MSET", ...elements.slice(0, 1000).flatMap(j => [`k${i}:${j}`, value]))
  const { keys, keyspace } = probe
  // Looked at before the server gets a chance to go on freeing.
  const reply = probe.run("FLUSHALL", "SYNC")
  expect([probe.keys.size, keys.size, keyspace.discardedSize]).toEqual([0, 6000, 6000])
  let slices = 0
  do slices++
  while (keyspace.freeSlice())
  expect(slices).toBeGreaterThan(5)
  expect([keys.size, keyspace.discardedSize, keyspace.events.lazyfreed]).toEqual([0, 0, 6000])
  expect(await reply).toBe("OK")

  for (let i = 0; i < 100; i++) await probe.run("SET", `k${i}`, i)
  await probe.run("FLUSHDB")
  expect(keyspace.discardedSize).toBe(0)
})

test("looking at a key does not use it", async () => {
  await using probe = await Probe.start()
  await probe.run("SET", "k", "v")
  probe.clock.advance(10_000)
  for (const line of ["TTL k", "TYPE k", "EXISTS k", "OBJECT ENCODING k"]) await probe.reply(line)
  expect(await probe.reply("OBJECT IDLETIME k")).toBe("10")
  await probe.reply("TOUCH k")
  expect(await probe.reply("OBJECT IDLETIME k")).toBe("0")
})
