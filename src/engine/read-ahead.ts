/**
 * Requests parsed ahead of being run, so that the memory their keys live in can be asked for together.
 *
 * A lookup in a large keyspace waits for memory twice, some hundred nanoseconds each, and one lookup cannot begin before the
 * last one has ended. When a client pipelines, the next requests are here already: hashing their keys, then reading all
 * their slots, then all their records lets the processor wait for many of them at once. Measured in bench/throughput.ts at
 * pipeline 32 over a million keys: a third less CPU per SET and GET.
 *
 * This is only a hint to the caches. What the requests really find is decided when they run.
 */

import { equalBytes } from "../bytes/compare.ts"
import type { CommandRegistry, RegisteredCommand } from "../command/registry.ts"
import { Kind } from "../keyspace/kinds.ts"
import { Arguments } from "../resp/arguments.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import type { ZsetTable } from "../structs/zset-table.ts"

/** Requests read ahead: what a processor can have under way, several times over. */
export const READ_AHEAD_MAX = 32
/** Keys of one request (an MSET, say) that are read ahead. */
const KEYS_PER_REQUEST_MAX = 16
/** A map this small fits the caches anyway. */
const KEYS_MIN = 4096
/** With less than this out of line there is no large table. */
const TABLE_BYTES_MIN = KEYS_MIN * 16

export class RequestBatch {
  readonly tables: Arguments[] = Array.from({ length: READ_AHEAD_MAX }, () => new Arguments())
  /** Where each request begins in the buffer, to go back to when it cannot be run. */
  readonly starts = new Int32Array(READ_AHEAD_MAX + 1)
  /** What each request asks for; undefined where that has not been looked up, and where there is no such command. */
  readonly commands: (RegisteredCommand | undefined)[] = new Array(READ_AHEAD_MAX).fill(undefined)
  private readonly hashes = new Int32Array(READ_AHEAD_MAX * KEYS_PER_REQUEST_MAX)
  /** Where what was read goes, so that the reading is not optimised away. */
  sink = 0

  /**
   * Looks up what the first `count` requests, all in `bytes`, ask for, and asks for the memory of their keys and of the
   * members of large tables.
   */
  touch(bytes: Uint8Array, count: number, registry: CommandRegistry, keys: ByteMap): void {
    const { commands, tables } = this
    for (let i = 0; i < count; i++) {
      const args = tables[i]!
      // An inline request has a buffer of its own, and no speed to lose.
      commands[i] = args.bytes === bytes ? registry.lookup(bytes, args.starts[0]!, args.ends[0]!) : undefined
    }
    keys.hasher.note(bytes)
    if (keys.size >= KEYS_MIN) this.touchKeys(count, keys)
    if (keys.outOfLineBytes >= TABLE_BYTES_MIN) this.touchMembers(bytes, count, keys)
  }

  private touchKeys(count: number, keys: ByteMap): void {
    const { hasher } = keys
    const { hashes } = this
    let hashed = 0
    for (let i = 0; i < count; i++) {
      const args = this.tables[i]!
      const command = this.commands[i]
      if (command === undefined || command.firstKey === 0 || args.count < 2) continue
      const last = Math.min(
        command.lastKey < 0 ? args.count + command.lastKey : command.lastKey,
        args.count - 1,
        command.firstKey + (KEYS_PER_REQUEST_MAX - 1) * command.keyStep,
      )
      for (let key = command.firstKey; key <= last; key += command.keyStep) {
        hashes[hashed++] = hasher.hashAhead(args.starts[key]!, args.ends[key]!)
      }
    }
    this.sink = keys.touch(hashes, hashed)
  }

  /**
   * The first member each request names, as long as they are members of one and the same large table: that is what pipelines
   * tend to be about, and anything else would cost a lookup per request to find out.
   */
  private touchMembers(bytes: Uint8Array, count: number, keys: ByteMap): void {
    const { hasher } = keys
    const { hashes } = this
    let table: ByteMap | undefined
    let keyStart = 0
    let keyLength = 0
    let hashed = 0
    for (let i = 0; i < count; i++) {
      const args = this.tables[i]!
      const command = this.commands[i]
      if (command === undefined || command.member === 0 || command.member >= args.count) continue
      const start = args.starts[1]!
      const length = args.ends[1]! - start
      if (table === undefined) {
        table = largeTable(keys, bytes, start, start + length)
        if (table === undefined) return
        keyStart = start
        keyLength = length
      } else if (length !== keyLength || !equalBytes(bytes, start, bytes, keyStart, length)) continue
      hashes[hashed++] = hasher.hashAhead(args.starts[command.member]!, args.ends[command.member]!)
    }
    if (table === undefined) return
    this.sink = table.touch(hashes, hashed)
  }
}

/** The container under a key if it is a table beyond the caches' size. */
function largeTable(keys: ByteMap, bytes: Uint8Array, start: number, end: number): ByteMap | undefined {
  const address = keys.find(bytes, start, end)
  if (address === 0) return undefined
  const kind = keys.type(address)
  let table: ByteMap
  if (kind === Kind.HashTable || kind === Kind.SetTable) table = keys.object(address) as ByteMap
  else if (kind === Kind.ZsetTree) table = (keys.object(address) as ZsetTable).index
  else return undefined
  return table.size >= KEYS_MIN ? table : undefined
}
