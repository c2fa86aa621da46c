/** What RDB has no types for survives a file of ours, and does not disturb Redis. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createServer, type EmbeddedServer, ManualClock } from "../../src/index.ts"
import { applyExtra } from "../../src/rdb/extras.ts"
import { decodeRdb, loadOptions, NEED_DATA, RdbInput } from "../../src/rdb/load.ts"
import { encodeSnapshot, freezeDatabases, snapshotDefaults } from "../../src/rdb/snapshot.ts"
import { RdbWriter } from "../../src/rdb/writer.ts"
import { oracleAvailable, startOracle } from "../support/oracle.ts"
import { runSeed } from "../support/random.ts"

const start = 1_800_000_000_000
let clock: ManualClock
let server: EmbeddedServer
let other: EmbeddedServer
beforeEach(async () => {
  clock = new ManualClock(start)
  server = await createServer({ clock })
  other = await createServer({ clock })
})
afterEach(async () => {
  await server.close()
  await other.close()
})
const run = (line: string, on = server) => on.execute(...line.split(" "))

function file(): Uint8Array {
  const { keyspace, config } = server.server.engine
  keyspace.heap.freeze()
  const databases = freezeDatabases(keyspace)
  const writer = new RdbWriter()
  const options = { serverVersion: "7.4.0", usedMemoryBytes: 0, ...snapshotDefaults(keyspace, config) }
  for (const _ of encodeSnapshot(databases, options, writer));
  const bytes = writer.take().slice()
  keyspace.heap.thaw()
  return bytes
}

function load(bytes: Uint8Array): void {
  const { keyspace, config } = other.server.engine
  const input = new RdbInput({ total: bytes.length })
  const steps = decodeRdb(input, keyspace.databases, loadOptions(config))
  let at = 0
  for (let step = steps.next(); !step.done; step = steps.next()) {
    if (step.value !== NEED_DATA) continue
    input.push(bytes, at, Math.min(bytes.length, at + 1000))
    at = Math.min(bytes.length, at + 1000)
    if (at === bytes.length) input.finish()
  }
}

async function same(...lines: string[]): Promise<void> {
  for (const line of lines) expect(await run(line, other), line).toEqual(await run(line))
}

describe("files", () => {
  test("times of members, whatever the form the value comes back in", async () => {
    await run("SADD ints 1 2 3")
    await run("SADD words a b c")
    await run("ZADD z 1 a 2.5 b 3 7")
    await run("SADD plain a")
    const many = Array.from({ length: 3000 }, (_, i) => `member:${i}`)
    await run(`SADD large ${many.join(" ")}`)
    await run("SPEXPIRE ints 1000 MEMBERS 1 2")
    await run("SPEXPIRE words 1000 MEMBERS 2 a c")
    await run("ZPEXPIRE z 1000 MEMBERS 2 b 7")
    await run(`SPEXPIRE large 2000 MEMBERS 2999 ${many.slice(1).join(" ")}`)
    await run("PEXPIRE words 60000")
    load(file())
    await same("SPTTL ints MEMBERS 3 1 2 3", "SPTTL words MEMBERS 3 a b c", "ZPTTL z MEMBERS 3 a b 7", "PTTL words")
    await same("STTL plain MEMBERS 1 a", "SCARD large", "SPTTL large MEMBERS 2 member:0 member:2999")
    await same("ZRANGE z 0 -1 WITHSCORES")
    expect(await run("OBJECT ENCODING plain", other)).toBe("listpack")
    clock.advance(1001)
    await same("ZRANGE z 0 -1", "SMEMBERS ints", "SCARD words", "SCARD large")
    clock.advance(2001)
    await same("SCARD large")
    expect(await run("SCARD large", other)).toBe(1)
  })

  test("names of messages", async () => {
    for (let i = 0; i < 300; i++) await run(`XADD s IDMP producer${i % 3} message${i} * f v`)
    await run("XADD s IDMP producer1 message298 * f v")
    await run("XADD t * f v")
    await run("XCFGSET t IDMP-DURATION 7 IDMP-MAXSIZE 9")
    load(file())
    await same("XINFO STREAM s", "XINFO STREAM t", "XADD s IDMP producer1 message298 * f v")
  })

  test("messages given back, and a consumer that has no name", async () => {
    for (const key of ["s", "t"]) {
      for (let i = 1; i <= 4; i++) await run(`XADD ${key} ${i}-0 f v`)
      await run(`XGROUP CREATE ${key} g 0`)
    }
    await run("XREADGROUP GROUP g a COUNT 3 STREAMS s >")
    await run("XREADGROUP GROUP g  COUNT 3 STREAMS t >")
    await run("XNACK s g FAIL IDS 2 3-0 1-0")
    await run("XNACK t g FATAL IDS 1 2-0")
    load(file())
    for (const key of ["s", "t"]) {
      await same(`XPENDING ${key} g`, `XPENDING ${key} g - + 9`, `XINFO CONSUMERS ${key} g`, `XINFO STREAM ${key} FULL`)
    }
    const read = (await run("XREADGROUP GROUP g b CLAIM 5 STREAMS s >", other)) as Map<string, unknown[][]>
    expect(read.get("s")!.map(([id]) => id)).toEqual(["3-0", "1-0", "4-0"])
  })

  test("malformed fields are refused, and never more than that", async () => {
    await run("SADD s a b")
    await run("XADD x 1-1 f v")
    const { databases } = server.server.engine.keyspace
    const bytes = new Uint8Array(64)
    const seed = runSeed
    let state = seed
    for (let i = 0; i < 1500; i++) {
      for (let j = 0; j < bytes.length; j++) {
        state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
        bytes[j] = state % 5 === 0 ? state >>> 8 : 0
      }
      for (const key of ["s", "x", "none"]) {
        const name = ["bundis-member-times", "bundis-message-names", "bundis-released", "bundis-more"][i % 4]!
        const text = new TextEncoder().encode(key)
        expect(applyExtra(name, bytes, 0, i % 65, databases[0]!, text, text.length), `seed ${seed}`).toBeBoolean()
      }
    }
    expect(await run("SCARD s")).toBe(2)
  })

  test.skipIf(!oracleAvailable)("Redis passes over them", async () => {
    await run("SADD s a b")
    await run("SPEXPIRE s 100000 MEMBERS 1 a")
    await run("XADD x IDMP p m * f v")
    await run("XGROUP CREATE x g 0")
    await run("XREADGROUP GROUP g a STREAMS x >")
    await run(`XNACK x g FAIL IDS 1 ${start}-0`)
    await run("SET after 1")
    const dir = mkdtempSync(join(tmpdir(), "bundis-rdb-"))
    try {
      writeFileSync(join(dir, "dump.rdb"), file())
      await using oracle = await startOracle({ dir, args: ["--dbfilename", "dump.rdb"] })
      expect(await oracle.admin.plain("SCARD", "s")).toBe(2)
      expect(await oracle.admin.plain("GET", "after")).toBe("1")
      expect(await oracle.admin.plain("XPENDING", "x", "g")).toEqual([1, `${start}-0`, `${start}-0`, [["", "1"]]])
      expect(await oracle.admin.plain("XCLAIM", "x", "g", "b", "0", `${start}-0`, "JUSTID")).toEqual([`${start}-0`])
    } finally {
      rmSync(dir, { recursive: true })
    }
  })
})
