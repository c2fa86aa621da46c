/**
 * The append-only file: everything that changes the data set, as commands, in the order in which it happened.
 *
 * What a tick propagates is written before the tick's replies leave, so a killed process loses nothing it acknowledged;
 * `appendfsync` decides what a stopped machine may lose:
 *   always    synced before the replies (one sync for all commands of the tick)
 *   everysec  synced once a second, off-thread
 *   no        the kernel's choice
 *
 * When a write fails, what reached the file is cut back to the last whole batch, the rest is kept in memory, and writes
 * are refused (MISCONF) until a retry, every second, has put it all down. With `always` the replies that waited for the
 * failed batch are not sent: their clients are disconnected, since their outcome is not known to be safe.
 *
 * Files: see aof-manifest.ts. Written with plain positioned writes: a buffering writer is no faster (measured: 1.1 µs a
 * batch either way) and cannot tell how much of a failed write has reached the file.
 *
 *          openAtStart                 closed
 *   Off ─────────────────▶ On ─────────────────▶ Off
 *    │                     ▲
 *    └─openTemporary─▶ Waiting (switched on at run time: there is no base yet, so what is written goes to a temporary
 *                              increment, which counts only once the first rewrite has made the base)
 *
 * A rewrite (rewrites.ts) goes through here in these steps. A crash after any of them leaves a manifest whose files are all
 * there and give the state of the crash:
 *   prepareIncrement   a new, empty increment is created and listed
 *   switchIncrement    at the seam of the snapshot: from here on commands go to the new increment (or, when waiting, to an
 *                      emptied temporary one, which nothing lists)
 *   adoptBase          the new base is given its name; then one manifest lists it, with the increment, and everything older
 *                      as history
 *   removeHistory      the history is deleted off-thread, then dropped from the manifest
 */

import type { Sink } from "../engine/engine.ts"
import {
  type AofFile,
  type AofManifest,
  emptyManifest,
  formatManifest,
  nextBase,
  nextIncrement,
  parseManifest,
} from "./aof-manifest.ts"
import { later, renameOver, replaceFile, replaceFileLater } from "./replace-file.ts"
import { reasonOf, type Storage } from "./storage.ts"

export type FsyncPolicy = "always" | "everysec" | "no"

export interface AofOptions {
  storage: Storage
  /** Folder of the append-only files, and the folder that an old single file is adopted from; asked while off. */
  directories: () => { directory: string; oldDirectory: string }
  filename: string
  policy: () => FsyncPolicy
  /** Unix time in seconds for annotations (aof-timestamp-enabled), 0 when there are to be none. */
  timestamp: () => number
  /** Nothing is to be synced in the background now (no-appendfsync-on-rewrite). */
  restsSyncing: () => boolean
  log: (level: "notice" | "warning", message: string) => void
  /** Writes are (not) possible: the text for MISCONF, or nothing when all is well again. */
  onHealth: (error: string | undefined) => void
  /** The batch that clients wait for could not be made safe. */
  onUnsafe: () => void
}

export class AppendOnlyFile implements Sink {
  /** Bytes in the current increment. */
  size = 0
  /** Bytes in all files, and as of the last rewrite. */
  totalSize = 0
  baseSize = 0
  delayedSyncs = 0
  /** Bytes handed over since the start, and how many of them are safe, for WAITAOF. */
  takenBytes = 0
  syncedBytes = 0
  /** More is safe than before. */
  onSynced: () => void = () => {}
  isSyncing = false
  manifest: AofManifest = emptyManifest()
  directory = ""

  private readonly options: AofOptions
  private oldDirectory = ""
  private fd = -1
  /** The increment being written; nothing while off or waiting. */
  private current: AofFile | undefined
  private prepared: AofFile | undefined
  /** The last numbers used; a name must not be used again while a file of that name may be waiting for its deletion. */
  private baseSeq = 0
  private incrementSeq = 0
  private unsynced = false
  /** Something was written in this tick, whose replies wait. */
  private awaited = false
  /** What could not be written yet. */
  private backlog: Uint8Array[] = []
  private backlogBytes = 0
  private unhealthy = false
  private annotatedAt = 0

  constructor(options: AofOptions) {
    this.options = options
  }

  get isOpen(): boolean {
    return this.fd >= 0
  }

  /** Switched on at run time, and the first rewrite is not done yet: nothing that is written counts. */
  get isWaiting(): boolean {
    return this.fd >= 0 && this.current === undefined
  }

  get lastWriteOk(): boolean {
    return !this.unhealthy
  }

  /** Bytes waiting for a disk that takes them. */
  get bufferLength(): number {
    return this.backlogBytes
  }

  path(file: AofFile): string {
    return `${this.directory}/${file.name}`
  }

  private get manifestPath(): string {
    return `${this.directory}/${this.options.filename}.manifest`
  }

  private get temporaryPath(): string {
    return `${this.directory}/temp-${this.options.filename}.incr`
  }

  // ---------------------------------------------------------------------------------------------- at the start

  /**
   * Reads the manifest from where the configuration says. Adopts an old single file if there is no manifest yet and
   * `adopts` allows it. Throws an Error that names the reason.
   */
  readManifest(adopts: boolean): void {
    const { storage, filename, log } = this.options
    const { directory, oldDirectory } = this.options.directories()
    this.directory = directory
    this.oldDirectory = oldDirectory
    this.manifest = emptyManifest()
    this.baseSeq = this.incrementSeq = 0
    if (storage.exists(this.manifestPath)) {
      const manifest = parseManifest(storage.readText(this.manifestPath))
      if ("fault" in manifest) throw new Error(`${manifest.fault}: ${this.manifestPath}`)
      this.manifest = manifest
      this.baseSeq = manifest.base?.seq ?? 0
      this.incrementSeq = manifest.increments.at(-1)?.seq ?? 0
      return
    }
    const old = `${oldDirectory}/${filename}`
    if (!adopts || !storage.exists(old)) return
    storage.makeDirectory(directory)
    this.manifest.base = { name: filename, seq: 1, type: "b" }
    this.baseSeq = 1
    // The manifest first: should we stop in between, the next start finds the file in its old place and moves it then.
    this.writeManifest()
    storage.rename(old, `${directory}/${filename}`)
    log(
      "notice",
      `Successfully migrated an old-style AOF configuration (${filename}) into the new-style: it is the base of ${directory} now.`,
    )
  }

  /** The files to replay, in order. Throws when one is missing. */
  filesToLoad(): AofFile[] {
    const { storage } = this.options
    const { base, increments } = this.manifest
    const files = [...(base === undefined ? [] : [base]), ...increments]
    for (const file of files) {
      if (storage.exists(this.path(file))) continue
      const old = `${this.oldDirectory}/${file.name}`
      if (file !== base || !storage.exists(old)) {
        throw new Error(`The AOF file ${file.name} doesn't exist: ${this.path(file)}: No such file or directory`)
      }
      storage.rename(old, this.path(file))
    }
    return files
  }

  /**
   * Opens the last increment (or a first one) for appending. Where there is nothing at all yet, `makeBase` is asked for an
   * empty base: it writes a file, durably, and says which suffix its name has.
   */
  openAtStart(baseSuffix: "rdb" | "aof", makeBase: (path: string) => void): void {
    const { storage, filename, log } = this.options
    const { manifest } = this
    storage.makeDirectory(this.directory)
    this.removeTemporaries()
    let changed = false
    if (manifest.base === undefined && manifest.increments.length === 0) {
      const base = nextBase(this.baseSeq, filename, baseSuffix)
      log("notice", `Creating AOF base file ${base.name} on server start`)
      makeBase(this.path(base))
      manifest.base = base
      this.baseSeq = base.seq
      changed = true
    }
    let current = manifest.increments.at(-1)
    if (current === undefined) {
      current = nextIncrement(this.incrementSeq, filename)
      log("notice", `Creating AOF incr file ${current.name} on server start`)
      this.fd = this.openEmpty(this.path(current))
      manifest.increments.push(current)
      this.incrementSeq = current.seq
      changed = true
    } else {
      log("notice", `Opening AOF incr file ${current.name} on server start`)
      this.fd = storage.open(this.path(current))
    }
    this.current = current
    if (changed) this.writeManifest()
    this.size = storage.size(this.path(current))
    this.totalSize = this.filesToLoad().reduce((sum, file) => sum + storage.size(this.path(file)), 0)
    this.baseSize = manifest.base === undefined ? 0 : storage.size(this.path(manifest.base))
    void this.removeHistory()
  }

  /** What a crash has left behind that nothing lists. */
  private removeTemporaries(): void {
    const { storage } = this.options
    for (const name of storage.list(this.directory)) {
      if (/^temp-(rewriteaof-|.*\.incr$)|\.tmp-[\d-]+$/.test(name)) storage.remove(`${this.directory}/${name}`)
    }
  }

  // ---------------------------------------------------------------------------------------------- rewrites

  makeDirectory(): void {
    this.options.storage.makeDirectory(this.directory)
  }

  /** Switched on at run time. Throws when the folder cannot be written. */
  openTemporary(): void {
    const { storage } = this.options
    storage.makeDirectory(this.directory)
    this.fd = this.openEmpty(this.temporaryPath)
    this.current = undefined
    this.size = 0
  }

  /** Lists a new increment, empty so far. Does nothing unless on. Rejects when the disk does not want it. */
  async prepareIncrement(): Promise<void> {
    if (this.current === undefined) return
    const { filename, log } = this.options
    const next = nextIncrement(this.usedIncrementSeq(), filename)
    log("notice", `Creating AOF incr file ${next.name} on background rewrite`)
    this.options.storage.close(this.openEmpty(this.path(next)))
    this.incrementSeq = next.seq
    await this.replaceManifest(manifest => ({ ...manifest, increments: [...manifest.increments, next] }))
    this.prepared = next
  }

  /**
   * From here on commands go to the prepared increment: nothing of before the snapshot will follow. Throws when what was
   * before cannot be written; all stays as it was then.
   */
  switchIncrement(): void {
    if (this.fd < 0) return
    const { storage } = this.options
    this.retry()
    if (this.backlogBytes > 0) throw new Error("what came before cannot be written")
    if (this.current === undefined) {
      storage.truncateOpen(this.fd, 0)
      this.size = 0
      return
    }
    const next = this.prepared!
    const fd = storage.open(this.path(next))
    this.retire(this.fd)
    this.fd = fd
    this.current = next
    this.prepared = undefined
    this.size = 0
  }

  /** Syncs and closes a file off-thread. What is written after it is not safe before it is. */
  private retire(fd: number): void {
    const written = this.takenBytes - this.backlogBytes
    if (this.unsynced || this.isSyncing) {
      this.unsynced = false
      this.retiring++
      this.syncInBackground(fd, error => {
        this.retiring--
        if (error !== null) this.suffer(error)
        else this.noteSynced(this.unsynced || this.isSyncing ? written : undefined)
      })
    }
    this.release(fd)
  }
  private retiring = 0

  /** Closes a file when nothing is under way on it any more. */
  private release(fd: number): void {
    if (this.syncsUnderWay.has(fd)) this.released.add(fd)
    else this.options.storage.close(fd)
  }
  private readonly syncsUnderWay = new Map<number, number>()
  private readonly released = new Set<number>()

  private syncInBackground(fd: number, done: (error: Error | null) => void): void {
    const { storage } = this.options
    this.syncsUnderWay.set(fd, (this.syncsUnderWay.get(fd) ?? 0) + 1)
    storage.syncLater(fd, error => {
      const left = this.syncsUnderWay.get(fd)! - 1
      if (left > 0) this.syncsUnderWay.set(fd, left)
      else {
        this.syncsUnderWay.delete(fd)
        if (this.released.delete(fd)) storage.close(fd)
      }
      done(error)
    })
  }

  /**
   * A rewrite is done: the file at `temporary`, which is synced, becomes the base. Rejects when it cannot; then all is as it
   * was. (Should the file be switched off meanwhile, what is listed is the state of that moment.)
   */
  async adoptBase(temporary: string, suffix: "rdb" | "aof", size: number): Promise<void> {
    const { storage, filename, log } = this.options
    const { current, fd } = this
    const base = nextBase(this.baseSeq, filename, suffix)
    const adopted = this.isWaiting ? nextIncrement(this.usedIncrementSeq(), filename) : current
    renameOver(storage, temporary, this.path(base))
    log("notice", `Successfully renamed the temporary AOF base file ${temporary} into ${base.name}`)
    if (adopted !== current) storage.rename(this.temporaryPath, this.path(adopted!))
    try {
      await later(done => storage.syncDirectoryLater(this.directory, done))
      await this.replaceManifest(manifest => {
        const outdated = manifest.increments.filter(file => file !== adopted).reverse()
        const history = [...outdated, ...(manifest.base === undefined ? [] : [manifest.base])]
        return {
          base,
          increments: adopted === undefined ? [] : [adopted],
          history: [...history.map(file => ({ ...file, type: "h" as const })), ...manifest.history],
        }
      })
    } catch (error) {
      if (adopted !== current && this.fd === fd) storage.rename(this.path(adopted!), this.temporaryPath)
      storage.removeLater(this.path(base), () => {})
      throw error
    }
    this.baseSeq = base.seq
    this.incrementSeq = adopted === undefined ? 0 : Math.max(this.incrementSeq, adopted.seq)
    if (this.fd === fd && fd >= 0) this.current = adopted
    this.totalSize = size + (this.fd < 0 ? 0 : this.size)
    this.baseSize = this.totalSize
  }

  /** The highest number of an increment that is still there, if only to be deleted. */
  private usedIncrementSeq(): number {
    const { history } = this.manifest
    return history.reduce(
      (most, file) => (file.name.includes(".incr.") ? Math.max(most, file.seq) : most),
      this.incrementSeq,
    )
  }

  /** Deletes what the manifest calls history, and forgets it. Never fails: what is left is tried again some other time. */
  async removeHistory(): Promise<void> {
    const { storage, log } = this.options
    const { history } = this.manifest
    if (history.length === 0) return
    for (const file of history) log("notice", `Removing the history file ${file.name} in the background`)
    // A file that is listed and gone does no harm; one that is there and not listed would stay for ever.
    await Promise.allSettled(history.map(file => later(done => storage.removeLater(this.path(file), done))))
    try {
      await this.replaceManifest(manifest => ({
        ...manifest,
        history: manifest.history.filter(file => !history.includes(file)),
      }))
    } catch (error) {
      log("warning", `The history of the AOF cannot be forgotten: ${reasonOf(error)}`)
    }
  }

  /** The same with the manifest first and at once; not while a rewrite runs. */
  forgetHistory(): void {
    const { storage } = this.options
    const { history } = this.manifest
    if (history.length === 0) return
    this.manifest = { ...this.manifest, history: [] }
    this.writeManifest()
    for (const file of history) storage.removeLater(this.path(file), () => {})
  }

  /** Takes back the temporary increment of a failed first rewrite: the next one begins with an empty one. */
  dropTemporary(): void {
    if (!this.isWaiting) return
    const { storage, log } = this.options
    log("notice", `Removing the temp incr aof file temp-${this.options.filename}.incr in the background`)
    this.backlog.length = 0
    this.backlogBytes = 0
    try {
      storage.truncateOpen(this.fd, 0)
      this.size = 0
    } catch (error) {
      // It only takes up room until the next attempt empties it.
      log("warning", `The temp incr aof file cannot be emptied: ${reasonOf(error)}`)
    }
  }

  // ---------------------------------------------------------------------------------------------- writing

  /** Writes and syncs what there is; throws when that cannot be. */
  syncAll(): void {
    this.retry()
    if (this.backlogBytes > 0) throw new Error("the append only file cannot be written")
    this.options.storage.syncNow(this.fd)
    this.unsynced = false
    this.noteSynced()
  }

  /** Writes and syncs what there is, and closes. */
  close(): void {
    if (this.fd < 0) return
    const { storage, log } = this.options
    this.retry()
    try {
      if (this.unsynced) storage.syncNow(this.fd)
    } catch (error) {
      log("warning", `Fsync of the AOF file failed while closing it: ${reasonOf(error)}`)
    }
    this.release(this.fd)
    if (this.isWaiting) {
      try {
        storage.remove(this.temporaryPath)
      } catch {
        // Then it is removed at the next start.
      }
    }
    this.fd = -1
    this.current = this.prepared = undefined
    this.backlog.length = 0
    this.backlogBytes = 0
    if (!this.unhealthy) return
    this.unhealthy = false
    this.options.onHealth(undefined)
  }

  write(bytes: Uint8Array, start: number, end: number): void {
    if (this.fd < 0) return
    this.takenBytes += end - start
    this.awaited = true
    this.annotate()
    if (this.backlogBytes > 0) {
      this.keep(bytes, start, end)
      return
    }
    const written = this.append(bytes, start, end - start)
    if (written < end - start) this.keep(bytes, start + written, end)
  }

  /** A line that says when, before the first commands of a second. Not counted as taken: clients do not know of it. */
  private annotate(): void {
    const seconds = this.options.timestamp()
    if (seconds === 0 || seconds === this.annotatedAt) return
    this.annotatedAt = seconds
    const line = Buffer.from(`#TS:${seconds}\r\n`)
    if (this.backlogBytes > 0) this.keep(line, 0, line.length)
    else {
      const written = this.append(line, 0, line.length)
      if (written < line.length) this.keep(line, written, line.length)
    }
  }

  flush(): void {
    const { awaited } = this
    this.awaited = false
    if (this.fd < 0 || !awaited || this.options.policy() !== "always") return
    if (this.backlogBytes > 0) {
      this.options.onUnsafe()
      return
    }
    try {
      this.options.storage.syncNow(this.fd)
      this.unsynced = false
      this.noteSynced()
    } catch (error) {
      this.suffer(error)
      this.options.onUnsafe()
    }
  }

  /** Once a second: retries what failed, and syncs off-thread. */
  everySecond(): void {
    if (this.fd < 0) return
    if (this.unhealthy) this.retry()
    if (!this.unsynced || this.options.policy() === "no" || this.options.restsSyncing()) return
    if (this.isSyncing) {
      this.delayedSyncs++
      return
    }
    this.isSyncing = true
    this.unsynced = false
    const written = this.takenBytes - this.backlogBytes
    this.syncInBackground(this.fd, error => {
      this.isSyncing = false
      if (error === null) {
        this.noteSynced(written)
        return
      }
      this.unsynced = true
      this.suffer(error)
    })
  }

  private noteSynced(upTo = this.takenBytes - this.backlogBytes): void {
    // While an older file is being synced nothing later is safe.
    if (upTo <= this.syncedBytes || this.retiring > 0) return
    this.syncedBytes = upTo
    this.onSynced()
  }

  private retry(): void {
    while (this.backlog.length > 0) {
      const first = this.backlog[0]!
      const written = this.append(first, 0, first.length)
      this.backlogBytes -= written
      if (written < first.length) {
        this.backlog[0] = first.subarray(written)
        return
      }
      this.backlog.shift()
    }
    if (!this.unhealthy) return
    try {
      this.options.storage.syncNow(this.fd)
    } catch {
      return
    }
    this.unsynced = false
    this.noteSynced()
    this.unhealthy = false
    this.options.log("warning", "AOF write error looks solved, the server can write again.")
    this.options.onHealth(undefined)
  }

  /** Appends; on failure the file is cut back to where it was and the number of bytes that stay is returned. */
  private append(bytes: Uint8Array, start: number, length: number): number {
    const { storage } = this.options
    let written = 0
    try {
      while (written < length) {
        const taken = storage.write(this.fd, bytes, start + written, length - written)
        if (taken <= 0) throw Object.assign(new Error("short write"), { code: "ENOSPC" })
        written += taken
      }
    } catch (error) {
      this.suffer(error)
      if (written > 0) {
        try {
          storage.truncateOpen(this.fd, this.size)
          written = 0
        } catch {
          // The torn end stays; since the rest follows it when there is room, the file is whole again then.
        }
      }
    }
    if (written > 0) {
      this.size += written
      this.totalSize += written
      this.unsynced = true
    }
    return written
  }

  private keep(bytes: Uint8Array, start: number, end: number): void {
    this.backlog.push(bytes.slice(start, end))
    this.backlogBytes += end - start
  }

  private suffer(error: unknown): void {
    if (this.unhealthy) return
    this.unhealthy = true
    const reason = reasonOf(error)
    this.options.log("warning", `Error writing to the AOF file: ${reason}`)
    this.options.onHealth(`MISCONF Errors writing to the AOF file: ${reason}`)
  }

  private openEmpty(path: string): number {
    const { storage } = this.options
    storage.close(storage.create(path))
    return storage.open(path)
  }

  private writeManifest(): void {
    replaceFile(this.options.storage, this.manifestPath, formatManifest(this.manifest))
  }

  /** Replaces the manifest, after all replacements that are under way: what it is replaced by follows from what is there then. */
  private replaceManifest(change: (manifest: AofManifest) => AofManifest): Promise<void> {
    const replacement = this.replacements.then(async () => {
      const manifest = change(this.manifest)
      await replaceFileLater(this.options.storage, this.manifestPath, formatManifest(manifest))
      this.manifest = manifest
    })
    this.replacements = replacement.catch(() => {})
    return replacement
  }
  private replacements: Promise<void> = Promise.resolve()
}
