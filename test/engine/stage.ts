/**
 * A play with several clients, given before two audiences: bundis and a real redis-server. What they saw must be the same.
 */
import { expect, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import type { PlainReply } from "../../src/resp/reply-decoder.ts"
import { Client } from "../support/client.ts"
import type { Arg } from "../support/command.ts"
import { until } from "../support/condition.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"

export class Stage implements AsyncDisposable {
  readonly port: number
  /** What was seen, in order. */
  readonly seen: unknown[] = []
  private readonly clients = new Map<string, Client>()

  constructor(port: number) {
    this.port = port
  }

  async client(name: string): Promise<Client> {
    let client = this.clients.get(name)
    if (client === undefined) {
      client = await Client.connect(this.port)
      this.clients.set(name, client)
    }
    return client
  }

  /** A command, its reply seen. */
  async run(name: string, ...args: Arg[]): Promise<PlainReply> {
    const reply = await (await this.client(name)).plain(...args)
    this.seen.push([name, reply])
    return reply
  }

  /** Commands in one write, their replies seen. */
  async pipeline(name: string, commands: readonly (readonly Arg[])[]): Promise<void> {
    const replies = await (await this.client(name)).pipeline(commands.map(command => [...command]))
    this.seen.push([name, replies.map(reply => Buffer.from(reply).toString("latin1"))])
  }

  /** A command that will have to wait: returns when the server says that it does. */
  async begin(name: string, ...args: Arg[]): Promise<void> {
    const before = await this.blocked()
    ;(await this.client(name)).sendCommand(...args)
    await this.untilBlocked(before + 1)
  }

  /** The next reply of a client whose command waited. */
  async end(name: string): Promise<void> {
    this.seen.push([name, await (await this.client(name)).readReply()])
  }

  leave(name: string): void {
    this.clients.get(name)?.close()
    this.clients.delete(name)
  }

  async id(name: string): Promise<number> {
    return Number(await (await this.client(name)).plain("CLIENT", "ID"))
  }

  async info(field: string): Promise<number> {
    const info = String(await (await this.client("watcher of the server")).plain("INFO"))
    return Number(new RegExp(`^${field}:(.*)\r?$`, "m").exec(info)?.[1])
  }

  blocked(): Promise<number> {
    return this.info("blocked_clients")
  }

  async untilBlocked(count: number): Promise<void> {
    await until(async () => (await this.blocked()) === count, { what: `${count} clients to be blocked`, intervalMs: 1 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.clients.keys()]) this.leave(name)
  }
}

export type Play = (stage: Stage) => Promise<void>

/** Gives the play before both, and compares. */
export function play(name: string, act: Play): void {
  test.skipIf(!oracleAvailable)(name, async () => {
    const oracle = await sharedOracle()
    await using server = await createServer({ config: { "enable-debug-command": "yes" } })
    expect(await perform(server.port, act)).toEqual(await perform(oracle.port, act))
  })
}

async function perform(port: number, act: Play): Promise<unknown[]> {
  await using stage = new Stage(port)
  await stage.run("watcher of the server", "FLUSHALL")
  await act(stage)
  return stage.seen
}
