/**
 * Amounts of memory as people write them: a decimal number and a unit, in any case.
 * `k`, `m`, `g` are powers of 1000; `kb`, `mb`, `gb` powers of 1024; `b` or nothing means bytes.
 */

const UNITS: Readonly<Record<string, bigint>> = {
  "": 1n,
  b: 1n,
  k: 1000n,
  kb: 1024n,
  m: 1000_000n,
  mb: 1024n ** 2n,
  g: 1000_000_000n,
  gb: 1024n ** 3n,
}

const BYTES_MAX = 2n ** 64n - 1n
const DIGITS_MAX = 127

/** The number of bytes, at most 2^64 - 1 (larger amounts saturate), or undefined when the text is not an amount. */
export function parseMemorySize(text: string): bigint | undefined {
  const match = /^([0-9]*)([a-zA-Z]*)$/.exec(text)
  if (match === null) return undefined
  const digits = match[1]!
  const unit = match[2]!.toLowerCase()
  if (!Object.hasOwn(UNITS, unit) || digits.length > DIGITS_MAX) return undefined
  const bytes = BigInt(digits === "" ? "0" : digits) * UNITS[unit]!
  return bytes > BYTES_MAX ? BYTES_MAX : bytes
}

/** The shortest exact form in whole gb, mb or kb, else bytes: what CONFIG REWRITE puts into a file. */
export function formatMemorySize(bytes: bigint): string {
  if (bytes !== 0n) {
    for (const unit of ["gb", "mb", "kb"]) {
      const multiplier = UNITS[unit]!
      if (bytes % multiplier === 0n) return `${bytes / multiplier}${unit}`
    }
  }
  return String(bytes)
}
