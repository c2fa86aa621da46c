/**
 * Pending entries by the time of their last delivery, for XREADGROUP's CLAIM. Lists are ordered by id, so the idle ones are
 * found by going over all; that is spared while a known lower bound of the delivery times says that there are none.
 *
 * The bound belongs to a group object. New deliveries are later, acknowledged ones do not lower it; whoever sets a delivery
 * time in the past says so by `forgetIdle`.
 */
import { IdTableCursor } from "../structs/id-table.ts"
import { type Group, PendingEntry } from "../structs/stream-groups.ts"
import { StreamId } from "../structs/stream-id.ts"
import type { StreamView } from "../structs/stream-log.ts"
import { hasEntry } from "./stream-access.ts"

const oldest = new WeakMap<Group, number>()
const rows = new IdTableCursor()
const pending = new PendingEntry()
const MIN = new StreamId()

interface Idle {
  readonly id: StreamId
  readonly deliveryMs: number
}

/** False when no pending entry of the group can have been delivered at `untilMs` or before. O(1), or O(pending). */
export function mayHaveIdle(group: Group, untilMs: number): boolean {
  if (group.pending.length === 0) return false
  let bound = oldest.get(group)
  if (bound === undefined || bound <= untilMs) {
    bound = Number.POSITIVE_INFINITY
    for (let on = rows.seekAtOrAfter(group.pending, MIN); on; on = rows.next()) {
      pending.read(rows.words, rows.at)
      if (pending.deliveryMs < bound) bound = pending.deliveryMs
    }
    oldest.set(group, bound)
  }
  return bound <= untilMs
}

/** Ids of the entries delivered at `untilMs` or before, longest ago first; only those that are still in the stream. */
export function idleEntries(group: Group, untilMs: number, log: StreamView): StreamId[] {
  if (!mayHaveIdle(group, untilMs)) return []
  const found: Idle[] = []
  for (let on = rows.seekAtOrAfter(group.pending, MIN); on; on = rows.next()) {
    pending.read(rows.words, rows.at)
    if (pending.deliveryMs > untilMs || !hasEntry(log, pending.id)) continue
    found.push({ id: pending.id.clone(), deliveryMs: pending.deliveryMs })
  }
  found.sort((a, b) => a.deliveryMs - b.deliveryMs || a.id.compare(b.id))
  return found.map(({ id }) => id)
}

/** A pending entry of the group was given a delivery time of its own. */
export function forgetIdle(group: Group): void {
  oldest.delete(group)
}
