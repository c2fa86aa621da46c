import { describe, expect, test } from "bun:test"
import { quoteArgument, splitArguments } from "../../src/config/arguments.ts"
import { parseCommandLine } from "../../src/config/command-line.ts"
import { type ConfigFileReader, describeFault, loadConfiguration } from "../../src/config/conf-file.ts"
import { Config } from "../../src/config/config.ts"
import { Refusal } from "../../src/config/refusal.ts"

function filesOf(files: Record<string, string>): ConfigFileReader {
  return {
    read: path => files[path] ?? new Refusal("No such file or directory"),
    match: pattern => Object.keys(files).filter(path => new Bun.Glob(pattern).match(path)),
  }
}

function load(text: string, files: Record<string, string> = {}) {
  const config = new Config()
  const fault = loadConfiguration(config, [{ name: "a.conf", text }], filesOf(files))
  return { config, fault, values: config.values }
}

describe("arguments", () => {
  const cases: [string, string[] | undefined][] = [
    ["", []],
    ["  a\tb  ", ["a", "b"]],
    ['"a b" c', ["a b", "c"]],
    ["'a b' 'it\\'s' 'a\\n'", ["a b", "it's", "a\\n"]],
    ['"\\x41\\n\\r\\t\\b\\a\\"\\\\\\q\\xZ1"', ['A\n\r\t\b\x07"\\qxZ1']],
    ['"\\xc3\\xa9t\\xc3\\xa9"', ["été"]],
    ['""', [""]],
    ['pre"fix"', ["prefix"]],
    ['"a"b', undefined],
    ['"a', undefined],
    ["'a", undefined],
    ['"a\\', undefined],
  ]
  for (const [line, expected] of cases)
    test(JSON.stringify(line), () => {
      expect(splitArguments(line)).toEqual(expected as string[])
    })

  test("a quoted argument splits back to itself", () => {
    for (const text of ["", "a b", '"\\', "été\n\r\t\b\x07\0\x7f", "日本"])
      expect(splitArguments(`x ${quoteArgument(text)}`)).toEqual(["x", text])
    expect(quoteArgument("é\n")).toBe('"\\xc3\\xa9\\n"')
  })
})

describe("files", () => {
  test("comments, case, carriage returns, quotes, units", () => {
    const { fault, values } = load(
      '# c\r\n\r\n  PORT 7000\r\nrequirepass "a b"\nmaxmemory 1k\nunixsocketperm 700\nport 7001',
    )
    expect(fault).toBeUndefined()
    expect(values.port).toBe(7001)
    expect(values.requirepass).toBe("a b")
    expect(values.maxmemory).toBe(1000)
    expect(values.unixsocketperm).toBe(0o700)
  })

  test("save lines add up, replace the default, and an empty one clears", () => {
    const points = (text: string) => load(text).config.getText("save")
    expect(points("")).toBe("3600 1 300 100 60 10000")
    expect(points("save 1 2\nsave 3 4 5 6")).toBe("1 2 3 4 5 6")
    expect(points('save 1 2\nsave ""\nsave 3 4')).toBe("3 4")
    expect(points("save '1 2 3 4'")).toBe("1 2 3 4")
    expect(points('save ""')).toBe("")
  })

  test("lines that are no settings are kept with their place", () => {
    const { config, fault } = load(
      "user al on >x ~*\nrename-command CONFIG ''\nloadmodule m.so a b\nlua-replicate-commands yes",
    )
    expect(fault).toBeUndefined()
    expect(config.users[0]).toEqual({
      name: "al",
      rules: ["on", ">x", "~*"],
      place: { source: "a.conf", line: 1, text: "user al on >x ~*" },
    })
    expect(config.renamedCommands[0]).toMatchObject({ from: "CONFIG", to: "" })
    expect(config.modules[0]).toMatchObject({ path: "m.so", arguments: ["a", "b"] })
  })

  test("include, with patterns, and later lines win", () => {
    const files = { "d/1.conf": "port 1\ntimeout 1", "d/2.conf": "port 2", "x.conf": "include d/*.conf" }
    const { fault, values } = load("port 9\ninclude x.conf\ninclude none/*.conf\ntimeout 3", files)
    expect(fault).toBeUndefined()
    expect(values.port).toBe(2)
    expect(values.timeout).toBe(3)
  })

  test("an include that is not there, is wrong, or includes itself", () => {
    expect(load("\ninclude b.conf").fault).toEqual({
      reason: "can't open config file 'b.conf': No such file or directory",
      place: { source: "a.conf", line: 2, text: "include b.conf" },
    })
    expect(load("include b.conf", { "b.conf": "#\nport x" }).fault?.place).toEqual({
      source: "b.conf",
      line: 2,
      text: "port x",
    })
    const cycle = { "b.conf": "include c.conf", "c.conf": "include b.conf" }
    expect(load("include b.conf", cycle).fault?.reason).toBe("config file 'b.conf' includes itself")
  })

  test("a tree of includes without end is bounded", () => {
    const files: Record<string, string> = {}
    for (let depth = 0; depth < 60; depth++) files[`${depth}`] = `include ${depth + 1}\ninclude ${depth + 1}`
    files["60"] = ""
    expect(load("include 0", files).fault?.reason).toBe("more than 10000 files are included")
  })

  test("the message", () => {
    const { fault } = load("\nprot 1")
    expect(describeFault(fault!, "7.4.0")).toBe(
      "\n*** FATAL CONFIG FILE ERROR (bundis 7.4.0) ***\n" +
        "Reading the configuration file, at line 2 of a.conf\n" +
        ">>> 'prot 1'\n" +
        "Bad directive or wrong number of arguments\n",
    )
  })

  // What redis-server 7.0.15 says to the same line.
  const refused: [line: string, reason: string][] = [
    ["port", "wrong number of arguments"],
    ["port 1 2", "wrong number of arguments"],
    ['port "1', "Unbalanced quotes in configuration line"],
    ["unixsocketperm 9", "argument couldn't be parsed as an octal number"],
    ["unixsocketperm 1000", "argument must be between 0 and 777 inclusive"],
    ['appendfilename ""', "appendfilename can't be empty"],
    ["appenddirname a/b", "appenddirname can't be a path, just a dirname"],
    ["loglevel", "wrong number of arguments"],
    ["replicaof a", "wrong number of arguments"],
    ["replicaof a 99999", "Invalid master port"],
    ["bind a b c d e f g h i j k l m n o p q", "Too many bind addresses specified."],
    ["save 1", "Invalid save parameters"],
    ["sentinel monitor x", "sentinel directive while not in sentinel mode"],
    ["lua-replicate-commands a b", "Bad directive or wrong number of arguments"],
    ["rename-command a", "Bad directive or wrong number of arguments"],
    ["loadmodule", "Bad directive or wrong number of arguments"],
    ["umask 022", "Bad directive or wrong number of arguments"],
    ["constructor x", "Bad directive or wrong number of arguments"],
    ["io-threads 200", "argument must be between 1 and 128 inclusive"],
    [
      "user a on\nuser a off",
      "Error in user declaration 'a': Duplicate user found. A user can only be defined once in config files",
    ],
    ["cluster-enabled yes\nreplicaof 1.1.1.1 1", "replicaof directive not allowed in cluster mode"],
  ]
  for (const [line, reason] of refused)
    test(line, () => {
      expect(load(line).fault?.reason).toBe(reason)
    })

  test("a cluster node has one database", () => {
    expect(load("cluster-enabled yes").values.databases).toBe(1)
  })
})

describe("command line", () => {
  const run = (...args: string[]) => {
    const parsed = parseCommandLine(args)
    if (parsed.kind !== "run") throw new Error(parsed.kind)
    const config = new Config()
    const fault = loadConfiguration(config, [parsed.options], filesOf({}))
    return { ...parsed, fault, text: (name: string) => config.getText(name) }
  }

  test("version and help only alone", () => {
    expect(parseCommandLine(["-v"])).toEqual({ kind: "version" })
    expect(parseCommandLine(["--version"])).toEqual({ kind: "version" })
    expect(parseCommandLine(["-h"])).toEqual({ kind: "help" })
    expect(parseCommandLine(["--help"])).toEqual({ kind: "help" })
    expect(run("--port", "1", "-v").fault?.reason).toBe("wrong number of arguments")
  })

  test("file, standard input, options", () => {
    expect(run()).toMatchObject({ configFile: undefined, readsStdin: false })
    expect(run("a.conf", "--port", "1")).toMatchObject({ configFile: "a.conf", readsStdin: false })
    expect(run("-", "--port", "1")).toMatchObject({ configFile: undefined, readsStdin: true })
    expect(run("a.conf", "--port", "1", "-")).toMatchObject({ configFile: "a.conf", readsStdin: true })
    expect(run("--port", "1", "-", "--timeout", "1").fault?.place?.text).toBe('port "1" "-"')
  })

  test("values", () => {
    expect(run("--port", "1", "--save", "").text("save")).toBe("")
    expect(run("--port", "1", "--save").text("save")).toBe("")
    expect(run("--save", "--port", "1").text("save")).toBe("")
    expect(run("--Save", "3600", "1", "300", "100", "--PORT", "5").text("save")).toBe("3600 1 300 100")
    expect(run("--save", "3600 1 300 100").text("save")).toBe("3600 1 300 100")
    expect(run("--port 7", "--timeout", "8").text("port")).toBe("7")
    expect(run("--proc-title-template", "--port").text("proc-title-template")).toBe("--port")
    expect(run("--bind", "127.0.0.1", "-::1").text("bind")).toBe("127.0.0.1 -::1")
    expect(run("--shutdown-on-sigint", "nosave force").text("shutdown-on-sigint")).toBe("nosave force")
    expect(run("--requirepass", 'a "b" \\').text("requirepass")).toBe('a "b" \\')
    expect(run("--save", "1", "2", "--save", "", "--save", "5", "6").text("save")).toBe("5 6")
  })

  test("faults name the option", () => {
    expect(run("--port", "--maxclients", "5").fault?.place?.text).toBe('port "--maxclients" "5"')
    expect(run("--timeout", "1", "--maxclients").fault).toEqual({
      reason: "wrong number of arguments",
      place: { source: "the command line", line: 2, text: "maxclients" },
    })
    expect(run("-x").fault?.reason).toBe("Bad directive or wrong number of arguments")
    expect(run("---port", "1").fault?.reason).toBe("Bad directive or wrong number of arguments")
  })
})
