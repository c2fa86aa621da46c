/** A server in this process, seen from within: what its commands propagate, notify and leave in memory. */

import { latin1 } from "../../src/bytes/compare.ts"
import { type Argument, createServer, type EmbeddedServer, ManualClock, type PlainReply } from "../../src/index.ts"
import { Notify } from "../../src/keyspace/events.ts"

export const START_MS = 1_700_000_000_000

export class Probe implements AsyncDisposable {
  readonly server: EmbeddedServer
  readonly clock: ManualClock
  private readonly events: string[] = []

  private constructor(server: EmbeddedServer, clock: ManualClock) {
    this.server = server
    this.clock = clock
    const { engine } = server.server
    engine.propagator.enabled = true
    engine.keyspace.events.notifyFlags = ~Notify.New
    engine.keyspace.events.onNotify = (event, _db, key, start, end) => {
      this.events.push(`${event} ${latin1(key, start, end)}`)
    }
  }

  static async start(config: Record<string, string | number> = {}): Promise<Probe> {
    const clock = new ManualClock(START_MS)
    return new Probe(await createServer({ clock, seed: 1, config }), clock)
  }

  get keyspace() {
    return this.server.server.engine.keyspace
  }

  get keys() {
    return this.keyspace.databases[0]!.keys
  }

  run(...command: Argument[]): Promise<PlainReply> {
    return this.server.execute(...command)
  }

  /** Runs a command of words between spaces; text of the reply, an error included. */
  async reply(line: string): Promise<string> {
    return JSON.stringify(await this.server.execute(...line.split(" ")))
  }

  /** The commands that a command of words between spaces propagates, one per line; SELECT left out. */
  async propagated(line: string): Promise<string[]> {
    const { writer } = this.server.server.engine.propagator
    const from = writer.at
    const reply = this.server.execute(...line.split(" "))
    const lines = commandsOf(latin1(writer.bytes, from, writer.at)).filter(command => !command.startsWith("SELECT"))
    await reply
    return lines
  }

  /** The commands that something done at once propagates, as `propagated`. */
  propagatedBy(act: () => void): string[] {
    const { writer } = this.server.server.engine.propagator
    const from = writer.at
    act()
    return commandsOf(latin1(writer.bytes, from, writer.at)).filter(command => !command.startsWith("SELECT"))
  }

  /** The events that a command notifies, each with its key. */
  async notified(line: string): Promise<string[]> {
    this.events.length = 0
    await this.server.execute(...line.split(" "))
    return [...this.events]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close()
  }
}

function commandsOf(resp: string): string[] {
  const commands: string[] = []
  let at = 0
  const header = (): number => {
    const end = resp.indexOf("\r\n", at)
    const n = Number(resp.slice(at + 1, end))
    at = end + 2
    return n
  }
  while (at < resp.length) {
    const words: string[] = []
    for (let left = header(); left > 0; left--) {
      const length = header()
      words.push(resp.slice(at, at + length))
      at += length + 2
    }
    commands.push(words.join(" "))
  }
  return commands
}
