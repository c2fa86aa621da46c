import { expect, test } from "bun:test"
import { formatManifest, nextBase, nextIncrement, parseManifest } from "../../src/persist/aof-manifest.ts"

test("a manifest is read back as it was written", () => {
  const text =
    "file database.aof.2.base.rdb seq 2 type b\n" +
    "file old.1.incr.aof seq 1 type h\n" +
    'file "with blank.3.incr.aof" seq 3 type i\n' +
    "file database.aof.4.incr.aof seq 4 type i\n"
  const manifest = parseManifest(`# a comment\n${text}`)
  if ("fault" in manifest) throw new Error(manifest.fault)
  expect(manifest.base).toEqual({ name: "database.aof.2.base.rdb", seq: 2, type: "b" })
  expect(manifest.increments.map(file => file.seq)).toEqual([3, 4])
  expect(formatManifest(manifest)).toBe(text)
  expect(nextIncrement(4, "database.aof").name).toBe("database.aof.5.incr.aof")
})

test("bases are named by their format", () => {
  expect(nextBase(1, "a", "rdb")).toEqual({ name: "a.2.base.rdb", seq: 2, type: "b" })
  expect(nextBase(1, "a", "aof").name).toBe("a.2.base.aof")
})

test("the first increment has number 1", () => {
  expect(nextIncrement(0, "a")).toEqual({ name: "a.1.incr.aof", seq: 1, type: "i" })
})

test.each([
  ["", "Found an empty AOF manifest"],
  ["file a seq 1 type b\n\nfile b seq 1 type i\n", "line 2"],
  [`file ${"a".repeat(1100)} seq 1 type b\n`, "too long line"],
  ["file a seq 1\n", "line 1"],
  ["file a seq x type b\n", "line 1"],
  ["file a seq 1 type z\n", "Unknown AOF file type"],
  ["file ../a seq 1 type b\n", "a path"],
  ["file a seq 1 type b\nfile b seq 2 type b\n", "duplicate base"],
  ["file a seq 2 type i\nfile b seq 2 type i\n", "non-monotonic"],
  ['file "a seq 1 type b\n', "line 1"],
])("%p is refused", (text, reason) => {
  const manifest = parseManifest(text)
  expect("fault" in manifest ? manifest.fault : "").toContain(reason)
})
