import { expect, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { quoted } from "../../src/observe/monitor.ts"
import { Client } from "../support/client.ts"

const line = async (client: Client) => Buffer.from(await client.readRaw()).toString("latin1")

test("MONITOR shows what others run, without secrets and without administration", async () => {
  await using server = await createServer({ port: 0 })
  await using monitor = await Client.connect(server.port)
  await using client = await Client.connect(server.port)
  expect(await monitor.plain("MONITOR")).toBe("OK")
  await client.plain("SELECT", 3)
  await client.plain("SET", "k", Buffer.from('a"\\\r\n\t\x00\xff', "latin1"))
  await client.plain("CONFIG", "GET", "port")
  await client.plain("AUTH", "default", "secret")
  await client.plain("GET", "k")
  const address = /addr=(\S+)/.exec(String(await client.plain("CLIENT", "INFO")))![1]!
  const shown = []
  for (let i = 0; i < 5; i++) shown.push(await line(monitor))
  expect(shown.map(each => each.replace(/^\+\d{10}\.\d{6} /, ""))).toEqual([
    `[3 ${address}] "SELECT" "3"\r\n`,
    `[3 ${address}] "SET" "k" "a\\"\\\\\\r\\n\\t\\x00\\xff"\r\n`,
    `[3 ${address}] "AUTH" "(redacted)" "(redacted)"\r\n`,
    `[3 ${address}] "GET" "k"\r\n`,
    `[3 ${address}] "CLIENT" "INFO"\r\n`,
  ])
})

test("the last monitor's end, or its RESET, ends the feed", async () => {
  await using server = await createServer({ port: 0 })
  const { monitors } = server.server.observer
  const { engine } = server.server
  await using monitor = await Client.connect(server.port)
  await monitor.plain("MONITOR")
  expect([monitors.size, engine.conditions !== 0, engine.caller.timesAll]).toEqual([1, true, true])
  await monitor.plain("RESET")
  expect([monitors.size, engine.conditions !== 0, engine.caller.timesAll]).toEqual([0, false, false])
  await monitor.plain("MONITOR")
  const info = await monitor.plain("CLIENT", "INFO")
  expect(String(info)).toContain(" flags=O ")
  await monitor.plain("QUIT")
  await monitor.closed
  expect(monitors.size).toBe(0)
})

test("bytes are quoted so that nothing is ambiguous", () => {
  expect(quoted("plain")).toBe('"plain"')
  expect(quoted('\\"\x07\b\x7f\xe9')).toBe('"\\\\\\"\\a\\b\\x7f\\xe9"')
})
