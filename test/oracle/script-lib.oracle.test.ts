/** cjson, cmsgpack, struct and bit beside those of a real Redis: results, errors, and the order of tables, byte for byte. */
import { expect, test } from "bun:test"
import { latin1 } from "../../src/bytes/compare.ts"
import { LibraryFixture } from "../script/library-fixture.ts"
import type { Client } from "../support/client.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"
import { Random, runSeed } from "../support/random.ts"
import { LibraryCases, SHOW } from "./script-lib-cases.ts"

const count = Number(process.env.BUNDIS_FUZZ ?? 2000)
const SCRIPTS_PER_FLUSH = 500

async function theirAnswer(client: Client, script: string): Promise<string> {
  const reply = await client.call("EVAL", script, "0")
  return reply.type === "bulk" ? latin1(reply.value) : JSON.stringify(reply)
}

test.skipIf(!oracleAvailable)(
  `${count} random calls answer as Redis's`,
  async () => {
    const oracle = await sharedOracle()
    const ours = new LibraryFixture()
    for (let i = 0; i < count; i++) {
      const seed = (runSeed + i) >>> 0
      const script = SHOW + new LibraryCases(new Random(seed)).next()
      const theirs = await theirAnswer(oracle.admin, script)
      if (ours.run(script) !== theirs)
        expect({ seed, script, answer: ours.run(script) }).toEqual({ seed, script, answer: theirs })
      if (i % SCRIPTS_PER_FLUSH === 0) await oracle.admin.call("SCRIPT", "FLUSH")
    }
  },
  60_000 + count,
)

/** `e(f)`: the error of f. */
const CATCH = "local function e(f) return tostring(select(2, pcall(f))) end\n"
const UNBOUND = "local c = cjson.new() c.decode_max_depth(2^31-1) c.encode_max_depth(2^31-1)\n"

const hostile: Record<string, string> = {
  "arrays of JSON nested a million deep": `${UNBOUND} return e(function() return c.decode(('['):rep(1e6)) end)`,
  "objects of JSON nested a million deep": `${UNBOUND} return e(function() return c.decode(('{"a":'):rep(1e6)) end)`,
  "JSON one deeper than allowed": "return e(function() return cjson.decode(('['):rep(1001)) end)",
  "tables nested deep, as arrays": `${UNBOUND} local t = {} for i = 1, 9000 do t = {t} end return e(function() c.encode(t) end)`,
  "tables nested deep, as objects": `${UNBOUND} local t = {} for i = 1, 9000 do t = {a=t} end return e(function() c.encode(t) end)`,
  "a table within itself, as JSON": "local t = {} t[1] = t return e(function() cjson.encode(t) end)",
  "a table within itself, packed": "local t = {} t[1] = t return cmsgpack.pack(t)",
  "arrays packed a million deep": "return e(function() cmsgpack.unpack(('\\145'):rep(1e6)) end)",
  "maps packed a million deep": "return e(function() cmsgpack.unpack(('\\129\\1'):rep(1e6)) end)",
  "a hundred thousand packed values": "return e(function() cmsgpack.unpack(('\\1'):rep(1e5)) end)",
  "an array that promises 2^32 elements": "return e(function() cmsgpack.unpack('\\221\\255\\255\\255\\255\\1') end)",
  "a string that promises 2^32 bytes": "return e(function() cmsgpack.unpack('\\219\\255\\255\\255\\255\\1') end)",
  "too many values to pack":
    "local t = {} for i = 1, 7000 do t[i] = i end return e(function() cmsgpack.pack(unpack(t)) end)",
  "nine thousand fields of a structure": "return e(function() struct.unpack(('b'):rep(9000), ('x'):rep(9000)) end)",
  "sizes beyond an int": "return e(function() struct.pack('c99999999999', 'x') end)",
  "metatables, which are not asked": `local t = setmetatable({1, 2}, {__index = function() return 1 end, __newindex = error})
    return cjson.encode(t) .. cmsgpack.pack(t) .. cjson.encode(setmetatable({}, {__index = t}))`,
}

for (const [name, script] of Object.entries(hostile)) {
  test.skipIf(!oracleAvailable)(name, async () => {
    const oracle = await sharedOracle()
    const source = CATCH + script
    expect(new LibraryFixture().run(source)).toBe(await theirAnswer(oracle.admin, source))
  })
}
