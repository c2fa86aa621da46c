import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { Prng } from "../../src/bytes/prng.ts"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"
import { runSeed } from "../support/random.ts"

const log: string[] = []
let server: EmbeddedServer
beforeAll(async () => {
  server = await createServer({ log: (_level, message) => log.push(message), config: { loglevel: "verbose" } })
})
afterAll(() => server.close())

/** Everything a fresh connection answers to `bytes` until it is closed, or has been silent for a moment after PING. */
async function answer(port: number, bytes: Uint8Array | string): Promise<{ text: string; closed: boolean }> {
  let text = ""
  let closed = false
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data(_socket, chunk) {
        text += chunk.toString("latin1")
      },
      close() {
        closed = true
      },
    },
  })
  socket.write(bytes)
  await until(() => closed || text.includes("marker") || text.startsWith("-"), { what: "an answer" })
  if (!closed && text.startsWith("-")) {
    // An error may or may not be followed by the end of the connection: a PING tells.
    socket.write("PING marker\r\n")
    await until(() => closed || text.includes("marker"), { what: "end or marker" })
  }
  socket.terminate()
  return { text, closed }
}

const MARK = "*2\r\n$4\r\nPING\r\n$6\r\nmarker\r\n"
const cases: [name: string, bytes: string][] = [
  ["a negative count of arguments", `*-1\r\n${MARK}`],
  ["no arguments", `*0\r\n${MARK}`],
  ["a count that is no number", "*x\r\n"],
  ["a count with a leading zero", "*01\r\n$4\r\nPING\r\n"],
  ["a count beyond all bounds", "*2147483648\r\n"],
  ["a count of twenty digits", "*99999999999999999999\r\n"],
  ["a bulk without length", "*1\r\n$\r\n"],
  ["a bulk of negative length", "*1\r\n$-1\r\n"],
  ["a bulk of too great a length", "*1\r\n$536870913\r\n"],
  ["a bulk whose length is no number", "*1\r\n$4x\r\nPING\r\n"],
  ["something other than a bulk", "*1\r\n:4\r\n"],
  ["an inline where a bulk should be", "*1\r\nPING\r\n"],
  ["unbalanced quotes", 'SET a "b\r\n'],
  ["quotes with something behind", 'SET a "b"c\r\n'],
  ["a closed quote in single quotes", "ECHO 'marker\\'s'\r\n"],
  ["escapes", 'ECHO "marker\\x41\\n\\t\\q"\r\n'],
  ["empty lines", `\r\n\r\n\n${MARK}`],
  ["blanks around words", "   PING    marker   \r\n"],
  ["a line without CR", "PING marker\n"],
  ["an unknown command", "*3\r\n$3\r\nfoo\r\n$1\r\na\r\n$2\r\nb\xff\r\n"],
  ["an empty name of a command", "*1\r\n$0\r\n\r\n"],
  ["a wrong number of arguments", "*1\r\n$3\r\nGET\r\n"],
  ["an unknown subcommand", "*2\r\n$6\r\nCONFIG\r\n$3\r\nfoo\r\n"],
  ["a container alone", "*1\r\n$6\r\nCONFIG\r\n"],
  ["an inline line of 70,000 bytes", "x".repeat(70_000)],
  ["a count of 70,000 bytes", `*${"1".repeat(70_000)}`],
  ["a bulk length of 70,000 bytes", `*1\r\n$${"1".repeat(70_000)}`],
]

describe("what is no request", () => {
  test.skipIf(!oracleAvailable).each(cases)("%s is answered as Redis answers it", async (_name, bytes) => {
    const oracle = await sharedOracle()
    const raw = Buffer.from(bytes, "latin1")
    const theirs = await answer(oracle.port, raw)
    const ours = await answer(server.port, raw)
    expect(ours).toEqual(theirs)
  })

  test("every cut of a request gives the same answer", async () => {
    const bytes = Buffer.from(
      `*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\n0123456789\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nGET k\r\n${MARK}`,
    )
    const whole = (await answer(server.port, bytes)).text
    for (let cut = 1; cut < bytes.length; cut++) {
      await using client = await Client.connect(server.port)
      await client.send(bytes.subarray(0, cut))
      await Bun.sleep(0)
      await client.send(bytes.subarray(cut))
      let text = ""
      for (let i = 0; i < 4; i++) text += Buffer.from(await client.readRaw()).toString("latin1")
      expect(text).toBe(whole)
    }
  })

  test("random bytes are survived", async () => {
    const random = new Prng(runSeed)
    const alphabet = Buffer.from("*$:+-\r\n0123456789 \"'\\xGETPING\0\xff", "latin1")
    for (let round = 0; round < 200; round++) {
      const bytes = new Uint8Array(1 + random.nextBelow(300))
      for (let i = 0; i < bytes.length; i++) bytes[i] = alphabet[random.nextBelow(alphabet.length)]!
      const socket = await Bun.connect({ hostname: "127.0.0.1", port: server.port, socket: { data() {} } })
      socket.write(bytes)
      socket.end()
    }
    await using client = await Client.connect(server.port)
    expect(await client.plain("PING")).toBe("PONG")
    await until(async () => server.server.engine.clients.size === 1, {
      what: `the others to be gone (seed ${runSeed})`,
    })
  })

  test("HTTP is cut off and logged", async () => {
    const post = await answer(server.port, "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a b\r\n")
    expect(post).toEqual({ text: "", closed: true })
    const get = await answer(server.port, "GET / HTTP/1.1\r\nHost: localhost:6969\r\n\r\n")
    expect(get).toEqual({ text: "-ERR wrong number of arguments for 'get' command\r\n", closed: true })
    expect(log.join("\n")).toContain("Possible SECURITY ATTACK detected")
  })

  test("an announced length reserves nothing", async () => {
    const before = process.memoryUsage().rss
    const clients = await Promise.all(Array.from({ length: 100 }, () => Client.connect(server.port)))
    for (const client of clients) await client.send(Buffer.from("*1000000\r\n$536870912\r\nabc"))
    await using other = await Client.connect(server.port)
    expect(await other.plain("PING")).toBe("PONG")
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024)
    for (const client of clients) await client[Symbol.asyncDispose]()
  })
})

describe("much at once", () => {
  test("20,000 commands in one write are all answered, in order", async () => {
    await using client = await Client.connect(server.port)
    const replies = await client.pipeline(Array.from({ length: 20_000 }, (_, i) => ["ECHO", String(i)]))
    const expected = replies.map((_, i) => `$${String(i).length}\r\n${i}\r\n`)
    expect(replies.map(reply => Buffer.from(reply).toString())).toEqual(expected)
  })

  test("a client that never reads does not grow without bound, and does not disturb others", async () => {
    await using client = await Client.connect(server.port)
    const value = Buffer.alloc(1_000_000, "x")
    await client.plain("SET", "mega", value)
    const sleeper = await Client.connect(server.port)
    sleeper.pause()
    const request = Buffer.from("*2\r\n$3\r\nGET\r\n$4\r\nmega\r\n".repeat(2000))
    await sleeper.send(request)
    await client.plain("PING")
    const pending = (): number => Math.max(...[...server.server.engine.clients.byId.values()].map(c => c.pendingBytes))
    await until(() => pending() > 1_000_000, { what: "replies to pile up" })
    for (let i = 0; i < 50; i++) expect(await client.plain("PING")).toBe("PONG")
    // 2 GB were asked for; what waits stays near the bound.
    expect(pending()).toBeLessThan(80_000_000)
    await sleeper[Symbol.asyncDispose]()
    await until(() => server.server.engine.clients.size === 1, { what: "the sleeper to be gone" })
  })

  test("a slow reader gets everything", async () => {
    await using client = await Client.connect(server.port)
    await client.plain("SET", "mega", Buffer.alloc(1_000_000, "y"))
    const replies = await client.pipeline(Array.from({ length: 100 }, () => ["GET", "mega"]))
    for (const reply of replies) expect(reply.length).toBe(1_000_000 + 12)
  })

  test("values and keys of no bytes and of many", async () => {
    await using client = await Client.connect(server.port)
    const big = Buffer.alloc(20_000_000, "k")
    for (const key of [
      Buffer.alloc(0),
      Buffer.alloc(999, "k"),
      Buffer.alloc(1001, "k"),
      Buffer.alloc(70_000, "k"),
      big,
    ]) {
      for (const value of [Buffer.alloc(0), Buffer.alloc(2999, "v"), Buffer.alloc(3001, "v"), big]) {
        expect(await client.plain("SET", key, value)).toBe("OK")
        expect(await client.plain("STRLEN", key)).toBe(value.length)
      }
      expect(Buffer.from((await client.raw("GET", key)).subarray(0, 11)).toString()).toStartWith("$20000000\r\n")
      expect(await client.plain("DEL", key)).toBe(1)
    }
    expect(server.server.engine.keyspace.databases[0]!.keys.outOfLineBytes).toBeLessThan(2_000_000)
  }, 60_000)

  test("2,000 idle connections, and the limit", async () => {
    await using small = await createServer({ config: { maxclients: 2000 } })
    const clients: Client[] = []
    // A hundred at a time: more would overrun the backlog of the listening socket, and be retried by the kernel much later.
    while (clients.length < 2000) {
      clients.push(...(await Promise.all(Array.from({ length: 100 }, () => Client.connect(small.port)))))
      await until(() => small.server.engine.clients.size === clients.length, { what: "all to be accepted" })
    }
    expect(await clients[0]!.plain("PING")).toBe("PONG")
    const refused = await answer(small.port, "")
    expect(refused).toEqual({ text: "-ERR max number of clients reached\r\n", closed: true })
    await Promise.all(clients.map(client => client[Symbol.asyncDispose]()))
    await until(() => small.server.engine.clients.size === 0, { what: "all to be gone" })
  }, 60_000)
})
