import { oracleFamily } from "../support/oracle-family.ts"

/** Small and large values under few keys; of the types whose encodings are what they were in 7.0. */
const writing = {
  "SET key value": 4,
  "SET key int": 2,
  "HSET key (field value)...": 3,
  "EXPIRE key seconds": 2,
}
const writingMore = {
  "SADD key member...": 2,
  "RPUSH key value...": 2,
  "ZADD key (score member)...": 2,
  "XADD key ('1-1'|'2-1'|'3-1') field value": 1,
}

oracleFamily("keys", {
  commands: {
    ...writing,
    "DEL key...": 3,
    "UNLINK key...": 3,
    "EXISTS key...": 4,
    "TOUCH key...": 3,
    "TYPE key": 3,
    "KEYS pattern": 3,
    RANDOMKEY: 1,
    DBSIZE: 3,
    "RENAME key key": 5,
    "RENAMENX key key": 5,
    "OBJECT ENCODING key": 3,
    "OBJECT REFCOUNT key": 3,
    "OBJECT IDLETIME nokey": 1,
    "OBJECT FREQ key": 1,
  },
  looser: { KEYS: { unordered: true }, RANDOMKEY: { sameShape: true } },
  finalState: "encodings",
  otherTypes: false,
})

oracleFamily("keys and databases", {
  commands: {
    ...writing,
    ...writingMore,
    "DEL key": 2,
    DBSIZE: 3,
    "COPY key key [DB database] [REPLACE]": 10,
    "COPY key key [REPLACE] [DB database]": 2,
    "MOVE key database": 6,
    "SELECT (0|1|2)": 3,
    "SWAPDB database database": 2,
    "LPOP key": 1,
    "HDEL key field": 1,
    "ZPOPMIN key": 1,
    "SORT key ALPHA STORE key": 1,
    "FLUSHDB [ASYNC|SYNC]": 1,
    "FLUSHALL [ASYNC|SYNC]": 1,
    "KEYS '*'": 2,
  },
  words: {
    database: random =>
      random.oneIn(12)
        ? random.pick(["-1", "16", "x", "", "2147483648", "-2147483649", "99999999999999999999"])
        : String(random.below(3)),
  },
  looser: { KEYS: { unordered: true }, ZPOPMIN: { doubles: true } },
  otherTypes: false,
})
