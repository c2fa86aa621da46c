/** The table beside a real redis-server, where one is installed: names, defaults, and CONFIG REWRITE. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { loadConfiguration } from "../../src/config/conf-file.ts"
import { Config } from "../../src/config/config.ts"
import { DIFFERENT_DEFAULTS, findDirective } from "../../src/config/directives.ts"

const REDIS = Bun.which("redis-server")

/** Set so by the test itself, or different between the release installed and 7.4. */
const NOT_COMPARED = ["dir", "unixsocket", "save", ...Object.keys(DIFFERENT_DEFAULTS)]

const HIDDEN_LATER = "aof-disable-auto-gc"

const FILE = `# a comment
port 0
bind 10.0.0.1
appendonly no
appendfilename "x.aof"
save 1 2
slave-priority 5

# another


timeout 1
timeout 2
maxmemory 1k
hash-max-ziplist-value 3
save 3 4
nosuch-module.option 1
client-output-buffer-limit replica 1mb 1kb 1
shutdown-on-sigint nosave
`

/** One connection, commands in order; replies of nested arrays, strings and errors as strings. */
class Redis {
  readonly directory = realpathSync(mkdtempSync(join(tmpdir(), "bundis-config-")))
  #process: Bun.Subprocess | undefined

  async start(): Promise<void> {
    const args = [
      "--port",
      "0",
      "--bind",
      "127.0.0.1",
      "--unixsocket",
      join(this.directory, "s"),
      "--dir",
      this.directory,
    ]
    const child = Bun.spawn([REDIS!, join(this.directory, "redis.conf"), ...args], { stdout: "pipe", stderr: "ignore" })
    this.#process = child
    let log = ""
    const decoder = new TextDecoder()
    for await (const chunk of child.stdout) {
      log += decoder.decode(chunk)
      if (/ready to accept connections/i.test(log)) return
    }
    throw new Error(`redis-server did not start: ${log}`)
  }

  /** The lines of an array reply of bulk strings, or the line of a simple one. */
  async ask(...args: string[]): Promise<string[]> {
    const { promise, resolve } = Promise.withResolvers<string>()
    let text = ""
    const socket = await Bun.connect({
      unix: join(this.directory, "s"),
      socket: {
        data(_, chunk) {
          text += chunk.toString("latin1")
        },
        close: () => resolve(text),
      },
    })
    const encode = (words: string[]) =>
      `*${words.length}\r\n${words.map(word => `$${word.length}\r\n${word}\r\n`).join("")}`
    socket.write(encode(args) + encode(["QUIT"]))
    const lines = (await promise).split("\r\n").slice(0, -2)
    return lines[0]!.startsWith("*") ? lines.slice(1).filter((_, at) => at % 2 === 1) : lines
  }

  async stop(): Promise<void> {
    this.#process?.kill()
    await this.#process?.exited
    rmSync(this.directory, { recursive: true, force: true })
  }
}

describe.skipIf(REDIS === null)("beside redis-server", () => {
  const redis = new Redis()

  beforeAll(async () => {
    const known = FILE.split("\n").filter(line => !line.startsWith("nosuch"))
    await Bun.write(join(redis.directory, "redis.conf"), known.join("\n"))
    await redis.start()
  })
  afterAll(() => redis.stop())

  test("every name of CONFIG GET * is known", async () => {
    const names = (await redis.ask("CONFIG", "GET", "*")).filter((_, at) => at % 2 === 0)
    expect(names.length).toBeGreaterThan(180)
    const ours = new Set(new Config().getMatching(["*"]).map(([name]) => name))
    // Hidden since 7.2.
    expect(names.filter(name => !ours.has(name))).toEqual(names.includes(HIDDEN_LATER) ? [HIDDEN_LATER] : [])
  })

  test("defaults are the same unless they differ on purpose", async () => {
    const rows = await redis.ask("CONFIG", "GET", "*")
    const touched = FILE.split("\n").map(line => findDirective(line.split(" ")[0]!)?.name)
    const ours = new Config()
    for (let at = 0; at < rows.length; at += 2) {
      const name = findDirective(rows[at]!)!.name
      if (NOT_COMPARED.includes(name) || touched.includes(name)) continue
      expect([rows[at], ours.getText(rows[at]!)]).toEqual([rows[at], rows[at + 1]!])
    }
  })

  test("CONFIG REWRITE makes the same file, but for the order of new lines", async () => {
    const config = new Config()
    const path = join(redis.directory, "redis.conf")
    const known = await Bun.file(path).text()
    const options = `bind 127.0.0.1\nunixsocket ${join(redis.directory, "s")}`
    const sources = [known, options].map(text => ({ name: path, text }))
    expect(loadConfiguration(config, sources, { read: () => "", match: () => [] })).toBeUndefined()
    config.assign("dir", redis.directory)
    await Bun.write(path, FILE)
    for (const [name, value] of [
      ["save", "10 20"],
      ["maxmemory", "3000000"],
      ["requirepass", ""],
      ["notify-keyspace-events", "EKl"],
      ["latency-tracking-info-percentiles", "10 20.5"],
      ["masterauth", 'a"\x01'],
      ["maxmemory-clients", "7%"],
      ["repl-backlog-size", "2mb"],
      ["shutdown-on-sigterm", "force now"],
      ["client-output-buffer-limit", "pubsub 1 2 3"],
    ] as const) {
      expect(config.set(name, value)).toBeUndefined()
      expect(await redis.ask("CONFIG", "SET", name, value)).toEqual(["+OK"])
    }
    expect(await redis.ask("CONFIG", "REWRITE")).toEqual(["+OK"])
    const users = (await redis.ask("ACL", "LIST")).map(line => line.replace("user ", ""))
    const [head, tail] = (await Bun.file(path).text()).split("# Generated by CONFIG REWRITE\n")
    const [ourHead, ourTail] = config.rewrite(FILE, { users }).split("# Generated by CONFIG REWRITE\n")
    expect(ourHead!.trimEnd()).toBe(head!.trimEnd())
    expect(ourTail!.split("\n").sort()).toEqual(tail!.split("\n").sort())
  })
})
