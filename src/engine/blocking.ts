/**
 * Clients that wait: for keys (BLPOP, XREAD …), or for an acknowledgement (WAIT).
 *
 *              ┌──────── rerun, still nothing: stays in its place, deadline kept ───────┐
 *              ▼                                                                        │
 *   block ──▶ waiting ──key modified: markReady──▶ ready ──serveReady, in order──▶ rerun┴─replied──▶ finish
 *              ├──time to look again: lookAgain────▶ rerun
 *              ├──deadline: expireDue──────────────▶ timedOut replies ──▶ finish
 *              ├──CLIENT UNBLOCK, unblockAll───────▶ timedOut or an error ──▶ finish
 *              └──disconnected: forget (what another server is doing for it, MIGRATE, is waited for all the same)
 *
 * Invariants:
 * 1. A key has a queue in `queues` exactly while somebody waits for it; a queue keeps the order of arrival.
 * 2. A client waits at most once (`client.waiting`), and is then `blocked` and `suspended`: its further requests stay in its
 *    connection until the end of the tick in which it is finished.
 * 3. Keys are served after the top-level command (transaction, script) that changed them, and in the order in which they
 *    became ready. Served commands may make further keys ready; that goes on until none is.
 * 4. A waiter is run again only when the key is of the type its command is about; those that rely on a consumer group also
 *    when it is gone or of another type, since their group is gone then.
 */

import type { Blocking, Call } from "../command/context.ts"
import { Flag, type RegisteredCommand } from "../command/registry.ts"
import type { Database } from "../keyspace/db.ts"
import { ValueType } from "../keyspace/kinds.ts"
import type { Arguments } from "../resp/arguments.ts"
import type { ReplyWriter } from "../resp/reply-writer.ts"
import { type Client, ClientCondition } from "./client.ts"
import { Deadlines, type Timed } from "./deadlines.ts"
import { EngineCondition } from "./dispatch.ts"
import type { Engine } from "./engine.ts"
import type { KeyListener } from "./key-listeners.ts"
import { KeyEntry, KeyTable } from "./key-table.ts"

/** The type of value that the blocking commands of a group wait for. */
const TYPE_OF_GROUP: Readonly<Record<string, number>> = {
  list: ValueType.List,
  "sorted-set": ValueType.Zset,
  stream: ValueType.Stream,
}

/** A client's wait. */
export class Wait implements Timed {
  heapIndex = -1
  readonly places: Place[] = []
  isRerunning = false
  /** The command that is run again has called `block` again. */
  blocksAgain = false
  /** When the command is to be run again whatever happens, if it is. */
  look: Look | undefined
  readonly valueType: number
  /** Reads through a consumer group, which goes with the key. */
  readonly needsKey: boolean

  constructor(
    readonly client: Client,
    readonly command: RegisteredCommand,
    /** Owned. */
    readonly args: Arguments,
    readonly deadlineMs: number,
    readonly timedOut: (reply: ReplyWriter) => void,
  ) {
    this.valueType = TYPE_OF_GROUP[command.spec.group] ?? ValueType.None
    this.needsKey = this.valueType === ValueType.Stream && (command.flagBits & Flag.Write) !== 0
  }
}

/** A time at which a waiting command looks again by itself. */
interface Look extends Timed {
  readonly wait: Wait
}

/** A wait's place in the queue of one key; `queue` is undefined once it has left. */
interface Place {
  readonly wait: Wait
  queue: KeyQueue | undefined
  before: Place | undefined
  after: Place | undefined
}

/** Those that wait for one key, first come first. */
class KeyQueue extends KeyEntry {
  first: Place | undefined
  last: Place | undefined
  size = 0
  /** How many of them must know when the key is gone. */
  needingKey = 0
  isReady = false

  append(wait: Wait): void {
    const place: Place = { wait, queue: this, before: this.last, after: undefined }
    if (this.last === undefined) this.first = place
    else this.last.after = place
    this.last = place
    this.size++
    if (wait.needsKey) this.needingKey++
    wait.places.push(place)
  }

  remove(place: Place): void {
    if (place.before === undefined) this.first = place.after
    else place.before.after = place.after
    if (place.after === undefined) this.last = place.before
    else place.after.before = place.before
    place.queue = undefined
    this.size--
    if (place.wait.needsKey) this.needingKey--
  }
}

export class BlockedClients implements Blocking, KeyListener {
  private readonly engine: Engine
  private readonly queues: KeyTable<KeyQueue>
  private readonly waits = new Set<Wait>()
  private readonly deadlines: Deadlines<Wait>
  private readonly looks: Deadlines<Look>
  private ready: KeyQueue[] = []
  private serving = false

  constructor(engine: Engine) {
    this.engine = engine
    this.queues = new KeyTable(engine.keyspace.hasher, KeyQueue)
    this.deadlines = new Deadlines(
      () => engine.clock.wall(),
      () => this.expireDue(),
    )
    this.looks = new Deadlines(
      () => engine.clock.wall(),
      () => this.lookAgain(),
    )
    engine.keyListeners.add(this)
    engine.afterChange = () => this.serveReady()
    // Keys may also become ready outside of commands, by expiry.
    engine.onTickEnd.unshift(() => this.serveReady())
    engine.clients.onGone.push(client => this.forget(client))
  }

  /** Clients that wait. */
  get size(): number {
    return this.waits.size
  }

  /** Clients that wait with a deadline. */
  get timedSize(): number {
    return this.deadlines.size
  }

  /** Keys waited for. */
  get keyCount(): number {
    return this.queues.size
  }

  /** Keys whose absence somebody waits for. */
  keyCountNeedingKey = 0

  // ------------------------------------------------------------------ waiting

  block(
    call: Call,
    keys: readonly number[],
    deadlineMs: number,
    timedOut: (reply: ReplyWriter) => void,
    lookAgainMs = 0,
  ): void {
    const client = call.client as Client
    const { waiting } = client
    if (waiting instanceof Wait && waiting.isRerunning) {
      waiting.blocksAgain = true
      this.lookAt(waiting, lookAgainMs)
      return
    }
    if (client.denyBlocking || client.transport === undefined) {
      timedOut(call.reply)
      return
    }
    const wait = new Wait(client, call.command, call.args.clone(), deadlineMs, timedOut)
    for (const i of keys) this.queueFor(wait, call.db, call.args, i)
    // Whoever runs the command counts it now: it counts when it is over.
    call.command.calls--
    client.waiting = wait
    client.blocked = true
    client.suspended = true
    this.waits.add(wait)
    if (deadlineMs > 0) this.deadlines.add(wait)
    this.lookAt(wait, lookAgainMs)
    this.engine.keyListeners.refresh()
  }

  private lookAt(wait: Wait, ms: number): void {
    if (wait.look !== undefined) this.looks.remove(wait.look)
    wait.look = ms > 0 ? { wait, deadlineMs: ms, heapIndex: -1 } : undefined
    if (wait.look !== undefined) this.looks.add(wait.look)
  }

  private queueFor(wait: Wait, db: Database, args: Arguments, i: number): void {
    const queue = this.queues.ensure(db, args.bytes, args.start(i), args.end(i))
    // The same key named twice.
    if (queue.last?.wait === wait) return
    if (wait.places.some(place => place.queue === queue)) return
    queue.append(wait)
    if (queue.needingKey === 1 && wait.needsKey) this.keyCountNeedingKey++
  }

  // ------------------------------------------------------------------ what makes keys ready

  get interested(): boolean {
    return this.queues.size > 0
  }

  modified(db: Database, key: Uint8Array, start: number, end: number): void {
    const queue = this.queues.find(db, key, start, end)
    if (queue !== undefined) this.markReady(queue)
  }

  flushed(db: Database): void {
    for (const queue of this.queues.of(db)) this.markReady(queue)
  }

  swapped(a: Database, b: Database): void {
    this.flushed(a)
    this.flushed(b)
  }

  private markReady(queue: KeyQueue): void {
    if (queue.isReady) return
    queue.isReady = true
    if (this.ready.push(queue) === 1) this.engine.wakeTick()
  }

  // ------------------------------------------------------------------ serving

  /** Serves all keys that are ready, and those that become ready by it. */
  serveReady(): void {
    if (this.ready.length === 0 || this.serving) return
    // What a script has changed is for others once it is over.
    if ((this.engine.conditions & EngineCondition.BusyScript) !== 0) return
    this.serving = true
    // A transaction or script may have taken its time: what it left can be past its expiry by now.
    this.engine.refreshTime()
    while (this.ready.length > 0) {
      const batch = this.ready
      this.ready = []
      for (const queue of batch) {
        queue.isReady = false
        this.serve(queue)
      }
    }
    this.serving = false
  }

  /** Gives every client that waits for the key one chance. */
  private serve(queue: KeyQueue): void {
    let left = queue.size
    let place = queue.first
    while (place !== undefined && left-- > 0) {
      const { after, wait } = place
      const address = this.addressOf(queue)
      // Once the key is used up, those further back need not be looked at.
      if (address === 0 && queue.needingKey === 0) return
      const type = address === 0 ? ValueType.None : queue.db.type(address)
      const { client } = wait
      if ((type === wait.valueType || wait.needsKey) && !client.closing && !client.gone) this.rerun(wait)
      if (after !== undefined && after.queue === undefined) {
        // It left the queue meanwhile: begin anew with those that are still there.
        this.markReady(queue)
        return
      }
      place = after
    }
  }

  /** Address of the live record under a key, or 0. One past its time stays until somebody asks for it. */
  private addressOf({ db, key }: KeyQueue): number {
    const address = db.keys.find(key, 0, key.length)
    if (address === 0) return 0
    const expiry = db.keys.expiry(address)
    return expiry !== 0 && expiry < this.engine.keyspace.now ? 0 : address
  }

  /** Runs the waiting command once more: it replies, or it blocks again. */
  private rerun(wait: Wait): void {
    const { engine } = this
    const { client } = wait
    const { output } = engine
    const before = output.open(client)
    wait.isRerunning = true
    wait.blocksAgain = false
    const { rejectedCalls } = wait.command
    engine.dispatcher.retry(client, wait.command, wait.args)
    wait.isRerunning = false
    if (!wait.blocksAgain) {
      if (wait.command.rejectedCalls === rejectedCalls) wait.command.calls++
      this.finish(wait)
    }
    output.open(before)
  }

  /** Runs those again that wait for something other than keys: an acknowledgement has come. */
  retryKeyless(): void {
    for (const wait of [...this.waits]) {
      const { client } = wait
      if (wait.places.length === 0 && ((!client.gone && !client.closing) || this.outlivesClient(client)))
        this.rerun(wait)
    }
  }

  /** Another server is at work on its command: what that has done must be seen to, even if nobody wants to know any more. */
  private outlivesClient(client: Client): boolean {
    return this.engine.peers.exchangeOf(client) !== undefined
  }

  /** Runs those again whose time to look has come; each at most once. */
  lookAgain(): void {
    const due: Wait[] = []
    for (let look = this.looks.takeDue(); look !== undefined; look = this.looks.takeDue()) due.push(look.wait)
    if (due.length === 0) return
    this.engine.refreshTime()
    for (const wait of due) {
      wait.look = undefined
      if (this.waits.has(wait) && !wait.client.closing && !wait.client.gone) this.rerun(wait)
    }
    this.serveReady()
    this.engine.wakeTick()
  }

  // ------------------------------------------------------------------ ends of a wait

  /** Ends all waits whose deadline has passed. */
  expireDue(): void {
    let wait = this.deadlines.takeDue()
    if (wait === undefined) return
    this.engine.refreshTime()
    for (; wait !== undefined; wait = this.deadlines.takeDue()) this.answer(wait, wait.timedOut)
    this.engine.wakeTick()
  }

  /** CLIENT UNBLOCK: ends a wait as its deadline would, or with an error. False when the client does not wait. */
  unblock(client: Client, error?: string): boolean {
    const { waiting } = client
    if (!(waiting instanceof Wait)) return false
    if (error === undefined) this.answer(waiting, waiting.timedOut)
    else this.answerError(waiting, error)
    return true
  }

  /** Ends all waits with an error (the role of the server changes); `close` also parts from the clients. */
  unblockAll(error: string, close: boolean): void {
    for (const wait of [...this.waits]) {
      this.answerError(wait, error)
      if (close) this.engine.clients.finish(wait.client)
    }
  }

  private answerError(wait: Wait, error: string): void {
    const { engine } = this
    wait.command.failedCalls++
    this.answer(wait, reply => {
      const { at } = reply
      reply.error(error)
      engine.countError(at)
    })
  }

  private answer(wait: Wait, write: (reply: ReplyWriter) => void): void {
    const { output } = this.engine
    const isSilent = (wait.client.conditions & ClientCondition.Silent) !== 0
    const before = output.open(isSilent ? undefined : wait.client)
    write(output.writer)
    wait.command.calls++
    this.finish(wait)
    output.open(before)
  }

  /** The client has its reply; its further requests are run at the end of the tick. */
  private finish(wait: Wait): void {
    const { client } = wait
    this.remove(wait)
    client.unblock()
    if ((client.conditions & ClientCondition.Silent) !== 0) client.nextReplyMode()
    this.engine.resumption.add(client)
  }

  private forget(client: Client): void {
    const { waiting } = client
    if (!(waiting instanceof Wait) || this.outlivesClient(client)) return
    this.remove(waiting)
    client.unblock()
  }

  private remove(wait: Wait): void {
    this.waits.delete(wait)
    this.deadlines.remove(wait)
    if (wait.look !== undefined) this.looks.remove(wait.look)
    for (const place of wait.places) {
      const { queue } = place
      if (queue === undefined) continue
      queue.remove(place)
      if (queue.needingKey === 0 && wait.needsKey) this.keyCountNeedingKey--
      if (queue.size === 0) this.queues.delete(queue)
    }
    this.engine.keyListeners.refresh()
  }
}
