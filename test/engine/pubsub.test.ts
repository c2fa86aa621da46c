/**
 * Publish and subscribe: each story is told to bundis and to a real redis-server, and what every client hears must be the
 * same, byte by byte.
 */
import { afterAll, describe, expect, test } from "bun:test"
import { createServer, ManualClock } from "../../src/index.ts"
import { toPlain } from "../../src/resp/reply-decoder.ts"
import { Client } from "../support/client.ts"
import type { Arg } from "../support/command.ts"
import { until } from "../support/condition.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"

/** Clients by name; one whose name ends in 3 speaks RESP3. */
class Room implements AsyncDisposable {
  /** Who heard what, in order. */
  readonly heard: [string, ...string[]][] = []
  private readonly clients = new Map<string, Client>()
  private marks = 0

  constructor(readonly port: number) {}

  async client(name: string): Promise<Client> {
    let client = this.clients.get(name)
    if (client === undefined) {
      client = await Client.connect(this.port, { resp: name.endsWith("3") ? 3 : 2 })
      this.clients.set(name, client)
    }
    return client
  }

  /** Sends a command and notes all that comes of it; RESP3 pushes are noted after replies. */
  async say(name: string, ...args: Arg[]): Promise<string[]> {
    const client = await this.client(name)
    client.sendCommand(...args)
    return this.hear(name)
  }

  /** Notes all that a client has been sent up to now. */
  async hear(name: string): Promise<string[]> {
    const client = await this.client(name)
    const mark = `mark ${++this.marks}`
    client.sendCommand("PING", mark)
    const frames: string[] = []
    for (let frame = await next(client); !frame.includes(mark); frame = await next(client)) frames.push(frame)
    for (const frame of await client.readRawPushes(client.unread.pushes)) frames.push(text(frame))
    this.heard.push([name, ...frames])
    return frames
  }

  /** Sends a command that has exactly one reply: inside MULTI, where PING would be queued. */
  async ask(name: string, ...args: Arg[]): Promise<void> {
    this.heard.push([name, text(await (await this.client(name)).raw(...args))])
  }

  /** Notes what a client has been sent, where the order is of no matter: which pattern is served first. */
  async gather(name: string): Promise<void> {
    await this.hear(name)
    const [, ...frames] = this.heard.pop()!
    this.heard.push([name, ...frames.sort()])
  }

  leave(name: string): void {
    this.clients.get(name)?.close()
    this.clients.delete(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.clients.keys()]) this.leave(name)
  }
}

async function next(client: Client): Promise<string> {
  return text(await client.readRaw())
}

function text(frame: Uint8Array): string {
  return Buffer.from(frame).toString("latin1").replaceAll("\r\n", " ").trimEnd()
}

type Story = (room: Room) => Promise<void>

function story(name: string, tell: Story): void {
  test.skipIf(!oracleAvailable)(name, async () => {
    const oracle = await sharedOracle()
    await using server = await createServer({ config: { "enable-debug-command": "yes" } })
    expect(await heard(server.port, tell)).toEqual(await heard(oracle.port, tell))
  })
}

async function heard(port: number, tell: Story): Promise<[string, ...string[]][]> {
  await using room = new Room(port)
  await room.say("keeper", "FLUSHALL")
  await room.say("keeper", "CONFIG", "SET", "notify-keyspace-events", "")
  await tell(room)
  return room.heard
}

afterAll(async () => {
  if (oracleAvailable) await (await sharedOracle()).admin.call("CONFIG", "SET", "notify-keyspace-events", "")
})

describe.each(["sub", "sub3"])("subscribing as %s", who => {
  story("confirmations and their counts", async room => {
    for (const line of [
      "SUBSCRIBE a b a",
      "PSUBSCRIBE p* q*",
      "SSUBSCRIBE s t s",
      "SUBSCRIBE c",
      "UNSUBSCRIBE a nothere",
      "PUNSUBSCRIBE p* p*",
      "SUNSUBSCRIBE t nothere",
      "UNSUBSCRIBE b c",
      "PUNSUBSCRIBE",
      "SUNSUBSCRIBE",
      "UNSUBSCRIBE",
      "PUNSUBSCRIBE",
      "SUNSUBSCRIBE",
      "UNSUBSCRIBE x y",
      "PUNSUBSCRIBE x y",
      "SUNSUBSCRIBE x y",
      "SUBSCRIBE",
      "PSUBSCRIBE",
      "SSUBSCRIBE",
      "PING",
    ]) {
      await room.say(who, ...line.split(" "))
    }
  })

  story("leaving the last channel opens the connection again", async room => {
    await room.say(who, "SUBSCRIBE", "a")
    await room.say(who, "GET", "k")
    await room.say(who, "PSUBSCRIBE", "a*")
    await room.say(who, "UNSUBSCRIBE")
    await room.say(who, "CLIENT", "GETNAME")
    await room.say(who, "PUNSUBSCRIBE")
    await room.say(who, "GET", "k")
    await room.say(who, "SSUBSCRIBE", "s")
    await room.say(who, "GET", "k")
    await room.say(who, "SUNSUBSCRIBE")
    await room.say(who, "GET", "k")
  })

  story("what is allowed while subscribed", async room => {
    await room.say(who, "SUBSCRIBE", "a")
    for (const line of ["PING", "PING hello", "PING a b", "ECHO x", "NOSUCH", "CONFIG GET hz", "WATCH a", "HELLO 3"]) {
      if (who === "sub3" && line === "HELLO 3") continue
      await room.say(who, ...line.split(" "))
    }
  })

  story("RESET ends all subscriptions", async room => {
    await room.say(who, "SUBSCRIBE", "a", "b")
    await room.say(who, "PSUBSCRIBE", "a*")
    await room.say(who, "SSUBSCRIBE", "s")
    await room.say(who, "RESET")
    await room.say("pub", "PUBLISH", "a", "1")
    await room.say("pub", "SPUBLISH", "s", "1")
    await room.hear(who)
    await room.say("pub", "PUBSUB", "CHANNELS")
    await room.say("pub", "PUBSUB", "NUMPAT")
    await room.say("pub", "PUBSUB", "SHARDCHANNELS")
    await room.say(who, "GET", "k")
  })

  story("messages and patterns", async room => {
    await room.say(who, "SUBSCRIBE", "news", "\x00\r\nödd")
    await room.say(who, "PSUBSCRIBE", "n*", "*", "ne[v-x]s", "n?ws", "news", "[^n]*")
    await room.say(who, "SSUBSCRIBE", "news")
    await room.say("other", "SUBSCRIBE", "news")
    await room.say("pub", "PUBLISH", "news", "hello")
    await room.say("pub", "PUBLISH", "nothing", "")
    await room.say("pub", "PUBLISH", "\x00\r\nödd", "\r\n\xff\x00")
    await room.say("pub", "PUBLISH", "", "to nobody's name")
    await room.say("pub", "SPUBLISH", "news", "sharded")
    await room.say("pub", "SPUBLISH", "elsewhere", "sharded")
    await room.gather(who)
    await room.hear("other")
    await room.say(who, "PUNSUBSCRIBE", "*")
    await room.say("pub", "PUBLISH", "news", "hello")
    await room.gather(who)
  })

  story("inside MULTI and after it", async room => {
    for (const line of ["MULTI", "SUBSCRIBE a", "SSUBSCRIBE s", "UNSUBSCRIBE a", "GET k", "EXEC"]) {
      await room.ask(who, ...line.split(" "))
    }
    await room.hear(who)
    await room.say(who, "SUBSCRIBE", "a")
    for (const line of ["MULTI", "PUBLISH a 1", "SET k v", "PUBLISH a 2", "PUBLISH b 3"]) {
      await room.ask("pub", ...line.split(" "))
    }
    await room.hear(who)
    await room.ask("pub", "EXEC")
    await room.hear(who)
  })
})

describe.each(["asker", "asker3"])("PUBSUB as %s", who => {
  story("counts and lists", async room => {
    await room.say("a", "SUBSCRIBE", "one", "two")
    await room.say("b", "SUBSCRIBE", "one")
    await room.say("b3", "SUBSCRIBE", "one")
    await room.say("b", "PSUBSCRIBE", "x*", "y*")
    await room.say("b3", "PSUBSCRIBE", "x*")
    await room.say("c", "SSUBSCRIBE", "shard")
    for (const line of [
      "CHANNELS t*",
      "CHANNELS one",
      "CHANNELS nothing*",
      "CHANNELS [a-o]ne",
      "NUMSUB one two three one",
      "NUMSUB",
      "NUMPAT",
      "SHARDCHANNELS",
      "SHARDCHANNELS sh*",
      "SHARDCHANNELS x*",
      "SHARDNUMSUB shard one",
      "SHARDNUMSUB",
      "NUMPAT x",
      "CHANNELS a b",
      "NOSUCH",
    ]) {
      await room.say(who, "PUBSUB", ...line.split(" "))
    }
    await room.say(who, "PUBSUB")
  })
})

story("a RESP2 client that turns to RESP3 hears pushes from then on", async room => {
  await room.say("sub3", "SUBSCRIBE", "a")
  await room.say("pub", "PUBLISH", "a", "1")
  await room.hear("sub3")
  await room.say("sub3", "HELLO", "2", "SETNAME", "x").then(() => room.heard.pop())
  await room.say("pub", "PUBLISH", "a", "2")
  await room.hear("sub3")
  await room.say("sub3", "GET", "a")
})

story("CLIENT LIST counts subscriptions", async room => {
  await room.say("sub", "CLIENT", "SETNAME", "listener")
  await room.say("sub", "SUBSCRIBE", "a", "b")
  await room.say("sub", "PSUBSCRIBE", "c*")
  await room.say("sub", "SSUBSCRIBE", "s")
  const keeper = await room.client("keeper")
  for (const query of [["LIST"], ["LIST", "TYPE", "PUBSUB"]]) {
    const lines = String(await keeper.plain("CLIENT", ...query)).split("\n")
    const line = lines.find(entry => entry.includes("name=listener"))
    room.heard.push(["keeper", ...(line?.match(/ (flags|sub|psub|ssub)=\S+/g) ?? [])])
  }
})

/** One command or more of each class of event, with what they need. */
const EVENTFUL = [
  "SET s 1",
  "GET missing",
  "APPEND s 2",
  "INCR s",
  "DECRBY s 3",
  "INCRBYFLOAT s 1.5",
  "SETRANGE s 0 x",
  "SETRANGE s 0 y",
  "GETSET s 5",
  "SETEX s 100 v",
  "PSETEX s 100000 v",
  "SET s v EX 100",
  "SET s v KEEPTTL",
  "SET s v NX",
  "SETNX s v",
  "SETNX s2 v",
  "GETEX s PERSIST",
  "GETEX s EX 100",
  "GETDEL s2",
  "MSET m1 1 m2 2",
  "MSETNX m1 1 m3 2",
  "MSETNX m3 1 m4 2",
  "SETBIT bits 7 1",
  "BITOP NOT bits2 bits",
  "BITOP AND bits2 nothing",
  "BITFIELD bits SET u8 0 1 INCRBY u8 0 1",
  "PFADD hll a b",
  "PFADD hll a b",
  "PFMERGE hll2 hll",
  "EXPIRE s 50",
  "EXPIRE s -1",
  "SET s 1",
  "EXPIREAT s 1",
  "SET s 1",
  "PEXPIRE s 100000",
  "PERSIST s",
  "RENAME s s3",
  "RENAME s3 m1",
  "RENAMENX m1 m2",
  "RENAMENX m1 fresh",
  "COPY fresh copied",
  "COPY fresh copied REPLACE",
  "MOVE fresh 10",
  "DEL m2 m3 nothing",
  "UNLINK m4 copied",
  "TOUCH bits",
  "RPUSH l 3 1 2",
  "LPUSH l 0",
  "LPUSHX nolist 1",
  "RPUSHX l 9",
  "LINSERT l BEFORE 9 8",
  "LSET l 0 7",
  "LREM l 1 8",
  "LTRIM l 0 3",
  "LPOP l",
  "RPOP l 1",
  "RPOPLPUSH l l2",
  "LMOVE l l2 LEFT RIGHT",
  "LMPOP 1 l2 LEFT COUNT 1",
  "BLPOP l2 1",
  "LPUSH l3 a",
  "BLMOVE l3 l4 LEFT LEFT 1",
  "LTRIM l4 5 9",
  "RPUSH sortme 3 1 2",
  "SORT sortme STORE sorted",
  "SORT nothing STORE sorted",
  "SADD set a b c",
  "SADD set a",
  "SREM set a",
  "SREM set nothing",
  "SMOVE set set2 b",
  "SPOP set",
  "SADD set a",
  "SPOP set 5",
  "SADD set a b",
  "SINTERSTORE set3 set",
  "SUNIONSTORE set3 set",
  "SDIFFSTORE set3 set set",
  "SREM set a b",
  "HSET h a 1 b 2",
  "HSETNX h a 1",
  "HSETNX h c 1",
  "HMSET h d 1",
  "HINCRBY h a 1",
  "HINCRBYFLOAT h a 1.5",
  "HDEL h a",
  "HDEL h b c d",
  "ZADD z 1 a 2 b 3 c 4 d 5 e",
  "ZADD z 1 a",
  "ZADD z 2 a",
  "ZADD z INCR 1 a",
  "ZINCRBY z 1 a",
  "ZREM z a",
  "ZREMRANGEBYSCORE z 2 2",
  "ZREMRANGEBYRANK z 0 0",
  "ZREMRANGEBYLEX z - [a",
  "ZUNIONSTORE z2 1 z",
  "ZINTERSTORE z2 1 z",
  "ZDIFFSTORE z2 2 z z",
  "ZRANGESTORE z2 z 0 -1",
  "ZRANGESTORE z2 z 5 9",
  "ZPOPMIN z",
  "ZMPOP 1 z MAX",
  "ZADD z 1 a",
  "BZPOPMAX z 1",
  "GEOADD geo 1 1 a 2 2 b",
  "GEOSEARCHSTORE geo2 geo FROMLONLAT 1 1 BYRADIUS 10 km",
  "GEOSEARCHSTORE geo2 geo FROMLONLAT 50 50 BYRADIUS 10 km",
  "XADD x 1-1 a 1",
  "XADD x MAXLEN 1 2-1 a 1",
  "XADD x 3-1 a 1",
  "XGROUP CREATE x g $",
  "XGROUP CREATE x2 g $ MKSTREAM",
  "XGROUP SETID x g 0",
  "XGROUP CREATECONSUMER x g me",
  "XREADGROUP GROUP g you STREAMS x >",
  "XACK x g 2-1",
  "XCLAIM x g me 0 3-1",
  "XAUTOCLAIM x g you 0 0",
  "XGROUP DELCONSUMER x g me",
  "XGROUP DESTROY x g",
  "XTRIM x MAXLEN 1",
  "XDEL x 3-1",
  "XSETID x 9-9",
  "EXPIRE x 100",
  "GETEX missing",
  "EXISTS missing",
  "TYPE missing",
  "TTL missing",
  "HGET missing f",
  "LRANGE missing 0 1",
  "MGET missing missing2",
  "SINTER missing",
  "SELECT 10",
  "FLUSHDB",
  "SELECT 9",
  "SWAPDB 9 10",
  "SWAPDB 9 10",
  "FLUSHDB",
]

describe("keyspace notifications", () => {
  const watch = async (room: Room, flags: string): Promise<void> => {
    await room.say("keeper", "CONFIG", "SET", "notify-keyspace-events", flags)
    await room.say("keeper", "CONFIG", "GET", "notify-keyspace-events")
    await room.say("watcher", "PSUBSCRIBE", "__key*__:*")
    await room.say("actor", "SELECT", "9")
  }

  story("of all commands, in their order", async room => {
    await watch(room, "KEAm")
    for (const line of EVENTFUL) {
      await (await room.client("actor")).call(...line.split(" "))
      await room.hear("watcher")
    }
  })

  for (const flags of [
    "K",
    "E",
    "Kg",
    "E$",
    "Kl",
    "Es",
    "Kh",
    "Ez",
    "Et",
    "Kx",
    "Em",
    "Kn",
    "Ed",
    "A",
    "KA",
    "EA",
    "g$",
  ]) {
    story(`of the classes ${flags}`, async room => {
      await watch(room, flags)
      for (const line of EVENTFUL) (await room.client("actor")).sendCommand(...line.split(" "))
      await room.hear("actor")
      room.heard.pop()
      await room.hear("watcher")
    })
  }

  story("of keys whose time is up", async room => {
    await watch(room, "KEA")
    await room.say("actor", "SET", "s", "1", "PX", "1")
    const actor = await room.client("actor")
    await until(async () => (await actor.plain("GET", "s")) === null, { what: "the key to expire" })
    await room.hear("watcher")
    await room.say("actor", "RPUSH", "l", "1")
    await room.say("actor", "PEXPIRE", "l", "1")
    await until(async () => (await actor.plain("DBSIZE")) === 0, { what: "the key to be found expired" })
    await room.hear("watcher")
  })

  story("of a transaction, and of one served while waiting", async room => {
    await watch(room, "KEA")
    await room.ask("actor", "MULTI")
    await room.ask("actor", "SET", "a", "1")
    await room.ask("actor", "LPUSH", "l", "1")
    await room.hear("watcher")
    await room.ask("actor", "EXEC")
    await room.hear("watcher")
    const waiter = await room.client("waiter")
    await waiter.call("SELECT", 9)
    waiter.sendCommand("BLMOVE", "src", "dst", "LEFT", "LEFT", 0)
    const keeper = await room.client("keeper")
    await until(async () => String(await keeper.plain("INFO", "clients")).includes("blocked_clients:1"), {
      what: "the client to wait",
    })
    await room.say("actor", "RPUSH", "src", "x")
    await room.hear("waiter")
    await room.hear("watcher")
  })

  story("letters in any order, and unknown ones", async room => {
    for (const flags of ["AKE", "mnKE", "g$lshzxetdKE", "xK", "KEq", "", "AAKK"]) {
      await room.say("keeper", "CONFIG", "SET", "notify-keyspace-events", flags)
      await room.say("keeper", "CONFIG", "GET", "notify-keyspace-events")
    }
  })

  story("a watcher in RESP3 that acts itself", async room => {
    await room.say("keeper", "CONFIG", "SET", "notify-keyspace-events", "KEA")
    await room.say("both3", "SUBSCRIBE", "__keyspace@0__:k", "__keyevent@0__:del")
    await room.say("both3", "SET", "k", "v")
    await room.say("both3", "DEL", "k")
  })
})

describe("bundis alone", () => {
  test("in RESP3 a message to oneself comes after the reply", async () => {
    await using server = await createServer()
    const received: Buffer[] = []
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: server.port,
      socket: { data: (_, chunk) => void received.push(Buffer.from(chunk)) },
    })
    socket.write("HELLO 3\r\nSUBSCRIBE a\r\n")
    const all = () => Buffer.concat(received).toString("latin1")
    await until(() => all().includes("subscribe"), { what: "the confirmation" })
    received.length = 0
    socket.write("PUBLISH a hi\r\nMULTI\r\nPUBLISH a x\r\nGET k\r\nEXEC\r\nPING\r\n")
    await until(() => all().includes("PONG"), { what: "the last reply" })
    const message = (body: string) => `>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$${body.length}\r\n${body}\r\n`
    expect(all()).toBe(`:1\r\n${message("hi")}+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n_\r\n${message("x")}+PONG\r\n`)
    socket.terminate()
  })

  test("fields that one command finds expired are told once", async () => {
    const clock = new ManualClock(1_000_000)
    await using server = await createServer({
      clock,
      config: { "enable-debug-command": "yes", "notify-keyspace-events": "Khg" },
    })
    await server.execute("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    await server.execute("HSET", "h", "a", "1", "b", "2", "c", "3")
    await server.execute("HPEXPIRE", "h", "10", "FIELDS", "3", "a", "b", "c")
    await using watcher = await Client.connect(server.port)
    await watcher.call("PSUBSCRIBE", "*")
    clock.advance(20)
    await server.execute("HMGET", "h", "a", "b")
    await server.execute("HGET", "h", "c")
    const events = async () => (toPlain(await watcher.readReply()) as string[])[3]
    expect([await events(), await events(), await events()]).toEqual(["hexpired", "hexpired", "del"])
  })

  test("of clients that are gone nothing stays behind", async () => {
    await using server = await createServer()
    const { pubsub } = server.server.engine
    {
      await using client = await Client.connect(server.port)
      await client.call("SUBSCRIBE", "a")
      await client.call("PSUBSCRIBE", "a*")
      await client.call("SSUBSCRIBE", "a")
      expect([pubsub.channels.size, pubsub.patternCount, pubsub.shards.size]).toEqual([1, 1, 1])
    }
    await until(() => pubsub.channels.size + pubsub.patternCount + pubsub.shards.size === 0, {
      what: "the subscriptions to be forgotten",
    })
  })

  test("a thousand subscribers hear a thousand messages", async () => {
    const COUNT = 1000
    await using server = await createServer()
    const message = "*3\r\n$7\r\nmessage\r\n$5\r\ncrowd\r\n$5\r\n"
    const confirmation = "*3\r\n$9\r\nsubscribe\r\n$5\r\ncrowd\r\n:1\r\n"
    const expected = confirmation + Array.from({ length: COUNT }, (_, i) => `${message}${10000 + i}\r\n`).join("")
    const wanted = Buffer.from(expected)
    let complete = 0
    let wrong = 0
    const sockets: { terminate(): void }[] = []
    for (let i = 0; i < COUNT; i++) {
      let at = 0
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port: server.port,
        socket: {
          data(_, chunk) {
            if (wanted.compare(chunk, 0, chunk.length, at, Math.min(at + chunk.length, wanted.length)) !== 0) wrong++
            at += chunk.length
            if (at === wanted.length) complete++
          },
        },
      })
      socket.write("SUBSCRIBE crowd\r\n")
      sockets.push(socket)
    }
    await using publisher = await Client.connect(server.port)
    const subscribed = async () => toPlain(await publisher.call("PUBSUB", "NUMSUB", "crowd"))
    await until(async () => ((await subscribed()) as unknown[])[1] === COUNT, { what: "all to be subscribed" })
    const replies = await publisher.pipeline(Array.from({ length: COUNT }, (_, i) => ["PUBLISH", "crowd", 10000 + i]))
    expect(replies.every(reply => text(reply) === `:${COUNT}`)).toBe(true)
    await until(() => complete === COUNT || wrong > 0, { what: "every message to arrive", timeoutMs: 20_000 })
    expect(wrong).toBe(0)
    for (const socket of sockets) socket.terminate()
  }, 60_000)
})
