/**
 * Where data files are kept: the operations used on them, and the real file system.
 *
 * Everything that persists goes through a Storage, so that tests can fill a disk, break it, or stop it dead between any two
 * operations. Operations named `…Later` leave the event loop alone; the others are quick ones (or at times when
 * everybody waits anyway). Errors are thrown, or handed to `done`, with a `code`.
 */

import {
  close,
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  open,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
  unlink,
  unlinkSync,
  write,
  writeSync,
} from "node:fs"

export type Done = (error: Error | null) => void

export interface Storage {
  exists(path: string): boolean
  /** Names in a folder; none if there is no such folder. */
  list(path: string): string[]
  readText(path: string): string
  makeDirectory(path: string): void
  /** Replaces what is at `to`. Durable after `syncDirectory` of the folders. */
  rename(from: string, to: string): void
  syncDirectory(path: string): void
  syncDirectoryLater(path: string, done: Done): void
  remove(path: string): void
  removeLater(path: string, done: Done): void
  size(path: string): number
  truncate(path: string, length: number): void
  /** Opens for appending, creating it if need be. */
  open(path: string): number
  /** Opens an empty file for positioned writes, whatever was there before. */
  create(path: string): number
  openToRead(path: string): number
  /** Reads some of the bytes and returns how many; 0 at the end. */
  read(fd: number, bytes: Uint8Array, start: number, length: number, position: number): number
  close(fd: number): void
  closeLater(fd: number): void
  /** Appends some of the bytes and returns how many. */
  write(fd: number, bytes: Uint8Array, start: number, length: number): number
  /** Writes all the bytes at a position. They must stay as they are until then. */
  writeAt(fd: number, bytes: Uint8Array, position: number): void
  writeAtLater(fd: number, bytes: Uint8Array, position: number, done: Done): void
  truncateOpen(fd: number, length: number): void
  syncNow(fd: number): void
  syncLater(fd: number, done: Done): void
}

export const fileStorage: Storage = {
  exists: existsSync,
  list: path => (existsSync(path) ? readdirSync(path) : []),
  readText: path => readFileSync(path, "utf8"),
  makeDirectory: path => mkdirSync(path, { recursive: true }),
  rename: renameSync,
  syncDirectory: syncPath,
  syncDirectoryLater,
  remove: unlinkSync,
  removeLater: unlink,
  size: path => statSync(path).size,
  truncate(path, length) {
    truncateSync(path, length)
    syncPath(path)
  },
  open: path => openSync(path, "a"),
  create: path => openSync(path, "w"),
  openToRead: path => openSync(path, "r"),
  read: readSync,
  close: closeSync,
  closeLater: fd => close(fd),
  write: (fd, bytes, start, length) => writeSync(fd, bytes, start, length),
  writeAt(fd, bytes, position) {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at)
  },
  writeAtLater,
  truncateOpen: ftruncateSync,
  syncNow: fdatasyncSync,
  syncLater: fdatasync,
}

function writeAtLater(fd: number, bytes: Uint8Array, position: number, done: Done): void {
  write(fd, bytes, 0, bytes.length, position, (error, written) => {
    if (error !== null && error !== undefined) done(error)
    else if (written === bytes.length) done(null)
    else if (written === 0) done(Object.assign(new Error("short write"), { code: "ENOSPC" }))
    else writeAtLater(fd, bytes.subarray(written), position + written, done)
  })
}

function syncPath(path: string): void {
  // Windows cannot open a folder, and needs no sync of it.
  if (process.platform === "win32") return
  const fd = openSync(path, "r")
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function syncDirectoryLater(path: string, done: Done): void {
  if (process.platform === "win32") {
    done(null)
    return
  }
  open(path, "r", (error, fd) => {
    if (error !== null) done(error)
    else fsync(fd, fault => close(fd, () => done(fault)))
  })
}

const REASONS: Record<string, string> = {
  EACCES: "Permission denied",
  EDQUOT: "Disk quota exceeded",
  EFBIG: "File too large",
  EIO: "Input/output error",
  EISDIR: "Is a directory",
  ENOENT: "No such file or directory",
  ENOSPC: "No space left on device",
  ENOTDIR: "Not a directory",
  EROFS: "Read-only file system",
}

/** What an error of a Storage says, as the C library words it where that is known. */
export function reasonOf(error: unknown): string {
  const { code } = error as { code?: string }
  if (code !== undefined && REASONS[code] !== undefined) return REASONS[code]
  return error instanceof Error ? error.message : String(error)
}
