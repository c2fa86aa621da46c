/** All clients of a server, by id; their birth and their end. */

import { Client, ClientCondition, type Transport } from "./client.ts"
import type { Engine } from "./engine.ts"

export class ClientTable {
  readonly byId = new Map<number, Client>()
  /** Connections accepted since the start. */
  accepted = 0
  /** Connections turned away because of maxclients. */
  rejected = 0
  /** Clients closed because they sent too much at once, or read too slowly. */
  overQueryLimit = 0
  overOutputLimit = 0
  /** Told of every client that goes, so that subsystems can forget it. */
  readonly onGone: ((client: Client) => void)[] = []
  /** Told of every client from which so many bytes arrived, before they are looked at; while somebody wants to know. */
  onReceived: ((client: Client, bytes: number) => void) | undefined
  /** Told of every client of which a part of a request is kept until the rest is here; while somebody wants to know. */
  onHalfReceived: ((client: Client) => void) | undefined

  private readonly engine: Engine
  private nextId = 1
  private finished: Client[] = []

  constructor(engine: Engine) {
    this.engine = engine
  }

  get size(): number {
    return this.byId.size
  }

  /** A client with a socket behind it. */
  add(transport: Transport): Client {
    const client = this.create()
    client.transport = transport
    client.setCondition(ClientCondition.NeedsAuth, this.engine.authenticator.welcome(client))
    this.byId.set(client.id, client)
    return client
  }

  /** A client without a socket, listed nowhere. */
  create(): Client {
    const { keyspace, clock } = this.engine
    return new Client(this.nextId++, keyspace.databases[0]!, clock.wall())
  }

  /** Closes a client at the end of the tick, after its replies. */
  finish(client: Client): void {
    if (client.closing) return
    client.closing = true
    client.suspended = true
    this.finished.push(client)
    this.engine.wakeTick()
  }

  /** Closes a client at once; what it has not been sent is lost. */
  terminate(client: Client): void {
    if (client.gone) return
    client.transport?.terminate()
    this.forget(client)
  }

  /** The socket of a client is gone. */
  forget(client: Client): void {
    if (client.gone) return
    client.gone = true
    client.suspended = true
    this.byId.delete(client.id)
    for (const listener of this.onGone) listener(client)
    client.pending.length = 0
    client.pendingBytes = 0
  }

  /** Ends those that asked for it and have nothing more to be sent. */
  closeFinished(): void {
    if (this.finished.length === 0) return
    const waiting: Client[] = []
    for (const client of this.finished) {
      if (client.gone) continue
      if (client.pendingBytes > 0) waiting.push(client)
      else {
        client.transport?.end()
        this.forget(client)
      }
    }
    this.finished = waiting
  }
}
