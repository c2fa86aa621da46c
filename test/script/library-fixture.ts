/**
 * A Lua state with the four libraries and nothing of a server around it: what the libraries are tested on.
 */
import { latin1 } from "../../src/bytes/compare.ts"
import { bitLibrary } from "../../src/script/lib/bit.ts"
import { cjsonLibrary } from "../../src/script/lib/cjson.ts"
import { cmsgpackLibrary } from "../../src/script/lib/cmsgpack.ts"
import { structLibrary } from "../../src/script/lib/struct.ts"
import { GLOBALS, LuaStatus, LuaVm } from "../../src/script/lua-vm.ts"

export class LibraryFixture {
  readonly vm: LuaVm
  readonly L: number

  constructor(memoryBytesMax = 256 * 1024 * 1024) {
    const vm = new LuaVm({ memoryBytesMax, onTick: () => false })
    const L = vm.createState()
    this.vm = vm
    this.L = L
    const { api } = vm
    for (const open of [api.luaopen_base, api.luaopen_table, api.luaopen_string, api.luaopen_math]) open(L)
    for (const make of [cjsonLibrary, cmsgpackLibrary, structLibrary, bitLibrary]) {
      const library = make(vm)
      vm.pushLibrary(L, library)
      vm.setField(L, GLOBALS, library.name)
    }
    api.lua_settop(L, 0)
  }

  /** Runs a script with ARGV; its result as text with one character per byte. A Lua error becomes an Error. */
  run(script: string, args: readonly (string | Uint8Array)[] = []): string {
    const { vm, L } = this
    vm.api.lua_settop(L, 0)
    vm.api.lua_createtable(L, args.length, 0)
    args.forEach((arg, i) => {
      const bytes = typeof arg === "string" ? Buffer.from(arg) : arg
      vm.pushBytes(L, bytes, 0, bytes.length)
      vm.api.lua_rawseti(L, -2, i + 1)
    })
    vm.setField(L, GLOBALS, "ARGV")
    const source = Buffer.from(script)
    let status = vm.load(L, source, 0, source.length, "@user_script")
    if (status === LuaStatus.ok) status = vm.pcall(L, 0, 1, 0)
    const text = vm.stringAt(L, -1) ? latin1(vm.bytes, vm.at, vm.end) : "(no text)"
    if (status !== LuaStatus.ok) throw new Error(text)
    return text
  }
}
