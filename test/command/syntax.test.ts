import { describe, expect, test } from "bun:test"
import { type Argument, parseSyntax } from "../../src/command/syntax.ts"

const token = (name: string, more: Partial<Argument> = {}): Argument => ({
  name,
  type: "pure-token",
  token: name.toUpperCase(),
  ...more,
})

describe("argument notation", () => {
  test("no arguments", () => {
    expect(parseSyntax("")).toEqual([])
  })

  test("words and their types", () => {
    expect(parseSyntax("key value count:integer pattern when:unix-time", 1)).toEqual([
      { name: "key", type: "key", keySpecIndex: 0 },
      { name: "value", type: "string" },
      { name: "count", type: "integer" },
      { name: "pattern", type: "pattern" },
      { name: "when", type: "unix-time" },
    ])
  })

  test("key arguments take the specs in turn, the last one for the rest, unless told", () => {
    const indexes = (syntax: string, specs: number) => parseSyntax(syntax, specs).map(a => a.keySpecIndex)
    expect(indexes("source:key destination:key", 2)).toEqual([0, 1])
    expect(indexes("key1:key key2:key", 1)).toEqual([0, 0])
    expect(indexes("key [BY by:pattern#1~pattern] [STORE to:key#2]", 3)).toEqual([0, 1, 2])
    expect(indexes("key", 0)).toEqual([undefined])
  })

  test("tokens stand alone or take the word after them", () => {
    expect(parseSyntax("[GET] [COUNT count:integer] [change=CH]@6.2.0")).toEqual([
      token("get", { optional: true }),
      { name: "count", type: "integer", token: "COUNT", optional: true },
      { name: "change", type: "pure-token", token: "CH", optional: true, since: "6.2.0" },
    ])
    expect(parseSyntax("no=NO one=ONE host")).toEqual([token("no"), token("one"), { name: "host", type: "string" }])
  })

  test("choices", () => {
    const sides = [token("left"), token("right")]
    const choice: Argument = { name: "where", type: "oneof", arguments: sides }
    expect(parseSyntax("where=LEFT|RIGHT pivot")).toEqual([choice, { name: "pivot", type: "string" }])
    expect(parseSyntax("where=(LEFT|RIGHT)")).toEqual([choice])
    expect(parseSyntax("[where=LEFT|RIGHT]")).toEqual([{ ...choice, optional: true }])
    expect(parseSyntax("[where=WHERE(LEFT|RIGHT)]")).toEqual([{ ...choice, token: "WHERE", optional: true }])
    expect(parseSyntax('id-selector=(auto-id="*"|id)')).toEqual([
      {
        name: "id-selector",
        type: "oneof",
        arguments: [
          { name: "auto-id", type: "pure-token", token: "*" },
          { name: "id", type: "string" },
        ],
      },
    ])
  })

  test("alternatives with values, and dates on them", () => {
    expect(parseSyntax("[expiration=EX seconds:integer@2.6.12|KEEPTTL@6.0.0]")).toEqual([
      {
        name: "expiration",
        type: "oneof",
        optional: true,
        arguments: [
          { name: "seconds", type: "integer", token: "EX", since: "2.6.12" },
          token("keepttl", { since: "6.0.0" }),
        ],
      },
    ])
  })

  test("blocks", () => {
    const limit: Argument[] = [
      { name: "offset", type: "integer" },
      { name: "count", type: "integer" },
    ]
    expect(parseSyntax("[LIMIT(offset:integer count:integer)] data=(score:double member)...")).toEqual([
      { name: "limit", type: "block", token: "LIMIT", optional: true, arguments: limit },
      {
        name: "data",
        type: "block",
        multiple: true,
        arguments: [
          { name: "score", type: "double" },
          { name: "member", type: "string" },
        ],
      },
    ])
    expect(parseSyntax("[options=count:integer [WITHSCORES]]")).toEqual([
      {
        name: "options",
        type: "block",
        optional: true,
        arguments: [{ name: "count", type: "integer" }, token("withscores", { optional: true })],
      },
    ])
  })

  test("repetition with and without the token", () => {
    expect(parseSyntax("[ID client-id:integer...]@6.2.0 [PREFIX prefix]...")).toEqual([
      { name: "client-id", type: "integer", token: "ID", optional: true, multiple: true, since: "6.2.0" },
      { name: "prefix", type: "string", token: "PREFIX", optional: true, multiple: true, multipleToken: true },
    ])
  })

  test("suffixes in any order", () => {
    expect(parseSyntax("old-format~ip:port!2.8.12")).toEqual([
      { name: "old-format", type: "string", displayText: "ip:port", deprecatedSince: "2.8.12" },
    ])
    expect(parseSyntax("old-format!2.8.12~ip:port")).toEqual(parseSyntax("old-format~ip:port!2.8.12"))
  })

  test.each(["[a", "a]", "(a b)", "[a b]", "[a|b]", "x=(a b|c)", "x=", "a:color", "x=A|b", '"*"', "a@6", "a..", "A|B"])(
    "refuses %p",
    line => {
      expect(() => parseSyntax(line)).toThrow("command syntax")
    },
  )
})
