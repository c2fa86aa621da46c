import { describe, expect, test } from "bun:test"
import { networkInterfaces } from "node:os"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { freePort } from "../support/free-port.ts"
import { TempDir } from "../support/temp-dir.ts"

const isLinux = process.platform === "linux"
const hasIpv6 = Object.values(networkInterfaces()).some(all => all?.some(({ address }) => address === "::1"))

const failed = (name: string, reason: string) => ({
  error: `ERR CONFIG SET failed (possibly related to argument '${name}') - ${reason}`,
})
const NO_PORT = failed("port", "Unable to listen on this port. Check server logs.")
const NO_BIND = failed("bind", "Failed to bind to specified addresses.")

const set = (server: EmbeddedServer, ...pairs: string[]) => server.execute("CONFIG", "SET", ...pairs)

async function answers(hostname: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  try {
    const socket = await Bun.connect({
      hostname,
      port,
      socket: { data: () => resolve(true), close: () => resolve(false), error: () => resolve(false) },
    })
    socket.write("PING\r\n")
    const answer = await promise
    socket.terminate()
    return answer
  } catch {
    return false
  }
}

describe("port", () => {
  test("moves; connections go on", async () => {
    await using server = await createServer({ port: freePort() })
    const before = server.port
    await using client = await Client.connect(before)
    expect(await client.plain("PING")).toBe("PONG")
    const after = freePort()
    expect(await set(server, "port", `${after}`)).toBe("OK")
    expect(server.port).toBe(after)
    expect([await answers("127.0.0.1", before), await answers("127.0.0.1", after)]).toEqual([false, true])
    expect(await client.plain("PING")).toBe("PONG")
  })

  test("a port that is taken is refused, and all stays as it was", async () => {
    await using server = await createServer({ port: freePort() })
    await using other = await createServer()
    const { port } = server
    const { maxclients } = server.server.config.values
    expect(await set(server, "port", `${other.port}`)).toEqual(NO_PORT)
    expect(await set(server, "maxclients", "7", "port", `${other.port}`)).toEqual(NO_PORT)
    expect(server.server.config.values).toMatchObject({ port, maxclients })
    expect(server.port).toBe(port)
    expect(await answers("127.0.0.1", port)).toBe(true)
    expect(await answers("127.0.0.1", other.port)).toBe(true)
  })

  test("INFO tells of it, also after a change", async () => {
    await using server = await createServer({ port: freePort() })
    const told = async () => /^listener0:.*$/m.exec(String(await server.execute("INFO", "server")))?.[0]
    expect(await told()).toBe(`listener0:name=tcp,bind=127.0.0.1,port=${server.port}`)
    const after = freePort()
    await set(server, "port", `${after}`, "bind", "-192.0.2.1 127.0.0.1")
    expect(await told()).toBe(`listener0:name=tcp,bind=127.0.0.1,port=${after}`)
    await using dir = new TempDir()
    const unixsocket = `${dir.path}/s`
    await using both = await createServer({ port: freePort(), config: { unixsocket } })
    await set(both, "port", "0")
    expect(String(await both.execute("INFO", "server"))).toMatch(
      /io_threads_active:0\r\nlistener1:name=unix,bind=\S+\/s\r\n$/,
    )
  })

  test("0 listens no more", async () => {
    await using server = await createServer({ port: freePort() })
    const { port } = server
    expect(await set(server, "port", "0")).toBe("OK")
    expect(await answers("127.0.0.1", port)).toBe(false)
    expect(await set(server, "port", `${port}`)).toBe("OK")
    expect(await answers("127.0.0.1", port)).toBe(true)
  })
})

// Elsewhere 127.0.0.1 is the only loopback address.
describe.skipIf(!isLinux)("bind", () => {
  test("other addresses, on the same port", async () => {
    await using server = await createServer({ port: freePort() })
    const { port } = server
    await using client = await Client.connect(port)
    expect(await set(server, "bind", "127.0.0.2")).toBe("OK")
    expect([await answers("127.0.0.1", port), await answers("127.0.0.2", port)]).toEqual([false, true])
    expect(await set(server, "bind", "127.0.0.1 127.0.0.2")).toBe("OK")
    expect([await answers("127.0.0.1", port), await answers("127.0.0.2", port)]).toEqual([true, true])
    expect(await set(server, "bind", "*")).toBe("OK")
    expect(await answers("127.0.0.3", port)).toBe(true)
    expect(await set(server, "bind", "")).toBe("OK")
    expect(await answers("127.0.0.1", port)).toBe(false)
    expect(await client.plain("PING")).toBe("PONG")
  })

  test("an address that this host does not have: refused, or left out when marked with -", async () => {
    await using server = await createServer({ port: freePort() })
    const { port } = server
    expect(await set(server, "bind", "192.0.2.1")).toEqual(NO_BIND)
    expect(await set(server, "bind", "127.0.0.2 192.0.2.1")).toEqual(NO_BIND)
    expect(await set(server, "bind", "-192.0.2.1")).toEqual(NO_BIND)
    expect([await answers("127.0.0.1", port), await answers("127.0.0.2", port)]).toEqual([true, false])
    expect(server.server.config.values.bind).toEqual(["127.0.0.1"])
    expect(await set(server, "bind", "-192.0.2.1 127.0.0.1")).toBe("OK")
    expect(await answers("127.0.0.1", port)).toBe(true)
  })

  test("together with the port: all or nothing", async () => {
    await using server = await createServer({ port: freePort() })
    await using other = await createServer()
    const { port } = server
    expect(await set(server, "bind", "127.0.0.1", "port", `${other.port}`)).toMatchObject({
      error: expect.stringContaining("Unable to listen on this port"),
    })
    expect(await answers("127.0.0.1", port)).toBe(true)
    const after = freePort()
    expect(await set(server, "bind", "127.0.0.2", "port", `${after}`)).toBe("OK")
    expect([await answers("127.0.0.2", after), await answers("127.0.0.1", port)]).toEqual([true, false])
  })

  test("an embedded server keeps the port that it was given", async () => {
    await using server = await createServer()
    const { port } = server
    expect(await set(server, "bind", "127.0.0.2")).toBe("OK")
    expect(await answers("127.0.0.2", port)).toBe(true)
  })

  test.skipIf(!hasIpv6)("all addresses of both families", async () => {
    await using server = await createServer({ port: freePort() })
    expect(await set(server, "bind", "* -::*")).toBe("OK")
    expect([await answers("127.0.0.1", server.port), await answers("::1", server.port)]).toEqual([true, true])
    expect(await set(server, "bind", "-::1")).toBe("OK")
    expect([await answers("127.0.0.1", server.port), await answers("::1", server.port)]).toEqual([false, true])
  })
})

describe("what belongs to connections", () => {
  test("unixsocket and its mode cannot be changed", async () => {
    await using server = await createServer()
    for (const name of ["unixsocket", "unixsocketperm", "tcp-backlog"]) {
      expect(await set(server, name, "1")).toEqual(failed(name, "can't set immutable config"))
    }
  })

  test("proto-max-bulk-len holds for clients that are there", async () => {
    await using server = await createServer()
    await using client = await Client.connect(server.port)
    expect(await client.plain("PING")).toBe("PONG")
    expect(await set(server, "proto-max-bulk-len", "1048576")).toBe("OK")
    expect(await client.plain("SET", "k", "x".repeat(1048576))).toBe("OK")
    expect(await client.plain("SET", "k", "x".repeat(1048577))).toEqual({
      error: "ERR Protocol error: invalid bulk length",
    })
    await client.closed
  })

  test("maxclients holds for the next one; those that are there stay", async () => {
    await using server = await createServer()
    await using first = await Client.connect(server.port)
    await using second = await Client.connect(server.port)
    expect(await second.plain("PING")).toBe("PONG")
    expect(await first.plain("CONFIG", "SET", "maxclients", "1")).toBe("OK")
    await using third = await Client.connect(server.port)
    expect(await third.plain("PING").catch(String)).toMatchObject({ error: "ERR max number of clients reached" })
    expect(await second.plain("PING")).toBe("PONG")
    expect(await first.plain("CONFIG", "SET", "maxclients", "5")).toBe("OK")
    await using fourth = await Client.connect(server.port)
    expect(await fourth.plain("PING")).toBe("PONG")
  })

  test.skipIf(!isLinux)("more clients than the system allows files are refused", async () => {
    await using server = await createServer()
    const before = server.server.config.values.maxclients
    const reply = (await set(server, "maxclients", "4000000000")) as { error: string }
    expect(reply.error).toMatch(
      /^ERR CONFIG SET failed \(possibly related to argument 'maxclients'\) - The operating system is not able to handle the specified number of clients, try with [0-9]+$/,
    )
    expect(server.server.config.values.maxclients).toBe(before)
  })

  test("timeout closes those that are idle", async () => {
    await using server = await createServer()
    await using client = await Client.connect(server.port)
    expect(await client.plain("PING")).toBe("PONG")
    expect(await set(server, "timeout", "1")).toBe("OK")
    const { engine } = server.server
    for (const { seenAt } of engine.clients.byId.values()) expect(seenAt).toBeGreaterThan(0)
    for (const one of engine.clients.byId.values()) one.seenAt -= 5000
    await client.closed
  })

  test("tcp-keepalive and client-query-buffer-limit are taken", async () => {
    await using server = await createServer()
    expect(await set(server, "tcp-keepalive", "0")).toBe("OK")
    expect(await answers("127.0.0.1", server.port)).toBe(true)
    expect(await set(server, "tcp-keepalive", "60", "client-query-buffer-limit", "1mb")).toBe("OK")
    await using client = await Client.connect(server.port)
    client.send(`*2\r\n$3\r\nGET\r\n$2000000\r\n${"x".repeat(1_900_000)}`)
    await client.closed
    await until(() => server.server.engine.clients.overQueryLimit === 1, { what: "the client to be counted" })
  })
})
