/**
 * Which keyspace notifications are sent, as bits, and their letters in `notify-keyspace-events`.
 * K and E choose the channels (S, T, I and V those that name fields of hashes), the others the classes of event; A stands for all classes except m (misses) and n (new).
 */

export const NOTIFY_KEYSPACE = 1 << 0
export const NOTIFY_KEYEVENT = 1 << 1
export const NOTIFY_GENERIC = 1 << 2
export const NOTIFY_STRING = 1 << 3
export const NOTIFY_LIST = 1 << 4
export const NOTIFY_SET = 1 << 5
export const NOTIFY_HASH = 1 << 6
export const NOTIFY_ZSET = 1 << 7
export const NOTIFY_EXPIRED = 1 << 8
export const NOTIFY_EVICTED = 1 << 9
export const NOTIFY_STREAM = 1 << 10
export const NOTIFY_KEY_MISS = 1 << 11
export const NOTIFY_MODULE = 1 << 13
export const NOTIFY_NEW = 1 << 14
export const NOTIFY_SUBKEYSPACE = 1 << 15
export const NOTIFY_SUBKEYEVENT = 1 << 16
export const NOTIFY_SUBKEYSPACEITEM = 1 << 17
export const NOTIFY_SUBKEYSPACEEVENT = 1 << 18

export const NOTIFY_ALL =
  NOTIFY_GENERIC |
  NOTIFY_STRING |
  NOTIFY_LIST |
  NOTIFY_SET |
  NOTIFY_HASH |
  NOTIFY_ZSET |
  NOTIFY_EXPIRED |
  NOTIFY_EVICTED |
  NOTIFY_STREAM |
  NOTIFY_MODULE

/** In the order in which Redis prints them. */
const CLASSES: readonly (readonly [string, number])[] = [
  ["g", NOTIFY_GENERIC],
  ["$", NOTIFY_STRING],
  ["l", NOTIFY_LIST],
  ["s", NOTIFY_SET],
  ["h", NOTIFY_HASH],
  ["z", NOTIFY_ZSET],
  ["x", NOTIFY_EXPIRED],
  ["e", NOTIFY_EVICTED],
  ["t", NOTIFY_STREAM],
  ["d", NOTIFY_MODULE],
]
const OTHERS: readonly (readonly [string, number])[] = [
  ["n", NOTIFY_NEW],
  ["K", NOTIFY_KEYSPACE],
  ["E", NOTIFY_KEYEVENT],
  ["m", NOTIFY_KEY_MISS],
  ["S", NOTIFY_SUBKEYSPACE],
  ["T", NOTIFY_SUBKEYEVENT],
  ["I", NOTIFY_SUBKEYSPACEITEM],
  ["V", NOTIFY_SUBKEYSPACEEVENT],
]
const BITS = new Map<string, number>([["A", NOTIFY_ALL], ...CLASSES, ...OTHERS])

/** The bits of a string of letters in any order, or undefined when one is unknown. */
export function parseNotifyFlags(letters: string): number | undefined {
  let flags = 0
  for (const letter of letters) {
    const bit = BITS.get(letter)
    if (bit === undefined) return undefined
    flags |= bit
  }
  return flags
}

export function formatNotifyFlags(flags: number): string {
  const lettersOf = (table: readonly (readonly [string, number])[]) =>
    table.map(([letter, bit]) => (flags & bit ? letter : "")).join("")
  return ((flags & NOTIFY_ALL) === NOTIFY_ALL ? "A" : lettersOf(CLASSES)) + lettersOf(OTHERS)
}
