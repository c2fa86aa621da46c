/** A user: whether and how one logs in as it, and what it may do then. Passwords are kept as SHA-256 only. */

import { createHash, timingSafeEqual } from "node:crypto"
import { latin1Bytes, shown } from "../bytes/compare.ts"
import type { CommandRegistry } from "../command/registry.ts"
import { Permissions } from "./permissions.ts"
import { mergeSelectors, RuleError, splitSelector } from "./rules.ts"

export class User {
  readonly name: string
  enabled = false
  /** Any password will do. */
  nopass = false
  /** What RESTORE gets from this user is not looked at closely. */
  skipsSanitizing = false
  /** SHA-256 in lower-case hexadecimal digits, in the order they were added. */
  private readonly passwords = new Set<string>()
  /** The root permissions first, then those of the selectors. Never empty. */
  permissions: readonly Permissions[]
  private readonly registry: CommandRegistry
  private readonly allChannelsByDefault: () => boolean

  /** A new user is off and may do nothing. */
  constructor(name: string, registry: CommandRegistry, allChannelsByDefault: () => boolean) {
    this.name = name
    this.registry = registry
    this.allChannelsByDefault = allChannelsByDefault
    this.permissions = [new Permissions(registry, allChannelsByDefault())]
  }

  private get root(): Permissions {
    return this.permissions[0]!
  }

  get selectors(): readonly Permissions[] {
    return this.permissions.slice(1)
  }

  /** No call can be forbidden. */
  get isUnrestricted(): boolean {
    return this.permissions.some(each => each.permitsEverything)
  }

  get hashes(): readonly string[] {
    return [...this.passwords]
  }

  clone(): User {
    const twin = new User(this.name, this.registry, this.allChannelsByDefault)
    twin.enabled = this.enabled
    twin.nopass = this.nopass
    twin.skipsSanitizing = this.skipsSanitizing
    for (const hash of this.passwords) twin.passwords.add(hash)
    twin.permissions = this.permissions.map(each => each.clone())
    return twin
  }

  /** Whether one may log in with this password. Takes a time that does not depend on what is in it. */
  accepts(password: string): boolean {
    if (!this.enabled) return false
    if (this.nopass) return true
    const given = latin1Bytes(hashOf(password))
    let found = false
    for (const hash of this.passwords) if (timingSafeEqual(latin1Bytes(hash), given)) found = true
    return found
  }

  /**
   * Applies rules to a copy, so that either all or none take effect.
   * @returns the changed copy, or the whole error
   */
  changed(rules: readonly string[]): User | string {
    const merged = mergeSelectors(rules)
    if ("unmatched" in merged) return `Unmatched parenthesis in acl selector starting at '${shown(merged.unmatched)}'.`
    const twin = this.clone()
    for (const rule of merged.rules) {
      const error = twin.apply(rule)
      if (error !== undefined) return `Error in ACL SETUSER modifier '${shown(rule)}': ${error}`
    }
    return twin
  }

  /** Applies one rule, selectors in one piece; returns why it cannot be. */
  apply(rule: string): string | undefined {
    if (rule === "") return undefined
    switch (rule.toLowerCase()) {
      case "on":
        this.enabled = true
        return undefined
      case "off":
        this.enabled = false
        return undefined
      case "skip-sanitize-payload":
        this.skipsSanitizing = true
        return undefined
      case "sanitize-payload":
        this.skipsSanitizing = false
        return undefined
      case "nopass":
        this.setNopass(true)
        return undefined
      case "resetpass":
        this.setNopass(false)
        return undefined
      case "clearselectors":
        this.permissions = [this.root]
        return undefined
      case "reset":
        this.reset()
        return undefined
    }
    switch (rule[0]) {
      case ">":
      case "#":
      case "<":
      case "!":
        return this.applyPassword(rule)
    }
    if (rule.startsWith("(") && rule.endsWith(")")) return this.addSelector(rule)
    return this.root.apply(rule)
  }

  private reset(): void {
    this.enabled = false
    this.skipsSanitizing = false
    this.setNopass(false)
    this.permissions = [new Permissions(this.registry, this.allChannelsByDefault())]
  }

  private setNopass(nopass: boolean): void {
    this.nopass = nopass
    this.passwords.clear()
  }

  private applyPassword(rule: string): string | undefined {
    const text = rule.slice(1)
    const isHash = rule[0] === "#" || rule[0] === "!"
    if (isHash && !/^[0-9a-f]{64}$/.test(text)) return RuleError.BadHash
    const hash = isHash ? text : hashOf(text)
    if (rule[0] === "<" || rule[0] === "!") return this.passwords.delete(hash) ? undefined : RuleError.NoSuchPassword
    this.passwords.add(hash)
    this.nopass = false
    return undefined
  }

  private addSelector(rule: string): string | undefined {
    const rules = splitSelector(rule)
    if (rules === undefined) return RuleError.Syntax
    const selector = new Permissions(this.registry, this.allChannelsByDefault())
    for (const each of rules) {
      const error = selector.apply(each)
      if (error !== undefined) return error
    }
    this.permissions = [...this.permissions, selector]
    return undefined
  }

  flags(): string[] {
    const flags = [this.enabled ? "on" : "off"]
    if (this.nopass) flags.push("nopass")
    flags.push(this.skipsSanitizing ? "skip-sanitize-payload" : "sanitize-payload")
    return flags
  }

  /** The rules that make this user out of a new one, in the order of ACL LIST. A selector is one rule. */
  rules(): string[] {
    const hashes = this.hashes.map(hash => `#${hash}`)
    return [...this.flags(), ...hashes, ...this.root.rules(), ...this.selectors.map(each => each.asSelector())]
  }

  /** What stands in a line of ACL LIST after the word `user`. */
  describe(): string {
    return `${this.name} ${this.rules().join(" ")}`
  }
}

function hashOf(password: string): string {
  return createHash("sha256").update(latin1Bytes(password)).digest("hex")
}
