/** redis-cli as people use it, without a terminal: commands on standard input, and its modes. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { encodeCommands } from "../support/command.ts"
import { type BundisProcess, startBundis } from "../support/process.ts"
import { have, runTool } from "./tool.ts"

describe.skipIf(!have("redis-cli"))("redis-cli", () => {
  let server: BundisProcess
  beforeAll(async () => {
    server = await startBundis(["--appendonly", "no", "--save", ""])
  })
  afterAll(() => server[Symbol.asyncDispose]())
  beforeEach(async () => {
    await using client = await server.connect()
    await client.plain("FLUSHALL")
  })

  /** Its output, once it has ended with 0 and complained about nothing. */
  async function cli(args: string[], input: string | Iterable<Uint8Array> = ""): Promise<string> {
    const { stdout, stderr, exitCode } = await runTool(["redis-cli", "-p", String(server.port), ...args], input)
    expect(stderr).toBe("")
    expect(exitCode).toBe(0)
    return stdout
  }

  test("answers commands from standard input", async () => {
    const input = 'SET greeting "hello world"\nGET greeting\nINCR n\nLPUSH l a b\nLRANGE l 0 -1\nGET l\nNOSUCH\n'
    const lines = (await cli([], input)).split("\n").filter(line => line !== "")
    expect(lines.slice(0, 6)).toEqual(["OK", "hello world", "1", "2", "b", "a"])
    expect(lines[6]).toBe("WRONGTYPE Operation against a key holding the wrong kind of value")
    expect(lines[7]).toStartWith("ERR unknown command 'NOSUCH'")
  })

  test("prints replies by their type in RESP2 and RESP3", async () => {
    const input = "HSET h f v\nHGETALL h\nGET none\nSADD s m\nSMEMBERS s\nZADD z 1.5 m\nZSCORE z m\n"
    expect(await cli(["--no-raw", "-2"], input)).toBe(
      '(integer) 1\n1) "f"\n2) "v"\n(nil)\n(integer) 1\n1) "m"\n(integer) 1\n"1.5"\n',
    )
    expect(await cli(["--no-raw", "-3"], input)).toContain(
      '1# "f" => "v"\n(nil)\n(integer) 0\n1~ "m"\n(integer) 0\n(double) 1.5\n',
    )
  })

  test("queues and executes a transaction", async () => {
    expect(await cli([], "MULTI\nSET k 1\nINCR k\nEXEC\n")).toBe("OK\nQUEUED\nQUEUED\nOK\n2\n")
  })

  test("repeats, selects a database, reads an argument from standard input, writes CSV", async () => {
    expect(await cli(["-r", "3", "INCR", "n"])).toBe("1\n2\n3\n")
    expect(await cli(["-n", "3", "SET", "k", "v"])).toBe("OK\n")
    expect(await cli(["EXISTS", "k"])).toBe("0\n")
    expect(await cli(["-x", "SET", "x"], "from stdin")).toBe("OK\n")
    expect(await cli(["--csv", "MGET", "x", "none"])).toBe('"from stdin",NULL\n')
  })

  test("carries binary values", async () => {
    const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    await cli(["-x", "SET", "binary"], [value])
    await using client = await server.connect()
    const reply = await client.raw("GET", "binary")
    expect(Buffer.from(reply).subarray(6, 262).equals(value)).toBe(true)
  })

  test("--pipe takes a million commands", async () => {
    const total = 1_000_000
    const piece = 10_000
    function* commands() {
      for (let base = 0; base < total; base += piece) {
        let text = ""
        for (let i = base; i < base + piece; i++) {
          text += `*3\r\n$3\r\nSET\r\n$11\r\nkey:${String(i).padStart(7, "0")}\r\n$7\r\n${String(i).padStart(7, "0")}\r\n`
        }
        yield Buffer.from(text, "latin1")
      }
    }
    const output = await cli(["--pipe"], commands())
    expect(output).toContain(`errors: 0, replies: ${total}`)
    expect(await cli(["DBSIZE"])).toBe(`${total}\n`)
    expect(await cli(["GET", "key:0765432"])).toBe("0765432\n")
  }, 60_000)

  test("--pipe counts error replies", async () => {
    const commands = Array.from({ length: 100 }, (_, i) =>
      i % 10 === 0 ? ["NOSUCH", String(i)] : ["SET", `k${i}`, "v"],
    )
    const { stdout, exitCode } = await runTool(
      ["redis-cli", "-p", String(server.port), "--pipe"],
      [encodeCommands(commands)],
    )
    expect(stdout).toContain("errors: 10, replies: 100")
    expect(exitCode).toBe(1)
  })

  describe("over a few thousand keys", () => {
    beforeEach(async () => {
      await using client = await server.connect()
      await client.pipeline([
        ...Array.from({ length: 3000 }, (_, i) => ["SET", `string:${i}`, "v"]),
        ["SET", "string:long", "x".repeat(5000)],
        ["RPUSH", "list", ...Array.from({ length: 700 }, (_, i) => `element:${i}`)],
        ["SADD", "set", "1", "2", "3"],
        ["HSET", "hash", "a", "1", "b", "2"],
        ["ZADD", "zset", "1", "a", "2", "b", "3", "c", "4", "d"],
      ])
    })

    test("--scan lists every key once, or those of a pattern", async () => {
      const keys = (await cli(["--scan"])).trim().split("\n")
      expect(keys.length).toBe(3005)
      expect(new Set(keys).size).toBe(3005)
      const some = (await cli(["--scan", "--pattern", "string:29?"])).trim().split("\n")
      expect(some.sort()).toEqual(Array.from({ length: 10 }, (_, i) => `string:29${i}`))
    })

    test("--bigkeys names the largest of each type", async () => {
      const output = await cli(["--bigkeys"])
      expect(output).toContain("Sampled 3005 keys in the keyspace!")
      expect(output).toMatch(/Biggest\s+string found '"string:long"' has 5000 bytes/)
      expect(output).toMatch(/Biggest\s+list found '"list"' has 700 items/)
      expect(output).toMatch(/Biggest\s+zset found '"zset"' has 4 members/)
      expect(output).toMatch(/Biggest\s+hash found '"hash"' has 2 fields/)
      expect(output).toMatch(/Biggest\s+set found '"set"' has 3 members/)
    })

    test("--memkeys weighs them", async () => {
      const output = await cli(["--memkeys"])
      expect(output).toContain("Sampled 3005 keys in the keyspace!")
      expect(output).toMatch(/Biggest\s+list found '"list"' has [1-9]\d{3,} bytes/)
    })
  })

  test("--stat prints a line per interval", async () => {
    const argv = ["redis-cli", "-p", String(server.port), "--stat", "-i", "0.05"]
    const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: 60_000 })
    let output = ""
    for await (const chunk of child.stdout) {
      output += new TextDecoder().decode(chunk)
      if (output.split("\n").filter(line => /^\d/.test(line)).length >= 3) break
    }
    child.kill()
    await child.exited
    expect(output).toMatch(/keys\s+mem\s+clients\s+blocked\s+requests\s+connections/)
    expect(output).toMatch(/\n0\s+\d+(\.\d+)?[BKMG]\s+\d+\s+0\s+\d+ \(\+\d+\)\s+\d+/)
  }, 60_000)

  test("--latency measures for a moment", async () => {
    const [min, max, average, count] = (await cli(["--latency", "--raw", "-i", "0.3"])).trim().split(" ").map(Number)
    expect(min!).toBeLessThanOrEqual(average!)
    expect(average!).toBeLessThanOrEqual(max!)
    expect(count!).toBeGreaterThan(0)
  })

  test("reads COMMAND DOCS", async () => {
    expect(await cli(["COMMAND", "DOCS", "get"])).toMatch(/^get\nsummary\n/)
    expect(await cli(["--json", "COMMAND", "DOCS", "get"])).toStartWith('{"get":{"summary":')
  })
})
