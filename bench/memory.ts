/**
 * Memory: resident bytes of the whole process after a data set was loaded into a fresh server, once it has come to
 * rest. The empty server's share is memory somebody pays for, and not subtracted; what the data added is told beside it.
 */
import { type Dataset, load } from "./load.ts"
import { type Candidate, inMemory, type ServerProcess, startServer } from "./servers.ts"

export interface MemoryRow {
  dataset: string
  count: number
  /** Resident bytes of the process, by candidate. */
  residentBytes: Record<string, number>
  /** What it was before loading. */
  emptyBytes: Record<string, number>
}

interface MemoryCase {
  label: string
  dataset: Dataset
  count: number
}

/** The data sets; `full` adds ten million strings. */
export function memoryCases(mode: "quick" | "default" | "full"): MemoryCase[] {
  const million = 1_000_000
  if (mode === "quick") return [{ label: "1M strings (16 + 32 bytes)", dataset: "strings", count: million }]
  const cases: MemoryCase[] = [
    { label: "1M strings (16 + 32 bytes)", dataset: "strings", count: million },
    { label: "1M hashes of 5 fields", dataset: "hashes", count: million },
    { label: "one sorted set of 1M members", dataset: "zset", count: million },
    { label: "one hash of 1M fields", dataset: "hash", count: million },
    { label: "one list of 1M elements", dataset: "list", count: million },
    { label: "one stream of 1M entries", dataset: "stream", count: million },
  ]
  if (mode === "full") cases.push({ label: "10M strings (16 + 32 bytes)", dataset: "strings", count: 10 * million })
  return cases
}

/** Waits until the process has neither grown nor shrunk by 1 % for a second; 15 s at most. */
async function settled(server: ServerProcess): Promise<number> {
  let last = server.residentBytes()
  for (let i = 0, calm = 0; i < 60 && calm < 4; i++) {
    await Bun.sleep(250)
    const now = server.residentBytes()
    calm = Math.abs(now - last) < last / 100 ? calm + 1 : 0
    last = now
  }
  return last
}

export async function measureMemory(candidates: readonly Candidate[], each: MemoryCase): Promise<MemoryRow> {
  const row: MemoryRow = { dataset: each.label, count: each.count, residentBytes: {}, emptyBytes: {} }
  for (const candidate of candidates) {
    await using server = await startServer(candidate, inMemory)
    row.emptyBytes[candidate.name] = server.residentBytes()
    await load(server.port, each.dataset, each.count)
    row.residentBytes[candidate.name] = await settled(server)
  }
  return row
}
