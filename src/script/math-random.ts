/**
 * math.random and math.randomseed: the generator of POSIX's lrand48 (48 bits, X ← X·0x5DEECE66D + 11), with its own state,
 * so that scripts get the same sequence on every machine, and the same as in Redis.
 */

import type { LuaVm } from "./lua-vm.ts"

const MULTIPLIER_HIGH = 0x5de
const MULTIPLIER_LOW = 0xece66d
const ADDEND = 11
const LOW = 0x1000000
/** What the state begins with, as POSIX has it. */
const INITIAL_HIGH = 0x1234ab
const INITIAL_LOW = 0xcd330e
/** Lower third of the state after a seed. */
const SEEDED_LOW_WORD = 0x330e
const RANGE = 2 ** 31 - 1

export class MathRandom {
  /** The state as two halves of 24 bits. */
  private high = INITIAL_HIGH
  private low = INITIAL_LOW

  /** The next 31 bits. */
  next(): number {
    const product = this.low * MULTIPLIER_LOW + ADDEND
    const low = product % LOW
    const carry = (product - low) / LOW
    this.high = (carry + ((this.low * MULTIPLIER_HIGH) % LOW) + ((this.high * MULTIPLIER_LOW) % LOW)) % LOW
    this.low = low
    // Of 48 bits the upper 31.
    return this.high * 128 + (this.low >> 17)
  }

  reseed(seed: number): void {
    const word = seed >>> 0
    this.high = word >>> 8
    this.low = (word & 0xff) * 0x10000 + SEEDED_LOW_WORD
  }

  /** math.random as a host function. */
  random(vm: LuaVm, L: number): number {
    const { api } = vm
    const r = (this.next() % RANGE) / RANGE
    switch (api.lua_gettop(L)) {
      case 0:
        api.lua_pushnumber(L, r)
        return 1
      case 1: {
        const to = api.luaL_checkinteger(L, 1)
        if (to < 1) vm.argumentError(L, 1, "interval is empty")
        api.lua_pushnumber(L, Math.floor(r * to) + 1)
        return 1
      }
      case 2: {
        const from = api.luaL_checkinteger(L, 1)
        const to = api.luaL_checkinteger(L, 2)
        if (from > to) vm.argumentError(L, 2, "interval is empty")
        api.lua_pushnumber(L, Math.floor(r * ((to - from + 1) | 0)) + from)
        return 1
      }
      default:
        return vm.error(L, "wrong number of arguments")
    }
  }

  /** math.randomseed as a host function. */
  seed(vm: LuaVm, L: number): number {
    const seed = vm.api.luaL_checknumber(L, 1)
    // The lower 32 bits of what the number is as a 64-bit integer.
    this.reseed(Math.abs(seed) < 2 ** 63 ? seed | 0 : 0)
    return 0
  }
}
