/** The conditions of commands that give fields of a hash, or members of a set or sorted set, a time; and their answers. */
import type { Call } from "../command/context.ts"

export const Condition = { None: 0, NX: 1, XX: 2, GT: 3, LT: 4 } as const
export const CONDITION_NAMES = ["", "NX", "XX", "GT", "LT"] as const

/** What is told of each field or member. */
export const Outcome = { Absent: -2, NoExpiry: -1, ConditionNotMet: 0, Done: 1, Deleted: 2 } as const

/** The condition that argument `i` names. */
export function conditionAt(call: Call, i: number): number {
  const { args } = call
  if (args.is(i, "nx")) return Condition.NX
  if (args.is(i, "xx")) return Condition.XX
  if (args.is(i, "gt")) return Condition.GT
  return args.is(i, "lt") ? Condition.LT : Condition.None
}

/** Whether the condition lets `time` take the place of the time `old`, 0 for none, which counts as endless. */
export function meetsCondition(condition: number, old: number, time: number): boolean {
  if (old === 0) return condition !== Condition.XX && condition !== Condition.GT
  if (condition === Condition.NX) return false
  return !(condition === Condition.GT && old >= time) && !(condition === Condition.LT && old <= time)
}
