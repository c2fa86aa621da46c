import { describe, expect, test } from "bun:test"
import { AccessChecker, Denial } from "../../src/acl/access.ts"
import { mergeSelectors } from "../../src/acl/rules.ts"
import { User } from "../../src/acl/user.ts"
import { CommandRegistry } from "../../src/command/registry.ts"
import { clientCommands } from "../../src/engine/client-commands.ts"
import { connectionCommands } from "../../src/engine/connection-commands.ts"
import { pubsubCommands } from "../../src/engine/pubsub-commands.ts"
import { families } from "../../src/families.ts"
import { Arguments } from "../../src/resp/arguments.ts"
import { Random } from "../support/random.ts"

const none = () => {
  throw new Error("not to be run")
}
const registry = new CommandRegistry([
  ...families,
  connectionCommands(none),
  clientCommands(none),
  pubsubCommands(none),
])
const checker = new AccessChecker(registry)

function user(...rules: string[]): User {
  const made = new User("u", registry, () => false).changed(rules)
  if (typeof made === "string") throw new Error(made)
  return made
}

function refused(...rules: string[]): string {
  const made = new User("u", registry, () => false).changed(rules)
  if (typeof made !== "string") throw new Error(`accepted: ${made.describe()}`)
  return made
}

/** "ok", or why the call is denied: the kind and the argument. */
function verdict(of: User, line: string): string {
  const args = new Arguments()
  args.assign(line.split(" "))
  let command = registry.lookup(args.bytes, args.start(0), args.end(0))!
  if (command.isContainer) command = command.lookupSubcommand(args.bytes, args.start(1), args.end(1))!
  const denial = checker.check(of, command, args)
  if (denial === Denial.None) return "ok"
  if (denial === Denial.Command) return `command ${command.fullName}`
  return `${denial === Denial.Key ? "key" : "channel"} ${args.latin1(checker.argument)}`
}

const commandsOf = (of: User) => of.permissions[0]!.commands.describe()

describe("commands", () => {
  test("rules keep their order; a later one replaces an earlier one about the same", () => {
    const cases: [string, string][] = [
      ["+@all -@hash -@slow +hget", "+@all -@hash -@slow +hget"],
      ["+@all -@hash -@slow +hget -@hash", "+@all -@slow +hget -@hash"],
      ["+@all -@hash +@HASH", "+@all +@hash"],
      ["-@string -@slow +@all", "+@all"],
      ["+HGET +hget +hGeT", "-@all +hget"],
      ["+hget -hset +hset -hget", "-@all +hset -hget"],
      ["+client|list +client|list +client|id +client", "-@all +client"],
      ["+client|list -client", "-@all -client"],
      ["+select|0 +SELECT|0 +select|1", "-@all +select|0 +select|1"],
      ["+select|0 +select", "-@all +select"],
      ["-@dangerous", "-@all -@dangerous"],
      ["+set +setnx -set", "-@all +setnx -set"],
    ]
    for (const [rules, shown] of cases) expect(commandsOf(user(...rules.split(" ")))).toBe(shown)
  })

  test("categories, commands, subcommands", () => {
    const u = user("allkeys", "+@all", "-@string", "+incr", "-client", "+client|id")
    const seen = ["GET k", "INCR k", "HGET k f", "CLIENT ID", "CLIENT LIST", "SORT k"].map(line => verdict(u, line))
    expect(seen).toEqual(["command get", "ok", "ok", "ok", "command client|list", "ok"])
  })

  test("a first argument allows a forbidden command, in any case of letters", () => {
    const u = user("+select|0", "+echo|Hi")
    expect(["SELECT 0", "SELECT 1", "ECHO hI", "ECHO hello"].map(line => verdict(u, line))).toEqual([
      "ok",
      "command select",
      "ok",
      "command echo",
    ])
    expect(verdict(user("+select|0", "-select"), "SELECT 0")).toBe("command select")
    expect(verdict(user("+select|0", "-@connection"), "SELECT 0")).toBe("command select")
  })

  test("commands that one needs in order to log in cannot be forbidden", () => {
    expect(["AUTH x", "HELLO 3", "QUIT", "RESET", "PING"].map(line => verdict(user(), line))).toEqual([
      "ok",
      "ok",
      "ok",
      "ok",
      "command ping",
    ])
  })
})

describe("keys", () => {
  test("patterns for reading and writing", () => {
    const u = user("+@all", "%R~r*", "%W~w*", "%rw~b*", "~c?")
    const cases: [string, string][] = [
      ["GET r1", "ok"],
      ["GET w1", "key w1"],
      ["SET w1 v", "ok"],
      ["SET r1 v", "key r1"],
      ["SET w1 v GET", "key w1"],
      ["SET b1 v GET", "ok"],
      ["INCR r1", "key r1"],
      ["INCR b1", "ok"],
      ["COPY r1 w1", "ok"],
      ["COPY w1 r1", "key w1"],
      ["RENAME b1 b2", "ok"],
      ["RENAME r1 b2", "key r1"],
      ["EXISTS r1 w1 c1", "ok"],
      ["EXISTS r1 c11", "key c11"],
      ["BITFIELD r1 GET u4 0", "ok"],
      ["BITFIELD r1 SET u4 0 1", "key r1"],
      ["SORT r1 STORE w1", "ok"],
      ["SORT r1 STORE r2", "key r2"],
      ["MSET w1 1 x 2", "key x"],
      ["PING", "ok"],
    ]
    for (const [line, expected] of cases) expect([line, verdict(u, line)]).toEqual([line, expected])
    expect(u.permissions[0]!.describeKeys()).toBe("%R~r* %W~w* ~b* ~c?")
    expect(user("%R~a", "%W~a").permissions[0]!.describeKeys()).toBe("~a")
  })

  test("selectors permit each for itself", () => {
    const u = user("+mget", "~key", "(+mget ~key ~otherkey)", "(+@read %R~r*)")
    const cases: [string, string][] = [
      ["GET key", "key key"],
      ["SET key v", "command set"],
      ["MGET key otherkey", "ok"],
      ["MGET key otherkey some", "key some"],
      ["MGET otherkey some", "key some"],
      ["MGET r1 r2", "ok"],
      ["MGET key r2", "key r2"],
    ]
    for (const [line, expected] of cases) expect([line, verdict(u, line)]).toEqual([line, expected])
  })

  test("reading keys of any name, for SORT", () => {
    const may = (...rules: string[]) => {
      const args = new Arguments()
      args.assign(["SORT", "l", "BY", "w_*"])
      return checker.readsAllKeys(user(...rules), registry.find("sort")!, args)
    }
    expect([may("+sort", "~*"), may("+sort", "%R~*"), may("+sort", "%W~*"), may("+sort", "~l", "~w_*")]).toEqual([
      true,
      true,
      false,
      false,
    ])
    expect([may("+@all", "(%R~*)"), may("(%R~* +sort)"), may("~l", "+sort", "(~* +get)")]).toEqual([false, true, false])
  })
})

test("channels: names match patterns, patterns must be the same", () => {
  const u = user("+@all", "&news.*", "&a")
  const cases: [string, string][] = [
    ["PUBLISH news.x hi", "ok"],
    ["PUBLISH b hi", "channel b"],
    ["SPUBLISH a hi", "ok"],
    ["SUBSCRIBE a news.y b", "channel b"],
    ["SSUBSCRIBE a news.y", "ok"],
    ["PSUBSCRIBE news.* a", "ok"],
    ["PSUBSCRIBE news.x", "channel news.x"],
    ["PUNSUBSCRIBE zzz", "ok"],
  ]
  for (const [line, expected] of cases) expect([line, verdict(u, line)]).toEqual([line, expected])
})

const SHA256_OF_TWO = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"

describe("passwords", () => {
  test("any of several, hashed, and none while off", () => {
    const u = user("on", ">one", `#${SHA256_OF_TWO}`)
    expect(["one", "two", "", "three"].map(password => u.accepts(password))).toEqual([true, true, false, false])
    expect(u.hashes).toHaveLength(2)
    expect(u.describe()).not.toContain("one")
    const twin = u.changed(["<one", "off"]) as User
    expect([twin.accepts("one"), twin.hashes.length, u.accepts("one")]).toEqual([false, 1, true])
    expect(user("on", "nopass").accepts("anything")).toBe(true)
    expect(user("on", "nopass", ">x").accepts("anything")).toBe(false)
    expect(user("on", ">x", "resetpass").accepts("x")).toBe(false)
    expect(user("on", ">\xff\x00").accepts("\xff\x00")).toBe(true)
  })
})

test("what is refused, and with which words", () => {
  const of = (rule: string, why: string) => `Error in ACL SETUSER modifier '${rule}': ${why}`
  const syntax = ["foo", "%~a", "%", "%R", "%RR~a", "%X~a", "~a b", "&a\0b", "+select|", ")", " () ", "(on)", '(~"a)']
  for (const rule of syntax) expect(refused(rule)).toBe(of(rule.split("\0", 1)[0]!, "Syntax error"))
  const unknown = ["+nosuch", "-nosuch", "+@nosuch", "+client|nosuch", "-select|0", "+get|a|b", "+", "-"]
  for (const rule of unknown) expect(refused(rule)).toBe(of(rule, "Unknown command or category name in ACL"))
  expect(refused("+client|id|x")).toBe(of("+client|id|x", "Allowing first-arg of a subcommand is not supported"))
  expect(refused("~*", "~a")).toContain("'allkeys' flag) is not valid")
  expect(refused("&*", "&a")).toContain("'allchannels' flag) is not valid")
  expect(refused("<no")).toContain("The password you are trying to remove")
  for (const rule of ["#abc", `#${"A".repeat(64)}`, "!x"]) expect(refused(rule)).toContain("must be exactly 64")
  expect(refused("on", "(+get", "~a")).toBe("Unmatched parenthesis in acl selector starting at '(+get'.")
})

test("selectors may be spread over several arguments", () => {
  expect(mergeSelectors(["on", "(~a", "+get", ")", "(~b)", "(", "~c)"])).toEqual({
    rules: ["on", "(~a +get )", "(~b)", "( ~c)"],
  })
  expect(mergeSelectors(["(~a", "b"])).toEqual({ unmatched: "(~a" })
  const u = user("(~a", "+get", ")", "( ~b +get)")
  expect(u.describe()).toBe(
    "u off sanitize-payload resetchannels -@all (~a resetchannels -@all +get) (~b resetchannels -@all +get)",
  )
})

test("reset makes a user new again, with the channels of the configuration", () => {
  const all = new User("u", registry, () => true)
  const changed = all.changed(["on", ">x", "+@all", "~*", "(~a)", "skip-sanitize-payload", "resetchannels"]) as User
  expect((changed.changed(["reset"]) as User).describe()).toBe(all.describe())
  expect(all.describe()).toBe("u off sanitize-payload &* -@all")
})

test("the rules shown make the same user again", () => {
  const random = new Random()
  const words = ["a", "b*", "a)", "(a", "it's", 'say"so"', "\xe9*", "*", "\\", "x|y"]
  const commands = ["get", "set", "mget", "client", "client|id", "select|0", "@read", "@all", "@write", "@hash"]
  const rule = () =>
    random.pick([
      () => `${random.pick(["+", "-"])}${random.pick(commands)}`,
      () => `${random.pick(["~", "%R~", "%W~", "%RW~"])}${random.pick(words)}`,
      () => `&${random.pick(words)}`,
      () => random.pick(["allkeys", "resetkeys", "allchannels", "resetchannels", "nocommands"]),
    ])()
  const lines = ["GET a", "SET a v", "MGET a bb", "CLIENT ID", "CLIENT LIST", "SELECT 0", "SELECT 1", "HGET it's f"]
  for (let round = 0; round < 300; round++) {
    let u = user("on", ">x")
    for (let i = 0; i < 8; i++) {
      const next = random.below(5) === 0 ? `(${quotedSelector([rule(), rule()])})` : rule()
      const changed = u.changed([next])
      if (typeof changed !== "string") u = changed
    }
    const [name, ...rules] = u.describe().split(" ")
    const again = new User(name!, registry, () => random.below(2) === 0).changed(["resetchannels", ...rules])
    if (typeof again === "string") throw new Error(`seed ${random.seed}: ${u.describe()}: ${again}`)
    expect([random.seed, again.describe()]).toEqual([random.seed, u.describe()])
    for (const line of lines) expect([line, verdict(again, line)]).toEqual([line, verdict(u, line)])
  }
})

function quotedSelector(rules: string[]): string {
  return rules.map(each => `"${each.replace(/["\\]/g, "\\$&")}"`).join(" ")
}
