import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"

let server: EmbeddedServer
let client: Client

beforeAll(async () => {
  server = await createServer({ port: 0 })
  client = await Client.connect(server.port, { resp: 3 })
})
afterAll(async () => {
  client.close()
  await server[Symbol.asyncDispose]()
})

type Rows = [string, number, Set<string>, number, number, number, Set<string>, Set<string>, Set<unknown>, unknown][]

describe("COMMAND", () => {
  test("its forms agree about which commands there are", async () => {
    const rows = (await client.plain("COMMAND")) as Rows
    const names = rows.map(row => row[0]).sort()
    expect(await client.plain("COMMAND", "COUNT")).toBe(names.length)
    expect(((await client.plain("COMMAND", "INFO")) as Rows).length).toBe(names.length)
    const list = (await client.plain("COMMAND", "LIST")) as string[]
    expect(list.filter(name => !name.includes("|")).sort()).toEqual(names)
    expect([...((await client.plain("COMMAND", "DOCS")) as Map<string, unknown>).keys()].sort()).toEqual(names)
  })

  test("every command is described by summary, group and version", async () => {
    const docs = (await client.plain("COMMAND", "DOCS")) as Map<string, Map<string, string>>
    for (const [name, facts] of docs) {
      expect([name, facts.get("summary")]).toEqual([name, expect.stringMatching(/^[A-Z].*\.$/)])
      expect([name, facts.get("since")]).toEqual([name, expect.stringMatching(/^\d+\.\d+\.\d+$/)])
    }
  })

  test("INFO of a subcommand, and null for a stranger", async () => {
    const rows = (await client.plain("COMMAND", "INFO", "config|get", "nosuch", "GET")) as Rows
    expect(rows[0]![0]).toBe("config|get")
    expect(rows[1]).toBeNull()
    expect(rows[2]!.slice(0, 6)).toEqual(["get", 2, new Set(["readonly", "fast"]), 1, 1, 1])
  })

  test("LIST filters", async () => {
    expect(await client.plain("COMMAND", "LIST", "FILTERBY", "PATTERN", "CONFIG|RE*")).toEqual([
      "config|resetstat",
      "config|rewrite",
    ])
    expect(await client.plain("COMMAND", "LIST", "FILTERBY", "ACLCAT", "nosuch")).toEqual([])
    expect(await client.plain("COMMAND", "LIST", "FILTERBY", "MODULE", "x")).toEqual([])
    expect(await client.plain("COMMAND", "LIST", "FILTERBY", "ACLCAT", "connection")).toContain("ping")
  })

  test("GETKEYS", async () => {
    expect(await client.plain("COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2")).toEqual(["a", "b"])
    expect(await client.plain("COMMAND", "GETKEYSANDFLAGS", "SET", "k", "v")).toEqual([
      ["k", new Set(["OW", "update"])],
    ] as never)
    expect(await client.plain("COMMAND", "GETKEYS", "MEMORY", "USAGE", "m")).toEqual(["m"])
    expect(await client.plain("COMMAND", "GETKEYS", "NOSUCH", "a")).toEqual({ error: "ERR Invalid command specified" })
    expect(await client.plain("COMMAND", "GETKEYS", "GET", "a", "b")).toEqual({
      error: "ERR Invalid number of arguments specified for command",
    })
  })

  test("HELP of every container names its subcommands", async () => {
    for (const command of server.server.engine.registry.commands.filter(each => each.isContainer)) {
      if (!command.subcommands.some(sub => sub.spec.name === "help")) continue
      const lines = (await client.plain(command.fullName, "HELP")) as string[]
      const named = lines.filter(line => !line.startsWith(" ")).map(line => line.split(" ")[0]!)
      expect(named.slice(1)).toEqual(
        expect.arrayContaining(command.subcommands.map(sub => sub.spec.name.toUpperCase())),
      )
    }
  })
})
