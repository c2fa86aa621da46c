/**
 * The ACL file: a line `user <name> <rules…>` for each user. Words are separated by single spaces and never quoted. A file
 * is taken as a whole or not at all, and replaced as a whole: a crash leaves the old file or the new one.
 */

import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, unlinkSync, writeSync } from "node:fs"
import { dirname } from "node:path"
import { latin1Bytes } from "../bytes/compare.ts"
import { hasSpaces, mergeSelectors, RuleError } from "./rules.ts"
import type { User } from "./user.ts"

const NEW_FILE_MODE = 0o644

/** Where the ACL file is kept; text has one character per byte. */
export interface AclStorage {
  /** @throws what the system says */
  read(path: string): string
  /** Atomic, and on the disk when it returns. @throws what the system says */
  replace(path: string, text: string): void
}

export const aclFileStorage: AclStorage = {
  read: path => readFileSync(path, "latin1"),
  replace(path, text) {
    const temporary = `${path}.tmp-${process.pid}`
    try {
      const fd = openSync(temporary, "w", modeOf(path))
      try {
        const bytes = latin1Bytes(text)
        for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
        fsyncSync(fd)
      } finally {
        closeSync(fd)
      }
      renameSync(temporary, path)
    } catch (error) {
      tryUnlink(temporary)
      throw error
    }
    syncFolder(dirname(path))
  },
}

/** A file that only its owner may read stays so. */
function modeOf(path: string): number {
  try {
    return statSync(path).mode & 0o777
  } catch {
    return NEW_FILE_MODE
  }
}

function tryUnlink(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It was not made.
  }
}

function syncFolder(path: string): void {
  // Windows cannot open a folder, and needs no sync of it.
  if (process.platform === "win32") return
  const fd = openSync(path, "r")
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Reads the lines of a file.
 *
 * @param path as configured, for messages
 * @param create makes a new user
 * @returns the users by name, or everything that is wrong, in one line
 */
export function parseAclFile(text: string, path: string, create: (name: string) => User): Map<string, User> | string {
  const users = new Map<string, User>()
  let errors = ""
  for (const [at, raw] of text.split("\n").entries()) {
    const line = raw.replace(/^[ \t\r]+|[ \t\r]+$/g, "")
    if (line !== "") errors += parseLine(line, `${path}:${at + 1}`, at + 1, users, create)
  }
  if (errors === "") return users
  return `${errors}WARNING: ACL errors detected, no change to the previously active ACL rules was performed`
}

/** Adds the user of a line; returns what is wrong with it. */
function parseLine(
  line: string,
  place: string,
  number: number,
  users: Map<string, User>,
  create: (name: string) => User,
): string {
  const [word, name, ...rules] = line.split(" ")
  if (word !== "user" || name === undefined) {
    return `${place} should start with user keyword followed by the username. `
  }
  if (hasSpaces(name)) return `'${place}: username '${name}' contains invalid characters. `
  if (users.has(name)) return `WARNING: Duplicate user '${name}' found on line ${number}. `
  const user = create(name)
  users.set(name, user)
  const merged = mergeSelectors(rules)
  if ("unmatched" in merged) return `${place}: Unmatched parenthesis in selector definition. `
  let errors = ""
  let isBroken = false
  for (const raw of merged.rules) {
    const rule = raw.replace(/^[\t\r\n]+|[\t\r\n]+$/g, "")
    const error = user.apply(rule)
    // Unknown names hold no secret and can be shown; of other errors, the first may be the cause of the rest.
    if (error === RuleError.UnknownCommand) errors += `${place}: Error in applying operation '${rule}': ${error}. `
    else if (error !== undefined && !isBroken) {
      errors += `${place}: ${error}. `
      isBroken = true
    }
  }
  return errors
}
