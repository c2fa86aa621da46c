/**
 * Clients that waited and may go on. They do so at the end of the tick, never inside another client's command: first with
 * the request that was postponed, if there is one, then with those that arrived since.
 */

import type { Arguments } from "../resp/arguments.ts"
import type { Client } from "./client.ts"
import type { Engine } from "./engine.ts"

export class Resumption {
  private readonly engine: Engine
  private queue: { client: Client; postponed: Arguments | undefined }[] = []
  private running = false

  constructor(engine: Engine) {
    this.engine = engine
    engine.onTickEnd.push(() => this.run())
  }

  /** @param postponed a request to run first, owned */
  add(client: Client, postponed?: Arguments): void {
    this.queue.push({ client, postponed })
    this.engine.wakeTick()
  }

  /** Until nobody is left: the requests of one may let others go on. */
  private run(): void {
    if (this.queue.length === 0 || this.running) return
    this.running = true
    const { output } = this.engine
    const before = output.open(undefined)
    while (this.queue.length > 0) {
      const batch = this.queue
      this.queue = []
      for (const { client, postponed } of batch) this.resume(client, postponed)
    }
    output.open(before)
    this.running = false
  }

  private resume(client: Client, postponed: Arguments | undefined): void {
    if (client.gone || client.closing) return
    if (postponed !== undefined) {
      client.unblock()
      this.engine.output.open(client)
      this.engine.run(client, postponed)
      this.engine.output.close()
    }
    if (!client.suspended) client.requests?.resume()
  }
}
