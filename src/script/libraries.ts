/**
 * A set of function libraries: those of the server, or those of a payload before they are taken over.
 *
 * Invariant: no two functions have the same name in any case, whichever libraries they are in.
 */

import type { Library, LibraryFunction } from "./library.ts"

/** What a library and a function cost beside their texts: an estimate. */
const LIBRARY_BYTES = 200
const FUNCTION_BYTES = 120

export class Libraries {
  private readonly byName = new Map<string, Library>()
  private readonly functions = new Map<string, LibraryFunction>()
  /** Memory of all texts and tables, without the interpreter's. */
  bytes = 0

  get libraryCount(): number {
    return this.byName.size
  }

  get functionCount(): number {
    return this.functions.size
  }

  get(name: string): Library | undefined {
    return this.byName.get(name)
  }

  /** The function of this name in any case. */
  function(name: string): LibraryFunction | undefined {
    return this.functions.get(name.toLowerCase())
  }

  /** In the order in which they came. */
  all(): IterableIterator<Library> {
    return this.byName.values()
  }

  /** Adds a library whose name and functions are free. */
  add(library: Library): void {
    this.byName.set(library.name, library)
    for (const [key, f] of library.functions) this.functions.set(key, f)
    this.bytes += bytesOfLibrary(library)
  }

  remove(library: Library): void {
    this.byName.delete(library.name)
    for (const key of library.functions.keys()) this.functions.delete(key)
    this.bytes -= bytesOfLibrary(library)
  }

  /** Takes a library over, in the place of `old` if that is given; a text says why not, and nothing has changed. */
  take(library: Library, old?: Library): string | undefined {
    const clash = [...library.functions.values()].find(({ name }) => {
      const there = this.function(name)
      return there !== undefined && there.library !== old
    })
    if (clash !== undefined) return `Function ${clash.name} already exists`
    if (old !== undefined) this.remove(old)
    this.add(library)
    return undefined
  }

  /**
   * Takes over all of another set, which is not to be used any more. A text says why not, and nothing has changed.
   *
   * @param replaces whether libraries of the same name give way; they go into `replaced`
   */
  join(others: Libraries, replaces: boolean, replaced: Library[]): string | undefined {
    for (const { name } of others.all()) {
      const old = this.byName.get(name)
      if (old === undefined) continue
      if (!replaces) return `Library ${name} already exists`
      replaced.push(old)
    }
    const leaving = new Set(replaced)
    for (const { name } of others.functions.values()) {
      const there = this.function(name)
      if (there === undefined || leaving.has(there.library)) continue
      replaced.length = 0
      return `Function ${name} already exists`
    }
    for (const old of replaced) this.remove(old)
    for (const library of others.all()) this.add(library)
    return undefined
  }
}

function bytesOfLibrary({ name, code, functions }: Library): number {
  let bytes = LIBRARY_BYTES + name.length + code.length
  for (const f of functions.values()) bytes += FUNCTION_BYTES + f.name.length + (f.description?.length ?? 0)
  return bytes
}
