/**
 * Stalls: the longest reply a 1 kHz PING sees while something large happens. Each step runs on both servers; a step
 * whose commands a server does not know is left out for that server.
 */
import { type Dataset, load } from "./load.ts"
import { probe, type Stall } from "./probe.ts"
import { type Candidate, type Client, inMemory, type ServerProcess, startServer } from "./servers.ts"

export interface StallRow {
  step: string
  /** By candidate; absent where the server cannot do it. */
  stalls: Record<string, Stall>
}

interface Step {
  label: string
  /** What must exist beforehand. */
  prepare?: (server: ServerProcess, client: Client) => Promise<unknown>
  work: (server: ServerProcess, client: Client) => Promise<unknown>
}

const removals: Record<string, (client: Client) => Promise<unknown>> = {
  DEL: client => client.call("DEL", "big"),
  UNLINK: client => client.call("UNLINK", "big"),
  expiry: async client => {
    await client.call("PEXPIRE", "big", "1")
    while ((await client.call("DBSIZE")) !== 0) await Bun.sleep(20)
  },
}

function removal(how: string, dataset: Dataset, count: number): Step {
  return {
    label: `${how} of a ${dataset} of ${amount(count)}`,
    prepare: async (server, client) => {
      await client.call("FLUSHALL")
      await load(server.port, dataset, count)
    },
    work: async (_, client) => {
      await removals[how]!(client)
      // A removal in slices goes on after the reply.
      await Bun.sleep(300)
    },
  }
}

/** Polls INFO until the background job has ended, writing meanwhile so that copies have to be made. */
async function whileWriting(server: ServerProcess, client: Client, field: string) {
  do await load(server.port, "strings", 5000)
  while ((await client.info("persistence")).get(field) !== "0")
}

function steps(mode: "quick" | "default" | "full"): Step[] {
  const keys = mode === "full" ? 10_000_000 : 1_000_000
  const big = mode === "quick" ? 200_000 : 1_000_000
  const list: Step[] = [
    { label: "idle", work: () => Bun.sleep(1000) },
    { label: `loading ${amount(keys)} strings`, work: server => load(server.port, "strings", keys) },
    {
      label: "BGSAVE under writes",
      work: async (server, client) => {
        await client.call("BGSAVE")
        await whileWriting(server, client, "rdb_bgsave_in_progress")
      },
    },
    {
      label: "AOF rewrite under writes",
      prepare: async (_, client) => {
        await client.call("CONFIG", "SET", "appendonly", "yes")
        while ((await client.info("persistence")).get("aof_rewrite_in_progress") !== "0") await Bun.sleep(20)
      },
      work: async (server, client) => {
        await client.call("BGREWRITEAOF")
        await whileWriting(server, client, "aof_rewrite_in_progress")
        await client.call("CONFIG", "SET", "appendonly", "no")
      },
    },
    { label: `FLUSHALL of ${amount(keys)} strings`, work: (_, client) => client.call("FLUSHALL") },
    {
      label: `FLUSHALL ASYNC of ${amount(big)} strings`,
      prepare: server => load(server.port, "strings", big),
      work: async (_, client) => {
        await client.call("FLUSHALL", "ASYNC")
        await Bun.sleep(300)
      },
    },
  ]
  const kinds: Dataset[] = mode === "quick" ? ["zset"] : ["hash", "zset", "set", "list"]
  for (const dataset of kinds) for (const how of Object.keys(removals)) list.push(removal(how, dataset, big))
  const crowd = 200_000
  let expireAt = 0
  list.push({
    label: `${amount(crowd)} keys expire in one moment`,
    prepare: async (server, client) => {
      await client.call("FLUSHALL")
      expireAt = Date.now() + 3000
      await load(server.port, "expiring", crowd, expireAt)
    },
    work: async (_, client) => {
      await Bun.sleep(Math.max(0, expireAt - Date.now()))
      const patienceMs = performance.now() + 5000
      while ((await client.call("DBSIZE")) !== 0 && performance.now() < patienceMs) await Bun.sleep(50)
    },
  })
  return list
}

function amount(count: number): string {
  return count % 1_000_000 === 0 ? `${count / 1_000_000}M` : `${count / 1000}k`
}

/** All steps on one server each; `note` is told what was left out and why. */
export async function measureStalls(
  candidates: readonly Candidate[],
  mode: "quick" | "default" | "full",
  note: (text: string) => void,
): Promise<StallRow[]> {
  const rows: StallRow[] = steps(mode).map(step => ({ step: step.label, stalls: {} }))
  for (const candidate of candidates) {
    await using server = await startServer(candidate, inMemory)
    const client = await server.client()
    for (const [i, step] of steps(mode).entries()) {
      try {
        await step.prepare?.(server, client)
        rows[i]!.stalls[candidate.name] = await probe(server.port, () => step.work(server, client))
      } catch (error) {
        note(`${step.label} on ${candidate.name}: ${(error as Error).message}`)
        await Bun.sleep(200)
        if (server.ended) {
          // A crash is a finding, not a reason to lose all other figures; the rest of the steps needs a server, though.
          note(`${candidate.name} ended while "${step.label}" ran:\n${server.logTail()}`)
          break
        }
      }
    }
    client.close()
  }
  return rows.filter(row => Object.keys(row.stalls).length > 0)
}
