import { expect, test } from "bun:test"
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { loadConfiguration } from "../../src/config/conf-file.ts"
import { Config } from "../../src/config/config.ts"
import { Refusal } from "../../src/config/refusal.ts"
import { createServer } from "../../src/index.ts"
import { Server } from "../../src/server.ts"
import { Client } from "../support/client.ts"
import { TempDir } from "../support/temp-dir.ts"

/** A server that is not started, with this configuration file. */
function configured(text: string): Server {
  const config = new Config()
  const reader = { read: () => new Refusal("no files"), match: () => [] }
  const fault = loadConfiguration(config, [{ name: "test.conf", text }], reader)
  if (fault !== undefined) throw new Error(fault.reason)
  return new Server({ config, seed: 1 })
}

const users = (server: Server) => server.acl.list().map(user => user.describe())
const OPEN = "default on nopass sanitize-payload ~* &* +@all"

test("user lines of the configuration", () => {
  const server = configured(`
    acl-pubsub-default allchannels
    user bob on nopass +@read ~b* (+set ~c*) ( %W~d* +del )
    user "default" on nopass ~* +@all -flushdb
    user off
  `)
  expect(server.fault).toBeUndefined()
  expect(users(server)).toEqual([
    "bob on nopass sanitize-payload ~b* &* -@all +@read (~c* &* -@all +set) (%W~d* &* -@all +del)",
    "default on nopass sanitize-payload ~* &* +@all -flushdb",
    "off off sanitize-payload &* -@all",
  ])
})

test("requirepass holds unless the default user has a line", () => {
  expect(configured("requirepass pw").acl.isOpen).toBe(false)
  expect(configured("requirepass pw\nuser default on nopass").acl.isOpen).toBe(true)
  expect(configured("requirepass pw\nuser bob on").acl.isOpen).toBe(false)
})

test("faults name the rule and the place, and hide secrets", () => {
  const cases: [line: string, reason: string, shown: string][] = [
    [
      "user bob on >pw +nosuch",
      "'+nosuch': Unknown command or category name in ACL",
      "user bob on >(redacted) +nosuch",
    ],
    ["user bob #secret", "'#(redacted)': The password hash must be exactly 64", "user bob #(redacted)"],
    ["user bob (+get", "'(+get': Unmatched parenthesis in selector definition", "user bob (+get"],
    ['user "b b" on', "'b b': Spaces not allowed in ACL usernames", 'user "b b" on'],
  ]
  for (const [line, reason, shown] of cases) {
    const { fault } = configured(`port 0\n${line}`)
    expect(fault?.reason).toStartWith(`Error in user declaration ${reason}`)
    expect(fault?.place).toEqual({ source: "test.conf", line: 2, text: shown })
  }
  expect(configured("aclfile x\nuser bob on").fault?.reason).toContain("but not both")
})

test("a server with a fault does not start", async () => {
  await expect(configured("port 0\nuser bob nonsense").start()).rejects.toThrow("Error in user declaration 'nonsense'")
})

test("CONFIG REWRITE's lines are read back to the same users", () => {
  const server = configured("port 0")
  const { acl } = server
  const rules = ["on", ">pw", '~a"b', "~it's", "~\xc3\xa9*", "&c", "+@all", "-@hash", "+hget", "+select|0"]
  expect(acl.set("bob", [...rules, '("~x\\"y" ~z +get)', "(%R~r +mget)"])).toBeUndefined()
  acl.set('qu"ote', ["(~q +set)"])
  const again = configured(
    acl
      .configLines()
      .map(line => `user ${line}`)
      .join("\n"),
  )
  expect(again.fault).toBeUndefined()
  expect(users(again)).toEqual(users(server))
  expect(users(server)).toHaveLength(3)
})

test("ACL SAVE and LOAD", async () => {
  await using dir = new TempDir()
  const path = dir.join("users.acl")
  writeFileSync(path, "\n  user alice on >pw ~* &* +@all \r\n\nuser bob on nopass (+get ~b*) ( +set  ~c* )\n")
  chmodSync(path, 0o600)
  await using server = await createServer({ config: { dir: dir.path, aclfile: "users.acl" } })
  await using admin = await Client.connect(server.port)
  await using alice = await Client.connect(server.port)
  await using carl = await Client.connect(server.port)
  const list = () => admin.plain("ACL", "LIST")
  const lines = [
    "user alice on sanitize-payload #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4 ~* &* +@all",
    "user bob on nopass sanitize-payload resetchannels -@all (~b* resetchannels -@all +get) " +
      "(~c* resetchannels -@all +set)",
    `user ${OPEN}`,
  ]
  expect(await list()).toEqual(lines)
  expect(await admin.plain("ACL", "SETUSER", "carl", "on", "nopass", '("~q\\"q" +get)')).toBe("OK")
  await alice.plain("AUTH", "alice", "pw")
  await carl.plain("AUTH", "carl", "x")
  expect(await admin.plain("ACL", "SAVE")).toBe("OK")
  const saved = await list()
  expect(readFileSync(path, "utf8")).toBe((saved as string[]).map(line => `${line}\n`).join(""))
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readdirSync(dir.path)).toEqual(["users.acl"])
  expect(await admin.plain("ACL", "LOAD")).toBe("OK")
  expect(await list()).toEqual(saved)
  expect(await carl.plain("GET", 'q"q')).toBe(null)
  writeFileSync(path, `${lines.join("\n")}\n`)
  expect(await admin.plain("ACL", "LOAD")).toBe("OK")
  await carl.closed
  expect(await list()).toEqual(lines)
  expect(await alice.plain("PING")).toBe("PONG")
})

test("a wrong file changes nothing, and everything wrong with it is told", async () => {
  await using dir = new TempDir()
  const path = dir.join("users.acl")
  writeFileSync(path, "user alice on nopass\n")
  await using server = await createServer({ config: { aclfile: path } })
  const { acl } = server.server
  const before = users(server.server)
  const bad = [
    "user alice on nopass",
    "user",
    "alice on",
    "user alice off",
    "user bob +nosuch >secret #secret nonsense",
    "user carl (+get",
    "user d\te on",
  ]
  writeFileSync(path, bad.join("\n"))
  expect(acl.load()).toBe(
    `${path}:2 should start with user keyword followed by the username. ` +
      `${path}:3 should start with user keyword followed by the username. ` +
      "WARNING: Duplicate user 'alice' found on line 4. " +
      `${path}:5: Error in applying operation '+nosuch': Unknown command or category name in ACL. ` +
      `${path}:5: The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters. ` +
      `${path}:6: Unmatched parenthesis in selector definition. ` +
      `'${path}:7: username 'd\te' contains invalid characters. ` +
      "WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
  )
  expect(users(server.server)).toEqual(before)
  const load = await server.execute("ACL", "LOAD")
  expect(load).toHaveProperty("error", expect.stringMatching(/^ERR .*users\.acl:2 should start/))
})

test("without an ACL file there is nothing to load or save; one that is missing is a fault", async () => {
  await using server = await createServer()
  for (const word of ["LOAD", "SAVE"])
    expect(await server.execute("ACL", word)).toHaveProperty("error", expect.stringContaining("not configured to use"))
  await using dir = new TempDir()
  await expect(createServer({ config: { aclfile: dir.join("none") } })).rejects.toThrow("No such file or directory")
})

test("ACL SAVE that fails leaves no trace", async () => {
  await using dir = new TempDir()
  const path = dir.join("users.acl")
  writeFileSync(path, "")
  const log: string[] = []
  await using server = await createServer({ config: { aclfile: path }, log: (_, message) => log.push(message) })
  dir.remove()
  const reply = await server.execute("ACL", "SAVE")
  expect(reply).toHaveProperty("error", expect.stringContaining("There was an error trying to save the ACLs"))
  expect(log.join()).toContain("Writing the ACL file for ACL SAVE: No such file or directory")
})
