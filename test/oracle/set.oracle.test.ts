import { describe, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import type { Command } from "../support/command.ts"
import { compareCommands, compareText, type LooserTable, type loosely } from "../support/compare.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"
import { oracleFamily } from "../support/oracle-family.ts"

/** A table is walked in another order than Redis's, and random members are another's; all else is byte for byte. */
const looser: LooserTable = {
  SMEMBERS: { unordered: true },
  SINTER: { unordered: true },
  SUNION: { unordered: true },
  SDIFF: { unordered: true },
  SPOP: { unordered: true },
  SSCAN: { scan: true },
  SRANDMEMBER: { sameShape: true },
}

/** Of a spoilt count chance would make something. */
const mayBeSpoilt = ([name]: Command) => String(name).toUpperCase() !== "SPOP"

const commands = {
  "SADD key member...": 20,
  "SREM key member...": 8,
  "SMOVE key key member": 6,
  "SISMEMBER key member": 4,
  "SMISMEMBER key member...": 3,
  "SMEMBERS key": 3,
  "SCARD key": 3,
  "SINTER key...": 4,
  "SUNION key...": 4,
  "SDIFF key...": 4,
  "SINTERSTORE key key...": 4,
  "SUNIONSTORE key key...": 4,
  "SDIFFSTORE key key...": 4,
  "SINTERCARD ('1'|'2'|'3'|small) key... [LIMIT small]": 4,
  "SINTERCARD 2 key key [LIMIT index]": 3,
  "SRANDMEMBER key [signedcount]": 3,
  "SRANDMEMBER nokey [signedcount]": 1,
  // All of them, or none: else chance would make the data differ.
  "SPOP key ('100000'|'0')": 0.5,
  "SPOP nokey [count]": 0.5,
  "SPOP sharedkey 0": 0.3,
  "DEL key": 2,
  "EXPIRE key 100000": 1,
  "SET sharedkey value": 1,
  "DEL sharedkey": 2,
}

/** 7.0 has no listpacks for sets: without them ours must choose the same forms. */
function forms(intsetEntries: number) {
  const prepare: Command[] = [["CONFIG", "SET", "set-max-intset-entries", String(intsetEntries)]]
  const config = { "set-max-intset-entries": intsetEntries, "set-max-listpack-entries": 0 }
  return {
    prepare,
    subject: () => createServer({ port: 0, config }),
    finalState: "encodings" as const,
    mayBeSpoilt,
    otherTypes: false,
  }
}

/** Of more members than fit, some of them twice, 7.0 makes an integer set all the same, 7.4 does not. */
const membersThatFit = { ...commands, "SADD key member...": 0, "SADD key member [member] [member] [member]": 20 }

oracleFamily("set, small integer form", { commands: membersThatFit, looser, ...forms(6) })
oracleFamily("set, large integer form", { commands, looser, ...forms(512) })
oracleFamily("set, small listpacks", {
  commands,
  looser,
  mayBeSpoilt,
  otherTypes: false,
  subject: () => createServer({ port: 0, config: { "set-max-listpack-entries": 8, "set-max-listpack-value": 20 } }),
})
oracleFamily("set, large listpacks", {
  commands,
  looser,
  mayBeSpoilt,
  otherTypes: false,
  subject: () =>
    createServer({ port: 0, config: { "set-max-listpack-entries": 2000, "set-max-listpack-value": 10000 } }),
})

/** Without spoilt commands: what a cursor other than 0 stands for is each server's own affair. */
oracleFamily("set, scanned", {
  commands: {
    "SADD key member...": 4,
    "SREM key member...": 2,
    "SSCAN key 0 COUNT 100000 [MATCH pattern]": 4,
    "SSCAN key cursor MATCH pattern COUNT 100000": 1,
    "SSCAN nokey 0 [MATCH pattern] [COUNT count]": 1,
    "SSCAN key 0 [MATCH] [MATCH pattern] COUNT count": 1,
    "SSCAN key 0 (COUNT count|MATCH pattern|garbage)...": 1,
    "DEL key": 1,
  },
  words: { cursor: random => random.pick(["0", "00", "abc", "1.5", "0x", "99999999999999999999999"]) },
  looser,
  spoilOneIn: 0,
})

describe.skipIf(!oracleAvailable)("oracle: set, cases", () => {
  for (const resp of [2, 3] as const) {
    test(`by hand, RESP${resp}`, async () => {
      const oracle = await sharedOracle()
      await using server = await createServer({ port: 0 })
      await using ours = await Client.connect(server.port, { resp })
      await using theirs = await oracle.connect({ resp })
      await compareText(ours, theirs, CASES, { looser })
      await compareCommands(ours, theirs, bigSets(), { looser, block: 50 })
    })
  }
})

const CASES = `
SET str x
SADD str a
SREM str a
SPOP str
SPOP str 1
SPOP str 0
SPOP str -1
SRANDMEMBER str
SRANDMEMBER str 0
SRANDMEMBER str 9223372036854775807
SRANDMEMBER str -9223372036854775808
SRANDMEMBER str 9223372036854775808
SRANDMEMBER nokey -9223372036854775807
SMOVE str nokey a
SMOVE nokey str a
SADD a 1 2 3
SMOVE a str 1
SMOVE a str 9
SMOVE str a 1
SMOVE a a 1
SMOVE a a 9
SMOVE a b 1
SMOVE a b 1
SMOVE a b 2
SMOVE a b 3
EXISTS a
SMEMBERS b
SMOVE b c xyz
SINTER nokey
SINTER b nokey
SINTER b str
SINTER nokey str
SUNION nokey
SUNION b str
SDIFF nokey b
SDIFF nokey str
SDIFF b b
SINTERSTORE str nokey
EXISTS str
SINTERSTORE b b
SMEMBERS b
SUNIONSTORE b b b
SDIFFSTORE b b b
EXISTS b
SADD big 9223372036854775807 -9223372036854775808 9223372036854775808 -0 00 +1
SMEMBERS big
SREM big 9223372036854775807 -9223372036854775808
SMEMBERS big
SADD i 9223372036854775807 -9223372036854775808 9007199254740993
SMEMBERS i
SISMEMBER i 9007199254740993
SISMEMBER i 9007199254740992
SMISMEMBER i 1 x 9223372036854775807 -9223372036854775808
SREM i x y 9223372036854775807 -9223372036854775808 9007199254740993 z
EXISTS i
SINTERCARD 0 a
SINTERCARD a 0
SINTERCARD -1 a
SINTERCARD 2 a
SINTERCARD 1 a LIMIT
SINTERCARD 1 a LIMIT -1
SINTERCARD 1 a LIMIT x
SINTERCARD 1 a b
SINTERCARD 9223372036854775807 a
SINTERCARD 1 a LIMIT 1 LIMIT 2
SADD s1 a b c d
SADD s2 c d e f
SINTERCARD 2 s1 s2
SINTERCARD 2 s1 s2 LIMIT 1
SINTERCARD 2 s1 s2 LIMIT 0
SINTERCARD 1 s1 LIMIT 9223372036854775807
SINTERCARD 1 s1 LIMIT 2
SPOP nokey
SPOP nokey 1
SPOP nokey -1
SPOP nokey 0
SPOP nokey x
SPOP s1 x
SPOP s1 0
SPOP s1 1 2
SPOP s1 100
SRANDMEMBER s2 1 2
SRANDMEMBER s2 x
SSCAN s2 x
SSCAN s2 0 MATCH
SSCAN s2 0 COUNT 0
SSCAN s2 0 COUNT x
SSCAN s2 0 FOO 1
SSCAN nokey x
SSCAN nokey 0 FOO
SSCAN s2 0 MATCH [ce] COUNT 1000
SSCAN s2 0 MATCH * COUNT 1000
SADD e ""
SMEMBERS e
SREM e ""
EXISTS e
SADD ttl a b
EXPIRE ttl 1000
SADD ttl c
TTL ttl
SUNIONSTORE ttl ttl s2
TTL ttl
`

/** Tables on both sides, against each other. */
function bigSets() {
  const commands: (Command | ReturnType<typeof loosely>)[] = []
  for (const [key, step] of [
    ["t1", 1],
    ["t2", 2],
    ["t3", 3],
  ] as const) {
    for (let from = 0; from < 3000; from += 500) {
      const members = Array.from({ length: 500 }, (_, i) => `member:${(from + i) * step}`)
      commands.push(["SADD", key, ...members])
    }
  }
  commands.push(["SADD", "ints", ...Array.from({ length: 400 }, (_, i) => String(i * 7))], ["SADD", "few", "member:6"])
  for (const [a, b] of [
    ["t1", "t2"],
    ["t2", "t1"],
    ["t3", "few"],
    ["few", "t3"],
    ["ints", "t1"],
    ["t1", "nokey"],
  ] as const) {
    commands.push(["SINTER", a, b], ["SUNION", a, b], ["SDIFF", a, b], ["SDIFF", a, b, "t3", "t2"])
    commands.push(["SINTERSTORE", "d", a, b], ["SMEMBERS", "d"], ["OBJECT", "ENCODING", "ints"])
    commands.push(["SUNIONSTORE", "d", a, b, "t3"], ["SMEMBERS", "d"], ["SDIFFSTORE", "d", a, b], ["SMEMBERS", "d"])
    commands.push(["SINTERCARD", "2", a, b], ["SINTERCARD", "2", a, b, "LIMIT", "100"], ["SUNION", a, b, "t3", "few"])
  }
  commands.push(["SPOP", "t1", "100000"], ["EXISTS", "t1"], ["SREM", "t2", ...range("member:", 6000)], ["EXISTS", "t2"])
  return commands
}

function range(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => prefix + i)
}
