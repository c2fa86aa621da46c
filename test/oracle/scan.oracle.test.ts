import { oracleFamily } from "../support/oracle-family.ts"

oracleFamily("scan", {
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
  },
  words: {
    // 7.0 takes an empty cursor for 0.
    cursor: random => (random.oneIn(20) ? random.pick(["abc", "1.5", "0x", "99999999999999999999999"]) : "0"),
    type: random => random.pick(["string", "hash", "SET", "zset", "list", "stream"]),
    badcount: random => random.pick(["0", "-1", "x", "1.5", "99999999999999999999"]),
  },
  looser: { SCAN: { scan: true } },
  spoilOneIn: 0,
  otherTypes: false,
})
