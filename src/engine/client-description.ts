/**
 * A client as CLIENT LIST and CLIENT INFO show it: one line of `name=value` in the fields and the order of Redis 7.4.
 * What only a subsystem knows (subscriptions, a transaction, tracking) it adds through `engine.describers`.
 */

import type { Arguments } from "../resp/arguments.ts"
import { type Client, ClientCondition } from "./client.ts"
import type { Engine } from "./engine.ts"

/** Part of a line that subsystems fill in; idle values to begin with. */
export class ClientDetails {
  channels = 0
  patterns = 0
  shardChannels = 0
  /** Commands queued in a transaction; -1 outside of one. */
  queued = -1
  queuedBytes = 0
  watchedKeys = 0
  /** Client that gets the tracking messages; -1 when there is none, 0 when it is this one. */
  redirect = -1
  /** Letters beyond those the client itself knows: t, R, B (tracking), d (a watched key changed), r (READONLY) … */
  flags = ""
  bytes = 0
}

export type ClientType = "normal" | "master" | "replica" | "pubsub"

/** The order in which Redis prints the letters. */
const FLAG_ORDER = "OSMPxbtRBdcuAUreTI"
/** All letters that a client can have. */
export const CLIENT_FLAGS = `${FLAG_ORDER}N`
/** What a connection costs before it has sent or asked anything: its objects and the socket's. */
const IDLE_CLIENT_BYTES = 2048
/** Of an unfinished argument this long, what came before it is not counted as waiting: Redis has put it away by then. */
const LONG_ARGUMENT_BYTES = 32 * 1024

export function clientType(client: Client): ClientType {
  if (client.isReplica && !client.monitoring) return "replica"
  if (client.isMaster) return "master"
  return (client.conditions & ClientCondition.Subscribed) !== 0 ? "pubsub" : "normal"
}

/** A type by the name that CLIENT LIST TYPE and CLIENT KILL TYPE take. */
export function clientTypeNamed(name: string): ClientType | undefined {
  const word = name.toLowerCase()
  if (word === "slave") return "replica"
  return word === "normal" || word === "master" || word === "replica" || word === "pubsub" ? word : undefined
}

export function detailsOf(engine: Engine, client: Client): ClientDetails {
  const details = new ClientDetails()
  for (const describe of engine.describers) describe(client, details)
  return details
}

/** Memory that a client holds: requests not run yet, replies not sent yet, what subsystems keep. An estimate. */
export function clientBytes(client: Client, details: ClientDetails): number {
  const kept = client.fieldsets?.bytes ?? 0
  return IDLE_CLIENT_BYTES + client.queryBytes + client.pendingBytes + details.queuedBytes + details.bytes + kept
}

/** Of the argument that is being received, what has been announced and has not come: the buffer has been made for it. */
export function announcedBytes({ parser, queryBytes }: Client): number {
  return parser.midway ? Math.max(0, parser.needed - 2 - queryBytes) : 0
}

/** @param running the arguments of the command that the client runs right now, if it does */
export function describeClient(engine: Engine, client: Client, running?: Arguments): string {
  const { keyspace } = engine
  const { transport } = client
  const details = detailsOf(engine, client)
  const queryBytes = client.queryBytes > 0 ? waitingBytes(client) : frameBytes(running)
  return [
    `id=${client.id}`,
    `addr=${transport?.remoteAddress ?? "?:0"}`,
    `laddr=${transport?.localAddress ?? "?:0"}`,
    `fd=${transport?.fd ?? -1}`,
    `name=${client.name}`,
    `age=${seconds(keyspace.now - client.createdAt)}`,
    `idle=${seconds(keyspace.now - client.seenAt)}`,
    `flags=${flagsOf(client, details)}`,
    `db=${client.db.index}`,
    `sub=${details.channels}`,
    `psub=${details.patterns}`,
    `ssub=${details.shardChannels}`,
    `multi=${details.queued}`,
    `watch=${details.watchedKeys}`,
    `qbuf=${queryBytes}`,
    "qbuf-free=0",
    `argv-mem=${argumentBytes(running)}`,
    `multi-mem=${details.queuedBytes}`,
    "rbs=0",
    "rbp=0",
    "obl=0",
    `oll=${client.pending.length}`,
    `omem=${client.pendingBytes}`,
    `tot-mem=${clientBytes(client, details) + announcedBytes(client) + Math.max(0, queryBytes - client.queryBytes)}`,
    `events=${client.pending.length > 0 ? "rw" : "r"}`,
    `cmd=${client.lastCommand?.fullName ?? "NULL"}`,
    `user=${client.user}`,
    `redir=${details.redirect}`,
    `resp=${client.protocol}`,
    `lib-name=${client.libName}`,
    `lib-ver=${client.libVersion}`,
  ].join(" ")
}

/** The letters of a client's state. */
export function clientFlags(engine: Engine, client: Client): string {
  return flagsOf(client, detailsOf(engine, client))
}

function flagsOf(client: Client, details: ClientDetails): string {
  let set = details.flags
  if (client.monitoring) set += "O"
  else if (client.isReplica) set += "S"
  if (client.isMaster) set += "M"
  if ((client.conditions & ClientCondition.Subscribed) !== 0) set += "P"
  if ((client.conditions & ClientCondition.InTransaction) !== 0) set += "x"
  if (client.blocked) set += "b"
  if (client.closing) set += "c"
  if (client.transport?.isUnix) set += "U"
  if (client.noEvict) set += "e"
  if (client.noTouch) set += "T"
  const ordered = [...FLAG_ORDER].filter(letter => set.includes(letter)).join("")
  return ordered === "" ? "N" : ordered
}

function seconds(ms: number): number {
  return Math.max(0, Math.floor(ms / 1000))
}

function waitingBytes({ parser, queryBytes }: Client): number {
  const isLong = parser.midway && parser.argumentAt > 0 && parser.needed - 2 - parser.argumentAt >= LONG_ARGUMENT_BYTES
  return isLong ? queryBytes - parser.argumentAt : queryBytes
}

function frameBytes(args: Arguments | undefined): number {
  return args === undefined || args.frameStart < 0 ? 0 : args.frameEnd - args.frameStart
}

function argumentBytes(args: Arguments | undefined): number {
  let sum = 0
  if (args !== undefined) for (let i = 0; i < args.count; i++) sum += args.length(i)
  return sum
}
