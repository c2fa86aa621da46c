import { afterEach, beforeEach, expect, test } from "bun:test"
import { Probe } from "../families/string-probe.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"

let probe: Probe
let one: Client
let two: Client
beforeEach(async () => {
  probe = await Probe.start()
  one = await Client.connect(probe.server.port)
  two = await Client.connect(probe.server.port)
  await one.plain("CLIENT", "SETNAME", "one")
  await two.plain("CLIENT", "SETNAME", "two")
  await two.plain("SELECT", "3")
  await two.plain("CLIENT", "SETINFO", "LIB-NAME", "lib")
  await two.plain("CLIENT", "SETINFO", "LIB-VER", "1.2")
})
afterEach(async () => {
  one.close()
  two.close()
  await probe[Symbol.asyncDispose]()
})

/** Names of the clients that are listed. */
const listed = async (filter: string) =>
  [...String(await one.plain("CLIENT", "LIST", ...filter.split(" "))).matchAll(/ name=(\w*) /g)]
    .map(([, name]) => name)
    .filter(name => name !== "")
    .join(" ")
const error = async (line: string) => JSON.stringify(await one.call("CLIENT", ...line.split(" ")))

test("CLIENT LIST by what clients are, and are not", async () => {
  expect(await listed("TYPE normal")).toBe("one two")
  expect(await listed("NOT-TYPE pubsub")).toBe("one two")
  expect(await listed("NAME two")).toBe("two")
  expect(await listed("NOT-NAME two")).toBe("one")
  expect(await listed("DB 3")).toBe("two")
  expect(await listed("NOT-DB 3")).toBe("one")
  expect(await listed("LIB-NAME lib LIB-VER 1.2")).toBe("two")
  expect(await listed("NOT-LIB-NAME lib")).toBe("one")
  expect(await listed("NOT-LIB-VER 1.2 NAME two")).toBe("")
  expect(await listed("IP 127.0.0.1")).toBe("one two")
  expect(await listed("NOT-IP 127.0.0.1")).toBe("")
  expect(await listed("CAPA redirect")).toBe("")
  expect(await listed("NOT-CAPA redirect")).toBe("one two")
  expect(await listed("USER default SKIPME yes")).toBe("two")
  expect(await listed("FLAGS N")).toBe("one two")
  await two.plain("CLIENT", "NO-TOUCH", "ON")
  expect(await listed("FLAGS T")).toBe("two")
  expect(await listed("NOT-FLAGS T")).toBe("one")
  probe.clock.advance(5000)
  await one.plain("PING")
  expect(await listed("IDLE 5")).toBe("two")
  expect(await listed("MAXAGE 5")).toBe("one two")
  expect(await listed("MAXAGE 6")).toBe("")
  const id = await two.plain("CLIENT", "ID")
  const own = await one.plain("CLIENT", "ID")
  expect(await listed(`ID ${id} ${own} 99999`)).toBe("two one")
  expect(await listed(`ID ${id} ${own} NAME one`)).toBe("one")
  expect(await listed(`NOT-ID ${id} 77`)).toBe("one")
})

test("CLIENT KILL takes the same", async () => {
  expect(await one.plain("CLIENT", "KILL", "NAME", "two", "NOT-DB", "3")).toBe(0)
  expect(await one.plain("CLIENT", "KILL", "NAME", "two", "DB", "3")).toBe(1)
  await until(async () => (await listed("TYPE normal")) === "one")
  expect(await one.plain("CLIENT", "KILL", "NAME", "one")).toBe(0)
})

test("what is wrong", async () => {
  expect(await error("LIST NAME")).toContain("syntax error")
  expect(await error("LIST WHAT 1")).toContain("syntax error")
  expect(await error("LIST TYPE bad")).toContain("Unknown client type 'bad'")
  expect(await error("LIST ID x")).toContain("Invalid client ID")
  expect(await error("LIST ID 1 x")).toContain("Invalid client ID")
  expect(await error("LIST FLAGS Z")).toContain("Unknown flags found in the provided filter: Z")
  expect(await error("LIST DB 99")).toContain("DB index is out of range")
  expect(await error("LIST DB x")).toContain("not an integer")
  expect(await error("LIST IDLE 0")).toContain("idle should be greater than 0")
  expect(await error("LIST SKIPME maybe")).toContain("syntax error")
  expect(await error("LIST USER nobody")).toContain("No such user")
  expect(await error("KILL ID 10 wrong")).toContain("syntax error")
  expect(await error("KILL ID str TYPE normal")).toContain("client-id should be greater than 0")
  expect(await error("KILL ID 0 TYPE normal")).toContain("client-id should be greater than 0")
})
