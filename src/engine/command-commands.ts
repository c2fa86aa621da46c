/** COMMAND: what the server can do, from the facts of the registry. */

import { bytesOf } from "../bytes/compare.ts"
import { globMatch } from "../bytes/glob.ts"
import type { Call } from "../command/context.ts"
import { describeDocs, describeInfo, type ReplyData } from "../command/describe.ts"
import { SYNTAX } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import { type ArgumentReader, extractKeys, KeyPositions, keyFlagNames } from "../command/key-specs.ts"
import { aclCategoryBit, Flag, type RegisteredCommand } from "../command/registry.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import type { Engine } from "./engine.ts"
import { engineHandlers } from "./handler.ts"

export function commandCommands(of: () => Engine): readonly CommandSpec[] {
  const on = engineHandlers(of)
  const shared = { group: "server", flags: "loading stale", categories: "connection" } as const
  return [
    {
      ...shared,
      name: "command",
      since: "2.8.13",
      arity: -1,
      tips: "nondeterministic_output_order",
      syntax: "",
      summary: "Describes all commands.",
      complexity: "O(N), N commands of the server",
      run: on(allInfo),
      subcommands: [
        {
          ...shared,
          name: "count",
          since: "2.8.13",
          arity: 2,
          syntax: "",
          summary: "Counts the commands.",
          complexity: "O(1)",
          run: on((call, engine) => call.reply.integer(reachable(engine).length)),
        },
        {
          ...shared,
          name: "docs",
          since: "7.0.0",
          arity: -2,
          tips: "nondeterministic_output_order",
          syntax: "[command-name...]",
          summary: "Documents commands.",
          complexity: "O(N), N commands asked for",
          run: on(docs),
        },
        {
          ...shared,
          name: "getkeys",
          since: "2.8.13",
          arity: -3,
          syntax: "command [arg...]",
          summary: "Finds the keys of a command.",
          complexity: "O(N), N arguments",
          run: on((call, engine) => getKeys(call, engine, false)),
        },
        {
          ...shared,
          name: "getkeysandflags",
          since: "7.0.0",
          arity: -3,
          syntax: "command [arg...]",
          summary: "Finds the keys of a command and how it is going to use them.",
          complexity: "O(N), N arguments",
          run: on((call, engine) => getKeys(call, engine, true)),
        },
        {
          ...shared,
          name: "help",
          since: "5.0.0",
          arity: 2,
          syntax: "",
          summary: "Lists the subcommands of COMMAND.",
          complexity: "O(1)",
          run: helpOf,
        },
        {
          ...shared,
          name: "info",
          since: "2.8.13",
          arity: -2,
          tips: "nondeterministic_output_order",
          syntax: "[command-name...]",
          summary: "Describes the named commands.",
          complexity: "O(N), N commands asked for",
          history: [["7.0.0", "Allowed to be called with no argument to get info on all commands."]],
          run: on(info),
        },
        {
          ...shared,
          name: "list",
          since: "7.0.0",
          arity: -2,
          tips: "nondeterministic_output_order",
          syntax: "[FILTERBY(MODULE module-name|ACLCAT category|PATTERN pattern)]",
          summary: "Lists the names of commands.",
          complexity: "O(N), N commands of the server",
          run: on(list),
        },
      ],
    },
  ]
}

/** Writes a tree of reply data; sets and maps become what the protocol has for them. */
export function writeReplyData(reply: ReplyWriter, data: ReplyData): void {
  if (typeof data === "string") reply.bulkText(data)
  else if (typeof data === "number") reply.integer(data)
  else if (data.kind === "status") reply.simple(data.text)
  else if (data.kind === "map") {
    reply.map(data.entries.length)
    for (const [key, value] of data.entries) {
      reply.bulkText(key)
      writeReplyData(reply, value)
    }
  } else {
    if (data.kind === "set") reply.set(data.items.length)
    else reply.array(data.items.length)
    for (const item of data.items) writeReplyData(reply, item)
  }
}

function reachable({ registry }: Engine): RegisteredCommand[] {
  return registry.commands.filter(command => registry.isReachable(command))
}

function named(engine: Engine, args: Arguments, i: number): RegisteredCommand | undefined {
  const command = engine.registry.find(args.latin1(i))
  return command !== undefined && engine.registry.isReachable(command) ? command : undefined
}

function allInfo(call: Call, engine: Engine): void {
  const commands = reachable(engine)
  call.reply.array(commands.length)
  for (const command of commands) writeReplyData(call.reply, describeInfo(command))
}

function info(call: Call, engine: Engine): void {
  const { args, reply } = call
  if (args.count === 2) {
    allInfo(call, engine)
    return
  }
  reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) {
    const command = named(engine, args, i)
    if (command === undefined) reply.null()
    else writeReplyData(reply, describeInfo(command))
  }
}

function docs(call: Call, engine: Engine): void {
  const { args, reply } = call
  let commands = reachable(engine)
  if (args.count > 2) {
    commands = []
    for (let i = 2; i < args.count; i++) {
      const command = named(engine, args, i)
      if (command !== undefined) commands.push(command)
    }
  }
  reply.map(commands.length)
  for (const command of commands) {
    reply.bulkText(command.fullName)
    writeReplyData(reply, describeDocs(command))
  }
}

function list(call: Call, engine: Engine): void {
  const { args, reply } = call
  const all = engine.registry.all.filter(command => engine.registry.isReachable(command))
  let chosen: readonly RegisteredCommand[] = all
  if (args.count === 5 && args.is(2, "filterby")) {
    if (args.is(3, "module")) chosen = []
    else if (args.is(3, "aclcat")) {
      const bit = aclCategoryBit(args.latin1(4).toLowerCase())
      chosen = all.filter(command => (command.categoryBits & bit) !== 0)
    } else if (args.is(3, "pattern")) {
      chosen = all.filter(({ fullName }) => {
        const name = bytesOf(fullName)
        return globMatch(args.bytes, args.start(4), args.end(4), name, 0, name.length, true)
      })
    } else {
      reply.error(SYNTAX)
      return
    }
  } else if (args.count !== 2) {
    reply.error(SYNTAX)
    return
  }
  reply.array(chosen.length)
  for (const { fullName } of chosen) reply.bulkText(fullName)
}

/** The arguments of the command that is asked about: ours without the first two. */
class InnerArguments implements ArgumentReader {
  private readonly args: Arguments
  readonly count: number

  constructor(args: Arguments) {
    this.args = args
    this.count = args.count - 2
  }

  equalsIgnoreCase(index: number, lower: string): boolean {
    return this.args.is(index + 2, lower)
  }

  integer(index: number): number {
    return this.args.integer(index + 2)
  }
}

function getKeys(call: Call, engine: Engine, withFlags: boolean): void {
  const { args, reply } = call
  let command = engine.registry.lookup(args.bytes, args.start(2), args.end(2))
  if (command?.isContainer && args.count > 3) {
    command = command.lookupSubcommand(args.bytes, args.start(3), args.end(3))
  } else if (command?.run === undefined) command = undefined
  if (command === undefined) {
    reply.error("ERR Invalid command specified")
    return
  }
  if (!command.keys.hasKeys) {
    reply.error("ERR The command has no key arguments")
    return
  }
  if (!command.acceptsCount(args.count - 2)) {
    reply.error("ERR Invalid number of arguments specified for command")
    return
  }
  const keys = new KeyPositions()
  if (extractKeys(command.keys, new InnerArguments(args), keys) === 0) {
    if ((command.flagBits & Flag.NoMandatoryKeys) !== 0) reply.array(0)
    else reply.error("ERR Invalid arguments specified for command")
    return
  }
  reply.array(keys.count)
  for (let k = 0; k < keys.count; k++) {
    const i = keys.positions[k]! + 2
    if (withFlags) reply.array(2)
    reply.bulk(args.bytes, args.start(i), args.end(i))
    if (!withFlags) continue
    const names = keyFlagNames(keys.flags[k]!)
    reply.set(names.length)
    for (const name of names) reply.simple(name)
  }
}
