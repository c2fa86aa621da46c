import type { LooserTable } from "../support/compare.ts"
import { oracleFamily } from "../support/oracle-family.ts"

/** Times to live are told by two clocks. */
const looser: LooserTable = {
  TTL: { approx: 2 },
  PTTL: { approx: 2000 },
}

oracleFamily("string", {
  commands: {
    "GET key": 4,
    "SET key value": 8,
    "SET key value [NX|XX] [GET]": 3,
    "SET key value (EX seconds|PX milliseconds|EXAT timestamp|PXAT timestampms|KEEPTTL) [NX|XX] [GET]": 6,
    "SET key value (NX|XX|GET|KEEPTTL|EX seconds|PX milliseconds|EXAT timestamp|PXAT timestampms|PERSIST)...": 2,
    "GETSET key value": 2,
    "GETDEL key": 2,
    "GETEX key [EX seconds|PX milliseconds|EXAT timestamp|PXAT timestampms|PERSIST]": 4,
    "GETEX key (EX seconds|PX milliseconds|EXAT timestamp|PXAT timestampms|PERSIST|KEEPTTL)...": 1,
    "SETEX key seconds value": 2,
    "PSETEX key milliseconds value": 2,
    "SETNX key value": 2,
    "MGET key...": 3,
    "MSET (key value)...": 3,
    "MSETNX (key value)...": 2,
    "APPEND key value": 5,
    "STRLEN key": 3,
    "GETRANGE key index index": 5,
    "SUBSTR key index index": 2,
    "SETRANGE key offset value": 5,
    "INCR key": 4,
    "DECR key": 4,
    "INCRBY key int": 4,
    "DECRBY key int": 4,
    "INCRBYFLOAT key double": 5,
    "SET key int": 6,
    "SET key double": 2,
    "LCS key key (LEN|IDX|WITHMATCHLEN|MINMATCHLEN int|LEN)...": 1,
    "LCS key key [LEN] [IDX] [MINMATCHLEN small] [WITHMATCHLEN]": 4,
    "TTL key": 1,
    "PTTL key": 1,
    "OBJECT ENCODING key": 3,
    "HSET sharedkey (field value)...": 2,
    "DEL sharedkey": 2,
    "DEL key": 3,
  },
  looser,
  otherTypes: false,
  finalState: "encodings",
})
