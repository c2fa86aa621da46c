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

/** Parses a manifest; a fault is told as Redis tells it, with the line it is about. */
export function parseManifest(text: string): AofManifest | { fault: string } {
  const manifest = emptyManifest()
  if (text.length === 0) return { fault: "Found an empty AOF manifest" }
  const lines = text.split("\n")
  if (lines.at(-1) === "") lines.pop()
  for (const [i, line] of lines.entries()) {
    if (line.startsWith("#")) continue
    const fault =
      line.length > LINE_BYTES_MAX ? "The AOF manifest file contains too long line" : addLine(manifest, line)
    if (fault !== undefined) return { fault: `${fault} (line ${i + 1}: '${line.slice(0, 100)}')` }
  }
  return manifest
}

function addLine(manifest: AofManifest, line: string): string | undefined {
  const file = parseLine(line.replace(/\r$/, ""))
  if (file === undefined) return "Invalid AOF manifest file format"
  if (file.name.includes("/")) return "File can't be a path, just a filename"
  if (file.type === "b") {
    if (manifest.base !== undefined) return "Found duplicate base file information"
    manifest.base = { ...file, type: "b" }
  } else if (file.type === "i") {
    if (file.seq <= (manifest.increments.at(-1)?.seq ?? 0)) return "Found a non-monotonic sequence number"
    manifest.increments.push({ ...file, type: "i" })
  } else if (file.type === "h") manifest.history.push({ ...file, type: "h" })
  else return "Unknown AOF file type"
  return undefined
}

export function formatManifest(manifest: AofManifest): string {
  const files = [...(manifest.base === undefined ? [] : [manifest.base]), ...manifest.history, ...manifest.increments]
  return files.map(file => `file ${quoteName(file.name)} seq ${file.seq} type ${file.type}\n`).join("")
}

/** The increment after number `seq`. */
export function nextIncrement(seq: number, filename: string): AofFile {
  return { name: `${filename}.${seq + 1}.incr.aof`, seq: seq + 1, type: "i" }
}

/** The base after number `seq`, in RDB format or as commands. */
export function nextBase(seq: number, filename: string, suffix: "rdb" | "aof"): AofFile {
  return { name: `${filename}.${seq + 1}.base.${suffix}`, seq: seq + 1, type: "b" }
}

function parseLine(line: string): (Omit<AofFile, "type"> & { type: string }) | undefined {
  const words = splitArguments(line)
  if (!Array.isArray(words) || words.length < 6 || words.length % 2 !== 0) return undefined
  const fields = new Map<string, string>()
  for (let i = 0; i < words.length; i += 2) fields.set(words[i]!.toLowerCase(), words[i + 1]!)
  const name = fields.get("file")
  const seq = Number(fields.get("seq"))
  const type = fields.get("type")
  if (name === undefined || name === "" || type === undefined || !Number.isSafeInteger(seq) || seq <= 0)
    return undefined
  return { name, seq, type }
}

function quoteName(name: string): string {
  return /[\s"'\\]/.test(name) ? quoteArgument(name) : name
}
