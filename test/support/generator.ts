/**
 * Random commands from templates. A template is written like the syntax line of a command:
 *
 *     "SET key value [NX|XX] [GET] [EX seconds|PX milliseconds|KEEPTTL]"
 *     "HSET key (field value)..."
 *     "ZRANGE key index index [REV] [WITHSCORES]"
 *
 * - what starts with a lower-case letter is a word, drawn anew each time (see words.ts);
 * - 'quoted' text stands for itself; everything else is a literal, sometimes written in another case;
 * - `[…]` is there or not, `a|b` is one of them, `(…)` groups, `…...` repeats one to a few times;
 * - `;` between whole commands: they are sent one behind the other, with nothing in between.
 *
 * A share of the commands is then spoilt: an argument dropped, doubled, added, swapped or replaced by garbage. That
 * covers arity and syntax errors without anyone writing them down. Of commands that belong together, the first and the
 * last are left as they are, so that what MULTI begins is ended.
 */
import type { Arg, Command } from "./command.ts"
import type { Random } from "./random.ts"
import { drawProfile, type Profile, type Word, words } from "./words.ts"

/** A template, or a function that makes the whole command itself. */
export type Template = string | ((random: Random, profile: Profile) => Arg[])

export interface GeneratorOptions {
  /** Templates with their weights. */
  commands: Record<string, number> | readonly (readonly [template: Template, weight: number])[]
  /** The family's own words, or others under the same names. */
  words?: Record<string, Word>
  /** How many of the commands are spoilt: one in this many; 0 for none, 20 when not told. */
  spoilOneIn?: number
  /** Whether a spoilt command may be sent; one that could wait long, or takes something from the clock, is left whole. */
  mayBeSpoilt?: (command: Command) => boolean
}

type Emit = (out: Arg[], random: Random, profile: Profile) => void

export class CommandGenerator {
  /** Of each template the commands in it. */
  #emitters: Emit[][] = []
  /** Running sums of the weights. */
  #upTo: number[] = []
  #spoilOneIn: number
  #mayBeSpoilt: (command: Command) => boolean

  constructor(options: GeneratorOptions) {
    const dictionary = { ...words, ...options.words }
    const entries: (readonly [Template, number])[] = Array.isArray(options.commands)
      ? [...options.commands]
      : Object.entries(options.commands as Record<string, number>)
    let sum = 0
    for (const [template, weight] of entries) {
      this.#emitters.push(
        typeof template === "string"
          ? template.split(" ; ").map(part => compileTemplate(part, dictionary))
          : [(out, random, profile) => out.push(...template(random, profile))],
      )
      sum += weight
      this.#upTo.push(sum)
    }
    this.#spoilOneIn = options.spoilOneIn ?? 20
    this.#mayBeSpoilt = options.mayBeSpoilt ?? (() => true)
  }

  /** The commands of one round, those that belong together as one; at least `count`, the same for the same random. */
  *round(random: Random, count: number): Generator<readonly Command[]> {
    const profile = drawProfile(random)
    for (let made = 0; made < count; ) {
      const commands = this.next(random, profile)
      made += commands.length
      yield commands
    }
  }

  next(random: Random, profile: Profile): readonly Command[] {
    const at = random.fraction() * this.#upTo.at(-1)!
    const commands = this.#emitters[this.#upTo.findIndex(upTo => at < upTo)]!.map(emit => {
      const command: Arg[] = []
      emit(command, random, profile)
      return command
    })
    if (this.#spoilOneIn > 0 && random.oneIn(this.#spoilOneIn) && commands.length !== 2) {
      const spoilt = commands.length === 1 ? 0 : random.between(1, commands.length - 2)
      const command = [...commands[spoilt]!]
      spoil(command, random, profile)
      if (!expiresSoon(command) && this.#mayBeSpoilt(command)) commands[spoilt] = command
    }
    return commands
  }
}

/** One change to a command, never to its name. */
function spoil(command: Arg[], random: Random, profile: Profile): void {
  const at = random.between(1, Math.max(1, command.length - 1))
  const draw = random.below(6)
  if (draw === 0) command.splice(at, 1)
  else if (draw === 1) command.splice(1)
  else if (draw === 2) command.push(random.oneIn(2) ? words.value!(random, profile) : String(random.below(5)))
  else if (draw === 3 && command.length > 1) command.push(command[at]!)
  else if (draw === 4 && command.length > 2) {
    const other = random.between(1, command.length - 1)
    ;[command[at], command[other]] = [command[other]!, command[at]!]
  } else if (command.length > 1) command[at] = words.garbage!(random, profile)
}

/** Whether the command could make a key expire while the test runs, which two servers would not notice at the same moment. */
function expiresSoon(command: Command): boolean {
  const [name, ...args] = command.map(arg => (typeof arg === "string" ? arg.toUpperCase() : ""))
  const isSoon = (seconds: number) => seconds > 0 && seconds < 1000
  const unit = /^P(SETEX|EXPIRE|X)$/
  if (/^P?(SETEX|EXPIRE)$/.test(name!)) return isSoon(Number(args[1]) / (unit.test(name!) ? 1000 : 1))
  if (name !== "SET" && name !== "GETEX") return false
  return args.some((arg, i) => /^P?X$|^EX$/.test(arg) && isSoon(Number(args[i + 1]) / (unit.test(arg) ? 1000 : 1)))
}

/** The template as a function. Errors in the template (an unknown word, a missing bracket) throw here. */
export function compileTemplate(template: string, dictionary: Record<string, Word> = words): Emit {
  const tokens = template.match(/\[|\]|\(|\)|\||\.\.\.|'[^']*'|(?:(?!\.\.\.)[^\s[\]()|'])+/g) ?? []
  let at = 0

  function alternatives(close: string | undefined): Emit {
    const choices: Emit[] = [sequence()]
    while (tokens[at] === "|") {
      at++
      choices.push(sequence())
    }
    if (tokens[at] !== close) throw new Error(`expected ${close ?? "the end"} in template: ${template}`)
    at++
    return choices.length === 1 ? choices[0]! : (out, random, profile) => random.pick(choices)(out, random, profile)
  }

  function sequence(): Emit {
    const items: Emit[] = []
    while (at < tokens.length && ![")", "]", "|"].includes(tokens[at]!)) {
      const item = single(tokens[at++]!)
      if (tokens[at] === "...") {
        at++
        items.push(repeated(item))
      } else items.push(item)
    }
    return (out, random, profile) => {
      for (const item of items) item(out, random, profile)
    }
  }

  function single(token: string): Emit {
    if (token === "(") return alternatives(")")
    if (token === "[") {
      const inner = alternatives("]")
      return (out, random, profile) => {
        if (random.oneIn(3)) inner(out, random, profile)
      }
    }
    if (token.startsWith("'")) return out => out.push(token.slice(1, -1))
    if (!/^[a-z]/.test(token)) return (out, random) => out.push(random.oneIn(12) ? otherCase(token, random) : token)
    const word = dictionary[token]
    if (word === undefined) throw new Error(`unknown word "${token}" in template: ${template}`)
    return (out, random, profile) => out.push(word(random, profile))
  }

  return alternatives(undefined)
}

function repeated(item: Emit): Emit {
  return (out, random, profile) => {
    const times = random.oneIn(20) ? random.between(1, 40) : random.between(1, 4)
    for (let i = 0; i < times; i++) item(out, random, profile)
  }
}

function otherCase(token: string, random: Random): string {
  return random.oneIn(2)
    ? token.toLowerCase()
    : [...token].map(letter => (random.oneIn(2) ? letter.toLowerCase() : letter)).join("")
}
