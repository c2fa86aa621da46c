/**
 * Reading configuration text: a file with what it includes, standard input, or the options of the command line.
 *
 * One directive a line: a name in any case and arguments as arguments.ts splits them; `#` at the start of a line makes
 * a comment. Sources are loaded one after the other, so a later line wins. Nothing here touches a file: the caller
 * hands in a reader.
 */

import { splitArguments } from "./arguments.ts"
import type { Config, Place } from "./config.ts"
import { findDirective, RETIRED_DIRECTIVES } from "./directives.ts"
import { Refusal } from "./refusal.ts"

/** What `include` needs of the file system. Relative paths are relative to the working directory. */
export interface ConfigFileReader {
  /** The text of a file, or why it cannot be had (`No such file or directory`). */
  read(path: string): string | Refusal
  /** The paths that match a pattern, sorted; none is fine. */
  match(pattern: string): readonly string[]
}

export interface ConfigSource {
  /** A path, `standard input` or `the command line`: for messages. */
  name: string
  text: string
}

/** Why the server cannot start with this configuration. */
export interface ConfigFault {
  reason: string
  /** Absent when it is about all lines together. */
  place?: Place
}

const INCLUDES_MAX = 10_000

/** @returns the first fault, or nothing when every source is loaded into `config`. */
export function loadConfiguration(
  config: Config,
  sources: readonly ConfigSource[],
  reader: ConfigFileReader,
): ConfigFault | undefined {
  const loader = new Loader(config, reader)
  for (const source of sources) {
    const fault = loader.load(source, [source.name])
    if (fault !== undefined) return fault
  }
  const refused = config.finishLoading()
  return refused === undefined ? undefined : { reason: refused.reason }
}

/** The message for a fault, as Redis writes it to standard error, with the name of the source added. */
export function describeFault(fault: ConfigFault, version: string): string {
  const head = `\n*** FATAL CONFIG FILE ERROR (bundis ${version}) ***\n`
  const { place, reason } = fault
  if (place === undefined) return `${head}${reason}\n`
  return `${head}Reading the configuration file, at line ${place.line} of ${place.source}\n>>> '${place.text}'\n${reason}\n`
}

class Loader {
  readonly #config: Config
  readonly #reader: ConfigFileReader
  #includesLeft = INCLUDES_MAX

  constructor(config: Config, reader: ConfigFileReader) {
    this.#config = config
    this.#reader = reader
  }

  /** `open` names the sources that are being read, outermost first: none may include itself. */
  load(source: ConfigSource, open: readonly string[]): ConfigFault | undefined {
    for (const [at, raw] of source.text.split("\n").entries()) {
      const line = raw.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "")
      if (line === "" || line.startsWith("#")) continue
      const place = { source: source.name, line: at + 1, text: line }
      const fault = this.#loadLine(place, open)
      if (fault instanceof Refusal) return { reason: fault.reason, place }
      if (fault !== undefined) return fault
    }
    return undefined
  }

  #loadLine(place: Place, open: readonly string[]): ConfigFault | Refusal | undefined {
    const words = splitArguments(place.text)
    if (words === undefined) return new Refusal("Unbalanced quotes in configuration line")
    if (words.length === 0) return undefined
    const name = words[0]!.toLowerCase()
    const args = words.slice(1)
    if (findDirective(name) !== undefined) return this.#config.load(name, args)
    if (RETIRED_DIRECTIVES.includes(name) && args.length === 1) return undefined
    if (name === "include" && args.length === 1) return this.#include(args[0]!, open)
    return this.#loadStatement(name, args, place)
  }

  /** The directives that are no settings. Whether users and commands make sense is for others to say, later. */
  #loadStatement(name: string, args: readonly string[], place: Place): Refusal | undefined {
    const { users, renamedCommands, modules } = this.#config
    const first = args[0]
    if (name === "sentinel" && first !== undefined) return new Refusal("sentinel directive while not in sentinel mode")
    if (name === "rename-command" && args.length === 2) {
      renamedCommands.push({ from: args[0]!, to: args[1]!, place })
      return undefined
    }
    if (name === "user" && first !== undefined) {
      if (users.some(user => user.name === first))
        return new Refusal(
          `Error in user declaration '${first}': Duplicate user found. A user can only be defined once in config files`,
        )
      users.push({ name: first, rules: args.slice(1), place })
      return undefined
    }
    if (name === "loadmodule" && first !== undefined) {
      modules.push({ path: first, arguments: args.slice(1), place })
      return undefined
    }
    return new Refusal("Bad directive or wrong number of arguments")
  }

  /** A plain name must be readable; a pattern may match nothing, so that an empty directory of snippets is fine. */
  #include(path: string, open: readonly string[]): ConfigFault | Refusal | undefined {
    for (const name of /[*?[]/.test(path) ? this.#reader.match(path) : [path]) {
      if (open.includes(name)) return new Refusal(`config file '${name}' includes itself`)
      if (--this.#includesLeft < 0) return new Refusal(`more than ${INCLUDES_MAX} files are included`)
      const text = this.#reader.read(name)
      if (text instanceof Refusal) return new Refusal(`can't open config file '${name}': ${text.reason}`)
      const fault = this.load({ name, text }, [...open, name])
      if (fault !== undefined) return fault
    }
    return undefined
  }
}
