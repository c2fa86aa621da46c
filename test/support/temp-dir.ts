import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A fresh directory, removed with everything in it at the end of an `await using` block. */
export class TempDir {
  readonly path: string

  constructor(prefix = "bundis-test-") {
    this.path = mkdtempSync(join(tmpdir(), prefix))
  }

  join(...parts: string[]): string {
    return join(this.path, ...parts)
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 3 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.remove()
  }
}
