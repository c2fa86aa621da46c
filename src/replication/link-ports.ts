/** What the link to a master needs from outside: a connection, and somebody who loads snapshots. */

import type { LocalFile } from "../engine/acknowledgements.ts"
import type { ReplicationPoint } from "../engine/snapshots.ts"
import type { Database } from "../keyspace/db.ts"

/** A connection that was asked for; bytes that the kernel does not take at once are kept and sent later. */
export interface MasterConnection {
  write(bytes: Uint8Array): void
  /** Closes at once; no handler is called any more. */
  close(): void
  /** Stops and resumes reading. */
  pause(): void
  resume(): void
  readonly remoteAddress: string
  readonly localAddress: string
  readonly fd: number
}

export interface ConnectionHandlers {
  opened: () => void
  /** The chunk is borrowed for the call. */
  received: (chunk: Uint8Array) => void
  /** It could not be opened, or has ended. Called once at most. */
  closed: (reason: string) => void
}

export type Connect = (host: string, port: number, handlers: ConnectionHandlers) => MasterConnection

/** Decodes one snapshot, in slices, into databases that are empty. */
export interface SnapshotLoad {
  /** Further bytes; copied or taken over. */
  push(bytes: Uint8Array): void
  /** No more bytes will come. */
  finish(): void
  /** One slice of work. `hungry`: needs more bytes. Throws an Error that says what is wrong with the snapshot. */
  slice(): "more" | "hungry" | "done"
  /** Keys stored so far. */
  readonly keys: number
  /** Where the snapshot says that replication stood; known when done. */
  readonly replication: ReplicationPoint | undefined
}

export interface LocalAof extends LocalFile {
  /** It has been switched on, and its first base is still being made. */
  readonly isWaiting: boolean
}

export interface LinkPorts {
  connect: Connect
  /** Begins to decode a snapshot. The data that was there has gone before. */
  beginLoad: (databases: readonly Database[], onFunction: (source: Uint8Array) => void) => SnapshotLoad
  /** All data is about to be replaced, so nothing may be written of it any more; and it has been. */
  beforeReplace: () => void
  afterReplace: () => void
  /** Function libraries go with the data. */
  clearFunctions: () => void
  /** Throws when the source is refused. */
  loadFunction: (source: Uint8Array) => void
  /** The port that others reach us at. */
  listeningPort: () => number
  /** The append-only file, while it is on. */
  local: () => LocalAof | undefined
  /** Nothing on disk would survive a restart, but for the file of the sync itself. */
  persistsNothing: () => boolean
}
