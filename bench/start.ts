/** Start-up: milliseconds from spawning the executable to its first PONG, with an empty folder and nothing to load. */

import { median } from "./report.ts"
import { type Candidate, inMemory, spawnServer, untilReady } from "./servers.ts"

export interface StartRow {
  /** Milliseconds, one per candidate, medians over the rounds. */
  ms: Record<string, number>
}

export async function measureStart(candidates: readonly Candidate[], rounds: number): Promise<StartRow> {
  const times = new Map(candidates.map(({ name }) => [name, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const candidate of round % 2 === 0 ? candidates : candidates.toReversed()) {
      const began = performance.now()
      await using server = spawnServer(candidate, inMemory)
      await untilReady(server)
      times.get(candidate.name)!.push(performance.now() - began)
    }
  }
  return { ms: Object.fromEntries([...times].map(([name, list]) => [name, median(list)])) }
}
