/**
 * Commands as tests write them, their wire form, and their printable form. The printable form is one line per command,
 * as redis-cli accepts it, so that a failing sequence can be pasted into redis-cli or into `parseCommands`.
 */

export type Arg = string | number | bigint | Uint8Array
export type Command = readonly Arg[]

/** The wire form of one or more commands, in one buffer. */
export function encodeCommands(commands: readonly Command[]): Uint8Array {
  let size = 0
  for (const command of commands) {
    size += 16
    for (const arg of command) {
      size += 16 + (arg instanceof Uint8Array ? arg.length : typeof arg === "string" ? arg.length * 3 : 32)
    }
  }
  const out = Buffer.allocUnsafe(size)
  let at = 0
  for (const command of commands) {
    at += out.write(`*${command.length}\r\n`, at, "latin1")
    for (const arg of command) {
      if (arg instanceof Uint8Array) {
        at += out.write(`$${arg.length}\r\n`, at, "latin1")
        out.set(arg, at)
        at += arg.length
      } else {
        const text = String(arg)
        at += out.write(`$${Buffer.byteLength(text)}\r\n`, at, "latin1")
        at += out.write(text, at, "utf8")
      }
      at += out.write("\r\n", at, "latin1")
    }
  }
  return out.subarray(0, at)
}

export function argBytes(arg: Arg): Uint8Array {
  return arg instanceof Uint8Array ? arg : Buffer.from(String(arg), "utf8")
}

/** One argument: bare when it is a plain word, else in double quotes with escapes. */
export function formatArg(arg: Arg): string {
  const bytes = argBytes(arg)
  const text = Buffer.from(bytes).toString("latin1")
  return /^[\w.:+*?@/=<>$!,(){}[\]|-]+$/.test(text) ? text : quote(bytes)
}

export function formatCommand(command: Command): string {
  return command.map(formatArg).join(" ")
}

/** Bytes in double quotes, everything but printable ASCII escaped. */
export function quote(bytes: Uint8Array): string {
  return `"${escaped(bytes)}"`
}

export function escaped(bytes: Uint8Array): string {
  let text = ""
  for (const byte of bytes) {
    if (byte === 0x22 || byte === 0x5c) text += "\\" + String.fromCharCode(byte)
    else if (byte === 0x0d) text += "\\r"
    else if (byte === 0x0a) text += "\\n"
    else if (byte === 0x09) text += "\\t"
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte)
    else text += "\\x" + byte.toString(16).padStart(2, "0")
  }
  return text
}

/** The inverse of `formatCommand` for a list of lines; empty lines and lines starting with `#` are skipped. */
export function parseCommands(text: string): Command[] {
  return text
    .split("\n")
    .map(line => line.trim())
    .filter(line => line !== "" && !line.startsWith("#"))
    .map(parseCommand)
}

/** One line of words and double-quoted strings. */
export function parseCommand(line: string): Command {
  const args: Arg[] = []
  for (const [word] of line.matchAll(/"(?:[^"\\]|\\.)*"|[^\s"]+/g)) {
    args.push(word.startsWith('"') ? unquote(word) : word)
  }
  return args
}

const escapes: Record<string, string> = { n: "\n", r: "\r", t: "\t", a: "\x07", b: "\b" }

function unquote(word: string): Uint8Array {
  const latin1 = word
    .slice(1, -1)
    .replace(/\\(?:x([0-9a-fA-F]{2})|(.))/g, (_, hex: string | undefined, plain: string) =>
      hex === undefined ? (escapes[plain] ?? plain) : String.fromCharCode(Number.parseInt(hex, 16)),
    )
  return Buffer.from(latin1, "latin1")
}
