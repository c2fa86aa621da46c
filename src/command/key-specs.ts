/**
 * Where a command's keys are: the compact notation of key specs, and finding the keys of one call.
 *
 * A line holds specs separated by ";", in Redis's order. A spec is its flags, its place and perhaps a note in quotes:
 *
 *     RO access @1                     the argument at 1 (0 is the command's name, a subcommand's own name counts)
 *     RM delete @1..-1                 from 1 to the last argument; `..-2` to the one before it; `..+1` one further
 *     OW update @1..-1/2               every second of them
 *     RO access keynum@2               at 2 stands the number of keys, which follow it
 *     OW update STORE@6                after the word STORE, sought from 6 on (from the end backwards when negative)
 *     RO access STREAMS@1..-1%2        after STREAMS, the first half of what remains
 *     RO access unknown "why"          not to be told from positions
 *
 * Where positions and flags are not enough, "=> rule" at the end names the rule that looks into the options:
 * `set` (GET makes it a read too), `bitfield` (only GETs make it read-only), `sort` (the last STORE), `migrate`
 * (KEYS after an empty key), `known` (take the specs that can be followed; for SORT_RO).
 *
 * The semantics follow Redis 7.2: a spec that leads outside of the arguments makes the whole call keyless, since the
 * command is going to answer with a syntax error.
 */

/** Bits of a key's flags, in the order in which COMMAND GETKEYSANDFLAGS lists their names. */
export const KeyFlag = {
  RO: 1 << 0,
  RW: 1 << 1,
  OW: 1 << 2,
  RM: 1 << 3,
  Access: 1 << 4,
  Update: 1 << 5,
  Insert: 1 << 6,
  Delete: 1 << 7,
  NotKey: 1 << 8,
  Incomplete: 1 << 9,
  VariableFlags: 1 << 10,
} as const

const KEY_FLAG_NAMES = [
  "RO",
  "RW",
  "OW",
  "RM",
  "access",
  "update",
  "insert",
  "delete",
  "not_key",
  "incomplete",
  "variable_flags",
]

/** Names of the set bits, in wire order. */
export function keyFlagNames(flags: number): string[] {
  return KEY_FLAG_NAMES.filter((_, bit) => (flags & (1 << bit)) !== 0)
}

export type BeginSearch =
  | { readonly type: "index"; readonly index: number }
  | { readonly type: "keyword"; readonly keyword: string; readonly startFrom: number }
  | { readonly type: "unknown" }

export type FindKeys =
  /** `lastKey` is relative to the first key, or to the end of the arguments when negative; `limit` divides the rest. */
  | { readonly type: "range"; readonly lastKey: number; readonly step: number; readonly limit: number }
  | { readonly type: "keynum"; readonly keynumIndex: number; readonly firstKey: number; readonly step: number }
  | { readonly type: "unknown" }

export interface KeySpec {
  readonly flags: number
  readonly notes: string | undefined
  readonly begin: BeginSearch
  readonly find: FindKeys
}

type Rule = "set" | "bitfield" | "sort" | "migrate" | "known"
const RULES: ReadonlySet<string> = new Set(["set", "bitfield", "sort", "migrate", "known"])

/** Parsed key specs of one command, with what dispatch needs of them precomputed. */
export interface KeySpecs {
  readonly specs: readonly KeySpec[]
  readonly rule: Rule | undefined
  /** Position of the first key in the pre-7.0 description of a command, 0 when it has none. */
  readonly firstKey: number
  /** Position of the last key; negative counts from the end. */
  readonly lastKey: number
  readonly keyStep: number
  /** The pre-7.0 triple does not tell all keys. */
  readonly movableKeys: boolean
  /** At least one spec is about real keys (and not about, say, a shard channel). */
  readonly hasKeys: boolean
  /** One plain range with fixed flags: keys are exactly `rangeFirst … rangeLast` by `rangeStep`. */
  readonly isPlainRange: boolean
}

const SPEC_LINE =
  /^((?:[A-Za-z_]+ )*?)(?:unknown|(keynum|[A-Z]+)?@(-?\d+)(?:\.\.([+-]\d+))?(?:\/(\d+))?(?:%(\d+))?)(?: "([^"]*)")?$/

function parseSpec(line: string): KeySpec {
  const found = SPEC_LINE.exec(line)
  if (found === null) throw new Error(`command keys: malformed "${line}"`)
  const [, flagWords, kind, at, last, step, limit, notes] = found
  let flags = 0
  for (const word of flagWords!.split(" ").filter(Boolean)) {
    const bit = KEY_FLAG_NAMES.indexOf(word)
    if (bit < 0) throw new Error(`command keys: unknown flag "${word}" in "${line}"`)
    flags |= 1 << bit
  }
  if (at === undefined) return { flags, notes, begin: { type: "unknown" }, find: { type: "unknown" } }
  if (kind === "keynum") {
    return {
      flags,
      notes,
      begin: { type: "index", index: Number(at) },
      find: { type: "keynum", keynumIndex: 0, firstKey: 1, step: Number(step ?? 1) },
    }
  }
  return {
    flags,
    notes,
    begin:
      kind === undefined
        ? { type: "index", index: Number(at) }
        : { type: "keyword", keyword: kind, startFrom: Number(at) },
    find: { type: "range", lastKey: Number(last ?? 0), step: Number(step ?? 1), limit: Number(limit ?? 0) },
  }
}

/** First, last and step as COMMAND showed them before 7.0, folded from consecutive plain ranges as Redis does. */
function legacyRange(specs: readonly KeySpec[]) {
  const only = specs[0]
  if (specs.length === 1 && only!.begin.type === "index" && only!.find.type === "range") {
    const first = only!.begin.index
    const last = only!.find.lastKey
    return {
      firstKey: first,
      lastKey: last >= 0 ? first + last : last,
      keyStep: only!.find.step,
      movableKeys: (only!.flags & KeyFlag.Incomplete) !== 0,
    }
  }
  let firstKey = 0
  let lastKey = 0
  let movableKeys = false
  for (const { begin, find, flags } of specs) {
    if (begin.type !== "index" || find.type !== "range") {
      movableKeys = true
      continue
    }
    if (find.step !== 1 || (lastKey !== 0 && lastKey !== begin.index - 1)) {
      movableKeys = true
      continue
    }
    if ((flags & KeyFlag.Incomplete) !== 0) movableKeys = true
    if (firstKey === 0 || begin.index < firstKey) firstKey = begin.index
    const last = find.lastKey >= 0 ? begin.index + find.lastKey : find.lastKey
    // Unsigned, so that a position counted from the end is further than any counted from the start.
    if (last >>> 0 > lastKey >>> 0) lastKey = last
  }
  if (firstKey === 0) return { firstKey: 0, lastKey: 0, keyStep: 0, movableKeys: specs.length > 0 }
  return { firstKey, lastKey, keyStep: 1, movableKeys }
}

/** @throws Error on a malformed line */
export function parseKeySpecs(line: string | undefined): KeySpecs {
  const [list = "", rule] = (line ?? "").split(/ => (?=[a-z]+$)/)
  if (rule !== undefined && !RULES.has(rule)) throw new Error(`command keys: unknown rule "${rule}"`)
  const specs = list === "" ? [] : list.split(/; (?=[^"]*(?:"[^"]*"[^"]*)*$)/).map(parseSpec)
  const hasKeys = specs.some(spec => (spec.flags & KeyFlag.NotKey) === 0)
  return {
    specs,
    rule: rule as Rule | undefined,
    ...legacyRange(specs),
    hasKeys,
    isPlainRange:
      hasKeys &&
      rule === undefined &&
      specs.length === 1 &&
      specs[0]!.begin.type === "index" &&
      specs[0]!.find.type === "range" &&
      specs[0]!.find.limit === 0,
  }
}

/** The arguments of one call as key extraction reads them; index 0 is the command's name. */
export interface ArgumentReader {
  readonly count: number
  /** `lower` is in lower case; compares bytes without regard to ASCII case. */
  equalsIgnoreCase(index: number, lower: string): boolean
  /** The argument as a whole decimal number; NaN when it is not one. */
  integer(index: number): number
}

/** Positions and flags of a call's keys. Meant to be reused: `extractKeys` overwrites it. */
export class KeyPositions {
  count = 0
  readonly positions: number[] = []
  readonly flags: number[] = []

  add(position: number, flags: number): void {
    this.positions[this.count] = position
    this.flags[this.count] = flags
    this.count++
  }
}

/**
 * Finds the keys of a call whose arity has been checked.
 *
 * @param into overwritten; `positions[0 … count)` are indexes into the arguments. May name a key twice.
 * @param includeNotKeys also report arguments that are routed like keys (shard channels)
 * @returns `into.count`; 0 too when the options or the number of keys are malformed
 */
export function extractKeys(keys: KeySpecs, args: ArgumentReader, into: KeyPositions, includeNotKeys = false): number {
  into.count = 0
  if (keys.isPlainRange) {
    const spec = keys.specs[0]!
    const step = keys.keyStep
    const last = keys.lastKey >= 0 ? keys.lastKey : args.count + keys.lastKey
    if (last >= args.count) return 0
    for (let i = keys.firstKey; i <= last; i += step) into.add(i, spec.flags)
    return into.count
  }
  if (!keys.hasKeys && !includeNotKeys) return 0
  switch (keys.rule) {
    case "set":
      return setKeys(args, into)
    case "bitfield":
      return bitfieldKeys(args, into)
    case "sort":
      return sortKeys(args, into)
    case "migrate":
      return migrateKeys(args, into)
  }
  for (const spec of keys.specs) {
    if ((spec.flags & KeyFlag.NotKey) !== 0 && !includeNotKeys) continue
    if (!followSpec(spec, args, into) && keys.rule !== "known") {
      into.count = 0
      return 0
    }
  }
  return into.count
}

/** Adds the keys of one spec; false when it cannot be followed. An absent keyword means no keys, which is fine. */
function followSpec(spec: KeySpec, args: ArgumentReader, into: KeyPositions): boolean {
  const { begin, find, flags } = spec
  if (begin.type === "unknown" || find.type === "unknown") return false
  const count = args.count
  let first = begin.type === "index" ? begin.index : afterKeyword(args, begin.keyword.toLowerCase(), begin.startFrom)
  if (first === 0) return true
  let last: number
  if (find.type === "keynum") {
    if (first + find.keynumIndex >= count) return false
    const keyCount = args.integer(first + find.keynumIndex)
    if (!(keyCount >= 0)) return false
    first += find.firstKey
    last = first + (keyCount - 1) * find.step
  } else if (find.lastKey >= 0) {
    last = first + find.lastKey
  } else if (find.limit === 0) {
    last = count + find.lastKey
  } else {
    last = first + Math.trunc((count - first) / find.limit) + find.lastKey
  }
  if (first >= count || last >= count || last < first) return false
  for (let i = first; i <= last; i += find.step) into.add(i, flags)
  return true
}

/** Position after the keyword, 0 when it does not occur. A negative start counts from the end and seeks backwards. */
function afterKeyword(args: ArgumentReader, lower: string, startFrom: number): number {
  if (startFrom > 0) {
    for (let i = startFrom; i < args.count - 1; i++) if (args.equalsIgnoreCase(i, lower)) return i + 1
  } else {
    for (let i = args.count + startFrom; i > 1; i--) if (args.equalsIgnoreCase(i, lower)) return i + 1
  }
  return 0
}

function setKeys(args: ArgumentReader, into: KeyPositions): number {
  let flags = KeyFlag.OW | KeyFlag.Update
  for (let i = 3; i < args.count; i++) {
    if (args.equalsIgnoreCase(i, "get")) flags = KeyFlag.RW | KeyFlag.Access | KeyFlag.Update
  }
  into.add(1, flags)
  return 1
}

function bitfieldKeys(args: ArgumentReader, into: KeyPositions): number {
  let readonly = true
  let i = 2
  while (i < args.count && readonly) {
    const after = args.count - i - 1
    if (after >= 2 && args.equalsIgnoreCase(i, "get")) i += 3
    else if (after >= 1 && args.equalsIgnoreCase(i, "overflow")) i += 2
    else readonly = false
  }
  into.add(1, readonly ? KeyFlag.RO | KeyFlag.Access : KeyFlag.RW | KeyFlag.Access | KeyFlag.Update)
  return 1
}

function sortKeys(args: ArgumentReader, into: KeyPositions): number {
  into.add(1, KeyFlag.RO | KeyFlag.Access)
  let store = 0
  for (let i = 2; i < args.count; i++) {
    if (args.equalsIgnoreCase(i, "limit")) i += 2
    else if (args.equalsIgnoreCase(i, "get") || args.equalsIgnoreCase(i, "by")) i++
    else if (i + 1 < args.count && args.equalsIgnoreCase(i, "store")) store = i + 1
  }
  if (store !== 0) into.add(store, KeyFlag.OW | KeyFlag.Update)
  return into.count
}

function migrateKeys(args: ArgumentReader, into: KeyPositions): number {
  const flags = KeyFlag.RW | KeyFlag.Access | KeyFlag.Delete
  for (let i = 6; i < args.count; i++) {
    if (args.equalsIgnoreCase(i, "keys")) {
      if (!args.equalsIgnoreCase(3, "")) return 0
      for (let key = i + 1; key < args.count; key++) into.add(key, flags)
      return into.count
    }
    if (args.equalsIgnoreCase(i, "auth")) i++
    else if (args.equalsIgnoreCase(i, "auth2")) i += 2
  }
  into.add(3, flags)
  return 1
}
