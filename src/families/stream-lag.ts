/**
 * Counting without counting: how many entries a group has read, and how many it has still to read, from what is known
 * about the stream as a whole. Deleted entries (tombstones) make such answers impossible, unless all of them lie on the
 * right side of the id in question.
 */
import { ENTRIES_READ_UNKNOWN, type Group } from "../structs/stream-groups.ts"
import type { StreamId } from "../structs/stream-id.ts"
import type { StreamView } from "../structs/stream-log.ts"

/** May a deleted entry lie at `from` or behind it? Only the highest deleted id is known. */
function hasTombstones(log: StreamView, from: StreamId): boolean {
  return log.length > 0 && !log.maxDeletedId.isMin() && from.compare(log.maxDeletedId) <= 0
}

/** Number of entries ever added up to that id, or ENTRIES_READ_UNKNOWN. */
export function entriesUpTo(log: StreamView, id: StreamId): number {
  if (log.entriesAdded === 0) return 0
  const toLast = id.compare(log.lastId)
  if (log.length === 0 && toLast <= 0) return log.entriesAdded
  if (!id.isMin() && id.compare(log.maxDeletedId) < 0) return ENTRIES_READ_UNKNOWN
  if (toLast === 0) return log.entriesAdded
  if (toLast > 0) return ENTRIES_READ_UNKNOWN
  if (log.maxDeletedId.isMin() || log.maxDeletedId.compare(log.firstId) < 0) {
    const toFirst = id.compare(log.firstId)
    if (toFirst < 0) return log.entriesAdded - log.length
    if (toFirst === 0) return log.entriesAdded - log.length + 1
  }
  return ENTRIES_READ_UNKNOWN
}

/** Entries that the group has still to read; undefined when that is not known. */
export function lagOf(log: StreamView, group: Group): number | undefined {
  if (log.entriesAdded === 0 || log.length === 0) return 0
  const { entriesRead, lastId } = group
  if (lastId.compare(log.firstId) < 0 && log.maxDeletedId.compare(log.firstId) < 0) return log.length
  if (entriesRead !== ENTRIES_READ_UNKNOWN && !hasTombstones(log, lastId)) return log.entriesAdded - entriesRead
  const read = entriesUpTo(log, lastId)
  return read === ENTRIES_READ_UNKNOWN ? undefined : log.entriesAdded - read
}

/** The group, which is writable, is being given the entry of that id, which is above its last one. */
export function advance(log: StreamView, group: Group, id: StreamId): void {
  if (group.entriesRead !== ENTRIES_READ_UNKNOWN && !hasTombstones(log, group.lastId)) {
    // Not beyond what was added, whatever XGROUP SETID may have said.
    group.entriesRead = Math.min(group.entriesRead + 1, log.entriesAdded)
  } else if (log.entriesAdded > 0) group.entriesRead = entriesUpTo(log, id)
  group.lastId.copy(id)
}
