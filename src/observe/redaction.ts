/** Which arguments of a command are secrets and must not show up in the slow log, for monitors or in a log file. */

import type { RegisteredCommand } from "../command/registry.ts"
import type { Config } from "../config/config.ts"
import type { Arguments } from "../resp/arguments.ts"

export const REDACTED = "(redacted)"

/** A test for argument numbers, undefined (the usual case) when nothing need be hidden. */
export function secretsOf(
  command: RegisteredCommand,
  args: Arguments,
  config: Config,
): ((i: number) => boolean) | undefined {
  switch (command.fullName) {
    case "auth":
      return i => i >= 1
    case "acl|setuser":
      return i => i >= 2
    case "acl|deluser":
    case "acl|getuser":
      return i => i >= 2
    case "hello":
      return after(args, ["auth"], 2)
    case "migrate":
      return after(args, ["auth", "auth2"], 2)
    case "config|set":
      return i => i >= 3 && i % 2 === 1 && config.isSensitive(args.latin1(i - 1))
    default:
      return undefined
  }
}

/** Arguments that follow one of the words; "auth2" takes two, as does "auth" of HELLO, "auth" of MIGRATE but one. */
function after(args: Arguments, words: readonly string[], countMax: number): ((i: number) => boolean) | undefined {
  for (let at = 1; at < args.count; at++) {
    const word = words.find(each => args.is(at, each))
    if (word === undefined) continue
    const count = words.length === 2 && word === "auth" ? 1 : countMax
    return i => i > at && i <= at + count
  }
  return undefined
}
