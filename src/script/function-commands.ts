/** FCALL, FCALL_RO, and FUNCTION with its subcommands. */

import { latin1Bytes } from "../bytes/compare.ts"
import { globMatch } from "../bytes/glob.ts"
import type { Call } from "../command/context.ts"
import { unknownSubcommandOrArity } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import type { CommandSpec, Handler } from "../command/spec.ts"
import type { Client } from "../engine/client.ts"
import { scriptFlagNames } from "./flags.ts"
import { dumpLibraries, librariesOf, PayloadError } from "./function-payload.ts"
import { type Functions, LOAD_MS_MAX } from "./functions.ts"
import { Libraries } from "./libraries.ts"
import type { Library, LibraryFunction } from "./library.ts"
import { BUSY_SCRIPT, type ScriptHost } from "./script-host.ts"

/** So many functions are freed at once without further ado. */
const FREED_AT_ONCE_MAX = 64

export interface FunctionCommandsOf {
  functions: Functions
  host: ScriptHost
}

type FunctionHandler = (call: Call, of: FunctionCommandsOf) => void

export function functionCommands(of: () => FunctionCommandsOf): readonly CommandSpec[] {
  const on =
    (handler: FunctionHandler): Handler =>
    call =>
      handler(call, of())
  return [
    {
      name: "fcall",
      since: "7.0.0",
      group: "scripting",
      arity: -3,
      flags: "noscript stale skip_monitor no_mandatory_keys may_replicate",
      keys: 'RW access update keynum@2 "What the function does is not known, so reading and writing are assumed"',
      syntax: "function numkeys:integer [key...] [arg...]",
      summary: "Calls a function of a library.",
      complexity: "depends on the function",
      run: on((call, ports) => fcall(call, ports, false)),
    },
    {
      name: "fcall_ro",
      since: "7.0.0",
      group: "scripting",
      arity: -3,
      flags: "readonly noscript stale skip_monitor no_mandatory_keys",
      keys: 'RO access keynum@2 "What the function does is not known, so reading is assumed"',
      syntax: "function numkeys:integer [key...] [arg...]",
      summary: "Calls a function of a library that may only read.",
      complexity: "depends on the function",
      run: on((call, ports) => fcall(call, ports, true)),
    },
    {
      name: "function",
      since: "7.0.0",
      group: "scripting",
      arity: -2,
      flags: "",
      categories: "-scripting",
      syntax: "",
      summary: "Holds the commands about function libraries.",
      complexity: "depends on the subcommand",
      subcommands: [
        {
          name: "delete",
          since: "7.0.0",
          group: "scripting",
          arity: 3,
          flags: "write noscript",
          tips: "request_policy:all_shards response_policy:all_succeeded",
          syntax: "library-name",
          summary: "Deletes a library with its functions.",
          complexity: "O(1)",
          run: on(functionDelete),
        },
        {
          name: "dump",
          since: "7.0.0",
          group: "scripting",
          arity: 2,
          flags: "noscript",
          syntax: "",
          summary: "Gives all libraries in serialised form.",
          complexity: "O(N), N functions",
          run: on(functionDump),
        },
        {
          name: "flush",
          since: "7.0.0",
          group: "scripting",
          arity: -2,
          flags: "write noscript",
          tips: "request_policy:all_shards response_policy:all_succeeded",
          syntax: "[flush-type=ASYNC|SYNC]",
          summary: "Deletes all libraries.",
          complexity: "O(N), N functions deleted",
          run: on(functionFlush),
        },
        {
          name: "help",
          since: "7.0.0",
          group: "scripting",
          arity: 2,
          flags: "loading stale",
          syntax: "",
          summary: "Lists the subcommands of FUNCTION.",
          complexity: "O(1)",
          run: helpOf,
        },
        {
          name: "kill",
          since: "7.0.0",
          group: "scripting",
          arity: 2,
          flags: "noscript allow_busy",
          tips: "request_policy:all_shards response_policy:one_succeeded",
          syntax: "",
          summary: "Stops the running function.",
          complexity: "O(1)",
          run: on(functionKill),
        },
        {
          name: "list",
          since: "7.0.0",
          group: "scripting",
          arity: -2,
          flags: "noscript",
          tips: "nondeterministic_output_order",
          syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
          summary: "Lists the libraries and their functions.",
          complexity: "O(N), N functions",
          run: on(functionList),
        },
        {
          name: "load",
          since: "7.0.0",
          group: "scripting",
          arity: -3,
          flags: "write denyoom noscript",
          tips: "request_policy:all_shards response_policy:all_succeeded",
          syntax: "[REPLACE] function-code",
          summary: "Loads a library.",
          complexity: "O(1), not counting the compilation",
          run: on(functionLoad),
        },
        {
          name: "restore",
          since: "7.0.0",
          group: "scripting",
          arity: -3,
          flags: "write denyoom noscript",
          tips: "request_policy:all_shards response_policy:all_succeeded",
          syntax: "serialized-value [policy=FLUSH|APPEND|REPLACE]",
          summary: "Loads libraries from their serialised form.",
          complexity: "O(N), N functions in the payload",
          run: on(functionRestore),
        },
        {
          name: "stats",
          since: "7.0.0",
          group: "scripting",
          arity: 2,
          flags: "noscript allow_busy",
          tips: "nondeterministic_output request_policy:all_shards response_policy:special",
          syntax: "",
          summary: "Shows the running function and the engines.",
          complexity: "O(1)",
          run: on(functionStats),
        },
      ],
    },
  ]
}

function fcall(call: Call, { functions, host }: FunctionCommandsOf, readsOnly: boolean): void {
  const { args, reply } = call
  host.ports.showToMonitors(call.client as Client, call.command, args)
  const f = functions.libraries.function(args.latin1(1))
  if (f === undefined) {
    reply.error("ERR Function not found")
    return
  }
  const keys = args.int64(2)
  if (keys === undefined) reply.error("ERR Bad number of keys provided")
  else if (keys > args.count - 3) reply.error("ERR Number of keys can't be greater than number of args")
  else if (keys < 0) reply.error("ERR Number of keys can't be negative")
  else functions.call(call, f, readsOnly, Number(keys))
}

function functionLoad(call: Call, { functions }: FunctionCommandsOf): void {
  const { args, reply, client } = call
  const last = args.count - 1
  let replaces = false
  for (let i = 2; i < last; i++) {
    if (!args.is(i, "replace")) {
      reply.error(`ERR Unknown option given: ${args.latin1(i)}`)
      return
    }
    replaces = true
  }
  const msMax = client.isObeyed ? 0 : LOAD_MS_MAX
  const loaded = functions.add(args.copy(last), replaces, functions.libraries, msMax)
  if (typeof loaded === "string") {
    reply.error(`ERR ${loaded}`)
    return
  }
  call.keyspace.events.dirty++
  reply.bulkText(loaded.name)
}

function functionDelete(call: Call, { functions }: FunctionCommandsOf): void {
  const library = functions.libraries.get(call.args.latin1(2))
  if (library === undefined) {
    call.reply.error("ERR Library not found")
    return
  }
  functions.remove(library)
  call.keyspace.events.dirty++
  call.reply.ok()
}

function functionFlush(call: Call, { functions }: FunctionCommandsOf): void {
  const { args, reply, keyspace, config } = call
  if (args.count > 3) {
    reply.error(unknownSubcommandOrArity(args.latin1(1), "function"))
    return
  }
  if (args.count === 3 && !args.is(2, "sync") && !args.is(2, "async")) {
    reply.error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
    return
  }
  const isLazy = args.count === 3 ? args.is(2, "async") : config.values.lazyfreeLazyUserFlush
  const freed = functions.libraries.functionCount + 1
  functions.clear()
  if (isLazy && freed > FREED_AT_ONCE_MAX) keyspace.events.lazyfreed += freed
  keyspace.events.dirty++
  reply.ok()
}

function functionDump({ reply, config }: Call, { functions }: FunctionCommandsOf): void {
  const payload = dumpLibraries(functions.sources(), config.values.rdbcompression)
  reply.bulk(payload, 0, payload.length)
}

function functionRestore(call: Call, { functions }: FunctionCommandsOf): void {
  const { args, reply } = call
  if (args.count > 4) {
    reply.error(unknownSubcommandOrArity(args.latin1(1), "function"))
    return
  }
  const flushes = args.count === 4 && args.is(3, "flush")
  const replaces = args.count === 4 && args.is(3, "replace")
  if (args.count === 4 && !flushes && !replaces && !args.is(3, "append")) {
    reply.error("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
    return
  }
  const restored = new Libraries()
  const fault = readPayload(call, functions, restored) ?? takeOver(functions, restored, flushes, replaces)
  if (fault !== undefined) {
    for (const library of restored.all()) functions.forget(library)
    reply.error(`ERR ${fault}`)
    return
  }
  call.keyspace.events.dirty++
  reply.ok()
}

/** Loads the libraries of the payload; a text says what is wrong with it. */
function readPayload({ args, keyspace }: Call, functions: Functions, into: Libraries): string | undefined {
  try {
    for (const source of librariesOf(args.bytes, args.start(2), args.end(2), keyspace.verifiesChecksums)) {
      const loaded = functions.add(source, false, into, 0)
      if (typeof loaded === "string") return loaded
    }
    return undefined
  } catch (error) {
    if (error instanceof PayloadError) return error.message
    throw error
  }
}

function takeOver(functions: Functions, restored: Libraries, flushes: boolean, replaces: boolean): string | undefined {
  if (flushes) {
    functions.replaceAll(restored)
    return undefined
  }
  const replaced: Library[] = []
  const fault = functions.libraries.join(restored, replaces, replaced)
  if (fault === undefined) for (const library of replaced) functions.forget(library)
  return fault
}

function functionKill({ reply }: Call, { host }: FunctionCommandsOf): void {
  const error = host.killRunning(true)
  if (error === undefined) reply.ok()
  else reply.error(error)
}

function functionStats({ reply }: Call, { functions, host }: FunctionCommandsOf): void {
  const { running } = host
  if (running !== undefined && !running.script.isFunction) {
    reply.error(BUSY_SCRIPT)
    return
  }
  reply.map(2)
  reply.bulkText("running_script")
  if (running === undefined) reply.null()
  else {
    reply.map(3)
    reply.bulkText("name")
    reply.bulkText(running.script.name)
    reply.bulkText("command")
    const { args } = running
    reply.array(args.count)
    for (let i = 0; i < args.count; i++) reply.bulk(args.bytes, args.start(i), args.end(i))
    reply.bulkText("duration_ms")
    reply.integer(host.runningMs)
  }
  reply.bulkText("engines")
  reply.map(1)
  reply.bulkText("LUA")
  reply.map(2)
  reply.bulkText("libraries_count")
  reply.integer(functions.libraries.libraryCount)
  reply.bulkText("functions_count")
  reply.integer(functions.libraries.functionCount)
}

function functionList({ args, reply }: Call, { functions }: FunctionCommandsOf): void {
  let withCode = false
  let pattern = 0
  for (let i = 2; i < args.count; i++) {
    if (!withCode && args.is(i, "withcode")) withCode = true
    else if (pattern === 0 && args.is(i, "libraryname")) {
      if (++i === args.count) {
        reply.error("ERR library name argument was not given")
        return
      }
      pattern = i
    } else {
      reply.error(`ERR Unknown argument ${args.latin1(i)}`)
      return
    }
  }
  const chosen = [...functions.libraries.all()].filter(({ name }) => {
    if (pattern === 0) return true
    const bytes = latin1Bytes(name)
    return globMatch(args.bytes, args.start(pattern), args.end(pattern), bytes, 0, bytes.length, true)
  })
  reply.array(chosen.length)
  for (const library of chosen) listLibrary(reply, library, withCode)
}

function listLibrary(reply: Call["reply"], { name, code, functions }: Library, withCode: boolean): void {
  reply.map(withCode ? 4 : 3)
  reply.bulkText("library_name")
  reply.bulkText(name)
  reply.bulkText("engine")
  reply.bulkText("LUA")
  reply.bulkText("functions")
  reply.array(functions.size)
  for (const f of functions.values()) listFunction(reply, f)
  if (!withCode) return
  reply.bulkText("library_code")
  reply.bulk(code, 0, code.length)
}

function listFunction(reply: Call["reply"], { name, description, flags }: LibraryFunction): void {
  reply.map(3)
  reply.bulkText("name")
  reply.bulkText(name)
  reply.bulkText("description")
  if (description === undefined) reply.null()
  else reply.bulk(description, 0, description.length)
  reply.bulkText("flags")
  const names = scriptFlagNames(flags)
  reply.set(names.length)
  for (const flag of names) reply.simple(flag)
}
