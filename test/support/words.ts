/**
 * The words command templates are written with: each draws one argument. Drawn from small pools on purpose, so that
 * commands meet each other's keys and members, with a share of boundary values and garbage.
 *
 * No word gives a value that makes a server allocate hundreds of megabytes (`offset` and `bit` are small or refused) or
 * that depends on the clock (`seconds` and friends are far in the future, past, or refused).
 */
import type { Arg } from "./command.ts"
import type { Random } from "./random.ts"

/** What varies from round to round: pool sizes, so that small and large encodings both get their turn. */
export interface Profile {
  keys: number
  members: number
  /** Longest ordinary value. */
  valueBytesMax: number
}

export type Word = (random: Random, profile: Profile) => Arg

export function drawProfile(random: Random): Profile {
  return {
    keys: random.pick([2, 4, 8]),
    members: random.pick([4, 10, 40, 1000]),
    valueBytesMax: random.pick([8, 20, 70, 300]),
  }
}

const weirdStrings: readonly Arg[] = [
  "",
  " ",
  "with space",
  "line\r\nbreak",
  "*",
  "a*[b]?\\c",
  "{tag}a",
  "{tag}b",
  "{}",
  "é漢字🎉",
  "-1",
  Uint8Array.of(0),
  Uint8Array.of(0, 255, 128, 10, 13),
  Uint8Array.of(255, 254, 253),
  "long:" + "x".repeat(200),
  "longer:" + "y".repeat(5000),
]

/** Not a 64-bit integer, though some look like one. */
export const notIntegers: readonly Arg[] = [
  ...["", "abc", "1.5", " 1", "1 ", "01", "+1", "-0", "1e3", "0x10", "--1", "-", "1\n", "१"],
  ...["9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999999"],
]

export const boundaryIntegers: readonly Arg[] = [
  ...["127", "128", "-128", "-129", "255", "256", "32767", "32768", "-32768", "-32769", "65535", "65536"],
  ...["8388607", "8388608", "-8388609", "2147483647", "2147483648", "-2147483648", "-2147483649"],
  ...["4294967295", "4294967296", "9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993"],
  ...["9223372036854775806", "9223372036854775807", "-9223372036854775807", "-9223372036854775808"],
]

const oddDoubles: readonly Arg[] = [
  ...["inf", "+inf", "-inf", "Infinity", "-INFINITY", "nan", "-nan", "1e400", "-1e400", "1e-400", "5e-324"],
  ...["1.7976931348623157e308", "3.0", "0x10", "0x1p3", "-0", "0.0", "-0.0", ".5", "5.", "1e5", "1E-5", "1e17", "1e21"],
  ...["0.1", "0.30000000000000004", "123456789012345678", "9007199254740993", "3.141592653589793238462643"],
  ...["", " 1", "1 ", "abc", "1e", "1.5x", "1,5", "--1", "+", "."],
]

const farFutureSeconds = 4_102_444_800 // the year 2100

function text(random: Random, profile: Profile): Arg {
  const length = random.between(0, profile.valueBytesMax)
  if (random.oneIn(4)) return random.bytes(length)
  const letter = random.pick(["a", "b", "z", "0", "é"])
  return letter.repeat(length)
}

function shared(random: Random): Arg {
  return "x" + random.between(1, 4)
}

function integer(random: Random): Arg {
  const draw = random.below(20)
  if (draw < 9) return String(random.between(-10, 10))
  if (draw < 14) return String(random.between(-1000, 100_000))
  return draw < 18 ? random.pick(boundaryIntegers) : random.pick(notIntegers)
}

/** Mostly one draw, rarely another: `rarely(random, 20, …)` is one in twenty. */
function rarely(random: Random, oneIn: number, otherwise: Arg, items: readonly Arg[]): Arg {
  return random.oneIn(oneIn) ? random.pick(items) : otherwise
}

export const words: Record<string, Word> = {
  /** The family's own keys; some keys shared with all types; a few weird ones. */
  key: (random, profile) => {
    const draw = random.below(32)
    if (draw < 28) return "k" + random.between(1, profile.keys)
    return draw < 31 ? shared(random) : random.pick(weirdStrings)
  },
  /** A key of which the type is anyone's guess. */
  sharedkey: random => shared(random),
  /** Never set by any other word. */
  nokey: random => "nokey" + random.between(1, 3),
  value: (random, profile) => {
    const draw = random.below(20)
    if (draw < 5) return "v" + random.between(1, 20)
    if (draw < 8) return integer(random)
    return draw < 19 ? text(random, profile) : random.pick(weirdStrings)
  },
  field: (random, profile) => rarely(random, 30, "f" + random.between(1, profile.members), weirdStrings),
  /** Half of the pool reads as an integer, so that sets of integers come up too. */
  member: (random, profile) =>
    random.oneIn(30) ? random.pick(weirdStrings) : (random.oneIn(4) ? "m" : "") + random.between(-3, profile.members),
  int: random => integer(random),
  /** Small and positive, rarely anything else. */
  small: random => rarely(random, 25, String(random.between(1, 20)), [...boundaryIntegers, ...notIntegers]),
  double: random =>
    random.oneIn(3) ? random.pick(oddDoubles) : String(random.between(-1000, 1000) / random.pick([1, 2, 8, 10, 1000])),
  score: random => rarely(random, 15, String(random.between(-20, 20) / random.pick([1, 1, 1, 2, 4])), oddDoubles),
  /** For ranges: -inf, +inf, and exclusive with `(`. */
  bound: random => {
    const draw = random.below(10)
    if (draw < 2) return random.pick(["-inf", "+inf", "inf"])
    if (draw === 9) return random.pick(["(", "(nan", "((1", "(inf", "(-inf", "", "x", "[1"])
    return (random.oneIn(3) ? "(" : "") + random.between(-22, 22) / random.pick([1, 1, 2])
  },
  /** For ranges by member: `-`, `+`, `[m`, `(m`. */
  lex: (random, profile) => {
    const draw = random.below(10)
    if (draw < 3) return random.pick(["-", "+"])
    if (draw === 9) return random.pick(["", "m", "[", "(", "--", "++", "[\xff", "((a"])
    return random.pick(["[", "("]) + (random.oneIn(4) ? "m" : "") + random.between(-3, profile.members)
  },
  /** For ranges by position; any 64-bit value is harmless there. */
  index: random => rarely(random, 12, String(random.between(-15, 15)), [...boundaryIntegers, ...notIntegers]),
  /** A non-negative count, rarely huge, negative or garbage. */
  count: random =>
    rarely(random, 12, String(random.between(0, 12)), ["-1", "2147483648", "4294967296", "-5", ...notIntegers]),
  /** A count that may be negative; never so negative that a reply of that many elements would be asked for. */
  signedcount: random =>
    rarely(random, 15, String(random.between(-12, 12)), ["2147483648", "100", "-100", ...notIntegers]),
  /** A byte offset: small, or refused. */
  offset: random =>
    rarely(random, 12, String(random.between(0, 120)), ["-1", "536870912", "4294967296", ...notIntegers]),
  /** A bit offset: small, or refused. */
  bit: random => rarely(random, 12, String(random.between(0, 600)), ["-1", "4294967296", "8589934592", ...notIntegers]),
  binary: random => rarely(random, 20, String(random.below(2)), ["2", "-1", "", "x"]),
  seconds: random =>
    rarely(random, 8, String(random.between(1000, 100_000)), [
      "0",
      "-1",
      "-100",
      ...boundaryIntegers.slice(-4),
      ...notIntegers,
    ]),
  milliseconds: random =>
    rarely(random, 8, String(random.between(1e6, 1e9)), [
      "0",
      "-1",
      "-100",
      ...boundaryIntegers.slice(-4),
      ...notIntegers,
    ]),
  /** Unix time. */
  timestamp: random =>
    rarely(random, 8, String(farFutureSeconds + random.below(1e6)), [
      "0",
      "1",
      "-1",
      ...boundaryIntegers.slice(-4),
      ...notIntegers,
    ]),
  timestampms: random =>
    rarely(random, 8, String(farFutureSeconds * 1000 + random.below(1e6)), [
      "0",
      "1",
      "-1",
      ...boundaryIntegers.slice(-4),
      ...notIntegers,
    ]),
  pattern: random =>
    random.pick([
      "*",
      "k*",
      "?1",
      "[kx]?",
      "f1*",
      "m?",
      "[^a]*",
      "*1*2*",
      "\\*",
      "[a-",
      "[",
      "",
      "k\\",
      "**",
      "x[1-3]",
    ]),
  /** 0, rarely garbage: any other cursor means what the server likes. */
  cursor: random => rarely(random, 20, "0", ["abc", "", "1.5", "0x", "99999999999999999999999"]),
  /** How long a blocking command waits in seconds, if anything waits. */
  wait: random => rarely(random, 8, "0.001", ["-1", "-0.1", "x", "", "1x", "nan", "-inf", " 1"]),
  garbage: random => random.pick([...weirdStrings, ...notIntegers]),
}
