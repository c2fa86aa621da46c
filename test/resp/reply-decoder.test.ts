import { describe, expect, test } from "bun:test"
import {
  decodeReply,
  defaultReplyLimits,
  INCOMPLETE,
  MALFORMED,
  type Reply,
  ReplyDecoder,
  skipReply,
  toPlain,
} from "../../src/resp/reply-decoder.ts"

const bytes = (text: string) => new Uint8Array(Buffer.from(text, "utf8"))
const bulk = (text: string): Reply => ({ type: "bulk", value: bytes(text) })
const integer = (value: number | bigint): Reply => ({ type: "integer", value })

/** Wire form and what it means; the one body of cases for all the ways of cutting it up. */
const cases: [wire: string, reply: Reply][] = [
  ["+OK\r\n", { type: "simple", value: "OK" }],
  ["+\r\n", { type: "simple", value: "" }],
  ["+a\rb\nc\r\n", { type: "simple", value: "a\rb\nc" }],
  ["+a\r\r\n", { type: "simple", value: "a\r" }],
  ["-ERR no such key\r\n", { type: "error", value: "ERR no such key" }],
  [":0\r\n", integer(0)],
  [":-0\r\n", integer(0)],
  [":+7\r\n", integer(7)],
  [":-42\r\n", integer(-42)],
  [":9007199254740991\r\n", integer(9007199254740991)],
  [":9007199254740993\r\n", integer(9007199254740993n)],
  [":-9223372036854775808\r\n", integer(-(2n ** 63n))],
  ["$0\r\n\r\n", bulk("")],
  ["$5\r\nhello\r\n", bulk("hello")],
  ["$6\r\n\r\n$-1\r\r\n", bulk("\r\n$-1\r")],
  ["$-1\r\n", { type: "null", form: "bulk" }],
  ["*-1\r\n", { type: "null", form: "array" }],
  ["_\r\n", { type: "null", form: "null" }],
  ["#t\r\n", { type: "boolean", value: true }],
  ["#f\r\n", { type: "boolean", value: false }],
  [",3.25\r\n", { type: "double", value: 3.25, text: "3.25" }],
  [",10\r\n", { type: "double", value: 10, text: "10" }],
  [",1e+17\r\n", { type: "double", value: 1e17, text: "1e+17" }],
  [",inf\r\n", { type: "double", value: Infinity, text: "inf" }],
  [",-inf\r\n", { type: "double", value: -Infinity, text: "-inf" }],
  [",nan\r\n", { type: "double", value: Number.NaN, text: "nan" }],
  ["(-123456789012345678901234567890\r\n", { type: "bigNumber", value: -123456789012345678901234567890n }],
  ["!8\r\nERR a\r\nb\r\n", { type: "bulkError", value: "ERR a\r\nb" }],
  ["=8\r\ntxt:Some\r\n", { type: "verbatim", format: "txt", value: bytes("Some") }],
  ["=4\r\nmkd:\r\n", { type: "verbatim", format: "mkd", value: bytes("") }],
  ["*0\r\n", { type: "array", items: [] }],
  ["*2\r\n:1\r\n$-1\r\n", { type: "array", items: [integer(1), { type: "null", form: "bulk" }] }],
  [
    "*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n+x\r\n",
    {
      type: "array",
      items: [
        { type: "array", items: [integer(1), { type: "array", items: [] }] },
        { type: "array", items: [{ type: "simple", value: "x" }] },
      ],
    },
  ],
  ["~2\r\n:1\r\n$1\r\na\r\n", { type: "set", items: [integer(1), bulk("a")] }],
  ["%0\r\n", { type: "map", entries: [] }],
  [
    "%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n:1\r\n:2\r\n",
    {
      type: "map",
      entries: [
        [{ type: "simple", value: "a" }, integer(1)],
        [
          { type: "simple", value: "b" },
          { type: "map", entries: [[integer(1), integer(2)]] },
        ],
      ],
    },
  ],
  [">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$0\r\n\r\n", { type: "push", items: [bulk("message"), bulk("c"), bulk("")] }],
  [
    "|1\r\n+ttl\r\n:3600\r\n*1\r\n:5\r\n",
    {
      type: "attribute",
      entries: [[{ type: "simple", value: "ttl" }, integer(3600)]],
      of: { type: "array", items: [integer(5)] },
    },
  ],
  [
    "*2\r\n|0\r\n:1\r\n:2\r\n",
    { type: "array", items: [{ type: "attribute", entries: [], of: integer(1) }, integer(2)] },
  ],
]

const malformed: string[] = [
  "?\r\n",
  "x",
  "\r\n",
  ":\r\n",
  ":1x\r\n",
  ":-\r\n",
  ":1.5\r\n",
  ":123456789012345678901\r\n",
  "(1e5\r\n",
  "_x\r\n",
  "#x\r\n",
  "#\r\n",
  ",\r\n",
  ",1.5.2\r\n",
  ",0x10\r\n",
  "$\r\n",
  "$-2\r\n",
  "$1x\r\n",
  "$?\r\n",
  "$99999999999999999999\r\n",
  "$2\r\nabc\r\n",
  "$3\r\nab\r\n\r\n",
  "!-1\r\n",
  "=3\r\ntxt\r\n",
  "=5\r\ntext:\r\n",
  "*-2\r\n",
  "*?\r\n",
  "~-1\r\n",
  "%-1\r\n",
  "*2\r\n:1\r\n;\r\n",
]

describe("reply decoder", () => {
  for (const [wire, reply] of cases) {
    const frame = bytes(wire)
    test(`${JSON.stringify(wire)} whole, byte by byte, and cut anywhere`, () => {
      expect(decodeReply(frame)).toEqual(reply)

      const whole = new ReplyDecoder()
      whole.push(frame)
      expect(whole.next()).toEqual(reply)
      expect(whole.next()).toBeNull()

      const single = new ReplyDecoder()
      for (let i = 0; i < frame.length - 1; i++) {
        single.push(frame.subarray(i, i + 1))
        expect(single.next()).toBeNull()
      }
      single.push(frame.subarray(frame.length - 1))
      expect(single.next()).toEqual(reply)
      expect(single.pendingBytes).toBe(0)

      for (let cut = 0; cut < frame.length; cut++) {
        expect(skipReply(frame.subarray(0, cut), 0)).toBe(INCOMPLETE)
        const decoder = new ReplyDecoder()
        decoder.push(frame.subarray(0, cut))
        expect(decoder.nextFrame()).toBeNull()
        decoder.push(frame.subarray(cut))
        expect(decoder.nextFrame()).toEqual(frame)
      }
    })
  }

  test("all cases in one stream, in chunks of every size", () => {
    const stream = bytes(cases.map(([wire]) => wire).join(""))
    for (let size = 1; size < 40; size++) {
      const decoder = new ReplyDecoder()
      const replies: Reply[] = []
      for (let at = 0; at < stream.length; at += size) {
        decoder.push(stream.subarray(at, at + size))
        for (let reply = decoder.next(); reply !== null; reply = decoder.next()) replies.push(reply)
      }
      expect(replies).toEqual(cases.map(([, reply]) => reply))
    }
  })

  test("skipReply walks a stream from offset to offset", () => {
    const stream = bytes(cases.map(([wire]) => wire).join(""))
    let at = 0
    for (const [wire] of cases) {
      const end = skipReply(stream, at)
      expect(Buffer.from(stream.subarray(at, end)).toString()).toBe(wire)
      at = end
    }
    expect(skipReply(stream, at)).toBe(INCOMPLETE)
  })

  for (const wire of malformed) {
    test(`${JSON.stringify(wire)} is refused, and the stream with it`, () => {
      expect(skipReply(bytes(wire), 0)).toBe(MALFORMED)
      const decoder = new ReplyDecoder()
      for (const byte of bytes(wire + "\r\n")) {
        decoder.push(Uint8Array.of(byte))
        expect(decoder.next()).toBeNull()
      }
      expect(decoder.failure).not.toBe("")
      decoder.push(bytes("+OK\r\n"))
      expect(decoder.next()).toBeNull()
    })
  }

  test("nesting, line and bulk lengths are bounded", () => {
    const deep = bytes("*1\r\n".repeat(defaultReplyLimits.depthMax) + ":1\r\n")
    expect(skipReply(deep, 0)).toBe(deep.length)
    expect(decodeReply(deep).type).toBe("array")
    expect(skipReply(bytes("*1\r\n".repeat(defaultReplyLimits.depthMax + 1) + ":1\r\n"), 0)).toBe(MALFORMED)
    expect(skipReply(bytes("|0\r\n".repeat(100_000)), 0)).toBe(MALFORMED)

    const limits = { lineBytesMax: 16, bulkBytesMax: 16, depthMax: 4 }
    expect(skipReply(bytes("+" + "x".repeat(15) + "\r\n"), 0, limits)).toBe(18)
    expect(skipReply(bytes("+" + "x".repeat(40)), 0, limits)).toBe(MALFORMED)
    expect(skipReply(bytes("$17\r\n"), 0, limits)).toBe(MALFORMED)
  })

  test("an announced count or length reserves nothing", () => {
    const decoder = new ReplyDecoder()
    decoder.push(bytes("*999999999999999\r\n$1000000000\r\nabc"))
    expect(decoder.next()).toBeNull()
    expect(decoder.failure).toBe("")
    expect(decoder.pendingBytes).toBeLessThan(64)
  })

  test("a large bulk in small chunks comes out whole, with the replies around it", () => {
    const size = 8 * 1024 * 1024
    const value = new Uint8Array(size)
    for (let i = 0; i < size; i++) value[i] = (i * 31) & 0xff
    const stream = Buffer.concat([bytes(`+a\r\n$${size}\r\n`), value, bytes("\r\n+b\r\n")])
    const decoder = new ReplyDecoder()
    const replies: Reply[] = []
    for (let at = 0; at < stream.length; at += 1000) {
      decoder.push(stream.subarray(at, at + 1000))
      for (let reply = decoder.next(); reply !== null; reply = decoder.next()) replies.push(reply)
    }
    expect(replies.length).toBe(3)
    expect(Buffer.compare((replies[1] as { value: Uint8Array }).value, value)).toBe(0)
  })

  test("replies own their bytes", () => {
    const decoder = new ReplyDecoder()
    const chunk = bytes("$3\r\nabc\r\n")
    decoder.push(chunk)
    const reply = decoder.next()
    chunk.fill(0)
    decoder.push(bytes("$3\r\nxyz\r\n"))
    decoder.next()
    expect(reply).toEqual(bulk("abc"))
  })

  test("toPlain keeps values and drops wire types", () => {
    const plain = (wire: string) => toPlain(decodeReply(bytes(wire)))
    expect(plain("*4\r\n+a\r\n:1\r\n$-1\r\n-ERR x\r\n")).toEqual(["a", 1, null, { error: "ERR x" }])
    expect(plain("%1\r\n$1\r\na\r\n~1\r\n,1.5\r\n")).toEqual(new Map([["a", new Set([1.5])]]))
    expect(plain("|1\r\n+a\r\n:1\r\n#t\r\n")).toBe(true)
    expect(toPlain(bulk("é"))).toBe("é")
    expect(toPlain(bulk("é"), { bytes: true })).toEqual(Uint8Array.of(0xc3, 0xa9))
  })
})
