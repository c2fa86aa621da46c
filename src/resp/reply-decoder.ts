/**
 * Reads RESP2 and RESP3 replies: what a client receives. Used where we are the client (replication, MIGRATE, the
 * command line) and by every test that talks to a server.
 *
 * Two steps, so that each stays simple:
 *
 * 1. Framing. `ReplyFramer` walks the wire form of one reply with an explicit stack of "elements still to come" and
 *    finds its end. It makes no objects, validates everything, and continues at the byte where it ran out of input.
 * 2. Decoding. A complete, validated frame is turned into plain data by a recursive function that cannot fail: its
 *    depth was bounded by the framer.
 *
 * An attribute (`|n`, 2n elements) and the reply it belongs to are one frame: it is framed as an aggregate of 2n + 1
 * elements, which is why it needs no special case.
 *
 * Wire forms (https://redis.io/docs/latest/develop/reference/protocol-spec): a type byte, then a line up to CR LF
 *
 *     + simple   - error   : integer   _ null   # boolean   , double   ( big number       the line is the value
 *     $ bulk     ! bulk error          = verbatim ("txt:" and the text)                   the line is a byte length
 *     * array    ~ set     > push      % map, | attribute (pairs)                         the line is a count
 *     $-1 and *-1 are the nulls of RESP2. Streamed forms (`$?`, `*?`) are refused: no server sends them.
 *
 * Invariants
 * 1. Announced lengths and counts reserve no memory; only bytes that arrived take space.
 * 2. Every byte is looked at a bounded number of times however the input is cut: a bulk in flight is not re-scanned.
 * 3. A stream that once was malformed stays failed; there is no resynchronising.
 */

/** A reply as plain data that keeps the type it had on the wire. Byte values own their memory. */
export type Reply =
  | { type: "simple"; value: string }
  | { type: "error"; value: string }
  | { type: "bulkError"; value: string }
  | { type: "integer"; value: number | bigint }
  | { type: "bulk"; value: Uint8Array }
  | { type: "verbatim"; format: string; value: Uint8Array }
  /** `form` tells `$-1` from `*-1` from `_`. */
  | { type: "null"; form: "bulk" | "array" | "null" }
  | { type: "boolean"; value: boolean }
  /** `text` is the number exactly as it was sent. */
  | { type: "double"; value: number; text: string }
  | { type: "bigNumber"; value: bigint }
  | { type: "array"; items: Reply[] }
  | { type: "set"; items: Reply[] }
  | { type: "push"; items: Reply[] }
  | { type: "map"; entries: [Reply, Reply][] }
  | { type: "attribute"; entries: [Reply, Reply][]; of: Reply }

/** A reply without its wire type, for readers that only want the values. */
export type PlainReply =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | { error: string }
  | PlainReply[]
  | Map<PlainReply, PlainReply>
  | Set<PlainReply>

export interface ReplyLimits {
  /** Longest simple string, error, number or length line. */
  lineBytesMax: number
  bulkBytesMax: number
  /** Aggregates inside aggregates. */
  depthMax: number
}

export const defaultReplyLimits: ReplyLimits = {
  lineBytesMax: 1024 * 1024,
  bulkBytesMax: 1024 * 1024 * 1024,
  depthMax: 512,
}

/** The reply goes on after the last byte given. */
export const INCOMPLETE = -1
/** The bytes are no reply; see `ReplyFramer.failure`. */
export const MALFORMED = -2

const CR = 13
const LF = 10
const MINUS = 45
const COLON = 58
const SIMPLE = 43
const ERROR = 45
const INTEGER = 58
const NULL = 95
const BOOLEAN = 35
const DOUBLE = 44
const BIG_NUMBER = 40
const BULK = 36
const BULK_ERROR = 33
const VERBATIM = 61
const ARRAY = 42
const SET = 126
const PUSH = 62
const MAP = 37
const ATTRIBUTE = 124

const isTypeByte = new Uint8Array(256)
for (const byte of [SIMPLE, ERROR, INTEGER, NULL, BOOLEAN, DOUBLE, BIG_NUMBER, BULK, BULK_ERROR, VERBATIM]) {
  isTypeByte[byte] = 1
}
for (const byte of [ARRAY, SET, PUSH, MAP, ATTRIBUTE]) isTypeByte[byte] = 1

const initialBytes = 4096
/** A buffer that grew beyond this for a large reply is given back once it is empty. */
const retainedBytesMax = 1024 * 1024

const doubleText = /^[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|inf|nan)$/
/** A count line longer than this cannot be a number below 2^53. */
const countDigitsMax = 15

/** Finds the end of one reply. Offsets are relative to where the reply starts, so the caller may move the bytes. */
export class ReplyFramer {
  /** What was wrong, after MALFORMED. */
  failure = ""
  #limits: ReplyLimits
  /** Where the element being read starts. */
  #at = 0
  /** No progress is possible below this many bytes. */
  #need = 1
  /** Up to here the current line is known to have no CR LF. */
  #lineScanned = 0
  #depth = 0
  /** Per open aggregate: elements still to come. */
  #remaining: number[] = []

  constructor(limits: ReplyLimits = defaultReplyLimits) {
    this.#limits = limits
  }

  /** Forgets the reply in progress, ready for the next one. */
  reset(): void {
    this.#at = 0
    this.#need = 1
    this.#lineScanned = 0
    this.#depth = 0
  }

  /**
   * Continues with the reply whose bytes are `bytes[start, end)`; on each call after INCOMPLETE these are the same
   * bytes and more behind them. Returns the length of the reply in bytes (and is reset), INCOMPLETE or MALFORMED.
   * O(bytes not yet seen).
   */
  advance(bytes: Uint8Array, start: number, end: number): number {
    const available = end - start
    while (available >= this.#need) {
      if (isTypeByte[bytes[start + this.#at]!] === 0) {
        return this.#fail("unknown type byte " + bytes[start + this.#at]!)
      }
      const lineEnd = this.#findLineEnd(bytes, start, available)
      if (lineEnd < 0) return lineEnd
      const opened = this.#element(bytes, start, available, lineEnd)
      if (opened < 0) return opened
      this.#need = this.#at + 1
      this.#lineScanned = this.#at + 1
      if (opened > 0) {
        if (this.#depth === this.#limits.depthMax) return this.#fail("nesting is too deep")
        this.#remaining[this.#depth++] = opened
        continue
      }
      while (this.#depth > 0 && --this.#remaining[this.#depth - 1]! === 0) this.#depth--
      if (this.#depth === 0) {
        const length = this.#at
        this.reset()
        return length
      }
    }
    return INCOMPLETE
  }

  /** Offset of the CR that ends the current line. */
  #findLineEnd(bytes: Uint8Array, start: number, available: number): number {
    let at = Math.max(this.#lineScanned, this.#at + 1)
    while (at + 1 < available && (bytes[start + at] !== CR || bytes[start + at + 1] !== LF)) at++
    if (at - this.#at > this.#limits.lineBytesMax) return this.#fail("line is too long")
    if (at + 1 < available) return at
    this.#lineScanned = at
    this.#need = available + 1
    return INCOMPLETE
  }

  /**
   * Reads the element at `#at` and moves behind it (behind its head line for an aggregate). Returns the number of
   * elements it opens (0 when it is complete), INCOMPLETE or MALFORMED.
   */
  #element(bytes: Uint8Array, start: number, available: number, lineEnd: number): number {
    const type = bytes[start + this.#at]!
    const from = start + this.#at + 1
    const to = start + lineEnd
    const next = lineEnd + 2
    switch (type) {
      case SIMPLE:
      case ERROR:
        break
      case INTEGER:
        if (!isInteger(bytes, from, to) || to - from > 20) return this.#fail("bad integer")
        break
      case BIG_NUMBER:
        if (!isInteger(bytes, from, to)) return this.#fail("bad big number")
        break
      case NULL:
        if (from !== to) return this.#fail("bad null")
        break
      case BOOLEAN:
        if (to - from !== 1 || (bytes[from] !== 116 && bytes[from] !== 102)) return this.#fail("bad boolean")
        break
      case DOUBLE:
        if (to - from > 400 || !doubleText.test(latin1(bytes, from, to))) return this.#fail("bad double")
        break
      case BULK:
      case BULK_ERROR:
      case VERBATIM: {
        if (type === BULK && isMinusOne(bytes, from, to)) break
        const length = countIn(bytes, from, to)
        if (length < 0 || length > this.#limits.bulkBytesMax) return this.#fail("bad bulk length")
        const after = next + length + 2
        if (available < after) {
          this.#need = after
          return INCOMPLETE
        }
        if (bytes[start + after - 2] !== CR || bytes[start + after - 1] !== LF) {
          return this.#fail("bulk does not end where its length says")
        }
        if (type === VERBATIM && (length < 4 || bytes[start + next + 3] !== COLON)) {
          return this.#fail("bad verbatim string")
        }
        this.#at = after
        return 0
      }
      case ARRAY:
      case SET:
      case PUSH:
      case MAP:
      case ATTRIBUTE: {
        if (type === ARRAY && isMinusOne(bytes, from, to)) break
        const count = countIn(bytes, from, to)
        if (count < 0) return this.#fail("bad count")
        this.#at = next
        if (type === ATTRIBUTE) return count * 2 + 1
        return type === MAP ? count * 2 : count
      }
    }
    this.#at = next
    return 0
  }

  #fail(failure: string): number {
    this.failure = failure
    return MALFORMED
  }
}

/**
 * Offset behind the complete reply that starts at `at`; INCOMPLETE (-1) when more bytes are needed, MALFORMED (-2)
 * when the bytes are no reply.
 */
export function skipReply(bytes: Uint8Array, at: number, limits?: ReplyLimits): number {
  const length = new ReplyFramer(limits).advance(bytes, at, bytes.length)
  return length < 0 ? length : at + length
}

/** The reply in a frame that `skipReply`, a framer or a decoder delimited. Byte values are views into `frame`. */
export function decodeReply(frame: Uint8Array): Reply {
  return read({ bytes: frame, at: 0 })
}

/**
 * Cuts a stream of chunks into replies. Chunks are copied, so the caller may reuse them. After a malformed reply
 * `failure` is set and nothing more comes out.
 */
export class ReplyDecoder {
  /** What was wrong with the stream, or "" while it is sound. */
  failure = ""
  #framer: ReplyFramer
  #bytes = new Uint8Array(initialBytes)
  #start = 0
  #end = 0

  constructor(limits: ReplyLimits = defaultReplyLimits) {
    this.#framer = new ReplyFramer(limits)
  }

  /** Bytes received and not yet handed out. */
  get pendingBytes(): number {
    return this.#end - this.#start
  }

  push(chunk: Uint8Array): void {
    if (this.failure !== "") return
    this.#makeRoom(chunk.length)
    this.#bytes.set(chunk, this.#end)
    this.#end += chunk.length
  }

  /** The exact bytes of the next complete reply, owned by the caller, or null while there is none. */
  nextFrame(): Uint8Array | null {
    if (this.failure !== "" || this.#start === this.#end) return null
    const length = this.#framer.advance(this.#bytes, this.#start, this.#end)
    if (length === MALFORMED) this.failure = this.#framer.failure
    if (length < 0) return null
    const frame = this.#bytes.slice(this.#start, this.#start + length)
    this.#start += length
    if (this.#start === this.#end) {
      this.#start = this.#end = 0
      if (this.#bytes.length > retainedBytesMax) this.#bytes = new Uint8Array(initialBytes)
    }
    return frame
  }

  /** The next complete reply, or null while there is none. */
  next(): Reply | null {
    const frame = this.nextFrame()
    return frame === null ? null : decodeReply(frame)
  }

  /** Doubling, so that appending stays linear. Consumed bytes are dropped first when that is enough. */
  #makeRoom(length: number): void {
    if (this.#end + length <= this.#bytes.length) return
    const pending = this.pendingBytes
    let capacity = this.#bytes.length
    while (capacity < (pending + length) * 2) capacity *= 2
    const target = capacity > this.#bytes.length ? new Uint8Array(capacity) : this.#bytes
    target.set(this.#bytes.subarray(this.#start, this.#end))
    this.#bytes = target
    this.#start = 0
    this.#end = pending
  }
}

/**
 * The values without their wire types: strings are read as UTF-8 (as bytes with `bytes: true`), errors become
 * `{ error }`, maps and sets their namesakes, pushes arrays; attributes are left out.
 */
export function toPlain(reply: Reply, options: { bytes?: boolean } = {}): PlainReply {
  switch (reply.type) {
    case "simple":
    case "integer":
    case "boolean":
    case "double":
    case "bigNumber":
      return reply.value
    case "error":
    case "bulkError":
      return { error: reply.value }
    case "bulk":
    case "verbatim":
      return options.bytes ? reply.value : utf8(reply.value)
    case "null":
      return null
    case "array":
    case "push":
      return reply.items.map(item => toPlain(item, options))
    case "set":
      return new Set(reply.items.map(item => toPlain(item, options)))
    case "map":
      return new Map(reply.entries.map(([key, value]) => [toPlain(key, options), toPlain(value, options)]))
    case "attribute":
      return toPlain(reply.of, options)
  }
}

interface Cursor {
  bytes: Uint8Array
  at: number
}

/** Reads one element of a validated frame and moves the cursor behind it. */
function read(cursor: Cursor): Reply {
  const type = cursor.bytes[cursor.at]!
  const from = cursor.at + 1
  let to = cursor.bytes.indexOf(CR, from)
  while (cursor.bytes[to + 1] !== LF) to = cursor.bytes.indexOf(CR, to + 1)
  cursor.at = to + 2
  switch (type) {
    case SIMPLE:
      return { type: "simple", value: utf8(cursor.bytes.subarray(from, to)) }
    case ERROR:
      return { type: "error", value: utf8(cursor.bytes.subarray(from, to)) }
    case NULL:
      return { type: "null", form: "null" }
    case BOOLEAN:
      return { type: "boolean", value: cursor.bytes[from] === 116 }
    case INTEGER:
      return { type: "integer", value: integer(latin1(cursor.bytes, from, to)) }
    case BIG_NUMBER:
      return { type: "bigNumber", value: bigInteger(latin1(cursor.bytes, from, to)) }
    case DOUBLE: {
      const text = latin1(cursor.bytes, from, to)
      return { type: "double", value: double(text), text }
    }
  }
  const count = isMinusOne(cursor.bytes, from, to) ? -1 : countIn(cursor.bytes, from, to)
  switch (type) {
    case BULK:
      return count < 0 ? { type: "null", form: "bulk" } : { type: "bulk", value: take(cursor, count) }
    case BULK_ERROR:
      return { type: "bulkError", value: utf8(take(cursor, count)) }
    case VERBATIM: {
      const whole = take(cursor, count)
      return { type: "verbatim", format: latin1(whole, 0, 3), value: whole.subarray(4) }
    }
    case ARRAY:
      return count < 0 ? { type: "null", form: "array" } : { type: "array", items: readItems(cursor, count) }
    case SET:
      return { type: "set", items: readItems(cursor, count) }
    case PUSH:
      return { type: "push", items: readItems(cursor, count) }
    case MAP:
      return { type: "map", entries: readEntries(cursor, count) }
    case ATTRIBUTE: {
      const entries = readEntries(cursor, count)
      return { type: "attribute", entries, of: read(cursor) }
    }
    default:
      throw new Error("not a reply frame: type byte " + type)
  }
}

function readItems(cursor: Cursor, count: number): Reply[] {
  const items: Reply[] = []
  for (let i = 0; i < count; i++) items.push(read(cursor))
  return items
}

function readEntries(cursor: Cursor, count: number): [Reply, Reply][] {
  const entries: [Reply, Reply][] = []
  for (let i = 0; i < count; i++) {
    const key = read(cursor)
    entries.push([key, read(cursor)])
  }
  return entries
}

/** The next `length` bytes, moving behind the CR LF that follows them. */
function take(cursor: Cursor, length: number): Uint8Array {
  const from = cursor.at
  cursor.at += length + 2
  return cursor.bytes.subarray(from, from + length)
}

function isMinusOne(bytes: Uint8Array, from: number, to: number): boolean {
  return to - from === 2 && bytes[from] === MINUS && bytes[from + 1] === 49
}

/** An optional sign and at least one digit. */
function isInteger(bytes: Uint8Array, from: number, to: number): boolean {
  let at = from
  if (bytes[at] === MINUS || bytes[at] === 43) at++
  if (at >= to) return false
  for (; at < to; at++) if (bytes[at]! < 48 || bytes[at]! > 57) return false
  return true
}

/** A length or count: digits only, below 10^15; -1 otherwise. */
function countIn(bytes: Uint8Array, from: number, to: number): number {
  if (from === to || to - from > countDigitsMax) return -1
  let count = 0
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - 48
    if (digit < 0 || digit > 9) return -1
    count = count * 10 + digit
  }
  return count
}

function integer(text: string): number | bigint {
  const number = Number(text)
  if (Number.isSafeInteger(number)) return number === 0 ? 0 : number
  return bigInteger(text)
}

function bigInteger(text: string): bigint {
  return text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text.startsWith("+") ? text.slice(1) : text)
}

function double(text: string): number {
  if (text.endsWith("inf")) return text.startsWith("-") ? -Infinity : Infinity
  return text.endsWith("nan") ? Number.NaN : Number(text)
}

const utf8Decoder = new TextDecoder("utf-8", { ignoreBOM: true })

function utf8(bytes: Uint8Array): string {
  return utf8Decoder.decode(bytes)
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  let text = ""
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at]!)
  return text
}
