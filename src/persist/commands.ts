/** SAVE, BGSAVE, BGREWRITEAOF. */

import type { Call } from "../command/context.ts"
import { SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Persistence } from "./persistence.ts"

const SAVING = "ERR Background save already in progress"

export function persistCommands(of: () => Persistence): readonly CommandSpec[] {
  return [
    {
      name: "save",
      since: "1.0.0",
      group: "server",
      arity: 1,
      flags: "admin noscript no_async_loading no_multi",
      syntax: "",
      summary: "Saves the data while everybody waits.",
      complexity: "O(N), N keys in all databases",
      run: call => save(call, of()),
    },
    {
      name: "bgsave",
      since: "1.0.0",
      group: "server",
      arity: -1,
      flags: "admin noscript no_async_loading",
      syntax: "[SCHEDULE]@3.2.2",
      summary: "Begins to save the data in the background.",
      complexity: "O(1)",
      history: [["3.2.2", "Added the `SCHEDULE` option."]],
      run: call => backgroundSave(call, of()),
    },
    {
      name: "bgrewriteaof",
      since: "1.0.0",
      group: "server",
      arity: 1,
      flags: "admin noscript no_async_loading",
      syntax: "",
      summary: "Begins to rewrite the append-only file in the background.",
      complexity: "O(1)",
      run: call => rewrite(call, of()),
    },
  ]
}

function isSaving(persistence: Persistence, call: Call): boolean {
  if (!persistence.isSaving) return false
  call.reply.error(SAVING)
  return true
}

function save(call: Call, persistence: Persistence): void {
  if (isSaving(persistence, call)) return
  if (persistence.saves.now()) call.reply.ok()
  else call.reply.error("ERR")
}

function backgroundSave(call: Call, persistence: Persistence): void {
  const { args, reply } = call
  const schedules = args.count === 2 && args.is(1, "schedule")
  if (args.count > 1 && !schedules) {
    reply.error(SYNTAX)
    return
  }
  if (isSaving(persistence, call)) return
  const { isInsideUnit, saves } = persistence
  if (persistence.isActive || isInsideUnit) {
    if (!schedules && !isInsideUnit) {
      reply.error(
        "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a " +
          "BGSAVE whenever possible.",
      )
      return
    }
    saves.scheduled = true
    reply.simple("Background saving scheduled")
  } else if (saves.begin()) reply.simple("Background saving started")
  else reply.error("ERR")
}

function rewrite(call: Call, persistence: Persistence): void {
  const { reply } = call
  const { rewrites } = persistence
  if (rewrites.inProgress) {
    reply.error("ERR Background append only file rewriting already in progress")
    return
  }
  if (persistence.isActive || persistence.isInsideUnit) {
    rewrites.scheduled = true
    // Whoever asks does not want to wait for the end of a delay.
    rewrites.consecutiveFailures = 0
    reply.simple("Background append only file rewriting scheduled")
    return
  }
  rewrites.begin()
  reply.simple("Background append only file rewriting started")
}
