/**
 * The commands of one server: found by the bytes of their names, with what dispatch needs of them precomputed.
 *
 * A registry belongs to a server, so the statistics of its commands do too. Names are found through an open-addressed
 * table (NameTable) without making a string; subcommands have a table of their own per container.
 *
 * Invariants:
 * 1. The tables are built once and never change; ids are dense and number containers and subcommands alike.
 * 2. A renamed command keeps its `fullName` everywhere but in lookup: statistics, ACL rules and COMMAND speak of it by
 *    the name it was declared with. `find` is about declared names, also of commands that were renamed away.
 */

import { asciiLower } from "../bytes/compare.ts"
import { type KeySpecs, parseKeySpecs } from "./key-specs.ts"
import type { CommandSpec, Group, Handler } from "./spec.ts"

/** Bits of `RegisteredCommand.flagBits`. The order is that of COMMAND INFO. */
export const Flag = {
  Write: 1 << 0,
  Readonly: 1 << 1,
  DenyOom: 1 << 2,
  Module: 1 << 3,
  Admin: 1 << 4,
  Pubsub: 1 << 5,
  Noscript: 1 << 6,
  Blocking: 1 << 7,
  Loading: 1 << 8,
  Stale: 1 << 9,
  SkipMonitor: 1 << 10,
  SkipSlowlog: 1 << 11,
  Asking: 1 << 12,
  Fast: 1 << 13,
  NoAuth: 1 << 14,
  MayReplicate: 1 << 15,
  NoMandatoryKeys: 1 << 16,
  Protected: 1 << 17,
  NoAsyncLoading: 1 << 18,
  NoMulti: 1 << 19,
  Movablekeys: 1 << 20,
  AllowBusy: 1 << 21,
  TouchesArbitraryKeys: 1 << 22,
} as const

const FLAG_NAMES = [
  "write",
  "readonly",
  "denyoom",
  "module",
  "admin",
  "pubsub",
  "noscript",
  "blocking",
  "loading",
  "stale",
  "skip_monitor",
  "skip_slowlog",
  "asking",
  "fast",
  "no_auth",
  "may_replicate",
  "no_mandatory_keys",
  "protected",
  "no_async_loading",
  "no_multi",
  "movablekeys",
  "allow_busy",
  "touches_arbitrary_keys",
]

const HIDDEN_FLAGS = Flag.MayReplicate | Flag.Protected | Flag.TouchesArbitraryKeys

/** Names of the set flags in the order of COMMAND INFO, without those it hides. */
export function visibleFlagNames(flagBits: number): string[] {
  return namesOfBits(FLAG_NAMES, flagBits & ~HIDDEN_FLAGS)
}

/** ACL categories; a category's bit is `1 << index`. The order is that of ACL CAT and COMMAND INFO. */
export const ACL_CATEGORIES: readonly string[] = [
  "keyspace",
  "read",
  "write",
  "set",
  "sortedset",
  "list",
  "hash",
  "string",
  "bitmap",
  "hyperloglog",
  "geo",
  "stream",
  "pubsub",
  "admin",
  "fast",
  "slow",
  "blocking",
  "dangerous",
  "connection",
  "transaction",
  "scripting",
]

/** Bit of an ACL category by its lower-case name, 0 when there is none such. */
export function aclCategoryBit(name: string): number {
  const index = ACL_CATEGORIES.indexOf(name)
  return index < 0 ? 0 : 1 << index
}

/** Names of the categories in `bits`, without "@". */
export function aclCategoryNames(bits: number): string[] {
  return namesOfBits(ACL_CATEGORIES, bits)
}

/** The category that members of a documentation group belong to, where there is one. */
const CATEGORY_OF_GROUP: Partial<Record<Group, string>> = {
  bitmap: "bitmap",
  connection: "connection",
  generic: "keyspace",
  geo: "geo",
  hash: "hash",
  hyperloglog: "hyperloglog",
  list: "list",
  scripting: "scripting",
  set: "set",
  "sorted-set": "sortedset",
  stream: "stream",
  string: "string",
  transactions: "transaction",
}

function namesOfBits(names: readonly string[], bits: number): string[] {
  return names.filter((_, bit) => (bits & (1 << bit)) !== 0)
}

function words(list: string | undefined): string[] {
  return list === undefined ? [] : list.split(" ").filter(word => word !== "")
}

function flagBitsOf(spec: CommandSpec, keys: KeySpecs): number {
  let bits = keys.movableKeys ? Flag.Movablekeys : 0
  for (const word of words(spec.flags)) {
    const bit = FLAG_NAMES.indexOf(word)
    if (bit < 0) throw new Error(`command ${spec.name}: unknown flag "${word}"`)
    bits |= 1 << bit
  }
  return bits
}

/** Categories implied by flags and group, then `categories` applied. A read by a script is not in @read. */
function categoryBitsOf(spec: CommandSpec, flagBits: number): number {
  const implied: (string | undefined)[] = [CATEGORY_OF_GROUP[spec.group], flagBits & Flag.Fast ? "fast" : "slow"]
  if (flagBits & Flag.Write) implied.push("write")
  if (flagBits & Flag.Readonly && spec.group !== "scripting") implied.push("read")
  if (flagBits & Flag.Admin) implied.push("admin", "dangerous")
  if (flagBits & Flag.Pubsub) implied.push("pubsub")
  if (flagBits & Flag.Blocking) implied.push("blocking")
  let bits = 0
  for (const name of implied) if (name !== undefined) bits |= aclCategoryBit(name)
  for (const word of words(spec.categories)) {
    const bit = aclCategoryBit(word.replace(/^-/, ""))
    if (bit === 0) throw new Error(`command ${spec.name}: unknown category "${word}"`)
    bits = word.startsWith("-") ? bits & ~bit : bits | bit
  }
  return bits
}

/** A command or subcommand of one server. Facts are fixed; the statistics are counted up by whoever runs it. */
export class RegisteredCommand {
  readonly spec: CommandSpec
  readonly id: number
  /** Lower case, "get" or "client|setname"; what COMMAND, ACL and INFO call it. */
  readonly fullName: string
  readonly parent: RegisteredCommand | undefined
  readonly arity: number
  /** See `Flag`. */
  readonly flagBits: number
  /**
   * Takes the same short time whenever it runs: flagged fast, or O(1) by its facts and nothing more (Redis does not flag
   * SET, say). Not so what administrators do, nor what is about the server as a whole, as INFO.
   */
  readonly isCheap: boolean
  /** See `ACL_CATEGORIES`. */
  readonly categoryBits: number
  readonly keys: KeySpecs
  readonly firstKey: number
  readonly lastKey: number
  readonly keyStep: number
  /** Number of the first argument that names a member of the container under the first key; 0 when there is none. */
  readonly member: number
  /** Undefined on a container, whose subcommands do the work. */
  readonly run: Handler | undefined
  readonly subcommands: readonly RegisteredCommand[]
  private readonly subcommandTable: NameTable | undefined

  /** Calls that ran to their end; one that waits is counted when it has its reply. */
  calls = 0
  /** Microseconds spent in the handler. */
  usec = 0
  /** Calls that ran and replied with an error. */
  failedCalls = 0
  /** Calls that a gate or the arity check turned away. */
  rejectedCalls = 0
  /** A duration is known since the statistics were last reset. */
  wasTimed = false

  constructor(spec: CommandSpec, parent: RegisteredCommand | undefined, all: RegisteredCommand[]) {
    this.spec = spec
    this.id = all.length
    all.push(this)
    this.fullName = parent === undefined ? spec.name : `${parent.fullName}|${spec.name}`
    this.parent = parent
    this.arity = spec.arity
    this.keys = parseKeySpecs(spec.keys)
    this.flagBits = flagBitsOf(spec, this.keys)
    this.isCheap =
      (this.flagBits & Flag.Fast) !== 0 ||
      (spec.complexity === "O(1)" && (this.flagBits & Flag.Admin) === 0 && spec.group !== "server")
    this.categoryBits = categoryBitsOf(spec, this.flagBits)
    this.firstKey = this.keys.firstKey
    this.lastKey = this.keys.lastKey
    this.keyStep = this.keys.keyStep
    this.member = spec.member ?? 0
    this.run = spec.run
    this.subcommands = (spec.subcommands ?? []).map(sub => new RegisteredCommand(sub, this, all))
    this.subcommandTable =
      this.subcommands.length === 0
        ? undefined
        : new NameTable(this.subcommands.map(sub => [sub.spec.name, sub] as const))
  }

  get isContainer(): boolean {
    return this.subcommandTable !== undefined
  }

  /** Whether a call with this many arguments, names counted, has the right number of them. */
  acceptsCount(count: number): boolean {
    return this.arity >= 0 ? count === this.arity : count >= -this.arity
  }

  /** The subcommand named by `bytes[start … end)`, in any case of letters. Allocates nothing. */
  lookupSubcommand(bytes: Uint8Array, start: number, end: number): RegisteredCommand | undefined {
    return this.subcommandTable?.lookup(bytes, start, end)
  }

  resetStatistics(): void {
    this.calls = 0
    this.usec = 0
    this.failedCalls = 0
    this.rejectedCalls = 0
    this.wasTimed = false
  }
}

const LETTERS_ONLY = /^[a-z]*$/

/**
 * Names to commands, for lookup by bytes without regard to ASCII case.
 *
 * Slots are probed linearly at a load of at most a quarter. A name is known by its length, its first and its last four
 * bytes, each four as one word whose letters are folded to lower case by setting bit 5. That says all of a name of up to
 * eight letters (no other byte folds to a letter); of others the bytes are compared as well.
 */
class NameTable {
  private readonly mask: number
  private readonly heads: Int32Array
  private readonly tails: Int32Array
  /** The name's length, negative when its bytes must be compared; 0 in a free slot. */
  private readonly lengths: Int32Array
  private readonly commands: (RegisteredCommand | undefined)[]
  private readonly names: (Uint8Array | undefined)[]

  constructor(entries: readonly (readonly [name: string, command: RegisteredCommand])[]) {
    let slots = 8
    while (slots < entries.length * 4) slots *= 2
    this.mask = slots - 1
    this.heads = new Int32Array(slots)
    this.tails = new Int32Array(slots)
    this.lengths = new Int32Array(slots)
    this.commands = new Array<RegisteredCommand | undefined>(slots).fill(undefined)
    this.names = new Array<Uint8Array | undefined>(slots).fill(undefined)
    for (const [name, command] of entries) {
      const bytes = new TextEncoder().encode(name).map(asciiLower)
      const { length } = bytes
      if (length === 0) continue
      if (this.lookup(bytes, 0, length) !== undefined) throw new Error(`command "${name}" is declared twice`)
      const head = headOf(bytes, 0, length)
      const tail = tailOf(bytes, 0, length)
      let slot = slotOf(head, tail, this.mask)
      while (this.lengths[slot] !== 0) slot = (slot + 1) & this.mask
      this.heads[slot] = head
      this.tails[slot] = tail
      this.lengths[slot] = length <= 8 && LETTERS_ONLY.test(name.toLowerCase()) ? length : -length
      this.commands[slot] = command
      this.names[slot] = bytes
    }
  }

  lookup(bytes: Uint8Array, start: number, end: number): RegisteredCommand | undefined {
    const length = end - start
    const head = headOf(bytes, start, length)
    const tail = tailOf(bytes, start, length)
    const { heads, lengths, mask, tails } = this
    for (let slot = slotOf(head, tail, mask); ; slot = (slot + 1) & mask) {
      const own = lengths[slot]!
      if (own === 0) return undefined
      if (heads[slot] !== head || tails[slot] !== tail) continue
      if (own === length) return this.commands[slot]
      if (own === -length && this.equals(slot, bytes, start, length)) return this.commands[slot]
    }
  }

  private equals(slot: number, bytes: Uint8Array, start: number, length: number): boolean {
    const name = this.names[slot]!
    for (let i = 0; i < length; i++) if (asciiLower(bytes[start + i]!) !== name[i]) return false
    return true
  }
}

/** The first up to four bytes as a word, bit 5 set in each. */
function headOf(bytes: Uint8Array, at: number, length: number): number {
  if (length >= 4) return word(bytes, at)
  if (length === 3) return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | FOLD
  return length === 2 ? bytes[at]! | (bytes[at + 1]! << 8) | FOLD : length === 1 ? bytes[at]! | FOLD : 0
}

/** The last four bytes of a name of more than four. */
function tailOf(bytes: Uint8Array, at: number, length: number): number {
  return length > 4 ? word(bytes, at + length - 4) : length
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24) | FOLD
}

/** Unseeded: the names in the table are ours, and what is found is compared. */
function slotOf(head: number, tail: number, mask: number): number {
  return (Math.imul(head ^ Math.imul(tail, 0x85ebca6b), 0x9e3779b1) >>> 12) & mask
}

const FOLD = 0x20202020

export class CommandRegistry {
  /** Top-level commands in the order of declaration, renamed ones included. */
  readonly commands: readonly RegisteredCommand[]
  /** Commands and subcommands by id. */
  readonly all: readonly RegisteredCommand[]
  private readonly byFullName = new Map<string, RegisteredCommand>()
  private readonly table: NameTable
  private readonly removed = new Set<RegisteredCommand>()

  /**
   * @param families arrays of specs; a name that occurs twice is a mistake of the program and throws
   * @param renames pairs of the `rename-command` directive in order; an empty new name removes the command
   * @throws Error with the text for the configuration's reader when a rename is not possible
   */
  constructor(families: readonly (readonly CommandSpec[])[], renames: readonly (readonly [string, string])[] = []) {
    const all: RegisteredCommand[] = []
    this.commands = families.flat().map(spec => new RegisteredCommand(spec, undefined, all))
    this.all = all
    for (const command of all) {
      if (this.byFullName.has(command.fullName)) throw new Error(`command "${command.fullName}" is declared twice`)
      this.byFullName.set(command.fullName, command)
    }
    const reachable = new Map<string, RegisteredCommand>(this.commands.map(command => [command.fullName, command]))
    for (const [from, to] of renames) {
      const command = reachable.get(from.toLowerCase())
      if (command === undefined) throw new Error("No such command in rename-command")
      reachable.delete(from.toLowerCase())
      if (to === "") {
        this.removed.add(command)
        continue
      }
      if (reachable.has(to.toLowerCase())) throw new Error("Target command name already exists")
      reachable.set(to.toLowerCase(), command)
    }
    this.table = new NameTable([...reachable])
  }

  /** The command named by `bytes[start … end)`, in any case of letters, renames applied. Allocates nothing. */
  lookup(bytes: Uint8Array, start: number, end: number): RegisteredCommand | undefined {
    return this.table.lookup(bytes, start, end)
  }

  /** A command or subcommand ("config|get") by the name it was declared with, in any case of letters. */
  find(fullName: string): RegisteredCommand | undefined {
    return this.byFullName.get(fullName.toLowerCase())
  }

  /** Whether clients can call it: false once `rename-command` has removed it. Subcommands go with their container. */
  isReachable(command: RegisteredCommand): boolean {
    return !this.removed.has(command.parent ?? command)
  }

  /** CONFIG RESETSTAT. */
  resetStatistics(): void {
    for (const command of this.all) command.resetStatistics()
  }
}
