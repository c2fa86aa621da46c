/**
 * Compares our server with another one (the oracle): the same commands to both, and the replies must be the same bytes.
 *
 * Where they may differ, the check is loosened by name, and only for the commands that need it:
 *
 *     compareCommands(ours, oracle, commands, { looser: { SMEMBERS: { unordered: true }, PTTL: { approx: 2000 } } })
 */
import { decodeReply, type Reply } from "../../src/resp/reply-decoder.ts"
import { type Client, ConnectionLost } from "./client.ts"
import { type Command, escaped, formatCommand, parseCommands } from "./command.ts"
import type { Tally } from "./tally.ts"

/** Ways to be less strict about one command's replies. Several may be given together. */
export interface Looser {
  /**
   * Arrays are compared as multisets, at every level. "pairs": flat arrays of pairs (HGETALL in RESP2) as multisets of
   * pairs. Sets and maps of RESP3 are always compared without order under either.
   */
  unordered?: true | "pairs"
  /**
   * A SCAN family reply. Where an iteration pauses is each server's own affair, so elements are compared (as a multiset,
   * of pairs) only if both cursors are 0: give a COUNT beyond the size of everything.
   */
  scan?: true | "pairs"
  /** Doubles, and bulk strings that read as one, are compared as numbers: formatting differs between versions. */
  doubles?: true
  /** Numbers (and bulk strings that read as one) may differ by this much. */
  approx?: number
  /** Two errors need only share their first word (`ERR`, `WRONGTYPE`). */
  errorCode?: true
  /** Only the type of the reply must be the same; null and non-null differ. */
  sameShape?: true
  /** The command is sent and its reply is not compared at all. */
  ignore?: true
}

/** By command, upper case, or container and subcommand: "SMEMBERS", "OBJECT IDLETIME". The longer name wins. */
export type LooserTable = Record<string, Looser>

/** A command of which the check is loosened just here. */
export interface LooseCommand {
  command: Command
  looser: Looser
}

/** `loosely({ unordered: true }, "KEYS", "*")`. */
export function loosely(looser: Looser, ...command: Command): LooseCommand {
  return { command, looser }
}

export interface CompareOptions {
  looser?: LooserTable
  /** Commands per write; 1 (one by one) when not told. */
  block?: number
  /** Where the commands came from, for the message. */
  seed?: number
  /** What was sent before, for the message. */
  history?: readonly Command[]
  /** Is told of every command and what the oracle answered. */
  tally?: Tally
}

/** Two replies that should have been the same. */
export interface Difference {
  /** Of the command, in the list given. */
  index: number
  command: Command
  ours: string
  theirs: string
}

/** Sends `commands` to both and throws a `ReplyMismatch` for the first reply that differs. */
export async function compareCommands(
  ours: Client,
  oracle: Client,
  commands: readonly (Command | LooseCommand)[],
  options: CompareOptions = {},
): Promise<void> {
  const difference = await findDifference(ours, oracle, commands, options)
  if (difference === null) return
  const history = [...(options.history ?? []), ...commands.slice(0, difference.index).map(commandOf)]
  throw new ReplyMismatch(difference, history, options.seed)
}

/** `compareCommands` for commands written as text, one per line, as redis-cli takes them. */
export function compareText(ours: Client, oracle: Client, text: string, options: CompareOptions = {}): Promise<void> {
  return compareCommands(ours, oracle, parseCommands(text), options)
}

/** Sends `commands` to both, up to the block in which the first reply differs; null when all agree. */
export async function findDifference(
  ours: Client,
  oracle: Client,
  commands: readonly (Command | LooseCommand)[],
  options: CompareOptions = {},
): Promise<Difference | null> {
  const size = options.block ?? 1
  for (let from = 0; from < commands.length; from += size) {
    const block = commands.slice(from, from + size)
    const plain = block.map(commandOf)
    const [mine, theirs] = await Promise.all([answers(ours, plain), answers(oracle, plain)])
    for (let i = 0; i < block.length; i++) {
      const looser = looserOf(block[i]!, options.looser)
      const [a, b] = [mine[i]!, theirs[i]!]
      options.tally?.note(plain[i]!, b)
      if (typeof a === "string" || typeof b === "string") {
        if (a === b) continue
        return { index: from + i, command: plain[i]!, ours: printAnswer(a), theirs: printAnswer(b) }
      }
      if (!agree(a, b, looser)) {
        return { index: from + i, command: plain[i]!, ours: formatReply(a), theirs: formatReply(b) }
      }
    }
  }
  return null
}

/** Whether two complete replies are the same, as strictly as `looser` says: byte for byte when it is not given. */
export function agree(ours: Uint8Array, theirs: Uint8Array, looser?: Looser): boolean {
  if (looser?.ignore || Buffer.compare(ours, theirs) === 0) return true
  return looser !== undefined && repliesAgree(decodeReply(ours), decodeReply(theirs), looser)
}

/**
 * All data of both servers must be the same: keys, types, times to live (within 5 s) and contents, and with
 * `encodings` also OBJECT ENCODING. Needs KEYS, TYPE, PTTL and the reading commands.
 */
export async function compareKeyspaces(
  ours: Client,
  oracle: Client,
  options: CompareOptions & { encodings?: boolean } = {},
): Promise<void> {
  const commands = await readingCommands(oracle, options.encodings)
  await compareCommands(ours, oracle, commands, { ...options, block: options.block ?? 200 })
}

/** Commands that read all that the server holds, starting with the list of its keys. */
export async function readingCommands(server: Client, encodings = false): Promise<LooseCommand[]> {
  const keys = decodeReply(await server.raw("KEYS", "*"))
  if (keys.type !== "array") throw new Error(`KEYS was answered with ${JSON.stringify(keys)}`)
  const names = keys.items.map(item => (item as { value: Uint8Array }).value)
  const types = await server.pipeline(names.map(name => ["TYPE", name]))
  const commands = [loosely({ unordered: true }, "KEYS", "*")]
  names.forEach((name, i) => {
    commands.push(loosely({}, "TYPE", name), loosely({ approx: 5000 }, "PTTL", name))
    if (encodings) commands.push(loosely({}, "OBJECT", "ENCODING", name))
    const reading = readingByType[(decodeReply(types[i]!) as { value: string }).value]
    if (reading) commands.push(reading(name))
  })
  return commands
}

const readingByType: Record<string, (key: Uint8Array) => LooseCommand> = {
  string: key => loosely({}, "GET", key),
  list: key => loosely({}, "LRANGE", key, 0, -1),
  set: key => loosely({ unordered: true }, "SMEMBERS", key),
  hash: key => loosely({ unordered: "pairs" }, "HGETALL", key),
  zset: key => loosely({ doubles: true }, "ZRANGE", key, 0, -1, "WITHSCORES"),
  stream: key => loosely({}, "XRANGE", key, "-", "+"),
}

export class ReplyMismatch extends Error {
  override name = "ReplyMismatch"
  readonly difference: Difference

  constructor(difference: Difference, history: readonly Command[], seed?: number, more = "") {
    const recent = history.slice(-20)
    const lines = ["replies differ"]
    if (seed !== undefined) lines.push(`seed     BUNDIS_SEED=${seed}`)
    lines.push(`command  ${formatCommand(difference.command)}`)
    lines.push(`ours     ${difference.ours}`, `theirs   ${difference.theirs}`)
    if (recent.length > 0) {
      lines.push(`the ${recent.length} commands before it:`, ...recent.map(command => "  " + formatCommand(command)))
    }
    if (more !== "") lines.push(more)
    super(lines.join("\n"))
    this.difference = difference
    Object.defineProperty(this, "difference", { enumerable: false }) // the message says it all
  }
}

/** A reply on one line, with its wire types: `*2 [":1", "$3 abc"]` becomes `[(int) 1, "abc"]`. */
export function formatReply(frame: Uint8Array): string {
  const text = format(decodeReply(frame))
  return text.length > 4000 ? text.slice(0, 4000) + `… (${frame.length} bytes)` : text
}

export function looserOf(command: Command | LooseCommand, table: LooserTable | undefined): Looser | undefined {
  if (isLoose(command)) return command.looser
  if (table === undefined) return undefined
  const name = nameOf(command[0])
  return table[`${name} ${nameOf(command[1])}`] ?? table[name]
}

export function commandOf(command: Command | LooseCommand): Command {
  return isLoose(command) ? command.command : command
}

function isLoose(command: Command | LooseCommand): command is LooseCommand {
  return !Array.isArray(command)
}

function nameOf(arg: Command[number] | undefined): string {
  return typeof arg === "string" ? arg.toUpperCase() : ""
}

/** One answer per command: reply bytes, or the text that says how the connection ended. */
async function answers(client: Client, commands: readonly Command[]): Promise<(Uint8Array | string)[]> {
  try {
    return await client.pipeline(commands)
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error
    const received: (Uint8Array | string)[] = error.received
    return commands.map((_, i) => received[i] ?? error.message)
  }
}

function printAnswer(answer: Uint8Array | string): string {
  return typeof answer === "string" ? `no reply: ${answer}` : formatReply(answer)
}

function repliesAgree(ours: Reply, theirs: Reply, looser: Looser): boolean {
  if (looser.sameShape) return ours.type === theirs.type
  if (looser.errorCode && ours.type === "error" && theirs.type === "error") {
    return firstWord(ours.value) === firstWord(theirs.value)
  }
  if (looser.scan && ours.type === "array" && theirs.type === "array" && ours.items.length === 2) {
    const [cursor, elements] = ours.items as [Reply, Reply]
    const [otherCursor, otherElements] = theirs.items as [Reply, Reply | undefined]
    if (otherElements?.type !== elements.type || otherCursor.type !== cursor.type) return false
    if (!isZero(cursor) || !isZero(otherCursor)) return true
    const inner: Looser = { ...looser, scan: undefined, unordered: looser.scan }
    return repliesAgree(elements, otherElements, inner)
  }
  if (looser.doubles || looser.approx !== undefined) {
    const a = numberIn(ours)
    const b = numberIn(theirs)
    if (ours.type === theirs.type && a !== null && b !== null) {
      return Object.is(a, b) || Math.abs(a - b) <= (looser.approx ?? 0)
    }
  }
  switch (ours.type) {
    case "array":
    case "push":
    case "set":
      return theirs.type === ours.type && itemsAgree(ours.items, theirs.items, looser, ours.type === "set")
    case "map":
      return theirs.type === "map" && entriesAgree(ours.entries, theirs.entries, looser)
    case "attribute":
      return (
        theirs.type === "attribute" &&
        entriesAgree(ours.entries, theirs.entries, looser) &&
        repliesAgree(ours.of, theirs.of, looser)
      )
    default:
      return format(ours) === format(theirs)
  }
}

function itemsAgree(ours: Reply[], theirs: Reply[], looser: Looser, isSet: boolean): boolean {
  if (ours.length !== theirs.length) return false
  if (looser.unordered === "pairs" && !isSet && ours.length % 2 === 0 && !ours.some(item => item.type === "array")) {
    return entriesAgree(pairs(ours), pairs(theirs), looser)
  }
  if (looser.unordered) {
    ours = sorted(ours, looser)
    theirs = sorted(theirs, looser)
  }
  return ours.every((item, i) => repliesAgree(item, theirs[i]!, looser))
}

function entriesAgree(ours: [Reply, Reply][], theirs: [Reply, Reply][], looser: Looser): boolean {
  if (ours.length !== theirs.length) return false
  const asItems = (entries: [Reply, Reply][]) =>
    entries.map(([key, value]): Reply => ({ type: "array", items: [key, value] }))
  const within: Looser = { ...looser, unordered: undefined }
  const order = (items: Reply[]) => (looser.unordered ? sorted(items, within) : items)
  const mine = order(asItems(ours))
  const other = order(asItems(theirs))
  return mine.every((item, i) => repliesAgree(item, other[i]!, within))
}

function pairs(items: Reply[]): [Reply, Reply][] {
  const entries: [Reply, Reply][] = []
  for (let i = 0; i < items.length; i += 2) entries.push([items[i]!, items[i + 1]!])
  return entries
}

/** By their printed form, in which what `looser` does not tell apart looks the same. */
function sorted(items: Reply[], looser: Looser): Reply[] {
  return items
    .map(item => ({ item, key: sortKey(item, looser) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ item }) => item)
}

function sortKey(reply: Reply, looser: Looser): string {
  if ("items" in reply) {
    const keys = reply.items.map(item => sortKey(item, looser))
    return reply.type + (looser.unordered ? keys.sort() : keys).join()
  }
  const number = looser.doubles || looser.approx !== undefined ? numberIn(reply) : null
  return number === null ? format(reply) : String(number)
}

function numberIn(reply: Reply): number | null {
  if (reply.type === "double" || reply.type === "integer") return Number(reply.value)
  if (reply.type !== "bulk" || reply.value.length > 400) return null
  const text = Buffer.from(reply.value).toString("latin1")
  if (/^-?inf$/.test(text)) return text === "inf" ? Infinity : -Infinity
  return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) ? Number(text) : null
}

function isZero(reply: Reply): boolean {
  return reply.type === "bulk" && reply.value.length === 1 && reply.value[0] === 48
}

function firstWord(text: string): string {
  return text.split(" ", 1)[0]!
}

function format(reply: Reply): string {
  switch (reply.type) {
    case "simple":
      return "+" + escaped(Buffer.from(reply.value))
    case "error":
      return "-" + escaped(Buffer.from(reply.value))
    case "bulkError":
      return "!" + escaped(Buffer.from(reply.value))
    case "integer":
      return `(int) ${reply.value}`
    case "bigNumber":
      return `(big) ${reply.value}`
    case "double":
      return `(double) ${reply.text}`
    case "boolean":
      return reply.value ? "#true" : "#false"
    case "null":
      return { bulk: "(null $-1)", array: "(null *-1)", null: "(null _)" }[reply.form]
    case "bulk":
      return `"${escaped(reply.value)}"`
    case "verbatim":
      return `${reply.format}:"${escaped(reply.value)}"`
    case "array":
      return `[${reply.items.map(format).join(", ")}]`
    case "set":
      return `set[${reply.items.map(format).join(", ")}]`
    case "push":
      return `push[${reply.items.map(format).join(", ")}]`
    case "map":
      return `{${formatEntries(reply.entries)}}`
    case "attribute":
      return `|{${formatEntries(reply.entries)}} ${format(reply.of)}`
  }
}

function formatEntries(entries: [Reply, Reply][]): string {
  return entries.map(([key, value]) => `${format(key)}: ${format(value)}`).join(", ")
}
