/**
 * C's habits of taking arguments, for the libraries of our own (cjson, cmsgpack, struct, bit), where lua_Integer has 64 bits
 * as in Redis; the interpreter's own luaL_checkinteger has 32.
 *
 * Rules for the libraries, beside those of lua-vm.ts: scratch state is reset when a function begins, since an error may
 * have ended the one before; tables are accessed raw, so that no Lua code is called and a script can be put aside; and
 * what the input decides the depth of is walked with a stack of our own.
 */

import { LuaType, type LuaVm } from "../lua-vm.ts"

/** No string of a script gets longer: what a reply or a value may have at most. */
export const STRING_BYTES_MAX = 512 * 1024 * 1024

/** luaL_checklstring: address of the argument's bytes, which end at `vm.end`. */
export function checkString(vm: LuaVm, L: number, argument: number): number {
  if (!vm.stringAt(L, argument)) vm.typeError(L, argument, "string")
  return vm.at
}

/** luaL_checknumber. */
export function checkNumber(vm: LuaVm, L: number, argument: number): number {
  const value = vm.api.lua_tonumber(L, argument)
  if (value === 0 && vm.api.lua_isnumber(L, argument) === 0) vm.typeError(L, argument, "number")
  return value
}

/** luaL_checkinteger. */
export function checkInteger(vm: LuaVm, L: number, argument: number): number {
  return truncateToInt64(checkNumber(vm, L, argument))
}

/** luaL_optinteger. */
export function optionalInteger(vm: LuaVm, L: number, argument: number, otherwise: number): number {
  return vm.api.lua_type(L, argument) <= LuaType.nil ? otherwise : checkInteger(vm, L, argument)
}

/** Raises the error that the interpreter itself raises: a text without a place. */
export function outOfMemory(vm: LuaVm, L: number): never {
  vm.pushText(L, "not enough memory")
  vm.api.lua_error(L)
  throw new Error("lua_error has returned")
}

/** Sets a field of the table on top of the stack to a text. */
export function setTextField(vm: LuaVm, L: number, name: string, text: string): void {
  vm.pushText(L, text)
  vm.setField(L, -2, name)
}

/** A double as a 64-bit integer, as x86-64 converts it: what does not fit becomes -2^63. The result is exact. */
export function truncateToInt64(value: number): number {
  return value >= -(2 ** 63) && value < 2 ** 63 ? Math.trunc(value) + 0 : -(2 ** 63)
}

/** The low half of such an integer. */
export function lowInt32(value: number): number {
  return value === -(2 ** 63) ? 0 : value | 0
}
