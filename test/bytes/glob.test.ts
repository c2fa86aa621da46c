import { expect, test } from "bun:test"
import { latin1Bytes } from "../../src/bytes/compare.ts"
import { globMatch } from "../../src/bytes/glob.ts"
import { Prng } from "../../src/bytes/prng.ts"

const SUBJECTS = [
  "",
  "a",
  "b",
  "ab",
  "abc",
  "aXc",
  "a]c",
  "a-c",
  "*",
  "a*c",
  "\\",
  "]",
  "[",
  "-",
  "^",
  "a\\",
  "hello",
  "hallo",
  "hxllo",
  "heello",
  "aaaaaaaaaaaaaaaaaaaaaaaab",
  "aaaaaaaaaaaaaaaaaaaaaaaaaa",
  "\x80",
  "\xff",
  "[a",
  "x.y.z",
]

/** For each pattern the subjects that KEYS of Redis 7.0.15 returned from a database of exactly those keys. */
const KEYS_REPLIES: [pattern: string, matches: string[]][] = [
  [
    "**",
    [
      "a",
      "b",
      "ab",
      "abc",
      "aXc",
      "a]c",
      "a-c",
      "*",
      "a*c",
      "\\",
      "]",
      "[",
      "-",
      "^",
      "a\\",
      "hello",
      "hallo",
      "hxllo",
      "heello",
      "aaaaaaaaaaaaaaaaaaaaaaaab",
      "aaaaaaaaaaaaaaaaaaaaaaaaaa",
      "\x80",
      "\xff",
      "[a",
      "x.y.z",
    ],
  ],
  ["?", ["a", "b", "*", "\\", "]", "[", "-", "^", "\x80", "\xff"]],
  ["??", ["ab", "a\\", "[a"]],
  ["a", ["a"]],
  [
    "a*",
    ["a", "ab", "abc", "aXc", "a]c", "a-c", "a*c", "a\\", "aaaaaaaaaaaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaaaaaaaaaaaa"],
  ],
  ["*c", ["abc", "aXc", "a]c", "a-c", "a*c"]],
  ["a*c", ["abc", "aXc", "a]c", "a-c", "a*c"]],
  ["a?c", ["abc", "aXc", "a]c", "a-c", "a*c"]],
  ["*b*", ["b", "ab", "abc", "aaaaaaaaaaaaaaaaaaaaaaaab"]],
  ["h?llo", ["hello", "hallo", "hxllo"]],
  ["h*llo", ["hello", "hallo", "hxllo", "heello"]],
  ["h[ae]llo", ["hello", "hallo"]],
  ["h[^e]llo", ["hallo", "hxllo"]],
  ["h[a-f]llo", ["hello", "hallo"]],
  ["h[f-a]llo", ["hello", "hallo"]],
  ["[a", ["a"]],
  ["[a-c", ["a", "b"]],
  ["[ab", ["a", "b"]],
  ["[^", ["a", "b", "*", "\\", "]", "[", "-", "^", "\x80", "\xff"]],
  ["[", []],
  ["[]", []],
  ["[]a]", []],
  ["[^]", ["a", "b", "*", "\\", "]", "[", "-", "^", "\x80", "\xff"]],
  ["[^]a]", []],
  ["[a-]", ["a", "]", "^"]],
  ["[-a]", ["a", "-"]],
  ["[a\\-c]", ["a", "-"]],
  ["[\\]]", ["]"]],
  ["a[\\]]c", ["a]c"]],
  ["\\", ["\\"]],
  ["\\\\", ["\\"]],
  ["a\\\\", ["a\\"]],
  ["\\*", ["*"]],
  ["\\[", ["["]],
  ["\\[a", ["[a"]],
  ["[*]", ["*"]],
  ["[?]", []],
  ["a\\*c", ["a*c"]],
  ["[\x80-\xff]", ["\x80", "\xff"]],
  ["[a-\xff]", ["a", "*", "\\", "]", "[", "-", "^", "\xff"]],
  ["[\xff-a]", ["a", "*", "\\", "]", "[", "-", "^", "\xff"]],
  ["[\x7f-\x80]", ["a", "b", "*", "\\", "]", "[", "-", "^", "\x80", "\xff"]],
  ["a*a*a*a*a*a*a*a*a*b", ["aaaaaaaaaaaaaaaaaaaaaaaab"]],
  ["a*a*a*a*a*a*a*a*c", []],
  [
    "*?*",
    [
      "a",
      "b",
      "ab",
      "abc",
      "aXc",
      "a]c",
      "a-c",
      "*",
      "a*c",
      "\\",
      "]",
      "[",
      "-",
      "^",
      "a\\",
      "hello",
      "hallo",
      "hxllo",
      "heello",
      "aaaaaaaaaaaaaaaaaaaaaaaab",
      "aaaaaaaaaaaaaaaaaaaaaaaaaa",
      "\x80",
      "\xff",
      "[a",
      "x.y.z",
    ],
  ],
  ["*.*.*", ["x.y.z"]],
  ["*\\", ["\\", "a\\"]],
  ["*[", []],
  ["x*[.]?", ["x.y.z"]],
  ["\x80", ["\x80"]],
  ["[^a]", ["b", "*", "\\", "]", "[", "-", "^", "\x80", "\xff"]],
  ["[^a-z]", ["*", "\\", "]", "[", "-", "^", "\x80", "\xff"]],
  ["]", ["]"]],
  ["-", ["-"]],
  ["[+--]", ["-"]],
  ["[*-,]", ["*"]],
]

/** Matches with other bytes just outside both ranges, which must not be seen. */
function matches(pattern: string, subject: string, nocase = false): boolean {
  const p = latin1Bytes(`]${pattern}]*`)
  const s = latin1Bytes(`a${subject}a`)
  return globMatch(p, 1, 1 + pattern.length, s, 1, 1 + subject.length, nocase)
}

test("agrees with KEYS of a real server", () => {
  for (const [pattern, expected] of KEYS_REPLIES) {
    expect([pattern, SUBJECTS.filter(subject => matches(pattern, subject))]).toEqual([pattern, expected])
  }
})

test("the empty subject matches the empty pattern only", () => {
  expect(matches("", "")).toBe(true)
  expect(matches("*", "")).toBe(false)
  expect(matches("", "a")).toBe(false)
  expect(matches("*", "a")).toBe(true)
})

test("ignoring case", () => {
  expect(matches("HeL*O", "hello", true)).toBe(true)
  expect(matches("HeL*O", "hello", false)).toBe(false)
  expect(matches("[A-C]x", "bX", true)).toBe(true)
  expect(matches("[ABC]", "b", true)).toBe(true)
  expect(matches("[^ABC]", "b", true)).toBe(false)
  // An escaped byte in a class keeps its case; outside a class it does not.
  expect(matches("[\\A]", "a", true)).toBe(false)
  expect(matches("\\A", "a", true)).toBe(true)
  // The ends are put in order before they are folded: B to _ becomes b to _, which holds nothing.
  expect(matches("[_-B]", "a", true)).toBe(false)
})

/** Backtracking straight from the definition, for literals, "?" and "*". */
function reference(pattern: string, subject: string): boolean {
  if (pattern === "") return subject === ""
  if (pattern[0] === "*") {
    return reference(pattern.slice(1), subject) || (subject !== "" && reference(pattern, subject.slice(1)))
  }
  if (subject === "" || (pattern[0] !== "?" && pattern[0] !== subject[0])) return false
  return reference(pattern.slice(1), subject.slice(1))
}

test("random stars agree with plain backtracking", () => {
  const seed = 77
  const random = new Prng(seed)
  const word = (letters: string, length: number) =>
    Array.from({ length }, () => letters[random.nextBelow(letters.length)]!).join("")
  for (let round = 0; round < 20000; round++) {
    const pattern = word("ab?**", random.nextBelow(8))
    const subject = word("ab", 1 + random.nextBelow(8))
    expect([seed, pattern, subject, matches(pattern, subject)]).toEqual([
      seed,
      pattern,
      subject,
      reference(pattern, subject),
    ])
  }
})

test("many stars take polynomial time", () => {
  const subject = "a".repeat(5000)
  expect(matches("a*".repeat(2000) + "b", subject)).toBe(false)
  expect(matches("a*".repeat(2000) + "a", subject)).toBe(true)
})
