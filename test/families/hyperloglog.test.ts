import { expect, test } from "bun:test"
import type { Reply } from "../../src/index.ts"
import { Probe } from "./string-probe.ts"

const NOT_HLL: Reply = { type: "error", value: "WRONGTYPE Key is not a valid HyperLogLog string value." }
const CORRUPT: Reply = { type: "error", value: "INVALIDOBJ Corrupted HLL object detected" }

test("what is propagated and notified", async () => {
  await using probe = await Probe.start()
  const cases: [string, string[]][] = [
    ["PFADD h", ["PFADD h"]],
    ["PFADD h", []],
    ["PFADD h a b", ["PFADD h a b"]],
    ["PFADD h a", []],
    // The count is written into the value.
    ["PFCOUNT h", ["PFCOUNT h"]],
    ["PFCOUNT h", []],
    ["PFCOUNT h h2", []],
    ["PFMERGE d h", ["PFMERGE d h"]],
    ["PFDEBUG ENCODING h", []],
    ["PFDEBUG TODENSE h", ["PFDEBUG TODENSE h"]],
    ["PFDEBUG TODENSE h", []],
  ]
  for (const [line, commands] of cases) expect([line, ...(await probe.propagated(line))]).toEqual([line, ...commands])
  expect(await probe.notified("PFADD h z")).toEqual(["pfadd h"])
  expect(await probe.notified("PFCOUNT h")).toEqual([])
  expect(await probe.notified("PFMERGE d h")).toEqual(["pfadd d"])
})

test("counting, sparse and dense", async () => {
  await using probe = await Probe.start()
  for (let i = 0; i < 6000; i += 20) {
    const elements = Array.from({ length: 20 }, (_, j) => `element${i + j}`)
    await probe.run("PFADD", i % 40 === 0 ? "even" : "odd", ...elements)
    if (i === 200) expect(await probe.run("PFDEBUG", "ENCODING", "even")).toBe("sparse")
  }
  expect(await probe.run("PFDEBUG", "ENCODING", "even")).toBe("dense")
  const even = (await probe.run("PFCOUNT", "even")) as number
  expect(Math.abs(even - 3000)).toBeLessThan(150)
  const union = (await probe.run("PFCOUNT", "even", "odd")) as number
  expect(Math.abs(union - 6000)).toBeLessThan(300)
  await probe.run("PFMERGE", "all", "even", "odd")
  expect(await probe.run("PFCOUNT", "all")).toBe(union)
  expect(await probe.run("PFCOUNT", "all")).toBe(union)
  const registers = (await probe.run("PFDEBUG", "GETREG", "all")) as number[]
  expect(registers.length).toBe(16384)
  expect(await probe.run("PFSELFTEST")).toBe("OK")
})

const onText = ["PFADD s x", "PFCOUNT s", "PFMERGE d s", "PFDEBUG DECODE s"]
const onBroken = ["PFCOUNT h", "PFCOUNT h d", "PFMERGE d h", "PFDEBUG GETREG h"]

test("what is no HyperLogLog, or a broken one", async () => {
  await using probe = await Probe.start()
  await probe.run("SET", "s", "text")
  await probe.run("PFADD", "h", "a", "b", "c")
  await probe.run("APPEND", "h", "hello")
  for (const line of onText) expect(await probe.server.executeReply(...line.split(" "))).toEqual(NOT_HLL)
  for (const line of onBroken) expect(await probe.server.executeReply(...line.split(" "))).toEqual(CORRUPT)
  expect(await probe.run("EXISTS", "d")).toBe(0)
})

test("a snapshot keeps a value that PFCOUNT and PFADD write into", async () => {
  await using probe = await Probe.start()
  const { keys, keyspace } = probe
  await probe.run("PFADD", "sparse", "a")
  await probe.run("PFADD", "dense", "a")
  await probe.run("PFDEBUG", "TODENSE", "dense")
  const before = [await probe.run("GET", "sparse"), await probe.run("GET", "dense")]
  keyspace.heap.freeze()
  const frozen = keys.frozenView()
  for (const key of ["sparse", "dense"]) {
    await probe.run("PFCOUNT", key)
    await probe.run("PFADD", key, "b", "c")
  }
  const addresses: number[] = []
  frozen.scan(0, 100, addresses)
  const seen: Record<string, string> = {}
  for (const address of addresses) {
    frozen.read(address)
    const key = Buffer.from(frozen.keyBytes).toString("latin1", frozen.keyStart, frozen.keyEnd)
    seen[key] = Buffer.from(frozen.valueBytes.subarray(frozen.valueStart, frozen.valueEnd)).toString()
  }
  expect([seen.sparse, seen.dense]).toEqual(before as string[])
  keyspace.heap.thaw()
  expect([await probe.run("PFCOUNT", "sparse"), await probe.run("PFCOUNT", "dense")]).toEqual([3, 3])
})
