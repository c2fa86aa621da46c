/**
 * Runs one command whose gates are passed, and deals with what it changed. Calls nest (EXEC, scripts), each level with its
 * own Call object.
 *
 * From here to the reply nothing is asynchronous, so a command is atomic by construction.
 */

import { Call } from "../command/context.ts"
import { extractKeys, KeyPositions } from "../command/key-specs.ts"
import { Flag, type RegisteredCommand } from "../command/registry.ts"
import type { KeyspaceEvents } from "../keyspace/events.ts"
import type { FieldExpiry } from "../keyspace/field-expiry.ts"
import type { HiddenMembers } from "../keyspace/hidden-members.ts"
import type { Keyspace } from "../keyspace/keyspace.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import type { Client } from "./client.ts"
import type { Engine } from "./engine.ts"
import type { Propagator } from "./propagate.ts"

/** Of the cheap commands one in this many is timed, and counts for all of them; and the first of each. */
const TIMED_ONE_IN = 64
const ERROR_BYTE = 45

export class Caller {
  private readonly engine: Engine
  // What every command needs is kept at hand: each hop through the engine is a load and a check.
  private readonly keyspace: Keyspace
  private readonly events: KeyspaceEvents
  private readonly memberExpiry: FieldExpiry
  private readonly propagator: Propagator
  private readonly levels: Call[] = []
  private depth = 0
  private untimed = 0
  /** True when every command must be timed: the slow log or somebody else wants to know. */
  timesAll = false
  /** Requests and replies of so many bytes are worth a word to `onLarge`. */
  requestBytesMax = Number.POSITIVE_INFINITY
  /** Bytes that the command now told to `onTimed` has replied. */
  lastReplyBytes = 0
  replyBytesMax = Number.POSITIVE_INFINITY
  onLarge: (
    client: Client,
    command: RegisteredCommand,
    args: Arguments,
    requestBytes: number,
    replyBytes: number,
  ) => void = () => {}
  /** Where replies go: the output, or a script that reads them itself. */
  writer: ReplyWriter
  /** The command that was run last has been put aside, and goes on later: whoever has run it, as one of several, waits. */
  putAside = false
  /** The running command has counted the error it replies with. */
  errorCounted = false

  constructor(engine: Engine) {
    this.engine = engine
    this.keyspace = engine.keyspace
    this.events = engine.keyspace.events
    this.memberExpiry = engine.keyspace.memberExpiry
    this.propagator = engine.propagator
    this.writer = engine.output.writer
  }

  /** How deep calls are nested right now. */
  get nesting(): number {
    return this.depth
  }

  /** The Call of the running command, if one runs. */
  get current(): Call | undefined {
    return this.depth === 0 ? undefined : this.levels[this.depth - 1]
  }

  /** The Call of the command that a client has sent, which may be running others: EXEC, a script. */
  get outermost(): Call | undefined {
    return this.depth === 0 ? undefined : this.levels[0]
  }

  run(client: Client, command: RegisteredCommand, args: Arguments, retrying = false): void {
    const call = this.levels[this.depth] ?? this.addLevel()
    const { events, propagator } = this
    const reply = this.writer
    call.args = args
    call.reply = reply
    call.client = client
    call.command = command
    call.db = client.db
    call.retrying = retrying
    const replyAt = reply.at
    const dirty = events.dirty
    const outerReplaced = propagator.replaced
    const timed = this.timesAll || !command.isCheap || !command.wasTimed || ++this.untimed >= TIMED_ONE_IN
    const startedAt = timed ? this.engine.clock.monotonicMicros() : 0
    this.depth++
    propagator.open()
    propagator.replaced = false
    let hidden: readonly HiddenMembers[] | undefined
    try {
      if (this.keyspace.now > this.memberExpiry.nextDue) hidden = expireMembers(call)
      command.run!(call)
      if (events.dirty !== dirty && !propagator.replaced) propagator.verbatim(call.db, args)
    } catch (error) {
      reply.at = Math.min(replyAt, reply.at)
      this.engine.onHandlerError(error, command, reply)
    } finally {
      if (hidden !== undefined) for (const members of hidden) members.restore()
      propagator.replaced = outerReplaced
      // What SCAN and RANDOMKEY find expired is expired each for itself.
      propagator.close((command.flagBits & Flag.TouchesArbitraryKeys) !== 0)
      this.depth--
    }
    if (reply.at - replyAt >= this.replyBytesMax || args.frameEnd - args.frameStart >= this.requestBytesMax) {
      if (this.depth === 0) this.noteLarge(client, command, args, reply.at - replyAt, retrying)
    }
    if (!retrying) command.calls++
    if (timed) {
      this.lastReplyBytes = reply.at - replyAt
      this.account(client, command, args, startedAt, retrying)
    }
    if (reply.at > replyAt && reply.bytes[replyAt] === ERROR_BYTE) this.noteError(command, reply, replyAt)
  }

  private noteLarge(
    client: Client,
    command: RegisteredCommand,
    args: Arguments,
    replyBytes: number,
    retrying: boolean,
  ): void {
    const requestBytes = retrying || args.frameStart < 0 ? 0 : args.frameEnd - args.frameStart
    this.onLarge(client, command, args, requestBytes, replyBytes)
  }

  private noteError(command: RegisteredCommand, reply: ReplyWriter, replyAt: number): void {
    const { engine } = this
    if (reply === engine.output.writer && !engine.output.isOwn(replyAt)) return
    if (this.errorCounted) {
      this.errorCounted = false
      return
    }
    command.failedCalls++
    engine.countError(replyAt, reply)
  }

  /**
   * A command that was put aside (a script that takes its time) goes on, outside of any other: until `leave`, calls are
   * within it and what they propagate is one unit.
   */
  enter(client: Client, command: RegisteredCommand, args: Arguments): void {
    const call = this.levels[this.depth] ?? this.addLevel()
    call.args = args
    call.reply = this.writer
    call.client = client
    call.command = command
    call.db = client.db
    this.depth++
    this.engine.propagator.open()
    this.engine.propagator.replaced = true
  }

  /** The command that was entered is put aside again, or over. */
  leave(): void {
    const { propagator } = this.engine
    propagator.replaced = false
    propagator.close()
    this.depth--
  }

  /** What was put aside is over: `usec` is the time it took in all. */
  accountAside(client: Client, command: RegisteredCommand, args: Arguments, usec: number): void {
    command.calls++
    command.usec += usec
    this.engine.onTimed(client, command, args, usec, true)
  }

  private account(
    client: Client,
    command: RegisteredCommand,
    args: Arguments,
    startedAt: number,
    retrying: boolean,
  ): void {
    const usec = this.engine.clock.monotonicMicros() - startedAt
    command.wasTimed = true
    // What came before a wait is forgotten: a call that waits is counted when it is over.
    if (client.blocked && !retrying) {
      this.engine.onTimed(client, command, args, usec, retrying)
      return
    }
    const sampled = command.isCheap && !this.timesAll && this.untimed >= TIMED_ONE_IN
    if (sampled) {
      // Stands for the untimed ones before it as well; they were fast commands all, of one mix or another.
      command.usec += usec * TIMED_ONE_IN
      this.untimed = 0
    } else command.usec += usec
    this.engine.onTimed(client, command, args, usec, retrying)
  }

  private addLevel(): Call {
    const call = new Call()
    const { engine } = this
    call.keyspace = engine.keyspace
    call.config = engine.config
    call.blocking = engine.blocking
    call.propagation = engine.propagator
    call.peers = engine.peers
    this.levels.push(call)
    return call
  }
}

const positions = new KeyPositions()

/**
 * Rids the keys of a command of members that are past their time, before it gets to see them. Where they must not be removed
 * they are hidden; tells what is to be restored then.
 */
function expireMembers(call: Call): HiddenMembers[] | undefined {
  const { args, command, db, keyspace } = call
  const { expiryPaused, memberExpiry } = keyspace
  if (expiryPaused && keyspace.servesExpired) return undefined
  let hidden: HiddenMembers[] | undefined
  extractKeys(command.keys, args, positions)
  for (let i = 0; i < positions.count; i++) {
    const at = positions.positions[i]!
    const start = args.starts[at]!
    const end = args.ends[at]!
    if (!expiryPaused) memberExpiry.meet(db, args.bytes, start, end)
    else {
      const members = memberExpiry.hide(db, args.bytes, start, end)
      if (members !== undefined) hidden = [...(hidden ?? []), members]
    }
  }
  return hidden
}
