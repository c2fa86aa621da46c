import { expect, test } from "bun:test"
import { KeyEntry, KeyTable } from "../../src/engine/key-table.ts"
import { Keyspace } from "../../src/keyspace/keyspace.ts"
import { Random, runSeed } from "../support/random.ts"

test("entries are found by database and bytes, also where hashes collide", () => {
  const seed = runSeed
  console.log(`seed ${seed}`)
  const random = new Random(seed)
  const keyspace = new Keyspace({ databases: 3, seed })
  // A hash of three values, so that every chain is long.
  const poor = Object.create(keyspace.hasher, { hash: { value: (bytes: Uint8Array, at: number) => bytes[at]! % 3 } })
  for (const hasher of [keyspace.hasher, poor]) {
    const table = new KeyTable(hasher, KeyEntry)
    const model = new Map<string, KeyEntry>()
    for (let step = 0; step < 5000; step++) {
      const db = keyspace.databases[random.below(3)]!
      const bytes = Buffer.from(`xx${random.below(60)}yy`)
      const end = bytes.length - 2
      const name = `${db.index} ${bytes.toString("latin1", 2, end)}`
      const found = table.find(db, bytes, 2, end)
      expect(found).toBe(model.get(name))
      if (found === undefined) {
        const entry = table.ensure(db, bytes, 2, end)
        expect(table.ensure(db, bytes, 2, end)).toBe(entry)
        expect(Buffer.from(entry.key).toString("latin1")).toBe(bytes.toString("latin1", 2, end))
        model.set(name, entry)
      } else if (random.below(3) > 0) {
        table.delete(found)
        table.delete(found)
        model.delete(name)
      }
      expect(table.size).toBe(model.size)
    }
    let listed = 0
    for (const db of keyspace.databases) listed += table.of(db).length
    expect(listed).toBe(model.size)
  }
})
