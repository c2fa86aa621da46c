/**
 * The packed forms of Redis before 7.0, turned into listpacks. Nothing is believed: each step checks that what it reads lies
 * inside.
 *
 *   ziplist  bytes u32 | offset of the last entry u32 | count u16 | entries | FF                       (little-endian)
 *   entry    length of the entry before (1 byte, or FE and u32) | encoding | data
 *            00llllll | 01llllll l8 | 80 l32 (big-endian): a string
 *            C0 int16 | D0 int32 | E0 int64 | F0 int24 | FE int8 (little-endian) | F1 … FD: 0 … 12
 *   zipmap   count u8 | entries | FF
 *   entry    length, key, length, unused bytes u8, value, the unused bytes; a length is u8 below 254, or FE and u32
 */

import { writeInt64 } from "../bytes/int64.ts"
import type { ListpackBuilder } from "./listpack-builder.ts"

const ZIPLIST_HEADER_BYTES = 10
const END = 0xff
const LONG_MARK = 0xfe
const COUNT_UNKNOWN = 0xffff
const text = new Uint8Array(24)

/** Fills the builder with the entries of the ziplist bytes[start, end); false when it is none. */
export function convertZiplist(bytes: Uint8Array, start: number, end: number, into: ListpackBuilder): boolean {
  into.begin()
  if (end - start < ZIPLIST_HEADER_BYTES + 1 || word(bytes, start) !== end - start || bytes[end - 1] !== END)
    return false
  const last = end - 1
  let at = start + ZIPLIST_HEADER_BYTES
  let before = start + ZIPLIST_HEADER_BYTES
  let previousLength = 0
  while (at < last) {
    const from = at
    before = from
    let claimed = bytes[at++]!
    if (claimed === END) return false
    if (claimed === LONG_MARK) {
      if (at + 4 > last) return false
      claimed = word(bytes, at)
      at += 4
    }
    if (claimed !== previousLength || at >= last) return false
    const next = convertZiplistEntry(bytes, at, last, into)
    if (next < 0) return false
    at = next
    previousLength = at - from
  }
  const count = bytes[start + 8]! | (bytes[start + 9]! << 8)
  if (count !== COUNT_UNKNOWN && count !== into.count) return false
  if (word(bytes, start + 4) !== before - start) return false
  into.end()
  return true
}

/** The entry whose encoding is at `at`; returns where the next one begins, or -1. */
function convertZiplistEntry(bytes: Uint8Array, at: number, last: number, into: ListpackBuilder): number {
  const head = bytes[at]!
  if (head < 0xc0) {
    const lengthBytes = head < 0x40 ? 1 : head < 0x80 ? 2 : 5
    if (at + lengthBytes > last || (lengthBytes === 5 && head !== 0x80)) return -1
    const length =
      lengthBytes === 1
        ? head
        : lengthBytes === 2
          ? ((head & 0x3f) << 8) | bytes[at + 1]!
          : ((bytes[at + 1]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | bytes[at + 4]!) >>> 0
    const from = at + lengthBytes
    if (from + length > last) return -1
    into.text(bytes, from, from + length)
    return from + length
  }
  if (head > 0xf0 && head < 0xfe) {
    into.integer(head - 0xf1)
    return at + 1
  }
  const width = head === 0xfe ? 1 : head === 0xc0 ? 2 : head === 0xf0 ? 3 : head === 0xd0 ? 4 : head === 0xe0 ? 8 : 0
  const from = at + 1
  if (width === 0 || from + width > last) return -1
  if (width === 8) {
    let value = 0n
    for (let i = 7; i >= 0; i--) value = (value << 8n) | BigInt(bytes[from + i]!)
    into.text(text, 0, writeInt64(text, 0, BigInt.asIntN(64, value)))
  } else {
    let value = 0
    for (let i = width - 1; i >= 0; i--) value = (value << 8) | bytes[from + i]!
    into.integer((value << (32 - 8 * width)) >> (32 - 8 * width))
  }
  return from + width
}

/** Fills the builder with the keys and values of the zipmap bytes[start, end); false when it is none, or empty. */
export function convertZipmap(bytes: Uint8Array, start: number, end: number, into: ListpackBuilder): boolean {
  into.begin()
  if (end - start < 2 || bytes[end - 1] !== END) return false
  const last = end - 1
  let at = start + 1
  let isValue = false
  while (at < last) {
    let length = bytes[at++]!
    if (length === END) return false
    if (length === LONG_MARK) {
      if (at + 4 > last) return false
      length = word(bytes, at)
      at += 4
    }
    let unused = 0
    if (isValue) {
      if (at >= last) return false
      unused = bytes[at++]!
    }
    if (at + length + unused > last) return false
    into.text(bytes, at, at + length)
    at += length + unused
    isValue = !isValue
  }
  if (isValue || at !== last || into.count === 0) return false
  const count = bytes[start]!
  if (count < LONG_MARK && count !== into.count >> 1) return false
  into.end()
  return true
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}
