/** RDB files, written from snapshots and read at start: what lies between src/rdb and the state of this server. */

import type { Engine } from "../engine/engine.ts"
import type { FrozenData, SnapshotEncoder, SnapshotProgress } from "../engine/snapshots.ts"
import type { Database } from "../keyspace/db.ts"
import { decodeRdb, type LoadReport, loadOptions, NEED_DATA, RdbInput } from "../rdb/load.ts"
import { encodeSnapshot, type SnapshotOptions, snapshotDefaults } from "../rdb/snapshot.ts"
import { RdbWriter } from "../rdb/writer.ts"
import type { Storage } from "./storage.ts"

const CHUNK_BYTES = 64 * 1024
const MAGIC_BYTES = 6

/** Writes snapshots as RDB files; `isBase`: as the base of an append-only file. */
export function rdbEncoder(engine: Engine, version: string, isBase = false): SnapshotEncoder {
  return (data, progress) => {
    const { config, keyspace } = engine
    const { rdbchecksum, rdbcompression } = config.values
    // What the options say must be asked now, at the freeze.
    const options: SnapshotOptions = {
      ...snapshotDefaults(keyspace, config),
      serverVersion: version,
      usedMemoryBytes: keyspace.bytes,
      isAofBase: isBase,
      replication: data.replication,
      functions: data.libraries,
      ...(data.hasOldReaders ? { hasOldReaders: true } : {}),
    }
    return encode(data, options, new RdbWriter({ checksum: rdbchecksum, compress: rdbcompression }), progress)
  }
}

function* encode(
  data: FrozenData,
  options: SnapshotOptions,
  writer: RdbWriter,
  progress: SnapshotProgress,
): Generator<Uint8Array | undefined, void> {
  const counted = { keys: 0, expires: 0 }
  for (const _ of encodeSnapshot(data.databases, options, writer, counted)) {
    progress.keys = counted.keys
    yield writer.length >= CHUNK_BYTES ? writer.take() : undefined
  }
  progress.keys = counted.keys
  yield writer.take()
}

/** Whether a file begins as an RDB file does. */
export function beginsAsRdb(storage: Storage, path: string): boolean {
  const fd = storage.openToRead(path)
  try {
    const head = new Uint8Array(MAGIC_BYTES)
    const got = storage.read(fd, head, 0, MAGIC_BYTES, 0)
    const text = String.fromCharCode(...head.subarray(0, got))
    return text.startsWith("REDIS") || text === "VALKEY"
  } finally {
    storage.close(fd)
  }
}

export interface RdbReadOptions {
  /** Keys whose time is up are kept: commands that follow may be about them. */
  keepExpired: boolean
  /** Keys that are there already are replaced; otherwise they are an error. */
  replaces: boolean
  onFunction: (source: Uint8Array) => void
  /** See LoadOptions. */
  onExpired?: ((db: Database, key: Uint8Array, length: number) => void) | undefined
  /** Called after each slice. */
  onProgress: (report: LoadReport) => void
  /** Bytes read between two slices, at most. */
  sliceBytes: () => number
}

/** Reads a file into the databases, in slices. Throws an RdbError. */
export function* readRdb(
  engine: Engine,
  storage: Storage,
  path: string,
  options: RdbReadOptions,
  report: LoadReport,
): Generator<void, void> {
  const total = storage.size(path)
  const fd = storage.openToRead(path)
  try {
    const input = new RdbInput({ total, checksum: engine.config.values.rdbchecksum })
    const settings = {
      ...loadOptions(engine.config),
      keepExpired: options.keepExpired,
      duplicates: options.replaces ? ("replace" as const) : ("refuse" as const),
      verifyChecksum: engine.config.values.rdbchecksum && !engine.debugSwitches.skipsChecksums,
      onFunction: options.onFunction,
      ...(options.onExpired === undefined ? {} : { onExpired: options.onExpired }),
    }
    const steps = decodeRdb(input, engine.keyspace.databases, settings, report)
    let position = 0
    let sliceFrom = 0
    for (;;) {
      const step = steps.next()
      if (step.done) return
      if (step.value === NEED_DATA) {
        input.fill((buffer, start, end) => {
          const got = storage.read(fd, buffer, start, end - start, position)
          position += got
          return got
        })
        continue
      }
      if (report.bytes - sliceFrom < Math.min(options.sliceBytes(), CHUNK_BYTES)) continue
      sliceFrom = report.bytes
      options.onProgress(report)
      yield
    }
  } finally {
    storage.close(fd)
  }
}
