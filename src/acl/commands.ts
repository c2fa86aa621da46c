/** ACL and its subcommands. */

import { latin1Bytes, shown } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { NOT_INTEGER, SHOWN_MAX, unknownSubcommandOrArity, wrongArity } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import { ACL_CATEGORIES, aclCategoryBit, type RegisteredCommand } from "../command/registry.ts"
import type { CommandSpec, Handler } from "../command/spec.ts"
import type { Client } from "../engine/client.ts"
import { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { Denial } from "./access.ts"
import { type Acl, DEFAULT_USER, NO_ACL_FILE } from "./acl.ts"
import type { Permissions } from "./permissions.ts"
import { hasSpaces } from "./rules.ts"

const PASSWORD_BITS = 256
const PASSWORD_BITS_MAX = 4096
const LOG_ENTRIES = 10
const REASONS = ["", "command", "key", "auth", "channel"]

export function aclCommands(of: () => Acl): readonly CommandSpec[] {
  const on =
    (handler: (call: Call, acl: Acl) => void): Handler =>
    call =>
      handler(call, of())
  return [
    {
      name: "acl",
      since: "6.0.0",
      group: "server",
      arity: -2,
      flags: "",
      syntax: "",
      summary: "Holds the commands about users and their permissions.",
      complexity: "depends on the subcommand",
      subcommands: [
        {
          name: "cat",
          since: "6.0.0",
          group: "server",
          arity: -2,
          flags: "noscript loading stale",
          syntax: "[category]",
          summary: "Lists the ACL categories, or the commands of one.",
          complexity: "O(1)",
          run: on(cat),
        },
        {
          name: "deluser",
          since: "6.0.0",
          group: "server",
          arity: -3,
          flags: "admin noscript loading stale",
          tips: "request_policy:all_nodes response_policy:all_succeeded",
          syntax: "username...",
          summary: "Deletes users and closes their connections.",
          complexity: "O(1) per user",
          run: on(deleteUsers),
        },
        {
          name: "dryrun",
          since: "7.0.0",
          group: "server",
          arity: -4,
          flags: "admin noscript loading stale",
          syntax: "username command [arg...]",
          summary: "Tells whether a user may run a command, without running it.",
          complexity: "O(1)",
          run: on(dryRun),
        },
        {
          name: "genpass",
          since: "6.0.0",
          group: "server",
          arity: -2,
          flags: "noscript loading stale",
          syntax: "[bits:integer]",
          summary: "Makes up a random password.",
          complexity: "O(1)",
          run: on(generatePassword),
        },
        {
          name: "getuser",
          since: "6.0.0",
          group: "server",
          arity: 3,
          flags: "admin noscript loading stale",
          syntax: "username",
          summary: "Shows the rules of a user.",
          complexity: "O(N), N passwords, command rules and patterns of the user",
          run: on(getUser),
        },
        {
          name: "help",
          since: "6.0.0",
          group: "server",
          arity: 2,
          flags: "loading stale",
          syntax: "",
          summary: "Lists the subcommands of ACL.",
          complexity: "O(1)",
          run: helpOf,
        },
        {
          name: "list",
          since: "6.0.0",
          group: "server",
          arity: 2,
          flags: "admin noscript loading stale",
          syntax: "",
          summary: "Lists all users as the lines of an ACL file.",
          complexity: "O(N), N users",
          run: on(list),
        },
        {
          name: "load",
          since: "6.0.0",
          group: "server",
          arity: 2,
          flags: "admin noscript loading stale",
          syntax: "",
          summary: "Replaces the users by those of the ACL file.",
          complexity: "O(N), N users",
          run: on(load),
        },
        {
          name: "log",
          since: "6.0.0",
          group: "server",
          arity: -2,
          flags: "admin noscript loading stale",
          syntax: "[operation=count:integer|RESET]",
          summary: "Shows or clears the recent access denials.",
          complexity: "O(N), N entries shown",
          run: on(log),
        },
        {
          name: "save",
          since: "6.0.0",
          group: "server",
          arity: 2,
          flags: "admin noscript loading stale",
          tips: "request_policy:all_nodes response_policy:all_succeeded",
          syntax: "",
          summary: "Writes the users to the ACL file.",
          complexity: "O(N), N users",
          run: on(save),
        },
        {
          name: "setuser",
          since: "6.0.0",
          group: "server",
          arity: -3,
          flags: "admin noscript loading stale",
          tips: "request_policy:all_nodes response_policy:all_succeeded",
          syntax: "username [rule...]",
          summary: "Creates a user or changes its rules.",
          complexity: "O(N), N rules",
          run: on(setUser),
        },
        {
          name: "users",
          since: "6.0.0",
          group: "server",
          arity: 2,
          flags: "admin noscript loading stale",
          syntax: "",
          summary: "Lists the names of all users.",
          complexity: "O(N), N users",
          run: on(users),
        },
        {
          name: "whoami",
          since: "6.0.0",
          group: "server",
          arity: 2,
          flags: "noscript loading stale",
          syntax: "",
          summary: "Names the user of this connection.",
          complexity: "O(1)",
          run: on(whoAmI),
        },
      ],
    },
  ]
}

/** Text of one character per byte. */
function bulk(reply: ReplyWriter, text: string): void {
  reply.bulk(latin1Bytes(text), 0, text.length)
}

function bulks(reply: ReplyWriter, texts: readonly string[]): void {
  reply.array(texts.length)
  for (const text of texts) bulk(reply, text)
}

/** Arguments from `from` on, one character per byte. */
function argumentsFrom(args: Arguments, from: number): string[] {
  const texts: string[] = []
  for (let i = from; i < args.count; i++) texts.push(args.latin1(i))
  return texts
}

/** Whether there are at most three arguments; false after having answered with an error. */
function takesOneMore(call: Call): boolean {
  const { args, reply } = call
  if (args.count <= 3) return true
  reply.error(unknownSubcommandOrArity(args.latin1(1), "acl"))
  return false
}

function cat(call: Call, acl: Acl): void {
  const { args, reply } = call
  if (!takesOneMore(call)) return
  if (args.count === 2) {
    bulks(reply, ACL_CATEGORIES)
    return
  }
  const bit = aclCategoryBit(args.latin1(2).toLowerCase())
  if (bit === 0) {
    reply.error(`ERR Unknown category '${shown(args.latin1(2), SHOWN_MAX)}'`)
    return
  }
  const members = acl.checker.registry.all.filter(({ categoryBits }) => (categoryBits & bit) !== 0)
  bulks(
    reply,
    members.map(({ fullName }) => fullName),
  )
}

function setUser({ args, reply }: Call, acl: Acl): void {
  const name = args.latin1(2)
  if (hasSpaces(name)) {
    reply.error("ERR Usernames can't contain spaces or null characters")
    return
  }
  const error = acl.set(name, argumentsFrom(args, 3))
  if (error === undefined) reply.ok()
  else reply.error(`ERR ${error}`)
}

function deleteUsers({ args, reply }: Call, acl: Acl): void {
  const names = argumentsFrom(args, 2)
  if (names.includes(DEFAULT_USER)) {
    reply.error("ERR The 'default' user cannot be removed")
    return
  }
  let deleted = 0
  for (const name of names) if (acl.delete(name)) deleted++
  reply.integer(deleted)
}

function getUser({ args, reply }: Call, acl: Acl): void {
  const user = acl.find(args.latin1(2))
  if (user === undefined) {
    reply.null()
    return
  }
  reply.map(6)
  reply.bulkText("flags")
  const flags = user.flags()
  reply.set(flags.length)
  for (const flag of flags) reply.bulkText(flag)
  reply.bulkText("passwords")
  bulks(reply, user.hashes)
  const [root, ...selectors] = user.permissions
  describePermissions(reply, root!)
  reply.bulkText("selectors")
  reply.array(selectors.length)
  for (const selector of selectors) {
    reply.map(3)
    describePermissions(reply, selector)
  }
}

function describePermissions(reply: ReplyWriter, permissions: Permissions): void {
  reply.bulkText("commands")
  bulk(reply, permissions.commands.describe())
  reply.bulkText("keys")
  bulk(reply, permissions.describeKeys())
  reply.bulkText("channels")
  bulk(reply, permissions.describeChannels())
}

function list({ reply }: Call, acl: Acl): void {
  bulks(
    reply,
    acl.list().map(user => `user ${user.describe()}`),
  )
}

function users({ reply }: Call, acl: Acl): void {
  bulks(
    reply,
    acl.list().map(({ name }) => name),
  )
}

function whoAmI({ client, reply }: Call): void {
  bulk(reply, (client as Client).user)
}

function load({ config, reply }: Call, acl: Acl): void {
  const error = config.values.aclfile === "" ? NO_ACL_FILE : acl.load()
  if (error === undefined) reply.ok()
  else reply.error(error === NO_ACL_FILE ? error : `ERR ${error}`)
}

function save({ config, reply }: Call, acl: Acl): void {
  if (config.values.aclfile === "") reply.error(NO_ACL_FILE)
  else if (acl.save()) reply.ok()
  else {
    reply.error("ERR There was an error trying to save the ACLs. Please check the server logs for more information")
  }
}

function generatePassword(call: Call): void {
  const { args, reply } = call
  if (!takesOneMore(call)) return
  const bits = args.count === 3 ? call.integer(2) : PASSWORD_BITS
  if (Number.isNaN(bits)) return
  if (bits <= 0 || bits > PASSWORD_BITS_MAX) {
    reply.error(
      "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to " +
        `${PASSWORD_BITS_MAX}`,
    )
    return
  }
  const digits = Math.ceil(bits / 4)
  const random = crypto.getRandomValues(new Uint8Array(Math.ceil(digits / 2)))
  reply.bulkText(Buffer.from(random).toString("hex").slice(0, digits))
}

/** The call in the arguments from 3 on: its command (a subcommand where there is one), or the error. */
function dryRun({ args, reply }: Call, acl: Acl): void {
  const user = acl.find(args.latin1(2))
  if (user === undefined) {
    reply.error(`ERR User '${shown(args.latin1(2))}' not found`)
    return
  }
  const inner = new Arguments()
  inner.bytes = args.bytes
  for (let i = 3; i < args.count; i++) inner.push(args.start(i), args.end(i))
  const command = lookup(acl, inner)
  if (command === undefined) {
    reply.error(`ERR Command '${shown(inner.latin1(0))}' not found`)
    return
  }
  if (!command.acceptsCount(inner.count)) {
    reply.error(wrongArity(command.fullName))
    return
  }
  const denial = acl.checker.check(user, command, inner)
  if (denial === Denial.None) {
    reply.ok()
    return
  }
  const object = inner.latin1(acl.checker.argument)
  const what =
    denial === Denial.Command
      ? `to run the '${command.fullName}' command`
      : `to access the '${object}' ${REASONS[denial]}`
  bulk(reply, `User ${user.name} has no permissions ${what}`)
}

function lookup(acl: Acl, args: Arguments): RegisteredCommand | undefined {
  const { registry } = acl.checker
  const command = registry.lookup(args.bytes, args.start(0), args.end(0))
  if (command === undefined || !command.isContainer || args.count === 1) return command
  return command.lookupSubcommand(args.bytes, args.start(1), args.end(1))
}

function log(call: Call, acl: Acl): void {
  const { args, keyspace, reply } = call
  if (!takesOneMore(call)) return
  if (args.count === 3 && args.is(2, "reset")) {
    acl.log.clear()
    reply.ok()
    return
  }
  const count = args.count === 3 ? call.integer(2, NOT_INTEGER) : LOG_ENTRIES
  if (Number.isNaN(count)) return
  const entries = acl.log.latest(Math.max(0, count))
  reply.array(entries.length)
  for (const entry of entries) {
    reply.map(10)
    reply.bulkText("count")
    reply.integer(entry.count)
    reply.bulkText("reason")
    reply.bulkText(REASONS[entry.denial]!)
    reply.bulkText("context")
    reply.bulkText(entry.context)
    reply.bulkText("object")
    bulk(reply, entry.object)
    reply.bulkText("username")
    bulk(reply, entry.username)
    reply.bulkText("age-seconds")
    reply.double((keyspace.now - entry.updatedAt) / 1000)
    reply.bulkText("client-info")
    reply.bulkText(entry.clientInfo)
    reply.bulkText("entry-id")
    reply.integer(entry.id)
    reply.bulkText("timestamp-created")
    reply.integer(entry.createdAt)
    reply.bulkText("timestamp-last-updated")
    reply.integer(entry.updatedAt)
  }
}
