/** DUMP and RESTORE: what is told and propagated of them, and what belongs to a value beside its elements. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer, ManualClock } from "../../src/index.ts"
import { toPlain } from "../../src/resp/reply-decoder.ts"
import { makeCertificates, opensslAvailable } from "../support/certificates.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { freePort } from "../support/free-port.ts"
import { TempDir } from "../support/temp-dir.ts"

const start = 1_800_000_000_000
let clock: ManualClock
let server: EmbeddedServer
let client: Client
beforeEach(async () => {
  clock = new ManualClock(start)
  server = await createServer({ clock, config: { "notify-keyspace-events": "KEAn" } })
  client = await Client.connect(server.port)
})
afterEach(async () => {
  client.close()
  await server.close()
})
const run = (line: string): Promise<unknown> => client.plain(...(line.split(" ") as [string]))
const payloadOf = async (key: string): Promise<Uint8Array> => {
  const reply = await client.call("DUMP", key)
  return reply.type === "bulk" ? reply.value : new Uint8Array(0)
}

/** What commands hand on to replicas and files, without the frames. */
function listen(on: EmbeddedServer): () => string {
  const { engine } = on.server
  const written: string[] = []
  engine.propagator.enabled = true
  engine.sinks.push({
    write: (bytes, startAt, end) => void written.push(Buffer.from(bytes.slice(startAt, end)).toString("latin1")),
    flush: () => {},
  })
  return () =>
    written
      .splice(0)
      .join("")
      .replace(/[*$]\d+\r\n/g, "")
      .replaceAll("\r\n", " ")
      .trim()
}

describe("RESTORE", () => {
  test("tells of the key, and counts as one change", async () => {
    await run("SET a 1")
    const payload = await payloadOf("a")
    const listener = await Client.connect(server.port)
    await listener.call("PSUBSCRIBE", "__keyevent@0__:*")
    const { events } = server.server.engine.keyspace
    const dirty = events.dirty
    await client.plain("RESTORE", "b", "0", payload)
    expect(events.dirty - dirty).toBe(1)
    const heard = [await listener.readReply(), await listener.readReply()].map(reply => toPlain(reply))
    expect(heard).toEqual(
      ["new", "restore"].map(name => ["pmessage", "__keyevent@0__:*", `__keyevent@0__:${name}`, "b"]),
    )
    listener.close()
  })

  test("is handed on with the time at which the key expires", async () => {
    await run("SET a text")
    const payload = await payloadOf("a")
    const shown = Buffer.from(payload).toString("latin1")
    const take = listen(server)
    await client.plain("RESTORE", "b", "0", payload)
    expect(take()).toBe(`SELECT 0 RESTORE b 0 ${shown}`)
    await client.plain("RESTORE", "b", "5000", payload, "REPLACE")
    expect(take()).toBe(`RESTORE b ${start + 5000} ${shown} REPLACE ABSTTL`)
    await client.plain("RESTORE", "b", String(start + 7000), payload, "REPLACE", "ABSTTL")
    expect(take()).toBe(`RESTORE b ${start + 7000} ${shown} REPLACE ABSTTL`)
    // Its time is up: what is left is a deletion.
    await client.plain("RESTORE", "b", "1", payload, "REPLACE", "ABSTTL")
    expect(take()).toBe("DEL b")
    await client.plain("RESTORE", "b", "1", payload, "REPLACE", "ABSTTL")
    await client.plain("RESTORE", "a", "0", payload)
    await client.plain("RESTORE", "c", "0", "nonsense")
    expect(take()).toBe("")
    expect(await run("EXISTS b c")).toBe(0)
  })

  test("wakes those who wait for a list", async () => {
    await run("RPUSH source x")
    const payload = await payloadOf("source")
    const waiter = await Client.connect(server.port)
    const popped = waiter.plain("BLPOP", "target", "0")
    while (!String(await run("CLIENT LIST")).includes("cmd=blpop")) await Bun.sleep(1)
    await client.plain("RESTORE", "target", "0", payload)
    expect(await popped).toEqual(["target", "x"])
    waiter.close()
  })

  test("fields and members that expire, do so when restored", async () => {
    await run("HSET h a 1 b 2")
    await run("HPEXPIRE h 5000 FIELDS 1 a")
    await run("SADD s a b")
    await run("SPEXPIRE s 5000 MEMBERS 1 a")
    await run("ZADD z 1 a 2 b")
    await run("ZPEXPIRE z 5000 MEMBERS 1 a")
    for (const key of ["h", "s", "z"]) {
      const payload = await payloadOf(key)
      await run(`DEL ${key}`)
      expect(await client.plain("RESTORE", key, "0", payload)).toBe("OK")
    }
    expect(await run("HPTTL h FIELDS 2 a b")).toEqual([5000, -1])
    expect(await run("SPTTL s MEMBERS 2 a b")).toEqual([5000, -1])
    expect(await run("ZPTTL z MEMBERS 2 a b")).toEqual([5000, -1])
    clock.advance(6000)
    expect(await run("HGETALL h")).toEqual(["b", "2"])
    expect(await run("SMEMBERS s")).toEqual(["b"])
    expect(await run("ZRANGE z 0 -1")).toEqual(["b"])
  })

  test("is checked in depth when sanitize-dump-payload says so", async () => {
    await run("RPUSH a x y")
    const payload = await payloadOf("a")
    const checked = async () => /dump_payload_sanitizations:(\d+)/.exec(String(await run("INFO stats")))?.[1]
    for (const [when, count] of [
      ["no", "0"],
      ["clients", "1"],
      ["yes", "2"],
    ]) {
      await run(`CONFIG SET sanitize-dump-payload ${when}`)
      expect(await client.plain("RESTORE", "b", "0", payload, "REPLACE")).toBe("OK")
      expect(await checked()).toBe(count)
    }
    // Users may be trusted, with "clients" only; what is behind a script counts for it.
    await run("ACL SETUSER default skip-sanitize-payload")
    const script = "return redis.call('RESTORE', KEYS[1], 0, ARGV[1], 'REPLACE')"
    for (const [when, count] of [
      ["yes", "4"],
      ["clients", "4"],
    ]) {
      await run(`CONFIG SET sanitize-dump-payload ${when}`)
      expect(await client.plain("RESTORE", "b", "0", payload, "REPLACE")).toBe("OK")
      expect(await client.plain("EVAL", script, "1", "b", payload)).toBe("OK")
      expect(await checked()).toBe(count)
    }
  })

  test("a value restored is not that of the payload's buffer", async () => {
    await run("XADD x 1-1 f v")
    const payload = await payloadOf("x")
    await client.plain("RESTORE", "y", "0", payload)
    await client.plain("RESTORE", "z", "0", payload)
    await run("XDEL y 1-1")
    await run("XADD y 2-1 f w")
    expect(await run("XRANGE z - +")).toEqual([["1-1", ["f", "v"]]])
    expect(await payloadOf("z")).toEqual(payload)
  })
})

describe("MIGRATE", () => {
  let target: EmbeddedServer
  let other: Client
  beforeEach(async () => {
    target = await createServer({ clock })
    other = await Client.connect(target.port)
  })
  afterEach(async () => {
    other.close()
    await target.close()
  })
  const ask = (line: string): Promise<unknown> => other.plain(...(line.split(" ") as [string]))
  const migrate = (rest: string, port = target.port): Promise<unknown> => run(`MIGRATE 127.0.0.1 ${port} ${rest}`)
  const error = (text: string) => ({ error: text })

  test("moves keys of every type, with what belongs to them", async () => {
    await run("SET text value PX 5000")
    await run("RPUSH list a b")
    await run("SADD set a 1")
    await run("ZADD zset 1 a")
    await run("HSET hash a 1")
    await run("HPEXPIRE hash 7000 FIELDS 1 a")
    await run("XADD stream 1-1 f v")
    await run("XGROUP CREATE stream g 0")
    const take = listen(server)
    const moved = await client.plain(
      "MIGRATE",
      "127.0.0.1",
      String(target.port),
      "",
      "3",
      "1000",
      "KEYS",
      "text",
      "none",
      "list",
      "set",
    )
    expect(moved).toBe("OK")
    expect(take()).toBe("SELECT 0 DEL text list set")
    for (const key of ["zset", "hash", "stream"]) expect(await migrate(`${key} 3 1000`)).toBe("OK")
    expect(await run("DBSIZE")).toBe(0)
    await ask("SELECT 3")
    expect(await ask("GET text")).toBe("value")
    expect(await ask("PTTL text")).toBe(5000)
    expect(await ask("LRANGE list 0 -1")).toEqual(["a", "b"])
    expect(await ask("HPTTL hash FIELDS 1 a")).toEqual([7000])
    expect(await ask("XINFO GROUPS stream")).toHaveLength(1)
    expect(await ask("DBSIZE")).toBe(6)
  })

  test("COPY and REPLACE", async () => {
    await run("SET k here")
    await ask("SET k there")
    const busy = error("ERR Target instance replied with error: BUSYKEY Target key name already exists.")
    expect(await migrate("k 0 1000")).toEqual(busy)
    expect(await run("GET k")).toBe("here")
    expect(await migrate("k 0 1000 COPY REPLACE")).toBe("OK")
    expect([await run("GET k"), await ask("GET k")]).toEqual(["here", "here"])
    expect(await migrate("k 0 1000 REPLACE")).toBe("OK")
    expect([await run("GET k"), await ask("GET k")]).toEqual([null, "here"])
    expect(await migrate("k 0 1000")).toBe("NOKEY")
  })

  test("only what the target has taken is deleted", async () => {
    await run("MSET a 1 b 2 c 3")
    await ask("SET b taken")
    const reply = await client.plain(
      "MIGRATE",
      "127.0.0.1",
      String(target.port),
      "",
      "0",
      "1000",
      "KEYS",
      "a",
      "b",
      "c",
    )
    expect(reply).toHaveProperty("error")
    expect(await run("MGET a b c")).toEqual([null, "2", null])
    expect(await ask("MGET a b c")).toEqual(["1", "taken", "3"])
  })

  test("AUTH and AUTH2", async () => {
    await ask("CONFIG SET requirepass secret")
    await run("MSET a 1 b 2 c 3")
    expect(await migrate("a 0 1000")).toEqual(
      error("ERR Target instance replied with error: NOAUTH Authentication required."),
    )
    expect(await migrate("a 0 1000 AUTH wrong")).toEqual({ error: expect.stringContaining("WRONGPASS") })
    expect(await migrate("a 0 1000 AUTH secret")).toBe("OK")
    expect(await migrate("b 0 1000 AUTH2 default secret")).toBe("OK")
    expect(await run("KEYS *")).toEqual(["c"])
  })

  test("arguments that are wrong", async () => {
    await run("SET k v")
    expect(await migrate("k 0 1000 NONSENSE")).toEqual(error("ERR syntax error"))
    expect(await migrate("k 0 1000 AUTH")).toEqual(error("ERR syntax error"))
    expect(await migrate("k 0 1000 AUTH2 user")).toEqual(error("ERR syntax error"))
    expect(await migrate("k x 1000")).toEqual(error("ERR value is not an integer or out of range"))
    expect(await migrate("k 0 x")).toEqual(error("ERR value is not an integer or out of range"))
    expect(await migrate("k 0 1000 KEYS k")).toEqual(
      error("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"),
    )
    expect(await migrate("k 99 1000")).toEqual({ error: expect.stringContaining("DB index is out of range") })
    expect(await run("GET k")).toBe("v")
    await run("MULTI")
    await migrate("k 0 1000")
    expect(await run("EXEC")).toEqual([error("ERR MIGRATE is not allowed inside of transactions and scripts")])
  })

  test("targets that are not there, say nothing, or hang up", async () => {
    await run("SET k v")
    expect(await migrate("k 0 500", 1)).toEqual(error("IOERR error or timeout connecting to the client"))
    // An address of many, to which no connection leads: the runtime says so before it returns.
    const nowhere = error("IOERR error or timeout connecting to the client")
    expect(await run("MIGRATE 224.0.0.1 6379 k 0 500")).toEqual(nowhere)
    const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
    const slow = migrate("k 0 200", silent.port)
    const bystander = await Client.connect(server.port)
    // Others are served meanwhile.
    expect(await bystander.plain("GET", "k")).toBe("v")
    expect(await slow).toEqual(error("IOERR error or timeout reading to target instance"))
    silent.stop(true)
    let connections = 0
    const rude = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: () => void connections++,
        data: socket => void socket.end(),
      },
    })
    expect(await migrate("k 0 500", rude.port)).toEqual(error("IOERR error or timeout reading to target instance"))
    expect(connections).toBe(2)
    rude.stop(true)
    bystander.close()
    expect(await run("GET k")).toBe("v")
  })

  test("connections are kept, and made anew when they are gone", async () => {
    const kept = async () => /migrate_cached_sockets:(\d+)/.exec(String(await run("INFO stats")))?.[1]
    await run("MSET a 1 b 2 c 3")
    expect(await kept()).toBe("0")
    await migrate("a 0 1000")
    await migrate("b 5 1000")
    expect(await kept()).toBe("1")
    await ask("CLIENT KILL TYPE normal SKIPME yes")
    expect(await migrate("c 0 1000")).toBe("OK")
    expect([await ask("GET a"), await ask("GET c")]).toEqual(["1", "3"])
    clock.advance(20_000)
    server.server.peers.tidy()
    expect(await kept()).toBe("0")
  })

  test.skipIf(!opensslAvailable)("over TLS, with tls-cluster", async () => {
    await using dir = new TempDir()
    const path = makeCertificates(dir.path)
    const certified = {
      "tls-cert-file": path("server.crt"),
      "tls-key-file": path("server.key"),
      "tls-ca-cert-file": path("ca.crt"),
    }
    const tlsPort = freePort()
    await using secure = await createServer({ config: { ...certified, "tls-port": tlsPort } })
    await using sender = await createServer({ config: { ...certified, "tls-cluster": "yes" } })
    const sending = await Client.connect(sender.port)
    await sending.call("SET", "k", "v")
    expect(await sending.plain("MIGRATE", "127.0.0.1", String(tlsPort), "k", "0", "3000")).toBe("OK")
    expect(await secure.execute("GET", "k")).toBe("v")
    await sending.call("SET", "k", "v")
    // A server that speaks no TLS.
    expect(await sending.plain("MIGRATE", "127.0.0.1", String(target.port), "k", "0", "500")).toEqual(
      error("IOERR error or timeout connecting to the client"),
    )
    expect(await sending.plain("GET", "k")).toBe("v")
    sending.close()
  })

  /** Stands between us and the target, and lets nothing through before it is told to. */
  function standBetween() {
    const isAsked = Promise.withResolvers<void>()
    const mayGo = Promise.withResolvers<void>()
    const listener = Bun.listen<{ upstream: Bun.Socket | undefined }>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: socket => {
          socket.data = { upstream: undefined }
        },
        data: async (socket, chunk) => {
          const bytes = Buffer.from(chunk)
          isAsked.resolve()
          await mayGo.promise
          socket.data.upstream ??= await Bun.connect({
            hostname: "127.0.0.1",
            port: target.port,
            socket: { data: (_, answer) => void socket.write(answer) },
          })
          socket.data.upstream.write(bytes)
        },
      },
    })
    return {
      port: listener.port,
      isAsked: isAsked.promise,
      release: () => mayGo.resolve(),
      [Symbol.dispose]: () => listener.stop(true),
    }
  }

  test("a key that changes on the way arrives as it was left, one that goes is deleted there too", async () => {
    for (const [write, left] of [
      ["SET k second", "second"],
      ["DEL k", null],
    ]) {
      await ask("FLUSHALL")
      await run("SET k first")
      using between = standBetween()
      const moving = migrate("k 0 2000", between.port)
      await between.isAsked
      const bystander = await Client.connect(server.port)
      await bystander.plain(...(write!.split(" ") as [string]))
      between.release()
      expect(await moving).toBe("OK")
      expect(await ask("GET k")).toBe(left)
      expect(await run("EXISTS k")).toBe(0)
      bystander.close()
    }
  })

  test("goes on when its client has gone, also over a key that has changed", async () => {
    await run("MSET a 1 b 2")
    using between = standBetween()
    const mover = await Client.connect(server.port)
    mover.sendCommand("MIGRATE", "127.0.0.1", String(between.port), "", "0", "5000", "KEYS", "a", "b")
    await between.isAsked
    mover.close()
    const { clients, blocking } = server.server.engine
    await until(() => clients.size === 1, { what: "the end of the client" })
    await run("SET b 3")
    between.release()
    await until(() => blocking.size === 0, { what: "the end of the command" })
    expect(await run("DBSIZE")).toBe(0)
    expect(await ask("MGET a b")).toEqual(["1", "3"])
  })
})
