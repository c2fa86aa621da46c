/**
 * How much memory is in use. What is stored is accounted for exactly by the keyspace; the program itself is what the
 * runtime's heap held at the start; clients are estimated. So the number moves with the data, not with the collector.
 */

import { readFileSync } from "node:fs"
import { clientBytes, detailsOf } from "../engine/client-description.ts"
import type { Engine } from "../engine/engine.ts"

/** The parts of the dataset's cost that are not keys and values: an estimate per database that is in use. */
const DATABASE_BYTES = 1024

/** Names in `others` that do not count for maxmemory. */
const NOT_COUNTED: ReadonlySet<string> = new Set(["aof", "replica buffers"])

export class MemoryUse {
  private readonly engine: Engine
  /** What the program took before it held any data. */
  readonly startup: number
  peak = 0
  /** Unix time in seconds of the peak. */
  peakTime = 0
  /** As of the last sample. */
  clients = 0
  replicas = 0
  /** Bytes of subsystems (scripts, backlog …), each with a name; added up in `used`. */
  readonly others = new Map<string, () => number>()

  constructor(engine: Engine) {
    this.engine = engine
    this.startup = process.memoryUsage().heapUsed
  }

  /** used_memory. O(databases). */
  get used(): number {
    return this.engine.keyspace.bytes + this.beside + this.notCounted
  }

  /** What is not in the keyspace and counts for maxmemory all the same. */
  get beside(): number {
    let sum = this.startup + this.clients
    for (const [name, bytes] of this.others) if (!NOT_COUNTED.has(name)) sum += bytes()
    return sum
  }

  /** Buffers that evicting keys would only fill more: maxmemory does not count them. */
  get notCounted(): number {
    let sum = this.replicas
    for (const name of NOT_COUNTED) sum += this.other(name)
    return sum
  }

  other(name: string): number {
    return this.others.get(name)?.() ?? 0
  }

  /** Memory that is neither data nor the program: clients, buffers, the frames of databases. */
  get overhead(): number {
    let sum = this.beside + this.notCounted
    for (const db of this.engine.keyspace.databases) if (db.keys.size > 0) sum += DATABASE_BYTES
    return sum
  }

  /** Once a second: sums up the clients. O(clients). */
  sampleClients(): void {
    let normal = 0
    let replicas = 0
    const { engine } = this
    for (const client of engine.clients.byId.values()) {
      const bytes = clientBytes(client, detailsOf(engine, client))
      // What is yet to be sent to replicas lies in the stream that they share.
      if (client.isReplica) replicas += bytes - client.pendingBytes
      else normal += bytes
    }
    this.clients = normal
    this.replicas = replicas
  }

  notePeak(): void {
    const { used } = this
    if (used <= this.peak) return
    this.peak = used
    this.peakTime = Math.floor(this.engine.keyspace.now / 1000)
  }

  resetPeak(): void {
    this.peak = this.used
  }
}

let pageBytes = 0

/** Resident bytes of the whole process. */
export function residentBytes(): number {
  if (process.platform !== "linux") return process.memoryUsage().rss
  try {
    const pages = Number(readFileSync("/proc/self/statm", "latin1").split(" ")[1])
    if (pageBytes === 0) pageBytes = pageSize(pages)
    return pages * pageBytes
  } catch {
    return process.memoryUsage().rss
  }
}

/** The power of two that makes the pages come out nearest to what the runtime says. */
function pageSize(pages: number): number {
  return 2 ** Math.round(Math.log2(process.memoryUsage().rss / pages))
}
