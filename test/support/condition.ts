/** Waiting for something to become true, instead of sleeping and hoping. */

export interface UntilOptions {
  /** Give up after this long; 30 s when not told. */
  timeoutMs?: number
  /** What is awaited, for the message. */
  what?: string
  intervalMs?: number
}

/**
 * Polls `fn` until it returns something truthy, and returns that. Rejects when the time is up, naming what was awaited
 * and the last error if `fn` threw.
 */
export async function until<T>(fn: () => T | Promise<T>, options: UntilOptions = {}): Promise<NonNullable<T>> {
  const timeoutMs = options.timeoutMs ?? 30_000
  const deadline = performance.now() + timeoutMs
  let lastError: unknown
  for (;;) {
    try {
      const result = await fn()
      if (result) return result
      lastError = undefined
    } catch (error) {
      lastError = error
    }
    if (performance.now() >= deadline) {
      const because = lastError === undefined ? "" : `; last error: ${lastError}`
      throw new Error(`waited ${timeoutMs} ms in vain for ${options.what ?? fn.toString()}${because}`)
    }
    await Bun.sleep(options.intervalMs ?? 5)
  }
}
