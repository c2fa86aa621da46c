/** Links that break, roles that change: who can go on from where it was does, and nobody else. */
import { describe, expect, test } from "bun:test"
import { until } from "../support/condition.ts"
import { Random, runSeed } from "../support/random.ts"
import { breakLink, expectEqualData, inSync, type Node, startFollowing, startNode } from "./kit.ts"

async function syncs(node: Node): Promise<[full: string, ok: string, err: string]> {
  const { sync_full, sync_partial_ok, sync_partial_err } = await node.info("stats")
  return [sync_full!, sync_partial_ok!, sync_partial_err!]
}

async function fill(node: Node, count: number, bytes = 100): Promise<void> {
  await node.client.pipeline(
    Array.from({ length: count }, (_, i) => ["SET", `k${i % 50}`, `${i}`.padEnd(bytes, "x")] as const),
  )
}

describe("a link that breaks", () => {
  test("goes on where it was", async () => {
    await using master = await startNode()
    await using replica = await startFollowing(master)
    for (let round = 0; round < 10; round++) {
      await fill(master, 100)
      await breakLink(replica)
      await fill(master, 100)
      await expectEqualData(master, replica)
    }
    const [full, partial] = await syncs(master)
    expect(full).toBe("1")
    expect(Number(partial)).toBeGreaterThanOrEqual(10)
  })

  test("in the middle of a transaction: it is run once, as a whole", async () => {
    const random = new Random(runSeed)
    await using master = await startNode()
    await using replica = await startFollowing(master)
    const { link } = replica.replication
    for (let round = 0; round < 20; round++) {
      // The stream is cut at random: the first part of a chunk arrives, then the link is lost.
      const receive = link.applier!.receive.bind(link.applier!)
      let chunks = random.below(3)
      link.applier!.receive = chunk => {
        if (chunks-- > 0) return receive(chunk)
        receive(chunk.subarray(0, random.below(chunk.length)))
        void breakLink(replica)
      }
      await master.call("MULTI")
      for (let i = 0; i < 5; i++) await master.call("INCR", "counter")
      await master.call("SELECT", String(round % 3))
      await master.call("LPUSH", "list", "x".repeat(50))
      await master.call("EXEC")
      await master.call("SELECT", "0")
      await expectEqualData(master, replica)
    }
    expect(await replica.call("GET", "counter")).toBe("100")
    expect((await syncs(master))[0]).toBe("1")
  })

  test("for longer than the backlog reaches back: everything anew", async () => {
    await using master = await startNode({ "repl-backlog-size": "16384" })
    await using replica = await startFollowing(master)
    await replica.call("DEBUG", "PAUSE-CRON", "1")
    const { link } = replica.replication
    // While nobody answers at that port, the master goes on.
    const port = master.port
    link.port = 1
    await breakLink(replica)
    await fill(master, 1000)
    link.port = port
    await replica.call("DEBUG", "PAUSE-CRON", "0")
    await expectEqualData(master, replica)
    // The first one, too, had asked to go on: from a history of its own.
    expect(await syncs(master)).toEqual(["2", "0", "2"])
    expect(master.logged("for lack of backlog")).toBe(true)
  })

  test("broken by the master with CLIENT KILL, or by the replica", async () => {
    await using master = await startNode()
    await using replica = await startFollowing(master)
    expect(await master.call("CLIENT", "KILL", "TYPE", "replica")).toBe(1)
    await until(() => replica.logged("Successful partial resynchronization"))
    await inSync(master, replica)
    expect(await replica.call("CLIENT", "KILL", "TYPE", "master")).toBe(1)
    await inSync(master, replica)
    expect((await syncs(master))[1]).toBe("2")
    expect(String(await master.call("CLIENT", "LIST", "TYPE", "replica"))).toContain("flags=S ")
    expect(String(await replica.call("CLIENT", "LIST", "TYPE", "master"))).toContain("flags=M ")
  })
})

describe("roles", () => {
  test("a replica that becomes the master: the others go on from their common past", async () => {
    await using a = await startNode()
    await using b = await startFollowing(a)
    await using c = await startFollowing(a)
    await fill(a, 100)
    await expectEqualData(a, b, c)
    const past = a.replication.history.id
    const { offset } = a.replication
    expect(await b.call("REPLICAOF", "NO", "ONE")).toBe("OK")
    expect(b.replication.history.secondId).toBe(past)
    expect(b.replication.history.secondOffset).toBe(offset + 1)
    await fill(b, 10)
    await c.follow(b)
    await a.follow(b)
    await expectEqualData(b, a, c)
    expect(await syncs(b)).toEqual(["0", "2", "0"])
    await fill(b, 10)
    await expectEqualData(b, a, c)
  })

  test("a master that has gone on alone must begin anew", async () => {
    await using a = await startNode()
    await using b = await startFollowing(a)
    await b.call("REPLICAOF", "NO", "ONE")
    await a.call("SET", "only", "here")
    await fill(b, 10)
    await a.follow(b)
    await expectEqualData(b, a)
    expect(await a.call("EXISTS", "only")).toBe(0)
    expect((await syncs(b))[0]).toBe("1")
  })

  test("replicas of a replica learn of a new history, and go on", async () => {
    await using top = await startNode()
    await using middle = await startFollowing(top)
    await using last = await startFollowing(top, {}, middle)
    await middle.call("REPLICAOF", "NO", "ONE")
    await middle.call("SET", "k", "v")
    await expectEqualData(middle, last)
    expect(last.replication.history.id).toBe(middle.replication.history.id)
    expect(last.replication.history.secondId).toBe(top.replication.history.id)
    expect((await syncs(middle))[0]).toBe("1")
    // And the old master at the end of the chain.
    await top.follow(last)
    await expectEqualData(middle, last, top)
  })

  test("clients that wait are sent away when their master becomes a replica", async () => {
    await using a = await startNode()
    await using b = await startNode()
    const waiting = b.client.plain("BLPOP", "k", "0")
    await using other = await startNode()
    void other
    await until(async () =>
      String((await b.embedded.execute("INFO", "clients")) as string).includes("blocked_clients:1"),
    )
    await b.embedded.execute("REPLICAOF", "127.0.0.1", a.port)
    expect(await waiting).toEqual({
      error: "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    })
  })

  test("FAILOVER: the roles are exchanged, nothing is lost, and writes wait meanwhile", async () => {
    await using a = await startNode()
    await using b = await startFollowing(a)
    await fill(a, 100)
    expect(await a.call("FAILOVER", "TO", "127.0.0.1", b.port)).toBe("OK")
    const write = a.client.plain("SET", "written", "meanwhile")
    await until(async () => (await b.info()).role === "master")
    expect(await write).toEqual({ error: "READONLY You can't write against a read only replica." })
    await expectEqualData(b, a)
    expect((await b.info()).master_failover_state).toBe("no-failover")
    expect(await syncs(b)).toEqual(["0", "1", "0"])
  })
})

test("roles at random: what is in sync has the same data", async () => {
  const random = new Random(runSeed)
  await using a = await startNode()
  await using b = await startNode()
  await using c = await startNode()
  await using d = await startNode()
  const nodes = [a, b, c, d]
  for (let round = 0; round < 6; round++) {
    const [top, ...rest] = random.shuffle([...nodes]) as [Node, ...Node[]]
    await top.call("REPLICAOF", "NO", "ONE")
    const placed = [top]
    for (const node of rest) {
      await node.follow(random.pick(placed))
      placed.push(node)
    }
    for (let step = 0; step < 5; step++) {
      await fill(top, random.below(100), 10)
      if (random.oneIn(2)) await breakLink(random.pick(rest))
    }
    await expectEqualData(top, ...rest)
  }
})
