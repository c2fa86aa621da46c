import { createServer } from "../../src/index.ts"
import type { Command } from "../support/command.ts"
import { oracleFamily } from "../support/oracle-family.ts"
import type { Word } from "../support/words.ts"

const writing = {
  "PFADD key member...": 8,
  "PFADD key element...": 8,
  "PFADD key": 1,
  "PFMERGE key key...": 4,
  "PFMERGE key": 1,
  "SET key value": 1,
  "HSET sharedkey (field value)...": 2,
  "DEL sharedkey": 2,
  "DEL key": 1,
}
const reading = {
  "PFCOUNT key": 5,
  "PFCOUNT key...": 4,
  "PFDEBUG (ENCODING|DECODE|TODENSE|garbage) key": 2,
  "PFDEBUG (ENCODING|DECODE|TODENSE|GETREG) key garbage": 0.2,
  "STRLEN key": 2,
  "GET key": 2,
}

/** So many that sparse forms grow large. */
const element: Word = random => "e" + random.below(100_000)

function sparse(bytesMax: number) {
  const prepare: Command[] = [["CONFIG", "SET", "hll-sparse-max-bytes", String(bytesMax)]]
  return {
    words: { element },
    otherTypes: false,
    subject: () => createServer({ port: 0, config: { "hll-sparse-max-bytes": bytesMax } }),
    prepare,
  }
}

oracleFamily("hyperloglog", { commands: { ...writing, ...reading }, ...sparse(3000) })
oracleFamily("hyperloglog, soon dense", {
  commands: { ...writing, ...reading, "PFDEBUG GETREG key": 0.1 },
  ...sparse(60),
})

/** Headers that are not what PFADD wrote. What comes of registers that are not, nobody says. */
oracleFamily("hyperloglog, damaged", {
  commands: {
    ...writing,
    ...reading,
    "SETRANGE key place byte": 3,
    "SETRANGE key '4' unknown": 0.5,
    "SET key header": 2,
    "PFDEBUG TODENSE key": 1,
  },
  // What is spoilt could damage the registers.
  mayBeSpoilt: ([name]) => !["SET", "SETRANGE"].includes(String(name).toUpperCase()),
  ...sparse(3000),
  words: {
    element,
    byte: random => Uint8Array.of(random.pick([0, 1, 2, 72, 128, 255])),
    // Not the encoding: the registers would be read as what they are not.
    place: random => String(random.oneIn(3) ? random.below(4) : random.between(5, 15)),
    unknown: random => Uint8Array.of(random.pick([2, 3, 255])),
    header: random => {
      const [magic, encoding] = [random.pick(["HYLL", "HYLL", "HYLL", "hyll"]), random.pick([0, 1, 1, 1, 2, 255])]
      // One opcode for registers that are all zero, or nothing.
      const registers = random.oneIn(4) ? [] : [0x7f, 0xff]
      return Buffer.from([...Buffer.from(magic), encoding, 0, 0, 0, ...random.bytes(8), ...registers])
    },
  },
})
