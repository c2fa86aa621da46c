/** Decodes the snapshot of a full sync: src/rdb, in the terms of the link. */

import type { Engine } from "../engine/engine.ts"
import type { ReplicationPoint } from "../engine/snapshots.ts"
import type { Database } from "../keyspace/db.ts"
import { type DecodeStep, decodeRdb, LoadReport, loadOptions, NEED_DATA, RdbInput } from "../rdb/load.ts"
import type { SnapshotLoad } from "./link-ports.ts"

export class RdbLoad implements SnapshotLoad {
  private readonly input: RdbInput
  private readonly report = new LoadReport()
  private readonly steps: Iterator<DecodeStep, LoadReport>

  constructor(engine: Engine, databases: readonly Database[], onFunction: (source: Uint8Array) => void) {
    const { config } = engine
    const verifyChecksum = config.values.rdbchecksum && !engine.debugSwitches.skipsChecksums
    this.input = new RdbInput({ checksum: verifyChecksum })
    // What has expired the master will delete.
    const options = { ...loadOptions(config), keepExpired: true, verifyChecksum, onFunction }
    this.steps = decodeRdb(this.input, databases, options, this.report)
  }

  get keys(): number {
    return this.report.keys
  }

  get replication(): ReplicationPoint | undefined {
    const { aux } = this.report
    const db = Number(aux.get("repl-stream-db") ?? Number.NaN)
    if (!Number.isInteger(db) || db < 0) return undefined
    return { id: aux.get("repl-id") ?? "", offset: Number(aux.get("repl-offset") ?? -1), db }
  }

  push(bytes: Uint8Array): void {
    this.input.push(bytes)
  }

  finish(): void {
    this.input.finish()
  }

  slice(): "more" | "hungry" | "done" {
    const step = this.steps.next()
    if (step.done) return "done"
    return step.value === NEED_DATA ? "hungry" : "more"
  }
}
