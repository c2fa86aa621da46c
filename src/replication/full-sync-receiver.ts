/**
 * Receives the data of a full sync and puts it in the place of ours.
 *
 *   to disk      bytes ──▶ temp-….rdb ──all there──▶ dbfilename ──▶ old data dropped ──▶ loaded in slices ──▶ onLoaded
 *   to memory    old data dropped at the first byte; loaded as the bytes come (repl-diskless-load on-empty-db)
 *   aside        loaded as the bytes come, beside the old data, which then is exchanged for it (swapdb)
 *
 * While data is being replaced clients are told LOADING. Beside the old data of the same history they go on reading that.
 */

import { closeSync, fsync, openSync, readSync, renameSync, unlinkSync, writeSync } from "node:fs"
import { join } from "node:path"
import { uncleared } from "../bytes/compare.ts"
import { type Engine, EngineCondition } from "../engine/engine.ts"
import type { ReplicationPoint } from "../engine/snapshots.ts"
import { Database } from "../keyspace/db.ts"
import type { LinkPorts, MasterConnection, SnapshotLoad } from "./link-ports.ts"
import { PayloadReader } from "./payload.ts"

const SLICE_MICROS_MAX = 2000
/** Timers are no finer. */
const OWED_MICROS_MIN = 1000
const FILE_CHUNK_BYTES = 256 * 1024
/** A load that has this much waiting to be decoded lets the master wait. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024

export interface ReceiverOptions {
  engine: Engine
  ports: LinkPorts
  connection: MasterConnection
  /** The data that comes is of the same history as ours, only later. */
  isSameHistory: boolean
  /** Our data is about to be replaced. */
  onReplace: () => void
  /** To be told to the master while it waits for us. */
  onAlive: () => void
  onLoaded: (point: ReplicationPoint | undefined, isStreamed: boolean) => void
  onFailed: () => void
}

type Way = "disk" | "memory" | "aside"

export class FullSyncReceiver {
  readonly startedAt: number
  private readonly options: ReceiverOptions
  private readonly engine: Engine
  private readonly payload: PayloadReader
  private readonly way: Way
  private over = false
  private heardAt: number

  /** The file on its way, by either route. */
  private fd = -1
  private path = ""
  private writtenBytes = 0

  private load: SnapshotLoad | undefined
  private databases: readonly Database[] = []
  /** Sources that are to be loaded with the exchange of the data. */
  private readonly functions: Uint8Array[] = []
  private waitingBytes = 0
  /** Time that is to be waited for keys already loaded (key-load-delay). */
  private owedMicros = 0
  private scheduled = false
  private isPaused = false
  /** Reads the file when it is loaded from disk. */
  private readAt = 0
  private loadStartedAt = 0

  constructor(options: ReceiverOptions) {
    this.options = options
    this.engine = options.engine
    this.way = this.chooseWay()
    this.startedAt = this.engine.clock.wall()
    this.heardAt = this.startedAt
    this.payload = new PayloadReader(
      () => this.begun(),
      bytes => this.take(bytes),
    )
  }

  get totalBytes(): number {
    return this.payload.total
  }

  get receivedBytes(): number {
    return this.payload.received
  }

  get silentSeconds(): number {
    return Math.max(0, Math.floor((this.engine.clock.wall() - this.heardAt) / 1000))
  }

  /** Data is being decoded: bytes may come or not. */
  get isLoading(): boolean {
    return this.load !== undefined && this.payload.state === "done"
  }

  /** Data is decoded as it comes. */
  get readsFromSocket(): boolean {
    return this.load !== undefined && this.way !== "disk"
  }

  /** Clients read the old data meanwhile. */
  get isAsync(): boolean {
    return this.load !== undefined && this.way === "aside" && this.options.isSameHistory
  }

  /** For INFO: since when something is being loaded, how much of it has come, and keys. */
  get loading(): { startedAt: number; loaded: number; total: number; keys: number } | undefined {
    const { load } = this
    if (load === undefined) return undefined
    const { received, total } = this.payload
    const loaded = this.way === "disk" ? this.readAt : received
    return { startedAt: this.loadStartedAt, loaded, total: total === 0 ? received : total, keys: load.keys }
  }

  private chooseWay(): Way {
    const { config, keyspace } = this.engine
    const { replDisklessLoad } = config.values
    if (replDisklessLoad === "swapdb") return "aside"
    const isEmpty = keyspace.databases.every(({ keys }) => keys.size === 0)
    return replDisklessLoad === "on-empty-db" && isEmpty ? "memory" : "disk"
  }

  /** Bytes of the master; returns how many belong to the snapshot: none any more once it is there. */
  receive(chunk: Uint8Array): number {
    this.heardAt = this.engine.clock.wall()
    if (this.payload.state === "done") return 0
    const used = this.payload.push(chunk)
    if (this.over) return chunk.length
    const { reason, state } = this.payload as PayloadReader
    if (state === "failed") this.fail(reason)
    else if (state === "done") this.received()
    return used
  }

  /** The link is gone, or nobody wants the data any more. */
  abort(): void {
    if (this.over) return
    this.over = true
    this.removeFile()
    if (this.load !== undefined) this.dropHalf()
  }

  everySecond(): void {
    if (this.load !== undefined) this.options.onAlive()
  }

  private begun(): void {
    const { engine, payload, way } = this
    const where = way === "disk" ? "to disk" : "to parser"
    engine.log(
      "notice",
      payload.isMarked
        ? `MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF ${where}`
        : `MASTER <-> REPLICA sync: receiving ${payload.total} bytes from master ${where}`,
    )
    if (way === "disk") this.openFile()
    else this.beginLoad()
  }

  private take(bytes: Uint8Array): void {
    if (this.over) return
    if (this.way === "disk") this.writeFile(bytes)
    else {
      this.waitingBytes += bytes.length
      this.load?.push(new Uint8Array(bytes))
      this.schedule()
      this.watchWaiting()
    }
  }

  private received(): void {
    if (this.way === "disk") this.fileReceived()
    else {
      this.load?.finish()
      this.schedule()
    }
  }

  // ------------------------------------------------------------------ by way of the disk

  private openFile(): void {
    const { dir } = this.engine.config.values
    const second = Math.floor(this.startedAt / 1000)
    this.path = join(dir, `temp-${second}.${process.pid}.rdb`)
    try {
      this.fd = openSync(this.path, "w+", 0o644)
    } catch (error) {
      this.fail(`Opening the temp file needed for MASTER <-> REPLICA synchronization: ${text(error)}`)
    }
  }

  private writeFile(bytes: Uint8Array): void {
    try {
      let written = 0
      while (written < bytes.length) written += writeSync(this.fd, bytes, written, bytes.length - written)
      this.writtenBytes += written
    } catch (error) {
      this.fail(
        "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA synchronization: " +
          text(error),
      )
    }
  }

  private fileReceived(): void {
    const { dbfilename, dir } = this.engine.config.values
    fsync(this.fd, error => {
      if (this.over) return
      try {
        if (error !== null) throw error
        renameSync(this.path, join(dir, dbfilename))
        this.path = join(dir, dbfilename)
      } catch (reason) {
        this.fail(
          `Failed trying to rename the temp DB into ${dbfilename} in MASTER <-> REPLICA synchronization: ${text(reason)}`,
        )
        return
      }
      this.beginLoad()
    })
  }

  /** Hands the decoder the next piece of the file. */
  private readFile(): void {
    const chunk = uncleared(Math.min(FILE_CHUNK_BYTES, this.writtenBytes - this.readAt))
    const count = chunk.length === 0 ? 0 : readSync(this.fd, chunk, 0, chunk.length, this.readAt)
    this.readAt += count
    if (count > 0) this.load?.push(chunk.subarray(0, count))
    if (count === 0 || this.readAt >= this.writtenBytes) this.load?.finish()
  }

  private closeFile(): void {
    if (this.fd >= 0) closeSync(this.fd)
    this.fd = -1
  }

  /** A file that was not received to its end is of no use to anybody. */
  private removeFile(): void {
    const isWhole = this.load !== undefined
    this.closeFile()
    if (this.path !== "" && (!isWhole || this.mayRemove)) unlink(this.path)
    this.path = ""
  }

  private get mayRemove(): boolean {
    return this.engine.config.values.rdbDelSyncFiles && this.options.ports.persistsNothing()
  }

  // ------------------------------------------------------------------ loading

  private beginLoad(): void {
    const { engine, options } = this
    const { keyspace } = engine
    engine.log("notice", "MASTER <-> REPLICA sync: Loading DB in memory")
    this.loadStartedAt = engine.clock.wall()
    if (this.way === "aside") {
      this.databases = keyspace.databases.map(({ index }) => new Database(keyspace, index))
      this.setLoading(true)
    } else {
      this.replace()
      this.setLoading(true)
      engine.log("notice", "MASTER <-> REPLICA sync: Flushing old data")
      for (const db of keyspace.databases) db.flush()
      options.ports.clearFunctions()
      this.databases = keyspace.databases
    }
    this.load = options.ports.beginLoad(this.databases, source => {
      if (this.way === "aside") this.functions.push(source)
      else options.ports.loadFunction(source)
    })
    this.schedule()
  }

  private replace(): void {
    this.options.ports.beforeReplace()
    this.options.onReplace()
  }

  private setLoading(on: boolean): void {
    const { engine } = this
    if (this.way === "aside" && this.options.isSameHistory) {
      engine.setCondition(EngineCondition.AsyncLoading, on)
      return
    }
    engine.setCondition(EngineCondition.Loading, on)
    engine.keyspace.holdExpiry("loading", on)
  }

  private schedule(): void {
    if (this.scheduled || this.over || this.load === undefined) return
    this.scheduled = true
    setImmediate(() => this.turn())
  }

  private turn(): void {
    this.scheduled = false
    const { engine, load } = this
    if (this.over || load === undefined) return
    engine.refreshTime()
    const until = engine.clock.monotonicMicros() + SLICE_MICROS_MAX
    const { keys } = load
    let outcome: "more" | "hungry" | "done" = "more"
    try {
      do {
        outcome = load.slice()
        if (outcome !== "hungry") continue
        this.waitingBytes = 0
        if (this.way !== "disk") break
        this.readFile()
      } while (outcome !== "done" && engine.clock.monotonicMicros() < until)
    } catch (error) {
      this.loadFailed(error)
      return
    }
    this.watchWaiting()
    this.owedMicros += Math.max(0, engine.config.values.keyLoadDelay) * (load.keys - keys)
    if (outcome === "done") this.loaded(load)
    else if (this.owedMicros >= OWED_MICROS_MIN) {
      this.later(this.owedMicros / 1000)
      this.owedMicros = 0
    } else if (outcome === "more" || this.way === "disk") this.schedule()
  }

  private later(ms: number): void {
    this.scheduled = true
    setTimeout(() => this.turn(), ms)
  }

  /** What the decoder has not got to yet must not pile up. */
  private watchWaiting(): void {
    const { connection } = this.options
    const waits = this.waitingBytes > WAITING_BYTES_MAX
    if (waits === this.isPaused) return
    this.isPaused = waits
    if (waits) connection.pause()
    else connection.resume()
  }

  private loaded(load: SnapshotLoad): void {
    const { engine, options, way } = this
    const { keyspace } = engine
    if (this.payload.state !== "done") {
      this.loadFailed(new Error("the snapshot ends before the master says so"))
      return
    }
    if (way === "aside") {
      this.replace()
      engine.log("notice", "MASTER <-> REPLICA sync: Swapping active DB with loaded DB")
      options.ports.clearFunctions()
      for (const db of this.databases) keyspace.replace(db)
      for (const source of this.functions) options.ports.loadFunction(source)
      engine.log("notice", "MASTER <-> REPLICA sync: Discarding old DB in background")
    } else if (way === "disk" && this.mayRemove) {
      engine.log("notice", "Removing the RDB file obtained from the master. This replica has persistence disabled")
    }
    this.over = true
    this.removeFile()
    keyspace.events.dirty++
    this.setLoading(false)
    if (this.isPaused) options.connection.resume()
    options.onLoaded(load.replication, this.payload.isMarked)
  }

  private loadFailed(error: unknown): void {
    const where = this.way === "disk" ? "from disk" : "from socket"
    this.engine.log("warning", `Internal error in RDB reading: ${text(error)}`)
    this.fail(`Failed trying to load the MASTER synchronization DB ${where}, check server logs.`)
  }

  private fail(reason: string): void {
    if (this.over) return
    this.engine.log("warning", reason)
    this.over = true
    this.removeFile()
    if (this.load !== undefined) this.dropHalf()
    this.options.onFailed()
  }

  /** Half a data set is worse than none. */
  private dropHalf(): void {
    const { keyspace, log } = this.engine
    for (const db of this.databases) db.flush()
    if (this.way === "aside") log("notice", "MASTER <-> REPLICA sync: Discarding temporary DB in background")
    keyspace.events.dirty++
    this.setLoading(false)
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function unlink(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It never came to be.
  }
}
