/**
 * What happens by itself: ten times a second the time moves on, the expire cycle and the lazy free queue get their slices,
 * idle clients are let go; once a second the files are synced. Work that is left over goes on in short slices between
 * requests, so that no client waits for more than one of them.
 */

import { EngineCondition } from "./dispatch.ts"
import type { Engine } from "./engine.ts"

export const TICKS_PER_SECOND = 10
/** Clients looked at for idleness per tick, at least. */
const CLIENTS_PER_TICK_MIN = 50
/** Expiry and freeing may take this long in one go before requests get their turn. */
const SLICE_MICROS_MAX = 1000

export class Cron {
  /** DEBUG PAUSE-CRON. */
  paused = false
  ticks = 0
  /** Called ten times a second, and once a second. */
  readonly onTick: (() => void)[] = []
  readonly onSecond: (() => void)[] = []

  private readonly engine: Engine
  private timer: ReturnType<typeof setInterval> | undefined
  private working = false
  private idleSweep: IterableIterator<number> | undefined

  constructor(engine: Engine) {
    this.engine = engine
  }

  start(): void {
    this.timer = setInterval(() => this.tick(), 1000 / TICKS_PER_SECOND)
  }

  stop(): void {
    clearInterval(this.timer)
    this.timer = undefined
  }

  /** One tick by hand, for tests with a clock of their own. */
  tick(): void {
    if (this.paused) return
    const { engine } = this
    // Nothing changes beside a script; it goes on where it was.
    if ((engine.conditions & EngineCondition.BusyScript) !== 0) {
      engine.endTick()
      return
    }
    engine.refreshTime()
    this.ticks++
    for (const run of this.onTick) run()
    if (this.ticks % TICKS_PER_SECOND === 0) for (const run of this.onSecond) run()
    this.closeIdle()
    this.work()
  }

  /** Expiry and freeing, until done or out of time; then once more after the requests that wait. */
  private work(): void {
    const { engine } = this
    const { keyspace, clock } = engine
    const until = clock.monotonicMicros() + SLICE_MICROS_MAX
    let more = true
    do {
      const expiring = keyspace.expireSlice()
      const fields = keyspace.fieldExpiry.slice()
      const members = keyspace.memberExpiry.slice()
      const freeing = keyspace.freeSlice()
      more = expiring || fields || members || freeing
    } while (more && clock.monotonicMicros() < until)
    engine.endTick()
    if (!more || this.working) return
    this.working = true
    setImmediate(() => {
      this.working = false
      if (this.timer === undefined || (engine.conditions & EngineCondition.BusyScript) !== 0) return
      engine.refreshTime()
      this.work()
    })
  }

  /** Lets clients go that have said nothing for `timeout` seconds; a part of them per tick. */
  private closeIdle(): void {
    const { engine } = this
    const idleSecondsMax = engine.config.values.timeout
    const { byId } = engine.clients
    if (idleSecondsMax === 0 || byId.size === 0) return
    let count = Math.max(CLIENTS_PER_TICK_MIN, Math.ceil(byId.size / TICKS_PER_SECOND))
    while (count-- > 0) {
      this.idleSweep ??= byId.keys()
      const next = this.idleSweep.next()
      if (next.done) {
        this.idleSweep = undefined
        return
      }
      const client = byId.get(next.value)
      if (client === undefined || client.isReplica || client.isMaster) continue
      if (client.blocked || client.subscriptions !== undefined) continue
      if (engine.keyspace.now - client.seenAt > idleSecondsMax * 1000) {
        engine.log("verbose", "Closing idle client")
        engine.clients.terminate(client)
      }
    }
  }
}
