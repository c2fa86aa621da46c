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

import type { HostFunction, HostLibrary, LuaVm } from "../lua-vm.ts"
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
const INTEGERS = new Set("bBhHlLTiI")

/** A walk through a format: the option at hand, its size, and the settings made by the options before it. */
class Format {
  option = ""
  /** Bytes of the option; 0 for those without a size of their own. */
  size = 0
  isLittle = true
  private alignment = 1
  private readonly vm: LuaVm
  private readonly L: number
  private readonly text: string
  private at = 0

  /** Takes the first argument. */
  constructor(vm: LuaVm, L: number) {
    this.vm = vm
    this.L = L
    const pointer = checkString(vm, L, 1)
    const bytes = Buffer.from(vm.bytes.subarray(pointer, vm.end))
    const end = bytes.indexOf(0)
    this.text = bytes.toString("latin1", 0, end < 0 ? bytes.length : end)
  }

  /** Moves on to the next option; false at the end. */
  next(): boolean {
    if (this.at >= this.text.length) return false
    this.option = this.text[this.at++]!
    this.size = this.optionSize()
    return true
  }

  /** How many bytes to skip at `position` before the option. */
  padding(position: number): number {
    let { size } = this
    if (size === 0 || this.option === "c") return 0
    if (size > this.alignment) size = this.alignment
    return (size - (low31(position) & (size - 1))) & (size - 1)
  }

  /** An option that stands for no value. */
  control(): void {
    switch (this.option) {
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
          this.vm.error(this.L, `alignment ${alignment} is not a power of 2`)
        }
        this.alignment = alignment
        return
      }
      default:
        this.vm.argumentError(this.L, 1, `invalid format option '${this.option}'`)
    }
  }

  private optionSize(): number {
    switch (this.option) {
      case "b":
      case "B":
      case "x":
        return 1
      case "h":
      case "H":
        return 2
      case "f":
        return 4
      case "l":
      case "L":
      case "T":
      case "d":
        return 8
      case "c":
        return this.number(1)
      case "i":
      case "I": {
        const size = this.number(4)
        if (size > INTEGER_BYTES_MAX) {
          this.vm.error(this.L, `integral size ${size} is larger than limit of ${INTEGER_BYTES_MAX}`)
        }
        return size
      }
      default:
        return 0
    }
  }

  /** The number at this place, if there is one. */
  private number(otherwise: number): number {
    const start = this.at
    let value = 0
    for (; this.at < this.text.length; this.at++) {
      const digit = this.text.charCodeAt(this.at) - 0x30
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
  const lua = vm.api
  const sink = new Sink(STRING_BYTES_MAX)
  const float = new DataView(new ArrayBuffer(8))

  const room = (L: number, count: number): void => {
    if (!sink.ensure(count)) outOfMemory(vm, L)
  }

  const putFloat = (L: number, value: number, { size, isLittle }: Format): void => {
    room(L, size)
    if (size === 4) float.setFloat32(0, value, isLittle)
    else float.setFloat64(0, value, isLittle)
    for (let i = 0; i < size; i++) sink.byte(float.getUint8(i))
  }

  const putString = (L: number, argument: number, format: Format): void => {
    const pointer = checkString(vm, L, argument)
    const length = vm.end - pointer
    const size = format.size === 0 ? length : format.size
    if (length < size) vm.argumentError(L, argument + 1, "string too short")
    room(L, size + 1)
    sink.copy(vm.bytes, pointer, pointer + size)
    if (format.option === "s") sink.byte(0)
  }

  const pack: HostFunction = L => {
    const format = new Format(vm, L)
    sink.reset()
    // What is missing is nil.
    lua.lua_pushnil(L)
    let argument = 2
    while (format.next()) {
      const { option, size } = format
      const padding = format.padding(sink.at)
      room(L, padding + size + 1 - (option === "c" ? size : 0))
      for (let i = 0; i < padding; i++) sink.byte(0)
      if (INTEGERS.has(option)) putInteger(sink, checkNumber(vm, L, argument++), size, format.isLittle)
      else if (option === "x") sink.byte(0)
      else if (option === "f" || option === "d") putFloat(L, checkNumber(vm, L, argument++), format)
      else if (option === "c" || option === "s") putString(L, argument++, format)
      else format.control()
    }
    vm.pushBytes(L, sink.bytes, 0, sink.at)
    return 1
  }

  const unpack: HostFunction = L => {
    const format = new Format(vm, L)
    const dataAt = checkString(vm, L, 2)
    const length = vm.end - dataAt
    // An unsigned 64-bit integer: below zero stands for far beyond the end.
    let position = optionalInteger(vm, L, 3, 1)
    if (position === 0) vm.argumentError(L, 3, "offset must be 1 or greater")
    position--
    let count = 0
    const need = (size: number): void => {
      if (position < 0 || size > length || position > length - size) {
        vm.argumentError(L, 2, "data string too short")
      }
    }
    while (format.next()) {
      const { option, isLittle } = format
      let { size } = format
      position += format.padding(position)
      need(size)
      if (lua.lua_checkstack(L, 2) === 0) vm.error(L, "stack overflow (too many results)")
      const at = dataAt + position
      if (INTEGERS.has(option)) {
        const isSigned = option >= "a"
        lua.lua_pushnumber(L, integerAt(vm.bytes, at, size, isLittle, isSigned))
        count++
      } else if (option === "f" || option === "d") {
        for (let i = 0; i < size; i++) float.setUint8(i, vm.bytes[at + i]!)
        lua.lua_pushnumber(L, option === "f" ? float.getFloat32(0, isLittle) : float.getFloat64(0, isLittle))
        count++
      } else if (option === "c") {
        if (size === 0) {
          if (count === 0 || lua.lua_isnumber(L, -1) === 0) vm.error(L, "format 'c0' needs a previous size")
          size = unsigned64(lua.lua_tonumber(L, -1))
          lua.lua_settop(L, -2)
          count--
          need(size)
        }
        lua.lua_pushlstring(L, at, size)
        count++
      } else if (option === "s") {
        const end = vm.bytes.subarray(at, dataAt + length).indexOf(0)
        if (end < 0) vm.error(L, "unfinished string in data")
        lua.lua_pushlstring(L, at, end)
        size = end + 1
        count++
      } else if (option !== "x") format.control()
      position += size
    }
    lua.lua_pushnumber(L, position + 1)
    return count + 1
  }

  const size: HostFunction = L => {
    const format = new Format(vm, L)
    let position = 0
    while (format.next()) {
      position += format.padding(position)
      if (format.option === "s") vm.argumentError(L, 1, "option 's' has no fixed size")
      if (format.option === "c" && format.size === 0) vm.argumentError(L, 1, "option 'c0' has no fixed size")
      if (!/[0-9A-Za-z]/.test(format.option)) format.control()
      position += format.size
    }
    lua.lua_pushnumber(L, position)
    return 1
  }

  return { name: "struct", functions: { pack, unpack, size } }
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
