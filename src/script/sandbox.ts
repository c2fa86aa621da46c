/**
 * A Lua state in which scripts can do no harm: no files, no clock but os.clock, nothing global that they could change.
 *
 * Redis has an interpreter in which tables can be made read-only. Ours is the plain one, so what scripts must not change is
 * hidden behind empty tables:
 *
 *   the globals a script sees ──__index──▶ the real globals ──__index──▶ "nonexistent global variable"
 *          └──__newindex──▶ "Attempt to modify a readonly table"
 *   redis, string, math, … as a script sees them ──__index──▶ the real table; __newindex as above
 *
 * Functions that look behind metatables (rawset, rawget, next, pairs, getmetatable, setmetatable, table.insert) know the
 * stand-ins and treat each as the table behind it.
 *
 * Functions that call back into Lua are never written in TypeScript, because a script could not be put aside within
 * them (see lua-vm.ts): `pcall` and `load` are Lua, below.
 *
 * The stack of a state's main thread begins with what is often needed, see Slot.
 */

import { GLOBALS, type HostFunction, LuaStatus, LuaType, type LuaVm, RAISE, REGISTRY, upvalue } from "./lua-vm.ts"
import type { MathRandom } from "./math-random.ts"
import { wideFormat, wideToNumber } from "./wide-integers.ts"

/** Stack positions of every state's main thread. */
export const Slot = {
  globals: 1,
  handler: 2,
  KEYS: 3,
  ARGV: 4,
  err: 5,
  ok: 6,
  double: 7,
  big_number: 8,
  verbatim_string: 9,
  map: 10,
  set: 11,
  format: 12,
  string: 13,
  ignore_error_stats_update: 14,
  OK: 15,
} as const
/** So many positions are taken. */
export const SLOTS = 15

export const READ_ONLY = "Attempt to modify a readonly table"

/** string.rep of fewer is left to the interpreter. */
const REPEATED_MIN = 1000
/** Left of the base library; what is not here a script does not see. */
const BASE_FUNCTIONS = [
  ...[
    "assert",
    "collectgarbage",
    "coroutine",
    "error",
    "gcinfo",
    "getmetatable",
    "ipairs",
    "load",
    "loadstring",
    "next",
  ],
  ...[
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "unpack",
  ],
  ...["xpcall", "_VERSION"],
]

/**
 * pcall gives the text of an error that is a table, as it did before errors were tables. load refuses binary chunks: with
 * a blank before it, their first byte is a syntax error.
 */
const IN_LUA = `
local pcall, load, type, rawget, select, byte, error = ...
local function plain(ok, ...)
  if ok then return ok, ... end
  local e = ...
  if type(e) == 'table' then
    local text = rawget(e, 'err')
    if type(text) == 'string' or type(text) == 'number' then return ok, text end
  end
  return ok, e
end
return function(f, ...)
  if f == nil and select('#', ...) == 0 then return false, 'attempt to call a boolean value' end
  return plain(pcall(f, ...))
end, function(f, name)
  if type(f) ~= 'function' then
    local got = type(f)
    if got == 'nil' then got = 'no value' end
    error("bad argument #1 to 'load' (function expected, got " .. got .. ")", 2)
  end
  local begun
  return load(function()
    local piece = f()
    if not begun and type(piece) == 'string' and piece ~= '' then
      begun = true
      if byte(piece) == 27 then return ' ' .. piece end
    end
    return piece
  end, name)
end`

export interface SandboxOptions {
  /** Leaves the table on the stack that scripts know as `redis`. */
  pushApi: (L: number) => void
  /** Libraries by their names; each leaves its table on the stack. */
  libraries: Readonly<Record<string, (L: number) => void>>
  random: MathRandom
  /** Seconds for os.clock. */
  clock: () => number
}

export class Sandbox {
  readonly vm: LuaVm
  readonly L: number
  /** By the address of a stand-in: the registry's reference to the table behind it. */
  private readonly realOf = new Map<number, number>()
  /** Address of the globals' stand-in, and the registry's reference to what getmetatable shows of it. */
  private environment = 0
  private environmentView = 0

  constructor(vm: LuaVm, options: SandboxOptions) {
    this.vm = vm
    this.L = vm.createState()
    if (this.L === 0) throw new Error("no memory for a Lua state")
    this.build(options)
    vm.setHook(this.L)
  }

  close(): void {
    this.vm.closeState(this.L)
  }

  private build({ pushApi, libraries, random, clock }: SandboxOptions): void {
    const { vm, L } = this
    const { api } = vm
    for (const open of [api.luaopen_base, api.luaopen_table, api.luaopen_string, api.luaopen_math]) {
      vm.pushExport(L, open)
      api.lua_call(L, 0, 0)
    }
    // The real globals, at Slot.globals.
    api.lua_createtable(L, 0, 48)
    for (const name of BASE_FUNCTIONS) {
      vm.getField(L, GLOBALS, name)
      vm.setField(L, Slot.globals, name)
    }
    this.replaceBase()
    const tables: Record<string, () => void> = {
      coroutine: () => vm.getField(L, GLOBALS, "coroutine"),
      math: () => this.pushMath(random),
      string: () => this.pushString(),
      table: () => this.pushTable(),
      os: () => vm.pushLibrary(L, { name: "os", functions: { clock: state => this.pushClock(state, clock) } }),
      redis: () => pushApi(L),
    }
    for (const [name, push] of Object.entries(libraries)) tables[name] = () => push(L)
    for (const [name, push] of Object.entries(tables)) {
      push()
      this.pushStandIn()
      if (name === "string") this.hideStringMetatable()
      vm.setField(L, Slot.globals, name)
    }
    this.enclose()
    vm.pushFunction(L, state => this.describeError(state))
    for (const name of Object.keys(Slot).slice(2)) vm.pushText(L, name)
  }

  /** Makes the globals' stand-in what functions loaded from here on see as globals. */
  private enclose(): void {
    const { vm, L } = this
    const { api } = vm
    api.lua_createtable(L, 0, 1)
    vm.pushFunction(L, state => this.nonexistent(state))
    vm.setField(L, -2, "__index")
    api.lua_pushvalue(L, -1)
    this.pushStandIn()
    this.environmentView = api.luaL_ref(L, REGISTRY)
    api.lua_setmetatable(L, Slot.globals)
    api.lua_pushvalue(L, Slot.globals)
    this.pushStandIn()
    this.environment = api.lua_topointer(L, -1)
    api.lua_pushvalue(L, -1)
    vm.setField(L, Slot.globals, "_G")
    api.lua_replace(L, GLOBALS)
  }

  /** Replaces the table on top of the stack by a stand-in for it. */
  pushStandIn(): void {
    const { vm, L } = this
    const { api } = vm
    api.lua_createtable(L, 0, 0)
    api.lua_createtable(L, 0, 2)
    api.lua_pushvalue(L, -3)
    vm.setField(L, -2, "__index")
    vm.pushFunction(L, this.refuseNewField)
    vm.setField(L, -2, "__newindex")
    api.lua_setmetatable(L, -2)
    api.lua_insert(L, -2)
    const real = api.luaL_ref(L, REGISTRY)
    this.realOf.set(api.lua_topointer(L, -1), real)
  }

  /** With the stand-in for `string` on top: the metatable of strings shows that, and itself only as a stand-in. */
  private hideStringMetatable(): void {
    const { vm, L } = this
    const { api } = vm
    vm.pushText(L, "")
    api.lua_getmetatable(L, -1)
    api.lua_createtable(L, 0, 1)
    api.lua_pushvalue(L, -4)
    vm.setField(L, -2, "__index")
    this.pushStandIn()
    vm.setField(L, -2, "__metatable")
    vm.pop(L, 2)
  }

  // ------------------------------------------------------------------ base functions that know stand-ins

  private replaceBase(): void {
    const { vm, L } = this
    const original = (name: string): HostFunction => {
      vm.getField(L, GLOBALS, name)
      const f = vm.cFunctionAt(L, -1)
      vm.pop(L)
      return f
    }
    const next = original("next")
    const onReal =
      (f: HostFunction): HostFunction =>
      state => {
        this.substitute(state)
        return f(state)
      }
    const define = (name: string, host: HostFunction): void => {
      vm.pushFunction(L, host)
      vm.setField(L, Slot.globals, name)
    }
    define("rawset", this.guarded(original("rawset")))
    define("setmetatable", this.guarded(original("setmetatable")))
    define("rawget", onReal(original("rawget")))
    define("next", onReal(next))
    define("getmetatable", this.getMetatable(original("getmetatable")))
    define("loadstring", this.loadString(original("loadstring")))
    define("tonumber", wideToNumber(vm, original("tonumber")))
    vm.getField(L, GLOBALS, "next")
    vm.getField(L, Slot.globals, "next")
    vm.pushFunction(L, state => this.pairs(state), 2)
    vm.setField(L, Slot.globals, "pairs")
    this.defineInLua()
  }

  private defineInLua(): void {
    const { vm, L } = this
    const code = Buffer.from(IN_LUA)
    if (vm.load(L, code, 0, code.length, "=sandbox") !== LuaStatus.ok) throw new Error(vm.textAt(L, -1))
    for (const name of ["pcall", "load", "type", "rawget", "select"]) vm.getField(L, GLOBALS, name)
    vm.getField(L, GLOBALS, "string")
    vm.getField(L, -1, "byte")
    vm.api.lua_remove(L, -2)
    vm.getField(L, GLOBALS, "error")
    vm.api.lua_call(L, 7, 2)
    vm.setField(L, Slot.globals, "load")
    vm.setField(L, Slot.globals, "pcall")
  }

  /** Refuses a stand-in as first argument. */
  private guarded(f: HostFunction): HostFunction {
    return L => {
      if (this.realOf.has(this.vm.api.lua_topointer(L, 1))) this.refuse(L)
      return f(L)
    }
  }

  /** Puts the table behind a stand-in in its place, if the first argument is one. */
  private substitute(L: number): void {
    const { api } = this.vm
    const real = this.realOf.get(api.lua_topointer(L, 1))
    if (real === undefined) return
    api.lua_rawgeti(L, REGISTRY, real)
    api.lua_replace(L, 1)
  }

  /** Upvalues: Lua's next, and ours. The table behind a stand-in must not be handed out, so ours looks behind each time. */
  private pairs(L: number): number {
    const { api } = this.vm
    api.luaL_checktype(L, 1, LuaType.table)
    api.lua_pushvalue(L, upvalue(this.realOf.has(api.lua_topointer(L, 1)) ? 2 : 1))
    api.lua_pushvalue(L, 1)
    api.lua_pushnil(L)
    return 3
  }

  private getMetatable(original: HostFunction): HostFunction {
    return L => {
      const { api } = this.vm
      const table = api.lua_topointer(L, 1)
      if (!this.realOf.has(table)) return original(L)
      if (table === this.environment) api.lua_rawgeti(L, REGISTRY, this.environmentView)
      else api.lua_pushnil(L)
      return 1
    }
  }

  private loadString(original: HostFunction): HostFunction {
    const { vm } = this
    return L => {
      if (vm.api.lua_type(L, 1) === LuaType.string && vm.stringAt(L, 1) && vm.bytes[vm.at] === 27) {
        if (vm.api.lua_gettop(L) < 2) {
          vm.api.lua_settop(L, 1)
          vm.api.lua_pushvalue(L, 1)
        }
        vm.pushText(L, " ")
        vm.api.lua_pushvalue(L, 1)
        vm.api.lua_concat(L, 2)
        vm.api.lua_replace(L, 1)
      }
      return original(L)
    }
  }

  // ------------------------------------------------------------------ libraries

  private pushMath(random: MathRandom): void {
    const { vm, L } = this
    vm.getField(L, GLOBALS, "math")
    vm.pushFunction(L, state => random.random(vm, state))
    vm.setField(L, -2, "random")
    vm.pushFunction(L, state => random.seed(vm, state))
    vm.setField(L, -2, "randomseed")
  }

  private pushString(): void {
    const { vm, L } = this
    vm.getField(L, GLOBALS, "string")
    vm.getField(L, -1, "format")
    const format = vm.cFunctionAt(L, -1)
    vm.pop(L)
    vm.pushFunction(L, wideFormat(vm, format))
    vm.setField(L, -2, "format")
    vm.getField(L, -1, "rep")
    const rep = vm.cFunctionAt(L, -1)
    vm.pop(L)
    vm.pushFunction(L, state => this.repeat(state, rep))
    vm.setField(L, -2, "rep")
  }

  /**
   * string.rep of much, in steps that double: the interpreter's own appends one by one, and nothing could stop it meanwhile.
   */
  private repeat(L: number, original: HostFunction): number {
    const { vm } = this
    const { api } = vm
    const count = api.lua_tonumber(L, 2)
    if (api.lua_type(L, 1) !== LuaType.string || !(count > REPEATED_MIN)) return original(L)
    const length = api.lua_objlen(L, 1)
    if (length === 0) {
      api.lua_settop(L, 1)
      return 1
    }
    const total = length * Math.trunc(count)
    const at = total < vm.memoryBytesMax ? api.malloc(total) : 0
    if (at === 0) {
      vm.pushText(L, "not enough memory")
      return RAISE
    }
    try {
      vm.stringAt(L, 1)
      vm.bytes.copyWithin(at, vm.at, vm.end)
      for (let done = length; done < total; done *= 2)
        vm.bytes.copyWithin(at + done, at, at + Math.min(done, total - done))
      api.lua_pushlstring(L, at, total)
    } finally {
      api.free(at)
    }
    return 1
  }

  private pushTable(): void {
    const { vm, L } = this
    vm.getField(L, GLOBALS, "table")
    vm.getField(L, -1, "insert")
    const insert = vm.cFunctionAt(L, -1)
    vm.pop(L)
    vm.pushFunction(L, this.guarded(insert))
    vm.setField(L, -2, "insert")
  }

  private pushClock(L: number, clock: () => number): number {
    this.vm.api.lua_pushnumber(L, clock())
    return 1
  }

  // ------------------------------------------------------------------ errors

  private readonly refuseNewField: HostFunction = L => this.vm.error(L, READ_ONLY)

  private refuse(L: number): never {
    this.vm.pushText(L, READ_ONLY)
    this.vm.api.lua_error(L)
    throw new Error("lua_error returned")
  }

  /** As __index of globals: raises the error about a global that does not exist. */
  nonexistent(L: number): number {
    const name = this.vm.textAt(L, 2)
    if (name === undefined)
      return this.vm.error(L, "Second argument to luaProtectedTableError must be a string or number")
    return this.vm.error(L, `Script attempted to access nonexistent global variable '${name.split("\0")[0]}'`)
  }

  /** The message handler: an error becomes a table of its text and its place, {err, source, line}. */
  private describeError(L: number): number {
    const { vm } = this
    const { api } = vm
    let place = vm.place(L, 1)
    if (place?.isHost) place = vm.place(L, 2)
    if (api.lua_type(L, 1) !== LuaType.table) {
      const text = this.textOf(L, 1)
      api.lua_createtable(L, 0, 3)
      vm.pushText(L, `ERR ${text}`)
      vm.setField(L, -2, "err")
    } else api.lua_pushvalue(L, 1)
    if (place === undefined) return 1
    const set = (name: string, push: () => void): void => {
      vm.pushText(L, name)
      push()
      api.lua_rawset(L, -3)
    }
    set("source", () => vm.pushText(L, place.source))
    set("line", () => api.lua_pushnumber(L, place.line))
    return 1
  }

  /** As tostring without metamethods. */
  private textOf(L: number, index: number): string {
    const { api } = this.vm
    switch (api.lua_type(L, index)) {
      case LuaType.number:
      case LuaType.string:
        return this.vm.textAt(L, index)!
      case LuaType.boolean:
        return api.lua_toboolean(L, index) === 0 ? "false" : "true"
      case LuaType.nil:
        return "nil"
      default: {
        const type = api.lua_type(L, index) === LuaType.function ? "function" : "userdata"
        return `${type}: 0x${api.lua_topointer(L, index).toString(16).padStart(8, "0")}`
      }
    }
  }
}
