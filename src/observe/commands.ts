/** All commands of this room. */

import type { CommandSpec } from "../command/spec.ts"
import { commandLogCommands } from "./command-log.ts"
import { configCommands } from "./config-commands.ts"
import { debugCommands } from "./debug.ts"
import { hotKeyCommands } from "./hot-keys.ts"
import { infoCommands } from "./info.ts"
import { latencyCommands } from "./latency.ts"
import { memoryCommands } from "./memory.ts"
import { monitorCommands } from "./monitor.ts"
import type { Observer } from "./observer.ts"
import { slowlogCommands } from "./slowlog.ts"

export function observeCommands(of: () => Observer): readonly CommandSpec[] {
  return [
    ...infoCommands(of),
    ...configCommands(of),
    ...slowlogCommands(() => of().slowlog),
    ...commandLogCommands(of),
    ...hotKeyCommands(() => of().hotKeys),
    ...latencyCommands(of),
    ...memoryCommands(of),
    ...monitorCommands(of),
    ...debugCommands(of),
  ]
}
