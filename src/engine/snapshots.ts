/**
 * Snapshots: one state of all databases, read to its end while commands go on. BGSAVE, the rewrite of the append-only file
 * and a replica's full sync are consumers of the same thing.
 *
 *                begin                     all encoded
 *   (nothing) ──────────▶ running ───────────────────────▶ (nothing)      consumer.end()
 *                            │    cancel, or the encoder throws
 *                            └───────────────────────────▶ (nothing)      consumer.abort()
 *
 * `begin` freezes here and now: everything propagated before it is in the snapshot, nothing propagated after it is. It hands
 * what was propagated so far to the sinks and lets the stream name its database again, so a consumer that notes
 * its place in the stream right after `begin` (a new increment of the append-only file, a replication offset) has the exact
 * seam. Inside EXEC or a script there is no such seam: look at `mayBegin` first, and come back later.
 *
 * Freezing costs a copy of the directories (PageHeap, docs/byte-map.md), no more. Then the encoder is run in slices, between
 * the requests of clients, and each piece of bytes it makes is given to the consumer. The heap is thawed when the last
 * byte is encoded, not when it has been written.
 *
 * Pace. Now and then there is a break of BREAK_MICROS, in which it shows how many commands come by themselves. If they are
 * few, slice follows slice for RUN_MICROS, then comes the next break, or at once should a burst of commands come. If they are many,
 * there is a break after each slice, and the slice is as long as leaves clients BUSY_SHARE of the time. (Shorter looks would
 * mislead: a client that waits for each reply sends one command per slice, however much it would like to; and
 * clients that pipeline are quiet for a millisecond between two bursts.)
 *
 * Back pressure: no slice is run while `consumer.isFull`; the consumer calls `resume` when it has room again. `finish` runs the rest
 * at once and does not ask for room.
 *
 * There is one snapshot at a time, since the heap knows one frozen epoch. Who comes while it runs waits (`whenIdle`).
 */

import type { FrozenMap } from "../structs/byte-map.ts"
import { EngineCondition } from "./dispatch.ts"
import type { Engine } from "./engine.ts"

/** What it is for, as INFO and error replies tell them apart. */
export type SnapshotPurpose = "save" | "rewrite" | "replicas"

export interface FrozenDatabase {
  readonly index: number
  readonly keys: FrozenMap
  /** How many of the keys have an expiry. */
  readonly expirySize: number
}

/** A place in the replication stream, and the database selected there. */
export interface ReplicationPoint {
  readonly id: string
  readonly offset: number
  readonly db: number
}

/** All databases that are not empty, in order. Good until the snapshot ends. */
export interface FrozenData {
  readonly databases: readonly FrozenDatabase[]
  readonly keyCount: number
  /** Wall time of the freeze, in ms. */
  readonly now: number
  /** Where replication stood. */
  readonly replication: ReplicationPoint | undefined
  /** Sources of the function libraries. */
  readonly libraries: readonly Uint8Array[]
  /** Somebody will read it who may know no more than Redis 7.0: leave out what is not worth failing for. */
  readonly hasOldReaders?: boolean
}

/** The function libraries, which are kept and loaded with the keys. */
export interface FunctionLibraries {
  sources(): readonly Uint8Array[]
  /** Loads one; throws an Error with the reason when it cannot. `replaces`: also one whose name is taken. */
  load(source: Uint8Array, replaces: boolean): void
  clear(): void
}

/** Counted by the encoder as it goes. */
export interface SnapshotProgress {
  keys: number
}

/**
 * Turns a frozen state into bytes, in small steps: each `next` does well under a millisecond of work and returns bytes that
 * are the caller's from then on, or undefined when there are none yet.
 */
export type SnapshotEncoder = (data: FrozenData, progress: SnapshotProgress) => Iterator<Uint8Array | undefined, void>

export interface SnapshotConsumer {
  /** No more bytes for now. */
  readonly isFull: boolean
  /** The next bytes; they are the consumer's now. Called even when full if the snapshot must be finished at once. */
  take(bytes: Uint8Array): void
  /** All bytes were given. The snapshot is over; another may begin. */
  end(): void
  /** No more bytes will come. The snapshot is over. */
  abort(reason: Error): void
}

/** Saves to the snapshot file (`dbfilename`) for those who need the file itself: replication without diskless sync. */
export interface SnapshotFiles {
  /**
   * Begins a BGSAVE here and now, on behalf of replicas; only if `mayBegin`.
   * @param hasOldReaders see FrozenData
   * @param done called when the file is in its place and safe, with its path, or with what went wrong
   * @returns false when it could not begin (`done` is not called then)
   */
  saveForReplicas(hasOldReaders: boolean, done: (error: Error | undefined, path: string) => void): boolean
  /** Gives the save up, which nobody waits for any more. */
  cancel(): void
}

/** Share of the time that busy clients keep. */
const BUSY_SHARE = 0.88
/** One stretch of encoding: while clients are not busy, and at most while they are. */
const SLICE_MICROS = 700
const SLICE_MICROS_MAX = 1000
const BREAK_MICROS = 4000
/** How long slice may follow slice. */
const RUN_MICROS = 15_000
/** Commands per millisecond of a break from which clients count as busy, and between two slices from which a burst does. */
const BUSY_COMMANDS_PER_MS = 3
const BURST_COMMANDS = 16

export class Snapshots {
  running: Snapshot | undefined
  /** What snapshots are encoded with unless told otherwise: as an RDB file. The composition root fills it in. */
  encoder: SnapshotEncoder = noEncoder
  /** What goes into a snapshot beside the keys; asked at the freeze. Filled in by the subsystems that know. */
  replication: () => ReplicationPoint | undefined = () => undefined
  libraries: FunctionLibraries = NO_LIBRARIES
  /** Filled in by the composition root. */
  files: SnapshotFiles = { saveForReplicas: () => false, cancel: () => {} }
  /** Freezes so far, and how long the last one took. */
  count = 0
  lastFreezeMicros = 0
  /** For tests: false leaves it to them to call `step`. */
  runsByItself = true
  /** Microseconds to wait for each key encoded; negative: one microsecond for so many keys. For tests. */
  keyDelayMicros = 0

  private waiting: (() => void)[] = []
  readonly engine: Engine

  constructor(engine: Engine) {
    this.engine = engine
  }

  /** Whether `begin` would begin one: none runs, and the command stream has a seam here. */
  get mayBegin(): boolean {
    return this.running === undefined && !this.isInsideUnit
  }

  /** Inside EXEC or a script. */
  get isInsideUnit(): boolean {
    return this.engine.caller.nesting > 1 || (this.engine.conditions & EngineCondition.BusyScript) !== 0
  }

  /** Freezes now, and encodes from now on. Throws unless `mayBegin`. */
  begin(purpose: SnapshotPurpose, consumer: SnapshotConsumer, encoder = this.encoder): Snapshot {
    if (!this.mayBegin) throw new Error("a snapshot cannot begin here")
    const { engine } = this
    engine.flushPropagation()
    engine.propagator.forgetSelected()
    const snapshot = new Snapshot(this, purpose, consumer, this.freeze(), encoder)
    this.running = snapshot
    if (this.runsByItself) snapshot.resume()
    return snapshot
  }

  /** Calls `run` once when no snapshot runs any more; another may have been quicker then. */
  whenIdle(run: () => void): void {
    if (this.running === undefined) setImmediate(run)
    else this.waiting.push(run)
  }

  /** Changes the delay per key, also of the snapshot that runs. */
  setKeyDelay(micros: number): void {
    this.keyDelayMicros = micros
    this.running?.hurry()
  }

  /** Encodes the state as it is now in one go, while everything else waits; a snapshot that runs is finished before. */
  runAtOnce(purpose: SnapshotPurpose, consumer: SnapshotConsumer, encoder = this.encoder): void {
    this.running?.finish()
    const snapshot = new Snapshot(this, purpose, consumer, this.freeze(), encoder)
    this.running = snapshot
    snapshot.finish()
  }

  private freeze(): FrozenData {
    const { clock, keyspace } = this.engine
    const startedAt = clock.monotonicMicros()
    keyspace.heap.freeze()
    const databases: FrozenDatabase[] = []
    let keyCount = 0
    for (const { index, keys } of keyspace.databases) {
      if (keys.size === 0) continue
      databases.push({ index, keys: keys.frozenView(), expirySize: keys.expirySize })
      keyCount += keys.size
    }
    this.count++
    this.lastFreezeMicros = Math.round(clock.monotonicMicros() - startedAt)
    return {
      databases,
      keyCount,
      now: clock.wall(),
      replication: this.replication(),
      libraries: this.libraries.sources(),
    }
  }

  /** Lets go of the frozen state. */
  thaw(): void {
    this.running = undefined
    this.engine.keyspace.heap.thaw()
  }

  /** The consumer knows; now who waits may begin. */
  ended(): void {
    for (const run of this.waiting.splice(0)) run()
  }
}

/** One snapshot, from its freeze to its last byte. */
export class Snapshot {
  readonly purpose: SnapshotPurpose
  readonly consumer: SnapshotConsumer
  readonly keyCount: number
  readonly startedAt: number
  readonly progress: SnapshotProgress = { keys: 0 }
  /** Bytes that copies of what was changed meanwhile have cost: kept up to date while it runs. */
  copyBytes = 0

  private readonly owner: Snapshots
  private readonly engine: Engine
  private readonly steps: Iterator<Uint8Array | undefined, void>
  private over = false
  /** A slice is on its way, by timer or at once. */
  private scheduled = false
  /** Between slices for clients alone; otherwise slice follows slice. */
  private inBreak = false
  /** When the break, or the run of slices, began; and how many commands had been run when the last slice ended. */
  private phaseBeganAt: number
  private commandsBefore: number
  private waitedMs = 0
  private delayedUntil = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  private readonly heldBefore: number

  constructor(
    owner: Snapshots,
    purpose: SnapshotPurpose,
    consumer: SnapshotConsumer,
    data: FrozenData,
    encoder: SnapshotEncoder,
  ) {
    this.owner = owner
    this.engine = owner.engine
    this.purpose = purpose
    this.consumer = consumer
    this.keyCount = data.keyCount
    this.startedAt = data.now
    this.heldBefore = this.engine.keyspace.heap.heldBytes
    this.phaseBeganAt = this.engine.clock.monotonicMicros()
    this.commandsBefore = this.engine.commandsProcessed
    this.steps = encoder(data, this.progress)
  }

  /** The consumer has room again. */
  resume(): void {
    if (this.scheduled || this.over || !this.owner.runsByItself) return
    this.scheduled = true
    setImmediate(this.turn)
  }

  /** One slice now; for tests. */
  step(micros = SLICE_MICROS): void {
    const until = this.engine.clock.monotonicMicros() + micros
    do this.advance()
    while (!this.over && this.engine.clock.monotonicMicros() < until)
  }

  /** All the rest now. */
  finish(): void {
    let owedMicros = 0
    while (!this.over) {
      const { keys } = this.progress
      this.advance()
      owedMicros += this.delayOf(this.progress.keys - keys)
      if (owedMicros < 1000) continue
      Bun.sleepSync(owedMicros / 1000)
      owedMicros = 0
    }
  }

  /** Gives up; the consumer hears of it. */
  cancel(reason: Error): void {
    if (this.over) return
    this.end()
    this.consumer.abort(reason)
    this.owner.ended()
  }

  private readonly turn = (): void => {
    this.scheduled = false
    this.timer = undefined
    if (this.over || this.consumer.isFull) return
    const { clock } = this.engine
    const now = clock.monotonicMicros()
    if (now < this.delayedUntil) {
      this.later((this.delayedUntil - now) / 1000)
      return
    }
    const slice = this.sliceAt(now)
    if (slice === 0) {
      this.waitedMs++
      this.later(1)
      return
    }
    this.waitedMs = 0
    // Replies that are ready leave before the slice, so that clients work on them meanwhile.
    this.engine.endTickIfDue()
    if (this.over) return
    const { keys } = this.progress
    const until = clock.monotonicMicros() + slice
    let after = now
    do {
      this.advance()
      after = clock.monotonicMicros()
    } while (
      !this.over &&
      after < until &&
      !this.consumer.isFull &&
      (this.owner.keyDelayMicros <= 0 || this.progress.keys === keys)
    )
    if (this.over) return
    this.noteCopies()
    if (this.inBreak) this.phaseBeganAt = after
    this.commandsBefore = this.engine.commandsProcessed
    this.delayedUntil = after + this.delayOf(this.progress.keys - keys)
    this.resume()
  }

  /** How long a slice may be now, in microseconds; 0 while it is the clients' turn. */
  private sliceAt(now: number): number {
    const commands = Math.abs(this.engine.commandsProcessed - this.commandsBefore)
    // A clock that is moved by hand may stand still.
    const elapsed = Math.max(now - this.phaseBeganAt, this.waitedMs * 1000)
    if (!this.inBreak) {
      if (commands < BURST_COMMANDS && elapsed < RUN_MICROS) return SLICE_MICROS
      this.inBreak = true
      this.phaseBeganAt = now
      this.commandsBefore = this.engine.commandsProcessed
      return 0
    }
    if (elapsed < BREAK_MICROS) return 0
    // There is a break after the next slice, too.
    if (commands * 1000 >= elapsed * BUSY_COMMANDS_PER_MS) {
      return Math.min((elapsed * (1 - BUSY_SHARE)) / BUSY_SHARE, SLICE_MICROS_MAX)
    }
    this.inBreak = false
    this.phaseBeganAt = now
    return SLICE_MICROS
  }

  private later(ms: number): void {
    this.scheduled = true
    this.timer = setTimeout(this.turn, ms)
  }

  /** Forgets the delays of keys so far. */
  hurry(): void {
    this.delayedUntil = 0
    if (this.timer === undefined) return
    clearTimeout(this.timer)
    this.timer = undefined
    this.scheduled = false
    this.resume()
  }

  private delayOf(keys: number): number {
    const { keyDelayMicros } = this.owner
    return keyDelayMicros >= 0 ? keyDelayMicros * keys : keys / -keyDelayMicros
  }

  /** One step of the encoder. */
  private advance(): void {
    let step: IteratorResult<Uint8Array | undefined, void>
    try {
      step = this.steps.next()
    } catch (error) {
      this.cancel(error instanceof Error ? error : new Error(String(error)))
      return
    }
    if (!step.done) {
      if (step.value !== undefined) this.consumer.take(step.value)
      return
    }
    this.end()
    this.consumer.end()
    this.owner.ended()
  }

  private end(): void {
    this.noteCopies()
    this.over = true
    clearTimeout(this.timer)
    this.owner.thaw()
  }

  private noteCopies(): void {
    this.copyBytes = Math.max(0, this.engine.keyspace.heap.heldBytes - this.heldBefore)
  }
}

const NO_LIBRARIES: FunctionLibraries = {
  sources: () => [],
  load() {
    throw new Error("there are no functions on this server")
  },
  clear() {},
}

function noEncoder(): never {
  throw new Error("there is no encoder")
}
