/**
 * A snapshot on its way into a file: a consumer that writes off-thread.
 *
 *   Writing ──end()──▶ Syncing ──▶ done(undefined)       written and synced; the name is still the temporary one
 *      │                  │
 *      └──abort(), or the disk fails──▶ Failed ──▶ done(error)      the file is removed
 *
 * At most PENDING_BYTES_MAX of bytes wait for the disk; beyond that the snapshot pauses. (A snapshot that is finished at
 * once does not: then bytes are written as they come.) Writes are positioned, so several may be under way, in any order.
 * The file is synced in steps while it grows, so that the last sync has little left to do, and the disk's other users are not
 * kept waiting for one long one.
 */

import type { Snapshot, SnapshotConsumer } from "../engine/snapshots.ts"
import type { Storage } from "./storage.ts"

const PENDING_BYTES_MAX = 4 * 1024 * 1024
const SYNC_EVERY_BYTES = 16 * 1024 * 1024

export interface SnapshotFileOptions {
  storage: Storage
  /** A temporary name: whoever is told of success renames it. */
  path: string
  /** rdb-save-incremental-fsync and the like. */
  syncsInSteps: boolean
  done: (error: Error | undefined) => void
}

export class SnapshotFile implements SnapshotConsumer {
  /** Bytes given so far. */
  size = 0
  /** Set by whoever has begun the snapshot. */
  snapshot: Snapshot | undefined

  private readonly options: SnapshotFileOptions
  private readonly fd: number
  private pendingBytes = 0
  private pendingOperations = 0
  private unsyncedBytes = 0
  private syncing = false
  private ended = false
  private error: Error | undefined
  private settled = false
  private discarded = false

  /** Creates the file. Throws when that cannot be. */
  constructor(options: SnapshotFileOptions) {
    this.options = options
    this.fd = options.storage.create(options.path)
  }

  get isFull(): boolean {
    return this.pendingBytes >= PENDING_BYTES_MAX
  }

  take(bytes: Uint8Array): void {
    if (this.error !== undefined || bytes.length === 0) return
    const { storage } = this.options
    const position = this.size
    this.size += bytes.length
    this.unsyncedBytes += bytes.length
    if (this.isFull) {
      try {
        storage.writeAt(this.fd, bytes, position)
      } catch (error) {
        this.fail(asError(error))
      }
      return
    }
    const { length } = bytes
    this.pendingBytes += length
    this.pendingOperations++
    storage.writeAtLater(this.fd, bytes, position, error => {
      this.pendingBytes -= length
      this.pendingOperations--
      if (error !== null) this.fail(error)
      this.next()
    })
  }

  end(): void {
    this.ended = true
    this.next()
  }

  abort(reason: Error): void {
    this.error ??= reason
    this.next()
  }

  /** Gives up now, without waiting for what is under way: the server stops. */
  discard(): void {
    if (this.settled) return
    this.error ??= new Error("the server stops")
    this.discarded = true
    try {
      this.options.storage.remove(this.options.path)
    } catch {
      // Nothing of it is left, then.
    }
  }

  private fail(error: Error): void {
    if (this.error !== undefined) return
    this.error = error
    // Which aborts us, unless everything has been encoded.
    this.snapshot?.cancel(error)
  }

  /** Something is over: what now? */
  private next(): void {
    if (this.settled) return
    if (this.error !== undefined) {
      if (this.pendingOperations === 0) this.settle(this.error)
    } else if (this.ended) {
      if (this.pendingOperations > 0) return
      if (this.unsyncedBytes === 0) this.settle(undefined)
      else this.sync()
    } else {
      const written = this.unsyncedBytes - this.pendingBytes
      if (this.options.syncsInSteps && !this.syncing && written >= SYNC_EVERY_BYTES) this.sync()
      if (!this.isFull) this.snapshot?.resume()
    }
  }

  private sync(): void {
    const written = this.unsyncedBytes - this.pendingBytes
    this.syncing = true
    this.pendingOperations++
    this.options.storage.syncLater(this.fd, error => {
      this.syncing = false
      this.pendingOperations--
      this.unsyncedBytes -= written
      if (error !== null) this.fail(error)
      this.next()
    })
  }

  private settle(error: Error | undefined): void {
    this.settled = true
    const { done, path, storage } = this.options
    let fault = error
    try {
      storage.close(this.fd)
      if (fault !== undefined && !this.discarded) storage.removeLater(path, () => {})
    } catch (later) {
      fault ??= asError(later)
    }
    done(fault)
  }
}

/** The same, in one go, for when everybody waits: SAVE, the end of the server. */
export class SnapshotFileNow implements SnapshotConsumer {
  readonly isFull = false
  size = 0
  error: Error | undefined
  private readonly storage: Storage
  private readonly path: string
  private readonly fd: number

  /** Creates the file. Throws when that cannot be. */
  constructor(storage: Storage, path: string) {
    this.storage = storage
    this.path = path
    this.fd = storage.create(path)
  }

  take(bytes: Uint8Array): void {
    if (this.error !== undefined) return
    try {
      this.storage.writeAt(this.fd, bytes, this.size)
      this.size += bytes.length
    } catch (error) {
      this.error = asError(error)
    }
  }

  end(): void {
    try {
      if (this.error === undefined) this.storage.syncNow(this.fd)
    } catch (error) {
      this.error = asError(error)
    }
    this.close()
  }

  abort(reason: Error): void {
    this.error ??= reason
    this.close()
  }

  private close(): void {
    try {
      this.storage.close(this.fd)
      if (this.error !== undefined) this.storage.remove(this.path)
    } catch (error) {
      this.error ??= asError(error)
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
