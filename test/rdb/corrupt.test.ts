/**
 * Damaged payloads. DEBUG SET-SKIP-CHECKSUM-VALIDATION lets them through to the decoder, which refuses them or makes
 * something of them; whatever that is, every command must get along with it.
 *
 * BUNDIS_FUZZ is the number of payloads tried (1200).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Random } from "../support/random.ts"

const PAYLOADS = Number(process.env.BUNDIS_FUZZ) || 1200

const numbered = (count: number, make: (i: number) => string[]): string =>
  Array.from({ length: count }, (_, i) => make(i).join(" ")).join(" ")

/** Commands that make a value of each form under "k". */
const values: Record<string, readonly string[]> = {
  text: ["SET k hello"],
  integer: ["SET k 123456"],
  compressed: [`SET k ${"ab".repeat(300)}`],
  list: [`RPUSH k a 1 -5 100000 ${"x".repeat(70)} 99999999999999`],
  chunks: [`RPUSH k ${numbered(2000, i => [`element${i}`])}`],
  ints: ["SADD k 1 70000 99999999999"],
  members: [`SADD k a b 1 ${"x".repeat(50)}`],
  table: [`SADD k ${numbered(200, i => [`m${i}`])}`],
  "members that expire": ["SADD k a b c", "SPEXPIRE k 100000000 MEMBERS 1 a"],
  hash: [`HSET k a 1 b ${"x".repeat(60)} c -100`],
  "hash table": [`HSET k ${numbered(600, i => [`f${i}`, `v${i}`])}`],
  "expiring hash": ["HSET k a 1 b 2 c 3", "HPEXPIRE k 100000000 FIELDS 2 a b"],
  "expiring table": [`HSET k ${numbered(600, i => [`f${i}`, `v${i}`])}`, "HPEXPIRE k 100000000 FIELDS 2 f0 f2"],
  zset: ["ZADD k 1 a 2.5 b -inf c"],
  tree: [`ZADD k ${numbered(200, i => [String(i / 3), `m${i}`])}`],
  stream: [
    "XADD k 1-1 a b",
    "XADD k 1-2 a c",
    "XADD k 2-3 d e f g",
    "XDEL k 1-2",
    "XGROUP CREATE k g 0",
    "XREADGROUP GROUP g alice COUNT 1 STREAMS k >",
    "XREADGROUP GROUP g bob STREAMS k >",
  ],
  blocks: Array.from({ length: 250 }, (_, i) => `XADD k 5-${i + 1} f ${"v".repeat((i % 30) + 1)}`),
}

const always = [
  "OBJECT ENCODING k",
  "DEBUG DIGEST-VALUE k",
  "DUMP k",
  "COPY k k2 REPLACE",
  "MEMORY USAGE k",
  "RENAME k k",
]
const ofType: Record<string, readonly string[]> = {
  string: ["GET k", "APPEND k x", "GETRANGE k 0 -1", "INCR k", "SETRANGE k 3 zz", "BITCOUNT k"],
  list: [
    ...["LRANGE k 0 -1", "LPUSH k x", "RPOP k", "LINDEX k 5", "LSET k 0 v", "LINSERT k BEFORE a z", "LREM k 0 a"],
    ...["LTRIM k 1 -2", "LPOS k b", "LMOVE k k LEFT RIGHT"],
  ],
  set: [
    ...["SMEMBERS k", "SADD k nn 5", "SREM k a 1", "SRANDMEMBER k -5", "SPOP k 2", "SSCAN k 0", "SUNIONSTORE k3 k k"],
    `SADD k ${numbered(200, i => [`q${i}`])}`,
  ],
  hash: [
    ...["HGETALL k", "HSET k zz 1", "HDEL k a", "HINCRBY k a 1", "HRANDFIELD k -5 WITHVALUES", "HSCAN k 0"],
    ...["HTTL k FIELDS 1 a", "HPERSIST k FIELDS 1 a", "HEXPIRE k 1000 FIELDS 1 b"],
    `HSET k ${numbered(600, i => [`q${i}`, "1"])}`,
  ],
  zset: [
    ...["ZRANGE k 0 -1 WITHSCORES", "ZADD k 5 zz", "ZINCRBY k 1 a", "ZRANK k a", "ZRANGEBYSCORE k -inf +inf"],
    ...["ZREM k b", "ZPOPMIN k", "ZRANDMEMBER k -3", "ZSCAN k 0", "ZREMRANGEBYRANK k 0 0", "ZUNIONSTORE k3 2 k k"],
    `ZADD k ${numbered(200, i => [String(i), `q${i}`])}`,
  ],
  stream: [
    ...["XRANGE k - +", "XREVRANGE k + -", "XADD k * f v", "XINFO STREAM k FULL", "XPENDING k g - + 10"],
    ...["XREADGROUP GROUP g alice STREAMS k >", "XCLAIM k g bob 0 1-1", "XAUTOCLAIM k g c 0 0", "XACK k g 1-1"],
    ...["XDEL k 1-1", "XTRIM k MAXLEN 1", "XREADGROUP GROUP g alice STREAMS k 0"],
  ],
}

let server: EmbeddedServer
const failures: string[] = []
beforeAll(async () => {
  server = await createServer({
    config: { "enable-debug-command": "yes" },
    log: (level, message) => {
      if (level === "warning" && message.startsWith("error in command")) failures.push(message)
    },
  })
})
afterAll(() => server.close())
const run = (line: string): Promise<unknown> => server.execute(...line.split(" "))

async function dumps(): Promise<[name: string, payload: Uint8Array][]> {
  const found: [string, Uint8Array][] = []
  for (const compression of ["yes", "no"]) {
    await run(`CONFIG SET rdbcompression ${compression}`)
    for (const [name, commands] of Object.entries(values)) {
      await run("FLUSHALL")
      for (const command of commands) expect(await run(command), command.slice(0, 50)).not.toHaveProperty("error")
      const reply = await server.executeReply("DUMP", "k")
      found.push([name, (reply as unknown as { value: Uint8Array }).value.slice()])
    }
  }
  return found
}

function damage(payload: Uint8Array, random: Random): Uint8Array {
  const damaged = payload.slice()
  for (let i = random.below(4); i >= 0; i--) {
    const at = random.below(damaged.length - 10)
    damaged[at] = random.pick([damaged[at]! ^ (1 << random.below(8)), 0xff, 0, random.below(256)])
  }
  if (!random.oneIn(8)) return damaged
  const from = random.below(damaged.length - 10)
  const to = Math.min(damaged.length - 10, from + random.below(8))
  return new Uint8Array(Buffer.concat([damaged.subarray(0, from), damaged.subarray(to)]))
}

describe.each(["no", "yes"])("sanitize-dump-payload %s", sanitizes => {
  test("damaged payloads are refused, or their values can be worked with", async () => {
    const random = new Random()
    const payloads = await dumps()
    await run(`CONFIG SET sanitize-dump-payload ${sanitizes}`)
    await run("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1")
    let taken = 0
    for (let i = 0; i < PAYLOADS / 2; i++) {
      const [name, payload] = random.pick(payloads)
      const damaged = damage(payload, random)
      const told = `${name}, seed ${random.seed}: ${Buffer.from(damaged).toString("hex").slice(0, 400)}`
      await run("FLUSHALL")
      const reply = await server.execute("RESTORE", "k", "0", damaged)
      if (reply !== "OK") {
        expect(reply, told).toEqual({ error: expect.stringMatching(/^ERR (Bad data format|DUMP payload version)/) })
        expect(await run("EXISTS k")).toBe(0)
        continue
      }
      taken++
      const type = String(await run("TYPE k"))
      const commands = [...always, ...(ofType[type] ?? [])]
      for (let j = 0; j < 8; j++) {
        const command = random.pick(commands)
        const answer = (await run(command)) as { error?: string } | null
        // What a handler throws for want of memory is answered so: here it would be a length that was believed.
        if (answer?.error?.startsWith("OOM")) failures.push(`${command.slice(0, 30)}: ${answer.error}`)
      }
      expect(failures.splice(0), told).toEqual([])
    }
    expect(taken).toBeGreaterThan(PAYLOADS / 20)
    await run("DEBUG SET-SKIP-CHECKSUM-VALIDATION 0")
  })
})

test("with checksums, damage is seen", async () => {
  const random = new Random()
  for (const [name, payload] of await dumps()) {
    await run("FLUSHALL")
    const at = random.below(payload.length)
    payload[at]! ^= 1 << random.below(8)
    expect(await server.execute("RESTORE", "k", "0", payload), name).toEqual({
      error: "ERR DUMP payload version or checksum are wrong",
    })
  }
})
