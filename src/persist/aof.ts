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
 */

import type { Sink } from "../engine/engine.ts"
import {
  type AofFile,
  type AofManifest,
  emptyManifest,
  formatManifest,
  nextIncrement,
  parseManifest,
} from "./aof-manifest.ts"

export type FsyncPolicy = "always" | "everysec" | "no"

/** The file operations used, so that tests can make a disk fail. Errors are thrown with a `code`. */
export interface AofStorage {
  exists(path: string): boolean
  readText(path: string): string
  /** Replaces a file as a whole, durably. */
  replaceText(path: string, text: string): void
  makeDirectory(path: string): void
  rename(from: string, to: string): void
  remove(path: string): void
  size(path: string): number
  truncate(path: string, length: number): void
  /** Opens for appending, creating it if need be. */
  open(path: string): number
  close(fd: number): void
  /** Writes some of the bytes and returns how many. */
  write(fd: number, bytes: Uint8Array, start: number, length: number): number
  truncateOpen(fd: number, length: number): void
  syncNow(fd: number): void
  syncLater(fd: number, done: (error: Error | null) => void): void
}

export interface AofOptions {
  storage: AofStorage
  /** Folder of the append-only files, and the folder that an old single file is adopted from. */
  directory: string
  oldDirectory: string
  filename: string
  policy: () => FsyncPolicy
  log: (level: "notice" | "warning", message: string) => void
  /** Writes are (not) possible: the text for MISCONF, or nothing when all is well again. */
  onHealth: (error: string | undefined) => void
  /** The batch that clients wait for could not be made safe. */
  onUnsafe: () => void
}

export class AppendOnlyFile implements Sink {
  /** Bytes in the current increment. */
  size = 0
  /** Bytes in all files, and as of the start or the last rewrite. */
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

  private readonly options: AofOptions
  private fd = -1
  private unsynced = false
  /** Something was written in this tick, whose replies wait. */
  private awaited = false
  /** What could not be written yet. */
  private backlog: Uint8Array[] = []
  private backlogBytes = 0
  private unhealthy = false

  constructor(options: AofOptions) {
    this.options = options
  }

  get isOpen(): boolean {
    return this.fd >= 0
  }

  get lastWriteOk(): boolean {
    return !this.unhealthy
  }

  /** Bytes waiting for a disk that takes them. */
  get bufferLength(): number {
    return this.backlogBytes
  }

  path(file: AofFile): string {
    return `${this.options.directory}/${file.name}`
  }

  private get manifestPath(): string {
    return `${this.options.directory}/${this.options.filename}.manifest`
  }

  /** Reads the manifest, adopting an old single file if there is no manifest yet. Throws an Error that names the reason. */
  readManifest(): void {
    const { storage, directory, oldDirectory, filename, log } = this.options
    if (storage.exists(this.manifestPath)) {
      const manifest = parseManifest(storage.readText(this.manifestPath))
      if ("fault" in manifest) throw new Error(`Invalid AOF manifest file ${this.manifestPath}: ${manifest.fault}`)
      this.manifest = manifest
      return
    }
    const old = `${oldDirectory}/${filename}`
    if (!storage.exists(old)) return
    storage.makeDirectory(directory)
    this.manifest.base = { name: filename, seq: 1, type: "b" }
    // The manifest first: should we stop in between, the next start finds the file in its old place and moves it then.
    this.writeManifest()
    storage.rename(old, `${directory}/${filename}`)
    log("notice", `Adopted the append only file ${filename}: it is the base of ${this.options.directory} now.`)
  }

  /** The files to replay, in order. Throws when one is missing. */
  filesToLoad(): AofFile[] {
    const { storage, oldDirectory, directory } = this.options
    const { base, increments } = this.manifest
    const files = [...(base === undefined ? [] : [base]), ...increments]
    for (const file of files) {
      if (storage.exists(this.path(file))) continue
      const old = `${oldDirectory}/${file.name}`
      if (file !== base || !storage.exists(old)) throw new Error(`The AOF file ${this.path(file)} does not exist`)
      storage.rename(old, `${directory}/${file.name}`)
    }
    return files
  }

  /** Opens the last increment (or a first one) for appending. */
  open(): void {
    const { storage, filename, directory } = this.options
    storage.makeDirectory(directory)
    let current = this.manifest.increments.at(-1)
    if (current === undefined) {
      current = nextIncrement(this.manifest, filename)
      this.manifest.increments.push(current)
      this.fd = storage.open(this.path(current))
      this.writeManifest()
    } else this.fd = storage.open(this.path(current))
    this.size = storage.size(this.path(current))
    this.totalSize = this.filesToLoad().reduce((sum, file) => sum + storage.size(this.path(file)), 0)
    this.baseSize = this.totalSize
  }

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
    this.retry()
    try {
      if (this.unsynced) this.options.storage.syncNow(this.fd)
    } catch (error) {
      this.options.log("warning", `Fsync of the AOF file failed while closing it: ${message(error)}`)
    }
    this.options.storage.close(this.fd)
    this.fd = -1
  }

  write(bytes: Uint8Array, start: number, end: number): void {
    if (this.fd < 0) return
    this.takenBytes += end - start
    this.awaited = true
    if (this.backlogBytes > 0) {
      this.keep(bytes, start, end)
      return
    }
    const written = this.append(bytes, start, end - start)
    if (written < end - start) this.keep(bytes, start + written, end)
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
    if (!this.unsynced || this.options.policy() === "no") return
    if (this.isSyncing) {
      this.delayedSyncs++
      return
    }
    this.isSyncing = true
    this.unsynced = false
    const written = this.takenBytes - this.backlogBytes
    this.options.storage.syncLater(this.fd, error => {
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
    if (upTo <= this.syncedBytes) return
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
    const reason = message(error)
    this.options.log("warning", `Error writing to the AOF file: ${reason}`)
    this.options.onHealth(`MISCONF Errors writing to the AOF file: ${reason}`)
  }

  private writeManifest(): void {
    this.options.storage.replaceText(this.manifestPath, formatManifest(this.manifest))
  }
}

const REASONS: Record<string, string> = {
  ENOSPC: "No space left on device",
  EIO: "Input/output error",
  EDQUOT: "Disk quota exceeded",
  EFBIG: "File too large",
  EROFS: "Read-only file system",
}

function message(error: unknown): string {
  const { code } = error as { code?: string }
  if (code !== undefined && REASONS[code] !== undefined) return REASONS[code]
  return error instanceof Error ? error.message : String(error)
}
