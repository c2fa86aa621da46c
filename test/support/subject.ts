/**
 * The server under test: ours, in this process (`createServer`), or as a process of its own when BUNDIS_BINARY names an
 * executable.
 */
import { startBundis } from "./process.ts"

export interface Subject extends AsyncDisposable {
  readonly port: number
}

/** A fresh, empty server on a free port. */
export async function startSubject(): Promise<Subject> {
  if (process.env.BUNDIS_BINARY) return startBundis(["--appendonly", "no", "--save", ""])
  const entry = "../../src/index.ts"
  const { createServer } = (await import(entry)) as { createServer: (options: object) => Promise<Subject> }
  return createServer({ port: 0 })
}
