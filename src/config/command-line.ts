/**
 * The arguments of the program: `[file] [--directive value…]… [-]`.
 *
 * Options become configuration text, a line for each, which is loaded after the file and after standard input. An
 * option takes at least one value, whatever it looks like, and then all up to the next argument that begins with `--`:
 * `--save 3600 1 300 100`, `--logfile --odd-name`. Name and value may be one argument: `"--port 7000"`. Only `--save`
 * may come without: it then means `--save ""`.
 */

import { quoteArgument, splitArguments } from "./arguments.ts"
import type { ConfigSource } from "./conf-file.ts"

export type CommandLine =
  | { kind: "version" }
  | { kind: "help" }
  | {
      kind: "run"
      /** As it was given; the caller makes it absolute. */
      configFile: string | undefined
      /** `-` was given: configuration is to be read from standard input. */
      readsStdin: boolean
      /** The options as configuration, one line each. */
      options: ConfigSource
    }

/** `args` are those after the program's own name. Never fails: what makes no sense fails when it is loaded. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  if (args.length === 1) {
    if (args[0] === "-v" || args[0] === "--version") return { kind: "version" }
    if (args[0] === "-h" || args[0] === "--help") return { kind: "help" }
  }
  const configFile = args[0] !== undefined && !args[0].startsWith("-") ? args[0] : undefined
  const from = configFile === undefined ? 0 : 1
  let readsStdin = false
  let lacksValue = false
  const lines: string[] = []
  for (let at = from; at < args.length; at++) {
    const arg = args[at]!
    if (arg === "-" && (at === 0 || at === args.length - 1)) {
      readsStdin = true
    } else if (arg.startsWith("--") && !lacksValue) {
      const next = args[at + 1]
      const isBareSave = arg.toLowerCase() === "--save" && (next === undefined || next.startsWith("--"))
      lines.push(arg.slice(2) + (isBareSave ? ' ""' : ""))
      lacksValue = !isBareSave && splitArguments(arg)?.length === 1
    } else {
      lines.push(`${lines.pop() ?? ""} ${quoteArgument(arg)}`)
      lacksValue = false
    }
  }
  return { kind: "run", configFile, readsStdin, options: { name: "the command line", text: lines.join("\n") } }
}
