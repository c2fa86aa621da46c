/** EVAL and its kin beside a real Redis: values, errors with their places, the sandbox, SCRIPT. */
import { describe, test } from "bun:test"
import { connectBoth } from "../support/both.ts"
import type { Command } from "../support/command.ts"
import { compareCommands, compareKeyspaces, type LooserTable, loosely } from "../support/compare.ts"
import { oracleAvailable } from "../support/oracle.ts"
import { fuzzCount } from "../support/oracle-family.ts"
import { Random, runSeed } from "../support/random.ts"
import { LONGER, ONE_LINERS } from "./script-cases.ts"
import { ScriptWriter } from "./script-writer.ts"

const ARGS = [2, "k1", "k2", "a1", 2, ""] as const

/** Where we follow 7.4 and the oracle is 7.0: see the cases below. */
const NEWER: readonly RegExp[] = [
  // Numbers as arguments are written as short as possible, whole ones in full (7.2).
  /'set','n',(-0|2\^62|1e18|0\.5)\)|'thirds'/,
  // Texts of errors (7.2).
  /redis\.log\(-1|set_repl\((1,2)?\)/,
  // Blocking commands may be called, and do not block (7.2).
  /'blpop'|'wait'/,
  // Our own words.
  /'object','help'/,
  // A Lua function of ours stands where a C function stands in Redis, so one place is off.
  /pcall\(load, 1\)/,
]

/** A crash of 7.0: it expects a text in every error. */
const CRASHES = [/error\(\{\}\)/]
/** No big number: what a client makes of it is its own affair. */
const MALFORMED = [/big_number='1\\r/]

describe.skipIf(!oracleAvailable)("oracle: scripts", () => {
  for (const resp of [2, 3] as const) {
    test(`values, errors and the sandbox, RESP${resp}`, async () => {
      await using both = await connectBoth(resp)
      const left = resp === 3 ? [...CRASHES, ...MALFORMED] : CRASHES
      const scripts = [...ONE_LINERS, ...LONGER].filter(script => !left.some(pattern => pattern.test(script)))
      const commands = scripts.map(script => {
        const command: Command = ["EVAL", script, ...ARGS]
        return NEWER.some(pattern => pattern.test(script)) ? loosely({ ignore: true }, ...command) : command
      })
      await compareCommands(both.ours, both.theirs, commands, { block: 25 })
      await compareKeyspaces(both.ours, both.theirs)
    }, 60_000)
  }

  test("EVALSHA, EVAL_RO, EVALSHA_RO, SCRIPT", async () => {
    await using both = await connectBoth(2)
    const sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db" // of "return 1"
    const upper = sha.toUpperCase()
    const looser: LooserTable = { "SCRIPT HELP": { sameShape: true } }
    const commands: Command[] = [
      ["EVALSHA", sha, 0],
      ["EVALSHA", "x", 0],
      ["EVALSHA", sha, "x"],
      ["EVALSHA", "x", "x"],
      ["SCRIPT", "EXISTS", sha, "x"],
      ["SCRIPT", "LOAD", "return 1"],
      ["SCRIPT", "EXISTS", sha, upper, "x"],
      ["EVALSHA", sha, 0],
      ["EVALSHA", upper, 0],
      ["EVALSHA_RO", sha, 0],
      ["SCRIPT", "LOAD", "return ("],
      ["SCRIPT", "LOAD", "#!x"],
      ["SCRIPT", "LOAD"],
      ["SCRIPT", "LOAD", "a", "b"],
      ["SCRIPT", "EXISTS"],
      ["SCRIPT", "FLUSH", "NOW"],
      ["SCRIPT", "FLUSH", "SYNC", "x"],
      ["SCRIPT", "FLUSH", "sync"],
      ["EVALSHA", sha, 0],
      ["SCRIPT", "FLUSH", "async"],
      ["SCRIPT", "FLUSH"],
      ["SCRIPT", "KILL"],
      ["SCRIPT", "DEBUG", "no"],
      ["SCRIPT", "DEBUG", "x"],
      ["SCRIPT", "DEBUG"],
      ["SCRIPT"],
      ["SCRIPT", "NOSUCH"],
      ["SCRIPT", "HELP"],
      ["EVAL", "return 1"],
      ["EVAL", "return 1", "x"],
      ["EVAL", "return 1", "-1"],
      ["EVAL", "return 1", "1"],
      ["EVAL", "return 1", "1.5"],
      ["EVAL", "return 1", "99999999999999999999"],
      ["EVAL", "return 1", "9223372036854775807"],
      ["EVAL", "return 1", "-9223372036854775808"],
      ["EVAL", "(", "x"],
      ["EVAL", "", 0],
      ["EVAL_RO", "return redis.call('get','x')", 0],
      ["EVAL_RO", "return redis.call('set','x','y')", 0],
      ["EVAL_RO", "return redis.pcall('set','x','y')", 0],
      ["EVAL_RO", "return redis.call('publish','x','y')", 0],
      ["EVAL_RO", "return redis.call('pfcount','x')", 0],
      ["EVAL_RO", "#!lua\nreturn 1", 0],
      ["EVAL_RO", "#!lua flags=no-writes\nreturn redis.call('set','x','y')", 0],
      ["EVAL_RO", "return 1", 1],
      ["MULTI"],
      ["EVAL", "redis.call('set',KEYS[1],ARGV[1]) return redis.call('get',KEYS[1])", 1, "k", "v"],
      ["EVAL", "return redis.call('nosuch')", 0],
      ["EVAL", "return {err='FOO bar'}", 0],
      ["SCRIPT", "EXISTS", sha],
      ["GET", "k"],
      ["EXEC"],
      ["MULTI"],
      ["EVAL", "return 1"],
      ["EXEC"],
      ["WATCH", "w"],
      ["EVAL", "return redis.call('set','w','1')", 0],
      ["MULTI"],
      ["GET", "w"],
      ["EXEC"],
      ["SELECT", 1],
      ["EVAL", "redis.call('set','one','1') redis.call('select',2) redis.call('set','two','2') return 1", 0],
      ["DBSIZE"],
      ["SELECT", 2],
      ["DBSIZE"],
      ["CONFIG", "RESETSTAT"],
      ["SELECT", 0],
    ]
    await compareCommands(both.ours, both.theirs, commands, { looser })
  })

  test(
    `${fuzzCount} random scripts`,
    async () => {
      for (let from = 0; from < fuzzCount; from += 500) {
        const seed = (runSeed + from) >>> 0
        await using both = await connectBoth(from % 1000 === 0 ? 2 : 3)
        const writer = new ScriptWriter(new Random(seed))
        const commands: Command[] = []
        for (let i = 0; i < Math.min(500, fuzzCount - from); i++) commands.push(["EVAL", writer.next(), ...ARGS])
        await compareCommands(both.ours, both.theirs, commands, { seed, block: 50 })
        await compareKeyspaces(both.ours, both.theirs, { seed })
      }
    },
    60_000 + fuzzCount * 2,
  )
})
