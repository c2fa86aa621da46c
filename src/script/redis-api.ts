/**
 * The table `redis` (and `server`, as Valkey calls it) of scripts and functions.
 *
 * redis.call is the hot path: arguments that are strings are used where they lie in the interpreter's memory, numbers are
 * written into an area beside them, and the command runs from that table of offsets.
 */

import { formatDouble } from "../bytes/double.ts"
import { writeInteger } from "../bytes/int64.ts"
import { sha1Hex } from "../bytes/sha1.ts"
import type { RegisteredCommand } from "../command/registry.ts"
import { reportedVersion } from "../engine/connection-commands.ts"
import type { LogLevel } from "../engine/engine.ts"
import { Arguments } from "../resp/arguments.ts"
import { type HostFunction, LuaType, type LuaVm, RAISE } from "./lua-vm.ts"
import type { ScriptHost } from "./script-host.ts"
import { pushErrorTable } from "./to-lua.ts"

const LOG_LEVELS: readonly LogLevel[] = ["debug", "verbose", "notice", "warning"]
const REPLICATION = { NONE: 0, AOF: 1, SLAVE: 2, REPLICA: 2, ALL: 3 } as const
const NUMBER_BYTES = 32
/** Numbers beyond this many in one call become strings of the interpreter. */
const NUMBERS_MAX = 256
const ERROR_BYTE = 45
const NOTHING = new Uint8Array(0)

export const NO_SCRIPT_RUNS = "redis.call can only be called inside a script invocation"

export class RedisApi {
  private readonly host: ScriptHost
  private readonly args = new Arguments()
  /** Where the numbers among the arguments are written; belongs to `areaOf`. */
  private area = 0
  private areaOf: LuaVm | undefined

  constructor(host: ScriptHost) {
    this.host = host
    host.onGivenUp.push(() => {
      this.areaOf = undefined
      this.args.bytes = NOTHING
    })
  }

  /** Pushes the table. */
  push(L: number): void {
    const { vm } = this.host
    const functions: Record<string, HostFunction> = {
      log: state => this.log(state),
      sha1hex: state => this.sha1hex(state),
      error_reply: state => this.errorReply(state),
      status_reply: state => this.statusReply(state),
      setresp: state => this.setProtocol(state),
      set_repl: state => this.setReplication(state),
      replicate_commands: state => this.yes(state),
      acl_check_cmd: state => this.isPermitted(state),
      breakpoint: state => this.no(state),
      debug: () => 0,
    }
    vm.pushLibrary(L, { name: "redis", functions })
    for (const name of ["call", "pcall"]) {
      // As the reader of replies wants it.
      vm.pushText(L, "ok")
      vm.pushText(L, "OK")
      vm.pushFunction(L, state => this.call(state, name === "call"), 2)
      vm.setField(L, -2, name)
    }
    const version = reportedVersion(this.host.engine)
    const numbers: Record<string, number> = { REDIS_VERSION_NUM: versionNumber(version) }
    for (const [i, level] of LOG_LEVELS.entries()) numbers[`LOG_${level.toUpperCase()}`] = i
    for (const [name, value] of Object.entries(REPLICATION)) numbers[`REPL_${name}`] = value
    for (const [name, value] of Object.entries(numbers)) {
      vm.api.lua_pushnumber(L, value)
      vm.setField(L, -2, name)
    }
    vm.pushText(L, version)
    vm.setField(L, -2, "REDIS_VERSION")
  }

  // ------------------------------------------------------------------ calling commands

  private call(L: number, raises: boolean): number {
    const { host } = this
    const { vm } = host
    if (host.running === undefined) return this.fail(L, NO_SCRIPT_RUNS)
    const problem = this.readArguments(L)
    if (problem !== undefined) return this.refuse(L, problem, raises, false)
    const { args } = this
    const command = this.find()
    const refusal = this.refusal(command)
    if (refusal !== undefined) {
      host.engine.countErrorText(refusal.startsWith("-") ? refusal.slice(1) : "ERR")
      if (command !== undefined) command.rejectedCalls++
      return this.refuse(L, refusal, raises, true)
    }
    host.execute(command!, args)
    vm.api.lua_settop(L, 0)
    const { replies } = host
    host.reader.push(L, replies.bytes)
    return raises && replies.bytes[0] === ERROR_BYTE ? RAISE : 1
  }

  /** The command that is called; undefined when there is none of this name. */
  private find(): RegisteredCommand | undefined {
    const { args } = this
    const { bytes } = args
    const command = this.host.engine.registry.lookup(bytes, args.starts[0]!, args.ends[0]!)
    if (command === undefined || !command.isContainer || args.count === 1) return command
    return command.lookupSubcommand(bytes, args.starts[1]!, args.ends[1]!)
  }

  private refusal(command: RegisteredCommand | undefined): string | undefined {
    if (command === undefined) return "Unknown Redis command called from script"
    const { args } = this
    const { arity } = command
    if (arity >= 0 ? args.count !== arity : args.count < -arity) {
      return "Wrong number of args calling Redis command from script"
    }
    return this.host.forbids(command, args)
  }

  private refuse(L: number, text: string, raises: boolean, counted: boolean): number {
    const { vm } = this.host
    vm.api.lua_settop(L, 0)
    pushErrorTable(vm, L, text, counted)
    return raises ? RAISE : 1
  }

  /** Fills the table of arguments from the stack; a text is what is wrong with them. */
  private readArguments(L: number): string | undefined {
    const { args } = this
    const { vm } = this.host
    const { api } = vm
    const count = api.lua_gettop(L)
    if (count === 0) return "Please specify at least one argument for this redis lib call"
    args.count = 0
    let numbers = 0
    for (let i = 1; i <= count; i++) {
      if (api.lua_type(L, i) === LuaType.number) {
        if (numbers < NUMBERS_MAX) {
          this.pushNumber(api.lua_tonumber(L, i), numbers++)
          continue
        }
        vm.pushText(L, numberText(api.lua_tonumber(L, i)))
        api.lua_replace(L, i)
      }
      if (!vm.stringAt(L, i)) return "Lua redis lib command arguments must be strings or integers"
      args.push(vm.at, vm.end)
    }
    args.bytes = vm.bytes
    return undefined
  }

  private pushNumber(value: number, index: number): void {
    const { vm } = this.host
    if (this.areaOf !== vm) {
      this.areaOf = vm
      this.area = vm.api.malloc(NUMBER_BYTES * NUMBERS_MAX)
    }
    const start = this.area + index * NUMBER_BYTES
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      this.args.push(start, writeInteger(vm.bytes, start, value))
      return
    }
    const text = numberText(value)
    for (let i = 0; i < text.length; i++) vm.bytes[start + i] = text.charCodeAt(i)
    this.args.push(start, start + text.length)
  }

  // ------------------------------------------------------------------ the rest of the table

  /** Raises {err=…} as the functions of Redis do, without a place before the text. */
  private fail(L: number, text: string): number {
    pushErrorTable(this.host.vm, L, text, false)
    return RAISE
  }

  private log(L: number): number {
    const { vm, engine } = this.host
    const { api } = vm
    const count = api.lua_gettop(L)
    if (count < 2) return this.fail(L, "redis.log() requires two arguments or more.")
    if (api.lua_isnumber(L, 1) === 0) return this.fail(L, "First argument must be a number (log level).")
    const level = LOG_LEVELS[Math.trunc(api.lua_tonumber(L, 1))]
    if (level === undefined) return this.fail(L, "Invalid log level.")
    const words: string[] = []
    for (let i = 2; i <= count; i++) if (vm.stringAt(L, i)) words.push(utf8Of(vm))
    engine.log(level, words.join(" "))
    return 0
  }

  private sha1hex(L: number): number {
    const { vm } = this.host
    if (vm.api.lua_gettop(L) !== 1) return this.fail(L, "wrong number of arguments")
    const isText = vm.stringAt(L, 1)
    vm.pushText(L, isText ? sha1Hex(vm.bytes, vm.at, vm.end) : sha1Hex(vm.bytes, 0, 0))
    return 1
  }

  private hasOneString(L: number): boolean {
    const { api } = this.host.vm
    return api.lua_gettop(L) === 1 && api.lua_type(L, 1) === LuaType.string
  }

  private errorReply(L: number): number {
    const { vm } = this.host
    if (!this.hasOneString(L)) pushErrorTable(vm, L, "wrong number or type of arguments", false)
    else {
      const text = vm.textAt(L, 1)!.split("\0", 1)[0]!
      pushErrorTable(vm, L, text.startsWith("-") ? text : `-${text}`, false)
    }
    return 1
  }

  private statusReply(L: number): number {
    const { vm } = this.host
    if (!this.hasOneString(L)) pushErrorTable(vm, L, "wrong number or type of arguments", false)
    else {
      vm.api.lua_createtable(L, 0, 1)
      vm.api.lua_pushvalue(L, 1)
      vm.setField(L, -2, "ok")
    }
    return 1
  }

  private setProtocol(L: number): number {
    const { host } = this
    const { api } = host.vm
    if (host.running === undefined) return this.fail(L, NO_SCRIPT_RUNS)
    if (api.lua_gettop(L) !== 1) return this.fail(L, "redis.setresp() requires one argument.")
    const version = Math.trunc(api.lua_tonumber(L, 1))
    if (version !== 2 && version !== 3) return this.fail(L, "RESP version must be 2 or 3.")
    host.client.protocol = version
    return 0
  }

  private setReplication(L: number): number {
    const { host } = this
    const { api } = host.vm
    if (host.running === undefined) return this.fail(L, NO_SCRIPT_RUNS)
    if (api.lua_gettop(L) !== 1) return this.fail(L, "redis.set_repl() requires one argument.")
    const flags = Math.trunc(api.lua_tonumber(L, 1))
    if ((flags & ~REPLICATION.ALL) !== 0) {
      return this.fail(L, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
    }
    host.engine.propagator.setAudience(flags)
    return 0
  }

  private isPermitted(L: number): number {
    const { host } = this
    const { api } = host.vm
    const { running } = host
    if (running === undefined) return this.fail(L, NO_SCRIPT_RUNS)
    const problem = this.readArguments(L)
    if (problem !== undefined) return this.fail(L, problem)
    const command = this.find()
    if (command === undefined) return this.fail(L, "Invalid command passed to redis.acl_check_cmd()")
    api.lua_pushboolean(L, host.ports.acl.permits(running.caller, command, this.args) ? 1 : 0)
    return 1
  }

  private yes(L: number): number {
    this.host.vm.api.lua_pushboolean(L, 1)
    return 1
  }

  private no(L: number): number {
    this.host.vm.api.lua_pushboolean(L, 0)
    return 1
  }
}

function utf8Of(vm: LuaVm): string {
  return Buffer.from(vm.bytes.buffer, vm.at, vm.end - vm.at).toString("utf8")
}

/** A number as an argument: whole ones without a point or exponent, others as short as possible. */
function numberText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) <= 2 ** 62)
    return Object.is(value, -0) ? "0" : BigInt(value).toString()
  return formatDouble(value)
}

/** 0x00MMmmpp. */
function versionNumber(version: string): number {
  const [major, minor, patch] = version.split(".").map(Number)
  return (major! << 16) | (minor! << 8) | patch!
}
