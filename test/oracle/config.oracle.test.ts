import { afterAll, describe } from "bun:test"
import type { Command } from "../support/command.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"
import { oracleFamily } from "../support/oracle-family.ts"
import type { Word } from "../support/words.ts"

/** Directives of all kinds whose values do no harm here, with what both servers begin each round with. */
const directives: Record<string, string> = {
  "hash-max-listpack-entries": "512",
  "hash-max-ziplist-value": "64",
  "zset-max-listpack-entries": "128",
  "set-max-intset-entries": "512",
  "list-max-listpack-size": "-2",
  "list-compress-depth": "0",
  "hll-sparse-max-bytes": "3000",
  "stream-node-max-bytes": "4096",
  "stream-node-max-entries": "100",
  "lfu-log-factor": "10",
  "lfu-decay-time": "1",
  "maxmemory-eviction-tenacity": "10",
  "tracking-table-max-keys": "1000000",
  "client-query-buffer-limit": "1073741824",
  "slowlog-max-len": "128",
  "latency-monitor-threshold": "0",
  "latency-tracking-info-percentiles": "50 99 99.9",
  "notify-keyspace-events": "",
  "lazyfree-lazy-expire": "no",
  "lazyfree-lazy-user-del": "no",
  "no-appendfsync-on-rewrite": "no",
  "auto-aof-rewrite-percentage": "100",
  "auto-aof-rewrite-min-size": "67108864",
  "aof-load-truncated": "yes",
  appendfsync: "everysec",
  rdbcompression: "yes",
  "min-replicas-max-lag": "10",
  "min-slaves-max-lag": "10",
  "repl-timeout": "60",
  "repl-diskless-sync-delay": "5",
  "replica-priority": "100",
  "acl-pubsub-default": "resetchannels",
  "client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
  "lua-time-limit": "5000",
  "tcp-keepalive": "300",
  save: "",
}
const reset: Command = ["CONFIG", "SET", ...Object.entries(directives).flat()]
const names = Object.keys(directives)

const name: Word = random => {
  const drawn = random.oneIn(15) ? random.pick(["nosuch", "", "databases", "io-threads"]) : random.pick(names)
  return random.oneIn(10) ? drawn.toUpperCase() : drawn
}
const values = [
  ...[
    "yes",
    "no",
    "YES",
    "0",
    "1",
    "-1",
    "10",
    "100",
    "255",
    "1mb",
    "1MB",
    "10k",
    "5gb",
    "1b",
    "1x",
    "-5",
    "-6",
    "1.5",
    "50%",
    "mb",
  ],
  ...[
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-2147483649",
    "010",
    " 1",
  ],
  ...["always", "everysec", "Everysec", "noeviction", "allkeys-lru", "volatile-ttl", "allchannels", "resetchannels"],
  ...["KEA", "K$", "EAm", "AKE", "Kg$lshzxetdm", "K$n", "Q", "", "60 1", "60 1 100 2", "60", "0 1", "60 -1", "60 1 x"],
  ...[
    "50",
    "50 99.9",
    "101",
    "-1",
    "0 100",
    "normal 0 0 0",
    "pubsub 1mb 1kb 10",
    "replica 1 2 3",
    "slave 1 2",
    "odd 0 0 0",
  ],
  ...["normal 1mb x 0", "master 0 0 0", "pubsub 0 0 0 replica 1 1 1", "normal -1 0 0"],
]
const value: Word = (random, profile) => (random.oneIn(40) ? garbage(random, profile) : random.pick(values))
const garbage: Word = random => random.pick(["", "é", "with space", "a\r\nb", "99999999999999999999", "1e3", "--1"])

describe("CONFIG", () => {
  afterAll(async () => {
    if (!oracleAvailable) return
    const { admin } = await sharedOracle()
    await admin.call(...reset)
    // What was slow while the threshold was low is nobody else's affair.
    await admin.call("LATENCY", "RESET")
  })

  oracleFamily("configuration", {
    commands: {
      "CONFIG GET name": 6,
      "CONFIG GET name name": 2,
      "CONFIG GET ('hash-max-listpack-*'|'lfu-*'|'repl-timeou?'|'stream-node-max-[be]*'|'nosuch*')": 2,
      "CONFIG SET name value": 12,
      "CONFIG SET name value name value": 4,
      "CONFIG SET 'save' value": 0.5,
      "CONFIG SET 'notify-keyspace-events' value": 0.5,
      "CONFIG SET 'client-output-buffer-limit' value": 1,
      "CONFIG SET 'latency-tracking-info-percentiles' value": 0.5,
      "CONFIG garbage [value]": 0.5,
      "CONFIG RESETSTAT": 0.2,
    },
    words: { name, value, garbage },
    prepare: [reset],
    looser: { "CONFIG GET": { unordered: "pairs" } },
    otherTypes: false,
    events: false,
    finalState: false,
    // A pattern for all directives is answered by each server with its own; bytes and blanks end a number, or do not.
    mayBeSpoilt: command => command.every(arg => typeof arg === "string" && !/^[* ]|\s$/.test(arg)),
  })
})
