import { oracleFamily } from "../support/oracle-family.ts"

const types = ["STRING", "HASH", "SET", "ZSET", "LIST", "STREAM"]

oracleFamily("scan", {
  // With TYPE, Redis counts every key it looks at, up to 7.4.
  lookups: false,
  commands: {
    "SET key value": 6,
    "SET member value": 6,
    "HSET key field value": 3,
    "SADD key member": 3,
    "DEL key member": 2,
    "PEXPIREAT key timestampms": 1,
    "SCAN cursor COUNT 100000 [MATCH pattern] [TYPE type]": 10,
    "SCAN cursor [TYPE type] [MATCH pattern] COUNT 100000": 4,
    "SCAN cursor COUNT badcount [MATCH pattern]": 1,
    "SCAN cursor (COUNT count|MATCH pattern|TYPE type|garbage)...": 1,
  },
  words: {
    // 7.0 takes an empty cursor for 0.
    cursor: random => (random.oneIn(20) ? random.pick(["abc", "1.5", "0x", "99999999999999999999999"]) : "0"),
    type: random => (random.oneIn(2) ? random.pick(types) : random.pick(types).toLowerCase()),
    badcount: random => random.pick(["0", "-1", "x", "1.5", "99999999999999999999"]),
  },
  looser: { SCAN: { scan: true } },
  // What a cursor other than 0 stands for is each server's own affair.
  // An unknown type is an error here.
  mayBeSpoilt: command => {
    const [, cursor, ...rest] = command.map(arg => (typeof arg === "string" ? arg.toUpperCase() : ""))
    const isKnown = rest.every((arg, i) => arg !== "TYPE" || types.includes(rest[i + 1]!))
    return (cursor === "0" || /^[^\s\0+0-9-]/.test(String(cursor))) && isKnown
  },
  otherTypes: false,
})
