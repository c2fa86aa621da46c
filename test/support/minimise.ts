/**
 * Makes a failing sequence shorter while it still fails: drops halves, then quarters, and so on down to single items,
 * starting over with what is left (delta debugging, Zeller and Hildebrandt 2002, without the complement step).
 */

/**
 * `failsAt` runs a candidate from a fresh state and tells the index of the item that failed, or null. The result ends
 * with the item that fails; it is the sequence itself when not even that fails again. At most `runsMax` runs.
 */
export async function minimise<T>(
  sequence: readonly T[],
  failsAt: (candidate: readonly T[]) => Promise<number | null>,
  runsMax = 400,
): Promise<{ sequence: readonly T[]; reproduced: boolean }> {
  let runs = 1
  const first = await failsAt(sequence)
  if (first === null) return { sequence, reproduced: false }
  let shortest = sequence.slice(0, first + 1)
  for (let size = Math.ceil(shortest.length / 2); size >= 1 && shortest.length > 1; size = nextSize(size)) {
    for (let from = 0; from < shortest.length - 1; ) {
      if (runs++ >= runsMax) return { sequence: shortest, reproduced: true }
      const to = Math.min(from + size, shortest.length - 1)
      const candidate = [...shortest.slice(0, from), ...shortest.slice(to)]
      const index = await failsAt(candidate)
      if (index === null) from = to
      else shortest = candidate.slice(0, index + 1)
    }
  }
  return { sequence: shortest, reproduced: true }
}

function nextSize(size: number): number {
  return size === 1 ? 0 : Math.ceil(size / 2)
}
