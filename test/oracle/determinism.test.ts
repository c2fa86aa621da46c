/**
 * What the append-only file says is what happened: random commands of all families, with keys and fields that expire
 * meanwhile, transactions, and clients that wait; then the file is replayed, by a restart and by DEBUG LOADAOF, and all
 * data must be the same. The clock stands still and is moved by hand, so times are compared to the millisecond.
 */
import { expect, test } from "bun:test"
import { createServer, ManualClock } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { type Arg, type Command, formatCommand, quote } from "../support/command.ts"
import { formatReply } from "../support/compare.ts"
import { until } from "../support/condition.ts"
import { CommandGenerator } from "../support/generator.ts"
import { Random, runSeed } from "../support/random.ts"
import { TempDir } from "../support/temp-dir.ts"
import { drawProfile, type Profile, type Word } from "../support/words.ts"

const START_MS = 1_700_000_000_000
const ROUNDS = Number(process.env.BUNDIS_FUZZ ?? 2000) / 1000
const BLOCKS = 12
const BLOCK_LENGTH = 80

/** Keys of one type each, most of the time: commands meet values they can work on. */
const of =
  (letter: string): Word =>
  (random, profile) =>
    random.oneIn(40) ? `x${random.between(1, 3)}` : letter + random.between(1, profile.keys)

const words: Record<string, Word> = {
  str: of("str"),
  num: random => `num${random.between(1, 3)}`,
  bits: random => `bits${random.between(1, 3)}`,
  hll: random => `hll${random.between(1, 3)}`,
  hash: of("hash"),
  list: of("list"),
  set: of("set"),
  zset: of("zset"),
  geo: random => `geo${random.between(1, 2)}`,
  // Few, so that most of them have groups.
  stream: random => (random.oneIn(40) ? "x1" : random.pick(["stream1", "stream2"])),
  any: (random, profile) => {
    const kind = random.oneIn(20) ? "stream" : random.pick(["str", "num", "bits", "hash", "list", "set", "zset", "geo"])
    return words[kind]!(random, profile)
  },
  /** Expiries within reach of the clock's steps. */
  soon: random => String(random.between(1, 3000)),
  soonseconds: random => String(random.between(1, 3)),
  soonat: random => String(START_MS + random.between(-100, BLOCKS * 300)),
  number: random => String(random.between(-50, 50) / random.pick([1, 1, 3, 7, 10])),
  lon: random => (random.below(360_000_000) / 1e6 - 180).toFixed(6),
  lat: random => (random.below(160_000_000) / 1e6 - 80).toFixed(6),
  id: random => `${START_MS + random.below(BLOCKS * 300)}-${random.below(3)}`,
  low: random => `1-${random.between(1, 30)}`,
  group: random => random.pick(["g1", "g2"]),
  consumer: random => random.pick(["alice", "bob"]),
  condition: random => random.pick(["NX", "XX", "GT", "LT"]),
}

const commands: Record<string, number> = {
  "SET str value": 4,
  "SET str value [NX|XX] [GET] (EX soonseconds|PX soon|PXAT soonat|KEEPTTL)": 6,
  "SETEX str soonseconds value": 1,
  "PSETEX str soon value": 1,
  "GETEX str [EX soonseconds|PX soon|PXAT soonat|PERSIST]": 4,
  "GETDEL str": 1,
  "GETSET str value": 1,
  "MSETEX 2 str value str value PX soon": 1,
  "DELEX str": 0.5,
  "SET str value IFEQ value [PX soon]": 1,
  "APPEND str value": 3,
  "SETRANGE str offset value": 2,
  "SET num int": 2,
  "INCR num": 2,
  "INCRBYFLOAT num number": 5,
  "INCREX num BYFLOAT number PX soon": 1,
  "INCREX num BYINT small EX soonseconds": 1,
  "SETBIT bits bit binary": 3,
  "BITFIELD bits SET 'u8' bit small INCRBY 'i5' bit small": 2,
  "BITOP (AND|OR|XOR|NOT) bits bits [bits]": 2,
  "PFADD hll member...": 3,
  "PFMERGE hll hll": 1,
  "PFCOUNT hll": 1,
  "HSET hash (field value)...": 8,
  "HSET hash field number": 3,
  "HSETNX hash field value": 1,
  "HINCRBY hash field small": 2,
  "HINCRBYFLOAT hash field number": 4,
  "HDEL hash field...": 3,
  "HGETDEL hash FIELDS 2 field field": 2,
  "HGETEX hash (PX soon|EX soonseconds|PXAT soonat|PERSIST) FIELDS 2 field field": 4,
  "HSETEX hash [FNX|FXX] [PX soon|KEEPTTL|PXAT soonat] FIELDS 2 field value field value": 4,
  "HPEXPIRE hash soon [condition] FIELDS 2 field field": 6,
  "HEXPIRE hash soonseconds [condition] FIELDS 1 field": 3,
  "HPEXPIREAT hash soonat [condition] FIELDS 1 field": 3,
  "HPERSIST hash FIELDS 2 field field": 2,
  "HGETALL hash": 1,
  "LPUSH list value...": 5,
  "RPUSH list value...": 5,
  "LPOP list [count]": 3,
  "RPOP list [count]": 2,
  "LSET list ('0'|'-1'|index) value": 2,
  "LINSERT list (BEFORE|AFTER) value value": 2,
  "LREM list index value": 2,
  "LTRIM list index index": 1,
  "LMOVE list list (LEFT|RIGHT) (LEFT|RIGHT)": 3,
  "LMPOP 2 list list (LEFT|RIGHT) COUNT small": 1,
  "LMOVEM list list (LEFT|RIGHT) (LEFT|RIGHT) (COUNT|EXACTLY) small (OBO|BULK)": 2,
  "SADD set member...": 8,
  "SREM set member...": 2,
  "SPOP set": 4,
  "SPOP set small": 4,
  "SRANDMEMBER set signedcount": 1,
  "SMOVE set set member": 2,
  "(SINTERSTORE|SUNIONSTORE|SDIFFSTORE) set set set": 4,
  "ZADD zset [XX|NX] (score member)...": 8,
  "ZADD zset [GT|LT] CH (score member)...": 2,
  "ZADD zset INCR number member": 2,
  "ZINCRBY zset number member": 4,
  "ZREM zset member...": 2,
  "(ZPOPMIN|ZPOPMAX) zset [small]": 3,
  "ZMPOP 2 zset zset (MIN|MAX) COUNT small": 1,
  "ZREMRANGEBYRANK zset index index": 1,
  "ZREMRANGEBYSCORE zset bound bound": 1,
  "(ZUNIONSTORE|ZINTERSTORE) zset 2 zset zset [WEIGHTS number number] [AGGREGATE SUM|MIN|MAX]": 3,
  "ZDIFFSTORE zset 2 zset zset": 1,
  "ZRANGESTORE zset zset index index": 1,
  "GEOADD geo (lon lat member)...": 3,
  "GEOSEARCHSTORE zset geo FROMLONLAT lon lat BYRADIUS 5000 'km' [STOREDIST]": 2,
  "GEORADIUS geo lon lat 5000 'km' (STORE|STOREDIST) zset": 1,
  "XADD stream '*' (field value)...": 8,
  "XADD stream low field value": 3,
  "XADD stream MAXLEN ('~'|'=') small '*' field value": 3,
  "XADD stream MINID '=' id '*' field value": 1,
  "XTRIM stream MAXLEN ('~'|'=') small": 1,
  "XDEL stream low...": 2,
  "XADD stream (KEEPREF|DELREF|ACKED) MAXLEN '=' small '*' field value": 2,
  "XTRIM stream MINID id (KEEPREF|DELREF|ACKED)": 1,
  "XDELEX stream [KEEPREF|DELREF|ACKED] IDS 2 id low": 2,
  "XACKDEL stream group [KEEPREF|DELREF|ACKED] IDS 2 id low": 2,
  "XSETID stream id ENTRIESADDED 500": 0.5,
  "XGROUP CREATE stream group (id|'$'|'0') MKSTREAM [ENTRIESREAD small]": 8,
  "XGROUP SETID stream group (id|'$'|'0') [ENTRIESREAD small]": 1,
  "XGROUP DESTROY stream group": 0.5,
  "XGROUP CREATECONSUMER stream group consumer": 1,
  "XGROUP DELCONSUMER stream group consumer": 0.5,
  "XREADGROUP GROUP group consumer [COUNT small] [NOACK] STREAMS stream '>'": 10,
  "XREADGROUP GROUP group consumer COUNT small CLAIM soon [NOACK] STREAMS stream '>'": 4,
  "XACK stream group id low": 2,
  "XCLAIM stream group consumer soon low low [IDLE soon] [RETRYCOUNT small] [FORCE] [JUSTID]": 3,
  "XAUTOCLAIM stream group consumer soon '-' [COUNT small] [JUSTID]": 4,
  "EXPIRE any soonseconds [condition]": 3,
  "PEXPIRE any soon [condition]": 6,
  "PEXPIREAT any soonat [condition]": 3,
  "PERSIST any": 3,
  "DEL any": 3,
  "UNLINK any any": 1,
  "RENAME any any": 2,
  "RENAMENX any any": 1,
  "COPY any any [DB '1'] [REPLACE]": 6,
  "MOVE any '1'": 2,
  "SELECT '1'": 1,
  "SELECT '0'": 3,
  "SWAPDB '0' '1'": 0.3,
  "SORT (list|set) ALPHA [LIMIT small small] [DESC] STORE list": 1,
  "SORT zset BY 'nosort' GET '#' STORE list": 1,
  "GET str": 2,
  "TYPE any": 2,
  FLUSHDB: 0.02,
}

/** For clients that wait; without a limit, so that they are served or told to give up. */
const waiting: Record<string, number> = {
  "(BLPOP|BRPOP) list list 0": 3,
  "BLMOVE list list LEFT RIGHT 0": 3,
  "BRPOPLPUSH list list 0": 1,
  "BLMOVEM list list LEFT RIGHT 0 (COUNT|EXACTLY) small (OBO|BULK)": 2,
  "BLMPOP 0 2 list list LEFT COUNT small": 2,
  "(BZPOPMIN|BZPOPMAX) zset zset 0": 3,
  "BZMPOP 0 2 zset zset MIN COUNT small": 2,
  "XREADGROUP GROUP group consumer BLOCK 0 STREAMS stream '>'": 3,
}

const generator = new CommandGenerator({ commands, words, spoilOneIn: 60 })
const waitingGenerator = new CommandGenerator({ commands: waiting, words, spoilOneIn: 0 })

/** A block of commands, some of them in transactions. */
function* block(random: Random, profile: Profile): Generator<Command> {
  let inTransaction = false
  for (let i = 0; i < BLOCK_LENGTH; i++) {
    if (inTransaction ? random.oneIn(4) : random.oneIn(12)) {
      yield [inTransaction ? (random.oneIn(5) ? "DISCARD" : "EXEC") : "MULTI"]
      inTransaction = !inTransaction
    }
    yield* generator.next(random, profile)
  }
  if (inTransaction) yield ["EXEC"]
}

/** A client that waits, and is told to give up when it is needed again. */
class Waiter {
  private pending: Promise<unknown> | undefined
  private constructor(
    private readonly client: Client,
    private readonly id: string,
  ) {}

  static async connect(port: number): Promise<Waiter> {
    const client = await Client.connect(port)
    return new Waiter(client, String(await client.plain("CLIENT", "ID")))
  }

  async wait(command: Command, control: Client): Promise<void> {
    await this.stop(control)
    const before = await blockedClients(control)
    let answered = false
    this.pending = this.client.raw(...command).then(() => {
      answered = true
    })
    await until(async () => answered || (await blockedClients(control)) > before)
  }

  async stop(control: Client): Promise<void> {
    await control.raw("CLIENT", "UNBLOCK", this.id)
    await this.pending
    this.pending = undefined
  }

  close(): void {
    this.client.close()
  }
}

async function blockedClients(control: Client): Promise<number> {
  return Number(/blocked_clients:(\d+)/.exec(String(await control.plain("INFO", "clients")))![1])
}

/** All that can be read of each key, as text: what clients see, to the millisecond. */
async function describeAll(client: Client): Promise<Map<string, string>> {
  const all = new Map<string, string>()
  for (const db of [0, 1]) {
    await client.raw("SELECT", db)
    const keys = await client.call("KEYS", "*")
    if (keys.type !== "array") throw new Error("no list of keys")
    for (const item of keys.items) {
      const key = (item as { value: Uint8Array }).value
      const description = await describeKey(client, key)
      if (description !== undefined) all.set(`db ${db} ${quote(key)}`, description)
    }
  }
  return all
}

/** Undefined for a hash of which all fields have expired: it is listed for a while. */
async function describeKey(client: Client, key: Uint8Array): Promise<string | undefined> {
  const parts = [`expires ${await client.plain("PEXPIRETIME", key)}`]
  const type = String(await client.plain("TYPE", key))
  if (type === "none") return undefined
  // A string is told by its value: what INCRBYFLOAT made of it was SET again.
  parts.push(type === "string" ? type : `${type} in form ${await client.plain("OBJECT", "ENCODING", key)}`)
  const read = async (...command: Arg[]) => parts.push(formatReply(await client.raw(...command)))
  if (type === "string") await read("GET", key)
  else if (type === "list") await read("LRANGE", key, 0, -1)
  else if (type === "zset") await read("ZRANGE", key, 0, -1, "WITHSCORES")
  else if (type === "set") await read("SORT", key, "ALPHA")
  else if (type === "hash") {
    const pairs = await client.call("HGETALL", key)
    if (pairs.type !== "array") throw new Error("no fields")
    if (pairs.items.length === 0) return undefined
    const texts = pairs.items.map(item => (item as { value: Uint8Array }).value)
    const fields = texts.filter((_, i) => i % 2 === 0)
    const times = (await client.plain("HPEXPIRETIME", key, "FIELDS", fields.length, ...fields)) as number[]
    parts.push(...fields.map((field, i) => `${quote(field)} ${quote(texts[i * 2 + 1]!)} ${times[i]}`).sort())
  } else {
    await read("XRANGE", key, "-", "+")
    // When a consumer was last seen is not in the file.
    parts.push(formatReply(await client.raw("XINFO", "STREAM", key, "FULL", "COUNT", 0)).replace(TIMES_SEEN, ""))
    parts[3] = parts[3]!.replace(RADIX_TREE, "")
  }
  return parts.join("\n    ")
}
const TIMES_SEEN = /"(seen|active)-time", (\(int\) )?-?\d+,? ?/g
const RADIX_TREE = /"radix-tree-(keys|nodes)", (\(int\) )?\d+,? ?/g

/**
 * `is` with the form of `was`, where that may differ: as in Redis, ZADD XX, SADD or HSETNX of much turns a packed value into a
 * table even if it adds nothing, and what changes no data is not propagated. So a table may come back packed. The other way round
 * only a set may: what SPOP leaves of a large one is packed, what the SREM in its place leaves is not.
 */
function withFormOf(is: string, was: string): string {
  const table = /form (skiplist|hashtable)/.exec(was)?.[0]
  if (table !== undefined) return is.replace(/form (listpackex|listpack|intset)/, table)
  const packed = /\bset in form (listpack|intset)/.exec(was)?.[0]
  return packed === undefined ? is : is.replace("set in form hashtable", packed)
}

function differences(before: Map<string, string>, after: Map<string, string>): string[] {
  const found: string[] = []
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const was = before.get(key) ?? "absent"
    const is = after.get(key) ?? "absent"
    if (was !== is && was !== withFormOf(is, was)) found.push(`${key}\n  was ${was}\n  is  ${is}`)
  }
  return found
}

async function roundOf(seed: number): Promise<void> {
  const random = new Random(seed)
  const profile = drawProfile(random)
  const clock = new ManualClock(START_MS)
  await using dir = new TempDir()
  const serve = () =>
    createServer({
      clock,
      seed,
      config: {
        appendonly: "yes",
        appendfsync: "no",
        dir: dir.path,
        "enable-debug-command": "yes",
        "hash-max-listpack-entries": profile.members > 10 ? 512 : 5,
        "set-max-listpack-entries": profile.members > 10 ? 128 : 5,
        "zset-max-listpack-entries": profile.members > 10 ? 128 : 5,
        "stream-node-max-entries": profile.members > 10 ? 100 : 3,
      },
    })
  const history: string[] = []
  const agree = async (when: string, client: Client, before: Map<string, string>, digest: unknown) => {
    const found = differences(before, await describeAll(client))
    if (found.length > 0 || (await client.plain("DEBUG", "DIGEST")) !== digest) {
      const path = process.env.BUNDIS_HISTORY
      if (path !== undefined) await Bun.write(path, history.join("\n"))
      throw new Error(`${when}: other data; BUNDIS_SEED=${seed}\n${found.slice(0, 5).join("\n") || "digests differ"}`)
    }
  }
  let before: Map<string, string>
  let digest: unknown
  {
    await using server = await serve()
    await using client = await Client.connect(server.port)
    await using control = await Client.connect(server.port)
    const waiters = [await Waiter.connect(server.port), await Waiter.connect(server.port)]
    for (let i = 0; i < BLOCKS; i++) {
      const waiter = random.pick(waiters)
      const command = waitingGenerator.next(random, profile)[0]!
      history.push(`waits: ${formatCommand(command)}`)
      await waiter.wait(command, control)
      const sent = [...block(random, profile)]
      const replies = await client.pipeline(sent)
      for (const [at, one] of sent.entries())
        history.push(`${formatCommand(one)}  ->  ${formatReply(replies[at]!).slice(0, 200)}`)
      const step = random.pick([0, 1, 50, 300])
      clock.advance(step)
      history.push(`clock + ${step}`)
    }
    for (const waiter of waiters) await waiter.stop(control)
    for (const waiter of waiters) waiter.close()
    before = await describeAll(client)
    digest = await client.plain("DEBUG", "DIGEST")
    expect(await client.plain("DEBUG", "LOADAOF")).toBe("OK")
    await agree("after DEBUG LOADAOF", client, before, digest)
  }
  await using server = await serve()
  await using client = await Client.connect(server.port)
  await agree("after a restart", client, before, digest)
}

for (let round = 0; round < ROUNDS; round++) {
  const seed = (runSeed + round) >>> 0
  test(`the append-only file tells what happened, seed ${seed}`, () => roundOf(seed), 30_000)
}
