import { expect, test } from "bun:test"
import type { Container } from "../../src/structs/byte-map.ts"
import { Probe, START_MS } from "./string-probe.ts"

async function expectReplies(probe: Probe, cases: readonly (readonly [line: string, reply: string])[]): Promise<void> {
  for (const [line, reply] of cases) expect(`${line} → ${await probe.reply(line)}`).toBe(`${line} → ${reply}`)
}

test("what is propagated", async () => {
  await using probe = await Probe.start()
  const moment = START_MS + 100_000
  const cases: [string, string[]][] = [
    ["SET k v", ["SET k v"]],
    ["SET k v NX", []],
    ["SET k v XX", ["SET k v XX"]],
    ["SET k v EX 100", [`SET k v PXAT ${moment}`]],
    ["SET k v PX 100000 XX GET", [`SET k v PXAT ${moment}`]],
    [`SET k v EXAT ${moment / 1000}`, [`SET k v PXAT ${moment}`]],
    [`SET k v PXAT ${moment}`, [`SET k v PXAT ${moment}`]],
    ["SET k w KEEPTTL", ["SET k w KEEPTTL"]],
    ["SET k w KEEPTTL GET", ["SET k w KEEPTTL"]],
    ["SET k w GET", ["SET k w"]],
    ["SET k x IFEQ w", ["SET k x"]],
    ["SET k y IFEQ w", []],
    ["SET k y IFNE w KEEPTTL", ["SET k y KEEPTTL"]],
    ["SETEX k 100 v", [`SET k v PXAT ${moment}`]],
    ["PSETEX k 100000 v", [`SET k v PXAT ${moment}`]],
    ["SETNX k v", []],
    ["SETNX k2 v", ["SETNX k2 v"]],
    ["GETSET k 5", ["SET k 5"]],
    ["GETEX k", []],
    ["GETEX k EX 100", [`PEXPIREAT k ${moment}`]],
    ["GETEX k PERSIST", ["PERSIST k"]],
    ["GETEX k PERSIST", []],
    ["INCRBYFLOAT k 0.5", ["SET k 5.5 KEEPTTL"]],
    ["GETEX k EXAT 1", ["DEL k"]],
    ["GETDEL k", []],
    ["GETDEL k2", ["DEL k2"]],
    ["INCR n", ["INCR n"]],
    ["APPEND n x", ["APPEND n x"]],
    ["SETRANGE n 0 y", ["SETRANGE n 0 y"]],
    ["MSET a 1 b 2", ["MSET a 1 b 2"]],
    ["MSETNX a 1 c 2", []],
    ["MSETEX 2 a 1 b 2 EX 100 XX", [`MSETEX 2 a 1 b 2 PXAT ${moment}`]],
    ["MSETEX 2 a 1 b 2 KEEPTTL", ["MSETEX 2 a 1 b 2 KEEPTTL"]],
    ["DELEX a IFEQ 2", []],
    ["DELEX a IFEQ 1", ["DEL a"]],
    ["DELIFEQ b 2", ["DEL b"]],
    ["INCREX i BYINT 7", ["SET i 7 KEEPTTL"]],
    ["INCREX i BYFLOAT 0.5", ["SET i 7.5 KEEPTTL"]],
    ["INCREX i BYFLOAT 0.5 EX 100", [`SET i 8 PXAT ${moment}`]],
    ["INCREX i EX 5 ENX", ["SET i 9 KEEPTTL"]],
    ["INCREX i UBOUND 5", []],
    ["INCREX i PERSIST", ["SET i 10"]],
    ["INCREX i EXAT 1", ["DEL i"]],
    ["INCREX i EXAT 1", []],
  ]
  for (const [line, commands] of cases) expect([line, ...(await probe.propagated(line))]).toEqual([line, ...commands])
})

test("what is notified", async () => {
  await using probe = await Probe.start()
  const cases: [string, string[]][] = [
    ["SET k v", ["set k"]],
    ["SET k v EX 100", ["set k", "expire k"]],
    ["SETEX k 100 v", ["set k", "expire k"]],
    ["GETEX k PERSIST", ["persist k"]],
    ["GETEX k PX 5000", ["expire k"]],
    ["GETEX k PXAT 1", ["del k"]],
    ["MSET a 1 b 2", ["set a", "set b"]],
    ["MSETEX 2 a 1 b 2 PX 100", ["set a", "expire a", "set b", "expire b"]],
    ["INCR n", ["incrby n"]],
    ["DECRBY n 3", ["incrby n"]],
    ["INCRBYFLOAT n 3", ["incrbyfloat n"]],
    ["APPEND n 3", ["append n"]],
    ["SETRANGE n 3 x", ["setrange n"]],
    ["SETRANGE n 3 ", []],
    ["GETDEL n", ["del n"]],
    ["GET n", ["keymiss n"]],
    ["INCREX i EX 100", ["incrby i", "expire i"]],
    ["INCREX i BYFLOAT 1 PERSIST", ["incrbyfloat i", "persist i"]],
    ["INCREX i PXAT 1", ["del i"]],
    ["DELEX a", ["del a"]],
  ]
  for (const [line, events] of cases) expect([line, ...(await probe.notified(line))]).toEqual([line, ...events])
})

test("encodings follow history", async () => {
  await using probe = await Probe.start()
  const long = "x".repeat(45)
  await expectReplies(probe, [
    ["SET k 12", '"OK"'],
    ["OBJECT ENCODING k", '"int"'],
    ["APPEND k 3", "3"],
    ["OBJECT ENCODING k", '"raw"'],
    ["INCR k", "124"],
    ["OBJECT ENCODING k", '"int"'],
    ["INCRBYFLOAT k 1", '"125"'],
    ["OBJECT ENCODING k", '"embstr"'],
    ["SETRANGE k 0 2", "3"],
    ["OBJECT ENCODING k", '"raw"'],
    ["SET k 0012", '"OK"'],
    ["OBJECT ENCODING k", '"embstr"'],
    [`SET k ${long}`, '"OK"'],
    ["OBJECT ENCODING k", '"raw"'],
    ["SET k -9223372036854775808", '"OK"'],
    ["OBJECT ENCODING k", '"int"'],
    ["SETBIT k 0 0", "0"],
    ["OBJECT ENCODING k", '"raw"'],
    ["SETNX new 1", "1"],
    ["OBJECT ENCODING new", '"int"'],
    ["APPEND other 1", "1"],
    ["OBJECT ENCODING other", '"int"'],
  ])
})

test("compare and set, compare and delete", async () => {
  await using probe = await Probe.start()
  await expectReplies(probe, [
    ["SET k v IFEQ v", "null"],
    ["SET k v IFDEQ 1234", "null"],
    ["SET k hello IFNE v", '"OK"'],
    ["DIGEST k", '"9555e8555c62dcfd"'],
    ["DIGEST missing", "null"],
    ["SET k world IFDEQ 9555E8555C62DCFD", '"OK"'],
    ["SET k again IFDNE 9555e8555c62dcfd GET", '"world"'],
    ["SET k no IFEQ world GET", '"again"'],
    ["GET k", '"again"'],
    ["DELEX k IFEQ no", "0"],
    ["DELEX k IFNE no", "1"],
    ["DELEX k", "0"],
    ["SET k v", '"OK"'],
    ["DELIFEQ k w", "0"],
    ["DELIFEQ k v", "1"],
    ["DELIFEQ k v", "0"],
    ["MSETEX 2 a 1 b 2 NX", "1"],
    ["MSETEX 2 b 1 c 2 NX", "0"],
    ["MSETEX 2 b 1 c 2 XX", "0"],
    ["MGET a b c", '["1","2",null]'],
  ])
  // The documented digest of a value that begins with zeros.
  await probe.run(
    "SET",
    "z",
    "v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd",
  )
  expect(await probe.run("DIGEST", "z")).toBe("00006c38adf31777")
})

test("INCREX", async () => {
  await using probe = await Probe.start()
  await expectReplies(probe, [
    ["INCREX k", "[1,1]"],
    ["INCREX k BYINT 10 UBOUND 5", "[1,0]"],
    ["INCREX k BYINT 10 UBOUND 5 SATURATE", "[5,4]"],
    ["INCREX k BYINT -10 LBOUND 0", "[5,0]"],
    ["INCREX k BYINT -10 LBOUND 0 SATURATE EX 100", "[0,-5]"],
    ["TTL k", "100"],
    ["INCREX k EX 500 ENX", "[1,1]"],
    ["TTL k", "100"],
    ["INCREX k PERSIST", "[2,1]"],
    ["TTL k", "-1"],
    ["INCREX k BYFLOAT 0.25", "[2.25,0.25]"],
    ["INCREX k BYFLOAT 10 UBOUND 5.5", "[2.25,0]"],
    ["INCREX k BYFLOAT 10 UBOUND 5.5 SATURATE", "[5.5,3.25]"],
    ["INCREX new BYINT 15 UBOUND 10", "[0,0]"],
    ["EXISTS new", "0"],
  ])
  await probe.run("SET", "k", "9223372036854775800")
  expect(await probe.run("INCREX", "k", "BYINT", "100")).toEqual([9223372036854775800n, 0])
  expect(await probe.run("INCREX", "k", "BYINT", "100", "SATURATE")).toEqual([9223372036854775807n, 7])
})

const errors: readonly (readonly [line: string, error: string])[] = [
  ["SET l v IFEQ w", "WRONGTYPE Operation against a key holding the wrong kind of value"],
  ["SET l v GET", "WRONGTYPE Operation against a key holding the wrong kind of value"],
  ["SET s v NX IFEQ w", "ERR syntax error"],
  ["SET s v IFEQ", "ERR syntax error"],
  ["SET s v IFEQ w IFNE w", "ERR syntax error"],
  ["GETEX s NX", "ERR syntax error"],
  ["SET s v EX 9223372036854775807", "ERR invalid expire time in 'set' command"],
  ["SET s v PX 9223372036854775807", "ERR invalid expire time in 'set' command"],
  ["SET s v EX 0", "ERR invalid expire time in 'set' command"],
  ["DELEX l IFEQ v", "ERR Key should be of string type if conditions are specified"],
  ["DELEX s EQ v", "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"],
  ["DELEX s IFEQ", "ERR wrong number of arguments for 'delex' command"],
  ["DELIFEQ l v", "WRONGTYPE Operation against a key holding the wrong kind of value"],
  ["DIGEST l", "WRONGTYPE Operation against a key holding the wrong kind of value"],
  ["MSETEX 0 a 1", "ERR invalid numkeys value"],
  ["MSETEX 2147483648 a 1", "ERR invalid numkeys value"],
  ["MSETEX 2147483647 a 1", "ERR wrong number of key-value pairs"],
  ["MSETEX 2 a 1 b", "ERR wrong number of key-value pairs"],
  ["MSETEX 1 a 1 b", "ERR syntax error"],
  ["MSETEX 1 a 1 EX 10 KEEPTTL", "ERR syntax error"],
  ["INCREX s", "ERR value is not an integer or out of range"],
  ["INCREX s BYFLOAT 1", "ERR value is not a valid float"],
  ["INCREX l", "WRONGTYPE Operation against a key holding the wrong kind of value"],
  ["INCREX n BYINT 1.5", "ERR Increment is not an integer or out of range"],
  ["INCREX n BYFLOAT x", "ERR Increment is not a valid float"],
  ["INCREX n LBOUND 1.5", "ERR LBOUND is not an integer or out of range"],
  ["INCREX n LBOUND 2 UBOUND 1", "ERR LBOUND can't be greater than UBOUND"],
  ["INCREX n ENX", "ERR ENX flag requires an expiration"],
  ["INCREX n PERSIST ENX", "ERR syntax error"],
  ["INCREX n EX 1 EX 1", "ERR syntax error"],
  ["INCREX n EX 0", "ERR invalid expire time in 'increx' command"],
  ["SETRANGE s -1 x", "ERR offset is out of range"],
  ["SETRANGE s 536870912 x", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"],
  ["SETRANGE s 9223372036854775807 x", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"],
  ["SETBIT s 4294967296 1", "ERR bit offset is not an integer or out of range"],
]

test("errors, which change nothing", async () => {
  await using probe = await Probe.start()
  await probe.run("HSET", "l", "f", "v")
  await probe.run("SET", "s", "v")
  for (const [line, error] of errors) {
    const dirty = probe.keyspace.events.dirty
    const reply = await probe.server.executeReply(...line.split(" "))
    expect([line, reply]).toEqual([line, { type: "error", value: error }])
    expect(probe.keyspace.events.dirty).toBe(dirty)
  }
})

test("a digest must have 16 digits when it is compared with", async () => {
  await using probe = await Probe.start()
  await probe.run("SET", "s", "v")
  for (const line of ["SET s w IFDEQ 123", "SET s w IFDNE 12345678901234567 GET", "DELEX s IFDEQ 1"]) {
    expect(JSON.stringify(await probe.server.executeReply(...line.split(" ")))).toContain("16 hexadecimal characters")
  }
})

test("a container that is overwritten goes to the lazy free queue", async () => {
  await using probe = await Probe.start({ "hash-max-listpack-entries": 4 })
  const released: Container[] = []
  const { keyspace, keys } = probe
  const discard = keyspace.discard.bind(keyspace)
  keyspace.discard = container => {
    released.push(container)
    discard(container)
  }
  const commands = ["SET h v", "SET h v EX 10", "MSET h v", "BITOP NOT h s"]
  await probe.run("SET", "s", "abc")
  for (const command of commands) {
    await probe.run("DEL", "h")
    released.length = 0
    const before = keys.outOfLineBytes
    for (let i = 0; i < 50; i++) await probe.run("HSET", "h", `f${i}`, "v")
    expect(keys.outOfLineBytes).toBeGreaterThan(before)
    await probe.run(...command.split(" "))
    expect([command, released.length, keys.outOfLineBytes]).toEqual([command, 1, before])
    expect(await probe.run("TYPE", "h")).toBe("string")
  }
})

test("an expired key is gone before it is set", async () => {
  await using probe = await Probe.start()
  for (const command of ["SET k w", "APPEND k w", "SETRANGE k 0 w", "SETNX k w", "GETSET k w", "MSET k w"]) {
    await probe.run("SET", "k", "v", "PX", "100")
    probe.clock.advance(101)
    const events = await probe.notified(command)
    expect([command, events[0]]).toEqual([command, "expired k"])
    expect([command, await probe.run("GET", "k"), await probe.run("TTL", "k")]).toEqual([command, "w", -1])
  }
})

test("editing keeps the expiry, setting drops it", async () => {
  await using probe = await Probe.start()
  const keeping = [
    "INCR k",
    "INCRBYFLOAT k 1",
    "APPEND k 1",
    "SETRANGE k 0 7",
    "SETBIT k 7 1",
    "SET k 5 KEEPTTL",
    "INCREX k",
  ]
  for (const command of keeping) {
    await probe.run("SET", "k", "5", "EX", "100")
    await probe.reply(command)
    expect([command, await probe.run("TTL", "k")]).toEqual([command, 100])
  }
  for (const command of ["SET k 5", "MSET k 5", "GETSET k 5", "SET k 5 GET", "SET k 5 XX", "MSETEX 1 k 5"]) {
    await probe.run("SET", "k", "5", "EX", "100")
    await probe.reply(command)
    expect([command, await probe.run("TTL", "k")]).toEqual([command, -1])
  }
})

test("long strings grow in place, and what is added is zero", async () => {
  await using probe = await Probe.start()
  let expected = ""
  for (let i = 0; i < 400; i++) {
    const piece = String(i).repeat(i % 50)
    expected += piece
    expect(await probe.run("APPEND", "k", piece)).toBe(expected.length)
  }
  expect(await probe.run("GET", "k")).toBe(expected)
  expect(await probe.run("GETRANGE", "k", "5000", "5009")).toBe(expected.slice(5000, 5010))
  await probe.run("SET", "z", "abc")
  for (const offset of [10, 2990, 3100, 100_000]) {
    expect(await probe.run("SETRANGE", "z", offset, "x")).toBe(offset + 1)
    expect(await probe.run("GETRANGE", "z", offset - 5, offset)).toBe("\0\0\0\0\0x")
  }
  const bytes = 20_000_000
  expect(await probe.run("SETBIT", "b", bytes * 8 - 1, "1")).toBe(0)
  expect(await probe.run("BITCOUNT", "b")).toBe(1)
  expect(await probe.run("STRLEN", "b")).toBe(bytes)
})

test("a range that ends before it begins is empty, however far before the first byte", async () => {
  await using probe = await Probe.start()
  await probe.run("SET", "k", "abcdef")
  const [least, next] = ["-9223372036854775808", "-9223372036854775807"]
  for (const [first, last, text, bits] of [
    [least, next, "a", 3],
    [least, least, "a", 3],
    [next, least, "", 0],
    ["-3", "-4", "", 0],
  ] as const) {
    expect(await probe.run("GETRANGE", "k", first, last)).toBe(text)
    expect(await probe.run("BITCOUNT", "k", first, last)).toBe(bits)
  }
})

test("a snapshot keeps what commands change meanwhile", async () => {
  await using probe = await Probe.start()
  const { keys, keyspace } = probe
  const long = "y".repeat(5000)
  const values: Record<string, string> = { n: "123", s: "short", t: "short", l: long, m: long, b: "bits", e: "1" }
  for (const [key, value] of Object.entries(values)) await probe.run("SET", key, value)
  keyspace.heap.freeze()
  const frozen = keys.frozenView()
  const commands = ["INCR n", "INCR n", "APPEND s x", "SETRANGE t 1 x", "APPEND l x", "SETRANGE m 4999 xxx"]
  for (const command of [...commands, "SETBIT b 7 1", "SETBIT m 0 0", "GETEX e EX 100", "SET l v"]) {
    await probe.reply(command)
  }
  const addresses: number[] = []
  let cursor = 0
  do cursor = frozen.scan(cursor, 100, addresses)
  while (cursor !== 0)
  const seen: Record<string, string> = {}
  for (const address of addresses) {
    frozen.read(address)
    const key = Buffer.from(frozen.keyBytes).toString("latin1", frozen.keyStart, frozen.keyEnd)
    seen[key] = Buffer.from(frozen.valueBytes).toString("latin1", frozen.valueStart, frozen.valueEnd)
  }
  expect(seen).toEqual(values)
  keyspace.heap.thaw()
  expect(await probe.run("MGET", "n", "s", "t")).toEqual(["125", "shortx", "sxort"])
})

test("integers at the edges of 64 bits", async () => {
  await using probe = await Probe.start()
  const steps = [1, 9007199254740991, 9007199254740993n, 9223372036854775807n, -1, -9007199254740992]
  const values = [0, 9, 99, 9007199254740990, 9007199254740992n, 9223372036854775806n, -10, -9223372036854775808n]
  for (const value of values) {
    for (const step of steps) {
      await probe.run("SET", "k", String(value))
      const sum = BigInt(value) + BigInt(step)
      const fits = BigInt.asIntN(64, sum) === sum
      const reply = await probe.server.executeReply("INCRBY", "k", String(step))
      expect([value, step, reply.type]).toEqual([value, step, fits ? "integer" : "error"])
      expect(await probe.run("GET", "k")).toBe(String(fits ? sum : value))
    }
  }
})
