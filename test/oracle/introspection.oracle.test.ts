import { describe, expect, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { compareText } from "../support/compare.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"

const looser = {
  INFO: { sameShape: true },
  "CONFIG GET": { unordered: "pairs" },
  "CONFIG REWRITE": { sameShape: true },
  "DEBUG OBJECT": { sameShape: true },
  "DEBUG DIGEST": { sameShape: true },
  "DEBUG HTSTATS": { sameShape: true },
  "DEBUG STRUCTSIZE": { sameShape: true },
  "MEMORY USAGE": { sameShape: true },
  "MEMORY DOCTOR": { sameShape: true },
  "MEMORY MALLOC-STATS": { sameShape: true },
  "MEMORY STATS": { sameShape: true },
  "LATENCY DOCTOR": { sameShape: true },
  "LATENCY GRAPH": { sameShape: true },
  LOLWUT: { sameShape: true },
  TIME: { sameShape: true },
  LASTSAVE: { sameShape: true },
} as const

const CASES = `
SET a b
HSET h f v
LPUSH l x
CONFIG
CONFIG NOSUCH
CONFIG GET
CONFIG GET nosuch
CONFIG GET maxmemory
CONFIG GET MAXMEMORY
CONFIG GET HZ hz h[z] Hz
CONFIG GET h[z] HZ
CONFIG GET maxmemory maxmemory hz
CONFIG GET hash-max-*-entries
CONFIG SET
CONFIG SET maxmemory
CONFIG SET maxmemory 10mb nosuch
CONFIG SET nosuch 1
CONFIG SET maxmemory 10mb
CONFIG GET maxmemory
CONFIG SET maxmemory abc
CONFIG SET maxmemory 1 maxmemory 2
CONFIG SET databases 3
CONFIG SET hz 20 slowlog-max-len abc
CONFIG GET hz
CONFIG SET maxmemory 0
CONFIG SET save ""
CONFIG SET save "60 1 100 2"
CONFIG GET save
CONFIG SET save ""
CONFIG SET appendfsync maybe
CONFIG SET list-compress-depth -1
CONFIG REWRITE
CONFIG REWRITE x
CONFIG RESETSTAT
CONFIG RESETSTAT x
SLOWLOG
SLOWLOG NOSUCH
SLOWLOG GET abc
SLOWLOG GET -2
SLOWLOG GET 1 2
SLOWLOG GET 99999999999999999999
SLOWLOG LEN x
SLOWLOG RESET
SLOWLOG LEN
SLOWLOG GET
SLOWLOG GET -1
SLOWLOG GET 0
SLOWLOG GET 9223372036854775807
SLOWLOG GET -9223372036854775808
SLOWLOG RESET x
LATENCY
LATENCY NOSUCH
LATENCY LATEST
LATENCY LATEST x
LATENCY HISTORY
LATENCY HISTORY x
LATENCY GRAPH x
LATENCY GRAPH
LATENCY RESET
LATENCY RESET x y
LATENCY DOCTOR
LATENCY HISTOGRAM nosuch
MEMORY
MEMORY NOSUCH
MEMORY USAGE
MEMORY USAGE a
MEMORY USAGE nokey
MEMORY USAGE a SAMPLES
MEMORY USAGE a SAMPLES 0
MEMORY USAGE a SAMPLES -1
MEMORY USAGE a SAMPLES abc
MEMORY USAGE a FOO 1
MEMORY DOCTOR
MEMORY MALLOC-STATS
MEMORY PURGE
MEMORY STATS
INFO
INFO nosuch
INFO server
TIME
LASTSAVE
LOLWUT
LOLWUT VERSION 5
COMMAND NOSUCH
COMMAND COUNT x
COMMAND INFO nosuch config|nosuch
COMMAND INFO get|nosuch
COMMAND DOCS nosuch
COMMAND LIST FILTERBY
COMMAND LIST FILTERBY x y
COMMAND LIST FILTERBY MODULE
COMMAND LIST FILTERBY MODULE nosuch
COMMAND LIST FILTERBY ACLCAT nosuch
COMMAND LIST FILTERBY PATTERN nosuch*
COMMAND LIST x
COMMAND GETKEYS
COMMAND GETKEYS nosuch a
COMMAND GETKEYS GET a
COMMAND GETKEYS GET a b
COMMAND GETKEYS PING a
COMMAND GETKEYS CONFIG GET a
COMMAND GETKEYS CONFIG NOSUCH a
COMMAND GETKEYS CONFIG a
COMMAND GETKEYS OBJECT ENCODING k
COMMAND GETKEYS MSET a 1 b 2
COMMAND GETKEYS MSET a 1 b
COMMAND GETKEYSANDFLAGS SET k v
COMMAND GETKEYSANDFLAGS SET k v GET
COMMAND GETKEYSANDFLAGS BITOP AND d a b
COMMAND GETKEYSANDFLAGS COPY a b
COMMAND GETKEYS LMPOP 2 a b LEFT
COMMAND GETKEYS LMPOP 5 a b LEFT
COMMAND GETKEYS LMPOP x a b LEFT
COMMAND GETKEYS SINTERCARD 2 a b
DEBUG
DEBUG NOSUCH
DEBUG SLEEP
DEBUG SLEEP 0
DEBUG SLEEP abc
DEBUG OBJECT a
DEBUG OBJECT nokey
DEBUG OBJECT
DEBUG DIGEST
DEBUG DIGEST-VALUE nokey
DEBUG DIGEST-VALUE
DEBUG HTSTATS 0
DEBUG HTSTATS 99
DEBUG HTSTATS-KEY a
DEBUG HTSTATS-KEY nokey
DEBUG LISTPACK h
DEBUG LISTPACK a
DEBUG LISTPACK nokey
DEBUG POPULATE
DEBUG POPULATE 3
DEBUG POPULATE 3 p
DEBUG POPULATE 3 q 10
DEBUG POPULATE 3 r 3
DEBUG POPULATE abc
DEBUG POPULATE -1
DEBUG POPULATE 3 s -1
MGET key:0 key:2 p:0 q:0 r:0
OBJECT ENCODING key:0
DBSIZE
DEBUG SET-ACTIVE-EXPIRE 0
DEBUG SET-ACTIVE-EXPIRE 1
DEBUG SET-ACTIVE-EXPIRE
DEBUG PAUSE-CRON 0
DEBUG SET-SKIP-CHECKSUM-VALIDATION 0
DEBUG SET-DISABLE-DENY-SCRIPTS 0
DEBUG QUICKLIST-PACKED-THRESHOLD 100b
DEBUG QUICKLIST-PACKED-THRESHOLD abc
DEBUG QUICKLIST-PACKED-THRESHOLD 5gb
DEBUG QUICKLIST-PACKED-THRESHOLD 0
DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER
DEBUG REPLYBUFFER PEAK-RESET-TIME RESET
DEBUG REPLYBUFFER PEAK-RESET-TIME 100
DEBUG REPLYBUFFER RESIZING 0
DEBUG REPLYBUFFER a b
DEBUG CHANGE-REPL-ID
DEBUG LOG hello
DEBUG ERROR "MYERR text"
DEBUG ERROR "two\\r\\nlines"
DEBUG ERROR "a\\x00b\\n"
DEBUG "a\\x00b"
DEBUG MALLCTL nosuch
DEBUG STRUCTSIZE
DEBUG SDSLEN nokey
DEBUG SDSLEN h
DEBUG PROTOCOL string
DEBUG PROTOCOL integer
DEBUG PROTOCOL double
DEBUG PROTOCOL bignum
DEBUG PROTOCOL null
DEBUG PROTOCOL array
DEBUG PROTOCOL set
DEBUG PROTOCOL map
DEBUG PROTOCOL attrib
DEBUG PROTOCOL verbatim
DEBUG PROTOCOL true
DEBUG PROTOCOL false
DEBUG PROTOCOL nosuch
`

describe("oracle: introspection", () => {
  for (const resp of [2, 3] as const) {
    test.skipIf(!oracleAvailable)(`replies and errors, RESP${resp}`, async () => {
      const oracle = await sharedOracle()
      await using subject = await createServer({ port: 0, config: { "enable-debug-command": "yes", save: "" } })
      await using ours = await Client.connect(subject.port, { resp })
      await using theirs = await Client.connect(oracle.port, { resp })
      const before = await oracle.admin.plain("CONFIG", "GET", "hz", "save", "maxmemory")
      await compareText(ours, theirs, CASES, { looser })
      await oracle.admin.plain("CONFIG", "SET", ...(before as string[]))
    })
  }

  test.skipIf(!oracleAvailable)("a push of DEBUG PROTOCOL", async () => {
    const oracle = await sharedOracle()
    await using subject = await createServer({ port: 0, config: { "enable-debug-command": "yes" } })
    const pushes = []
    for (const { port } of [subject, oracle]) {
      await using client = await Client.connect(port, { resp: 3 })
      client.sendCommand("DEBUG", "PROTOCOL", "push")
      pushes.push(await client.readPush())
    }
    expect(pushes[0]).toEqual(pushes[1]!)
  })

  test.skipIf(!oracleAvailable)("INFO has every field that the real one has", async () => {
    const oracle = await sharedOracle()
    await using subject = await createServer({ port: 0 })
    await using ours = await Client.connect(subject.port)
    const fields = (text: unknown) => [...String(text).matchAll(/^([a-z][^#:\r]*):/gm)].map(match => match[1]!)
    const mine = new Set(fields(await ours.plain("INFO", "everything")))
    const missing = fields(await oracle.admin.plain("INFO", "everything"))
      .filter(name => !mine.has(name) && !/^(cmdstat|latency_percentiles_usec|errorstat|db\d)/.test(name))
      .filter(name => !name.startsWith("allocator_frag_smallbins"))
    expect(missing).toEqual([])
  })
})
