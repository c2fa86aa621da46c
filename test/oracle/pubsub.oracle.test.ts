import type { Command } from "../support/command.ts"
import { oracleClients } from "../support/oracle-clients.ts"
import type { Word } from "../support/words.ts"

const channel: Word = random =>
  random.oneIn(20) ? random.pick(["", "with space", Uint8Array.of(0, 255), "*"]) : "c" + random.between(1, 4)
const glob: Word = random => random.pick(["*", "c?", "c1", "c[12]", "d*", "", "\\*", "__key*"])

/** Without channels they leave those they have, in any order. */
function counted(command: Command): boolean {
  return command.length === 1 && /^[PS]?UNSUBSCRIBE$/i.test(String(command[0]))
}

const messages = {
  "SUBSCRIBE channel...": 4,
  "UNSUBSCRIBE [channel...]": 2,
  "PSUBSCRIBE glob...": 3,
  "PUNSUBSCRIBE [glob...]": 2,
  "SSUBSCRIBE channel...": 2,
  "SUNSUBSCRIBE [channel...]": 1,
  "PUBLISH channel value": 12,
  "SPUBLISH channel value": 4,
  "PUBSUB CHANNELS [glob]": 2,
  "PUBSUB SHARDCHANNELS [glob]": 2,
  "PUBSUB NUMSUB channel...": 2,
  "PUBSUB SHARDNUMSUB channel...": 2,
  "PUBSUB NUMPAT": 2,
  "PUBSUB garbage [channel]": 0.3,
  "PING [value]": 2,
  "GET key": 1,
  RESET: 0.5,
}

oracleClients("messages", {
  commands: messages,
  words: { channel, glob },
  looser: { "PUBSUB CHANNELS": { unordered: true }, "PUBSUB SHARDCHANNELS": { unordered: true } },
  counted,
})

oracleClients("keyspace notifications", {
  commands: {
    "PSUBSCRIBE ('__keyevent@*__:*'|'__keyspace@0__:*'|'__key*')": 1,
    "PUNSUBSCRIBE ('__keyevent@*__:*'|'__keyspace@0__:*'|'__key*')": 0.5,
    "SUBSCRIBE ('__keyevent@0__:set'|'__keyspace@0__:k1'|'__keyevent@0__:del')": 1,
    "CONFIG SET 'notify-keyspace-events' ('KEA'|'K$lg'|'Ez'|'KEAmn'|'Elshtd'|''|'Kx'|'A')": 0.5,
    "SET key value": 4,
    "DEL key...": 2,
    "LPUSH key value": 2,
    "LPOP key": 1,
    "SADD key member": 2,
    "ZADD key score member": 2,
    "HSET key field value": 2,
    "XADD key '1-*' field value": 1,
    "EXPIRE key seconds": 2,
    "PEXPIREAT key timestampms": 1,
    "RENAME key key": 1,
    "COPY key key [REPLACE]": 1,
    RESET: 0.5,
  },
  prepare: [["CONFIG", "SET", "notify-keyspace-events", "KEA"]],
  mayBeSpoilt: ([name]) => String(name).toUpperCase() !== "CONFIG",
  counted,
})
