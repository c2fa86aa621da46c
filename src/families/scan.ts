/**
 * SCAN. Keys are walked in the order of their hashes, and the cursor is the hash to go on with; what that guarantees is told in
 * structs/byte-map.ts. Cursors are the same for every client and need no state here.
 */
import { shown } from "../bytes/compare.ts"
import { globMatch } from "../bytes/glob.ts"
import { parseUint64 } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { INVALID_CURSOR, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { typeName, ValueType } from "../keyspace/kinds.ts"
import { isExpired } from "./generic-peek.ts"

const COUNT_DEFAULT = 10
/** Cursors from here on are legal but lie behind the last hash. */
const CURSOR_LIMIT = 2 ** 32
const STAR = 0x2a
const ANY_TYPE = -1

export const scanCommands: readonly CommandSpec[] = [
  {
    name: "scan",
    since: "2.8.0",
    group: "generic",
    arity: -2,
    flags: "readonly touches_arbitrary_keys",
    tips: "nondeterministic_output request_policy:special response_policy:special",
    syntax: "cursor:integer [MATCH pattern] [COUNT count:integer] [TYPE type]@6.0.0",
    summary: "Walks through the keys of the database, a bit per call.",
    complexity: "O(1) per call, O(N) for a whole walk over N keys",
    run: scan,
  },
]

interface ScanOptions {
  count: number
  /** Number of the pattern's argument; 0 when every key matches. */
  pattern: number
  /** A ValueType, or ANY_TYPE. */
  type: number
}

function scan(call: Call): void {
  const { args, db, reply } = call
  const cursor = parseUint64(args.bytes, args.start(1), args.end(1))
  if (cursor === undefined) {
    reply.error(INVALID_CURSOR)
    return
  }
  const options = readOptions(call)
  if (options === undefined) return
  const found: number[] = []
  const next = cursor < CURSOR_LIMIT ? db.keys.scan(Number(cursor), options.count, found) : 0
  let kept = 0
  // Removing an expired record does not move the others, so the addresses stay good.
  for (const address of found) if (passes(call, address, options)) found[kept++] = address
  reply.array(2)
  reply.bulkInteger(next)
  reply.array(kept)
  const { keys } = db
  for (let i = 0; i < kept; i++) {
    keys.readKey(found[i]!)
    reply.bulk(keys.keyBytes, keys.keyStart, keys.keyEnd)
  }
}

/** Undefined after having answered with an error. That an unknown type is one, as from Redis 8.0 on, helps against typing errors. */
function readOptions(call: Call): ScanOptions | undefined {
  const { args, reply } = call
  const options: ScanOptions = { count: COUNT_DEFAULT, pattern: 0, type: ANY_TYPE }
  for (let i = 2; i < args.count; i += 2) {
    const hasValue = i + 1 < args.count
    if (hasValue && args.is(i, "count")) {
      options.count = call.integer(i + 1)
      if (Number.isNaN(options.count)) return undefined
      if (options.count < 1) {
        reply.error(SYNTAX)
        return undefined
      }
    } else if (hasValue && args.is(i, "match")) {
      const matchesAll = args.length(i + 1) === 1 && args.bytes[args.start(i + 1)] === STAR
      options.pattern = matchesAll ? 0 : i + 1
    } else if (hasValue && args.is(i, "type")) {
      options.type = typeNamed(call, i + 1)
      if (options.type === ValueType.None) {
        reply.error(`ERR unknown type name '${shown(args.latin1(i + 1))}'`)
        return undefined
      }
    } else {
      reply.error(args.is(i, "novalues") ? "ERR NOVALUES option can only be used in HSCAN" : SYNTAX)
      return undefined
    }
  }
  return options
}

/** ValueType.None for a name that no type has. */
function typeNamed(call: Call, i: number): number {
  for (let type = ValueType.String; type <= ValueType.Stream; type++) if (call.args.is(i, typeName(type))) return type
  return ValueType.None
}

function passes(call: Call, address: number, options: ScanOptions): boolean {
  const { args, db, keyspace } = call
  const { keys } = db
  if (options.type !== ANY_TYPE && db.type(address) !== options.type) return false
  if (options.pattern !== 0) {
    keys.readKey(address)
    const start = args.start(options.pattern)
    const end = args.end(options.pattern)
    if (!globMatch(args.bytes, start, end, keys.keyBytes, keys.keyStart, keys.keyEnd)) return false
  }
  if (!isExpired(db, address)) return true
  if (!keyspace.expiryPaused) db.expire(address)
  return false
}
