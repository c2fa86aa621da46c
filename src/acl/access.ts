/** Whether a user may make a call: each of its sets of permissions is asked for the command, then keys, then channels. */

import { extractKeys, KeyPositions } from "../command/key-specs.ts"
import { type CommandRegistry, Flag, type RegisteredCommand } from "../command/registry.ts"
import type { Arguments } from "../resp/arguments.ts"
import { type Permissions, permitsChannel } from "./permissions.ts"
import type { User } from "./user.ts"

/** Why a call is refused; of several reasons the greatest is told. */
export const Denial = { None: 0, Command: 1, Key: 2, Auth: 3, Channel: 4 } as const

const ChannelUse = { None: 0, Publish: 1, Subscribe: 2, SubscribePattern: 3 } as const

const CHANNEL_COMMANDS: Readonly<Record<string, number>> = {
  publish: ChannelUse.Publish,
  spublish: ChannelUse.Publish,
  subscribe: ChannelUse.Subscribe,
  ssubscribe: ChannelUse.Subscribe,
  psubscribe: ChannelUse.SubscribePattern,
}

export class AccessChecker {
  /** The argument that was the reason of the latest refusal; 0 when it was the command. */
  argument = 0
  readonly registry: CommandRegistry
  private readonly channelUse: Uint8Array
  private readonly keys = new KeyPositions()
  private hasKeys = false
  private local = 0

  constructor(registry: CommandRegistry) {
    this.registry = registry
    this.channelUse = new Uint8Array(registry.all.length)
    for (const [name, use] of Object.entries(CHANNEL_COMMANDS)) {
      const command = registry.find(name)
      if (command !== undefined) this.channelUse[command.id] = use
    }
  }

  /** @returns a Denial */
  check(user: User, command: RegisteredCommand, args: Arguments): number {
    let denial: number = Denial.Command
    this.argument = 0
    this.local = 0
    this.hasKeys = false
    for (const permissions of user.permissions) {
      const own = this.checkOne(permissions, command, args)
      if (own === Denial.None) return own
      if (own < denial || (own === denial && this.local <= this.argument)) continue
      denial = own
      this.argument = this.local
    }
    return denial
  }

  /** Whether one set of permissions allows the call and also lets keys of any name be read. */
  readsAllKeys(user: User, command: RegisteredCommand, args: Arguments): boolean {
    this.hasKeys = false
    for (const permissions of user.permissions) {
      if (permissions.readsAllKeys && this.checkOne(permissions, command, args) === Denial.None) return true
    }
    return false
  }

  private checkOne(permissions: Permissions, command: RegisteredCommand, args: Arguments): number {
    if ((command.flagBits & Flag.NoAuth) === 0 && !permissions.commands.allows(command, args)) return Denial.Command
    if (!permissions.allKeys) {
      if (!this.hasKeys) extractKeys(command.keys, args, this.keys)
      this.hasKeys = true
      const forbidden = permissions.firstForbiddenKey(args, this.keys)
      if (forbidden !== 0) {
        this.local = forbidden
        return Denial.Key
      }
    }
    const use = this.channelUse[command.id]!
    if (use === ChannelUse.None || permissions.allChannels) return Denial.None
    const last = use === ChannelUse.Publish ? 1 : args.count - 1
    for (let i = 1; i <= last; i++) {
      const isPattern = use === ChannelUse.SubscribePattern
      if (permitsChannel(permissions.channels, args.bytes, args.start(i), args.end(i), isPattern)) continue
      this.local = i
      return Denial.Channel
    }
    return Denial.None
  }
}
