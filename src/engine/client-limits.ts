/**
 * What clients may cost: the unsent output of each (client-output-buffer-limit), and the memory of all together
 * (maxmemory-clients).
 *
 * Output is measured when it is handed to the socket. A stretch of replies that exceeds the hard limit together with what
 * waits already is not sent at all, as in Redis, where the limit counts replies before they are written. The soft limit is
 * about what waits: clients above it are kept in a set that the cron looks at, so that others cost nothing.
 *
 * The memory of clients is followed only while maxmemory-clients is set: those that send something are measured when it
 * arrives and again at the end of the tick, a part of the others by the cron. Before anybody is closed all are measured;
 * the largest go first. An argument that has been announced counts as if it were here, so that who announces too much is
 * closed before it is received.
 */

import type { Client } from "./client.ts"
import { announcedBytes, clientBytes, clientType, describeClient, detailsOf } from "./client-description.ts"
import type { Engine } from "./engine.ts"
import type { Cron } from "./tick.ts"

/** What a name costs that a client subscribes to, watches, or tracks: the text, and its places in two tables. */
const NAME_BYTES = 120
/** A sweep that could close nobody is not repeated before this. */
const SWEEP_PAUSE_MS = 100
/** Parts of a second's round over all clients. */
const ROUND_TICKS = 10
/** Lower limits count as this: Redis does not count the room that each client has for the replies of a moment. */
const OUTPUT_LIMIT_BYTES_MIN = 16 * 1024

export class ClientLimits {
  /** Clients closed because of maxmemory-clients. */
  evicted = 0

  private readonly engine: Engine
  /** Clients whose unsent output is above their soft limit. */
  private readonly slow = new Set<Client>()
  /** What each client was found to hold, while maxmemory-clients is set. */
  private readonly held = new Map<Client, number>()
  private heldBytes = 0
  private heldBytesMax = 0
  private readonly touched = new Set<Client>()
  /** Whose bytes are being received, and how many. */
  private receiver: Client | undefined
  private receivedBytes = 0
  private round: IterableIterator<Client> | undefined
  private sweepNotBefore = 0

  constructor(engine: Engine, cron: Cron) {
    this.engine = engine
    const { output, clients, config } = engine
    const { onQueued } = output
    output.onQueued = client => {
      onQueued(client)
      this.queued(client)
    }
    output.isTooMuch = (client, bytes) => this.refuses(client, bytes)
    clients.onGone.push(client => this.forget(client))
    engine.describers.push((client, details) => {
      const { subscriptions, transaction, tracking } = client
      let names = 0
      if (subscriptions !== undefined) {
        names += subscriptions.channels.size + subscriptions.patterns.size + subscriptions.shards.size
      }
      if (transaction !== undefined) names += transaction.watched.size
      if (tracking !== undefined) names += tracking.prefixes.size
      details.bytes += names * NAME_BYTES
    })
    engine.onTickEnd.push(() => this.measureTouched())
    cron.onTick.push(() => this.tick())
    config.onChange("client-output-buffer-limit", () => this.followOutputLimits())
    config.onChangeOfAny(["maxmemory-clients", "maxmemory"], () => this.followMemoryLimit())
    config.onChange("proto-max-bulk-len", bytes => {
      for (const client of clients.byId.values()) client.parser.bulkBytesMax = bytes
      return undefined
    })
    this.followOutputLimits()
    this.followMemoryLimit()
  }

  private followOutputLimits(): undefined {
    const { engine } = this
    const hard = Object.values(engine.config.values.clientOutputBufferLimit).map(({ hardBytes }) => hardBytes)
    engine.output.checkAboveBytes = Math.max(OUTPUT_LIMIT_BYTES_MIN, Math.min(...hard.filter(bytes => bytes > 0)))
    // Those that wait already are held to the new limits by the cron.
    for (const client of engine.clients.byId.values()) if (client.pendingBytes > 0) this.slow.add(client)
    return undefined
  }

  private followMemoryLimit(): undefined {
    const { engine } = this
    const { maxmemory, maxmemoryClients } = engine.config.values
    this.heldBytesMax = maxmemoryClients < 0 ? Math.floor((maxmemory * -maxmemoryClients) / 100) : maxmemoryClients
    if (this.heldBytesMax === 0) {
      engine.clients.onReceived = undefined
      engine.clients.onHalfReceived = undefined
      this.held.clear()
      this.touched.clear()
      this.heldBytes = 0
      return undefined
    }
    engine.clients.onReceived = (client, bytes) => this.received(client, bytes)
    engine.clients.onHalfReceived = client => this.halfReceived(client)
    for (const client of engine.clients.byId.values()) this.touched.add(client)
    this.sweepNotBefore = 0
    engine.wakeTick()
    return undefined
  }

  /** Whether a client must not get `bytes` more because it would then be above its hard limit: then it is closed. */
  private refuses(client: Client, bytes: number): boolean {
    const { hardBytes } = this.limitsOf(client)
    if (hardBytes === 0 || !this.isBounded(client) || client.pendingBytes + bytes <= hardBytes) return false
    this.closeOverLimit(client)
    return true
  }

  /** Output of the client waits: for how long has it been too much? */
  private queued(client: Client): void {
    if (this.heldBytesMax > 0 && !client.gone) {
      this.measure(client)
      if (this.heldBytes > this.heldBytesMax) this.evict()
    }
    if (!client.gone) this.checkOutput(client)
  }

  private checkOutput(client: Client): void {
    const { hardBytes, softBytes, softSeconds } = this.limitsOf(client)
    const { now } = this.engine.keyspace
    if (hardBytes > 0 && client.pendingBytes > hardBytes) {
      this.closeOverLimit(client)
      return
    }
    if (softBytes === 0 || client.pendingBytes <= softBytes) {
      client.softLimitSince = 0
      this.slow.delete(client)
    } else if (client.softLimitSince === 0) {
      client.softLimitSince = now
      this.slow.add(client)
    } else if (now - client.softLimitSince > softSeconds * 1000) this.closeOverLimit(client)
  }

  private closeOverLimit(client: Client): void {
    const { engine } = this
    engine.log(
      "warning",
      `Client ${describeClient(engine, client)} scheduled to be closed ASAP for overcoming of output buffer limits.`,
    )
    engine.clients.overOutputLimit++
    engine.clients.terminate(client)
  }

  /** Whether it is listed: those of the server itself and of the embedding program are not, and must not be closed. */
  private isBounded(client: Client): boolean {
    return this.engine.clients.byId.has(client.id)
  }

  private limitsOf(client: Client): { hardBytes: number; softBytes: number; softSeconds: number } {
    const { values } = this.engine.config
    const type = clientType(client)
    const limits = values.clientOutputBufferLimit[type === "master" ? "normal" : type]
    // A replica may always have as much waiting as the backlog holds, else it could never catch up.
    const hardBytesMin = type === "replica" ? values.replBacklogSize : OUTPUT_LIMIT_BYTES_MIN
    const { hardBytes, softBytes, softSeconds } = limits
    return {
      hardBytes: atLeast(hardBytesMin, hardBytes),
      softBytes: atLeast(OUTPUT_LIMIT_BYTES_MIN, softBytes),
      softSeconds,
    }
  }

  /** Counts what has arrived before it is run, as it is gone afterwards. */
  private received(client: Client, bytes: number): void {
    if (!this.isBounded(client)) return
    this.touched.add(client)
    this.engine.wakeTick()
    this.receiver = client
    this.receivedBytes = bytes
    this.measure(client)
    if (this.heldBytes > this.heldBytesMax) this.evict()
    this.receiver = undefined
  }

  /** A request has begun, and tells how long it will be. */
  private halfReceived(client: Client): void {
    if (!this.isBounded(client)) return
    this.measure(client)
    if (this.heldBytes > this.heldBytesMax) this.evict()
  }

  private measureTouched(): void {
    if (this.touched.size === 0) return
    for (const client of this.touched) if (!client.gone) this.measure(client)
    this.touched.clear()
    if (this.heldBytes > this.heldBytesMax) this.evict()
  }

  private measure(client: Client): void {
    // Replicas have a limit of their own, and a master is not to be closed.
    if (client.isReplica || client.isMaster || !this.isBounded(client)) return
    let bytes = clientBytes(client, detailsOf(this.engine, client))
    bytes += Math.max(announcedBytes(client), client === this.receiver ? this.receivedBytes : 0)
    this.heldBytes += bytes - (this.held.get(client) ?? 0)
    this.held.set(client, bytes)
  }

  /** Closes the largest clients until the rest is within bounds. O(n log n) in clients, and only above the limit. */
  private evict(): void {
    const { engine } = this
    const { now } = engine.keyspace
    if (now < this.sweepNotBefore) return
    for (const client of engine.clients.byId.values()) this.measure(client)
    if (this.heldBytes <= this.heldBytesMax) return
    const candidates = [...this.held.keys()].filter(client => !client.noEvict)
    candidates.sort((a, b) => this.held.get(b)! - this.held.get(a)!)
    for (const client of candidates) {
      if (this.heldBytes <= this.heldBytesMax) return
      engine.log("notice", `Evicting client: ${describeClient(engine, client)}`)
      this.evicted++
      engine.clients.terminate(client)
    }
    if (this.heldBytes > this.heldBytesMax) this.sweepNotBefore = now + SWEEP_PAUSE_MS
  }

  private tick(): void {
    for (const client of this.slow) this.checkOutput(client)
    if (this.heldBytesMax === 0) return
    const { byId } = this.engine.clients
    let count = Math.ceil(byId.size / ROUND_TICKS)
    while (count-- > 0) {
      this.round ??= byId.values()
      const next = this.round.next()
      if (next.done) {
        this.round = undefined
        break
      }
      this.measure(next.value)
    }
    if (this.heldBytes > this.heldBytesMax) this.evict()
  }

  private forget(client: Client): void {
    this.slow.delete(client)
    this.touched.delete(client)
    const held = this.held.get(client)
    if (held === undefined) return
    this.heldBytes -= held
    this.held.delete(client)
  }
}

/** A limit that is not below `min`; 0 is none at all. */
function atLeast(min: number, limit: number): number {
  return limit === 0 ? 0 : Math.max(min, limit)
}
