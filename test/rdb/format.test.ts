/** The pieces that files are made of: numbers that must never change, lengths, strings, and what is wrong with input. */
import { describe, expect, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { Opcode, RdbError, RdbType } from "../../src/rdb/format.ts"
import { NEED_DATA, RdbInput } from "../../src/rdb/input.ts"
import { PIECE_BYTES, RdbWriter } from "../../src/rdb/writer.ts"
import { Random } from "../support/random.ts"
import { readFile, saveFile } from "./files.ts"

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

test("numbers on disk are what they were", () => {
  expect(RdbType).toEqual({
    String: 0,
    List: 1,
    Set: 2,
    ZsetText: 3,
    Hash: 4,
    Zset: 5,
    ModulePreGa: 6,
    Module: 7,
    HashZipmap: 9,
    ListZiplist: 10,
    SetIntset: 11,
    ZsetZiplist: 12,
    HashZiplist: 13,
    ListZiplists: 14,
    Stream1: 15,
    HashListpack: 16,
    ZsetListpack: 17,
    ListListpacks: 18,
    Stream2: 19,
    SetListpack: 20,
    Stream3: 21,
    HashExpiringPreGa: 22,
    HashListpackExpiringPreGa: 23,
    HashExpiring: 24,
    HashListpackExpiring: 25,
    Stream4: 26,
    Stream5: 27,
    HashValkey: 278,
  })
  expect(Opcode).toEqual({
    SlotImport: 243,
    SlotInfo: 244,
    Function2: 245,
    FunctionPreGa: 246,
    ModuleAux: 247,
    Idle: 248,
    Frequency: 249,
    Aux: 250,
    ResizeDb: 251,
    ExpiryMs: 252,
    ExpirySeconds: 253,
    SelectDb: 254,
    End: 255,
  })
})

function written(write: (writer: RdbWriter) => void, compress = true): Uint8Array {
  const writer = new RdbWriter({ compress, capacity: 16 })
  write(writer)
  return writer.take()
}

describe("items", () => {
  test("lengths", () => {
    const forms: [number, string][] = [
      [0, "00"],
      [63, "3f"],
      [64, "4040"],
      [16383, "7fff"],
      [16384, "8000004000"],
      [0xffffffff, "80ffffffff"],
      [0x100000000, "810000000100000000"],
      [2 ** 53 - 1, "81001fffffffffffff"],
    ]
    for (const [n, form] of forms) {
      const bytes = written(writer => writer.size(n))
      expect(hex(bytes)).toBe(form)
      const input = RdbInput.over(bytes, 0, bytes.length)
      expect(input.size()).toBe(true)
      expect(input.value).toBe(n)
      expect(input.available).toBe(0)
    }
    const all = written(writer => writer.size64(0xffffffff, 0xfffffffe))
    const input = RdbInput.over(all, 0, all.length)
    input.count()
    expect([input.high, input.low]).toEqual([0xffffffff, 0xfffffffe])
  })

  test("times, doubles", () => {
    for (const ms of [0, 1, -1, 1_795_327_400_123, 0x7fffffff, 0x80000000, -(2 ** 40)]) {
      const bytes = written(writer => writer.time(ms))
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      expect(Number(view.getBigInt64(0, true))).toBe(ms)
      const input = RdbInput.over(bytes, 0, 8)
      input.time()
      expect(input.value).toBe(ms)
    }
    for (const value of [0, 1.5, -1e300, Infinity, -Infinity]) {
      const bytes = written(writer => writer.double(value))
      const input = RdbInput.over(bytes, 0, 8)
      input.double()
      expect(input.value).toBe(value)
    }
  })

  test("strings, the shortest way", () => {
    const forms: [string, string][] = [
      ["", "00"],
      ["a", "0161"],
      ["12", "c00c"],
      ["-128", "c080"],
      ["128", "c18000"],
      ["-32768", "c10080"],
      ["32768", "c200800000"],
      ["-2147483648", "c200000080"],
      ["2147483648", "0a32313437343833363438"],
      ["012", "03303132"],
      ["-0", "022d30"],
      ["+1", "022b31"],
      ["aaaaaaaaaaaaaaaaaaaa", `14${"61".repeat(20)}`],
    ]
    for (const [text, form] of forms) {
      expect(hex(written(writer => writer.string(bytesOf(text), 0, text.length))), text).toBe(form)
    }
    const long = bytesOf("a".repeat(21))
    expect(written(writer => writer.string(long, 0, 21))[0]).toBe(0xc3)
    expect(written(writer => writer.string(long, 0, 21), false)[0]).toBe(21)
  })

  test("strings of all sizes come back, whole and in chunks", () => {
    const random = new Random()
    const sizes = [
      0,
      1,
      20,
      21,
      63,
      64,
      16383,
      16384,
      PIECE_BYTES - 1,
      PIECE_BYTES,
      PIECE_BYTES + 1,
      300_000,
      1_500_000,
    ]
    for (const size of sizes) {
      for (const isNoise of [true, false]) {
        const text = isNoise ? random.bytes(size) : bytesOf("never odd or even. ".repeat(size / 19 + 1).slice(0, size))
        const bytes = written(writer => {
          for (const _ of writer.longString(text, 0, size));
          writer.string(text, 0, size)
        })
        if (!isNoise && size > 100) expect(bytes.length).toBeLessThan(size)
        for (const chunk of [bytes.length, 1000]) {
          if (chunk === 1000 && size < 20) continue
          const input = new RdbInput({ total: bytes.length })
          let at = 0
          const more = (): void => {
            input.push(bytes, at, Math.min(bytes.length, at + chunk))
            at += chunk
          }
          for (let i = 0; i < 2; i++) {
            while (!input.text()) more()
            if (input.isLong) for (const step of input.gather()) if (step === NEED_DATA) more()
            expect(Buffer.compare(input.bytes.subarray(input.start, input.stop), text)).toBe(0)
          }
          expect(input.available).toBe(0)
        }
      }
    }
  })
})

describe("input that is wrong", () => {
  const read = (bytes: number[], run: (input: RdbInput) => void): string => {
    const input = RdbInput.over(new Uint8Array(bytes), 0, bytes.length)
    try {
      run(input)
    } catch (error) {
      if (error instanceof RdbError) return error.reason
      throw error
    }
    return "fine"
  }

  test("lengths of nothing", () => {
    expect(read([], input => input.size())).toBe("unexpected end of data")
    expect(read([0x40], input => input.size())).toBe("unexpected end of data")
    expect(read([0x82], input => input.size())).toBe("unknown length encoding 130")
    expect(read([0xc4, 1], input => input.text())).toBe("unknown string encoding 4")
    expect(read([0xc0, 1], input => input.count())).toBe("a length is expected, not an encoded string")
    expect(read([5, 1, 2], input => input.text())).toBe("unexpected end of data")
  })

  test("announced lengths do not allocate", () => {
    // 4 GiB, in a stream whose length nobody knows: no more is taken than what comes.
    const input = new RdbInput()
    input.push(new Uint8Array([0x80, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3]))
    expect(input.text()).toBe(true)
    expect(input.isLong).toBe(true)
    const before = process.memoryUsage().arrayBuffers
    const steps = input.gather()
    for (let i = 0; i < 10; i++) {
      expect(steps.next().value).toBe(NEED_DATA)
      input.push(new Uint8Array(1000))
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1024 * 1024)
    expect(read([0x80, 0x7f, 0xff, 0xff, 0xff, 1], one => one.text())).toContain("is too long")
    // Compressed to less than a hundredth: LZF cannot do that.
    expect(read([0xc3, 3, 0x80, 0, 1, 0, 0, 1, 2, 3], one => one.text())).toContain("is too long")
  })

  test("files cut short, or with a byte changed, are refused or read; nothing else happens", async () => {
    await using server = await createServer()
    await using other = await createServer()
    const random = new Random()
    for (const command of [
      "SET s abc",
      "SET n 12345",
      "RPUSH l a b c",
      "SADD si 1 2 3",
      "SADD ss a b c",
      "HSET h a 1 b 2",
      "ZADD z 1 a 2.5 b",
      "XADD x 1-1 a b",
      "XGROUP CREATE x g 0",
      "XREADGROUP GROUP g alice STREAMS x >",
      "SET gone 1 PX 100000000",
    ]) {
      await server.execute(...command.split(" "))
    }
    const whole = await saveFile(server)
    const failures = new Set<string>()
    const attempt = async (bytes: Uint8Array): Promise<boolean> => {
      await other.execute("FLUSHALL")
      try {
        readFile(other, bytes, { isSized: random.oneIn(2), chunkBytes: random.oneIn(3) ? 7 : bytes.length })
        return true
      } catch (error) {
        if (!(error instanceof RdbError)) throw error
        failures.add(error.reason)
        return false
      }
    }
    for (let length = 0; length < whole.length; length++) {
      expect(await attempt(whole.slice(0, length)), `${length} bytes`).toBe(false)
    }
    // The checksum finds what nothing else does.
    for (let at = 0; at < whole.length - 8; at++) {
      const changed = whole.slice()
      changed[at]! ^= 1 << random.below(8)
      if (await attempt(changed)) throw new Error(`byte ${at} changed, and nobody noticed (seed ${random.seed})`)
    }
    expect([...failures]).toContain("wrong checksum")
    expect(await attempt(whole)).toBe(true)
    const unchecked = whole.slice()
    unchecked.fill(0, whole.length - 8)
    expect(await attempt(unchecked)).toBe(true)
  })

  test("other people's files", async () => {
    await using server = await createServer()
    const refusal = (text: string | number[]): string => {
      const bytes = typeof text === "string" ? bytesOf(text) : new Uint8Array(text)
      try {
        readFile(server, bytes)
      } catch (error) {
        return (error as RdbError).message
      }
      return "read"
    }
    const header = [...bytesOf("REDIS0010")]
    expect(refusal("#!/bin/sh")).toBe("wrong signature: this is no RDB file (at byte 0)")
    expect(refusal("REDIS0099")).toBe("RDB version 0099 cannot be handled (at byte 0)")
    expect(refusal("REDIS00x1")).toBe("RDB version 00x1 cannot be handled (at byte 0)")
    expect(refusal("VALKEY012")).toBe("RDB version 012 cannot be handled (at byte 0)")
    expect(refusal("REDIS0080")).toBe("RDB version 0080 cannot be handled (at byte 0)")
    expect(refusal([...header, Opcode.ModuleAux, 1])).toBe("data of modules cannot be read (at byte 10)")
    expect(refusal([...header, Opcode.FunctionPreGa])).toContain("release candidate")
    expect(refusal([...header, RdbType.Module, 1, 107, 1])).toBe("values of modules cannot be read (at byte 12)")
    expect(refusal([...header, 77, 1, 107, 1])).toBe("unknown type of value 77 (at byte 12)")
    expect(refusal([...header, Opcode.SelectDb, 16])).toBe("there are only 16 databases, and here is 16 (at byte 11)")
    expect(refusal([...header, 0, 1, 107, 1, 118, 0, 1, 107, 1, 118])).toBe("a key is there twice (at byte 19)")
    await server.execute("FLUSHALL")
    // What comes behind belongs to somebody else; slot information and empty values are passed over.
    const end = [Opcode.End, 0, 0, 0, 0, 0, 0, 0, 0]
    expect(refusal([...header, Opcode.SlotInfo, 1, 2, 3, 0, 1, 107, 1, 118, RdbType.Set, 1, 101, 0, ...end, 42])).toBe(
      "read",
    )
    expect(await server.execute("GET", "k")).toBe("v")
    expect(await server.execute("DBSIZE")).toBe(1)
  })
})
