/** Where connections of our own start from. */
import { describe, expect, test } from "bun:test"
import { inSync, startFollowing, startNode } from "../replication/kit.ts"
import { until } from "../support/condition.ts"

// Elsewhere 127.0.0.2 is no address of the machine.
describe.skipIf(process.platform !== "linux")("bind-source-addr", () => {
  test("a replica's link starts from there", async () => {
    await using master = await startNode()
    await using replica = await startFollowing(master, { "bind-source-addr": "127.0.0.2" })
    expect((await master.info()).slave0).toContain("ip=127.0.0.2,")
    // Also when the master is known by its name.
    await replica.call("REPLICAOF", "localhost", master.port)
    await inSync(master, replica)
    expect((await master.info()).slave0).toContain("ip=127.0.0.2,")
  })

  test("an address that is not of this machine, or of no family of the master's, is done without", async () => {
    await using master = await startNode()
    await using replica = await startFollowing(master, { "bind-source-addr": "203.0.113.1" })
    expect((await master.info()).slave0).toContain("ip=127.0.0.1,")
    await replica.call("CONFIG", "SET", "bind-source-addr", "::1")
    await replica.call("REPLICAOF", "NO", "ONE")
    await replica.follow(master)
    await inSync(master, replica)
    expect((await master.info()).slave0).toContain("ip=127.0.0.1,")
  })
})

test("a master to which no route leads is tried again", async () => {
  await using replica = await startNode()
  // An address of many: the runtime says that it cannot be before it returns.
  await replica.call("REPLICAOF", "224.0.0.1", 6379)
  await until(() => replica.log.filter(line => line.includes("Connecting to MASTER")).length > 1)
})
