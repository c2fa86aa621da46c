/** COMMANDLOG: what SLOWLOG is for time, for the size of requests and replies too. */

import type { Call } from "../command/context.ts"
import { helpOf } from "../command/help.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Observer } from "./observer.ts"
import type { SlowLog } from "./slowlog.ts"

const BAD_TYPE = "ERR type should be one of the following: slow, large-request, large-reply"
const TYPE = "type=SLOW|LARGE-REQUEST|LARGE-REPLY"

export function commandLogCommands(of: () => Observer): readonly CommandSpec[] {
  /** The log that argument `i` names; undefined after an error reply. */
  const logAt = (call: Call, i: number): SlowLog | undefined => {
    const { args, reply } = call
    const { slowlog, largeRequests, largeReplies } = of()
    if (args.is(i, "slow")) return slowlog
    if (args.is(i, "large-request")) return largeRequests
    if (args.is(i, "large-reply")) return largeReplies
    reply.error(BAD_TYPE)
    return undefined
  }
  return [
    {
      name: "commandlog",
      since: "8.1.0",
      group: "server",
      arity: -2,
      flags: "",
      syntax: "",
      summary: "Holds the commands about the logs of slow and large commands.",
      complexity: "depends on the subcommand",
      subcommands: [
        {
          name: "get",
          since: "8.1.0",
          group: "server",
          arity: 4,
          flags: "admin loading stale",
          tips: "request_policy:all_nodes nondeterministic_output",
          syntax: `count:integer ${TYPE}`,
          summary: "Lists the newest entries of a log.",
          complexity: "O(N), N entries returned",
          run: call => {
            const count = call.args.integer(2)
            if (!(count >= -1)) {
              call.reply.error("ERR count should be greater than or equal to -1")
              return
            }
            const log = logAt(call, 3)
            log?.write(call.reply, count === -1 ? log.length : count)
          },
        },
        {
          name: "help",
          since: "8.1.0",
          group: "server",
          arity: 2,
          flags: "loading stale",
          syntax: "",
          summary: "Lists the subcommands of COMMANDLOG.",
          complexity: "O(1)",
          run: helpOf,
        },
        {
          name: "len",
          since: "8.1.0",
          group: "server",
          arity: 3,
          flags: "admin loading stale",
          tips: "request_policy:all_nodes response_policy:agg_sum nondeterministic_output",
          syntax: TYPE,
          summary: "Counts the entries of a log.",
          complexity: "O(1)",
          run: call => {
            const log = logAt(call, 2)
            if (log !== undefined) call.reply.integer(log.length)
          },
        },
        {
          name: "reset",
          since: "8.1.0",
          group: "server",
          arity: 3,
          flags: "admin loading stale",
          tips: "request_policy:all_nodes response_policy:all_succeeded",
          syntax: TYPE,
          summary: "Empties a log.",
          complexity: "O(N), N entries",
          run: call => {
            const log = logAt(call, 2)
            if (log === undefined) return
            log.reset()
            call.reply.ok()
          },
        },
      ],
    },
  ]
}
