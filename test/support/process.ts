/**
 * bundis as a process of its own, for what only a process shows: exit codes, signals, logs, recovery after kill -9.
 * Runs the sources with bun, or the executable named by the environment variable BUNDIS_BINARY.
 */
import { join } from "node:path"
import { Client, type ClientOptions } from "./client.ts"
import { until } from "./condition.ts"
import { freePort } from "./free-port.ts"
import { TempDir } from "./temp-dir.ts"

const main = join(import.meta.dir, "../../src/main.ts")

export interface BundisProcessOptions {
  /** Directory to run in, kept afterwards (a temporary one is removed): pass the old one to restart on its files. */
  dir?: string
  /** 0 picks a free one. */
  port?: number
  env?: Record<string, string>
  stdin?: string
  /** False for processes that are expected to end by themselves, such as `--version` or a broken configuration. */
  untilReady?: boolean
  /** False leaves `--port` and `--dir` out of the command line. */
  defaultArgs?: boolean
}

interface Output {
  text: string
  ended: Promise<unknown>
}

export class BundisProcess implements AsyncDisposable {
  readonly port: number
  readonly dir: string
  readonly pid: number
  /** The exit code, or 128 + the signal's number. */
  readonly exited: Promise<number>
  #process: Bun.Subprocess
  #ownDir: TempDir | null
  #output: Output

  /** Use `startBundis`. */
  constructor(process: Bun.Subprocess, port: number, dir: string, ownDir: TempDir | null, output: Output) {
    this.#process = process
    this.pid = process.pid
    this.exited = process.exited
    this.port = port
    this.dir = dir
    this.#ownDir = ownDir
    this.#output = output
  }

  /** Everything it wrote to stdout and stderr so far. */
  get log(): string {
    return this.#output.text
  }

  /** Resolves when both streams have ended and `log` is complete. */
  get outputEnded(): Promise<unknown> {
    return this.#output.ended
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  connect(options?: ClientOptions): Promise<Client> {
    return Client.connect(this.port, options)
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** kill -9, and waits until it is gone. */
  async kill9(): Promise<void> {
    this.#process.kill("SIGKILL")
    await this.exited
  }

  /** SIGTERM; resolves with the exit code. */
  terminate(): Promise<number> {
    this.#process.kill("SIGTERM")
    return this.exited
  }

  /** Waits until the log holds `text` (or matches it). */
  async untilLogged(text: string | RegExp, timeoutMs?: number): Promise<void> {
    await until(() => (typeof text === "string" ? this.log.includes(text) : text.test(this.log)), {
      what: `the log to say ${text}`,
      timeoutMs,
    }).catch(error => {
      throw new Error(`${error.message}; the log:\n${this.log}`)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) await this.kill9()
    this.#ownDir?.remove()
  }
}

/** Starts it with `args` and, unless told otherwise, waits for "Ready to accept connections". */
export async function startBundis(args: string[] = [], options: BundisProcessOptions = {}): Promise<BundisProcess> {
  const ownDir = options.dir === undefined ? new TempDir("bundis-process-") : null
  const dir = options.dir ?? ownDir!.path
  for (let attempt = 1; ; attempt++) {
    const port = options.port || freePort()
    const binary = process.env.BUNDIS_BINARY
    const defaults = options.defaultArgs === false ? [] : ["--port", String(port), "--dir", dir]
    const child = Bun.spawn({
      // A configuration file comes first, so what is ours goes last.
      cmd: [...(binary ? [binary] : [process.execPath, "run", main]), ...args, ...defaults],
      cwd: dir,
      env: { ...process.env, ...options.env },
      stdin: options.stdin === undefined ? "ignore" : Buffer.from(options.stdin),
      stdout: "pipe",
      stderr: "pipe",
    })
    child.unref()
    const output: Output = { text: "", ended: Promise.resolve() }
    output.ended = Promise.all([collect(child.stdout, output), collect(child.stderr, output)])
    const started = new BundisProcess(child, port, dir, ownDir, output)
    if (options.untilReady === false) return started
    await until(() => !started.running || output.text.includes("Ready to accept connections"), {
      what: "bundis to be ready",
      timeoutMs: 20_000,
    }).catch(() => {})
    if (started.running && output.text.includes("Ready to accept connections")) return started
    await started.kill9()
    await output.ended
    const portTaken = /EADDRINUSE|already in use/i.test(output.text)
    if (!portTaken || options.port || attempt === 3) {
      ownDir?.remove()
      throw new Error(`bundis did not start (exit code ${child.exitCode}):\n${output.text}`)
    }
  }
}

/** Runs it to its end: exit code and output. */
export async function runBundis(
  args: string[],
  options: BundisProcessOptions = {},
): Promise<{ exitCode: number; output: string }> {
  await using bundis = await startBundis(args, { defaultArgs: false, ...options, untilReady: false })
  const exitCode = await bundis.exited
  await bundis.outputEnded
  return { exitCode, output: bundis.log }
}

async function collect(stream: ReadableStream<Uint8Array>, output: Output): Promise<void> {
  const decoder = new TextDecoder()
  for await (const chunk of stream) output.text += decoder.decode(chunk, { stream: true })
}
