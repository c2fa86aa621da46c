import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { createServer, type EmbeddedServer, ManualClock } from "../../src/index.ts"

const start = 1_800_000_000_000

const mapOf = (entries: Record<string, string>) => new Map(Object.entries(entries))

/** Both forms of a hash with expiring fields. */
for (const form of ["listpackex", "hashtable"] as const) {
  describe(`hash field expiry, ${form}`, () => {
    let clock: ManualClock
    let server: EmbeddedServer
    const events: string[] = []
    const run = (line: string) => server.execute(...line.split(" "))
    /** Propagated HDELs of expired fields, as "db key field". */
    const gone: string[] = []
    const text = (bytes: Uint8Array, from: number, to: number) => Buffer.from(bytes.slice(from, to)).toString("latin1")
    /** Time goes on without the tick: only lazy expiry is at work. */
    const wait = (ms: number) => clock.advance(ms)
    const tick = () => {
      server.server.engine.refreshTime()
      while (server.server.engine.keyspace.fieldExpiry.slice());
    }

    beforeEach(async () => {
      clock = new ManualClock(start)
      server = await createServer({
        clock,
        config: form === "hashtable" ? { "hash-max-listpack-entries": 0 } : {},
      })
      server.server.cron.stop()
      const { keyspace } = server.server.engine
      keyspace.events.notifyFlags = 0xffff
      events.length = gone.length = 0
      keyspace.events.onNotify = (event, _db, key, from, to) => {
        if (event !== "new") events.push(`${event} ${text(key, from, to)}`)
      }
      keyspace.events.onFieldExpired = (db, key, from, to, field, fieldFrom, fieldTo) => {
        gone.push(`${db.index} ${text(key, from, to)} ${text(field, fieldFrom, fieldTo)}`)
      }
    })
    afterEach(() => server.close())

    test("answers per field, by condition", async () => {
      await run("HSET h a 1 b 2 c 3")
      expect(await run("HPEXPIRE h 1000 NX FIELDS 3 a b nofield")).toEqual([1, 1, -2])
      expect(await run("HPEXPIRE h 2000 NX FIELDS 2 a c")).toEqual([0, 1])
      expect(await run("HPEXPIRE h 1500 GT FIELDS 2 a c")).toEqual([1, 0])
      expect(await run("HPEXPIRE h 1600 LT FIELDS 2 a c")).toEqual([0, 1])
      expect(await run("HPEXPIRE h 1500 LT FIELDS 1 a")).toEqual([0])
      expect(await run("HPERSIST h FIELDS 2 a nofield")).toEqual([1, -2])
      expect(await run("HPERSIST h FIELDS 1 a")).toEqual([-1])
      expect(await run("HPEXPIRE h 10 XX FIELDS 1 a")).toEqual([0])
      expect(await run("HPEXPIRE h 10 GT FIELDS 1 a")).toEqual([0])
      expect(await run("HPEXPIRE h 10000 LT FIELDS 1 a")).toEqual([1])
      expect(await run("HEXPIRE nokey 10 FIELDS 2 a b")).toEqual([-2, -2])
      expect(await run("OBJECT ENCODING h")).toBe(form)
    })

    test("tells the times in both units", async () => {
      await run("HSET h a 1 b 2")
      await run("HPEXPIRE h 1500 FIELDS 1 a")
      expect(await run("HTTL h FIELDS 3 a b c")).toEqual([2, -1, -2])
      expect(await run("HPTTL h FIELDS 3 a b c")).toEqual([1500, -1, -2])
      expect(await run("HEXPIRETIME h FIELDS 1 a")).toEqual([start / 1000 + 2])
      expect(await run("HPEXPIRETIME h FIELDS 1 a")).toEqual([start + 1500])
      expect(await run("HEXPIREAT h 4102444800 FIELDS 1 b")).toEqual([1])
      expect(await run("HPEXPIRETIME h FIELDS 2 a b")).toEqual([start + 1500, 4_102_444_800_000])
      expect(await run("HTTL nokey FIELDS 1 a")).toEqual([-2])
    })

    test("refuses what is not a time or a list of fields", async () => {
      await run("HSET h a 1")
      const error = async (line: string, message: string) => {
        const reply = await server.executeReply(...line.split(" "))
        expect(reply.type === "error" ? Buffer.from(reply.value).toString() : reply).toBe(message as never)
      }
      await error("HEXPIRE h -1 FIELDS 1 a", "ERR invalid expire time, must be >= 0")
      await error("HEXPIRE h -9223372036854775808 FIELDS 1 a", "ERR invalid expire time, must be >= 0")
      await error("HEXPIRE h 281474976710 FIELDS 1 a", "ERR invalid expire time in 'hexpire' command")
      await error("HPEXPIREAT h 70368744177664 FIELDS 1 a", "ERR invalid expire time in 'hpexpireat' command")
      expect(await run("HPEXPIREAT h 70368744177663 FIELDS 1 a")).toEqual([1])
      await error("HEXPIRE h x FIELDS 1 a", "ERR value is not an integer or out of range")
      await error("HEXPIRE h 1 FIELD 1 a", "ERR Mandatory argument FIELDS is missing or not at the right position")
      await error("HEXPIRE h 1 FIELDS 0 a", "ERR Parameter `numFields` should be greater than 0")
      await error("HEXPIRE h 1 FIELDS 2 a", "ERR The `numfields` parameter must match the number of arguments")
      await error("HTTL h FIELDS 0 a", "ERR Number of fields must be a positive integer")
      await error(
        "HSETEX h EX 1 PX 1 FIELDS 1 a b",
        "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
      )
      await error("HSETEX h FNX FXX FIELDS 1 a b", "ERR Only one of FXX or FNX arguments can be specified")
      await error("HSETEX h what FIELDS 1 a b", "ERR unknown argument: what")
      await error("HSETEX h FIELDS 2 a b", "ERR wrong number of arguments for 'hsetex' command")
    })

    test("a time that is over removes the field, and the hash with its last one", async () => {
      await run("HSET h a 1 b 2")
      events.length = 0
      expect(await run("HPEXPIREAT h 1 FIELDS 2 a x")).toEqual([2, -2])
      expect(events).toEqual(["hdel h"])
      expect(await run("HEXPIRE h 0 FIELDS 1 b")).toEqual([2])
      expect(events).toEqual(["hdel h", "hdel h", "del h"])
      expect(await run("EXISTS h")).toBe(0)
      expect(server.server.engine.keyspace.events.expiredFields).toBe(2)
    })

    test("readers do not see a field past its time, and remove it when asked for it", async () => {
      await run("HSET h a 1 b 2 c 3 d 4")
      await run("HPEXPIRE h 1 FIELDS 3 a b c")
      wait(5)
      events.length = 0
      expect(await run("HLEN h")).toBe(4)
      expect(await run("HGETALL h")).toEqual(mapOf({ d: "4" }))
      expect(await run("HKEYS h")).toEqual(["d"])
      expect(await run("HVALS h")).toEqual(["4"])
      expect(await run("HSCAN h 0")).toEqual(["0", ["d", "4"]])
      expect(await run("HTTL h FIELDS 2 a d")).toEqual([-2, -1])
      expect(await run("HPERSIST h FIELDS 1 a")).toEqual([-2])
      expect(await run("HLEN h")).toBe(4)
      expect(await run("HGET h a")).toBeNull()
      expect(await run("HLEN h")).toBe(3)
      expect(await run("HEXISTS h b")).toBe(0)
      expect(events).toEqual(["hexpired h", "hexpired h"])
      expect(gone).toEqual(["0 h a", "0 h b"])
      expect(await run("HRANDFIELD h 10")).toEqual(["d"])
      expect(await run("HLEN h")).toBe(1)
      expect(gone.at(-1)).toBe("0 h c")
    })

    test("the hash goes with its last field", async () => {
      await run("HSET h a 1 b 2")
      await run("HPEXPIRE h 1 FIELDS 2 a b")
      wait(5)
      expect(await run("EXISTS h")).toBe(1)
      events.length = 0
      expect(await run("HMGET h a b c")).toEqual([null, null, null])
      expect(events).toEqual(["hexpired h", "del h"])
      expect(await run("EXISTS h")).toBe(0)
      expect(await run("HINCRBY h a 2")).toBe(2)
      await run("HPEXPIRE h 1 FIELDS 1 a")
      wait(5)
      expect(await run("HINCRBY h a 5")).toBe(5)
      await run("HPEXPIRE h 1 FIELDS 1 a")
      wait(5)
      expect(await run("HINCRBYFLOAT h a 1.5")).toBe("1.5")
      await run("HPEXPIRE h 1 FIELDS 1 a")
      wait(5)
      expect(await run("HSETNX h a 9")).toBe(1)
      expect(await run("HPTTL h FIELDS 1 a")).toEqual([-1])
    })

    test("HSET takes the time away, HINCRBY keeps it", async () => {
      await run("HSET h a 1 b 2")
      await run("HPEXPIRE h 100 FIELDS 2 a b")
      expect(await run("HINCRBY h a 41")).toBe(42)
      expect(await run("HINCRBYFLOAT h a 0.5")).toBe("42.5")
      await run("HSET h b 3")
      expect(await run("HPTTL h FIELDS 2 a b")).toEqual([100, -1])
      expect(await run("HGETALL h")).toEqual(mapOf({ a: "42.5", b: "3" }))
    })

    test("active expiry finds the hashes that are due", async () => {
      for (let i = 0; i < 300; i++) {
        await run(`HSET h${i} a 1 b 2 stays 3`)
        await run(`HPEXPIRE h${i} ${100 + (i % 10)} FIELDS 2 a b`)
      }
      await run("HSET all a 1")
      await run("HPEXPIRE all 50 FIELDS 1 a")
      tick()
      expect(gone).toEqual([])
      wait(60)
      tick()
      expect(gone).toEqual(["0 all a"])
      expect(await run("EXISTS all")).toBe(0)
      wait(45)
      tick()
      expect(gone.length).toBe(1 + 300)
      wait(100)
      tick()
      expect(gone.length).toBe(1 + 600)
      expect(await run("HGETALL h7")).toEqual(mapOf({ stays: "3" }))
      expect(server.server.engine.keyspace.fieldExpiry.size(server.server.engine.keyspace.databases[0]!)).toBe(0)
    })

    test("a large hash expires in slices", async () => {
      const { keyspace } = server.server.engine
      for (let i = 0; i < 3000; i += 100) {
        const fields = Array.from({ length: 100 }, (_, j) => `f${i + j}`)
        await run(`HSET big ${fields.map(field => `${field} v`).join(" ")}`)
        await run(`HPEXPIRE big 10 FIELDS 100 ${fields.join(" ")}`)
      }
      await run("HSET big last v")
      wait(20)
      server.server.engine.refreshTime()
      let slices = 1
      while (keyspace.fieldExpiry.slice(200)) slices++
      expect(slices).toBeGreaterThan(3)
      expect(await run("HGETALL big")).toEqual(mapOf({ last: "v" }))
      expect(await run("HLEN big")).toBe(1)
    })

    test("follows RENAME, COPY and SWAPDB; stale entries are harmless", async () => {
      await run("HSET h a 1 b 2")
      await run("HPEXPIRE h 100 FIELDS 1 a")
      await run("COPY h copy")
      await run("RENAME h renamed")
      await run("SET h string")
      await run("HSET other a 1")
      await run("HPEXPIRE other 100 FIELDS 1 a")
      await run("DEL other")
      await run("HSET other a 1")
      await run("SWAPDB 0 3")
      wait(200)
      tick()
      expect(gone.sort()).toEqual(["3 copy a", "3 renamed a"])
      await run("SELECT 3")
      expect(await run("HGETALL copy")).toEqual(mapOf({ b: "2" }))
      expect(await run("HGET other a")).toBe("1")
      expect(await run("GET h")).toBe("string")
      await run("HPEXPIRE copy 100 FIELDS 1 b")
      await run("FLUSHALL")
      await run("HSET copy b 1")
      wait(200)
      tick()
      expect(await run("HGET copy b")).toBe("1")
    })

    test("HGETEX, HSETEX, HGETDEL", async () => {
      expect(await run("HSETEX h FXX FIELDS 1 a 1")).toBe(0)
      expect(await run("HSETEX h XX FIELDS 1 a 1")).toBe(0)
      expect(await run("EXISTS h")).toBe(0)
      events.length = 0
      expect(await run("HSETEX h NX FNX PX 500 FIELDS 2 a 1 b 2")).toBe(1)
      expect(events).toEqual(["hset h", "hexpire h"])
      expect(await run("HPTTL h FIELDS 2 a b")).toEqual([500, 500])
      expect(await run("HSETEX h NX FIELDS 1 z 1")).toBe(0)
      expect(await run("HSETEX h FNX FIELDS 2 c 3 a 1")).toBe(0)
      expect(await run("HEXISTS h c")).toBe(0)
      expect(await run("HSETEX h FXX KEEPTTL FIELDS 1 a 10")).toBe(1)
      expect(await run("HSETEX h FIELDS 1 b 20")).toBe(1)
      expect(await run("HPTTL h FIELDS 2 a b")).toEqual([500, -1])
      expect(await run("HGETEX h PERSIST FIELDS 3 a b c")).toEqual(["10", "20", null])
      expect(await run("HPTTL h FIELDS 2 a b")).toEqual([-1, -1])
      expect(await run("HGETEX h EX 7 FIELDS 1 a")).toEqual(["10"])
      expect(await run("HGETEX h FIELDS 1 a")).toEqual(["10"])
      expect(await run("HTTL h FIELDS 1 a")).toEqual([7])
      expect(await run("HGETDEL h FIELDS 2 a x")).toEqual(["10", null])
      events.length = 0
      expect(await run("HGETEX h PXAT 1 FIELDS 1 b")).toEqual(["20"])
      expect(events).toEqual(["hdel h", "del h"])
      expect(await run("HSETEX h PXAT 1 FIELDS 1 a 1")).toBe(1)
      expect(await run("EXISTS h")).toBe(0)
      await run("HSET h a 1 b 2")
      events.length = 0
      expect(await run("HGETDEL h FIELDS 2 a b")).toEqual(["1", "2"])
      expect(events).toEqual(["hdel h", "del h"])
      expect(await run("EXISTS h")).toBe(0)
    })
  })
}
