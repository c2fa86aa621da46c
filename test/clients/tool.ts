/**
 * Programs of the redis-tools package, run to their end against a server of ours. Tests that need one say
 * `test.skipIf(!have("redis-cli"))`, and are reported as skipped where it is missing.
 */

const announced = new Set<string>()

/** Whether the program is on the PATH; says so once when it is not. */
export function have(program: string): boolean {
  if (Bun.which(program) !== null) return true
  if (!announced.has(program)) console.warn(`${program} is not on the PATH: tests that need it are skipped`)
  announced.add(program)
  return false
}

export interface ToolResult {
  stdout: string
  stderr: string
  exitCode: number
}

/** Runs it with `input` as its standard input, in pieces as it takes them. It is killed after a minute. */
export async function runTool(argv: string[], input: string | Iterable<Uint8Array> = ""): Promise<ToolResult> {
  const child = Bun.spawn(argv, { stdin: "pipe", stdout: "pipe", stderr: "pipe", timeout: 60_000 })
  const output = Promise.all([child.stdout.text(), child.stderr.text()])
  for (const piece of typeof input === "string" ? [Buffer.from(input)] : input) {
    child.stdin.write(piece)
    await child.stdin.flush()
  }
  await child.stdin.end()
  const [stdout, stderr] = await output
  return { stdout, stderr, exitCode: await child.exited }
}
