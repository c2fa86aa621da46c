/**
 * Time as the server sees it. Wall time decides about expiry, monotonic time measures; tests inject their own.
 */
export interface Clock {
  /** Milliseconds since 1970, whole. */
  wall(): number
  /** Microseconds since 1970, whole. */
  wallMicros(): number
  /** Microseconds of a clock that never goes back. */
  monotonicMicros(): number
}

export const systemClock: Clock = {
  wall: () => Date.now(),
  wallMicros: () => Math.floor((performance.timeOrigin + performance.now()) * 1000),
  monotonicMicros: () => performance.now() * 1000,
}

/** A clock that stands still until told otherwise. */
export class ManualClock implements Clock {
  private micros: number

  constructor(startMs: number) {
    this.micros = startMs * 1000
  }

  advance(ms: number): void {
    this.micros += ms * 1000
  }

  wall(): number {
    return Math.floor(this.micros / 1000)
  }

  wallMicros(): number {
    return this.micros
  }

  monotonicMicros(): number {
    return this.micros
  }
}
