/**
 * The figures as Markdown. Every ratio is bundis / redis of a cost (CPU, bytes, milliseconds), so below 1 is good;
 * losses are printed like gains, and marked.
 */
import type { MemoryRow } from "./memory.ts"
import type { StallRow } from "./stall.ts"
import type { StartRow } from "./start.ts"
import type { ThroughputRow } from "./throughput.ts"

/** Everything one run has measured; what it did not measure is absent. */
export interface Report {
  date: string
  mode: string
  machine: string
  /** Version texts by candidate. */
  versions: Record<string, string>
  sections: { title: string; rows: ThroughputRow[] }[]
  memory: MemoryRow[]
  stalls: StallRow[]
  start?: StartRow
  /** What was left out, and why. */
  notes: string[]
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Two decimals; a loss in bold. */
export function ratio(ours: number | undefined, theirs: number | undefined): string {
  if (ours === undefined || theirs === undefined || !(theirs > 0)) return "–"
  const text = (ours / theirs).toFixed(2)
  return ours > theirs ? `**${text}**` : text
}

function table(heading: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |\n`
  return line(heading) + line(heading.map((_, i) => (i === 0 ? "---" : "---:"))) + rows.map(line).join("")
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString("en-US")
}

function throughputTable(rows: readonly ThroughputRow[]): string {
  return table(
    ["command", "redis µs CPU", "bundis µs CPU", "CPU ratio", "redis req/s", "bundis req/s"],
    rows.map(({ test, cells: { redis, bundis } }) => [
      test,
      redis!.cpuMicrosPerCommand.toFixed(2),
      bundis!.cpuMicrosPerCommand.toFixed(2),
      ratio(bundis!.cpuMicrosPerCommand, redis!.cpuMicrosPerCommand),
      thousands(redis!.requestsPerSecond),
      thousands(bundis!.requestsPerSecond),
    ]),
  )
}

function memoryTable(rows: readonly MemoryRow[]): string {
  const mebibytes = (bytes: number | undefined) => (bytes === undefined ? "–" : thousands(bytes / 2 ** 20))
  return table(
    ["data set", "redis MiB", "bundis MiB", "ratio", "empty MiB, redis / bundis", "ratio of the growth"],
    rows.map(({ dataset, residentBytes: { redis, bundis }, emptyBytes: empty }) => [
      dataset,
      mebibytes(redis),
      mebibytes(bundis),
      ratio(bundis, redis),
      `${mebibytes(empty.redis)} / ${mebibytes(empty.bundis)}`,
      ratio((bundis ?? 0) - (empty.bundis ?? 0), (redis ?? 0) - (empty.redis ?? 0)),
    ]),
  )
}

function stallTable(rows: readonly StallRow[]): string {
  const ms = (value: number | undefined) => value?.toFixed(2) ?? "–"
  return table(
    ["while", "redis max ms", "bundis max ms", "ratio", "redis p99.9", "bundis p99.9"],
    rows.map(({ step, stalls: { redis, bundis } }) => [
      step,
      ms(redis?.maxMs),
      ms(bundis?.maxMs),
      ratio(bundis?.maxMs, redis?.maxMs),
      ms(redis?.p999Ms),
      ms(bundis?.p999Ms),
    ]),
  )
}

/** The whole report. Sections without rows are left out. */
export function markdown(report: Report): string {
  const versions = Object.entries(report.versions).map(([name, version]) => `${name} ${version}`)
  let text = `Measured ${report.date} on ${report.machine}: ${versions.join(" beside ")}, mode \`${report.mode}\`. `
  text += "Ratios are bundis / redis of a cost, below 1 is better; losses are bold.\n"
  for (const { title, rows } of report.sections) {
    if (rows.length > 0) text += `\n**${title}**\n\n${throughputTable(rows)}`
  }
  if (report.memory.length > 0) text += `\n**Resident memory of the process**\n\n${memoryTable(report.memory)}`
  if (report.stalls.length > 0)
    text += `\n**Longest reply to a PING sent every millisecond**\n\n${stallTable(report.stalls)}`
  if (report.start) {
    const { redis, bundis } = report.start.ms
    const row = ["executable to first PONG, empty", redis!.toFixed(1), bundis!.toFixed(1), ratio(bundis, redis)]
    text += `\n**Start-up**\n\n${table(["", "redis ms", "bundis ms", "ratio"], [row])}`
  }
  if (report.notes.length > 0) text += `\nLeft out:\n\n${report.notes.map(note => `- ${note}\n`).join("")}`
  return text
}

const begin = "<!-- bench:begin -->"
const end = "<!-- bench:end -->"

/** The document with the region between the markers replaced. Throws when the markers are not there. */
export function insertBetweenMarkers(document: string, text: string): string {
  const from = document.indexOf(begin)
  const to = document.indexOf(end)
  if (from < 0 || to < from) throw new Error(`the markers ${begin} and ${end} are missing`)
  return `${document.slice(0, from + begin.length)}\n${text.trim()}\n${document.slice(to)}`
}
