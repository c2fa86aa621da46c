/**
 * CRC-64 as at the end of RDB files and DUMP payloads: Jones polynomial 0xad93d23594c935a9, reflected, start 0, no
 * final inversion. Its value for "123456789" is e9c6d914c4b8d9ca.
 *
 * The register is kept as two 32-bit halves, since a bigint per byte would cost a hundred times as much. Eight bytes
 * are folded per step (slicing-by-8): table t of the eight says what a byte contributes t bytes later.
 */

const REFLECTED_HIGH = 0x95ac9329
const REFLECTED_LOW = 0xac4bc9b5

/** Entry t * 256 + byte: the low and the high half of the register that `byte` leaves after t further zero bytes. */
const LOW = new Int32Array(8 * 256)
const HIGH = new Int32Array(8 * 256)

for (let byte = 0; byte < 256; byte++) {
  let low = byte
  let high = 0
  for (let bit = 0; bit < 8; bit++) {
    const out = low & 1
    low = (low >>> 1) | (high << 31)
    high >>>= 1
    if (out) {
      low ^= REFLECTED_LOW
      high ^= REFLECTED_HIGH
    }
  }
  LOW[byte] = low
  HIGH[byte] = high
}
for (let i = 256; i < 8 * 256; i++) {
  const low = LOW[i - 256]!
  const high = HIGH[i - 256]!
  LOW[i] = ((low >>> 8) | (high << 24)) ^ LOW[low & 0xff]!
  HIGH[i] = (high >>> 8) ^ HIGH[low & 0xff]!
}

/** A running checksum. Feed it any number of ranges; the value stands in `low` and `high` at every moment. */
export class Crc64 {
  /** The low 32 bits, signed. */
  low = 0
  /** The high 32 bits, signed. */
  high = 0

  /** Continues with bytes[start, end). Allocates nothing. */
  update(bytes: Uint8Array, start: number, end: number): this {
    let low = this.low
    let high = this.high
    let at = start
    for (const stop = end - 7; at < stop; at += 8) {
      low ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      high ^= bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24)
      const a = 1792 + (low & 0xff)
      const b = 1536 + ((low >>> 8) & 0xff)
      const c = 1280 + ((low >>> 16) & 0xff)
      const d = 1024 + (low >>> 24)
      const e = 768 + (high & 0xff)
      const f = 512 + ((high >>> 8) & 0xff)
      const g = 256 + ((high >>> 16) & 0xff)
      const h = high >>> 24
      low = LOW[a]! ^ LOW[b]! ^ LOW[c]! ^ LOW[d]! ^ LOW[e]! ^ LOW[f]! ^ LOW[g]! ^ LOW[h]!
      high = HIGH[a]! ^ HIGH[b]! ^ HIGH[c]! ^ HIGH[d]! ^ HIGH[e]! ^ HIGH[f]! ^ HIGH[g]! ^ HIGH[h]!
    }
    for (; at < end; at++) {
      const index = (low ^ bytes[at]!) & 0xff
      low = ((low >>> 8) | (high << 24)) ^ LOW[index]!
      high = (high >>> 8) ^ HIGH[index]!
    }
    this.low = low
    this.high = high
    return this
  }

  reset(): void {
    this.low = 0
    this.high = 0
  }

  /** Writes the eight bytes in the order of RDB files, lowest first; returns the offset after them. */
  write(bytes: Uint8Array, at: number): number {
    for (let shift = 0; shift < 32; shift += 8) {
      bytes[at + (shift >> 3)] = this.low >>> shift
      bytes[at + 4 + (shift >> 3)] = this.high >>> shift
    }
    return at + 8
  }

  /** Whether the eight bytes at `at` hold this checksum, lowest first. */
  matches(bytes: Uint8Array, at: number): boolean {
    for (let shift = 0; shift < 32; shift += 8) {
      if (bytes[at + (shift >> 3)] !== ((this.low >>> shift) & 0xff)) return false
      if (bytes[at + 4 + (shift >> 3)] !== ((this.high >>> shift) & 0xff)) return false
    }
    return true
  }

  /** Sixteen lower-case hexadecimal digits, highest first. */
  hex(): string {
    const half = (value: number) => (value >>> 0).toString(16).padStart(8, "0")
    return half(this.high) + half(this.low)
  }
}
