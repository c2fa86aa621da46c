/**
 * cmsgpack for Lua: MessagePack as Redis's lua-cmsgpack 0.4.0 writes and reads it.
 *
 * Writing takes the shortest form, with two choices of its own: a number that is a 64-bit integer is written as one, any
 * other as a float if a float holds it exactly; a table whose keys are 1…n (n may be 0) is an array, any other a map.
 * Strings are raw (no binary or extension types); what MessagePack cannot say, and tables nested deeper than 16, is nil.
 *
 * Reading: unsigned 64-bit integers are read as signed ones; nil as a key of a map is a Lua error. A length that promises
 * more than there is costs nothing: tables grow as elements come. Nesting is walked with a stack of our own, bounded by
 * the stack of Lua values, on which each open table has two slots.
 */

import type { LuaApi } from "../lua-api.ts"
import { type HostLibrary, LuaType, type LuaVm } from "../lua-vm.ts"
import {
  checkInteger,
  checkString,
  lowInt32,
  optionalInteger,
  outOfMemory,
  STRING_BYTES_MAX,
  setTextField,
  truncateToInt64,
} from "./arguments.ts"
import { Sink } from "./sink.ts"

const NESTING_MAX = 16

export function cmsgpackLibrary(vm: LuaVm): HostLibrary {
  const packer = new Packer(vm)
  const unpacker = new Unpacker(vm)
  const lua = vm.api
  /** Only the first argument stays, if there is one: results come behind it. */
  const keepFirst = (L: number): void => {
    if (lua.lua_gettop(L) > 1) lua.lua_settop(L, 1)
  }
  const functions: HostLibrary["functions"] = {
    pack: L => packer.pack(L),
    unpack: L => unpacker.unpack(L, 0, 0),
    unpack_one: L => {
      const offset = optionalInteger(vm, L, 2, 0)
      keepFirst(L)
      return unpacker.unpack(L, 1, offset)
    },
    unpack_limit: L => {
      const limit = checkInteger(vm, L, 2)
      const offset = optionalInteger(vm, L, 3, 0)
      keepFirst(L)
      return unpacker.unpack(L, limit, offset)
    },
  }
  const finish = (L: number): void => {
    setTextField(vm, L, "_NAME", "cmsgpack")
    setTextField(vm, L, "_VERSION", "lua-cmsgpack 0.4.0")
    setTextField(vm, L, "_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")
    setTextField(vm, L, "_DESCRIPTION", "MessagePack C implementation for Lua")
  }
  return { name: "cmsgpack", functions, finish }
}

// -------------------------------------------------------------------- writing

class Packer {
  private readonly vm: LuaVm
  private readonly lua: LuaApi
  private readonly sink = new Sink(STRING_BYTES_MAX)
  private readonly float = new DataView(new ArrayBuffer(8))
  private L = 0

  constructor(vm: LuaVm) {
    this.vm = vm
    this.lua = vm.api
  }

  pack(L: number): number {
    const { vm, lua, sink } = this
    this.L = L
    const count = lua.lua_gettop(L)
    if (count === 0) vm.argumentError(L, 0, "MessagePack pack needs input.")
    if (lua.lua_checkstack(L, count) === 0) vm.argumentError(L, 0, "Too many arguments for MessagePack pack.")
    sink.reset()
    for (let i = 1; i <= count; i++) {
      lua.lua_pushvalue(L, i)
      this.value(0)
    }
    vm.pushBytes(L, sink.bytes, 0, sink.at)
    return 1
  }

  /** Appends the value on top of the stack and takes it away. */
  private value(level: number): void {
    const { lua, L } = this
    switch (lua.lua_type(L, -1)) {
      case LuaType.string:
        this.string()
        break
      case LuaType.number:
        this.number(lua.lua_tonumber(L, -1))
        break
      case LuaType.boolean:
        this.head(lua.lua_toboolean(L, -1) === 0 ? 0xc2 : 0xc3)
        break
      case LuaType.table:
        if (level < NESTING_MAX) this.table(level)
        else this.head(0xc0)
        break
      default:
        this.head(0xc0)
    }
    lua.lua_settop(L, -2)
  }

  private table(level: number): void {
    const { vm, lua, L } = this
    if (lua.lua_checkstack(L, 4) === 0) vm.error(L, "stack overflow (in function mp_encode_lua_table_as_map)")
    let count = 0
    let max = 0
    let isArray = true
    lua.lua_pushnil(L)
    while (lua.lua_next(L, -2) !== 0) {
      lua.lua_settop(L, -2)
      count++
      if (!isArray) continue
      const key = lua.lua_type(L, -1) === LuaType.number ? lua.lua_tonumber(L, -1) : 0
      if (key > 0 && key === (key | 0)) max = Math.max(max, key)
      else isArray = false
    }
    if (isArray && max === count) this.array(count, level)
    else this.map(count, level)
  }

  private array(count: number, level: number): void {
    const { lua, L } = this
    this.lengthHead(count, 0x90, 15, 0xdc)
    for (let i = 1; i <= count; i++) {
      lua.lua_rawgeti(L, -1, i)
      this.value(level + 1)
    }
  }

  private map(count: number, level: number): void {
    const { lua, L } = this
    this.lengthHead(count, 0x80, 15, 0xde)
    lua.lua_pushnil(L)
    while (lua.lua_next(L, -2) !== 0) {
      lua.lua_pushvalue(L, -2)
      this.value(level + 1)
      this.value(level + 1)
    }
  }

  private string(): void {
    const { vm, sink } = this
    vm.stringAt(this.L, -1)
    const { at: start, end } = vm
    const length = end - start
    if (length >= 32 && length <= 0xff) this.head(0xd9, length, 1)
    else this.lengthHead(length, 0xa0, 31, 0xda)
    this.room(length)
    sink.copy(vm.bytes, start, end)
  }

  private number(value: number): void {
    const whole = truncateToInt64(value)
    if (whole !== value) this.double(value)
    else if (whole >= 0) {
      if (whole <= 0x7f) this.head(whole)
      else if (whole <= 0xff) this.head(0xcc, whole, 1)
      else if (whole <= 0xffff) this.head(0xcd, whole, 2)
      else if (whole <= 0xffffffff) this.head(0xce, whole, 4)
      else this.head(0xcf, whole, 8)
    } else if (whole >= -32) this.head(whole & 0xff)
    else if (whole >= -0x80) this.head(0xd0, whole, 1)
    else if (whole >= -0x8000) this.head(0xd1, whole, 2)
    else if (whole >= -0x80000000) this.head(0xd2, whole, 4)
    else this.head(0xd3, whole, 8)
  }

  private double(value: number): void {
    const { sink, float } = this
    this.room(9)
    const isFloat = Math.fround(value) === value
    if (isFloat) float.setFloat32(0, value)
    // The NaN that x86-64 makes of 0/0.
    else if (Number.isNaN(value)) float.setBigUint64(0, 0xfff8000000000000n)
    else float.setFloat64(0, value)
    sink.byte(isFloat ? 0xca : 0xcb)
    for (let i = 0; i < (isFloat ? 4 : 8); i++) sink.byte(float.getUint8(i))
  }

  /** The length of a string, array or map: within the first byte, or in 16 or 32 bits behind one. */
  private lengthHead(length: number, short: number, shortMax: number, first16: number): void {
    if (length <= shortMax) this.head(short | length)
    else if (length <= 0xffff) this.head(first16, length, 2)
    else this.head(first16 + 1, length, 4)
  }

  /** A byte, and an integer of so many bytes behind it, high byte first. */
  private head(first: number, value = 0, bytes = 0): void {
    const { sink } = this
    this.room(9)
    sink.byte(first)
    if (bytes === 8) {
      const high = Math.floor(value / 2 ** 32)
      this.bigEndian(high | 0, 4)
      this.bigEndian((value - high * 2 ** 32) | 0, 4)
    } else this.bigEndian(value | 0, bytes)
  }

  private bigEndian(value: number, bytes: number): void {
    for (let shift = (bytes - 1) * 8; shift >= 0; shift -= 8) this.sink.byte((value >> shift) & 0xff)
  }

  private room(count: number): void {
    if (!this.sink.ensure(count)) outOfMemory(this.vm, this.L)
  }
}

// -------------------------------------------------------------------- reading

/** Longer texts are not kept room for. */
const KEPT_INPUT_BYTES_MAX = 256 * 1024
const INT32_MAX = 2 ** 31 - 1

/** What a map wants next, in place of an array's index. */
const KEY = 0
const VALUE = -1

/** For first bytes from 0xc0: how many bytes the head has; 0 for those that lua-cmsgpack does not know. */
const HEAD_BYTES = [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 0, 0, 0, 0, 0, 2, 3, 5, 3, 5, 3, 5]

class Unpacker {
  private readonly vm: LuaVm
  private readonly lua: LuaApi
  private L = 0
  /** A copy of the input: the interpreter's memory may move while we read. */
  private input = new Uint8Array(1024)
  private view = new DataView(this.input.buffer)
  /** Where the input is in the interpreter's memory. */
  private inputAt = 0
  private at = 0
  private end = 0
  /** Open tables; and for each how many elements are still to come, and the index of the next: KEY or VALUE in a map. */
  private depth = 0
  private readonly left: number[] = []
  private readonly index: number[] = []

  constructor(vm: LuaVm) {
    this.vm = vm
    this.lua = vm.api
  }

  /** Leaves up to `limit` values on the stack, behind the offset to go on at; without limit and offset all, and no offset. */
  unpack(L: number, limit: number, offset: number): number {
    const { vm, lua } = this
    this.L = L
    this.inputAt = checkString(vm, L, 1)
    const length = vm.end - this.inputAt
    if (offset < 0 || limit < 0) {
      const message = `Invalid request to unpack with offset of ${lowInt32(offset)} and limit of ${length | 0}.`
      vm.error(L, message)
    }
    if (offset > length) vm.error(L, `Start offset ${lowInt32(offset)} greater than input length ${length | 0}.`)
    const isAll = limit === 0 && offset === 0
    this.takeInput(length)
    this.at = offset
    const most = isAll ? INT32_MAX : limit
    let count = 0
    for (; this.at < length && count < most; count++) this.whole()
    if (isAll) return count
    this.slot("in function mp_unpack_full")
    lua.lua_pushnumber(L, this.at === length ? -1 : this.at)
    lua.lua_insert(L, 2)
    return count + 1
  }

  private takeInput(length: number): void {
    const { vm } = this
    const isTooLarge = this.input.length > KEPT_INPUT_BYTES_MAX && length < KEPT_INPUT_BYTES_MAX
    if (length > this.input.length || isTooLarge) {
      this.input = new Uint8Array(Math.max(length, 1024))
      this.view = new DataView(this.input.buffer)
    }
    this.input.set(vm.bytes.subarray(this.inputAt, this.inputAt + length))
    this.end = length
  }

  /** One value with all that is in it. */
  private whole(): void {
    const { left, index } = this
    this.depth = 0
    this.value()
    while (this.depth > 0) {
      const top = this.depth - 1
      if (left[top] === 0) {
        this.depth = top
        this.attach()
        continue
      }
      if (index[top]! > 0) this.lua.lua_pushnumber(this.L, index[top]!)
      this.value()
    }
  }

  /** The value on top of the stack is complete: puts it where it belongs. */
  private attach(): void {
    const top = this.depth - 1
    if (top < 0) return
    const { index } = this
    const at = index[top]!
    if (at === KEY) {
      index[top] = VALUE
      return
    }
    index[top] = at === VALUE ? KEY : at + 1
    this.left[top]!--
    this.lua.lua_rawset(this.L, -3)
  }

  /** Pushes the next value; of an array or map only an empty table. */
  private value(): void {
    this.need(1)
    this.slot("too many return values at once; use unpack_one or unpack_limit instead.")
    const first = this.input[this.at]!
    if (first < 0x80) this.pushNumber(first, 1)
    else if (first < 0x90) this.open(first & 15, false, 1)
    else if (first < 0xa0) this.open(first & 15, true, 1)
    else if (first < 0xc0) this.string(first & 31, 1)
    else if (first >= 0xe0) this.pushNumber(first - 256, 1)
    else this.longValue(first)
  }

  /** A value whose head is the first byte and what stands behind it. */
  private longValue(first: number): void {
    const { lua, L, view } = this
    const head = HEAD_BYTES[first - 0xc0]!
    if (head === 0) this.vm.error(L, "Bad data format in input.")
    this.need(head)
    const at = this.at + 1
    switch (first) {
      case 0xc0:
        lua.lua_pushnil(L)
        this.pushed(head)
        break
      case 0xc2:
      case 0xc3:
        lua.lua_pushboolean(L, first & 1)
        this.pushed(head)
        break
      case 0xca:
        this.pushNumber(view.getFloat32(at), head)
        break
      case 0xcb:
        this.pushNumber(view.getFloat64(at), head)
        break
      case 0xcc:
        this.pushNumber(view.getUint8(at), head)
        break
      case 0xcd:
        this.pushNumber(view.getUint16(at), head)
        break
      case 0xce:
        this.pushNumber(view.getUint32(at), head)
        break
      case 0xd0:
        this.pushNumber(view.getInt8(at), head)
        break
      case 0xd1:
        this.pushNumber(view.getInt16(at), head)
        break
      case 0xd2:
        this.pushNumber(view.getInt32(at), head)
        break
      case 0xcf:
      case 0xd3:
        // Rounded once, as C converts a 64-bit integer.
        this.pushNumber(Number(view.getBigInt64(at)), head)
        break
      case 0xd9:
        this.string(view.getUint8(at), head)
        break
      case 0xda:
        this.string(view.getUint16(at), head)
        break
      case 0xdb:
        this.string(view.getUint32(at), head)
        break
      default:
        // Arrays in 16 and 32 bits, maps in 16 and 32 bits.
        this.open(head === 3 ? view.getUint16(at) : view.getUint32(at), first < 0xde, head)
    }
  }

  private pushNumber(value: number, bytes: number): void {
    this.lua.lua_pushnumber(this.L, value)
    this.pushed(bytes)
  }

  /** A value of so many bytes is on the stack, complete. */
  private pushed(bytes: number): void {
    this.at += bytes
    this.attach()
  }

  private string(length: number, head: number): void {
    this.need(head + length)
    this.lua.lua_pushlstring(this.L, this.inputAt + this.at + head, length)
    this.pushed(head + length)
  }

  private open(count: number, isArray: boolean, head: number): void {
    this.at += head
    this.lua.lua_createtable(this.L, 0, 0)
    this.left[this.depth] = count
    this.index[this.depth++] = isArray ? 1 : KEY
    if (isArray) this.slot("in function mp_decode_to_lua_array")
  }

  private need(bytes: number): void {
    if (this.end - this.at < bytes) this.vm.error(this.L, "Missing bytes in input.")
  }

  private slot(where: string): void {
    if (this.lua.lua_checkstack(this.L, 1) === 0) this.vm.error(this.L, `stack overflow (${where})`)
  }
}
