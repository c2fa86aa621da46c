/**
 * Full syncs: the whole data set for replicas that cannot go on from where they were.
 *
 * One snapshot serves all replicas that wait when it begins (and want the same of it). It goes
 *   to sockets   straight from the encoder, between `$EOF:<mark>` and the mark; the slowest replica sets the pace
 *   to disk      as an ordinary BGSAVE, and the file from there; who comes while it is being written may still join
 * From the moment of the freeze on, each replica's reader holds the stream that it gets afterwards.
 */

import { closeSync, fstatSync, openSync, readSync, unlink } from "node:fs"
import { uncleared } from "../bytes/compare.ts"
import type { Engine } from "../engine/engine.ts"
import type { Snapshot, SnapshotConsumer, SnapshotEncoder } from "../engine/snapshots.ts"
import type { ReplicationHistory } from "./history.ts"
import type { Replica } from "./replica.ts"

/** No more of a snapshot is encoded while a replica has this much of it unsent. */
const UNSENT_BYTES_MAX = 1024 * 1024
const FILE_CHUNK_BYTES = 64 * 1024

export interface FullSyncOptions {
  engine: Engine
  history: ReplicationHistory
  /** All replicas, in the order in which they came. */
  replicas: ReadonlySet<Replica>
  newMark: () => string
  /** Nothing on disk would survive a restart. */
  persistsNothing: () => boolean
  /** A replica has its data. */
  onOnline: (replica: Replica) => void
  drop: (replica: Replica) => void
}

interface Run {
  readonly target: "sockets" | "disk"
  readonly filterName: string
  readonly members: Set<Replica>
  snapshot: Snapshot | undefined
}

export class FullSync {
  private readonly options: FullSyncOptions
  private readonly engine: Engine
  private run: Run | undefined

  constructor(options: FullSyncOptions) {
    this.options = options
    this.engine = options.engine
  }

  /** What the snapshot goes to that is being made for replicas. */
  get target(): "sockets" | "disk" | undefined {
    return this.run?.target
  }

  /** A replica has asked for everything. */
  request(replica: Replica): void {
    const { engine, run } = this
    const { values } = engine.config
    if (run?.target === "disk") {
      if (!this.join(replica, run)) {
        engine.log("notice", "Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC")
      }
    } else if (run !== undefined) {
      engine.log("notice", "Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC")
    } else if (engine.snapshots.running !== undefined) {
      engine.log("notice", "No BGSAVE in progress, but another BG operation is active. BGSAVE for replication delayed")
    } else if (values.replDisklessSync && replica.terms.understandsEof && values.replDisklessSyncDelay > 0) {
      engine.log("notice", "Delay next BGSAVE for diskless SYNC")
      this.startDue()
    } else this.start()
  }

  /** Begins a snapshot if replicas have waited long enough, or are enough. */
  startDue(): void {
    if (this.run !== undefined || !this.engine.snapshots.mayBegin) return
    const { replDisklessSync, replDisklessSyncDelay, replDisklessSyncMaxReplicas } = this.engine.config.values
    const waiting = this.waiting()
    if (waiting.length === 0) return
    const { now } = this.engine.keyspace
    const longestMs = Math.max(...waiting.map(replica => now - replica.askedAt))
    const areEnough = replDisklessSyncMaxReplicas > 0 && waiting.length >= replDisklessSyncMaxReplicas
    if (!replDisklessSync || areEnough || longestMs >= replDisklessSyncDelay * 1000) this.start()
  }

  /** A replica is gone. */
  forget(replica: Replica): void {
    const { engine, run } = this
    if (run === undefined || !run.members.delete(replica)) return
    if (run.members.size > 0) {
      // It may have been the one that all others waited for.
      run.snapshot?.resume()
    } else if (run.snapshot !== undefined) {
      engine.log("notice", "Diskless rdb transfer, last replica dropped, killing fork child.")
      run.snapshot.cancel(new Error("no replica is left"))
    } else if (run.target === "disk" && engine.config.values.save.length === 0) engine.snapshots.files.cancel()
  }

  /** All data was deleted: a snapshot of what was there is not worth being sent. The replicas will ask again. */
  flushed(): void {
    this.run?.snapshot?.cancel(new Error("all data was deleted meanwhile"))
  }

  /** Gives up what is being made for replicas: our own data is about to be replaced. */
  cancel(): void {
    const { run } = this
    if (run === undefined) return
    run.snapshot?.cancel(new Error("the data is being replaced"))
    this.run = undefined
  }

  /** Those that wait and want the same as the first. */
  private waiting(): Replica[] {
    const waiting = [...this.options.replicas].filter(({ state }) => state === "wait_start")
    return waiting.filter(({ terms }) => terms.filterName === waiting[0]!.terms.filterName)
  }

  private start(): void {
    const { engine } = this
    const members = this.waiting()
    const first = members[0]
    if (first === undefined || !engine.snapshots.mayBegin) return
    const { filter } = first.terms
    const toSockets =
      (engine.config.values.replDisklessSync || filter !== undefined) &&
      members.every(({ terms }) => terms.understandsEof)
    engine.log("notice", `Starting BGSAVE for SYNC with target: ${toSockets ? "replicas sockets" : "disk"}`)
    const run: Run = {
      target: toSockets ? "sockets" : "disk",
      filterName: first.terms.filterName,
      members: new Set(members),
      snapshot: undefined,
    }
    this.run = run
    if (toSockets) this.startSockets(run, filter)
    else this.startDisk(run)
  }

  /** The replica is to have the data as of `offset`, and the stream from there. */
  private setUp(replica: Replica, offset: number): void {
    const { stream, id } = this.options.history
    replica.syncOffset = offset
    replica.state = "wait_end"
    if (!replica.terms.snapshotOnly) replica.reader = stream.readFrom(offset + 1)
    replica.tookAt = this.engine.keyspace.now
    if (!replica.isOld) replica.sendText(`+FULLRESYNC ${id} ${offset}\r\n`)
  }

  // ------------------------------------------------------------------ to sockets

  private startSockets(run: Run, filter: { functions: boolean } | undefined): void {
    const { engine } = this
    const mark = this.options.newMark()
    const consumer = new SocketsConsumer(run.members, {
      end: () => this.endSockets(run, mark),
      abort: reason => {
        if (this.run === run) this.run = undefined
        if (run.members.size > 0) engine.log("warning", `Background RDB transfer error: ${reason.message}`)
        for (const replica of [...run.members]) this.options.drop(replica)
      },
    })
    const encoder = encoderFor(engine.snapshots.encoder, filter, !knowsAll(run))
    const snapshot = engine.snapshots.begin("replicas", consumer, encoder)
    run.snapshot = snapshot
    engine.log("notice", `Background RDB transfer started by pid ${process.pid}`)
    const { offset } = this.options.history.stream
    for (const replica of [...run.members]) {
      replica.onRoom = () => snapshot.resume()
      this.setUp(replica, offset)
      replica.sendText(`$EOF:${mark}\r\n`)
    }
  }

  private endSockets(run: Run, mark: string): void {
    const { engine } = this
    engine.log("notice", `Diskless rdb transfer, done reading from pipe, ${run.members.size} replicas still up.`)
    engine.log("notice", "Background RDB transfer terminated with success")
    this.run = undefined
    for (const replica of [...run.members]) {
      replica.onRoom = () => this.streamed(replica)
      replica.sendText(mark)
    }
  }

  private streamed(replica: Replica): void {
    if (replica.directBytes > 0) return
    replica.onRoom = undefined
    replica.startsOnAck = true
    this.engine.log(
      "notice",
      `Streamed replica with replica ${replica.name} succeeded (socket). Waiting for REPLCONF ACK from replica to enable ` +
        "streaming",
    )
    this.options.onOnline(replica)
  }

  // ------------------------------------------------------------------ by way of the disk

  private startDisk(run: Run): void {
    const { engine } = this
    const begun = engine.snapshots.files.saveForReplicas(!knowsAll(run), (error, path) => {
      if (this.run === run) this.run = undefined
      if (error === undefined) for (const replica of [...run.members]) this.sendFile(replica, path)
      else {
        engine.log("warning", `SYNC failed. BGSAVE failed: ${error.message}`)
        for (const replica of [...run.members]) this.options.drop(replica)
      }
      this.startDue()
    })
    if (begun) {
      const { offset } = this.options.history.stream
      for (const replica of run.members) this.setUp(replica, offset)
      return
    }
    this.run = undefined
    engine.log("warning", "BGSAVE for replication failed")
    for (const replica of [...run.members]) {
      replica.sendText("-ERR BGSAVE failed, replication can't continue\r\n")
      this.options.drop(replica)
    }
  }

  /** A late replica gets what an earlier one gets, if that one has not moved since. */
  private join(replica: Replica, { members, filterName }: Run): boolean {
    for (const member of members) {
      if (member.state !== "wait_end" || filterName !== replica.terms.filterName) continue
      if (member.reader === undefined && !replica.terms.snapshotOnly) continue
      if (member.terms.understandsEof && !replica.terms.understandsEof) return false
      if (member.terms.understandsPsync2 && !replica.terms.understandsPsync2) return false
      if (member.terms.understandsRdb12 && !replica.terms.understandsRdb12) return false
      this.setUp(replica, member.syncOffset)
      members.add(replica)
      this.engine.log("notice", "Waiting for end of BGSAVE for SYNC")
      return true
    }
    return false
  }

  /** Where nothing else is kept on disk, neither is the file of a sync once it has served. */
  private removeFile(path: string): void {
    const { engine, options } = this
    if (!engine.config.values.rdbDelSyncFiles || !options.persistsNothing()) return
    for (const { state } of options.replicas) if (state !== "online") return
    engine.log("notice", "Removing the RDB file used to feed replicas in a persistence-less instance")
    unlink(path, () => {})
  }

  /** Sends the file in pieces, as the replica takes them. */
  private sendFile(replica: Replica, path: string): void {
    let fd: number
    let size: number
    try {
      fd = openSync(path, "r")
      size = fstatSync(fd).size
    } catch (error) {
      this.engine.log("warning", `SYNC failed. Can't open/stat DB after BGSAVE: ${String(error)}`)
      this.options.drop(replica)
      return
    }
    let at = 0
    const finish = (): void => {
      closeSync(fd)
      replica.onRoom = undefined
      replica.onRelease = undefined
    }
    replica.state = "send_bulk"
    replica.onRelease = finish
    replica.onRoom = () => {
      if (at < size) {
        const chunk = uncleared(Math.min(FILE_CHUNK_BYTES, size - at))
        const count = readSync(fd, chunk, 0, chunk.length, at)
        if (count === 0) {
          this.engine.log("warning", "Read error sending DB to replica: premature EOF")
          this.options.drop(replica)
          return
        }
        at += count
        replica.send(chunk.subarray(0, count))
      }
      if (at < size || replica.directBytes > 0) return
      finish()
      this.options.onOnline(replica)
      this.removeFile(path)
    }
    replica.sendText(`$${size}\r\n`)
  }
}

/** Gives all members the bytes of a snapshot. */
class SocketsConsumer implements SnapshotConsumer {
  private readonly members: ReadonlySet<Replica>
  private readonly ends: { end: () => void; abort: (reason: Error) => void }

  constructor(members: ReadonlySet<Replica>, ends: { end: () => void; abort: (reason: Error) => void }) {
    this.members = members
    this.ends = ends
  }

  get isFull(): boolean {
    for (const replica of this.members) if (replica.directBytes > UNSENT_BYTES_MAX) return true
    return false
  }

  take(bytes: Uint8Array): void {
    for (const replica of this.members) replica.send(bytes)
  }

  end(): void {
    this.ends.end()
  }

  abort(reason: Error): void {
    this.ends.abort(reason)
  }
}

function knowsAll({ members }: Run): boolean {
  for (const { terms } of members) if (!terms.understandsRdb12) return false
  return true
}

/** Encodes what the filter leaves (no keys, and function libraries only if they are wanted), for old readers too. */
function encoderFor(
  encoder: SnapshotEncoder,
  filter: { functions: boolean } | undefined,
  hasOldReaders: boolean,
): SnapshotEncoder {
  if (filter === undefined) return (data, progress) => encoder({ ...data, hasOldReaders }, progress)
  return (data, progress) =>
    encoder({ ...data, databases: [], keyCount: 0, libraries: filter.functions ? data.libraries : [] }, progress)
}
