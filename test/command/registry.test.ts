import { describe, expect, test } from "bun:test"
import { describeDocs, describeInfo, type ReplyData } from "../../src/command/describe.ts"
import {
  ACL_CATEGORIES,
  aclCategoryBit,
  aclCategoryNames,
  CommandRegistry,
  Flag,
  visibleFlagNames,
} from "../../src/command/registry.ts"
import type { CommandSpec } from "../../src/command/spec.ts"

const run = () => {}

function spec(name: string, more: Partial<CommandSpec> = {}): CommandSpec {
  const facts = { since: "1.0.0", group: "string", arity: 2, flags: "", syntax: "", summary: "S.", complexity: "O(1)" }
  return { ...(facts as Omit<CommandSpec, "name">), name, run, ...more }
}

const get = spec("get", { flags: "readonly fast", keys: "RO access @1", syntax: "key" })
const client = spec("client", {
  group: "connection",
  arity: -2,
  categories: "-connection",
  run: undefined,
  subcommands: [
    spec("setname", { group: "connection", arity: 3, flags: "noscript loading stale", syntax: "connection-name" }),
    spec("no-evict", { group: "connection", arity: 3, flags: "admin", syntax: "enabled=ON|OFF" }),
  ],
})

/** The name is placed between other bytes, as it is in a chunk of input. */
function lookup(registry: CommandRegistry, name: string) {
  const bytes = new TextEncoder().encode(`$3\r\n${name}\r\nrest`)
  return registry.lookup(bytes, 4, bytes.length - 6)
}

test("commands that always take the same short time are cheap", () => {
  const cheap = (more: Partial<CommandSpec>) => new CommandRegistry([[spec("x", more)]]).all[0]!.isCheap
  expect(cheap({ complexity: "O(N)", flags: "fast" })).toBe(true)
  expect(cheap({})).toBe(true)
  expect(cheap({ flags: "admin" })).toBe(false)
  expect(cheap({ group: "server" })).toBe(false)
  expect(cheap({ complexity: "O(1) per call, O(N) for a whole walk" })).toBe(false)
})

describe("lookup", () => {
  const registry = new CommandRegistry([[get, spec("getset")], [client]])

  test("finds names in any case and nothing else", () => {
    for (const name of ["get", "GET", "gEt"]) expect(lookup(registry, name)?.fullName).toBe("get")
    for (const name of ["", "ge", "gets", "getset2", "get ", "g\x05t", "\x07et", "x".repeat(300)]) {
      expect(lookup(registry, name)).toBeUndefined()
    }
  })

  test("finds subcommands", () => {
    const bytes = new TextEncoder().encode("NO-Evict")
    const container = lookup(registry, "CLIENT")!
    expect(container.isContainer).toBe(true)
    expect(container.lookupSubcommand(bytes, 0, bytes.length)?.fullName).toBe("client|no-evict")
    // "\r" differs from "-" in the bit that folds case.
    bytes[2] = 13
    expect(container.lookupSubcommand(bytes, 0, bytes.length)).toBeUndefined()
    expect(lookup(registry, "get")!.lookupSubcommand(bytes, 0, bytes.length)).toBeUndefined()
  })

  test("a name is found by letters of either case only, whatever else its bytes fold to", () => {
    const names = ["get", "geoadd", "geopos", "sort_ro", "bitfield_ro", "h1", "zrangestore", "zrangestorm"]
    const table = new CommandRegistry([names.map(name => spec(name))])
    const bytesOf = (text: string) => Uint8Array.from(text, letter => letter.charCodeAt(0))
    for (const name of names) {
      const bytes = bytesOf(name)
      for (let at = 0; at < bytes.length; at++) {
        for (let byte = 0; byte < 256; byte++) {
          const changed = bytes.slice()
          changed[at] = byte
          const same = String.fromCharCode(byte).toLowerCase() === name[at] && byte < 128
          const other = names.find(each => each !== name && each === String.fromCharCode(...changed).toLowerCase())
          expect(table.lookup(changed, 0, changed.length)?.fullName).toBe(same ? name : other)
        }
      }
      for (const longer of [`${name}\0`, `${name} `, `x${name}`]) {
        expect(table.lookup(bytesOf(longer), 0, longer.length)).toBeUndefined()
      }
    }
    expect(table.lookup(bytesOf("get"), 0, 0)).toBeUndefined()
  })

  test("many names of every length", () => {
    const names = Array.from({ length: 500 }, (_, i) => `c${"abcdefgh"[i % 8]!.repeat(i % 17)}${i}`)
    const many = new CommandRegistry([names.map(name => spec(name))])
    for (const name of names) expect(lookup(many, name.toUpperCase())?.fullName).toBe(name)
    for (const name of names) expect(lookup(many, `${name}-`)).toBeUndefined()
  })

  test("ids are dense and find goes by full name", () => {
    expect(registry.all.map(command => command.id)).toEqual([0, 1, 2, 3, 4])
    expect(registry.find("CLIENT|SetName")?.parent?.fullName).toBe("client")
    expect(registry.commands.map(command => command.fullName)).toEqual(["get", "getset", "client"])
  })

  test("a name declared twice is refused", () => {
    expect(() => new CommandRegistry([[get], [spec("get")]])).toThrow("declared twice")
  })
})

describe("rename-command", () => {
  test("renames and removes, keeping the declared names", () => {
    const registry = new CommandRegistry(
      [[get, client]],
      [
        ["GET", "Fetch"],
        ["client", ""],
      ],
    )
    expect(lookup(registry, "get")).toBeUndefined()
    expect(lookup(registry, "fetch")?.fullName).toBe("get")
    expect(lookup(registry, "client")).toBeUndefined()
    expect(registry.isReachable(registry.find("get")!)).toBe(true)
    expect(registry.isReachable(registry.find("client|setname")!)).toBe(false)
  })

  test("refuses unknown and taken names", () => {
    expect(() => new CommandRegistry([[get]], [["nope", "x"]])).toThrow("No such command in rename-command")
    expect(() => new CommandRegistry([[get, client]], [["get", "CLIENT"]])).toThrow("already exists")
  })
})

test("arity", () => {
  const [exact, atLeast] = new CommandRegistry([[spec("a", { arity: 2 }), spec("b", { arity: -3 })]]).commands
  expect([1, 2, 3].map(n => exact!.acceptsCount(n))).toEqual([false, true, false])
  expect([2, 3, 9].map(n => atLeast!.acceptsCount(n))).toEqual([false, true, true])
})

describe("derived facts", () => {
  const of = (more: Partial<CommandSpec>) => new CommandRegistry([[spec("x", more)]]).commands[0]!
  const categories = (more: Partial<CommandSpec>) => aclCategoryNames(of(more).categoryBits)

  test("categories follow from flags and group", () => {
    expect(categories({ flags: "write denyoom fast" })).toEqual(["write", "string", "fast"])
    expect(categories({ flags: "readonly", group: "sorted-set" })).toEqual(["read", "sortedset", "slow"])
    expect(categories({ flags: "write blocking", group: "list" })).toEqual(["write", "list", "slow", "blocking"])
    expect(categories({ flags: "admin", group: "server" })).toEqual(["admin", "slow", "dangerous"])
    expect(categories({ flags: "pubsub", group: "pubsub" })).toEqual(["pubsub", "slow"])
    expect(categories({ flags: "readonly", group: "scripting" })).toEqual(["slow", "scripting"])
    expect(categories({ group: "generic", categories: "connection -keyspace" })).toEqual(["slow", "connection"])
  })

  test("category bits keep their order, which ACL CAT shows", () => {
    expect(ACL_CATEGORIES[0]).toBe("keyspace")
    expect(ACL_CATEGORIES.length).toBe(21)
    expect(aclCategoryBit("scripting")).toBe(1 << 20)
    expect(aclCategoryBit("nothing")).toBe(0)
  })

  test("flags; hidden ones are not shown, movablekeys is derived", () => {
    const command = of({ flags: "noscript may_replicate touches_arbitrary_keys fast", keys: "RO access keynum@1" })
    expect(command.flagBits & Flag.MayReplicate).not.toBe(0)
    expect(visibleFlagNames(command.flagBits)).toEqual(["noscript", "fast", "movablekeys"])
    expect(() => of({ flags: "writ" })).toThrow("unknown flag")
    expect(() => of({ categories: "strings" })).toThrow("unknown category")
  })
})

describe("descriptions", () => {
  /** Sets and statuses lose their kind, maps become objects. */
  function plain(data: ReplyData): unknown {
    if (typeof data !== "object") return data
    if (data.kind === "status") return data.text
    if (data.kind === "map") return Object.fromEntries(data.entries.map(([key, value]) => [key, plain(value)]))
    return data.items.map(plain)
  }
  const registry = new CommandRegistry([[get, client]])

  test("COMMAND INFO", () => {
    expect(plain(describeInfo(registry.find("get")!))).toEqual([
      "get",
      2,
      ["readonly", "fast"],
      1,
      1,
      1,
      ["@read", "@string", "@fast"],
      [],
      [
        {
          flags: ["RO", "access"],
          begin_search: { type: "index", spec: { index: 1 } },
          find_keys: { type: "range", spec: { lastkey: 0, keystep: 1, limit: 0 } },
        },
      ],
      [],
    ])
    const container = plain(describeInfo(registry.find("client")!)) as unknown[][]
    expect(container[9]!.map(row => (row as unknown[])[0])).toEqual(["client|setname", "client|no-evict"])
  })

  test("COMMAND DOCS", () => {
    const old = spec("old", {
      deprecated: { since: "6.2.0", replacedBy: "`NEW`" },
      docFlags: "syscmd",
      history: [["2.0.0", "Grew."]],
      syntax: "[COUNT n:integer]@3.2.0",
    })
    const docs = describeDocs(new CommandRegistry([[old]]).commands[0]!)
    expect(plain(docs)).toEqual({
      summary: "S.",
      since: "1.0.0",
      group: "string",
      complexity: "O(1)",
      doc_flags: ["deprecated", "syscmd"],
      deprecated_since: "6.2.0",
      replaced_by: "`NEW`",
      history: [["2.0.0", "Grew."]],
      arguments: [
        { name: "n", type: "integer", display_text: "n", token: "COUNT", since: "3.2.0", flags: ["optional"] },
      ],
    })
    const { subcommands } = plain(describeDocs(registry.find("client")!)) as Record<string, object>
    expect(Object.keys(subcommands!)).toEqual(["client|setname", "client|no-evict"])
  })
})
