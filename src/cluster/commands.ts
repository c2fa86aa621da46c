/**
 * CLUSTER, READONLY, READWRITE, ASKING, of a server that is no node of a cluster: known, so that ACL rules may name them and
 * COMMAND describes them, and refused with the error by which clients see that they talk to a single server.
 */

import type { Call } from "../command/context.ts"
import { helpOf } from "../command/help.ts"
import type { CommandSpec } from "../command/spec.ts"

const DISABLED = "ERR This instance has cluster support disabled"

function refuse({ reply }: Call): void {
  reply.error(DISABLED)
}

type Facts = Pick<CommandSpec, "arity" | "flags" | "syntax" | "summary" | "complexity"> & Partial<CommandSpec>

const ADMIN = "admin stale"
const CHANGE = "admin stale no_async_loading"
const tips = "nondeterministic_output"

const PER_NODE = "O(N), N nodes"
const PER_REPLICA = "O(N), N replicas"
const PER_SLOT = "O(N), N slots"

const subcommands: Readonly<Record<string, Facts>> = {
  addslots: {
    arity: -3,
    flags: CHANGE,
    syntax: "slot:integer...",
    summary: "Gives slots to this node.",
    complexity: PER_SLOT,
  },
  addslotsrange: {
    since: "7.0.0",
    arity: -4,
    flags: CHANGE,
    syntax: "range=(start-slot:integer end-slot:integer)...",
    summary: "Gives ranges of slots to this node.",
    complexity: PER_SLOT,
  },
  bumpepoch: { arity: 2, flags: CHANGE, tips, syntax: "", summary: "Raises this node's epoch.", complexity: "O(1)" },
  "count-failure-reports": {
    arity: 3,
    flags: ADMIN,
    tips,
    syntax: "node-id",
    summary: "Counts the nodes that report a node as failing.",
    complexity: "O(N), N reports",
  },
  countkeysinslot: {
    arity: 3,
    flags: "stale",
    syntax: "slot:integer",
    summary: "Counts the keys of a slot.",
    complexity: "O(1)",
  },
  delslots: {
    arity: -3,
    flags: CHANGE,
    syntax: "slot:integer...",
    summary: "Takes slots from this node.",
    complexity: PER_SLOT,
  },
  delslotsrange: {
    since: "7.0.0",
    arity: -4,
    flags: CHANGE,
    syntax: "range=(start-slot:integer end-slot:integer)...",
    summary: "Takes ranges of slots from this node.",
    complexity: PER_SLOT,
  },
  failover: {
    arity: -2,
    flags: CHANGE,
    syntax: "[options=FORCE|TAKEOVER]",
    summary: "Makes this replica the primary.",
    complexity: "O(1)",
  },
  flushslots: {
    arity: 2,
    flags: CHANGE,
    syntax: "",
    summary: "Takes all slots from this node.",
    complexity: "O(1)",
  },
  forget: {
    arity: 3,
    flags: CHANGE,
    syntax: "node-id",
    summary: "Removes a node from those that this one knows.",
    complexity: "O(1)",
  },
  getkeysinslot: {
    arity: 4,
    flags: "stale",
    tips,
    syntax: "slot:integer count:integer",
    summary: "Lists keys of a slot.",
    complexity: "O(N), N keys asked for",
  },
  help: {
    since: "5.0.0",
    arity: 2,
    flags: "loading stale",
    syntax: "",
    summary: "Lists the subcommands of CLUSTER.",
    complexity: "O(1)",
    run: helpOf,
  },
  info: { arity: 2, flags: "stale", tips, syntax: "", summary: "Describes the node's state.", complexity: "O(1)" },
  keyslot: {
    arity: 3,
    flags: "stale",
    syntax: "key:string",
    summary: "Names the slot of a key.",
    complexity: "O(N), N bytes of the key",
  },
  links: {
    since: "7.0.0",
    arity: 2,
    flags: "stale",
    tips,
    syntax: "",
    summary: "Lists the connections to and from other nodes.",
    complexity: PER_NODE,
  },
  meet: {
    arity: -4,
    flags: CHANGE,
    syntax: "ip port:integer [cluster-bus-port:integer]",
    summary: "Makes this node know another.",
    complexity: "O(1)",
  },
  myid: { arity: 2, flags: "stale", syntax: "", summary: "Names this node.", complexity: "O(1)" },
  myshardid: {
    since: "7.2.0",
    arity: 2,
    flags: "stale",
    tips,
    syntax: "",
    summary: "Names this node's shard.",
    complexity: "O(1)",
  },
  nodes: { arity: 2, flags: "stale", tips, syntax: "", summary: "Lists all nodes.", complexity: PER_NODE },
  replicas: {
    since: "5.0.0",
    arity: 3,
    flags: ADMIN,
    tips,
    syntax: "node-id",
    summary: "Lists the replicas of a primary.",
    complexity: PER_REPLICA,
  },
  replicate: {
    arity: 3,
    flags: CHANGE,
    syntax: "node-id",
    summary: "Makes this node a replica of a primary.",
    complexity: "O(1)",
  },
  reset: {
    arity: -2,
    flags: "admin noscript stale",
    syntax: "[reset-type=HARD|SOFT]",
    summary: "Makes this node forget the cluster.",
    complexity: "O(N), N nodes; data may have to be freed as well",
  },
  saveconfig: {
    arity: 2,
    flags: CHANGE,
    syntax: "",
    summary: "Writes the file of the cluster's state.",
    complexity: "O(1)",
  },
  "set-config-epoch": {
    arity: 3,
    flags: CHANGE,
    syntax: "config-epoch:integer",
    summary: "Sets the epoch of a new node.",
    complexity: "O(1)",
  },
  setslot: {
    arity: -4,
    flags: CHANGE,
    syntax: "slot:integer subcommand=(IMPORTING importing|MIGRATING migrating|NODE node|STABLE)",
    summary: "Gives a slot to a node, or says where it is moving.",
    complexity: "O(1)",
  },
  shards: {
    since: "7.0.0",
    arity: 2,
    flags: "loading stale",
    tips,
    syntax: "",
    summary: "Lists the shards: slots and nodes.",
    complexity: PER_NODE,
  },
  slaves: {
    arity: 3,
    flags: ADMIN,
    tips,
    syntax: "node-id",
    summary: "Lists the replicas of a primary.",
    complexity: PER_REPLICA,
    deprecated: { since: "5.0.0", replacedBy: "`CLUSTER REPLICAS`" },
  },
  slots: {
    arity: 2,
    flags: "loading stale",
    tips,
    syntax: "",
    summary: "Lists the slots with their nodes.",
    complexity: PER_NODE,
    deprecated: { since: "7.0.0", replacedBy: "`CLUSTER SHARDS`" },
  },
}

const spec = (name: string, facts: Facts): CommandSpec => ({
  name,
  since: "3.0.0",
  group: "cluster",
  run: refuse,
  ...facts,
})

const plain = (name: string, flags: string, summary: string): CommandSpec =>
  spec(name, { arity: 1, flags, categories: "connection", syntax: "", summary, complexity: "O(1)" })

export const clusterCommands: readonly CommandSpec[] = [
  plain("asking", "fast", "Announces a command that follows a redirection."),
  {
    name: "cluster",
    since: "3.0.0",
    group: "cluster",
    arity: -2,
    flags: "",
    syntax: "",
    summary: "Holds the commands about the cluster.",
    complexity: "depends on the subcommand",
    subcommands: Object.entries(subcommands).map(([name, facts]) => spec(name, facts)),
  },
  plain("readonly", "loading stale fast", "Lets this connection read from a replica."),
  plain("readwrite", "loading stale fast", "Ends what READONLY began."),
]
