/**
 * Which history a server's data belongs to. A history is a random id and a stream of bytes; servers with the same id and
 * offset have the same data.
 *
 * A replica that becomes a master begins a history of its own, but remembers the one it comes from and how far that went
 * (`second`): other replicas of the old master have the same past, and may go on from there without a full sync.
 */

import type { ReplicationStream } from "./stream.ts"

export const ID_LENGTH = 40
export const NO_ID = "0".repeat(ID_LENGTH)

export class ReplicationHistory {
  id: string
  secondId = NO_ID
  /** First byte of the stream that no longer belongs to `secondId`; -1 without one. */
  secondOffset = -1
  readonly stream: ReplicationStream
  private readonly newId: () => string

  constructor(stream: ReplicationStream, newId: () => string) {
    this.stream = stream
    this.newId = newId
    this.id = newId()
  }

  /** A history that has nothing to do with what was before. */
  renew(): void {
    this.id = this.newId()
    this.forgetSecond()
  }

  forgetSecond(): void {
    this.secondId = NO_ID
    this.secondOffset = -1
  }

  /** Goes on under another id: the one so far becomes the second, up to here. */
  shift(id = this.newId()): void {
    this.secondId = this.id
    this.secondOffset = this.stream.offset + 1
    this.id = id
  }

  /** Whether data of history `id` up to byte `next - 1` is a past of ours. */
  includes(id: string, next: number): boolean {
    const asked = id.toLowerCase()
    return asked === this.id || (asked === this.secondId && next <= this.secondOffset)
  }
}
