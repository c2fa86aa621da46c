/**
 * Files that other servers have written are read to the last byte: fixtures/ holds one each of Redis 7.0.15, 8.0-m01 and
 * Valkey 8, with what those servers said was in them.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createServer, type EmbeddedServer, ManualClock } from "../../src/index.ts"
import { CommandWriter } from "../../src/resp/command-writer.ts"
import { TempDir } from "../support/temp-dir.ts"
import { readFile, saveFile } from "./files.ts"

interface ExpectedValue {
  type: string
  encoding: string
  ttl: boolean
  // biome-ignore lint/suspicious/noExplicitAny: of each type another shape
  value: any
  length?: number
  last_id?: string
  groups?: { name: string; consumers: number; pending: number; "last-delivered-id": string; "entries-read": number }[]
  pending?: Record<string, [id: string, consumer: string, deliveries: number][]>
}

const directory = join(import.meta.dir, "fixtures")
const load = (name: string): Uint8Array => new Uint8Array(readFileSync(join(directory, name)))

/** When the fixtures were written: their keys have not expired yet. */
const clock = new ManualClock(1_795_327_400_000)
let server: EmbeddedServer
beforeEach(async () => {
  server = await createServer({ clock, config: { "enable-debug-command": "yes" } })
})
afterEach(() => server.close())

const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1")

/** Replies as the fixtures have them: text of one character per byte. */
async function ask(on: EmbeddedServer, ...args: (string | Uint8Array)[]): Promise<unknown> {
  const plain = (reply: unknown): unknown => {
    if (typeof reply !== "object" || reply === null) return reply
    const { type, value, items } = reply as { type: string; value: unknown; items?: unknown[] }
    if (type === "bulk" || type === "verbatim") return Buffer.from(value as Uint8Array).toString("latin1")
    if (items !== undefined) return items.map(plain)
    return value ?? null
  }
  return plain(await on.executeReply(...args))
}

const pairs = (items: unknown): [unknown, unknown][] => {
  const list = items as unknown[]
  return Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i], list[2 * i + 1]])
}

async function contentOf(on: EmbeddedServer, key: Uint8Array, type: string): Promise<unknown> {
  switch (type) {
    case "string":
      return ask(on, "GET", key)
    case "list":
      return ask(on, "LRANGE", key, "0", "-1")
    case "set":
      return ((await ask(on, "SMEMBERS", key)) as string[]).sort()
    case "hash":
      return Object.fromEntries(pairs(await ask(on, "HGETALL", key)) as [string, string][])
    case "zset":
      return pairs(await ask(on, "ZRANGE", key, "0", "-1", "WITHSCORES"))
    default:
      return ((await ask(on, "XRANGE", key, "-", "+")) as [string, string[]][]).map(([id, fields]) => [
        id,
        Object.fromEntries(pairs(fields) as [string, string][]),
      ])
  }
}

/** Scores as numbers; the fixtures have them as Python prints them. */
function comparable(type: string, value: unknown): unknown {
  if (type === "set") return [...(value as string[])].sort()
  if (type !== "zset") return value
  const number = (score: unknown): number => Number(String(score).replace(/^(-?)inf$/, "$1Infinity"))
  return (value as [string, unknown][]).map(([member, score]) => [member, number(score)])
}

async function compareAll(on: EmbeddedServer, name: string, encodings: boolean): Promise<void> {
  const gzipped = load(`${name}.json.gz`)
  const expected: Record<string, Record<string, ExpectedValue>> = JSON.parse(
    Buffer.from(Bun.gunzipSync(gzipped as Uint8Array<ArrayBuffer>)).toString(),
  )
  await ask(on, "HELLO", "2")
  for (const [db, keys] of Object.entries(expected)) {
    await ask(on, "SELECT", db)
    expect(await ask(on, "DBSIZE")).toBe(Object.keys(keys).length)
    for (const [text, value] of Object.entries(keys)) {
      const key = latin1(text)
      expect(await ask(on, "TYPE", key), text).toBe(value.type)
      expect(comparable(value.type, await contentOf(on, key, value.type)), text).toEqual(
        comparable(value.type, value.value),
      )
      expect(((await ask(on, "PTTL", key)) as number) > 0, text).toBe(value.ttl)
      // Redis 7.0 has no packed sets, and lists of one listpack it calls quicklists.
      const seven = name.startsWith("redis-7") && (text === "set:listpack" || text === "list:small")
      if (encodings && !seven) expect(await ask(on, "OBJECT", "ENCODING", key), text).toBe(value.encoding)
      if (value.type === "stream") await compareStream(on, key, value)
    }
  }
}

async function compareStream(on: EmbeddedServer, key: Uint8Array, expected: ExpectedValue): Promise<void> {
  const info = Object.fromEntries(pairs(await ask(on, "XINFO", "STREAM", key)) as [string, unknown][])
  expect(info.length).toBe(expected.length)
  expect(info["last-generated-id"]).toBe(expected.last_id)
  const groups = (await ask(on, "XINFO", "GROUPS", key)) as unknown[][]
  expect(groups.map(group => Object.fromEntries(pairs(group) as [string, unknown][]))).toEqual(
    // biome-ignore lint/suspicious/noExplicitAny: as they are
    (expected.groups ?? []) as any,
  )
  for (const [group, entries] of Object.entries(expected.pending ?? {})) {
    const pending = (await ask(on, "XPENDING", key, group, "-", "+", "100")) as unknown[][]
    expect(pending.map(([id, consumer, , deliveries]) => [id, consumer, deliveries])).toEqual(entries)
  }
}

for (const name of ["redis-7.0.15", "redis-8.0-m01", "valkey-8"]) {
  describe(name, () => {
    test("has what it should have", async () => {
      const report = readFile(server, load(`${name}.rdb`))
      expect(report.isVerified).toBe(true)
      expect(report.functions).toBe(1)
      expect(report.expired + report.empty).toBe(0)
      expect(report.bytes).toBe(load(`${name}.rdb`).length)
      await compareAll(server, name, true)
    })

    test("in chunks of any size, its length known or not", async () => {
      const whole = load(`${name}.rdb`)
      readFile(server, whole)
      const digest = await ask(server, "DEBUG", "DIGEST")
      for (const [chunkBytes, isSized] of [
        [1, false],
        [13, true],
        [4096, false],
      ] as const) {
        await ask(server, "FLUSHALL")
        readFile(server, whole, { chunkBytes, isSized })
        expect(await ask(server, "DEBUG", "DIGEST")).toBe(digest)
      }
    })

    test("survives being saved and read again", async () => {
      readFile(server, load(`${name}.rdb`))
      const saved = await saveFile(server)
      await using other = await createServer({ clock, config: { "enable-debug-command": "yes" } })
      expect(readFile(other, saved).isVerified).toBe(true)
      await compareAll(other, name, true)
      expect(await ask(other, "DEBUG", "DIGEST")).toBe(await ask(server, "DEBUG", "DIGEST"))
    })
  })
}

describe("an append-only directory", () => {
  for (const name of ["redis-7.0.15", "redis-8.0-m01", "valkey-8"]) {
    test(`of ${name}`, async () => {
      await using dir = new TempDir()
      const aof = dir.join("appendonlydir")
      mkdirSync(aof)
      writeFileSync(join(aof, "appendonly.aof.2.base.rdb"), load(`${name}.rdb`))
      const commands = [
        ["SELECT", "0"],
        ["SET", "after:rewrite", "1"],
        ["INCR", "after:rewrite"],
      ]
      const writer = new CommandWriter()
      for (const words of commands) {
        writer.begin(words.length)
        for (const word of words) writer.word(word)
      }
      writeFileSync(join(aof, "appendonly.aof.2.incr.aof"), writer.bytes.subarray(0, writer.at))
      writeFileSync(
        join(aof, "appendonly.aof.manifest"),
        "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.2.incr.aof seq 2 type i\n",
      )
      await using other = await createServer({
        clock,
        config: { appendonly: "yes", appendfilename: "appendonly.aof", dir: dir.path },
      })
      expect(await ask(other, "GET", "after:rewrite")).toBe("2")
      await ask(other, "DEL", "after:rewrite")
      await compareAll(other, name, true)
    })
  }
})

describe("with other limits", () => {
  test("values take the form that the limits ask for", async () => {
    const limits = ["hash-max-listpack-entries", "zset-max-listpack-entries", "set-max-intset-entries"]
    for (const limit of [...limits, "set-max-listpack-entries"]) await ask(server, "CONFIG", "SET", limit, "1")
    await ask(server, "CONFIG", "SET", "list-max-listpack-size", "2")
    readFile(server, load("redis-8.0-m01.rdb"))
    await compareAll(server, "redis-8.0-m01", false)
    for (const [key, encoding] of [
      ["hash:small", "hashtable"],
      ["zset:small", "skiplist"],
      ["set:int", "hashtable"],
      ["set:listpack", "hashtable"],
      ["list:small", "quicklist"],
    ]) {
      await ask(server, "SELECT", "0")
      expect(await ask(server, "OBJECT", "ENCODING", key!), key).toBe(encoding!)
    }
  })
})
