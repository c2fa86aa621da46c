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
  /** As `Propagator.messages` and `fileOnly`, within `bytes`. */
  messages: number[]
  fileOnly: number[]
  commands: number
  selectedBefore: number
  selectedAfter: number
}

/** Whom a script says that its effects are for. */
export const Audience = { Nobody: 0, File: 1, Replicas: 2, All: 3 } as const

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
  /** The same for what only the append-only file gets. */
  readonly fileOnly: number[] = []
  fileOnlyBytes = 0
  private audience: number = Audience.All
  private audienceAt = 0

  private depth = 0
  private unitAt = 0
  private unitCommands = 0
  /** What was selected when the unit began. */
  private unitSelected = -1
  private selected = -1
  private readonly scratch = new CommandWriter(64)

  /** Bytes of this tick that the append-only file will get. */
  get bytesForFile(): number {
    return this.writer.at - this.messageBytes
  }

  /** Bytes of this tick that replicas will get. */
  get bytesForReplicas(): number {
    return this.writer.at - this.fileOnlyBytes
  }

  /** Begins a unit; units nest, the outermost counts. */
  open(): void {
    if (this.depth++ === 0) {
      this.unitAt = this.writer.at
      this.unitCommands = 0
      this.unitSelected = this.selected
    }
  }

  /** From here on what is propagated is for some only (see Audience); a script does that, and takes it back when it ends. */
  setAudience(audience: number): void {
    this.endStretch()
    this.audience = audience
    this.audienceAt = this.writer.at
    this.muted = audience === Audience.Nobody
    // The others do not get to see which database is selected.
    if (audience === Audience.File || audience === Audience.Replicas) this.selected = -1
  }

  /** What has been propagated since the audience was set was for that audience. */
  private endStretch(): void {
    const { audience, audienceAt, writer } = this
    if (audience !== Audience.File && audience !== Audience.Replicas) return
    this.audienceAt = writer.at
    this.selected = -1
    if (writer.at <= audienceAt) return
    if (audience === Audience.File) {
      this.fileOnly.push(audienceAt, writer.at)
      this.fileOnlyBytes += writer.at - audienceAt
    } else {
      this.messages.push(audienceAt, writer.at)
      this.messageBytes += writer.at - audienceAt
    }
  }

  /** Takes back what the open unit has propagated so far, because it is put aside. */
  withdraw(): Withdrawn {
    this.endStretch()
    const { writer, unitAt } = this
    const messages = takeFrom(this.messages, unitAt)
    const fileOnly = takeFrom(this.fileOnly, unitAt)
    this.messageBytes -= lengthOf(messages)
    this.fileOnlyBytes -= lengthOf(fileOnly)
    const withdrawn = {
      bytes: writer.bytes.slice(unitAt, writer.at),
      messages,
      fileOnly,
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
  restore({ bytes, messages, fileOnly, commands, selectedBefore, selectedAfter }: Withdrawn): void {
    this.audienceAt = this.writer.at
    if (commands === 0) return
    if (selectedBefore >= 0) this.select(selectedBefore)
    this.unitAt = this.writer.at
    this.writer.raw(bytes, 0, bytes.length)
    for (const at of messages) this.messages.push(this.unitAt + at)
    for (const at of fileOnly) this.fileOnly.push(this.unitAt + at)
    this.messageBytes += lengthOf(messages)
    this.fileOnlyBytes += lengthOf(fileOnly)
    this.audienceAt = this.writer.at
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
    if (!this.hasReplicas || !this.enabled || this.muted || this.audience === Audience.File) return
    this.select(db.index)
    this.unitCommands++
    const { writer } = this
    const start = writer.at
    writer.begin(args.count)
    for (let i = 0; i < args.count; i++) writer.arg(args.bytes, args.starts[i]!, args.ends[i]!)
    // Else it is in such a stretch already.
    if (this.audience !== Audience.All) return
    this.messages.push(start, writer.at)
    this.messageBytes += writer.at - start
  }

  /** Everything has been handed over. */
  reset(): void {
    this.writer.reset()
    this.messages.length = 0
    this.messageBytes = 0
    this.fileOnly.length = 0
    this.fileOnlyBytes = 0
    this.audienceAt = 0
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
    for (const stretches of [this.messages, this.fileOnly]) {
      for (let i = stretches.length - 1; i >= 0 && stretches[i]! >= this.unitAt; i--) stretches[i]! += shift
    }
  }
}

/** Takes the stretches out that begin at `from` or later, and gives them as seen from there. */
function takeFrom(stretches: number[], from: number): number[] {
  let at = stretches.length
  while (at > 0 && stretches[at - 2]! >= from) at -= 2
  return stretches.splice(at).map(offset => offset - from)
}

/** Bytes in stretches given as pairs of offsets. */
function lengthOf(stretches: readonly number[]): number {
  let length = 0
  for (let i = 0; i < stretches.length; i += 2) length += stretches[i + 1]! - stretches[i]!
  return length
}
