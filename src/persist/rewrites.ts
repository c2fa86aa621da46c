/**
 * Rewrites of the append-only file: a new base, made from a snapshot, and a new increment that begins at the same point
 * of the command stream, take the place of everything older.
 *
 *   Idle ─begin─▶ Preparing ────▶ Encoding ────▶ Adopting ────▶ Removing ────▶ Idle
 *                  (new increment   (snapshot       (new name,     (history
 *                   is listed)       to a file)      manifest)      is deleted)
 *
 * Whatever fails or stops between two steps leaves files that load (aof.ts says which steps there are). The slow parts of each
 * step, syncs above all, are off-thread.
 *
 * What starts one: BGREWRITEAOF; growth (auto-aof-rewrite-*); switching the append-only file on at run time, where
 * the first base is made this way. If the latter fails it is tried again and again, since nothing is safe before.
 */

import type { Engine } from "../engine/engine.ts"
import type { Snapshot, SnapshotEncoder } from "../engine/snapshots.ts"
import type { AppendOnlyFile } from "./aof.ts"
import { SnapshotFile } from "./snapshot-file.ts"
import { reasonOf, type Storage } from "./storage.ts"

/** From so many failures in a row on, rewrites that nobody asked for wait, twice as long each time. */
const FAILURES_MAX = 3
const DELAY_MINUTES_MAX = 60

/** A first rewrite that failed is tried again after this. */
const RETRY_MS = 1000

const CANCELLED = new Error("the rewrite is not wanted any more")

export interface RewriteOptions {
  engine: Engine
  aof: AppendOnlyFile
  storage: Storage
  /** How a base is written: in RDB format, or as commands. */
  encoder: (suffix: "rdb" | "aof") => SnapshotEncoder
}

/** One rewrite, from its beginning to its end. */
interface Run {
  readonly startedAtMs: number
  cancelled: boolean
  /** Its base is being given its name. */
  isAdopting: boolean
  snapshot?: Snapshot
  file?: SnapshotFile
}

export class Rewrites {
  scheduled = false
  lastOk = true
  /** How long the last one took; -1 before there was one. */
  lastSeconds = -1
  count = 0
  consecutiveFailures = 0
  lastCopyBytes = 0

  private readonly options: RewriteOptions
  private running: Run | undefined
  /** A scheduled one that is tried again does not begin before. */
  private retryAtMs = 0
  private delayMinutes = 0
  private delayedUntilMs = 0

  constructor(options: RewriteOptions) {
    this.options = options
  }

  get inProgress(): boolean {
    return this.running !== undefined
  }

  get currentSeconds(): number {
    const { running } = this
    return running === undefined ? -1 : Math.floor((this.options.engine.clock.wall() - running.startedAtMs) / 1000)
  }

  /** Begins one; must not be called while one is running. */
  begin(): void {
    const { engine } = this.options
    const run: Run = { startedAtMs: engine.clock.wall(), cancelled: false, isAdopting: false }
    this.running = run
    this.scheduled = false
    this.retryAtMs = 0
    this.count++
    engine.log("notice", "Background append only file rewriting started")
    this.perform(run).then(
      () => this.finish(run, undefined),
      error => this.finish(run, error),
    )
  }

  /** Gives up a rewrite that is not wanted any more, at once; unless its base is just being adopted, which is soon over. */
  cancel(): void {
    const run = this.running
    if (run === undefined || run.isAdopting) return
    run.cancelled = true
    run.snapshot?.cancel(CANCELLED)
    run.file?.abort(CANCELLED)
    this.finish(run, CANCELLED)
  }

  /** The server stops: nothing unfinished must stay behind. */
  stop(): void {
    const file = this.running?.file
    this.cancel()
    file?.discard()
  }

  /** Ten times a second, when nothing else is under way: begins what is scheduled, or due for its growth. */
  tick(): void {
    if (this.inProgress) return
    if (this.scheduled) {
      if (this.options.engine.clock.wall() >= this.retryAtMs && !this.isLimited()) this.begin()
      return
    }
    const { aof, engine } = this.options
    const { autoAofRewritePercentage, autoAofRewriteMinSize } = engine.config.values
    if (!aof.isOpen || aof.isWaiting || autoAofRewritePercentage === 0) return
    if (aof.totalSize <= autoAofRewriteMinSize) return
    const growth = Math.floor((aof.totalSize * 100) / Math.max(1, aof.baseSize)) - 100
    if (growth < autoAofRewritePercentage || this.isLimited()) return
    engine.log("notice", `Starting automatic rewriting of AOF on ${growth}% growth`)
    this.begin()
  }

  private isLimited(): boolean {
    const { engine } = this.options
    const now = engine.clock.wall()
    if (this.consecutiveFailures < FAILURES_MAX) {
      this.delayMinutes = 0
      return false
    }
    if (this.delayMinutes === 0) this.delayMinutes = 1
    else if (now < this.delayedUntilMs) return true
    else if (this.delayedUntilMs !== 0) {
      // The wait is over: one attempt, and a longer wait should it fail.
      this.delayMinutes = Math.min(this.delayMinutes * 2, DELAY_MINUTES_MAX)
      this.delayedUntilMs = 0
      return false
    }
    this.delayedUntilMs = now + this.delayMinutes * 60_000
    engine.log(
      "warning",
      `Background AOF rewrite has repeatedly failed and triggered the limit, will retry in ${this.delayMinutes} minutes`,
    )
    return true
  }

  private async perform(run: Run): Promise<void> {
    const { aof, engine, storage } = this.options
    const { values } = engine.config
    const { snapshots } = engine
    const suffix = values.aofUseRdbPreamble ? "rdb" : "aof"
    aof.makeDirectory()
    await aof.prepareIncrement()
    // Whoever wanted a snapshot meanwhile has it first.
    while (!snapshots.mayBegin && !run.cancelled) await new Promise<void>(resolve => snapshots.whenIdle(resolve))
    if (run.cancelled) throw CANCELLED
    const path = `${aof.directory}/temp-rewriteaof-bg-${process.pid}-${this.count}.aof`
    let size = 0
    await new Promise<void>((resolve, reject) => {
      const file = new SnapshotFile({
        storage,
        path,
        syncsInSteps: values.aofRewriteIncrementalFsync,
        done: error => {
          size = file.size
          if (error === undefined) resolve()
          else reject(error)
        },
      })
      run.file = file
      try {
        engine.flushPropagation()
        aof.switchIncrement()
      } catch (error) {
        file.abort(error as Error)
        return
      }
      run.snapshot = snapshots.begin("rewrite", file, this.options.encoder(suffix))
      file.snapshot = run.snapshot
    })
    if (run.cancelled) {
      storage.removeLater(path, () => {})
      throw CANCELLED
    }
    run.isAdopting = true
    engine.log("notice", "Background AOF rewrite terminated with success")
    await aof.adoptBase(path, suffix, size)
    if (!values.aofDisableAutoGc) await aof.removeHistory()
  }

  private finish(run: Run, error: unknown): void {
    if (this.running !== run) return
    const { aof, engine } = this.options
    this.running = undefined
    this.lastSeconds = Math.round((engine.clock.wall() - run.startedAtMs) / 1000)
    this.lastCopyBytes = run.snapshot?.copyBytes ?? 0
    if (error === undefined) {
      this.lastOk = true
      this.consecutiveFailures = 0
      engine.log("notice", "Background AOF rewrite finished successfully")
      return
    }
    if (error === CANCELLED) engine.log("notice", "Background AOF rewrite cancelled")
    else {
      this.lastOk = false
      this.consecutiveFailures++
      engine.log("warning", `Background AOF rewrite terminated with error: ${reasonOf(error)}`)
    }
    if (!aof.isWaiting) return
    aof.dropTemporary()
    this.scheduled = true
    this.retryAtMs = error === CANCELLED ? 0 : engine.clock.wall() + RETRY_MS
  }
}
