/**
 * Client-side caching: who has read which keys, and telling them when those change.
 *
 * Default mode: the keys of each read of a tracking client are remembered in a table, key → clients; the first change of a
 * key tells them and forgets it. The table is bounded (tracking-table-max-keys): beyond that keys are given up, and their
 * readers told so. Broadcasting mode: nothing is remembered per key; clients name prefixes, and changed keys under them are
 * gathered and told at the end of the tick.
 *
 * A message goes to the client itself as a push (RESP3), or to the client it redirects to: as a push, or for RESP2 as a message
 * of the channel __redis__:invalidate.
 *
 * Source: https://redis.io/docs/latest/develop/reference/client-side-caching/
 */

import { latin1, latin1Bytes } from "../bytes/compare.ts"
import { extractKeys, KeyPositions } from "../command/key-specs.ts"
import { Flag, type RegisteredCommand } from "../command/registry.ts"
import type { Database } from "../keyspace/db.ts"
import type { Arguments } from "../resp/arguments.ts"
import { ReplyWriter } from "../resp/reply-writer.ts"
import { type Client, ClientCondition } from "./client.ts"
import type { Engine } from "./engine.ts"
import type { KeyListener } from "./key-listeners.ts"

/** How a client tracks. */
export interface TrackingState {
  /** Client that gets the messages; 0 for the client itself. */
  redirect: number
  broadcast: boolean
  mode: "all" | "optin" | "optout"
  noLoop: boolean
  prefixes: Set<string>
  /** CLIENT CACHING was called for the next command. */
  caching: boolean
  /** The redirection's target has gone. */
  broken: boolean
}

interface Prefix {
  clients: Set<Client>
  /** Keys changed in this tick, each with the client that did it last. */
  changed: Map<string, Client | undefined>
}

const CHANNEL = "__redis__:invalidate"
/** Keys given up per tick when the table is too large. */
const GIVEN_UP_PER_TICK = 100

export class Tracking implements KeyListener {
  private readonly engine: Engine
  /** Ids of the clients that may hold a key. */
  private readonly table = new Map<string, Set<number>>()
  private readonly prefixes = new Map<string, Prefix>()
  private readonly tracking = new Set<Client>()
  private readonly positions = new KeyPositions()
  private readonly encoder = new ReplyWriter()
  /** Remembered (key, client) pairs. */
  itemCount = 0
  /** The command of the last flush, and how often it had been called by then. */
  private flushedBy: RegisteredCommand | undefined
  private flushedAt = 0

  constructor(engine: Engine) {
    this.engine = engine
    engine.keyListeners.add(this)
    engine.clients.onGone.push(client => this.disable(client))
    engine.onReset.push(client => this.disable(client))
    engine.onTickEnd.push(() => this.broadcast())
    engine.config.onChange("tracking-table-max-keys", () => {
      this.shrink()
      return undefined
    })
    const { afterCommand } = engine
    engine.afterCommand = (client, command, args) => {
      afterCommand(client, command, args)
      if (client.tracking !== undefined) this.remember(client, client.tracking, command, args)
    }
    engine.describers.push((client, details) => {
      const { tracking } = client
      if (tracking === undefined) return
      details.flags += `t${tracking.broken ? "R" : ""}${tracking.broadcast ? "B" : ""}`
      details.redirect = tracking.redirect
    })
  }

  get interested(): boolean {
    return this.table.size > 0 || this.prefixes.size > 0
  }

  get clientCount(): number {
    return this.tracking.size
  }

  get keyCount(): number {
    return this.table.size
  }

  get prefixCount(): number {
    return this.prefixes.size
  }

  /** Begins to track, or changes how; `prefixes` are added to those there are. */
  enable(
    client: Client,
    options: Pick<TrackingState, "redirect" | "broadcast" | "mode" | "noLoop">,
    prefixes: string[],
  ): void {
    const before = client.tracking
    const state: TrackingState = {
      ...options,
      prefixes: before?.prefixes ?? new Set(),
      caching: false,
      broken: false,
    }
    client.tracking = state
    this.tracking.add(client)
    client.setCondition(ClientCondition.Special, true)
    if (!state.broadcast) return
    const wanted = prefixes.length === 0 ? [""] : prefixes
    for (const name of wanted) {
      state.prefixes.add(name)
      const prefix = this.prefixes.get(name) ?? { clients: new Set(), changed: new Map() }
      prefix.clients.add(client)
      this.prefixes.set(name, prefix)
    }
    this.engine.keyListeners.refresh()
  }

  /** Ends tracking. What the table still holds of the client is passed over when its time comes. */
  disable(client: Client): void {
    const { tracking } = client
    if (tracking === undefined) return
    for (const name of tracking.prefixes) {
      const prefix = this.prefixes.get(name)
      prefix?.clients.delete(client)
      if (prefix?.clients.size === 0) this.prefixes.delete(name)
    }
    client.tracking = undefined
    this.tracking.delete(client)
    client.setCondition(ClientCondition.Special, client.noTouch)
    if (this.tracking.size === 0) {
      this.table.clear()
      this.itemCount = 0
    }
    this.engine.keyListeners.refresh()
  }

  modified(_db: Database, key: Uint8Array, start: number, end: number): void {
    const name = latin1(key, start, end)
    const by = this.engine.caller.outermost?.client as Client | undefined
    for (const [prefix, { changed }] of this.prefixes) if (name.startsWith(prefix)) changed.set(name, by)
    if (this.prefixes.size > 0) this.engine.wakeTick()
    const readers = this.table.get(name)
    if (readers === undefined) return
    this.drop(name, readers)
    this.tell(readers, [name], by)
  }

  /** Everybody who tracks is told, having read something or not; of FLUSHALL, which flushes many databases, once. */
  flushed(): void {
    const command = this.engine.caller.current?.command
    if (command !== undefined && command === this.flushedBy && command.calls === this.flushedAt) return
    this.flushedBy = command
    this.flushedAt = command?.calls ?? 0
    this.table.clear()
    this.itemCount = 0
    for (const client of this.tracking) this.invalidate(client, undefined)
    this.engine.keyListeners.refresh()
  }

  swapped(): void {
    this.flushed()
  }

  /** Ten times a second, and when the bound changes: gives up keys beyond the bound. */
  shrink(): void {
    const max = this.engine.config.values.trackingTableMaxKeys
    if (max === 0 || this.table.size <= max) return
    let budget = GIVEN_UP_PER_TICK
    for (const [name, readers] of this.table) {
      if (this.table.size <= max || budget-- === 0) break
      this.drop(name, readers)
      this.tell(readers, [name], undefined)
    }
  }

  private drop(name: string, readers: Set<number>): void {
    this.table.delete(name)
    this.itemCount -= readers.size
    if (this.table.size === 0) this.engine.keyListeners.refresh()
  }

  private remember(client: Client, state: TrackingState, command: RegisteredCommand, args: Arguments): void {
    const { caching } = state
    if (command.parent?.fullName !== "client") state.caching = false
    if (state.broadcast || (command.flagBits & Flag.Readonly) === 0) return
    // What a script reads is remembered by the commands it calls, not by the keys it is given.
    if (command.spec.group === "scripting") return
    if (state.mode === "optin" ? !caching : state.mode === "optout" && caching) return
    const count = extractKeys(command.keys, args, this.positions)
    for (let i = 0; i < count; i++) {
      const at = this.positions.positions[i]!
      const name = args.latin1(at)
      let readers = this.table.get(name)
      if (readers === undefined) {
        readers = new Set()
        this.table.set(name, readers)
        if (this.table.size === 1) this.engine.keyListeners.refresh()
      }
      if (!readers.has(client.id)) {
        readers.add(client.id)
        this.itemCount++
      }
    }
  }

  private tell(readers: ReadonlySet<number>, names: string[], by: Client | undefined): void {
    for (const id of readers) {
      const client = this.engine.clients.byId.get(id)
      const state = client?.tracking
      if (client === undefined || state === undefined || state.broadcast) continue
      if (state.noLoop && client === by) continue
      this.invalidate(client, names)
    }
  }

  /** At the end of the tick: what changed under the prefixes. */
  private broadcast(): void {
    if (this.prefixes.size === 0) return
    const touched = [...this.prefixes].filter(([, { changed }]) => changed.size > 0)
    // In the order of the prefixes' bytes, as Redis has them in a tree.
    touched.sort(([a], [b]) => (a < b ? -1 : 1))
    for (const [, { clients, changed }] of touched) {
      const all = [...changed.keys()]
      for (const client of clients) {
        const names = client.tracking!.noLoop ? all.filter(name => changed.get(name) !== client) : all
        if (names.length > 0) this.invalidate(client, names)
      }
      changed.clear()
    }
  }

  /** Tells that keys, or all keys (undefined), are not what they were. */
  private invalidate(client: Client, names: string[] | undefined): void {
    const state = client.tracking!
    const { engine, encoder } = this
    let target = client
    encoder.reset()
    if (state.redirect !== 0) {
      const other = engine.clients.byId.get(state.redirect)
      if (other === undefined) {
        state.broken = true
        if (client.protocol !== 3) return
        encoder.resp3 = true
        encoder.push(2)
        encoder.bulkText("tracking-redir-broken")
        encoder.integer(state.redirect)
        engine.output.send(client, encoder.bytes.slice(0, encoder.at))
        return
      }
      target = other
    }
    encoder.resp3 = target.protocol === 3
    if (target.protocol === 3) {
      encoder.push(2)
      encoder.bulkText("invalidate")
    } else {
      // A RESP2 client gets it as a message, if it listens for one.
      if ((target.conditions & ClientCondition.Subscribed) === 0 || state.redirect === 0) return
      encoder.array(3)
      encoder.bulkText("message")
      encoder.bulkText(CHANNEL)
    }
    if (names === undefined) encoder.nullArray()
    else {
      encoder.array(names.length)
      for (const name of names) encoder.bulk(latin1Bytes(name), 0, name.length)
    }
    engine.output.send(target, encoder.bytes.slice(0, encoder.at))
    engine.wakeTick()
  }
}
