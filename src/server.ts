/**
 * The composition root: makes the parts and wires every port. All state hangs off a Server; several can live in one process.
 */

import { CommandRegistry } from "./command/registry.ts"
import type { Config } from "./config/config.ts"
import { authenticationGate, diskErrorGate, loadingGate } from "./engine/dispatch.ts"
import { Engine, type LogLevel } from "./engine/engine.ts"
import { families } from "./families.ts"
import { type Clock, systemClock } from "./keyspace/clock.ts"
import { Keyspace } from "./keyspace/keyspace.ts"
import { Listener } from "./net/listener.ts"

export interface ServerOptions {
  config: Config
  clock?: Clock
  /** Seeds the hash key and all random choices; by default a random one. */
  seed?: number
  log?: (level: LogLevel, message: string) => void
}

export class Server {
  readonly config: Config
  readonly engine: Engine
  readonly listener: Listener
  /** The TCP port in use, 0 when there is none. */
  port = 0

  constructor(options: ServerOptions) {
    const { config } = options
    this.config = config
    const seed = options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!
    const keyspace = new Keyspace({ databases: config.values.databases, seed })
    const registry = new CommandRegistry(families)
    this.engine = new Engine({
      config,
      keyspace,
      registry,
      clock: options.clock ?? systemClock,
      gates: [authenticationGate, loadingGate, diskErrorGate],
      log: options.log ?? (() => {}),
    })
    this.engine.requestTick = () => setImmediate(() => this.engine.endTick())
    this.listener = new Listener(this.engine, { refusesStrangers: () => config.values.protectedMode })
  }

  start(): void {
    this.port = this.listener.listenTcp("127.0.0.1", this.config.values.port)
  }
}
