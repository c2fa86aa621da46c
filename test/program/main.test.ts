import { describe, expect, test } from "bun:test"
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { runBundis, startBundis } from "../support/process.ts"
import { TempDir } from "../support/temp-dir.ts"

describe("the program", () => {
  test("--version and --help", async () => {
    expect(await runBundis(["--version"])).toMatchObject({ exitCode: 0, output: expect.stringContaining("bundis v=") })
    expect(await runBundis(["-h"])).toMatchObject({ exitCode: 0, output: expect.stringContaining("Usage: bundis") })
  })

  test("an unknown directive is named with file and line, and ends the start with 1", async () => {
    await using dir = new TempDir()
    writeFileSync(dir.join("my.conf"), "# mine\nport 0\nnonsense 5\n")
    const { exitCode, output } = await runBundis([dir.join("my.conf")])
    expect(exitCode).toBe(1)
    expect(output).toContain("FATAL CONFIG FILE ERROR")
    expect(output).toContain(`at line 3 of ${dir.join("my.conf")}`)
    expect(output).toContain("nonsense 5")
    expect(output).toContain("Bad directive or wrong number of arguments")
  })

  test("a bad value on the command line, a missing file, a missing folder", async () => {
    expect(await runBundis(["--port", "abc"])).toMatchObject({
      exitCode: 1,
      output: expect.stringContaining("argument couldn't be parsed into an integer"),
    })
    expect(await runBundis(["/nowhere/my.conf"])).toMatchObject({
      exitCode: 1,
      output: expect.stringContaining("can't open config file"),
    })
    expect(await runBundis(["--dir", "/nowhere"])).toMatchObject({
      exitCode: 1,
      output: expect.stringContaining("Can't chdir to '/nowhere'"),
    })
  })

  test("configuration from a file, from standard input and from options, the later winning", async () => {
    await using dir = new TempDir()
    writeFileSync(dir.join("more.conf"), "maxclients 123\n")
    writeFileSync(dir.join("my.conf"), `include ${dir.join("more.conf")}\nhz 20\ntimeout 7\n`)
    await using bundis = await startBundis([dir.join("my.conf"), "--timeout", "9", "--appendonly", "no"])
    await using client = await bundis.connect()
    expect(await client.plain("CONFIG", "GET", "maxclients", "hz", "timeout")).toEqual(
      expect.arrayContaining(["maxclients", "123", "hz", "20", "timeout", "9"]),
    )
    await using other = await startBundis(["-", "--appendonly", "no"], { stdin: "maxclients 77\n" })
    await using its = await other.connect()
    expect(await its.plain("CONFIG", "GET", "maxclients")).toEqual(["maxclients", "77"])
  })

  test("SET, kill -9, start, GET", async () => {
    await using dir = new TempDir()
    {
      await using bundis = await startBundis([], { dir: dir.path })
      await using client = await bundis.connect()
      for (let i = 0; i < 100; i++) expect(await client.plain("SET", `k${i}`, `v${i}`)).toBe("OK")
      await bundis.kill9()
    }
    await using bundis = await startBundis([], { dir: dir.path })
    await using client = await bundis.connect()
    expect(await client.plain("DBSIZE")).toBe(100)
    expect(await client.plain("GET", "k99")).toBe("v99")
    expect(bundis.log).toContain("DB loaded from append only file")
  })

  test.each(["SIGTERM", "SIGINT"] as const)("%s ends it cleanly with 0, and removes its pid file", async signal => {
    await using bundis = await startBundis(["--pidfile", "my.pid"])
    const pidfile = `${bundis.dir}/my.pid`
    expect(readFileSync(pidfile, "utf8").trim()).toBe(String(bundis.pid))
    bundis.signal(signal)
    expect(await bundis.exited).toBe(0)
    await bundis.untilLogged("ready to exit, bye bye")
    expect(existsSync(pidfile)).toBe(false)
  })

  test("SIGHUP and SIGPIPE are ignored", async () => {
    await using bundis = await startBundis(["--appendonly", "no"])
    bundis.signal("SIGHUP")
    bundis.signal("SIGPIPE")
    await using client = await bundis.connect()
    expect(await client.plain("PING")).toBe("PONG")
  })

  test("SHUTDOWN ends it with 0, and what was acknowledged is there again", async () => {
    await using dir = new TempDir()
    {
      await using bundis = await startBundis([], { dir: dir.path })
      await using client = await bundis.connect()
      await client.plain("SET", "a", "1")
      client.raw("SHUTDOWN").catch(() => {})
      expect(await bundis.exited).toBe(0)
    }
    await using bundis = await startBundis([], { dir: dir.path })
    await using client = await bundis.connect()
    expect(await client.plain("GET", "a")).toBe("1")
  })

  test("log lines have Redis's format, the logo and the lines that tools wait for", async () => {
    await using bundis = await startBundis(["--appendonly", "no", "--always-show-logo", "yes"])
    const { log, pid } = bundis
    expect(log).toMatch(
      new RegExp(`^${pid}:M \\d\\d [A-Z][a-z]{2} \\d{4} \\d\\d:\\d\\d:\\d\\d\\.\\d{3} [.\\-*#] `, "m"),
    )
    expect(log).toContain(` PID: ${pid}`)
    expect(log.indexOf("Server initialized")).toBeLessThan(log.indexOf("Ready to accept connections"))
  })

  test("a log file gets the log", async () => {
    await using bundis = await startBundis(["--appendonly", "no", "--logfile", "my.log"], { untilReady: false })
    const path = `${bundis.dir}/my.log`
    await until(() => existsSync(path) && readFileSync(path, "utf8").includes("Ready to accept"), {
      what: "the log file",
    })
    expect(bundis.log).toBe("")
  })

  test("a busy port is named, and ends the start with 1", async () => {
    await using bundis = await startBundis(["--appendonly", "no"])
    const { exitCode, output } = await runBundis(["--port", String(bundis.port), "--appendonly", "no"])
    expect(exitCode).toBe(1)
    expect(output).toContain(`Failed listening on port ${bundis.port}`)
  })

  test("a unix socket, with its permissions, is served and removed", async () => {
    await using bundis = await startBundis(["--appendonly", "no", "--unixsocket", "my.sock", "--unixsocketperm", "700"])
    const path = `${bundis.dir}/my.sock`
    await using client = await Client.connect(path)
    expect(await client.plain("PING")).toBe("PONG")
    expect(statSync(path).mode & 0o777).toBe(0o700)
    expect(await bundis.terminate()).toBe(0)
    expect(existsSync(path)).toBe(false)
  })

  test("a corrupt append-only file stops the start with its name and place", async () => {
    await using dir = new TempDir()
    writeFileSync(dir.join("database.aof"), "*1\r\n$4\r\nPING\r\nrubbish")
    const { exitCode, output } = await runBundis(["--dir", dir.path, "--port", "0"])
    expect(exitCode).toBe(1)
    expect(output).toContain("Bad file format reading the append only file database.aof at offset 14")
  })
})
