import { describe, expect, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { type Command, parseCommands } from "../support/command.ts"
import { compareText } from "../support/compare.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"
import { oracleFamily } from "../support/oracle-family.ts"
import { type Word, words } from "../support/words.ts"

const HIGHEST = "18446744073709551615-18446744073709551615"
/** Ids that meet each other, with a share of boundary values and garbage. */
const id: Word = (random, profile) => {
  const draw = random.below(40)
  if (draw < 30) return `${random.between(4, 6)}-${random.between(0, random.pick([5, 10, 40]))}`
  if (draw < 36) return String(random.between(3, 7))
  if (draw < 38) return random.pick(oddIds)
  return draw === 38 ? random.pick(notIds) : words.value!(random, profile)
}
const oddIds = ["0-0", "0", "0-1", "0-*", "(5-18446744073709551615", HIGHEST]
const notIds = ["1-2-3", "-1-1", "x", "1-", "5-*", "-", "+", "$", ">", "(1-1", "", "18446744073709551616-0", "*x"]
/** Ids to add: mostly the next one of some millisecond. */
const newid: Word = (random, profile) => {
  const draw = random.below(40)
  if (draw < 20) return "5-*"
  if (draw < 34) return "6-*"
  if (draw < 36) return `6-${random.between(0, 100)}`
  if (draw === 36) return "4-*"
  // Nothing from the clock, and none so high that it would be the highest deleted one one day: see XSETID below.
  const drawn = id(random, profile)
  return drawn === "*" || drawn === HIGHEST ? "6-*" : drawn
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
  "XTRIM key MAXLEN (count|value) LIMIT small": 0.5,
  "XTRIM key (MAXLEN|MINID) '~' count [LIMIT small]": 1,
  "XSETID key (id|'18446744073709551615-18446744073709551614') [ENTRIESADDED count]": 1,
  "DEL key": 1,
  "EXPIRE key 100000": 1,
  "TYPE key": 1,
}

const deletions = {
  ...log,
  // 7.0 lets the last id fall behind the highest deleted one.
  "XSETID key (id|'18446744073709551615-18446744073709551614') [ENTRIESADDED count]": 0,
  "XSETID key '7-200' [ENTRIESADDED count] [MAXDELETEDID id]": 1,
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

/** No id from the clock, none so high that it would be the highest deleted one one day, and no "+" for XREAD. */
const mayBeSpoilt = (command: Command) => !command.some(arg => arg === "*" || arg === "+" || arg === HIGHEST)

oracleFamily("stream, log", { commands: log, words: extra, looser, mayBeSpoilt })
oracleFamily("stream, deletions", { commands: deletions, words: extra, looser, mayBeSpoilt })
// Claims that find nothing make the consumer.
const events = { except: ["xgroup-createconsumer", "xgroup-delconsumer"] }
oracleFamily("stream, groups", { commands: groups, words: extra, looser, mayBeSpoilt, events })
oracleFamily("stream, groups, small blocks", {
  events,
  commands: groups,
  words: extra,
  looser,
  mayBeSpoilt,
  prepare: [["CONFIG", "SET", "stream-node-max-entries", "3"]],
  subject: () => createServer({ port: 0, config: { "stream-node-max-entries": 3 } }),
})

describe.skipIf(!oracleAvailable)("oracle: stream, cases", () => {
  for (const resp of [2, 3] as const) {
    test(`by hand, RESP${resp}`, async () => {
      const oracle = await sharedOracle()
      await using server = await createServer({ port: 0 })
      await using ours = await Client.connect(server.port, { resp })
      await using theirs = await oracle.connect({ resp })
      await compareText(ours, theirs, CASES, { looser: CASES_LOOSER })
    })
  }
})

test.skipIf(!oracleAvailable)("oracle: stream, what counts as a key read", async () => {
  const oracle = await sharedOracle()
  await using server = await createServer({ port: 0 })
  const counts: unknown[] = []
  for (const { port } of [server, oracle]) {
    await using client = await Client.connect(port)
    await client.pipeline(parseCommands(READS))
    counts.push(String(await client.plain("INFO", "stats")).match(/keyspace_(hits|misses):\d+/g))
  }
  expect(counts[0]).toEqual(counts[1])
})

const READS = `
XADD s 1-1 a b
XGROUP CREATE s g 0
CONFIG RESETSTAT
XREAD STREAMS s nokey 0 0
XREADGROUP GROUP g c STREAMS s >
XACK s g 1-1
XACK nokey g 1-1
XCLAIM s g c 0 1-1
XCLAIM nokey g c 0 1-1
XAUTOCLAIM s g c 0 0
XAUTOCLAIM nokey g c 0 0
XAUTOCLAIM s g c x 0
XAUTOCLAIM nokey g c 0 0 COUNT 0
XAUTOCLAIM nokey g c 0 x
`

const CASES_LOOSER = {
  XREAD: { errorCode: true },
  XREADGROUP: { errorCode: true },
  XPENDING: { approx: 2000 },
} as const

const CASES = `
CONFIG SET stream-node-max-entries 100
SET str x
XADD str * a b
XADD str 0-0 a b
XADD str NOMKSTREAM 1-1 a b
XLEN str
XRANGE str - +
XRANGE str x +
XDEL str 1-1
XTRIM str MAXLEN 1
XSETID str 1-1
XREAD STREAMS str 0
XREADGROUP GROUP g c STREAMS str >
XGROUP CREATE str g 0
XGROUP DESTROY str g
XACK str g 1-1
XPENDING str g
XCLAIM str g c 0 1-1
XAUTOCLAIM str g c 0 0
XINFO STREAM str
XINFO STREAM nokey
XINFO GROUPS nokey
XINFO CONSUMERS nokey g
XINFO
XINFO FOO
XINFO STREAM
XGROUP
XGROUP FOO
XGROUP CREATE s g
XGROUP CREATE nokey g 0
XGROUP SETID nokey g 0
XGROUP DESTROY nokey g
XGROUP CREATECONSUMER nokey g c
XGROUP DELCONSUMER nokey g c
XADD s
XADD s 1-1
XADD s 1-1 a
XADD s 1-1 a b c
XADD s * a
XADD s MAXLEN
XADD s MAXLEN 5
XADD s MAXLEN 5 *
XADD s MAXLEN x 1-1 a b
XADD s MAXLEN -1 1-1 a b
XADD s MAXLEN ~ 1-1 a b
XADD s MAXLEN 5 MINID 0 1-1 a b
XADD s MAXLEN 5 LIMIT 3 1-1 a b
XADD s LIMIT 3 1-1 a b
XADD s LIMIT 0 1-1 a b
XADD s MAXLEN ~ 5 LIMIT -3 1-2 a b
XADD s MAXLEN ~ 5 LIMIT x 1-2 a b
XADD s MINID x 1-2 a b
XADD s MINID - 1-2 a b
XADD s NOMKSTREAM NOMKSTREAM 1-2 a b
XADD s 0-0 a b
XADD s 0 a b
XADD s 0-* a b
XADD s 1-2 a b
XADD s 1-* a b
XADD s 0-* a b
XADD s + a b
XADD s - a b
XADD s 2-1-1 a b
XADD s nomkstream 2-0 a b
XADD none NOMKSTREAM 2-0 a b
XADD s 3 a b a b
XADD s 18446744073709551616-0 a b
XADD s 4-18446744073709551615 a b
XRANGE s - + COUNT 0
XRANGE s - + COUNT -1
XRANGE s - + COUNT x
XRANGE s - + COUNT
XRANGE s - + FOO 1
XRANGE s - + COUNT 1 COUNT 2
XRANGE s (3 +
XRANGE s 3 3
XRANGE s (1-1 (3-0
XRANGE s ( +
XRANGE s (- +
XRANGE s (4-18446744073709551615 +
XRANGE s 4-18446744073709551615 4-18446744073709551615
XREVRANGE s + - COUNT 2
XREVRANGE s 3 1
XREVRANGE s (3 (1-1
XRANGE nokey - +
XRANGE nokey - + COUNT 0
XREVRANGE nokey + -
XTRIM s
XTRIM s MAXLEN
XTRIM s FOO 1
XTRIM s LIMIT 5
XTRIM s MAXLEN 5 LIMIT 5
XTRIM s NOMKSTREAM MAXLEN 5
XTRIM s MAXLEN = 100
XTRIM s MINID = 1-2
XTRIM s MAXLEN ~ 0 LIMIT 1
XTRIM nokey MAXLEN 5
XSETID nokey 1-1
XSETID s x
XSETID s 1-1
XSETID s 9-0 ENTRIESADDED -1
XSETID s 9-0 ENTRIESADDED 1
XSETID s 9-0 MAXDELETEDID 10-0
XSETID s 9-0 FOO
XSETID s 9-0 ENTRIESADDED
XSETID s 9-0 ENTRIESADDED 20 MAXDELETEDID 8-0
XINFO STREAM s
XINFO STREAM s FULL
XINFO STREAM s FULL COUNT 1
XINFO STREAM s FULL COUNT
XINFO STREAM s COUNT 1
XINFO STREAM s FULL COUNT x
XINFO STREAM s FULL COUNT -1
XREAD
XREAD STREAMS s
XREAD STREAMS s 0 1
XREAD COUNT 1 s 0
XREAD COUNT x STREAMS s 0
XREAD COUNT -5 STREAMS s 0
XREAD STREAMS s >
XREAD NOACK STREAMS s 0
XREAD GROUP g c STREAMS s 0
XREAD STREAMS s $
XREAD STREAMS nokey $
XREAD STREAMS nokey s 0 3
XREAD STREAMS s s 0 3
XREAD BLOCK x STREAMS s $
XREAD BLOCK -1 STREAMS s $
XREAD BLOCK 1 STREAMS s $
XREAD BLOCK 1 STREAMS nokey 0
XREADGROUP GROUP g c STREAMS s >
XREADGROUP STREAMS s > COUNT 5 x y
XREADGROUP COUNT 1 NOACK STREAMS s >
XGROUP CREATE s g x
XGROUP CREATE s g 0 FOO
XGROUP CREATE s g 0 ENTRIESREAD
XGROUP CREATE s g 0 ENTRIESREAD x
XGROUP CREATE s g 0 ENTRIESREAD -2
XGROUP CREATE s g 0 MKSTREAM MKSTREAM MKSTREAM MKSTREAM
XGROUP CREATE s g 0
XGROUP CREATE s g 0
XGROUP CREATE s h $
XGROUP CREATE e g $ MKSTREAM
XGROUP CREATE e h 5-5 MKSTREAM ENTRIESREAD 3
XREADGROUP GROUP g c STREAMS s $
XREADGROUP GROUP nogroup c STREAMS s >
XREADGROUP GROUP g c STREAMS nokey >
XREADGROUP GROUP g c STREAMS s e > >
XREADGROUP GROUP g c STREAMS s e 0 0
XREADGROUP GROUP g c COUNT 1 STREAMS s 1-2
XREADGROUP GROUP g other STREAMS s 0
XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551615
XREADGROUP GROUP h c BLOCK 1 STREAMS s >
XINFO STREAM e
XPENDING s g
XPENDING s h
XPENDING s nogroup
XPENDING nokey g
XPENDING s g - +
XPENDING s g IDLE 5
XPENDING s g IDLE 5 - +
XPENDING s g IDLE x - + 5
XPENDING s g - + x
XPENDING s g - + -1
XPENDING s g x + 1
XPENDING s g - + 10 nobody
XPENDING s g IDLE 3600000 - + 10
XPENDING s g (9-9 (1-1 10 c
XACK s g
XACK s g x
XACK s g 1-2 x
XACK s nogroup x
XACK nokey g x
XACK s g 2-0 2-0 7-7
XDEL s 3-0
XREADGROUP GROUP g c STREAMS s 0
XCLAIM s g d x 1-1
XCLAIM s g d 0 1-2 FOO
XCLAIM s g d 0 x
XCLAIM s g d 0 1-2 IDLE
XCLAIM s g d 0 1-2 IDLE x
XCLAIM s g d 0 1-2 TIME x
XCLAIM s g d 0 1-2 RETRYCOUNT x
XCLAIM s g d 0 1-2 LASTID x
XCLAIM s nogroup d 0 1-2
XCLAIM nokey g d 0 1-2
XCLAIM s g d 0 3-0 4-18446744073709551615 9-9
XCLAIM s g d 0 1-2 FORCE JUSTID RETRYCOUNT 7
XCLAIM s g d 3600000 1-2
XCLAIM s g d 0 2-0 FORCE
XPENDING s g
XAUTOCLAIM s g e x 0
XAUTOCLAIM s g e 0 x
XAUTOCLAIM s g e 0 0 COUNT 0
XAUTOCLAIM s g e 0 0 COUNT -1
XAUTOCLAIM s g e 0 0 COUNT 8070450532247928833
XAUTOCLAIM s g e 0 0 COUNT x
XAUTOCLAIM s g e 0 0 COUNT
XAUTOCLAIM s g e 0 0 FOO
XAUTOCLAIM s nogroup e 0 0
XAUTOCLAIM nokey g e 0 0
XDEL s 2-0
XAUTOCLAIM s g e 0 0 COUNT 1
XAUTOCLAIM s g e 0 1-3 COUNT 1 JUSTID
XAUTOCLAIM s g e 0 (2-0 COUNT 10
XAUTOCLAIM s g e 3600000 -
XGROUP CREATECONSUMER s g new
XGROUP CREATECONSUMER s g new
XGROUP CREATECONSUMER s nogroup new
XGROUP DELCONSUMER s g e
XGROUP DELCONSUMER s g nobody
XGROUP SETID s g 1-2 ENTRIESREAD 1
XGROUP SETID s g + ENTRIESREAD -1
XGROUP SETID s g 0 FOO
XGROUP SETID s nogroup 0
XGROUP SETID s g $
XPENDING s g
XGROUP DESTROY s g
XGROUP DESTROY s g
XDEL s 1-2 1-3 4-18446744073709551615
XDEL s x
XDEL nokey x
XLEN s
EXISTS s
XINFO STREAM s
`
