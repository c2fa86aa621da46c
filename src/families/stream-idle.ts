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

/** Those that wait do not look more often than this. */
const LOOK_MS_MIN = 10

const oldest = new WeakMap<Group, number>()
const rows = new IdTableCursor()
const pending = new PendingEntry()
const MIN = new StreamId()

interface Idle {
  readonly id: StreamId
  readonly deliveryMs: number
  /** Of an entry that was given back: it comes before all others, in this order. */
  readonly releaseOrder: number
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

/**
 * When, at the latest, somebody who waits for entries that were delivered `idleMs` ago must look again: those known may
 * have been idle for so long then, and none delivered from now on can have been before. `untilMs` is now less `idleMs`.
 */
export function nextIdleLook(group: Group, idleMs: number, untilMs: number): number {
  const steps = Math.max(idleMs, LOOK_MS_MIN)
  const bound = group.pending.length === 0 ? undefined : oldest.get(group)
  const now = untilMs + idleMs
  // What is idle already and was not given is no longer in the stream.
  return bound === undefined || bound <= untilMs
    ? now + steps
    : Math.min(Math.max(bound + idleMs, now + 1), now + steps)
}

/** Ids of the entries delivered at `untilMs` or before, longest ago first; only those that are still in the stream. */
export function idleEntries(group: Group, untilMs: number, log: StreamView): StreamId[] {
  if (!mayHaveIdle(group, untilMs)) return []
  const found: Idle[] = []
  for (let on = rows.seekAtOrAfter(group.pending, MIN); on; on = rows.next()) {
    pending.read(rows.words, rows.at)
    if (pending.deliveryMs > untilMs || !hasEntry(log, pending.id)) continue
    found.push({ id: pending.id.clone(), deliveryMs: pending.deliveryMs, releaseOrder: pending.releaseOrder })
  }
  found.sort((a, b) => a.deliveryMs - b.deliveryMs || a.releaseOrder - b.releaseOrder || a.id.compare(b.id))
  return found.map(({ id }) => id)
}

/** A pending entry of the group was given a delivery time of its own. */
export function forgetIdle(group: Group): void {
  oldest.delete(group)
}
