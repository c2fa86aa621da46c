/** The append-only file's storage on a real file system. */

import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { dirname } from "node:path"
import type { AofStorage } from "./aof.ts"

export const fileStorage: AofStorage = {
  exists: existsSync,
  readText: path => readFileSync(path, "utf8"),
  replaceText(path, text) {
    const temporary = `${path}.tmp-${process.pid}`
    writeFileSync(temporary, text)
    syncPath(temporary)
    renameSync(temporary, path)
    syncPath(dirname(path))
  },
  makeDirectory: path => mkdirSync(path, { recursive: true }),
  rename: renameSync,
  remove: unlinkSync,
  size: path => statSync(path).size,
  truncate(path, length) {
    truncateSync(path, length)
    syncPath(path)
  },
  open: path => openSync(path, "a"),
  close: closeSync,
  write: (fd, bytes, start, length) => writeSync(fd, bytes, start, length),
  truncateOpen: ftruncateSync,
  syncNow: fdatasyncSync,
  syncLater: (fd, done) => fdatasync(fd, done),
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
