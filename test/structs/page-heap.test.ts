import { expect, test } from "bun:test"
import { KeyedHash } from "../../src/bytes/siphash.ts"
import { ByteMap } from "../../src/structs/byte-map.ts"
import { PageHeap } from "../../src/structs/page-heap.ts"

test("what is reserved is what the first record and the first block go to, and counts as nothing until then", () => {
  const heap = new PageHeap()
  heap.reserve()
  heap.reserve()
  const slabs = () => [heap.bytes.length, heap.words.length, heap.views.length, heap.blockWords.length]
  expect(slabs()).toEqual([1, 1, 1, 1])
  expect(heap.bytesUsed).toBe(0)
  const map = new ByteMap(heap, new KeyedHash(1, 2))
  map.put(Buffer.from("key"), 0, 3, 1, 5, 0)
  expect(slabs()).toEqual([1, 1, 1, 1])
  expect(heap.bytesUsed).toBeGreaterThan(0)
})

test("the views of a slab are of the same memory", () => {
  const heap = new PageHeap()
  heap.reserve()
  heap.views[0]!.setFloat64(4099, Math.PI, true)
  expect(new DataView(heap.bytes[0]!.buffer).getFloat64(4099, true)).toBe(Math.PI)
  heap.words[0]![1024] = 0x01020304
  expect(heap.views[0]!.getInt32(4096, true)).toBe(0x01020304)
})
