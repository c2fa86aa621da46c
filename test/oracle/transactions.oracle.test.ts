import { oracleClients } from "../support/oracle-clients.ts"

const data = {
  "SET key value [NX|XX] [GET] [EX seconds|KEEPTTL]": 5,
  "GET key": 4,
  "INCR key": 2,
  "APPEND key value": 1,
  "DEL key...": 2,
  "LPUSH key value...": 2,
  "LPOP key [count]": 2,
  "SADD key member...": 2,
  "SREM key member...": 1,
  "HSET key field value": 2,
  "HDEL key field...": 1,
  "ZADD key score member": 2,
  "XADD key '1-*' field value": 1,
  "RENAME key key": 1,
  "COPY key key [REPLACE]": 1,
  "EXPIRE key seconds": 2,
  "PEXPIREAT key timestampms": 1,
  "PERSIST key": 1,
  "SORT key ALPHA [STORE key]": 0.5,
  "FLUSHDB [ASYNC|SYNC]": 0.1,
  FLUSHALL: 0.1,
  "EXISTS key...": 1,
}

const transactions = {
  MULTI: 8,
  EXEC: 6,
  DISCARD: 1,
  "WATCH key...": 6,
  UNWATCH: 1,
  "NOSUCH value": 0.3,
  "WATCH key ; MULTI ; SET key value ; EXEC": 1,
  PING: 0.5,
  "ECHO value": 0.5,
  RESET: 0.1,
  "OBJECT ENCODING nokey": 0.3,
  "CLIENT SETNAME field": 0.2,
  "CLIENT GETNAME": 0.2,
}

const looser = { EXEC: { doubles: true } } as const

oracleClients("transactions", { commands: { ...data, ...transactions }, looser })

oracleClients("transactions, databases", {
  commands: {
    ...data,
    ...transactions,
    "SELECT (0|1|0|1|16)": 3,
    "SWAPDB (0|1) (0|1)": 0.5,
    "MOVE key (0|1)": 2,
    "COPY key key DB (0|1) [REPLACE]": 1,
  },
  looser,
})
