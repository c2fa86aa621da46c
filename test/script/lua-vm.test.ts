import { describe, expect, test } from "bun:test"
import { type HostFunction, LuaBrokenError, LuaStatus, LuaVm, RUNNING } from "../../src/script/lua-vm.ts"

const MEMORY_BYTES_MAX = 64 * 1024 * 1024

function makeVm(onTick: (L: number) => boolean = () => false): { vm: LuaVm; L: number } {
  const vm = new LuaVm({ memoryBytesMax: MEMORY_BYTES_MAX, onTick })
  const L = vm.createState()
  for (const name of ["luaopen_base", "luaopen_table", "luaopen_string", "luaopen_math"] as const) {
    vm.api.lua_pushcclosure(L, vm.register(vm.api[name].bind(vm.api)), 0)
    vm.api.lua_call(L, 0, 0)
  }
  vm.api.lua_settop(L, 0)
  return { vm, L }
}

function load(vm: LuaVm, L: number, code: string): number {
  const source = Buffer.from(code, "latin1")
  return vm.load(L, source, 0, source.length, "@test")
}

/** Runs code; the text of its one result, or of the error. */
function run(vm: LuaVm, L: number, code: string): string {
  const status = load(vm, L, code) || vm.pcall(L, 0, 1, 0)
  const text = vm.textAt(L, -1) ?? "(no text)"
  vm.api.lua_settop(L, 0)
  return status === LuaStatus.ok ? text : `error ${status}: ${text}`
}

function define(vm: LuaVm, L: number, name: string, host: HostFunction): void {
  vm.pushFunction(L, host)
  vm.setField(L, -10002, name)
}

describe("LuaVm", () => {
  test("runs code, catches errors with their place", () => {
    const { vm, L } = makeVm()
    expect(run(vm, L, "return 1 + 1")).toBe("2")
    expect(run(vm, L, "return (")).toBe("error 3: test:1: unexpected symbol near '<eof>'")
    expect(run(vm, L, "\nerror('boo')")).toBe("error 2: test:2: boo")
    expect(run(vm, L, "local ok, e = pcall(error, {1}) return tostring(ok) .. type(e)")).toBe("falsetable")
  })

  test("strings are bytes", () => {
    const { vm, L } = makeVm()
    const all = new Uint8Array(70_000).map((_, i) => i)
    let seen: Uint8Array | undefined
    define(vm, L, "take", state => {
      vm.stringAt(state, 1)
      seen = vm.bytes.slice(vm.at, vm.end)
      return 0
    })
    define(vm, L, "give", state => {
      vm.pushBytes(state, all, 0, all.length)
      return 1
    })
    expect(run(vm, L, "local s = give() take(s) return #s .. s:sub(66, 67)")).toBe("70000AB")
    expect(seen).toEqual(all)
    expect(run(vm, L, "return '\\0\\255'")).toBe("\0\xff")
  })

  test("host functions raise errors as C functions do", () => {
    const { vm, L } = makeVm()
    define(vm, L, "own", state => vm.error(state, "out of luck"))
    define(vm, L, "typed", state => vm.argumentError(state, 1, "number expected"))
    expect(run(vm, L, "\nown()")).toBe("error 2: test:2: out of luck")
    expect(run(vm, L, "typed()")).toBe("error 2: test:1: bad argument #1 to 'typed' (number expected)")
    expect(run(vm, L, "return tostring(select(2, pcall(own)))")).toBe("out of luck")
  })

  test("binary chunks are refused", () => {
    const { vm, L } = makeVm()
    expect(run(vm, L, "\x1bLua")).toBe("error 3: test: bad header in precompiled chunk")
  })

  test("memory has a bound, and what took too much can be caught", () => {
    const { vm, L } = makeVm()
    expect(run(vm, L, "local s = 'x' while true do s = s .. s end")).toBe("error 4: not enough memory")
    expect(run(vm, L, "local t = {} for i = 1, 1e9 do t[i] = i end")).toBe("error 4: not enough memory")
    expect(vm.memoryBytes).toBeLessThanOrEqual(MEMORY_BYTES_MAX)
    expect(run(vm, L, "return 'still there'")).toBe("still there")
  })

  test("deep recursion of any kind ends in an error", () => {
    const { vm, L } = makeVm()
    expect(run(vm, L, "local function f() return 1 + f() end f()")).toContain("stack overflow")
    expect(run(vm, L, "local function f(s) return s:gsub('.', f) end f('x')")).toContain("C stack overflow")
    expect(run(vm, L, `return ${"(".repeat(300)}1${")".repeat(300)}`)).toContain("too many syntax levels")
    expect(run(vm, L, "return 'still there'")).toBe("still there")
  })

  test("an exception of a host function's own gives the interpreter up", () => {
    const { vm, L } = makeVm()
    define(vm, L, "broken", () => {
      throw new Error("a bug")
    })
    expect(() => run(vm, L, "pcall(broken)")).toThrow(LuaBrokenError)
    expect(vm.isBroken).toBe(true)
  })

  test("a call is put aside inside pcall, a comparison and a coroutine, and goes on", async () => {
    let ticks = 0
    let puts = 0
    // Put aside at every second tick; asked again, it goes on.
    const { vm, L } = makeVm(() => ++ticks % 2 === 1)
    vm.setHook(L)
    const code = `
      local n = 0
      local function count() for i = 1, 300000 do n = n + 1 end end
      count()
      local ok, e = pcall(function() count() error('boo') end)
      table.sort({ 2, 1 }, function(a, b) count() return a < b end)
      string.gsub('x', '.', count)
      return n .. e`
    expect(load(vm, L, code)).toBe(LuaStatus.ok)
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const status = vm.start(L, 0, 1, 0, (over, error) => (error === undefined ? resolve(over) : reject(error)))
    expect(status).toBe(RUNNING)
    let over = false
    promise.finally(() => (over = true))
    while (!over) {
      puts++
      vm.proceed()
      await new Promise(setImmediate)
    }
    expect(await promise).toBe(LuaStatus.ok)
    expect(puts).toBeGreaterThan(5)
    expect(vm.textAt(L, -1)).toMatch(/^\d{7}test:5: boo$/)
  })

  test("what is never put aside is over at once", () => {
    const { vm, L } = makeVm()
    vm.setHook(L)
    load(vm, L, "for i = 1, 300000 do end return 'done'")
    expect(vm.start(L, 0, 1, 0, () => {})).toBe(LuaStatus.ok)
    expect(vm.textAt(L, -1)).toBe("done")
  })

  test("an error raised by the tick stops a loop", () => {
    const { vm, L } = makeVm(state => vm.error(state, "enough"))
    vm.setHook(L)
    expect(run(vm, L, "while true do end")).toBe("error 2: enough")
  })

  test("interpreters and states are apart", () => {
    const { vm, L } = makeVm()
    const other = makeVm()
    const second = vm.createState()
    run(vm, L, "x = 1")
    expect(run(other.vm, other.L, "return type(x)")).toBe("nil")
    expect(run(vm, second, "return x")).toBe("(no text)")
    vm.closeState(second)
    expect(run(vm, L, "return x")).toBe("1")
  })
})
