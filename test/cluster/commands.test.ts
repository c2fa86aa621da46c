import { afterEach, beforeEach, expect, test } from "bun:test"
import { Probe } from "../families/string-probe.ts"

let probe: Probe
beforeEach(async () => {
  probe = await Probe.start()
})
afterEach(() => probe[Symbol.asyncDispose]())

const reply = (line: string) => probe.reply(line)

test("a server that is no node says so, and knows which commands there are", async () => {
  const disabled = '{"error":"ERR This instance has cluster support disabled"}'
  for (const line of ["CLUSTER INFO", "CLUSTER SLOTS", "CLUSTER KEYSLOT k", "READONLY", "ASKING"]) {
    expect(await reply(line)).toBe(disabled)
  }
  expect(await reply("CLUSTER NONE")).toContain("unknown subcommand 'NONE'. Try CLUSTER HELP.")
  expect(await reply("CLUSTER KEYSLOT")).toContain("wrong number of arguments for 'cluster|keyslot' command")
})

test("rules may name them", async () => {
  expect(await reply("ACL SETUSER u +cluster +cluster|slots -readonly")).toBe('"OK"')
  expect(await reply("ACL DRYRUN u CLUSTER NODES")).toBe('"OK"')
  expect(await reply("ACL DRYRUN u READONLY")).toContain("no permissions")
})
