/**
 * The snapshot file (`dbfilename`): SAVE, BGSAVE, save points, and what is known of the last one.
 *
 *            begin                  file complete and synced               renamed, folder synced
 *   Idle ─────────────▶ Saving ─────────────────────────────▶ Publishing ─────────────────────────▶ Idle, lastOk
 *                         │  the disk fails                       │
 *                         ├──────────────────────────────────────┴────────────────────────────────▶ Idle, not lastOk
 *                         └──cancel (FLUSHALL, the end of the server)─────────────────────────────▶ Idle, as before
 *
 * The file is written under a temporary name and renamed when it is safe, so that there is always a whole one.
 * Changes are counted from the last snapshot that made it: from its freeze, not from its end.
 */

import { dirname } from "node:path"
import type { Engine } from "../engine/engine.ts"
import type { Snapshot, SnapshotEncoder } from "../engine/snapshots.ts"
import { later, renameOver } from "./replace-file.ts"
import { SnapshotFile, SnapshotFileNow } from "./snapshot-file.ts"
import { reasonOf, type Storage } from "./storage.ts"

/** After a failure a save point waits this long before it tries again. */
const RETRY_SECONDS = 5

const CANCELLED = new Error("the save is not wanted any more")

export class Saves {
  scheduled = false
  /** Whether the last background save made it. */
  lastOk = true
  /** Unix time in seconds of the last save that made it, or of the start. */
  lastSave: number
  /** How long the last background save took; -1 before there was one. */
  lastSeconds = -1
  /** Saves begun. */
  count = 0
  /** Bytes that the last one cost for copies of what was changed meanwhile. */
  lastCopyBytes = 0
  /** The state of health has changed. */
  onStatus: () => void = () => {}
  /** The file was made for replicas, where nothing else is persisted. */
  isForReplicas = false

  private readonly engine: Engine
  private readonly storage: Storage
  private startedAtMs = 0
  private lastTry = 0
  private snapshot: Snapshot | undefined
  private file: SnapshotFile | undefined
  private busy = false
  /** `dirty` as of the last save that made it. */
  private dirtyAtSave = 0

  constructor(engine: Engine, storage: Storage) {
    this.engine = engine
    this.storage = storage
    this.lastSave = Math.floor(engine.clock.wall() / 1000)
  }

  get inProgress(): boolean {
    return this.busy
  }

  /** Changes since the last save. */
  get changes(): number {
    return this.engine.keyspace.events.dirty - this.dirtyAtSave
  }

  /** Since when the running save has been running, in whole seconds; -1 when none is. */
  get currentSeconds(): number {
    return this.busy ? Math.floor((this.engine.clock.wall() - this.startedAtMs) / 1000) : -1
  }

  get path(): string {
    const { dir, dbfilename } = this.engine.config.values
    return `${dir}/${dbfilename}`
  }

  /** What is in memory is what is on disk. */
  noteClean(): void {
    this.dirtyAtSave = this.engine.keyspace.events.dirty
  }

  /** SAVE: all at once. False when it failed; the log says why. */
  now(): boolean {
    const { path, storage } = this
    const temporaryPath = `${this.engine.config.values.dir}/temp-${process.pid}.rdb`
    this.count++
    try {
      const file = new SnapshotFileNow(storage, temporaryPath)
      this.engine.snapshots.runAtOnce("save", file)
      if (file.error !== undefined) throw file.error
      try {
        renameOver(storage, temporaryPath, path)
      } catch (error) {
        storage.remove(temporaryPath)
        throw error
      }
      storage.syncDirectory(dirname(path))
    } catch (error) {
      this.engine.log("warning", `Error saving the DB on disk: ${path}: ${reasonOf(error)}`)
      return false
    }
    this.engine.log("notice", "DB saved on disk")
    this.isForReplicas = false
    this.noteClean()
    this.succeed()
    return true
  }

  /** Begins a background save; false when it cannot, for which the log has the reason. Only if `snapshots.mayBegin`. */
  begin(
    purpose: "save" | "replicas" = "save",
    done: (error: Error | undefined) => void = () => {},
    encoder?: SnapshotEncoder,
  ): boolean {
    const { engine } = this
    if (this.busy || !engine.snapshots.mayBegin) return false
    const temporaryPath = `${engine.config.values.dir}/temp-bgsave-${process.pid}-${++this.count}.rdb`
    this.scheduled = false
    this.lastTry = this.seconds()
    let file: SnapshotFile
    try {
      file = new SnapshotFile({
        storage: this.storage,
        path: temporaryPath,
        syncsInSteps: engine.config.values.rdbSaveIncrementalFsync,
        done: error => {
          if (error === undefined) void this.publish(temporaryPath, dirty, done)
          else this.finish(error, dirty, done)
        },
      })
    } catch (error) {
      engine.log("warning", `Failed opening the temp RDB file ${temporaryPath} for saving: ${reasonOf(error)}`)
      this.setOk(false)
      return false
    }
    const { dirty } = engine.keyspace.events
    this.busy = true
    this.isForReplicas = purpose === "replicas"
    this.startedAtMs = engine.clock.wall()
    this.file = file
    engine.log("notice", "Background saving started")
    this.snapshot = engine.snapshots.begin(purpose, file, encoder)
    file.snapshot = this.snapshot
    return true
  }

  /** Gives up a save that is not wanted any more. */
  cancel(): void {
    if (!this.busy) return
    this.snapshot?.cancel(CANCELLED)
    this.file?.abort(CANCELLED)
  }

  /** The server stops: nothing of a save must stay behind. */
  stop(): void {
    if (!this.busy) return
    const { file } = this
    this.cancel()
    file?.discard()
  }

  /** Ten times a second: begins what is scheduled, or what a save point asks for. */
  tick(): void {
    const { engine } = this
    if (!engine.snapshots.mayBegin || this.busy) return
    const now = this.seconds()
    if (!this.lastOk && now - this.lastTry <= RETRY_SECONDS) return
    if (this.scheduled) {
      this.begin()
      return
    }
    for (const { seconds, changes } of engine.config.values.save) {
      if (this.changes < changes || now - this.lastSave <= seconds) continue
      engine.log("notice", `${changes} changes in ${seconds} seconds. Saving...`)
      this.begin()
      return
    }
  }

  private async publish(temporary: string, dirty: number, done: (error: Error | undefined) => void): Promise<void> {
    const { path, storage } = this
    try {
      try {
        renameOver(storage, temporary, path)
      } catch (error) {
        storage.removeLater(temporary, () => {})
        throw error
      }
      await later(done => storage.syncDirectoryLater(dirname(path), done))
    } catch (error) {
      this.finish(error, dirty, done)
      return
    }
    this.engine.log("notice", "DB saved on disk")
    this.finish(undefined, dirty, done)
  }

  private finish(error: unknown, dirty: number, done: (error: Error | undefined) => void): void {
    const { engine } = this
    this.busy = false
    this.lastSeconds = Math.round((engine.clock.wall() - this.startedAtMs) / 1000)
    this.lastCopyBytes = this.snapshot?.copyBytes ?? 0
    this.snapshot = this.file = undefined
    if (error === undefined) {
      engine.log("notice", "Background saving terminated with success")
      // A SAVE may have come in between.
      this.dirtyAtSave = Math.max(this.dirtyAtSave, dirty)
      this.succeed()
    } else if (error === CANCELLED) engine.log("warning", "Background saving cancelled")
    else {
      engine.log("warning", `Background saving error: ${reasonOf(error)}`)
      this.setOk(false)
    }
    done(error === undefined ? undefined : (error as Error))
  }

  private succeed(): void {
    this.lastSave = this.seconds()
    this.setOk(true)
  }

  private setOk(ok: boolean): void {
    this.lastOk = ok
    this.onStatus()
  }

  private seconds(): number {
    return Math.floor(this.engine.clock.wall() / 1000)
  }
}
