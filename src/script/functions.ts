/**
 * The function libraries of a server and the Lua state they are loaded into.
 *
 * A library is code that is run once, when it is loaded, and registers functions then. Meanwhile it sees nothing global but
 * a `redis` of its own (register_function, log, the version); afterwards its functions see what scripts see:
 *
 *   what the code sees as globals ──__index──▶ while loading: { redis = { register_function, … } }
 *                                              otherwise:     the sandbox's globals
 *
 * The sources are what is kept, in snapshots and in payloads. When the interpreter had to be given up (ScriptHost.generation),
 * they are loaded again before the next call.
 */

import type { Call } from "../command/context.ts"
import type { FunctionLibraries } from "../engine/snapshots.ts"
import type { Arguments } from "../resp/arguments.ts"
import { ScriptFlag, scriptFlag } from "./flags.ts"
import { Libraries } from "./libraries.ts"
import { BAD_NAME, isName, Library, type LibraryFunction, readLibraryHeader } from "./library.ts"
import { GLOBALS, type HostFunction, LuaStatus, LuaType, type LuaVm, REGISTRY } from "./lua-vm.ts"
import { type Sandbox, SLOTS, Slot } from "./sandbox.ts"
import type { ScriptHost } from "./script-host.ts"
import { pushErrorTable } from "./to-lua.ts"

/** Loading must not take longer, unless it was done before elsewhere. */
export const LOAD_MS_MAX = 500
const CHUNK_NAME = "@user_function"
/** What `redis` has while a library is loaded, beside register_function. */
const LOAD_API = ["log", "LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING", "REDIS_VERSION", "REDIS_VERSION_NUM"]
const FIRST_KEY = 3
const GC_COLLECT = 2
const COLLECTIONS = 4

export class Functions implements FunctionLibraries {
  libraries = new Libraries()
  private readonly host: ScriptHost
  private sandbox: Sandbox | undefined
  private generation = -1
  /** The registry's reference to what is global while a library is loaded. */
  private loadGlobals = 0
  /** The registry's reference to the table of all functions, in which LibraryFunction.ref is an index. */
  private store = 0
  /** The library whose code is running, and when that must be over (monotonic microseconds). */
  private loading: Library | undefined
  private loadingUntil = 0
  /** The call that is being pushed. */
  private called: LibraryFunction | undefined
  private calledWith: Arguments | undefined
  private keys = 0

  constructor(host: ScriptHost) {
    this.host = host
    host.whileIdle = L => this.checkLoadTime(L)
    host.onGivenUp.push(() => {
      this.sandbox = undefined
    })
  }

  // ------------------------------------------------------------------ with snapshots and files

  sources(): readonly Uint8Array[] {
    return [...this.libraries.all()].map(({ code }) => code)
  }

  /** Loads what was loaded elsewhere before. Throws an Error with the reason when it cannot. */
  load(source: Uint8Array, replaces: boolean): void {
    const loaded = this.add(source, replaces, this.libraries, 0)
    if (typeof loaded === "string") throw new Error(loaded)
  }

  clear(): void {
    this.replaceAll(new Libraries())
  }

  // ------------------------------------------------------------------ the set of libraries

  /**
   * Loads a library into a set; a text says why not, and nothing has changed.
   * @param msMax how long its code may run; 0 for no bound
   */
  add(code: Uint8Array, replaces: boolean, into: Libraries, msMax: number): Library | string {
    // It stands on the stack that the code would run on.
    if (this.host.running !== undefined) return "a library cannot be loaded while a script is running"
    const header = readLibraryHeader(code)
    if (typeof header === "string") return header
    const { name, engine, codeStart } = header
    if (!isName(name)) return BAD_NAME
    if (engine.toLowerCase() !== "lua") return `Engine '${engine}' not found`
    const old = into.get(name)
    if (old !== undefined && !replaces) return `Library '${name}' already exists`
    const library = new Library(name, code)
    const fault = this.register(library, codeStart, msMax) ?? into.take(library, old)
    if (fault === undefined) {
      if (old !== undefined) this.forget(old)
      return library
    }
    this.forget(library)
    return fault
  }

  remove(library: Library): void {
    this.libraries.remove(library)
    this.forget(library)
  }

  /** Puts another set in the place of the server's. */
  replaceAll(libraries: Libraries): void {
    const old = this.libraries
    this.libraries = libraries
    if (libraries.functionCount > 0) for (const library of old.all()) this.forget(library)
    else if (this.isReady && this.host.running === undefined) this.makeStore(this.sandbox!)
    this.collect()
  }

  /** Lets go of the functions of a library that is in no set. */
  forget(library: Library): void {
    if (!this.isReady || this.host.running !== undefined) return
    const { L, vm } = this.sandbox!
    vm.api.lua_rawgeti(L, REGISTRY, this.store)
    for (const { ref } of library.functions.values()) vm.api.luaL_unref(L, -1, ref)
    vm.pop(L)
  }

  private collect(): void {
    if (!this.isReady || this.host.running !== undefined) return
    const { vm, L } = this.sandbox!
    // Tables of the interpreter shrink by half at each collection.
    for (let i = 0; i < COLLECTIONS; i++) vm.api.lua_gc(L, GC_COLLECT, 0)
  }

  /** Bytes of the interpreter's memory that functions take. */
  get vmBytes(): number {
    return this.isReady ? this.host.bytesUsed(this.sandbox) : 0
  }

  // ------------------------------------------------------------------ calling

  call(call: Call, f: LibraryFunction, readsOnly: boolean, keys: number): void {
    const sandbox = this.ready()
    this.called = f
    this.calledWith = call.args
    this.keys = keys
    this.host.run(call, f, sandbox, readsOnly, this.pushCall)
  }

  private readonly pushCall = (L: number): number => {
    const { api } = this.sandbox!.vm
    const { calledWith, keys } = this
    api.lua_rawgeti(L, REGISTRY, this.store)
    api.lua_rawgeti(L, -1, this.called!.ref)
    api.lua_remove(L, -2)
    this.pushArguments(L, calledWith!, FIRST_KEY, FIRST_KEY + keys)
    this.pushArguments(L, calledWith!, FIRST_KEY + keys, calledWith!.count)
    return 2
  }

  private pushArguments(L: number, args: Arguments, from: number, to: number): void {
    const { vm } = this.sandbox!
    vm.api.lua_createtable(L, to - from, 0)
    for (let i = from; i < to; i++) {
      vm.pushBytes(L, args.bytes, args.start(i), args.end(i))
      vm.api.lua_rawseti(L, -2, i - from + 1)
    }
  }

  // ------------------------------------------------------------------ the Lua state

  /** There is a state, and the functions of all libraries are in it. */
  private get isReady(): boolean {
    return this.sandbox !== undefined && !this.sandbox.vm.isBroken && this.generation === this.host.generation
  }

  /** The state with all libraries. */
  private ready(): Sandbox {
    if (this.isReady) return this.sandbox!
    this.sandbox = this.host.createSandbox()
    this.store = 0
    this.generation = this.host.generation
    this.makeLoadGlobals(this.sandbox)
    this.makeStore(this.sandbox)
    for (const library of this.libraries.all()) this.loadAgain(library)
    return this.sandbox
  }

  /** A new table for functions; what was in the old one is collected. */
  private makeStore({ vm, L }: Sandbox): void {
    const old = this.store
    vm.api.lua_createtable(L, 0, 0)
    this.store = vm.api.luaL_ref(L, REGISTRY)
    if (old !== 0) vm.api.luaL_unref(L, REGISTRY, old)
  }

  private loadAgain(library: Library): void {
    const again = new Library(library.name, library.code)
    const fault = this.register(again, again.code.indexOf(10), 0)
    if (fault !== undefined) this.host.engine.log("warning", `Library ${library.name} cannot be loaded again: ${fault}`)
    // A function that is not registered any more is nil, and calling it an error.
    for (const [key, f] of library.functions) f.ref = again.functions.get(key)?.ref ?? 0
  }

  private makeLoadGlobals(sandbox: Sandbox): void {
    const { vm, L } = sandbox
    const { api } = vm
    const refuseUnknown = (): void => {
      api.lua_createtable(L, 0, 1)
      vm.pushFunction(L, state => sandbox.nonexistent(state))
      vm.setField(L, -2, "__index")
      api.lua_setmetatable(L, -2)
    }
    api.lua_createtable(L, 0, 1)
    refuseUnknown()
    api.lua_createtable(L, 0, LOAD_API.length + 1)
    vm.getField(L, Slot.globals, "redis")
    for (const name of LOAD_API) {
      vm.getField(L, -1, name)
      vm.setField(L, -3, name)
    }
    vm.pop(L)
    vm.pushFunction(L, this.registerFunction)
    vm.setField(L, -2, "register_function")
    refuseUnknown()
    sandbox.pushStandIn()
    vm.pushText(L, "redis")
    api.lua_insert(L, -2)
    api.lua_rawset(L, -3)
    this.loadGlobals = api.luaL_ref(L, REGISTRY)
  }

  /** Makes the table at the top of the stack what is found as globals. */
  private showGlobals(vm: LuaVm, L: number): void {
    const { api } = vm
    api.lua_pushvalue(L, GLOBALS)
    api.lua_getmetatable(L, -1)
    api.lua_pushvalue(L, -3)
    vm.setField(L, -2, "__index")
    vm.pop(L, 3)
  }

  // ------------------------------------------------------------------ loading

  /** Runs the code of a library, which registers its functions; a text says what went wrong. */
  private register(library: Library, codeStart: number, msMax: number): string | undefined {
    const { vm, L } = this.ready()
    const { api } = vm
    const { code } = library
    const { clock } = this.host.engine
    this.loading = library
    this.loadingUntil = msMax === 0 ? Number.POSITIVE_INFINITY : clock.monotonicMicros() + msMax * 1000
    try {
      if (vm.load(L, code, codeStart, code.length, CHUNK_NAME) !== LuaStatus.ok) {
        return `Error compiling function: ${vm.textAt(L, -1) ?? ""}`
      }
      api.lua_rawgeti(L, REGISTRY, this.loadGlobals)
      this.showGlobals(vm, L)
      const status = vm.pcall(L, 0, 0, 0)
      if (status !== LuaStatus.ok) return `Error registering functions: ${this.errorText(vm, L)}`
    } catch (error) {
      this.host.engine.log("warning", `Lua interpreter given up while loading ${library.name}: ${String(error)}`)
      return "Error registering functions: ERR the library used more than the interpreter has"
    } finally {
      this.loading = undefined
      if (!vm.isBroken) this.endLoading(vm, L)
      this.host.relieve(L)
    }
    return library.functions.size === 0 ? "No functions registered" : undefined
  }

  private endLoading(vm: LuaVm, L: number): void {
    vm.api.lua_pushvalue(L, Slot.globals)
    this.showGlobals(vm, L)
    vm.api.lua_settop(L, SLOTS)
  }

  /** The error on top of the stack: a text, or a table with one in its field err. */
  private errorText(vm: LuaVm, L: number): string {
    if (vm.api.lua_type(L, -1) !== LuaType.table) return `ERR ${vm.textAt(L, -1) ?? "unknown error"}`
    vm.pushText(L, "err")
    vm.api.lua_rawget(L, -2)
    return vm.textAt(L, -1) ?? "ERR unknown error"
  }

  /** The count hook while no script runs. */
  private checkLoadTime(L: number): void {
    if (this.loading === undefined || this.host.engine.clock.monotonicMicros() < this.loadingUntil) return
    this.raise(L, "FUNCTION LOAD timeout")
  }

  /** Raises an error that is a table, without a place. */
  private raise(L: number, text: string): never {
    const { vm } = this.sandbox!
    pushErrorTable(vm, L, text, false)
    vm.api.lua_error(L)
    throw new Error("lua_error returned")
  }

  /** redis.register_function(name, callback), or of a table with the fields function_name, callback, description, flags. */
  private readonly registerFunction: HostFunction = L => {
    const { vm } = this.sandbox!
    const { loading } = this
    if (loading === undefined) this.raise(L, "redis.register_function can only be called on FUNCTION LOAD command")
    const count = vm.api.lua_gettop(L)
    if (count < 1 || count > 2) this.raise(L, "wrong number of arguments to redis.register_function")
    const given = count === 1 ? this.readNamed(vm, L) : this.readPositional(vm, L)
    vm.api.lua_rawgeti(L, REGISTRY, this.store)
    vm.api.lua_insert(L, -2)
    const ref = vm.api.luaL_ref(L, -2)
    const fault = loading.register(given.name, given.description, given.flags, ref)
    if (fault !== undefined) {
      vm.api.luaL_unref(L, -1, ref)
      this.raise(L, fault)
    }
    return 0
  }

  /** Leaves the callback on top of the stack. */
  private readPositional(vm: LuaVm, L: number): Registration {
    const name = vm.textAt(L, 1)
    if (name === undefined) this.raise(L, "first argument to redis.register_function must be a string")
    if (vm.api.lua_type(L, 2) !== LuaType.function) {
      this.raise(L, "second argument to redis.register_function must be a function")
    }
    return { name, description: undefined, flags: 0 }
  }

  /** Leaves the callback on top of the stack. */
  private readNamed(vm: LuaVm, L: number): Registration {
    const { api } = vm
    if (api.lua_type(L, 1) !== LuaType.table) {
      this.raise(
        L,
        "calling redis.register_function with a single argument is only applicable to Lua table " +
          "(representing named arguments).",
      )
    }
    let name: string | undefined
    const given = { description: undefined as Uint8Array | undefined, flags: 0 }
    // The callback, at 2.
    api.lua_pushnil(L)
    api.lua_pushnil(L)
    while (api.lua_next(L, 1) !== 0) {
      const key = api.lua_type(L, -2)
      if (key !== LuaType.string && key !== LuaType.number) {
        this.raise(L, "named argument key given to redis.register_function is not a string")
      }
      const word = key === LuaType.string ? vm.textAt(L, -2)!.split("\0", 1)[0]!.toLowerCase() : ""
      if (word === "function_name") name = this.readName(vm, L)
      else if (word === "description") given.description = this.readDescription(vm, L)
      else if (word === "flags") given.flags = this.readFlags(vm, L)
      else if (word !== "callback") this.raise(L, "unknown argument given to redis.register_function")
      else if (api.lua_type(L, -1) !== LuaType.function) {
        this.raise(L, "callback argument given to redis.register_function must be a function")
      } else {
        api.lua_pushvalue(L, -1)
        api.lua_replace(L, 2)
      }
      vm.pop(L)
    }
    if (name === undefined) this.raise(L, "redis.register_function must get a function name argument")
    if (api.lua_type(L, 2) === LuaType.nil) this.raise(L, "redis.register_function must get a callback argument")
    api.lua_settop(L, 2)
    return { name, ...given }
  }

  private readName(vm: LuaVm, L: number): string {
    const name = vm.textAt(L, -1)
    if (name === undefined) this.raise(L, "function_name argument given to redis.register_function must be a string")
    return name
  }

  private readDescription(vm: LuaVm, L: number): Uint8Array {
    if (!vm.stringAt(L, -1)) {
      this.raise(L, "description argument given to redis.register_function must be a string")
    }
    return vm.bytes.slice(vm.at, vm.end)
  }

  private readFlags(vm: LuaVm, L: number): number {
    const { api } = vm
    if (api.lua_type(L, -1) !== LuaType.table) {
      this.raise(L, "flags argument to redis.register_function must be a table representing function flags")
    }
    let flags = 0
    for (let i = 1; ; i++) {
      api.lua_rawgeti(L, -1, i)
      if (api.lua_type(L, -1) === LuaType.nil) break
      const flag = scriptFlag((vm.textAt(L, -1) ?? "").toLowerCase())
      if (flag === 0 || flag === ScriptFlag.Undeclared) this.raise(L, "unknown flag given")
      flags |= flag
      vm.pop(L)
    }
    vm.pop(L)
    return flags
  }
}

interface Registration {
  name: string
  description: Uint8Array | undefined
  flags: number
}
