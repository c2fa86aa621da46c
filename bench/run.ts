/**
 * bundis beside redis-server on this machine, in one run: `bun run bench [options]`.
 *
 * Prints a Markdown report and writes it with all figures to bench/out/. The reference is redis-server from PATH, and
 * redis-benchmark generates the load; ours is dist/bundis, built when it is missing or older than the sources.
 */
import { cpus, totalmem } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { measureMemory, memoryCases } from "./memory.ts"
import { insertBetweenMarkers, markdown, type Report, ratio } from "./report.ts"
import { bundisCandidate, type Candidate, inMemory, redisCandidate, startServer } from "./servers.ts"
import { measureStalls } from "./stall.ts"
import { measureStart } from "./start.ts"
import { containers, everyday, everySecond, measureThroughput, spread, type ThroughputRow } from "./throughput.ts"

const usage = `usage: bun run bench [options]
  --quick | --full       about a minute | everything, with ten million strings (default: about a quarter of an hour)
  --only PARTS           comma-separated: pipelined,spread,containers,unpipelined,aof,memory,stall,start
  --tests NAMES          comma-separated beginnings of test names, for example SET,GET,"ZRANK"
  --rounds N             rounds per test
  --redis CMD            another reference, default redis-server
  --bundis CMD           another server of ours, for example "bun run src/main.ts"
  --write                update the table between the bench markers in README.md
`

const root = join(import.meta.dir, "..")
const allParts = ["pipelined", "spread", "containers", "unpipelined", "aof", "memory", "stall", "start"]

async function version(candidate: Candidate): Promise<string> {
  await using server = await startServer(candidate, inMemory)
  const client = await server.client()
  const info = await client.info("server").catch(() => new Map<string, string>())
  client.close()
  return info.get("bundis_version") ?? info.get("redis_version") ?? "of unknown version"
}

function machine(): string {
  const model = cpus()[0]?.model.trim() ?? "an unknown processor"
  return `${cpus().length} cores of ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`
}

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean" },
    full: { type: "boolean" },
    only: { type: "string" },
    tests: { type: "string" },
    rounds: { type: "string" },
    redis: { type: "string" },
    bundis: { type: "string" },
    write: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  },
})

async function main() {
  if (options.help) return console.log(usage)
  const mode = options.full ? "full" : options.quick ? "quick" : "default"
  const parts =
    options.only?.split(",") ??
    allParts.filter(part => mode !== "quick" || (part !== "containers" && part !== "spread"))
  const stray = parts.find(part => !allParts.includes(part))
  if (stray !== undefined) throw new Error(`unknown part ${stray}\n${usage}`)
  const rounds = Number(options.rounds ?? (mode === "quick" ? 1 : mode === "full" ? 5 : 3))
  const scale = mode === "quick" ? 0.3 : mode === "full" ? 2 : 1
  const wanted = options.tests?.toLowerCase().split(",")
  const chosen = <T extends { name: string }>(cases: T[]) =>
    cases.filter(({ name }) => wanted?.some(begin => name.toLowerCase().startsWith(begin)) ?? true)

  const candidates = [redisCandidate(options.redis), await bundisCandidate(options.bundis)]
  const report: Report = {
    date: new Date().toISOString().slice(0, 10),
    mode,
    machine: machine(),
    versions: {},
    sections: [],
    memory: [],
    stalls: [],
    notes: [],
  }
  for (const candidate of candidates) report.versions[candidate.name] = await version(candidate)
  const note = (text: string) => {
    if (report.notes.includes(text)) return
    report.notes.push(text)
    console.error(`note: ${text}`)
  }
  const progress = ({ test, pipeline, cells: { redis, bundis } }: ThroughputRow) => {
    const [ours, theirs] = [bundis!.cpuMicrosPerCommand, redis!.cpuMicrosPerCommand]
    console.error(`${test} -P ${pipeline}: ${theirs.toFixed(2)} | ${ours.toFixed(2)} µs, ${ratio(ours, theirs)}`)
  }
  const throughput = async (
    title: string,
    cases: typeof everyday,
    pipeline: number,
    requests: number,
    durable = false,
  ) => {
    const settings = { pipeline, rounds, requests: requests * scale, directives: durable ? everySecond : inMemory }
    report.sections.push({ title, rows: await measureThroughput(candidates, chosen(cases), settings, note, progress) })
  }
  const everydayNames = ["PING", "SET", "GET", "INCR", "HSET", "LPUSH", "ZADD"]
  const common = [...everyday, ...containers].filter(
    ({ name, audience }) => audience !== undefined || everydayNames.includes(name),
  )
  const writes = everyday.filter(({ name }) => ["SET", "INCR", "HSET", "LPUSH"].includes(name))

  if (parts.includes("pipelined")) await throughput("Pipeline of 32, a million keys", everyday, 32, 1_200_000)
  if (parts.includes("spread")) await throughput("Many small values, pipeline of 32", spread, 32, 800_000)
  if (parts.includes("containers")) await throughput("Containers, pipeline of 32", containers, 32, 800_000)
  if (parts.includes("unpipelined")) await throughput("No pipeline, 50 connections", common, 1, 80_000)
  if (parts.includes("aof"))
    await throughput("Append-only file, fsync every second, pipeline of 32", writes, 32, 800_000, true)
  if (parts.includes("memory")) {
    for (const each of memoryCases(mode)) {
      const row = await measureMemory(candidates, each).catch(error =>
        note(`${each.label}: ${(error as Error).message}`),
      )
      if (!row) continue
      report.memory.push(row)
      console.error(`${each.label}: ${ratio(row.residentBytes.bundis, row.residentBytes.redis)}`)
    }
  }
  if (parts.includes("stall")) report.stalls = await measureStalls(candidates, mode, note)
  if (parts.includes("start")) report.start = await measureStart(candidates, mode === "quick" ? 5 : 15)

  const text = markdown(report)
  await Bun.write(join(import.meta.dir, "out", "report.json"), `${JSON.stringify(report, null, 2)}\n`)
  await Bun.write(join(import.meta.dir, "out", "report.md"), text)
  console.log(text)
  if (options.write) {
    const readme = join(root, "README.md")
    await Bun.write(readme, insertBetweenMarkers(await Bun.file(readme).text(), text))
  }
}

await main().catch(error => {
  console.error(`error: ${(error as Error).message}`)
  process.exitCode = 1
})
