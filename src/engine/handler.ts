/**
 * Handlers of commands that are about the engine itself. Their entries are made before the engine is (the registry is
 * one of its parts), so they get at it through a function.
 */

import type { Call } from "../command/context.ts"
import type { Handler } from "../command/spec.ts"
import type { Client } from "./client.ts"
import type { Engine } from "./engine.ts"

export type EngineHandler = (call: Call, engine: Engine, client: Client) => void

/** Turns engine handlers into handlers of the registry. */
export function engineHandlers(of: () => Engine): (handler: EngineHandler) => Handler {
  return handler => call => handler(call, of(), call.client as Client)
}
