import { describe, test } from "bun:test"
import { Client } from "../support/client.ts"
import { compareText } from "../support/compare.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"
import { oracleFamily } from "../support/oracle-family.ts"
import { startSubject } from "../support/subject.ts"
import type { Word } from "../support/words.ts"

const words: Record<string, Word> = {
  id: random => String(random.between(-15, 15)),
  number: random =>
    random.oneIn(20)
      ? random.pick(["", " 7", "1e3", "0x10", "inf", "-inf", "-0", "1.50", "9007199254740993", "007", "+4"])
      : String(random.between(-40, 40) / random.pick([1, 1, 2, 4])),
  name: random => random.pick(["a", "b", "ab", "B", "aa", "é", "10", "9", ""]) + random.below(5),
  list: random => random.pick(["l1", "l2"]),
  /** A set is told apart because unsorted it has no order. */
  set: () => "s1",
  zset: () => "z1",
  target: random => random.pick(["d1", "l2"]),
  any: random => random.pick(["l1", "l2", "s1", "z1", "d1"]),
  weightkey: random => "w_" + random.between(-15, 15),
  hashkey: random => "h_" + random.between(-15, 15),
  pattern: random => random.pick(["w_*", "h_*->f", "h_*->g", "nokey_*", "w_*->", "w_*->f"]),
  get: random => random.pick(["#", "w_*", "h_*->f", "h_*->g", "nokey_*", "constant", "h_*->", "*"]),
  from: random => String(random.between(-3, 12)),
  size: random => String(random.between(-3, 12)),
}

/** Weights are numbers, and elements of the same weight differ: so the order is defined. */
oracleFamily("sort by number", {
  commands: {
    "RPUSH list id...": 6,
    "RPUSH list number...": 1,
    "SADD set id...": 4,
    "ZADD zset (number id)...": 2,
    "SET weightkey number": 8,
    "SET weightkey name": 1,
    "HSET hashkey ('f'|'g' number)...": 6,
    "DEL (any|weightkey|hashkey)": 4,
    "SORT (list|zset) [BY pattern|'nosort'] [LIMIT from size] [GET get]... [ASC|DESC] [STORE target]": 9,
    "SORT set [BY pattern] [LIMIT from size] [GET get]... [ASC|DESC] [STORE target]": 3,
    "SORT_RO (list|zset|set) [BY pattern] [LIMIT from size] [GET get]... [ASC|DESC] [STORE target]": 4,
    "SORT nokey [STORE target]": 1,
    "SORT weightkey": 1,
    "LRANGE target 0 -1": 2,
  },
  words,
  spoilOneIn: 40,
  otherTypes: false,
  // A set is walked in another order than Redis's, and so are the keys its members name.
  events: { except: ["keymiss"] },
})

oracleFamily("sort by text", {
  commands: {
    "RPUSH list name...": 6,
    "SADD set name...": 4,
    "DEL any": 2,
    "SORT (list|set|nokey) [LIMIT from size] ALPHA [GET get]... [ASC|DESC] [STORE target]": 12,
    "SORT set BY 'nosort' [LIMIT from size] STORE target": 2,
    "SORT_RO (list|set) ALPHA [LIMIT from size] [GET get]... [ASC|DESC]": 4,
    "LRANGE target 0 -1": 2,
  },
  words,
  spoilOneIn: 40,
  otherTypes: false,
  // A set is walked in another order than Redis's, and so are the keys its members name.
  events: { except: ["keymiss"] },
})

const cases = `
  RPUSH l 3 1 2 1.0 1 -1 10
  SORT l
  SORT l DESC
  SORT l ALPHA
  SORT l LIMIT 1 2
  SORT l LIMIT 5 100
  SORT l LIMIT 100 5
  SORT l LIMIT -5 3
  SORT l LIMIT 0 0
  SORT l LIMIT 0 -1
  SORT l LIMIT a 1
  SORT l LIMIT 1
  SORT l BY
  SORT l GET
  SORT l STORE
  SORT l WHATEVER
  SORT_RO l STORE x
  MSET w1 3 w2 2 w3 1
  SORT l BY w* GET # GET w*
  SORT l BY w* DESC ALPHA LIMIT 0 3
  SORT l BY nosort
  SORT l BY nosort DESC
  SORT l BY nosort DESC LIMIT 1 3
  SORT l BY nosort LIMIT 2 3 STORE d
  LRANGE d 0 -1
  OBJECT ENCODING nokey
  SORT l GET # GET nokey* STORE d
  LRANGE d 0 -1
  EXPIRE d 1000
  SORT l STORE d
  TTL d
  SORT nokey STORE d
  EXISTS d
  HSET h1 f 5 g x
  HSET h2 f 4
  SORT l BY h*->f GET h*->f GET h*->g
  SORT l BY h*->g
  RPUSH words apple Banana cherry "" apple2
  SORT words
  SORT words ALPHA
  SORT words ALPHA DESC
  SORT words BY nosort GET w*
  ZADD z 1 c 2 b 3 a
  SORT z BY nosort
  SORT z BY nosort DESC
  SORT z BY nosort LIMIT 0 2
  SORT z BY nosort DESC LIMIT 1 5
  SORT z ALPHA
  SADD s c a b
  SORT s BY nosort STORE d
  LRANGE d 0 -1
  SORT s ALPHA STORE s
  LRANGE s 0 -1
  SET str x
  SORT str
  SORT
`

describe("oracle: sort, by hand", () => {
  for (const resp of [2, 3] as const) {
    test.skipIf(!oracleAvailable)(`RESP${resp}`, async () => {
      await using subject = await startSubject()
      await using ours = await Client.connect(subject.port, { resp })
      await using oracle = await Client.connect((await sharedOracle()).port, { resp })
      await compareText(ours, oracle, cases)
    })
  }
})
