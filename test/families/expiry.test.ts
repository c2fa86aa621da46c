import { expect, test } from "bun:test"
import { Probe, START_MS } from "./string-probe.ts"

test("relative times are propagated as absolute ones, past ones as deletions", async () => {
  await using probe = await Probe.start()
  const inAMinute = START_MS + 60_000
  const cases: [string, string[], string[]][] = [
    ["EXPIRE k 60", [`PEXPIREAT k ${inAMinute}`], ["expire k"]],
    ["expire k 60 nx", [`PEXPIREAT k ${inAMinute} nx`], ["expire k"]],
    ["PEXPIRE k 60000 LT", [`PEXPIREAT k ${inAMinute} LT`], ["expire k"]],
    [`EXPIREAT k ${inAMinute / 1000}`, [`PEXPIREAT k ${inAMinute}`], ["expire k"]],
    [`PEXPIREAT k ${inAMinute}`, [`PEXPIREAT k ${inAMinute}`], ["expire k"]],
    ["EXPIRE k 60 GT", [], []],
    ["EXPIRE k 60 XX", [], []],
    ["EXPIRE k 0", ["DEL k"], ["del k"]],
    ["EXPIRE k -1", ["DEL k"], ["del k"]],
    ["PEXPIREAT k 1", ["DEL k"], ["del k"]],
    ["EXPIRE nope 60", [], []],
    ["EXPIRE k 9223372036854775807", [], []],
    ["PERSIST k", [], []],
    ["PERSIST timed", ["PERSIST timed"], ["persist timed"]],
  ]
  for (const [line, commands, events] of cases) {
    const prepare = async () => {
      await probe.run("SET", "k", "v")
      await probe.run("SET", "timed", "v", "EX", 1000)
    }
    await prepare()
    expect([line, ...(await probe.propagated(line))]).toEqual([line, ...commands])
    await prepare()
    expect([line, ...(await probe.notified(line))]).toEqual([line, ...events])
  }
})

test("with lazyfree-lazy-expire the deletion is an UNLINK", async () => {
  await using probe = await Probe.start({ "lazyfree-lazy-expire": "yes" })
  const set = () => probe.run("SET", "k", "v", "PX", 1000)
  await set()
  expect(await probe.propagated("EXPIRE k 0")).toEqual(["UNLINK k"])
  await set()
  expect(await probe.propagated("GETEX k PXAT 1")).toEqual(["UNLINK k"])
  await set()
  expect(await probe.propagated("GETDEL k")).toEqual(["DEL k"])
  await set()
  probe.clock.advance(1001)
  expect(await probe.propagated("GET k")).toEqual(["UNLINK k"])
})

test("a key lives up to and including its time", async () => {
  await using probe = await Probe.start()
  await probe.run("SET", "k", "v", "PX", 1500)
  expect(await probe.reply("TTL k")).toBe("2")
  expect(await probe.reply("PTTL k")).toBe("1500")
  probe.clock.advance(1001)
  expect(await probe.reply("TTL k")).toBe("0")
  expect(await probe.reply("PTTL k")).toBe("499")
  probe.clock.advance(499)
  expect(await probe.reply("PTTL k")).toBe("0")
  expect(await probe.reply("EXISTS k")).toBe("1")
  probe.clock.advance(1)
  expect(await probe.propagated("TTL k")).toEqual(["DEL k"])
  for (const command of ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"])
    expect(await probe.reply(`${command} k`)).toBe("-2")
  expect(probe.keyspace.events.expiredKeys).toBe(1)
})

test("on a replica, or while loading, past times are noted and nothing is deleted", async () => {
  await using probe = await Probe.start()
  await probe.run("SET", "k", "v")
  probe.keyspace.expiryPaused = true
  probe.keyspace.servesExpired = true
  expect(await probe.propagated("PEXPIREAT k 5")).toEqual(["PEXPIREAT k 5"])
  expect(await probe.reply("PEXPIRETIME k")).toBe("5")
  expect(await probe.reply("PTTL k")).toBe("0")
})
