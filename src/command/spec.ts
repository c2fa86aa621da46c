/**
 * The contract of a command: one entry beside its handler.
 *
 * Everything that COMMAND, ACL, cluster routing, scripts and the documentation know about a command is derived from
 * the facts here, so a fact has one home:
 *
 * - `flags` and `group`   → ACL categories and dispatch gates (registry.ts)
 * - `keys`                → key positions, COMMAND GETKEYS, movablekeys (notation: key-specs.ts)
 * - `syntax`              → the argument tree of COMMAND DOCS (notation: syntax.ts)
 *
 * A family is an array of entries: `export const stringCommands: readonly CommandSpec[] = [{ name: "get", … }]`.
 */

import type { Call } from "./context.ts"

/** Runs a command whose arity and gates have been checked. Replies through the call; throws only on broken invariants. */
export type Handler = (call: Call) => void

/** Documentation group, as COMMAND DOCS and the website name it. */
export type Group =
  | "bitmap"
  | "cluster"
  | "connection"
  | "generic"
  | "geo"
  | "hash"
  | "hyperloglog"
  | "list"
  | "module"
  | "pubsub"
  | "scripting"
  | "sentinel"
  | "server"
  | "set"
  | "sorted-set"
  | "stream"
  | "string"
  | "transactions"

/** Facts of a command or subcommand. Optional hook fields may be added; nothing here is changed after start. */
export interface CommandSpec {
  /** Lower case. A subcommand has its own name only ("setname"); the registry derives "client|setname". */
  readonly name: string
  /** Version that introduced it, as in "6.2.0". */
  readonly since: string
  readonly group: Group
  /** Arguments with the name(s) counted: exact when positive, at least `-arity` when negative. */
  readonly arity: number
  /**
   * Space separated flags as COMMAND INFO shows them, plus the ones it hides: `may_replicate`, `protected`,
   * `touches_arbitrary_keys`. `movablekeys` is derived from `keys` and need not be written.
   */
  readonly flags: string
  /** ACL categories beyond those implied by flags and group; `-name` takes an implied one away. */
  readonly categories?: string
  /** Key specs in the notation of key-specs.ts; absent when the command takes no keys. */
  readonly keys?: string
  /**
   * Number of the first argument that names a member (field) of the container under the first key. A hint: in a large
   * container the memory of members is read ahead.
   */
  readonly member?: number
  /** Space separated command tips, such as "nondeterministic_output request_policy:all_shards". */
  readonly tips?: string
  /** Arguments in the notation of syntax.ts; empty when there are none. */
  readonly syntax: string
  readonly summary: string
  readonly complexity: string
  readonly deprecated?: { readonly since: string; readonly replacedBy: string }
  /** Space separated documentation flags other than `deprecated`, such as "syscmd". */
  readonly docFlags?: string
  /** What changed when: version and one sentence, oldest first. */
  readonly history?: readonly (readonly [since: string, change: string])[]
  /** Absent on a container that only has subcommands. */
  readonly run?: Handler
  readonly subcommands?: readonly CommandSpec[]
}

/** Facts without a handler, for writers who keep the table apart from the code that runs it. */
export type CommandFacts = Omit<CommandSpec, "run" | "subcommands"> & { readonly subcommands?: readonly CommandFacts[] }
