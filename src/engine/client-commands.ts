/**
 * CLIENT: connections looked at, named, told apart and closed. The subcommands here are those about connections as such;
 * those of subsystems (PAUSE, UNBLOCK, TRACKING …) are contributed by them to the same container.
 */

import { shown } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Arguments } from "../resp/arguments.ts"
import { type Client, ClientCondition, ReplyMode } from "./client.ts"
import { describeClient } from "./client-description.ts"
import { passes, readClientFilter } from "./client-filter.ts"
import type { Engine } from "./engine.ts"
import { engineHandlers } from "./handler.ts"

const BAD_LISTED_ID = "ERR Invalid client ID"
const BAD_KILL_ID = "ERR client-id should be greater than 0"
export const CLIENT_NAME_ERROR = "ERR Client names cannot contain spaces, newlines or special characters."

/** What Valkey 9 can ask of a client beyond Redis. */
const MORE_FILTERS = [
  "[FLAGS flags]@9.0.0 [NAME name]@9.0.0 [IDLE idle:integer]@9.0.0 [LIB-NAME lib-name]@9.0.0 [LIB-VER lib-ver]@9.0.0",
  "[DB db:integer]@9.0.0 [CAPA capa]@9.0.0 [IP ip]@9.0.0 [NOT-ID not-id:integer...]@9.0.0 [NOT-TYPE not-type]@9.0.0",
  "[NOT-ADDR not-addr]@9.0.0 [NOT-LADDR not-laddr]@9.0.0 [NOT-USER not-user]@9.0.0 [NOT-FLAGS not-flags]@9.0.0",
  "[NOT-NAME not-name]@9.0.0 [NOT-LIB-NAME not-lib-name]@9.0.0 [NOT-LIB-VER not-lib-ver]@9.0.0",
  "[NOT-DB not-db:integer]@9.0.0 [NOT-CAPA not-capa]@9.0.0 [NOT-IP not-ip]@9.0.0",
].flatMap(line => line.split(/ (?=\[)/))

/** @param contributed subcommands of other subsystems */
export function clientCommands(of: () => Engine, contributed: readonly CommandSpec[] = []): readonly CommandSpec[] {
  const subcommands = [...ownSubcommands(of), ...contributed]
  return [
    {
      name: "client",
      since: "2.4.0",
      group: "connection",
      arity: -2,
      flags: "",
      categories: "-connection",
      syntax: "",
      summary: "Holds the commands about connections.",
      complexity: "depends on the subcommand",
      subcommands: subcommands.sort((a, b) => (a.name < b.name ? -1 : 1)),
    },
  ]
}

function ownSubcommands(of: () => Engine): readonly CommandSpec[] {
  const on = engineHandlers(of)
  return [
    {
      name: "getname",
      since: "2.6.9",
      group: "connection",
      arity: 2,
      flags: "noscript loading stale",
      syntax: "",
      summary: "Gives the name of the connection.",
      complexity: "O(1)",
      run: on(getname),
    },
    {
      name: "help",
      since: "5.0.0",
      group: "connection",
      arity: 2,
      flags: "loading stale",
      syntax: "",
      summary: "Lists the subcommands of CLIENT.",
      complexity: "O(1)",
      run: helpOf,
    },
    {
      name: "id",
      since: "5.0.0",
      group: "connection",
      arity: 2,
      flags: "noscript loading stale",
      syntax: "",
      summary: "Gives the id of the connection.",
      complexity: "O(1)",
      run: call => call.reply.integer(call.client.id),
    },
    {
      name: "info",
      since: "6.2.0",
      group: "connection",
      arity: 2,
      flags: "noscript loading stale",
      tips: "nondeterministic_output",
      syntax: "",
      summary: "Describes this connection.",
      complexity: "O(1)",
      run: on(info),
    },
    {
      name: "kill",
      since: "2.4.0",
      group: "connection",
      arity: -3,
      flags: "admin noscript loading stale",
      syntax:
        "filter=(old-format~ip:port!2.8.12|new-format=([ID client-id:integer]@2.8.12|" +
        "[client-type=TYPE(NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|PUBSUB)]@2.8.12|[USER username]|" +
        "[ADDR addr~ip:port]|[LADDR laddr~ip:port]@6.2.0|" +
        `[SKIPME(YES|NO)]|[MAXAGE maxage:integer]@7.4.0|${MORE_FILTERS.join("|")})...)`,
      summary: "Closes the connections that match.",
      complexity: "O(N), N connections",
      run: on(kill),
    },
    {
      name: "list",
      since: "2.4.0",
      group: "connection",
      arity: -2,
      flags: "admin noscript loading stale",
      tips: "nondeterministic_output",
      syntax:
        "[client-type=TYPE(NORMAL|MASTER|REPLICA|PUBSUB)]@5.0.0 [ID client-id:integer...]@6.2.0 [USER username]@9.0.0 " +
        "[ADDR addr~ip:port]@9.0.0 [LADDR laddr~ip:port]@9.0.0 [skipme=SKIPME(YES|NO)]@9.0.0 [MAXAGE maxage:integer]@9.0.0 " +
        MORE_FILTERS.join(" "),
      summary: "Lists the connected clients.",
      complexity: "O(N), N connections",
      run: on(list),
    },
    {
      name: "no-evict",
      since: "7.0.0",
      group: "connection",
      arity: 3,
      flags: "admin noscript loading stale",
      syntax: "enabled=ON|OFF",
      summary: "Protects the connection from client eviction, or no longer.",
      complexity: "O(1)",
      run: on(noEvict),
    },
    {
      name: "no-touch",
      since: "7.2.0",
      group: "connection",
      arity: 3,
      flags: "noscript loading stale",
      syntax: "enabled=ON|OFF",
      summary: "Says whether commands of this connection count as use of the keys.",
      complexity: "O(1)",
      run: on(noTouch),
    },
    {
      name: "reply",
      since: "3.2.0",
      group: "connection",
      arity: 3,
      flags: "noscript loading stale",
      syntax: "action=ON|OFF|SKIP",
      summary: "Says whether the server shall reply to this connection.",
      complexity: "O(1)",
      run: on(reply),
    },
    {
      name: "setinfo",
      since: "7.2.0",
      group: "connection",
      arity: 4,
      flags: "noscript loading stale",
      tips: "request_policy:all_nodes response_policy:all_succeeded",
      syntax: "attr=(LIB-NAME libname|LIB-VER libver)",
      summary: "Tells the server which client library is connected.",
      complexity: "O(1)",
      run: on(setinfo),
    },
    {
      name: "setname",
      since: "2.6.9",
      group: "connection",
      arity: 3,
      flags: "noscript loading stale",
      tips: "request_policy:all_nodes response_policy:all_succeeded",
      syntax: "connection-name",
      summary: "Names the connection.",
      complexity: "O(1)",
      run: on(setname),
    },
  ]
}

/** Whether an argument has only printable ASCII without spaces, so that it can stand in a line of CLIENT LIST. */
export function isCleanName(args: Arguments, i: number): boolean {
  for (let at = args.start(i); at < args.end(i); at++) {
    const byte = args.bytes[at]!
    if (byte < 0x21 || byte > 0x7e) return false
  }
  return true
}

function getname(call: Call, _engine: Engine, client: Client): void {
  if (client.name === "") call.reply.null()
  else call.reply.bulkText(client.name)
}

function setname(call: Call, _engine: Engine, client: Client): void {
  if (!isCleanName(call.args, 2)) {
    call.reply.error(CLIENT_NAME_ERROR)
    return
  }
  client.name = call.args.latin1(2)
  call.reply.ok()
}

function setinfo(call: Call, _engine: Engine, client: Client): void {
  const { args } = call
  const isName = args.is(2, "lib-name")
  if (!isName && !args.is(2, "lib-ver")) {
    call.reply.error(`ERR Unrecognized option '${shown(args.latin1(2))}'`)
    return
  }
  if (!isCleanName(args, 3)) {
    call.reply.error(`ERR ${shown(args.latin1(2))} cannot contain spaces, newlines or special characters.`)
    return
  }
  if (isName) client.libName = args.latin1(3)
  else client.libVersion = args.latin1(3)
  call.reply.ok()
}

function info(call: Call, engine: Engine, client: Client): void {
  call.reply.verbatim("txt", `${describeClient(engine, client, call.args)}\n`)
}

function list(call: Call, engine: Engine, client: Client): void {
  const { args, reply } = call
  const filter = readClientFilter(args, 2, engine, { skipsCaller: false, badId: BAD_LISTED_ID, badWord: BAD_LISTED_ID })
  if (typeof filter === "string") {
    reply.error(filter)
    return
  }
  const { byId } = engine.clients
  // Those asked for by id come in the order in which they were asked for.
  const chosen = filter.ids === undefined ? byId.values() : filter.ids.map(id => byId.get(id))
  let lines = ""
  for (const each of chosen) {
    if (each === undefined || (each === client && filter.skipsCaller) || !passes(each, filter)) continue
    lines += `${describeClient(engine, each, each === client ? args : undefined)}\n`
  }
  reply.verbatim("txt", lines)
}

function kill(call: Call, engine: Engine, client: Client): void {
  const { args } = call
  const isOldForm = args.count === 3
  const filter = isOldForm
    ? { tests: [hasAddress(args.latin1(2))], ids: undefined, skipsCaller: false }
    : readClientFilter(args, 2, engine, { skipsCaller: true, badId: BAD_KILL_ID, badWord: SYNTAX, idMin: 1 })
  if (typeof filter === "string") {
    call.reply.error(filter)
    return
  }
  let killed = 0
  for (const each of [...engine.clients.byId.values()]) {
    if (each === client && filter.skipsCaller) continue
    if (!passes(each, filter)) continue
    killed++
    // The one who asks still gets the answer.
    if (each === client) engine.clients.finish(each)
    else engine.clients.terminate(each)
    if (isOldForm) break
  }
  if (!isOldForm) call.reply.integer(killed)
  else if (killed > 0) call.reply.ok()
  else call.reply.error("ERR No such client")
}

function hasAddress(address: string): (client: Client) => boolean {
  return client => client.transport?.remoteAddress === address
}

/** ON and OFF as the third argument; undefined after having answered with an error. */
function onOrOff(call: Call): boolean | undefined {
  if (call.args.is(2, "on")) return true
  if (call.args.is(2, "off")) return false
  call.reply.error(SYNTAX)
  return undefined
}

function noEvict(call: Call, _engine: Engine, client: Client): void {
  const on = onOrOff(call)
  if (on === undefined) return
  client.noEvict = on
  call.reply.ok()
}

/** The condition makes the engine's hooks around commands see the client; they leave the access clocks alone. */
function noTouch(call: Call, _engine: Engine, client: Client): void {
  const on = onOrOff(call)
  if (on === undefined) return
  client.noTouch = on
  client.setCondition(ClientCondition.Special, on || client.tracking !== undefined)
  call.reply.ok()
}

function reply(call: Call, engine: Engine, client: Client): void {
  const { args } = call
  const isSilent = (client.conditions & ClientCondition.Silent) !== 0
  if (args.is(2, "on")) {
    client.replyMode = ReplyMode.On
    client.setCondition(ClientCondition.Silent, false)
    // Until now replies went nowhere.
    engine.output.open(client)
    call.reply.ok()
  } else if (args.is(2, "off")) {
    client.replyMode = ReplyMode.Off
    client.setCondition(ClientCondition.Silent, true)
  } else if (args.is(2, "skip")) {
    if (client.replyMode === ReplyMode.Off) return
    client.replyMode = isSilent ? ReplyMode.SkipNext : ReplyMode.SkipThis
    client.setCondition(ClientCondition.Silent, true)
  } else call.reply.error(SYNTAX)
}
