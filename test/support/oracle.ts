/**
 * A real redis-server to compare with. Tests that need one say
 *
 *     test.skipIf(!oracleAvailable)("…", async () => { const oracle = await sharedOracle() … })
 *
 * and are reported as skipped on a machine without redis-server on its PATH.
 */
import { join } from "node:path"
import { Client, type ClientOptions } from "./client.ts"
import { until } from "./condition.ts"
import { freePort } from "./free-port.ts"
import { TempDir } from "./temp-dir.ts"

const executable = Bun.which("redis-server")

export const oracleAvailable = executable !== null

/** Whether the oracle is of this version or a later one, for what older ones do not know: `oracleKnows("7.4")`. */
export function oracleKnows(since: string): boolean {
  if (executable === null) return false
  version ??= /\bv=([\d.]+)/.exec(Bun.spawnSync([executable, "--version"]).stdout.toString())?.[1] ?? "0"
  return Bun.semver.order(`${version}.0.0`.split(".", 3).join("."), `${since}.0.0`.split(".", 3).join(".")) >= 0
}

let version: string | undefined

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
  #guard: Guard

  /** Use `startOracle` or `sharedOracle`. */
  constructor(guard: Guard, port: number, dir: string, admin: Client, version: string) {
    this.#guard = guard
    this.port = port
    this.dir = dir
    this.admin = admin
    this.version = version
  }

  /** Whether the server has ended: the test runner ends all processes when a test takes too long. */
  get isOver(): boolean {
    return this.#guard.exitCode !== null || this.#guard.signalCode !== null || this.admin.isClosed
  }

  connect(options?: ClientOptions): Promise<Client> {
    return Client.connect(this.port, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.admin.close()
    await end(this.#guard)
  }
}

type Guard = Bun.Subprocess<"pipe", "pipe", "pipe">

/**
 * A shell runs redis-server and watches its own stdin, of which we hold the other end: when that is closed, also because
 * the test process was killed, the server is killed and its temporary directory removed. No orphans.
 */
const guardScript = `
  exec 3<&0
  "$@" </dev/null 3<&- &
  server=$!
  cleanUp() { [ -z "$REMOVE_DIR" ] || rm -rf "$REMOVE_DIR"; }
  ( cat <&3 >/dev/null; kill -9 $server; cleanUp ) 2>/dev/null &
  watcher=$!
  exec 3<&-
  wait $server
  kill $watcher 2>/dev/null
  cleanUp
`

/**
 * A redis-server of one's own: no persistence, loopback only, DEBUG allowed, unless `args` say otherwise. With
 * `--requirepass` the admin connection is not logged in and the version is unknown.
 */
export async function startOracle(options: OracleOptions = {}): Promise<Oracle> {
  if (executable === null) throw new Error("redis-server is not on the PATH")
  for (let attempt = 1; ; attempt++) {
    const dir = options.dir ?? new TempDir("bundis-oracle-").path
    const port = freePort()
    const socket = join(dir, "oracle.sock")
    const guard = Bun.spawn({
      cmd: [
        ...["sh", "-c", guardScript, "sh", executable, "--port", String(port), "--unixsocket", socket],
        ...["--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no", "--loglevel", "warning"],
        ...["--enable-debug-command", "yes", ...(options.args ?? [])],
      ],
      env: { ...process.env, REMOVE_DIR: options.dir === undefined ? dir : "" },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    })
    guard.unref()
    const admin = await firstAnswer(guard, socket)
    if (admin !== null) {
      const info = String(await admin.plain("INFO", "server"))
      return new Oracle(guard, port, dir, admin, /redis_version:(\S+)/.exec(info)?.[1] ?? "unknown")
    }
    await end(guard)
    if (attempt === 3) throw new Error(`redis-server did not start:\n${await new Response(guard.stdout).text()}`)
  }
}

async function end(guard: Guard): Promise<void> {
  guard.stdin.end()
  await guard.exited
}

/**
 * A connection once the server has loaded its data; null when it ended. Through the unix socket, which it opens after
 * its port and which nobody else can have.
 */
async function firstAnswer(guard: Guard, socket: string): Promise<Client | null> {
  const attempt = async () => {
    if (guard.exitCode !== null) return "ended"
    const client = await Client.connect(socket)
    const answer = await client.call("PING")
    if (answer.type === "simple" || (answer.type === "error" && answer.value.startsWith("NOAUTH"))) return client
    client.close()
    return null
  }
  const answered = await until(attempt, { what: "redis-server to answer" }).catch(() => "late")
  return answered instanceof Client ? answered : null
}

let shared: Promise<Oracle> | null = null

/**
 * The one oracle of this test process, started on first use and emptied (data, scripts, functions) on every call. Its
 * configuration is shared: a test that needs other directives starts its own with `startOracle`.
 */
export async function sharedOracle(): Promise<Oracle> {
  if (shared !== null && (await shared).isOver) shared = null
  shared ??= startOracle()
  const oracle = await shared
  // Tests of one file set thresholds and flags that those of the next do not expect.
  await oracle.admin.pipeline([["FLUSHALL"], ["SCRIPT", "FLUSH"], ["FUNCTION", "FLUSH"], ["CONFIG", "SET", ...initial]])
  return oracle
}

/** Directives that tests change, with Redis's values at the start. */
const initial: readonly string[] = [
  ["hash-max-listpack-entries", "512"],
  ["hash-max-listpack-value", "64"],
  ["zset-max-listpack-entries", "128"],
  ["zset-max-listpack-value", "64"],
  ["set-max-intset-entries", "512"],
  ["list-max-listpack-size", "-2"],
  ["stream-node-max-entries", "100"],
  ["stream-node-max-bytes", "4096"],
  ["hll-sparse-max-bytes", "3000"],
  ["notify-keyspace-events", ""],
  ["maxmemory-policy", "noeviction"],
].flat()
