/** Side by side with a real redis-server: as its master, as its replica, in chains, and when roles change. */
import { describe, expect, test } from "bun:test"
import { Client } from "../support/client.ts"
import type { Command } from "../support/command.ts"
import { until } from "../support/condition.ts"
import { type Oracle, oracleAvailable, startOracle } from "../support/oracle.ts"
import { Random, runSeed } from "../support/random.ts"
import { breakLink, type Node, startNode } from "./kit.ts"
import { contents, mixedCommands } from "./mixed-commands.ts"

const PIPELINE = 100

async function send(port: number, commands: readonly Command[]): Promise<void> {
  await using client = await Client.connect(port)
  for (let i = 0; i < commands.length; i += PIPELINE) await client.pipeline(commands.slice(i, i + PIPELINE))
}

async function info(client: Client, section = "replication"): Promise<Record<string, string>> {
  const text = String(await client.plain("INFO", section))
  return Object.fromEntries(text.split("\r\n").map(line => [line.split(":")[0]!, line.slice(line.indexOf(":") + 1)]))
}

interface Member {
  port: number
  admin: Client
}

const memberOf = (node: Node): Member => ({ port: node.port, admin: node.client })

/** Waits until all say the same of id and offset, and are linked. */
async function inStep(master: Member, ...replicas: Member[]): Promise<void> {
  await until(
    async () => {
      const of = await info(master.admin)
      for (const replica of replicas) {
        const its = await info(replica.admin)
        if (its.master_link_status !== "up" || its.master_replid !== of.master_replid) return false
        if (its.master_repl_offset !== of.master_repl_offset) return false
      }
      return true
    },
    { what: "the same id and offset everywhere" },
  )
}

async function expectSame(master: Member, ...replicas: Member[]): Promise<void> {
  await inStep(master, ...replicas)
  const expected = await contents(master.port)
  for (const replica of replicas) expect(await contents(replica.port)).toEqual(expected)
}

const oracle = (...args: string[]): Promise<Oracle> =>
  startOracle({ args: ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "3600", ...args] })

describe.skipIf(!oracleAvailable)("with a redis-server", () => {
  for (const diskless of ["yes", "no"]) {
    test(`it is a replica of ours, diskless: ${diskless}`, async () => {
      const random = new Random(runSeed)
      await using master = await startNode({ "repl-diskless-sync": diskless })
      await using replica = await oracle()
      await send(master.port, mixedCommands(random, 400))
      await replica.admin.call("REPLICAOF", "127.0.0.1", master.port)
      await expectSame(memberOf(master), replica)
      for (let round = 0; round < 2; round++) {
        await send(master.port, mixedCommands(random, 100))
        await master.call("CLIENT", "KILL", "TYPE", "replica")
        await send(master.port, mixedCommands(random, 100))
        await expectSame(memberOf(master), replica)
      }
      expect((await info(master.client, "stats")).sync_full).toBe("1")
      await master.call("SET", "k", "v")
      expect(await master.call("WAIT", "1", "5000")).toBe(1)
      const [role, , [slave]] = (await master.call("ROLE")) as [string, number, [string, string, string][]]
      expect([role, slave![1]]).toEqual(["master", String(replica.port)])
    }, 60_000)

    test(`ours is a replica of it, diskless: ${diskless}`, async () => {
      const random = new Random(runSeed + 1)
      await using master = await oracle("--repl-diskless-sync", diskless)
      await using replica = await startNode()
      await send(master.port, mixedCommands(random, 400))
      await replica.follow(master)
      await expectSame(master, memberOf(replica))
      for (let round = 0; round < 2; round++) {
        await send(master.port, mixedCommands(random, 100))
        await breakLink(replica)
        await send(master.port, mixedCommands(random, 100))
        await expectSame(master, memberOf(replica))
      }
      expect((await info(master.admin, "stats")).sync_full).toBe("1")
      await master.admin.call("SET", "k", "v")
      expect(await master.admin.plain("WAIT", "1", "5000")).toBe(1)
      expect((await info(replica.client, "stats")).total_error_replies).toBe("0")
    }, 60_000)
  }

  test("in a chain, and with the masters changing", async () => {
    const random = new Random(runSeed + 2)
    await using first = await oracle()
    await using second = await startNode()
    await using third = await oracle()
    await using fourth = await startNode()
    const [a, b, c, d] = [first, memberOf(second), third, memberOf(fourth)] as const
    await b.admin.call("REPLICAOF", "127.0.0.1", a.port)
    await inStep(a, b)
    await c.admin.call("REPLICAOF", "127.0.0.1", b.port)
    await inStep(a, b, c)
    await d.admin.call("REPLICAOF", "127.0.0.1", c.port)
    await send(a.port, mixedCommands(random, 300))
    await expectSame(a, b, c, d)
    // Ours becomes the master; theirs goes on as its replica, and what follows it never notices more than a new id.
    await b.admin.call("REPLICAOF", "NO", "ONE")
    await a.admin.call("REPLICAOF", "127.0.0.1", d.port)
    await send(b.port, mixedCommands(random, 100))
    await expectSame(b, c, d, a)
    // And theirs.
    await c.admin.call("REPLICAOF", "NO", "ONE")
    await b.admin.call("REPLICAOF", "127.0.0.1", a.port)
    await send(c.port, mixedCommands(random, 100))
    await expectSame(c, d, a, b)
    const fulls = await Promise.all([a, b, c, d].map(async ({ admin }) => (await info(admin, "stats")).sync_full))
    expect(fulls).toEqual(["1", "1", "1", "0"])
  }, 60_000)
})
