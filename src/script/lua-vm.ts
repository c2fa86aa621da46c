/**
 * The Lua interpreter: Lua 5.1 compiled to WebAssembly (npm package wasmoon-lua5.1, of which only the .wasm file is used),
 * spoken to through its C API. Strings are bytes throughout.
 *
 * How to write a function in TypeScript that Lua can call (see HostFunction):
 *
 *     const twice: HostFunction = L => {
 *       if (!vm.stringAt(L, 1)) return vm.argumentError(L, 1, "string expected")
 *       const { at, end } = vm                     // the bytes are vm.bytes[at, end) until the interpreter is called again
 *       const text = vm.bytes.slice(at, end)
 *       vm.pushBytes(L, text, 0, text.length)
 *       vm.api.lua_pushnumber(L, text.length)
 *       return 2                                   // how many values on top of the stack are the results
 *     }
 *
 * Rules for such functions:
 * 1. Use the `L` that is handed in, not `vm.state`: a coroutine may be calling.
 * 2. `vm.bytes` and `vm.words` are replaced when the memory grows: read them anew after anything that may allocate.
 *    Strings do not move while they are on the stack.
 * 3. A Lua error (`vm.error`, or one inside a C API function that can raise one: lua_call, lua_gettable with metamethods,
 *    any allocation) leaves as an exception through the TypeScript frames. `finally` works; `catch` must throw it on.
 *    Better: push the error and return RAISE. It is raised when the frame is gone, so that a message handler, which runs
 *    before the frames of the error go, can be put aside like everything else.
 * 4. Any other exception means that the interpreter's state is no longer sound: it is given up (`isBroken`).
 * 5. Before pushing many values, lua_checkstack(L, n) (a function may push 20 without asking).
 *
 * Memory: one linear memory, which only grows, at most to `memoryBytesMax`; beyond it Lua says "not enough memory". It
 * holds all states made with `createState`.
 */

import { readFileSync } from "node:fs"
import luaWasmPath from "wasmoon-lua5.1/dist/liblua5.1.wasm" with { type: "file" }
import { latin1 } from "../bytes/compare.ts"
import { NESTING_REFUSED, raiseLongBrackets } from "./long-brackets.ts"
import type { LuaApi } from "./lua-api.ts"
import { asTableFunction, type GlueExports, instantiateGlue, OWN_SLOT, RAISE, RUNNING } from "./wasm-glue.ts"

/** Called by Lua with a state; its arguments are at stack positions 1.., returns how many results it has pushed. */
export type HostFunction = (L: number) => number

/** A library: a table of functions, with whatever `finish` adds to it (the table is then on top of the stack of `L`). */
export interface HostLibrary {
  name: string
  functions: Readonly<Record<string, HostFunction>>
  finish?(L: number): void
}

export type LibraryMaker = (vm: LuaVm) => HostLibrary

export const LuaType = {
  none: -1,
  nil: 0,
  boolean: 1,
  lightUserdata: 2,
  number: 3,
  string: 4,
  table: 5,
  function: 6,
  userdata: 7,
  thread: 8,
} as const

/** What lua_pcall and lua_load return. */
export const LuaStatus = { ok: 0, yield: 1, runtime: 2, syntax: 3, memory: 4, handler: 5 } as const

export const REGISTRY = -10000
export const GLOBALS = -10002

/** Stack position of the i-th upvalue (from 1) of a running host function. */
export function upvalue(i: number): number {
  return GLOBALS - i
}

export interface LuaVmOptions {
  /** Bound of the linear memory. */
  memoryBytesMax: number
  /**
   * Called every HOOK_INSTRUCTIONS instructions of the states whose hook is set; true puts the running script aside, see
   * `start`. May raise a Lua error.
   */
  onTick: (L: number) => boolean
  /** After `onTick` has said true: it could not be put aside. `onTick` is called once more then, as otherwise. */
  onStuck?: () => void
}

/** Instructions between two calls of the hook, as in Redis. */
export const HOOK_INSTRUCTIONS = 100_000
const MASK_COUNT = 8
const MASK_LINE = 4
const SCRATCH_BYTES = 64 * 1024
/** Copied byte by byte sooner than by a call. */
const SHORT_BYTES = 64
const PAGE_BYTES = 65_536
const GC_COUNT = 3
const GC_COUNTB = 4
/** Where lua_Debug has its fields, and how large it is: event, name, namewhat, what, source, currentline, …, short_src[60]. */
const DEBUG = { name: 4, what: 12, source: 16, currentline: 20, shortSource: 36, size: 128 } as const

/** Where lua_State has its fields. */
const STATE = { hookmask: 56, allowhook: 57 } as const

/** What wasm has thrown that is no Lua error: the state of the interpreter cannot be relied on. */
export class LuaBrokenError extends Error {}

type Suspendable = { Suspending?: new (f: () => Promise<void>) => unknown; promising?: (f: unknown) => PromisingRun }
type Imports = Record<string, Record<string, (...values: number[]) => unknown>>
type PromisingRun = (L: number, args: number, results: number, handler: number) => Promise<number>

let compiled: WebAssembly.Module | undefined

function luaModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(luaWasmPath))
  return compiled
}

export class LuaVm {
  readonly api: LuaApi
  /** The linear memory. Replaced when it grows. */
  bytes: Uint8Array<ArrayBuffer>
  words: Int32Array<ArrayBuffer>
  /** The bytes last found by `stringAt`: [at, end). */
  at = 0
  end = 0
  /** An exception has left it in an unknown state. */
  isBroken = false
  /** More memory was asked for than there may be; set back by whoever has made room. */
  isStarved = false

  readonly memoryBytesMax: number
  private readonly table: WebAssembly.Table
  private readonly glue: GlueExports
  private readonly promisingRun: PromisingRun | undefined
  private readonly hookSlot: number
  private wake: (() => void) | undefined
  /** Of the call that was put aside. */
  private finished: Finished | undefined
  private scratch = 0
  private scratchBytes = 0
  /** Eight bytes for results by pointer. */
  private readonly cell: number
  private readonly debug: number
  private readonly cStrings = new Map<string, number>()

  constructor(options: LuaVmOptions) {
    this.memoryBytesMax = options.memoryBytesMax
    const { Suspending, promising } = WebAssembly as unknown as Suspendable
    const putAside = (): Promise<void> => new Promise(resolve => (this.wake = resolve))
    this.glue = instantiateGlue({
      tick: L => (options.onTick(L) ? 1 : 0),
      done: status => {
        const { finished } = this
        this.finished = undefined
        finished?.(status, undefined)
      },
      stuck: () => {
        this.wake = undefined
        options.onStuck?.()
      },
      suspend: Suspending === undefined ? () => {} : new Suspending(putAside),
    })
    this.promisingRun = promising?.(this.glue.run)
    const instance = new WebAssembly.Instance(luaModule(), this.imports() as Bun.WebAssembly.Imports)
    this.api = instance.exports as unknown as LuaApi
    this.bytes = new Uint8Array(this.api.memory.buffer as ArrayBuffer)
    this.words = new Int32Array(this.bytes.buffer)
    this.table = this.api.__indirect_function_table
    this.api.__wasm_call_ctors()
    this.connectGlue()
    this.hookSlot = this.addToTable(this.glue.hook)
    this.cell = this.api.malloc(8)
    this.debug = this.api.malloc(DEBUG.size)
  }

  /** False where the engine cannot put a stack aside: then nothing else happens while a script runs. */
  get canSuspend(): boolean {
    return this.promisingRun !== undefined
  }

  private connectGlue(): void {
    const { functions } = this.glue
    for (let i = 0; i < this.table.length; i++) functions.set(i, this.table.get(i))
    functions.set(OWN_SLOT.setThrew, this.api.setThrew)
    functions.set(OWN_SLOT.stackSave, this.api.stackSave)
    functions.set(OWN_SLOT.stackRestore, this.api.stackRestore)
    functions.set(OWN_SLOT.pcall, this.api.lua_pcall)
  }

  /** What the C library asks of its host: memory, and otherwise nothing at all (no files, no clock, no environment). */
  private imports(): Imports {
    const imports: Imports = {}
    for (const { module, name } of WebAssembly.Module.imports(luaModule())) {
      imports[module] ??= {}
      imports[module][name] = () => -1
    }
    Object.assign(imports.env!, {
      invoke_vii: this.glue.invoke,
      _emscripten_throw_longjmp: this.glue.longjmp,
      emscripten_resize_heap: (bytes: number) => (this.grow(bytes >>> 0) ? 1 : 0),
      emscripten_memcpy_js: (to: number, from: number, length: number) => {
        this.bytes.copyWithin(to, from, from + length)
      },
      exit: () => {
        this.isBroken = true
        throw new LuaBrokenError("the interpreter has given up")
      },
    })
    return imports
  }

  private grow(bytes: number): boolean {
    const { memory } = this.api
    const has = memory.buffer.byteLength
    if (bytes > this.memoryBytesMax) {
      this.isStarved = true
      return false
    }
    const wanted = Math.min(this.memoryBytesMax, Math.max(bytes, has * 1.25))
    try {
      memory.grow(Math.ceil((wanted - has) / PAGE_BYTES))
    } catch {
      return false
    }
    this.bytes = new Uint8Array(memory.buffer as ArrayBuffer)
    this.words = new Int32Array(memory.buffer as ArrayBuffer)
    return true
  }

  // ------------------------------------------------------------------ states

  /** A new, empty Lua state; 0 when there is no memory for it. */
  createState(): number {
    return this.api.luaL_newstate()
  }

  closeState(L: number): void {
    this.api.lua_close(L)
  }

  /** From now on `onTick` is called while `L`, and coroutines made by it later, runs. */
  setHook(L: number): void {
    this.api.lua_sethook(L, this.hookSlot, MASK_COUNT, HOOK_INSTRUCTIONS)
  }

  /**
   * For an `onTick` that is about to raise an error: from now on until `setHook` it is called at every line that `L` runs,
   * also in a message handler that is called for the error. (Lua calls no hooks until the error is caught, by a
   * field of the state that is reached here by its place.)
   */
  hookEveryLine(L: number): void {
    this.api.lua_sethook(L, this.hookSlot, MASK_LINE, 0)
    if (this.bytes[L + STATE.hookmask] === MASK_LINE) this.bytes[L + STATE.allowhook] = 1
  }

  /** Bytes that a state has allocated. */
  bytesUsed(L: number): number {
    return this.api.lua_gc(L, GC_COUNT, 0) * 1024 + this.api.lua_gc(L, GC_COUNTB, 0)
  }

  /** Bytes of the linear memory, used or not. */
  get memoryBytes(): number {
    return this.bytes.length
  }

  // ------------------------------------------------------------------ running

  /** lua_pcall: the function and its arguments are on the stack. Returns a LuaStatus. */
  pcall(L: number, args: number, results: number, handler: number): number {
    try {
      return this.api.lua_pcall(L, args, results, handler)
    } catch (error) {
      throw this.broken(error)
    }
  }

  /**
   * As `pcall`, but it can be put aside by `onTick`. Returns a LuaStatus when the call is over, or RUNNING when it was put
   * aside: then `proceed` lets it go on, once per time it was put aside, and in the end `finished` is called with the
   * status, in the turn in which the call is over, or later with an error. Only one call can be under way.
   */
  start(L: number, args: number, results: number, handler: number, finished: Finished): number {
    if (this.promisingRun === undefined) return this.pcall(L, args, results, handler)
    const promise = this.promisingRun(L, args, results, handler)
    const status = this.glue.status.value as number
    if (status !== RUNNING) return status
    if (this.wake === undefined) {
      // Neither over nor put aside: an exception has left it.
      promise.catch(() => {})
      throw this.broken(new Error("an exception left the interpreter"))
    }
    this.finished = finished
    promise.catch(error => {
      this.finished = undefined
      finished(LuaStatus.runtime, this.broken(error))
    })
    return RUNNING
  }

  /** Lets the call go on that was put aside; it does so when the running JavaScript is over. */
  proceed(): void {
    const { wake } = this
    this.wake = undefined
    wake?.()
  }

  private broken(error: unknown): Error {
    this.isBroken = true
    return new LuaBrokenError(`Lua interpreter: ${error instanceof Error ? (error.stack ?? error.message) : error}`)
  }

  /** Compiles source; binary chunks are refused. Pushes the function, or the error's text. Returns a LuaStatus. */
  load(L: number, source: Uint8Array, start: number, end: number, chunkName: string): number {
    const length = end - start
    const at = this.hold(source, start, end)
    if (at === 0) {
      this.pushText(L, "not enough memory")
      return LuaStatus.memory
    }
    let status: number
    try {
      status = this.loadAt(L, at, length, chunkName)
    } finally {
      this.release(at)
    }
    if (status !== LuaStatus.syntax || !this.textAt(L, -1)?.includes(NESTING_REFUSED)) return status
    const raised = raiseLongBrackets(source.subarray(start, end))
    if (raised.length === length) return status
    this.pop(L)
    return this.load(L, raised, 0, raised.length, chunkName)
  }

  /** As `load`, of source in the linear memory. */
  loadAt(L: number, at: number, length: number, chunkName: string): number {
    if (length > 0 && this.bytes[at] === BINARY_CHUNK) {
      this.pushText(L, `${chunkName.slice(1)}: bad header in precompiled chunk`)
      return LuaStatus.syntax
    }
    return this.api.luaL_loadbuffer(L, at, length, this.cString(chunkName))
  }

  // ------------------------------------------------------------------ strings

  /** Whether the value at a stack position is a string or a number (which becomes a string there); sets `at` and `end`. */
  stringAt(L: number, index: number): boolean {
    const at = this.api.lua_tolstring(L, index, this.cell)
    if (at === 0) return false
    this.at = at
    this.end = at + this.words[this.cell >> 2]!
    return true
  }

  /** The string at a stack position with one character per byte; undefined when it is none. */
  textAt(L: number, index: number): string | undefined {
    if (!this.stringAt(L, index)) return undefined
    return this.latin1(this.at, this.end)
  }

  latin1(start: number, end: number): string {
    return latin1(this.bytes, start, end)
  }

  /** Pushes a string. Raises "not enough memory" if there is none. */
  pushBytes(L: number, bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (bytes === this.bytes) {
      this.api.lua_pushlstring(L, start, length)
      return
    }
    if (length < SHORT_BYTES && this.scratch !== 0) {
      const { bytes: memory, scratch } = this
      for (let i = 0; i < length; i++) memory[scratch + i] = bytes[start + i]!
      this.api.lua_pushlstring(L, scratch, length)
      return
    }
    const at = this.hold(bytes, start, end)
    if (at === 0) {
      this.error(L, "not enough memory")
      return
    }
    this.api.lua_pushlstring(L, at, length)
    if (at !== this.scratch) this.api.free(at)
  }

  /** Pushes a string of one byte per character (those above 255 lose their upper half). */
  pushText(L: number, text: string): void {
    const at = this.room(text.length)
    if (at === 0) {
      this.error(L, "not enough memory")
      return
    }
    const { bytes } = this
    for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i)
    this.api.lua_pushlstring(L, at, text.length)
    if (at !== this.scratch) this.api.free(at)
  }

  /** Address of a zero-terminated copy of a short ASCII word, kept for good: for field names. */
  cString(word: string): number {
    let at = this.cStrings.get(word)
    if (at === undefined) {
      at = this.api.malloc(word.length + 1)
      if (at === 0) throw new LuaBrokenError("no memory for names")
      for (let i = 0; i < word.length; i++) this.bytes[at + i] = word.charCodeAt(i)
      this.bytes[at + word.length] = 0
      this.cStrings.set(word, at)
    }
    return at
  }

  /** Copies bytes into the linear memory; to be given to `release`. 0 when there is no room. */
  private hold(bytes: Uint8Array, start: number, end: number): number {
    const at = this.room(end - start)
    if (at === 0) return 0
    const memory = this.bytes
    if (end - start < SHORT_BYTES) for (let i = start, to = at; i < end; i++) memory[to++] = bytes[i]!
    else memory.set(bytes.subarray(start, end), at)
    return at
  }

  private release(at: number): void {
    if (at !== this.scratch) this.api.free(at)
  }

  /** The scratch area, or memory of its own for more than fits there. */
  private room(length: number): number {
    if (length > SCRATCH_BYTES) return this.api.malloc(length)
    if (this.scratchBytes === 0) {
      this.scratch = this.api.malloc(SCRATCH_BYTES)
      this.scratchBytes = this.scratch === 0 ? 0 : SCRATCH_BYTES
    }
    return this.scratch
  }

  // ------------------------------------------------------------------ functions and tables

  /** Takes a function into the interpreter's table, for good. Returns its slot, to be pushed with lua_pushcclosure. */
  register(host: HostFunction): number {
    return this.addToTable(asTableFunction(host, this.api.lua_error))
  }

  private addToTable(f: unknown): number {
    const slot = this.table.grow(1)
    this.table.set(slot, f)
    return slot
  }

  /** Pushes a function; the topmost `upvalues` values of the stack become its upvalues (see `upvalue`). */
  pushFunction(L: number, host: HostFunction, upvalues = 0): void {
    this.api.lua_pushcclosure(L, this.register(host), upvalues)
  }

  /** Pushes a function that the interpreter exports. */
  pushExport(L: number, f: (L: number) => number): void {
    this.api.lua_pushcclosure(L, this.addToTable(f), 0)
  }

  /** The C function at a stack position, callable within a host function that has the same arguments. */
  cFunctionAt(L: number, index: number): HostFunction {
    return this.table.get(this.api.lua_tocfunction(L, index)) as HostFunction
  }

  /** Pops a value into a field of the table at `index`. */
  setField(L: number, index: number, name: string): void {
    this.api.lua_setfield(L, index, this.cString(name))
  }

  /** Pushes a field of the table at `index`; returns its LuaType. */
  getField(L: number, index: number, name: string): number {
    this.api.lua_getfield(L, index, this.cString(name))
    return this.api.lua_type(L, -1)
  }

  pop(L: number, count = 1): void {
    this.api.lua_settop(L, -count - 1)
  }

  /** Pushes the library as a new table. */
  pushLibrary(L: number, { functions, finish }: HostLibrary): void {
    const entries = Object.entries(functions)
    this.api.lua_createtable(L, 0, entries.length)
    for (const [name, host] of entries) {
      this.pushFunction(L, host)
      this.setField(L, -2, name)
    }
    finish?.(L)
  }

  // ------------------------------------------------------------------ errors

  /** Raises a Lua error with the place of the caller before it ("user_script:1: …"), as luaL_error. */
  error(L: number, text: string): never {
    this.api.luaL_where(L, 1)
    return this.raise(L, text)
  }

  /** Raises an error with what is on top of the stack before the text. */
  private raise(L: number, text: string): never {
    this.pushText(L, text)
    this.api.lua_concat(L, 2)
    this.api.lua_error(L)
    throw new LuaBrokenError("lua_error returned")
  }

  /** Raises "bad argument #n to 'name' (text)". */
  argumentError(L: number, n: number, text: string): never {
    this.pushText(L, `${text}\0`)
    this.stringAt(L, -1)
    this.api.luaL_argerror(L, n, this.at)
    throw new LuaBrokenError("luaL_argerror returned")
  }

  /** Raises "bad argument #n to 'name' (expected expected, got …)". */
  typeError(L: number, n: number, expected: string): never {
    this.api.luaL_typerror(L, n, this.cString(expected))
    throw new LuaBrokenError("luaL_typerror returned")
  }

  /** Where a function on the call stack stands (level 0 is the running one); undefined beyond the outermost. */
  place(L: number, level: number): { isHost: boolean; source: string; line: number } | undefined {
    const { api, debug } = this
    if (api.lua_getstack(L, level, debug) === 0) return undefined
    api.lua_getinfo(L, this.cString("Sl"), debug)
    const read = (field: number): string => {
      const at = this.words[(debug + field) >> 2]!
      return at === 0 ? "" : this.latin1(at, this.bytes.indexOf(0, at))
    }
    return {
      isHost: read(DEBUG.what) === "C",
      source: read(DEBUG.source),
      line: this.words[(debug + DEBUG.currentline) >> 2]!,
    }
  }
}

const BINARY_CHUNK = 27

/** Told when a call that was put aside is over; an error means that the interpreter is broken. */
export type Finished = (status: number, error: Error | undefined) => void

export { RAISE, RUNNING }
