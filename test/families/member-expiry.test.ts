import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { Prng } from "../../src/bytes/prng.ts"
import { createServer, type EmbeddedServer, ManualClock } from "../../src/index.ts"
import { ValueType } from "../../src/keyspace/kinds.ts"
import { runSeed } from "../support/random.ts"

const start = 1_800_000_000_000

let clock: ManualClock
let server: EmbeddedServer
const events: string[] = []
/** Propagated removals of members past their time, as "command db key member". */
const gone: string[] = []
const text = (bytes: Uint8Array, from: number, to: number) => Buffer.from(bytes.slice(from, to)).toString("latin1")
const run = (line: string) => server.execute(...line.split(" "))
const keyspace = () => server.server.engine.keyspace
const tick = () => {
  server.server.engine.refreshTime()
  while (keyspace().memberExpiry.slice());
}

beforeEach(async () => {
  clock = new ManualClock(start)
  server = await createServer({ clock, config: {} })
  server.server.cron.stop()
  const { events: heard } = keyspace()
  heard.notifyFlags = 0xffff
  events.length = gone.length = 0
  heard.onNotify = (event, _db, key, from, to) => {
    if (event !== "new" && event !== "keymiss") events.push(`${event} ${text(key, from, to)}`)
  }
  heard.onMemberExpired = (db, key, from, to, member, memberFrom, memberTo, type) => {
    const command = type === ValueType.Set ? "SREM" : "ZREM"
    gone.push(`${command} ${db.index} ${text(key, from, to)} ${text(member, memberFrom, memberTo)}`)
  }
})
afterEach(() => server.close())

const error = async (line: string, message: string) => {
  const reply = await server.executeReply(...line.split(" "))
  expect(reply.type === "error" ? Buffer.from(reply.value).toString() : reply).toBe(message as never)
}

/** Both types, each from a small form: what they have in common. */
for (const letter of ["S", "Z"] as const) {
  const l = letter.toLowerCase()
  const add = (members: string) =>
    run(
      letter === "S"
        ? `SADD k ${members}`
        : `ZADD k ${members
            .split(" ")
            .map((member, i) => `${i} ${member}`)
            .join(" ")}`,
    )
  const members = async () => {
    const all = (await run(letter === "S" ? "SMEMBERS k" : "ZRANGE k 0 -1")) as Iterable<string>
    return [...all].sort()
  }

  describe(`member expiry, ${letter === "S" ? "sets" : "sorted sets"}`, () => {
    test("answers per member, by condition", async () => {
      await add("a b c")
      expect(await run(`${letter}PEXPIRE k 1000 NX MEMBERS 3 a b no`)).toEqual([1, 1, -2])
      expect(await run(`${letter}PEXPIRE k 2000 MEMBERS 2 a c NX`)).toEqual([0, 1])
      expect(await run(`${letter}PEXPIRE k 1500 GT MEMBERS 2 a c`)).toEqual([1, 0])
      expect(await run(`${letter}PEXPIRE k 1600 LT MEMBERS 2 a c`)).toEqual([0, 1])
      expect(await run(`${letter}PERSIST k MEMBERS 2 a no`)).toEqual([1, -2])
      expect(await run(`${letter}PERSIST k MEMBERS 1 a`)).toEqual([-1])
      expect(await run(`${letter}PEXPIRE k 10 XX MEMBERS 1 a`)).toEqual([0])
      expect(await run(`${letter}PEXPIRE k 10 GT MEMBERS 1 a`)).toEqual([0])
      expect(await run(`${letter}EXPIRE k 10 MEMBERS 2 a a`)).toEqual([1, 1])
      expect(await run(`${letter}EXPIRE nokey 10 MEMBERS 2 a b`)).toEqual([-2, -2])
    })

    test("tells the times in both units", async () => {
      await add("a b")
      await run(`${letter}PEXPIRE k 1500 MEMBERS 1 a`)
      expect(await run(`${letter}TTL k MEMBERS 3 a b c`)).toEqual([2, -1, -2])
      expect(await run(`${letter}PTTL k MEMBERS 3 a b c`)).toEqual([1500, -1, -2])
      expect(await run(`${letter}EXPIRETIME k MEMBERS 1 a`)).toEqual([start / 1000 + 2])
      expect(await run(`${letter}PEXPIRETIME k MEMBERS 1 a`)).toEqual([start + 1500])
      expect(await run(`${letter}EXPIREAT k 4102444800 MEMBERS 1 b`)).toEqual([1])
      expect(await run(`${letter}PEXPIRETIME k MEMBERS 1 b`)).toEqual([4_102_444_800_000])
      expect(await run(`${letter}TTL nokey MEMBERS 1 a`)).toEqual([-2])
    })

    test("refuses what is not a time or a list of members", async () => {
      await run("SET str 1")
      await error(`${letter}EXPIRE k -1 MEMBERS 1 a`, "ERR invalid expire time, must be >= 0")
      await error(`${letter}EXPIRE k x MEMBERS 1 a`, "ERR value is not an integer or out of range")
      await error(`${letter}EXPIRE k 281474976710 MEMBERS 1 a`, `ERR invalid expire time in '${l}expire' command`)
      await error(`${letter}EXPIRE k 1 MEMBERS 0 a`, "ERR Parameter `numMembers` should be greater than 0")
      await error(`${letter}EXPIRE k 1 MEMBERS x a`, "ERR Parameter `numMembers` should be greater than 0")
      await error(`${letter}EXPIRE k 1 MEMBERS 2 a`, "ERR wrong number of arguments")
      await error(`${letter}EXPIRE k 1 NX XX MEMBERS 1 a`, "ERR Multiple condition flags specified")
      await error(`${letter}EXPIRE k 1 what MEMBERS 1 a`, "ERR unknown argument: what")
      await error(`${letter}EXPIRE k 1 NX NX NX`, "ERR missing MEMBERS argument")
      await error(
        `${letter}EXPIRE k 1 NX MEMBERS 1`,
        "ERR MEMBERS requires at least nummembers and one member argument",
      )
      await error(`${letter}TTL k MEMBERS 2 a`, "ERR The `nummembers` parameter must match the number of arguments")
      await error(`${letter}PERSIST k MEMBERS 0 a`, "ERR Number of members must be a positive integer")
      await error(`${letter}TTL k MEMBER 1 a`, "ERR Mandatory argument MEMBERS is missing or not at the right position")
      for (const command of ["EXPIRE str 1", "TTL str", "PERSIST str"]) {
        await error(
          `${letter}${command} MEMBERS 1 a`,
          "WRONGTYPE Operation against a key holding the wrong kind of value",
        )
      }
    })

    test("a time that is over removes the member, and the key with its last one", async () => {
      await add("a b")
      events.length = 0
      expect(await run(`${letter}PEXPIREAT k 1 MEMBERS 2 a x`)).toEqual([2, -2])
      expect(events).toEqual([`${l}rem k`])
      expect(await run(`${letter}EXPIRE k 0 MEMBERS 2 b b`)).toEqual([2, -2])
      expect(events).toEqual([`${l}rem k`, `${l}rem k`, "del k"])
      expect(await run("EXISTS k")).toBe(0)
    })

    test("no command sees a member past its time, not even of the key's existence", async () => {
      await add("a b c d")
      await run(`${letter}PEXPIRE k 10 MEMBERS 2 c a`)
      await run(`${letter}PEXPIRE k 5 MEMBERS 1 b`)
      events.length = 0
      clock.advance(10)
      expect(await members()).toEqual(["a", "c", "d"])
      clock.advance(1)
      expect(await run(`${letter}CARD k`)).toBe(1)
      expect(gone.slice(0, 1)).toEqual([`${letter}REM 0 k b`])
      expect(gone.slice(1).sort()).toEqual([`${letter}REM 0 k a`, `${letter}REM 0 k c`])
      expect(events).toEqual([`${l}expired k`, `${l}expired k`])
      await run(`${letter}PEXPIRE k 1 MEMBERS 1 d`)
      clock.advance(5)
      expect(await run("EXISTS k")).toBe(0)
      expect(events.slice(2)).toEqual([`${l}expire k`, `${l}expired k`, "del k"])
      expect(keyspace().events.expiredFields).toBe(4)
    })

    test("active expiry finds the keys that are due, and asks for nothing afterwards", async () => {
      await add("a b c")
      await run(`${letter}PEXPIRE k 100 MEMBERS 2 a b`)
      tick()
      expect(gone).toEqual([])
      clock.advance(200)
      tick()
      expect(gone.sort()).toEqual([`${letter}REM 0 k a`, `${letter}REM 0 k b`])
      expect(keyspace().memberExpiry.nextDue).toBe(Number.POSITIVE_INFINITY)
      expect(keyspace().memberExpiry.size(keyspace().databases[0]!)).toBe(0)
    })

    test("times follow RENAME, COPY, MOVE and SWAPDB, and stay behind with no one", async () => {
      await add("a b")
      await run(`${letter}PEXPIRE k 100 MEMBERS 1 a`)
      await run("COPY k copy")
      await run("COPY k away DB 5")
      await run("MOVE copy 4")
      await run("RENAME k other")
      await add("a b")
      expect(await run(`${letter}PTTL k MEMBERS 1 a`)).toEqual([-1])
      expect(await run(`${letter}PTTL other MEMBERS 2 a b`)).toEqual([100, -1])
      await run("SWAPDB 0 3")
      clock.advance(101)
      tick()
      expect(gone.sort()).toEqual([`${letter}REM 3 other a`, `${letter}REM 4 copy a`, `${letter}REM 5 away a`])
      await run("SELECT 3")
      expect(await members()).toEqual(["a", "b"])
    })

    test("a key made again, overwritten or flushed has no times left over", async () => {
      for (const loss of ["DEL k", "SET k v", `${letter}REM k a b`, "FLUSHALL", `${letter}UNIONSTORE k 1 none`]) {
        await add("a b")
        await run(`${letter}PEXPIRE k 100 MEMBERS 2 a b`)
        await run(letter === "S" ? loss.replace(" 1 none", " none") : loss)
        await run("DEL k")
        await add("a b")
        clock.advance(200)
        expect(await members()).toEqual(["a", "b"])
        tick()
        expect(await run(`${letter}TTL k MEMBERS 2 a b`)).toEqual([-1, -1])
        await run("DEL k")
      }
      expect(gone).toEqual([])
    })

    test("with active expiry switched off, what is not used stays, unseen", async () => {
      await add("a b")
      keyspace().activeExpiry = false
      await run(`${letter}PEXPIRE k 1 MEMBERS 1 a`)
      clock.advance(10)
      tick()
      expect(gone).toEqual([])
      expect(await members()).toEqual(["b"])
    })

    test("a large key expires in slices, in the order of times within each", async () => {
      const names = Array.from({ length: 2000 }, (_, i) => `m${i}`)
      await add(["stays", ...names].join(" "))
      await run(`${letter}PEXPIRE k 10 MEMBERS 1000 ${names.slice(1000).join(" ")}`)
      await run(`${letter}PEXPIRE k 5 MEMBERS 1000 ${names.slice(0, 1000).join(" ")}`)
      clock.advance(100)
      server.server.engine.refreshTime()
      let slices = 1
      while (keyspace().memberExpiry.slice(100)) slices++
      expect(slices).toBeGreaterThan(3)
      expect(gone.length).toBe(2000)
      expect(await members()).toEqual(["stays"])
    })
  })
}

describe("member expiry", () => {
  test("a small set becomes a table with its first time, and not before", async () => {
    await run("SADD ints 1 2 3")
    await run("SADD words a b")
    await run("ZADD z 1 a")
    await run("SEXPIRE ints 10 MEMBERS 1 9")
    expect(await run("OBJECT ENCODING ints")).toBe("intset")
    await run("SEXPIRE ints 10 MEMBERS 1 3")
    await run("SEXPIRE words 10 MEMBERS 1 a")
    await run("ZEXPIRE z 10 MEMBERS 1 a")
    expect(await run("OBJECT ENCODING ints")).toBe("hashtable")
    expect(await run("OBJECT ENCODING words")).toBe("hashtable")
    expect(await run("OBJECT ENCODING z")).toBe("skiplist")
    expect(await run("SISMEMBER ints 3")).toBe(1)
  })

  test("ZADD of a member takes its time away, ZINCRBY and SADD leave it", async () => {
    await run("ZADD z 1 a 2 b 3 c 4 d")
    await run("ZPEXPIRE z 100 MEMBERS 4 a b c d")
    keyspace().events.dirty = 0
    expect(await run("ZADD z 1 a 5 b")).toBe(0)
    expect(keyspace().events.dirty).toBe(1)
    expect(await run("ZADD z GT 1 c")).toBe(0)
    expect(await run("ZADD z NX 9 c")).toBe(0)
    expect(await run("ZINCRBY z 1 d")).toBe(5)
    expect(await run("ZPTTL z MEMBERS 4 a b c d")).toEqual([-1, -1, 100, 100])
    await run("SADD s a b")
    await run("SPEXPIRE s 100 MEMBERS 1 a")
    expect(await run("SADD s a c")).toBe(1)
    expect(await run("SPTTL s MEMBERS 3 a b c")).toEqual([100, -1, -1])
    await run("SMOVE s t a")
    expect(await run("SPTTL t MEMBERS 1 a")).toEqual([-1])
  })

  test("algebra, ranks and counts of several keys leave out what is over", async () => {
    await run("ZADD z1 1 a 2 b 3 c")
    await run("ZADD z2 1 a 2 b 4 d")
    await run("SADD s1 a b c")
    await run("SADD s2 a b d")
    await run("ZPEXPIRE z1 10 MEMBERS 1 a")
    await run("ZPEXPIRE z2 10 MEMBERS 1 b")
    await run("SPEXPIRE s1 10 MEMBERS 1 a")
    await run("SPEXPIRE s2 10 MEMBERS 1 b")
    clock.advance(11)
    expect(await run("ZINTERCARD 2 z1 z2")).toBe(0)
    expect(await run("ZUNION 2 z1 z2")).toEqual(["a", "b", "c", "d"])
    expect(await run("ZRANK z1 b")).toBe(0)
    expect(await run("ZCOUNT z1 -inf +inf")).toBe(2)
    expect(await run("SINTERCARD 2 s1 s2")).toBe(0)
    expect(await run("SUNIONSTORE u s1 s2")).toBe(4)
    expect([...((await run("SDIFF s1 s2")) as Iterable<string>)].sort()).toEqual(["b", "c"])
    await run("SPEXPIRE u 10 MEMBERS 1 a")
    expect(await run("SUNIONSTORE v u")).toBe(4)
    expect(await run("SPTTL v MEMBERS 1 a")).toEqual([-1])
  })

  test("SPOP of most members leaves the others their times", async () => {
    const names = Array.from({ length: 200 }, (_, i) => `m${i}`)
    await run(`SADD s ${names.join(" ")}`)
    await run(`SPEXPIRE s 1000 MEMBERS 200 ${names.join(" ")}`)
    await run("SPOP s 195")
    const left = [...((await run("SMEMBERS s")) as Iterable<string>)]
    expect(await run(`SPTTL s MEMBERS 5 ${left.join(" ")}`)).toEqual([1000, 1000, 1000, 1000, 1000])
  })

  test("inside MULTI time stands still, and the removal is part of the unit", async () => {
    await run("SADD s a b")
    await run("SPEXPIRE s 10 MEMBERS 1 a")
    clock.advance(11)
    await run("MULTI")
    await run("SCARD s")
    await run("SADD s a")
    await run("STTL s MEMBERS 1 a")
    expect(await run("EXEC")).toEqual([1, 1, [-1]])
  })

  test("ZCOLLECT removes what is due", async () => {
    await run("ZADD z1 1 a 2 b")
    await run("ZADD z2 1 a 2 b")
    await run("ZPEXPIRE z1 10 MEMBERS 1 a")
    await run("ZPEXPIRE z2 10 MEMBERS 1 a")
    clock.advance(11)
    expect(await run("ZCOLLECT z1 none")).toBe("OK")
    expect(gone).toEqual(["ZREM 0 z1 a"])
    expect(await run("ZCOLLECT *")).toBe("OK")
    expect(gone).toEqual(["ZREM 0 z1 a", "ZREM 0 z2 a"])
  })

  test("geo places expire as the sorted set they are", async () => {
    await run("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania")
    await run("ZPEXPIRE g 10 MEMBERS 1 Palermo")
    clock.advance(11)
    expect(await run("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km")).toEqual(["Catania"])
  })

  test("random commands agree with a model", async () => {
    const random = new Prng(runSeed)
    const model = new Map<string, Map<string, number>>()
    const below = (n: number) => Math.floor(random.nextFloat() * n)
    let now = start
    for (let step = 0; step < 3000; step++) {
      const letter = below(2) === 0 ? "S" : "Z"
      const key = `${letter}${below(3)}`
      const member = `m${below(8)}`
      const live = model.get(key) ?? new Map<string, number>()
      for (const [name, until] of live) if (until !== 0 && until < now) live.delete(name)
      model.set(key, live)
      const what = below(10)
      const hint = `step ${step} ${what} ${key} ${member}`
      if (what < 3) {
        await run(letter === "S" ? `SADD ${key} ${member}` : `ZADD ${key} ${below(5)} ${member}`)
        live.set(member, letter === "S" ? (live.get(member) ?? 0) : 0)
      } else if (what < 5) {
        const ms = below(30)
        const reply = await run(`${letter}PEXPIRE ${key} ${ms} MEMBERS 1 ${member}`)
        expect(reply, hint).toEqual([live.has(member) ? (ms === 0 ? 2 : 1) : -2])
        if (live.has(member) && ms > 0) live.set(member, now + ms)
        else live.delete(member)
      } else if (what === 5) {
        await run(`${letter}PERSIST ${key} MEMBERS 1 ${member}`)
        if (live.has(member)) live.set(member, 0)
      } else if (what === 6) {
        expect(await run(`${letter}REM ${key} ${member}`), hint).toBe(live.delete(member) ? 1 : 0)
      } else if (what === 7) {
        expect(await run(`${letter}CARD ${key}`), hint).toBe(live.size)
        expect(await run(`EXISTS ${key}`), hint).toBe(live.size > 0 ? 1 : 0)
        const all = (await run(letter === "S" ? `SMEMBERS ${key}` : `ZRANGE ${key} 0 -1`)) as Iterable<string>
        expect([...all].sort(), hint).toEqual([...live.keys()].sort())
      } else if (what === 8) {
        const to = `${letter}${below(3)}`
        if (live.size > 0 && to !== key) {
          await run(below(2) === 0 ? `RENAME ${key} ${to}` : `COPY ${key} ${to} REPLACE`)
          model.set(to, new Map(live))
          if ((await run(`EXISTS ${key}`)) === 0) model.delete(key)
        }
      } else {
        const ms = below(10)
        clock.advance(ms)
        now += ms
        if (below(2) === 0) tick()
      }
    }
  })
})

describe("where nothing may be removed", () => {
  const sorted = async (line: string) => [...((await run(line)) as Iterable<string>)].sort()
  const held = () => {
    keyspace().holdExpiry("replica", true)
    clock.advance(11)
    server.server.engine.refreshTime()
  }

  test("members past their time are not seen, and not lost", async () => {
    await run("SADD s a b c")
    await run("ZADD z 1 a 2 b 3 c")
    await run("ZADD gone 1 a 2 b")
    await run("SPEXPIRE s 10 MEMBERS 2 a b")
    await run("ZPEXPIRE z 10 MEMBERS 1 b")
    await run("ZPEXPIRE gone 10 MEMBERS 2 a b")
    await run("PEXPIRE gone 50000")
    held()
    events.length = 0
    for (let i = 0; i < 2; i++) {
      expect(await sorted("SMEMBERS s")).toEqual(["c"])
      expect(await run("SCARD s")).toBe(1)
      expect(await run("ZRANK z c")).toBe(1)
      expect(await run("ZRANGE z 0 -1")).toEqual(["a", "c"])
      expect(await run("ZUNION 2 z gone")).toEqual(["a", "c"])
      expect(await run("EXISTS gone")).toBe(0)
      expect(await run("TYPE gone")).toBe("none")
      expect(await run("STTL s MEMBERS 2 a c")).toEqual([-2, -1])
      tick()
    }
    expect(gone).toEqual([])
    expect(events).toEqual([])
    // A primary's commands see what it has not removed yet.
    keyspace().servesExpired = true
    expect(await sorted("SMEMBERS s")).toEqual(["a", "b", "c"])
    expect(await run("ZRANGE gone 0 -1 WITHSCORES")).toEqual([
      ["a", 1],
      ["b", 2],
    ])
    expect(await run("PTTL gone")).toBe(50000 - 11)
    expect(await run("SPEXPIREAT s 4102444800000 MEMBERS 1 a")).toEqual([1])
    expect(await run("ZREM gone a b")).toBe(2)
    keyspace().servesExpired = false
    expect(await sorted("SMEMBERS s")).toEqual(["a", "c"])
    expect(await run("EXISTS gone")).toBe(0)
  })

  test("what the primary has removed is asked for no more", async () => {
    await run("SADD s a b")
    await run("SADD t a b")
    await run("SPEXPIRE s 10 MEMBERS 1 a")
    await run("SPEXPIRE t 5000 MEMBERS 1 a")
    held()
    tick()
    expect(keyspace().memberExpiry.nextDue).toBeLessThan(start + 11)
    keyspace().servesExpired = true
    await run("SREM s a")
    keyspace().servesExpired = false
    tick()
    // The bound of a block of entries is right again a round later.
    tick()
    expect(keyspace().memberExpiry.nextDue).toBe(start + 5000)
    // A replica that becomes a primary removes what is left.
    clock.advance(5000)
    keyspace().holdExpiry("replica", false)
    tick()
    expect(gone).toEqual(["SREM 0 t a"])
    expect(keyspace().memberExpiry.nextDue).toBe(Number.POSITIVE_INFINITY)
  })

  test("a command that may write does not bring them back into another value", async () => {
    await run("SADD s a b")
    await run("ZADD z 1 a")
    await run("SPEXPIRE s 10 MEMBERS 1 a")
    await run("ZPEXPIRE z 10 MEMBERS 1 a")
    held()
    expect(await run("SADD s a")).toBe(1)
    expect(await run("SPTTL s MEMBERS 1 a")).toEqual([-1])
    await run("DEL s")
    await run("SADD s x")
    expect(await sorted("SMEMBERS s")).toEqual(["x"])
    expect(await run("ZADD z 5 b")).toBe(1)
    expect(await run("ZRANGE z 0 -1")).toEqual(["b"])
    keyspace().servesExpired = true
    expect(await run("ZRANGE z 0 -1")).toEqual(["b"])
  })
})

describe("field expiry", () => {
  for (const entriesMax of [0, 512]) {
    test(`hashes due in one round go in the order of their times, ${entriesMax} packed`, async () => {
      await server.execute("CONFIG", "SET", "hash-max-listpack-entries", String(entriesMax))
      const fields: string[] = []
      keyspace().events.onFieldExpired = (_db, key, from, to, field, fieldFrom, fieldTo) => {
        fields.push(`${text(key, from, to)} ${text(field, fieldFrom, fieldTo)}`)
      }
      const wanted: string[] = []
      for (let i = 0; i < 40; i++) {
        await run(`HSET h${i} f1 1 f2 2 f3 3 stays 4`)
        for (let f = 1; f <= 3; f++) {
          await run(`HPEXPIRE h${i} ${10 + i * 10 + f} FIELDS 1 f${f}`)
          wanted.push(`h${i} f${f}`)
        }
      }
      clock.advance(1000)
      server.server.engine.refreshTime()
      while (keyspace().fieldExpiry.slice());
      expect(fields).toEqual(wanted)
    })
  }
})
