import { oracleFamily } from "../support/oracle-family.ts"

oracleFamily("hyperloglog", {
  commands: {
    "PFADD key member...": 12,
    "PFADD key": 1,
    "PFCOUNT key": 5,
    "PFCOUNT key...": 4,
    "PFMERGE key key...": 4,
    "PFMERGE key": 1,
    "PFDEBUG (ENCODING|DECODE|TODENSE|garbage) key": 2,
    "STRLEN key": 2,
    "GET key": 2,
    "SET key value": 1,
    "HSET sharedkey (field value)...": 2,
    "DEL sharedkey": 2,
    "DEL key": 2,
  },
  // Redis ends the name of an unknown subcommand at its first NUL.
  looser: { PFDEBUG: { errorCode: true } },
  otherTypes: false,
})
