/**
 * INFO: the state of the server as text, in the sections, fields and order of Redis 7.4.
 *
 * A section has an idle value for every field that belongs to a subsystem (persistence, replication, scripts …). The
 * subsystem says what is true through `provide`: its fields replace those of the same name and are appended otherwise.
 */

import { release, type as systemName, totalmem } from "node:os"
import type { Call } from "../command/context.ts"
import type { RegisteredCommand } from "../command/registry.ts"
import type { CommandSpec } from "../command/spec.ts"
import { ClientCondition } from "../engine/client.ts"
import { detailsOf } from "../engine/client-description.ts"
import { reportedVersion } from "../engine/connection-commands.ts"
import { type Engine, EngineCondition } from "../engine/engine.ts"
import { BUNDIS_VERSION } from "../version.ts"
import { residentBytes } from "./memory-use.ts"
import type { Observer } from "./observer.ts"

export type InfoField = readonly [name: string, value: string | number]

const SECTIONS = [
  "server",
  "clients",
  "memory",
  "persistence",
  "stats",
  "replication",
  "cpu",
  "modules",
  "commandstats",
  "errorstats",
  "latencystats",
  "cluster",
  "keyspace",
  "debug",
] as const
export type InfoSection = (typeof SECTIONS)[number]

const TITLES: Readonly<Record<string, string>> = { cpu: "CPU" }
/** Not shown unless asked for; "all" asks for them too, but for the last one. */
const EXTRA: ReadonlySet<InfoSection> = new Set(["commandstats", "latencystats", "debug"])

export class Info {
  private readonly observer: Observer
  private readonly providers = new Map<InfoSection, (() => Iterable<InfoField>)[]>()
  readonly runId = randomId()

  constructor(observer: Observer) {
    this.observer = observer
  }

  /** What a subsystem knows about a section; asked at every INFO that shows it. */
  provide(section: InfoSection, fields: () => Iterable<InfoField>): void {
    const known = this.providers.get(section)
    if (known === undefined) this.providers.set(section, [fields])
    else known.push(fields)
  }

  /** @param asked names of sections in any case; none means the usual ones */
  text(asked: readonly string[]): string {
    const sections = chooseSections(asked)
    return SECTIONS.filter(name => sections.has(name))
      .map(name => {
        const title = TITLES[name] ?? name[0]!.toUpperCase() + name.slice(1)
        const lines = [...this.fields(name)].map(([field, value]) => `${field}:${value}\r\n`)
        return `# ${title}\r\n${lines.join("")}`
      })
      .join("\r\n")
  }

  /** The fields of a section in their order. */
  fields(section: InfoSection): Map<string, string | number> {
    const fields = new Map(this.own(section))
    for (const provider of this.providers.get(section) ?? [])
      for (const [name, value] of provider()) fields.set(name, value)
    return fields
  }

  private own(section: InfoSection): InfoField[] {
    const { observer } = this
    switch (section) {
      case "server":
        return this.server()
      case "clients":
        return clients(observer.engine)
      case "memory":
        return memory(observer)
      case "persistence":
        return persistence(observer)
      case "stats":
        return stats(observer)
      case "replication":
        return []
      case "cpu":
        return cpu()
      case "modules":
        return []
      case "commandstats":
        return commandStatistics(observer.engine)
      case "errorstats":
        return [...observer.engine.errorCounts]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([code, count]) => [`errorstat_${code}`, `count=${count}`])
      case "latencystats":
        return latencyStatistics(observer)
      case "cluster":
        return [["cluster_enabled", observer.engine.config.values.clusterEnabled ? 1 : 0]]
      case "keyspace":
        return keyspace(observer.engine)
      case "debug":
        return [
          ["eventloop_duration_aof_sum", 0],
          ["eventloop_duration_cron_sum", Math.round(observer.cronMicros)],
          ["eventloop_duration_max", Math.round(observer.longestMicros)],
          ["eventloop_cmd_per_cycle_max", observer.commandsPerTickMax],
        ]
    }
  }

  private server(): InfoField[] {
    const { engine, ports } = this.observer
    const { values } = engine.config
    const upSeconds = Math.max(0, Math.floor((engine.clock.wall() - engine.startedAt) / 1000))
    return [
      ["redis_version", reportedVersion(engine)],
      ["redis_git_sha1", "00000000"],
      ["redis_git_dirty", 0],
      ["redis_build_id", "0"],
      ["redis_mode", values.clusterEnabled ? "cluster" : "standalone"],
      ["server_name", "bundis"],
      ["bundis_version", BUNDIS_VERSION],
      ["bun_version", Bun.version],
      ["os", `${systemName()} ${release()} ${process.arch === "x64" ? "x86_64" : process.arch}`],
      ["arch_bits", 64],
      ["monotonic_clock", "POSIX clock_gettime"],
      ["multiplexing_api", process.platform === "linux" ? "epoll" : "kqueue"],
      ["atomicvar_api", "none"],
      ["gcc_version", "0.0.0"],
      ["process_id", process.pid],
      ["process_supervised", values.supervised],
      ["run_id", this.runId],
      ["tcp_port", ports.port?.() ?? values.port],
      ["server_time_usec", engine.clock.wallMicros()],
      ["uptime_in_seconds", upSeconds],
      ["uptime_in_days", Math.floor(upSeconds / 86400)],
      ["hz", values.hz],
      ["configured_hz", values.hz],
      ["lru_clock", Math.floor(engine.keyspace.now / 1000) & 0xffffff],
      ["executable", process.execPath],
      ["config_file", ports.configFile ?? ""],
      ["io_threads_active", 0],
      ...(ports.listeners?.() ?? []),
    ]
  }
}

function chooseSections(asked: readonly string[]): ReadonlySet<InfoSection> {
  const chosen = new Set<InfoSection>()
  for (const each of asked.length === 0 ? ["default"] : asked) {
    const name = each.toLowerCase()
    const section = SECTIONS.find(known => known === (name === "module_list" ? "modules" : name))
    if (section !== undefined) chosen.add(section)
    else if (name === "all" || name === "everything" || name === "default") {
      for (const known of SECTIONS) {
        if (known !== "debug" && (name !== "default" || !EXTRA.has(known))) chosen.add(known)
      }
    }
  }
  return chosen
}

function randomId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(20))).toString("hex")
}

function clients(engine: Engine): InfoField[] {
  const { clients: table, config } = engine
  let watching = 0
  let input = 0
  let output = 0
  let replicas = 0
  let blocked = 0
  let subscribed = 0
  for (const client of table.byId.values()) {
    input = Math.max(input, client.queryBytes)
    output = Math.max(output, client.pendingBytes)
    if (client.isReplica) replicas++
    if (client.blocked) blocked++
    if (detailsOf(engine, client).watchedKeys > 0) watching++
    if ((client.conditions & ClientCondition.Subscribed) !== 0) subscribed++
  }
  return [
    ["connected_clients", table.size - replicas],
    ["cluster_connections", 0],
    ["maxclients", config.values.maxclients],
    ["client_recent_max_input_buffer", input],
    ["client_recent_max_output_buffer", output],
    ["blocked_clients", blocked],
    ["tracking_clients", engine.tracking.clientCount],
    ["pubsub_clients", subscribed],
    ["watching_clients", watching],
    ["clients_in_timeout_table", 0],
    ["total_watched_keys", engine.transactions.watches.size],
    ["total_blocking_keys", 0],
    ["total_blocking_keys_on_nokey", 0],
  ]
}

/** As people read it: "1.50M". */
export function humanBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`
  let size = bytes
  let unit = -1
  while (size >= 1024 && unit < 4) {
    size /= 1024
    unit++
  }
  return `${size.toFixed(2)}${"KMGTP"[unit]}`
}

function ratio(a: number, b: number): string {
  return (b === 0 ? 0 : a / b).toFixed(2)
}

function memory({ memory: use, engine }: Observer): InfoField[] {
  use.sampleClients()
  use.notePeak()
  const { used, peak, startup, overhead } = use
  const { values } = engine.config
  const resident = residentBytes()
  const { heapTotal } = process.memoryUsage()
  const reserved = Math.max(used, heapTotal + engine.keyspace.bytes)
  const dataset = Math.max(0, used - overhead)
  const lua = use.other("lua")
  const functions = use.other("functions")
  const functionsVm = use.other("functions-vm")
  const scripts = use.other("scripts")
  return [
    ["used_memory", used],
    ["used_memory_human", humanBytes(used)],
    ["used_memory_rss", resident],
    ["used_memory_rss_human", humanBytes(resident)],
    ["used_memory_peak", peak],
    ["used_memory_peak_human", humanBytes(peak)],
    ["used_memory_peak_perc", `${ratio(used * 100, peak)}%`],
    ["used_memory_overhead", overhead],
    ["used_memory_startup", startup],
    ["used_memory_dataset", dataset],
    ["used_memory_dataset_perc", `${ratio(dataset * 100, Math.max(1, used - startup))}%`],
    ["allocator_allocated", used],
    ["allocator_active", reserved],
    ["allocator_resident", resident],
    ["allocator_muzzy", 0],
    ["total_system_memory", totalmem()],
    ["total_system_memory_human", humanBytes(totalmem())],
    ["used_memory_lua", lua],
    ["used_memory_vm_eval", lua],
    ["used_memory_lua_human", humanBytes(lua)],
    ["used_memory_scripts_eval", scripts],
    ["number_of_cached_scripts", 0],
    ["number_of_functions", 0],
    ["number_of_libraries", 0],
    ["used_memory_vm_functions", functionsVm],
    ["used_memory_vm_total", lua + functionsVm],
    ["used_memory_vm_total_human", humanBytes(lua + functionsVm)],
    ["used_memory_functions", functions],
    ["used_memory_scripts", scripts + functions],
    ["used_memory_scripts_human", humanBytes(scripts + functions)],
    ["maxmemory", values.maxmemory],
    ["maxmemory_human", humanBytes(values.maxmemory)],
    ["maxmemory_policy", values.maxmemoryPolicy],
    ["allocator_frag_ratio", ratio(reserved, used)],
    ["allocator_frag_bytes", reserved - used],
    ["allocator_rss_ratio", ratio(resident, reserved)],
    ["allocator_rss_bytes", resident - reserved],
    ["rss_overhead_ratio", "1.00"],
    ["rss_overhead_bytes", 0],
    ["mem_fragmentation_ratio", ratio(resident, used)],
    ["mem_fragmentation_bytes", resident - used],
    ["mem_not_counted_for_evict", use.notCounted],
    ["mem_replication_backlog", use.other("backlog")],
    ["mem_total_replication_buffers", use.other("backlog") + use.other("replica buffers")],
    ["mem_clients_slaves", use.replicas + use.other("replica buffers")],
    ["mem_clients_normal", use.clients],
    ["mem_cluster_links", 0],
    ["mem_aof_buffer", use.other("aof")],
    ["mem_allocator", "bun"],
    ["mem_overhead_db_hashtable_rehashing", 0],
    ["active_defrag_running", 0],
    ["lazyfree_pending_objects", engine.keyspace.discardedSize],
    ["lazyfreed_objects", engine.keyspace.events.lazyfreed],
  ]
}

function persistence({ engine, lastSave }: Observer): InfoField[] {
  return [
    ["loading", (engine.conditions & EngineCondition.Loading) !== 0 ? 1 : 0],
    ["async_loading", 0],
    ["current_cow_peak", 0],
    ["current_cow_size", 0],
    ["current_cow_size_age", 0],
    ["current_fork_perc", "0.00"],
    ["current_save_keys_processed", 0],
    ["current_save_keys_total", 0],
    ["rdb_changes_since_last_save", engine.keyspace.events.dirty],
    ["rdb_bgsave_in_progress", 0],
    ["rdb_last_save_time", lastSave],
    ["rdb_last_bgsave_status", "ok"],
    ["rdb_last_bgsave_time_sec", -1],
    ["rdb_current_bgsave_time_sec", -1],
    ["rdb_saves", 0],
    ["rdb_last_cow_size", 0],
    ["rdb_last_load_keys_expired", 0],
    ["rdb_last_load_keys_loaded", 0],
    ["aof_enabled", engine.config.values.appendonly ? 1 : 0],
    ["aof_rewrite_in_progress", 0],
    ["aof_rewrite_scheduled", 0],
    ["aof_last_rewrite_time_sec", -1],
    ["aof_current_rewrite_time_sec", -1],
    ["aof_last_bgrewrite_status", "ok"],
    ["aof_rewrites", 0],
    ["aof_rewrites_consecutive_failures", 0],
    ["aof_last_write_status", "ok"],
    ["aof_last_cow_size", 0],
    ["module_fork_in_progress", 0],
    ["module_fork_last_cow_size", 0],
  ]
}

const kilobytes = (bytes: number) => (bytes / 1024).toFixed(2)

function stats({ engine, operationRate, inputRate, outputRate, cycleRate }: Observer): InfoField[] {
  const { clients: table, keyspace: store, output } = engine
  const { events } = store
  const idle = (...names: string[]): InfoField[] => names.map(name => [name, 0])
  const { user, system } = process.cpuUsage()
  const commandMicros = engine.registry.all.reduce((sum, { usec }) => sum + usec, 0)
  return [
    ["total_connections_received", table.accepted],
    ["total_commands_processed", engine.commandsProcessed],
    ["instantaneous_ops_per_sec", Math.round(operationRate.value)],
    ["total_net_input_bytes", engine.bytesIn],
    ["total_net_output_bytes", output.bytesOut],
    ...idle("total_net_repl_input_bytes", "total_net_repl_output_bytes"),
    ["instantaneous_input_kbps", kilobytes(inputRate.value)],
    ["instantaneous_output_kbps", kilobytes(outputRate.value)],
    ["instantaneous_input_repl_kbps", "0.00"],
    ["instantaneous_output_repl_kbps", "0.00"],
    ["rejected_connections", table.rejected],
    ...idle("sync_full", "sync_partial_ok", "sync_partial_err"),
    ["expired_subkeys", events.expiredFields],
    ["expired_keys", events.expiredKeys],
    ["expired_stale_perc", "0.00"],
    ...idle("expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds"),
    ["evicted_keys", events.evictedKeys],
    ...idle("evicted_clients", "evicted_scripts"),
    ["total_eviction_exceeded_time", engine.memoryLimit.totalExceededMs],
    ["current_eviction_exceeded_time", engine.memoryLimit.currentExceededMs],
    ["keyspace_hits", events.hits],
    ["keyspace_misses", events.misses],
    ...idle("pubsub_channels", "pubsub_patterns", "pubsubshard_channels", "latest_fork_usec", "total_forks"),
    ...idle("migrate_cached_sockets", "slave_expires_tracked_keys"),
    ...idle("active_defrag_hits", "active_defrag_misses", "active_defrag_key_hits", "active_defrag_key_misses"),
    ...idle("total_active_defrag_time", "current_active_defrag_time"),
    ...idle("tracking_total_keys", "tracking_total_items", "tracking_total_prefixes", "unexpected_error_replies"),
    ["total_error_replies", engine.errorReplies],
    ["dump_payload_sanitizations", events.sanitizations],
    ["total_reads_processed", engine.reads],
    ["total_writes_processed", output.writes],
    ...idle("io_threaded_reads_processed", "io_threaded_writes_processed"),
    ["client_query_buffer_limit_disconnections", table.overQueryLimit],
    ["client_output_buffer_limit_disconnections", table.overOutputLimit],
    ...idle("reply_buffer_shrinks", "reply_buffer_expands"),
    ["eventloop_cycles", engine.ticks],
    ["eventloop_duration_sum", user + system],
    ["eventloop_duration_cmd_sum", Math.round(commandMicros)],
    ["instantaneous_eventloop_cycles_per_sec", Math.round(cycleRate.value)],
    ["instantaneous_eventloop_duration_usec", Math.round((user + system) / Math.max(1, engine.ticks))],
    ...idle("acl_access_denied_auth", "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel"),
  ]
}

function cpu(): InfoField[] {
  const { user, system } = process.cpuUsage()
  const seconds = (micros: number) => (micros / 1e6).toFixed(6)
  return [
    ["used_cpu_sys", seconds(system)],
    ["used_cpu_user", seconds(user)],
    ["used_cpu_sys_children", "0.000000"],
    ["used_cpu_user_children", "0.000000"],
    ["used_cpu_sys_main_thread", seconds(system)],
    ["used_cpu_user_main_thread", seconds(user)],
  ]
}

function commandStatistics({ registry }: Engine): InfoField[] {
  return registry.all
    .filter(command => command.calls + command.rejectedCalls + command.failedCalls > 0)
    .map(command => [`cmdstat_${command.fullName}`, statisticsOf(command)])
}

function statisticsOf({ calls, usec, rejectedCalls, failedCalls }: RegisteredCommand): string {
  const whole = Math.round(usec)
  const perCall = calls === 0 ? "0.00" : (whole / calls).toFixed(2)
  return `calls=${calls},usec=${whole},usec_per_call=${perCall},rejected_calls=${rejectedCalls},failed_calls=${failedCalls}`
}

function latencyStatistics({ engine, histograms }: Observer): InfoField[] {
  const percentiles = engine.config.values.latencyTrackingInfoPercentiles
  const fields: InfoField[] = []
  for (const command of engine.registry.all) {
    const histogram = histograms[command.id]
    if (histogram === undefined) continue
    const shown = percentiles.map(p => `p${Number(p.toFixed(6))}=${histogram.percentile(p).toFixed(3)}`)
    fields.push([`latency_percentiles_usec_${command.fullName}`, shown.join(",")])
  }
  return fields
}

function keyspace({ keyspace: store }: Engine): InfoField[] {
  const fields: InfoField[] = []
  for (const db of store.databases) {
    const { index, keys } = db
    if (keys.size === 0) continue
    const { expirySize } = keys
    const average = expirySize === 0 ? 0 : Math.max(0, Math.round(keys.expirySum / expirySize - store.now))
    const subexpiry = store.fieldExpiry.size(db) + store.memberExpiry.size(db)
    fields.push([`db${index}`, `keys=${keys.size},expires=${expirySize},avg_ttl=${average},subexpiry=${subexpiry}`])
  }
  return fields
}

export function infoCommands(of: () => Observer): readonly CommandSpec[] {
  return [
    {
      name: "info",
      since: "1.0.0",
      group: "server",
      arity: -1,
      flags: "loading stale",
      categories: "dangerous",
      tips: "nondeterministic_output request_policy:all_shards response_policy:special",
      syntax: "[section...]",
      summary: "Reports the state and the statistics of the server.",
      complexity: "O(1)",
      history: [["7.0.0", "Added support for taking multiple section arguments."]],
      run: call => info(call, of()),
    },
  ]
}

function info({ args, reply }: Call, { info }: Observer): void {
  const asked: string[] = []
  for (let i = 1; i < args.count; i++) asked.push(args.latin1(i))
  reply.verbatim("txt", info.text(asked))
}
