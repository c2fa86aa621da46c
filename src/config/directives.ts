/**
 * The one table of configuration directives: every name that Redis 7.4 knows, with its older names, kind of value,
 * bounds, default and flags, and one line for people. Types of values, CONFIG, the file reader, the rewriter and
 * docs/configuration.md are derived from it. Defaults are Redis's unless listed in DIFFERENT_DEFAULTS below.
 *
 * Names, bounds and defaults are those of the Redis documentation and of a running server.
 */

import {
  BIND_ADDRESSES,
  DIRECTORY,
  NOTIFY_FLAGS,
  OOM_SCORES,
  OUTPUT_BUFFER_LIMITS,
  PERCENTILES,
  REPLICA_OF,
  SAVE_POINTS,
} from "./composite-kinds.ts"
import type { Kind } from "./kinds.ts"
import {
  alwaysNo,
  INT_MAX,
  INT_MIN,
  integer,
  LONG_MAX,
  MEMORY_OR_PERCENT,
  memory,
  octal,
  oneOf,
  someOf,
  text,
  UINT_MAX,
  ULONG_MAX,
  YES_NO,
} from "./kinds.ts"
import { Refusal } from "./refusal.ts"

/**
 * - `immutable`: only a file or the command line sets it.
 * - `protected`: CONFIG SET is refused unless enable-protected-configs allows it.
 * - `hidden`: CONFIG GET shows it by its exact name only.
 * - `sensitive`: its value must not appear in logs, MONITOR or the slow log.
 * - `deny-loading`: CONFIG SET is refused while a data set is loading.
 * - `volatile`: names a file whose content may have changed, so listeners hear of the same value again.
 * - `inert`: accepted and reported, without effect here.
 */
export type DirectiveFlag = "immutable" | "protected" | "hidden" | "sensitive" | "deny-loading" | "volatile" | "inert"

export interface Directive<N extends string, T> {
  readonly name: N
  readonly kind: Kind<T>
  readonly initial: T
  readonly flags: readonly DirectiveFlag[]
  /** Names of older releases; each is a row of its own in CONFIG GET. */
  readonly aliases: readonly string[]
  /** A name that another server gives it: understood everywhere, shown by CONFIG GET only when asked for exactly. */
  readonly foreignName: string | undefined
  readonly doc: string
}

interface DirectiveOptions {
  flags?: readonly DirectiveFlag[]
  alias?: string
  foreignName?: string
}

function directive<const N extends string, T>(
  name: N,
  kind: Kind<T>,
  initial: NoInfer<T>,
  doc: string,
  { flags = [], alias, foreignName }: DirectiveOptions = {},
): Directive<N, T> {
  return { name, kind, initial, flags, aliases: alias === undefined ? [] : [alias], foreignName, doc }
}

const count = (min: number | bigint, max: number | bigint) => integer({ min, max })
const COUNT = count(0, INT_MAX)
const SIZE = count(0, LONG_MAX)
const PORT = count(0, 65535)
const OPTIONAL_TEXT = text({ emptyIsUnset: true })
const OPTIONAL_PATH = text({ label: "path", emptyIsUnset: true })
const PROTECTED_ACTION = oneOf(["no", "yes", "local"])
const ON_SIGNAL = someOf("default", ["save", "nosave", "now", "force"], chosen =>
  chosen.includes("save") && chosen.includes("nosave")
    ? new Refusal("shutdown options SAVE and NOSAVE can't be used simultaneously")
    : undefined,
)

function fileName(name: string, noun: "filename" | "dirname", mayBeEmpty: boolean): Kind<string> {
  return text({
    label: noun === "filename" ? "file name" : "directory name",
    check: value => {
      if (value === "" && !mayBeEmpty) return new Refusal(`${name} can't be empty`)
      return /[/\\]/.test(value) ? new Refusal(`${name} can't be a path, just a ${noun}`) : undefined
    },
  })
}

const HOST_NAME = text({
  label: "host name",
  emptyIsUnset: true,
  check: value => {
    if (value.length >= 256) return new Refusal("Hostnames must be less than 256 characters")
    return /^[a-zA-Z0-9.-]*$/.test(value)
      ? undefined
      : new Refusal("Hostnames may only contain alphanumeric characters, hyphens or dots")
  },
})

const NODE_NAME = text({
  emptyIsUnset: true,
  check: value =>
    /^[^\x00-\x20\x7f"#$%&()*+,;<>?@[\\\]^{|}~=]*$/.test(value)
      ? undefined
      : new Refusal("Announced human node name contained invalid character"),
})

const TITLE_TEMPLATE = text({
  label: "text with {title} {listen-addr} {server-mode} {port} {tls-port} {unixsocket} {config-file}",
  check: value =>
    value !== "" &&
    /^[^{]*(\{(title|listen-addr|server-mode|port|tls-port|unixsocket|config-file)\}[^{]*)*$/.test(value)
      ? undefined
      : new Refusal("template format is invalid or contains unknown variables"),
})

const IMMUTABLE: DirectiveOptions = { flags: ["immutable"] }
const INERT: DirectiveOptions = { flags: ["inert"] }
const IMMUTABLE_INERT: DirectiveOptions = { flags: ["immutable", "inert"] }
/** Understood so that a file made for a newer or another server does not stop the start. */
const FOREIGN: DirectiveOptions = { flags: ["hidden", "inert"] }
const HIDDEN: DirectiveOptions = { flags: ["hidden"] }
const SECRET: DirectiveOptions = { flags: ["sensitive"] }

/** By section, in the order of the documentation page. */
export const SECTIONS = {
  Network: [
    directive("bind", BIND_ADDRESSES, ["127.0.0.1", "-::1"], "Addresses to listen on; `*` and `-::*` mean all."),
    directive("bind-source-addr", OPTIONAL_TEXT, "", "Address that outgoing connections start from."),
    directive("port", PORT, 6969, "TCP port; 0 listens on none."),
    directive("unixsocket", OPTIONAL_PATH, "", "Path of a Unix socket to listen on.", IMMUTABLE),
    directive("unixsocketperm", octal({ max: 0o777 }), 0, "Permissions of the Unix socket; 0 leaves them.", IMMUTABLE),
    directive("tcp-backlog", COUNT, 511, "Connections the kernel may queue before they are accepted.", IMMUTABLE),
    directive("tcp-keepalive", COUNT, 300, "Seconds between keep-alive probes; 0 sends none."),
    directive("timeout", COUNT, 0, "Seconds after which an idle client is closed; 0 never."),
    directive("protected-mode", YES_NO, true, "Refuse other hosts while there is no password and no explicit bind."),
    directive("enable-protected-configs", PROTECTED_ACTION, "no", "Who may set protected directives.", IMMUTABLE),
    directive("enable-debug-command", PROTECTED_ACTION, "no", "Who may use DEBUG.", IMMUTABLE),
    directive("enable-module-command", PROTECTED_ACTION, "no", "Who may use MODULE.", IMMUTABLE),
    directive("socket-mark-id", count(0, UINT_MAX), 0, "Mark set on listening sockets.", IMMUTABLE_INERT),
    directive("max-new-connections-per-cycle", count(1, 1000), 10, "Connections accepted per turn.", INERT),
    directive("max-new-tls-connections-per-cycle", count(1, 1000), 1, "TLS connections accepted per turn.", INERT),
  ],
  TLS: [
    directive("tls-port", PORT, 0, "TCP port for TLS; 0 listens on none."),
    directive("tls-cert-file", OPTIONAL_PATH, "", "Certificate of the server (PEM).", { flags: ["volatile"] }),
    directive("tls-key-file", OPTIONAL_PATH, "", "Private key of the server (PEM).", { flags: ["volatile"] }),
    directive("tls-key-file-pass", OPTIONAL_TEXT, "", "Pass phrase of tls-key-file.", SECRET),
    directive("tls-client-cert-file", OPTIONAL_PATH, "", "Certificate for outgoing connections.", {
      flags: ["volatile"],
    }),
    directive("tls-client-key-file", OPTIONAL_PATH, "", "Private key for outgoing connections.", {
      flags: ["volatile"],
    }),
    directive("tls-client-key-file-pass", OPTIONAL_TEXT, "", "Pass phrase of tls-client-key-file.", SECRET),
    directive("tls-dh-params-file", OPTIONAL_PATH, "", "Diffie-Hellman parameters.", { flags: ["volatile"] }),
    directive("tls-ca-cert-file", OPTIONAL_PATH, "", "Authorities that peers are checked against.", {
      flags: ["volatile"],
    }),
    directive("tls-ca-cert-dir", OPTIONAL_PATH, "", "Directory of such authorities.", { flags: ["volatile"] }),
    directive("tls-auth-clients", oneOf(["no", "yes", "optional"]), "yes", "Whether clients must show a certificate."),
    directive(
      "tls-auth-clients-user",
      oneOf(["off", "CN"], { cn: "CN" }, ["off", "CN"]),
      "off",
      "As Redis 8.6: whether the common name in a client's certificate is the ACL user it begins as.",
      HIDDEN,
    ),
    directive("tls-replication", YES_NO, false, "Use TLS towards the primary."),
    directive("tls-cluster", YES_NO, false, "Use TLS between cluster nodes."),
    directive("tls-protocols", OPTIONAL_TEXT, "", "TLS versions, separated by spaces; empty means the default ones."),
    directive("tls-ciphers", OPTIONAL_TEXT, "", "Ciphers for TLS up to 1.2."),
    directive("tls-ciphersuites", OPTIONAL_TEXT, "", "Cipher suites for TLS 1.3."),
    directive("tls-prefer-server-ciphers", YES_NO, false, "Let the server's order of ciphers decide."),
    directive("tls-session-caching", YES_NO, true, "Keep TLS sessions for faster reconnects."),
    directive("tls-session-cache-size", COUNT, 20480, "TLS sessions to keep; 0 means no bound."),
    directive("tls-session-cache-timeout", COUNT, 300, "Seconds a TLS session is kept."),
  ],
  General: [
    directive("daemonize", YES_NO, false, "Run in the background.", IMMUTABLE),
    directive("supervised", oneOf(["upstart", "systemd", "auto", "no"]), "no", "Tell a supervisor when ready.", {
      flags: ["immutable"],
    }),
    directive("pidfile", OPTIONAL_PATH, "", "File that holds the process id.", IMMUTABLE),
    directive(
      "loglevel",
      oneOf(["debug", "verbose", "notice", "warning", "nothing"]),
      "notice",
      "Least important messages that are logged.",
    ),
    directive("logfile", text({ label: "path" }), "", "File for the log; empty means standard output.", IMMUTABLE),
    directive("syslog-enabled", YES_NO, false, "Log to syslog.", IMMUTABLE_INERT),
    directive("syslog-ident", text(), "redis", "Name used in syslog.", IMMUTABLE_INERT),
    directive(
      "syslog-facility",
      oneOf(["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]),
      "local0",
      "Facility used in syslog.",
      IMMUTABLE_INERT,
    ),
    directive("crash-log-enabled", YES_NO, true, "Report a crash in the log.", INERT),
    directive("crash-memcheck-enabled", YES_NO, true, "Test memory after a crash.", INERT),
    directive("use-exit-on-panic", YES_NO, false, "Exit instead of aborting on a failed assertion.", {
      flags: ["hidden", "inert"],
    }),
    directive("hide-user-data-from-log", YES_NO, false, "Keep keys and values out of the log."),
    directive("databases", count(1, INT_MAX), 16, "Number of databases.", IMMUTABLE),
    directive("always-show-logo", YES_NO, false, "Show the start banner also when not on a terminal.", IMMUTABLE),
    directive("set-proc-title", YES_NO, true, "Set the title of the process.", IMMUTABLE_INERT),
    directive(
      "proc-title-template",
      TITLE_TEMPLATE,
      "{title} {listen-addr} {server-mode}",
      "Title of the process.",
      INERT,
    ),
    directive("locale-collate", text(), "", "Locale for SORT ALPHA.", INERT),
    directive("ignore-warnings", text(), "", "Start-up warnings not to show."),
    directive("hz", integer({ min: 0, max: INT_MAX, clamp: [1, 500] }), 10, "Background rounds a second, 1 to 500."),
    directive("dynamic-hz", YES_NO, true, "More rounds when there are many clients."),
    directive("activerehashing", YES_NO, true, "Spend idle time on growing tables.", INERT),
    directive("shutdown-timeout", COUNT, 10, "Seconds to wait for replicas at shutdown."),
    directive("shutdown-on-sigint", ON_SIGNAL, [], "How SIGINT ends the server."),
    directive("shutdown-on-sigterm", ON_SIGNAL, [], "How SIGTERM ends the server."),
    directive(
      "propagation-error-behavior",
      oneOf(["ignore", "panic", "panic-on-replicas"]),
      "ignore",
      "What a command that fails on a replica or while loading does.",
    ),
    directive("version-override", text(), "", "Version shown to clients in INFO and HELLO; empty means the true one."),
    directive("watchdog-period", COUNT, 0, "Milliseconds after which a stalled loop is logged.", {
      flags: ["hidden", "inert"],
    }),
    directive("client-default-resp", count(2, 3), 2, "Protocol version before HELLO.", {
      flags: ["immutable", "hidden"],
    }),
  ],
  Snapshots: [
    directive(
      "save",
      SAVE_POINTS,
      [
        { seconds: 3600, changes: 1 },
        { seconds: 300, changes: 100 },
        { seconds: 60, changes: 10000 },
      ],
      'Save a snapshot after so many seconds with so many changes; `""` never.',
    ),
    directive("stop-writes-on-bgsave-error", YES_NO, true, "Refuse writes after a failed snapshot."),
    directive("rdbcompression", YES_NO, true, "Compress strings in snapshots."),
    directive("rdbchecksum", YES_NO, true, "Put a checksum at the end of snapshots.", IMMUTABLE),
    directive("sanitize-dump-payload", oneOf(["no", "yes", "clients"]), "no", "Check RESTORE and snapshots in depth."),
    directive("dbfilename", fileName("dbfilename", "filename", true), "dump.rdb", "File of the snapshot.", {
      flags: ["protected"],
    }),
    directive("dir", DIRECTORY, ".", "Working directory: data files are made here.", {
      flags: ["protected", "deny-loading"],
    }),
    directive("rdb-del-sync-files", YES_NO, false, "Delete snapshots made for replicas where nothing is persisted."),
    directive("rdb-save-incremental-fsync", YES_NO, true, "Sync a snapshot in steps while it is written."),
    directive(
      "rdb-key-save-delay",
      count(INT_MIN, INT_MAX),
      0,
      "Microseconds to wait per key saved, for tests.",
      HIDDEN,
    ),
    directive("key-load-delay", count(INT_MIN, INT_MAX), 0, "Microseconds to wait per key loaded, for tests.", HIDDEN),
    directive(
      "loading-process-events-interval-bytes",
      count(1024, INT_MAX),
      2 * 1024 * 1024,
      "Bytes loaded between two looks at clients.",
      HIDDEN,
    ),
  ],
  "Append-only file": [
    directive("appendonly", YES_NO, true, "Log every write to the append-only file."),
    directive(
      "appendfilename",
      fileName("appendfilename", "filename", false),
      "database.aof",
      "Base name of the append-only files.",
      IMMUTABLE,
    ),
    directive(
      "appenddirname",
      fileName("appenddirname", "dirname", false),
      "appendonlydir",
      "Directory of the append-only files, inside dir.",
      IMMUTABLE,
    ),
    directive("appendfsync", oneOf(["everysec", "always", "no"]), "everysec", "When writes are synced to disk."),
    directive("no-appendfsync-on-rewrite", YES_NO, false, "Do not sync while a snapshot or rewrite runs."),
    directive("auto-aof-rewrite-percentage", COUNT, 100, "Growth in percent that starts a rewrite; 0 never."),
    directive(
      "auto-aof-rewrite-min-size",
      memory({ min: 0, max: LONG_MAX }),
      64 * 1024 * 1024,
      "Smallest append-only file that is rewritten by itself.",
    ),
    directive("aof-load-truncated", YES_NO, true, "Start in spite of a torn end of the append-only file."),
    directive("aof-use-rdb-preamble", YES_NO, true, "Write the base of the append-only file as a snapshot."),
    directive("aof-timestamp-enabled", YES_NO, false, "Put timestamps into the append-only file."),
    directive("aof-rewrite-incremental-fsync", YES_NO, true, "Sync a rewrite in steps while it is written."),
    directive("aof-disable-auto-gc", YES_NO, false, "Keep append-only files that are no longer needed.", HIDDEN),
  ],
  Replication: [
    directive("replicaof", REPLICA_OF, undefined, "Primary to follow.", { flags: ["immutable"], alias: "slaveof" }),
    directive("masterauth", OPTIONAL_TEXT, "", "Password towards the primary.", {
      ...SECRET,
      foreignName: "primaryauth",
    }),
    directive("masteruser", OPTIONAL_TEXT, "", "User towards the primary.", { ...SECRET, foreignName: "primaryuser" }),
    directive("replica-serve-stale-data", YES_NO, true, "Answer while the link to the primary is down.", {
      alias: "slave-serve-stale-data",
    }),
    directive("replica-read-only", YES_NO, true, "Refuse writes on a replica.", { alias: "slave-read-only" }),
    directive("replica-ignore-maxmemory", YES_NO, true, "Leave eviction to the primary.", {
      alias: "slave-ignore-maxmemory",
    }),
    directive("replica-ignore-disk-write-errors", YES_NO, false, "Go on where a replica cannot write to disk."),
    directive("replica-lazy-flush", YES_NO, false, "Empty a replica in the background before a full sync.", {
      alias: "slave-lazy-flush",
    }),
    directive("replica-priority", COUNT, 100, "Rank for promotion, lower is better; 0 never.", {
      alias: "slave-priority",
    }),
    directive("replica-announced", YES_NO, true, "Whether monitors get to see this replica."),
    directive("replica-announce-ip", OPTIONAL_TEXT, "", "Address that a replica reports.", {
      alias: "slave-announce-ip",
    }),
    directive("replica-announce-port", PORT, 0, "Port that a replica reports; 0 means port.", {
      alias: "slave-announce-port",
    }),
    directive("min-replicas-to-write", COUNT, 0, "Replicas needed to accept writes; 0 none.", {
      alias: "min-slaves-to-write",
    }),
    directive("min-replicas-max-lag", COUNT, 10, "Seconds of silence after which a replica does not count.", {
      alias: "min-slaves-max-lag",
    }),
    directive("repl-ping-replica-period", count(1, INT_MAX), 10, "Seconds between pings to replicas.", {
      alias: "repl-ping-slave-period",
    }),
    directive("repl-timeout", count(1, INT_MAX), 60, "Seconds of silence that end a replication link."),
    directive("repl-backlog-size", memory({ min: 1, max: LONG_MAX }), 1024 * 1024, "Bytes kept for partial syncs."),
    directive("repl-backlog-ttl", SIZE, 3600, "Seconds without replicas after which the backlog is freed; 0 never."),
    directive("repl-disable-tcp-nodelay", YES_NO, false, "Fewer, larger packets to replicas.", INERT),
    directive("repl-diskless-sync", YES_NO, true, "Send full syncs without a file on disk."),
    directive("repl-diskless-sync-delay", COUNT, 5, "Seconds to wait for more replicas before a full sync."),
    directive("repl-diskless-sync-max-replicas", COUNT, 0, "Replicas that end that wait early; 0 no number."),
    directive(
      "repl-diskless-load",
      oneOf(["disabled", "on-empty-db", "swapdb"]),
      "disabled",
      "How a replica loads a full sync.",
      { flags: ["deny-loading"] },
    ),
  ],
  Security: [
    directive("requirepass", OPTIONAL_TEXT, "", "Password of the default user.", SECRET),
    directive("aclfile", text({ label: "path" }), "", "File with the users; excludes `user` lines.", IMMUTABLE),
    directive("acllog-max-len", SIZE, 128, "Entries of ACL LOG."),
    directive(
      "acl-pubsub-default",
      oneOf(["allchannels", "resetchannels"]),
      "resetchannels",
      "Channels that a new user may use.",
    ),
  ],
  "Clients and limits": [
    directive("maxclients", count(1, UINT_MAX), 10000, "Clients served at a time."),
    directive(
      "maxmemory-clients",
      MEMORY_OR_PERCENT,
      0,
      "Memory of all clients above which the largest is closed; 0 no bound.",
    ),
    directive(
      "client-output-buffer-limit",
      OUTPUT_BUFFER_LIMITS,
      {
        normal: { hardBytes: 0, softBytes: 0, softSeconds: 0 },
        replica: { hardBytes: 256 * 1024 * 1024, softBytes: 64 * 1024 * 1024, softSeconds: 60 },
        pubsub: { hardBytes: 32 * 1024 * 1024, softBytes: 8 * 1024 * 1024, softSeconds: 60 },
      },
      "Unsent replies that close a client: at once above the hard limit, after some seconds above the soft one.",
    ),
    directive(
      "client-query-buffer-limit",
      memory({ min: 1024 * 1024, max: LONG_MAX }),
      1024 * 1024 * 1024,
      "Bytes of unparsed input that close a client.",
    ),
    directive(
      "proto-max-bulk-len",
      memory({ min: 1024 * 1024, max: LONG_MAX }),
      512 * 1024 * 1024,
      "Longest string in a request and longest value.",
    ),
    directive("tracking-table-max-keys", SIZE, 1000000, "Keys remembered for client-side caching; 0 no bound."),
  ],
  Memory: [
    directive("maxmemory", memory({ min: 0, max: ULONG_MAX }), 0, "Memory above which keys are evicted; 0 no bound."),
    directive(
      "maxmemory-policy",
      oneOf([
        "volatile-lru",
        "volatile-lfu",
        "volatile-lrm",
        "volatile-random",
        "volatile-ttl",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-lrm",
        "allkeys-random",
        "noeviction",
      ]),
      "noeviction",
      "Which keys are evicted.",
    ),
    directive("maxmemory-samples", count(1, 64), 5, "Keys looked at to choose one for eviction."),
    directive("maxmemory-eviction-tenacity", count(0, 100), 10, "Effort of eviction, 0 to 100."),
    directive("active-expire-effort", count(1, 10), 1, "Effort of active expiry, 1 to 10."),
    directive("lfu-log-factor", COUNT, 10, "How slowly the frequency counter grows."),
    directive("lfu-decay-time", COUNT, 1, "Minutes after which the frequency counter drops by one; 0 never."),
    directive("lazyfree-lazy-eviction", YES_NO, false, "Free evicted values in the background."),
    directive("lazyfree-lazy-expire", YES_NO, false, "Free expired values in the background."),
    directive("lazyfree-lazy-server-del", YES_NO, false, "Free overwritten values in the background."),
    directive("lazyfree-lazy-user-del", YES_NO, false, "Let DEL work as UNLINK."),
    directive(
      "lazyfree-lazy-user-flush",
      YES_NO,
      false,
      "Let FLUSHALL, FLUSHDB, SCRIPT and FUNCTION FLUSH be asynchronous.",
    ),
    directive(
      "oom-score-adj",
      oneOf(["no", "yes", "absolute"], { relative: "yes" }, ["no", "yes", "relative", "absolute"]),
      "no",
      "Adjust the kernel's out-of-memory score.",
      INERT,
    ),
    directive("oom-score-adj-values", OOM_SCORES, [0, 200, 800], "Scores of a primary, a replica, a child.", INERT),
    directive("disable-thp", YES_NO, true, "Turn transparent huge pages off.", IMMUTABLE_INERT),
    directive("jemalloc-bg-thread", YES_NO, true, "Purge memory in a thread of the allocator.", INERT),
    directive(
      "activedefrag",
      alwaysNo("Active defragmentation cannot be enabled: this server has no such allocator"),
      false,
      "Active defragmentation of the allocator; there is none here, so `yes` is refused.",
      INERT,
    ),
    directive(
      "active-defrag-ignore-bytes",
      memory({ min: 1, max: LONG_MAX }),
      100 * 1024 * 1024,
      "Waste that is tolerated.",
      INERT,
    ),
    directive("active-defrag-threshold-lower", count(0, 1000), 10, "Waste in percent that starts it.", INERT),
    directive("active-defrag-threshold-upper", count(0, 1000), 100, "Waste in percent for full effort.", INERT),
    directive("active-defrag-cycle-min", count(1, 99), 1, "Least effort in percent of a core.", INERT),
    directive("active-defrag-cycle-max", count(1, 99), 25, "Most effort in percent of a core.", INERT),
    directive("active-defrag-max-scan-fields", count(1, LONG_MAX), 1000, "Fields scanned in one step.", INERT),
  ],
  "Scripts and slow commands": [
    directive("busy-reply-threshold", SIZE, 5000, "Milliseconds after which a script makes others get BUSY; 0 never.", {
      alias: "lua-time-limit",
    }),
    directive(
      "lua-memory-limit",
      memory({ min: 33554432, max: 2147483648 }),
      2 ** 30,
      "Memory of all scripts; 32mb to 2gb.",
    ),
    directive("lua-enable-deprecated-api", YES_NO, false, "Offer deprecated functions to scripts.", {
      flags: ["immutable", "hidden", "inert"],
    }),
    directive(
      "slowlog-log-slower-than",
      count(-1, LONG_MAX),
      10000,
      "Microseconds that make a command slow; -1 none.",
      {
        alias: "commandlog-execution-slower-than",
      },
    ),
    directive("slowlog-max-len", SIZE, 128, "Entries of the slow log.", { alias: "commandlog-slow-execution-max-len" }),
    directive(
      "commandlog-request-larger-than",
      count(-1, LONG_MAX),
      1048576,
      "Bytes of a request that COMMANDLOG notes; -1 none.",
    ),
    directive(
      "commandlog-reply-larger-than",
      count(-1, LONG_MAX),
      1048576,
      "Bytes of a reply that COMMANDLOG notes; -1 none.",
    ),
    directive("commandlog-large-request-max-len", SIZE, 128, "Entries of the log of large requests."),
    directive("commandlog-large-reply-max-len", SIZE, 128, "Entries of the log of large replies."),
    directive("latency-monitor-threshold", SIZE, 0, "Milliseconds that LATENCY records; 0 nothing."),
    directive("latency-tracking", YES_NO, true, "Record the latency of each command."),
    directive(
      "latency-tracking-info-percentiles",
      PERCENTILES,
      [50, 99, 99.9],
      "Percentiles shown in INFO latencystats.",
    ),
    directive("notify-keyspace-events", NOTIFY_FLAGS, 0, "Which keyspace notifications are sent."),
  ],
  Encodings: [
    directive("hash-max-listpack-entries", SIZE, 512, "Most fields of a packed hash.", {
      alias: "hash-max-ziplist-entries",
    }),
    directive(
      "hash-max-listpack-value",
      memory({ min: 0, max: LONG_MAX }),
      64,
      "Longest field or value of a packed hash.",
      {
        alias: "hash-max-ziplist-value",
      },
    ),
    directive(
      "list-max-listpack-size",
      count(INT_MIN, INT_MAX),
      -2,
      "Entries in a chunk of a list; -1 to -5 mean 4 to 64 kb.",
      {
        alias: "list-max-ziplist-size",
      },
    ),
    directive(
      "list-compress-depth",
      COUNT,
      0,
      "Chunks at both ends of a list that stay uncompressed; 0 compresses none.",
    ),
    directive("set-max-intset-entries", SIZE, 512, "Most members of a set of integers."),
    directive("set-max-listpack-entries", SIZE, 128, "Most members of a packed set."),
    directive("set-max-listpack-value", SIZE, 64, "Longest member of a packed set."),
    directive("zset-max-listpack-entries", SIZE, 128, "Most members of a packed sorted set.", {
      alias: "zset-max-ziplist-entries",
    }),
    directive(
      "zset-max-listpack-value",
      memory({ min: 0, max: LONG_MAX }),
      64,
      "Longest member of a packed sorted set.",
      {
        alias: "zset-max-ziplist-value",
      },
    ),
    directive("hll-sparse-max-bytes", memory({ min: 0, max: LONG_MAX }), 3000, "Longest sparse HyperLogLog."),
    directive(
      "stream-node-max-bytes",
      memory({ min: 0, max: LONG_MAX }),
      4096,
      "Bytes in a block of a stream; 0 no bound.",
    ),
    directive("stream-node-max-entries", SIZE, 100, "Entries in a block of a stream; 0 no bound."),
  ],
  Cluster: [
    directive("cluster-enabled", YES_NO, false, "Be a node of a cluster.", IMMUTABLE),
    directive(
      "cluster-config-file",
      text({ label: "path" }),
      "nodes.conf",
      "File in which a node keeps what it knows.",
      IMMUTABLE,
    ),
    directive("cluster-port", PORT, 0, "Port of the cluster bus; 0 means port + 10000.", IMMUTABLE),
    directive("cluster-node-timeout", SIZE, 15000, "Milliseconds of silence after which a node counts as failing."),
    directive(
      "cluster-ping-interval",
      SIZE,
      0,
      "Milliseconds between pings of the cluster bus; 0 leaves the rhythm to the node.",
      HIDDEN,
    ),
    directive("cluster-announce-ip", OPTIONAL_TEXT, "", "Address that a node reports."),
    directive("cluster-announce-port", PORT, 0, "Port that a node reports; 0 means port."),
    directive("cluster-announce-tls-port", PORT, 0, "TLS port that a node reports; 0 means tls-port."),
    directive("cluster-announce-bus-port", PORT, 0, "Bus port that a node reports; 0 means cluster-port."),
    directive("cluster-announce-hostname", HOST_NAME, "", "Host name that a node reports."),
    directive("cluster-announce-human-nodename", NODE_NAME, "", "Name of a node for people, used in logs."),
    directive(
      "cluster-preferred-endpoint-type",
      oneOf(["ip", "hostname", "unknown-endpoint"]),
      "ip",
      "How redirections name a node.",
    ),
    directive("cluster-require-full-coverage", YES_NO, true, "Refuse queries while a slot has no node."),
    directive("cluster-allow-reads-when-down", YES_NO, false, "Serve reads while the cluster is down."),
    directive("cluster-allow-pubsubshard-when-down", YES_NO, true, "Serve sharded pub/sub while the cluster is down."),
    directive("cluster-allow-replica-migration", YES_NO, true, "Let replicas move to a primary that has none."),
    directive("cluster-migration-barrier", COUNT, 1, "Replicas that a primary keeps when one moves."),
    directive("cluster-replica-no-failover", YES_NO, false, "Never promote this replica by itself.", {
      alias: "cluster-slave-no-failover",
    }),
    directive(
      "cluster-replica-validity-factor",
      COUNT,
      10,
      "Age of a replica's data, in node timeouts, that bars promotion; 0 none.",
      {
        alias: "cluster-slave-validity-factor",
      },
    ),
    directive(
      "cluster-link-sendbuf-limit",
      memory({ min: 0, max: ULONG_MAX }),
      0,
      "Unsent bytes that end a link of the bus; 0 no bound.",
    ),
  ],
  "Threads and cores": [
    directive("io-threads", count(1, 128), 1, "Threads for reading and writing.", IMMUTABLE_INERT),
    directive("io-threads-do-reads", YES_NO, false, "Whether these threads also read.", IMMUTABLE_INERT),
    directive("server-cpulist", OPTIONAL_TEXT, "", "Cores of the server.", {
      ...IMMUTABLE_INERT,
      alias: "server_cpulist",
    }),
    directive("bio-cpulist", OPTIONAL_TEXT, "", "Cores of background threads.", {
      ...IMMUTABLE_INERT,
      alias: "bio_cpulist",
    }),
    directive("aof-rewrite-cpulist", OPTIONAL_TEXT, "", "Cores of an append-only rewrite.", {
      ...IMMUTABLE_INERT,
      alias: "aof_rewrite_cpulist",
    }),
    directive("bgsave-cpulist", OPTIONAL_TEXT, "", "Cores of a background save.", {
      ...IMMUTABLE_INERT,
      alias: "bgsave_cpulist",
    }),
  ],
  "Of newer and other servers": [
    directive("repl-rdb-channel", YES_NO, false, "Redis 8: send a full sync over a link of its own.", FOREIGN),
    directive(
      "replica-full-sync-buffer-limit",
      memory({ min: 0, max: LONG_MAX }),
      0,
      "Redis 8: bytes a replica gathers during a full sync.",
      FOREIGN,
    ),
    directive("cluster-slot-stats-enabled", YES_NO, false, "Redis 8, Valkey 8: count per cluster slot.", FOREIGN),
    directive("cluster-blacklist-ttl", SIZE, 60, "Valkey: seconds a forgotten node stays out.", FOREIGN),
    directive("cluster-announce-client-ipv4", OPTIONAL_TEXT, "", "Valkey: address reported to IPv4 clients.", FOREIGN),
    directive("cluster-announce-client-ipv6", OPTIONAL_TEXT, "", "Valkey: address reported to IPv6 clients.", FOREIGN),
    directive("availability-zone", text(), "", "Valkey: zone of the server.", FOREIGN),
    directive("dual-channel-replication-enabled", YES_NO, false, "Valkey: full sync over two links.", FOREIGN),
    directive("extended-redis-compatibility", YES_NO, false, "Valkey: report the name and version of Redis.", FOREIGN),
    directive("log-format", oneOf(["legacy", "logfmt"]), "legacy", "Valkey: form of log lines.", FOREIGN),
    directive(
      "log-timestamp-format",
      oneOf(["legacy", "iso8601", "milliseconds"]),
      "legacy",
      "Valkey: form of times in the log.",
      FOREIGN,
    ),
    directive("events-per-io-thread", COUNT, 2, "Valkey: events that wake an I/O thread.", FOREIGN),
    directive("prefetch-batch-max-size", count(0, 128), 16, "Valkey: keys fetched ahead.", FOREIGN),
    directive("unixsocketgroup", OPTIONAL_TEXT, "", "Valkey: group of the Unix socket.", {
      flags: ["immutable", "hidden", "inert"],
    }),
    directive("enable-debug-assert", YES_NO, false, "Valkey: assertions for tests.", {
      flags: ["immutable", "hidden", "inert"],
    }),
    directive("debug-context", text(), "", "Valkey: text for the crash report.", FOREIGN),
  ],
} as const

/** Any directive, its value's type erased: for code that treats all of them alike. */
// biome-ignore lint/suspicious/noExplicitAny: parse takes and format takes the same type, which only the entry knows
export type AnyDirective = Directive<string, any>

type Sections = typeof SECTIONS
type Entry = Sections[keyof Sections][number]

/** Name of a directive → type of its value. */
export type ValueByName = { [E in Entry as E["name"]]: E extends Directive<string, infer T> ? T : never }
export type DirectiveName = keyof ValueByName

export const DIRECTIVES: readonly AnyDirective[] = Object.values<readonly AnyDirective[]>(SECTIONS).flat()

/** Every name that is understood for this directive, its own first. */
export function namesOf({ name, aliases, foreignName }: AnyDirective): string[] {
  return foreignName === undefined ? [name, ...aliases] : [name, ...aliases, foreignName]
}

const BY_NAME: ReadonlyMap<string, AnyDirective> = new Map(
  DIRECTIVES.flatMap(entry => namesOf(entry).map(name => [name, entry] as const)),
)

/** The directive of this name or older name, in any case. */
export function findDirective(name: string): AnyDirective | undefined {
  return BY_NAME.get(name.toLowerCase())
}

/** Defaults that differ from Redis 7.4 on purpose, with the reason. A test compares all others with a real server. */
export const DIFFERENT_DEFAULTS: Readonly<Partial<Record<DirectiveName, string>>> = {
  bind: "only this host can connect until told otherwise",
  port: "runs beside a Redis on the same host",
  appendonly: "writes survive a restart by default",
  appendfilename: "the name this server has always used",
  "version-override": "does not exist in Redis",
}

/** Directives of a file that are no settings: CONFIG GET and CONFIG SET do not know them. */
export const FILE_DIRECTIVES: Readonly<Record<string, string>> = {
  include: "`include path`: read another file here; a pattern with `*`, `?` or `[` may match several or none.",
  user: "`user name rules…`: an ACL user, as ACL SETUSER takes it. Each name once.",
  "rename-command": '`rename-command name new-name`: rename a command; `""` removes it.',
  loadmodule: "`loadmodule path arguments…`: understood; there are no modules here.",
}

/** Directives of the past: a file may have them, with one argument; they do nothing. */
export const RETIRED_DIRECTIVES: readonly string[] = [
  "list-max-ziplist-entries",
  "list-max-ziplist-value",
  "lua-replicate-commands",
]
