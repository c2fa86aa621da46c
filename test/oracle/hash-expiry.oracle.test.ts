import { createServer } from "../../src/index.ts"
import type { Command } from "../support/command.ts"
import type { LooserTable } from "../support/compare.ts"
import { oracleFamily } from "../support/oracle-family.ts"
import type { Random } from "../support/random.ts"

/**
 * Fields that expire, which came with 7.4. A hash table is walked in another order than Redis's; times to live are told
 * by two clocks.
 */
const looser: LooserTable = {
  HGETALL: { unordered: "pairs" },
  HKEYS: { unordered: true },
  HVALS: { unordered: true },
  HSCAN: { scan: "pairs" },
  HTTL: { approx: 5 },
  HPTTL: { approx: 5000 },
  HEXPIRETIME: { approx: 5 },
  HPEXPIRETIME: { approx: 5000 },
}

const oddTimes = ["0", "-1", "x", "", "1.5", "9223372036854775807", "-9223372036854775808", "99999999999999999999"]
/** The end of what Redis can hold, in seconds and milliseconds. */
const lastTimes = ["281474976710", "281474976711", "281474976710654", "281474976710655", "281474976710656"]

function time(from: number, to: number) {
  return (random: Random) =>
    random.oneIn(8) ? random.pick([...oddTimes, ...lastTimes]) : String(random.between(from, to))
}

const words = {
  f: (random: Random) => `f${random.between(1, 12)}`,
  cond: (random: Random) => random.pick(["NX", "XX", "GT", "LT", "nx", "ZZ"]),
  fields: (random: Random) => random.pick(["0", "1", "2", "3", "-1", "x", "", "2147483648", "9223372036854775807"]),
  sec: time(1000, 100_000),
  ms: time(1_000_000, 1_000_000_000),
  at: time(4_102_444_800, 4_103_444_800),
  msat: time(4_102_444_800_000, 4_102_445_800_000),
}

const commands = {
  "HSET key (f value)...": 10,
  "HMSET key f value": 1,
  "HSETNX key f value": 2,
  "HINCRBY key f int": 3,
  "HDEL key f...": 4,
  "HGETALL key": 2,
  "HKEYS key": 1,
  "HVALS key": 1,
  "HLEN key": 3,
  "HGET key f": 2,
  "HMGET key f f f": 2,
  "HEXISTS key f": 2,
  "HSTRLEN key f": 1,
  "HSCAN key 0 COUNT 100000 [MATCH pattern]": 2,
  "HEXPIRE key sec FIELDS 1 f": 3,
  "HEXPIRE key sec cond FIELDS 2 f f": 4,
  "HEXPIRE key sec [cond] FIELDS fields f f": 1,
  "HPEXPIRE key ms FIELDS 1 f": 2,
  "HPEXPIRE key ms [cond] FIELDS 3 f f f": 4,
  "HEXPIREAT key at [cond] FIELDS 2 f f": 3,
  "HPEXPIREAT key msat [cond] FIELDS 2 f f": 4,
  "(HTTL|HPTTL|HEXPIRETIME) key FIELDS 2 f f": 6,
  "HPEXPIRETIME key FIELDS 3 f f f": 4,
  "HPERSIST key FIELDS 2 f f": 3,
  "(HTTL|HPERSIST) key FIELDS fields f [f]": 1.5,
  "HPEXPIRETIME key garbage fields f": 0.5,
  "(HEXPIRE|HPEXPIRE|HEXPIREAT|HPEXPIREAT) nokey sec [cond] FIELDS fields f [f]": 1,
  "(HTTL|HPTTL|HEXPIRETIME|HPEXPIRETIME|HPERSIST) nokey FIELDS fields f [f]": 1,
  "TYPE key": 1,
  "COPY key key [REPLACE]": 1,
  "RENAME key key": 1,
  "EXPIRE key 100000": 0.3,
  "DEL key": 0.5,
  "SET sharedkey value": 0.4,
  "DEL sharedkey": 0.6,
}

// Of OBJECT ENCODING: 7.4 makes a listpackex of a small hash whatever becomes of HEXPIRE, ours when a field is to expire.
for (const [entries, valueBytes] of [
  [6, 20],
  [512, 64],
  [0, 0],
] as const) {
  const prepare: Command[] = [
    ["CONFIG", "SET", "hash-max-listpack-entries", String(entries), "hash-max-listpack-value", String(valueBytes)],
  ]
  const config = { "hash-max-listpack-entries": entries, "hash-max-listpack-value": valueBytes }
  const subject = () => createServer({ port: 0, config })
  oracleFamily(`fields that expire, packed up to ${entries}`, {
    ...{ commands, words, looser, prepare, subject },
    since: "7.4",
    otherTypes: false,
  })
}
