/** CONFIG: the directives as clients see and change them. */

import { readFileSync, renameSync, writeFileSync } from "node:fs"
import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Client } from "../engine/client.ts"
import { type Engine, EngineCondition } from "../engine/engine.ts"
import type { Observer } from "./observer.ts"

export function configCommands(of: () => Observer): readonly CommandSpec[] {
  const all = "request_policy:all_nodes response_policy:all_succeeded"
  return [
    {
      name: "config",
      since: "2.0.0",
      group: "server",
      arity: -2,
      flags: "",
      syntax: "",
      summary: "Holds the commands about the configuration.",
      complexity: "depends on the subcommand",
      subcommands: [
        {
          name: "get",
          since: "2.0.0",
          group: "server",
          arity: -3,
          flags: "admin noscript loading stale",
          syntax: "parameter...",
          summary: "Shows the configuration parameters that match.",
          complexity: "O(N), N patterns",
          history: [["7.0.0", "Added the ability to pass multiple pattern parameters in one call"]],
          run: get,
        },
        {
          name: "help",
          since: "5.0.0",
          group: "server",
          arity: 2,
          flags: "loading stale",
          syntax: "",
          summary: "Lists the subcommands of CONFIG.",
          complexity: "O(1)",
          run: helpOf,
        },
        {
          name: "resetstat",
          since: "2.0.0",
          group: "server",
          arity: 2,
          flags: "admin noscript loading stale",
          tips: all,
          syntax: "",
          summary: "Sets the server's statistics back to zero.",
          complexity: "O(1)",
          run: call => {
            of().resetStatistics()
            call.reply.ok()
          },
        },
        {
          name: "rewrite",
          since: "2.8.0",
          group: "server",
          arity: 2,
          flags: "admin noscript loading stale",
          tips: all,
          syntax: "",
          summary: "Writes the current configuration back to the configuration file.",
          complexity: "O(1)",
          run: call => rewrite(call, of()),
        },
        {
          name: "set",
          since: "2.0.0",
          group: "server",
          arity: -4,
          flags: "admin noscript loading stale",
          tips: all,
          syntax: "data=(parameter value)...",
          summary: "Changes configuration parameters.",
          complexity: "O(N), N parameters",
          history: [["7.0.0", "Added the ability to set multiple parameters in one call."]],
          run: call => set(call, of().engine),
        },
      ],
    },
  ]
}

/** Values of directives are text as it stands in the file: UTF-8. */
function get({ args, config, reply }: Call): void {
  const patterns: string[] = []
  for (let i = 2; i < args.count; i++) patterns.push(args.utf8(i))
  const rows = config.getMatching(patterns)
  reply.map(rows.length)
  for (const [name, value] of rows) {
    reply.bulkText(name)
    reply.bulkText(value)
  }
}

function set({ args, config, reply, client }: Call, engine: Engine): void {
  if (args.count % 2 !== 0) {
    reply.error(SYNTAX)
    return
  }
  const pairs: [string, string][] = []
  for (let i = 2; i < args.count; i += 2) pairs.push([args.latin1(i), args.utf8(i + 1)])
  const error = config.setAll(pairs, {
    isLocal: isLocal(client as Client),
    isLoading: (engine.conditions & (EngineCondition.Loading | EngineCondition.AsyncLoading)) !== 0,
  })
  if (error !== undefined) reply.error(error)
  else reply.ok()
}

/** Whether a client sits on this host, or is no connection at all. */
export function isLocal({ transport }: Client): boolean {
  if (transport === undefined || transport.isUnix) return true
  const address = transport.remoteAddress
  return /^\[?(127\.|::1[\]:]|::ffff:127\.)/.test(address)
}

function rewrite({ reply }: Call, observer: Observer): void {
  const error = rewriteConfigFile(observer, false)
  if (error !== undefined) reply.error(error)
  else reply.ok()
}

/** Replaces the configuration file in one step, so that a crash leaves the old or the new one. */
export function rewriteConfigFile(observer: Observer, writesAll: boolean): string | undefined {
  const { engine, ports } = observer
  const path = ports.configFile
  if (path === undefined) return "ERR The server is running without a config file"
  try {
    const text = engine.config.rewrite(readExisting(path), { users: ports.userLines?.(), writesAll })
    const temporary = `${path}.${process.pid}.tmp`
    writeFileSync(temporary, text)
    renameSync(temporary, path)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    engine.log("warning", `CONFIG REWRITE failed: ${reason}`)
    return `ERR Rewriting config file: ${reason}`
  }
  engine.log("notice", "CONFIG REWRITE executed with success.")
  return undefined
}

function readExisting(path: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return ""
    throw error
  }
}
