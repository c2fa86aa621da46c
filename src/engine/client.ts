/**
 * A client: what the server knows about one connection, or about a caller without a socket (replay, scripts, embedding).
 */

import type { CallClient } from "../command/context.ts"
import type { RegisteredCommand } from "../command/registry.ts"
import type { Database } from "../keyspace/db.ts"
import { RequestParser } from "../resp/request-parser.ts"
import type { Subscriptions } from "./pubsub.ts"
import type { TrackingState } from "./tracking.ts"
import type { Transaction } from "./transaction.ts"

/** What the engine asks of a socket; net/ implements it. */
export interface Transport {
  /** Hands bytes to the kernel; returns how many it took (0 when it is full, -1 when the peer is gone). */
  write(bytes: Uint8Array, start: number, length: number): number
  /** Closes after what was written has gone out. */
  end(): void
  /** Closes at once. */
  terminate(): void
  /** Stops and resumes reading. */
  pause(): void
  resume(): void
  readonly remoteAddress: string
  readonly localAddress: string
  readonly fd: number
  readonly isUnix: boolean
}

/** Conditions under which a command from this client must pass the gates; 0 for nearly everybody. */
export const ClientCondition = {
  NeedsAuth: 1,
  InTransaction: 2,
  /** RESP2 client with subscriptions: only a few commands are allowed. */
  Subscribed: 4,
  /** A user who may not do everything. */
  Restricted: 8,
  /** CLIENT REPLY OFF or SKIP. */
  Silent: 16,
  /** NO-TOUCH, tracking, or anything else that call.ts must handle around the command. */
  Special: 32,
} as const

/** SkipThis: the command that runs, or comes next, is not answered; SkipNext: nor is the one after it. */
export const ReplyMode = { On: 0, Off: 1, SkipNext: 2, SkipThis: 3 } as const

export class Client implements CallClient {
  readonly id: number
  db: Database
  protocol = 2
  denyBlocking = false
  /** What it says was accepted before (an append-only file, a master): limits on requests do not bind it. */
  isObeyed = false
  skipsSanitizing = false
  transport: Transport | undefined
  /** What a command family keeps for the connection until RESET: lists of fields. */
  fieldsets: { readonly bytes: number } | undefined
  /** Where the requests wait that it sent while it could not be served. */
  requests: { resume(): void } | undefined
  /** What is sent to it beside replies (the stream of a replica): goes on when the socket has drained. */
  feed: { pump(): void } | undefined
  readonly parser = new RequestParser()
  /** See ClientCondition. */
  conditions = 0
  /** Not to be served now: blocked on keys, paused, or closing. Its further requests wait. */
  suspended = false
  /** Not read from because its replies pile up. */
  overfull = false
  /** To be closed once its replies are out. */
  closing = false
  /** Gone: nothing is written any more. */
  gone = false

  name = ""
  libName = ""
  libVersion = ""
  user = "default"
  readonly createdAt: number
  /** Wall time of the last request, ms. */
  seenAt: number
  /** The last command it sent, whether or not it was run. */
  lastCommand: RegisteredCommand | undefined = undefined
  commandsRun = 0
  netInput = 0
  netOutput = 0
  replyMode: number = ReplyMode.On
  noEvict = false
  noTouch = false
  monitoring = false
  /** Flags that the script of its command declares, which count instead of the command's; -1 for none. */
  declaredFlags = -1
  isReplica = false
  /** Streams what a master has done; it is not answered. */
  isMaster = false
  blocked = false

  /** Output the kernel has not taken yet, oldest first. */
  readonly pending: Uint8Array[] = []
  pendingBytes = 0
  /** While output is handed out: its first and last stretch, see output.ts. */
  firstStretch = -1
  lastStretch = -1
  /** When the output began to exceed its soft limit (ms), 0 when it does not. */
  softLimitSince = 0
  /** Bytes of requests not run yet. */
  queryBytes = 0

  /** State of subsystems, made when first needed, so that an idle client stays small. */
  transaction: Transaction | undefined
  subscriptions: Subscriptions | undefined
  tracking: TrackingState | undefined
  waiting: unknown
  /** Set for the clients of restricted users. */
  mayReadAllKeys: ((command: RegisteredCommand) => boolean) | undefined

  constructor(id: number, db: Database, now: number) {
    this.id = id
    this.db = db
    this.createdAt = now
    this.seenAt = now
  }

  /** It waits for nothing any more: it is suspended only for other reasons. */
  unblock(): void {
    this.blocked = false
    this.waiting = undefined
    this.suspended = this.overfull || this.closing || this.gone
  }

  /** A command of a silent client is over: SKIP has had its effect. */
  nextReplyMode(): void {
    if (this.replyMode === ReplyMode.SkipNext) this.replyMode = ReplyMode.SkipThis
    else if (this.replyMode === ReplyMode.SkipThis) {
      this.replyMode = ReplyMode.On
      this.setCondition(ClientCondition.Silent, false)
    }
  }

  setCondition(bit: number, on: boolean): void {
    this.conditions = on ? this.conditions | bit : this.conditions & ~bit
  }
}
