/** Random commands of all families that a redis-server 7.0 knows as well, for comparing what two servers make of a stream. */
import { Client } from "../support/client.ts"
import type { Command } from "../support/command.ts"
import { CommandGenerator } from "../support/generator.ts"
import type { Random } from "../support/random.ts"
import type { Word } from "../support/words.ts"

const of =
  (letter: string, count = 6): Word =>
  random =>
    random.oneIn(40) ? `x${random.between(1, 3)}` : letter + random.between(1, count)

const words: Record<string, Word> = {
  str: of("str"),
  num: of("num", 3),
  bits: of("bits", 3),
  hll: of("hll", 3),
  hash: of("hash"),
  list: of("list"),
  set: of("set"),
  zset: of("zset"),
  geo: of("geo", 2),
  stream: of("stream", 2),
  any: random => random.pick(["str", "num", "hash", "list", "set", "zset", "stream"]) + random.between(1, 4),
  integer: random => String(random.between(-20, 20)),
  small: random => String(random.between(0, 60)),
  index: random => String(random.between(-6, 6)),
  bit: random => String(random.below(2)),
  count: random => String(random.between(1, 3)),
  seconds: random => String(random.between(100, 3000)),
  ms: random => String(random.between(100_000, 3_000_000)),
  number: random => String(random.between(-50, 50) / random.pick([1, 1, 3, 7, 10])),
  lon: random => (random.below(360_000_000) / 1e6 - 180).toFixed(6),
  lat: random => (random.below(160_000_000) / 1e6 - 80).toFixed(6),
  group: random => random.pick(["g1", "g2"]),
  consumer: random => random.pick(["alice", "bob"]),
}

const commands: Record<string, number> = {
  "SET str value [NX|XX] [GET] [EX seconds|PX ms|KEEPTTL]": 8,
  "SETEX str seconds value": 2,
  "GETEX str [EX seconds|PX ms|PERSIST]": 3,
  "GETDEL str": 2,
  "GETSET str value": 2,
  "APPEND str value": 3,
  "SETRANGE str small value": 2,
  "MSET str value str value": 2,
  "MSETNX str value str value": 2,
  "INCR num": 4,
  "INCRBYFLOAT num number": 4,
  "DECRBY num integer": 3,
  "SETBIT bits small bit": 3,
  "BITOP AND|OR|XOR bits bits bits": 2,
  "BITFIELD bits INCRBY 'u8' small integer": 2,
  "PFADD hll value value": 3,
  "PFMERGE hll hll hll": 2,
  "PFCOUNT hll hll": 2,
  "LPUSH list value...": 5,
  "RPUSH list value...": 5,
  "LPOP list [count]": 3,
  "RPOP list": 3,
  "LREM list integer value": 2,
  "LTRIM list index index": 1,
  "LINSERT list BEFORE|AFTER value value": 2,
  "LSET list index value": 2,
  "LMOVE list list LEFT|RIGHT LEFT|RIGHT": 3,
  "RPOPLPUSH list list": 2,
  "LMPOP 2 list list LEFT|RIGHT COUNT 2": 2,
  "SADD set value...": 6,
  "SREM set value": 3,
  "SPOP set [count]": 4,
  "SMOVE set set value": 2,
  "SUNIONSTORE set set set": 2,
  "SINTERSTORE set set set": 2,
  "SDIFFSTORE set set set": 2,
  "ZADD zset [NX|XX] [CH] number value": 6,
  "ZADD zset INCR number value": 2,
  "ZINCRBY zset number value": 3,
  "ZREM zset value": 3,
  "ZPOPMIN zset [count]": 2,
  "ZPOPMAX zset": 2,
  "ZMPOP 2 zset zset MIN|MAX": 2,
  "ZREMRANGEBYRANK zset index index": 1,
  "ZUNIONSTORE zset 2 zset zset [WEIGHTS 2 3] [AGGREGATE SUM|MIN|MAX]": 2,
  "ZRANGESTORE zset zset 0 -1": 1,
  "GEOADD geo lon lat value": 3,
  "GEOSEARCHSTORE zset geo FROMLONLAT 0 0 BYRADIUS 5000 'km'": 1,
  "HSET hash value value value value": 5,
  "HDEL hash value": 3,
  "HINCRBY hash value integer": 2,
  "HINCRBYFLOAT hash value number": 2,
  "HSETNX hash value value": 2,
  "XADD stream [MAXLEN ~ 10] * value value": 5,
  "XGROUP CREATE stream group 0 MKSTREAM": 2,
  "XREADGROUP GROUP group consumer COUNT 3 STREAMS stream >": 4,
  "XDEL stream 1-1": 1,
  "XTRIM stream MAXLEN 5": 1,
  "XCLAIM stream group consumer 0 1-1 FORCE": 1,
  "XAUTOCLAIM stream group consumer 0 0 COUNT 2": 2,
  "XGROUP DELCONSUMER stream group consumer": 1,
  "XSETID stream 99999999999999-1": 1,
  "EXPIRE any seconds [NX|XX|GT|LT]": 4,
  "PEXPIRE any ms": 2,
  "PERSIST any": 2,
  "DEL any": 2,
  "UNLINK any any": 1,
  "RENAME any any": 2,
  "COPY any any [REPLACE]": 2,
  "SORT list ALPHA STORE list": 1,
  "MULTI ; INCR num ; RPUSH list value ; SPOP set ; EXEC": 3,
  "MULTI ; SET str value EX seconds ; DEL any ; DISCARD": 1,
  "SELECT 0 ; SWAPDB 0 1 ; SELECT 0": 1,
  "MOVE any 1": 1,
  "SELECT 1": 1,
  "SELECT 0": 2,
  "PUBLISH value value": 1,
  FLUSHDB: 0.05,
}

/** What a 7.0 does not know, what comes from chance or from scripts, and times that end while a test runs. */
const newer: Record<string, number> = {
  "PEXPIRE any soon": 6,
  "SET str value PX soon": 6,
  "HEXPIRE hash seconds FIELDS 1 value": 3,
  "HPEXPIRE hash soon FIELDS 2 value value": 4,
  "HPERSIST hash FIELDS 1 value": 1,
  "HGETDEL hash FIELDS 1 value": 2,
  "HSETEX hash PX soon FIELDS 1 value value": 3,
  "HGETEX hash PX soon FIELDS 1 value": 2,
  "SPEXPIRE set soon MEMBERS 1 value": 2,
  "ZPEXPIRE zset soon MEMBERS 1 value": 2,
  "DELEX str": 1,
  "INCREX num BYINT integer": 2,
  "XNACK stream group FAIL IDS 1 1-1": 1,
  "XACKDEL stream group IDS 1 1-1": 1,
  "SPOP set 2": 3,
  "EVAL spop 1 set": 3,
  "EVAL several 2 str list value": 3,
  "EVAL fails 1 num": 2,
  "FUNCTION LOAD REPLACE library": 1,
  "FCALL 'add' 1 num integer": 3,
  "FUNCTION DELETE 'lib'": 0.3,
  "FUNCTION FLUSH": 0.1,
  "BITOP DIFF bits bits bits": 1,
  "ZADD zset GT CH number value": 2,
  FLUSHALL: 0.05,
}

const newerWords: Record<string, Word> = {
  soon: random => String(random.between(1, 60)),
  spop: () => "return redis.call('SPOP', KEYS[1])",
  several: () =>
    "redis.call('SET', KEYS[1], ARGV[1], 'EX', 1000) redis.call('RPUSH', KEYS[2], ARGV[1]) return redis.call('TIME')",
  fails: () => "redis.call('INCR', KEYS[1]) redis.call('INCR', KEYS[1]) return redis.call('LPUSH', KEYS[1], 'x')",
  library: () =>
    "#!lua name=lib\nredis.register_function('add', function(keys, args) return redis.call('INCRBY', keys[1], args[1]) end)",
}

/** At least as many commands as asked for. */
export function mixedCommands(random: Random, count: number): Command[] {
  return [...new CommandGenerator({ commands, words, spoilOneIn: 0 }).round(random, count)].flat()
}

/** As `mixedCommands`, with those that only ours know. */
export function allCommands(random: Random, count: number): Command[] {
  const options = { commands: { ...commands, ...newer }, words: { ...words, ...newerWords }, spoilOneIn: 30 }
  return [...new CommandGenerator(options).round(random, count)].flat()
}

/** All that is in the databases 0 and 1, in an order of its own, for comparing servers whose digests differ. */
export async function contents(port: number): Promise<Record<string, unknown>> {
  await using client = await Client.connect(port)
  const found: Record<string, unknown> = {}
  for (const db of [0, 1]) {
    await client.call("SELECT", db)
    for (const key of (await client.plain("KEYS", "*")) as string[]) {
      const type = String(await client.plain("TYPE", key))
      const expiry = await client.plain("PEXPIRETIME", key)
      found[`${db}:${key}`] = [type, expiry, await contentOf(client, type, key)]
    }
  }
  return found
}

async function contentOf(client: Client, type: string, key: string): Promise<unknown> {
  switch (type) {
    case "string":
      return client.plain("GET", key)
    case "list":
      return client.plain("LRANGE", key, "0", "-1")
    case "set":
      return ((await client.plain("SMEMBERS", key)) as string[]).sort()
    case "zset": {
      // 7.0 writes scores with more digits than they need.
      const flat = (await client.plain("ZRANGE", key, "0", "-1", "WITHSCORES")) as string[]
      return flat.map((text, i) => (i % 2 === 0 ? text : Number(text)))
    }
    case "hash": {
      const flat = (await client.plain("HGETALL", key)) as string[]
      const pairs = flat.flatMap((field, i) => (i % 2 === 0 ? [`${field}=${flat[i + 1]}`] : []))
      return pairs.sort()
    }
    default: {
      const groups = (await client.plain("XINFO", "GROUPS", key)) as unknown[][]
      const pending = await Promise.all(
        groups.map(async group => {
          const rows = (await client.plain("XPENDING", key, String(group[1]), "-", "+", "1000")) as unknown[][]
          return [group[1], group[7], rows.map(row => [row[0], row[1], row[3]])]
        }),
      )
      return [await client.plain("XRANGE", key, "-", "+"), pending]
    }
  }
}
