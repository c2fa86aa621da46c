/**
 * bit for Lua: Lua BitOp 1.0.2. Numbers are brought into 32 bits by adding 2^52 + 2^51 and taking the low half of the
 * double: rounded to the nearest whole number (ties to even), modulo 2^32, as long as it is below 2^51. Results are signed.
 */

import type { HostFunction, HostLibrary, LuaVm } from "../lua-vm.ts"

const TO_LOW_HALF = 2 ** 52 + 2 ** 51
const HEX_DIGITS_MAX = 8

export function bitLibrary(vm: LuaVm): HostLibrary {
  const lua = vm.api
  const double = new Float64Array(1)
  const halves = new Int32Array(double.buffer)

  /** Argument as 32 bits. */
  const bits = (L: number, argument: number): number => {
    const value = lua.lua_tonumber(L, argument)
    const whole = value | 0
    if (whole === value && whole !== 0) return whole
    double[0] = value + TO_LOW_HALF
    const low = halves[0]!
    if (low === 0 && lua.lua_isnumber(L, argument) === 0) vm.typeError(L, argument, "number")
    return low
  }
  const answer = (L: number, value: number): number => {
    lua.lua_pushnumber(L, value | 0)
    return 1
  }
  /** From the last argument to the second, as errors tell. */
  const fold =
    (combine: (a: number, b: number) => number): HostFunction =>
    L => {
      let value = bits(L, 1)
      for (let i = lua.lua_gettop(L); i > 1; i--) value = combine(value, bits(L, i))
      return answer(L, value)
    }
  const shift =
    (shifted: (value: number, by: number) => number): HostFunction =>
    L => {
      const value = bits(L, 1)
      return answer(L, shifted(value, bits(L, 2) & 31))
    }
  const functions: Record<string, HostFunction> = {
    tobit: L => answer(L, bits(L, 1)),
    bnot: L => answer(L, ~bits(L, 1)),
    band: fold((a, b) => a & b),
    bor: fold((a, b) => a | b),
    bxor: fold((a, b) => a ^ b),
    lshift: shift((value, by) => value << by),
    rshift: shift((value, by) => value >>> by),
    arshift: shift((value, by) => value >> by),
    rol: shift((value, by) => (value << by) | (value >>> -by)),
    ror: shift((value, by) => (value >>> by) | (value << -by)),
    bswap: L => {
      const b = bits(L, 1)
      return answer(L, (b >>> 24) | ((b >> 8) & 0xff00) | ((b & 0xff00) << 8) | (b << 24))
    },
    tohex: L => {
      const value = bits(L, 1)
      const digits = lua.lua_gettop(L) < 2 ? HEX_DIGITS_MAX : bits(L, 2)
      vm.pushText(L, hexadecimal(value, digits))
      return 1
    },
  }
  return { name: "bit", functions }
}

/** The lowest so many digits; in capitals when the number of digits is negative. */
function hexadecimal(value: number, digits: number): string {
  const count = Math.min(Math.abs(digits), HEX_DIGITS_MAX)
  const text = (value >>> 0)
    .toString(16)
    .padStart(HEX_DIGITS_MAX, "0")
    .slice(HEX_DIGITS_MAX - count)
  return digits < 0 ? text.toUpperCase() : text
}
