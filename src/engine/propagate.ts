/**
 * The one funnel to the append-only file and the replicas. Commands are gathered in one buffer per tick, together with the
 * SELECTs between them; sinks take the buffer at the end of the tick, before any reply leaves.
 *
 * A unit is what belongs together: one command, an EXEC, a script. If it propagates more than one command, MULTI and EXEC
 * are put around them, so that a reader applies all or nothing.
 */

import type { Propagation } from "../command/context.ts"
import type { Database } from "../keyspace/db.ts"
import type { Arguments } from "../resp/arguments.ts"
import { CommandWriter } from "../resp/command-writer.ts"

/** What a unit had propagated when it was put aside. */
export interface Withdrawn {
  bytes: Uint8Array
  /** As `Propagator.messages`, within `bytes`. */
  messages: number[]
  commands: number
  selectedBefore: number
  selectedAfter: number
}

export class Propagator implements Propagation {
  readonly writer = new CommandWriter(64 * 1024)
  /** False while nobody listens (no append-only file, no replicas) or while loading. */
  enabled = false
  /** Set by a script: what it does from here on is for itself. */
  muted = false
  /** Set by the running command: do not propagate it verbatim. */
  replaced = false
  /** Whether replicas listen: messages are for them. */
  hasReplicas = false
  /** Stretches of the buffer that only replicas get: pairs of offsets, in order; and their bytes. */
  readonly messages: number[] = []
  messageBytes = 0

  private depth = 0
  private unitAt = 0
  private unitCommands = 0
  /** What was selected when the unit began. */
  private unitSelected = -1
  private selected = -1
  private readonly scratch = new CommandWriter(64)

  /** Begins a unit; units nest, the outermost counts. */
  open(): void {
    if (this.depth++ === 0) {
      this.unitAt = this.writer.at
      this.unitCommands = 0
      this.unitSelected = this.selected
    }
  }

  /** Takes back what the open unit has propagated so far, because it is put aside. */
  withdraw(): Withdrawn {
    const { writer, unitAt } = this
    let ofUnit = this.messages.length
    while (ofUnit > 0 && this.messages[ofUnit - 2]! >= unitAt) ofUnit -= 2
    const messages = this.messages.splice(ofUnit).map(at => at - unitAt)
    this.messageBytes -= lengthOf(messages)
    const withdrawn = {
      bytes: writer.bytes.slice(unitAt, writer.at),
      messages,
      commands: this.unitCommands,
      selectedBefore: this.unitSelected,
      selectedAfter: this.selected,
    }
    writer.at = unitAt
    this.unitCommands = 0
    this.selected = this.unitSelected
    return withdrawn
  }

  /** The unit goes on, just opened anew: it begins with what it had before. */
  restore({ bytes, messages, commands, selectedBefore, selectedAfter }: Withdrawn): void {
    if (commands === 0) return
    if (selectedBefore >= 0) this.select(selectedBefore)
    this.unitAt = this.writer.at
    this.writer.raw(bytes, 0, bytes.length)
    for (const at of messages) this.messages.push(this.unitAt + at)
    this.messageBytes += lengthOf(messages)
    this.unitCommands = commands
    this.selected = selectedAfter
  }

  /** Ends a unit; `loose` when its commands have nothing to do with each other. */
  close(loose = false): void {
    if (--this.depth === 0 && this.unitCommands > 1 && !loose) this.wrap()
  }

  /** A command exactly as it came. */
  verbatim(db: Database, args: Arguments): void {
    if (!this.enabled || this.muted) return
    this.select(db.index)
    this.unitCommands++
    const writer = this.writer
    if (args.frameStart >= 0) {
      writer.raw(args.bytes, args.frameStart, args.frameEnd)
      return
    }
    writer.begin(args.count)
    for (let i = 0; i < args.count; i++) writer.arg(args.bytes, args.starts[i]!, args.ends[i]!)
  }

  /** A command that changes no data, as it came: for replicas, and not for the append-only file. */
  message(db: Database, args: Arguments): void {
    if (!this.hasReplicas || !this.enabled || this.muted) return
    this.select(db.index)
    this.unitCommands++
    const { writer } = this
    const start = writer.at
    writer.begin(args.count)
    for (let i = 0; i < args.count; i++) writer.arg(args.bytes, args.starts[i]!, args.ends[i]!)
    this.messages.push(start, writer.at)
    this.messageBytes += writer.at - start
  }

  /** Everything has been handed over. */
  reset(): void {
    this.writer.reset()
    this.messages.length = 0
    this.messageBytes = 0
  }

  effect(db: Database, argumentCount: number): CommandWriter {
    this.replaced = true
    return this.beside(db, argumentCount)
  }

  /** A further command beside the running one: the deletion of a key that expired, say. */
  beside(db: Database, argumentCount: number): CommandWriter {
    if (!this.enabled || this.muted) {
      this.scratch.reset()
      return this.scratch.begin(argumentCount)
    }
    this.select(db.index)
    this.unitCommands++
    return this.writer.begin(argumentCount)
  }

  suppress(): void {
    this.replaced = true
  }

  /** The next command must name its database: a new file, or a new replica. */
  forgetSelected(): void {
    this.selected = -1
  }

  private select(index: number): void {
    if (this.selected === index) return
    this.selected = index
    this.writer.begin(2).word("SELECT").number(index)
  }

  private wrap(): void {
    const writer = this.writer
    const body = writer.bytes.slice(this.unitAt, writer.at)
    writer.at = this.unitAt
    writer.begin(1).word("MULTI")
    const shift = writer.at - this.unitAt
    writer.raw(body, 0, body.length).begin(1).word("EXEC")
    const { messages } = this
    for (let i = messages.length - 1; i >= 0 && messages[i]! >= this.unitAt; i--) messages[i]! += shift
  }
}

/** Bytes in stretches given as pairs of offsets. */
function lengthOf(stretches: readonly number[]): number {
  let length = 0
  for (let i = 0; i < stretches.length; i += 2) length += stretches[i + 1]! - stretches[i]!
  return length
}
