/** Who may log in. The engine begins with the one user of `requirepass`; access control lists put their own check in. */

import { bytesOf, latin1 } from "../bytes/compare.ts"
import type { Config } from "../config/config.ts"
import type { Client } from "./client.ts"

export interface Authenticator {
  /**
   * Makes `user` the user of the client if the password is right.
   * Names and passwords come with one character per byte.
   * @returns the error reply, undefined on success
   */
  authenticate(client: Client, user: string, password: string): string | undefined
  /** Whether the default user gets in without a password: then a lone `AUTH password` is a mistake of the operator. */
  readonly isOpen: boolean
  /** Whether there is a user of this name. */
  knows(user: string): boolean
  /** A connection is new, or was reset: makes it the default user's, and says whether it must log in first. */
  welcome(client: Client): boolean
}

export const WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled."

/** Only the user "default", with the password of `requirepass` if there is one. */
export class RequirepassAuthenticator implements Authenticator {
  private readonly config: Config

  constructor(config: Config) {
    this.config = config
  }

  get isOpen(): boolean {
    return this.config.values.requirepass === ""
  }

  knows(user: string): boolean {
    return user === "default"
  }

  authenticate(client: Client, user: string, password: string): string | undefined {
    if (user !== "default") return WRONG_PASSWORD
    if (!this.isOpen && !sameText(latin1(bytesOf(this.config.values.requirepass)), password)) return WRONG_PASSWORD
    client.user = "default"
    return undefined
  }

  welcome(client: Client): boolean {
    client.user = "default"
    return !this.isOpen
  }
}

/** Compares in a time that depends on the lengths only, so that a password cannot be guessed letter by letter. */
function sameText(a: string, b: string): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < b.length; i++) difference |= b.charCodeAt(i) ^ a.charCodeAt(i % (a.length || 1))
  return difference === 0
}
