/**
 * maxmemory: keeps what is stored below the limit, by evicting keys after each command that took it above, and refuses
 * commands that need memory when nothing can be evicted.
 *
 *   below ──a change, CONFIG SET, the clients' buffers──▶ above: evict
 *     ▲                                                    │ enough ──▶ below
 *     │                                                    │ out of time ──▶ catching up: a slice per turn of the loop
 *     └──────────────────────◀──────── enough ─────────────┤
 *                                                          └ nothing to evict ──▶ out of memory (MemoryLimit condition):
 *                                                            the gate tries again before each command
 *
 * Redis evicts before a command runs. Here it happens right after the change, which nobody can tell from outside, and which
 * keeps commands below the limit free of gates.
 *
 * A slice takes at most what maxmemory-eviction-tenacity allows (500 µs by default), and all slices of a tick together not
 * more, however many commands it has. Beyond that a command evicts only as much as it added, so that memory never grows
 * while the rest is worked off.
 *
 * What counts: the live bytes of the keyspace (exact, at once), and what lies beside (the program, clients' buffers, scripts),
 * as of the beginning of the tick. Buffers of replicas and of the append-only file do not count: evicting would fill them more.
 */

import type { RegisteredCommand } from "../command/registry.ts"
import { Flag } from "../command/registry.ts"
import { Evictor } from "../keyspace/eviction.ts"
import type { Client } from "./client.ts"
import { EngineCondition, effectiveFlags } from "./dispatch.ts"
import type { Engine } from "./engine.ts"

export const OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'."

const EVICTIONS_PER_LOOK_AT_CLOCK = 16
/** Of the tenacity scale: microseconds per step up to 10, then 15 % more per step; 100 has no bound. */
const TENACITY_LINEAR_MAX = 10
const TENACITY_STEP_MICROS = 50
const TENACITY_GROWTH = 1.15

const Outcome = { Below: 0, CatchingUp: 1, OutOfMemory: 2 } as const
type Outcome = (typeof Outcome)[keyof typeof Outcome]

export class MemoryLimit {
  readonly evictor: Evictor
  /** Bytes that count and are not in the keyspace. */
  beside: () => number = () => 0
  /** Measures again what `beside` tells only as of its last sample, where that can make a difference. */
  remeasure: () => void = () => {}
  /** A replica leaves eviction to its primary (replica-ignore-maxmemory). */
  isReplica: () => boolean = () => false
  /** Something took this long; asked for only while latency is monitored. */
  onLatency: (event: "eviction-cycle" | "eviction-del", ms: number) => void = () => {}
  /** Time that ended spent above the limit. */
  private exceededMicrosBefore = 0
  /** When the limit was passed (monotonic), -1 while it is kept. */
  private exceededSince = -1

  private readonly engine: Engine
  private limit = 0
  private sliceMicros = 0
  private besideBytes = -1
  private isRemeasured = false
  /** What counted after the last look: what is more now has been added since. */
  private lastCounted = 0
  private spentMicros = 0
  private scheduled = false
  private stopped = false

  constructor(engine: Engine) {
    this.engine = engine
    this.evictor = new Evictor(engine.keyspace)
    const { config } = engine
    const { afterChange } = engine
    engine.afterChange = () => {
      afterChange()
      if (this.limit !== 0 && engine.caller.nesting === 0) this.relieve()
    }
    engine.onTickEnd.push(() => {
      this.besideBytes = -1
      this.isRemeasured = false
      this.spentMicros = 0
    })
    const follow = (): undefined => this.follow()
    config.onChangeOfAny(
      ["maxmemory", "maxmemory-policy", "maxmemory-samples", "maxmemory-eviction-tenacity", "replica-ignore-maxmemory"],
      follow,
    )
    follow()
  }

  /** What maxmemory is compared with. O(databases). */
  get countedBytes(): number {
    if (this.besideBytes < 0) this.besideBytes = this.beside()
    return this.besideBytes + this.engine.keyspace.bytes
  }

  /** Whether memory was short, with nothing to evict, when the running command began; scripts refuse to write then. */
  get isOutOfMemory(): boolean {
    return (this.engine.conditions & EngineCondition.MemoryLimit) !== 0
  }

  get totalExceededMs(): number {
    return Math.floor((this.exceededMicrosBefore + this.currentExceededMicros) / 1000)
  }

  get currentExceededMs(): number {
    return Math.floor(this.currentExceededMicros / 1000)
  }

  resetStatistics(): void {
    this.exceededMicrosBefore = 0
    this.exceededSince = -1
  }

  /** Ten times a second: what lies beside the keyspace may have grown. */
  tick(): void {
    this.besideBytes = -1
    if (this.limit !== 0) this.relieve()
  }

  stop(): void {
    this.stopped = true
  }

  /** Whether a command that needs memory has to be refused: tries once more to evict. */
  refuses(): boolean {
    return this.relieve() === Outcome.OutOfMemory
  }

  private follow(): undefined {
    const { engine, evictor } = this
    const { maxmemory, maxmemoryEvictionTenacity, maxmemoryPolicy, maxmemorySamples } = engine.config.values
    evictor.setPolicy(maxmemoryPolicy)
    evictor.samples = maxmemorySamples
    this.sliceMicros = microsOfTenacity(maxmemoryEvictionTenacity)
    const isLower = maxmemory !== 0 && (this.limit === 0 || maxmemory < this.limit)
    this.limit = maxmemory
    this.besideBytes = -1
    if (maxmemory === 0) this.settle(Outcome.Below)
    else {
      const counted = this.countedBytes
      this.lastCounted = counted
      if (counted <= maxmemory) return undefined
      if (isLower) {
        engine.log(
          "warning",
          `The new maxmemory value (${maxmemory}) is smaller than the current memory usage (${counted}). Keys will be ` +
            "evicted, or the server will not accept new write commands, depending on the maxmemory-policy.",
        )
      }
      // The running command is not to be disturbed; the next one meets the gate, whoever sends it.
      engine.setCondition(EngineCondition.MemoryLimit, true)
      this.continueSoon()
    }
    return undefined
  }

  /** Evicts until below the limit, or out of time. Not while a command runs. */
  private relieve(): Outcome {
    const { engine } = this
    let counted = this.countedBytes
    if (counted > this.limit && !this.isRemeasured) {
      // Clients with a lot to be sent may have got it, or gone: no key should go for them.
      this.isRemeasured = true
      this.remeasure()
      this.besideBytes = -1
      counted = this.countedBytes
    }
    if (counted <= this.limit) {
      this.lastCounted = counted
      return this.settle(Outcome.Below)
    }
    if (!this.mayEvict()) return this.settle(Outcome.Below)
    const added = counted - this.lastCounted
    this.lastCounted = counted
    if (!this.evictor.evicts) return this.settle(Outcome.OutOfMemory)
    if (engine.config.values.latencyMonitorThreshold === 0) return this.settle(this.evict(counted - this.limit, added))
    const startedAt = engine.clock.monotonicMicros()
    const outcome = this.evict(counted - this.limit, added)
    this.onLatency("eviction-cycle", (engine.clock.monotonicMicros() - startedAt) / 1000)
    return this.settle(outcome)
  }

  /** Frees `toFree` bytes; of these at least `owed`, even when there is no time left. */
  private evict(toFree: number, owed: number): Outcome {
    const { clock, config } = this.engine
    const isTimed = config.values.latencyMonitorThreshold > 0
    const { evictor } = this
    let startedAt = -1
    let freed = 0
    let outcome: Outcome = Outcome.Below
    for (let evicted = 1; freed < toFree; evicted++) {
      if (!(isTimed ? this.evictTimed() : evictor.evictOne())) {
        outcome = Outcome.OutOfMemory
        break
      }
      freed += evictor.freedBytes
      // A command that is above the limit by no more than itself never gets to look at the clock.
      if (evicted % EVICTIONS_PER_LOOK_AT_CLOCK !== 0) continue
      const now = clock.monotonicMicros()
      if (startedAt < 0) startedAt = now
      if (this.spentMicros + now - startedAt >= this.sliceMicros && freed >= owed && freed < toFree) {
        outcome = Outcome.CatchingUp
        this.continueSoon()
        break
      }
    }
    if (startedAt >= 0) this.spentMicros += clock.monotonicMicros() - startedAt
    this.lastCounted -= freed
    return outcome
  }

  private evictTimed(): boolean {
    const { clock } = this.engine
    const startedAt = clock.monotonicMicros()
    const evicted = this.evictor.evictOne()
    this.onLatency("eviction-del", (clock.monotonicMicros() - startedAt) / 1000)
    return evicted
  }

  private settle(outcome: Outcome): Outcome {
    const { engine } = this
    if (outcome === Outcome.Below && this.exceededSince < 0 && !this.isOutOfMemory) return outcome
    engine.setCondition(EngineCondition.MemoryLimit, outcome === Outcome.OutOfMemory)
    if (outcome !== Outcome.Below) {
      if (this.exceededSince < 0) this.exceededSince = engine.clock.monotonicMicros()
    } else if (this.exceededSince >= 0) {
      this.exceededMicrosBefore += this.currentExceededMicros
      this.exceededSince = -1
    }
    return outcome
  }

  /** Not while loading, paused, or in the midst of a script; nor on a replica that is told not to. */
  private mayEvict(): boolean {
    const { engine } = this
    if ((engine.conditions & (EngineCondition.Loading | EngineCondition.BusyScript)) !== 0) return false
    if (engine.pause.mode !== "none") return false
    return !(engine.config.values.replicaIgnoreMaxmemory && this.isReplica())
  }

  private continueSoon(): void {
    if (this.scheduled || this.stopped) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      if (this.stopped || this.limit === 0) return
      this.engine.refreshTime()
      this.relieve()
      this.engine.endTick()
    })
  }

  private get currentExceededMicros(): number {
    return this.exceededSince < 0 ? 0 : this.engine.clock.monotonicMicros() - this.exceededSince
  }
}

function microsOfTenacity(tenacity: number): number {
  if (tenacity <= TENACITY_LINEAR_MAX) return tenacity * TENACITY_STEP_MICROS
  if (tenacity >= 100) return Number.POSITIVE_INFINITY
  return TENACITY_LINEAR_MAX * TENACITY_STEP_MICROS * TENACITY_GROWTH ** (tenacity - TENACITY_LINEAR_MAX)
}

/** Commands that need memory are refused when it is short and nothing can be evicted. */
export function memoryGate(engine: Engine, client: Client, command: RegisteredCommand): string | undefined {
  if ((engine.conditions & EngineCondition.MemoryLimit) === 0 || !engine.memoryLimit.refuses()) return undefined
  return (effectiveFlags(client, command) & Flag.DenyOom) !== 0 ? OUT_OF_MEMORY : undefined
}
