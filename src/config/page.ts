/** docs/configuration.md, made from the table of directives. */

import type { AnyDirective, DirectiveFlag, DirectiveName } from "./directives.ts"
import { DIFFERENT_DEFAULTS, FILE_DIRECTIVES, namesOf, RETIRED_DIRECTIVES, SECTIONS } from "./directives.ts"

const INTRODUCTION = `# Configuration

<!-- Made from src/config/directives.ts. To bring it up to date: UPDATE_PAGES=1 bun test test/config/page.test.ts -->

A directive comes from a file (\`bundis redis.conf\`), from the command line (\`bundis --port 7000 --save ""\`), from
standard input (\`bundis -\`) or from CONFIG SET. Sources are read in the order file, standard input, command line; the
last one wins. Names, units and texts are those of Redis 7.4, and an existing redis.conf can be used as it is.

In a file each line is a directive; \`#\` begins a comment line. Arguments with spaces go into quotes: \`"…"\` knows the
escapes \`\\n \\r \\t \\b \\a \\xHH\`, \`'…'\` only \`\\'\`. Memory is written in bytes or with a unit: \`k\`, \`m\`, \`g\`
(powers of 1000), \`kb\`, \`mb\`, \`gb\` (powers of 1024), in any case.

An unknown directive or a value that is not accepted ends the start, with the file, the line and the reason.

The last column says what is special: *start*: only a file or the command line sets it; *protected*: CONFIG SET needs
\`enable-protected-configs\`; *hidden*: CONFIG GET shows it by its exact name only; *secret*: kept out of logs; *not
while loading*: CONFIG SET waits until the data is loaded; *reread*: setting the same value reads the file again; *no
effect*: accepted and reported, nothing more.
`

const FLAG_WORDS: Readonly<Record<DirectiveFlag, string>> = {
  immutable: "start",
  protected: "protected",
  hidden: "hidden",
  sensitive: "secret",
  "deny-loading": "not while loading",
  volatile: "reread",
  inert: "no effect",
}

const code = (text: string) => `\`${text}\``
const cell = (text: string) => text.replaceAll("|", "\\|")

function row(directive: AnyDirective): string {
  const { kind, initial, flags, doc } = directive
  const text = kind.format(initial)
  const cells = [
    namesOf(directive).map(code).join(", "),
    kind.label,
    text === "" ? "" : code(text),
    doc,
    flags.map(flag => FLAG_WORDS[flag]).join(", "),
  ]
  return `| ${cells.map(cell).join(" | ")} |`
}

export function configurationPage(): string {
  const parts = [INTRODUCTION]
  parts.push("## Different from Redis\n")
  for (const [name, reason] of Object.entries(DIFFERENT_DEFAULTS) as [DirectiveName, string][])
    parts.push(`- ${code(name)}: ${reason}`)
  for (const [section, entries] of Object.entries(SECTIONS)) {
    parts.push(`\n## ${section}\n`)
    parts.push("| directive | value | default | meaning | special |\n| --- | --- | --- | --- | --- |")
    for (const entry of entries) parts.push(row(entry))
  }
  parts.push("\n## Lines of a file that are no settings\n")
  for (const doc of Object.values(FILE_DIRECTIVES)) parts.push(`- ${doc}`)
  parts.push(`- ${RETIRED_DIRECTIVES.map(code).join(", ")}: of the past, without effect.`)
  return `${parts.join("\n")}\n`
}
