/** Strings: GET, SET and their relatives. */
import type { Call } from "../command/context.ts"
import type { CommandSpec } from "../command/spec.ts"
import { Kind, ValueType } from "../keyspace/kinds.ts"
import { Notify } from "../keyspace/events.ts"
import { copyBytes } from "../bytes/compare.ts"

export const stringCommands: readonly CommandSpec[] = [
  { name: "get", since: "1.0.0", group: "string", arity: 2, flags: "readonly fast", keys: "RO access @1", syntax: "key", summary: "Gives the value of a string.", complexity: "O(1)", run: get },
  { name: "set", since: "1.0.0", group: "string", arity: -3, flags: "write denyoom", keys: "RW access update variable_flags @1", syntax: "key value", summary: "Sets a string.", complexity: "O(1)", run: set },
  { name: "ping", since: "1.0.0", group: "connection", arity: -1, flags: "fast", syntax: "[message]", summary: "Pong.", complexity: "O(1)", run: call => call.reply.simple("PONG") },
]

function get(call: Call): void {
  const address = call.readTyped(1, ValueType.String)
  if (address < 0) return
  if (address === 0) {
    call.reply.null()
    return
  }
  const { keys } = call.db
  keys.readValue(address)
  call.reply.bulk(keys.valueBytes, keys.valueStart, keys.valueEnd)
}

function set(call: Call): void {
  const { args, db } = call
  const start = args.start(2)
  const length = args.end(2) - start
  db.keys.put(args.bytes, args.start(1), args.end(1), Kind.StringRaw, length, 0)
  copyBytes(args.bytes, start, start + length, db.keys.valueBytes, db.keys.valueStart)
  call.changed(1, Notify.String, "set")
  call.reply.ok()
}
