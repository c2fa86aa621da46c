import { describe, expect, test } from "bun:test"
import type { Database } from "../../src/keyspace/db.ts"
import { Evictor } from "../../src/keyspace/eviction.ts"
import { Keyspace } from "../../src/keyspace/keyspace.ts"
import { runSeed } from "../support/random.ts"

const START = 1_700_000_000_000

class House {
  readonly keyspace = new Keyspace({ databases: 4, seed: runSeed })
  readonly evictor = new Evictor(this.keyspace)
  readonly evicted: string[] = []
  readonly db = this.keyspace.databases[0]!

  constructor(policy: string) {
    this.at(0)
    this.keyspace.setAccessMeaning(policy.endsWith("lfu"), policy.endsWith("lrm"))
    this.evictor.setPolicy(policy)
    this.keyspace.events.onEvicted = (db, key, start, end) => {
      this.evicted.push(`${db.index}:${Buffer.from(key.subarray(start, end)).toString("latin1")}`)
    }
  }

  at(second: number): void {
    this.keyspace.setTime(START + second * 1000)
    this.keyspace.tickAccessClock()
  }

  put(name: string, expiry = 0, db: Database = this.db): void {
    const key = Buffer.from(name, "latin1")
    db.keys.put(key, 0, key.length, 2, 20, expiry)
  }

  read(name: string): void {
    const key = Buffer.from(name, "latin1")
    this.db.lookup(key, 0, key.length)
  }

  write(name: string): void {
    const key = Buffer.from(name, "latin1")
    this.db.lookupWrite(key, 0, key.length)
  }

  evict(count: number): string[] {
    this.evicted.length = 0
    for (let i = 0; i < count && this.evictor.evictOne(); i++);
    return this.evicted.map(name => name.replace(/^0:/, ""))
  }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `k${from + i}`)

describe("among few keys the order is exact", () => {
  test("LRU: the longest not used go first, whether read or written", () => {
    const house = new House("allkeys-lru")
    for (const [i, name] of range(0, 30).entries()) {
      house.at(i)
      house.put(name)
    }
    house.at(100)
    house.read("k0")
    house.write("k2")
    expect(house.evict(4)).toEqual(["k1", "k3", "k4", "k5"])
  })

  test("a candidate that is used before its turn is spared", () => {
    const house = new House("allkeys-lru")
    for (const [i, name] of range(0, 30).entries()) {
      house.at(i)
      house.put(name)
    }
    expect(house.evict(1)).toEqual(["k0"])
    house.read("k1")
    house.at(40)
    expect(house.evict(2)).toEqual(["k2", "k3"])
  })

  test("LRM: reading does not count", () => {
    const house = new House("allkeys-lrm")
    for (const [i, name] of range(0, 30).entries()) {
      house.at(i)
      house.put(name)
    }
    house.at(100)
    house.read("k0")
    house.write("k1")
    expect(house.evict(2)).toEqual(["k0", "k2"])
  })

  test("LFU: the least counted go first, among equals the longest not counted", () => {
    const house = new House("allkeys-lfu")
    house.keyspace.lfuDecayMinutes = 0
    for (const [i, name] of range(0, 20).entries()) {
      house.at(i * 60)
      house.put(name)
    }
    house.at(20 * 60)
    for (let i = 0; i < 200; i++) for (const name of ["k0", "k5"]) house.read(name)
    expect(house.evict(18)).toEqual(range(1, 20).filter(name => name !== "k5"))
  })

  test("LFU: a write does not reset the counter", () => {
    const house = new House("allkeys-lfu")
    house.put("k")
    for (let i = 0; i < 1000; i++) house.read("k")
    const key = Buffer.from("k")
    const before = house.keyspace.frequency(house.db.keys, house.db.keys.find(key, 0, 1))
    expect(before).toBeGreaterThan(5)
    house.put("k")
    house.db.keys.resizeValue(house.db.keys.find(key, 0, 1), 500)
    expect(house.keyspace.frequency(house.db.keys, house.db.keys.find(key, 0, 1))).toBe(before)
  })

  test("TTL: the earliest go first", () => {
    const house = new House("volatile-ttl")
    for (const [i, name] of range(0, 30).entries()) house.put(name, START + 100_000 - i * 1000)
    house.put("stays")
    expect(house.evict(50)).toEqual(range(0, 30).reverse())
  })
})

test("volatile policies leave other keys alone, and find the few that have an expiry", () => {
  for (const policy of ["volatile-lru", "volatile-lrm", "volatile-lfu", "volatile-random", "volatile-ttl"]) {
    const house = new House(policy)
    for (let i = 0; i < 5000; i++) house.put(`stays${i}`)
    for (const name of range(0, 7)) house.put(name, START + 100_000)
    house.put("other", START + 1, house.keyspace.databases[3]!)
    expect(house.evict(100).sort()).toEqual(["3:other", ...range(0, 7)])
    expect(house.db.keys.size).toBe(5000)
  }
})

test("bounds of blocks outlive their keys, and are put right", () => {
  const house = new House("volatile-ttl")
  for (let i = 0; i < 5000; i++) house.put(`k${i}`, START + 1000 + i)
  const key = Buffer.from("k4999")
  for (let i = 0; i < 4999; i++) {
    const gone = Buffer.from(`k${i}`)
    const address = house.db.keys.find(gone, 0, gone.length)
    if (i % 2 === 0) house.db.keys.setExpiry(address, 0)
    else house.db.keys.remove(address)
  }
  expect(house.db.keys.expirySize).toBe(1)
  expect(house.evict(5)).toEqual(["k4999"])
  expect(house.db.has(key, 0, key.length)).toBe(false)
})

test("everything can be evicted, and the count of bytes falls to next to nothing", () => {
  for (const policy of ["allkeys-lru", "allkeys-random", "allkeys-lfu"]) {
    const house = new House(policy)
    for (let i = 0; i < 5000; i++) house.put(`k${i}`, 0, house.keyspace.databases[i % 4]!)
    let bytes = house.keyspace.bytes
    for (let i = 0; i < 5000; i++) {
      expect(house.evictor.evictOne()).toBe(true)
      bytes -= house.evictor.freedBytes
      // The directory of an empty database does not count.
      expect(Math.abs(house.keyspace.bytes - bytes)).toBeLessThanOrEqual(16)
    }
    expect(house.evictor.evictOne()).toBe(false)
    expect(bytes).toBeLessThan(64)
    expect(new Set(house.evicted).size).toBe(5000)
    expect(house.keyspace.events.evictedKeys).toBe(5000)
  }
})

test("noeviction evicts nothing", () => {
  const house = new House("noeviction")
  house.put("k")
  expect(house.evict(1)).toEqual([])
})

test("among many keys, LRU takes the oldest fifth, evenly", () => {
  const house = new House("allkeys-lru")
  for (let i = 0; i < 20_000; i++) {
    house.at(i)
    house.put(`k${i}`)
  }
  const ranks = house
    .evict(500)
    .map(name => Number(name.slice(1)))
    .sort((a, b) => a - b)
  expect(ranks.length).toBe(500)
  expect(ranks[250]!).toBeLessThan(20_000 / 8)
  expect(ranks[495]!).toBeLessThan(20_000 / 2)
})

test("more samples choose better", () => {
  const medians = [1, 5, 25].map(samples => {
    const house = new House("allkeys-lru")
    house.evictor.samples = samples
    for (let i = 0; i < 20_000; i++) {
      house.at(i)
      house.put(`k${i}`)
    }
    const ranks = house.evict(500).map(name => Number(name.slice(1)))
    return ranks.sort((a, b) => a - b)[250]!
  })
  expect(medians[0]!).toBeGreaterThan(medians[1]! * 2)
  expect(medians[1]!).toBeGreaterThan(medians[2]! * 2)
})

test("random eviction is even", () => {
  const house = new House("allkeys-random")
  for (let i = 0; i < 40_000; i++) house.put(`k${i}`)
  const tenths = new Array<number>(10).fill(0)
  for (const name of house.evict(10_000)) tenths[Math.floor(Number(name.slice(1)) / 4000)]!++
  for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(200)
})
