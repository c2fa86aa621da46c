/** Publish and subscribe: the commands, the gate for subscribed RESP2 clients, and keyspace notifications. */

import { bytesOf, latin1, latin1Bytes } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { unknownSubcommandOrArity } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import type { RegisteredCommand } from "../command/registry.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Notify } from "../keyspace/events.ts"
import { type Client, ClientCondition } from "./client.ts"
import type { Engine } from "./engine.ts"
import { engineHandlers } from "./handler.ts"
import type { SubscriptionKind } from "./pubsub.ts"

/** What a RESP2 client may call while it is subscribed: anything else would mix replies with messages. */
const ALLOWED = new Set([
  "subscribe",
  "ssubscribe",
  "sunsubscribe",
  "psubscribe",
  "unsubscribe",
  "punsubscribe",
  "ping",
  "quit",
  "reset",
])

export function subscribedGate(_engine: Engine, client: Client, command: RegisteredCommand): string | undefined {
  if ((client.conditions & ClientCondition.Subscribed) === 0 || client.protocol === 3) return undefined
  if (ALLOWED.has(command.fullName)) return undefined
  return (
    `ERR Can't execute '${command.fullName}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are ` +
    "allowed in this context"
  )
}

/** Publishes keyspace notifications as notify-keyspace-events asks for. */
export function publishNotifications(engine: Engine): void {
  const { keyspace, pubsub } = engine
  keyspace.events.onNotify = (event, db, key, start, end) => {
    const flags = keyspace.events.notifyFlags
    const name = key.slice(start, end)
    const prefix = (kind: string): Uint8Array => latin1Bytes(`__${kind}@${db.index}__:`)
    if ((flags & Notify.Keyspace) !== 0) pubsub.publish(join(prefix("keyspace"), name), bytesOf(event))
    if ((flags & Notify.Keyevent) !== 0) pubsub.publish(join(prefix("keyevent"), bytesOf(event)), name)
  }
  publishFields(engine)
}

/** Publishes which fields of a hash an event was about. Fields stand in payloads with their lengths, as they may hold anything. */
function publishFields(engine: Engine): void {
  const { keyspace, pubsub } = engine
  keyspace.events.onFields = (event, db, key, start, end, fields) => {
    const flags = keyspace.events.notifyFlags
    const name = latin1(key, start, end)
    const names = fields.map(field => latin1(field))
    const list = names.map(field => `${field.length}:${field}`).join()
    const publish = (kind: string, rest: string, payload: string): void => {
      pubsub.publish(latin1Bytes(`__${kind}@${db.index}__:${rest}`), latin1Bytes(payload))
    }
    if ((flags & Notify.Subkeyspace) !== 0) publish("subkeyspace", name, `${event}|${list}`)
    if ((flags & Notify.Subkeyevent) !== 0) publish("subkeyevent", event, `${end - start}:${name}|${list}`)
    if ((flags & Notify.Subkeyspaceitem) !== 0 && !name.includes("\n")) {
      for (const field of names) publish("subkeyspaceitem", `${name}\n${field}`, event)
    }
    if ((flags & Notify.Subkeyspaceevent) !== 0) publish("subkeyspaceevent", `${event}|${name}`, list)
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}

export function pubsubCommands(of: () => Engine): readonly CommandSpec[] {
  const handle = engineHandlers(of)
  const subscribing = (kind: SubscriptionKind) =>
    handle((call, engine, client) => {
      // Who may not wait expects one reply to each command. In a transaction subscribing is allowed of old, but for shards.
      const inTransaction = (client.conditions & ClientCondition.InTransaction) !== 0
      if (client.denyBlocking && (!inTransaction || kind === "shards")) {
        call.reply.error(`ERR ${call.command.fullName.toUpperCase()} isn't allowed for a DENY BLOCKING client`)
        return
      }
      for (let i = 1; i < call.args.count; i++) engine.pubsub.subscribe(client, kind, call.args.latin1(i))
    })
  const unsubscribing = (kind: SubscriptionKind) =>
    handle((call, engine, client) => engine.pubsub.unsubscribe(client, kind, namesFrom(call)))
  const counting = (kind: "channels" | "shards") =>
    handle(({ args, reply }, engine) => {
      reply.array((args.count - 2) * 2)
      for (let i = 2; i < args.count; i++) {
        reply.bulk(args.bytes, args.start(i), args.end(i))
        reply.integer(engine.pubsub[kind].get(args.latin1(i))?.size ?? 0)
      }
    })
  const listing = (kind: "channels" | "shards") =>
    handle((call, engine) => {
      const { args, reply } = call
      if (args.count > 3) {
        reply.error(unknownSubcommandOrArity(args.latin1(1), "pubsub"))
        return
      }
      const names = engine.pubsub.names(engine.pubsub[kind], args.count > 2 ? args.copy(2) : undefined)
      reply.array(names.length)
      for (const name of names) reply.bulk(latin1Bytes(name), 0, name.length)
    })
  return [
    {
      name: "psubscribe",
      since: "2.0.0",
      group: "pubsub",
      arity: -2,
      flags: "pubsub noscript loading stale",
      syntax: "pattern...",
      summary: "Subscribes to the channels that match patterns.",
      complexity: "O(N), N patterns",
      run: subscribing("patterns"),
    },
    {
      name: "publish",
      since: "2.0.0",
      group: "pubsub",
      arity: 3,
      flags: "pubsub loading stale fast may_replicate",
      syntax: "channel message",
      summary: "Sends a message to a channel.",
      complexity: "O(N+M), N subscribers of the channel, M patterns in use",
      run: handle(({ args, db, reply }, engine) => {
        engine.propagator.message(db, args)
        reply.integer(engine.pubsub.publish(args.copy(1), args.copy(2)))
      }),
    },
    {
      name: "pubsub",
      since: "2.8.0",
      group: "pubsub",
      arity: -2,
      flags: "",
      syntax: "",
      summary: "Holds the commands about channels.",
      complexity: "depends on the subcommand",
      subcommands: [
        {
          name: "channels",
          since: "2.8.0",
          group: "pubsub",
          arity: -2,
          flags: "pubsub loading stale",
          syntax: "[pattern]",
          summary: "Lists the channels that have subscribers.",
          complexity: "O(N), N channels in use",
          run: listing("channels"),
        },
        {
          name: "help",
          since: "6.2.0",
          group: "pubsub",
          arity: 2,
          flags: "loading stale",
          syntax: "",
          summary: "Lists the subcommands of PUBSUB.",
          complexity: "O(1)",
          run: helpOf,
        },
        {
          name: "numpat",
          since: "2.8.0",
          group: "pubsub",
          arity: 2,
          flags: "pubsub loading stale",
          syntax: "",
          summary: "Counts the distinct patterns that are subscribed to.",
          complexity: "O(1)",
          run: handle(({ reply }, engine) => reply.integer(engine.pubsub.patternCount)),
        },
        {
          name: "numsub",
          since: "2.8.0",
          group: "pubsub",
          arity: -2,
          flags: "pubsub loading stale",
          syntax: "[channel...]",
          summary: "Counts the subscribers of channels.",
          complexity: "O(N), N channels",
          run: counting("channels"),
        },
        {
          name: "shardchannels",
          since: "7.0.0",
          group: "pubsub",
          arity: -2,
          flags: "pubsub loading stale",
          syntax: "[pattern]",
          summary: "Lists the shard channels that have subscribers.",
          complexity: "O(N), N shard channels in use",
          run: listing("shards"),
        },
        {
          name: "shardnumsub",
          since: "7.0.0",
          group: "pubsub",
          arity: -2,
          flags: "pubsub loading stale",
          syntax: "[shardchannel...]",
          summary: "Counts the subscribers of shard channels.",
          complexity: "O(N), N shard channels",
          run: counting("shards"),
        },
      ],
    },
    {
      name: "punsubscribe",
      since: "2.0.0",
      group: "pubsub",
      arity: -1,
      flags: "pubsub noscript loading stale",
      syntax: "[pattern...]",
      summary: "Ends subscriptions to patterns, or all of them.",
      complexity: "O(N), N patterns",
      run: unsubscribing("patterns"),
    },
    {
      name: "spublish",
      since: "7.0.0",
      group: "pubsub",
      arity: 3,
      flags: "pubsub loading stale fast may_replicate",
      keys: "not_key @1",
      syntax: "shardchannel message",
      summary: "Sends a message to a shard channel.",
      complexity: "O(N), N subscribers of the channel",
      run: handle(({ args, db, reply }, engine) => {
        engine.propagator.message(db, args)
        reply.integer(engine.pubsub.publishShard(args.copy(1), args.copy(2)))
      }),
    },
    {
      name: "ssubscribe",
      since: "7.0.0",
      group: "pubsub",
      arity: -2,
      flags: "pubsub noscript loading stale",
      keys: "not_key @1..-1",
      syntax: "shardchannel...",
      summary: "Subscribes to shard channels.",
      complexity: "O(N), N shard channels",
      run: subscribing("shards"),
    },
    {
      name: "subscribe",
      since: "2.0.0",
      group: "pubsub",
      arity: -2,
      flags: "pubsub noscript loading stale",
      syntax: "channel...",
      summary: "Subscribes to channels.",
      complexity: "O(N), N channels",
      run: subscribing("channels"),
    },
    {
      name: "sunsubscribe",
      since: "7.0.0",
      group: "pubsub",
      arity: -1,
      flags: "pubsub noscript loading stale",
      keys: "not_key @1..-1",
      syntax: "[shardchannel...]",
      summary: "Ends subscriptions to shard channels, or all of them.",
      complexity: "O(N), N shard channels",
      run: unsubscribing("shards"),
    },
    {
      name: "unsubscribe",
      since: "2.0.0",
      group: "pubsub",
      arity: -1,
      flags: "pubsub noscript loading stale",
      syntax: "[channel...]",
      summary: "Ends subscriptions to channels, or all of them.",
      complexity: "O(N), N channels",
      run: unsubscribing("channels"),
    },
  ]
}

function namesFrom({ args }: Call): string[] | undefined {
  if (args.count === 1) return undefined
  const names: string[] = []
  for (let i = 1; i < args.count; i++) names.push(args.latin1(i))
  return names
}
