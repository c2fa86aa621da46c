/**
 * The base of an append-only file as commands (aof-use-rdb-preamble no): for each key those that make it, containers in batches
 * as Redis writes them, from a frozen state, in steps of about STEP_BYTES.
 *
 * What commands cannot say is lost, as in Redis: pending entries of a stream that has deleted them, and the times at which
 * consumers were last seen.
 */

import { formatDouble } from "../bytes/double.ts"
import type { Engine } from "../engine/engine.ts"
import type { FrozenData, SnapshotEncoder, SnapshotProgress } from "../engine/snapshots.ts"
import { Kind, typeOfKind, ValueType } from "../keyspace/kinds.ts"
import { ContainerView } from "../rdb/encode-value.ts"
import { unownedEntries } from "../rdb/extras.ts"
import { CommandWriter } from "../resp/command-writer.ts"
import type { Container, FrozenMap } from "../structs/byte-map.ts"
import { IdTableCursor } from "../structs/id-table.ts"
import { intsetCopyValue, intsetLength } from "../structs/intset.ts"
import { ListCursor, type ListView } from "../structs/list-chunks.ts"
import { LpEntry, lpCopyValue, lpEntryEnd, lpFirst, lpLength, lpRead } from "../structs/listpack.ts"
import { ScoreCursor, type ScoreTreeView } from "../structs/score-tree.ts"
import { type Group, PendingEntry, type StreamGroupsView, UNOWNED } from "../structs/stream-groups.ts"
import { STREAM_ID_TEXT_BYTES_MAX, StreamId } from "../structs/stream-id.ts"
import type { StreamIdempotency } from "../structs/stream-idempotency.ts"
import { StreamCursor, type StreamView } from "../structs/stream-log.ts"
import type { StreamValue } from "../structs/stream-value.ts"
import type { ZsetTable } from "../structs/zset-table.ts"

const STEP_BYTES = 32 * 1024
const CHUNK_BYTES = 64 * 1024
const RECORDS_PER_SCAN = 128
/** Elements per command. */
const BATCH = 64
const UNKNOWN = -1

export function commandEncoder(engine: Engine): SnapshotEncoder {
  return (data, progress) => {
    const writer = new CommandWriter(2 * CHUNK_BYTES)
    if (engine.config.values.aofTimestampEnabled) {
      const line = Buffer.from(`#TS:${Math.floor(data.now / 1000)}\r\n`)
      writer.raw(line, 0, line.length)
    }
    return new CommandEncoder(writer).run(data, progress)
  }
}

type Steps = Generator<void, void>

class CommandEncoder {
  private readonly writer: CommandWriter
  private readonly entry = new LpEntry()
  private readonly text = new Uint8Array(STREAM_ID_TEXT_BYTES_MAX)
  /** The key being written. */
  private key: Uint8Array = this.text
  private keyStart = 0
  private keyEnd = 0
  private pauseAt = STEP_BYTES

  constructor(writer: CommandWriter) {
    this.writer = writer
  }

  *run(data: FrozenData, progress: SnapshotProgress): Generator<Uint8Array | undefined, void> {
    const { writer } = this
    for (const source of data.libraries) writer.begin(3).word("FUNCTION").word("LOAD").arg(source, 0, source.length)
    for (const { index, keys } of data.databases) {
      writer.begin(2).word("SELECT").number(index)
      for (const _ of this.database(keys, progress)) yield this.taken(CHUNK_BYTES)
    }
    yield this.taken(1)
  }

  /** What has been written, if it is that much. */
  private taken(bytesMin: number): Uint8Array | undefined {
    const { writer } = this
    this.pauseAt = STEP_BYTES
    if (writer.at >= bytesMin) {
      const bytes = writer.bytes.slice(0, writer.at)
      writer.reset()
      return bytes
    }
    this.pauseAt += writer.at
    return undefined
  }

  private get isDue(): boolean {
    return this.writer.at >= this.pauseAt
  }

  private *database(keys: FrozenMap, progress: SnapshotProgress): Steps {
    const addresses: number[] = []
    let cursor = 0
    do {
      addresses.length = 0
      cursor = keys.scan(cursor, RECORDS_PER_SCAN, addresses)
      for (const address of addresses) {
        const container = keys.read(address)
        this.key = keys.keyBytes
        this.keyStart = keys.keyStart
        this.keyEnd = keys.keyEnd
        const kind = keys.type(address)
        if (container !== undefined) yield* this.container(kind, container)
        else yield* this.packed(kind, keys.valueBytes, keys.valueStart, keys.valueEnd)
        const expiry = keys.expiry(address)
        if (expiry !== 0) this.begin("PEXPIREAT", 1).number(expiry)
        progress.keys++
        if (this.isDue) yield
      }
      yield
    } while (cursor !== 0)
  }

  /** A command about the key, with so many arguments behind it. */
  private begin(name: string, more: number): CommandWriter {
    return this.writer
      .begin(2 + more)
      .word(name)
      .arg(this.key, this.keyStart, this.keyEnd)
  }

  private *packed(kind: number, bytes: Uint8Array, start: number, end: number): Steps {
    switch (kind) {
      case Kind.HashPacked:
        yield* this.pairs("HMSET", bytes, start, false)
        return
      case Kind.HashPackedExpiring:
        yield* this.triplets(bytes, start)
        return
      case Kind.ListPacked:
        yield* this.singles("RPUSH", bytes, start)
        return
      case Kind.SetPacked:
        yield* this.singles("SADD", bytes, start)
        return
      case Kind.ZsetPacked:
        yield* this.pairs("ZADD", bytes, start, true)
        return
      case Kind.SetInts:
        yield* this.integers(bytes, start)
        return
      default:
        this.begin("SET", 1).arg(bytes, start, end)
    }
  }

  private *singles(name: string, bytes: Uint8Array, start: number): Steps {
    let at = lpFirst(bytes, start)
    let left = lpLength(bytes, start)
    while (left > 0) {
      const batch = Math.min(left, BATCH)
      this.begin(name, batch)
      for (let i = 0; i < batch; i++) at = this.element(bytes, at)
      left -= batch
      if (this.isDue) yield
    }
  }

  /** Pairs of elements; `swapped`: the second goes first. */
  private *pairs(name: string, bytes: Uint8Array, start: number, swapped: boolean): Steps {
    let at = lpFirst(bytes, start)
    let left = lpLength(bytes, start) >> 1
    while (left > 0) {
      const batch = Math.min(left, BATCH)
      this.begin(name, 2 * batch)
      for (let i = 0; i < batch; i++) {
        const second = lpEntryEnd(bytes, at)
        if (swapped) this.element(bytes, second)
        this.element(bytes, at)
        if (!swapped) this.element(bytes, second)
        at = lpEntryEnd(bytes, second)
      }
      left -= batch
      if (this.isDue) yield
    }
  }

  /** A hash with fields that expire: fields and values first, then the times. */
  private *triplets(bytes: Uint8Array, start: number): Steps {
    const count = lpLength(bytes, start) / 3
    let at = lpFirst(bytes, start)
    for (let left = count; left > 0; left -= BATCH) {
      const batch = Math.min(left, BATCH)
      this.begin("HMSET", 2 * batch)
      for (let i = 0; i < batch; i++) at = lpEntryEnd(bytes, this.element(bytes, this.element(bytes, at)))
      if (this.isDue) yield
    }
    at = lpFirst(bytes, start)
    for (let i = 0; i < count; i++) {
      const time = lpEntryEnd(bytes, lpEntryEnd(bytes, at))
      lpRead(bytes, time, this.entry)
      // Those without one are at the end.
      if (this.entry.int === 0) return
      this.begin("HPEXPIREAT", 4).number(this.entry.int).word("FIELDS").number(1)
      this.element(bytes, at)
      at = lpEntryEnd(bytes, time)
      if (this.isDue) yield
    }
  }

  private *integers(bytes: Uint8Array, start: number): Steps {
    const count = intsetLength(bytes, start)
    for (let from = 0; from < count; from += BATCH) {
      const batch = Math.min(count - from, BATCH)
      this.begin("SADD", batch)
      for (let i = from; i < from + batch; i++) {
        this.writer.arg(this.text, 0, intsetCopyValue(bytes, start, i, this.text, 0))
      }
      if (this.isDue) yield
    }
  }

  /** One listpack entry as an argument; returns where the next one is. */
  private element(bytes: Uint8Array, at: number): number {
    const { entry, text, writer } = this
    lpRead(bytes, at, entry)
    if (entry.isInt) writer.arg(text, 0, lpCopyValue(bytes, at, text, 0))
    else writer.arg(bytes, entry.start, entry.end)
    return entry.entryEnd
  }

  private *container(kind: number, container: Container): Steps {
    const view = new ContainerView(kind, container, true)
    if (view.map !== undefined) {
      const isHash = typeOfKind(kind) === ValueType.Hash
      yield* this.records(view.map as FrozenMap, isHash)
      if (isHash) yield* this.times(view.map as FrozenMap, "HPEXPIREAT", "FIELDS")
      else yield* this.times(view.map as FrozenMap, "SPEXPIREAT", "MEMBERS")
    } else if (view.list !== undefined) yield* this.list(view.list)
    else if (view.tree !== undefined) {
      yield* this.scored(view.tree)
      yield* this.times((container as ZsetTable).frozenView().index, "ZPEXPIREAT", "MEMBERS")
    } else {
      yield* this.stream(view.log!, view.groups!)
      yield* this.messageNames((container as StreamValue).frozenView().idempotency)
    }
  }

  private *records(map: FrozenMap, isHash: boolean): Steps {
    const addresses: number[] = []
    let left = map.size
    let inBatch = 0
    let cursor = 0
    do {
      addresses.length = 0
      cursor = map.scan(cursor, RECORDS_PER_SCAN, addresses)
      for (const address of addresses) {
        if (inBatch === 0) {
          inBatch = Math.min(left, BATCH)
          this.begin(isHash ? "HMSET" : "SADD", isHash ? 2 * inBatch : inBatch)
        }
        map.read(address)
        this.writer.arg(map.keyBytes, map.keyStart, map.keyEnd)
        if (isHash) this.writer.arg(map.valueBytes, map.valueStart, map.valueEnd)
        left--
        inBatch--
        // Bytes can be taken between commands only as far as the reader is concerned; the writer does not mind.
        if (this.isDue) yield
      }
    } while (cursor !== 0)
  }

  /** When fields or members expire. */
  private *times(map: FrozenMap, name: string, what: string): Steps {
    if (map.expirySize === 0) return
    const addresses: number[] = []
    let cursor = 0
    do {
      addresses.length = 0
      cursor = map.scan(cursor, RECORDS_PER_SCAN, addresses)
      for (const address of addresses) {
        const expiry = map.expiry(address)
        if (expiry === 0) continue
        map.read(address)
        const command = this.begin(name, 4).number(expiry).word(what).number(1)
        command.arg(map.keyBytes, map.keyStart, map.keyEnd)
      }
      yield
    } while (cursor !== 0)
  }

  private *list(list: ListView): Steps {
    const cursor = new ListCursor()
    let left = list.length
    let inBatch = 0
    for (let on = cursor.seek(list, 0); on; on = cursor.next()) {
      if (inBatch === 0) {
        inBatch = Math.min(left, BATCH)
        this.begin("RPUSH", inBatch)
      }
      this.element(cursor.bytes, cursor.entry)
      left--
      inBatch--
      if (this.isDue) yield
    }
  }

  private *scored(tree: ScoreTreeView): Steps {
    const cursor = new ScoreCursor()
    let left = tree.length
    let inBatch = 0
    for (let on = cursor.seek(tree, 0); on; on = cursor.next()) {
      if (inBatch === 0) {
        inBatch = Math.min(left, BATCH)
        this.begin("ZADD", 2 * inBatch)
      }
      this.writer.word(formatDouble(cursor.score)).arg(cursor.bytes, cursor.start, cursor.end)
      left--
      inBatch--
      if (this.isDue) yield
    }
  }

  private *stream(log: StreamView, groups: StreamGroupsView): Steps {
    const cursor = new StreamCursor()
    for (let on = cursor.seekAtOrAfter(log, new StreamId()); on; on = cursor.next()) {
      this.begin("XADD", 1 + 2 * cursor.fieldCount)
      this.id(cursor.id)
      while (cursor.nextField()) {
        this.element(cursor.bytes, cursor.name)
        this.element(cursor.bytes, cursor.value)
      }
      if (this.isDue) yield
    }
    // An empty stream can be made by adding an entry that is not to stay.
    if (log.length === 0) this.begin("XADD", 5).word("MAXLEN").word("0").word("0-1").word("x").word("y")
    this.begin("XSETID", 5)
    this.id(log.lastId)
    this.writer.word("ENTRIESADDED").number(log.entriesAdded).word("MAXDELETEDID")
    this.id(log.maxDeletedId)
    for (const group of groups.sorted()) yield* this.group(group)
  }

  private *group(group: Group): Steps {
    const { writer } = this
    const name = () => writer.arg(group.name, 0, group.name.length)
    const about = (verb: string, more: number): void => {
      writer
        .begin(4 + more)
        .word("XGROUP")
        .word(verb)
        .arg(this.key, this.keyStart, this.keyEnd)
      name()
    }
    about("CREATE", 3)
    this.id(group.lastId)
    writer.word("ENTRIESREAD").number(group.entriesRead < 0 ? UNKNOWN : group.entriesRead)
    const consumers = group.sortedConsumers()
    for (const consumer of consumers) {
      about("CREATECONSUMER", 1)
      writer.arg(consumer.name, 0, consumer.name.length)
    }
    const cursor = new IdTableCursor()
    const pending = new PendingEntry()
    for (let on = cursor.seekAtOrAfter(group.pending, new StreamId()); on; on = cursor.next()) {
      pending.read(cursor.words, cursor.at)
      if (pending.slot === UNOWNED) continue
      const owner = group.consumerAt(pending.slot)
      this.begin("XCLAIM", 10)
      name()
      writer.arg(owner.name, 0, owner.name.length).number(0)
      this.id(pending.id)
      writer.word("TIME").number(pending.deliveryMs).word("RETRYCOUNT").number(pending.deliveryCount)
      writer.word("JUSTID").word("FORCE")
      if (this.isDue) yield
    }
    for (const { id, deliveryCount } of unownedEntries(group)) {
      this.begin("XNACK", 8)
      name()
      writer.word("FAIL").word("IDS").number(1)
      this.id(id)
      writer.word("RETRYCOUNT").number(deliveryCount).word("FORCE")
      if (this.isDue) yield
    }
    yield
  }

  private *messageNames(names: StreamIdempotency | undefined): Steps {
    if (names === undefined) return
    this.begin("XCFGSET", 4).word("IDMP-DURATION").number(names.durationSeconds)
    this.writer.word("IDMP-MAXSIZE").number(names.entriesMax)
    for (const [producer, name, id] of names.entries()) {
      this.begin("XIDMPRECORD", 3)
      for (const text of [producer, name]) {
        const bytes = Buffer.from(text, "latin1")
        this.writer.arg(bytes, 0, bytes.length)
      }
      this.id(id)
      if (this.isDue) yield
    }
  }

  private id(id: StreamId): void {
    this.writer.arg(this.text, 0, id.write(this.text, 0))
  }
}
