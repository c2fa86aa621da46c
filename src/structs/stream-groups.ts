/**
 * Consumer groups of a stream: who has read how far, and which delivered entries are not acknowledged yet.
 *
 *   StreamGroups   name → Group
 *   Group          last delivered id; pending: id → delivery time, delivery count, consumer; name → Consumer
 *   Consumer       times; pending: the ids in the group's list that are its own
 *
 * A row of the group's list is eight words: the id, then
 *
 *   time high (low 16 bits) and count high (upper 16 bits) | time low | count low | consumer slot
 *
 * which leaves 48 bits each for milliseconds and count. Consumers are numbered by slots that are used again. An entry that
 * was given back (XNACK) has no consumer: its slot is UNOWNED, its delivery time counts as 0, and in the place of the time
 * stands a number that tells in which order entries were given back.
 *
 * Invariants
 * 1. An id is in the group's list once, and in the list of exactly the consumer whose slot its row has, if it has one.
 * 2. Copy-on-write: groups and consumers carry the epoch they were made in. freeze() copies the map of groups; who wants
 *    to write asks for writable(), which replaces an older group by a fork that shares its pages. Group methods do the
 *    same with consumers, so a Consumer object is to be asked for again after any write to its group.
 * 3. `account.bytes` is what the live groups allocate.
 */

import { compareBytes, latin1 } from "../bytes/compare.ts"
import { type Account, IdTable, IdTableCursor } from "./id-table.ts"
import { StreamId } from "./stream-id.ts"

const PENDING_WORDS = 8
const OWN_WORDS = 4
const TWO_32 = 0x1_0000_0000
/** Times and counts are clamped to 48 bits. */
const VALUE_MAX = 0xffff_ffff_ffff
/** What the runtime takes for the objects and their map entries. */
const GROUP_OVERHEAD_BYTES = 520
const CONSUMER_OVERHEAD_BYTES = 200

/** Slot of entries that were given back. (0xffffffff stands for "not known yet" while a file is read.) */
export const UNOWNED = 0xffff_fffe
/** Delivery count of an entry that is not to be delivered any more; stands for the highest number there is. */
export const DELIVERIES_MAX = VALUE_MAX

/** entriesRead of a group whose logical position is not known. */
export const ENTRIES_READ_UNKNOWN = -1

export class Consumer {
  epoch: number
  /** Owned; never changes. */
  readonly name: Uint8Array
  /** Its number in the rows of the group's list. */
  readonly slot: number
  /** When it last tried, and when it last succeeded, in ms; activeMs is -1 before the first success. */
  seenMs: number
  activeMs = -1
  /** Ids delivered to it and not acknowledged. */
  pending: IdTable

  constructor(epoch: number, name: Uint8Array, slot: number, seenMs: number, pending: IdTable) {
    this.epoch = epoch
    this.name = name
    this.slot = slot
    this.seenMs = seenMs
    this.pending = pending
  }
}

/** A row of a group's pending list, decoded; owned by the caller and reused. */
export class PendingEntry {
  readonly id = new StreamId()
  deliveryMs = 0
  deliveryCount = 0
  /** Slot of the consumer, or UNOWNED. */
  slot = 0
  /** Of an unowned entry: those with lower numbers were given back before. */
  releaseOrder = 0

  /** Decodes the row of a group's list that begins at `at`. */
  read(words: Uint32Array, at: number): void {
    this.id.setWords(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!)
    const high = words[at + 4]!
    this.deliveryMs = (high & 0xffff) * TWO_32 + words[at + 5]!
    this.deliveryCount = (high >>> 16) * TWO_32 + words[at + 6]!
    this.slot = words[at + 7]!
    this.releaseOrder = 0
    if (this.slot !== UNOWNED) return
    this.releaseOrder = this.deliveryMs
    this.deliveryMs = 0
  }

  /** Writes all of a row but its id. */
  static write(words: Uint32Array, at: number, deliveryMs: number, deliveryCount: number, slot: number): void {
    const ms = clamp(deliveryMs)
    const count = clamp(deliveryCount)
    words[at + 4] = (Math.floor(count / TWO_32) << 16) | Math.floor(ms / TWO_32)
    words[at + 5] = ms
    words[at + 6] = count
    words[at + 7] = slot
  }
}

const cursor = new IdTableCursor()
const scratchId = new StreamId()

function clamp(value: number): number {
  return value < 0 ? 0 : value > VALUE_MAX ? VALUE_MAX : Math.floor(value)
}

export class Group {
  epoch: number
  /** Owned; never changes. */
  readonly name: Uint8Array
  readonly lastId = new StreamId()
  /** Entries read up to lastId, or ENTRIES_READ_UNKNOWN. */
  entriesRead = ENTRIES_READ_UNKNOWN
  /** Internal: rows as the file header says. Iterate with an IdTableCursor and PendingEntry.read(). */
  pending: IdTable
  private consumers: Map<string, Consumer>
  private slots: (Consumer | undefined)[]
  private freeSlots: number[]
  private readonly account: Account
  /** Entries that were given back, and how often that has happened. */
  unownedCount = 0
  private releases = 0

  constructor(account: Account, epoch: number, name: Uint8Array, from: Group | null) {
    this.account = account
    this.epoch = epoch
    this.name = name
    if (from === null) {
      this.pending = new IdTable(account, PENDING_WORDS, epoch)
      this.consumers = new Map()
      this.slots = []
      this.freeSlots = []
    } else {
      this.lastId.copy(from.lastId)
      this.entriesRead = from.entriesRead
      this.pending = from.pending.fork(epoch)
      this.consumers = new Map(from.consumers)
      this.slots = from.slots.slice()
      this.freeSlots = from.freeSlots.slice()
      this.unownedCount = from.unownedCount
      this.releases = from.releases
    }
  }

  get consumerCount(): number {
    return this.consumers.size
  }

  /** The consumer, to be read; undefined when there is none. */
  consumer(name: Uint8Array, start: number, end: number): Consumer | undefined {
    return this.consumers.get(latin1(name, start, end))
  }

  /** The consumer of a row, to be read; for an unowned one a consumer without a name that is not one of the group's. */
  consumerAt(slot: number): Consumer {
    return slot === UNOWNED ? NOBODY : this.slots[slot]!
  }

  /** The consumers by name, as Redis lists them. Allocates. */
  sortedConsumers(): Consumer[] {
    return [...this.consumers.values()].sort(byName)
  }

  /** The consumer, its times to be written; undefined when there is none. The group must be writable. */
  writableConsumer(name: Uint8Array, start: number, end: number): Consumer | undefined {
    const consumer = this.consumers.get(latin1(name, start, end))
    return consumer === undefined ? undefined : this.ownConsumer(consumer)
  }

  /** A new consumer of that name (copied), which must not exist. The group must be writable, here and below. */
  createConsumer(name: Uint8Array, start: number, end: number, nowMs: number): Consumer {
    const slot = this.freeSlots.pop() ?? this.slots.length
    const pending = new IdTable(this.account, OWN_WORDS, this.epoch)
    const consumer = new Consumer(this.epoch, name.slice(start, end), slot, nowMs, pending)
    this.slots[slot] = consumer
    this.consumers.set(latin1(name, start, end), consumer)
    this.account.bytes += CONSUMER_OVERHEAD_BYTES + 2 * (end - start)
    return consumer
  }

  /** Drops the consumer and what is pending for it; returns the number of those entries, -1 without such a consumer. */
  deleteConsumer(name: Uint8Array, start: number, end: number): number {
    const key = latin1(name, start, end)
    const consumer = this.consumers.get(key)
    if (consumer === undefined) return -1
    const { length } = consumer.pending
    for (let on = cursor.seekAtOrAfter(consumer.pending, scratchId.setMin()); on; on = cursor.next()) {
      cursor.readId(scratchId)
      this.pending.delete(scratchId)
    }
    this.consumers.delete(key)
    this.slots[consumer.slot] = undefined
    this.freeSlots.push(consumer.slot)
    this.account.bytes -= consumerBytes(consumer)
    return length
  }

  /** Decodes the pending entry of that id; false when there is none. O(log n). */
  findPending(id: StreamId, out: PendingEntry): boolean {
    if (!this.pending.find(id)) return false
    out.read(this.pending.words, this.pending.at)
    return true
  }

  /**
   * Makes the entry pending for the consumer in that slot, whoever had it before. True when it was not pending at all.
   * O(log n).
   */
  setPending(id: StreamId, slot: number, deliveryMs: number, deliveryCount: number): boolean {
    const isNew = this.pending.insert(id)
    const { words, at } = this.pending
    const before = words[at + 7]!
    PendingEntry.write(words, at, deliveryMs, deliveryCount, slot)
    if (!isNew && before === slot) return false
    if (!isNew) this.takeFrom(before, id)
    this.ownConsumer(this.slots[slot]!).pending.insert(id)
    return isNew
  }

  /** The entry is pending no more; false when it was not. O(log n). */
  acknowledge(id: StreamId): boolean {
    if (!this.pending.find(id)) return false
    const slot = this.pending.words[this.pending.at + 7]!
    this.pending.deleteFound()
    this.takeFrom(slot, id)
    return true
  }

  /** Gives the entry back to the group, behind those given back before; it need not have been pending. O(log n). */
  release(id: StreamId, deliveryCount: number): void {
    const isNew = this.pending.insert(id)
    const { words, at } = this.pending
    const before = words[at + 7]!
    const order = ++this.releases
    const count = clamp(deliveryCount)
    words[at + 4] = (Math.floor(count / TWO_32) << 16) | Math.floor(order / TWO_32)
    words[at + 5] = order
    words[at + 6] = count
    words[at + 7] = UNOWNED
    if (!isNew) this.takeFrom(before, id)
    this.unownedCount++
  }

  /** The entry is no longer the consumer's in that slot. */
  private takeFrom(slot: number, id: StreamId): void {
    if (slot === UNOWNED) this.unownedCount--
    else this.ownConsumer(this.slots[slot]!).pending.delete(id)
  }

  /** Bytes the group has in the account. O(pages and consumers). */
  countBytes(): number {
    let bytes = GROUP_OVERHEAD_BYTES + 2 * this.name.length + this.pending.countBytes()
    for (const consumer of this.consumers.values()) bytes += consumerBytes(consumer)
    return bytes
  }

  private ownConsumer(consumer: Consumer): Consumer {
    if (consumer.epoch === this.epoch) return consumer
    const { name, slot, seenMs, activeMs } = consumer
    const clone = new Consumer(this.epoch, name, slot, seenMs, consumer.pending.fork(this.epoch))
    clone.activeMs = activeMs
    this.slots[slot] = clone
    this.consumers.set(latin1(name), clone)
    return clone
  }
}

const NOBODY = new Consumer(0, new Uint8Array(0), UNOWNED, 0, new IdTable({ bytes: 0 }, OWN_WORDS, 0))

function consumerBytes(consumer: Consumer): number {
  return CONSUMER_OVERHEAD_BYTES + 2 * consumer.name.length + consumer.pending.countBytes()
}

function byName(a: { name: Uint8Array }, b: { name: Uint8Array }): number {
  return compareBytes(a.name, 0, a.name.length, b.name, 0, b.name.length)
}

/** The groups of a stream, live or frozen, to be read. */
export class StreamGroupsView {
  protected groups: Map<string, Group>

  constructor(groups: Map<string, Group>) {
    this.groups = groups
  }

  get size(): number {
    return this.groups.size
  }

  /** The group, to be read; undefined when there is none. */
  get(name: Uint8Array, start: number, end: number): Group | undefined {
    return this.groups.get(latin1(name, start, end))
  }

  /** The groups by name, as Redis lists them. Allocates. */
  sorted(): Group[] {
    return [...this.groups.values()].sort(byName)
  }
}

export class StreamGroups extends StreamGroupsView {
  /** Groups of an earlier epoch may be shared with a frozen view. */
  epoch: number
  private readonly account: Account = { bytes: 0 }

  constructor(epoch = 0) {
    super(new Map())
    this.epoch = epoch
  }

  /** Bytes allocated for the live groups. */
  get bytes(): number {
    return this.account.bytes
  }

  /** An exact read-only view of this moment, O(number of groups). `epoch` begins now, above all before. */
  freeze(epoch: number): StreamGroupsView {
    this.epoch = epoch
    return new StreamGroupsView(new Map(this.groups))
  }

  /** The group, to be written; undefined when there is none. O(1), once per epoch O(consumers + pages / 128). */
  writable(name: Uint8Array, start: number, end: number): Group | undefined {
    const key = latin1(name, start, end)
    const group = this.groups.get(key)
    if (group === undefined || group.epoch === this.epoch) return group
    const fork = new Group(this.account, this.epoch, group.name, group)
    this.groups.set(key, fork)
    return fork
  }

  /** A new group of that name (copied); undefined when there is one already. Its lastId is 0-0. */
  create(name: Uint8Array, start: number, end: number): Group | undefined {
    const key = latin1(name, start, end)
    if (this.groups.has(key)) return undefined
    const group = new Group(this.account, this.epoch, name.slice(start, end), null)
    this.groups.set(key, group)
    this.account.bytes += GROUP_OVERHEAD_BYTES + 2 * (end - start)
    return group
  }

  /** Drops the group with all its consumers; false when there is none. */
  delete(name: Uint8Array, start: number, end: number): boolean {
    const key = latin1(name, start, end)
    const group = this.groups.get(key)
    if (group === undefined) return false
    this.account.bytes -= group.countBytes()
    return this.groups.delete(key)
  }
}
