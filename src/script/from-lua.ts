/**
 * Lua values as replies: what a script returns.
 *
 *   string → bulk; number → integer, its fraction cut off; true → 1 and false → null (a boolean after redis.setresp(3));
 *   table with a field err → error, ok → simple, double, big_number, verbatim_string, map, set → their namesakes; any other
 *   table → array up to its first nil; all else → null.
 *
 * The value lies on top of a main thread's stack, whose first positions are those of `Slot`.
 */

import { latin1Bytes } from "../bytes/compare.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { LuaType, type LuaVm } from "./lua-vm.ts"
import { Slot } from "./sandbox.ts"

/** What one level of nesting needs of the Lua stack. */
const STACK_PER_LEVEL = 4
/** Tables within tables. A table may contain itself. */
const DEPTH_MAX = 500
const INT64_LIMIT = 2 ** 63
const COLON = 58

export class ReplyMaker {
  private readonly vm: LuaVm
  private readonly countError: (text: string) => void
  private L = 0
  private reply!: ReplyWriter
  private booleans = false
  private depth = 0
  /** Error replies written. */
  errors = 0

  constructor(vm: LuaVm, countError: (text: string) => void) {
    this.vm = vm
    this.countError = countError
  }

  /**
   * Takes the value from the stack and writes it.
   * @param booleans the script speaks RESP3: booleans stay what they are
   */
  write(L: number, reply: ReplyWriter, booleans: boolean): void {
    this.L = L
    this.reply = reply
    this.booleans = booleans
    this.errors = 0
    this.depth = 0
    this.value()
  }

  private value(): void {
    const { vm, L, reply } = this
    const { api } = vm
    if (this.depth === DEPTH_MAX || api.lua_checkstack(L, STACK_PER_LEVEL) === 0) {
      this.error("ERR reached lua stack limit", true)
      vm.pop(L)
      return
    }
    switch (api.lua_type(L, -1)) {
      case LuaType.string:
        vm.stringAt(L, -1)
        reply.bulk(vm.bytes, vm.at, vm.end)
        break
      case LuaType.number: {
        const n = api.lua_tonumber(L, -1)
        if (n >= -(2 ** 53) && n <= 2 ** 53) reply.integer(Math.trunc(n) + 0)
        else reply.int64(n >= -INT64_LIMIT && n < INT64_LIMIT ? BigInt(n) : -BigInt(INT64_LIMIT))
        break
      }
      case LuaType.boolean: {
        const yes = api.lua_toboolean(L, -1) !== 0
        if (this.booleans) reply.boolean(yes)
        else if (yes) reply.integer(1)
        else reply.null()
        break
      }
      case LuaType.table:
        this.depth++
        this.table()
        this.depth--
        break
      default:
        reply.null()
    }
    vm.pop(L)
  }

  private table(): void {
    const isSpecial = this.special()
    // The field looked at last.
    this.vm.pop(this.L)
    if (!isSpecial) this.array()
  }

  /** Writes a table that stands for something other than an array; leaves the field looked at last on the stack. */
  private special(): boolean {
    const { vm, L, reply } = this
    const { api } = vm
    if (this.field(Slot.err) === LuaType.string) {
      const text = this.text(-1)
      const isCounted = this.again(Slot.ignore_error_stats_update) === LuaType.boolean && api.lua_toboolean(L, -1) !== 0
      this.error(text, !isCounted)
    } else if (this.again(Slot.ok) === LuaType.string) this.status()
    else if (this.again(Slot.double) === LuaType.number) reply.double(api.lua_tonumber(L, -1))
    else if (this.again(Slot.big_number) === LuaType.string) this.bigNumber()
    else if (this.again(Slot.verbatim_string) === LuaType.table && this.verbatim()) return true
    else if (this.again(Slot.map) === LuaType.table) this.map()
    else if (this.again(Slot.set) === LuaType.table) this.set()
    else return false
    return true
  }

  /** Pushes a field of the table on top; returns its type. */
  private field(slot: number): number {
    const { api } = this.vm
    api.lua_pushvalue(this.L, slot)
    api.lua_rawget(this.L, -2)
    return api.lua_type(this.L, -1)
  }

  /** As `field`, instead of the one on top. */
  private again(slot: number): number {
    this.vm.pop(this.L)
    return this.field(slot)
  }

  /** The string at a position up to its first zero byte. */
  private text(index: number): string {
    return (this.vm.textAt(this.L, index) ?? "").split("\0", 1)[0]!
  }

  private error(text: string, counts: boolean): void {
    this.reply.error(text.replace(/[\r\n]+$/, ""))
    this.errors++
    if (counts) this.countError(text)
  }

  /** With the text of a status on top. Nearly always it is what a command has replied. */
  private status(): void {
    const { vm, L, reply } = this
    if (vm.api.lua_rawequal(L, -1, Slot.OK) !== 0) reply.ok()
    else reply.simple(spaced(this.text(-1)))
  }

  private bigNumber(): void {
    const digits = spaced(this.vm.textAt(this.L, -1)!)
    if (this.reply.resp3) this.reply.bigNumber(digits)
    else this.reply.bulk(latin1Bytes(digits), 0, digits.length)
  }

  /** With the table {format=, string=} on top; false when it is none. */
  private verbatim(): boolean {
    const { vm, L, reply } = this
    const { api } = vm
    if (this.field(Slot.format) !== LuaType.string) {
      vm.pop(L)
      return false
    }
    const format = this.text(-1)
    api.lua_pushvalue(L, Slot.string)
    api.lua_rawget(L, -3)
    const isText = api.lua_type(L, -1) === LuaType.string
    if (isText) {
      vm.stringAt(L, -1)
      const { bytes, at, end } = vm
      if (!reply.resp3) reply.bulk(bytes, at, end)
      else {
        reply.raw(latin1Bytes(`=${end - at + 4}\r\n${format.slice(0, 3).padEnd(3)}${String.fromCharCode(COLON)}`))
        reply.raw(bytes.subarray(at, end))
        reply.raw(latin1Bytes("\r\n"))
      }
    }
    vm.pop(L, 2)
    return isText
  }

  /** With the table of a map on top. */
  private map(): void {
    const { vm, L, reply } = this
    const { api } = vm
    const mark = reply.begin()
    let pairs = 0
    api.lua_pushnil(L)
    while (api.lua_next(L, -2) !== 0) {
      api.lua_pushvalue(L, -2)
      this.value()
      this.value()
      pairs++
    }
    reply.endMap(mark, pairs)
  }

  private set(): void {
    const { vm, L, reply } = this
    const { api } = vm
    const mark = reply.begin()
    let members = 0
    api.lua_pushnil(L)
    while (api.lua_next(L, -2) !== 0) {
      vm.pop(L)
      api.lua_pushvalue(L, -1)
      this.value()
      members++
    }
    reply.endSet(mark, members)
  }

  private array(): void {
    const { vm, L, reply } = this
    const { api } = vm
    const mark = reply.begin()
    const border = api.lua_objlen(L, -1)
    reply.array(border)
    const body = reply.at
    let length = 0
    while (length < border) {
      api.lua_rawgeti(L, -1, length + 1)
      if (api.lua_type(L, -1) === LuaType.nil) break
      this.value()
      length++
    }
    if (length === border) return
    // Lua's border may lie behind a hole; the reply ends at the first nil.
    vm.pop(L)
    const items = reply.bytes.slice(body, reply.at)
    reply.at = mark
    reply.array(length)
    reply.raw(items)
  }
}

/** Line ends would break the protocol. */
function spaced(text: string): string {
  return text.replace(/[\r\n]/g, " ")
}
