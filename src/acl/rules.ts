/**
 * The words that rules are made of: why one is refused, how they are taken apart and put together again.
 *
 * All names, patterns and passwords in this room are strings of one character per byte, so that any bytes are told apart.
 */

import { quoteArgument, splitArguments } from "../config/arguments.ts"

export const RuleError = {
  Syntax: "Syntax error",
  UnknownCommand: "Unknown command or category name in ACL",
  AfterAllKeys:
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. " +
    "Try 'resetkeys' to start with an empty list of patterns",
  AfterAllChannels:
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. " +
    "Try 'resetchannels' to start with an empty list of channels",
  NoSuchPassword: "The password you are trying to remove from the user does not exist",
  BadHash: "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters",
  FirstArgumentOfSubcommand: "Allowing first-arg of a subcommand is not supported",
} as const

/** Whether a name or pattern has a character that would break the lines rules are written in. */
export function hasSpaces(text: string): boolean {
  return /[ \t-\r\0]/.test(text)
}

/** A selector given in several arguments, `(+get` `~a)`, becomes one. `unmatched` is the one that begins and never ends. */
export function mergeSelectors(rules: readonly string[]): { rules: string[] } | { unmatched: string } {
  const merged: string[] = []
  let open: { first: string; text: string } | undefined
  for (const rule of rules) {
    if (open === undefined) {
      if (rule.startsWith("(") && !rule.endsWith(")")) open = { first: rule, text: rule }
      else merged.push(rule)
      continue
    }
    open.text += ` ${rule}`
    if (!rule.endsWith(")")) continue
    merged.push(open.text)
    open = undefined
  }
  return open === undefined ? { rules: merged } : { unmatched: open.first }
}

/** The rules in the parentheses of a selector; undefined when its quotes do not match, or hold what is no byte. */
export function splitSelector(selector: string): string[] | undefined {
  const inner = selector.slice(1, -1)
  if (/["']/.test(inner)) {
    const words = splitArguments(inner)
    return words?.every(isBytes) ? words : undefined
  }
  return inner.split(/[ \t-\r\0]+/).filter(word => word !== "")
}

function isBytes(text: string): boolean {
  return !/[^\x00-\xff]/.test(text)
}

/** A rule as it stands in a selector: in quotes where it would else be read as something different. */
export function quoted(rule: string): string {
  return /["']|\)$/.test(rule) ? quoteArgument(rule) : rule
}

/** Text that may hold rules, without its passwords and their hashes: for logs. */
export function withoutSecrets(text: string): string {
  return text.replace(/(^|[\s"'])([><#!])\S+/g, "$1$2(redacted)")
}
