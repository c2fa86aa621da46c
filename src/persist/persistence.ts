/**
 * What is kept on disk, and when. Loads the append-only file or the snapshot file at start, and again when DEBUG asks for it;
 * switches the append-only file on and off; begins saves and rewrites, one at a time (saves.ts, rewrites.ts); keeps the engine
 * informed of a disk that fails; saves at the end.
 *
 * Saves, rewrites and the snapshots of replicas exclude each other, since there is one snapshot at a time; who cannot begin is
 * refused or noted (`scheduled`), as in Redis, and noted ones begin at the next tick that finds nothing under way.
 */

import { basename } from "node:path"
import { Flag } from "../command/registry.ts"
import type { Client } from "../engine/client.ts"
import { reportedVersion } from "../engine/connection-commands.ts"
import { type Engine, EngineCondition, type ShutdownOptions } from "../engine/engine.ts"
import type { ReplicationPoint, SnapshotEncoder } from "../engine/snapshots.ts"
import type { Database } from "../keyspace/db.ts"
import { RdbError } from "../rdb/format.ts"
import { LoadReport } from "../rdb/load.ts"
import type { Arguments } from "../resp/arguments.ts"
import { AppendOnlyFile } from "./aof.ts"
import { commandEncoder } from "./aof-encode.ts"
import { type LoadOptions, type LoadResult, replayFile } from "./aof-load.ts"
import type { AofFile } from "./aof-manifest.ts"
import { beginsAsRdb, rdbEncoder, readRdb } from "./rdb-files.ts"
import { Rewrites } from "./rewrites.ts"
import { Saves } from "./saves.ts"
import { SnapshotFileNow } from "./snapshot-file.ts"
import { reasonOf, type Storage } from "./storage.ts"

export interface PersistenceOptions {
  engine: Engine
  storage: Storage
  /** Nothing is loaded at the start; only without an append-only file. */
  startsEmpty: boolean
  /** Shows how far loading is: bytes read of bytes in all. */
  onProgress?: (loaded: number, total: number) => void
  /** Lets other work happen between slices of loading. */
  pause: () => Promise<void>
}

/** Options of DEBUG RELOAD. */
export interface ReloadOptions {
  save: boolean
  flush: boolean
  merge: boolean
}

/** Loading cannot go on; the message is for the log, and the process ends. */
export class LoadError extends Error {}

const FAILED_SAVE =
  "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may " +
  "modify the data set are disabled, because this instance is configured to report errors during writes if RDB " +
  "snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error."

/** Loaded between two looks at clients, at most. */
const SLICE_BYTES_MAX = 256 * 1024

export class Persistence {
  readonly aof: AppendOnlyFile
  readonly saves: Saves
  readonly rewrites: Rewrites
  isLoading = false
  loadingStartedAt = 0
  loadedBytes = 0
  totalBytes = 0
  loadedKeys = 0
  /** Of the last RDB file: keys left out because their time was up, and keys stored. */
  expiredAtLoad = 0
  /** Told of keys in the snapshot file that were left out because their time was up; borrowed. */
  onExpiredAtLoad: ((db: Database, key: Uint8Array, length: number) => void) | undefined
  /** Where replication stood, as the snapshot file says that was loaded. */
  loadedPoint: ReplicationPoint | undefined
  storedAtLoad = 0

  private readonly engine: Engine
  private readonly options: PersistenceOptions
  private aofError: string | undefined
  private hasStarted = false
  private isReplacing = false

  constructor(options: PersistenceOptions) {
    this.options = options
    const { engine, storage } = options
    this.engine = engine
    const { config } = engine
    this.aof = new AppendOnlyFile({
      storage,
      directories: () => ({
        directory: `${config.values.dir}/${config.values.appenddirname}`,
        oldDirectory: config.values.dir,
      }),
      filename: config.values.appendfilename,
      policy: () => config.values.appendfsync,
      timestamp: () => (config.values.aofTimestampEnabled ? Math.floor(engine.clock.wall() / 1000) : 0),
      restsSyncing: () => config.values.noAppendfsyncOnRewrite && this.isActive,
      log: (level, message) => engine.log(level, message),
      onHealth: error => {
        this.aofError = error
        this.judgeHealth()
      },
      onUnsafe: () => engine.output.disown(client => engine.clients.terminate(client)),
    })
    this.saves = new Saves(engine, storage)
    this.saves.onStatus = () => this.judgeHealth()
    this.rewrites = new Rewrites({ engine, aof: this.aof, storage, encoder: suffix => this.baseEncoder(suffix) })
    engine.snapshots.encoder = (data, progress) => rdbEncoder(engine, reportedVersion(engine))(data, progress)
    engine.snapshots.files = {
      saveForReplicas: (hasOldReaders, done) => {
        const { encoder } = engine.snapshots
        const forThem: SnapshotEncoder = (data, progress) => encoder({ ...data, hasOldReaders }, progress)
        return this.saves.begin("replicas", error => done(error, this.saves.path), forThem)
      },
      cancel: () => this.saves.cancel(),
    }
    engine.snapshots.setKeyDelay(config.values.rdbKeySaveDelay)
    this.followConfig()
  }

  /** A save, a rewrite or a snapshot for replicas is under way. */
  get isActive(): boolean {
    return this.saves.inProgress || this.rewrites.inProgress || this.engine.snapshots.running !== undefined
  }

  /** A save to the snapshot file or a snapshot for replicas is under way. */
  get isSaving(): boolean {
    return this.saves.inProgress || this.engine.snapshots.running?.purpose === "replicas"
  }

  /** Inside EXEC or a script, where no snapshot can begin. */
  get isInsideUnit(): boolean {
    return this.engine.snapshots.isInsideUnit
  }

  /** Loads what is on disk and opens the files for writing. Throws LoadError. */
  async start(): Promise<void> {
    const { engine, aof } = this
    const { values } = engine.config
    const loadsAof = values.appendonly
    try {
      aof.readManifest(loadsAof)
      if (!this.options.startsEmpty) await this.run(loadsAof ? this.loadAof() : this.loadSaved())
      this.hasStarted = true
      // Both may have been switched over while loading.
      if (!values.appendonly) return
      if (!loadsAof) {
        this.switchOn()
        return
      }
      aof.openAtStart(this.baseSuffix, path => this.makeEmptyBase(path))
    } catch (error) {
      if (error instanceof LoadError) throw error
      throw new LoadError(error instanceof Error ? error.message : String(error))
    }
    this.attach()
  }

  /** Its part of INFO persistence. */
  info(): [name: string, value: string | number][] {
    const { aof, engine, rewrites, saves } = this
    const { running } = engine.snapshots
    const fields: [string, string | number][] = [
      ["loading", this.isLoading ? 1 : 0],
      ["current_cow_peak", running?.copyBytes ?? 0],
      ["current_cow_size", running?.copyBytes ?? 0],
      ["current_cow_size_age", 0],
      [
        "current_fork_perc",
        (running === undefined ? 0 : (running.progress.keys * 100) / Math.max(1, running.keyCount)).toFixed(2),
      ],
      ["current_save_keys_processed", running?.progress.keys ?? 0],
      ["current_save_keys_total", running?.keyCount ?? 0],
      ["rdb_changes_since_last_save", saves.changes],
      ["rdb_bgsave_in_progress", this.isSaving ? 1 : 0],
      ["rdb_last_save_time", saves.lastSave],
      ["rdb_last_bgsave_status", saves.lastOk ? "ok" : "err"],
      ["rdb_last_bgsave_time_sec", saves.lastSeconds],
      ["rdb_current_bgsave_time_sec", saves.currentSeconds],
      ["rdb_saves", saves.count],
      ["rdb_last_cow_size", saves.lastCopyBytes],
      ["rdb_last_load_keys_expired", this.expiredAtLoad],
      ["rdb_last_load_keys_loaded", this.storedAtLoad],
      ["aof_enabled", aof.isOpen || (this.isLoading && engine.config.values.appendonly) ? 1 : 0],
      ["aof_rewrite_in_progress", rewrites.inProgress ? 1 : 0],
      ["aof_rewrite_scheduled", rewrites.scheduled ? 1 : 0],
      ["aof_last_rewrite_time_sec", rewrites.lastSeconds],
      ["aof_current_rewrite_time_sec", rewrites.currentSeconds],
      ["aof_last_bgrewrite_status", rewrites.lastOk ? "ok" : "err"],
      ["aof_rewrites", rewrites.count],
      ["aof_rewrites_consecutive_failures", rewrites.consecutiveFailures],
      ["aof_last_write_status", aof.lastWriteOk ? "ok" : "err"],
      ["aof_last_cow_size", rewrites.lastCopyBytes],
    ]
    if (aof.isOpen) {
      fields.push(
        ["aof_current_size", aof.totalSize],
        ["aof_base_size", aof.baseSize],
        ["aof_pending_rewrite", 0],
        ["aof_buffer_length", aof.bufferLength],
        ["aof_pending_bio_fsync", aof.isSyncing ? 1 : 0],
        ["aof_delayed_fsync", aof.delayedSyncs],
      )
    }
    if (this.isLoading) {
      const percent = this.totalBytes === 0 ? 100 : (this.loadedBytes / this.totalBytes) * 100
      const elapsedMs = engine.clock.wall() - this.loadingStartedAt
      const etaSeconds = this.loadedBytes === 0 ? 1 : Math.ceil((elapsedMs * (100 - percent)) / percent / 1000)
      fields.push(
        ["loading_start_time", Math.floor(this.loadingStartedAt / 1000)],
        ["loading_total_bytes", this.totalBytes],
        ["loading_loaded_bytes", this.loadedBytes],
        ["loading_loaded_perc", percent.toFixed(2)],
        ["loading_eta_seconds", etaSeconds],
      )
    }
    return fields
  }

  /** Its part of INFO stats: what a fork is to Redis, a freeze is here. */
  statistics(): [name: string, value: number][] {
    const { count, lastFreezeMicros } = this.engine.snapshots
    return [
      ["latest_fork_usec", lastFreezeMicros],
      ["total_forks", count],
    ]
  }

  /** Ten times a second. */
  tick(): void {
    if (!this.hasStarted || this.isActive || (this.engine.conditions & EngineCondition.Loading) !== 0) return
    this.rewrites.tick()
    if (!this.rewrites.inProgress) this.saves.tick()
  }

  /** Whether the server may end, after having saved what the configuration says. The log has the reason if not. */
  mayEnd({ save, nosave, force }: ShutdownOptions): boolean {
    const { engine } = this
    const warn = (message: string) => engine.log("warning", message)
    if (this.aof.isWaiting) {
      warn(force ? "Writing initial AOF. Exit anyway." : "Writing initial AOF, can't exit.")
      if (!force) return false
    }
    if (this.rewrites.inProgress) warn("There is a child rewriting the AOF. Killing it!")
    if (this.saves.inProgress) warn("There is a child saving an .rdb. Killing it!")
    engine.snapshots.running?.cancel(new Error("the server stops"))
    this.saves.stop()
    this.rewrites.stop()
    // Half of the data must not take the place of all of it.
    const isPartial = (engine.conditions & EngineCondition.Loading) !== 0
    if (isPartial || (!save && (nosave || engine.config.values.save.length === 0))) return true
    engine.log("notice", "Saving the final RDB snapshot before exiting.")
    if (this.saves.now()) return true
    warn(force ? "Error trying to save the DB. Exit anyway." : "Error trying to save the DB, can't exit.")
    return force
  }

  stop(): void {
    this.engine.snapshots.running?.cancel(new Error("the server stops"))
    this.saves.stop()
    this.rewrites.stop()
    this.engine.flushPropagation()
    this.aof.close()
  }

  // ---------------------------------------------------------------------------------------------- on and off

  /** CONFIG SET appendonly yes: the first base is made by a rewrite. Returns what is wrong. */
  private switchOn(): string | undefined {
    const { aof, engine, rewrites } = this
    if (aof.isOpen) return undefined
    rewrites.cancel()
    try {
      // The configuration may name other folders by now.
      if (!rewrites.inProgress) aof.readManifest(false)
      aof.openTemporary()
    } catch (error) {
      engine.log("warning", `The append only file cannot be switched on: ${reasonOf(error)}`)
      return "Unable to turn on AOF. Check server logs."
    }
    this.attach()
    if (this.isActive || engine.snapshots.isInsideUnit) {
      rewrites.scheduled = true
      engine.log(
        "notice",
        "AOF was enabled but there is already another background operation. An AOF background was scheduled to start when possible.",
      )
    } else rewrites.begin()
    return undefined
  }

  /** CONFIG SET appendonly no: what has been written is complete, and stays. */
  private switchOff(): void {
    const { aof, engine, rewrites } = this
    if (!aof.isOpen) return
    engine.flushPropagation()
    this.detach()
    aof.close()
    rewrites.scheduled = false
    if (!rewrites.inProgress) return
    engine.log("notice", "Killing running AOF rewrite child (it has no process of its own)")
    rewrites.cancel()
  }

  /** A replica's data is about to be replaced: nothing is to be written of what comes and goes meanwhile. */
  beforeReplace(): void {
    this.isReplacing = true
    this.switchOff()
    this.saves.cancel()
  }

  /** All data is new: the append-only file, if it is wanted, begins with it. */
  afterReplace(): void {
    this.isReplacing = false
    if (this.engine.config.values.appendonly && this.hasStarted) this.switchOn()
  }

  private attach(): void {
    const { aof, engine } = this
    engine.acknowledgements.local = aof
    aof.onSynced = () => engine.acknowledgements.advanced()
    engine.addSink(aof)
  }

  private detach(): void {
    const { aof, engine } = this
    engine.removeSink(aof)
    engine.acknowledgements.local = undefined
    engine.acknowledgements.advanced()
  }

  private followConfig(): void {
    const { engine } = this
    const { config } = engine
    config.onChange("appendonly", on => {
      // While loading it is only noted: `start` or `afterReplace` look again when it is done.
      if (!this.hasStarted || this.isReplacing) return undefined
      if (on) return this.switchOn()
      this.switchOff()
      return undefined
    })
    config.onChange("aof-disable-auto-gc", disabled => {
      if (!disabled && !this.rewrites.inProgress) this.aof.forgetHistory()
      return undefined
    })
    config.onChange("rdb-key-save-delay", micros => {
      engine.snapshots.setKeyDelay(micros)
      return undefined
    })
    config.onChangeOfAny(["stop-writes-on-bgsave-error", "save"], () => {
      this.judgeHealth()
      return undefined
    })
    engine.keyspace.events.onAllFlushed = () => this.noteFlushed()
  }

  /** FLUSHALL: a save under way would bring back what is gone, and the file on disk does, too. */
  private noteFlushed(): void {
    const { engine, saves } = this
    if (this.isLoading) return
    saves.cancel()
    if (engine.config.values.save.length > 0) saves.now()
  }

  private judgeHealth(): void {
    const { engine } = this
    const { values } = engine.config
    const saveFailed = !this.saves.lastOk && values.stopWritesOnBgsaveError && values.save.length > 0
    engine.diskError = saveFailed ? FAILED_SAVE : (this.aofError ?? "")
    engine.setCondition(EngineCondition.DiskError, engine.diskError !== "")
  }

  private get baseSuffix(): "rdb" | "aof" {
    return this.engine.config.values.aofUseRdbPreamble ? "rdb" : "aof"
  }

  private baseEncoder(suffix: "rdb" | "aof"): SnapshotEncoder {
    const { engine } = this
    return suffix === "rdb" ? rdbEncoder(engine, reportedVersion(engine), true) : commandEncoder(engine)
  }

  private makeEmptyBase(path: string): void {
    const { engine } = this
    const { storage } = this.options
    const file = new SnapshotFileNow(storage, path)
    engine.snapshots.runAtOnce("rewrite", file, this.baseEncoder(this.baseSuffix))
    if (file.error !== undefined) throw file.error
    storage.syncDirectory(this.aof.directory)
  }

  // ---------------------------------------------------------------------------------------------- loading

  /** DEBUG LOADAOF: forgets everything and replays the files, in one go. Throws LoadError. */
  reload(): void {
    const { engine, aof } = this
    engine.flushPropagation()
    if (aof.isOpen) aof.syncAll()
    this.reloading(() => {
      this.clear()
      this.runAtOnce(this.loadAof())
    })
  }

  /** DEBUG RELOAD: saves, forgets everything and loads what was saved, in one go. Returns an error reply. */
  reloadSaved({ save, flush, merge }: ReloadOptions): string | undefined {
    if (save && !this.saves.now()) return "ERR"
    try {
      this.reloading(() => {
        if (flush) this.clear()
        this.runAtOnce(this.loadSaved(merge))
      })
    } catch (error) {
      this.engine.log("warning", error instanceof Error ? error.message : String(error))
      return "ERR Error trying to load the RDB dump, check server logs."
    }
    this.engine.log("warning", "DB reloaded by DEBUG RELOAD")
    return undefined
  }

  /** Loads in the middle of things: nothing of it is propagated. */
  private reloading(load: () => void): void {
    const { engine, saves } = this
    const { propagator } = engine
    const { events } = engine.keyspace
    const { enabled } = propagator
    const { dirty } = events
    propagator.enabled = false
    try {
      load()
    } finally {
      propagator.enabled = enabled
      // As if nothing had happened: the command that asked for it must not be propagated.
      events.dirty = dirty
      saves.noteClean()
    }
  }

  private clear(): void {
    const { engine } = this
    for (const db of engine.keyspace.databases) db.flush()
    engine.snapshots.libraries.clear()
  }

  /** Runs a loading generator in slices, others in between. */
  private async run(steps: Generator<number, void>): Promise<void> {
    const { pause } = this.options
    for (;;) {
      const step = steps.next()
      if (step.done) return
      if (step.value >= 1000) await new Promise(resolve => setTimeout(resolve, step.value / 1000))
      else await pause()
    }
  }

  private runAtOnce(steps: Generator<number, void>): void {
    for (const micros of steps) if (micros >= 1000) Bun.sleepSync(micros / 1000)
  }

  /** Yields after each slice, with the microseconds to wait (key-load-delay). */
  private *loadAof(): Generator<number, void> {
    const { engine, aof } = this
    const { storage } = this.options
    const files = aof.filesToLoad()
    if (files.length === 0) return
    this.totalBytes = files.reduce((sum, file) => sum + storage.size(aof.path(file)), 0)
    this.beginLoading()
    const started = engine.clock.monotonicMicros()
    try {
      let before = 0
      for (const file of files) {
        const fileStarted = engine.clock.monotonicMicros()
        // Behind a file that was torn there may be an increment that had been prepared, and had nothing in it yet.
        const isLast = files.slice(files.indexOf(file) + 1).every(later => storage.size(aof.path(later)) === 0)
        yield* this.loadAofFile(file, before, isLast)
        before += storage.size(aof.path(file))
        const label = file === aof.manifest.base ? "base" : "incr"
        engine.log("notice", `DB loaded from ${label} file ${file.name}: ${this.secondsSince(fileStarted)} seconds`)
      }
    } finally {
      this.endLoading()
    }
    const text = `DB loaded from append only file: ${this.secondsSince(started)} seconds, ${this.loadedKeys} keys`
    engine.log("notice", text)
  }

  private *loadAofFile(file: AofFile, before: number, isLast: boolean): Generator<number, void> {
    const { aof } = this
    const { storage } = this.options
    const path = aof.path(file)
    if (storage.size(path) === 0) return
    let from = 0
    if (beginsAsRdb(storage, path)) {
      this.engine.log("notice", "Reading RDB base file on AOF loading...")
      from = yield* this.loadRdbFile(path, before, true, false)
      if (from === storage.size(path)) return
    }
    const pace = new Pace()
    const steps = replayFile(storage, path, this.loadOptions(before, pace), from)
    for (;;) {
      const step = steps.next()
      if (step.done) {
        this.judge(file, step.value, isLast)
        return
      }
      yield pace.take()
    }
  }

  /** The snapshot file, if there is one. */
  private *loadSaved(replaces = false): Generator<number, void> {
    const { engine } = this
    const { storage } = this.options
    const { path } = this.saves
    if (!storage.exists(path) || storage.size(path) === 0) return
    this.totalBytes = storage.size(path)
    this.beginLoading()
    const started = engine.clock.monotonicMicros()
    try {
      yield* this.loadRdbFile(path, 0, false, replaces)
    } finally {
      this.endLoading()
    }
    engine.log("notice", `DB loaded from disk: ${this.secondsSince(started)} seconds`)
  }

  /** Reads an RDB file, or the one in front of an append-only file; returns where it ends. */
  private *loadRdbFile(path: string, before: number, isBase: boolean, replaces: boolean): Generator<number, number> {
    const { engine } = this
    const report = new LoadReport()
    const pace = new Pace()
    let keys = 0
    const settings = {
      // On a replica the master deletes them.
      keepExpired: isBase || engine.config.values.replicaof !== undefined,
      replaces,
      onFunction: (source: Uint8Array) => engine.snapshots.libraries.load(source, replaces),
      onExpired: isBase ? undefined : this.onExpiredAtLoad,
      onProgress: () => {
        this.progress(before + report.bytes)
        pace.owe(report.keys - keys, engine.config.values.keyLoadDelay)
        keys = report.keys
      },
      sliceBytes: () => this.sliceBytes,
    }
    const steps = readRdb(engine, this.options.storage, path, settings, report)
    try {
      for (;;) {
        const step = steps.next()
        if (step.done) break
        yield pace.take()
      }
    } catch (error) {
      throw new LoadError(faultOf(path, error, isBase))
    }
    const { aux } = report
    const age = Math.floor(engine.clock.wall() / 1000) - Number(aux.get("ctime") ?? 0)
    if (aux.has("redis-ver")) engine.log("notice", `Loading RDB produced by version ${aux.get("redis-ver")}`)
    if (aux.has("ctime")) engine.log("notice", `RDB age ${Math.max(0, age)} seconds`)
    for (const name of report.emptyNames) engine.log("notice", `rdbLoadObject skipping empty key: ${name}`)
    engine.log(
      "notice",
      `Done loading RDB, keys loaded: ${report.keys}, keys expired: ${report.expired}, empty keys skipped: ${report.empty}.`,
    )
    if (!isBase) this.loadedPoint = pointOf(aux)
    this.expiredAtLoad = report.expired
    this.storedAtLoad = report.keys
    return report.bytes
  }

  private get sliceBytes(): number {
    return Math.min(SLICE_BYTES_MAX, this.engine.config.values.loadingProcessEventsIntervalBytes)
  }

  private secondsSince(started: number): string {
    return ((this.engine.clock.monotonicMicros() - started) / 1e6).toFixed(3)
  }

  private beginLoading(): void {
    const { engine } = this
    this.isLoading = true
    this.loadingStartedAt = engine.clock.wall()
    this.loadedBytes = 0
    engine.setCondition(EngineCondition.Loading, true)
    engine.keyspace.holdExpiry("loading", true)
  }

  private endLoading(): void {
    const { engine } = this
    this.isLoading = false
    engine.setCondition(EngineCondition.Loading, false)
    engine.keyspace.holdExpiry("loading", false)
    this.saves.noteClean()
    this.loadedKeys = 0
    for (const db of engine.keyspace.databases) this.loadedKeys += db.keys.size
  }

  private progress(bytes: number): void {
    this.loadedBytes = bytes
    this.options.onProgress?.(bytes, this.totalBytes)
    this.engine.refreshTime()
  }

  private loadOptions(before: number, pace: Pace): LoadOptions {
    const { engine } = this
    const client = engine.clients.create()
    client.isObeyed = true
    let commands = 0
    return {
      run: args => this.replay(client, args),
      sliceBytes: () => this.sliceBytes,
      readAhead: (batch, bytes, count) => {
        if (count > 0) batch.touch(bytes, count, engine.registry, client.db.keys)
        else engine.keyspace.hasher.forget()
      },
      onProgress: (bytes, run) => {
        this.progress(before + bytes)
        pace.owe(run - commands, engine.config.values.keyLoadDelay)
        commands = run
      },
    }
  }

  /** Takes note of a replayed file: corrupt ones end the loading, torn ones are cut back. */
  private judge(file: AofFile, result: LoadResult, isLast: boolean): void {
    const path = this.aof.path(file)
    if (result.fault !== undefined) {
      const { offset, reason } = result.fault
      throw new LoadError(
        `Bad file format reading the append only file ${basename(path)} at offset ${offset} (${reason}): make a backup of ` +
          "your AOF file, then use redis-check-aof --fix <filename.manifest>",
      )
    }
    if (result.validUpTo === result.size) return
    this.cutBack(path, result.validUpTo, result.size, isLast)
  }

  private cutBack(path: string, validUpTo: number, size: number, isLast: boolean): void {
    const { engine } = this
    const name = basename(path)
    if (!isLast) {
      throw new LoadError(
        `Fatal error: the truncated file ${name} is not the last file: it ends at ${size}, in a command`,
      )
    }
    if (!engine.config.values.aofLoadTruncated) {
      throw new LoadError(
        `Unexpected end of file reading the append only file ${name} at offset ${validUpTo}. You can: 1) Make a backup of ` +
          "your AOF file, then use redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the " +
          "'aof-load-truncated' configuration option to yes and restart the server.",
      )
    }
    engine.log("warning", `!!! Warning: short read while loading the AOF file ${name}!!!`)
    engine.log("warning", `AOF ${name} loaded anyway because aof-load-truncated is enabled`)
    engine.log("warning", `Truncating the AOF ${name} at offset ${validUpTo} (it was ${size} bytes long)`)
    this.options.storage.truncate(path, validUpTo)
  }

  /** Runs one command of a file, past the gates: what was accepted once is accepted again. */
  private replay(client: Client, args: Arguments): string | undefined {
    const { engine } = this
    let command = engine.registry.lookup(args.bytes, args.starts[0]!, args.ends[0]!)
    if (command?.isContainer && args.count > 1) {
      command = command.lookupSubcommand(args.bytes, args.starts[1]!, args.ends[1]!) ?? command
    }
    if (command?.run === undefined) return `Unknown command '${args.latin1(0)}' reading the append only file`
    if (!command.acceptsCount(args.count)) return `wrong number of arguments for '${command.fullName}'`
    if ((command.flagBits & Flag.NoMulti) !== 0) return `'${command.fullName}' has no place in an append only file`
    const { writer } = engine.output
    const at = writer.at
    engine.caller.run(client, command, args)
    writer.at = at
    return undefined
  }
}

/** key-load-delay: microseconds owed for what has been loaded; a negative delay is one microsecond for so many keys. */
class Pace {
  private micros = 0

  owe(keys: number, delayMicros: number): void {
    this.micros += delayMicros >= 0 ? keys * delayMicros : keys / -delayMicros
  }

  take(): number {
    const { micros } = this
    this.micros = 0
    return micros
  }
}

function pointOf(aux: ReadonlyMap<string, string>): ReplicationPoint | undefined {
  const id = aux.get("repl-id")
  const offset = Number(aux.get("repl-offset") ?? Number.NaN)
  const db = Number(aux.get("repl-stream-db") ?? Number.NaN)
  return id === undefined || !Number.isInteger(offset) || !Number.isInteger(db) ? undefined : { id, offset, db }
}

function faultOf(path: string, error: unknown, isBase: boolean): string {
  const name = basename(path)
  let reason: string
  if (error instanceof RdbError) {
    reason = error.reason === "wrong checksum" ? "Wrong RDB checksum (RDB CRC error)" : error.message
  } else reason = reasonOf(error)
  if (isBase) return `Error reading the RDB preamble of the AOF file ${name}, AOF loading aborted: ${reason}`
  return `Fatal error loading the DB, check server logs. Exiting. ${name}: ${reason}`
}
