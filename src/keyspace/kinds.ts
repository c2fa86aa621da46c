/**
 * The kinds of value a key can hold, as kept in the 4-bit type of its record. One kind per form, so that what OBJECT
 * ENCODING reports needs no look at the value. The numbers live in memory only.
 */

import { INT64_TEXT_BYTES_MAX, isCanonicalInt64 } from "../bytes/int64.ts"

const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39

export const Kind = {
  /** A string that is the canonical text of a 64-bit integer and was stored as such. */
  StringInt: 1,
  /** A string of at most 44 bytes. */
  StringEmbstr: 2,
  StringRaw: 3,
  /** A listpack of field, value, field, value … */
  HashPacked: 4,
  /** A ByteMap field → value. */
  HashTable: 5,
  /** A listpack of elements. */
  ListPacked: 6,
  ListChunks: 7,
  SetInts: 8,
  SetPacked: 9,
  /** A ByteMap member → nothing. */
  SetTable: 10,
  /** A listpack of member, score, … ascending by score. */
  ZsetPacked: 11,
  /** ByteMap member → score, with a score tree. */
  ZsetTree: 12,
  Stream: 13,
  /** A listpack of field, value, expiry triplets (0: none), ascending by expiry. */
  HashPackedExpiring: 14,
} as const
export type Kind = (typeof Kind)[keyof typeof Kind]

export const ValueType = { None: 0, String: 1, Hash: 2, List: 3, Set: 4, Zset: 5, Stream: 6 } as const
export type ValueType = (typeof ValueType)[keyof typeof ValueType]

const TYPE_OF_KIND: readonly ValueType[] = [
  ValueType.None,
  ValueType.String,
  ValueType.String,
  ValueType.String,
  ValueType.Hash,
  ValueType.Hash,
  ValueType.List,
  ValueType.List,
  ValueType.Set,
  ValueType.Set,
  ValueType.Set,
  ValueType.Zset,
  ValueType.Zset,
  ValueType.Stream,
  ValueType.Hash,
]

const TYPE_NAMES = ["none", "string", "hash", "list", "set", "zset", "stream"] as const

const ENCODING_OF_KIND = [
  "",
  "int",
  "embstr",
  "raw",
  "listpack",
  "hashtable",
  "listpack",
  "quicklist",
  "intset",
  "listpack",
  "hashtable",
  "listpack",
  "skiplist",
  "stream",
  "listpackex",
] as const

export function typeOfKind(kind: number): ValueType {
  return TYPE_OF_KIND[kind]!
}

/** As TYPE answers. */
export function typeName(type: number): string {
  return TYPE_NAMES[type]!
}

/** As OBJECT ENCODING answers. */
export function encodingName(kind: number): string {
  return ENCODING_OF_KIND[kind]!
}

/** Strings up to this long are reported as embstr. */
export const EMBSTR_BYTES_MAX = 44

/** The kind of a string that is set to the bytes given. */
export function kindOfText(bytes: Uint8Array, start: number, end: number): Kind {
  const length = end - start
  if (length <= INT64_TEXT_BYTES_MAX) {
    const first = bytes[start]!
    if (((first >= ZERO && first <= NINE) || first === MINUS) && isCanonicalInt64(bytes, start, end)) {
      return Kind.StringInt
    }
  }
  return kindOfLength(length)
}

/** The kind of a string that is stored as text even where it spells an integer. */
export function kindOfLength(length: number): Kind {
  return length <= EMBSTR_BYTES_MAX ? Kind.StringEmbstr : Kind.StringRaw
}
