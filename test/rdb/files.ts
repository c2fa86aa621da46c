/** Writing and reading RDB files within one process, for the tests of this room. */
import type { EmbeddedServer } from "../../src/index.ts"
import { decodeRdb, type LoadOptions, LoadReport, loadOptions, NEED_DATA, RdbInput } from "../../src/rdb/load.ts"
import { encodeSnapshot, freezeDatabases, type SnapshotOptions, snapshotDefaults } from "../../src/rdb/snapshot.ts"
import { RdbWriter, type RdbWriterOptions } from "../../src/rdb/writer.ts"

export interface SaveOptions extends RdbWriterOptions {
  snapshot?: Partial<SnapshotOptions>
  /** Called between two steps. */
  between?: () => void | Promise<void>
}

/** A file with everything a server holds at the time of the call. */
export async function saveFile({ server }: EmbeddedServer, options: SaveOptions = {}): Promise<Uint8Array> {
  const { keyspace, config } = server.engine
  keyspace.heap.freeze()
  const databases = freezeDatabases(keyspace)
  const writer = new RdbWriter(options)
  const pieces: Uint8Array[] = []
  const snapshot = { serverVersion: "7.4.2", usedMemoryBytes: 1, ...snapshotDefaults(keyspace, config) }
  for (const _ of encodeSnapshot(databases, { ...snapshot, ...options.snapshot }, writer)) {
    pieces.push(writer.take())
    if (options.between !== undefined) await options.between()
  }
  pieces.push(writer.take())
  keyspace.heap.thaw()
  return new Uint8Array(Buffer.concat(pieces))
}

export interface ReadOptions {
  chunkBytes?: number
  /** False: the length is not known in advance, as with a socket. */
  isSized?: boolean
  options?: Partial<LoadOptions>
}

/** Loads a file into a server, in chunks. */
export function readFile({ server }: EmbeddedServer, bytes: Uint8Array, how: ReadOptions = {}): LoadReport {
  const { keyspace, config } = server.engine
  server.engine.refreshTime()
  const chunk = how.chunkBytes ?? bytes.length
  const input = new RdbInput(how.isSized === false ? {} : { total: bytes.length })
  const report = new LoadReport()
  const steps = decodeRdb(input, keyspace.databases, { ...loadOptions(config), ...how.options }, report)
  let at = 0
  for (let step = steps.next(); !step.done; step = steps.next()) {
    if (step.value !== NEED_DATA) continue
    if (at >= bytes.length) input.finish()
    else input.push(bytes, at, Math.min(bytes.length, at + chunk))
    at += chunk
  }
  return report
}
