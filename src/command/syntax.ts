/**
 * The one-line notation of a command's arguments, and the tree that COMMAND DOCS shows.
 *
 * The notation stays near to how the documentation prints a command:
 *
 *     key value [condition=NX|XX] [GET] [expiration=EX seconds:integer|PX milliseconds:integer|KEEPTTL]
 *
 * - `value`            a string argument; `count:integer` gives the type. `key` and `pattern` are of their own type.
 * - `GET`              a pure token, named by its lower case; `change=CH` names it otherwise; `auto-id="*"` when the
 *                      token is not made of capital letters.
 * - `COUNT count`      an unnamed token takes the word after it as its value: one argument "count" with a token.
 * - `[ … ]`            optional.
 * - `name=(a b)`       a block; `name=(a|b)` a choice (oneof). Written `name=TOKEN(…)` or `TOKEN(…)` with a token.
 *                      A bracket may name its contents: `[name=a b]`, `[name=a|b]`. Outside of brackets and
 *                      parentheses a choice between single tokens needs neither: `where=LEFT|RIGHT`.
 * - `key...`           may repeat; `[GET pattern]...` may repeat together with its token.
 * - `@6.2.0`           since; `!2.8.12` deprecated since; `~text` display text; `#1` index of the key spec. They follow
 *                      the word or the closing bracket they are about. A key argument without `#` has the next index.
 *
 * The parser runs once per described command and throws on a malformed line: a line is part of the program.
 */

export type ArgumentType =
  | "string"
  | "integer"
  | "double"
  | "key"
  | "pattern"
  | "unix-time"
  | "pure-token"
  | "oneof"
  | "block"

/** One node of the argument tree. `arguments` is present on `oneof` and `block` only. */
export interface Argument {
  name: string
  type: ArgumentType
  /** What to print in place of the name; only set where it differs from it. */
  displayText?: string
  keySpecIndex?: number
  token?: string
  since?: string
  deprecatedSince?: string
  optional?: boolean
  multiple?: boolean
  multipleToken?: boolean
  arguments?: Argument[]
}

const TYPES: ReadonlySet<string> = new Set(["string", "integer", "double", "key", "pattern", "unix-time"])
const TYPE_BY_NAME: ReadonlyMap<string, ArgumentType> = new Map([
  ["key", "key"],
  ["pattern", "pattern"],
])

const SPACE = / +/y
const NAME = /([a-z0-9][a-z0-9_-]*)=/y
/** A bracket names its contents unless what follows the `=` has parentheses of its own. */
const CONTENTS_NAME = /([a-z0-9][a-z0-9_-]*)=(?!(?:[A-Z][A-Z0-9_-]*)?\()/y
const TOKEN = /[A-Z][A-Z0-9_-]*/y
const QUOTED = /"([^"]*)"/y
const WORD = /([a-z0-9][a-z0-9_-]*)(?::([a-z-]+))?/y
/** A word that is a value, and not the name of something else. */
const VALUE_AHEAD = / +(?=[a-z0-9][a-z0-9_:-]*(?![a-z0-9_:=-]))/y
const REPEAT = /(\.\.\.)/y
const SINCE = /@(\d+\.\d+\.\d+)/y
const DEPRECATED = /!(\d+\.\d+\.\d+)/y
const DISPLAY = /~([^\s\]|)@!#]+)/y
const KEY_SPEC = /#(\d+)/y

class SyntaxReader {
  private at = 0
  private keysSeen = 0

  constructor(
    private readonly text: string,
    private readonly keySpecCount: number,
  ) {}

  readAll(): Argument[] {
    const found = this.sequence(true)
    if (this.at !== this.text.length) this.fail("unexpected character")
    return found
  }

  private fail(why: string): never {
    throw new Error(`command syntax: ${why} at ${this.at} of "${this.text}"`)
  }

  private match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)
    if (found !== null) this.at += found[0].length
    return found
  }

  private accept(char: string): boolean {
    if (this.text[this.at] !== char) return false
    this.at++
    return true
  }

  private expect(char: string): void {
    if (!this.accept(char)) this.fail(`expected "${char}"`)
  }

  /** Arguments up to the end, a "|" or a closing character. */
  private sequence(top: boolean): Argument[] {
    const found: Argument[] = []
    for (;;) {
      this.match(SPACE)
      const char = this.text[this.at]
      if (char === undefined || char === "|" || char === "]" || char === ")") return found
      found.push(this.accept("[") ? this.bracket() : this.element(top))
    }
  }

  private alternatives(): Argument[][] {
    const found = [this.sequence(false)]
    while (this.accept("|")) found.push(this.sequence(false))
    return found
  }

  private bracket(): Argument {
    const name = this.match(CONTENTS_NAME)?.[1]
    const alternatives = this.alternatives()
    this.expect("]")
    const first = alternatives[0]!
    let inner: Argument
    if (alternatives.length === 1 && first.length === 1) {
      inner = first[0]!
      if (name !== undefined) {
        if (inner.type !== "pure-token") this.fail(`"${name}=" names a single value`)
        inner.name = name
      }
    } else {
      inner = this.group(name, undefined, alternatives)
    }
    inner.optional = true
    if (this.match(REPEAT) !== null) inner.multiple = inner.multipleToken = true
    return this.suffixes(inner)
  }

  private group(name: string | undefined, token: string | undefined, alternatives: Argument[][]): Argument {
    name ??= token?.toLowerCase()
    if (name === undefined) this.fail("a group without a name")
    const choice = alternatives.length > 1
    const members = choice ? alternatives.map(one => this.only(one)) : alternatives[0]!
    const group: Argument = { name, type: choice ? "oneof" : "block", arguments: members }
    if (token !== undefined) group.token = token
    return group
  }

  private only(alternative: Argument[]): Argument {
    if (alternative.length !== 1) this.fail("an alternative of several arguments needs name=( )")
    return alternative[0]!
  }

  private element(top: boolean): Argument {
    const name = this.match(NAME)?.[1]
    const first = this.core(name)
    if (!top || name === undefined || this.text[this.at] !== "|") return first
    // where=LEFT|RIGHT: what was taken for a token called "where" is the first of the choices.
    first.name = first.token!.toLowerCase()
    const choices = [first]
    while (this.accept("|")) choices.push(this.glued())
    return this.suffixes({ name, type: "oneof", arguments: choices })
  }

  /** A further choice of `where=LEFT|RIGHT`: a single token, which takes no value. */
  private glued(): Argument {
    const name = this.match(NAME)?.[1]
    const token = this.match(TOKEN)?.[0] ?? this.match(QUOTED)?.[1]
    if (token === undefined) this.fail("expected a token")
    return this.suffixes({ name: name ?? token.toLowerCase(), type: "pure-token", token })
  }

  private core(name: string | undefined): Argument {
    const token = this.match(TOKEN)?.[0]
    if (this.accept("(")) {
      const alternatives = this.alternatives()
      this.expect(")")
      return this.suffixes(this.group(name, token, alternatives))
    }
    if (token !== undefined) {
      if (name === undefined && this.match(VALUE_AHEAD) !== null) return this.word(token)
      return this.suffixes({ name: name ?? token.toLowerCase(), type: "pure-token", token })
    }
    const quoted = this.match(QUOTED)
    if (quoted !== null) {
      if (name === undefined) this.fail("a quoted token without a name")
      return this.suffixes({ name, type: "pure-token", token: quoted[1]! })
    }
    if (name !== undefined) this.fail(`"${name}=" names a single value`)
    return this.word(undefined)
  }

  private word(token: string | undefined): Argument {
    const found = this.match(WORD)
    if (found === null) this.fail("expected an argument")
    const name = found[1]!
    const type = found[2] ?? TYPE_BY_NAME.get(name) ?? "string"
    if (!TYPES.has(type)) this.fail(`unknown type "${type}"`)
    const word: Argument = { name, type: type as ArgumentType }
    if (token !== undefined) word.token = token
    this.suffixes(word)
    if (type === "key" && this.keySpecCount > 0) {
      word.keySpecIndex ??= Math.min(this.keysSeen, this.keySpecCount - 1)
      this.keysSeen++
    }
    return word
  }

  private suffixes(argument: Argument): Argument {
    for (;;) {
      const mark = this.text[this.at]
      if (mark === ".") {
        this.suffix(REPEAT)
        argument.multiple = true
      } else if (mark === "@") argument.since = this.suffix(SINCE)
      else if (mark === "!") argument.deprecatedSince = this.suffix(DEPRECATED)
      else if (mark === "~") argument.displayText = this.suffix(DISPLAY)
      else if (mark === "#") argument.keySpecIndex = Number(this.suffix(KEY_SPEC))
      else return argument
    }
  }

  private suffix(pattern: RegExp): string {
    const found = this.match(pattern)
    if (found === null) this.fail("malformed suffix")
    return found[1]!
  }
}

/**
 * Parses a syntax line into its argument tree.
 *
 * @param keySpecCount how many key specs the command has; key arguments get their index from it, none when 0
 * @throws Error on a malformed line
 */
export function parseSyntax(syntax: string, keySpecCount = 0): Argument[] {
  return new SyntaxReader(syntax, keySpecCount).readAll()
}
