/** Commands about the server as a whole: its clock, its end, its role, its modules (none), and a drawing. */

import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import type { CommandSpec } from "../command/spec.ts"
import { BUNDIS_VERSION } from "../version.ts"
import type { Client } from "./client.ts"
import { reportedVersion } from "./connection-commands.ts"
import { EngineCondition } from "./dispatch.ts"
import type { Engine } from "./engine.ts"
import { engineHandlers } from "./handler.ts"

/** @param lastSave Unix time in seconds of the last successful save */
export function serverCommands(of: () => Engine, lastSave?: () => number): readonly CommandSpec[] {
  const on = engineHandlers(of)
  return [
    {
      name: "lastsave",
      since: "1.0.0",
      group: "server",
      arity: 1,
      flags: "loading stale fast",
      categories: "admin dangerous",
      tips: "nondeterministic_output",
      syntax: "",
      summary: "Gives the Unix time of the last successful save.",
      complexity: "O(1)",
      run: on((call, engine) => call.reply.integer(lastSave?.() ?? Math.floor(engine.startedAt / 1000))),
    },
    {
      name: "lolwut",
      since: "5.0.0",
      group: "server",
      arity: -1,
      flags: "readonly fast",
      syntax: "[VERSION version:integer]",
      summary: "Shows a piece of computer art and the version.",
      complexity: "O(1)",
      run: on(lolwut),
    },
    {
      name: "module",
      since: "4.0.0",
      group: "server",
      arity: -2,
      flags: "",
      syntax: "",
      summary: "Holds the commands about modules.",
      complexity: "depends on the subcommand",
      subcommands: [
        {
          name: "help",
          since: "5.0.0",
          group: "server",
          arity: 2,
          flags: "loading stale",
          syntax: "",
          summary: "Lists the subcommands of MODULE.",
          complexity: "O(1)",
          run: helpOf,
        },
        {
          name: "list",
          since: "4.0.0",
          group: "server",
          arity: 2,
          flags: "admin noscript",
          tips: "nondeterministic_output_order",
          syntax: "",
          summary: "Lists the loaded modules.",
          complexity: "O(N), N modules",
          run: call => call.reply.array(0),
        },
        {
          name: "load",
          since: "4.0.0",
          group: "server",
          arity: -3,
          flags: "admin noscript no_async_loading protected",
          syntax: "path [arg...]",
          summary: "Loads a module.",
          complexity: "O(1)",
          run: noModules,
        },
        {
          name: "loadex",
          since: "7.0.0",
          group: "server",
          arity: -3,
          flags: "admin noscript no_async_loading protected",
          syntax: "path [configs=CONFIG(name value)]... [ARGS args...]",
          summary: "Loads a module with configuration parameters.",
          complexity: "O(1)",
          run: noModules,
        },
        {
          name: "unload",
          since: "4.0.0",
          group: "server",
          arity: 3,
          flags: "admin noscript no_async_loading protected",
          syntax: "name",
          summary: "Unloads a module.",
          complexity: "O(1)",
          run: noModules,
        },
      ],
    },
    {
      name: "shutdown",
      since: "1.0.0",
      group: "server",
      arity: -1,
      flags: "admin noscript loading stale no_multi allow_busy",
      syntax: "[save-selector=NOSAVE|SAVE] [NOW]@7.0.0 [FORCE]@7.0.0 [ABORT]@7.0.0",
      summary: "Saves the data as configured and ends the server.",
      complexity: "O(N) with a save, N keys in all databases; O(1) without",
      history: [["7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers."]],
      run: on(shutdown),
    },
    {
      name: "time",
      since: "2.6.0",
      group: "server",
      arity: 1,
      flags: "loading stale fast",
      tips: "nondeterministic_output",
      syntax: "",
      summary: "Gives the server's time.",
      complexity: "O(1)",
      run: on(time),
    },
  ]
}

/** Inside EXEC and scripts, time stands still. */
function time({ reply, now }: Call, engine: Engine): void {
  const micros = engine.caller.nesting > 1 ? now * 1000 : engine.clock.wallMicros()
  reply.array(2)
  reply.bulkInteger(Math.floor(micros / 1e6))
  reply.bulkInteger(micros % 1e6)
}

function noModules({ reply }: Call): void {
  reply.error("ERR Modules are not supported by this server")
}

function shutdown(call: Call, engine: Engine, client: Client): void {
  const { args, reply } = call
  if (call.retrying) {
    awaitEnd(call)
    return
  }
  const options = { save: false, nosave: false, now: false, force: false }
  let abort = false
  for (let i = 1; i < args.count; i++) {
    if (args.is(i, "save")) options.save = true
    else if (args.is(i, "nosave")) options.nosave = true
    else if (args.is(i, "now")) options.now = true
    else if (args.is(i, "force")) options.force = true
    else if (args.is(i, "abort")) abort = true
    else {
      reply.error(SYNTAX)
      return
    }
  }
  if ((abort && Object.values(options).includes(true)) || (options.save && options.nosave)) {
    reply.error(SYNTAX)
    return
  }
  if (abort) {
    if (engine.onShutdownAbort()) reply.ok()
    else reply.error("ERR No shutdown in progress.")
    return
  }
  if (!options.nosave && (engine.conditions & EngineCondition.BusyScript) !== 0) {
    reply.error(engine.busyError)
    return
  }
  const error = engine.onShutdown(options)
  if (error !== undefined) reply.error(error)
  else if (engine.shutdownWaits()) awaitEnd(call)
  // Nothing that was sent behind it is run any more.
  else engine.clients.finish(client)
}

/** The client hears only if the end does not come. */
function awaitEnd(call: Call): void {
  call.blocking.block(call, [], 0, reply => reply.error("ERR Errors trying to SHUTDOWN. Check logs."))
}

const ART_COLUMNS = 40
const ART_ROWS = 10

/** A maze of diagonals in the manner of the one-line programs of old home computers, different each time. */
function lolwut({ keyspace, reply }: Call, engine: Engine): void {
  let text = ""
  for (let row = 0; row < ART_ROWS; row++) {
    for (let column = 0; column < ART_COLUMNS; column++) text += keyspace.random.nextFloat() < 0.5 ? "╱" : "╲"
    text += "\n"
  }
  reply.verbatim("txt", `${text}\nbundis ver. ${BUNDIS_VERSION} (Redis ver. ${reportedVersion(engine)})\n`)
}
