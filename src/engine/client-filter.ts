/**
 * Which clients CLIENT LIST and CLIENT KILL are about: what a client must be, or (NOT-…) must not be. All that is given has to
 * hold; the filters of Redis 7.4, and those that Valkey 9 has beyond them.
 */

import { shown } from "../bytes/compare.ts"
import { DB_OUT_OF_RANGE, NOT_INTEGER, SYNTAX } from "../command/errors.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { Client } from "./client.ts"
import { CLIENT_FLAGS, clientFlags, clientType, clientTypeNamed } from "./client-description.ts"
import type { Engine } from "./engine.ts"

type Test = (client: Client) => boolean

export interface ClientFilter {
  readonly tests: Test[]
  /** Ids asked for, in that order; undefined when none were. */
  ids: number[] | undefined
  skipsCaller: boolean
}

export interface FilterRules {
  /** Without SKIPME. */
  readonly skipsCaller: boolean
  /** What is said of an id that is none, and of something else behind ids. */
  readonly badId: string
  readonly badWord: string
  readonly idMin?: number
}

const NAMES = new Set(
  ["id", "type", "addr", "laddr", "user", "flags", "name", "lib-name", "lib-ver", "db", "capa", "ip"].flatMap(name => [
    name,
    `not-${name}`,
  ]),
).union(new Set(["skipme", "maxage", "idle"]))

/** Reads the filters from argument `at` on; an error reply when there is something wrong. */
export function readClientFilter(
  args: Arguments,
  at: number,
  engine: Engine,
  { skipsCaller, badId, badWord, idMin = Number.NEGATIVE_INFINITY }: FilterRules,
): ClientFilter | string {
  const filter: ClientFilter = { tests: [], ids: undefined, skipsCaller }
  for (let i = at; i < args.count; ) {
    const name = args.latin1(i).toLowerCase()
    if (!NAMES.has(name) || i + 1 >= args.count) return SYNTAX
    const isNot = name.startsWith("not-")
    const kind = isNot ? name.slice(4) : name
    if (kind === "id") {
      const ids: number[] = []
      for (i++; i < args.count && (ids.length === 0 || !NAMES.has(args.latin1(i).toLowerCase())); i++) {
        const id = args.int64(i)
        if (id === undefined && ids.length > 0) return badWord
        if (id === undefined || id < idMin) return badId
        ids.push(Number(id))
      }
      if (isNot) filter.tests.push(client => !ids.includes(client.id))
      else {
        filter.ids = ids
        filter.tests.push(client => ids.includes(client.id))
      }
      continue
    }
    const test = kind === "skipme" ? readSkip(args, i + 1, filter) : testOf(kind, args, i + 1, engine)
    if (typeof test === "string") return test
    if (test !== undefined) filter.tests.push(isNot ? client => !test(client) : test)
    i += 2
  }
  return filter
}

export function passes(client: Client, filter: ClientFilter): boolean {
  return filter.tests.every(test => test(client))
}

function readSkip(args: Arguments, i: number, filter: ClientFilter): string | undefined {
  if (!args.is(i, "yes") && !args.is(i, "no")) return SYNTAX
  filter.skipsCaller = args.is(i, "yes")
  return undefined
}

/** The test that a filter with the value in argument `i` stands for, or an error. */
function testOf(kind: string, args: Arguments, i: number, engine: Engine): Test | string {
  const value = args.latin1(i)
  const { now } = engine.keyspace
  switch (kind) {
    case "type": {
      const type = clientTypeNamed(value)
      return type === undefined ? `ERR Unknown client type '${shown(value)}'` : client => clientType(client) === type
    }
    case "addr":
      return client => client.transport?.remoteAddress === value
    case "laddr":
      return client => client.transport?.localAddress === value
    case "ip":
      return client => client.transport?.remoteAddress.replace(/:[^:]*$/, "").replace(/^\[(.*)\]$/, "$1") === value
    case "user":
      return engine.authenticator.knows(value) ? client => client.user === value : `ERR No such user '${shown(value)}'`
    case "name":
      return client => client.name === value
    case "lib-name":
      return client => client.libName === value
    case "lib-ver":
      return client => client.libVersion === value
    case "flags": {
      const letters = [...value]
      if (letters.length === 0 || letters.some(letter => !CLIENT_FLAGS.includes(letter))) {
        return `ERR Unknown flags found in the provided filter: ${shown(value)}`
      }
      return client => {
        const flags = clientFlags(engine, client)
        return letters.every(letter => flags.includes(letter))
      }
    }
    case "capa":
      // There is nothing yet that a client could have declared.
      return () => false
  }
  const number = args.int64(i)
  if (number === undefined) return NOT_INTEGER
  switch (kind) {
    case "db":
      if (number < 0 || number >= engine.keyspace.databases.length) return DB_OUT_OF_RANGE
      return client => client.db.index === Number(number)
    case "idle":
      if (number <= 0) return "ERR idle should be greater than 0"
      return client => (now - client.seenAt) / 1000 >= Number(number)
    default:
      if (number <= 0) return "ERR maxage should be greater than 0"
      return client => (now - client.createdAt) / 1000 >= Number(number)
  }
}
