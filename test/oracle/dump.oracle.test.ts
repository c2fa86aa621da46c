/** DUMP, RESTORE and whole files, there and back between bundis and a real Redis. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { readFile, saveFile } from "../rdb/files.ts"
import { Client } from "../support/client.ts"
import { compareCommands, compareKeyspaces } from "../support/compare.ts"
import { CommandGenerator } from "../support/generator.ts"
import { type Oracle, oracleAvailable, startOracle } from "../support/oracle.ts"
import { oracleFamily } from "../support/oracle-family.ts"
import { Random, runSeed } from "../support/random.ts"
import { TempDir } from "../support/temp-dir.ts"
import { drawProfile } from "../support/words.ts"

/** Values of every type, small and large; nothing that Redis 7.0 does not know. */
const writing = {
  "SET key value": 3,
  "SET key int": 3,
  "SET key value PX 100000000": 1,
  "APPEND key value": 1,
  "SETRANGE key 200 value": 0.3,
  "RPUSH key value...": 4,
  "LPOP key": 1,
  "SADD key member...": 3,
  "SADD key int...": 3,
  "SREM key member": 1,
  "HSET key (field value)...": 5,
  "HDEL key field": 1,
  "ZADD key (score member)...": 5,
  "ZINCRBY key '0.1' member": 1,
  "XADD key * (field value)...": 3,
  "XDEL key '0-1'": 1,
  "XGROUP CREATE key 'g' 0": 1,
  "XGROUP CREATECONSUMER key 'g' 'idle'": 0.2,
  "XREADGROUP GROUP 'g' 'alice' COUNT 3 STREAMS key >": 2,
  "XREADGROUP GROUP 'g' 'bob' COUNT 1 STREAMS key >": 1,
  "DEL key": 0.5,
}

describe.skipIf(!oracleAvailable)("values and files", () => {
  let server: EmbeddedServer
  let oracle: Oracle
  let ours: Client
  let theirs: Client
  const dir = new TempDir()

  beforeAll(async () => {
    server = await createServer({ config: { "enable-debug-command": "yes" } })
    oracle = await startOracle()
    ours = await Client.connect(server.port)
    theirs = await oracle.connect()
  })
  afterAll(async () => {
    ours.close()
    theirs.close()
    await server.close()
    await oracle[Symbol.asyncDispose]()
    dir.remove()
  })

  const fill = async (client: Client, random: Random, count: number): Promise<void> => {
    const generator = new CommandGenerator({ commands: writing, spoilOneIn: 0 })
    const profile = drawProfile(random)
    const batch = Array.from({ length: count }, () => generator.next(random, profile)).flat()
    for (const command of batch) await client.call(...(command as [string]))
  }
  const keysOf = async (client: Client): Promise<Uint8Array[]> => {
    const reply = await client.call("KEYS", "*")
    return reply.type === "array" ? reply.items.map(item => (item as { value: Uint8Array }).value) : []
  }
  const payloadOf = async (client: Client, key: string | Uint8Array): Promise<Uint8Array> => {
    const reply = await client.call("DUMP", key)
    if (reply.type !== "bulk") throw new Error(`DUMP of ${key}: ${JSON.stringify(reply)}`)
    return reply.value
  }
  const back = "the same, having gone there and come back"
  const ok = async (client: Client, ...command: [string, ...(string | Uint8Array)[]]): Promise<void> => {
    expect(await client.plain(...(command as [string]))).toBe("OK")
  }

  /** Streams of 7.2 have times that 7.0 cannot tell: what was only tried, and what came of it. */
  const isForOldRedis = (payload: Uint8Array): boolean => payload[payload.length - 10] === 10

  test("every value goes there and back", async () => {
    const random = new Random()
    for (let round = 0; round < 12; round++) {
      for (const client of [ours, theirs]) await client.call("FLUSHALL")
      await fill(ours, random, 150)
      for (const key of await keysOf(ours)) {
        const payload = await payloadOf(ours, key)
        if (!isForOldRedis(payload)) {
          expect(await ours.plain("TYPE", key)).toBe("stream")
          await ours.call("DEL", key)
          continue
        }
        await ok(theirs, "RESTORE", key, "0", payload)
        const ttl = (await ours.plain("PEXPIRETIME", key)) as number
        if (ttl > 0) await theirs.call("PEXPIREAT", key, String(ttl))
        await ok(ours, "RESTORE", back, "0", await payloadOf(theirs, key))
        const digests = (await ours.plain("DEBUG", "DIGEST-VALUE", key, back)) as string[]
        if (ttl === -1) expect(digests[0], `${key}, seed ${runSeed}`).toBe(digests[1]!)
        await ours.call("DEL", back)
      }
      await compareKeyspaces(ours, theirs)
    }
  }, 60_000)

  test("every value of theirs, and what it is when it comes back to them", async () => {
    const random = new Random()
    for (let round = 0; round < 12; round++) {
      for (const client of [ours, theirs]) await client.call("FLUSHALL")
      await fill(theirs, random, 150)
      for (const key of await keysOf(theirs)) {
        await theirs.call("PERSIST", key)
        await ok(ours, "RESTORE", key, "0", await payloadOf(theirs, key))
        const payload = await payloadOf(ours, key)
        expect(isForOldRedis(payload), `${key}, seed ${runSeed}`).toBe(true)
        await ok(theirs, "RESTORE", back, "0", payload)
        const [first, second] = (await theirs.plain("DEBUG", "DIGEST-VALUE", key, back)) as string[]
        expect(second, `${key}, seed ${runSeed}`).toBe(first!)
        await theirs.call("DEL", back)
      }
      await compareKeyspaces(ours, theirs)
    }
  }, 60_000)

  test("files of ours are read by redis-server, and found good by redis-check-rdb", async () => {
    const random = new Random()
    await ours.call("FLUSHALL")
    await fill(ours, random, 600)
    await ours.call("SELECT", "5")
    await fill(ours, random, 200)
    await ours.call("SELECT", "0")
    for (const db of [0, 5]) {
      await ours.call("SELECT", String(db))
      for (const key of await keysOf(ours)) if (!isForOldRedis(await payloadOf(ours, key))) await ours.call("DEL", key)
    }
    for (const compress of [true, false]) {
      const path = dir.join("dump.rdb")
      writeFileSync(path, await saveFile(server, { compress, checksum: compress }))
      const check = Bun.which("redis-check-rdb")
      if (check !== null) {
        const { exitCode, stdout } = Bun.spawnSync([check, path])
        expect(stdout.toString()).toContain("RDB looks OK")
        expect(exitCode).toBe(0)
      }
      await using reader = await startOracle({ dir: dir.path })
      const client = await reader.connect()
      for (const db of ["0", "5"]) {
        await ours.call("SELECT", db)
        await client.call("SELECT", db)
        await compareKeyspaces(ours, client)
      }
      client.close()
    }
    await ours.call("SELECT", "0")
  }, 60_000)

  test("files of theirs are read by us", async () => {
    const random = new Random()
    await theirs.call("FLUSHALL")
    await fill(theirs, random, 800)
    for (const [directive, value] of [
      ["rdbcompression", "yes"],
      ["rdbcompression", "no"],
    ]) {
      await theirs.call("CONFIG", "SET", directive!, value!)
      await ok(theirs, "SAVE")
      const bytes = new Uint8Array(await Bun.file(join(oracle.dir, "dump.rdb")).arrayBuffer())
      await ours.call("FLUSHALL")
      expect(readFile(server, bytes, { chunkBytes: random.between(1, 20_000) }).isVerified).toBe(true)
      await compareKeyspaces(ours, theirs)
    }
  }, 60_000)

  test("options and errors of RESTORE", async () => {
    for (const client of [ours, theirs]) await client.call("FLUSHALL")
    await theirs.call("SET", "source", "value")
    const payload = await payloadOf(theirs, "source")
    const wrong = payload.slice()
    wrong[3]! ^= 1
    const future = payload.slice()
    future[payload.length - 10] = 99
    const far = String(Date.now() + 10_000_000_000)
    await compareCommands(ours, theirs, [
      ["RESTORE", "a", "0", payload],
      ["GET", "a"],
      ["RESTORE", "a", "0", payload],
      ["RESTORE", "a", "0", payload, "REPLACE"],
      ["RESTORE", "a", "-1", payload, "REPLACE"],
      ["RESTORE", "a", "x", payload, "REPLACE"],
      ["RESTORE", "b", "0", wrong],
      ["RESTORE", "b", "0", future],
      ["RESTORE", "b", "0", "short"],
      ["RESTORE", "b", "0", ""],
      ["RESTORE", "b", far, payload, "ABSTTL"],
      ["PEXPIRETIME", "b"],
      ["RESTORE", "b", "1", payload, "ABSTTL"],
      ["RESTORE", "b", "1", payload, "ABSTTL", "REPLACE"],
      ["EXISTS", "b"],
      ["RESTORE", "c", "0", payload, "IDLETIME", "1000"],
      ["OBJECT", "IDLETIME", "c"],
      ["RESTORE", "d", "0", payload, "IDLETIME", "-1"],
      ["RESTORE", "d", "0", payload, "IDLETIME", "x"],
      ["RESTORE", "d", "0", payload, "IDLETIME"],
      ["RESTORE", "d", "0", payload, "FREQ", "256"],
      ["RESTORE", "d", "0", payload, "FREQ", "-1"],
      ["RESTORE", "d", "0", payload, "FREQ", "5", "IDLETIME", "5"],
      ["RESTORE", "d", "0", payload, "NOTHING"],
      ["RESTORE", "d", "0"],
      ["RESTORE-ASKING", "d", "0", payload, "FREQ", "200"],
      ["DUMP", "nothing"],
      ["DUMP"],
      ["DUMP", "d"],
    ])
  })
})

const payloads: [string, Uint8Array][] = []
if (oracleAvailable) {
  await using source = await createServer()
  const client = await Client.connect(source.port)
  for (const command of [
    ["SET", "k", "text"],
    ["SET", "k", "17"],
    ["RPUSH", "k", "a", "b"],
    ["SADD", "k", "1", "2"],
    ["SADD", "k", "a", "b"],
    ["HSET", "k", "a", "1"],
    ["ZADD", "k", "1", "a", "2", "b"],
  ]) {
    await client.call("DEL", "k")
    await client.call(...(command as [string]))
    const reply = await client.call("DUMP", "k")
    if (reply.type === "bulk") payloads.push([command[0]!, reply.value])
  }
  client.close()
}

oracleFamily("restore", {
  commands: {
    "RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME smallint|FREQ smallint]": 6,
    "RESTORE key 0 payload REPLACE": 6,
    "RESTORE key 1 payload REPLACE ABSTTL": 1,
    "DEL key": 3,
    "PERSIST key": 1,
    "APPEND key value": 1,
    "RPUSH key value": 1,
    "SADD key member": 1,
    "HSET key field value": 1,
    "ZADD key score member": 1,
    "TYPE key": 1,
  },
  words: {
    payload: random => {
      const [, bytes] = random.pick(payloads)
      if (!random.oneIn(15)) return bytes
      const damaged = bytes.slice()
      damaged[random.below(damaged.length)]! ^= 1 << random.below(8)
      return damaged
    },
    ttl: random => random.pick(["0", "0", "100000000", "-1", "x"]),
    smallint: random => random.pick(["0", "5", "255", "256", "-1", "x"]),
  },
})
