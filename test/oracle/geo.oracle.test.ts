import type { Command } from "../support/command.ts"
import type { LooserTable } from "../support/compare.ts"
import { oracleFamily } from "../support/oracle-family.ts"
import type { Random } from "../support/random.ts"

/** The members' own scores are read by ZRANGE, which 7.0 prints with 17 digits; distances stored are such doubles. */
const looser: LooserTable = { ZRANGE: { doubles: true }, ZSCORE: { doubles: true } }

/** With enough digits that no two places are equally far: the order of those is left to chance in Redis. */
function coordinate(random: Random, limit: number): string {
  if (random.oneIn(40)) return random.pick(["abc", "", "inf", "nan", "1e3", "-200", "1e30"])
  // Most places lie close together, so that searches find some of them.
  const near = limit / random.pick([1, 4, 40, 400])
  return ((random.below(2_000_001) / 1_000_000 - 1) * near).toFixed(random.pick([5, 8, 12]))
}

const words = {
  // Distances kept as scores are places close together.
  elsewhere: (random: Random) => random.pick(["d1", "d2"]),
  lon: (random: Random) => coordinate(random, 180),
  lat: (random: Random) => coordinate(random, random.oneIn(4) ? 85.05 : 60),
  unit: (random: Random) => (random.oneIn(30) ? "yd" : random.pick(["m", "km", "ft", "mi", "KM"])),
  size: (random: Random) =>
    random.oneIn(30)
      ? random.pick(["-1", "x", "0", "inf", "1e9"])
      : String(random.between(1, 20_000_000) / random.pick([1, 1, 1, 1000, 1_000_000])),
}

const commands = {
  "GEOADD key (lon lat member)...": 14,
  "GEOADD key [NX|XX] [CH] (lon lat member)...": 6,
  "ZADD key -1.5 member": 0.2,
  "ZREM key member": 1,
  "DEL key": 0.5,
  "SET sharedkey value": 0.3,
  "DEL sharedkey": 0.6,
  "GEOPOS key member...": 4,
  "GEOHASH key member...": 4,
  "GEODIST key member member [unit]": 6,
  "GEOSEARCH key FROMLONLAT lon lat BYRADIUS size unit [ASC|DESC] [WITHDIST] [WITHHASH] [WITHCOORD]": 8,
  "GEOSEARCH key FROMLONLAT lon lat BYBOX size size unit [ASC|DESC] [WITHDIST] [WITHHASH] [WITHCOORD]": 8,
  "GEOSEARCH key FROMMEMBER member BYRADIUS size unit [ASC|DESC] [COUNT count [ANY]] [WITHDIST]": 6,
  "GEOSEARCH key FROMMEMBER member BYBOX size size unit [ASC|DESC] [COUNT count [ANY]] [WITHDIST]": 6,
  "GEOSEARCH key [FROMMEMBER member] [FROMLONLAT lon lat] [BYRADIUS size unit] [BYBOX size size unit] [ANY]": 2,
  "GEOSEARCHSTORE elsewhere key FROMLONLAT lon lat BYRADIUS size unit [ASC|DESC] [STOREDIST]": 2,
  "GEOSEARCHSTORE key key FROMLONLAT lon lat BYBOX size size unit [COUNT count] [WITHDIST]": 1,
  "GEORADIUS key lon lat size unit [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]": 4,
  "GEORADIUS key lon lat size unit [WITHDIST] [(STORE|STOREDIST) elsewhere]": 2,
  "GEORADIUS_RO key lon lat size unit [WITHDIST] [(STORE|STOREDIST) elsewhere]": 2,
  "GEORADIUSBYMEMBER key member size unit [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]": 4,
  "GEORADIUSBYMEMBER key member size unit [(STORE|STOREDIST) elsewhere]": 2,
  "GEORADIUSBYMEMBER_RO key member size unit [WITHDIST] [(STORE|STOREDIST) elsewhere]": 2,
  "ZRANGE elsewhere 0 -1 WITHSCORES": 2,
}

/** Distances are kept in keys that are not searched: many of them are the same, and the order of those is left to chance. */
function mayBeSpoilt(command: Command): boolean {
  const [name, first, ...rest] = command.map(arg => (typeof arg === "string" ? arg : ""))
  const isApart = (key: string | undefined) => key === "d1" || key === "d2"
  if (name!.toUpperCase() === "GEOSEARCHSTORE") return isApart(first) && !isApart(rest[0])
  const storeAt = rest.findIndex(arg => arg.toUpperCase() === "STOREDIST")
  return !isApart(first) && (storeAt < 0 || isApart(rest[storeAt + 1]))
}

oracleFamily("geo", { commands, words, looser, mayBeSpoilt, otherTypes: false })
