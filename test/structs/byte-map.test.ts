import { describe, expect, test } from "bun:test"
import { Prng } from "../../src/bytes/prng.ts"
import { KeyedHash } from "../../src/bytes/siphash.ts"
import { Blob, ByteMap, type FrozenMap } from "../../src/structs/byte-map.ts"
import { PageHeap } from "../../src/structs/page-heap.ts"
import { runSeed } from "../support/random.ts"

const seed = runSeed

interface Entry {
  type: number
  value: Uint8Array
  expiry: number
}
type Model = Map<string, Entry>

function newMap(heap = new PageHeap(), key = 1): ByteMap {
  return new ByteMap(heap, new KeyedHash(seed + key, 42))
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text, "latin1")
}

function put(map: ByteMap, model: Model, name: string, entry: Entry): void {
  const key = bytes(name)
  map.put(key, 0, key.length, entry.type, entry.value.length, entry.expiry)
  map.valueBytes.set(entry.value, map.valueStart)
  model.set(name, entry)
}

function read(map: ByteMap | FrozenMap, address: number): [string, Entry] {
  if (map instanceof ByteMap) {
    map.readKey(address)
    map.readValue(address)
  } else map.read(address)
  const name = Buffer.from(map.keyBytes.subarray(map.keyStart, map.keyEnd)).toString("latin1")
  const value = map.valueBytes.slice(map.valueStart, map.valueEnd)
  return [name, { type: map.type(address), value, expiry: map.expiry(address) }]
}

function contents(map: ByteMap | FrozenMap): Model {
  const out: number[] = []
  let cursor = 0
  do cursor = map.scan(cursor, 100, out)
  while (cursor !== 0)
  const model: Model = new Map()
  for (const address of out) {
    const [name, entry] = read(map, address)
    expect(model.has(name)).toBe(false)
    model.set(name, entry)
  }
  return model
}

function expectSame(map: ByteMap | FrozenMap, model: Model): void {
  expect(map.size).toBe(model.size)
  const got = contents(map)
  expect(got.size).toBe(model.size)
  for (const [name, entry] of model) {
    const own = got.get(name)
    if (own === undefined || own.type !== entry.type || own.expiry !== entry.expiry)
      expect({ name, own }).toBe(entry as never)
    expect(Buffer.compare(own!.value, entry.value)).toBe(0)
  }
}

/** Random operations over a small pool of keys, so that every kind of meeting happens. */
class Player {
  readonly model: Model = new Map()
  readonly map: ByteMap
  private readonly random: Prng
  private readonly pool: number
  /** Per cent of the steps that are about the same key as the one before. */
  private readonly constancy: number
  private lastName = ""

  constructor(map: ByteMap, random: Prng, pool: number, constancy = 0) {
    this.map = map
    this.random = random
    this.pool = pool
    this.constancy = constancy
  }

  name(): string {
    if (this.random.nextBelow(100) < this.constancy) return this.lastName
    this.lastName = this.otherName()
    return this.lastName
  }

  private otherName(): string {
    const n = this.random.nextBelow(this.pool)
    if (n % 997 === 0) return "long".repeat(300 + (n % 7)) + n
    return n % 13 === 0 ? `\0key\xff${n}` : `key:${n}`
  }

  entry(): Entry {
    const kind = this.random.nextBelow(100)
    const length =
      kind < 70
        ? this.random.nextBelow(60)
        : kind < 98
          ? this.random.nextBelow(2000)
          : 2900 + this.random.nextBelow(5000)
    const value = new Uint8Array(length).fill(this.random.nextBelow(256))
    const expiry = this.random.nextBelow(3) === 0 ? 1 + this.random.nextBelow(1_000_000) : 0
    return { type: 1 + this.random.nextBelow(15), value, expiry }
  }

  step(): void {
    const { map, model, random } = this
    const name = this.name()
    const key = bytes(name)
    const dice = random.nextBelow(100)
    if (dice < 50) {
      put(map, model, name, this.entry())
      return
    }
    const address = map.find(key, 0, key.length)
    const entry = model.get(name)
    expect(address !== 0).toBe(entry !== undefined)
    if (entry === undefined) return
    if (dice < 80) {
      map.remove(address)
      model.delete(name)
    } else if (dice < 87) {
      const expiry = random.nextBelow(2) === 0 ? 0 : 1 + random.nextBelow(1_000_000)
      map.setExpiry(address, expiry)
      model.set(name, { ...entry, expiry })
    } else if (dice < 95) {
      const length = Math.min(20_000, Math.max(0, entry.value.length + random.nextBelow(200) - 80))
      map.resizeValue(address, length)
      const value = new Uint8Array(length)
      value.set(entry.value.subarray(0, length))
      if (length > entry.value.length) {
        value.fill(7, entry.value.length)
        map.valueBytes.fill(7, map.valueStart + entry.value.length, map.valueEnd)
      }
      model.set(name, { ...entry, value })
    } else if (entry.value.length > 0) {
      map.ownValue(address)
      map.valueBytes[map.valueStart] = 99
      const value = entry.value.slice()
      value[0] = 99
      model.set(name, { ...entry, value })
    }
  }

  play(steps: number): void {
    for (let i = 0; i < steps; i++) this.step()
  }
}

describe("ByteMap", () => {
  test("behaves as a Map does, through growth and shrinkage", () => {
    const random = new Prng(seed)
    const player = new Player(newMap(), random, 6000)
    for (let round = 0; round < 8; round++) {
      player.play(10_000)
      expectSame(player.map, player.model)
      let expiring = 0
      let sum = 0
      for (const entry of player.model.values()) {
        if (entry.expiry === 0) continue
        expiring++
        sum += entry.expiry
      }
      expect(player.map.expirySize).toBe(expiring)
      expect(player.map.expirySum).toBe(sum)
    }
    for (const name of [...player.model.keys()]) expect(player.map.delete(bytes(name), 0, name.length)).toBe(true)
    expect(player.map.size).toBe(0)
    expect(player.map.outOfLineBytes).toBe(0)
    expect(player.map.shape().blocks).toBe(0)
  }, 60_000)

  test("a key that is used again and again is what it was made to be, under snapshots too", () => {
    const random = new Prng(seed + 9)
    const heap = new PageHeap()
    const player = new Player(newMap(heap), random, 3000, 85)
    for (let round = 0; round < 12; round++) {
      if (round % 3 === 1) heap.freeze()
      player.play(6000)
      expectSame(player.map, player.model)
      if (round % 3 === 2) {
        heap.thaw()
        heap.finishThaw(Number.POSITIVE_INFINITY)
      }
    }
  }, 60_000)

  test("a key is told from one like it that was found just before", () => {
    const map = newMap()
    const names = [
      "",
      "a",
      "ab",
      "abc",
      "abcd",
      "xbcd",
      "abxd",
      "abcdefgh",
      "abcxefgh",
      "abcdefghi",
      "abcdxfghi",
      "\0\0\0\0",
    ]
    names.push("k".repeat(1001), `${"k".repeat(500)}x${"k".repeat(500)}`)
    const model: Model = new Map()
    names.forEach((name, i) => {
      if (i % 2 === 0) put(map, model, name, { type: 1, value: bytes(name), expiry: i % 4 === 0 ? 0 : 77 })
    })
    for (const first of names) {
      for (const second of names) {
        map.find(bytes(first), 0, first.length)
        const address = map.find(bytes(second), 0, second.length)
        expect(address !== 0).toBe(model.has(second))
        if (address !== 0) expect(read(map, address)[0]).toBe(second)
      }
    }
  })

  test("a frozen view stays exact while writers go on", () => {
    const random = new Prng(seed + 1)
    const heap = new PageHeap()
    const players = [new Player(newMap(heap), random, 3000), new Player(newMap(heap, 2), random, 300)]
    for (let round = 0; round < 10; round++) {
      for (const player of players) player.play(3000)
      heap.freeze()
      const models = players.map(player => new Map(player.model))
      const views = [players[0]!.map.frozenView()]
      players[0]!.play(4000)
      players[1]!.play(2000)
      // A nested map's view may be asked for late.
      views.push(players[1]!.map.frozenView())
      for (const [i, view] of views.entries()) expectSame(view, models[i]!)
      players[0]!.play(4000)
      for (const [i, view] of views.entries()) expectSame(view, models[i]!)
      heap.thaw()
      for (const player of players) expectSame(player.map, player.model)
    }
    const used = heap.framesUsed
    for (const player of players) while (!player.map.release(1000));
    expect(heap.framesUsed).toBe(0)
    expect(used).toBeGreaterThan(0)
  }, 60_000)

  test("an empty map frozen stays empty in the view", () => {
    const heap = new PageHeap()
    const map = newMap(heap)
    heap.freeze()
    put(map, new Map(), "a", { type: 1, value: bytes("b"), expiry: 0 })
    expect(map.frozenView().size).toBe(0)
    expect(contents(map.frozenView()).size).toBe(0)
    heap.thaw()
  })

  test("SCAN returns each key that is present throughout exactly once, through growth and shrinkage", () => {
    const random = new Prng(seed + 2)
    for (let round = 0; round < 20; round++) {
      const map = newMap(new PageHeap(), round)
      const model: Model = new Map()
      const stay = 500 + random.nextBelow(3000)
      for (let i = 0; i < stay; i++) put(map, model, `stay:${i}`, { type: 1, value: bytes("v"), expiry: 0 })
      const growing = round % 2 === 0
      if (!growing)
        for (let i = 0; i < 20_000; i++) put(map, model, `go:${i}`, { type: 1, value: bytes("v"), expiry: 0 })
      const seen = new Map<string, number>()
      let cursor = 0
      let next = 0
      do {
        const out: number[] = []
        cursor = map.scan(cursor, 1 + random.nextBelow(40), out)
        for (const address of out) {
          const [name] = read(map, address)
          seen.set(name, (seen.get(name) ?? 0) + 1)
        }
        for (let i = 0; i < 200 && next < 20_000; i++, next++) {
          const name = `go:${next}`
          if (growing) put(map, model, name, { type: 1, value: bytes("v"), expiry: 0 })
          else map.delete(bytes(name), 0, name.length)
        }
      } while (cursor !== 0)
      for (let i = 0; i < stay; i++) expect(seen.get(`stay:${i}`)).toBe(1)
    }
  })

  test("removal in order of hash, with growth in between", () => {
    const random = new Prng(seed + 6)
    for (let round = 0; round < 6; round++) {
      const { map, model } = new Player(newMap(new PageHeap(), round), random, 1)
      for (let i = 0; i < 30_000; i++) put(map, model, `k${i}`, { type: 1, value: bytes("v"), expiry: 0 })
      let cursor = 0
      let added = 0
      do {
        const out: number[] = []
        cursor = map.scan(cursor, 50, out)
        const names = out.map(address => read(map, address)[0])
        for (const name of names) {
          expect(map.delete(bytes(name), 0, name.length)).toBe(true)
          model.delete(name)
        }
        for (let i = 0; round % 2 === 0 && i < 30; i++, added++) {
          put(map, model, `new${added}`, { type: 1, value: bytes("w"), expiry: 0 })
        }
      } while (cursor !== 0)
      expectSame(map, model)
    }
  })

  test("expired records are found block by block, and only they", () => {
    const random = new Prng(seed + 3)
    const map = newMap()
    const model: Model = new Map()
    for (let i = 0; i < 20_000; i++) {
      const expiry = random.nextBelow(2) === 0 ? 0 : 1 + random.nextBelow(1000)
      put(map, model, `k${i}`, { type: 1, value: bytes("v"), expiry })
    }
    for (let now = 100; now <= 1000; now += 100) {
      for (let at = 0; at >= 0; ) at = map.visitExpired(at, now, 500, address => map.remove(address))
      for (const [name, entry] of model) if (entry.expiry !== 0 && entry.expiry <= now) model.delete(name)
      expect(map.size).toBe(model.size)
      expect(map.earliestExpiry()).toBeGreaterThan(now)
    }
    expectSame(map, model)
    expect(map.expirySize).toBe(0)
  })

  test("random records are uniform", () => {
    const random = new Prng(seed + 4)
    const map = newMap()
    const counts = new Map<string, number>()
    for (let i = 0; i < 1500; i++) put(map, new Map(), `k${i}`, { type: 1, value: bytes(""), expiry: 0 })
    const draws = 150_000
    for (let i = 0; i < draws; i++) {
      const [name] = read(
        map,
        map.randomAddress(bound => random.nextBelow(bound)),
      )
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    let chiSquared = 0
    for (let i = 0; i < 1500; i++) chiSquared += ((counts.get(`k${i}`) ?? 0) - 100) ** 2 / 100
    // 1499 degrees of freedom: mean 1499, deviation 55.
    expect(chiSquared).toBeLessThan(1499 + 6 * 55)
  })

  test("churn does not let dead bytes pile up", () => {
    const random = new Prng(seed + 5)
    const map = newMap()
    let live = 0
    for (let i = 0; i < 300_000; i++) {
      const name = bytes(`k${random.nextBelow(5000)}`)
      const length = random.nextBelow(200)
      map.put(name, 0, name.length, 1, length, 0)
    }
    const out: number[] = []
    for (let cursor = 0, more = true; more; more = cursor !== 0) cursor = map.scan(cursor, 1000, out)
    for (const address of out) live += map.recordBytes(address)
    expect(out.length).toBe(map.size)
    expect(map.pageBytes).toBeLessThan(live * 2.2)
  })

  test("blobs and containers are counted, replaced and handed back", () => {
    const map = newMap()
    const key = bytes("k")
    let released = 0
    const container = { bytes: 1000, release: () => ++released > 0 }
    let address = map.putObject(key, 0, 1, 5, container, 0)
    expect(map.object(address)).toBe(container)
    expect(map.outOfLineBytes).toBe(1000)
    container.bytes = 3000
    map.noteObjectBytes(address)
    expect(map.outOfLineBytes).toBe(3000)
    address = map.setExpiry(address, 77)
    expect(map.object(address)).toBe(container)
    expect(map.remove(address)).toBe(container)
    expect(map.outOfLineBytes).toBe(0)
    address = map.put(key, 0, 1, 1, 10_000, 0)
    expect(map.object(address)).toBeInstanceOf(Blob)
    expect(map.outOfLineBytes).toBeGreaterThanOrEqual(10_000)
    map.put(key, 0, 1, 1, 10, 0)
    expect(map.outOfLineBytes).toBe(0)
  })
})
