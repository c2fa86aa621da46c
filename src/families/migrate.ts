/**
 * MIGRATE: keys go to another server, by RESTORE, and are deleted here once that has them.
 *
 *   run ──▶ keys are dumped, requests sent ──▶ the client waits (others do not) ──▶ run again when all is answered
 *            ▲                                                                        │
 *            └──────────────── those that changed meanwhile are sent once more ◀──────┘
 *
 * Redis stands still while it migrates. Here others go on, so before a key is deleted it is dumped once more: if that is not
 * what was sent, the key is sent again, over what the target has by now; if it is gone here, it is deleted there too. In the
 * end both servers have what they would have had if the transfer had taken no time. A key is deleted here only after the target
 * has said that it has it: nothing is lost when the target refuses, is silent, or goes away.
 */

import { copyOf, equalBytes } from "../bytes/compare.ts"
import type { Call, PeerExchange, PeerRequest } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { dumpValue } from "../rdb/dump.ts"
import { CommandWriter } from "../resp/command-writer.ts"

const TIMEOUT_MS = 1000
/** A key that keeps changing is sent so often. */
const ROUNDS_MAX = 16
const FIRST_OPTION = 6

export const migrateCommands: readonly CommandSpec[] = [
  {
    name: "migrate",
    since: "2.6.0",
    group: "generic",
    arity: -6,
    flags: "write",
    categories: "dangerous",
    keys: "RW access delete @3; RW access delete incomplete KEYS@-2..-1 => migrate",
    tips: "nondeterministic_output",
    syntax:
      'host port:integer key-selector=(key|empty-string="") destination-db:integer timeout:integer ' +
      "[COPY]@3.0.0 [REPLACE]@3.0.0 " +
      "[authentication=AUTH auth~password@4.0.7|AUTH2(username password)@6.0.0] " +
      "[KEYS keys:key...~key]@3.0.6",
    summary: "Moves keys to another server, all or none.",
    complexity: "O(N), N bytes to serialise, send and restore",
    run: migrate,
  },
]

/** A key on its way. */
interface Sent {
  readonly key: Uint8Array
  /** What was sent; empty for a deletion. */
  readonly payload: Uint8Array
  readonly expiry: number
}

/** What is kept of a MIGRATE while its client waits. */
interface Migration {
  readonly copies: boolean
  readonly replaces: boolean
  readonly target: Pick<PeerRequest, "host" | "port" | "db" | "login" | "timeoutMs">
  sent: Sent[]
  rounds: number
  /** The first error the target has answered with. */
  error: string | undefined
}

function migrate(call: Call): void {
  const exchange = call.retrying ? call.peers.exchangeOf(call.client) : undefined
  if (exchange === undefined) begin(call)
  else if (exchange.isOver) conclude(call, exchange, exchange.request.memo as Migration)
  else wait(call)
}

// ---------------------------------------------------------------------------------------------- going out

function begin(call: Call): void {
  const { args, reply } = call
  let copies = false
  let replaces = false
  let login: string[] = []
  let firstKey = 3
  let endOfKeys = 4
  for (let i = FIRST_OPTION; i < args.count; i++) {
    const more = args.count - 1 - i
    if (args.is(i, "copy")) copies = true
    else if (args.is(i, "replace")) replaces = true
    else if (args.is(i, "auth") && more >= 1) login = [args.latin1(++i)]
    else if (args.is(i, "auth2") && more >= 2) login = [args.latin1(++i), args.latin1(++i)]
    else if (args.is(i, "keys")) {
      if (args.ends[3]! > args.starts[3]!) {
        reply.error("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string")
        return
      }
      firstKey = i + 1
      endOfKeys = args.count
      break
    } else {
      reply.error(SYNTAX)
      return
    }
  }
  const timeout = call.integer(5)
  if (Number.isNaN(timeout)) return
  const db = call.integer(4)
  if (Number.isNaN(db)) return
  const sent: Sent[] = []
  for (let i = firstKey; i < endOfKeys; i++) {
    const entry = read(call, copyOf(args.bytes, args.starts[i]!, args.ends[i]!), true)
    if (entry !== undefined) sent.push(entry)
  }
  if (sent.length === 0) {
    reply.simple("NOKEY")
    return
  }
  if (call.client.denyBlocking) {
    reply.error("ERR MIGRATE is not allowed inside of transactions and scripts")
    return
  }
  const target = {
    host: args.latin1(1),
    // What is no number is no port that anybody listens on.
    port: Number.parseInt(args.latin1(2), 10) || 0,
    db,
    login,
    timeoutMs: timeout > 0 ? timeout : TIMEOUT_MS,
  }
  send(call, { copies, replaces, target, sent, rounds: 0, error: undefined })
}

/** The key as it is now; undefined when there is none. */
function read(call: Call, key: Uint8Array, counts: boolean): Sent | undefined {
  const { db } = call
  const address = counts ? db.lookup(key, 0, key.length) : db.find(key, 0, key.length)
  if (address === 0) return undefined
  return { key, payload: dumpValue(db, address, call.config.values.rdbcompression), expiry: db.keys.expiry(address) }
}

/** Sends what is in `sent`, and has the client wait. */
function send(call: Call, migration: Migration): void {
  const { config, now, peers } = call
  const restore = config.values.clusterEnabled ? "RESTORE-ASKING" : "RESTORE"
  // After the first round it is our own copies that are written over.
  const replaces = migration.replaces || migration.rounds > 0
  const writer = new CommandWriter(1024)
  for (const { key, payload, expiry } of migration.sent) {
    if (payload.length === 0) {
      writer.begin(2).word("DEL").arg(key, 0, key.length)
      continue
    }
    const ttl = expiry === 0 ? 0 : Math.max(1, expiry - now)
    writer
      .begin(replaces ? 5 : 4)
      .word(restore)
      .arg(key, 0, key.length)
      .number(ttl)
      .arg(payload, 0, payload.length)
    if (replaces) writer.word("REPLACE")
  }
  migration.rounds++
  peers.send(call.client, {
    ...migration.target,
    commands: writer.bytes.subarray(0, writer.at),
    replies: migration.sent.length,
    memo: migration,
  })
  wait(call)
}

function wait(call: Call): void {
  const { client, peers } = call
  call.blocking.block(call, [], 0, reply => {
    peers.forget(client)
    reply.error("IOERR interrupted while waiting for the target instance")
  })
}

// ---------------------------------------------------------------------------------------------- coming back

/** All is answered, or will not be: deletes what has arrived, and sends again what has changed. */
function conclude(call: Call, exchange: PeerExchange, migration: Migration): void {
  const { peers, reply } = call
  peers.forget(call.client)
  const { copies, sent } = migration
  const changed: Sent[] = []
  const moved: Uint8Array[] = []
  exchange.replies.forEach((error, i) => {
    const refusal = exchange.refusal ?? error
    if (refusal !== undefined) migration.error ??= refusal
    else if (!copies && sent[i]!.payload.length > 0) arrived(call, sent[i]!, moved, changed)
  })
  if (moved.length > 0) {
    const writer = call.propagation.effect(call.db, moved.length + 1).word("DEL")
    for (const key of moved) writer.arg(key, 0, key.length)
  }
  const { failure } = exchange
  if (migration.error !== undefined) reply.error(`ERR Target instance replied with error: ${migration.error}`)
  else if (failure === "connecting") reply.error("IOERR error or timeout connecting to the client")
  else if (failure !== undefined) reply.error(`IOERR error or timeout ${failure} to target instance`)
  else if (changed.length === 0) reply.ok()
  else if (migration.rounds >= ROUNDS_MAX) reply.error("IOERR a key has changed again whenever it was sent")
  else send(call, { ...migration, sent: changed })
}

/** The target has the key: it goes from here, unless it is not any more what was sent. */
function arrived(call: Call, sent: Sent, moved: Uint8Array[], changed: Sent[]): void {
  const { db } = call
  const { key, payload } = sent
  const now = read(call, key, false)
  if (now === undefined) {
    changed.push({ key, payload: new Uint8Array(0), expiry: 0 })
    return
  }
  const { length } = payload
  if (now.expiry !== sent.expiry || now.payload.length !== length || !equalBytes(now.payload, 0, payload, 0, length)) {
    changed.push(now)
    return
  }
  db.remove(db.find(key, 0, key.length), key, 0, key.length)
  moved.push(key)
}
