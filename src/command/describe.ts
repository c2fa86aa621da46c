/**
 * What COMMAND INFO and COMMAND DOCS say of a command, as plain data in the order and with the reply types of Redis.
 *
 * The data is a small tree (`ReplyData`) that any writer can walk: a map is a list of pairs, so that RESP2 can flatten
 * it. It is made anew on every call; nothing of it is kept.
 */

import { type KeySpec, keyFlagNames } from "./key-specs.ts"
import { aclCategoryNames, type RegisteredCommand, visibleFlagNames } from "./registry.ts"
import { type Argument, parseSyntax } from "./syntax.ts"

/** A string is a bulk string, a number an integer. */
export type ReplyData =
  | string
  | number
  | { readonly kind: "status"; readonly text: string }
  | { readonly kind: "array" | "set"; readonly items: readonly ReplyData[] }
  | { readonly kind: "map"; readonly entries: readonly (readonly [key: string, value: ReplyData])[] }

type Entries = [key: string, value: ReplyData][]

const array = (items: readonly ReplyData[]): ReplyData => ({ kind: "array", items })
const set = (items: readonly ReplyData[]): ReplyData => ({ kind: "set", items })
const map = (entries: Entries): ReplyData => ({ kind: "map", entries })
const statusSet = (names: readonly string[]): ReplyData => set(names.map(text => ({ kind: "status", text })))

function splitWords(list: string | undefined): string[] {
  return list === undefined || list === "" ? [] : list.split(" ")
}

/** The ten fields of a COMMAND INFO row. */
export function describeInfo(command: RegisteredCommand): ReplyData {
  return array([
    command.fullName,
    command.arity,
    statusSet(visibleFlagNames(command.flagBits)),
    command.firstKey,
    command.lastKey,
    command.keyStep,
    statusSet(aclCategoryNames(command.categoryBits).map(name => `@${name}`)),
    set(splitWords(command.spec.tips)),
    set(command.keys.specs.map(describeKeySpec)),
    command.isContainer ? array(command.subcommands.map(describeInfo)) : set([]),
  ])
}

function describeKeySpec(spec: KeySpec): ReplyData {
  const entries: Entries = []
  if (spec.notes !== undefined) entries.push(["notes", spec.notes])
  entries.push(["flags", statusSet(keyFlagNames(spec.flags))])
  entries.push(["begin_search", typed(spec.begin.type, beginSearchFields(spec))])
  entries.push(["find_keys", typed(spec.find.type, findKeysFields(spec))])
  return map(entries)
}

function typed(type: string, fields: Entries): ReplyData {
  return map([
    ["type", type],
    ["spec", map(fields)],
  ])
}

function beginSearchFields({ begin }: KeySpec): Entries {
  switch (begin.type) {
    case "index":
      return [["index", begin.index]]
    case "keyword":
      return [
        ["keyword", begin.keyword],
        ["startfrom", begin.startFrom],
      ]
    case "unknown":
      return []
  }
}

function findKeysFields({ find }: KeySpec): Entries {
  switch (find.type) {
    case "range":
      return [
        ["lastkey", find.lastKey],
        ["keystep", find.step],
        ["limit", find.limit],
      ]
    case "keynum":
      return [
        ["keynumidx", find.keynumIndex],
        ["firstkey", find.firstKey],
        ["keystep", find.step],
      ]
    case "unknown":
      return []
  }
}

/** The map that COMMAND DOCS has under a command's name. */
export function describeDocs(command: RegisteredCommand): ReplyData {
  const { spec } = command
  const entries: Entries = [
    ["summary", spec.summary],
    ["since", spec.since],
    ["group", spec.group],
    ["complexity", spec.complexity],
  ]
  const docFlags = splitWords(spec.docFlags)
  if (spec.deprecated !== undefined) docFlags.unshift("deprecated")
  if (docFlags.length > 0) entries.push(["doc_flags", statusSet(docFlags)])
  if (spec.deprecated !== undefined) {
    entries.push(["deprecated_since", spec.deprecated.since])
    entries.push(["replaced_by", spec.deprecated.replacedBy])
  }
  if (spec.history !== undefined) entries.push(["history", set(spec.history.map(array))])
  const tree = parseSyntax(spec.syntax, command.keys.specs.length)
  if (tree.length > 0) entries.push(["arguments", describeArguments(tree)])
  if (command.isContainer) {
    entries.push(["subcommands", map(command.subcommands.map(sub => [sub.fullName, describeDocs(sub)]))])
  }
  return map(entries)
}

function describeArguments(tree: readonly Argument[]): ReplyData {
  return array(tree.map(describeArgument))
}

function describeArgument(argument: Argument): ReplyData {
  const entries: Entries = [
    ["name", argument.name],
    ["type", argument.type],
  ]
  if (argument.arguments === undefined) entries.push(["display_text", argument.displayText ?? argument.name])
  if (argument.keySpecIndex !== undefined) entries.push(["key_spec_index", argument.keySpecIndex])
  if (argument.token !== undefined) entries.push(["token", argument.token])
  if (argument.since !== undefined) entries.push(["since", argument.since])
  if (argument.deprecatedSince !== undefined) entries.push(["deprecated_since", argument.deprecatedSince])
  const flags: string[] = []
  if (argument.optional) flags.push("optional")
  if (argument.multiple) flags.push("multiple")
  if (argument.multipleToken) flags.push("multiple_token")
  if (flags.length > 0) entries.push(["flags", statusSet(flags)])
  if (argument.arguments !== undefined) entries.push(["arguments", describeArguments(argument.arguments)])
  return map(entries)
}
