/**
 * A function library: source code with a first line such as `#!lua name=mylib`, and the functions that it has registered.
 *
 * Names are letters, digits and underscores. Functions are called by their names in any case.
 */

import { splitArguments } from "../config/arguments.ts"

const NAME = /^[A-Za-z0-9_]+$/
export const BAD_NAME =
  "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"

export interface LibraryFunction {
  readonly name: string
  /** Owned; undefined when there is none. */
  readonly description: Uint8Array | undefined
  /** See ScriptFlag. */
  readonly flags: number
  readonly isFunction: true
  /** Where the interpreter keeps it. */
  ref: number
  readonly library: Library
}

export class Library {
  readonly name: string
  /** The whole source; owned. */
  readonly code: Uint8Array
  readonly functions = new Map<string, LibraryFunction>()

  constructor(name: string, code: Uint8Array) {
    this.name = name
    this.code = code
  }

  /** Adds a function; a text says why not. */
  register(name: string, description: Uint8Array | undefined, flags: number, ref: number): string | undefined {
    if (!isName(name)) return BAD_NAME
    const key = name.toLowerCase()
    if (this.functions.has(key)) return "Function already exists in the library"
    this.functions.set(key, { name, description, flags, isFunction: true, ref, library: this })
    return undefined
  }
}

export function isName(text: string): boolean {
  return NAME.test(text)
}

export interface LibraryHeader {
  engine: string
  name: string
  /** Where the code begins: at the end of the first line, so that lines keep their numbers. */
  codeStart: number
}

const LF = 10

/** Reads the first line of a library; a text is the error. */
export function readLibraryHeader(source: Uint8Array): LibraryHeader | string {
  if (source[0] !== 0x23 || source[1] !== 0x21) return "Missing library metadata"
  const codeStart = source.indexOf(LF)
  const nul = source.indexOf(0)
  if (codeStart < 0 || (nul >= 0 && nul < codeStart)) return "Invalid library metadata"
  const words = splitArguments(Buffer.from(source.subarray(0, codeStart)).toString("latin1"))
  if (words === undefined || words.length === 0) return "Invalid library metadata"
  let name: string | undefined
  for (const word of words.slice(1)) {
    if (!/^name=/i.test(word)) return `Invalid metadata value given: ${word}`
    if (name !== undefined) return "Invalid metadata value, name argument was given multiple times"
    name = word.slice("name=".length)
  }
  if (name === undefined) return "Library name was not given"
  return { engine: words[0]!.slice(2), name, codeStart }
}
