/** Which fields events of hashes are about. */
import { afterEach, beforeEach, expect, test } from "bun:test"
import { formatNotifyFlags, parseNotifyFlags } from "../../src/config/notify-flags.ts"
import { Notify } from "../../src/keyspace/events.ts"
import { toPlain } from "../../src/resp/reply-decoder.ts"
import { Client } from "../support/client.ts"
import { Probe } from "./string-probe.ts"

let probe: Probe
let heard: string[]
beforeEach(async () => {
  probe = await Probe.start()
  heard = []
  const { events } = probe.keyspace
  events.notifyFlags = Notify.Hash | Notify.Subkeyspace
  events.onFields = (event, _db, key, start, end, fields) => {
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1")
    heard.push([event, text(key.slice(start, end)), ...fields.map(text)].join(" "))
  }
})
afterEach(() => probe[Symbol.asyncDispose]())

async function tells(line: string, ...events: string[]): Promise<void> {
  heard.length = 0
  await probe.run(...line.split(" "))
  expect(heard, line).toEqual(events)
}

for (const entriesMax of ["0", "512"]) {
  test(`each command tells its fields, hash-max-listpack-entries ${entriesMax}`, async () => {
    await probe.run("CONFIG", "SET", "hash-max-listpack-entries", entriesMax)
    await tells("HSET h a 1 b 2", "hset h a b")
    await tells("HMSET h c 3", "hset h c")
    await tells("HSETNX h a 1")
    await tells("HSETNX h d 1", "hset h d")
    await tells("HINCRBY h a 1", "hincrby h a")
    await tells("HINCRBYFLOAT h b 1.5", "hincrbyfloat h b")
    await tells("HDEL h a none d", "hdel h a d")
    await tells("HDEL h none")
    await tells("HSET h 1 1 2 2 3 3 4 4", "hset h 1 2 3 4")
    await tells("HPEXPIRE h 1000 FIELDS 3 1 2 none", "hexpire h 1 2")
    await tells("HPERSIST h FIELDS 3 1 3 none", "hpersist h 1")
    await tells("HPEXPIREAT h 1 FIELDS 2 1 none", "hdel h 1")
    await tells("HGETEX h PX 500 FIELDS 1 3", "hexpire h 3")
    await tells("HGETEX h PERSIST FIELDS 2 3 4", "hpersist h 3")
    await tells("HGETEX h FIELDS 1 4")
    await tells("HGETDEL h FIELDS 2 4 none", "hdel h 4")
    await tells("HSETEX h PX 700 FIELDS 2 x 1 y 2", "hset h x y", "hexpire h x y")
    await tells("HSETEX h PXAT 1 FIELDS 1 z 1", "hset h z", "hdel h z")
    await tells("HIMPORT PREPARE f a b")
    await tells("HIMPORT SET i f 1 2", "hset i a b")
  })

  test(`fields that expired come together, hash-max-listpack-entries ${entriesMax}`, async () => {
    await probe.run("CONFIG", "SET", "hash-max-listpack-entries", entriesMax)
    await probe.run("HSET", "h", "a", "1", "7", "2", "stays", "3")
    await probe.run("HPEXPIRE", "h", "5", "FIELDS", "1", "7")
    await probe.run("HPEXPIRE", "h", "6", "FIELDS", "1", "a")
    probe.clock.advance(10)
    heard.length = 0
    probe.server.server.engine.refreshTime()
    while (probe.keyspace.fieldExpiry.slice());
    expect(heard).toEqual(["hexpired h 7 a"])
    await probe.run("HPEXPIRE", "h", "5", "FIELDS", "1", "stays")
    probe.clock.advance(10)
    await tells("HGET h stays", "hexpired h stays")
  })
}

test("nothing is told without the class, or the channels", async () => {
  const { events } = probe.keyspace
  events.notifyFlags = Notify.Subkeyevent
  await tells("HSET h a 1", "hset h a")
  events.notifyFlags = Notify.Subkeyevent | Notify.Set
  await tells("HSET h a 1")
  events.notifyFlags = Notify.Hash | Notify.Keyspace
  await tells("HSET h a 1")
})

test("four kinds of channel", async () => {
  await using fresh = await Probe.start()
  const listener = await Client.connect(fresh.server.port, { resp: 3 })
  await fresh.run("CONFIG", "SET", "notify-keyspace-events", "hSTIV")
  expect(await fresh.run("CONFIG", "GET", "notify-keyspace-events")).toEqual(
    new Map([["notify-keyspace-events", "hSTIV"]]),
  )
  listener.sendCommand("PSUBSCRIBE", "__subkey*")
  await listener.readPush()
  await fresh.run("HSET", "k|1", "f,1", "v", "g", "w")
  await fresh.run("HSET", "k\n", "f", "v")
  const got: string[] = []
  for (let i = 0; i < 8; i++) {
    const [, , channel, payload] = toPlain(await listener.readPush()) as string[]
    got.push(`${channel} ${payload}`)
  }
  expect(got).toEqual([
    "__subkeyspace@0__:k|1 hset|3:f,1,1:g",
    "__subkeyevent@0__:hset 3:k|1|3:f,1,1:g",
    "__subkeyspaceitem@0__:k|1\nf,1 hset",
    "__subkeyspaceitem@0__:k|1\ng hset",
    "__subkeyspaceevent@0__:hset|k|1 3:f,1,1:g",
    "__subkeyspace@0__:k\n hset|1:f",
    "__subkeyevent@0__:hset 2:k\n|1:f",
    "__subkeyspaceevent@0__:hset|k\n 1:f",
  ])
  listener.close()
})

test("letters", () => {
  expect(formatNotifyFlags(parseNotifyFlags("VITSKEA")!)).toBe("AKESTIV")
  expect(parseNotifyFlags("S")).toBe(Notify.Subkeyspace)
  expect(parseNotifyFlags("STIV")).toBe(Notify.Subkeys)
})
