/**
 * Random rules given to bundis and to a real redis-server; both are then asked what the user may do. The rules that
 * 7.0 makes up when it shows a user's commands differ from those given, which 7.2 keeps, so commands are only compared
 * by what they allow.
 */
import { expect, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import type { PlainReply } from "../../src/resp/reply-decoder.ts"
import { Client } from "../support/client.ts"
import { oracleAvailable, startOracle } from "../support/oracle.ts"
import { Random } from "../support/random.ts"

const ROUNDS = Number(process.env.BUNDIS_FUZZ ?? 120)
const KEYS = ["a1", "b1", "c1", "", "a*"]
const CALLS = [
  "GET key",
  "SET key v",
  "SET key v GET",
  "MGET key key",
  "MSET key 1 key 2",
  "DEL key key",
  "COPY key key",
  "RENAME key key",
  "EXISTS key",
  "HSET key f v",
  "HGETALL key",
  "LPUSH key x",
  "LMOVE key key LEFT LEFT",
  "SINTERSTORE key key key",
  "ZADD key 1 m",
  "ZUNIONSTORE key 2 key key",
  "ZUNIONSTORE key 9 key key",
  "ZINTERCARD 2 key key",
  "XREAD STREAMS key key 0 0",
  "BITFIELD key GET u4 0",
  "BITFIELD key GET u4 0 SET u4 0 1",
  "SORT key BY x STORE key",
  "GEORADIUS key 0 0 1 M STORE key",
  "OBJECT ENCODING key",
  "BLPOP key key 0",
  "SCAN 0",
  "SELECT 0",
  "SELECT 1",
  "PING",
  "AUTH x",
  "CONFIG GET x",
  "CONFIG SET x y",
  "CLIENT ID",
  "CLIENT KILL x",
  "PUBLISH key m",
  "SUBSCRIBE key key",
  "PSUBSCRIBE key",
  "PUNSUBSCRIBE key",
  "FLUSHALL",
  "DEBUG SLEEP 0",
]
const RULES = [
  ...["on", "off", "nopass", "resetpass", "reset", "clearselectors", ">pw", "<pw", ">pw2", "<nope", "#abc", "!abc"],
  ...["allcommands", "nocommands", "+@all", "-@all", "+@all", "+@read", "-@write", "+@write", "-@dangerous", "+@fast"],
  ...["-@fast", "+@PUBSUB", "-@connection", "+get", "-get", "+SET", "-set", "+config|get", "-config|set", "-config"],
  ...["+config", "+client|id", "-client", "+select|1", "+debug|sleep", "-select", "+select", "+nosuch", "-nosuch|x"],
  ...["+config|nosuch", "+config|get|x", "-select|1", "+@nosuch", "+select|", "", "foo", "%X~a", "%~a", ")"],
  ...["allkeys", "resetkeys", "~*", "~a*", "~b1", "%R~a*", "%W~a*", "%RW~c*", "%r~*", "%W~*", "~[ab]1", "~"],
  ...["allchannels", "resetchannels", "&*", "&a*", "&b1", "&c?", "~a b", "skip-sanitize-payload", "()"],
]
const SELECTOR_RULES = RULES.filter(rule => !/[()><#! ]/.test(rule) && rule !== "")

test.skipIf(!oracleAvailable)("random rules allow and forbid the same", async () => {
  const random = new Random()
  await using server = await createServer({ config: { "acl-pubsub-default": "allchannels" } })
  await using oracle = await startOracle({ args: ["--acl-pubsub-default", "allchannels"] })
  await using ours = await Client.connect(server.port)
  const both = async (...words: string[]): Promise<PlainReply[]> =>
    (await Promise.all([ours.plain(...words), oracle.admin.plain(...words)])).map(alike)
  const history: string[] = []
  const check = async (...words: string[]) => {
    const [own, other] = await both(...words)
    if (Bun.deepEquals(own, other)) return
    expect({ seed: random.seed, history, words, reply: own }).toEqual({
      seed: random.seed,
      history,
      words,
      reply: other!,
    })
  }
  const rule = () => {
    if (random.below(8) > 0) return random.pick(RULES)
    return `(${random.pick(SELECTOR_RULES)} ${random.pick(SELECTOR_RULES)} ${random.pick(SELECTOR_RULES)})`
  }
  for (let round = 0; round < ROUNDS; round++) {
    if (round % 10 === 0) {
      history.length = 0
      await check("ACL", "SETUSER", "u", "reset")
    }
    const rules = Array.from({ length: random.between(1, 4) }, rule)
    history.push(JSON.stringify(rules))
    await check("ACL", "SETUSER", "u", ...rules)
    await check("ACL", "GETUSER", "u")
    for (let i = 0; i < 20; i++) {
      const words = random
        .pick(CALLS)
        .split(" ")
        .map(word => (word === "key" ? random.pick(KEYS) : word))
      await check("ACL", "DRYRUN", "u", ...words)
    }
  }
})

/** A reply without what differs between the versions: who is meant, new flags, the rules of commands; and `~*` among others. */
function alike(reply: PlainReply): PlainReply {
  if (typeof reply === "string") return reply.replace(/^(User \S+|This user) has/, "User has").replace("%RW~*", "~*")
  if (!Array.isArray(reply)) return reply
  const shown: PlainReply[] = []
  for (let i = 0; i < reply.length; i++) {
    const each = reply[i]!
    if (each === "sanitize-payload" || each === "skip-sanitize-payload") continue
    shown.push(alike(each))
    if (each === "commands") i++
  }
  return shown
}
