/**
 * Channels, patterns and shard channels: who is subscribed to what, and delivery.
 *
 * A message is encoded once per protocol and then only copied to each subscriber. What goes to the very client whose command
 * is running waits until that command has replied, so that a push never lands inside a reply.
 *
 * Names are kept as strings of one character per byte, so that any bytes are told apart.
 */

import { latin1, latin1Bytes } from "../bytes/compare.ts"
import { globMatch } from "../bytes/glob.ts"
import { ReplyWriter } from "../resp/reply-writer.ts"
import { type Client, ClientCondition } from "./client.ts"
import type { Engine } from "./engine.ts"

/** What a client is subscribed to, in the order of subscribing. */
export class Subscriptions {
  readonly channels = new Set<string>()
  readonly patterns = new Set<string>()
  readonly shards = new Set<string>()

  get isEmpty(): boolean {
    return this.channels.size + this.patterns.size + this.shards.size === 0
  }
}

export type SubscriptionKind = "channels" | "patterns" | "shards"

interface Pattern {
  bytes: Uint8Array
  subscribers: Set<Client>
}

/** First words of the messages, by kind. */
const WORDS = {
  channels: { subscribe: "subscribe", unsubscribe: "unsubscribe" },
  patterns: { subscribe: "psubscribe", unsubscribe: "punsubscribe" },
  shards: { subscribe: "ssubscribe", unsubscribe: "sunsubscribe" },
} as const

export class PubSub {
  readonly channels = new Map<string, Set<Client>>()
  readonly shards = new Map<string, Set<Client>>()
  private readonly patterns = new Map<string, Pattern>()
  private readonly engine: Engine
  private readonly encoder = new ReplyWriter()

  constructor(engine: Engine) {
    this.engine = engine
    engine.clients.onGone.push(client => this.forget(client))
    engine.onReset.push(client => this.forget(client))
    engine.describers.push((client, details) => {
      const { subscriptions } = client
      if (subscriptions === undefined) return
      details.channels = subscriptions.channels.size
      details.patterns = subscriptions.patterns.size
      details.shardChannels = subscriptions.shards.size
    })
  }

  get patternCount(): number {
    return this.patterns.size
  }

  /** Subscribes and confirms. Subscribing twice is confirmed twice and counts once. */
  subscribe(client: Client, kind: SubscriptionKind, name: string): void {
    client.subscriptions ??= new Subscriptions()
    const { subscriptions } = client
    if (!subscriptions[kind].has(name)) {
      subscriptions[kind].add(name)
      this.subscribersOf(kind, name).add(client)
      this.noteState(client)
    }
    this.confirm(client, WORDS[kind].subscribe, name, this.count(client, kind))
  }

  /** Unsubscribes from a name, or from all of a kind when none is given, and confirms each. */
  unsubscribe(client: Client, kind: SubscriptionKind, names: readonly string[] | undefined): void {
    const own = client.subscriptions?.[kind]
    const given = names ?? [...(own ?? [])]
    for (const name of given) {
      this.remove(client, kind, name)
      this.confirm(client, WORDS[kind].unsubscribe, name, this.count(client, kind))
    }
    if (given.length === 0) this.confirm(client, WORDS[kind].unsubscribe, undefined, this.count(client, kind))
    this.noteState(client)
  }

  /** Sends a message; returns how many clients got it (one that has it through several patterns counts for each). */
  publish(channel: Uint8Array, message: Uint8Array): number {
    let receivers = this.deliver(this.channels.get(latin1(channel)), "message", [channel, message])
    for (const { bytes, subscribers } of this.patterns.values()) {
      if (!globMatch(bytes, 0, bytes.length, channel, 0, channel.length)) continue
      receivers += this.deliver(subscribers, "pmessage", [bytes, channel, message])
    }
    return receivers
  }

  publishShard(channel: Uint8Array, message: Uint8Array): number {
    return this.deliver(this.shards.get(latin1(channel)), "smessage", [channel, message])
  }

  /** Names of channels with subscribers, those that match a pattern if there is one. */
  names(of: ReadonlyMap<string, unknown>, pattern: Uint8Array | undefined): string[] {
    const names = [...of.keys()]
    if (pattern === undefined) return names
    return names.filter(name => globMatch(pattern, 0, pattern.length, latin1Bytes(name), 0, name.length))
  }

  /** Ends all subscriptions of a client without a word. */
  private forget(client: Client): void {
    const { subscriptions } = client
    if (subscriptions === undefined) return
    for (const kind of ["channels", "patterns", "shards"] as const) {
      for (const name of [...subscriptions[kind]]) this.remove(client, kind, name)
    }
    this.noteState(client)
  }

  private remove(client: Client, kind: SubscriptionKind, name: string): void {
    if (client.subscriptions?.[kind].delete(name) !== true) return
    const subscribers = this.subscribersOf(kind, name)
    subscribers.delete(client)
    if (subscribers.size === 0) this[kind].delete(name)
  }

  private subscribersOf(kind: SubscriptionKind, name: string): Set<Client> {
    if (kind === "patterns") {
      const known = this.patterns.get(name)
      if (known !== undefined) return known.subscribers
      const pattern = { bytes: latin1Bytes(name), subscribers: new Set<Client>() }
      this.patterns.set(name, pattern)
      return pattern.subscribers
    }
    const known = this[kind].get(name)
    if (known !== undefined) return known
    const subscribers = new Set<Client>()
    this[kind].set(name, subscribers)
    return subscribers
  }

  private noteState(client: Client): void {
    if (client.subscriptions?.isEmpty) client.subscriptions = undefined
    client.setCondition(ClientCondition.Subscribed, client.subscriptions !== undefined)
  }

  /** The number in a confirmation: channels and patterns together, shard channels apart. */
  private count(client: Client, kind: SubscriptionKind): number {
    const { subscriptions } = client
    if (subscriptions === undefined) return 0
    return kind === "shards" ? subscriptions.shards.size : subscriptions.channels.size + subscriptions.patterns.size
  }

  private confirm(client: Client, word: string, name: string | undefined, count: number): void {
    const { output } = this.engine
    const before = output.open(client)
    const reply = output.writer
    reply.push(3)
    reply.bulkText(word)
    if (name === undefined) reply.null()
    else {
      const bytes = latin1Bytes(name)
      reply.bulk(bytes, 0, bytes.length)
    }
    reply.integer(count)
    if (before !== client) output.open(before)
  }

  private deliver(subscribers: ReadonlySet<Client> | undefined, word: string, parts: readonly Uint8Array[]): number {
    if (subscribers === undefined) return 0
    const { output } = this.engine
    let plain: Uint8Array | undefined
    let pushed: Uint8Array | undefined
    for (const client of subscribers) {
      let message: Uint8Array
      if (client.protocol === 3) message = pushed ??= this.encode(true, word, parts)
      else message = plain ??= this.encode(false, word, parts)
      output.send(client, message)
    }
    if (subscribers.size > 0) this.engine.wakeTick()
    return subscribers.size
  }

  private encode(resp3: boolean, word: string, parts: readonly Uint8Array[]): Uint8Array {
    const { encoder } = this
    encoder.reset()
    encoder.resp3 = resp3
    encoder.push(parts.length + 1)
    encoder.bulkText(word)
    for (const part of parts) encoder.bulk(part, 0, part.length)
    return encoder.bytes.slice(0, encoder.at)
  }
}
