/**
 * Reads values through the very commands that clients read them with, in whatever form they are kept, without leaving a
 * trace: no hits, no statistics, no access times. For DEBUG, where knowing every form would tie this room to all of them.
 */

import { latin1Bytes } from "../bytes/compare.ts"
import { Call } from "../command/context.ts"
import type { Client } from "../engine/client.ts"
import type { Engine } from "../engine/engine.ts"
import type { Database } from "../keyspace/db.ts"
import { typeName, typeOfKind } from "../keyspace/kinds.ts"
import { Arguments } from "../resp/arguments.ts"
import { decodeReply, type Reply } from "../resp/reply-decoder.ts"
import { ReplyWriter } from "../resp/reply-writer.ts"

/** What reads a whole value of each type; the key goes in the place of "?". */
const READERS: Readonly<Record<string, readonly string[]>> = {
  string: ["get", "?"],
  list: ["lrange", "?", "0", "-1"],
  set: ["smembers", "?"],
  hash: ["hgetall", "?"],
  zset: ["zrange", "?", "0", "-1", "withscores"],
  stream: ["xrange", "?", "-", "+"],
}

/** What else belongs to values of a type: when the fields of a hash expire; a stream's ids, groups and pending entries. */
const DETAIL_READERS: Readonly<Record<string, (key: Uint8Array, reply: Reply | undefined) => [string, Word[]]>> = {
  hash: (key, reply) => {
    const fields = itemsOf(reply).filter((_, i) => i % 2 === 0)
    const names = fields.map(field => (field as { value: Uint8Array }).value)
    return ["hpexpiretime", ["hpexpiretime", key, "fields", String(names.length), ...names]]
  },
  stream: key => ["xinfo|stream", ["xinfo", "stream", key, "full", "count", "0"]],
}

type Word = string | Uint8Array

export interface ReadValue {
  type: string
  /** As RESP2 shows it; undefined when there is no command to read this type with. */
  reply: Reply | undefined
  /** Of a hash: when its fields expire, in their order in `reply`, -1 for never. Of a stream: XINFO STREAM FULL. */
  details: Reply | undefined
  /** Expiry in ms, 0 when there is none. */
  expiry: number
}

export class ValueReader {
  private readonly engine: Engine
  private readonly client: Client
  private readonly call = new Call()
  private readonly writer = new ReplyWriter()
  private readonly args = new Arguments()

  constructor(engine: Engine) {
    this.engine = engine
    this.client = engine.clients.create()
    const { call } = this
    call.args = this.args
    call.reply = this.writer
    call.client = this.client
    call.keyspace = engine.keyspace
    call.config = engine.config
    call.blocking = engine.blocking
    call.propagation = engine.propagator
  }

  /** The value under a key, undefined when there is none. */
  read(db: Database, key: Uint8Array): ReadValue | undefined {
    const address = db.find(key, 0, key.length)
    if (address === 0) return undefined
    const type = typeName(typeOfKind(db.keys.type(address)))
    const expiry = db.keys.expiry(address)
    const words = READERS[type]
    const reply =
      words &&
      this.run(
        db,
        words[0]!,
        words.map(word => (word === "?" ? key : word)),
      )
    // All its fields have expired: it is on its way out.
    if (type === "hash" && itemsOf(reply).length === 0) return undefined
    const details = DETAIL_READERS[type]
    return { type, expiry, reply, details: details && this.run(db, ...details(key, reply)) }
  }

  private run(db: Database, name: string, words: readonly Word[]): Reply | undefined {
    const { call, engine, writer } = this
    const { keyspace } = engine
    const command = engine.registry.find(name)
    if (command?.run === undefined) return undefined
    this.args.assign(words.map(word => (typeof word === "string" ? latin1Bytes(word) : word)))
    this.client.db = db
    call.db = db
    call.command = command
    writer.at = 0
    const { hits, misses } = keyspace.events
    const { touching } = keyspace
    keyspace.touching = false
    try {
      command.run(call)
    } finally {
      keyspace.touching = touching
      keyspace.events.hits = hits
      keyspace.events.misses = misses
    }
    const reply = decodeReply(writer.bytes.slice(0, writer.at))
    writer.reset()
    return reply
  }
}

/** The elements of an array reply, none of any other. */
export function itemsOf(reply: Reply | undefined): readonly Reply[] {
  return reply?.type === "array" ? reply.items : []
}
