/**
 * HyperLogLog: the number of distinct elements ever added, to within 0.81 %, in at most 12 KB.
 *
 * The value is a plain string that clients may read and write, so its bytes are those of Redis, and the same elements
 * in the same order give the same bytes (compared with Redis 7.0).
 *
 *   "HYLL" | encoding (0 dense, 1 sparse) | 3 zero bytes | cached cardinality u64 LE, top bit: stale | registers
 *
 * There are 2^14 registers. An element's hash (MurmurHash64A) names a register by its low 14 bits; the register keeps
 * the largest position of the lowest set bit seen among the other 50.
 *
 *   dense    6 bits per register, least significant bits first, 12288 bytes
 *   sparse   run lengths:  00llllll           l+1 registers of 0
 *                          01llllll llllllll  l+1 registers of 0, high bits first
 *                          1vvvvvll           l+1 registers of v+1
 *
 * A sparse value becomes dense for good when a register passes 32 or the value would pass hll-sparse-max-bytes.
 *
 * The estimate is Ertl's improved one (O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches",
 * arXiv:1702.01284, section 4), computed from the histogram of the registers.
 *
 * Two kinds of wrong value: one that is no HyperLogLog at all (hllIsValid; the command answers WRONGTYPE), and one whose
 * runs do not add up to 2^14 registers, which is found only while working with it ("corrupt" below; INVALIDOBJ).
 */

import { copyBytes } from "../bytes/compare.ts"

const HEADER_BYTES = 16
const REGISTERS = 16384
const REGISTER_MASK = REGISTERS - 1
/** Bits of the hash that are not the register number. */
const Q = 50
const DENSE = 0
const SPARSE = 1
const CACHE_TOP = 15
const SPARSE_VALUE_MAX = 32
const SPARSE_RUN_MAX = 4
const ZERO_RUN_MAX = 64
/** 0.5 / ln 2, the constant of the estimator for infinitely many registers. */
const ALPHA_INFINITY = 0.7213475204444817

/** Size of every dense value. */
export const HLL_DENSE_BYTES = HEADER_BYTES + (REGISTERS * 6) / 8
/** Size of an array for hllMaxInto. */
export const HLL_REGISTERS = REGISTERS

export const HLL_UNCHANGED = 0
export const HLL_CHANGED = 1
export const HLL_CORRUPT = -1

// ---- hash -----------------------------------------------------------------------------------------------------------

const SEED = 0xadc83b19 | 0
const M_HIGH = 0xc6a4a793 | 0
const M_LOW = 0x5bd1e995
const M_LOW_HIGH = M_LOW >>> 16
const M_LOW_LOW = M_LOW & 0xffff

let hashHigh = 0
let hashLow = 0

/** Upper 32 bits of low * M_LOW (unsigned), from four products of 16 bits each. */
function carryOf(low: number): number {
  const upper = low >>> 16
  const lower = low & 0xffff
  const first = (Math.imul(upper, M_LOW_LOW) + (Math.imul(lower, M_LOW_LOW) >>> 16)) | 0
  const second = (Math.imul(lower, M_LOW_HIGH) + (first & 0xffff)) | 0
  return (Math.imul(upper, M_LOW_HIGH) + (first >>> 16) + (second >>> 16)) | 0
}

/** Upper word of the 64-bit product (high, low) * M, modulo 2^64; the lower word is Math.imul(low, M_LOW). */
function productHigh(high: number, low: number): number {
  return (carryOf(low) + Math.imul(low, M_HIGH) + Math.imul(high, M_LOW)) | 0
}

/** MurmurHash64A (A. Appleby, public domain), into hashHigh and hashLow. */
function hash(bytes: Uint8Array, start: number, end: number): void {
  const length = end - start
  let high = productHigh(0, length)
  let low = SEED ^ Math.imul(length, M_LOW)
  let at = start
  for (const stop = end - (length & 7); at < stop; at += 8) {
    let wordLow = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    let wordHigh = bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24)
    wordHigh = productHigh(wordHigh, wordLow)
    wordLow = Math.imul(wordLow, M_LOW) ^ (wordHigh >>> 15)
    high ^= productHigh(wordHigh, wordLow)
    low ^= Math.imul(wordLow, M_LOW)
    high = productHigh(high, low)
    low = Math.imul(low, M_LOW)
  }
  if (at < end) {
    for (let shift = 0; at < end; at++, shift += 8) {
      if (shift < 32) low ^= bytes[at]! << shift
      else high ^= bytes[at]! << (shift - 32)
    }
    high = productHigh(high, low)
    low = Math.imul(low, M_LOW)
  }
  low ^= high >>> 15
  high = productHigh(high, low)
  low = Math.imul(low, M_LOW)
  hashHigh = high
  hashLow = low ^ (high >>> 15)
}

/** For tests: the element's hash as [upper, lower] unsigned words. */
export function hllHash(bytes: Uint8Array, start: number, end: number): [number, number] {
  hash(bytes, start, end)
  return [hashHigh >>> 0, hashLow >>> 0]
}

/** Position (from 1) of the lowest set bit of the hash above the register number; at most Q + 1. */
function rank(): number {
  const low = (hashLow >>> 14) | (hashHigh << 18)
  if (low !== 0) return 32 - Math.clz32(low & -low)
  const high = (hashHigh >>> 14) | (1 << (Q - 32))
  return 64 - Math.clz32(high & -high)
}

// ---- header ---------------------------------------------------------------------------------------------------------

/** Is the string a HyperLogLog as far as its header and length tell? Otherwise commands answer WRONGTYPE. */
export function hllIsValid(b: Uint8Array, start: number, end: number): boolean {
  if (end - start < HEADER_BYTES) return false
  if (b[start]! !== 0x48 || b[start + 1]! !== 0x59 || b[start + 2]! !== 0x4c || b[start + 3]! !== 0x4c) return false
  const encoding = b[start + 4]!
  return encoding === SPARSE || (encoding === DENSE && end - start === HLL_DENSE_BYTES)
}

export function hllIsDense(b: Uint8Array, start: number): boolean {
  return b[start + 4]! === DENSE
}

/** The cached cardinality, or -1 when stale. A bigint only for what no server ever wrote. */
export function hllCachedCount(b: Uint8Array, start: number): number | bigint {
  if (b[start + CACHE_TOP]! >= 128) return -1
  let count = 0
  for (let i = CACHE_TOP; i >= 8; i--) count = count * 256 + b[start + i]!
  if (Number.isSafeInteger(count)) return count
  let exact = 0n
  for (let i = CACHE_TOP; i >= 8; i--) exact = exact * 256n + BigInt(b[start + i]!)
  return exact
}

/** Stores a count from hllCount as the cached one, in place. */
export function hllWriteCache(b: Uint8Array, start: number, count: number): void {
  for (let i = 8; i <= CACHE_TOP; i++) {
    b[start + i] = count % 256
    count = Math.floor(count / 256)
  }
}

/** Marks the cached cardinality stale, in place. */
export function hllInvalidateCache(b: Uint8Array, start: number): void {
  b[start + CACHE_TOP]! |= 128
}

// ---- dense registers ------------------------------------------------------------------------------------------------

function denseGet(b: Uint8Array, start: number, register: number): number {
  const bit = register * 6
  const at = start + HEADER_BYTES + (bit >> 3)
  const shift = bit & 7
  // The last register ends with its byte, so the byte behind the value is never looked at.
  return shift <= 2 ? (b[at]! >> shift) & 63 : ((b[at]! >> shift) | (b[at + 1]! << (8 - shift))) & 63
}

/** Raises a register; whether it changed. */
function denseRaise(b: Uint8Array, start: number, register: number, value: number): boolean {
  if (denseGet(b, start, register) >= value) return false
  const bit = register * 6
  const at = start + HEADER_BYTES + (bit >> 3)
  const shift = bit & 7
  b[at] = (b[at]! & ~(63 << shift)) | (value << shift)
  if (shift > 2) b[at + 1] = (b[at + 1]! & ~(63 >> (8 - shift))) | (value >> (8 - shift))
  return true
}

/** Whether adding an element would change a dense value. */
export function hllDenseLacks(
  b: Uint8Array,
  start: number,
  element: Uint8Array,
  eStart: number,
  eEnd: number,
): boolean {
  hash(element, eStart, eEnd)
  return denseGet(b, start, hashLow & REGISTER_MASK) < rank()
}

/** Adds an element to a dense value in place, and marks the cache stale if that changed it; whether it did. */
export function hllDenseAdd(b: Uint8Array, start: number, element: Uint8Array, eStart: number, eEnd: number): boolean {
  hash(element, eStart, eEnd)
  if (!denseRaise(b, start, hashLow & REGISTER_MASK, rank())) return false
  hllInvalidateCache(b, start)
  return true
}

// ---- estimate -------------------------------------------------------------------------------------------------------

const histogram = new Int32Array(64)

function sigma(x: number): number {
  if (x === 1) return Number.POSITIVE_INFINITY
  let y = 1
  let z = x
  let before: number
  do {
    x *= x
    before = z
    z += x * y
    y += y
  } while (before !== z)
  return z
}

function tau(x: number): number {
  if (x === 0 || x === 1) return 0
  let y = 1
  let z = 1 - x
  let before: number
  do {
    x = Math.sqrt(x)
    before = z
    y *= 0.5
    z -= (1 - x) * (1 - x) * y
  } while (before !== z)
  return z / 3
}

function estimate(): number {
  const m = REGISTERS
  let z = m * tau((m - histogram[Q + 1]!) / m)
  for (let i = Q; i >= 1; i--) z = (z + histogram[i]!) * 0.5
  z += m * sigma(histogram[0]! / m)
  return Math.min(Math.round((ALPHA_INFINITY * m * m) / z), Number.MAX_SAFE_INTEGER)
}

/** Estimated cardinality of a value, HLL_CORRUPT when its runs are wrong. Does not look at the cache. */
export function hllCount(b: Uint8Array, start: number, end: number): number {
  histogram.fill(0)
  let at = start + HEADER_BYTES
  if (hllIsDense(b, start)) {
    for (; at < end; at += 3) {
      const four = b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16)
      histogram[four & 63]!++
      histogram[(four >> 6) & 63]!++
      histogram[(four >> 12) & 63]!++
      histogram[four >> 18]!++
    }
    return estimate()
  }
  let registers = 0
  while (at < end) {
    const run = runLength(b, at, end)
    registers += run
    histogram[runValue(b[at]!)]! += run
    at += opcodeBytes(b[at]!)
  }
  return registers === REGISTERS ? estimate() : HLL_CORRUPT
}

/** Estimated cardinality of an array of registers (from hllMaxInto). */
export function hllCountRegisters(registers: Uint8Array): number {
  histogram.fill(0)
  for (let i = 0; i < REGISTERS; i++) histogram[registers[i]! & 63]!++
  return estimate()
}

/** Raises each register of the array to that of the value (union); false when the value is corrupt. */
export function hllMaxInto(registers: Uint8Array, b: Uint8Array, start: number, end: number): boolean {
  let at = start + HEADER_BYTES
  let register = 0
  if (hllIsDense(b, start)) {
    for (; register < REGISTERS; register += 4, at += 3) {
      const four = b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16)
      if ((four & 63) > registers[register]!) registers[register] = four & 63
      if (((four >> 6) & 63) > registers[register + 1]!) registers[register + 1] = (four >> 6) & 63
      if (((four >> 12) & 63) > registers[register + 2]!) registers[register + 2] = (four >> 12) & 63
      if (four >> 18 > registers[register + 3]!) registers[register + 3] = four >> 18
    }
    return true
  }
  while (at < end) {
    const value = runValue(b[at]!)
    const after = register + runLength(b, at, end)
    if (value > 0) {
      if (after > REGISTERS) break
      for (let i = register; i < after; i++) if (value > registers[i]!) registers[i] = value
    }
    register = after
    at += opcodeBytes(b[at]!)
  }
  return register === REGISTERS
}

// ---- sparse opcodes -------------------------------------------------------------------------------------------------

function isLongZero(opcode: number): boolean {
  return opcode >= 0x40 && opcode < 0x80
}

function opcodeBytes(opcode: number): number {
  return isLongZero(opcode) ? 2 : 1
}

/** Registers covered by the opcode. A long one whose second byte is cut off counts that byte as 0. */
function runLength(b: Uint8Array, at: number, end: number): number {
  const opcode = b[at]!
  if (opcode >= 0x80) return (opcode & 3) + 1
  if (opcode < 0x40) return opcode + 1
  return (((opcode & 63) << 8) | (at + 1 < end ? b[at + 1]! : 0)) + 1
}

function runValue(opcode: number): number {
  return opcode >= 0x80 ? ((opcode >> 2) & 31) + 1 : 0
}

function valueOpcode(value: number, run: number): number {
  return 0x80 | ((value - 1) << 2) | (run - 1)
}

// The opcodes that replace one when a register inside it changes: at most long zero, value, long zero.
const sequence = new Uint8Array(5)
let sequenceBytes = 0

/** Appends `run` registers of `value` to the sequence; nothing when the run is empty. */
function pushRun(value: number, run: number): void {
  if (run === 0) return
  if (value > 0) sequence[sequenceBytes++] = valueOpcode(value, run)
  else if (run <= ZERO_RUN_MAX) sequence[sequenceBytes++] = run - 1
  else {
    sequence[sequenceBytes++] = 0x40 | ((run - 1) >> 8)
    sequence[sequenceBytes++] = run - 1
  }
}

// ---- a value being changed ------------------------------------------------------------------------------------------

/**
 * A HyperLogLog while a command changes it: load or reset, then add or raise, then store bytes[0, length). Reused, so
 * that commands allocate nothing; the bytes are the editor's own.
 */
export class HllEditor {
  bytes = new Uint8Array(HLL_DENSE_BYTES)
  length = 0

  /** Starts from an empty value (sparse, 18 bytes), its cache stale as both commands that create one leave it. */
  reset(): void {
    this.makeRoom(HLL_DENSE_BYTES)
    this.bytes.fill(0, 0, HEADER_BYTES)
    this.bytes[0] = 0x48
    this.bytes[1] = 0x59
    this.bytes[2] = 0x4c
    this.bytes[3] = 0x4c
    this.bytes[4] = SPARSE
    this.bytes[CACHE_TOP] = 0x80
    this.bytes[HEADER_BYTES] = 0x7f
    this.bytes[HEADER_BYTES + 1] = 0xff
    this.length = HEADER_BYTES + 2
  }

  /** Starts from a copy of a value that hllIsValid accepts. */
  load(b: Uint8Array, start: number, end: number): void {
    this.length = end - start
    this.makeRoom(this.length)
    copyBytes(b, start, end, this.bytes, 0)
  }

  get isDense(): boolean {
    return hllIsDense(this.bytes, 0)
  }

  /**
   * Adds an element and marks the cache stale if that changed a register: HLL_CHANGED, HLL_UNCHANGED or HLL_CORRUPT.
   * `sparseBytesMax` is hll-sparse-max-bytes.
   */
  add(element: Uint8Array, start: number, end: number, sparseBytesMax: number): number {
    hash(element, start, end)
    return this.raise(hashLow & REGISTER_MASK, rank(), sparseBytesMax)
  }

  /** Raises one register to at least `value` (from 1 to 63); answers as `add`. */
  raise(register: number, value: number, sparseBytesMax: number): number {
    const changed = this.isDense
      ? denseRaise(this.bytes, 0, register, value)
        ? HLL_CHANGED
        : HLL_UNCHANGED
      : this.raiseSparse(register, value, sparseBytesMax)
    if (changed === HLL_CHANGED) hllInvalidateCache(this.bytes, 0)
    return changed
  }

  /** Raises all registers to those of the array (PFMERGE) and marks the cache stale; false when corrupt. */
  raiseAll(registers: Uint8Array, sparseBytesMax: number): boolean {
    let intact = true
    for (let i = 0; i < REGISTERS; i++) {
      const value = registers[i]!
      if (value > 0 && this.raise(i, value, sparseBytesMax) === HLL_CORRUPT) intact = false
    }
    hllInvalidateCache(this.bytes, 0)
    return intact
  }

  /** Turns the value dense, keeping header and cache; false, and nothing changed, when it is corrupt. */
  toDense(): boolean {
    if (this.isDense) return true
    unpacked.fill(0)
    if (!hllMaxInto(unpacked, this.bytes, 0, this.length)) return false
    const b = this.bytes
    let at = HEADER_BYTES
    for (let i = 0; i < REGISTERS; i += 4, at += 3) {
      const four = unpacked[i]! | (unpacked[i + 1]! << 6) | (unpacked[i + 2]! << 12) | (unpacked[i + 3]! << 18)
      b[at] = four
      b[at + 1] = four >> 8
      b[at + 2] = four >> 16
    }
    b[4] = DENSE
    this.length = HLL_DENSE_BYTES
    return true
  }

  /** Room for a value of `size`, contents undefined; lets go of a much larger buffer left by an odd value. */
  private makeRoom(size: number): void {
    const wanted = Math.max(size, HLL_DENSE_BYTES)
    if (this.bytes.length < wanted || this.bytes.length > 4 * wanted) this.bytes = new Uint8Array(wanted)
  }

  private promote(register: number, value: number): number {
    if (!this.toDense()) return HLL_CORRUPT
    denseRaise(this.bytes, 0, register, value)
    return HLL_CHANGED
  }

  private raiseSparse(register: number, value: number, sparseBytesMax: number): number {
    if (value > SPARSE_VALUE_MAX) return this.promote(register, value)
    const b = this.bytes
    const end = this.length
    let at = HEADER_BYTES
    let before = HEADER_BYTES
    let first = 0
    let run = 0
    for (; at < end; first += run) {
      run = runLength(b, at, end)
      if (register < first + run) break
      before = at
      at += opcodeBytes(b[at]!)
    }
    if (at >= end) return HLL_CORRUPT
    const opcode = b[at]!
    const old = runValue(opcode)
    if (old >= value) return HLL_UNCHANGED
    if (run === 1 && !isLongZero(opcode)) {
      b[at] = valueOpcode(value, 1)
    } else {
      sequenceBytes = 0
      pushRun(old, register - first)
      pushRun(value, 1)
      pushRun(old, first + run - 1 - register)
      const growth = sequenceBytes - opcodeBytes(opcode)
      if (growth > 0 && end + growth > sparseBytesMax) return this.promote(register, value)
      this.replaceOpcode(at, opcodeBytes(opcode), growth)
    }
    this.joinRuns(before)
    return HLL_CHANGED
  }

  /** Puts the sequence in place of the opcode at `at`. */
  private replaceOpcode(at: number, size: number, growth: number): void {
    const grown = this.length + growth
    if (grown > this.bytes.length) {
      const larger = new Uint8Array(grown + (grown >> 3))
      larger.set(this.bytes.subarray(0, this.length))
      this.bytes = larger
    }
    // A cut-off long zero at the very end is shorter than its size says.
    if (growth !== 0 && at + size < this.length) this.bytes.copyWithin(at + size + growth, at + size, this.length)
    for (let i = 0; i < sequenceBytes; i++) this.bytes[at + i] = sequence[i]!
    this.length = grown
  }

  /** Joins neighbouring value runs that are equal and fit one opcode; looks at five opcodes from `at` on. */
  private joinRuns(at: number): void {
    const b = this.bytes
    for (let opcodes = 5; opcodes > 0 && at < this.length; opcodes--) {
      const opcode = b[at]!
      if (opcode >= 0x80 && at + 1 < this.length && b[at + 1]! >= 0x80) {
        const joined = (opcode & 3) + (b[at + 1]! & 3) + 2
        if (runValue(opcode) === runValue(b[at + 1]!) && joined <= SPARSE_RUN_MAX) {
          b[at + 1] = valueOpcode(runValue(opcode), joined)
          b.copyWithin(at, at + 1, this.length)
          this.length--
          continue
        }
      }
      at += opcodeBytes(opcode)
    }
  }
}

const unpacked = new Uint8Array(REGISTERS)
