import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"

let server: EmbeddedServer

beforeAll(async () => {
  server = await createServer({ port: 0 })
})
afterAll(() => server[Symbol.asyncDispose]())

const FIELDS =
  "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll " +
  "omem tot-mem events cmd user redir resp lib-name lib-ver"

const text = async (client: Client, ...args: (string | number)[]) => String(await client.plain(...args))
const field = (line: string, name: string) => new RegExp(`(?:^| )${name}=(\\S*)`).exec(line)?.[1]

describe("CLIENT LIST and INFO", () => {
  test("have the fields of 7.4 in their order", async () => {
    await using client = await Client.connect(server.port)
    const line = await text(client, "CLIENT", "INFO")
    expect(
      line
        .trimEnd()
        .split(" ")
        .map(part => part.split("=")[0])
        .join(" "),
    ).toBe(FIELDS)
    expect(line).toEndWith("\n")
    expect(line).toMatch(/^id=\d+ addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ /)
    expect(line).toContain(" sub=0 psub=0 ssub=0 multi=-1 watch=0 qbuf=26 ")
    expect(line).toContain(" cmd=client|info user=default redir=-1 resp=2 ")
  })

  test("choose by id and by type", async () => {
    await using first = await Client.connect(server.port)
    await using second = await Client.connect(server.port)
    const ids = [Number(await first.plain("CLIENT", "ID")), Number(await second.plain("CLIENT", "ID"))]
    const listed = await text(first, "CLIENT", "LIST", "ID", ids[1]!, 999999, ids[0]!)
    expect(
      listed
        .trim()
        .split("\n")
        .map(line => Number(field(line, "id"))),
    ).toEqual([ids[1]!, ids[0]!])
    expect(await text(first, "CLIENT", "LIST", "TYPE", "pubsub")).toBe("")
    expect(await text(first, "CLIENT", "LIST", "TYPE", "normal")).toContain(`id=${ids[0]} `)
  })

  test("show name, library and last command", async () => {
    await using client = await Client.connect(server.port, { resp: 3 })
    await client.plain("CLIENT", "SETNAME", "worker")
    await client.plain("CLIENT", "SETINFO", "LIB-NAME", "lib(x)")
    await client.plain("CLIENT", "SETINFO", "lib-ver", "1.2.3")
    await using other = await Client.connect(server.port)
    const line = await text(other, "CLIENT", "LIST", "ID", Number(await client.plain("CLIENT", "ID")))
    expect(field(line, "name")).toBe("worker")
    expect(field(line, "cmd")).toBe("client|id")
    expect(field(line, "resp")).toBe("3")
    expect(line).toEndWith(" lib-name=lib(x) lib-ver=1.2.3\n")
  })

  test("MAINT_NOTIFICATIONS is an ordinary unknown subcommand", async () => {
    await using client = await Client.connect(server.port)
    const reply = await client.call("CLIENT", "MAINT_NOTIFICATIONS", "ON")
    expect(reply).toMatchObject({ type: "error", value: expect.stringContaining("unknown subcommand") })
    expect(await client.plain("PING")).toBe("PONG")
  })
})

describe("CLIENT KILL", () => {
  test("by address, the old way", async () => {
    await using victim = await Client.connect(server.port)
    await using client = await Client.connect(server.port)
    const address = field(await text(victim, "CLIENT", "INFO"), "addr")!
    expect(await client.plain("CLIENT", "KILL", address)).toBe("OK")
    await victim.closed
    expect(await client.plain("CLIENT", "KILL", address)).toEqual({ error: "ERR No such client" })
  })

  test("filters together, and counts", async () => {
    await using victim = await Client.connect(server.port)
    await using client = await Client.connect(server.port)
    const id = Number(await victim.plain("CLIENT", "ID"))
    expect(await client.plain("CLIENT", "KILL", "ID", id, "TYPE", "pubsub")).toBe(0)
    expect(await client.plain("CLIENT", "KILL", "ID", id, "MAXAGE", 1000)).toBe(0)
    expect(await client.plain("CLIENT", "KILL", "ID", id, "USER", "default", "TYPE", "normal")).toBe(1)
    await victim.closed
  })

  test("one who kills itself still hears of it", async () => {
    await using client = await Client.connect(server.port)
    const id = Number(await client.plain("CLIENT", "ID"))
    expect(await client.plain("CLIENT", "KILL", "ID", id)).toBe(0)
    expect(await client.plain("CLIENT", "KILL", "ID", id, "SKIPME", "no")).toBe(1)
    await client.closed
  })

  test.each([
    [["ID", "0"], "ERR client-id should be greater than 0"],
    [["MAXAGE", "0"], "ERR maxage should be greater than 0"],
    [["MAXAGE", "x"], "ERR value is not an integer or out of range"],
    [["TYPE", "odd"], "ERR Unknown client type 'odd'"],
    [["USER", "nobody"], "ERR No such user 'nobody'"],
    [["ID", "1", "SKIPME"], "ERR syntax error"],
  ])("%p is refused", async (args, error) => {
    await using client = await Client.connect(server.port)
    expect(await client.plain("CLIENT", "KILL", ...args)).toEqual({ error })
  })
})

describe("CLIENT REPLY", () => {
  test("SKIP leaves out one reply, OFF all until ON", async () => {
    await using client = await Client.connect(server.port)
    client.sendCommand("CLIENT", "REPLY", "SKIP")
    client.sendCommand("ECHO", "skipped")
    client.sendCommand("ECHO", "a")
    client.sendCommand("CLIENT", "REPLY", "OFF")
    client.sendCommand("ECHO", "off")
    client.sendCommand("NOSUCH")
    client.sendCommand("CLIENT", "REPLY", "SKIP")
    client.sendCommand("ECHO", "off")
    client.sendCommand("CLIENT", "REPLY", "ON")
    client.sendCommand("CLIENT", "NO-TOUCH", "ON")
    client.sendCommand("CLIENT", "REPLY", "SKIP")
    client.sendCommand("ECHO", "skipped")
    client.sendCommand("ECHO", "b")
    const replies: unknown[] = []
    for (let i = 0; i < 4; i++) replies.push(Buffer.from(await client.readRaw()).toString())
    expect(replies).toEqual(["$1\r\na\r\n", "+OK\r\n", "+OK\r\n", "$1\r\nb\r\n"])
  })
})

test("NO-TOUCH leaves access times alone, TOUCH does not", async () => {
  const { keyspace } = server.server.engine
  await using client = await Client.connect(server.port)
  await client.plain("SET", "touched", "1")
  const db = keyspace.databases[0]!
  const key = Buffer.from("touched")
  const access = () => db.keys.access(db.keys.find(key, 0, key.length))
  const age = () => db.keys.setAccess(db.keys.find(key, 0, key.length), 1)
  age()
  await client.plain("CLIENT", "NO-TOUCH", "ON")
  await client.plain("GET", "touched")
  expect(access()).toBe(1)
  await client.plain("CLIENT", "NO-TOUCH", "OFF")
  await client.plain("GET", "touched")
  expect(access()).not.toBe(1)
  expect(keyspace.touching).toBe(true)
})

test("a client that goes is no longer listed", async () => {
  await using client = await Client.connect(server.port)
  const gone = await Client.connect(server.port)
  const id = Number(await gone.plain("CLIENT", "ID"))
  gone.close()
  await until(async () => (await text(client, "CLIENT", "LIST", "ID", id)) === "", { what: "the client to be gone" })
})
