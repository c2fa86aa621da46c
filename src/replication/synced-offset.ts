/**
 * How much of the master's stream is safe on our disk. The append-only file counts its own bytes, so places of the stream are
 * noted beside places of the file; when the file is synced up to one, so is the stream.
 */

import type { Engine } from "../engine/engine.ts"
import type { LocalAof } from "./link-ports.ts"

/** Places noted; when there are more, the disk hangs, and every second one does as well. */
const PLACES_MAX = 1024

export class SyncedOffset {
  private readonly engine: Engine
  private readonly local: () => LocalAof | undefined
  private places: { taken: number; offset: number }[] = []
  private safe = -1
  /** Offset of the data that the file's first base is being made of; -1 when it has one. */
  private base = -1
  private file: LocalAof | undefined

  constructor(engine: Engine, local: () => LocalAof | undefined) {
    this.engine = engine
    this.local = local
  }

  /** All data is new, and so are offsets: what was noted is about another stream. */
  restart(): void {
    this.file = undefined
    this.places = []
    this.safe = this.base = -1
  }

  /** The stream up to `offset` has been applied, and what came of it handed to the file at the end of the tick. */
  note(offset: number): void {
    const file = this.local()
    if (file !== this.file) {
      this.places = []
      this.safe = -1
      this.base = file?.isWaiting ? offset : -1
      this.file = file
    }
    if (file === undefined) return
    if (file.isWaiting) {
      if (this.base < 0) this.base = offset
    } else if (this.base >= 0) {
      this.safe = Math.max(this.safe, this.base)
      this.base = -1
    }
    const last = this.places.at(-1)
    if (last !== undefined && last.offset >= offset) return
    this.places.push({ taken: file.takenBytes + this.engine.propagator.bytesForFile, offset })
    if (this.places.length > PLACES_MAX) this.places = this.places.filter((_, i) => i % 2 === 1)
  }

  /** Bytes of the stream that are safe; undefined without a file. */
  offset(applied: number): number | undefined {
    this.note(applied)
    if (this.file === undefined) return undefined
    // Until there is a base, the file alone is worth nothing.
    if (this.base >= 0) return 0
    while (this.places.length > 0 && this.places[0]!.taken <= this.file.syncedBytes) {
      this.safe = Math.max(this.safe, this.places.shift()!.offset)
    }
    return Math.max(0, this.safe)
  }
}
