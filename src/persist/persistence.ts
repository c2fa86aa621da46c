/**
 * What is kept on disk, and when: loads the append-only file at start, opens it for writing, and keeps the engine informed
 * of a disk that fails.
 */

import { basename } from "node:path"
import { Flag } from "../command/registry.ts"
import type { Client } from "../engine/client.ts"
import { type Engine, EngineCondition } from "../engine/engine.ts"
import type { Arguments } from "../resp/arguments.ts"
import { type AofStorage, AppendOnlyFile } from "./aof.ts"
import { type LoadOptions, type LoadResult, loadAof, loadAofAtOnce } from "./aof-load.ts"
import type { AofFile } from "./aof-manifest.ts"

export interface PersistenceOptions {
  engine: Engine
  storage: AofStorage
  /** Shows how far loading is: bytes read of bytes in all. */
  onProgress?: (loaded: number, total: number) => void
  /** Lets other work happen between slices of loading. */
  pause: () => Promise<void>
}

/** Loading cannot go on; the message is for the log, and the process ends. */
export class LoadError extends Error {}

export class Persistence {
  readonly aof: AppendOnlyFile
  isLoading = false
  loadingStartedAt = 0
  loadedBytes = 0
  totalBytes = 0
  loadedKeys = 0

  private readonly engine: Engine
  private readonly options: PersistenceOptions

  constructor(options: PersistenceOptions) {
    this.options = options
    const { engine } = options
    this.engine = engine
    const { values } = engine.config
    this.aof = new AppendOnlyFile({
      storage: options.storage,
      directory: `${values.dir}/${values.appenddirname}`,
      oldDirectory: values.dir,
      filename: values.appendfilename,
      policy: () => engine.config.values.appendfsync,
      log: (level, message) => engine.log(level, message),
      onHealth: error => {
        engine.setCondition(EngineCondition.DiskError, error !== undefined)
        engine.diskError = error ?? ""
      },
      onUnsafe: () => engine.output.disown(client => engine.clients.terminate(client)),
    })
  }

  /** Loads what is on disk and opens the files for writing. Throws LoadError. */
  async start(): Promise<void> {
    const { engine, aof } = this
    if (!engine.config.values.appendonly) return
    try {
      aof.readManifest()
      await this.load()
      aof.open()
    } catch (error) {
      if (error instanceof LoadError) throw error
      throw new LoadError(error instanceof Error ? error.message : String(error))
    }
    engine.sinks.push(aof)
    engine.acknowledgements.local = aof
    aof.onSynced = () => engine.acknowledgements.advanced()
    engine.propagator.forgetSelected()
    engine.propagator.enabled = true
  }

  /** Its part of INFO persistence. */
  info(): [name: string, value: string | number][] {
    const { aof, engine } = this
    const fields: [string, string | number][] = [
      ["loading", this.isLoading ? 1 : 0],
      ["aof_enabled", aof.isOpen ? 1 : 0],
      ["aof_last_write_status", aof.lastWriteOk ? "ok" : "err"],
      ["rdb_changes_since_last_save", engine.keyspace.events.dirty],
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

  stop(): void {
    this.engine.flushPropagation()
    this.aof.close()
  }

  /** DEBUG LOADAOF: forgets everything and replays the files, in one go. Throws LoadError. */
  reload(): void {
    const { engine, aof } = this
    if (!aof.isOpen) throw new LoadError("the append only file is off")
    engine.flushPropagation()
    aof.syncAll()
    for (const db of engine.keyspace.databases) db.flush()
    const { enabled } = engine.propagator
    const { dirty } = engine.keyspace.events
    engine.propagator.enabled = false
    this.beginLoading()
    try {
      for (const file of aof.filesToLoad()) {
        const options = this.loadOptions(0)
        this.judge(file, loadAofAtOnce(aof.path(file), options), file === aof.filesToLoad().at(-1))
      }
    } finally {
      this.endLoading()
      engine.keyspace.events.dirty = dirty
      engine.propagator.enabled = enabled
    }
  }

  private async load(): Promise<void> {
    const { engine, aof } = this
    const { storage } = this.options
    const files = aof.filesToLoad()
    if (files.length === 0) return
    this.totalBytes = files.reduce((sum, file) => sum + storage.size(aof.path(file)), 0)
    this.beginLoading()
    const { keyspace } = engine
    const started = engine.clock.monotonicMicros()
    try {
      let before = 0
      for (const file of files) {
        this.judge(
          file,
          await loadAof(aof.path(file), this.loadOptions(before), this.options.pause),
          file === files.at(-1),
        )
        before += storage.size(aof.path(file))
      }
    } finally {
      this.endLoading()
      keyspace.events.dirty = 0
    }
    for (const db of keyspace.databases) this.loadedKeys += db.keys.size
    const seconds = (engine.clock.monotonicMicros() - started) / 1e6
    engine.log("notice", `DB loaded from append only file: ${seconds.toFixed(3)} seconds, ${this.loadedKeys} keys`)
  }

  private beginLoading(): void {
    const { engine } = this
    this.isLoading = true
    this.loadingStartedAt = engine.clock.wall()
    engine.setCondition(EngineCondition.Loading, true)
    engine.keyspace.holdExpiry("loading", true)
  }

  private endLoading(): void {
    const { engine } = this
    this.isLoading = false
    engine.setCondition(EngineCondition.Loading, false)
    engine.keyspace.holdExpiry("loading", false)
  }

  private loadOptions(before: number): LoadOptions {
    const { engine } = this
    const client = engine.clients.create()
    client.isObeyed = true
    return {
      run: args => this.replay(client, args),
      readAhead: (batch, bytes, count) => {
        if (count > 0) batch.touch(bytes, count, engine.registry, client.db.keys)
        else engine.keyspace.hasher.forget()
      },
      onProgress: bytes => {
        this.loadedBytes = before + bytes
        this.options.onProgress?.(this.loadedBytes, this.totalBytes)
        engine.refreshTime()
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
