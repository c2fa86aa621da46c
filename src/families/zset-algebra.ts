/**
 * Whole sorted sets against each other, and plain sets with them, whose members count with a score of 1: unions,
 * intersections, differences; replied, stored, or only counted.
 */

import { parseDouble } from "../bytes/double.ts"
import type { Call } from "../command/context.ts"
import { SYNTAX, WRONG_TYPE } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { typeOfKind, ValueType } from "../keyspace/kinds.ts"
import { SetCursor, setHas, setSize } from "./set-value.ts"
import { result } from "./zset-result.ts"
import { OpenZset, ZsetCursor } from "./zset-value.ts"

export const sortedSetAlgebraCommands: readonly CommandSpec[] = [
  {
    name: "zunion",
    since: "6.2.0",
    group: "sorted-set",
    arity: -3,
    flags: "readonly",
    keys: "RO access keynum@1",
    syntax: "numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE(SUM|MIN|MAX)] [WITHSCORES]",
    summary: "Gives the members that any of the sorted sets has.",
    complexity: "O(N)+O(M*log(M)), N members of all sets, M members in the result",
    run: zunion,
  },
  {
    name: "zinter",
    since: "6.2.0",
    group: "sorted-set",
    arity: -3,
    flags: "readonly",
    keys: "RO access keynum@1",
    syntax: "numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE(SUM|MIN|MAX)] [WITHSCORES]",
    summary: "Gives the members that all sorted sets have.",
    complexity: "O(N*K)+O(M*log(M)), N members of the smallest set, K sets, M members in the result",
    run: zinter,
  },
  {
    name: "zdiff",
    since: "6.2.0",
    group: "sorted-set",
    arity: -3,
    flags: "readonly",
    keys: "RO access keynum@1",
    syntax: "numkeys:integer key... [WITHSCORES]",
    summary: "Gives the members of the first sorted set that no other has.",
    complexity: "O(L+(N-K)*log(N)), L members of all sets, N of the first, K in the result",
    run: zdiff,
  },
  {
    name: "zunionstore",
    since: "2.0.0",
    group: "sorted-set",
    arity: -4,
    flags: "write denyoom",
    keys: "OW update @1; RO access keynum@2",
    syntax: "destination:key numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE(SUM|MIN|MAX)]",
    summary: "Stores the members that any of the sorted sets has.",
    complexity: "O(N)+O(M*log(M)), N members of all sets, M members in the result",
    run: zunionstore,
  },
  {
    name: "zinterstore",
    since: "2.0.0",
    group: "sorted-set",
    arity: -4,
    flags: "write denyoom",
    keys: "OW update @1; RO access keynum@2",
    syntax: "destination:key numkeys:integer key... [WEIGHTS weight:integer...] [AGGREGATE(SUM|MIN|MAX)]",
    summary: "Stores the members that all sorted sets have.",
    complexity: "O(N*K)+O(M*log(M)), N members of the smallest set, K sets, M members in the result",
    run: zinterstore,
  },
  {
    name: "zdiffstore",
    since: "6.2.0",
    group: "sorted-set",
    arity: -4,
    flags: "write denyoom",
    keys: "OW update @1; RO access keynum@2",
    syntax: "destination:key numkeys:integer key...",
    summary: "Stores the members of the first sorted set that no other has.",
    complexity: "O(L+(N-K)*log(N)), L members of all sets, N of the first, K in the result",
    run: zdiffstore,
  },
  {
    name: "zintercard",
    since: "7.0.0",
    group: "sorted-set",
    arity: -3,
    flags: "readonly",
    keys: "RO access keynum@1",
    syntax: "numkeys:integer key... [LIMIT limit:integer]",
    summary: "Counts the members that all sorted sets have.",
    complexity: "O(N*K), N members of the smallest set, K sets",
    run: zintercard,
  },
]

const Operation = { Union: 0, Intersection: 1, Difference: 2 } as const
type Operation = (typeof Operation)[keyof typeof Operation]

const EVENTS = ["zunionstore", "zinterstore", "zdiffstore"] as const

const Aggregate = { Sum: 0, Min: 1, Max: 2, Count: 3 } as const
type Aggregate = (typeof Aggregate)[keyof typeof Aggregate]

function zunion(call: Call): void {
  combine(call, Operation.Union, 1)
}

function zinter(call: Call): void {
  combine(call, Operation.Intersection, 1)
}

function zdiff(call: Call): void {
  combine(call, Operation.Difference, 1)
}

function zunionstore(call: Call): void {
  combine(call, Operation.Union, 2)
}

function zinterstore(call: Call): void {
  combine(call, Operation.Intersection, 2)
}

function zdiffstore(call: Call): void {
  combine(call, Operation.Difference, 2)
}

/** `at` is the argument with the number of keys: 1 for a reply, 2 behind a destination. */
function combine(call: Call, operation: Operation, at: number): void {
  if (!readSources(call, at) || !readOptions(call, operation, at)) return
  const sources = used
  result.begin(call)
  if (operation === Operation.Union) unite(sources)
  else if (operation === Operation.Intersection) intersect(sources, Number.POSITIVE_INFINITY)
  else subtract(sources)
  for (const source of sources) source.close()
  if (at === 1) result.reply(withScores)
  else call.reply.integer(result.store(1, EVENTS[operation]))
}

function zintercard(call: Call): void {
  if (!readSources(call, 1)) return
  counting = true
  const valid = readOptions(call, Operation.Intersection, 1)
  counting = false
  if (!valid) return
  const found = intersect(used, limit === 0 ? Number.POSITIVE_INFINITY : limit, true)
  for (const source of used) source.close()
  call.reply.integer(found)
}

// ---- arguments ------------------------------------------------------------------------------------------------------

/** One input; used again by later commands. */
class Source {
  size = 0
  weight = 1
  private readonly zset = new OpenZset()
  private readonly cursor = new ZsetCursor()
  private readonly setCursor = new SetCursor()
  private isSet = false
  private address = 0
  private call!: Call

  /** Member and score that `next` came to; borrowed. */
  bytes: Uint8Array = this.cursor.bytes
  start = 0
  end = 0
  score = 1

  /** False after WRONGTYPE. */
  open(call: Call, i: number): boolean {
    const { keys } = call.db
    const address = call.read(i)
    const type = address === 0 ? ValueType.Zset : typeOfKind(keys.type(address))
    this.call = call
    this.weight = 1
    this.address = address
    this.isSet = type === ValueType.Set
    if (this.isSet) this.size = setSize(keys, address)
    else if (type === ValueType.Zset) {
      this.zset.open(call, i, address)
      this.size = this.zset.size
    } else {
      call.reply.error(WRONG_TYPE)
      return false
    }
    return true
  }

  /** Whether both read the same value. */
  isSameAs(other: Source): boolean {
    return this.address === other.address
  }

  rewind(): void {
    this.started = false
    if (!this.isSet) return
    this.setCursor.open(this.call.db.keys, this.address)
    this.score = 1
  }
  private started = false

  next(): boolean {
    const { setCursor, cursor } = this
    if (this.isSet) {
      if (!setCursor.next()) return false
      this.bytes = setCursor.bytes
      this.start = setCursor.start
      this.end = setCursor.end
      return true
    }
    if (!(this.started ? cursor.next() : this.size > 0 && cursor.first(this.zset))) return false
    this.started = true
    this.bytes = cursor.bytes
    this.start = cursor.start
    this.end = cursor.end
    this.score = cursor.score
    return true
  }

  /** Score of a member, NaN when it is not here. */
  scoreOf(bytes: Uint8Array, start: number, end: number): number {
    if (this.isSet) return setHas(this.call.db.keys, this.address, bytes, start, end) ? 1 : Number.NaN
    return this.zset.find(bytes, start, end) ? this.zset.score : Number.NaN
  }

  /** A score as it counts here; NaN for an infinite one of weight 0. */
  product(score: number): number {
    return aggregate === Aggregate.Count ? this.weight : this.weight * score
  }

  /** `product` with 0 for NaN. */
  weighted(score: number): number {
    const value = this.product(score)
    return Number.isNaN(value) ? 0 : value
  }

  close(): void {
    this.cursor.release()
  }
}

const pool: Source[] = []
const POOL_MAX = 64
/** Inputs of the running command. */
let used: Source[] = []
let aggregate: Aggregate = Aggregate.Sum
let withScores = false
let counting = false
let limit = 0

/** Opens the inputs, whose number is argument `at`; false after an error reply. */
function readSources(call: Call, at: number): boolean {
  const { args, reply } = call
  const keyCount = call.integer(at)
  if (Number.isNaN(keyCount)) return false
  if (keyCount < 1) {
    reply.error(`ERR at least 1 input key is needed for '${call.command.fullName}' command`)
    return false
  }
  if (keyCount > args.count - at - 1) {
    reply.error(SYNTAX)
    return false
  }
  used = []
  for (let i = 0; i < keyCount; i++) {
    const source = pool[i] ?? new Source()
    if (i < POOL_MAX) pool[i] = source
    used.push(source)
    if (!source.open(call, at + 1 + i)) return false
  }
  return true
}

/** Reads what stands behind the keys; false after an error reply. */
function readOptions(call: Call, operation: Operation, at: number): boolean {
  const { args, reply } = call
  aggregate = Aggregate.Sum
  withScores = false
  limit = 0
  const combines = operation !== Operation.Difference && !counting
  for (let i = at + 1 + used.length; i < args.count; ) {
    if (combines && i + used.length < args.count && args.is(i, "weights")) {
      if (!readWeights(call, i + 1)) return false
      i += 1 + used.length
    } else if (combines && i + 1 < args.count && args.is(i, "aggregate")) {
      const named = aggregateNamed(call, i + 1)
      if (named === undefined) {
        reply.error(SYNTAX)
        return false
      }
      aggregate = named
      i += 2
    } else if (at === 1 && !counting && args.is(i, "withscores")) {
      withScores = true
      i++
    } else if (counting && i + 1 < args.count && args.is(i, "limit")) {
      limit = call.integer(i + 1, "ERR LIMIT can't be negative")
      if (Number.isNaN(limit)) return false
      if (limit < 0) {
        reply.error("ERR LIMIT can't be negative")
        return false
      }
      i += 2
    } else {
      reply.error(SYNTAX)
      return false
    }
  }
  return true
}

function readWeights(call: Call, first: number): boolean {
  const { args, reply } = call
  for (const [i, source] of used.entries()) {
    const weight = parseDouble(args.bytes, args.starts[first + i]!, args.ends[first + i]!)
    if (weight === undefined) {
      reply.error("ERR weight value is not a float")
      return false
    }
    source.weight = weight
  }
  return true
}

function aggregateNamed(call: Call, i: number): Aggregate | undefined {
  const { args } = call
  if (args.is(i, "sum")) return Aggregate.Sum
  if (args.is(i, "min")) return Aggregate.Min
  if (args.is(i, "max")) return Aggregate.Max
  return args.is(i, "count") ? Aggregate.Count : undefined
}

// ---- combining ------------------------------------------------------------------------------------------------------

/** Sums depend on the order of the inputs in their last digits: smallest first, then as given, as in Redis. */
function bySize(a: Source, b: Source): number {
  return a.size - b.size
}

function join(a: number, b: number): number {
  if (aggregate === Aggregate.Min) return Number.isNaN(b) ? a : Math.min(a, b)
  if (aggregate === Aggregate.Max) return Number.isNaN(b) ? a : Math.max(a, b)
  const sum = a + b
  // Opposite infinities, or an infinite score of weight 0.
  return Number.isNaN(sum) ? 0 : sum
}

function unite(sources: Source[]): void {
  sources.sort(bySize)
  for (const source of sources) {
    source.rewind()
    while (source.next()) {
      const { bytes, start, end } = source
      const score = source.weighted(source.score)
      const place = result.find(bytes, start, end)
      if (place < 0) result.insert(bytes, start, end, score)
      else result.scores[place] = join(result.scores[place]!, score)
    }
  }
}

/** Goes over the smallest input and asks the others; returns how many members were found, at most `most`. */
function intersect(sources: Source[], most: number, onlyCounts = false): number {
  sources.sort(bySize)
  const first = sources[0]!
  let found = 0
  if (first.size === 0) return 0
  first.rewind()
  while (found < most && first.next()) {
    const { bytes, start, end } = first
    let score = first.weighted(first.score)
    let i = 1
    for (; i < sources.length; i++) {
      const source = sources[i]!
      const other = source.isSameAs(first) ? first.score : source.scoreOf(bytes, start, end)
      if (Number.isNaN(other)) break
      // Not `weighted`, as for unions: so it is in Redis, where NaN takes the whole sum to 0.
      score = join(score, source.product(other))
    }
    if (i < sources.length) continue
    found++
    if (!onlyCounts) {
      result.find(bytes, start, end)
      result.insert(bytes, start, end, score)
    }
  }
  return found
}

/** Asks the other inputs for each member of the first, or takes the others' members out of a copy, whichever is less work. */
function subtract(sources: Source[]): void {
  const first = sources[0]!
  if (first.size === 0) return
  let total = 0
  for (let i = 0; i < sources.length; i++) {
    if (i > 0 && sources[i]!.isSameAs(first)) return
    total += sources[i]!.size
  }
  const asks = (first.size * sources.length) / 2 <= total
  first.rewind()
  while (first.next()) {
    const { bytes, start, end } = first
    if (asks && isInAny(sources, bytes, start, end)) continue
    result.find(bytes, start, end)
    result.insert(bytes, start, end, first.score)
  }
  for (let i = 1; i < sources.length && !asks && result.size > 0; i++) {
    const source = sources[i]!
    source.rewind()
    while (source.next()) result.remove(source.bytes, source.start, source.end)
  }
}

function isInAny(sources: Source[], bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = 1; i < sources.length; i++) if (!Number.isNaN(sources[i]!.scoreOf(bytes, start, end))) return true
  return false
}
