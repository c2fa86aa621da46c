/**
 * The numbers of the RDB format, and its errors. They are on disks everywhere: none may ever change
 * (test/rdb/format.test.ts holds them).
 *
 *   file     magic, records, EOF, checksum
 *   magic    "REDIS" or, since Valkey 9, "VALKEY", then the version, zero-padded: nine bytes in all
 *   record   opcode (EXPIRETIME_MS … AUX) with its data, or type, key, value
 *   DUMP     type, value, version (2 bytes, little-endian), checksum
 *
 *   length   00llllll | 01llllll l8 | 0x80 l32 | 0x81 l64   (big-endian), or 11eeeeee: a string in the encoding e
 *   string   length, bytes | C0 int8 | C1 int16 | C2 int32 (little-endian) | C3 compressed length, length, LZF
 *
 * Facts: Redis's rdb.h and rdb.c (4f8cdc2), files of Redis 7.0.15, 8.0-m01 and Valkey 8. Of versions 13 and 14, and of Valkey
 * 9, there were only descriptions.
 */

/** Versions: what Redis 7.0, 7.2 and 7.4 write. */
export const VERSION_7_0 = 10
export const VERSION_7_2 = 11
export const VERSION_7_4 = 12
/** The newest version that is read: Redis 8.8. What 8.4 and newer have and we do not is refused by its type. */
export const VERSION_MAX = 14
/** What Valkey 9 writes, with a magic of its own: another branch, where numbers from 22 on mean other types. */
export const VERSION_VALKEY_9 = 80

export const RdbType = {
  String: 0,
  List: 1,
  Set: 2,
  /** Scores in decimal. */
  ZsetText: 3,
  Hash: 4,
  /** Scores as doubles. */
  Zset: 5,
  ModulePreGa: 6,
  Module: 7,
  HashZipmap: 9,
  ListZiplist: 10,
  SetIntset: 11,
  ZsetZiplist: 12,
  HashZiplist: 13,
  /** Nodes are ziplists. */
  ListZiplists: 14,
  Stream1: 15,
  HashListpack: 16,
  ZsetListpack: 17,
  /** Nodes are listpacks, or plain elements. */
  ListListpacks: 18,
  Stream2: 19,
  /** Redis 7.2. */
  SetListpack: 20,
  /** Redis 7.2: consumers have an active time. */
  Stream3: 21,
  /** Redis 7.4 release candidates: field expiries without the earliest one in front. */
  HashExpiringPreGa: 22,
  HashListpackExpiringPreGa: 23,
  /** Redis 7.4: hashes whose fields expire. */
  HashExpiring: 24,
  HashListpackExpiring: 25,
  /** Redis 8.6: names of messages. Redis 8.8: entries given back. */
  Stream4: 26,
  Stream5: 27,
  /** Valkey 9: hashes whose fields expire. Written as 22 there; here it has a number of its own. */
  HashValkey: 256 + 22,
} as const

export const Opcode = {
  /** Valkey 9. */
  SlotImport: 243,
  SlotInfo: 244,
  Function2: 245,
  FunctionPreGa: 246,
  ModuleAux: 247,
  Idle: 248,
  Frequency: 249,
  Aux: 250,
  ResizeDb: 251,
  ExpiryMs: 252,
  ExpirySeconds: 253,
  SelectDb: 254,
  End: 255,
} as const

/** The type that a byte of a file or payload of this version stands for. */
export function typeOfByte(byte: number, version: number): number {
  return byte === RdbType.HashExpiringPreGa && version === VERSION_VALKEY_9 ? RdbType.HashValkey : byte
}

/** Whether files and payloads of this version can be read. */
export function isKnownVersion(version: number): boolean {
  return (version >= 1 && version <= VERSION_MAX) || version === VERSION_VALKEY_9
}

/** Encodings of strings that are not just their bytes: the low six bits of a first byte of 11xxxxxx. */
export const StringEncoding = { Int8: 0, Int16: 1, Int32: 2, Lzf: 3 } as const

/** Containers of a list's nodes (RdbType.ListListpacks). */
export const ListNode = { Plain: 1, Packed: 2 } as const

/** A file or payload that is not what it should be: where, and why. */
export class RdbError extends Error {
  /** Bytes from the beginning of the file or payload. */
  readonly offset: number
  readonly reason: string

  constructor(offset: number, reason: string) {
    super(`${reason} (at byte ${offset})`)
    this.offset = offset
    this.reason = reason
  }
}
