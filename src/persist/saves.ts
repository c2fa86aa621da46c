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

/** One background save, from its beginning to its end. */
interface Run {
  readonly startedAtMs: number
  /** `dirty` at the freeze. */
  readonly dirty: number
  readonly file: SnapshotFile
  readonly done: (error: Error | undefined) => void
  /** The file has its name. */
  isPublished: boolean
  snapshot?: Snapshot
}

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
  private lastTry = 0
  private running: Run | undefined
  /** `dirty` as of the last save that made it. */
  private dirtyAtSave = 0

  constructor(engine: Engine, storage: Storage) {
    this.engine = engine
    this.storage = storage
    this.lastSave = Math.floor(engine.clock.wall() / 1000)
  }

  get inProgress(): boolean {
    return this.running !== undefined
  }

  /** Changes since the last save. */
  get changes(): number {
    return this.engine.keyspace.events.dirty - this.dirtyAtSave
  }

  /** Since when the running save has been running, in whole seconds; -1 when none is. */
  get currentSeconds(): number {
    const { running } = this
    return running === undefined ? -1 : Math.floor((this.engine.clock.wall() - running.startedAtMs) / 1000)
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
    if (this.inProgress || !engine.snapshots.mayBegin) return false
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
          if (this.running !== run) return
          if (error === undefined) void this.publish(run, temporaryPath)
          else this.finish(run, error)
        },
      })
    } catch (error) {
      engine.log("warning", `Failed opening the temp RDB file ${temporaryPath} for saving: ${reasonOf(error)}`)
      this.setOk(false)
      return false
    }
    const run: Run = {
      startedAtMs: engine.clock.wall(),
      dirty: engine.keyspace.events.dirty,
      file,
      done,
      isPublished: false,
    }
    this.running = run
    this.isForReplicas = purpose === "replicas"
    engine.log("notice", "Background saving started")
    run.snapshot = engine.snapshots.begin(purpose, file, encoder)
    file.snapshot = run.snapshot
    return true
  }

  /** Gives up a save that is not wanted any more, at once; unless its file is in its place already. */
  cancel(): void {
    const run = this.running
    if (run === undefined || run.isPublished) return
    run.snapshot?.cancel(CANCELLED)
    run.file.abort(CANCELLED)
    this.finish(run, CANCELLED)
  }

  /** The server stops: nothing of a save must stay behind. */
  stop(): void {
    const run = this.running
    this.cancel()
    run?.file.discard()
  }

  /** Ten times a second: begins what is scheduled, or what a save point asks for. */
  tick(): void {
    const { engine } = this
    if (!engine.snapshots.mayBegin || this.inProgress) return
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

  private async publish(run: Run, temporary: string): Promise<void> {
    const { path, storage } = this
    try {
      try {
        renameOver(storage, temporary, path)
      } catch (error) {
        storage.removeLater(temporary, () => {})
        throw error
      }
      run.isPublished = true
      await later(done => storage.syncDirectoryLater(dirname(path), done))
    } catch (error) {
      this.finish(run, error)
      return
    }
    this.engine.log("notice", "DB saved on disk")
    this.finish(run, undefined)
  }

  private finish(run: Run, error: unknown): void {
    if (this.running !== run) return
    const { engine } = this
    this.running = undefined
    this.lastSeconds = Math.round((engine.clock.wall() - run.startedAtMs) / 1000)
    this.lastCopyBytes = run.snapshot?.copyBytes ?? 0
    if (error === undefined) {
      engine.log("notice", "Background saving terminated with success")
      // A SAVE may have come in between.
      this.dirtyAtSave = Math.max(this.dirtyAtSave, run.dirty)
      this.succeed()
    } else if (error === CANCELLED) engine.log("warning", "Background saving cancelled")
    else {
      engine.log("warning", `Background saving error: ${reasonOf(error)}`)
      this.setOk(false)
    }
    run.done(error === undefined ? undefined : (error as Error))
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
