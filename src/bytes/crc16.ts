/**
 * CRC-16/XMODEM (polynomial 0x1021, start 0, not reflected) and the cluster's key slot made from it.
 *
 * Source: the Redis Cluster specification, "Key distribution model" and "Hash tags".
 */

export const SLOT_COUNT = 16384

const OPEN = 0x7b
const CLOSE = 0x7d

const TABLE = new Uint16Array(256)
for (let byte = 0; byte < 256; byte++) {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  TABLE[byte] = crc
}

/** CRC of bytes[start, end), 0 to 65535. */
export function crc16(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0
  for (let i = start; i < end; i++) crc = ((crc << 8) & 0xffff) ^ TABLE[(crc >> 8) ^ bytes[i]!]!
  return crc
}

/**
 * The cluster slot of a key, 0 to 16383.
 *
 * If the key holds "{", and after the first one a "}" that is not next to it, only the bytes between those two count.
 */
export function keyHashSlot(bytes: Uint8Array, start: number, end: number): number {
  let open = start
  while (open < end && bytes[open] !== OPEN) open++
  if (open < end) {
    let close = open + 1
    while (close < end && bytes[close] !== CLOSE) close++
    if (close < end && close > open + 1) return crc16(bytes, open + 1, close) & (SLOT_COUNT - 1)
  }
  return crc16(bytes, start, end) & (SLOT_COUNT - 1)
}
