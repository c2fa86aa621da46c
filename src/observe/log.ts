/**
 * The log: `pid:role dd Mon yyyy hh:mm:ss.mmm level message`, to standard output or a file. Role M is a master, S a replica,
 * C a background job, X a sentinel; the level is one of `.` debug, `-` verbose, `*` notice, `#` warning.
 */

import { appendFileSync } from "node:fs"

export type LogLevel = "debug" | "verbose" | "notice" | "warning"

const MARKS: Record<LogLevel, string> = { debug: ".", verbose: "-", notice: "*", warning: "#" }
const ORDER: readonly string[] = ["debug", "verbose", "notice", "warning", "nothing"]
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
const MESSAGE_BYTES_MAX = 1024

export class Log {
  role: "M" | "S" | "C" | "X" = "M"
  private readonly path: string
  private readonly level: () => string

  /** An empty path means standard output. */
  constructor(path: string, level: () => string) {
    this.path = path
    this.level = level
  }

  write(level: LogLevel, message: string): void {
    if (ORDER.indexOf(level) < ORDER.indexOf(this.level())) return
    this.print(
      `${process.pid}:${this.role} ${stamp(new Date())} ${MARKS[level]} ${message.slice(0, MESSAGE_BYTES_MAX)}\n`,
    )
  }

  /** A line without a stamp. */
  print(line: string): void {
    if (this.path === "") process.stdout.write(line)
    else appendFileSync(this.path, line)
  }
}

function stamp(date: Date): string {
  const two = (n: number): string => String(n).padStart(2, "0")
  const day = `${two(date.getDate())} ${MONTHS[date.getMonth()]} ${date.getFullYear()}`
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return `${day} ${time}.${String(date.getMilliseconds()).padStart(3, "0")}`
}
