/**
 * The scripts a server knows, by their SHA1 digests. They are kept as source; the interpreter's function for one is made
 * when it is first run, and made anew after the interpreter was given up.
 *
 * Scripts that came with EVAL are many where programs write values into them, so only the last used EVAL_SCRIPTS_MAX of
 * them are kept. Those of SCRIPT LOAD stay until SCRIPT FLUSH.
 */

import { copyOf, equalBytes, latin1 } from "../bytes/compare.ts"
import { sha1Hex } from "../bytes/sha1.ts"
import { readShebang } from "./flags.ts"
import { LuaStatus, REGISTRY } from "./lua-vm.ts"
import type { Sandbox } from "./sandbox.ts"
import type { Script, ScriptHost } from "./script-host.ts"

export const EVAL_SCRIPTS_MAX = 500
export const DIGEST_CHARACTERS = 40
/** What a script costs beside its source and digest, about. */
const SCRIPT_BYTES = 120

/** What luaL_loadbuffer calls the code in errors. */
const CHUNK_NAME = "@user_script"
const GC_COLLECT = 2

export interface CachedScript extends Script {
  /** Owned. */
  readonly source: Uint8Array
  /** Where the code begins, behind the first line's flags. */
  readonly codeAt: number
  /** The registry's reference to its function, in the generation of `reference`. */
  reference: number
  generation: number
  /** Came with EVAL and can be given up. */
  isPassing: boolean
}

export class ScriptCache {
  private readonly host: ScriptHost
  private readonly scripts = new Map<string, CachedScript>()
  /** Those that came with EVAL, least recently used first. */
  private readonly passing = new Map<string, CachedScript>()
  private sandbox_: Sandbox | undefined
  private sandboxGeneration = -1
  /** What EVALSHA found last. */
  private lastFound: CachedScript | undefined
  private lastEval: CachedScript | undefined
  private lastUsed: CachedScript | undefined
  evicted = 0
  /** Bytes of sources and digests. */
  sourceBytes = 0

  constructor(host: ScriptHost) {
    this.host = host
    host.onGivenUp.push(() => {
      this.sandbox_ = undefined
    })
  }

  get size(): number {
    return this.scripts.size
  }

  /** Bytes that the scripts take beside the interpreter. */
  get bytes(): number {
    return this.sourceBytes + this.scripts.size * SCRIPT_BYTES
  }

  /** Bytes allocated by the interpreter for scripts. */
  get interpreterBytes(): number {
    return this.sandboxGeneration === this.host.generation ? this.host.bytesUsed(this.sandbox_) : 0
  }

  /** By digest, in lower case. */
  find(digest: string): CachedScript | undefined {
    return this.scripts.get(digest)
  }

  /** By the digest in these DIGEST_CHARACTERS bytes, in any case. */
  findDigest(bytes: Uint8Array, start: number): CachedScript | undefined {
    const last = this.lastFound
    if (last !== undefined && isDigest(last.name, bytes, start)) return last
    const text = latin1(bytes, start, start + DIGEST_CHARACTERS)
    const found = this.scripts.get(text) ?? this.scripts.get(text.toLowerCase())
    if (found !== undefined) this.lastFound = found
    return found
  }

  /** The script with this source if it is known. O(bytes). */
  findSource(bytes: Uint8Array, start: number, end: number): CachedScript | undefined {
    const last = this.lastEval
    const length = end - start
    if (last !== undefined && last.source.length === length && equalBytes(last.source, 0, bytes, start, length))
      return last
    return this.scripts.get(sha1Hex(bytes, start, end))
  }

  /** The script with this source, compiled; a text is the error reply. */
  add(bytes: Uint8Array, start: number, end: number, isPassing: boolean): CachedScript | string {
    const known = this.findSource(bytes, start, end)
    if (known !== undefined) {
      if (isPassing) this.lastEval = known
      else {
        // SCRIPT LOAD of what EVAL had brought: now it stays.
        known.isPassing = false
        this.passing.delete(known.name)
      }
      return known
    }
    const shebang = readShebang(bytes, start, end)
    if (typeof shebang === "string") return shebang
    const script: CachedScript = {
      name: sha1Hex(bytes, start, end),
      flags: shebang.flags,
      isFunction: false,
      source: copyOf(bytes, start, end),
      codeAt: shebang.length,
      reference: 0,
      generation: -1,
      isPassing,
    }
    const error = this.compile(script)
    if (error !== undefined) return error
    if (isPassing) {
      this.makeRoom()
      this.passing.set(script.name, script)
      this.lastEval = script
    }
    this.scripts.set(script.name, script)
    this.sourceBytes += script.source.length + script.name.length
    return script
  }

  /** Pushes the script's function; returns the error reply if it cannot be compiled any more. */
  push(script: CachedScript): string | undefined {
    const { vm, L } = this.sandbox
    if (script.generation !== this.sandboxGeneration) {
      const error = this.compile(script)
      if (error !== undefined) return error
    }
    vm.api.lua_rawgeti(L, REGISTRY, script.reference)
    return undefined
  }

  /** After each run: the least recently used ones come first. */
  touch(script: CachedScript): void {
    if (!script.isPassing || this.lastUsed === script) return
    this.lastUsed = script
    this.passing.delete(script.name)
    this.passing.set(script.name, script)
  }

  private compile(script: CachedScript, isAgain = false): string | undefined {
    const { sandbox } = this
    const { vm, L } = sandbox
    const { source, codeAt } = script
    const status = vm.load(L, source, codeAt, source.length, CHUNK_NAME)
    if (status !== LuaStatus.ok) {
      const text = vm.textAt(L, -1)
      vm.pop(L)
      this.host.relieve(L)
      if (status === LuaStatus.memory && !isAgain) return this.compile(script, true)
      return `ERR Error compiling script (new function): ${text}`
    }
    script.reference = vm.api.luaL_ref(L, REGISTRY)
    script.generation = this.host.generation
    return undefined
  }

  /** The state of EVAL's scripts, made when first needed. */
  get sandbox(): Sandbox {
    const { host } = this
    void host.vm
    if (this.sandbox_ === undefined || this.sandboxGeneration !== host.generation) {
      this.sandbox_ = host.createSandbox()
      this.sandboxGeneration = host.generation
    }
    return this.sandbox_
  }

  private makeRoom(): void {
    while (this.passing.size >= EVAL_SCRIPTS_MAX) {
      const [oldest] = this.passing.values()
      this.remove(oldest!)
      this.evicted++
    }
  }

  private remove(script: CachedScript): void {
    const { host } = this
    this.passing.delete(script.name)
    this.scripts.delete(script.name)
    this.sourceBytes -= script.source.length + script.name.length
    if (this.lastEval === script) this.lastEval = undefined
    if (this.lastFound === script) this.lastFound = undefined
    if (this.lastUsed === script) this.lastUsed = undefined
    if (script.generation !== host.generation || this.sandboxGeneration !== host.generation) return
    const { vm, L } = this.sandbox
    vm.api.luaL_unref(L, REGISTRY, script.reference)
  }

  /**
   * SCRIPT FLUSH: forgets all scripts. Their state stays, without them: what a new one is given of functions is the
   * interpreter's for good.
   */
  flush(): void {
    const { host, sandbox_ } = this
    if (sandbox_ !== undefined && this.sandboxGeneration === host.generation) {
      const { vm, L } = sandbox_
      for (const { generation, reference } of this.scripts.values()) {
        if (generation === host.generation) vm.api.luaL_unref(L, REGISTRY, reference)
      }
      vm.api.lua_gc(L, GC_COLLECT, 0)
    }
    this.scripts.clear()
    this.passing.clear()
    this.lastEval = undefined
    this.lastFound = undefined
    this.lastUsed = undefined
    this.sourceBytes = 0
  }
}

/** Whether these bytes spell a digest, as it is kept, in lower case. */
function isDigest(digest: string, bytes: Uint8Array, start: number): boolean {
  for (let i = 0; i < DIGEST_CHARACTERS; i++) if (bytes[start + i] !== digest.charCodeAt(i)) return false
  return true
}
