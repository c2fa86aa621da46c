/** EVAL, EVALSHA, their read-only forms, and SCRIPT. */

import type { Call } from "../command/context.ts"
import { NOT_INTEGER } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import { Flag } from "../command/registry.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Client } from "../engine/client.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import type { Sandbox } from "./sandbox.ts"
import { Slot } from "./sandbox.ts"
import { type CachedScript, DIGEST_CHARACTERS, type ScriptCache } from "./script-cache.ts"
import type { ScriptHost } from "./script-host.ts"

/** What the commands are about; the composition root makes it. */
export interface Scripts {
  host: ScriptHost
  cache: ScriptCache
}

const NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL."
const NO_DEBUGGER = "ERR This server has no debugger for scripts"
const FIRST_KEY = 3

export function evalCommands(of: () => Scripts): readonly CommandSpec[] {
  return [
    {
      name: "eval",
      since: "2.6.0",
      group: "scripting",
      arity: -3,
      flags: "noscript stale skip_monitor no_mandatory_keys may_replicate",
      keys: 'RW access update keynum@2 "What the script does is not known, so reading and writing are assumed"',
      syntax: "script numkeys:integer [key...] [arg...]",
      summary: "Runs a Lua script.",
      complexity: "depends on the script",
      run: call => runSource(call, of()),
    },
    {
      name: "eval_ro",
      since: "7.0.0",
      group: "scripting",
      arity: -3,
      flags: "readonly noscript stale skip_monitor no_mandatory_keys",
      keys: 'RO access keynum@2 "What the script does is not known, so reading is assumed"',
      syntax: "script numkeys:integer [key...] [arg...]",
      summary: "Runs a Lua script that may only read.",
      complexity: "depends on the script",
      run: call => runSource(call, of()),
    },
    {
      name: "evalsha",
      since: "2.6.0",
      group: "scripting",
      arity: -3,
      flags: "noscript stale skip_monitor no_mandatory_keys may_replicate",
      keys: "RW access update keynum@2",
      syntax: "sha1 numkeys:integer [key...] [arg...]",
      summary: "Runs a cached Lua script named by its SHA1 digest.",
      complexity: "depends on the script",
      run: call => runDigest(call, of()),
    },
    {
      name: "evalsha_ro",
      since: "7.0.0",
      group: "scripting",
      arity: -3,
      flags: "readonly noscript stale skip_monitor no_mandatory_keys",
      keys: "RO access keynum@2",
      syntax: "sha1 numkeys:integer [key...] [arg...]",
      summary: "Runs a cached Lua script that may only read, named by its SHA1 digest.",
      complexity: "depends on the script",
      run: call => runDigest(call, of()),
    },
    {
      name: "script",
      since: "2.6.0",
      group: "scripting",
      arity: -2,
      flags: "",
      categories: "-scripting",
      syntax: "",
      summary: "Holds the commands about cached Lua scripts.",
      complexity: "depends on the subcommand",
      subcommands: scriptSubcommands(of),
    },
  ]
}

function scriptSubcommands(of: () => Scripts): readonly CommandSpec[] {
  return [
    {
      name: "debug",
      since: "3.2.0",
      group: "scripting",
      arity: 3,
      flags: "noscript",
      syntax: "mode=YES|SYNC|NO",
      summary: "Sets the debugging mode of scripts.",
      complexity: "O(1)",
      run: scriptDebug,
    },
    {
      name: "exists",
      since: "2.6.0",
      group: "scripting",
      arity: -3,
      flags: "noscript",
      tips: "request_policy:all_shards response_policy:agg_logical_and",
      syntax: "sha1...",
      summary: "Tells which scripts are cached.",
      complexity: "O(N), N scripts asked for",
      run: call => scriptExists(call, of()),
    },
    {
      name: "flush",
      since: "2.6.0",
      group: "scripting",
      arity: -2,
      flags: "noscript",
      tips: "request_policy:all_nodes response_policy:all_succeeded",
      syntax: "[flush-type=ASYNC|SYNC]@6.2.0",
      summary: "Empties the script cache.",
      complexity: "O(N), N cached scripts",
      run: call => scriptFlush(call, of()),
    },
    {
      name: "help",
      since: "5.0.0",
      group: "scripting",
      arity: 2,
      flags: "loading stale",
      syntax: "",
      summary: "Lists the subcommands of SCRIPT.",
      complexity: "O(1)",
      run: helpOf,
    },
    {
      name: "kill",
      since: "2.6.0",
      group: "scripting",
      arity: 2,
      flags: "noscript allow_busy",
      tips: "request_policy:all_shards response_policy:one_succeeded",
      syntax: "",
      summary: "Stops the running script.",
      complexity: "O(1)",
      run: call => answerKill(call.reply, of().host.killRunning(false)),
    },
    {
      name: "load",
      since: "2.6.0",
      group: "scripting",
      arity: 3,
      flags: "noscript stale",
      tips: "request_policy:all_nodes response_policy:all_succeeded",
      syntax: "script",
      summary: "Puts a script into the cache.",
      complexity: "O(N), N bytes of the script",
      run: call => scriptLoad(call, of()),
    },
    {
      name: "show",
      since: "8.0.0",
      group: "scripting",
      arity: 3,
      flags: "noscript",
      syntax: "sha1",
      summary: "Gives the source of a cached script.",
      complexity: "O(N), N bytes of the script",
      run: call => scriptShow(call, of()),
    },
  ]
}

// -------------------------------------------------------------------- running

function runSource(call: Call, scripts: Scripts): void {
  const { args, reply } = call
  scripts.host.ports.showToMonitors(call.client as Client, call.command, args)
  const keys = keyCount(args, reply)
  if (keys < 0) return
  const script = scripts.cache.add(args.bytes, args.start(1), args.end(1), true)
  if (typeof script === "string") reply.error(script)
  else run(call, scripts, script, keys)
}

function runDigest(call: Call, scripts: Scripts): void {
  const { args, reply } = call
  scripts.host.ports.showToMonitors(call.client as Client, call.command, args)
  if (args.length(1) !== DIGEST_CHARACTERS) {
    reply.error(NO_SCRIPT)
    return
  }
  const keys = keyCount(args, reply)
  if (keys < 0) return
  const script = scripts.cache.findDigest(args.bytes, args.start(1))
  if (script === undefined) reply.error(NO_SCRIPT)
  else run(call, scripts, script, keys)
}

/** The number of keys; -1 after having answered with an error. */
function keyCount(args: Arguments, reply: ReplyWriter): number {
  const count = args.integer(2)
  if (count >= 0 && count <= args.count - FIRST_KEY) return count
  const wide = args.int64(2)
  if (wide === undefined) reply.error(NOT_INTEGER)
  else if (wide < 0) reply.error("ERR Number of keys can't be negative")
  else reply.error("ERR Number of keys can't be greater than number of args")
  return -1
}

function findDigest(cache: ScriptCache, args: Arguments, i: number): CachedScript | undefined {
  return args.length(i) === DIGEST_CHARACTERS ? cache.findDigest(args.bytes, args.start(i)) : undefined
}

function run(call: Call, { host, cache }: Scripts, script: CachedScript, keys: number): void {
  const error = cache.push(script)
  if (error !== undefined) {
    call.reply.error(error)
    return
  }
  const { sandbox } = cache
  const { args } = call
  const readsOnly = (call.command.flagBits & Flag.Readonly) !== 0
  host.run(call, script, sandbox, readsOnly, () => {
    setGlobal(sandbox, Slot.KEYS, args, FIRST_KEY, FIRST_KEY + keys)
    setGlobal(sandbox, Slot.ARGV, args, FIRST_KEY + keys, args.count)
    return 0
  })
  cache.touch(script)
}

/** KEYS and ARGV are globals of scripts. */
function setGlobal({ vm, L }: Sandbox, name: number, args: Arguments, from: number, to: number): void {
  const { api } = vm
  api.lua_pushvalue(L, name)
  api.lua_createtable(L, to - from, 0)
  for (let i = from; i < to; i++) {
    vm.pushBytes(L, args.bytes, args.start(i), args.end(i))
    api.lua_rawseti(L, -2, i - from + 1)
  }
  api.lua_rawset(L, Slot.globals)
}

// -------------------------------------------------------------------- SCRIPT

function scriptLoad({ args, reply }: Call, { cache }: Scripts): void {
  const script = cache.add(args.bytes, args.start(2), args.end(2), false)
  if (typeof script === "string") reply.error(script)
  else reply.bulkText(script.name)
}

function scriptExists({ args, reply }: Call, { cache }: Scripts): void {
  reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) reply.integer(findDigest(cache, args, i) === undefined ? 0 : 1)
}

function scriptShow({ args, reply }: Call, { cache }: Scripts): void {
  const script = findDigest(cache, args, 2)
  if (script === undefined) reply.error(NO_SCRIPT)
  else reply.bulk(script.source, 0, script.source.length)
}

/** Letting go of a state is one step for the interpreter, whichever way is asked for. */
function scriptFlush({ args, reply }: Call, { cache }: Scripts): void {
  if (args.count > 3 || (args.count === 3 && !args.is(2, "sync") && !args.is(2, "async"))) {
    reply.error("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
    return
  }
  cache.flush()
  reply.ok()
}

function scriptDebug({ args, reply }: Call): void {
  if (args.is(2, "no")) reply.ok()
  else if (args.is(2, "yes") || args.is(2, "sync")) reply.error(NO_DEBUGGER)
  else reply.error("ERR Use SCRIPT DEBUG YES/SYNC/NO")
}

/** SCRIPT KILL and FUNCTION KILL. */
export function answerKill(reply: ReplyWriter, error: string | undefined): void {
  if (error === undefined) reply.ok()
  else reply.error(error)
}
