/**
 * What a user may do by one set of rules: commands, keys, channels. A user has a root set and any number of selectors,
 * each of which can permit a call by itself; they do not add up.
 */

import { latin1Bytes } from "../bytes/compare.ts"
import { globMatch } from "../bytes/glob.ts"
import { KeyFlag, type KeyPositions } from "../command/key-specs.ts"
import type { CommandRegistry } from "../command/registry.ts"
import type { Arguments } from "../resp/arguments.ts"
import { CommandPermissions } from "./command-permissions.ts"
import { hasSpaces, quoted, RuleError } from "./rules.ts"

/** What a key pattern permits. */
export const KeyAccess = { Read: 1, Write: 2, Both: 3 } as const

interface KeyPattern {
  text: string
  bytes: Uint8Array
  /** See KeyAccess. */
  access: number
}

export interface ChannelPattern {
  text: string
  bytes: Uint8Array
}

/** The access that a key's flags ask for; none for commands that only tell whether something exists. */
function neededAccess(keyFlags: number): number {
  const reads = (keyFlags & KeyFlag.Access) !== 0 ? KeyAccess.Read : 0
  return (keyFlags & (KeyFlag.Insert | KeyFlag.Delete | KeyFlag.Update)) !== 0 ? reads | KeyAccess.Write : reads
}

const KEY_PREFIX = ["", "%R~", "%W~", "~"]

export class Permissions {
  commands: CommandPermissions
  allKeys = false
  allChannels = false
  private keys: KeyPattern[] = []
  channels: ChannelPattern[] = []
  private readonly registry: CommandRegistry

  /** Nothing is permitted, except all channels if so wanted. */
  constructor(registry: CommandRegistry, allChannels: boolean) {
    this.registry = registry
    this.commands = new CommandPermissions(registry)
    this.allChannels = allChannels
  }

  get permitsEverything(): boolean {
    return this.commands.allowsAll && this.allKeys && this.allChannels
  }

  clone(): Permissions {
    const twin = new Permissions(this.registry, this.allChannels)
    twin.commands = this.commands.clone()
    twin.allKeys = this.allKeys
    twin.keys = this.keys.map(pattern => ({ ...pattern }))
    twin.channels = [...this.channels]
    return twin
  }

  /** Applies one rule; returns why it cannot be. */
  apply(rule: string): string | undefined {
    switch (rule.toLowerCase()) {
      case "allkeys":
      case "~*":
        this.setAllKeys(true)
        return undefined
      case "resetkeys":
        this.setAllKeys(false)
        return undefined
      case "allchannels":
      case "&*":
        this.setAllChannels(true)
        return undefined
      case "resetchannels":
        this.setAllChannels(false)
        return undefined
      case "allcommands":
      case "+@all":
        this.commands.setAll(true)
        return undefined
      case "nocommands":
      case "-@all":
        this.commands.setAll(false)
        return undefined
    }
    switch (rule[0]) {
      case "~":
      case "%":
        return this.addKeyPattern(rule)
      case "&":
        return this.addChannelPattern(rule.slice(1))
      case "+":
      case "-":
        return this.commands.apply(rule)
      default:
        return RuleError.Syntax
    }
  }

  private setAllKeys(all: boolean): void {
    this.allKeys = all
    this.keys = []
  }

  private setAllChannels(all: boolean): void {
    this.allChannels = all
    this.channels = []
  }

  private addKeyPattern(rule: string): string | undefined {
    if (this.allKeys) return RuleError.AfterAllKeys
    const found = /^(?:%(r|w|rw|wr))?~/i.exec(rule)
    if (found === null) return RuleError.Syntax
    const letters = found[1]?.toLowerCase()
    const access = letters === "r" ? KeyAccess.Read : letters === "w" ? KeyAccess.Write : KeyAccess.Both
    const text = rule.slice(found[0].length)
    if (hasSpaces(text)) return RuleError.Syntax
    const known = this.keys.find(pattern => pattern.text === text)
    if (known === undefined) this.keys.push({ text, bytes: latin1Bytes(text), access })
    else known.access |= access
    return undefined
  }

  private addChannelPattern(text: string): string | undefined {
    if (this.allChannels) return RuleError.AfterAllChannels
    if (hasSpaces(text)) return RuleError.Syntax
    if (!this.channels.some(pattern => pattern.text === text)) this.channels.push({ text, bytes: latin1Bytes(text) })
    return undefined
  }

  /** The first of a call's keys that may not be used so, as its argument number; 0 when all may. */
  firstForbiddenKey(args: Arguments, found: KeyPositions): number {
    for (let i = 0; i < found.count; i++) {
      const position = found.positions[i]!
      if (!this.permitsKey(args.bytes, args.start(position), args.end(position), found.flags[i]!)) return position
    }
    return 0
  }

  private permitsKey(bytes: Uint8Array, start: number, end: number, keyFlags: number): boolean {
    if (this.allKeys) return true
    const access = neededAccess(keyFlags)
    for (const pattern of this.keys) {
      if ((pattern.access & access) !== access) continue
      if (globMatch(pattern.bytes, 0, pattern.bytes.length, bytes, start, end)) return true
    }
    return false
  }

  /** Whether keys of any name may be read. */
  get readsAllKeys(): boolean {
    return this.allKeys || this.keys.some(({ text, access }) => text === "*" && (access & KeyAccess.Read) !== 0)
  }

  /** Among others, `%RW~*` must not be shortened: after `~*`, all keys, no pattern can be added. */
  private keyRules(): string[] {
    if (this.allKeys) return ["~*"]
    return this.keys.map(({ text, access }) =>
      text === "*" && access === KeyAccess.Both && this.keys.length > 1 ? "%RW~*" : KEY_PREFIX[access]! + text,
    )
  }

  describeKeys(): string {
    return this.keyRules().join(" ")
  }

  describeChannels(): string {
    return this.allChannels ? "&*" : this.channels.map(({ text }) => `&${text}`).join(" ")
  }

  /** The rules that make these permissions out of none. */
  rules(): string[] {
    const channels = this.allChannels ? ["&*"] : ["resetchannels", ...this.channels.map(({ text }) => `&${text}`)]
    return [...this.keyRules(), ...channels, ...this.commands.describe().split(" ")]
  }

  /** A selector: the rules in parentheses, as one rule. */
  asSelector(): string {
    return `(${this.rules().map(quoted).join(" ")})`
  }
}

/** Whether a channel, or a pattern to subscribe to, is permitted. A pattern must be one of the permitted ones literally. */
export function permitsChannel(
  permitted: readonly ChannelPattern[],
  bytes: Uint8Array,
  start: number,
  end: number,
  isPattern: boolean,
): boolean {
  for (const pattern of permitted) {
    const own = pattern.bytes
    if (isPattern) {
      if (own.length === end - start && own.every((byte, i) => byte === bytes[start + i])) return true
    } else if (globMatch(own, 0, own.length, bytes, start, end)) return true
  }
  return false
}
