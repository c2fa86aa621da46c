/**
 * cjson for Lua: Redis's Lua CJSON 2.1.0 in behaviour, faults included, because scripts depend on them: an empty table is
 * an object, null is a light userdata, "/" is escaped, numbers have fourteen digits, invalid UTF-8 passes through.
 *
 * Encoding: which tables are arrays. All keys are whole numbers from 1, and the largest is at most `ratio` times the number
 * of keys or at most `safe`; holes are null. Decoding: RFC 4627 with what C's strtod takes for a number, up to a NUL.
 *
 * The settings of a `cjson` table are nine words in a userdata that is the first upvalue of all its functions, so that
 * `cjson.new()` costs no function here and is collected like any other value. They outlive the script, as in Redis.
 *
 * Nesting is walked with a stack of our own; the stack of Lua values bounds it (about 8000 slots).
 */

import type { LuaApi } from "../lua-api.ts"
import { type HostFunction, type HostLibrary, LuaType, type LuaVm, upvalue } from "../lua-vm.ts"
import { checkInteger, checkString, lowInt32, outOfMemory, STRING_BYTES_MAX, setTextField } from "./arguments.ts"
import { appendNumber, NUMBER_TEXT_BYTES_MAX, numberEnd, parseNumberPrefix } from "./number-text.ts"
import { Sink } from "./sink.ts"

const INT32_MAX = 2 ** 31 - 1

/** Words of the settings. */
const Setting = {
  sparseConvert: 0,
  sparseRatio: 1,
  sparseSafe: 2,
  encodeMaxDepth: 3,
  encodeInvalidNumbers: 4,
  encodeNumberPrecision: 5,
  encodeKeepBuffer: 6,
  decodeInvalidNumbers: 7,
  decodeMaxDepth: 8,
} as const
const DEFAULTS = [0, 2, 10, 1000, 0, 14, 1, 1, 1000]

/** For encode_invalid_numbers, by number. */
const OFF_ON_NULL = ["off", "on", "null"]
const OFF_ON = ["off", "on"]

const Token = {
  ObjectBegin: 0,
  ObjectEnd: 1,
  ArrayBegin: 2,
  ArrayEnd: 3,
  String: 4,
  Number: 5,
  Boolean: 6,
  Null: 7,
  Colon: 8,
  Comma: 9,
  End: 10,
  Whitespace: 11,
  Error: 12,
  Unknown: 13,
} as const

/** As error messages name them. */
const TOKEN_NAMES = [
  "T_OBJ_BEGIN",
  "T_OBJ_END",
  "T_ARR_BEGIN",
  "T_ARR_END",
  "T_STRING",
  "T_NUMBER",
  "T_BOOLEAN",
  "T_NULL",
  "T_COLON",
  "T_COMMA",
  "T_END",
]

/** What kind of token begins with a byte. */
const TOKEN_OF = new Uint8Array(256).fill(Token.Error)
for (const [characters, token] of [
  ["{", Token.ObjectBegin],
  ["}", Token.ObjectEnd],
  ["[", Token.ArrayBegin],
  ["]", Token.ArrayEnd],
  [",", Token.Comma],
  [":", Token.Colon],
  ["\0", Token.End],
  [" \t\n\r", Token.Whitespace],
  ['fiInNt"+-0123456789', Token.Unknown],
] as const) {
  for (const character of characters) TOKEN_OF[character.charCodeAt(0)] = token
}

/** What a byte is in a JSON string; undefined: itself. */
const ESCAPES: (string | undefined)[] = Array.from({ length: 256 }, (_, byte) =>
  byte < 32 || byte === 127 ? `\\u${byte.toString(16).padStart(4, "0")}` : undefined,
)
/** And what the letter behind a backslash stands for; 0: nothing. */
const UNESCAPED = new Uint8Array(256)
for (const [letter, byte] of ["b\b", "t\t", "n\n", "f\f", "r\r", '""', "\\\\", "//"].map(pair => [...pair])) {
  ESCAPES[byte!.charCodeAt(0)] = `\\${letter}`
  UNESCAPED[letter!.charCodeAt(0)] = byte!.charCodeAt(0)
}
UNESCAPED[0x75] = 0x75
const IS_PLAIN = Uint8Array.from(ESCAPES, written => (written === undefined ? 1 : 0))
const ESCAPE_BYTES_MAX = 6

const QUOTE = 0x22
const BACKSLASH = 0x5c

export function cjsonLibrary(vm: LuaVm): HostLibrary {
  const lua = vm.api
  const encoder = new Encoder(vm)
  const decoder = new Decoder(vm)
  const settings = (L: number): number => lua.lua_touserdata(L, upvalue(1))
  const begin = (L: number, argumentsMax: number): void => {
    if (lua.lua_gettop(L) > argumentsMax) vm.argumentError(L, argumentsMax + 1, "found too many arguments")
    lua.lua_settop(L, argumentsMax)
  }
  const integerSetting =
    (setting: number, min: number, max: number): HostFunction =>
    L => {
      begin(L, 1)
      return integerOption(vm, L, 1, settings(L) + setting * 4, min, max)
    }
  const switchSetting =
    (setting: number, options: readonly string[]): HostFunction =>
    L => {
      begin(L, 1)
      return switchOption(vm, L, 1, settings(L) + setting * 4, options)
    }
  const functions: Record<string, HostFunction> = {
    encode: L => encoder.encode(L, settings(L)),
    decode: L => decoder.decode(L, settings(L)),
    encode_sparse_array: L => {
      begin(L, 3)
      const at = settings(L)
      switchOption(vm, L, 1, at + Setting.sparseConvert * 4, OFF_ON)
      integerOption(vm, L, 2, at + Setting.sparseRatio * 4, 0, INT32_MAX)
      integerOption(vm, L, 3, at + Setting.sparseSafe * 4, 0, INT32_MAX)
      return 3
    },
    encode_max_depth: integerSetting(Setting.encodeMaxDepth, 1, INT32_MAX),
    decode_max_depth: integerSetting(Setting.decodeMaxDepth, 1, INT32_MAX),
    encode_number_precision: integerSetting(Setting.encodeNumberPrecision, 1, 14),
    encode_keep_buffer: switchSetting(Setting.encodeKeepBuffer, OFF_ON),
    encode_invalid_numbers: switchSetting(Setting.encodeInvalidNumbers, OFF_ON_NULL),
    decode_invalid_numbers: switchSetting(Setting.decodeInvalidNumbers, OFF_ON),
    new: L => {
      lua.lua_createtable(L, 0, Object.keys(functions).length + 3)
      fill(L)
      return 1
    },
  }
  const slots = Object.entries(functions).map(([name, f]) => [name, vm.register(f)] as const)
  /** Fills the table on top of the stack, with settings of its own. */
  const fill = (L: number): void => {
    const at = lua.lua_newuserdata(L, DEFAULTS.length * 4) >> 2
    vm.words.set(DEFAULTS, at)
    for (const [name, slot] of slots) {
      lua.lua_pushvalue(L, -1)
      lua.lua_pushcclosure(L, slot, 1)
      vm.setField(L, -3, name)
    }
    vm.pop(L)
    lua.lua_pushlightuserdata(L, 0)
    vm.setField(L, -2, "null")
    setTextField(vm, L, "_NAME", "cjson")
    setTextField(vm, L, "_VERSION", "2.1.0")
  }
  return { name: "cjson", functions: {}, finish: fill }
}

/** Takes over the argument, if it is there, as the setting at `at`; leaves the setting on the stack. */
function integerOption(vm: LuaVm, L: number, argument: number, at: number, min: number, max: number): number {
  if (vm.api.lua_type(L, argument) !== LuaType.nil) {
    const value = lowInt32(checkInteger(vm, L, argument))
    if (value < min || value > max) vm.argumentError(L, 1, `expected integer between ${min} and ${max}`)
    vm.words[at >> 2] = value
  }
  vm.api.lua_pushnumber(L, vm.words[at >> 2]!)
  return 1
}

/** The same for a setting with names, of which the first two are also false and true. */
function switchOption(vm: LuaVm, L: number, argument: number, at: number, options: readonly string[]): number {
  const lua = vm.api
  const type = lua.lua_type(L, argument)
  if (type === LuaType.boolean) vm.words[at >> 2] = lua.lua_toboolean(L, argument)
  else if (type !== LuaType.nil) {
    const given = Buffer.from(vm.bytes.subarray(checkString(vm, L, argument), vm.end))
      .toString("latin1")
      .split("\0", 1)[0]!
    const option = options.indexOf(given)
    if (option < 0) vm.argumentError(L, argument, `invalid option '${given}'`)
    vm.words[at >> 2] = option
  }
  const value = vm.words[at >> 2]!
  if (value <= 1) lua.lua_pushboolean(L, value)
  else vm.pushText(L, options[value]!)
  return 1
}

// -------------------------------------------------------------------- encoding

const TYPE_NAMES = ["nil", "boolean", "userdata", "number", "string", "table", "function", "userdata", "thread"]
/** "null,". */
const HOLE_BYTES = 5
/** In place of the number of elements: an object. */
const OBJECT = -1

class Encoder {
  private readonly vm: LuaVm
  private readonly lua: LuaApi
  private readonly sink = new Sink(STRING_BYTES_MAX)
  private L = 0
  private maxDepth = 0
  private invalidNumbers = 0
  private precision = 0
  private sparseConvert = 0
  private sparseRatio = 0
  private sparseSafe = 0
  /** Per open table: OBJECT, or how many elements the array has; and how many of them are written. */
  private readonly lengths: number[] = []
  private readonly done: number[] = []

  constructor(vm: LuaVm) {
    this.vm = vm
    this.lua = vm.api
  }

  encode(L: number, settings: number): number {
    const { vm, lua, sink } = this
    if (lua.lua_gettop(L) !== 1) vm.argumentError(L, 1, "expected 1 argument")
    this.L = L
    this.readSettings(settings)
    this.lengths.length = 0
    this.done.length = 0
    sink.reset()
    this.value()
    while (this.lengths.length > 0) this.nextItem()
    vm.pushBytes(L, sink.bytes, 0, sink.at)
    return 1
  }

  private readSettings(at: number): void {
    const { vm } = this
    this.maxDepth = vm.words[(at >> 2) + Setting.encodeMaxDepth]!
    this.invalidNumbers = vm.words[(at >> 2) + Setting.encodeInvalidNumbers]!
    this.precision = vm.words[(at >> 2) + Setting.encodeNumberPrecision]!
    this.sparseConvert = vm.words[(at >> 2) + Setting.sparseConvert]!
    this.sparseRatio = vm.words[(at >> 2) + Setting.sparseRatio]!
    this.sparseSafe = vm.words[(at >> 2) + Setting.sparseSafe]!
  }

  /** Appends the value on top of the stack and takes it away; of a table only the beginning, and it stays. */
  private value(): void {
    const { lua, L } = this
    switch (lua.lua_type(L, -1)) {
      case LuaType.string:
        this.string(-1)
        break
      case LuaType.number:
        this.number(-1)
        break
      case LuaType.boolean:
        this.word(lua.lua_toboolean(L, -1) === 0 ? "false" : "true")
        break
      case LuaType.table:
        this.open()
        return
      case LuaType.nil:
        this.word("null")
        break
      case LuaType.lightUserdata:
        if (lua.lua_touserdata(L, -1) !== 0) this.cannot(-1, "type not supported")
        this.word("null")
        break
      default:
        this.cannot(-1, "type not supported")
    }
    lua.lua_settop(L, -2)
  }

  private open(): void {
    const { vm, lua, L } = this
    const depth = this.lengths.length + 1
    if (depth > this.maxDepth || lua.lua_checkstack(L, 3) === 0) {
      vm.error(L, `Cannot serialise, excessive nesting (${depth})`)
    }
    const length = this.arrayLength()
    this.room(1)
    this.done.push(0)
    if (length > 0) {
      this.lengths.push(length)
      this.sink.byte(0x5b)
    } else {
      this.lengths.push(OBJECT)
      this.sink.byte(0x7b)
      lua.lua_pushnil(L)
    }
  }

  /** One step in the innermost table: an item with its comma, or the end. */
  private nextItem(): void {
    const { lua, L, sink } = this
    const level = this.lengths.length - 1
    const length = this.lengths[level]!
    const index = this.done[level]!++
    this.room(1)
    if (length === OBJECT ? lua.lua_next(L, -2) === 0 : index === length) {
      sink.byte(length === OBJECT ? 0x7d : 0x5d)
      this.lengths.pop()
      this.done.pop()
      lua.lua_settop(L, -2)
      return
    }
    if (index > 0) sink.byte(0x2c)
    if (length === OBJECT) this.key()
    else lua.lua_rawgeti(L, -1, index + 1)
    this.value()
  }

  /** The key below the value on top of the stack. */
  private key(): void {
    const { lua, L, sink } = this
    const type = lua.lua_type(L, -2)
    if (type === LuaType.string) this.string(-2)
    else if (type === LuaType.number) {
      this.room(1)
      sink.byte(QUOTE)
      this.number(-2)
      this.room(1)
      sink.byte(QUOTE)
    } else this.cannot(-2, "table key must be a number or string")
    this.room(1)
    sink.byte(0x3a)
  }

  /** How many elements the table on top of the stack has as an array; OBJECT (or less) when it is none. */
  private arrayLength(): number {
    const { lua, L } = this
    let max = 0
    let items = 0
    lua.lua_pushnil(L)
    while (lua.lua_next(L, -2) !== 0) {
      const key = lua.lua_type(L, -2) === LuaType.number ? lua.lua_tonumber(L, -2) : 0
      if (!(key >= 1 && Math.floor(key) === key)) {
        lua.lua_settop(L, -3)
        return OBJECT
      }
      // A C int: what does not fit becomes the least one.
      if (key > max) max = key > INT32_MAX ? -INT32_MAX - 1 : key
      items++
      lua.lua_settop(L, -2)
    }
    const ratio = this.sparseRatio
    if (ratio > 0 && max > Math.imul(items, ratio) && max > this.sparseSafe) {
      if (this.sparseConvert === 0) this.cannot(-1, "excessively sparse array")
      return OBJECT
    }
    // A billion holes are seen to be too many before they are written.
    if (this.sink.at + (max - items) * HOLE_BYTES > STRING_BYTES_MAX) outOfMemory(this.vm, L)
    return max
  }

  private number(index: number): void {
    const value = this.lua.lua_tonumber(this.L, index)
    if (!Number.isFinite(value)) {
      if (this.invalidNumbers === 0) this.cannot(index, "must not be NaN or Inf")
      if (this.invalidNumbers === 2) {
        this.word("null")
        return
      }
    }
    this.room(NUMBER_TEXT_BYTES_MAX)
    appendNumber(this.sink, value, this.precision)
  }

  private string(index: number): void {
    const { vm, sink } = this
    vm.stringAt(this.L, index)
    const { at: start, end, bytes } = vm
    this.room(end - start + 2)
    const to = sink.bytes
    let out = sink.at
    to[out++] = QUOTE
    let at = start
    for (; at < end; at++) {
      const byte = bytes[at]!
      if (IS_PLAIN[byte] === 0) break
      to[out++] = byte
    }
    sink.at = out
    if (at < end) this.restOfString(at, end)
    sink.byte(QUOTE)
  }

  /** From the first byte that is to be escaped. */
  private restOfString(start: number, end: number): void {
    const { sink } = this
    const { bytes } = this.vm
    let plainFrom = start
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!
      if (IS_PLAIN[byte] === 1) continue
      sink.copy(bytes, plainFrom, at)
      plainFrom = at + 1
      this.room(end - at + 1 + ESCAPE_BYTES_MAX)
      sink.text(ESCAPES[byte]!)
    }
    sink.copy(bytes, plainFrom, end)
  }

  private word(text: string): void {
    this.room(text.length)
    this.sink.text(text)
  }

  private room(count: number): void {
    if (!this.sink.ensure(count)) outOfMemory(this.vm, this.L)
  }

  private cannot(index: number, reason: string): never {
    return this.vm.error(this.L, `Cannot serialise ${TYPE_NAMES[this.lua.lua_type(this.L, index)]}: ${reason}`)
  }
}

// -------------------------------------------------------------------- decoding

/** Longer texts are not kept room for. */
const KEPT_TEXT_BYTES_MAX = 256 * 1024

class Decoder {
  private readonly vm: LuaVm
  private readonly lua: LuaApi
  private readonly sink = new Sink(STRING_BYTES_MAX)
  private L = 0
  private maxDepth = 0
  private takesInvalidNumbers = false
  /** A copy of the text, with a NUL behind it; the interpreter's memory may move while we read. */
  private text = new Uint8Array(1024)
  /** Where the text is in the interpreter's memory. */
  private textAt = 0
  private length = 0
  private at = 0
  /** The token: where it (or the fault in it) is, and its value. */
  private tokenAt = 0
  private fault = ""
  private numberValue = 0
  private booleanValue = 0
  /** A string's place in the text, or, if it holds escapes, in the sink. */
  private stringStart = 0
  private stringEnd = 0
  private isUnescaped = false
  /** Per open array or object: the index of the next element, or 0. */
  private readonly open: number[] = []

  constructor(vm: LuaVm) {
    this.vm = vm
    this.lua = vm.api
  }

  decode(L: number, settings: number): number {
    const { vm, lua } = this
    if (lua.lua_gettop(L) !== 1) vm.argumentError(L, 1, "expected 1 argument")
    this.L = L
    this.maxDepth = vm.words[(settings >> 2) + Setting.decodeMaxDepth]!
    this.takesInvalidNumbers = vm.words[(settings >> 2) + Setting.decodeInvalidNumbers]! !== 0
    this.takeText()
    const { text } = this
    if (this.length >= 2 && (text[0] === 0 || text[1] === 0)) {
      vm.error(L, "JSON parser does not support UTF-16 or UTF-32")
    }
    this.at = 0
    this.open.length = 0
    this.sink.reset()
    this.value(this.next())
    while (this.open.length > 0) this.nextItem()
    this.expect(Token.End, "the end", this.next())
    return 1
  }

  private takeText(): void {
    const { vm } = this
    this.textAt = checkString(vm, this.L, 1)
    const length = vm.end - this.textAt
    this.length = length
    const isTooLarge = this.text.length > KEPT_TEXT_BYTES_MAX && length < KEPT_TEXT_BYTES_MAX
    if (length >= this.text.length || isTooLarge) this.text = new Uint8Array(Math.max(length + 1, 1024))
    this.text.set(vm.bytes.subarray(this.textAt, this.textAt + length))
    this.text[length] = 0
  }

  /** Pushes the value that begins with the token; of an array or object only what is before its first value. */
  private value(token: number): void {
    const { lua, L } = this
    switch (token) {
      case Token.String:
        this.pushString()
        return
      case Token.Number:
        lua.lua_pushnumber(L, this.numberValue)
        return
      case Token.Boolean:
        lua.lua_pushboolean(L, this.booleanValue)
        return
      case Token.Null:
        lua.lua_pushlightuserdata(L, 0)
        return
      case Token.ObjectBegin:
        this.descend(3)
        this.beginObject()
        return
      case Token.ArrayBegin:
        this.descend(2)
        this.beginArray()
        return
      default:
        this.unexpected("value", token)
    }
  }

  private descend(slots: number): void {
    const { lua, vm, L } = this
    const depth = this.open.length + 1
    if (depth > this.maxDepth || lua.lua_checkstack(L, slots) === 0) {
      vm.error(L, `Found too many nested data structures (${depth}) at character ${this.at}`)
    }
    lua.lua_createtable(L, 0, 0)
  }

  private beginObject(): void {
    const token = this.next()
    if (token === Token.ObjectEnd) return
    this.open.push(0)
    this.key(token)
    this.value(this.next())
  }

  private beginArray(): void {
    const token = this.next()
    if (token === Token.ArrayEnd) return
    this.open.push(1)
    this.value(token)
  }

  /** Puts the value on top of the stack where it belongs, and goes on to the next one, or closes its table. */
  private nextItem(): void {
    const { lua, L, open } = this
    const level = open.length - 1
    const index = open[level]!
    const isObject = index === 0
    if (isObject) lua.lua_rawset(L, -3)
    else {
      lua.lua_rawseti(L, -2, index)
      open[level] = index + 1
    }
    const token = this.next()
    if (token === (isObject ? Token.ObjectEnd : Token.ArrayEnd)) {
      open.pop()
      return
    }
    this.expect(Token.Comma, isObject ? "comma or object end" : "comma or array end", token)
    if (isObject) this.key(this.next())
    this.value(this.next())
  }

  private key(token: number): void {
    this.expect(Token.String, "object key string", token)
    this.pushString()
    this.expect(Token.Colon, "colon", this.next())
  }

  private pushString(): void {
    const { stringStart, stringEnd } = this
    if (this.isUnescaped) this.vm.pushBytes(this.L, this.sink.bytes, stringStart, stringEnd)
    else this.lua.lua_pushlstring(this.L, this.textAt + stringStart, stringEnd - stringStart)
  }

  private expect(wanted: number, what: string, token: number): void {
    if (token !== wanted) this.unexpected(what, token)
  }

  private unexpected(what: string, token: number): never {
    const found = token === Token.Error ? this.fault : TOKEN_NAMES[token]!
    return this.vm.error(this.L, `Expected ${what} but found ${found} at character ${this.tokenAt + 1}`)
  }

  // ------------------------------------------------------------------ tokens

  /** Reads a token; its kind. At the end it stays where it is. */
  private next(): number {
    const { text } = this
    let { at } = this
    let token = TOKEN_OF[text[at]!]!
    while (token === Token.Whitespace) token = TOKEN_OF[text[++at]!]!
    this.at = at
    this.tokenAt = at
    if (token === Token.Error) return this.faulty("invalid token")
    if (token === Token.End) return token
    if (token !== Token.Unknown) {
      this.at = at + 1
      return token
    }
    return this.longToken(text[at]!)
  }

  private longToken(first: number): number {
    if (first === QUOTE) return this.stringToken()
    if (first === 0x2d || (first >= 0x30 && first <= 0x39)) {
      if (!this.takesInvalidNumbers && this.isInvalidNumber()) return this.faulty("invalid number")
      return this.numberToken()
    }
    if (this.skipWord("true")) {
      this.booleanValue = 1
      return Token.Boolean
    }
    if (this.skipWord("false")) {
      this.booleanValue = 0
      return Token.Boolean
    }
    if (this.skipWord("null")) return Token.Null
    return this.takesInvalidNumbers && this.isInvalidNumber() ? this.numberToken() : this.faulty("invalid token")
  }

  private skipWord(word: string): boolean {
    for (let i = 0; i < word.length; i++) if (this.text[this.at + i] !== word.charCodeAt(i)) return false
    this.at += word.length
    return true
  }

  private faulty(fault: string): number {
    this.fault = fault
    this.tokenAt = this.at
    return Token.Error
  }

  private numberToken(): number {
    this.numberValue = parseNumberPrefix(this.text, this.at)
    if (numberEnd === this.at) return this.faulty("invalid number")
    this.at = numberEnd
    return Token.Number
  }

  /** What strtod would take but JSON has no such number: a plus, leading zeros, hexadecimal, inf, nan. */
  private isInvalidNumber(): boolean {
    const { text } = this
    let { at } = this
    if (text[at] === 0x2b) return true
    if (text[at] === 0x2d) at++
    const first = text[at]!
    const second = text[at + 1]!
    if (first === 0x30) return (second | 0x20) === 0x78 || (second >= 0x30 && second <= 0x39)
    if (first <= 0x39) return false
    const three = String.fromCharCode(first | 0x20, second | 0x20, text[at + 2]! | 0x20)
    return three === "inf" || three === "nan"
  }

  private stringToken(): number {
    const { text } = this
    const start = this.at + 1
    let at = start
    for (;;) {
      const byte = text[at]!
      if (byte === QUOTE) break
      if (byte === BACKSLASH || byte === 0) return this.escapedString(start, at)
      at++
    }
    this.isUnescaped = false
    this.stringStart = start
    this.stringEnd = at
    this.at = at + 1
    return Token.String
  }

  /** A string that is plain up to `at`. */
  private escapedString(start: number, at: number): number {
    const { text, sink } = this
    sink.at = 0
    // What it stands for is never longer than what is written.
    if (!sink.ensure(this.length + 1)) outOfMemory(this.vm, this.L)
    sink.copy(text, start, at)
    for (;;) {
      const byte = text[at]!
      if (byte === QUOTE) break
      this.at = at
      if (byte === 0) return this.faulty("unexpected end of string")
      if (byte !== BACKSLASH) {
        sink.byte(byte)
        at++
        continue
      }
      const stands = UNESCAPED[text[at + 1]!]!
      if (stands === 0) return this.faulty("invalid escape code")
      if (stands === 0x75) {
        const length = this.unicodeEscape(at)
        if (length === 0) return this.faulty("invalid unicode escape code")
        at += length
      } else {
        sink.byte(stands)
        at += 2
      }
    }
    this.isUnescaped = true
    this.stringStart = 0
    this.stringEnd = sink.at
    this.at = at + 1
    return Token.String
  }

  /** Appends what \uXXXX at `at`, or two of them, stand for; how long they are, 0 when they are wrong. */
  private unicodeEscape(at: number): number {
    const { text } = this
    const unit = this.hex4(at + 2)
    if (unit < 0) return 0
    if ((unit & 0xf800) !== 0xd800) {
      this.codePoint(unit)
      return 6
    }
    if ((unit & 0x400) !== 0 || text[at + 6] !== BACKSLASH || text[at + 7] !== 0x75) return 0
    const low = this.hex4(at + 8)
    if (low < 0 || (low & 0xfc00) !== 0xdc00) return 0
    this.codePoint((((unit & 0x3ff) << 10) | (low & 0x3ff)) + 0x10000)
    return 12
  }

  private hex4(at: number): number {
    let value = 0
    for (let i = at; i < at + 4; i++) {
      const digit = hexDigit(this.text[i]!)
      if (digit < 0) return -1
      value = value * 16 + digit
    }
    return value
  }

  private codePoint(code: number): void {
    const { sink } = this
    if (code <= 0x7f) {
      sink.byte(code)
      return
    }
    if (code <= 0x7ff) sink.byte((code >> 6) | 0xc0)
    else {
      if (code <= 0xffff) sink.byte((code >> 12) | 0xe0)
      else {
        sink.byte((code >> 18) | 0xf0)
        sink.byte(((code >> 12) & 0x3f) | 0x80)
      }
      sink.byte(((code >> 6) & 0x3f) | 0x80)
    }
    sink.byte((code & 0x3f) | 0x80)
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
