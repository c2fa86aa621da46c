/**
 * DEBUG: what tests need to look inside and to force states. Only for those whom `enable-debug-command` lets in.
 *
 * Subcommands are no entries of the registry (Redis tells nobody about them), but rows of a table here.
 */

import { bytesOf, latin1Bytes } from "../bytes/compare.ts"
import { globMatch } from "../bytes/glob.ts"
import { writeInteger } from "../bytes/int64.ts"
import type { Call } from "../command/context.ts"
import { NO_SUCH_KEY, NOT_POSITIVE, OUT_OF_RANGE_VALUE, SYNTAX, unknownSubcommandOrArity } from "../command/errors.ts"
import { writeHelp } from "../command/help.ts"
import type { CommandSpec } from "../command/spec.ts"
import { parseMemorySize } from "../config/memory-size.ts"
import type { Client } from "../engine/client.ts"
import type { Engine } from "../engine/engine.ts"
import { EMBSTR_BYTES_MAX, encodingName, Kind, typeOfKind, ValueType } from "../keyspace/kinds.ts"
import type { ByteMap } from "../structs/byte-map.ts"
import type { ListChunks } from "../structs/list-chunks.ts"
import { isLocal, rewriteConfigFile } from "./config-commands.ts"
import { digestOfAll, digestOfKey, hex } from "./digest.ts"
import type { Observer } from "./observer.ts"
import { ValueReader } from "./value-reader.ts"

const SLEEP_SECONDS_MAX = 24 * 3600
const PACKED_THRESHOLD_BYTES_MAX = 2n ** 32n
const GLOB_TEST_BYTES_MAX = 64 * 1024 * 1024

type DebugHandler = (call: Call, observer: Observer) => void

interface Row {
  /** Number of arguments after the subcommand: exactly, or from … to. */
  min: number
  max: number
  run: DebugHandler
  help: readonly string[]
}

const row = (min: number, max: number, run: DebugHandler, ...help: string[]): Row => ({ min, max, run, help })
const ANY = Number.MAX_SAFE_INTEGER

const ROWS: ReadonlyMap<string, Row> = new Map([
  ["aof-flush-sleep", row(1, 1, ok, "AOF-FLUSH-SLEEP <microsec>", "    Accepted; there is nothing to slow down.")],
  ["change-repl-id", row(0, 0, changeReplicationId, "CHANGE-REPL-ID", "    Change the replication id.")],
  ["client-enforce-reply-list", row(1, 1, ok)],
  [
    "config-rewrite-force-all",
    row(0, 0, rewriteAll, "CONFIG-REWRITE-FORCE-ALL", "    CONFIG REWRITE with all directives."),
  ],
  ["dict-resizing", row(1, 1, ok, "DICT-RESIZING <0|1>", "    Accepted; tables grow in small steps here.")],
  ["digest", row(0, 0, digest, "DIGEST", "    Show a signature of all data.")],
  ["digest-value", row(0, ANY, digestValue, "DIGEST-VALUE <key> [<key> ...]", "    Show signatures of values.")],
  ["error", row(1, 1, error, "ERROR <string>", "    Reply with this error.")],
  ["htstats", row(1, 2, tableStatistics, "HTSTATS <dbid> [full]", "    Show the shape of a database's tables.")],
  ["htstats-key", row(1, 2, tableStatisticsOfKey, "HTSTATS-KEY <key> [full]", "    The same for a large hash or set.")],
  ["listpack", row(1, 1, listpack, "LISTPACK <key>", "    Write a packed value to the log.")],
  ["loadaof", row(0, 0, loadAof, "LOADAOF", "    Flush the append-only file and load it again.")],
  ["log", row(1, 1, log, "LOG <message>", "    Write a message to the log.")],
  ["mallctl", row(1, 2, noSuchKnob)],
  ["mallctl-str", row(1, 2, noSuchKnob)],
  ["object", row(1, 2, object, "OBJECT <key>", "    Show how a value is kept.")],
  ["pause-cron", row(1, 1, pauseCron, "PAUSE-CRON <0|1>", "    Stop the periodic work, or let it go on.")],
  [
    "populate",
    row(1, 3, populate, "POPULATE <count> [<prefix>] [<size>]", "    Make string keys, without propagating them."),
  ],
  ["protocol", row(1, 1, protocol, "PROTOCOL <type>", "    Reply with a sample of a type.")],
  ["quicklist", row(1, 2, quicklist)],
  [
    "quicklist-packed-threshold",
    row(
      1,
      1,
      packedThreshold,
      "QUICKLIST-PACKED-THRESHOLD <size>",
      "    Accepted; large elements are not kept apart here.",
    ),
  ],
  ["reload", row(0, 3, reload, "RELOAD [MERGE] [NOFLUSH] [NOSAVE]", "    Save the data and load it again.")],
  ["replicate", row(1, ANY, replicate, "REPLICATE <command> [<arg> ...]", "    Propagate a command.")],
  ["replybuffer", row(2, 2, replyBuffer, "REPLYBUFFER <PEAK-RESET-TIME|RESIZING> <value>", "    Accepted.")],
  ["sdslen", row(1, 1, stringLengths, "SDSLEN <key>", "    Show the lengths of a key and its string.")],
  ["set-active-expire", row(1, 1, setActiveExpire, "SET-ACTIVE-EXPIRE <0|1>", "    Stop or start the expire cycle.")],
  [
    "set-disable-deny-scripts",
    row(1, 1, setDisableDenyScripts, "SET-DISABLE-DENY-SCRIPTS <0|1>", "    Let scripts call every command."),
  ],
  [
    "set-skip-checksum-validation",
    row(
      1,
      1,
      setSkipChecksums,
      "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
      "    Do not check checksums of RESTORE and files.",
    ),
  ],
  ["sleep", row(1, 1, sleep, "SLEEP <seconds>", "    Do nothing at all for a time.")],
  ["stringmatch-len", row(2, 2, matchLength, "STRINGMATCH-LEN <length> <pattern>", "    Match a pattern against a's.")],
  ["structsize", row(0, 0, call => call.reply.bulkText("bits:64"))],
])

export function debugCommands(of: () => Observer): readonly CommandSpec[] {
  return [
    {
      name: "debug",
      since: "1.0.0",
      group: "server",
      arity: -2,
      flags: "admin noscript loading stale protected",
      syntax: "",
      summary: "Holds the commands for debugging the server.",
      complexity: "depends on the subcommand",
      docFlags: "syscmd",
      run: call => debug(call, of()),
    },
  ]
}

function debug(call: Call, observer: Observer): void {
  const { args, config, reply } = call
  const { enableDebugCommand } = config.values
  if (enableDebugCommand === "no" || (enableDebugCommand === "local" && !isLocal(call.client as Client))) {
    reply.error(
      'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a ' +
        "local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    )
    return
  }
  const name = args.latin1(1).toLowerCase()
  if (name === "help" && args.count === 2) {
    writeHelp(
      call,
      [...ROWS.values()].flatMap(({ help }) => help),
    )
    return
  }
  const found = ROWS.get(name)
  const given = args.count - 2
  if (found === undefined || given < found.min || given > found.max) {
    reply.error(unknownSubcommandOrArity(args.latin1(1), "debug"))
    return
  }
  found.run(call, observer)
}

function ok({ reply }: Call): void {
  reply.ok()
}

/** As C reads a number: leading digits count, anything else is 0. */
function isOn({ args }: Call, i: number): boolean {
  return (Number.parseInt(args.latin1(i), 10) || 0) !== 0
}

// ------------------------------------------------------------------ data

const readers = new WeakMap<Engine, ValueReader>()

function readerOf(engine: Engine): ValueReader {
  let reader = readers.get(engine)
  if (reader === undefined) {
    reader = new ValueReader(engine)
    readers.set(engine, reader)
  }
  return reader
}

function digest({ reply }: Call, { engine }: Observer): void {
  reply.simple(hex(digestOfAll(engine, readerOf(engine))))
}

function digestValue({ args, db, reply }: Call, { engine }: Observer): void {
  const digests: string[] = []
  for (let i = 2; i < args.count; i++) digests.push(hex(digestOfKey(db, args.copy(i), readerOf(engine))))
  reply.array(digests.length)
  for (const each of digests) reply.simple(each)
}

/** Finds what is kept, past its expiry or not, and lets it be. */
function findOrReply({ args, db, reply }: Call): number {
  const address = db.keys.find(args.bytes, args.start(2), args.end(2))
  if (address === 0) reply.error(NO_SUCH_KEY)
  return address
}

function object(call: Call): void {
  const { db, keyspace, reply } = call
  const address = findOrReply(call)
  if (address === 0) return
  const { keys } = db
  const kind = keys.type(address)
  let text =
    `Value at:0x${address.toString(16)} refcount:1 encoding:${encodingName(kind)} ` +
    `serializedlength:${keys.recordBytes(address)} lru:${keys.access(address)} ` +
    `lru_seconds_idle:${keyspace.lfu ? 0 : keyspace.idleSeconds(keys, address)}`
  if (kind === Kind.ListChunks) {
    const { bytes, chunkCount, length } = keys.object(address) as unknown as ListChunks
    text +=
      ` ql_nodes:${chunkCount} ql_avg_node:${(length / Math.max(1, chunkCount)).toFixed(2)}` +
      ` ql_listpack_max:${call.config.values.listMaxListpackSize} ql_compressed:0 ql_uncompressed_size:${bytes}`
  }
  reply.simple(text)
}

const PACKED: ReadonlySet<number> = new Set([
  Kind.HashPacked,
  Kind.HashPackedExpiring,
  Kind.ListPacked,
  Kind.SetPacked,
  Kind.ZsetPacked,
])

function listpack(call: Call, { engine }: Observer): void {
  const { db, reply } = call
  const address = findOrReply(call)
  if (address === 0) return
  if (!PACKED.has(db.keys.type(address))) {
    reply.error("ERR Not a listpack encoded object.")
    return
  }
  db.keys.readValue(address)
  const bytes = db.keys.valueBytes.subarray(db.keys.valueStart, db.keys.valueEnd)
  engine.log("warning", `DEBUG LISTPACK: ${hex(bytes)}`)
  reply.simple("Listpack structure printed on stdout")
}

function quicklist(call: Call): void {
  const address = findOrReply(call)
  if (address === 0) return
  if (typeOfKind(call.db.keys.type(address)) !== ValueType.List) call.reply.error("ERR Not a quicklist encoded object.")
  else call.reply.simple("Quicklist structure printed on stdout")
}

function stringLengths(call: Call): void {
  const { args, db, reply } = call
  const address = findOrReply(call)
  if (address === 0) return
  const { keys } = db
  if (typeOfKind(keys.type(address)) !== ValueType.String) {
    reply.error("ERR Not an sds encoded string.")
    return
  }
  keys.readValue(address)
  const keyLength = args.length(2)
  const length = keys.valueEnd - keys.valueStart
  reply.simple(
    `key_sds_len:${keyLength}, key_sds_avail:0, key_zmalloc: ${keyLength}, ` +
      `val_sds_len:${length}, val_sds_avail:0, val_zmalloc: ${length}`,
  )
}

function tableText(keys: ByteMap): string {
  const { blocks, depth, pages, slotLoad } = keys.shape()
  return [
    ` table size: ${blocks * 512}`,
    ` number of elements: ${keys.size}`,
    ` blocks: ${blocks}, directory depth: ${depth}, pages: ${pages}`,
    ` slot load: ${slotLoad.toFixed(2)}`,
    ` records with an expiry: ${keys.expirySize}`,
    "",
  ].join("\n")
}

function tableStatistics({ args, keyspace, reply }: Call): void {
  const index = args.integer(2)
  const db = keyspace.databases[index]
  if (db === undefined) reply.error("ERR Out of range database")
  else reply.verbatim("txt", `[Dictionary HT]\n${tableText(db.keys)}`)
}

function tableStatisticsOfKey(call: Call): void {
  const { db, reply } = call
  const address = findOrReply(call)
  if (address === 0) return
  const kind = db.keys.type(address)
  if (kind === Kind.HashTable || kind === Kind.SetTable) {
    const map = db.keys.object(address) as Partial<ByteMap>
    if (typeof map.shape === "function") {
      reply.verbatim("txt", `[Dictionary HT]\n${tableText(map as ByteMap)}`)
      return
    }
  }
  reply.error("ERR The value stored at the specified key is not represented using an hash table")
}

/** Keys `prefix:0`, `prefix:1` … with values `value:0` …, padded with zeros or cut to a size if one is given. */
function populate({ args, db, reply }: Call): void {
  const count = args.integer(2)
  if (!(count >= 0)) {
    reply.error(NOT_POSITIVE)
    return
  }
  const size = args.count > 4 ? args.integer(4) : 0
  if (!(size >= 0)) {
    reply.error(NOT_POSITIVE)
    return
  }
  const prefix = args.count > 3 ? args.copy(3) : bytesOf("key")
  const key = new Uint8Array(prefix.length + 32)
  key.set(prefix)
  key[prefix.length] = 0x3a
  const value = new Uint8Array(32)
  value.set(bytesOf("value:"))
  for (let i = 0; i < count; i++) {
    const keyEnd = writeInteger(key, prefix.length + 1, i)
    if (db.find(key, 0, keyEnd) !== 0) continue
    const textLength = writeInteger(value, 6, i)
    const length = size === 0 ? textLength : size
    const kind = length <= EMBSTR_BYTES_MAX ? Kind.StringEmbstr : Kind.StringRaw
    db.keys.put(key, 0, keyEnd, kind, length, 0)
    const { valueBytes, valueStart } = db.keys
    valueBytes.fill(0, valueStart, valueStart + length)
    valueBytes.set(value.subarray(0, Math.min(length, textLength)), valueStart)
    db.modified(key, 0, keyEnd)
  }
  reply.ok()
}

function loadAof({ reply }: Call, { ports }: Observer): void {
  answer(reply, ports.loadAof === undefined ? "ERR there is no append-only file to load" : ports.loadAof())
}

function reload({ args, reply }: Call, { ports }: Observer): void {
  const options = { save: true, flush: true, merge: false }
  for (let i = 2; i < args.count; i++) {
    if (args.is(i, "nosave")) options.save = false
    else if (args.is(i, "noflush")) options.flush = false
    else if (args.is(i, "merge")) options.merge = true
    else {
      reply.error("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
      return
    }
  }
  answer(reply, ports.reload === undefined ? "ERR Error trying to load the RDB dump" : ports.reload(options))
}

function answer(reply: Call["reply"], error: string | undefined): void {
  if (error === undefined) reply.ok()
  else reply.error(error)
}

// ------------------------------------------------------------------ switches

/** The whole process stands still: that is what it is for. */
function sleep(call: Call, { engine }: Observer): void {
  const seconds = Number.parseFloat(call.args.latin1(2))
  if (seconds > 0) Bun.sleepSync(Math.min(seconds, SLEEP_SECONDS_MAX) * 1000)
  // The next command of the same batch must see the time that has passed; within a transaction time stands still.
  if (engine.caller.nesting <= 1) engine.refreshTime()
  call.reply.ok()
}

function setActiveExpire(call: Call): void {
  call.keyspace.activeExpiry = isOn(call, 2)
  call.reply.ok()
}

function setDisableDenyScripts(call: Call, { engine }: Observer): void {
  engine.debugSwitches.runsDeniedInScripts = isOn(call, 2)
  call.reply.ok()
}

function setSkipChecksums(call: Call, { engine }: Observer): void {
  engine.debugSwitches.skipsChecksums = isOn(call, 2)
  engine.keyspace.verifiesChecksums = !engine.debugSwitches.skipsChecksums
  call.reply.ok()
}

function pauseCron(call: Call, { ports }: Observer): void {
  if (ports.cron !== undefined) ports.cron.paused = isOn(call, 2)
  call.reply.ok()
}

function packedThreshold({ args, reply }: Call): void {
  const size = parseMemorySize(args.latin1(2))
  if (size === undefined || size < 0n || size > PACKED_THRESHOLD_BYTES_MAX) {
    reply.error("ERR argument must be a memory value bigger than 1 and smaller than 4gb")
  } else reply.ok()
}

function replyBuffer(call: Call): void {
  const { args, reply } = call
  const time = args.integer(3)
  if (args.is(2, "resizing")) reply.ok()
  else if (!args.is(2, "peak-reset-time")) reply.error(unknownSubcommandOrArity(args.latin1(1), "debug"))
  else if (args.is(3, "never") || args.is(3, "reset") || !Number.isNaN(time)) reply.ok()
  else reply.error(SYNTAX)
}

function changeReplicationId({ reply }: Call, { ports }: Observer): void {
  ports.changeReplicationId?.()
  reply.ok()
}

function rewriteAll({ reply }: Call, observer: Observer): void {
  answer(reply, rewriteConfigFile(observer, true))
}

// ------------------------------------------------------------------ samples

function log({ args, reply }: Call, { engine }: Observer): void {
  engine.log("warning", `DEBUG LOG: ${args.utf8(2)}`)
  reply.ok()
}

function error({ args, reply }: Call): void {
  reply.error(args.latin1(2))
}

function noSuchKnob({ reply }: Call): void {
  reply.error("ERR No such file or directory")
}

function replicate({ args, db, reply }: Call, { engine }: Observer): void {
  const writer = engine.propagator.beside(db, args.count - 2)
  for (let i = 2; i < args.count; i++) writer.arg(args.bytes, args.start(i), args.end(i))
  reply.ok()
}

function matchLength({ args, reply }: Call): void {
  const length = args.integer(2)
  if (!(length >= 0 && length <= GLOB_TEST_BYTES_MAX)) {
    reply.error(OUT_OF_RANGE_VALUE)
    return
  }
  const text = new Uint8Array(length).fill(0x61)
  reply.integer(globMatch(args.bytes, args.start(3), args.end(3), text, 0, length, false) ? 1 : 0)
}

const SAMPLES: ReadonlyMap<string, (call: Call) => void> = new Map([
  ["string", ({ reply }) => reply.bulkText("Hello World")],
  ["integer", ({ reply }) => reply.integer(12345)],
  // biome-ignore lint/suspicious/noApproximativeNumericConstant: the sample that Redis replies with
  ["double", ({ reply }) => reply.double(3.141)],
  ["bignum", ({ reply }) => reply.bigNumber("1234567999999999999999999999999999999")],
  ["null", ({ reply }) => reply.null()],
  ["array", ({ reply }) => sampleItems(reply, () => reply.array(3))],
  ["set", ({ reply }) => sampleItems(reply, () => reply.set(3))],
  ["map", ({ reply }) => sampleMap(reply)],
  ["attrib", sampleAttribute],
  ["push", samplePush],
  ["verbatim", ({ reply }) => reply.verbatim("txt", "This is a verbatim\nstring")],
  ["true", ({ reply }) => reply.boolean(true)],
  ["false", ({ reply }) => reply.boolean(false)],
] satisfies [string, (call: Call) => void][])

function protocol(call: Call): void {
  const sample = SAMPLES.get(call.args.latin1(2).toLowerCase())
  if (sample !== undefined) sample(call)
  else {
    const names = "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
    call.reply.error(`ERR Wrong protocol type name. Please use one of the following: ${names}`)
  }
}

function sampleItems(reply: Call["reply"], begin: () => void): void {
  begin()
  for (let i = 0; i < 3; i++) reply.integer(i)
}

function sampleMap(reply: Call["reply"]): void {
  reply.map(3)
  for (let i = 0; i < 3; i++) {
    reply.integer(i)
    reply.boolean(i === 1)
  }
}

/** An attribute stands before a reply and is none itself. */
function sampleAttribute({ reply }: Call): void {
  if (reply.resp3) {
    reply.attribute(1)
    reply.bulkText("key-popularity")
    reply.array(2)
    reply.bulkText("key:123")
    reply.integer(90)
  }
  reply.bulkText("Some real reply following the attribute")
}

function samplePush({ reply }: Call): void {
  if (!reply.resp3) {
    reply.error("ERR RESP2 is not supported by this command")
    return
  }
  reply.push(2)
  reply.bulk(latin1Bytes("server-cpu-usage"), 0, 16)
  reply.integer(42)
}
