/**
 * Appends replies to one growing buffer, as RESP2 or RESP3. Every method writes complete bytes; nothing is kept between.
 *
 * Aggregates announce their length first. Where it is not known, `begin` marks a place and `endArray`, `endMap` or
 * `endSet` slides the body behind the header written then.
 */

import { bytesOf, copyBytes, uncleared } from "../bytes/compare.ts"
import { formatDouble } from "../bytes/double.ts"
import { writeInteger } from "../bytes/int64.ts"

const CR = 13
const LF = 10
const INITIAL_BYTES = 64 * 1024
/** A buffer grown beyond this is given back when it is empty again. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024

const OK = bytesOf("+OK\r\n")
const NULL_BULK = bytesOf("$-1\r\n")
const NULL_ARRAY = bytesOf("*-1\r\n")
const NULL3 = bytesOf("_\r\n")
const SIMPLE = 43
const ERROR = 45
const INTEGER = 58
const BULK = 36
const ARRAY = 42
const MAP = 37
const SET = 126
const PUSH = 62
const ATTRIBUTE = 124

export class ReplyWriter {
  bytes: Uint8Array = uncleared(INITIAL_BYTES)
  at = 0
  /** The protocol of the client being answered. */
  resp3 = false

  /** Makes room for `count` more bytes. */
  ensure(count: number): void {
    if (this.at + count > this.bytes.length) this.grow(count)
  }

  /** True when the buffer has grown so large that `reset` will give it up: until then parts of it may be kept as they are. */
  get letsGo(): boolean {
    return this.bytes.length > KEPT_BYTES_MAX
  }

  /** Empties the buffer. */
  reset(): void {
    this.at = 0
    if (this.letsGo) this.bytes = uncleared(INITIAL_BYTES)
  }

  ok(): void {
    this.raw(OK)
  }

  /** Complete reply bytes, made beforehand. */
  raw(reply: Uint8Array): void {
    this.ensure(reply.length)
    copyBytes(reply, 0, reply.length, this.bytes, this.at)
    this.at += reply.length
  }

  simple(text: string): void {
    this.ensure(text.length + 3)
    this.bytes[this.at++] = SIMPLE
    this.text(text)
    this.newline()
  }

  /** An error with its code, e.g. "ERR syntax error". Line ends inside become spaces, as they would break the protocol. */
  error(text: string): void {
    this.ensure(text.length + 3)
    this.bytes[this.at++] = ERROR
    const from = this.at
    this.text(text)
    for (let i = from; i < this.at; i++) if (this.bytes[i] === CR || this.bytes[i] === LF) this.bytes[i] = 32
    this.newline()
  }

  integer(n: number): void {
    this.header(INTEGER, n)
  }

  int64(n: number | bigint): void {
    if (typeof n === "number") this.header(INTEGER, n)
    else this.line(INTEGER, n.toString())
  }

  bulk(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    this.ensure(length + 32)
    const to = this.bytes
    const at = writeLine(to, this.at, BULK, length)
    copyBytes(bytes, start, end, to, at)
    to[at + length] = CR
    to[at + length + 1] = LF
    this.at = at + length + 2
  }

  /** A bulk of UTF-8 text. */
  bulkText(text: string): void {
    this.ensure(text.length * 3 + 32)
    let ascii = true
    for (let i = 0; i < text.length && ascii; i++) ascii = text.charCodeAt(i) < 0x80
    if (!ascii) {
      const bytes = bytesOf(text)
      this.bulk(bytes, 0, bytes.length)
      return
    }
    this.header(BULK, text.length)
    this.text(text)
    this.newline()
  }

  /** An integer as a bulk. */
  bulkInteger(n: number | bigint): void {
    this.bulkText(n.toString())
  }

  /** The missing value where a bulk is expected. */
  null(): void {
    this.raw(this.resp3 ? NULL3 : NULL_BULK)
  }

  /** The missing value where an array is expected. */
  nullArray(): void {
    this.raw(this.resp3 ? NULL3 : NULL_ARRAY)
  }

  array(length: number): void {
    this.header(ARRAY, length)
  }

  /** A map of `pairs` pairs; in RESP2 an array of twice as many. */
  map(pairs: number): void {
    if (this.resp3) this.header(MAP, pairs)
    else this.header(ARRAY, pairs * 2)
  }

  set(length: number): void {
    this.header(this.resp3 ? SET : ARRAY, length)
  }

  push(length: number): void {
    this.header(this.resp3 ? PUSH : ARRAY, length)
  }

  /** An attribute of `pairs` pairs; RESP3 only. */
  attribute(pairs: number): void {
    this.header(ATTRIBUTE, pairs)
  }

  /** A double: its own type in RESP3, a bulk in RESP2. */
  double(value: number): void {
    if (this.resp3) this.line(44, formatDouble(value))
    else this.bulkText(formatDouble(value))
  }

  boolean(value: boolean): void {
    if (!this.resp3) this.integer(value ? 1 : 0)
    else this.line(35, value ? "t" : "f")
  }

  bigNumber(digits: string): void {
    if (!this.resp3) this.bulkText(digits)
    else this.line(40, digits)
  }

  /** Text with a three-letter format, "txt" or "mkd"; a bulk in RESP2. */
  verbatim(format: string, text: string): void {
    if (!this.resp3) {
      this.bulkText(text)
      return
    }
    const bytes = bytesOf(text)
    this.ensure(bytes.length + 40)
    this.header(61, bytes.length + 4)
    this.text(`${format}:`)
    this.raw(bytes)
    this.ensure(2)
    this.newline()
  }

  /** Marks where an aggregate of unknown length begins. */
  begin(): number {
    return this.at
  }

  endArray(mark: number, length: number): void {
    this.slide(mark, ARRAY, length)
  }

  endMap(mark: number, pairs: number): void {
    if (this.resp3) this.slide(mark, MAP, pairs)
    else this.slide(mark, ARRAY, pairs * 2)
  }

  endSet(mark: number, length: number): void {
    this.slide(mark, this.resp3 ? SET : ARRAY, length)
  }

  private slide(mark: number, code: number, length: number): void {
    const end = this.at
    this.header(code, length)
    const headerLength = this.at - end
    const header = this.bytes.slice(end, this.at)
    this.bytes.copyWithin(mark + headerLength, mark, end)
    this.bytes.set(header, mark)
  }

  private header(code: number, n: number): void {
    this.ensure(32)
    this.at = writeLine(this.bytes, this.at, code, n)
  }

  private line(code: number, text: string): void {
    this.ensure(text.length + 3)
    this.bytes[this.at++] = code
    this.text(text)
    this.newline()
  }

  /** Text as one byte per character: what came in as bytes (latin1) goes out as the same bytes. */
  private text(text: string): void {
    const bytes = this.bytes
    let at = this.at
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i)
    this.at = at
  }

  private newline(): void {
    this.bytes[this.at] = CR
    this.bytes[this.at + 1] = LF
    this.at += 2
  }

  private grow(count: number): void {
    const larger = uncleared(Math.max(this.bytes.length * 2, this.at + count))
    larger.set(this.bytes.subarray(0, this.at))
    this.bytes = larger
  }
}

/** Writes a type's code, a number and the end of the line; returns the offset behind. */
function writeLine(bytes: Uint8Array, at: number, code: number, n: number): number {
  bytes[at] = code
  let end = at + 2
  if (n >= 0 && n < 10) bytes[at + 1] = 48 + n
  else end = writeInteger(bytes, at + 1, n)
  bytes[end] = CR
  bytes[end + 1] = LF
  return end + 2
}
