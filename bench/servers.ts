/**
 * Server processes under measurement: where their executables are, how they are started and ended, what /proc says
 * about them, and a small client to talk to them.
 *
 * Both servers take the same command line (`--port N --dir D --directive value`), so one function starts either.
 * Every server gets its own empty directory and its own port, and is ended by the handle that started it.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dir, "..")

/** Linux's USER_HZ, the unit of utime and stime in /proc/PID/stat; 100 on every platform Bun runs on. */
const ticksPerSecond = 100
const pageBytes = 4096

/** One of the two candidates: `argv` is the command in front of the directives. */
export interface Candidate {
  name: string
  argv: string[]
}

export type Directives = Record<string, string>

/** A reply in JavaScript's terms; an error reply is an Error value, never thrown by the parser. */
export type Reply = string | number | null | Error | Reply[]

/** Encodes one command as RESP. Arguments are UTF-8 strings. */
export function encode(args: readonly string[]): string {
  let text = `*${args.length}\r\n`
  for (const arg of args) text += `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`
  return text
}

/**
 * A plain RESP2 client with one connection: commands in, replies out in order. Made for set-up and control, not for
 * load: replies are gathered by concatenation.
 */
export class Client {
  private input: Buffer = Buffer.alloc(0)
  private position = 0
  private readonly waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void }[] = []
  private output: Buffer = Buffer.alloc(0)
  private socket!: Bun.Socket

  private constructor() {}

  /** Connects once; rejects when nobody listens. */
  static async connect(port: number): Promise<Client> {
    const client = new Client()
    client.socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_, chunk) => client.receive(chunk),
        drain: () => client.flush(),
        close: () => client.fail(new Error("connection closed")),
        error: (_, error) => client.fail(error),
      },
    })
    return client
  }

  /** Sends a command; an error reply comes back as an Error value. */
  send(...args: string[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject })
      this.output = Buffer.concat([this.output, Buffer.from(encode(args))])
      this.flush()
    })
  }

  /** As `send`, but an error reply is thrown. */
  async call(...args: string[]): Promise<Reply> {
    const reply = await this.send(...args)
    if (reply instanceof Error) throw new Error(`${args[0]}: ${reply.message}`)
    return reply
  }

  /** INFO as a map of its fields. */
  async info(section: string): Promise<Map<string, string>> {
    const text = String(await this.call("INFO", section))
    return new Map(
      text
        .split("\r\n")
        .filter(line => line.includes(":"))
        .map(line => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
    )
  }

  close() {
    this.socket.end()
  }

  private flush() {
    if (this.output.length === 0) return
    const taken = this.socket.write(this.output)
    if (taken < 0) return this.fail(new Error("connection closed"))
    this.output = this.output.subarray(taken)
  }

  private fail(error: Error) {
    for (const waiter of this.waiting.splice(0)) waiter.reject(error)
  }

  private receive(chunk: Buffer) {
    this.input = this.position < this.input.length ? Buffer.concat([this.input.subarray(this.position), chunk]) : chunk
    this.position = 0
    for (;;) {
      const start = this.position
      const reply = this.parse()
      if (reply === undefined) {
        this.position = start
        return
      }
      this.waiting.shift()?.resolve(reply)
    }
  }

  /** The next whole reply, or undefined while bytes are missing. */
  private parse(): Reply | undefined {
    const end = this.input.indexOf("\r\n", this.position)
    if (end < 0) return undefined
    const kind = String.fromCharCode(this.input[this.position]!)
    const line = this.input.toString("latin1", this.position + 1, end)
    this.position = end + 2
    if (kind === "+") return line
    if (kind === "-") return new Error(line)
    if (kind === ":") return Number(line)
    const length = Number(line)
    if (length < 0) return null
    if (kind === "$") {
      if (this.input.length < this.position + length + 2) return undefined
      this.position += length + 2
      return this.input.toString("utf8", this.position - length - 2, this.position - 2)
    }
    if (kind !== "*") throw new Error(`unexpected reply type ${kind}`)
    const items: Reply[] = []
    for (let i = 0; i < length; i++) {
      const item = this.parse()
      if (item === undefined) return undefined
      items.push(item)
    }
    return items
  }
}

/** A TCP port nobody listens on at this moment. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
  const port = listener.port
  listener.stop(true)
  return port
}

/** A running server in a directory of its own. `await using` ends it and removes the directory. */
export class ServerProcess {
  constructor(
    readonly candidate: Candidate,
    readonly port: number,
    readonly dir: string,
    readonly process: Bun.Subprocess,
    private readonly ownsDir: boolean,
  ) {}

  get pid(): number {
    return this.process.pid
  }

  /** Whether it has ended, by itself or by a signal. */
  get ended(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  client(): Promise<Client> {
    return Client.connect(this.port)
  }

  /** CPU seconds spent so far by all threads, user and system. Linux only. */
  cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.pid}/stat`, "latin1")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
  }

  /** Resident bytes of the whole process. Linux only. */
  residentBytes(): number {
    return Number(readFileSync(`/proc/${this.pid}/statm`, "latin1").split(" ")[1]) * pageBytes
  }

  /** The end of what the server has logged so far. */
  logTail(): string {
    const path = join(this.dir, "server.log")
    return existsSync(path) ? readFileSync(path, "utf8").slice(-1500) : ""
  }

  /** Ends the process and waits for it; returns the exit code, or the number of the signal plus 128. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<number> {
    this.process.kill(signal)
    const patience = setTimeout(() => this.process.kill("SIGKILL"), 20_000)
    const code = await this.process.exited
    clearTimeout(patience)
    return code
  }

  async [Symbol.asyncDispose]() {
    await this.stop(this.ownsDir ? "SIGKILL" : "SIGTERM")
    if (this.ownsDir) rmSync(this.dir, { recursive: true, force: true })
  }
}

/** The directives of a server that persists nothing: what throughput and memory are measured with. */
export const inMemory: Directives = { save: "", appendonly: "no" }

/** Spawns without waiting for readiness. Without `dir` the server gets a fresh one, removed when it is disposed of. */
export function spawnServer(candidate: Candidate, directives: Directives, dir?: string): ServerProcess {
  const ownsDir = dir === undefined
  const home = dir ?? mkdtempSync(join(tmpdir(), "bundis-bench-"))
  const port = freePort()
  const options = { port: String(port), bind: "127.0.0.1", dir: home, ...directives }
  const argv = [...candidate.argv, ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])]
  const log = Bun.file(join(home, "server.log"))
  const process = Bun.spawn(argv, { cwd: home, stdin: "ignore", stdout: log, stderr: log })
  return new ServerProcess(candidate, port, home, process, ownsDir)
}

/** Resolves at the first PONG. Rejects when the process ends first or after `limitMs`, with the end of its log. */
export async function untilReady(server: ServerProcess, limitMs = 30_000): Promise<void> {
  const deadline = performance.now() + limitMs
  while (performance.now() < deadline) {
    if (server.ended) break
    try {
      const client = await server.client()
      const reply = await client.send("PING")
      client.close()
      if (reply === "PONG") return
    } catch {
      // Not listening yet: try again at once, the waiting is what start-up measures.
    }
    await Bun.sleep(0.5)
  }
  throw new Error(`${server.candidate.argv.join(" ")} did not become ready:\n${server.logTail()}`)
}

/** Starts a server and waits until it answers. */
export async function startServer(candidate: Candidate, directives: Directives, dir?: string): Promise<ServerProcess> {
  const server = spawnServer(candidate, directives, dir)
  try {
    await untilReady(server)
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return server
}

/** The reference server from PATH. */
export function redisCandidate(command = "redis-server"): Candidate {
  const argv = command.split(" ")
  const path = Bun.which(argv[0]!)
  if (path === null) throw new Error(`${argv[0]} is not in PATH: the comparison needs it`)
  return { name: "redis", argv: [path, ...argv.slice(1)] }
}

/** Our server as shipped: dist/bundis, built first when it is missing or older than any source file. */
export async function bundisCandidate(command?: string): Promise<Candidate> {
  if (command !== undefined) return { name: "bundis", argv: command.split(" ") }
  const executable = join(root, "dist", "bundis")
  if (!existsSync(executable) || Bun.file(executable).lastModified < newestSource()) {
    const build = Bun.spawn([process.execPath, "run", "build.ts", "--no-smoke"], {
      cwd: root,
      stdout: "inherit",
      stderr: "inherit",
    })
    if ((await build.exited) !== 0) throw new Error("build.ts failed: nothing to measure")
  }
  return { name: "bundis", argv: [executable] }
}

function newestSource(): number {
  let newest = 0
  for (const path of new Bun.Glob("src/**/*").scanSync({ cwd: root })) {
    newest = Math.max(newest, Bun.file(join(root, path)).lastModified)
  }
  return newest
}
