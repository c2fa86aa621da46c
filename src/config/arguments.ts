/**
 * Splitting a configuration line into arguments, and quoting one argument so that it splits back to itself.
 *
 * Arguments are separated by white space. Inside double quotes `\n \r \t \b \a`, `\xHH` (one byte) and `\` before any
 * other character are escapes; inside single quotes only `\'` is. A closing quote must be followed by white space or
 * the end of the line. Bytes written as `\xHH` are taken as UTF-8.
 */

const SPACE = /[ \t\n\r\v\f\0]/
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" }

/** The arguments of a line, or undefined when a quote is unbalanced. Linear in the length of the line. */
export function splitArguments(line: string): string[] | undefined {
  const found: string[] = []
  let at = 0
  for (;;) {
    while (at < line.length && SPACE.test(line[at]!)) at++
    if (at >= line.length) return found
    let text = ""
    let hasHighBytes = false
    let quote = ""
    for (;;) {
      const char = line[at]
      if (quote === "") {
        if (char === undefined || SPACE.test(char)) break
        if (char === '"' || char === "'") quote = char
        else text += char
        at++
        continue
      }
      if (char === undefined) return undefined
      if (char === quote) {
        at++
        if (at < line.length && !SPACE.test(line[at]!)) return undefined
        break
      }
      if (quote === "'") {
        if (char === "\\" && line[at + 1] === "'") at++
        text += line[at]
        at++
        continue
      }
      if (char !== "\\" || at + 1 >= line.length) {
        text += char
        at++
        continue
      }
      const hex = /^\\x([0-9a-fA-F]{2})/.exec(line.slice(at, at + 4))
      if (hex !== null) {
        const byte = Number.parseInt(hex[1]!, 16)
        if (byte > 0x7f) hasHighBytes = true
        // High bytes wait in a private-use range until the argument is complete.
        text += String.fromCharCode(byte > 0x7f ? HIGH_BYTE + byte : byte)
        at += 4
        continue
      }
      const escaped = line[at + 1]!
      text += ESCAPES[escaped] ?? escaped
      at += 2
    }
    found.push(hasHighBytes ? joinHighBytes(text) : text)
  }
}

/** U+F700 + byte stands for an escaped byte 0x80-0xff while its argument is being read. */
const HIGH_BYTE = 0xf700

function joinHighBytes(text: string): string {
  return text.replace(/[\uf780-\uf7ff]+/g, run =>
    new TextDecoder().decode(Uint8Array.from(run, char => char.charCodeAt(0) - HIGH_BYTE)),
  )
}

/** The argument in double quotes, with every byte that is not printable ASCII as an escape. */
export function quoteArgument(text: string): string {
  let quoted = '"'
  for (const byte of new TextEncoder().encode(text)) {
    if (byte === 0x22 || byte === 0x5c) quoted += `\\${String.fromCharCode(byte)}`
    else if (byte >= 0x20 && byte < 0x7f) quoted += String.fromCharCode(byte)
    else if (byte === 0x0a) quoted += "\\n"
    else if (byte === 0x0d) quoted += "\\r"
    else if (byte === 0x09) quoted += "\\t"
    else if (byte === 0x07) quoted += "\\a"
    else if (byte === 0x08) quoted += "\\b"
    else quoted += `\\x${byte.toString(16).padStart(2, "0")}`
  }
  return `${quoted}"`
}
