/**
 * Everything that watches the server without being part of its work: statistics, rates, slow log, latency, monitors,
 * memory. Hangs itself on the engine's hooks; `sample` is called ten times a second.
 */

import type { RegisteredCommand } from "../command/registry.ts"
import type { Client } from "../engine/client.ts"
import type { Engine } from "../engine/engine.ts"
import type { Arguments } from "../resp/arguments.ts"
import { Histogram } from "./histogram.ts"
import { HotKeys } from "./hot-keys.ts"
import { Info } from "./info.ts"
import { LatencyMonitor } from "./latency.ts"
import { MemoryUse } from "./memory-use.ts"
import { Monitors } from "./monitor.ts"
import { Rate } from "./rates.ts"
import { LARGE_REPLY, LARGE_REQUEST, SlowLog } from "./slowlog.ts"

/** What lies beside the engine; the composition root fills in what exists. */
export interface ObserverPorts {
  /** The TCP port in use. */
  port?: () => number
  /** Lines of INFO that say where connections are taken. */
  listeners?: () => [field: string, text: string][]
  configFile?: string | undefined
  /** The `user` lines for CONFIG REWRITE. */
  userLines?: () => readonly string[]
  /** The periodic work, as DEBUG PAUSE-CRON stops it. */
  cron?: { paused: boolean }
  /** DEBUG LOADAOF and DEBUG RELOAD; the text is an error reply. */
  loadAof?: () => string | undefined
  reload?: (options: { save: boolean; flush: boolean; merge: boolean }) => string | undefined
  /** Unix time in seconds of the last successful save. */
  lastSave?: () => number
  /** SAVE-like state: DEBUG CHANGE-REPL-ID. */
  changeReplicationId?: () => void
}

const SAMPLES_PER_SECOND = 10
/** With maxmemory set, what so few clients hold is summed up at each sample. */
const OFTEN_SAMPLED_CLIENTS_MAX = 200
/** With maxmemory exceeded, clients are measured once more if they held this much together. */
const BUSY_BYTES_MIN = 64 * 1024
const BUSY_CLIENT_BYTES_MIN = 8 * 1024

export class Observer {
  readonly engine: Engine
  readonly ports: ObserverPorts = {}
  readonly info: Info
  readonly slowlog: SlowLog
  readonly largeRequests: SlowLog
  readonly largeReplies: SlowLog
  readonly hotKeys: HotKeys
  readonly latency: LatencyMonitor
  readonly monitors: Monitors
  readonly memory: MemoryUse
  /** By command id; made when first needed. */
  readonly histograms: (Histogram | undefined)[] = []
  readonly operationRate = new Rate()
  readonly inputRate = new Rate()
  readonly outputRate = new Rate()
  readonly cycleRate = new Rate()
  /** For INFO debug: the longest command, the most commands of one tick, time spent on periodic work. */
  longestMicros = 0
  commandsPerTickMax = 0
  cronMicros = 0
  private commandsAtTickEnd = 0
  /** CONFIG RESETSTAT: subsystems reset what they count. */
  readonly onResetStatistics: (() => void)[] = []
  /** What the counters of the engine stood at when they were last reset. */
  private samples = 0

  constructor(engine: Engine) {
    this.engine = engine
    this.slowlog = new SlowLog(engine)
    this.largeRequests = new SlowLog(engine, LARGE_REQUEST)
    this.largeReplies = new SlowLog(engine, LARGE_REPLY)
    this.hotKeys = new HotKeys(engine, () => this.adaptTiming())
    this.latency = new LatencyMonitor(engine)
    this.monitors = new Monitors(engine, () => this.adaptTiming())
    this.memory = new MemoryUse(engine)
    engine.memoryLimit.beside = () => this.memory.beside
    engine.memoryLimit.remeasure = () => {
      const { size } = engine.clients
      if (size > OFTEN_SAMPLED_CLIENTS_MAX || this.memory.clients < BUSY_BYTES_MIN + size * BUSY_CLIENT_BYTES_MIN)
        return
      this.memory.sampleClients()
    }
    engine.memoryLimit.onLatency = (event, ms) => this.latency.note(event, ms)
    this.info = new Info(this)
    this.hook()
    this.adaptTiming()
  }

  private hook(): void {
    const { engine } = this
    const { config } = engine
    const onTimed = engine.onTimed
    engine.onTimed = (client, command, args, micros, retrying) => {
      onTimed(client, command, args, micros, retrying)
      this.noteTimed(client, command, args, micros, retrying)
    }
    const { beforeCommand, afterCommand } = engine
    engine.beforeCommand = (client, command, args) => {
      beforeCommand(client, command, args)
      if (client.noTouch && command.fullName !== "touch") engine.keyspace.touching = false
    }
    engine.afterCommand = (client, command, args) => {
      engine.keyspace.touching = true
      afterCommand(client, command, args)
    }
    config.onChangeOfAny(["slowlog-log-slower-than", "slowlog-max-len"], () => {
      this.slowlog.trim()
      this.adaptTiming()
      return undefined
    })
    const adaptSizes = (): undefined => {
      this.largeRequests.trim()
      this.largeReplies.trim()
      engine.caller.requestBytesMax = this.largeRequests.threshold
      engine.caller.replyBytesMax = this.largeReplies.threshold
    }
    config.onChangeOfAny(
      [
        "commandlog-request-larger-than",
        "commandlog-reply-larger-than",
        "commandlog-large-request-max-len",
        "commandlog-large-reply-max-len",
      ],
      adaptSizes,
    )
    adaptSizes()
    engine.caller.onLarge = (client, command, args, requestBytes, replyBytes) => {
      if (requestBytes >= engine.caller.requestBytesMax) this.largeRequests.note(client, command, args, requestBytes)
      if (replyBytes >= engine.caller.replyBytesMax) this.largeReplies.note(client, command, args, replyBytes)
    }
    engine.onTickEnd.push(() => {
      this.commandsPerTickMax = Math.max(this.commandsPerTickMax, engine.commandsProcessed - this.commandsAtTickEnd)
      this.commandsAtTickEnd = engine.commandsProcessed
    })
    config.onChange("latency-tracking", on => {
      if (!on) this.histograms.length = 0
      else for (const command of engine.registry.all) command.wasTimed = false
      return undefined
    })
  }

  /** Unix time in seconds of the last successful save; without one, of the start. */
  get lastSave(): number {
    return this.ports.lastSave?.() ?? Math.floor(this.engine.startedAt / 1000)
  }

  /** Ten times a second. */
  sample(): void {
    const { engine } = this
    const micros = engine.clock.monotonicMicros()
    this.operationRate.sample(engine.commandsProcessed, micros)
    this.inputRate.sample(engine.bytesIn, micros)
    this.outputRate.sample(engine.output.bytesOut, micros)
    this.cycleRate.sample(engine.ticks, micros)
    const often = engine.config.values.maxmemory > 0 && engine.clients.size <= OFTEN_SAMPLED_CLIENTS_MAX
    if (this.samples++ % SAMPLES_PER_SECOND === 0 || often) this.memory.sampleClients()
    this.memory.notePeak()
    this.hotKeys.check()
    this.cronMicros += engine.clock.monotonicMicros() - micros
  }

  /** CONFIG RESETSTAT. */
  resetStatistics(): void {
    const { engine } = this
    engine.registry.resetStatistics()
    engine.commandsProcessed = 0
    engine.bytesIn = 0
    engine.reads = 0
    engine.ticks = 0
    engine.output.bytesOut = 0
    engine.output.writes = 0
    engine.errorReplies = 0
    engine.errorCounts.clear()
    engine.clients.accepted = 0
    engine.clients.rejected = 0
    engine.clients.overQueryLimit = 0
    engine.clients.overOutputLimit = 0
    const { events } = engine.keyspace
    events.hits = 0
    events.misses = 0
    events.expiredKeys = 0
    events.expiredFields = 0
    events.evictedKeys = 0
    engine.memoryLimit.resetStatistics()
    events.lazyfreed = 0
    this.commandsAtTickEnd = 0
    this.commandsPerTickMax = 0
    this.longestMicros = 0
    this.histograms.length = 0
    for (const rate of [this.operationRate, this.inputRate, this.outputRate, this.cycleRate]) rate.reset()
    this.memory.resetPeak()
    for (const listener of this.onResetStatistics) listener()
  }

  private adaptTiming(): void {
    this.engine.caller.timesAll = this.slowlog.timesAll || this.monitors.size > 0 || this.hotKeys.isActive
  }

  private noteTimed(
    client: Client,
    command: RegisteredCommand,
    args: Arguments,
    micros: number,
    retrying: boolean,
  ): void {
    if (this.hotKeys.isActive) this.hotKeys.note(client, command, args, micros, retrying)
    if (this.monitors.size > 0 && !retrying) this.monitors.feed(client, command, args)
    this.longestMicros = Math.max(this.longestMicros, micros)
    if (this.engine.config.values.latencyTracking && (!client.blocked || retrying)) {
      let histogram = this.histograms[command.id]
      if (histogram === undefined) {
        histogram = new Histogram()
        this.histograms[command.id] = histogram
      }
      histogram.add(micros)
    }
    // A command that waits is judged by how long it takes when it is run again.
    if (client.blocked && !retrying) return
    this.slowlog.note(client, command, args, micros)
    this.latency.noteCommand(command, micros)
  }
}
