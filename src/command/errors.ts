/** Error replies that several commands share, with the exact texts clients match on. */

import { shown } from "../bytes/compare.ts"

export const SYNTAX = "ERR syntax error"
export const WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
export const NOT_INTEGER = "ERR value is not an integer or out of range"
export const NOT_FLOAT = "ERR value is not a valid float"
export const NO_SUCH_KEY = "ERR no such key"
export const OUT_OF_RANGE = "ERR index out of range"
export const OVERFLOW = "ERR increment or decrement would overflow"
export const NOT_POSITIVE = "ERR value is out of range, must be positive"
export const OUT_OF_RANGE_VALUE = "ERR value is out of range"
export const STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
export const INVALID_CURSOR = "ERR invalid cursor"
export const DB_OUT_OF_RANGE = "ERR DB index is out of range"
export const SAME_OBJECT = "ERR source and destination objects are the same"
export const TIMEOUT_NOT_FLOAT = "ERR timeout is not a float or out of range"
export const TIMEOUT_NOT_INTEGER = "ERR timeout is not an integer or out of range"
export const TIMEOUT_NEGATIVE = "ERR timeout is negative"
export const UNBLOCKED_STREAM = "-UNBLOCKED the stream key no longer exists"

/** Of a name that nobody knows, no more is shown. */
export const SHOWN_MAX = 128

export function wrongArity(fullName: string): string {
  return `ERR wrong number of arguments for '${fullName}' command`
}

export function invalidExpire(name: string): string {
  return `ERR invalid expire time in '${name}' command`
}

export function unknownSubcommand(given: string, command: string): string {
  return `ERR unknown subcommand '${shown(given, SHOWN_MAX)}'. Try ${command.toUpperCase()} HELP.`
}

/** Containers that look at their arguments themselves know less about what is wrong. */
export function unknownSubcommandOrArity(given: string, command: string): string {
  const name = command.toUpperCase()
  return `ERR unknown subcommand or wrong number of arguments for '${shown(given, SHOWN_MAX)}'. Try ${name} HELP.`
}
