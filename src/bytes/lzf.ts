/**
 * LZF, the compression of long strings in RDB files.
 *
 * The compressed form is a sequence of two kinds of items, each starting with a control byte:
 *
 *   000LLLLL                      L + 1 literal bytes follow (1 to 32)
 *   LLLooooo oooooooo             copy L + 2 bytes (3 to 8) from o + 1 bytes back, L from 1 to 6
 *   111ooooo LLLLLLLL oooooooo    copy L + 9 bytes (9 to 264) from o + 1 bytes back
 *
 * o has 13 bits, its high five in the control byte. A copy may reach into the bytes it is itself producing.
 * The plain length is not part of the form; RDB stores it beside it.
 *
 * The compressor finds matches through one table from a hash of three bytes to the place they were last seen. The
 * table is shared by all calls: places are stored with a base that grows past the former input at every call, so old
 * entries tell themselves apart without clearing 64 KB for a 30-byte string. Equal input gives equal output.
 */

const HASH_BITS = 14
const LITERAL_RUN_MAX = 32
const MATCH_BYTES_MAX = 264
const MATCH_BYTES_MIN = 3
const DISTANCE_MAX = 8192

const table = new Int32Array(1 << HASH_BITS)
/** Entries below this are left over from earlier calls. */
let base = 1

/**
 * Compresses src[start, end) into dst[dstStart, dstEnd).
 *
 * Returns the compressed length, or 0 when it does not fit: give a dst smaller than the input to ask for a gain.
 */
export function lzfCompress(
  src: Uint8Array,
  start: number,
  end: number,
  dst: Uint8Array,
  dstStart: number,
  dstEnd: number,
): number {
  if (base > 0x7fffffff - (end - start)) {
    table.fill(0)
    base = 1
  }
  const bias = base - start
  base += end - start

  let out = dstStart
  let literalStart = start
  let at = start
  const lastTriple = end - MATCH_BYTES_MIN
  while (at <= lastTriple) {
    const triple = (src[at]! << 16) | (src[at + 1]! << 8) | src[at + 2]!
    const slot = Math.imul(triple, 0x9e3779b1) >>> (32 - HASH_BITS)
    const from = table[slot]! - bias
    table[slot] = at + bias
    if (
      from < start ||
      at - from > DISTANCE_MAX ||
      src[from] !== src[at] ||
      src[from + 1] !== src[at + 1] ||
      src[from + 2] !== src[at + 2]
    ) {
      at++
      continue
    }

    const lengthMax = Math.min(end - at, MATCH_BYTES_MAX)
    let length = MATCH_BYTES_MIN
    while (length < lengthMax && src[from + length] === src[at + length]) length++

    out = writeLiterals(src, literalStart, at, dst, out, dstEnd)
    if (out < 0 || out + (length <= 8 ? 2 : 3) > dstEnd) return 0
    const distance = at - from - 1
    if (length <= 8) {
      dst[out++] = ((length - 2) << 5) | (distance >> 8)
    } else {
      dst[out++] = 0xe0 | (distance >> 8)
      dst[out++] = length - 9
    }
    dst[out++] = distance & 0xff

    // The last two places inside the match are worth knowing; entering all of them costs more than it finds.
    const next = at + length
    for (at = next - 2; at < next; at++) {
      if (at > lastTriple) continue
      const seen = (src[at]! << 16) | (src[at + 1]! << 8) | src[at + 2]!
      table[Math.imul(seen, 0x9e3779b1) >>> (32 - HASH_BITS)] = at + bias
    }
    literalStart = next
  }
  out = writeLiterals(src, literalStart, end, dst, out, dstEnd)
  return out < 0 ? 0 : out - dstStart
}

/** Writes src[start, end) as literal runs; returns the offset after them, or -1 when they do not fit. */
function writeLiterals(
  src: Uint8Array,
  start: number,
  end: number,
  dst: Uint8Array,
  out: number,
  dstEnd: number,
): number {
  for (let at = start; at < end; ) {
    const run = Math.min(end - at, LITERAL_RUN_MAX)
    if (out + run + 1 > dstEnd) return -1
    dst[out++] = run - 1
    for (let i = 0; i < run; i++) dst[out++] = src[at++]!
  }
  return out
}

/**
 * Expands src[start, end) into dst[dstStart, dstEnd).
 *
 * Returns the number of bytes written, or -1 when the input is malformed, is cut short or does not fit. Never writes
 * outside the given range, whatever the input.
 */
export function lzfDecompress(
  src: Uint8Array,
  start: number,
  end: number,
  dst: Uint8Array,
  dstStart: number,
  dstEnd: number,
): number {
  let at = start
  let out = dstStart
  while (at < end) {
    const control = src[at++]!
    if (control < LITERAL_RUN_MAX) {
      const run = control + 1
      if (at + run > end || out + run > dstEnd) return -1
      for (let i = 0; i < run; i++) dst[out++] = src[at++]!
      continue
    }
    let length = (control >> 5) + 2
    if (control >= 0xe0) {
      if (at >= end) return -1
      length += src[at++]!
    }
    if (at >= end) return -1
    let from = out - (((control & 0x1f) << 8) | src[at++]!) - 1
    if (from < dstStart || out + length > dstEnd) return -1
    for (let i = 0; i < length; i++) dst[out++] = dst[from++]!
  }
  return out - dstStart
}
