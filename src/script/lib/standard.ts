/** The libraries that scripts and functions find beside Lua's own. */

import type { HostLibrary, LuaVm } from "../lua-vm.ts"
import { bitLibrary } from "./bit.ts"
import { cjsonLibrary } from "./cjson.ts"
import { cmsgpackLibrary } from "./cmsgpack.ts"
import { structLibrary } from "./struct.ts"

type Pushers = Readonly<Record<string, (L: number) => void>>

const made = new WeakMap<LuaVm, Pushers>()

/**
 * By name: each pushes the table of a library. An interpreter keeps functions for good, so they are given to it once, however
 * many states it has.
 */
export function standardLibraries(vm: LuaVm): Pushers {
  const known = made.get(vm)
  if (known !== undefined) return known
  const libraries = [cjsonLibrary(vm), cmsgpackLibrary(vm), structLibrary(vm), bitLibrary(vm)]
  const pushers = Object.fromEntries(libraries.map(library => [library.name, pusher(vm, library)]))
  made.set(vm, pushers)
  return pushers
}

function pusher(vm: LuaVm, { functions, finish }: HostLibrary): (L: number) => void {
  const slots = Object.entries(functions).map(([name, f]) => [name, vm.register(f)] as const)
  return L => {
    vm.api.lua_createtable(L, 0, slots.length)
    for (const [name, slot] of slots) {
      vm.api.lua_pushcclosure(L, slot, 0)
      vm.setField(L, -2, name)
    }
    finish?.(L)
  }
}
