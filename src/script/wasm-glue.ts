/**
 * The small WebAssembly module between the Lua interpreter and us, assembled here byte by byte (WebAssembly core
 * specification 2.0, chapter 5, and the exception handling of its legacy form, which all engines read).
 *
 * It is there because a JavaScript frame between two frames of the interpreter could not be suspended:
 *
 * - `invoke(f, a, b)`: calls a function that may longjmp. The interpreter is compiled for a host that does this with
 *   exceptions of its own; here it is a wasm exception, caught in wasm.
 * - `longjmp()`: throws it.
 * - `run(L, arguments, results, handler)`: lua_pcall for a script; made a promising function. What it returned stands in
 *   the global `status` at once, so that a script that was never suspended is seen to be over without asking a promise.
 * - `hook(L, ar)`: the count hook. Asks `tick(L)`, and only if that says 1, calls `suspend()`, at which the whole stack is
 *   put aside until its promise is kept; then `tick` is asked again. When there is a JavaScript frame after all (a message
 *   handler that runs because a host function has failed), `suspend` throws; then `stuck()` is told, and `tick` asked again.
 *
 * The interpreter's functions are reached through the table `functions`: a copy of the interpreter's own table, since that
 * does not exist yet when this module is made; its three slots from `OWN_SLOT` hold what is needed beside it.
 */

/** Slots of `functions` behind those of the interpreter's table. */
export const OWN_SLOT = { setThrew: 1000, stackSave: 1001, stackRestore: 1002, pcall: 1003 } as const
const TABLE_SIZE = 1004

export interface GlueImports {
  /** What the count hook does: 0 go on, 1 suspend. May throw a Lua error. */
  tick(state: number): number
  /** It could not be suspended. */
  stuck(): void
  /** Called with what `run` returns, before it does. */
  done(status: number): void
  /** A WebAssembly.Suspending, or any function where there is none. */
  suspend: unknown
}

export interface GlueExports {
  functions: WebAssembly.Table
  /** What `run` returned; RUNNING before. */
  status: WebAssembly.Global
  invoke(index: number, a: number, b: number): void
  longjmp(): void
  run(state: number, args: number, results: number, handler: number): number
  hook: (state: number, ar: number) => void
}

export const RUNNING = -1

const I32 = 0x7f
const FUNCREF = 0x70
const EMPTY = 0x40
const Op = {
  loop: 0x03,
  if: 0x04,
  try: 0x06,
  catch: 0x07,
  catchAll: 0x19,
  throw: 0x08,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  call: 0x10,
  callIndirect: 0x11,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  i32Const: 0x41,
  i32Eq: 0x46,
} as const

/** LEB128, unsigned. */
function unsigned(n: number): number[] {
  const bytes: number[] = []
  for (; n >= 0x80; n >>>= 7) bytes.push((n & 0x7f) | 0x80)
  bytes.push(n)
  return bytes
}

/** LEB128, signed. */
function signed(n: number): number[] {
  const bytes: number[] = []
  for (;;) {
    const low = n & 0x7f
    n >>= 7
    if ((n === 0 && (low & 0x40) === 0) || (n === -1 && (low & 0x40) !== 0)) {
      bytes.push(low)
      return bytes
    }
    bytes.push(low | 0x80)
  }
}

function vector(items: readonly number[][]): number[] {
  return [...unsigned(items.length), ...items.flat()]
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...unsigned(content.length), ...content]
}

function name(text: string): number[] {
  return [...unsigned(text.length), ...[...text].map(c => c.charCodeAt(0))]
}

function functionType(parameters: number, results: number): number[] {
  return [0x60, ...vector(Array(parameters).fill([I32])), ...vector(Array(results).fill([I32]))]
}

function constant(n: number): number[] {
  return [Op.i32Const, ...signed(n)]
}

function body(locals: number, code: readonly number[]): number[] {
  const declared = locals === 0 ? vector([]) : vector([[...unsigned(locals), I32]])
  const bytes = [...declared, ...code, Op.end]
  return [...unsigned(bytes.length), ...bytes]
}

const MODULE = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]
const Kind = { function: 0, table: 1, memory: 2, global: 3 } as const

/** Types by number. */
const TYPE = { toNothing: 0, one: 1, two: 2, none: 3, oneToNothing: 4, fourToOne: 5 } as const

function assemble(): Uint8Array<ArrayBuffer> {
  const callSlot = (slot: number, type: number): number[] => [...constant(slot), Op.callIndirect, type, 0]
  const types = [
    functionType(0, 0),
    functionType(1, 1),
    functionType(2, 0),
    functionType(0, 1),
    functionType(1, 0),
    functionType(4, 1),
    functionType(3, 0),
  ]
  const invokeType = 6
  const imports = [
    [...name("host"), ...name("tick"), Kind.function, TYPE.one],
    [...name("host"), ...name("suspend"), Kind.function, TYPE.toNothing],
    [...name("host"), ...name("done"), Kind.function, TYPE.oneToNothing],
    [...name("host"), ...name("stuck"), Kind.function, TYPE.toNothing],
  ]
  const [tick, suspend, done, stuck, invoke, longjmp, run, hook] = [0, 1, 2, 3, 4, 5, 6, 7]
  const functions = [[invokeType], [TYPE.toNothing], [TYPE.fourToOne], [TYPE.two]]
  const exports_ = [
    [...name("invoke"), Kind.function, invoke!],
    [...name("longjmp"), Kind.function, longjmp!],
    [...name("run"), Kind.function, run!],
    [...name("hook"), Kind.function, hook!],
    [...name("functions"), Kind.table, 0],
    [...name("status"), Kind.global, 0],
  ]
  const invokeBody = body(1, [
    ...callSlot(OWN_SLOT.stackSave, TYPE.none),
    ...[Op.localSet, 3],
    ...[Op.try, EMPTY],
    ...[Op.localGet, 1, Op.localGet, 2, Op.localGet, 0, Op.callIndirect, TYPE.two, 0],
    ...[Op.catch, 0],
    ...[Op.localGet, 3],
    ...callSlot(OWN_SLOT.stackRestore, TYPE.oneToNothing),
    ...constant(1),
    ...constant(0),
    ...callSlot(OWN_SLOT.setThrew, TYPE.two),
    Op.end,
  ])
  const longjmpBody = body(0, [Op.throw, 0])
  const runBody = body(1, [
    ...constant(RUNNING),
    ...[Op.globalSet, 0],
    ...[Op.localGet, 0, Op.localGet, 1, Op.localGet, 2, Op.localGet, 3],
    ...callSlot(OWN_SLOT.pcall, TYPE.fourToOne),
    ...[Op.localSet, 4, Op.localGet, 4, Op.globalSet, 0],
    ...[Op.localGet, 4, Op.call, done!, Op.localGet, 4],
  ])
  const hookBody = body(0, [
    ...[Op.loop, EMPTY],
    ...[Op.localGet, 0, Op.call, tick!],
    ...[Op.if, EMPTY],
    ...[Op.try, EMPTY],
    ...[Op.call, suspend!],
    Op.catchAll,
    ...[Op.call, stuck!],
    Op.end,
    ...[Op.br, 1],
    Op.end,
    Op.end,
  ])
  return new Uint8Array([
    ...MODULE,
    ...section(1, vector(types)),
    ...section(2, vector(imports)),
    ...section(3, vector(functions)),
    ...section(4, vector([[FUNCREF, 0, ...unsigned(TABLE_SIZE)]])),
    // Tags: one, an exception without values.
    ...section(13, vector([[0, TYPE.toNothing]])),
    ...section(6, vector([[I32, 1, ...constant(0), Op.end]])),
    ...section(7, vector(exports_)),
    ...section(10, vector([invokeBody, longjmpBody, runBody, hookBody])),
  ])
}

let compiled: WebAssembly.Module | undefined

export function instantiateGlue(host: GlueImports): GlueExports {
  compiled ??= new WebAssembly.Module(assemble())
  const instance = new WebAssembly.Instance(compiled, { host: host as unknown as Bun.WebAssembly.ModuleImports })
  return instance.exports as unknown as GlueExports
}

let wrapper: WebAssembly.Module | undefined

/** What a host function returns to have the value on top of the stack raised as an error, once its frame is gone. */
export const RAISE = -0x8000_0000

/**
 * A function of JavaScript as one that fits in the interpreter's table: i32 → i32 (lua_CFunction). One tiny instance each.
 *
 * @param raise lua_error
 */
export function asTableFunction(host: (state: number) => number, raise: (state: number) => number): unknown {
  wrapper ??= assembleWrapper()
  return new WebAssembly.Instance(wrapper, { host: { f: host, raise } }).exports.f
}

function assembleWrapper(): WebAssembly.Module {
  const [host, raise, wrapped] = [0, 1, 2]
  const code = body(1, [
    ...[Op.localGet, 0, Op.call, host!, Op.localTee, 1],
    ...constant(RAISE),
    ...[Op.i32Eq, Op.if, EMPTY],
    ...[Op.localGet, 0, Op.call, raise!, Op.localSet, 1],
    Op.end,
    ...[Op.localGet, 1],
  ])
  return new WebAssembly.Module(
    new Uint8Array([
      ...MODULE,
      ...section(1, vector([functionType(1, 1)])),
      ...section(2, vector([importOf("f"), importOf("raise")])),
      ...section(3, vector([[0]])),
      ...section(7, vector([[...name("f"), Kind.function, wrapped!]])),
      ...section(10, vector([code])),
    ]),
  )
}

function importOf(field: string): number[] {
  return [...name("host"), ...name(field), Kind.function, 0]
}
