/** What the value of a record can be outside its page. */

/** A byte string kept outside the pages; `bytes` may have spare capacity behind `length`. */
export class Blob {
  epoch: number
  bytes: Uint8Array
  length: number
  constructor(bytes: Uint8Array, length: number, epoch: number) {
    this.bytes = bytes
    this.length = length
    this.epoch = epoch
  }
}

/** What a large container (hash table, list, tree, stream) offers the map that holds it. */
export interface Container {
  /** Bytes it occupies, kept in O(1). */
  readonly bytes: number
  /** Gives its memory back, in slices of `budget` steps; true when nothing is left. */
  release(budget: number): boolean
}

export type Stored = Blob | Container

/** Bytes it is accounted with. */
export function sizeOf(object: Stored): number {
  return object instanceof Blob ? object.bytes.length + 64 : object.bytes
}
