import { expect, test } from "bun:test"
import { createServer } from "../../src/index.ts"
import type { PlainReply } from "../../src/resp/reply-decoder.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"

const NO_KEY = "NOPERM No permissions to access a key"
const NO_CHANNEL = "NOPERM No permissions to access a channel"
const noCommand = (name: string, user = "u") => `NOPERM User ${user} has no permissions to run the '${name}' command`

/** A server with its default user's connection, and one for the user `u`. */
async function house(config: Record<string, string> = {}) {
  const server = await createServer({ config })
  const admin = await Client.connect(server.port)
  const guest = await Client.connect(server.port)
  const setUser = (...rules: string[]) => admin.plain("ACL", "SETUSER", "u", ...rules)
  const text = async (client: Client, ...words: string[]): Promise<PlainReply> => {
    return plain(await client.plain(...words))
  }
  return {
    server,
    admin,
    guest,
    setUser,
    asAdmin: (line: string) => text(admin, ...line.split(" ")),
    asGuest: (line: string) => text(guest, ...line.split(" ")),
    /** Entries of ACL LOG, newest first. */
    log: async () => (await admin.plain("ACL", "LOG", "100")) as PlainReply[][],
    async [Symbol.asyncDispose]() {
      admin.close()
      guest.close()
      await server.close()
    },
  }
}

/** An error by its text, also in an array. */
function plain(reply: PlainReply): PlainReply {
  if (Array.isArray(reply)) return reply.map(plain)
  return reply !== null && typeof reply === "object" && "error" in reply ? (reply.error as string) : reply
}

const field = (entry: PlainReply[] | undefined, name: string) => entry?.[entry.indexOf(name) + 1]

test("who logs in has the rights of the user, and gets new ones at once", async () => {
  await using all = await house()
  await all.setUser("on", ">pw", "+@read", "~a*")
  expect(await all.asGuest("AUTH u wrong")).toBe("WRONGPASS invalid username-password pair or user is disabled.")
  expect(await all.asGuest("ACL WHOAMI")).toBe("default")
  expect(await all.asGuest("AUTH u pw")).toBe("OK")
  expect(await all.asGuest("ACL WHOAMI")).toBe(noCommand("acl|whoami"))
  expect(await all.asGuest("GET a1")).toBe(null)
  expect(await all.asGuest("GET b1")).toBe(NO_KEY)
  expect(await all.asGuest("SET a1 v")).toBe(noCommand("set"))
  expect(await all.asGuest("CONFIG GET x")).toBe(noCommand("config|get"))
  await all.setUser("+set", "~b*")
  expect(await all.asGuest("SET b1 v")).toBe("OK")
  await all.setUser("allcommands", "allkeys", "allchannels")
  expect(await all.asGuest("CONFIG GET port")).toBeArray()
  const { engine } = all.server.server
  expect([...engine.clients.byId.values()].map(({ user, conditions }) => [user, conditions])).toEqual([
    ["default", 0],
    ["u", 0],
  ])
  await all.setUser("-get")
  expect(await all.asGuest("GET a1")).toBe(noCommand("get"))
  expect(await all.asGuest("RESET")).toBe("RESET")
  expect(await all.asGuest("GET a1")).toBe(null)
})

test("a wrong rule changes nothing", async () => {
  await using all = await house()
  await all.setUser("on", ">pw", "+get")
  const before = await all.asAdmin("ACL LIST")
  expect(await all.asAdmin("ACL SETUSER u +set nonsense")).toBe(
    "ERR Error in ACL SETUSER modifier 'nonsense': Syntax error",
  )
  expect(await all.asAdmin("ACL SETUSER v +nonsense")).toContain("Unknown command or category name in ACL")
  expect(await all.asAdmin("ACL LIST")).toEqual(before)
})

test("transactions: refused when queued, and when rights are taken before EXEC", async () => {
  await using all = await house()
  await all.setUser("on", "nopass", "~a*", "+@all", "&c")
  await all.asGuest("AUTH u x")
  await all.asGuest("MULTI")
  expect(await all.asGuest("GET b")).toBe(NO_KEY)
  expect(await all.asGuest("PUBLISH d x")).toBe(NO_CHANNEL)
  expect(await all.asGuest("EXEC")).toBe("EXECABORT Transaction discarded because of previous errors.")
  for (const line of ["MULTI", "SET a1 v", "INCR a2", "PUBLISH c x"]) await all.asGuest(line)
  await all.setUser("-incr", "resetkeys", "resetchannels")
  const why = "ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
  const reasons = ["touch the specified keys", "execute the command or subcommand"]
  expect(await all.asGuest("EXEC")).toEqual([
    ...reasons.map(
      each => `NOPERM ${why}This command is no longer allowed for the following reason: no permission to ${each}`,
    ),
    `NOPERM ${why}This command is no longer allowed for the following reason: ` +
      "no permission to access one of the channels used as arguments",
  ])
  expect(
    (await all.log()).map(entry => [field(entry, "context"), field(entry, "reason"), field(entry, "object")]),
  ).toEqual([
    ["multi", "channel", "c"],
    ["multi", "command", "incr"],
    ["multi", "key", "a1"],
    ["multi", "channel", "d"],
    ["multi", "key", "b"],
  ])
})

test("SORT reads keys of any name only for those who may", async () => {
  await using all = await house()
  await all.setUser("on", "nopass", "+sort", "~l")
  await all.asAdmin("RPUSH l 1")
  await all.asGuest("AUTH u x")
  const denied = (option: string) => `ERR ${option} option of SORT denied due to insufficient ACL permissions.`
  expect(await all.asGuest("SORT l BY w_*")).toBe(denied("BY"))
  expect(await all.asGuest("SORT l GET #")).toEqual(["1"])
  expect(await all.asGuest("SORT l GET w_*")).toBe(denied("GET"))
  await all.setUser("(+sort %R~*)")
  expect(await all.asGuest("SORT l BY w_*")).toEqual(["1"])
  await all.setUser("+multi", "+exec", "clearselectors")
  for (const line of ["MULTI", "SORT l BY w_*"]) await all.asGuest(line)
  expect(await all.asGuest("EXEC")).toEqual([denied("BY")])
})

test("a blocked client whose rights go is refused when its key comes", async () => {
  await using all = await house()
  await all.setUser("on", "nopass", "+@all", "~*")
  await all.asGuest("AUTH u x")
  const popped = all.guest.plain("BLPOP", "l", "0")
  await until(async () => /blocked_clients:1/.test(String(await all.asAdmin("INFO clients"))))
  await all.setUser("resetkeys")
  await all.asAdmin("RPUSH l 1")
  expect(plain(await popped)).toBe(NO_KEY)
  expect(await all.asGuest("PING")).toBe("PONG")
  expect(await all.asAdmin("LLEN l")).toBe(1)
})

test("taking channels away ends the subscribers that use them, and no others", async () => {
  await using all = await house()
  await all.setUser("on", "nopass", "+@all", "&a", "&p*")
  const subscriber = async (...words: string[]) => {
    const client = await Client.connect(all.server.port)
    await client.plain("AUTH", "u", "x")
    await client.plain(...words)
    return client
  }
  await using onA = await subscriber("SUBSCRIBE", "a")
  await using onP1 = await subscriber("SUBSCRIBE", "p1")
  await using onPattern = await subscriber("PSUBSCRIBE", "p*")
  await using onShard = await subscriber("SSUBSCRIBE", "a")
  await using idle = await subscriber("PING")
  await all.setUser("&b")
  expect([onA, onP1, onPattern, onShard, idle].map(each => each.isClosed)).toEqual([false, false, false, false, false])
  await all.setUser("resetchannels", "&p1", "&b")
  await Promise.all([onA.closed, onPattern.closed, onShard.closed])
  expect(await onP1.plain("PING")).toEqual(["pong", ""])
  expect(await idle.plain("PING")).toBe("PONG")
  await all.setUser("allchannels")
  await onP1.plain("UNSUBSCRIBE")
  expect(await onP1.plain("PING")).toBe("PONG")
})

test("deleting a user ends its clients; the one that asks still gets its answer", async () => {
  await using all = await house()
  await all.setUser("on", "nopass", "+@all", "~*")
  await using other = await Client.connect(all.server.port)
  await other.plain("AUTH", "u", "x")
  await all.asGuest("AUTH u x")
  expect(await all.asGuest("ACL DELUSER u nobody")).toBe(1)
  await Promise.all([all.guest.closed, other.closed])
  expect(await all.asAdmin("ACL USERS")).toEqual(["default"])
  expect(await all.asAdmin("ACL DELUSER u")).toBe(0)
  expect(await all.asAdmin("ACL DELUSER u default")).toBe("ERR The 'default' user cannot be removed")
})

test("requirepass is the default user's password", async () => {
  await using all = await house({ requirepass: "pw" })
  const noAuth = "NOAUTH Authentication required."
  expect(await all.asGuest("PING")).toBe(noAuth)
  expect(await all.asGuest("AUTH no")).toBe("WRONGPASS invalid username-password pair or user is disabled.")
  expect(await all.asGuest("AUTH pw")).toBe("OK")
  expect(await all.asGuest("CONFIG SET requirepass new")).toBe("OK")
  expect(await all.asGuest("PING")).toBe("PONG")
  expect(await all.asAdmin("AUTH default pw")).toStartWith("WRONGPASS")
  expect(await all.asAdmin("HELLO 3 AUTH default new")).not.toBeString()
  expect(String(await all.asAdmin("ACL LIST"))).not.toContain("new")
  expect(await all.asGuest("CONFIG SET requirepass ")).toBe("OK")
  expect(await all.asGuest("AUTH x")).toContain("called without any password configured for the default user")
  expect(await all.asGuest("ACL GETUSER default")).toContainEqual(["on", "nopass", "sanitize-payload"])
})

test("who has not logged in must, as soon as the default user asks for it; and need not when it stops to", async () => {
  await using all = await house()
  await all.asAdmin("ACL SETUSER default off")
  await using stranger = await Client.connect(all.server.port)
  const ping = async () => {
    return plain(await stranger.plain("PING"))
  }
  expect(await ping()).toBe("NOAUTH Authentication required.")
  expect(await all.asGuest("PING")).toBe("PONG")
  await all.asAdmin("ACL SETUSER default on")
  expect(await ping()).toBe("PONG")
  await all.asAdmin("ACL SETUSER default >x")
  expect(await ping()).toBe("NOAUTH Authentication required.")
  await stranger.plain("AUTH", "x")
  expect(await ping()).toBe("PONG")
})

test("ACL LOG: entries, grouping, bounds; counters in INFO", async () => {
  await using all = await house()
  await all.setUser("on", "nopass", "~a", "+get", "+publish")
  await all.asGuest("AUTH u x")
  for (const line of ["GET b", "GET b", "GET c", "SET a v", "PUBLISH d m", "AUTH u2 x", "HELLO 3 AUTH u2 x"]) {
    await all.asGuest(line)
  }
  const shown = (await all.log()).map(entry =>
    ["count", "reason", "context", "object", "username", "entry-id"].map(name => field(entry, name)),
  )
  expect(shown).toEqual([
    [1, "auth", "toplevel", "HELLO", "u2", 5],
    [1, "auth", "toplevel", "AUTH", "u2", 4],
    [1, "channel", "toplevel", "d", "u", 3],
    [1, "command", "toplevel", "set", "u", 2],
    [1, "key", "toplevel", "c", "u", 1],
    [2, "key", "toplevel", "b", "u", 0],
  ])
  expect(field((await all.log())[5], "client-info")).toContain("cmd=get user=u")
  await all.asGuest("GET b")
  expect(field((await all.log())[0], "count")).toBe(3)
  const denials =
    /acl_access_denied_auth:2\r\nacl_access_denied_cmd:1\r\nacl_access_denied_key:4\r\nacl_access_denied_channel:1\r\n/
  expect(await all.asAdmin("INFO stats")).toMatch(denials)
  await all.asAdmin("CONFIG RESETSTAT")
  expect(await all.asAdmin("INFO stats")).toContain("acl_access_denied_key:0")
  await all.asAdmin("CONFIG SET acllog-max-len 2")
  await all.asGuest("GET z")
  expect((await all.log()).map(entry => field(entry, "object"))).toEqual(["z", "b"])
  expect(await all.asAdmin("ACL LOG 1")).toHaveLength(1)
  expect(await all.asAdmin("ACL LOG -1")).toEqual([])
  expect(await all.asAdmin("ACL LOG x")).toBe("ERR value is not an integer or out of range")
  await all.asAdmin("ACL LOG RESET")
  expect(await all.log()).toEqual([])
})

test("DRYRUN, CAT, GENPASS, WHOAMI, HELP", async () => {
  await using all = await house()
  await all.setUser("+get", "~a", "&c", "+publish")
  expect(await all.asAdmin("ACL DRYRUN u GET a")).toBe("OK")
  expect(await all.asAdmin("ACL DRYRUN u GET b")).toBe("User u has no permissions to access the 'b' key")
  expect(await all.asAdmin("ACL DRYRUN u PUBLISH d m")).toBe("User u has no permissions to access the 'd' channel")
  expect(await all.asAdmin("ACL DRYRUN u SET a v")).toBe("User u has no permissions to run the 'set' command")
  expect(await all.asAdmin("ACL DRYRUN u GET")).toBe("ERR wrong number of arguments for 'get' command")
  expect(await all.asAdmin("ACL DRYRUN u CONFIG no")).toBe("ERR Command 'CONFIG' not found")
  expect(await all.asAdmin("ACL DRYRUN v GET a")).toBe("ERR User 'v' not found")
  expect(await all.asAdmin("ACL CAT")).toContain("sortedset")
  expect(await all.asAdmin("ACL CAT Hash")).toContain("hget")
  expect(await all.asAdmin("ACL CAT x")).toBe("ERR Unknown category 'x'")
  expect(await all.asAdmin("ACL CAT x y")).toBe(
    "ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.",
  )
  expect(await all.asAdmin("ACL GENPASS")).toMatch(/^[0-9a-f]{64}$/)
  expect(await all.asAdmin("ACL GENPASS 5")).toMatch(/^[0-9a-f]{2}$/)
  expect(await all.asAdmin("ACL GENPASS 4097")).toContain("a positive number up to 4096")
  expect(await all.asAdmin("ACL HELP")).toContain("WHOAMI")
})

test("names and patterns of any bytes", async () => {
  await using all = await house()
  const name = Buffer.from([0xff, 0xc3, 0x28])
  const rule = Buffer.concat([Buffer.from("~"), name, Buffer.from("*")])
  await all.admin.plain("ACL", "SETUSER", name, "on", "nopass", "+get", "+acl|whoami", rule)
  expect(await all.guest.plain("AUTH", name, "x")).toBe("OK")
  expect(await all.guest.raw("ACL", "WHOAMI")).toEqual(
    new Uint8Array(Buffer.concat([Buffer.from("$3\r\n"), name, Buffer.from("\r\n")])),
  )
  expect(await all.guest.plain("GET", Buffer.concat([name, Buffer.from("k")]))).toBe(null)
  expect(await all.asGuest("GET k")).toBe(NO_KEY)
  expect(await all.asAdmin("ACL SETUSER a\tb")).toBe("ERR Usernames can't contain spaces or null characters")
})

test("nothing of a password or rule shows in MONITOR and SLOWLOG", async () => {
  await using all = await house({ "slowlog-log-slower-than": "0" })
  await using monitor = await Client.connect(all.server.port)
  await monitor.plain("MONITOR")
  await all.setUser("on", ">topsecret", "<topsecret", ">topsecret2")
  await all.asGuest("AUTH u topsecret2")
  await all.asGuest("HELLO 3 AUTH u topsecret2")
  await all.asAdmin("CONFIG SET requirepass topsecret3")
  await all.asAdmin("ECHO done")
  let seen = ""
  while (!seen.includes("done")) seen += Buffer.from(await monitor.readRaw()).toString()
  const slow = JSON.stringify(await all.asAdmin("SLOWLOG GET 100"))
  expect(slow).toContain("SETUSER")
  expect(seen + slow + JSON.stringify(await all.log())).not.toContain("topsecret")
})
