/**
 * The master's side: replicas that are attached, what they are fed, and what they acknowledge.
 *
 * While this server is a master, its stream is what the propagator hands to the sinks at the end of each tick, with PING and
 * GETACK between. While it is a replica itself, its stream is its master's, byte for byte (`proxy`).
 */

import type { Client } from "../engine/client.ts"
import { ClientCondition } from "../engine/client.ts"
import { type Engine, EngineCondition, type Sink } from "../engine/engine.ts"
import { FullSync } from "./full-sync.ts"
import type { ReplicationHistory } from "./history.ts"
import { Replica, ReplicaTerms } from "./replica.ts"
import { RepliesRefused } from "./replies.ts"

const PING = Buffer.from("*1\r\n$4\r\nPING\r\n", "latin1")
const GETACK = Buffer.from("*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n", "latin1")

export interface ReplicasOptions {
  engine: Engine
  history: ReplicationHistory
  isMaster: () => boolean
  /** True while nothing but data may enter the stream: a failover waits for a replica to have it all. */
  holdsStill: () => boolean
  newMark: () => string
  persistsNothing: () => boolean
}

export class Replicas implements Sink {
  readonly all = new Set<Replica>()
  readonly takesMessages = true
  readonly fullSync: FullSync
  fullSyncs = 0
  partialSyncs = 0
  refusedPartialSyncs = 0
  /** Bytes sent to replicas. */
  bytesOut = 0
  /** Errors that replicas were answered with. */
  unexpectedErrors = 0
  /** Replicas that have acknowledged lately, as min-replicas-max-lag wants it. */
  goodCount = 0
  /** When the last replica left, in ms. */
  noneSince: number

  private readonly options: ReplicasOptions
  private readonly engine: Engine
  private readonly history: ReplicationHistory
  private readonly terms = new Map<Client, ReplicaTerms>()
  private readonly byClient = new Map<Client, Replica>()
  private wantsAcks = false
  /** Offset behind the last data in the stream: what follows are questions and signs of life. */
  private dataOffset = 0
  /** Seconds since the start; the first is over when replicas can be there. */
  private seconds = 1

  constructor(options: ReplicasOptions) {
    this.options = options
    this.engine = options.engine
    this.history = options.history
    this.noneSince = this.engine.keyspace.now
    this.fullSync = new FullSync({
      ...options,
      replicas: this.all,
      onOnline: replica => this.putOnline(replica),
      drop: replica => this.drop(replica),
    })
    const { clients, acknowledgements } = this.engine
    clients.onGone.push(client => this.forget(client))
    acknowledgements.receivedBy = offset => this.countWhere(replica => replica.ackOffset >= offset)
    acknowledgements.syncedBy = offset => this.countWhere(replica => replica.syncedOffset >= offset)
    acknowledgements.replicaOffset = () => this.dataEnd
    acknowledgements.onWaiting = () => this.requestAcks()
    this.watchReplies()
  }

  /**
   * Nothing in the stream is an answer: a replica that gets one is no replica, and is not served any further. The refused
   * reply itself comes to light at the end of the tick only.
   */
  private watchReplies(): void {
    const { engine } = this
    const { output } = engine
    const { beforeCommand, afterCommand, onRejected } = engine
    let replyAt = 0
    engine.beforeCommand = (client, command, args) => {
      beforeCommand(client, command, args)
      replyAt = output.writer.at
    }
    engine.afterCommand = (client, command, args) => {
      afterCommand(client, command, args)
      if (!client.isReplica || output.current !== client) return
      if (output.writer.at > replyAt && output.isOwn(replyAt)) this.noteAnswered(client)
    }
    engine.onRejected = (client, command, error) => {
      onRejected(client, command, error)
      if (client.isReplica && (client.conditions & ClientCondition.Silent) === 0) this.noteAnswered(client)
    }
  }

  private noteAnswered(client: Client): void {
    const replica = this.byClient.get(client)
    if (replica === undefined || replica.answered !== undefined) return
    replica.answered = client.lastCommand?.fullName ?? "<unknown>"
    this.engine.clients.finish(client)
  }

  /** Where the data ends that was propagated so far, in this tick too. */
  private get dataEnd(): number {
    const pending = this.options.isMaster() ? this.engine.propagator.bytesForReplicas : 0
    return pending > 0 && this.history.stream.isOpen ? this.history.stream.offset + pending : this.dataOffset
  }

  /** The offset that INFO and ROLE show. */
  get offset(): number {
    const { stream } = this.history
    return stream.isOpen && this.options.isMaster()
      ? stream.offset + this.engine.propagator.bytesForReplicas
      : stream.offset
  }

  /** What a client has said about itself. */
  termsOf(client: Client): ReplicaTerms {
    const known = this.byClient.get(client)?.terms ?? this.terms.get(client)
    if (known !== undefined) return known
    const terms = new ReplicaTerms()
    this.terms.set(client, terms)
    return terms
  }

  of(client: Client): Replica | undefined {
    return this.byClient.get(client)
  }

  /** One that is known under an address, as FAILOVER names it. */
  find(host: string, port: number): Replica | undefined {
    for (const replica of this.all) {
      if (replica.host.toLowerCase() === host.toLowerCase() && replica.terms.listeningPort === port) return replica
    }
    return undefined
  }

  // ------------------------------------------------------------------ coming and going

  /** The client goes on from byte number `next` of the stream, if its past is ours and the backlog reaches back so far. */
  tryPartialSync(client: Client, id: string, next: number): boolean {
    const { history, engine } = this
    const { stream } = history
    const name = new Replica(client, this.termsOf(client), stream, () => 0, nothing).name
    if (!history.includes(id, next)) {
      if (id[0] === "?") engine.log("notice", `Full resync requested by replica ${name}`)
      else if (id.toLowerCase() !== history.secondId) {
        engine.log(
          "notice",
          `Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '${id}', my replication IDs ` +
            `are '${history.id}' and '${history.secondId}')`,
        )
      } else {
        engine.log(
          "notice",
          `Partial resynchronization not accepted: Requested offset for second ID was ${next}, but I can reply up to ` +
            `${history.secondOffset}`,
        )
      }
      return false
    }
    if (!stream.has(next)) {
      engine.log(
        "notice",
        `Unable to partial resync with replica ${name} for lack of backlog (Replica request was: ${next}).`,
      )
      if (next > stream.offset) {
        engine.log(
          "warning",
          `Warning: replica ${name} tried to PSYNC with an offset that is greater than the master replication offset.`,
        )
      }
      return false
    }
    const replica = this.attach(client)
    replica.reader = stream.readFrom(next)
    const { behind } = replica
    replica.state = "online"
    this.partialSyncs++
    engine.log(
      "notice",
      `Partial resynchronization request from ${name} accepted. Sending ${behind} bytes of backlog starting from offset ${next}.`,
    )
    replica.sendText(replica.terms.understandsPsync2 ? `+CONTINUE ${history.id}\r\n` : "+CONTINUE\r\n")
    this.watchOutput(replica)
    this.refreshGood()
    return true
  }

  /** The client gets everything. */
  beginFullSync(client: Client, isOld: boolean): void {
    const { history, engine } = this
    this.fullSyncs++
    const replica = this.attach(client)
    replica.isOld = isOld
    if (this.all.size === 1 && !history.stream.isOpen) {
      history.renew()
      this.openStream()
      engine.log(
        "notice",
        `Replication backlog created, my new replication IDs are '${history.id}' and '${history.secondId}'`,
      )
    }
    this.fullSync.request(replica)
  }

  /** Begins to keep a backlog, fed by what we propagate if we are a master. */
  openStream(): void {
    this.history.stream.open()
    this.dataOffset = this.history.stream.offset
    this.followRole()
  }

  /** Forgets the backlog; replicas must have been dropped before. */
  closeStream(): void {
    this.history.stream.close()
    this.followRole()
  }

  /** Only a master's stream is what it propagates itself. */
  followRole(): void {
    const { engine } = this
    if (this.history.stream.isOpen && this.options.isMaster()) {
      engine.addSink(this)
      // Whoever reads on from here must be told of the database.
      engine.propagator.forgetSelected()
      engine.propagator.hasReplicas = true
    } else {
      engine.removeSink(this)
      engine.propagator.hasReplicas = false
    }
    this.refreshGood()
  }

  dropAll(): void {
    for (const replica of [...this.all]) this.drop(replica)
  }

  drop(replica: Replica): void {
    this.engine.clients.terminate(replica.client)
  }

  private attach(client: Client): Replica {
    const { engine, history } = this
    const replica = new Replica(
      client,
      this.termsOf(client),
      history.stream,
      () => engine.keyspace.now,
      bytes => {
        this.bytesOut += bytes
      },
    )
    client.isReplica = true
    client.feed = replica
    client.setCondition(ClientCondition.Special, true)
    client.transport = new RepliesRefused(replica.socket, text => this.onReply(replica, text))
    this.all.add(replica)
    this.byClient.set(client, replica)
    return replica
  }

  private forget(client: Client): void {
    this.terms.delete(client)
    const replica = this.byClient.get(client)
    if (replica === undefined) return
    this.byClient.delete(client)
    this.all.delete(replica)
    replica.release()
    this.fullSync.forget(replica)
    if (this.all.size === 0) this.noneSince = this.engine.keyspace.now
    this.engine.log("notice", `Connection with replica ${replica.name} lost.`)
    this.refreshGood()
    this.engine.acknowledgements.advanced()
  }

  private putOnline(replica: Replica): void {
    const { engine } = this
    if (replica.terms.snapshotOnly) {
      engine.log("notice", `RDB transfer completed, rdb only replica (${replica.name}) should be disconnected asap`)
      replica.socket.end()
      engine.clients.forget(replica.client)
      return
    }
    replica.state = "online"
    replica.ackAt = engine.keyspace.now
    if (replica.isOld) replica.startsOnAck = false
    engine.log("notice", `Synchronization with replica ${replica.name} succeeded`)
    this.refreshGood()
    replica.pump()
  }

  private onReply(replica: Replica, text: string): void {
    const { engine } = this
    const command = replica.answered ?? replica.client.lastCommand?.fullName ?? "<unknown>"
    if (text[0] === "-") {
      this.unexpectedErrors++
      engine.log(
        "warning",
        `== CRITICAL == This master is sending an error to its replica: '${text.slice(1, 257).trimEnd()}' after processing ` +
          `the command '${command}'`,
      )
    }
    engine.log(
      "notice",
      `Replica generated a reply to command '${command}', disconnecting it: ${JSON.stringify(text.slice(0, 128))}`,
    )
    engine.clients.finish(replica.client)
    setImmediate(() => engine.clients.terminate(replica.client))
  }

  // ------------------------------------------------------------------ the stream

  write(bytes: Uint8Array, start: number, end: number): void {
    this.append(bytes, start, end)
    this.dataOffset = this.history.stream.offset
  }

  flush(): void {
    if (this.wantsAcks) {
      this.wantsAcks = false
      if (this.all.size > 0) this.append(GETACK, 0, GETACK.length)
    }
    for (const replica of this.all) {
      // One that does not take what it gets goes on when its socket has drained.
      if (replica.isStreaming && !replica.isStuck) replica.pump()
      this.watchOutput(replica)
    }
  }

  /** Ten times a second: should a socket not have told that it has drained. */
  tick(): void {
    for (const replica of this.all) if (replica.isStuck) replica.pump()
    this.fullSync.startDue()
  }

  /** Bytes of our master's stream that we have applied. */
  proxy(bytes: Uint8Array, start: number, end: number): void {
    this.append(bytes, start, end)
    if (this.all.size === 0) return
    for (const replica of this.all) {
      if (replica.isStreaming && !replica.isStuck) replica.pump()
      this.watchOutput(replica)
    }
  }

  /** Asks all replicas how far they are, at the end of the tick. */
  requestAcks(): void {
    if (this.all.size === 0 || !this.options.isMaster()) return
    this.wantsAcks = true
    this.engine.wakeTick()
  }

  private append(bytes: Uint8Array, start: number, end: number): void {
    this.history.stream.append(bytes, start, end)
  }

  /** What a replica has not been sent counts as its output. */
  private watchOutput(replica: Replica): void {
    const { client, behind } = replica
    if (behind === 0 && client.pendingBytes === 0) return
    client.pendingBytes = behind
    this.engine.output.onQueued(client)
  }

  // ------------------------------------------------------------------ acknowledgements

  /** REPLCONF ACK. */
  acknowledged(replica: Replica, offset: number, syncedOffset: number | undefined): void {
    replica.ackOffset = Math.max(replica.ackOffset, offset)
    if (syncedOffset !== undefined) replica.syncedOffset = Math.max(replica.syncedOffset, syncedOffset)
    replica.ackAt = this.engine.keyspace.now
    if (replica.startsOnAck && replica.state === "online") {
      replica.startsOnAck = false
      replica.pump()
    }
    this.engine.acknowledgements.advanced()
  }

  private countWhere(holds: (replica: Replica) => boolean): number {
    let count = 0
    for (const replica of this.all) if (replica.state === "online" && holds(replica)) count++
    return count
  }

  lagSeconds(replica: Replica): number {
    return Math.max(0, Math.floor((this.engine.keyspace.now - replica.heardAt) / 1000))
  }

  /** Counts the replicas that keep up, and lets writes be refused when they are too few. */
  refreshGood(): void {
    const { minReplicasToWrite, minReplicasMaxLag } = this.engine.config.values
    const isAsked = minReplicasToWrite > 0 && minReplicasMaxLag > 0
    this.goodCount = isAsked ? this.countWhere(replica => this.lagSeconds(replica) <= minReplicasMaxLag) : 0
    const isTooFew = isAsked && this.options.isMaster() && this.goodCount < minReplicasToWrite
    this.engine.setCondition(EngineCondition.TooFewReplicas, isTooFew)
  }

  // ------------------------------------------------------------------ once a second

  everySecond(): void {
    const { engine, options } = this
    const { values } = engine.config
    if (options.isMaster() && this.all.size > 0 && this.seconds % values.replPingReplicaPeriod === 0) this.ping()
    this.seconds++
    for (const replica of [...this.all]) this.check(replica)
    this.freeOldBacklog()
    this.fullSync.startDue()
    this.refreshGood()
  }

  private ping(): void {
    if (this.options.holdsStill()) return
    this.engine.flushPropagation()
    this.append(PING, 0, PING.length)
    this.flush()
  }

  /** Keeps the line to one that waits alive, and lets go of one that has said nothing for too long. */
  private check(replica: Replica): void {
    const { engine } = this
    const { now } = engine.keyspace
    const timeoutMs = engine.config.values.replTimeout * 1000
    const isStreamed = replica.state === "wait_end" && this.fullSync.target === "sockets"
    if (replica.state === "wait_start" || (replica.state === "wait_end" && !isStreamed)) {
      if (replica.directBytes === 0) replica.sendText("\n")
    } else if (replica.state === "online" && !replica.isOld && now - replica.heardAt > timeoutMs) {
      engine.log("warning", `Disconnecting timedout replica (streaming sync): ${replica.name}`)
      this.drop(replica)
    } else if (isStreamed && replica.directBytes > 0 && now - replica.tookAt > timeoutMs) {
      engine.log("warning", `Disconnecting timedout replica (full sync): ${replica.name}`)
      this.drop(replica)
    }
  }

  /**
   * Without a backlog our offset stands still while our data changes, so that the history must be another one afterwards: a
   * former replica could believe otherwise that it still has our data.
   */
  private freeOldBacklog(): void {
    const { engine, history } = this
    const { replBacklogTtl } = engine.config.values
    if (this.all.size > 0 || replBacklogTtl === 0 || !history.stream.isOpen || !this.options.isMaster()) return
    if (engine.keyspace.now - this.noneSince <= replBacklogTtl * 1000) return
    engine.flushPropagation()
    history.renew()
    this.closeStream()
    engine.log("notice", `Replication backlog freed after ${replBacklogTtl} seconds without connected replicas.`)
  }
}

function nothing(): void {}
