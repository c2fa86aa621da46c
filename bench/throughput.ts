/**
 * Throughput and CPU per command: redis-benchmark drives both servers in turn; what counts is the server's own CPU
 * time, all threads, because on a small machine requests per second mostly measure redis-benchmark.
 *
 * A case is a measured command in redis-benchmark's own syntax (`__rand_int__` becomes a random number below the key
 * space) and what must exist first. Both servers run side by side and take turns case by case and round by round, in
 * alternating order, so that both see the same weather; a row holds medians over the rounds.
 */

import { gather } from "./audience.ts"
import { median } from "./report.ts"
import { type Candidate, type Client, type Directives, inMemory, type ServerProcess, startServer } from "./servers.ts"

export interface Cell {
  requestsPerSecond: number
  cpuMicrosPerCommand: number
}

export interface ThroughputRow {
  test: string
  pipeline: number
  cells: Record<string, Cell>
}

export interface ThroughputCase {
  name: string
  command: string[]
  /** Cost of one command against a SET, roughly: it divides the number of requests. */
  weight?: number
  /** Random numbers are below this; a million by default. */
  keys?: number
  /** Runs on an empty server before every measurement; `count` is the number of requests that follow. */
  prepare?: (client: Client, count: number) => Promise<unknown>
  /** So many clients are subscribed to the channel "news" meanwhile. */
  audience?: number
}

const random = "__rand_int__"
const value = "v".repeat(32)
const setUpPipeline = 200

/** Sends `count` commands in pipelines and throws at the first error reply. */
async function each(client: Client, count: number, command: (i: number) => string[]) {
  for (let base = 0; base < count; base += setUpPipeline) {
    const size = Math.min(setUpPipeline, count - base)
    await Promise.all(Array.from({ length: size }, (_, i) => client.call(...command(base + i))))
  }
}

/** One command with the arguments of `size` elements, in pieces of 500 elements. */
function fill(head: string[], size: number, element: (i: number) => string[]) {
  return async (client: Client) => {
    const piece = 500
    await each(client, Math.ceil(size / piece), base =>
      head.concat(...Array.from({ length: Math.min(piece, size - base * piece) }, (_, i) => element(base * piece + i))),
    )
  }
}

function all(...steps: ((client: Client) => Promise<unknown>)[]) {
  return async (client: Client) => {
    for (const step of steps) await step(client)
  }
}

const keySpaceMax = 1_000_000
/** As redis-benchmark writes its random numbers. */
const padded = (i: number) => String(i).padStart(12, "0")
const existingKeys = fill(["MSET"], keySpaceMax, i => [`key:${padded(i)}`, value])
const list600 = fill(["RPUSH", "list"], 600, () => [value])
const tenThousand = 10_000
const scored = (key: string, from = 0) => fill(["ZADD", key], tenThousand, i => [String(i), `member:${from + i}`])
const members = (key: string, from = 0) => fill(["SADD", key], tenThousand, i => [`member:${from + i}`])

/** The everyday commands: what the figures to reach are about. */
export const everyday: ThroughputCase[] = [
  { name: "PING", command: ["PING"] },
  { name: "SET", command: ["SET", `key:${random}`, value] },
  { name: "GET", command: ["GET", `key:${random}`], prepare: existingKeys },
  { name: "INCR", command: ["INCR", `counter:${random}`] },
  {
    name: "MSET (10 keys)",
    command: ["MSET", ...Array.from({ length: 10 }, () => [`key:${random}`, value]).flat()],
    weight: 6,
  },
  { name: "HSET", command: ["HSET", "myhash", `element:${random}`, value] },
  { name: "LPUSH", command: ["LPUSH", "mylist", value] },
  {
    name: "RPOP",
    command: ["RPOP", "mylist"],
    prepare: (client, count) => fill(["LPUSH", "mylist"], count, () => [value])(client),
  },
  { name: "SADD", command: ["SADD", "myset", `element:${random}`] },
  {
    name: "SPOP",
    command: ["SPOP", "myset"],
    prepare: (client, count) => fill(["SADD", "myset"], count, i => [`element:${i}`])(client),
  },
  { name: "ZADD", command: ["ZADD", "myzset", random, `element:${random}`], weight: 2 },
  { name: "LRANGE 100 of 600", command: ["LRANGE", "list", "0", "99"], prepare: list600, weight: 12 },
]

/** Commands over containers, small and large. */
export const containers: ThroughputCase[] = [
  {
    name: "MGET (10 keys)",
    command: ["MGET", ...Array.from({ length: 10 }, () => `key:${random}`)],
    prepare: existingKeys,
    weight: 6,
  },
  { name: "EXPIRE", command: ["EXPIRE", `key:${random}`, "1000"], prepare: existingKeys },
  { name: "APPEND", command: ["APPEND", `log:${random}`, "0123456789"] },
  { name: "SETBIT", command: ["SETBIT", "bits", "12345", "1"] },
  {
    name: "BITCOUNT 16 KiB",
    command: ["BITCOUNT", "bits"],
    prepare: client => client.call("SETBIT", "bits", String(16384 * 8 - 1), "1"),
    weight: 4,
  },
  {
    name: "HGETALL 5 fields",
    command: ["HGETALL", "hash"],
    prepare: fill(["HSET", "hash"], 5, i => [`field-${i}`, `value-${i}`]),
    weight: 2,
  },
  {
    name: "HGETALL 1000 fields",
    command: ["HGETALL", "hash"],
    prepare: fill(["HSET", "hash"], 1000, i => [`field-${i}`, value]),
    weight: 250,
  },
  { name: "LRANGE 500 of 600", command: ["LRANGE", "list", "0", "499"], prepare: list600, weight: 50 },
  {
    name: "LINDEX middle of 10k",
    command: ["LINDEX", "list", "5000"],
    prepare: fill(["RPUSH", "list"], tenThousand, () => [value]),
    weight: 2,
  },
  {
    name: "HGET of 1M",
    command: ["HGET", "h", `field:${random}`],
    prepare: fill(["HSET", "h"], keySpaceMax, i => [`field:${padded(i)}`, "value"]),
  },
  {
    name: "SISMEMBER of 1M",
    command: ["SISMEMBER", "s", `member:${random}`],
    prepare: fill(["SADD", "s"], keySpaceMax, i => [`member:${padded(i)}`]),
  },
  {
    name: "ZSCORE of 1M",
    command: ["ZSCORE", "z", `member:${random}`],
    prepare: fill(["ZADD", "z"], keySpaceMax, i => [String((i * 7919) % keySpaceMax), `member:${padded(i)}`]),
  },
  {
    name: "SINTER 2 × 10k",
    command: ["SINTER", "one", "two"],
    prepare: all(members("one"), members("two", 5000)),
    weight: 8000,
  },
  { name: "ZRANK in 10k", command: ["ZRANK", "z", "member:7777"], prepare: scored("z"), weight: 2 },
  { name: "ZRANGEBYSCORE 100", command: ["ZRANGEBYSCORE", "z", "5000", "5099"], prepare: scored("z"), weight: 20 },
  {
    name: "ZUNIONSTORE 2 × 10k",
    command: ["ZUNIONSTORE", "to", "2", "one", "two"],
    prepare: all(scored("one"), scored("two", 5000)),
    weight: 30000,
  },
  {
    name: "SORT 1000 numbers",
    command: ["SORT", "list"],
    prepare: fill(["RPUSH", "list"], 1000, i => [String((i * 7919) % 100_003)]),
    weight: 600,
  },
  { name: "XADD", command: ["XADD", "stream", "*", "field", value], weight: 2 },
  {
    name: "XRANGE 100",
    command: ["XRANGE", "stream", "-", "+", "COUNT", "100"],
    prepare: client => each(client, 1000, i => ["XADD", "stream", `${i + 1}-1`, "field", value]),
    weight: 60,
  },
  { name: "PFADD", command: ["PFADD", "hll", `element:${random}`], weight: 2 },
  {
    name: "GEOSEARCH 100 km of 10k",
    command: ["GEOSEARCH", "geo", "FROMLONLAT", "15", "37", "BYRADIUS", "100", "km"],
    prepare: fill(["GEOADD", "geo"], tenThousand, i => [
      String(10 + (i % 100) / 10),
      String(32 + Math.floor(i / 100) / 10),
      `place:${i}`,
    ]),
    weight: 100,
  },
  { name: "PUBLISH to 100 subscribers", command: ["PUBLISH", "news", value], audience: 100, weight: 20 },
  { name: "EVAL return 1", command: ["EVAL", "return 1", "0"], weight: 3 },
]

/** One command for each of a million keys, whose number is the second argument's. */
function forEachKey(command: (key: string) => string[]) {
  return (client: Client) => each(client, keySpaceMax, i => command(padded(i)))
}

/** The same small things, each in one of a million values instead of all in one: most of the time goes into finding it. */
export const spread: ThroughputCase[] = [
  { name: "LPUSH, a million lists", command: ["LPUSH", `list:${random}`, value] },
  {
    name: "RPOP, a million lists",
    command: ["RPOP", `list:${random}`],
    prepare: forEachKey(key => ["RPUSH", `list:${key}`, value, value]),
  },
  { name: "SADD, a million sets", command: ["SADD", `set:${random}`, `element:${random}`] },
  { name: "HSET, a million hashes", command: ["HSET", `hash:${random}`, "field", value] },
  { name: "ZADD, a million sorted sets", command: ["ZADD", `zset:${random}`, random, `element:${random}`] },
  {
    name: "ZRANK, a million sorted sets",
    command: ["ZRANK", `zset:${random}`, "b"],
    prepare: forEachKey(key => ["ZADD", `zset:${key}`, "1", "a", "2", "b"]),
  },
  { name: "PFADD, a million HyperLogLogs", command: ["PFADD", `hll:${random}`, `element:${random}`] },
  {
    name: "XADD, ten thousand streams",
    command: ["XADD", `stream:${random}`, "*", "field", value],
    keys: 10_000,
    prepare: client => each(client, 10_000, i => ["XADD", `stream:${padded(i)}`, "*", "field", value]),
    weight: 2,
  },
]

/**
 * Directives for the durable runs; the fsync policy of most installations. No rewrites: when they fall into a
 * measurement is chance, and a forked child's time would not be counted.
 */
export const everySecond: Directives = {
  save: "",
  appendonly: "yes",
  appendfsync: "everysec",
  "auto-aof-rewrite-percentage": "0",
}

export interface ThroughputOptions {
  pipeline: number
  rounds: number
  /** Requests per measurement for a command of weight 1. */
  requests: number
  directives?: Directives
}

const clients = 50

async function drive(server: ServerProcess, test: ThroughputCase, count: number, pipeline: number): Promise<Cell> {
  const options = {
    "-h": "127.0.0.1",
    "-p": server.port,
    "-c": clients,
    "-n": count,
    "-P": pipeline,
    "-r": test.keys ?? keySpaceMax,
  }
  const argv = ["redis-benchmark", ...Object.entries(options).flat().map(String), "--csv", ...test.command]
  const before = server.cpuSeconds()
  const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "pipe" })
  const [output, complaints] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  const cpuSeconds = server.cpuSeconds() - before
  // "test","rps",…  with one line per test after the heading; the test's name may hold commas inside its quotes.
  const line = output.trim().split("\n").at(-1) ?? ""
  const requestsPerSecond = Number(line.match(/","([\d.]+)"/)?.[1])
  if (!(requestsPerSecond > 0)) throw new Error(`redis-benchmark: ${(complaints || output).slice(-300)}`)
  return { requestsPerSecond, cpuMicrosPerCommand: (cpuSeconds * 1e6) / count }
}

/** Why a server cannot run the case, or undefined when it can. */
async function obstacle(server: ServerProcess, test: ThroughputCase): Promise<string | undefined> {
  const client = await server.client()
  try {
    const command = test.command.map(word => word.replaceAll(random, "000000000001"))
    const bare = await client.send(command[0]!)
    if (bare instanceof Error && /unknown command/i.test(bare.message)) return bare.message
    await client.call("FLUSHALL")
    await test.prepare?.(client, 10)
    const reply = await client.send(...command)
    return reply instanceof Error ? reply.message : undefined
  } catch (error) {
    return (error as Error).message
  } finally {
    client.close()
  }
}

/**
 * Measures the cases on both candidates. A case that one of them cannot run is left out and `note` told why. `row` is
 * called as each case is finished.
 */
export async function measureThroughput(
  candidates: readonly Candidate[],
  cases: readonly ThroughputCase[],
  options: ThroughputOptions,
  note: (text: string) => void,
  row: (row: ThroughputRow) => void = () => {},
): Promise<ThroughputRow[]> {
  const rows: ThroughputRow[] = []
  const servers = await Promise.all(candidates.map(each => startServer(each, options.directives ?? inMemory)))
  try {
    for (const test of cases) {
      const obstacles = await Promise.all(servers.map(server => obstacle(server, test)))
      const which = obstacles.findIndex(text => text !== undefined)
      if (which >= 0) {
        note(`${test.name}: ${candidates[which]!.name}: ${obstacles[which]}`)
        continue
      }
      const count = Math.max(options.pipeline * 4, Math.round(options.requests / (test.weight ?? 1)))
      const cells = servers.map((): Cell[] => [])
      // The first round is not counted: servers run for long, and one of the two compiles its code as it goes. What all
      // commands have in common falls to the first of them.
      const uncounted = test === cases[0] ? 3 : 1
      for (let round = -uncounted; round < options.rounds; round++) {
        const order = servers.map((_, i) => (round % 2 === 0 ? i : servers.length - 1 - i))
        for (const i of order) {
          const cell = await measureOnce(servers[i]!, test, count, options.pipeline)
          if (round >= 0) cells[i]!.push(cell)
        }
      }
      const done: ThroughputRow = { test: test.name, pipeline: options.pipeline, cells: {} }
      for (const [i, candidate] of candidates.entries()) {
        done.cells[candidate.name] = {
          requestsPerSecond: median(cells[i]!.map(cell => cell.requestsPerSecond)),
          cpuMicrosPerCommand: median(cells[i]!.map(cell => cell.cpuMicrosPerCommand)),
        }
      }
      rows.push(done)
      row(done)
    }
  } finally {
    for (const server of servers) await server[Symbol.asyncDispose]()
  }
  return rows
}

async function measureOnce(
  server: ServerProcess,
  test: ThroughputCase,
  count: number,
  pipeline: number,
): Promise<Cell> {
  const client = await server.client()
  try {
    await client.call("FLUSHALL")
    await test.prepare?.(client, count)
  } finally {
    client.close()
  }
  using _audience = test.audience === undefined ? undefined : await gather(server.port, "news", test.audience)
  return await drive(server, test, count, pipeline)
}
