/**
 * A job queue as libraries build it: jobs are hashes, ids wait in a list and move to another while they are worked on, delayed
 * ones lie in a sorted set, a marker wakes workers that block, and a stream tells what happened. Workers come and go.
 */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { Redis } from "ioredis"
import { until } from "../support/condition.ts"
import { type BundisProcess, startBundis } from "../support/process.ts"

const JOBS = 1000
const WORKERS = 10

let server: BundisProcess
const connections: Redis[] = []

beforeAll(async () => {
  server = await startBundis(["--save", ""])
})
afterAll(async () => {
  for (const each of connections) each.disconnect()
  await server[Symbol.asyncDispose]()
})

function connect(): Redis {
  const redis = new Redis({ port: server.port, host: "127.0.0.1", maxRetriesPerRequest: null })
  redis.on("error", () => {})
  connections.push(redis)
  return redis
}

async function add(redis: Redis, id: number): Promise<void> {
  const multi = redis.multi().hset(`job:${id}`, { data: `payload ${id}`, attempts: 0 })
  if (id % 10 === 0) multi.zadd("delayed", Date.now() + 20, id)
  else multi.lpush("waiting", id)
  await multi.zadd("marker", 0, "0").xadd("events", "MAXLEN", "~", 10000, "*", "event", "added", "id", id).exec()
}

/** Jobs whose time has come are put among the waiting ones, by one worker only. */
async function promote(redis: Redis): Promise<void> {
  await redis.watch("delayed")
  const due = await redis.zrangebyscore("delayed", 0, Date.now(), "LIMIT", 0, 100)
  if (due.length === 0) {
    await redis.unwatch()
    return
  }
  await redis
    .multi()
    .zrem("delayed", ...due)
    .lpush("waiting", ...due)
    .zadd("marker", 0, "0")
    .exec()
}

async function work(finished: () => boolean, completed: Map<string, number>): Promise<void> {
  const commands = connect()
  const waiting = connect()
  while (!finished()) {
    await waiting.bzpopmin("marker", 0.1)
    for (;;) {
      await promote(commands)
      const id = await waiting.blmove("waiting", "active", "RIGHT", "LEFT", 0.02)
      if (id === null) break
      await commands.hincrby(`job:${id}`, "attempts", 1)
      completed.set(id, (completed.get(id) ?? 0) + 1)
      await commands
        .multi()
        .lrem("active", -1, id)
        .zadd("completed", Date.now(), id)
        .xadd("events", "MAXLEN", "~", 10000, "*", "event", "completed", "id", id)
        .exec()
    }
  }
}

test("every job is done exactly once, whatever connections are lost", async () => {
  const control = connect()
  const completed = new Map<string, number>()
  const workers = Array.from({ length: WORKERS }, () => work(() => completed.size === JOBS, completed))
  const heard = new Set<string>()
  const listener = connect()
  const listening = (async () => {
    for (let last = "0"; heard.size < JOBS; ) {
      const streams = await listener.xread("COUNT", 500, "BLOCK", 1000, "STREAMS", "events", last)
      for (const [id, fields] of streams?.[0]?.[1] ?? []) {
        last = id
        if (fields[1] === "completed") heard.add(fields[3]!)
      }
    }
  })()

  // Clients that go away while they wait must not take a job with them.
  const deserters = Array.from({ length: 50 }, () => connect())
  for (const each of deserters) void each.blpop("jobs of nobody", "waiting too", 0).catch(() => {})
  await until(async () => Number(/blocked_clients:(\d+)/.exec(await control.info("clients"))?.[1]) >= deserters.length)
  for (let id = 0; id < JOBS; id++) {
    await add(control, id)
    if (id % 40 === 0) deserters.pop()?.disconnect()
  }
  await Promise.all([...workers, listening])

  expect([...completed.values()].every(times => times === 1)).toBe(true)
  expect(completed.size).toBe(JOBS)
  expect(await control.zcard("completed")).toBe(JOBS)
  expect(await control.llen("active")).toBe(0)
  expect(await control.exists("waiting", "delayed")).toBe(0)
  for (const each of connections) if (each !== control) each.disconnect()
  await until(async () => {
    const clients = await control.info("clients")
    return /connected_clients:1\r/.test(clients) && /blocked_clients:0\r/.test(clients)
  })
})
