/**
 * The walls of the house: which room may import which, who may touch the clock, chance and the network. The rooms
 * and their order are those of the architecture document; a rule nobody checks does not hold for long.
 */
import { describe, expect, test } from "bun:test"
import { basename, dirname, join, normalize } from "node:path"

const root = join(import.meta.dir, "..")

/** Lowest first. Rooms in one line are neighbours that must not import each other. */
const floors: readonly (readonly string[])[] = [
  ["bytes", "version.ts"],
  ["resp"],
  ["structs"],
  ["config"],
  ["keyspace"],
  ["rdb"],
  ["command"],
  ["families"],
  ["engine"],
  ["acl", "script", "persist", "replication", "cluster", "observe"],
  ["net"],
  ["web"],
  ["families.ts"],
  ["server.ts"],
  ["index.ts"],
  ["main.ts"],
]

/** Rooms of pure functions and structures: no clock, no chance, no input or output, no configuration. */
const pure = new Set(["bytes", "resp", "structs"])

interface Import {
  /** As written for packages, relative to src/ for our own files. */
  target: string
  own: boolean
  typeOnly: boolean
}

interface Source {
  /** Relative to src/. */
  path: string
  room: string
  imports: Import[]
  /** The text without comments, and with the contents of strings taken out. */
  code: string
}

/** What may stand before a slash that begins a regular expression; anything else makes it a division. */
const beforeRegExp = /(^|[=(,:;!&|?{}[\n+\-*%<>~^]|=>|\breturn|\btypeof|\bcase)\s*$/

/**
 * The text without comments and regular expressions, and, unless `keepStrings`, without what strings hold. Template
 * literals keep their `${}` parts.
 */
function strip(text: string, keepStrings: boolean): string {
  let out = ""
  let at = 0
  /** For each `${` we are inside of, how many braces are open within it. */
  const openBraces: number[] = []

  /** Takes the rest of a string up to its closing quote, or of a template up to its next `${`. */
  function takeString(quote: string) {
    while (at < text.length && text[at] !== quote) {
      if (quote === "`" && text[at] === "$" && text[at + 1] === "{") {
        openBraces.push(0)
        return copy(2)
      }
      const length = text[at] === "\\" ? 2 : 1
      if (keepStrings) copy(length)
      else at += length
    }
    copy(1)
  }

  function skipRegExp() {
    let inClass = false
    for (at++; at < text.length && (inClass || text[at] !== "/") && text[at] !== "\n"; at++) {
      if (text[at] === "\\") at++
      else if (text[at] === "[") inClass = true
      else if (text[at] === "]") inClass = false
    }
    at++
    out += "//"
  }

  function copy(length: number) {
    out += text.slice(at, at + length)
    at += length
  }

  while (at < text.length) {
    const char = text[at]!
    if (text.startsWith("//", at)) at = indexOrEnd(text, "\n", at)
    else if (text.startsWith("/*", at)) {
      at = indexOrEnd(text, "*/", at + 2) + 2
      out += " "
    } else if (char === "/" && beforeRegExp.test(out.slice(-40))) skipRegExp()
    else {
      copy(1)
      if (char === '"' || char === "'" || char === "`") takeString(char)
      else if (char === "{" && openBraces.length > 0) openBraces[openBraces.length - 1]!++
      else if (char === "}" && openBraces.length > 0 && openBraces[openBraces.length - 1]!-- === 0) {
        openBraces.pop()
        takeString("`")
      }
    }
  }
  return out
}

function indexOrEnd(text: string, what: string, from: number): number {
  const index = text.indexOf(what, from)
  return index < 0 ? text.length : index
}

/** Import and export-from declarations and dynamic imports of a text without comments. */
function importsOf(path: string, text: string): Import[] {
  const found: Import[] = []
  const patterns = [
    /\b(?:import|export)\s+(type\s+)?[\w$*{][^"'`;()=]*?\sfrom\s*["']([^"']+)["']/g,
    /\b(?:import|export)\s+(type\s+)?\{[^}]*\}\s*from\s*["']([^"']+)["']/g,
    /\bimport\s+()["']([^"']+)["']/g,
    /\b(?:import|require)\s*\(()\s*["']([^"']+)["']/g,
    /\bnew\s+URL\(()\s*["'](\.[^"']+\.ts)["']/g,
  ]
  for (const pattern of patterns) {
    for (const match of text.matchAll(pattern)) {
      const specifier = match[2]!
      const own = specifier.startsWith(".")
      const target = own ? normalize(join(dirname(path), specifier)) : specifier
      if (!found.some(each => each.target === target && each.typeOnly === Boolean(match[1]))) {
        found.push({ target, own, typeOnly: Boolean(match[1]) })
      }
    }
  }
  return found
}

const roomOf = (path: string) => path.split("/")[0]!
const floorOf = (room: string) => floors.findIndex(rooms => rooms.includes(room))

async function readSources(): Promise<Source[]> {
  const sources: Source[] = []
  for (const path of [...new Bun.Glob("**/*.ts").scanSync({ cwd: join(root, "src") })].sort()) {
    const text = await Bun.file(join(root, "src", path)).text()
    const imports = importsOf(path, strip(text, true))
    sources.push({ path, room: roomOf(path), imports, code: strip(text, false) })
  }
  return sources
}

const sources = await readSources()

/** Files whose code matches, as "path: matched text". */
function mentions(pattern: RegExp, allowed: (source: Source) => boolean): string[] {
  return sources
    .filter(source => !allowed(source))
    .flatMap(({ path, code }) => [...code.matchAll(pattern)].map(match => `${path}: ${match[0]}`))
}

/** The first import cycle found, as a list of files, or none. Type-only imports vanish at run time and do not count. */
function findCycle(): string[] {
  const graph = new Map(sources.map(each => [each.path, each.imports.filter(i => i.own && !i.typeOnly)]))
  const finished = new Set<string>()
  const visit = (path: string, trail: string[]): string[] => {
    const at = trail.indexOf(path)
    if (at >= 0) return [...trail.slice(at), path]
    if (finished.has(path)) return []
    for (const { target } of graph.get(path) ?? []) {
      const cycle = visit(target, [...trail, path])
      if (cycle.length > 0) return cycle
    }
    finished.add(path)
    return []
  }
  for (const path of graph.keys()) {
    const cycle = visit(path, [])
    if (cycle.length > 0) return cycle
  }
  return []
}

describe("the reader of sources", () => {
  test("takes out comments and strings, and nothing else", () => {
    const open = "$" + "{"
    const text = `a // Date
      b = /* Date */ "Date\\"Date" + 'Date'
      c = \`Date${open}d + \`Date${open}{ e: 1 }}Date\`}Date\`
      f = /["Date/]\\//g, g = h / i / "Date"`
    const code = `a 
      b =   "" + ''
      c = \`${open}d + \`${open}{ e: 1 }}\`}\`
      f = //g, g = h / i / ""`
    expect(strip(text, false)).toBe(code)
  })

  test("finds every kind of import", () => {
    const text = [
      'import { a, type B } from "./a.ts"',
      'import type { C } from "../bytes/c.ts"',
      'import d, * as e from "./d.ts"',
      'import "./side-effect.ts"',
      'export { f } from "./f.ts"',
      'export * from "./g.ts"',
      'const h = await import("./h.ts")',
      'new Worker(new URL("./i-worker.ts", import.meta.url))',
      'import {\n  j,\n  k,\n} from "node:fs"',
      'export type { L } from "./l.ts"',
    ].join("\n")
    const found = importsOf("room/file.ts", text).map(({ target, typeOnly }) => (typeOnly ? "type " : "") + target)
    const letters = ["a", "d", "side-effect", "f", "g", "h", "i-worker"].map(name => `room/${name}.ts`)
    expect(found.sort()).toEqual([...letters, "node:fs", "type bytes/c.ts", "type room/l.ts"].sort())
  })
})

describe("rooms", () => {
  test("every file lies in a known room", () => {
    expect(sources.filter(({ room }) => floorOf(room) < 0).map(({ path }) => path)).toEqual([])
  })

  test("a room imports only itself and lower rooms", () => {
    const climbing = sources.flatMap(({ path, room, imports }) =>
      imports
        .filter(({ target, own }) => own && roomOf(target) !== room && floorOf(roomOf(target)) >= floorOf(room))
        .map(({ target }) => `${path} -> ${target}`),
    )
    expect(climbing).toEqual([])
  })

  test("imports name files that exist, and stay inside src", () => {
    const paths = new Set(sources.map(({ path }) => path))
    const manifest = join("..", "package.json")
    const lost = sources.flatMap(({ path, imports }) =>
      imports
        .filter(({ target, own }) => own && target.endsWith(".ts") && !paths.has(target))
        .concat(imports.filter(({ target, own }) => own && target.startsWith("..") && target !== manifest))
        .map(({ target }) => `${path} -> ${target}`),
    )
    expect(lost).toEqual([])
  })

  test("no file imports itself by way of others", () => {
    expect(findCycle()).toEqual([])
  })
})

describe("pure rooms", () => {
  test("import no package and no module of the runtime", () => {
    const impure = sources
      .filter(({ room }) => pure.has(room))
      .flatMap(({ path, imports }) => imports.filter(({ own }) => !own).map(({ target }) => `${path} -> ${target}`))
    expect(impure).toEqual([])
  })

  test("know no clock, no chance, no process and no runtime", () => {
    const pattern =
      /(?<![.\w$])(?:Date\b|performance\b|Math\.random\b|crypto\b|process\b|Bun\b|console\b|setTimeout\b|setInterval\b|setImmediate\b|queueMicrotask\b|fetch\b)(?!\s*[?:]|\w)/g
    expect(mentions(pattern, ({ room }) => !pure.has(room))).toEqual([])
  })
})

describe("doors to the outside", () => {
  test("only net/ listens and connects", () => {
    expect(mentions(/\bBun\s*\.\s*(?:listen|connect|udpSocket)\b/g, ({ room }) => room === "net")).toEqual([])
    const sockets = sources
      .filter(({ room }) => room !== "net")
      .flatMap(({ path, imports }) => imports.filter(i => /^(node:)?(net|tls|dgram)$/.test(i.target)).map(() => path))
    expect(sockets).toEqual([])
  })

  test("only web/ serves HTTP", () => {
    expect(mentions(/\bBun\s*\.\s*serve\b/g, ({ room }) => room === "web")).toEqual([])
  })
})

describe("names", () => {
  test("files are kebab-case", () => {
    const odd = sources.filter(({ path }) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.d)?\.ts$/.test(basename(path)))
    expect(odd.map(({ path }) => path)).toEqual([])
  })

  test("there is no default export", () => {
    expect(mentions(/\bexport\s+default\b|\bas\s+default\b/g, () => false)).toEqual([])
  })
})
