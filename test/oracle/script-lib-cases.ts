/**
 * Scripts that use cjson, cmsgpack, struct and bit on random values, for the comparison with Redis. A script returns one
 * string that shows all results, or the error, with every byte, and tables in the order in which Lua walks them.
 */
import type { Random } from "../support/random.ts"

/** Goes before every case: `show(f)` calls f and puts what it returned, or its error, into one string. */
export const SHOW = `
local function text(v, depth)
  local t = type(v)
  if t == 'string' then return 's' .. #v .. ':' .. v end
  if t == 'number' then return 'n' .. (v ~= v and 'nan' or string.format('%.17g', v)) end
  if t == 'userdata' then return v == cjson.null and 'null' or 'userdata' end
  if t ~= 'table' then return tostring(v) end
  if depth > 40 then return 'deep' end
  local parts = {}
  for key, value in pairs(v) do parts[#parts + 1] = text(key, depth + 1) .. '=' .. text(value, depth + 1) end
  return '{#' .. #v .. ' ' .. table.concat(parts, ',') .. '}'
end
local function show(f)
  local function all(...)
    local parts = {}
    for i = 1, select('#', ...) do parts[i] = text((select(i, ...)), 0) end
    return table.concat(parts, ' ')
  end
  return all(pcall(f))
end
`

const numbers = [
  ...[
    "0",
    "1",
    "-1",
    "-0",
    "127",
    "128",
    "255",
    "256",
    "-32",
    "-33",
    "-128",
    "-129",
    "32767",
    "32768",
    "65535",
    "65536",
  ],
  ...["-32768", "-32769", "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296"],
  ...["9007199254740991", "9007199254740992", "-9007199254740993", "99999999999999", "100000000000000", "1e15", "1e16"],
  ...["9223372036854775807", "9223372036854774784", "-9223372036854775808", "-9223372036854777856"],
  ...["18446744073709551615", "18446744073709549568", "36893488147419103232", "1e20", "1e100", "-1e300", "5e-324"],
  ...["1/0", "-1/0", "0/0", "0.1", "0.5", "1.5", "-2.5", "3.14159265358979", "1e-5", "1e-4", "0.00012345678901234567"],
  ...["1.00006103515625", "1.00018310546875", "123456789012.345", "1.7976931348623157e308", "2.2250738585072014e-308"],
]

const formats = ["b", "B", "h", "H", "l", "L", "T", "i", "I", "f", "d", "s", "x", "c", "c0", "<", ">", "!", "!4", " "]

export class LibraryCases {
  constructor(private readonly random: Random) {}

  /** The next script, to follow SHOW. */
  next(): string {
    const { random } = this
    const draw = random.below(14)
    if (draw < 3) return this.encode()
    if (draw < 6) return this.decode()
    if (draw < 8) return this.pack()
    if (draw < 10) return this.unpack()
    if (draw < 12) return this.struct()
    if (draw < 13) return this.bit()
    return this.oddCall()
  }

  // ------------------------------------------------------------------ values as Lua source

  private number(): string {
    const { random } = this
    const draw = random.below(8)
    if (draw < 3) return random.pick(numbers)
    if (draw < 5) return String(random.between(-300, 300))
    if (draw < 6) return `${random.between(-(2 ** 31), 2 ** 31)} * ${2 ** random.between(0, 40)}`
    if (draw < 7) return String(random.between(-1e6, 1e6) / random.pick([3, 7, 8, 64, 1000, 1e7]))
    return `${random.between(1, 999999)}e${random.between(-30, 30)}`
  }

  private bytes(lengthMax: number): Uint8Array {
    const { random } = this
    const draw = random.below(4)
    if (draw === 0) return random.bytes(random.below(lengthMax + 1))
    const length = draw === 1 ? random.pick([0, 1, 31, 32, 33, 255, 256, 300]) : random.below(12)
    return Uint8Array.from({ length }, () => random.pick([97, 98, 48, 47, 34, 92, 10, 0, 127, 195, 169, 32]))
  }

  /** A literal that spells these bytes. */
  private literal(bytes: Uint8Array): string {
    let text = "'"
    for (const byte of bytes) {
      const isPlain = byte >= 32 && byte < 127 && byte !== 39 && byte !== 92
      text += isPlain ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, "0")}`
    }
    return `${text}'`
  }

  private key(): string {
    const { random } = this
    const draw = random.below(12)
    if (draw < 6) return `k${random.below(8)}=`
    if (draw < 9) return `[${random.between(1, 12)}]=`
    // Longer strings are hashed in another way by Redis's Lua, so that tables are walked in another order.
    if (draw < 10) return `[${this.literal(this.bytes(8).subarray(0, 31))}]=`
    if (draw < 11) return `[${random.pick(["1.5", "-1", "0", "2147483648", "100", "1e15", "2^53"])}]=`
    return random.pick(["[true]=", "[1e300]=", "[30]=", "[11]="])
  }

  private value(depth: number): string {
    const { random } = this
    const draw = random.below(depth > 0 ? 16 : 10)
    if (draw < 4) return this.number()
    if (draw < 7) return this.literal(this.bytes(40))
    if (draw < 9) return random.pick(["true", "false", "cjson.null", "nil"])
    if (draw < 10) return random.oneIn(6) ? random.pick(["type", "string.format", "function() end"]) : "'x'"
    if (draw < 13) {
      const items = Array.from({ length: random.pick([0, 1, 2, 3, 5, 17]) }, () => this.value(depth - 2))
      return `{${items.join(",")}}`
    }
    const pairs = Array.from({ length: random.pick([0, 1, 2, 4, 17]) }, () => this.key() + this.value(depth - 2))
    return `{${pairs.join(",")}}`
  }

  // ------------------------------------------------------------------ cjson

  private encode(): string {
    const { random } = this
    const value = this.value(random.between(1, 6))
    const settings = random.pick([
      "",
      "",
      `c.encode_invalid_numbers(${random.pick(["true", "false", "'null'", "'on'", "'off'"])})`,
      `c.encode_number_precision(${random.between(1, 14)})`,
      `c.encode_max_depth(${random.between(1, 4)})`,
      `c.encode_sparse_array(${random.pick(["true", "false", "nil"])}, ${random.pick([0, 1, 2, 5])}, ${random.below(12)})`,
      "c.encode_keep_buffer(false)",
    ])
    return `local c = cjson.new() ${settings} return show(function() return c.encode(${value}) end)`
  }

  /** Text that is mostly JSON. */
  private json(depth: number): string {
    const { random } = this
    const draw = random.below(depth > 0 ? 12 : 6)
    const space = random.oneIn(6) ? random.pick([" ", "\n\t", "\r"]) : ""
    if (draw < 2) {
      return (
        space +
        random.pick([
          ...["0", "-1", "1.5", "1e3", "1E-3", "12345678901234567890", "1e999", "-0", "0.1", "123456789012345"],
          ...[
            "01",
            "+1",
            "0x10",
            "0x1p4",
            "0x.8",
            "0x",
            "inf",
            "-Infinity",
            "nan",
            "NaN",
            "-nan",
            "nan(1)",
            "1.",
            ".5",
            "-",
            "1e",
            "1e+",
            "-.5",
          ],
          ...["00", "1.5.5", "infinit", "0x1g", "2e-400", "0x1p-1080", "0x123456789abcdef123p3"],
        ])
      )
    }
    if (draw < 4) return space + this.jsonString()
    if (draw < 6)
      return space + random.pick(["true", "false", "null", "null", "nul", "True", "", "[", "]", "}", "\0", "#", "\xff"])
    const count = random.pick([0, 1, 2, 3, 9])
    const comma = (): string => (random.oneIn(40) ? random.pick(["", ";", ",,", ":"]) : ",")
    let text = ""
    for (let i = 0; i < count; i++) {
      if (i > 0) text += comma()
      if (draw < 9) text += this.json(depth - 1)
      else
        text += `${random.oneIn(40) ? this.json(0) : this.jsonString()}${random.oneIn(60) ? "" : ":"}${this.json(depth - 1)}`
    }
    const close = random.oneIn(40) ? random.pick(["", "]", "}"]) : draw < 9 ? "]" : "}"
    return `${space}${draw < 9 ? "[" : "{"}${text}${space}${close}`
  }

  private jsonString(): string {
    const { random } = this
    let text = ""
    for (let i = random.below(6); i > 0; i--) {
      text += random.pick([
        ...[
          "a",
          "key",
          "\\n",
          '\\"',
          "\\\\",
          "\\/",
          "\\b\\f\\r\\t",
          "\\u0041",
          "\\u00e9",
          "\\u20AC",
          "\\ud83d\\ude00",
          "\x01",
          "\x7f",
          "\xff",
        ],
        ...(random.oneIn(10)
          ? ["\\ud83d", "\\ude00", "\\ud83d\\u0041", "\\u12", "\\x", "\\", "\0", "\\ud83dx"]
          : ["é", "k1"]),
      ])
    }
    return `"${text}${random.oneIn(60) ? "" : '"'}`
  }

  private decode(): string {
    const { random } = this
    const bytes = Buffer.from(this.json(random.between(0, 5)), "latin1")
    if (bytes.length > 0 && random.oneIn(10)) bytes[random.below(bytes.length)] = random.below(256)
    const settings = random.pick([
      "",
      "",
      "c.decode_invalid_numbers(false)",
      `c.decode_max_depth(${random.between(1, 4)})`,
    ])
    return `local c = cjson.new() ${settings} return show(function() return c.decode(${this.literal(bytes)}) end)`
  }

  // ------------------------------------------------------------------ cmsgpack

  private pack(): string {
    const { random } = this
    const values = Array.from({ length: random.pick([0, 1, 1, 1, 2, 3]) }, () => this.value(random.between(0, 6)))
    if (random.oneIn(20)) {
      return `local t = {} for i = 1, ${random.between(14, 18)} do t = {${random.pick(["t", "a=t", "1,t"])}} end return show(function() return cmsgpack.pack(t) end)`
    }
    if (random.oneIn(20)) {
      const count = random.pick([15, 16, 17, 65535, 65536])
      const item = random.pick(["t[i]=i", "t['k'..i]=i"])
      return `local t = {} for i = 1, ${count} do ${item} end return show(function() return cmsgpack.pack(t) end)`
    }
    const packed = `cmsgpack.pack(${values.join(",")})`
    return `return show(function() return ${random.oneIn(2) ? packed : `cmsgpack.unpack(${packed})`} end)`
  }

  private messagePack(depth: number): number[] {
    const { random } = this
    const some = (count: number): number[] => [...random.bytes(count)]
    const draw = random.below(depth > 0 ? 20 : 14)
    if (draw < 2) return [random.below(128)]
    if (draw < 3) return [0xe0 + random.below(32)]
    if (draw < 5) {
      const length = random.below(32)
      return [0xa0 + length, ...some(length)]
    }
    if (draw < 6) return [random.pick([0xc0, 0xc2, 0xc3])]
    if (draw < 10) {
      const [first, length] = random.pick([
        [0xcc, 1],
        [0xcd, 2],
        [0xce, 4],
        [0xcf, 8],
        [0xd0, 1],
        [0xd1, 2],
        [0xd2, 4],
        [0xd3, 8],
        [0xca, 4],
        [0xcb, 8],
      ] as const)
      return [first, ...some(length)]
    }
    if (draw < 12) {
      const length = random.below(40)
      return random
        .pick([
          [0xd9, length],
          [0xda, 0, length],
          [0xdb, 0, 0, 0, length],
        ])
        .concat(some(length))
    }
    if (draw < 13) return random.oneIn(6) ? [random.pick([0xc1, 0xc4, 0xd4, 0xc7])] : [1]
    if (draw < 14) return random.oneIn(8) ? [random.pick([0xdd, 0xdf, 0xdb]), 255, 255, 255, 255] : [2]
    const count = random.pick([0, 1, 2, 3, 9])
    const isMap = draw >= 17
    const head = random.pick([
      [(isMap ? 0x80 : 0x90) + count],
      [isMap ? 0xde : 0xdc, 0, count],
      [isMap ? 0xdf : 0xdd, 0, 0, 0, count],
    ])
    const items = Array.from({ length: isMap ? count * 2 : count }, (_, i) =>
      isMap && i % 2 === 0 ? this.packedKey() : this.messagePack(depth - 1),
    )
    return head.concat(...items)
  }

  /** No table, which Lua would hash by its address, and no long string. */
  private packedKey(): number[] {
    const { random } = this
    const length = random.below(12)
    const draw = random.below(20)
    if (draw < 12) return [0xa0 + length, ...random.bytes(length)]
    if (draw < 19) return [random.below(128)]
    return random.pick([[0xc0], [0xc3], [0xcb, 127, 248, 0, 0, 0, 0, 0, 0], [0xca, 63, 0, 0, 0]])
  }

  private unpack(): string {
    const { random } = this
    const values = Array.from({ length: random.pick([0, 1, 1, 2, 4]) }, () => this.messagePack(random.between(0, 4)))
    let bytes = Uint8Array.from(values.flat())
    if (random.oneIn(8)) bytes = bytes.subarray(0, random.below(bytes.length + 1))
    const data = this.literal(bytes)
    const offset = random.pick(["", "", `, ${random.between(-2, 6)}`, `, ${random.below(bytes.length + 2)}`])
    const call = random.pick([
      `unpack(${data})`,
      `unpack(${data})`,
      `unpack_one(${data}${offset})`,
      `unpack_limit(${data}, ${random.between(-1, 4)}${offset})`,
    ])
    return `return show(function() return cmsgpack.${call} end)`
  }

  // ------------------------------------------------------------------ struct

  private format(): string {
    const { random } = this
    let text = ""
    for (let i = random.between(0, 5); i > 0; i--) {
      const draw = random.below(20)
      if (draw < 14) text += random.pick(formats)
      else if (draw < 17)
        text += `${random.pick(["i", "I"])}${random.oneIn(6) ? random.between(0, 40) : random.between(1, 9)}`
      else if (draw < 19) text += `c${random.below(6)}`
      else text += random.pick(["!3", "!0", "!16", "z", "i99999999999", "c2147483647", "c2147483648", "5", "$"])
    }
    return text
  }

  private struct(): string {
    const { random } = this
    const format = this.format()
    const draw = random.below(5)
    if (draw === 0) return `return show(function() return struct.size('${format}') end)`
    if (draw < 3) {
      const values = Array.from({ length: random.below(6) }, () =>
        random.oneIn(3) ? this.literal(this.bytes(12)) : random.oneIn(30) ? this.value(1) : this.number(),
      )
      return `return show(function() return struct.pack(${["'" + format + "'", ...values].join(",")}) end)`
    }
    const data = this.literal(random.bytes(random.below(40)))
    const position = random.oneIn(3)
      ? `, ${random.pick(["-1", "0", "1", "2", "7", "100", "-8", "1e30", "2^62", "'3'"])}`
      : ""
    return `return show(function() return struct.unpack('${format}', ${data}${position}) end)`
  }

  // ------------------------------------------------------------------ bit

  private bit(): string {
    const { random } = this
    const name = random.pick([
      "tobit",
      "bnot",
      "band",
      "bor",
      "bxor",
      "lshift",
      "rshift",
      "arshift",
      "rol",
      "ror",
      "bswap",
      "tohex",
    ])
    const values = Array.from({ length: random.pick([0, 1, 2, 2, 2, 3]) }, () =>
      random.oneIn(20) ? this.value(1) : random.oneIn(4) ? String(random.between(-40, 40)) : this.number(),
    )
    return `return show(function() return bit.${name}(${values.join(",")}) end)`
  }

  // ------------------------------------------------------------------ wrong arguments

  private oddCall(): string {
    const { random } = this
    const [library, names] = random.pick([
      [
        "cjson",
        ["encode", "decode", "encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision"],
      ],
      ["cjson", ["encode_keep_buffer", "encode_invalid_numbers", "decode_invalid_numbers"]],
      ["cmsgpack", ["pack", "unpack", "unpack_one", "unpack_limit"]],
      ["struct", ["pack", "unpack", "size"]],
      ["bit", ["tobit", "tohex", "band", "lshift"]],
    ] as const)
    const values = Array.from({ length: random.below(5) }, () =>
      random.oneIn(3)
        ? random.pick(["nil", "true", "'off'", "'null'", "'x'", "{}", "0", "15", "1e10", "-1", "'7'"])
        : this.value(1),
    )
    const call = `${random.pick(names as readonly string[])}(${values.join(",")})`
    const target = library === "cjson" ? "local c = cjson.new()" : `local c = ${library}`
    if (random.oneIn(6)) {
      return `${target} return show(function() return pcall(c.${call.replace("(", values.length > 0 ? ", " : "")} end)`
    }
    return `${target} return show(function() return c.${call} end)`
  }
}
