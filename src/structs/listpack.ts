/**
 * Listpack: a packed list of strings and integers in one byte range.
 *
 * Small hashes, lists, sets and sorted sets live in this form inside an arena, and the same bytes are what RDB files
 * and DUMP payloads hold, so saving and restoring is a copy. The format is that of Redis (format description:
 * antirez, "Listpack specification"; facts checked against Redis 7.0 payloads).
 *
 *   header   total bytes u32 LE | element count u16 LE (65535: unknown, walk to count)
 *   entry    encoding+data | backlen
 *   end      0xFF
 *
 *   0vvvvvvv                      integer 0..127
 *   10llllll                      string of up to 63 bytes
 *   110vvvvv v8                   integer -4096..4095, big-endian two's complement of 13 bits
 *   1110llll l8                   string of up to 4095 bytes, length big-endian
 *   F0 l32                        string, length little-endian
 *   F1 F2 F3 F4                   integer of 16, 24, 32, 64 bits, little-endian
 *
 * backlen is the size of encoding+data, 7 bits per byte, most significant group first; every byte but the first has
 * the top bit set, so it reads backwards from the next entry. A group boundary is crossed one early (16383 takes three
 * bytes, not two), as Redis does it.
 *
 * Conventions
 * 1. A listpack is (b, at): the bytes and the offset of its header. An entry is the absolute offset of its encoding
 *    byte in b. Offsets are valid until the next edit. -1 is "no entry".
 * 2. Edits happen in place. The caller has asked the matching *Size function for the growth and has made room behind
 *    the listpack; edits return the new total size. The edited value must not lie in the part of b that moves.
 * 3. A byte string that is the canonical text of an int64 is stored as an integer, in the smallest encoding. Readers
 *    also accept other encodings of a number, as they may come from elsewhere.
 * 4. Untrusted bytes pass lpValidate(deep) before anything else here sees them.
 * 5. Nothing here allocates, except for integers beyond 2^53, which pass through BigInt.
 */

import { compareBytes, copyBytes, equalBytes } from "../bytes/compare.ts"
import {
  INT64_TEXT_BYTES_MAX,
  integerLength,
  isCanonicalInt64,
  parseSafeInteger,
  writeBigInt,
  writeInteger,
} from "../bytes/int64.ts"

const HEADER_BYTES = 6
const END = 0xff
const COUNT_UNKNOWN = 0xffff
const TWO_32 = 0x1_0000_0000

/** Bytes of a listpack with no entries. */
export const LP_EMPTY_BYTES = HEADER_BYTES + 1

/** One decoded entry; owned by the caller and reused. */
export class LpEntry {
  isInt = false
  /** Value of an integer entry; approximate when `big` is set. */
  int = 0
  /** Exact value of an integer entry outside the safe range, else null. */
  big: bigint | null = null
  /** Byte range of a string entry, in the buffer it was read from. */
  start = 0
  end = 0
  /** Offset of the next entry, or of the end byte. */
  entryEnd = 0
}

// ---- integers -------------------------------------------------------------------------------------------------------

const NOT_INTEGER = 0
const SAFE_INTEGER = 1
const WIDE_INTEGER = 2

// Results of scanInteger: the number when safe, else its two's complement halves.
let scannedNumber = 0
let scannedHigh = 0
let scannedLow = 0

/** Is the range the canonical text of an int64? Answers one of the kinds above and fills the results. */
function scanInteger(text: Uint8Array, start: number, end: number): number {
  const length = end - start
  if (length === 0 || length > INT64_TEXT_BYTES_MAX || text[start]! > 57) return NOT_INTEGER
  scannedNumber = parseSafeInteger(text, start, end)
  if (!Number.isNaN(scannedNumber)) return SAFE_INTEGER
  if (length < 16 || !isCanonicalInt64(text, start, end)) return NOT_INTEGER
  const negative = text[start]! === 45
  let high = 0
  let low = 0
  for (let at = negative ? start + 1 : start; at < end; at++) {
    low = low * 10 + (text[at]! - 48)
    high = high * 10 + Math.floor(low / TWO_32)
    low = low >>> 0
  }
  scannedLow = negative ? -low | 0 : low | 0
  scannedHigh = negative && low !== 0 ? ~high : negative ? -high | 0 : high | 0
  return WIDE_INTEGER
}

function encodedIntegerBytes(n: number): number {
  if (n >= -4096 && n <= 4095) return n >= 0 && n <= 127 ? 1 : 2
  if (n >= -32768 && n <= 32767) return 3
  if (n >= -8388608 && n <= 8388607) return 4
  if (n >= -2147483648 && n <= 2147483647) return 5
  return 9
}

function readWord(b: Uint8Array, at: number): number {
  return b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)
}

function writeWord(b: Uint8Array, at: number, word: number): void {
  b[at] = word
  b[at + 1] = word >> 8
  b[at + 2] = word >> 16
  b[at + 3] = word >> 24
}

function isIntegerHead(head: number): boolean {
  return head < 0x80 || (head & 0xe0) === 0xc0 || (head >= 0xf1 && head <= 0xf4)
}

/** Value of an integer entry; approximate beyond 2^53. */
function readNumber(b: Uint8Array, entry: number): number {
  const head = b[entry]!
  if (head < 0x80) return head
  if (head < 0xe0) return ((((head & 0x1f) << 8) | b[entry + 1]!) << 19) >> 19
  switch (head) {
    case 0xf1:
      return ((b[entry + 1]! | (b[entry + 2]! << 8)) << 16) >> 16
    case 0xf2:
      return ((b[entry + 1]! | (b[entry + 2]! << 8) | (b[entry + 3]! << 16)) << 8) >> 8
    case 0xf3:
      return readWord(b, entry + 1)
    default:
      return readWord(b, entry + 5) * TWO_32 + (readWord(b, entry + 1) >>> 0)
  }
}

/** Exact value of a 64-bit integer entry. */
function readBig(b: Uint8Array, entry: number): bigint {
  return (BigInt(readWord(b, entry + 5)) << 32n) | BigInt(readWord(b, entry + 1) >>> 0)
}

// ---- entry sizes ----------------------------------------------------------------------------------------------------

function backlenBytes(size: number): number {
  if (size <= 127) return 1
  if (size < 16383) return 2
  if (size < 2097151) return 3
  return size < 268435455 ? 4 : 5
}

function writeBacklen(b: Uint8Array, at: number, size: number): number {
  const width = backlenBytes(size)
  let rest = size
  for (let i = at + width - 1; i > at; i--) {
    b[i] = (rest & 127) | 128
    rest >>>= 7
  }
  b[at] = rest
  return at + width
}

/** Size of encoding and data of the entry, without backlen; 0 for a byte that starts no entry. */
function payloadBytes(b: Uint8Array, entry: number): number {
  const head = b[entry]!
  if (head < 0x80) return 1
  if (head < 0xc0) return 1 + (head & 63)
  if (head < 0xe0) return 2
  if (head < 0xf0) return 2 + (((head & 15) << 8) | b[entry + 1]!)
  switch (head) {
    case 0xf0:
      return 5 + (readWord(b, entry + 1) >>> 0)
    case 0xf1:
      return 3
    case 0xf2:
      return 4
    case 0xf3:
      return 5
    case 0xf4:
      return 9
    default:
      return 0
  }
}

/** Offset just past the entry: the next entry, or the end byte. */
export function lpEntryEnd(b: Uint8Array, entry: number): number {
  const head = b[entry]!
  if (head < 0x80) return entry + 2
  if (head < 0xc0) return entry + 2 + (head & 63)
  const size = payloadBytes(b, entry)
  return entry + size + backlenBytes(size)
}

// ---- header and walking ---------------------------------------------------------------------------------------------

/** Total size in bytes, header and end byte included. */
export function lpBytes(b: Uint8Array, at: number): number {
  return readWord(b, at) >>> 0
}

/** Number of entries; O(1) below 65535, else a walk. */
export function lpLength(b: Uint8Array, at: number): number {
  const stored = b[at + 4]! | (b[at + 5]! << 8)
  if (stored !== COUNT_UNKNOWN) return stored
  let count = 0
  for (let entry = at + HEADER_BYTES; b[entry]! !== END; entry = lpEntryEnd(b, entry)) count++
  return count
}

export function lpFirst(b: Uint8Array, at: number): number {
  const entry = at + HEADER_BYTES
  return b[entry]! === END ? -1 : entry
}

export function lpLast(b: Uint8Array, at: number): number {
  return lpPrev(b, at, at + lpBytes(b, at) - 1)
}

/** The entry after `entry`, or -1. */
export function lpNext(b: Uint8Array, _at: number, entry: number): number {
  const next = lpEntryEnd(b, entry)
  return b[next]! === END ? -1 : next
}

/** The entry before `entry`, or -1. `entry` may be the end byte. */
export function lpPrev(b: Uint8Array, at: number, entry: number): number {
  if (entry <= at + HEADER_BYTES) return -1
  let cursor = entry - 1
  let byte = b[cursor]!
  if (byte < 128) return cursor - byte
  let size = byte & 127
  for (let shift = 7; byte >= 128 && shift <= 28; shift += 7) {
    byte = b[--cursor]!
    size += (byte & 127) * 2 ** shift
  }
  return cursor - size
}

/** Moves `steps` entries forward; -1 when the list ends before. */
export function lpNextAt(b: Uint8Array, _at: number, entry: number, steps: number): number {
  for (; steps > 0; steps--) {
    if (b[entry]! === END) return -1
    entry = lpEntryEnd(b, entry)
  }
  return b[entry]! === END ? -1 : entry
}

/** Offset of the end byte. */
export function lpEnd(b: Uint8Array, at: number): number {
  return at + lpBytes(b, at) - 1
}

/** Entry at `index`, negative from the tail (-1 is the last); -1 when out of range. Walks from the nearer end. */
export function lpSeek(b: Uint8Array, at: number, index: number): number {
  const stored = b[at + 4]! | (b[at + 5]! << 8)
  if (stored !== COUNT_UNKNOWN) {
    if (index < 0) index += stored
    if (index < 0 || index >= stored) return -1
    if (index > stored >>> 1) index -= stored
  }
  if (index >= 0) return lpNextAt(b, at, at + HEADER_BYTES, index)
  let entry = lpEnd(b, at)
  for (; index < 0 && entry !== -1; index++) entry = lpPrev(b, at, entry)
  return entry
}

// ---- reading --------------------------------------------------------------------------------------------------------

/** Decodes the entry into `out`; string bytes stay where they are. */
export function lpRead(b: Uint8Array, entry: number, out: LpEntry): void {
  const head = b[entry]!
  if (isIntegerHead(head)) {
    const value = readNumber(b, entry)
    out.isInt = true
    out.int = value
    out.big = Number.isSafeInteger(value) ? null : readBig(b, entry)
    out.start = 0
    out.end = 0
    out.entryEnd = lpEntryEnd(b, entry)
    return
  }
  const size = payloadBytes(b, entry)
  out.isInt = false
  out.int = 0
  out.big = null
  out.start = entry + (head < 0xc0 ? 1 : head < 0xf0 ? 2 : 5)
  out.end = entry + size
  out.entryEnd = out.end + backlenBytes(size)
}

/** Length of the value as text: string bytes, or decimal digits. */
export function lpValueLength(b: Uint8Array, entry: number): number {
  const head = b[entry]!
  if (isIntegerHead(head)) {
    const value = readNumber(b, entry)
    return Number.isSafeInteger(value) ? integerLength(value) : readBig(b, entry).toString().length
  }
  return payloadBytes(b, entry) - (head < 0xc0 ? 1 : head < 0xf0 ? 2 : 5)
}

/** Copies the value as text to dst[at]; returns the offset behind it. */
export function lpCopyValue(b: Uint8Array, entry: number, dst: Uint8Array, at: number): number {
  const head = b[entry]!
  if (isIntegerHead(head)) {
    const value = readNumber(b, entry)
    return Number.isSafeInteger(value) ? writeInteger(dst, at, value) : writeBigInt(dst, at, readBig(b, entry))
  }
  const from = entry + (head < 0xc0 ? 1 : head < 0xf0 ? 2 : 5)
  const end = entry + payloadBytes(b, entry)
  copyBytes(b, from, end, dst, at)
  return at + end - from
}

/** Does the entry's text equal the key? */
export function lpCompare(b: Uint8Array, entry: number, key: Uint8Array, start: number, end: number): boolean {
  return entryMatches(b, entry, key, start, end, scanInteger(key, start, end))
}

/** As lpCompare, for a key whose kind is known and whose value is in the scan results. */
function entryMatches(
  b: Uint8Array,
  entry: number,
  key: Uint8Array,
  start: number,
  end: number,
  kind: number,
): boolean {
  const head = b[entry]!
  if (isIntegerHead(head)) {
    if (kind === SAFE_INTEGER) return readNumber(b, entry) === scannedNumber
    return (
      kind === WIDE_INTEGER &&
      head === 0xf4 &&
      readWord(b, entry + 1) === scannedLow &&
      readWord(b, entry + 5) === scannedHigh
    )
  }
  const from = entry + (head < 0xc0 ? 1 : head < 0xf0 ? 2 : 5)
  const length = end - start
  return entry + payloadBytes(b, entry) - from === length && equalBytes(b, from, key, start, length)
}

/**
 * First entry equal to the key among every (skip + 1)-th entry from `from` on, or -1. `skip` is 1 for field/value
 * pairs. `from` may be -1 (nothing there).
 */
export function lpFind(
  b: Uint8Array,
  _at: number,
  from: number,
  key: Uint8Array,
  start: number,
  end: number,
  skip: number,
): number {
  if (from === -1) return -1
  const kind = scanInteger(key, start, end)
  const wanted = kind === SAFE_INTEGER ? scannedNumber : -1
  const tiny = wanted >= 0 && wanted < 128 ? wanted : -1
  const length = end - start
  const shortHead = length < 64 ? 0x80 | length : -1
  const beforeKey = start - 1
  let entry = from
  while (true) {
    const head = b[entry]!
    if (head < 0x80) {
      if (head === tiny) return entry
      entry += 2
    } else if (head < 0xc0) {
      // Names of fields tend to differ at their ends ("field1", "field2"), so compare backwards.
      if (head === shortHead) {
        let i = length
        while (i > 0 && b[entry + i]! === key[beforeKey + i]!) i--
        if (i === 0) return entry
      }
      entry += 2 + (head & 63)
    } else if (head === END) {
      return -1
    } else {
      if (entryMatches(b, entry, key, start, end, kind)) return entry
      entry = lpEntryEnd(b, entry)
    }
    for (let i = skip; i > 0; i--) {
      const skipped = b[entry]!
      if (skipped < 0x80) entry += 2
      else if (skipped < 0xc0) entry += 2 + (skipped & 63)
      else if (skipped === END) return -1
      else entry = lpEntryEnd(b, entry)
    }
  }
}

const orderText = new Uint8Array(INT64_TEXT_BYTES_MAX)

/** Bytewise order of the entry's text against the key: negative, 0 or positive, shorter first on a common prefix. */
export function lpOrder(b: Uint8Array, entry: number, key: Uint8Array, start: number, end: number): number {
  const head = b[entry]!
  let text = b
  let from: number
  let to: number
  if (isIntegerHead(head)) {
    text = orderText
    from = 0
    to = lpCopyValue(b, entry, orderText, 0)
  } else {
    from = entry + (head < 0xc0 ? 1 : head < 0xf0 ? 2 : 5)
    to = entry + payloadBytes(b, entry)
  }
  return compareBytes(text, from, to, key, start, end)
}

// ---- writing entries ------------------------------------------------------------------------------------------------

/** Size the value takes as an entry, backlen included. */
export function lpEntrySize(value: Uint8Array, start: number, end: number): number {
  if (isShortText(value, start, end)) return end - start + 2
  const kind = scanInteger(value, start, end)
  if (kind === SAFE_INTEGER) return encodedIntegerBytes(scannedNumber) + 1
  if (kind === WIDE_INTEGER) return 10
  const length = end - start
  const size = length < 64 ? length + 1 : length < 4096 ? length + 2 : length + 5
  return size + backlenBytes(size)
}

/** Size the safe integer takes as an entry, backlen included. */
export function lpIntegerSize(n: number): number {
  return encodedIntegerBytes(n) + 1
}

/** Writes the value as an entry (integer encoding where its text allows); returns the offset behind it. */
export function lpWriteEntry(dst: Uint8Array, at: number, value: Uint8Array, start: number, end: number): number {
  if (!isShortText(value, start, end)) return writeAnyEntry(dst, at, value, start, end)
  const length = end - start
  dst[at] = 0x80 | length
  copyBytes(value, start, end, dst, at + 1)
  dst[at + 1 + length] = length + 1
  return at + length + 2
}

/** What most values are: less than 64 bytes, and no integer by their first byte alone. One byte before, one behind. */
function isShortText(value: Uint8Array, start: number, end: number): boolean {
  return end - start < 64 && end > start && value[start]! > 57
}

function writeAnyEntry(dst: Uint8Array, at: number, value: Uint8Array, start: number, end: number): number {
  const kind = scanInteger(value, start, end)
  if (kind === SAFE_INTEGER) return lpWriteInteger(dst, at, scannedNumber)
  if (kind === WIDE_INTEGER) return writeWide(dst, at, scannedHigh, scannedLow)
  const length = end - start
  let cursor = at
  if (length < 64) {
    dst[cursor++] = 0x80 | length
  } else if (length < 4096) {
    dst[cursor++] = 0xe0 | (length >> 8)
    dst[cursor++] = length
  } else {
    dst[cursor++] = 0xf0
    writeWord(dst, cursor, length)
    cursor += 4
  }
  copyBytes(value, start, end, dst, cursor)
  return writeBacklen(dst, cursor + length, cursor + length - at)
}

/** Writes a safe integer as an entry; returns the offset behind it. */
export function lpWriteInteger(dst: Uint8Array, at: number, n: number): number {
  if (n >= 0 && n <= 127) {
    dst[at] = n
    dst[at + 1] = 1
    return at + 2
  }
  return writeWiderInteger(dst, at, n)
}

function writeWiderInteger(dst: Uint8Array, at: number, n: number): number {
  const size = encodedIntegerBytes(n)
  switch (size) {
    case 2:
      dst[at] = 0xc0 | ((n >> 8) & 0x1f)
      dst[at + 1] = n
      break
    case 9:
      return writeWide(dst, at, Math.floor(n / TWO_32), n | 0)
    default:
      dst[at] = 0xee + size
      for (let i = 1; i < size; i++) dst[at + i] = n >> ((i - 1) << 3)
  }
  dst[at + size] = size
  return at + size + 1
}

function writeWide(dst: Uint8Array, at: number, high: number, low: number): number {
  dst[at] = 0xf4
  writeWord(dst, at + 1, low)
  writeWord(dst, at + 5, high)
  dst[at + 9] = 9
  return at + 10
}

// ---- edits ----------------------------------------------------------------------------------------------------------

/** Writes an empty listpack of LP_EMPTY_BYTES; returns its size. */
export function lpInit(b: Uint8Array, at: number): number {
  writeWord(b, at, LP_EMPTY_BYTES)
  b[at + 4] = 0
  b[at + 5] = 0
  b[at + 6] = END
  return LP_EMPTY_BYTES
}

/**
 * The primitive under all edits: the bytes [from, to) give way to `size` unwritten bytes, and the count changes by
 * `entries`. `from` and `to` are entry boundaries; the caller writes the new entries at `from`. Returns the new total.
 */
export function lpSplice(b: Uint8Array, at: number, from: number, to: number, size: number, entries: number): number {
  const total = lpBytes(b, at)
  const grown = total + size - (to - from)
  if (from + size !== to) {
    if (to === at + total - 1) b[from + size] = END
    else b.copyWithin(from + size, to, at + total)
    writeWord(b, at, grown)
  }
  const stored = b[at + 4]! | (b[at + 5]! << 8)
  if (entries !== 0 && stored !== COUNT_UNKNOWN) {
    const count = Math.min(stored + entries, COUNT_UNKNOWN)
    b[at + 4] = count
    b[at + 5] = count >> 8
  }
  return grown
}

/** Growth by inserting, appending or prepending the value. */
export const lpInsertSize = lpEntrySize

/** Inserts the value before `entry` (the end byte: appends); returns the new total. */
export function lpInsert(
  b: Uint8Array,
  at: number,
  entry: number,
  value: Uint8Array,
  start: number,
  end: number,
): number {
  const total = lpSplice(b, at, entry, entry, lpEntrySize(value, start, end), 1)
  lpWriteEntry(b, entry, value, start, end)
  return total
}

export function lpInsertInteger(b: Uint8Array, at: number, entry: number, n: number): number {
  const total = lpSplice(b, at, entry, entry, lpIntegerSize(n), 1)
  lpWriteInteger(b, entry, n)
  return total
}

export function lpAppend(b: Uint8Array, at: number, value: Uint8Array, start: number, end: number): number {
  return lpInsert(b, at, lpEnd(b, at), value, start, end)
}

export function lpAppendInteger(b: Uint8Array, at: number, n: number): number {
  return lpInsertInteger(b, at, lpEnd(b, at), n)
}

export function lpPrepend(b: Uint8Array, at: number, value: Uint8Array, start: number, end: number): number {
  return lpInsert(b, at, at + HEADER_BYTES, value, start, end)
}

/**
 * Inserts `entries` ready-made entries, the bytes [start, end) of src, before `entry`; grows by end - start. The range
 * must not lie in the part of b that moves.
 */
export function lpInsertRaw(
  b: Uint8Array,
  at: number,
  entry: number,
  src: Uint8Array,
  start: number,
  end: number,
  entries: number,
): number {
  const total = lpSplice(b, at, entry, entry, end - start, entries)
  copyBytes(src, start, end, b, entry)
  return total
}

/** Growth (negative: shrinkage) by replacing the entry with the value. */
export function lpReplaceSize(b: Uint8Array, entry: number, value: Uint8Array, start: number, end: number): number {
  return lpEntrySize(value, start, end) - (lpEntryEnd(b, entry) - entry)
}

/** Puts the value in place of the entry, which keeps its offset; returns the new total. */
export function lpReplace(
  b: Uint8Array,
  at: number,
  entry: number,
  value: Uint8Array,
  start: number,
  end: number,
): number {
  const total = lpSplice(b, at, entry, lpEntryEnd(b, entry), lpEntrySize(value, start, end), 0)
  lpWriteEntry(b, entry, value, start, end)
  return total
}

/** Growth by replacing the entry with a safe integer. */
export function lpReplaceIntegerSize(b: Uint8Array, entry: number, n: number): number {
  return lpIntegerSize(n) - (lpEntryEnd(b, entry) - entry)
}

export function lpReplaceInteger(b: Uint8Array, at: number, entry: number, n: number): number {
  const total = lpSplice(b, at, entry, lpEntryEnd(b, entry), lpIntegerSize(n), 0)
  lpWriteInteger(b, entry, n)
  return total
}

/** Growth (negative) by deleting the entry. */
export function lpDeleteSize(b: Uint8Array, entry: number): number {
  return entry - lpEntryEnd(b, entry)
}

/** Removes the entry; its offset then holds the next entry or the end byte. Returns the new total. */
export function lpDelete(b: Uint8Array, at: number, entry: number): number {
  return lpSplice(b, at, entry, lpEntryEnd(b, entry), 0, -1)
}

// Result of walkRange: how many entries the range really has.
let walked = 0

function walkRange(b: Uint8Array, entry: number, count: number): number {
  walked = 0
  while (walked < count && b[entry]! !== END) {
    entry = lpEntryEnd(b, entry)
    walked++
  }
  return entry
}

/** Growth (negative or 0) by lpDeleteRange. */
export function lpDeleteRangeSize(b: Uint8Array, at: number, index: number, count: number): number {
  const entry = lpSeek(b, at, index)
  return entry === -1 ? 0 : entry - walkRange(b, entry, count)
}

/** Removes up to `count` entries from `index` on (negative from the tail); returns the new total. */
export function lpDeleteRange(b: Uint8Array, at: number, index: number, count: number): number {
  const entry = lpSeek(b, at, index)
  if (entry === -1 || count <= 0) return lpBytes(b, at)
  const end = walkRange(b, entry, count)
  return lpSplice(b, at, entry, end, 0, -walked)
}

// ---- untrusted bytes ------------------------------------------------------------------------------------------------

/**
 * Is [at, end) a listpack? Shallow looks at header and end byte; deep walks every entry, so that afterwards no reader
 * here can leave the range. Never reads outside [at, end) itself.
 */
export function lpValidate(b: Uint8Array, at: number, end: number, deep: boolean): boolean {
  const total = end - at
  if (end > b.length || total < LP_EMPTY_BYTES || lpBytes(b, at) !== total || b[end - 1]! !== END) return false
  if (!deep) return true
  const last = end - 1
  let entry = at + HEADER_BYTES
  let count = 0
  while (entry < last) {
    const next = validEntryEnd(b, entry, last)
    if (next === -1) return false
    entry = next
    count++
  }
  const stored = b[at + 4]! | (b[at + 5]! << 8)
  return stored === COUNT_UNKNOWN || stored === count
}

/** End of the entry when it and its backlen fit before `last` and agree, else -1. */
function validEntryEnd(b: Uint8Array, entry: number, last: number): number {
  const head = b[entry]!
  const lengthBytes = head === 0xf0 ? 5 : head >= 0xe0 && head < 0xf0 ? 2 : 1
  if (entry + lengthBytes > last) return -1
  const size = payloadBytes(b, entry)
  const end = entry + size + backlenBytes(size)
  if (size === 0 || end > last) return -1
  let rest = size
  for (let i = end - 1; i > entry + size; i--) {
    if (b[i]! !== ((rest & 127) | 128)) return -1
    rest >>>= 7
  }
  return b[entry + size]! === rest ? end : -1
}
