import { afterEach, beforeEach, expect, test } from "bun:test"
import { Probe, START_MS } from "./string-probe.ts"

let probe: Probe
beforeEach(async () => {
  probe = await Probe.start()
})
afterEach(() => probe[Symbol.asyncDispose]())
const reply = (line: string) => probe.reply(line)

test("SADDEX adds members with a time, keeps it, or takes it away", async () => {
  expect(await reply("SADDEX s EX 10 MEMBERS 2 a b")).toBe("1")
  expect(await reply("STTL s MEMBERS 2 a b")).toBe("[10,10]")
  expect(await reply("SADDEX s KEEPTTL MEMBERS 2 a c")).toBe("1")
  expect(await reply("STTL s MEMBERS 3 a b c")).toBe("[10,10,-1]")
  expect(await reply("SADDEX s MEMBERS 2 a d")).toBe("1")
  expect(await reply("STTL s MEMBERS 4 a b c d")).toBe("[-1,10,-1,-1]")
  expect(await reply(`SADDEX s MEMBERS 1 a PXAT ${START_MS + 500}`)).toBe("1")
  expect(await reply("SPTTL s MEMBERS 1 a")).toBe("[500]")
  expect(await reply("SADDEX plain MEMBERS 2 1 2")).toBe("1")
  expect(await reply("OBJECT ENCODING plain")).toBe('"intset"')
  expect(await reply("SADDEX plain PX 5 MEMBERS 1 3")).toBe("1")
  probe.clock.advance(10)
  expect(await reply("SCARD plain")).toBe("2")
})

test("conditions are about all members", async () => {
  expect(await reply("SADDEX s MXX MEMBERS 1 a")).toBe("0")
  expect(await reply("SADDEX s MNX MEMBERS 2 a b")).toBe("1")
  expect(await reply("SADDEX s MNX EX 10 MEMBERS 2 a c")).toBe("0")
  expect(await reply("SADDEX s MXX EX 10 MEMBERS 2 a c")).toBe("0")
  expect(await reply("SADDEX s MXX EX 10 MEMBERS 2 a b")).toBe("1")
  expect(await reply("STTL s MEMBERS 3 a b c")).toBe("[10,10,-2]")
})

test("a time that is over removes, and adds nothing", async () => {
  await reply("SADD s a b")
  expect(await probe.propagated("SADDEX s PXAT 1 MEMBERS 2 a c")).toEqual(["SREM s a"])
  expect(await reply("SMEMBERS s")).not.toContain("a")
  expect(await probe.notified("SADDEX s EX 0 MEMBERS 1 b")).toEqual(["srem s", "del s"])
  expect(await reply("SADDEX s EX 0 MEMBERS 1 b")).toBe("1")
  expect(await reply("EXISTS s")).toBe("0")
})

test("goes on as what older servers know, as far as they do", async () => {
  expect(await probe.propagated("SADDEX s EX 10 MEMBERS 2 a b")).toEqual([
    "MULTI",
    "SADD s a b",
    `SPEXPIREAT s ${START_MS + 10_000} MEMBERS 2 a b`,
    "EXEC",
  ])
  expect(await probe.propagated("SADDEX s MEMBERS 2 a c")).toEqual([
    "MULTI",
    "SADD s a c",
    "SPERSIST s MEMBERS 1 a",
    "EXEC",
  ])
  expect(await probe.propagated("SADDEX s KEEPTTL MEMBERS 1 b")).toEqual(["SADD s b"])
  expect(await probe.notified("SADDEX s EX 10 MEMBERS 1 d")).toEqual(["sadd s", "sexpire s"])
})

test("what is wrong", async () => {
  const bad = async (line: string, message: string) => expect(await reply(line)).toContain(message)
  await bad("SADDEX s EX 1 PX 1 MEMBERS 1 a", "Only one of EX, PX, EXAT, PXAT or KEEPTTL")
  await bad("SADDEX s MNX MXX MEMBERS 1 a", "Only one of MXX or MNX")
  await bad("SADDEX s MEMBERS 0 a", "invalid number of members")
  await bad("SADDEX s MEMBERS 2 a", "wrong number of arguments")
  await bad("SADDEX s EX 5 MNX EX", "Only one of EX")
  await bad("SADDEX s EX -1 MEMBERS 1 a", "invalid expire time")
  await bad("SADDEX s what MEMBERS 1 a", "unknown argument: what")
  await bad("SADDEX s EX 10 KEEPTTL a", "Only one of EX")
  await reply("SET str 1")
  await bad("SADDEX str MEMBERS 1 a", "WRONGTYPE")
})
