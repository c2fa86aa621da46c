/** Streams as of Redis 8.4 to 8.8: named messages (IDMP), messages given back (XNACK), claims while waiting. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { StreamId } from "../../src/structs/stream-id.ts"
import { StreamIdempotency } from "../../src/structs/stream-idempotency.ts"
import type { StreamValue } from "../../src/structs/stream-value.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { runSeed } from "../support/random.ts"
import { Probe, START_MS } from "./string-probe.ts"

let probe: Probe
beforeEach(async () => {
  probe = await Probe.start()
})
afterEach(() => probe[Symbol.asyncDispose]())

async function prepare(text: string): Promise<void> {
  for (const line of text.trim().split("\n")) expect(await probe.reply(line.trim())).not.toStartWith('{"')
}
const reply = (line: string) => probe.reply(line)
const value = (key: string) => {
  const bytes = new TextEncoder().encode(key)
  return probe.keys.object(probe.keys.find(bytes, 0, bytes.length)) as StreamValue
}
const facts = async (key: string) => (await probe.run("XINFO", "STREAM", key)) as Map<string, unknown>

describe("messages with names", () => {
  test("a message sent twice is added once", async () => {
    expect(await reply("XADD s IDMP p m1 * f v")).toBe(`"${START_MS}-0"`)
    expect(await reply("XADD s IDMP p m1 * f other")).toBe(`"${START_MS}-0"`)
    expect(await reply("XADD s IDMP p m2 * f v")).toBe(`"${START_MS}-1"`)
    expect(await reply("XADD s IDMP q m1 * f v")).toBe(`"${START_MS}-2"`)
    expect(await reply("XADD s IDMPAUTO p * a 1 b 2")).toBe(`"${START_MS}-3"`)
    expect(await reply("XADD s MAXLEN 100 IDMPAUTO p * b 2 a 1")).toBe(`"${START_MS}-3"`)
    expect(await reply("XADD s IDMPAUTO p * a 2 b 1")).toBe(`"${START_MS}-4"`)
    expect(await reply("XADD s IDMPAUTO q * a 1 b 2")).toBe(`"${START_MS}-5"`)
    expect(await reply("XADD none NOMKSTREAM IDMP p m1 * f v")).toBe("null")
    expect(await reply("EXISTS none")).toBe("0")
    const known = await facts("s")
    expect([...known].slice(7, 13)).toEqual([
      ["idmp-duration", 100],
      ["idmp-maxsize", 100],
      ["pids-tracked", 2],
      ["iids-tracked", 6],
      ["iids-added", 6],
      ["iids-duplicates", 2],
    ])
  })

  test("a stream without them says nothing of them", async () => {
    await prepare("XADD s * f v")
    expect((await facts("s")).size).toBe(10)
  })

  test("the entry's id stays the answer when the entry is gone", async () => {
    await prepare(`XADD s IDMP p m * f v\nXDEL s ${START_MS}-0`)
    expect(await reply("XADD s IDMP p m * f v")).toBe(`"${START_MS}-0"`)
    expect(await reply("XLEN s")).toBe("0")
  })

  test("what is wrong", async () => {
    const bad = async (line: string, message: string) => expect(await reply(line)).toContain(message)
    await bad("XADD s IDMP p * f v", "Invalid stream ID")
    await bad("XADD s IDMP p m 1-1 f v", "ERR IDMP/IDMPAUTO can be used only with auto-generated IDs")
    await bad("XADD s IDMPAUTO p 1-* f v", "ERR IDMP/IDMPAUTO can be used only with auto-generated IDs")
    await bad("XADD s IDMP p m IDMPAUTO p * f v", "ERR IDMP/IDMPAUTO specified multiple times")
    await bad("XADD s IDMP  m * f v", "ERR IDMP requires a non-empty producer ID")
    await bad("XADD s IDMP p  * f v", "ERR IDMP requires a non-empty idempotent ID")
    await bad("XADD s IDMPAUTO  * f v", "ERR IDMPAUTO requires a non-empty producer ID")
    await prepare("XADD s * f v\nSET str 1")
    await bad("XCFGSET s", "ERR syntax error")
    await bad("XCFGSET s IDMP-DURATION", "ERR syntax error")
    await bad("XCFGSET s IDMP-DURATION 0", "ERR IDMP-DURATION must be between 1 and 86400")
    await bad("XCFGSET s IDMP-MAXSIZE 10001", "ERR IDMP-MAXSIZE must be between 1 and 10000")
    await bad("XCFGSET none IDMP-MAXSIZE 1", "ERR no such key")
    await bad("XCFGSET str IDMP-MAXSIZE 1", "WRONGTYPE")
    await bad("XIDMPRECORD none p m 1-1", "ERR no such key")
    await bad("XIDMPRECORD s p m 1-1", "ERR The stream has no entry with that ID")
  })

  test("are forgotten after a time, beyond a number, and when either is changed", async () => {
    await prepare("XADD s IDMP p a * f v\nXCFGSET s IDMP-DURATION 10 IDMP-MAXSIZE 3")
    expect(await reply("XADD s IDMP p a * f v")).toBe(`"${START_MS}-1"`)
    await prepare("XCFGSET s IDMP-DURATION 10")
    expect(await reply("XADD s IDMP p a * f v")).toBe(`"${START_MS}-1"`)
    await prepare("XADD s IDMP p b * f v\nXADD s IDMP p c * f v\nXADD s IDMP p d * f v")
    expect(await reply("XADD s IDMP p a * f v")).toBe(`"${START_MS}-5"`)
    expect(await reply("XADD s IDMP p d * f v")).toBe(`"${START_MS}-4"`)
    probe.clock.advance(10_000)
    expect(await reply("XADD s IDMP p d * f v")).toBe(`"${START_MS}-4"`)
    probe.clock.advance(1)
    expect((await facts("s")).get("pids-tracked")).toBe(0)
    expect(await reply("XADD s IDMP p d * f v")).toBe(`"${START_MS + 10_001}-0"`)
  })

  test("go to files and replicas as plain entries and their names", async () => {
    expect(await probe.propagated("XADD s MAXLEN = 9 IDMP p m NOMKSTREAM * f v")).toEqual([])
    expect(await probe.propagated("XADD s MAXLEN = 9 IDMP p m * f v")).toEqual([
      "MULTI",
      `XADD s MAXLEN = 9 ${START_MS}-0 f v`,
      `XIDMPRECORD s p m ${START_MS}-0`,
      "EXEC",
    ])
    expect(await probe.propagated("XADD s IDMP p m * f v")).toEqual([])
    expect((await probe.propagated("XADD s IDMPAUTO p MAXLEN ~ 9 * f v")).slice(0, 2)).toEqual([
      "MULTI",
      `XADD s MAXLEN = 2 ${START_MS}-1 f v`,
    ])
    expect(await probe.propagated("XCFGSET s IDMP-MAXSIZE 5")).toEqual(["XCFGSET s IDMP-MAXSIZE 5"])
    await prepare(`XIDMPRECORD s p m ${START_MS}-0\nXIDMPRECORD s p m ${START_MS}-0`)
    expect(await reply(`XIDMPRECORD s p m ${START_MS}-1`)).toContain("already associated")
    expect(await reply("XADD s IDMP p m * f v")).toBe(`"${START_MS}-0"`)
  })

  test("belong to the value: copies, and snapshots that see none of what comes later", async () => {
    await prepare("XADD s IDMP p m * f v\nCOPY s t\nXADD t IDMP p n * f v")
    expect((await facts("s")).get("iids-tracked")).toBe(1)
    expect((await facts("t")).get("iids-tracked")).toBe(2)
    const { heap } = probe.keyspace
    heap.freeze()
    await prepare("XADD s IDMP p n * f v\nXCFGSET s IDMP-MAXSIZE 7")
    const frozen = value("s").frozenView().idempotency!
    expect([...frozen.entries()].map(([producer, name, id]) => `${producer} ${name} ${id}`)).toEqual([
      `p m ${START_MS}-0`,
    ])
    expect(frozen.entriesMax).toBe(100)
    heap.thaw()
    expect((await facts("s")).get("idmp-maxsize")).toBe(7)
  })

  test("the structure agrees with a model", () => {
    const seed = runSeed
    let state = seed
    const below = (n: number) => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
      return (state >>> 8) % n
    }
    let epoch = 1
    let live = new StreamIdempotency(epoch)
    live.configure(5, 4)
    const model = new Map<string, [name: string, ms: number, seq: number][]>()
    let now = 1_000_000
    let frozen: { view: StreamIdempotency; text: string } | undefined
    const text = (of: StreamIdempotency) => [...of.entries()].map(entry => entry.join(" ")).join()
    for (let step = 0; step < 20_000; step++) {
      const producer = `p${below(5)}`
      const name = `m${below(12)}`
      const kept = (model.get(producer) ?? []).filter(([, ms]) => now - ms <= 5000)
      const known = kept.find(([other]) => other === name)
      const found = live.find(producer, name, now)
      expect(found?.toString(), `seed ${seed} step ${step}`).toBe(known && `${known[1]}-${known[2]}`)
      if (known === undefined) {
        live.record(producer, name, new StreamId().set(now, step), now)
        kept.push([name, now, step])
        while (kept.length > 4) kept.shift()
      }
      model.set(producer, kept)
      now += below(900)
      if (below(500) === 0) {
        expect(frozen === undefined ? "" : text(frozen.view)).toBe(frozen?.text ?? "")
        frozen = { view: live, text: text(live) }
        live = live.fork(++epoch)
      }
    }
    now += 10_000
    live.prune(now)
    expect([live.size, live.producerCount, live.bytes]).toEqual([0, 0, new StreamIdempotency(0).bytes])
  })
})

describe("messages given back", () => {
  beforeEach(async () => {
    for (let i = 1; i <= 5; i++) await prepare(`XADD s ${i}-0 f v`)
    await prepare("XGROUP CREATE s g 0\nXREADGROUP GROUP g a COUNT 4 STREAMS s >")
  })

  test("are pending for nobody, with their deliveries counted as asked", async () => {
    expect(await reply("XNACK s g FAIL IDS 2 2-0 9-0")).toBe("1")
    expect(await reply("XNACK s g SILENT IDS 1 3-0")).toBe("1")
    expect(await reply("XNACK s g FATAL IDS 1 1-0")).toBe("1")
    expect(await reply("XNACK s g FAIL IDS 1 4-0 RETRYCOUNT 7")).toBe("1")
    const [[, owner, idle]] = (await probe.run("XPENDING", "s", "g", "-", "+", "1")) as [unknown[]]
    expect([owner, idle]).toEqual(["", -1])
    expect(await reply("XPENDING s g 2-0 4-0 9")).toBe('[["2-0","",-1,1],["3-0","",-1,0],["4-0","",-1,7]]')
    expect(String(((await probe.run("XPENDING", "s", "g", "1-0", "1-0", "1")) as unknown[][])[0]![3])).toBe(
      "9223372036854775807",
    )
    expect(await reply("XPENDING s g")).toBe('[4,"1-0","4-0",[]]')
    expect(await reply("XPENDING s g - + 9 a")).toBe("[]")
    expect(await reply("XNACK s g SILENT IDS 1 3-0")).toBe("1")
    expect(await reply("XPENDING s g 3-0 3-0 9")).toBe('[["3-0","",-1,0]]')
    const groups = (await probe.run("XINFO", "STREAM", "s", "FULL")) as Map<string, Map<string, unknown>[]>
    expect(groups.get("groups")![0]!.get("nacked-count")).toBe(4)
  })

  test("come first when somebody claims, in the order in which they were given back", async () => {
    await prepare("XNACK s g FAIL IDS 2 3-0 1-0\nXNACK s g FAIL IDS 1 2-0")
    probe.clock.advance(50)
    const claimed = (await probe.run(..."XREADGROUP GROUP g b CLAIM 20 STREAMS s >".split(" "))) as Map<
      string,
      string[][]
    >
    expect(claimed.get("s")!.map(([id]) => id)).toEqual(["3-0", "1-0", "2-0", "4-0", "5-0"])
    expect(await reply("XPENDING s g")).toBe('[5,"1-0","5-0",[["b","5"]]]')
    await prepare("XNACK s g FAIL IDS 2 2-0 1-0")
    expect(await reply("XCLAIM s g c 999999 2-0 JUSTID")).toBe('["2-0"]')
    expect(await reply("XAUTOCLAIM s g c 999999 0 JUSTID")).toBe('["0-0",["1-0"],[]]')
  })

  test("FORCE makes pending what was not", async () => {
    expect(await reply("XNACK s g FAIL IDS 1 5-0")).toBe("0")
    expect(await reply("XNACK s g FAIL IDS 2 5-0 6-0 FORCE")).toBe("1")
    expect(await reply("XPENDING s g 5-0 5-0 9")).toBe('[["5-0","",-1,0]]')
    expect(await reply("XNACK s g FAIL IDS 1 5-0 RETRYCOUNT 3 FORCE")).toBe("1")
    expect(await reply("XPENDING s g 5-0 5-0 9")).toBe('[["5-0","",-1,3]]')
  })

  test("can be acknowledged, copied, deleted", async () => {
    await prepare("XNACK s g FAIL IDS 3 3-0 1-0 2-0\nCOPY s t\nXACK s g 1-0\nXDELEX s DELREF IDS 1 2-0")
    expect(await reply("XPENDING s g - + 9 a")).toContain("4-0")
    expect(await reply("XPENDING s g")).toBe('[2,"3-0","4-0",[["a","1"]]]')
    expect(await reply("XGROUP DELCONSUMER s g a")).toBe("1")
    expect(await reply("XPENDING s g")).toBe('[1,"3-0","3-0",[]]')
    const claimed = (await probe.run(..."XREADGROUP GROUP g b CLAIM 20 STREAMS t >".split(" "))) as Map<
      string,
      string[][]
    >
    expect(claimed.get("t")!.map(([id]) => id)).toEqual(["3-0", "1-0", "2-0", "5-0"])
  })

  test("are propagated as the command, and what is no longer in the stream as acknowledged", async () => {
    expect(await probe.propagated("XNACK s g FAIL IDS 1 9-9")).toEqual([])
    expect(await probe.propagated("XNACK s g SILENT IDS 2 1-0 2-0")).toEqual(["XNACK s g SILENT IDS 2 1-0 2-0"])
    expect(await probe.notified("XNACK s g FAIL IDS 1 2-0")).toEqual(["xnack s"])
    await prepare("XDEL s 1-0")
    expect((await probe.propagated("XAUTOCLAIM s g b 0 0 COUNT 1"))[0]).toBe("MULTI")
    await prepare("XNACK s g FAIL IDS 1 2-0\nXDEL s 2-0")
    expect(await probe.propagated("XCLAIM s g b 0 2-0")).toEqual(["XACK s g 2-0"])
  })

  test("what is wrong", async () => {
    const bad = async (line: string, message: string) => expect(await reply(line)).toContain(message)
    await bad("XNACK s none FAIL IDS 1 1-0", "NOGROUP")
    await bad("XNACK none g FAIL IDS 1 1-0", "NOGROUP")
    await bad("XNACK s g WHAT IDS 1 1-0", "ERR syntax error")
    await bad("XNACK s g FAIL IDS 0 1-0", "Number of IDs must be a positive integer")
    await bad("XNACK s g FAIL IDS 2 1-0", "must match the number of arguments")
    await bad("XNACK s g FAIL IDS 1 x", "Invalid stream ID")
    await bad("XNACK s g FAIL IDS 1 1-0 RETRYCOUNT -1", "RETRYCOUNT")
    await bad("XNACK s g FAIL IDS 1 1-0 MORE", "ERR syntax error")
  })
})

describe("claims while waiting", () => {
  let one: Client
  beforeEach(async () => {
    one = await Client.connect(probe.server.port, { resp: 2 })
    await prepare("XADD s 1-0 f v\nXGROUP CREATE s g 0")
  })
  afterEach(() => one[Symbol.asyncDispose]())
  const blocking = () => probe.server.server.engine.blocking
  const waiters = (count: number) => until(() => blocking().size === count)
  const wait = (idleMs: number) =>
    one.plain("XREADGROUP", "GROUP", "g", "b", "BLOCK", "0", "CLAIM", String(idleMs), "STREAMS", "s", ">")

  test("entries that become idle during the wait end it", async () => {
    await prepare("XREADGROUP GROUP g a STREAMS s >")
    const reply = wait(1000)
    await waiters(1)
    probe.clock.advance(999)
    blocking().lookAgain()
    expect(blocking().size).toBe(1)
    probe.clock.advance(1)
    blocking().lookAgain()
    expect(await reply).toEqual([["s", [["1-0", ["f", "v"], 1000, 1]]]])
  })

  test("also those delivered after it began, or given back", async () => {
    await prepare("XREADGROUP GROUP g a STREAMS s >\nXACK s g 1-0")
    const reply = wait(1000)
    await waiters(1)
    await prepare("XADD s 2-0 f v")
    expect(await reply).toEqual([["s", [["2-0", ["f", "v"], 0, 0]]]])
    const later = wait(1000)
    await waiters(1)
    await prepare("XNACK s g FAIL IDS 1 2-0")
    const [[, entries]] = (await later) as [[string, unknown[][]]]
    expect(entries.map(([id]) => id)).toEqual(["2-0"])
  })

  test("what is idle but no longer in the stream is no reason to run in circles", async () => {
    await prepare("XREADGROUP GROUP g a STREAMS s >\nXDEL s 1-0")
    probe.clock.advance(5000)
    const reply = wait(1000)
    await waiters(1)
    for (let i = 0; i < 3; i++) {
      probe.clock.advance(1000)
      blocking().lookAgain()
      expect(blocking().size).toBe(1)
    }
    await prepare("XADD s 3-0 f v")
    expect(await reply).toEqual([["s", [["3-0", ["f", "v"], 0, 0]]]])
  })
})
