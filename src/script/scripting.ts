/** Scripting as a whole: what the composition root makes, and what it tells others about it. */

import type { RegisteredCommand } from "../command/registry.ts"
import type { Engine } from "../engine/engine.ts"
import type { Arguments } from "../resp/arguments.ts"
import { commandFlagsFor, readShebang, ScriptFlag } from "./flags.ts"
import { Functions } from "./functions.ts"
import { ScriptCache } from "./script-cache.ts"
import { ScriptHost, type ScriptPorts } from "./script-host.ts"

const EVAL = "eval"
const EVALSHA = "evalsha"
const FCALL = "fcall"

export class Scripting {
  readonly host: ScriptHost
  readonly cache: ScriptCache
  readonly functions: Functions

  constructor(engine: Engine, ports: ScriptPorts) {
    this.host = new ScriptHost(engine, ports)
    this.cache = new ScriptCache(this.host)
    this.functions = new Functions(this.host)
    engine.snapshots.libraries = this.functions
    const { scriptFlags } = engine
    engine.scriptFlags = (command, args) => this.declaredFlags(command, args) ?? scriptFlags(command, args)
  }

  /** The flags of a command whose script declares some, or whose function is registered. */
  private declaredFlags(command: RegisteredCommand, args: Arguments): number | undefined {
    const flags = this.scriptFlagsOf(command, args)
    if (flags === undefined || (flags & ScriptFlag.Undeclared) !== 0) return undefined
    return commandFlagsFor(command.flagBits, flags)
  }

  /** What scripting takes of the memory, by what INFO calls the parts. */
  memory(): Record<string, () => number> {
    return {
      lua: () => this.cache.interpreterBytes,
      scripts: () => this.cache.bytes,
      functions: () => this.functions.libraries.bytes,
      "functions-vm": () => this.functions.vmBytes,
    }
  }

  /** Fields of INFO memory. */
  info(): [string, number][] {
    const { libraries } = this.functions
    return [
      ["number_of_cached_scripts", this.cache.size],
      ["number_of_functions", libraries.functionCount],
      ["number_of_libraries", libraries.libraryCount],
    ]
  }

  private scriptFlagsOf(command: RegisteredCommand, args: Arguments): number | undefined {
    const name = command.fullName.replace(/_ro$/, "")
    if (name === FCALL) return this.functions.libraries.function(args.latin1(1))?.flags
    if (name === EVALSHA) return this.cache.find(args.latin1(1).toLowerCase())?.flags
    if (name !== EVAL) return undefined
    const shebang = readShebang(args.bytes, args.start(1), args.end(1))
    return typeof shebang === "string" ? undefined : shebang.flags
  }
}
