/**
 * Fills a server with a data set, from a process of its own so that its garbage collector and its CPU are not the
 * server's: `bun bench/load.ts PORT DATASET COUNT`. Ends with 0 when every reply was counted and none was an error.
 *
 * Commands of a data set differ only in a zero-padded number, so one buffer of `batch` commands is made once and only
 * the digits are patched; the generator costs a fraction of what any server does with the commands.
 */

/**
 * One command per element. `%` marks where twelve digits of the element's number go, `@` where those of a number that
 * jumps about do (scores in ascending order would flatter a tree).
 */
const datasets = {
  /** 16-byte keys, 32-byte values. */
  strings: () => ["SET", "key:%", "%".padEnd(21, "v")],
  /** As strings, each expiring at the moment given as the fourth argument (Unix ms). */
  expiring: () => ["SET", "exp:%", "x", "PXAT", process.argv[5] ?? ""],
  hashes: () => ["HSET", "hash:%", ...["a", "b", "c", "d", "e"].flatMap(f => [`field-${f}`, "value-%"])],
  list: () => ["RPUSH", "big", "element:%"],
  stream: () => ["XADD", "big", "*", "field", "value:%"],
  set: () => ["SADD", "big", "member:%"],
  hash: () => ["HSET", "big", "field:%", "value:%"],
  zset: () => ["ZADD", "big", "1@", "member:%"],
} as const

export type Dataset = keyof typeof datasets

/** Runs the generator as a separate process and waits for it. */
export async function load(port: number, dataset: Dataset, count: number, expireAtMs?: number): Promise<void> {
  const argv = [process.execPath, import.meta.path, String(port), dataset, String(count)]
  if (expireAtMs !== undefined) argv.push(String(expireAtMs))
  const child = Bun.spawn(argv, { stdin: "ignore", stdout: "inherit", stderr: "pipe" })
  if ((await child.exited) !== 0) throw new Error(`loading ${dataset}: ${(await child.stderr.text()).trim()}`)
}

const digits = 12
const batch = 500

/** Where the numbers of one mark stand in the template. */
interface Places {
  ordered: number[]
  scattered: number[]
}

function template(words: readonly string[]): { bytes: Buffer; places: Places } {
  let text = `*${words.length}\r\n`
  for (const word of words) {
    const full = word.replace(/[%@]/, mark => mark.repeat(digits))
    text += `$${full.length}\r\n${full}\r\n`
  }
  const find = (mark: string) => [...text.matchAll(new RegExp(mark.repeat(digits), "g"))].map(match => match.index)
  return { bytes: Buffer.from(text, "latin1"), places: { ordered: find("%"), scattered: find("@") } }
}

/** A permutation of 0…1,000,002 over the low numbers. */
function scatter(number: number): number {
  return (number * 7919) % 1_000_003
}

async function generate(port: number, dataset: Dataset, count: number) {
  const { bytes, places } = template(datasets[dataset]())
  const buffer = Buffer.concat(Array.from({ length: batch }, () => bytes))
  let sent = 0
  let lines = 0
  // XADD answers with the id, a bulk.
  const linesPerReply = dataset === "stream" ? 2 : 1
  let pending: Buffer = buffer.subarray(0, 0)
  let inBatch = 0
  const done = Promise.withResolvers<void>()

  function patch(command: number, places: readonly number[], number: number) {
    for (const place of places) {
      let at = command * bytes.length + place + digits
      for (let left = number, i = 0; i < digits; i++) {
        buffer[--at] = 48 + (left % 10)
        left = Math.floor(left / 10)
      }
    }
  }

  function next(socket: Bun.Socket) {
    inBatch = Math.min(batch, count - sent)
    for (let i = 0; i < inBatch; i++) {
      patch(i, places.ordered, sent + i)
      patch(i, places.scattered, scatter(sent + i))
    }
    sent += inBatch
    pending = buffer.subarray(0, inBatch * bytes.length)
    flush(socket)
  }

  function flush(socket: Bun.Socket) {
    while (pending.length > 0) {
      const taken = socket.write(pending)
      if (taken <= 0) return
      pending = pending.subarray(taken)
    }
  }

  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: next,
      drain: flush,
      data(socket, chunk) {
        if (chunk[0] === 0x2d) return done.reject(new Error(chunk.toString("latin1", 1).split("\r\n")[0]))
        for (let i = 0; i < chunk.length; i++) if (chunk[i] === 0x0a) lines++
        if (lines === count * linesPerReply) {
          done.resolve()
          socket.end()
        } else if (lines === sent * linesPerReply) next(socket)
      },
      close: () => done.reject(new Error("connection closed")),
    },
  })
  await done.promise
}

if (import.meta.main) {
  const [port, dataset, count] = process.argv.slice(2)
  await generate(Number(port), dataset as Dataset, Number(count)).catch(error => {
    console.error((error as Error).message)
    process.exit(1)
  })
  process.exit(0)
}
