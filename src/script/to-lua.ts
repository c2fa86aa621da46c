/**
 * Replies as Lua values. A reply is read from the bytes a command has just written, which are known to be sound.
 *
 *   RESP2: integer → number; bulk → string; missing bulk or array → false; simple → {ok=}; error → {err=}; array → table
 *   RESP3, after redis.setresp(3), moreover: map → {map={}}; set → {set={[member]=true}}; double → {double=};
 *   big number → {big_number=}; verbatim → {verbatim_string={string=, format=}}; null → nil; boolean → boolean;
 *   attributes are left out.
 */

import { latin1 } from "../bytes/compare.ts"
import { parseDouble } from "../bytes/double.ts"
import { parseSafeInteger } from "../bytes/int64.ts"
import { type LuaVm, upvalue } from "./lua-vm.ts"

const CR = 13
const LF = 10
const MINUS = 45
const LETTER_O = 79
const LETTER_K = 75
const Code = {
  simple: 43,
  error: 45,
  integer: 58,
  bulk: 36,
  array: 42,
  null: 95,
  boolean: 35,
  double: 44,
  bigNumber: 40,
  verbatim: 61,
  set: 126,
  push: 62,
  map: 37,
  attribute: 124,
  bulkError: 33,
} as const
/** "txt:" */
const FORMAT_BYTES = 4
/** What one level of nesting needs of the Lua stack. */
const STACK_PER_LEVEL = 6

export class ReplyReader {
  private readonly vm: LuaVm
  private bytes: Uint8Array = new Uint8Array(0)
  private at = 0

  constructor(vm: LuaVm) {
    this.vm = vm
  }

  /** Pushes the reply at the beginning of `bytes`, for a host function whose first upvalues are the strings "ok" and "OK". */
  push(L: number, bytes: Uint8Array): void {
    this.bytes = bytes
    this.at = 0
    this.value(L)
  }

  private value(L: number): void {
    const { vm, bytes } = this
    const { api } = vm
    const code = bytes[this.at]!
    const from = this.at + 1
    switch (code) {
      case Code.bulk: {
        const length = this.count()
        if (length < 0) api.lua_pushboolean(L, 0)
        else {
          const start = this.at
          this.at = start + length + 2
          vm.pushBytes(L, bytes, start, start + length)
        }
        return
      }
      case Code.integer: {
        const end = this.line()
        const n = parseSafeInteger(bytes, from, end)
        api.lua_pushnumber(L, Number.isNaN(n) ? Number(latin1(bytes, from, end)) : n)
        return
      }
      case Code.simple:
        api.lua_createtable(L, 0, 1)
        if (bytes[from] === LETTER_O && bytes[from + 1] === LETTER_K && bytes[from + 2] === CR) {
          this.at = from + 4
          api.lua_pushvalue(L, upvalue(1))
          api.lua_pushvalue(L, upvalue(2))
          api.lua_rawset(L, -3)
          return
        }
        vm.pushBytes(L, bytes, from, this.line())
        vm.setField(L, -2, "ok")
        return
      case Code.error:
        this.pushError(L, latin1(bytes, from, this.line()))
        return
      case Code.array:
      case Code.push:
        this.pushArray(L, this.count())
        return
      default:
        this.newer(L, code, from)
    }
  }

  /** What only RESP3 has. */
  private newer(L: number, code: number, from: number): void {
    const { vm, bytes } = this
    const { api } = vm
    switch (code) {
      case Code.null:
        this.line()
        api.lua_pushnil(L)
        return
      case Code.boolean:
        this.line()
        api.lua_pushboolean(L, bytes[from] === 116 ? 1 : 0)
        return
      case Code.double:
        api.lua_createtable(L, 0, 1)
        api.lua_pushnumber(L, parseDouble(bytes, from, this.line()) ?? Number.NaN)
        vm.setField(L, -2, "double")
        return
      case Code.bigNumber:
        api.lua_createtable(L, 0, 1)
        vm.pushBytes(L, bytes, from, this.line())
        vm.setField(L, -2, "big_number")
        return
      case Code.verbatim: {
        const length = this.count()
        const start = this.at
        this.at = start + length + 2
        api.lua_createtable(L, 0, 1)
        api.lua_createtable(L, 0, 2)
        vm.pushBytes(L, bytes, start + FORMAT_BYTES, start + length)
        vm.setField(L, -2, "string")
        vm.pushBytes(L, bytes, start, start + FORMAT_BYTES - 1)
        vm.setField(L, -2, "format")
        vm.setField(L, -2, "verbatim_string")
        return
      }
      case Code.map:
        this.pushMap(L, this.count())
        return
      case Code.set:
        this.pushSet(L, this.count())
        return
      case Code.attribute: {
        let left = this.count() * 2
        while (left-- > 0) {
          this.value(L)
          vm.pop(L)
        }
        this.value(L)
        return
      }
      default:
        throw new Error(`a command has replied with type ${code}`)
    }
  }

  private pushArray(L: number, length: number): void {
    const { vm } = this
    const { api } = vm
    if (length < 0) {
      api.lua_pushboolean(L, 0)
      return
    }
    this.reserve(L)
    api.lua_createtable(L, length, 0)
    for (let i = 1; i <= length; i++) {
      this.value(L)
      api.lua_rawseti(L, -2, i)
    }
  }

  private pushMap(L: number, pairs: number): void {
    const { vm } = this
    const { api } = vm
    this.reserve(L)
    api.lua_createtable(L, 0, 1)
    api.lua_createtable(L, 0, pairs)
    for (let i = 0; i < pairs; i++) {
      this.value(L)
      this.value(L)
      api.lua_rawset(L, -3)
    }
    vm.setField(L, -2, "map")
  }

  private pushSet(L: number, length: number): void {
    const { vm } = this
    const { api } = vm
    this.reserve(L)
    api.lua_createtable(L, 0, 1)
    api.lua_createtable(L, 0, length)
    for (let i = 0; i < length; i++) {
      this.value(L)
      api.lua_pushboolean(L, 1)
      api.lua_rawset(L, -3)
    }
    vm.setField(L, -2, "set")
  }

  /** {err=…}, marked as counted: the command has counted its error itself. */
  private pushError(L: number, text: string): void {
    pushErrorTable(this.vm, L, `-${text}`, true)
  }

  private reserve(L: number): void {
    if (this.vm.api.lua_checkstack(L, STACK_PER_LEVEL) === 0) this.vm.error(L, "reply is nested too deeply")
  }

  /** Moves behind the line, returns where its text ends. */
  private line(): number {
    const { bytes } = this
    let at = this.at
    while (bytes[at] !== CR || bytes[at + 1] !== LF) at++
    this.at = at + 2
    return at
  }

  /** The number in a header line; -1 for a missing value. */
  private count(): number {
    const { bytes } = this
    let at = this.at + 1
    let n = 0
    const isMissing = bytes[at] === MINUS
    for (; bytes[at] !== CR; at++) n = n * 10 + bytes[at]! - 48
    this.at = at + 2
    return isMissing ? -1 : n
  }
}

/**
 * Pushes {err="CODE text"}. A text that begins with "-" brings its code with it, if there is a blank; others get "ERR".
 * @param counted the error is in the statistics already
 */
export function pushErrorTable(vm: LuaVm, L: number, text: string, counted: boolean): void {
  const { api } = vm
  let code = "ERR"
  let message = text
  if (text.startsWith("-")) {
    const blank = text.indexOf(" ")
    if (blank < 0) message = text.slice(1)
    else {
      code = text.slice(1, blank)
      message = text.slice(blank + 1)
    }
  }
  api.lua_createtable(L, 0, counted ? 2 : 1)
  vm.pushText(L, `${code} ${message.replace(/^[\r\n]+|[\r\n]+$/g, "")}`)
  vm.setField(L, -2, "err")
  if (!counted) return
  api.lua_pushboolean(L, 1)
  vm.setField(L, -2, "ignore_error_stats_update")
}
