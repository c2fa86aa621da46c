/**
 * The users of a server: who may log in, what each client may do, and what was refused.
 *
 * A client knows its user by name. Clients of users who may do everything carry no condition, so the gate is never
 * reached for them; whenever a user changes, `follow` sets the condition of its clients anew. A user is replaced as a
 * whole, never changed in place, so a command sees one state of it.
 *
 * Invariant: the user "default" always exists, and so does the user of every client that can still send commands.
 */

import { resolve } from "node:path"
import { bytesOf, latin1, latin1Bytes, utf8 } from "../bytes/compare.ts"
import type { RegisteredCommand } from "../command/registry.ts"
import { quoteArgument } from "../config/arguments.ts"
import type { ConfigFault } from "../config/conf-file.ts"
import type { UserLine } from "../config/config.ts"
import { type Authenticator, WRONG_PASSWORD } from "../engine/authenticator.ts"
import { type Client, ClientCondition } from "../engine/client.ts"
import { describeClient } from "../engine/client-description.ts"
import type { Engine } from "../engine/engine.ts"
import type { Arguments } from "../resp/arguments.ts"
import { AccessChecker, Denial } from "./access.ts"
import { type AclStorage, aclFileStorage, parseAclFile } from "./acl-file.ts"
import { type AclContext, AclLog } from "./acl-log.ts"
import { type ChannelPattern, permitsChannel } from "./permissions.ts"
import { hasSpaces, mergeSelectors, withoutSecrets } from "./rules.ts"
import { User } from "./user.ts"

export const DEFAULT_USER = "default"
const DEFAULT_USER_RULES = ["+@all", "~*", "&*", "on", "nopass"]

export const NO_ACL_FILE =
  "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER " +
  "command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users " +
  "in the Redis configuration."

const MIXED_SOURCES =
  "Configuring users in the configuration file and at the same time setting an ACL file path is invalid. This setup is " +
  "very likely to lead to configuration errors and security holes, please define either an ACL file or declare users " +
  "directly in the configuration file, but not both."

export class Acl implements Authenticator {
  readonly log = new AclLog()
  readonly checker: AccessChecker
  private readonly engine: Engine
  private readonly storage: AclStorage
  private users = new Map<string, User>()
  /** Clients that have not logged in. Whether that matters depends on the default user. */
  private readonly strangers = new WeakSet<Client>()
  /** Shared by all restricted clients; see Client. */
  private readonly mayReadAllKeys: (command: RegisteredCommand) => boolean

  constructor(engine: Engine, storage: AclStorage = aclFileStorage) {
    this.engine = engine
    this.storage = storage
    this.checker = new AccessChecker(engine.registry)
    this.users.set(DEFAULT_USER, this.createDefault())
    this.mayReadAllKeys = command => {
      const { client, args } = engine.caller.current!
      const user = this.users.get((client as Client).user)
      return user !== undefined && this.checker.readsAllKeys(user, command, args)
    }
    engine.authenticator = this
    engine.permission = (client, command, args) => this.refusalInExec(client, command, args)
    engine.config.onChange("requirepass", () => {
      this.followRequirepass()
      return undefined
    })
  }

  // ------------------------------------------------------------------ users

  get default(): User {
    return this.users.get(DEFAULT_USER)!
  }

  find(name: string): User | undefined {
    return this.users.get(name)
  }

  /** In the order of their names' bytes. */
  list(): User[] {
    return [...this.users.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** ACL SETUSER: makes or changes a user; returns what is wrong. */
  set(name: string, rules: readonly string[]): string | undefined {
    const before = this.users.get(name)
    const after = (before ?? this.create(name)).changed(rules)
    if (typeof after === "string") return after
    this.users.set(name, after)
    this.follow(before === undefined ? [] : [before])
    return undefined
  }

  /** ACL DELUSER; false when there is none of this name. The clients of the user are closed. */
  delete(name: string): boolean {
    const user = this.users.get(name)
    if (user === undefined) return false
    this.users.delete(name)
    this.follow([user])
    return true
  }

  private create(name: string): User {
    const { config, registry } = this.engine
    return new User(name, registry, () => config.values.aclPubsubDefault === "allchannels")
  }

  private createDefault(): User {
    return this.create(DEFAULT_USER).changed(DEFAULT_USER_RULES) as User
  }

  /** Clients learn that users have changed: `before` are those as they were. */
  private follow(before: readonly User[]): void {
    const { clients } = this.engine
    const revoked = new Map<string, readonly ChannelPattern[] | undefined>()
    for (const user of before) {
      const after = this.users.get(user.name)
      if (after !== undefined) revoked.set(user.name, remainingChannels(user, after))
    }
    for (const client of [...clients.byId.values()]) {
      const user = this.users.get(client.user)
      const channels = revoked.get(client.user)
      if (user === undefined || (channels !== undefined && hearsMoreThan(channels, client))) this.evict(client)
      else this.adopt(client, user)
      if (this.strangers.has(client)) client.setCondition(ClientCondition.NeedsAuth, !this.welcomesAll)
    }
  }

  /** Closes a client whose rights are gone; one that asked for this itself still gets its reply. */
  private evict(client: Client): void {
    const { caller, clients } = this.engine
    this.adopt(client, this.default)
    this.strangers.add(client)
    client.setCondition(ClientCondition.NeedsAuth, true)
    if (client === caller.current?.client) clients.finish(client)
    else clients.terminate(client)
  }

  private adopt(client: Client, user: User): void {
    const isRestricted = !user.isUnrestricted
    client.user = user.name
    client.skipsSanitizing = user.skipsSanitizing
    client.setCondition(ClientCondition.Restricted, isRestricted)
    client.mayReadAllKeys = isRestricted ? this.mayReadAllKeys : undefined
  }

  // ------------------------------------------------------------------ logging in

  get isOpen(): boolean {
    return this.default.nopass
  }

  /** New connections need not log in. */
  private get welcomesAll(): boolean {
    return this.default.nopass && this.default.enabled
  }

  knows(name: string): boolean {
    return this.users.has(name)
  }

  authenticate(client: Client, name: string, password: string): string | undefined {
    const user = this.users.get(name)
    if (user?.accepts(password) === true) {
      this.strangers.delete(client)
      this.adopt(client, user)
      return undefined
    }
    const args = this.engine.caller.current?.args
    this.note(client, Denial.Auth, contextOf(client), args?.latin1(0) ?? "AUTH", name, args)
    return WRONG_PASSWORD
  }

  /** Who has proved by a certificate to be `name` needs no password, if there is such a user and it is enabled. */
  certify(client: Client, name: string): boolean {
    const user = this.users.get(name)
    if (user === undefined || !user.enabled) return false
    this.strangers.delete(client)
    this.adopt(client, user)
    client.setCondition(ClientCondition.NeedsAuth, false)
    return true
  }

  welcome(client: Client): boolean {
    this.adopt(client, this.default)
    if (this.welcomesAll) this.strangers.delete(client)
    else this.strangers.add(client)
    return !this.welcomesAll
  }

  /** `client` gets the rights of another, as scripts have those of their caller. */
  impersonate(client: Client, other: Client): void {
    this.adopt(client, this.users.get(other.user) ?? this.default)
  }

  private followRequirepass(): void {
    const { requirepass } = this.engine.config.values
    this.set(DEFAULT_USER, requirepass === "" ? ["nopass"] : ["resetpass", `>${latin1(bytesOf(requirepass))}`])
  }

  // ------------------------------------------------------------------ refusing

  /**
   * Why the client's user may not make a call; undefined when it may. A refusal is logged and counted.
   * @returns what follows the word NOPERM
   */
  refusal(
    client: Client,
    command: RegisteredCommand,
    args: Arguments,
    context: AclContext = contextOf(client),
  ): string | undefined {
    const denial = this.refuse(client, command, args, context)
    if (denial === Denial.None) return undefined
    if (denial === Denial.Key) return "No permissions to access a key"
    if (denial === Denial.Channel) return "No permissions to access a channel"
    return `User ${client.user} has no permissions to run the '${command.fullName}' command`
  }

  /** Whether a call would be refused, without a trace: redis.acl_check_cmd. */
  permits(client: Client, command: RegisteredCommand, args: Arguments): boolean {
    const user = this.users.get(client.user)
    return user !== undefined && this.checker.check(user, command, args) === Denial.None
  }

  private refusalInExec(client: Client, command: RegisteredCommand, args: Arguments): string | undefined {
    switch (this.refuse(client, command, args, "multi")) {
      case Denial.None:
        return undefined
      case Denial.Key:
        return "no permission to touch the specified keys"
      case Denial.Channel:
        return "no permission to access one of the channels used as arguments"
      default:
        return "no permission to execute the command or subcommand"
    }
  }

  private refuse(client: Client, command: RegisteredCommand, args: Arguments, context: AclContext): number {
    const user = this.users.get(client.user)
    const denial = user === undefined ? Denial.Command : this.checker.check(user, command, args)
    if (denial === Denial.None) return denial
    const object = denial === Denial.Command ? command.fullName : args.latin1(this.checker.argument)
    this.note(client, denial, context, object, client.user, args)
    return denial
  }

  private note(
    client: Client,
    denial: number,
    context: AclContext,
    object: string,
    username: string,
    args: Arguments | undefined,
  ): void {
    const { engine } = this
    // What a script calls was asked for by the client that has sent the script.
    const outer = context === "lua" ? engine.caller.outermost : undefined
    const clientInfo =
      outer === undefined
        ? describeClient(engine, client, args)
        : describeClient(engine, outer.client as Client, outer.args)
    const denied = { denial, context, object, username, clientInfo }
    this.log.add(denied, engine.keyspace.now, engine.config.values.acllogMaxLen)
  }

  // ------------------------------------------------------------------ files

  /** Takes over what the configuration says about users, once, before anybody connects. */
  loadConfigured(): ConfigFault | undefined {
    const { values, users } = this.engine.config
    if (values.requirepass !== "") this.followRequirepass()
    if (values.aclfile === "") return this.loadLines(users)
    if (users.length > 0) return { reason: MIXED_SOURCES }
    const error = this.load()
    return error === undefined ? undefined : { reason: `Aborting startup because of ACL errors: ${error}` }
  }

  private loadLines(lines: readonly UserLine[]): ConfigFault | undefined {
    for (const { name: text, rules, place } of lines) {
      const name = latin1(bytesOf(text))
      const fault = (what: string, why: string): ConfigFault => ({
        reason: `Error in user declaration '${withoutSecrets(what)}': ${why}`,
        place: { ...place, text: withoutSecrets(place.text) },
      })
      if (hasSpaces(name)) return fault(name, "Spaces not allowed in ACL usernames")
      const merged = mergeSelectors(rules.map(rule => latin1(bytesOf(rule))))
      if ("unmatched" in merged) return fault(merged.unmatched, "Unmatched parenthesis in selector definition")
      const user = this.create(name)
      for (const rule of merged.rules) {
        const error = user.apply(rule)
        if (error !== undefined) return fault(rule, error)
      }
      this.users.set(name, user)
      if (user.enabled) continue
      this.engine.log(
        "notice",
        `The user '${name}' is disabled (there is no 'on' modifier in the user description). Make sure this is not a ` +
          "configuration error.",
      )
    }
    return undefined
  }

  /** ACL LOAD: replaces all users by those of the ACL file, or says why not and changes nothing. */
  load(): string | undefined {
    const { aclfile } = this.engine.config.values
    let text: string
    try {
      text = this.storage.read(this.path)
    } catch (error) {
      return `Error loading ACLs, opening file '${aclfile}': ${systemText(error)}`
    }
    const loaded = parseAclFile(text, aclfile, name => this.create(name))
    if (typeof loaded === "string") return loaded
    if (!loaded.has(DEFAULT_USER)) loaded.set(DEFAULT_USER, this.createDefault())
    const before = [...this.users.values()]
    this.users = loaded
    this.follow(before)
    return undefined
  }

  /** ACL SAVE; false after the log was told why not. */
  save(): boolean {
    const text = this.list().map(user => `user ${user.describe()}\n`)
    try {
      this.storage.replace(this.path, text.join(""))
      return true
    } catch (error) {
      this.engine.log("warning", `Writing the ACL file for ACL SAVE: ${systemText(error)}`)
      return false
    }
  }

  private get path(): string {
    const { aclfile, dir } = this.engine.config.values
    return resolve(dir, aclfile)
  }

  /** What belongs after the word `user` in a configuration file, in which words can be quoted. */
  configLines(): string[] {
    return this.list().map(user => {
      const words = [user.name, ...user.rules()].map(word => utf8(latin1Bytes(word)))
      return words.map(word => (/["']/.test(word) ? quoteArgument(word) : word)).join(" ")
    })
  }
}

export function contextOf(client: Client): AclContext {
  return (client.conditions & ClientCondition.InTransaction) !== 0 ? "multi" : "toplevel"
}

/** The channels a changed user may still use; undefined when it lost none. */
function remainingChannels(before: User, after: User): readonly ChannelPattern[] | undefined {
  if (after.permissions.some(({ allChannels }) => allChannels)) return undefined
  const remaining = after.permissions.flatMap(({ channels }) => channels)
  const names = new Set(remaining.map(({ text }) => text))
  const keepsAll = before.permissions.every(
    ({ allChannels, channels }) => !allChannels && channels.every(({ text }) => names.has(text)),
  )
  return keepsAll ? undefined : remaining
}

/** Whether a client is subscribed to anything that is not permitted. */
function hearsMoreThan(permitted: readonly ChannelPattern[], { subscriptions }: Client): boolean {
  if (subscriptions === undefined) return false
  const isForbidden = (name: string, isPattern: boolean): boolean =>
    !permitsChannel(permitted, latin1Bytes(name), 0, name.length, isPattern)
  return (
    [...subscriptions.patterns].some(name => isForbidden(name, true)) ||
    [...subscriptions.channels, ...subscriptions.shards].some(name => isForbidden(name, false))
  )
}

const SYSTEM_TEXTS: Readonly<Record<string, string>> = {
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  EISDIR: "Is a directory",
  ENOSPC: "No space left on device",
  EROFS: "Read-only file system",
}

function systemText(error: unknown): string {
  const { code = "" } = error as { code?: string }
  return SYSTEM_TEXTS[code] ?? (error instanceof Error ? error.message : String(error))
}
