/**
 * Replication: what this server is (a master, or a replica of somebody), which history its data belongs to, and how one
 * becomes the other. `replicas` is the master's side, `link` the replica's; a replica may have replicas itself.
 *
 *             REPLICAOF host port: our own history is what we ask the new master to go on from
 *   master ──────────────────────────────────────────────────────────────▶ replica
 *          ◀──────────────────────────────────────────────────────────────
 *             REPLICAOF NO ONE, PSYNC … FAILOVER: a history of our own, the old one remembered as the second
 */

import { type Engine, EngineCondition } from "../engine/engine.ts"
import type { ReplicationPoint } from "../engine/snapshots.ts"
import type { Database } from "../keyspace/db.ts"
import { CommandWriter } from "../resp/command-writer.ts"
import { Failover } from "./failover.ts"
import { Farewell } from "./farewell.ts"
import { ID_LENGTH, ReplicationHistory } from "./history.ts"
import { MasterLink } from "./link.ts"
import type { LinkPorts } from "./link-ports.ts"
import { Replicas } from "./replicas.ts"
import { ReplicationStream } from "./stream.ts"
import { WritableReplicaKeys } from "./writable-replica.ts"

export interface ReplicationPorts extends LinkPorts {
  /** 20 random bytes in hexadecimal. */
  newId: () => string
  /** The process cannot go on. */
  panic: (message: string) => void
  /** We have become a master, or a replica. */
  onRole: (isMaster: boolean) => void
}

const UNBLOCKED = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"

export class Replication {
  readonly engine: Engine
  readonly history: ReplicationHistory
  readonly replicas: Replicas
  readonly link: MasterLink
  readonly failover: Failover
  readonly farewell: Farewell
  readonly ownKeys: WritableReplicaKeys
  private readonly ports: ReplicationPorts
  /** Database of the last key that was noted as expired. */
  private expiredIn: Database | undefined

  constructor(engine: Engine, ports: ReplicationPorts) {
    this.engine = engine
    this.ports = ports
    const { config } = engine
    this.history = new ReplicationHistory(new ReplicationStream(() => config.values.replBacklogSize), ports.newId)
    const { history } = this
    this.replicas = new Replicas({
      engine,
      history,
      isMaster: () => this.isMaster,
      holdsStill: () => this.failover.holdsStill,
      newMark: ports.newId,
      persistsNothing: ports.persistsNothing,
    })
    this.link = new MasterLink({
      engine,
      history,
      replicas: this.replicas,
      ports,
      isFailingOver: () => this.failover.state === "failover-in-progress",
      onFailoverAnswered: accepted => this.failover.answered(accepted),
      onState: () => this.followState(),
      onPanic: ports.panic,
    })
    this.failover = new Failover({
      engine,
      replicas: this.replicas,
      follow: (host, port) => this.becomeReplica(host, port),
      lead: () => this.becomeMaster(),
    })
    this.farewell = new Farewell(engine, this.replicas)
    this.ownKeys = new WritableReplicaKeys(engine)
    engine.memoryLimit.isReplica = () => !this.isMaster
    const { events } = engine.keyspace
    const { onAllFlushed } = events
    events.onAllFlushed = () => {
      onAllFlushed()
      this.replicas.fullSync.flushed()
    }
    engine.snapshots.replication = () => this.point
    config.onChangeOfAny(["replica-read-only", "replica-serve-stale-data"], () => this.followState())
    config.onChangeOfAny(["min-replicas-to-write", "min-replicas-max-lag"], () => {
      this.replicas.refreshGood()
      return undefined
    })
    config.onChange("repl-backlog-size", () => {
      history.stream.trim()
      return undefined
    })
  }

  get isMaster(): boolean {
    return this.engine.config.values.replicaof === undefined
  }

  /** Bytes of the history that our data holds. */
  get offset(): number {
    return this.replicas.offset
  }

  /** What a snapshot that begins now must tell, so that who loads it can go on from here. */
  get point(): ReplicationPoint | undefined {
    const { history, link } = this
    const { id } = history
    if (this.isMaster) return history.stream.isOpen ? { id, offset: history.stream.offset, db: 0 } : undefined
    if (link.client !== undefined) return { id, offset: link.offset, db: link.client.db.index }
    return link.cached === undefined ? undefined : { id, offset: link.cached.offset, db: link.cached.db }
  }

  /** A key was left out of what is loaded at the start, since its time was up; borrowed. */
  noteExpired(db: Database, key: Uint8Array, length: number): void {
    if (!this.isMaster) return
    const { stream } = this.history
    if (!stream.isOpen) stream.open()
    const writer = new CommandWriter(length + 128)
    if (db !== this.expiredIn) writer.begin(2).word("SELECT").number(db.index)
    this.expiredIn = db
    writer.begin(2).word("DEL").arg(key, 0, length)
    stream.append(writer.bytes, 0, writer.at)
  }

  /**
   * Data was loaded at the start that is of this place in a history. A replica asks to go on from there; a master remembers
   * it as its past, so that its replicas can: what comes next for them are the keys that have expired since.
   */
  adopt(point: ReplicationPoint | undefined): void {
    const { history, replicas, link } = this
    const { stream } = history
    if (point === undefined || point.id.length !== ID_LENGTH || point.offset < 0) {
      stream.close()
      stream.offset = 0
      return
    }
    if (!this.isMaster) {
      stream.restart(point.offset)
      history.id = point.id
      link.cached = { ...point }
      return
    }
    history.secondId = point.id
    history.secondOffset = point.offset + 1
    if (stream.isOpen) stream.rebase(point.offset)
    else stream.restart(point.offset)
    replicas.openStream()
    replicas.noneSince = this.engine.clock.wall()
  }

  /** The server is ready: follows the master that the configuration names. */
  start(): void {
    const { replicaof } = this.engine.config.values
    this.followState()
    this.replicas.refreshGood()
    if (replicaof === undefined) return
    this.ports.onRole(false)
    this.link.follow(replicaof.host, replicaof.port)
  }

  /** Ends all links, for good. */
  stop(): void {
    this.link.stop()
    this.replicas.dropAll()
  }

  // ------------------------------------------------------------------ roles

  becomeReplica(host: string, port: number): void {
    const { engine, history, link, replicas } = this
    const wasMaster = this.isMaster
    // What we did as a master belongs to our own stream.
    if (wasMaster) engine.flushPropagation()
    engine.blocking.unblockAll(UNBLOCKED, true)
    if (wasMaster) {
      if (!history.stream.isOpen) replicas.openStream()
      link.cached = { id: history.id, offset: history.stream.offset, db: 0 }
    }
    engine.config.assign("replicaof", { host, port })
    replicas.followRole()
    this.ports.onRole(false)
    link.follow(host, port)
  }

  becomeMaster(): void {
    if (this.isMaster) return
    const { engine, history, link, replicas } = this
    engine.flushPropagation()
    engine.config.assign("replicaof", undefined)
    link.stop()
    history.shift()
    // They must learn of the new id; they can go on at once.
    replicas.dropAll()
    replicas.noneSince = engine.clock.wall()
    replicas.followRole()
    this.ownKeys.clear()
    this.ports.onRole(true)
    this.followState()
  }

  /** DEBUG CHANGE-REPL-ID. */
  changeId(): void {
    this.history.renew()
  }

  /** What clients may do follows from our role, and from how the link is. */
  private followState(): undefined {
    const { engine, isMaster, link } = this
    const { values } = engine.config
    engine.keyspace.holdExpiry("replica", !isMaster)
    engine.setCondition(EngineCondition.ReadOnlyReplica, !isMaster && values.replicaReadOnly)
    engine.setCondition(
      EngineCondition.StaleReplica,
      !isMaster && link.state !== "connected" && !values.replicaServeStaleData,
    )
    this.ownKeys.follow(!isMaster && !values.replicaReadOnly)
    this.replicas.refreshGood()
    return undefined
  }

  /** CONFIG RESETSTAT. */
  resetStatistics(): void {
    const { link, replicas } = this
    link.bytesIn = 0
    link.unexpectedErrors = 0
    replicas.bytesOut = 0
    replicas.unexpectedErrors = 0
    replicas.fullSyncs = 0
    replicas.partialSyncs = 0
    replicas.refusedPartialSyncs = 0
  }

  // ------------------------------------------------------------------ time

  /** Ten times a second. */
  tick(): void {
    this.failover.tick()
    this.farewell.tick()
    this.link.tick()
    this.replicas.tick()
  }

  everySecond(): void {
    if (!this.isMaster) this.link.everySecond()
    this.replicas.everySecond()
    this.ownKeys.expire()
  }
}
