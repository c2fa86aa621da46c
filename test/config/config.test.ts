import { describe, expect, test } from "bun:test"
import { Config } from "../../src/config/config.ts"
import { DIRECTIVES, namesOf } from "../../src/config/directives.ts"

const failed = (name: string, reason: string) =>
  `ERR CONFIG SET failed (possibly related to argument '${name}') - ${reason}`

const open = () => {
  const config = new Config()
  config.load("enable-protected-configs", ["yes"])
  return config
}

describe("reading", () => {
  test("values are plain properties, typed, and the same object after a change", () => {
    const config = new Config()
    const { values } = config
    const entries: number = values.hashMaxListpackEntries
    expect(entries).toBe(512)
    expect(config.set("hash-max-ziplist-entries", "7")).toBeUndefined()
    expect(values.hashMaxListpackEntries).toBe(7)
    const policy: "noeviction" | "volatile-lru" | string = config.get("maxmemory-policy")
    expect(policy).toBe("noeviction")
    expect(config.get("save")[0]).toEqual({ seconds: 3600, changes: 1 })
  })

  test("defaults of our own", () => {
    const { values } = new Config()
    expect(values.port).toBe(6969)
    expect(values.appendonly).toBe(true)
    expect(values.appendfilename).toBe("database.aof")
    expect(values.bind).toEqual(["127.0.0.1", "-::1"])
  })

  test("patterns match names and older names, in any case, once each", () => {
    const config = new Config()
    expect(config.getMatching(["*listpack-entries", "HASH-MAX-*", "zset-max-listpack-entries"])).toEqual([
      ["hash-max-listpack-entries", "512"],
      ["set-max-listpack-entries", "128"],
      ["zset-max-listpack-entries", "128"],
      ["hash-max-ziplist-entries", "512"],
      ["hash-max-listpack-value", "64"],
      ["hash-max-ziplist-value", "64"],
    ])
    expect(config.getMatching(["slaveof", "replicaof", "nothing", "PORT"])).toEqual([
      ["slaveof", ""],
      ["replicaof", ""],
      ["PORT", "6969"],
    ])
  })

  test("hidden directives show by exact name only", () => {
    const config = new Config()
    expect(config.getMatching(["key-load-*"])).toEqual([])
    expect(config.set("primaryauth", "p")).toBeUndefined()
    expect(config.getMatching(["*auth"])).toEqual([["masterauth", "p"]])
    expect(config.getMatching(["key-load-delay"])).toEqual([["key-load-delay", "0"]])
  })

  test("names and aliases are unique", () => {
    const names = DIRECTIVES.flatMap(namesOf)
    expect(new Set(names).size).toBe(names.length)
  })
})

describe("CONFIG SET", () => {
  test("every pair of CONFIG GET * can be set back, to the same text", () => {
    const config = open()
    for (const [name, value] of config.getMatching(["*"])) {
      const result = config.set(name, value)
      const isImmutable = DIRECTIVES.some(
        entry => [entry.name, ...entry.aliases].includes(name) && entry.flags.includes("immutable"),
      )
      expect([name, result]).toEqual([name, isImmutable ? failed(name, "can't set immutable config") : undefined])
      expect([name, config.getText(name)]).toEqual([name, value])
    }
  })

  // What redis-server 7.0.15 answers to the same.
  const cases: [name: string, value: string, outcome: { get: string } | { refused: string }][] = [
    ["maxmemory", "1Gb", { get: "1073741824" }],
    ["maxmemory", "10M", { get: "10000000" }],
    ["maxmemory", "18446744073709551615", { get: "18446744073709551615" }],
    ["maxmemory", "", { get: "0" }],
    ["maxmemory", "-1", { refused: "argument must be a memory value" }],
    ["maxmemory", "1.5gb", { refused: "argument must be a memory value" }],
    ["slowlog-max-len", "9223372036854775807", { get: "9223372036854775807" }],
    ["hz", "1000", { get: "500" }],
    ["hz", "0", { get: "1" }],
    ["hz", "-1", { refused: "argument must be between 0 and 2147483647 inclusive" }],
    ["hz", "010", { refused: "argument couldn't be parsed into an integer" }],
    ["hz", "9223372036854775808", { refused: "argument couldn't be parsed into an integer" }],
    ["maxmemory-clients", "10%", { get: "10%" }],
    ["maxmemory-clients", "0%", { get: "0" }],
    ["maxmemory-clients", "1mb", { get: "1048576" }],
    ["maxmemory-clients", "101%", { refused: "percentage argument must be less or equal to 100" }],
    ["maxmemory-clients", "-1", { refused: "argument must be a memory or percent value" }],
    ["oom-score-adj", "relative", { get: "yes" }],
    ["oom-score-adj", "x", { refused: "argument(s) must be one of the following: no, yes, relative, absolute" }],
    ["oom-score-adj-values", "1 2", { refused: "wrong number of arguments" }],
    [
      "oom-score-adj-values",
      "1 2 3000",
      { refused: "Invalid oom-score-adj-values, elements must be between -2000 and 2000." },
    ],
    ["notify-keyspace-events", "mEK$", { get: "$KEm" }],
    ["notify-keyspace-events", "g$lshzxetdK", { get: "AK" }],
    ["notify-keyspace-events", "nKEm", { get: "nKEm" }],
    ["notify-keyspace-events", "Q", { refused: "Invalid event class character. Use 'Ag$lshzxeKEtmdn'." }],
    [
      "client-output-buffer-limit",
      "normal 0 0",
      { refused: "Wrong number of arguments in buffer limit configuration." },
    ],
    [
      "client-output-buffer-limit",
      "master 0 0 1",
      { refused: "Invalid client class specified in buffer limit configuration." },
    ],
    [
      "client-output-buffer-limit",
      "normal 0 0 -1",
      { refused: "Error in hard, soft or soft_seconds setting in buffer limit configuration." },
    ],
    [
      "client-output-buffer-limit",
      "replica 1mb 2k 3 pubsub 0 0 0",
      { get: "normal 0 0 0 slave 1048576 2000 3 pubsub 0 0 0" },
    ],
    ["client-output-buffer-limit", "", { get: "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60" }],
    ["save", "", { get: "" }],
    ["save", "900 1 5 0", { get: "900 1 5 0" }],
    ["save", "900 1  5 2", { refused: "Invalid save parameters" }],
    ["save", "0 1", { refused: "Invalid save parameters" }],
    ["shutdown-on-sigterm", "force nosave", { get: "nosave force" }],
    ["shutdown-on-sigterm", "default now", { get: "now" }],
    [
      "shutdown-on-sigterm",
      "save nosave",
      { refused: "shutdown options SAVE and NOSAVE can't be used simultaneously" },
    ],
    [
      "shutdown-on-sigterm",
      "",
      { refused: "argument(s) must be one of the following: default, save, nosave, now, force" },
    ],
    ["latency-tracking-info-percentiles", "50.5 1e1 99.123456789", { get: "50.5 10 99.123457" }],
    ["latency-tracking-info-percentiles", "", { get: "" }],
    ["latency-tracking-info-percentiles", "a", { refused: "Invalid latency-tracking-info-percentiles parameters" }],
    [
      "latency-tracking-info-percentiles",
      "101",
      { refused: "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]" },
    ],
    ["port", "99999", { refused: "argument must be between 0 and 65535 inclusive" }],
    ["maxclients", "-5", { refused: "argument must be between 1 and 4294967295 inclusive" }],
    ["proto-max-bulk-len", "1", { refused: "argument must be between 1048576 and 9223372036854775807 inclusive" }],
    ["slowlog-log-slower-than", "-2", { refused: "argument must be between -1 and 9223372036854775807 inclusive" }],
    ["timeout", "ten", { refused: "argument couldn't be parsed into an integer" }],
    ["appendonly", "maybe", { refused: "argument must be 'yes' or 'no'" }],
    ["appendonly", "NO", { get: "no" }],
    ["dbfilename", "a/b", { refused: "dbfilename can't be a path, just a filename" }],
    [
      "cluster-announce-hostname",
      "a_b",
      { refused: "Hostnames may only contain alphanumeric characters, hyphens or dots" },
    ],
    ["proc-title-template", "{x}", { refused: "template format is invalid or contains unknown variables" }],
    ["proc-title-template", "{port} {title}!", { get: "{port} {title}!" }],
    ["daemonize", "yes", { refused: "can't set immutable config" }],
    ["bind", "", { get: "" }],
    ["bind", "10.0.0.1 -::1", { get: "10.0.0.1 -::1" }],
  ]
  for (const [name, value, outcome] of cases) {
    test(`${name} "${value}"`, () => {
      const config = open()
      const error = config.set(name, value)
      if ("get" in outcome) {
        expect(error).toBeUndefined()
        expect(config.getText(name)).toBe(outcome.get)
        expect(config.set(name, outcome.get)).toBeUndefined()
        expect(config.getText(name)).toBe(outcome.get)
      } else expect(error).toBe(failed(name, outcome.refused))
    })
  }

  test("names: unknown, protected, local, loading, twice", () => {
    const config = new Config()
    expect(config.set("Nosuch", "1")).toBe("ERR Unknown option or number of arguments for CONFIG SET - 'Nosuch'")
    expect(config.set("DIR", "/")).toBe(failed("DIR", "can't set protected config"))
    config.load("enable-protected-configs", ["local"])
    expect(config.set("dir", "/")).toBe(failed("dir", "can't set protected config"))
    expect(config.set("dir", "/", { isLocal: true })).toBeUndefined()
    expect(config.set("dir", "/", { isLocal: true, isLoading: true })).toBe(
      "LOADING Redis is loading the dataset in memory",
    )
    const twice = [
      ["REPLICA-priority", "1"],
      ["replica-priority", "2"],
    ] as const
    expect(config.setAll(twice)).toBe(failed("replica-priority", "duplicate parameter"))
  })

  test("a refused pair leaves all as it was", () => {
    const config = new Config()
    const pairs = [
      ["maxmemory", "5"],
      ["slave-priority", "7"],
      ["TIMEOUT", "x"],
    ] as const
    expect(config.setAll(pairs)).toBe(failed("timeout", "argument couldn't be parsed into an integer"))
    expect(config.values.maxmemory).toBe(0)
    expect(config.values.replicaPriority).toBe(100)
  })
})

describe("listeners", () => {
  test("hear a change with the value before, and nothing where nothing changes", () => {
    const config = new Config()
    const heard: unknown[] = []
    config.onChange("maxmemory", (value, previous) => {
      heard.push([previous, value])
    })
    config.set("maxmemory", "1kb")
    config.set("maxmemory", "1024")
    config.set("maxmemory", "abc")
    expect(heard).toEqual([[0, 1024]])
  })

  test("a group is told once", () => {
    const config = new Config()
    let told = 0
    config.onChangeOfAny(["tls-cert-file", "tls-key-file", "port"], () => {
      told++
      return undefined
    })
    const pair = [
      ["tls-cert-file", "a"],
      ["tls-key-file", "b"],
    ] as const
    config.setAll(pair)
    expect(told).toBe(1)
    config.setAll(pair) // The files behind the names may be new.
    expect(told).toBe(2)
    config.set("port", "6969")
    expect(told).toBe(2)
  })

  test("a veto undoes all pairs, and those told before are told back", () => {
    const config = new Config()
    const heard: unknown[] = []
    config.onChange("maxmemory", (value, previous) => {
      heard.push([previous, value])
    })
    config.onChange("port", value => (value === 1 ? "Unable to listen on this port. Check server logs." : undefined))
    const pairs = [
      ["maxmemory", "9"],
      ["port", "1"],
    ] as const
    expect(config.setAll(pairs)).toBe(failed("port", "Unable to listen on this port. Check server logs."))
    expect(heard).toEqual([
      [0, 9],
      [9, 0],
    ])
    expect(config.values.port).toBe(6969)
    expect(config.values.maxmemory).toBe(0)
  })
})

test("words that objects happen to know are words like any other", () => {
  const config = open()
  for (const { name, kind } of DIRECTIVES) {
    for (const word of ["constructor", "valueof", "__proto__", "tostring"]) {
      const value = kind.parse([word], config.get(name as "maxmemory") as never)
      // Taken as the text it is, in a list perhaps, or refused.
      expect([name, word, typeof value === "function" || value === Object.prototype]).toEqual([name, word, false])
    }
  }
  expect(config.set("maxmemory", "constructor")).toBe(failed("maxmemory", "argument must be a memory value"))
  expect(config.set("appendfsync", "constructor")).toStartWith("ERR CONFIG SET failed")
})
