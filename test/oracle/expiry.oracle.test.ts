import { oracleFamily } from "../support/oracle-family.ts"

oracleFamily("expiry", {
  commands: {
    "SET key value": 6,
    "SET key value EX seconds": 2,
    "HSET key field value": 2,
    "DEL key": 1,
    "EXPIRE key seconds [NX|XX|GT|LT]": 5,
    "PEXPIRE key milliseconds [NX|XX|GT|LT]": 5,
    "EXPIREAT key timestamp [NX|XX|GT|LT]": 5,
    "PEXPIREAT key timestampms [NX|XX|GT|LT]": 5,
    "EXPIREAT key timestamp (NX|XX|GT|LT)...": 2,
    "TTL key": 3,
    "PTTL key": 3,
    "EXPIRETIME key": 3,
    "PEXPIRETIME key": 3,
    "PERSIST key": 3,
    "EXISTS key": 1,
    "RENAME key key": 1,
    "COPY key key": 1,
  },
  // The two servers read the clock at different moments.
  looser: { TTL: { approx: 5 }, PTTL: { approx: 5000 }, EXPIRETIME: { approx: 5 }, PEXPIRETIME: { approx: 5000 } },
  otherTypes: false,
})
