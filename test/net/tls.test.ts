import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer, type EmbeddedServer } from "../../src/index.ts"
import { KEY_PASS, makeCertificates, opensslAvailable } from "../support/certificates.ts"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { freePort } from "../support/free-port.ts"
import { startBundis } from "../support/process.ts"
import { TempDir } from "../support/temp-dir.ts"

const dir = new TempDir("bundis-tls-")
let path: (name: string) => string
beforeAll(() => {
  if (opensslAvailable) path = makeCertificates(dir.path)
})
afterAll(() => dir.remove())

const files = () => ({
  "tls-cert-file": path("server.crt"),
  "tls-key-file": path("server.key"),
  "tls-ca-cert-file": path("ca.crt"),
})

interface Started extends AsyncDisposable {
  server: EmbeddedServer
  tlsPort: number
  log: string[]
  set: (...pairs: string[]) => Promise<unknown>
}

async function start(config: Record<string, string | number> = {}): Promise<Started> {
  const log: string[] = []
  const tlsPort = freePort()
  const server = await createServer({
    port: freePort(),
    log: (_level, message) => log.push(message),
    config: { ...files(), "tls-auth-clients": "no", ...config, "tls-port": tlsPort },
  })
  return {
    server,
    tlsPort,
    log,
    set: (...pairs) => server.execute("CONFIG", "SET", ...pairs),
    [Symbol.asyncDispose]: () => server.close(),
  }
}

const trusting = () => ({ ca: readFileSync(path("ca.crt")) })
const identified = (name: string) => ({
  ...trusting(),
  cert: readFileSync(path(`${name}.crt`)),
  key: readFileSync(path(`${name}.key`)),
})

/** Whether a client with these options is served. */
async function isServed(port: number, tls: Bun.TLSOptions | boolean): Promise<boolean> {
  try {
    await using client = await Client.connect(port, { tls, timeoutMs: 5000 })
    return (await client.plain("PING")) === "PONG"
  } catch {
    return false
  }
}

/** The name in the certificate that the server shows. */
async function shownName(port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    tls: { ...trusting(), rejectUnauthorized: false },
    socket: {
      data() {},
      handshake: peer => resolve(String(peer.getPeerCertificate().subject.CN)),
    },
  })
  const name = await promise
  socket.terminate()
  return name
}

const REFUSED = (name: string) => ({
  error: `ERR CONFIG SET failed (possibly related to argument '${name}') - Unable to update TLS configuration. Check server logs.`,
})

describe.skipIf(!opensslAvailable)("TLS", () => {
  test("both ports serve the same data, large values and pipelines too", async () => {
    await using it = await start()
    await using secure = await Client.connect(it.tlsPort, { tls: trusting() })
    await using plain = await Client.connect(it.server.port)
    const value = "0123456789abcdef".repeat(200_000)
    expect(await secure.plain("SET", "k", value)).toBe("OK")
    expect(await plain.plain("GET", "k")).toBe(value)
    expect(await secure.plain("GET", "k")).toBe(value)
    const replies = await secure.pipeline(Array.from({ length: 2000 }, (_, i) => ["ECHO", `${i}`]))
    expect(replies.map(reply => Buffer.from(reply).toString()).at(-1)).toBe("$4\r\n1999\r\n")
  })

  test("a reader that falls behind gets everything", async () => {
    await using it = await start()
    await using client = await Client.connect(it.tlsPort, { tls: trusting() })
    await client.plain("SET", "k", "x".repeat(1_000_000))
    client.pause()
    const replies = client.pipeline(Array.from({ length: 30 }, () => ["GET", "k"]))
    await until(() => [...it.server.server.engine.clients.byId.values()].some(({ pendingBytes }) => pendingBytes > 0), {
      what: "output to wait",
    })
    client.resume()
    expect((await replies).every(reply => reply.length === 1_000_012)).toBe(true)
  })

  test("TLS alone: port 0", async () => {
    const tlsPort = freePort()
    await using server = await createServer({
      port: 0,
      config: { ...files(), "tls-auth-clients": "no", "tls-port": tlsPort },
    })
    expect(server.port).toBe(0)
    expect(await isServed(tlsPort, trusting())).toBe(true)
  })

  test("certificates of clients: required, optional, not asked for", async () => {
    await using it = await start({ "tls-auth-clients": "yes" })
    const served = async () => [
      await isServed(it.tlsPort, identified("client")),
      await isServed(it.tlsPort, trusting()),
      await isServed(it.tlsPort, identified("stranger")),
    ]
    expect(await served()).toEqual([true, false, false])
    expect(await it.set("tls-auth-clients", "optional")).toBe("OK")
    expect(await served()).toEqual([true, true, false])
    expect(await it.set("tls-auth-clients", "no")).toBe("OK")
    expect(await served()).toEqual([true, true, true])
  })

  test("tls-auth-clients-user: the name in the certificate is the user", async () => {
    await using it = await start({
      "tls-auth-clients": "optional",
      "tls-auth-clients-user": "CN",
      requirepass: "secret",
    })
    const whoami = async (tls: Bun.TLSOptions) => {
      await using client = await Client.connect(it.tlsPort, { tls })
      return await client.plain("ACL", "WHOAMI")
    }
    const noAuth = { error: "NOAUTH Authentication required." }
    expect(await whoami(identified("client"))).toEqual(noAuth)
    await it.server.execute("AUTH", "secret")
    expect(await it.server.execute("ACL", "SETUSER", "client", "on", ">x", "+acl|whoami")).toBe("OK")
    expect(await whoami(identified("client"))).toBe("client")
    expect(await whoami(identified("renewed"))).toEqual(noAuth)
    expect(await whoami(trusting())).toEqual(noAuth)
    await it.server.execute("ACL", "SETUSER", "client", "off")
    expect(await whoami(identified("client"))).toEqual(noAuth)
    await it.server.execute("ACL", "SETUSER", "client", "on")
    expect(await it.set("tls-auth-clients-user", "off")).toBe("OK")
    expect(await whoami(identified("client"))).toEqual(noAuth)
  })

  test("authorities in a directory, some files twice, some of other kinds", async () => {
    const folder = path("authorities")
    mkdirSync(folder)
    symlinkSync(path("ca.crt"), `${folder}/a.pem`)
    symlinkSync(path("ca.crt"), `${folder}/0123abcd.0`)
    writeFileSync(`${folder}/README`, "not a certificate")
    await using it = await start({ "tls-ca-cert-file": "", "tls-ca-cert-dir": folder, "tls-auth-clients": "yes" })
    expect(await isServed(it.tlsPort, identified("client"))).toBe(true)
    expect(await isServed(it.tlsPort, identified("stranger"))).toBe(false)
  })

  test("new certificates by CONFIG SET: for new connections, the old ones go on", async () => {
    await using it = await start()
    await using before = await Client.connect(it.tlsPort, { tls: trusting() })
    expect(await before.plain("PING")).toBe("PONG")
    expect(await shownName(it.tlsPort)).toBe("server")
    expect(await it.set("tls-cert-file", path("renewed.crt"), "tls-key-file", path("renewed.key"))).toBe("OK")
    expect(await shownName(it.tlsPort)).toBe("renewed")
    expect(await before.plain("PING")).toBe("PONG")
    // The same name again: the file may have changed.
    writeFileSync(path("renewed.crt"), readFileSync(path("server.crt")))
    expect(await it.set("tls-cert-file", path("renewed.crt"))).toEqual(REFUSED("tls-cert-file"))
    expect(await shownName(it.tlsPort)).toBe("renewed")
    expect(await it.set("tls-cert-file", path("renewed.crt"), "tls-key-file", path("server.key"))).toBe("OK")
    expect(await shownName(it.tlsPort)).toBe("server")
    expect(await before.plain("PING")).toBe("PONG")
  })

  test("what cannot be used is refused, and nothing changes", async () => {
    await using it = await start()
    writeFileSync(path("junk"), "junk")
    for (const [name, value] of [
      ["tls-cert-file", "/does/not/exist"],
      ["tls-cert-file", path("junk")],
      ["tls-cert-file", path("client.crt")],
      ["tls-cert-file", ""],
      ["tls-key-file", path("junk")],
      ["tls-key-file", path("locked.key")],
      ["tls-ca-cert-file", path("junk")],
      ["tls-ca-cert-dir", "/does/not/exist"],
      ["tls-protocols", "TLSv1.4"],
      ["tls-ciphers", "NO-SUCH-CIPHER"],
      ["tls-ciphersuites", "TLS_NO_SUCH_SUITE"],
    ] as const) {
      expect([value, await it.set(name, value)]).toEqual([value, REFUSED(name)])
      expect(it.log.at(-1)).toMatch(/Failed to|No tls-|Invalid tls-/)
    }
    expect(it.server.server.config.values.tlsCertFile).toBe(path("server.crt"))
    expect(await isServed(it.tlsPort, trusting())).toBe(true)
    // A key that is encrypted, and its pass phrase.
    expect(await it.set("tls-key-file", path("locked.key"), "tls-key-file-pass", KEY_PASS)).toBe("OK")
    expect(await isServed(it.tlsPort, trusting())).toBe(true)
  })

  test("protocols and ciphers", async () => {
    await using it = await start({ "tls-protocols": "TLSv1.2", "tls-ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256" })
    const version = async (option: string) => {
      const client = Bun.spawn(["openssl", "s_client", option, "-connect", `127.0.0.1:${it.tlsPort}`], {
        stdin: Buffer.from(""),
        stdout: "pipe",
        stderr: "ignore",
      })
      return / Cipher is (\S+)/.exec(await new Response(client.stdout).text())?.[1]
    }
    expect(await version("-tls1_3")).toBe("(NONE)")
    expect(await version("-tls1_2")).toBe("ECDHE-ECDSA-AES128-GCM-SHA256")
    expect(await it.set("tls-protocols", "tlsv1.3")).toBe("OK")
    expect(await version("-tls1_2")).toBe("(NONE)")
    expect(await version("-tls1_3")).toMatch(/^TLS_/)
  })

  test("other things than TLS on the TLS port do no harm", async () => {
    await using it = await start()
    for (const bytes of ["PING\r\n", "\x16\x03\x01\x02\x00garbage", "x".repeat(100_000), "\x00", ""]) {
      const client = await Client.connect(it.tlsPort, { timeoutMs: 5000 })
      client.send(bytes)
      // A record that is begun, and silence, are waited for.
      if (bytes.length < 2 || bytes.charCodeAt(0) === 0x16) client.close()
      await client.closed
    }
    expect(await isServed(it.tlsPort, trusting())).toBe(true)
    expect(await isServed(it.server.port, false)).toBe(true)
    expect(await isServed(it.server.port, trusting())).toBe(false)
    await until(() => it.server.server.engine.clients.size === 0, { what: "all clients to be gone" })
  })

  test("handshakes under way count towards maxclients", async () => {
    await using it = await start({ maxclients: 3 })
    const silent = await Promise.all(Array.from({ length: 3 }, () => Client.connect(it.tlsPort)))
    await until(async () => !(await isServed(it.tlsPort, trusting())), { what: "the server to be full" })
    for (const client of silent) client.close()
    await until(() => isServed(it.tlsPort, trusting()), { what: "a place" })
  })

  test("tls-port by CONFIG SET: off, on, elsewhere, taken", async () => {
    await using it = await start()
    expect(await it.set("tls-port", "0")).toBe("OK")
    expect(await isServed(it.tlsPort, trusting())).toBe(false)
    const other = freePort()
    expect(await it.set("tls-port", `${other}`)).toBe("OK")
    expect(await isServed(other, trusting())).toBe(true)
    expect(await it.set("tls-port", `${it.server.port}`)).toEqual({
      error:
        "ERR CONFIG SET failed (possibly related to argument 'tls-port') - Unable to listen on this port. Check server logs.",
    })
    expect(await isServed(other, trusting())).toBe(true)
    expect(await it.set("tls-port", "0", "tls-cert-file", "")).toBe("OK")
    expect(await it.set("tls-port", `${other}`)).toEqual(REFUSED("tls-port"))
    expect(it.server.server.config.values.tlsPort).toBe(0)
  })

  test("the program does not start with certificates it cannot use", async () => {
    await using bundis = await startBundis(["--tls-port", `${freePort()}`, "--tls-cert-file", "/does/not/exist"], {
      untilReady: false,
    })
    expect(await bundis.exited).toBe(1)
    await bundis.outputEnded
    expect(bundis.log).toContain("Failed to configure TLS")
  })

  const cli = Bun.which("redis-cli")
  const cliKnowsTls = cli !== null && Bun.spawnSync([cli, "--help"]).stdout.toString().includes("--tls")
  test.skipIf(!cliKnowsTls)("redis-cli --tls", async () => {
    await using it = await start({ "tls-auth-clients": "yes" })
    const run = async (...args: string[]) => {
      const child = Bun.spawn([cli!, "-p", `${it.tlsPort}`, ...args], { stdout: "pipe", stderr: "pipe" })
      return (await new Response(child.stdout).text()).trim()
    }
    const tls = ["--tls", "--cacert", path("ca.crt"), "--cert", path("client.crt"), "--key", path("client.key")]
    expect(await run(...tls, "SET", "a", "b")).toBe("OK")
    expect(await run(...tls, "GET", "a")).toBe("b")
    expect(await run("PING")).not.toBe("PONG")
  })
})
