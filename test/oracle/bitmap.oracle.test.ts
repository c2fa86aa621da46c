import { oracleFamily } from "../support/oracle-family.ts"
import type { Word } from "../support/words.ts"

const type =
  "('u1'|'u2'|'u7'|'u8'|'u31'|'u32'|'u33'|'u53'|'u63'|'i1'|'i2'|'i8'|'i16'|'i32'|'i53'|'i54'|'i63'|'i64'|garbage)"
const place = "(bit|bit|bit|bit|'#0'|'#1'|'#3'|oddplace)"

/** Positions in a BITFIELD that count in its type and are wrong, or too high. */
const oddplace: Word = random => random.pick(["#", "#-1", "#x", "#1.5", "#9223372036854775807", "0#1", "##1"])

const writing = {
  "SETBIT key bit binary": 8,
  "BITOP (AND|OR|XOR) key key...": 6,
  "BITOP NOT key key": 3,
  [`BITFIELD key GET ${type} ${place}`]: 3,
  [`BITFIELD key [OVERFLOW (WRAP|SAT|FAIL|WRAP|SAT|FAIL|garbage)] (SET ${type} ${place} int)...`]: 6,
  [`BITFIELD key [OVERFLOW (WRAP|SAT|FAIL)] (INCRBY ${type} ${place} int)...`]: 6,
  [`BITFIELD key SET ${type} ${place} int GET ${type} ${place} OVERFLOW SAT INCRBY ${type} ${place} int`]: 3,
  [`BITFIELD_RO key [GET ${type} ${place}] [SET 'u8' '0' '1']`]: 3,
  "APPEND key value": 2,
}

/** A position in bytes or bits that is a number. */
const position: Word = random =>
  String(random.oneIn(20) ? random.pick([-4294967296, 4294967296]) : random.between(-99, 99))

oracleFamily("bitmap", {
  commands: {
    ...writing,
    "GETBIT key bit": 4,
    "SET key value": 4,
    "GET key": 3,
    "DEL key": 2,
    "HSET sharedkey (field value)...": 2,
    "DEL sharedkey": 2,
  },
  words: { oddplace },
  otherTypes: false,
  finalState: "encodings",
})

// 7.0 looks at the key before the arguments, so bad ones are tried on strings that exist.
oracleFamily("bitmap ranges", {
  commands: {
    "BITCOUNT key": 3,
    "BITPOS key binary": 3,
    "BITCOUNT key position position [BYTE|BIT]": 6,
    "BITPOS key ('0'|'1') position [position [BYTE|BIT]]": 8,
    "SETBIT key bit ('0'|'1')": 8,
    "SET key value": 3,
    "DEL key": 1,
  },
  words: { position },
  spoilOneIn: 0,
  otherTypes: false,
})

oracleFamily("bitmap ranges, bad arguments", {
  // As 7.4, the key is looked for when the range is in order.
  lookups: false,
  commands: {
    "BITCOUNT key count [count [BYTE|BIT|garbage [garbage]]]": 6,
    "BITPOS key binary count [count [BYTE|BIT|garbage [garbage]]]": 8,
  },
  words: { key: random => random.pick(["long", "short", "empty"]) },
  prepare: [
    ["SET", "long", "\x00\x00\x00\xff".repeat(20)],
    ["SET", "short", "\x00\xff\x0f"],
    ["SET", "empty", ""],
  ],
  spoilOneIn: 0,
  otherTypes: false,
})
