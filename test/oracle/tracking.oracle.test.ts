import { oracleClients } from "../support/oracle-clients.ts"

const data = {
  "GET key": 6,
  "MGET key...": 2,
  "HGETALL key": 1,
  "LRANGE key 0 -1": 1,
  "SET key value [NX|XX] [GET]": 6,
  "DEL key...": 2,
  "LPUSH key value": 1,
  "HSET key field value": 1,
  "RENAME key key": 1,
  "EXPIRE key seconds": 1,
  "PEXPIREAT key timestampms": 0.5,
  "MULTI ; SET key value ; GET key ; EXEC": 0.5,
  FLUSHALL: 0.1,
  FLUSHDB: 0.1,
}

oracleClients("tracking", {
  commands: {
    ...data,
    "CLIENT TRACKING ON [OPTIN|OPTOUT] [NOLOOP]": 1,
    "CLIENT TRACKING ON BCAST [PREFIX ('k'|'k1'|'x'|'')] [PREFIX ('k2'|value)] [NOLOOP]": 1,
    "CLIENT TRACKING OFF": 0.5,
    "CLIENT TRACKING (ON|OFF|garbage) [BCAST|OPTIN|OPTOUT|NOLOOP|garbage]...": 0.5,
    "CLIENT CACHING (YES|NO)": 1,
    "CLIENT TRACKINGINFO": 1,
    "CLIENT GETREDIR": 0.5,
    RESET: 0.1,
  },
  resp: [3],
  // Somebody tracks all the time: when nobody does, the keys remembered are forgotten here.
  prepare: [
    ["HELLO", "3"],
    ["CLIENT", "TRACKING", "ON", "OPTIN"],
  ],
  looser: { "CLIENT TRACKINGINFO": { unordered: true }, HGETALL: { unordered: true } },
})
