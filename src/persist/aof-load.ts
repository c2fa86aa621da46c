/**
 * Replays one append-only file.
 *
 *   Idle ──command──▶ Idle
 *    │                 ▲
 *    └──MULTI──▶ Queueing ──command──▶ Queueing ──EXEC──▶ (all are run)
 *
 * A file may end in the middle of a command, or inside MULTI … EXEC, when the machine stopped while it was written. The
 * place to cut back to is `validUpTo`: the end of the last command outside of a transaction. (Cutting after the last
 * whole command inside a MULTI would leave that MULTI open, and everything appended later would be lost with it.)
 *
 * Anything else that is not a command is corruption: nothing is repaired then.
 */

import { READ_AHEAD_MAX, RequestBatch } from "../engine/read-ahead.ts"
import type { Arguments } from "../resp/arguments.ts"
import { Empty, Invalid, type ParseResult, Pending, Ready, RequestParser } from "../resp/request-parser.ts"
import type { Storage } from "./storage.ts"

const STAR = 42
const HASH_SIGN = 35
const LF = 10
const CHUNK_BYTES = 4 * 1024 * 1024

export interface LoadResult {
  /** Commands run. */
  commands: number
  /** Length of the file. */
  size: number
  /** End of the last command that counts. Equal to `size` when the file is whole. */
  validUpTo: number
  /** Set when the file is not a torn but a corrupt one: what is wrong, and where. */
  fault?: { offset: number; reason: string }
}

export interface LoadOptions {
  /** Runs one command; returns an error text if it cannot be one of ours. */
  run: (args: Arguments) => string | undefined
  /** Bytes replayed per slice, so that clients can be told LOADING meanwhile. */
  sliceBytes: () => number
  /** Called before `count` requests are run, and with 0 after them. */
  readAhead: (batch: RequestBatch, bytes: Uint8Array, count: number) => void
  /** Called after each slice with the number of bytes read so far. */
  onProgress: (bytes: number, commands: number) => void
}

/** Replays a file in slices: each `yield` is a place to let others work. `from`: where the commands begin in the file. */
export function* replayFile(
  storage: Storage,
  path: string,
  options: LoadOptions,
  from = 0,
): Generator<void, LoadResult> {
  const size = storage.size(path)
  const fd = storage.openToRead(path)
  try {
    return yield* replay(storage, fd, size, options, from)
  } finally {
    storage.close(fd)
  }
}

function* replay(
  storage: Storage,
  fd: number,
  size: number,
  options: LoadOptions,
  from: number,
): Generator<void, LoadResult> {
  const result: LoadResult = { commands: 0, size, validUpTo: from }
  const parser = new RequestParser()
  const batch = new RequestBatch()
  let queue: Arguments[] | undefined
  let buffer: Uint8Array = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  let filled = 0
  /** File offset of buffer[0]. */
  let base = from
  let sliceFrom = from
  let readUpTo = from

  const corrupt = (offset: number, reason: string): LoadResult => {
    result.fault = { offset, reason }
    return result
  }

  for (;;) {
    const wanted = parser.midway ? parser.needed : 0
    if (wanted > buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(Math.min(wanted, size - base), filled + CHUNK_BYTES))
      larger.set(buffer.subarray(0, filled))
      buffer = larger
    }
    const got = storage.read(fd, buffer, filled, buffer.length - filled, readUpTo)
    if (got === 0) return result
    filled += got
    readUpTo += got
    if (parser.midway && parser.needed > filled && readUpTo < size) continue
    let outcome: ParseResult = Ready
    let fault: { offset: number; reason: string } | undefined
    while (outcome === Ready && fault === undefined) {
      // A batch is parsed, then the memory of its keys is asked for, then it is run.
      let count = 0
      while (count < READ_AHEAD_MAX && fault === undefined) {
        if (!parser.midway && parser.at < filled && buffer[parser.at] !== STAR) {
          if (buffer[parser.at] !== HASH_SIGN) {
            fault = { offset: base + parser.at, reason: "expected '*'" }
            break
          }
          // An annotation, such as a timestamp: a line of its own.
          const end = buffer.subarray(parser.at, filled).indexOf(LF)
          if (end < 0) {
            outcome = Pending
            break
          }
          parser.at += end + 1
          if (queue === undefined && count === 0) result.validUpTo = base + parser.at
          continue
        }
        const startedAt = base + parser.keepFrom
        const args = batch.tables[count]!
        outcome = parser.next(buffer, filled, args)
        if (outcome === Invalid) fault = { offset: startedAt, reason: parser.error }
        else if (outcome === Empty) fault = { offset: startedAt, reason: "a command of no arguments" }
        else if (outcome !== Ready) break
        else if (!isFramed(args)) fault = { offset: startedAt, reason: "a line does not end in CR LF" }
        else count++
      }
      options.readAhead(batch, buffer, count)
      for (let i = 0; i < count; i++) {
        const args = batch.tables[i]!
        const startedAt = base + args.frameStart
        if (args.is(0, "multi")) {
          if (queue !== undefined) return corrupt(startedAt, "MULTI inside MULTI")
          queue = []
        } else if (args.is(0, "exec")) {
          if (queue === undefined) return corrupt(startedAt, "EXEC without MULTI")
          for (const queued of queue) {
            const reason = options.run(queued)
            if (reason !== undefined) return corrupt(startedAt, reason)
            result.commands++
          }
          queue = undefined
        } else if (queue !== undefined) queue.push(args.clone())
        else {
          const reason = options.run(args)
          if (reason !== undefined) return corrupt(startedAt, reason)
          result.commands++
        }
        if (queue === undefined) result.validUpTo = base + args.frameEnd
      }
      options.readAhead(batch, buffer, 0)
      if (fault !== undefined) return corrupt(fault.offset, fault.reason)
      if (base + parser.at - sliceFrom >= options.sliceBytes()) {
        sliceFrom = base + parser.at
        options.onProgress(sliceFrom, result.commands)
        yield
      }
      if (count < READ_AHEAD_MAX) {
        // The table of a half-read request is the first of the next batch.
        const half = batch.tables[count]!
        batch.tables[count] = batch.tables[0]!
        batch.tables[0] = half
        break
      }
    }
    const kept = parser.keepFrom
    buffer.copyWithin(0, kept, filled)
    filled -= kept
    base += kept
    parser.rebase(kept, batch.tables[0]!)
  }
}

/** Whether every argument of a request is followed by CR LF: the parser itself does not look. */
function isFramed(args: Arguments): boolean {
  for (let i = 0; i < args.count; i++) {
    const end = args.ends[i]!
    if (args.bytes[end] !== 13 || args.bytes[end + 1] !== 10) return false
  }
  return true
}
