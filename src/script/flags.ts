/**
 * What a script says about itself in its first line: `#!lua flags=no-writes,allow-oom`. The flags of functions are the
 * same, given when they are registered.
 *
 * A script without such a line is treated as before there were flags: what it may do is decided command by command.
 */

import { Flag } from "../command/registry.ts"
import { splitArguments } from "../config/arguments.ts"

export const ScriptFlag = {
  NoWrites: 1,
  AllowOom: 2,
  AllowStale: 4,
  NoCluster: 8,
  AllowCrossSlotKeys: 16,
  /** Has no first line of this kind. */
  Undeclared: 32,
} as const

const NAMES: Readonly<Record<string, number>> = {
  "no-writes": ScriptFlag.NoWrites,
  "allow-oom": ScriptFlag.AllowOom,
  "allow-stale": ScriptFlag.AllowStale,
  "no-cluster": ScriptFlag.NoCluster,
  "allow-cross-slot-keys": ScriptFlag.AllowCrossSlotKeys,
}

/** The flag of this name; 0 when there is none. */
export function scriptFlag(name: string): number {
  return Object.hasOwn(NAMES, name) ? NAMES[name]! : 0
}

export function scriptFlagNames(flags: number): string[] {
  return Object.entries(NAMES)
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name)
}

/** The flags of a command that runs such a script: those the script declares instead of the command's own. */
export function commandFlagsFor(flagBits: number, scriptFlags: number): number {
  let flags = flagBits & ~(Flag.Stale | Flag.DenyOom | Flag.Write | Flag.MayReplicate)
  if ((scriptFlags & (ScriptFlag.AllowOom | ScriptFlag.NoWrites)) === 0) flags |= Flag.DenyOom
  if ((scriptFlags & ScriptFlag.NoWrites) === 0) flags |= Flag.Write
  if ((scriptFlags & ScriptFlag.AllowStale) !== 0) flags |= Flag.Stale
  return flags
}

export interface Shebang {
  flags: number
  /** Bytes before the code; the line's end stays, so that lines are counted as the author does. */
  length: number
}

const HASH = 35
const BANG = 33
const LF = 10

/** Reads the first line of a script; a text is the error. */
export function readShebang(source: Uint8Array, start = 0, end = source.length): Shebang | string {
  if (end - start < 2 || source[start] !== HASH || source[start + 1] !== BANG) {
    return { flags: ScriptFlag.Undeclared, length: 0 }
  }
  const lineEnd = source.indexOf(LF, start)
  if (lineEnd < 0 || lineEnd >= end) return "ERR Invalid script shebang"
  const words = splitArguments(Buffer.from(source.subarray(start, lineEnd)).toString("latin1"))
  if (words === undefined || words.length === 0) return "ERR Invalid engine in script shebang"
  if (words[0] !== "#!lua") return `ERR Unexpected engine in script shebang: ${words[0]}`
  let flags = 0
  for (const word of words.slice(1)) {
    if (!word.startsWith("flags=")) return `ERR Unknown lua shebang option: ${word}`
    const names = word.slice("flags=".length)
    for (const name of names === "" ? [] : names.split(",")) {
      const bit = scriptFlag(name)
      if (bit === 0) return `ERR Unexpected flag in script shebang: ${name}`
      flags |= bit
    }
  }
  return { flags, length: lineEnd - start }
}
