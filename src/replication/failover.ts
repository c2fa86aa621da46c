/**
 * FAILOVER: a master hands its role over to one of its replicas without losing a write.
 *
 *   no-failover ──FAILOVER──▶ waiting-for-sync ──a replica has it all──▶ failover-in-progress ──PSYNC accepted──▶ no-failover
 *        ▲                        │ writes are paused                        │ we are its replica, and ask it to lead
 *        └──────── ABORT, timeout ┴──────────── ABORT, refused: we lead again ┘
 */

import type { Engine } from "../engine/engine.ts"
import type { Replica } from "./replica.ts"
import type { Replicas } from "./replicas.ts"

export type FailoverState = "no-failover" | "waiting-for-sync" | "failover-in-progress"

export interface FailoverRequest {
  target: { host: string; port: number } | undefined
  /** 0 waits for ever. */
  timeoutMs: number
  /** When the time is over, hand over all the same. */
  force: boolean
}

export interface FailoverOptions {
  engine: Engine
  replicas: Replicas
  follow: (host: string, port: number) => void
  lead: () => void
}

const PAUSE_NAME = "failover"

export class Failover {
  state: FailoverState = "no-failover"
  private readonly options: FailoverOptions
  private target: { host: string; port: number } | undefined
  private deadlineMs = 0
  private force = false

  constructor(options: FailoverOptions) {
    this.options = options
  }

  /** Nothing but data may enter the stream: a ping would put off the moment at which a replica has it all. */
  get holdsStill(): boolean {
    return this.state !== "no-failover" && this.deadlineMs > 0
  }

  begin({ target, timeoutMs, force }: FailoverRequest): void {
    const { engine } = this.options
    engine.log(
      "notice",
      target === undefined
        ? "FAILOVER requested to any replica."
        : `FAILOVER requested to ${target.host}:${target.port}.`,
    )
    this.target = target
    this.force = force
    this.deadlineMs = timeoutMs > 0 ? engine.keyspace.now + timeoutMs : 0
    this.state = "waiting-for-sync"
    engine.pause.begin(PAUSE_NAME, "write", Number.MAX_SAFE_INTEGER)
  }

  abort(reason: string): void {
    if (this.state === "no-failover") return
    const to = this.target === undefined ? "any replica" : `${this.target.host}:${this.target.port}`
    this.options.engine.log("notice", `FAILOVER to ${to} aborted: ${reason}`)
    if (this.state === "failover-in-progress") this.options.lead()
    this.clear()
  }

  /** The replica has answered our PSYNC … FAILOVER. */
  answered(accepted: boolean): void {
    if (this.state !== "failover-in-progress") return
    if (accepted) this.clear()
    else this.abort("Failover target rejected psync request")
  }

  /** Looks whether a replica has everything, or the time is over. */
  tick(): void {
    if (this.state !== "waiting-for-sync") return
    const { engine } = this.options
    if (this.deadlineMs > 0 && this.deadlineMs <= engine.keyspace.now) {
      if (!this.force || this.target === undefined) {
        this.abort("Replica never caught up before timeout")
        return
      }
      engine.log("notice", `FAILOVER to ${this.target.host}:${this.target.port} time out exceeded, failing over.`)
      this.handOver(this.target)
      return
    }
    const replica = this.findReady()
    if (replica === undefined) {
      return
    }
    const target = this.target ?? { host: replica.host, port: replica.terms.listeningPort }
    engine.log("notice", `Failover target ${target.host}:${target.port} is synced, failing over.`)
    this.handOver(target)
  }

  private findReady(): Replica | undefined {
    const { replicas, engine } = this.options
    engine.flushPropagation()
    const { offset } = replicas
    if (this.target !== undefined) {
      const replica = replicas.find(this.target.host, this.target.port)
      return replica?.ackOffset === offset ? replica : undefined
    }
    for (const replica of replicas.all) if (replica.ackOffset === offset) return replica
    return undefined
  }

  private handOver(target: { host: string; port: number }): void {
    this.target = target
    this.state = "failover-in-progress"
    this.options.follow(target.host, target.port)
  }

  private clear(): void {
    this.state = "no-failover"
    this.target = undefined
    this.deadlineMs = 0
    this.force = false
    this.options.engine.pause.end(PAUSE_NAME)
  }
}
