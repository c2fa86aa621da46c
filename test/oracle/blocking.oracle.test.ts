import { oracleClients } from "../support/oracle-clients.ts"
import type { Word } from "../support/words.ts"

const side: Word = random => random.pick(["LEFT", "RIGHT"])
/** Kinds of keys that are mostly of one type. */
const list: Word = (random, profile) => (random.oneIn(15) ? "z1" : "l" + random.between(1, Math.min(4, profile.keys)))
const zset: Word = random => (random.oneIn(15) ? "l1" : "z" + random.between(1, 4))
const stream: Word = random => (random.oneIn(15) ? "l1" : "s" + random.between(1, 2))

/**
 * Keys that are never of another type, and of which only one gets something at a time (not so with SWAPDB, or as what BLMOVE feeds): of several keys
 * 7.0 looks only at one that has got something, 7.4 at all of them in the order of the command. What *STORE puts in the place of another type wakes nobody in either.
 */
const sound: Word = random => random.pick(["l3", "l4"])
const pure: Word = random => random.pick(["z3", "z4"])

// Whatever waits, waits until something comes, or until it is ended.
const lists = {
  "BLPOP sound... 0": 3,
  "BRPOP sound... 0": 3,
  "BLMOVE list ('l1'|'l2') side side 0": 3,
  "BRPOPLPUSH list ('l1'|'l2') 0": 2,
  "BLMPOP 0 ('1' list|'2' sound sound) side [COUNT small]": 3,
  "LPUSH list value...": 4,
  "RPUSH list value...": 4,
  "LPOP list [count]": 2,
  "LMOVE list list side side": 2,
  "RPOPLPUSH list list": 1,
  "LINSERT list BEFORE value value": 0.5,
  "LRANGE list 0 -1": 1,
  "MULTI ; RPUSH list value ; BLPOP list '0' ; EXEC": 0.5,
  "MULTI ; RPUSH list value value ; LPOP list ; EXEC": 1,
  "MULTI ; RPUSH 'l1' value ; DEL ('l1'|'l2') ; RPUSH ('l1'|'l2') value ; EXEC": 0.5,
  "SORT list ALPHA STORE sound": 0.3,
}
const zsets = {
  "BZPOPMIN (pure pure|zset) 0": 3,
  "BZPOPMAX (pure pure|zset) 0": 3,
  "BZMPOP 0 ('1' zset|'2' pure pure) (MIN|MAX) [COUNT small]": 3,
  "ZADD zset int member": 4,
  "ZINCRBY zset 1 member": 1,
  "ZPOPMIN zset": 1,
  "ZUNIONSTORE pure 2 zset zset": 0.5,
  "ZRANGESTORE pure zset 0 -1": 0.5,
  "GEOADD zset 1 2 member": 0.5,
  "MULTI ; ZADD zset 1 'a' 2 'b' ; ZREM zset 'a' ; EXEC": 1,
}
const keys = {
  "DEL (list|zset)...": 1,
  "RENAME ('l1'|'l2'|'z1'|'z2') ('l1'|'l2'|'z1'|'z2')": 1,
  "RENAME sound sound": 0.5,
  "RENAME pure pure": 0.5,
  "COPY (list|zset) ('l1'|'l2'|'z1'|'z2') [REPLACE]": 0.5,
  "SET ('l1'|'l2'|'z1'|'z2') value": 0.3,
  "MOVE list 1": 0.2,
  "SELECT (0|0|0|1)": 0.3,
  FLUSHALL: 0.1,
  "EXPIRE (list|zset) 100000": 0.3,
  "TYPE (list|zset)": 1,
}
const streams = {
  "XREAD [COUNT small] BLOCK 0 STREAMS stream ('$'|'0'|'5')": 3,
  "XREAD BLOCK 0 STREAMS 's1' 's2' ('$'|'0') ('$'|'5')": 2,
  "XREADGROUP GROUP 'g' ('alice'|'bob') [COUNT small] BLOCK 0 [NOACK] STREAMS stream '>'": 3,
  "XREADGROUP GROUP 'g' 'alice' BLOCK 0 STREAMS 's2' 's1' '>' '>'": 1,
  "XADD stream '5-*' field value": 4,
  "XADD stream '6-*' field value": 2,
  "XGROUP CREATE stream 'g' ('0'|'$') MKSTREAM": 2,
  "XGROUP DESTROY stream 'g'": 0.3,
  "XTRIM stream MAXLEN 1": 0.5,
  "XACK stream 'g' '5-0' '5-1'": 0.5,
  "XPENDING stream 'g'": 0.5,
}

const options = { clients: 5, words: { side, sound, pure, list, zset, stream, other: () => "other" }, spoilOneIn: 0 }

// Scores, which 7.0 prints with 17 digits.
const doubles = { doubles: true } as const

oracleClients("waiting for lists and sorted sets", {
  ...options,
  commands: { ...lists, ...zsets, ...keys },
  looser: { BZPOPMIN: doubles, BZPOPMAX: doubles, BZMPOP: doubles, ZPOPMIN: doubles, ZINCRBY: doubles, EXEC: doubles },
})
// Of streams that go away 7.0 says UNBLOCKED where 7.4 runs the command again, and of those that ran empty it gives nothing.
oracleClients("waiting for streams", {
  ...options,
  commands: { ...streams, "SET other value": 0.3, "TYPE stream": 1 },
  looser: { XPENDING: { approx: 2000 }, XREADGROUP: { errorCode: true } },
})
