/** CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO: subcommands of CLIENT. */

import { latin1Bytes, shown } from "../bytes/compare.ts"
import type { Call } from "../command/context.ts"
import { NOT_INTEGER, SYNTAX } from "../command/errors.ts"
import type { CommandSpec } from "../command/spec.ts"
import type { Client } from "./client.ts"
import type { Engine } from "./engine.ts"
import { engineHandlers } from "./handler.ts"
import type { TrackingState } from "./tracking.ts"

export function trackingCommands(of: () => Engine): readonly CommandSpec[] {
  const on = engineHandlers(of)
  return [
    {
      name: "caching",
      since: "6.0.0",
      group: "connection",
      arity: 3,
      flags: "noscript loading stale",
      syntax: "mode=YES|NO",
      summary: "Says whether the keys of the next command are tracked.",
      complexity: "O(1)",
      run: on(caching),
    },
    {
      name: "getredir",
      since: "6.0.0",
      group: "connection",
      arity: 2,
      flags: "noscript loading stale",
      syntax: "",
      summary: "Gets the id of the connection that receives the tracking messages.",
      complexity: "O(1)",
      run: on(({ reply }, _engine, client) => reply.integer(client.tracking?.redirect ?? -1)),
    },
    {
      name: "tracking",
      since: "6.0.0",
      group: "connection",
      arity: -3,
      flags: "noscript loading stale",
      syntax: "status=ON|OFF [REDIRECT client-id:integer] [PREFIX prefix]... [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
      summary: "Turns on or off the invalidation messages for client side caching.",
      complexity: "O(1); the options may cost more",
      run: on(tracking),
    },
    {
      name: "trackinginfo",
      since: "6.2.0",
      group: "connection",
      arity: 2,
      flags: "noscript loading stale",
      syntax: "",
      summary: "Shows how the connection's tracking is set up.",
      complexity: "O(1)",
      run: on(trackingInfo),
    },
  ]
}

interface Options {
  redirect: number
  broadcast: boolean
  optin: boolean
  optout: boolean
  noLoop: boolean
  prefixes: string[]
}

function tracking(call: Call, engine: Engine, client: Client): void {
  const { args, reply } = call
  const options = parseOptions(call, engine, client)
  if (options === undefined) return
  if (args.is(2, "off")) {
    engine.tracking.disable(client)
    reply.ok()
    return
  }
  if (!args.is(2, "on")) {
    reply.error(SYNTAX)
    return
  }
  const fault = faultOf(options, client.tracking) ?? overlapOf(options.prefixes, client.tracking)
  if (fault !== undefined) {
    reply.error(fault)
    return
  }
  const mode = options.optin ? "optin" : options.optout ? "optout" : "all"
  const { redirect, broadcast, noLoop, prefixes } = options
  engine.tracking.enable(client, { redirect, broadcast, mode, noLoop }, prefixes)
  reply.ok()
}

/** The options, or undefined after having answered with an error. */
function parseOptions({ args, reply }: Call, engine: Engine, client: Client): Options | undefined {
  const options: Options = { redirect: 0, broadcast: false, optin: false, optout: false, noLoop: false, prefixes: [] }
  for (let i = 3; i < args.count; i++) {
    const more = i + 1 < args.count
    if (args.is(i, "redirect") && more) {
      if (options.redirect !== 0) {
        reply.error("ERR A client can only redirect to a single other client")
        return undefined
      }
      const id = args.integer(++i)
      if (Number.isNaN(id)) {
        reply.error(NOT_INTEGER)
        return undefined
      }
      if (engine.clients.byId.get(id) === undefined) {
        reply.error("ERR The client ID you want redirect to does not exist")
        return undefined
      }
      options.redirect = id === client.id ? 0 : id
    } else if (args.is(i, "bcast")) options.broadcast = true
    else if (args.is(i, "optin")) options.optin = true
    else if (args.is(i, "optout")) options.optout = true
    else if (args.is(i, "noloop")) options.noLoop = true
    else if (args.is(i, "prefix") && more) options.prefixes.push(args.latin1(++i))
    else {
      reply.error(SYNTAX)
      return undefined
    }
  }
  return options
}

function faultOf(options: Options, now: TrackingState | undefined): string | undefined {
  const { broadcast, optin, optout, prefixes } = options
  if (!broadcast && prefixes.length > 0) return "ERR PREFIX option requires BCAST mode to be enabled"
  if (now !== undefined && now.broadcast !== broadcast) {
    return (
      "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a " +
      "different mode."
    )
  }
  if (broadcast && (optin || optout)) return "ERR OPTIN and OPTOUT are not compatible with BCAST"
  if (optin && optout) return "ERR You can't specify both OPTIN mode and OPTOUT mode"
  if ((optin && now?.mode === "optout") || (optout && now?.mode === "optin")) {
    return (
      "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a " +
      "different mode."
    )
  }
  return undefined
}

function overlapOf(prefixes: readonly string[], now: TrackingState | undefined): string | undefined {
  const overlap = (a: string, b: string): boolean => a.startsWith(b) || b.startsWith(a)
  for (const [i, prefix] of prefixes.entries()) {
    for (const existing of [...(now?.prefixes ?? [])].sort()) {
      if (!overlap(existing, prefix)) continue
      return (
        `ERR Prefix '${shown(prefix)}' overlaps with an existing prefix '${shown(existing)}'. Prefixes for a single client must not ` +
        "overlap."
      )
    }
    for (const other of prefixes.slice(i + 1)) {
      if (!overlap(other, prefix)) continue
      return (
        `ERR Prefix '${shown(prefix)}' overlaps with another provided prefix '${shown(other)}'. Prefixes for a single client must not ` +
        "overlap."
      )
    }
  }
  return undefined
}

function caching({ args, reply }: Call, _engine: Engine, client: Client): void {
  const state = client.tracking
  if (state === undefined) {
    reply.error(
      "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    )
  } else if (args.is(2, "yes")) {
    if (state.mode === "optin") {
      state.caching = true
      reply.ok()
    } else reply.error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
  } else if (args.is(2, "no")) {
    if (state.mode === "optout") {
      state.caching = true
      reply.ok()
    } else reply.error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
  } else reply.error(SYNTAX)
}

function trackingInfo({ reply }: Call, _engine: Engine, client: Client): void {
  const state = client.tracking
  const flags: string[] = [state === undefined ? "off" : "on"]
  if (state?.broadcast) flags.push("bcast")
  if (state?.mode === "optin") flags.push("optin")
  if (state?.mode === "optin" && state.caching) flags.push("caching-yes")
  if (state?.mode === "optout") flags.push("optout")
  if (state?.mode === "optout" && state.caching) flags.push("caching-no")
  if (state?.noLoop) flags.push("noloop")
  if (state?.broken) flags.push("broken_redirect")
  reply.map(3)
  reply.bulkText("flags")
  reply.set(flags.length)
  for (const flag of flags) reply.bulkText(flag)
  reply.bulkText("redirect")
  reply.integer(state?.redirect ?? -1)
  reply.bulkText("prefixes")
  const prefixes = [...(state?.prefixes ?? [])].sort().map(latin1Bytes)
  reply.array(prefixes.length)
  for (const prefix of prefixes) reply.bulk(prefix, 0, prefix.length)
}
