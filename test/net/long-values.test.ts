import { expect, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"

function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + seed) & 0xff
  return bytes
}

test("a value that is kept where it arrived stays what it was", async () => {
  await using server = await createServer()
  await using client = await Client.connect(server.port)
  await using other = await Client.connect(server.port)
  const values = [pattern(3_000_000, 1), pattern(1_048_576, 2), pattern(2_000_001, 3)]
  for (const [i, value] of values.entries()) expect(await client.plain("SET", `k${i}`, value)).toBe("OK")
  // Over a table, over itself, and behind other requests of the same write.
  await client.plain("HSET", "h", ...Array.from({ length: 2000 }, (_, i) => `f${i}`))
  expect(await client.plain("SET", "h", values[0]!)).toBe("OK")
  expect(await client.plain("SET", "k1", values[2]!)).toBe("OK")
  await client.pipeline([
    ["SET", "small", "x"],
    ["SET", "k3", values[0]!],
    ["GET", "small"],
  ])
  await other.plain("APPEND", "k0", "tail")
  await other.plain("SETRANGE", "k2", "0", "head")
  for (let i = 0; i < 50; i++) await client.plain("SET", `filler${i}`, pattern(100_000, i))
  const expected: [string, Uint8Array][] = [
    ["k0", Buffer.concat([values[0]!, Buffer.from("tail")])],
    ["k1", values[2]!],
    ["k2", Buffer.concat([Buffer.from("head"), values[2]!.subarray(4)])],
    ["k3", values[0]!],
    ["h", values[0]!],
  ]
  for (const [key, value] of expected) {
    const reply = await client.raw("GET", key)
    const body = reply.subarray(reply.indexOf(10) + 1, -2)
    expect(Buffer.compare(body, value)).toBe(0)
  }
  expect(await client.plain("OBJECT", "ENCODING", "k3")).toBe("raw")
})
