/**
 * WAITAOF: waits until what a client has written is safe on this server's disk and on those of replicas.
 *
 * Who keeps the data safe says how far that has got (`local`, `replicas`), and calls `advanced` when it is further. What is
 * waited for is everything propagated up to the request, whoever wrote it: never less than the client's own writes.
 */

import type { Call } from "../command/context.ts"
import { NOT_POSITIVE, TIMEOUT_NEGATIVE } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
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

export class Acknowledgements {
  /** The append-only file, while there is one. */
  local: LocalFile | undefined
  /** How many replicas have on disk what was propagated until `offset` (as `replicaOffset` gave it). */
  replicas: (offset: number) => number = () => 0
  /** Where replication stands, with what this tick has propagated so far. */
  replicaOffset: () => number = () => 0

  private readonly engine: Engine
  private readonly targets = new Map<Client, { local: number; replicas: number }>()

  constructor(engine: Engine) {
    this.engine = engine
    engine.clients.onGone.push(client => this.targets.delete(client))
  }

  /** Something is safe that was not: those that wait look again. */
  advanced(): void {
    if (this.targets.size > 0) this.engine.blocking.retryKeyless()
  }

  wait(call: Call, client: Client, local: number, replicas: number, deadlineMs: number): void {
    let target = call.retrying ? this.targets.get(client) : undefined
    if (target === undefined) {
      const pending = this.engine.propagator.writer.at
      target = { local: (this.local?.takenBytes ?? 0) + pending, replicas: this.replicaOffset() }
    }
    const { local: localOffset, replicas: replicaOffset } = target
    const locals = () => (this.local !== undefined && this.local.syncedBytes >= localOffset ? 1 : 0)
    const answer = (reply: ReplyWriter) => {
      this.targets.delete(client)
      reply.array(2)
      reply.integer(locals())
      reply.integer(this.replicas(replicaOffset))
    }
    if ((locals() >= local && this.replicas(replicaOffset) >= replicas) || client.denyBlocking) {
      answer(call.reply)
      return
    }
    this.targets.set(client, target)
    call.blocking.block(call, [], deadlineMs, answer)
  }
}

export function acknowledgementCommands(of: () => Engine): readonly CommandSpec[] {
  const on = engineHandlers(of)
  return [
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

function waitaof(call: Call, engine: Engine, client: Client): void {
  const { args, reply } = call
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
  const timeoutMs = args.int64(3)
  if (timeoutMs === undefined) reply.error("ERR timeout is not an integer or out of range")
  else if (timeoutMs < 0) reply.error(TIMEOUT_NEGATIVE)
  else if (typeof timeoutMs === "bigint") reply.error("ERR timeout is out of range")
  else if (values.replicaof !== undefined) {
    reply.error(
      "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and " +
        "are not propagated.",
    )
  } else if (local > 0 && !values.appendonly) {
    reply.error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
  } else {
    const deadlineMs = timeoutMs === 0 ? 0 : call.now + timeoutMs
    engine.acknowledgements.wait(call, client, local, replicas, deadlineMs)
  }
}
