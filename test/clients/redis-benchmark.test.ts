/** redis-benchmark: its default set of tests without an error reply, in its usual ways of calling. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type BundisProcess, startBundis } from "../support/process.ts"
import { have, runTool } from "./tool.ts"

describe.skipIf(!have("redis-benchmark"))("redis-benchmark", () => {
  let server: BundisProcess
  beforeAll(async () => {
    server = await startBundis(["--appendonly", "no", "--save", ""])
  })
  afterAll(() => server[Symbol.asyncDispose]())

  /** Requests per second by test. It ends itself with a complaint at the first error reply. */
  async function benchmark(...args: string[]): Promise<Map<string, number>> {
    const argv = ["redis-benchmark", "-p", String(server.port), "--csv", ...args]
    const { stdout, stderr, exitCode } = await runTool(argv)
    expect(stderr.replace(/WARNING: Keepalive disabled.*\n/, "")).toBe("")
    expect(exitCode).toBe(0)
    const [heading, ...rows] = stdout.trim().split("\n")
    expect(heading).toStartWith('"test","rps"')
    const results = new Map<string, number>()
    for (const row of rows) {
      const match = /^"(.*?)","([\d.]+)",/.exec(row)
      expect(match, row).not.toBeNull()
      results.set(match![1]!, Number(match![2]))
    }
    return results
  }

  const defaults = [
    ...["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET", "SPOP"],
    ...["ZADD", "ZPOPMIN", "LPUSH (needed to benchmark LRANGE)", "LRANGE_100 (first 100 elements)"],
    ...["LRANGE_300 (first 300 elements)", "LRANGE_500 (first 500 elements)", "LRANGE_600 (first 600 elements)"],
    "MSET (10 keys)",
  ]

  test.each([
    ["one command at a time", ["-n", "1000"]],
    ["in pipelines, random keys, larger values", ["-n", "1000", "-P", "32", "-r", "10000", "-d", "512"]],
    ["in RESP3", ["-n", "1000", "-P", "8", "-3"]],
    ["a connection per request", ["-n", "100", "-k", "0"]],
    ["with tracking", ["-n", "1000", "-r", "100", "--enable-tracking"]],
  ])(
    "%s",
    async (_, args) => {
      const results = await benchmark(...args)
      expect([...results.keys()].sort()).toEqual(defaults.toSorted())
      for (const [name, requestsPerSecond] of results) expect(requestsPerSecond, name).toBeGreaterThan(0)
    },
    60_000,
  )

  test("a command of one's own", async () => {
    const results = await benchmark(
      "-n",
      "1000",
      "-r",
      "50",
      "-P",
      "10",
      "ZADD",
      "board",
      "__rand_int__",
      "m:__rand_int__",
    )
    expect(results.size).toBe(1)
    await using client = await server.connect()
    expect(await client.plain("ZCARD", "board")).toBeGreaterThan(10)
  })
})
