/** PFDEBUG DECODE and PFSELFTEST. */

import type { Prng } from "../bytes/prng.ts"
import { HLL_DENSE_BYTES, HllEditor, hllCount, hllDenseAdd } from "../structs/hyperloglog.ts"

const HEADER_BYTES = 16
const SPARSE_BYTES_MAX = 3000
/** 1.04 / √registers, the standard error of the estimate. */
const STANDARD_ERROR = 1.04 / 128
/** Far fewer than Redis takes: nobody waits for this test. */
const ELEMENTS = 100_000

/** The runs of a sparse value: z and Z are zeros in one and in two bytes, v is value and length. */
export function decodeSparse(bytes: Uint8Array, start: number, end: number): string {
  const runs: string[] = []
  for (let at = start + HEADER_BYTES; at < end; at++) {
    const opcode = bytes[at]!
    if (opcode < 0x40) runs.push(`z:${opcode + 1}`)
    else if (opcode >= 0x80) runs.push(`v:${((opcode >> 2) & 31) + 1},${(opcode & 3) + 1}`)
    else runs.push(`Z:${(((opcode & 63) << 8) | (at + 1 < end ? bytes[++at]! : 0)) + 1}`)
  }
  return runs.join(" ")
}

/**
 * Adds distinct elements to a value that begins sparse and to one that is dense all along: at every power of ten their
 * estimates must agree, and lie within six standard errors. Returns what is wrong, undefined when all is well.
 */
export function selfTest(random: Prng): string | undefined {
  const editor = new HllEditor()
  editor.reset()
  const dense = new HllEditor()
  dense.reset()
  dense.toDense()
  const element = new Uint8Array(8)
  const words = new Uint32Array(element.buffer)
  const seed = random.next32()
  words[1] = random.next32()
  let checkpoint = 1
  for (let added = 1; added <= ELEMENTS; added++) {
    words[0] = added ^ seed
    hllDenseAdd(dense.bytes, 0, element, 0, 8)
    editor.add(element, 0, 8, SPARSE_BYTES_MAX)
    if (added !== checkpoint) continue
    if (added < SPARSE_BYTES_MAX / 2 && editor.isDense) return "sparse encoding not used"
    const estimate = hllCount(dense.bytes, 0, HLL_DENSE_BYTES)
    if (estimate !== hllCount(editor.bytes, 0, editor.length)) return "dense/sparse disagree"
    const error = Math.abs(estimate - added)
    const errorMax = added === 10 ? 1 : Math.ceil(STANDARD_ERROR * 6 * added)
    if (error > errorMax) return `Too big error. card:${added} abserr:${error}`
    checkpoint *= 10
  }
  return undefined
}
