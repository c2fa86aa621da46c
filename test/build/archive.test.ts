/** The archives of a release, read back by the tools people will use, and the table of platforms. */
import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Packed, platforms, tarGz, zip } from "../../build.ts"

const dir = mkdtempSync(join(tmpdir(), "bundis-archive-"))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** Sizes around a block's edge, and contents that do not compress. */
const files: Packed[] = [
  { name: "bundis", bytes: crypto.getRandomValues(new Uint8Array(1023)), executable: true },
  { name: "exact", bytes: new Uint8Array(1024).fill(65), executable: false },
  { name: "empty", bytes: new Uint8Array(0), executable: false },
]

function unpack(argv: string[], archive: Uint8Array, name: string): string {
  const home = mkdtempSync(join(dir, "unpacked-"))
  const path = join(home, name)
  writeFileSync(path, archive)
  const result = Bun.spawnSync([...argv, path], { cwd: home })
  expect(result.stderr.toString()).toBe("")
  expect(result.exitCode).toBe(0)
  return join(home, "folder")
}

function expectFiles(folder: string) {
  for (const { name, bytes, executable } of files) {
    expect(readFileSync(join(folder, name)).equals(bytes)).toBe(true)
    expect((statSync(join(folder, name)).mode & 0o100) !== 0).toBe(executable)
  }
}

test.skipIf(Bun.which("tar") === null)("tar unpacks a .tar.gz with contents and modes", () => {
  expectFiles(unpack(["tar", "-xzf"], tarGz("folder", files), "x.tar.gz"))
})

test.skipIf(Bun.which("unzip") === null)("unzip unpacks a .zip with contents and modes", () => {
  expectFiles(unpack(["unzip", "-q"], zip("folder", files), "x.zip"))
})

test("equal files give equal archives", () => {
  expect(tarGz("folder", files)).toEqual(tarGz("folder", files))
  expect(zip("folder", files)).toEqual(zip("folder", files))
})

test("every platform has its own name, target and runtime", () => {
  for (const field of ["name", "target", "runtime"] as const) {
    expect(new Set(platforms.map(platform => platform[field])).size).toBe(platforms.length)
  }
})
