import { describe, expect, test } from "bun:test"
import { PayloadReader } from "../../src/replication/payload.ts"
import { Random, runSeed } from "../support/random.ts"

const MARK = "0123456789abcdef0123456789abcdef01234567"

interface Outcome {
  state: string
  body: string
  used: number
  reason: string
  begun: number
}

/** Feeds the text in pieces of the given sizes, the rest in one. */
function feed(text: string, sizes: number[]): Outcome {
  const parts: string[] = []
  let begun = 0
  const reader = new PayloadReader(
    () => begun++,
    bytes => parts.push(Buffer.from(bytes).toString("latin1")),
  )
  const bytes = Buffer.from(text, "latin1")
  let at = 0
  let used = 0
  while (at < bytes.length && reader.state !== "done" && reader.state !== "failed") {
    const size = sizes.shift() ?? bytes.length
    const count = reader.push(bytes.subarray(at, at + size))
    used += count
    at += Math.min(size, bytes.length - at)
  }
  return { state: reader.state, body: parts.join(""), used, reason: reader.reason, begun }
}

describe("a snapshot on its way", () => {
  const random = new Random(runSeed)
  const sizes = () => Array.from({ length: 200 }, () => 1 + random.below(random.pick([2, 10, 60])))

  test("of known length: what comes behind it is left alone", () => {
    for (let i = 0; i < 200; i++) {
      const cut = sizes()
      const outcome = feed(`\n\n$11\r\nREDIS0010ab*1\r\n$4\r\nPING\r\n`, cut)
      expect([outcome.state, outcome.body, outcome.used, outcome.begun]).toEqual(["done", "REDIS0010ab", 18, 1])
    }
  })

  test("with a mark, cut anywhere", () => {
    const bodies = [
      "",
      "x",
      MARK.slice(0, 39),
      MARK.slice(1),
      `${MARK.slice(0, 20)}${MARK.slice(0, 39)}`,
      "y".repeat(500),
    ]
    for (const body of bodies) {
      for (let i = 0; i < 100; i++) {
        const outcome = feed(`\n$EOF:${MARK}\r\n${body}${MARK}`, sizes())
        expect([outcome.state, outcome.body]).toEqual(["done", body])
      }
    }
  })

  test("an empty one", () => {
    expect(feed("$0\r\n", []).state).toBe("done")
  })

  test("refused: an error, or something else altogether", () => {
    expect(feed("-ERR no\r\n", [3, 3]).reason).toBe("MASTER aborted replication with an error: ERR no")
    expect(feed("HTTP/1.1 400\r\n", []).reason).toContain("the first byte is not '$'")
    expect(feed("$12a\r\n", []).state).toBe("failed")
    expect(feed("$EOF:tooshort\r\n", []).state).toBe("failed")
    expect(feed("x".repeat(5000), []).state).toBe("failed")
  })
})
