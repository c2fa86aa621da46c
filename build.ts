/**
 * Builds the executables: `bun run build.ts [--all] [--outfile PATH] [--no-smoke]`.
 *
 * Without options: dist/bundis for this machine, then a smoke test of it from an empty folder. With `--all`: every
 * platform of `platforms`, each packed with the licence and the readme into dist/bundis-<version>-<platform>.tar.gz
 * (.zip for Windows), with their checksums in dist/SHA256SUMS in the format of `sha256sum -c`.
 *
 * The runtime of a foreign platform is an npm package (@oven/bun-<platform>). Bun fetches it by itself; where that
 * fails, the npm client is asked, which knows about proxies and private registries. A platform that cannot be had
 * either way is an error that names it; the others are still built.
 *
 * What the executable must not do is read the folder it is started in: .env, bunfig.toml, tsconfig.json and
 * package.json found there are ignored.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { crc32, deflateRawSync, gzipSync } from "node:zlib"
import { startServer, untilReady } from "./bench/servers.ts"
import manifest from "./package.json" with { type: "json" }

interface Platform {
  /** As it stands in the archive's name. */
  name: string
  target: Bun.Build.CompileTarget
  /** The npm package that holds this platform's runtime. */
  runtime: string
}

export const platforms: readonly Platform[] = [
  { name: "linux-x64", target: "bun-linux-x64", runtime: "@oven/bun-linux-x64" },
  { name: "linux-x64-baseline", target: "bun-linux-x64-baseline", runtime: "@oven/bun-linux-x64-baseline" },
  { name: "linux-arm64", target: "bun-linux-arm64", runtime: "@oven/bun-linux-aarch64" },
  { name: "linux-x64-musl", target: "bun-linux-x64-musl", runtime: "@oven/bun-linux-x64-musl" },
  { name: "linux-arm64-musl", target: "bun-linux-arm64-musl", runtime: "@oven/bun-linux-aarch64-musl" },
  { name: "macos-x64", target: "bun-darwin-x64", runtime: "@oven/bun-darwin-x64" },
  { name: "macos-arm64", target: "bun-darwin-arm64", runtime: "@oven/bun-darwin-aarch64" },
  { name: "windows-x64", target: "bun-windows-x64", runtime: "@oven/bun-windows-x64" },
]

const root = import.meta.dir
const dist = join(root, "dist")

/**
 * The modules the executable is made of: the command line, and every worker (a file named *-worker.ts). A worker is
 * addressed as `new URL("./x-worker.ts", import.meta.url)` by a file beside it; inside the executable all modules
 * lie in one folder, so the same address holds there.
 */
function entrypoints(): string[] {
  const workers = [...new Bun.Glob("src/**/*-worker.ts").scanSync({ cwd: root })].sort()
  const names = new Set(workers.map(path => basename(path)))
  if (names.size !== workers.length) throw new Error(`two workers have one file name: ${workers.join(", ")}`)
  return ["src/main.ts", ...workers].map(path => join(root, path))
}

/** Compiles one executable. Throws with the reason when it cannot. */
async function compile(outfile: string, target?: Bun.Build.CompileTarget, executablePath?: string) {
  await Bun.build({
    entrypoints: entrypoints(),
    minify: true,
    bytecode: true,
    // Kept compressed inside the executable and read only for a stack trace.
    sourcemap: "linked",
    // Bytecode takes a third off the start-up. Its default format is CommonJS, which writes the build machine's path
    // into import.meta.url.
    format: "esm",
    naming: { entry: "[name].[ext]" },
    compile: {
      outfile,
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
      ...(target && { target }),
      ...(executablePath && { executablePath }),
    },
  })
}

/** Compiles for a platform, fetching its runtime with the npm client when Bun's own fetch fails. */
async function compilePlatform(platform: Platform, outfile: string) {
  try {
    return await compile(outfile, platform.target)
  } catch (first) {
    const folder = mkdtempSync(join(tmpdir(), "bundis-runtime-"))
    try {
      await compile(outfile, platform.target, fetchRuntime(platform, folder))
    } catch (second) {
      throw new Error(`${(first as Error).message}; with the npm client: ${(second as Error).message}`)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** The path of the platform's runtime, unpacked into `folder`. */
function fetchRuntime(platform: Platform, folder: string): string {
  run(["npm", "pack", "--loglevel=error", `${platform.runtime}@${Bun.version}`], folder)
  run(["tar", "-xzf", readdirSync(folder).find(name => name.endsWith(".tgz"))!], folder)
  const executable = join(folder, "package", "bin", platform.name.startsWith("windows") ? "bun.exe" : "bun")
  if (!existsSync(executable)) throw new Error(`${platform.runtime}@${Bun.version} holds no bin/bun`)
  return executable
}

function run(argv: string[], cwd: string) {
  const result = Bun.spawnSync(argv, { cwd, stdin: "ignore" })
  if (result.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${result.stderr.toString().trim()}`)
}

/** A file to be packed: its bytes and its name inside the archive's folder. */
export interface Packed {
  name: string
  bytes: Uint8Array
  executable: boolean
}

/** A gzipped POSIX ustar archive with fixed owner and time, so that equal contents give equal archives. */
export function tarGz(folder: string, files: readonly Packed[]): Uint8Array {
  const blocks: Uint8Array[] = []
  for (const file of files) {
    const header = Buffer.alloc(512)
    header.write(`${folder}/${file.name}`, 0, 100)
    header.write(file.executable ? "0000755\0" : "0000644\0", 100)
    header.write("0000000\0" + "0000000\0", 108)
    header.write(file.bytes.length.toString(8).padStart(11, "0") + "\0", 124)
    header.write("00000000000\0", 136)
    header.write(" ".repeat(8), 148)
    header.write("0", 156)
    header.write("ustar\0" + "00", 257)
    const checksum = header.reduce((sum, byte) => sum + byte, 0)
    header.write(checksum.toString(8).padStart(6, "0") + "\0 ", 148)
    blocks.push(header, file.bytes, Buffer.alloc(-file.bytes.length & 511))
  }
  blocks.push(Buffer.alloc(1024))
  return gzipSync(Buffer.concat(blocks), { level: 6 })
}

/** A ZIP archive (APPNOTE 6.3, deflate, no ZIP64: files stay below 4 GiB), dated 1980-01-01 for equal results. */
export function zip(folder: string, files: readonly Packed[]): Uint8Array {
  const parts: Uint8Array[] = []
  const directory: Uint8Array[] = []
  let offset = 0
  for (const file of files) {
    const name = Buffer.from(`${folder}/${file.name}`)
    const body = deflateRawSync(file.bytes, { level: 6 })
    // Version needed 2.0, no flags, method 8, time 0, date 1980-01-01, CRC, sizes, name length, no extra field.
    const facts = Buffer.alloc(26)
    facts.writeUInt16LE(20, 0)
    facts.writeUInt16LE(8, 4)
    facts.writeUInt16LE(0x21, 8)
    facts.writeUInt32LE(crc32(file.bytes), 10)
    facts.writeUInt32LE(body.length, 14)
    facts.writeUInt32LE(file.bytes.length, 18)
    facts.writeUInt16LE(name.length, 22)
    const local = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), facts, name])
    const place = Buffer.alloc(14)
    place.writeUInt32LE((file.executable ? 0o100755 : 0o100644) * 0x10000, 6)
    place.writeUInt32LE(offset, 10)
    // Made by Unix (3), so that the mode above is understood.
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x03", "latin1"), facts, place, name]))
    parts.push(local, body)
    offset += local.length + body.length
  }
  const central = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write("PK\x05\x06", 0, "latin1")
  end.writeUInt16LE(files.length, 8)
  end.writeUInt16LE(files.length, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, central, end])
}

/** Builds and packs one platform; returns the archive's name. */
async function release(platform: Platform): Promise<string> {
  const windows = platform.name.startsWith("windows")
  const folder = `bundis-${manifest.version}-${platform.name}`
  const work = mkdtempSync(join(tmpdir(), "bundis-build-"))
  try {
    const outfile = join(work, windows ? "bundis.exe" : "bundis")
    await compilePlatform(platform, outfile)
    const files: Packed[] = [{ name: basename(outfile), bytes: readFileSync(outfile), executable: true }]
    for (const name of ["LICENSE", "README.md"]) {
      const path = join(root, name)
      if (existsSync(path)) files.push({ name, bytes: readFileSync(path), executable: false })
    }
    const archive = folder + (windows ? ".zip" : ".tar.gz")
    await Bun.write(join(dist, archive), windows ? zip(folder, files) : tarGz(folder, files))
    return archive
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Builds all platforms; returns the names of those that failed. */
async function releaseAll(): Promise<string[]> {
  const failed: string[] = []
  const sums: string[] = []
  for (const platform of platforms) {
    try {
      const archive = await release(platform)
      const bytes = readFileSync(join(dist, archive))
      sums.push(`${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}  ${archive}\n`)
      console.log(`${archive}  ${(bytes.length / 1e6).toFixed(1)} MB`)
    } catch (error) {
      failed.push(platform.name)
      console.error(`error: no executable for ${platform.name}: ${(error as Error).message}`)
    }
  }
  await Bun.write(join(dist, "SHA256SUMS"), sums.join(""))
  return failed
}

/**
 * The executable, from an empty folder: it starts, takes a write, runs a script, survives kill -9 with the write, and ends
 * with 0 on SIGTERM. Returns the milliseconds from spawn to first PONG of the empty start.
 */
export async function smoke(executable: string): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), "bundis-smoke-"))
  const candidate = { name: "bundis", argv: [executable] }
  const durable = { appendonly: "yes", appendfsync: "always" }
  try {
    const began = performance.now()
    const first = await startServer(candidate, durable, dir)
    const startMs = performance.now() - began
    try {
      const client = await first.client()
      await client.call("SET", "smoke", "kept")
      // The interpreter is a file inside the executable.
      const said = await client.call("EVAL", "return redis.call('GET', KEYS[1]) .. ' by Lua'", "1", "smoke")
      if (said !== "kept by Lua") throw new Error(`EVAL answered ${JSON.stringify(said)}`)
      client.close()
    } finally {
      await first.stop("SIGKILL")
    }
    const second = await startServer(candidate, durable, dir)
    try {
      await untilReady(second)
      const client = await second.client()
      const value = await client.call("GET", "smoke")
      client.close()
      if (value !== "kept") throw new Error(`after kill -9 and restart GET answered ${JSON.stringify(value)}`)
    } catch (error) {
      await second.stop("SIGKILL")
      throw error
    }
    const code = await second.stop("SIGTERM")
    if (code !== 0) throw new Error(`SIGTERM ended it with ${code} instead of 0:\n${second.logTail()}`)
    return startMs
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function main(args: readonly string[]) {
  const at = args.indexOf("--outfile")
  const outfile = resolve(at < 0 ? join(dist, "bundis") : (args[at + 1] ?? ""))
  const known = ["--all", "--outfile", "--no-smoke"]
  const stray = args.find((arg, i) => !known.includes(arg) && (at < 0 || i !== at + 1))
  if (stray !== undefined || (at >= 0 && args[at + 1] === undefined)) {
    console.error("usage: bun run build.ts [--all] [--outfile PATH] [--no-smoke]")
    return 1
  }
  mkdirSync(dist, { recursive: true })
  await compile(outfile)
  chmodSync(outfile, 0o755)
  console.log(`${outfile}  ${(Bun.file(outfile).size / 1e6).toFixed(1)} MB`)
  if (!args.includes("--no-smoke")) {
    const startMs = await smoke(outfile)
    console.log(`smoke test: passed, first PONG after ${startMs.toFixed(0)} ms`)
  }
  if (!args.includes("--all")) return 0
  const failed = await releaseAll()
  if (failed.length > 0) console.error(`error: ${failed.length} of ${platforms.length} failed: ${failed.join(", ")}`)
  return failed.length > 0 ? 1 : 0
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2)).catch(error => {
    console.error(
      `error: ${error instanceof AggregateError ? error.errors.map(each => Bun.inspect(each)).join("\n") : (error as Error).message}`,
    )
    return 1
  })
}
