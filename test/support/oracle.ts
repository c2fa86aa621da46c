/**
 * A real redis-server to compare with. Tests that need one say
 *
 *     test.skipIf(!oracleAvailable)("…", async () => { const oracle = await sharedOracle() … })
 *
 * and are reported as skipped on a machine without redis-server on its PATH.
 */
import { Client, type ClientOptions } from "./client.ts"
import { until } from "./condition.ts"
import { freePort } from "./free-port.ts"
import { TempDir } from "./temp-dir.ts"

const executable = Bun.which("redis-server")

export const oracleAvailable = executable !== null

if (!oracleAvailable) {
  console.warn(
    "redis-server is not on the PATH: tests that compare with it are skipped (install redis-server to run them)",
  )
}

export interface OracleOptions {
  /** Directives as on the command line: `["--maxmemory", "10mb"]`. */
  args?: string[]
  /** A directory to run in, kept afterwards; a temporary one when not told. */
  dir?: string
}

export class Oracle implements AsyncDisposable {
  readonly port: number
  readonly dir: string
  /** As in INFO, for example "7.0.15". */
  readonly version: string
  /** An open connection for set-up; tests that measure connections should open their own. */
  readonly admin: Client
  #process: Bun.Subprocess
  #ownDir: TempDir | null

  /** Use `startOracle` or `sharedOracle`. */
  constructor(
    process: Bun.Subprocess,
    port: number,
    dir: string,
    ownDir: TempDir | null,
    admin: Client,
    version: string,
  ) {
    this.#process = process
    this.port = port
    this.dir = dir
    this.#ownDir = ownDir
    this.admin = admin
    this.version = version
  }

  connect(options?: ClientOptions): Promise<Client> {
    return Client.connect(this.port, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.admin.close()
    this.#process.kill("SIGKILL")
    await this.#process.exited
    this.#ownDir?.remove()
  }

  /** For the end of the test process, where nothing can be awaited. */
  killNow(): void {
    this.#process.kill("SIGKILL")
    this.#ownDir?.remove()
  }
}

/** A redis-server of one's own: no persistence, loopback only, DEBUG allowed, unless `args` say otherwise. */
export async function startOracle(options: OracleOptions = {}): Promise<Oracle> {
  if (executable === null) throw new Error("redis-server is not on the PATH")
  const ownDir = options.dir === undefined ? new TempDir("bundis-oracle-") : null
  const dir = options.dir ?? ownDir!.path
  for (let attempt = 1; ; attempt++) {
    const port = freePort()
    const process = Bun.spawn({
      cmd: [
        ...[executable, "--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", ""],
        ...["--appendonly", "no", "--loglevel", "warning", "--enable-debug-command", "yes"],
        ...(options.args ?? []),
      ],
      stdout: "pipe",
      stderr: "inherit",
    })
    const admin = await firstAnswer(process, port)
    if (admin !== null) {
      process.unref()
      const info = String(await admin.plain("INFO", "server"))
      const version = /redis_version:(\S+)/.exec(info)?.[1] ?? "unknown"
      return new Oracle(process, port, dir, ownDir, admin, version)
    }
    process.kill("SIGKILL")
    const output = await new Response(process.stdout).text()
    if (attempt === 3) {
      ownDir?.remove()
      throw new Error(`redis-server did not start:\n${output}`)
    }
  }
}

/** A connection once PONG came back; null when the process ended or is not the one that answers. */
async function firstAnswer(process: Bun.Subprocess, port: number): Promise<Client | null> {
  let admin: Client | null = null
  await until(
    async () => {
      if (process.exitCode !== null || process.signalCode !== null) return true
      const client = await Client.connect(port)
      const info = await client.plain("INFO", "server")
      if (typeof info === "string" && info.includes(`process_id:${process.pid}\r\n`)) admin = client
      else client.close()
      return admin !== null
    },
    { what: "redis-server to answer", timeoutMs: 10_000 },
  ).catch(() => {})
  return admin
}

let shared: Promise<Oracle> | null = null

/**
 * The one oracle of this test process, started on first use and emptied (data, scripts, functions) on every call. Its
 * configuration is shared: a test that needs other directives starts its own with `startOracle`.
 */
export async function sharedOracle(): Promise<Oracle> {
  shared ??= startOracle().then(oracle => {
    process.on("exit", () => oracle.killNow())
    return oracle
  })
  const oracle = await shared
  await oracle.admin.pipeline([["FLUSHALL"], ["SCRIPT", "FLUSH"], ["FUNCTION", "FLUSH"]])
  return oracle
}
