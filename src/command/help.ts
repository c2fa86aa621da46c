/**
 * The HELP subcommand of a container, derived from the facts of its subcommands: their arguments and summaries. Any
 * container can use `helpOf` as the handler of its own `help` entry.
 */

import type { Call } from "./context.ts"
import type { RegisteredCommand } from "./registry.ts"
import { type Argument, parseSyntax } from "./syntax.ts"

/** Answers with an array of status lines, as every HELP subcommand does. */
export function helpOf(call: Call): void {
  writeHelp(call, helpLines(call.command.parent ?? call.command))
}

/** The same for commands without subcommand entries: lines of the caller's own between the usual first and last. */
export function writeHelp(call: Call, lines: readonly string[]): void {
  const name = (call.command.parent ?? call.command).fullName.toUpperCase()
  call.reply.array(lines.length + 3)
  call.reply.simple(`${name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`)
  for (const line of lines) call.reply.simple(line)
  call.reply.simple("HELP")
  call.reply.simple("    Print this help.")
}

function helpLines(container: RegisteredCommand): string[] {
  return container.subcommands
    .filter(({ spec }) => spec.name !== "help")
    .flatMap(({ spec, keys }) => [
      [spec.name.toUpperCase(), ...parseSyntax(spec.syntax, keys.specs.length).map(printed)].join(" "),
      `    ${spec.summary}`,
    ])
}

/** An argument as documentation prints it: `[COUNT <count>]`, `YES|NO`, `<key> [<key> ...]`. */
function printed(argument: Argument): string {
  const body = printedBody(argument)
  const once = [argument.token, body].filter(part => part !== undefined && part !== "").join(" ")
  const again = argument.multipleToken ? once : body
  const text = argument.multiple ? `${once} [${again} ...]` : once
  return argument.optional ? `[${text}]` : text
}

function printedBody(argument: Argument): string {
  if (argument.type === "pure-token") return ""
  const parts = argument.arguments?.map(printed)
  if (parts === undefined) return `<${argument.displayText ?? argument.name}>`
  if (argument.type === "block") return parts.join(" ")
  return argument.optional ? parts.join("|") : `(${parts.join("|")})`
}
