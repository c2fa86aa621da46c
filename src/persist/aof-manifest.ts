/**
 * The manifest of the multi-part append-only file, as Redis 7 keeps it in `appenddirname`:
 *
 *   file database.aof.1.base.rdb seq 1 type b      the data set as of the last rewrite: at most one (RDB or commands)
 *   file database.aof.1.incr.aof seq 1 type i      what was propagated since, in order of seq: any number
 *   file database.aof.0.incr.aof seq 0 type h      history: replaced by a rewrite, to be deleted
 *
 * The manifest is replaced as a whole (temporary file, sync, rename), so that a crash leaves the old or the new one.
 * Format: the comment at the head of the append-only directory's description in redis.conf and the files of real servers.
 */

import { quoteArgument, splitArguments } from "../config/arguments.ts"

export type AofFileType = "b" | "i" | "h"

export interface AofFile {
  name: string
  seq: number
  type: AofFileType
}

export interface AofManifest {
  base: AofFile | undefined
  history: AofFile[]
  increments: AofFile[]
}

const LINE_BYTES_MAX = 1024

export function emptyManifest(): AofManifest {
  return { base: undefined, history: [], increments: [] }
}

/** Parses a manifest; a fault is told as "line N: reason". */
export function parseManifest(text: string): AofManifest | { fault: string } {
  const manifest = emptyManifest()
  const lines = text.split("\n")
  if (text.length === 0) return { fault: "the manifest is empty" }
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!.replace(/\r$/, "")
    if (line.startsWith("#") || line === "") continue
    if (line.length > LINE_BYTES_MAX) return { fault: `line ${i + 1}: too long` }
    const file = parseLine(line)
    if (file === undefined) return { fault: `line ${i + 1}: '${line}' is not a file entry` }
    if (file.name.includes("/")) return { fault: `line ${i + 1}: '${file.name}' is a path, not a file name` }
    if (file.type === "b") {
      if (manifest.base !== undefined) return { fault: `line ${i + 1}: a second base file` }
      manifest.base = file
    } else if (file.type === "h") manifest.history.push(file)
    else {
      const last = manifest.increments.at(-1)
      if (last !== undefined && file.seq <= last.seq) return { fault: `line ${i + 1}: seq ${file.seq} out of order` }
      manifest.increments.push(file)
    }
  }
  return manifest
}

export function formatManifest(manifest: AofManifest): string {
  const files = [...(manifest.base === undefined ? [] : [manifest.base]), ...manifest.history, ...manifest.increments]
  return files.map(file => `file ${quoteName(file.name)} seq ${file.seq} type ${file.type}\n`).join("")
}

/** Name of the next increment of a manifest. */
export function nextIncrement(manifest: AofManifest, filename: string): AofFile {
  const seq = (manifest.increments.at(-1)?.seq ?? 0) + 1
  return { name: `${filename}.${seq}.incr.aof`, seq, type: "i" }
}

function parseLine(line: string): AofFile | undefined {
  const words = splitArguments(line)
  if (!Array.isArray(words) || words.length < 6 || words.length % 2 !== 0) return undefined
  const fields = new Map<string, string>()
  for (let i = 0; i < words.length; i += 2) fields.set(words[i]!.toLowerCase(), words[i + 1]!)
  const name = fields.get("file")
  const seq = Number(fields.get("seq"))
  const type = fields.get("type")
  if (name === undefined || name === "" || !Number.isSafeInteger(seq) || seq < 0) return undefined
  return type === "b" || type === "i" || type === "h" ? { name, seq, type } : undefined
}

function quoteName(name: string): string {
  return /[\s"'\\]/.test(name) ? quoteArgument(name) : name
}
