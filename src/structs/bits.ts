/**
 * Bit operations on byte strings, for SETBIT, BITCOUNT, BITPOS, BITOP and BITFIELD.
 *
 * Bit 0 is the most significant bit of byte 0, and beyond its end a string is all zeros. Strings are ranges of larger
 * arrays: `start` and `end` are byte offsets in b, bit offsets count from `start`. A bit offset can pass 2^32, so bytes
 * are found by division, not by shifting.
 *
 * Long strings are worked on in chunks copied to aligned scratch words. A copy runs at memory speed, and then every
 * kernel is one loop over an Int32Array that never changes, whatever the alignment of the string; nothing allocates.
 *
 * Bit fields are integers of 1 to 64 bits, most significant bit first, at any bit offset. They are numbers while safe,
 * else bigints (normal form of bytes/int64).
 */

import { copyBytes } from "../bytes/compare.ts"
import { normalizeInteger } from "../bytes/int64.ts"

const CHUNK_WORDS = 4096
const CHUNK_BYTES = CHUNK_WORDS * 4
/** Up to this many bytes a plain loop beats copying to scratch. */
const LOOP_BYTES_MAX = 32
const TWO_32 = 0x1_0000_0000

// Three chunks: the result being formed, one source, and what BITOP ONE needs besides.
const resultWords = new Int32Array(CHUNK_WORDS)
const resultBytes = new Uint8Array(resultWords.buffer)
const sourceWords = new Int32Array(CHUNK_WORDS)
const sourceBytes = new Uint8Array(sourceWords.buffer)
const repeatedWords = new Int32Array(CHUNK_WORDS)

/** Copies [from, from + size) into the source chunk and fills its last word up with `padding`; returns the words. */
function loadSource(b: Uint8Array, from: number, size: number, padding: number): number {
  copyBytes(b, from, from + size, sourceBytes, 0)
  const words = (size + 3) >> 2
  for (let i = size; i < words * 4; i++) sourceBytes[i] = padding
  return words
}

// ---- single bits ----------------------------------------------------------------------------------------------------

/** The bit at `offset`, 0 behind the end. */
export function getBit(b: Uint8Array, start: number, end: number, offset: number): number {
  const at = start + Math.floor(offset / 8)
  return at < end ? (b[at]! >> (7 - (offset % 8))) & 1 : 0
}

/** Sets the bit at `offset`, which the string must already reach; returns the old one. */
export function setBit(b: Uint8Array, start: number, offset: number, bit: number): number {
  const at = start + Math.floor(offset / 8)
  const shift = 7 - (offset % 8)
  const byte = b[at]!
  b[at] = bit === 0 ? byte & ~(1 << shift) : byte | (1 << shift)
  return (byte >> shift) & 1
}

// ---- counting -------------------------------------------------------------------------------------------------------

function popcount(word: number): number {
  let x = word - ((word >>> 1) & 0x55555555)
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333)
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

/** Of three bits in each place: are two or more of them set? The carry of their sum, whose lower digit is a ^ b ^ c. */
function carry(a: number, b: number, c: number): number {
  return (a & b) | ((a ^ b) & c)
}

/**
 * Set bits in the first `words` of the source chunk. Words are added up place by place in binary, in `ones`, `twos` and
 * `fours`; only what overflows, one word in eight, is counted. (Harley and Seal's carry-save adders, as told in
 * H. S. Warren, "Hacker's Delight", 5-1.)
 */
function countSource(words: number): number {
  const w = sourceWords
  let total = 0
  let ones = 0
  let twos = 0
  let fours = 0
  let at = 0
  for (; at + 8 <= words; at += 8) {
    let first = carry(ones, w[at]!, w[at + 1]!)
    ones = ones ^ w[at]! ^ w[at + 1]!
    let second = carry(ones, w[at + 2]!, w[at + 3]!)
    ones = ones ^ w[at + 2]! ^ w[at + 3]!
    const four = carry(twos, first, second)
    twos = twos ^ first ^ second
    first = carry(ones, w[at + 4]!, w[at + 5]!)
    ones = ones ^ w[at + 4]! ^ w[at + 5]!
    second = carry(ones, w[at + 6]!, w[at + 7]!)
    ones = ones ^ w[at + 6]! ^ w[at + 7]!
    const otherFour = carry(twos, first, second)
    twos = twos ^ first ^ second
    total += popcount(carry(fours, four, otherFour))
    fours = fours ^ four ^ otherFour
  }
  total = total * 8 + popcount(fours) * 4 + popcount(twos) * 2 + popcount(ones)
  for (; at < words; at++) total += popcount(w[at]!)
  return total
}

/** Number of set bits in the bytes [start, end). */
export function bitCount(b: Uint8Array, start: number, end: number): number {
  let total = 0
  let at = start
  while (end - at > LOOP_BYTES_MAX) {
    const size = Math.min(CHUNK_BYTES, end - at)
    total += countSource(loadSource(b, at, size, 0))
    at += size
  }
  for (; at < end; at++) total += popcount(b[at]!)
  return total
}

/** Number of set bits from bit `first` to bit `last`, both included and within the string. */
export function bitCountRange(b: Uint8Array, start: number, first: number, last: number): number {
  if (first > last) return 0
  const from = start + Math.floor(first / 8)
  const to = start + Math.floor(last / 8)
  const outside = popcount(b[from]! & ~(0xff >> (first % 8))) + popcount(b[to]! & (0x7f >> (last % 8)))
  return bitCount(b, from, to + 1) - outside
}

// ---- searching ------------------------------------------------------------------------------------------------------

/** Position in a byte of the first bit that is set, 8 when none is. */
function firstSet(byte: number): number {
  return byte === 0 ? 8 : Math.clz32(byte) - 24
}

/** How many of the first `words` of the source chunk come before one other than `filler`. Eight are compared at once. */
function countFiller(words: number, filler: number): number {
  const w = sourceWords
  let at = 0
  for (; at + 8 <= words; at += 8) {
    const early = (w[at]! ^ filler) | (w[at + 1]! ^ filler) | (w[at + 2]! ^ filler) | (w[at + 3]! ^ filler)
    const late = (w[at + 4]! ^ filler) | (w[at + 5]! ^ filler) | (w[at + 6]! ^ filler) | (w[at + 7]! ^ filler)
    if ((early | late) !== 0) break
  }
  while (at < words && w[at]! === filler) at++
  return at
}

/** First byte in [start, end) other than `filler`, or end. `filler` is 0 or 255. */
function skipFiller(b: Uint8Array, start: number, end: number, filler: number): number {
  let at = start
  for (const stop = Math.min(end, start + LOOP_BYTES_MAX); at < stop; at++) if (b[at]! !== filler) return at
  const fillerWord = filler === 0 ? 0 : -1
  while (at < end) {
    const size = Math.min(CHUNK_BYTES, end - at)
    const words = loadSource(b, at, size, filler)
    const passed = countFiller(words, fillerWord)
    if (passed < words) {
      at += passed * 4
      while (b[at]! === filler) at++
      return at
    }
    at += size
  }
  return end
}

/**
 * Offset of the first bit equal to `bit` among the bytes [start, end), counted from `start`; -1 when there is none. The
 * zeros behind the end of the string are the caller's to add.
 */
export function bitPosition(b: Uint8Array, start: number, end: number, bit: number): number {
  const filler = bit === 0 ? 255 : 0
  const at = skipFiller(b, start, end, filler)
  return at === end ? -1 : (at - start) * 8 + firstSet(b[at]! ^ filler)
}

/** As bitPosition, from bit `first` to bit `last`, both included and within the string; counted from `start`. */
export function bitPositionRange(b: Uint8Array, start: number, first: number, last: number, bit: number): number {
  if (first > last) return -1
  const filler = bit === 0 ? 255 : 0
  const from = start + Math.floor(first / 8)
  const to = start + Math.floor(last / 8)
  const head = firstSet((b[from]! ^ filler) & (0xff >> (first % 8)))
  let position: number
  if (head < 8) position = (from - start) * 8 + head
  else if (from === to) return -1
  else {
    const found = bitPosition(b, from + 1, to + 1, bit)
    if (found === -1) return -1
    position = (from + 1 - start) * 8 + found
  }
  return position <= last ? position : -1
}

// ---- combining ------------------------------------------------------------------------------------------------------

export const BITOP_AND = 0
export const BITOP_OR = 1
export const BITOP_XOR = 2
/** One source only. */
export const BITOP_NOT = 3
/** Set in the first source and in no other. */
export const BITOP_DIFF = 4
/** Set in some other source and not in the first. */
export const BITOP_DIFF1 = 5
/** Set in the first source and in some other. */
export const BITOP_ANDOR = 6
/** Set in exactly one source. */
export const BITOP_ONE = 7

/**
 * Combines `count` strings, the ranges [starts[i], ends[i]) of sources[i], into dst[0, length). Missing sources are
 * empty strings; shorter ones count as zeros. `length` is that of the longest source, and at least one is given.
 */
export function bitCombine(
  operation: number,
  sources: readonly Uint8Array[],
  starts: readonly number[],
  ends: readonly number[],
  count: number,
  dst: Uint8Array,
  length: number,
): void {
  for (let from = 0; from < length; from += CHUNK_BYTES) {
    const size = Math.min(CHUNK_BYTES, length - from)
    const words = (size + 3) >> 2
    loadChunk(sources, starts, ends, 0, from, size)
    copyBytes(sourceBytes, 0, words * 4, resultBytes, 0)
    if (operation === BITOP_NOT) for (let i = 0; i < words; i++) resultWords[i] = ~resultWords[i]!
    else if (operation <= BITOP_XOR || operation === BITOP_ONE)
      foldChunks(operation, sources, starts, ends, count, from, size)
    else selectChunks(operation, sources, starts, ends, count, from, size)
    copyBytes(resultBytes, 0, size, dst, from)
  }
}

/** Loads the part [from, from + size) of source i, zeros behind its end. */
function loadChunk(
  sources: readonly Uint8Array[],
  starts: readonly number[],
  ends: readonly number[],
  i: number,
  from: number,
  size: number,
): void {
  const start = starts[i]! + from
  const present = Math.max(0, Math.min(size, ends[i]! - start))
  copyBytes(sources[i]!, start, start + present, sourceBytes, 0)
  const padded = (size + 3) & ~3
  if (present < padded) sourceBytes.fill(0, present, padded)
}

/** AND, OR, XOR and ONE: takes the sources from the second on into the result, which holds the first. */
function foldChunks(
  operation: number,
  sources: readonly Uint8Array[],
  starts: readonly number[],
  ends: readonly number[],
  count: number,
  from: number,
  size: number,
): void {
  const words = (size + 3) >> 2
  if (operation === BITOP_ONE) repeatedWords.fill(0, 0, words)
  for (let source = 1; source < count; source++) {
    loadChunk(sources, starts, ends, source, from, size)
    switch (operation) {
      case BITOP_AND:
        for (let i = 0; i < words; i++) resultWords[i]! &= sourceWords[i]!
        break
      case BITOP_OR:
        for (let i = 0; i < words; i++) resultWords[i]! |= sourceWords[i]!
        break
      case BITOP_XOR:
        for (let i = 0; i < words; i++) resultWords[i]! ^= sourceWords[i]!
        break
      default:
        for (let i = 0; i < words; i++) {
          repeatedWords[i]! |= resultWords[i]! & sourceWords[i]!
          resultWords[i]! |= sourceWords[i]!
        }
    }
  }
  if (operation === BITOP_ONE) for (let i = 0; i < words; i++) resultWords[i]! &= ~repeatedWords[i]!
}

/** DIFF, DIFF1 and ANDOR: the union of the sources from the second on against the first, which the result holds. */
function selectChunks(
  operation: number,
  sources: readonly Uint8Array[],
  starts: readonly number[],
  ends: readonly number[],
  count: number,
  from: number,
  size: number,
): void {
  const words = (size + 3) >> 2
  repeatedWords.fill(0, 0, words)
  for (let source = 1; source < count; source++) {
    loadChunk(sources, starts, ends, source, from, size)
    for (let i = 0; i < words; i++) repeatedWords[i]! |= sourceWords[i]!
  }
  for (let i = 0; i < words; i++) {
    const first = resultWords[i]!
    const others = repeatedWords[i]!
    resultWords[i] =
      operation === BITOP_DIFF ? first & ~others : operation === BITOP_DIFF1 ? others & ~first : first & others
  }
}

// ---- bit fields -----------------------------------------------------------------------------------------------------

export const OVERFLOW_WRAP = 0
export const OVERFLOW_SATURATE = 1
export const OVERFLOW_FAIL = 2

/** Up to 53 bits as an unsigned number. */
function readBits(b: Uint8Array, start: number, end: number, offset: number, bits: number): number {
  let at = start + Math.floor(offset / 8)
  let available = 8 - (offset % 8)
  let value = 0
  while (bits > 0) {
    const taken = Math.min(available, bits)
    const byte = at < end ? b[at]! : 0
    value = value * (1 << taken) + ((byte >> (available - taken)) & ((1 << taken) - 1))
    bits -= taken
    available = 8
    at++
  }
  return value
}

/** Writes the low `bits` (at most 32) of a word. */
function writeBits(b: Uint8Array, start: number, offset: number, bits: number, word: number): void {
  let at = start + Math.floor(offset / 8)
  let available = 8 - (offset % 8)
  while (bits > 0) {
    const taken = Math.min(available, bits)
    const shift = available - taken
    const mask = ((1 << taken) - 1) << shift
    b[at] = (b[at]! & ~mask) | (((word >>> (bits - taken)) << shift) & mask)
    bits -= taken
    available = 8
    at++
  }
}

/** The field of `bits` (1 to 64, unsigned to 63) at bit `offset`; zeros are read behind the end. */
export function bitfieldGet(
  b: Uint8Array,
  start: number,
  end: number,
  offset: number,
  bits: number,
  signed: boolean,
): number | bigint {
  if (bits <= 53) {
    const value = readBits(b, start, end, offset, bits)
    return signed && value >= 2 ** (bits - 1) ? value - 2 ** bits : value
  }
  let high = readBits(b, start, end, offset, bits - 32)
  const low = readBits(b, start, end, offset + bits - 32, 32)
  if (signed && high >= 2 ** (bits - 33)) high -= 2 ** (bits - 32)
  const value = high * TWO_32 + low
  return Number.isSafeInteger(value) ? value : (BigInt(high) << 32n) | BigInt(low)
}

/** Writes a value that fits the field, which the string must already reach. */
export function bitfieldSet(b: Uint8Array, start: number, offset: number, bits: number, value: number | bigint): void {
  const low = typeof value === "number" ? value >>> 0 : Number(BigInt.asUintN(32, value))
  if (bits <= 32) {
    writeBits(b, start, offset, bits, low)
    return
  }
  const high = typeof value === "number" ? Math.floor(value / TWO_32) : Number(value >> 32n)
  writeBits(b, start, offset, bits - 32, high >>> 0)
  writeBits(b, start, offset + bits - 32, 32, low)
}

/** `value` as the field can hold it; undefined when it cannot and must fail. `assigned` tells SET from a sum. */
function fit(
  value: number | bigint,
  bits: number,
  signed: boolean,
  overflow: number,
  assigned: boolean,
): number | bigint | undefined {
  if (typeof value === "number" && bits <= 53) {
    const max = 2 ** (signed ? bits - 1 : bits) - 1
    const min = signed ? -max - 1 : 0
    if (value >= min && value <= max) return value
  }
  const max = 2n ** BigInt(signed ? bits - 1 : bits) - 1n
  const min = signed ? -max - 1n : 0n
  if (value >= min && value <= max) return value
  if (overflow === OVERFLOW_FAIL) return undefined
  if (overflow === OVERFLOW_SATURATE) {
    const above = value > max || (assigned && countsAsTooLarge(value, max, signed))
    return normalizeInteger(above ? max : min)
  }
  return normalizeInteger(signed ? BigInt.asIntN(bits, BigInt(value)) : BigInt.asUintN(bits, BigInt(value)))
}

/** Whether Redis takes a value below the minimum for one above the maximum, as its 64-bit arithmetic wraps around. */
function countsAsTooLarge(value: number | bigint, max: bigint, signed: boolean): boolean {
  return !signed || max - BigInt(value) >= 2n ** 63n
}

/**
 * What BITFIELD SET stores for an int64 in a field of that type; undefined when it overflows and must fail. As in
 * Redis, a negative value saturates an unsigned field to its maximum, and so does a signed value close to -2^63.
 */
export function bitfieldFit(
  value: number | bigint,
  bits: number,
  signed: boolean,
  overflow: number,
): number | bigint | undefined {
  return fit(value, bits, signed, overflow, true)
}

/** What BITFIELD INCRBY stores (and answers) for a field's value and an increment; undefined when it must fail. */
export function bitfieldAdd(
  value: number | bigint,
  increment: number | bigint,
  bits: number,
  signed: boolean,
  overflow: number,
): number | bigint | undefined {
  let sum: number | bigint = Number.NaN
  if (typeof value === "number" && typeof increment === "number") sum = value + increment
  if (!Number.isSafeInteger(sum)) sum = normalizeInteger(BigInt(value) + BigInt(increment))
  return fit(sum, bits, signed, overflow, false)
}
