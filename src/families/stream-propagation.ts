/** What commands on consumer groups are propagated as. Nothing is written while nobody listens. */
import type { Call } from "../command/context.ts"
import type { CommandWriter } from "../resp/command-writer.ts"
import type { Consumer, Group } from "../structs/stream-groups.ts"
import { STREAM_ID_TEXT_BYTES_MAX, type StreamId } from "../structs/stream-id.ts"

const text = new Uint8Array(STREAM_ID_TEXT_BYTES_MAX)

/** A pending entry as it is now: who has it, since when, delivered how often. Also brings the group's position along. */
export function propagateClaim(
  call: Call,
  keyAt: number,
  groupAt: number,
  group: Group,
  consumer: Consumer,
  id: StreamId,
  deliveryMs: number,
  deliveryCount: number,
): void {
  const { db, propagation } = call
  if (!propagation.enabled) return
  const writer = propagation.effect(db, 14).word("XCLAIM")
  argument(call, writer, keyAt)
  argument(call, writer, groupAt)
  writer.arg(consumer.name, 0, consumer.name.length).word("0")
  idArgument(writer, id)
  writer.word("TIME").number(deliveryMs).word("RETRYCOUNT").number(deliveryCount)
  writer.word("FORCE").word("JUSTID").word("LASTID")
  idArgument(writer, group.lastId)
}

/** An entry that is pending no more. */
export function propagateAcknowledgement(call: Call, keyAt: number, groupAt: number, id: StreamId): void {
  const { db, propagation } = call
  if (!propagation.enabled) return
  const writer = propagation.effect(db, 4).word("XACK")
  argument(call, writer, keyAt)
  argument(call, writer, groupAt)
  idArgument(writer, id)
}

/** How far the group has read. */
export function propagatePosition(call: Call, keyAt: number, groupAt: number, group: Group): void {
  const { db, propagation } = call
  if (!propagation.enabled) return
  const writer = propagation.effect(db, 7).word("XGROUP").word("SETID")
  argument(call, writer, keyAt)
  argument(call, writer, groupAt)
  idArgument(writer, group.lastId)
  writer.word("ENTRIESREAD").number(group.entriesRead)
}

/** A consumer that came into being on the way. */
export function propagateConsumer(call: Call, keyAt: number, groupAt: number, consumerAt: number): void {
  const { db, propagation } = call
  if (!propagation.enabled) return
  const writer = propagation.effect(db, 5).word("XGROUP").word("CREATECONSUMER")
  argument(call, writer, keyAt)
  argument(call, writer, groupAt)
  argument(call, writer, consumerAt)
}

function argument(call: Call, writer: CommandWriter, i: number): void {
  const { args } = call
  writer.arg(args.bytes, args.starts[i]!, args.ends[i]!)
}

function idArgument(writer: CommandWriter, id: StreamId): void {
  writer.arg(text, 0, id.write(text, 0))
}
