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

export interface ReadValue {
  type: string
  /** As RESP2 shows it; undefined when there is no command to read this type with. */
  reply: Reply | undefined
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
    return { type, expiry, reply: this.run(db, key, READERS[type] ?? []) }
  }

  private run(db: Database, key: Uint8Array, words: readonly string[]): Reply | undefined {
    const { call, engine, writer } = this
    const { keyspace } = engine
    const command = words.length === 0 ? undefined : engine.registry.find(words[0]!)
    if (command?.run === undefined) return undefined
    this.args.assign(words.map(word => (word === "?" ? key : latin1Bytes(word))))
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
    const reply = decodeReply(writer.bytes.subarray(0, writer.at))
    writer.reset()
    return reply
  }
}
