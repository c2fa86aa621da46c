/** Servers that follow each other, for tests: in this process, each with a folder of its own. */
import { type Clock, createServer, type EmbeddedServer } from "../../src/index.ts"
import type { Replication } from "../../src/replication/replication.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { freePort } from "../support/free-port.ts"
import { TempDir } from "../support/temp-dir.ts"

export class Node implements AsyncDisposable {
  readonly embedded: EmbeddedServer
  client: Client
  readonly dir: TempDir
  readonly log: string[]

  constructor(embedded: EmbeddedServer, client: Client, dir: TempDir, log: string[]) {
    this.embedded = embedded
    this.client = client
    this.dir = dir
    this.log = log
  }

  get port(): number {
    return this.embedded.port
  }

  get replication(): Replication {
    return this.embedded.server.replication
  }

  /** Over a connection, a new one if the last was closed. */
  async call(...args: (string | number | Uint8Array)[]): Promise<unknown> {
    if (this.client.isClosed) this.client = await Client.connect(this.port)
    return this.client.plain(...args)
  }

  follow(master: { port: number }): Promise<unknown> {
    return this.call("REPLICAOF", "127.0.0.1", master.port)
  }

  async info(section = "replication"): Promise<Record<string, string>> {
    const text = String(await this.call("INFO", section))
    return Object.fromEntries(text.split("\r\n").map(line => [line.split(":")[0]!, line.slice(line.indexOf(":") + 1)]))
  }

  async digest(): Promise<string> {
    return String(await this.call("DEBUG", "DIGEST"))
  }

  logged(text: string): boolean {
    return this.log.some(line => line.includes(text))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]()
    await this.embedded.close()
    this.dir.remove()
  }
}

const USUAL = { "enable-debug-command": "yes", "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "3600" }

export async function startNode(config: Record<string, string | number> = {}, clock?: Clock): Promise<Node> {
  const dir = new TempDir()
  const log: string[] = []
  const embedded = await createServer({
    // With a port for TLS, none but a given one is opened beside it.
    port: config["tls-port"] === undefined ? 0 : freePort(),
    config: { ...USUAL, dir: dir.path, ...config },
    ...(clock === undefined ? {} : { clock }),
    log: (_level, line) => log.push(line),
  })
  return new Node(embedded, await Client.connect(embedded.port), dir, log)
}

/** A master and what follows it, in a chain or side by side, all in sync. */
export async function startFollowing(
  master: Node,
  config: Record<string, string | number> = {},
  of: { port: number } = master,
): Promise<Node> {
  const replica = await startNode(config)
  await replica.follow(of)
  await inSync(master, replica)
  return replica
}

/** Waits until the replica has run all that the master has sent. */
export async function inSync(master: Node, ...replicas: Node[]): Promise<void> {
  for (const replica of replicas) {
    await until(
      () =>
        replica.replication.link.state === "connected" &&
        replica.replication.history.id === master.replication.history.id &&
        replica.replication.link.offset === master.replication.offset,
      { what: "a replica that has caught up" },
    )
  }
}

/** The same data everywhere; what is just expiring gets a moment to be gone everywhere. */
export async function expectEqualData(master: Node, ...replicas: Node[]): Promise<void> {
  await inSync(master, ...replicas)
  for (const replica of replicas) {
    try {
      await until(async () => (await master.digest()) === (await replica.digest()), { timeoutMs: 3000 })
    } catch {
      throw new Error(`other data on the replica: ${(await differences(master, replica)).join("; ")}`)
    }
  }
}

/** Keys that two servers do not agree on. */
async function differences(a: Node, b: Node): Promise<string[]> {
  const found: string[] = []
  for (let db = 0; db < 16; db++) {
    await a.call("SELECT", db)
    await b.call("SELECT", db)
    const keys = new Set([...((await a.call("KEYS", "*")) as string[]), ...((await b.call("KEYS", "*")) as string[])])
    for (const key of keys) {
      const of = async (node: Node) =>
        `${await node.call("TYPE", key)} ${await node.call("DEBUG", "DIGEST-VALUE", key)} ${await node.call("PEXPIRETIME", key)}`
      const [here, there] = [await of(a), await of(b)]
      if (here !== there) found.push(`${db}:${key}: ${here}, ${there}`)
    }
  }
  await a.call("SELECT", "0")
  await b.call("SELECT", "0")
  return found
}

/** Breaks the link of a replica, from its own side. */
export async function breakLink(replica: Node): Promise<void> {
  const { engine } = replica.replication
  const { client } = replica.replication.link
  if (client !== undefined) engine.clients.terminate(client)
}
