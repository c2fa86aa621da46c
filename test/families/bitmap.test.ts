import { expect, test } from "bun:test"
import { Random, runSeed } from "../support/random.ts"
import { Probe } from "./string-probe.ts"

test("only changes are propagated and notified", async () => {
  await using probe = await Probe.start()
  const cases: [string, string[], string[]][] = [
    ["SETBIT b 5 0", ["SETBIT b 5 0"], ["setbit b"]],
    ["SETBIT b 5 0", [], []],
    ["SETBIT b 5 1", ["SETBIT b 5 1"], ["setbit b"]],
    ["GETBIT b 5", [], []],
    ["BITFIELD b GET u8 0", [], []],
    ["BITFIELD b SET u8 0 4", [], []],
    ["BITFIELD b SET u8 0 5", ["BITFIELD b SET u8 0 5"], ["setbit b"]],
    ["BITFIELD b INCRBY u8 0 0", [], []],
    ["BITFIELD b OVERFLOW FAIL INCRBY u8 0 255", [], []],
    ["BITOP NOT c b", ["BITOP NOT c b"], ["set c"]],
    ["BITOP AND c nope", ["BITOP AND c nope"], ["del c"]],
    ["BITOP AND c nope", [], []],
  ]
  for (const [line, commands, events] of cases) {
    const before = await probe.run("GET", "b")
    expect([line, ...(await probe.propagated(line))]).toEqual([line, ...commands])
    if (before === null) await probe.run("DEL", "b")
    else await probe.run("SET", "b", before as string)
    if (commands.length > 0 && line.startsWith("BITOP AND")) await probe.run("SET", "c", "x")
    expect([line, ...(await probe.notified(line)).filter(event => !event.startsWith("keymiss"))]).toEqual([
      line,
      ...events,
    ])
  }
})

/** The operations as said of single bits: which of the sources have it. */
const meaning: Record<string, (first: boolean, others: number) => boolean> = {
  AND: (first, others) => first && others === 2,
  OR: (first, others) => first || others > 0,
  XOR: (first, others) => ((first ? 1 : 0) + others) % 2 === 1,
  DIFF: (first, others) => first && others === 0,
  DIFF1: (first, others) => !first && others > 0,
  ANDOR: (first, others) => first && others > 0,
  ONE: (first, others) => (first ? 1 : 0) + others === 1,
}

test("BITOP of three strings of any length", async () => {
  await using probe = await Probe.start()
  const seed = runSeed
  const random = new Random(seed)
  for (let round = 0; round < 40; round++) {
    const sources = ["x", "y", "z"].map(() => random.bytes(random.pick([0, 1, 7, 40, 5000])))
    for (const [i, source] of sources.entries()) await probe.run("SET", `s${i}`, source)
    const length = Math.max(...sources.map(source => source.length))
    const bit = (source: Uint8Array, i: number): number => ((source[i >> 3] ?? 0) >> (7 - (i & 7))) & 1
    for (const [name, holds] of Object.entries(meaning)) {
      const expected = new Uint8Array(length)
      for (let i = 0; i < length * 8; i++) {
        const others = bit(sources[1]!, i) + bit(sources[2]!, i)
        if (holds(bit(sources[0]!, i) === 1, others)) expected[i >> 3]! |= 128 >> (i & 7)
      }
      expect(await probe.run("BITOP", name, "d", "s0", "s1", "s2")).toBe(length)
      let count = 0
      for (const byte of expected) for (let b = byte; b > 0; b >>= 1) count += b & 1
      expect({ seed, name, count: await probe.run("BITCOUNT", "d") }).toEqual({ seed, name, count })
      for (let at = 0; at < length; at += 997) {
        const byte = await probe.run("BITFIELD_RO", "d", "GET", "u8", at * 8)
        expect({ seed, name, at, byte }).toEqual({ seed, name, at, byte: [expected[at]!] })
      }
    }
  }
})

test("errors of BITOP's operations", async () => {
  await using probe = await Probe.start()
  for (const name of ["DIFF", "DIFF1", "ANDOR"]) {
    const value = `ERR BITOP ${name} must be called with at least two source keys.`
    expect(await probe.server.executeReply("BITOP", name.toLowerCase(), "d", "a")).toEqual({ type: "error", value })
  }
  expect(await probe.run("BITOP", "ONE", "d", "a")).toBe(0)
})
