/** The gate that restricted users must pass; it comes after those about logging in and about transactions. */

import { ClientCondition } from "../engine/client.ts"
import type { Gate } from "../engine/dispatch.ts"
import type { Acl } from "./acl.ts"

/** @param of the subsystem, which is made after the engine and its gates */
export function aclGate(of: () => Acl): Gate {
  return (_engine, client, command, args) => {
    if ((client.conditions & ClientCondition.Restricted) === 0) return undefined
    const reason = of().refusal(client, command, args)
    return reason === undefined ? undefined : `NOPERM ${reason}`
  }
}
