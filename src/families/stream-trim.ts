/**
 * Trimming, as an option of XADD and as XTRIM: MAXLEN or MINID, exactly or (~) in whole blocks, with a bound on the work.
 *
 * What is propagated is always exact: a copy need not have the same blocks. After a trim the stream has just its length,
 * or begins with just its first id, so these take the place of the threshold.
 */
import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import type { CommandWriter } from "../resp/command-writer.ts"
import { ID_AUTO_SEQUENCE, ID_INVALID, STREAM_ID_TEXT_BYTES_MAX, StreamId } from "../structs/stream-id.ts"
import type { StreamLog } from "../structs/stream-log.ts"
import type { StreamValue } from "../structs/stream-value.ts"
import { INVALID_ID, readId } from "./stream-access.ts"
import {
  ACKNOWLEDGED,
  DELETE_REFERENCES,
  dropReferencesBefore,
  referencePolicy,
  trimDone,
} from "./stream-references.ts"

const INCOMPATIBLE = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
const LIMIT_ALONE = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
const LIMIT_EXACT = "ERR syntax error, LIMIT cannot be used without the special ~ option"
const NO_STRATEGY = "ERR syntax error, XTRIM must be called with a trimming strategy"

/** Entries that a trim without LIMIT may drop: those of a hundred blocks, within bounds. */
const LIMIT_BLOCKS = 100
const LIMIT_DEFAULT = 10_000
const LIMIT_MAX = 1_000_000

const TILDE = 0x7e
const EQUALS = 0x3d
const STAR = 0x2a
const NINE = 0x39
const ZERO = 0x30

export const TRIM_NONE = 0
export const TRIM_LENGTH = 1
export const TRIM_ID = 2

const HIGHEST = new StreamId().setMax()
const firstId = new StreamId()
const text = new Uint8Array(STREAM_ID_TEXT_BYTES_MAX)

/** The options of a running XADD or XTRIM; one object, used again. */
export class TrimOptions {
  strategy = TRIM_NONE
  approximately = false
  lengthMax = 0
  readonly idMin = new StreamId()
  /** Entries to be dropped at most, 0 for no bound. */
  limit = 0
  /** What becomes of pending entries; 0 when nothing was said. */
  references = 0

  // XADD only.
  noMakeStream = false
  /** The id as given; its sequence is to be chosen when `chooseSequence`, all of it when `chooseId`. */
  readonly id = new StreamId()
  chooseId = false
  chooseSequence = false
  /** Argument number of IDMP or IDMPAUTO, 0 when it was not given, and how many arguments it takes. */
  idempotentAt = 0
  idempotentArguments = 0

  /** Reads the options behind the key; the argument number of what follows them (XADD's id), or -1 after an error. */
  read(call: Call, isAdd: boolean): number {
    const { args, reply } = call
    const { count } = args
    this.strategy = TRIM_NONE
    this.approximately = false
    this.limit = 0
    this.references = 0
    let limitGiven = false
    this.noMakeStream = false
    this.chooseId = false
    this.chooseSequence = false
    this.idempotentAt = 0
    this.idempotentArguments = 0
    let i = 2
    for (; i < count; i++) {
      const start = args.starts[i]!
      const first = args.ends[i]! > start ? args.bytes[start]! : 0
      if (isAdd && first === STAR && args.ends[i]! - start === 1) {
        this.chooseId = true
        break
      }
      const more = count - 1 - i
      const isDigit = first >= ZERO && first <= NINE
      if (!isDigit && more > 0 && (args.is(i, "maxlen") || args.is(i, "minid"))) {
        i = this.readStrategy(call, i)
        if (i === -1) return -1
      } else if (!isDigit && more > 0 && args.is(i, "limit")) {
        limitGiven = true
        this.limit = call.integer(++i)
        if (Number.isNaN(this.limit)) return -1
        if (this.limit < 0) {
          reply.error("ERR The LIMIT argument must be >= 0.")
          return -1
        }
      } else if (isAdd && !isDigit && args.is(i, "nomkstream")) this.noMakeStream = true
      else if (isAdd && !isDigit && more > 1 && (args.is(i, "idmp") || args.is(i, "idmpauto"))) {
        i = this.readIdempotency(call, i)
        if (i === -1) return -1
      } else if (!isDigit && this.readReferences(call, i)) {
        if (this.references === 0) return -1
      } else if (isAdd) {
        const kind = this.id.parse(args.bytes, start, args.ends[i]!)
        if (kind === ID_INVALID) {
          reply.error(INVALID_ID)
          return -1
        }
        this.chooseSequence = kind === ID_AUTO_SEQUENCE
        break
      } else {
        reply.error(SYNTAX)
        return -1
      }
    }
    if (this.idempotentAt !== 0 && !this.chooseId && !call.client.isObeyed) {
      reply.error("ERR IDMP/IDMPAUTO can be used only with auto-generated IDs")
      return -1
    }
    return this.settleLimit(call, isAdd, limitGiven) ? i : -1
  }

  /** Reads `IDMP producer name` or `IDMPAUTO producer`; the number of the last argument, or -1 after an error. */
  private readIdempotency(call: Call, i: number): number {
    const { args, reply } = call
    const option = args.is(i, "idmp") ? "IDMP" : "IDMPAUTO"
    const names = option === "IDMP" ? 2 : 1
    if (this.idempotentAt !== 0) reply.error("ERR IDMP/IDMPAUTO specified multiple times")
    else if (args.length(i + 1) === 0) reply.error(`ERR ${option} requires a non-empty producer ID`)
    else if (names === 2 && args.length(i + 2) === 0) reply.error(`ERR ${option} requires a non-empty idempotent ID`)
    else {
      this.idempotentAt = i
      this.idempotentArguments = 1 + names
      return i + names
    }
    return -1
  }

  /** Trims; the number of entries dropped. The value must be owned. */
  apply(value: StreamValue): number {
    const { log } = value
    const isByLength = this.strategy === TRIM_LENGTH
    const hasGroups = value.groups.size > 0
    if (hasGroups && this.references === ACKNOWLEDGED) {
      return trimDone(value, this.lengthMax, isByLength ? null : this.idMin, this.limit)
    }
    if (log.length > 0) firstId.copy(log.firstId)
    const dropped = isByLength
      ? log.trimToLength(this.lengthMax, this.approximately, this.limit)
      : log.trimToId(this.idMin, this.approximately, this.limit)
    if (dropped > 0 && hasGroups && this.references === DELETE_REFERENCES) dropReferencesBefore(value, firstId)
    return dropped
  }

  /** Whether the options cannot be propagated as they were given. */
  get needsRewriting(): boolean {
    // What is done and what is not is the same everywhere, whatever the blocks.
    return this.strategy !== TRIM_NONE && this.approximately && this.references !== ACKNOWLEDGED
  }

  /** Number of arguments that propagateExactly() writes: strategy, "=", threshold, and what becomes of references. */
  get exactArguments(): number {
    return this.references === DELETE_REFERENCES ? 4 : 3
  }

  /** Appends what takes the place of the options. */
  propagateExactly(writer: CommandWriter, log: StreamLog): void {
    writer.word(this.strategy === TRIM_LENGTH ? "MAXLEN" : "MINID").word("=")
    if (this.strategy === TRIM_LENGTH) writer.number(log.length)
    else writer.arg(text, 0, (log.length > 0 ? log.firstId : HIGHEST).write(text, 0))
    if (this.references === DELETE_REFERENCES) writer.word("DELREF")
  }

  /** Whether argument `i` says what becomes of references; if it does so for the second time, that is an error. */
  private readReferences(call: Call, i: number): boolean {
    const policy = referencePolicy(call.args, i)
    if (policy === 0) return false
    if (this.references !== 0) {
      call.reply.error(SYNTAX)
      this.references = 0
    } else this.references = policy
    return true
  }

  private readStrategy(call: Call, i: number): number {
    const { args, reply } = call
    if (this.strategy !== TRIM_NONE) {
      reply.error(INCOMPATIBLE)
      return -1
    }
    this.strategy = args.is(i, "maxlen") ? TRIM_LENGTH : TRIM_ID
    i++
    if (args.count - i >= 2 && args.length(i) === 1) {
      const operator = args.bytes[args.starts[i]!]!
      this.approximately = operator === TILDE
      if (operator === TILDE || operator === EQUALS) i++
    }
    if (this.strategy === TRIM_ID) return readId(call, i, this.idMin) ? i : -1
    this.lengthMax = call.integer(i)
    if (Number.isNaN(this.lengthMax)) return -1
    if (this.lengthMax < 0) {
      reply.error("ERR The MAXLEN argument must be >= 0.")
      return -1
    }
    return i
  }

  private settleLimit(call: Call, isAdd: boolean, limitGiven: boolean): boolean {
    const { config, reply } = call
    if (this.limit > 0 && this.strategy === TRIM_NONE) {
      reply.error(LIMIT_ALONE)
      return false
    }
    if (!isAdd && this.strategy === TRIM_NONE) {
      reply.error(NO_STRATEGY)
      return false
    }
    if (call.client.isObeyed && this.references !== ACKNOWLEDGED) {
      this.limit = 0
      return true
    }
    if (limitGiven) {
      if (this.approximately) return true
      reply.error(LIMIT_EXACT)
      return false
    }
    if (!this.approximately) return true
    const limit = LIMIT_BLOCKS * config.values.streamNodeMaxEntries
    this.limit = limit <= 0 ? LIMIT_DEFAULT : Math.min(limit, LIMIT_MAX)
    return true
  }
}
