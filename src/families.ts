/** One line per family. */
import type { CommandSpec } from "./command/spec.ts"
import { stringCommands } from "./families/string.ts"

export const families: readonly (readonly CommandSpec[])[] = [stringCommands]
