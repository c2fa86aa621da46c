/**
 * The exports of the interpreter that are used: the C API of Lua 5.1 (its reference manual, chapter 3), with addresses and
 * stack positions as numbers. `L` is the address of a lua_State.
 */
export interface LuaApi {
  readonly memory: WebAssembly.Memory
  readonly __indirect_function_table: WebAssembly.Table
  __wasm_call_ctors(): void
  setThrew: unknown
  stackSave: unknown
  stackRestore: unknown
  malloc(bytes: number): number
  free(at: number): void

  luaL_newstate(): number
  lua_close(L: number): void
  luaopen_base(L: number): number
  luaopen_table(L: number): number
  luaopen_string(L: number): number
  luaopen_math(L: number): number

  lua_checkstack(L: number, extra: number): number
  lua_gettop(L: number): number
  lua_settop(L: number, index: number): void
  lua_pushvalue(L: number, index: number): void
  lua_remove(L: number, index: number): void
  lua_insert(L: number, index: number): void
  lua_replace(L: number, index: number): void
  lua_xmove(from: number, to: number, n: number): void

  lua_type(L: number, index: number): number
  lua_isnumber(L: number, index: number): number
  lua_iscfunction(L: number, index: number): number
  lua_rawequal(L: number, a: number, b: number): number
  lua_toboolean(L: number, index: number): number
  lua_tonumber(L: number, index: number): number
  lua_tointeger(L: number, index: number): number
  /** Address of the bytes, the length goes to the word at `lengthAt`; 0 when it is neither string nor number. */
  lua_tolstring(L: number, index: number, lengthAt: number): number
  lua_objlen(L: number, index: number): number
  lua_tocfunction(L: number, index: number): number
  lua_touserdata(L: number, index: number): number
  lua_topointer(L: number, index: number): number

  lua_pushnil(L: number): void
  lua_pushnumber(L: number, value: number): void
  lua_pushinteger(L: number, value: number): void
  lua_pushlstring(L: number, at: number, length: number): void
  lua_pushcclosure(L: number, slot: number, upvalues: number): void
  lua_pushboolean(L: number, value: number): void
  lua_pushlightuserdata(L: number, pointer: number): void

  lua_gettable(L: number, index: number): void
  lua_getfield(L: number, index: number, name: number): void
  lua_rawget(L: number, index: number): void
  lua_rawgeti(L: number, index: number, n: number): void
  lua_createtable(L: number, items: number, fields: number): void
  lua_newuserdata(L: number, bytes: number): number
  lua_getmetatable(L: number, index: number): number
  lua_getfenv(L: number, index: number): void
  lua_settable(L: number, index: number): void
  lua_setfield(L: number, index: number, name: number): void
  lua_rawset(L: number, index: number): void
  lua_rawseti(L: number, index: number, n: number): void
  lua_setmetatable(L: number, index: number): number
  lua_setfenv(L: number, index: number): number
  lua_next(L: number, index: number): number
  lua_concat(L: number, n: number): void

  lua_call(L: number, args: number, results: number): void
  lua_pcall(L: number, args: number, results: number, handler: number): number
  lua_error(L: number): number
  lua_gc(L: number, what: number, data: number): number
  lua_sethook(L: number, slot: number, mask: number, count: number): number
  lua_getstack(L: number, level: number, debug: number): number
  lua_getinfo(L: number, what: number, debug: number): number

  luaL_loadbuffer(L: number, at: number, length: number, name: number): number
  luaL_where(L: number, level: number): void
  luaL_argerror(L: number, n: number, text: number): number
  luaL_typerror(L: number, n: number, expected: number): number
  luaL_checktype(L: number, n: number, type: number): void
  luaL_checkany(L: number, n: number): void
  luaL_checknumber(L: number, n: number): number
  luaL_checkinteger(L: number, n: number): number
  luaL_optinteger(L: number, n: number, otherwise: number): number
  luaL_checklstring(L: number, n: number, lengthAt: number): number
  luaL_ref(L: number, table: number): number
  luaL_unref(L: number, table: number, ref: number): void
}
