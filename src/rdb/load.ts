/**
 * Reads an RDB file into databases, in slices, from chunks that come from anywhere.
 *
 *     const input = new RdbInput({ total: fileBytes, checksum: config.values.rdbchecksum })
 *     const report = new LoadReport()
 *     const steps = decodeRdb(input, keyspace.databases, options, report)
 *     for (;;) {
 *       const step = steps.next()
 *       if (step.done) break
 *       if (step.value === NEED_DATA) {
 *         // a file:  input.fill((buffer, start, end) => readSync(fd, buffer, start, end - start))
 *         // a socket: wait for a chunk, then input.push(chunk); input.finish() when the connection is lost
 *       } else await pause()   // PAUSE: some hundred microseconds of work are done; report tells how far it is
 *     }
 *     // input.rest(): what came behind the file (an append-only file's tail, a replication stream)
 *
 * Everything that is wrong throws an RdbError with offset and reason; what was loaded until then is in the databases. Memory
 * is bounded by what has come: announced lengths are not believed.
 *
 * Nothing is told to anybody (no notifications, nothing propagated, `dirty` stays): loading is the business of the caller.
 * Keys are stored under a database's own events being silent; field expiries are entered into keyspace.fieldExpiry.
 *
 *   record ── type, key, value ──▶ next record        opcodes before it are notes on it: expiry, idle time, frequency
 *      └──── End ──▶ checksum ──▶ done
 */

import { latin1 } from "../bytes/compare.ts"
import type { Config } from "../config/config.ts"
import type { Database } from "../keyspace/db.ts"
import type { Keyspace } from "../keyspace/keyspace.ts"
import { ValueDecoder } from "./decode-value.ts"
import { ValueLimits } from "./decoded-value.ts"
import { applyExtra, EXTRA_PREFIX } from "./extras.ts"
import { isKnownVersion, Opcode, RdbError, typeOfByte, VERSION_VALKEY_9 } from "./format.ts"
import { type DecodeStep, NEED_DATA, PAUSE, type RdbInput } from "./input.ts"
import { TextKeeper } from "./packed-check.ts"

export { type DecodeStep, NEED_DATA, PAUSE, RdbInput } from "./input.ts"

/** Between two pauses: whatever comes first. */
const BYTES_PER_STEP = 64 * 1024
const KEYS_PER_STEP = 512
const MAGIC_BYTES = 9
/** Names of empty keys that are kept. */
const EMPTY_NAMES_MAX = 10
const CHECKSUM_BYTES = 8

export interface LoadOptions {
  /** From `loadOptions`. */
  limits: ValueLimits
  /** Whether keys whose time is up are stored (on a replica, whose master will delete them, and in an append-only file). */
  keepExpired: boolean
  /** What to do with a key that is there already: an error (a file must not have it twice), or replace it. */
  duplicates: "refuse" | "replace"
  /** Whether a checksum that is there must be right. */
  verifyChecksum: boolean
  /** Called for the source of each function library, in order. It may throw to refuse the file. */
  onFunction?: (source: Uint8Array) => void
  /** Called for each key that is left out because its time is up: the first `length` bytes, borrowed. */
  onExpired?: (db: Database, key: Uint8Array, length: number) => void
}

/** Options for reading one's own files at start; change what is different. */
export function loadOptions(config: Config): LoadOptions {
  const { values } = config
  return {
    limits: new ValueLimits(values, values.sanitizeDumpPayload === "yes"),
    keepExpired: false,
    duplicates: "refuse",
    verifyChecksum: values.rdbchecksum,
  }
}

/** What has been read; may be looked at any time. */
export class LoadReport {
  version = 0
  /** Keys stored. */
  keys = 0
  /** Keys left out because their time was up. */
  expired = 0
  /** Keys left out because there was nothing in them, and the names of the first of them. */
  empty = 0
  readonly emptyNames: string[] = []
  /** Keys with an expiry among those stored. */
  expires = 0
  /** "redis-ver", "repl-id", "repl-offset", "aof-base" … */
  readonly aux = new Map<string, string>()
  functions = 0
  /** Bytes read; after the end, the length of the file within the stream. */
  get bytes(): number {
    return this.input?.offset ?? 0
  }
  /** What is being read. */
  input: RdbInput | undefined
  /** Set at the end: there was a checksum, and it was right. */
  isVerified = false
}

export function* decodeRdb(
  input: RdbInput,
  databases: readonly Database[],
  options: LoadOptions,
  report = new LoadReport(),
): Generator<DecodeStep, LoadReport> {
  const { keyspace } = databases[0]!
  const loader = new Loader(input, databases, keyspace, options, report)
  report.input = input
  yield* loader.magic()
  yield* loader.records()
  yield* loader.checksum()
  return report
}

class Loader {
  private readonly input: RdbInput
  private readonly databases: readonly Database[]
  private readonly keyspace: Keyspace
  private readonly options: LoadOptions
  private readonly report: LoadReport
  private readonly decoder: ValueDecoder
  private readonly key = new TextKeeper()
  private db: Database
  /** Notes on the next key. */
  private expiry = 0
  private idleSeconds = -1
  private frequency = -1
  /** Whether the last record has become a key. */
  private isStored = false

  constructor(
    input: RdbInput,
    databases: readonly Database[],
    keyspace: Keyspace,
    options: LoadOptions,
    report: LoadReport,
  ) {
    this.input = input
    this.databases = databases
    this.keyspace = keyspace
    this.options = options
    this.report = report
    this.decoder = new ValueDecoder(keyspace, options.limits)
    this.db = databases[0]!
  }

  *magic(): Generator<DecodeStep, void> {
    const { input } = this
    while (!input.raw(MAGIC_BYTES)) yield NEED_DATA
    const magic = latin1(input.bytes, input.start, input.stop)
    const isValkey = magic.startsWith("VALKEY")
    if (!isValkey && !magic.startsWith("REDIS")) throw new RdbError(0, "wrong signature: this is no RDB file")
    const digits = magic.slice(isValkey ? 6 : 5)
    const version = /^\d+$/.test(digits) ? Number(digits) : 0
    if (!isKnownVersion(version) || isValkey !== (version === VERSION_VALKEY_9)) {
      throw new RdbError(0, `RDB version ${digits} cannot be handled`)
    }
    this.report.version = version
  }

  *records(): Generator<DecodeStep, void> {
    const { input, report } = this
    let pauseAt = input.offset + BYTES_PER_STEP
    let pauseAtKey = report.keys + KEYS_PER_STEP
    for (;;) {
      while (!input.has(1)) yield NEED_DATA
      const type = typeOfByte(input.byte(), report.version)
      if (type === Opcode.End) return
      if (type >= Opcode.SlotImport && type <= Opcode.End) {
        yield* this.opcode(type)
        continue
      }
      while (!input.text()) yield NEED_DATA
      if (input.isLong) yield* input.gather()
      // Reading the value may move the window, or use the same scratch.
      this.key.keep(input.bytes, input.start, input.stop)
      if (!this.decoder.quick(input, type)) yield* this.decoder.slow(input, type)
      this.store()
      if (input.offset < pauseAt && report.keys < pauseAtKey) continue
      pauseAt = input.offset + BYTES_PER_STEP
      pauseAtKey = report.keys + KEYS_PER_STEP
      yield PAUSE
    }
  }

  *checksum(): Generator<DecodeStep, void> {
    const { input, options, report } = this
    if (report.version < 5) return
    input.seal()
    const { low, high } = input.checksum
    while (!input.raw(CHECKSUM_BYTES)) yield NEED_DATA
    const { bytes, start } = input
    let isZero = true
    for (let i = 0; i < CHECKSUM_BYTES; i++) if (bytes[start + i] !== 0) isZero = false
    if (isZero || !options.verifyChecksum) return
    for (let shift = 0; shift < 32; shift += 8) {
      const i = start + (shift >> 3)
      if (bytes[i] !== ((low >>> shift) & 0xff) || bytes[i + 4] !== ((high >>> shift) & 0xff)) {
        input.fail("wrong checksum")
      }
    }
    report.isVerified = true
  }

  private *opcode(opcode: number): Generator<DecodeStep, void> {
    const { input, report } = this
    switch (opcode) {
      case Opcode.ExpiryMs:
        while (!input.time()) yield NEED_DATA
        // 0 means none in a record; a time before 1970 is past all the same.
        this.expiry = Math.max(1, input.value)
        return
      case Opcode.ExpirySeconds:
        while (!input.has(4)) yield NEED_DATA
        this.expiry = 0
        for (let i = 3; i >= 0; i--) this.expiry = this.expiry * 256 + input.peek(i)
        input.skip(4)
        this.expiry = Math.max(1, this.expiry * 1000)
        return
      case Opcode.Idle:
        this.idleSeconds = yield* this.count()
        return
      case Opcode.Frequency:
        while (!input.has(1)) yield NEED_DATA
        this.frequency = input.byte()
        return
      case Opcode.SelectDb: {
        const index = yield* this.count()
        const db = this.databases[index]
        if (db === undefined)
          return input.fail(`there are only ${this.databases.length} databases, and here is ${index}`)
        this.db = db
        return
      }
      case Opcode.ResizeDb:
        yield* this.count()
        yield* this.count()
        return
      case Opcode.SlotInfo:
        for (let i = 0; i < 3; i++) yield* this.count()
        return
      case Opcode.Aux: {
        const name = yield* this.shortText()
        if (name.startsWith(EXTRA_PREFIX)) yield* this.extra(name)
        else report.aux.set(name, yield* this.shortText())
        return
      }
      case Opcode.Function2: {
        while (!input.text()) yield NEED_DATA
        if (input.isLong) yield* input.gather()
        report.functions++
        this.options.onFunction?.(input.bytes.slice(input.start, input.stop))
        return
      }
      case Opcode.SlotImport:
        return input.fail("the state of a slot's import cannot be read")
      case Opcode.FunctionPreGa:
        return input.fail("functions of a release candidate of Redis 7.0 cannot be read")
      case Opcode.ModuleAux:
        return input.fail("data of modules cannot be read")
      default:
        return input.fail(`unknown opcode ${opcode}`)
    }
  }

  /** Something about the key before, if that was stored. */
  private *extra(name: string): Generator<DecodeStep, void> {
    const { db, input, key } = this
    while (!input.text()) yield NEED_DATA
    if (input.isLong) yield* input.gather()
    if (!this.isStored) return
    if (!applyExtra(name, input.bytes, input.start, input.stop, db, key.bytes, key.length)) {
      input.fail(`malformed ${name}`)
    }
  }

  private *count(): Generator<DecodeStep, number> {
    while (!this.input.count()) yield NEED_DATA
    return this.input.value
  }

  private *shortText(): Generator<DecodeStep, string> {
    const { input } = this
    while (!input.text()) yield NEED_DATA
    if (input.isLong) yield* input.gather()
    return latin1(input.bytes, input.start, input.stop)
  }

  /** Stores what the decoder has read under the key, unless its time is up. */
  private store(): void {
    const { db, decoder, expiry, key, keyspace, options, report } = this
    this.expiry = 0
    this.isStored = false
    const { idleSeconds, frequency } = this
    this.idleSeconds = -1
    this.frequency = -1
    const { value } = decoder
    if (value.isEmpty) {
      if (report.empty++ < EMPTY_NAMES_MAX) report.emptyNames.push(latin1(key.bytes, 0, key.length))
      return
    }
    if (expiry !== 0 && expiry < keyspace.now && !options.keepExpired) {
      report.expired++
      options.onExpired?.(db, key.bytes, key.length)
      value.discard(keyspace)
      return
    }
    const present = db.keys.find(key.bytes, 0, key.length)
    if (present !== 0) {
      if (options.duplicates === "refuse") this.input.fail("a key is there twice")
      db.removeQuietly(present)
      db.keys.find(key.bytes, 0, key.length)
    }
    const address = value.store(db, key.bytes, 0, key.length, expiry)
    report.keys++
    this.isStored = true
    if (expiry !== 0) report.expires++
    if (value.mayExpireInParts) keyspace.fieldExpiry.adopt(db, key.bytes, 0, key.length, address)
    if (idleSeconds >= 0 || frequency >= 0) noteUse(db, address, idleSeconds, frequency)
  }
}

/** Sets a record's access clock from what a file or RESTORE says: seconds since its last use, or how often (-1: not said). */
export function noteUse(db: Database, address: number, idleSeconds: number, frequency: number): void {
  const { keys, keyspace } = db
  if (keyspace.lfu) {
    if (frequency < 0) return
    const minutes = Math.floor(keyspace.now / 60_000) & 0xffff
    keys.setAccess(address, (minutes << 8) | Math.min(frequency, 255))
  } else if (idleSeconds >= 0) {
    const now = Math.floor(keyspace.now / 1000)
    // Longer than the clock can tell: as long as it can.
    keys.setAccess(address, (now - Math.min(idleSeconds, 0xffffff)) & 0xffffff)
  }
}
