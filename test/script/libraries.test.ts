/** cjson, cmsgpack, struct and bit without a server beside them; what they answer in general is compared with Redis's. */
import { describe, expect, test } from "bun:test"
import { appendNumber, formatGeneral, numberEnd, parseNumberPrefix } from "../../src/script/lib/number-text.ts"
import { Sink } from "../../src/script/lib/sink.ts"
import { Random, runSeed } from "../support/random.ts"
import { LibraryFixture } from "./library-fixture.ts"

const lua = new LibraryFixture()

describe("cjson", () => {
  test("what a job of a queue looks like goes in and out", () => {
    const text = '{"id":7,"name":"mail","data":{"to":["a@b.c"],"retry":null,"ratio":0.5},"done":false}'
    const script = "local v = cjson.decode(ARGV[1]) return v.data.to[1] .. tostring(v.data.retry == cjson.null) .. v.id"
    expect(lua.run(script, [text])).toBe("a@b.ctrue7")
    expect(lua.run("return cjson.encode({1, 'a/b', {}, cjson.null, true, 1/3})")).toBe(
      '[1,"a\\/b",{},null,true,0.33333333333333]',
    )
  })

  test("a library of its own has settings of its own", () => {
    const script = `local c = cjson.new() c.encode_number_precision(3)
      return c.encode(1/3) .. cjson.encode(1/3) .. c._VERSION .. tostring(c.null == cjson.null)`
    expect(lua.run(script)).toBe("0.3330.333333333333332.1.0true")
  })

  test("libraries that nobody holds are collected", () => {
    const memory = lua.vm.memoryBytes
    lua.run("for i = 1, 20000 do cjson.new() end return ''")
    expect(lua.vm.memoryBytes).toBeLessThan(memory + 16 * 1024 * 1024)
  })

  test("a table of a billion holes is refused before it is written", () => {
    const script = `local c = cjson.new() c.encode_sparse_array(true, 0, 0)
      return tostring(select(2, pcall(c.encode, {[2147483647] = 1})))`
    expect(lua.run(script)).toBe("not enough memory")
  })

  test("more than the memory holds is an error, and the next call works", () => {
    const small = new LibraryFixture(16 * 1024 * 1024)
    const script = "return tostring(select(2, pcall(cjson.encode, string.rep('\\1', 3000000))))"
    expect(small.run(script)).toContain("not enough memory")
    expect(small.run("return cjson.encode({a = 1})")).toBe('{"a":1}')
  })

  test("settings keep within their bounds", () => {
    const error = (call: string): string => lua.run(`return select(2, pcall(function() cjson.new().${call} end))`)
    expect(error("encode_max_depth(0)")).toContain("expected integer between 1 and 2147483647")
    expect(error("encode_number_precision(15)")).toContain("expected integer between 1 and 14")
    expect(error("encode_invalid_numbers('maybe')")).toContain("invalid option 'maybe'")
  })
})

describe("cmsgpack", () => {
  test("the options of a job", () => {
    const packed = Uint8Array.from([0x82, 0xa2, 0x69, 0x64, 0x07, 0xa4, 0x6f, 0x70, 0x74, 0x73, 0x92, 0xc3, 0xcb])
    const bytes = Uint8Array.from([...packed, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0])
    const script = "local v = cmsgpack.unpack(ARGV[1]) return v.id .. tostring(v.opts[1]) .. v.opts[2]"
    expect(lua.run(script, [bytes])).toBe("7true1.5")
  })

  test("several values are one text, and are read one by one", () => {
    const script = `local s = cmsgpack.pack(1, 'two', {3})
      local at, a = cmsgpack.unpack_one(s)
      local next, b, c = cmsgpack.unpack_limit(s, 2, at)
      return a .. b .. c[1] .. next`
    expect(lua.run(script)).toBe("1two3-1")
  })
})

describe("struct and bit", () => {
  test("alignment and byte order", () => {
    expect(lua.run("return struct.pack('>I2<I2!4bi4', 258, 258, 1, -2)")).toBe(
      "\x01\x02\x02\x01\x01\0\0\0\xfe\xff\xff\xff",
    )
    const script = "return table.concat({struct.unpack('>I2c0sI4', '\\0\\3abcde\\0\\0\\0\\1\\0')}, ' ')"
    expect(lua.run(script)).toBe("abc de 256 13")
  })

  test("32 bits", () => {
    const script = `return table.concat({bit.tobit(4294967295), bit.bnot(0), bit.band(7, 14, 28), bit.rol(1, 31),
      bit.arshift(-8, 2), bit.rshift(-8, 28), bit.bswap(1), bit.tohex(255, -4)}, ' ')`
    expect(lua.run(script)).toBe("-1 -1 4 -2147483648 -2 15 16777216 00FF")
  })
})

describe("numbers as C prints and reads them", () => {
  test("exact ties go to the even digit", () => {
    expect(formatGeneral(1.00006103515625, 14)).toBe("1.0000610351562")
    expect(formatGeneral(1.00018310546875, 14)).toBe("1.0001831054688")
    expect(formatGeneral(2.5, 1)).toBe("2")
    expect(formatGeneral(3.5, 1)).toBe("4")
    expect(formatGeneral(0.00001, 14)).toBe("1e-05")
    expect(formatGeneral(-1e300, 14)).toBe("-1e+300")
  })

  test("the quick way prints the same", () => {
    const random = new Random(runSeed)
    const sink = new Sink(1000)
    for (let i = 0; i < 20_000; i++) {
      const digits = random.between(-(10 ** random.between(0, 15)), 10 ** random.between(0, 15))
      const value = digits / random.pick([1, 10, 100, 1e4, 1e7, 2, 64, 3])
      const precision = random.between(1, 14)
      sink.at = 0
      appendNumber(sink, value, precision)
      const printed = Buffer.from(sink.bytes.subarray(0, sink.at)).toString()
      if (printed !== formatGeneral(value, precision))
        expect([value, printed]).toEqual([value, formatGeneral(value, precision)])
    }
  })

  test("the longest beginning that is a number", () => {
    const read = (text: string): [number, number] => {
      const value = parseNumberPrefix(Buffer.from(`${text}\0`, "latin1"), 0)
      return [value, numberEnd]
    }
    expect(read("12,")).toEqual([12, 2])
    expect(read("1e5x")).toEqual([100000, 3])
    expect(read("1e+")).toEqual([1, 1])
    expect(read("0x1p-1080")).toEqual([0, 9])
    expect(read("0x.8p1z")).toEqual([1, 6])
    expect(read("-Infinityx")).toEqual([Number.NEGATIVE_INFINITY, 9])
    expect(read("nan(12)3")[1]).toBe(7)
    expect(read("x")).toEqual([0, 0])
  })
})
