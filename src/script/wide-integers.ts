/**
 * string.format and tonumber for integers of 64 bits. The interpreter is compiled for a machine on which C's `long` has 32
 * bits; scripts written for Redis count milliseconds in it. Whatever fits in 32 bits is left to the interpreter.
 *
 * Conversions are those of x86-64: what does not fit into a signed integer becomes -2^63.
 */

import { type HostFunction, LuaType, type LuaVm } from "./lua-vm.ts"

const PERCENT = 37
const INT32_LIMIT = 2 ** 31
const TWO_63 = 2n ** 63n
const CONVERSION = /^([-+ #0]*)(\d{0,2})(?:\.(\d{0,2}))?([a-zA-Z])/
/** The longest conversion Lua accepts: five flags, two digits, a point, two digits, a letter. */
const CONVERSION_BYTES_MAX = 16

/** @param original string.format of the interpreter */
export function wideFormat(vm: LuaVm, original: HostFunction): HostFunction {
  return L => {
    if (vm.api.lua_type(L, 1) === LuaType.string && needsHelp(vm, L)) rewrite(vm, L)
    return original(L)
  }
}

/** Whether a number among the arguments is beyond 32 bits; most calls end here. */
function needsHelp(vm: LuaVm, L: number): boolean {
  const { api } = vm
  for (let i = api.lua_gettop(L); i > 1; i--) {
    const value = api.lua_tonumber(L, i)
    // Written so that NaN counts as beyond.
    if (!(value >= 0 && value < INT32_LIMIT)) return true
  }
  return false
}

/** Replaces integer conversions of wide numbers by %s, and those numbers by their text. */
function rewrite(vm: LuaVm, L: number): void {
  const { api } = vm
  vm.stringAt(L, 1)
  let at = vm.at
  const { end } = vm
  let format = ""
  let argument = 1
  let changed = false
  while (at < end) {
    const byte = vm.bytes[at++]!
    if (byte !== PERCENT || at === end) {
      format += String.fromCharCode(byte)
      continue
    }
    if (vm.bytes[at] === PERCENT) {
      format += "%%"
      at++
      continue
    }
    const match = CONVERSION.exec(vm.latin1(at, Math.min(end, at + CONVERSION_BYTES_MAX)))
    argument++
    format += "%"
    if (match === null) continue
    const [whole, flags, width, precision, letter] = match
    at += whole!.length
    const value = api.lua_tonumber(L, argument)
    const isNumber = api.lua_isnumber(L, argument) !== 0
    if (!isNumber || !isWide(value, letter!)) {
      format += whole
      continue
    }
    const text = formatInteger(value, flags!, Number(width || 0), precision, letter!)
    vm.pushText(L, text)
    api.lua_replace(L, argument)
    format += "s"
    changed = true
  }
  if (!changed) return
  vm.pushText(L, format)
  api.lua_replace(L, 1)
}

function isWide(value: number, letter: string): boolean {
  if (letter === "d" || letter === "i") return !(value >= -INT32_LIMIT && value < INT32_LIMIT)
  return "ouxX".includes(letter) && !(value >= 0 && value < INT32_LIMIT)
}

/** A double as a signed 64-bit integer, as x86-64 converts. */
function toSigned(value: number): bigint {
  return value >= -(2 ** 63) && value < 2 ** 63 ? BigInt(Math.trunc(value)) : -TWO_63
}

function toUnsigned(value: number): bigint {
  if (value >= 2 ** 64) return 0n
  return value >= 2 ** 63 ? BigInt(value) : BigInt.asUintN(64, toSigned(value))
}

/** As C's printf with a length of 64 bits. */
export function formatInteger(
  value: number,
  flags: string,
  width: number,
  precision: string | undefined,
  letter: string,
): string {
  const isSigned = letter === "d" || letter === "i"
  const integer = isSigned ? toSigned(value) : toUnsigned(value)
  const base = letter === "o" ? 8 : letter === "x" || letter === "X" ? 16 : 10
  let digits = (integer < 0n ? -integer : integer).toString(base)
  if (precision !== undefined) digits = digits.padStart(Number(precision), "0")
  let sign = ""
  if (isSigned) sign = integer < 0n ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : ""
  if (flags.includes("#") && integer !== 0n) {
    if (base === 16) sign = "0x"
    else if (base === 8 && !digits.startsWith("0")) digits = `0${digits}`
  }
  if (flags.includes("-")) return upper(sign + digits, letter).padEnd(width)
  if (flags.includes("0") && precision === undefined) digits = digits.padStart(width - sign.length, "0")
  return upper(sign + digits, letter).padStart(width)
}

function upper(text: string, letter: string): string {
  return letter === "X" ? text.toUpperCase() : text
}

const BASE_MIN = 2
const BASE_MAX = 36
const UINT64_MAX = 2n ** 64n - 1n
const NUMERAL = /^[\t-\r ]*([-+]?)(0[xX](?=[0-9a-fA-F]))?([0-9a-zA-Z]+)[\t-\r ]*$/

/** @param original tonumber of the interpreter, for base 10 and for what it refuses */
export function wideToNumber(vm: LuaVm, original: HostFunction): HostFunction {
  return L => {
    const { api } = vm
    if (api.lua_gettop(L) < 2 || api.lua_isnumber(L, 2) === 0) return original(L)
    const base = api.lua_tonumber(L, 2) | 0
    if (base === 10 || base < BASE_MIN || base > BASE_MAX || !vm.stringAt(L, 1)) return original(L)
    const value = parseUnsigned(vm.latin1(vm.at, vm.end).split("\0")[0]!, base)
    if (value === undefined) api.lua_pushnil(L)
    else api.lua_pushnumber(L, value)
    return 1
  }
}

/** As C's strtoul with 64 bits, of all the text but blanks around it. */
export function parseUnsigned(text: string, base: number): number | undefined {
  const match = NUMERAL.exec(text)
  if (match === null) return undefined
  const [, sign, prefix = "", rest] = match
  const digits = base === 16 ? rest! : prefix + rest!
  let value = 0n
  for (const char of digits) {
    const digit = Number.parseInt(char, BASE_MAX)
    if (digit >= base) return undefined
    if (value <= UINT64_MAX) value = value * BigInt(base) + BigInt(digit)
  }
  if (value > UINT64_MAX) return Number(UINT64_MAX)
  return Number(sign === "-" ? BigInt.asUintN(64, -value) : value)
}
