/** The commands of replication. */

import type { Call } from "../command/context.ts"
import { NOT_INTEGER, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { splitArguments } from "../config/arguments.ts"
import type { Client } from "../engine/client.ts"
import { describeClient } from "../engine/client-description.ts"
import { writeRole } from "./info.ts"
import type { ReplicaTerms } from "./replica.ts"
import type { Replication } from "./replication.ts"

const HOST_BYTES_MAX = 1025

type ReplicationHandler = (call: Call, replication: Replication, client: Client) => void

export function replicationCommands(of: () => Replication): readonly CommandSpec[] {
  const on = (handler: ReplicationHandler) => (call: Call) => handler(call, of(), call.client as Client)
  const follow = {
    group: "server",
    arity: 3,
    flags: "admin noscript stale no_async_loading",
    syntax: "args=(host-port=(host port:integer)|no-one=(NO ONE))",
    summary: "Makes the server a replica of another one, or a master.",
    complexity: "O(1)",
    run: on(replicaOf),
  } as const
  return [
    {
      name: "failover",
      since: "6.2.0",
      group: "server",
      arity: -1,
      flags: "admin noscript stale",
      syntax: "[target=TO(host port:integer [FORCE])] [ABORT] [TIMEOUT milliseconds:integer]",
      summary: "Hands the role of master over to a replica.",
      complexity: "O(1)",
      run: on(failover),
    },
    {
      name: "psync",
      since: "2.8.0",
      group: "server",
      arity: -3,
      flags: "admin noscript no_async_loading no_multi",
      syntax: "replicationid offset:integer",
      summary: "Asks for the replication stream from a place on.",
      complexity: "O(1), and the transfer of all data where it is needed",
      run: on((call, replication, client) => synchronize(call, replication, client, true)),
    },
    {
      name: "replconf",
      since: "3.0.0",
      group: "server",
      arity: -1,
      flags: "admin noscript loading stale allow_busy",
      docFlags: "syscmd",
      syntax: "",
      summary: "Lets replicas and masters tell each other about themselves.",
      complexity: "O(1)",
      run: on(replconf),
    },
    { name: "replicaof", since: "5.0.0", ...follow },
    {
      name: "role",
      since: "2.8.12",
      group: "server",
      arity: 1,
      flags: "noscript loading stale fast",
      categories: "admin dangerous",
      syntax: "",
      summary: "Describes the role of the server in replication.",
      complexity: "O(1)",
      run: on(({ reply }, replication) => writeRole(reply, replication)),
    },
    { name: "slaveof", since: "1.0.0", ...follow, deprecated: { since: "5.0.0", replacedBy: "`REPLICAOF`" } },
    {
      name: "sync",
      since: "1.0.0",
      group: "server",
      arity: 1,
      flags: "admin noscript no_async_loading no_multi",
      syntax: "",
      summary: "Asks for all data and the replication stream.",
      complexity: "O(N), N keys",
      run: on((call, replication, client) => synchronize(call, replication, client, false)),
    },
  ]
}

function replicaOf({ args, reply }: Call, replication: Replication, client: Client): void {
  const { engine, failover: handover, link } = replication
  const { values } = engine.config
  if (values.clusterEnabled) reply.error("ERR REPLICAOF not allowed in cluster mode.")
  else if (handover.state !== "no-failover") reply.error("ERR REPLICAOF not allowed while failing over.")
  else if (args.is(1, "no") && args.is(2, "one")) {
    if (!replication.isMaster) {
      replication.becomeMaster()
      engine.log("notice", `MASTER MODE enabled (user request from '${describeClient(engine, client, args)}')`)
    }
    reply.ok()
  } else if (client.isReplica) reply.error("ERR Command is not valid when client is a replica.")
  else {
    const port = args.int64(2)
    if (port === undefined || port < 0 || port > 65535) {
      reply.error("ERR Invalid master port")
      return
    }
    const host = args.latin1(1)
    if (!replication.isMaster && link.host.toLowerCase() === host.toLowerCase() && link.port === Number(port)) {
      engine.log(
        "notice",
        "REPLICAOF would result into synchronization with the master we are already connected with. No operation performed.",
      )
      reply.simple("OK Already connected to specified master")
      return
    }
    replication.becomeReplica(host, Number(port))
    engine.log(
      "notice",
      `REPLICAOF ${host}:${port} enabled (user request from '${describeClient(engine, client, args)}')`,
    )
    reply.ok()
  }
}

/** SYNC and PSYNC. Once it is accepted, the client is a replica, and is answered by the stream only. */
function synchronize(call: Call, replication: Replication, client: Client, isPsync: boolean): void {
  const { args, reply } = call
  const { engine, failover: handover, link, replicas } = replication
  if (client.isReplica || client.monitoring) return
  if (isPsync && args.count > 3 && args.is(3, "failover") && !promote(call, replication, client)) return
  if (handover.state !== "no-failover") {
    reply.error("NOMASTERLINK Can't SYNC while failing over")
    return
  }
  if (!replication.isMaster && link.state !== "connected") {
    reply.error("NOMASTERLINK Can't SYNC while not connected with my master")
    return
  }
  const terms = replicas.termsOf(client)
  if (terms.filter !== undefined && !terms.understandsEof) {
    reply.error("ERR Filtered replica requires EOF capability")
    return
  }
  const next = isPsync ? args.int64(2) : 0
  engine.log("notice", `Replica ${nameOf(client, terms)} asks for synchronization`)
  if (next === undefined) {
    engine.log("warning", `Replica ${nameOf(client, terms)} asks for synchronization but with a wrong offset`)
    reply.error(NOT_INTEGER)
    return
  }
  // The stream is complete up to here, and the answers so far are out.
  engine.flushPropagation()
  engine.output.flush()
  if (client.pendingBytes > 0 || client.transport === undefined) {
    reply.error("ERR SYNC and PSYNC are invalid with pending output")
    return
  }
  const id = isPsync ? args.latin1(1) : "?"
  if (isPsync) {
    if (replicas.tryPartialSync(client, id, Number(next))) return
    if (id[0] !== "?") replicas.refusedPartialSyncs++
  }
  replicas.beginFullSync(client, !isPsync)
}

function nameOf(client: Client, { address, listeningPort }: ReplicaTerms): string {
  const at = client.transport?.remoteAddress ?? "?:0"
  const host = address === "" ? at.slice(0, at.lastIndexOf(":")) : address
  return listeningPort > 0 ? `${host}:${listeningPort}` : `client id #${client.id}`
}

/** PSYNC … FAILOVER: our master asks us to take its place. False after having answered with an error. */
function promote({ args, reply }: Call, replication: Replication, client: Client): boolean {
  const { engine, history } = replication
  const id = args.latin1(1)
  engine.log("notice", `Failover request received for replid ${id}.`)
  if (replication.isMaster) {
    reply.error("ERR PSYNC FAILOVER can't be sent to a master.")
    return false
  }
  if (id.toLowerCase() !== history.id) {
    reply.error("ERR PSYNC FAILOVER replid must match my replid.")
    return false
  }
  replication.becomeMaster()
  engine.log("notice", `MASTER MODE enabled (failover request from '${describeClient(engine, client, args)}')`)
  return true
}

function replconf({ args, reply }: Call, replication: Replication, client: Client): void {
  if (args.count % 2 === 0) {
    reply.error(SYNTAX)
    return
  }
  const { link, replicas } = replication
  for (let i = 1; i < args.count; i += 2) {
    if (args.is(i, "ack")) {
      acknowledge(args, i, replication, client)
      return
    }
    if (args.is(i, "getack")) {
      if (client.isMaster) link.acknowledge()
      return
    }
    const error = note(replicas.termsOf(client), args.latin1(i), args.latin1(i + 1))
    if (error !== undefined) {
      reply.error(error)
      return
    }
  }
  reply.ok()
}

/** ACK is not answered. */
function acknowledge(args: Call["args"], i: number, { replicas }: Replication, client: Client): void {
  const replica = replicas.of(client)
  const offset = args.int64(i + 1)
  if (replica === undefined || offset === undefined) return
  const synced = args.count > i + 3 && args.is(i + 2, "fack") ? args.int64(i + 3) : undefined
  replicas.acknowledged(replica, Number(offset), synced === undefined ? undefined : Number(synced))
}

/** What a replica says about itself; an error text when it is not understood. */
function note(terms: ReplicaTerms, option: string, value: string): string | undefined {
  switch (option.toLowerCase()) {
    case "listening-port": {
      const port = Number(value)
      if (!/^-?\d+$/.test(value)) return NOT_INTEGER
      terms.listeningPort = port
      return undefined
    }
    case "ip-address":
      if (value.length >= HOST_BYTES_MAX) {
        return `ERR REPLCONF ip-address provided by replica instance is too long: ${value.length} bytes`
      }
      terms.address = value
      return undefined
    case "capa": {
      const capability = value.toLowerCase()
      if (capability === "eof") terms.understandsEof = true
      else if (capability === "psync2") terms.understandsPsync2 = true
      else if (capability === "rdb12") terms.understandsRdb12 = true
      return undefined
    }
    case "rdb-only":
      if (!/^-?\d+$/.test(value)) return NOT_INTEGER
      if (value !== "0" && value !== "1") return "ERR value is out of range, must be between 0 and 1"
      terms.snapshotOnly = value === "1"
      return undefined
    case "rdb-filter-only": {
      const names = splitArguments(value)
      if (names === undefined) return "ERR Missing rdb-filter-only values"
      const unknown = names.find(name => name.toLowerCase() !== "functions")
      terms.filter = { functions: (terms.filter?.functions ?? false) || names.length > 0 }
      return unknown === undefined ? undefined : `ERR Unsupported rdb-filter-only option: ${unknown}`
    }
    default:
      return `ERR Unrecognized REPLCONF option: ${option}`
  }
}

function failover({ args, reply }: Call, replication: Replication): void {
  const { engine, failover: handover, replicas } = replication
  if (args.count === 2 && args.is(1, "abort")) {
    if (handover.state === "no-failover") reply.error("ERR No failover in progress.")
    else {
      handover.abort("Failover manually aborted")
      reply.ok()
    }
    return
  }
  const request = parseFailover(args)
  if (typeof request === "string") {
    reply.error(request)
    return
  }
  const { force, target, timeoutMs } = request
  const refusal = (): string | undefined => {
    if (engine.config.values.clusterEnabled) return "FAILOVER not allowed in cluster mode."
    if (handover.state !== "no-failover") return "FAILOVER already in progress."
    if (!replication.isMaster) return "FAILOVER is not valid when server is a replica."
    if (replicas.all.size === 0) return "FAILOVER requires connected replicas."
    if (force && (timeoutMs === 0 || target === undefined)) {
      return "FAILOVER with force option requires both a timeout and target HOST and IP."
    }
    if (target === undefined) return undefined
    const replica = replicas.find(target.host, target.port)
    if (replica === undefined) return "FAILOVER target HOST and PORT is not a replica."
    return replica.state === "online" ? undefined : "FAILOVER target replica is not online."
  }
  const refused = refusal()
  if (refused !== undefined) {
    reply.error(`ERR ${refused}`)
    return
  }
  handover.begin(request)
  reply.ok()
}

function parseFailover(
  args: Call["args"],
): { target: { host: string; port: number } | undefined; timeoutMs: number; force: boolean } | string {
  let target: { host: string; port: number } | undefined
  let timeoutMs = 0
  let force = false
  for (let i = 1; i < args.count; i++) {
    if (args.is(i, "timeout") && i + 1 < args.count && timeoutMs === 0) {
      const timeout = args.int64(++i)
      if (timeout === undefined) return NOT_INTEGER
      if (timeout <= 0) return "ERR FAILOVER timeout must be greater than 0"
      timeoutMs = Number(timeout)
    } else if (args.is(i, "to") && i + 2 < args.count && target === undefined) {
      const port = args.int64(i + 2)
      if (port === undefined) return NOT_INTEGER
      target = { host: args.latin1(i + 1), port: Number(port) }
      i += 2
    } else if (args.is(i, "force") && !force) force = true
    else return SYNTAX
  }
  return { target, timeoutMs, force }
}
