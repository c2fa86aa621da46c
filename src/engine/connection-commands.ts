/** The commands by which a connection greets the server, logs in, chooses protocol and database, and leaves. */

import { bytesOf, shown } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { DB_OUT_OF_RANGE, NOT_INTEGER, SYNTAX, wrongArity } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { REDIS_VERSION } from "../version.ts"
import { type Client, ClientCondition, ReplyMode } from "./client.ts"
import { CLIENT_NAME_ERROR, isCleanName } from "./client-commands.ts"
import type { Engine } from "./engine.ts"
import { engineHandlers } from "./handler.ts"

const INT_MAX = 2 ** 31 - 1

export function connectionCommands(of: () => Engine): readonly CommandSpec[] {
  const on = engineHandlers(of)
  return [
    {
      name: "auth",
      since: "1.0.0",
      group: "connection",
      arity: -2,
      flags: "noscript loading stale fast no_auth allow_busy",
      syntax: "[username]@6.0.0 password",
      summary: "Authenticates the connection.",
      complexity: "O(N), N passwords of the user",
      history: [["6.0.0", "Added ACL style (username and password)."]],
      run: on(auth),
    },
    {
      name: "echo",
      since: "1.0.0",
      group: "connection",
      arity: 2,
      flags: "loading stale fast",
      syntax: "message",
      summary: "Returns its argument.",
      complexity: "O(1)",
      run: echo,
    },
    {
      name: "hello",
      since: "6.0.0",
      group: "connection",
      arity: -1,
      flags: "noscript loading stale fast no_auth allow_busy",
      syntax: "[arguments=protover:integer [AUTH(username password)] [SETNAME clientname]]",
      summary: "Greets the server and chooses the protocol version.",
      complexity: "O(1)",
      run: on(hello),
    },
    {
      name: "ping",
      since: "1.0.0",
      group: "connection",
      arity: -1,
      flags: "fast",
      tips: "request_policy:all_shards response_policy:all_succeeded",
      syntax: "[message]",
      summary: "Answers, to show that the server is alive.",
      complexity: "O(1)",
      run: ping,
    },
    {
      name: "quit",
      since: "1.0.0",
      group: "connection",
      arity: -1,
      flags: "noscript loading stale fast no_auth allow_busy",
      syntax: "",
      summary: "Closes the connection.",
      complexity: "O(1)",
      deprecated: { since: "7.2.0", replacedBy: "just closing the connection" },
      run: on(quit),
    },
    {
      name: "reset",
      since: "6.2.0",
      group: "connection",
      arity: 1,
      flags: "noscript loading stale fast no_auth allow_busy",
      syntax: "",
      summary: "Sets the connection back to how it was when opened.",
      complexity: "O(1)",
      run: on(reset),
    },
    {
      name: "select",
      since: "1.0.0",
      group: "connection",
      arity: 2,
      flags: "loading stale fast",
      syntax: "index:integer",
      summary: "Changes the database of the connection.",
      complexity: "O(1)",
      run: select,
    },
  ]
}

/** What HELLO and INFO call the server's version. */
export function reportedVersion(engine: Engine): string {
  return engine.config.values.versionOverride || REDIS_VERSION
}

const PONG = bytesOf("+PONG\r\n")

function ping(call: Call): void {
  const { args, reply } = call
  if (args.count > 2) {
    reply.error(wrongArity("ping"))
    return
  }
  const client = call.client as Client
  if ((client.conditions & ClientCondition.Subscribed) !== 0 && client.protocol === 2) {
    reply.array(2)
    reply.bulkText("pong")
    if (args.count === 2) reply.bulk(args.bytes, args.start(1), args.end(1))
    else reply.bulkText("")
    return
  }
  if (args.count === 1) reply.raw(PONG)
  else reply.bulk(args.bytes, args.start(1), args.end(1))
}

function echo({ args, reply }: Call): void {
  reply.bulk(args.bytes, args.start(1), args.end(1))
}

function select(call: Call): void {
  const { args, keyspace, reply } = call
  const wide = args.int64(1)
  if (wide === undefined) {
    reply.error(NOT_INTEGER)
    return
  }
  if (wide > INT_MAX || wide < -INT_MAX - 1) {
    reply.error("ERR value is out of range, value must between -2147483648 and 2147483647")
    return
  }
  const index = Number(wide)
  if (call.config.values.clusterEnabled && index !== 0) {
    reply.error("ERR SELECT is not allowed in cluster mode")
    return
  }
  const db = keyspace.databases[index]
  if (db === undefined) {
    reply.error(DB_OUT_OF_RANGE)
    return
  }
  call.client.db = db
  reply.ok()
}

function auth({ args, reply }: Call, engine: Engine, client: Client): void {
  if (args.count > 3) {
    reply.error(SYNTAX)
    return
  }
  const { authenticator } = engine
  if (args.count === 2 && authenticator.isOpen) {
    reply.error(
      "ERR AUTH <password> called without any password configured for the default user. " +
        "Are you sure your configuration is correct?",
    )
    return
  }
  const user = args.count === 2 ? "default" : args.latin1(1)
  const error = logIn(engine, client, user, args.latin1(args.count - 1))
  if (error !== undefined) reply.error(error)
  else reply.ok()
}

function logIn(engine: Engine, client: Client, user: string, password: string): string | undefined {
  const error = engine.authenticator.authenticate(client, user, password)
  if (error === undefined) client.setCondition(ClientCondition.NeedsAuth, false)
  return error
}

/** HELLO [version [AUTH user password] [SETNAME name]]: everything is checked before anything is changed. */
function hello(call: Call, engine: Engine, client: Client): void {
  const { args, reply } = call
  let version = 0
  if (args.count > 1) {
    version = args.integer(1)
    if (Number.isNaN(version)) {
      reply.error("ERR Protocol version is not an integer or out of range")
      return
    }
    if (version < 2 || version > 3) {
      reply.error("NOPROTO unsupported protocol version")
      return
    }
  }
  let userAt = 0
  let nameAt = 0
  for (let i = 2; i < args.count; i++) {
    if (args.is(i, "auth") && i + 2 < args.count) {
      userAt = i + 1
      i += 2
    } else if (args.is(i, "setname") && i + 1 < args.count) nameAt = ++i
    else {
      reply.error(`ERR Syntax error in HELLO option '${shown(args.latin1(i))}'`)
      return
    }
    if (nameAt === i && !isCleanName(args, i)) {
      reply.error(CLIENT_NAME_ERROR)
      return
    }
  }
  if (userAt > 0) {
    const error = logIn(engine, client, args.latin1(userAt), args.latin1(userAt + 1))
    if (error !== undefined) {
      reply.error(error)
      return
    }
  }
  if ((client.conditions & ClientCondition.NeedsAuth) !== 0) {
    reply.error(
      "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> " +
        "<pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
    )
    return
  }
  if (nameAt > 0) client.name = args.latin1(nameAt)
  if (version > 0) useProtocol(engine, client, version)
  reply.map(7)
  reply.bulkText("server")
  reply.bulkText("redis")
  reply.bulkText("version")
  reply.bulkText(reportedVersion(engine))
  reply.bulkText("proto")
  reply.integer(client.protocol)
  reply.bulkText("id")
  reply.integer(client.id)
  reply.bulkText("mode")
  reply.bulkText(engine.config.values.clusterEnabled ? "cluster" : "standalone")
  reply.bulkText("role")
  reply.bulkText(engine.config.values.replicaof === undefined ? "master" : "replica")
  reply.bulkText("modules")
  reply.array(0)
}

function useProtocol(engine: Engine, client: Client, version: number): void {
  client.protocol = version
  engine.output.writer.resp3 = version === 3
}

function quit({ reply }: Call, engine: Engine, client: Client): void {
  reply.ok()
  engine.clients.finish(client)
}

/** Takes back all that was agreed on this connection; subsystems join in through `engine.onReset`. */
function reset({ reply }: Call, engine: Engine, client: Client): void {
  if (client.isReplica) {
    reply.error("ERR can only reset normal client connections")
    return
  }
  for (const listener of engine.onReset) listener(client)
  client.name = ""
  client.noEvict = false
  client.noTouch = false
  client.fieldsets = undefined
  client.replyMode = ReplyMode.On
  client.setCondition(ClientCondition.Silent | ClientCondition.Special, false)
  client.db = engine.keyspace.databases[0]!
  useProtocol(engine, client, engine.config.values.clientDefaultResp)
  client.setCondition(ClientCondition.NeedsAuth, engine.authenticator.welcome(client))
  reply.simple("RESET")
}
