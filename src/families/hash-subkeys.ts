/**
 * Which fields an event of a hash was about, for those who asked for it (S, T, I, V in notify-keyspace-events). To be called
 * behind the notification of the key. Costs a comparison when nobody asked.
 */

import { copyOf } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { Notify } from "../keyspace/events.ts"

/** Every `step`th argument from `first` up to `end`. */
export function tellFields(call: Call, event: string, first: number, end: number, step = 1): void {
  if (!isWanted(call)) return
  const fields: Uint8Array[] = []
  for (let i = first; i < end; i += step) fields.push(argument(call, i))
  tell(call, 1, event, fields)
}

/** The fields that are these arguments. */
export function tellFieldList(call: Call, event: string, indexes: readonly number[]): void {
  if (isWanted(call))
    tell(
      call,
      1,
      event,
      indexes.map(i => argument(call, i)),
    )
}

/** Fields from elsewhere, of the hash under the key that is argument `keyAt`. */
export function tellForeignFields(call: Call, keyAt: number, event: string, fields: () => Uint8Array[]): void {
  if (isWanted(call)) tell(call, keyAt, event, fields())
}

function isWanted(call: Call): boolean {
  return (call.keyspace.events.notifyFlags & Notify.Subkeys) !== 0
}

function tell(call: Call, keyAt: number, event: string, fields: readonly Uint8Array[]): void {
  const { args, db, keyspace } = call
  keyspace.events.notifyFields(event, db, args.bytes, args.starts[keyAt]!, args.ends[keyAt]!, fields)
}

function argument({ args }: Call, i: number): Uint8Array {
  return copyOf(args.bytes, args.starts[i]!, args.ends[i]!)
}
