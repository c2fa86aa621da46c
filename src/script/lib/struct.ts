/**
 * struct for Lua: Roberto Ierusalimschy's library in the version Redis carries, on a little-endian machine of 64 bits.
 *
 *   > < big, little endian     ![n] alignment, a power of 2 (8)   x padding    (space) nothing
 *   b B h H l L T  integers of 1, 2, 8 bytes, T as L              i[n] I[n] of n bytes (4), 32 at most
 *   f d floats     s string that ends with a NUL                  c[n] n characters; c0: the rest, or as many as the
 *                                                                 number before says
 *
 * Integers have 64 bits; of longer ones the rest is zero when written and dropped when read. A format ends at a NUL.
 * Where C leaves the result open (numbers out of range, shifts by more than there are bits) it is what x86-64 gives.
 */

import type { LuaApi } from "../lua-api.ts"
import type { HostLibrary, LuaVm } from "../lua-vm.ts"
import {
  checkNumber,
  checkString,
  optionalInteger,
  outOfMemory,
  STRING_BYTES_MAX,
  truncateToInt64,
} from "./arguments.ts"
import { Sink } from "./sink.ts"

const INTEGER_BYTES_MAX = 32
const NATIVE_ALIGNMENT = 8
const INT32_MAX = 2 ** 31 - 1
/** What an option stands for. */
const Kind = { control: 0, integer: 1, float: 2, characters: 3, text: 4, padding: 5 } as const
const KINDS = new Uint8Array(256)
/** Bytes of the options that always have the same. */
const SIZES = new Uint8Array(256)
for (const [options, kind, size] of [
  ["bB", Kind.integer, 1],
  ["hH", Kind.integer, 2],
  ["lLT", Kind.integer, 8],
  ["iI", Kind.integer, 0],
  ["f", Kind.float, 4],
  ["d", Kind.float, 8],
  ["c", Kind.characters, 0],
  ["s", Kind.text, 0],
  ["x", Kind.padding, 1],
] as const) {
  for (const option of options) {
    KINDS[option.charCodeAt(0)] = kind
    SIZES[option.charCodeAt(0)] = size
  }
}
const LOWER_A = 0x61

/** A walk through a format: the option at hand, its size, and the settings made by the options before it. */
class Format {
  option = 0
  /** See Kind. */
  kind = 0
  /** Bytes of the option; 0 for those without a size of their own. */
  size = 0
  isLittle = true
  private alignment = 1
  private readonly vm: LuaVm
  private L = 0
  /** Address of what comes next in the interpreter's memory, where the string stays; and its end. */
  private at = 0
  private end = 0

  constructor(vm: LuaVm) {
    this.vm = vm
  }

  /** Begins with the first argument. */
  begin(L: number): void {
    this.L = L
    this.at = checkString(this.vm, L, 1)
    this.end = this.vm.end
    this.isLittle = true
    this.alignment = 1
  }

  /** Moves on to the next option; false at the end. */
  next(): boolean {
    if (this.at >= this.end) return false
    const option = this.vm.bytes[this.at]!
    if (option === 0) return false
    this.at++
    this.option = option
    this.kind = KINDS[option]!
    this.size = this.kind === Kind.characters ? this.number(1) : SIZES[option]!
    if (this.kind === Kind.integer && this.size === 0) this.size = this.integerSize()
    return true
  }

  /** How many bytes to skip at `position` before the option. */
  padding(position: number): number {
    let { size } = this
    if (size === 0 || this.kind === Kind.characters) return 0
    if (size > this.alignment) size = this.alignment
    return (size - (low31(position) & (size - 1))) & (size - 1)
  }

  /** An option that stands for no value. */
  control(): void {
    const { vm, L } = this
    switch (String.fromCharCode(this.option)) {
      case " ":
        return
      case ">":
        this.isLittle = false
        return
      case "<":
        this.isLittle = true
        return
      case "!": {
        const alignment = this.number(NATIVE_ALIGNMENT)
        if (alignment <= 0 || (alignment & (alignment - 1)) !== 0) {
          vm.error(L, `alignment ${alignment} is not a power of 2`)
        }
        this.alignment = alignment
        return
      }
      default:
        vm.argumentError(L, 1, `invalid format option '${String.fromCharCode(this.option)}'`)
    }
  }

  private integerSize(): number {
    const size = this.number(4)
    if (size > INTEGER_BYTES_MAX) {
      this.vm.error(this.L, `integral size ${size} is larger than limit of ${INTEGER_BYTES_MAX}`)
    }
    return size
  }

  /** The number at this place, if there is one. */
  private number(otherwise: number): number {
    const { bytes } = this.vm
    const start = this.at
    let value = 0
    for (; this.at < this.end; this.at++) {
      const digit = bytes[this.at]! - 0x30
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
      if (value > INT32_MAX) this.vm.error(this.L, "integral size overflow")
    }
    return this.at === start ? otherwise : value
  }
}

/** The low bits of an integer of up to 53 bits, also of a negative one. */
function low31(position: number): number {
  return (((position % 2 ** 31) + 2 ** 31) % 2 ** 31) | 0
}

export function structLibrary(vm: LuaVm): HostLibrary {
  return new Structures(vm)
}

class Structures implements HostLibrary {
  readonly name = "struct"
  readonly functions = {
    pack: (L: number) => this.pack(L),
    unpack: (L: number) => this.unpack(L),
    size: (L: number) => this.size(L),
  }
  private readonly vm: LuaVm
  private readonly lua: LuaApi
  private readonly format: Format
  private readonly sink = new Sink(STRING_BYTES_MAX)
  private readonly float = new DataView(new ArrayBuffer(8))
  private L = 0
  /** The data that is read: where it is, and how long. */
  private dataAt = 0
  private length = 0
  /** In the data: an unsigned 64-bit integer; below zero stands for far beyond the end. */
  private position = 0

  constructor(vm: LuaVm) {
    this.vm = vm
    this.lua = vm.api
    this.format = new Format(vm)
  }

  // ------------------------------------------------------------------ writing

  private pack(L: number): number {
    const { vm, format, sink } = this
    this.L = L
    format.begin(L)
    sink.reset()
    // What is missing is nil.
    this.lua.lua_pushnil(L)
    let argument = 2
    while (format.next()) {
      const { size, kind } = format
      const padding = format.padding(sink.at)
      this.room(padding + INTEGER_BYTES_MAX)
      for (let i = 0; i < padding; i++) sink.byte(0)
      if (kind === Kind.integer) putInteger(sink, checkNumber(vm, L, argument++), size, format.isLittle)
      else if (kind === Kind.float) this.putFloat(checkNumber(vm, L, argument++))
      else if (kind === Kind.padding) sink.byte(0)
      else if (kind === Kind.control) format.control()
      else this.putString(argument++)
    }
    vm.pushBytes(L, sink.bytes, 0, sink.at)
    return 1
  }

  private room(count: number): void {
    if (!this.sink.ensure(count)) outOfMemory(this.vm, this.L)
  }

  private putFloat(value: number): void {
    const { float, sink } = this
    const { size, isLittle } = this.format
    if (size === 4) float.setFloat32(0, value, isLittle)
    else float.setFloat64(0, value, isLittle)
    for (let i = 0; i < size; i++) sink.byte(float.getUint8(i))
  }

  private putString(argument: number): void {
    const { vm, format, sink } = this
    const start = checkString(vm, this.L, argument)
    const length = vm.end - start
    const size = format.size === 0 ? length : format.size
    if (length < size) vm.argumentError(this.L, argument + 1, "string too short")
    this.room(size + 1)
    sink.copy(vm.bytes, start, start + size)
    if (format.kind === Kind.text) sink.byte(0)
  }

  // ------------------------------------------------------------------ reading

  private unpack(L: number): number {
    const { vm, lua, format } = this
    this.L = L
    format.begin(L)
    this.dataAt = checkString(vm, L, 2)
    this.length = vm.end - this.dataAt
    this.position = optionalInteger(vm, L, 3, 1)
    if (this.position === 0) vm.argumentError(L, 3, "offset must be 1 or greater")
    this.position--
    let count = 0
    while (format.next()) {
      const { kind, size } = format
      this.position += format.padding(this.position)
      this.need(size)
      if (lua.lua_checkstack(L, 2) === 0) vm.error(L, "stack overflow (too many results)")
      if (kind === Kind.control) format.control()
      else if (kind !== Kind.padding) {
        if (kind === Kind.characters && size === 0) {
          this.takeCount(count)
          count--
        }
        this.pushValue()
        count++
      }
      this.position += format.size
    }
    lua.lua_pushnumber(L, this.position + 1)
    return count + 1
  }

  private need(size: number): void {
    const { position, length } = this
    if (position < 0 || size > length || position > length - size) {
      this.vm.argumentError(this.L, 2, "data string too short")
    }
  }

  /** c0: the number read last, which is taken away, is the size. */
  private takeCount(count: number): void {
    const { vm, lua, L } = this
    if (count === 0 || lua.lua_isnumber(L, -1) === 0) vm.error(L, "format 'c0' needs a previous size")
    this.format.size = unsigned64(lua.lua_tonumber(L, -1))
    lua.lua_settop(L, -2)
    this.need(this.format.size)
  }

  private pushValue(): void {
    const { vm, lua, L, format, float } = this
    const { kind, size, isLittle } = format
    const at = this.dataAt + this.position
    if (kind === Kind.integer) {
      lua.lua_pushnumber(L, integerAt(vm.bytes, at, size, isLittle, format.option >= LOWER_A))
    } else if (kind === Kind.float) {
      for (let i = 0; i < size; i++) float.setUint8(i, vm.bytes[at + i]!)
      lua.lua_pushnumber(L, size === 4 ? float.getFloat32(0, isLittle) : float.getFloat64(0, isLittle))
    } else if (kind === Kind.characters) lua.lua_pushlstring(L, at, size)
    else {
      const length = vm.bytes.subarray(at, this.dataAt + this.length).indexOf(0)
      if (length < 0) vm.error(L, "unfinished string in data")
      lua.lua_pushlstring(L, at, length)
      format.size = length + 1
    }
  }

  // ------------------------------------------------------------------ sizes

  private size(L: number): number {
    const { vm, format } = this
    format.begin(L)
    let position = 0
    while (format.next()) {
      const { kind, size, option } = format
      position += format.padding(position)
      if (kind === Kind.text) vm.argumentError(L, 1, "option 's' has no fixed size")
      if (kind === Kind.characters && size === 0) vm.argumentError(L, 1, "option 'c0' has no fixed size")
      if (!/[0-9A-Za-z]/.test(String.fromCharCode(option))) format.control()
      position += size
    }
    this.lua.lua_pushnumber(L, position)
    return 1
  }
}

function putInteger(sink: Sink, value: number, size: number, isLittle: boolean): void {
  const whole = value < 0 ? truncateToInt64(value) : unsigned64(value)
  const high = Math.floor(whole / 2 ** 32)
  const low = (whole - high * 2 ** 32) | 0
  for (let i = 0; i < size; i++) {
    const byte = isLittle ? i : size - 1 - i
    sink.byte(byte < 4 ? (low >> (byte * 8)) & 0xff : byte < 8 ? (high >> ((byte - 4) * 8)) & 0xff : 0)
  }
}

/** A double as an unsigned 64-bit integer, as x86-64 converts it. */
function unsigned64(value: number): number {
  if (value >= 2 ** 64) return 0
  if (value >= 2 ** 63) return value
  const signed = truncateToInt64(value)
  return signed < 0 ? signed + 2 ** 64 : signed
}

function integerAt(heap: Uint8Array, at: number, size: number, isLittle: boolean, isSigned: boolean): number {
  if (size <= 4) return shortIntegerAt(heap, at, size, isLittle, isSigned)
  let value = 0n
  for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(heap[isLittle ? at + size - 1 - i : at + i]!)
  value = BigInt.asUintN(64, value)
  if (!isSigned) return Number(value)
  // The sign bit and all above it; the shift is modulo 64.
  const mask = BigInt.asUintN(64, -1n << BigInt((size * 8 - 1) & 63))
  return Number(BigInt.asIntN(64, (value & mask) !== 0n ? value | mask : value))
}

function shortIntegerAt(heap: Uint8Array, at: number, size: number, isLittle: boolean, isSigned: boolean): number {
  if (size === 0) return 0
  let value = 0
  for (let i = 0; i < size; i++) value = (value << 8) | heap[isLittle ? at + size - 1 - i : at + i]!
  const unused = 32 - size * 8
  return isSigned ? (value << unused) >> unused : value >>> 0
}
