/**
 * WAIT and WAITAOF: wait until replicas have what a client has written, or until it is safe on disks.
 *
 * Who replicates or keeps the data safe says how far that has got (`local`, `receivedBy`, `syncedBy`), and calls `advanced`
 * when it is further. What is waited for is everything propagated up to the request, whoever wrote it: never less than the
 * client's own writes.
 */

import type { Call } from "../command/context.ts"
import { NOT_INTEGER, NOT_POSITIVE } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { readDeadlineMs } from "../families/deadline.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import type { Client } from "./client.ts"
import type { Engine } from "./engine.ts"
import { engineHandlers } from "./handler.ts"

/** A file that takes what is propagated. */
export interface LocalFile {
  /** Bytes it was handed since it was opened, and how many of them are synced. */
  readonly takenBytes: number
  readonly syncedBytes: number
}

interface Target {
  /** Byte of the append-only file, and offset of replication. */
  localOffset: number
  offset: number
}

export class Acknowledgements {
  /** The append-only file, while there is one. */
  local: LocalFile | undefined
  /** How many replicas have what was propagated until `offset` (as `replicaOffset` gave it), and have it on disk. */
  receivedBy: (offset: number) => number = () => 0
  syncedBy: (offset: number) => number = () => 0
  /** Where replication stands, with what this tick has propagated so far. */
  replicaOffset: () => number = () => 0
  /** Somebody waits: replicas should be asked how far they are. */
  onWaiting: () => void = () => {}

  private readonly engine: Engine
  private readonly targets = new Map<Client, Target>()

  constructor(engine: Engine) {
    this.engine = engine
    engine.clients.onGone.push(client => this.targets.delete(client))
  }

  /** Something is safe that was not: those that wait look again. */
  advanced(): void {
    if (this.targets.size > 0) this.engine.blocking.retryKeyless()
  }

  /** WAIT: until `wanted` replicas have it. */
  waitReceived(call: Call, client: Client, wanted: number, deadlineMs: number): void {
    const { offset } = this.targetOf(call, client)
    const received = () => this.receivedBy(offset)
    this.wait(call, client, deadlineMs, received() >= wanted, reply => reply.integer(received()))
  }

  /** WAITAOF: until it is on `local` disks of this server and on those of `replicas`. */
  waitSynced(call: Call, client: Client, local: number, replicas: number, deadlineMs: number): void {
    const { localOffset, offset } = this.targetOf(call, client)
    const here = () => (this.local !== undefined && this.local.syncedBytes >= localOffset ? 1 : 0)
    const there = () => this.syncedBy(offset)
    this.wait(call, client, deadlineMs, here() >= local && there() >= replicas, reply => {
      reply.array(2)
      reply.integer(here())
      reply.integer(there())
    })
  }

  /** What is waited for: as things stood when the command came. */
  private targetOf(call: Call, client: Client): Target {
    const known = call.retrying ? this.targets.get(client) : undefined
    if (known !== undefined) return known
    const pending = this.engine.propagator.bytesForFile
    const target = { localOffset: (this.local?.takenBytes ?? 0) + pending, offset: this.replicaOffset() }
    if (!client.denyBlocking) this.targets.set(client, target)
    return target
  }

  private wait(
    call: Call,
    client: Client,
    deadlineMs: number,
    met: boolean,
    answer: (reply: ReplyWriter) => void,
  ): void {
    const end = (reply: ReplyWriter) => {
      this.targets.delete(client)
      answer(reply)
    }
    if (met || client.denyBlocking) end(call.reply)
    else {
      if (!call.retrying) this.onWaiting()
      call.blocking.block(call, [], deadlineMs, end)
    }
  }
}

export function acknowledgementCommands(of: () => Engine): readonly CommandSpec[] {
  const on = engineHandlers(of)
  return [
    {
      name: "wait",
      since: "3.0.0",
      group: "generic",
      arity: 3,
      flags: "blocking",
      categories: "connection -keyspace",
      tips: "request_policy:all_shards response_policy:agg_min",
      syntax: "numreplicas:integer timeout:integer",
      summary: "Waits until replicas have the writes of this connection.",
      complexity: "O(1)",
      run: on(wait),
    },
    {
      name: "waitaof",
      since: "7.2.0",
      group: "generic",
      arity: 4,
      flags: "blocking",
      categories: "connection -keyspace",
      tips: "request_policy:all_shards response_policy:agg_min",
      syntax: "numlocal:integer numreplicas:integer timeout:integer",
      summary: "Waits until the writes of this connection are on disk here and on replicas.",
      complexity: "O(1)",
      run: on(waitaof),
    },
  ]
}

function wait(call: Call, engine: Engine, client: Client): void {
  const { args, reply } = call
  if (engine.config.values.replicaof !== undefined) {
    reply.error(
      "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured " +
        "to be writable (which is not the default) writes to replicas are just local and are not propagated.",
    )
    return
  }
  const wanted = args.int64(1)
  if (wanted === undefined) {
    reply.error(NOT_INTEGER)
    return
  }
  const deadlineMs = readDeadlineMs(call, 2)
  if (!Number.isNaN(deadlineMs)) engine.acknowledgements.waitReceived(call, client, Number(wanted), deadlineMs)
}

function waitaof(call: Call, engine: Engine, client: Client): void {
  const { reply } = call
  const { values } = engine.config
  const local = call.integer(1)
  if (Number.isNaN(local)) return
  if (local < 0 || local > 1) {
    reply.error("ERR value is out of range, value must between 0 and 1")
    return
  }
  const replicas = call.integer(2)
  if (Number.isNaN(replicas)) return
  if (replicas < 0) {
    reply.error(NOT_POSITIVE)
    return
  }
  const deadlineMs = readDeadlineMs(call, 3)
  if (Number.isNaN(deadlineMs)) return
  if (values.replicaof !== undefined) {
    reply.error(
      "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and " +
        "are not propagated.",
    )
  } else if (local > 0 && !values.appendonly) {
    reply.error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
  } else {
    engine.acknowledgements.waitSynced(call, client, local, replicas, deadlineMs)
  }
}
