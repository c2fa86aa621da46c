import { describe, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import type { Command } from "../support/command.ts"
import { compareCommands, compareText, type LooserTable } from "../support/compare.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"
import { oracleFamily } from "../support/oracle-family.ts"
import { type Word, words } from "../support/words.ts"

const commands = {
  "LPUSH key value...": 12,
  "RPUSH key value...": 12,
  "LPUSHX key value...": 2,
  "RPUSHX key value...": 2,
  "LPOP key [count]": 8,
  "RPOP key [count]": 8,
  "LLEN key": 3,
  "LINDEX key index": 4,
  "LSET key index value": 5,
  "LINSERT key (BEFORE|AFTER) value value": 5,
  "LRANGE key index index": 6,
  "LREM key index value": 5,
  "LTRIM key index index": 2,
  "LPOS key value [RANK index] [COUNT count] [MAXLEN count]": 6,
  "LMOVE key key (LEFT|RIGHT) (LEFT|RIGHT)": 5,
  "RPOPLPUSH key key": 4,
  "LMPOP ('1'|'2'|small) key... (LEFT|RIGHT) [COUNT small]": 2,
  "LMPOP ('1' key|'2' key key) (LEFT|RIGHT) [COUNT small]": 3,
  // In a transaction nothing waits.
  "MULTI ; BLPOP key... wait ; EXEC": 0.4,
  "MULTI ; BRPOP key... wait ; EXEC": 0.4,
  "MULTI ; BLMOVE key key (LEFT|RIGHT) (LEFT|RIGHT) wait ; EXEC": 0.4,
  "MULTI ; BRPOPLPUSH key key wait ; EXEC": 0.4,
  "MULTI ; BLMPOP wait ('1' key|'2' key key|small key...) (LEFT|RIGHT) [COUNT small] ; EXEC": 0.4,
  "DEL key": 2,
  "EXPIRE key 100000": 1,
  "SET sharedkey value": 1,
  "DEL sharedkey": 2,
}

/** A time to wait beyond 2^63 ms is "negative" to 7.0, and "out of range" to 7.4. */
const looser: LooserTable = {}
for (const name of ["BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "EXEC"]) looser[name] = { errorCode: true }

/** 7.0 takes the lowest integer as rank and count, and makes of it what it likes; 7.4 refuses it. */
const index: Word = (random, profile) => {
  const drawn = words.index!(random, profile)
  return drawn === "-9223372036854775808" ? "-9223372036854775807" : drawn
}

/** 7.0 has only one form, reported as quicklist; the limits are set on both, so that ours goes to and fro. */
function limits(size: number) {
  const prepare: Command[] = [["CONFIG", "SET", "list-max-listpack-size", String(size)]]
  return {
    prepare,
    subject: () => createServer({ port: 0, config: { "list-max-listpack-size": size } }),
    looser,
    otherTypes: false,
    spoilOneIn: 25,
    words: { index },
  }
}

oracleFamily("list, default form", { commands, ...limits(-2) })
oracleFamily("list, 4 KB chunks", { commands, ...limits(-1) })
oracleFamily("list, chunks of four", { commands, ...limits(4) })
oracleFamily("list, chunks of one", { commands, ...limits(1) })

describe.skipIf(!oracleAvailable)("oracle: list, cases", () => {
  for (const resp of [2, 3] as const) {
    test(`by hand, RESP${resp}`, async () => {
      const oracle = await sharedOracle()
      await using server = await createServer({ port: 0 })
      await using ours = await Client.connect(server.port, { resp })
      await using theirs = await oracle.connect({ resp })
      await compareText(ours, theirs, CASES)
      await compareCommands(ours, theirs, longLists(), { block: 50 })
    })
  }
})

const CASES = `
SET str x
LPUSH str a
RPUSHX str a
LPOP str
LPOP str 0
LPOP str -1
LLEN str
LINDEX str x
LSET str 0 a
LSET nokey x a
LINSERT str FOO a b
LINSERT str BEFORE a b
LINSERT nokey AFTER a b
LRANGE str 0 x
LRANGE str 0 1
LREM str x a
LREM str 0 a
LTRIM str x 1
LTRIM str 0 1
LTRIM nokey 0 1
LPOS str a
LMOVE str l LEFT LEFT
LMOVE str l UP LEFT
LMOVE nokey l LEFT RIGHT
LMOVE nokey str LEFT RIGHT
RPUSH l a b c
LMOVE l str LEFT RIGHT
RPOPLPUSH l str
RPOPLPUSH str l
RPOPLPUSH l l
LRANGE l 0 -1
LMOVE l l LEFT LEFT
LMOVE l l RIGHT RIGHT
LMOVE l l LEFT RIGHT
LRANGE l 0 -1
LPOP l 0
LPOP l x
LPOP l -1
LPOP l 1 2
LPOP nokey
LPOP nokey 0
LPOP nokey 3
RPOP l 2
RPOP l 2
EXISTS l
RPUSH one x
LMOVE one one LEFT RIGHT
RPOPLPUSH one two
EXISTS one
LRANGE two 0 -1
RPUSH p a b c 1 2 3 c c 10 -5 9223372036854775807
LPOS p c
LPOS p c RANK 0
LPOS p c RANK 2
LPOS p c RANK -1
LPOS p c RANK -3
LPOS p c RANK 4
LPOS p c RANK 9223372036854775807
LPOS p c RANK -9223372036854775807
LPOS p c COUNT 0
LPOS p c COUNT 2
LPOS p c COUNT 2 RANK -1
LPOS p c COUNT -1
LPOS p c COUNT x
LPOS p c MAXLEN 2
LPOS p c MAXLEN 3
LPOS p c MAXLEN -1
LPOS p c COUNT 0 MAXLEN 7 RANK 2
LPOS p c COUNT
LPOS p c FOO 1
LPOS p nope
LPOS p nope COUNT 0
LPOS nokey c
LPOS nokey c COUNT 0
LPOS p 10
LPOS p 010
LPOS p 9223372036854775807
LINDEX p 0
LINDEX p -1
LINDEX p 100
LINDEX p -100
LINDEX nokey x
LINDEX p x
LINDEX p 9223372036854775807
LSET p 100 x
LSET p -1 long-value-in-place-of-an-integer
LSET p 0 1
LRANGE p 0 -1
LRANGE p -3 -2
LRANGE p 5 2
LRANGE p 100 200
LRANGE p -100 2
LRANGE p -9223372036854775808 9223372036854775807
LREM p -2 c
LRANGE p 0 -1
LREM p 9223372036854775807 c
LREM p 0 nope
LREM p 1 1
LRANGE p 0 -1
LINSERT p BEFORE 10 nine
LINSERT p after 10 eleven
LINSERT p BEFORE nope x
LRANGE p 0 -1
LTRIM p 1 -2
LRANGE p 0 -1
LTRIM p 0 -1
LTRIM p 5 1
EXISTS p
LMPOP 0 a LEFT
LMPOP x a LEFT
LMPOP 1 a
LMPOP 2 a LEFT
LMPOP 1 a UP
LMPOP 1 a LEFT COUNT
LMPOP 1 a LEFT COUNT 0
LMPOP 1 a LEFT COUNT x
LMPOP 1 a LEFT COUNT 1 COUNT 1
LMPOP 1 nokey LEFT
LMPOP 2 nokey str LEFT
LMPOP 2 nokey two LEFT COUNT 10
RPUSH m a b c d
LMPOP 2 nokey m RIGHT COUNT 3
LMPOP 1 m RIGHT
EXISTS m
BLPOP nokey x
BLPOP nokey -1
BLPOP nokey nan
BLPOP nokey str 0
BLPOP nokey 0.001
BRPOP nokey 0.001
BLMOVE nokey x LEFT LEFT 0.001
BLMOVE nokey x LEFT UP x
BLMOVE nokey x LEFT LEFT x
BRPOPLPUSH nokey x 0.001
BLMPOP 0.001 1 nokey LEFT
BLMPOP x 0 nokey LEFT
BLMPOP x 1 nokey LEFT
BLMPOP 0.001 1 nokey LEFT COUNT 0
RPUSH b 1 2 3 4 5 6 7
BLPOP nokey b 0
BRPOP b nokey 0
BLMOVE b c LEFT RIGHT 0
BLMOVE b str LEFT RIGHT 0
BRPOPLPUSH b c 0
BLMPOP 0 2 nokey b RIGHT COUNT 2
BLMPOP 0 2 nokey b RIGHT COUNT 20
EXISTS b
LRANGE c 0 -1
RPUSH e "" "" 1 ""
LREM e 0 ""
LRANGE e 0 -1
RPUSH t a b
EXPIRE t 1000
RPUSH t c
TTL t
`

/** Long enough for many chunks, with elements of all sizes. */
function longLists(): Command[] {
  const commands: Command[] = []
  for (let i = 0; i < 3000; i += 100) {
    const elements = Array.from({ length: 100 }, (_, j) => ((i + j) % 3 === 0 ? String(i + j) : `element:${i + j}`))
    commands.push([i % 200 === 0 ? "RPUSH" : "LPUSH", "long", ...elements])
  }
  commands.push(["RPUSH", "long", "x".repeat(10_000), "y".repeat(70_000), ...commands[0]!.slice(2)])
  for (const index of [0, 1, 99, 100, 1499, 1500, 1501, 2999, 3000, 3001, -1, -101, -102, -3000, -3102, 5000]) {
    commands.push(["LINDEX", "long", String(index)], ["LRANGE", "long", String(index), String(index + 40)])
  }
  commands.push(["LRANGE", "long", "0", "-1"], ["LPOS", "long", "element:301"], ["LPOS", "long", "3", "COUNT", "0"])
  commands.push(["LPOS", "long", "element:1", "RANK", "-1"], ["LPOS", "long", "0", "COUNT", "0", "MAXLEN", "1600"])
  commands.push(["LSET", "long", "1500", "z".repeat(9000)], ["LINSERT", "long", "AFTER", "element:1000", "here"])
  commands.push(["LREM", "long", "0", "element:4"], ["LREM", "long", "-1", "element:1"], ["LLEN", "long"])
  commands.push(
    ["LPOP", "long", "150"],
    ["RPOP", "long", "170"],
    ["LTRIM", "long", "10", "-20"],
    ["LRANGE", "long", "0", "-1"],
  )
  commands.push(
    ["RPOPLPUSH", "long", "long"],
    ["LMOVE", "long", "other", "LEFT", "LEFT"],
    ["LTRIM", "long", "500", "520"],
  )
  commands.push(
    ["LRANGE", "long", "0", "-1"],
    ["LMPOP", "1", "long", "LEFT", "COUNT", "20"],
    ["LRANGE", "long", "0", "-1"],
  )
  commands.push(["RPOP", "long"], ["EXISTS", "long"])
  return commands
}
