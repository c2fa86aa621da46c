/**
 * Streams: what becomes of the groups' pending entries when entries are deleted, a choice that commands give since 8.2.
 *
 *   KEEPREF   they stay, and dangle
 *   DELREF    they go too, in all groups
 *   ACKED     only entries are deleted that every group has read and acknowledged
 */
import type { Arguments } from "../resp/arguments.ts"
import { IdTableCursor } from "../structs/id-table.ts"
import type { Group } from "../structs/stream-groups.ts"
import { StreamId } from "../structs/stream-id.ts"
import { StreamCursor } from "../structs/stream-log.ts"
import type { StreamValue } from "../structs/stream-value.ts"

export const KEEP_REFERENCES = 1
export const DELETE_REFERENCES = 2
export const ACKNOWLEDGED = 3

const rows = new IdTableCursor()
const cursor = new StreamCursor()
const at = new StreamId()
const firstBefore = new StreamId()
const deletedBefore = new StreamId()

/** The choice that argument `i` names, 0 when it names none. */
export function referencePolicy(args: Arguments, i: number): number {
  if (args.is(i, "keepref")) return KEEP_REFERENCES
  if (args.is(i, "delref")) return DELETE_REFERENCES
  return args.is(i, "acked") ? ACKNOWLEDGED : 0
}

/** Whether all groups have read and acknowledged the entry of that id, which is in the stream. */
export function isDone(groups: readonly Group[], id: StreamId): boolean {
  for (const group of groups) if (group.lastId.compare(id) < 0 || group.pending.find(id)) return false
  return true
}

/** Whether the entry is pending in one of the groups. */
export function isPending(groups: readonly Group[], id: StreamId): boolean {
  for (const group of groups) if (group.pending.find(id)) return true
  return false
}

/** Takes the entry out of the pending lists of all groups; how many had it. The value must be owned. */
export function dropReferences(value: StreamValue, groups: readonly Group[], id: StreamId): number {
  let dropped = 0
  for (const { name, pending } of groups) {
    if (pending.find(id) && value.groups.writable(name, 0, name.length)!.acknowledge(id)) dropped++
  }
  return dropped
}

/** Takes everything out of the pending lists that lies before the stream's first entry, from `from` on. */
export function dropReferencesBefore(value: StreamValue, from: StreamId): void {
  const { log } = value
  const end = log.length > 0 ? log.firstId : null
  for (const { name, pending } of value.groups.sorted()) {
    if (pending.length === 0) continue
    const group = value.groups.writable(name, 0, name.length)!
    at.copy(from)
    while (rows.seekAtOrAfter(group.pending, at)) {
      rows.readId(at)
      if (end === null ? at.compare(log.lastId) > 0 : at.compare(end) >= 0) break
      group.acknowledge(at)
    }
    rows.release()
  }
}

/**
 * Deletes the oldest entries with which all groups are done: while the stream is longer than `lengthMax`, or those below
 * `idMin`; at most `limit`, 0 for no bound. Returns how many. O(entries looked at), with a search for each one deleted.
 */
export function trimDone(value: StreamValue, lengthMax: number, idMin: StreamId | null, limit: number): number {
  const { log } = value
  const groups = value.groups.sorted()
  firstBefore.copy(log.firstId)
  deletedBefore.copy(log.maxDeletedId)
  let deleted = 0
  let more = cursor.seekAtOrAfter(log, firstBefore)
  while (more && (limit === 0 || deleted < limit)) {
    if (idMin === null ? log.length <= lengthMax : cursor.id.compare(idMin) >= 0) break
    if (!isDone(groups, cursor.id)) {
      more = cursor.next()
      continue
    }
    at.copy(cursor.id)
    log.delete(at)
    deleted++
    more = cursor.seekAtOrAfter(log, at)
  }
  cursor.release()
  // What went from the front is no gap.
  if (log.length === 0 || log.maxDeletedId.compare(log.firstId) < 0) log.maxDeletedId.copy(deletedBefore)
  return deleted
}
