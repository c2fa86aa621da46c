/**
 * Hashes with and without expiring fields against a naive model: random commands, time going on, active expiry now and then,
 * thresholds that make forms change, and a snapshot under way half of the time, whose content must not move.
 */
import { expect, test } from "bun:test"
import { createServer, type EmbeddedServer, ManualClock } from "../../src/index.ts"
import { Kind } from "../../src/keyspace/kinds.ts"
import { ByteMap, type FrozenMap } from "../../src/structs/byte-map.ts"
import { LpEntry, lpEntryEnd, lpFirst, lpRead, lpValidate } from "../../src/structs/listpack.ts"
import { Random, runSeed } from "../support/random.ts"

interface Field {
  value: string
  /** ms, 0 for none. */
  expiry: number
}
type Model = Map<string, Map<string, Field>>

const keys = ["a", "b", "c"]
const text = (bytes: Uint8Array, from: number, to: number) => Buffer.from(bytes.slice(from, to)).toString("latin1")

class Run {
  readonly model: Model = new Map()
  readonly server: EmbeddedServer
  readonly clock: ManualClock
  readonly random: Random
  now: number

  constructor(server: EmbeddedServer, clock: ManualClock, random: Random) {
    this.server = server
    this.clock = clock
    this.random = random
    this.now = clock.wall()
  }

  get keyspace() {
    return this.server.server.engine.keyspace
  }

  key(): string {
    return this.random.pick(keys)
  }

  field(): string {
    return this.random.oneIn(20) ? this.random.pick(["", "x".repeat(70), "-7"]) : `f${this.random.between(1, 12)}`
  }

  value(): string {
    const { random } = this
    const draw = random.below(8)
    if (draw < 3) return String(random.between(-10, 100_000))
    return draw === 7 && random.oneIn(5) ? "v".repeat(random.between(60, 5000)) : "v".repeat(random.between(0, 40))
  }

  /** The live fields under a key. */
  live(key: string): Map<string, Field> {
    const found = new Map<string, Field>()
    for (const [name, field] of this.model.get(key) ?? []) {
      if (field.expiry === 0 || field.expiry >= this.now) found.set(name, field)
    }
    return found
  }

  set(key: string, name: string, value: string, expiry: number): void {
    const hash = this.model.get(key) ?? new Map<string, Field>()
    this.model.set(key, hash)
    hash.set(name, { value, expiry })
  }

  delete(key: string, name: string): void {
    this.model.get(key)?.delete(name)
  }

  async step(): Promise<void> {
    const { random, server } = this
    const key = this.key()
    const name = this.field()
    const live = this.live(key)
    const old = live.get(name)
    const draw = random.below(15)
    if (draw < 4) {
      const pairs = Array.from({ length: random.between(1, 4) }, () => [this.field(), this.value()] as const)
      const before = new Set(this.model.get(key)?.keys())
      const reply = await server.execute("HSET", key, ...pairs.flat())
      // A field whose time is up may or may not be there still.
      const due = pairs.some(([field]) => before.has(field) && !live.has(field))
      const created = new Set(pairs.map(([field]) => field).filter(field => !live.has(field))).size
      if (!due) expect(reply).toBe(created)
      for (const [field, value] of pairs) this.set(key, field, value, 0)
    } else if (draw === 4) {
      expect(await server.execute("HSETNX", key, name, "1")).toBe(old === undefined ? 1 : 0)
      if (old === undefined) this.set(key, name, "1", 0)
    } else if (draw === 5) {
      const reply = (await server.execute("HDEL", key, name)) as number
      if (live.has(name)) expect(reply).toBe(1)
      this.delete(key, name)
    } else if (draw < 9) {
      const time = this.now + random.between(-5, 300)
      const reply = await server.execute("HPEXPIREAT", key, time, "FIELDS", 1, name)
      expect(reply).toEqual([old === undefined ? -2 : time <= this.now ? 2 : 1])
      if (old !== undefined && time <= this.now) this.delete(key, name)
      else if (old !== undefined) old.expiry = time
    } else if (draw === 9) {
      expect(await server.execute("HPERSIST", key, "FIELDS", 1, name)).toEqual([
        old === undefined ? -2 : old.expiry === 0 ? -1 : 1,
      ])
      if (old !== undefined) old.expiry = 0
    } else if (draw === 10) {
      const number = old === undefined ? 0 : /^-?(0|[1-9]\d*)$/.test(old.value) ? Number(old.value) : undefined
      const reply = await server.executeReply("HINCRBY", key, name, 77)
      if (number === undefined) expect(reply.type).toBe("error")
      else this.set(key, name, String(number + 77), old?.expiry ?? 0)
    } else if (draw === 11) {
      const time = this.now + random.between(1, 300)
      const condition = random.oneIn(2) ? [] : ["FNX"]
      const value = this.value()
      const reply = await server.execute("HSETEX", key, ...condition, "PXAT", time, "FIELDS", 1, name, value)
      expect(reply).toBe(condition.length > 0 && old !== undefined ? 0 : 1)
      if (reply === 1) this.set(key, name, value, time)
    } else if (draw === 12) {
      expect(await server.execute("HGETDEL", key, "FIELDS", 1, name)).toEqual([old?.value ?? null])
      this.delete(key, name)
    } else if (draw === 13) {
      this.clock.advance(random.between(0, 40))
      this.now = this.clock.wall()
      this.server.server.engine.refreshTime()
      if (random.oneIn(3)) while (this.keyspace.fieldExpiry.slice());
    } else if (random.oneIn(10)) {
      const to = this.key()
      if (to !== key && this.model.has(key) && (await server.execute("EXISTS", key)) === 1) {
        await server.execute("RENAME", key, to)
        this.model.set(to, this.model.get(key)!)
        this.model.delete(key)
      }
    } else expect(await server.execute("HGET", key, name)).toBe(old?.value ?? null)
  }

  async check(): Promise<void> {
    for (const key of keys) {
      const live = this.live(key)
      const values = new Map([...live].map(([name, { value }]) => [name, value]))
      expect(await this.server.execute("HGETALL", key)).toEqual(values)
      if (live.size > 0) {
        const times = await this.server.execute("HPEXPIRETIME", key, "FIELDS", live.size, ...live.keys())
        expect(times).toEqual([...live.values()].map(({ expiry }) => expiry || -1))
        expect(((await this.server.execute("HRANDFIELD", key, 1000)) as string[]).sort()).toEqual(
          [...live.keys()].sort(),
        )
      }
      this.checkForm(key)
    }
  }

  /** A packed form is a sound listpack, its triplets ascending by expiry with 0 last. */
  checkForm(key: string): void {
    const map = this.keyspace.databases[0]!.keys
    const address = map.find(Buffer.from(key), 0, key.length)
    if (address === 0 || map.type(address) === Kind.HashTable) return
    map.readValue(address)
    const { valueBytes: b, valueStart, valueEnd } = map
    expect(lpValidate(b, valueStart, valueEnd, true)).toBe(true)
    if (map.type(address) === Kind.HashPacked) return
    const entry = new LpEntry()
    const expiries: number[] = []
    for (let field = lpFirst(b, valueStart); field !== -1 && b[field] !== 0xff; field = entry.entryEnd) {
      lpRead(b, lpEntryEnd(b, lpEntryEnd(b, field)), entry)
      expiries.push(entry.int === 0 ? Number.POSITIVE_INFINITY : entry.int)
    }
    expect(expiries).toEqual([...expiries].sort((x, y) => x - y))
  }
}

/** All that a frozen database holds, tables included. */
function contentOf(map: FrozenMap): string[] {
  const found: number[] = []
  const lines: string[] = []
  let cursor = 0
  do cursor = map.scan(cursor, 100, found)
  while (cursor !== 0)
  for (const address of found) {
    const container = map.read(address)
    const key = text(map.keyBytes, map.keyStart, map.keyEnd)
    if (container instanceof ByteMap) lines.push(`${key}: ${contentOf(container.frozenView()).join()}`)
    else lines.push(`${key}=${text(map.valueBytes, map.valueStart, map.valueEnd)}@${map.expiry(address)}`)
  }
  return lines.sort()
}

for (const [entries, steps] of [
  [512, 3000],
  [6, 3000],
  [0, 2000],
] as const) {
  test(`hashes as a model has them, packed up to ${entries} fields (seed ${runSeed})`, async () => {
    const random = new Random(runSeed + entries)
    const clock = new ManualClock(1_800_000_000_000)
    await using server = await createServer({ clock, config: { "hash-max-listpack-entries": entries } })
    server.server.cron.stop()
    const run = new Run(server, clock, random)
    const { heap, databases } = run.keyspace
    let frozen: string[] | undefined
    for (let i = 0; i < steps; i++) {
      await run.step()
      if (i % 50 === 49) await run.check()
      if (i % 97 === 0) {
        if (frozen === undefined) {
          heap.freeze()
          frozen = contentOf(databases[0]!.keys.frozenView())
        } else {
          expect(contentOf(databases[0]!.keys.frozenView())).toEqual(frozen)
          heap.thaw()
          frozen = undefined
        }
      }
    }
  })
}
