/** The gates of replication, in Redis's order. What a master streams passes all of them. */

import { Flag, type RegisteredCommand } from "../command/registry.ts"
import type { Client } from "../engine/client.ts"
import { EngineCondition, effectiveFlags } from "../engine/dispatch.ts"
import type { Engine } from "../engine/engine.ts"

/** A replica talks about replication only: it is exempt from pauses, and must not make use of that. */
export function replicaClientGate(_engine: Engine, client: Client, command: RegisteredCommand): string | undefined {
  if (!client.isReplica || client.monitoring) return undefined
  if ((effectiveFlags(client, command) & (Flag.Write | Flag.Readonly | Flag.MayReplicate)) === 0) return undefined
  return "ERR Replica can't interact with the keyspace"
}

export function tooFewReplicasGate(engine: Engine, client: Client, command: RegisteredCommand): string | undefined {
  if ((engine.conditions & EngineCondition.TooFewReplicas) === 0 || client.isObeyed) return undefined
  if ((effectiveFlags(client, command) & Flag.Write) === 0) return undefined
  return "NOREPLICAS Not enough good replicas to write."
}

export function readOnlyReplicaGate(engine: Engine, client: Client, command: RegisteredCommand): string | undefined {
  if ((engine.conditions & EngineCondition.ReadOnlyReplica) === 0 || client.isObeyed) return undefined
  if ((effectiveFlags(client, command) & Flag.Write) === 0) return undefined
  return "READONLY You can't write against a read only replica."
}

export function staleReplicaGate(engine: Engine, client: Client, command: RegisteredCommand): string | undefined {
  if ((engine.conditions & EngineCondition.StaleReplica) === 0 || client.isObeyed) return undefined
  if ((effectiveFlags(client, command) & Flag.Stale) !== 0) return undefined
  return "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
}
