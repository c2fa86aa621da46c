import { describe, expect, test } from "bun:test"
import { raiseLongBrackets } from "../../src/script/long-brackets.ts"
import { Client } from "../support/client.ts"
import { compareCommands } from "../support/compare.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"
import { Random, runSeed } from "../support/random.ts"
import { startSubject } from "../support/subject.ts"

const raised = (source: string): string => Buffer.from(raiseLongBrackets(Buffer.from(source))).toString()

describe("long brackets", () => {
  for (const [source, expected] of [
    ["return [[a [[b]]", "return [=[a [[b]=]"],
    ["--[[ KEYS[[1]] ]] x", "--[=[ KEYS[[1]=] ]] x"],
    ["--[[ a\n[[b\n]] return 1", "--[=[ a\n[[b\n]=] return 1"],
    ["[[ [[ ]=] ]==] ]]", "[===[ [[ ]=] ]==] ]===]"],
    ["[[ [[ ]=]]", "[==[ [[ ]=]==]"],
    ["[[ [[ never closed", "[=[ [[ never closed"],
    ['[[ plain ]] [=[ [[ ]=] \'[[ [[\' "[[ \\" [[" -- [[ [[\n', undefined],
    ["x = t[t[1]] '[[", undefined],
  ] as const) {
    test(source, () => expect(raised(source)).toBe(expected ?? source))
  }

  test.skipIf(!oracleAvailable)("random sources are taken as Redis takes them", async () => {
    const oracle = await sharedOracle()
    await using subject = await startSubject()
    await using ours = await Client.connect(subject.port)
    const random = new Random(runSeed)
    const words = ["[[", "[[", "]]", "]]", "]", "=", "--", "'", '"', "\n", " x ", "[=[", "]=]", "\\", " return 'end' "]
    const commands = Array.from({ length: 2000 }, () => {
      const source = Array.from({ length: random.between(1, 9) }, () => random.pick(words)).join("")
      return ["EVAL", `return {[[a [[ b]], ${source}`, 0] as const
    }).flatMap(command => [command, ["EVAL", command[1].replace("return {[[a [[ b]], ", "return [[[["), 0] as const])
    await compareCommands(
      ours,
      oracle.admin,
      commands.map(command => [...command]),
      // What an error is near is told as it was read.
      { block: 100, seed: runSeed, looser: { EVAL: { errorCode: true } } },
    )
  })
})
