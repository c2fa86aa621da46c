/**
 * A whole RDB file, written from a frozen keyspace while the server goes on.
 *
 *     keyspace.heap.freeze()
 *     const databases = freezeDatabases(keyspace)           // at once, before anything else runs
 *     const writer = new RdbWriter({ compress, checksum })
 *     const progress = new SnapshotProgress()
 *     for (const _ of encodeSnapshot(databases, options, writer, progress)) {
 *       // after each step some 64 KiB may be waiting: take it when it pleases, at the latest after the last step
 *       if (writer.length >= 64 * 1024) out(writer.take())
 *     }
 *     out(writer.take())
 *     keyspace.heap.thaw()
 *
 * A step is well under a millisecond of work, also inside one huge value; who has time left takes more steps. Leaving the
 * generator alone costs nothing but the snapshot's memory; dropping it, then `thaw()`, ends a snapshot that nobody wants any
 * more. A synchronous SAVE is the same without pauses.
 *
 * The version in front is 10 (Redis 7.0 and newer read it) unless a hash has fields that expire: then it is 12 (Redis 7.4).
 * A stream with consumers that 7.0 cannot describe has the type of 7.2 all the same; encode-value.ts says when.
 */

import type { Config } from "../config/config.ts"
import type { Keyspace } from "../keyspace/keyspace.ts"
import type { FrozenMap } from "../structs/byte-map.ts"
import { ContainerView, container, isShort, longPacked, packed, readRecord, typeOfPacked } from "./encode-value.ts"
import { writeExtras } from "./extras.ts"
import { Opcode, RdbType, VERSION_7_0, VERSION_7_4 } from "./format.ts"
import type { RdbWriter } from "./writer.ts"

const RECORD_WORK = 128
const RECORDS_PER_SCAN = 128

/** A database as it was when the snapshot began. */
export interface FrozenDatabase {
  readonly index: number
  readonly keys: FrozenMap
}

/** All databases that have keys. To be called in the same tick as `keyspace.heap.freeze()`. */
export function freezeDatabases(keyspace: Keyspace): FrozenDatabase[] {
  const found: FrozenDatabase[] = []
  for (const { index, keys } of keyspace.databases) if (keys.size > 0) found.push({ index, keys: keys.frozenView() })
  return found
}

export interface SnapshotOptions {
  /** Goes into the file as "redis-ver". */
  serverVersion: string
  /** Wall time in ms: when the snapshot was taken. */
  nowMs: number
  usedMemoryBytes: number
  /** The base of an append-only file ("aof-base"). */
  isAofBase?: boolean
  /** What a replica needs to go on from the file with a partial synchronisation. */
  replication?: { id: string; offset: number; db: number }
  /** Sources of the function libraries. */
  functions?: readonly Uint8Array[]
  /**
   * Written for Redis 7.0 where that costs little: the times of last success of consumers are left out where they differ from
   * those of the last attempt.
   */
  hasOldReaders?: boolean
  /** Whether a hash has, or may have, fields that expire. */
  fieldsExpire: boolean
  /** What is noted of the use of each key: nothing, seconds since (LRU), or how often (LFU). */
  uses: "none" | "idle" | "frequency"
  lfuDecayMinutes: number
}

/** What follows from the configuration and the state of the keyspace; the rest is the caller's. */
export function snapshotDefaults(
  keyspace: Keyspace,
  config: Config,
): Pick<SnapshotOptions, "nowMs" | "fieldsExpire" | "uses" | "lfuDecayMinutes"> {
  const policy = config.values.maxmemoryPolicy
  return {
    nowMs: keyspace.now,
    fieldsExpire: keyspace.databases.some(db => keyspace.fieldExpiry.size(db) > 0),
    uses: policy.endsWith("lfu") ? "frequency" : policy.endsWith("lru") ? "idle" : "none",
    lfuDecayMinutes: config.values.lfuDecayTime,
  }
}

/** How far a snapshot is; may be read at any time. */
export class SnapshotProgress {
  /** Keys written. */
  keys = 0
  /** Keys with an expiry among them. */
  expires = 0
}

/** Writes a file from its magic to its checksum. Each `yield` is a place to pause and to drain the writer. */
export function* encodeSnapshot(
  databases: readonly FrozenDatabase[],
  options: SnapshotOptions,
  writer: RdbWriter,
  progress = new SnapshotProgress(),
): Generator<void, SnapshotProgress> {
  const version = options.fieldsExpire ? VERSION_7_4 : VERSION_7_0
  writer.ascii(`REDIS${String(version).padStart(4, "0")}`)
  auxiliary(writer, options)
  for (const source of options.functions ?? []) {
    writer.byte(Opcode.Function2)
    yield* writer.longString(source, 0, source.length)
  }
  for (const { index, keys } of databases) {
    writer.byte(Opcode.SelectDb)
    writer.size(index)
    writer.byte(Opcode.ResizeDb)
    writer.size(keys.size)
    writer.size(keys.expirySize)
    yield* database(writer, keys, options, progress)
  }
  writer.byte(Opcode.End)
  writer.end()
  return progress
}

function auxiliary(writer: RdbWriter, options: SnapshotOptions): void {
  const field = (name: string, value: string | number): void => {
    writer.byte(Opcode.Aux)
    writer.text(name)
    writer.text(String(value))
  }
  field("redis-ver", options.serverVersion)
  field("redis-bits", 64)
  field("ctime", Math.floor(options.nowMs / 1000))
  field("used-mem", options.usedMemoryBytes)
  const { replication } = options
  if (replication !== undefined) {
    field("repl-stream-db", replication.db)
    field("repl-id", replication.id)
    field("repl-offset", replication.offset)
  }
  field("aof-base", options.isAofBase ? 1 : 0)
}

function* database(
  writer: RdbWriter,
  keys: FrozenMap,
  options: SnapshotOptions,
  progress: SnapshotProgress,
): Generator<void, void> {
  const addresses: number[] = []
  let cursor = 0
  let pauseAt = writer.totalBytes + writer.stepBytes
  let records = 0
  do {
    addresses.length = 0
    cursor = keys.scan(cursor, RECORDS_PER_SCAN, addresses)
    for (const address of addresses) {
      const kind = keys.type(address)
      const large = readRecord(keys, address)
      const { keyStart, keyEnd, valueBytes, valueStart, valueEnd } = keys
      const expiry = keys.expiry(address)
      if (expiry !== 0) {
        writer.byte(Opcode.ExpiryMs)
        writer.time(expiry)
        progress.expires++
      }
      if (options.uses !== "none") use(writer, keys.access(address), options)
      if (large !== undefined) {
        const view = new ContainerView(kind, large, true)
        if (options.hasOldReaders && view.type === RdbType.Stream3) view.type = RdbType.Stream2
        writer.byte(view.type)
        writer.string(keys.keyBytes, keyStart, keyEnd)
        yield* container(writer, view)
        yield* writeExtras(writer, kind, large, true)
      } else {
        writer.byte(typeOfPacked(kind))
        writer.string(keys.keyBytes, keyStart, keyEnd)
        if (isShort(valueStart, valueEnd)) packed(writer, kind, valueBytes, valueStart, valueEnd)
        else yield* longPacked(writer, kind, valueBytes, valueStart, valueEnd)
      }
      progress.keys++
      records++
      if (writer.totalBytes + records * RECORD_WORK < pauseAt) continue
      pauseAt = writer.totalBytes + writer.stepBytes
      records = 0
      yield
    }
  } while (cursor !== 0)
}

/** What is known of the use of a key: see keyspace.ts for the access clock. */
function use(writer: RdbWriter, access: number, options: SnapshotOptions): void {
  if (options.uses === "idle") {
    writer.byte(Opcode.Idle)
    writer.size((Math.floor(options.nowMs / 1000) - access) & 0xffffff)
    return
  }
  const minutes = Math.floor(options.nowMs / 60_000) & 0xffff
  const elapsed = (minutes - (access >>> 8)) & 0xffff
  const decay = options.lfuDecayMinutes
  writer.byte(Opcode.Frequency)
  writer.byte(Math.max(0, (access & 0xff) - (decay > 0 ? Math.floor(elapsed / decay) : 0)))
}
