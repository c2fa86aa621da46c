import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"

let server: EmbeddedServer

beforeAll(async () => {
  server = await createServer({ port: 0 })
})
afterAll(() => server[Symbol.asyncDispose]())

const wire = async (client: Client, ...args: (string | number)[]) =>
  Buffer.from(await client.raw(...args)).toString("latin1")

describe("HELLO", () => {
  test("without arguments stays with the protocol", async () => {
    await using client = await Client.connect(server.port)
    const id = await client.plain("CLIENT", "ID")
    expect(await wire(client, "HELLO")).toBe(
      "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.2\r\n$5\r\nproto\r\n:2\r\n" +
        `$2\r\nid\r\n:${id}\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n`,
    )
  })

  test("3 answers with a map already, and names the client", async () => {
    await using client = await Client.connect(server.port)
    expect(await wire(client, "HELLO", 3, "SETNAME", "me")).toStartWith("%7\r\n$6\r\nserver\r\n")
    expect(await client.plain("CLIENT", "GETNAME")).toBe("me")
    expect(await wire(client, "CONFIG", "GET", "nosuch")).toBe("%0\r\n")
    expect(await wire(client, "HELLO", 2)).toStartWith("*14\r\n")
  })

  test.each([
    [["4"], "-NOPROTO unsupported protocol version\r\n"],
    [["1"], "-NOPROTO unsupported protocol version\r\n"],
    [["abc"], "-ERR Protocol version is not an integer or out of range\r\n"],
    [["3", "WHAT"], "-ERR Syntax error in HELLO option 'WHAT'\r\n"],
    [["3", "AUTH", "default"], "-ERR Syntax error in HELLO option 'AUTH'\r\n"],
    [["3", "SETNAME", "a b"], "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"],
    [["3", "AUTH", "nobody", "x"], "-WRONGPASS invalid username-password pair or user is disabled.\r\n"],
  ])("HELLO %p is refused and changes nothing", async (args, reply) => {
    await using client = await Client.connect(server.port)
    expect(await wire(client, "HELLO", ...args)).toBe(reply)
    expect(await wire(client, "CLIENT", "GETNAME")).toBe("$-1\r\n")
  })

  test("version-override is what clients get to see", async () => {
    await using own = await createServer({ port: 0, config: { "version-override": "6.2.9" } })
    await using client = await Client.connect(own.port)
    const hello = (await client.plain("HELLO", 3)) as Map<string, unknown>
    expect(hello.get("version")).toBe("6.2.9")
    expect(await client.plain("INFO", "server")).toContain("redis_version:6.2.9\r\n")
  })
})

describe("passwords", () => {
  test("with requirepass nothing works before AUTH", async () => {
    await using own = await createServer({ port: 0, config: { requirepass: "sésame" } })
    await using client = await Client.connect(own.port)
    expect(await wire(client, "GET", "k")).toBe("-NOAUTH Authentication required.\r\n")
    expect(await wire(client, "HELLO", 3)).toStartWith("-NOAUTH HELLO must be called with the client already")
    expect(await wire(client, "AUTH", "wrong")).toStartWith("-WRONGPASS ")
    expect(await wire(client, "AUTH", "default", "wrong")).toStartWith("-WRONGPASS ")
    expect(await wire(client, "AUTH", "sésame")).toBe("+OK\r\n")
    expect(await wire(client, "GET", "k")).toBe("$-1\r\n")
    expect(await wire(client, "RESET")).toBe("+RESET\r\n")
    expect(await wire(client, "GET", "k")).toBe("-NOAUTH Authentication required.\r\n")
    expect(await wire(client, "HELLO", 3, "AUTH", "default", "sésame")).toStartWith("%7\r\n")
    expect(await wire(client, "GET", "k")).toBe("_\r\n")
  })

  test("a password set later counts for new connections", async () => {
    await using own = await createServer({ port: 0 })
    await using before = await Client.connect(own.port)
    expect(await wire(before, "CONFIG", "SET", "requirepass", "x")).toBe("+OK\r\n")
    expect(await wire(before, "PING")).toBe("+PONG\r\n")
    await using after = await Client.connect(own.port)
    expect(await wire(after, "PING")).toBe("-NOAUTH Authentication required.\r\n")
  })

  test("a password where none is needed is a mistake worth a word", async () => {
    await using client = await Client.connect(server.port)
    expect(await wire(client, "AUTH", "x")).toStartWith("-ERR AUTH <password> called without any password configured")
    expect(await wire(client, "AUTH", "default", "x")).toBe("+OK\r\n")
  })
})

describe("the end of a connection", () => {
  test("QUIT answers, then closes", async () => {
    await using client = await Client.connect(server.port)
    expect(await wire(client, "QUIT")).toBe("+OK\r\n")
    await client.closed
  })

  test("what came after QUIT is not run", async () => {
    await using client = await Client.connect(server.port)
    client.sendCommand("QUIT")
    client.sendCommand("SET", "after-quit", "1")
    await client.closed
    await using other = await Client.connect(server.port)
    expect(await other.plain("GET", "after-quit")).toBeNull()
  })

  test("RESET takes back protocol, name and database", async () => {
    await using client = await Client.connect(server.port, { resp: 3 })
    await client.plain("SELECT", 3)
    await client.plain("CLIENT", "SETNAME", "n")
    await client.plain("CLIENT", "NO-TOUCH", "ON")
    expect(await wire(client, "RESET")).toBe("+RESET\r\n")
    expect(await client.plain("CLIENT", "INFO")).toMatch(/ name= .* flags=N db=0 .* resp=2 /)
  })
})
