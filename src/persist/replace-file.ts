/**
 * Replaces a small file as a whole, durably: a temporary file is written and synced, renamed, and its folder synced, so that
 * whenever the machine stops there is the old file or the new one.
 */

import { dirname } from "node:path"
import type { Done, Storage } from "./storage.ts"

let count = 0
/** A name that nobody else uses at the same time. */
const temporaryOf = (path: string) => `${path}.tmp-${process.pid}-${++count}`

export function replaceFile(storage: Storage, path: string, text: string): void {
  const temporary = temporaryOf(path)
  const fd = storage.create(temporary)
  try {
    storage.writeAt(fd, Buffer.from(text), 0)
    storage.syncNow(fd)
  } finally {
    storage.close(fd)
  }
  storage.rename(temporary, path)
  storage.syncDirectory(dirname(path))
}

/** The same with the slow parts off-thread. Rejects with what went wrong; the old file is there then. */
export async function replaceFileLater(storage: Storage, path: string, text: string): Promise<void> {
  const temporary = temporaryOf(path)
  const fd = storage.create(temporary)
  try {
    storage.writeAt(fd, Buffer.from(text), 0)
    await later(done => storage.syncLater(fd, done))
  } finally {
    storage.close(fd)
  }
  storage.rename(temporary, path)
  await later(done => storage.syncDirectoryLater(dirname(path), done))
}

/**
 * Renames a large file to a name that another one may have. The old one is held open meanwhile: giving back the blocks of a
 * large file takes time, which the last one to close it spends, off-thread.
 */
export function renameOver(storage: Storage, from: string, to: string): void {
  const held = storage.exists(to) ? storage.openToRead(to) : -1
  try {
    storage.rename(from, to)
  } finally {
    if (held >= 0) storage.closeLater(held)
  }
}

/** A promise of an operation of a Storage. */
export function later(start: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) =>
    start(error => (error === null || error === undefined ? resolve() : reject(error))),
  )
}
