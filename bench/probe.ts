/**
 * A PING about every millisecond on one connection, from a process of its own: `bun bench/probe.ts PORT`. It runs
 * until its standard input ends, then writes one line of JSON: what `probe` returns.
 *
 * What it sees is what another client of the server would see. It never has two PINGs under way, so a stall of 100 ms
 * counts as one late reply, not as a hundred; the longest reply is the figure that matters.
 */
import { setPriority } from "node:os"

/** Reply times in milliseconds. */
export interface Stall {
  count: number
  maxMs: number
  p999Ms: number
}

/** Probes the server while `work` runs, and a little before and after it. */
export async function probe(port: number, work: () => Promise<unknown>): Promise<Stall> {
  const argv = [process.execPath, import.meta.path, String(port)]
  const child = Bun.spawn(argv, { stdin: "pipe", stdout: "pipe", stderr: "inherit" })
  const output = child.stdout.getReader()
  await output.read()
  try {
    await work()
    await Bun.sleep(200)
  } finally {
    child.stdin.end()
  }
  let text = ""
  for (;;) {
    const { value, done } = await output.read()
    if (done) break
    text += new TextDecoder().decode(value)
  }
  if ((await child.exited) !== 0) throw new Error("the prober lost its connection")
  return JSON.parse(text) as Stall
}

const ping = Buffer.from("*1\r\n$4\r\nPING\r\n")
const samplesMax = 1 << 20
const warmUpPings = 200

async function run(port: number) {
  try {
    // With loader and server busy on two cores the prober must not be the one that waits for a core.
    setPriority(-10)
  } catch {
    // Needs privilege; without it the figures are a little worse for both servers.
  }
  const samples = new Float64Array(samplesMax)
  let count = -warmUpPings
  let sentAt = 0
  let stopping = false

  function finish() {
    const sorted = samples.subarray(0, Math.max(count, 0)).sort()
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    process.stdout.write(JSON.stringify({ count: sorted.length, maxMs: at(1), p999Ms: at(0.999) } satisfies Stall))
    process.exit(0)
  }

  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open(socket) {
        sentAt = performance.now()
        socket.write(ping)
      },
      data(socket) {
        const tookMs = performance.now() - sentAt
        if (count >= 0 && count < samplesMax) samples[count] = tookMs
        count++
        if (count === 0) process.stdout.write("\n")
        if (stopping) finish()
        setTimeout(
          () => {
            sentAt = performance.now()
            socket.write(ping)
          },
          Math.max(0, 1 - tookMs),
        )
      },
      close: () => process.exit(1),
    },
  })
  for await (const _ of process.stdin) {
    // Nothing is said on standard input; its end is the message.
  }
  stopping = true
}

if (import.meta.main) await run(Number(process.argv[2]))
