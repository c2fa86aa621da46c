/**
 * Before a master ends, its replicas get the time to catch up (shutdown-timeout): writes wait, and the end comes when all have
 * acknowledged everything, or when the time is over.
 */

import type { Engine } from "../engine/engine.ts"
import { REPLICA_STATE_NAMES, type Replica } from "./replica.ts"
import type { Replicas } from "./replicas.ts"

const PAUSE_NAME = "shutdown"

export class Farewell {
  private readonly engine: Engine
  private readonly replicas: Replicas
  private deadlineMs = 0
  private ready: (() => void) | undefined

  constructor(engine: Engine, replicas: Replicas) {
    this.engine = engine
    this.replicas = replicas
  }

  get isWaiting(): boolean {
    return this.ready !== undefined
  }

  /** For INFO: how much longer it can take. */
  get remainingMs(): number {
    return this.isWaiting ? Math.max(0, this.deadlineMs - this.engine.clock.wall()) : 0
  }

  /** Calls `ready` when the server may end. False, and nothing is waited for, when it may end now. */
  begin(ready: () => void): boolean {
    const { engine } = this
    const { shutdownTimeout } = engine.config.values
    if (shutdownTimeout === 0 || this.lagging().length === 0) return false
    this.deadlineMs = engine.clock.wall() + shutdownTimeout * 1000
    this.ready = ready
    this.replicas.requestAcks()
    engine.pause.begin(PAUSE_NAME, "write", Number.MAX_SAFE_INTEGER)
    engine.log("notice", "Waiting for replicas before shutting down.")
    return true
  }

  cancel(): void {
    this.ready = undefined
    this.engine.pause.end(PAUSE_NAME)
  }

  /** Ten times a second. */
  tick(): void {
    const { ready } = this
    if (ready === undefined) return
    if (this.lagging().length > 0 && this.engine.clock.wall() < this.deadlineMs) return
    this.ready = undefined
    ready()
  }

  /** Tells the log who has everything and who has not. */
  report(): void {
    const { engine, replicas } = this
    if (replicas.all.size === 0) return
    const lagging = this.lagging()
    for (const replica of lagging) {
      const lag = replica.state === "online" ? replicas.lagSeconds(replica) : 0
      engine.log(
        "notice",
        `Lagging replica ${replica.name} reported offset ${replicas.offset - replica.ackOffset} behind master, ` +
          `lag=${lag}, state=${REPLICA_STATE_NAMES[replica.state]}.`,
      )
    }
    const { size } = replicas.all
    engine.log("notice", `${size - lagging.length} of ${size} replicas are in sync when shutting down.`)
  }

  private lagging(): Replica[] {
    this.engine.flushPropagation()
    return [...this.replicas.all].filter(({ ackOffset }) => ackOffset !== this.replicas.offset)
  }
}
