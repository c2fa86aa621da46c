import { describe, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import type { Command } from "../support/command.ts"
import { compareText, type LooserTable } from "../support/compare.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"
import { oracleFamily } from "../support/oracle-family.ts"
import { startSubject } from "../support/subject.ts"

/** 7.0 prints doubles with 17 digits, and keeps -0; tables are walked in another order. All else is byte for byte. */
const looser: LooserTable = {
  ZSCAN: { scan: "pairs", doubles: true },
  // WITHSCORE came with 7.2.
  ZRANK: { errorCode: true },
  ZREVRANK: { errorCode: true },
}
for (const name of [
  ...["ZADD", "ZINCRBY", "ZSCORE", "ZMSCORE", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE"],
  ...["ZPOPMIN", "ZPOPMAX", "ZMPOP", "EXEC", "ZUNION", "ZINTER", "ZDIFF"],
]) {
  looser[name] = { doubles: true }
}

// A time to wait beyond 2^63 ms is "negative" to 7.0, and "out of range" to 7.4.
for (const name of ["BZPOPMIN", "BZPOPMAX", "BZMPOP", "EXEC"]) looser[name] = { doubles: true, errorCode: true }

const writing = {
  "ZADD key [NX|XX|CH|GT|LT] (score member)...": 12,
  "ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member": 6,
  "ZADD key (score member) (score member) (score member) (score member) (score member) (score member)": 4,
  "ZINCRBY key score member": 5,
  "ZREM key member...": 5,
  "ZREMRANGEBYRANK key index index": 1,
  "ZREMRANGEBYSCORE key bound bound": 1,
  "ZPOPMIN key [count]": 1,
  "ZPOPMAX key [count]": 1,
  "ZMPOP 2 key key (MIN|MAX) [COUNT count]": 1,
  // In a transaction nothing waits.
  "MULTI ; BZPOPMIN key... wait ; EXEC": 0.3,
  "MULTI ; BZPOPMAX key... wait ; EXEC": 0.3,
  "MULTI ; BZMPOP wait ('1' key|'2' key key|small key...) (MIN|MAX) [COUNT count] ; EXEC": 0.3,
  "DEL key": 1,
  "SET sharedkey value": 0.5,
  "HSET sharedkey field value": 0.3,
  "DEL sharedkey": 1,
}
const reading = {
  "ZCARD key": 2,
  "ZSCORE key member": 5,
  "ZMSCORE key member...": 3,
  "ZRANK key member": 4,
  "ZREVRANK key member": 4,
  "ZRANGE key index index [REV] [WITHSCORES] [LIMIT count count]": 5,
  "ZRANGE key bound bound BYSCORE [REV] [WITHSCORES] [LIMIT count int]": 5,
  "ZREVRANGE key index index [WITHSCORES]": 2,
  "ZRANGEBYSCORE key bound bound [WITHSCORES] [LIMIT count int]": 4,
  "ZREVRANGEBYSCORE key bound bound [WITHSCORES] [LIMIT count int]": 4,
  "ZCOUNT key bound bound": 4,
  "ZRANDMEMBER nokey [signedcount [WITHSCORES]]": 1,
}
const combining = {
  "ZUNIONSTORE key 2 key key [WEIGHTS score score] [AGGREGATE (SUM|MIN|MAX|garbage)]": 3,
  "ZINTERSTORE key 2 key key [WEIGHTS score score] [AGGREGATE (SUM|MIN|MAX|garbage)]": 2,
  "ZDIFFSTORE key 3 key key key": 1,
  "ZUNION 3 key key key [WEIGHTS score score score] [AGGREGATE (SUM|MIN|MAX|garbage)] [WITHSCORES]": 4,
  "ZINTER 2 key key [WEIGHTS score score] [AGGREGATE (SUM|MIN|MAX|garbage)] [WITHSCORES]": 4,
  "ZDIFF 3 key key key [WITHSCORES]": 4,
  "ZINTERCARD 2 key key [LIMIT count]": 4,
  "ZRANGESTORE key key index index [REV]": 2,
  "ZRANGESTORE key key bound bound BYSCORE [REV] [LIMIT count int]": 2,
  "(ZUNION|ZINTER|ZDIFF|ZINTERCARD) (small|int) key... [WITHSCORES|WEIGHTS score|LIMIT count|garbage]": 1,
  "(ZUNIONSTORE|ZINTERSTORE|ZDIFFSTORE) key (small|int) key... [WITHSCORES|WEIGHTS score|AGGREGATE MIN]": 1,
  "ZMPOP (small|int) key... (MIN|MAX) [COUNT count|garbage]": 1,
  "SADD key member...": 2,
}

/** Both servers with these thresholds: ours from its start, the oracle, which all families share, anew in every round. */
function thresholds(entries: number, valueBytes: number) {
  const prepare: Command[] = [
    ["CONFIG", "SET", "zset-max-listpack-entries", String(entries)],
    ["CONFIG", "SET", "zset-max-listpack-value", String(valueBytes)],
  ]
  const config = { "zset-max-listpack-entries": entries, "zset-max-listpack-value": valueBytes }
  // What is spoilt could draw a member of some other key by chance.
  const mayBeSpoilt = ([name]: Command) => String(name).toUpperCase() !== "ZRANDMEMBER"
  return { prepare, subject: () => createServer({ port: 0, config }), otherTypes: false, mayBeSpoilt }
}

/** With low thresholds the forms differ: 7.4 counts the pairs of ZADD, 7.0 the members in the end. */
const lowThresholds = { looser, finalState: true }

oracleFamily("zset", {
  commands: { ...writing, ...reading },
  looser,
  finalState: "encodings",
  ...thresholds(128, 64),
})
oracleFamily("zset, small packed forms", {
  commands: { ...writing, ...reading },
  ...lowThresholds,
  ...thresholds(4, 12),
})
oracleFamily("zset, tables", { commands: { ...writing, ...reading }, ...lowThresholds, ...thresholds(0, 0) })
oracleFamily("zset, combined", { commands: { ...writing, ...combining }, ...lowThresholds, ...thresholds(8, 20) })

/** Ranges by member are defined only where all scores are the same. */
const byMember = {
  "ZADD key (0 member)...": 8,
  "ZREM key member...": 2,
  "ZREMRANGEBYLEX key lex lex": 1,
  "ZRANGE key lex lex BYLEX [REV] [LIMIT count int]": 4,
  "ZRANGEBYLEX key lex lex [LIMIT count int]": 4,
  "ZREVRANGEBYLEX key lex lex [LIMIT count int]": 4,
  "ZLEXCOUNT key lex lex": 4,
  "ZRANGESTORE key key lex lex BYLEX [REV] [LIMIT count int]": 1,
  "ZRANGEBYLEX key lex lex WITHSCORES": 1,
}
// A spoilt ZADD would set another score.
const unspoilt = { commands: byMember, ...lowThresholds, spoilOneIn: 0 }
oracleFamily("zset, by member", { ...unspoilt, ...thresholds(128, 64) })
oracleFamily("zset, by member in tables", { ...unspoilt, ...thresholds(2, 64) })

// Unspoilt, since 7.0 takes odd cursors that 7.4 refuses.
const walking = {
  "ZADD key (score member)...": 3,
  "ZREM key member...": 1,
  "ZSCAN key 0 COUNT 100000 [MATCH pattern]": 3,
  "ZSCAN nokey 0 [MATCH pattern] [COUNT count]": 1,
}
oracleFamily("zset, walked", { commands: walking, ...lowThresholds, spoilOneIn: 0, ...thresholds(8, 64) })

oracleFamily("zset, random members", {
  commands: {
    "ZADD key (score member)...": 3,
    "ZREM key member...": 1,
    "ZRANDMEMBER key [signedcount [WITHSCORES]]": 4,
  },
  looser: { ...looser, ZRANDMEMBER: { sameShape: true } },
  ...thresholds(8, 64),
})

const CASES = `
ZADD a -inf low inf high 1 one
ZADD b 3 low 3 high 3 one
ZINTER 2 a a WEIGHTS -9 0 WITHSCORES
ZINTER 2 b a WEIGHTS 1 0 WITHSCORES
ZINTER 2 a b WEIGHTS 0 1 WITHSCORES
ZINTER 2 b a WEIGHTS 1 0 AGGREGATE MIN WITHSCORES
ZINTER 2 b a WEIGHTS 1 0 AGGREGATE MAX WITHSCORES
ZUNION 2 a a WEIGHTS -9 0 WITHSCORES
ZUNION 2 b a WEIGHTS 1 0 WITHSCORES
ZUNION 2 b a WEIGHTS 1 0 AGGREGATE MIN WITHSCORES
ZINTERSTORE d 2 a a WEIGHTS -1 1
ZRANGE d 0 -1 WITHSCORES
`

describe.skipIf(!oracleAvailable)("oracle: zset, cases", () => {
  for (const resp of [2, 3] as const) {
    test(`by hand, RESP${resp}`, async () => {
      const oracle = await sharedOracle()
      await using subject = await startSubject()
      await using ours = await Client.connect(subject.port, { resp })
      await using theirs = await oracle.connect({ resp })
      await compareText(ours, theirs, CASES)
    })
  }
})
