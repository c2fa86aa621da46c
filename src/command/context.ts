/**
 * What a handler is given. One Call object serves one nesting level (a command; a command inside EXEC or a script) and
 * is used again for the next command: handlers keep nothing of it.
 *
 * What lies above the families (blocking, pub/sub, users, persistence …) is reached through interfaces declared here and
 * wired by the composition root, so that a family never imports upwards.
 */

import { parseDouble } from "../bytes/double.ts"
import type { Config } from "../config/config.ts"
import type { Database } from "../keyspace/db.ts"
import type { Keyspace } from "../keyspace/keyspace.ts"
import { typeOfKind } from "../keyspace/kinds.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { CommandWriter } from "../resp/command-writer.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { NOT_FLOAT, NOT_INTEGER, WRONG_TYPE } from "./errors.ts"
import type { RegisteredCommand } from "./registry.ts"

/** What every client is to a handler, whether a socket stands behind it or not. */
export interface CallClient {
  readonly id: number
  /** The selected database. */
  db: Database
  /** 2 or 3. */
  protocol: number
  /** Inside EXEC or a script: blocking commands must not block. */
  readonly denyBlocking: boolean
  /** Replays what another server has done (an append-only file, a master): bounds that were applied there are not again. */
  readonly isObeyed?: boolean
  /** Its user is trusted with values to RESTORE (`skip-sanitize-payload`). */
  readonly skipsSanitizing?: boolean
  /** Whether its user may read keys of any name with a command, as SORT's patterns need; without it, yes. */
  readonly mayReadAllKeys?: (command: RegisteredCommand) => boolean
}

/**
 * Waiting for keys. A handler that finds nothing to do calls `block` and returns without a reply; when one of
 * the keys becomes ready (or is changed in any way), the same command is run again from its arguments, and either replies
 * or calls `block` once more (which then only renews the wait; its deadline stays). At the deadline `timedOut` is written.
 */
export interface Blocking {
  /**
   * @param keys argument numbers of the keys waited for
   * @param deadlineMs wall time; 0 waits forever
   * @param timedOut writes the reply of a wait that ended for nothing
   * @param lookAgainMs wall time at which the command is to be run again although no key has changed; 0 for never
   */
  block(
    call: Call,
    keys: readonly number[],
    deadlineMs: number,
    timedOut: (reply: ReplyWriter) => void,
    lookAgainMs?: number,
  ): void
}

/** What is to be sent to another server, on behalf of a client that waits for the answers. */
export interface PeerRequest {
  readonly host: string
  readonly port: number
  /** The database it is about. */
  readonly db: number
  /** Arguments of AUTH, none for no AUTH; one character per byte. */
  readonly login: readonly string[]
  /** Whole requests, and how many replies they will have. */
  readonly commands: Uint8Array
  readonly replies: number
  /** Longest silence. */
  readonly timeoutMs: number
  /** The sender's own. */
  readonly memo: unknown
}

export interface PeerExchange {
  readonly request: PeerRequest
  /** All replies are here, or no more will come. */
  readonly isOver: boolean
  /** What was being done when it failed; undefined when all replies have come. */
  readonly failure: "connecting" | "writing" | "reading" | undefined
  /** Error with which AUTH or SELECT was answered. */
  readonly refusal: string | undefined
  /** Per reply that has come the text of the error, undefined when it is none. */
  readonly replies: readonly (string | undefined)[]
}

/**
 * Other servers. A handler that has sent something blocks its client (on no key); when the exchange is over, the command is run
 * again and finds it.
 */
export interface Peers {
  send(client: CallClient, request: PeerRequest): void
  /** What the client waits for. */
  exchangeOf(client: CallClient): PeerExchange | undefined
  /** To be called when it has been looked at, or is not waited for any more. */
  forget(client: CallClient): void
}

/** The funnel to append-only file and replicas. */
export interface Propagation {
  /** False while nobody would get to see what is propagated: effects need not be written then. */
  readonly enabled: boolean
  /**
   * Replaces the verbatim propagation of the running command: begin a command on the returned writer and fill it.
   * May be called several times; the commands go out together, inside MULTI and EXEC when there are several.
   */
  effect(db: Database, argumentCount: number): CommandWriter
  /** The running command is not propagated, whatever it changed (its effects still are). */
  suppress(): void
}

export class Call {
  args!: Arguments
  reply!: ReplyWriter
  client!: CallClient
  command!: RegisteredCommand
  /** Database selected by the client. */
  db!: Database
  keyspace!: Keyspace
  config!: Config
  blocking!: Blocking
  propagation!: Propagation
  peers!: Peers
  /** True while a blocked client's command is run again. */
  retrying = false

  /** Wall time in ms, the same throughout the command. */
  get now(): number {
    return this.keyspace.now
  }

  // ------------------------------------------------------------------ keys

  /** Live record under the key that is argument `i`, for reading; 0 when absent. */
  read(i: number): number {
    return this.db.lookup(this.args.bytes, this.args.starts[i]!, this.args.ends[i]!)
  }

  /** Live record under the key that is argument `i`, for writing; 0 when absent. */
  write(i: number): number {
    return this.db.lookupWrite(this.args.bytes, this.args.starts[i]!, this.args.ends[i]!)
  }

  /** As `read`, but a record of another type is answered with WRONGTYPE and -1. */
  readTyped(i: number, type: number): number {
    return this.checkType(this.read(i), type)
  }

  /** As `write`, but a record of another type is answered with WRONGTYPE and -1. */
  writeTyped(i: number, type: number): number {
    return this.checkType(this.write(i), type)
  }

  /** The key that is argument `i` has changed: watchers, waiters, notification, one change. */
  changed(i: number, flag: number, event: string): void {
    this.db.changed(this.args.bytes, this.args.starts[i]!, this.args.ends[i]!, flag, event)
  }

  /** Removes the record under the key that is argument `i`, with its "del" event; for containers that ran empty. */
  removeKey(i: number, address: number): void {
    this.db.remove(address, this.args.bytes, this.args.starts[i]!, this.args.ends[i]!)
  }

  /** What `readTyped` makes of the address that `read` gave, for commands that look at other arguments in between. */
  checkType(address: number, type: number): number {
    if (address === 0 || typeOfKind(this.db.keys.type(address)) === type) return address
    this.reply.error(WRONG_TYPE)
    return -1
  }

  // ------------------------------------------------------------------ arguments

  /**
   * Argument as an integer that a number holds exactly; NaN after having answered with an error. Integers of 64 bits
   * beyond 2^53 are legal where a count or index is meant: they come back as ±2^53, which no collection reaches.
   */
  integer(i: number, error = NOT_INTEGER): number {
    const n = this.args.integer(i)
    if (!Number.isNaN(n)) return n
    const wide = this.args.int64(i)
    if (wide === undefined) {
      this.reply.error(error)
      return Number.NaN
    }
    return wide < 0 ? -(2 ** 53) : 2 ** 53
  }

  /** Argument as a float; undefined after having answered with an error. */
  float(i: number, error = NOT_FLOAT): number | undefined {
    const value = parseDouble(this.args.bytes, this.args.starts[i]!, this.args.ends[i]!)
    if (value === undefined) this.reply.error(error)
    return value
  }
}
