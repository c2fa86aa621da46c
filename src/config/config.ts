/**
 * The configuration of one server: the current value of every directive, and the ways to read and change it.
 *
 * Invariants
 * 1. `values` is one object for the life of the Config, with every property present from the start, so that hot code
 *    may keep a reference to it and read `values.hashMaxListpackEntries` as a plain number.
 * 2. Every value has passed its kind's `parse`, or was given by the server itself through `assign`.
 * 3. CONFIG SET is all or nothing: a refused pair or a vetoing listener leaves every value as it was.
 * 4. For each directive, `getText` gives a text that `set` accepts again and that gives an equal value.
 */

import { shown } from "../bytes/compare.ts"
import { globMatch } from "../bytes/glob.ts"
import { splitArguments } from "./arguments.ts"
import type { AnyDirective, DirectiveName, ValueByName } from "./directives.ts"
import { DIRECTIVES, namesOf } from "./directives.ts"
import { Refusal } from "./refusal.ts"
import { rewriteConfiguration } from "./rewrite.ts"

type Camel<S extends string> = S extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S

/** Every directive's value under its name in camel case: `maxmemory-policy` is `maxmemoryPolicy`. */
export type ConfigValues = { readonly [N in DirectiveName as Camel<N>]: ValueByName[N] }

/** Where a line of configuration came from. */
export interface Place {
  /** The file, `standard input` or `the command line`. */
  source: string
  /** Counted from 1. */
  line: number
  text: string
}

/** A `user` line: kept for the access control lists, which alone can judge its rules. */
export interface UserLine {
  name: string
  rules: readonly string[]
  place: Place
}

/** A `rename-command` line; an empty `to` removes the command. */
export interface RenameLine {
  from: string
  to: string
  place: Place
}

export interface ModuleLine {
  path: string
  arguments: readonly string[]
  place: Place
}

export interface SetOptions {
  /** The client is on this host, or the server itself asks: what `enable-protected-configs local` means. */
  isLocal?: boolean
  /** A data set is being loaded. */
  isLoading?: boolean
}

/** Hears of a change after it happened; a text it returns is the reason why the change cannot be, and undoes it. */
export type ChangeListener<T> = (value: T, previous: T) => string | undefined

interface Listener {
  names: readonly string[]
  call: (previous: ReadonlyMap<string, unknown>) => string | undefined
}

export interface RewriteOptions {
  /** What belongs after the word `user`, a line for each; undefined leaves the file's lines alone. */
  users?: readonly string[]
  /** Write every directive, also those at their default. */
  writesAll?: boolean
}

const camelCase = (name: string) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())

interface Row {
  directive: AnyDirective
  /** Property of `values`. */
  key: string
  isAlias: boolean
  isHidden: boolean
  nameBytes: Uint8Array
}

const encoder = new TextEncoder()

/** Names and aliases, lower case, in table order. */
const ROWS: ReadonlyMap<string, Row> = new Map(
  DIRECTIVES.flatMap(directive =>
    namesOf(directive).map(name => [
      name,
      {
        directive,
        key: camelCase(directive.name),
        isAlias: name !== directive.name,
        isHidden: directive.flags.includes("hidden") || name === directive.foreignName,
        nameBytes: encoder.encode(name),
      },
    ]),
  ),
)

export class Config {
  /** Reading a property costs what reading a property costs; lists and records in it are never changed in place. */
  readonly values: ConfigValues
  /** Lines that are no settings, in the order of the files. */
  readonly users: UserLine[] = []
  readonly renamedCommands: RenameLine[] = []
  readonly modules: ModuleLine[] = []
  readonly #listeners: Listener[] = []
  #hasLoadedSavePoints = false

  constructor() {
    const values: Record<string, unknown> = {}
    for (const { directive, key, isAlias } of ROWS.values()) if (!isAlias) values[key] = directive.initial
    this.values = values as ConfigValues
  }

  /** The value, typed by the table. */
  get<N extends DirectiveName>(name: N): ValueByName[N] {
    return this.#read(ROWS.get(name)!) as ValueByName[N]
  }

  /** The text CONFIG GET shows for a name or older name in any case, or undefined for an unknown one. */
  getText(name: string): string | undefined {
    const row = ROWS.get(name.toLowerCase())
    return row === undefined ? undefined : row.directive.kind.format(this.#read(row))
  }

  /**
   * The rows of CONFIG GET: for each pattern all names and older names that match, in any case; hidden ones only where
   * the pattern is the name itself (then the row is called as it was asked for). No name comes twice.
   */
  getMatching(patterns: readonly string[]): [name: string, value: string][] {
    // By name in small letters; a name that is asked for by itself is shown as it was written.
    const found = new Map<string, [string, string]>()
    for (const pattern of patterns) {
      if (!/[[*?]/.test(pattern)) {
        const value = this.getText(pattern)
        const name = pattern.toLowerCase()
        if (value !== undefined && !found.has(name)) found.set(name, [pattern, value])
        continue
      }
      const bytes = encoder.encode(pattern)
      for (const [name, row] of ROWS) {
        if (row.isHidden || found.has(name)) continue
        if (globMatch(bytes, 0, bytes.length, row.nameBytes, 0, row.nameBytes.length, true))
          found.set(name, [name, row.directive.kind.format(this.#read(row))])
      }
    }
    return [...found.values()]
  }

  /** Whether an argument of CONFIG SET after this name must be kept out of logs. */
  isSensitive(name: string): boolean {
    return ROWS.get(name.toLowerCase())?.directive.flags.includes("sensitive") ?? false
  }

  /** CONFIG SET of one pair; see `setAll`. */
  set(name: string, value: string, options?: SetOptions): string | undefined {
    return this.setAll([[name, value]], options)
  }

  /**
   * CONFIG SET: all pairs or none.
   * @returns nothing on success, else the whole error reply without its leading `-`.
   */
  setAll(pairs: readonly (readonly [name: string, value: string])[], options: SetOptions = {}): string | undefined {
    const rows = this.#findSettable(pairs, options)
    if (typeof rows === "string") return rows
    const before = new Map(rows.map(row => [row.key, this.#read(row)]))
    const changed = new Map<string, { name: string; previous: unknown }>()
    for (const [at, row] of rows.entries()) {
      const { directive } = row
      const text = pairs[at]![1]
      const args = !directive.kind.takesList ? [text] : text === "" ? [] : text.split(" ")
      const value = directive.kind.parse(args, this.#read(row))
      const name = pairs[at]![0].toLowerCase()
      if (value instanceof Refusal) {
        this.#restore(before)
        return setFailed(name, value.reason)
      }
      if (directive.flags.includes("volatile") || this.getText(directive.name) !== directive.kind.format(value))
        changed.set(directive.name, { name, previous: before.get(row.key) })
      this.#write(row.key, value)
    }
    return this.#tellListeners(changed, before)
  }

  /** The rows of the pairs, or the error reply: all names are looked at before any value, as in Redis. */
  #findSettable(pairs: readonly (readonly [string, string])[], options: SetOptions): Row[] | string {
    const allowsProtected =
      this.values.enableProtectedConfigs === "yes" ||
      (this.values.enableProtectedConfigs === "local" && options.isLocal === true)
    const rows: Row[] = []
    const seen = new Set<string>()
    for (const [name] of pairs) {
      const row = ROWS.get(name.toLowerCase())
      if (row === undefined) return unknownOption(name)
      const { flags } = row.directive
      let reason: string | undefined
      if (flags.includes("immutable")) reason = "can't set immutable config"
      else if (flags.includes("protected") && !allowsProtected) reason = "can't set protected config"
      else if (options.isLoading && flags.includes("deny-loading"))
        return "LOADING Redis is loading the dataset in memory"
      else if (seen.has(name.toLowerCase())) reason = "duplicate parameter"
      if (reason !== undefined) return setFailed(name, reason)
      seen.add(name.toLowerCase())
      rows.push(row)
    }
    return rows
  }

  #tellListeners(
    changed: ReadonlyMap<string, { name: string; previous: unknown }>,
    before: ReadonlyMap<string, unknown>,
  ): string | undefined {
    const previous = new Map([...changed].map(([name, change]) => [name, change.previous]))
    const called: Listener[] = []
    for (const listener of this.#listeners) {
      const cause = listener.names.find(name => changed.has(name))
      if (cause === undefined) continue
      called.push(listener)
      const reason = listener.call(previous)
      if (reason === undefined) continue
      const attempted = new Map([...changed.keys()].map(name => [name, this.#read(ROWS.get(name)!)]))
      this.#restore(before)
      // Those that had adapted to the new values adapt back; a veto now has nothing left to prevent.
      for (const told of called) told.call(attempted)
      return setFailed(changed.get(cause)!.name, reason)
    }
    return undefined
  }

  /** A change that the server makes itself (REPLICAOF, the absolute path of dir). No check, no listeners. */
  assign<N extends DirectiveName>(name: N, value: ValueByName[N]): void {
    this.#write(ROWS.get(name)!.key, value)
  }

  /** `listener` runs after each change of the directive by CONFIG SET. */
  onChange<N extends DirectiveName>(name: N, listener: ChangeListener<ValueByName[N]>): void {
    const row = ROWS.get(name)!
    this.#listeners.push({
      names: [name],
      call: previous => listener(this.#read(row) as ValueByName[N], previous.get(name) as ValueByName[N]),
    })
  }

  /** `listener` runs once after a CONFIG SET that changed any of the directives. */
  onChangeOfAny(names: readonly DirectiveName[], listener: () => string | undefined): void {
    this.#listeners.push({ names, call: listener })
  }

  /**
   * One directive of a file or of the command line. No flag stands in the way and no listener is told: this is for the
   * time before the server runs. A list in a single argument is split once more, so `"3600 1 300 100"` works too.
   */
  load(name: string, args: readonly string[]): Refusal | undefined {
    const row = ROWS.get(name.toLowerCase())
    if (row === undefined) return new Refusal("Bad directive or wrong number of arguments")
    const { kind } = row.directive
    if (!kind.takesList && args.length !== 1) return new Refusal("wrong number of arguments")
    const isPackedList = kind.takesList && args.length === 1 && args[0] !== ""
    const parts = isPackedList ? (splitArguments(args[0]!) ?? []) : args
    const value = kind.parse(parts, this.#read(row))
    if (value instanceof Refusal) return value
    this.#write(row.key, row.directive.name === "save" ? this.#addSavePoints(value) : value)
    return undefined
  }

  /** Lines of save points add up; the first replaces the default and an empty one what came before it. */
  #addSavePoints(points: ConfigValues["save"]): ConfigValues["save"] {
    const isFirst = !this.#hasLoadedSavePoints
    this.#hasLoadedSavePoints = true
    return isFirst || points.length === 0 ? points : [...this.values.save, ...points]
  }

  /** What is wrong with the directives together, once all sources are loaded. Also settles what follows from others. */
  finishLoading(): Refusal | undefined {
    if (!this.values.clusterEnabled) return undefined
    if (this.values.replicaof !== undefined) return new Refusal("replicaof directive not allowed in cluster mode")
    this.assign("databases", 1)
    return undefined
  }

  /** CONFIG REWRITE: the text of a file with the current values; see rewrite.ts. */
  rewrite(existing: string, options: RewriteOptions = {}): string {
    return rewriteConfiguration(this, existing, options)
  }

  #read(row: Row): unknown {
    return (this.values as Record<string, unknown>)[row.key]
  }

  #write(key: string, value: unknown): void {
    ;(this.values as Record<string, unknown>)[key] = value
  }

  #restore(before: ReadonlyMap<string, unknown>): void {
    for (const [key, value] of before) this.#write(key, value)
  }
}

const setFailed = (name: string, reason: string) =>
  `ERR CONFIG SET failed (possibly related to argument '${name}') - ${reason}`

const unknownOption = (name: string) => `ERR Unknown option or number of arguments for CONFIG SET - '${shown(name)}'`
