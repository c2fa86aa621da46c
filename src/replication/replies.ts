/**
 * The transport of a client that has become a replica: a stream goes to its socket now, in which answers to commands have
 * no place. Whatever it is answered all the same is dropped, and the replica with it.
 */

import type { Transport } from "../engine/client.ts"

export class RepliesRefused implements Transport {
  readonly remoteAddress: string
  readonly localAddress: string
  readonly fd: number
  readonly isUnix: boolean
  private readonly socket: Transport
  private readonly onReply: (text: string) => void

  constructor(socket: Transport, onReply: (text: string) => void) {
    this.socket = socket
    this.onReply = onReply
    this.remoteAddress = socket.remoteAddress
    this.localAddress = socket.localAddress
    this.fd = socket.fd
    this.isUnix = socket.isUnix
  }

  write(bytes: Uint8Array, start: number, length: number): number {
    this.onReply(Buffer.from(bytes.subarray(start, start + length)).toString("latin1"))
    return length
  }

  end(): void {
    this.socket.end()
  }

  terminate(): void {
    this.socket.terminate()
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }
}
