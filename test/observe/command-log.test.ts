import { afterEach, beforeEach, expect, test } from "bun:test"
import { Probe } from "../families/string-probe.ts"
import { Client } from "../support/client.ts"

let probe: Probe
let client: Client
beforeEach(async () => {
  probe = await Probe.start({ "commandlog-request-larger-than": 100, "commandlog-reply-larger-than": 200 })
  client = await Client.connect(probe.server.port)
})
afterEach(async () => {
  client.close()
  await probe[Symbol.asyncDispose]()
})
const log = async (type: string, count = "-1") =>
  (await client.plain("COMMANDLOG", "GET", count, type)) as [number, number, number, string[], string, string][]

test("large requests and replies are noted, each in its log", async () => {
  await client.plain("CLIENT", "SETNAME", "me")
  await client.plain("SET", "k", "v".repeat(300))
  await client.plain("SET", "small", "v")
  await client.plain("GET", "k")
  await client.plain("GET", "k")
  expect(await client.plain("COMMANDLOG", "LEN", "large-request")).toBe(1)
  const [[id, , bytes, args, address, name]] = (await log("LARGE-REQUEST")) as [
    [number, number, number, string[], string, string],
  ]
  expect([id, bytes, name]).toEqual([0, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300\r\n\r\n".length + 300, "me"])
  expect(args[2]).toEndWith("... (172 more bytes)")
  expect(address).toContain(":")
  const replies = (await log("large-reply")).filter(([, , , args]) => args[0] === "GET")
  expect(replies.map(([id, , bytes, args]) => [id, bytes, ...args])).toEqual([
    [1, 308, "GET", "k"],
    [0, 308, "GET", "k"],
  ])
  expect((await log("large-reply", "1")).length).toBe(1)
  await client.plain("COMMANDLOG", "RESET", "large-reply")
  expect(await log("large-reply")).toEqual([])
  expect(await client.plain("COMMANDLOG", "LEN", "large-request")).toBe(1)
})

test("limits can be changed; -1 notes nothing, and a smaller log forgets", async () => {
  await client.plain("CONFIG", "SET", "commandlog-reply-larger-than", "-1")
  await client.plain("SET", "k", "v".repeat(300))
  await client.plain("SET", "k", "v".repeat(300))
  await client.plain("GET", "k")
  expect(await log("large-reply")).toEqual([])
  await client.plain("CONFIG", "SET", "commandlog-large-request-max-len", "1")
  expect((await log("large-request")).map(([id]) => id)).toEqual([1])
})

test("the slow log is SLOWLOG's", async () => {
  await client.plain("CONFIG", "SET", "commandlog-execution-slower-than", "0")
  await client.plain("PING")
  expect(await client.plain("CONFIG", "GET", "slowlog-log-slower-than")).toMatchObject(["slowlog-log-slower-than", "0"])
  expect((await log("slow")).some(([, , , args]) => args[0] === "PING")).toBe(true)
})

test("what is wrong", async () => {
  const bad = async (...command: string[]) => JSON.stringify(await client.call("COMMANDLOG", ...command))
  expect(await bad("GET", "-2", "slow")).toContain("count should be greater than or equal to -1")
  expect(await bad("GET", "1", "fast")).toContain("type should be one of the following")
  expect(await bad("LEN", "fast")).toContain("type should be one of the following")
  expect(await bad("GET", "1")).toContain("wrong number of arguments")
})
