/**
 * Which commands may be run: a bit for each command and subcommand, and the rules it came from.
 *
 * The rules are kept in the order given, so that they can be shown again as they were meant: a category stays a
 * category. Of two rules about the same command or category only the later one is kept, and a rule about a whole
 * command takes those about its subcommands away.
 *
 * Invariant: applying `+@all` or `-@all` (as `coversFuture` says) and then the rules gives exactly the bits.
 */

import { aclCategoryBit, type CommandRegistry, type RegisteredCommand } from "../command/registry.ts"
import type { Arguments } from "../resp/arguments.ts"
import { RuleError } from "./rules.ts"

export class CommandPermissions {
  private readonly registry: CommandRegistry
  private readonly bits: Uint32Array
  /** First arguments, in lower case, that make a forbidden command allowed, by command id. */
  private firstArguments = new Map<number, string[]>()
  /** "+get", "-@hash" … without the leading @all. */
  private rules: string[] = []
  /** Nothing was ever taken away since +@all. */
  allowsAll = false
  /** The rules begin with +@all, not with -@all. */
  coversFuture = false

  constructor(registry: CommandRegistry) {
    this.registry = registry
    this.bits = new Uint32Array((registry.all.length + 31) >> 5)
  }

  clone(): CommandPermissions {
    const twin = new CommandPermissions(this.registry)
    twin.bits.set(this.bits)
    for (const [id, words] of this.firstArguments) twin.firstArguments.set(id, [...words])
    twin.rules = [...this.rules]
    twin.allowsAll = this.allowsAll
    twin.coversFuture = this.coversFuture
    return twin
  }

  /** Whether a call may be made, as far as its command is concerned. */
  allows(command: RegisteredCommand, args: Arguments): boolean {
    if (this.allowsAll || this.hasBit(command.id)) return true
    const words = this.firstArguments.get(command.id)
    return words !== undefined && args.count > 1 && words.includes(args.latin1(1).toLowerCase())
  }

  setAll(allow: boolean): void {
    this.bits.fill(allow ? 0xffffffff : 0)
    this.firstArguments.clear()
    this.rules = []
    this.allowsAll = allow
    this.coversFuture = allow
  }

  /** Applies `+command`, `-command`, `+command|first`, `+@category` or `-@category`; returns why not. */
  apply(rule: string): string | undefined {
    const allow = rule.startsWith("+")
    const target = rule.slice(1)
    if (target.startsWith("@")) return this.applyCategory(target, allow)
    const bar = target.lastIndexOf("|")
    if (allow && bar >= 0) return this.applyWithArgument(target, bar)
    const command = this.registry.find(target)
    if (command === undefined) return RuleError.UnknownCommand
    this.change(command, allow)
    this.keepRule(command.fullName, allow)
    return undefined
  }

  private applyCategory(target: string, allow: boolean): string | undefined {
    const bit = aclCategoryBit(target.slice(1).toLowerCase())
    if (bit === 0) return RuleError.UnknownCommand
    this.keepRule(target, allow)
    for (const command of this.registry.all) if ((command.categoryBits & bit) !== 0) this.change(command, allow)
    return undefined
  }

  /** A subcommand, or a first argument of a command that has no subcommands. */
  private applyWithArgument(target: string, bar: number): string | undefined {
    const command = this.registry.find(target.slice(0, bar))
    if (command === undefined) return RuleError.UnknownCommand
    if (command.parent !== undefined) return RuleError.FirstArgumentOfSubcommand
    const word = target.slice(bar + 1).toLowerCase()
    if (word === "") return RuleError.Syntax
    if (command.isContainer) {
      const subcommand = this.registry.find(target)
      if (subcommand === undefined) return RuleError.UnknownCommand
      this.change(subcommand, true)
    } else {
      const words = this.firstArguments.get(command.id)
      if (words === undefined) this.firstArguments.set(command.id, [word])
      else if (!words.includes(word)) words.push(word)
    }
    this.keepRule(target, true)
    return undefined
  }

  /** The rules that make these permissions, `+@all` or `-@all` first. */
  describe(): string {
    return [this.coversFuture ? "+@all" : "-@all", ...this.rules].join(" ")
  }

  private change(command: RegisteredCommand, allow: boolean): void {
    this.setBit(command.id, allow)
    this.firstArguments.delete(command.id)
    for (const { id } of command.subcommands) this.setBit(id, allow)
  }

  private keepRule(target: string, allow: boolean): void {
    const text = target.toLowerCase()
    this.rules = this.rules.filter(rule => rule.slice(1) !== text && !rule.startsWith(`${text}|`, 1))
    this.rules.push(`${allow ? "+" : "-"}${text}`)
  }

  private hasBit(id: number): boolean {
    return (this.bits[id >> 5]! & (1 << (id & 31))) !== 0
  }

  private setBit(id: number, on: boolean): void {
    if (on) this.bits[id >> 5]! |= 1 << (id & 31)
    else {
      this.bits[id >> 5]! &= ~(1 << (id & 31))
      this.allowsAll = false
    }
  }
}
