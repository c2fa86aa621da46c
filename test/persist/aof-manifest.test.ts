import { expect, test } from "bun:test"
import { emptyManifest, formatManifest, nextIncrement, parseManifest } from "../../src/persist/aof-manifest.ts"

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
  expect(nextIncrement(manifest, "database.aof").name).toBe("database.aof.5.incr.aof")
})

test("the first increment has number 1", () => {
  expect(nextIncrement(emptyManifest(), "a")).toEqual({ name: "a.1.incr.aof", seq: 1, type: "i" })
})

test.each([
  ["", "empty"],
  ["file a seq 1\n", "line 1"],
  ["file a seq x type b\n", "line 1"],
  ["file a seq 1 type z\n", "line 1"],
  ["file ../a seq 1 type b\n", "path"],
  ["file a seq 1 type b\nfile b seq 2 type b\n", "second base"],
  ["file a seq 2 type i\nfile b seq 2 type i\n", "out of order"],
  ['file "a seq 1 type b\n', "line 1"],
])("%p is refused", (text, reason) => {
  const manifest = parseManifest(text)
  expect("fault" in manifest ? manifest.fault : "").toContain(reason)
})
