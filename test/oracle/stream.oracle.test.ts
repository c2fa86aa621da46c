import { describe, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { compareText } from "../support/compare.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"
import { oracleFamily } from "../support/oracle-family.ts"
import { type Word, words } from "../support/words.ts"

/** Ids that meet each other, with a share of boundary values and garbage. */
const id: Word = (random, profile) => {
  const draw = random.below(40)
  if (draw < 30) return `${random.between(4, 6)}-${random.between(0, random.pick([5, 10, 40]))}`
  if (draw < 36) return String(random.between(3, 7))
  if (draw < 38) return random.pick(oddIds)
  return draw === 38 ? random.pick(notIds) : words.value!(random, profile)
}
const oddIds = ["0-0", "0", "0-1", "0-*", "(5-18446744073709551615", "18446744073709551615-18446744073709551615"]
const notIds = ["1-2-3", "-1-1", "x", "1-", "5-*", "-", "+", "$", ">", "(1-1", "", "18446744073709551616-0", "*x"]
/** Ids to add: mostly the next one of some millisecond. */
const newid: Word = (random, profile) => {
  const draw = random.below(40)
  if (draw < 20) return "5-*"
  if (draw < 34) return "6-*"
  if (draw < 36) return `6-${random.between(0, 100)}`
  if (draw === 36) return "4-*"
  // None so high that it would be the highest deleted one one day: see XSETID below.
  return draw === 37 ? random.pick(oddIds.slice(0, 4)) : id(random, profile)
}
/** 7.0 takes no "+" in XREAD. */
const readid: Word = (random, profile) => {
  const drawn = id(random, profile)
  return drawn === "+" ? "-" : drawn
}
const bound: Word = (random, profile) =>
  random.oneIn(4) ? random.pick(["-", "+"]) : (random.oneIn(5) ? "(" : "") + String(id(random, profile))
const group: Word = (random, profile) => (random.oneIn(20) ? words.value!(random, profile) : random.pick(["g1", "g2"]))
const consumer: Word = random => random.pick(["alice", "bob", "carol"])
const idle: Word = random => random.pick(["0", "0", "0", "-1", "3600000", "x"])

const log = {
  "XADD key newid (field value)...": 10,
  "XADD key newid 'f1' value": 10,
  "XADD key [NOMKSTREAM] [MAXLEN ['='] count] newid field value": 3,
  "XADD key [NOMKSTREAM] [MINID ['='] id] newid field value": 2,
  "XADD key MAXLEN '~' count [LIMIT small] newid field value": 1,
  "XLEN key": 3,
  "XRANGE key bound bound [COUNT count]": 8,
  "XREVRANGE key bound bound [COUNT count]": 8,
  "XREAD [COUNT count] STREAMS key readid": 3,
  "XREAD [COUNT count] STREAMS key key readid readid": 3,
  "XREAD STREAMS key '$'": 1,
  "XTRIM key (MAXLEN|MINID) ['='] count": 1,
  "XTRIM key MAXLEN (count|value) LIMIT small": 1,
  "XSETID key (id|'18446744073709551615-18446744073709551614') [ENTRIESADDED count]": 1,
  "DEL key": 1,
  "EXPIRE key 100000": 1,
  "TYPE key": 1,
}

const deletions = {
  ...log,
  // 7.0 lets the last id fall behind the highest deleted one.
  "XSETID key (id|'18446744073709551615-18446744073709551614') [ENTRIESADDED count]": 0,
  "XSETID key '6-200' [ENTRIESADDED count] [MAXDELETEDID id]": 1,
  "XDEL key id...": 8,
}

const groups = {
  ...deletions,
  "XGROUP CREATE key group (id|'$'|'0') [MKSTREAM] [ENTRIESREAD count]": 6,
  "XGROUP SETID key group (id|'$'|'0'|'-') [ENTRIESREAD count]": 2,
  "XGROUP DESTROY key group": 1,
  "XGROUP CREATECONSUMER key group consumer": 2,
  "XGROUP DELCONSUMER key group consumer": 1,
  "XREADGROUP GROUP group consumer [COUNT count] [NOACK] STREAMS key '>'": 12,
  "XREADGROUP GROUP group consumer [COUNT count] [NOACK] STREAMS key key '>' '>'": 3,
  "XREADGROUP GROUP group consumer [COUNT count] STREAMS key id": 5,
  "XACK key group id...": 6,
  "XPENDING key group": 5,
  "XCLAIM key group consumer idle id... [FORCE] [JUSTID]": 5,
  "XCLAIM key group consumer idle id id [IDLE count] [RETRYCOUNT count] [FORCE] [LASTID id]": 4,
  "XAUTOCLAIM key group consumer idle (id|'-'|'0') [COUNT count] [JUSTID]": 5,
  "XPENDING key group [IDLE idle] bound bound count [consumer]": 8,
  "XINFO GROUPS key": 4,
}

const extra = { id, readid, newid, bound, group, consumer, idle }
// Idle times; what 7.0 words otherwise; the lag of groups, which 7.4 knows in more cases; and
// consumers, which 7.0 does not make for a claim that finds nothing.
const looser = {
  XADD: { errorCode: true },
  "XGROUP CREATECONSUMER": { sameShape: true },
  "XINFO GROUPS": { sameShape: true },
  XPENDING: { approx: 2000 },
  XREAD: { errorCode: true },
  XREADGROUP: { errorCode: true },
} as const

oracleFamily("stream, log", { commands: log, words: extra, looser, spoilOneIn: 25 })
oracleFamily("stream, deletions", { commands: deletions, words: extra, looser, spoilOneIn: 25 })
oracleFamily("stream, groups", { commands: groups, words: extra, looser, spoilOneIn: 25 })
oracleFamily("stream, groups, small blocks", {
  commands: groups,
  words: extra,
  looser,
  spoilOneIn: 25,
  prepare: [["CONFIG", "SET", "stream-node-max-entries", "3"]],
  subject: () => createServer({ port: 0, config: { "stream-node-max-entries": 3 } }),
})
