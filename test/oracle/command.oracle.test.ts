import { createServer } from "../../src/index.ts"
import { oracleFamily } from "../support/oracle-family.ts"

/** Calls with keys in all places there are; of some the arguments are wrong. */
const calls = `
  GET key
  GET value value value
  SET key
  MSET key
  BITOP AND
  ZUNIONSTORE key
  EVAL 'x'
  LMPOP 1
  XREADGROUP GROUP 'g' 'c' STREAMS
  SET key value [NX] [GET] [EX seconds]
  MGET key...
  MSET (key value)...
  MSETNX (key value)...
  GETEX key
  APPEND key value
  SETRANGE key offset value
  LCS key key
  SETBIT key bit binary
  BITOP AND key key...
  BITOP NOT key key
  BITFIELD key GET 'u8' 0
  BITFIELD key SET 'u8' 0 1
  BITFIELD_RO key GET 'u8' 0
  PFADD key member...
  PFCOUNT key...
  PFMERGE key key...
  LPUSH key value...
  LMOVE key key LEFT RIGHT
  RPOPLPUSH key key
  BLPOP key... 0
  BRPOPLPUSH key key 0
  LMPOP count key... LEFT
  LMPOP 2 key key LEFT
  BLMPOP 0 count key... LEFT
  BLMPOP 0 2 key key LEFT
  BLMOVE key key LEFT RIGHT 0
  SADD key member...
  SMOVE key key member
  SINTER key...
  SINTERCARD count key...
  SINTERCARD 2 key key LIMIT 1
  SINTERSTORE key key...
  SUNIONSTORE key key...
  ZADD key score member
  ZUNIONSTORE key count key...
  ZUNIONSTORE key 2 key key
  ZINTERSTORE key 2 key key WEIGHTS 1 2
  ZDIFFSTORE key 1 key
  ZUNION 2 key key
  ZINTER count key...
  ZINTERCARD 1 key
  ZRANGESTORE key key 0 -1
  ZMPOP 2 key key MIN
  BZMPOP 0 2 key key MIN
  BZPOPMIN key... 0
  ZDIFF count key...
  GEOADD key 1 2 member
  GEORADIUS key 1 2 3 'm' [STORE key] [STOREDIST key]
  GEORADIUSBYMEMBER key member 3 'm' [STORE key]
  GEOSEARCHSTORE key key FROMMEMBER member BYRADIUS 1 'm'
  XADD key '*' field value
  XREAD [COUNT 1] STREAMS key key 0 0
  XREAD STREAMS key
  XREAD STREAMS key 0
  XREADGROUP GROUP 'g' 'c' STREAMS key key '>' '>'
  XGROUP CREATE key 'g' 0
  XINFO STREAM key
  XPENDING key 'g'
  HSET key field value
  HMGET key field...
  DEL key...
  UNLINK key...
  EXISTS key...
  TOUCH key...
  RENAME key key
  COPY key key
  MOVE key 1
  OBJECT ENCODING key
  MEMORY USAGE key
  SORT key [STORE key] [BY pattern]
  SORT key [GET pattern]... [STORE key] [STORE key]
  SORT_RO key [BY pattern] [GET pattern]
  DUMP key
  RESTORE key 0 value
  MIGRATE 'h' 1 key 0 100
  MIGRATE 'h' 1 '' 0 100 [COPY] KEYS key...
  MIGRATE 'h' 1 key 0 100 KEYS key
  WATCH key...
  EVAL 'x' count key...
  EVAL 'x' 2 key key value
  EVALSHA 'x' 1 key
  FCALL 'f' 2 key key
  FCALL_RO 'f' count key...
  EVAL 'x' 0
  EVAL_RO 'x' 1 key
  PUBLISH value value
  SUBSCRIBE value
  SPUBLISH value value
  SSUBSCRIBE value...
  PING value
  SELECT 0
  CLIENT KILL value
  CONFIG GET value
  CONFIG garbage value
  DEBUG OBJECT key
  garbage value
  EXPIRE key 1 [NX]
  PERSIST key
  SCAN 0
  KEYS pattern
  WAIT 0 0
  XSETID key '1-1'
  XCLAIM key 'g' 'c' 0 '1-1'
`
  .trim()
  .split(/\s*\n\s*/)

oracleFamily("keys of commands", {
  commands: [
    ...calls.map(call => [`COMMAND GETKEYS ${call}`, 3] as const),
    // 7.0 says of SINTERSTORE that it reads what it overwrites.
    ...calls
      .filter(call => !call.startsWith("SINTERSTORE"))
      .map(call => [`COMMAND GETKEYSANDFLAGS ${call}`, 1] as const),
    ["COMMAND INFO garbage", 1],
    ["COMMAND DOCS garbage", 1],
    ["COMMAND garbage", 1],
    ["COMMAND LIST FILTERBY (MODULE|ACLCAT|PATTERN|garbage) 'nosuch'", 1],
  ],
  otherTypes: false,
  // A number of keys like "+1" or "1x" is 1 for Redis when it looks for keys.
  words: { count: random => random.pick(["0", "1", "2", "3", "-1", "x", "", "100000"]) },
  spoilOneIn: 0,
})

oracleFamily("what servers say of themselves", {
  commands: {
    "SET key value": 3,
    "SET key int": 1,
    "HSET key field value": 2,
    "ZADD key score member": 2,
    "DEL key": 2,
    "OBJECT ENCODING key": 4,
    "OBJECT REFCOUNT key": 2,
    "OBJECT (IDLETIME|FREQ) (key|nokey)": 3,
    "OBJECT garbage [key]": 1,
    "MEMORY USAGE key [SAMPLES (count|value)]": 4,
    "MEMORY garbage [key]": 1,
    "SLOWLOG GET [count|index]": 2,
    "SLOWLOG (LEN|RESET|garbage)": 2,
    "LATENCY (HISTORY|GRAPH) value": 1,
    "LATENCY RESET [value]...": 1,
    "LATENCY (LATEST|garbage)": 1,
    "DEBUG OBJECT key": 1,
    "DEBUG SET-ACTIVE-EXPIRE (0|1)": 0.5,
    "DEBUG garbage [value]": 1,
    "DEBUG PROTOCOL ('string'|'integer'|'double'|'null'|'array'|'set'|'map'|'verbatim'|'true'|'false'|'bignum'|garbage)": 1,
    "INFO (value|'nosuch'|'server'|'commandstats')...": 1,
    DBSIZE: 2,
    "TYPE key": 2,
    "LOLWUT VERSION 1": 0.2,
  },
  prepare: [
    ["CONFIG", "SET", "slowlog-log-slower-than", "-1"],
    ["SLOWLOG", "RESET"],
    ["LATENCY", "RESET"],
  ],
  looser: {
    "MEMORY USAGE": { sameShape: true },
    "DEBUG OBJECT": { sameShape: true },
    INFO: { sameShape: true },
    LOLWUT: { ignore: true },
    "OBJECT IDLETIME": { sameShape: true },
  },
  otherTypes: false,
  // What is spoilt could sleep, crash or end the server, which DEBUG is there for.
  mayBeSpoilt: ([name]) => !["DEBUG", "LOLWUT"].includes(String(name).toUpperCase()),
  subject: () => createServer({ port: 0, config: { "enable-debug-command": "yes" } }),
})
