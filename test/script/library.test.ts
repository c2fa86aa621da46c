/** Function libraries as texts and sets, without an interpreter. */
import { describe, expect, test } from "bun:test"
import { dumpLibraries, librariesOf, PayloadError } from "../../src/script/function-payload.ts"
import { Libraries } from "../../src/script/libraries.ts"
import { BAD_NAME, Library, readLibraryHeader } from "../../src/script/library.ts"

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "latin1"))

describe("the first line", () => {
  test("names engine and library; the code begins at its end", () => {
    expect(readLibraryHeader(bytes("#!lua name=a\nreturn"))).toEqual({ engine: "lua", name: "a", codeStart: 12 })
    expect(readLibraryHeader(bytes('#!LUA NAME="a b"\n'))).toEqual({ engine: "LUA", name: "a b", codeStart: 16 })
    expect(readLibraryHeader(bytes("#! name=a\n"))).toEqual({ engine: "", name: "a", codeStart: 9 })
  })

  for (const [source, fault] of [
    ["", "Missing library metadata"],
    ["return 1", "Missing library metadata"],
    ["#!lua name=a", "Invalid library metadata"],
    ["#!lua name=a\0\n", "Invalid library metadata"],
    ['#!lua name="a\n', "Invalid library metadata"],
    ["#!lua\n", "Library name was not given"],
    ["#!lua name=a x\n", "Invalid metadata value given: x"],
    ["#!lua name=a name=b\n", "Invalid metadata value, name argument was given multiple times"],
  ] as const) {
    test(`${JSON.stringify(source)}: ${fault}`, () => expect(readLibraryHeader(bytes(source))).toBe(fault))
  }
})

function library(name: string, ...functions: string[]): Library {
  const made = new Library(name, bytes(`#!lua name=${name}\n`))
  for (const f of functions) expect(made.register(f, undefined, 0, 1)).toBeUndefined()
  return made
}

describe("a set of libraries", () => {
  test("functions have names of their own, in any case", () => {
    const one = library("one", "f")
    expect(one.register("F", undefined, 0, 1)).toBe("Function already exists in the library")
    expect(one.register("a-b", undefined, 0, 1)).toBe(BAD_NAME)
    const set = new Libraries()
    expect(set.take(one)).toBeUndefined()
    expect(set.take(library("two", "g", "F"))).toBe("Function F already exists")
    expect(set.function("F")).toBe(one.functions.get("f")!)
    expect([set.libraryCount, set.functionCount]).toEqual([1, 1])
  })

  test("a library replaces another of its name, with functions of the same names or not", () => {
    const set = new Libraries()
    const old = library("one", "f", "g")
    set.take(old)
    set.take(library("two", "h"))
    expect(set.take(library("one", "h"), old)).toBe("Function h already exists")
    expect(set.function("f")).toBeDefined()
    expect(set.take(library("one", "g", "i"), old)).toBeUndefined()
    expect([set.function("f"), set.functionCount]).toEqual([undefined, 3])
  })

  test("another set joins as a whole or not at all", () => {
    const set = new Libraries()
    const one = library("one", "f")
    set.take(one)
    set.take(library("two", "g"))
    const before = set.bytes
    const others = new Libraries()
    others.take(library("one", "g"))
    expect(set.join(others, false, [])).toBe("Library one already exists")
    const replaced: Library[] = []
    expect(set.join(others, true, replaced)).toBe("Function g already exists")
    expect([replaced, set.bytes, set.get("one")]).toEqual([[], before, one])
    const fitting = new Libraries()
    fitting.take(library("one", "f", "k"))
    fitting.take(library("three", "l"))
    expect(set.join(fitting, true, replaced)).toBeUndefined()
    expect([replaced, set.libraryCount, set.functionCount]).toEqual([[one], 3, 4])
  })

  test("memory is what is there", () => {
    const set = new Libraries()
    const one = library("one", "f")
    set.take(one)
    expect(set.bytes).toBeGreaterThan(one.code.length)
    set.remove(one)
    expect(set.bytes).toBe(0)
  })
})

describe("payloads", () => {
  const read = (payload: Uint8Array): string[] =>
    [...librariesOf(payload, 0, payload.length, true)].map(source => Buffer.from(source).toString("latin1"))

  test("sources come back, short and long, compressed and not", () => {
    const sources = ["#!lua name=a\n", `#!lua name=b\n${"-- \xff\0".repeat(100_000)}`, "12"].map(bytes)
    for (const compress of [false, true]) {
      const payload = dumpLibraries(sources, compress)
      expect(read(payload)).toEqual(sources.map(source => Buffer.from(source).toString("latin1")))
    }
  })

  test("nothing is version and checksum, as Redis 7.0 writes them", () => {
    expect(Buffer.from(dumpLibraries([], true)).toString("hex")).toBe("0a005d9b5c400f7fa2da")
  })

  test("damage is seen", () => {
    const payload = dumpLibraries([bytes("#!lua name=a\n")], false)
    for (let i = 0; i < payload.length; i++) {
      const damaged = payload.slice()
      damaged[i]! ^= 1
      expect(() => read(damaged)).toThrow(PayloadError)
    }
    for (let i = 0; i < payload.length; i++) expect(() => read(payload.slice(0, i))).toThrow(PayloadError)
  })

  test("also without looking at the checksum", () => {
    const read = (payload: Uint8Array): Uint8Array[] => [...librariesOf(payload, 0, payload.length, false)]
    const payload = dumpLibraries([bytes("#!lua name=a\n")], false)
    const with0 = (first: number, second: number): Uint8Array => {
      const other = payload.slice()
      other[0] = first
      other[1] = second
      return other
    }
    expect(() => read(with0(246, 13))).toThrow("Pre-GA function format not supported")
    expect(() => read(with0(0, 13))).toThrow("given type is not a function")
    expect(() => read(with0(245, 14))).toThrow("Failed loading library payload")
    expect(() => read(with0(245, 0x81))).toThrow("Failed loading library payload")
  })
})
