/** Function libraries beside a real Redis: registration, calls, errors, lists, payloads that go back and forth. */
import { describe, expect, test } from "bun:test"
import { connectBoth } from "../support/both.ts"
import type { Command } from "../support/command.ts"
import { compareCommands, type LooseCommand, type LooserTable, loosely } from "../support/compare.ts"
import { oracleAvailable } from "../support/oracle.ts"
import { fuzzCount } from "../support/oracle-family.ts"
import { Random, runSeed } from "../support/random.ts"

const looser: LooserTable = { "FUNCTION LIST": { unordered: true } }

const load = (code: string, ...options: string[]): Command => ["FUNCTION", "LOAD", ...options, code]

/** Code of libraries that cannot be loaded, or can. */
const REGISTRATIONS = [
  ...["redis.register_function()", "redis.register_function('f')", "redis.register_function('f', 1)"],
  ...["redis.register_function(nil, function() end)", "redis.register_function(1, function() end)"],
  ...["redis.register_function('f', function() end, {})", "redis.register_function('', function() end)"],
  ...["redis.register_function('a\\0b', function() end)", "redis.register_function({}, function() end)"],
  ...["redis.register_function{}", "redis.register_function{function_name='f'}", "redis.register_function(1)"],
  "redis.register_function{callback=function() end}",
  "redis.register_function{function_name=function() end, callback=function() end}",
  "redis.register_function{function_name='f', description=print}",
  "redis.register_function{function_name='f', description=function() end}",
  "redis.register_function{function_name='f', callback='x'}",
  "redis.register_function{function_name='f', callback=function() end, flags='no-writes'}",
  "redis.register_function{function_name='f', callback=function() end, flags={'no-write'}}",
  "redis.register_function{function_name='f', callback=function() end, flags={function() end}}",
  "redis.register_function{function_name='f', callback=function() end, flags={1}}",
  "redis.register_function{function_name='f', callback=function() end, flags={}}",
  "redis.register_function{FUNCTION_NAME='f', Callback=function() end, DESCRIPTION='d', Flags={'NO-Writes'}}",
  "redis.register_function{function_name='f', callback=function() end, extra=1}",
  "redis.register_function{function_name='f', callback=function() end, 1}",
  "redis.register_function{function_name='f', callback=function() end, [true]=1}",
  "redis.register_function('f', function() end) redis.register_function('f', function() end)",
  ...["x = 1", "redis.x = 1", "redis = nil", "return redis.redis", "return math.pi", "return redis.call('PING')"],
  ...["return string", "for k in pairs({}) do end", "return _G", "return KEYS", "error('x')", "return redis.setresp"],
  ...["bad code", "return nil .. 'x'", "return ('x'):rep(3)", "return 1", "", "redis.log(1)", "redis.log(1, 'x')"],
  "local t = {} t[1][1] = 1",
]

const HEADERS = [
  ...["", "return 1", "#!lua name=a", "#!lua name=a\0\nx", "#!lua\n", "#!lua foo\n", "#!lua name=a name=b\n", "#!\n"],
  ...["#! name=a\n", "#!foo name=a\n", "#! lua name=a\n", "#!lua name=\n", "#!lua name=a-b\n", '#!lua name="a\n'],
  ...["#!lua name=é\n", "#!lua name='a' x=1\n", "#!LUA NAME=a\nredis.register_function('f', function() end)"],
]

/** One library of functions that look at what is around them. */
const AROUND = `#!lua name=around
local loading, register = redis, redis.register_function
local function f(name, callback, flags) register{function_name=name, callback=callback, flags=flags} end
f('arguments', function(...) local k, a = ... return {select('#', ...), #k, #a, k[1] or '', a[1] or ''} end)
f('globals', function() return {type(KEYS), type(redis)} end)
f('no_keys', function() return KEYS[1] end)
f('write_global', function() x = 1 end)
f('register_inside', function() redis.register_function('z', function() end) end)
f('register_kept', function() register('z', function() end) end)
f('loading_kept', function() return loading.call('PING') end)
f('change_loading', function() loading.x = 1 end)
f('raise', function() error('boom') end)
f('raise_table', function() error({err='CODE boom'}) end)
f('call_unknown', function() return redis.call('nonsense') end)
f('call_wrong', function() redis.call('SET', 'x', 1) return redis.call('LPUSH', 'x', 1) end)
f('pcall_wrong', function() return redis.pcall('INCR') end)
f('error_reply', function() return redis.error_reply('CODE text') end)
f('status', function() return redis.status_reply('fine') end)
f('types', function() redis.setresp(3) return {1, 1.5, 'x', true, false, {map={a=1}}, {double=0.5}} end)
f('set', function(k, a) return redis.call('SET', k[1], a[1]) end)
f('get', function(k) return redis.call('GET', k[1]) end, {'no-writes'})
f('set_readonly', function(k) return redis.call('SET', k[1], 1) end, {'no-writes'})
f('json', function(k, a) return cjson.encode({k, a, cmsgpack.unpack(cmsgpack.pack(a))}) end)
f('upvalue', (function() local n = 0 return function() n = n + 1 return n end end)())
f('library', function() return redis.call('FUNCTION', 'LIST') end)
f('nothing', function() end)
f('Mixed', function() return 'case' end, {'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys'})
`

describe.skipIf(!oracleAvailable)("oracle: functions", () => {
  for (const resp of [2, 3] as const) {
    test(`what can be registered, RESP${resp}`, async () => {
      await using both = await connectBoth(resp)
      const commands = [...HEADERS, ...REGISTRATIONS.map(code => `#!lua name=lib\n${code}`)].flatMap(code => [
        load(code),
        ["FUNCTION", "LIST"] as Command,
        load(code, "REPLACE"),
        ["FUNCTION", "FLUSH"] as Command,
      ])
      await compareCommands(both.ours, both.theirs, commands, { looser })
    })

    test(`calls, RESP${resp}`, async () => {
      await using both = await connectBoth(resp)
      const names = [...AROUND.matchAll(/^f\('(\w+)'/gm)].map(match => match[1]!)
      expect(names).toContain("Mixed")
      const commands: Command[] = [["FLUSHALL"], load(AROUND)]
      // In RESP3 the functions are in an order of their own within a map.
      if (resp === 2) commands.push(["FUNCTION", "LIST", "WITHCODE"])
      for (const name of [...names, "MIXED", "ARGUMENTS", "nonsense", ""]) {
        for (const command of ["FCALL", "FCALL_RO"]) {
          commands.push([command, name, 1, "k", "a"], [command, name, 0], [command, name, 0, ...Array(30).fill("v")])
        }
      }
      for (const keys of ["x", "", "-1", "2", "1.0", "99999999999999999999", "9223372036854775807", "01"]) {
        commands.push(["FCALL", "arguments", keys, "k"], ["FCALL", "nonsense", keys, "k"])
      }
      commands.push(["FCALL", "set"], ["FUNCTION"], ["COMMAND", "GETKEYS", "FCALL", "set", 2, "a", "b", "c"])
      await compareCommands(both.ours, both.theirs, commands, {
        looser: { ...looser, "FCALL library": { unordered: true } },
      })
    })

    test(`options and their errors, RESP${resp}`, async () => {
      await using both = await connectBoth(resp)
      const one = "#!lua name=one\nredis.register_function('f', function() return 1 end)"
      const texts = [
        ...["STATS", "KILL", "LIST", "LIST WITHCODE", "LIST withcode LIBRARYNAME o*", "LIST LIBRARYNAME", "LIST x"],
        ...["LIST WITHCODE WITHCODE", "LIST LIBRARYNAME a LIBRARYNAME b", "LIST LIBRARYNAME ON?", "LIST LIBRARYNAME z"],
        ...[
          "DELETE",
          "DELETE x",
          "DELETE ONE",
          "DELETE one x",
          "FLUSH x",
          "FLUSH SYNC x",
          "LOAD",
          "LOAD x",
          "LOAD x y",
        ],
        ...["RESTORE", "RESTORE x", "RESTORE x y", "RESTORE x FLUSH", "RESTORE x FLUSH y", "DUMP x", "nonsense"],
        ...["STATS x", "KILL x", "DELETE one", "STATS", "LIST", "FLUSH ASYNC", "FLUSH SYNC", "FLUSH", "DUMP"],
      ]
      const commands: Command[] = [load(one), load(one), ...texts.map(text => ["FUNCTION", ...text.split(" ")])]
      await compareCommands(both.ours, both.theirs, commands, { looser })
    })
  }

  test(
    `${fuzzCount} random changes`,
    async () => {
      await using both = await connectBoth(2)
      const random = new Random(runSeed)
      const commands = Array.from({ length: fuzzCount }, () => randomCommand(random))
      await compareCommands(both.ours, both.theirs, commands, { looser, seed: runSeed, block: 50 })
    },
    60_000 + fuzzCount,
  )

  test("payloads go from one to the other", async () => {
    await using both = await connectBoth(2)
    const long = `#!lua name=long\n-- ${"words and words ".repeat(5000)}\nredis.register_function('l', function() return 2 end)`
    for (const [from, to] of [
      [both.ours, both.theirs],
      [both.theirs, both.ours],
    ] as const) {
      await from.pipeline([["FUNCTION", "FLUSH"], load(AROUND), load(long)])
      await to.pipeline([["FUNCTION", "FLUSH"]])
      const payload = await from.call("FUNCTION", "DUMP")
      if (payload.type !== "bulk") throw new Error("no payload")
      expect(await to.plain("FUNCTION", "RESTORE", payload.value)).toBe("OK")
      await compareCommands(
        both.ours,
        both.theirs,
        [
          ["FUNCTION", "LIST", "WITHCODE"],
          ["FCALL", "l", 0],
        ],
        { looser },
      )
      const again: Command[] = [
        ["FUNCTION", "RESTORE", payload.value],
        ["FUNCTION", "RESTORE", payload.value, "APPEND"],
        ["FUNCTION", "RESTORE", payload.value, "REPLACE"],
        ["FUNCTION", "DELETE", "around"],
        load("#!lua name=other\nredis.register_function('JSON', function() end)"),
        ["FUNCTION", "RESTORE", payload.value, "REPLACE"],
        ["FUNCTION", "LIST"],
        ["FUNCTION", "RESTORE", payload.value, "FLUSH"],
        ["FUNCTION", "LIST"],
        ["FUNCTION", "STATS"],
      ]
      // Which of two names that are taken is told depends on the order of a table.
      const told = { ...looser, "FUNCTION RESTORE": { errorCode: true } } as const
      await compareCommands(both.ours, both.theirs, again, { looser: told })
      const damaged = payload.value.slice()
      damaged[20]! ^= 1
      await compareCommands(
        both.ours,
        both.theirs,
        [
          ["FUNCTION", "RESTORE", damaged],
          ["FUNCTION", "LIST"],
        ],
        { looser },
      )
    }
  })
})

function randomCommand(random: Random): Command | LooseCommand {
  const library = random.pick(["a", "b", "c", "A"])
  const name = (): string => random.pick(["f1", "f2", "f3", "F1", "g1", "g2", "g3"])
  const draw = random.below(20)
  if (draw < 8) {
    const callbacks = new Map<string, string>()
    for (let i = random.between(1, 3); i > 0; i--) {
      const f = name()
      // Names that differ in case only are one to us within a library as well.
      callbacks.set(
        f.toLowerCase(),
        `redis.register_function('${f}', function() return '${library}${random.below(9)}' end)`,
      )
    }
    const spoiled = random.oneIn(10) ? "\nx = 1" : ""
    const code = `#!lua name=${library}\n${[...callbacks.values()].join("\n")}${spoiled}`
    // Of several functions whose names are taken, either may be told.
    if (callbacks.size > 1) {
      return loosely({ errorCode: true }, ...load(code.replaceAll(/'([fgF]\d)'/g, `'${library}_$1'`), "REPLACE"))
    }
    return random.oneIn(2) ? load(code, "REPLACE") : load(code)
  }
  if (draw < 14) return ["FCALL", random.oneIn(2) ? name() : `${library}_${name()}`, 0]
  if (draw < 17) return ["FUNCTION", "DELETE", library]
  if (draw < 18) return ["FUNCTION", "STATS"]
  return random.oneIn(5) ? ["FUNCTION", "FLUSH"] : ["FUNCTION", "LIST"]
}
