import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import type { PlainReply } from "../../src/index.ts"
import type { StreamValue } from "../../src/structs/stream-value.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { Probe, START_MS } from "./string-probe.ts"

let probe: Probe
beforeEach(async () => {
  probe = await Probe.start({ "stream-node-max-entries": 3 })
})
afterEach(() => probe[Symbol.asyncDispose]())

/** Runs commands, one per line, for what they leave behind. */
async function prepare(text: string): Promise<void> {
  for (const line of text.trim().split("\n")) {
    const reply = await probe.reply(line.trim())
    expect(reply).not.toStartWith('{"')
  }
}

/** The reply of a command, as JSON. */
function reply(line: string): Promise<string> {
  return probe.reply(line)
}

const CLAIM_TAIL = (count: number, lastId: string) =>
  `TIME ${START_MS} RETRYCOUNT ${count} FORCE JUSTID LASTID ${lastId}`

describe("ids", () => {
  test("follow the clock, and go on when it stands still", async () => {
    expect(await reply("XADD s * f v")).toBe(`"${START_MS}-0"`)
    expect(await reply("XADD s * f v")).toBe(`"${START_MS}-1"`)
    probe.clock.advance(5)
    expect(await reply("XADD s * f v")).toBe(`"${START_MS + 5}-0"`)
    expect(await reply(`XADD s ${START_MS + 9}-* f v`)).toBe(`"${START_MS + 9}-0"`)
    expect(await reply("XADD s * f v")).toBe(`"${START_MS + 9}-1"`)
  })

  test("end at the highest", async () => {
    await prepare("XADD s 18446744073709551615-18446744073709551614 f v")
    expect(await reply("XADD s * f v")).toBe('"18446744073709551615-18446744073709551615"')
    expect(await reply("XADD s * f v")).toContain("exhausted the last possible ID")
    expect(await reply("XRANGE s (18446744073709551615-18446744073709551615 +")).toContain("invalid start ID")
    expect(await reply("XRANGE s - (0-0")).toContain("invalid end ID")
  })

  test("of any length are replied alike", async () => {
    await prepare("XADD s 1-1 a b\nXADD s 99999-1 a b\nXADD s 100000-12345678901 a b\nXADD s 9007199254740993-7 a b")
    expect(await reply("XRANGE s - +")).toBe(
      '[["1-1",["a","b"]],["99999-1",["a","b"]],["100000-12345678901",["a","b"]],["9007199254740993-7",["a","b"]]]',
    )
  })
})

describe("values", () => {
  test("come back as they were, in any encoding", async () => {
    const texts = ["", "0", "127", "128", "-1", "4095", "-4096", "4096", "32767", "-32768", "8388607", "-8388608"]
    texts.push("2147483647", "9223372036854775807", "01", "a".repeat(9), "b".repeat(10), "c".repeat(63))
    texts.push("d".repeat(64), "e".repeat(5000))
    const pairs = texts.flatMap((text, i) => [`f${i}`, text])
    await probe.run("XADD", "s", "1-1", ...pairs)
    await probe.run("XADD", "s", "1-2", ...pairs.toReversed())
    expect(await probe.run("XRANGE", "s", "-", "+")).toEqual([
      ["1-1", pairs],
      ["1-2", pairs.toReversed()],
    ])
  })
})

describe("propagation", () => {
  test("XADD with the id that was chosen", async () => {
    expect(await probe.propagated("XADD s * f v")).toEqual([`XADD s ${START_MS}-0 f v`])
    expect(await probe.propagated(`XADD s ${START_MS}-* f v`)).toEqual([`XADD s ${START_MS}-1 f v`])
    expect(await probe.propagated(`XADD s ${START_MS}-9 f v`)).toEqual([`XADD s ${START_MS}-9 f v`])
    expect(await probe.propagated("XADD none NOMKSTREAM * f v")).toEqual([])
    expect(await probe.propagated("XADD s NOMKSTREAM MAXLEN 2 * f v")).toEqual([
      `XADD s NOMKSTREAM MAXLEN 2 ${START_MS}-10 f v`,
    ])
  })

  test("approximate trimming becomes exact", async () => {
    await prepare("XADD s 1-1 f v\nXADD s 1-2 f v\nXADD s 1-3 f v\nXADD s 1-4 f v\nXADD s 1-5 f v")
    expect(await probe.propagated("XADD s MAXLEN ~ 2 LIMIT 100 1-6 f v")).toEqual(["XADD s MAXLEN = 3 1-6 f v"])
    expect(await probe.propagated("XTRIM s MAXLEN ~ 2")).toEqual([])
    await prepare("XADD s 1-7 f v")
    expect(await probe.propagated("XTRIM s MINID ~ 1-7")).toEqual(["XTRIM s MINID = 1-7"])
    expect(await probe.propagated("XTRIM s MAXLEN ~ 0 LIMIT 0")).toEqual(["XTRIM s MAXLEN = 0"])
    expect(await probe.propagated("XTRIM s MAXLEN 0")).toEqual([])
  })

  test("XREADGROUP is claims and a position", async () => {
    await prepare("XADD s 1-1 f v\nXADD s 1-2 f v\nXGROUP CREATE s g 0")
    expect(await probe.propagated("XREADGROUP GROUP g alice STREAMS s >")).toEqual([
      "MULTI",
      `XCLAIM s g alice 0 1-1 ${CLAIM_TAIL(1, "1-1")}`,
      `XCLAIM s g alice 0 1-2 ${CLAIM_TAIL(1, "1-2")}`,
      "XGROUP SETID s g 1-2 ENTRIESREAD 2",
      "EXEC",
    ])
    expect(await probe.propagated("XREADGROUP GROUP g alice STREAMS s >")).toEqual([])
    expect(await probe.propagated("XREADGROUP GROUP g alice STREAMS s 0")).toEqual([])
    await prepare("XADD s 1-3 f v")
    expect(await probe.propagated("XREADGROUP GROUP g bob NOACK STREAMS s >")).toEqual([
      "MULTI",
      "XGROUP CREATECONSUMER s g bob",
      "XGROUP SETID s g 1-3 ENTRIESREAD 3",
      "EXEC",
    ])
  })

  test("claims are propagated as what they led to", async () => {
    await prepare("XADD s 1-1 f v\nXADD s 1-2 f v\nXGROUP CREATE s g 0\nXREADGROUP GROUP g alice STREAMS s >")
    await prepare("XDEL s 1-1")
    expect(await probe.propagated("XCLAIM s g bob 0 1-2")).toEqual([`XCLAIM s g bob 0 1-2 ${CLAIM_TAIL(2, "1-2")}`])
    expect(await probe.propagated("XCLAIM s g bob 0 9-9 LASTID 5-0")).toEqual(["XGROUP SETID s g 5-0 ENTRIESREAD 2"])
    expect(await probe.propagated("XAUTOCLAIM s g carol 0 0 JUSTID")).toEqual([
      "MULTI",
      `XCLAIM s g alice 0 1-1 ${CLAIM_TAIL(1, "5-0")}`,
      `XCLAIM s g carol 0 1-2 ${CLAIM_TAIL(2, "5-0")}`,
      "EXEC",
    ])
    expect(await probe.propagated("XACK s g 1-1")).toEqual([])
    expect(await probe.propagated("XACK s g 1-1 1-2")).toEqual(["XACK s g 1-1 1-2"])
  })

  test("what is propagated makes the same stream elsewhere", async () => {
    const commands = `
      XADD s MAXLEN ~ 5 * f v
      XADD s * f v
      XADD s MAXLEN ~ 2 LIMIT 50 * g w
      XADD s * f v
      XGROUP CREATE s g 0
      XREADGROUP GROUP g alice COUNT 2 STREAMS s >
      XDEL s ${START_MS}-1
      XCLAIM s g bob 0 ${START_MS}-0 ${START_MS}-1 IDLE 10
      XREADGROUP GROUP g bob NOACK STREAMS s >
      XADD s * f v
      XTRIM s MAXLEN ~ 3
      XAUTOCLAIM s g carol 0 - COUNT 1
      XREADGROUP GROUP g dave STREAMS s >
      XACKDEL s g DELREF IDS 1 ${START_MS}-4
    `
    await using twin = await Probe.start({ "stream-node-max-entries": 100 })
    for (const line of commands.trim().split("\n")) {
      for (const command of await probe.propagated(line.trim())) {
        if (command !== "MULTI" && command !== "EXEC") await twin.reply(command)
      }
    }
    for (const look of ["XRANGE s - +", "XPENDING s g", "XPENDING s g - + 100", "XINFO GROUPS s"]) {
      // Consumers that have nothing are not known elsewhere.
      const normal = (text: string) => text.replace(/"consumers":\d+/, "")
      expect(normal(await twin.reply(look))).toBe(normal(await reply(look)))
    }
  })
})

describe("notifications", () => {
  test("one per change", async () => {
    expect(await probe.notified("XADD s 1-1 f v")).toEqual(["xadd s"])
    expect(await probe.notified("XADD s MAXLEN 1 1-2 f v")).toEqual(["xadd s", "xtrim s"])
    expect(await probe.notified("XADD s MAXLEN 5 1-3 f v")).toEqual(["xadd s"])
    expect(await probe.notified("XTRIM s MAXLEN 1")).toEqual(["xtrim s"])
    expect(await probe.notified("XTRIM s MAXLEN 1")).toEqual([])
    expect(await probe.notified("XDEL s 1-1")).toEqual([])
    expect(await probe.notified("XDEL s 1-3")).toEqual(["xdel s"])
    expect(await probe.notified("XSETID s 9-0")).toEqual(["xsetid s"])
    expect(await probe.notified("XGROUP CREATE s g $")).toEqual(["xgroup-create s"])
    expect(await probe.notified("XGROUP SETID s g 0")).toEqual(["xgroup-setid s"])
    expect(await probe.notified("XGROUP CREATECONSUMER s g alice")).toEqual(["xgroup-createconsumer s"])
    expect(await probe.notified("XGROUP CREATECONSUMER s g alice")).toEqual([])
    expect(await probe.notified("XREADGROUP GROUP g bob STREAMS s >")).toEqual(["xgroup-createconsumer s"])
    expect(await probe.notified("XGROUP DELCONSUMER s g bob")).toEqual(["xgroup-delconsumer s"])
    expect(await probe.notified("XGROUP DESTROY s g")).toEqual(["xgroup-destroy s"])
  })
})

describe("positions of groups", () => {
  const lags = async (): Promise<unknown> => {
    const groups = (await probe.run("XINFO", "GROUPS", "s")) as Map<string, unknown>[]
    return groups.map(group => [group.get("entries-read"), group.get("lag")])
  }

  test("are counted while nothing is deleted ahead", async () => {
    await prepare("XADD s 1-0 f v\nXADD s 2-0 f v\nXADD s 3-0 f v\nXADD s 4-0 f v\nXADD s 5-0 f v")
    await prepare("XGROUP CREATE s g 0")
    expect(await lags()).toEqual([[null, 5]])
    await prepare("XREADGROUP GROUP g c COUNT 1 STREAMS s >")
    expect(await lags()).toEqual([[1, 4]])
    await prepare("XDEL s 1-0")
    expect(await lags()).toEqual([[1, 4]])
    await prepare("XREADGROUP GROUP g c COUNT 1 STREAMS s >")
    expect(await lags()).toEqual([[2, 3]])
    await prepare("XDEL s 4-0")
    expect(await lags()).toEqual([[2, null]])
    await prepare("XREADGROUP GROUP g c COUNT 1 STREAMS s >")
    expect(await lags()).toEqual([[null, null]])
    await prepare("XREADGROUP GROUP g c COUNT 1 STREAMS s >")
    expect(await lags()).toEqual([[5, 0]])
  })

  test("are never more than entries were added", async () => {
    await prepare("XADD s 1-0 f v\nXADD s 2-0 f v\nXGROUP CREATE s g $ ENTRIESREAD 7")
    expect(await lags()).toEqual([[2, 0]])
    await prepare("XADD s 3-0 f v\nXGROUP SETID s g 1-0 ENTRIESREAD 9007199254740993")
    expect(await lags()).toEqual([[3, 0]])
    await prepare("XGROUP SETID s g 1-0 ENTRIESREAD 2\nXREADGROUP GROUP g c STREAMS s >")
    expect(await lags()).toEqual([[3, 0]])
    await prepare("XGROUP SETID s g 3-0 ENTRIESREAD -1")
    expect(await lags()).toEqual([[null, 0]])
  })

  test("do not matter to a trimmed or emptied stream", async () => {
    await prepare("XADD s 1-0 f v\nXADD s 2-0 f v\nXADD s 3-0 f v\nXGROUP CREATE s g 0\nXTRIM s MAXLEN 1")
    expect(await lags()).toEqual([[null, 1]])
    await prepare("XDEL s 3-0")
    expect(await lags()).toEqual([[null, 0]])
  })
})

describe("deleting with an eye to groups", () => {
  beforeEach(async () => {
    await prepare("XADD s 1-0 f v\nXADD s 2-0 f v\nXADD s 3-0 f v\nXADD s 4-0 f v\nXADD s 5-0 f v")
    await prepare("XGROUP CREATE s g 0\nXGROUP CREATE s h 0")
    await prepare("XREADGROUP GROUP g a COUNT 3 STREAMS s >\nXREADGROUP GROUP h b COUNT 2 STREAMS s >")
  })
  const pending = async (group: string) =>
    ((await probe.run("XPENDING", "s", group, "-", "+", 99)) as [string][]).map(([id]) => id).join(" ")
  const ids = async () => ((await probe.run("XRANGE", "s", "-", "+")) as [string][]).map(([id]) => id).join(" ")

  test("XDELEX KEEPREF, which is the default", async () => {
    expect(await reply("XDELEX s IDS 3 1-0 9-0 5")).toBe("[1,-1,1]")
    expect([await ids(), await pending("g"), await pending("h")]).toEqual(["2-0 3-0 4-0", "1-0 2-0 3-0", "1-0 2-0"])
    expect(await reply("XDELEX s IDS 1 1-0 KEEPREF")).toBe("[-1]")
    expect(await reply("XDELEX nokey ACKED IDS 2 1 2")).toBe("[-1,-1]")
  })

  test("XDELEX DELREF, dangling references too", async () => {
    await prepare("XDEL s 2-0")
    expect(await reply("XDELEX s DELREF IDS 2 1-0 2-0")).toBe("[1,-1]")
    expect([await ids(), await pending("g"), await pending("h")]).toEqual(["3-0 4-0 5-0", "3-0", ""])
    expect(await probe.propagated("XDELEX s DELREF IDS 1 2-0")).toEqual([])
    expect(await probe.notified("XDELEX s DELREF IDS 1 3-0")).toEqual(["xdel s"])
  })

  test("XDELEX ACKED waits for every group, readers to come as well", async () => {
    expect(await reply("XDELEX s ACKED IDS 5 1-0 2-0 3-0 4-0 9-9")).toBe("[2,2,2,2,-1]")
    await prepare("XACK s g 1-0 3-0\nXACK s h 1-0")
    expect(await reply("XDELEX s ACKED IDS 3 1-0 2-0 3-0")).toBe("[1,2,2]")
    await prepare("XGROUP DESTROY s g\nXGROUP DESTROY s h")
    expect(await reply("XDELEX s ACKED IDS 3 2-0 3-0 4-0")).toBe("[1,1,1]")
  })

  test("XACKDEL", async () => {
    expect(await reply("XACKDEL s g KEEPREF IDS 2 1-0 4-0")).toBe("[1,-1]")
    expect([await ids(), await pending("g"), await pending("h")]).toEqual(["2-0 3-0 4-0 5-0", "2-0 3-0", "1-0 2-0"])
    expect(await reply("XACKDEL s h IDS 1 1-0")).toBe("[1]")
    expect(await reply("XACKDEL s g ACKED IDS 2 2-0 3-0")).toBe("[2,2]")
    expect(await reply("XACKDEL s h ACKED IDS 2 2-0 3-0")).toBe("[1,-1]")
    expect(await reply("XACKDEL s nogroup IDS 2 1-0 2-0")).toBe("[-1,-1]")
    expect(await reply("XACKDEL nokey g IDS 1 1-0")).toBe("[-1]")
  })

  test("their syntax", async () => {
    for (const command of ["XDELEX s", "XACKDEL s g"]) {
      for (const numids of ["abc", "0", "-5"]) {
        expect(await reply(`${command} IDS ${numids} 1-1`)).toContain("Number of IDs must be a positive integer")
      }
      expect(await reply(`${command} IDS 3 1-1 2-2`)).toContain("`numids` parameter must match the number of arg")
      for (const rest of ["IDS 1 1-1 2-2", "KEEPREF DELREF IDS 1 1-1", "ACKED ACKED IDS 1 1-1", "ACKED 1 1 1"]) {
        expect(await reply(`${command} ${rest}`)).toContain("ERR syntax error")
      }
      expect(await reply(`${command} IDS 1 x`)).toContain("Invalid stream ID")
    }
  })

  test("trimming", async () => {
    expect(await reply("XTRIM s MAXLEN 1 ACKED")).toBe("0")
    await prepare("XACK s g 2-0 3-0\nXACK s h 2-0")
    expect(await reply("XTRIM s ACKED MAXLEN ~ 1")).toBe("1")
    expect(await ids()).toBe("1-0 3-0 4-0 5-0")
    expect(await reply("XTRIM s MINID = 4-0 DELREF")).toBe("2")
    expect([await ids(), await pending("g"), await pending("h")]).toEqual(["4-0 5-0", "", ""])
    await prepare("XREADGROUP GROUP g a STREAMS s >")
    expect(await probe.propagated("XADD s DELREF MAXLEN ~ 1 6-0 f v")).toEqual(["XADD s MAXLEN = 3 DELREF 6-0 f v"])
    expect(await reply("XTRIM s MAXLEN 1 DELREF ACKED")).toContain("ERR syntax error")
    expect(await reply("XADD s KEEPREF KEEPREF MAXLEN 1 7-0 f v")).toContain("ERR syntax error")
    await prepare("XADD s MAXLEN 0 DELREF 7-0 f v")
    expect([await ids(), await pending("g")]).toEqual(["", ""])
  })
})

describe("reading with limits and claims", () => {
  beforeEach(async () => {
    for (const key of ["s", "t"]) for (let i = 1; i <= 4; i++) await prepare(`XADD ${key} ${i}-0 f v`)
  })
  const counts = async (...command: string[]) => {
    const reply = (await probe.run(...command)) as Map<string, unknown[]>
    return [...reply].map(([key, list]) => `${key}:${list.length}`).join(" ")
  }
  const all = ["STREAMS", "s", "t", "0", "0"]

  test("MAXCOUNT and MAXSIZE bound the whole reply", async () => {
    expect(await counts("XREAD", ...all)).toBe("s:4 t:4")
    expect(await counts("XREAD", "MAXCOUNT", "5", ...all)).toBe("s:4 t:1")
    expect(await counts("XREAD", "MAXCOUNT", "4", ...all)).toBe("s:4")
    expect(await counts("XREAD", "COUNT", "3", "MAXCOUNT", "5", ...all)).toBe("s:3 t:2")
    expect(await counts("XREAD", "MAXSIZE", "1", ...all)).toBe("s:1")
    expect(await counts("XREAD", "MAXSIZE", "100000", ...all)).toBe("s:4 t:4")
    expect(await counts("XREAD", "MAXSIZE", "100000", "MAXCOUNT", "6", ...all)).toBe("s:4 t:2")
    for (const bad of ["MAXCOUNT 0", "MAXCOUNT -1", "MAXCOUNT x", "MAXSIZE 0", "COUNT 5 MAXCOUNT 4"]) {
      expect(await reply(`XREAD ${bad} STREAMS s 0`)).toContain("ERR MAX")
    }
  })

  test("what does not fit is not delivered", async () => {
    await prepare("XGROUP CREATE s g 0\nXGROUP CREATE t g 0")
    const group = ["XREADGROUP", "GROUP", "g", "a"]
    expect(await counts(...group, "MAXCOUNT", "5", "STREAMS", "s", "t", ">", ">")).toBe("s:4 t:1")
    expect(await counts(...group, "MAXSIZE", "1", "STREAMS", "s", "t", ">", ">")).toBe("t:1")
    expect(await reply("XPENDING t g")).toBe('[2,"1-0","2-0",[["a","2"]]]')
    expect(await counts(...group, "MAXCOUNT", "5", ...all)).toBe("s:4 t:1")
    expect(await counts(...group, "COUNT", "1", "MAXSIZE", "100000", ...all)).toBe("s:1 t:1")
  })

  test("CLAIM gives what was idle first, then what is new", async () => {
    await prepare("XGROUP CREATE s g 0\nXREADGROUP GROUP g a COUNT 2 STREAMS s >")
    probe.clock.advance(100)
    await prepare("XCLAIM s g a 0 1-0 JUSTID")
    const claim = (min: number, ...more: (string | number)[]) =>
      probe.run("XREADGROUP", "GROUP", "g", "b", "CLAIM", min, ...more, "STREAMS", "s", ">")
    expect(await claim(101, "COUNT", 1)).toEqual(toReply([["3-0", ["f", "v"], 0, 0]]))
    probe.clock.advance(10)
    expect(await claim(10, "NOACK")).toEqual(
      toReply([
        ["2-0", ["f", "v"], 110, 1],
        ["1-0", ["f", "v"], 10, 1],
        ["3-0", ["f", "v"], 10, 1],
        ["4-0", ["f", "v"], 0, 0],
      ]),
    )
    expect(await claim(1)).toBeNull()
    expect(await reply("XPENDING s g")).toBe('[3,"1-0","3-0",[["b","3"]]]')
    probe.clock.advance(5)
    await prepare("XDEL s 1-0 2-0 3-0")
    expect(await claim(1)).toBeNull()
    expect(await reply("XREADGROUP GROUP g b CLAIM x STREAMS s >")).toContain("min-idle-time is not an integer")
    expect(await reply("XREADGROUP GROUP g b CLAIM -1 STREAMS s >")).toContain("must be a positive integer")
  })

  test("CLAIM is propagated as claims", async () => {
    await prepare("XGROUP CREATE s g 0\nXREADGROUP GROUP g a COUNT 1 STREAMS s >")
    expect(await probe.propagated("XREADGROUP GROUP g b COUNT 1 CLAIM 0 STREAMS s >")).toEqual([
      `XCLAIM s g b 0 1-0 ${CLAIM_TAIL(2, "1-0")}`,
    ])
  })
  const toReply = (entries: PlainReply[]): PlainReply => new Map([["s", entries]])
})

describe("waiting", () => {
  let one: Client
  let two: Client
  beforeEach(async () => {
    one = await Client.connect(probe.server.port, { resp: 2 })
    two = await Client.connect(probe.server.port, { resp: 2 })
  })
  afterEach(async () => {
    await one[Symbol.asyncDispose]()
    await two[Symbol.asyncDispose]()
  })
  const waiters = (count: number) => until(() => probe.server.server.engine.blocking.size === count)

  test("$ is the end of the stream at the time of the call", async () => {
    await prepare("XADD s 1-1 f old")
    const reply = one.plain("XREAD", "BLOCK", "0", "STREAMS", "s", "$")
    await waiters(1)
    await two.plain("XDEL", "s", "1-1")
    await two.plain("XADD", "s", "1-2", "f", "new")
    expect(await reply).toEqual([["s", [["1-2", ["f", "new"]]]]])
  })

  test("an entry that is gone again wakes nobody", async () => {
    const reply = one.plain("XREAD", "BLOCK", "0", "STREAMS", "other", "s", "$", "$")
    await waiters(1)
    await two.plain("MULTI")
    await two.plain("XADD", "s", "1-1", "f", "v")
    await two.plain("XDEL", "s", "1-1")
    await two.plain("EXEC")
    expect(probe.server.server.engine.blocking.size).toBe(1)
    await two.plain("XADD", "s", "1-2", "f", "v")
    expect(await reply).toEqual([["s", [["1-2", ["f", "v"]]]]])
  })

  test("each consumer gets what is new", async () => {
    await prepare("XGROUP CREATE s g $ MKSTREAM")
    const first = one.plain("XREADGROUP", "GROUP", "g", "alice", "BLOCK", "0", "STREAMS", "s", ">")
    await waiters(1)
    const second = two.plain("XREADGROUP", "GROUP", "g", "bob", "BLOCK", "0", "STREAMS", "s", ">")
    await waiters(2)
    await prepare("XADD s 1-1 f v")
    expect(await first).toEqual([["s", [["1-1", ["f", "v"]]]]])
    await prepare("XADD s 1-2 f v")
    expect(await second).toEqual([["s", [["1-2", ["f", "v"]]]]])
    expect(await reply("XPENDING s g")).toBe('[2,"1-1","1-2",[["alice","1"],["bob","1"]]]')
  })

  for (const [name, commands, error] of [
    ["a group that is destroyed", [["XGROUP", "DESTROY", "s", "g"]], "NOGROUP"],
    ["a key that is deleted", [["DEL", "s"]], "NOGROUP"],
    ["a key that is another type now", [["SET", "s", "x"]], "WRONGTYPE"],
    ["a database that is flushed", [["FLUSHALL"]], "NOGROUP"],
  ] as const) {
    test(`${name} ends the wait`, async () => {
      await prepare("XGROUP CREATE s g $ MKSTREAM")
      const reply = one.call("XREADGROUP", "GROUP", "g", "alice", "BLOCK", "0", "STREAMS", "s", ">")
      await waiters(1)
      for (const command of commands) await two.plain(...command)
      expect(JSON.stringify(await reply)).toContain(error)
    })
  }

  test("not inside a transaction", async () => {
    await prepare("XGROUP CREATE s g $ MKSTREAM")
    await one.plain("MULTI")
    await one.plain("XREAD", "BLOCK", "0", "STREAMS", "s", "$")
    await one.plain("XREADGROUP", "GROUP", "g", "alice", "BLOCK", "0", "STREAMS", "s", ">")
    expect(await one.plain("EXEC")).toEqual([null, null])
  })
})

describe("memory and copies", () => {
  const value = (key: string) => {
    const bytes = new TextEncoder().encode(key)
    return probe.keys.object(probe.keys.find(bytes, 0, bytes.length)) as StreamValue
  }

  test("a copy is independent, and equal in everything", async () => {
    await prepare("XADD s 1-1 f v\nXADD s 1-2 f v\nXADD s 1-3 g w\nXADD s 1-4 f v\nXGROUP CREATE s g 0")
    await prepare("XREADGROUP GROUP g alice COUNT 3 STREAMS s >\nXCLAIM s g bob 0 1-2\nXDEL s 1-1\nCOPY s t")
    for (const look of ["XINFO STREAM ? FULL", "XINFO CONSUMERS ? g", "XPENDING ? g - + 9", "XRANGE ? - +"]) {
      expect(await reply(look.replace("?", "t"))).toBe(await reply(look.replace("?", "s")))
    }
    await prepare("XADD t 9-9 f v\nXACK t g 1-2")
    expect(await reply("XLEN s")).toBe("3")
    expect(await reply("XPENDING s g - + 1 bob")).toContain("1-2")
  })

  test("the sum of bytes follows", async () => {
    const empty = probe.keyspace.bytes
    for (let i = 1; i <= 500; i++) await probe.run("XADD", "s", `${i}-0`, "f", "v".repeat(i % 90))
    await prepare("XGROUP CREATE s g 0\nXREADGROUP GROUP g alice STREAMS s >")
    const full = probe.keyspace.bytes
    expect(full - empty).toBeGreaterThan(500 * 60)
    expect(full - empty).toBeGreaterThanOrEqual(value("s").bytes)
    await prepare("XGROUP DESTROY s g\nXTRIM s MAXLEN 0")
    expect(value("s").bytes).toBeLessThan(1000)
    await prepare("DEL s")
    // The page that the record was in is kept.
    expect(probe.keyspace.bytes).toBeLessThan(empty + 5000)
  })

  test("a snapshot keeps what was, groups and all", async () => {
    await prepare("XADD s 1-1 f v\nXADD s 1-2 f v\nXGROUP CREATE s g 0\nXREADGROUP GROUP g alice STREAMS s >")
    const { heap } = probe.keyspace
    heap.freeze()
    await prepare("XADD s 1-3 f v\nXDEL s 1-1\nXACK s g 1-1\nXGROUP CREATECONSUMER s g bob\nXGROUP CREATE s h 0")
    const frozen = value("s").frozenView()
    expect(frozen.log.length).toBe(2)
    expect(frozen.log.lastId.toString()).toBe("1-2")
    expect(frozen.groups.size).toBe(1)
    const group = frozen.groups.sorted()[0]!
    expect(group.pending.length).toBe(2)
    expect(group.consumerCount).toBe(1)
    heap.thaw()
    expect(await reply("XPENDING s g")).toBe('[1,"1-2","1-2",[["alice","1"]]]')
    expect(await reply("XRANGE s - +")).toBe('[["1-2",["f","v"]],["1-3",["f","v"]]]')
  })
})
