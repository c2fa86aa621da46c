/** MEMORY: what memory is used for. */

import { heapStats } from "bun:jsc"
import type { Call } from "../command/context.ts"
import { NOT_INTEGER, SYNTAX } from "../command/errors.ts"
import { helpOf } from "../command/help.ts"
import type { CommandSpec } from "../command/spec.ts"
import { humanBytes } from "./info.ts"
import { residentBytes } from "./memory-use.ts"
import type { Observer } from "./observer.ts"

/** What one database's tables cost apart from their records, in MEMORY STATS. */
const EXPIRY_BYTES = 8
const SLOT_BYTES = 8
/** Below this the doctor has nothing to say. */
const DOCTOR_BYTES_MIN = 5 * 1024 * 1024

export function memoryCommands(of: () => Observer): readonly CommandSpec[] {
  const shards = "nondeterministic_output request_policy:all_shards response_policy:special"
  return [
    {
      name: "memory",
      since: "4.0.0",
      group: "server",
      arity: -2,
      flags: "",
      syntax: "",
      summary: "Holds the commands about memory.",
      complexity: "depends on the subcommand",
      subcommands: [
        {
          name: "doctor",
          since: "4.0.0",
          group: "server",
          arity: 2,
          flags: "",
          tips: shards,
          syntax: "",
          summary: "Reports memory problems, in plain words.",
          complexity: "O(1)",
          run: call => call.reply.verbatim("txt", diagnosis(of())),
        },
        {
          name: "help",
          since: "4.0.0",
          group: "server",
          arity: 2,
          flags: "loading stale",
          syntax: "",
          summary: "Lists the subcommands of MEMORY.",
          complexity: "O(1)",
          run: helpOf,
        },
        {
          name: "malloc-stats",
          since: "4.0.0",
          group: "server",
          arity: 2,
          flags: "",
          tips: shards,
          syntax: "",
          summary: "Shows the statistics of the allocator.",
          complexity: "depends on the memory in use",
          run: call => call.reply.verbatim("txt", allocatorReport(of())),
        },
        {
          name: "purge",
          since: "4.0.0",
          group: "server",
          arity: 2,
          flags: "",
          tips: "request_policy:all_shards response_policy:all_succeeded",
          syntax: "",
          summary: "Asks the allocator to give memory back.",
          complexity: "depends on the memory in use",
          run: call => {
            Bun.gc(false)
            call.reply.ok()
          },
        },
        {
          name: "stats",
          since: "4.0.0",
          group: "server",
          arity: 2,
          flags: "",
          tips: shards,
          syntax: "",
          summary: "Shows what the memory is used for.",
          complexity: "O(1)",
          run: call => stats(call, of()),
        },
        {
          name: "usage",
          since: "4.0.0",
          group: "server",
          arity: -3,
          flags: "readonly",
          keys: "RO @2",
          syntax: "key [SAMPLES count:integer]",
          summary: "Estimates the memory that a key takes.",
          complexity: "O(1): it is accounted for as it changes, so nothing need be sampled",
          run: usage,
        },
      ],
    },
  ]
}

function usage({ args, db, reply }: Call): void {
  for (let i = 3; i < args.count; i += 2) {
    if (!args.is(i, "samples") || i + 1 >= args.count) {
      reply.error(SYNTAX)
      return
    }
    const samples = args.int64(i + 1)
    if (samples === undefined || samples < 0) {
      reply.error(samples === undefined ? NOT_INTEGER : SYNTAX)
      return
    }
  }
  const address = db.find(args.bytes, args.start(2), args.end(2))
  if (address === 0) reply.null()
  else reply.integer(db.keys.recordBytes(address))
}

/** A double in the reply that comes out the same in both protocols' ways. */
class Share {
  readonly value: number
  constructor(part: number, whole: number) {
    this.value = whole === 0 ? 0 : part / whole
  }
}

type StatsRow = readonly [name: string, value: number | Share | readonly StatsRow[]]

function stats({ reply }: Call, { engine, memory }: Observer): void {
  memory.sampleClients()
  memory.notePeak()
  const { used, peak, startup, overhead } = memory
  const resident = residentBytes()
  const { heapTotal } = process.memoryUsage()
  const reserved = Math.max(used, heapTotal + engine.keyspace.bytes)
  const databases = engine.keyspace.databases.filter(({ keys }) => keys.size > 0)
  const keyCount = databases.reduce((sum, { keys }) => sum + keys.size, 0)
  const dataset = Math.max(0, used - overhead)
  const rows: StatsRow[] = [
    ["peak.allocated", peak],
    ["total.allocated", used],
    ["startup.allocated", startup],
    ["replication.backlog", memory.other("backlog")],
    ["clients.slaves", memory.replicas + memory.other("replica buffers")],
    ["clients.normal", memory.clients],
    ["cluster.links", 0],
    ["aof.buffer", memory.other("aof")],
    ["lua.caches", memory.other("scripts")],
    ["functions.caches", memory.other("functions")],
    ...databases.map(
      ({ index, keys }): StatsRow => [
        `db.${index}`,
        [
          ["overhead.hashtable.main", keys.bytes - keys.outOfLineBytes],
          ["overhead.hashtable.expires", keys.expirySize * EXPIRY_BYTES],
        ],
      ],
    ),
    ["overhead.db.hashtable.lut", keyCount * SLOT_BYTES],
    ["overhead.db.hashtable.rehashing", 0],
    ["db.dict.rehashing.count", 0],
    ["overhead.total", overhead],
    ["keys.count", keyCount],
    ["keys.bytes-per-key", keyCount === 0 ? 0 : Math.floor((used - startup) / keyCount)],
    ["dataset.bytes", dataset],
    ["dataset.percentage", new Share(dataset * 100, used - startup)],
    ["peak.percentage", new Share(used * 100, peak)],
    ["allocator.allocated", used],
    ["allocator.active", reserved],
    ["allocator.resident", resident],
    ["allocator.muzzy", 0],
    ["allocator-fragmentation.ratio", new Share(reserved, used)],
    ["allocator-fragmentation.bytes", reserved - used],
    ["allocator-rss.ratio", new Share(resident, reserved)],
    ["allocator-rss.bytes", resident - reserved],
    ["rss-overhead.ratio", new Share(1, 1)],
    ["rss-overhead.bytes", 0],
    ["fragmentation", new Share(resident, used)],
    ["fragmentation.bytes", resident - used],
  ]
  writeRows(reply, rows)
}

function writeRows(reply: Call["reply"], rows: readonly StatsRow[]): void {
  reply.map(rows.length)
  for (const [name, value] of rows) {
    reply.bulkText(name)
    if (typeof value === "number") reply.integer(value)
    else if (value instanceof Share) reply.double(value.value)
    else writeRows(reply, value)
  }
}

function diagnosis({ memory, engine }: Observer): string {
  const { used, peak } = memory
  if (used - memory.startup < DOCTOR_BYTES_MIN) {
    return "This instance holds next to nothing: there is no memory to examine yet.\n"
  }
  const findings: string[] = []
  if (peak > used * 1.5) {
    findings.push(
      `At its peak this instance used ${humanBytes(peak)}, now ${humanBytes(used)}: freed memory is reused first, ` +
        "so the resident size may stay high without being a problem.",
    )
  }
  const resident = residentBytes()
  if (resident > used * 1.4 + 100 * 1024 * 1024) {
    findings.push(
      `The process takes ${humanBytes(resident)} for ${humanBytes(used)} of data: MEMORY PURGE may help, and so ` +
        "does waiting, as the runtime gives memory back by and by.",
    )
  }
  const count = engine.clients.size
  if (count > 0 && memory.clients / count > 200 * 1024) {
    findings.push(
      `A client holds ${humanBytes(Math.round(memory.clients / count))} on average: some may be reading too slowly. ` +
        "CLIENT LIST shows them by omem and tot-mem; client-output-buffer-limit bounds them.",
    )
  }
  if (findings.length === 0) return "No memory problem found.\n"
  return `${findings.map((text, i) => `${i + 1}. ${text}`).join("\n")}\n`
}

function allocatorReport({ engine, memory }: Observer): string {
  const { heapSize, heapCapacity, extraMemorySize, objectCount } = heapStats()
  const { keyspace } = engine
  return [
    "Record heap",
    `  in use:      ${keyspace.heap.bytesUsed} bytes in ${keyspace.heap.framesUsed} frames`,
    `  databases:   ${keyspace.bytes} bytes`,
    `  to be freed: ${keyspace.discardedSize} objects`,
    "Runtime heap",
    `  in use:      ${heapSize} bytes in ${objectCount} objects`,
    `  capacity:    ${heapCapacity} bytes`,
    `  outside:     ${extraMemorySize} bytes`,
    "Process",
    `  resident:    ${residentBytes()} bytes`,
    `  at start:    ${memory.startup} bytes`,
    "",
  ].join("\n")
}
