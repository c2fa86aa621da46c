#!/usr/bin/env bun
/** The program: command line, configuration, log, signals, exit codes. */

import { existsSync, mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import { parseCommandLine } from "./config/command-line.ts"
import { type ConfigFileReader, type ConfigSource, describeFault, loadConfiguration } from "./config/conf-file.ts"
import { Config } from "./config/config.ts"
import { Refusal } from "./config/refusal.ts"
import type { ShutdownOptions } from "./engine/engine.ts"
import { Log } from "./observe/log.ts"
import { LoadError } from "./persist/persistence.ts"
import { ListenError, Server } from "./server.ts"
import { BUNDIS_VERSION, REDIS_VERSION } from "./version.ts"

const USAGE = `Usage: bundis [/path/to/redis.conf] [options] [-]
       bundis - (read the configuration from standard input)
       bundis -v or --version
       bundis -h or --help

Options are directives of redis.conf, each with its value or values:
       bundis --port 7777 --appendonly no
       bundis /etc/bundis.conf --loglevel verbose
       echo 'maxmemory 128mb' | bundis -

Without a configuration bundis serves on 127.0.0.1:6969 and keeps its data in ./appendonlydir.
`

const reader: ConfigFileReader = {
  read(path) {
    try {
      return readFileSync(path, "utf8")
    } catch (error) {
      return new Refusal(error instanceof Error ? error.message : String(error))
    }
  },
  match: pattern => [...new Bun.Glob(pattern).scanSync({ absolute: pattern.startsWith("/"), onlyFiles: false })].sort(),
}

function die(message: string): never {
  process.stderr.write(message.endsWith("\n") ? message : `${message}\n`)
  process.exit(1)
}

function configure(): { config: Config; file: string | undefined } {
  const line = parseCommandLine(process.argv.slice(2))
  if (line.kind === "version") {
    process.stdout.write(`bundis v=${BUNDIS_VERSION} redis=${REDIS_VERSION} bun=${Bun.version} bits=64\n`)
    process.exit(0)
  }
  if (line.kind === "help") {
    process.stdout.write(USAGE)
    process.exit(0)
  }
  const sources: ConfigSource[] = []
  if (line.configFile !== undefined) {
    const text = reader.read(line.configFile)
    if (text instanceof Refusal) die(`Fatal error, can't open config file '${line.configFile}': ${text.reason}`)
    sources.push({ name: line.configFile, text })
  }
  if (line.readsStdin) sources.push({ name: "standard input", text: readFileSync(0, "utf8") })
  sources.push(line.options)
  const config = new Config()
  const fault = loadConfiguration(config, sources, reader)
  if (fault !== undefined) die(describeFault(fault, BUNDIS_VERSION))
  return { config, file: line.configFile === undefined ? undefined : resolve(line.configFile) }
}

/** Makes `dir` the working folder, under its absolute name. */
function enterDirectory(config: Config): void {
  const dir = resolve(config.values.dir)
  try {
    if (!statSync(dir).isDirectory()) die(`Can't chdir to '${dir}': Not a directory`)
    process.chdir(dir)
  } catch (error) {
    die(`Can't chdir to '${dir}': ${error instanceof Error ? error.message : String(error)}`)
  }
  config.assign("dir", dir)
}

/** A bar on a terminal, a line every few seconds elsewhere. */
function progressReporter(log: Log): (loaded: number, total: number) => void {
  let shownAt = performance.now()
  const onTerminal = process.stdout.isTTY === true
  return (loaded, total) => {
    const now = performance.now()
    if (now - shownAt < (onTerminal ? 100 : 2000)) return
    shownAt = now
    const percent = Math.floor((loaded / total) * 100)
    if (!onTerminal) {
      log.write("notice", `Loading the append only file: ${percent}% of ${total} bytes`)
      return
    }
    const filled = Math.floor(percent / 2.5)
    process.stdout.write(`\rLoading [${"#".repeat(filled)}${".".repeat(40 - filled)}] ${percent}%\x1b[K`)
    if (loaded >= total) process.stdout.write("\r\x1b[K")
  }
}

function banner(log: Log, server: Server, config: Config): void {
  if (!config.values.alwaysShowLogo && process.stdout.isTTY !== true) return
  log.print(
    `
   _                    _ _
  | |__  _   _ _ __  __| (_)___    bundis ${BUNDIS_VERSION} (speaks Redis ${REDIS_VERSION}), 64 bit
  | '_ \\| | | | '_ \\/ _\` | / __|   Bun ${Bun.version}, ${process.platform} ${process.arch}
  | |_) | |_| | | | | (_| | \\__ \\   Port: ${server.port}
  |_.__/ \\__,_|_| |_|\\__,_|_|___/   PID: ${process.pid}

`,
  )
}

async function main(): Promise<void> {
  const { config, file } = configure()
  enterDirectory(config)
  const { values } = config
  if (values.logfile !== "" && !existsSync(resolve(values.logfile, "..")))
    mkdirSync(resolve(values.logfile, ".."), { recursive: true })
  const log = new Log(values.logfile, () => config.values.loglevel)
  log.write("notice", `bundis is starting: version ${BUNDIS_VERSION}, Bun ${Bun.version}, pid ${process.pid}`)
  if (file !== undefined) log.write("notice", `Configuration loaded from ${file}`)

  const server = new Server({
    config,
    configFile: file,
    log: (level, message) => log.write(level, message),
    onLoadProgress: progressReporter(log),
    onRole: isMaster => {
      log.role = isMaster ? "M" : "S"
    },
    onExit: code => {
      if (values.pidfile !== "") tryUnlink(values.pidfile)
      log.write("warning", "bundis is now ready to exit, bye bye...")
      process.exit(code)
    },
  })
  if (server.fault !== undefined) die(describeFault(server.fault, BUNDIS_VERSION))
  let interrupts = 0
  process.on("SIGTERM", () => {
    log.write("notice", "Received SIGTERM scheduling shutdown...")
    server.requestShutdown(shutdownOptions(values.shutdownOnSigterm))
  })
  process.on("SIGINT", () => {
    if (interrupts++ > 0) {
      log.write("warning", "You insist... exiting now.")
      process.exit(1)
    }
    log.write("notice", "Received SIGINT scheduling shutdown...")
    server.requestShutdown(shutdownOptions(values.shutdownOnSigint))
  })
  process.on("SIGHUP", () => {})
  process.on("SIGPIPE", () => {})

  try {
    await server.start(() => {
      banner(log, server, config)
      log.write("notice", `Server initialized, port=${server.port}`)
      if (values.pidfile !== "") tryWrite(values.pidfile, `${process.pid}\n`)
    })
  } catch (error) {
    if (!(error instanceof ListenError || error instanceof LoadError)) throw error
    log.write("warning", error.message)
    if (values.logfile !== "") process.stderr.write(`${error.message}\n`)
    process.exit(1)
  }
  if (server.port !== 0)
    log.write("notice", `Ready to accept connections tcp ${values.bind.join(" ")} port=${server.port}`)
  if (values.unixsocket !== "") log.write("notice", `Ready to accept connections unix ${values.unixsocket}`)
}

function shutdownOptions(chosen: readonly string[]): ShutdownOptions {
  const [save, nosave, now, force] = ["save", "nosave", "now", "force"].map(option => chosen.includes(option))
  return { save: save!, nosave: nosave!, now: now!, force: force! }
}

function tryWrite(path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch {
    // A missing pid file is no reason not to serve.
  }
}

function tryUnlink(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Gone already.
  }
}

await main()
