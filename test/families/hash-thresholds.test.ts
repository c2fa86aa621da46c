/** Small hashes when the thresholds of the packed form are lowered under them, and when they are restored. */
import { afterEach, beforeEach, expect, test } from "bun:test"
import { createServer, type EmbeddedServer, ManualClock } from "../../src/index.ts"
import { Client } from "../support/client.ts"

const start = 1_800_000_000_000
let server: EmbeddedServer
let client: Client
beforeEach(async () => {
  server = await createServer({ clock: new ManualClock(start) })
  client = await Client.connect(server.port)
})
afterEach(async () => {
  client.close()
  await server.close()
})
const run = (line: string): Promise<unknown> => client.plain(...(line.split(" ") as [string]))

for (const expiring of [false, true]) {
  const packed = expiring ? "listpackex" : "listpack"
  const make = async () => {
    await run("HSET h a 1 bbbbbbbb 2 c 3")
    if (expiring) await run("HPEXPIRE h 5000 FIELDS 2 a bbbbbbbb")
    expect(await run("OBJECT ENCODING h")).toBe(packed)
  }

  test(`${packed}: a field that is there already is set in a hash that has become too long`, async () => {
    for (const command of ["HSET h a 7", "HINCRBY h a 6", "HINCRBYFLOAT h a 6"]) {
      await run("CONFIG SET hash-max-listpack-entries 128")
      await run("DEL h")
      await make()
      await run("CONFIG SET hash-max-listpack-entries 2")
      await run(command)
      expect(await run("OBJECT ENCODING h")).toBe("hashtable")
      expect(await run("HMGET h a bbbbbbbb c")).toEqual(["7", "2", "3"])
      const kept = expiring && !command.startsWith("HSET") ? 5000 : -1
      expect(await run("HPTTL h FIELDS 3 a bbbbbbbb c")).toEqual([kept, expiring ? 5000 : -1, -1])
    }
  })

  test(`${packed}: HINCRBY of a field, or to a value, that has become too long`, async () => {
    for (const [command, value] of [
      ["HINCRBY h bbbbbbbb 5", "7"],
      ["HINCRBY h a 99999", "100000"],
    ] as const) {
      await run("CONFIG SET hash-max-listpack-value 64")
      await run("DEL h")
      await make()
      await run("CONFIG SET hash-max-listpack-value 5")
      expect(await run("HINCRBY h a 0")).toBe(1)
      expect(await run("OBJECT ENCODING h")).toBe(packed)
      await run(command)
      expect(await run("OBJECT ENCODING h")).toBe("hashtable")
      expect(await run(`HGET h ${command.split(" ")[2]}`)).toBe(value)
    }
  })
}

test("a restored table that fits the packed form is as if its fields had been given their times one by one", async () => {
  await run("CONFIG SET hash-max-listpack-entries 0")
  await run("HSET h a 1 b 2 c 3 d 4 e 5 f 6")
  await run("HPEXPIRE h 5000 FIELDS 4 a b c d")
  await run("HPEXPIRE h 4000 FIELDS 1 c")
  const order = ((await run("HKEYS h")) as string[]).join("")
  const payload = await client.call("DUMP", "h")
  await run("CONFIG SET hash-max-listpack-entries 128")
  await client.call("RESTORE", "small", "0", payload.type === "bulk" ? payload.value : "")
  expect(await run("OBJECT ENCODING small")).toBe("listpackex")
  const pick = (letters: string) => [...order].filter(letter => letters.includes(letter))
  expect(await run("HKEYS small")).toEqual(["c", ...pick("abd").reverse(), ...pick("ef")])
})
