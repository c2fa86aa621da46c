/**
 * Runs scripts and functions: one at a time, on the main thread, each as part of the command that asked for it.
 *
 *   prepare ──▶ running ──over──▶ reply, ──▶ none
 *                │   ▲
 *    busy-reply- │   │ next turn of the event loop
 *    threshold   ▼   │
 *               put aside: others get BUSY; SCRIPT KILL ends it with an error, SHUTDOWN NOSAVE ends the server
 *
 * What a script calls runs through the same path as everybody's commands, as a client of its own (`client`) that has the
 * rights of its caller; replies are read from a writer of their own. Effects reach the append-only file and the replicas as
 * one unit, also of a script that was put aside: what it did so far is held back meanwhile.
 *
 * A script is put aside only when its command came from a socket, by itself or in an EXEC, which then waits as well and goes on
 * with the next command after it. In replay it runs to its end.
 *
 * The interpreter is made for the first script. When an exception has left it in an unknown state, it is given up and the
 * next script gets a new one: scripts and libraries are kept as source, and loaded again when needed (`generation` tells).
 */

import type { Call } from "../command/context.ts"
import { Flag, type RegisteredCommand } from "../command/registry.ts"
import { type Client, ClientCondition } from "../engine/client.ts"
import { type Engine, EngineCondition } from "../engine/engine.ts"
import { OUT_OF_MEMORY } from "../engine/memory-limit.ts"
import { Audience, type Withdrawn } from "../engine/propagate.ts"
import type { Arguments } from "../resp/arguments.ts"
import { ReplyWriter } from "../resp/reply-writer.ts"
import { ScriptFlag } from "./flags.ts"
import { ReplyMaker } from "./from-lua.ts"
import { type Finished, LuaStatus, LuaType, LuaVm, RUNNING } from "./lua-vm.ts"
import { MathRandom } from "./math-random.ts"
import { RedisApi } from "./redis-api.ts"
import { Sandbox, SLOTS, Slot } from "./sandbox.ts"
import { ReplyReader } from "./to-lua.ts"

export const READ_ONLY_REPLICA = "READONLY You can't write against a read only replica."
export const STALE = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
const TOO_FEW_REPLICAS = "NOREPLICAS Not enough good replicas to write."
const NOT_BUSY = "NOTBUSY No scripts in execution right now."
const UNKILLABLE =
  "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script " +
  "termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
const UNKILLABLE_OBEYED =
  "UNKILLABLE The busy script was sent by a master instance in the context of replication and cannot be killed."
export const BUSY_SCRIPT = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
export const BUSY_FUNCTION = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."

/** Garbage is collected a bit every so many scripts, so that no full cycle comes at once. */
const SCRIPTS_PER_COLLECTION = 50
const GC_STEP = 5
const GC_COLLECT = 2
const COLLECTION_STEP_KBYTES = 50
/** A linear memory beyond this is given up when most of it is not needed any more. */
const MEMORY_BYTES_KEPT = 64 * 1024 * 1024
const WORTH_GIVING_UP = 4
const ERROR_BYTE = 45
/** About 100 ms. */
const TICKS_UNTIL_RETRY = 50
const KILLED = "ERR Script killed by user with SCRIPT KILL..."

/** What the composition root lends. */
export interface ScriptPorts {
  acl: {
    impersonate(client: Client, other: Client): void
    /** What follows the word NOPERM; undefined when the call is permitted. */
    refusal(client: Client, command: RegisteredCommand, args: Arguments, context: "lua"): string | undefined
    permits(client: Client, command: RegisteredCommand, args: Arguments): boolean
  }
  /** Shows a command to monitors that they are otherwise not shown. */
  showToMonitors: (client: Client, command: RegisteredCommand, args: Arguments) => void
  /** Libraries beside those of Lua, by name; each leaves its table on the stack. */
  libraries: (vm: LuaVm) => Readonly<Record<string, (L: number) => void>>
  memoryBytesMax: () => number
  /** Soon: a large memory is not needed any more. */
  collectGarbage: () => void
}

export interface Script {
  /** What it is called in errors: a digest, or the name of a function. */
  name: string
  /** See ScriptFlag. */
  flags: number
  isFunction: boolean
}

/** One run of a script. There is one object for all, since there is one run at a time. */
class Run {
  script!: Script
  sandbox!: Sandbox
  caller!: Client
  command!: RegisteredCommand
  args!: Arguments
  isReadOnly = false
  allowsOom = false
  isOutOfMemory = false
  /** Wrote, so it cannot be killed any more. */
  hasWritten = false
  isKilled = false
  /** Has been given the error that ends it; it may catch it. */
  isEnding = false
  /** Others get BUSY. */
  isSlow = false
  /** Has been put aside before. */
  wasAside = false
  /** Looks at the clock to let pass before it is tried again to put it aside. */
  ticksUntilRetry = 0
  /** Put aside now. */
  isAside = false
  held: Withdrawn | undefined
  /** The EXEC it is part of. */
  outer: { command: RegisteredCommand; args: Arguments } | undefined
  /** Of the keyspace, frozen for the script. */
  now = 0
  /** Monotonic, as of the first look at the clock; -1 before it. Short scripts never look. */
  startedMicros = -1
}

export class ScriptHost {
  readonly engine: Engine
  readonly ports: ScriptPorts
  /** Runs what scripts call. */
  readonly client: Client
  /** Replies to what scripts call. */
  readonly replies = new ReplyWriter()
  readonly api: RedisApi
  /** math.random's state belongs to the server, as in Redis. */
  readonly random = new MathRandom()
  /** Asked now and then while something runs that is no script: the code of a library. May raise a Lua error. */
  whileIdle: (L: number) => void = () => {}
  /** Goes up when the interpreter is given up: what was loaded before is gone. */
  generation = 0

  /** Told when the interpreter is given up: whoever holds a sandbox lets go of it, so that its memory can be collected. */
  readonly onGivenUp: (() => void)[] = []

  private vm_: LuaVm | undefined
  private reader_: ReplyReader | undefined
  private maker_: ReplyMaker | undefined
  private readonly sandboxes = new Set<Sandbox>()
  private run_: Run | undefined
  private onlyRun = new Run()
  private untilCollection = SCRIPTS_PER_COLLECTION
  /** From here on garbage is worth collecting early: half as much again as was in use the last time. */
  private fullBytes = 0

  constructor(engine: Engine, ports: ScriptPorts) {
    this.engine = engine
    this.ports = ports
    this.client = engine.clients.create()
    this.client.denyBlocking = true
    this.api = new RedisApi(this)
  }

  // ------------------------------------------------------------------ the interpreter

  /** The interpreter, made when first needed. */
  get vm(): LuaVm {
    if (this.vm_?.isBroken) this.giveUp()
    if (this.vm_ === undefined) {
      const vm = new LuaVm({
        memoryBytesMax: this.ports.memoryBytesMax(),
        onTick: L => this.onTick(L),
        onStuck: () => this.onStuck(),
      })
      this.vm_ = vm
      this.reader_ = new ReplyReader(vm)
      this.maker_ = new ReplyMaker(vm, text => this.engine.countErrorText(text))
    }
    return this.vm_
  }

  /** A script has been run, or loaded. */
  get isStarted(): boolean {
    return this.vm_ !== undefined
  }

  get reader(): ReplyReader {
    return this.reader_!
  }

  /** A new state with what every script sees; `extend` may add to the table on top of the stack, which becomes `redis`. */
  createSandbox(extend: (L: number) => void = () => {}): Sandbox {
    const { vm } = this
    const sandbox = new Sandbox(vm, {
      pushApi: L => {
        this.api.push(L)
        extend(L)
      },
      libraries: this.ports.libraries(vm),
      random: this.random,
      clock: () => this.engine.clock.monotonicMicros() / 1e6,
    })
    this.sandboxes.add(sandbox)
    return sandbox
  }

  /** Bytes a state has allocated; 0 without one. */
  bytesUsed(sandbox: Sandbox | undefined): number {
    if (sandbox === undefined || !this.sandboxes.has(sandbox)) return 0
    return sandbox.vm.bytesUsed(sandbox.L)
  }

  private giveUp(): void {
    this.vm_ = undefined
    this.reader_ = undefined
    this.maker_ = undefined
    this.fullBytes = 0
    this.sandboxes.clear()
    this.onlyRun = new Run()
    this.generation++
    for (const forget of this.onGivenUp) forget()
  }

  /** Now and then: a memory that has grown for one large script is not kept for ever. */
  tidy(): void {
    const vm = this.vm_
    if (vm === undefined || this.run_ !== undefined || vm.memoryBytes <= MEMORY_BYTES_KEPT) return
    let used = 0
    for (const { L } of this.sandboxes) {
      vm.api.lua_gc(L, GC_COLLECT, 0)
      used += vm.bytesUsed(L)
    }
    if (used * WORTH_GIVING_UP >= vm.memoryBytes) return
    this.giveUp()
    this.ports.collectGarbage()
  }

  // ------------------------------------------------------------------ running

  /** The running script's run; undefined when none runs. */
  get running(): Run | undefined {
    return this.run_
  }

  /**
   * Runs a script for the command of `call` and replies. The message handler and, above it, the function are pushed by
   * `push`, with its arguments above that; it returns how many arguments these are.
   */
  run(call: Call, script: Script, sandbox: Sandbox, readsOnly: boolean, push: (L: number) => number): void {
    const { engine, client } = this
    const caller = call.client as Client
    const { reply } = call
    const refusal = this.refusal(caller, script, readsOnly)
    if (refusal !== undefined) {
      reply.error(refusal)
      return
    }
    const { L, vm } = sandbox
    const { flags } = script
    const isDeclared = (flags & ScriptFlag.Undeclared) === 0
    const run = this.onlyRun
    run.script = script
    run.sandbox = sandbox
    run.caller = caller
    run.command = call.command
    run.args = call.args
    run.isReadOnly = readsOnly || (isDeclared && (flags & ScriptFlag.NoWrites) !== 0)
    run.allowsOom = isDeclared && (flags & ScriptFlag.AllowOom) !== 0
    run.isOutOfMemory = (engine.conditions & EngineCondition.MemoryLimit) !== 0
    run.hasWritten = false
    run.isKilled = false
    run.isEnding = false
    run.isSlow = false
    run.wasAside = false
    run.ticksUntilRetry = 0
    run.isAside = false
    run.now = engine.keyspace.now
    run.startedMicros = -1
    run.outer = undefined
    this.run_ = run
    client.db = call.db
    client.protocol = 2
    client.isObeyed = caller.isObeyed
    client.skipsSanitizing = caller.skipsSanitizing
    client.user = caller.user
    if (((caller.conditions | client.conditions) & ClientCondition.Restricted) !== 0) {
      this.ports.acl.impersonate(client, caller)
    }
    call.propagation.suppress()
    const { at } = reply
    try {
      const status = vm.start(L, push(L), 1, Slot.handler, this.finished)
      if (status === RUNNING) this.firstAside(run)
      else this.finish(run, status, reply)
    } catch (error) {
      reply.at = Math.min(at, reply.at)
      this.breakDown(run, error, reply)
    }
  }

  /** Why a script may not run now, by what it declares. */
  private refusal(caller: Client, { flags }: Script, readsOnly: boolean): string | undefined {
    const { conditions, diskError } = this.engine
    const isStale = (conditions & EngineCondition.StaleReplica) !== 0
    if ((flags & ScriptFlag.Undeclared) !== 0) return isStale ? STALE : undefined
    if (isStale && (flags & ScriptFlag.AllowStale) === 0) {
      return (
        "MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' " +
        "and 'allow-stale' flag is not set on the script."
      )
    }
    if ((flags & ScriptFlag.NoWrites) !== 0) return undefined
    if ((conditions & EngineCondition.ReadOnlyReplica) !== 0 && !caller.isObeyed) {
      return "READONLY Can not run script with write flag on readonly replica"
    }
    if ((conditions & EngineCondition.DiskError) !== 0 && !caller.isObeyed) return diskError
    if (readsOnly) return "ERR Can not execute a script with write flag using *_ro command."
    if ((conditions & EngineCondition.TooFewReplicas) !== 0) return TOO_FEW_REPLICAS
    if ((conditions & EngineCondition.MemoryLimit) !== 0 && (flags & ScriptFlag.AllowOom) === 0 && !caller.isObeyed) {
      return "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"
    }
    return undefined
  }

  /** Why a command may not be called by the running script. */
  forbids(command: RegisteredCommand, args: Arguments): string | undefined {
    const run = this.run_!
    const { engine, client } = this
    const { flagBits } = command
    if ((flagBits & Flag.Noscript) !== 0 && !engine.debugSwitches.runsDeniedInScripts) {
      return "This Redis command is not allowed from script"
    }
    const { conditions } = engine
    if ((conditions & EngineCondition.StaleReplica) !== 0 && (flagBits & Flag.Stale) === 0) {
      return "Can not execute the command on a stale replica"
    }
    if ((client.conditions & ClientCondition.Restricted) !== 0) {
      const reason = this.ports.acl.refusal(client, command, args, "lua")
      if (reason !== undefined) return `ACL failure in script: ${reason}`
    }
    if (run.isReadOnly && (flagBits & (Flag.Write | Flag.MayReplicate)) !== 0) {
      return "Write commands are not allowed from read-only scripts."
    }
    if ((flagBits & Flag.Write) === 0 || run.hasWritten || run.caller.isObeyed) return undefined
    if ((conditions & EngineCondition.ReadOnlyReplica) !== 0) return `-${READ_ONLY_REPLICA}`
    if ((conditions & EngineCondition.DiskError) !== 0) return `-${engine.diskError}`
    if ((conditions & EngineCondition.TooFewReplicas) !== 0) return `-${TOO_FEW_REPLICAS}`
    if (run.isOutOfMemory && !run.allowsOom && (flagBits & Flag.DenyOom) !== 0) return `-${OUT_OF_MEMORY}`
    return undefined
  }

  /** Runs a command for the script; its reply is in `replies` afterwards. */
  execute(command: RegisteredCommand, args: Arguments): void {
    const run = this.run_!
    const { engine, client, replies } = this
    const { caller } = engine
    if ((command.flagBits & Flag.Write) !== 0) run.hasWritten = true
    replies.reset()
    replies.resp3 = client.protocol === 3
    const outer = caller.writer
    caller.writer = replies
    try {
      if (run.caller.conditions === 0) caller.run(client, command, args)
      else this.executeAttended(run, command, args)
    } finally {
      caller.writer = outer
    }
  }

  /** For a caller whose reads are tracked, or must not count as such. */
  private executeAttended(run: Run, command: RegisteredCommand, args: Arguments): void {
    const { engine, client } = this
    const { tracking } = run.caller
    const caching = tracking?.caching
    engine.beforeCommand(run.caller, command, args)
    engine.caller.run(client, command, args)
    engine.afterCommand(run.caller, command, args)
    // CLIENT CACHING holds for the whole script.
    if (tracking !== undefined) tracking.caching = caching!
  }

  // ------------------------------------------------------------------ ends

  private readonly finished: Finished = (status, error) => {
    const run = this.run_!
    const { engine } = this
    const { output } = engine
    const { caller } = run
    const before = output.open((caller.conditions & ClientCondition.Silent) !== 0 ? undefined : caller)
    if (error === undefined) this.finish(run, status, output.writer)
    else this.breakDown(run, error, output.writer)
    engine.caller.errorCounted = false
    engine.caller.accountAside(caller, run.command, run.args, this.usecOf(run))
    engine.caller.leave()
    const { outer, now } = run
    if (outer === undefined) this.resume(caller, before)
    else {
      const held = engine.propagator.withdraw()
      engine.caller.leave()
      output.open(before)
      // The interpreter is still on the stack here.
      queueMicrotask(() => this.resumeTransaction(caller, outer, held, now))
    }
  }

  /** What is left of an EXEC is run. */
  private resumeTransaction(caller: Client, outer: NonNullable<Run["outer"]>, held: Withdrawn, now: number): void {
    const { engine } = this
    const { output, transactions } = engine
    const startedMicros = engine.clock.monotonicMicros()
    const before = output.open((caller.conditions & ClientCondition.Silent) !== 0 ? undefined : caller)
    engine.keyspace.setTime(now)
    engine.caller.enter(caller, outer.command, outer.args)
    engine.propagator.restore(held)
    const isOver = transactions.proceed(caller, transactions.held!)
    engine.caller.leave()
    if (isOver) {
      engine.caller.accountAside(caller, outer.command, outer.args, engine.clock.monotonicMicros() - startedMicros)
      this.resume(caller, before)
    } else {
      outer.command.calls++
      output.open(before)
    }
  }

  /** The command is over: others have their turn again, and so has its client. */
  private resume(caller: Client, before: Client | undefined): void {
    const { engine } = this
    const { output } = engine
    engine.setCondition(EngineCondition.BusyScript, false)
    caller.unblock()
    engine.refreshTime()
    engine.settle()
    output.open(before)
    if ((caller.conditions & ClientCondition.Silent) !== 0) caller.nextReplyMode()
    engine.resumption.add(caller)
  }

  /** The call is over: its result or its error lies on the stack. */
  private finish(run: Run, status: number, reply: ReplyWriter): void {
    const { sandbox, script, command } = run
    const { L, vm } = sandbox
    const maker = this.maker_!
    const { caller } = this.engine
    if (status === LuaStatus.ok) {
      const { at } = reply
      maker.write(L, reply, this.client.protocol === 3)
      if (maker.errors > 0) command.failedCalls++
      if (reply.bytes[at] === ERROR_BYTE) caller.errorCounted = true
    } else this.replyError(L, vm, script, command, reply)
    vm.api.lua_settop(L, SLOTS)
    if (run.isKilled) vm.setHook(L)
    this.leave(run)
    if (--this.untilCollection === 0) {
      this.untilCollection = SCRIPTS_PER_COLLECTION
      vm.api.lua_gc(L, GC_STEP, COLLECTION_STEP_KBYTES)
    }
    this.relieve(L)
  }

  /**
   * After whatever ran in a state: if memory has run out, or may soon, garbage is collected now. The interpreter itself does
   * not think of it when it has no memory left, and arguments are pushed where a lack of memory would be its end.
   */
  relieve(L: number): void {
    const vm = this.vm_
    if (vm === undefined || vm.isBroken || this.run_ !== undefined) return
    if (!vm.isStarved && vm.memoryBytes < vm.memoryBytesMax / 2) return
    if (!vm.isStarved && vm.bytesUsed(L) < Math.max(this.fullBytes, vm.memoryBytesMax / 2)) return
    vm.isStarved = false
    try {
      let used = 0
      for (const sandbox of this.sandboxes) {
        vm.api.lua_gc(sandbox.L, GC_COLLECT, 0)
        used += vm.bytesUsed(sandbox.L)
      }
      this.fullBytes = used * 1.5
    } catch (error) {
      this.engine.log("warning", `Lua interpreter given up, since it has no memory left: ${String(error)}`)
      this.giveUp()
    }
  }

  private replyError(L: number, vm: LuaVm, script: Script, command: RegisteredCommand, reply: ReplyWriter): void {
    const { api } = vm
    const { engine } = this
    if (api.lua_type(L, -1) !== LuaType.table) {
      const text = (vm.textAt(L, -1) ?? "execution failure").slice(0, 100)
      reply.error(`ERR Error running script ${script.name}, ${text}`)
      return
    }
    const field = (name: string): string | undefined => {
      vm.pushText(L, name)
      api.lua_rawget(L, -2)
      const text = vm.textAt(L, -1)?.split("\0", 1)[0]
      vm.pop(L)
      return text
    }
    const text = field("err") ?? "ERR unknown error"
    const source = field("source")
    const line = field("line")
    vm.pushText(L, "ignore_error_stats_update")
    api.lua_rawget(L, -2)
    const isCounted = api.lua_toboolean(L, -1) !== 0
    reply.error(
      source === undefined || line === undefined ? text : `${text} script: ${script.name}, on ${source}:${line}.`,
    )
    engine.caller.errorCounted = true
    command.failedCalls++
    if (!isCounted) engine.countErrorText(text)
  }

  /** The interpreter is lost, and with it what the script was about to do. */
  private breakDown(run: Run, error: unknown, reply: ReplyWriter): void {
    this.engine.log("warning", `Lua interpreter given up in script ${run.script.name}: ${String(error)}`)
    this.giveUp()
    reply.error(`ERR Error running script ${run.script.name}, the script used more than the interpreter has`)
    this.leave(run)
  }

  private leave(run: Run): void {
    this.run_ = undefined
    this.engine.propagator.setAudience(Audience.All)
    if (run.isSlow) this.engine.busyError = ""
  }

  // ------------------------------------------------------------------ taking long

  /** How long the running script has taken so far; 0 when none runs. */
  get runningMs(): number {
    return this.run_ === undefined ? 0 : Math.floor(this.usecOf(this.run_) / 1000)
  }

  private usecOf(run: Run): number {
    const now = this.engine.clock.monotonicMicros()
    if (run.startedMicros < 0) run.startedMicros = now
    return now - run.startedMicros
  }

  /** Asked every so many instructions; true puts the script aside. After that it is asked again, when the script goes on. */
  private onTick(L: number): boolean {
    const run = this.run_
    if (run === undefined) {
      this.whileIdle(L)
      return false
    }
    if (run.isAside) this.takeUp(run)
    else if (!run.isKilled && this.mayBePutAside(run)) {
      if (!run.wasAside) this.beginSlow(run)
      else this.putAside(run)
      return true
    }
    if (run.isKilled) this.kill(run, L)
    return false
  }

  /** It goes on as if it had not been asked. */
  private onStuck(): void {
    const run = this.run_!
    if (run.wasAside) this.takeUp(run)
    else run.isAside = false
    run.ticksUntilRetry = TICKS_UNTIL_RETRY
  }

  private mayBePutAside(run: Run): boolean {
    const { engine } = this
    const threshold = engine.config.values.busyReplyThreshold
    if (threshold === 0 || !run.sandbox.vm.canSuspend) return false
    if (!run.wasAside && this.usecOf(run) < threshold * 1000) return false
    if (run.ticksUntilRetry-- > 0) return false
    const { nesting, outermost } = engine.caller
    if (nesting !== 1 && (nesting !== 2 || outermost!.command.fullName !== "exec")) return false
    return run.caller.transport !== undefined && !run.caller.isObeyed
  }

  private beginSlow(run: Run): void {
    const { engine } = this
    const { script } = run
    run.isAside = true
    if (run.isSlow) return
    run.isSlow = true
    const kill = script.isFunction ? "FUNCTION KILL" : "SCRIPT KILL"
    engine.log(
      "warning",
      `Slow script detected: still in execution after ${Math.floor(this.usecOf(run) / 1000)} milliseconds. ` +
        `You can try killing the script using the ${kill} command. Script name is: ${script.name}.`,
    )
    engine.busyError = script.isFunction ? BUSY_FUNCTION : BUSY_SCRIPT
  }

  /** The command returns without a reply; the script stands still within it. */
  private firstAside(run: Run): void {
    const { engine } = this
    const { caller, command } = run
    run.wasAside = true
    run.args = run.args.clone()
    run.held = engine.propagator.withdraw()
    if (engine.caller.nesting === 2) {
      const outer = engine.caller.outermost!
      run.outer = { command: outer.command, args: outer.args.clone() }
      outer.command.calls--
      engine.caller.putAside = true
    }
    caller.blocked = true
    caller.suspended = true
    command.calls--
    engine.setCondition(EngineCondition.BusyScript, true)
    this.proceedSoon(run)
  }

  /** Again, from within a turn of its own. */
  private putAside(run: Run): void {
    run.isAside = true
    run.held = this.engine.propagator.withdraw()
    this.engine.caller.leave()
    if (run.outer !== undefined) this.engine.caller.leave()
    this.proceedSoon(run)
  }

  private proceedSoon(run: Run): void {
    this.engine.wakeTick()
    setImmediate(() => run.sandbox.vm.proceed())
  }

  private takeUp(run: Run): void {
    const { engine } = this
    run.isAside = false
    engine.keyspace.setTime(run.now)
    if (run.outer !== undefined) engine.caller.enter(run.caller, run.outer.command, run.outer.args)
    engine.caller.enter(run.caller, run.command, run.args)
    engine.propagator.restore(run.held!)
    run.held = undefined
  }

  private kill(run: Run, L: number): never {
    const { vm } = run.sandbox
    if (!run.isEnding) this.engine.log("notice", "Lua script killed by user with SCRIPT KILL.")
    run.isEnding = true
    vm.hookEveryLine(L)
    vm.api.lua_createtable(L, 0, 1)
    vm.pushText(L, KILLED)
    vm.setField(L, -2, "err")
    vm.api.lua_error(L)
    throw new Error("lua_error returned")
  }

  /** SCRIPT KILL and FUNCTION KILL: the reply's error, or undefined when the script will end. */
  killRunning(isFunction: boolean): string | undefined {
    const run = this.run_
    if (run === undefined) return NOT_BUSY
    if (run.caller.isObeyed) return UNKILLABLE_OBEYED
    if (run.hasWritten) return UNKILLABLE
    if (run.script.isFunction !== isFunction) return isFunction ? BUSY_SCRIPT : BUSY_FUNCTION
    run.isKilled = true
    return undefined
  }
}
