/** Scripting as a whole: what the composition root makes, and what it tells others about it. */

import type { RegisteredCommand } from "../command/registry.ts"
import type { Engine } from "../engine/engine.ts"
import type { Arguments } from "../resp/arguments.ts"
import { commandFlagsFor, readShebang, ScriptFlag } from "./flags.ts"
import { ScriptCache } from "./script-cache.ts"
import { ScriptHost, type ScriptPorts } from "./script-host.ts"

const EVAL = "eval"
const EVALSHA = "evalsha"

export class Scripting {
  readonly host: ScriptHost
  readonly cache: ScriptCache

  constructor(engine: Engine, ports: ScriptPorts) {
    this.host = new ScriptHost(engine, ports)
    this.cache = new ScriptCache(this.host)
    const { scriptFlags } = engine
    engine.scriptFlags = (command, args) => this.declaredFlags(command, args) ?? scriptFlags(command, args)
  }

  /** The flags of an EVAL or EVALSHA whose script declares some. */
  private declaredFlags(command: RegisteredCommand, args: Arguments): number | undefined {
    const flags = this.scriptFlagsOf(command, args)
    if (flags === undefined || (flags & ScriptFlag.Undeclared) !== 0) return undefined
    return commandFlagsFor(command.flagBits, flags)
  }

  /** Fields of INFO memory. */
  info(): [string, number][] {
    const { cache } = this
    return [
      ["used_memory_vm_eval", cache.interpreterBytes],
      ["used_memory_scripts_eval", cache.bytes],
      ["number_of_cached_scripts", cache.size],
    ]
  }

  private scriptFlagsOf(command: RegisteredCommand, args: Arguments): number | undefined {
    const name = command.fullName.replace(/_ro$/, "")
    if (name === EVALSHA) return this.cache.find(args.latin1(1).toLowerCase())?.flags
    if (name !== EVAL) return undefined
    const shebang = readShebang(args.bytes, args.start(1), args.end(1))
    return typeof shebang === "string" ? undefined : shebang.flags
  }
}
