/**
 * The server under test: ours, in this process (`createServer`), or as a process of its own when BUNDIS_BINARY names an
 * executable.
 */
import { createServer } from "../../src/index.ts"
import { startBundis } from "./process.ts"

export interface Subject extends AsyncDisposable {
  readonly port: number
}

/** A fresh, empty server on a free port. */
export async function startSubject(): Promise<Subject> {
  if (process.env.BUNDIS_BINARY) return startBundis(["--appendonly", "no", "--save", ""])
  return createServer({ port: 0 })
}
