import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"

type Entry = [id: number, time: number, micros: number, args: string[], address: string, name: string]

let server: EmbeddedServer
let client: Client

beforeAll(async () => {
  server = await createServer({ port: 0, config: { "enable-debug-command": "yes" } })
  client = await Client.connect(server.port)
})
afterAll(async () => {
  client.close()
  await server[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await client.plain("CONFIG", "SET", "slowlog-log-slower-than", "10000", "slowlog-max-len", "128")
  await client.plain("SLOWLOG", "RESET")
})

const entries = async (...args: (string | number)[]) => (await client.plain("SLOWLOG", "GET", ...args)) as Entry[]

describe("SLOWLOG", () => {
  test("has what took longer than the threshold", async () => {
    await client.plain("CLIENT", "SETNAME", "me")
    await client.plain("PING")
    await client.plain("DEBUG", "SLEEP", "0.02")
    expect(await client.plain("SLOWLOG", "LEN")).toBe(1)
    const [entry] = await entries()
    expect(entry!.slice(3)).toEqual([["DEBUG", "SLEEP", "0.02"], expect.stringMatching(/^127.0.0.1:\d+$/), "me"])
    expect(entry![2]).toBeGreaterThanOrEqual(20_000)
    expect(entry![2]).toBeLessThan(10_000_000)
  })

  test("with threshold 0 has everything, newest first, up to its length", async () => {
    await client.plain("CONFIG", "SET", "slowlog-log-slower-than", "0")
    for (let i = 0; i < 20; i++) await client.plain("GET", `k${i}`)
    expect((await entries(3)).map(entry => entry[3])).toEqual([
      ["GET", "k19"],
      ["GET", "k18"],
      ["GET", "k17"],
    ])
    expect((await entries()).length).toBe(10)
    expect((await entries(-1)).length).toBeGreaterThan(20)
    await client.plain("CONFIG", "SET", "slowlog-max-len", "5")
    expect(await client.plain("SLOWLOG", "LEN")).toBe(5)
    const ids = (await entries()).map(entry => entry[0])
    expect(ids).toEqual([...ids].sort((a, b) => b - a))
  })

  test("trims long arguments and long lists of them", async () => {
    await client.plain("CONFIG", "SET", "slowlog-log-slower-than", "0")
    await client.plain("ECHO", "x".repeat(200))
    expect((await entries(1))[0]![3]).toEqual(["ECHO", `${"x".repeat(128)}... (72 more bytes)`])
    await client.plain("EXISTS", ...Array.from({ length: 40 }, (_, i) => i))
    const shown = (await entries(1))[0]![3]
    expect(shown.length).toBe(32)
    expect(shown.at(-1)).toBe("... (10 more arguments)")
  })

  test("keeps secrets, and nothing at all when told so", async () => {
    await client.plain("CONFIG", "SET", "slowlog-log-slower-than", "0")
    await client.plain("CONFIG", "SET", "tls-key-file-pass", "secret", "hz", "11")
    await client.plain("AUTH", "default", "secret")
    await client.plain("HELLO", "2", "AUTH", "default", "secret", "SETNAME", "n")
    expect((await entries(3)).map(entry => entry[3])).toEqual([
      ["HELLO", "2", "AUTH", "(redacted)", "(redacted)", "SETNAME", "n"],
      ["AUTH", "(redacted)", "(redacted)"],
      ["CONFIG", "SET", "tls-key-file-pass", "(redacted)", "hz", "11"],
    ])
    await client.plain("CONFIG", "SET", "slowlog-log-slower-than", "-1")
    await client.plain("SLOWLOG", "RESET")
    await client.plain("DEBUG", "SLEEP", "0.01")
    expect(await client.plain("SLOWLOG", "LEN")).toBe(0)
  })
})
