/**
 * DEBUG DIGEST: 20 bytes that are the same for the same data, whatever its form and order of insertion, and all zero
 * for none. As in Redis, ordered things are hashed in a chain and unordered ones combined by xor; the bytes that are
 * hashed are our own, so digests compare between servers of this kind only.
 *
 * That a key or a field expires is part of it, when is not (it depends on the moment). Of a stream, its groups and their
 * pending entries count with it; when an entry was delivered, and when a consumer was seen, do not.
 */

import { bytesOf, latin1Bytes } from "../bytes/compare.ts"
import type { Engine } from "../engine/engine.ts"
import type { Database } from "../keyspace/db.ts"
import type { Reply } from "../resp/reply-decoder.ts"
import { itemsOf, type ReadValue, type ValueReader } from "./value-reader.ts"

const DIGEST_BYTES = 20
const SCAN_COUNT = 100

type Digest = Uint8Array<ArrayBuffer>

export function hex(digest: Uint8Array): string {
  return Buffer.from(digest).toString("hex")
}

/** Of all databases. Keys that have expired meanwhile do not count. O(all data), on one tick. */
export function digestOfAll(engine: Engine, reader: ValueReader): Digest {
  const all = new Uint8Array(DIGEST_BYTES)
  for (const db of engine.keyspace.databases) {
    for (const key of keysOf(db)) {
      const value = reader.read(db, key)
      if (value !== undefined) xorInto(all, chain(bytesOf(`db ${db.index}`), key, digestOf(value)))
    }
  }
  return all
}

/** Of one value, without its key. Zero for an absent one. */
export function digestOfKey(db: Database, key: Uint8Array, reader: ValueReader): Digest {
  const value = reader.read(db, key)
  return value === undefined ? new Uint8Array(DIGEST_BYTES) : digestOf(value)
}

/** Copies of all keys, so that reading their values may remove expired ones. */
function keysOf({ keys }: Database): Uint8Array[] {
  const found: Uint8Array[] = []
  let cursor = 0
  do {
    const addresses: number[] = []
    cursor = keys.scan(cursor, SCAN_COUNT, addresses)
    for (const address of addresses) {
      keys.readKey(address)
      found.push(keys.keyBytes.slice(keys.keyStart, keys.keyEnd))
    }
  } while (cursor !== 0)
  return found
}

function digestOf({ type, reply, details, expiry }: ReadValue): Digest {
  const content = contentOf(type, reply, details)
  return chain(bytesOf(type), content, bytesOf(expiry > 0 ? "expires" : "stays"))
}

function contentOf(type: string, reply: Reply | undefined, details: Reply | undefined): Digest {
  if (reply === undefined) return new Uint8Array(DIGEST_BYTES)
  if (reply.type !== "array") return chain(bytesOfReply(reply))
  const items = reply.items
  if (type === "set") return xorOf(items, 1)
  if (type === "zset") return xorOf(items, 2)
  if (type === "hash") return xorOf(withExpiry(items, itemsOf(details)), 3)
  const content = chain(...items.map(bytesOfReply))
  return type === "stream" ? chain(content, streamState(details)) : content
}

/** Fields and values with, after each pair, whether the field expires. */
function withExpiry(pairs: readonly Reply[], times: readonly Reply[]): Reply[] {
  const triples: Reply[] = []
  for (let i = 0; i < pairs.length; i += 2) {
    const time = times[i / 2]
    const expires = time?.type === "integer" && time.value > 0
    triples.push(pairs[i]!, pairs[i + 1]!, { type: "simple", value: expires ? "expires" : "stays" })
  }
  return triples
}

/** What XINFO STREAM FULL shows beside the entries, without times. */
function streamState(details: Reply | undefined): Digest {
  const parts = ["last-generated-id", "max-deleted-entry-id", "entries-added"].map(name => partOf(details, name))
  for (const group of itemsOf(fieldOf(details, "groups"))) {
    parts.push(partOf(group, "name"), partOf(group, "last-delivered-id"), partOf(group, "entries-read"))
    for (const consumer of itemsOf(fieldOf(group, "consumers"))) parts.push(partOf(consumer, "name"))
    // Id, consumer, time of delivery, count of deliveries.
    for (const pending of itemsOf(fieldOf(group, "pending"))) {
      parts.push(...[0, 1, 3].map(i => bytesOfReply(itemsOf(pending)[i] ?? NONE)))
    }
  }
  return chain(...parts)
}

const NONE: Reply = { type: "simple", value: "" }

/** The value after a name in a reply of names and values. */
function fieldOf(reply: Reply | undefined, name: string): Reply | undefined {
  const items = itemsOf(reply)
  for (let i = 0; i + 1 < items.length; i += 2) {
    const found = items[i]!
    if (found.type === "bulk" && Buffer.from(found.value).toString("latin1") === name) return items[i + 1]
  }
  return undefined
}

function partOf(reply: Reply | undefined, name: string): Uint8Array {
  return bytesOfReply(fieldOf(reply, name) ?? NONE)
}

/** Elements of `width` items each, in any order. */
function xorOf(items: readonly Reply[], width: number): Digest {
  const sum = new Uint8Array(DIGEST_BYTES)
  for (let i = 0; i + width <= items.length; i += width) {
    xorInto(sum, chain(...items.slice(i, i + width).map(bytesOfReply)))
  }
  return sum
}

/** An item as bytes; what is nested is hashed into one. */
function bytesOfReply(reply: Reply): Uint8Array {
  switch (reply.type) {
    case "bulk":
    case "verbatim":
      return reply.value
    case "array":
      return chain(...reply.items.map(bytesOfReply))
    case "simple":
    case "error":
      return latin1Bytes(reply.value)
    case "integer":
      return bytesOf(String(reply.value))
    default:
      return bytesOf(reply.type)
  }
}

/** The digest of parts in their order; their lengths count, so that "ab" "c" is not "a" "bc". */
function chain(...parts: readonly Uint8Array[]): Digest {
  const sum = new Uint8Array(DIGEST_BYTES)
  for (const part of parts) {
    const joined = new Uint8Array(DIGEST_BYTES + part.length)
    joined.set(sum)
    joined.set(part, DIGEST_BYTES)
    // The runtime's own: 0.1 µs for what takes 1 µs in JavaScript, and there are seven per key.
    Bun.SHA1.hash(joined, sum)
  }
  return sum
}

function xorInto(target: Digest, source: Uint8Array): void {
  for (let i = 0; i < DIGEST_BYTES; i++) target[i]! ^= source[i]!
}
