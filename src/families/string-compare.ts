/**
 * Compare and set, compare and delete: the conditions of SET, DELEX, DELIFEQ, and the digest they may use in place of a
 * value, which is the XXH3 hash (64 bits, no seed) in 16 hexadecimal digits.
 */

import { equalBytes, equalsIgnoreCase } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { wrongArity } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import { ValueType } from "../keyspace/kinds.ts"
import { Condition } from "./string-options.ts"

const DIGEST_DIGITS = 16
const BAD_DIGEST = "ERR The digest must be exactly 16 hexadecimal characters"

export const stringCompareCommands: readonly CommandSpec[] = [
  {
    name: "delex",
    since: "8.4.0",
    group: "string",
    arity: -2,
    flags: "write fast",
    keys: "RW delete variable_flags @1",
    syntax:
      "key [condition=IFEQ ifeq-value:string|IFNE ifne-value:string|IFDEQ ifdeq-digest:string|IFDNE ifdne-digest:string]",
    summary: "Deletes a key if its value or the digest of it compares as told.",
    complexity: "O(1) for IFEQ and IFNE, O(N) for IFDEQ and IFDNE, N bytes of the string",
    run: delex,
  },
  {
    name: "delifeq",
    since: "9.0.0",
    group: "string",
    arity: 3,
    flags: "write fast",
    keys: "RM delete @1",
    syntax: "key value",
    summary: "Deletes a string if it equals the given value.",
    complexity: "O(1)",
    run: delifeq,
  },
  {
    name: "digest",
    since: "8.4.0",
    group: "string",
    arity: 2,
    flags: "readonly fast",
    keys: "RO access @1",
    syntax: "key",
    summary: "Gives the XXH3 hash of a string in hexadecimal.",
    complexity: "O(N), N bytes of the string",
    run: digest,
  },
]

/**
 * Whether the record at `address` (0: missing) meets a condition; undefined after having answered with an error: the
 * comparisons want a string, the digests 16 digits. A missing key differs from everything.
 */
export function meetsCondition(
  call: Call,
  address: number,
  condition: Condition,
  index: number,
  wrongType: string,
): boolean | undefined {
  if (condition === Condition.None) return true
  if (condition === Condition.Absent) return address === 0
  if (condition === Condition.Present) return address !== 0
  const wantsEqual = condition === Condition.Equal || condition === Condition.DigestEqual
  if (address === 0) return !wantsEqual
  const { args, db, reply } = call
  if (db.type(address) !== ValueType.String) {
    reply.error(wrongType)
    return undefined
  }
  const length = args.length(index)
  if (condition === Condition.Equal || condition === Condition.Unequal) {
    const { keys } = db
    keys.readValue(address)
    const isEqual =
      keys.valueEnd - keys.valueStart === length &&
      equalBytes(keys.valueBytes, keys.valueStart, args.bytes, args.start(index), length)
    return isEqual === wantsEqual
  }
  if (length !== DIGEST_DIGITS) {
    reply.error(BAD_DIGEST)
    return undefined
  }
  return equalsIgnoreCase(args.bytes, args.start(index), args.end(index), digestOf(call, address)) === wantsEqual
}

function digestOf(call: Call, address: number): string {
  const { keys } = call.db
  keys.readValue(address)
  const value = keys.valueBytes.subarray(keys.valueStart, keys.valueEnd)
  return Bun.hash.xxHash3(value).toString(16).padStart(DIGEST_DIGITS, "0")
}

function digest(call: Call): void {
  const address = call.readTyped(1, ValueType.String)
  if (address > 0) call.reply.bulkText(digestOf(call, address))
  else if (address === 0) call.reply.null()
}

function delex(call: Call): void {
  const { args, reply } = call
  if (args.count !== 2 && args.count !== 4) {
    reply.error(wrongArity(call.command.fullName))
    return
  }
  const condition = args.count === 2 ? Condition.Present : comparisonOf(call, 2)
  if (condition === undefined) {
    reply.error("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")
    return
  }
  deleteIf(call, condition, 3, "ERR Key should be of string type if conditions are specified")
}

function delifeq(call: Call): void {
  if (call.writeTyped(1, ValueType.String) >= 0) deleteIf(call, Condition.Equal, 2, "")
}

function deleteIf(call: Call, condition: Condition, index: number, wrongType: string): void {
  const { args, db, reply } = call
  const address = call.write(1)
  const isMet = meetsCondition(call, address, condition, index, wrongType)
  if (isMet === undefined) return
  if (address === 0 || !isMet) {
    reply.integer(0)
    return
  }
  call.removeKey(1, address)
  reply.integer(1)
  call.propagation.effect(db, 2).word("DEL").arg(args.bytes, args.start(1), args.end(1))
}

function comparisonOf(call: Call, i: number): Condition | undefined {
  const { args } = call
  if (args.is(i, "ifeq")) return Condition.Equal
  if (args.is(i, "ifne")) return Condition.Unequal
  if (args.is(i, "ifdeq")) return Condition.DigestEqual
  return args.is(i, "ifdne") ? Condition.DigestUnequal : undefined
}
