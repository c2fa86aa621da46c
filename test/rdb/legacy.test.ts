/** Forms that Redis before 7.0 has written, and those of release candidates: put together by hand, read by RESTORE. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { Crc64 } from "../../src/bytes/crc64.ts"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Opcode, RdbType } from "../../src/rdb/format.ts"
import { ListpackBuilder } from "../../src/rdb/listpack-builder.ts"
import { RdbWriter } from "../../src/rdb/writer.ts"
import { readFile } from "./files.ts"

let server: EmbeddedServer
beforeAll(async () => {
  server = await createServer()
})
afterAll(() => server.close())

const run = (...args: (string | Uint8Array)[]): Promise<unknown> => server.execute(...args)
const ascii = (text: string): number[] => [...Buffer.from(text, "latin1")]

function payload(type: number, write: (writer: RdbWriter) => void, version = 10): Uint8Array {
  const writer = new RdbWriter({ checksum: false })
  writer.byte(type)
  write(writer)
  writer.byte(version)
  writer.byte(0)
  const body = writer.take()
  const whole = new Uint8Array(body.length + 8)
  whole.set(body)
  new Crc64().update(whole, 0, body.length).write(whole, body.length)
  return whole
}

async function restore(type: number, write: (writer: RdbWriter) => void, version?: number): Promise<unknown> {
  await run("DEL", "k")
  return run("RESTORE", "k", "0", payload(type, write, version))
}

const text = (writer: RdbWriter, ...texts: string[]): void => {
  for (const each of texts) writer.text(each)
}
const string = (writer: RdbWriter, bytes: number[] | Uint8Array): void => {
  writer.string(Uint8Array.from(bytes), 0, bytes.length)
}

/** A ziplist of entries that are given as encoding and data. */
function ziplist(...entries: number[][]): number[] {
  const body: number[] = []
  let previous = 0
  let last = 10
  for (const entry of entries) {
    last = 10 + body.length
    const head = previous < 254 ? [previous] : [254, previous & 255, previous >> 8, 0, 0]
    body.push(...head, ...entry)
    previous = head.length + entry.length
  }
  const total = 10 + body.length + 1
  return [...word(total), ...word(last), entries.length & 255, entries.length >> 8, ...body, 255]
}

const word = (n: number): number[] => [n & 255, (n >> 8) & 255, (n >> 16) & 255, n >>> 24]
const entry = (value: string): number[] => {
  const { length } = value
  if (length < 64) return [length, ...ascii(value)]
  if (length < 16384) return [0x40 | (length >> 8), length & 255, ...ascii(value)]
  return [0x80, 0, 0, length >> 8, length & 255, ...ascii(value)]
}

/** Every encoding a ziplist has, and what it says. */
const numbers: [number[], string][] = [
  [[0xf1], "0"],
  [[0xfd], "12"],
  [[0xfe, 0x80], "-128"],
  [[0xc0, 0x00, 0x80], "-32768"],
  [[0xf0, 0xff, 0xff, 0x7f], "8388607"],
  [[0xd0, 0, 0, 0, 0x80], "-2147483648"],
  [[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80], "-9223372036854775808"],
  [entry(""), ""],
  [entry("short"), "short"],
  [entry("m".repeat(300)), "m".repeat(300)],
  [entry("l".repeat(20_000)), "l".repeat(20_000)],
]

describe("lists", () => {
  const items = numbers.map(([, value]) => value)

  test("as a ziplist, as ziplists in a row, as elements", async () => {
    const bytes = ziplist(...numbers.map(([encoding]) => encoding))
    expect(await restore(RdbType.ListZiplist, writer => string(writer, bytes))).toBe("OK")
    expect(await run("LRANGE", "k", "0", "-1")).toEqual(items)
    const two = (writer: RdbWriter): void => {
      writer.size(3)
      string(writer, ziplist(entry("a"), entry("b")))
      string(writer, ziplist())
      string(writer, bytes)
    }
    expect(await restore(RdbType.ListZiplists, two)).toBe("OK")
    expect(await run("LRANGE", "k", "0", "-1")).toEqual(["a", "b", ...items])
    const elements = (writer: RdbWriter): void => {
      writer.size(3)
      text(writer, "a", "17", "c".repeat(100))
    }
    expect(await restore(RdbType.List, elements)).toBe("OK")
    expect(await run("LRANGE", "k", "0", "-1")).toEqual(["a", "17", "c".repeat(100)])
    expect(await run("OBJECT", "ENCODING", "k")).toBe("listpack")
  })

  test("with plain nodes", async () => {
    const packed = new ListpackBuilder()
    packed.begin()
    packed.text(Buffer.from("x"), 0, 1)
    packed.end()
    const nodes = (writer: RdbWriter): void => {
      writer.size(3)
      writer.size(2)
      string(writer, packed.bytes.slice(0, packed.length))
      writer.size(1)
      text(writer, "p".repeat(9000))
      writer.size(2)
      string(writer, packed.bytes.slice(0, packed.length))
    }
    expect(await restore(RdbType.ListListpacks, nodes)).toBe("OK")
    expect(await run("LRANGE", "k", "0", "-1")).toEqual(["x", "p".repeat(9000), "x"])
    const empty = (writer: RdbWriter): void => writer.size(0)
    for (const type of [RdbType.List, RdbType.ListListpacks, RdbType.Set, RdbType.Hash, RdbType.Zset]) {
      expect(await restore(type, empty)).toEqual({ error: "ERR Bad data format" })
    }
  })
})

describe("hashes", () => {
  test("as a zipmap", async () => {
    const map = (...items: [string, string, number][]): number[] => [
      items.length,
      ...items.flatMap(([key, value, unused]) => [
        key.length,
        ...ascii(key),
        ...(value.length < 254 ? [value.length] : [254, ...word(value.length)]),
        unused,
        ...ascii(value),
        ...new Array(unused).fill(0),
      ]),
      255,
    ]
    const bytes = map(["a", "1", 0], ["b", "two", 3], ["c", "v".repeat(300), 0])
    expect(await restore(RdbType.HashZipmap, writer => string(writer, bytes))).toBe("OK")
    expect(await run("HGETALL", "k")).toEqual(
      new Map([
        ["a", "1"],
        ["b", "two"],
        ["c", "v".repeat(300)],
      ]),
    )
    for (const broken of [map(["a", "1", 0], ["a", "2", 0]), bytes.slice(0, -1), [...bytes, 255], [1, 5, 97, 255]]) {
      expect(await restore(RdbType.HashZipmap, writer => string(writer, broken))).toEqual({
        error: "ERR Bad data format",
      })
    }
  })

  test("as a ziplist, and the limits that hold", async () => {
    const bytes = ziplist(...numbers.slice(0, 10).map(([encoding]) => encoding))
    expect(await restore(RdbType.HashZiplist, writer => string(writer, bytes))).toBe("OK")
    expect(await run("HLEN", "k")).toBe(5)
    expect(await run("HGET", "k", "-128")).toBe("-32768")
    expect(await run("OBJECT", "ENCODING", "k")).toBe("listpack")
    await run("CONFIG", "SET", "hash-max-listpack-entries", "3")
    expect(await restore(RdbType.HashZiplist, writer => string(writer, bytes))).toBe("OK")
    expect(await run("OBJECT", "ENCODING", "k")).toBe("hashtable")
    await run("CONFIG", "SET", "hash-max-listpack-entries", "512")
    const odd = ziplist(entry("a"))
    expect(await restore(RdbType.HashZiplist, writer => string(writer, odd))).toEqual({ error: "ERR Bad data format" })
  })

  test("with fields that expire, as the candidates of 7.4 wrote them", async () => {
    const soon = Date.now() + 100_000
    const fields = (writer: RdbWriter): void => {
      writer.size(2)
      writer.size(soon)
      text(writer, "a", "1")
      writer.size(0)
      text(writer, "b", "2")
    }
    expect(await restore(RdbType.HashExpiringPreGa, fields, 12)).toBe("OK")
    expect(await run("HPEXPIRETIME", "k", "FIELDS", "2", "a", "b")).toEqual([soon, -1])
    const packed = new ListpackBuilder()
    packed.begin()
    for (const word of ["a", "1", String(soon), "b", "2", "0"]) packed.text(Buffer.from(word), 0, word.length)
    packed.end()
    const bytes = packed.bytes.slice(0, packed.length)
    expect(await restore(RdbType.HashListpackExpiringPreGa, writer => string(writer, bytes), 12)).toBe("OK")
    expect(await run("HPEXPIRETIME", "k", "FIELDS", "2", "a", "b")).toEqual([soon, -1])
    expect(await run("OBJECT", "ENCODING", "k")).toBe("listpackex")
  })
})

describe("Valkey 9", () => {
  const soon = Date.now() + 100_000
  const fields = (writer: RdbWriter): void => {
    writer.size(3)
    for (const [field, value, time] of [
      ["a", "1", soon],
      ["b", "2", -1],
      ["c", "3", soon + 1],
    ] as const) {
      text(writer, field, value)
      writer.time(time)
    }
  }

  test("has hashes of its own, in payloads and in files", async () => {
    expect(await restore(RdbType.HashExpiringPreGa, fields, 80)).toBe("OK")
    expect(await run("HPEXPIRETIME", "k", "FIELDS", "3", "a", "b", "c")).toEqual([soon, -1, soon + 1])
    const writer = new RdbWriter()
    writer.ascii("VALKEY080")
    writer.byte(RdbType.HashExpiringPreGa)
    writer.text("k")
    fields(writer)
    writer.byte(Opcode.End)
    writer.end()
    await run("FLUSHALL")
    expect(readFile(server, writer.take().slice(), { chunkBytes: 3 })).toMatchObject({
      version: 80,
      keys: 1,
      isVerified: true,
    })
    expect(await run("HGETALL", "k")).toEqual(new Map(Object.entries({ a: "1", b: "2", c: "3" })))
    expect(await run("HPEXPIRETIME", "k", "FIELDS", "3", "a", "b", "c")).toEqual([soon, -1, soon + 1])
  })
})

describe("sorted sets", () => {
  test("with scores in decimal", async () => {
    const members = (writer: RdbWriter): void => {
      writer.size(4)
      for (const [member, score] of [
        ["c", [3, ...ascii("1.5")]],
        ["a", [255]],
        ["d", [254]],
        ["b", [2, ...ascii("-7")]],
      ] as const) {
        text(writer, member)
        for (const byte of score) writer.byte(byte)
      }
    }
    expect(await restore(RdbType.ZsetText, members)).toBe("OK")
    expect(await run("ZRANGE", "k", "0", "-1", "WITHSCORES")).toEqual([
      ["a", -Infinity],
      ["b", -7],
      ["c", 1.5],
      ["d", Infinity],
    ])
    expect(await run("OBJECT", "ENCODING", "k")).toBe("listpack")
    const nan = (writer: RdbWriter): void => {
      writer.size(1)
      text(writer, "a")
      writer.byte(253)
    }
    expect(await restore(RdbType.ZsetText, nan)).toEqual({ error: "ERR Bad data format" })
  })

  test("as a ziplist", async () => {
    const bytes = ziplist(entry("a"), entry("-1.5"), entry("b"), [0xf4])
    expect(await restore(RdbType.ZsetZiplist, writer => string(writer, bytes))).toBe("OK")
    expect(await run("ZRANGE", "k", "0", "-1", "WITHSCORES")).toEqual([
      ["a", -1.5],
      ["b", 3],
    ])
  })
})

describe("sets", () => {
  test("as listpacks, in the form of Redis 7.2", async () => {
    const packed = new ListpackBuilder()
    packed.begin()
    for (const member of ["a", "12", "c"]) packed.text(Buffer.from(member), 0, member.length)
    packed.end()
    const bytes = packed.bytes.slice(0, packed.length)
    expect(await restore(RdbType.SetListpack, writer => string(writer, bytes), 11)).toBe("OK")
    expect(new Set((await run("SMEMBERS", "k")) as string[])).toEqual(new Set(["a", "12", "c"]))
    expect(await run("OBJECT", "ENCODING", "k")).toBe("listpack")
  })

  test("element by element, in the form that Redis gives them", async () => {
    const set = (members: string[]): ((writer: RdbWriter) => void) => {
      return writer => {
        writer.size(members.length)
        text(writer, ...members)
      }
    }
    const many = (count: number, prefix: string): string[] => Array.from({ length: count }, (_, i) => prefix + i)
    for (const [members, encoding] of [
      [many(512, ""), "intset"],
      [many(513, ""), "hashtable"],
      [[...many(100, ""), "x"], "listpack"],
      [many(128, "m"), "listpack"],
      [many(129, "m"), "hashtable"],
      [["x".repeat(64)], "listpack"],
      [["1", "x".repeat(65)], "hashtable"],
    ] as [string[], string][]) {
      expect(await restore(RdbType.Set, set(members))).toBe("OK")
      expect(await run("OBJECT", "ENCODING", "k")).toBe(encoding)
      expect(new Set((await run("SMEMBERS", "k")) as string[])).toEqual(new Set(members))
    }
    for (const twice of [
      ["1", "1"],
      ["a", "a"],
      [...many(200, "m"), "m7"],
    ]) {
      expect(await restore(RdbType.Set, set(twice))).toEqual({ error: "ERR Bad data format" })
    }
  })
})

describe("streams", () => {
  test("of Redis 5: what they did not know is worked out", async () => {
    await run("DEL", "src", "k")
    for (const id of ["1-1", "2-1", "3-1"]) await run("XADD", "src", id, "f", "v")
    for (const [group, id] of [
      ["last", "3-1"],
      ["first", "1-1"],
      ["middle", "2-1"],
      ["none", "0"],
    ]) {
      await run("XGROUP", "CREATE", "src", group!, id!)
    }
    await run("CONFIG", "SET", "rdbcompression", "no")
    const modern = (await server.executeReply("DUMP", "src")) as unknown as { value: Uint8Array }
    // One block with its id, then length, last id: the rest of form 2 is not in form 1.
    const body = modern.value
    await run("CONFIG", "SET", "rdbcompression", "yes")
    const blockEnd = 20 + body[19]!
    expect(body[19]).toBeLessThan(64)
    expect(body[0]).toBe(RdbType.Stream2)
    const old = (writer: RdbWriter): void => {
      writer.raw(body, 1, blockEnd)
      writer.size(3)
      writer.size(3)
      writer.size(1)
      writer.size(4)
      for (const [group, ms, seq] of [
        ["last", 3, 1],
        ["first", 1, 1],
        ["middle", 2, 1],
        ["none", 0, 0],
      ] as const) {
        text(writer, group)
        writer.size(ms)
        writer.size(seq)
        writer.size(0)
        writer.size(0)
      }
    }
    expect(await restore(RdbType.Stream1, old, 9)).toBe("OK")
    expect(await run("XRANGE", "k", "-", "+")).toEqual(await run("XRANGE", "src", "-", "+"))
    const groups = (await run("XINFO", "GROUPS", "k")) as Map<string, unknown>[]
    expect(Object.fromEntries(groups.map(group => [group.get("name"), group.get("entries-read")]))).toEqual({
      last: 3,
      first: 1,
      middle: null,
      none: 0,
    })
  })

  test("of Redis 8.6 and 8.8: names of messages, entries given back", async () => {
    await run("DEL", "src")
    const now = Date.now()
    await run("XADD", "src", `${now}-1`, "f", "v")
    await run("CONFIG", "SET", "rdbcompression", "no")
    const { value: body } = (await server.executeReply("DUMP", "src")) as unknown as { value: Uint8Array }
    await run("CONFIG", "SET", "rdbcompression", "yes")
    const id = body.slice(3, 19)
    const newer = (writer: RdbWriter): void => {
      // All up to the number of groups, which is 0 there.
      writer.raw(body, 1, body.length - 11)
      writer.size(1)
      text(writer, "g")
      for (const size of [now, 1, 1, 1]) writer.size(size)
      writer.raw(id, 0, 16)
      writer.time(now)
      writer.size(3)
      // No consumers; one entry given back.
      writer.size(0)
      writer.size(1)
      writer.raw(id, 0, 16)
      for (const size of [60, 100, 1]) writer.size(size)
      text(writer, "producer")
      writer.size(1)
      text(writer, "name")
      for (const size of [now, 1, 7, 2]) writer.size(size)
    }
    expect(await restore(RdbType.Stream5, newer, 14)).toBe("OK")
    expect(await run("XPENDING", "k", "g")).toEqual([1, `${now}-1`, `${now}-1`, []])
    expect(await run("XADD", "k", "IDMP", "producer", "name", "*", "f", "w")).toBe(`${now}-1`)
    expect(await run("XLEN", "k")).toBe(1)
  })
})
