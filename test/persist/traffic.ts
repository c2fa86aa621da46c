/** Random writes of all families on a pool of keys, some of them large, for tests of what is kept on disk. */
import type { EmbeddedServer } from "../../src/index.ts"
import { CommandGenerator } from "../support/generator.ts"
import type { Random } from "../support/random.ts"
import type { Profile, Word } from "../support/words.ts"

export const PROFILE: Profile = { keys: 40, members: 1000, valueBytesMax: 300 }

/** Small limits, so that containers come in all forms. */
export const SMALL_LIMITS = {
  "hash-max-listpack-entries": 8,
  "set-max-listpack-entries": 8,
  "set-max-intset-entries": 8,
  "zset-max-listpack-entries": 8,
  "list-max-listpack-size": 8,
  "stream-node-max-entries": 4,
}

const of =
  (letter: string): Word =>
  (random, profile) =>
    letter + random.between(1, profile.keys)

const TYPES = ["str", "hash", "list", "set", "ints", "zset", "stream"]

const words: Record<string, Word> = {
  str: of("str"),
  hash: of("hash"),
  list: of("list"),
  set: of("set"),
  ints: of("ints"),
  zset: of("zset"),
  stream: random => `stream${random.between(1, 6)}`,
  any: (random, profile) => of(random.pick(TYPES))(random, profile),
  blob: random => random.pick(["v", "w", "0123456789", "x".repeat(5000)]).repeat(random.between(1, 5)),
  number: random => String(random.between(-500, 500) / random.pick([1, 2, 3])),
  far: random => String(5_000_000_000_000 + random.below(1_000_000)),
  id: random => `1-${random.between(1, 60)}`,
  group: random => random.pick(["g1", "g2"]),
  consumer: random => random.pick(["alice", "bob"]),
}

const commands: Record<string, number> = {
  "SET str blob [PXAT far]": 10,
  "APPEND str value": 4,
  "SETRANGE str 10 value": 2,
  "INCRBY 'n' 3": 1,
  "HSET hash (field value)...": 10,
  "HDEL hash field...": 3,
  "HPEXPIREAT hash far FIELDS 2 field field": 3,
  "HPERSIST hash FIELDS 1 field": 1,
  "RPUSH list value...": 8,
  "LPUSH list value...": 5,
  "LPOP list": 3,
  "LSET list 0 value": 2,
  "LTRIM list 2 '-2'": 1,
  "SADD set member...": 8,
  "SADD ints int int int": 4,
  "SREM set member...": 2,
  "SPOP set": 2,
  "ZADD zset (number member)...": 8,
  "ZREM zset member...": 2,
  "ZINCRBY zset number member": 3,
  "ZREMRANGEBYRANK zset 0 1": 1,
  "SUNIONSTORE set set set": 1,
  "ZUNIONSTORE zset 2 zset zset": 1,
  "XADD stream '*' (field value)...": 6,
  "XDEL stream id": 1,
  "XTRIM stream MAXLEN '~' 20": 1,
  "XGROUP CREATE stream group 0 MKSTREAM": 1,
  "XREADGROUP GROUP group consumer COUNT 3 STREAMS stream '>'": 4,
  "XACK stream group id": 1,
  "PEXPIREAT any far": 3,
  "PERSIST any": 1,
  "DEL any": 3,
  "UNLINK any any": 1,
  "RENAME any any": 2,
  "COPY any any DB 1 REPLACE": 2,
  "MOVE any 1": 1,
  "SELECT 1": 1,
  "SELECT 0": 3,
  "SWAPDB 0 1": 0.3,
  FLUSHDB: 0.05,
}

const generator = new CommandGenerator({ commands, words, spoilOneIn: 0 })

/** At least `count` commands; errors are as good as effects. */
export async function write(server: EmbeddedServer, random: Random, count: number, profile = PROFILE): Promise<void> {
  for (let made = 0; made < count; ) {
    for (const command of generator.next(random, profile)) {
      await server.executeReply(...(command as (string | number | Uint8Array)[]))
      made++
    }
  }
}

/** Values so large that a snapshot pauses within them, under keys that the writes know. */
export async function fillLarge(server: EmbeddedServer): Promise<void> {
  const tail = "x".repeat(40)
  for (let from = 0; from < 1500; from += 100) {
    const numbers = Array.from({ length: 100 }, (_, i) => from + i)
    await server.execute("HSET", "hash1", ...numbers.flatMap(n => [`f${n}`, `${n}${tail}`]))
    await server.execute("RPUSH", "list1", ...numbers.map(n => `${n}${tail}`))
    await server.execute("SADD", "set1", ...numbers.map(n => `${n}${tail}`))
    await server.execute("ZADD", "zset1", ...numbers.flatMap(n => [n / 3, `${n}${tail}`]))
    for (const n of numbers.slice(0, 20)) await server.execute("XADD", "stream1", `1-${n + 1}`, "field", `${n}${tail}`)
  }
}

export async function digest(server: EmbeddedServer): Promise<string> {
  return String(await server.execute("DEBUG", "DIGEST"))
}

export async function info(server: EmbeddedServer, field: string): Promise<string> {
  const text = String(await server.execute("INFO", "persistence"))
  return new RegExp(`^${field}:([^\r\n]*)`, "m").exec(text)?.[1] ?? ""
}
