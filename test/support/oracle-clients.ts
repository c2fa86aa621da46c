/**
 * As oracle-family.ts, with several connections to each server: transactions and what they watch, messages, commands that
 * wait, keys that clients track.
 *
 * Every command goes to one connection of ours and to the same one of the oracle, and is awaited before the next one is
 * sent, so that both servers see the same order. A PING behind it with a number of its own tells where its replies end;
 * inside MULTI, where PING would be queued, it is known that there is one. What each connection received is compared in
 * blocks, pushes and messages included, in their order.
 */
import { describe, test } from "bun:test"
import { ReplyDecoder } from "../../src/resp/reply-decoder.ts"
import { Client } from "./client.ts"
import { type Command, encodeCommands, formatCommand } from "./command.ts"
import {
  agree,
  type Difference,
  findDifference,
  formatReply,
  type Looser,
  type LooserTable,
  looserOf,
  ReplyMismatch,
  readingCommands,
} from "./compare.ts"
import { until } from "./condition.ts"
import { CommandGenerator, type GeneratorOptions } from "./generator.ts"
import { minimise } from "./minimise.ts"
import { oracleAvailable, sharedOracle } from "./oracle.ts"
import { fuzzCount } from "./oracle-family.ts"
import { Random, runSeed } from "./random.ts"
import { type Subject, startSubject } from "./subject.ts"

export interface OracleClientsOptions extends GeneratorOptions {
  /** Connections to each server; 3 when not told. Of commands that wait, the first never gets any. */
  clients?: number
  looser?: LooserTable
  /** Commands that answer with as many replies as they like, in an order of their own: they are only counted. */
  counted?: (command: Command) => boolean
  /** Sent to both at the start of every round, without comparing. */
  prepare?: readonly Command[]
  /** The protocols to compare in; both when not told. */
  resp?: readonly (2 | 3)[]
  /** Compare all data at the end of every round. True when not told. */
  finalState?: boolean
  subject?: () => Promise<Subject>
}

interface Step {
  client: number
  command: Command
}

/** Commands per round, and how many of them until what was received is compared. */
const roundLength = 500
const blockLength = 25

export function oracleClients(name: string, options: OracleClientsOptions): void {
  describe(`oracle: ${name}`, () => {
    const protocols = options.resp ?? [2, 3]
    const count = Math.ceil(fuzzCount / protocols.length)
    for (const resp of protocols) {
      test.skipIf(!oracleAvailable)(
        `${count} random commands, RESP${resp}`,
        async () => {
          await using subject = await (options.subject ?? startSubject)()
          const oracle = await sharedOracle()
          for (let round = 0; round * roundLength < count; round++) {
            const seed = (runSeed + round) >>> 0
            const steps = generate(options, seed, Math.min(roundLength, count - round * roundLength))
            await runRound(steps, [subject.port, oracle.port], resp, seed, options)
          }
        },
        60_000 + count * 4,
      )
    }
  })
}

function generate(options: OracleClientsOptions, seed: number, count: number): Step[] {
  const random = new Random(seed)
  const steps: Step[] = []
  const clients = options.clients ?? 3
  for (const together of new CommandGenerator(options).round(random, count)) {
    const client = random.between(together.some(mayWait) ? 1 : 0, clients - 1)
    for (const command of together) steps.push({ client, command })
  }
  return steps
}

async function runRound(
  steps: readonly Step[],
  ports: readonly [number, number],
  resp: 2 | 3,
  seed: number,
  options: OracleClientsOptions,
): Promise<void> {
  const difference = await runSteps(steps, ports, resp, options)
  if (difference === null) return
  const shortest = await minimise(steps.slice(0, difference.index + 1), async candidate => {
    return (await runSteps(candidate, ports, resp, options))?.index ?? null
  })
  const show = ({ client, command }: Step) => `  ${client}: ${formatCommand(command)}`
  const more = shortest.reproduced
    ? [`from empty servers these ${shortest.sequence.length} commands are enough:`, ...shortest.sequence.map(show)]
    : ["it did not fail again when replayed: does it depend on time or chance?"]
  throw new ReplyMismatch(difference, [], seed, [`RESP${resp}`, ...more].join("\n"))
}

/** The first difference, null when there is none. */
async function runSteps(
  steps: readonly Step[],
  ports: readonly [number, number],
  resp: 2 | 3,
  options: OracleClientsOptions,
): Promise<Difference | null> {
  await using ours = await Side.open(ports[0], resp, options)
  await using theirs = await Side.open(ports[1], resp, options)
  for (let from = 0; from < steps.length; from += blockLength) {
    const block = steps.slice(from, from + blockLength)
    for (let i = 0; i < block.length; i++) {
      const { client, command } = block[i]!
      await Promise.all([ours.run(client, command, from + i), theirs.run(client, command, from + i)])
      if (ours.isWaiting(client) === theirs.isWaiting(client)) continue
      const said = (side: Side) => (side.isWaiting(client) ? "waits" : "does not wait")
      return { index: from + i, command, ours: said(ours), theirs: said(theirs) }
    }
    const last = from + block.length - 1
    await Promise.all([ours.settle(last), theirs.settle(last)])
    const difference = compareReceived(ours.take(), theirs.take(), steps, options)
    if (difference !== null) return difference
  }
  if (options.finalState === false) return null
  const inState = await findDifference(ours.control, theirs.control, await readingCommands(theirs.control), {
    block: 100,
  })
  return inState && { ...inState, index: steps.length - 1 }
}

/** What one connection received up to the end of a step's replies. */
interface Received {
  /** What the frames answer. */
  step: number
  /** The last step that had been sent by then. */
  until: number
  client: number
  /** Whether the step is this connection's own. */
  isAnswer: boolean
  frames: readonly Uint8Array[]
}

function compareReceived(
  ours: readonly Received[],
  theirs: readonly Received[],
  steps: readonly Step[],
  options: OracleClientsOptions,
): Difference | null {
  const byStep = (a: Received, b: Received) => a.step - b.step || a.client - b.client
  const sorted = [[...ours].sort(byStep), [...theirs].sort(byStep)] as const
  for (const [i, mine] of sorted[0].entries()) {
    const other = sorted[1][i]
    const { command } = steps[mine.step]!
    const looser = mine.isAnswer ? looserOf(command, options.looser) : undefined
    const isCounted = mine.isAnswer && options.counted?.(command)
    const same =
      other !== undefined &&
      mine.frames.length === other.frames.length &&
      (isCounted ||
        mine.frames.every((frame, at) => agree(frame, other.frames[at]!, isInvalidation(frame) ? anyOrder : looser)))
    if (same) continue
    const show = (received: Received | undefined) =>
      `client ${received?.client}: ${received?.frames.map(formatReply).join("  ") || "nothing"}`
    return { index: mine.until, command, ours: show(mine), theirs: show(other) }
  }
  return null
}

const anyOrder: Looser = { unordered: true }

/** Of several keys in the order of a tree or of their changes. */
function isInvalidation(frame: Uint8Array): boolean {
  return /^>2\r\n\$10\r\ninvalidate/.test(Buffer.from(frame).toString("latin1"))
}

/** One server with its connections. */
class Side implements AsyncDisposable {
  readonly control: Client
  #peers: Peer[]
  #received: Received[] = []
  #pushes: Uint8Array[][]

  #counted: OracleClientsOptions["counted"]

  private constructor(control: Client, peers: Peer[], options: OracleClientsOptions) {
    this.#counted = options.counted
    this.control = control
    this.#peers = peers
    this.#pushes = peers.map(() => [])
  }

  static async open(port: number, resp: 2 | 3, options: OracleClientsOptions): Promise<Side> {
    const control = await Client.connect(port)
    await control.pipeline([["FLUSHALL"], ...(options.prepare ?? [])])
    const peers: Peer[] = []
    for (let i = 0; i < (options.clients ?? 3); i++) peers.push(await Peer.connect(port, resp))
    return new Side(control, peers, options)
  }

  isWaiting(client: number): boolean {
    return this.#peers[client]!.isWaiting
  }

  async run(client: number, command: Command, step: number): Promise<void> {
    const peer = this.#peers[client]!
    // It waits until the end of the block: nothing can be said to it.
    if (peer.isWaiting) return
    peer.send(command)
    if (mayWait(command) && !peer.inTransaction) {
      const isSettled = async () => {
        peer.isWaiting = !peer.isAnswered && (await this.#isBlocked(peer))
        return peer.isAnswered || peer.isWaiting
      }
      await until(isSettled, { what: "an answer" })
      peer.waitingSince = step
      if (peer.isWaiting) return
    }
    this.#note(client, step, true, await peer.answers(), this.#counted?.(command))
  }

  /** Ends all waiting, and makes sure that everything sent to every connection has come. */
  async settle(step: number): Promise<void> {
    for (const [client, peer] of this.#peers.entries()) {
      if (peer.isWaiting) {
        await this.control.call("CLIENT", "UNBLOCK", peer.id)
        peer.isWaiting = false
        this.#note(client, peer.waitingSince, true, await peer.answers(), false, step)
      }
    }
    for (const [client, peer] of this.#peers.entries()) {
      if (peer.inTransaction) continue
      peer.fence()
      this.#note(client, step, false, await peer.answers())
    }
    for (const [client, pushes] of this.#pushes.entries()) {
      if (this.#peers[client]!.inTransaction) continue
      this.#received.push({ client, step, until: step, isAnswer: false, frames: inOneOrder(pushes.splice(0)) })
    }
  }

  /** All that has been received since the last time. */
  take(): Received[] {
    return this.#received.splice(0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.control.close()
    await Promise.all(this.#peers.map(peer => peer.close()))
    await using control = await Client.connect(this.#peers[0]!.port)
    const gone = async () => {
      const list = String(await control.plain("CLIENT", "LIST"))
      return this.#peers.every(({ id }) => !list.includes(`id=${id} `))
    }
    await until(gone, { what: "the connections to be gone" })
  }

  /**
   * Pushes are kept apart until the end of the block: 7.0 sends those that a command makes for its own connection before the
   * reply, 7.2 and we behind it; and what is sent at the end of a turn may come before or behind the PING.
   */
  #note(client: number, step: number, isAnswer: boolean, frames: Uint8Array[], isCounted = false, until = step): void {
    const replies = frames.filter(frame => frame[0] !== PUSH)
    const pushes = frames.filter(frame => frame[0] === PUSH)
    this.#pushes[client]!.push(...(isCounted ? [Buffer.from(`:${pushes.length}\r\n`)] : pushes))
    this.#received.push({ client, step, until, isAnswer, frames: inOneOrder(replies) })
  }

  async #isBlocked(peer: Peer): Promise<boolean> {
    return / flags=\w*b/.test(String(await this.control.plain("CLIENT", "LIST", "ID", peer.id)))
  }
}

/** A message that several patterns match comes once for each, in the order of a hash table: sorts such neighbours. */
function inOneOrder(frames: readonly Uint8Array[]): Uint8Array[] {
  const isPatternMessage = (frame: Uint8Array) =>
    /^[*>]4\r\n\$8\r\npmessage/.test(Buffer.from(frame).toString("latin1"))
  const sorted: Uint8Array[] = []
  for (let from = 0; from < frames.length; ) {
    let to = from
    while (to < frames.length && isPatternMessage(frames[to]!)) to++
    if (to === from) to++
    sorted.push(...frames.slice(from, to).sort(Buffer.compare))
    from = to
  }
  return sorted
}

const waiting = /^(B[LRZ].*|XREAD|XREADGROUP)$/i

function mayWait([name]: Command): boolean {
  return waiting.test(String(name))
}

const PUSH = 0x3e

/** A connection that keeps all that comes, in its order. */
class Peer {
  readonly port: number
  id = 0
  inTransaction = false
  isWaiting = false
  /** The step of the command that waits. */
  waitingSince = 0
  #socket!: Bun.Socket
  #closed = Promise.withResolvers<void>()
  #decoder = new ReplyDecoder()
  #frames: Uint8Array[] = []
  /** How many replies are missing, when they are counted; else what the last one contains. */
  #missing = 0
  #mark = ""
  #marks = 0
  #arrived: () => void = () => {}

  private constructor(port: number) {
    this.port = port
  }

  static async connect(port: number, resp: 2 | 3): Promise<Peer> {
    const peer = new Peer(port)
    const socket = {
      data: (_: Bun.Socket, chunk: Uint8Array) => peer.#take(chunk),
      close: () => peer.#closed.resolve(),
    }
    peer.#socket = await Bun.connect({ hostname: "127.0.0.1", port, socket })
    peer.send(["CLIENT", "ID"])
    const [id] = await peer.answers()
    peer.id = Number(Buffer.from(id!).toString().slice(1))
    if (resp === 3) {
      peer.send(["HELLO", "3"])
      await peer.answers()
    }
    return peer
  }

  send(command: Command): void {
    const name = String(command[0]).toUpperCase()
    if (this.inTransaction) {
      if (name === "EXEC" || (command.length === 1 && (name === "DISCARD" || name === "RESET")))
        this.inTransaction = false
    } else if (command.length === 1 && name === "MULTI") this.inTransaction = true
    // In one piece, so that both servers see both in one turn: some things are sent at its end.
    if (this.inTransaction) {
      this.#missing = 1
      this.#write([command])
    } else this.fence(command)
  }

  fence(...commands: Command[]): void {
    this.#mark = `fence-${++this.#marks}`
    this.#write([...commands, ["PING", this.#mark]])
  }

  get isAnswered(): boolean {
    return this.#end() >= 0
  }

  /** What came since the last time, up to the end of the answers. */
  async answers(): Promise<Uint8Array[]> {
    const late = setTimeout(() => this.#socket.terminate(), 20_000)
    while (this.#end() < 0) {
      const arrived = new Promise<void>(resolve => (this.#arrived = resolve))
      const closed = await Promise.race([arrived.then(() => false), this.#closed.promise.then(() => true)])
      if (closed && this.#end() < 0) throw new Error(`no answers: ${this.#frames.map(formatReply).join(" ")}`)
    }
    clearTimeout(late)
    const end = this.#end()
    const frames = this.#frames.splice(0, end + 1)
    if (this.#mark !== "") frames.pop()
    this.#mark = ""
    this.#missing = 0
    return frames
  }

  async close(): Promise<void> {
    this.#socket.end()
    await this.#closed.promise
  }

  /** Index of the frame that ends the answers, -1 when it has not come. */
  #end(): number {
    if (this.#mark !== "") return this.#frames.findIndex(frame => endsWith(frame, this.#mark))
    let missing = this.#missing
    return this.#frames.findIndex(frame => frame[0] !== PUSH && --missing === 0)
  }

  #write(commands: readonly Command[]): void {
    const bytes = encodeCommands(commands)
    if (this.#socket.write(bytes) < bytes.length) throw new Error("the kernel took less than a command")
  }

  #take(chunk: Uint8Array): void {
    this.#decoder.push(chunk)
    for (let frame = this.#decoder.nextFrame(); frame !== null; frame = this.#decoder.nextFrame())
      this.#frames.push(frame)
    this.#arrived()
  }
}

function endsWith(frame: Uint8Array, mark: string): boolean {
  return frame.length < 64 && Buffer.from(frame).toString("latin1").endsWith(`${mark}\r\n`)
}
