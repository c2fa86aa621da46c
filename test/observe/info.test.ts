import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { humanBytes } from "../../src/observe/info.ts"
import { Client } from "../support/client.ts"

let server: EmbeddedServer
let client: Client

beforeAll(async () => {
  server = await createServer({ port: 0 })
  client = await Client.connect(server.port)
})
afterAll(async () => {
  client.close()
  await server[Symbol.asyncDispose]()
})

const info = async (...sections: string[]) => String(await client.plain("INFO", ...sections))
const titles = (text: string) => [...text.matchAll(/^# (\S+)/gm)].map(match => match[1]!)
const value = (text: string, field: string) => new RegExp(`^${field}:(.*)\r$`, "m").exec(text)?.[1]

const USUAL = ["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules", "Errorstats"]

describe("sections", () => {
  test("come by default, all, or chosen in any case and never twice", async () => {
    expect(titles(await info())).toEqual([...USUAL, "Cluster", "Keyspace"])
    expect(titles(await info("default"))).toEqual([...USUAL, "Cluster", "Keyspace"])
    const all = ["Commandstats", "Errorstats", "Latencystats", "Cluster", "Keyspace"]
    expect(titles(await info("everything"))).toEqual([...USUAL.slice(0, -1), ...all])
    expect(titles(await info("KEYSPACE", "cpu", "Cpu"))).toEqual(["CPU", "Keyspace"])
    expect(titles(await info("commandSTATS", "default", "server"))).toEqual([
      ...USUAL.slice(0, -1),
      "Commandstats",
      "Errorstats",
      "Cluster",
      "Keyspace",
    ])
    expect(await info("nosuch")).toBe("")
  })

  test("are separated by one empty line", async () => {
    expect(await info("cluster", "keyspace")).toMatch(/^# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n/)
  })

  test("hold what exporters read", async () => {
    const text = await info("all")
    const read =
      "redis_version redis_mode os run_id process_id tcp_port uptime_in_seconds connected_clients blocked_clients " +
      "tracking_clients pubsub_clients maxclients used_memory used_memory_rss used_memory_peak used_memory_lua " +
      "used_memory_overhead used_memory_startup used_memory_dataset maxmemory maxmemory_policy " +
      "mem_fragmentation_ratio mem_clients_normal mem_clients_slaves loading rdb_changes_since_last_save " +
      "rdb_last_save_time rdb_last_bgsave_status rdb_bgsave_in_progress aof_enabled aof_rewrite_in_progress " +
      "total_connections_received total_commands_processed rejected_connections total_net_input_bytes " +
      "total_net_output_bytes instantaneous_ops_per_sec instantaneous_input_kbps expired_keys evicted_keys " +
      "keyspace_hits keyspace_misses total_error_replies acl_access_denied_auth connected_slaves " +
      "repl_backlog_active master_repl_offset master_replid sync_full used_cpu_sys used_cpu_user role"
    for (const field of read.split(" ")) expect([field, value(text, field)]).toEqual([field, expect.any(String)])
    const names = [...text.matchAll(/^([^#:\r]+):/gm)].map(match => match[1]!)
    expect(names.length).toBe(new Set(names).size)
  })
})

describe("numbers", () => {
  test("of the keyspace", async () => {
    await client.plain("SELECT", 5)
    await client.plain("SET", "a", "1")
    await client.plain("SET", "b", "1", "EX", "100")
    expect(await info("keyspace")).toMatch(/^db5:keys=2,expires=1,avg_ttl=(99\d\d\d|100000),subexpiry=0\r$/m)
    await client.plain("DEL", "a", "b")
    expect(await info("keyspace")).toBe("# Keyspace\r\n")
  })

  test("of commands: calls, refused and failed ones; and RESETSTAT", async () => {
    await client.plain("CONFIG", "RESETSTAT")
    await client.plain("SET", "s", "1")
    await client.plain("GET", "s")
    await client.plain("GET", "absent")
    await client.plain("GET")
    await client.plain("SET", "s", "1", "NONSENSE")
    const text = await info("commandstats", "errorstats", "stats")
    expect(text).toMatch(/^cmdstat_get:calls=2,usec=\d+,usec_per_call=[\d.]+,rejected_calls=1,failed_calls=0\r$/m)
    expect(text).toMatch(/^cmdstat_set:calls=2,.*,rejected_calls=0,failed_calls=1\r$/m)
    expect(value(text, "errorstat_ERR")).toBe("count=2")
    expect(value(text, "total_error_replies")).toBe("2")
    expect(value(text, "keyspace_hits")).toBe("1")
    expect(value(text, "keyspace_misses")).toBe("1")
    await client.plain("CONFIG", "RESETSTAT")
    expect(titles(await info("errorstats"))).toEqual(["Errorstats"])
    expect(await info("commandstats")).not.toContain("cmdstat_get:")
  })

  test("of memory move with the data", async () => {
    const used = async () => Number(value(await info("memory"), "used_memory"))
    const before = await used()
    await client.plain("SET", "large", Buffer.alloc(1024 * 1024))
    const during = await used()
    expect(during - before).toBeGreaterThanOrEqual(1024 * 1024)
    expect(during - before).toBeLessThan(1.3 * 1024 * 1024)
    await client.plain("DEL", "large")
    expect(await used()).toBeLessThan(during)
    expect(Number(value(await info("memory"), "used_memory_peak"))).toBeGreaterThanOrEqual(during)
    expect(Number(value(await info("memory"), "used_memory_rss"))).toBeGreaterThan(1024 * 1024)
  })

  test("of subsystems replace the idle ones", async () => {
    server.server.observer.info.provide("replication", () => [
      ["connected_slaves", 1],
      ["slave0", "ip=127.0.0.1"],
    ])
    const text = await info("replication")
    expect(text).toMatch(/connected_slaves:1\r\n[\s\S]*repl_backlog_histlen:0\r\nslave0:ip=127.0.0.1\r\n$/)
    expect(text).not.toContain("connected_slaves:0")
  })
})

test("latencystats shows the percentiles asked for", async () => {
  await client.plain("CONFIG", "SET", "latency-tracking-info-percentiles", "50 99.99")
  await client.plain("SET", "k", "v")
  expect(await info("latencystats")).toMatch(/^latency_percentiles_usec_set:p50=[\d.]+,p99.99=[\d.]+\r$/m)
  await client.plain("CONFIG", "SET", "latency-tracking", "no")
  await client.plain("SET", "k", "v")
  expect(await info("latencystats")).toBe("# Latencystats\r\n")
  await client.plain("CONFIG", "SET", "latency-tracking", "yes")
})

test("sizes for people", () => {
  expect([0, 1023, 1024, 1536, 1048576, 5 * 2 ** 40].map(humanBytes)).toEqual([
    ...["0B", "1023B", "1.00K", "1.50K", "1.00M", "5.00T"],
  ])
})
