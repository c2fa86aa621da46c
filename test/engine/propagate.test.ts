import { expect, test } from "bun:test"
import { Propagator } from "../../src/engine/propagate.ts"
import type { Database } from "../../src/keyspace/db.ts"
import { Arguments } from "../../src/resp/arguments.ts"

const database = (index: number): Database => ({ index }) as Database

function command(...words: string[]): Arguments {
  const args = new Arguments()
  args.assign(words)
  return args
}

function text({ writer }: Propagator, start = 0, end = writer.at): string {
  return Buffer.from(writer.bytes.subarray(start, end))
    .toString()
    .replace(/[*$]\d+\r\n/g, "")
    .replaceAll("\r\n", " ")
}

test("a unit that is put aside comes back whole, with its messages and its database", () => {
  const propagator = new Propagator()
  propagator.enabled = true
  propagator.hasReplicas = true
  propagator.open()
  propagator.message(database(0), command("BEFORE"))
  propagator.close()
  const before = [...propagator.messages]
  propagator.open()
  propagator.verbatim(database(1), command("A"))
  propagator.message(database(1), command("PUBLISH", "c", "m"))
  const held = propagator.withdraw()
  propagator.close()
  expect(text(propagator)).toBe("SELECT 0 BEFORE ")
  expect(propagator.messages).toEqual(before)
  expect(propagator.messageBytes).toBe(before[1]! - before[0]!)
  // Others propagate meanwhile, and what there is goes to the sinks.
  propagator.open()
  propagator.verbatim(database(2), command("BETWEEN"))
  propagator.close()
  expect(text(propagator)).toBe("SELECT 0 BEFORE SELECT 2 BETWEEN ")
  propagator.reset()
  propagator.open()
  propagator.restore(held)
  propagator.verbatim(database(1), command("B"))
  propagator.close()
  propagator.open()
  propagator.verbatim(database(1), command("AFTER"))
  propagator.close()
  expect(text(propagator)).toBe("SELECT 0 MULTI SELECT 1 A PUBLISH c m B EXEC AFTER ")
  const [start, end] = propagator.messages
  expect(text(propagator, start, end)).toBe("PUBLISH c m ")
  expect(propagator.messageBytes).toBe(end! - start!)
})
