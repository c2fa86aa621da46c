/** What commands newer than 7.4 propagate makes the same data elsewhere, times of members and all. */
import { expect, test } from "bun:test"
import { Prng } from "../../src/bytes/prng.ts"
import { createServer } from "../../src/index.ts"
import { runSeed } from "../support/random.ts"
import { Probe } from "./string-probe.ts"

const STEPS = 1000

test("a replica has what its primary has", async () => {
  const seed = runSeed
  console.log(`seed ${seed}`)
  const random = new Prng(seed)
  const below = (n: number) => Math.floor(random.nextFloat() * n)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!
  await using probe = await Probe.start({ "set-max-listpack-entries": 4, "zset-max-listpack-entries": 4 })
  await using replica = await createServer({ clock: probe.clock })
  probe.server.server.cron.stop()
  replica.server.cron.stop()
  const { keyspace } = replica.server.engine
  keyspace.holdExpiry("loading", true)
  const apply = async (commands: readonly string[]) => {
    for (const command of commands) {
      if (command === "MULTI" || command === "EXEC") continue
      const reply = await replica.executeReply(...command.split(" "))
      expect(reply.type, `seed ${seed}: ${command}`).not.toBe("error")
    }
  }
  const member = () => pick(["a", "b", "c", "d", "e", "f", "1", "2"])
  const members = () => Array.from({ length: 1 + below(3) }, member)
  const s = () => `s${below(3)}`
  const z = () => `z${below(3)}`
  const listed = () => {
    const list = members()
    return `MEMBERS ${list.length} ${list.join(" ")}`
  }
  const time = () => pick(["0", "3", "20", "100"])
  const condition = () => pick(["", "", "", " NX", " XX", " GT", " LT"])
  const commands: (() => string)[] = [
    () => `SADD ${s()} ${members().join(" ")}`,
    () => `SADDEX ${s()} ${pick(["", "KEEPTTL ", `PX ${time()} `])}${pick(["", "MNX ", "MXX "])}${listed()}`,
    () => `SPEXPIRE ${s()} ${time()}${condition()} ${listed()}`,
    () => `SPERSIST ${s()} ${listed()}`,
    () => `SREM ${s()} ${member()}`,
    () => `SMOVE ${s()} ${s()} ${member()}`,
    () => `SPOP ${s()}${pick(["", " 1", " 3"])}`,
    () => `${pick(["SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE"])} ${s()} ${s()} ${s()}`,
    () => `ZADD ${z()} ${pick(["", "NX ", "XX ", "GT ", "LT ", "CH "])}${below(5)} ${member()}`,
    () => `ZINCRBY ${z()} ${below(5)} ${member()}`,
    () => `ZPEXPIRE ${z()} ${time()}${condition()} ${listed()}`,
    () => `ZPERSIST ${z()} ${listed()}`,
    () => `ZREM ${z()} ${member()}`,
    () => `ZPOPMIN ${z()}`,
    () => `ZREMRANGEBYRANK ${z()} 0 0`,
    () => `${pick(["ZUNIONSTORE", "ZINTERSTORE"])} ${z()} 2 ${z()} ${z()}`,
    () => `COPY ${s()} ${s()} REPLACE`,
    () => `COPY ${z()} ${z()} REPLACE`,
    () => `RENAME ${z()} ${z()}`,
    () => `DEL ${pick([s, z])()}`,
    () => `XADD x IDMP p${below(2)} m${below(6)} * f v`,
    () => `XADD x MAXLEN ~ 20 IDMP q m${below(4)} * f ${below(9)}`,
    () => `XCFGSET x IDMP-MAXSIZE ${1 + below(4)}`,
    () => "XREADGROUP GROUP g a COUNT 2 STREAMS x >",
    () => "XREADGROUP GROUP g b COUNT 2 CLAIM 5 STREAMS x >",
    () => `XNACK x g ${pick(["SILENT", "FAIL", "FATAL"])} IDS 1 ${1_700_000_000_000 + below(3000)}-0`,
    () => "HIMPORT SET h f v w",
  ]
  for (const setup of ["XGROUP CREATE x g 0 MKSTREAM", "HIMPORT PREPARE f a b"])
    await apply(await probe.propagated(setup))
  const looks: string[] = []
  for (let i = 0; i < 3; i++) {
    looks.push(`SMEMBERS s${i}`, `SPEXPIRETIME s${i} MEMBERS 8 a b c d e f 1 2`)
    looks.push(`ZRANGE z${i} 0 -1 WITHSCORES`, `ZPEXPIRETIME z${i} MEMBERS 8 a b c d e f 1 2`)
  }
  looks.push("XINFO STREAM x FULL COUNT 0", "XPENDING x g - + 1000", "HGETALL h")
  const plain = (reply: unknown) =>
    JSON.stringify(reply, (_, value) => {
      if (value instanceof Set) return [...value].sort()
      if (value instanceof Map) {
        // Not part of what is propagated, or told in another way.
        for (const name of ["iids-duplicates", "seen-time", "active-time", "radix-tree-keys", "radix-tree-nodes"])
          value.delete(name)
        return [...value]
      }
      return typeof value === "bigint" ? String(value) : value
    })
  for (let step = 0; step < STEPS; step++) {
    await apply(await probe.propagated(pick(commands)()))
    probe.clock.advance(below(4))
    if (step % 50 === 0 || step === STEPS - 1) {
      probe.server.server.engine.refreshTime()
      await apply(
        probe.propagatedBy(() => {
          while (probe.keyspace.memberExpiry.slice());
        }),
      )
      for (const look of looks) {
        const [here, there] = [await probe.run(...look.split(" ")), await replica.execute(...look.split(" "))]
        expect(plain(there), `seed ${seed} step ${step} ${look}`).toBe(plain(here))
      }
    }
  }
})
