/** A real Sentinel looks after servers of ours: it finds the replicas, notices that the master is gone, and appoints another. */
import { expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { freePort } from "../support/free-port.ts"
import { oracleAvailable } from "../support/oracle.ts"
import { TempDir } from "../support/temp-dir.ts"
import { expectEqualData, type Node, startFollowing, startNode } from "./kit.ts"

class Sentinel implements AsyncDisposable {
  readonly port: number
  readonly #process: Bun.Subprocess
  readonly #dir: TempDir

  constructor(masterPort: number) {
    this.port = freePort()
    this.#dir = new TempDir()
    const path = this.#dir.join("sentinel.conf")
    const lines = [
      `port ${this.port}`,
      "bind 127.0.0.1",
      `dir ${this.#dir.path}`,
      `sentinel monitor ours 127.0.0.1 ${masterPort} 1`,
      "sentinel down-after-milliseconds ours 500",
      "sentinel failover-timeout ours 5000",
    ]
    writeFileSync(path, `${lines.join("\n")}\n`)
    this.#process = Bun.spawn(["redis-server", path, "--sentinel"], { stdout: "ignore", stderr: "ignore" })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill()
    await this.#process.exited
    this.#dir.remove()
  }
}

test.skipIf(!oracleAvailable)(
  "Sentinel makes a replica the master when the master is gone",
  async () => {
    const master = await startNode()
    await using a = await startFollowing(master)
    await using b = await startFollowing(master, { "replica-priority": "50" })
    await master.call("SET", "k", "v")
    await using sentinel = new Sentinel(master.port)
    await using client = await until(() => Client.connect(sentinel.port))
    await until(async () => ((await client.plain("SENTINEL", "REPLICAS", "ours")) as unknown[]).length === 2, {
      timeoutMs: 30_000,
    })
    await expectEqualData(master, a, b)
    await master[Symbol.asyncDispose]()
    const appointed = async (): Promise<Node | undefined> => {
      const [, port] = (await client.plain("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "ours")) as [string, string]
      return [a, b].find(node => node.port === Number(port))
    }
    // The one with the better priority.
    expect((await until(appointed, { timeoutMs: 30_000 })).port).toBe(b.port)
    await until(async () => (await b.info()).role === "master", { timeoutMs: 20_000 })
    await b.call("SET", "new", "v")
    await until(() => a.replication.link.port === b.port, { timeoutMs: 20_000 })
    await expectEqualData(b, a)
    expect((await b.info("stats")).sync_full).toBe("0")
  },
  90_000,
)
