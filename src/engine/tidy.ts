/**
 * Has garbage collected when the server falls quiet after a burst. The runtime collects by the growth of its own heap, which
 * hardly grows here: what a burst leaves behind is the chunks it arrived in, up to tens of megabytes that nothing would ask
 * back. The collection is a concurrent one (measured: under a millisecond on the serving thread).
 */

import type { Engine } from "./engine.ts"

/** Bytes received since the last collection that make another worth while. */
const RECEIVED_BYTES_MIN = 8 * 1024 * 1024

export class Tidy {
  private readonly engine: Engine
  private readonly collect: () => void
  private commandsSeen = 0
  private bytesCollected = 0

  constructor(engine: Engine, collect: () => void) {
    this.engine = engine
    this.collect = collect
  }

  /** Once a second. */
  check(): void {
    const { commandsProcessed, bytesIn } = this.engine
    // A few commands a second, an exporter's or a health check's, are quiet too.
    const quiet = commandsProcessed - this.commandsSeen < 100
    this.commandsSeen = commandsProcessed
    if (!quiet || bytesIn - this.bytesCollected < RECEIVED_BYTES_MIN) return
    this.bytesCollected = bytesIn
    this.collect()
  }
}
