/**
 * Random comparison of one family of commands with the oracle, as tests: `oracleFamily("hash", { commands: … })` in
 * test/oracle/hash.oracle.test.ts. See README.md beside this file.
 *
 * The commands come in rounds. A round starts with empty servers and its own seed, so a failure is replayed from the
 * start of its round, never from the start of a long run; then the failing sequence is made shorter while it still fails.
 */
import { afterAll, describe, test } from "bun:test"
import { decodeReply } from "../../src/resp/reply-decoder.ts"
import { Client } from "./client.ts"
import { type Command, formatCommand, quote } from "./command.ts"
import {
  commandOf,
  type Difference,
  findDifference,
  formatReply,
  type LooseCommand,
  type LooserTable,
  ReplyMismatch,
  readingCommands,
} from "./compare.ts"
import { CommandGenerator, type GeneratorOptions } from "./generator.ts"
import { minimise } from "./minimise.ts"
import { oracleAvailable, oracleKnows, sharedOracle } from "./oracle.ts"
import { Random, runSeed } from "./random.ts"
import { type Subject, startSubject } from "./subject.ts"
import { Tally } from "./tally.ts"

export interface OracleFamilyOptions extends GeneratorOptions {
  looser?: LooserTable
  /** Also write other types to the keys all types share, for WRONGTYPE errors. True when not told. */
  otherTypes?: boolean
  /** Compare all data at the end of every round, with "encodings" also OBJECT ENCODING. True when not told. */
  finalState?: boolean | "encodings"
  /** Commands per round, 1000 when not told. */
  roundLength?: number
  /**
   * Compare the keyspace events, in their order, after every block of commands; false for not at all, or the names of those
   * not to be compared. All when not told.
   */
  events?: false | { except: readonly string[] }
  /** Compare keyspace_hits and keyspace_misses after every block of commands. True when not told. */
  lookups?: boolean
  /** Sent to both at the start of every round, without comparing. */
  prepare?: readonly Command[]
  /** The protocols to compare in; both when not told. */
  resp?: readonly (2 | 3)[]
  /** The oracle's version from which on it knows these commands: with an older one the tests are skipped. */
  since?: string
  /** Starts the server under test; ours when not told. */
  subject?: () => Promise<Subject>
}

/** Commands per family and run: small by default; the environment variable BUNDIS_FUZZ sets another number. */
export const fuzzCount = Number(process.env.BUNDIS_FUZZ ?? 2000)

/** Commands per write. */
const blockLength = 200

const otherTypes: Record<string, number> = {
  "SET sharedkey value": 1,
  "RPUSH sharedkey value...": 1,
  "SADD sharedkey member...": 1,
  "HSET sharedkey (field value)...": 1,
  "ZADD sharedkey (score member)...": 1,
  "XADD sharedkey 1-1 field value": 1,
  "DEL sharedkey": 2,
}
/** One command in this many is about another type. */
const otherTypesOneIn = 12

export function oracleFamily(name: string, options: OracleFamilyOptions): void {
  const family = new OracleFamily(options)
  describe(`oracle: ${name}`, () => {
    afterAll(() => {
      if (family.tally !== undefined) console.log([`tally of ${name}`, ...family.tally.lines()].join("\n"))
    })
    const protocols = options.resp ?? [2, 3]
    const count = Math.ceil(fuzzCount / protocols.length)
    for (const resp of protocols) {
      test.skipIf(!oracleAvailable || (options.since !== undefined && !oracleKnows(options.since)))(
        `${count} random commands, RESP${resp}`,
        async () => {
          await using subject = await (options.subject ?? startSubject)()
          await family.run(subject.port, resp, count)
        },
        60_000 + count,
      )
    }
  })
}

/** What `oracleFamily` runs, for tests that want to hold the servers themselves. */
export class OracleFamily {
  readonly tally = process.env.BUNDIS_TALLY ? new Tally() : undefined
  #options: OracleFamilyOptions
  #commands: CommandGenerator
  #otherTypes: CommandGenerator | null

  constructor(options: OracleFamilyOptions) {
    this.#options = options
    this.#commands = new CommandGenerator(options)
    this.#otherTypes =
      options.otherTypes === false ? null : new CommandGenerator({ commands: otherTypes, spoilOneIn: 0 })
  }

  /** Compares `count` commands; throws a `ReplyMismatch` on the first difference. */
  async run(port: number, resp: 2 | 3, count: number, seed: number = runSeed): Promise<void> {
    const oracle = await sharedOracle()
    const length = this.#options.roundLength ?? 1000
    for (let round = 0; round * length < count; round++) {
      const pair = new Pair(port, oracle.port, resp, this.#options, this.tally)
      await this.#round(pair, (seed + round) >>> 0, Math.min(length, count - round * length))
    }
  }

  async #round(pair: Pair, seed: number, count: number): Promise<void> {
    const commands = this.#generate(seed, count)
    const failure = await pair.run(commands, this.#options.finalState ?? true)
    if (failure === null) return
    const { difference, sequence } = failure
    const history = sequence.slice(0, -1).map(commandOf)
    const more = await this.#shorten(pair, failure)
    throw new ReplyMismatch(difference, history, seed, `RESP${pair.resp}\n${more}`)
  }

  /** The shortest failing sequence found, as lines for redis-cli. */
  async #shorten(pair: Pair, { difference, sequence }: Failure): Promise<string> {
    if ([difference.ours, difference.theirs].some(reply => reply.startsWith("no reply: nothing came"))) {
      return "not made shorter, because each attempt would wait for the timeout again"
    }
    let last = difference
    const shortest = await minimise(sequence, async candidate => {
      const failure = await pair.run(candidate, false)
      last = failure?.difference ?? last
      return failure?.difference.index ?? null
    })
    if (!shortest.reproduced) return "it did not fail again when replayed: does it depend on time or chance?"
    return [
      `from empty servers these ${shortest.sequence.length} commands are enough:`,
      ...shortest.sequence.map(command => "  " + formatCommand(commandOf(command))),
      `ours     ${last.ours}`,
      `theirs   ${last.theirs}`,
    ].join("\n")
  }

  #generate(seed: number, count: number): Command[] {
    const random = new Random(seed)
    const others = this.#otherTypes?.round(new Random(seed ^ 0x5bd1e995), count)
    const commands: Command[] = []
    for (const together of this.#commands.round(random, count)) {
      const isReplaced = together.length === 1 && others !== undefined && random.oneIn(otherTypesOneIn)
      commands.push(...(isReplaced ? others.next().value! : together))
    }
    return commands
  }
}

interface Failure {
  difference: Difference
  /** All commands up to the one that failed. */
  sequence: readonly (Command | LooseCommand)[]
}

/** The two servers, and runs of command sequences on both, each from empty and on fresh connections. */
class Pair {
  readonly resp: 2 | 3
  #ports: [number, number]
  #options: OracleFamilyOptions
  #tally: Tally | undefined

  constructor(ourPort: number, oraclePort: number, resp: 2 | 3, options: OracleFamilyOptions, tally?: Tally) {
    this.#ports = [ourPort, oraclePort]
    this.resp = resp
    this.#options = options
    this.#tally = tally
  }

  async run(commands: readonly (Command | LooseCommand)[], finalState: boolean | "encodings"): Promise<Failure | null> {
    await using ours = await Client.connect(this.#ports[0], { resp: this.resp })
    await using oracle = await Client.connect(this.#ports[1], { resp: this.resp })
    // Apart from the two, which may be within a transaction.
    await using ourObserver = await Client.connect(this.#ports[0])
    await using oracleObserver = await Client.connect(this.#ports[1])
    const prepare: Command[] = [
      ["FLUSHALL"],
      ...(this.#options.prepare ?? []),
      ["CONFIG", "SET", "notify-keyspace-events", this.#options.events === false ? "" : "EAmn"],
      ["CONFIG", "RESETSTAT"],
    ]
    const [flushed] = await ours.pipeline(prepare)
    await oracle.pipeline(prepare)
    if (formatReply(flushed!) !== "+OK") throw new Error(`FLUSHALL was answered with ${formatReply(flushed!)}`)
    await using events = await Events.of(this.#ports)
    const options = { looser: this.#options.looser, block: blockLength, tally: this.#tally }
    for (let from = 0; from < commands.length; from += blockLength) {
      const block = commands.slice(from, from + blockLength)
      const difference =
        (await findDifference(ours, oracle, block, options)) ??
        (this.#options.events === false ? null : await events.difference(block, this.#options.events?.except)) ??
        (this.#options.lookups === false ? null : await this.#lookups(ourObserver, oracleObserver, block))
      if (difference === null) continue
      const index = from + difference.index
      return { difference: { ...difference, index }, sequence: commands.slice(0, index + 1) }
    }
    if (!finalState) return null
    const reading = await readingCommands(oracle, finalState === "encodings")
    const inState = await findDifference(ours, oracle, reading, { block: blockLength })
    if (inState === null) return null
    return {
      difference: { ...inState, index: commands.length + inState.index },
      sequence: [...commands, ...reading.slice(0, inState.index + 1)],
    }
  }

  /** Whether the servers have looked up as many keys, told of the last command of `block`. */
  async #lookups(ours: Client, oracle: Client, block: readonly (Command | LooseCommand)[]): Promise<Difference | null> {
    const [counted, expected] = [await lookups(ours), await lookups(oracle)]
    const index = block.length - 1
    return counted === expected ? null : { index, command: commandOf(block[index]!), ours: counted, theirs: expected }
  }
}

/** How many keys were found and how many not, since the last CONFIG RESETSTAT. */
async function lookups(client: Client): Promise<string> {
  const text = String(await client.plain("INFO", "stats"))
  return [...text.matchAll(/keyspace_(?:hits|misses):\d+/g)].join(" ")
}

/** One more connection to each server, which hears the keyspace events. */
class Events implements AsyncDisposable {
  #listeners: [Client, Client]

  private constructor(listeners: [Client, Client]) {
    this.#listeners = listeners
  }

  static async of(ports: readonly [number, number]): Promise<Events> {
    const connect = async (port: number) => {
      const listener = await Client.connect(port, { resp: 3 })
      listener.sendCommand("PSUBSCRIBE", "__keyevent@*__:*")
      await listener.readPush()
      return listener
    }
    return new Events(await Promise.all([connect(ports[0]), connect(ports[1])]))
  }

  /** The first event in which the servers differ, told of the last command of `block`. */
  async difference(
    block: readonly (Command | LooseCommand)[],
    except: readonly string[] = [],
  ): Promise<Difference | null> {
    const [ours, theirs] = await Promise.all(this.#listeners.map(listener => heard(listener, except)))
    const at = ours!.findIndex((event, i) => event !== theirs![i])
    if (at < 0 && ours!.length === theirs!.length) return null
    const first = at < 0 ? ours!.length : at
    const show = (events: string[]) => `events ${events.slice(first, first + 5).join(", ") || "(no more)"}`
    const index = block.length - 1
    return { index, command: commandOf(block[index]!), ours: show(ours!), theirs: show(theirs!) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.#listeners) listener.close()
  }
}

/** "name of database: key" of all events so far: an answer behind them on the same connection says that there are no more. */
async function heard(listener: Client, except: readonly string[]): Promise<string[]> {
  await listener.call("PING")
  const pushes = await listener.readRawPushes(listener.unread.pushes)
  return pushes.flatMap(push => {
    const reply = decodeReply(push)
    if (reply.type !== "push") throw new Error(`not an event: ${formatReply(push)}`)
    const [, , channel, key] = reply.items.map(item => (item as { value: Uint8Array }).value)
    const [, database, name] = /^__keyevent@(\d+)__:(.*)$/.exec(Buffer.from(channel!).toString("latin1"))!
    return except.includes(name!) ? [] : [`${name} of ${database}: ${quote(key!)}`]
  })
}
