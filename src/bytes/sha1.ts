/**
 * SHA-1 (FIPS 180-4), which names scripts (SCRIPT LOAD, EVALSHA) and serves redis.sha1hex; not used for security.
 *
 * Plain and self-contained, so that the pure rooms need nothing from the runtime.
 */

const SCHEDULE = new Int32Array(80)

/** The 20-byte digest of bytes[start, end), in a fresh array. */
export function sha1(bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array<ArrayBuffer> {
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0)
  const length = end - start
  let at = start
  for (; at + 64 <= end; at += 64) compress(state, bytes, at)

  // The rest, the bit 1, zeros, and the length in bits as 64 bits: one block, or two if it does not fit.
  const rest = end - at
  const tail = new Uint8Array(rest < 56 ? 64 : 128)
  for (let i = 0; i < rest; i++) tail[i] = bytes[at + i]!
  tail[rest] = 0x80
  const view = new DataView(tail.buffer)
  view.setUint32(tail.length - 8, Math.floor(length / 0x20000000))
  view.setUint32(tail.length - 4, length << 3)
  for (let i = 0; i < tail.length; i += 64) compress(state, tail, i)

  const digest = new Uint8Array(20)
  const out = new DataView(digest.buffer)
  for (let i = 0; i < 5; i++) out.setInt32(i * 4, state[i]!)
  return digest
}

/** The digest as forty lower-case hexadecimal digits. */
export function sha1Hex(bytes: Uint8Array, start = 0, end = bytes.length): string {
  let hex = ""
  for (const byte of sha1(bytes, start, end)) hex += (byte < 16 ? "0" : "") + byte.toString(16)
  return hex
}

function compress(state: Int32Array, bytes: Uint8Array, at: number): void {
  const w = SCHEDULE
  for (let i = 0; i < 16; i++, at += 4) {
    w[i] = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }
  for (let i = 16; i < 80; i++) {
    const mixed = w[i - 3]! ^ w[i - 8]! ^ w[i - 14]! ^ w[i - 16]!
    w[i] = (mixed << 1) | (mixed >>> 31)
  }
  let a = state[0]!
  let b = state[1]!
  let c = state[2]!
  let d = state[3]!
  let e = state[4]!
  for (let i = 0; i < 80; i++) {
    let mixed: number
    if (i < 20) mixed = ((b & c) | (~b & d)) + 0x5a827999
    else if (i < 40) mixed = (b ^ c ^ d) + 0x6ed9eba1
    else if (i < 60) mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
    else mixed = (b ^ c ^ d) + 0xca62c1d6
    const next = (((a << 5) | (a >>> 27)) + mixed + e + w[i]!) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  state[0]! += a
  state[1]! += b
  state[2]! += c
  state[3]! += d
  state[4]! += e
}
