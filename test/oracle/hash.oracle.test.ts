import { createServer } from "../../src/index.ts"
import type { Command } from "../support/command.ts"
import type { LooserTable } from "../support/compare.ts"
import { oracleFamily } from "../support/oracle-family.ts"

/** A hash table is walked in another order than Redis's, and 7.0 prints no shorter doubles; all else is byte for byte. */
const looser: LooserTable = {
  HGETALL: { unordered: "pairs" },
  HKEYS: { unordered: true },
  HVALS: { unordered: true },
  HSCAN: { scan: "pairs" },
}

const writing = {
  "HSET key (field value)...": 12,
  "HMSET key (field value)...": 3,
  "HSETNX key field value": 4,
  "HINCRBY key field int": 6,
  "HINCRBYFLOAT key field double": 4,
  "HDEL key field...": 6,
  "DEL key": 1,
  "SET sharedkey value": 1,
  "DEL sharedkey": 2,
}
const reading = {
  "HGET key field": 6,
  "HMGET key field...": 4,
  "HGETALL key": 3,
  "HKEYS key": 2,
  "HVALS key": 2,
  "HLEN key": 3,
  "HEXISTS key field": 3,
  "HSTRLEN key field": 3,
}

const pairsThatFit = {
  "HSET key field value [field value] [field value] [field value]": 12,
  "HMSET key field value [field value] [field value] [field value]": 3,
}

/** Both servers with these thresholds: ours from its start, the oracle, which all families share, anew in every round. */
function thresholds(entries: number, valueBytes: number) {
  const prepare: Command[] = [
    ["CONFIG", "SET", "hash-max-listpack-entries", String(entries)],
    ["CONFIG", "SET", "hash-max-listpack-value", String(valueBytes)],
  ]
  const config = { "hash-max-listpack-entries": entries, "hash-max-listpack-value": valueBytes }
  return { prepare, subject: () => createServer({ port: 0, config }), otherTypes: false }
}

oracleFamily("hash, small packed forms", {
  // Of more pairs than fit, some of one field, 7.0 makes a packed hash, 7.4 a table.
  commands: {
    ...writing,
    "HSET key (field value)...": 0,
    "HMSET key (field value)...": 0,
    ...pairsThatFit,
    ...reading,
  },
  looser,
  finalState: "encodings",
  ...thresholds(5, 20),
})

oracleFamily("hash, large packed forms", {
  commands: { ...writing, ...reading },
  looser,
  finalState: "encodings",
  ...thresholds(1000, 10_000),
})

const defaults = thresholds(512, 64)

oracleFamily("hash", { commands: { ...writing, ...reading }, looser, finalState: "encodings", ...defaults })

/** Fields chosen at random agree in how many there are. */
oracleFamily("hash, random fields", {
  commands: {
    "HSET key (field value)...": 3,
    "HDEL key field...": 1,
    "HRANDFIELD key [signedcount [WITHVALUES]]": 4,
    "HRANDFIELD nokey [signedcount [WITHVALUES]]": 1,
    "HRANDFIELD nokey int [WITHVALUES|value] [value]": 1,
  },
  looser: { HRANDFIELD: { sameShape: true } },
  // A count spoilt into a large negative one would be answered at length.
  spoilOneIn: 0,
  ...defaults,
})

/** Without spoilt commands: what a cursor other than 0 stands for is each server's own affair. */
oracleFamily("hash, scanned", {
  commands: {
    "HSET key (field value)...": 4,
    "HDEL key field...": 2,
    "HSCAN key 0 COUNT 100000 [MATCH pattern]": 4,
    "HSCAN key cursor MATCH pattern COUNT 100000": 1,
    "HSCAN nokey 0 [MATCH pattern] [COUNT count]": 1,
    "HSCAN key 0 [MATCH] [MATCH pattern] COUNT count": 1,
    "HSCAN key 0 (COUNT count|MATCH pattern|garbage)...": 1,
    "DEL key": 1,
  },
  words: { cursor: random => random.pick(["0", "00", "abc", "1.5", "0x", "99999999999999999999999"]) },
  looser: { HSCAN: { scan: "pairs" } },
  spoilOneIn: 0,
  ...thresholds(20, 64),
})

/** All fields, when at least as many are asked for. */
oracleFamily("hash, all random fields", {
  commands: { "HSET key (field value)...": 3, "HRANDFIELD key 100000 [WITHVALUES]": 1, "HRANDFIELD key 0": 1 },
  looser: { HRANDFIELD: { unordered: true } },
  resp: [3],
  spoilOneIn: 0,
  ...defaults,
})
