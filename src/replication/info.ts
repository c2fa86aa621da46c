/** What INFO and ROLE tell of replication, in the fields and the order of Redis 7.4. */

import type { ReplyWriter } from "../resp/reply-writer.ts"
import { REPLICA_STATE_NAMES } from "./replica.ts"
import type { Replication } from "./replication.ts"

type Field = readonly [name: string, value: string | number]

/** All fields of the section. */
export function replicationInfo(replication: Replication): Field[] {
  const { engine, failover, history, isMaster, replicas } = replication
  const { values } = engine.config
  const { stream } = history
  const fields: Field[] = [["role", isMaster ? "master" : "slave"]]
  if (!isMaster) fields.push(...linkFields(replication))
  fields.push(["connected_slaves", replicas.all.size])
  if (values.minReplicasToWrite > 0 && values.minReplicasMaxLag > 0) {
    fields.push(["min_slaves_good_slaves", replicas.goodCount])
  }
  let number = 0
  for (const replica of replicas.all) {
    const lag = replica.state === "online" ? replicas.lagSeconds(replica) : 0
    fields.push([
      `slave${number++}`,
      `ip=${replica.host},port=${replica.terms.listeningPort},state=${REPLICA_STATE_NAMES[replica.state]},` +
        `offset=${replica.ackOffset},lag=${lag}`,
    ])
  }
  fields.push(
    ["master_failover_state", failover.state],
    ["master_replid", history.id],
    ["master_replid2", history.secondId],
    ["master_repl_offset", replication.offset],
    ["second_repl_offset", history.secondOffset],
    ["repl_backlog_active", stream.isOpen ? 1 : 0],
    ["repl_backlog_size", values.replBacklogSize],
    ["repl_backlog_first_byte_offset", stream.firstByte],
    ["repl_backlog_histlen", stream.length],
  )
  return fields
}

function linkFields({ engine, link }: Replication): Field[] {
  const { values } = engine.config
  const { applier, cached, receiver } = link
  const fields: Field[] = [
    ["master_host", link.host],
    ["master_port", link.port],
    ["master_link_status", link.state === "connected" ? "up" : "down"],
    ["master_last_io_seconds_ago", link.client === undefined ? -1 : link.silentSeconds],
    ["master_sync_in_progress", link.state === "sync" ? 1 : 0],
    ["slave_read_repl_offset", applier?.readOffset ?? cached?.offset ?? 0],
    ["slave_repl_offset", applier?.offset ?? cached?.offset ?? 0],
  ]
  if (link.state === "sync" && receiver !== undefined) {
    const { totalBytes, receivedBytes, silentSeconds } = receiver
    const percent = totalBytes === 0 ? 0 : (receivedBytes / totalBytes) * 100
    fields.push(
      ["master_sync_total_bytes", totalBytes],
      ["master_sync_read_bytes", receivedBytes],
      ["master_sync_left_bytes", totalBytes - receivedBytes],
      ["master_sync_perc", percent.toFixed(2)],
      ["master_sync_last_io_seconds_ago", silentSeconds],
    )
  }
  if (link.state !== "connected") {
    const { downSince } = link
    const seconds = downSince === 0 ? -1 : Math.max(0, Math.floor((engine.clock.wall() - downSince) / 1000))
    fields.push(["master_link_down_since_seconds", seconds])
  }
  fields.push(
    ["slave_priority", values.replicaPriority],
    ["slave_read_only", values.replicaReadOnly ? 1 : 0],
    ["replica_announced", values.replicaAnnounced ? 1 : 0],
  )
  return fields
}

/** Fields of INFO stats. */
export function replicationStatistics({ link, ownKeys, replicas }: Replication): Field[] {
  return [
    ["total_net_repl_input_bytes", link.bytesIn],
    ["total_net_repl_output_bytes", replicas.bytesOut],
    ["sync_full", replicas.fullSyncs],
    ["sync_partial_ok", replicas.partialSyncs],
    ["sync_partial_err", replicas.refusedPartialSyncs],
    ["slave_expires_tracked_keys", ownKeys.size],
    ["unexpected_error_replies", link.unexpectedErrors + replicas.unexpectedErrors],
  ]
}

/** Fields of INFO persistence while a snapshot is made for replicas, or one is being loaded. */
export function syncInfo({ engine, link, replicas }: Replication): Field[] {
  const fields: Field[] = []
  if (replicas.fullSync.target !== undefined) fields.push(["rdb_bgsave_in_progress", 1])
  const { receiver } = link
  const loading = receiver?.loading
  if (receiver === undefined || loading === undefined) return fields
  const { isAsync } = receiver
  const { loaded, startedAt, total } = loading
  const percent = total === 0 ? 0 : (loaded / total) * 100
  const elapsedMs = engine.clock.wall() - startedAt
  const etaSeconds = loaded === 0 ? 1 : Math.ceil((elapsedMs * (total - loaded)) / loaded / 1000)
  fields.push(
    ["loading", isAsync ? 0 : 1],
    ["async_loading", isAsync ? 1 : 0],
    ["loading_start_time", Math.floor(startedAt / 1000)],
    ["loading_total_bytes", total],
    ["loading_loaded_bytes", loaded],
    ["loading_loaded_perc", percent.toFixed(2)],
    ["loading_eta_seconds", etaSeconds],
  )
  return fields
}

/** The reply to ROLE. */
export function writeRole(reply: ReplyWriter, replication: Replication): void {
  const { isMaster, link, replicas } = replication
  if (!isMaster) {
    reply.array(5)
    reply.bulkText("slave")
    reply.bulkText(link.host)
    reply.integer(link.port)
    reply.bulkText(link.state)
    reply.integer(link.offset)
    return
  }
  const online = [...replicas.all].filter(({ state }) => state === "online")
  reply.array(3)
  reply.bulkText("master")
  reply.integer(replication.offset)
  reply.array(online.length)
  for (const replica of online) {
    reply.array(3)
    reply.bulkText(replica.host)
    reply.bulkText(String(replica.terms.listeningPort))
    reply.bulkText(String(replica.ackOffset))
  }
}
