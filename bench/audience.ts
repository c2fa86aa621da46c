/**
 * Subscribers that read and forget, in a process of their own: `bun bench/audience.ts PORT CHANNEL COUNT`. Writes a line
 * when all are subscribed, and runs until it is killed.
 */

/** Starts the process and waits until everybody has subscribed. */
export async function gather(port: number, channel: string, count: number): Promise<Disposable> {
  const argv = [process.execPath, import.meta.path, String(port), channel, String(count)]
  const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "inherit" })
  const { done } = await child.stdout.getReader().read()
  if (done) throw new Error(`no audience: exit code ${await child.exited}`)
  return { [Symbol.dispose]: () => child.kill() }
}

async function attend(port: number, channel: string, count: number) {
  for (let i = 0; i < count; i++) {
    const { promise, resolve } = Promise.withResolvers<void>()
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data: () => resolve() } })
    socket.write(`SUBSCRIBE ${channel}\r\n`)
    await promise
  }
  console.log("ready")
}

if (import.meta.main) await attend(Number(process.argv[2]), process.argv[3]!, Number(process.argv[4]))
